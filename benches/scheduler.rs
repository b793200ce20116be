//! The queue's decisions: how many a second, and how they grow with what waits, against a sorted set of as many keys from which one
//! is taken and into which another is put. A decision is an event that the queue is told, with all that its caller asks it on the way
//! (a place, how many are ahead, when to wake it up).

mod support;

use std::collections::BTreeSet;
use std::hint::black_box;
use std::io;
use std::time::{Duration, Instant};

use chatmux::domain::{FinishReason, Priority};
use chatmux::queue::{Event, Outcome, Waiting};
use fastrand::Rng;

use support::figures::{Table, percentile, say, verdict};
use support::history::{ACTIVE, History, Shape, mixed, session};

/// Rounds of each; the fastest counts, of the history as of each of its steps.
const ROUNDS: usize = 5;
/// Times that a scenario is gone through in a round.
const CYCLES: usize = 10_000;
/// Exchanges of a key in a round of the baseline.
const EXCHANGES: usize = 50_000;
/// What a decision costs may grow by this much more than the sorted set's exchange, from the smallest queue to the largest.
const BUDGET_GROWTH: f64 = 2.0;

/// What the scheduler has to do with most: several providers, of which some are gated, and mixed priorities.
const USUAL: Shape = Shape {
    waiting: 10_000,
    sessions: 1_000,
    providers: 8,
    gated: 2,
    slots: 32,
    held_of_ten: 0,
    person: false,
    priority: mixed,
};

/// What is played.
struct Scenario {
    name: &'static str,
    shape: Shape,
    cycle: fn(&mut History),
}

/// What a scenario came to.
struct Figures {
    /// Nanoseconds a decision.
    decision_ns: f64,
    /// Turns of a round that were told to end.
    interrupted: u64,
    /// Nanoseconds of each step.
    steps: Vec<f64>,
}

fn main() -> io::Result<()> {
    say(&format!("scheduler: {CYCLES} turns or changes of each, the fastest of {ROUNDS} rounds\n"))?;
    let mut table = Table::new([
        "what waits",
        "entries",
        "sessions",
        "decisions a second",
        "ns each",
        "sorted set, ns",
        "ratio",
        "interrupted",
        "p99.9 µs",
        "worst µs",
    ]);
    let mut ratios = Vec::new();
    for sessions in [10, 100, 1_000, 10_000] {
        let shape = Shape { waiting: sessions * 10, sessions, ..USUAL };
        ratios.push(row(&Scenario { name: "turns, ten a session", shape, cycle: History::turn }, &mut table)?);
    }
    for scenario in others() {
        row(&scenario, &mut table)?;
    }
    table.print()?;
    let growth = ratios.last().copied().unwrap_or(f64::NAN) / ratios.first().copied().unwrap_or(f64::NAN);
    let kept = verdict(growth <= BUDGET_GROWTH);
    say(&format!(
        "100 to 100,000 entries: a decision grows {growth:.2} times as much as the set's exchange (≤ {BUDGET_GROWTH}: {kept})\n"
    ))?;
    at_once()
}

fn others() -> [Scenario; 5] {
    let one = Shape { sessions: 1, providers: 1, gated: 0, ..USUAL };
    let low = |_: &mut Rng| Priority::Low;
    [
        Scenario { name: "turns, all in one session", shape: one, cycle: History::turn },
        Scenario { name: "the same, 9 of 10 held", shape: Shape { held_of_ten: 9, ..one }, cycle: History::turn },
        Scenario { name: "turns, one a session", shape: Shape { sessions: 10_000, ..USUAL }, cycle: History::turn },
        Scenario { name: "preemptions", shape: Shape { priority: low, person: true, ..USUAL }, cycle: preempt },
        Scenario { name: "moves, priorities, holds, drops", shape: USUAL, cycle: change },
    ]
}

/// The person asks, a `low` turn gives way, the person is answered.
fn preempt(history: &mut History) {
    history.pass(Duration::from_millis(1));
    let waiting = history.arrival(Priority::Normal);
    history.enqueue(ACTIVE, waiting);
    history.work_off();
    // What gave way as often as it may goes on to its end.
    while !history.end(ACTIVE, Outcome::Finished(FinishReason::Stop))
        && let Some(oldest) = history.oldest()
    {
        history.end(oldest, Outcome::Finished(FinishReason::Stop));
    }
}

