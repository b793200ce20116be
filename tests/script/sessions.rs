//! Commands on sessions and their settings.

use crate::program::Home;
use crate::server::{Format, Gate, Reply, Server};

/// Number, name and model of each session that `/sessions` gave.
fn rows(outcome: &crate::program::Outcome) -> Vec<(i64, String, String)> {
    let word = |row: &serde_json::Value, field: &str| row[field].as_str().unwrap().to_owned();
    let data = outcome.result("sessions");
    let all = data.as_array().unwrap().iter();
    all.map(|row| (row["session"].as_i64().unwrap(), word(row, "name"), word(row, "model"))).collect()
}

fn row(id: i64, name: &str, model: &str) -> (i64, String, String) {
    (id, name.to_owned(), model.to_owned())
}

#[test]
fn switch_takes_a_number_a_name_and_the_previous_one() {
    let home = Home::echo();
    let script = "/new two\n/new three\n/switch 1\na\n/switch three\nb\n/switch -\nc\n/2\nd\n/switch -\n/switch -\ne\n";
    let outcome = home.run(&["--json"], script).code(0);
    let to: Vec<_> = outcome.named("queued").iter().map(|e| e["session"].as_i64().unwrap()).collect();
    assert_eq!(to, [1, 3, 1, 2, 2]);
}

#[test]
fn a_closed_session_is_listed_no_more_and_comes_back_with_switch() {
    let home = Home::echo();
    home.run(&[], "/new two\nremember\n/close\n").code(0);
    let outcome = home.run(&["--json"], "/sessions\n").code(0);
    assert_eq!(rows(&outcome), [row(1, "main", "demo:echo")]);
    home.run(&[], "/send two x\n").code(1).err(&["line 1: ", "/switch"]);
    let outcome = home.run(&["--json"], "/switch two\n/sessions\n/history\n").code(0);
    assert_eq!(rows(&outcome), [row(1, "main", "demo:echo"), row(2, "two", "demo:echo")]);
    assert_eq!(outcome.result("history").as_array().unwrap().len(), 2);
    home.run(&[], "again\n").code(0).out("again\n");
}

#[test]
fn close_ends_the_answer_and_names_another() {
    let (server, gate) = (Server::start(), Gate::default());
    server.on("long", Reply::words(&["part", " rest"]).gate(&gate));
    let mut program = Home::serving(&server, Format::OpenAi).start(&["--json"]);
    program.send("/new two");
    program.send("/bg long");
    gate.release(1);
    program.wait_text(1, "part");
    program.send("/bg behind");
    program.send("/switch 1");
    program.send("/close two");
    program.wait_event("closed", |e| e["change"] == "closed");
    let finished = program.wait_in(2, "finished");
    assert_eq!((&finished["state"], &finished["text"]), (&"cancelled".into(), &"part".into()));
    let errors = program.finish().code(1).named("error");
    assert_eq!((errors.len(), &errors[0]["line"]), (1, &3.into()), "what waited there is kept, and that is said");
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn delete_is_for_good_and_numbers_are_not_used_again() {
    let home = Home::echo();
    let script = "/new two\nsecret words\n/delete 2\n/new three\n/sessions\n/switch two\n/delete nope\n";
    let outcome = home.run(&["--json"], script).code(1);
    assert_eq!(rows(&outcome), [row(1, "main", "demo:echo"), row(3, "three", "demo:echo")]);
    let lines: Vec<_> = outcome.named("error").iter().map(|e| e["line"].as_i64().unwrap()).collect();
    assert_eq!(lines, [6, 7]);
    assert_eq!(home.query("SELECT count(*) FROM messages WHERE text LIKE '%secret%'"), [["0"]]);
    home.assert_sound();
}

#[test]
fn rename_changes_the_name_unless_it_is_taken_or_means_something_else() {
    let home = Home::echo();
    let script = "/new two\n/rename docs\n/rename main\n/rename 12\n/rename all\n/rename -\n/rename a b\n/rename docs\n/sessions\n";
    let outcome = home.run(&["--json"], script).code(1);
    assert_eq!(rows(&outcome), [row(1, "main", "demo:echo"), row(2, "docs", "demo:echo")]);
    let lines: Vec<_> = outcome.named("error").iter().map(|e| e["line"].as_i64().unwrap()).collect();
    assert_eq!(lines, [3, 4, 5, 6, 7]);
    home.run(&[], "/switch docs\n/switch two\n").code(1).err(&["line 2: there is no session two"]);
}

#[test]
fn the_model_is_the_sessions_and_unknown_ones_are_refused() {
    let server = Server::start();
    let home = Home::serving(&server, Format::OpenAi);
    let script = "/new two\n/model local:other\nhello\n/switch 1\nhello\n/model locl:x\n/model\n/model demo:echo\nhi\n/sessions\n";
    let outcome = home.run(&["--json"], script).code(1);
    let models: Vec<_> = server.requests().iter().map(|r| r.body["model"].clone()).collect();
    assert_eq!(models, ["other", "m"]);
    let errors = outcome.named("error");
    assert_eq!((errors.len(), &errors[0]["line"]), (1, &6.into()));
    assert!(errors[0]["text"].as_str().unwrap().contains("local"), "the nearest is named: {}", errors[0]);
    assert_eq!(outcome.result("model")["model"], "local:m");
    assert_eq!(rows(&outcome), [row(1, "main", "demo:echo"), row(2, "two", "local:other")]);
    home.run(&[], "/model local\n/model\n").code(0).err(&["local:m"]);
}

#[test]
fn the_system_prompt_is_what_the_server_gets() {
    for format in Format::ALL {
        let server = Server::start();
        let script = "/system Be \"brief\",  always\none\n/system\n/new two\ntwo\n/switch 1\n/system -\nthree\n";
        let outcome = Home::serving(&server, format).run(&["--json"], script).code(0);
        let systems: Vec<_> = server.requests().iter().map(|r| r.system()).collect();
        assert_eq!(systems, ["Be \"brief\",  always", "", ""], "{format:?}");
        assert_eq!(outcome.result("system")["system"], "Be \"brief\",  always");
    }
}
