//! A session's output behind a position, from the store: what the replay buffer gives, when it no longer reaches back.
//!
//! Reasoning and text of an answer are one piece each here, where the buffer has them as they came. Joined they are
//! the same bytes at the same places.

use std::collections::BTreeMap;

use rusqlite::{Connection, Row, params};

use super::chunks::{self, OF_MESSAGE, Stream};
use super::history::{UNDONE, finish, usage};
use super::sql::{ChunkKind, stored_error};
use super::{Read, StoreError};
use crate::domain::{
    AnswerState, EntryId, EntryState, Finish, MessageId, Output, Role, Seen, SessionId, StoredError, Usage,
};

/// Bytes of an answer before what is given of it that are given too.
const BEFORE_BYTES: u64 = 256 << 10;
/// Messages in one reply, so that a session of a million empty answers is bounded too.
const MAX_MESSAGES: usize = 10_000;

/// What lies behind `seen`, cut to its end when that is long: pieces as in [`crate::domain::ReplayBuffer::since`]. What
/// is cut is not loaded, and what was taken back is left out.
#[derive(Debug, Clone, Copy)]
pub struct OutputSince {
    /// Whose.
    pub session: SessionId,
    /// Everything up to here was seen.
    pub seen: Seen,
    /// Bytes of text, questions and reasoning included, to give at most.
    pub max_bytes: u64,
}

/// What lies behind a position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Behind {
    /// Bytes that were left out before `outputs`, because there were more than asked for.
    pub cut_bytes: u64,
    /// The text of the answer in whose middle `outputs` begins, up to there; empty where that is long, or it begins in none.
    pub before: String,
    /// In the order of output. An answer that may still grow has no [`Output::End`].
    pub outputs: Vec<Output>,
    /// The entries that the messages in `outputs` are of.
    pub entries: BTreeMap<MessageId, EntryId>,
    /// Where all of it ends, what was left out included.
    pub end: Seen,
    /// The answer that is under way there, if what is on the disk of it ends at `end`.
    pub stream: Option<Stream>,
    /// The last chunk of any answer at that moment: what comes behind it is not in here. 0: there was none ever.
    pub last_chunk: i64,
}

/// A message's measures, its texts not loaded.
struct Measured {
    id: MessageId,
    entry: EntryId,
    role: Role,
    state: AnswerState,
    finish: Option<Finish>,
    usage: Usage,
    error: Option<StoredError>,
    /// Its entry runs or waits for another attempt: it has no end yet.
    open: bool,
    reasoning: Part,
    text: Part,
}

/// One of a message's two texts.
#[derive(Clone, Copy)]
struct Part {
    /// Bytes in all.
    bytes: u64,
    /// The first byte to give.
    from: u64,
}

impl Part {
    const fn left(self) -> u64 {
        self.bytes.saturating_sub(self.from)
    }

    /// Keeps at most `room` bytes at the end; gives back what room is left.
    fn keep(&mut self, room: u64) -> u64 {
        let kept = self.left().min(room);
        self.from = self.bytes - kept;
        room - kept
    }
}

impl Measured {
    /// `grown`: bytes of reasoning and text that are in chunks still.
    fn read(row: &Row<'_>, grown: (u64, u64), seen: &Seen) -> rusqlite::Result<Self> {
        let id: MessageId = row.get(0)?;
        let role: Role = row.get(2)?;
        let part = |at, grown, seen_bytes| -> rusqlite::Result<Part> {
            let bytes = row.get::<_, i64>(at)?.unsigned_abs() + grown;
            // A question is seen whole or not at all.
            let from = match (id == seen.message, role) {
                (false, _) => 0,
                (true, Role::User) => bytes,
                (true, Role::Assistant | Role::System) => bytes.min(seen_bytes),
            };
            Ok(Part { bytes, from })
        };
        let entry_state: EntryState = row.get(6)?;
        Ok(Self {
            id,
            entry: row.get(1)?,
            role,
            state: row.get(3)?,
            reasoning: part(4, grown.0, seen.reasoning_bytes)?,
            text: part(5, grown.1, seen.text_bytes)?,
            open: matches!(entry_state, EntryState::Running | EntryState::Pending),
            usage: usage(row, 7)?,
            error: stored_error(row, 9)?,
            finish: finish(row, 15, 16)?,
        })
    }

    const fn left(&self) -> u64 {
        self.reasoning.left() + self.text.left()
    }

    /// Where the output ends if this is the last message.
    fn end(&self, seen: &Seen) -> Seen {
        match self.role {
            Role::Assistant | Role::System if self.open => {
                // The display may have more from memory than is on the disk yet.
                let shown = if self.id == seen.message { (seen.reasoning_bytes, seen.text_bytes) } else { (0, 0) };
                let (reasoning_bytes, text_bytes) = (self.reasoning.bytes.max(shown.0), self.text.bytes.max(shown.1));
                if self.id != seen.message && reasoning_bytes + text_bytes == 0 {
                    // Nothing of it has come yet: the end is that of the question before it.
                    return *seen;
                }
                Seen { message: self.id, reasoning_bytes, text_bytes, ended: false }
            }
            Role::User | Role::Assistant | Role::System => Seen::whole(self.id),
        }
    }

