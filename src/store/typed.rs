//! What was typed, session by session, so that a key brings it back. Bounded: what is too old goes with the line that is added.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension, params};

use super::sql::is_missing_parent;
use super::{Read, StoreError, Write};
use crate::domain::limits::MAX_HISTORY_LINES;
use crate::domain::typed::is_kept;
use crate::domain::{SessionId, Timestamp};

/// Lines that are looked at for [`TypedEverywhere`] at most: where the same few were typed over and over, fewer are found.
const MAX_LOOKED_AT: i64 = 10 * MAX_HISTORY_LINES as i64;

/// Keeps a line that was typed, unless it is none to be kept ([`is_kept`]) or the session's newest one already. Of a session the
/// newest [`MAX_HISTORY_LINES`] are kept. Where the session is gone, so is the line.
#[derive(Debug, Clone)]
pub struct KeepTyped {
    /// Where.
    pub session: SessionId,
    /// The line.
    pub line: String,
    /// When.
    pub now: Timestamp,
}

impl Write for KeepTyped {
    type Reply = ();

    fn apply(self, conn: &Connection) -> Result<(), StoreError> {
        if !is_kept(&self.line) {
            return Ok(());
        }
        let newest: Option<(i64, bool)> = conn
            .prepare_cached("SELECT nth, line = ?2 FROM history WHERE session_id = ?1 ORDER BY nth DESC LIMIT 1")?
            .query_row(params![self.session, self.line], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let nth = match newest {
            Some((_, true)) => return Ok(()),
            Some((nth, false)) => nth + 1,
            None => 1,
        };
        let added = conn
            .prepare_cached("INSERT INTO history (session_id, nth, at_ms, line) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![self.session, nth, self.now, self.line]);
        match added {
            Ok(_) => {}
            Err(error) if is_missing_parent(&error) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        // One goes for each that comes: nothing is counted.
        conn.prepare_cached("DELETE FROM history WHERE session_id = ?1 AND nth <= ?2")?
            .execute(params![self.session, nth - MAX_HISTORY_LINES as i64])?;
        Ok(())
    }
}

/// What was typed in a session, oldest first.
#[derive(Debug, Clone, Copy)]
pub struct TypedIn {
    /// Where.
    pub session: SessionId,
}

impl Read for TypedIn {
    type Reply = Vec<String>;

    fn fetch(self, conn: &Connection) -> Result<Vec<String>, StoreError> {
        let mut statement = conn.prepare_cached("SELECT line FROM history WHERE session_id = ?1 ORDER BY nth")?;
        Ok(statement.query_map([self.session], |row| row.get(0))?.collect::<Result<_, _>>()?)
    }
}

/// The newest [`MAX_HISTORY_LINES`] of what was typed in all sessions, oldest first: each line once, where it was typed last.
#[derive(Debug, Clone, Copy)]
pub struct TypedEverywhere;

impl Read for TypedEverywhere {
    type Reply = Vec<String>;

    fn fetch(self, conn: &Connection) -> Result<Vec<String>, StoreError> {
        let mut statement = conn.prepare_cached("SELECT line FROM history ORDER BY id DESC LIMIT ?1")?;
        let mut rows = statement.query([MAX_LOOKED_AT])?;
        let (mut lines, mut known) = (Vec::new(), HashSet::new());
        while lines.len() < MAX_HISTORY_LINES
            && let Some(row) = rows.next()?
        {
            let line: String = row.get(0)?;
            if known.insert(line.clone()) {
                lines.push(line);
            }
        }
        lines.reverse();
        Ok(lines)
    }
}
