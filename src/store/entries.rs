//! The queue's rows. Which entry comes next is the queue's decision, not made here; here is what was decided.

use rusqlite::{Connection, OptionalExtension, Row, ToSql, params};

use super::history::UNDONE;
use super::set_aside::SETTLE_UNANSWERED;
use super::sql::{is_missing_parent, stored_error};
use super::{Read, StoreError, Write, leases};
use crate::domain::{Entry, EntryId, EntryState, Origin, Priority, SessionId, SessionRef, Timestamp};

pub(super) const COLUMNS: &str = "id, session_id, priority, origin, state, text, attempts, held, not_before_ms, position, continues, \
     created_at_ms, started_at_ms, finished_at_ms, error_kind, error_status, error_text, error_request_id";

/// By rank, then what was begun before, then by place: the order in which one session's entries are served.
pub(super) const SERVICE_ORDER: &str =
    "CASE priority WHEN 'high' THEN 0 WHEN 'normal' THEN 1 ELSE 2 END, continues DESC, position, id";

/// Reads [`COLUMNS`].
pub(super) fn entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
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
        position: row.get(9)?,
        continues: row.get(10)?,
        created_at: row.get(11)?,
        started_at: row.get(12)?,
        finished_at: row.get(13)?,
        error: stored_error(row, 14)?,
    })
}

pub(super) fn by_id(conn: &Connection, id: EntryId) -> Result<Option<Entry>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM entries WHERE id = ?1");
    Ok(conn.prepare_cached(&sql)?.query_row([id], entry).optional()?)
}

/// The auto-reply that was queued in a session at this moment.
pub(super) fn queued_by_loop(
    conn: &Connection,
    session: SessionId,
    at: Timestamp,
) -> Result<Option<Entry>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM entries WHERE session_id = ?1 AND origin = 'auto' AND created_at_ms = ?2 ORDER BY id DESC LIMIT 1"
    );
    Ok(conn.prepare_cached(&sql)?.query_row(params![session, at], entry).optional()?)
}

/// Acknowledges a message: its reply is the promise that it will not be lost. It stands behind all of its session that came
/// before. Fails with [`StoreError::NoSession`].
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
        // Two statements: RETURNING would keep its row in a table of its own, which costs more than this look-up.
        let position: i64 = conn
            .prepare_cached("SELECT coalesce(max(position), 0) + 1 FROM entries WHERE session_id = ?1")?
            .query_row([self.session], |row| row.get(0))?;
        conn.prepare_cached(
            "INSERT INTO entries (session_id, priority, origin, state, text, created_at_ms, position, process_id) \
             SELECT ?1, ?2, ?3, 'pending', ?4, ?5, ?6, process FROM me",
        )?
        .execute(params![self.session, self.priority, self.origin, self.text, self.now, position])
        .map_err(|e| match is_missing_parent(&e) {
            true => StoreError::NoSession(SessionRef::Id(self.session)),
            false => e.into(),
        })?;
        let id = EntryId(conn.last_insert_rowid());
        leases::claim(conn, self.session)?;
        Ok(Entry {
            id,
            session: self.session,
            priority: self.priority,
            origin: self.origin,
            state: EntryState::Pending,
            text: self.text,
            attempts: 0,
            held: false,
            not_before: None,
            position,
            continues: false,
            created_at: self.now,
            started_at: None,
            finished_at: None,
            error: None,
        })
    }
}

/// Runs `sql`, an UPDATE of the row with the id `?1`, once for each id; gives the rows that it changed, as they are now.
fn change_each(
    conn: &Connection,
    sql: &str,
    ids: &[EntryId],
    value: Option<&dyn ToSql>,
) -> Result<Vec<Entry>, StoreError> {
    let mut statement = conn.prepare_cached(&format!("{sql} RETURNING {COLUMNS}"))?;
    let mut changed = Vec::new();
    for id in ids {
        let row = match value {
            Some(value) => statement.query_row(params![id, value], entry),
            None => statement.query_row([id], entry),
        };
        changed.extend(row.optional()?);
    }
    Ok(changed)
}

/// Takes entries out of the queue that wait, or are dead. The reply names those that were: others are left as they are.
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
        let mut cancel = conn.prepare_cached(
            "UPDATE entries SET state = 'cancelled', held = 0, continues = 0, not_before_ms = NULL, finished_at_ms = ?2 \
             WHERE id = ?1 AND state IN ('pending', 'dead') RETURNING session_id",
        )?;
        let mut cancelled = Vec::new();
        for id in self.ids {
            if let Some(session) = cancel.query_row(params![id, self.now], |row| row.get(0)).optional()? {
                leases::give_back_if_idle(conn, session)?;
                cancelled.push(id);
            }
        }
        Ok(cancelled)
    }
}

