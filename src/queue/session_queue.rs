//! One session's queue: what waits, in order, and what its turn is doing.

use std::collections::BTreeMap;

use super::own_clock::Own;
use super::{Cause, Waiting};
use crate::domain::{EntryId, ModelName, Priority};

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
    /// Another process has the session's lease. It runs this entry.
    Elsewhere(Option<EntryId>),
}

/// The entry whose turn it is.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Running {
    pub(super) pending: Pending,
    /// Who answers it; the session's model may change meanwhile.
    pub(super) model: ModelName,
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
    /// How often its server paused it.
    pub(super) paused: u32,
    /// Where its last failure found something that could not be decoded.
    pub(super) undecoded: Option<u64>,
}

impl Pending {
    /// One of which nothing more is known.
    pub(super) const fn new(waiting: Waiting, arrival: Own, due: Option<Own>) -> Self {
        Self { waiting, arrival, due, preempted: 0, paused: 0, undecoded: None }
    }
}

/// An entry's place: class, what goes on before what begins, position; the number settles ties.
type Place = (u8, bool, i64, EntryId);

/// How many classes [`SessionQueue::place`] knows.
const CLASSES: usize = 4;

/// One session's queue.
#[derive(Debug)]
pub(super) struct SessionQueue {
    pub(super) model: ModelName,
    pub(super) held: bool,
    pub(super) phase: Phase,
    /// Set after a refused start: nothing of this session starts earlier.
    pub(super) not_before: Option<Own>,
    /// A slot is being freed for its next entry.
    pub(super) promised: bool,
    /// What may have its turn, in order.
    pending: BTreeMap<Place, Pending>,
    /// Of these, how many are of each class: so that a newcomer learns its place without counting those before it.
    of_class: [usize; CLASSES],
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
    pub(super) fn new(model: ModelName, held: bool, auto_before_normal: bool) -> Self {
        Self {
            model,
            held,
            phase: Phase::Idle,
            not_before: None,
            promised: false,
            pending: BTreeMap::new(),
            of_class: [0; CLASSES],
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
        if pending.waiting.held {
            self.set_aside.insert(place, pending);
        } else {
            self.open(place, pending);
        }
    }

    fn open(&mut self, place: Place, pending: Pending) {
        if self.pending.insert(place, pending).is_none() {
            self.of_class[usize::from(place.0)] += 1;
        }
    }

    pub(super) fn remove(&mut self, entry: EntryId) -> Option<Pending> {
        let place = self.places.remove(&entry)?;
        if let Some(pending) = self.pending.remove(&place) {
            self.of_class[usize::from(place.0)] -= 1;
            return Some(pending);
        }
        self.set_aside.remove(&place)
    }

    /// The entry of that number, if it waits.
    pub(super) fn find(&self, entry: EntryId) -> Option<&Waiting> {
        let place = self.places.get(&entry)?;
        self.pending.get(place).or_else(|| self.set_aside.get(place)).map(|pending| &pending.waiting)
    }

    /// What waits, in order.
    pub(super) fn waiting(&self) -> impl Iterator<Item = &Waiting> {
        let (mut open, mut held) = (self.pending.iter().peekable(), self.set_aside.iter().peekable());
        let next = move || match (open.peek(), held.peek()) {
            (Some((before, _)), Some((place, _))) if before > place => held.next(),
            (Some(_), _) => open.next(),
            (None, _) => held.next(),
        };
        std::iter::from_fn(next).map(|(_, pending)| &pending.waiting)
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// Waiting entries whose turn comes before that of `waiting`: one that is held has none.
    pub(super) fn before(&self, waiting: &Waiting) -> usize {
        let place = self.place(waiting);
        let class = usize::from(place.0);
        let up_to_class: usize = self.of_class[..=class].iter().sum();
        // Nobody stands behind a newcomer.
        let behind = self.pending.range(place..).take_while(|(other, _)| other.0 == place.0).count();
        up_to_class - behind
    }

    /// What is held one by one goes on.
    pub(super) fn release_all(&mut self) {
        let released = std::mem::take(&mut self.set_aside);
        for (place, mut pending) in released {
            pending.waiting.held = false;
            self.open(place, pending);
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
        let runs = !matches!(self.phase, Phase::Idle | Phase::Elsewhere(None));
        runs || self.reserved > 0 || (!self.held && self.next().is_some())
    }

    /// The entry whose turn is under way, here or in another process.
    pub(super) fn answered(&self) -> Option<EntryId> {
        match &self.phase {
            Phase::Elsewhere(entry) => *entry,
            Phase::Idle | Phase::Discarding | Phase::Starting(_) | Phase::Running(_) | Phase::Settling(_) => {
                self.running().map(|running| running.pending.waiting.entry)
            }
        }
    }

    /// All that waits, as the store has it. What is known already keeps what only the machine knows of it.
    pub(super) fn reread(&mut self, found: Vec<Pending>) {
        let known: BTreeMap<EntryId, Pending> = self
            .places
            .keys()
            .copied()
            .collect::<Vec<_>>()
            .into_iter()
            .filter_map(|e| Some((e, self.remove(e)?)))
            .collect();
        for new in found {
            let pending = match known.get(&new.waiting.entry) {
                Some(known) => Pending { waiting: new.waiting, due: new.due, ..*known },
                None => new,
            };
            self.insert(pending);
        }
    }

    /// The turn that is under way here.
    pub(super) const fn running(&self) -> Option<&Running> {
        match &self.phase {
            Phase::Idle | Phase::Discarding | Phase::Elsewhere(_) => None,
            Phase::Starting(running) | Phase::Running(running) | Phase::Settling(running) => Some(running),
        }
    }

    pub(super) const fn running_mut(&mut self) -> Option<&mut Running> {
        match &mut self.phase {
            Phase::Idle | Phase::Discarding | Phase::Elsewhere(_) => None,
            Phase::Starting(running) | Phase::Running(running) | Phase::Settling(running) => Some(running),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::Timestamp;

    fn pending(entry: i64, priority: Priority, position: i64, held: bool) -> Pending {
        let waiting = Waiting {
            entry: EntryId(entry),
            priority,
            auto: entry % 3 == 0,
            continues: entry % 5 == 0,
            position,
            attempts: 0,
            held,
            not_before: None,
            since: Timestamp(0),
        };
        Pending::new(waiting, Own(0), None)
    }

    proptest! {
        #[test]
        fn places_are_those_that_counting_gives(
            steps in prop::collection::vec((0..4_u8, 1..20_i64, 0..3_u8, 0..9_i64, any::<bool>()), 1..60),
            auto_before_normal: bool,
        ) {
            let model: ModelName = "p:m".parse().unwrap();
            let mut queue = SessionQueue::new(model, false, auto_before_normal);
            let mut there: BTreeMap<EntryId, Pending> = BTreeMap::new();
            for (step, entry, priority, position, held) in steps {
                let priority = [Priority::High, Priority::Normal, Priority::Low][usize::from(priority)];
                let pending = pending(entry, priority, position, held);
                prop_assert_eq!(queue.remove(EntryId(entry)), there.remove(&EntryId(entry)));
                match step {
                    0 => {}
                    1 if position == 0 => {
                        queue.release_all();
                        there.values_mut().for_each(|pending| pending.waiting.held = false);
                    }
                    _ => {
                        queue.insert(pending);
                        there.insert(EntryId(entry), pending);
                    }
                }
                let place = |pending: &&Pending| queue.place(&pending.waiting);
                let open = || there.values().filter(|pending| !pending.waiting.held);
                let mine = place(&&pending);
                prop_assert_eq!(queue.before(&pending.waiting), open().filter(|other| place(other) < mine).count());
                prop_assert_eq!(queue.next(), open().min_by_key(place));
                let mut all: Vec<&Pending> = there.values().collect();
                all.sort_by_key(place);
                let all: Vec<_> = all.into_iter().map(|pending| &pending.waiting).collect();
                prop_assert_eq!(queue.waiting().collect::<Vec<_>>(), all);
                prop_assert_eq!(queue.find(EntryId(entry)), there.get(&EntryId(entry)).map(|found| &found.waiting));
                prop_assert_eq!(queue.len(), there.len());
            }
        }
    }
}
