//! The queue's effects, carried out: a turn's start is committed before its worker runs, its end before the queue moves on.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{Coordinator, EntryEnd, RunningTurn, Tracked};
use crate::domain::{
    Activity, AnswerState, Delta, EndState, EntryId, EntryState, Event, Output, ReplayBuffer, Seen, SessionId,
    SessionName, Show, StoredError, Timestamp, Usage,
};
use crate::queue::{self, Settlement};
use crate::store::{CancelEntries, EndTurn, HoldSessions, StartTurn, StoreError, Turn};
use crate::worker::{self, Assignment, Ended, Report, What};

/// Another process runs a turn of this session: look again after this (`lease.check_interval`).
const BUSY_ELSEWHERE: Duration = Duration::from_millis(100);
/// The store cannot write (a full disk): try again after this.
const STORE_TROUBLE: Duration = Duration::from_secs(1);
/// When chatmux ends, a turn's end is tried to be committed this often; then the program ends all the same.
const LAST_ATTEMPTS: u32 = 4;

impl Coordinator {
    pub(super) fn start_turn(&mut self, session: SessionId, entry: EntryId) {
        let commit = self.store.submit(StartTurn { entry, now: self.clock.now() });
        self.after(commit, move |c, result| match result {
            Ok(turn) => c.turn_started(session, entry, turn),
            Err(StoreError::TurnRunning(_)) => {
                let tracked = c.entries.get_mut(&entry);
                if tracked.is_some_and(|tracked| !std::mem::replace(&mut tracked.told_to_wait, true)) {
                    c.notice(format!("#{entry} waits: another chatmux answers in session {session}"));
                }
                c.tell(queue::Event::StartRefused { session, wait: BUSY_ELSEWHERE });
            }
            Err(StoreError::NoEntry(_) | StoreError::WrongState { .. }) => {
                // Another process has run it, dropped it, or deleted its session.
                c.tell(queue::Event::StartRefused { session, wait: BUSY_ELSEWHERE });
                c.forget(session, entry);
            }
            Err(error) => {
                c.store_trouble(&error);
                c.tell(queue::Event::StartRefused { session, wait: STORE_TROUBLE });
            }
        });
    }

    fn turn_started(&mut self, session: SessionId, entry: EntryId, turn: Turn) {
        self.trouble = None;
        let (now, attempt) = (self.clock.now(), turn.attempt);
        let Some(live) = self.sessions.get_mut(&session) else { return };
        if turn.before > live.replay.end().message {
            // Another process has answered here meanwhile: what it brought is in the store alone, and not yet seen.
            live.replay = ReplayBuffer::new(self.replay_bytes, Seen::whole(turn.before));
            live.follows = false;
        }
        let cancel = CancellationToken::new();
        let assignment = Assignment {
            session,
            entry,
            question: turn.question,
            answer: turn.answer,
            attempt,
            provider: (self.providers)(&turn.model.provider),
            model: turn.model,
            system: live.session.system.clone(),
        };
        live.turn = Some(RunningTurn {
            entry,
            answer: turn.answer,
            cancel: cancel.clone(),
            held_by_server: false,
            ended: None,
        });
        let tracked = self.entries.get_mut(&entry);
        let first_here = tracked.is_some_and(|tracked| {
            let first = tracked.first_start.is_none();
            tracked.first_start.get_or_insert(now);
            tracked.answer = Some(turn.answer);
            first
        });
        let again = if turn.question > live.replay.end().message {
            live.replay.push(Output::Question { message: turn.question, entry, text: turn.text });
            None
        } else {
            // It was asked before chatmux ended: the answer shall not come without its question.
            (first_here && session == self.active).then(|| (live.session.name.clone(), turn.text))
        };
        if let Some((name, text)) = again {
            self.show(Show::Question { session, name, text });
        }
        let task = worker::run(assignment, self.store.clone(), self.clock, self.reports.clone(), cancel);
        let id = self.workers.spawn(task).id();
        self.worker_sessions.insert(id, (session, entry));
        self.emit(Event::Started { session, entry, attempt }, Some(entry));
        self.touch(session);
        self.touch_prompt();
        self.tell(queue::Event::Started(session));
    }

    pub(super) fn interrupt_turn(&self, session: SessionId, entry: EntryId) {
        let turn = self.sessions.get(&session).and_then(|live| live.turn.as_ref());
        if let Some(turn) = turn.filter(|turn| turn.entry == entry) {
            turn.cancel.cancel();
        }
    }

    pub(super) fn take_report(&mut self, report: Report) {
        let Report { session, entry, what } = report;
        let Some(live) = self.sessions.get_mut(&session) else { return };
        let Some(turn) = live.turn.as_mut().filter(|turn| turn.entry == entry) else { return };
        match what {
            What::Delta { start, delta } => {
                let message = turn.answer;
                live.replay.push(match &delta {
                    Delta::Text(text) => Output::Text { message, start, text: text.clone() },
                    Delta::Reasoning(text) => Output::Reasoning { message, start, text: text.clone() },
                });
                self.emit(Event::Delta { session, entry, delta }, Some(entry));
                self.touch(session);
            }
            What::Ended(ended) => {
                let (outcome, has_text) = (ended.outcome.clone(), ended.has_text);
                turn.ended = Some(*ended);
                self.tell(queue::Event::Ended { session, outcome, has_text, roll: (self.roll)() });
            }
        }
    }

