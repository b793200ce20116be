//! A disk that is full while somebody types: the line stays where it was, the trouble is said once, and all goes on when there is
//! space again. Ends from outside do not wait for it.

use nix::sys::signal::Signal;
use portable_pty::CommandBuilder;

use crate::home::{Home, count};
use crate::machine_faults::{Disk, Faults};
use crate::pty::{Pty, cells};

/// chatmux on a machine with faults.
fn start(home: &Home) -> (Pty, Faults) {
    let faults = Faults::new(&home.path(""), &home.path("chat.db"));
    let mut command: CommandBuilder = home.command(&[]);
    faults.environment().into_iter().for_each(|(name, value)| command.env(name, value));
    let mut pty = Pty::spawn(cells(24, 240), command);
    pty.wait_last("1:main>");
    (pty, faults)
}

#[test]
fn what_is_refused_stays_in_the_line() {
    for disk in Disk::ALL {
        let home = Home::new();
        let (mut pty, faults) = start(&home);
        pty.type_keys("before\r");
        pty.wait_row("echo: before");
        faults.disk(disk);
        pty.type_keys("not yet");
        pty.wait_last("1:main> not yet");
        pty.type_keys("\r");
        // Wherever its row is broken.
        let said = disk.said().replace(' ', "");
        pty.wait("the trouble", |rows| rows.concat().replace(' ', "").contains(&said));
        pty.wait_last("1:main> not yet");
        faults.mend();
        pty.type_keys("\r");
        pty.wait_row("echo: not yet");
        pty.type_keys("/quit\r");
        assert_eq!(pty.end(), 0, "{disk:?}");
    }
}

#[test]
fn what_is_typed_on_a_full_disk_is_complained_of_once() {
    let home = Home::new();
    let (mut pty, faults) = start(&home);
    faults.disk(Disk::Full);
    let mut line = "1:main> ".to_owned();
    for key in ["a", "b", "c"] {
        let before = faults.hits();
        pty.type_keys(key);
        line += key;
        pty.wait_last(&line);
        // What stands in the line is to be kept.
        faults.wait_hits_since(before, 1);
    }
    faults.mend();
    pty.type_keys("\r");
    pty.wait_row("echo: abc");
    pty.type_keys("/quit\r");
    let (code, rows) = pty.end_with_rows();
    assert_eq!((code, rows.iter().filter(|row| row.contains("cannot grow")).count()), (0, 1), "{rows:?}");
}

#[test]
fn a_stream_is_shown_while_the_disk_is_full() {
    let home = Home::new();
    let gate = home.gated("work", &["one\n", "two\n", "three"]);
    let (mut pty, faults) = start(&home);
    pty.type_keys("work\r");
    gate.release(1);
    pty.wait_row("one");
    faults.disk(Disk::Full);
    gate.release(1);
    pty.wait_row("two");
    pty.wait_part("tried again every second");
    faults.wait_hits(5);
    gate.open();
    pty.wait_row("three");
    faults.mend();
    let rows = pty.wait_part("the database takes what comes again: all of it is kept");
    assert_eq!((count(&rows, "one"), count(&rows, "two")), (1, 1));
    pty.type_keys("next\r");
    pty.wait_row("echo: next");
    pty.type_keys("/quit\r");
    let (code, rows) = pty.end_with_rows();
    assert_eq!((code, rows.iter().filter(|row| row.contains("tried again")).count()), (0, 1));
}

#[test]
fn signals_end_it_while_the_disk_is_full() {
    for signal in [Signal::SIGTERM, Signal::SIGHUP] {
        let home = Home::new();
        let gate = home.gated("work", &["one\n", "two"]);
        let (mut pty, faults) = start(&home);
        pty.type_keys("work\r");
        gate.release(1);
        pty.wait_row("one");
        faults.disk(Disk::Full);
        pty.signal(signal);
        assert_eq!(pty.end(), 128 + signal as u32);
        faults.mend();
        let mut pty = home.start(80);
        pty.type_keys("/history\r");
        pty.wait_part("[interrupted");
        pty.type_keys("/quit\r");
        assert_eq!(pty.end(), 0);
    }
}

/// Whatever the clock says, no length of time is negative, and what waits goes on.
#[test]
fn a_clock_that_is_set_while_one_waits() {
    let home = Home::new();
    let gates: Vec<_> = (0..3).map(|nth| home.gated(&format!("work {nth}"), &["one\n", "two"])).collect();
    let (mut pty, faults) = start(&home);
    for (nth, seconds) in [-86_400, 86_400, 0].into_iter().enumerate() {
        pty.type_keys(&format!("work {nth}\r"));
        gates[nth].release(1);
        let asked = nth + 1;
        pty.wait("the first piece", |rows| count(rows, "one") == asked);
        faults.clock(seconds);
        pty.type_keys("/queue\r");
        pty.wait("the queue", |rows| rows.iter().filter(|row| row.contains("running")).count() == asked);
        gates[nth].open();
        pty.wait("the end", |rows| rows.iter().filter(|row| row.starts_with("two")).count() == asked);
        pty.wait_last("1:main>");
    }
    pty.type_keys("/stats\r");
    pty.wait_part("tokens");
    pty.type_keys("/quit\r");
    let (code, rows) = pty.end_with_rows();
    let negative = rows
        .iter()
        .find(|row| row.as_bytes().windows(3).any(|w| w[0] == b' ' && w[1] == b'-' && w[2].is_ascii_digit()));
    assert_eq!((code, negative), (0, None), "{rows:?}");
}
