//! The queue's rows. Which entry comes next is the queue's decision, not made here; here is what was decided.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::sql::{is_missing_parent, stored_error};
use super::{Read, StoreError, Write};
use crate::domain::{Entry, EntryId, EntryState, Origin, Priority, SessionId, SessionRef, Timestamp};

const COLUMNS: &str = "id, session_id, priority, origin, state, text, attempts, held, not_before_ms, created_at_ms, \
     error_kind, error_status, error_text, error_request_id";

/// By rank, then by arrival: the order in which one session's entries are served.
const SERVICE_ORDER: &str = "CASE priority WHEN 'high' THEN 0 WHEN 'normal' THEN 1 ELSE 2 END, id";

fn entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    Ok(Entry {
        id: row.get(0)?,
        session: row.get(1)?,
        priority: row.get(2)?,
        origin: row.get(3)?,
        state: row.get(4)?,
        text: row.get(5)?,
        attempts: row.get(6)?,
        held: row.get(7)?,
        not_before: row.get(8)?,
        position: row.get(0)?,
        continues: false,
        created_at: row.get(9)?,
        started_at: None,
        finished_at: None,
        error: stored_error(row, 10)?,
    })
}

fn by_id(conn: &Connection, id: EntryId) -> Result<Option<Entry>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM entries WHERE id = ?1");
    Ok(conn.prepare_cached(&sql)?.query_row([id], entry).optional()?)
}

/// Acknowledges a message: its reply is the promise that it will not be lost. Fails with [`StoreError::NoSession`].
#[derive(Debug, Clone)]
pub struct Enqueue {
    /// In whose queue.
    pub session: SessionId,
    /// How urgent.
    pub priority: Priority,
    /// Who made it.
    pub origin: Origin,
    /// The message, verbatim.
    pub text: String,
    /// When.
    pub now: Timestamp,
}

impl Write for Enqueue {
    type Reply = Entry;

    fn apply(self, conn: &Connection) -> Result<Entry, StoreError> {
        conn.prepare_cached(
            "INSERT INTO entries (session_id, priority, origin, state, text, created_at_ms) \
             VALUES (?1, ?2, ?3, 'pending', ?4, ?5)",
        )?
        .execute(params![self.session, self.priority, self.origin, self.text, self.now])
        .map_err(|e| match is_missing_parent(&e) {
            true => StoreError::NoSession(SessionRef::Id(self.session)),
            false => e.into(),
        })?;
        Ok(Entry {
            id: EntryId(conn.last_insert_rowid()),
            session: self.session,
            priority: self.priority,
            origin: self.origin,
            state: EntryState::Pending,
            text: self.text,
            attempts: 0,
            held: false,
            not_before: None,
            position: conn.last_insert_rowid(),
            continues: false,
            created_at: self.now,
            started_at: None,
            finished_at: None,
            error: None,
        })
    }
}

/// Runs `sql`, which returns the id of a row that it changed, once for each id.
fn change_each(
    conn: &Connection,
    sql: &str,
    ids: &[EntryId],
    value: impl rusqlite::ToSql,
) -> Result<Vec<EntryId>, StoreError> {
    let mut statement = conn.prepare_cached(sql)?;
    let mut changed = Vec::new();
    for id in ids {
        changed.extend(statement.query_row(params![id, value], |row| row.get::<_, EntryId>(0)).optional()?);
    }
    Ok(changed)
}

/// Takes pending entries out of the queue. The reply names those that were: others are left as they are.
#[derive(Debug, Clone)]
pub struct CancelEntries {
    /// Which.
    pub ids: Vec<EntryId>,
    /// When.
    pub now: Timestamp,
}

impl Write for CancelEntries {
    type Reply = Vec<EntryId>;

    fn apply(self, conn: &Connection) -> Result<Vec<EntryId>, StoreError> {
        let sql = "UPDATE entries SET state = 'cancelled', held = 0, not_before_ms = NULL, finished_at_ms = ?2 \
                   WHERE id = ?1 AND state = 'pending' RETURNING id";
        change_each(conn, sql, &self.ids, self.now)
    }
}

/// Takes all pending entries of a session out of its queue. The reply names them.
#[derive(Debug, Clone)]
pub struct CancelPending {
    /// Whose.
    pub session: SessionId,
    /// When.
    pub now: Timestamp,
}

impl Write for CancelPending {
    type Reply = Vec<EntryId>;

