//! `kill -9`. How far a partial is on the disk is asked of the disk, not of a clock: a test waits until the checkpoint of what it
//! has seen is committed, which must happen without another piece coming, and then kills.

use nix::sys::signal::Signal;

use crate::program::{Home, Program, history, text_of, turns};
use crate::server::{self, Format, Gate, Reply, Server};

/// Bytes of all answers' text on the disk, folded or not.
const ON_DISK: &str = "SELECT (SELECT coalesce(sum(octet_length(text)), 0) FROM messages WHERE role = 'assistant') \
     + (SELECT coalesce(sum(octet_length(c.text)), 0) FROM chunks c JOIN messages m ON m.id = c.message_id \
         WHERE c.id >= m.first_chunk AND c.kind = 'text')";
const PIECES: usize = 40;
/// Histories of random moments, each from its own seed.
const SEEDS: u64 = 10;

fn piece(nth: usize) -> String {
    format!("piece {nth} é🦀\n")
}

/// A server whose answer to `long` has [`PIECES`] pieces that wait for the gate.
fn long_answers(gate: &Gate) -> Server {
    let server = Server::start();
    let pieces: Vec<_> = (0..PIECES).map(piece).collect();
    let pieces: Vec<_> = pieces.iter().map(String::as_str).collect();
    server.on("long", Reply::words(&pieces).gate(gate));
    server
}

/// Asks `long`, queues two more, and lets so many pieces through, which the program has shown when this returns.
fn under_way(home: &Home, gate: &Gate, pieces: usize) -> Program {
    let mut program = home.start(&["--json"]);
    ["/bg long", "/bg second", "/bg third"].iter().for_each(|line| program.send(line));
    program.wait_event("the third", |e| e["event"] == "queued" && e["entry"] == 3);
    gate.release(pieces);
    program.wait_text(1, &(0..pieces).map(piece).collect::<String>());
    program
}

#[test]
fn what_had_come_is_kept_and_what_waits_is_held() {
    let gate = Gate::default();
    let server = long_answers(&gate);
    let home = Home::serving(&server, Format::OpenAi);
    let program = under_way(&home, &gate, 7);
    let partial: String = (0..7).map(piece).collect();
    home.wait_query(ON_DISK, &partial.len().to_string());
    program.kill().killed(Signal::SIGKILL);
    server.wait_open(0);

    // The start says so, shows it, and sends nothing.
    let kept = format!("{} bytes of it are kept", partial.len());
    home.run(&[], "").code(0).out("").err(&["[1 main]", &kept, "2 messages wait, held", "/resume"]);
    let outcome = home.run(&["--json"], "/history\n/queue\n").code(0);
    let messages = history(&outcome.result("history"));
    assert_eq!(
        messages,
        [
            ("user".to_owned(), "long".to_owned(), "complete".to_owned()),
            ("assistant".to_owned(), partial.clone(), "interrupted".to_owned()),
        ]
    );
    let queue = outcome.result("queue");
    let waits: Vec<_> = queue
        .as_array()
        .unwrap()
        .iter()
        .map(|e| (e["entry"].as_i64().unwrap(), e["state"].as_str().unwrap(), e["held"].as_bool().unwrap()))
        .collect();
    assert_eq!(waits, [(2, "pending", true), (3, "pending", true)]);
    assert_eq!(outcome.named("notice").len(), 1, "what waits is said at every start, until it is sent");
    assert_eq!(server.requests().len(), 1);
    home.assert_sound();

    // Then all goes on, in order, with the partial in the history.
    let outcome = home.run(&["--json"], "/resume\n/wait\n").code(0);
    let texts: Vec<_> = outcome.named("finished").iter().map(|e| e["text"].as_str().unwrap().to_owned()).collect();
    assert_eq!(texts, ["echo: second", "echo: third"]);
    let sent = [
        ("user", "long"),
        ("assistant", &partial),
        ("user", "second"),
        ("assistant", "echo: second"),
        ("user", "third"),
    ];
    let requests = server.requests();
    assert_eq!(requests.len(), 3);
    assert_eq!((requests[1].turns(), requests[2].turns()), (turns(&sent[..3]), turns(&sent)));
    home.run(&[], "").code(0).quiet();
    home.assert_sound();
}

