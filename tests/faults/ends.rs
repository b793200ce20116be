//! Ends from outside: a closed stdout, signals.

use std::io::Read;
use std::process::Stdio;

use nix::sys::signal::Signal;

use crate::program::{Home, history};
use crate::server::{Format, Gate, Reply, Server};

/// Those that end it, each with its exit code.
const SIGNALS: [(Signal, i32); 4] =
    [(Signal::SIGINT, 130), (Signal::SIGTERM, 143), (Signal::SIGHUP, 129), (Signal::SIGQUIT, 131)];

#[test]
fn a_reader_that_has_enough_ends_it_quietly() {
    let home = Home::echo();
    for args in [&[][..], &["--json"]] {
        let mut command = home.command(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let writer = std::thread::spawn(move || {
            // The program may end before it has read all of it.
            let _ = std::io::Write::write_all(&mut stdin, "a line of an answer\n".repeat(2_000).as_bytes());
        });
        let mut first = [0; 1];
        child.stdout.take().unwrap().read_exact(&mut first).unwrap();
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap()), (Some(0), String::new()));
    }
    for args in [&["sessions", "--json"][..], &["man"], &["--help"], &["completions", "zsh"]] {
        let mut child = home.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(
            (output.status.code(), String::from_utf8(output.stderr).unwrap()),
            (Some(0), String::new()),
            "{args:?}"
        );
    }
}

#[test]
fn signals_in_mid_stream_save_the_partial() {
    for (signal, code) in SIGNALS {
        let (server, gate) = (Server::start(), Gate::default());
        server.on("long", Reply::words(&["the part", " rest"]).gate(&gate));
        let home = Home::serving(&server, Format::OpenAi);
        let mut program = home.start(&["--json"]);
        program.send("long");
        gate.release(1);
        program.wait_text(1, "the part");
        program.signal(signal);
        // stdin is still open.
        let outcome = program.end().code(code);
        let finished = &outcome.named("finished")[0];
        assert_eq!((&finished["state"], &finished["text"]), (&"interrupted".into(), &"the part".into()));
        let outcome = home.run(&["--json"], "/history\n").code(0).quiet();
        let last = ("assistant".to_owned(), "the part".to_owned(), "interrupted".to_owned());
        assert_eq!(history(&outcome.result("history"))[1], last);
        home.assert_sound();
    }
}

/// Whether it is the write that fails or the signal that comes: nobody reads any more, and what came is kept.
#[test]
fn a_pipe_that_is_closed_in_mid_stream_saves_the_partial() {
    for args in [&[][..], &["--json"]] {
        let (server, gate) = (Server::start(), Gate::default());
        server.on("long", Reply::words(&["the part", " more", " rest"]).gate(&gate));
        let home = Home::serving(&server, Format::OpenAi);
        let mut command = home.command(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        std::io::Write::write_all(&mut stdin, b"long\nnext\n").unwrap();
        gate.release(1);
        let mut out = child.stdout.take().unwrap();
        let mut read = Vec::new();
        while !read.ends_with(b"the part") {
            let mut byte = [0; 1];
            out.read_exact(&mut byte).unwrap();
            read.extend(byte);
        }
        drop(out);
        let id = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
        nix::sys::signal::kill(id, Signal::SIGPIPE).unwrap();
        gate.release(1);
        // stdin is still open.
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap()), (Some(0), String::new()));
        drop(stdin);
        let outcome = home.run(&["--json"], "/history\n").code(0);
        let last = ("assistant".to_owned(), "the part more".to_owned(), "interrupted".to_owned());
        assert_eq!(history(&outcome.result("history"))[1], last, "{args:?}");
        assert_eq!(server.requests().len(), 1, "nobody would read an answer to the next");
        home.assert_sound();
    }
}

#[test]
fn a_kill_leaves_what_was_on_the_disk() {
    let (server, gate) = (Server::start(), Gate::default());
    server.on("long", Reply::words(&["the part", " rest"]).gate(&gate));
    let home = Home::serving(&server, Format::OpenAi);
    let mut program = home.start(&[]);
    program.send("long");
    gate.release(1);
    program.wait_out("the part");
    home.wait_query("SELECT coalesce(sum(octet_length(text)), 0) FROM chunks", "8");
    program.kill().killed(Signal::SIGKILL).out("the part");
    home.run(&[], "").code(0).out("").err(&["[1 main] an answer was cut", "8 bytes of it are kept"]);
    home.assert_sound();
}

/// `ulimit -f` is a signal first, which would end it.
#[test]
fn a_limit_on_file_sizes_is_a_full_disk() {
    let home = Home::echo();
    home.run(&[], "before\n").code(0);
    let inner = home.command(&["--json"]);
    let mut command = std::process::Command::new("sh");
    // In halves of a KiB.
    command.arg("-c").arg("ulimit -f 1024; exec \"$0\" --json").arg(inner.get_program()).env_clear();
    inner.get_envs().filter_map(|(name, value)| Some((name, value?))).for_each(|(n, v)| _ = command.env(n, v));
    command.current_dir(home.path(""));
    let mut program = crate::program::Program::start(command);
    program.send(&"much ".repeat(200 << 10));
    let error = program.wait_event("the refusal", |e| e["event"] == "error");
    assert!(error["text"].as_str().unwrap().contains("cannot grow: free some space on its disk, or raise"), "{error}");
    program.send("after");
    assert_eq!(program.finish().code(1).named("finished")[0]["text"], "after");
    let texts = home.query("SELECT text FROM entries ORDER BY id").concat();
    assert_eq!(texts, ["before", "after"]);
    home.assert_sound();
}

#[test]
fn a_signal_while_nothing_runs_or_comes() {
    for (signal, code) in SIGNALS {
        let home = Home::echo();
        let mut program = home.start(&[]);
        program.send("/echo ready");
        program.wait_out("ready\n");
        program.signal(signal);
        program.end().code(code).out("ready\n").quiet();
    }
}

#[test]
fn a_signal_in_text_mode_leaves_what_was_printed() {
    let (server, gate) = (Server::start(), Gate::default());
    server.on("long", Reply::words(&["the part", " rest"]).gate(&gate));
    let home = Home::serving(&server, Format::OpenAi);
    let mut program = home.start(&[]);
    program.send("long");
    gate.release(1);
    program.wait_out("the part");
    program.signal(Signal::SIGINT);
    program.end().code(130).out("the part\n");
}

#[test]
fn a_cancellation_that_the_disk_does_not_take_is_tried_again() {
    let server = Server::start();
    server.on("q", Reply::status(503, "{}"));
    let home = Home::configured(&server, Format::OpenAi, "", "[retry]\ninitial_delay = \"30s\"\n");
    let mut program = home.start(&["--json"]);
    program.send("/bg q");
    program.wait_in(1, "retry");
    home.query(
        "CREATE TRIGGER full BEFORE UPDATE ON entries WHEN NEW.state = 'cancelled' BEGIN SELECT RAISE(ABORT, 'full'); END",
    );
    program.send("/cancel");
    program.wait_event("the trouble", |e| e["text"].as_str().is_some_and(|text| text.contains("tried again")));
    assert!(!program.events().iter().any(|e| e["event"] == "finished"), "it is not cancelled before it is on the disk");
    home.query("DROP TRIGGER full");
    assert_eq!(program.finish().code(0).named("finished")[0]["state"], "cancelled");
    assert_eq!(home.query("SELECT state FROM entries"), [["cancelled"]]);
}
