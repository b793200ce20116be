//! One slot, two sessions: a message in the active one takes it from a `low` answer of the other, which goes on later from where it was.

use nix::sys::signal::Signal;

use crate::program::{Home, Program, history, turns};
use crate::server::{Format, Gate, Reply, Server};
use crate::{asked, assert_said, ends, wait_of, wait_said, wrong_lines};

const ONE_SLOT: &str = "[queue]\nmax_concurrent = 1\n";

/// Session 2 streams its `low` entry #1, which has brought `one two `; session 1 is active. What goes on from there ends the answer.
fn streaming(server: &Server, gate: &Gate, home: &Home, entry: &str) -> Program {
    server.once("long", Reply::words(&["one ", "two ", "three"]).gate(gate));
    server.on("long", Reply::words(&["three ", "four"]));
    let mut program = home.start(&["--json"]);
    ["/new two", entry, "/switch 1"].iter().for_each(|line| program.send(line));
    wait_of(&program, 1, "started");
    gate.release(2);
    program.wait_text(1, "one two ");
    program
}

fn home(server: &Server) -> Home {
    Home::configured(server, Format::Ollama, "", ONE_SLOT)
}

const KEPT: &str = "SELECT text, seams, state FROM messages WHERE role = 'assistant' AND session_id = 2 ORDER BY id";

#[test]
fn a_low_answer_gives_way_and_goes_on_whole() {
    let (server, gate) = (Server::start(), Gate::default());
    let home = home(&server);
    let mut program = streaming(&server, &gate, &home, "/later long");
    ["quick", "/switch 2", "/history", "/stats all"].iter().for_each(|line| program.send(line));
    let outcome = program.finish().code(0);
    assert_eq!(asked(&server), ["long", "quick", "long"]);
    assert_eq!(server.requests()[2].turns(), turns(&[("user", "long"), ("assistant", "one two ")]));
    let whole = "one two three four";
    assert_eq!(ends(&outcome), [(2, "complete".into(), "echo: quick".into()), (1, "complete".into(), whole.into())]);
    assert_said(&outcome, "[2 two] #1 gave its slot to session 1 and goes on from its partial answer later");
    assert_eq!(home.query(KEPT), [[whole, "8", "complete"]]);
    assert_eq!(server.max_open(), 1);
    let attempts: Vec<_> = outcome.named("started").iter().map(|e| e["attempt"].clone()).collect();
    assert_eq!(attempts, [1, 1, 1], "giving way costs no attempt");
}

#[test]
fn it_goes_on_behind_what_was_answered_in_its_session_meanwhile() {
    let (server, gate) = (Server::start(), Gate::default());
    let hold = Gate::default();
    server.once("quick", Reply::echo().gate(&hold));
    let home = home(&server);
    let mut program = streaming(&server, &gate, &home, "/later long");
    program.send("/bg quick");
    wait_of(&program, 2, "started");
    // Normal goes before what goes on and is low.
    program.send("/send 2 between");
    wait_of(&program, 3, "queued");
    program.send("/queue all");
    program.wait_event("the queue", |e| e["command"] == "queue");
    hold.open();
    ["/wait", "/switch 2", "after", "/history"].iter().for_each(|line| program.send(line));
    let outcome = program.finish().code(0);
    assert_eq!(asked(&server), ["long", "quick", "between", "long", "after"]);
    let log = server.requests();
    assert_eq!(log[2].turns(), turns(&[("user", "between")]), "what waits is not part of other turns");
    let between = [("user", "between"), ("assistant", "echo: between")];
    let expected = [&between[..], &[("user", "long"), ("assistant", "one two ")]].concat();
    assert_eq!(log[3].turns(), turns(&expected));
    let whole = "one two three four";
    let all = [&between[..], &[("user", "long"), ("assistant", whole), ("user", "after")]].concat();
    assert_eq!(log[4].turns(), turns(&all));
    assert_eq!(home.query(KEPT)[1], [whole, "8", "complete"]);
    assert_eq!(history(&outcome.result("history")).len(), 6, "each once");
    let queue = outcome.result("queue");
    let long = queue.as_array().unwrap().iter().find(|e| e["entry"] == 1).unwrap().clone();
    assert_eq!((&long["continues"], &long["answer_bytes"], &long["position"]), (&true.into(), &8.into(), &2.into()));
    assert_eq!((&long["waits_for"], &long["attempts"]), (&"turn".into(), &0.into()));
}

