//! Every earlier schema, upgraded with all that is in it; the copy that is made before; who else lives.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::*;

const TABLES: &str = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name";

/// What each schema added, with rows in every state that its rules know. Entry 2 streams, and its partial is in chunks.
const ROWS: [&str; 8] = [
    "INSERT INTO sessions (name, model, held, closed_at_ms, seen_message, created_at_ms, system, draft) VALUES
         ('main', 'demo:tour', 0, NULL, 2, 1, 'be brief', 'half a li'), ('put-away', 'local:m', 1, 9, 0, 2, '', '');
     INSERT INTO entries (session_id, priority, origin, state, attempts, held, not_before_ms, created_at_ms,
         started_at_ms, finished_at_ms, error_kind, error_status, error_text, error_request_id, text) VALUES
         (1, 'normal', 'user', 'done', 1, 0, NULL, 1, 1, 2, NULL, NULL, NULL, NULL, 'q'),
         (1, 'high', 'user', 'running', 2, 0, NULL, 2, 2, NULL, NULL, NULL, NULL, NULL, 'streams'),
         (1, 'normal', 'script', 'pending', 0, 0, NULL, 3, NULL, NULL, NULL, NULL, NULL, NULL, 'waits'),
         (2, 'low', 'auto', 'pending', 1, 1, 999, 4, 4, NULL, NULL, NULL, NULL, NULL, 'waits, held'),
         (1, 'normal', 'user', 'cancelled', 0, 0, NULL, 5, NULL, 6, NULL, NULL, NULL, NULL, 'dropped'),
         (2, 'normal', 'user', 'dead', 5, 0, NULL, 6, 6, 7, 'overloaded', 503, 'busy', 'r1', 'fails'),
         (2, 'normal', 'user', 'done', 1, 0, NULL, 7, 7, 8, NULL, NULL, NULL, NULL, 'cut off');
     INSERT INTO messages (session_id, entry_id, role, state, model, finish_reason, input_tokens, output_tokens,
         created_at_ms, reasoning, text) VALUES
         (1, 1, 'user', 'complete', NULL, NULL, NULL, NULL, 1, '', 'q'),
         (1, 1, 'assistant', 'complete', 'demo:tour', 'stop', 9, 12, 1, 'hm', 'a'),
         (1, 2, 'user', 'complete', NULL, NULL, NULL, NULL, 2, '', 'streams'),
         (1, 2, 'assistant', 'streaming', 'demo:tour', NULL, NULL, NULL, 2, '', 'be'),
         (2, 6, 'user', 'complete', NULL, NULL, NULL, NULL, 6, '', 'fails'),
         (2, 6, 'assistant', 'failed', 'local:m', NULL, NULL, NULL, 6, '', ''),
         (2, 7, 'user', 'complete', NULL, NULL, NULL, NULL, 7, '', 'cut off'),
         (2, 7, 'assistant', 'interrupted', 'local:m', NULL, NULL, NULL, 7, '', 'as far as it ca');
     INSERT INTO chunks (message_id, kind, text) VALUES (4, 'text', 'gi'), (4, 'reasoning', 'so'), (4, 'text', 'nn');
     INSERT INTO state VALUES ('active_session', '1');",
    "UPDATE entries SET position = id, continues = id = 4;
     UPDATE messages SET seams = '3' WHERE id = 8;
     INSERT INTO gates VALUES ('local', 12345);
     INSERT INTO auto_replies VALUES (2, 10, 60000, 9, 1, 4, 1, 3, 77, 'OK', 'go on');
     INSERT INTO stats (session_id, complete, wait) VALUES (0, 1, '3:1'), (1, 1, '3:1');",
    "",
    "UPDATE sessions SET notify = 'fail' WHERE id = 2;
     INSERT INTO attachments (session_id, name, text) VALUES (1, 'notes.txt', 'the file');",
    "INSERT INTO history (session_id, nth, at_ms, line) VALUES (1, 1, 1, 'q'), (1, 2, 5, '/drop 5');
     UPDATE entries SET undone = 1 WHERE id = 5;",
    "INSERT INTO processes (pid, boot, started, beat) VALUES (7, 'a boot', 3, 4);
     INSERT INTO leases VALUES (1, 1);
     INSERT INTO changes (session_id, process_id) VALUES (1, 1);
     UPDATE entries SET set_aside = 1 WHERE id = 4;",
    "UPDATE messages SET first_chunk = 1 WHERE state = 'streaming';",
    "UPDATE messages SET finish_detail = 'what the server said' WHERE id = 2;",
];

