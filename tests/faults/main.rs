//! What can go wrong, with the real binary: servers, input, files, pipes and signals. Nothing is lost, the exit code says what
//! it was, and the message says the remedy.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

#[cfg(target_os = "linux")]
#[path = "../support/faults.rs"]
mod faults;
#[path = "../support/program.rs"]
mod program;
#[path = "../support/server.rs"]
mod server;

#[cfg(target_os = "linux")]
mod clock;
#[cfg(target_os = "linux")]
mod disk;
mod encodings;
mod ends;
#[cfg(target_os = "linux")]
mod files;
mod keys;
mod lines;
#[cfg(target_os = "linux")]
mod machine;
mod proxies;
mod servers;
mod sizes;
mod starts;
