//! chatmux: one shell prompt over many LLM conversations.

pub mod config;
pub mod domain;
pub mod provider;