/// The schema from which on gates are of models: earlier ones are rewritten.
const GATES_BY_MODEL: usize = 9;

/// A database as the schema `k` had it, with all that it knew.
pub(super) fn of_schema(path: &Path, k: usize) {
    File::create(path).unwrap().set_permissions(Permissions::from_mode(0o600)).unwrap();
    let mut raw = Connection::open(path).unwrap();
    raw.pragma_update(None, "journal_mode", "wal").unwrap();
    open::MIGRATIONS.to_version(&mut raw, k).unwrap();
    ROWS.iter().take(k).for_each(|rows| raw.execute_batch(rows).unwrap());
    raw.close().unwrap();
}

fn earlier() -> std::ops::Range<usize> {
    1..usize::try_from(open::SCHEMA).unwrap()
}

/// Each table's columns.
fn columns(raw: &Connection) -> BTreeMap<String, Vec<String>> {
    let names = |sql: &str| -> Vec<String> {
        raw.prepare(sql).unwrap().query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    let of = |table: &String| names(&format!("SELECT name FROM pragma_table_info('{table}')"));
    names(TABLES).into_iter().map(|table| (table.clone(), of(&table))).collect()
}

/// Every row of these columns, as text.
fn rows(raw: &Connection, columns: &BTreeMap<String, Vec<String>>) -> BTreeMap<String, Vec<String>> {
    let quoted = |names: &Vec<String>| {
        names.iter().map(|name| format!("quote({name})")).collect::<Vec<_>>().join(" || ', ' || ")
    };
    let of = |(table, names): (&String, &Vec<String>)| {
        let sql = format!("SELECT {} AS whole FROM {table} ORDER BY whole", quoted(names));
        let rows = raw.prepare(&sql).unwrap().query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        (table.clone(), rows)
    };
    columns.iter().map(of).collect()
}

fn pragma(raw: &Connection, name: &str) -> String {
    raw.query_row(&format!("SELECT CAST({name} AS TEXT) FROM pragma_{name}"), [], |row| row.get(0)).unwrap()
}

fn assert_sound(raw: &Connection, schema: i64) {
    assert_eq!((pragma(raw, "integrity_check"), pragma(raw, "user_version")), ("ok".to_owned(), schema.to_string()));
    let violations: i64 = raw.query_row("SELECT count(*) FROM pragma_foreign_key_check", [], |row| row.get(0)).unwrap();
    assert_eq!(violations, 0);
    assert_eq!(pragma(raw, "application_id"), 0x6368_6d78.to_string());
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// The files in the folder that are copies, or were to be.
fn backups(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut found: Vec<_> = names.filter(|name| name.contains("backup")).collect();
    found.sort();
    found
}

#[test]
fn every_earlier_schema_is_upgraded_with_all_that_is_in_it() {
    for k in earlier() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chatmux.db");
        of_schema(&path, k);
        let raw = Connection::open(&path).unwrap();
        let mut known = columns(&raw);
        if k < GATES_BY_MODEL {
            known.remove("gates");
        }
        let before = rows(&raw, &known);
        raw.close().unwrap();

        // A visit upgrades and repairs nothing else.
        let store = Store::visit(&path).unwrap();
        let upgrade = store.upgraded().cloned().unwrap();
        let schema = i64::try_from(k).unwrap();
        let backup = folder.path().join(format!("chatmux.db.schema-{k}.backup"));
        assert_eq!(upgrade, Upgrade { from: schema, to: open::SCHEMA, backup: backup.clone() });
        store.close();
        let raw = Connection::open(&path).unwrap();
        assert_sound(&raw, open::SCHEMA);
        let after = rows(&raw, &known);
        raw.close().unwrap();
        assert_eq!(after, before, "schema {k}");

        let copy = Connection::open(&backup).unwrap();
        assert_sound(&copy, schema);
        assert_eq!(rows(&copy, &known), before, "the copy of schema {k}");
        copy.close().unwrap();
        assert_eq!((mode(&backup), backups(folder.path()).len()), (0o600, 1));

        // What streamed when it was left is repaired as ever.
        let (store, opening) = Store::open(&path, NOW).unwrap();
        assert!(opening.sole && store.upgraded().is_none());
        assert_eq!(opening.recovery.interrupted.len(), 1, "schema {k}");
        let answer = store.read_blocking(FindMessage(MessageId(4))).unwrap().unwrap();
        assert_eq!((answer.text.as_str(), answer.reasoning.as_str()), ("beginn", "so"));
        assert_eq!(store.read_blocking(DeadEntries { session: None }).unwrap().len(), 1);
        store.close();

        // The copy is a database too.
        let (store, _) = Store::open(&backup, NOW).unwrap();
        assert_eq!(store.upgraded().map(|upgrade| upgrade.from), Some(schema));
        store.close();
    }
}

#[test]
fn a_gate_of_a_provider_becomes_one_of_each_of_its_models_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chatmux.db");
    of_schema(&path, GATES_BY_MODEL - 1);
    let raw = Connection::open(&path).unwrap();
    raw.execute_batch(
        "INSERT INTO sessions (name, model, created_at_ms) VALUES
             ('again', 'local:m', 3), ('more', 'local:n:7b', 3), ('bare', 'local', 3), ('alike', 'locals:m', 3);
         INSERT INTO gates VALUES ('unused', 1);",
    )
    .unwrap();
    raw.close().unwrap();
    let store = Store::visit(&path).unwrap();
    let gates = ["local", "local:m", "local:n:7b"].map(|model| (model.parse().unwrap(), Timestamp(12_345)));
    assert_eq!(store.read_blocking(Gates).unwrap(), gates);
    store.close();
}

