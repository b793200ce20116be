//! Sessions that another process works in, or has changed: read from the store, and shown as if it happened here. What has been read is
//! kept in the replay buffer like all output, so a switch, a prompt's signs and a script's events know no difference.

use super::{Coordinator, Elsewhere, Front};
use crate::domain::limits::MAX_ANSWER_BYTES;
use crate::domain::{
    AnswerState, Delta, EndState, Entry, EntryId, EntryState, Event, Output, Problem, ProcessId, Progress,
    ReplayBuffer, Seen, Session, SessionId, Show,
};
use crate::queue;
use crate::store::{Behind, EndedEntry, LookAt, Looked};

use super::ends::whole_ms;
use super::follow::Reading;
use super::queueing::waiting;
use super::turns::progressed;

/// Output that is read at once. More is passed over in memory, and read from the store by who wants to see it.
const READ_BYTES: u64 = 256 << 10;
/// A look is repeated this often when something was asked of the store meanwhile, which it cannot know of.
const LOOKS: u32 = 4;

impl Coordinator {
    /// Reads a session anew, because another process has changed it. `cancel`: and ends its turn here, if there is one.
    pub(super) fn look_at(&mut self, session: SessionId, cancel: bool) {
        *self.looks.entry(session).or_default() += 1;
        self.look(session, cancel, LOOKS);
    }

    fn look(&mut self, session: SessionId, cancel: bool, looks: u32) {
        let live = self.sessions.get(&session);
        let seen = live.map_or(Seen::START, |live| live.replay.end());
        // Of one that is new here nothing is in memory.
        let max_bytes = if live.is_some() { self.read_bytes(session) } else { 0 };
        let known = self.entries.iter().filter(|(_, tracked)| tracked.session == session).map(|(id, _)| *id).collect();
        let commit = self.store.submit(LookAt { session, known, seen, max_bytes });
        let asked = self.asked + 1;
        self.after(commit, move |c, looked| {
            let read_on = || c.sessions.get(&session).is_some_and(|live| live.replay.end() != seen);
            let again = looks > 1 && !c.quit_begun && (c.asked > asked || read_on());
            if let Ok(Some(_)) = looked
                && again
            {
                return c.look(session, cancel, looks - 1);
            }
            if let std::collections::btree_map::Entry::Occupied(mut looks) = c.looks.entry(session) {
                *looks.get_mut() -= 1;
                if *looks.get() == 0 {
                    looks.remove();
                }
            }
            match looked {
                Ok(Some(looked)) => c.looked(looked, seen, cancel),
                Ok(None) => drop(c.vanish(session)),
                Err(error) => c.store_trouble(&error),
            }
        });
    }

    /// How much of a session's output is read at once: a script that waits for it there gets all of it.
    pub(super) fn read_bytes(&self, session: SessionId) -> u64 {
        let waits = matches!(self.front, Front::Script(_))
            && self.entries.values().any(|tracked| tracked.session == session && tracked.ours);
        if waits { 2 * MAX_ANSWER_BYTES as u64 } else { READ_BYTES }
    }

    /// Takes in a session that another process works in, when this one starts.
    pub(super) fn find_elsewhere(&mut self, looked: Looked) {
        let Some(live) = self.sessions.get(&looked.session.id) else { return };
        let seen = live.replay.end();
        self.looked(looked, seen, false);
    }

