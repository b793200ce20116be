//! Files that are taken away in the middle of a transaction: nothing is acknowledged that is not where the next start looks. What a
//! person sees of it is tested with the real binary (`tests/faults/files.rs`).

use std::fs;

use super::*;

/// Enqueues, and does this before the commit.
struct Meanwhile<F>(Enqueue, F);

impl<F: FnOnce() + Send + 'static> Write for Meanwhile<F> {
    type Reply = Entry;

    fn apply(self, conn: &Connection) -> Result<Entry, StoreError> {
        let entry = self.0.apply(conn)?;
        (self.1)();
        Ok(entry)
    }
}

/// The entries that one finds who opens the database now.
fn found(fresh: &Fresh) -> Vec<String> {
    let visitor = Store::visit(&fresh.path()).unwrap();
    let entries = visitor.read_blocking(PendingEntries).unwrap();
    visitor.close();
    entries.into_iter().map(|entry| entry.text).collect()
}

#[test]
fn what_is_removed_in_mid_transaction_is_there_when_it_is_acknowledged() {
    for suffix in ["", "-wal", "-shm"] {
        let fresh = Fresh::new();
        let session = fresh.session().id;
        let mut file = fresh.path().into_os_string();
        file.push(suffix);
        fresh.write(Meanwhile(enqueue(session, "kept"), move || fs::remove_file(file).unwrap()));
        assert_eq!(found(&fresh), ["kept"], "{suffix:?}");
        fresh.enqueue(session, "more");
        assert_eq!(found(&fresh), ["kept", "more"], "{suffix:?}");
        // Its own reader sees it too.
        assert_eq!(fresh.read(PendingEntries).len(), 2, "{suffix:?}");
        assert_eq!(fresh.reopened(NOW).1.recovery.held.len(), 1, "{suffix:?}");
    }
}

#[test]
fn what_is_replaced_in_mid_transaction_is_not_acknowledged() {
    let (fresh, other) = (Fresh::new(), Fresh::new());
    let session = fresh.session().id;
    let (theirs, path) = (other.path(), fresh.path());
    other.store.close();
    let rescue = fresh.folder.path().join("chatmux.db.rescued");
    let error = fresh.fails(Meanwhile(enqueue(session, "refused"), move || fs::rename(theirs, path).unwrap()));
    let trouble = Trouble::Replaced(Some(fs::canonicalize(&rescue).unwrap()));
    assert_eq!(error, StoreError::Unusable { path: fresh.path(), trouble: trouble.clone() });
    assert_eq!(fresh.fails(enqueue(session, "so is this")), StoreError::Unusable { path: fresh.path(), trouble });
    assert_eq!(found(&fresh), [""; 0], "nothing of it is in the other one");
    let path = fresh.path();
    fresh.store.close();
    assert!(fs::metadata(path).is_ok());
    let rescued = Store::visit(&rescue).unwrap();
    assert_eq!(rescued.read_blocking(PendingEntries).unwrap().len(), 1, "what was open is saved");
    rescued.close();
}

#[test]
fn what_one_process_writes_back_the_other_goes_on_with() {
    for suffixes in [&[""][..], &["", "-wal", "-shm", ".lock"]] {
        let fresh = Fresh::new();
        let session = fresh.session().id;
        let (second, _) = Store::open(&fresh.path(), NOW).unwrap();
        fresh.enqueue(session, "one");
        second.write_blocking(enqueue(session, "two")).unwrap();
        let remove = |suffix: &&str| {
            let mut file = fresh.path().into_os_string();
            file.push(suffix);
            fs::remove_file(file).unwrap();
        };
        suffixes.iter().for_each(remove);
        fresh.enqueue(session, "three");
        second.write_blocking(enqueue(session, "four")).unwrap();
        // And once more, the other way round.
        fs::remove_file(fresh.path()).unwrap();
        second.write_blocking(enqueue(session, "five")).unwrap();
        fresh.enqueue(session, "six");
        assert_eq!(second.read_blocking(PendingEntries).unwrap().len(), 6);
        second.close();
        assert_eq!(found(&fresh), ["one", "two", "three", "four", "five", "six"], "{suffixes:?}");
        fresh.enqueue(session, "seven");
        assert_eq!(found(&fresh).len(), 7, "an end takes no journal away: {suffixes:?}");
        assert_eq!(fresh.reopened(NOW).1.recovery.held.values().flatten().count(), 7);
    }
}

#[test]
fn a_lock_that_is_removed_is_held_again() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    fs::remove_file(fresh.folder.path().join("chatmux.db.lock")).unwrap();
    let turn = fresh.start(session, "runs");
    let (second, opening) = Store::open(&fresh.path(), NOW).unwrap();
    assert_eq!((opening.sole, opening.recovery), (false, Recovery::default()));
    second.close();
    fresh.write(EndTurn { chunks: text("whole"), ..completed(&turn) });
}

/// While one transaction is under way, the database is removed and another process writes it back: what is not in that one's copy
/// is not acknowledged.
#[test]
fn what_another_process_wrote_back_without_it_is_not_acknowledged() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    let (second, _) = Store::open(&fresh.path(), NOW).unwrap();
    fresh.enqueue(session, "one");
    let (path, other) = (fresh.path(), second.clone());
    // The other one sees what is gone when it ends, for that needs no transaction.
    let meanwhile = move || {
        fs::remove_file(path).unwrap();
        other.close();
    };
    let error = fresh.fails(Meanwhile(enqueue(session, "refused"), meanwhile));
    assert_eq!(error, StoreError::Unusable { path: fresh.path(), trouble: Trouble::WrittenBack });
    fresh.enqueue(session, "two");
    assert_eq!(found(&fresh), ["one", "two"]);
}
