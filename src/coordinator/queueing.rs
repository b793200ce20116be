//! Messages on their way into the queue, and out of it again before their turn.

use std::collections::BTreeSet;

use tokio::sync::oneshot;

use super::request::{Ending, EntryEnd, Error, Held, Queued, Reply, Submission};
use super::{Coordinator, Tracked, Which};
use crate::domain::{Entry, EntryId, Event, SessionChange, SessionId, SessionRef, Show};
use crate::queue::{self, Waiting};
use crate::store::{CancelEntries, Enqueue, EnqueueAll, HoldSessions, StoreError};

impl Coordinator {
    /// Accepts a message for one or more sessions: a place in each queue first, then one commit, then the acknowledgement.
    pub(super) fn submit(&mut self, submission: Submission, reply: Reply<Vec<Queued>>) {
        let sessions = match self.find_all(&submission.to).and_then(|ids| self.reserve(ids)) {
            Ok(sessions) => sessions,
            Err(error) => {
                let _ = reply.send(Err(error));
                return;
            }
        };
        let Submission { text, priority, origin, foreground, takes_line, .. } = submission;
        if takes_line {
            self.save_draft(String::new());
        }
        let now = self.clock.now();
        let entries = sessions
            .iter()
            .map(|&session| Enqueue { session, priority, origin, text: text.clone(), now })
            .collect::<Vec<_>>();
        let commit = self.store.submit(EnqueueAll { entries });
        self.after(commit, move |c, result| match result {
            Ok(entries) => {
                let queued = entries.into_iter().map(|entry| c.enqueued(entry, foreground)).collect();
                let _ = reply.send(Ok(queued));
            }
            Err(error) => {
                sessions.iter().for_each(|&session| c.queue.unreserve(session));
                if let StoreError::NoSession(SessionRef::Id(gone)) = error {
                    c.vanish(gone);
                }
                let _ = reply.send(Err(error.into()));
            }
        });
    }

    fn reserve(&mut self, sessions: Vec<SessionId>) -> Result<Vec<SessionId>, Error> {
        for (nth, &session) in sessions.iter().enumerate() {
            let closed = self.sessions.get(&session).is_some_and(|live| live.session.closed_at.is_some());
            let refused = if closed {
                Some(Error::Closed(session))
            } else {
                self.queue.reserve(session).err().map(Error::Refused)
            };
            if let Some(error) = refused {
                sessions[..nth].iter().for_each(|&session| self.queue.unreserve(session));
                return Err(error);
            }
        }
        Ok(sessions)
    }

    fn enqueued(&mut self, entry: Entry, foreground: bool) -> Queued {
        let (session, id, priority, origin) = (entry.session, entry.id, entry.priority, entry.origin);
        let (done, receiver) = oneshot::channel();
        let ahead = self.queue.ahead(session, priority, id);
        let tracked = Tracked {
            session,
            foreground,
            since: entry.created_at,
            first_start: None,
            told_to_wait: false,
            answer: None,
            done: Some(done),
            endings: Vec::new(),
        };
        self.entries.insert(id, tracked);
        self.emit(Event::Queued { session, entry: id, priority, origin, ahead }, Some(id));
        self.tell(queue::Event::Enqueued { session, waiting: waiting(&entry) });
        if self.queue.is_held(session) {
            let why = format!("#{id} waits: the queue of session {session} is held, /resume {session} goes on");
            self.show(Show::Notice(why));
            self.let_go_of_waiters(session);
        }
        self.touch(session);
        Queued { session, entry: id, ahead, done: receiver }
    }

    /// Takes in what waited when chatmux started.
    pub(super) fn track(&mut self, entry: Entry) {
        let (session, since) = (entry.session, entry.created_at);
        let tracked = Tracked {
            session,
            foreground: false,
            since,
            first_start: None,
            told_to_wait: false,
            answer: None,
            done: None,
            endings: Vec::new(),
        };
        self.entries.insert(entry.id, tracked);
        self.tell(queue::Event::Enqueued { session, waiting: waiting(&entry) });
    }

    pub(super) fn cancel(&mut self, which: &Which) -> Result<Vec<Ending>, Error> {
        let sessions = self.find_all(which)?;
        Ok(self.cancel_all(&sessions))
    }

    fn cancel_all(&mut self, sessions: &[SessionId]) -> Vec<Ending> {
        let mut endings = Vec::new();
        for &session in sessions {
            let entry = self.queue.running(session).or_else(|| self.queue.retrying(session));
            if let Some(tracked) = entry.and_then(|entry| self.entries.get_mut(&entry)) {
                let (ended, ending) = oneshot::channel();
                tracked.endings.push(ended);
                endings.push(ending);
            }
            self.tell(queue::Event::Cancel(session));
        }
        endings
    }

