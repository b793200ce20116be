//! What answers the machine's effects: the store commits or refuses, the worker streams, the provider is well or ill. And the end
//! of the process, with and without notice: all but the journal is gone.

use std::time::Duration;

use super::super::{Came, Cause, Event, Outcome, Queue, Settlement, Waiting};
use super::ends::back_to_pending;
use super::rules::Expected;
use super::world::{Brake, Item, MAX_RETRY_AFTER, Session, Stage, Turn, World, name};
use crate::domain::{EntryId, ErrorKind, Fate, FinishReason, LetGo, Priority, ProviderError, SessionId, Timestamp};

/// How long a session is left alone after a refused start.
const REFUSED_WAIT: Duration = Duration::from_millis(100);

impl World {
    /// The store or a worker of some session answers.
    pub(super) fn answer(&mut self) {
        let under_way = self.turns().count();
        if under_way == 0 {
            return;
        }
        let nth = self.rng.index(under_way);
        let Some((session, stage)) = self.turns().nth(nth).map(|(session, turn)| (session.id, turn.stage)) else {
            return;
        };
        match stage {
            Stage::Starting if self.faults && self.rng.chance(10) => self.refuse_start(session),
            Stage::Starting => {
                let turn = self.turn_mut(session);
                turn.stage = Stage::Running;
                if turn.cause.is_some() {
                    self.expected.interrupts.push(session);
                }
                self.tell(Event::Started(session));
            }
            Stage::Running if self.rng.chance(50) => self.stream(session),
            Stage::Running => self.end_attempt(session),
            Stage::Settling => self.settle(session),
            Stage::Discarding => {
                let turn = self.at_mut(session).turn.take().expect("it is there");
                self.ended.push(turn.item.waiting.entry);
                self.expected.idle = Some(session);
                self.tell(Event::Discarded(session));
            }
        }
    }

    pub(super) fn turn_mut(&mut self, session: SessionId) -> &mut Turn {
        self.at_mut(session).turn.as_mut().expect("a turn is under way")
    }

    fn refuse_start(&mut self, session: SessionId) {
        self.follow_clock();
        let wait = self.own + REFUSED_WAIT.as_millis() as i64;
        let place = self.at_mut(session);
        let mut turn = place.turn.take().expect("it is there");
        place.wait = Some(wait);
        turn.item.waiting.attempts -= 1;
        if turn.cause == Some(Cause::Person) {
            self.expected.discard = Some(turn.item.waiting.entry);
        }
        self.let_go(session, turn.model);
        self.at_mut(session).pending.push(turn.item);
        self.tell(Event::StartRefused { session, wait: REFUSED_WAIT });
    }

    /// Some of the answer comes.
    fn stream(&mut self, session: SessionId) {
        let came = if self.rng.chance(30) { Came::Reasoning } else { Came::Text };
        let turn = self.turn_mut(session);
        // Who turns requests away sends nothing of an answer.
        let model = turn.model;
        let first = !turn.accepted;
        if first && self.models[model].window > self.own {
            return self.end_attempt(session);
        }
        let turn = self.turn_mut(session);
        turn.accepted = true;
        turn.came = turn.came.max(came);
        turn.news = true;
        if first {
            self.follow_clock();
            self.note_accepted(session, model);
            self.tell(Event::Accepted(session));
        }
    }

    fn end_attempt(&mut self, session: SessionId) {
        let (outcome, roll) = (self.outcome(session), self.rng.roll());
        let turn = self.turn_mut(session);
        let (came, news) = (turn.came, turn.news);
        self.follow_clock();
        self.note_outcome(session, &outcome);
        self.tell(Event::Ended { session, outcome, came, news, roll });
    }

