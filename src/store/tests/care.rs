//! The care of a database: looks that change nothing, copies that are whole, space given back.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::*;

/// Every file of a folder with its bytes.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(&path).unwrap())).collect()
}

/// A database with a turn, a dead letter and something that waits, which nobody has open.
fn left() -> (tempfile::TempDir, PathBuf) {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    fresh.turn(session, "q", "a");
    fresh.dead(session, "fails");
    fresh.enqueue(session, "waits");
    let other = fresh.session().id;
    fresh.write(CloseSession { session: other, now: NOW });
    let path = fresh.path();
    fresh.store.close();
    (fresh.folder, path)
}

fn expected_counts() -> Counts {
    let entries = [(EntryState::Pending, 1), (EntryState::Done, 1), (EntryState::Dead, 1)];
    Counts { sessions: 1, archived: 1, messages: 4, entries: entries.into() }
}

#[test]
fn a_check_counts_and_changes_nothing() {
    let (folder, path) = left();
    let before = files(folder.path());
    let found = check(&path).unwrap();
    assert_eq!((found.faults.clone(), found.counts.clone()), (Vec::new(), Some(expected_counts())));
    assert_eq!((found.schema, found.known, found.application_id), (open::SCHEMA, open::SCHEMA, 0x6368_6d78));
    assert_eq!((found.file_bytes, found.journal_bytes), (fs::metadata(&path).unwrap().len(), 0));
    assert!(files(folder.path()) == before, "no file came or changed: {:?}", files(folder.path()).keys());
}

#[test]
fn a_check_works_among_those_who_live_and_sees_what_they_committed() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    fresh.enqueue(session, "waits");
    let found = check(&fresh.path()).unwrap();
    assert_eq!(found.counts.unwrap().entries, [(EntryState::Pending, 1)].into());
    assert!(found.journal_bytes > 0);
    fresh.enqueue(session, "more");
    assert_eq!(check(&fresh.path()).unwrap().counts.unwrap().entries, [(EntryState::Pending, 2)].into());
}

#[test]
fn a_check_works_where_nothing_can_be_written() {
    let (folder, path) = left();
    fs::set_permissions(&path, Permissions::from_mode(0o400)).unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o500)).unwrap();
    let found = check(&path);
    fs::set_permissions(folder.path(), Permissions::from_mode(0o700)).unwrap();
    assert_eq!(found.unwrap().counts, Some(expected_counts()));
}

#[test]
fn an_older_schema_is_checked_as_it_is() {
    let (folder, path) = left();
    let old = folder.path().join("old.db");
    let mut raw = Connection::open(&old).unwrap();
    open::MIGRATIONS.to_version(&mut raw, 1).unwrap();
    raw.close().unwrap();
    let found = check(&old).unwrap();
    assert_eq!((found.schema, found.known, found.counts), (1, open::SCHEMA, Some(Counts::default())));
    assert_eq!(check(&path).unwrap().schema, open::SCHEMA);
}

#[test]
fn what_is_not_there_is_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.db");
    let empty = folder.path().join("empty.db");
    File::create(&empty).unwrap();
    for path in [&missing, &empty] {
        let expected = StoreError::unusable(path, Trouble::Missing);
        assert_eq!(check(path), Err(expected.clone()));
        assert_eq!(vacuum(path), Err(expected.clone()));
        assert_eq!(back_up(path, &folder.path().join("copy.db")), Err(expected.into()));
    }
    let mut names: Vec<_> = files(folder.path()).into_keys().collect();
    names.retain(|name| !name.ends_with(".lock"));
    assert_eq!(names, ["empty.db"]);
    let folder = folder.path();
    assert_eq!(check(folder), Err(StoreError::unusable(folder, Trouble::NotAFile)));
}

#[test]
fn damage_is_found() {
    let (_folder, path) = left();
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.windows(5).position(|window| window == b"fails").unwrap();
    let page = at / 4_096 * 4_096;
    bytes[page..page + 64].fill(0xff);
    fs::write(&path, bytes).unwrap();
    let found = check(&path).unwrap();
    assert!(!found.faults.is_empty() && found.faults.len() <= 20, "{found:?}");
    let error = back_up(&path, &path.with_file_name("copy.db")).unwrap_err();
    assert!(error.to_string().contains("is damaged"), "{error}");
    assert!(!path.with_file_name("copy.db").exists(), "no half copy");
}

#[test]
fn rows_without_their_session_are_found() {
    let (_folder, path) = left();
    let raw = Connection::open(&path).unwrap();
    raw.pragma_update(None, "foreign_keys", false).unwrap();
    raw.execute("DELETE FROM sessions WHERE id = 1", []).unwrap();
    raw.close().unwrap();
    let faults = check(&path).unwrap().faults;
    assert!(faults.iter().any(|fault| fault == "row 1 of entries belongs to no row of sessions"), "{faults:?}");
}

#[test]
fn a_backup_is_a_database_of_one_moment_while_others_write() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    let place = fresh.folder.path().join("copies/copy.db");
    fs::create_dir(place.parent().unwrap()).unwrap();
    std::thread::scope(|scope| {
        let (store, path) = (fresh.store.clone(), fresh.path());
        let writer = scope.spawn(move || {
            // Two rows in one transaction, again and again: a copy has both or none.
            for n in 0..200 {
                let both = [1, 2].map(|i| enqueue(session, &format!("{n}.{i}")));
                let replies = both.map(|op| store.write_blocking(op));
                replies.into_iter().for_each(|reply| drop(reply.unwrap()));
            }
        });
        let bytes = back_up(&path, &place).unwrap();
        assert_eq!(bytes, fs::metadata(&place).unwrap().len());
        writer.join().unwrap();
    });
    assert_eq!(fs::metadata(&place).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(files(place.parent().unwrap()).len(), 1, "nothing else is left");
    assert_eq!(check(&place).unwrap().faults, [""; 0]);
    let (copy, opening) = Store::open(&place, NOW).unwrap();
    assert!(opening.sole && !opening.created && copy.upgraded().is_none());
    let pending = copy.read_blocking(PendingEntries).unwrap();
    let whole = fresh.read(PendingEntries);
    assert!(pending.len() <= whole.len() && pending.iter().zip(&whole).all(|(a, b)| a.text == b.text));
    copy.close();
}

