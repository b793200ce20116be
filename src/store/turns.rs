//! A turn's life until its end ([`EndTurn`](super::EndTurn)): its rows are made, and grow. Each step is one operation, so one
//! commit.

use rusqlite::{Connection, OptionalExtension, params};

use super::entries::expect_state;
use super::sql::{ChunkKind, is_unique_violation};
use super::{StoreError, Write, chunks, leases};
use crate::domain::{AnswerState, EntryId, EntryState, Kept, MessageId, ModelName, SessionId, Timestamp};

/// Starts an entry's turn: pending → running, one attempt more.
///
/// Its question and answer rows are made, or used again when an earlier attempt left them empty at the session's end, and not
/// for dead; so ids grow with time. An entry that `continues` keeps its answer: rows at the session's end are used again, else the
/// question and the partial get new ones there, and the old ones go. Where it is continued is a seam of the answer.
///
/// The process that runs the turn can repeat it as long as nothing has come: the reply is the turn that it has, and no attempt more.
///
/// Fails with [`StoreError::NoEntry`], [`StoreError::WrongState`], with [`StoreError::Leased`] when another process runs what is to be
/// run in the session, and with [`StoreError::TurnRunning`] when the session has a turn under way.
#[derive(Debug, Clone)]
pub struct StartTurn {
    /// Whose turn.
    pub entry: EntryId,
    /// When.
    pub now: Timestamp,
}

/// A turn that was started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// The entry.
    pub entry: EntryId,
    /// Its session.
    pub session: SessionId,
    /// The question's row.
    pub question: MessageId,
    /// The answer's row.
    pub answer: MessageId,
    /// The session's last message before the question; 0: none.
    pub before: MessageId,
    /// The question, verbatim.
    pub text: String,
    /// 1 for the first attempt.
    pub attempt: u32,
    /// The session's model at this moment, kept with the answer.
    pub model: ModelName,
    /// What the answer goes on from; empty for one that starts afresh.
    pub kept: Kept,
    /// Its rows are new, although the entry had others: those are gone.
    pub moved: bool,
}

impl Write for StartTurn {
    type Reply = Turn;

    fn apply(self, conn: &Connection) -> Result<Turn, StoreError> {
        let found = conn
            .prepare_cached(
                "SELECT e.session_id, e.state, e.attempts, e.continues, s.model, e.text \
                 FROM entries e JOIN sessions s ON s.id = e.session_id WHERE e.id = ?1",
            )?
            .query_row([self.entry], |row| {
                let found = Found {
                    session: row.get(0)?,
                    attempts: row.get(2)?,
                    continues: row.get(3)?,
                    model: row.get(4)?,
                    text: row.get(5)?,
                };
                Ok((found, row.get(1)?))
            })
            .optional()?;
        let Some((found, state)) = found else { return Err(StoreError::NoEntry(self.entry)) };
        if state == EntryState::Running
            && let Some(turn) = started_already(conn, self.entry, &found)?
        {
            return Ok(turn);
        }
        expect_state(self.entry, state, EntryState::Pending)?;
        let Found { session, attempts, continues, model, text } = found;
        leases::claim(conn, session)?;
        leases::expect_lease(conn, session)?;
        conn.prepare_cached(
            "UPDATE entries SET state = 'running', attempts = attempts + 1, held = 0, continues = 0, not_before_ms = NULL, \
                 started_at_ms = coalesce(started_at_ms, ?2), error_kind = NULL, error_status = NULL, \
                 error_text = NULL, error_request_id = NULL WHERE id = ?1",
        )?
        .execute(params![self.entry, self.now])
        .map_err(|e| if is_unique_violation(&e) { StoreError::TurnRunning(session) } else { e.into() })?;
        let old = old_rows(conn, self.entry, session)?;
        let partial = match &old {
            Some(old) if continues => partial(conn, old.answer)?,
            Some(_) | None => None,
        };
        let moved = old.as_ref().is_some_and(|old| old.ended || !old.last || !(old.empty || partial.is_some()));
        let rows = match old {
            Some(old) if !moved => old.rows(),
            Some(_) | None => new_rows(conn, self.entry, partial.as_ref(), self.now)?,
        };
        begin(conn, rows.answer, &model, partial.as_ref())?;
        let kept = partial.map(|partial| Kept { reasoning_bytes: partial.reasoning.len() as u64, text: partial.text });
        Ok(Turn {
            entry: self.entry,
            session,
            question: rows.question,
            answer: rows.answer,
            before: before(conn, session, rows.question)?,
            text,
            attempt: attempts.saturating_add(1),
            model,
            kept: kept.unwrap_or_default(),
            moved,
        })
    }
}

