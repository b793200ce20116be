//! The file: modes, folders, and every way in which a path can be wrong.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::*;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// The message of a failed opening, without the path it begins with.
fn refusal(path: &Path) -> String {
    let error = Store::open(path, NOW).unwrap_err();
    assert!(error.is_unusable(), "{error:?}");
    assert_eq!(Store::visit(path).unwrap_err(), error);
    let text = error.to_string();
    let begins = format!("the database {} ", path.display());
    assert!(text.starts_with(&begins), "{text}");
    text[begins.len()..].to_owned()
}

#[test]
fn the_migrations_are_sound() {
    open::MIGRATIONS.validate().unwrap();
    let fresh = Fresh::new();
    fresh.turn(fresh.session().id, "q", "a");
    let (path, folder) = (fresh.path(), fresh.folder);
    fresh.store.close();
    let raw = Connection::open(path).unwrap();
    let check: String = raw.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
    drop(folder);
}

/// A list in a rule is made into a table for each row that is written; a wrong word is refused all the same.
#[test]
fn rules_are_cheap_and_hold() {
    let fresh = Fresh::new();
    fresh.turn(fresh.session().id, "q", "a");
    let raw = Connection::open(fresh.path()).unwrap();
    for (table, column) in [
        ("entries", "priority"),
        ("entries", "origin"),
        ("entries", "state"),
        ("messages", "role"),
        ("messages", "state"),
        ("messages", "finish_reason"),
    ] {
        let update = format!("UPDATE {table} SET {column} = 'nonsense'");
        let error = raw.execute(&update, []).unwrap_err().to_string();
        assert!(error.contains("CHECK constraint failed"), "{update}: {error}");
        let mut explained = raw.prepare(&format!("EXPLAIN {update}")).unwrap();
        let steps = explained.query_map([], |row| row.get::<_, String>(1)).unwrap();
        assert!(steps.into_iter().all(|step| step.unwrap() != "OpenEphemeral"), "{update}");
    }
}

#[test]
fn folders_and_files_are_private() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    let path = folder.path().join("a/b/chatmux.db");
    let (store, _) = Store::open(&path, NOW).unwrap();
    store.write_blocking(SetActive { session: SessionId(1) }).unwrap_err();
    store
        .write_blocking(CreateSession { name: None, model: "demo".parse().unwrap(), system: String::new(), now: NOW })
        .unwrap();
    assert_eq!(mode(folder.path()), 0o755);
    assert_eq!((mode(&folder.path().join("a")), mode(&folder.path().join("a/b"))), (0o700, 0o700));
    for file in ["chatmux.db", "chatmux.db-wal", "chatmux.db-shm", "chatmux.db.lock"] {
        assert_eq!(mode(&folder.path().join("a/b").join(file)), 0o600, "{file}");
    }
    store.close();
    assert!(!folder.path().join("a/b/chatmux.db-wal").exists());
}

/// The test above once more, in processes of their own: a umask belongs to the whole process.
#[test]
fn files_are_private_under_any_umask() {
    for umask in ["0000", "0022", "0777"] {
        let outcome = std::process::Command::new("sh")
            .args([
                "-c",
                "umask \"$0\" && exec \"$1\" --exact store::tests::opening::folders_and_files_are_private",
                umask,
            ])
            .arg(std::env::current_exe().unwrap())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&outcome.stdout);
        assert!(outcome.status.success() && said.contains("1 passed"), "umask {umask}: {said}");
    }
}

#[test]
fn a_database_of_a_newer_chatmux_is_left_alone() {
    let fresh = Fresh::new();
    let (path, _folder) = (fresh.path(), fresh.folder);
    fresh.store.close();
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let known = open::SCHEMA;
    let expected = format!(
        "was written by a newer chatmux (schema 99, this one knows {known}): upgrade chatmux, or use another with --db"
    );
    assert_eq!(refusal(&path), expected);
}

