//! Commands on what runs and what waits.

use crate::program::{Home, Program, turns};
use crate::server::{Format, Gate, Reply, Server};

/// A turn that has brought `part` and waits for `gate`; `more` waits behind it.
fn in_the_middle(server: &Server, gate: &Gate, home: &Home, more: &[&str]) -> Program {
    server.on("long", Reply::words(&["part", " rest"]).gate(gate));
    let mut program = home.start(&["--json"]);
    program.send("/bg long");
    gate.release(1);
    program.wait_text(1, "part");
    more.iter().for_each(|line| program.send(line));
    program
}

#[test]
fn cancel_keeps_the_partial_and_goes_on_with_the_queue() {
    let (server, gate) = (Server::start(), Gate::default());
    let home = Home::serving(&server, Format::OpenAi);
    let mut program = in_the_middle(&server, &gate, &home, &["/bg next", "/cancel", "/wait", "/history"]);
    program.send("/cancel");
    let outcome = program.finish().code(0);
    let ends: Vec<_> = outcome.named("finished").iter().map(|e| (e["state"].clone(), e["text"].clone())).collect();
    assert_eq!(ends, [("cancelled".into(), "part".into()), ("complete".into(), "echo: next".into())]);
    let sent = [("user", "long"), ("assistant", "part"), ("user", "next")];
    assert_eq!(server.requests()[1].turns(), turns(&sent));
    let history = crate::program::history(&outcome.result("history"));
    assert_eq!(history[1], ("assistant".into(), "part".into(), "interrupted".into()));
    assert_eq!(outcome.named("notice").len(), 1, "the second /cancel finds nothing to cancel");
}

#[test]
fn cancel_names_another_session() {
    let (server, gate) = (Server::start(), Gate::default());
    let home = Home::serving(&server, Format::Anthropic);
    let program = in_the_middle(&server, &gate, &home, &["/new two", "/cancel main", "/wait"]);
    let outcome = program.finish().code(0);
    let finished = outcome.named("finished");
    assert_eq!((&finished[0]["session"], &finished[0]["state"]), (&1.into(), &"cancelled".into()));
}

#[test]
fn stop_keeps_the_partial_and_holds_the_queue_until_resume() {
    let (server, gate) = (Server::start(), Gate::default());
    let home = Home::serving(&server, Format::Gemini);
    let mut program = in_the_middle(&server, &gate, &home, &["/bg second", "/bg third", "/stop"]);
    program.wait_in(1, "idle");
    program.send("/queue");
    let queue = program.wait_event("the queue", |e| e["event"] == "result");
    let waits: Vec<_> = queue["data"].as_array().unwrap().iter().map(|e| (&e["entry"], &e["state"])).collect();
    assert_eq!(waits, [(&2.into(), &"pending".into()), (&3.into(), &"pending".into())]);
    assert_eq!(server.requests().len(), 1, "nothing was sent while the queue was held");
    program.send("/resume");
    let outcome = program.finish().code(0);
    let order: Vec<_> = server.requests().iter().map(|r| r.last_user()).collect();
    assert_eq!(order, ["long", "second", "third"]);
    assert!(outcome.named("error").is_empty(), "all was answered: {:?}", outcome.named("error"));
}

#[test]
fn hold_lets_the_running_answer_go_on() {
    let (server, gate) = (Server::start(), Gate::default());
    let home = Home::serving(&server, Format::Ollama);
    let mut program = in_the_middle(&server, &gate, &home, &["/hold", "/bg second"]);
    program.wait_event("the second", |e| e["event"] == "queued" && e["entry"] == 2);
    gate.open();
    let finished = program.wait_in(1, "finished");
    assert_eq!((&finished["state"], &finished["text"]), (&"complete".into(), &"part rest".into()));
    program.wait_in(1, "idle");
    program.send("/wait");
    program.send("/echo waited");
    program.wait_out("waited");
    assert_eq!(server.requests().len(), 1);
    program.send("/resume 1");
    program.finish().code(0);
    assert_eq!(server.requests()[1].last_user(), "second");
}

#[test]
fn what_is_still_held_at_the_end_is_an_error_and_kept() {
    let server = Server::start();
    let home = Home::serving(&server, Format::OpenAi);
    home.run(&[], "/hold\n/bg kept\n").code(1).err(&["line 2: ", "/resume"]);
    home.run(&[], "/hold\nkept too\n/echo on\n").code(1).out("on\n").err(&["line 2: ", "/resume"]);
    assert!(server.requests().is_empty());
    home.run(&[], "/resume all\n").code(0).out("echo: kept\necho: kept too\n");
}

