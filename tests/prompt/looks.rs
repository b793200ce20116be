//! How answers look: Markdown row by row, reasoning, and what `/set` changes of it; without a cursor to move, whole rows.

use vt100::Color;

use crate::home::{Home, count};
use crate::pty::{Pty, cells};
use crate::server::{Gate, Reply};

const ANSWER: &str = "# Title\n\nSome **strong** and *soft* words, `code`, snake_case.\n\n- item\n\n\
                      ```rust\nfn main() { let s = \"text\"; } // why\n```\n\n| a | b |\n|---|---|\n";

/// In colour, at a width.
fn colored(home: &Home, columns: u16) -> Pty {
    let mut command = home.command(&["--color", "always"]);
    command.env_remove("NO_COLOR");
    let mut pty = Pty::spawn(cells(30, columns), command);
    pty.wait_last("1:main>");
    pty
}

/// The answer cut into pieces of three characters.
fn pieces(text: &str) -> Vec<String> {
    text.chars().collect::<Vec<_>>().chunks(3).map(|piece| piece.iter().collect()).collect()
}

fn markdown(columns: u16) {
    let home = Home::new();
    let all = pieces(ANSWER);
    home.server.on("look", Reply::words(&all.iter().map(String::as_str).collect::<Vec<_>>()));
    let mut pty = colored(&home, columns);
    pty.type_keys("look\r");
    pty.wait_part("|---|");
    let rows = pty.wait_last("1:main>");
    // Each character that came is there.
    let shown: String = rows.concat().chars().filter(|c| !c.is_whitespace()).collect();
    let came: String = ANSWER.chars().filter(|c| !c.is_whitespace()).collect();
    assert!(shown.contains(&came), "{rows:#?}");
    assert!(pty.cell("# Title").bold());
    assert!(pty.cell("strong").bold() && pty.cell("**strong").dim());
    assert!(pty.cell("soft").italic());
    assert_ne!(pty.cell("code`").fgcolor(), Color::Default);
    assert_eq!(pty.cell("snake_case").fgcolor(), Color::Default);
    assert_ne!(pty.cell("fn main").fgcolor(), Color::Default);
    assert_ne!(pty.cell("\"text").fgcolor(), pty.cell("fn main").fgcolor());
    assert!(pty.cell("// why").dim());
    pty.type_keys("/set render plain\rlook again\r");
    pty.wait("the second answer", |rows| rows.iter().filter(|row| row.contains("|---|")).count() == 2);
    pty.wait_last("1:main>");
    pty.type_keys("\x0c");
    pty.wait("a clear screen", |rows| rows.len() == 1);
    pty.type_keys("and look\r");
    pty.wait_part("|---|");
    assert!(!pty.cell("strong").bold() && !pty.cell("# Title").bold());
    pty.type_keys("/quit\r");
    assert_eq!(pty.end(), 0);
}

#[test]
fn markdown_is_styled_and_nothing_is_taken_away_at_80_columns() {
    markdown(80);
}

#[test]
fn markdown_is_styled_and_nothing_is_taken_away_at_40_columns() {
    markdown(40);
}

#[test]
fn markdown_is_styled_and_nothing_is_taken_away_at_20_columns() {
    markdown(20);
}

#[test]
fn without_colour_an_answer_has_no_styles() {
    let home = Home::new();
    home.server.on("look", Reply::words(&[ANSWER]));
    let mut pty = home.start(80);
    pty.type_keys("look\r");
    pty.wait_part("|---|");
    assert!(!pty.cell("strong").bold());
    let raw = String::from_utf8_lossy(&pty.raw).into_owned();
    assert!(!raw.contains("\x1b[1m"), "{raw:?}");
    pty.type_keys("/quit\r");
    assert_eq!(pty.end(), 0);
}

