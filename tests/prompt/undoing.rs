//! `/undo` at the prompt: the message is in the line again.

use crate::home::{Home, count};
use crate::server::Logged;

#[test]
fn what_is_taken_back_is_in_the_line_again() {
    let home = Home::new();
    let mut pty = home.start(60);
    for line in ["first", "//second"] {
        pty.type_keys(&format!("{line}\r"));
        pty.wait_row(&format!("echo: {}", line.replace("//", "/")));
    }
    // The last word on the screen is not the end of the turn yet.
    pty.type_keys("/wait\r");
    pty.wait_row("all is answered");
    pty.type_keys("/undo\r");
    pty.wait_last("1:main> //second");
    pty.wait_row("#2 is taken back");
    pty.type_keys("!\r");
    pty.wait_row("echo: /second!");
    let turns = home.server.requests()[2].turns();
    let texts: Vec<_> = turns.iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!(texts, ["first", "echo: first", "/second!"]);
    // It is not shown once more where one comes back.
    pty.type_keys("/new two\r/1\r");
    pty.wait_last("1:main>");
    let rows = pty.all_rows();
    assert_eq!(count(&rows, "echo: /second"), 1, "{rows:#?}");
    pty.type_keys("/quit\r");
    assert_eq!(pty.end(), 0);
}

#[test]
fn what_waits_is_in_the_line_again_and_not_sent() {
    let home = Home::new();
    let gate = home.gated("long", &["part ", "rest"]);
    let mut pty = home.start(60);
    pty.type_keys("long\r");
    gate.release(1);
    pty.wait_row("part");
    pty.type_keys("waits\r");
    pty.wait_part("queued #2");
    pty.type_keys("/undo\r");
    pty.wait_last("1:main> waits");
    pty.type_keys("\x15/undo\r");
    pty.wait_part("#1 is being answered: /cancel ends it first");
    gate.open();
    pty.wait_row("part rest");
    pty.type_keys("fence\r");
    pty.wait_row("echo: fence");
    let asked: Vec<_> = home.server.requests().iter().map(Logged::last_user).collect();
    assert_eq!(asked, ["long", "fence"]);
    pty.type_keys("/quit\r");
    assert_eq!(pty.end(), 0);
}
