//! A turn's life: its rows are made, grow, and are folded. Each step is one operation, so one commit.

use rusqlite::{Connection, OptionalExtension, named_params, params};

use super::sql::{ChunkKind, ErrorColumns, is_missing_parent, is_unique_violation, to_i64};
use super::{StoreError, Write};
use crate::domain::{
    AnswerState, EntryId, EntryState, FinishReason, MessageId, ModelName, Role, SessionId, StoredError, Timestamp,
    Usage,
};

/// Starts an entry's turn: pending → running, one attempt more.
///
/// Its question and answer rows are made, or used again when an earlier attempt left them empty at the session's end; so ids
/// grow with time.
///
/// Fails with [`StoreError::NoEntry`], [`StoreError::WrongState`], or [`StoreError::TurnRunning`] when the session has a
/// turn under way in whatever process.
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
}

impl Write for StartTurn {
    type Reply = Turn;

    fn apply(self, conn: &Connection) -> Result<Turn, StoreError> {
        let found = conn
            .prepare_cached(
                "SELECT e.session_id, e.state, e.attempts, s.model, e.text FROM entries e JOIN sessions s ON s.id = e.session_id \
                 WHERE e.id = ?1",
            )?
            .query_row([self.entry], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)))
            .optional()?;
        let Some((session, state, attempts, model, text)) = found else { return Err(StoreError::NoEntry(self.entry)) };
        expect_state(self.entry, state, EntryState::Pending)?;
        let session: SessionId = session;
        conn.prepare_cached(
            "UPDATE entries SET state = 'running', attempts = attempts + 1, held = 0, not_before_ms = NULL, \
                 started_at_ms = coalesce(started_at_ms, ?2), error_kind = NULL, error_status = NULL, \
                 error_text = NULL, error_request_id = NULL WHERE id = ?1",
        )?
        .execute(params![self.entry, self.now])
        .map_err(|e| if is_unique_violation(&e) { StoreError::TurnRunning(session) } else { e.into() })?;
        let attempts: u32 = attempts;
        let rows = answer_rows(conn, self.entry, session, &model, self.now)?;
        Ok(Turn {
            entry: self.entry,
            session,
            question: rows.question,
            answer: rows.answer,
            before: before(conn, session, rows.question)?,
            text,
            attempt: attempts.saturating_add(1),
            model,
        })
    }
}

fn expect_state(entry: EntryId, found: EntryState, expected: EntryState) -> Result<(), StoreError> {
    if found == expected { Ok(()) } else { Err(StoreError::WrongState { entry, found, expected }) }
}

struct Rows {
    question: MessageId,
    answer: MessageId,
}

/// The rows of a turn that starts now: those of an earlier attempt, if they are the session's last and nothing came of it,
/// else new ones. What came of an attempt that is made again (reasoning before a crash, say) is not added to.
fn answer_rows(
    conn: &Connection,
    entry: EntryId,
    session: SessionId,
    model: &ModelName,
    now: Timestamp,
) -> Result<Rows, StoreError> {
    let old = conn
        .prepare_cached(
            "SELECT q.id, a.id, a.reasoning = '' AND a.text = '' \
                     AND a.id = (SELECT max(m.id) FROM messages m WHERE m.session_id = ?2) \
             FROM messages a JOIN messages q ON q.entry_id = a.entry_id AND q.role = 'user' \
             WHERE a.entry_id = ?1 AND a.role = 'assistant'",
        )?
        .query_row(params![entry, session], |row| {
            Ok((Rows { question: row.get(0)?, answer: row.get(1)? }, row.get::<_, bool>(2)?))
        })
        .optional()?;
    let rows = match old {
        Some((rows, true)) => rows,
        Some((_, false)) | None => {
            conn.prepare_cached("DELETE FROM messages WHERE entry_id = ?1")?.execute([entry])?;
            let question = insert(conn, entry, Role::User, now)?;
            Rows { question, answer: insert(conn, entry, Role::Assistant, now)? }
        }
    };
    begin(conn, rows.answer, model)?;
    Ok(rows)
}

