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
//!                       ▲  StartRefused │                │ Interrupt (cancel, stop, high over low, a slot for the
//!                       └───────────────┘                │            active session, quit)
//!                                                        └──► the worker ends early: Ended
//! ```
//!
//! # Who comes next
//!
//! *Within a session* one turn at a time, by [`Priority`], then what was begun before and goes on, then by position, which grows
//! with arrival until a person moves something ([`Waiting::position`]).
//!
//! *Across sessions*, each with the entry that is next there: the smallest **rank** first, where a rank is when the entry
//! arrived plus [`Settings::ageing`] for each step down (high, normal, low: 0, 1, 2; not the active session: 3 more). So a
//! message of the active session goes before all that arrived less than three steps earlier, and whatever waits long enough goes
//! before everything: nothing starves. The rank of an entry never changes while it waits, so the ready sessions stand in a sorted
//! set and each decision is O(log n). Ranks and waits are measured on a clock of the queue's own that never goes back
//! (`own_clock.rs`), so a wall clock that is set does neither harm nor stop anything.
//!
//! *Slots*: [`Limits::max_concurrent`] in all and one limit a provider. When the active session's next entry (`high` or `normal`) finds
//! none, the lowest-ranked running `low` turn whose slot would help gives way ([`Cause::Preemption`]), and its slot goes to the entry
//! that it was taken for. An entry gives way [`MAX_PREEMPTIONS`] times at most, so it gets done.
//!
//! # The gate of a model
//!
//! ```text
//!          Retry-After ≤ max_retry_after          its time has come         as many accepted as there are slots
//!   open ───────────────────────────────► paused ───────────────────► slow ────────────────────────────────────► open
//!    └────Retry-After > max_retry_after──► refusing ──Hold{held:false}──┘ start
//! ```
//!
//! Each model of a provider has a gate of its own, for servers limit model by model; the slots are the provider's. A paused gate
//! starts nothing for any session; what waits keeps its place and spends no attempt. A refusing one holds each session whose next
//! entry would go there, and says until when. In the slow start one turn at a time is asked, until its first content
//! ([`Event::Accepted`]) or its end shows that the provider takes requests for that model again.
//!
//! # Other processes
//!
//! A session whose lease another process has is known here with all that waits in it, and starts nothing ([`Event::Reread`]). It takes
//! no slot. What a person changes of it is changed in the journal, which the other process reads.
//!
//! # How an attempt ends
//!
//! | the model stopped | with text | without |
//! |---|---|---|
//! | `stop`, `refusal`, `tool`, `unknown` | [`Settlement::Complete`] | [`Settlement::Empty`] |
//! | `length`, `filter`, `error` | [`Settlement::Cut`] | [`Settlement::Empty`] |
//! | `pause`, [`MAX_PAUSES`] times a turn | [`Settlement::Paused`] | [`Settlement::Paused`] |
//! | `pause`, once more | [`Settlement::Cut`] | [`Settlement::Empty`] |
//!
//! An attempt that fails is tried again as [`RetryPolicy`] says, but not a third time where it failed twice running because the same
//! place of the answer could not be decoded.
//!
//! # Auto-replies
//!
//! [`auto_reply`] judges, at the end of each answer, whether a loop goes on; the entry that follows is committed with the answer,
//! so the queue sees an auto-reply as any other `low` entry ([`Waiting::auto`]).

pub mod auto_reply;
mod gate;
mod machine;
mod own_clock;
#[cfg(test)]
mod properties;
mod questions;
mod rank;
mod retry;
#[cfg(test)]
mod scenarios;
mod session_queue;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod stopping;
#[cfg(test)]
mod tests;
mod turns;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::{EntryId, FinishReason, ModelName, Priority, ProviderError, SessionId, Timestamp};

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

/// How often an entry gives its slot to the active session at most. Each time costs a request more, and a person who types without
/// end must not keep it from its end.
pub const MAX_PREEMPTIONS: u32 = 3;

/// How often a turn that its server pauses is continued by itself. Each time costs a request.
pub const MAX_PAUSES: u32 = 10;

/// The rules that are configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// How much may wait and run at once.
    pub limits: Limits,
    /// What follows a failure.
    pub retry: RetryPolicy,
    /// This much waiting is worth one rank (`queue.ageing`). Zero: waiting makes no rank, and what ranks low may starve.
    pub ageing: Duration,
    /// Whether a running `low` turn gives its slot to the active session (`queue.preempt`).
    pub preempt: bool,
    /// Auto-replies stand before what is `normal` (`auto_reply.queue_position`).
    pub auto_before_normal: bool,
    /// A `high` entry and the active session may interrupt an auto-reply (`auto_reply.allow_interruption`).
    pub auto_interruptible: bool,
}

