//! One rule across sessions each, step by step, as a person would tell it. The simulation plays all of them against each other.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Came, Cause, Effect, Event, Limits, Outcome, Queue, RetryPolicy, Settings, Settlement, Waiting};
use crate::domain::{EntryId, ErrorKind, FinishReason, Priority, ProviderError, SessionId, Timestamp};
use Priority::{High, Low, Normal};

const NOW: Timestamp = Timestamp(1_000_000);

struct Stage {
    queue: Queue,
    now: Timestamp,
    entries: i64,
}

impl Stage {
    /// Sessions 1, 2, 3 …, each with that model; provider `p` has `slots`, and so have all together.
    fn new(models: &[&str], slots: usize) -> Self {
        Self::with(models, slots, |_| {})
    }

    fn with(models: &[&str], slots: usize, change: impl FnOnce(&mut Settings)) -> Self {
        let per_provider = BTreeMap::from([("p".to_owned(), slots)]);
        let limits = Limits { max_concurrent: slots, per_provider, max_pending: 100, max_pending_total: 100 };
        let mut settings = Settings::new(limits, RetryPolicy { jitter: 0.0, ..RetryPolicy::default() });
        change(&mut settings);
        let mut stage = Self { queue: Queue::new(settings), now: NOW, entries: 0 };
        for (id, model) in (1..).zip(models) {
            stage.tell(Event::SessionAdded { session: SessionId(id), model: model.parse().unwrap(), held: false });
        }
        stage
    }

    fn tell(&mut self, event: Event) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.queue.handle(event, self.now, &mut effects);
        effects
    }

    fn pass(&mut self, seconds: i64) -> Vec<Effect> {
        self.now.0 += seconds * 1_000;
        self.tell(Event::Tick)
    }

    fn enqueue(&mut self, session: i64, priority: Priority) -> Vec<Effect> {
        self.enqueue_as(session, priority, |_| {})
    }

    fn enqueue_auto(&mut self, session: i64) -> Vec<Effect> {
        self.enqueue_as(session, Low, |waiting| waiting.auto = true)
    }

    fn enqueue_as(&mut self, session: i64, priority: Priority, change: impl FnOnce(&mut Waiting)) -> Vec<Effect> {
        self.entries += 1;
        let mut waiting = Waiting {
            entry: EntryId(self.entries),
            priority,
            auto: false,
            continues: false,
            position: self.entries,
            attempts: 0,
            held: false,
            not_before: None,
            since: self.now,
        };
        change(&mut waiting);
        self.tell(Event::Enqueued { session: SessionId(session), waiting })
    }

    fn started(&mut self, session: i64) -> Vec<Effect> {
        self.tell(Event::Started(SessionId(session)))
    }

    fn ended(&mut self, session: i64, outcome: Outcome, came: Came) -> Vec<Effect> {
        let news = came != Came::Nothing;
        self.tell(Event::Ended { session: SessionId(session), outcome, came, news, roll: 0.5 })
    }

    fn settled(&mut self, session: i64) -> Vec<Effect> {
        self.tell(Event::Settled(SessionId(session)))
    }

    /// Runs the turn of `session` to its end; what starts then.
    fn complete(&mut self, session: i64) -> Vec<(i64, i64)> {
        self.started(session);
        self.ended(session, Outcome::Finished(FinishReason::Stop), Came::Text);
        starts(&self.settled(session))
    }
}

/// Session and entry of each start.
fn starts(effects: &[Effect]) -> Vec<(i64, i64)> {
    let start = |effect: &Effect| match effect {
        Effect::Start { session, entry, .. } => Some((session.0, entry.0)),
        _ => None,
    };
    effects.iter().filter_map(start).collect()
}

fn interrupt(session: i64, entry: i64) -> Effect {
    Effect::Interrupt { session: SessionId(session), entry: EntryId(entry) }
}

