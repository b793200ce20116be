//! The terminal in a real pty. This test binary runs itself as the child: a small program over `ui::start` that answers lines
//! with frames. The parent types, and waits for what an emulated screen shows; it never waits for a guess of time.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use portable_pty::{CommandBuilder, PtySize};

mod child;
#[path = "../support/pty.rs"]
mod pty;
mod random;

use pty::{Pty, cells};

/// Set in the child.
const CHILD: &str = "CHATMUX_TEST_TERMINAL_CHILD";
/// Where the shell of a test finds this binary.
const COMMAND: &str = "CHATMUX_TEST_TERMINAL_COMMAND";

fn start(columns: u16) -> Pty {
    start_sized(cells(24, columns))
}

fn start_sized(size: PtySize) -> Pty {
    let mut pty = Pty::spawn(size, child_command());
    pty.wait_last("1:main>");
    pty
}

fn child_command() -> CommandBuilder {
    let mut command = CommandBuilder::new(std::env::current_exe().unwrap());
    command.args(["--exact", "as_child", "--nocapture", "--test-threads=1", "--quiet"]);
    command.env(CHILD, "1");
    command
}

/// Not a test of its own: what the others run in a pty.
#[test]
fn as_child() {
    if std::env::var_os(CHILD).is_some() {
        child::run();
    }
}

fn at(rows: &[String], row: &str) -> usize {
    rows.iter().position(|r| r == row).unwrap_or_else(|| panic!("no {row:?} in\n{}", rows.join("\n")))
}

#[test]
fn a_line_is_echoed_once_and_answered() {
    let mut pty = start(80);
    pty.type_keys("hello\r");
    let rows = pty.wait("the answer", |rows| rows.ends_with(&["you said \"hello\"".into(), "1:main>".into()]));
    assert_eq!(rows.iter().filter(|row| row.contains("hello")).count(), 2, "{rows:#?}");
    assert_eq!(at(&rows, "1:main> hello") + 1, at(&rows, "you said \"hello\""));
    pty.type_keys("\x04");
    pty.wait_row("bye");
    pty.end();
}

#[test]
fn typing_and_streaming_do_not_disturb_each_other() {
    let mut pty = start(40);
    pty.type_keys("stream 60\r");
    pty.wait("the stream", |rows| rows.iter().any(|row| row.starts_with("word0 ")));
    for key in "type ahead".chars() {
        pty.type_keys(&key.to_string());
    }
    let rows = pty.wait("the end", |rows| {
        rows.iter().any(|row| row.ends_with("word59")) && rows.last().is_some_and(|row| row == "1:main> type ahead")
    });
    let from = at(&rows, "1:main> stream 60") + 1;
    let streamed = rows[from..rows.len() - 1].join(" ");
    let expected: Vec<String> = (0..60).map(|n| format!("word{n}")).collect();
    assert_eq!(streamed, expected.join(" "));
    pty.type_keys("\x03\x04");
    pty.end();
}

/// Readlines end all the time while tokens flow: the gate must let no print go astray.
#[test]
fn many_lines_during_a_stream_leave_every_word_in_its_place() {
    let size = cells(90, 60);
    let mut pty = start_sized(size);
    pty.type_keys("stream 200\r");
    pty.wait("the stream", |rows| rows.iter().any(|row| row.starts_with("word0 ")));
    for n in 0..40 {
        pty.type_keys(&format!("note {n}\r"));
        pty.wait_row(&format!("note {n}"));
    }
    let rows = pty.wait("the end", |rows| {
        rows.iter().any(|row| row.ends_with("word199")) && rows.last().is_some_and(|row| row == "1:main>")
    });
    let notes: Vec<&String> = rows.iter().filter(|row| row.starts_with("note ")).collect();
    assert_eq!(notes, (0..40).map(|n| format!("note {n}")).collect::<Vec<_>>().iter().collect::<Vec<_>>());
    let from = at(&rows, "1:main> stream 200") + 1;
    let words: Vec<&str> = rows[from..rows.len() - 1]
        .iter()
        .filter(|row| !row.starts_with("note "))
        .flat_map(|row| row.split(' '))
        .collect();
    assert_eq!(words, (0..200).map(|n| format!("word{n}")).collect::<Vec<_>>(), "{rows:#?}");
    pty.type_keys("\x04");
    pty.end();
}

