//! Who comes next in a session with an auto-reply loop.

use serde_json::Value;

use crate::program::{Home, Program, history};
use crate::server::{Format, Gate, Reply, Server};
use crate::{asked, ends, wait_of};

/// `hello` is answered, and #2, the first auto-reply, has brought `part`.
fn looping(server: &Server, gate: &Gate, home: &Home, options: &str) -> Program {
    server.on("go on", Reply::words(&["part", " rest"]).gate(gate));
    let mut program = home.start(&["--json"]);
    program.send("hello");
    program.send(&format!("/auto {options}go on"));
    wait_of(&program, 2, "started");
    gate.release(1);
    program.wait_text(2, "part");
    program
}

#[test]
fn a_person_comes_before_the_next_auto_reply_and_stop_ends_it() {
    for format in Format::ALL {
        let (server, gate) = (Server::start(), Gate::default());
        let home = Home::serving(&server, format);
        let mut program = looping(&server, &gate, &home, "");
        ["/bg one", "/bg two", "/now urgent"].iter().for_each(|line| program.send(line));
        wait_of(&program, 6, "started");
        gate.release(1);
        program.wait_text(6, "part");
        ["/stop", "/auto", "/history 99", "/new other", "fence", "/queue all"].iter().for_each(|l| program.send(l));
        let outcome = program.finish().code(0);
        assert_eq!(asked(&server), ["hello", "go on", "urgent", "one", "two", "go on", "fence"], "{format:?}");
        let ended = ends(&outcome);
        assert_eq!(ended[1], (2, "interrupted".into(), "part".into()));
        assert_eq!(ended[2], (5, "complete".into(), "echo: urgent".into()));
        assert_eq!(ended[5], (6, "cancelled".into(), "part".into()));
        assert_eq!(ended.len(), 7, "each ends once: {ended:?}");
        let urgent = server.requests()[2].turns();
        assert_eq!(urgent[3], ("assistant".into(), "part".into()), "the model sees the partial");
        let kept = history(&outcome.result("history"));
        assert_eq!(kept[3], ("assistant".into(), "part".into(), "interrupted".into()));
        assert_eq!(outcome.result("auto"), serde_json::Value::Null);
        assert_eq!(outcome.result("queue").as_array().unwrap().len(), 0);
        assert_eq!(home.query("SELECT count(*) FROM auto_replies"), [["0"]]);
    }
}

#[test]
fn where_interruptions_are_not_allowed_the_auto_reply_ends_first() {
    let (server, gate) = (Server::start(), Gate::default());
    let home = Home::configured(&server, Format::OpenAi, "", "[auto_reply]\nallow_interruption = false\n");
    let mut program = looping(&server, &gate, &home, "--max 1 ");
    program.send("/now urgent");
    wait_of(&program, 3, "queued");
    gate.open();
    let outcome = program.finish().code(0);
    let expected = [(1, "echo: hello"), (2, "part rest"), (3, "echo: urgent")];
    let expected = expected.map(|(entry, text)| (entry, "complete".to_owned(), text.to_owned()));
    assert_eq!(ends(&outcome), expected);
}

#[test]
fn the_place_of_auto_replies_is_configuration() {
    let check = |position: &str, expected: &[&str]| {
        let (server, gate) = (Server::start(), Gate::default());
        let sections = format!("[auto_reply]\nqueue_position = \"{position}\"\nstop_on_repeat = false\n");
        let home = Home::configured(&server, Format::OpenAi, "", &sections);
        let mut program = looping(&server, &gate, &home, "--max 2 ");
        ["/bg normal", "/later low", "/now high"].iter().for_each(|line| program.send(line));
        wait_of(&program, 5, "queued");
        gate.open();
        let outcome = program.finish().code(0);
        assert_eq!(asked(&server), expected, "{position}: {:#?}", outcome.events());
    };
    check("after_normal", &["hello", "go on", "high", "normal", "low", "go on"]);
    check("before_normal", &["hello", "go on", "high", "go on", "normal", "low"]);
}

#[test]
fn an_auto_reply_that_waits_is_not_queued_twice() {
    let (server, gate) = (Server::start(), Gate::default());
    let home = Home::configured(&server, Format::OpenAi, "", "[auto_reply]\nstop_on_repeat = false\n");
    let mut program = looping(&server, &gate, &home, "--max 3 ");
    // #2 ends, #6 is queued behind three others, each of which ends an answer too.
    ["/bg one", "/bg two", "/bg three"].iter().for_each(|line| program.send(line));
    wait_of(&program, 5, "queued");
    gate.open();
    let outcome = program.finish().code(0);
    assert_eq!(asked(&server), ["hello", "go on", "one", "two", "three", "go on", "go on"]);
    let autos: Vec<_> =
        outcome.events().into_iter().filter(|e| e["event"] == "queued" && e["origin"] == "auto").collect();
    assert_eq!(autos.len(), 3);
    assert!(autos.iter().all(|e| e["priority"] == "low"));
}

#[test]
fn the_place_of_auto_replies_is_seen_in_the_queue_and_kept_by_moves() {
    let check = |position: &str, order: [i64; 2], refused: bool| {
        let (server, gate) = (Server::start(), Gate::default());
        let sections = format!("[auto_reply]\nqueue_position = \"{position}\"\nstop_on_repeat = false\n");
        let home = Home::configured(&server, Format::OpenAi, "", &sections);
        let mut program = looping(&server, &gate, &home, "--max 2 ");
        ["/hold", "/bg normal"].iter().for_each(|line| program.send(line));
        wait_of(&program, 3, "queued");
        gate.open();
        wait_of(&program, 2, "finished");
        ["/queue", "/move 3 before 4"].iter().for_each(|line| program.send(line));
        let outcome = program.finish();
        let numbers = |queue: &[Value]| queue.iter().map(|e| e["entry"].as_i64().unwrap()).collect::<Vec<_>>();
        assert_eq!(numbers(outcome.result("queue").as_array().unwrap()), order, "{position}");
        assert_eq!(outcome.named("error").iter().any(|e| e["line"] == 6), refused, "{:?}", outcome.named("error"));
        // What only looks shows it so, too; a move among equals has been made.
        let listed = home.run(&["queue", "--json"], "").code(0);
        let listed: Vec<Value> = listed.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(numbers(&listed), order, "{position}");
    };
    check("after_normal", [3, 4], false);
    check("before_normal", [4, 3], true);
}
