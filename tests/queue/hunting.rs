//! What could break a loop, a gate or a requeue: two of these at once, at a bad moment.

use serde_json::Value;

use crate::program::Home;
use crate::server::{Format, Gate, Reply, Server};
use crate::{answers, asked, assert_said, ends, wait_of, wait_said, wrong_lines};

const SHORT: &str = "[retry]\ninitial_delay = \"10ms\"\njitter = 0.0\nmax_retry_after = \"1s\"\n";

fn limited(seconds: u32) -> Reply {
    Reply::status(429, r#"{"error":{"message":"slow down"}}"#).header("retry-after", &seconds.to_string())
}

#[test]
fn retry_of_what_the_server_holds_is_no_second_message() {
    let server = Server::start();
    server.once("limited", limited(3_600));
    let home = Home::configured(&server, Format::OpenAi, "", SHORT);
    let outcome = home.run(&["--json"], "limited\n/retry\n/resume\n/wait\n").code(1);
    assert_eq!(wrong_lines(&outcome), [1, 2]);
    assert_eq!(outcome.named("error")[1]["text"], "#1 is held: /resume 1 goes on with it");
    assert_eq!(asked(&server), ["limited", "limited"]);
    assert_eq!(home.query("SELECT state FROM entries"), [["done"]]);
}

#[test]
fn a_loop_that_the_server_holds_lives_on_and_its_script_ends() {
    let server = Server::start();
    server.on("go on", limited(3_600));
    let home = Home::configured(&server, Format::OpenAi, "", SHORT);
    let outcome = home.run(&["--json"], "hello\n/auto go on\n/wait\n/auto\n").code(0);
    assert_said(&outcome, "the server asks to wait");
    assert_eq!(outcome.result("auto")["turns"], 1, "it goes on when its session does");
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn what_was_resumed_and_fails_is_no_success() {
    let server = Server::start();
    server.on("bad", Reply::status(400, "{}"));
    let home = Home::serving(&server, Format::OpenAi);
    home.run(&[], "/hold\n/bg bad\n").code(1);
    home.run(&[], "/resume\n").code(1);
}

#[test]
fn a_pause_from_the_journal_holds_what_would_resume_by_itself() {
    let server = Server::start();
    server.once("limited", limited(3_600));
    let home = Home::configured(&server, Format::OpenAi, "", SHORT);
    home.run(&[], "limited\n").code(1);
    home.query("UPDATE sessions SET held = 0 RETURNING id");
    let config = std::fs::read_to_string(home.path("config/chatmux/config.toml")).unwrap();
    home.configure(&format!("on_start = \"resume\"\n{config}"));
    home.run(&[], "").err(&["[1 main] the server asks to wait"]);
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_session_that_changes_its_model_does_not_wait_for_the_old_one() {
    let (server, free) = (Server::start(), Server::start());
    server.once("limited", limited(60));
    let home = Home::serving(&server, Format::OpenAi);
    let config = std::fs::read_to_string(home.path("config/chatmux/config.toml")).unwrap();
    home.configure(&(config + &crate::program::provider_section("free", &free, Format::OpenAi)));
    let mut program = home.start(&["--json"]);
    ["/new two", "/bg limited"].iter().for_each(|line| program.send(line));
    wait_of(&program, 1, "retry");
    ["/new three", "/bg waits", "/model free", "/wait 3", "/switch 2", "/drop 1"]
        .iter()
        .for_each(|line| program.send(line));
    program.finish().code(0);
    assert_eq!((asked(&server), asked(&free)), (vec!["limited".to_owned()], vec!["waits".to_owned()]));
}

#[test]
fn a_probe_that_hangs_can_be_cancelled_and_the_next_one_goes() {
    let (server, hang) = (Server::start(), Gate::default());
    server.once("limited", limited(60));
    server.once("limited", Reply::echo().gate_headers(&hang));
    let home = Home::serving(&server, Format::OpenAi);
    let mut program = home.start(&["--json"]);
    program.send("/bg limited");
    wait_of(&program, 1, "retry");
    ["/send 1 behind", "/new two", "/bg other", "/switch 1", "/retry"].iter().for_each(|line| program.send(line));
    server.wait_requests(2);
    ["/cancel", "/wait"].iter().for_each(|line| program.send(line));
    let outcome = program.finish().code(0);
    assert_eq!(asked(&server).len(), 4);
    assert_eq!(ends(&outcome)[0], (1, "cancelled".into(), String::new()));
}

#[test]
fn an_auto_reply_that_is_dropped_is_not_the_end_of_its_loop() {
    let (server, gate) = (Server::start(), Gate::default());
    server.once("long", Reply::echo().gate(&gate));
    answers(&server, "go on", &["a", "b", "c", "d"]);
    let home = Home::serving(&server, Format::OpenAi);
    let mut program = home.start(&["--json"]);
    ["hello", "/hold", "/auto --max 3 go on", "/drop 2", "/resume"].iter().for_each(|line| program.send(line));
    let outcome = program.finish().code(0);
    assert_said(&outcome, "auto-reply ended after 3 of 3");
    assert_eq!(asked(&server), ["hello", "go on", "go on"]);
}

#[test]
fn an_auto_reply_that_is_cancelled_is_followed_by_the_next() {
    let (server, gate) = (Server::start(), Gate::default());
    server.once("go on", Reply::words(&["part", " rest"]).gate(&gate));
    answers(&server, "go on", &["b", "c"]);
    let home = Home::serving(&server, Format::OpenAi);
    let mut program = home.start(&["--json"]);
    ["hello", "/auto --max 3 go on"].iter().for_each(|line| program.send(line));
    wait_of(&program, 2, "started");
    gate.release(1);
    program.wait_text(2, "part");
    program.send("/cancel");
    let outcome = program.finish().code(0);
    assert_eq!(asked(&server), ["hello", "go on", "go on", "go on"]);
    assert_eq!(ends(&outcome)[1], (2, "cancelled".into(), "part".into()));
}

#[test]
fn stop_reaches_an_auto_reply_between_two_attempts_and_one_that_gave_way() {
    let server = Server::start();
    server.on("go on", Reply::status(503, "{}"));
    let slowly = "[retry]\ninitial_delay = \"1h\"\nmax_delay = \"1h\"\n";
    let home = Home::configured(&server, Format::OpenAi, "", slowly);
    let mut program = home.start(&["--json"]);
    ["hello", "/auto go on"].iter().for_each(|line| program.send(line));
    wait_of(&program, 2, "retry");
    ["/stop", "/wait", "next", "/auto"].iter().for_each(|line| program.send(line));
    let outcome = program.finish().code(0);
    assert_eq!(asked(&server), ["hello", "go on", "next"]);
    assert_eq!(outcome.result("auto"), Value::Null);

    let (server, gate, hold) = (Server::start(), Gate::default(), Gate::default());
    server.on("go on", Reply::words(&["one ", "two"]).gate(&gate));
    server.once("quick", Reply::echo().gate(&hold));
    let home = Home::configured(&server, Format::OpenAi, "", "[queue]\nmax_concurrent = 1\n");
    let mut program = home.start(&["--json"]);
    ["/new two", "hello", "/auto go on", "/switch 1"].iter().for_each(|line| program.send(line));
    wait_of(&program, 2, "started");
    gate.release(1);
    program.wait_text(2, "one ");
    program.send("/bg quick");
    wait_of(&program, 3, "started");
    program.send("/stop two");
    wait_said(&program, "auto-reply ended, 1 of 10 sent");
    hold.open();
    ["/wait", "/send 2 next", "/wait"].iter().for_each(|line| program.send(line));
    program.finish().code(0);
    assert_eq!(asked(&server), ["hello", "go on", "quick", "next"]);
    home.assert_sound();
}

#[test]
fn a_session_that_is_opened_again_goes_on_from_what_gave_way() {
    let (server, gate, hold) = (Server::start(), Gate::default(), Gate::default());
    server.once("long", Reply::words(&["one ", "two"]).gate(&gate));
    server.on("long", Reply::words(&["two"]));
    server.once("quick", Reply::echo().gate(&hold));
    let home = Home::configured(&server, Format::Ollama, "", "[queue]\nmax_concurrent = 1\n");
    let mut program = home.start(&["--json"]);
    ["/new two", "/later long", "/switch 1"].iter().for_each(|line| program.send(line));
    wait_of(&program, 1, "started");
    gate.release(1);
    program.wait_text(1, "one ");
    program.send("/bg quick");
    wait_of(&program, 2, "started");
    ["/close two", "/switch two", "/switch 1", "/echo back"].iter().for_each(|line| program.send(line));
    program.wait_out("\"back\"");
    hold.open();
    ["/wait", "/resume two", "/wait"].iter().for_each(|line| program.send(line));
    let outcome = program.finish().code(0);
    assert_eq!(asked(&server), ["long", "quick", "long"]);
    assert_eq!(ends(&outcome)[1], (1, "complete".into(), "one two".into()));
}

#[test]
fn a_question_from_another_chatmux_and_a_loop_share_a_session() {
    let (server, gate) = (Server::start(), Gate::default());
    server.once("go on", Reply::words(&["part", " rest"]).gate(&gate));
    answers(&server, "go on", &["b"]);
    let home = Home::serving(&server, Format::OpenAi);
    let mut program = home.start(&["--json"]);
    ["hello", "/auto --max 2 go on"].iter().for_each(|line| program.send(line));
    wait_of(&program, 2, "started");
    gate.release(1);
    program.wait_text(2, "part");
    let other = home.start(&["ask", "-s", "main", "why"]);
    let other = std::thread::spawn(|| other.finish());
    home.wait_query("SELECT count(*) FROM entries WHERE text = 'why'", "1");
    gate.open();
    other.join().unwrap().code(0).out("echo: why\n");
    let outcome = program.finish().code(0);
    assert_said(&outcome, "auto-reply ended after 2 of 2");
    let mut sent = asked(&server);
    sent.sort();
    assert_eq!(sent, ["go on", "go on", "hello", "why"]);
    assert_eq!(home.query("SELECT count(*) FROM entries WHERE state <> 'done'"), [["0"]]);
}

#[test]
fn a_script_that_stops_at_the_first_error_leaves_its_loop_for_the_next_start() {
    let (server, gate) = (Server::start(), Gate::default());
    server.once("go on", Reply::words(&["part", " rest"]).gate(&gate));
    let home = Home::serving(&server, Format::OpenAi);
    let mut program = home.start(&["--json", "--fail-fast"]);
    ["hello", "/auto --max 2 go on"].iter().for_each(|line| program.send(line));
    wait_of(&program, 2, "started");
    gate.release(1);
    program.wait_text(2, "part");
    program.send("/nope");
    let outcome = program.end().code(1);
    assert_eq!(wrong_lines(&outcome), [3]);
    home.run(&[], "").code(0).out("").err(&["pauses, 1 of 2 sent"]);
    home.run(&["--json"], "/resume\n/wait\n").code(0);
    assert_eq!(asked(&server), ["hello", "go on", "go on"]);
}
