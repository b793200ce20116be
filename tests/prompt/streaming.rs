//! Typing while an answer streams, and ending it.

use crate::home::{Home, count, numbers, pieces, words};
use crate::pty::cells;
use crate::server::Reply;

#[test]
fn the_demo_answers_on_a_fresh_machine() {
    let home = Home::new();
    let mut pty = home.start_with(80, &["-m", "demo:tour"]);
    let rows = pty.rows();
    assert!(!rows.iter().any(|row| row.starts_with("──")), "nothing was missed: {rows:#?}");
    pty.type_keys("hello\r");
    pty.wait_row("1:main> hello");
    pty.wait_part("You wrote: “hello”.");
    pty.type_keys("\x03");
    pty.wait_row("[interrupted]");
    pty.type_keys("\x04");
    assert_eq!(pty.end(), 0);
}

#[test]
fn a_line_typed_ahead_stays_whole_is_queued_and_is_answered() {
    let home = Home::new();
    let all = words('a', 40);
    let gate = home.gated("first", &pieces(&all));
    let mut pty = home.start(40);
    pty.type_keys("first\r");
    gate.release(3);
    pty.wait_part("a2.");
    for (n, key) in "the second one 日本語".chars().enumerate() {
        pty.type_keys(&key.to_string());
        gate.release(1);
        pty.wait_part(&format!("a{}.", n + 3));
    }
    pty.wait_last("1:main> the second one 日本語");
    pty.type_keys("\r");
    // It is echoed with its acknowledgement, above the row that is being written.
    let rows = pty.wait_row("queued #2, 1 ahead");
    let at = rows.iter().position(|row| row == "queued #2, 1 ahead").unwrap();
    assert_eq!(rows[at - 1], "1:main> the second one 日本語", "{rows:#?}");
    assert!(rows[at + 1].contains("a19."), "{rows:#?}");
    pty.wait_last("1:main>");
    gate.open();
    pty.wait_part("echo: the second one 日本語");
    pty.wait_last("1:main>");
    let rows = pty.all_rows();
    // And again where its turn begins.
    assert_eq!(count(&rows, "1:main> the second one 日本語"), 2, "{rows:#?}");
    assert_eq!(numbers(&rows, 'a'), (0..40).collect::<Vec<_>>(), "{rows:#?}");
    pty.type_keys("/quit\r");
    assert_eq!(pty.end(), 0);
}

#[test]
fn ctrl_c_ends_the_answer_keeps_what_came_and_the_next_message_is_answered() {
    let home = Home::new();
    let gate = home.gated("long", &["one ", "two ", "three"]);
    let mut pty = home.start(80);
    pty.type_keys("long\r");
    gate.release(2);
    pty.wait_row("one two");
    // Text in the line: that is cleared, and nothing is ended.
    pty.type_keys("typed");
    pty.wait_last("1:main> typed");
    pty.type_keys("\x03");
    pty.wait_last("1:main>");
    assert_eq!(home.server.open(), 1);
    pty.type_keys("\x03");
    pty.wait_row("[interrupted]");
    home.server.wait_open(0);
    pty.type_keys("next\r");
    let rows = pty.wait_row("echo: next");
    assert_eq!((count(&rows, "one two"), count(&rows, "[interrupted]")), (1, 1), "{rows:#?}");
    // Its last word is on the screen before its end is committed.
    pty.type_keys("/wait\r");
    pty.wait_row("all is answered");
    pty.type_keys("\x03");
    pty.wait_part("Ctrl-D or /quit leaves");
    let sent = home.server.requests().last().unwrap().turns();
    assert_eq!(sent[1].1.trim_end(), "one two", "the model gets the partial: {sent:?}");
    pty.type_keys("/quit\r");
    assert_eq!(pty.end(), 0);
}

#[test]
fn messages_wait_in_order_and_ctrl_c_holds_them() {
    let home = Home::new();
    let gate = home.gated("running", &["one ", "two"]);
    let mut pty = home.start(80);
    pty.type_keys("running\rsecond\rthird\r");
    gate.release(1);
    pty.wait_row("queued #3, 2 ahead");
    pty.wait_row("one");
    pty.type_keys("\x03");
    pty.wait_part("is held: /resume 1 goes on");
    pty.type_keys("/resume\r");
    pty.wait_row("echo: third");
    let rows = pty.all_rows();
    let order: Vec<_> = ["1:main> running", "one", "[interrupted]", "1:main> second", "echo: second", "1:main> third"]
        .iter()
        .map(|row| rows.iter().rposition(|r| r == row).unwrap_or_else(|| panic!("no {row:?}: {rows:#?}")))
        .collect();
    assert!(order.is_sorted(), "{rows:#?}");
    pty.type_keys("/quit\r");
    assert_eq!(pty.end(), 0);
}

#[test]
fn reasoning_stands_apart_from_the_answer() {
    let home = Home::new();
    home.server.next(Reply::thinking(&["let me ", "see"], &["the ", "answer"]));
    let mut pty = home.start(80);
    pty.type_keys("why\r");
    let rows = pty.wait("the answer", |rows| rows.ends_with(&["the answer".into(), "1:main>".into()]));
    assert!(rows.ends_with(&["[thinking] let me see", "", "the answer", "1:main>"].map(String::from)), "{rows:#?}");
    pty.type_keys("/quit\r");
    assert_eq!(pty.end(), 0);
}

