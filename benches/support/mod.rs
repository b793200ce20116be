//! What the benches share: a server of models, the program in a folder of its own, the raw client that it is measured against,
//! and figures.
//!
//! Each bench measures chatmux and a raw baseline in turns, in one run on one machine, and says the ratio: a figure alone
//! says more about the machine than about the program.
#![allow(dead_code, reason = "shared by several benches, each of which uses a part")]

pub(crate) mod figures;
pub(crate) mod history;
pub(crate) mod prompt;
pub(crate) mod raw;
pub(crate) mod sandbox;
pub(crate) mod server;
pub(crate) mod wire;
