//! The queue's effects, carried out: a turn's start is committed before its worker runs. Its end is in `ends.rs`.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::ends::whole_ms;
use super::showing::question;
use super::{Coordinator, Front, RunningTurn};
use crate::domain::{
    AnswerState, Delta, EndState, EntryId, Event, Output, Progress, ReplayBuffer, Seen, SessionId, Show, Timestamp,
    Told, Usage,
};
use crate::queue;
use crate::store::{AnswerText, CancelEntries, StartKnown, StartTurn, Store, StoreError, Turn};
use crate::worker::{self, Assignment, Report, What};

/// Another process runs a turn of this session: look again after this (`lease.check_interval`).
const BUSY_ELSEWHERE: Duration = Duration::from_millis(100);
/// Another process has changed the session: this is what a look takes.
const CHANGED: Duration = Duration::from_millis(20);
/// The store cannot write (a full disk): try again after this.
pub(super) const STORE_TROUBLE: Duration = Duration::from_secs(1);
/// When chatmux ends, a turn's end is tried to be committed this often; then the program ends all the same.
pub(super) const LAST_ATTEMPTS: u32 = 4;

impl Coordinator {
    pub(super) fn start_turn(&mut self, session: SessionId, entry: EntryId) {
        if self.looks.contains_key(&session) {
            let refused = queue::Event::StartRefused { session, wait: CHANGED };
            return self.after(std::future::ready(Ok(())), move |c, _| c.tell(refused));
        }
        let start = StartTurn { entry, now: self.clock.now() };
        let (known, takes_along) = (self.last_change(), self.takes_along());
        let commit = self.store.submit(StartKnown { start, session, known, takes_along });
        self.after(commit, move |c, result| match result {
            Ok(turn) => c.turn_started(session, entry, turn),
            Err(StoreError::TurnRunning(_)) => {
                let tracked = c.entries.get_mut(&entry);
                if tracked.is_some_and(|tracked| !std::mem::replace(&mut tracked.told_to_wait, true)) {
                    let text = format!("#{entry} waits: another chatmux answers in session {session}");
                    c.notice_of(session, Told::Step, text);
                }
                c.tell(queue::Event::StartRefused { session, wait: BUSY_ELSEWHERE });
            }
            Err(StoreError::Changed(_)) => {
                c.survey_now();
                c.tell(queue::Event::StartRefused { session, wait: CHANGED });
            }
            Err(StoreError::SetAside(_)) => {
                c.tell(queue::Event::StartRefused { session, wait: CHANGED });
                c.take_along(session);
            }
            // Another process runs what is to be run here, or has run it or dropped it.
            Err(StoreError::Leased(_) | StoreError::WrongState { .. }) => {
                c.tell(queue::Event::StartRefused { session, wait: BUSY_ELSEWHERE });
                c.look_at(session, false);
            }
            Err(StoreError::NoEntry(_)) => {
                // Another process has deleted its session.
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
        self.store_works();
        let (now, attempt) = (self.clock.now(), turn.attempt);
        let moved = self.place_output(session, &turn);
        let Some(live) = self.sessions.get_mut(&session) else { return };
        let cancel = CancellationToken::new();
        let assignment = Assignment {
            session,
            entry,
            question: turn.question,
            answer: turn.answer,
            attempt,
            kept: turn.kept,
            provider: (self.providers)(&turn.model.provider),
            model: turn.model,
            system: live.session.system.clone(),
        };
        live.turn = Some(RunningTurn {
            entry,
            attempt,
            answer: turn.answer,
            cancel: cancel.clone(),
            held_by_server: false,
            accepted: false,
            progress: Progress::Asked(now),
            alive: false,
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
            // One that stands anew at the end comes with it from the store.
            (first_here && !moved && session == self.active).then(|| (live.session.name.clone(), turn.text))
        };
        if let Some((name, text)) = again {
            self.show(question(session, name, &text));
        }
        let task = worker::run(assignment, self.store.clone(), self.clock, self.reports.clone(), cancel);
        let id = self.workers.spawn(task).id();
        self.worker_sessions.insert(id, (session, entry));
        self.emit(Event::Started { session, entry, attempt }, Some(entry));
        self.touch(session);
        self.touch_prompt();
        self.tell(queue::Event::Started(session));
    }

    /// Places the output of a turn that starts behind what the session has put out. Whether its question and its partial stand anew at
    /// the session's end.
    fn place_output(&mut self, session: SessionId, turn: &Turn) -> bool {
        let Some(live) = self.sessions.get_mut(&session) else { return false };
        let moved = turn.moved && !turn.kept.is_empty();
        if moved || turn.before > live.replay.end().message {
            // What is in the store alone, and not yet seen: what another process has answered here meanwhile, or a question and
            // its partial that stand behind what was answered meanwhile.
            let end = match moved {
                true => Seen {
                    message: turn.answer,
                    reasoning_bytes: turn.kept.reasoning_bytes,
                    text_bytes: turn.kept.text.len() as u64,
                    ended: false,
                },
                false => Seen::whole(turn.before),
            };
            let before = std::mem::replace(&mut live.replay, ReplayBuffer::new(self.replay_bytes, end)).end();
            live.follows &= moved;
            if moved && before.ended && before.message > turn.before {
                // It goes on where it ended, and nothing stands between: who has seen all of it does not see it again.
                if live.session.seen == before {
                    live.session.seen = end;
                }
                if let Front::Terminal(terminal) = &mut self.front
                    && session == self.active
                {
                    terminal.go_on(before, end, &turn.kept.text);
                }
            }
        }
        moved
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
                let (message, first) = (turn.answer, !std::mem::replace(&mut turn.accepted, true));
                turn.progress = progressed(turn.progress, &delta, self.clock.now());
                turn.alive = false;
                live.replay.push(match &delta {
                    Delta::Text(text) => Output::Text { message, start, text: text.clone() },
                    Delta::Reasoning(text) => Output::Reasoning { message, start, text: text.clone() },
                });
                self.emit(Event::Delta { session, entry, delta }, Some(entry));
                self.touch(session);
                if first {
                    self.tell(queue::Event::Accepted(session));
                }
            }
            What::Progress { silent, alive } => {
                turn.alive = alive;
                self.emit(Event::Progress { session, entry, silent_ms: whole_ms(silent), alive }, Some(entry));
                self.touch_prompt();
            }
            What::Store(Ok(())) => self.store_works(),
            What::Store(Err(error)) => self.store_trouble(&error),
            What::Ended(ended) => {
                let (outcome, came, news) = (ended.outcome.clone(), ended.came, ended.first_at.is_some());
                turn.ended = Some(*ended);
                self.tell(queue::Event::Ended { session, outcome, came, news, roll: (self.roll)() });
            }
        }
    }

    pub(super) fn discard(&mut self, session: SessionId, entry: EntryId) {
        let commit = self.store.submit(CancelEntries { ids: vec![entry], now: self.clock.now() });
        self.after(commit, move |c, result| {
            if let Err(error) = result {
                c.store_trouble(&error);
                if !c.quit_begun && !error.is_lost() {
                    // What is said to be cancelled does not come back with the next start.
                    return c.later(tokio::time::sleep(STORE_TROUBLE), move |c, ()| c.discard(session, entry));
                }
            }
            c.emit_discarded(session, entry);
            // Behind that.
            c.after(std::future::ready(Ok(())), move |c, _| {
                c.tell(queue::Event::Discarded(session));
                // As after a turn that was ended while it ran: what was to follow its answer follows all the same.
                c.nudge_loop(session);
            });
        });
    }

    /// An entry that waited is cancelled, or gone.
    pub(super) fn emit_discarded(&mut self, session: SessionId, entry: EntryId) {
        self.emit_end(session, entry, true);
    }

    /// The same where what was ended with it is said instead. An answer that was begun has its end with that.
    pub(super) fn emit_withdrawn(&mut self, session: SessionId, entry: EntryId) {
        self.emit_end(session, entry, false);
    }

    /// Of an answer that was begun here, what came of it is read first: in its place among the commits, so in order.
    fn emit_end(&mut self, session: SessionId, entry: EntryId, say: bool) {
        if self.entries.get(&entry).is_none_or(|tracked| tracked.answer.is_none()) {
            return self.withdrawn(session, entry, (String::new(), Vec::new()), say);
        }
        let read = self.store.query(AnswerText(entry));
        self.after(read, move |c, answer| c.withdrawn(session, entry, answer.unwrap_or_default(), say));
    }

    /// [`Coordinator::emit_discarded`] with what there is of its answer: its text and its seams.
    pub(super) fn withdrawn(&mut self, session: SessionId, entry: EntryId, answer: (String, Vec<u64>), say: bool) {
        let (text, seams) = answer;
        let Some(tracked) = self.entries.get(&entry) else { return };
        let (since, first_start, now) = (tracked.since, tracked.first_start, self.clock.now());
        // Where a later turn came between, the order of output has ended this one already.
        if let (Some(message), Some(live)) = (tracked.answer, self.sessions.get_mut(&session))
            && live.replay.end().message <= message
        {
            let (state, usage) = (AnswerState::Interrupted, Usage::default());
            live.replay.push(Output::End { message, state, finish: None, usage, error: None });
        }
        let event = Event::Finished {
            session,
            entry,
            state: EndState::Cancelled,
            finish: None,
            text,
            seams,
            tokens: Usage::default(),
            wait_ms: whole_ms(first_start.unwrap_or(now).since(since)),
            first_ms: None,
            total_ms: first_start.map_or(0, |start| whole_ms(now.since(start))),
            error: None,
        };
        self.emit(event, Some(entry));
        self.finish_entry(entry, EndState::Cancelled, None);
        self.touch(session);
        if say && session == self.active {
            // It has no answer in whose place one could see that.
            self.show(Show::Notice(format!("#{entry} is cancelled")));
        }
    }

    fn forget(&mut self, session: SessionId, entry: EntryId) {
        self.tell(queue::Event::Dropped { session, entry });
        self.emit_discarded(session, entry);
    }

    /// Says that the store failed, once a trouble. What was to be written is tried again.
    pub(super) fn store_trouble(&mut self, error: &StoreError) {
        self.say_trouble(error, "; nothing is lost yet, it is tried again every second");
    }

    /// Says that the store failed, once a trouble, and `more`.
    pub(super) fn say_trouble(&mut self, error: &StoreError, more: &str) {
        if error.is_gone() {
            // That is said by itself, once.
            return;
        }
        let text = error.to_string();
        if self.trouble.as_ref() != Some(&text) {
            tracing::error!(%error, "the store failed");
            self.notice(format!("{text}{more}"));
            self.trouble = Some(text);
        }
    }

    /// The store took something: says so if it did not before.
    pub(super) fn store_works(&mut self) {
        if self.trouble.take().is_some() {
            self.notice("the database takes what comes again: all of it is kept".to_owned());
        }
    }

    /// Says that the database's files are gone and could not be saved yet, as long as the store runs. What follows is the end of the
    /// program, which says the rest.
    pub(super) fn hear_of_losses(&mut self, mut store: Store) {
        let next = async move {
            let loss = store.loss().await;
            (store, loss)
        };
        self.later(next, |c, (store, loss)| {
            let Some(error) = loss else { return };
            if !error.is_lost() {
                c.notice(error.to_string());
                c.hear_of_losses(store);
            }
        });
    }
}

/// What a turn is at once this piece of it has come.
pub(super) const fn progressed(before: Progress, delta: &Delta, now: Timestamp) -> Progress {
    match (before, delta) {
        (Progress::Thinks(since), Delta::Reasoning(_)) => Progress::Thinks(since),
        (_, Delta::Reasoning(_)) => Progress::Thinks(now),
        (_, Delta::Text(_)) => Progress::Speaks(now),
    }
}
