//! What is typed in one process for a session that another one works in.

use std::time::Duration;

use crate::figures::Spread;
use crate::process::{Process, configure, sender};
use crate::program::Home;
use crate::server::{Format, Gate, Reply, Server};

const PIECES: usize = 150;
const PACE: Duration = Duration::from_millis(10);

fn piece(nth: usize) -> String {
    format!("<{nth}> ")
}

#[test]
fn the_owner_runs_what_is_typed_elsewhere_and_who_typed_it_follows_live() {
    let (server, gate, live) = (Server::start(), Gate::default(), Gate::default());
    let pieces: Vec<_> = (0..PIECES).map(piece).collect();
    let pieces: Vec<_> = pieces.iter().map(String::as_str).collect();
    server.on("first", Reply::echo().gate(&gate));
    server.on("live", Reply::words(&["one ", "two ", "three"]).gate(&live));
    server.on("paced", Reply::words(&pieces).pace(PACE));
    let home = Home::serving(&server, Format::OpenAi);
    (1..=2).for_each(|number| configure(&home, &server, number, ""));
    let mut owner = Process::start(&home, 1, &[]);
    owner.ask("/bg", &[1], "first");
    server.wait_requests(1);
    let mut other = Process::start(&home, 2, &[]);
    other.program.wait_out("another chatmux is at work");
    other.ask("/send 1", &[1], "live");
    other.ask("/send 1", &[1], "paced");
    other.program.wait_event("the last", |e| e["event"] == "queued" && e["entry"] == 3);
    gate.open();

    // Piece by piece, while the server sends no more before it was seen.
    other.program.wait_event("its start", |e| e["event"] == "started" && e["entry"] == 2);
    for (nth, text) in ["one ", "one two "].into_iter().enumerate() {
        live.release(1);
        other.program.wait_text(2, text);
        assert_eq!(server.log(|requests| requests[1].sent.len()), nth + 1);
    }
    live.open();
    let end = other.program.wait_event("its end", |e| e["event"] == "finished" && e["entry"] == 2);
    assert_eq!((&end["state"], &end["text"]), (&"complete".into(), &"one two three".into()));
    let end = other.program.wait_event("the last end", |e| e["event"] == "finished" && e["entry"] == 3);
    assert_eq!(end["text"], pieces.concat());
    assert_eq!(server.log(|requests| requests.iter().map(sender).collect::<Vec<_>>()), [1, 1, 1]);

    let sent = server.log(|requests| requests[2].sent.clone());
    let (mut lags, mut text) = (Vec::new(), String::new());
    for (when, line) in other.program.lines_when() {
        let event: serde_json::Value = serde_json::from_str(&line).unwrap();
        if event["event"] == "delta" && event["entry"] == 3 {
            let first: usize = text.matches('<').count();
            text += event["text"].as_str().unwrap();
            lags.push(server.since_start(when).saturating_sub(sent[first]));
        }
    }
    assert_eq!(text, pieces.concat(), "without a gap and without a repeat");
    println!("followed: the oldest piece of each delta, from the server to the other's stdout: {}", Spread(&lags));
    for mut process in [owner, other] {
        process.program.hang_up();
        process.end(true).1.code(0).quiet();
    }
    home.assert_sound();
}

#[test]
fn who_waits_for_what_a_killed_process_ran_goes_on_when_it_is_held() {
    let (server, gate, never) = (Server::start(), Gate::default(), Gate::default());
    server.once("first", Reply::echo().gate(&gate));
    server.once("waited", Reply::echo().gate_headers(&never));
    let home = Home::serving(&server, Format::OpenAi);
    (1..=2).for_each(|number| configure(&home, &server, number, ""));
    let mut owner = Process::start(&home, 1, &[]);
    owner.ask("/bg", &[1], "first");
    server.wait_requests(1);
    let mut other = Process::start(&home, 2, &[]);
    other.program.wait_out("another chatmux is at work");
    other.ask("/now", &[1], "waited");
    other.say("/resume 1");
    other.program.wait_event("its place", |e| e["event"] == "queued");
    gate.open();
    server.wait_requests(2);
    other.program.wait_event("its start", |e| e["event"] == "started" && e["entry"] == 2);
    owner.kill();
    let error = other.program.wait_event("the refusal to wait", |e| e["event"] == "error");
    assert_eq!(error["text"], "the message is kept, but its queue is held: /resume goes on");
    let end = other.program.wait_event("its end", |e| e["event"] == "finished" && e["entry"] == 2);
    assert_eq!((&end["state"], &end["text"]), (&"complete".into(), &"echo: waited".into()));
    assert_eq!(server.log(|requests| requests.iter().map(sender).collect::<Vec<_>>()), [1, 1, 2]);
    other.program.hang_up();
    other.end(true).1.code(1).quiet();
    home.assert_sound();
}

#[test]
fn one_that_was_alone_until_now_follows_too() {
    let (server, gate) = (Server::start(), Gate::default());
    server.once("first", Reply::echo().gate(&gate));
    let home = Home::serving(&server, Format::OpenAi);
    // It would look for others in an hour.
    configure(&home, &server, 1, "[lease]\nheartbeat = \"1h\"\nmax_wait = \"1h\"\n");
    configure(&home, &server, 2, "");
    let mut alone = Process::start(&home, 1, &[]);
    alone.say("/sleep 50ms");
    alone.say("/echo it has looked");
    alone.program.wait_out("it has looked");
    let mut owner = Process::start(&home, 2, &[]);
    owner.ask("/bg", &[1], "first");
    server.wait_requests(1);
    alone.ask("/send 1", &[1], "second");
    alone.program.wait_event("its place", |e| e["event"] == "queued");
    gate.open();
    let end = alone.program.wait_event("its end", |e| e["event"] == "finished" && e["entry"] == 2);
    assert_eq!((&end["state"], &end["text"]), (&"complete".into(), &"echo: second".into()));
    assert_eq!(server.log(|requests| requests.iter().map(sender).collect::<Vec<_>>()), [2, 2]);
    for mut process in [alone, owner] {
        process.program.hang_up();
        process.end(true).1.code(0).quiet();
    }
}