    fn outcome(&mut self, session: SessionId) -> Outcome {
        let turn = self.turn_mut(session);
        let (told, accepted, model) = (turn.told, turn.accepted, turn.model);
        if told && self.rng.chance(80) {
            return Outcome::Stopped;
        }
        if !self.faults {
            // A server that pauses every turn keeps none from its end.
            return Outcome::Finished(if self.rng.chance(50) { FinishReason::Stop } else { FinishReason::Pause });
        }
        let left = self.models[model].window - self.own;
        if left > 0 && !accepted {
            let retry_after = Duration::from_millis(left as u64);
            return failed(ErrorKind::RateLimited, Some(429), Some(retry_after));
        }
        match self.rng.below(100) {
            0..=24 => Outcome::Finished(FinishReason::Stop),
            25..=34 => Outcome::Finished(FinishReason::Pause),
            35..=45 => Outcome::Finished(FinishReason::ALL[self.rng.index(FinishReason::ALL.len())]),
            46..=49 => Outcome::Stopped,
            50..=56 => {
                let undecoded_at = Some(10 * (1 + self.rng.below(2)));
                Outcome::Failed(ProviderError {
                    undecoded_at,
                    ..ProviderError::transient(ErrorKind::Protocol, "what?")
                })
            }
            57..=61 => Outcome::Failed(ProviderError::fatal(ErrorKind::Auth, "no")),
            62..=74 => failed(ErrorKind::Overloaded, Some(503), None),
            75..=84 => failed(ErrorKind::Transport, None, None),
            85..=86 => failed(ErrorKind::Server, Some(500), Some(Duration::from_secs(self.rng.below(100)))),
            _ => {
                let most = MAX_RETRY_AFTER.as_millis() as u64;
                let wait = match self.rng.below(10) {
                    0..=1 => most + 1 + self.rng.below(30_000),
                    2 => most + 1 + self.rng.below(3_600_000),
                    // A date that is past by the client's clock.
                    3 => self.rng.below(2),
                    4 => self.rng.below(most),
                    _ => self.rng.below(most / 4),
                };
                let retry_after = Duration::from_millis(wait);
                self.models[model].window = self.own + wait as i64;
                failed(ErrorKind::RateLimited, Some(429), Some(retry_after))
            }
        }
    }

    /// The end of an attempt is committed, and with it, before the machine is told, the next auto-reply.
    fn settle(&mut self, session: SessionId) {
        let place = self.at(session);
        let complete = place.turn.as_ref().is_some_and(|turn| turn.end == Some(Settlement::Complete));
        if complete && !self.quitting {
            self.go_on_with_loop(session);
        }
        self.follow_clock();
        self.commit_end(session);
        self.tell(Event::Settled(session));
    }

    /// Queues the next auto-reply of the session's loop, if there is one.
    pub(super) fn go_on_with_loop(&mut self, session: SessionId) {
        let place = self.at_mut(session);
        let Some((number, left @ 1..)) = place.looping else { return };
        if place.pending.iter().any(|item| item.of_loop == Some(number)) {
            return;
        }
        place.looping = Some((number, left - 1));
        let mut item = self.new_item(session, Priority::Low);
        item.waiting.auto = true;
        item.of_loop = Some(number);
        self.enqueue(session, item);
    }

    /// A row of the journal for a new entry.
    pub(super) fn new_item(&mut self, session: SessionId, priority: Priority) -> Item {
        self.next_entry += 1;
        let (entry, since) = (EntryId(self.next_entry), self.now);
        let position = self.new_position(session);
        let waiting = Waiting {
            entry,
            priority,
            auto: false,
            continues: false,
            position,
            attempts: 0,
            held: false,
            not_before: None,
            since,
        };
        Item {
            waiting,
            arrival: 0,
            due: None,
            preempted: 0,
            paused: 0,
            undecoded: None,
            unanswered: false,
            may_be_answered: false,
            set_aside: false,
            granted: 0,
            of_loop: None,
            has_partial: false,
        }
    }

    pub(super) fn new_position(&mut self, session: SessionId) -> i64 {
        let place = self.at_mut(session);
        place.next_position += 1;
        place.next_position - 1
    }

    /// chatmux ends in good order: what runs is told so, its end is committed, and nothing starts.
    pub(super) fn quit(&mut self) {
        for nth in 0..self.sessions.len() {
            self.end_turn(self.sessions[nth].id, Cause::Quit);
        }
        self.quitting = true;
        self.tell(Event::Quit);
        while self.turns().count() > 0 {
            self.answer();
            if self.rng.chance(10) {
                self.queue.reserve(self.sessions[0].id).expect_err("a queue that quits takes nothing");
            }
        }
        self.restart();
    }

    /// The database is removed: no commit succeeds any more, and chatmux ends with what was committed before.
    pub(super) fn lose_database(&mut self) {
        let is_starting = |session: &&Session| session.turn.as_ref().is_some_and(|turn| turn.stage == Stage::Starting);
        // What starts instead is refused as well; who was refused waits.
        while let Some(session) = self.sessions.iter().find(is_starting).map(|session| session.id) {
            self.refuse_start(session);
        }
        for nth in 0..self.sessions.len() {
            let session = &mut self.sessions[nth];
            if let Some(turn) = session.turn.take() {
                let id = session.id;
                self.bury(id, turn, false);
            }
        }
        self.restart();
    }

    /// The process ends without a word; an operation that was under way in the store was committed or was not.
    pub(super) fn crash(&mut self) {
        for nth in 0..self.sessions.len() {
            let committed = self.rng.chance(50);
            let session = &mut self.sessions[nth];
            if let Some(turn) = session.turn.take() {
                let id = session.id;
                self.bury(id, turn, committed);
            }
        }
        self.restart();
    }

