//! An auto-reply loop as it is kept: after each answer of its session, its text is queued as a low entry, until a brake ends it.
//! What the brakes are, and when one ends it, is [`crate::queue`]'s.

use std::time::Duration;

use super::ids::SessionId;
use super::time::Timestamp;

/// One session's loop. A session has one at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AutoReply {
    /// Whose.
    pub session: SessionId,
    /// What is sent, verbatim.
    pub text: String,
    /// Auto-replies in all.
    pub max_turns: u32,
    /// An answer with this word ends it.
    pub until: Option<String>,
    /// No auto-reply is queued later than this after `started_at`.
    pub max_time: Duration,
    /// Tokens of all its turns together, questions and answers.
    pub max_tokens: u64,
    /// The same answer twice ends it.
    pub stop_on_repeat: bool,
    /// When it was begun.
    pub started_at: Timestamp,
    /// Auto-replies queued so far.
    pub turns: u32,
    /// Tokens used so far.
    pub tokens: u64,
    /// A digest of the last whole answer, to notice one that is repeated.
    pub last_answer: Option<i64>,
}
