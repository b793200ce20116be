//! Between rows and the domain: how ids, words, times and failures stand in columns.

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{ErrorCode, Row, ffi};

use crate::domain::{
    AnswerState, EntryId, EntryState, ErrorKind, FinishReason, MessageId, ModelName, Notify, Origin, Priority,
    ProcessId, Role, Seen, SessionId, SessionName, StoredError, Timestamp,
};

macro_rules! as_integer {
    ($($name:ty),+) => {$(
        impl ToSql for $name {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                Ok(ToSqlOutput::from(self.0))
            }
        }

        impl FromSql for $name {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                value.as_i64().map(Self)
            }
        }
    )+};
}
as_integer!(SessionId, EntryId, MessageId, ProcessId, Timestamp);

macro_rules! as_text {
    ($($name:ty),+) => {$(
        impl ToSql for $name {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                Ok(ToSqlOutput::from(self.to_string()))
            }
        }

        impl FromSql for $name {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                value.as_str()?.parse().map_err(|e| FromSqlError::Other(Box::new(e)))
            }
        }
    )+};
}
as_text!(Priority, Origin, EntryState, AnswerState, Role, FinishReason, ErrorKind, ModelName, Notify, ChunkKind);

impl ToSql for SessionName {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(self.as_str()))
    }
}

impl FromSql for SessionName {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_str().map(Self::stored)
    }
}

crate::domain::kinds::words!(
    /// What a piece of a streaming answer belongs to.
    ChunkKind {
        /// The model speaks.
        Text => "text",
        /// The model thinks aloud.
        Reasoning => "reasoning",
    }
);

/// A count of the domain in SQLite's signed 64 bits: what is larger is as good as endless.
pub(super) fn to_i64(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// The way back: `i64::MAX` stands for `u64::MAX` ([`Seen::whole`]).
pub(super) fn to_u64(count: i64) -> u64 {
    if count == i64::MAX { u64::MAX } else { u64::try_from(count).unwrap_or(0) }
}

/// Reads the four `seen_…` columns that begin at `at`.
pub(super) fn seen(row: &Row<'_>, at: usize) -> rusqlite::Result<Seen> {
    Ok(Seen {
        message: row.get(at)?,
        reasoning_bytes: to_u64(row.get(at + 1)?),
        text_bytes: to_u64(row.get(at + 2)?),
        ended: row.get(at + 3)?,
    })
}

/// Reads the four `error_…` columns that begin at `at`.
pub(super) fn stored_error(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<StoredError>> {
    let Some(kind) = row.get(at)? else { return Ok(None) };
    Ok(Some(StoredError {
        kind,
        status: row.get(at + 1)?,
        text: row.get::<_, Option<String>>(at + 2)?.unwrap_or_default(),
        request_id: row.get(at + 3)?,
    }))
}

/// The four `error_…` columns of a failure, for binding.
#[derive(Debug, Clone, Copy)]
pub(super) struct ErrorColumns<'a> {
    pub(super) kind: Option<ErrorKind>,
    pub(super) status: Option<u16>,
    pub(super) text: Option<&'a str>,
    pub(super) request_id: Option<&'a str>,
}

impl<'a> From<Option<&'a StoredError>> for ErrorColumns<'a> {
    fn from(error: Option<&'a StoredError>) -> Self {
        Self {
            kind: error.map(|e| e.kind),
            status: error.and_then(|e| e.status),
            text: error.map(|e| e.text.as_str()),
            request_id: error.and_then(|e| e.request_id.as_deref()),
        }
    }
}

/// Whether a UNIQUE constraint (or index) refused.
pub(super) fn is_unique_violation(error: &rusqlite::Error) -> bool {
    is_constraint(error, ffi::SQLITE_CONSTRAINT_UNIQUE)
}

/// Whether a reference to a row that is not there refused.
pub(super) fn is_missing_parent(error: &rusqlite::Error) -> bool {
    is_constraint(error, ffi::SQLITE_CONSTRAINT_FOREIGNKEY)
}

fn is_constraint(error: &rusqlite::Error, extended: i32) -> bool {
    matches!(error, rusqlite::Error::SqliteFailure(e, _)
        if e.code == ErrorCode::ConstraintViolation && e.extended_code == extended)
}
