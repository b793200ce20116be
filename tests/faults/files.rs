//! The database's files, removed or replaced while chatmux runs. Nothing that was acknowledged is lost, no file of somebody else's
//! is written into, and work goes on when the files are there again.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use nix::sys::signal::Signal;

use crate::machine::{Machine, ON_DISK, beside, notices, wait_entry, wait_notice};
use crate::program::{Home, Program};

const TRIED_AGAIN: &str = "tried again every second";

/// The files beside the database end so.
fn file(home: &Home, suffix: &str) -> std::path::PathBuf {
    let mut name = home.database().into_os_string();
    name.push(suffix);
    name.into()
}

/// Something is on the disk and something streams; `spoil` is done, then the rest comes and a second message is queued.
fn while_it_streams(spoil: impl Fn(&Home)) -> (Machine, Program) {
    let machine = Machine::new("");
    let gate = machine.gated("long", &["one ", "two ", "three"]);
    let mut program = machine.start(&["--json"]);
    program.send("before");
    wait_entry(&program, "finished", 1);
    program.send("/bg long");
    gate.release(1);
    program.wait_text(2, "one ");
    machine.home.wait_query(&format!("SELECT ({ON_DISK}) > 12"), "1");
    spoil(&machine.home);
    gate.release(1);
    program.wait_text(2, "one two ");
    program.send("/bg after");
    wait_entry(&program, "queued", 3);
    gate.open();
    (machine, program)
}

const ALL: [&str; 6] = ["before", "echo: before", "long", "one two three", "after", "echo: after"];

fn texts(machine: &Machine) -> Vec<String> {
    machine.history().into_iter().map(|(_, text, _)| text).collect()
}

