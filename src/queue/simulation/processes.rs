//! Several queues with one journal, as several processes have: seeded histories of them in which each is behind with what the others
//! did, is killed or ends now and then, and has its work taken over. Never do two run one session; what was accepted ends, or is held.
//! What was sent and not answered is sent again by a person's word alone, or, where `on_start` is "resume", until it is out of attempts;
//! there what a process has set aside goes before all that came later, and needs nobody's word.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::rng::Rng;
use crate::domain::{
    EntryId, ErrorKind, Fate, FinishReason, LetGo, Priority, ProviderError, SessionId, StoredError, Timestamp,
};
use crate::queue::{
    Came, Cause, Effect, Event, Lease, Limits, Outcome, Queue, RetryPolicy, Settings, Settlement, Waiting,
};

const SEEDS: u64 = 1_000;
const STEPS: u64 = 300;
const SESSIONS: i64 = 4;
const MAX_ATTEMPTS: u32 = 3;

/// What the journal knows of an entry.
#[derive(Clone, Copy)]
struct Item {
    waiting: Waiting,
    /// Who has acknowledged it, or has let it go.
    owner: Option<usize>,
    /// Held because its process ended.
    set_aside: bool,
    /// It was sent, and its process ended before any text of the answer.
    unanswered: bool,
    /// Its last attempt failed so.
    failure: Option<ErrorKind>,
    /// Who has sent it, where the server may have answered that and nobody has let it go since.
    sent_by: Option<usize>,
    /// Attempts that a person allowed, by letting it go after that.
    granted: u32,
}

/// What the journal knows of a session.
#[derive(Default)]
struct Row {
    lease: Option<usize>,
    pending: BTreeMap<EntryId, Item>,
    running: Option<Item>,
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
    max_pending: usize,
    /// What goes on by itself of what a process left.
    let_go: LetGo,
}

impl Shared {
    fn new(seed: u64) -> Self {
        let mut rng = Rng(seed);
        let slots = 1 + rng.index(3);
        let max_pending = if rng.chance(50) { 4 } else { 1_000 };
        let let_go = [LetGo::All { max_attempts: MAX_ATTEMPTS }, LetGo::NeverSent, LetGo::Nothing][rng.index(3)];
        let rows = (1..=SESSIONS).map(|id| (SessionId(id), Row::default())).collect();
        let (processes, ended) = (BTreeMap::new(), BTreeSet::new());
        let now = Timestamp(1_000_000);
        let mut shared = Self { rng, now, rows, processes, born: 0, accepted: 0, ended, slots, max_pending, let_go };
        (0..2 + shared.rng.below(3)).for_each(|_| shared.begin());
        shared
    }