#[test]
fn a_backup_overwrites_nothing() {
    let (folder, path) = left();
    let place = folder.path().join("copy.db");
    fs::write(&place, "precious").unwrap();
    assert_eq!(back_up(&path, &place), Err(BackupError::Exists(place.clone())));
    let link = folder.path().join("link.db");
    std::os::unix::fs::symlink(folder.path().join("nowhere"), &link).unwrap();
    assert_eq!(back_up(&path, &link), Err(BackupError::Exists(link.clone())));
    // The database's own names are taken also while nothing stands there.
    let other_way = folder.path().join("way");
    std::os::unix::fs::symlink(folder.path(), &other_way).unwrap();
    for name in ["chatmux.db", "chatmux.db-wal", "chatmux.db-shm", "chatmux.db-journal", "chatmux.db.lock"] {
        for place in [folder.path().join(name), other_way.join(name), folder.path().join("./").join(name)] {
            let error = back_up(&path, &place).unwrap_err();
            assert!(matches!(error, BackupError::Own(_)), "{}: {error}", place.display());
            assert!(error.to_string().contains("name another file"), "{error}");
        }
    }
    assert_eq!(fs::read(&place).unwrap(), b"precious");
    assert_eq!(check(&path).unwrap().counts, Some(expected_counts()));
}

#[test]
fn a_backup_without_a_folder_says_so() {
    let (folder, path) = left();
    let place = folder.path().join("no/such/copy.db");
    let text = back_up(&path, &place).unwrap_err().to_string();
    assert!(text.contains("its folder does not exist: make that first") && text.contains("copy.db"), "{text}");
    assert!(matches!(back_up(&path, Path::new("/")), Err(BackupError::NotAFile(_))));
}

#[test]
fn unused_space_is_given_back() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    fresh.write(SetDraft { session, draft: "x".repeat(4 << 20) });
    fresh.write(SetDraft { session, draft: "kept".to_owned() });
    let path = fresh.path();
    // The store lives meanwhile, and is not disturbed.
    let done = vacuum(&path).unwrap();
    assert!(done.before > 4 << 20 && done.after < 1 << 20 && !done.has_readers, "{done:?}");
    assert_eq!(check(&path).unwrap().free_bytes, 0);
    assert_eq!(fresh.read(FindSession(SessionRef::Id(session))).unwrap().draft, "kept");
    fresh.turn(session, "q", "a");
    fresh.store.close();
    let done = vacuum(&path).unwrap();
    assert!(done.after <= done.before, "{done:?}");
    assert_eq!(check(&path).unwrap().faults, [""; 0]);
}

#[test]
fn space_is_given_back_later_where_somebody_reads() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    fresh.write(SetDraft { session, draft: "x".repeat(1 << 20) });
    fresh.write(SetDraft { session, draft: String::new() });
    let reader = Connection::open(fresh.path()).unwrap();
    reader.execute_batch("BEGIN").unwrap();
    let _: i64 = reader.query_row("SELECT count(*) FROM sessions", [], |row| row.get(0)).unwrap();
    assert!(vacuum(&fresh.path()).unwrap().has_readers);
    drop(reader);
    assert!(!vacuum(&fresh.path()).unwrap().has_readers);
}

/// A database where nothing can be written, for as long as `look` takes.
fn unwritable<T>(folder: &Path, path: &Path, look: impl FnOnce() -> T) -> T {
    fs::set_permissions(path, Permissions::from_mode(0o400)).unwrap();
    fs::set_permissions(folder, Permissions::from_mode(0o500)).unwrap();
    let found = look();
    fs::set_permissions(folder, Permissions::from_mode(0o700)).unwrap();
    found
}

fn read_only(path: &Path) -> ReadOnly {
    ReadOnly::instead(path, Store::visit(path).unwrap_err()).unwrap()
}

#[test]
fn lists_are_read_where_nothing_can_be_written() {
    let (folder, path) = left();
    let before = files(folder.path());
    let (sessions, stats) = unwritable(folder.path(), &path, || {
        let database = read_only(&path);
        (database.read(&SessionSummaries { closed: true }).unwrap(), database.read(&AllStats).unwrap())
    });
    assert_eq!(sessions.len(), 2);
    assert_eq!(stats.0.complete, 1);
    assert!(files(folder.path()) == before, "nothing came or changed");
}

#[test]
fn an_older_schema_that_cannot_be_upgraded_is_told_with_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("old.db");
    let mut raw = Connection::open(&path).unwrap();
    open::MIGRATIONS.to_version(&mut raw, 3).unwrap();
    raw.close().unwrap();
    let error = unwritable(folder.path(), &path, || read_only(&path).read(&AllStats).unwrap_err());
    let expected = Trouble::OlderReadOnly { found: 3, known: open::SCHEMA };
    assert_eq!(error, StoreError::unusable(&path, expected));
    assert!(error.to_string().contains("name the copy with --db"), "{error}");
}

#[test]
fn another_refusal_stays_one() {
    let refusal = StoreError::unusable(Path::new("x"), Trouble::Foreign);
    assert_eq!(ReadOnly::instead(Path::new("x"), refusal.clone()).unwrap_err(), refusal);
}
