//! Triggers, views, indexes and rules that no migration made.

use std::fs;

use super::*;

/// Hangs whoever writes an entry, and whoever reads it.
const ENDLESS: &str = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n";

/// A database with a session, and with what `sql` adds; nobody has it open.
fn with(sql: &str) -> (tempfile::TempDir, PathBuf) {
    let fresh = Fresh::new();
    fresh.session();
    let path = fresh.path();
    fresh.store.close();
    let raw = Connection::open(&path).unwrap();
    raw.execute_batch(sql).unwrap();
    raw.close().unwrap();
    (fresh.folder, path)
}

fn trouble(error: StoreError) -> String {
    match error {
        StoreError::Unusable { trouble: trouble @ Trouble::ForeignObjects(_), .. } => trouble.to_string(),
        other => panic!("{other}"),
    }
}

/// Every way to the database names `title` and changes nothing.
fn is_refused(sql: &str, title: &str, remedy: &str) {
    let (_folder, path) = with(sql);
    let before = fs::read(&path).unwrap();
    for error in [Store::open(&path, NOW).unwrap_err(), Store::visit(&path).unwrap_err()] {
        let text = trouble(error);
        assert!(text.contains(title) && text.contains(remedy) && text.contains("db salvage"), "{text}");
    }
    let found = check(&path).unwrap();
    assert_eq!((found.faults, found.counts), (vec![format!("{title} was made by no chatmux")], None));
    let reading = ReadOnly::instead(&path, StoreError::unusable(&path, Trouble::ReadOnlySystem)).unwrap();
    assert!(trouble(reading.read(&AllStats).unwrap_err()).contains(title));
    assert!(fs::read(&path).unwrap() == before, "{title}: the database was changed");
}

#[test]
fn a_trigger_is_refused_before_anything_fires_it() {
    for table in ["processes", "sessions"] {
        let sql = format!("CREATE TRIGGER evil AFTER INSERT ON {table} BEGIN {ENDLESS}; END");
        is_refused(&sql, "trigger evil", "DROP TRIGGER \"evil\"");
    }
}

#[test]
fn a_view_is_refused_also_in_the_place_of_a_table() {
    is_refused(&format!("CREATE VIEW v AS {ENDLESS}"), "view v", "DROP VIEW \"v\"");
    let shadow = format!("PRAGMA foreign_keys = OFF; DROP TABLE stats; CREATE VIEW stats AS {ENDLESS}");
    is_refused(&shadow, "view stats", "DROP VIEW \"stats\"");
}

#[test]
fn an_index_or_a_rule_that_would_be_computed_is_refused() {
    let index = "CREATE INDEX costly ON messages (length(replace(text, 'a', text)))";
    is_refused(index, "index costly", "DROP INDEX \"costly\"");
    let rule = "PRAGMA writable_schema = ON; \
        UPDATE sqlite_schema SET sql = replace(sql, 'line       TEXT NOT NULL', \
            'line TEXT NOT NULL CHECK (line NOT LIKE ''%a%a%a%a%a%a%a%b'')') WHERE name = 'history'; \
        PRAGMA writable_schema = RESET";
    is_refused(rule, "table history", "made: save what can be read of it without that");
    is_refused("CREATE VIRTUAL TABLE words USING fts5(text)", "table words", "DROP TABLE \"words\"");
}

#[test]
fn names_are_shown_safely_and_only_a_few() {
    let triggers: String =
        (0..9).map(|n| format!("CREATE TRIGGER t{n} AFTER INSERT ON gates BEGIN SELECT 1; END;")).collect();
    let (_folder, path) = with(&triggers);
    let text = trouble(Store::visit(&path).unwrap_err());
    assert!(text.contains("trigger t4 and 4 more") && !text.contains("t5"), "{text}");
    let (_folder, path) = with("CREATE VIEW \"a\x1b[2J\nb\" AS SELECT 1");
    let text = trouble(Store::visit(&path).unwrap_err());
    assert!(!text.contains('\x1b') && !text.contains('\n') && !text.contains("DROP"), "{text}");
}

#[test]
fn what_is_harmless_is_no_reason_to_refuse() {
    let (_folder, path) = with("ANALYZE; CREATE TABLE notes (text); VACUUM");
    Store::open(&path, NOW).unwrap().0.close();
    assert_eq!(check(&path).unwrap().faults, [""; 0]);
}

/// The same through an upgrade: the older schema has its own list.
#[test]
fn an_older_schema_is_looked_at_before_it_is_upgraded() {
    let folder = tempfile::tempdir().unwrap();
    for version in 1..open::SCHEMA {
        let path = folder.path().join(format!("{version}.db"));
        let mut raw = Connection::open(&path).unwrap();
        open::MIGRATIONS.to_version(&mut raw, usize::try_from(version).unwrap()).unwrap();
        assert_eq!(foreign::foreign(&raw).unwrap(), [], "schema {version}");
        raw.execute_batch(&format!("CREATE TRIGGER evil AFTER UPDATE ON entries BEGIN {ENDLESS}; END")).unwrap();
        raw.close().unwrap();
        let text = trouble(Store::open(&path, NOW).unwrap_err());
        assert!(text.contains("trigger evil"), "{text}");
    }
}

#[test]
fn the_newest_schema_is_written_down_as_the_migrations_make_it() {
    let made = foreign::dump();
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/schema.sql");
    if std::env::var_os("CHATMUX_UPDATE").is_some() {
        fs::write(&place, &made).unwrap();
    }
    assert!(fs::read_to_string(&place).unwrap() == made, "run this with CHATMUX_UPDATE=1");
}
