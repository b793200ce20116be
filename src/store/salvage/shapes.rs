//! What the rows of each table look like. It is taken from the schema that the migrations make, so a column that a later one adds is
//! known here by itself: columns are only ever added at the end, and a row that was written before has fewer.

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::records::Value;
use crate::store::open::{MIGRATIONS, SCHEMA};
use crate::store::{StoreError, Trouble};

/// What is brought back. All else in the schema is about processes that have ended, or does not outlive them.
pub(super) const KEPT: [&str; 7] = ["sessions", "entries", "messages", "chunks", "history", "attachments", "stats"];

/// A column.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) name: String,
    is_text: bool,
    /// It is the row's id, which stands beside the values.
    pub(super) is_id: bool,
    may_be_null: bool,
    /// What stands there in rows without it.
    pub(super) default: Value,
    /// All that may stand there; empty when anything may.
    words: Vec<String>,
}

impl Column {
    /// Whether `value` can stand there.
    pub(super) fn accepts(&self, value: &Value) -> bool {
        match value {
            Value::Lost => true,
            Value::Null => self.is_id || self.may_be_null,
            Value::Integer(_) => !self.is_text && !self.is_id,
            Value::Text { text, has_hole } => {
                // What is cut may have been a word; and a word of an earlier schema is no reason against a row where there may be none.
                let is_word = |word: &String| word == text || *has_hole && word.starts_with(text);
                self.is_text && (self.words.is_empty() || self.may_be_null || self.words.iter().any(is_word))
            }
            Value::Other => false,
        }
    }

    /// The same value, or none, or the default, when `value` is not one of its words or is lost.
    pub(super) fn or_default(&self, value: Value) -> Value {
        match value {
            Value::Text { ref text, .. } if !self.words.is_empty() && !self.words.contains(text) => {
                self.default.clone()
            }
            Value::Lost => self.default.clone(),
            other => other,
        }
    }
}

/// A table whose rows have ids.
#[derive(Debug)]
pub(super) struct Shape {
    pub(super) table: String,
    pub(super) columns: Vec<Column>,
    /// Columns that its first schema had.
    least: usize,
    /// Columns of which no two rows may have the same, besides the id.
    pub(super) unique: Vec<Vec<String>>,
    pub(super) is_kept: bool,
}

impl Shape {
    /// Whether these can be values of one of its rows.
    pub(super) fn accepts(&self, values: &[Value]) -> bool {
        // What comes behind the beginning may be lost with a page; what tells the table may not.
        let is_told = values.iter().take(self.least.min(4)).all(|value| *value != Value::Lost);
        (self.least..=self.columns.len()).contains(&values.len())
            && is_told
            && self.columns.iter().zip(values).all(|(column, value)| column.accepts(value))
    }

    /// Columns with words: the more, the surer it is that a row is one of this table's.
    pub(super) fn words(&self) -> usize {
        self.columns.iter().filter(|column| !column.words.is_empty()).count()
    }

    /// The place of a column.
    pub(super) fn at(&self, column: &str) -> Option<usize> {
        self.columns.iter().position(|known| known.name == column)
    }
}

/// All tables whose rows have ids, in the newest schema.
///
/// # Errors
/// SQLite's; none is known.
pub(super) fn all() -> Result<Vec<Shape>, StoreError> {
    let mut conn = Connection::open_in_memory()?;
    let mut least = BTreeMap::new();
    for version in 1..=usize::try_from(SCHEMA).unwrap_or(0) {
        let refused = |e: rusqlite_migration::Error| StoreError::unusable("".as_ref(), Trouble::Refused(e.to_string()));
        MIGRATIONS.to_version(&mut conn, version).map_err(refused)?;
        for table in tables(&conn)? {
            let columns = columns(&conn, &table)?.len();
            least.entry(table).or_insert(columns);
        }
    }
    let shape = |table: String| {
        let (columns, unique) = (columns(&conn, &table)?, unique(&conn, &table)?);
        let least = least.get(&table).copied().unwrap_or(columns.len());
        let is_kept = KEPT.contains(&table.as_str());
        Ok(Shape { table, columns, least, unique, is_kept })
    };
    tables(&conn)?.into_iter().map(shape).collect()
}

fn tables(conn: &Connection) -> Result<Vec<String>, StoreError> {
    let sql = "SELECT name FROM pragma_table_list \
         WHERE schema = 'main' AND type = 'table' AND wr = 0 AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name";
    let mut rows = conn.prepare(sql)?;
    let names = rows.query_map([], |row| row.get(0))?;
    Ok(names.collect::<Result<_, _>>()?)
}

fn columns(conn: &Connection, table: &str) -> Result<Vec<Column>, StoreError> {
    let rule: String = conn.query_row("SELECT sql FROM sqlite_schema WHERE name = ?1", [table], |row| row.get(0))?;
    let sql = "SELECT name, type, \"notnull\", dflt_value, pk FROM pragma_table_info(?1) ORDER BY cid";
    let mut rows = conn.prepare(sql)?;
    let columns = rows.query_map([table], |row| {
        let (name, is_text) = (row.get::<_, String>(0)?, row.get::<_, String>(1)? == "TEXT");
        let (may_be_null, default) = (!row.get::<_, bool>(2)?, row.get::<_, Option<String>>(3)?);
        let is_id = row.get::<_, i64>(4)? > 0 && !is_text;
        let default = match default {
            Some(expression) => {
                conn.query_row(&format!("SELECT {expression}"), [], |row| Ok(stored(row.get_ref(0)?)))?
            }
            None if may_be_null || is_id => Value::Null,
            None if is_text => Value::Text { text: String::new(), has_hole: false },
            None => Value::Integer(0),
        };
        let words = words(&rule, &name);
        Ok(Column { name, is_text, is_id, may_be_null, default, words })
    })?;
    Ok(columns.collect::<Result<_, _>>()?)
}