fn rate_limited(seconds: u64) -> Outcome {
    let retry_after = Some(Duration::from_secs(seconds));
    Outcome::Failed(ProviderError { retry_after, ..ProviderError::transient(ErrorKind::RateLimited, "slow down") })
}

#[test]
fn waiting_makes_rank_across_sessions() {
    // What waits since `wait_s` in a background session, against what the active session's entry is when the slot is free.
    let check = |waits: Priority, wait_s: i64, active: Priority, goes_first: bool| {
        let mut s = Stage::with(&["p:m"; 3], 1, |settings| settings.preempt = false);
        s.tell(Event::Activated(SessionId(3)));
        s.enqueue(1, Normal);
        s.enqueue(2, waits);
        s.pass(wait_s);
        s.enqueue(3, active);
        let expected = if goes_first { (2, 2) } else { (3, 3) };
        assert_eq!(s.complete(1), [expected], "{waits} after {wait_s} s against an active {active}");
    };
    check(High, 89, High, false);
    check(High, 91, High, true);
    check(Normal, 89, Normal, false);
    check(Normal, 91, Normal, true);
    check(Low, 149, High, false);
    check(Low, 151, High, true);
    check(High, 29, Low, false);
    check(High, 31, Low, true);
}

#[test]
fn the_lowest_ranked_low_turn_of_the_right_provider_gives_way() {
    let mut s =
        Stage::with(&["p:m", "p:m", "q:m", "q:m", "p:m", "p:m"], 2, |settings| settings.limits.max_concurrent = 5);
    for (session, priority) in [(1, Low), (2, Low), (3, Low), (4, Normal)] {
        s.now.0 += 1;
        assert_eq!(starts(&s.enqueue(session, priority)).len(), 1);
        s.started(session);
    }
    // `p` is full and there is a slot in all: only a turn of `p` helps. Of these, the later one goes.
    s.tell(Event::Activated(SessionId(5)));
    assert_eq!(s.enqueue(5, Low), [], "what is low itself takes nobody's slot");
    assert_eq!(s.enqueue(5, Normal), [interrupt(2, 2)]);
    assert_eq!(s.enqueue(6, High), [], "one slot is on its way, and it is not for the background");
    s.ended(2, Outcome::Stopped, Came::Text);
    assert_eq!(starts(&s.settled(2)), [(5, 6)], "the slot goes to whom it was taken for");
    let waiting = s.queue.waiting(SessionId(2))[0];
    assert!(waiting.continues && waiting.attempts == 0, "it goes on, and it was no attempt: {waiting:?}");
}

#[test]
fn a_turn_gives_way_three_times_at_most() {
    let mut s = Stage::new(&["p:m", "p:m"], 1);
    s.enqueue(1, Low);
    s.tell(Event::Activated(SessionId(2)));
    for _ in 0..super::MAX_PREEMPTIONS {
        s.started(1);
        assert_eq!(s.enqueue(2, Normal), [interrupt(1, 1)]);
        s.ended(1, Outcome::Stopped, Came::Text);
        s.settled(1);
        assert_eq!(s.complete(2), [(1, 1)]);
    }
    s.started(1);
    assert_eq!(s.enqueue(2, Normal), [], "now it gets done");
}

