//! Files that are removed or replaced under an open store: nothing is written any more, what was acknowledged is saved. What a person
//! sees of it is tested with the real binary (`tests/faults/files.rs`).

use std::fs;

use super::files::{Files, Place};
use super::open::Presence;
use super::*;
use crate::store::rescue::check_copy;

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

fn beside(fresh: &Fresh, suffix: &str) -> PathBuf {
    let mut file = fresh.path().into_os_string();
    file.push(suffix);
    file.into()
}

fn remove(fresh: &Fresh, suffixes: &[&str]) {
    suffixes.iter().for_each(|suffix| fs::remove_file(beside(fresh, suffix)).unwrap());
}

fn lost(error: &StoreError) -> LostFiles {
    let StoreError::Unusable { trouble: Trouble::Lost(lost), .. } = error else { panic!("{error:?}") };
    (**lost).clone()
}

/// The texts of what waits in a saved copy.
fn waits_in(saved: &Path) -> Vec<String> {
    assert_eq!(check(saved).unwrap().faults, [""; 0]);
    let (saved, _) = Store::open(saved, NOW).unwrap();
    let entries = saved.read_blocking(PendingEntries).unwrap();
    saved.close();
    entries.into_iter().map(|entry| entry.text).collect()
}

#[test]
fn what_was_acknowledged_is_saved_and_nothing_more_is_written() {
    for (suffixes, loss) in [
        (&[""][..], Loss::Removed),
        (&["", "-wal", "-shm", ".lock"], Loss::Removed),
        (&["", "-wal"], Loss::Removed),
        (&["", "-shm"], Loss::Removed),
        (&["-wal"], Loss::Journal),
        (&["-shm"], Loss::Journal),
    ] {
        let fresh = Fresh::new();
        let session = fresh.session().id;
        fresh.enqueue(session, "kept");
        // The reader has its files open since its first look.
        assert_eq!(fresh.read(PendingEntries).len(), 1);
        remove(&fresh, suffixes);
        let error = fresh.fails(enqueue(session, "refused"));
        let said = lost(&error);
        assert_eq!(said.loss, loss, "{suffixes:?}");
        assert_eq!(fresh.fails(enqueue(session, "refused too")), error, "{suffixes:?}: it is saved once");
        assert_eq!(fresh.store.is_lost(), Some(error), "{suffixes:?}");
        let found = rescued(&fresh.path(), None);
        assert_eq!(found, [fs::canonicalize(said.saved.unwrap()).unwrap()], "{suffixes:?}");
        // What the process can still read is all there.
        assert_eq!(fresh.read(PendingEntries).len(), 1, "{suffixes:?}");
        fresh.store.close();
        assert_eq!(waits_in(&found[0]), ["kept"], "{suffixes:?}");
    }
}

#[test]
fn a_commit_behind_which_the_files_are_gone_is_acknowledged_by_the_copy() {
    for suffix in ["", "-wal", "-shm"] {
        let fresh = Fresh::new();
        let session = fresh.session().id;
        let file = beside(&fresh, suffix);
        fresh.write(Meanwhile(enqueue(session, "kept"), move || fs::remove_file(file).unwrap()));
        // Before anything else happens: a kill in this moment takes nothing of it.
        let found = rescued(&fresh.path(), None);
        assert_eq!(found.len(), 1, "{suffix:?}");
        assert_eq!(waits_in(&found[0]), ["kept"], "{suffix:?}");
        fresh.store.close();
    }
}

#[test]
fn a_file_that_takes_its_place_is_left_alone() {
    let (fresh, other) = (Fresh::new(), Fresh::new());
    let session = fresh.session().id;
    fresh.enqueue(session, "kept");
    let theirs = other.path();
    other.store.close();
    let bytes = fs::read(&theirs).unwrap();
    fs::rename(theirs, fresh.path()).unwrap();
    let said = lost(&fresh.fails(enqueue(session, "refused")));
    assert_eq!(said.loss, Loss::Replaced);
    let path = fresh.path();
    fresh.store.close();
    assert_eq!(fs::read(&path).unwrap(), bytes);
    assert!(!beside_path(&path, "-wal").exists(), "the old journal is not left for the new database");
    let visitor = Store::visit(&path).unwrap();
    assert_eq!(visitor.read_blocking(PendingEntries).unwrap(), []);
    visitor.close();
    assert_eq!(waits_in(&said.saved.unwrap()), ["kept"]);
}

