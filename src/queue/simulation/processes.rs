//! Several queues with one journal, as several processes have: seeded histories of them in which each is behind with what the others
//! did, is killed now and then, and has its work taken over. Never do two run one session; what was accepted ends, or is held.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::rng::Rng;
use crate::domain::{EntryId, FinishReason, Priority, SessionId, Timestamp};
use crate::queue::{Came, Effect, Event, Lease, Limits, Outcome, Queue, RetryPolicy, Settings, Settlement, Waiting};

const SEEDS: u64 = 1_000;
const STEPS: u64 = 300;
const SESSIONS: i64 = 4;

/// What the journal knows of a session.
#[derive(Default)]
struct Row {
    lease: Option<usize>,
    pending: BTreeMap<EntryId, Waiting>,
    running: Option<Waiting>,
    /// Who knows all of it.
    known_to: BTreeSet<usize>,
}

struct Process {
    queue: Queue,
    /// What runs here, by session.
    turns: BTreeMap<SessionId, EntryId>,
}

struct Shared {
    rng: Rng,
    now: Timestamp,
    rows: BTreeMap<SessionId, Row>,
    processes: BTreeMap<usize, Process>,
    born: usize,
    accepted: i64,
    ended: BTreeSet<EntryId>,
    slots: usize,
}

impl Shared {
    fn new(seed: u64) -> Self {
        let mut rng = Rng(seed);
        let slots = 1 + rng.index(3);
        let rows = (1..=SESSIONS).map(|id| (SessionId(id), Row::default())).collect();
        let (processes, ended) = (BTreeMap::new(), BTreeSet::new());
        let now = Timestamp(1_000_000);
        let mut shared = Self { rng, now, rows, processes, born: 0, accepted: 0, ended, slots };
        (0..2 + shared.rng.below(3)).for_each(|_| shared.begin());
        shared
    }

    /// A process starts, and looks at everything.
    fn begin(&mut self) {
        let limits = Limits {
            max_concurrent: self.slots,
            per_provider: BTreeMap::new(),
            max_pending: 1_000,
            max_pending_total: 10_000,
        };
        let queue = Queue::new(Settings::new(limits, RetryPolicy { max_attempts: 3, ..RetryPolicy::default() }));
        let id = self.born;
        self.born += 1;
        self.processes.insert(id, Process { queue, turns: BTreeMap::new() });
        for session in self.rows.keys().copied().collect::<Vec<_>>() {
            self.tell(id, Event::SessionAdded { session, model: "p:m".parse().unwrap(), held: false });
            self.look(id, session);
        }
    }

    fn tell(&mut self, id: usize, event: Event) {
        let mut effects = Vec::new();
        self.processes.get_mut(&id).unwrap().queue.handle(event, self.now, &mut effects);
        effects.into_iter().for_each(|effect| self.carry_out(id, effect));
    }

    fn carry_out(&mut self, id: usize, effect: Effect) {
        match effect {
            Effect::Start { session, entry, .. } => self.start(id, session, entry),
            Effect::Settle { session, entry, end } => self.settle(id, session, entry, &end),
            // The worker of the model ends when its time has come.
            Effect::Interrupt { .. } | Effect::Gate { .. } | Effect::HoldSession { .. } | Effect::Idle(_) => {}
            Effect::Discard { .. } => panic!("nobody cancels here"),
        }
    }

    fn start(&mut self, id: usize, session: SessionId, entry: EntryId) {
        let row = self.rows.get_mut(&session).unwrap();
        let free = row.lease.is_none_or(|holder| holder == id) && row.known_to.contains(&id);
        let Some(waiting) = row.pending.get(&entry).copied().filter(|waiting| free && !waiting.held) else {
            self.tell(id, Event::StartRefused { session, wait: Duration::from_millis(100) });
            return self.look(id, session);
        };
        let first = row.pending.values().filter(|other| !other.held).map(place).min();
        assert_eq!(first, Some(place(&waiting)), "who knows everything starts what comes first");
        assert!(row.running.is_none(), "two processes run one session");
        row.pending.remove(&entry);
        (row.lease, row.running) = (Some(id), Some(Waiting { attempts: waiting.attempts + 1, ..waiting }));
        row.known_to.retain(|known| *known == id);
        self.processes.get_mut(&id).unwrap().turns.insert(session, entry);
        self.tell(id, Event::Started(session));
    }

    fn settle(&mut self, id: usize, session: SessionId, entry: EntryId, end: &Settlement) {
        let row = self.rows.get_mut(&session).unwrap();
        let waiting = row.running.take().unwrap();
        assert_eq!((waiting.entry, row.lease), (entry, Some(id)));
        match end {
            Settlement::Complete
            | Settlement::Cut
            | Settlement::Empty
            | Settlement::Dead(_)
            | Settlement::Interrupted(_)
            | Settlement::Cancelled => {
                assert!(self.ended.insert(entry), "an entry ended twice");
            }
            Settlement::Retry { not_before, continues, .. } => {
                let again = Waiting { not_before: Some(*not_before), continues: *continues, ..waiting };
                row.pending.insert(entry, again);
            }
            Settlement::Requeue { continues, .. } | Settlement::Paused { continues } => {
                let attempts = waiting.attempts - 1;
                row.pending.insert(entry, Waiting { attempts, continues: *continues, not_before: None, ..waiting });
            }
        }
        row.give_back();
        row.known_to.retain(|known| *known == id);
        self.processes.get_mut(&id).unwrap().turns.remove(&session);
        self.tell(id, Event::Settled(session));
    }

