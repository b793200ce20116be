//! The world as the simulation keeps it: what the journal would hold, what the workers do, how the providers feel, what time it
//! is. It says nothing of right and wrong: that is `rules.rs`.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::{Came, Cause, Event, Limits, Outcome, Queue, RetryPolicy, Settings, Settlement, Waiting};
use super::rng::Rng;
use super::rules::Expected;
use crate::domain::{EntryId, ModelName, Priority, SessionId, Timestamp};

/// Models, by number in the world and by name in the machine: two of each provider. The last provider has no limit of its own.
pub(super) const MODELS: [&str; 6] = ["a:x", "a:y", "b:x", "b:y", "c:x", "c:y"];
/// No wait that a policy of the simulation begins is longer than this by much; a server may ask for more.
pub(super) const MAX_RETRY_AFTER: Duration = Duration::from_secs(60);

/// An acknowledged entry, as the journal has it, and what the rules need to know beside.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item {
    pub(super) waiting: Waiting,
    /// When it arrived and when it is due, on the queue's own clock.
    pub(super) arrival: i64,
    pub(super) due: Option<i64>,
    /// How often it gave way to the active session since the queue was built.
    pub(super) preempted: u32,
    /// How often its server paused it since the queue was built.
    pub(super) paused: u32,
    /// Where its last failure found something that could not be decoded, since the queue was built.
    pub(super) undecoded: Option<u64>,
    /// It was sent, and its process ended before any text of the answer; nobody has let it go since.
    pub(super) unanswered: bool,
    /// Its last attempt failed, and the server may have answered it.
    pub(super) may_be_answered: bool,
    /// It is held because its process ended, and not because a person held it.
    pub(super) set_aside: bool,
    /// Attempts that a person allowed, by letting it go after that.
    pub(super) granted: u32,
    /// Which auto-reply loop made it.
    pub(super) of_loop: Option<u32>,
    /// Text that is kept of an earlier attempt.
    pub(super) has_partial: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Starting,
    Running,
    Settling,
    Discarding,
}

/// A turn under way.
#[derive(Debug)]
pub(super) struct Turn {
    pub(super) item: Item,
    pub(super) stage: Stage,
    pub(super) model: usize,
    /// Why it shall end, if it shall.
    pub(super) cause: Option<Cause>,
    /// The worker was told so.
    pub(super) told: bool,
    pub(super) accepted: bool,
    pub(super) came: Came,
    pub(super) news: bool,
    /// How the attempt ended.
    pub(super) outcome: Option<Outcome>,
    /// What is being committed.
    pub(super) end: Option<Settlement>,
}

impl Turn {
    pub(super) fn takes_slot(&self) -> bool {
        self.stage != Stage::Discarding
    }
}

#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: SessionId,
    pub(super) model: usize,
    pub(super) held: bool,
    pub(super) turn: Option<Turn>,
    /// After a refused start, on the queue's own clock.
    pub(super) wait: Option<i64>,
    /// A slot is being freed for its next entry.
    pub(super) promised: bool,
    pub(super) pending: Vec<Item>,
    pub(super) dead: Vec<Item>,
    pub(super) next_position: i64,
    /// The number of its auto-reply loop, and how many turns that has left.
    pub(super) looping: Option<(u32, u32)>,
}

/// The gate of a model as the rules see it: a second, plain account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Brake {
    Open,
    Paused(i64),
    Refusing(i64),
    Slow { accepted: usize, asking: Option<SessionId> },
}

pub(super) const SLOW: Brake = Brake::Slow { accepted: 0, asking: None };

#[derive(Debug)]
pub(super) struct Model {
    pub(super) brake: Brake,
    /// It turns every request away until then, on the queue's own clock.
    pub(super) window: i64,
    /// The journal's row of `gates`.
    pub(super) gate: Option<Timestamp>,
}

