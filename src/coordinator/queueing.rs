//! Messages on their way into the queue, and out of it again before their turn.

use std::collections::BTreeSet;

use tokio::sync::oneshot;

use super::request::{Ending, EntryEnd, Error, Held, Queued, Reply, Submission, answer};
use super::{Coordinator, Front, Tracked, Which, notices};
use crate::domain::attachment::folded;
use crate::domain::{Entry, EntryId, Event, Origin, SessionChange, SessionId, SessionRef, Show};
use crate::queue::{self, Waiting};
use crate::store::{CancelEntries, DeadEntries, Enqueue, EnqueueAll, EnqueueTyped, HoldSessions, StoreError};

impl Coordinator {
    /// Accepts a message for one or more sessions: a place in each queue first, then one commit, then the acknowledgement.
    pub(super) fn submit(&mut self, submission: Submission, reply: Reply<Vec<Queued>>) {
        self.submit_then(submission, move |_, result| answer(reply, result));
    }

    /// [`Coordinator::submit`], with what follows it.
    pub(super) fn submit_then(
        &mut self,
        submission: Submission,
        then: impl FnOnce(&mut Self, Result<Vec<Queued>, Error>) + Send + 'static,
    ) {
        let found = self.find_all(&submission.to);
        let sessions = match found.and_then(|sessions| self.reserve(&sessions).map(|()| sessions)) {
            Ok(sessions) => sessions,
            Err(error) => return then(self, Err(error)),
        };
        let Submission { to, text, priority, origin, foreground, takes_line, echo } = submission;
        if takes_line {
            self.save_draft(String::new());
        }
        let now = self.clock.now();
        let mut entries = sessions
            .iter()
            .map(|&session| Enqueue { session, priority, origin, text: text.clone(), now })
            .collect::<Vec<_>>();
        // What is typed where one is takes along what is attached there.
        let commit = match (to == Which::Active).then(|| entries.pop()).flatten() {
            Some(typed) => self.store.submit(EnqueueTyped(typed)),
            None => self.store.submit(EnqueueAll { entries }),
        };
        self.after(commit, move |c, result| match result {
            Ok(entries) => {
                let queued = entries.into_iter().map(|entry| c.typed(entry, foreground, echo)).collect();
                then(c, Ok(queued));
            }
            Err(error) => {
                sessions.iter().for_each(|&session| c.queue.unreserve(session));
                if let StoreError::NoSession(SessionRef::Id(gone)) = error {
                    c.vanish(gone);
                }
                then(c, Err(error.into()));
            }
        });
    }

    /// Keeps a place in each of these queues, or in none.
    pub(super) fn reserve(&mut self, sessions: &[SessionId]) -> Result<(), Error> {
        for (nth, &session) in sessions.iter().enumerate() {
            let closed = self.sessions.get(&session).is_some_and(|live| live.session.closed_at.is_some());
            let refused = if closed {
                Some(Error::Closed(session))
            } else {
                self.queue.reserve(session).err().map(Error::Refused)
            };
            if let Some(error) = refused {
                sessions[..nth].iter().for_each(|&session| self.queue.unreserve(session));
                // Where it is what a process left that fills the queue, that goes on: nobody else may ever take it along.
                self.take_along_if_held(session);
                return Err(error);
            }
        }
        Ok(())
    }

    /// An entry that nobody has just typed as a message.
    pub(super) fn enqueued(&mut self, entry: Entry, foreground: bool) -> Queued {
        self.typed(entry, foreground, false)
    }

