//! Several chatmux on one database, with the real binary: who runs what, who sees what, and what becomes of the work of one that
//! leaves or dies.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

#[path = "../support/program.rs"]
mod program;
#[path = "../support/pty.rs"]
mod pty;
#[path = "../support/server.rs"]
mod server;

mod detaching;
mod sharing;
mod takeover;
mod waking;
mod working;

use program::{Home, Program};
use serde_json::Value;
use server::{End, Format, Gate, Reply, Server};

/// Leases that are looked at often, so that no test waits long.
const QUICK: &str = "[lease]\nheartbeat = \"50ms\"\nquiet_period = \"100ms\"\ncheck_interval = \"10ms\"\n";

/// A home where `server` answers.
fn home(server: &Server) -> Home {
    Home::configured(server, Format::OpenAi, "", QUICK)
}

/// What the server was asked last in each request, in the order of coming.
fn asked(server: &Server) -> Vec<String> {
    server.requests().iter().map(server::Logged::last_user).collect()
}

/// Each request with `part` is answered with this, piece by piece as the gate lets them.
fn gated(server: &Server, part: &str, words: &[&str]) -> Gate {
    let gate = Gate::default();
    server.once(part, Reply::words(words).gate(&gate));
    gate
}

/// Waits for an event of this name of this entry.
fn wait_of(program: &Program, entry: i64, name: &str) -> Value {
    program.wait_event(&format!("{name} of #{entry}"), |e| e["event"] == name && e["entry"] == entry)
}

/// Waits until a notice says so.
fn wait_said(program: &Program, part: &str) {
    program.wait_event(part, |e| e["event"] == "notice" && e["text"].as_str().unwrap().contains(part));
}

/// Each entry has its end, and its text, once.
fn states(home: &Home) -> Vec<Vec<String>> {
    home.query("SELECT id, state FROM entries ORDER BY id")
}

/// What is left in the tables of processes when nobody lives any more.
fn assert_nobody_is_left(home: &Home) {
    assert_eq!(home.query("SELECT (SELECT count(*) FROM processes) + (SELECT count(*) FROM leases)"), [["0"]]);
}
