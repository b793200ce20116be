//! A provider that asks for patience: every session of it waits, nothing is spent, and what is longer than allowed is the person's to
//! decide. Times are those of the server's log, and only that something did not come too early.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::program::{Home, provider_section};
use crate::server::{Format, Reply, Server};
use crate::{asked, assert_said, ends, notices, wait_of, wrong_lines};

/// The program's clock counts whole milliseconds, at both ends of a pause.
const GRAIN: Duration = Duration::from_millis(2);

fn limited(seconds: u32) -> Reply {
    Reply::status(429, r#"{"error":{"message":"slow down"}}"#).header("retry-after", &seconds.to_string())
}

/// Nothing comes within a second of the first refusal.
fn assert_waited(server: &Server) {
    let log = server.requests();
    let until = log[0].began.unwrap() + Duration::from_secs(1) - GRAIN;
    assert!(log[1..].iter().all(|request| request.at >= until), "{:?}", log.iter().map(|r| r.at).collect::<Vec<_>>());
}

#[test]
fn one_is_refused_and_all_wait() {
    for format in Format::ALL {
        let server = Server::start();
        server.once("limited", limited(1));
        let home = Home::serving(&server, format);
        let mut program = home.start(&["--json"]);
        ["/bg limited", "/new two"].iter().for_each(|line| program.send(line));
        wait_of(&program, 1, "retry");
        program.send("other");
        program.send("/send 1 behind");
        let outcome = program.finish().code(0);
        assert_waited(&server);
        let mut sent = asked(&server);
        sent.sort();
        assert_eq!(sent, ["behind", "limited", "limited", "other"], "{format:?}");
        let attempts: Vec<_> =
            outcome.named("started").iter().map(|e| (e["entry"].clone(), e["attempt"].clone())).collect();
        assert_eq!(attempts.iter().filter(|(entry, _)| *entry != 1).filter(|(_, attempt)| *attempt != 1).count(), 0);
        assert_eq!(outcome.named("retry").len(), 1);
        assert!(ends(&outcome).iter().all(|(_, state, _)| state == "complete"));
    }
}

/// From each request to the next, of those that asked this.
fn pauses(server: &Server, question: &str) -> Vec<Duration> {
    let log: Vec<_> = server.requests().into_iter().filter(|request| request.last_user() == question).collect();
    log.windows(2).map(|two| two[1].at.saturating_sub(two[0].began.unwrap())).collect()
}

#[test]
fn a_wish_for_no_patience_at_all_does_not_shorten_the_growing_pauses() {
    let retry = "[retry]\ninitial_delay = \"100ms\"\nmultiplier = 2.0\njitter = 0.0\nmax_attempts = 4\n";
    for (status, wish) in [(429, "0"), (503, "0.001"), (429, "Thu, 01 Jan 1970 00:00:00 GMT")] {
        let server = Server::start();
        server.on("limited", Reply::status(status, "{}").header("retry-after", wish));
        let home = Home::configured(&server, Format::OpenAi, "", retry);
        let outcome = home.run(&["--json"], "limited\n").code(1);
        let waits: Vec<_> = outcome.named("retry").iter().map(|event| event["in_ms"].as_u64().unwrap()).collect();
        assert_eq!(waits.len(), 3, "{wish}");
        let least = [100, 200, 400].map(|ms| Duration::from_millis(ms) - GRAIN);
        let pauses = pauses(&server, "limited");
        assert!(
            pauses.len() == 3 && pauses.iter().zip(least).all(|(pause, least)| *pause >= least),
            "{wish}: {pauses:?}"
        );
        // The others of that model wait as long as it does.
        let outcome = home.run(&["--json"], "/bg limited\n/new two\n/bg limited too\n").code(1);
        assert_eq!(outcome.named("retry").len(), 6, "{wish}");
    }
}

#[test]
fn another_provider_is_not_concerned() {
    let (server, free) = (Server::start(), Server::start());
    server.on("limited", limited(30));
    let home = Home::serving(&server, Format::OpenAi);
    let config = std::fs::read_to_string(home.path("config/chatmux/config.toml")).unwrap();
    home.configure(&(config + &provider_section("free", &free, Format::OpenAi)));
    let mut program = home.start(&["--json"]);
    program.send("/bg limited");
    wait_of(&program, 1, "retry");
    ["/new two", "/model free", "hello", "/quit"].iter().for_each(|line| program.send(line));
    program.end().code(0);
    assert_eq!(asked(&free), ["hello"]);
}

#[test]
fn another_model_of_the_same_provider_is_not_concerned() {
    let server = Server::start();
    server.on("limited", limited(30));
    let home = Home::serving(&server, Format::OpenAi);
    let mut program = home.start(&["--json"]);
    program.send("/bg limited");
    wait_of(&program, 1, "retry");
    ["/new two", "/bg behind", "/queue"].iter().for_each(|line| program.send(line));
    let queue = program.wait_event("the queue", |e| e["command"] == "queue")["data"].clone();
    assert_eq!(queue[0]["waits_for"], "gate");
    // The same message goes on with another model.
    program.send("/model local:other");
    program.wait_event("the answer", |e| e["event"] == "finished" && e["session"] == 2 && e["state"] == "complete");
    program.send("/quit");
    program.end().code(0);
    assert_eq!(asked(&server), ["limited", "behind"]);
    assert_eq!(home.query("SELECT model FROM gates"), [["local:m"]]);
}

#[test]
fn the_queue_says_what_waits_for_what_and_retry_does_not_wait() {
    let server = Server::start();
    server.once("limited", limited(60));
    let home = Home::serving(&server, Format::OpenAi);
    let mut program = home.start(&["--json"]);
    ["/new two", "/switch 1", "/bg limited"].iter().for_each(|line| program.send(line));
    wait_of(&program, 1, "retry");
    ["/bg behind", "/send 2 other", "/queue all"].iter().for_each(|line| program.send(line));
    let queue = program.wait_event("the queue", |e| e["command"] == "queue")["data"].clone();
    let rows: Vec<_> = queue
        .as_array()
        .unwrap()
        .iter()
        .map(|e| {
            (
                e["entry"].as_i64().unwrap(),
                e["position"].as_i64().unwrap(),
                e["waits_for"].as_str().unwrap().to_owned(),
                e["until_ms"].is_i64(),
            )
        })
        .collect();
    let expected = [(1, 1, "retry", true), (2, 2, "gate", true), (3, 1, "gate", true)];
    assert_eq!(
        rows,
        expected.map(|(entry, position, waits_for, until)| (entry, position, waits_for.to_owned(), until))
    );
    let outside = home.run(&["queue", "--json"], "").code(0);
    let waits: Vec<_> = outside
        .out
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["waits_for"].clone())
        .collect();
    assert_eq!(waits, ["retry", "gate", "gate"]);
    assert_eq!(server.requests().len(), 1);
    program.send("/retry");
    let outcome = program.finish().code(0);
    assert_said(&outcome, "#1 is tried now");
    assert_eq!(outcome.named("finished").len(), 3, "nobody waits for the gate any more");
    let of_two = outcome.named("started").into_iter().find(|e| e["entry"] == 3).unwrap();
    assert_eq!(of_two["attempt"], 1);
}