fn before(conn: &Connection, session: SessionId, question: MessageId) -> Result<MessageId, StoreError> {
    // An answer that waits for another attempt has put nothing out.
    let sql = "SELECT coalesce(max(m.id), 0) FROM messages m JOIN entries e ON e.id = m.entry_id \
               WHERE m.session_id = ?1 AND m.id < ?2 AND e.state <> 'pending'";
    Ok(conn.prepare_cached(sql)?.query_row(params![session, question], |row| row.get(0))?)
}

/// Adds a row: a question with its entry's words, whole as it is, or an answer without any yet.
fn insert(conn: &Connection, entry: EntryId, role: Role, now: Timestamp) -> Result<MessageId, StoreError> {
    conn.prepare_cached(
        "INSERT INTO messages (session_id, entry_id, role, state, created_at_ms, finished_at_ms, text) \
         SELECT session_id, id, ?2, 'complete', ?3, iif(?2 = 'user', ?3, NULL), iif(?2 = 'user', text, '') \
         FROM entries WHERE id = ?1",
    )?
    .execute(params![entry, role, now])?;
    Ok(MessageId(conn.last_insert_rowid()))
}

fn begin(conn: &Connection, answer: MessageId, model: &ModelName) -> Result<(), StoreError> {
    conn.prepare_cached(
        "UPDATE messages SET state = 'streaming', model = ?2, finish_reason = NULL, input_tokens = NULL, \
             output_tokens = NULL, first_at_ms = NULL, finished_at_ms = NULL, error_kind = NULL, error_status = NULL, \
             error_text = NULL, error_request_id = NULL WHERE id = ?1",
    )?
    .execute(params![answer, model])?;
    Ok(())
}

