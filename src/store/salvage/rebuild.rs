//! Rows put into the new database, each once. Of several copies of a row one stays:
//! 1. one from a page that the table has now wins over all others;
//! 2. then one from a page of which nothing is known, over one from a free page;
//! 3. then the one with the latest time in it, with more columns (a later schema wrote it), with more text.
//!
//! Of copies from the same kind of page the first stays when nothing tells them apart. What the table's rules refuse is lost.
//! How old a row is, where it is not surely the one of now, and which texts have holes, is kept in temporary tables on the disk.

use std::collections::BTreeSet;

use rusqlite::types::Value as Stored;
use rusqlite::{Connection, OptionalExtension, ffi, params, params_from_iter};

use super::records::Value;
use super::shapes::Shape;
use super::values;
use crate::store::StoreError;

/// No chatmux counts further: a greater id is damage.
const MAX_ID: i64 = 1 << 40;
/// Insertions that are tried of one row: something else is changed before each.
const TRIES: usize = 4;

/// How sure it is that a page holds rows of now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// It is free, or lies behind the database's end.
    LeftOver,
    /// Nothing is known.
    Unknown,
    /// The table has it.
    Live,
}

/// What was done with the rows.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Rows that nobody could read, or that the rules refuse.
    pub(super) lost_rows: u64,
    /// Pages of a table whose rows nobody can find.
    pub(super) lost_pages: u64,
    /// Copies of rows that others won over, or that are certainly of no table any more.
    pub(super) old_copies: u64,
    /// Sessions with an auto-reply.
    pub(super) loops: BTreeSet<i64>,
}

/// A row on its way.
struct Candidate {
    id: i64,
    values: Vec<Value>,
    age: Age,
}

/// How old a copy is; the greatest stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Age {
    rank: i64,
    newest_ms: i64,
    columns: i64,
    bytes: i64,
}

/// Why a row was not taken.
enum Refusal {
    /// There is one of its id.
    SameId,
    /// There is one with a value that no two may have.
    SameValue,
    /// A rule is against it.
    Rule,
}

/// The new database while rows come.
pub(super) struct Rebuild<'a> {
    conn: &'a Connection,
    shapes: &'a [Shape],
    pub(super) tally: Tally,
}

impl<'a> Rebuild<'a> {
    /// For a database with the newest schema, without rows and without foreign keys.
    pub(super) fn of(conn: &'a Connection, shapes: &'a [Shape]) -> Result<Self, StoreError> {
        conn.execute_batch(
            "CREATE TEMP TABLE ages (shape INTEGER, id INTEGER, rank INTEGER, newest INTEGER, columns INTEGER, bytes INTEGER, \
                 PRIMARY KEY (shape, id)) WITHOUT ROWID; \
             CREATE TEMP TABLE holes (shape INTEGER, id INTEGER, PRIMARY KEY (shape, id)) WITHOUT ROWID",
        )?;
        Ok(Self { conn, shapes, tally: Tally::default() })
    }

    /// Takes a row of the table `nth`.
    pub(super) fn add(&mut self, nth: usize, id: i64, given: Vec<Value>, rank: Rank) -> Result<(), StoreError> {
        let shape = &self.shapes[nth];
        let least = i64::from(shape.table != "stats");
        if !shape.is_kept {
            if shape.table == "auto_replies" && rank != Rank::LeftOver {
                self.tally.loops.insert(id);
            }
            return Ok(());
        }
        let has_hole = given.iter().any(|value| matches!(value, Value::Lost | Value::Text { has_hole: true, .. }));
        let Some((values, age)) = (least..=MAX_ID).contains(&id).then(|| self.complete(nth, id, given, rank)).flatten()
        else {
            self.tally.lost_rows += 1;
            return Ok(());
        };
        let mut row = Candidate { id, values, age };
        for attempt in 0..TRIES {
            match self.insert(nth, &row)? {
                Ok(()) => {
                    if has_hole {
                        self.note("INSERT OR REPLACE INTO holes VALUES (?1, ?2)", nth, id)?;
                    }
                    return Ok(());
                }
                Err(Refusal::Rule) => break,
                Err(Refusal::SameId) if !self.replaces(nth, id, row.age, false)? => return Ok(()),
                Err(Refusal::SameValue) if !self.gives_way(nth, &mut row, attempt)? => return Ok(()),
                Err(Refusal::SameId | Refusal::SameValue) => {}
            }
        }
        self.tally.lost_rows += 1;
        Ok(())
    }