    fn looked(&mut self, looked: Looked, seen: Seen, cancel: bool) {
        let Looked { session: row, lease, running, pending, ended, auto, behind } = looked;
        let session = row.id;
        if !self.sessions.contains_key(&session) {
            self.admit(row.clone(), behind.end);
            self.touch_prompt();
        }
        self.take_row(row);
        let theirs = lease.filter(|lease| !lease.is_ours);
        let is_ours = lease.is_some_and(|lease| lease.is_ours);
        let here = self.queue.running(session).is_some() && !self.queue.is_elsewhere(session);
        let Some(live) = self.sessions.get_mut(&session) else { return };
        // This process was silent for so long that its lease was taken, though it may have it again: what still comes of its turn is
        // nobody's.
        let runs = running.as_ref().filter(|_| is_ours).map(|entry| entry.id);
        let lost = live.turn.as_ref().filter(|turn| runs != Some(turn.entry) && !turn.cancel.is_cancelled());
        let lost = lost.map(|turn| {
            turn.cancel.cancel();
            turn.entry
        });
        // A loop of a turn under way here counts here.
        let same = |a: &crate::domain::AutoReply, b: &crate::domain::AutoReply| a.started_at == b.started_at;
        if !(here && matches!((&live.auto, &auto), (Some(a), Some(b)) if same(a, b))) {
            live.auto = auto;
        }
        for entry in pending.iter().chain(&running) {
            if !self.entries.contains_key(&entry.id) {
                self.track(entry);
            }
        }
        if !here {
            self.note_elsewhere(session, theirs.map(|lease| lease.process), running.as_ref());
            self.mirror(session, seen, behind);
        }
        // What others have dropped has ended also while a turn is under way here.
        let ours = self.queue.running(session).filter(|_| here);
        for ended in ended.into_iter().filter(|ended| ours != Some(ended.entry.id)) {
            self.ended_elsewhere(ended);
        }
        let lease = match theirs {
            Some(_) => queue::Lease::Elsewhere(running.map(|entry| entry.id)),
            None => queue::Lease::Here,
        };
        if let Some(entry) = lost {
            let named = self.named(session);
            self.notice(format!("{named} this chatmux was silent for so long that another has taken over #{entry}"));
        }
        let waiting = pending.iter().map(waiting).collect();
        self.tell(queue::Event::Reread { session, waiting, lease });
        if self.queue.is_held(session) {
            self.let_go_of_waiters(session);
        } else {
            // What its process has left that is gone.
            pending.iter().filter(|entry| entry.held).for_each(|entry| self.let_go_if_held(session, entry.id));
        }
        if cancel {
            self.tell(queue::Event::Cancel(session));
        }
        if is_ours {
            self.take_along_if_held(session);
        }
        self.touch(session);
        self.touch_prompt();
    }

    /// What others have changed of a session itself. Its draft and how far it was seen are each process's own.
    fn take_row(&mut self, row: Session) {
        let (session, held, model) = (row.id, row.held, row.model.clone());
        let Some(live) = self.sessions.get_mut(&session) else { return };
        let (was_held, was_open) = (live.session.held, live.session.closed_at.is_none());
        let moved = live.session.model != model;
        let (draft, seen) = (std::mem::take(&mut live.session.draft), live.session.seen);
        let archived = row.closed_at.is_some();
        live.session = Session { draft, seen, ..row };
        if moved {
            self.tell(queue::Event::ModelChanged { session, model });
        }
        if was_held != held {
            self.tell(queue::Event::Hold { session, held, release: false });
        }
        if !was_open && !archived {
            self.tell(queue::Event::Hold { session, held, release: false });
        }
        // What is archived asks for nothing more.
        if was_open && archived {
            self.tell(queue::Event::Hold { session, held: true, release: false });
            self.tell(queue::Event::Cancel(session));
        }
    }

    fn note_elsewhere(&mut self, session: SessionId, process: Option<ProcessId>, running: Option<&Entry>) {
        let now = self.clock.now();
        let Some(live) = self.sessions.get_mut(&session) else { return };
        let before = live.elsewhere.and_then(|elsewhere| elsewhere.running);
        let runs = running.map(|entry| match before {
            Some((before, progress)) if before == entry.id => (entry.id, progress),
            Some(_) | None => (entry.id, Progress::Asked(entry.started_at.unwrap_or(now))),
        });
        let old = live.elsewhere;
        live.elsewhere = process.map(|process| Elsewhere {
            process,
            running: runs,
            asked: old.is_some_and(|old| old.asked),
            reading: old.and_then(|old| old.reading),
        });
        if process.is_some() {
            self.expect_others();
        }
        let Some(entry) = running.filter(|entry| before.is_none_or(|(before, _)| before != entry.id)) else { return };
        self.begun_elsewhere(session, entry.id, entry.attempts);
    }

    /// Another process has begun this: said once an attempt.
    fn begun_elsewhere(&mut self, session: SessionId, entry: EntryId, attempt: u32) {
        let now = self.clock.now();
        let Some(tracked) = self.entries.get_mut(&entry) else { return };
        let first = tracked.first_start.is_none();
        tracked.first_start.get_or_insert(now);
        if (first || attempt > 1) && self.tells_of(entry) {
            self.emit(Event::Started { session, entry, attempt }, Some(entry));
        }
    }

