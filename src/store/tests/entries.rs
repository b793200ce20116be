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
fn what_waits_or_is_dead_is_cancelled_and_nothing_else() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    let running = fresh.start(session, "runs").entry;
    let (one, two) = (fresh.enqueue(session, "1").id, fresh.enqueue(session, "2").id);
    let dead = fresh.dead(fresh.session().id, "fails");
    let ids = vec![running, dead, two, EntryId(99)];
    assert_eq!(fresh.write(CancelEntries { ids: ids.clone(), now: NOW }), [dead, two]);
    assert_eq!(fresh.write(CancelEntries { ids, now: NOW }), []);
    let listing = fresh.read(QueueListing { session: None });
    let expected = [(running, EntryState::Running), (one, EntryState::Pending)];
    assert_eq!(listing.iter().map(|e| (e.id, e.state)).collect::<Vec<_>>(), expected);
    for id in [two, dead] {
        let entry = fresh.read(FindEntry(id)).unwrap();
        assert_eq!((entry.state, entry.finished_at), (EntryState::Cancelled, Some(NOW)));
    }
}

#[test]
fn holding_is_said_once() {
    let fresh = Fresh::new();
    let (one, two) = (fresh.session().id, fresh.session().id);
    let (a, b, c) = (fresh.enqueue(one, "a").id, fresh.enqueue(one, "b").id, fresh.enqueue(two, "c").id);
    let hold = |ids: &[EntryId], held| super::ids(&fresh.write(HoldEntries { ids: ids.to_vec(), held }));
    assert_eq!(hold(&[a, a], true), [a]);
    assert_eq!(hold(&[a, b, c], true), [b, c]);
    assert_eq!(hold(&[a, b], false), [a, b]);
    let held: Vec<_> = fresh.read(PendingEntries).iter().map(|e| (e.id, e.held)).collect();
    assert_eq!(held, [(a, false), (b, false), (c, true)]);
    assert_eq!(hold(&[c], false), [c]);
    assert_eq!(fresh.read(FindEntry(c)).map(|e| e.held), Some(false));
}

#[test]
fn a_listing_shows_what_runs_waits_and_failed_session_by_session() {
    let fresh = Fresh::new();
    let (one, two) = (fresh.session().id, fresh.session().id);
    let waits = fresh.enqueue(two, "waits").id;
    let dead = fresh.dead(one, "fails");
    fresh.turn(one, "is done", "a");
    let runs = fresh.start(one, "runs").entry;
    let low = fresh.write(Enqueue { priority: Priority::Low, ..enqueue(one, "low") }).id;
    let high = fresh.write(Enqueue { priority: Priority::High, ..enqueue(one, "high") }).id;
    let listed = |session| ids(&fresh.read(QueueListing { session }));
    assert_eq!(listed(Some(one)), [runs, high, low, dead]);
    assert_eq!(listed(None), [runs, high, low, dead, waits]);
    assert_eq!(ids(&fresh.read(DeadEntries { session: None })), [dead]);
    assert_eq!(fresh.read(DeadEntries { session: Some(two) }), []);
}
