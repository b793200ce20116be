//! `/undo` and `/edit` at the prompt: the message is in the line again, or in the editor.

use crate::home::{Home, count};
use crate::server::Logged;

fn asked(home: &Home) -> Vec<String> {
    home.server.requests().iter().map(Logged::last_user).collect()
}

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
    assert_eq!(asked(&home), ["long", "fence"]);
    pty.type_keys("/quit\r");
    assert_eq!(pty.end(), 0);
}

#[test]
fn what_was_answered_is_changed_in_the_editor_and_sent_anew() {
    let home = Home::new();
    let mut pty = home.start_with_editor("printf ' better' >>");
    pty.type_keys("first\r");
    pty.wait_row("echo: first");
    pty.type_keys("second\r");
    pty.wait_row("echo: second");
    pty.type_keys("/wait\r");
    pty.wait_row("all is answered");
    pty.type_keys("/edit\r");
    pty.wait_row("#2 is taken back");
    pty.wait_row("echo: second better");
    let turns = home.server.requests()[2].turns();
    let texts: Vec<_> = turns.iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!(texts, ["first", "echo: first", "second better"]);
    pty.type_keys("/quit\r");
    assert_eq!(pty.end(), 0);
}

#[test]
fn what_waits_is_changed_where_it_stands() {
    let home = Home::new();
    let gate = home.gated("long", &["part ", "rest"]);
    let mut pty = home.start_with_editor("printf ' better' >>");
    pty.type_keys("long\r");
    gate.release(1);
    pty.wait_row("part");
    pty.type_keys("/edit\r");
    pty.wait_part("#1 is being answered: /cancel ends it first");
    pty.type_keys("waits\r");
    pty.wait_part("queued #2");
    pty.type_keys("/edit\r");
    pty.wait_row("#2 is changed");
    gate.open();
    pty.wait_row("echo: waits better");
    assert_eq!(asked(&home), ["long", "waits better"]);
    pty.type_keys("/quit\r");
    assert_eq!(pty.end(), 0);
}

#[test]
fn what_the_editor_left_alone_or_empty_stays_as_it_was() {
    let home = Home::new();
    for (editor, said) in [
        ("true", "#1 stays as it was"),
        (":>", "#1 stays as it was, for nothing was left of it: /undo takes it back"),
        ("/no/such/editor", "EDITOR to one that works"),
    ] {
        let mut pty = home.start_with_editor(editor);
        if home.server.requests().is_empty() {
            pty.type_keys("hello\r");
            pty.wait_row("echo: hello");
            pty.type_keys("/wait\r");
            pty.wait_row("all is answered");
        }
        pty.type_keys("/edit\r");
        pty.wait_part(said);
        pty.wait_last("1:main>");
        pty.type_keys("/quit\r");
        assert_eq!(pty.end(), 0);
    }
    assert_eq!(asked(&home), ["hello"]);
}

#[test]
fn a_text_that_is_refused_after_the_editor_is_in_the_line() {
    let home = Home::new();
    let gate = home.gated("waits", &["part ", "rest"]);
    let first = home.gated("long", &["some ", "more"]);
    // While it is edited, its turn begins.
    let mut pty = home.start_with_editor("echo editing; read answer </dev/tty; printf ' %s' \"$answer\" >>");
    pty.type_keys("long\r");
    first.release(1);
    pty.wait_row("some");
    pty.type_keys("waits\r");
    pty.wait_part("queued #2");
    pty.type_keys("/edit\r");
    pty.wait_row("editing");
    first.open();
    gate.release(1);
    home.server.wait_requests(2);
    pty.type_keys("better\n");
    pty.wait_part("#2 is being answered: /cancel ends it first");
    pty.wait_last("1:main> waits better");
    gate.open();
    pty.wait_row("part rest");
    pty.type_keys("\x15/quit\r");
    assert_eq!(pty.end(), 0);
}
