//! What ends an auto-reply loop, each with its reason, and that nothing more is sent then. The fence is a message in another session:
//! what could have been sent before it would be in the server's log.

use serde_json::Value;

use crate::program::Home;
use crate::server::{End, Format, Gate, Reply, Server};
use crate::{answers, asked, assert_said, ends, wait_of, wait_said, wrong_lines};

const FENCE: &str = "/wait\n/auto\n/switch 1\n/new fence\nfence\n";

/// A loop in session 2 whose auto-replies get these answers is ended by its brake after `sent` of them.
fn check(sections: &str, options: &str, texts: &[&str], sent: usize, said: &str) {
    let server = Server::start();
    answers(&server, "go on", texts);
    let home = Home::configured(&server, Format::OpenAi, "", sections);
    let script = format!("/new two\nhello\n/auto {options}go on\n{FENCE}");
    let outcome = home.run(&["--json"], script).code(0);
    let expected = [&["hello"][..], &vec!["go on"; sent], &["fence"]].concat();
    assert_eq!(asked(&server), expected, "{options} {sections}");
    assert_said(&outcome, &format!("[2 two] auto-reply ended after {sent} of "));
    assert_said(&outcome, said);
    assert_eq!(outcome.result("auto"), Value::Null);
}

#[test]
fn brakes_that_an_answer_pulls() {
    let different = ["a", "b", "c", "d", "e"];
    check("", "--max 3 ", &different, 3, "no more are allowed (--max)");
    check("", "--max 1 ", &different, 1, "no more are allowed (--max)");
    check("[auto_reply]\nmax_turns = 2\n", "", &different, 2, "no more are allowed (--max)");
    check("[auto_reply]\nmax_turns = 1\n", "--max 2 ", &different, 2, "no more are allowed (--max)");
    // Each answer has 9 tokens in and 1 out.
    check("[auto_reply]\nmax_tokens = 21\n", "", &different, 3, "21 tokens are used");
    check("[auto_reply]\nmax_tokens = 20\n", "", &different, 2, "20 tokens are used");
    check("", "--until DONE ", &["more", "UNDONE", "it is DONE."], 3, "the answer says \"DONE\" (--until)");
    check("", "", &["a", "same", "same "], 3, "the same answer came twice");
    check(
        "[auto_reply]\nstop_on_repeat = false\n",
        "--max 4 ",
        &["x", "x", "x", "x"],
        4,
        "no more are allowed (--max)",
    );
}

#[test]
fn its_time_is_over() {
    let (server, gate) = (Server::start(), Gate::default());
    server.on("long", Reply::echo().gate(&gate));
    let home = Home::serving(&server, Format::OpenAi);
    let mut program = home.start(&["--json"]);
    // It begins while something runs, so it is judged at that one's end.
    ["/bg long", "/auto --for 1ms go on", "/sleep 2ms", "/echo slept"].iter().for_each(|line| program.send(line));
    program.wait_out("slept");
    gate.open();
    program.send("/wait");
    program.send("/new two");
    program.send("fence");
    let outcome = program.finish().code(0);
    assert_eq!(asked(&server), ["long", "fence"]);
    assert_said(&outcome, "auto-reply ended after 0 of 10: its 1 ms are over (--for)");
}

