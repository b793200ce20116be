//! Places in the queue: arrival, moving, urgency, and that an index finds them.

use proptest::prelude::*;

use super::*;

fn moved(fresh: &Fresh, entry: EntryId, beside: EntryId, before: bool) -> Vec<EntryId> {
    ids(&fresh.write(MoveEntry { entry, beside, before }))
}

fn order(fresh: &Fresh, session: SessionId) -> Vec<EntryId> {
    ids(&fresh.read(QueueListing { session: Some(session) }))
}

#[test]
fn an_entry_moves_next_to_another_and_later_ones_stand_behind() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    let [a, b, c, d] = ["a", "b", "c", "d"].map(|text| fresh.enqueue(session, text).id);
    assert_eq!(moved(&fresh, d, b, true), [d, b, c]);
    assert_eq!(order(&fresh, session), [a, d, b, c]);
    assert_eq!(moved(&fresh, a, c, false), [d, b, c, a]);
    assert_eq!(order(&fresh, session), [d, b, c, a]);
    assert_eq!(moved(&fresh, c, b, false), []);
    assert_eq!(moved(&fresh, c, c, true), []);
    let e = fresh.enqueue(session, "e").id;
    assert_eq!(order(&fresh, session), [d, b, c, a, e]);
    let (fresh, _) = fresh.reopened(NOW);
    assert_eq!(order(&fresh, session), [d, b, c, a, e]);
}

#[test]
fn an_entry_takes_on_the_priority_of_its_neighbour() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    let with = |priority, text: &str| fresh.write(Enqueue { priority, ..enqueue(session, text) }).id;
    let (high, normal) = (with(Priority::High, "high"), with(Priority::Normal, "normal"));
    let (low, lower) = (with(Priority::Low, "low"), with(Priority::Low, "lower"));
    let changed = fresh.write(MoveEntry { entry: lower, beside: high, before: true });
    let found: Vec<_> = changed.iter().map(|e| (e.id, e.priority)).collect();
    assert_eq!(found, [(lower, Priority::High), (high, Priority::High)]);
    assert_eq!(order(&fresh, session), [lower, high, normal, low]);
    assert_eq!(changed, ids(&changed).iter().map(|id| fresh.read(FindEntry(*id)).unwrap()).collect::<Vec<_>>());
    let changed = fresh.write(SetPriority { ids: vec![high, normal, low, EntryId(99)], priority: Priority::Normal });
    assert_eq!(ids(&changed), [high, low]);
    assert!(changed.iter().all(|e| e.priority == Priority::Normal));
    assert_eq!(order(&fresh, session), [lower, normal, low, high], "in the order of their places");
}

#[test]
fn what_cannot_be_moved_is_said() {
    let fresh = Fresh::new();
    let (one, two) = (fresh.session().id, fresh.session().id);
    let runs = fresh.start(one, "runs").entry;
    let (waits, other) = (fresh.enqueue(one, "waits").id, fresh.enqueue(two, "other").id);
    let fails = |entry, beside| fresh.fails(MoveEntry { entry, beside, before: true });
    let (found, expected) = (EntryState::Running, EntryState::Pending);
    assert_eq!(fails(waits, EntryId(99)), StoreError::NoEntry(EntryId(99)));
    assert_eq!(fails(EntryId(99), waits), StoreError::NoEntry(EntryId(99)));
    assert_eq!(fails(waits, runs), StoreError::WrongState { entry: runs, found, expected });
    assert_eq!(fails(runs, waits), StoreError::WrongState { entry: runs, found, expected });
    assert_eq!(fails(waits, other), StoreError::OtherSession { entry: waits, beside: other });
    assert_eq!(
        fails(waits, other).to_string(),
        "#2 and #3 are of different sessions: an entry is moved within its own"
    );
}