    /// Holds queues or lets them go on; `cancel` also ends the turns that run (which then does not move the queue on).
    pub(super) fn hold(&mut self, which: &Which, held: bool, cancel: bool, reply: Reply<Held>) {
        let sessions = match self.find_all(which) {
            Ok(sessions) => sessions,
            Err(error) => {
                let _ = reply.send(Err(error));
                return;
            }
        };
        // `/stop` holds what waits. Where nothing waits there is nothing to hold, and what is typed next is answered.
        let waits = |session: &SessionId| {
            let retrying = self.queue.retrying(*session);
            self.queue.waiting(*session).iter().any(|waiting| Some(waiting.entry) != retrying)
        };
        let to_hold: Vec<_> = sessions.iter().copied().filter(|session| !cancel || waits(session)).collect();
        // The turns first: what waits for another attempt counts as under way only while its session is not held.
        let endings = if cancel { self.cancel_all(&sessions) } else { Vec::new() };
        // Before the commit already, so that nothing starts between the wish and its commit.
        if held {
            to_hold.iter().for_each(|&session| self.tell(queue::Event::Hold { session, held, release: false }));
        }
        let sessions = to_hold;
        let commit = self.store.submit(HoldSessions { sessions: sessions.clone(), held });
        self.after(commit, move |c, result| {
            if let Err(error) = result {
                // As the journal has it.
                for session in sessions {
                    let held = c.sessions.get(&session).is_some_and(|live| live.session.held);
                    c.tell(queue::Event::Hold { session, held, release: false });
                }
                let _ = reply.send(Err(error.into()));
                return;
            }
            let change = if held { SessionChange::Held } else { SessionChange::Resumed };
            let mut changed = Vec::new();
            for session in sessions {
                let Some(live) = c.sessions.get_mut(&session) else { continue };
                let waits = c.queue.waiting(session).iter().any(|waiting| waiting.held);
                if live.session.held != held || (!held && waits) {
                    live.session.held = held;
                    changed.push(session);
                    c.emit_change(session, change);
                }
                if held {
                    c.let_go_of_waiters(session);
                } else {
                    c.tell(queue::Event::Hold { session, held, release: true });
                }
            }
            let _ = reply.send(Ok(Held { changed, endings }));
        });
    }

    /// Nothing will happen in this session until somebody resumes it: who waits for one of its entries before going on is told
    /// so. A background entry's end is still awaited, for who queued it goes on and may resume it.
    pub(super) fn let_go_of_waiters(&mut self, session: SessionId) {
        let waiting: BTreeSet<EntryId> = self.queue.waiting(session).iter().map(|waiting| waiting.entry).collect();
        for entry in waiting {
            let Some(tracked) = self.entries.get_mut(&entry).filter(|tracked| tracked.foreground) else { continue };
            // Nobody waits for it any more: when it is answered, that is in the background.
            tracked.foreground = false;
            if let Some(done) = tracked.done.take() {
                let _ = done.send(EntryEnd::Held);
            }
        }
    }

    pub(super) fn drop_entries(&mut self, entries: &[EntryId], reply: Reply<()>) {
        let mut found = Vec::new();
        for &entry in entries {
            let session = self.entries.get(&entry).map(|tracked| tracked.session);
            let place = session.and_then(|session| {
                let waiting = self.queue.waiting(session).into_iter().find(|waiting| waiting.entry == entry)?;
                Some((session, waiting))
            });
            match place {
                Some(place) => found.push(place),
                None => {
                    let _ = reply.send(Err(Error::UnknownEntry(entry)));
                    return;
                }
            }
        }
        // Out of the queue at once, so that none starts meanwhile.
        for &(session, waiting) in &found {
            self.tell(queue::Event::Dropped { session, entry: waiting.entry });
        }
        let commit = self.store.submit(CancelEntries { ids: entries.to_vec(), now: self.clock.now() });
        self.after(commit, move |c, result| {
            for (session, waiting) in found {
                match &result {
                    Ok(_) => c.emit_discarded(session, waiting.entry),
                    // As the journal has it: each in its place again.
                    Err(_) => c.tell(queue::Event::Enqueued { session, waiting }),
                }
            }
            let _ = reply.send(result.map(|_| ()).map_err(Error::from));
        });
    }
}

fn waiting(entry: &Entry) -> Waiting {
    Waiting {
        entry: entry.id,
        priority: entry.priority,
        attempts: entry.attempts,
        held: entry.held,
        not_before: entry.not_before,
        since: entry.created_at,
    }
}
