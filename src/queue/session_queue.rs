//! One session's queue: what waits, in order, and what its turn is doing.

use std::collections::BTreeMap;

use super::{Cause, Waiting};
use crate::domain::{EntryId, Priority, Timestamp};

/// What a session's turn is doing. Exactly one turn at a time, because there is exactly one phase.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Phase {
    /// Nothing runs: the next entry may start.
    Idle,
    /// The start is being committed.
    Starting(Running),
    /// The worker runs.
    Running(Running),
    /// The end is being committed.
    Settling(Running),
    /// The cancellation of an entry that waited for another attempt is being committed.
    Discarding,
}

/// The entry whose turn it is.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Running {
    pub(super) waiting: Waiting,
    /// Whose slot it holds; the session's model may change meanwhile.
    pub(super) provider: String,
    /// It shall end early, and why. The first cause stays, but the end of chatmux and a person overrule an intervention.
    pub(super) cause: Option<Cause>,
    /// Where the turn goes once its end is committed: back to pending like this.
    pub(super) again: Option<Waiting>,
}

/// An entry's place: by priority, then in the order of arrival, which is the order of numbers.
type Place = (Priority, EntryId);

/// One session's queue.
#[derive(Debug)]
pub(super) struct SessionQueue {
    pub(super) provider: String,
    pub(super) held: bool,
    pub(super) phase: Phase,
    /// Set after a refused start: nothing of this session starts earlier.
    pub(super) not_before: Option<Timestamp>,
    pending: BTreeMap<Place, Waiting>,
    /// Accepted, but not yet committed.
    pub(super) reserved: usize,
}

impl SessionQueue {
    pub(super) fn new(provider: String, held: bool) -> Self {
        Self { provider, held, phase: Phase::Idle, not_before: None, pending: BTreeMap::new(), reserved: 0 }
    }

    pub(super) fn insert(&mut self, waiting: Waiting) {
        self.pending.insert((waiting.priority, waiting.entry), waiting);
    }

    pub(super) fn remove(&mut self, entry: EntryId) -> Option<Waiting> {
        Priority::ALL.iter().find_map(|&priority| self.pending.remove(&(priority, entry)))
    }

    pub(super) fn waiting(&self) -> impl Iterator<Item = &Waiting> {
        self.pending.values()
    }

    pub(super) fn len(&self) -> usize {
        self.pending.len()
    }

    /// Waiting entries whose turn comes before that of `entry`: one that is held has none.
    pub(super) fn before(&self, priority: Priority, entry: EntryId) -> usize {
        self.pending.range(..(priority, entry)).filter(|(_, waiting)| !waiting.held).count()
    }

    pub(super) fn release_all(&mut self) {
        self.pending.values_mut().for_each(|waiting| waiting.held = false);
    }

    /// The entry whose turn comes next, whether or not its time has come. One that waits for its next attempt keeps its place:
    /// what was typed behind it is not sent before it.
    pub(super) fn next(&self) -> Option<&Waiting> {
        self.pending.values().find(|waiting| !waiting.held)
    }

    /// The entry that waits for its next attempt, if there is one: to the person its turn is under way.
    pub(super) fn retrying(&self) -> Option<EntryId> {
        let next = self.next().filter(|waiting| waiting.attempts > 0 && waiting.not_before.is_some());
        next.filter(|_| !self.held && self.phase == Phase::Idle).map(|waiting| waiting.entry)
    }

    /// Whether something will happen here without the person: a turn runs, or an entry waits that is not held.
    pub(super) fn is_busy(&self) -> bool {
        self.phase != Phase::Idle || self.reserved > 0 || (!self.held && self.next().is_some())
    }

    pub(super) fn running(&self) -> Option<&Running> {
        match &self.phase {
            Phase::Idle | Phase::Discarding => None,
            Phase::Starting(running) | Phase::Running(running) | Phase::Settling(running) => Some(running),
        }
    }
}