    pub(super) fn settle_turn(&mut self, session: SessionId, entry: EntryId, end: Settlement) {
        let Some(turn) = self.sessions.get_mut(&session).and_then(|live| live.turn.as_mut()) else { return };
        let (answer, Some(ended)) = (turn.answer, turn.ended.clone()) else { return };
        let op = end_turn(entry, answer, &end, ended, self.clock.now());
        self.commit_end(session, end, op, 1);
    }

    fn commit_end(&mut self, session: SessionId, end: Settlement, op: EndTurn, attempt: u32) {
        let again = op.clone();
        let commit = self.store.submit(op);
        self.after(commit, move |c, result| match result {
            Ok(ended) => {
                c.trouble = None;
                c.turn_settled(session, &end, ended.text);
            }
            // Its session was deleted meanwhile, by another process.
            Err(StoreError::NoEntry(_) | StoreError::WrongState { .. } | StoreError::NotStreaming(_)) => {
                c.turn_settled(session, &end, String::new())
            }
            Err(error) if c.quit_begun && attempt >= LAST_ATTEMPTS => {
                // What the checkpoints brought to the disk is there; the next start marks it as interrupted.
                c.store_trouble(&error);
                c.turn_settled(session, &end, String::new());
            }
            Err(error) => {
                // The answer stays in memory until the store takes it.
                c.store_trouble(&error);
                c.later(tokio::time::sleep(STORE_TROUBLE), move |c, ()| c.commit_end(session, end, again, attempt + 1));
            }
        });
    }

    fn turn_settled(&mut self, session: SessionId, end: &Settlement, text: String) {
        let Some(live) = self.sessions.get_mut(&session) else { return };
        let Some(turn) = live.turn.take() else { return };
        let entry = turn.entry;
        match ending(end) {
            Some((state, answer_state, error)) => {
                let usage = turn.ended.as_ref().map(|ended| ended.usage).unwrap_or_default();
                let output = Output::End { message: turn.answer, state: answer_state, usage, error: error.clone() };
                live.replay.push(output);
                self.emit_finished(session, &turn, state, text, error.clone());
                self.note_end(session, state);
                self.finish_entry(entry, state, error);
            }
            // That it is held, and for how long, is said instead.
            None if turn.held_by_server => {}
            None => self.say_retry(session, entry, end),
        }
        self.touch(session);
        self.touch_prompt();
        self.tell(queue::Event::Settled(session));
        if self.queue.is_held(session) {
            self.let_go_of_waiters(session);
        }
    }

    fn say_retry(&mut self, session: SessionId, entry: EntryId, end: &Settlement) {
        let Settlement::Retry { not_before, attempt, error } = end else { return };
        let Some(error) = error else {
            if !self.quit_begun {
                self.notice(format!("#{entry} was interrupted before anything came of it, and waits again"));
            }
            return;
        };
        let event = Event::Retry {
            session,
            entry,
            attempt: *attempt,
            of: self.queue.max_attempts(),
            in_ms: u64::try_from(not_before.since(self.clock.now()).as_millis()).unwrap_or(u64::MAX),
            error: StoredError::from(error),
        };
        self.emit(event, Some(entry));
    }

    fn emit_finished(
        &mut self,
        session: SessionId,
        turn: &RunningTurn,
        state: EndState,
        text: String,
        error: Option<StoredError>,
    ) {
        let now = self.clock.now();
        let (since, start) = self
            .entries
            .get(&turn.entry)
            .map_or((now, now), |tracked| (tracked.since, tracked.first_start.unwrap_or(now)));
        let first = turn.ended.as_ref().and_then(|ended| ended.first_after);
        let event = Event::Finished {
            session,
            entry: turn.entry,
            state,
            text,
            tokens: turn.ended.as_ref().map(|ended| ended.usage).unwrap_or_default(),
            wait_ms: whole_ms(start.since(since)),
            first_ms: first.map(whole_ms),
            total_ms: whole_ms(now.since(start)),
            error,
        };
        self.emit(event, Some(turn.entry));
    }

    /// Marks a background session that ended something, until the person goes there.
    fn note_end(&mut self, session: SessionId, state: EndState) {
        let mark = match state {
            EndState::Complete | EndState::Cancelled => Activity::Finished,
            EndState::Interrupted | EndState::Failed => Activity::Failed,
        };
        if session != self.active
            && let Some(live) = self.sessions.get_mut(&session)
        {
            live.unseen = live.unseen.max(Some(mark));
        }
    }

    pub(super) fn finish_entry(&mut self, entry: EntryId, state: EndState, error: Option<StoredError>) {
        let Some(Tracked { done, endings, .. }) = self.entries.remove(&entry) else { return };
        if let Some(done) = done {
            let _ = done.send(EntryEnd::Ended(state, error));
        }
        endings.into_iter().for_each(|ended| _ = ended.send(()));
    }

