//! The rules, each by a name of its own, against a plain second account of the machine: by brute force over all sessions, from the
//! words of the module's docs. Every effect is checked when it is given; the world as a whole after every event.

use super::super::{Cause, Effect, Event, MAX_PREEMPTIONS, Waiting};
use super::world::{Brake, Item, MODELS, Session, Stage, Turn, World, name, provider};
use crate::domain::{EntryId, ModelName, Priority, SessionId, Timestamp};

/// What the last event must bring about, and nothing else of the kind.
#[derive(Debug, Default)]
pub(super) struct Expected {
    /// The worker is told to end: by a person, an intervention, or the end of chatmux.
    pub(super) interrupts: Vec<SessionId>,
    pub(super) idle: Option<SessionId>,
    pub(super) discard: Option<EntryId>,
    /// The server asks for more patience than the person has: the session is held until the person says.
    pub(super) held: Option<SessionId>,
    /// The person did not want to wait for this model.
    pub(super) opened: Option<usize>,
    /// A server asked for patience with a model until then at least, on the queue's own clock.
    pub(super) asked: Option<Asked>,
}

/// A server's wish.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    pub(super) model: usize,
    pub(super) until: i64,
    /// The gate is not closed longer than this for it.
    pub(super) latest: i64,
    pub(super) before: Brake,
    pub(super) noted: bool,
}

/// The order within a session: by class, what goes on before what begins, position, number.
pub(super) fn place(waiting: &Waiting, auto_before_normal: bool) -> (u8, bool, i64, EntryId) {
    let class = match waiting.priority {
        Priority::High => 0,
        Priority::Low if waiting.auto && auto_before_normal => 1,
        Priority::Normal => 2,
        Priority::Low => 3,
    };
    (class, !waiting.continues, waiting.position, waiting.entry)
}

impl World {
    pub(super) fn tell(&mut self, event: Event) {
        self.follow_clock();
        let mut effects = Vec::new();
        self.queue.handle(event, self.now, &mut effects);
        for effect in effects {
            self.check_effect(effect);
        }
        self.check_after();
    }

    fn check_effect(&mut self, effect: Effect) {
        match effect {
            Effect::Start { session, entry, attempt } => self.check_start(session, entry, attempt),
            Effect::Interrupt { session, entry } => self.check_interrupt(session, entry),
            Effect::Settle { session, entry, end } => self.check_settle(session, entry, end),
            Effect::Discard { session, entry } => {
                assert_eq!(self.expected.discard.take(), Some(entry), "discarded what no person cancelled");
                let place = self.at_mut(session);
                let nth = place.pending.iter().position(|item| item.waiting.entry == entry && !item.waiting.held);
                let item = place.pending.remove(nth.expect("what is discarded waits, and is not held"));
                assert!(place.turn.is_none(), "discarded beside a turn");
                place.turn = Some(Turn::new(item, Stage::Discarding, place.model));
            }
            Effect::HoldSession { session, until } => {
                let place = self.at(session);
                let refused = matches!(self.models[place.model].brake, Brake::Refusing(_));
                let by_its_turn = place.turn.as_ref().is_some_and(Turn::was_asked_too_much);
                assert!(refused || by_its_turn, "held a session whose gate does not refuse");
                assert!(until > self.now, "held until a time that is past");
                self.at_mut(session).held = true;
            }
            Effect::Gate { model, until } => self.check_gate(&model, until),
            Effect::Idle(session) => {
                assert_eq!(self.expected.idle.take(), Some(session), "idle at another time than the end of a turn");
                assert!(self.at(session).turn.is_none(), "idle with a turn under way");
            }
        }
    }

    fn check_gate(&mut self, model: &ModelName, until: Option<Timestamp>) {
        let nth = (0..MODELS.len()).find(|&nth| name(nth) == *model).expect("a model");
        self.models[nth].gate = until;
        let Some(until) = until else {
            assert_eq!(self.expected.opened.take(), Some(nth), "a gate opened that nobody asked to open");
            return;
        };
        let asked = self.expected.asked.as_mut().expect("a gate closed without a server's wish");
        assert_eq!(asked.model, nth, "another model's gate closed");
        let at = self.own + (until.0 - self.now.0);
        assert!(at >= asked.until, "the gate opens earlier than the server asked");
        assert!(at <= asked.latest, "the gate stays closed longer than the server asked and the pauses grow");
        let shortened = matches!(asked.before, Brake::Paused(before) | Brake::Refusing(before) if before > at);
        assert!(!shortened, "a shorter wish opened the gate earlier than a longer one");
        asked.noted = true;
        let brake = &mut self.models[nth].brake;
        *brake = if matches!(brake, Brake::Refusing(_)) { Brake::Refusing(at) } else { Brake::Paused(at) };
    }

