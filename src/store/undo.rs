//! What a person takes back. Nothing of it is deleted: its entry is `undone`, and who reads the conversation, for the person
//! or for the model, leaves it out. That is the end of an entry: nothing that is taken back is ever queued again.

use rusqlite::{Connection, OptionalExtension, params};

use super::entries::{COLUMNS, by_id, entry, expect_state};
use super::history::UNDONE;
use super::{Enqueue, Read, StoreError, Write, leases};
use crate::domain::{Entry, EntryId, EntryState, MessageId, Origin, Priority, SessionId, Timestamp};

/// Turns that are over.
const IS_OVER: &str = "e.state IN ('done', 'cancelled', 'dead')";

/// A turn that was taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenBack {
    /// Its entry.
    pub entry: Entry,
    /// The auto-replies that followed its answer, and are taken back with it.
    pub follow_ups: Vec<EntryId>,
}

/// A session's last turn that is over and was asked by a person or a script; `None` where there is none.
#[derive(Debug, Clone, Copy)]
pub struct LastAsked {
    /// Whose.
    pub session: SessionId,
}

impl Read for LastAsked {
    type Reply = Option<Entry>;

    fn fetch(self, conn: &Connection) -> Result<Option<Entry>, StoreError> {
        let sql = format!(
            "SELECT e.id FROM messages m JOIN entries e ON e.id = m.entry_id \
             WHERE m.session_id = ?1 AND m.role = 'user' AND e.origin <> 'auto' AND {IS_OVER} \
                 AND e.id NOT IN {UNDONE} ORDER BY m.id DESC LIMIT 1"
        );
        let last = conn.prepare_cached(&sql)?.query_row([self.session], |row| row.get(0)).optional()?;
        last.map_or(Ok(None), |last| by_id(conn, last))
    }
}

/// Takes back an entry that waits: it is cancelled, and what there is of its answer is no part of the conversation. Fails with
/// [`StoreError::NoEntry`], and with [`StoreError::WrongState`] when it does not wait.
#[derive(Debug, Clone, Copy)]
pub struct TakeBackWaiting {
    /// Which.
    pub entry: EntryId,
    /// When.
    pub now: Timestamp,
}

impl Write for TakeBackWaiting {
    type Reply = Entry;

    fn apply(self, conn: &Connection) -> Result<Entry, StoreError> {
        let found = by_id(conn, self.entry)?.ok_or(StoreError::NoEntry(self.entry))?;
        expect_state(self.entry, found.state, EntryState::Pending)?;
        mark(conn, self.entry, self.now)
    }
}

/// Takes back a turn that is over, with the auto-replies that followed it. A dead letter is none any more.
///
/// Fails with [`StoreError::NoEntry`] when it is taken back already, with [`StoreError::WrongState`] when it is not over, and with
/// [`StoreError::TurnRunning`] when its session has a turn under way, which would answer what is no more.
#[derive(Debug, Clone, Copy)]
pub struct TakeBackTurn {
    /// Whose.
    pub entry: EntryId,
    /// When.
    pub now: Timestamp,
}

impl Write for TakeBackTurn {
    type Reply = TakenBack;

    fn apply(self, conn: &Connection) -> Result<TakenBack, StoreError> {
        let found = by_id(conn, self.entry)?.ok_or(StoreError::NoEntry(self.entry))?;
        match found.state {
            EntryState::Done | EntryState::Cancelled | EntryState::Dead => {}
            EntryState::Pending | EntryState::Running => expect_state(self.entry, found.state, EntryState::Done)?,
        }
        let mut is_undone = conn.prepare_cached("SELECT 1 FROM entries WHERE id = ?1 AND undone = 1")?;
        if is_undone.exists([self.entry])? {
            return Err(StoreError::NoEntry(self.entry));
        }
        let mut runs = conn.prepare_cached("SELECT 1 FROM entries WHERE session_id = ?1 AND state = 'running'")?;
        if runs.exists([found.session])? {
            return Err(StoreError::TurnRunning(found.session));
        }
        let follow_ups = follow_ups(conn, &found)?;
        for follow_up in &follow_ups {
            mark(conn, *follow_up, self.now)?;
        }
        Ok(TakenBack { entry: mark(conn, self.entry, self.now)?, follow_ups })
    }
}

