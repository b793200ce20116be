//! The queue's life as its caller plays it, with a clock of its own and chance from a seed: what starts runs at once, what is
//! interrupted ends, what ends is committed, and another message comes in its place, so that as many wait afterwards as before.
//!
//! The same seed plays the same history, so each step can be timed in several rounds and the fastest of each be taken: what
//! the machine did meanwhile is not counted, what the queue did is.

use std::collections::{BTreeMap, VecDeque};
use std::hint::black_box;
use std::time::{Duration, Instant};

use chatmux::domain::{EntryId, ErrorKind, FinishReason, ModelName, Priority, ProviderError, SessionId, Timestamp};
use chatmux::queue::{Came, Effect, Event, Limits, Outcome, Queue, RetryPolicy, Settings, Settlement, Waiting};
use fastrand::Rng;

/// The session that the person looks at.
pub(crate) const ACTIVE: SessionId = SessionId(1);
/// What passes between two turns' ends.
const PACE: Duration = Duration::from_millis(1);
/// How long a gate stays closed that is closed from the beginning: as long as any history, and not longer than a policy allows.
const CLOSED: Duration = Duration::from_secs(100);
/// Of so many turns one fails and is tried again, and one is told to wait.
const FAILS: u64 = 16;
const WAITS: u64 = 64;

/// What waits where.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) waiting: usize,
    pub(crate) sessions: usize,
    pub(crate) providers: usize,
    /// Of these, so many take no requests.
    pub(crate) gated: usize,
    /// Turns at once.
    pub(crate) slots: usize,
    /// Of ten that wait, so many are held one by one.
    pub(crate) held_of_ten: usize,
    /// Nobody but the scenario asks in the active session.
    pub(crate) person: bool,
    pub(crate) priority: fn(&mut Rng) -> Priority,
}

/// Of ten one is high, six are normal, three low.
pub(crate) fn mixed(rng: &mut Rng) -> Priority {
    match rng.u8(..10) {
        0 => Priority::High,
        1..=6 => Priority::Normal,
        _ => Priority::Low,
    }
}

enum Work {
    Begin(SessionId),
    Stop(SessionId),
    /// Whether the entry has had its turn.
    Settle(SessionId, bool),
    Discarded(SessionId),
}

/// A queue and what goes on around it.
pub(crate) struct History {
    queue: Queue,
    pub(crate) rng: Rng,
    pub(crate) now: Timestamp,
    shape: Shape,
    entries: i64,
    turns: u64,
    /// Running turns, the oldest first.
    running: VecDeque<SessionId>,
    work: VecDeque<Work>,
    effects: Vec<Effect>,
    wakeup: Option<Timestamp>,
    /// Events that the queue was told.
    pub(crate) events: u64,
    /// Sessions that were held because their gate refuses.
    pub(crate) refused: usize,
    /// Turns that were told to end.
    pub(crate) interrupted: u64,
    /// Nanoseconds of each step, if they are wanted.
    pub(crate) steps: Option<Vec<u32>>,
}

impl History {
    /// All that waits is there, and all slots are taken.
    pub(crate) fn new(shape: Shape) -> Self {
        let limits = Limits {
            max_concurrent: shape.slots,
            per_provider: (0..shape.providers).map(|nth| (provider(nth), shape.slots / 2)).collect::<BTreeMap<_, _>>(),
            max_pending: usize::MAX,
            max_pending_total: usize::MAX,
        };
        let mut history = Self {
            queue: Queue::new(Settings::new(limits, RetryPolicy::default())),
            rng: Rng::with_seed(1),
            now: Timestamp(1_700_000_000_000),
            shape,
            entries: 0,
            turns: 0,
            running: VecDeque::new(),
            work: VecDeque::new(),
            effects: Vec::new(),
            wakeup: None,
            events: 0,
            refused: 0,
            interrupted: 0,
            steps: None,
        };
        for nth in 0..shape.sessions {
            let model = model(nth % shape.providers);
            history.tell(Event::SessionAdded { session: session(nth), model, held: false });
        }
        for nth in 0..shape.gated {
            let (model, until) = (model(nth + 1), history.now.plus(CLOSED));
            history.tell(Event::Gate { model, until });
        }
        history.tell(Event::Activated(ACTIVE));
        for nth in 0..shape.waiting + shape.slots {
            let priority = (shape.priority)(&mut history.rng);
            let held = nth % 10 >= 10 - shape.held_of_ten;
            let waiting = Waiting { held, ..history.arrival(priority) };
            // The person's session is the first.
            let others = usize::from(shape.person);
            history.enqueue(session(others + nth % (shape.sessions - others)), waiting);
            history.work_off();
        }
        (history.events, history.interrupted) = (0, 0);
        history
    }

    /// An entry that arrives now.
    pub(crate) fn arrival(&mut self, priority: Priority) -> Waiting {
        self.entries += 1;
        Waiting {
            entry: EntryId(self.entries),
            priority,
            auto: false,
            continues: false,
            position: self.entries,
            attempts: 0,
            held: false,
            not_before: None,
            since: self.now,
        }
    }

    pub(crate) fn enqueue(&mut self, session: SessionId, waiting: Waiting) {
        self.step(|history| {
            let _ = black_box(history.queue.reserve(session));
            black_box(history.queue.ahead(session, &waiting));
        });
        self.tell(Event::Enqueued { session, waiting });
    }