#[test]
fn a_gate_pauses_everybody_and_opens_one_by_one() {
    let mut s = Stage::new(&["p:m"; 5], 2);
    (1..=5).for_each(|session| _ = s.enqueue(session, Normal));
    s.started(1);
    s.started(2);
    let effects = s.ended(1, rate_limited(7), Came::Nothing);
    let until = s.now.plus(Duration::from_secs(7));
    assert_eq!(effects.last(), Some(&Effect::Gate { model: "p:m".parse().unwrap(), until: Some(until) }));
    assert_eq!(s.settled(1), [], "nobody is asked now");
    s.ended(2, Outcome::Finished(FinishReason::Stop), Came::Text);
    assert_eq!(s.settled(2), [Effect::Idle(SessionId(2))], "a free slot is no reason");
    assert_eq!(s.queue.next_wakeup(), Some(until));
    assert_eq!(s.pass(6), []);
    // One at a time, those that waited with no attempt spent.
    assert_eq!(s.pass(1), [Effect::Start { session: SessionId(1), entry: EntryId(1), attempt: 2 }]);
    s.started(1);
    assert_eq!(s.pass(1), [], "not the second before the first has shown anything");
    let next = Effect::Start { session: SessionId(3), entry: EntryId(3), attempt: 1 };
    assert_eq!(s.tell(Event::Accepted(SessionId(1))), [next]);
    s.ended(1, Outcome::Finished(FinishReason::Stop), Came::Text);
    assert_eq!(starts(&s.settled(1)), [], "3 has not shown anything yet");
    s.started(3);
    assert_eq!(starts(&s.tell(Event::Accepted(SessionId(3)))), [(4, 4)], "as many as there are slots: it is open");
    s.ended(3, Outcome::Finished(FinishReason::Stop), Came::Text);
    assert_eq!(starts(&s.settled(3)), [(5, 5)], "4 has shown nothing, and that is nobody's business now");
}

#[test]
fn a_gate_of_one_model_delays_no_other_and_they_share_the_slots() {
    let mut s = Stage::new(&["p:m", "p:other", "p:m", "p:other"], 2);
    s.enqueue(1, Normal);
    s.started(1);
    let effects = s.ended(1, rate_limited(7), Came::Nothing);
    let until = s.now.plus(Duration::from_secs(7));
    assert_eq!(effects.last(), Some(&Effect::Gate { model: "p:m".parse().unwrap(), until: Some(until) }));
    s.settled(1);
    assert_eq!(starts(&s.enqueue(2, Normal)), [(2, 2)]);
    assert_eq!(starts(&s.enqueue(3, Normal)), [], "it has the model that waits");
    assert_eq!(starts(&s.enqueue(4, Normal)), [(4, 4)]);
    assert_eq!(starts(&s.pass(7)), [], "the other model has both slots");
    s.started(2);
    s.ended(2, Outcome::Finished(FinishReason::Stop), Came::Text);
    assert_eq!(starts(&s.settled(2)), [(1, 1)]);
    // What another model brings shows nothing of this one.
    s.started(4);
    s.tell(Event::Accepted(SessionId(4)));
    s.ended(4, Outcome::Finished(FinishReason::Stop), Came::Text);
    assert_eq!(starts(&s.settled(4)), []);
    s.started(1);
    assert_eq!(starts(&s.tell(Event::Accepted(SessionId(1)))), [(3, 3)]);
}

#[test]
fn who_changes_its_model_passes_the_gate_of_the_new_one() {
    let mut s = Stage::new(&["p:m", "p:m"], 2);
    s.enqueue(1, Normal);
    s.started(1);
    s.ended(1, rate_limited(7), Came::Nothing);
    s.settled(1);
    assert_eq!(s.enqueue(2, Normal), []);
    let model = "p:other".parse().unwrap();
    assert_eq!(starts(&s.tell(Event::ModelChanged { session: SessionId(2), model })), [(2, 2)]);
}

