//! What the queue's views say, at the prompt's commands and at the command line alike.

use serde_json::Value;

use crate::program::Home;
use crate::server::{Format, Gate, Reply, Server};

const REFUSED: &str = r#"{"error":{"message":"no such thing"}}"#;

#[test]
fn dead_letters_are_shown_with_their_reason_and_the_remedy() {
    let server = Server::start();
    server.on("bad", Reply::status(400, REFUSED));
    let home = Home::serving(&server, Format::OpenAi);
    let outcome = home.run(&["--json"], "bad\ngood\n/new two\n/dead\n/dead main\n").code(1);
    let found: Vec<_> = outcome.named("result").iter().map(|e| e["data"].clone()).collect();
    assert_eq!(found[0], Value::Array(Vec::new()), "of another session");
    let of = |dead: &Value| (dead["entry"].clone(), dead["state"].clone(), dead["error"]["status"].clone());
    assert_eq!(of(&found[1][0]), (1.into(), "dead".into(), 400.into()));
    let text = home.run(&["queue", "--dead"], "").code(0).quiet().out;
    for part in
        ["#1 in 1:main: 400 no such thing", "normal script, 1 attempt", "bad", "/requeue 1 sends it again, /drop 1"]
    {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
    let rows = home.run(&["queue", "--dead", "--json"], "").code(0).quiet().events();
    assert_eq!(rows.iter().map(of).collect::<Vec<_>>(), [(1.into(), "dead".into(), 400.into())]);
    home.run(&["queue", "--dead", "-s", "two"], "").code(0).out("nothing is dead\n");
}

#[test]
fn a_queue_says_what_each_waits_for() {
    let (server, gate) = (Server::start(), Gate::default());
    server.on("long", Reply::words(&["part", " rest"]).gate(&gate));
    let home = Home::configured(&server, Format::OpenAi, "", "[queue]\nmax_concurrent = 1\n");
    let mut program = home.start(&["--json"]);
    program.send("/bg long");
    gate.release(1);
    program.wait_text(1, "part");
    for line in
        ["/later second", "/bg third", "/new two", "/bg fourth", "/hold", "/new three", "/bg fifth", "/queue all"]
    {
        program.send(line);
    }
    let listing = program.wait_event("the queue", |e| e["event"] == "result");
    let of = |e: &Value| (e["entry"].clone(), e["position"].clone(), e["waits_for"].clone());
    let expected = [
        (1.into(), Value::Null, Value::Null),
        (3.into(), 1.into(), "turn".into()),
        (2.into(), 2.into(), "turn".into()),
        (4.into(), 1.into(), "held".into()),
        (5.into(), 1.into(), "slot".into()),
    ];
    assert_eq!(listing["data"].as_array().unwrap().iter().map(of).collect::<Vec<_>>(), expected);
    let rows = home.run(&["queue", "--json"], "").code(0).quiet().events();
    assert_eq!(rows.iter().map(of).collect::<Vec<_>>(), expected, "the same from outside");
    let text = home.run(&["queue"], "").code(0).quiet().out;
    for part in
        ["1:main (", "#1 running ", "#3 1. normal script, ", "waits for its turn", "2:two (", "waits for a slot"]
    {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
    gate.open();
    program.send("/resume two");
    program.finish().code(0);
}

#[test]
fn stats_count_what_happened_in_each_session_and_in_all() {
    let home = Home::fresh();
    let none = home.run(&["stats", "--json"], "").code(0).quiet().events();
    assert_eq!((&none[0]["session"], &none[0]["complete"]), (&Value::Null, &0.into()));
    assert!(!home.database().exists(), "figures make no database");
    let server = Server::start();
    server.on("bad", Reply::status(400, REFUSED));
    let home = Home::serving(&server, Format::OpenAi);
    let outcome = home.run(&["--json"], "one\nbad\n/new two\nthree\n/stats\n/stats all\n").code(1);
    let found: Vec<_> = outcome.named("result").iter().map(|e| e["data"].clone()).collect();
    let of = |e: &Value| (e["name"].clone(), e["complete"].clone(), e["failed"].clone(), e["dead"].clone());
    let (main, two) = (("main".into(), 1.into(), 1.into(), 1.into()), ("two".into(), 1.into(), 0.into(), 0.into()));
    let all = (Value::Null, 2.into(), 1.into(), 1.into());
    assert_eq!(of(&found[0]), two);
    let expected = [all, main.clone(), two];
    assert_eq!(found[1].as_array().unwrap().iter().map(of).collect::<Vec<_>>(), expected);
    let rows = home.run(&["stats", "--json"], "").code(0).quiet().events();
    assert_eq!(rows.iter().map(of).collect::<Vec<_>>(), expected);
    let rows = home.run(&["stats", "--json", "-s", "main"], "").code(0).quiet().events();
    assert_eq!(rows.iter().map(of).collect::<Vec<_>>(), [main]);
    let text = home.run(&["stats"], "").code(0).quiet().out;
    for part in ["all sessions", "2 complete, 1 failed", "p50", "first token", "1:main", "2:two"] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
    home.run(&["stats", "-s", "nope"], "").code(2).out("");
}
