//! What the display shall show, in order: the coordinator (above the queue) says it, the terminal draws it.

use super::ids::SessionId;
use super::kinds::{Alert, AnswerState, Reasoning, Render, words};
use super::message::StoredError;
use super::names::SessionName;
use super::time::Timestamp;

words!(
    /// Why a background session wants attention. The order is the order of urgency, the least first.
    Activity {
        /// It streams.
        Streaming => "~",
        /// It finished something unseen.
        Finished => "+",
        /// It failed, or needs the person.
        Failed => "!",
    }
);

impl Activity {
    /// The same without a sign, as in `session 2 is answering`.
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::Streaming => "is answering",
            Self::Finished => "has an answer",
            Self::Failed => "needs you",
        }
    }
}

/// How the terminal shows things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// What is done to their text.
    pub render: Render,
    /// What becomes of reasoning.
    pub reasoning: Reasoning,
    /// How a person who looks elsewhere is told that something ended.
    pub alert: Alert,
}

impl Default for Look {
    fn default() -> Self {
        Self { render: Render::Markdown, reasoning: Reasoning::Dim, alert: Alert::None }
    }
}

/// What the active session's turn is at, for the prompt's own field: something moves there while nothing comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// It was asked then, and nothing has come.
    Asked(Timestamp),
    /// It thinks since then.
    Thinks(Timestamp),
    /// It speaks; its last piece came then.
    Speaks(Timestamp),
    /// It is asked again then.
    Retry {
        /// When.
        until: Timestamp,
        /// Which attempt that is.
        attempt: u32,
        /// Of so many.
        of: u32,
    },
    /// The gate of its model is closed until then.
    Gate(Timestamp),
    /// It waits for a slot since then.
    Slot(Timestamp),
}

/// One thing to show. All text in it is as it came: who draws it makes it safe first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Show {
    /// A turn of the active session begins: its question, as a row (or rows) of its own, behind what the session showed before.
    Question {
        /// The session's number.
        session: SessionId,
        /// The session's name.
        name: SessionName,
        /// The question, verbatim; may have many lines.
        text: String,
    },
    /// The active session's model thinks: goes on in the live row.
    Reasoning(String),
    /// The active session's model speaks: goes on in the live row.
    Text(String),
    /// What follows goes on in the middle of an answer whose text so far, which is not shown (again), is this: what stands there says
    /// how the rest is meant, as in a fence.
    GoesOn(String),
    /// The active session's answer ended: the live row is finished; what is not as one wants it says so in a row of its own.
    End {
        /// How it ended.
        state: AnswerState,
        /// What the model's stop reason says ([`Finish::line`](super::Finish::line)); then nothing else is said.
        line: Option<String>,
        /// Why, when it went wrong.
        error: Option<StoredError>,
    },
    /// A line that says something about any session, above the live row.
    Notice(String),
    /// Something went wrong that the person asked for: as a notice, but marked as an error.
    Error(String),
    /// A command that was typed, echoed as the prompt and the line, above the live row.
    Command {
        /// The session whose prompt it was typed at.
        session: SessionId,
        /// That session's name.
        name: SessionName,
        /// The line.
        line: String,
    },
    /// What a command answers: whole lines, above the live row.
    Block(String),
    /// A message was typed that waits: its echo and its acknowledgement, above the live row.
    Queued {
        /// The session whose prompt it was typed at.
        session: SessionId,
        /// That session's name.
        name: SessionName,
        /// The message, verbatim; may have many lines.
        text: String,
        /// The acknowledgement.
        said: String,
    },
    /// How things are shown from here on.
    Look(Look),
    /// Something ended: a person who looks elsewhere is told (`ui.alert`).
    Alert(String),
    /// Another session is active from here on: the old live row is finished and a marker row is drawn.
    Switched {
        /// The session's number.
        session: SessionId,
        /// The session's name.
        name: SessionName,
        /// What follows was not seen before.
        unread: bool,
        /// Bytes that are left out before what follows (`/replay` shows all).
        cut_bytes: u64,
    },
}

/// What the prompt shows, apart from the line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromptState {
    /// The active session.
    pub session: SessionId,
    /// Its name.
    pub name: SessionName,
    /// Whether its answer is under way.
    pub streaming: bool,
    /// What that is at, where there is something to wait for.
    pub progress: Option<Progress>,
    /// There are other sessions that are not archived.
    pub has_others: bool,
    /// The other sessions that want attention, by number.
    pub activity: Vec<(SessionId, Activity)>,
}

/// What the display gets at once. The channel that carries frames holds one, so that a slow terminal costs a frame, never a
/// stream: what comes meanwhile is merged into the next one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// What to show, in order.
    pub shows: Vec<Show>,
    /// The prompt from now on.
    pub prompt: PromptState,
}
