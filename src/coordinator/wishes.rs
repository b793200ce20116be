//! What a person asks of the queue beyond sending: its order, what is held, what is dead, and the auto-replies. The second half
//! of the [`Handle`]; each answers once what was asked is committed.

use std::time::Duration;

use super::Coordinator;
use super::request::{Error, Handle, Queued, Reply, Request, Which};
use super::undoing::{LastMessage, Replaced, Undone};
use crate::domain::{AutoReply, Entry, EntryId, Origin, Priority, SessionRef};

/// Which dead entries are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Requeue {
    /// Each of these.
    These(Vec<EntryId>),
    /// Every one, of every session.
    All,
}

/// What a wish to try again came to.
#[derive(Debug)]
pub enum Retried {
    /// This one waited for its next attempt, and is tried now.
    Hurried(EntryId),
    /// This one waits for its turn already.
    Waits(EntryId),
    /// The last turn was a dead letter, and is queued again.
    Requeued(Queued),
    /// The last question is asked again, as a new message.
    Asked(Queued),
    /// Nothing was asked here yet.
    Nothing,
}

/// An auto-reply loop as a person wishes it; what is `None` is as the configuration says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AutoWish {
    /// What is sent, verbatim.
    pub text: String,
    /// Auto-replies in all.
    pub max_turns: Option<u32>,
    /// An answer with this word ends it.
    pub until: Option<String>,
    /// No auto-reply is queued later than this from now.
    pub max_time: Option<Duration>,
}

/// One variant a question, each with its way back.
#[derive(Debug)]
pub(super) enum Wish {
    Move { entry: EntryId, beside: EntryId, before: bool, reply: Reply<Vec<Entry>> },
    SetPriority { entries: Vec<EntryId>, priority: Priority, reply: Reply<Vec<Entry>> },
    HoldEntries { entries: Vec<EntryId>, held: bool, reply: Reply<Vec<EntryId>> },
    Requeue { which: Requeue, reply: Reply<Vec<Queued>> },
    Retry { origin: Origin, reply: Reply<Retried> },
    Continue { origin: Origin, reply: Reply<Option<Queued>> },
    Undo { reply: Reply<Option<Undone>> },
    LastMessage { reply: Reply<Option<LastMessage>> },
    Replace { entry: EntryId, text: String, origin: Origin, reply: Reply<Replaced> },
    BeginAuto { wish: AutoWish, reply: Reply<AutoReply> },
    EndAuto { which: Which, reply: Reply<Vec<AutoReply>> },
    AutoReply { which: Option<SessionRef>, reply: Reply<Option<AutoReply>> },
}

impl Coordinator {
    pub(super) fn grant(&mut self, wish: Wish) {
        match wish {
            Wish::Move { entry, beside, before, reply } => self.move_entry(entry, beside, before, reply),
            Wish::SetPriority { entries, priority, reply } => self.set_priority(entries, priority, reply),
            Wish::HoldEntries { entries, held, reply } => self.hold_entries(entries, held, reply),
            Wish::Requeue { which, reply } => self.requeue(which, reply),
            Wish::Retry { origin, reply } => self.retry(origin, reply),
            Wish::Continue { origin, reply } => self.continue_turn(origin, reply),
            Wish::Undo { reply } => self.undo(reply),
            Wish::LastMessage { reply } => self.last_message(reply),
            Wish::Replace { entry, text, origin, reply } => self.replace(entry, text, origin, reply),
            Wish::BeginAuto { wish, reply } => self.begin_auto(wish, reply),
            Wish::EndAuto { which, reply } => self.end_auto(&which, reply),
            Wish::AutoReply { which, reply } => {
                let found =
                    self.find(which.as_ref()).map(|id| self.sessions.get(&id).and_then(|live| live.auto.clone()));
                let _ = reply.send(found);
            }
        }
    }
}

impl Handle {
    async fn wish<T>(&self, wish: impl FnOnce(Reply<T>) -> Wish) -> Result<T, Error> {
        self.ask(|reply| Request::Wish(wish(reply))).await
    }