fn stored(value: rusqlite::types::ValueRef<'_>) -> Value {
    use rusqlite::types::ValueRef;
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Integer(number),
        ValueRef::Text(text) => Value::Text { text: String::from_utf8_lossy(text).into_owned(), has_hole: false },
        ValueRef::Real(_) | ValueRef::Blob(_) => Value::Other,
    }
}

/// The words of `column` in a table's rules: `column = 'a' OR column = 'b'`, or `column IN ('a', 'b')`.
fn words(rule: &str, column: &str) -> Vec<String> {
    let mut words = Vec::new();
    let is_start = |at: usize| !rule[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
    for (at, _) in rule.match_indices(column).filter(|(at, _)| is_start(*at)) {
        let rest = &rule[at + column.len()..];
        let listed = match (rest.strip_prefix(" = '"), rest.strip_prefix(" IN (")) {
            (Some(word), _) => word.split_once('\'').map_or("", |(word, _)| word),
            (None, Some(list)) => list.split_once(')').map_or("", |(list, _)| list),
            (None, None) => continue,
        };
        words.extend(listed.split(',').map(|word| word.trim().trim_matches('\'').to_owned()));
    }
    // Numbers that a rule allows are no words.
    words.retain(|word| word.starts_with(|c: char| c.is_alphabetic()));
    words
}

/// What no two rows may share; rules about some of the rows are not among them.
fn unique(conn: &Connection, table: &str) -> Result<Vec<Vec<String>>, StoreError> {
    let mut indexes = conn.prepare("SELECT name FROM pragma_index_list(?1) WHERE \"unique\" = 1 AND partial = 0")?;
    let indexes: Vec<String> = indexes.query_map([table], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let mut columns = conn.prepare("SELECT name FROM pragma_index_info(?1) ORDER BY seqno")?;
    let mut columns_of = |index: String| -> Result<_, StoreError> {
        Ok(columns.query_map([index], |row| row.get(0))?.collect::<Result<_, _>>()?)
    };
    indexes.into_iter().map(&mut columns_of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All tables of the schema are brought back, or it is known why not: a new one has to be placed.
    #[test]
    fn every_table_is_kept_or_known_to_be_left() {
        let left = ["auto_replies", "changes", "leases", "processes"];
        let shapes = all().unwrap();
        let mut expected = [&KEPT[..], &left[..]].concat();
        expected.sort_unstable();
        assert_eq!(shapes.iter().map(|shape| shape.table.as_str()).collect::<Vec<_>>(), expected);
    }

    /// What is read out of the rules is what SQLite makes of them.
    #[test]
    fn words_are_those_that_the_table_takes() {
        let mut conn = Connection::open_in_memory().unwrap();
        MIGRATIONS.to_latest(&mut conn).unwrap();
        conn.pragma_update(None, "foreign_keys", false).unwrap();
        let mut with_words = Vec::new();
        for shape in all().unwrap() {
            for column in shape.columns.iter().filter(|column| !column.words.is_empty()) {
                with_words.push(format!("{}.{}", shape.table, column.name));
                let takes = |word: &str| {
                    let needed = shape
                        .columns
                        .iter()
                        .filter(|other| !other.is_id && other.name != column.name && !other.may_be_null);
                    let (mut names, mut values) = (vec![column.name.clone()], vec![format!("'{word}'")]);
                    for other in needed {
                        names.push(other.name.clone());
                        values.push(match other.words.first() {
                            Some(word) => format!("'{word}'"),
                            None if other.is_text => "'x'".to_owned(),
                            None => "0".to_owned(),
                        });
                    }
                    let sql = format!(
                        "SAVEPOINT s; INSERT INTO {} ({}) VALUES ({}); ROLLBACK TO s; RELEASE s",
                        shape.table,
                        names.join(", "),
                        values.join(", ")
                    );
                    let taken = conn.execute_batch(&sql).is_ok();
                    if !taken {
                        conn.execute_batch("ROLLBACK TO s; RELEASE s").unwrap();
                    }
                    taken
                };
                column.words.iter().for_each(|word| assert!(takes(word), "{}: {word}", shape.table));
                assert!(!takes("neverheard"), "{}.{}", shape.table, column.name);
            }
        }
        let expected = [
            "chunks.kind",
            "entries.priority",
            "entries.origin",
            "entries.state",
            "messages.role",
            "messages.state",
            "messages.finish_reason",
            "sessions.notify",
        ];
        assert_eq!(with_words, expected);
    }

    #[test]
    fn rows_of_every_schema_have_one_shape() {
        let shapes = all().unwrap();
        let find = |table: &str| shapes.iter().find(|shape| shape.table == table).unwrap();
        assert_eq!((find("messages").least, find("entries").least, find("sessions").least), (18, 16, 12));
        assert_eq!(find("messages").unique, [["entry_id", "role"]]);
        assert_eq!(find("entries").unique, [[""; 0]; 0]);
        assert_eq!(find("sessions").unique, [["name"]]);
    }
}