    /// The values as the newest schema has them, and how old they are; `None` when a reference is nonsense.
    fn complete(&self, nth: usize, id: i64, given: Vec<Value>, rank: Rank) -> Option<(Vec<Value>, Age)> {
        let shape = &self.shapes[nth];
        let columns = given.len();
        let mut given = given.into_iter();
        let values: Vec<_> = shape
            .columns
            .iter()
            .map(|column| match given.next() {
                _ if column.is_id => Value::Integer(id),
                Some(value) => values::set_right(column, value),
                // Schema 2 added places, and gave each entry the place that its number says.
                None if column.name == "position" => Value::Integer(id),
                None => column.default.clone(),
            })
            .collect();
        let refers = |(column, value): (&super::shapes::Column, &Value)| match value {
            Value::Integer(id) => !column.name.ends_with("_id") || column.is_id || (1..=MAX_ID).contains(id),
            _ => true,
        };
        shape.columns.iter().zip(&values).all(refers).then_some(())?;
        let mut age = Age { rank: rank as i64, newest_ms: 0, columns: i64::try_from(columns).ok()?, bytes: 0 };
        for (column, value) in shape.columns.iter().zip(&values) {
            match value {
                Value::Integer(time) if column.name.ends_with("at_ms") => age.newest_ms = age.newest_ms.max(*time),
                Value::Text { text, .. } => age.bytes += i64::try_from(text.len()).ok()?,
                _ => {}
            }
        }
        Some((values, age))
    }

    fn insert(&self, nth: usize, row: &Candidate) -> Result<Result<(), Refusal>, StoreError> {
        let shape = &self.shapes[nth];
        let names: Vec<_> = shape.columns.iter().map(|column| column.name.as_str()).collect();
        let places = vec!["?"; names.len()].join(", ");
        let sql = format!("INSERT INTO {} ({}) VALUES ({places})", shape.table, names.join(", "));
        match self.conn.prepare_cached(&sql)?.execute(params_from_iter(row.values.iter().map(stored))) {
            Ok(_) => {}
            Err(rusqlite::Error::SqliteFailure(error, _)) if error.code == rusqlite::ErrorCode::ConstraintViolation => {
                return Ok(Err(match error.extended_code {
                    ffi::SQLITE_CONSTRAINT_PRIMARYKEY | ffi::SQLITE_CONSTRAINT_ROWID => Refusal::SameId,
                    ffi::SQLITE_CONSTRAINT_UNIQUE => Refusal::SameValue,
                    _ => Refusal::Rule,
                }));
            }
            Err(error) => return Err(error.into()),
        }
        // The others are rows of now: their age is never asked for.
        if row.age.rank < Rank::Live as i64 {
            let Age { rank, newest_ms, columns, bytes } = row.age;
            let sql = "INSERT OR REPLACE INTO ages VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
            self.conn.prepare_cached(sql)?.execute(params![index(nth), row.id, rank, newest_ms, columns, bytes])?;
        }
        Ok(Ok(()))
    }

    /// Makes room for a copy of that age, if it is newer than the row that has this id; with `is_later` it is a row of its own, and newer
    /// where both are of the same rank.
    fn replaces(&mut self, nth: usize, id: i64, age: Age, is_later: bool) -> Result<bool, StoreError> {
        self.tally.old_copies += 1;
        let sql = "SELECT rank, newest, columns, bytes FROM ages WHERE shape = ?1 AND id = ?2";
        let known = self.conn.prepare_cached(sql)?.query_row(params![index(nth), id], |row| {
            Ok(Age { rank: row.get(0)?, newest_ms: row.get(1)?, columns: row.get(2)?, bytes: row.get(3)? })
        });
        let is_newer = match known.optional()? {
            Some(known) if known.rank != age.rank => age.rank > known.rank,
            Some(known) => is_later || age > known,
            // A row of now.
            None => is_later && age.rank == Rank::Live as i64,
        };
        if is_newer {
            let table = &self.shapes[nth].table;
            let key =
                &self.shapes[nth].columns.iter().find(|column| column.is_id).map_or("rowid", |id| id.name.as_str());
            self.conn.prepare_cached(&format!("DELETE FROM {table} WHERE {key} = ?1"))?.execute([id])?;
            self.note("DELETE FROM ages WHERE shape = ?1 AND id = ?2", nth, id)?;
            self.note("DELETE FROM holes WHERE shape = ?1 AND id = ?2", nth, id)?;
        }
        Ok(is_newer)
    }