/// What an entry says of its next attempt.
struct Found {
    session: SessionId,
    attempts: u32,
    continues: bool,
    model: ModelName,
    text: String,
}

/// The turn of an entry that this process runs; `None` when another one runs it, or something of its answer has come.
fn started_already(conn: &Connection, entry: EntryId, found: &Found) -> Result<Option<Turn>, StoreError> {
    if leases::expect_lease(conn, found.session).is_err() {
        return Ok(None);
    }
    let row = conn
        .prepare_cached(
            "SELECT q.id, a.id, a.text, a.reasoning, a.seams, a.model FROM messages a \
             JOIN messages q ON q.entry_id = a.entry_id AND q.role = 'user' \
             WHERE a.entry_id = ?1 AND a.role = 'assistant' AND a.state = 'streaming' \
                 AND NOT EXISTS (SELECT 1 FROM chunks WHERE message_id = a.id AND id >= a.first_chunk)",
        )?
        .query_row([entry], |row| {
            let rows = Rows { question: row.get(0)?, answer: row.get(1)? };
            Ok((rows, Partial { text: row.get(2)?, reasoning: row.get(3)?, seams: row.get(4)? }, row.get(5)?))
        })
        .optional()?;
    let Some((rows, partial, model)) = row else { return Ok(None) };
    let is_kept = partial.seams.rsplit(' ').next() == Some(partial.text.len().to_string().as_str());
    let kept = Kept { reasoning_bytes: partial.reasoning.len() as u64, text: partial.text };
    Ok(Some(Turn {
        entry,
        session: found.session,
        question: rows.question,
        answer: rows.answer,
        before: before(conn, found.session, rows.question)?,
        text: found.text.clone(),
        attempt: found.attempts,
        model,
        kept: if is_kept { kept } else { Kept::default() },
        moved: false,
    }))
}

struct Rows {
    question: MessageId,
    answer: MessageId,
}

/// The rows of an earlier attempt.
struct Old {
    question: MessageId,
    answer: MessageId,
    /// Nothing came of it.
    empty: bool,
    /// Its output has its end: what is read of it later has rows of its own.
    ended: bool,
    /// They are the session's last.
    last: bool,
}

impl Old {
    const fn rows(&self) -> Rows {
        Rows { question: self.question, answer: self.answer }
    }
}

fn old_rows(conn: &Connection, entry: EntryId, session: SessionId) -> Result<Option<Old>, StoreError> {
    let found = conn
        .prepare_cached(
            "SELECT q.id, a.id, a.reasoning = '' AND a.text = '', \
                 a.finished_at_ms IS NOT NULL AND (a.state = 'failed' OR a.reasoning <> '' OR a.text <> ''), \
                 a.id = (SELECT max(m.id) FROM messages m WHERE m.session_id = ?2) \
             FROM messages a JOIN messages q ON q.entry_id = a.entry_id AND q.role = 'user' \
             WHERE a.entry_id = ?1 AND a.role = 'assistant'",
        )?
        .query_row(params![entry, session], |row| {
            Ok(Old {
                question: row.get(0)?,
                answer: row.get(1)?,
                empty: row.get(2)?,
                ended: row.get(3)?,
                last: row.get(4)?,
            })
        })
        .optional()?;
    Ok(found)
}

/// A partial answer, to be gone on from.
struct Partial {
    text: String,
    reasoning: String,
    /// As in the column, with the seam that is made now.
    seams: String,
}

/// The answer as it was cut; `None` when it has no text: reasoning alone cannot be gone on from, and what came of an attempt that
/// is made again is not added to.
fn partial(conn: &Connection, answer: MessageId) -> Result<Option<Partial>, StoreError> {
    let mut statement = conn.prepare_cached("SELECT text, reasoning, seams FROM messages WHERE id = ?1")?;
    let mut partial = statement
        .query_row([answer], |row| Ok(Partial { text: row.get(0)?, reasoning: row.get(1)?, seams: row.get(2)? }))?;
    if partial.text.is_empty() {
        return Ok(None);
    }
    if !partial.seams.is_empty() {
        partial.seams.push(' ');
    }
    partial.seams += &partial.text.len().to_string();
    Ok(Some(partial))
}

