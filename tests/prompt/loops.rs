//! Auto-reply loops and broken answers as a person at the prompt meets them.

use crate::home::Home;
use crate::server::{End, Reply};

fn asked(home: &Home) -> Vec<String> {
    home.server.requests().iter().map(crate::server::Logged::last_user).collect()
}

#[test]
fn ctrl_c_ends_an_auto_reply_and_its_loop() {
    let home = Home::new();
    let gate = home.gated("go on", &["one ", "two"]);
    let mut pty = home.start(80);
    pty.type_keys("hello\r");
    pty.wait_row("echo: hello");
    pty.type_keys("/auto go on\r");
    gate.release(1);
    pty.wait_row("one");
    pty.type_keys("\x03");
    pty.wait_row("[interrupted]");
    pty.type_keys("fence\r");
    pty.wait_row("echo: fence");
    pty.type_keys("/auto\r");
    pty.wait_row("no auto-reply here: /auto TEXT begins one");
    pty.type_keys("/quit\r");
    assert_eq!(pty.end(), 0);
    assert_eq!(asked(&home), ["hello", "go on", "fence"]);
}

#[test]
fn what_is_typed_goes_before_the_next_auto_reply() {
    let home = Home::with("[auto_reply]\nstop_on_repeat = false\n");
    let gate = home.gated("go on", &["one ", "two"]);
    let mut pty = home.start(80);
    pty.type_keys("hello\r");
    pty.wait_row("echo: hello");
    pty.type_keys("/auto --max 2 go on\r");
    gate.release(1);
    pty.wait_row("one");
    pty.type_keys("typed\r");
    pty.wait_part("queued #3, 1 ahead");
    gate.open();
    pty.wait_part("auto-reply ended after 2 of 2: no more are allowed (--max)");
    pty.type_keys("/quit\r");
    assert_eq!(pty.end(), 0);
    assert_eq!(asked(&home), ["hello", "go on", "typed", "go on"]);
}

#[test]
fn an_answer_that_broke_off_in_the_background_is_marked_and_can_be_continued() {
    let home = Home::new();
    home.server.once("tell", Reply::words(&["half "]).end(End::Truncated));
    let mut pty = home.start(80);
    pty.type_keys("/new two\r");
    pty.wait_last("2:two>");
    pty.type_keys("/switch 1\r");
    pty.wait_last("1:main>");
    pty.type_keys("/send 2 tell\r");
    pty.wait_last("[2!] 1:main>");
    pty.type_keys("/switch 2\r");
    pty.wait_row("half");
    pty.wait_last("2:two>");
    home.server.on("", Reply::words(&["half ", "and half"]));
    pty.type_keys("/continue\r");
    pty.wait_part("and half");
    pty.type_keys("/quit\r");
    assert_eq!(pty.end(), 0);
    assert_eq!(home.server.requests().len(), 2);
}

#[test]
fn an_answer_that_was_cut_says_so_and_goes_on_below_without_its_beginning() {
    let home = Home::new();
    home.server.once("tell", Reply::words(&["```\nlet half = 1;\n"]).end(End::Stopped("length")));
    let mut pty = home.start(80);
    pty.type_keys("tell\r");
    pty.wait_row("[cut at 1 token: /continue]");
    pty.wait_last("1:main>");
    home.server.on("", Reply::words(&["let rest = 2;\n```\nthat is all"]));
    pty.type_keys("/continue\r");
    pty.wait_row("that is all");
    pty.wait_last("1:main>");
    pty.type_keys("/quit\r");
    let (code, rows) = pty.end_with_rows();
    assert_eq!(code, 0);
    let count = |part: &str| rows.iter().filter(|row| row.contains(part)).count();
    assert_eq!((count("let half"), count("let rest"), count("> tell")), (1, 1, 1), "{rows:#?}");
    assert_eq!(home.server.requests().len(), 2);
}