#[test]
fn a_requeued_letter_arrives_anew() {
    let fresh = Fresh::new();
    let (one, two) = (fresh.session().id, fresh.session().id);
    let dead = [fresh.dead(one, "1"), fresh.dead(one, "2"), fresh.dead(two, "3")];
    let waits = fresh.enqueue(one, "waits").id;
    let now = Timestamp(NOW.0 + 3_600_000);
    let back = fresh.write(RequeueEntries { ids: vec![dead[1], waits, dead[0], dead[2], dead[0], EntryId(99)], now });
    assert_eq!(ids(&back), [dead[1], dead[0], dead[2]]);
    for entry in &back {
        assert_eq!((entry.state, entry.attempts, entry.finished_at), (EntryState::Pending, 0, None));
        assert_eq!((&entry.error, entry.created_at), (&None, now));
        assert_eq!(fresh.read(FindEntry(entry.id)).as_ref(), Some(entry));
    }
    assert_eq!(order(&fresh, one), [waits, dead[1], dead[0]]);
    assert_eq!(order(&fresh, two), [dead[2]]);
}

#[test]
fn what_waits_for_its_time_may_be_hurried() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    let turn = fresh.start(session, "again");
    let (entry_state, not_before) = (EntryState::Pending, Some(Timestamp(NOW.0 + 9)));
    fresh.write(EndTurn { entry_state, not_before, error: Some(failure()), ..completed(&turn) });
    let other = fresh.enqueue(session, "other").id;
    let hurried = fresh.write(HurryEntries { ids: vec![turn.entry, other, EntryId(99)] });
    assert_eq!(ids(&hurried), [turn.entry]);
    assert_eq!((hurried[0].not_before, hurried[0].attempts, &hurried[0].error), (None, 1, &Some(failure())));
    assert_eq!(fresh.write(HurryEntries { ids: vec![turn.entry] }), []);
}

#[test]
fn places_and_states_are_found_by_index() {
    let fresh = Fresh::new();
    let raw = Connection::open(fresh.path()).unwrap();
    let check = |sql: &str, index: &str| {
        let mut statement = raw.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let plan: Vec<String> = statement.query_map([], |row| row.get("detail")).unwrap().map(Result::unwrap).collect();
        let plan = plan.join("; ");
        assert!(plan.contains(index) && !plan.contains("SCAN messages") && !plan.contains("SCAN m "), "{sql}: {plan}");
    };
    check("SELECT max(position) FROM entries WHERE session_id = 1", "entries_in_order");
    check("SELECT id FROM entries WHERE state = 'pending'", "entries_pending");
    check("SELECT 1 FROM entries WHERE session_id = 1 AND state = 'pending' AND origin = 'auto'", "entries_pending");
    check("DELETE FROM entries WHERE session_id = 1", "entries_in_order");
    check(
        "SELECT m.id FROM messages m JOIN entries e ON e.id = m.entry_id WHERE m.session_id = 1 AND m.id < 9 \
             AND e.state <> 'pending' ORDER BY m.id DESC LIMIT 1",
        "messages_of_session",
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Moves, changes of priority and arrivals, against a list for each priority.
    #[test]
    fn the_order_is_that_of_a_list(steps in prop::collection::vec((0..3_u8, 0..8_usize, 0..8_usize, any::<bool>(), 0..3_usize), 1..24)) {
        let fresh = Fresh::new();
        let session = fresh.session().id;
        // Each entry with its priority, in the order of service.
        let mut list: Vec<(Priority, EntryId)> = Vec::new();
        for (step, one, two, before, priority) in steps {
            let priority = Priority::ALL[priority];
            match step {
                1 | 2 if list.len() > 1 => {
                    let (entry, beside) = (list[one % list.len()], list[two % list.len()]);
                    fresh.write(MoveEntry { entry: entry.1, beside: beside.1, before });
                    if entry != beside {
                        list.retain(|e| *e != entry);
                        let at = list.iter().position(|e| *e == beside).unwrap();
                        list.insert(at + usize::from(!before), (beside.0, entry.1));
                    }
                }
                _ => {
                    let entry = fresh.write(Enqueue { priority, ..enqueue(session, "x") });
                    let at = list.iter().position(|e| e.0 > priority).unwrap_or(list.len());
                    list.insert(at, (priority, entry.id));
                }
            }
            let found: Vec<_> = fresh.read(PendingEntries).iter().map(|e| (e.priority, e.id)).collect();
            prop_assert_eq!(&found, &list);
            let mut positions: Vec<_> = fresh.read(PendingEntries).iter().map(|e| e.position).collect();
            positions.sort_unstable();
            positions.dedup();
            prop_assert_eq!(positions.len(), list.len(), "each has a place of its own");
        }
    }
}
