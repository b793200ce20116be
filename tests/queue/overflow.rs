//! Full queues, and messages that are too long: refused with a line, and nothing is dropped.

use crate::program::{Home, Program};
use crate::server::{Format, Gate, Reply, Server};
use crate::{asked, wait_of, wrong_lines};

/// #1 runs in session 1; session 2 is there and idle, and active.
fn running(server: &Server, gate: &Gate, home: &Home) -> Program {
    server.on("long", Reply::echo().gate(gate));
    let mut program = home.start(&["--json"]);
    program.send("/bg long");
    wait_of(&program, 1, "started");
    program.send("/new two");
    program
}

#[test]
fn a_full_session_refuses_for_all_or_none() {
    let (server, gate) = (Server::start(), Gate::default());
    let home = Home::configured(&server, Format::OpenAi, "", "[queue]\nmax_pending = 2\n");
    let mut program = running(&server, &gate, &home);
    ["/send 1 a", "/send 1 b", "/send 1 c", "/send all d", "/send 2 e"].iter().for_each(|line| program.send(line));
    let refused = program.wait_event("the second refusal", |e| e["event"] == "error" && e["line"] == 6);
    assert!(refused["text"].as_str().unwrap().contains("the queue of session 1 is full (2 wait)"), "{refused}");
    gate.open();
    let outcome = program.finish().code(1);
    assert_eq!(wrong_lines(&outcome), [5, 6]);
    let mut sent = asked(&server);
    sent.sort();
    assert_eq!(sent, ["a", "b", "e", "long"], "of a message to all that one has no room for, none is sent");
    assert_eq!(home.query("SELECT count(*) FROM entries"), [["4"]]);
}

#[test]
fn all_queues_together_have_a_bound() {
    let (server, gate) = (Server::start(), Gate::default());
    let home = Home::configured(&server, Format::OpenAi, "", "[queue]\nmax_pending_total = 3\nmax_concurrent = 1\n");
    let mut program = running(&server, &gate, &home);
    ["/send 1 a", "/send all b", "/send 1 c", "/bg d", "/later e", "/now f"].iter().for_each(|line| program.send(line));
    let refused = program.wait_event("the last refusal", |e| e["event"] == "error" && e["line"] == 8);
    assert!(refused["text"].as_str().unwrap().contains("(3 messages wait in all)"), "{refused}");
    gate.open();
    program.send("/wait");
    program.send("g");
    let outcome = program.finish().code(1);
    assert_eq!(wrong_lines(&outcome), [5, 6, 7, 8]);
    let mut sent = asked(&server);
    sent.sort();
    assert_eq!(sent, ["a", "b", "b", "g", "long"]);
}

#[test]
fn what_is_requeued_needs_room_as_well() {
    let (server, gate) = (Server::start(), Gate::default());
    server.on("bad", Reply::status(400, "{}"));
    let home = Home::configured(&server, Format::OpenAi, "", "[queue]\nmax_pending = 1\n");
    let mut program = home.start(&["--json"]);
    ["bad 1", "bad 2"].iter().for_each(|line| program.send(line));
    wait_of(&program, 2, "finished");
    server.on("long", Reply::echo().gate(&gate));
    program.send("/bg long");
    wait_of(&program, 3, "started");
    ["/requeue all", "/requeue 1", "/requeue 2"].iter().for_each(|line| program.send(line));
    program.wait_event("the refusal", |e| e["event"] == "error" && e["line"] == 6);
    gate.open();
    let outcome = program.finish().code(1);
    assert_eq!(wrong_lines(&outcome), [1, 2, 4, 6]);
    assert_eq!(asked(&server), ["bad 1", "bad 2", "long", "bad 1"]);
    assert_eq!(home.query("SELECT id FROM entries WHERE state = 'dead' ORDER BY id"), [["1"], ["2"]]);
}

#[test]
fn a_message_that_is_too_long_is_refused_by_every_way() {
    let server = Server::start();
    let home = Home::serving(&server, Format::OpenAi);
    let long = "x".repeat((4 << 20) + 1);
    let ways = ["", "/bg ", "/now ", "/later ", "/send 1 ", "/auto ", "/system "];
    let script: String = ways.iter().map(|way| format!("{way}{long}\n")).collect();
    let outcome = home.run(&["--json"], script + "short\n").code(1);
    assert_eq!(wrong_lines(&outcome), [1, 2, 3, 4, 5, 6, 7]);
    assert!(outcome.named("error").iter().all(|e| e["text"].as_str().unwrap().contains("4 MiB")));
    assert_eq!(asked(&server), ["short"]);
}
