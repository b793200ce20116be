//! chatmux: one shell prompt over many LLM conversations.

pub mod app;
pub mod cli;
pub mod command;
pub mod config;
pub mod coordinator;
pub mod domain;
pub mod execute;
pub mod logging;
pub mod provider;
pub mod queue;
pub mod repl;
pub mod script;
pub mod store;
pub mod ui;
pub mod worker;