fn beside_path(path: &Path, suffix: &str) -> PathBuf {
    let mut file = path.as_os_str().to_owned();
    file.push(suffix);
    file.into()
}

#[tokio::test]
async fn a_folder_that_is_removed_leaves_the_refuge() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    let refuge = tempfile::tempdir().unwrap();
    let folder = refuge.path().join("state");
    fresh.store.save_into(folder.clone());
    fresh.enqueue(session, "kept");
    fs::remove_dir_all(fresh.folder.path()).unwrap();
    fresh.store.write(enqueue(session, "refused")).await.unwrap_err();
    // An attempt may have fallen between the removal of the files and that of their folder.
    let said = lost(&fresh.store.lost().await);
    assert!(said.without_folder && said.to_string().contains("mkdir -p"), "{said}");
    let saved = said.saved.unwrap();
    assert_eq!(rescued(&fresh.path(), Some(&folder)), std::slice::from_ref(&saved));
    fresh.store.close();
    assert_eq!(waits_in(&saved), ["kept"]);
}

/// Nothing was copied yet when the files go, and the last write was long ago.
#[test]
fn what_is_removed_before_the_end_is_saved_by_the_end() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    fresh.enqueue(session, "kept");
    remove(&fresh, &["", "-wal", "-shm"]);
    let store = fresh.store.clone();
    fresh.store.close();
    let saved = lost(&store.is_lost().unwrap()).saved.unwrap();
    assert_eq!(waits_in(&saved), ["kept"]);
}

/// What cannot be saved is tried again at each look; the commit behind which the files went is acknowledged then.
#[tokio::test]
async fn a_copy_that_fails_is_tried_again() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    let refuge = tempfile::tempdir().unwrap();
    let folder = refuge.path().join("state");
    // A file stands where the folder would be made.
    fs::write(&folder, "").unwrap();
    fresh.store.save_into(folder.clone());
    let (mut news, path) = (fresh.store.clone(), fresh.folder.path().to_owned());
    let committed = fresh.store.submit(Meanwhile(enqueue(session, "kept"), move || fs::remove_dir_all(path).unwrap()));
    let said = news.loss().await.unwrap();
    assert!(matches!(said, StoreError::Unusable { trouble: Trouble::Unsaved(Loss::Removed, _), .. }), "{said:?}");
    assert_eq!(fresh.store.write(enqueue(session, "refused")).await.unwrap_err(), said);
    fs::remove_file(&folder).unwrap();
    assert_eq!(committed.await.unwrap().text, "kept");
    let saved = lost(&fresh.store.lost().await).saved.unwrap();
    assert_eq!(waits_in(&saved), ["kept"]);
}

/// Who ends the program does not wait for minutes until a disk has space again.
#[tokio::test]
async fn at_the_end_a_copy_that_fails_is_tried_once_more() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    let refuge = tempfile::tempdir().unwrap();
    let blocked = refuge.path().join("state");
    fs::write(&blocked, "").unwrap();
    fresh.store.save_into(blocked);
    let mut news = fresh.store.clone();
    fs::remove_dir_all(fresh.folder.path()).unwrap();
    fresh.fails(enqueue(session, "refused"));
    assert!(!news.loss().await.unwrap().is_lost(), "it is tried again");
    fresh.store.hurry();
    let said = lost(&fresh.store.lost().await);
    assert!(said.saved.is_err(), "{said}");
}

/// The refuge keeps copies of every database whose folder went.
#[tokio::test]
async fn a_copy_in_the_refuge_belongs_to_one_database() {
    let refuge = tempfile::tempdir().unwrap();
    for fresh in [Fresh::new(), Fresh::new()] {
        fresh.store.save_into(refuge.path().to_owned());
        fs::remove_dir_all(fresh.folder.path()).unwrap();
        let saved = lost(&fresh.store.lost().await).saved.unwrap();
        assert_eq!(rescued(&fresh.path(), Some(refuge.path())), [saved]);
    }
    let long = PathBuf::from(format!("/{}", "a/".repeat(300))).join("chatmux.db");
    assert!(rescued(&long, Some(refuge.path())).is_empty());
}

