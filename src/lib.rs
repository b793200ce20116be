//! chatmux: one shell prompt over many LLM conversations.

pub mod domain;
pub mod provider;
pub mod ui;
