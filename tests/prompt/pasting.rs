//! Long texts in the line: pasted, kept as a draft, changed in an editor.

use crate::home::{Home, count};
use crate::pty::Pty;

fn lines(count: usize) -> String {
    (0..count).map(|n| format!("line {n} of it")).collect::<Vec<_>>().join("\r")
}

fn paste(pty: &mut Pty, text: &str) {
    pty.type_keys(&format!("\x1b[200~{text}\x1b[201~"));
}

#[test]
fn a_long_paste_is_one_sign_in_the_line_and_one_message() {
    let home = Home::new();
    let gate = home.gated("work", &["one ", "two"]);
    let mut pty = home.start(40);
    pty.type_keys("work\r");
    gate.release(1);
    pty.wait_row("one");
    pty.type_keys("look: ");
    paste(&mut pty, &lines(42));
    pty.wait_last("1:main> look: [42 lines]");
    pty.type_keys(" well?\r");
    let rows = pty.wait_row("queued #2, 1 ahead");
    let echo = ["1:main> look: line 0 of it", "line 1 of it", "line 2 of it", "[42 lines]", "queued #2, 1 ahead"];
    assert!(rows.windows(5).any(|rows| rows == echo), "{rows:#?}");
    assert_eq!(count(&rows, "line 3 of it"), 0, "{rows:#?}");
    gate.open();
    let whole = format!("look: {} well?", lines(42).replace('\r', "\n"));
    assert_eq!(home.server.wait_requests(2)[1].last_user(), whole);
    pty.type_keys("/quit\r");
    assert_eq!(pty.end(), 0);
}

#[test]
fn keys_in_a_paste_are_text() {
    let home = Home::new();
    let mut pty = home.start(80);
    // Tab, Enter, Ctrl-C, Ctrl-D, F2, Ctrl-X 2, Ctrl-J: none of them does anything.
    paste(&mut pty, "/he\tlp\r\x03\x04\x1bOQ\x182\x0athe end");
    pty.wait_last("the end");
    pty.type_keys("\x03");
    pty.wait_last("1:main>");
    pty.type_keys("\x1b[200~\x1b[201~after\r");
    pty.wait_row("echo: after");
    assert_eq!(home.server.requests().len(), 1);
    // A paste whose end got lost does not take the keys for ever.
    pty.type_keys("\x1b[200~lost \x03\x03\x03");
    pty.wait_last("1:main> lost");
    pty.type_keys("and found\r");
    pty.wait_row("echo: lost and found");
    pty.type_keys("/quit\r");
    assert_eq!(pty.end(), 0);
}

#[test]
fn a_folded_draft_is_whole_after_a_switch_and_after_a_restart() {
    let home = Home::new();
    let mut pty = home.start(80);
    pty.type_keys("/new two\r");
    pty.wait_last("2:two>");
    pty.type_keys("see ");
    paste(&mut pty, &lines(12));
    pty.wait_last("2:two> see [12 lines]");
    pty.type_keys("\x1bOP");
    pty.wait_last("1:main>");
    pty.type_keys("/quit\r");
    assert_eq!(pty.end(), 0);
    let mut pty = home.start_with(80, &["-s", "two"]);
    // All of it is the long text now.
    pty.wait_last("2:two> [12 lines]");
    pty.type_keys("\r");
    let whole = format!("see {}", lines(12).replace('\r', "\n"));
    assert_eq!(home.server.wait_requests(1)[0].last_user(), whole);
    pty.type_keys("/quit\r");
    assert_eq!(pty.end(), 0);
}

#[test]
fn a_sign_that_was_killed_is_yanked_with_what_it_stands_for() {
    let home = Home::new();
    let mut pty = home.start(80);
    paste(&mut pty, &lines(12));
    pty.wait_last("1:main> [12 lines]");
    pty.type_keys("\x15first\r");
    pty.wait_row("echo: first");
    pty.type_keys("\x19");
    pty.wait_last("1:main> [12 lines]");
    pty.type_keys("\r");
    assert_eq!(home.server.wait_requests(2)[1].last_user(), lines(12).replace('\r', "\n"));
    pty.type_keys("/quit\r");
    assert_eq!(pty.end(), 0);
}

#[test]
fn a_paste_that_is_longer_than_a_message_may_be_is_refused_and_the_line_stays() {
    let home = Home::new();
    let mut pty = home.start(80);
    pty.type_keys("kept ");
    paste(&mut pty, &"x".repeat((4 << 20) + 1));
    pty.wait_part("error: a paste of more than 4 MiB is no message");
    pty.wait_last("1:main> kept");
    pty.type_keys("line\r");
    pty.wait_row("echo: kept line");
    pty.type_keys("/quit\r");
    assert_eq!(pty.end(), 0);
}

