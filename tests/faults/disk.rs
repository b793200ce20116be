//! A disk that is full, fails to flush, or is read-only while chatmux runs: before, during and after a turn, and a kill in the
//! middle of it. What is acknowledged is on the disk, what is not is said, and work goes on by itself when the fault is over.

use nix::sys::signal::Signal;

use crate::faults::Disk;
use crate::machine::{Machine, ON_DISK, notices, wait_entry, wait_notice};
use crate::program::turns;

const TRIED_AGAIN: &str = "tried again every second";
const AGAIN: &str = "the database takes what comes again";

#[test]
fn before_a_turn_what_is_typed_is_refused() {
    for disk in Disk::ALL {
        let machine = Machine::new("");
        let mut program = machine.start(&["--json"]);
        program.send("one");
        wait_entry(&program, "finished", 1);
        machine.faults.disk(disk);
        program.send("two");
        let error = program.wait_event("the refusal", |e| e["event"] == "error");
        let said = error["text"].as_str().unwrap();
        assert!(error["line"] == 2 && said.contains(disk.said()), "{disk:?}: {error}");
        assert!(said.contains(&machine.home.database().display().to_string()), "it names the file: {said}");
        machine.faults.mend();
        program.send("three");
        program.finish().code(1);
        let asked: Vec<_> = machine.server.requests().iter().map(crate::server::Logged::last_user).collect();
        assert_eq!(asked, ["one", "three"], "{disk:?}");
        let texts: Vec<_> = machine.history().into_iter().map(|(_, text, _)| text).collect();
        assert_eq!(texts, ["one", "echo: one", "three", "echo: three"], "{disk:?}");
        machine.home.assert_sound();
    }
}

#[test]
fn during_a_turn_the_stream_goes_on_and_the_partial_follows() {
    for disk in Disk::ALL {
        let machine = Machine::new("");
        let gate = machine.gated("long", &["one ", "two ", "three ", "four"]);
        let mut program = machine.start(&["--json"]);
        program.send("/bg long");
        gate.release(1);
        program.wait_text(1, "one ");
        machine.home.wait_query(ON_DISK, "4");
        machine.faults.disk(disk);
        gate.release(1);
        program.wait_text(1, "one two ");
        let said = wait_notice(&program, TRIED_AGAIN);
        assert!(said.contains(disk.said()), "{disk:?}: {said}");
        // More than one attempt, and the person is told once.
        machine.faults.wait_hits(5);
        gate.release(1);
        program.wait_text(1, "one two three ");
        assert_eq!(machine.home.query(ON_DISK), [["4"]], "{disk:?}");
        assert_eq!(notices(&program, TRIED_AGAIN), 1, "{disk:?}");
        machine.faults.mend();
        wait_notice(&program, AGAIN);
        machine.home.wait_query(ON_DISK, "14");
        gate.open();
        wait_entry(&program, "finished", 1);
        assert_eq!(notices(&program, AGAIN), 1, "{disk:?}");
        program.finish().code(0);
        assert_eq!(machine.history()[1].1, "one two three four", "{disk:?}");
        machine.home.assert_sound();
    }
}

#[test]
fn after_a_turn_its_end_waits_for_its_commit() {
    for disk in Disk::ALL {
        let machine = Machine::new("");
        let gate = machine.gated("long", &["one ", "two"]);
        let mut program = machine.start(&["--json"]);
        program.send("/bg long");
        program.send("/bg next");
        gate.release(1);
        wait_entry(&program, "queued", 2);
        program.wait_text(1, "one ");
        machine.faults.disk(disk);
        gate.open();
        program.wait_text(1, "one two");
        machine.server.wait_open(0);
        let said = wait_notice(&program, TRIED_AGAIN);
        assert!(said.contains(disk.said()), "{disk:?}: {said}");
        machine.faults.wait_hits(5);
        let early = program.events().into_iter().filter(|e| e["event"] == "finished" || e["event"] == "idle").count();
        assert_eq!(
            (early, machine.server.requests().len()),
            (0, 1),
            "{disk:?}: nothing is ended on a disk that is not"
        );
        machine.faults.mend();
        assert_eq!(wait_entry(&program, "finished", 1)["text"], "one two");
        assert_eq!(wait_entry(&program, "finished", 2)["text"], "echo: next", "{disk:?}");
        program.finish().code(0);
        let sent = [("user", "long"), ("assistant", "one two"), ("user", "next")];
        assert_eq!(machine.server.requests()[1].turns(), turns(&sent), "{disk:?}");
        machine.home.assert_sound();
    }
}