#[test]
fn a_failure_ends_it() {
    let check = |reply: Reply, state: &str| {
        let server = Server::start();
        answers(&server, "go on", &["fine"]);
        server.on("go on", reply);
        let home = Home::serving(&server, Format::OpenAi);
        let script = format!("/new two\nhello\n/auto go on\n{FENCE}");
        let outcome = home.run(&["--json"], script).code(1);
        assert_eq!(asked(&server), ["hello", "go on", "go on", "fence"]);
        assert_eq!(ends(&outcome)[2].1, state);
        assert_said(&outcome, "auto-reply ended after 2 of 10: a turn failed");
        assert_eq!(outcome.result("auto"), Value::Null);
    };
    check(Reply::status(400, r#"{"error":{"message":"no"}}"#), "failed");
    check(Reply::words(&["half"]).end(End::Truncated), "interrupted");
}

#[test]
fn a_failure_that_is_retried_does_not_end_it() {
    let server = Server::start();
    server.once("go on", Reply::status(503, "{}"));
    answers(&server, "go on", &["a", "b"]);
    let home = Home::serving(&server, Format::OpenAi);
    let outcome = home.run(&["--json"], "hello\n/auto --max 2 go on\n/wait\n").code(0);
    assert_eq!(asked(&server), ["hello", "go on", "go on", "go on"]);
    assert_said(&outcome, "auto-reply ended after 2 of 2");
}

#[test]
fn a_full_queue_ends_it_and_drops_nothing() {
    let (server, gate) = (Server::start(), Gate::default());
    server.on("long", Reply::echo().gate(&gate));
    let home = Home::configured(&server, Format::OpenAi, "", "[queue]\nmax_pending = 1\n");
    let mut program = home.start(&["--json"]);
    ["/bg long", "/auto go on", "/bg waits"].iter().for_each(|line| program.send(line));
    wait_of(&program, 2, "queued");
    gate.open();
    ["/wait", "/new two", "fence"].iter().for_each(|line| program.send(line));
    let outcome = program.finish().code(0);
    assert_eq!(asked(&server), ["long", "waits", "fence"]);
    assert_said(&outcome, "auto-reply ended after 0 of 10: the queue is full");
}

#[test]
fn auto_off_lets_the_running_one_end() {
    let (server, gate) = (Server::start(), Gate::default());
    server.on("go on", Reply::words(&["part", " rest"]).gate(&gate));
    let home = Home::serving(&server, Format::OpenAi);
    let mut program = home.start(&["--json"]);
    ["hello", "/auto go on"].iter().for_each(|line| program.send(line));
    wait_of(&program, 2, "started");
    gate.release(1);
    program.wait_text(2, "part");
    ["/auto off", "/auto off"].iter().for_each(|line| program.send(line));
    wait_said(&program, "auto-reply ended, 1 of 10 sent");
    wait_said(&program, "no auto-reply here");
    gate.open();
    ["/wait", "/auto", "/new two", "fence"].iter().for_each(|line| program.send(line));
    let outcome = program.finish().code(0);
    assert_eq!(asked(&server), ["hello", "go on", "fence"]);
    assert_eq!(ends(&outcome)[1], (2, "complete".into(), "part rest".into()));
    assert_eq!(outcome.result("auto"), Value::Null);
}

#[test]
fn a_session_that_is_put_away_or_deleted_takes_its_loop_along() {
    for away in [&["/close"][..], &["/switch 1", "/close two"], &["/switch 1", "/stop two", "/delete two"]] {
        let (server, gate) = (Server::start(), Gate::default());
        server.on("go on", Reply::words(&["part", " rest"]).gate(&gate));
        let home = Home::serving(&server, Format::OpenAi);
        let mut program = home.start(&["--json"]);
        ["/new two", "hello", "/auto go on"].iter().for_each(|line| program.send(line));
        wait_of(&program, 2, "started");
        gate.release(1);
        program.wait_text(2, "part");
        away.iter().for_each(|line| program.send(line));
        wait_of(&program, 2, "finished");
        gate.open();
        ["/wait", "fence"].iter().for_each(|line| program.send(line));
        let outcome = program.finish().code(0);
        assert_eq!(asked(&server), ["hello", "go on", "fence"], "{away:?}");
        assert_eq!(ends(&outcome)[1], (2, "cancelled".into(), "part".into()));
        assert_eq!(home.query("SELECT count(*) FROM auto_replies"), [["0"]]);
        // Opened again it does not go on by itself.
        if away.last() != Some(&"/delete two") {
            home.run(&["--json"], "/switch two\n/wait\nagain\n").code(0);
            assert_eq!(asked(&server).split_off(3), ["again"]);
        }
        home.assert_sound();
    }
}

#[test]
fn deleting_a_session_takes_the_auto_reply_that_waits_along() {
    let (server, gate) = (Server::start(), Gate::default());
    server.on("go on", Reply::words(&["part", " rest"]).gate(&gate));
    let home = Home::serving(&server, Format::OpenAi);
    let mut program = home.start(&["--json"]);
    ["/new two", "hello", "/auto go on", "/switch 1"].iter().for_each(|line| program.send(line));
    wait_of(&program, 2, "started");
    program.send("/delete two");
    program.wait_event("it answers", |e| e["event"] == "error" && e["line"] == 5);
    program.send("/hold two");
    wait_said(&program, "the queue of session 2 is held");
    gate.open();
    wait_of(&program, 3, "queued");
    ["/wait", "/delete two", "/resume all", "fence"].iter().for_each(|line| program.send(line));
    let outcome = program.finish().code(1);
    assert_eq!(wrong_lines(&outcome), [5]);
    assert_eq!(asked(&server), ["hello", "go on", "fence"]);
    assert_eq!(home.query("SELECT count(*) FROM auto_replies"), [["0"]]);
    home.assert_sound();
}

#[test]
fn a_new_loop_takes_the_place_of_the_old_one() {
    let (server, gate) = (Server::start(), Gate::default());
    server.on("first", Reply::words(&["part", " rest"]).gate(&gate));
    answers(&server, "second", &["a", "b"]);
    let home = Home::serving(&server, Format::OpenAi);
    let mut program = home.start(&["--json"]);
    ["hello", "/auto first"].iter().for_each(|line| program.send(line));
    wait_of(&program, 2, "started");
    program.send("/auto --max 2 second");
    wait_said(&program, "auto-reply begins after the next answer, 2 at most");
    gate.open();
    let outcome = program.finish().code(0);
    assert_eq!(asked(&server), ["hello", "first", "second", "second"]);
    assert_said(&outcome, "auto-reply ended after 2 of 2");
}