#[test]
fn a_turn_without_a_word_waits_again() {
    let gate = Gate::default();
    let server = Server::start();
    server.once("first", Reply::echo().gate_headers(&gate));
    let home = Home::serving(&server, Format::Anthropic);
    let mut program = home.start(&["--json"]);
    program.send("/bg first");
    program.send("/bg second");
    program.wait_event("the second", |e| e["event"] == "queued" && e["entry"] == 2);
    server.wait_requests(1);
    program.kill().killed(Signal::SIGKILL);
    let queue = home.run(&[], "/queue all\n").code(0).err(&["2 messages wait, held", "#1 was sent before"]);
    assert!(queue.out.contains("held after chatmux ended while this was asked"), "{}", queue.out);
    assert_eq!(server.requests().len(), 1);
    home.run(&[], "/resume all\n").code(0).out("echo: first\necho: second\n");
    let asked: Vec<_> = server.requests().iter().map(|r| r.last_user()).collect();
    assert_eq!(asked, ["first", "first", "second"]);
}

/// A program at its first request, with nothing of the answer.
fn asking(home: &Home, server: &Server, gate: &Gate, question: &str) -> Program {
    let asked = server.requests().len();
    server.once(question, Reply::echo().gate_headers(gate));
    let mut program = home.start(&["--json"]);
    program.send(&format!("/bg {question}"));
    server.wait_requests(asked + 1);
    program
}

/// The first entry's state, whether it is held, its attempts and its reason.
fn first(home: &Home) -> Vec<String> {
    home.query("SELECT state, held, attempts, coalesce(error_kind, '') FROM entries WHERE id = 1").remove(0)
}

#[test]
fn what_was_sent_is_not_sent_again_by_any_start() {
    for signal in [Signal::SIGKILL, Signal::SIGTERM] {
        let (gate, server) = (Gate::default(), Server::start());
        let home = Home::serving(&server, Format::OpenAi);
        let mut program = asking(&home, &server, &gate, "pay");
        program.send("/bg never sent");
        program.wait_event("the second", |e| e["event"] == "queued" && e["entry"] == 2);
        program.signal(signal);
        let ended = program.end();
        if signal == Signal::SIGTERM {
            assert!(ended.out.contains("[1 main] #1 was sent, and no answer has come: it is held"), "{ended:?}");
        }
        home.run(&["work"], "").code(0).err(&["1 message waits, held", "#1 was sent before", "[1 main] done"]);
        assert_eq!(first(&home), ["pending", "1", "1", "unanswered"], "{signal}");
        home.run(&[], "").code(0).err(&["#1 was sent before"]);
        home.run(&["ask", "-s", "main", "another"], "").code(0);
        let listed = home.run(&["queue", "--json"], "").code(0).events();
        assert_eq!(
            (listed[0]["held"].as_bool(), listed[0]["error"]["kind"].as_str()),
            (Some(true), Some("unanswered"))
        );
        let asked: Vec<_> = server.requests().iter().map(server::Logged::last_user).collect();
        assert_eq!(asked, ["pay", "never sent", "another"], "{signal}");
        home.run(&[], "/resume #1\n").code(0);
        assert_eq!(server.requests().len(), 4);
        assert_eq!(first(&home), ["done", "0", "2", ""]);
        home.assert_sound();
    }
}

#[test]
fn a_person_who_tries_again_means_what_was_sent() {
    let (gate, server) = (Gate::default(), Server::start());
    let home = Home::serving(&server, Format::OpenAi);
    asking(&home, &server, &gate, "pay").kill();
    home.run(&[], "/retry\n").code(0).err(&["#1 was sent before"]);
    assert_eq!(server.requests().len(), 2);
    assert_eq!(first(&home), ["done", "0", "2", ""]);
}

#[test]
fn where_it_is_sent_again_that_is_said_and_its_attempts_end() {
    let (gate, server) = (Gate::default(), Server::start());
    let home = Home::configured(&server, Format::OpenAi, "", "[retry]\nmax_attempts = 3\n");
    let config = std::fs::read_to_string(home.path("config/chatmux/config.toml")).unwrap();
    home.configure(&format!("on_start = \"resume\"\n{config}"));
    let mut program = asking(&home, &server, &gate, "brings it down");
    program.send("/bg behind it");
    program.wait_event("the second", |e| e["event"] == "queued" && e["entry"] == 2);
    program.kill();
    // With each kind of a start, and with a crash and an exit.
    let starts: [(usize, &[&str], Signal); 2] = [(2, &["work", "--watch"], Signal::SIGKILL), (3, &[], Signal::SIGTERM)];
    for (attempt, args, signal) in starts {
        server.once("brings it down", Reply::echo().gate_headers(&gate));
        let program = home.start(args);
        let again = format!("the server may have answered: it is sent again ({attempt} of 3)");
        program.wait_err(&format!("[1 main] #1 was sent before chatmux ended, and {again}"));
        server.wait_requests(attempt);
        program.signal(signal);
        program.end();
        assert_eq!(first(&home)[2], attempt.to_string());
    }
    home.run(&["work"], "").code(0).err(&["#1 is not sent again: chatmux ended while this was asked (attempt 3 of 3)"]);
    assert_eq!(first(&home), ["dead", "0", "3", "unanswered"]);
    let asked: Vec<_> = server.requests().iter().map(server::Logged::last_user).collect();
    assert_eq!(asked, ["brings it down", "brings it down", "brings it down", "behind it"]);
    let dead = home.run(&[], "/dead\n").code(0).out;
    assert!(dead.contains("chatmux ended while this was asked (attempt 3 of 3)"), "{dead}");
    home.run(&[], "/requeue 1\n").code(0);
    assert_eq!(first(&home), ["done", "0", "1", ""]);
    home.assert_sound();
}

