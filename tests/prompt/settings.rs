//! `/set` and `/attach` as a person sees them: lines that a silent session does not print, Tab on files, what is said of them.

use crate::home::{Home, count};

#[test]
fn a_silent_session_prints_no_line_and_shows_its_sign() {
    let home = Home::new();
    let gate = home.gated("slow", &["one ", "two"]);
    let mut pty = home.start(80);
    pty.type_keys("/new two\r");
    pty.wait_last("2:two>");
    pty.type_keys("/set notify none\r");
    pty.wait_row("notify of session 2 is none");
    pty.type_keys("slow\r");
    gate.release(1);
    pty.wait_row("one");
    pty.type_keys("/1\r");
    pty.wait_last("[2~] 1:main>");
    gate.open();
    pty.wait_last("[2+] 1:main>");
    // One that tells, behind it.
    pty.type_keys("/new three\r");
    pty.wait_last("[2+] 3:three>");
    pty.type_keys("/1\r/send 3 quick\r");
    let rows = pty.wait_part("[3 three] done");
    assert!(!rows.iter().any(|row| row.contains("[2 two] done")), "{rows:#?}");
    pty.type_keys("/quit\r");
    assert_eq!(pty.end(), 0);
}

#[test]
fn a_talkative_session_says_that_a_turn_begins() {
    let home = Home::with("[ui]\nnotify = \"all\"\n");
    let mut pty = home.start(80);
    pty.type_keys("/new two\r");
    pty.wait_last("2:two>");
    pty.type_keys("/send 1 hello\r");
    pty.wait_row("[1 main] begins #1");
    pty.wait_part("[1 main] done");
    pty.type_keys("/set\r");
    pty.wait_row("notify     all (default)  all|done|fail|none|default");
    pty.type_keys("/set reasoning hide\r");
    pty.wait_row("reasoning is hide until chatmux ends: ui.reasoning in the configuration keeps it");
    pty.type_keys("/quit\r");
    assert_eq!(pty.end(), 0);
}

#[test]
fn tab_completes_files_to_attach_and_to_name() {
    let home = Home::new();
    home.file("notes/my first.txt", "first\n");
    home.file("notes/second.txt", "second\n");
    let mut pty = home.start(100);
    pty.type_keys("/attach no\t");
    pty.wait_last("1:main> /attach notes/");
    pty.type_keys("m\t");
    pty.wait_last("1:main> /attach notes/my\\ first.txt");
    pty.type_keys("\r");
    pty.wait_row("attached notes/my first.txt, 6 B: goes along with the next message");
    pty.type_keys("what is in @notes/s\t");
    pty.wait_last("1:main> what is in @notes/second.txt");
    // What goes along is not missed.
    pty.type_keys(" and @notes/my\\ f\t");
    pty.wait_last("1:main> what is in @notes/second.txt and @notes/my\\ first.txt");
    pty.type_keys("?\r");
    pty.wait_part("only the name of notes/second.txt was sent: /attach notes/second.txt sends what is in it");
    // Asked, and echoed by the model.
    let asked = "what is in @notes/second.txt and @notes/my\\ first.txt?";
    pty.wait("the question and the answer", |rows| count(rows, asked) == 2);
    let rows = pty.wait_row("echo: File: notes/my first.txt");
    assert_eq!(count(&rows, "1:main> [file notes/my first.txt]"), 1, "{rows:#?}");
    let sent = home.server.requests()[0].last_user();
    assert_eq!(sent, format!("File: notes/my first.txt\n```\nfirst\n```\n\n{asked}"));
    pty.type_keys("/quit\r");
    assert_eq!(pty.end(), 0);
}

#[test]
fn a_list_that_was_paged_through_holds_nothing_back() {
    let home = Home::new();
    for n in 0..90 {
        home.file(&format!("many/{n:02}-{}", "x".repeat(40)), "");
    }
    let gate = home.gated("work", &["one ", "two ", "three"]);
    let mut pty = home.start(80);
    pty.type_keys("work\r");
    gate.release(1);
    pty.wait_row("one");
    pty.type_keys("/attach many/\t\t");
    pty.wait_part("--More--");
    // Enter shows a row more, until all are there: it ends no line.
    let more = "\r".repeat(90 - 23);
    pty.type_keys(&more);
    pty.wait_last("1:main> /attach many/");
    gate.release(1);
    // Below the list, which broke its row off.
    pty.wait_row("two");
    gate.open();
    pty.type_keys("\x03/quit\r");
    assert_eq!(pty.end(), 0);
}
