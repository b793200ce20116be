//! While one waits something moves: behind the line, from Enter to the first word, while a model thinks, before another attempt.

use crate::home::Home;
use crate::pty::{Pty, cells, still};
use crate::server::{Gate, Reply};

/// Waits until what moves says `part`, behind `line`.
fn wait_moving(pty: &mut Pty, line: &str, part: &str) -> String {
    let seen = |row: &String| row.contains(part) && still(row) == line && row.as_str() != line;
    let rows = pty.wait(part, |rows| rows.last().is_some_and(seen));
    rows.last().unwrap()[line.len()..].to_owned()
}

/// Waits until it says something else than `before`: with another sign or another time.
fn wait_other(pty: &mut Pty, line: &str, before: &str) {
    let other = |row: &String| still(row) == line && row.len() > line.len() && row[line.len()..] != *before;
    pty.wait("that it moves", |rows| rows.last().is_some_and(other));
}

#[test]
fn from_enter_to_the_first_word_the_time_is_shown_and_typing_goes_on() {
    let home = Home::new();
    let gate = Gate::default();
    home.server.next(Reply::words(&["one ", "two"]).gate_headers(&gate));
    let mut pty = home.start(80);
    pty.type_keys("hello\r");
    let first = wait_moving(&mut pty, "1:main>", " s");
    wait_other(&mut pty, "1:main>", &first);
    assert!(first.starts_with("  ") && first.len() < 12, "{first:?}");
    pty.type_keys("typed ahead 日本");
    wait_moving(&mut pty, "1:main> typed ahead 日本", " s");
    // At the end of the row there is no room, and no other row is taken.
    pty.type_keys(&"x".repeat(55));
    let full = format!("1:main> typed ahead 日本{}", "x".repeat(55));
    let rows = pty.wait("a full row", |rows| rows.last() == Some(&full));
    assert!(rows[rows.len() - 2].starts_with("1:main> hello"), "{rows:#?}");
    pty.type_keys("\x15");
    wait_moving(&mut pty, "1:main>", " s");
    gate.open();
    pty.wait_row("one two");
    let rows = pty.wait("the end", |rows| rows.last().is_some_and(|row| row == "1:main>"));
    assert!(!rows.iter().any(|row| row != still(row)), "nothing of it is left: {rows:#?}");
    pty.type_keys("/quit\r");
    assert_eq!(pty.end(), 0);
}

#[test]
fn a_narrow_terminal_has_the_time_alone() {
    let home = Home::new();
    let gate = Gate::default();
    home.server.next(Reply::thinking(&["hm"], &["one"]).gate(&gate));
    let mut pty = home.start(20);
    pty.type_keys("hello\r");
    gate.release(1);
    pty.wait_row("[thinking] hm");
    let said = wait_moving(&mut pty, "1:main>", " s");
    assert!(!said.contains("thinks"), "{said:?}");
    gate.open();
    pty.wait_row("one");
    pty.type_keys("/quit\r");
    assert_eq!(pty.end(), 0);
}

#[test]
fn a_model_that_thinks_and_one_that_falls_silent_say_so() {
    let home = Home::new();
    let gate = Gate::default();
    home.server.next(Reply::thinking(&["hm"], &["one ", "two"]).gate(&gate));
    let mut pty = home.start(80);
    pty.type_keys("hello\r");
    gate.release(1);
    wait_moving(&mut pty, "1:main>", "thinks, ");
    gate.release(1);
    wait_moving(&mut pty, "1:main>", "silent for ");
    gate.open();
    pty.wait_row("one two");
    pty.wait("the end", |rows| rows.last().is_some_and(|row| row == "1:main>"));
    pty.type_keys("/quit\r");
    assert_eq!(pty.end(), 0);
}

/// Ten seconds, which are the contract's: what is waited for is the sign.
#[test]
fn who_is_silent_and_alive_is_said_to_think_whichever_session_is_looked_at() {
    let shown = [(80, "typed 日本 ahead"), (40, "日本")].map(|(columns, line)| {
        let home = Home::new();
        let mut pty = home.start(columns);
        pty.type_keys("/new two\r/model demo:echo?first=1h&alive=1\rhello\r/bg again\r");
        pty.wait_part(", 1 ahead");
        pty.type_keys(line);
        (home, pty, line)
    });
    for (_home, mut pty, line) in shown {
        let said = |row: &String, line: &str| row.contains("thinks, ") && still(row).ends_with(line);
        let seen = |rows: &[String], line: &str| rows.last().is_some_and(|row| said(row, line));
        pty.wait("that it thinks", |rows| seen(rows, line));
        pty.type_keys("\x15/1\r");
        pty.wait("session 1", |rows| rows.last().is_some_and(|row| row.ends_with("1:main>")));
        pty.type_keys("/2\r");
        pty.wait("that it thinks still", |rows| seen(rows, "2:two>"));
        pty.type_keys("/stop\r/drop all\r/quit\r");
        assert_eq!(pty.end(), 0);
    }
}