    pub(super) fn discard(&mut self, session: SessionId, entry: EntryId) {
        let commit = self.store.submit(CancelEntries { ids: vec![entry], now: self.clock.now() });
        self.after(commit, move |c, result| {
            if let Err(error) = result {
                c.store_trouble(&error);
            }
            c.emit_discarded(session, entry);
            c.tell(queue::Event::Discarded(session));
        });
    }

    /// An entry that waited is cancelled, or gone. An answer that was begun has its end with that.
    pub(super) fn emit_discarded(&mut self, session: SessionId, entry: EntryId) {
        let Some(tracked) = self.entries.get(&entry) else { return };
        // Where a later turn came between, the order of output has ended this one already.
        if let (Some(message), Some(live)) = (tracked.answer, self.sessions.get_mut(&session))
            && live.replay.end().message <= message
        {
            let (state, usage) = (AnswerState::Interrupted, Usage::default());
            live.replay.push(Output::End { message, state, usage, error: None });
        }
        let event = Event::Finished {
            session,
            entry,
            state: EndState::Cancelled,
            text: String::new(),
            tokens: Usage::default(),
            wait_ms: self.entries.get(&entry).map_or(0, |tracked| whole_ms(self.clock.now().since(tracked.since))),
            first_ms: None,
            total_ms: 0,
            error: None,
        };
        self.emit(event, Some(entry));
        if session == self.active {
            // It has no answer in whose place one could see that.
            self.show(Show::Notice(format!("#{entry} is cancelled")));
        }
        self.finish_entry(entry, EndState::Cancelled, None);
        self.touch(session);
    }

    fn forget(&mut self, session: SessionId, entry: EntryId) {
        self.tell(queue::Event::Dropped { session, entry });
        self.emit_discarded(session, entry);
    }

    /// A server asked for more patience than is allowed: the queue holds it already, the journal follows.
    pub(super) fn hold_until(&mut self, session: SessionId, until: Timestamp) {
        let Some(live) = self.sessions.get_mut(&session) else { return };
        live.session.held = true;
        if let Some(turn) = &mut live.turn {
            turn.held_by_server = true;
        }
        let name: SessionName = live.session.name.clone();
        let wait = crate::domain::Span(until.since(self.clock.now()));
        let commit = self.store.submit(HoldSessions { sessions: vec![session], held: true });
        self.after(commit, move |c, result| {
            if let Err(error) = result {
                c.store_trouble(&error);
            }
            c.notice(format!("[{session} {name}] the server asks to wait {wait}: held, /resume {session} goes on"));
            c.let_go_of_waiters(session);
        });
    }

    /// Says that the store failed, once a trouble.
    pub(super) fn store_trouble(&mut self, error: &StoreError) {
        let text = error.to_string();
        tracing::error!(%error, "the store failed");
        if self.trouble.as_ref() != Some(&text) {
            self.trouble = Some(text.clone());
            self.notice(format!("{text}; nothing is lost yet, it is tried again every second"));
        }
    }
}

fn whole_ms(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

/// How an attempt's end is told; `None` when another attempt follows.
fn ending(end: &Settlement) -> Option<(EndState, AnswerState, Option<StoredError>)> {
    match end {
        Settlement::Complete => Some((EndState::Complete, AnswerState::Complete, None)),
        Settlement::Interrupted(error) => {
            Some((EndState::Interrupted, AnswerState::Interrupted, error.as_ref().map(StoredError::from)))
        }
        Settlement::Cancelled => Some((EndState::Cancelled, AnswerState::Interrupted, None)),
        Settlement::Dead(error) => Some((EndState::Failed, AnswerState::Failed, Some(StoredError::from(error)))),
        Settlement::Retry { .. } => None,
    }
}

fn end_turn(
    entry: EntryId,
    answer: crate::domain::MessageId,
    end: &Settlement,
    ended: Ended,
    now: Timestamp,
) -> EndTurn {
    let (entry_state, answer_state, not_before, error) = match end {
        Settlement::Complete => (EntryState::Done, AnswerState::Complete, None, None),
        Settlement::Interrupted(error) => (EntryState::Done, AnswerState::Interrupted, None, error.as_ref()),
        Settlement::Cancelled => (EntryState::Cancelled, AnswerState::Interrupted, None, None),
        Settlement::Dead(error) => (EntryState::Dead, AnswerState::Failed, None, Some(error)),
        Settlement::Retry { not_before, error, .. } => {
            (EntryState::Pending, AnswerState::Failed, Some(*not_before), error.as_ref())
        }
    };
    EndTurn {
        entry,
        answer,
        chunks: ended.tail.into_iter().map(worker::chunk).collect(),
        answer_state,
        entry_state,
        continues: false,
        finish_reason: ended.finish_reason,
        usage: ended.usage,
        error: error.map(StoredError::from),
        counts: !matches!(end, Settlement::Retry { error: None, .. }),
        not_before,
        first_at: ended.first_at,
        first_after: ended.first_after,
        follow: None,
        now,
    }
}
