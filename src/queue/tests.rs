//! Single rules, one history each; the simulation has the rest.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Came, Cause, Effect, Event, Limits, Outcome, Queue, Refusal, RetryPolicy, Settings, Settlement, Waiting};
use crate::domain::{EntryId, ErrorKind, FinishReason, Priority, ProviderError, SessionId, Timestamp};

const NOW: Timestamp = Timestamp(1_000_000);

pub(super) struct Bench {
    queue: Queue,
    pub(super) now: Timestamp,
    next: i64,
}

impl Bench {
    pub(super) fn new(sessions: i64, slots: usize) -> Self {
        let limits =
            Limits { max_concurrent: slots, per_provider: BTreeMap::new(), max_pending: 3, max_pending_total: 5 };
        let queue = Queue::new(Settings::new(limits, RetryPolicy { jitter: 0.0, ..RetryPolicy::default() }));
        let mut bench = Self { queue, now: NOW, next: 0 };
        for id in 1..=sessions {
            bench.tell(Event::SessionAdded { session: SessionId(id), model: "p:m".parse().unwrap(), held: false });
        }
        bench
    }

    pub(super) fn tell(&mut self, event: Event) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.queue.handle(event, self.now, &mut effects);
        effects
    }

    pub(super) fn enqueue(&mut self, session: i64, priority: Priority) -> Vec<Effect> {
        self.next += 1;
        self.now.0 += 1;
        let waiting = Waiting {
            entry: EntryId(self.next),
            priority,
            auto: false,
            continues: false,
            position: self.next,
            attempts: 0,
            held: false,
            not_before: None,
            since: self.now,
        };
        self.tell(Event::Enqueued { session: SessionId(session), waiting })
    }

    fn end(&mut self, session: i64, outcome: Outcome, has_text: bool) -> Vec<Effect> {
        let came = if has_text { Came::Text } else { Came::Nothing };
        self.tell(Event::Ended { session: SessionId(session), outcome, came, news: has_text, roll: 0.5 })
    }

    /// Runs the turn of `session` to its end and returns what follows.
    fn complete(&mut self, session: i64) -> Vec<Effect> {
        self.tell(Event::Started(SessionId(session)));
        self.end(session, Outcome::Finished(FinishReason::Stop), true);
        self.tell(Event::Settled(SessionId(session)))
    }
}

pub(super) fn start(session: i64, entry: i64, attempt: u32) -> Effect {
    Effect::Start { session: SessionId(session), entry: EntryId(entry), attempt }
}

fn busy() -> ProviderError {
    ProviderError::transient(ErrorKind::Overloaded, "busy")
}

#[test]
fn the_next_entry_starts_when_the_end_is_committed_and_not_before() {
    let mut b = Bench::new(1, 8);
    assert_eq!(b.enqueue(1, Priority::Normal), [start(1, 1, 1)]);
    assert_eq!(b.enqueue(1, Priority::Normal), []);
    assert_eq!(b.tell(Event::Started(SessionId(1))), []);
    let settle = Effect::Settle { session: SessionId(1), entry: EntryId(1), end: Settlement::Complete };
    assert_eq!(b.end(1, Outcome::Finished(FinishReason::Stop), true), [settle]);
    assert_eq!(b.tell(Event::Settled(SessionId(1))), [Effect::Idle(SessionId(1)), start(1, 2, 1)]);
}

#[test]
fn priority_first_then_arrival() {
    let mut b = Bench::new(1, 8);
    b.queue.limits_for_test(10);
    for priority in [Priority::Normal, Priority::Low, Priority::Normal, Priority::High] {
        b.enqueue(1, priority);
    }
    let low = b.queue.waiting(SessionId(1)).into_iter().find(|waiting| waiting.entry == EntryId(2)).unwrap();
    assert_eq!(b.queue.ahead(SessionId(1), &low), 3);
    let order: Vec<_> = (0..3).map(|_| b.complete(1).pop()).collect();
    assert_eq!(order, [Some(start(1, 4, 1)), Some(start(1, 3, 1)), Some(start(1, 2, 1))]);
}

