//! Clean ends, and what a later start finds.

use nix::sys::signal::Signal;

use crate::program::{Home, history};
use crate::server::{Format, Gate, Reply, Server};

#[test]
fn quit_in_mid_stream_keeps_the_partial_and_holds_the_rest() {
    let (server, gate) = (Server::start(), Gate::default());
    server.on("long", Reply::words(&["the part", " rest"]).gate(&gate));
    let home = Home::serving(&server, Format::OpenAi);
    let mut program = home.start(&["--json"]);
    ["/bg long", "/bg second", "/bg third"].iter().for_each(|line| program.send(line));
    gate.release(1);
    program.wait_text(1, "the part");
    program.send("/quit");
    program.end().code(0);
    // It was the program that ended it, in good order: what waits is the news.
    let outcome = home.run(&["--json"], "/history\n/queue\n").code(0);
    assert_eq!(history(&outcome.result("history"))[1], ("assistant".into(), "the part".into(), "interrupted".into()));
    assert_eq!(outcome.result("queue").as_array().unwrap().len(), 2);
    assert_eq!(server.requests().len(), 1);
    home.run(&[], "/resume\n").code(0).out("echo: second\necho: third\n").err(&["2 messages wait, held", "/resume"]);
    home.assert_sound();
}

#[test]
fn a_signal_leaves_the_queue_for_the_next_start() {
    let (server, gate) = (Server::start(), Gate::default());
    server.once("long", Reply::words(&["the part", " rest"]).gate(&gate));
    let home = Home::serving(&server, Format::Gemini);
    let mut program = home.start(&["--json"]);
    program.send("/bg long");
    program.send("/bg second");
    gate.release(1);
    program.wait_text(1, "the part");
    program.signal(Signal::SIGTERM);
    program.end().code(143);
    home.run(&[], "").code(0).out("").err(&["1 message waits, held"]);
    home.run(&[], "").code(0).out("").err(&["1 message waits, held"]);
    assert_eq!(server.requests().len(), 1);
    home.run(&[], "/resume all\n").code(0).out("echo: second\n");
}

#[test]
fn on_start_says_what_becomes_of_the_queue() {
    let check = |on_start: &str, answered: bool| {
        let server = Server::start();
        let home = Home::serving(&server, Format::OpenAi);
        home.run(&[], "/hold\n/bg hello\n/bg again\n").code(1);
        home.query("UPDATE sessions SET held = 0 RETURNING id");
        let config = std::fs::read_to_string(home.path("config/chatmux/config.toml")).unwrap();
        home.configure(&format!("on_start = \"{on_start}\"\n{config}"));
        let outcome = home.run(&[], "").code(0);
        let out = if answered { "echo: hello\necho: again\n" } else { "" };
        assert_eq!((outcome.out.as_str(), server.requests().len()), (out, if answered { 2 } else { 0 }), "{on_start}");
        assert_eq!(outcome.err.contains("2 messages wait, held"), !answered, "{on_start}: {}", outcome.err);
    };
    check("ask", false);
    check("hold", false);
    check("resume", true);
}

#[test]
fn a_question_between_two_starts_holds_nothing_that_is_to_go_on() {
    let server = Server::start();
    let home = Home::serving(&server, Format::OpenAi);
    home.run(&[], "/hold\n/bg hello\n").code(1);
    home.query("UPDATE sessions SET held = 0 RETURNING id");
    let config = std::fs::read_to_string(home.path("config/chatmux/config.toml")).unwrap();
    home.configure(&format!("on_start = \"resume\"\n{config}"));
    home.run(&["ask", "apart"], "").code(0).out("echo: apart\n");
    home.run(&[], "").code(0).out("echo: hello\n");
}

#[test]
fn a_loop_that_lives_is_said() {
    let home = Home::echo();
    home.run(&[], "/auto --max 3 more\n").code(0);
    home.run(&[], "").code(0).err(&["[1 main]", "auto-reply", "0 of 3", "/auto off"]);
    home.run(&[], "/auto off\n").code(0);
    home.run(&[], "").code(0).quiet();
}

#[test]
fn sessions_names_models_and_prompts_are_back() {
    let home = Home::echo();
    let script = "/new docs\n/model demo:echo?words=2\n/system Be brief\n/new gone\n/close\n/new last\n/rename end\n/switch docs\n";
    home.run(&[], script).code(0);
    let outcome = home.run(&["--json"], "/sessions\n/system\n").code(0);
    let data = outcome.result("sessions");
    let rows: Vec<_> = data
        .as_array()
        .unwrap()
        .iter()
        .map(|s| {
            (
                s["session"].as_i64().unwrap(),
                s["name"].as_str().unwrap(),
                s["model"].as_str().unwrap(),
                s["active"].as_bool().unwrap(),
            )
        })
        .collect();
    let expected =
        [(1, "main", "demo:echo", false), (2, "docs", "demo:echo?words=2", true), (4, "end", "demo:echo", false)];
    assert_eq!(rows, expected);
    assert_eq!(outcome.result("system")["system"], "Be brief");
    home.assert_sound();
}

#[test]
fn the_active_session_is_remembered_and_s_chooses_another() {
    let home = Home::echo();
    let active = |args: &[&str], script: &str| {
        let outcome = home.run(&[args, &["--json"]].concat(), script).code(0);
        outcome.events()[0]["name"].as_str().unwrap().to_owned()
    };
    assert_eq!(active(&[], "/new two\n/new three\n/switch two\n"), "main");
    assert_eq!(active(&[], ""), "two");
    assert_eq!(active(&["-s", "3"], ""), "three");
    assert_eq!(active(&[], "/switch 1\n"), "three");
    assert_eq!(active(&["-s", "new"], "hello\n"), "new");
    assert_eq!(active(&["--session", "new"], "/close\n"), "new");
    assert_eq!(active(&["-s", "new"], ""), "new", "a closed session is opened again");
    assert_eq!(home.query("SELECT count(*) FROM sessions"), [["4"]]);
}

#[test]
fn the_conversation_goes_on_where_it_was() {
    for format in Format::ALL {
        let server = Server::start();
        let home = Home::serving(&server, format);
        home.run(&[], "one\n").code(0);
        home.run(&[], "two\n").code(0);
        let sent = [("user", "one"), ("assistant", "echo: one"), ("user", "two")];
        assert_eq!(server.requests()[1].turns(), crate::program::turns(&sent), "{format:?}");
    }
}
