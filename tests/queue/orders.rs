//! What a person changes of what waits, as the server sees it.

use serde_json::{Value, json};

use crate::program::{Home, Program, turns};
use crate::server::{Format, Gate, Reply, Server};
use crate::{asked, assert_said, ends, wait_of, wrong_lines};

/// #1 runs; the others wait behind it: `m2` … `m6`.
fn waiting(server: &Server, gate: &Gate, home: &Home) -> Program {
    server.on("long", Reply::echo().gate(gate));
    let mut program = home.start(&["--json"]);
    program.send("/bg long");
    wait_of(&program, 1, "started");
    (2..=6).for_each(|n| program.send(&format!("/bg m{n}")));
    wait_of(&program, 6, "queued");
    program
}

/// The order of service after these commands, and the lines that were wrong (the first command is line 7).
fn check(commands: &[&str], expected: &[&str], wrong: &[i64]) {
    let (server, gate) = (Server::start(), Gate::default());
    let home = Home::serving(&server, Format::OpenAi);
    let mut program = waiting(&server, &gate, &home);
    commands.iter().for_each(|line| program.send(line));
    program.send("/echo done");
    program.wait_out("\"done\"");
    gate.open();
    let outcome = program.finish().code(if wrong.is_empty() { 0 } else { 1 });
    assert_eq!(asked(&server)[1..], *expected, "{commands:?}");
    assert_eq!(wrong_lines(&outcome), wrong, "{commands:?}: {:?}", outcome.named("error"));
}

#[test]
fn move_and_priority_change_the_order_at_the_server() {
    check(&["/move 5 before 3"], &["m2", "m5", "m3", "m4", "m6"], &[]);
    check(&["/move #2 after #6"], &["m3", "m4", "m5", "m6", "m2"], &[]);
    check(&["/move 6 before 2", "/move 5 after 6", "/bg m7"], &["m6", "m5", "m2", "m3", "m4", "m7"], &[]);
    check(&["/move 3 before 4"], &["m2", "m3", "m4", "m5", "m6"], &[]);
    check(&["/priority 4 high", "/priority 2 low"], &["m4", "m3", "m5", "m6", "m2"], &[]);
    check(&["/priority 4 high", "/move 6 before 4"], &["m6", "m4", "m2", "m3", "m5"], &[]);
    check(&["/priority 4 high", "/move 6 after 4", "/priority 4 normal"], &["m6", "m2", "m3", "m4", "m5"], &[]);
    check(&["/hold #2 #3", "/hold #9", "/resume #3"], &["m3", "m4", "m5", "m6"], &[8, 2]);
}

#[test]
fn what_cannot_be_changed_is_an_error_and_changes_nothing() {
    let order = ["m2", "m3", "m4", "m5", "m6"];
    check(&["/move 1 before 3", "/move 3 before 1", "/move 99 before 2", "/move 2 after 99"], &order, &[7, 8, 9, 10]);
    check(&["/move 2 before 2", "/move 2 beside 3", "/move 2"], &order, &[7, 8, 9]);
    check(&["/priority 1 high", "/priority 99 low", "/priority 2 urgent"], &order, &[7, 8, 9]);
    check(
        &["/hold #1", "/hold #2 #99", "/drop 2 99", "/drop 2 1", "/requeue 2", "/requeue 99"],
        &order,
        &[7, 8, 9, 10, 11, 12],
    );
    check(&["/retry"], &order, &[7]);
}

#[test]
fn entries_are_moved_within_their_session() {
    let (server, gate) = (Server::start(), Gate::default());
    let home = Home::serving(&server, Format::OpenAi);
    let mut program = waiting(&server, &gate, &home);
    ["/new two", "/hold", "/bg other", "/move 7 before 2", "/resume"].iter().for_each(|line| program.send(line));
    let error = program.wait_event("the error", |e| e["event"] == "error" && e["line"] == 10);
    assert!(error["text"].as_str().unwrap().contains("different sessions"), "{error}");
    gate.open();
    program.finish().code(1);
}

#[test]
fn what_is_held_by_itself_lets_the_others_pass_and_goes_on_later() {
    let (server, gate) = (Server::start(), Gate::default());
    let home = Home::serving(&server, Format::OpenAi);
    let mut program = waiting(&server, &gate, &home);
    ["/hold #2 #4", "/queue all"].iter().for_each(|line| program.send(line));
    let queue = program.wait_event("the queue", |e| e["command"] == "queue")["data"].clone();
    let rows: Vec<_> = queue
        .as_array()
        .unwrap()
        .iter()
        .map(|e| json!([e["entry"], e["position"], e["waits_for"], e["held"]]))
        .collect();
    let expected = [
        json!([1, Value::Null, Value::Null, false]),
        json!([2, 1, "held", true]),
        json!([3, 2, "turn", false]),
        json!([4, 3, "held", true]),
        json!([5, 4, "turn", false]),
        json!([6, 5, "turn", false]),
    ];
    assert_eq!(rows, expected);
    gate.open();
    ["/wait", "/echo waited", "/resume #4", "/wait", "/resume"].iter().for_each(|line| program.send(line));
    program.finish().code(0);
    assert_eq!(asked(&server), ["long", "m3", "m5", "m6", "m4", "m2"]);
}

