//! The machine itself: what waits where, and who gets the next free slot. What becomes of a turn is in `turns.rs`.

use std::collections::{BTreeMap, BTreeSet};

use super::gate::{Lane, Slots};
use super::own_clock::{Own, OwnClock};
use super::rank::Rank;
use super::session_queue::{Pending, Phase, Running, SessionQueue};
use super::{Cause, Effect, Event, Lease, Limits, MAX_PREEMPTIONS, Refusal, Settings, Waiting};
use crate::domain::{EntryId, ModelName, Priority, SessionId, Timestamp};

/// All queues and the scheduler. The caller answers each [`Effect::Start`] and [`Effect::Settle`]; everything else is told.
#[derive(Debug)]
pub struct Queue {
    pub(super) settings: Settings,
    pub(super) clock: OwnClock,
    pub(super) sessions: BTreeMap<SessionId, SessionQueue>,
    active: Option<SessionId>,
    quitting: bool,
    /// By model.
    pub(super) lanes: BTreeMap<ModelName, Lane>,
    /// By provider.
    pub(super) slots: BTreeMap<String, Slots>,
    /// Slots taken, in all.
    pub(super) taken: usize,
    /// Of these, how many will be free without more ado.
    pub(super) ending: usize,
    /// Sessions whose next entry waits for its time.
    pub(super) timers: BTreeSet<(Own, SessionId)>,
    /// Where each session stands among the ready of a lane or in `timers`, so that it can be taken out.
    places: BTreeMap<SessionId, Place>,
    pub(super) pending_total: usize,
}

#[derive(Debug, Clone)]
enum Place {
    Ready(ModelName, Rank),
    Timer(Own),
}