    /// Another row has what only one may have: a session gets another name, and an entry that runs waits; of two others the later
    /// one stays, for what was begun anew got new rows.
    fn gives_way(&mut self, nth: usize, row: &mut Candidate, attempt: usize) -> Result<bool, StoreError> {
        let shape = &self.shapes[nth];
        let text = |text: String| Value::Text { text, has_hole: false };
        match shape.table.as_str() {
            "sessions" => {
                let name = super::finish::made_up_name(row.id) + &"_".repeat(attempt);
                if let Some(at) = shape.at("name") {
                    row.values[at] = text(name);
                }
                return Ok(true);
            }
            "entries" => {
                if let Some(at) = shape.at("state") {
                    row.values[at] = text("pending".to_owned());
                }
                return Ok(true);
            }
            _ => {}
        }
        for columns in &shape.unique {
            let rule: Vec<_> = columns.iter().map(|column| format!("{column} IS ?")).collect();
            let values = columns.iter().filter_map(|column| shape.at(column)).map(|at| stored(&row.values[at]));
            let sql = format!("SELECT rowid FROM {} WHERE {}", shape.table, rule.join(" AND "));
            let other: Option<i64> =
                self.conn.prepare_cached(&sql)?.query_row(params_from_iter(values), |row| row.get(0)).optional()?;
            if let Some(other) = other {
                return self.replaces(nth, other, row.age, row.id > other);
            }
        }
        Ok(false)
    }

    fn note(&self, sql: &str, nth: usize, id: i64) -> Result<(), StoreError> {
        self.conn.prepare_cached(sql)?.execute(params![index(nth), id])?;
        Ok(())
    }

    /// What is in the row may be another's.
    pub(super) fn doubt(&self, nth: usize, id: i64) -> Result<(), StoreError> {
        let Some(shape) = self.shapes.get(nth).filter(|shape| shape.is_kept) else { return Ok(()) };
        let sql = format!("INSERT OR IGNORE INTO holes SELECT ?1, rowid FROM {} WHERE rowid = ?2", shape.table);
        self.note(&sql, nth, id)
    }

    /// The rows whose texts have holes: how many, and the first of them.
    pub(super) fn holes(&self, most: usize) -> Result<(u64, Vec<(String, i64)>), StoreError> {
        let count: i64 = self.conn.query_row("SELECT count(*) FROM holes", [], |row| row.get(0))?;
        let mut rows = self.conn.prepare("SELECT shape, id FROM holes ORDER BY shape, id LIMIT ?1")?;
        let named = rows.query_map([index(most)], |row| Ok((row.get::<_, i64>(0)?, row.get(1)?)))?;
        let name = |(nth, id): (i64, i64)| {
            let shape = usize::try_from(nth).ok().and_then(|nth| self.shapes.get(nth));
            (shape.map(|shape| shape.table.clone()).unwrap_or_default(), id)
        };
        let named = named.map(|row| row.map(name)).collect::<Result<_, _>>()?;
        Ok((count.unsigned_abs(), named))
    }
}

fn index(nth: usize) -> i64 {
    i64::try_from(nth).unwrap_or(i64::MAX)
}

fn stored(value: &Value) -> Stored {
    match value {
        Value::Integer(number) => Stored::Integer(*number),
        Value::Text { text, .. } => Stored::Text(text.clone()),
        Value::Null | Value::Other | Value::Lost => Stored::Null,
    }
}
