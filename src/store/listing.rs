//! The queue as it is looked at: what runs, waits and failed, with what a person wants to know of each.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension};

use super::entries::{COLUMNS, SERVICE_ORDER, by_id, entry};
use super::gates::Gates;
use super::history::{UNDONE, seams};
use super::{Read, StoreError, chunks, sessions};
use crate::domain::{
    AnswerState, Entry, EntryId, EntryState, ModelName, Origin, Priority, Session, SessionId, SessionName, Timestamp,
};

/// What runs, waits and failed, session by session: the running entry, the pending ones in their order, the dead ones.
#[derive(Debug, Clone, Copy)]
pub struct QueueListing {
    /// Whose; `None`: everyone's.
    pub session: Option<SessionId>,
}

impl Read for QueueListing {
    type Reply = Vec<Entry>;

    fn fetch(self, conn: &Connection) -> Result<Vec<Entry>, StoreError> {
        in_states(conn, &["running", "pending", "dead"], self.session)
    }
}

/// Dead letters, session by session in their order.
#[derive(Debug, Clone, Copy)]
pub struct DeadEntries {
    /// Whose; `None`: everyone's.
    pub session: Option<SessionId>,
}

impl Read for DeadEntries {
    type Reply = Vec<Entry>;

    fn fetch(self, conn: &Connection) -> Result<Vec<Entry>, StoreError> {
        in_states(conn, &["dead"], self.session)
    }
}

fn in_states(conn: &Connection, states: &[&str], session: Option<SessionId>) -> Result<Vec<Entry>, StoreError> {
    let mut listing: Vec<Entry> = Vec::new();
    // One query a state: each has its partial index.
    for state in states {
        let sql = format!(
            "SELECT {COLUMNS} FROM entries WHERE state = '{state}' AND (?1 IS NULL OR session_id = ?1) \
             ORDER BY session_id, {SERVICE_ORDER}"
        );
        for row in conn.prepare_cached(&sql)?.query_map([session], entry)? {
            listing.push(row?);
        }
    }
    // Stable: within a session the order of the queries stays.
    listing.sort_by_key(|e| e.session);
    Ok(listing)
}

/// [`QueueListing`] with all that `/queue` shows of each entry, and the gates: all of one moment.
#[derive(Debug, Clone, Copy)]
pub struct Listing {
    /// Whose; `None`: everyone's.
    pub session: Option<SessionId>,
    /// Only the dead letters.
    pub dead_only: bool,
    /// Auto-replies are served before what is normal (`auto_reply.queue_position`).
    pub auto_before_normal: bool,
}

/// The queue at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueNow {
    /// Session by session: the running entry, the pending ones in their order, the dead ones.
    pub entries: Vec<Listed>,
    /// Models whose gate is closed, and until when; some may be due.
    pub gates: Vec<(ModelName, Timestamp)>,
}

/// One entry, and what is around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The entry. `started_at` is that of its first attempt.
    pub entry: Entry,
    /// Bytes of its answer so far, reasoning included, as far as it is on the disk; 0 for one that has not begun.
    pub answer_bytes: u64,
    /// Bytes of the reasoning among them.
    pub reasoning_bytes: u64,
    /// Who answers: while it runs the model that does, else the session's.
    pub model: ModelName,
    /// Its session's name.
    pub session_name: SessionName,
    /// Its session's queue is held.
    pub session_held: bool,
}

impl Read for Listing {
    type Reply = QueueNow;

    fn fetch(self, conn: &Connection) -> Result<QueueNow, StoreError> {
        let states: &[&str] = if self.dead_only { &["dead"] } else { &["running", "pending", "dead"] };
        let mut of: BTreeMap<SessionId, Session> = BTreeMap::new();
        let mut entries = Vec::new();
        for entry in in_states(conn, states, self.session)? {
            let session = match of.entry(entry.session) {
                std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
                std::collections::btree_map::Entry::Vacant(new) => new.insert(sessions::by_id(conn, entry.session)?),
            };
            // What has not begun has no answer to be measured.
            let begun = entry.attempts > 0 || entry.started_at.is_some() || entry.continues;
            let answer = if begun { measure(conn, entry.id)? } else { None }.unwrap_or_default();
            let answers = answer.model.filter(|_| entry.state == EntryState::Running);
            entries.push(Listed {
                answer_bytes: answer.reasoning_bytes + answer.text_bytes,
                reasoning_bytes: answer.reasoning_bytes,
                model: answers.unwrap_or_else(|| session.model.clone()),
                session_name: session.name.clone(),
                session_held: session.held,
                entry,
            });
        }
        if self.auto_before_normal {
            // Stable: what else the order depends on stays.
            entries.sort_by_key(|listed: &Listed| (listed.entry.session, with_autos_first(&listed.entry)));
        }
        Ok(QueueNow { entries, gates: Gates.fetch(conn)? })
    }
}