#[test]
fn reasoning_is_dim_and_can_be_folded() {
    let home = Home::new();
    for _ in 0..2 {
        home.server.next(Reply::thinking(&["let me ", "see"], &["the ", "answer"]));
    }
    let mut pty = colored(&home, 80);
    pty.type_keys("why\r");
    pty.wait_row("the answer");
    assert!(pty.cell("let me see").dim() && !pty.cell("the answer").dim());
    pty.type_keys("/set reasoning hide\r");
    pty.wait_part("reasoning");
    pty.type_keys("again\r");
    let rows = pty.wait("the answer", |rows| count(rows, "the answer") == 2);
    assert_eq!(rows.iter().filter(|row| row.contains("let me see")).count(), 1, "{rows:#?}");
    let folded = rows.iter().rposition(|row| row.starts_with("[thought")).unwrap();
    assert!(rows[folded].contains("/set reasoning dim"), "{rows:#?}");
    pty.type_keys("/quit\r");
    assert_eq!(pty.end(), 0);
}

#[test]
fn the_bell_rings_for_who_looks_elsewhere() {
    let home = Home::with("[ui]\nalert = \"bell\"\nalert_after = \"100ms\"\n");
    let gate = Gate::default();
    home.server.on("slow", Reply::words(&["one"]).gate(&gate));
    let mut pty = home.start(80);
    pty.type_keys("slow\r");
    // Nobody presses a key for as long as it takes to see this.
    pty.wait_part("1 s");
    assert!(!pty.raw.contains(&7));
    gate.open();
    pty.wait_bytes(b"\x07");
    pty.type_keys("/set alert osc9\r");
    pty.wait_part("osc9");
    let again = Gate::default();
    home.server.on("more", Reply::words(&["two\x1b[2J"]).gate(&again));
    pty.type_keys("more\r");
    pty.wait("the time", |rows| rows.last().is_some_and(|row| row.contains("1 s")));
    again.open();
    pty.wait_bytes(b"\x1b]9;[1 main] done");
    pty.type_keys("/quit\r");
    assert_eq!(pty.end(), 0);
}

#[test]
fn plain_mode_writes_whole_rows_says_signs_in_words_and_nothing_twice() {
    let home = Home::new();
    let gate = home.gated("slow", &["one\n", "two"]);
    let mut pty = Pty::spawn(cells(24, 80), home.command(&["--plain"]));
    pty.wait_last("1:main>");
    pty.type_keys("hello\n");
    pty.wait_row("echo: hello");
    let rows = pty.wait_last("1:main>");
    assert_eq!(rows.iter().filter(|row| row.contains("1:main> hello")).count(), 1, "{rows:#?}");
    pty.type_keys("slow\n");
    gate.release(1);
    pty.wait_row("one");
    pty.type_keys("/new two\n");
    pty.wait_row("session 2:two");
    pty.wait_last("(1 is answering) 2:two>");
    gate.open();
    pty.wait_part("[1 main] done");
    pty.type_keys("/sessions\n");
    pty.wait_row("1:main  fake:m  idle, an answer is unseen");
    pty.wait_row("2:two   fake:m  idle, you are here");
    pty.wait_last("(1 has an answer) 2:two>");
    pty.type_keys("/edit\n");
    pty.wait_part("needs a terminal");
    pty.type_keys("/quit\n");
    let raw = String::from_utf8_lossy(&pty.raw).into_owned();
    assert!(!raw.contains(['\x1b', '\x08', '\u{2500}', '…']), "{raw:?}");
    assert_eq!(pty.end(), 0);
}

/// Who comes back in the middle of a fence sees code, and prose behind it.
#[test]
fn styles_go_on_where_one_left() {
    let home = Home::new();
    let text = ["intro\n", "```rust\n", "let one = 1;\n", "let two", " = 2;\n", "```\n", "and **prose**"];
    let gate = home.gated("code", &text);
    let mut pty = colored(&home, 80);
    pty.type_keys("code\r");
    gate.release(4);
    pty.wait_row("let two");
    assert_ne!(pty.cell("let two").fgcolor(), Color::Default);
    pty.type_keys("/new two\r");
    pty.wait_last("[1~] 2:two>");
    gate.open();
    pty.wait_part("[1 main] done");
    pty.type_keys("\x0c/1\r");
    pty.wait_row("and **prose**");
    assert!(pty.cell("```").dim(), "it closes the fence");
    assert!(pty.cell("prose").bold());
    pty.type_keys("/quit\r");
    assert_eq!(pty.end(), 0);
}
