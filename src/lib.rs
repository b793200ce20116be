//! chatmux: one shell prompt over many LLM conversations.

pub mod cli;
pub mod command;
pub mod config;
pub mod domain;
pub mod provider;
pub mod queue;
pub mod store;
pub mod ui;