    /// Whether what another process does of an entry is told: a script hears of what it has asked for.
    fn tells_of(&self, entry: EntryId) -> bool {
        matches!(self.front, Front::Terminal(_)) || self.entries.get(&entry).is_some_and(|tracked| tracked.ours)
    }

    /// Takes in what was put out behind `seen`, unless that was taken in already.
    pub(super) fn mirror(&mut self, session: SessionId, seen: Seen, behind: Behind) {
        let now = self.clock.now();
        let Some(live) = self.sessions.get_mut(&session) else { return };
        if live.replay.end() != seen {
            return;
        }
        let reading = Reading::of(&behind);
        if behind.end == seen {
            return live.note_reading(reading);
        }
        let (entries, mut told) = (&behind.entries, Vec::new());
        for output in &behind.outputs {
            match output {
                Output::Question { entry, .. } => told.push((*entry, None)),
                Output::Text { message, text, .. } => {
                    told.extend(entries.get(message).map(|entry| (*entry, Some(Delta::Text(text.clone())))));
                }
                Output::Reasoning { message, text, .. } => {
                    told.extend(entries.get(message).map(|entry| (*entry, Some(Delta::Reasoning(text.clone())))));
                }
                Output::End { .. } => {}
            }
        }
        if let Some(elsewhere) = &mut live.elsewhere {
            for (_, delta) in &told {
                if let (Some((_, progress)), Some(delta)) = (&mut elsewhere.running, delta) {
                    *progress = progressed(*progress, delta, now);
                }
            }
        }
        if behind.cut_bytes > 0 {
            live.replay = ReplayBuffer::new(self.replay_bytes, behind.end);
            live.follows = false;
        } else {
            behind.outputs.into_iter().for_each(|output| live.replay.push(output));
        }
        live.note_reading(reading);
        let is_script = matches!(self.front, Front::Script(_));
        for (entry, delta) in told {
            match delta {
                None => self.begun_elsewhere(session, entry, 1),
                Some(delta) if is_script && self.tells_of(entry) => {
                    self.emit(Event::Delta { session, entry, delta }, Some(entry));
                }
                Some(_) => {}
            }
        }
        self.touch(session);
    }

    /// Another process has ended this.
    fn ended_elsewhere(&mut self, ended: EndedEntry) {
        let EndedEntry { entry, answer, finish, text, seams, usage, first_at } = ended;
        let (id, session, now) = (entry.id, entry.session, self.clock.now());
        let Some(tracked) = self.entries.get(&id) else { return };
        let state = how(&entry, answer);
        // What a person cancelled has no other end, whatever was kept of an earlier one.
        let finish = finish.filter(|_| state != EndState::Cancelled);
        let problem = Problem::of(finish.as_ref(), usage, entry.error.as_ref());
        let since = tracked.since;
        let start = entry.started_at.or(tracked.first_start);
        let event = Event::Finished {
            session,
            entry: id,
            state,
            finish,
            text,
            seams,
            tokens: usage,
            wait_ms: whole_ms(start.unwrap_or(now).since(since)),
            first_ms: first_at.zip(start).map(|(first, start)| whole_ms(first.since(start))),
            total_ms: start.map_or(0, |start| whole_ms(entry.finished_at.unwrap_or(now).since(start))),
            error: entry.error,
        };
        if self.tells_of(id) {
            self.emit(event, Some(id));
        }
        if answer.is_none() && state == EndState::Cancelled && session == self.active {
            self.show(Show::Notice(format!("#{id} is cancelled")));
        }
        if answer.is_some() {
            self.alert(session, state, problem.as_ref());
            self.note_end(session, state, problem.as_ref());
        }
        self.finish_entry(id, state, problem);
    }
}

/// How an entry that has ended is told.
const fn how(entry: &Entry, answer: Option<AnswerState>) -> EndState {
    match (entry.state, answer) {
        (EntryState::Cancelled, _) => EndState::Cancelled,
        (EntryState::Dead, _) | (_, Some(AnswerState::Failed)) => EndState::Failed,
        (_, Some(AnswerState::Complete)) => EndState::Complete,
        (_, Some(AnswerState::Interrupted | AnswerState::Streaming) | None) => EndState::Interrupted,
    }
}
