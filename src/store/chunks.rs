//! What answers grow by while they stream: a log, which all of them append to at its tail, and which is trimmed at its head when one ends.
//!
//! What many slow answers bring at a time lies on one page or few then, where each would else write a page of its own, and pages of an
//! index. Who reads an answer's chunks steps over those of the others, from the first that can be its own on.
//!
//! # Why nobody reads what is not his
//!
//! - Ids grow, and none is used twice. SQLite gives the greatest id in the table and one more, so the row that has it is never deleted:
//!   it is emptied when it is nobody's any more ([`clear`]).
//! - A message that streams has its `first_chunk`, and no other has one (a CHECK of the schema). [`StartTurn`](super::StartTurn) sets it
//!   to the id that the next row of the log will have ([`NEXT`]); what ends the attempt takes it away. So all rows of earlier attempts
//!   at the same message lie before it, and what the attempt brings lies behind.
//! - A message's chunks are the rows with its number from its `first_chunk` on. Rows of a message that is gone (its session was deleted,
//!   its turn went to the end, its question has another text) are nobody's: the numbers of messages are never used again.
//! - None of them is deleted while the message streams: the log is trimmed up to the least `first_chunk` there is, and what is deleted
//!   behind that is of an answer that ends in the same commit, or of no message at all.
//!
//! So an attempt's rows are without a gap, and whoever has read up to one of them has only to read what comes behind it
//! ([`ChunksSince`]).

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::sql::{ChunkKind, to_i64};
use super::{Read, StoreError};
use crate::domain::{EntryId, MessageId};

/// The id of the next row of the log.
pub(super) const NEXT: &str = "(SELECT coalesce(max(id), 0) + 1 FROM chunks)";

/// The last row of the log.
pub(super) const LAST: &str = "SELECT coalesce(max(id), 0) FROM chunks";

/// The chunks of the message `?1`: nothing when it does not stream.
pub(super) const OF_MESSAGE: &str = "id >= (SELECT first_chunk FROM messages WHERE id = ?1) AND message_id = ?1";

/// Rows of this many bytes have pages of their own: they are deleted when their answer ends, wherever the head of the log is, so that
/// the answer's whole text takes those pages.
const BIG_BYTES: usize = 4 << 10;

/// Bytes in the chunks of a message that streams, of its reasoning and of its text.
pub(super) fn measure(conn: &Connection, message: MessageId) -> rusqlite::Result<(u64, u64)> {
    // In one walk.
    let sql = format!(
        "SELECT coalesce(sum(octet_length(text)) FILTER (WHERE kind = 'reasoning'), 0), \
             coalesce(sum(octet_length(text)) FILTER (WHERE kind = 'text'), 0) FROM chunks WHERE {OF_MESSAGE}"
    );
    let bytes = |row: &Row<'_>, at| row.get::<_, i64>(at).map(i64::unsigned_abs);
    conn.prepare_cached(&sql)?.query_row([message], |row| Ok((bytes(row, 0)?, bytes(row, 1)?)))
}

/// What an answer grew by since it was folded last.
pub(super) struct Grown {
    pub(super) text: String,
    pub(super) reasoning: String,
}

/// Takes an answer's chunks out of the log, and `last` behind them, for the caller to put into the message with the one UPDATE
/// that ends it, and sets `first_chunk = NULL`: each UPDATE of a message writes its whole text anew. First out, then in: the
/// pages that big chunks leave are those that the text takes.
pub(super) fn take(conn: &Connection, answer: MessageId, last: Vec<(ChunkKind, String)>) -> Result<Grown, StoreError> {
    let mut grown = Grown { text: String::new(), reasoning: String::new() };
    let mut grow = |kind: ChunkKind, piece: &str| match kind {
        ChunkKind::Text => grown.text.push_str(piece),
        ChunkKind::Reasoning => grown.reasoning.push_str(piece),
    };
    let sql = format!("SELECT id, kind, text FROM chunks WHERE {OF_MESSAGE} ORDER BY id");
    let mut stored = conn.prepare_cached(&sql)?;
    let (mut rows, mut big) = (stored.query([answer])?, Vec::new());
    while let Some(row) = rows.next()? {
        let text = row.get_ref(2)?.as_str().map_err(rusqlite::Error::from)?;
        grow(row.get(1)?, text);
        if text.len() >= BIG_BYTES {
            big.push(row.get(0)?);
        }
    }
    drop(rows);
    let head = trim(conn, Some(answer))?;
    big.into_iter().filter(|id| *id >= head).try_for_each(|id| clear(conn, id))?;
    for (kind, piece) in &last {
        grow(*kind, piece);
    }
    Ok(grown)
}

