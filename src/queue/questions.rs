//! What the queue can be asked. None of it changes anything.

use std::time::Duration;

use super::own_clock::Own;
use super::session_queue::{Phase, SessionQueue};
use super::{Queue, Waiting};
use crate::domain::{EntryId, SessionId, Timestamp};

impl Queue {
    /// When [`super::Event::Tick`] is due, on the wall clock as it was at the last event.
    pub fn next_wakeup(&self) -> Option<Timestamp> {
        self.next_due().map(|at| self.clock.wall_at(at))
    }

    /// How long after `now` [`super::Event::Tick`] is due: at once when the wall clock was set back since the last event, so that
    /// nothing waits for it to come round again.
    pub fn until_wakeup(&self, now: Timestamp) -> Option<Duration> {
        self.next_due().map(|at| self.clock.until(at, now))
    }

    fn next_due(&self) -> Option<Own> {
        let timer = self.timers.first().map(|&(at, _)| at);
        let waited_for = self.lanes.values().filter(|lane| !lane.ready.is_empty());
        waited_for.filter_map(|lane| lane.gate.until()).chain(timer).min()
    }

    /// Turns that come before `waiting` in its session, the running one included.
    pub fn ahead(&self, session: SessionId, waiting: &Waiting) -> usize {
        self.sessions.get(&session).map_or(0, |queue| queue.before(waiting) + usize::from(queue.answered().is_some()))
    }

    /// Whether something will happen in `session` without the person.
    pub fn is_busy(&self, session: SessionId) -> bool {
        self.sessions.get(&session).is_some_and(SessionQueue::is_busy)
    }

    /// Whether a turn starts, runs or settles in `session`, here or in another process.
    pub fn running(&self, session: SessionId) -> Option<EntryId> {
        self.sessions.get(&session)?.answered()
    }

    /// Whether another process has the lease of `session`.
    pub fn is_elsewhere(&self, session: SessionId) -> bool {
        self.sessions.get(&session).is_some_and(|queue| matches!(queue.phase, Phase::Elsewhere(_)))
    }

    /// The entry of `session` that waits for its next attempt.
    pub fn retrying(&self, session: SessionId) -> Option<EntryId> {
        self.sessions.get(&session)?.retrying()
    }

    /// The entry of `session` whose turn comes next, unless the session is held.
    pub fn next(&self, session: SessionId) -> Option<Waiting> {
        let queue = self.sessions.get(&session).filter(|queue| !queue.held)?;
        queue.next().map(|next| next.waiting)
    }

    /// Whether the model of `session` is behind a closed gate.
    pub fn is_gated(&self, session: SessionId) -> bool {
        let queue = self.sessions.get(&session);
        queue.and_then(|queue| self.lanes.get(&queue.model)).is_some_and(|lane| lane.gate.until().is_some())
    }

    /// Whether a slot is being freed for the next entry of `session`.
    pub fn is_promised(&self, session: SessionId) -> bool {
        self.sessions.get(&session).is_some_and(|queue| queue.promised)
    }

    /// The entry of that number, if it waits in `session`.
    pub fn find(&self, session: SessionId, entry: EntryId) -> Option<Waiting> {
        self.sessions.get(&session)?.find(entry).copied()
    }

    /// How many entries wait in `session`, what is held one by one included.
    pub fn waiting_count(&self, session: SessionId) -> usize {
        self.sessions.get(&session).map_or(0, SessionQueue::len)
    }

    /// What waits in `session`, in order.
    pub fn waiting(&self, session: SessionId) -> Vec<Waiting> {
        self.sessions.get(&session).map(|queue| queue.waiting().copied().collect()).unwrap_or_default()
    }

    /// Whether the queue of `session` is held.
    pub fn is_held(&self, session: SessionId) -> bool {
        self.sessions.get(&session).is_some_and(|queue| queue.held)
    }

    /// Turns that start, run or settle here, in all.
    pub const fn running_total(&self) -> usize {
        self.taken
    }

    /// Whether auto-replies have their turn before what is normal, and so never beside what else is low.
    pub const fn auto_before_normal(&self) -> bool {
        self.settings.auto_before_normal
    }

    /// Attempts in all before an entry is dead.
    pub const fn max_attempts(&self) -> u32 {
        self.settings.retry.max_attempts
    }
}
