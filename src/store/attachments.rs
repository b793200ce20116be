//! Files that go along with the next message of a session: kept until that message is committed, and taken in its transaction.

use rusqlite::{Connection, params};

use super::sql::is_missing_parent;
use super::{Enqueue, Read, StoreError, Write};
use crate::domain::attachment::{Attachment, MAX_ATTACHED_FILES, with_attachments};
use crate::domain::limits::MAX_MESSAGE_BYTES;
use crate::domain::{Entry, SessionId, SessionRef};

/// A file that is attached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attached {
    /// Its name as a person gave it.
    pub name: String,
    /// How much is in it.
    pub bytes: u64,
}

/// Attaches files to a session: all or none. One of a name that is attached already takes that one's place.
///
/// Fails with [`StoreError::NoSession`], and with [`StoreError::TooLong`] or [`StoreError::TooMany`] when no message could take
/// all that would be attached then.
#[derive(Debug, Clone)]
pub struct AttachFiles {
    /// Which session.
    pub session: SessionId,
    /// The files, in order.
    pub files: Vec<Attachment>,
}

impl Write for AttachFiles {
    type Reply = ();

    fn apply(self, conn: &Connection) -> Result<(), StoreError> {
        let mut remove = conn.prepare_cached("DELETE FROM attachments WHERE session_id = ?1 AND name = ?2")?;
        let mut insert = conn.prepare_cached("INSERT INTO attachments (session_id, name, text) VALUES (?1, ?2, ?3)")?;
        for file in self.files {
            remove.execute(params![self.session, file.name])?;
            insert.execute(params![self.session, file.name, file.text]).map_err(|e| match is_missing_parent(&e) {
                true => StoreError::NoSession(SessionRef::Id(self.session)),
                false => e.into(),
            })?;
        }
        let all = files(conn, self.session)?;
        if all.len() > MAX_ATTACHED_FILES {
            return Err(StoreError::TooMany(all.len()));
        }
        whole(&all, "").map(|_| ())
    }
}

/// Forgets what is attached to a session. The reply is how many files that were.
#[derive(Debug, Clone, Copy)]
pub struct DropAttachments {
    /// Which session.
    pub session: SessionId,
}

impl Write for DropAttachments {
    type Reply = usize;

    fn apply(self, conn: &Connection) -> Result<usize, StoreError> {
        Ok(conn.prepare_cached("DELETE FROM attachments WHERE session_id = ?1")?.execute([self.session])?)
    }
}

/// Acknowledges a message that a person typed in its session: what is attached there stands before it, and is attached no more.
/// The reply is that one entry, as [`EnqueueAll`](super::EnqueueAll)'s would be.
///
/// Fails as [`Enqueue`] does, and with [`StoreError::TooLong`]: what is attached stays so then.
#[derive(Debug, Clone)]
pub struct EnqueueTyped(pub Enqueue);

impl Write for EnqueueTyped {
    type Reply = Vec<Entry>;

    fn apply(self, conn: &Connection) -> Result<Vec<Entry>, StoreError> {
        let Self(mut entry) = self;
        let files = files(conn, entry.session)?;
        if !files.is_empty() {
            entry.text = whole(&files, &entry.text)?;
            DropAttachments { session: entry.session }.apply(conn)?;
        }
        Ok(vec![entry.apply(conn)?])
    }
}

fn whole(files: &[Attachment], text: &str) -> Result<String, StoreError> {
    let whole = with_attachments(files, text);
    if whole.len() > MAX_MESSAGE_BYTES { Err(StoreError::TooLong(whole.len())) } else { Ok(whole) }
}

fn files(conn: &Connection, session: SessionId) -> Result<Vec<Attachment>, StoreError> {
    let mut statement = conn.prepare_cached("SELECT name, text FROM attachments WHERE session_id = ?1 ORDER BY id")?;
    let found = statement.query_map([session], |row| Ok(Attachment { name: row.get(0)?, text: row.get(1)? }))?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// What is attached to a session, in order.
#[derive(Debug, Clone, Copy)]
pub struct Attachments {
    /// Which session.
    pub session: SessionId,
}

impl Read for Attachments {
    type Reply = Vec<Attached>;

    fn fetch(self, conn: &Connection) -> Result<Vec<Attached>, StoreError> {
        let mut statement =
            conn.prepare_cached("SELECT name, octet_length(text) FROM attachments WHERE session_id = ?1 ORDER BY id")?;
        let found = statement.query_map([self.session], |row| {
            Ok(Attached { name: row.get(0)?, bytes: row.get::<_, i64>(1)?.unsigned_abs() })
        })?;
        Ok(found.collect::<Result<_, _>>()?)
    }
}