    /// What the next process finds of a turn.
    fn bury(&mut self, session: SessionId, turn: Turn, committed: bool) {
        let Turn { mut item, stage, end, came, .. } = turn;
        // That a stop would have cancelled it is forgotten: the person who lets it go then means it.
        item.of_loop = item.of_loop.filter(|of| !self.ended_loops.contains(of));
        match (stage, end) {
            (Stage::Starting, _) if !committed => {
                item.waiting.attempts -= 1;
                self.at_mut(session).pending.push(item);
            }
            (Stage::Discarding, _) if !committed => self.at_mut(session).pending.push(item),
            (Stage::Discarding, _) => self.ended.push(item.waiting.entry),
            (Stage::Settling, Some(end)) if committed => match back_to_pending(item, &end, false) {
                Some(item) => self.at_mut(session).pending.push(item),
                None => self.end(session, item, &end),
            },
            // Running, as far as the journal knows: with text the answer is interrupted, without the entry waits again.
            (Stage::Starting | Stage::Running | Stage::Settling, _) if came == Came::Text => {
                self.ended.push(item.waiting.entry);
            }
            (Stage::Starting | Stage::Running | Stage::Settling, _) => {
                item.unanswered = true;
                item.waiting.continues = false;
                item.has_partial = false;
                self.at_mut(session).pending.push(item);
            }
        }
    }

    /// A queue is built from the journal alone.
    fn restart(&mut self) {
        self.queue = Queue::new(self.settings.clone());
        self.quitting = false;
        self.expected = Expected::default();
        self.reserved.clear();
        let (active, sessions) = (self.active.take(), std::mem::take(&mut self.sessions));
        self.models.iter_mut().for_each(|model| model.brake = Brake::Open);
        let let_go = self.lets_go();
        let mut waiting = Vec::new();
        for session in sessions {
            let pending = session.pending.into_iter().map(|item| (session.id, item));
            waiting.extend(pending);
            let (model, held) = (name(session.model), session.held);
            let id = session.id;
            let rest = Session { pending: Vec::new(), wait: None, promised: false, turn: None, ..session };
            self.sessions.push(rest);
            self.tell(Event::SessionAdded { session: id, model, held });
        }
        for nth in 0..self.models.len() {
            if let Some(until) = self.models[nth].gate {
                self.find_gate(nth, until);
            }
        }
        if let Some(active) = active {
            self.active = Some(active);
            self.tell(Event::Activated(active));
        }
        waiting.sort_unstable_by_key(|(_, item)| item.waiting.entry);
        for (session, mut item) in waiting {
            item.forget_what_the_queue_knew();
            // What a person held stays held in any case.
            item.set_aside |= !item.waiting.held;
            item.unanswered |= item.set_aside && item.may_be_answered && !item.waiting.continues;
            item.waiting.held = true;
            let fate =
                if item.set_aside { let_go.fate(item.unanswered, item.waiting.attempts) } else { Fate::StaysHeld };
            match fate {
                Fate::StaysHeld => {}
                Fate::Waits => (item.set_aside, item.waiting.held) = (false, false),
                Fate::SentAgain => {
                    assert!(matches!(let_go, LetGo::All { .. }), "sent again unasked");
                    (item.unanswered, item.set_aside, item.waiting.held) = (false, false, false);
                }
                Fate::Dead => {
                    assert!(item.waiting.attempts >= self.settings.retry.max_attempts, "given up too early");
                    self.at_mut(session).dead.push(item);
                    continue;
                }
            }
            self.enqueue(session, item);
        }
    }

    /// What the next start lets go of what the last exit left: `on_start` as it is set, or `chatmux work`.
    fn lets_go(&mut self) -> LetGo {
        match self.rng.below(10) {
            0..=4 => LetGo::Nothing,
            5..=6 => LetGo::NeverSent,
            _ => LetGo::All { max_attempts: self.settings.retry.max_attempts },
        }
    }

    fn find_gate(&mut self, model: usize, until: Timestamp) {
        let wait = until.0 - self.now.0;
        if wait > 0 {
            let refuses = wait > self.settings.retry.longest_patience().as_millis() as i64;
            let until = self.own + wait;
            self.models[model].brake = if refuses { Brake::Refusing(until) } else { Brake::Paused(until) };
        }
        self.tell(Event::Gate { model: name(model), until });
    }
}

fn failed(kind: ErrorKind, status: Option<u16>, retry_after: Option<Duration>) -> Outcome {
    Outcome::Failed(ProviderError { status, retry_after, ..ProviderError::transient(kind, "busy") })
}
