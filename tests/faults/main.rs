//! What can go wrong, with the real binary: servers, input, files, pipes and signals. Nothing is lost, the exit code says what
//! it was, and the message says the remedy.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

#[path = "../support/program.rs"]
mod program;
#[path = "../support/server.rs"]
mod server;

mod ends;
mod keys;
mod lines;
mod servers;
mod starts;