/// `bad` fails for good until the server has learned better.
fn dead(server: &Server, home: &Home) {
    ["bad one", "bad two"]
        .iter()
        .for_each(|text| server.once(text, Reply::status(400, r#"{"error":{"message":"no"}}"#)));
    let script = "bad one\n/new two\nbad two\nfine\n/dead all\n";
    let outcome = home.run(&["--json"], script).code(1);
    assert_eq!(wrong_lines(&outcome), [1, 3]);
    let data = outcome.result("dead");
    let rows: Vec<_> =
        data.as_array().unwrap().iter().map(|e| (&e["entry"], &e["state"], &e["error"]["status"])).collect();
    assert_eq!(rows, [(&1.into(), &"dead".into(), &400.into()), (&2.into(), &"dead".into(), &400.into())]);
}

#[test]
fn dead_letters_are_requeued_one_or_all() {
    for (script, expected) in [
        ("/requeue 1\n/wait\n", &["bad one"][..]),
        ("/requeue #2 1\n/wait\n", &["bad one", "bad two"]),
        ("/requeue all\n/wait\n/requeue all\n", &["bad one", "bad two"]),
    ] {
        let server = Server::start();
        let home = Home::serving(&server, Format::OpenAi);
        dead(&server, &home);
        let outcome = home.run(&["--json"], script).code(0);
        let mut sent = asked(&server).split_off(3);
        sent.sort();
        assert_eq!(sent, expected, "{script}");
        assert!(ends(&outcome).iter().all(|(_, state, _)| state == "complete"));
        assert!(outcome.named("started").iter().all(|e| e["attempt"] == 1), "attempts begin anew");
        let left = home.query("SELECT count(*) FROM entries WHERE state = 'dead'");
        assert_eq!(left, [[(2 - expected.len()).to_string()]]);
    }
}

#[test]
fn a_requeued_message_stands_where_it_is_asked() {
    let server = Server::start();
    let home = Home::serving(&server, Format::OpenAi);
    dead(&server, &home);
    home.run(&["--json"], "/switch 2\n/requeue 2\n/wait\nlast\n").code(0);
    let log = server.requests();
    let sent = [("user", "fine"), ("assistant", "echo: fine"), ("user", "bad two")];
    assert_eq!(log[3].turns(), turns(&sent), "it is asked now, behind what was answered meanwhile");
    let answered = [("assistant", "echo: bad two"), ("user", "last")];
    assert_eq!(log[4].turns(), turns(&[&sent[..], &answered].concat()));
}

#[test]
fn a_dead_letter_is_dropped_by_its_number() {
    let server = Server::start();
    let home = Home::serving(&server, Format::OpenAi);
    dead(&server, &home);
    let outcome = home.run(&["--json"], "/drop 2\n/drop 2\n/requeue 2\n/requeue all\n/wait\n/dead all\n").code(1);
    assert_eq!(wrong_lines(&outcome), [2, 3]);
    assert_eq!(asked(&server).split_off(3), ["bad one"]);
    assert_eq!(outcome.result("dead"), json!([]));
    assert_eq!(home.query("SELECT state FROM entries ORDER BY id"), [["done"], ["cancelled"], ["done"]]);
}

#[test]
fn retry_asks_again_what_failed_or_was_answered() {
    let server = Server::start();
    server.once("why", Reply::status(400, "{}"));
    let home = Home::serving(&server, Format::OpenAi);
    let outcome = home.run(&["--json"], "/retry\nwhy\n/retry\n/retry\n/history\n").code(1);
    assert_eq!(wrong_lines(&outcome), [2]);
    assert_said(&outcome, "nothing was asked here yet");
    let ended: Vec<_> = ends(&outcome).into_iter().map(|(entry, state, _)| (entry, state)).collect();
    assert_eq!(ended, [(1, "failed".into()), (1, "complete".into()), (2, "complete".into())]);
    let log = server.requests();
    assert_eq!(log[1].turns(), turns(&[("user", "why")]));
    assert_eq!(log[2].turns(), turns(&[("user", "why"), ("assistant", "echo: why"), ("user", "why")]));
}

#[test]
fn an_entry_that_is_let_go_in_a_held_queue_says_what_holds_it() {
    let (server, gate) = (Server::start(), Gate::default());
    let home = Home::serving(&server, Format::OpenAi);
    let mut program = waiting(&server, &gate, &home);
    ["/hold #3", "/hold", "/resume #3 #4"].iter().for_each(|line| program.send(line));
    gate.open();
    let outcome = program.finish();
    let last = outcome.named("notice").last().unwrap()["text"].clone();
    assert_eq!(last, "#3 is not held by itself any more, but the queue of session 1 is held, /resume 1 goes on");
}
