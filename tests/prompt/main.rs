//! The prompt as a person sees it: the real binary in a pty with an emulated screen. The tests type, and wait for what the
//! screen shows; models are the tests' server, whose gates say what comes when, or the embedded demo.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

#[cfg(target_os = "linux")]
mod faults;
mod history;
mod home;
mod leaving;
mod looks;
mod loops;
#[cfg(target_os = "linux")]
#[path = "../support/faults.rs"]
mod machine_faults;
mod pasting;
#[path = "../support/pty.rs"]
mod pty;
mod queue;
mod reports;
mod safety;
#[path = "../support/server.rs"]
mod server;
mod settings;
mod streaming;
mod switching;
mod undoing;
mod waiting;
