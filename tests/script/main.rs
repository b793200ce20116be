//! The real binary without a terminal: what a script types, what comes out, in which order, with which exit code. The checks
//! are derived from the contract's words on scripts, commands and the queue.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

#[path = "../support/program.rs"]
mod program;
#[path = "../support/server.rs"]
mod server;

mod asking;
mod events;
mod looking;
mod order;
mod queues;
mod sessions;
mod settings;
mod stops;
mod subcommands;
mod typing;
mod undoing;