#[test]
fn lines_typed_ahead_in_one_go_keep_their_order_and_are_all_there() {
    let mut pty = start(80);
    let lines: Vec<String> = (0..8).map(|n| format!("line{n}")).collect();
    pty.type_keys(&(lines.join("\r") + "\rrest"));
    pty.wait_row("you said \"line7\"");
    let rows = pty.wait_last("1:main> rest");
    let questions: Vec<&str> = rows.iter().filter_map(|row| row.strip_prefix("1:main> ")).collect();
    let mut expected: Vec<&str> = lines.iter().map(String::as_str).collect();
    expected.push("rest");
    // All that fits the screen of it.
    assert!(expected.ends_with(&questions), "{rows:#?}");
    assert!(questions.len() > 5, "{rows:#?}");
    pty.type_keys("\x03\x04");
    pty.end();
}

#[test]
fn keys_switch_in_the_middle_of_a_line_and_the_draft_is_there_on_return() {
    let mut pty = start(80);
    pty.type_keys("half a thou\x18\x32");
    pty.wait_row("── 2:s2 ──");
    let rows = pty.wait("session 2", |rows| rows.last().is_some_and(|row| row.trim() == "2:s2>"));
    assert!(!rows.iter().any(|row| row.contains("half")), "the draft's rows are erased: {rows:#?}");
    // F1, as xterm sends it.
    pty.type_keys("\x1bOP");
    pty.wait("the draft", |rows| rows.last().is_some_and(|row| row.trim() == "1:main> half a thou"));
    pty.type_keys("ght\x1ba");
    pty.wait_row("Attention \"half a thought\"");
    pty.type_keys("\x1b[1;3D");
    pty.wait_row("Previous \"half a thought\"");
    pty.type_keys("\x1b[1;3C");
    pty.wait_row("Next \"half a thought\"");
    pty.type_keys("\r");
    pty.wait_row("you said \"half a thought\"");
    pty.type_keys("\x04");
    pty.end();
}

#[test]
fn ctrl_c_clears_a_line_and_tells_on_an_empty_one() {
    let mut pty = start(80);
    pty.type_keys("nonsense");
    pty.wait_last("1:main> nonsense");
    pty.type_keys("\x03");
    let rows = pty.wait_last("1:main>");
    assert!(!rows.iter().any(|row| row.contains("interrupted")));
    pty.type_keys("\x03");
    pty.wait_row("interrupted \"\"");
    pty.type_keys("x\x04\x7f\x04");
    pty.wait_row("bye");
    pty.end();
}

#[test]
fn texts_of_several_lines_stay_one_message() {
    let mut pty = start(80);
    let check = |pty: &mut Pty, keys: &str, said: &str| {
        pty.type_keys(keys);
        pty.wait_row(&format!("you said {said:?}"));
    };
    check(&mut pty, "\x1b[200~pasted\rtext \\\rend\x1b[201~\r", "pasted\ntext \\\nend");
    check(&mut pty, "one\ntwo\r", "one\ntwo");
    check(&mut pty, "three\x1b\rfour\r", "three\nfour");
    check(&mut pty, "five\\\rsix\r", "five\nsix");
    check(&mut pty, "\"\"\"\rseven\reight\r\"\"\"\r", "seven\neight");
    pty.type_keys("\x04");
    pty.end();
}