    /// An entry is committed: it is acknowledged, and stands in the queue from here on. `echo`: where it waits, its text is shown too.
    fn typed(&mut self, entry: Entry, foreground: bool, echo: bool) -> Queued {
        let (session, id, priority, origin) = (entry.session, entry.id, entry.priority, entry.origin);
        let (done, receiver) = oneshot::channel();
        let place = waiting(&entry);
        let ahead = self.queue.ahead(session, &place);
        let tracked = Tracked {
            session,
            ours: true,
            foreground,
            since: entry.created_at,
            first_start: None,
            told_to_wait: false,
            answer: None,
            done: Some(done),
            endings: Vec::new(),
        };
        self.entries.insert(id, tracked);
        let echo = (echo && session == self.active && matches!(self.front, Front::Terminal(_)))
            .then(|| folded(&entry.text).into_owned());
        if let Some(text) = echo.as_ref().filter(|_| ahead > 0) {
            self.show_queued(text.clone(), notices::queued(id, ahead));
        } else {
            self.emit(Event::Queued { session, entry: id, priority, origin, ahead }, Some(id));
        }
        // Where the provider's refusal is what holds it from now on, that is said, and what waits let go, once it is committed.
        let was_held = self.queue.is_held(session);
        self.tell(queue::Event::Enqueued { session, waiting: place });
        let why = match was_held {
            true => Some(format!("#{id} waits: the queue of session {session} is held, /resume {session} goes on")),
            false => self.why_it_waits(session, id),
        };
        // Held just now, by a gate that refuses: no turn begins that would show it.
        let refused = session == self.active && !place.auto && self.queue.is_held(session);
        let why = why.or_else(|| (refused && ahead == 0).then(|| notices::queued(id, ahead)));
        match (why, echo.filter(|_| ahead == 0)) {
            (Some(why), Some(text)) => self.show_queued(text, why),
            (Some(why), None) => self.show(Show::Notice(why)),
            (None, _) => {}
        }
        if was_held {
            self.let_go(id);
        }
        self.touch(session);
        Queued { session, entry: id, ahead, done: receiver }
    }

    fn show_queued(&mut self, text: String, said: String) {
        let Some(live) = self.sessions.get(&self.active) else { return };
        let (session, name) = (live.session.id, live.session.name.clone());
        self.show(Show::Queued { session, name, text, said });
    }

    /// Takes in what waited when chatmux started.
    pub(super) fn track_all(&mut self, entries: Vec<Entry>) {
        let found = entries.iter().map(|entry| (entry.session, waiting(entry))).collect();
        entries.iter().for_each(|entry| self.track(entry));
        self.tell(queue::Event::Found(found));
    }