    /// The answer that streams. `None` when more of it was seen than is on the disk.
    fn stream(&self, first_chunk: i64, grown: (u64, u64), seen: &Seen) -> Option<Stream> {
        let is_ahead = seen.reasoning_bytes > self.reasoning.bytes || seen.text_bytes > self.text.bytes;
        let (reasoning_bytes, text_bytes) = (self.reasoning.bytes - grown.0, self.text.bytes - grown.1);
        let stream = Stream { message: self.id, entry: self.entry, first_chunk, reasoning_bytes, text_bytes };
        (self.id != seen.message || !is_ahead).then_some(stream)
    }

    /// Loads what is to be given and appends it. Gives back the bytes that were lost to a cut character.
    fn load(self, conn: &Connection, seen: &Seen, outputs: &mut Vec<Output>) -> Result<u64, StoreError> {
        let message = self.id;
        match self.role {
            Role::User if message == seen.message => Ok(0),
            Role::User => {
                let (_, text) = tail(conn, message, ChunkKind::Text, self.text)?;
                outputs.push(Output::Question { message, entry: self.entry, text });
                Ok(0)
            }
            Role::Assistant | Role::System => {
                let mut cut = 0;
                if self.reasoning.left() > 0 {
                    let (start, text) = tail(conn, message, ChunkKind::Reasoning, self.reasoning)?;
                    cut += start - self.reasoning.from;
                    outputs.push(Output::Reasoning { message, start, text });
                }
                if self.text.left() > 0 {
                    let (start, text) = tail(conn, message, ChunkKind::Text, self.text)?;
                    cut += start - self.text.from;
                    outputs.push(Output::Text { message, start, text });
                }
                let end_seen = message == seen.message && seen.ended;
                if !self.open && !end_seen {
                    // A dead process's answer that nobody could repair yet has no state to end with.
                    let state =
                        if self.state == AnswerState::Streaming { AnswerState::Interrupted } else { self.state };
                    let (finish, usage, error) = (self.finish, self.usage, self.error);
                    outputs.push(Output::End { message, state, finish, usage, error });
                }
                Ok(cut)
            }
        }
    }
}

impl Read for OutputSince {
    type Reply = Behind;

    fn fetch(self, conn: &Connection) -> Result<Behind, StoreError> {
        let sql = format!(
            "SELECT m.id, m.entry_id, m.role, m.state, \
                 octet_length(m.reasoning), octet_length(m.text), \
                 e.state, m.input_tokens, m.output_tokens, \
                 m.error_kind, m.error_status, m.error_text, m.error_request_id, m.entry_id IN {UNDONE}, \
                 CASE m.state WHEN 'streaming' THEN m.first_chunk END, m.finish_reason, m.finish_detail \
             FROM messages m JOIN entries e ON e.id = m.entry_id \
             WHERE m.session_id = ?1 AND m.id >= ?2 ORDER BY m.id DESC"
        );
        let mut statement = conn.prepare_cached(&sql)?;
        let mut rows = statement.query(params![self.session, self.seen.message])?;
        let last_chunk = conn.prepare_cached(chunks::LAST)?.query_row([], |row| row.get(0))?;
        let (mut given, mut room, mut full) = (Vec::new(), self.max_bytes, false);
        let mut behind = Behind {
            cut_bytes: 0,
            before: String::new(),
            outputs: Vec::new(),
            entries: BTreeMap::new(),
            end: self.seen,
            stream: None,
            last_chunk,
        };
        // From the end back: once it is full only lengths are looked at.
        while let Some(row) = rows.next()? {
            let first_chunk: Option<i64> = row.get(14)?;
            let grown = first_chunk.map_or(Ok((0, 0)), |_| chunks::measure(conn, row.get(0)?))?;
            let mut measured = Measured::read(row, grown, &self.seen)?;
            behind.stream = behind.stream.or_else(|| measured.stream(first_chunk?, grown, &self.seen));
            if behind.end == self.seen {
                behind.end = measured.end(&self.seen);
            }
            // What was taken back is not shown anew. It has its place in the order all the same, for who has seen it.
            if row.get(13)? {
                continue;
            }
            let left = measured.left();
            full |= given.len() == MAX_MESSAGES || (room == 0 && left > 0);
            // A question that does not fit is left out: it cannot be shown from its middle.
            full |= measured.role == Role::User && left > room;
            if full {
                behind.cut_bytes += left;
                continue;
            }
            full = left > room;
            room = measured.text.keep(room);
            room = measured.reasoning.keep(room);
            behind.cut_bytes += left - measured.left();
            given.push(measured);
        }
        for measured in given.into_iter().rev() {
            behind.entries.insert(measured.id, measured.entry);
            behind.cut_bytes += measured.load(conn, &self.seen, &mut behind.outputs)?;
        }
        if let Some(Output::Text { message, start: start @ 1..=BEFORE_BYTES, .. }) = behind.outputs.first() {
            let (_, whole) = tail(conn, *message, ChunkKind::Text, Part { bytes: *start, from: 0 })?;
            let before = usize::try_from(*start).unwrap_or(usize::MAX);
            behind.before = whole[..whole.floor_char_boundary(before)].to_owned();
        }
        Ok(behind)
    }
}

