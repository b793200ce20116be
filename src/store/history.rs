//! Conversations as they are read back: for the person, and for the model.

use rusqlite::types::FromSqlError;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::chunks::OF_MESSAGE;
use super::sql::{ChunkKind, stored_error, to_u64};
use super::{Read, StoreError};
use crate::domain::{AnswerState, ChatMessage, Finish, Message, MessageId, SessionId, Usage};

/// Entries of the session `?1` that were taken back: no part of the conversation. Found in their index alone: their rows' column
/// stands behind the text, and is not read for each message.
pub(super) const UNDONE: &str = "(SELECT id FROM entries WHERE session_id = ?1 AND undone = 1)";

const COLUMNS: &str = "id, session_id, entry_id, role, text, reasoning, state, model, finish_reason, \
     input_tokens, output_tokens, error_kind, error_status, error_text, error_request_id, created_at_ms, finished_at_ms, seams, finish_detail";

/// Reads the two token columns that begin at `at`.
pub(super) fn usage(row: &Row<'_>, at: usize) -> rusqlite::Result<Usage> {
    let tokens = |at| row.get::<_, Option<i64>>(at).map(|n| n.map(to_u64));
    Ok(Usage { input: tokens(at)?, output: tokens(at + 1)? })
}

fn message(row: &Row<'_>) -> rusqlite::Result<Message> {
    Ok(Message {
        id: row.get(0)?,
        session: row.get(1)?,
        entry: row.get(2)?,
        role: row.get(3)?,
        text: row.get(4)?,
        reasoning: row.get(5)?,
        state: row.get(6)?,
        model: row.get(7)?,
        finish: finish(row, 8, 18)?,
        usage: usage(row, 9)?,
        error: stored_error(row, 11)?,
        created_at: row.get(15)?,
        finished_at: row.get(16)?,
        seams: seams(row, 17)?,
    })
}

/// Reads the stop reason and its detail, which stand at these places.
pub(super) fn finish(row: &Row<'_>, reason: usize, detail: usize) -> rusqlite::Result<Option<Finish>> {
    let Some(reason) = row.get(reason)? else { return Ok(None) };
    Ok(Some(Finish { reason, detail: row.get(detail)? }))
}

/// Reads the column `seams`, which stands at `at`.
pub(super) fn seams(row: &Row<'_>, at: usize) -> rusqlite::Result<Vec<u64>> {
    let text = row.get_ref(at)?.as_str()?;
    let offsets = text.split_whitespace().map(str::parse);
    offsets.collect::<Result<_, _>>().map_err(|e| FromSqlError::other(e).into())
}

/// Joins the chunk rows in, where the answer has not ended yet.
fn whole(conn: &Connection, mut message: Message) -> Result<Message, StoreError> {
    if message.state == AnswerState::Streaming {
        let mut chunks =
            conn.prepare_cached(&format!("SELECT kind, text FROM chunks WHERE {OF_MESSAGE} ORDER BY id"))?;
        let mut rows = chunks.query([message.id])?;
        while let Some(row) = rows.next()? {
            let into = match row.get(0)? {
                ChunkKind::Text => &mut message.text,
                ChunkKind::Reasoning => &mut message.reasoning,
            };
            into.push_str(row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?);
        }
    }
    Ok(message)
}

/// The last messages of a session, oldest first; a streaming answer as far as it is committed. What was taken back is not among
/// them.
#[derive(Debug, Clone, Copy)]
pub struct History {
    /// Whose.
    pub session: SessionId,
    /// How many, questions and answers counted alike.
    pub last: usize,
}

impl Read for History {
    type Reply = Vec<Message>;

    fn fetch(self, conn: &Connection) -> Result<Vec<Message>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM messages WHERE session_id = ?1 AND entry_id NOT IN {UNDONE} ORDER BY id DESC LIMIT ?2"
        );
        let limit = i64::try_from(self.last).unwrap_or(i64::MAX);
        let mut statement = conn.prepare_cached(&sql)?;
        let rows = statement.query_map(params![self.session, limit], message)?;
        let mut messages = rows.map(|row| whole(conn, row?)).collect::<Result<Vec<_>, _>>()?;
        messages.reverse();
        Ok(messages)
    }
}

/// One message; `None` when its session was deleted, or its turn went to the end under new numbers.
#[derive(Debug, Clone, Copy)]
pub struct FindMessage(pub MessageId);

impl Read for FindMessage {
    type Reply = Option<Message>;

    fn fetch(self, conn: &Connection) -> Result<Option<Message>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM messages WHERE id = ?1");
        let found = conn.prepare_cached(&sql)?.query_row([self.0], message).optional()?;
        found.map(|message| whole(conn, message)).transpose()
    }
}

/// What the model gets with a question: the turns before it in the order they were sent, then the question.
///
/// An interrupted or failed answer goes along as far as it came. A turn whose answer has no text does not go along, whatever
/// became of it: so questions and answers alternate, as the APIs want it. What waits is never part of it, whatever it has of an answer, nor what was taken back. The partial of the
/// turn under way, where it is continued, is for the caller to add ([`Kept`](crate::domain::Kept)).
#[derive(Debug, Clone, Copy)]
pub struct Context {
    /// Whose.
    pub session: SessionId,
    /// The question of the turn under way ([`Turn::question`](super::Turn)).
    pub question: MessageId,
}

impl Read for Context {
    type Reply = Vec<ChatMessage>;

    fn fetch(self, conn: &Connection) -> Result<Vec<ChatMessage>, StoreError> {
        let sql = format!(
            "SELECT m.role, m.text FROM messages m JOIN entries e ON e.id = m.entry_id \
             WHERE m.session_id = ?1 AND m.id <= ?2 AND m.entry_id NOT IN {UNDONE} AND CASE \
                 WHEN m.id = ?2 THEN 1 \
                 WHEN e.state = 'pending' THEN 0 \
                 WHEN m.role = 'assistant' THEN octet_length(m.text) > 0 \
                 ELSE EXISTS (SELECT 1 FROM messages a WHERE a.entry_id = m.entry_id AND a.role = 'assistant' \
                              AND octet_length(a.text) > 0) END \
             ORDER BY m.id"
        );
        let mut statement = conn.prepare_cached(&sql)?;
        let rows = statement.query_map(params![self.session, self.question], |row| {
            Ok(ChatMessage { role: row.get(0)?, text: row.get(1)? })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}