    pub(super) fn track(&mut self, entry: &Entry) {
        let (session, since) = (entry.session, entry.created_at);
        let tracked = Tracked {
            session,
            ours: false,
            foreground: false,
            since,
            first_start: None,
            told_to_wait: false,
            answer: None,
            done: None,
            endings: Vec::new(),
        };
        self.entries.insert(entry.id, tracked);
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
            self.cancel_elsewhere(session);
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
        // Before anything else runs.
        let mut loops = if cancel { self.end_loops(&sessions) } else { Vec::new() };
        // `/stop` holds what waits. Where nothing waits there is nothing to hold, and what is typed next is answered.
        let waits = |session: &SessionId| {
            let retrying = self.queue.retrying(*session);
            self.queue.waiting(*session).iter().any(|waiting| Some(waiting.entry) != retrying)
        };
        let to_hold: Vec<_> = sessions.iter().copied().filter(|session| !cancel || waits(session)).collect();
        // The turns first: what waits for another attempt counts as under way only while its session is not held.
        // Another process hears of the hold first: it shall not go on with the next.
        let elsewhere: Vec<_> = to_hold.iter().copied().filter(|&session| self.queue.is_elsewhere(session)).collect();
        if held && !elsewhere.is_empty() {
            let commit = self.store.submit(HoldSessions { sessions: elsewhere, held });
            self.quietly(commit);
        }
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
                    loops.extend(c.nudge_loop(session));
                }
            }
            let _ = reply.send(Ok(Held { changed, endings, loops }));
        });
    }

    /// Nothing will happen in this session until somebody resumes it: who waits for one of its entries before going on is told
    /// so. A background entry's end is still awaited, for who queued it goes on and may resume it.
    pub(super) fn let_go_of_waiters(&mut self, session: SessionId) {
        let waiting: BTreeSet<EntryId> = self.queue.waiting(session).iter().map(|waiting| waiting.entry).collect();
        waiting.into_iter().for_each(|entry| self.let_go(entry));
    }

    /// [`Coordinator::let_go_of_waiters`] of one entry, if it is held by itself.
    pub(super) fn let_go_if_held(&mut self, session: SessionId, entry: EntryId) {
        if self.queue.find(session, entry).is_some_and(|waiting| waiting.held) {
            self.let_go(entry);
        }
    }

    fn let_go(&mut self, entry: EntryId) {
        let Some(tracked) = self.entries.get_mut(&entry).filter(|tracked| tracked.foreground) else { return };
        // Nobody waits for it any more: when it is answered, that is in the background.
        tracked.foreground = false;
        if let Some(done) = tracked.done.take() {
            let _ = done.send(EntryEnd::Held);
        }
    }

    /// Takes what waits out of the queue, and dead letters out of sight: all of them, or none.
    pub(super) fn drop_entries(&mut self, entries: Vec<EntryId>, reply: Reply<()>) {
        let mut found = Vec::new();
        let mut others = Vec::new();
        for &entry in &entries {
            match self.find_waiting(entry) {
                Ok(place) => found.push(place),
                Err(Error::UnknownEntry(entry)) => others.push(entry),
                Err(error) => return answer(reply, Err(error)),
            }
        }
        if others.is_empty() {
            return self.drop_found(entries, found, Vec::new(), reply);
        }
        // What does not wait may be dead: the store knows.
        let read = self.store.query(DeadEntries { session: None });
        self.later(read, move |c, dead| match dead {
            Ok(dead) => match others.iter().find(|other| !dead.iter().any(|entry| entry.id == **other)) {
                Some(unknown) => answer(reply, Err(Error::UnknownEntry(*unknown))),
                None => {
                    // Some of those that waited may have had their turn meanwhile: the commit leaves them alone.
                    let found = found.iter().filter_map(|(_, waiting)| c.find_waiting(waiting.entry).ok()).collect();
                    c.drop_found(entries, found, others, reply);
                }
            },
            Err(error) => answer(reply, Err(error.into())),
        });
    }

    /// Drops what was `found` waiting and what is `dead`, which are all of `entries`.
    fn drop_found(
        &mut self,
        entries: Vec<EntryId>,
        found: Vec<(SessionId, Waiting)>,
        dead: Vec<EntryId>,
        reply: Reply<()>,
    ) {
        // Out of the queue at once, so that none starts meanwhile.
        for &(session, waiting) in &found {
            self.tell(queue::Event::Dropped { session, entry: waiting.entry });
        }
        let commit = self.store.submit(CancelEntries { ids: entries, now: self.clock.now() });
        self.after(commit, move |c, result| {
            for (session, waiting) in found {
                match &result {
                    Ok(dropped) if dropped.contains(&waiting.entry) => c.emit_discarded(session, waiting.entry),
                    // Another process has begun it, or dropped it.
                    Ok(_) => c.look_at(session, false),
                    // As the journal has it: each in its place again.
                    Err(_) => c.tell(queue::Event::Enqueued { session, waiting }),
                }
            }
            // Whose end was seen long ago has no event of its own.
            let dropped = result.as_deref().unwrap_or_default();
            for entry in dead.iter().filter(|entry| dropped.contains(entry)) {
                c.show(Show::Notice(format!("#{entry} is forgotten")));
            }
            // Behind the ends of what was dropped.
            let result = result.map(|_| ()).map_err(Error::from);
            c.after(std::future::ready(Ok(())), move |_, _| answer(reply, result));
        });
    }
}

/// What the queue needs to know of an entry.
pub(super) fn waiting(entry: &Entry) -> Waiting {
    Waiting {
        entry: entry.id,
        priority: entry.priority,
        auto: entry.origin == Origin::Auto,
        continues: entry.continues,
        position: entry.position,
        attempts: entry.attempts,
        held: entry.held,
        not_before: entry.not_before,
        since: entry.created_at,
    }
}