#[test]
fn what_may_not_give_way_does_not() {
    let check = |sections: &str, entry: &str| {
        let (server, gate) = (Server::start(), Gate::default());
        let home = Home::configured(&server, Format::Ollama, "", sections);
        let mut program = streaming(&server, &gate, &home, entry);
        program.send("/bg quick");
        wait_of(&program, 2, "queued");
        gate.open();
        let outcome = program.finish().code(0);
        assert_eq!(asked(&server), ["long", "quick"], "{entry} {sections}");
        assert_eq!(ends(&outcome)[0], (1, "complete".into(), "one two three".into()));
    };
    check(ONE_SLOT, "/bg long");
    check(&format!("{ONE_SLOT}preempt = \"never\"\n"), "/later long");
    // There is a slot.
    let (server, gate) = (Server::start(), Gate::default());
    let home = Home::configured(&server, Format::Ollama, "", "[queue]\nmax_concurrent = 2\n");
    let mut program = streaming(&server, &gate, &home, "/later long");
    program.send("quick");
    wait_of(&program, 2, "finished");
    gate.open();
    program.finish().code(0);
    assert_eq!((asked(&server), server.max_open()), (vec!["long".to_owned(), "quick".to_owned()], 2));
}

#[test]
fn a_low_message_of_the_active_session_takes_no_slot() {
    let (server, gate) = (Server::start(), Gate::default());
    let home = home(&server);
    let mut program = streaming(&server, &gate, &home, "/later long");
    program.send("/later quick");
    wait_of(&program, 2, "queued");
    gate.open();
    program.finish().code(0);
    assert_eq!(asked(&server), ["long", "quick"]);
}

#[test]
fn an_auto_reply_gives_way_unless_it_may_not_be_interrupted() {
    for allowed in [true, false] {
        let (server, gate) = (Server::start(), Gate::default());
        let sections = format!("{ONE_SLOT}[auto_reply]\nallow_interruption = {allowed}\n");
        let home = Home::configured(&server, Format::Ollama, "", &sections);
        server.once("long", Reply::words(&["one ", "two ", "three"]).gate(&gate));
        server.on("long", Reply::words(&["three"]));
        let mut program = home.start(&["--json"]);
        ["/new two", "hello", "/auto --max 1 long", "/switch 1"].iter().for_each(|line| program.send(line));
        wait_of(&program, 2, "started");
        gate.release(2);
        program.wait_text(2, "one two ");
        program.send("/bg quick");
        wait_of(&program, 3, "queued");
        if allowed {
            wait_of(&program, 3, "finished");
        }
        gate.open();
        let outcome = program.finish().code(0);
        let expected = if allowed { &["hello", "long", "quick", "long"][..] } else { &["hello", "long", "quick"] };
        assert_eq!(asked(&server), expected, "allowed: {allowed}");
        let long = ends(&outcome).into_iter().find(|(entry, ..)| *entry == 2).unwrap();
        assert_eq!(long, (2, "complete".into(), "one two three".into()));
        assert_said(&outcome, "auto-reply ended after 1 of 1");
    }
}