    fn apply(self, conn: &Connection) -> Result<Vec<EntryId>, StoreError> {
        let mut statement = conn.prepare_cached(
            "UPDATE entries SET state = 'cancelled', held = 0, not_before_ms = NULL, finished_at_ms = ?2 \
             WHERE session_id = ?1 AND state = 'pending' RETURNING id",
        )?;
        Ok(statement.query_map(params![self.session, self.now], |row| row.get(0))?.collect::<Result<_, _>>()?)
    }
}

/// Holds pending entries, or lets them go. The reply names those that changed.
#[derive(Debug, Clone)]
pub struct HoldEntries {
    /// Which.
    pub ids: Vec<EntryId>,
    /// Whether they wait for the person.
    pub held: bool,
}

impl Write for HoldEntries {
    type Reply = Vec<EntryId>;

    fn apply(self, conn: &Connection) -> Result<Vec<EntryId>, StoreError> {
        let sql = "UPDATE entries SET held = ?2 WHERE id = ?1 AND state = 'pending' AND held <> ?2 RETURNING id";
        change_each(conn, sql, &self.ids, self.held)
    }
}

/// Holds all pending entries of one session or of all, or lets them go. The reply names those that changed.
#[derive(Debug, Clone)]
pub struct HoldPending {
    /// Whose; `None`: everyone's.
    pub session: Option<SessionId>,
    /// Whether they wait for the person.
    pub held: bool,
}

impl Write for HoldPending {
    type Reply = Vec<EntryId>;

    fn apply(self, conn: &Connection) -> Result<Vec<EntryId>, StoreError> {
        let mut statement = conn.prepare_cached(
            "UPDATE entries SET held = ?2 \
             WHERE (?1 IS NULL OR session_id = ?1) AND state = 'pending' AND held <> ?2 RETURNING id",
        )?;
        Ok(statement.query_map(params![self.session, self.held], |row| row.get(0))?.collect::<Result<_, _>>()?)
    }
}

/// Gives dead letters all their attempts again and puts them back into their queues. The reply names those that were dead.
#[derive(Debug, Clone)]
pub struct RequeueEntries {
    /// Which.
    pub ids: Vec<EntryId>,
}

impl Write for RequeueEntries {
    type Reply = Vec<EntryId>;

    fn apply(self, conn: &Connection) -> Result<Vec<EntryId>, StoreError> {
        let sql = "UPDATE entries SET state = 'pending', attempts = ?2, held = 0, not_before_ms = NULL, \
                   finished_at_ms = NULL WHERE id = ?1 AND state = 'dead' RETURNING id";
        change_each(conn, sql, &self.ids, 0)
    }
}

/// The entry of that number, in whatever state.
#[derive(Debug, Clone, Copy)]
pub struct FindEntry(pub EntryId);

impl Read for FindEntry {
    type Reply = Option<Entry>;

    fn fetch(self, conn: &Connection) -> Result<Option<Entry>, StoreError> {
        by_id(conn, self.0)
    }
}

/// All that waits, in every session, by priority and then by arrival.
#[derive(Debug, Clone, Copy)]
pub struct PendingEntries;

impl Read for PendingEntries {
    type Reply = Vec<Entry>;

    fn fetch(self, conn: &Connection) -> Result<Vec<Entry>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM entries WHERE state = 'pending' ORDER BY {SERVICE_ORDER}");
        let mut statement = conn.prepare_cached(&sql)?;
        Ok(statement.query_map([], entry)?.collect::<Result<_, _>>()?)
    }
}

/// What runs, waits and failed, session by session: the running entry, the pending ones in their order, the dead ones.
#[derive(Debug, Clone, Copy)]
pub struct QueueListing {
    /// Whose; `None`: everyone's.
    pub session: Option<SessionId>,
}

impl Read for QueueListing {
    type Reply = Vec<Entry>;

    fn fetch(self, conn: &Connection) -> Result<Vec<Entry>, StoreError> {
        let mut listing: Vec<Entry> = Vec::new();
        // One query a state: each has its partial index.
        for state in ["running", "pending", "dead"] {
            let sql = format!(
                "SELECT {COLUMNS} FROM entries WHERE state = '{state}' AND (?1 IS NULL OR session_id = ?1) \
                 ORDER BY session_id, {SERVICE_ORDER}"
            );
            for row in conn.prepare_cached(&sql)?.query_map([self.session], entry)? {
                listing.push(row?);
            }
        }
        // Stable: within a session the order of the queries stays.
        listing.sort_by_key(|e| e.session);
        Ok(listing)
    }
}