#[test]
fn the_active_session_gets_the_free_slot() {
    let mut b = Bench::new(3, 1);
    b.enqueue(1, Priority::Normal);
    b.enqueue(2, Priority::High);
    b.enqueue(3, Priority::Low);
    b.tell(Event::Activated(SessionId(3)));
    assert_eq!(b.complete(1).pop(), Some(start(3, 3, 1)));
    assert_eq!(b.complete(3).pop(), Some(start(2, 2, 1)));
}

#[test]
fn a_failure_is_retried_in_its_place_and_in_the_end_dead() {
    let mut b = Bench::new(1, 8);
    b.enqueue(1, Priority::Normal);
    b.enqueue(1, Priority::Normal);
    for (attempt, wait_ms) in [(1, 1_000), (2, 1_500), (3, 2_250), (4, 3_375)] {
        b.tell(Event::Started(SessionId(1)));
        let not_before = b.now.plus(Duration::from_millis(wait_ms));
        let end = Settlement::Retry { not_before, attempt: attempt + 1, error: busy(), continues: false };
        let settle = Effect::Settle { session: SessionId(1), entry: EntryId(1), end };
        assert_eq!(b.end(1, Outcome::Failed(busy()), false), [settle]);
        assert_eq!(b.tell(Event::Settled(SessionId(1))), [], "what is behind it waits too");
        assert_eq!(b.queue.next_wakeup(), Some(not_before));
        b.now = not_before;
        assert_eq!(b.tell(Event::Tick), [start(1, 1, attempt + 1)]);
    }
    b.tell(Event::Started(SessionId(1)));
    let dead = Effect::Settle { session: SessionId(1), entry: EntryId(1), end: Settlement::Dead(busy()) };
    assert_eq!(b.end(1, Outcome::Failed(busy()), false), [dead]);
    assert_eq!(b.tell(Event::Settled(SessionId(1))), [Effect::Idle(SessionId(1)), start(1, 2, 1)]);
}

#[test]
fn a_cut_in_mid_answer_is_not_asked_again() {
    let mut b = Bench::new(1, 8);
    b.enqueue(1, Priority::Normal);
    b.tell(Event::Started(SessionId(1)));
    let end = Settlement::Interrupted(Some(busy()));
    let settle = Effect::Settle { session: SessionId(1), entry: EntryId(1), end };
    assert_eq!(b.end(1, Outcome::Failed(busy()), true), [settle]);
}

#[test]
fn too_long_a_retry_after_holds_the_session() {
    let mut b = Bench::new(1, 8);
    b.enqueue(1, Priority::Normal);
    b.tell(Event::Started(SessionId(1)));
    let error = ProviderError { retry_after: Some(Duration::from_secs(3_600)), ..busy() };
    let effects = b.end(1, Outcome::Failed(error), false);
    let until = b.now.plus(Duration::from_secs(3_600));
    assert_eq!(effects.last(), Some(&Effect::HoldSession { session: SessionId(1), until }));
    b.tell(Event::Settled(SessionId(1)));
    assert!(b.queue.is_held(SessionId(1)) && !b.queue.is_busy(SessionId(1)));
}

#[test]
fn high_interrupts_a_low_turn_and_no_other() {
    let mut b = Bench::new(2, 8);
    b.enqueue(1, Priority::Low);
    b.enqueue(2, Priority::Normal);
    b.tell(Event::Started(SessionId(1)));
    b.tell(Event::Started(SessionId(2)));
    let interrupt = Effect::Interrupt { session: SessionId(1), entry: EntryId(1) };
    assert_eq!(b.enqueue(1, Priority::High), [interrupt]);
    assert_eq!(b.enqueue(2, Priority::High), []);
    let end = Settlement::Interrupted(None);
    let settle = Effect::Settle { session: SessionId(1), entry: EntryId(1), end };
    assert_eq!(b.end(1, Outcome::Stopped, true), [settle]);
}