#[test]
fn a_retry_that_waits_is_hurried() {
    let server = Server::start();
    server.once("busy", Reply::status(503, "{}"));
    let home = Home::configured(&server, Format::OpenAi, "", "[retry]\ninitial_delay = \"1h\"\nmax_delay = \"1h\"\n");
    let mut program = home.start(&["--json"]);
    program.send("/bg busy");
    wait_of(&program, 1, "retry");
    program.send("/retry");
    let outcome = program.finish().code(0);
    assert_eq!(asked(&server), ["busy", "busy"]);
    assert_eq!(outcome.named("started")[1]["attempt"], 2);
}

const SHORT: &str = "[retry]\ninitial_delay = \"10ms\"\njitter = 0.0\nmax_retry_after = \"1s\"\n";

#[test]
fn more_patience_than_allowed_holds_every_session_that_would_ask() {
    let server = Server::start();
    server.once("limited", limited(3_600));
    let home = Home::configured(&server, Format::OpenAi, "", SHORT);
    let outcome = home.run(&["--json"], "limited\n/new two\nother\n/queue all\n/echo on\n").code(1);
    assert_eq!(asked(&server), ["limited"]);
    assert_eq!(wrong_lines(&outcome), [1, 3]);
    let said = notices(&outcome);
    for session in ["[1 main]", "[2 two]"] {
        let found = said.iter().find(|text| text.starts_with(session)).unwrap();
        assert!(
            found.contains("the server asks to wait") && found.contains("until") && found.contains("/resume"),
            "{found}"
        );
    }
    let waits: Vec<_> = outcome.result("queue").as_array().unwrap().iter().map(|e| e["waits_for"].clone()).collect();
    assert_eq!(waits, ["held", "held"]);
    // The next start sends nothing; a person who resumes wants to know.
    home.run(&[], "").code(0).out("").err(&["2 messages wait, held"]);
    assert_eq!(server.requests().len(), 1);
    let outcome = home.run(&["--json"], "/resume all\n/wait\n").code(0);
    assert_eq!(asked(&server).len(), 3);
    assert_eq!(ends(&outcome).len(), 2);
}

