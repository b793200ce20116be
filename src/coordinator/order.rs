//! What a person changes of what waits: its order, its priority, what is held, what is dead, what is tried again at once. The store
//! first, so that the queue and its journal agree; what holds or drops takes effect here before, so that nothing starts meanwhile.

use super::Coordinator;
use super::queueing::waiting;
use super::request::{Error, Queued, Reply, Submission, Which, answer};
use super::wishes::{Requeue, Retried};
use crate::domain::{Entry, EntryId, EntryState, Origin, Priority, SessionId};
use crate::queue::{self, Waiting};
use crate::store::{
    ContinueTurn, DeadEntries, HoldEntries, HurryEntries, LastTurn, MoveEntry, RequeueEntries, SetPriority, StoreError,
};

impl Coordinator {
    /// Where an entry waits, and how.
    pub(super) fn find_waiting(&self, entry: EntryId) -> Result<(SessionId, Waiting), Error> {
        let tracked = self.entries.get(&entry).ok_or(Error::UnknownEntry(entry))?;
        let session = tracked.session;
        if self.queue.running(session) == Some(entry) {
            return Err(Error::Running(entry));
        }
        let found = self.queue.find(session, entry);
        found.map(|waiting| (session, waiting)).ok_or(Error::UnknownEntry(entry))
    }

    fn find_all_waiting(&self, entries: &[EntryId]) -> Result<Vec<(SessionId, Waiting)>, Error> {
        entries.iter().map(|&entry| self.find_waiting(entry)).collect()
    }

    pub(super) fn move_entry(&mut self, entry: EntryId, beside: EntryId, before: bool, reply: Reply<Vec<Entry>>) {
        let checked = match (self.find_waiting(entry), self.find_waiting(beside)) {
            (Ok((here, _)), Ok((there, _))) if here != there => Err(Error::Apart(entry, beside)),
            (Ok((_, moved)), Ok((_, other)))
                if self.queue.auto_before_normal() && other.priority == Priority::Low && moved.auto != other.auto =>
            {
                Err(Error::GoesBefore(if moved.auto { entry } else { beside }))
            }
            (Ok((_, moved)), Ok((_, other))) => match (moved.continues, other.continues) {
                (false, true) if before => Err(Error::GoesOn(beside)),
                (true, false) if !before => Err(Error::GoesOn(entry)),
                _ => Ok(()),
            },
            (Err(error), _) | (_, Err(error)) => Err(error),
        };
        if let Err(error) = checked {
            return answer(reply, Err(error));
        }
        let commit = self.store.submit(MoveEntry { entry, beside, before });
        self.after(commit, move |c, result| c.entries_changed(result, reply));
    }

    pub(super) fn set_priority(&mut self, entries: Vec<EntryId>, priority: Priority, reply: Reply<Vec<Entry>>) {
        if let Err(error) = self.find_all_waiting(&entries) {
            return answer(reply, Err(error));
        }
        let commit = self.store.submit(SetPriority { ids: entries, priority });
        self.after(commit, move |c, result| c.entries_changed(result, reply));
    }

    fn entries_changed(&mut self, result: Result<Vec<Entry>, StoreError>, reply: Reply<Vec<Entry>>) {
        let answer = match result {
            Ok(changed) => {
                for entry in &changed {
                    self.tell(queue::Event::Changed { session: entry.session, waiting: waiting(entry) });
                }
                Ok(changed)
            }
            // Its turn began meanwhile.
            Err(StoreError::WrongState { entry, found: EntryState::Running, .. }) => Err(Error::Running(entry)),
            Err(StoreError::WrongState { entry, .. } | StoreError::NoEntry(entry)) => Err(Error::UnknownEntry(entry)),
            Err(error) => Err(error.into()),
        };
        let _ = reply.send(answer);
    }

    pub(super) fn hold_entries(&mut self, entries: Vec<EntryId>, held: bool, reply: Reply<Vec<EntryId>>) {
        let before = match self.find_all_waiting(&entries) {
            Ok(found) => found,
            Err(error) => return answer(reply, Err(error)),
        };
        // Holding takes effect before the commit, so that nothing starts meanwhile; going on after it.
        if held {
            for &(session, waiting) in &before {
                self.tell(queue::Event::Changed { session, waiting: Waiting { held, ..waiting } });
            }
        }
        let commit = self.store.submit(HoldEntries { ids: entries, held });
        self.after(commit, move |c, result| match result {
            Ok(changed) => {
                for entry in &changed {
                    c.tell(queue::Event::Changed { session: entry.session, waiting: waiting(entry) });
                    c.let_go_if_held(entry.session, entry.id);
                }
                let _ = reply.send(Ok(changed.into_iter().map(|entry| entry.id).collect()));
            }
            Err(error) => {
                // As the journal has it.
                for (session, waiting) in before {
                    c.tell(queue::Event::Changed { session, waiting });
                }
                let _ = reply.send(Err(error.into()));
            }
        });
    }

    pub(super) fn requeue(&mut self, which: Requeue, reply: Reply<Vec<Queued>>) {
        let read = self.store.query(DeadEntries { session: None });
        self.later(read, move |c, dead| {
            let dead = match dead {
                Ok(dead) => dead,
                Err(error) => return answer(reply, Err(error.into())),
            };
            let meant = match which {
                // Those of archived sessions wait until these are opened again.
                Requeue::All => Ok(dead.into_iter().filter(|entry| c.is_open(entry.session)).collect()),
                Requeue::These(ids) => pick(&dead, &ids),
            };
            match meant {
                Ok(meant) => c.requeue_these(&meant, false, move |_, result| answer(reply, result)),
                Err(error) => answer(reply, Err(error)),
            }
        });
    }

