//! What a person takes back, or changes after it was sent. What waits leaves the queue, or stays in it with another text; of a turn
//! that is over only the store changes, for nobody but the next turn's context looks at it. A turn under way is left alone: who
//! wants it gone ends it first.
//!
//! Which message is the last one is a question to both: the queue knows what waits and runs, the store what is over.

use super::Coordinator;
use super::queueing::waiting;
use super::request::{Error, Queued, Reply, answer};
use crate::domain::{Entry, EntryId, EntryState, Origin, SessionId};
use crate::queue::auto_reply::Brake;
use crate::queue::{self, Waiting};
use crate::store::{
    ChangeText, FindEntry, LastAsked, ReplaceTurn, StoreError, TakeBackTurn, TakeBackWaiting, TakenBack,
};

/// A message that was taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undone {
    /// Its number.
    pub entry: EntryId,
    /// What it says, for the person's line.
    pub text: String,
    /// Auto-replies that followed its answer and are taken back with it.
    pub follow_ups: usize,
}

/// The message that is to be changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastMessage {
    /// Its number.
    pub entry: EntryId,
    /// What it says.
    pub text: String,
}

/// What became of a message's new text.
#[derive(Debug)]
pub enum Replaced {
    /// It waits, and says that now.
    Changed,
    /// Its turn is taken back, and this is asked in its place.
    Asked(Undone, Queued),
}

/// A session's last message of a person or a script.
enum Last {
    Waits(Waiting),
    /// It is under way, or something else is for which it cannot be taken back.
    Runs(EntryId),
    Over(Entry),
}

impl Coordinator {
    pub(super) fn undo(&mut self, reply: Reply<Option<Undone>>) {
        let session = self.active;
        self.find_last(session, move |c, last| match last {
            Ok(None) => answer(reply, Ok(None)),
            Ok(Some(Last::Waits(waiting))) => c.take_back_waiting(session, waiting, reply),
            Ok(Some(Last::Over(entry))) => c.take_back_turn(session, entry.id, reply),
            Ok(Some(Last::Runs(entry))) => answer(reply, Err(c.under(session, entry))),
            Err(error) => answer(reply, Err(error)),
        });
    }

    pub(super) fn last_message(&mut self, reply: Reply<Option<LastMessage>>) {
        let session = self.active;
        self.find_last(session, move |c, last| match last {
            Ok(None) => answer(reply, Ok(None)),
            Ok(Some(Last::Waits(waiting))) => {
                let read = c.store.query(FindEntry(waiting.entry));
                c.later(read, move |_, found| {
                    let found =
                        found.map(|found| found.map(|Entry { id: entry, text, .. }| LastMessage { entry, text }));
                    answer(reply, found.map_err(Error::from));
                });
            }
            Ok(Some(Last::Over(Entry { id: entry, text, .. }))) => answer(reply, Ok(Some(LastMessage { entry, text }))),
            Ok(Some(Last::Runs(entry))) => answer(reply, Err(c.under(session, entry))),
            Err(error) => answer(reply, Err(error)),
        });
    }

    /// The last message is the one that arrived last; of what is over, the last turn. All that was asked of the store before is
    /// committed by then, so that what is on its way out of the queue is over.
    fn find_last(
        &mut self,
        session: SessionId,
        then: impl FnOnce(&mut Self, Result<Option<Last>, Error>) + Send + 'static,
    ) {
        self.after(std::future::ready(Ok(())), move |c, _| {
            let read = c.store.query(LastAsked { session });
            c.later(read, move |c, over| {
                let last = over.map(|over| c.last_of(session, over));
                then(c, last.map_err(Error::from));
            });
        });
    }

    /// `over`: the last turn that is.
    fn last_of(&self, session: SessionId, over: Option<Entry>) -> Option<Last> {
        let waits = self.queue.waiting(session).into_iter().filter(|waiting| !waiting.auto);
        let waits = waits.max_by_key(|waiting| (waiting.since, waiting.entry));
        let runs = self.queue.running(session);
        let running_since = runs.and_then(|entry| Some((self.entries.get(&entry)?.since, entry)));
        let before = over.as_ref().map(|entry| (entry.created_at, entry.id)).max(running_since);
        match (waits, runs, over) {
            (Some(waits), ..) if before.is_none_or(|before| before < (waits.since, waits.entry)) => {
                Some(Last::Waits(waits))
            }
            (_, Some(runs), _) => Some(Last::Runs(runs)),
            (_, None, over) => over.map(Last::Over),
        }
    }

    fn under(&self, session: SessionId, entry: EntryId) -> Error {
        let loops = self.sessions.get(&session).is_some_and(|live| live.auto.is_some());
        Error::Under { entry, ends: if loops { "/stop" } else { "/cancel" } }
    }