    fn check_start(&mut self, session: SessionId, entry: EntryId, attempt: u32) {
        let place = self.at(session);
        assert!(!self.quitting, "started while chatmux ends");
        assert!(place.turn.is_none(), "two turns at once in one session");
        assert!(!place.held, "a held session started an entry");
        assert!(!self.ended.contains(&entry), "started after its end was committed");
        let item = place.pending.iter().find(|item| item.waiting.entry == entry);
        let item = *item.expect("started what does not wait");
        assert!(!item.waiting.held, "a held entry was started");
        assert_eq!(self.next(place).map(|next| next.waiting.entry), Some(entry), "out of order within a session");
        assert!(item.due.is_none_or(|due| due <= self.own), "started before its not_before");
        assert!(place.wait.is_none_or(|wait| wait <= self.own), "started too soon after a refused start");
        match self.models[place.model].brake {
            Brake::Paused(_) | Brake::Refusing(_) => panic!("started behind a closed gate"),
            Brake::Slow { asking: Some(_), .. } => panic!("two at once in a slow start"),
            Brake::Slow { asking: None, .. } | Brake::Open => {}
        }
        assert!(self.has_slot(place.model), "more turns than slots");
        assert_eq!(attempt, item.waiting.attempts + 1, "attempts are counted as they are made");
        assert!(!item.unanswered, "sent again what was sent before, and nobody wished it");
        let allowed = self.settings.retry.max_attempts + item.granted;
        assert!(attempt <= allowed, "more attempts than allowed");
        let stopped = item.of_loop.is_some_and(|of| self.ended_loops.contains(&of));
        assert!(!stopped, "an auto-reply started after its loop was ended");
        self.check_rank(place, &item);
        let model = place.model;
        if let Brake::Slow { asking, .. } = &mut self.models[model].brake {
            *asking = Some(session);
        }
        let place = self.at_mut(session);
        place.pending.retain(|item| item.waiting.entry != entry);
        place.wait = None;
        place.promised = false;
        let mut turn = Turn::new(item, Stage::Starting, model);
        turn.item.waiting.attempts = attempt;
        turn.item.waiting.not_before = None;
        turn.item.due = None;
        place.turn = Some(turn);
    }

    /// The started one is the best of those that could start, and nobody is left behind who waited much longer.
    fn check_rank(&self, started: &Session, item: &Item) {
        let rank = self.rank(started, item);
        for other in self.sessions.iter().filter(|other| other.id != started.id) {
            let Some(next) = self.could_start(other) else { continue };
            let better = self.rank(other, next);
            assert!(rank <= better, "overtook one of a better rank: {rank:?} before {better:?}");
            let ageing = self.settings.ageing.as_millis() as i64;
            let starves = ageing > 0 && !started.promised && next.arrival + 5 * ageing < item.arrival;
            assert!(!starves, "overtook one that arrived more than five ranks earlier");
        }
    }

    /// The smallest is best: first a promise, then arrival plus ageing for each step down.
    fn rank(&self, session: &Session, item: &Item) -> (i64, i64, SessionId) {
        let steps = match item.waiting.priority {
            Priority::High => 0,
            Priority::Normal => 1,
            Priority::Low => 2,
        };
        let steps = steps + if self.active == Some(session.id) { 0 } else { 3 };
        let ageing = self.settings.ageing.as_millis() as i64;
        let class = if ageing == 0 { 1 + steps } else { 1 };
        (if session.promised { 0 } else { class }, item.arrival + ageing * steps, session.id)
    }