    fn is_open(&self, session: SessionId) -> bool {
        self.sessions.get(&session).is_some_and(|live| live.session.closed_at.is_none())
    }

    /// All of them, or none when a queue is full.
    fn requeue_these(
        &mut self,
        entries: &[Entry],
        foreground: bool,
        then: impl FnOnce(&mut Self, Result<Vec<Queued>, Error>) + Send + 'static,
    ) {
        let sessions: Vec<SessionId> = entries.iter().map(|entry| entry.session).collect();
        if let Err(error) = self.reserve(&sessions) {
            return then(self, Err(error));
        }
        let ids = entries.iter().map(|entry| entry.id).collect();
        let commit = self.store.submit(RequeueEntries { ids, now: self.clock.now() });
        self.after(commit, move |c, result| {
            let requeued = match result {
                Ok(requeued) => requeued,
                Err(error) => {
                    sessions.iter().for_each(|&session| c.queue.unreserve(session));
                    return then(c, Err(error.into()));
                }
            };
            // Who was quicker (another chatmux, a second request) has taken its place.
            let mut left = sessions;
            for entry in &requeued {
                left.iter().position(|&session| session == entry.session).map(|at| left.swap_remove(at));
            }
            left.iter().for_each(|&session| c.queue.unreserve(session));
            let queued = requeued.into_iter().map(|entry| c.enqueued(entry, foreground)).collect();
            then(c, Ok(queued));
        });
    }

    pub(super) fn retry(&mut self, origin: Origin, reply: Reply<Retried>) {
        let session = self.active;
        if self.queue.running(session).is_some() {
            return answer(reply, Err(Error::Answering(session)));
        }
        if let Some(next) = self.queue.next(session)
            && (next.not_before.is_some() || self.queue.is_gated(session))
        {
            let commit = self.store.submit(HurryEntries { ids: vec![next.entry] });
            self.quietly(commit);
            self.tell(queue::Event::Hurry(session));
            return answer(reply, Ok(Retried::Hurried(next.entry)));
        }
        let read = self.store.query(LastTurn { session });
        self.later(read, move |c, last| match last {
            Ok(None) => answer(reply, Ok(Retried::Nothing)),
            // It waits for a person's word, and this is one.
            Ok(Some((entry, _))) if entry.is_unanswered() && !c.queue.is_held(session) => c.send_again(entry.id, reply),
            // It waits already: asked again it would be asked twice.
            Ok(Some((entry, _))) if entry.state == EntryState::Pending => match c.find_waiting(entry.id) {
                Ok((_, waiting)) if waiting.held || c.queue.is_held(session) => {
                    answer(reply, Err(Error::Held(entry.id, session)));
                }
                Ok(_) => answer(reply, Ok(Retried::Waits(entry.id))),
                Err(error) => answer(reply, Err(error)),
            },
            Ok(Some((entry, _))) if entry.state == EntryState::Dead => {
                c.requeue_these(&[entry], true, move |_, result| {
                    let requeued = result.map(|mut queued| queued.pop().map_or(Retried::Nothing, Retried::Requeued));
                    answer(reply, requeued);
                });
            }
            Ok(Some((entry, _))) if entry.state == EntryState::Running => answer(reply, Err(Error::Answering(session))),
            Ok(Some((entry, _))) => c.ask_again(entry, origin, reply),
            Err(error) => answer(reply, Err(error.into())),
        });
    }

    /// Lets go what was sent before, because a person says so.
    fn send_again(&mut self, entry: EntryId, reply: Reply<Retried>) {
        let commit = self.store.submit(HoldEntries { ids: vec![entry], held: false });
        self.after(commit, move |c, result| match result {
            Ok(released) => {
                for entry in &released {
                    c.tell(queue::Event::Changed { session: entry.session, waiting: waiting(entry) });
                }
                answer(reply, Ok(Retried::Hurried(entry)));
            }
            Err(error) => answer(reply, Err(error.into())),
        });
    }

    pub(super) fn continue_turn(&mut self, origin: Origin, reply: Reply<Option<Queued>>) {
        let session = self.active;
        if self.queue.running(session).is_some() {
            return answer(reply, Err(Error::Answering(session)));
        }
        if let Err(error) = self.reserve(&[session]) {
            return answer(reply, Err(error));
        }
        let commit = self.store.submit(ContinueTurn { session, origin, now: self.clock.now() });
        self.after(commit, move |c, result| match result {
            Ok(Some(entry)) => {
                answer(reply, Ok(Some(c.enqueued(entry, true))));
            }
            Ok(None) => {
                c.queue.unreserve(session);
                answer(reply, Ok(None));
            }
            Err(error) => {
                c.queue.unreserve(session);
                answer(reply, Err(error.into()));
            }
        });
    }

    fn ask_again(&mut self, entry: Entry, origin: Origin, reply: Reply<Retried>) {
        let to = Which::These(vec![crate::domain::SessionRef::Id(entry.session)]);
        let (priority, foreground, takes_line) = (Priority::Normal, true, false);
        let submission = Submission { to, text: entry.text, priority, origin, foreground, takes_line, echo: false };
        self.submit_then(submission, move |_, result| {
            let asked = result.map(|mut queued| queued.pop().map_or(Retried::Nothing, Retried::Asked));
            answer(reply, asked);
        });
    }
}

/// The dead entries that are meant, in the order of naming.
fn pick(dead: &[Entry], ids: &[EntryId]) -> Result<Vec<Entry>, Error> {
    ids.iter().map(|id| dead.iter().find(|entry| entry.id == *id).cloned().ok_or(Error::NotDead(*id))).collect()
}