#[test]
fn stop_reasons_of_earlier_schemas_have_the_words_of_today() {
    let words = [
        ("stop", FinishReason::Stop),
        ("length", FinishReason::Length),
        ("content_filter", FinishReason::Filter),
        ("tool_use", FinishReason::Tool),
        ("other", FinishReason::Unknown),
    ];
    for k in earlier().filter(|k| *k < 8) {
        for (word, reason) in words {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("chatmux.db");
            of_schema(&path, k);
            let raw = Connection::open(&path).unwrap();
            raw.execute("UPDATE messages SET finish_reason = ?1 WHERE id = 2", [word]).unwrap();
            raw.close().unwrap();
            let (store, _) = Store::open(&path, NOW).unwrap();
            let finish = |id| store.read_blocking(FindMessage(MessageId(id))).unwrap().unwrap().finish;
            assert_eq!((finish(2), finish(8)), (Some(reason.into()), None), "{word} in schema {k}");
            store.close();
            // The words that go are no longer taken, and those that came are.
            let raw = Connection::open(&path).unwrap();
            let set = |word: &str| raw.execute("UPDATE messages SET finish_reason = ?1 WHERE id = 2", [word]);
            FinishReason::ALL.iter().for_each(|reason| _ = set(reason.as_str()).unwrap());
            ["content_filter", "tool_use", "other"].iter().for_each(|word| _ = set(word).unwrap_err());
            assert_sound(&raw, open::SCHEMA);
        }
    }
}

#[test]
fn opening_upgrades_before_it_repairs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chatmux.db");
    of_schema(&path, 1);
    let (store, opening) = Store::open(&path, NOW).unwrap();
    assert_eq!((opening.recovery.interrupted.len(), opening.created), (1, false));
    let backup = store.upgraded().unwrap().backup.clone();
    store.close();
    let copy = Connection::open(backup).unwrap();
    let streaming: i64 =
        copy.query_row("SELECT count(*) FROM messages WHERE state = 'streaming'", [], |row| row.get(0)).unwrap();
    assert_eq!(streaming, 1, "the copy is of before");
}

