//! The queue from the outside, with the real binary: what the server was asked, in which order, and what `--json` told of it. Who
//! comes first and who gives way, how auto-reply loops begin, go on and end, what a provider's wish for patience does to all, and
//! what a person changes of what waits.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

#[path = "../support/program.rs"]
mod program;
#[path = "../support/server.rs"]
mod server;

mod brakes;
mod continuing;
mod figures;
mod gates;
mod histories;
mod hunting;
mod loops;
mod orders;
mod overflow;
mod preemption;
mod priorities;

use program::{Outcome, Program};
use serde_json::Value;
use server::{Reply, Server};

/// What the server was asked last in each request, in the order of coming.
fn asked(server: &Server) -> Vec<String> {
    server.requests().iter().map(server::Logged::last_user).collect()
}

/// Entry, state and text of each turn that ended, in that order.
fn ends(outcome: &Outcome) -> Vec<(i64, String, String)> {
    let word = |event: &Value, name: &str| event[name].as_str().unwrap().to_owned();
    let all = outcome.named("finished");
    all.iter().map(|e| (e["entry"].as_i64().unwrap(), word(e, "state"), word(e, "text"))).collect()
}

/// What was told without being asked.
fn notices(outcome: &Outcome) -> Vec<String> {
    outcome.named("notice").iter().map(|e| e["text"].as_str().unwrap().to_owned()).collect()
}

/// One of them says so.
#[track_caller]
fn assert_said(outcome: &Outcome, part: &str) {
    let all = notices(outcome);
    assert!(all.iter().any(|text| text.contains(part)), "no {part:?} in {all:#?}");
}

/// The lines that were wrong.
fn wrong_lines(outcome: &Outcome) -> Vec<i64> {
    outcome.named("error").iter().filter_map(|e| e["line"].as_i64()).collect()
}

/// Each request with `part` is answered with the next of these.
fn answers(server: &Server, part: &str, texts: &[&str]) {
    texts.iter().for_each(|text| server.once(part, Reply::words(&[text])));
}

/// Waits for an event of this name of this entry.
fn wait_of(program: &Program, entry: i64, name: &str) -> Value {
    program.wait_event(&format!("{name} of #{entry}"), |e| e["event"] == name && e["entry"] == entry)
}

/// Waits until a notice says so.
fn wait_said(program: &Program, part: &str) {
    program.wait_event(part, |e| e["event"] == "notice" && e["text"].as_str().unwrap().contains(part));
}