pub(super) struct World {
    pub(super) rng: Rng,
    pub(super) now: Timestamp,
    /// The queue's own clock: follows `now` forwards only.
    pub(super) own: i64,
    pub(super) own_wall: Timestamp,
    pub(super) queue: Queue,
    pub(super) settings: Settings,
    pub(super) sessions: Vec<Session>,
    pub(super) models: Vec<Model>,
    pub(super) active: Option<SessionId>,
    pub(super) quitting: bool,
    pub(super) faults: bool,
    pub(super) next_entry: i64,
    pub(super) next_session: i64,
    pub(super) next_loop: u32,
    /// Loops that a person ended: nothing of them starts.
    pub(super) ended_loops: Vec<u32>,
    /// Places asked for in the queue, of which nothing has come yet.
    pub(super) reserved: BTreeMap<SessionId, usize>,
    /// Entries with an end: how each is told from one that was lost.
    pub(super) ended: Vec<EntryId>,
    pub(super) expected: Expected,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut rng = Rng(seed);
        let settings = settings(&mut rng);
        let models = MODELS.map(|_| Model { brake: Brake::Open, window: 0, gate: None }).into();
        let now = Timestamp(1_000_000_000);
        let mut world = Self {
            queue: Queue::new(settings.clone()),
            now,
            own: 0,
            own_wall: now,
            settings,
            sessions: Vec::new(),
            models,
            active: None,
            quitting: false,
            faults: true,
            next_entry: 0,
            next_session: 0,
            next_loop: 0,
            ended_loops: Vec::new(),
            reserved: BTreeMap::new(),
            ended: Vec::new(),
            expected: Expected::default(),
            rng,
        };
        (0..=world.rng.below(6)).for_each(|_| world.add_session());
        world
    }

    pub(super) fn add_session(&mut self) {
        self.next_session += 1;
        let id = SessionId(self.next_session);
        let model = self.rng.index(MODELS.len());
        self.sessions.push(Session {
            id,
            model,
            held: false,
            turn: None,
            wait: None,
            promised: false,
            pending: Vec::new(),
            dead: Vec::new(),
            next_position: 1,
            looping: None,
        });
        self.tell(Event::SessionAdded { session: id, model: name(model), held: false });
    }

    pub(super) fn at(&self, session: SessionId) -> &Session {
        self.sessions.iter().find(|s| s.id == session).expect("the machine knows only the sessions it was told of")
    }

    pub(super) fn at_mut(&mut self, session: SessionId) -> &mut Session {
        self.sessions.iter_mut().find(|s| s.id == session).expect("the machine knows only the sessions it was told of")
    }

    /// Any session.
    pub(super) fn any(&mut self) -> SessionId {
        let nth = self.rng.index(self.sessions.len());
        self.sessions[nth].id
    }

    /// Any entry of `session` that waits.
    pub(super) fn any_waiting(&mut self, session: SessionId) -> Option<EntryId> {
        let count = self.at(session).pending.len();
        (count > 0).then(|| {
            let nth = self.rng.index(count);
            self.at(session).pending[nth].waiting.entry
        })
    }

    pub(super) fn waiting_total(&self) -> usize {
        self.sessions.iter().map(|s| s.pending.len()).sum()
    }

    pub(super) fn turns(&self) -> impl Iterator<Item = (&Session, &Turn)> {
        self.sessions.iter().filter_map(|s| Some((s, s.turn.as_ref()?)))
    }

    /// What the machine's own clock says after an event now.
    pub(super) fn follow_clock(&mut self) {
        self.own += (self.now.0 - self.own_wall.0).max(0);
        self.own_wall = self.now;
        for model in &mut self.models {
            if let Brake::Paused(until) | Brake::Refusing(until) = model.brake
                && until <= self.own
            {
                model.brake = SLOW;
            }
        }
    }

    /// When something is due that the journal has with the wall clock's time.
    pub(super) fn due(&self, at: Option<Timestamp>) -> Option<i64> {
        let longest = self.settings.retry.longest().as_millis() as i64;
        at.map(|at| self.own + (at.0 - self.now.0).clamp(0, longest))
    }

    /// Each of these entries of `session` is let go by a person.
    pub(super) fn grant(&mut self, session: SessionId, which: impl Fn(&Item) -> bool) {
        for item in self.at_mut(session).pending.iter_mut().filter(|item| which(item)) {
            item.granted += u32::from(item.unanswered);
            (item.unanswered, item.set_aside) = (false, false);
        }
    }

    /// Tells the machine that an entry waits.
    pub(super) fn enqueue(&mut self, session: SessionId, mut item: Item) {
        self.follow_clock();
        item.arrival = self.own - (self.now.0 - item.waiting.since.0).max(0);
        item.due = self.due(item.waiting.not_before);
        let waiting = item.waiting;
        self.at_mut(session).pending.push(item);
        self.intervene(session, &waiting);
        self.tell(Event::Enqueued { session, waiting });
    }

    /// Tells the machine what has become of an entry that waits.
    pub(super) fn change(&mut self, session: SessionId, entry: EntryId, change: impl FnOnce(&mut Waiting)) {
        self.follow_clock();
        let place = self.at_mut(session);
        let Some(item) = place.pending.iter_mut().find(|item| item.waiting.entry == entry) else { return };
        change(&mut item.waiting);
        let waiting = item.waiting;
        let due = self.due(waiting.not_before);
        let item = self.at_mut(session).pending.iter_mut().find(|item| item.waiting.entry == entry);
        item.expect("it was there").due = due;
        self.intervene(session, &waiting);
        self.tell(Event::Changed { session, waiting });
    }

    /// A `high` entry that may have its turn does not wait for a `low` one that runs.
    pub(super) fn intervene(&mut self, session: SessionId, waiting: &Waiting) {
        let interruptible = self.settings.auto_interruptible;
        let place = self.at_mut(session);
        if waiting.priority != Priority::High || waiting.held || place.held {
            return;
        }
        let gives_way =
            |turn: &Turn| turn.item.waiting.priority == Priority::Low && (interruptible || !turn.item.waiting.auto);
        if place.turn.as_ref().is_some_and(gives_way) {
            self.end_turn(session, Cause::Intervention);
        }
    }

    /// The turn of `session` shall end: the worker must be told, now or as soon as there is one.
    pub(super) fn end_turn(&mut self, session: SessionId, cause: Cause) {
        let Some(turn) = self.at_mut(session).turn.as_mut().filter(|turn| turn.takes_slot()) else { return };
        let first = turn.cause.is_none();
        // What a person cancelled is cancelled; the end of chatmux overrules only what chatmux wanted by itself.
        if cause == Cause::Person || (cause == Cause::Quit && turn.cause != Some(Cause::Person)) || first {
            turn.cause = Some(cause);
        }
        if first && turn.stage == Stage::Running {
            self.expected.interrupts.push(session);
        }
    }
}

/// Whose model it is.
pub(super) fn provider(model: usize) -> &'static str {
    MODELS[model].split_once(':').expect("it is PROVIDER:MODEL").0
}

/// What the machine calls a model.
pub(super) fn name(model: usize) -> ModelName {
    MODELS[model].parse().expect("it is PROVIDER:MODEL")
}

fn settings(rng: &mut Rng) -> Settings {
    let limits = Limits {
        max_concurrent: 1 + rng.index(5),
        per_provider: BTreeMap::from([("a".to_owned(), 1), ("b".to_owned(), 2)]),
        max_pending: 3 + rng.index(8),
        max_pending_total: 5 + rng.index(30),
    };
    let retry = RetryPolicy {
        max_attempts: 3,
        max_retry_after: MAX_RETRY_AFTER,
        continue_mid_stream: rng.chance(40),
        ..RetryPolicy::default()
    };
    Settings {
        ageing: Duration::from_secs([0, 2, 5, 30][rng.index(4)]),
        preempt: rng.chance(80),
        auto_before_normal: rng.chance(40),
        auto_interruptible: rng.chance(60),
        ..Settings::new(limits, retry)
    }
}
