//! Messages, entries and sessions as the store keeps them and everyone above reads them.

use serde::Serialize;

use super::error::ErrorKind;
use super::finish::Finish;
use super::ids::{EntryId, MessageId, SessionId};
use super::kinds::{AnswerState, EntryState, Notify, Origin, Priority, Role};
use super::names::{ModelName, SessionName};
use super::replay::Seen;
use super::time::Timestamp;

/// Tokens of one turn, as the provider counted them; `None` where it did not say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// Tokens of the request.
    pub input: Option<u64>,
    /// Tokens of the answer, reasoning included.
    pub output: Option<u64>,
}

/// One message of the conversation as a provider gets it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChatMessage {
    /// `User` or `Assistant`; the system prompt travels apart.
    pub role: Role,
    /// The words.
    pub text: String,
}

/// What an answer has before an attempt adds to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kept {
    /// Its text, from which the model goes on; empty: it begins anew.
    pub text: String,
    /// Bytes of its reasoning, which no model is shown again.
    pub reasoning_bytes: u64,
}

impl Kept {
    /// Whether there is nothing.
    pub const fn is_empty(&self) -> bool {
        self.text.is_empty() && self.reasoning_bytes == 0
    }
}

/// One row of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its number.
    pub id: MessageId,
    /// Its session.
    pub session: SessionId,
    /// The queue entry whose turn it belongs to.
    pub entry: EntryId,
    /// `User` for the question, `Assistant` for the answer.
    pub role: Role,
    /// The words, chunks folded in.
    pub text: String,
    /// The model's reasoning, where it shows it.
    pub reasoning: String,
    /// `Complete` for a question.
    pub state: AnswerState,
    /// The model that answered.
    pub model: Option<ModelName>,
    /// Why the model stopped.
    pub finish: Option<Finish>,
    /// Tokens of the turn.
    pub usage: Usage,
    /// What went wrong.
    pub error: Option<StoredError>,
    /// When the row was made.
    pub created_at: Timestamp,
    /// When the answer ended.
    pub finished_at: Option<Timestamp>,
    /// Bytes of the text after which the answer was continued, ascending: it was cut there, and asked to go on.
    pub seams: Vec<u64>,
}

/// A failure as it is kept with an answer or a dead letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StoredError {
    /// What kind.
    pub kind: ErrorKind,
    /// The HTTP status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// For people.
    pub text: String,
    /// The provider's number for the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

impl StoredError {
    /// Why an entry waits that was sent, and whose process ended before any text of the answer.
    pub fn unanswered() -> Self {
        let text = "chatmux ended while this was asked: the server may have answered it".to_owned();
        Self { kind: ErrorKind::Unanswered, status: None, text, request_id: None }
    }

    /// The reason of an entry that waited for another attempt after this failure when its process ended. `None` where it is known
    /// what became of the request: the server answered it with a failure, or was never reached.
    pub fn left_unanswered(&self) -> Option<Self> {
        // An error status is an answer, whatever its kind.
        let left = self.status.is_none() && self.kind.may_be_answered();
        let text =
            format!("chatmux ended before this was asked again, and the server may have answered it: {}", self.text);
        left.then(|| Self { kind: ErrorKind::Unanswered, text, ..self.clone() })
    }

    /// [`Self::unanswered`] of one that is not asked again: `attempts` of `max_attempts` are made.
    pub fn given_up(attempts: u32, max_attempts: u32) -> Self {
        let text = format!("chatmux ended while this was asked (attempt {attempts} of {max_attempts})");
        Self { text, ..Self::unanswered() }
    }
}

impl std::fmt::Display for StoredError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(status) = self.status {
            write!(f, "{status} ")?;
        }
        f.write_str(&self.text)
    }
}

impl From<&super::error::ProviderError> for StoredError {
    fn from(e: &super::error::ProviderError) -> Self {
        Self { kind: e.kind, status: e.status, text: e.text.clone(), request_id: e.request_id.clone() }
    }
}

/// A user message in a session's queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its number, never used again.
    pub id: EntryId,
    /// Its session.
    pub session: SessionId,
    /// How urgent.
    pub priority: Priority,
    /// Who made it.
    pub origin: Origin,
    /// Where it is in its life.
    pub state: EntryState,
    /// The message, verbatim.
    pub text: String,
    /// Attempts begun so far.
    pub attempts: u32,
    /// Waits until the person resumes it.
    pub held: bool,
    /// Not to be started earlier (backoff).
    pub not_before: Option<Timestamp>,
    /// Its place among the entries of its session and priority: the lower the earlier. It grows with arrival; `/move` changes it.
    pub position: i64,
    /// It was begun before, has a partial answer, and goes on from there when its turn comes again.
    pub continues: bool,
    /// When it was acknowledged.
    pub created_at: Timestamp,
    /// When its first attempt began.
    pub started_at: Option<Timestamp>,
    /// When it was done, cancelled or dead.
    pub finished_at: Option<Timestamp>,
    /// Why it is dead, or why its last attempt failed.
    pub error: Option<StoredError>,
}

impl Entry {
    /// It waits, and was sent before: its process ended before any text of the answer.
    pub fn is_unanswered(&self) -> bool {
        let sent = self.error.as_ref().is_some_and(|error| error.kind == ErrorKind::Unanswered);
        sent && self.state == EntryState::Pending
    }
}

/// A conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its number.
    pub id: SessionId,
    /// Its name, unique among all sessions of the database, archived ones included.
    pub name: SessionName,
    /// Who answers.
    pub model: ModelName,
    /// Instructions before the conversation; empty: none.
    pub system: String,
    /// What was left in the line.
    pub draft: String,
    /// The queue waits until the person resumes it.
    pub held: bool,
    /// When it was archived.
    pub closed_at: Option<Timestamp>,
    /// How far the person has seen its output.
    pub seen: Seen,
    /// When it was made.
    pub created_at: Timestamp,
    /// Which of its lines are told while it is in the background; `None`: as the configuration says.
    pub notify: Option<Notify>,
}