#[test]
fn the_line_is_changed_in_the_editor_while_an_answer_streams() {
    let home = Home::new();
    let gate = home.gated("work", &["one ", "two ", "three"]);
    // It waits for the test, as one waits for a person.
    let mut pty = home.start_with_editor("echo editing; read answer </dev/tty; printf ' and %s' \"$answer\" >>");
    pty.type_keys("work\r");
    gate.release(1);
    pty.wait_row("one");
    pty.type_keys("half a line\x18\x05");
    // The terminal is the editor's: its own echo shows what is typed, and nothing is printed over it.
    let rows = pty.wait_row("editing");
    assert!(!rows.iter().any(|row| row.contains("half")), "{rows:#?}");
    gate.release(1);
    pty.type_keys("more\n");
    pty.wait_last("1:main> half a line and more");
    // The row that was being written stays above what the editor left, and goes on below it.
    let rows = pty.wait_row("two");
    assert_eq!(count(&rows, "one"), 1, "{rows:#?}");
    pty.type_keys("\r");
    pty.wait_row("queued #2, 1 ahead");
    gate.open();
    pty.wait_row("echo: half a line and more");
    pty.type_keys("/quit\r");
    assert_eq!(pty.end(), 0);
}

#[test]
fn an_editor_that_fails_leaves_the_line() {
    let home = Home::new();
    let mut pty = home.start_with_editor("/no/such/editor");
    pty.type_keys("half a line\x18\x05");
    pty.wait_part("EDITOR to one that works");
    pty.wait_last("1:main> half a line");
    pty.type_keys("\r");
    pty.wait_row("echo: half a line");
    pty.type_keys("/quit\r");
    assert_eq!(pty.end(), 0);
}

#[test]
fn a_paste_that_is_not_utf_8_sends_nothing_and_the_line_stays() {
    let home = Home::new();
    let mut pty = home.start(80);
    pty.type_keys("kept ");
    // More than the editor reads at once: what is behind the wrong byte are no keys of anybody.
    let mut bytes = b"\x1b[200~first\r\xff".to_vec();
    bytes.extend_from_slice(lines(300).as_bytes());
    bytes.extend_from_slice(b"\x1b[201~");
    pty.type_keys(&bytes);
    pty.wait_part("error: what was pasted is not UTF-8");
    pty.wait_last("1:main> kept");
    pty.type_keys("line\r");
    pty.wait_row("echo: kept line");
    assert_eq!(home.server.requests().len(), 1);
    pty.type_keys("/quit\r");
    assert_eq!(pty.end(), 0);
}

#[test]
fn what_an_editor_left_does_not_drive_the_terminal() {
    let home = Home::new();
    let mut pty = home.start_with_editor("printf 'a\\033[2Jb\\rc' >");
    pty.type_keys("half a line\x18\x05");
    pty.wait_last("1:main> a␛[2Jb␍c");
    pty.type_keys("\r");
    pty.wait_row("echo: a␛[2Jb␍c");
    pty.type_keys("/quit\r");
    assert_eq!(pty.end(), 0);
}

#[test]
fn a_command_that_is_refused_and_too_long_for_the_history_stays_in_the_line() {
    let home = Home::new();
    let mut pty = home.start(80);
    pty.type_keys("/send nobody ");
    paste(&mut pty, &lines(6_000));
    pty.wait_last("1:main> /send nobody [6000 lines]");
    pty.type_keys("\r");
    pty.wait_part("error: ");
    pty.wait_last("1:main> [6000 lines #2]");
    pty.type_keys("\x03/quit\r");
    assert_eq!(pty.end(), 0);
}

#[test]
fn in_vi_s_command_mode_a_paste_is_text_too() {
    let home = Home::with("[ui]\nedit_mode = \"vi\"\n");
    let mut pty = home.start(80);
    // An escape, and one to the left.
    pty.type_keys("ab\x1bh");
    paste(&mut pty, "555-1234 dd \x077");
    pty.wait_last("1:main> a555-1234 dd 7b");
    pty.type_keys("\x03i/quit\r");
    assert_eq!(pty.end(), 0);
}

#[test]
fn backspace_takes_a_sign_whole_and_yank_brings_it_back() {
    let home = Home::new();
    let mut pty = home.start(80);
    pty.type_keys("see ");
    paste(&mut pty, &lines(12));
    pty.wait_last("1:main> see [12 lines]");
    // Backspace, Ctrl-W, and Delete before it.
    for keys in ["\x7f", "\x17", "\x1b[D".repeat(10).as_str()] {
        pty.type_keys(keys);
        if keys.len() > 1 {
            pty.type_keys("\x1b[3~");
        }
        pty.wait_last("1:main> see");
        pty.type_keys("\x19");
        pty.wait_last("1:main> see [12 lines]");
    }
    pty.type_keys("\r");
    let whole = format!("see {}", lines(12).replace('\r', "\n"));
    assert_eq!(home.server.wait_requests(1)[0].last_user(), whole);
    pty.type_keys("/quit\r");
    assert_eq!(pty.end(), 0);
}

/// One long line would take the whole screen: it is folded too.
#[test]
fn a_paste_that_would_fill_the_screen_is_folded() {
    let home = Home::new();
    let mut pty = home.start(40);
    paste(&mut pty, &"word ".repeat(200));
    pty.wait_last("1:main> [1 line, 1.0 KB]");
    pty.type_keys("\r");
    assert_eq!(home.server.wait_requests(1)[0].last_user(), "word ".repeat(200));
    pty.type_keys("/quit\r");
    assert_eq!(pty.end(), 0);
}