    /// Tells the queue, and asks when it wants to be woken: as the caller's loop does.
    pub(crate) fn tell(&mut self, event: Event) {
        self.events += 1;
        self.step(|history| {
            history.queue.handle(event, history.now, &mut history.effects);
            history.wakeup = history.queue.next_wakeup();
        });
        for effect in self.effects.drain(..) {
            match effect {
                Effect::Start { session, .. } => self.work.push_back(Work::Begin(session)),
                Effect::Interrupt { session, .. } => {
                    self.interrupted += 1;
                    self.work.push_back(Work::Stop(session));
                }
                Effect::Settle { session, end, .. } => {
                    let again = matches!(end, Settlement::Retry { .. } | Settlement::Requeue { .. });
                    self.work.push_back(Work::Settle(session, !again));
                }
                Effect::Discard { session, .. } => self.work.push_back(Work::Discarded(session)),
                Effect::HoldSession { .. } => self.refused += 1,
                Effect::Gate { .. } | Effect::Idle(_) => {}
            }
        }
    }

    fn step(&mut self, step: impl FnOnce(&mut Self)) {
        let began = self.steps.is_some().then(Instant::now);
        step(self);
        if let (Some(began), Some(steps)) = (began, &mut self.steps) {
            steps.push(u32::try_from(began.elapsed().as_nanos()).unwrap_or(u32::MAX));
        }
    }

    /// Does what the queue wants, and what follows of that.
    pub(crate) fn work_off(&mut self) {
        while let Some(work) = self.work.pop_front() {
            match work {
                Work::Begin(session) => {
                    self.tell(Event::Started(session));
                    self.tell(Event::Accepted(session));
                    self.running.push_back(session);
                }
                Work::Stop(session) => {
                    self.running.retain(|&running| running != session);
                    let (outcome, came) = (Outcome::Stopped, Came::Text);
                    self.tell(Event::Ended { session, outcome, came, news: true, roll: 0.5 });
                }
                Work::Settle(session, done) => {
                    self.tell(Event::Settled(session));
                    if done && !(self.shape.person && session == ACTIVE) {
                        let priority = (self.shape.priority)(&mut self.rng);
                        let waiting = self.arrival(priority);
                        self.enqueue(session, waiting);
                    }
                }
                Work::Discarded(session) => self.tell(Event::Discarded(session)),
            }
        }
    }

    /// Time goes by.
    pub(crate) fn pass(&mut self, length: Duration) {
        self.now = self.now.plus(length);
        if self.wakeup.is_some_and(|at| at <= self.now) {
            self.tell(Event::Tick);
            self.work_off();
        }
    }

    /// A turn ends, and all that follows: mostly well. Where all wait for a time, that comes.
    pub(crate) fn turn(&mut self) {
        let idle = self.wakeup.filter(|_| self.running.is_empty());
        self.pass(idle.map_or(PACE, |at| at.since(self.now)));
        self.turns += 1;
        let outcome = match self.turns {
            turn if turn % WAITS == 0 => Outcome::Failed(busy(Some(Duration::from_millis(20)))),
            turn if turn % FAILS == 0 => Outcome::Failed(busy(None)),
            _ => Outcome::Finished(FinishReason::Stop),
        };
        if let Some(&session) = self.running.front() {
            self.end(session, outcome);
        }
    }

    /// The turn of `session` ends like this. Whether it had one.
    pub(crate) fn end(&mut self, session: SessionId, outcome: Outcome) -> bool {
        let Some(at) = self.running.iter().position(|&running| running == session) else { return false };
        self.running.remove(at);
        let came = if outcome == Outcome::Finished(FinishReason::Stop) { Came::Text } else { Came::Nothing };
        self.tell(Event::Ended { session, outcome, came, news: true, roll: 0.5 });
        self.work_off();
        true
    }

    /// The turn that has run longest is turned away for so long.
    pub(crate) fn turn_away(&mut self, length: Duration) {
        if let Some(&session) = self.running.front() {
            self.end(session, Outcome::Failed(busy(Some(length))));
        }
    }

    /// The session whose turn has run longest.
    pub(crate) fn oldest(&self) -> Option<SessionId> {
        self.running.front().copied()
    }

    /// The entry that came as the `nth`, if it waits in `session`.
    pub(crate) fn find(&self, session: SessionId, nth: usize) -> Option<Waiting> {
        self.queue.find(session, EntryId(i64::try_from(nth).unwrap_or(0) + 1))
    }
}

/// A server that has no time, and perhaps says for how long.
fn busy(retry_after: Option<Duration>) -> ProviderError {
    let status = Some(if retry_after.is_some() { 429 } else { 503 });
    ProviderError { retry_after, status, ..ProviderError::transient(ErrorKind::Overloaded, "busy") }
}

pub(crate) fn session(nth: usize) -> SessionId {
    SessionId(i64::try_from(nth).unwrap_or(0) + ACTIVE.0)
}

/// The one model of a provider.
fn model(nth: usize) -> ModelName {
    ModelName { provider: provider(nth), model: "m".to_owned() }
}

fn provider(nth: usize) -> String {
    format!("provider{nth}")
}
