//! The machine itself: which entry starts when, and what becomes of a turn that ended.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::retry::Verdict;
use super::session_queue::{Phase, Running, SessionQueue};
use super::{Cause, Effect, Event, Limits, Outcome, Refusal, RetryPolicy, Settlement, Waiting};
use crate::domain::{EntryId, Priority, SessionId, Timestamp};

/// The order in which sessions that could start get a free slot: the active one, then by priority, then the longest waiting.
type Rank = (bool, Priority, Timestamp, SessionId);

/// All queues and the scheduler. The caller answers each [`Effect::Start`] and [`Effect::Settle`]; everything else is told.
#[derive(Debug)]
pub struct Queue {
    limits: Limits,
    retry: RetryPolicy,
    sessions: BTreeMap<SessionId, SessionQueue>,
    active: Option<SessionId>,
    quitting: bool,
    /// Slots taken: turns that start, run or settle.
    taken: BTreeMap<String, usize>,
    /// Sessions that could start at once if there were a slot, per provider, the best first.
    ready: BTreeMap<String, BTreeSet<Rank>>,
    /// Sessions whose next entry waits for its time.
    timers: BTreeSet<(Timestamp, SessionId)>,
    /// Where each session stands in `ready` or `timers`, so that it can be taken out.
    places: BTreeMap<SessionId, Place>,
    pending_total: usize,
}

#[derive(Debug, Clone)]
enum Place {
    Ready(String, Rank),
    Timer(Timestamp),
}

impl Queue {
    /// An empty queue.
    pub fn new(limits: Limits, retry: RetryPolicy) -> Self {
        Self {
            limits,
            retry,
            sessions: BTreeMap::new(),
            active: None,
            quitting: false,
            taken: BTreeMap::new(),
            ready: BTreeMap::new(),
            timers: BTreeSet::new(),
            places: BTreeMap::new(),
            pending_total: 0,
        }
    }

    #[cfg(test)]
    pub(super) const fn limits_for_test(&mut self, max_pending: usize) {
        self.limits.max_pending = max_pending;
        self.limits.max_pending_total = max_pending;
    }