/// Holds pending entries, or lets them go. The reply has those that changed.
#[derive(Debug, Clone)]
pub struct HoldEntries {
    /// Which.
    pub ids: Vec<EntryId>,
    /// Whether they wait for the person.
    pub held: bool,
}

impl Write for HoldEntries {
    type Reply = Vec<Entry>;

    fn apply(self, conn: &Connection) -> Result<Vec<Entry>, StoreError> {
        let sql = format!(
            "UPDATE entries SET held = ?2, set_aside = 0, process_id = (SELECT process FROM me), {SETTLE_UNANSWERED} \
             WHERE id = ?1 AND state = 'pending' AND held <> ?2"
        );
        let changed = change_each(conn, &sql, &self.ids, Some(&self.held))?;
        for entry in &changed {
            if self.held {
                leases::give_back_if_idle(conn, entry.session)
            } else {
                leases::claim(conn, entry.session)
            }?;
        }
        Ok(changed)
    }
}

/// Gives dead letters all their attempts again and puts them back into their queues, at the end, to start afresh. An auto-reply
/// is from now on the person's, who wants it sent, and no longer its loop's. The reply has those that were dead.
#[derive(Debug, Clone)]
pub struct RequeueEntries {
    /// Which.
    pub ids: Vec<EntryId>,
    /// When they arrive.
    pub now: Timestamp,
}

impl Write for RequeueEntries {
    type Reply = Vec<Entry>;

    fn apply(self, conn: &Connection) -> Result<Vec<Entry>, StoreError> {
        let sql = "UPDATE entries SET state = 'pending', attempts = 0, held = 0, continues = 0, not_before_ms = NULL, \
                       origin = iif(origin = 'auto', 'user', origin), started_at_ms = NULL, finished_at_ms = NULL, error_kind = NULL, error_status = NULL, \
                       error_text = NULL, error_request_id = NULL, created_at_ms = ?2, \
                       process_id = (SELECT process FROM me), \
                       position = (SELECT max(o.position) + 1 FROM entries o WHERE o.session_id = entries.session_id) \
                   WHERE id = ?1 AND state = 'dead'";
        let changed = change_each(conn, sql, &self.ids, Some(&self.now))?;
        changed.iter().try_for_each(|entry| leases::claim(conn, entry.session))?;
        Ok(changed)
    }
}

/// Lets pending entries start now that were not to be started before some time. The reply has those that changed.
#[derive(Debug, Clone)]
pub struct HurryEntries {
    /// Which.
    pub ids: Vec<EntryId>,
}

impl Write for HurryEntries {
    type Reply = Vec<Entry>;

    fn apply(self, conn: &Connection) -> Result<Vec<Entry>, StoreError> {
        let sql = "UPDATE entries SET not_before_ms = NULL \
                   WHERE id = ?1 AND state = 'pending' AND not_before_ms IS NOT NULL";
        let changed = change_each(conn, sql, &self.ids, None)?;
        leases::tell_of(conn, &changed)?;
        Ok(changed)
    }
}

/// Makes pending entries more or less urgent. Among their new equals they stand where they arrived. The reply has
/// those that changed.
#[derive(Debug, Clone)]
pub struct SetPriority {
    /// Which.
    pub ids: Vec<EntryId>,
    /// How urgent.
    pub priority: Priority,
}

impl Write for SetPriority {
    type Reply = Vec<Entry>;

    fn apply(self, conn: &Connection) -> Result<Vec<Entry>, StoreError> {
        let sql = "UPDATE entries SET priority = ?2 WHERE id = ?1 AND state = 'pending' AND priority <> ?2";
        let changed = change_each(conn, sql, &self.ids, Some(&self.priority))?;
        leases::tell_of(conn, &changed)?;
        Ok(changed)
    }
}

/// Moves a pending entry next to another one of its session, whose priority it takes on. The positions of that priority's
/// entries are dealt out anew in the new order, so that a later arrival still stands behind. What was begun before goes
/// first wherever it is moved to. The reply has every entry whose position or priority changed, in the new order.
///
/// Fails with [`StoreError::NoEntry`], [`StoreError::WrongState`] when one of the two does not wait, and
/// [`StoreError::OtherSession`].
#[derive(Debug, Clone, Copy)]
pub struct MoveEntry {
    /// Which.
    pub entry: EntryId,
    /// Next to which.
    pub beside: EntryId,
    /// Before it rather than after it.
    pub before: bool,
}

impl Write for MoveEntry {
    type Reply = Vec<Entry>;