#[test]
fn too_long_a_wish_holds_who_would_go_there_and_resume_lets_one_probe_go() {
    let mut s = Stage::new(&["p:m", "p:m", "q:m", "p:m"], 2);
    s.enqueue(1, Normal);
    s.enqueue(2, Normal);
    s.started(1);
    s.ended(1, rate_limited(3_600), Came::Nothing);
    let until = s.now.plus(Duration::from_secs(3_600));
    s.started(2);
    s.ended(2, Outcome::Finished(FinishReason::Stop), Came::Text);
    assert!(s.queue.is_held(SessionId(1)) && !s.queue.is_held(SessionId(2)), "who waits for nothing is not held");
    s.settled(1);
    s.settled(2);
    assert_eq!(s.enqueue(2, Normal), [Effect::HoldSession { session: SessionId(2), until }]);
    assert_eq!(starts(&s.enqueue(3, Normal)), [(3, 4)], "another model is not concerned");
    s.complete(3);
    assert_eq!(s.queue.next_wakeup(), None, "it is the person who goes on");
    let resume = |session| Event::Hold { session: SessionId(session), held: false, release: true };
    let effects = s.tell(resume(2));
    assert_eq!(effects[0], Effect::Gate { model: "p:m".parse().unwrap(), until: None });
    assert_eq!(starts(&effects), [(2, 3)]);
    assert_eq!(s.tell(resume(1)), [], "one probe");
    s.started(2);
    assert_eq!(starts(&s.tell(Event::Accepted(SessionId(2)))), [(1, 1)]);
}

#[test]
fn who_is_in_a_hurry_waits_neither_for_its_time_nor_for_its_gate() {
    let mut s = Stage::new(&["p:m"], 1);
    s.enqueue(1, Normal);
    s.started(1);
    s.ended(1, Outcome::Failed(ProviderError::transient(ErrorKind::Server, "oops")), Came::Nothing);
    assert_eq!(s.settled(1), []);
    assert_eq!(starts(&s.tell(Event::Hurry(SessionId(1)))), [(1, 1)]);
    s.started(1);
    s.ended(1, rate_limited(60), Came::Nothing);
    s.settled(1);
    let effects = s.tell(Event::Hurry(SessionId(1)));
    assert_eq!(effects[0], Effect::Gate { model: "p:m".parse().unwrap(), until: None });
    assert_eq!(starts(&effects), [(1, 1)]);
}

#[test]
fn what_goes_on_comes_before_what_begins_and_after_what_is_more_urgent() {
    let mut s = Stage::new(&["p:m"], 1);
    s.enqueue(1, Normal);
    s.enqueue(1, Low);
    s.enqueue_as(1, Low, |waiting| waiting.continues = true);
    s.enqueue(1, Normal);
    let order: Vec<_> = (0..3).flat_map(|_| s.complete(1)).collect();
    assert_eq!(order, [(1, 4), (1, 3), (1, 2)]);
}

#[test]
fn where_auto_replies_stand_is_configuration() {
    let check = |before_normal: bool, expected: [(i64, i64); 3]| {
        let mut s = Stage::with(&["p:m"], 1, |settings| settings.auto_before_normal = before_normal);
        s.enqueue(1, Normal);
        s.enqueue_auto(1);
        s.enqueue(1, Normal);
        s.enqueue(1, High);
        let order: Vec<_> = (0..3).flat_map(|_| s.complete(1)).collect();
        assert_eq!(order, expected);
    };
    check(false, [(1, 4), (1, 3), (1, 2)]);
    check(true, [(1, 4), (1, 2), (1, 3)]);
}

#[test]
fn an_auto_reply_is_interrupted_only_where_that_is_allowed() {
    let check = |interruptible: bool, expected: &[Effect]| {
        let mut s = Stage::with(&["p:m", "p:m"], 1, |settings| settings.auto_interruptible = interruptible);
        s.enqueue_auto(1);
        s.started(1);
        assert_eq!(s.enqueue(1, High), expected, "by a high entry of its session");

        let mut s = Stage::with(&["p:m", "p:m"], 1, |settings| settings.auto_interruptible = interruptible);
        s.enqueue_auto(1);
        s.started(1);
        s.tell(Event::Activated(SessionId(2)));
        assert_eq!(s.enqueue(2, Normal), expected, "by the active session");
    };
    check(true, &[interrupt(1, 1)]);
    check(false, &[]);
}

