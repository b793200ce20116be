//! Auto-reply loops over ends and starts of the program, in the background, and beside what fails.

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::program::{Home, Program};
use crate::server::{Format, Gate, Reply, Server};
use crate::{answers, asked, assert_said, ends, notices, wait_of, wait_said};

/// `hello`, then a loop of three whose first auto-reply has brought `part`; the next ones are answered `a`, `b`.
fn in_the_middle(server: &Server, gate: &Gate, home: &Home) -> Program {
    server.once("go on", Reply::words(&["part", " rest"]).gate(gate));
    answers(server, "go on", &["a", "b"]);
    let mut program = home.start(&["--json"]);
    ["hello", "/auto --max 3 go on"].iter().for_each(|line| program.send(line));
    wait_of(&program, 2, "started");
    gate.release(1);
    program.wait_text(2, "part");
    program
}

/// The last turn's partial is on the disk.
fn on_disk(home: &Home) {
    home.wait_query("SELECT count(*) FROM chunks WHERE text = 'part'", "1");
}

fn resumes_at_start(home: &Home) {
    let config = std::fs::read_to_string(home.path("config/chatmux/config.toml")).unwrap();
    home.configure(&format!("on_start = \"resume\"\n{config}"));
}

/// Ends the program somehow in mid-loop.
fn check_goes_on(end: impl Fn(Program, &Home)) {
    for by_itself in [false, true] {
        let (server, gate) = (Server::start(), Gate::default());
        let home = Home::serving(&server, Format::OpenAi);
        end(in_the_middle(&server, &gate, &home), &home);
        let outcome = if by_itself {
            resumes_at_start(&home);
            home.run(&["--json"], "").code(0)
        } else {
            let start = home.run(&[], "").code(0).out("");
            let start = start.err(&["[1 main] auto-reply (go on) pauses, 1 of 3 sent: /resume 1"]);
            assert_eq!(start.err.matches("auto-reply").count(), 1, "{}", start.err);
            let outcome = home.run(&["--json"], "/auto\n").code(0);
            assert_eq!(
                (&outcome.result("auto")["turns"], &outcome.result("auto")["max_turns"]),
                (&1.into(), &3.into())
            );
            assert_eq!(asked(&server), ["hello", "go on"], "nothing is sent unasked");
            home.run(&["--json"], "/resume\n/wait\n").code(0)
        };
        assert_eq!(asked(&server), ["hello", "go on", "go on", "go on"], "the count goes on");
        assert_said(&outcome, "auto-reply ended after 3 of 3");
        assert_eq!(server.requests()[2].turns()[3], ("assistant".into(), "part".into()));
        home.run(&[], "/resume all\n/wait\n").code(0).quiet_of_loops();
        assert_eq!(server.requests().len(), 4);
        home.assert_sound();
    }
}

trait Quiet {
    fn quiet_of_loops(self);
}

impl Quiet for crate::program::Outcome {
    fn quiet_of_loops(self) {
        assert!(!self.err.contains("auto-reply"), "{}", self.err);
    }
}

#[test]
fn a_loop_goes_on_after_quit() {
    check_goes_on(|mut program, _| {
        program.send("/quit");
        program.end().code(0);
    });
}

#[test]
fn a_loop_goes_on_after_kill_9() {
    check_goes_on(|program, home| {
        on_disk(home);
        program.kill().killed(Signal::SIGKILL);
    });
}

#[test]
fn a_loop_goes_on_after_a_signal() {
    check_goes_on(|program, _| {
        program.signal(Signal::SIGTERM);
        program.end().code(143);
    });
}

#[test]
fn an_auto_reply_that_was_asked_but_not_answered_is_held_and_sent_once() {
    let (server, gate) = (Server::start(), Gate::default());
    server.once("go on", Reply::echo().gate_headers(&gate));
    answers(&server, "go on", &["a", "b"]);
    let home = Home::serving(&server, Format::OpenAi);
    let mut program = home.start(&["--json"]);
    ["hello", "/auto --max 2 go on"].iter().for_each(|line| program.send(line));
    server.wait_requests(2);
    program.kill().killed(Signal::SIGKILL);
    home.run(&[], "").code(0).out("").err(&["1 message waits, held"]);
    assert_eq!(server.requests().len(), 2);
    let outcome = home.run(&["--json"], "/resume\n/wait\n").code(0);
    assert_eq!(asked(&server), ["hello", "go on", "go on", "go on"]);
    let entries = home.query("SELECT count(*), sum(state = 'done') FROM entries WHERE origin = 'auto'");
    assert_eq!(entries, [["2", "2"]], "one was asked again, and one followed");
    assert_said(&outcome, "auto-reply ended after 2 of 2");
}