/// A database as the first schema had it: a done turn, a dead one, and two that wait.
fn first_schema(path: &Path) {
    let mut raw = Connection::open(path).unwrap();
    open::MIGRATIONS.to_version(&mut raw, 1).unwrap();
    raw.execute_batch(
        "INSERT INTO sessions (name, model, created_at_ms) VALUES ('main', 'demo:tour', 1), ('two', 'demo:tour', 1);
         INSERT INTO entries (session_id, priority, origin, state, created_at_ms, text) VALUES
             (1, 'normal', 'user', 'done', 1, 'q'), (2, 'normal', 'user', 'pending', 2, 'elsewhere'),
             (1, 'normal', 'user', 'dead', 3, 'fails'), (1, 'low', 'user', 'pending', 4, 'low'),
             (1, 'normal', 'user', 'pending', 5, 'normal');
         INSERT INTO messages (session_id, entry_id, role, state, created_at_ms, text) VALUES
             (1, 1, 'user', 'complete', 1, 'q'), (1, 1, 'assistant', 'complete', 1, 'a');",
    )
    .unwrap();
}

#[test]
fn a_database_of_the_first_schema_is_upgraded_with_all_that_is_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chatmux.db");
    first_schema(&path);
    let (store, opening) = Store::open(&path, NOW).unwrap();
    assert!(!opening.created && opening.recovery.requeued.is_empty());
    let pending = store.read_blocking(PendingEntries).unwrap();
    let place = |e: &Entry| (e.id.0, e.position, e.continues, e.text.clone());
    let expected = [(5, 5, false, "normal".to_owned()), (4, 4, false, "low".to_owned())];
    assert_eq!(pending.iter().map(place).collect::<Vec<_>>()[..2], expected);
    let session = SessionId(1);
    let history = store.read_blocking(History { session, last: 9 }).unwrap();
    assert_eq!(history.iter().map(|m| (m.text.as_str(), m.seams.len())).collect::<Vec<_>>(), [("q", 0), ("a", 0)]);
    assert_eq!(store.read_blocking(DeadEntries { session: None }).unwrap().len(), 1);
    let next = store.write_blocking(enqueue(session, "next")).unwrap();
    assert_eq!((next.id, next.position), (EntryId(6), 6));
    let turn = store.write_blocking(StartTurn { entry: EntryId(5), now: NOW }).unwrap();
    store.write_blocking(completed(&turn)).unwrap();
    assert_eq!(store.read_blocking(StatsOf { session: Some(session) }).unwrap().complete, 1);
    store.write_blocking(KeepTyped { session, line: "typed".to_owned(), now: NOW }).unwrap();
    assert_eq!(store.read_blocking(TypedIn { session }).unwrap(), ["typed"]);
    assert_eq!(store.write_blocking(TakeBackTurn { entry: EntryId(1), now: NOW }).unwrap().entry.text, "q");
    let left = store.read_blocking(History { session, last: 9 }).unwrap();
    assert_eq!(left.iter().map(|m| m.entry).collect::<Vec<_>>(), [EntryId(5), EntryId(5)]);
    store.close();
    let raw = Connection::open(&path).unwrap();
    for (pragma, expected) in [("integrity_check", "ok"), ("user_version", &open::SCHEMA.to_string())] {
        let found: String = raw
            .query_row(&format!("SELECT CAST({pragma} AS TEXT) FROM pragma_{pragma}"), [], |row| row.get(0))
            .unwrap();
        assert_eq!(found, expected, "{pragma}");
    }
}

#[test]
fn what_is_no_database_of_ours_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let notes = folder.path().join("notes.txt");
    fs::write(&notes, "dear diary, ".repeat(100)).unwrap();
    let text = refusal(&notes);
    assert!(text.starts_with("is not a database, or its first bytes are damaged: restore it from a backup"), "{text}");
    assert!(text.contains("chatmux db salvage FILE NEW"), "{text}");
    assert_eq!(fs::read_to_string(&notes).unwrap(), "dear diary, ".repeat(100));

    let foreign = folder.path().join("places.sqlite");
    Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE moz_places (id INTEGER)").unwrap();
    let before = fs::read(&foreign).unwrap();
    assert_eq!(refusal(&foreign), "belongs to another program: use another file with --db");
    assert_eq!(fs::read(&foreign).unwrap(), before);

    assert_eq!(refusal(folder.path()), "is not a file: name a file with --db");
    assert_eq!(refusal(Path::new("/dev/null")), "is not a file: name a file with --db");
    assert!(refusal(&notes.join("chatmux.db")).starts_with("cannot be read or written ("));
}