#[test]
fn a_high_entry_that_may_not_start_interrupts_nobody_until_it_may() {
    let mut s = Stage::new(&["p:m"], 1);
    s.enqueue(1, Low);
    s.started(1);
    s.tell(Event::Hold { session: SessionId(1), held: true, release: false });
    assert_eq!(s.enqueue(1, High), []);
    let resume = Event::Hold { session: SessionId(1), held: false, release: true };
    assert_eq!(s.tell(resume), [interrupt(1, 1)]);
}

#[test]
fn a_slot_is_promised_to_the_person_and_not_to_the_session() {
    let mut s = Stage::new(&["p:m"; 3], 1);
    s.enqueue(1, Low);
    s.started(1);
    s.enqueue(2, High);
    s.pass(600);
    s.tell(Event::Activated(SessionId(3)));
    assert_eq!(s.enqueue(3, Normal), [interrupt(1, 1)]);
    s.enqueue(3, Low);
    s.tell(Event::Dropped { session: SessionId(3), entry: EntryId(3) });
    s.ended(1, Outcome::Stopped, Came::Nothing);
    // What stays in session 3 is low: it has its rank, and that is not the best.
    assert_eq!(starts(&s.settled(1)), [(2, 2)]);
    assert_eq!(s.complete(2), [(1, 1)]);
}

#[test]
fn the_clock_that_is_set_neither_stops_nor_hastens_what_waits() {
    let mut s = Stage::new(&["p:m"], 1);
    s.enqueue(1, Normal);
    s.started(1);
    s.ended(1, rate_limited(30), Came::Nothing);
    // An hour back, before the end is committed: 30 s are 30 s.
    s.now.0 -= 3_600_000;
    s.settled(1);
    assert_eq!(s.queue.next_wakeup(), Some(s.now.plus(Duration::from_secs(30))));
    assert_eq!(s.pass(29), []);
    // And again, while nothing happens: the queue asks to be told at once, and then it is the last second that is left.
    s.now.0 -= 3_600_000;
    assert_eq!(s.queue.until_wakeup(s.now), Some(Duration::ZERO));
    assert_eq!(s.pass(0), []);
    assert_eq!(s.queue.until_wakeup(s.now), Some(Duration::from_secs(1)));
    assert_eq!(starts(&s.pass(1)), [(1, 1)]);
}

#[test]
fn a_server_error_that_asks_for_too_much_patience_holds_its_session_alone() {
    let mut s = Stage::new(&["p:m", "p:m"], 2);
    s.enqueue(1, Normal);
    s.started(1);
    let retry_after = Some(Duration::from_secs(3_600));
    let error = ProviderError { retry_after, ..ProviderError::transient(ErrorKind::Server, "oops") };
    s.ended(1, Outcome::Failed(error), Came::Nothing);
    assert_eq!(s.settled(1), []);
    assert!(s.queue.is_held(SessionId(1)));
    assert_eq!(starts(&s.enqueue(2, Normal)), [(2, 2)]);
}

#[test]
fn what_a_person_cancelled_is_cancelled_also_when_chatmux_ends() {
    let mut s = Stage::new(&["p:m"], 1);
    s.enqueue(1, Normal);
    s.started(1);
    s.tell(Event::Cancel(SessionId(1)));
    s.tell(Event::Quit);
    let end = Settlement::Cancelled;
    let settle = Effect::Settle { session: SessionId(1), entry: EntryId(1), end };
    assert_eq!(s.ended(1, Outcome::Stopped, Came::Nothing), [settle]);
}

#[test]
fn the_end_of_chatmux_puts_back_what_had_not_begun() {
    let mut s = Stage::new(&["p:m"], 1);
    s.enqueue(1, Normal);
    s.started(1);
    s.tell(Event::Quit);
    let end = Settlement::Requeue { continues: false, cause: Cause::Quit };
    let settle = Effect::Settle { session: SessionId(1), entry: EntryId(1), end };
    assert_eq!(s.ended(1, Outcome::Stopped, Came::Nothing), [settle]);
}