/// Deletes what lies before all that is still read, `but` the message whose chunks were taken. Gives back where the log begins.
fn trim(conn: &Connection, but: Option<MessageId>) -> Result<i64, StoreError> {
    let sql = "SELECT (SELECT min(first_chunk) FROM messages WHERE state = 'streaming' AND id IS NOT ?1), \
                   (SELECT max(id) FROM chunks)";
    let (head, last): (Option<i64>, Option<i64>) =
        conn.prepare_cached(sql)?.query_row([but], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let head = head.unwrap_or(i64::MAX);
    if let Some(last) = last {
        conn.prepare_cached("DELETE FROM chunks WHERE id < ?1")?.execute([head.min(last)])?;
        if last < head {
            clear(conn, last)?;
        }
    }
    Ok(head)
}

/// Takes the text of a row that is nobody's out of the log, with the row if it is not the last.
fn clear(conn: &Connection, id: i64) -> Result<(), StoreError> {
    let delete = "DELETE FROM chunks WHERE id = ?1 AND id < (SELECT max(id) FROM chunks)";
    if conn.prepare_cached(delete)?.execute([id])? == 0 {
        conn.prepare_cached("UPDATE chunks SET text = '' WHERE id = ?1 AND text <> ''")?.execute([id])?;
    }
    Ok(())
}

/// Takes what is of no message any more out of the log: of a session that was deleted nothing is to stay until others have ended.
pub(super) fn forget_orphans(conn: &Connection) -> Result<(), StoreError> {
    let sql = "SELECT id FROM chunks WHERE NOT EXISTS (SELECT 1 FROM messages m WHERE m.id = chunks.message_id)";
    let orphans = conn.prepare_cached(sql)?.query_map([], |row| row.get(0))?.collect::<Result<Vec<i64>, _>>()?;
    orphans.into_iter().try_for_each(|id| clear(conn, id))?;
    trim(conn, None).map(|_| ())
}

/// An attempt at an answer, while it streams. As long as it is found as it was, its chunks are those that were there, and more behind
/// them. Two attempts at one message may begin at the same chunk, when the first brought none; the second has more of the
/// answer in its message then, or the same, and goes on at the same place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stream {
    /// The answer.
    pub message: MessageId,
    /// The entry that it answers.
    pub entry: EntryId,
    /// Its chunks lie from here on.
    pub first_chunk: i64,
    /// Bytes of its reasoning before them.
    pub reasoning_bytes: u64,
    /// Bytes of its text before them.
    pub text_bytes: u64,
}

impl Stream {
    fn is_as_it_was(&self, conn: &Connection) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM messages WHERE id = ?1 AND state = 'streaming' AND octet_length(reasoning) = ?2 \
                       AND octet_length(text) = ?3 AND first_chunk = ?4";
        let (reasoning, text) = (to_i64(self.reasoning_bytes), to_i64(self.text_bytes));
        let values = params![self.message, reasoning, text, self.first_chunk];
        Ok(conn.prepare_cached(sql)?.query_row(values, |_| Ok(())).optional()?.is_some())
    }
}

/// What answers grew by behind a chunk: one read for all that are followed, whose cost is that of what is new.
#[derive(Debug, Clone)]
pub struct ChunksSince {
    /// Chunks up to this one are known.
    pub after: i64,
    /// Of which answers.
    pub streams: Vec<Stream>,
    /// Bytes to give at most, but for one chunk that has more.
    pub max_bytes: u64,
}

/// What answers grew by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chunks {
    /// In the order in which they were written.
    pub rows: Vec<Chunk>,
    /// The last one that was looked at, to ask from next time.
    pub last: i64,
    /// There are more behind it.
    pub more: bool,
    /// Of the streams that were asked for, those that are not as they were: they have ended, or begun again. Nothing is given of them.
    pub over: BTreeSet<MessageId>,
}

/// A row of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Its number.
    pub id: i64,
    /// The answer that grew.
    pub message: MessageId,
    /// By what.
    pub kind: ChunkKind,
    /// The piece.
    pub text: String,
}

impl Read for ChunksSince {
    type Reply = Chunks;

    fn fetch(self, conn: &Connection) -> Result<Chunks, StoreError> {
        let (mut found, mut wanted) = (Chunks { last: self.after, ..Chunks::default() }, BTreeSet::new());
        for stream in self.streams {
            let of = if stream.is_as_it_was(conn)? { &mut wanted } else { &mut found.over };
            of.insert(stream.message);
        }
        let mut room = self.max_bytes;
        let mut behind =
            conn.prepare_cached("SELECT id, message_id, kind, text FROM chunks WHERE id > ?1 ORDER BY id")?;
        let mut rows = behind.query([self.after])?;
        while let Some(row) = rows.next()? {
            let (id, message) = (row.get(0)?, row.get(1)?);
            if wanted.contains(&message) {
                let text = row.get_ref(3)?.as_str().map_err(rusqlite::Error::from)?;
                let bytes = text.len() as u64;
                if bytes > room && !found.rows.is_empty() {
                    found.more = true;
                    break;
                }
                room = room.saturating_sub(bytes);
                found.rows.push(Chunk { id, message, kind: row.get(2)?, text: text.to_owned() });
            }
            found.last = id;
        }
        Ok(found)
    }
}