#[test]
fn no_copy_is_overwritten_and_the_same_is_not_made_twice() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chatmux.db");
    of_schema(&path, 1);
    let old = fs::read(&path).unwrap();
    let again = || {
        fs::write(&path, &old).unwrap();
        let store = Store::visit(&path).unwrap();
        let backup = store.upgraded().unwrap().backup.clone();
        store.close();
        backup.file_name().unwrap().to_str().unwrap().to_owned()
    };
    assert_eq!(again(), "chatmux.db.schema-1.backup");
    let first = fs::read(folder.path().join("chatmux.db.schema-1.backup")).unwrap();
    // Killed before the change, or put back by hand: the same once more.
    assert_eq!(again(), "chatmux.db.schema-1.backup");
    assert_eq!(fs::read(folder.path().join("chatmux.db.schema-1.backup")).unwrap(), first);
    // Something else is there under that name.
    fs::write(folder.path().join("chatmux.db.schema-1.backup"), "precious").unwrap();
    assert_eq!(again(), "chatmux.db.schema-1.backup.2");
    assert_eq!(fs::read(folder.path().join("chatmux.db.schema-1.backup")).unwrap(), b"precious");
    // And what a killed one left half written.
    fs::write(folder.path().join("chatmux.db.schema-1.backup.part"), "half").unwrap();
    assert_eq!(again(), "chatmux.db.schema-1.backup.2");
    assert_eq!(backups(folder.path()), ["chatmux.db.schema-1.backup", "chatmux.db.schema-1.backup.2"]);
}

#[test]
fn nothing_is_upgraded_while_an_older_chatmux_lives() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chatmux.db");
    of_schema(&path, 1);
    let lock = File::create(folder.path().join("chatmux.db.lock")).unwrap();
    lock.lock_shared().unwrap();
    let (known, found) = (open::SCHEMA, 1);
    let expected = StoreError::unusable(&path, Trouble::OlderLives { found, known });
    assert_eq!(Store::open(&path, NOW).unwrap_err(), expected);
    assert_eq!(Store::visit(&path).unwrap_err(), expected);
    let text = expected.to_string();
    assert!(text.contains("end that one") && text.contains("schema 1"), "{text}");
    assert_sound(&Connection::open(&path).unwrap(), 1);
    assert_eq!(backups(folder.path()), [""; 0]);
    drop(lock);
    Store::open(&path, NOW).unwrap().0.close();
    assert_sound(&Connection::open(&path).unwrap(), open::SCHEMA);
}

#[test]
fn without_a_copy_nothing_is_changed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chatmux.db");
    of_schema(&path, 1);
    // A folder in the place of the copy's beginning is no file to be removed.
    let blocked = folder.path().join("chatmux.db.schema-1.backup.part");
    fs::create_dir(&blocked).unwrap();
    for error in [Store::open(&path, NOW).unwrap_err(), Store::visit(&path).unwrap_err()] {
        let text = error.to_string();
        assert!(text.contains("was not upgraded (schema 1") && text.ends_with("nothing was changed"), "{text}");
    }
    assert_sound(&Connection::open(&path).unwrap(), 1);
    fs::remove_dir(&blocked).unwrap();
    Store::visit(&path).unwrap().close();
}

/// The test below in processes of their own, for a umask belongs to the whole process.
#[test]
fn copies_are_private_under_any_umask() {
    for umask in ["0000", "0777"] {
        let outcome = std::process::Command::new("sh")
            .args(["-c", "umask \"$0\" && exec \"$1\" --exact store::tests::upgrades::a_copy_is_for_its_owner", umask])
            .arg(std::env::current_exe().unwrap())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&outcome.stdout);
        assert!(outcome.status.success() && said.contains("1 passed"), "umask {umask}: {said}");
    }
}

#[test]
fn a_copy_is_for_its_owner() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o700)).unwrap();
    let path = folder.path().join("chatmux.db");
    of_schema(&path, 1);
    let store = Store::visit(&path).unwrap();
    assert_eq!(mode(&store.upgraded().unwrap().backup), 0o600);
    store.close();
}

#[test]
fn many_that_start_after_an_upgrade_agree_on_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chatmux.db");
    of_schema(&path, 1);
    let upgrades: usize = std::thread::scope(|scope| {
        let start = |i: usize| {
            let path = &path;
            scope.spawn(move || {
                let store =
                    if i.is_multiple_of(2) { Store::visit(path).unwrap() } else { Store::open(path, NOW).unwrap().0 };
                let upgraded = usize::from(store.upgraded().is_some());
                store.close();
                upgraded
            })
        };
        (0..8).map(start).collect::<Vec<_>>().into_iter().map(|opener| opener.join().unwrap()).sum()
    });
    assert_eq!((upgrades, backups(folder.path()).len()), (1, 1));
    assert_sound(&Connection::open(&path).unwrap(), open::SCHEMA);
}