#[test]
fn a_loop_that_was_stopped_stays_stopped() {
    let (server, gate) = (Server::start(), Gate::default());
    let home = Home::serving(&server, Format::OpenAi);
    let mut program = in_the_middle(&server, &gate, &home);
    program.send("/stop");
    wait_said(&program, "auto-reply ended, 1 of 3 sent");
    program.kill().killed(Signal::SIGKILL);
    resumes_at_start(&home);
    home.run(&["--json"], "/resume all\n/wait\n").code(0);
    assert_eq!(asked(&server), ["hello", "go on"]);
}

#[test]
fn a_loop_in_the_background_goes_on_while_one_works_elsewhere() {
    let (server, gate) = (Server::start(), Gate::default());
    let home = Home::serving(&server, Format::OpenAi);
    let mut program = in_the_middle(&server, &gate, &home);
    ["/new two", "here", "/wait two"].iter().for_each(|line| program.send(line));
    wait_of(&program, 3, "finished");
    gate.open();
    program.send("/wait");
    let outcome = program.finish().code(0);
    let texts: Vec<_> = ends(&outcome).into_iter().map(|(_, _, text)| text).collect();
    assert_eq!(texts, ["echo: hello", "echo: here", "part rest", "a", "b"]);
    assert_said(&outcome, "[1 main] auto-reply ended after 3 of 3");
    let log = server.requests();
    assert_eq!(log[2].turns().len(), 1, "each has its own conversation");
}

#[test]
fn stop_names_the_session_of_a_loop_or_all() {
    for stop in ["/stop main", "/stop all"] {
        let (server, gate) = (Server::start(), Gate::default());
        let home = Home::serving(&server, Format::OpenAi);
        let mut program = in_the_middle(&server, &gate, &home);
        ["/new two", stop, "/switch 1", "/auto", "/switch 2", "fence"].iter().for_each(|line| program.send(line));
        let outcome = program.finish().code(0);
        assert_eq!(asked(&server), ["hello", "go on", "fence"], "{stop}");
        assert_eq!(outcome.result("auto"), Value::Null);
    }
}

#[test]
fn a_loop_may_begin_before_the_first_answer_and_shows_how_it_stands() {
    let server = Server::start();
    answers(&server, "go on", &["a", "b", "c"]);
    let home = Home::serving(&server, Format::OpenAi);
    let script =
        "/auto --max 3 --until DONE --for 1h go on \"quoted\"\n/auto\n/wait\n/echo nothing yet\nhello\n/wait\n";
    let outcome = home.run(&["--json"], script).code(0);
    let auto = outcome.result("auto");
    assert_eq!((&auto["session"], &auto["text"], &auto["turns"]), (&1.into(), &"go on \"quoted\"".into(), &0.into()));
    assert_eq!((&auto["until"], &auto["max_time_ms"], &auto["tokens"]), (&"DONE".into(), &3_600_000.into(), &0.into()));
    assert_eq!(asked(&server), ["hello", "go on \"quoted\"", "go on \"quoted\"", "go on \"quoted\""]);
    assert_eq!(notices(&outcome).iter().filter(|text| text.contains("auto-reply ended")).count(), 1);
}

#[test]
fn tokens_and_the_last_answer_are_counted_over_a_restart() {
    let (server, gate) = (Server::start(), Gate::default());
    answers(&server, "go on", &["same"]);
    server.once("go on", Reply::words(&["part", " rest"]).gate(&gate));
    answers(&server, "go on", &["same", "never"]);
    let home = Home::serving(&server, Format::OpenAi);
    let mut program = home.start(&["--json"]);
    ["hello", "/auto go on"].iter().for_each(|line| program.send(line));
    wait_of(&program, 3, "started");
    gate.release(1);
    program.wait_text(3, "part");
    on_disk(&home);
    program.kill().killed(Signal::SIGKILL);
    let outcome = home.run(&["--json"], "/auto\n").code(0);
    assert_eq!((&outcome.result("auto")["turns"], &outcome.result("auto")["tokens"]), (&2.into(), &10.into()));
    let outcome = home.run(&["--json"], "/resume\n/wait\n").code(0);
    assert_said(&outcome, "the same answer came twice");
    assert_eq!(server.requests().len(), 4);
}

#[test]
fn a_loop_that_has_sent_nothing_yet_goes_on_with_its_session_and_is_waited_for() {
    for _ in 0..10 {
        let server = Server::start();
        answers(&server, "go on", &["a", "b"]);
        let home = Home::serving(&server, Format::OpenAi);
        let script = "hello\n/hold\n/bg dropped\n/auto --max 2 go on\n/drop 2\n/resume\n/wait\n/auto\n";
        let outcome = home.run(&["--json"], script).code(0);
        assert_eq!(asked(&server), ["hello", "go on", "go on"]);
        assert_eq!(outcome.result("auto"), Value::Null);
    }
}
