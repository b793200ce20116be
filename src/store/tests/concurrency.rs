//! Many senders, several handles, several processes' worth of stores on one file; and what a failure does to its neighbours.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use futures_util::future::join_all;

use super::*;
use crate::domain::EntryId;

/// Holds the writer until told to go on, so that what is sent meanwhile waits for certain.
struct Hold {
    begun: SyncSender<()>,
    go: Receiver<()>,
}

impl Write for Hold {
    type Reply = ();

    fn apply(self, _conn: &Connection) -> Result<(), StoreError> {
        self.begun.send(()).unwrap();
        self.go.recv().unwrap();
        Ok(())
    }
}

/// Keeps the writer busy; what is sent before the returned sender is used goes into the next transaction.
fn hold(store: &Store) -> SyncSender<()> {
    let ((begun, begins), (tell, go)) = (sync_channel(1), sync_channel(1));
    drop(store.submit(Hold { begun, go }));
    begins.recv().unwrap();
    tell
}

/// Lets the database grow by no page, then writes more than fits.
struct FillTheDisk;

impl Write for FillTheDisk {
    type Reply = ();

    fn apply(self, conn: &Connection) -> Result<(), StoreError> {
        let pages: i64 = conn.pragma_query_value(None, "page_count", |row| row.get(0))?;
        conn.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
        conn.execute("INSERT INTO state (key, value) VALUES ('big', ?1)", ["x".repeat(1 << 20)])?;
        Ok(())
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}

#[test]
fn sixty_four_senders_share_commits_and_keep_their_order() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    let before = fresh.store.writer_counts();
    let release = hold(&fresh.store);
    let replies: Vec<_> = (0..640).map(|i| fresh.store.submit(enqueue(session, &i.to_string()))).collect();
    release.send(()).unwrap();
    let entries: Vec<_> = runtime().block_on(join_all(replies)).into_iter().map(Result::unwrap).collect();
    let ids: Vec<_> = entries.iter().map(|e| e.id).collect();
    assert_eq!(ids, (1..=640).map(EntryId).collect::<Vec<_>>());
    assert!(entries.iter().enumerate().all(|(i, e)| e.text == i.to_string()));
    let after = fresh.store.writer_counts();
    assert_eq!(after.operations - before.operations, 641);
    // The held one, and 640 by 256 at most.
    assert_eq!(after.commits - before.commits, 1 + 3);

    let senders: Vec<_> = (0..64)
        .map(|sender| {
            let store = fresh.store.clone();
            std::thread::spawn(move || {
                let one = |i| store.write_blocking(enqueue(session, &format!("{sender}/{i}"))).unwrap().id;
                (0..10).map(one).is_sorted()
            })
        })
        .collect();
    assert!(senders.into_iter().all(|sender| sender.join().unwrap()));
    let counts = fresh.store.writer_counts();
    assert_eq!(counts.operations - after.operations, 640);
    assert!(counts.commits - after.commits <= 640);
    assert_eq!(fresh.read(PendingEntries).len(), 1_280);
}

#[test]
fn an_operation_that_fails_leaves_its_neighbours_alone() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    let before = fresh.store.writer_counts();
    let release = hold(&fresh.store);
    let good = fresh.store.submit(enqueue(session, "before"));
    let bad = fresh.store.submit(enqueue(SessionId(99), "nowhere"));
    let taken = fresh.store.submit(RenameSession { session, name: "docs".parse().unwrap() });
    let after = fresh.store.submit(enqueue(session, "after"));
    release.send(()).unwrap();
    runtime().block_on(async {
        assert_eq!(good.await.map(|e| e.text), Ok("before".to_owned()));
        assert!(matches!(bad.await, Err(StoreError::NoSession(_))));
        assert_eq!(taken.await, Ok(()));
        assert_eq!(after.await.map(|e| e.text), Ok("after".to_owned()));
    });
    assert_eq!(fresh.store.writer_counts().commits - before.commits, 2);
    let (fresh, _) = fresh.reopened(NOW);
    assert_eq!(fresh.read(PendingEntries).len(), 2);
}

