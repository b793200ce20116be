//! Every way out: what is asked, what is kept, and how the terminal is left.

use nix::sys::signal::Signal;

use crate::home::Home;

#[test]
fn ctrl_d_asks_once_while_work_goes_on() {
    let home = Home::new();
    let gate = home.gated("work", &["one ", "two"]);
    let mut pty = home.start(80);
    pty.type_keys("work\r");
    gate.release(1);
    pty.wait_row("one");
    pty.type_keys("more\r");
    pty.wait_row("queued #2, 1 ahead");
    pty.type_keys("\x04");
    pty.wait_part("1 answer is under way and 1 message waits: Ctrl-D again leaves");
    pty.type_keys("\x04");
    assert_eq!(pty.end(), 0);

    // The partial is kept, and what waited is held.
    let mut pty = home.start(80);
    pty.wait_row("1 message waits, held (1 main): /resume all sends it, /queue all lists it");
    pty.type_keys("/history\r");
    pty.wait("the partial", |rows| rows.iter().filter(|row| row.starts_with("[interrupted")).count() >= 1);
    pty.wait_row("one");
    pty.type_keys("/resume\r");
    pty.wait_row("echo: more");
    pty.type_keys("/quit\r");
    assert_eq!(pty.end(), 0);
}

fn ended_by(signal: Signal) {
    let home = Home::new();
    let gate = home.gated("work", &["one ", "two"]);
    let mut pty = home.start(80);
    pty.type_keys("work\r");
    gate.release(1);
    pty.wait_row("one");
    pty.type_keys("unfinished");
    pty.wait_last("1:main> unfinished");
    pty.signal(signal);
    assert_eq!(pty.end(), 128 + signal as u32);

    let mut pty = home.start(80);
    pty.wait_last("1:main> unfinished");
    pty.type_keys("\x15/history\r");
    pty.wait_row("one");
    pty.type_keys("/quit\r");
    assert_eq!(pty.end(), 0);
}

#[test]
fn sigterm_saves_and_gives_the_terminal_back() {
    ended_by(Signal::SIGTERM);
}

#[test]
fn sighup_saves_and_gives_the_terminal_back() {
    ended_by(Signal::SIGHUP);
}

#[test]
fn sigint_from_elsewhere_is_ctrl_c() {
    let home = Home::new();
    let gate = home.gated("work", &["one ", "two"]);
    let mut pty = home.start(80);
    pty.type_keys("work\r");
    gate.release(1);
    pty.wait_row("one");
    pty.signal(Signal::SIGINT);
    pty.wait_row("[interrupted]");
    pty.wait_last("1:main>");
    pty.type_keys("/quit\r");
    assert_eq!(pty.end(), 0);
}

#[test]
fn a_window_that_is_closed_ends_it_and_all_is_saved() {
    let home = Home::new();
    let gate = home.gated("work", &["one ", "two"]);
    let mut pty = home.start(80);
    pty.type_keys("work\r");
    gate.release(1);
    pty.wait_row("one");
    pty.type_keys("half a li");
    pty.wait_last("1:main> half a li");
    // One more key, to wake its reader.
    pty.hang_up();
    home.server.wait_open(0);
    let mut pty = home.start(80);
    // What hangs up may type a line end before, which then is the line's; Ctrl-C clears all of it.
    pty.wait_last("1:main> half a lix");
    pty.type_keys("\x03/history\r");
    pty.wait_row("one");
    pty.wait_part("[interrupted");
    pty.type_keys("/quit\r");
    assert_eq!(pty.end(), 0);
}