    fn apply(self, conn: &Connection) -> Result<Vec<Entry>, StoreError> {
        let moved = pending(conn, self.entry)?;
        let beside = pending(conn, self.beside)?;
        if moved.session != beside.session {
            return Err(StoreError::OtherSession { entry: self.entry, beside: self.beside });
        }
        if moved.id == beside.id {
            return Ok(Vec::new());
        }
        let sql = format!(
            "SELECT {COLUMNS} FROM entries WHERE session_id = ?1 AND state = 'pending' AND priority = ?2 AND id <> ?3 \
             ORDER BY {SERVICE_ORDER}"
        );
        let mut equals = conn.prepare_cached(&sql)?;
        let equals = equals.query_map(params![beside.session, beside.priority, moved.id], entry)?;
        let mut order = equals.collect::<Result<Vec<_>, _>>()?;
        let at = order.iter().position(|e| e.id == beside.id).unwrap_or(0) + usize::from(!self.before);
        order.insert(at, moved);
        let mut positions: Vec<i64> = order.iter().map(|e| e.position).collect();
        positions.sort_unstable();
        let mut place = conn.prepare_cached("UPDATE entries SET position = ?2, priority = ?3 WHERE id = ?1")?;
        let mut changed = Vec::new();
        for (mut entry, position) in order.into_iter().zip(positions) {
            if (entry.position, entry.priority) != (position, beside.priority) {
                (entry.position, entry.priority) = (position, beside.priority);
                place.execute(params![entry.id, position, entry.priority])?;
                changed.push(entry);
            }
        }
        leases::tell_of(conn, &changed)?;
        Ok(changed)
    }
}

fn pending(conn: &Connection, id: EntryId) -> Result<Entry, StoreError> {
    let entry = by_id(conn, id)?.ok_or(StoreError::NoEntry(id))?;
    expect_state(id, entry.state, EntryState::Pending)?;
    Ok(entry)
}

pub(super) fn expect_state(entry: EntryId, found: EntryState, expected: EntryState) -> Result<(), StoreError> {
    if found == expected { Ok(()) } else { Err(StoreError::WrongState { entry, found, expected }) }
}

/// Puts a session's last turn back into the queue, as if it had just arrived, to go on from what there is of its answer. The reply
/// is its entry; `None` when that answer is whole, has no text, or its turn is not over.
#[derive(Debug, Clone, Copy)]
pub struct ContinueTurn {
    /// Whose.
    pub session: SessionId,
    /// Who wants it.
    pub origin: Origin,
    /// When it arrives.
    pub now: Timestamp,
}

impl Write for ContinueTurn {
    type Reply = Option<Entry>;

    fn apply(self, conn: &Connection) -> Result<Option<Entry>, StoreError> {
        let sql = format!(
            "SELECT e.id FROM messages m JOIN entries e ON e.id = m.entry_id \
             WHERE m.id = (SELECT id FROM messages WHERE session_id = ?1 AND entry_id NOT IN {UNDONE} \
                           ORDER BY id DESC LIMIT 1) \
                 AND m.role = 'assistant' AND m.state IN ('interrupted', 'failed') AND octet_length(m.text) > 0 \
                 AND e.state IN ('done', 'cancelled', 'dead')"
        );
        let cut = conn.prepare_cached(&sql)?.query_row([self.session], |row| row.get::<_, EntryId>(0)).optional()?;
        let Some(cut) = cut else { return Ok(None) };
        conn.prepare_cached(
            "UPDATE entries SET state = 'pending', continues = 1, attempts = 0, held = 0, not_before_ms = NULL, \
                 started_at_ms = NULL, finished_at_ms = NULL, error_kind = NULL, error_status = NULL, error_text = NULL, \
                 error_request_id = NULL, created_at_ms = ?4, origin = ?2, priority = iif(priority = 'low', 'normal', priority), \
                 process_id = (SELECT process FROM me), \
                 position = (SELECT max(position) FROM entries WHERE session_id = ?3) + 1 WHERE id = ?1",
        )?
        .execute(params![cut, self.origin, self.session, self.now])?;
        leases::claim(conn, self.session)?;
        by_id(conn, cut)
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

/// All that waits, session by session, each session's in the order of service.
#[derive(Debug, Clone, Copy)]
pub struct PendingEntries;

impl Read for PendingEntries {
    type Reply = Vec<Entry>;

    fn fetch(self, conn: &Connection) -> Result<Vec<Entry>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM entries WHERE state = 'pending' ORDER BY session_id, {SERVICE_ORDER}");
        let mut statement = conn.prepare_cached(&sql)?;
        Ok(statement.query_map([], entry)?.collect::<Result<_, _>>()?)
    }
}