#[test]
fn a_damaged_database_is_said_to_be() {
    let fresh = Fresh::new();
    let (path, _folder) = (fresh.path(), fresh.folder);
    fresh.store.close();
    let mut bytes = fs::read(&path).unwrap();
    // The first page stays a header; what it says of tables is garbage.
    bytes[100..4_096].fill(0xff);
    fs::write(&path, bytes).unwrap();
    let text = refusal(&path);
    assert!(text.starts_with("is damaged (") && text.contains("restore it from a backup"), "{text}");
}

#[test]
fn what_cannot_be_written_is_refused_at_once_also_for_root() {
    let fresh = Fresh::new();
    let (path, folder) = (fresh.path(), fresh.folder);
    fresh.store.close();
    fs::set_permissions(&path, Permissions::from_mode(0o400)).unwrap();
    assert_eq!(refusal(&path), "cannot be written: make it writable (chmod u+w), or use another with --db");
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o500)).unwrap();
    let text = refusal(&path);
    fs::set_permissions(folder.path(), Permissions::from_mode(0o700)).unwrap();
    assert!(text.starts_with("cannot be used, for its folder cannot be written"), "{text}");
}

#[test]
fn an_empty_file_and_odd_names_become_databases() {
    let folder = tempfile::tempdir().unwrap();
    for name in [":memory:", "file:x?mode=memory", "a b#%41.db"] {
        let path = folder.path().join(name);
        fs::write(&path, "").unwrap();
        let (store, opening) = Store::open(&path, NOW).unwrap();
        assert!(opening.created);
        store.close();
        assert!(fs::metadata(&path).unwrap().len() > 0, "{name}");
    }
}

#[test]
fn many_that_open_at_once_agree_on_one_schema() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chatmux.db");
    std::thread::scope(|scope| {
        let openers: Vec<_> = (0..8)
            .map(|i| {
                let path = &path;
                scope.spawn(move || {
                    let store =
                        if i % 2 == 0 { Store::visit(path).unwrap() } else { Store::open(path, NOW).unwrap().0 };
                    let create = |_| CreateSession {
                        name: None,
                        model: "demo".parse().unwrap(),
                        system: String::new(),
                        now: NOW,
                    };
                    (0..20).map(create).for_each(|op| drop(store.write_blocking(op).unwrap()));
                    store.close();
                })
            })
            .collect();
        openers.into_iter().for_each(|opener| opener.join().unwrap());
    });
    let (store, _) = Store::open(&path, NOW).unwrap();
    assert_eq!(store.read_blocking(Sessions { closed: true }).unwrap().len(), 160);
}

/// The trouble of a path under which a database is not opened.
fn trouble_of(error: StoreError) -> Trouble {
    match error {
        StoreError::Unusable { trouble, .. } => trouble,
        other => panic!("{other}"),
    }
}

/// Made while somebody has it open: nobody else opens it, under neither name.
#[test]
fn a_database_with_another_name_is_refused() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    let (path, other) = (fresh.path(), fresh.folder.path().join("other.db"));
    fs::hard_link(&path, &other).unwrap();
    for name in [&path, &other] {
        assert_eq!(trouble_of(Store::open(name, NOW).unwrap_err()), Trouble::OtherNames(1));
        assert_eq!(trouble_of(Store::visit(name).unwrap_err()), Trouble::OtherNames(1));
        assert_eq!(trouble_of(check(name).unwrap_err()), Trouble::OtherNames(1));
    }
    fresh.enqueue(session, "who has it open goes on");
    fs::hard_link(&path, fresh.folder.path().join("third.db")).unwrap();
    let said = Store::visit(&other).unwrap_err().to_string();
    assert!(said.contains("has 2 other names") && said.contains("ln -s"), "{said}");
    ["other.db", "third.db"].iter().for_each(|name| fs::remove_file(fresh.folder.path().join(name)).unwrap());
    let visitor = Store::visit(&path).unwrap();
    assert_eq!(visitor.read_blocking(PendingEntries).unwrap().len(), 1);
    visitor.close();
}

#[test]
fn a_link_to_a_database_is_no_other_name() {
    let fresh = Fresh::new();
    fresh.session();
    let link = fresh.folder.path().join("link.db");
    std::os::unix::fs::symlink(fresh.path(), &link).unwrap();
    let visitor = Store::visit(&link).unwrap();
    assert_eq!(visitor.path(), fs::canonicalize(fresh.path()).unwrap());
    assert_eq!(visitor.read_blocking(Sessions { closed: true }).unwrap().len(), 1);
    visitor.close();
}
