//! Random histories with the real binary, each from its own seed: whatever a person does to a queue whose server refuses, cuts and
//! fails, nothing that was acknowledged is lost, nothing is answered twice, and the program comes to its end.

use std::collections::BTreeMap;

use nix::sys::signal::Signal;

use serde_json::Value;

use crate::program::Home;
use crate::server::{End, Format, Reply, Server};

/// Histories, and lines of each.
const SEEDS: u64 = 12;
const LINES: usize = 60;
const SESSIONS: usize = 3;
const SECTIONS: &str = "[queue]\nmax_concurrent = SLOTS\nmax_pending = 30\n[auto_reply]\nmax_turns = 3\nstop_on_repeat = false\n\
     [retry]\ninitial_delay = \"5ms\"\njitter = 0.2\nmax_attempts = 3\nmax_retry_after = \"1s\"\nmid_stream = \"MID\"\n";

/// A line as a person may type it; messages are `q`, a number, and a full stop.
fn line(dice: &mut fastrand::Rng, nth: usize) -> String {
    let entry = dice.usize(1..=nth.max(1));
    let other = dice.usize(1..=nth.max(1));
    let session = dice.usize(1..=SESSIONS);
    match dice.usize(..30) {
        0..=5 => format!("/bg q{nth}."),
        6..=8 => format!("/send {session} q{nth}."),
        9..=11 => format!("/later q{nth}."),
        12 => format!("/now q{nth}."),
        13 => "/auto go on".to_owned(),
        14 => "/auto off".to_owned(),
        15 => format!("/stop {session}"),
        16 | 17 => format!("/resume {session}"),
        18 => format!("/hold #{entry}"),
        19 => format!("/drop {entry}"),
        20 => format!("/cancel {session}"),
        21 => format!("/move {entry} before {other}"),
        22 => format!("/priority {entry} high"),
        23 => "/requeue all".to_owned(),
        24 => "/retry".to_owned(),
        25 => "/continue".to_owned(),
        26 => format!("/resume #{entry}"),
        27 => "/wait --timeout 20ms".to_owned(),
        _ => format!("/switch {session}"),
    }
}

/// Every so many requests one goes wrong, each time in another way.
fn trouble(server: &Server, dice: &mut fastrand::Rng) {
    let refusal = || Reply::status(429, "{}").header("retry-after-ms", "30");
    for nth in 0..LINES {
        let text = format!("q{nth}.");
        match dice.usize(..8) {
            0 => server.once(&text, refusal()),
            1 => server.once(&text, Reply::status(503, "{}")),
            2 => server.once(&text, Reply::status(400, "{}")),
            3 => server.once(&text, Reply::words(&["half "]).end(End::Truncated)),
            4 => server.once(&text, Reply::words(&[]).end(End::Reset)),
            _ => {}
        }
    }
    server.once("go on", refusal());
}

