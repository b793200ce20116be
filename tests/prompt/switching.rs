//! Several sessions: looking away in mid-stream, coming back, and what says that there is something to see.

use crate::home::{Home, count, numbers, pieces, words};
use crate::server::Reply;

/// Away in mid-stream and back, twice: every word of both sessions is there once, in order.
fn whole_text(columns: u16) {
    let home = Home::new();
    let (all_a, all_b) = (words('a', 60), words('b', 40));
    let (a, b) = (home.gated("first", &pieces(&all_a)), home.gated("second", &pieces(&all_b)));
    let mut pty = home.start(columns);
    pty.type_keys("first\r");
    a.release(13);
    pty.wait_part("a12.");
    pty.type_keys("/new two\r");
    pty.wait_last("[1~] 2:two>");
    pty.type_keys("second\r");
    b.release(11);
    pty.wait_part("b10.");
    a.release(20);
    pty.type_keys("/switch 1\r");
    pty.wait_part("a32.");
    b.release(9);
    a.release(5);
    pty.wait_part("a37.");
    pty.type_keys("/2\r");
    pty.wait_part("b19.");
    b.open();
    pty.wait_part("b39.");
    a.open();
    pty.wait("the notice", |rows| rows.join(" ").contains("[1 main] done, 60 tokens, "));
    pty.type_keys("/switch -\r");
    pty.wait_part("a59.");
    pty.wait_last("1:main>");
    pty.type_keys("/quit\r");
    let (code, rows) = pty.end_with_rows();
    assert_eq!(code, 0);
    assert_eq!(numbers(&rows, 'a'), (0..60).collect::<Vec<_>>(), "{columns} columns: {rows:#?}");
    assert_eq!(numbers(&rows, 'b'), (0..40).collect::<Vec<_>>(), "{columns} columns: {rows:#?}");
    assert_eq!(rows.concat().matches('語').count(), 100, "{columns} columns: {rows:#?}");
}

#[test]
fn every_word_is_there_once_in_80_columns() {
    whole_text(80);
}

#[test]
fn every_word_is_there_once_in_40_columns() {
    whole_text(40);
}

#[test]
fn every_word_is_there_once_in_20_columns() {
    whole_text(20);
}

#[test]
fn keys_switch_in_mid_line_and_drafts_come_back_also_after_a_restart() {
    let home = Home::new();
    let all = words('a', 30);
    let gate = home.gated("first", &pieces(&all));
    let mut pty = home.start(40);
    pty.type_keys("/new two\r");
    pty.wait_last("2:two>");
    pty.type_keys("/1\rfirst\r");
    gate.release(5);
    pty.wait_part("a4.");
    pty.type_keys("half a 日本語");
    pty.wait_last("1:main> half a 日本語");
    pty.type_keys("\x182");
    pty.wait_last("[1~] 2:two>");
    gate.release(10);
    pty.type_keys("other");
    pty.wait_last("[1~] 2:two> other");
    // F1, as xterm sends it.
    pty.type_keys("\x1bOP");
    pty.wait_last("1:main> half a 日本語");
    pty.wait_part("a14.");
    gate.open();
    pty.wait_part("a29.");
    // F2: the other draft.
    pty.type_keys("\x1bOQ");
    // The last word is on the screen before its end is committed: it may end while one looks elsewhere.
    pty.wait("the other draft", |rows| {
        rows.last().is_some_and(|row| ["2:two> other", "[1+] 2:two> other"].contains(&row.trim_start()))
    });
    let rows = pty.all_rows();
    assert_eq!(numbers(&rows, 'a'), (0..30).collect::<Vec<_>>(), "{rows:#?}");
    pty.type_keys("\x15/quit\r");
    assert_eq!(pty.end(), 0);

    let mut pty = home.start_with(40, &["-s", "1"]);
    pty.wait_last("1:main> half a 日本語");
    pty.type_keys("!\r");
    pty.wait_row("echo: half a 日本語!");
    pty.type_keys("/quit\r");
    assert_eq!(pty.end(), 0);
}