/// The text of `part` from its first byte to give, or from the next whole character, and where that is.
fn tail(conn: &Connection, message: MessageId, kind: ChunkKind, part: Part) -> Result<(u64, String), StoreError> {
    let column = match kind {
        ChunkKind::Text => "text",
        ChunkKind::Reasoning => "reasoning",
    };
    let from = i64::try_from(part.from).unwrap_or(i64::MAX);
    let sql = format!(
        "SELECT octet_length({column}), substr(CAST({column} AS BLOB), ?2 + 1) FROM messages \
         WHERE id = ?1 AND octet_length({column}) > ?2 \
         UNION ALL SELECT octet_length({column}), x'' FROM messages WHERE id = ?1 AND octet_length({column}) <= ?2"
    );
    let (folded, mut bytes): (i64, Vec<u8>) =
        conn.prepare_cached(&sql)?.query_row(params![message, from], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if part.from + (bytes.len() as u64) < part.bytes {
        chunks_from(conn, message, kind, (from - folded).max(0), &mut bytes)?;
    }
    let whole = bytes.iter().position(|b| !is_continuation(*b)).unwrap_or(bytes.len());
    bytes.drain(..whole);
    let text = String::from_utf8(bytes)
        .map_err(|e| StoreError::from(rusqlite::Error::from(rusqlite::types::FromSqlError::other(e))))?;
    Ok((part.from + whole as u64, text))
}

/// Whether `byte` stands within a UTF-8 character rather than at its beginning.
const fn is_continuation(byte: u8) -> bool {
    byte & 0b1100_0000 == 0b1000_0000
}

/// Appends a message's chunks of `kind` from byte `skip` of them on. Chunks that lie before are not loaded.
fn chunks_from(
    conn: &Connection,
    message: MessageId,
    kind: ChunkKind,
    mut skip: i64,
    bytes: &mut Vec<u8>,
) -> Result<(), StoreError> {
    let sql = format!("SELECT octet_length(text), text FROM chunks WHERE {OF_MESSAGE} AND kind = ?2 ORDER BY id");
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query(params![message, kind])?;
    while let Some(row) = rows.next()? {
        let length: i64 = row.get(0)?;
        if skip >= length {
            skip -= length;
            continue;
        }
        let text = row.get_ref(1)?.as_bytes().map_err(rusqlite::Error::from)?;
        bytes.extend_from_slice(&text[usize::try_from(skip).unwrap_or(0)..]);
        skip = 0;
    }
    Ok(())
}

/// Where the output of answers that may still grow ends: session, answer, end. One that has brought nothing yet
/// ends with its question.
pub(super) fn open_ends(conn: &Connection) -> Result<Vec<(SessionId, MessageId, Seen)>, StoreError> {
    let mut ends = Vec::new();
    // One query a state: each has its partial index.
    for state in ["running", "pending"] {
        let sql = format!(
            "SELECT m.session_id, m.id, \
octet_length(m.reasoning), octet_length(m.text), q.id, m.state \
             FROM entries e JOIN messages m ON m.entry_id = e.id AND m.role = 'assistant' \
                 JOIN messages q ON q.entry_id = e.id AND q.role = 'user' WHERE e.state = '{state}'"
        );
        for row in conn.prepare_cached(&sql)?.query_map([], |row| {
            let message = row.get(1)?;
            let (reasoning, text) = match row.get(5)? {
                AnswerState::Streaming => chunks::measure(conn, message)?,
                AnswerState::Complete | AnswerState::Interrupted | AnswerState::Failed => (0, 0),
            };
            let folded = |at| row.get::<_, i64>(at).map(i64::unsigned_abs);
            let (reasoning_bytes, text_bytes) = (folded(2)? + reasoning, folded(3)? + text);
            let end = match reasoning_bytes + text_bytes {
                0 => Seen::whole(row.get(4)?),
                _ => Seen { message, reasoning_bytes, text_bytes, ended: false },
            };
            Ok((row.get(0)?, message, end))
        })? {
            ends.push(row?);
        }
    }
    Ok(ends)
}