    /// Puts an entry that waits next to another of its session, whose priority it takes on. Answers with the entries whose
    /// place or priority changed.
    ///
    /// # Errors
    /// One of them does not wait, or they are in different sessions; one goes on from its partial and would not stand first;
    /// the store.
    pub async fn move_entry(&self, entry: EntryId, beside: EntryId, before: bool) -> Result<Vec<Entry>, Error> {
        self.wish(|reply| Wish::Move { entry, beside, before, reply }).await
    }

    /// Gives entries that wait another priority. Answers with those that changed.
    ///
    /// # Errors
    /// One of them does not wait; the store.
    pub async fn set_priority(&self, entries: Vec<EntryId>, priority: Priority) -> Result<Vec<Entry>, Error> {
        self.wish(|reply| Wish::SetPriority { entries, priority, reply }).await
    }

    /// Holds entries that wait, or lets them go on. Answers with those that changed.
    ///
    /// # Errors
    /// One of them does not wait; the store.
    pub async fn hold_entries(&self, entries: Vec<EntryId>, held: bool) -> Result<Vec<EntryId>, Error> {
        self.wish(|reply| Wish::HoldEntries { entries, held, reply }).await
    }

    /// Queues dead entries again, as if they had just arrived.
    ///
    /// # Errors
    /// One of those named is not dead; a full queue; the store.
    pub async fn requeue(&self, which: Requeue) -> Result<Vec<Queued>, Error> {
        self.wish(|reply| Wish::Requeue { which, reply }).await
    }

    /// Tries the active session's last question again, or now what waits for its next attempt.
    ///
    /// # Errors
    /// It is being answered, or held; a full queue; the store.
    pub async fn retry(&self, origin: Origin) -> Result<Retried, Error> {
        self.wish(|reply| Wish::Retry { origin, reply }).await
    }

    /// Queues the active session's last turn again, to go on from its answer as far as it came; `None` when there is nothing to
    /// go on from.
    ///
    /// # Errors
    /// It is being answered; a full queue; the store.
    pub async fn continue_turn(&self, origin: Origin) -> Result<Option<Queued>, Error> {
        self.wish(|reply| Wish::Continue { origin, reply }).await
    }

    /// Takes back the active session's last message that a person or a script sent: out of the queue while it waits, else with its
    /// answer, and the auto-replies that followed it, out of the conversation; an auto-reply loop ends with that. `None` when there
    /// is nothing to take back.
    ///
    /// # Errors
    /// It is being answered; the store.
    pub async fn undo(&self) -> Result<Option<Undone>, Error> {
        self.wish(|reply| Wish::Undo { reply }).await
    }

    /// What [`Handle::undo`] would take back: to be changed, and then given to [`Handle::replace`].
    ///
    /// # Errors
    /// It is being answered; the store.
    pub async fn last_message(&self) -> Result<Option<LastMessage>, Error> {
        self.wish(|reply| Wish::LastMessage { reply }).await
    }

    /// Gives a message another text. One that waits is changed where it stands; a turn that is over is taken back, and its message
    /// is sent anew in the same commit.
    ///
    /// # Errors
    /// It is being answered, or taken back; a full queue; the store.
    pub async fn replace(&self, entry: EntryId, text: String, origin: Origin) -> Result<Replaced, Error> {
        self.wish(|reply| Wish::Replace { entry, text, origin, reply }).await
    }

    /// Begins an auto-reply loop in the active session, in place of one that it may have.
    ///
    /// # Errors
    /// A full queue; the store.
    pub async fn begin_auto(&self, wish: AutoWish) -> Result<AutoReply, Error> {
        self.wish(|reply| Wish::BeginAuto { wish, reply }).await
    }

    /// Ends auto-reply loops and takes what they have queued out of the queue. Answers with the loops that ended.
    ///
    /// # Errors
    /// There is no such session; the store.
    pub async fn end_auto(&self, which: Which) -> Result<Vec<AutoReply>, Error> {
        self.wish(|reply| Wish::EndAuto { which, reply }).await
    }

    /// A session's auto-reply loop, the active one's by default.
    ///
    /// # Errors
    /// There is no such session.
    pub async fn auto_reply(&self, which: Option<SessionRef>) -> Result<Option<AutoReply>, Error> {
        self.wish(|reply| Wish::AutoReply { which, reply }).await
    }
}
