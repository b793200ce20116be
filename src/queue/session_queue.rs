//! One session's queue: what waits, in order, and what its turn is doing.

use std::collections::{BTreeMap, BTreeSet};

use super::own_clock::Own;
use super::{Cause, Waiting};
use crate::domain::{EntryId, Priority};

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
    pub(super) pending: Pending,
    /// Whose slot it holds; the session's model may change meanwhile.
    pub(super) provider: String,
    /// It shall end early, and why. The first cause stays, but the end of chatmux overrules it, and a person overrules all.
    pub(super) cause: Option<Cause>,
    /// It was told to end, or has ended: its slot will be free without more ado.
    pub(super) ending: bool,
    /// Where the turn goes once its end is committed: back to pending like this.
    pub(super) again: Option<Pending>,
}

/// An entry that waits, and what only the machine knows of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Pending {
    pub(super) waiting: Waiting,
    /// When it arrived, on the queue's own clock.
    pub(super) arrival: Own,
    /// Its `not_before` on the queue's own clock.
    pub(super) due: Option<Own>,
    /// How often it had to give way.
    pub(super) preempted: u32,
}

/// An entry's place: class, what goes on before what begins, position; the number settles ties.
type Place = (u8, bool, i64, EntryId);

/// One session's queue.
#[derive(Debug)]
pub(super) struct SessionQueue {
    pub(super) provider: String,
    pub(super) held: bool,
    pub(super) phase: Phase,
    /// Set after a refused start: nothing of this session starts earlier.
    pub(super) not_before: Option<Own>,
    /// A slot is being freed for its next entry.
    pub(super) promised: bool,
    /// What may have its turn, in order.
    pending: BTreeMap<Place, Pending>,
    /// What is held one by one: apart, so that the next entry is found at once however many are.
    set_aside: BTreeMap<Place, Pending>,
    /// Where each entry stands.
    places: BTreeMap<EntryId, Place>,
    /// Accepted, but not yet committed.
    pub(super) reserved: usize,
    /// Auto-replies stand before what is `normal`.
    auto_before_normal: bool,
}

impl SessionQueue {
    pub(super) fn new(provider: String, held: bool, auto_before_normal: bool) -> Self {
        Self {
            provider,
            held,
            phase: Phase::Idle,
            not_before: None,
            promised: false,
            pending: BTreeMap::new(),
            set_aside: BTreeMap::new(),
            places: BTreeMap::new(),
            reserved: 0,
            auto_before_normal,
        }
    }

    fn place(&self, waiting: &Waiting) -> Place {
        let class = match waiting.priority {
            Priority::High => 0,
            Priority::Low if waiting.auto && self.auto_before_normal => 1,
            Priority::Normal => 2,
            Priority::Low => 3,
        };
        (class, !waiting.continues, waiting.position, waiting.entry)
    }

    pub(super) fn insert(&mut self, pending: Pending) {
        let place = self.place(&pending.waiting);
        self.places.insert(pending.waiting.entry, place);
        let among = if pending.waiting.held { &mut self.set_aside } else { &mut self.pending };
        among.insert(place, pending);
    }

    pub(super) fn remove(&mut self, entry: EntryId) -> Option<Pending> {
        let place = self.places.remove(&entry)?;
        self.pending.remove(&place).or_else(|| self.set_aside.remove(&place))
    }

    /// What waits, in order.
    pub(super) fn waiting(&self) -> impl Iterator<Item = &Waiting> {
        let all = self.places.values().collect::<BTreeSet<_>>().into_iter();
        let found = |place| self.pending.get(place).or_else(|| self.set_aside.get(place));
        all.filter_map(found).map(|pending| &pending.waiting)
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// Waiting entries whose turn comes before that of `waiting`: one that is held has none.
    pub(super) fn before(&self, waiting: &Waiting) -> usize {
        self.pending.range(..self.place(waiting)).count()
    }

    /// What is held one by one goes on.
    pub(super) fn release_all(&mut self) {
        let released = std::mem::take(&mut self.set_aside);
        for (place, mut pending) in released {
            pending.waiting.held = false;
            self.pending.insert(place, pending);
        }
    }

    /// The entry whose turn comes next, whether or not its time has come. One that waits for its next attempt keeps its place:
    /// what was typed behind it is not sent before it.
    pub(super) fn next(&self) -> Option<&Pending> {
        self.pending.first_key_value().map(|(_, pending)| pending)
    }

    /// The next entry need not wait for its time.
    pub(super) fn hurry(&mut self) {
        self.not_before = None;
        if let Some(mut next) = self.pending.first_entry() {
            next.get_mut().waiting.not_before = None;
            next.get_mut().due = None;
        }
    }

    /// The entry that waits for its next attempt, if there is one: to the person its turn is under way.
    pub(super) fn retrying(&self) -> Option<EntryId> {
        let next = self.next().map(|next| next.waiting);
        let next = next.filter(|waiting| waiting.attempts > 0 && waiting.not_before.is_some());
        next.filter(|_| !self.held && self.phase == Phase::Idle).map(|waiting| waiting.entry)
    }

    /// Whether something will happen here without the person: a turn runs, or an entry waits that is not held.
    pub(super) fn is_busy(&self) -> bool {
        self.phase != Phase::Idle || self.reserved > 0 || (!self.held && self.next().is_some())
    }

    pub(super) const fn running(&self) -> Option<&Running> {
        match &self.phase {
            Phase::Idle | Phase::Discarding => None,
            Phase::Starting(running) | Phase::Running(running) | Phase::Settling(running) => Some(running),
        }
    }

    pub(super) const fn running_mut(&mut self) -> Option<&mut Running> {
        match &mut self.phase {
            Phase::Idle | Phase::Discarding => None,
            Phase::Starting(running) | Phase::Running(running) | Phase::Settling(running) => Some(running),
        }
    }
}
