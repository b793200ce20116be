//! Who may run what, of several that have the database open.

use super::*;
use crate::domain::LetGo;

/// Another process, as far as the store can tell: opened beside the first, in the same test.
struct Beside {
    store: Store,
    process: crate::domain::ProcessId,
}

impl Beside {
    fn of(fresh: &Fresh) -> Self {
        let (store, opening) = Store::open(&fresh.path(), NOW).unwrap();
        assert!(!opening.sole);
        Self { store, process: opening.process }
    }

    fn write<W: Write>(&self, operation: W) -> W::Reply {
        self.store.write_blocking(operation).unwrap()
    }

    fn survey(&self, since: i64) -> Surveyed {
        self.store.read_blocking(Survey { process: self.process, since, orphans: Some(LetGo::Nothing) }).unwrap()
    }
}

fn leases(fresh: &Fresh) -> Vec<(i64, i64)> {
    let raw = Connection::open(fresh.path()).unwrap();
    let mut statement = raw.prepare("SELECT session_id, process_id FROM leases ORDER BY session_id").unwrap();
    statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
}

fn start(entry: EntryId) -> StartTurn {
    StartTurn { entry, now: NOW }
}

#[test]
fn a_lease_is_taken_with_what_is_to_be_run_and_given_back_with_its_end() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    assert_eq!(leases(&fresh), []);
    let entry = fresh.enqueue(session, "q").id;
    assert_eq!(leases(&fresh), [(1, 1)]);
    let turn = fresh.write(start(entry));
    fresh.write(completed(&turn));
    assert_eq!(leases(&fresh), [], "nothing is left to run");
    let held = fresh.enqueue(session, "held").id;
    fresh.write(HoldEntries { ids: vec![held], held: true });
    assert_eq!(leases(&fresh), []);
    fresh.write(HoldEntries { ids: vec![held], held: false });
    fresh.write(HoldSessions { sessions: vec![session], held: true });
    assert_eq!(leases(&fresh), []);
    fresh.write(HoldSessions { sessions: vec![session], held: false });
    assert_eq!(leases(&fresh), [(1, 1)]);
    fresh.write(CancelEntries { ids: vec![held], now: NOW });
    assert_eq!(leases(&fresh), []);
}

#[test]
fn who_has_no_lease_starts_nothing_and_writes_nothing_there() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    let entry = fresh.enqueue(session, "q").id;
    let other = Beside::of(&fresh);
    let theirs = other.write(enqueue(session, "typed there"));
    assert_eq!(leases(&fresh), [(1, 1)], "who was first runs both");
    assert_eq!(other.store.write_blocking(start(theirs.id)).unwrap_err(), StoreError::Leased(session));
    let turn = fresh.write(start(entry));
    let append = || AppendChunks { answer: turn.answer, chunks: text("x") };
    assert_eq!(other.store.write_blocking(append()).unwrap_err(), StoreError::Leased(session));
    assert_eq!(other.store.write_blocking(completed(&turn)).unwrap_err(), StoreError::Leased(session));
    fresh.write(append());
    fresh.write(completed(&turn));
}

#[test]
fn what_one_changes_is_told_to_the_others_alone() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    let entry = fresh.enqueue(session, "q").id;
    let other = Beside::of(&fresh);
    let since = other.store.read_blocking(LastChange).unwrap();
    assert_eq!(other.survey(since).changed.len(), 0, "while one was alone nothing was told");
    fresh.write(SetDraft { session, draft: "mine".to_owned() });
    assert_eq!(other.survey(since).changed.len(), 0, "a line is one's own");
    fresh.write(start(entry));
    other.write(SetModel { session, model: "demo:echo".parse().unwrap() });
    let found = other.survey(since);
    assert_eq!(found.changed, [(session, false)].into());
    assert!(!found.missed && !found.orphans && found.others.len() == 1, "{found:?}");
    fresh.write(AskToCancel { session });
    assert_eq!(other.survey(found.last).changed, [(session, true)].into());
}

#[test]
fn a_start_is_refused_while_a_change_of_another_is_not_known() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    let entry = fresh.enqueue(session, "q").id;
    let known = fresh.read(LastChange);
    let other = Beside::of(&fresh);
    other.write(enqueue(session, "now"));
    let known_start = |known| StartKnown { start: start(entry), session, known, takes_along: true };
    assert_eq!(fresh.fails(known_start(known)), StoreError::Changed(session));
    let known = fresh.read(LastChange);
    fresh.write(known_start(known));
}