#[test]
fn kill_9_before_it_goes_on() {
    let (server, gate, hold) = (Server::start(), Gate::default(), Gate::default());
    server.once("quick", Reply::words(&["said", " more"]).gate(&hold));
    let home = home(&server);
    let mut program = streaming(&server, &gate, &home, "/later long");
    program.send("/bg quick");
    hold.release(1);
    program.wait_text(2, "said");
    home.wait_query("SELECT count(*) FROM chunks WHERE text = 'said'", "1");
    program.kill().killed(Signal::SIGKILL);
    home.run(&[], "").code(0).out("").err(&["an answer was cut", "1 message waits, held (2 two)"]);
    assert_eq!(server.requests().len(), 2);
    let outcome = home.run(&["--json"], "/queue all\n/resume all\n/wait\n").code(0);
    assert_eq!(outcome.result("queue")[0]["continues"], true);
    assert_eq!(server.requests()[2].turns(), turns(&[("user", "long"), ("assistant", "one two ")]));
    assert_eq!(ends(&outcome), [(1, "complete".into(), "one two three four".into())]);
    assert_eq!(home.query(KEPT), [["one two three four", "8", "complete"]]);
    home.assert_sound();
}

#[test]
fn what_gave_way_can_be_dropped() {
    let (server, gate, hold) = (Server::start(), Gate::default(), Gate::default());
    server.once("quick", Reply::echo().gate(&hold));
    let home = home(&server);
    let mut program = streaming(&server, &gate, &home, "/later long");
    program.send("/bg quick");
    wait_of(&program, 2, "started");
    program.send("/drop #1");
    wait_of(&program, 1, "finished");
    hold.open();
    ["/wait", "/send 2 after", "/wait"].iter().for_each(|line| program.send(line));
    program.finish().code(0);
    assert_eq!(asked(&server), ["long", "quick", "after"]);
    // Dropped, it is an answer that was interrupted.
    let sent = [("user", "long"), ("assistant", "one two "), ("user", "after")];
    assert_eq!(server.requests()[2].turns(), turns(&sent));
    home.assert_sound();
}

#[test]
fn one_that_gave_way_too_often_gets_done() {
    let (server, gate) = (Server::start(), Gate::default());
    let home = home(&server);
    server.on("long", Reply::words(&["x "]).gate(&gate));
    let mut program = home.start(&["--json"]);
    ["/new two", "/later long", "/switch 1"].iter().for_each(|line| program.send(line));
    // Each time it brings one word and waits for its end.
    for nth in 1..=3 {
        gate.release(1);
        program.wait_text(1, &"x ".repeat(nth));
        program.send("quick");
        program.wait_event("its answer", |e| e["event"] == "finished" && e["entry"] == nth + 1);
    }
    gate.release(1);
    program.wait_text(1, &"x ".repeat(4));
    program.send("/bg quick");
    wait_of(&program, 5, "queued");
    gate.open();
    let outcome = program.finish().code(0);
    assert_eq!(asked(&server), ["long", "quick", "long", "quick", "long", "quick", "long", "quick"]);
    assert_eq!(ends(&outcome)[3], (1, "complete".into(), "x x x x ".into()));
    assert_eq!(home.query(KEPT), [["x x x x ", "2 4 6", "complete"]]);
}

#[test]
fn nothing_is_put_before_what_goes_on() {
    let (server, gate, hold) = (Server::start(), Gate::default(), Gate::default());
    server.once("quick", Reply::echo().gate(&hold));
    let home = home(&server);
    let mut program = streaming(&server, &gate, &home, "/later long");
    program.send("/bg quick");
    wait_of(&program, 2, "started");
    ["/switch 2", "/later low", "/bg normal", "/switch 1"].iter().for_each(|line| program.send(line));
    ["/move 3 before 1", "/move 1 after 3", "/move 1 after 4"].iter().for_each(|line| program.send(line));
    program.wait_event("the last error", |e| e["event"] == "error" && e["line"] == 11);
    program.send("/move 4 after 1");
    wait_said(&program, "#4 after #1, and is low now");
    hold.open();
    let outcome = program.finish().code(1);
    assert_eq!(wrong_lines(&outcome), [9, 10, 11]);
    assert_eq!(asked(&server), ["long", "quick", "long", "normal", "low"]);
}