/// New rows at the session's end, with what there is of the answer. The old ones, if there are any, go.
fn new_rows(conn: &Connection, entry: EntryId, partial: Option<&Partial>, now: Timestamp) -> Result<Rows, StoreError> {
    conn.prepare_cached("DELETE FROM messages WHERE entry_id = ?1")?.execute([entry])?;
    conn.prepare_cached(
        "INSERT INTO messages (session_id, entry_id, role, state, created_at_ms, finished_at_ms, text) \
         SELECT session_id, id, 'user', 'complete', ?2, ?2, text FROM entries WHERE id = ?1",
    )?
    .execute(params![entry, now])?;
    let question = MessageId(conn.last_insert_rowid());
    conn.prepare_cached(
        "INSERT INTO messages (session_id, entry_id, role, state, created_at_ms, text, reasoning) \
         SELECT session_id, id, 'assistant', 'streaming', ?2, ?3, ?4 FROM entries WHERE id = ?1",
    )?
    .execute(params![
        entry,
        now,
        partial.map_or("", |partial| &partial.text),
        partial.map_or("", |partial| &partial.reasoning)
    ])?;
    Ok(Rows { question, answer: MessageId(conn.last_insert_rowid()) })
}

/// The last message before the question that has put something out. An answer that waits for another attempt has not,
/// unless it is to be continued.
fn before(conn: &Connection, session: SessionId, question: MessageId) -> Result<MessageId, StoreError> {
    let sql = "SELECT m.id FROM messages m JOIN entries e ON e.id = m.entry_id \
               WHERE m.session_id = ?1 AND m.id < ?2 \
                   AND (e.state <> 'pending' OR (e.continues = 1 AND octet_length(m.text) > 0)) \
               ORDER BY m.id DESC LIMIT 1";
    let found = conn.prepare_cached(sql)?.query_row(params![session, question], |row| row.get(0)).optional()?;
    Ok(found.unwrap_or(MessageId(0)))
}

fn begin(conn: &Connection, answer: MessageId, model: &ModelName, partial: Option<&Partial>) -> Result<(), StoreError> {
    let sql = format!(
        "UPDATE messages SET state = 'streaming', model = ?2, finish_reason = NULL, finish_detail = NULL, input_tokens = NULL, \
             output_tokens = NULL, first_at_ms = NULL, finished_at_ms = NULL, error_kind = NULL, error_status = NULL, \
             error_text = NULL, error_request_id = NULL, seams = ?3, first_chunk = {} WHERE id = ?1",
        chunks::NEXT
    );
    conn.prepare_cached(&sql)?.execute(params![answer, model, partial.map_or("", |partial| &partial.seams)])?;
    Ok(())
}

/// A checkpoint: what an answer grew by. Neighbours of one kind become one row.
///
/// Fails with [`StoreError::NoMessage`] when the session was deleted, with [`StoreError::Leased`] when it was taken over, and with
/// [`StoreError::NotStreaming`].
#[derive(Debug, Clone)]
pub struct AppendChunks {
    /// The answer.
    pub answer: MessageId,
    /// The pieces, in the order in which they came.
    pub chunks: Vec<(ChunkKind, String)>,
}

impl Write for AppendChunks {
    type Reply = ();

    fn apply(self, conn: &Connection) -> Result<(), StoreError> {
        let found = conn
            .prepare_cached(
                "SELECT m.state, m.session_id, l.process_id IS (SELECT process FROM me) \
                 FROM messages m LEFT JOIN leases l ON l.session_id = m.session_id WHERE m.id = ?1",
            )?
            .query_row([self.answer], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?;
        match found {
            None => return Err(StoreError::NoMessage(self.answer)),
            Some((AnswerState::Streaming, _, true)) => {}
            Some((AnswerState::Streaming, session, false)) => return Err(StoreError::Leased(session)),
            Some((AnswerState::Complete | AnswerState::Interrupted | AnswerState::Failed, ..)) => {
                return Err(StoreError::NotStreaming(self.answer));
            }
        }
        let mut insert = conn.prepare_cached("INSERT INTO chunks (message_id, kind, text) VALUES (?1, ?2, ?3)")?;
        for (kind, text) in merged(self.chunks) {
            insert.execute(params![self.answer, kind, text])?;
        }
        Ok(())
    }
}

fn merged(chunks: Vec<(ChunkKind, String)>) -> Vec<(ChunkKind, String)> {
    let mut rows: Vec<(ChunkKind, String)> = Vec::new();
    for (kind, text) in chunks {
        match rows.last_mut() {
            Some((last, so_far)) if *last == kind => so_far.push_str(&text),
            _ if text.is_empty() => {}
            _ => rows.push((kind, text)),
        }
    }
    rows
}
