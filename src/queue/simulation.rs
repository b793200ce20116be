//! Plays seeded random histories against the queue with a model of the world around it (store, workers, clock) and checks
//! the rules after each step; then the faults stop and everything has to end. A failure prints its seed:
//! `CHATMUX_SEED=n cargo test simulation` plays just that one.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Effect, Event, Limits, Outcome, Queue, RetryPolicy, Settlement, Waiting};
use crate::domain::{EntryId, ErrorKind, Priority, ProviderError, SessionId, Timestamp};

const SEEDS: u64 = 3_000;
const STEPS: usize = 300;

/// SplitMix64 (Steele, Lea, Flood 2014): seeded, and the same everywhere.
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    fn pick<T: Copy>(&mut self, from: impl IntoIterator<Item = T>) -> Option<T> {
        let all: Vec<T> = from.into_iter().collect();
        (!all.is_empty()).then(|| all[self.below(all.len() as u64) as usize])
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Starting,
    Running,
    Settling,
    Discarding,
}

/// What became of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Waits,
    Runs,
    Ended,
}

struct World {
    rng: Rng,
    now: Timestamp,
    queue: Queue,
    limits: Limits,
    sessions: BTreeMap<SessionId, &'static str>,
    turns: BTreeMap<SessionId, (EntryId, Stage, &'static str)>,
    told_to_end: BTreeSet<SessionId>,
    fates: BTreeMap<EntryId, (SessionId, Priority, Fate)>,
    /// Attempts that were really made.
    attempts: BTreeMap<EntryId, u32>,
    /// Entries that are held one by one.
    held_entries: BTreeSet<EntryId>,
    /// Whether the attempt that ends now brought text.
    has_text: bool,
    held: BTreeSet<SessionId>,
    next_entry: i64,
    faults: bool,
}

const PROVIDERS: [&str; 3] = ["a", "b", "c"];

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = Rng(seed);
        let limits = Limits {
            max_concurrent: 1 + rng.below(5) as usize,
            per_provider: BTreeMap::from([("a".to_owned(), 1), ("b".to_owned(), 2)]),
            max_pending: 2 + rng.below(10) as usize,
            max_pending_total: 5 + rng.below(30) as usize,
        };
        let retry = RetryPolicy { max_attempts: 3, ..RetryPolicy::default() };
        let mut world = Self {
            queue: Queue::new(limits.clone(), retry),
            rng,
            now: Timestamp(1_000),
            limits,
            sessions: BTreeMap::new(),
            turns: BTreeMap::new(),
            told_to_end: BTreeSet::new(),
            fates: BTreeMap::new(),
            attempts: BTreeMap::new(),
            held_entries: BTreeSet::new(),
            has_text: false,
            held: BTreeSet::new(),
            next_entry: 0,
            faults: true,
        };
        for id in 1..=1 + world.rng.below(6) as i64 {
            let provider = PROVIDERS[world.rng.below(3) as usize];
            world.sessions.insert(SessionId(id), provider);
            world.tell(Event::SessionAdded { session: SessionId(id), provider: provider.to_owned(), held: false });
        }
        world
    }

    fn tell(&mut self, event: Event) {
        let mut effects = Vec::new();
        self.queue.handle(event, self.now, &mut effects);
        effects.into_iter().for_each(|effect| self.check_effect(effect));
        self.check_slots();
    }

    fn check_effect(&mut self, effect: Effect) {
        match effect {
            Effect::Start { session, entry, attempt } => self.check_start(session, entry, attempt),
            Effect::Interrupt { session, entry } => {
                assert_eq!(self.turns.get(&session).map(|t| (t.0, t.1)), Some((entry, Stage::Running)));
                assert!(self.told_to_end.insert(session), "told twice to end");
            }
            Effect::Settle { session, entry, end } => {
                let turn = self.turns.get_mut(&session).expect("only what ran is settled");
                assert_eq!((turn.0, turn.1), (entry, Stage::Running));
                turn.1 = Stage::Settling;
                self.told_to_end.remove(&session);
                if let Settlement::Retry { error: None, .. } = end {
                    *self.attempts.get_mut(&entry).expect("known") -= 1;
                }
                let lost = matches!(end, Settlement::Interrupted(_)) && !self.has_text;
                assert!(!lost, "an entry ended without an answer, and nobody wanted that");
                let fate = self.fates.get_mut(&entry).expect("known");
                fate.2 = if matches!(end, Settlement::Retry { .. }) { Fate::Waits } else { Fate::Ended };
            }
            Effect::Discard { session, entry } => {
                assert!(!self.held_entries.contains(&entry), "what is held is nobody's turn");
                let provider = self.sessions[&session];
                let before = self.turns.insert(session, (entry, Stage::Discarding, provider));
                assert_eq!(before, None, "discarded beside a turn");
                let fate = self.fates.get_mut(&entry).expect("known");
                assert_eq!(fate.2, Fate::Waits, "only what waits is discarded");
                fate.2 = Fate::Ended;
            }
            Effect::HoldSession { session, .. } => {
                self.held.insert(session);
            }
            Effect::Idle(session) => assert!(!self.turns.contains_key(&session), "idle with a turn under way"),
        }
    }

    fn check_start(&mut self, session: SessionId, entry: EntryId, attempt: u32) {
        assert!(!self.held.contains(&session), "a held session started an entry");
        let provider = self.sessions[&session];
        let before = self.turns.insert(session, (entry, Stage::Starting, provider));
        assert_eq!(before, None, "two turns at once in one session");
        let (_, priority, fate) = self.fates[&entry];
        assert_eq!(fate, Fate::Waits, "started twice, or after its end");
        assert!(!self.held_entries.contains(&entry), "a held entry was started");
        let made = self.attempts.entry(entry).or_default();
        *made += 1;
        assert_eq!(attempt, *made, "attempts are counted as they are made");
        let first = self
            .fates
            .iter()
            .filter(|(id, (s, _, f))| *s == session && *f == Fate::Waits && !self.held_entries.contains(id))
            .map(|(&id, &(_, p, _))| (p, id))
            .min();
        assert_eq!(first, Some((priority, entry)), "out of order");
        self.fates.insert(entry, (session, priority, Fate::Runs));
    }

    fn check_slots(&self) {
        let slots = |turn: &&(EntryId, Stage, &str)| turn.1 != Stage::Discarding;
        let taken = self.turns.values().filter(slots).count();
        assert!(taken <= self.limits.max_concurrent, "more turns than slots");
        assert_eq!(self.queue.running_total(), taken);
        for (provider, &limit) in &self.limits.per_provider {
            let taken = self.turns.values().filter(slots).filter(|turn| turn.2 == provider).count();
            assert!(taken <= limit, "{taken} turns at {provider}, {limit} slots");
        }
    }

    fn submit(&mut self) {
        let Some(session) = self.rng.pick(self.sessions.keys().copied()) else { return };
        let waiting_before = self.fates.values().filter(|f| f.2 == Fate::Waits).count();
        if self.queue.reserve(session).is_err() {
            let here = self.fates.values().filter(|f| f.0 == session && f.2 == Fate::Waits).count();
            let settling = self.turns.values().filter(|t| t.1 != Stage::Running).count();
            let full = here + settling >= self.limits.max_pending;
            assert!(full || waiting_before + settling >= self.limits.max_pending_total, "refused with room left");
            return;
        }
        if self.faults && self.rng.chance(5) {
            return self.queue.unreserve(session);
        }
        self.next_entry += 1;
        let entry = EntryId(self.next_entry);
        let priority = Priority::ALL[self.rng.below(3) as usize];
        self.fates.insert(entry, (session, priority, Fate::Waits));
        // As from the journal of an earlier process.
        let held = self.faults && self.rng.chance(5);
        if held {
            self.held_entries.insert(entry);
        }
        let waiting = Waiting { entry, priority, attempts: 0, held, not_before: None, since: self.now };
        self.tell(Event::Enqueued { session, waiting });
    }

    /// The store or a worker answers.
    fn answer(&mut self) {
        let Some((session, (_, stage, _))) = self.rng.pick(self.turns.iter().map(|(&s, &t)| (s, t))) else { return };
        match stage {
            Stage::Starting if self.faults && self.rng.chance(10) => {
                let (entry, _, _) = self.turns.remove(&session).expect("there");
                self.fates.get_mut(&entry).expect("known").2 = Fate::Waits;
                *self.attempts.get_mut(&entry).expect("known") -= 1;
                self.tell(Event::StartRefused { session, wait: Duration::from_millis(100) });
            }
            Stage::Starting => {
                self.turns.get_mut(&session).expect("there").1 = Stage::Running;
                self.tell(Event::Started(session));
            }
            Stage::Running => {
                let outcome = self.outcome(session);
                let (has_text, roll) = (self.rng.chance(50), self.rng.below(1_000) as f64 / 1_000.0);
                self.has_text = has_text;
                self.tell(Event::Ended { session, outcome, has_text, roll });
            }
            Stage::Settling => {
                self.turns.remove(&session);
                self.tell(Event::Settled(session));
            }
            Stage::Discarding => {
                self.turns.remove(&session);
                self.tell(Event::Discarded(session));
            }
        }
    }

    fn outcome(&mut self, session: SessionId) -> Outcome {
        if self.told_to_end.contains(&session) && self.rng.chance(80) {
            return Outcome::Stopped;
        }
        if !self.faults || self.rng.chance(50) {
            return Outcome::Complete;
        }
        let retry_after = self.rng.chance(20).then(|| Duration::from_secs(self.rng.below(200)));
        let error = match self.rng.below(3) {
            0 => ProviderError::fatal(ErrorKind::Auth, "no"),
            _ => ProviderError { retry_after, ..ProviderError::transient(ErrorKind::Overloaded, "busy") },
        };
        Outcome::Failed(error)
    }

    /// Going on also lets those go on that are held one by one.
    fn release(&mut self, session: SessionId) {
        let fates = &self.fates;
        self.held_entries.retain(|entry| fates[entry].0 != session);
    }

    fn step(&mut self) {
        let session = self.rng.pick(self.sessions.keys().copied()).expect("at least one");
        match self.rng.below(100) {
            0..=29 => self.submit(),
            30..=74 => self.answer(),
            75..=79 => self.tell(Event::Activated(session)),
            80..=83 => self.tell(Event::Cancel(session)),
            84..=86 => {
                let held = self.rng.chance(40);
                if held {
                    self.held.insert(session);
                } else {
                    self.held.remove(&session);
                    self.release(session);
                }
                self.tell(Event::Hold { session, held, release: !held });
            }
            87..=89 => {
                let waits: Vec<_> = self.queue.waiting(session).iter().map(|w| w.entry).collect();
                if let Some(entry) = self.rng.pick(waits) {
                    self.fates.get_mut(&entry).expect("known").2 = Fate::Ended;
                    self.tell(Event::Dropped { session, entry });
                }
            }
            // The clock may also go back.
            90..=92 => self.now.0 -= self.rng.below(5_000) as i64,
            _ => {
                self.now.0 += self.rng.below(3_000) as i64;
                self.tell(Event::Tick);
            }
        }
    }

    /// The faults stop: everything that was accepted ends.
    fn come_to_rest(&mut self) {
        self.faults = false;
        self.held.clear();
        for session in self.sessions.keys().copied().collect::<Vec<_>>() {
            self.release(session);
            self.tell(Event::Hold { session, held: false, release: true });
        }
        for _ in 0..10_000 {
            if !self.turns.is_empty() {
                self.answer();
            } else if let Some(at) = self.queue.next_wakeup() {
                self.now = self.now.max(at);
                self.tell(Event::Tick);
            } else {
                break;
            }
            // A HoldSession may still come from an attempt that failed before.
            for session in std::mem::take(&mut self.held) {
                self.release(session);
                self.tell(Event::Hold { session, held: false, release: true });
            }
        }
        let left: Vec<_> = self.fates.iter().filter(|(_, f)| f.2 != Fate::Ended).collect();
        assert!(left.is_empty(), "never ended: {left:?}");
        assert!(self.sessions.keys().all(|&session| !self.queue.is_busy(session)));
    }
}

fn play(seed: u64) {
    let mut world = World::new(seed);
    (0..STEPS).for_each(|_| world.step());
    world.come_to_rest();
}

#[test]
fn thousands_of_histories_keep_the_rules() {
    if let Some(seed) = std::env::var("CHATMUX_SEED").ok().and_then(|seed| seed.parse().ok()) {
        return play(seed);
    }
    for seed in 0..SEEDS {
        let result = std::panic::catch_unwind(|| play(seed));
        assert!(result.is_ok(), "seed {seed} broke a rule: CHATMUX_SEED={seed} cargo test simulation");
    }
}
