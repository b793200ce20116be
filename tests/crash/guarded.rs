//! A prompt and the process that the shell waits for: where one is killed the other saves and restores what is left, and `/detach`
//! parts them.

use std::ffi::OsStr;
use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use portable_pty::CommandBuilder;

use crate::disk::Disk;
use crate::process::within;
use crate::program::{Home, PATIENCE};
use crate::pty::{Pty, cells};
use crate::server::{Format, Gate, Reply, Server};

fn start(home: &Home) -> Pty {
    let program = home.command(&[]).get_program().to_owned();
    let mut pty = in_terminal(home, &[program]);
    pty.wait("the prompt", |rows| rows.last().is_some_and(|row| row.contains("1:main>")));
    pty
}

/// These words run with the home's environment.
fn in_terminal(home: &Home, words: &[impl AsRef<OsStr>]) -> Pty {
    let command = home.command(&[]);
    let mut builder = CommandBuilder::from_argv(words.iter().map(|word| word.as_ref().to_owned()).collect());
    builder.env_clear();
    for (name, value) in command.get_envs() {
        builder.env(name, value.unwrap_or_default());
    }
    builder.env("NO_COLOR", "1");
    builder.cwd(home.path(""));
    Pty::spawn(cells(24, 90), builder)
}

fn streaming(gate: &Gate) -> (Server, Home) {
    let server = Server::start();
    server.on("work", Reply::words(&["one\n", "two\n", "three\n"]).gate(gate));
    let home = Home::serving(&server, Format::OpenAi);
    (server, home)
}

/// The one process that has the database open.
fn only(disk: &Disk) -> u32 {
    let (registered, _) = disk.registered();
    assert_eq!(registered.len(), 1, "{registered:?}");
    registered.into_iter().next().unwrap()
}

fn is_gone(pid: u32) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat"));
    stat.map_or(true, |stat| stat.rsplit_once(") ").is_none_or(|(_, fields)| fields.starts_with('Z')))
}

/// The number of the process that started `pid`.
#[cfg(target_os = "linux")]
fn parent(pid: u32) -> Pid {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let parent = stat.rsplit_once(") ").unwrap().1.split(' ').nth(1).unwrap();
    Pid::from_raw(parent.parse().unwrap())
}

/// The terminal is restored by the one that is left ([`Pty::end`] looks), and it is said which signal ended the other.
#[cfg(target_os = "linux")]
#[test]
fn a_killed_prompt_leaves_the_terminal_as_it_was() {
    let gate = Gate::default();
    let (_server, home) = streaming(&gate);
    let mut pty = start(&home);
    pty.type_keys("work\r");
    gate.release(1);
    pty.wait_row("one");
    pty.wait_bytes(b"\x1b[?2004h");
    kill(Pid::from_raw(only(&Disk::open(&home)).cast_signed()), Signal::SIGKILL).unwrap();
    assert_eq!(pty.end(), 137);
}

/// A shell that does not set the modes itself, and has the terminal: the prompt restores it from the background.
#[cfg(target_os = "linux")]
#[test]
fn a_killed_guardian_leaves_the_terminal_as_it_was_to_its_shell() {
    let gate = Gate::default();
    let (_server, home) = streaming(&gate);
    let mut pty = in_terminal(&home, &["/bin/sh", "-i"]);
    let chatmux = home.command(&[]).get_program().to_owned();
    pty.type_keys(&format!("'{}'\r", chatmux.display()));
    pty.wait("the prompt", |rows| rows.last().is_some_and(|row| row.contains("1:main>")));
    pty.type_keys("work\r");
    gate.release(1);
    pty.wait_row("one");
    let prompt = only(&Disk::open(&home));
    kill(parent(prompt), Signal::SIGKILL).unwrap();
    assert!(within(PATIENCE, || is_gone(prompt)), "the prompt does not end");
    home.assert_sound();
    pty.type_keys("echo shell\r");
    pty.wait_row("shell");
    pty.type_keys("exit\r");
    pty.end();
}

#[cfg(target_os = "linux")]
#[test]
fn who_kills_the_guardian_ends_the_prompt() {
    let gate = Gate::default();
    let (server, home) = streaming(&gate);
    let mut pty = start(&home);
    pty.type_keys("work\r");
    gate.release(1);
    pty.wait_row("one");
    home.wait_query("SELECT text FROM chunks", "one\n");
    let prompt = only(&Disk::open(&home));
    pty.signal(Signal::SIGKILL);
    assert!(within(PATIENCE, || is_gone(prompt)), "the prompt lives on");
    server.wait_open(0);
    pty.end();
    // It ended by itself, and not by the next start's repair.
    let answer = home.query("SELECT text, state FROM messages WHERE role = 'assistant'");
    assert_eq!(answer, [["one\n", "interrupted"]]);

    let mut pty = start(&home);
    pty.type_keys("/quit\r");
    assert_eq!(pty.end(), 0);
    assert_eq!(server.requests().len(), 1, "nothing is sent unasked");
    home.assert_sound();
}

#[test]
fn what_is_detached_streams_on_and_is_seen_by_who_comes_next() {
    let gate = Gate::default();
    let (server, home) = streaming(&gate);
    let mut pty = start(&home);
    pty.type_keys("work\r");
    gate.release(1);
    pty.wait_row("one");
    pty.type_keys("/detach\r");
    assert_eq!(pty.end(), 0);
    let disk = Disk::open(&home);
    let detached = only(&disk);
    assert_eq!((server.open(), server.requests().len()), (1, 1), "the same stream goes on");

    let mut pty = start(&home);
    pty.wait_part("another chatmux is at work (1 main): what it answers is shown here too");
    gate.release(1);
    pty.wait_row("two");
    assert_eq!(server.open(), 1);
    gate.open();
    pty.wait_row("three");
    assert!(within(PATIENCE, || is_gone(detached)), "nothing is left, and it works on");
    assert!(!disk.registered().0.contains(&detached));
    assert_eq!(
        home.query("SELECT text, state FROM messages WHERE role = 'assistant'"),
        [["one\ntwo\nthree\n", "complete"]]
    );
    pty.type_keys("/quit\r");
    let (code, rows) = pty.end_with_rows();
    assert_eq!((code, server.requests().len()), (0, 1));
    // The first piece was seen before.
    for row in ["two", "three"] {
        assert_eq!(rows.iter().filter(|r| *r == row).count(), 1, "without a gap and without a repeat: {rows:#?}");
    }
    home.assert_sound();
}