#[test]
fn a_database_that_is_removed_is_written_back() {
    for suffixes in [&[""][..], &["", "-wal", "-shm"], &["", "-wal", "-shm", ".lock"], &["", "-wal"], &["", "-shm"]] {
        let (machine, program) =
            while_it_streams(|home| suffixes.iter().for_each(|suffix| fs::remove_file(file(home, suffix)).unwrap()));
        wait_notice(&program, "was removed while chatmux used it: it is written back");
        wait_entry(&program, "finished", 3);
        assert_eq!(notices(&program, "is written back"), 1, "{suffixes:?}");
        assert_eq!(notices(&program, TRIED_AGAIN), 0, "{suffixes:?}");
        let mode = fs::metadata(machine.home.database()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{suffixes:?}");
        // A kill, so that it is not the end that saves it.
        program.kill().killed(Signal::SIGKILL);
        assert_eq!(texts(&machine), ALL, "{suffixes:?}");
        assert_eq!(beside(&machine.home.database()), "chatmux.db chatmux.db.lock ", "{suffixes:?}");
        machine.home.assert_sound();
    }
}

#[test]
fn a_journal_that_is_removed_is_begun_anew() {
    for suffixes in [&["-wal"][..], &["-shm"], &["-wal", "-shm"]] {
        let (machine, program) =
            while_it_streams(|home| suffixes.iter().for_each(|suffix| fs::remove_file(file(home, suffix)).unwrap()));
        wait_notice(&program, "lost its journal (-wal, -shm) while chatmux used it: it is begun anew");
        wait_entry(&program, "finished", 3);
        assert_eq!((notices(&program, "begun anew"), notices(&program, TRIED_AGAIN)), (1, 0), "{suffixes:?}");
        program.kill().killed(Signal::SIGKILL);
        assert_eq!(texts(&machine), ALL, "{suffixes:?}");
        machine.home.assert_sound();
    }
}

#[test]
fn a_journal_that_others_use_is_begun_anew_when_they_have_gone() {
    let machine = Machine::new("");
    let mut program = machine.start(&["--json"]);
    program.send("before");
    wait_entry(&program, "finished", 1);
    // Another program that has it open, and its journal.
    let other = rusqlite::Connection::open(machine.home.database()).unwrap();
    let _: i64 = other.query_row("SELECT count(*) FROM entries", [], |row| row.get(0)).unwrap();
    fs::remove_file(file(&machine.home, "-wal")).unwrap();
    program.send("/bg refused");
    let error = program.wait_event("the refusal", |e| e["event"] == "error");
    assert!(error["text"].as_str().unwrap().contains("end the others, then chatmux goes on"), "{error}");
    drop(other);
    program.send("after");
    wait_entry(&program, "finished", 2);
    program.finish().code(1);
    assert_eq!(texts(&machine), ["before", "echo: before", "after", "echo: after"]);
    machine.home.assert_sound();
}

/// Of two chatmux neither may begin it anew while the other has the old one: both say so, and the one that stays goes on.
#[test]
fn a_journal_that_two_of_them_use() {
    for suffix in ["-wal", "-shm"] {
        let machine = Machine::new("");
        let gate = machine.gated("long", &["one ", "two"]);
        let mut first = machine.start(&["--json"]);
        first.send("/bg long");
        gate.release(1);
        first.wait_text(1, "one ");
        machine.home.wait_query(ON_DISK, "4");
        let mut second = machine.start(&["--json", "-s", "two"]);
        second.send("there");
        wait_entry(&second, "finished", 2);
        fs::remove_file(file(&machine.home, suffix)).unwrap();
        second.send("/bg refused");
        let error = second.wait_event("the refusal", |e| e["event"] == "error");
        assert!(error["text"].as_str().unwrap().contains("while several programs use it"), "{error}");
        gate.open();
        wait_notice(&first, "end the others, then chatmux goes on");
        second.finish().code(1);
        wait_notice(&first, "it is begun anew, nothing is lost");
        assert_eq!(wait_entry(&first, "finished", 1)["text"], "one two");
        first.send("last");
        wait_entry(&first, "finished", 3);
        first.kill().killed(Signal::SIGKILL);
        let entries = machine.home.query("SELECT text FROM entries ORDER BY id");
        assert_eq!(entries.concat(), ["long", "there", "last"], "{suffix}");
        machine.home.assert_sound();
    }
}

#[test]
fn a_database_that_is_replaced_is_not_written_into() {
    let machine = Machine::new("");
    let gate = machine.gated("long", &["one ", "two ", "three"]);
    let mut program = machine.start(&["--json"]);
    program.send("before");
    wait_entry(&program, "finished", 1);
    program.send("/bg long");
    gate.release(1);
    program.wait_text(2, "one ");
    machine.home.wait_query(&format!("SELECT ({ON_DISK}) > 12"), "1");
    // What comes in its place is a database too, of another conversation; the old one has no name any more.
    let other = Home::echo();
    other.run(&[], "elsewhere\n").code(0);
    let theirs = fs::read(other.database()).unwrap();
    let database = machine.home.database();
    fs::rename(other.database(), &database).unwrap();
    program.send("/bg refused");
    let error = program.wait_event("the refusal", |e| e["event"] == "error");
    let rescue = file(&machine.home, ".rescued");
    let said = error["text"].as_str().unwrap();
    let parts =
        ["was replaced by another file while chatmux used it", &rescue.display().to_string(), "start chatmux again"];
    assert!(parts.iter().all(|part| said.contains(part)), "{said}");
    gate.open();
    program.wait_text(2, "one two three");
    wait_notice(&program, TRIED_AGAIN);
    program.send("/quit");
    program.end().code(1);
    assert!(fs::read(&database).unwrap() == theirs, "it is as it came");
    assert_eq!(beside(&database), "chatmux.db chatmux.db.lock chatmux.db.rescued ");
    assert_eq!(fs::metadata(&rescue).unwrap().permissions().mode() & 0o777, 0o600);
    let elsewhere: Vec<_> = texts(&machine);
    assert_eq!(elsewhere, ["elsewhere", "elsewhere"], "and is a database that one can use");
    // What was open is in the rescue, the partial as far as it was on the disk.
    let outcome = machine.home.run(&["--db", &rescue.display().to_string(), "--json"], "/history 99\n").code(0);
    let saved: Vec<_> = crate::program::history(&outcome.result("history")).into_iter().map(|m| m.1).collect();
    assert_eq!(saved, ["before", "echo: before", "long", "one "]);
}

#[test]
fn a_database_that_is_put_back_is_gone_on_with() {
    let machine = Machine::new("");
    let mut program = machine.start(&["--json"]);
    program.send("before");
    wait_entry(&program, "finished", 1);
    let (database, aside) = (machine.home.database(), machine.home.path("aside"));
    fs::rename(&database, &aside).unwrap();
    fs::write(&database, "something else").unwrap();
    // Before anything is written.
    wait_notice(&program, "was replaced by another file while chatmux used it: what was open is saved as ");
    program.send("/bg refused");
    program.wait_event("the refusal", |e| e["event"] == "error");
    assert_eq!(fs::read(&database).unwrap(), b"something else");
    fs::rename(&aside, &database).unwrap();
    program.send("after");
    wait_entry(&program, "finished", 2);
    program.finish().code(1);
    assert_eq!(texts(&machine), ["before", "echo: before", "after", "echo: after"]);
    machine.home.assert_sound();
}

#[test]
fn a_folder_that_is_removed_is_waited_for() {
    let machine = Machine::new("");
    let gate = machine.gated("long", &["one ", "two"]);
    let mut program = machine.start(&["--json"]);
    program.send("/bg long");
    gate.release(1);
    program.wait_text(1, "one ");
    machine.home.wait_query(ON_DISK, "4");
    let folder = machine.home.database().parent().unwrap().to_owned();
    fs::remove_dir_all(&folder).unwrap();
    gate.open();
    let said = wait_notice(&program, TRIED_AGAIN);
    assert!(said.contains("was removed with its folder while chatmux used it: make the folder again"), "{said}");
    fs::create_dir(&folder).unwrap();
    wait_notice(&program, "it is written back");
    wait_entry(&program, "finished", 1);
    program.kill().killed(Signal::SIGKILL);
    assert_eq!(texts(&machine), ["long", "one two"]);
    machine.home.assert_sound();
}

/// Even where the end comes before the next commit.
#[test]
fn the_end_writes_a_removed_database_back() {
    let machine = Machine::new("");
    let mut program = machine.start(&["--json"]);
    program.send("before");
    wait_entry(&program, "finished", 1);
    fs::remove_dir_all(machine.home.database().parent().unwrap()).unwrap();
    fs::create_dir(machine.home.database().parent().unwrap()).unwrap();
    program.finish().code(0);
    assert_eq!(texts(&machine), ["before", "echo: before"]);
    machine.home.assert_sound();
}

/// Of two that have it open, one writes it back, and both go on with that.
#[test]
fn of_two_one_writes_it_back() {
    let machine = Machine::new("");
    let mut first = machine.start(&["--json"]);
    first.send("before");
    wait_entry(&first, "finished", 1);
    let mut second = machine.start(&["--json", "-s", "two"]);
    second.send("there");
    wait_entry(&second, "finished", 2);
    fs::remove_file(machine.home.database()).unwrap();
    first.send("after");
    wait_entry(&first, "finished", 3);
    second.send("there again");
    wait_entry(&second, "finished", 4);
    // Whichever looks first writes it back.
    for program in [&first, &second] {
        wait_notice(program, "was removed while chatmux used it: ");
        assert_eq!((notices(program, "was removed"), notices(program, TRIED_AGAIN)), (1, 0));
    }
    second.finish().code(0);
    first.send("last");
    wait_entry(&first, "finished", 5);
    first.kill().killed(Signal::SIGKILL);
    let entries = machine.home.query("SELECT text FROM entries ORDER BY id");
    assert_eq!(entries.concat(), ["before", "there", "after", "there again", "last"]);
    machine.home.assert_sound();
}

/// Nobody writes anything, and it is seen all the same.
#[test]
fn a_removed_database_is_written_back_while_nothing_happens() {
    let machine = Machine::new("");
    let mut program = machine.start(&["--json"]);
    program.send("before");
    wait_entry(&program, "finished", 1);
    fs::remove_file(machine.home.database()).unwrap();
    wait_notice(&program, "it is written back");
    program.kill().killed(Signal::SIGKILL);
    assert_eq!(texts(&machine), ["before", "echo: before"]);
}