impl Settings {
    /// The contract's defaults with these limits.
    pub fn new(limits: Limits, retry: RetryPolicy) -> Self {
        Self {
            limits,
            retry,
            ageing: Duration::from_secs(30),
            preempt: true,
            auto_before_normal: false,
            auto_interruptible: true,
        }
    }
}

/// What the machine knows of an entry that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// Its number.
    pub entry: EntryId,
    /// Its priority.
    pub priority: Priority,
    /// An auto-reply loop made it.
    pub auto: bool,
    /// It was begun before and goes on from its partial: it comes before the others of its priority.
    pub continues: bool,
    /// Its place among the entries of its session and priority: the lower the earlier.
    pub position: i64,
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
    /// The active session's message needs the slot.
    Preemption,
    /// chatmux ends.
    Quit,
    /// chatmux ends, and another process goes on with what it was at.
    HandOver,
}

/// How a worker's attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The model stopped, for this reason.
    Finished(FinishReason),
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

/// Who may start what waits in a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lease {
    /// This process.
    Here,
    /// Another one, which runs this entry.
    Elsewhere(Option<EntryId>),
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A session is there (at start-up, or new).
    SessionAdded {
        /// Which.
        session: SessionId,
        /// Who answers: its turns take slots of that provider and pass that model's gate.
        model: ModelName,
        /// Its queue is held.
        held: bool,
    },
    /// A session's model changed; a running turn keeps the slot it has.
    ModelChanged {
        /// Which.
        session: SessionId,
        /// Who answers from now on.
        model: ModelName,
    },
    /// A session is gone: what waits there is forgotten. It must have no running turn.
    SessionRemoved(SessionId),
    /// A session was read anew from the journal, because another process has changed it: this is what waits there.
    Reread {
        /// Where.
        session: SessionId,
        /// All of it.
        waiting: Vec<Waiting>,
        /// Who may start what waits there. A turn that is under way here stays so.
        lease: Lease,
    },
    /// The person looks at this session.
    Activated(SessionId),
    /// An entry is committed as pending.
    Enqueued {
        /// Where.
        session: SessionId,
        /// What the machine needs to know of it.
        waiting: Waiting,
    },
    /// From the journal, at start-up: all that waits, session by session. Nothing starts before all of it is known.
    Found(Vec<(SessionId, Waiting)>),
    /// An entry that waits is another now: moved, of another priority, held or released. Without effect on one that does not wait.
    Changed {
        /// Where.
        session: SessionId,
        /// All of what the machine needs to know of it now.
        waiting: Waiting,
    },
    /// [`Effect::Start`] is committed, and the worker runs.
    Started(SessionId),
    /// The first content of the attempt came: the provider took the request.
    Accepted(SessionId),
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
        /// What there is of the answer, with what it had before this attempt.
        came: Came,
        /// Whether this attempt brought any of it.
        news: bool,
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
    /// The next entry of a session shall not wait for its time, nor for its model's gate.
    Hurry(SessionId),
    /// From the journal, at start-up: the gate of a model is closed until then.
    Gate {
        /// Which.
        model: ModelName,
        /// When it takes requests again.
        until: Timestamp,
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
    /// The same, and what runs goes back to its queue, for another process to go on with.
    HandOver,
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
    /// Put it into the journal that the gate of a model is closed, or open again; nothing is answered.
    Gate {
        /// Which.
        model: ModelName,
        /// Until when. `None`: it is asked again now.
        until: Option<Timestamp>,
    },
    /// The session has nothing running: the idle event.
    Idle(SessionId),
}

/// How an attempt is to be committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settlement {
    /// The model ended its answer.
    Complete,
    /// The model stopped in the middle of its answer; the partial is the answer.
    Cut,
    /// The model stopped without any text: a dead letter. It was paid for, so it is not asked again by itself.
    Empty,
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
        /// Why.
        error: ProviderError,
        /// It goes on from its partial; else it begins afresh.
        continues: bool,
    },
    /// Back to pending: it was ended from here, and nobody wanted it to end. The attempt does not count.
    Requeue {
        /// It goes on from its partial; else nothing worth keeping came, and it begins afresh.
        continues: bool,
        /// Why.
        cause: Cause,
    },
    /// Back to pending: the server paused the turn, and wants to be asked to continue. The attempt does not count.
    Paused {
        /// It goes on from its partial; else no text came, and it begins afresh.
        continues: bool,
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
