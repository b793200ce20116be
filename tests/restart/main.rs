//! The end and the next start, with the real binary: what was acknowledged is there, what had come is kept, what waits is held,
//! and nothing is sent twice unasked.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

#[path = "../support/program.rs"]
mod program;
#[path = "../support/server.rs"]
mod server;

mod kills;
mod returns;