/// However long a retry may be: what is longer than a server may ask for is not waited for unasked.
#[test]
fn resume_asks_also_after_a_restart() {
    let server = Server::start();
    // Longer than this test waits for anything.
    server.once("limited", limited(200));
    let patient = format!("{SHORT}max_delay = \"10m\"\n");
    let home = Home::configured(&server, Format::OpenAi, "", &patient);
    home.run(&[], "limited\n").code(1).err(&["/resume"]);
    let mut program = home.start(&["--json"]);
    program.send("/resume");
    program.wait_event("that it is asked, not waited for", |e| e["event"] == "started");
    program.finish().code(0);
}

#[test]
fn a_probe_that_is_refused_holds_again_and_costs_one_request() {
    let server = Server::start();
    server.on("m", limited(3_600));
    let home = Home::configured(&server, Format::OpenAi, "", SHORT);
    home.run(&[], "/bg m1\n/new two\n/bg m2\n/new three\n/bg m3\n").code(1);
    // How many were under way before the first refusal was read is chance.
    let before = server.requests().len();
    assert!((1..=3).contains(&before));
    for nth in 1..=3 {
        home.run(&[], "/resume all\n/wait\n/wait all\n").err(&["asks to wait"]);
        assert_eq!(server.requests().len(), before + nth, "one probe");
    }
    let states = home.query("SELECT state, count(*) FROM entries GROUP BY state");
    assert_eq!(states, [["pending", "3"]]);
}

#[test]
fn the_pause_survives_kill_9() {
    let server = Server::start();
    server.once("limited", limited(1));
    let home = Home::serving(&server, Format::OpenAi);
    let config = std::fs::read_to_string(home.path("config/chatmux/config.toml")).unwrap();
    home.configure(&format!("on_start = \"resume\"\n{config}"));
    let mut program = home.start(&["--json"]);
    ["/bg limited", "/new two", "/bg other"].iter().for_each(|line| program.send(line));
    wait_of(&program, 1, "retry");
    home.wait_query("SELECT count(*) FROM gates", "1");
    program.kill().killed(Signal::SIGKILL);
    let sent = server.requests().len();
    let outcome = home.run(&["--json"], "new\n/wait\n").code(0);
    let log = server.requests();
    let until = log[0].began.unwrap() + Duration::from_secs(1) - GRAIN;
    assert!(log[sent..].iter().all(|request| request.at >= until), "{log:?}");
    assert!(ends(&outcome).iter().all(|(_, state, _)| state == "complete"));
    assert_eq!(home.query("SELECT count(*) FROM entries WHERE state <> 'done'"), [["0"]]);
}

#[test]
fn what_is_held_by_a_refusal_is_held_in_the_journal_before_anyone_goes_on() {
    let server = Server::start();
    server.once("limited", limited(3_600));
    let home = Home::configured(&server, Format::OpenAi, "", SHORT);
    let sessions: String = (2..=20).map(|n| format!("/new s{n}\nm{n}\n/queue\n")).collect();
    let outcome = home.run(&["--json"], format!("limited\n{sessions}")).code(1);
    let queues: Vec<_> = outcome.named("result").iter().map(|e| e["data"][0]["waits_for"].clone()).collect();
    assert_eq!(queues, vec!["held"; 19]);
    assert_eq!(notices(&outcome).len(), 20, "each is told once: {:#?}", notices(&outcome));
}
