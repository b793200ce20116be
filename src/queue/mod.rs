//! The message queue: a pure state machine. Events go in with `now` and, where chance has a say, with the roll; effects come
//! out, in order. It knows no clock, no I/O, no randomness, no message texts, and no other module than `domain`, so
//! thousands of seeded histories can be played against it (`simulation.rs`).
//!
//! SQLite is its journal, kept by the coordinator: an effect that must be durable ([`Effect::Start`], [`Effect::Settle`]) is
//! committed first and then confirmed by an event ([`Event::Started`], [`Event::Settled`], [`Event::Discarded`]). A session is therefore idle when,
//! and only when, the end of its last turn is committed.
//!
//! ```text
//!            Enqueued                Started                  Ended                  Settled
//!  (pending) ───────► Idle ─Start──► Starting ──────► Running ─────Settle──► Settling ──────► Idle ─Idle─►
//!                       ▲  StartRefused │                │ Interrupt (cancel, stop, high over low, quit)
//!                       └───────────────┘                └──► the worker ends early: Ended
//! ```

mod machine;
mod retry;
mod session_queue;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::{EntryId, Priority, ProviderError, SessionId, Timestamp};

pub use machine::Queue;
pub use retry::RetryPolicy;

/// How much may wait and run at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Turns at once, in all.
    pub max_concurrent: usize,
    /// Turns at once per provider; a provider that is not named has no limit of its own.
    pub per_provider: BTreeMap<String, usize>,
    /// Entries that may wait in one session.
    pub max_pending: usize,
    /// Entries that may wait in all.
    pub max_pending_total: usize,
}

/// What the machine knows of an entry that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// Its number.
    pub entry: EntryId,
    /// Its priority.
    pub priority: Priority,
    /// Attempts begun so far.
    pub attempts: u32,
    /// Left out until it is resumed.
    pub held: bool,
    /// Not to be started earlier.
    pub not_before: Option<Timestamp>,
    /// When it was acknowledged.
    pub since: Timestamp,
}

/// Why a running turn shall end early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// A person said `/cancel` or `/stop`.
    Person,
    /// A `high` entry waits behind a `low` one that runs.
    Intervention,
    /// chatmux ends.
    Quit,
}

/// How a worker's attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// With a stop reason.
    Complete,
    /// Because it was interrupted.
    Stopped,
    /// By itself.
    Failed(ProviderError),
}

/// What has come of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Came {
    /// Nothing.
    Nothing,
    /// Reasoning, and no text yet.
    Reasoning,
    /// Text.
    Text,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A session is there (at start-up, or new).
    SessionAdded {
        /// Which.
        session: SessionId,
        /// Whose slots its turns take.
        provider: String,
        /// Its queue is held.
        held: bool,
    },
    /// A session's model changed; a running turn keeps the slot it has.
    ProviderChanged {
        /// Which.
        session: SessionId,
        /// Whose slots its turns take from now on.
        provider: String,
    },
    /// A session is gone: what waits there is forgotten. It must have no running turn.
    SessionRemoved(SessionId),
    /// The person looks at this session.
    Activated(SessionId),
    /// An entry is committed as pending.
    Enqueued {
        /// Where.
        session: SessionId,
        /// What the machine needs to know of it.
        waiting: Waiting,
    },
    /// [`Effect::Start`] is committed, and the worker runs.
    Started(SessionId),
    /// [`Effect::Start`] could not be committed: the entry goes back to its place and is tried again after `wait`.
    StartRefused {
        /// Where.
        session: SessionId,
        /// How long to leave it alone.
        wait: Duration,
    },
    /// The worker's attempt ended.
    Ended {
        /// Where.
        session: SessionId,
        /// How.
        outcome: Outcome,
        /// Whether the answer has any text or reasoning.
        has_text: bool,
        /// Chance for the jitter, in `0.0..1.0`.
        roll: f64,
    },
    /// [`Effect::Settle`] is committed.
    Settled(SessionId),
    /// [`Effect::Discard`] is committed.
    Discarded(SessionId),
    /// End the running turn, keep its partial, go on. A turn that waits for its next attempt counts as running.
    Cancel(SessionId),
    /// The queue of a session is held or goes on. Holding does not disturb the running turn.
    Hold {
        /// Where.
        session: SessionId,
        /// Held or not.
        held: bool,
        /// Entries that are held one by one go on too: what the person means by resuming.
        release: bool,
    },
    /// An entry that waited is cancelled.
    Dropped {
        /// Where.
        session: SessionId,
        /// Which.
        entry: EntryId,
    },
    /// chatmux ends: nothing is started any more, and what runs is interrupted.
    Quit,
    /// Time went by ([`Queue::next_wakeup`]).
    Tick,
}

/// What is to be done, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Commit the start, run the worker, answer with [`Event::Started`] or [`Event::StartRefused`].
    Start {
        /// Where.
        session: SessionId,
        /// Which.
        entry: EntryId,
        /// 1 for the first.
        attempt: u32,
    },
    /// Tell the worker to end early; it answers with [`Event::Ended`].
    Interrupt {
        /// Where.
        session: SessionId,
        /// Which.
        entry: EntryId,
    },
    /// Commit the end of the attempt, answer with [`Event::Settled`].
    Settle {
        /// Where.
        session: SessionId,
        /// Which.
        entry: EntryId,
        /// What to commit.
        end: Settlement,
    },
    /// Commit that an entry which waited for another attempt is cancelled, answer with [`Event::Discarded`].
    Discard {
        /// Where.
        session: SessionId,
        /// Which.
        entry: EntryId,
    },
    /// Commit that the session is held, and say until when; nothing is answered.
    HoldSession {
        /// Where.
        session: SessionId,
        /// When the server would take requests again.
        until: Timestamp,
    },
    /// The session has nothing running: the idle event.
    Idle(SessionId),
}

/// How an attempt is to be committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settlement {
    /// The answer is whole.
    Complete,
    /// The answer was cut; the partial is the answer. `None`: by an intervention or the end of chatmux.
    Interrupted(Option<ProviderError>),
    /// A person ended it.
    Cancelled,
    /// A dead letter.
    Dead(ProviderError),
    /// Back to pending, for another attempt.
    Retry {
        /// Not earlier than this.
        not_before: Timestamp,
        /// The attempt that will follow.
        attempt: u32,
        /// Why. `None`: it was ended from here before anything came; the attempt does not count.
        error: Option<ProviderError>,
    },
}

/// Why a message was not accepted. Nothing was dropped: the text is still the caller's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// One session's queue is full.
    #[error("the queue of session {session} is full ({limit} wait): wait for an answer, or /drop one")]
    SessionFull {
        /// Which.
        session: SessionId,
        /// `queue.max_pending`.
        limit: usize,
    },
    /// All queues together are full.
    #[error("the queues are full ({limit} messages wait in all): wait for an answer, or /drop some")]
    TotalFull {
        /// `queue.max_pending_total`.
        limit: usize,
    },
    /// There is no such session.
    #[error("there is no session {0}: /sessions lists them")]
    NoSession(SessionId),
    /// chatmux ends.
    #[error("chatmux is ending")]
    Quitting,
}