#[test]
fn cancel_reaches_a_turn_at_every_stage() {
    // While its start is being committed.
    let mut b = Bench::new(1, 8);
    b.enqueue(1, Priority::Normal);
    assert_eq!(b.tell(Event::Cancel(SessionId(1))), []);
    let interrupt = Effect::Interrupt { session: SessionId(1), entry: EntryId(1) };
    assert_eq!(b.tell(Event::Started(SessionId(1))), [interrupt]);
    let settle = Effect::Settle { session: SessionId(1), entry: EntryId(1), end: Settlement::Cancelled };
    assert_eq!(b.end(1, Outcome::Stopped, false), [settle]);
    b.tell(Event::Settled(SessionId(1)));

    // While its retry is being committed, and while it waits for it.
    for settle_first in [false, true] {
        let entry = b.next + 1;
        b.enqueue(1, Priority::Normal);
        b.tell(Event::Started(SessionId(1)));
        b.end(1, Outcome::Failed(busy()), false);
        let end = [Effect::Discard { session: SessionId(1), entry: EntryId(entry) }];
        if settle_first {
            b.tell(Event::Settled(SessionId(1)));
            assert_eq!(b.tell(Event::Cancel(SessionId(1))), end);
        } else {
            assert_eq!(b.tell(Event::Cancel(SessionId(1))), []);
            assert_eq!(b.tell(Event::Settled(SessionId(1))), end);
        }
        assert!(b.queue.is_busy(SessionId(1)), "not idle before the cancellation is committed");
        assert_eq!(b.tell(Event::Discarded(SessionId(1))), [Effect::Idle(SessionId(1))]);
        assert!(!b.queue.is_busy(SessionId(1)));
    }
}

#[test]
fn a_full_queue_refuses_and_drops_nothing() {
    let mut b = Bench::new(3, 1);
    let one = SessionId(1);
    assert!((0..3).all(|_| b.queue.reserve(one).is_ok()));
    assert_eq!(b.queue.reserve(one), Err(Refusal::SessionFull { session: one, limit: 3 }));
    assert!((0..2).all(|_| b.queue.reserve(SessionId(2)).is_ok()));
    assert_eq!(b.queue.reserve(SessionId(3)), Err(Refusal::TotalFull { limit: 5 }));
    b.queue.unreserve(one);
    assert_eq!(b.queue.reserve(SessionId(3)), Ok(()));
    assert_eq!(b.queue.reserve(SessionId(9)), Err(Refusal::NoSession(SessionId(9))));
}

#[test]
fn quitting_interrupts_what_runs_and_starts_nothing() {
    let mut b = Bench::new(2, 1);
    b.enqueue(1, Priority::Normal);
    b.enqueue(2, Priority::Normal);
    b.tell(Event::Started(SessionId(1)));
    let interrupt = Effect::Interrupt { session: SessionId(1), entry: EntryId(1) };
    assert_eq!(b.tell(Event::Quit), [interrupt]);
    let end = Settlement::Requeue { continues: false, cause: Cause::Quit };
    let settle = Effect::Settle { session: SessionId(1), entry: EntryId(1), end };
    assert_eq!(b.end(1, Outcome::Stopped, false), [settle]);
    assert_eq!(b.tell(Event::Settled(SessionId(1))), []);
    assert_eq!(b.queue.reserve(SessionId(1)), Err(Refusal::Quitting));
}

#[test]
fn a_low_turn_that_said_nothing_yet_is_asked_again_after_the_high_one() {
    let mut b = Bench::new(1, 8);
    b.enqueue(1, Priority::Low);
    b.tell(Event::Started(SessionId(1)));
    b.enqueue(1, Priority::High);
    b.end(1, Outcome::Stopped, false);
    assert_eq!(b.tell(Event::Settled(SessionId(1))), [start(1, 2, 1)]);
    assert_eq!(b.complete(1), [Effect::Idle(SessionId(1)), start(1, 1, 1)]);
}