    fn check_interrupt(&mut self, session: SessionId, entry: EntryId) {
        let turn = self.at(session).turn.as_ref().expect("told to end what is not under way");
        assert_eq!((turn.item.waiting.entry, turn.stage), (entry, Stage::Running), "told to end what does not run");
        assert!(!turn.told, "told twice to end");
        match self.expected.interrupts.iter().position(|&expected| expected == session) {
            Some(nth) => _ = self.expected.interrupts.swap_remove(nth),
            None => {
                assert!(self.settings.preempt, "preempted although that is off");
                assert_eq!(turn.item.waiting.priority, Priority::Low, "interrupted a turn that is not low");
                let allowed = !turn.item.waiting.auto || self.settings.auto_interruptible;
                assert!(allowed, "interrupted an auto-reply that may not be");
                assert!(turn.item.preempted < MAX_PREEMPTIONS, "preempted too often");
                assert_eq!(self.victim(), Some(session), "preempted without need, or not the lowest-ranked");
                self.give_way(session);
            }
        }
        self.at_mut(session).turn.as_mut().expect("it is there").told = true;
    }

    fn give_way(&mut self, session: SessionId) {
        self.at_mut(session).turn.as_mut().expect("it is there").cause = Some(Cause::Preemption);
        let active = self.active.expect("a preemption is for the active session");
        self.at_mut(active).promised = true;
    }

    /// The session whose turn gives way now, by the rule: the active session's next entry, a person's, could start but for a slot,
    /// no slot that it could use will be free anyway, and of the `low` turns whose slot would help this one arrived last.
    fn victim(&self) -> Option<SessionId> {
        let active = self.sessions.iter().find(|s| Some(s.id) == self.active)?;
        let next = self.ready(active)?;
        let lets_through = self.lets_through(active.model);
        if !self.settings.preempt || self.quitting || next.waiting.priority == Priority::Low || !lets_through {
            return None;
        }
        let own_full = self.provider_full(active.model);
        let helps = |turn: &&Turn| turn.takes_slot() && (!own_full || provider(turn.model) == provider(active.model));
        let comes = |turn: &Turn| turn.cause.is_some() || turn.stage == Stage::Settling;
        if self.turns().map(|(_, turn)| turn).filter(helps).any(comes) {
            return None;
        }
        let may_yield = |turn: &Turn| {
            let Waiting { priority, auto, .. } = turn.item.waiting;
            let allowed = self.settings.auto_interruptible || !auto;
            priority == Priority::Low && allowed && turn.item.preempted < MAX_PREEMPTIONS
        };
        let yielding = self.turns().filter(|(_, turn)| helps(turn) && may_yield(turn));
        yielding.map(|(session, turn)| (turn.item.arrival, session.id)).max().map(|(_, session)| session)
    }