#[test]
fn a_question_in_between_says_what_it_repaired_and_sends_nothing_else() {
    let gate = Gate::default();
    let server = long_answers(&gate);
    let home = Home::serving(&server, Format::Ollama);
    let program = under_way(&home, &gate, 2);
    home.wait_query(ON_DISK, &(piece(0) + &piece(1)).len().to_string());
    program.kill().killed(Signal::SIGKILL);
    home.run(&["ask", "hello"], "").code(0).out("echo: hello\n").err(&["an answer was cut", "kept"]);
    home.run(&["ask", "-s", "main", "hello"], "").code(0).out("echo: hello\n").quiet();
    home.run(&[], "").code(0).err(&["2 messages wait, held"]);
    let asked: Vec<_> = server.requests().iter().map(server::Logged::last_user).collect();
    assert_eq!(asked, ["long", "hello", "hello"]);
}

#[test]
fn kills_at_any_moment() {
    for seed in 0..SEEDS {
        kill_at_random(seed);
    }
}

/// Pieces come in random bursts; the kill comes at a random moment after one of them, whatever the program is doing then.
fn kill_at_random(seed: u64) {
    let mut dice = fastrand::Rng::with_seed(seed);
    let gate = Gate::default();
    let server = long_answers(&gate);
    let format = Format::ALL[dice.usize(..4)];
    let home = Home::serving(&server, format);
    let seen = dice.usize(1..PIECES / 2);
    let program = under_way(&home, &gate, seen);
    let safe: String = (0..seen).map(piece).collect();
    home.wait_query(ON_DISK, &safe.len().to_string());
    // From here on everything races with everything.
    gate.release(dice.usize(0..PIECES));
    for _ in 0..dice.usize(..2_000) {
        std::thread::yield_now();
    }
    let outcome = program.kill().killed(Signal::SIGKILL);
    server.wait_open(0);
    let asked_before = server.requests().len();
    let shown = text_of(&lines_of(&outcome.out), 1, "text");

    let start = home.run(&["--json"], "/history 99\n/queue\n").code(0);
    let messages = history(&start.result("history"));
    let what = format!("seed {seed}, {format:?}: {messages:?}");
    assert_eq!((messages[0].1.as_str(), messages[0].2.as_str()), ("long", "complete"), "{what}");
    let (_, kept, state) = &messages[1];
    let whole: String = (0..PIECES).map(piece).collect();
    assert!(kept.starts_with(&safe), "a checkpoint is lost: {what}");
    assert!(whole.starts_with(kept.as_str()), "it is what came: {what}");
    assert!(whole.starts_with(&shown), "so is what was shown: {what}");
    assert_eq!(state == "complete", *kept == whole && state != "interrupted", "{what}");
    assert_eq!(server.requests().len(), asked_before, "nothing is sent unasked: {what}");
    home.assert_sound();

    let queue = start.result("queue");
    let held: Vec<_> = queue.as_array().unwrap().iter().map(|e| e["text"].as_str().unwrap()).collect();
    assert!(["second", "third"].ends_with(&held), "nothing acknowledged is lost: {held:?}, {what}");
    let resumed = home.run(&["--json"], "/resume all\n/wait\n/history 99\n").code(0);
    let texts: Vec<_> =
        history(&resumed.result("history")).into_iter().filter(|m| m.0 == "user").map(|m| m.1).collect();
    assert_eq!(texts, ["long", "second", "third"], "{what}");
    assert!(history(&resumed.result("history")).iter().all(|m| m.2 != "streaming"), "{what}");
    home.assert_sound();
}

/// The whole lines of what a killed program had written.
fn lines_of(out: &str) -> Vec<serde_json::Value> {
    let whole = out.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    whole.map(|line| serde_json::from_str(line).unwrap()).collect()
}
