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
    home.run(&[], "/queue all\n").code(0).err(&["2 messages wait, held"]);
    assert_eq!(server.requests().len(), 1);
    home.run(&[], "/resume all\n").code(0).out("echo: first\necho: second\n");
    let asked: Vec<_> = server.requests().iter().map(|r| r.last_user()).collect();
    assert_eq!(asked, ["first", "first", "second"]);
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