#[test]
fn a_new_width_in_mid_stream_loses_nothing() {
    let home = Home::new();
    let all = words('a', 60);
    let gate = home.gated("first", &pieces(&all));
    let mut pty = home.start(40);
    pty.type_keys("first\r");
    gate.release(15);
    pty.wait_part("a14.");
    pty.resize(cells(24, 60));
    gate.release(15);
    pty.wait_part("a29.");
    pty.resize(cells(30, 100));
    gate.open();
    pty.wait_part("a59.");
    let rows = pty.all_rows();
    assert_eq!(numbers(&rows, 'a'), (0..60).collect::<Vec<_>>(), "{rows:#?}");
    pty.type_keys("after\r");
    pty.wait_row("echo: after");
    pty.type_keys("/quit\r");
    assert_eq!(pty.end(), 0);
}

/// A notice is shown behind what came before it: several frames' worth in one.
#[test]
fn a_retry_is_said_below_its_question() {
    let home = Home::new();
    home.server.next(Reply::status(503, r#"{"error":{"message":"busy"}}"#));
    let mut pty = home.start(80);
    pty.type_keys("again\r");
    let rows = pty.wait_row("echo: again");
    let at = |part: &str| rows.iter().position(|row| row.contains(part)).unwrap();
    assert!(at("1:main> again") < at("retrying in"), "{rows:#?}");
    assert!(at("retrying in") < at("echo: again"), "{rows:#?}");
    pty.type_keys("/quit\r");
    assert_eq!(pty.end(), 0);
}

#[test]
fn what_is_held_or_dropped_says_so() {
    let home = Home::new();
    let mut pty = home.start(80);
    pty.type_keys("/hold\r");
    pty.wait_row("the queue of session 1 is held: /resume 1 goes on");
    pty.type_keys("/queue\r");
    pty.wait_row("nothing waits, runs or has failed; the queue is held, /resume 1 goes on");
    pty.type_keys("first\r");
    pty.wait_row("#1 waits: the queue of session 1 is held, /resume 1 goes on");
    pty.type_keys("/resume #1\r");
    pty.wait_row("the queue of session 1 is held, /resume 1 goes on");
    pty.type_keys("/hold #1\r/resume #1\r");
    pty.wait_part("#1 is not held by itself any more, but the queue of session 1 is held");
    pty.type_keys("/drop 1 99\r");
    pty.wait_part("error: no message #99 waits: /queue all lists what does; none");
    pty.type_keys("/drop 1\r");
    pty.wait_row("#1 is cancelled");
    pty.type_keys("/model demo:echo?fail=400\r/resume\rfails\r");
    pty.wait_row("[failed: 400 as the demo was asked to fail]");
    pty.type_keys("/drop 2\r");
    pty.wait_row("#2 is forgotten");
    pty.type_keys("/model fake:m\r");
    pty.wait_row("[1 main] model fake:m");
    pty.type_keys("second\r");
    pty.wait_row("echo: second");
    // An archived session is held; where nothing waits, coming back is enough to go on.
    pty.type_keys("/new two\r");
    pty.wait_last("2:two>");
    pty.type_keys("/close 1\r");
    pty.wait_row("[1 main] closed");
    pty.type_keys("/1\r");
    pty.wait_last("1:main>");
    pty.type_keys("third\r");
    pty.wait_row("echo: third");
    pty.type_keys("/quit\r");
    assert_eq!(pty.end(), 0);
}

/// A terminal that takes nothing (Ctrl-S in the window, a slow line) costs frames and no stream.
#[test]
fn a_terminal_that_takes_nothing_stalls_no_stream() {
    let home = Home::new();
    // More than the pty and this test's own buffers hold.
    let big: Vec<String> = (0..100).map(|n| format!("{} w{n}.\n", "語".repeat(2_500))).collect();
    home.server.on("much", Reply::words(&pieces(&big)));
    let mut pty = home.start(80);
    pty.type_keys("much\r");
    home.server.wait_requests(1);
    // Nobody looks at the screen, and the answer is whole all the same.
    home.server.wait_open(0);
    pty.wait_part("w99.");
    pty.wait_last("1:main>");
    pty.type_keys("next\r");
    pty.wait_row("echo: next");
    pty.type_keys("/quit\r");
    assert_eq!(pty.end(), 0);
}

/// A typed text may end in a row that is empty yet.
#[test]
fn a_line_end_that_was_just_typed_doubles_nothing() {
    let home = Home::new();
    let all = words('a', 30);
    let gate = home.gated("first", &pieces(&all));
    let mut pty = home.start(40);
    pty.type_keys("first\r");
    gate.release(3);
    pty.wait_part("a2.");
    pty.type_keys("one two\n");
    pty.wait("the second row", |rows| rows.last().is_some_and(|row| row == "1:main> one two"));
    for n in 3..20 {
        gate.release(1);
        pty.wait_part(&format!("a{n}."));
    }
    pty.type_keys("three");
    pty.wait_last("three");
    gate.open();
    pty.wait_part("a29.");
    pty.wait_last("three");
    let rows = pty.all_rows();
    assert_eq!(numbers(&rows, 'a'), (0..30).collect::<Vec<_>>(), "{rows:#?}");
    assert_eq!(count(&rows, "1:main> one two"), 1, "{rows:#?}");
    pty.type_keys("\r");
    assert_eq!(home.server.wait_requests(2)[1].last_user(), "one two\nthree");
    pty.type_keys("/quit\r");
    assert_eq!(pty.end(), 0);
}
