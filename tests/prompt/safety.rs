//! What must not reach the terminal or a model, and terminals that can do less.

use crate::home::{Home, count};
use crate::pty::{Pty, cells};
use crate::server::Reply;

#[test]
fn control_characters_of_an_answer_are_shown_and_not_obeyed() {
    let home = Home::new();
    home.server.next(Reply::words(&[
        "red \x1b[31",
        "mtext \x1b]0;title\x07",
        "\x1b[2J",
        " bell\x07 back\x08 csi\u{9b}2J",
    ]));
    home.server.on("fails", Reply::status(400, r#"{"error":{"message":"bad \u001b[2J\u0007 thing"}}"#));
    let mut pty = home.start(80);
    pty.type_keys("show\r");
    let rows = pty.wait("the answer", |rows| rows.iter().any(|row| row.contains(" csi")));
    let row = rows.iter().find(|row| row.starts_with("red ")).unwrap();
    assert!(row.contains("␛[31mtext ␛]0;title"), "{row}");
    pty.type_keys("fails\r");
    let failed = |row: &String| row.starts_with("[failed: 400 bad ␛[2J") && row.contains("thing (http://");
    let rows = pty.wait("the error", |rows| rows.iter().any(failed));
    assert!(rows.iter().any(|row| row.starts_with("1:main> show")), "nothing was cleared: {rows:#?}");
    pty.type_keys("/rename bad\x16\x1bname\r");
    pty.wait_part("error: ");
    for forbidden in ["\x1b[31m", "\x1b]0;", "\x1b[2J", "\x07 back"] {
        let raw = String::from_utf8_lossy(&pty.raw).into_owned();
        assert!(!raw.contains(forbidden), "{forbidden:?} reached the terminal");
    }
    pty.type_keys("\x15/quit\r");
    assert_eq!(pty.end(), 0);
}

#[test]
fn a_message_that_is_refused_stays_in_the_line() {
    let home = Home::with("[queue]\nmax_pending = 1\n");
    let gate = home.gated("work", &["one ", "two"]);
    let mut pty = home.start(80);
    pty.type_keys("work\r");
    gate.release(1);
    pty.wait_row("one");
    pty.type_keys("second\r");
    pty.wait_row("queued #2, 1 ahead");
    pty.type_keys("third\r");
    pty.wait_part("error: ");
    pty.wait_last("1:main> third");
    gate.open();
    pty.wait_row("echo: second");
    pty.type_keys("\r");
    pty.wait_row("echo: third");
    pty.type_keys("/quit\r");
    assert_eq!(pty.end(), 0);
}

#[test]
fn a_mistyped_command_is_an_error_and_is_not_sent() {
    let home = Home::new();
    let mut pty = home.start(80);
    pty.type_keys("/nwe two\r");
    let rows = pty.wait_part("did you mean /new");
    assert_eq!(count(&rows, "1:main> /nwe two"), 1, "{rows:#?}");
    pty.type_keys("//nwe\r");
    pty.wait_row("echo: /nwe");
    assert_eq!(home.server.requests().len(), 1);
    pty.type_keys("/quit\r");
    assert_eq!(pty.end(), 0);
}

#[test]
fn a_paste_of_several_lines_is_one_message() {
    let home = Home::new();
    let mut pty = home.start(80);
    pty.type_keys("\x1b[200~one\rtwo\r\rthree\x1b[201~");
    pty.wait_last("three");
    pty.type_keys("\r");
    pty.wait_row("echo: one");
    let requests = home.server.wait_requests(1);
    assert_eq!(requests[0].last_user(), "one\ntwo\n\nthree");
    pty.wait_last("1:main>");
    pty.type_keys("/quit\r");
    assert_eq!(pty.end(), 0);
    assert_eq!(home.server.requests().len(), 1);
}

#[test]
fn a_line_longer_than_the_screen_is_wide_is_echoed_once() {
    let home = Home::new();
    let mut pty = home.start(20);
    let line: Vec<String> = (0..12).map(|n| format!("word{n}語")).collect();
    pty.type_keys(&format!("{}\r", line.join(" ")));
    pty.wait("the answer", |rows| rows.concat().matches("word11語").count() == 2);
    let rows = pty.wait_last("1:main>");
    for word in &line {
        let all: String = rows.concat().chars().filter(|c| !c.is_whitespace()).collect();
        assert_eq!(all.matches(word.as_str()).count(), 2, "{word}: {rows:#?}");
    }
    pty.type_keys("/quit\r");
    assert_eq!(pty.end(), 0);
}

#[test]
fn a_dumb_terminal_gets_plain_rows() {
    let home = Home::new();
    let mut command = home.command(&[]);
    command.env("TERM", "dumb");
    plain(&home, Pty::spawn(cells(24, 80), command));
}

#[test]
fn stdout_that_is_no_terminal_gets_plain_rows() {
    let home = Home::new();
    let chatmux = home.command(&[]);
    let mut shell = portable_pty::CommandBuilder::new("/bin/sh");
    shell.env_clear();
    for (name, value) in chatmux.iter_full_env_as_str() {
        shell.env(name, value);
    }
    shell.cwd(chatmux.get_cwd().unwrap());
    let words: Vec<_> = chatmux.get_argv().iter().map(|word| word.to_str().unwrap()).collect();
    shell.args(["-c", &format!("{} | cat", words.join(" "))]);
    plain(&home, Pty::spawn(cells(24, 80), shell));
}

fn plain(home: &Home, mut pty: Pty) {
    home.server.on("hello", Reply::words(&["one ", "two\n", "three"]));
    pty.wait_last("1:main>");
    pty.type_keys("hello\n");
    pty.wait_row("one two");
    pty.wait_row("three");
    pty.wait_last("1:main>");
    pty.type_keys("/new two\n");
    pty.wait_last("2:two>");
    pty.type_keys("\x04");
    // Only what gives the terminal back may be there.
    let raw = String::from_utf8_lossy(&pty.raw).into_owned();
    assert!(!raw.contains('\x1b'), "{raw:?}");
    assert_eq!(pty.end(), 0);
}