/// A checkpoint: what an answer grew by. Neighbours of one kind become one row.
///
/// Fails with [`StoreError::NoMessage`] when the session was deleted, and with [`StoreError::NotStreaming`].
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
        let state: Option<AnswerState> = conn
            .prepare_cached("SELECT state FROM messages WHERE id = ?1")?
            .query_row([self.answer], |row| row.get(0))
            .optional()?;
        match state {
            None => return Err(StoreError::NoMessage(self.answer)),
            Some(AnswerState::Streaming) => {}
            Some(AnswerState::Complete | AnswerState::Interrupted | AnswerState::Failed) => {
                return Err(StoreError::NotStreaming(self.answer));
            }
        }
        let mut insert = conn.prepare_cached("INSERT INTO chunks (message_id, kind, text) VALUES (?1, ?2, ?3)")?;
        for (kind, text) in merged(self.chunks) {
            insert.execute(params![self.answer, kind, text]).map_err(|e| match is_missing_parent(&e) {
                true => StoreError::NoMessage(self.answer),
                false => e.into(),
            })?;
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

/// Ends an attempt: folds the chunks into the answer, and says what becomes of answer and entry, in one commit. Only
/// after its reply, which is the answer's whole text, is the session idle.
///
/// Fails with [`StoreError::NoEntry`] when the session was deleted, with [`StoreError::WrongState`] when the entry
/// does not run or is to be `Running` afterwards, and with [`StoreError::NotStreaming`] when the answer is not its.
#[derive(Debug, Clone)]
pub struct EndTurn {
    /// Whose turn.
    pub entry: EntryId,
    /// Its answer.
    pub answer: MessageId,
    /// What came since the last checkpoint.
    pub chunks: Vec<(ChunkKind, String)>,
    /// What the answer is now. While the entry is `Pending` its output has no end, whatever this says. `Streaming` is
    /// kept as `Interrupted`: an attempt that ended streams no more.
    pub answer_state: AnswerState,
    /// What the entry is now: `Pending` for a retry; never `Running`.
    pub entry_state: EntryState,
    /// Why the model stopped.
    pub finish_reason: Option<FinishReason>,
    /// Tokens of the attempt.
    pub usage: Usage,
    /// What went wrong; kept with both.
    pub error: Option<StoredError>,
    /// Whether the attempt counts. Not so when it was ended from here before anything came.
    pub counts: bool,
    /// For a retry: not to be started earlier.
    pub not_before: Option<Timestamp>,
    /// When the first content of the attempt came.
    pub first_at: Option<Timestamp>,
    /// When it ended.
    pub now: Timestamp,
}

impl Write for EndTurn {
    type Reply = String;

    fn apply(self, conn: &Connection) -> Result<String, StoreError> {
        let found = conn
            .prepare_cached("SELECT state FROM entries WHERE id = ?1")?
            .query_row([self.entry], |row| row.get(0))
            .optional()?;
        expect_state(self.entry, found.ok_or(StoreError::NoEntry(self.entry))?, EntryState::Running)?;
        if self.entry_state == EntryState::Running {
            return Err(StoreError::WrongState {
                entry: self.entry,
                found: EntryState::Running,
                expected: EntryState::Done,
            });
        }
        let own = conn
            .prepare_cached("SELECT 1 FROM messages WHERE id = ?1 AND entry_id = ?2 AND role = 'assistant'")?
            .exists(params![self.answer, self.entry])?;
        if !own {
            return Err(StoreError::NotStreaming(self.answer));
        }
        let grown = take_chunks(conn, self.answer, self.chunks)?;
        let error = ErrorColumns::from(self.error.as_ref());
        let again = self.entry_state == EntryState::Pending;
        let finished_at = (!again).then_some(self.now);
        let answer_state = match self.answer_state {
            AnswerState::Streaming => AnswerState::Interrupted,
            ended @ (AnswerState::Complete | AnswerState::Interrupted | AnswerState::Failed) => ended,
        };
        let update = "UPDATE messages SET text = text || :grown_text, reasoning = reasoning || :grown_reasoning, \
                 state = :state, finish_reason = :reason, input_tokens = :input, output_tokens = :output, \
                 first_at_ms = :first, finished_at_ms = :finished, error_kind = :kind, error_status = :status, \
                 error_text = :text, error_request_id = :request WHERE id = :id RETURNING text";
        let values = named_params! {
            ":id": self.answer,
            ":grown_text": grown.text,
            ":grown_reasoning": grown.reasoning,
            ":state": answer_state,
            ":reason": self.finish_reason,
            ":input": self.usage.input.map(to_i64),
            ":output": self.usage.output.map(to_i64),
            ":first": self.first_at,
            ":finished": finished_at,
            ":kind": error.kind,
            ":status": error.status,
            ":text": error.text,
            ":request": error.request_id,
        };
        let text = conn.prepare_cached(update)?.query_row(values, |row| row.get(0))?;
        conn.prepare_cached(
            "UPDATE entries SET state = :state, attempts = attempts - :uncounted, not_before_ms = :not_before, \
                 finished_at_ms = :finished, error_kind = :kind, error_status = :status, error_text = :text, error_request_id = :request \
             WHERE id = :id",
        )?
        .execute(named_params! {
            ":id": self.entry,
            ":state": self.entry_state,
            ":uncounted": i64::from(!self.counts),
            ":not_before": self.not_before.filter(|_| again),
            ":finished": finished_at,
            ":kind": error.kind,
            ":status": error.status,
            ":text": error.text,
            ":request": error.request_id,
        })?;
        Ok(text)
    }
}

/// What an answer grew by since it was folded last.
pub(super) struct Grown {
    pub(super) text: String,
    pub(super) reasoning: String,
}

/// Takes an answer's chunk rows out of the database, and `last` behind them, for the caller to put into the message with
/// the one UPDATE that ends it: each UPDATE of a message writes its whole text anew. First out, then in: the pages that
/// the chunks leave are those that the text takes.
pub(super) fn take_chunks(
    conn: &Connection,
    answer: MessageId,
    last: Vec<(ChunkKind, String)>,
) -> Result<Grown, StoreError> {
    let mut grown = Grown { text: String::new(), reasoning: String::new() };
    let mut grow = |kind: ChunkKind, piece: &str| match kind {
        ChunkKind::Text => grown.text.push_str(piece),
        ChunkKind::Reasoning => grown.reasoning.push_str(piece),
    };
    let mut stored = conn.prepare_cached("SELECT kind, text FROM chunks WHERE message_id = ?1 ORDER BY id")?;
    let mut rows = stored.query([answer])?;
    while let Some(row) = rows.next()? {
        grow(row.get(0)?, row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?);
    }
    drop(rows);
    conn.prepare_cached("DELETE FROM chunks WHERE message_id = ?1")?.execute([answer])?;
    for (kind, piece) in &last {
        grow(*kind, piece);
    }
    Ok(grown)
}