#[test]
fn who_falls_silent_is_taken_over_once_and_registered_again_when_it_wakes() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    let entry = fresh.enqueue(session, "q").id;
    let turn = fresh.write(start(entry));
    fresh.write(AppendChunks { answer: turn.answer, chunks: text("part") });
    fresh.enqueue(session, "waits");
    let other = Beside::of(&fresh);
    let first = other.survey(0).others[0].clone();
    fresh.write(Beat);
    let stale = TakeOver { process: first.process, beat: first.beat, now: NOW };
    assert_eq!(other.write(stale), None, "its beat has grown");
    let beat = other.survey(0).others[0].beat;
    let recovery = other.write(TakeOver { beat, ..stale }).unwrap();
    assert_eq!(recovery.interrupted.iter().map(|cut| cut.text_bytes).collect::<Vec<_>>(), [4]);
    assert_eq!(recovery.held[&session], [EntryId(2)]);
    assert_eq!(other.write(TakeOver { beat, ..stale }), None);
    assert_eq!((leases(&fresh), other.survey(0).others.len()), (vec![], 0));
    // It wakes.
    assert!(matches!(fresh.fails(completed(&turn)), StoreError::WrongState { .. }));
    fresh.write(Beat);
    assert_eq!(other.survey(0).others[0].process, first.process);
    let since = 0;
    let found = fresh.read(Survey { process: first.process, since, orphans: Some(LetGo::Nothing) });
    assert!(found.missed, "what was changed meanwhile nobody has told it");
}

#[test]
fn who_leaves_sets_aside_what_waits_and_who_adopts_lets_it_go_on() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    fresh.enqueue(session, "waits");
    let held = fresh.enqueue(session, "held by hand").id;
    fresh.write(HoldEntries { ids: vec![held], held: true });
    let other = Beside::of(&fresh);
    let Fresh { folder, store } = fresh;
    store.close();
    let waiting = |store: &Store| {
        let all = store.read_blocking(PendingEntries).unwrap();
        all.into_iter().map(|entry| entry.held).collect::<Vec<_>>()
    };
    assert_eq!(waiting(&other.store), [true, true]);
    let adopt = |set_aside, only| Adopt { set_aside, only, now: NOW };
    assert_eq!(other.write(adopt(LetGo::Nothing, None)), Released::default());
    assert_eq!(other.write(adopt(LetGo::NeverSent, Some(Vec::new()))), Released::default());
    let released = Released { sessions: vec![session], ..Released::default() };
    assert_eq!(other.write(adopt(LetGo::NeverSent, None)), released);
    assert_eq!(waiting(&other.store), [false, true], "what a person held stays so");
    drop(folder);
}

#[test]
fn what_a_living_one_has_queued_waits_for_nobody_elses_end() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    let first = fresh.enqueue(session, "of who dies").id;
    let other = Beside::of(&fresh);
    let theirs = other.write(enqueue(session, "of who lives")).id;
    let beat = other.survey(0).others[0].beat;
    let process = other.survey(0).others[0].process;
    let recovery = other.write(TakeOver { process, beat, now: NOW }).unwrap();
    assert_eq!(recovery.held[&session], [first]);
    assert_eq!(leases(&fresh), [(1, other.process.0)]);
    other.write(start(theirs));
}

#[test]
fn a_session_in_which_another_works_is_not_deleted() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    fresh.enqueue(session, "q");
    let other = Beside::of(&fresh);
    let refused = other.store.write_blocking(DeleteSession { session }).unwrap_err();
    assert_eq!(refused, StoreError::Leased(session));
    fresh.write(DeleteSession { session });
}

#[test]
fn a_start_that_clears_the_dead_away_tells_who_followed_them() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    let turn = fresh.start(session, "q");
    let other = Beside::of(&fresh);
    let since = other.survey(0).last;
    let raw = Connection::open(fresh.path()).unwrap();
    raw.execute("UPDATE processes SET started = started + 1 WHERE id <> ?1", [other.process.0]).unwrap();
    let third = Beside::of(&fresh);
    assert_eq!(other.survey(since).changed, [(session, false)].into());
    assert!(matches!(third.store.write_blocking(completed(&turn)), Err(StoreError::WrongState { .. })));
}

#[test]
fn the_database_is_where_links_lead_and_its_lock_is_no_link() {
    let fresh = Fresh::new();
    let link = fresh.folder.path().join("link.db");
    std::os::unix::fs::symlink(fresh.path(), &link).unwrap();
    let (store, opening) = Store::open(&link, NOW).unwrap();
    assert!(!opening.sole, "the lock stands beside the file");
    store.close();
    let Fresh { folder, store } = fresh;
    store.close();
    let (path, precious) = (folder.path().join("chatmux.db"), folder.path().join("precious"));
    std::fs::write(&precious, "text").unwrap();
    std::fs::remove_file(folder.path().join("chatmux.db.lock")).unwrap();
    std::os::unix::fs::symlink(&precious, folder.path().join("chatmux.db.lock")).unwrap();
    let refused = Store::open(&path, NOW).unwrap_err().to_string();
    assert!(refused.contains("is no file of its own: remove it"), "{refused}");
    assert_eq!(std::fs::read_to_string(&precious).unwrap(), "text");
}