/// Another file stood at the lock's path when it was looked at: the one that is held counts.
#[test]
fn the_lock_is_known_by_the_file_that_is_open() {
    let fresh = Fresh::new();
    let (presence, alone) = Presence::take(&beside(&fresh, "-other")).unwrap();
    assert!(alone && Files::of(&fresh.path(), None).is_ok());
    let held = Files::of(&fresh.path(), Some(&presence)).unwrap();
    assert_eq!(held.look(), Place::LockGone);
}

/// Another process writes the file through a shared memory of its own, and what is open reads pages that do not fit together.
#[test]
fn a_damaged_copy_is_not_kept() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    for n in 0..200 {
        fresh.enqueue(session, &format!("{n} {}", "text ".repeat(200)));
    }
    let path = fresh.path();
    // All pages into the file, and out of the journal.
    let conn = Connection::open(&path).unwrap();
    conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    let root: i64 = conn.query_row("SELECT max(rootpage) FROM sqlite_schema", [], |row| row.get(0)).unwrap();
    drop(conn);
    assert!(check_copy(&path).is_ok());
    let mut bytes = fs::read(&path).unwrap();
    let start = usize::try_from(root - 1).unwrap() * 4096;
    bytes[start..start + 64].fill(0xFF);
    let damaged = beside(&fresh, "-damaged");
    fs::write(&damaged, bytes).unwrap();
    assert!(check_copy(&damaged).unwrap_err().starts_with("the copy "));
}

/// Whichever of them looks first: each copy holds what any of them acknowledged.
#[tokio::test]
async fn of_several_each_saves_all() {
    for suffixes in [&[""][..], &["-wal"], &["", "-wal", "-shm", ".lock"]] {
        let fresh = Fresh::new();
        let session = fresh.session().id;
        let (second, _) = Store::open(&fresh.path(), NOW).unwrap();
        fresh.enqueue(session, "one");
        second.write_blocking(enqueue(session, "two")).unwrap();
        remove(&fresh, suffixes);
        fresh.fails(enqueue(session, "refused"));
        second.write(enqueue(session, "refused")).await.unwrap_err();
        // Both are of one process here, so the second copy gets its name a second later.
        let errors = [fresh.store.lost().await, second.lost().await];
        second.close();
        let path = fresh.path();
        fresh.store.close();
        for error in errors {
            assert_eq!(waits_in(&lost(&error).saved.unwrap()), ["one", "two"], "{suffixes:?}");
        }
        assert!(suffixes.contains(&"") != path.exists(), "nobody writes anything back: {suffixes:?}");
    }
}

/// The database stands at its path, and its journal does not: the copy is put back as the remedy says.
#[test]
fn the_remedy_brings_everything_back() {
    for suffixes in [&[""][..], &["-wal"], &["-shm"]] {
        let fresh = Fresh::new();
        let session = fresh.session().id;
        fresh.enqueue(session, "kept");
        remove(&fresh, suffixes);
        let said = fresh.fails(enqueue(session, "refused")).to_string();
        let path = fresh.path();
        fresh.store.close();
        let remedy = said.split_once(", then: ").unwrap().1;
        assert!(std::process::Command::new("sh").args(["-c", remedy]).status().unwrap().success(), "{remedy}");
        let (again, opening) = Store::open(&path, NOW).unwrap();
        assert_eq!(opening.recovery.held.values().flatten().count(), 1, "{suffixes:?}");
        // A copy that is open has files beside it, and one that a kill cut off is none.
        for end in [".lock", "-7.part"] {
            fs::write(beside_path(&path, &format!(".rescued-20260101T000000Z-1{end}")), "").unwrap();
        }
        again.close();
        assert_eq!(rescued(&path, None), [""; 0].map(PathBuf::from));
    }
}

#[test]
fn a_lock_that_is_removed_is_held_again() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    remove(&fresh, &[".lock"]);
    let turn = fresh.start(session, "runs");
    let (second, opening) = Store::open(&fresh.path(), NOW).unwrap();
    assert_eq!((opening.sole, opening.recovery), (false, Recovery::default()));
    second.close();
    fresh.write(EndTurn { chunks: text("whole"), ..completed(&turn) });
}

#[test]
fn paths_are_quoted_for_the_shell() {
    let path = PathBuf::from("/tmp/Application Support/it's.db");
    let saved = Ok(PathBuf::from("/tmp/copy.db"));
    let said = LostFiles { loss: Loss::Journal, saved, path, without_folder: false }.to_string();
    assert!(said.ends_with(r"mv -n /tmp/copy.db '/tmp/Application Support/it'\''s.db'"), "{said}");
}