impl Queue {
    /// An empty queue.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            clock: OwnClock::default(),
            sessions: BTreeMap::new(),
            active: None,
            quitting: false,
            lanes: BTreeMap::new(),
            slots: BTreeMap::new(),
            taken: 0,
            ending: 0,
            timers: BTreeSet::new(),
            places: BTreeMap::new(),
            pending_total: 0,
        }
    }

    #[cfg(test)]
    pub(super) const fn limits_for_test(&mut self, max_pending: usize) {
        self.settings.limits.max_pending = max_pending;
        self.settings.limits.max_pending_total = max_pending;
    }

    /// Asks for a place for one more entry and keeps it free until [`Event::Enqueued`] or [`Queue::unreserve`].
    ///
    /// # Errors
    /// A full queue refuses; it drops nothing.
    pub fn reserve(&mut self, session: SessionId) -> Result<(), Refusal> {
        if self.quitting {
            return Err(Refusal::Quitting);
        }
        let Limits { max_pending, max_pending_total, .. } = self.settings.limits;
        let queue = self.sessions.get_mut(&session).ok_or(Refusal::NoSession(session))?;
        if queue.len() + queue.reserved >= max_pending {
            return Err(Refusal::SessionFull { session, limit: max_pending });
        }
        if self.pending_total >= max_pending_total {
            return Err(Refusal::TotalFull { limit: max_pending_total });
        }
        queue.reserved += 1;
        self.pending_total += 1;
        Ok(())
    }

    /// Gives a reserved place back: the entry could not be committed.
    pub fn unreserve(&mut self, session: SessionId) {
        if let Some(queue) = self.sessions.get_mut(&session)
            && queue.reserved > 0
        {
            queue.reserved -= 1;
            self.pending_total -= 1;
        }
    }

    /// Takes in what happened and says what is to be done.
    pub fn handle(&mut self, event: Event, now: Timestamp, effects: &mut Vec<Effect>) {
        self.clock.follow(now);
        let own = self.clock.now();
        self.lanes.retain(|_, lane| {
            lane.gate.pass(own);
            !lane.is_blank()
        });
        match event {
            Event::SessionAdded { session, model, held } => {
                let before_normal = self.settings.auto_before_normal;
                self.sessions.entry(session).or_insert_with(|| SessionQueue::new(model, held, before_normal));
            }
            Event::ModelChanged { session, model } => self.with(session, |queue| queue.model = model),
            Event::SessionRemoved(session) => self.remove_session(session),
            Event::Reread { session, waiting, lease } => self.reread(session, waiting, lease, effects),
            Event::Activated(session) => self.activate(session),
            Event::Enqueued { session, waiting } => self.enqueued(session, waiting, effects),
            Event::Found(all) => {
                all.into_iter().for_each(|(session, waiting)| self.enqueued(session, waiting, effects));
            }
            Event::Changed { session, waiting } => self.changed(session, waiting, effects),
            Event::Started(session) => self.started(session, effects),
            Event::Accepted(session) => self.accepted(session),
            Event::StartRefused { session, wait } => self.start_refused(session, wait, effects),
            Event::Ended { session, outcome, came, news, roll } => {
                self.ended(session, &super::turns::Attempt { outcome, came, news, roll, now }, effects);
            }
            Event::Settled(session) => self.settled(session, effects),
            Event::Discarded(session) => self.discarded(session, effects),
            Event::Cancel(session) => self.cancel(session, effects),
            Event::Hold { session, held, release } => self.hold(session, held, release, effects),
            Event::Hurry(session) => self.hurry(session, effects),
            Event::Gate { model, until } => self.gate_found(model, until),
            Event::Dropped { session, entry } => self.forget(session, entry),
            Event::Quit => self.quit(Cause::Quit, effects),
            Event::HandOver => self.quit(Cause::HandOver, effects),
            Event::Tick => self.tick(),
        }
        self.schedule(effects);
    }

    fn remove_session(&mut self, session: SessionId) {
        self.unplace(session);
        if let Some(queue) = self.sessions.remove(&session) {
            debug_assert!(queue.running().is_none(), "a session with a running turn is not removed");
            self.pending_total -= queue.len() + queue.reserved;
        }
    }

    fn activate(&mut self, session: SessionId) {
        let before = self.active.replace(session).filter(|&before| before != session);
        for id in before.into_iter().chain([session]) {
            // A slot that was being freed was for the active session.
            self.with(id, |queue| queue.promised = false);
        }
    }

    fn enqueued(&mut self, session: SessionId, waiting: Waiting, effects: &mut Vec<Effect>) {
        let (arrival, due) = (self.clock.past(waiting.since), self.due(&waiting));
        let Some(queue) = self.sessions.get_mut(&session) else { return };
        // What comes from the journal at start-up was not reserved.
        if queue.reserved > 0 {
            queue.reserved -= 1;
            self.pending_total -= 1;
        }
        // Another process's change may have been read between its commit and this.
        if queue.remove(waiting.entry).is_none() {
            self.pending_total += 1;
        }
        queue.insert(Pending::new(waiting, arrival, due));
        self.replace(session);
        self.intervene(session, effects);
    }

    fn reread(&mut self, session: SessionId, waiting: Vec<Waiting>, lease: Lease, effects: &mut Vec<Effect>) {
        let found = waiting.into_iter();
        let found = found.map(|w| Pending::new(w, self.clock.past(w.since), self.due(&w))).collect();
        let Some(queue) = self.sessions.get_mut(&session) else { return };
        self.pending_total -= queue.len();
        queue.reread(found);
        self.pending_total += queue.len();
        match (&queue.phase, lease) {
            (Phase::Idle | Phase::Elsewhere(_), Lease::Elsewhere(entry)) => queue.phase = Phase::Elsewhere(entry),
            (Phase::Elsewhere(_), Lease::Here) => {
                queue.phase = Phase::Idle;
                queue.not_before = None;
                effects.push(Effect::Idle(session));
            }
            // What is under way here finds out by its commits.
            (Phase::Idle | Phase::Starting(_) | Phase::Running(_) | Phase::Settling(_) | Phase::Discarding, _) => {}
        }
        self.replace(session);
        self.intervene(session, effects);
    }

    fn changed(&mut self, session: SessionId, waiting: Waiting, effects: &mut Vec<Effect>) {
        let due = self.due(&waiting);
        let Some(queue) = self.sessions.get_mut(&session) else { return };
        match queue.remove(waiting.entry) {
            Some(pending) => {
                queue.insert(Pending { waiting, due, ..pending });
                self.replace(session);
                self.intervene(session, effects);
            }
            None => {
                // Its start is under way: should it come back, then to its new place.
                let Some(running) = queue.running_mut().filter(|r| r.pending.waiting.entry == waiting.entry) else {
                    return;
                };
                let pending = &mut running.pending;
                (pending.waiting.position, pending.waiting.priority) = (waiting.position, waiting.priority);
                let yields = may_yield(&self.settings, pending) && !running.ending;
                let place = (pending.arrival, session);
                if let Some(slots) = self.slots.get_mut(&running.model.provider) {
                    if yields {
                        slots.yielding.insert(place)
                    } else {
                        slots.yielding.remove(&place)
                    };
                }
            }
        }
    }

    fn due(&self, waiting: &Waiting) -> Option<Own> {
        waiting.not_before.map(|at| self.clock.due(at, self.settings.retry.longest()))
    }

    /// A `high` entry does not wait for a `low` one that runs, unless it may not start: the queue of its session is held.
    fn intervene(&mut self, session: SessionId, effects: &mut Vec<Effect>) {
        let Some(queue) = self.sessions.get(&session).filter(|queue| !queue.held) else { return };
        let interruptible = self.settings.auto_interruptible;
        let gives_way = |running: &Running| {
            let Waiting { priority, auto, .. } = running.pending.waiting;
            priority == Priority::Low && (interruptible || !auto)
        };
        let is_high = |next: &Pending| next.waiting.priority == Priority::High;
        if queue.next().is_some_and(is_high) && queue.running().is_some_and(gives_way) {
            self.interrupt(session, Cause::Intervention, effects);
        }
    }

    fn hold(&mut self, session: SessionId, held: bool, release: bool, effects: &mut Vec<Effect>) {
        self.with(session, |queue| {
            queue.held = held;
            if release {
                queue.release_all();
            }
        });
        self.intervene(session, effects);
        if !held && let Some(queue) = self.sessions.get(&session) {
            let model = queue.model.clone();
            // A person who goes on although the gate refuses wants to see whether the server still does.
            if self.lanes.get(&model).is_some_and(|lane| lane.gate.is_refusing()) {
                self.open_for_one(model, effects);
            }
        }
    }

    fn hurry(&mut self, session: SessionId, effects: &mut Vec<Effect>) {
        self.with(session, SessionQueue::hurry);
        if let Some(queue) = self.sessions.get(&session) {
            self.open_for_one(queue.model.clone(), effects);
        }
    }

    pub(super) fn forget(&mut self, session: SessionId, entry: EntryId) {
        if let Some(queue) = self.sessions.get_mut(&session)
            && queue.remove(entry).is_some()
        {
            self.pending_total -= 1;
            self.replace(session);
        }
    }

    fn quit(&mut self, cause: Cause, effects: &mut Vec<Effect>) {
        self.quitting = true;
        let ids: Vec<_> = self.sessions.keys().copied().collect();
        ids.into_iter().for_each(|session| self.interrupt(session, cause, effects));
    }

    fn tick(&mut self) {
        let now = self.clock.now();
        while let Some(&(at, session)) = self.timers.first()
            && at <= now
        {
            self.replace(session);
        }
    }

    /// Changes a session and puts it where it belongs then.
    pub(super) fn with(&mut self, session: SessionId, change: impl FnOnce(&mut SessionQueue)) {
        if let Some(queue) = self.sessions.get_mut(&session) {
            change(queue);
            self.replace(session);
        }
    }

    /// Starts what may start: as long as there are slots, the best of the sessions whose provider has one and whose gate lets it
    /// through.
    fn schedule(&mut self, effects: &mut Vec<Effect>) {
        if self.quitting {
            return;
        }
        self.hold_refused(effects);
        while self.taken < self.settings.limits.max_concurrent {
            let free = |(model, lane): &(&ModelName, &Lane)| lane.gate.lets_through() && !self.is_full(&model.provider);
            let best = self.lanes.iter().filter(free).filter_map(|(_, lane)| lane.ready.first()).min();
            let Some(&Rank { session, .. }) = best else { break };
            if !self.start(session, effects) {
                break;
            }
        }
        self.preempt(effects);
    }

    fn is_full(&self, provider: &str) -> bool {
        let taken = self.slots.get(provider).map_or(0, |slots| slots.taken);
        self.settings.limits.per_provider.get(provider).is_some_and(|&limit| taken >= limit)
    }

    fn start(&mut self, session: SessionId, effects: &mut Vec<Effect>) -> bool {
        self.unplace(session);
        let Some(queue) = self.sessions.get_mut(&session) else { return false };
        let Some(next) = queue.next().map(|next| next.waiting.entry) else { return false };
        let Some(mut pending) = queue.remove(next) else { return false };
        self.pending_total -= 1;
        pending.waiting.attempts += 1;
        pending.waiting.not_before = None;
        pending.due = None;
        queue.not_before = None;
        queue.promised = false;
        let model = queue.model.clone();
        let Waiting { entry, attempts, .. } = pending.waiting;
        effects.push(Effect::Start { session, entry, attempt: attempts });
        let may_yield = may_yield(&self.settings, &pending);
        queue.phase =
            Phase::Starting(Running { pending, model: model.clone(), cause: None, ending: false, again: None });
        if let Some(lane) = self.lanes.get_mut(&model) {
            lane.gate.started(session);
        }
        let slots = self.slots.entry(model.provider).or_default();
        slots.taken += 1;
        if may_yield {
            slots.yielding.insert((pending.arrival, session));
        }
        self.taken += 1;
        true
    }

    /// The active session's next entry, a person's, could start but for a slot: a running `low` turn gives way, unless a slot
    /// will be free anyway.
    fn preempt(&mut self, effects: &mut Vec<Effect>) {
        if !self.settings.preempt {
            return;
        }
        let Some(active) = self.active else { return };
        let Some(Place::Ready(model, _)) = self.places.get(&active) else { return };
        let next = self.sessions.get(&active).and_then(SessionQueue::next);
        if !next.is_some_and(is_persons) {
            return;
        }
        if !self.lanes.get(model).is_some_and(|lane| lane.gate.lets_through()) {
            return;
        }
        let own = self.slots.get(&model.provider).filter(|_| self.is_full(&model.provider));
        let (slot_comes, victim) = match own {
            Some(slots) => (slots.ending > 0, slots.yielding.last()),
            None => (self.ending > 0, self.slots.values().filter_map(|slots| slots.yielding.last()).max()),
        };
        if slot_comes {
            return;
        }
        if let Some(&(_, victim)) = victim {
            self.with(active, |queue| queue.promised = true);
            self.interrupt(victim, Cause::Preemption, effects);
        }
    }

    fn unplace(&mut self, session: SessionId) {
        match self.places.remove(&session) {
            Some(Place::Ready(model, rank)) => {
                if let Some(lane) = self.lanes.get_mut(&model) {
                    lane.ready.remove(&rank);
                }
            }
            Some(Place::Timer(at)) => {
                self.timers.remove(&(at, session));
            }
            None => {}
        }
    }

    /// Puts a session where it belongs: among the ready, among those that wait for their time, or nowhere.
    pub(super) fn replace(&mut self, session: SessionId) {
        self.unplace(session);
        let now = self.clock.now();
        let Some(queue) = self.sessions.get_mut(&session) else { return };
        // A slot is freed for what a person waits for; what comes next instead has no claim to it.
        queue.promised &= !queue.held && queue.next().is_some_and(is_persons);
        let queue = &*queue;
        if queue.held || queue.phase != Phase::Idle {
            return;
        }
        let Some(next) = queue.next() else { return };
        let due = next.due.max(queue.not_before).filter(|&at| at > now);
        let place = match due {
            Some(at) => {
                self.timers.insert((at, session));
                Place::Timer(at)
            }
            None => {
                let (active, priority) = (self.active == Some(session), next.waiting.priority);
                let rank = Rank::new(session, priority, next.arrival, active, queue.promised, self.settings.ageing);
                self.lanes.entry(queue.model.clone()).or_default().ready.insert(rank);
                Place::Ready(queue.model.clone(), rank)
            }
        };
        self.places.insert(session, place);
    }
}

/// Whether the active session may take this turn's slot.
fn may_yield(settings: &Settings, pending: &Pending) -> bool {
    let Waiting { priority, auto, .. } = pending.waiting;
    priority == Priority::Low && pending.preempted < MAX_PREEMPTIONS && (settings.auto_interruptible || !auto)
}

/// Whether a person waits for it: a slot is freed for such entries only.
fn is_persons(pending: &Pending) -> bool {
    pending.waiting.priority != Priority::Low
}
