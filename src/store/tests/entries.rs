//! The queue's rows.

use super::*;
use crate::domain::EntryId;

#[test]
fn what_was_acknowledged_is_there_in_the_order_of_service() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    let with = |priority, text: &str| fresh.write(Enqueue { priority, ..enqueue(session, text) });
    let low = with(Priority::Low, "low");
    let first = with(Priority::Normal, "first");
    let second = with(Priority::Normal, "second\0\n  verbatim");
    let high = with(Priority::High, "high");
    let pending = fresh.read(PendingEntries);
    assert_eq!(pending, [high, first.clone(), second, low]);
    assert_eq!(fresh.read(FindEntry(first.id)), Some(first));
    assert_eq!(fresh.read(FindEntry(EntryId(99))), None);
}

#[test]
fn only_pending_entries_are_cancelled() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    let running = fresh.start(session, "runs").entry;
    let (one, two, three) =
        (fresh.enqueue(session, "1").id, fresh.enqueue(session, "2").id, fresh.enqueue(session, "3").id);
    let ids = vec![running, two, EntryId(99)];
    assert_eq!(fresh.write(CancelEntries { ids: ids.clone(), now: NOW }), [two]);
    assert_eq!(fresh.write(CancelEntries { ids, now: NOW }), []);
    assert_eq!(fresh.write(CancelPending { session, now: NOW }), [one, three]);
    let listing = fresh.read(QueueListing { session: None });
    assert_eq!(listing.iter().map(|e| (e.id, e.state)).collect::<Vec<_>>(), [(running, EntryState::Running)]);
    assert_eq!(fresh.read(FindEntry(two)).map(|e| e.state), Some(EntryState::Cancelled));
}

#[test]
fn holding_is_said_once() {
    let fresh = Fresh::new();
    let (one, two) = (fresh.session().id, fresh.session().id);
    let (a, b, c) = (fresh.enqueue(one, "a").id, fresh.enqueue(one, "b").id, fresh.enqueue(two, "c").id);
    assert_eq!(fresh.write(HoldEntries { ids: vec![a, a], held: true }), [a]);
    assert_eq!(fresh.write(HoldPending { session: None, held: true }), [b, c]);
    assert_eq!(fresh.write(HoldPending { session: Some(one), held: false }), [a, b]);
    let held: Vec<_> = fresh.read(PendingEntries).iter().map(|e| (e.id, e.held)).collect();
    assert_eq!(held, [(a, false), (b, false), (c, true)]);
    assert!(!fresh.write(HoldEntries { ids: vec![c], held: false }).is_empty());
}

#[test]
fn a_listing_shows_what_runs_waits_and_failed_session_by_session() {
    let fresh = Fresh::new();
    let (one, two) = (fresh.session().id, fresh.session().id);
    let waits = fresh.enqueue(two, "waits").id;
    let dead = fresh.start(one, "fails");
    fresh.write(EndTurn { entry_state: EntryState::Dead, answer_state: AnswerState::Failed, ..completed(&dead) });
    fresh.turn(one, "is done", "a");
    let runs = fresh.start(one, "runs").entry;
    let low = fresh.write(Enqueue { priority: Priority::Low, ..enqueue(one, "low") }).id;
    let high = fresh.write(Enqueue { priority: Priority::High, ..enqueue(one, "high") }).id;
    let ids = |session| fresh.read(QueueListing { session }).iter().map(|e| e.id).collect::<Vec<_>>();
    assert_eq!(ids(Some(one)), [runs, high, low, dead.entry]);
    assert_eq!(ids(None), [runs, high, low, dead.entry, waits]);
    assert_eq!(fresh.write(RequeueEntries { ids: vec![dead.entry, waits] }), [dead.entry]);
    let again = fresh.read(FindEntry(dead.entry)).unwrap();
    assert_eq!((again.state, again.attempts), (EntryState::Pending, 0));
}