#[test]
fn the_activity_field_and_notices_tell_what_happens_elsewhere() {
    let home = Home::new();
    let gate = home.gated("work", &["one ", "two ", "three"]);
    home.server.on("break", crate::server::Reply::status(400, r#"{"error":{"message":"no such thing"}}"#));
    let mut pty = home.start(80);
    pty.type_keys("/new two\r");
    pty.wait_last("2:two>");
    pty.type_keys("work\r");
    gate.release(1);
    pty.wait_row("one");
    pty.type_keys("\x181");
    pty.wait_last("[2~] 1:main>");
    gate.open();
    let rows = pty.wait_last("[2+] 1:main>");
    let done = rows.iter().find(|row| row.starts_with("[2 two] done, 3 tokens, "));
    assert!(done.is_some_and(|row| row.ends_with('s')), "{rows:#?}");
    pty.type_keys("/send 2 break\r");
    let rows = pty.wait_last("[2!] 1:main>");
    let failed = rows.iter().find(|row| row.starts_with("[2 two] failed"));
    assert!(failed.is_some_and(|row| row.contains("no such thing")), "{rows:#?}");
    // Alt-a goes to the one that most wants attention.
    pty.type_keys("\x1ba");
    pty.wait_last("2:two>");
    let rows = pty.wait_part("[failed: ");
    assert!(rows.iter().any(|row| row == "two three"), "what was missed: {rows:#?}");
    pty.type_keys("/quit\r");
    assert_eq!(pty.end(), 0);
}

#[test]
fn more_than_the_buffer_holds_is_cut_and_replay_shows_more() {
    let home = Home::new();
    let mut pty = home.start_with(80, &["-m", "demo:echo?repeat=60000"]);
    pty.type_keys("/new two\r");
    pty.wait_last("2:two>");
    pty.type_keys("/send 1 twenty bytes of text\r");
    pty.wait("the notice", |rows| rows.iter().any(|row| row.starts_with("[1 main] done")));
    pty.type_keys("/1\r");
    pty.wait("the end", |rows| rows.len() == 24 && rows[22].ends_with("bytes of text") && rows[23].trim() == "1:main>");
    let rows = pty.all_rows();
    let cut = rows.iter().find(|row| row.contains("before this not shown: /replay shows all"));
    assert!(cut.is_some_and(|row| row.contains("MiB")), "{rows:#?}");
    let shown: usize = rows.iter().map(|row| row.matches("twenty bytes of text").count()).sum();
    assert!(shown > 100 && shown < 2_000, "{shown} times");
    pty.type_keys("/replay\r");
    pty.type_keys("/echo the end\r");
    pty.wait_row("the end");
    assert!(pty.all_rows().len() > 4_000, "all of it scrolls by");
    pty.type_keys("/quit\r");
    assert_eq!(pty.end(), 0);
}

#[test]
fn what_was_not_seen_before_a_restart_is_replayed_on_return() {
    let home = Home::new();
    let all = words('a', 30);
    let gate = home.gated("first", &pieces(&all));
    let mut pty = home.start(60);
    pty.type_keys("first\r");
    gate.release(10);
    pty.wait_part("a9.");
    pty.type_keys("/new two\r");
    pty.wait_last("[1~] 2:two>");
    gate.open();
    pty.wait_last("[1+] 2:two>");
    let before = pty.all_rows();
    pty.type_keys("/quit\r");
    assert_eq!(pty.end(), 0);

    let mut pty = home.start(60);
    pty.wait_last("[1+] 2:two>");
    pty.type_keys("/1\r");
    pty.wait_part("a29.");
    pty.wait_last("1:main>");
    let after = pty.all_rows();
    let seen = [numbers(&before, 'a'), numbers(&after, 'a')].concat();
    assert_eq!(seen, (0..30).collect::<Vec<_>>(), "{before:#?}\n{after:#?}");
    assert_eq!(count(&after, "── 1:main · new ──"), 1, "{after:#?}");
    pty.type_keys("/quit\r");
    assert_eq!(pty.end(), 0);
}

#[test]
fn two_sessions_that_stream_at_once_do_not_mix() {
    let home = Home::new();
    let (all_a, all_b) = (words('a', 50), words('b', 50));
    let (a, b) = (home.gated("first", &pieces(&all_a)), home.gated("second", &pieces(&all_b)));
    let mut pty = home.start(80);
    pty.type_keys("/new two\r");
    pty.wait_last("2:two>");
    pty.type_keys("/send 1,2 first and second\r");
    home.server.wait_open(2);
    drop((a, b));
    pty.type_keys("\x04");
    pty.wait_part("2 answers are under way: Ctrl-D again leaves");
    pty.type_keys("\x04");
    assert_eq!(pty.end(), 0);
}

#[test]
fn a_long_answer_is_cut_to_its_end_on_return_and_says_how_to_see_all() {
    let home = Home::new();
    let all: Vec<String> = (0..3_000).map(|n| format!("line {n} of it\n")).collect();
    home.server.on("much", Reply::words(&pieces(&all)));
    let mut pty = home.start(80);
    pty.type_keys("/new two\r");
    pty.wait_last("2:two>");
    pty.type_keys("/send 1 much\r");
    pty.wait_part("[1 main] done");
    pty.type_keys("/1\r");
    pty.wait_row("line 2999 of it");
    let rows = pty.all_rows();
    assert_eq!(count(&rows, "── 1:main · new ──"), 1, "{rows:#?}");
    assert!(rows.iter().any(|row| row.ends_with("KiB before this not shown: /replay shows all")), "{rows:#?}");
    let shown: Vec<usize> =
        rows.iter().filter_map(|r| r.strip_prefix("line ")?.split(' ').next()?.parse().ok()).collect();
    assert!(shown.len() > 500 && shown.len() < 1_500, "{}", shown.len());
    assert_eq!(shown, (3_000 - shown.len()..3_000).collect::<Vec<_>>());
    // What was cut is not shown by another return; /replay has all of it.
    pty.type_keys("/2\r/1\r");
    pty.wait("the return", |rows| rows.iter().rev().take(3).any(|row| row == "── 1:main ──"));
    pty.type_keys("/replay\r/echo all\r");
    pty.wait_row("all");
    pty.type_keys("/quit\r");
    let (code, rows) = pty.end_with_rows();
    assert_eq!(code, 0);
    assert!(rows.iter().any(|row| row == "line 0 of it"));
}
