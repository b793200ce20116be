//! The database's files, removed or replaced while chatmux runs. It stops, saves what is open beside them, says so, and ends with exit
//! code 3. Nothing that was acknowledged is lost, no file of somebody else's is written into, nobody writes anything back.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::machine::{Machine, ON_DISK, beside, wait_entry};
use crate::program::{Home, Outcome, Program};
use crate::server::{Format, Reply, Server};

/// The files beside the database end so.
fn file(home: &Home, suffix: &str) -> PathBuf {
    let mut name = home.database().into_os_string();
    name.push(suffix);
    name.into()
}

fn remove(home: &Home, suffixes: &[&str]) {
    suffixes.iter().for_each(|suffix| fs::remove_file(file(home, suffix)).unwrap());
}

/// The copies in a folder.
fn copies(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(|path| path.display().to_string().contains(".rescued-")).collect()
}

/// The only copy beside the database.
fn copy(home: &Home) -> PathBuf {
    let found = copies(home.database().parent().unwrap());
    assert_eq!(found.len(), 1, "{found:?}");
    found.into_iter().next().unwrap()
}

/// Text and state of all messages in a copy, which is sound.
fn messages(home: &Home, copy: &Path) -> Vec<String> {
    let copy = copy.display().to_string();
    home.run(&["db", "check", "--db", &copy], "").code(0);
    let outcome = home.run(&["--db", &copy, "--json"], "/history 99\n").code(0);
    let found = crate::program::history(&outcome.result("history"));
    found.into_iter().map(|(_, text, state)| format!("{text} ({state})")).collect()
}

/// A turn is done, another streams and is partly on the disk; then `spoil`.
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
    (machine, program)
}

const KEPT: [&str; 4] = ["before (complete)", "echo: before (complete)", "long (complete)", "one  (interrupted)"];

/// It says what is gone, where the rest is, and how to go on: on stderr and as an event.
fn ends_with(program: Program, parts: &[&str]) -> Outcome {
    let outcome = program.end().code(3);
    let said: Vec<_> = outcome.named("error").into_iter().map(|event| event["text"].clone()).collect();
    let said = said.iter().filter_map(|text| text.as_str()).find(|text| parts.iter().all(|part| text.contains(part)));
    assert!(said.is_some(), "{outcome:?}");
    outcome.err(parts)
}

#[test]
fn a_database_that_is_removed_ends_the_program() {
    for suffixes in [&[""][..], &["", "-wal", "-shm"], &["", "-wal", "-shm", ".lock"], &["", "-wal"], &["", "-shm"]] {
        let (machine, program) = while_it_streams(|home| remove(home, suffixes));
        let parts = [
            "was removed while chatmux used it; all that was acknowledged is saved in ",
            "(chatmux --db opens it)",
            "; mv -n ",
        ];
        ends_with(program, &parts);
        assert!(!machine.home.database().exists(), "{suffixes:?}: it is not written back");
        let copy = copy(&machine.home);
        assert_eq!(fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600, "{suffixes:?}");
        assert_eq!(messages(&machine.home, &copy), KEPT, "{suffixes:?}");
    }
}

#[test]
fn a_journal_that_is_removed_ends_the_program() {
    for suffixes in [&["-wal"][..], &["-shm"], &["-wal", "-shm"]] {
        let (machine, program) = while_it_streams(|home| remove(home, suffixes));
        let before = fs::read(machine.home.database()).unwrap();
        ends_with(
            program,
            &["lost its journal (-wal, -shm) while chatmux used it; all that was acknowledged is saved in "],
        );
        assert!(fs::read(machine.home.database()).unwrap() == before, "{suffixes:?}: nothing is copied into it");
        assert_eq!(messages(&machine.home, &copy(&machine.home)), KEPT, "{suffixes:?}");
    }
}

