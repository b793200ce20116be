//! What chatmux makes is for its owner alone, under any umask.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::program::{Home, Program};
use crate::server::{Format, Server};
use crate::{below, run_after, start_after};

/// The umasks that take nothing, the usual bits, and everything.
const UMASKS: [&str; 3] = ["0000", "0022", "0777"];

fn assert_private(home: &Home, umask: &str) {
    for path in below(&home.path("")) {
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        let expected = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(format!("{mode:o}"), format!("{expected:o}"), "{} under umask {umask}", path.display());
    }
}

fn assert_there(home: &Home, names: &[&str]) {
    let missing: Vec<_> = names.iter().filter(|name| !home.path(name).exists()).collect();
    assert!(missing.is_empty(), "{missing:?} are missing among {:?}", below(&home.path("")));
}

#[test]
fn files_are_for_their_owner_alone_under_any_umask() {
    for umask in UMASKS {
        let first = format!("umask {umask}");
        let home = Home::fresh();
        run_after(&home, &first, &["config", "init"], "").code(0);
        run_after(&home, &first, &["-m", "demo:echo"], "hello\n/new docs\n").code(0);
        run_after(&home, &first, &["db", "backup", "copy.db"], "").code(0);
        run_after(&home, &first, &["--db", "other/place.db", "sessions"], "").code(0);
        // A full log is put aside by whoever writes the next line.
        fs::write(home.path("state/chatmux/chatmux.log"), vec![b'x'; 4 << 20]).unwrap();
        let mut program = start_after(&home, &first, &["-m", "demo:echo", "--json"]);
        program.send("hello");
        program.wait_event("an end", |event| event["event"] == "finished");
        // While it runs SQLite's files are there too.
        let data = ["", "-wal", "-shm", ".lock"].map(|end| format!("data/chatmux/chatmux.db{end}"));
        assert_there(&home, &data.iter().map(String::as_str).collect::<Vec<_>>());
        assert_private(&home, umask);
        program.finish().code(0);
        assert_there(&home, &["config/chatmux/config.toml", "copy.db", "state/chatmux/chatmux.log"]);
        assert_private(&home, umask);
    }
}

/// As ssh does with its own file.
#[test]
fn a_key_command_is_not_run_from_a_file_that_others_can_change() {
    let server = Server::start();
    let home = Home::fresh();
    let url = server.base_url(Format::OpenAi);
    let provider =
        |key: &str| format!("model = \"local:m\"\n[providers.local]\nkind = \"openai\"\nbase_url = \"{url}\"\n{key}");
    let file = home.path("config/chatmux/config.toml");
    let allow = |mode| fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
    home.configure(&provider("api_key_command = \"touch ran; echo sk-1\""));
    let remedy = format!("others than its owner may write it: run `chmod go-w {}`", file.display());
    for mode in [0o620, 0o602, 0o666] {
        allow(mode);
        for args in [&["ask", "hello"][..], &["config", "check"], &["config", "show"]] {
            let outcome = home.run(args, "").code(2);
            assert!(
                outcome.err.contains("api_key_command, which is not run") && outcome.err.contains(&remedy),
                "{outcome:?}"
            );
        }
        assert!(!home.path("ran").exists());
    }
    allow(0o644);
    // The shell is the system's, whatever PATH leads to.
    fs::write(home.path("sh"), "#!/bin/sh\ntouch other-shell\n").unwrap();
    fs::set_permissions(home.path("sh"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", home.path("").display(), std::env::var("PATH").unwrap());
    let mut command = home.command(&["ask", "hello"]);
    command.env("PATH", path);
    Program::start(command).finish().code(0);
    assert!(home.path("ran").exists() && !home.path("other-shell").exists());
    // Without a command it is a warning.
    home.configure(&provider(""));
    allow(0o666);
    let checked = home.run(&["config", "check"], "").code(0);
    assert!(checked.out.contains(&format!("warning: {}: {remedy}", file.display())), "{checked:?}");
    home.run(&["ask", "hello"], "").code(0);
}

/// A program that runs for weeks.
#[test]
fn a_log_is_put_aside_while_the_program_runs() {
    let server = Server::start();
    let home = Home::serving(&server, Format::OpenAi);
    let log = home.path("state/chatmux/chatmux.log");
    let bytes = |path: &Path| fs::metadata(path).map_or(0, |meta| meta.len());
    let mut program = start_after(&home, "umask 0000", &["--json"]);
    program.send("hello");
    program.wait_in(1, "finished");
    assert!(bytes(&log) > 0, "it has been begun");
    fs::write(&log, vec![b'x'; 4 << 20]).unwrap();
    program.send("again");
    program.wait_event("the second end", |event| event["entry"] == 2 && event["event"] == "finished");
    program.finish().code(0);
    assert!((1..4 << 20).contains(&bytes(&log)), "{} bytes", bytes(&log));
    assert_eq!(bytes(&home.path("state/chatmux/chatmux.log.1")), 4 << 20);
}