#[test]
fn a_refused_start_is_no_attempt() {
    let mut b = Bench::new(1, 8);
    b.enqueue(1, Priority::Normal);
    for _ in 0..10 {
        assert_eq!(b.tell(Event::StartRefused { session: SessionId(1), wait: Duration::from_millis(100) }), []);
        b.now = b.queue.next_wakeup().unwrap();
        assert_eq!(b.tell(Event::Tick), [start(1, 1, 1)]);
    }
    b.tell(Event::Cancel(SessionId(1)));
    let discard = Effect::Discard { session: SessionId(1), entry: EntryId(1) };
    assert_eq!(b.tell(Event::StartRefused { session: SessionId(1), wait: Duration::ZERO }), [discard]);
}

#[test]
fn cancel_does_not_touch_what_is_held() {
    let mut b = Bench::new(1, 8);
    let waiting = Waiting {
        entry: EntryId(1),
        priority: Priority::Normal,
        auto: false,
        continues: false,
        position: 1,
        attempts: 1,
        held: true,
        not_before: Some(NOW),
        since: NOW,
    };
    b.tell(Event::Enqueued { session: SessionId(1), waiting });
    assert_eq!(b.tell(Event::Cancel(SessionId(1))), []);
    b.tell(Event::Hold { session: SessionId(1), held: true, release: false });
    assert_eq!(b.tell(Event::Cancel(SessionId(1))), []);
}

#[test]
fn the_end_of_chatmux_does_not_bring_back_what_a_person_has_cancelled() {
    let mut b = Bench::new(1, 8);
    b.enqueue(1, Priority::Normal);
    b.tell(Event::Started(SessionId(1)));
    b.tell(Event::Cancel(SessionId(1)));
    b.tell(Event::Quit);
    let settle = Effect::Settle { session: SessionId(1), entry: EntryId(1), end: Settlement::Cancelled };
    assert_eq!(b.end(1, Outcome::Stopped, false), [settle]);
}

#[test]
fn a_priority_that_changes_while_the_turn_begins_counts() {
    let change = |b: &mut Bench, to| {
        let waiting = Waiting {
            entry: EntryId(1),
            priority: to,
            auto: false,
            continues: false,
            position: 1,
            attempts: 0,
            held: false,
            not_before: None,
            since: b.now,
        };
        b.tell(Event::Changed { session: SessionId(1), waiting })
    };
    let mut b = Bench::new(2, 1);
    b.enqueue(1, Priority::Low);
    change(&mut b, Priority::Normal);
    b.tell(Event::Started(SessionId(1)));
    b.tell(Event::Activated(SessionId(2)));
    assert_eq!(b.enqueue(2, Priority::Normal), [], "a normal turn gives way to nobody");

    let mut b = Bench::new(1, 1);
    b.enqueue(1, Priority::Normal);
    change(&mut b, Priority::Low);
    b.tell(Event::StartRefused { session: SessionId(1), wait: Duration::from_millis(100) });
    assert_eq!(b.queue.waiting(SessionId(1))[0].priority, Priority::Low);
}

#[test]
fn what_is_found_at_the_start_is_ranked_before_anything_starts() {
    let found = |entry: i64, priority, auto, since: i64| Waiting {
        entry: EntryId(entry),
        priority,
        auto,
        continues: false,
        position: entry,
        attempts: 0,
        held: false,
        not_before: None,
        since: Timestamp(NOW.0 - since),
    };
    // The journal has them by session, and by priority alone.
    let low = (SessionId(1), found(1, Priority::Low, false, 10));
    let normal = (SessionId(2), found(2, Priority::Normal, false, 5));
    let auto = (SessionId(2), found(3, Priority::Low, true, 5));
    let check = |auto_before_normal, entry| {
        let mut b = Bench::new(2, 1);
        let limits = b.queue.settings.limits.clone();
        let settings = Settings { auto_before_normal, ..Settings::new(limits, RetryPolicy::default()) };
        b.queue = Queue::new(settings);
        for id in [1, 2] {
            b.tell(Event::SessionAdded { session: SessionId(id), model: "p:m".parse().unwrap(), held: false });
        }
        b.tell(Event::Activated(SessionId(2)));
        assert_eq!(b.tell(Event::Found(vec![low, normal, auto])), [start(2, entry, 1)]);
    };
    check(false, 2);
    check(true, 3);
}