/// Something that waits gets another place, priority or hold, or goes and comes again.
fn change(history: &mut History) {
    // Those that were there at first, in turns.
    let nth = history.rng.usize(..USUAL.waiting);
    let at = session(nth % USUAL.sessions);
    let Some(waiting) = history.find(at, nth) else { return };
    let changed = match history.rng.u8(..4) {
        0 => Waiting { position: history.rng.i64(1..=waiting.position), ..waiting },
        1 => Waiting { priority: mixed(&mut history.rng), ..waiting },
        2 => Waiting { held: !waiting.held, ..waiting },
        _ => {
            history.tell(Event::Dropped { session: at, entry: waiting.entry });
            history.enqueue(at, waiting);
            return history.work_off();
        }
    };
    history.tell(Event::Changed { session: at, waiting: changed });
    history.work_off();
}

fn row(scenario: &Scenario, table: &mut Table) -> io::Result<f64> {
    let Shape { waiting, sessions, .. } = scenario.shape;
    let figures = play(scenario);
    let set = exchange(waiting);
    let ratio = figures.decision_ns / set;
    let micros = |share| format!("{:.1}", percentile(&figures.steps, share) / 1e3);
    table.row([
        &scenario.name,
        &waiting,
        &sessions,
        &format!("{:.0}", 1e9 / figures.decision_ns),
        &format!("{:.0}", figures.decision_ns),
        &format!("{set:.0}"),
        &format!("{ratio:.1}"),
        &figures.interrupted,
        &micros(0.999),
        &micros(1.0),
    ]);
    Ok(ratio)
}

fn play(scenario: &Scenario) -> Figures {
    let mut figures = Figures { decision_ns: f64::INFINITY, interrupted: 0, steps: Vec::new() };
    for _ in 0..ROUNDS {
        let mut history = History::new(scenario.shape);
        let began = Instant::now();
        (0..CYCLES).for_each(|_| (scenario.cycle)(&mut history));
        figures.decision_ns = figures.decision_ns.min(began.elapsed().as_secs_f64() * 1e9 / history.events as f64);
        figures.interrupted = history.interrupted;
        let mut history = History::new(scenario.shape);
        history.steps = Some(Vec::new());
        (0..CYCLES).for_each(|_| (scenario.cycle)(&mut history));
        let steps = history.steps.take().unwrap_or_default();
        figures.steps.resize(steps.len(), f64::INFINITY);
        // The same seed, the same steps: each is as fast as it was at its best.
        figures.steps.iter_mut().zip(&steps).for_each(|(best, &step)| *best = best.min(f64::from(step)));
    }
    figures
}

/// Nanoseconds for taking one of `size` keys out of a sorted set and putting another in; the keys are as long as a rank.
fn exchange(size: usize) -> f64 {
    let mut rng = Rng::with_seed(1);
    let mut key = || (1_i64, rng.i64(..), rng.i64(..));
    let mut keys: Vec<_> = (0..size).map(|_| key()).collect();
    let mut set: BTreeSet<_> = keys.iter().copied().collect();
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let fresh: Vec<_> = (0..EXCHANGES).map(|_| (key(), key().1.unsigned_abs() as usize % size)).collect();
        let began = Instant::now();
        for (fresh, at) in fresh {
            set.remove(&keys[at]);
            set.insert(fresh);
            keys[at] = fresh;
        }
        best = best.min(began.elapsed().as_secs_f64() * 1e9 / EXCHANGES as f64);
    }
    black_box(set);
    best
}

/// A provider asks for patience when sessions stand ready for it: the one step that concerns all of them, when that is more than they
/// are to have, and the one in which its time has come, which starts the first.
fn at_once() -> io::Result<()> {
    let mut table = Table::new(["all wait for one provider", "sessions", "held", "µs in one step", "ns a session"]);
    for sessions in [100, 1_000, 10_000] {
        let shape = Shape { waiting: sessions * 10, sessions, providers: 1, gated: 0, ..USUAL };
        let (mut refused, mut opened, mut held) = (f64::INFINITY, f64::INFINITY, 0);
        for _ in 0..ROUNDS {
            let mut history = History::new(shape);
            history.steps = Some(Vec::new());
            history.turn_away(Duration::from_secs(600));
            refused = refused.min(worst(&mut history));
            held = history.refused;
            let mut history = History::new(shape);
            history.turn_away(Duration::from_secs(10));
            history.steps = Some(Vec::new());
            history.pass(Duration::from_secs(60));
            opened = opened.min(worst(&mut history));
        }
        for (name, held, micros) in [("it refuses for 10 minutes", held, refused), ("its pause is over", 0, opened)] {
            let each = format!("{:.0}", micros * 1e3 / sessions as f64);
            table.row([&name, &sessions, &held, &format!("{micros:.1}"), &each]);
        }
    }
    table.print()
}

/// Microseconds of the longest step so far.
fn worst(history: &mut History) -> f64 {
    let steps = history.steps.take().unwrap_or_default();
    f64::from(steps.into_iter().max().unwrap_or(0)) / 1e3
}