#[test]
fn a_database_that_is_replaced_is_not_written_into() {
    let other = Home::echo();
    other.run(&[], "elsewhere\n").code(0);
    let theirs = fs::read(other.database()).unwrap();
    let (machine, program) = while_it_streams(|home| fs::rename(other.database(), home.database()).unwrap());
    ends_with(program, &["was replaced by another file while chatmux used it", "; mv -n "]);
    let database = machine.home.database();
    assert!(fs::read(&database).unwrap() == theirs, "it is as it came");
    let copy = copy(&machine.home);
    let name = copy.file_name().unwrap().to_str().unwrap();
    assert_eq!(beside(&database), format!("chatmux.db chatmux.db.lock {name} "));
    // It is a database that one can use, and the start says where the old one is.
    let outcome = machine.home.run(&["--json"], "/history 99\n").code(0);
    let texts: Vec<_> = crate::program::history(&outcome.result("history")).into_iter().map(|m| m.1).collect();
    assert_eq!(texts, ["elsewhere", "elsewhere"]);
    let holds = |event: &serde_json::Value| event["text"].as_str().is_some_and(|text| text.contains(name));
    assert!(outcome.named("notice").iter().any(holds), "{outcome:?}");
    assert_eq!(messages(&machine.home, &copy), KEPT);
}

#[test]
fn a_folder_that_is_removed_is_saved_beside_the_log() {
    let (machine, program) = while_it_streams(|home| fs::remove_dir_all(home.database().parent().unwrap()).unwrap());
    ends_with(program, &["was removed while chatmux used it", "mkdir -p "]);
    assert!(!machine.home.database().parent().unwrap().exists());
    let found = copies(&machine.home.path("state/chatmux"));
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(messages(&machine.home, &found[0]), KEPT);
}

/// Even where the end comes before the next look.
#[test]
fn a_removal_is_found_at_the_end() {
    let machine = Machine::new("");
    let mut program = machine.start(&[]);
    program.send("before");
    program.wait_out("echo: before");
    machine.home.wait_query("SELECT count(*) FROM entries WHERE state = 'done'", "1");
    fs::remove_file(machine.home.database()).unwrap();
    program.finish().code(3).err(&["was removed while chatmux used it"]);
    assert_eq!(messages(&machine.home, &copy(&machine.home)), ["before (complete)", "echo: before (complete)"]);
}

/// A service without anything to do ends too, and so does a script that waits for its stdin.
#[test]
fn a_removal_is_found_while_nothing_happens() {
    for args in [&["work", "--watch"][..], &["--json"]] {
        let home = Home::echo();
        home.run(&[], "before\n").code(0);
        let program = home.start(args);
        wait_until_open(program.id());
        fs::remove_file(home.database()).unwrap();
        program.end().code(3).err(&["was removed while chatmux used it"]);
        assert_eq!(messages(&home, &copy(&home)), ["before (complete)", "before (complete)"], "{args:?}");
    }
}

/// Waits until the process has its journal open on both connections.
fn wait_until_open(process: u32) {
    let is_open = || {
        let links = fs::read_dir(format!("/proc/{process}/fd")).into_iter().flatten().flatten();
        let files = links.filter_map(|link| fs::read_link(link.path()).ok());
        files.filter(|file| file.to_string_lossy().ends_with("chatmux.db-wal")).count() == 2
    };
    let began = std::time::Instant::now();
    while !is_open() {
        assert!(began.elapsed() < crate::program::PATIENCE, "it never opens its journal");
        std::thread::yield_now();
    }
}

#[test]
fn a_lock_that_is_removed_is_made_again() {
    let (machine, program) = while_it_streams(|home| remove(home, &[".lock"]));
    let lock = file(&machine.home, ".lock");
    machine.home.wait_query("SELECT 1", "1");
    while !lock.exists() {
        std::thread::yield_now();
    }
    // Another one starts, and takes nothing from who works.
    machine.home.run(&["--json", "-s", "two"], "there\n").code(0);
    drop(program);
}

/// What happens to one message: the line that acknowledges it comes behind its error, if it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Acknowledged,
    Refused,
}