    fn look(&mut self, id: usize, session: SessionId) {
        let row = self.rows.get_mut(&session).unwrap();
        row.known_to.insert(id);
        let lease = match row.lease.filter(|holder| *holder != id) {
            Some(_) => Lease::Elsewhere(row.running.as_ref().map(|running| running.entry)),
            None => Lease::Here,
        };
        let waiting = row.pending.values().copied().collect();
        self.tell(id, Event::Reread { session, waiting, lease });
    }

    fn enqueue(&mut self, id: usize, session: SessionId) {
        if self.processes.get_mut(&id).unwrap().queue.reserve(session).is_err() {
            return;
        }
        self.accepted += 1;
        let priority = [Priority::High, Priority::Normal, Priority::Normal, Priority::Low][self.rng.index(4)];
        let waiting = Waiting {
            entry: EntryId(self.accepted),
            priority,
            auto: false,
            continues: false,
            position: self.accepted,
            attempts: 0,
            held: false,
            not_before: None,
            since: self.now,
        };
        let row = self.rows.get_mut(&session).unwrap();
        row.pending.insert(waiting.entry, waiting);
        row.lease.get_or_insert(id);
        row.known_to.retain(|known| *known == id);
        self.tell(id, Event::Enqueued { session, waiting });
    }

    fn end_turn(&mut self, id: usize) {
        let turns: Vec<SessionId> = self.processes[&id].turns.keys().copied().collect();
        if turns.is_empty() {
            return;
        }
        let session = turns[self.rng.index(turns.len())];
        let error = crate::domain::ProviderError::transient(crate::domain::ErrorKind::Overloaded, "busy");
        let (outcome, came) = match self.rng.below(5) {
            0 => (Outcome::Failed(error), Came::Nothing),
            1 => (Outcome::Failed(error), Came::Text),
            2 => (Outcome::Finished(FinishReason::Pause), Came::Text),
            _ => (Outcome::Finished(FinishReason::Stop), Came::Text),
        };
        let news = came != Came::Nothing;
        self.tell(id, Event::Ended { session, outcome, came, news, roll: 0.5 });
    }

    /// It is killed; another takes over what it had, and holds it. A new one is started.
    fn kill(&mut self, id: usize) {
        self.processes.remove(&id);
        for row in self.rows.values_mut().filter(|row| row.lease == Some(id)) {
            row.lease = None;
            row.pending.extend(row.running.take().map(|running| (running.entry, running)));
            row.pending.values_mut().for_each(|waiting| waiting.held = true);
            row.known_to.clear();
        }
        self.begin();
    }

    /// A person lets go on what is held.
    fn resume(&mut self, id: usize, session: SessionId) {
        let row = self.rows.get_mut(&session).unwrap();
        if row.pending.values().all(|waiting| !waiting.held) {
            return;
        }
        row.pending.values_mut().for_each(|waiting| waiting.held = false);
        row.lease.get_or_insert(id);
        row.known_to.clear();
        self.look(id, session);
    }

    fn any(&mut self) -> (usize, SessionId) {
        let ids: Vec<usize> = self.processes.keys().copied().collect();
        let session = SessionId(1 + self.rng.below(SESSIONS.unsigned_abs()).cast_signed());
        (ids[self.rng.index(ids.len())], session)
    }

    fn step(&mut self) {
        let (id, session) = self.any();
        match self.rng.below(20) {
            0..=5 => self.enqueue(id, session),
            6..=9 => self.look(id, session),
            10..=15 => self.end_turn(id),
            16 | 17 => {
                self.now.0 += 500;
                self.tell(id, Event::Tick);
            }
            18 => self.resume(id, session),
            _ if self.rng.below(4) == 0 => self.kill(id),
            _ => {}
        }
    }

    fn come_to_rest(&mut self) {
        for _ in 0..10_000 {
            if self.rows.values().all(|row| row.pending.is_empty() && row.running.is_none()) {
                break;
            }
            self.now.0 += 1_000;
            for (id, session) in
                self.processes.keys().flat_map(|id| (1..=SESSIONS).map(|s| (*id, SessionId(s)))).collect::<Vec<_>>()
            {
                self.resume(id, session);
                self.look(id, session);
                self.tell(id, Event::Tick);
                self.end_turn(id);
            }
        }
        assert_eq!(self.ended.len() as i64, self.accepted, "an entry was lost");
        assert!(self.rows.values().all(|row| row.lease.is_none()), "a lease is left");
        for (id, process) in &self.processes {
            assert_eq!(process.queue.running_total(), 0, "process {id} holds a slot");
        }
    }
}

impl Row {
    fn give_back(&mut self) {
        if self.running.is_none() && self.pending.values().all(|waiting| waiting.held) {
            self.lease = None;
        }
    }
}

/// The order of service.
fn place(waiting: &Waiting) -> (Priority, bool, i64) {
    (waiting.priority, !waiting.continues, waiting.position)
}

#[test]
fn processes_never_run_one_session_twice_and_lose_nothing() {
    for seed in 0..SEEDS {
        let result = std::panic::catch_unwind(|| {
            let mut shared = Shared::new(seed);
            (0..STEPS).for_each(|_| shared.step());
            shared.come_to_rest();
        });
        assert!(result.is_ok(), "seed {seed} broke a rule");
    }
}