/// The place of an entry's kind in its session where auto-replies come before what is normal.
const fn with_autos_first(entry: &Entry) -> u8 {
    match (entry.state, entry.priority, entry.origin) {
        (EntryState::Running, ..) => 0,
        (EntryState::Pending, Priority::High, _) => 1,
        (EntryState::Pending, Priority::Low, Origin::Auto) => 2,
        (EntryState::Pending, Priority::Normal, _) => 3,
        (EntryState::Pending, Priority::Low, Origin::User | Origin::Script) => 4,
        (EntryState::Dead | EntryState::Done | EntryState::Cancelled, ..) => 5,
    }
}

#[derive(Default)]
struct Answer {
    reasoning_bytes: u64,
    text_bytes: u64,
    model: Option<ModelName>,
}

/// An entry's answer as far as it is; its texts are not loaded.
fn measure(conn: &Connection, entry: EntryId) -> Result<Option<Answer>, StoreError> {
    let sql = "SELECT octet_length(reasoning), octet_length(text), model, id, state FROM messages \
               WHERE entry_id = ?1 AND role = 'assistant'";
    let answer = conn.prepare_cached(sql)?.query_row([entry], |row| {
        let bytes = |at| row.get::<_, i64>(at).map(i64::unsigned_abs);
        let (reasoning, text) = match row.get(4)? {
            AnswerState::Streaming => chunks::measure(conn, row.get(3)?)?,
            AnswerState::Complete | AnswerState::Interrupted | AnswerState::Failed => (0, 0),
        };
        Ok(Answer { reasoning_bytes: bytes(0)? + reasoning, text_bytes: bytes(1)? + text, model: row.get(2)? })
    });
    Ok(answer.optional()?)
}

/// What there is of an entry's answer, as text, and its seams; empty where there is none. Of one that runs, what is folded already.
#[derive(Debug, Clone, Copy)]
pub struct AnswerText(pub EntryId);

impl Read for AnswerText {
    type Reply = (String, Vec<u64>);

    fn fetch(self, conn: &Connection) -> Result<Self::Reply, StoreError> {
        let sql = "SELECT text, seams FROM messages WHERE entry_id = ?1 AND role = 'assistant'";
        let found = conn.prepare_cached(sql)?.query_row([self.0], |row| Ok((row.get(0)?, seams(row, 1)?)));
        Ok(found.optional()?.unwrap_or_default())
    }
}

/// The session's last turn in the order of messages, but for those that were taken back, and where its answer is; `None` where
/// nothing was asked yet.
#[derive(Debug, Clone, Copy)]
pub struct LastTurn {
    /// Whose.
    pub session: SessionId,
}

impl Read for LastTurn {
    type Reply = Option<(Entry, Option<AnswerState>)>;

    fn fetch(self, conn: &Connection) -> Result<Self::Reply, StoreError> {
        let sql = format!(
            "SELECT entry_id FROM messages WHERE session_id = ?1 AND entry_id NOT IN {UNDONE} ORDER BY id DESC LIMIT 1"
        );
        let last = conn.prepare_cached(&sql)?.query_row([self.session], |row| row.get::<_, EntryId>(0)).optional()?;
        let Some(last) = last else { return Ok(None) };
        let Some(entry) = by_id(conn, last)? else { return Ok(None) };
        let answer = conn
            .prepare_cached("SELECT state FROM messages WHERE entry_id = ?1 AND role = 'assistant'")?
            .query_row([last], |row| row.get(0))
            .optional()?;
        Ok(Some((entry, answer)))
    }
}