#[test]
fn a_full_disk_is_told_to_those_it_hit_and_nobody_is_lied_to() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    let release = hold(&fresh.store);
    let before = fresh.store.submit(enqueue(session, "before"));
    let full = fresh.store.submit(FillTheDisk);
    let after = fresh.store.submit(SetDraft { session, draft: "after".to_owned() });
    release.send(()).unwrap();
    let (before, full, after) = runtime().block_on(async { (before.await, full.await, after.await) });
    let trouble = StoreError::Unusable { path: fresh.path(), trouble: Trouble::Full };
    assert_eq!(full, Err(trouble.clone()));
    // SQLite may undo the one statement or all of the transaction; the replies say which.
    let kept = fresh.read(PendingEntries).len();
    assert_eq!(kept, usize::from(before.is_ok()));
    assert!(before.is_ok() || before == Err(trouble));
    assert_eq!(after, Ok(()));
    assert_eq!(fresh.read(Sessions { closed: false })[0].draft, "after");
}

#[test]
fn a_writer_in_a_transaction_does_not_keep_readers_waiting() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    let release = hold(&fresh.store);
    let reply = fresh.store.submit(enqueue(session, "waits"));
    assert_eq!(fresh.read(Sessions { closed: false }).len(), 1);
    assert_eq!(fresh.read(PendingEntries), []);
    release.send(()).unwrap();
    let entry = runtime().block_on(reply).unwrap();
    assert_eq!(fresh.read(PendingEntries), [entry]);
}

#[test]
fn two_stores_on_one_file_write_side_by_side() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    let (other, _) = Store::open(&fresh.path(), NOW).unwrap();
    let stores = [fresh.store.clone(), other.clone(), fresh.store.clone(), other];
    std::thread::scope(|scope| {
        for (i, store) in stores.into_iter().enumerate() {
            scope.spawn(move || {
                for n in 0..50 {
                    store.write_blocking(enqueue(session, &format!("{i}/{n}"))).unwrap();
                }
            });
        }
    });
    assert_eq!(fresh.read(PendingEntries).len(), 200);
}

#[test]
fn two_stores_never_run_two_turns_of_one_session() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    let (other, _) = Store::open(&fresh.path(), NOW).unwrap();
    let ids: Vec<_> = (0..2).map(|i| fresh.enqueue(session, &i.to_string()).id).collect();
    let start = |store: &Store, entry| store.write_blocking(StartTurn { entry, now: NOW });
    let (mine, theirs) = std::thread::scope(|scope| {
        let mine = scope.spawn(|| start(&fresh.store, ids[0]));
        let theirs = scope.spawn(|| start(&other, ids[1]));
        (mine.join().unwrap(), theirs.join().unwrap())
    });
    assert!(mine.is_ok(), "who queued it has the lease: {mine:?}");
    assert_eq!(theirs, Err(StoreError::Leased(session)));
}

#[test]
fn closing_commits_what_waits_and_ends_the_other_handles() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    let handle = fresh.store.clone();
    let release = hold(&handle);
    let replies: Vec<_> = (0..50).map(|i| handle.submit(enqueue(session, &i.to_string()))).collect();
    release.send(()).unwrap();
    let (fresh, opening) = fresh.reopened(NOW);
    assert!(opening.sole, "the closed one let go of its lock");
    assert_eq!(fresh.read(PendingEntries).len(), 50);
    assert!(runtime().block_on(join_all(replies)).iter().all(Result::is_ok));
    assert_eq!(handle.write_blocking(enqueue(session, "late")).unwrap_err(), StoreError::Closed);
    assert_eq!(runtime().block_on(handle.read(ActiveSession)), Err(StoreError::Closed));
    handle.close();
}

#[test]
fn dropping_the_last_handle_commits_what_waits() {
    let Fresh { folder, store } = Fresh::new();
    let release = hold(&store);
    let create = CreateSession { name: None, model: "demo".parse().unwrap(), system: String::new(), now: NOW };
    drop(store.submit(create.clone()));
    let last = store.submit(create);
    drop(store);
    release.send(()).unwrap();
    assert_eq!(runtime().block_on(last).map(|s| s.id), Ok(SessionId(2)));
    let visitor = Store::visit(&folder.path().join("chatmux.db")).unwrap();
    assert_eq!(visitor.read_blocking(Sessions { closed: false }).unwrap().len(), 2);
}
