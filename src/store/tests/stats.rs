//! Figures.

use super::*;
use crate::domain::{Depth, Spread, Stats};

const fn at(ms: i64) -> Timestamp {
    Timestamp(NOW.0 + ms)
}

/// A turn that was acknowledged at `NOW`, and what its end counts as.
fn turn(fresh: &Fresh, session: SessionId, started: i64, ended: i64, end: impl FnOnce(EndTurn) -> EndTurn) {
    let entry = fresh.enqueue(session, "q").id;
    let turn = fresh.write(StartTurn { entry, now: at(started) });
    let first_after = Some(Duration::from_millis(40));
    fresh.write(end(EndTurn { now: at(ended), first_after, ..completed(&turn) }));
}

const fn spread(count: u64, p50_ms: u64, p95_ms: u64, max_ms: u64) -> Spread {
    Spread { count, p50_ms, p95_ms, max_ms }
}

#[test]
fn every_end_is_counted_once_for_its_session_and_once_for_all() {
    let fresh = Fresh::new();
    let (one, two) = (fresh.session().id, fresh.session().id);
    let of = |session| fresh.read(StatsOf { session });
    assert_eq!(of(None), Stats::default());
    turn(&fresh, one, 100, 350, |end| end);
    turn(&fresh, one, 0, 10, |end| EndTurn {
        answer_state: AnswerState::Interrupted,
        error: Some(failure()),
        first_after: None,
        ..end
    });
    turn(&fresh, two, 5, 5, |end| EndTurn { entry_state: EntryState::Cancelled, usage: Usage::default(), ..end });
    let dead = fresh.dead(two, "fails");
    let [wait, processing, first] = [spread(2, 0, 100, 100), spread(2, 10, 250, 250), spread(1, 40, 40, 40)];
    let tokens = Stats { input_tokens: 18, output_tokens: 24, ..Stats::default() };
    let expected = Stats { complete: 1, interrupted: 1, wait, processing, first, ..tokens };
    assert_eq!(of(Some(one)), expected);
    let [wait, processing, first] = [spread(4, 0, 100, 100), spread(4, 0, 250, 250), spread(2, 40, 40, 40)];
    let [input_tokens, output_tokens] = [27, 36];
    let all =
        Stats { failed: 1, cancelled: 1, dead: 1, wait, processing, first, input_tokens, output_tokens, ..expected };
    assert_eq!(of(None), all);
    // A dead letter is counted each time, and is dead only now.
    fresh.write(RequeueEntries { ids: vec![dead], now: NOW });
    let waits = Depth { normal: 1, ..Depth::default() };
    assert_eq!(of(Some(two)), Stats { depth: waits, dead: 0, ..of(Some(two)) });
    assert_eq!(of(Some(two)).failed, 1);
}

#[test]
fn what_is_followed_by_another_attempt_is_a_retry_or_gave_way() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    let again = |end: EndTurn| EndTurn { entry_state: EntryState::Pending, ..end };
    let check = |retries, preemptions, end: &dyn Fn(EndTurn) -> EndTurn| {
        let before = fresh.read(StatsOf { session: None });
        turn(&fresh, session, 0, 9, end);
        let after = fresh.read(StatsOf { session: None });
        assert_eq!((after.retries - before.retries, after.preemptions - before.preemptions), (retries, preemptions));
        fresh.write(CancelEntries { ids: ids(&fresh.read(PendingEntries)), now: NOW });
        after
    };
    check(1, 0, &|end| EndTurn { error: Some(failure()), ..again(end) });
    check(1, 0, &|end| EndTurn { error: Some(failure()), counts: false, ..again(end) });
    let gave_way = true;
    check(0, 1, &|end| EndTurn { counts: false, gave_way, continues: true, ..again(end) });
    let so_far = check(0, 1, &|end| EndTurn { answer_state: AnswerState::Interrupted, gave_way, ..end });
    assert_eq!((so_far.interrupted, so_far.wait.count, so_far.first.count), (1, 1, 1));
    assert_eq!(so_far.input_tokens, 4 * 9, "each attempt costs tokens");
    // As when chatmux ends.
    check(0, 0, &|end| EndTurn { counts: false, ..again(end) });
    check(0, 0, &|end| EndTurn { answer_state: AnswerState::Interrupted, ..end });
    check(0, 0, &|end| EndTurn { answer_state: AnswerState::Interrupted, error: Some(failure()), ..end });
    check(0, 0, &|end| EndTurn { entry_state: EntryState::Cancelled, answer_state: AnswerState::Interrupted, ..end });
}