/// What was acknowledged is there, and what was refused is not.
#[test]
fn a_kill_in_the_middle_of_it() {
    for disk in Disk::ALL {
        let machine = Machine::new("");
        let gate = machine.gated("long", &["one ", "two ", "three"]);
        let mut program = machine.start(&["--json"]);
        program.send("/bg long");
        program.send("/bg kept");
        gate.release(1);
        wait_entry(&program, "queued", 2);
        program.wait_text(1, "one ");
        machine.home.wait_query(ON_DISK, "4");
        machine.faults.disk(disk);
        program.send("/bg refused");
        program.wait_event("the refusal", |e| e["event"] == "error");
        gate.release(1);
        program.wait_text(1, "one two ");
        wait_notice(&program, TRIED_AGAIN);
        machine.faults.wait_hits(3);
        program.kill().killed(Signal::SIGKILL);
        machine.faults.mend();
        let history = machine.history();
        let (_, partial, state) = &history[1];
        assert!("one two ".starts_with(partial) && partial.starts_with("one "), "{disk:?}: {history:?}");
        assert_eq!((state.as_str(), machine.waiting()), ("interrupted", vec!["kept".to_owned()]), "{disk:?}");
        machine.home.assert_sound();
        machine.home.run(&["--json"], "/resume all\n/wait\n").code(0);
        let asked: Vec<_> = machine.server.requests().iter().map(crate::server::Logged::last_user).collect();
        assert_eq!(asked, ["long", "kept"], "{disk:?}");
    }
}

/// More comes than may wait for the disk: the stream waits too, which is no silence of the server.
#[test]
fn a_stream_that_waits_for_the_disk_is_not_stalled() {
    let machine = Machine::new("[timeouts]\nidle = \"700ms\"\n");
    let piece = "x".repeat(1 << 10);
    let gate = machine.gated("long", &vec![piece.as_str(); 1 << 10]);
    let mut program = machine.start(&["--json"]);
    program.send("long");
    gate.release(1);
    program.wait_text(1, &piece);
    machine.home.wait_query(ON_DISK, "1024");
    machine.faults.disk(Disk::Full);
    gate.open();
    wait_notice(&program, TRIED_AGAIN);
    // Ten a second at most, so that the limit on silence has passed twice.
    machine.faults.wait_hits(15);
    let shown = crate::program::text_of(&program.events(), 1, "text").len();
    assert!(shown < 512 << 10, "{shown} bytes wait for the disk");
    machine.faults.mend();
    let finished = wait_entry(&program, "finished", 1);
    assert_eq!((&finished["state"], finished["text"].as_str().map(str::len)), (&"complete".into(), Some(1 << 20)));
    program.finish().code(0);
    machine.home.assert_sound();
}

#[test]
fn a_start_says_what_is_wrong() {
    for disk in Disk::ALL {
        let machine = Machine::new("");
        machine.home.run(&[], "before\n").code(0);
        machine.faults.disk(disk);
        // A session is to be made, so that there is something to write.
        machine.start(&["-s", "new"]).finish().code(3).out("").err(&["chatmux: the database ", disk.said()]);
        machine.faults.mend();
        machine.start(&[]).finish().code(0).quiet();
        // The first of all: there is no database yet.
        let machine = Machine::new("");
        machine.faults.disk(disk);
        machine.start(&[]).finish().code(3).out("");
        machine.faults.mend();
        machine.start(&[]).finish().code(0).quiet();
        machine.home.assert_sound();
    }
}

/// Nothing else is written between the refusal and the kill.
#[test]
fn what_was_refused_does_not_come_back() {
    for disk in Disk::ALL {
        let machine = Machine::new("");
        let mut program = machine.start(&["--json"]);
        program.send("kept");
        wait_entry(&program, "finished", 1);
        machine.faults.disk(disk);
        program.send("/bg refused");
        program.wait_event("the refusal", |e| e["event"] == "error");
        program.kill().killed(Signal::SIGKILL);
        machine.faults.mend();
        assert_eq!(machine.home.query("SELECT text FROM entries").concat(), ["kept"], "{disk:?}");
        machine.home.assert_sound();
    }
}

/// A disk that fills up in the middle of a commit: after any number of bytes, so that each write of it is cut once.
#[test]
fn a_commit_that_is_cut_anywhere_is_no_commit() {
    for bytes in [1, 24, 32, 1_000, 4_096, 4_120, 4_152, 5_000, 8_240, 12_360, 13_000] {
        let machine = Machine::new("");
        let mut program = machine.start(&["--json"]);
        program.send("one");
        wait_entry(&program, "finished", 1);
        machine.faults.full_after(bytes);
        program.send("/bg two");
        program.wait_event("an answer", |e| e["event"] == "error" || (e["event"] == "queued" && e["entry"] == 2));
        let acknowledged = program.events().iter().any(|e| e["event"] == "queued" && e["entry"] == 2);
        program.kill().killed(Signal::SIGKILL);
        machine.faults.mend();
        let texts = machine.home.query("SELECT text FROM entries ORDER BY id");
        assert_eq!(texts.len(), if acknowledged { 2 } else { 1 }, "after {bytes} bytes: {texts:?}");
        machine.home.assert_sound();
    }
}

/// At the end of a script on a full disk nothing hangs, and the exit code says that something was not kept.
#[test]
fn a_signal_ends_it_all_the_same() {
    let machine = Machine::new("");
    let gate = machine.gated("long", &["one ", "two"]);
    let mut program = machine.start(&["--json"]);
    program.send("/bg long");
    gate.release(1);
    program.wait_text(1, "one ");
    machine.home.wait_query(ON_DISK, "4");
    machine.faults.disk(Disk::Full);
    program.signal(Signal::SIGTERM);
    program.end().code(143);
    machine.faults.mend();
    assert_eq!(machine.history()[1], ("assistant".to_owned(), "one ".to_owned(), "interrupted".to_owned()));
    machine.home.assert_sound();
}
