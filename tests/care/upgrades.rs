//! An older database: upgraded and told, refused, killed in the middle.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;

use crate::program::Home;
use crate::{at_a_prompt, run_after};

/// Kills of one test, each a little later than the one before.
const KILLS: u32 = 20;
/// On a slow machine.
const MOST_KILLS: u32 = 200;

/// The migrations, in order.
fn steps() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let mut steps: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    steps.sort();
    steps
}

/// A database of the first schema, with as many messages.
fn first_schema(path: &Path, messages: u32) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let raw = Connection::open(path).unwrap();
    raw.pragma_update(None, "journal_mode", "wal").unwrap();
    raw.execute_batch(&fs::read_to_string(&steps()[0]).unwrap()).unwrap();
    raw.pragma_update(None, "user_version", 1).unwrap();
    raw.execute_batch(&format!(
        "INSERT INTO sessions (name, model, created_at_ms) VALUES ('main', 'demo:echo', 1);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {messages})
         INSERT INTO entries (session_id, priority, origin, state, created_at_ms, text)
             SELECT 1, 'normal', 'user', 'done', i, 'question ' || i FROM n;
         INSERT INTO messages (session_id, entry_id, role, state, created_at_ms, text)
             SELECT 1, id, 'user', 'complete', id, text || hex(randomblob(500)) FROM entries;"
    ))
    .unwrap();
    raw.close().unwrap();
}

fn of(path: &Path) -> (i64, i64) {
    let raw = Connection::open(path).unwrap();
    let number = |sql: &str| raw.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    let check: String = raw.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok", "{}", path.display());
    (number("SELECT user_version FROM pragma_user_version"), number("SELECT count(*) FROM messages"))
}

fn backup(home: &Home) -> PathBuf {
    home.path("data/chatmux/chatmux.db.schema-1.backup")
}

#[test]
fn whoever_starts_says_that_it_was_upgraded_and_where_it_is_as_it_was() {
    let newest = i64::try_from(steps().len()).unwrap();
    let said = |home: &Home| {
        format!(
            "the database was upgraded from schema 1 to {newest}; as it was before it is kept in {}",
            backup(home).display()
        )
    };
    for (args, input) in [(&[][..], "/history\n"), (&["ask", "hello"], ""), (&["sessions"], ""), (&["queue"], "")] {
        let home = Home::echo();
        first_schema(&home.database(), 3);
        home.run(args, input).code(0).err(&[&said(&home)]);
        home.run(args, input).code(0).quiet();
        assert_eq!((of(&backup(&home)), of(&home.database()).0), ((1, 3), newest));
    }
    let home = Home::echo();
    first_schema(&home.database(), 3);
    let notices = home.run(&["--json"], "/history\n").code(0).named("notice");
    assert_eq!(notices[0]["text"], said(&home));
    let home = Home::echo();
    first_schema(&home.database(), 3);
    let mut pty = at_a_prompt(&home, "LANG", "C.UTF-8");
    // It may have scrolled away already.
    pty.wait_bytes(said(&home).as_bytes());
    pty.type_keys("/quit\r");
    assert_eq!(pty.end(), 0);
}

#[test]
fn an_older_chatmux_is_not_upgraded_under_its_feet() {
    let home = Home::echo();
    first_schema(&home.database(), 3);
    let lock = File::create(home.path("data/chatmux/chatmux.db.lock")).unwrap();
    lock.lock_shared().unwrap();
    for args in [&[][..], &["ask", "hello"], &["sessions"]] {
        home.run(args, "/history\n").code(3).out("").err(&["still open in an older chatmux", "end that one"]);
    }
    home.run(&["db", "check"], "").code(0).quiet();
    assert_eq!(of(&home.database()), (1, 3));
    drop(lock);
    home.run(&["sessions"], "").code(0).err(&["was upgraded"]);
}

#[test]
fn a_database_of_a_newer_chatmux_is_refused() {
    let home = Home::echo();
    home.run(&[], "hello\n").code(0);
    let raw = Connection::open(home.database()).unwrap();
    raw.pragma_update(None, "user_version", 99).unwrap();
    raw.close().unwrap();
    for args in [&[][..], &["sessions"], &["db", "check"], &["db", "vacuum"], &["db", "backup", "copy.db"]] {
        home.run(args, "").code(3).out("").err(&["was written by a newer chatmux", "upgrade chatmux"]);
    }
}

#[test]
fn without_space_for_the_copy_nothing_is_changed() {
    let home = Home::echo();
    first_schema(&home.database(), 2_000);
    let before = fs::read(home.database()).unwrap();
    let outcome = run_after(&home, "trap '' XFSZ; ulimit -f 256", &["sessions"], "");
    outcome.code(3).out("").err(&["was not upgraded (schema 1", "nothing was changed"]);
    assert!(fs::read(home.database()).unwrap() == before);
    assert!(!backup(&home).exists());
    home.run(&["sessions"], "").code(0).err(&["was upgraded"]);
}

/// Killed at any moment the database is as it was or as it shall be, and a copy that has its name is whole.
#[test]
fn an_upgrade_that_is_killed_leaves_a_usable_database() {
    let (newest, messages) = (i64::try_from(steps().len()).unwrap(), 1_000);
    let old = Home::fresh();
    first_schema(&old.database(), messages);
    let (mut before, mut between, mut behind) = (0, 0, 0);
    let mut nth = 0;
    // On a slow machine more often, until one came behind the upgrade.
    while nth < KILLS || (behind == 0 && nth < MOST_KILLS) {
        let home = Home::echo();
        fs::create_dir_all(home.database().parent().unwrap()).unwrap();
        fs::copy(old.database(), home.database()).unwrap();
        let program = home.start(&["sessions"]);
        // Any moment will do; the later ones are behind the upgrade.
        std::thread::sleep(Duration::from_millis(u64::from(nth) * 5));
        program.kill();
        nth += 1;
        let schema = of(&home.database());
        assert!(schema == (1, messages.into()) || schema == (newest, messages.into()), "{schema:?}");
        if backup(&home).exists() {
            assert_eq!(of(&backup(&home)), (1, messages.into()));
        }
        match (backup(&home).exists(), schema.0 == newest) {
            (false, is_new) => {
                assert!(!is_new, "no change without a copy");
                before += 1;
            }
            (true, false) => between += 1,
            (true, true) => behind += 1,
        }
        home.run(&["sessions"], "").code(0);
        assert_eq!((of(&home.database()), of(&backup(&home))), ((newest, messages.into()), (1, messages.into())));
        let copies = fs::read_dir(home.path("data/chatmux")).unwrap();
        let copies = copies.filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().contains("backup"));
        assert_eq!(copies.count(), 1, "the same is not copied twice, and nothing half is left");
    }
    assert!(before > 0 && behind > 0, "{before} were killed before the copy, {between} between, {behind} behind");
}
