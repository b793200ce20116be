//! What is in a database's schema that no migration made. A trigger, a view, a virtual table, an index or a changed rule of a table is
//! run by SQLite when chatmux writes or reads, so it is refused by name before the first write: a trigger with an endless SELECT would
//! hang the start.
//!
//! What the migrations make is known from the migrations: they are run in memory, up to the schema that the database has. That takes
//! longer than a start may, so the text of the newest schema is kept in `schema.sql` (a test compares them), and only a database
//! that differs from it is looked at closely.
//!
//! A table of another name that is not virtual is left alone: nothing reads or writes it.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::open::{MIGRATIONS, SCHEMA};
use super::{StoreError, Trouble};
use crate::domain::text::{one_line, some_of};

/// The newest schema, as [`dump`] writes it. `CHATMUX_UPDATE=1 cargo test --lib store::tests::foreign_objects` writes it anew.
const NEWEST: &str = include_str!("schema.sql");
/// Statements that the remedy has at most.
const MAX_REMEDIES: usize = 5;
/// Characters of a name that are shown.
const NAME_CHARS: usize = 60;

/// A row of `sqlite_schema`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Object {
    kind: String,
    name: String,
    table: String,
    sql: String,
    is_virtual: bool,
}

impl Object {
    /// The same object, however its text is laid out and quoted: SQLite's versions differ in how they write an `ALTER TABLE` down.
    fn normal(&self) -> Self {
        let sql = self.sql.chars().filter(|c| !c.is_whitespace() && *c != '"').collect();
        Self { sql, ..self.clone() }
    }

    /// Its kind and name, for a person.
    pub(super) fn title(&self) -> String {
        format!("{} {}", self.kind, one_line(&self.name, NAME_CHARS))
    }

    /// The statement that removes it; `None` where that would remove a person's data with it, or the name is not shown as it is.
    fn remedy(&self) -> Option<String> {
        let is_droppable = matches!(self.kind.as_str(), "trigger" | "view" | "index") || self.is_virtual;
        let is_shown = one_line(&self.name, NAME_CHARS) == self.name;
        let name = self.name.replace('"', "\"\"");
        (is_droppable && is_shown).then(|| format!("DROP {} \"{name}\"", self.kind.to_uppercase()))
    }
}

/// What is in the schema, but for what SQLite makes by itself.
fn objects(conn: &Connection) -> Result<Vec<Object>, StoreError> {
    let mut rows = conn.prepare(
        "SELECT type, name, tbl_name, sql, coalesce(rootpage, 0) = 0 AS no_pages FROM sqlite_schema \
         WHERE sql IS NOT NULL AND NOT (type = 'table' AND name LIKE 'sqlite\\_%' ESCAPE '\\') ORDER BY type, name",
    )?;
    let rows = rows.query_map([], |row| {
        let kind: String = row.get("type")?;
        let is_virtual = kind == "table" && row.get("no_pages")?;
        Ok(Object { kind, name: row.get("name")?, table: row.get("tbl_name")?, sql: row.get("sql")?, is_virtual })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The schema as text.
fn text(objects: &[Object]) -> String {
    let mut text = "-- What the migrations make. A test writes this file; see foreign.rs.\n".to_owned();
    for Object { kind, name, table, sql, .. } in objects {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n-- {kind} {name} of {table}\n{sql};\n");
    }
    text
}

/// The text of what the migrations make, for `schema.sql`.
#[cfg(test)]
pub(super) fn dump() -> String {
    text(&made(SCHEMA).unwrap())
}

/// What the migrations up to `version` make.
fn made(version: i64) -> Result<Vec<Object>, StoreError> {
    let mut conn = Connection::open_in_memory()?;
    MIGRATIONS
        .to_version(&mut conn, usize::try_from(version).unwrap_or(0))
        .map_err(|e| StoreError::unusable(Path::new(""), Trouble::Refused(e.to_string())))?;
    objects(&conn)
}

/// What no migration made and SQLite would run; empty for a database of ours, and for one that is empty.
pub(super) fn foreign(conn: &Connection) -> Result<Vec<Object>, StoreError> {
    // One snapshot, the caller's where there is one: another process may be migrating.
    let begin = || Transaction::new_unchecked(conn, TransactionBehavior::Deferred);
    let snapshot = conn.is_autocommit().then(begin).transpose()?;
    let version: i64 = conn.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let found = objects(conn)?;
    drop(snapshot);
    if (version == SCHEMA && text(&found) == NEWEST) || !(1..=SCHEMA).contains(&version) {
        return Ok(Vec::new());
    }
    let made = made(version)?;
    let names: BTreeSet<_> = made.iter().map(|object| object.name.to_lowercase()).collect();
    let made: BTreeSet<_> = made.iter().map(Object::normal).collect();
    let is_harmless = |object: &Object| {
        let is_ours = names.contains(&object.name.to_lowercase());
        object.kind == "table" && !object.is_virtual && !is_ours || made.contains(&object.normal())
    };
    Ok(found.into_iter().filter(|object| !is_harmless(object)).collect())
}

/// Refuses a database with such objects.
pub(super) fn refuse(conn: &Connection, path: &Path) -> Result<(), StoreError> {
    match foreign(conn)?.as_slice() {
        [] => Ok(()),
        objects => Err(StoreError::unusable(path, Trouble::ForeignObjects(words(objects)))),
    }
}

/// What is there, and the remedy.
fn words(objects: &[Object]) -> String {
    let titles: Vec<String> = objects.iter().map(Object::title).collect();
    let mut text = some_of(&titles);
    text += " in it, which no chatmux made: ";
    if let Some(remedies) = objects.iter().take(MAX_REMEDIES).map(Object::remedy).collect::<Option<Vec<_>>>() {
        let _ = write!(text, "remove that with another program ({}), or ", remedies.join("; "));
    }
    text
}