#[test]
fn depth_is_that_of_now() {
    let fresh = Fresh::new();
    let (one, two) = (fresh.session().id, fresh.session().id);
    fresh.start(one, "runs");
    for (session, priority) in [(one, Priority::High), (one, Priority::Low), (two, Priority::Low)] {
        fresh.write(Enqueue { priority, ..enqueue(session, "waits") });
    }
    let of = |session| fresh.read(StatsOf { session });
    let depth = Depth { high: 1, normal: 0, low: 1 };
    assert_eq!(of(Some(one)), Stats { depth, running: 1, ..Stats::default() });
    assert_eq!(of(None), Stats { depth: Depth { low: 2, ..depth }, running: 1, ..Stats::default() });
    fresh.session();
    let (all, each) = fresh.read(AllStats);
    assert_eq!(all, of(None));
    let each: Vec<_> = each.into_iter().map(|(id, name, stats)| (id, name.to_string(), stats)).collect();
    assert_eq!(each, [(one, "main".to_owned(), of(Some(one))), (two, "chat2".to_owned(), of(Some(two)))]);
}

#[test]
fn a_deleted_session_stays_in_the_figures_of_all() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    turn(&fresh, session, 1, 2, |end| end);
    let all = fresh.read(StatsOf { session: None });
    fresh.write(DeleteSession { session });
    assert_eq!(fresh.read(AllStats), (all, vec![]));
    assert_eq!(fresh.read(StatsOf { session: Some(session) }), Stats::default());
}

#[test]
fn quantiles_are_within_a_hundredth_and_the_text_stays_small() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    for nth in 1..=40 {
        turn(&fresh, session, 0, nth * 500, |end| end);
    }
    let processing = fresh.read(StatsOf { session: Some(session) }).processing;
    let near = |found: u64, exact: u64| assert!(found.abs_diff(exact) * 100 <= exact, "{found} for {exact}");
    near(processing.p50_ms, 10_000);
    near(processing.p95_ms, 19_000);
    assert_eq!((processing.count, processing.max_ms), (40, 20_000));
    let raw = Connection::open(fresh.path()).unwrap();
    let bytes: i64 = raw.query_row("SELECT max(length(processing)) FROM stats", [], |row| row.get(0)).unwrap();
    assert!(bytes < 2_000, "{bytes}");
}

#[test]
fn nonsense_is_no_reason_to_fail() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    let endless = Usage { input: Some(u64::MAX), output: Some(u64::MAX) };
    for _ in 0..3 {
        // A clock that was set back, and then far ahead.
        turn(&fresh, session, -5_000, -9_000, |end| EndTurn { usage: endless, ..end });
        turn(&fresh, session, 0, i64::MAX - NOW.0, |end| EndTurn { first_after: Some(Duration::MAX), ..end });
    }
    let stats = fresh.read(StatsOf { session: None });
    assert_eq!((stats.complete, stats.wait, stats.processing.count), (6, spread(6, 0, 0, 0), 6));
    let raw = Connection::open(fresh.path()).unwrap();
    raw.execute("UPDATE stats SET wait = 'x 3:y :1 7:1 18446744073709551615:2', wait_max_ms = 7", []).unwrap();
    assert_eq!(fresh.read(StatsOf { session: None }).wait.count, 3);
    turn(&fresh, session, 0, 0, |end| end);
    assert_eq!(fresh.read(StatsOf { session: None }).wait.count, 4);
}
