//! Typed lines that keys bring back: apart for each session, together where one wants that, and there again after a restart.

use crate::home::Home;
use crate::pty::Pty;

const CTRL_UP: &str = "\x1b[1;5A";
const CTRL_DOWN: &str = "\x1b[1;5B";
/// As rxvt sends it.
const RXVT_CTRL_UP: &str = "\x1bOa";
const ALT_UP: &str = "\x1b[1;3A";
const UP: &str = "\x1b[A";
const DOWN: &str = "\x1b[B";

/// Waits for that prompt with that line. What it says of other sessions depends on whether their answers ended before one left.
fn wait_line(pty: &mut Pty, line: &str) {
    pty.wait(line, |rows| rows.last().is_some_and(|row| row.ends_with(line)));
}

#[test]
fn lines_of_two_sessions_are_apart_and_survive_a_restart() {
    let home = Home::new();
    let mut pty = home.start(60);
    pty.type_keys("apple pie\r");
    pty.wait_row("echo: apple pie");
    pty.type_keys(" no secret\r");
    pty.wait_row("echo:  no secret");
    pty.type_keys("/new two\r");
    wait_line(&mut pty, "2:two>");
    pty.type_keys(UP);
    pty.type_keys("apricot\r");
    pty.wait_row("echo: apricot");
    pty.type_keys("/quit\r");
    assert_eq!(pty.end(), 0);

    let mut pty = home.start(60);
    wait_line(&mut pty, "2:two>");
    pty.type_keys(UP);
    wait_line(&mut pty, "2:two> /quit");
    pty.type_keys(UP);
    wait_line(&mut pty, "2:two> apricot");
    // There is nothing before it.
    pty.type_keys(UP);
    pty.type_keys("s\r");
    pty.wait_row("echo: apricots");
    // What a key takes along as a draft was not sent: no history, here or there.
    pty.type_keys("a draft\x181");
    wait_line(&mut pty, "1:main>");
    pty.type_keys(UP);
    wait_line(&mut pty, "1:main> /new two");
    pty.type_keys(UP);
    wait_line(&mut pty, "1:main> apple pie");
    pty.type_keys(DOWN);
    pty.type_keys(DOWN);
    wait_line(&mut pty, "1:main>");
    // The search finds only what was typed here: nothing with `apri`.
    pty.type_keys("\x12ap");
    pty.wait_part("(reverse-i-search)`ap': apple pie");
    pty.type_keys("r");
    pty.wait_part("(failed reverse-i-search)`apr': apple pie");
    // Ctrl-G leaves it, with the line as it was.
    pty.type_keys("\x07");
    wait_line(&mut pty, "1:main>");
    pty.type_keys("\x12secret");
    pty.wait_part("(failed reverse-i-search)`secret':");
    pty.type_keys("\x07");
    wait_line(&mut pty, "1:main>");
    pty.type_keys(CTRL_UP);
    wait_line(&mut pty, "1:main> apricots");
    pty.type_keys("\x15\x182");
    wait_line(&mut pty, "2:two> a draft");
    pty.type_keys(UP);
    wait_line(&mut pty, "2:two> apricots");
    pty.type_keys("\x15/quit\r");
    assert_eq!(pty.end(), 0);
}

#[test]
fn ctrl_up_walks_what_was_typed_everywhere() {
    let home = Home::new();
    let mut pty = home.start(60);
    pty.type_keys("one\r");
    pty.wait_row("echo: one");
    pty.type_keys("/new two\r");
    wait_line(&mut pty, "2:two>");
    pty.type_keys("two\r");
    pty.wait_row("echo: two");
    wait_line(&mut pty, "2:two>");
    pty.type_keys("half");
    for (key, line) in [
        (CTRL_UP, "two"),
        (RXVT_CTRL_UP, "/new two"),
        (ALT_UP, "one"),
        (CTRL_DOWN, "/new two"),
        (CTRL_DOWN, "two"),
        (CTRL_DOWN, "half"),
    ] {
        pty.type_keys(key);
        wait_line(&mut pty, &format!("2:two> {line}"));
    }
    // A step is undone as one, and nothing was killed: Ctrl-Y has nothing to give.
    pty.type_keys(CTRL_UP);
    wait_line(&mut pty, "2:two> two");
    pty.type_keys("\x1f");
    wait_line(&mut pty, "2:two> half");
    pty.type_keys("\x19!");
    wait_line(&mut pty, "2:two> half!");
    pty.type_keys("\x15");
    wait_line(&mut pty, "2:two>");
    pty.type_keys(&CTRL_UP.repeat(3));
    wait_line(&mut pty, "2:two> one");
    pty.type_keys(" more\r");
    pty.wait_row("echo: one more");
    pty.type_keys(CTRL_UP);
    wait_line(&mut pty, "2:two> one more");
    pty.type_keys("\x15/quit\r");
    assert_eq!(pty.end(), 0);
}

#[test]
fn what_was_refused_is_there_all_the_same() {
    let home = Home::with("[queue]\nmax_pending = 1\n");
    let gate = home.gated("long", &["part ", "rest"]);
    let mut pty = home.start(60);
    pty.type_keys("long\r");
    gate.release(1);
    pty.wait_row("part");
    pty.type_keys("waits\r");
    pty.wait_part("queued #2");
    pty.type_keys("refused\r");
    pty.wait_part("is full");
    wait_line(&mut pty, "1:main> refused");
    pty.type_keys("\x15/quitt\r");
    pty.wait_part("/quitt");
    wait_line(&mut pty, "1:main>");
    pty.type_keys(UP);
    wait_line(&mut pty, "1:main> /quitt");
    pty.type_keys(UP);
    wait_line(&mut pty, "1:main> refused");
    gate.open();
    pty.wait_row("echo: waits");
    pty.type_keys("\x15/quit\r");
    assert_eq!(pty.end(), 0);
}

#[test]
fn the_keys_are_the_same_in_vi_mode() {
    let home = Home::with("[ui]\nedit_mode = \"vi\"\n");
    let mut pty = home.start(60);
    pty.type_keys("one\r");
    pty.wait_row("echo: one");
    pty.type_keys("/new two\r");
    wait_line(&mut pty, "2:two>");
    pty.type_keys(&CTRL_UP.repeat(2));
    wait_line(&mut pty, "2:two> one");
    pty.type_keys(CTRL_DOWN);
    wait_line(&mut pty, "2:two> /new two");
    pty.type_keys(CTRL_DOWN);
    wait_line(&mut pty, "2:two>");
    // This session has nothing of its own yet.
    pty.type_keys(UP);
    pty.type_keys("two\r");
    pty.wait_row("echo: two");
    pty.type_keys(UP);
    wait_line(&mut pty, "2:two> two");
    pty.type_keys("\x03");
    wait_line(&mut pty, "2:two>");
    pty.type_keys("/quit\r");
    assert_eq!(pty.end(), 0);
}