#[test]
fn drop_takes_out_what_waits_and_nothing_else() {
    let (server, gate) = (Server::start(), Gate::default());
    let home = Home::serving(&server, Format::OpenAi);
    let more = ["/bg two", "/bg three", "/bg four", "/drop #2 3", "/drop 1", "/drop 99"];
    let mut program = in_the_middle(&server, &gate, &home, &more);
    program.wait_event("the last error", |e| e["event"] == "error" && e["line"] == 7);
    gate.open();
    program.send("/wait");
    program.send("/history");
    let outcome = program.finish().code(1);
    let errors: Vec<_> = outcome.named("error").iter().map(|e| e["line"].as_i64().unwrap()).collect();
    assert_eq!(errors, [6, 7], "neither what runs nor what does not exist can be dropped");
    let order: Vec<_> = server.requests().iter().map(|r| r.last_user()).collect();
    assert_eq!(order, ["long", "four"]);
    let states: Vec<_> = outcome.named("finished").iter().map(|e| (e["entry"].clone(), e["state"].clone())).collect();
    assert_eq!(&states[..2], [(2.into(), "cancelled".into()), (3.into(), "cancelled".into())]);
    assert_eq!(outcome.result("history").as_array().unwrap().len(), 4);
}

#[test]
fn wait_has_a_timeout_and_ends_when_all_is_answered() {
    let (server, gate) = (Server::start(), Gate::default());
    let home = Home::serving(&server, Format::OpenAi);
    let more = ["/wait --timeout 20ms", "/new two", "/wait two", "/echo two is idle"];
    let mut program = in_the_middle(&server, &gate, &home, &more);
    program.wait_out("two is idle");
    gate.open();
    program.send("/wait all --timeout 1h");
    program.send("/echo all");
    let outcome = program.finish().code(1);
    let errors = outcome.named("error");
    assert_eq!((errors.len(), &errors[0]["line"]), (1, &2.into()), "{errors:?}");
    let events = outcome.events();
    let at = |wanted: &dyn Fn(&serde_json::Value) -> bool| events.iter().position(wanted).unwrap();
    assert!(at(&|e| e["event"] == "finished") < at(&|e| e["data"] == "all"));
}

#[test]
fn send_goes_to_several_sessions_without_going_there() {
    let server = Server::start();
    let home = Home::serving(&server, Format::OpenAi);
    let script = "/new two\n/new three\n/switch 1\n/send 1,two hello, \"you\"\n/wait\n/send all x\n/sessions\n/send 9 y\n/send 2,nope z\n";
    let outcome = home.run(&["--json"], script).code(1);
    let mut queued: Vec<_> = outcome.named("queued").iter().map(|e| e["session"].as_i64().unwrap()).collect();
    queued.sort_unstable();
    assert_eq!(queued, [1, 1, 2, 2, 3], "of an unknown target nothing is sent to the others either");
    let hello = server.requests().iter().filter(|r| r.last_user() == "hello, \"you\"").count();
    assert_eq!(hello, 2);
    let active: Vec<_> = outcome.result("sessions").as_array().unwrap().iter().map(|s| s["active"].clone()).collect();
    assert_eq!(active, [true, false, false]);
    let lines: Vec<_> = outcome.named("error").iter().map(|e| e["line"].as_i64().unwrap()).collect();
    assert_eq!(lines, [8, 9]);
}

#[test]
fn continue_goes_on_from_a_partial() {
    let (server, gate) = (Server::start(), Gate::default());
    let home = Home::serving(&server, Format::Anthropic);
    server.once("long", Reply::words(&["part", " rest"]).gate(&gate));
    server.on("long", Reply::words(&[" and the", " rest"]));
    let mut program = home.start(&["--json"]);
    program.send("/bg long");
    gate.release(1);
    program.wait_text(1, "part");
    program.send("/cancel");
    program.wait_in(1, "idle");
    program.send("/continue");
    program.send("/continue");
    let outcome = program.finish().code(0);
    let ends: Vec<_> = outcome.named("finished").iter().map(|e| (e["state"].clone(), e["text"].clone())).collect();
    assert_eq!(ends, [("cancelled".into(), "part".into()), ("complete".into(), "part and the rest".into())]);
    assert_eq!(server.requests()[1].turns(), turns(&[("user", "long"), ("assistant", "part")]));
    assert_eq!(outcome.named("notice").len(), 1, "the second /continue finds nothing to go on from");
}
