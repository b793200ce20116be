//! `--json`: the names, the order, and that nothing is missing.

use serde_json::{Value, json};

use crate::program::{Home, text_of};
use crate::server::{Format, Gate, Reply, Server};

/// The names of an event's members, in their order.
fn members(event: &Value) -> Vec<&str> {
    event.as_object().unwrap().keys().map(String::as_str).collect()
}

fn names(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["event"].as_str().unwrap()).collect()
}

#[test]
fn every_event_has_the_members_of_the_contract() {
    let server = Server::start();
    server.on("think", Reply::thinking(&["hm ", "yes"], &["so ", "it is"]));
    server.once("again", Reply::status(503, r#"{"error":{"message":"full"}}"#));
    let script = "think\nagain\n/sessions\n/stop\n/nope\n/cancel\n";
    let outcome = Home::serving(&server, Format::OpenAi).run(&["--json"], script).code(1);
    let check = |name: &str, expected: &[&str]| {
        let found = outcome.named(name);
        assert!(!found.is_empty(), "no {name}");
        found.iter().for_each(|event| assert_eq!(members(event), [&["event"], expected].concat(), "{event}"));
    };
    check("session", &["session", "name", "model", "change"]);
    check("queued", &["session", "entry", "priority", "origin", "ahead"]);
    check("started", &["session", "entry", "attempt"]);
    check("retry", &["session", "entry", "attempt", "of", "in_ms", "error"]);
    let before = ["session", "entry", "state", "finish_reason", "finish_detail", "text", "seams"];
    let finished = [&before[..], &["tokens", "wait_ms", "first_ms", "total_ms", "error"]].concat();
    check("finished", &finished);
    check("idle", &["session"]);
    check("result", &["command", "data"]);
    check("notice", &["text"]);
    check("error", &["line", "text"]);
    let deltas = outcome.named("delta");
    let kinds: Vec<_> = deltas.iter().map(|delta| members(delta)[3]).collect();
    assert!(kinds.contains(&"text") && kinds.contains(&"reasoning"), "{deltas:?}");
    let tokens = &outcome.named("finished")[0]["tokens"];
    assert_eq!(tokens, &json!({"input": 9, "output": 2}));
    assert_eq!(outcome.named("error")[0]["line"], 5);
}

#[test]
fn a_session_that_is_made_is_told_as_created() {
    let home = Home::echo();
    let first = |args: &[&str]| home.run(args, "").code(0).events().remove(0);
    let event = |session: i64, name: &str, change: &str| json!({"event": "session", "session": session, "name": name, "model": "demo:echo", "change": change});
    assert_eq!(first(&["--json"]), event(1, "main", "created"));
    assert_eq!(first(&["--json", "-s", "docs"]), event(2, "docs", "created"));
    assert_eq!(first(&["--json"]), event(2, "docs", "switched"));
    assert_eq!(first(&["--json", "-s", "main"]), event(1, "main", "switched"));
    let events = home.run(&["--json"], "/new x\n/rename y\n/close\n").code(0).events();
    let changes: Vec<_> =
        events.iter().map(|e| (e["session"].as_i64().unwrap(), e["change"].as_str().unwrap())).collect();
    let expected = [(1, "switched"), (3, "created"), (3, "switched"), (3, "renamed"), (1, "switched"), (3, "closed")];
    assert_eq!(changes, expected);
}

#[test]
fn a_turns_events_come_in_order_and_its_pieces_are_its_text() {
    for format in Format::ALL {
        let server = Server::start();
        server.on("why", Reply::thinking(&["let ", "me ", "see"], &["be", "cause ", "of ", "é🦀"]));
        let outcome = Home::serving(&server, format).run(&["--json"], "why\n").code(0);
        let mut events = outcome.events();
        assert_eq!(
            (text_of(&events, 1, "text"), text_of(&events, 1, "reasoning")),
            ("because of é🦀".into(), "let me see".into())
        );
        let finished = events.iter().find(|event| event["event"] == "finished").unwrap();
        assert_eq!(
            (&finished["state"], &finished["text"]),
            (&json!("complete"), &json!("because of é🦀")),
            "{format:?}"
        );
        assert_eq!(finished["error"], Value::Null);
        assert!(finished["first_ms"].is_u64() && finished["total_ms"].is_u64() && finished["wait_ms"].is_u64());
        events.dedup_by_key(|event| event["event"].clone());
        assert_eq!(names(&events), ["session", "queued", "started", "delta", "finished", "idle"], "{format:?}");
    }
}

/// Ten seconds, which are the contract's: what is waited for is the event.
#[test]
fn a_silent_turn_tells_whether_its_server_lives() {
    let (server, gate) = (Server::start(), Gate::default());
    server.next(Reply::words(&["so"]).gate_headers(&gate));
    let mut program = Home::serving(&server, Format::OpenAi).start(&["--json"]);
    let lines = ["/bg hello", "/new two", "/model demo:echo?first=1h&alive=1", "/bg hello"];
    lines.iter().for_each(|line| program.send(line));
    for (session, alive) in [(1, false), (2, true)] {
        let is_it = |e: &Value| e["event"] == "progress" && e["session"] == session;
        let event = program.wait_event("a progress", is_it);
        assert_eq!(members(&event), ["event", "session", "entry", "silent_ms", "alive"]);
        assert_eq!((&event["entry"], &event["alive"]), (&json!(session), &json!(alive)), "{event}");
        assert!(event["silent_ms"].as_u64().unwrap() >= 10_000, "{event}");
    }
    gate.open();
    program.send("/stop 2");
    let outcome = program.finish().code(0);
    let progress = outcome.named("progress");
    assert!(progress.iter().all(|event| event["entry"].is_i64()), "{progress:?}");
    assert_eq!(outcome.named("finished").len(), 2);
}

#[test]
fn a_retry_is_told_with_its_cause_before_the_next_start() {
    let server = Server::start();
    server.next(Reply::status(503, r#"{"error":{"message":"full"}}"#));
    let outcome = Home::serving(&server, Format::OpenAi).run(&["--json"], "why\n").code(0);
    let events = outcome.events();
    let expected = ["session", "queued", "started", "retry", "started", "delta"];
    assert_eq!(names(&events)[..6], expected);
    let retry = &events[3];
    assert_eq!((&retry["attempt"], &retry["of"]), (&json!(2), &json!(5)), "{retry}");
    assert_eq!((&retry["error"]["kind"], &retry["error"]["status"]), (&json!("overloaded"), &json!(503)), "{retry}");
    assert!(retry["error"]["text"].as_str().unwrap().contains("full"), "{retry}");
    assert_eq!((&events[2]["attempt"], &events[4]["attempt"]), (&json!(1), &json!(2)));
    assert_eq!(names(&events)[events.len() - 2..], ["finished", "idle"]);
}

#[test]
fn events_of_every_session_are_told() {
    let server = Server::start();
    let script = "/new two\n/new three\n/send all hello\n";
    let outcome = Home::serving(&server, Format::Ollama).run(&["--json"], script).code(0);
    for session in 1..=3 {
        let all = outcome.events();
        let own: Vec<_> = all.into_iter().filter(|e| e["session"] == session && e["event"] != "session").collect();
        let mut told = names(&own);
        told.dedup();
        assert_eq!(told, ["queued", "started", "delta", "finished", "idle"], "session {session}");
    }
}