/// The auto-replies behind a turn, up to the next one that somebody asked.
fn follow_ups(conn: &Connection, turn: &Entry) -> Result<Vec<EntryId>, StoreError> {
    let sql = "SELECT id FROM messages WHERE entry_id = ?1 AND role = 'user'";
    let question: Option<MessageId> = conn.prepare_cached(sql)?.query_row([turn.id], |row| row.get(0)).optional()?;
    let Some(question) = question else { return Ok(Vec::new()) };
    let sql = format!(
        "SELECT e.id, e.origin FROM messages m JOIN entries e ON e.id = m.entry_id \
         WHERE m.session_id = ?1 AND m.id > ?2 AND m.role = 'user' AND {IS_OVER} \
             AND e.id NOT IN {UNDONE} ORDER BY m.id"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query(params![turn.session, question])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()?
        && row.get::<_, Origin>(1)? == Origin::Auto
    {
        found.push(row.get(0)?);
    }
    Ok(found)
}

/// What waits, or is dead, is cancelled with it.
fn mark(conn: &Connection, id: EntryId, now: Timestamp) -> Result<Entry, StoreError> {
    let sql = format!(
        "UPDATE entries SET undone = 1, held = 0, continues = 0, not_before_ms = NULL, \
             finished_at_ms = iif(state IN ('pending', 'dead'), ?2, finished_at_ms), \
             state = iif(state IN ('pending', 'dead'), 'cancelled', state) WHERE id = ?1 RETURNING {COLUMNS}"
    );
    let marked = conn.prepare_cached(&sql)?.query_row(params![id, now], entry)?;
    leases::give_back_if_idle(conn, marked.session)?;
    Ok(marked)
}

/// Takes back a turn that is over and asks its question anew, with another text: both or neither. The reply is what was taken back,
/// and the new entry. Fails as [`TakeBackTurn`] does.
#[derive(Debug, Clone)]
pub struct ReplaceTurn {
    /// Whose.
    pub entry: EntryId,
    /// What is asked in its place, verbatim.
    pub text: String,
    /// Who asks.
    pub origin: Origin,
    /// When.
    pub now: Timestamp,
}

impl Write for ReplaceTurn {
    type Reply = (TakenBack, Entry);

    fn apply(self, conn: &Connection) -> Result<Self::Reply, StoreError> {
        let Self { entry, text, origin, now } = self;
        let taken = TakeBackTurn { entry, now }.apply(conn)?;
        let (session, priority) = (taken.entry.session, Priority::Normal);
        let asked = Enqueue { session, priority, origin, text, now }.apply(conn)?;
        Ok((taken, asked))
    }
}

/// Gives an entry that waits another text; its number and its place stay. What there is of an answer to the old one goes: it is
/// begun anew, in rows of its own. Fails with [`StoreError::NoEntry`], and with [`StoreError::WrongState`] when it does not wait.
#[derive(Debug, Clone)]
pub struct ChangeText {
    /// Which.
    pub entry: EntryId,
    /// Its text from now on, verbatim.
    pub text: String,
}

impl Write for ChangeText {
    type Reply = Entry;

    fn apply(self, conn: &Connection) -> Result<Entry, StoreError> {
        let found = by_id(conn, self.entry)?.ok_or(StoreError::NoEntry(self.entry))?;
        expect_state(self.entry, found.state, EntryState::Pending)?;
        conn.prepare_cached("DELETE FROM messages WHERE entry_id = ?1")?.execute([self.entry])?;
        let sql = format!("UPDATE entries SET text = ?2, continues = 0 WHERE id = ?1 RETURNING {COLUMNS}");
        let changed = conn.prepare_cached(&sql)?.query_row(params![self.entry, self.text], entry)?;
        leases::tell(conn, changed.session)?;
        Ok(changed)
    }
}