    /// The entry of `session` whose turn is next, whether or not its time has come.
    pub(super) fn next<'a>(&self, session: &'a Session) -> Option<&'a Item> {
        let mut best: Option<&Item> = None;
        for item in &session.pending {
            let place_of = |item: &Item| place(&item.waiting, self.settings.auto_before_normal);
            if !item.waiting.held && best.is_none_or(|best| place_of(item) < place_of(best)) {
                best = Some(item);
            }
        }
        best
    }

    /// The entry that `session` would start if its gate let it through and there were a slot.
    fn ready<'a>(&self, session: &'a Session) -> Option<&'a Item> {
        if session.held || session.turn.is_some() || session.wait.is_some_and(|wait| wait > self.own) {
            return None;
        }
        self.next(session).filter(|next| next.due.is_none_or(|due| due <= self.own))
    }

    fn could_start<'a>(&self, session: &'a Session) -> Option<&'a Item> {
        self.ready(session).filter(|_| self.lets_through(session.model) && self.has_slot(session.model))
    }

    fn lets_through(&self, model: usize) -> bool {
        matches!(self.models[model].brake, Brake::Open | Brake::Slow { asking: None, .. })
    }

    fn provider_full(&self, model: usize) -> bool {
        let own = provider(model);
        let limit = self.settings.limits.per_provider.get(own).copied().unwrap_or(usize::MAX);
        self.turns().filter(|(_, turn)| turn.takes_slot() && provider(turn.model) == own).count() >= limit
    }

    pub(super) fn slots_taken(&self) -> usize {
        self.turns().filter(|(_, turn)| turn.takes_slot()).count()
    }

    fn has_slot(&self, model: usize) -> bool {
        self.slots_taken() < self.settings.limits.max_concurrent && !self.provider_full(model)
    }

    fn check_after(&mut self) {
        let Expected { interrupts, idle, discard, held, opened, asked } = std::mem::take(&mut self.expected);
        assert!(interrupts.is_empty(), "not told to end: {interrupts:?}");
        assert_eq!(idle, None, "the idle event is missing");
        assert_eq!(discard, None, "what the person cancelled is not discarded");
        assert!(held.is_none_or(|session| self.at(session).held), "asked for more patience than allowed, and not held");
        assert_eq!(opened, None, "the gate did not open for the person");
        if let Some(Asked { model, until, before, noted: false, .. }) = asked {
            let stands = matches!(before, Brake::Paused(at) | Brake::Refusing(at) if at >= until);
            assert!(stands, "a server asked for patience, and the gate did not close");
            self.models[model].brake = before;
        }
        self.check_promise();
        if let Some(victim) = self.victim() {
            let starting = self.at(victim).turn.as_ref().is_some_and(|turn| turn.stage == Stage::Starting);
            assert!(starting, "a low turn should have given way to the active session: {victim}");
            self.give_way(victim);
        }
        self.check_nothing_forgotten();
    }

    /// A promise is to what a person waits for: it ends with that.
    fn check_promise(&mut self) {
        for nth in 0..self.sessions.len() {
            let place = &self.sessions[nth];
            let waits = self.next(place).is_some_and(|next| next.waiting.priority != Priority::Low);
            if place.promised && (place.held || !waits) {
                self.sessions[nth].promised = false;
            }
        }
    }

    /// What may start has started; what waits for its time is woken; the machine has the same waiting as the journal.
    fn check_nothing_forgotten(&self) {
        assert_eq!(self.queue.running_total(), self.slots_taken(), "slots are miscounted");
        if self.quitting {
            return;
        }
        let mut wakeup = None;
        for session in &self.sessions {
            assert_eq!(self.queue.is_held(session.id), session.held, "held differs in session {}", session.id);
            let forgotten = self.could_start(session).is_some();
            let beside = self.is_closed_beside(session.model);
            assert!(!(forgotten && beside), "the gate of another model delays session {}", session.id);
            assert!(!forgotten, "session {} could start and did not", session.id);
            let brake = self.models[session.model].brake;
            let refused = matches!(brake, Brake::Refusing(_)) && self.ready(session).is_some();
            assert!(!refused, "session {} is not held, and its gate refuses", session.id);
            let at = self.wakes_at(session);
            wakeup = [wakeup, at].into_iter().flatten().min();
        }
        let wakeup = wakeup.map(|at| Timestamp(self.now.0 + (at - self.own)));
        assert_eq!(self.queue.next_wakeup(), wakeup, "woken at another time than when something is due");
        assert!(wakeup.is_none_or(|at| at > self.now), "woken in the past");
        let until = wakeup.map(|at| at.since(self.now));
        assert_eq!(self.queue.until_wakeup(self.now), until, "woken after another time");
    }

    /// Whether another model of the same provider lets nothing through.
    fn is_closed_beside(&self, model: usize) -> bool {
        let is_beside = |other: usize| other != model && provider(other) == provider(model);
        (0..MODELS.len()).any(|other| is_beside(other) && !self.lets_through(other))
    }

    fn wakes_at(&self, session: &Session) -> Option<i64> {
        if session.held || session.turn.is_some() {
            return None;
        }
        let due = self.next(session)?.due.max(session.wait).filter(|&at| at > self.own);
        due.or(match self.models[session.model].brake {
            Brake::Paused(until) => Some(until),
            Brake::Open | Brake::Refusing(_) | Brake::Slow { .. } => None,
        })
    }

    /// Nothing acknowledged is lost or differs, in any session.
    pub(super) fn check_waiting(&self, session: &Session) {
        let mut waiting: Vec<Waiting> = session.pending.iter().map(|item| item.waiting).collect();
        waiting.sort_unstable_by_key(|waiting| place(waiting, self.settings.auto_before_normal));
        assert_eq!(self.queue.waiting(session.id), waiting, "the machine and the journal differ in {}", session.id);
        let running = session.turn.as_ref().filter(|turn| turn.takes_slot()).map(|turn| turn.item.waiting.entry);
        assert_eq!(self.queue.running(session.id), running, "another turn runs in {}", session.id);
    }
}
