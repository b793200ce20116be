//! The models, behind one trait. Knows no session, no queue, no store: a request goes in, pieces of an answer come out.
//!
//! The rule for reading servers: be strict in what is sent, and lose no text that came (`wire` says how, `answer` when an answer
//! ends). A reply goes through `frames` (bytes to events), `wire` (an event to pieces), `strike` (keys that are said
//! back), `seam` (where an answer is continued) and `answer` (the end and the limits on silence); an error through `complaint` (what the server says), `verdict` (what it means) and
//! `remedy` (what a person reads). `learned` keeps what a server was found not to take.
//!
//! A wire format is one file in `wire/` and one row in `Kind::wire`.

mod answer;
mod ask;
mod clients;
mod complaint;
mod demo;
mod endpoint;
mod frames;
#[cfg(test)]
mod fuzz;
mod key_command;
mod learned;
mod profile;
mod proxies;
mod record;
mod registry;
mod remedy;
mod scattered;
mod seam;
mod secrets;
mod silence;
#[cfg(test)]
mod silence_tests;
mod strike;
#[cfg(test)]
mod tests;
mod transport;
mod verdict;
mod wire;

use std::fmt::Debug;
use std::pin::Pin;

use futures_util::Stream;

use crate::domain::{ChatMessage, Delta, Finish, ProviderError, Role, Usage};

pub use demo::Demo;
pub use profile::{KeySource, Kind, Profile, Timeouts};
pub use record::Recorder;
pub use registry::Providers;

/// What a model is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What the provider calls the model; never empty.
    pub model: String,
    /// Instructions before the conversation; empty: none.
    pub system: String,
    /// The conversation, oldest first. Questions and answers alternate, except where an answer never came. The last one is
    /// the question, or, when an answer is to be continued, that answer's beginning.
    pub messages: Vec<ChatMessage>,
    /// Which attempt at this question this is: 1 for the first. Only the embedded model looks at it.
    pub attempt: u32,
}

impl Request {
    /// The beginning of the answer, when it is to be continued. Blanks alone are none.
    fn beginning(&self) -> Option<&str> {
        let last = self.messages.last().filter(|last| last.role == Role::Assistant)?;
        (!last.text.trim().is_empty()).then_some(last.text.as_str())
    }
}

/// A piece of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// The model thinks aloud. Never empty.
    Reasoning(String),
    /// The model speaks. Never empty.
    Text(String),
    /// Tokens as counted so far; later ones replace earlier ones field by field.
    Usage(Usage),
    /// Bytes came that hold no content: the server lives. At most one a second.
    Alive,
    /// Text that came and is withheld, for it may be the beginning of a key. It follows as a piece, or is replaced by what comes next;
    /// only where the stream is given up now is this the end of the answer. Never empty.
    Withheld(Delta),
    /// The model stopped by itself, as far as is known. Where content follows all the same, it had not; the last one counts.
    Finish(Finish),
}

impl From<Delta> for Piece {
    fn from(delta: Delta) -> Self {
        match delta {
            Delta::Text(text) => Self::Text(text),
            Delta::Reasoning(text) => Self::Reasoning(text),
        }
    }
}

/// The answer as it comes. Dropping it ends the request. After an `Err`, and after the end, it is not polled again.
///
/// The stream ends without an error only if a [`Piece::Finish`] was yielded behind the last content: an end without a stop reason is
/// yielded as an error of kind `Truncated`. An error is yielded only where it counts more than a stop reason before it.
pub type Pieces = Pin<Box<dyn Stream<Item = Result<Piece, ProviderError>> + Send>>;

/// A way to models.
pub trait Provider: Debug + Send + Sync {
    /// Begins to ask. Nothing is sent before the first poll.
    fn stream(&self, request: Request) -> Pieces;
}