/// Sends messages and waits for what becomes of each, until the program ends; by text.
fn send_until_it_ends(mut program: Program, name: &str) -> (Outcome, BTreeMap<String, Fate>) {
    let mut fates: BTreeMap<String, u64> = BTreeMap::new();
    for nth in 1..=60 {
        let text = format!("{name}.{nth}.");
        program.mutter(&format!("/send s{} {text}", nth % 4));
        program.mutter(&format!("/echo told {text}"));
        if !program.says_before_its_end(&format!("told {text}")) {
            break;
        }
        fates.insert(text, nth);
    }
    let outcome = program.end();
    let errors: Vec<_> = outcome.named("error").into_iter().filter_map(|event| event["line"].as_u64()).collect();
    let fate = |nth: u64| if errors.contains(&(2 * nth - 1)) { Fate::Refused } else { Fate::Acknowledged };
    let fates = fates.into_iter().map(|(text, nth)| (text, fate(nth))).collect();
    (outcome, fates)
}

/// All texts that a database has in its queue, which is sound; none where there is no database.
fn texts(home: &Home, database: &Path) -> Vec<String> {
    let Ok(conn) = rusqlite::Connection::open(database) else { return Vec::new() };
    let sound: String = conn.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(sound, "ok", "{}", database.display());
    let Ok(mut select) = conn.prepare("SELECT text FROM entries") else { return Vec::new() };
    let found = select.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let _ = home;
    found
}

/// Three processes write while files are removed, twice, at moments and in sets that differ with the round. Each ends by itself; what was
/// acknowledged is in a copy or in the database, what was refused is nowhere, and nothing is sent twice.
#[test]
fn removals_under_three_that_write() {
    let sets: [&[&str]; 6] = [&[""], &["-wal"], &["-shm"], &["", "-wal"], &["", "-wal", "-shm", ".lock"], &["FOLDER"]];
    for round in 0..sets.len() {
        let server = Server::start();
        server.otherwise(|_, _| Reply::words(&["one ", "two"]));
        let home = Home::configured(&server, Format::OpenAi, "", "");
        home.run(&[], "/new s0\n/new s1\n/new s2\n/new s3\n").code(0);
        let folder = home.database().parent().unwrap().to_owned();
        let refuge = home.path("state/chatmux");
        let senders: Vec<_> = (0..3)
            .map(|nth| {
                let program = home.start(&["--json"]);
                std::thread::spawn(move || send_until_it_ends(program, &format!("r{round}p{nth}")))
            })
            .collect();
        // The folder first: later it would take the copies with it.
        // As soon as there is something that could be lost.
        server.wait_log("requests", |log| log.len() > 10);
        for (nth, set) in [sets[round], sets[(round + 1) % (sets.len() - 1)]].into_iter().enumerate() {
            // At once, or when the first of them has seen it.
            while nth > 0 && round % 2 == 0 && copies(&folder).is_empty() && copies(&refuge).is_empty() {
                std::thread::yield_now();
            }
            for suffix in set {
                // What an earlier set removed already is not there.
                let _ = if *suffix == "FOLDER" {
                    fs::remove_dir_all(&folder)
                } else {
                    fs::remove_file(file(&home, suffix))
                };
            }
            fs::create_dir_all(&folder).unwrap();
        }
        let ended: Vec<_> = senders.into_iter().map(|sender| sender.join().unwrap()).collect();
        let databases = [copies(&folder), copies(&refuge), vec![home.database()]].concat();
        let found: Vec<Vec<String>> = databases.iter().map(|database| texts(&home, database)).collect();
        for (outcome, fates) in ended {
            let outcome = outcome.code(3);
            for (text, fate) in fates {
                let times = |texts: &Vec<String>| texts.iter().filter(|found| **found == text).count();
                let most = found.iter().map(times).max().unwrap();
                let wanted = usize::from(fate == Fate::Acknowledged);
                assert_eq!(most, wanted, "round {round}: {text} {fate:?} in {databases:?}: {outcome:?}");
            }
        }
        let mut asked: Vec<_> = server.requests().iter().map(crate::server::Logged::last_user).collect();
        let all = asked.len();
        asked.sort();
        asked.dedup();
        assert_eq!(asked.len(), all, "round {round}: something was sent twice");
    }
}