    fn take_back_waiting(&mut self, session: SessionId, waiting: Waiting, reply: Reply<Option<Undone>>) {
        let entry = waiting.entry;
        // Out of the queue at once, so that it does not start meanwhile.
        self.tell(queue::Event::Dropped { session, entry });
        let commit = self.store.submit(TakeBackWaiting { entry, now: self.clock.now() });
        self.after(commit, move |c, result| {
            let result = match result {
                Ok(taken) => {
                    c.emit_withdrawn(session, entry);
                    Ok(Some(Undone { entry, text: taken.text, follow_ups: 0 }))
                }
                // Another process has run it, or dropped it.
                Err(StoreError::NoEntry(_) | StoreError::WrongState { .. }) => {
                    c.emit_withdrawn(session, entry);
                    Err(Error::UnknownEntry(entry))
                }
                Err(error) => {
                    // As the journal has it.
                    c.tell(queue::Event::Enqueued { session, waiting });
                    Err(error.into())
                }
            };
            // Behind its end.
            c.after(std::future::ready(Ok(())), move |_, _| answer(reply, result));
        });
    }

    fn take_back_turn(&mut self, session: SessionId, entry: EntryId, reply: Reply<Option<Undone>>) {
        let ended = self.end_loops(&[session]);
        let commit = self.store.submit(TakeBackTurn { entry, now: self.clock.now() });
        self.after(commit, move |c, result| {
            ended.iter().for_each(|auto| c.say_end(session, auto, &Brake::Person));
            answer(reply, result.map(|taken| Some(undone(taken))).map_err(|error| c.refused(session, error)));
        });
    }

    pub(super) fn replace(&mut self, entry: EntryId, text: String, origin: Origin, reply: Reply<Replaced>) {
        match self.find_waiting(entry) {
            Ok((session, _)) => {
                let commit = self.store.submit(ChangeText { entry, text });
                self.after(commit, move |c, result| {
                    let result = result.map_err(|error| c.refused(session, error)).map(|changed| {
                        c.tell(queue::Event::Changed { session, waiting: waiting(&changed) });
                        Replaced::Changed
                    });
                    answer(reply, result);
                });
            }
            Err(Error::Running(_)) => {
                let session = self.entries.get(&entry).map_or(self.active, |tracked| tracked.session);
                answer(reply, Err(self.under(session, entry)));
            }
            // It does not wait: the store knows whose it is.
            Err(_) => {
                let read = self.store.query(FindEntry(entry));
                self.later(read, move |c, found| match found {
                    Ok(Some(found)) => c.replace_turn(found.session, entry, text, origin, reply),
                    Ok(None) => answer(reply, Err(Error::UnknownEntry(entry))),
                    Err(error) => answer(reply, Err(error.into())),
                });
            }
        }
    }

    fn replace_turn(
        &mut self,
        session: SessionId,
        entry: EntryId,
        text: String,
        origin: Origin,
        reply: Reply<Replaced>,
    ) {
        if let Some(runs) = self.queue.running(session) {
            return answer(reply, Err(self.under(session, runs)));
        }
        if let Err(error) = self.reserve(&[session]) {
            return answer(reply, Err(error));
        }
        let ended = self.end_loops(&[session]);
        let commit = self.store.submit(ReplaceTurn { entry, text, origin, now: self.clock.now() });
        self.after(commit, move |c, result| {
            ended.iter().for_each(|auto| c.say_end(session, auto, &Brake::Person));
            match result {
                Ok((taken, asked)) => {
                    let undone = undone(taken);
                    c.notice(undone.to_string());
                    answer(reply, Ok(Replaced::Asked(undone, c.enqueued(asked, true))));
                }
                Err(error) => {
                    c.queue.unreserve(session);
                    answer(reply, Err(c.refused(session, error)));
                }
            }
        });
    }

    /// Why the store did not take it back or change it: what was found has changed since.
    fn refused(&self, session: SessionId, error: StoreError) -> Error {
        match error {
            StoreError::WrongState { entry, found: EntryState::Running, .. } => self.under(session, entry),
            StoreError::TurnRunning(session) => match self.queue.running(session) {
                Some(runs) => self.under(session, runs),
                None => Error::Answering(session),
            },
            StoreError::WrongState { entry, .. } | StoreError::NoEntry(entry) => Error::UnknownEntry(entry),
            error => error.into(),
        }
    }
}

fn undone(taken: TakenBack) -> Undone {
    Undone { entry: taken.entry.id, text: taken.entry.text, follow_ups: taken.follow_ups.len() }
}

impl std::fmt::Display for Undone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { entry, follow_ups, .. } = self;
        match follow_ups {
            0 => write!(f, "#{entry} is taken back"),
            1 => write!(f, "#{entry} is taken back, and the auto-reply behind it"),
            many => write!(f, "#{entry} is taken back, and {many} auto-replies behind it"),
        }
    }
}