    /// Asks for a place for one more entry and keeps it free until [`Event::Enqueued`] or [`Queue::unreserve`].
    ///
    /// # Errors
    /// A full queue refuses; it drops nothing.
    pub fn reserve(&mut self, session: SessionId) -> Result<(), Refusal> {
        if self.quitting {
            return Err(Refusal::Quitting);
        }
        let queue = self.sessions.get_mut(&session).ok_or(Refusal::NoSession(session))?;
        if queue.len() + queue.reserved >= self.limits.max_pending {
            return Err(Refusal::SessionFull { session, limit: self.limits.max_pending });
        }
        if self.pending_total >= self.limits.max_pending_total {
            return Err(Refusal::TotalFull { limit: self.limits.max_pending_total });
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

    /// When [`Event::Tick`] is due.
    pub fn next_wakeup(&self) -> Option<Timestamp> {
        self.timers.first().map(|&(at, _)| at)
    }

    /// Turns that come before `entry` in its session, the running one included.
    pub fn ahead(&self, session: SessionId, priority: Priority, entry: EntryId) -> usize {
        self.sessions
            .get(&session)
            .map_or(0, |queue| queue.before(priority, entry) + usize::from(queue.running().is_some()))
    }

    /// Whether something will happen in `session` without the person.
    pub fn is_busy(&self, session: SessionId) -> bool {
        self.sessions.get(&session).is_some_and(SessionQueue::is_busy)
    }

    /// Whether a turn starts, runs or settles in `session`.
    pub fn running(&self, session: SessionId) -> Option<EntryId> {
        self.sessions.get(&session)?.running().map(|running| running.waiting.entry)
    }

    /// The entry of `session` that waits for its next attempt.
    pub fn retrying(&self, session: SessionId) -> Option<EntryId> {
        self.sessions.get(&session)?.retrying()
    }

    /// What waits in `session`, in order.
    pub fn waiting(&self, session: SessionId) -> Vec<Waiting> {
        self.sessions.get(&session).map(|queue| queue.waiting().copied().collect()).unwrap_or_default()
    }

    /// Whether the queue of `session` is held.
    pub fn is_held(&self, session: SessionId) -> bool {
        self.sessions.get(&session).is_some_and(|queue| queue.held)
    }

    /// Turns that start, run or settle, in all.
    pub fn running_total(&self) -> usize {
        self.taken.values().sum()
    }

    /// Attempts in all before an entry is dead.
    pub fn max_attempts(&self) -> u32 {
        self.retry.max_attempts
    }

    /// Takes in what happened and says what is to be done.
    pub fn handle(&mut self, event: Event, now: Timestamp, effects: &mut Vec<Effect>) {
        match event {
            Event::SessionAdded { session, provider, held } => {
                self.sessions.entry(session).or_insert_with(|| SessionQueue::new(provider, held));
            }
            Event::ProviderChanged { session, provider } => {
                self.with(session, now, |queue| queue.provider = provider);
            }
            Event::SessionRemoved(session) => self.remove_session(session),
            Event::Activated(session) => {
                let before = self.active.replace(session);
                before.into_iter().chain([session]).for_each(|id| self.replace(id, now));
            }
            Event::Enqueued { session, waiting } => self.enqueued(session, waiting, now, effects),
            Event::Started(session) => self.started(session, effects),
            Event::StartRefused { session, wait } => self.start_refused(session, wait, now, effects),
            Event::Ended { session, outcome, has_text, roll } => {
                self.ended(session, outcome, has_text, roll, now, effects);
            }
            Event::Settled(session) => self.settled(session, now, effects),
            Event::Discarded(session) => self.discarded(session, now, effects),
            Event::Cancel(session) => self.cancel(session, now, effects),
            Event::Hold { session, held, release } => self.with(session, now, |queue| {
                queue.held = held;
                if release {
                    queue.release_all();
                }
            }),
            Event::Dropped { session, entry } => self.forget(session, entry, now),
            Event::Quit => self.quit(effects),
            Event::Tick => self.tick(now),
        }
        self.schedule(now, effects);
    }

    fn remove_session(&mut self, session: SessionId) {
        self.unplace(session);
        if let Some(queue) = self.sessions.remove(&session) {
            debug_assert!(queue.running().is_none(), "a session with a running turn is not removed");
            self.pending_total -= queue.len() + queue.reserved;
        }
    }

    fn enqueued(&mut self, session: SessionId, waiting: Waiting, now: Timestamp, effects: &mut Vec<Effect>) {
        let Some(queue) = self.sessions.get_mut(&session) else { return };
        // What comes from the journal at start-up was not reserved.
        if queue.reserved > 0 {
            queue.reserved -= 1;
            self.pending_total -= 1;
        }
        self.pending_total += 1;
        queue.insert(waiting);
        let intervenes = waiting.priority == Priority::High
            && queue.running().is_some_and(|running| running.waiting.priority == Priority::Low);
        self.replace(session, now);
        if intervenes {
            self.interrupt(session, Cause::Intervention, effects);
        }
    }

    fn started(&mut self, session: SessionId, effects: &mut Vec<Effect>) {
        let Some(queue) = self.sessions.get_mut(&session) else { return };
        let Phase::Starting(running) = std::mem::replace(&mut queue.phase, Phase::Idle) else {
            debug_assert!(false, "a turn started that was not starting");
            return;
        };
        // It was cancelled while its start was being committed: the worker is told as soon as there is one.
        if running.cause.is_some() {
            effects.push(Effect::Interrupt { session, entry: running.waiting.entry });
        }
        queue.phase = Phase::Running(running);
    }

    fn start_refused(&mut self, session: SessionId, wait: Duration, now: Timestamp, effects: &mut Vec<Effect>) {
        let Some(queue) = self.sessions.get_mut(&session) else { return };
        let Phase::Starting(running) = std::mem::replace(&mut queue.phase, Phase::Idle) else { return };
        queue.not_before = Some(now.plus(wait));
        if running.cause == Some(Cause::Person) {
            // Cancelled while its start was being committed.
            queue.phase = Phase::Discarding;
            effects.push(Effect::Discard { session, entry: running.waiting.entry });
        } else {
            // Nobody was asked: it was no attempt.
            queue.insert(Waiting { attempts: running.waiting.attempts - 1, ..running.waiting });
            self.pending_total += 1;
        }
        self.release(&running.provider);
        self.replace(session, now);
    }

    fn ended(
        &mut self,
        session: SessionId,
        outcome: Outcome,
        has_text: bool,
        roll: f64,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        let retry = self.retry;
        let Some(queue) = self.sessions.get_mut(&session) else { return };
        let Phase::Running(mut running) = std::mem::replace(&mut queue.phase, Phase::Idle) else {
            debug_assert!(false, "a turn ended that was not running");
            return;
        };
        let attempts = running.waiting.attempts;
        let mut hold = None;
        let end = match outcome {
            Outcome::Complete => Settlement::Complete,
            Outcome::Stopped => match running.cause {
                Some(Cause::Person) => Settlement::Cancelled,
                // Nothing came of it, and nobody wanted that: it is asked again, and the attempt does not count.
                Some(Cause::Quit | Cause::Intervention) | None if !has_text => {
                    Settlement::Retry { not_before: now, attempt: attempts, error: None }
                }
                Some(Cause::Quit | Cause::Intervention) | None => Settlement::Interrupted(None),
            },
            // The person wanted it to end, and it did.
            Outcome::Failed(_) if running.cause == Some(Cause::Person) => Settlement::Cancelled,
            Outcome::Failed(error) if has_text => Settlement::Interrupted(Some(error)),
            Outcome::Failed(error) => match retry.verdict(attempts, &error, roll) {
                Verdict::GiveUp => Settlement::Dead(error),
                Verdict::Again(wait) => {
                    Settlement::Retry { not_before: now.plus(wait), attempt: attempts + 1, error: Some(error) }
                }
                Verdict::Hold(wait) => {
                    hold = Some(now.plus(wait));
                    Settlement::Retry { not_before: now.plus(wait), attempt: attempts + 1, error: Some(error) }
                }
            },
        };
        if let Settlement::Retry { not_before, error, .. } = &end {
            let attempts = if error.is_some() { attempts } else { attempts.saturating_sub(1) };
            running.again = Some(Waiting { attempts, not_before: Some(*not_before), ..running.waiting });
        }
        let entry = running.waiting.entry;
        queue.phase = Phase::Settling(running);
        queue.held |= hold.is_some();
        effects.push(Effect::Settle { session, entry, end });
        if let Some(until) = hold {
            effects.push(Effect::HoldSession { session, until });
        }
    }

    fn settled(&mut self, session: SessionId, now: Timestamp, effects: &mut Vec<Effect>) {
        let Some(queue) = self.sessions.get_mut(&session) else { return };
        let Phase::Settling(running) = std::mem::replace(&mut queue.phase, Phase::Idle) else {
            debug_assert!(false, "a turn settled that was not settling");
            return;
        };
        match running.again {
            // Cancelled while the retry was being committed.
            Some(again) if running.cause == Some(Cause::Person) => {
                queue.phase = Phase::Discarding;
                effects.push(Effect::Discard { session, entry: again.entry });
            }
            Some(again) => {
                queue.insert(again);
                self.pending_total += 1;
            }
            None => effects.push(Effect::Idle(session)),
        }
        self.release(&running.provider);
        self.replace(session, now);
    }

    fn cancel(&mut self, session: SessionId, now: Timestamp, effects: &mut Vec<Effect>) {
        let Some(queue) = self.sessions.get(&session) else { return };
        if queue.running().is_some() {
            return self.interrupt(session, Cause::Person, effects);
        }
        if let Some(entry) = queue.retrying() {
            self.forget(session, entry, now);
            self.with(session, now, |queue| queue.phase = Phase::Discarding);
            effects.push(Effect::Discard { session, entry });
        }
    }

    fn discarded(&mut self, session: SessionId, now: Timestamp, effects: &mut Vec<Effect>) {
        let Some(queue) = self.sessions.get_mut(&session) else { return };
        debug_assert_eq!(queue.phase, Phase::Discarding, "nothing was being discarded");
        queue.phase = Phase::Idle;
        effects.push(Effect::Idle(session));
        self.replace(session, now);
    }

    fn interrupt(&mut self, session: SessionId, cause: Cause, effects: &mut Vec<Effect>) {
        let Some(queue) = self.sessions.get_mut(&session) else { return };
        let (running, tell) = match &mut queue.phase {
            Phase::Idle | Phase::Discarding => return,
            Phase::Running(running) => (running, true),
            Phase::Starting(running) | Phase::Settling(running) => (running, false),
        };
        let first = running.cause.is_none();
        if first || cause != Cause::Intervention {
            running.cause = Some(cause);
        }
        if first && tell {
            effects.push(Effect::Interrupt { session, entry: running.waiting.entry });
        }
    }

    fn forget(&mut self, session: SessionId, entry: EntryId, now: Timestamp) {
        if let Some(queue) = self.sessions.get_mut(&session)
            && queue.remove(entry).is_some()
        {
            self.pending_total -= 1;
            self.replace(session, now);
        }
    }

    fn quit(&mut self, effects: &mut Vec<Effect>) {
        self.quitting = true;
        let ids: Vec<_> = self.sessions.keys().copied().collect();
        ids.into_iter().for_each(|session| self.interrupt(session, Cause::Quit, effects));
    }

    fn tick(&mut self, now: Timestamp) {
        while let Some(&(at, session)) = self.timers.first()
            && at <= now
        {
            self.replace(session, now);
        }
    }

    /// Changes a session and puts it where it belongs then.
    fn with(&mut self, session: SessionId, now: Timestamp, change: impl FnOnce(&mut SessionQueue)) {
        if let Some(queue) = self.sessions.get_mut(&session) {
            change(queue);
            self.replace(session, now);
        }
    }

    /// Starts what may start: as long as there are slots, the best of the sessions whose provider has one.
    fn schedule(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        while !self.quitting && self.running_total() < self.limits.max_concurrent {
            let free = |provider: &str| {
                let taken = self.taken.get(provider).copied().unwrap_or(0);
                self.limits.per_provider.get(provider).is_none_or(|&limit| taken < limit)
            };
            let best = self.ready.iter().filter(|(name, _)| free(name)).filter_map(|(_, set)| set.first()).min();
            let Some(&(_, _, _, session)) = best else { return };
            self.unplace(session);
            let Some(queue) = self.sessions.get_mut(&session) else { return };
            let Some(next) = queue.next().map(|waiting| waiting.entry) else { return };
            let Some(mut waiting) = queue.remove(next) else { return };
            self.pending_total -= 1;
            waiting.attempts += 1;
            waiting.not_before = None;
            queue.not_before = None;
            let provider = queue.provider.clone();
            *self.taken.entry(provider.clone()).or_default() += 1;
            effects.push(Effect::Start { session, entry: waiting.entry, attempt: waiting.attempts });
            queue.phase = Phase::Starting(Running { waiting, provider, cause: None, again: None });
            self.replace(session, now);
        }
    }

    fn release(&mut self, provider: &str) {
        if let Some(taken) = self.taken.get_mut(provider) {
            *taken = taken.saturating_sub(1);
        }
    }

    fn unplace(&mut self, session: SessionId) {
        match self.places.remove(&session) {
            Some(Place::Ready(provider, rank)) => {
                if let Some(set) = self.ready.get_mut(&provider) {
                    set.remove(&rank);
                }
            }
            Some(Place::Timer(at)) => {
                self.timers.remove(&(at, session));
            }
            None => {}
        }
    }

    /// Puts a session where it belongs: among the ready, among those that wait for their time, or nowhere.
    fn replace(&mut self, session: SessionId, now: Timestamp) {
        self.unplace(session);
        let Some(queue) = self.sessions.get(&session) else { return };
        if queue.held || queue.phase != Phase::Idle {
            return;
        }
        let Some(next) = queue.next() else { return };
        let due = next.not_before.max(queue.not_before).filter(|&at| at > now);
        let place = match due {
            Some(at) => {
                self.timers.insert((at, session));
                Place::Timer(at)
            }
            None => {
                let rank = (self.active != Some(session), next.priority, next.since, session);
                self.ready.entry(queue.provider.clone()).or_default().insert(rank);
                Place::Ready(queue.provider.clone(), rank)
            }
        };
        self.places.insert(session, place);
    }
}