#[test]
fn another_attempt_is_counted_down_to_and_so_is_a_gate() {
    let home = Home::new();
    let busy = || Reply::status(429, r#"{"error":{"message":"slow down"}}"#).header("retry-after", "30");
    home.server.next(busy());
    let mut pty = home.start(80);
    pty.type_keys("hello\r");
    pty.wait_part("retrying in");
    let first = wait_moving(&mut pty, "1:main>", "tries again (2 of 2) in ");
    wait_other(&mut pty, "1:main>", &first);
    // Another session waits for the same provider.
    pty.type_keys("/new two\r");
    pty.wait("session 2", |rows| rows.last().is_some_and(|row| row.trim_start().starts_with("2:two>")));
    pty.type_keys("and here\r");
    pty.wait("the gate", |rows| rows.last().is_some_and(|row| row.contains("asked to wait, still 2")));
    pty.type_keys("/stop\r/quit\r");
    assert_eq!(pty.end(), 0);
}

/// What moves is in no row's way: rustyline does not know of it, so it erases none for it.
#[test]
fn a_narrower_window_and_a_search_take_no_row_away_while_one_waits() {
    let home = Home::new();
    let gate = Gate::default();
    home.server.on("slow", Reply::words(&["one ", "two ", "three"]).gate(&gate));
    let mut pty = home.start(80);
    for n in 0..5 {
        pty.type_keys(&format!("/echo mark {n}\r"));
        pty.wait_row(&format!("mark {n}"));
    }
    pty.type_keys("slow\r");
    wait_moving(&mut pty, "1:main>", " s");
    let marks = |rows: &[String]| (0..5).filter(|n| rows.contains(&format!("mark {n}"))).count();
    // Narrow enough that prompt and field would not fit one row.
    pty.resize(cells(24, 30));
    let narrow = wait_moving(&mut pty, "1:main>", " s");
    wait_other(&mut pty, "1:main>", &narrow);
    assert_eq!(marks(&pty.rows()), 5, "{:#?}", pty.rows());
    // rustyline has learned of the width when the next turn of the sign is drawn.
    pty.resize(cells(24, 80));
    let wide = wait_moving(&mut pty, "1:main>", " s");
    wait_other(&mut pty, "1:main>", &wide);
    gate.release(1);
    pty.wait_row("one");
    assert_eq!(marks(&pty.rows()), 5, "{:#?}", pty.rows());
    pty.type_keys("\x12mark\x12\x12zzz");
    let rows = pty.wait_part("(failed reverse-i-search)");
    assert_eq!(marks(&rows), 5, "{rows:#?}");
    pty.type_keys("\x07");
    pty.wait_last("1:main>");
    pty.type_keys("\x1b1");
    pty.wait_part("(arg: 1)");
    pty.type_keys("x");
    pty.wait_last("1:main> x");
    gate.open();
    let rows = pty.wait_part("three");
    assert_eq!(marks(&rows), 5, "{rows:#?}");
    pty.type_keys("\x15/quit\r");
    assert_eq!(pty.end(), 0);
}

/// A list after one Tab, a lone Esc: the answer goes on by itself.
#[test]
fn neither_one_tab_nor_a_lone_escape_holds_an_answer_back() {
    let home = Home::new();
    let gate = home.gated("slow", &["one ", "two ", "three ", "four"]);
    let mut pty = home.start(80);
    pty.type_keys("slow\r");
    gate.release(1);
    pty.wait_row("one");
    pty.type_keys("/set \t");
    pty.wait_part("reasoning");
    gate.release(1);
    // Below the list, and the row before it stands once.
    let rows = pty.wait_row("two");
    assert_eq!(rows.iter().filter(|row| row.as_str() == "one").count(), 1, "{rows:#?}");
    pty.type_keys("\x03\x1b");
    gate.release(1);
    pty.wait_row("two three");
    gate.open();
    pty.wait_row("two three four");
    pty.type_keys("/quit\r");
    assert_eq!(pty.end(), 0);
}
