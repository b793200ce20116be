//! `/undo` in scripts: what the model gets next, what is shown, what a script is told; and that `/edit` is not for scripts.

use serde_json::json;

use crate::program::{Home, turns};
use crate::server::{End, Format, Gate, Reply, Server};

#[test]
fn the_model_gets_nothing_of_what_was_taken_back() {
    for format in Format::ALL {
        let server = Server::start();
        let home = Home::serving(&server, format);
        let outcome = home.run(&["--json"], "one\ntwo\nthree\n/undo\n/undo\nfour\n/history\n/replay\n").code(0);
        let sent = [("user", "one"), ("assistant", "echo: one"), ("user", "four")];
        assert_eq!(server.requests()[3].turns(), turns(&sent), "{format:?}");
        let said: Vec<_> = outcome.named("notice").iter().map(|e| e["text"].clone()).collect();
        assert_eq!(said, ["#3 is taken back", "#2 is taken back"]);
        for command in ["history", "replay"] {
            let shown = outcome.result(command);
            let shown: Vec<_> = shown.as_array().unwrap().iter().map(|m| m["text"].clone()).collect();
            assert_eq!(shown, ["one", "echo: one", "four", "echo: four"], "{command}");
        }
        assert_eq!(outcome.named("finished").len(), 4, "what is taken back does not end twice");
        // Nothing is deleted, and the next process leaves it out as well.
        assert_eq!(home.query("SELECT count(*) FROM messages"), [["8"]]);
        home.run(&[], "five\n").code(0);
        assert_eq!(server.requests()[4].turns().len(), 5);
        let figures = home.run(&["stats", "--json"], "").code(0);
        assert_eq!(figures.events()[0]["complete"], 5);
    }
}

#[test]
fn what_waits_is_taken_back_and_what_runs_is_not() {
    let (server, gate) = (Server::start(), Gate::default());
    let home = Home::serving(&server, Format::OpenAi);
    server.on("long", Reply::words(&["part", " rest"]).gate(&gate));
    let mut program = home.start(&["--json"]);
    program.send("/bg long");
    gate.release(1);
    program.wait_text(1, "part");
    ["/bg waits", "/undo", "/undo"].iter().for_each(|line| program.send(line));
    let error = program.wait_event("the error", |e| e["event"] == "error");
    assert_eq!((&error["line"], &error["text"]), (&4.into(), &"#1 is being answered: /cancel ends it first".into()));
    ["/cancel", "/undo", "/undo", "/bg last"].iter().for_each(|line| program.send(line));
    let outcome = program.finish().code(1);
    let ends: Vec<_> = outcome.named("finished").iter().map(|e| (e["entry"].clone(), e["state"].clone())).collect();
    let expected = [(2, "cancelled"), (1, "cancelled"), (3, "complete")];
    assert_eq!(ends, expected.map(|(entry, state)| (json!(entry), json!(state))));
    let said: Vec<_> = outcome.named("notice").iter().map(|e| e["text"].clone()).collect();
    assert_eq!(said[..2], ["#2 is taken back", "#1 is taken back"]);
    assert!(said[2].as_str().unwrap().starts_with("nothing was asked here"), "{said:?}");
    assert_eq!(server.requests()[1].turns(), turns(&[("user", "last")]));
}

#[test]
fn retry_and_continue_look_behind_what_was_taken_back() {
    let server = Server::start();
    let home = Home::serving(&server, Format::OpenAi);
    server.once("cut", Reply::words(&["half "]).end(End::Truncated));
    server.once("fails", Reply::status(400, r#"{"error":{"message":"no"}}"#));
    server.once("cut", Reply::words(&["whole"]));
    let lines = "cut\nfails\n/undo\n/continue\n/dead\n/undo\n/retry\n/requeue 2\n";
    let outcome = home.run(&["--json"], lines).code(1);
    let wrong: Vec<_> = outcome.named("error").iter().map(|e| e["line"].clone()).collect();
    assert_eq!(wrong, [1, 2, 8], "a dead letter that is taken back is not requeued");
    assert_eq!(outcome.result("dead"), json!([]));
    let asked: Vec<_> = server.requests().iter().map(crate::server::Logged::last_user).collect();
    assert_eq!(asked[..2], ["cut", "fails"]);
    assert_eq!(asked.len(), 3, "/retry finds nothing to ask again: {asked:?}");
    let said: Vec<_> = outcome.named("notice").iter().map(|e| e["text"].clone()).collect();
    assert_eq!(said, ["#2 is taken back", "#1 is taken back", "nothing was asked here yet"]);
}

#[test]
fn edit_needs_a_terminal() {
    let outcome = Home::echo().run(&[], "hello\n/edit\n/echo on\n").code(1);
    outcome.out("hello\non\n").err(&["line 2: /edit needs a terminal"]);
}