    /// A process starts: it lets go what the others left that have ended, and looks at everything.
    fn begin(&mut self) {
        let limits = Limits {
            max_concurrent: self.slots,
            per_provider: BTreeMap::new(),
            max_pending: self.max_pending,
            max_pending_total: 10_000,
        };
        let queue =
            Queue::new(Settings::new(limits, RetryPolicy { max_attempts: MAX_ATTEMPTS, ..RetryPolicy::default() }));
        let id = self.born;
        self.born += 1;
        self.processes.insert(id, Process { queue, turns: BTreeMap::new() });
        let left = self.rows.iter().filter(|(_, row)| row.lease.is_none()).map(|(session, _)| *session);
        left.collect::<Vec<_>>().into_iter().for_each(|session| self.release(id, session));
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
            // Its worker ends when its time has come.
            Effect::Interrupt { .. } | Effect::Gate { .. } | Effect::HoldSession { .. } | Effect::Idle(_) => {}
            Effect::Discard { .. } => panic!("nobody cancels here"),
        }
    }

    fn start(&mut self, id: usize, session: SessionId, entry: EntryId) {
        let row = &self.rows[&session];
        let free = row.lease.is_none_or(|holder| holder == id) && row.known_to.contains(&id);
        let (takes_along, row) = (self.sends_again(), self.rows.get_mut(&session).unwrap());
        let comes_first = takes_along && row.pending.values().any(|item| item.set_aside);
        let found = row.pending.get(&entry).copied();
        let Some(item) = found.filter(|item| free && !item.waiting.held && !comes_first) else {
            self.tell(id, Event::StartRefused { session, wait: Duration::from_millis(100) });
            if free && comes_first {
                self.release(id, session);
            }
            return self.look(id, session);
        };
        // Where nothing waits for a person's word, what was set aside is none the later for that.
        let counts = |other: &&Item| !other.waiting.held || takes_along;
        let first = row.pending.values().filter(counts).map(|other| place(&other.waiting)).min();
        assert_eq!(first, Some(place(&item.waiting)), "who knows everything starts what comes first");
        assert!(row.running.is_none(), "two processes run one session");
        assert!(!item.unanswered, "sent again what was sent before, and nobody wished it");
        let sent_elsewhere = item.sent_by.is_some_and(|by| by != id);
        assert!(takes_along || !sent_elsewhere, "sent again what another process had sent, and nobody wished it");
        let attempts = item.waiting.attempts + 1;
        assert!(attempts <= MAX_ATTEMPTS + item.granted, "more attempts than allowed");
        row.pending.remove(&entry);
        let waiting = Waiting { attempts, not_before: None, continues: false, ..item.waiting };
        (row.lease, row.running) = (Some(id), Some(Item { waiting, failure: None, sent_by: Some(id), ..item }));
        row.known_to.retain(|known| *known == id);
        self.processes.get_mut(&id).unwrap().turns.insert(session, entry);
        self.tell(id, Event::Started(session));
    }

    fn settle(&mut self, id: usize, session: SessionId, entry: EntryId, end: &Settlement) {
        let row = self.rows.get_mut(&session).unwrap();
        let item = row.running.take().unwrap();
        let waiting = item.waiting;
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
            Settlement::Retry { not_before, continues, error, .. } => {
                let again = Waiting { not_before: Some(*not_before), continues: *continues, ..waiting };
                // What has text is not sent again: the next attempt asks for the rest.
                let sent_by = item.sent_by.filter(|_| error.kind == ErrorKind::Stalled && !continues);
                row.pending.insert(entry, Item { waiting: again, failure: Some(error.kind), sent_by, ..item });
            }
            Settlement::Requeue { continues: false, cause: Cause::Quit } => {
                let waiting = Waiting { held: true, ..waiting };
                row.pending.insert(entry, Item { waiting, owner: None, set_aside: true, unanswered: true, ..item });
            }
            Settlement::Requeue { continues, .. } | Settlement::Paused { continues } => {
                let attempts = waiting.attempts - 1;
                let waiting = Waiting { attempts, continues: *continues, not_before: None, ..waiting };
                row.pending.insert(entry, Item { waiting, sent_by: None, ..item });
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
            Some(_) => Lease::Elsewhere(row.running.as_ref().map(|running| running.waiting.entry)),
            None => Lease::Here,
        };
        let waiting = row.pending.values().map(|item| item.waiting).collect();
        self.tell(id, Event::Reread { session, waiting, lease });
    }

    fn enqueue(&mut self, id: usize, session: SessionId) {
        if self.processes.get_mut(&id).unwrap().queue.reserve(session).is_err() {
            let elsewhere = self.rows[&session].lease.is_some_and(|holder| holder != id);
            if self.let_go != LetGo::Nothing && !elsewhere {
                self.release(id, session);
                self.look(id, session);
            }
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
        let (failure, sent_by) = (None, None);
        let item = Item { waiting, owner: Some(id), set_aside: false, unanswered: false, failure, sent_by, granted: 0 };
        row.pending.insert(waiting.entry, item);
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
        let kind = if self.rng.chance(50) { ErrorKind::Overloaded } else { ErrorKind::Stalled };
        let error = ProviderError::transient(kind, "busy");
        let (outcome, came) = match self.rng.below(5) {
            0 => (Outcome::Failed(error), Came::Nothing),
            1 => (Outcome::Failed(error), Came::Text),
            2 => (Outcome::Finished(FinishReason::Pause), Came::Text),
            _ => (Outcome::Finished(FinishReason::Stop), Came::Text),
        };
        let news = came != Came::Nothing;
        self.tell(id, Event::Ended { session, outcome, came, news, roll: 0.5 });
    }

    /// It is killed; another takes over what it had. Perhaps between a request and the first text of its answer.
    fn kill(&mut self, id: usize) {
        self.processes.remove(&id);
        let left = self.leave(id);
        let ids: Vec<usize> = self.processes.keys().copied().collect();
        let heir = ids.get(self.rng.index(ids.len().max(1)));
        if let Some(&heir) = heir.filter(|_| self.let_go != LetGo::Nothing) {
            for session in left {
                if self.rows[&session].lease.is_none() {
                    self.release(heir, session);
                    self.look(heir, session);
                }
            }
        }
        self.begin_if_few();
    }

    /// It ends in good order: its turns end, and what waits in its sessions is set aside, whoever else has work there.
    fn quit(&mut self, id: usize) {
        self.tell(id, Event::Quit);
        for session in self.processes[&id].turns.keys().copied().collect::<Vec<_>>() {
            let came = if self.rng.chance(50) { Came::Nothing } else { Came::Text };
            let news = came != Came::Nothing;
            self.tell(id, Event::Ended { session, outcome: Outcome::Stopped, came, news, roll: 0.5 });
        }
        self.processes.remove(&id);
        self.leave(id);
        self.begin_if_few();
    }

    fn begin_if_few(&mut self) {
        if self.processes.len() < 2 || self.rng.chance(30) {
            self.begin();
        }
    }

    /// What it had is without a lease, or goes to who has something to run there. Gives its sessions.
    fn leave(&mut self, id: usize) -> Vec<SessionId> {
        let alive: BTreeSet<usize> = self.processes.keys().copied().collect();
        let lives = |item: &Item| item.owner.is_some_and(|owner| alive.contains(&owner));
        let mut left = Vec::new();
        for (session, row) in self.rows.iter_mut().filter(|(_, row)| row.lease == Some(id)) {
            left.push(*session);
            if let Some(running) = row.running.take() {
                let item = Item { owner: None, unanswered: true, ..running };
                row.pending.insert(item.waiting.entry, item);
            }
            for item in row.pending.values_mut().filter(|item| item.is_left_unanswered()) {
                (item.owner, item.unanswered, item.failure) = (None, true, None);
            }
            for item in row.pending.values_mut().filter(|item| !item.waiting.held && !lives(item)) {
                (item.waiting.held, item.set_aside) = (true, true);
            }
            let open = row.pending.values().filter(|item| !item.waiting.held);
            row.lease = open.filter_map(|item| item.owner).min();
            row.known_to.clear();
        }
        left
    }

    /// What was set aside in a session goes on, as far as that is wished, and is this process's then.
    fn release(&mut self, id: usize, session: SessionId) {
        let (let_go, row) = (self.let_go, self.rows.get_mut(&session).unwrap());
        for (entry, mut item) in row.pending.clone().into_iter().filter(|(_, item)| item.set_aside) {
            match let_go.fate(item.unanswered, item.waiting.attempts) {
                Fate::StaysHeld => continue,
                Fate::Dead => {
                    assert!(item.waiting.attempts >= MAX_ATTEMPTS, "given up too early");
                    assert!(self.ended.insert(entry), "an entry ended twice");
                    row.pending.remove(&entry);
                    continue;
                }
                Fate::SentAgain => {
                    assert!(matches!(let_go, LetGo::All { .. }), "sent again unasked");
                    item.unanswered = false;
                }
                Fate::Waits => {}
            }
            (item.waiting.held, item.set_aside, item.owner) = (false, false, Some(id));
            row.pending.insert(entry, item);
        }
        row.known_to.clear();
        if row.pending.values().any(|item| !item.waiting.held) {
            row.lease.get_or_insert(id);
        }
    }

    /// A person lets go what is held.
    fn resume(&mut self, id: usize, session: SessionId) {
        let row = self.rows.get_mut(&session).unwrap();
        if row.pending.values().all(|item| !item.waiting.held) {
            return;
        }
        for item in row.pending.values_mut().filter(|item| item.waiting.held) {
            item.granted += u32::from(item.unanswered);
            (item.waiting.held, item.set_aside, item.unanswered, item.owner) = (false, false, false, Some(id));
            item.sent_by = None;
        }
        row.lease.get_or_insert(id);
        row.known_to.clear();
        self.look(id, session);
    }

    /// What a process left goes on without a person's word, also what was sent before.
    fn sends_again(&self) -> bool {
        matches!(self.let_go, LetGo::All { .. })
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
            18 if !self.sends_again() => self.resume(id, session),
            _ if self.rng.below(4) == 0 => self.kill(id),
            _ if self.rng.below(4) == 0 => self.quit(id),
            _ => {}
        }
    }

    /// Nothing fails any more. Where nothing waits for a person's word, the next start suffices for all to end.
    fn come_to_rest(&mut self) {
        self.begin();
        for _ in 0..1_000 {
            if self.rows.values().all(|row| row.pending.is_empty() && row.running.is_none()) {
                break;
            }
            self.now.0 += 1_000;
            for (id, session) in
                self.processes.keys().flat_map(|id| (1..=SESSIONS).map(|s| (*id, SessionId(s)))).collect::<Vec<_>>()
            {
                if !self.sends_again() {
                    self.resume(id, session);
                }
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

impl Item {
    /// It waits for another attempt, and the server may have answered the last one.
    fn is_left_unanswered(&self) -> bool {
        let failed = |kind| StoredError::from(&ProviderError::transient(kind, "")).left_unanswered().is_some();
        (!self.waiting.held || self.set_aside) && !self.waiting.continues && self.failure.is_some_and(failed)
    }
}

impl Row {
    fn give_back(&mut self) {
        if self.running.is_none() && self.pending.values().all(|item| item.waiting.held) {
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