#[test]
fn the_prompt_changes_while_it_is_open() {
    let mut pty = start(80);
    pty.type_keys("activity 2\rtyped");
    // Nothing was reserved in the first line: the sign stands where the blank was.
    pty.wait_last("1:main!>typed");
    pty.type_keys("\x18\x32");
    pty.wait("session 2", |rows| rows.last().is_some_and(|row| row.trim() == "2:s2>"));
    pty.type_keys("activity 3\rmore");
    pty.wait_last("[3!] 2:s2> more");
    pty.type_keys("\x03\x04");
    pty.end();
}

#[test]
fn a_list_of_completions_does_not_tear_the_stream() {
    let mut pty = start(60);
    pty.type_keys("stream 40\r");
    pty.wait("the stream", |rows| rows.iter().any(|row| row.starts_with("word0 ")));
    pty.type_keys("/al\t\t");
    pty.wait("the list", |rows| rows.iter().any(|row| row.starts_with("/alpha")));
    let rows = pty.wait("the end", |rows| rows.iter().any(|row| row.ends_with("word39")));
    let all = rows.join(" ");
    assert!((0..40).all(|n| all.contains(&format!("word{n}"))), "{rows:#?}");
    pty.type_keys("\x03");
    pty.wait_last("1:main>");
    pty.type_keys("/b\t");
    pty.wait_last("1:main> /beta NAME");
    pty.type_keys("\x03\x04");
    pty.end();
}

#[test]
fn a_narrow_terminal_and_a_new_width_are_usable() {
    let mut pty = start(20);
    pty.type_keys("a line that takes three rows of it\r");
    pty.wait("the answer", |rows| rows.iter().any(|row| row.contains("it\"")));
    let rows = pty.wait_last("1:main>");
    assert_eq!(rows.iter().filter(|row| row.contains("1:main> a line")).count(), 1, "{rows:#?}");
    pty.resize(cells(24, 60));
    pty.type_keys("now it is wider, and has room\r");
    pty.wait_row("you said \"now it is wider, and has room\"");
    pty.type_keys("\x04");
    pty.end();
}

#[test]
fn ctrl_z_gives_the_terminal_to_the_shell_and_fg_takes_it_again() {
    let size = cells(24, 100);
    let mut shell = CommandBuilder::new("bash");
    shell.args(["--norc", "--noprofile", "-i"]);
    shell.env("PS1", "sh$ ");
    shell.env(COMMAND, std::env::current_exe().unwrap());
    shell.env(CHILD, "1");
    let mut pty = Pty::spawn(size, shell);
    pty.wait_last("sh$");
    pty.type_keys(&format!("\"${COMMAND}\" --exact as_child --nocapture --test-threads=1 --quiet\r"));
    pty.wait_last("1:main>");
    pty.type_keys("kept\x1a");
    pty.wait_last("sh$");
    pty.type_keys("fg\r");
    pty.wait_last("1:main> kept");
    pty.type_keys(" line\r");
    pty.wait_row("you said \"kept line\"");
    pty.type_keys("\x04");
    pty.wait_last("sh$");
    pty.type_keys("exit\r");
    pty.end();
}

#[test]
fn a_dumb_terminal_gets_whole_rows() {
    let size = cells(24, 80);
    let mut command = child_command();
    command.env("TERM", "dumb");
    let mut pty = Pty::spawn(size, command);
    pty.wait_last("1:main>");
    pty.type_keys("hello\n");
    let rows = pty.wait_row("you said \"hello\"");
    assert!(!rows.iter().any(|row| row.contains('␛')), "{rows:#?}");
    pty.type_keys("\x04");
    pty.wait_row("bye");
    pty.end();
}

#[test]
fn leaving_while_a_line_is_open_gives_the_terminal_back() {
    let mut pty = start(80);
    pty.type_keys("leave\r");
    pty.wait_row("leaving 0");
    pty.end();
}

#[test]
fn a_panic_gives_the_terminal_back() {
    let mut pty = start(80);
    pty.type_keys("panic\r");
    pty.wait("the panic", |rows| rows.iter().any(|row| row.contains("as asked")));
    pty.end();
}