fn play(seed: u64) {
    let mut dice = fastrand::Rng::with_seed(seed);
    let server = Server::start();
    trouble(&server, &mut dice);
    let mid_stream = if dice.bool() { "keep" } else { "continue" };
    let (format, slots) = (Format::ALL[dice.usize(..4)], dice.usize(1..=2));
    let sections = SECTIONS.replace("MID", mid_stream).replace("SLOTS", &slots.to_string());
    let home = Home::configured(&server, format, "", &sections);
    let what = format!("seed {seed}, {format:?}, {mid_stream}, {slots} slots");

    let mut script: String = (2..=SESSIONS).map(|n| format!("/new s{n}\n")).collect();
    let lines: Vec<_> = (0..LINES).map(|nth| line(&mut dice, nth)).collect();
    lines.iter().for_each(|line| script += &format!("{line}\n"));
    let mut program = home.start(&["--json"]);
    let kill = dice.bool();
    program.send(script.trim_end());
    if kill {
        let at = dice.usize(1..LINES);
        program.wait_event(&what, |e| e["event"] == "queued" && e["entry"].as_i64().unwrap() as usize >= at.min(8));
        (0..dice.usize(..2_000)).for_each(|_| std::thread::yield_now());
        one_auto_reply_at_a_time(&program.kill().killed(Signal::SIGKILL).out, &what);
        for _ in 0..dice.usize(..3) {
            // Again, while what was left is on its way.
            let mut program = home.start(&["--json"]);
            program.send("/resume all\n/auto go on\n/requeue all\n/retry");
            program.wait_event(&what, |e| e["event"] == "session");
            (0..dice.usize(..20_000)).for_each(|_| std::thread::yield_now());
            one_auto_reply_at_a_time(&program.kill().out, &what);
        }
        home.run(&[], "").code(0).out("");
    } else {
        one_auto_reply_at_a_time(&program.finish().out, &what);
    }
    assert!(server.max_open() <= slots, "{what}: {} at once", server.max_open());
    home.assert_sound();
    assert_eq!(home.query("SELECT count(*) FROM entries WHERE state = 'running'"), [["0"]], "{what}");
    assert_eq!(home.query("SELECT count(*) FROM messages WHERE state = 'streaming'"), [["0"]], "{what}");

    // A person who wants all of it: nothing waits any more, except what a loop may still add, which has its bound.
    let last = home.run(&["--json"], "/resume all\n/wait all\n/requeue all\n/wait all\n/requeue all\n/wait all\n");
    let what = format!("{what}\n{}", last.out);
    let left = home.query("SELECT id, state, text FROM entries WHERE state NOT IN ('done', 'cancelled')");
    assert_eq!(left, Vec::<Vec<String>>::new(), "{what}:\n{}", lines.join("\n"));
    home.assert_sound();
    check_answers(&home, &what);
}

/// Of each session one waits or runs at most.
fn one_auto_reply_at_a_time(out: &str, what: &str) {
    let mut alive: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    for line in out.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
        let event: Value = serde_json::from_str(line).unwrap();
        let (Some(session), Some(entry)) = (event["session"].as_i64(), event["entry"].as_i64()) else { continue };
        let of_it = alive.entry(session).or_default();
        match event["event"].as_str().unwrap() {
            "queued" if event["origin"] == "auto" => of_it.push(entry),
            "finished" => of_it.retain(|&auto| auto != entry),
            _ => {}
        }
        // The next one is queued with the commit that ends the one before, which is told right behind.
        let told = event["event"] != "queued";
        assert!(of_it.len() <= if told { 1 } else { 2 }, "{what}: {of_it:?} in session {session} at {line} of\n{out}");
    }
}

/// Each message stands in its conversation once, with one answer, and no auto-reply loop is left behind.
fn check_answers(home: &Home, what: &str) {
    let rows = home.query(
        "SELECT e.id, e.state, m.role, m.state FROM messages m JOIN entries e ON e.id = m.entry_id ORDER BY m.id",
    );
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in rows {
        found.entry(row[0].clone()).or_default().push(row[2].clone());
    }
    assert!(found.values().all(|roles| roles == &["user", "assistant"]), "{what}: {found:?}");
    let unanswered = home.query(
        "SELECT e.id FROM entries e LEFT JOIN messages m ON m.entry_id = e.id AND m.role = 'assistant' \
         WHERE e.state = 'done' AND (m.id IS NULL OR m.state NOT IN ('complete', 'interrupted'))",
    );
    assert_eq!(unanswered, Vec::<Vec<String>>::new(), "{what}");
    // One that has sent nothing yet may still wait for a whole answer to begin with.
    assert_eq!(home.query("SELECT count(*) FROM auto_replies WHERE turns > 0"), [["0"]], "{what}");
    let order = home.query("SELECT count(*) FROM messages q JOIN messages a ON a.entry_id = q.entry_id AND a.role = 'assistant' WHERE q.role = 'user' AND a.id < q.id");
    assert_eq!(order, [["0"]], "{what}");
}

#[test]
fn random_histories_lose_nothing_and_end() {
    match std::env::var("CHATMUX_SEED") {
        Ok(seed) => play(seed.parse().unwrap()),
        Err(_) => (0..SEEDS).for_each(play),
    }
}
