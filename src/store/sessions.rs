//! Sessions: making, changing and finding them, and which one is active.

use rusqlite::{Connection, OptionalExtension, Row, named_params, params};

use super::sql::{is_unique_violation, seen, to_i64};
use super::{Read, StoreError, Write, chunks, leases, stats};
use crate::domain::{MessageId, ModelName, Notify, Seen, Session, SessionId, SessionName, SessionRef, Timestamp};

/// The key in `state` under which the active session's number stands.
const ACTIVE_SESSION: &str = "active_session";

const COLUMNS: &str = "id, name, model, system, draft, held, closed_at_ms, \
     seen_message, seen_reasoning_bytes, seen_text_bytes, seen_ended, created_at_ms, notify";

fn session(row: &Row<'_>) -> rusqlite::Result<Session> {
    Ok(Session {
        id: row.get(0)?,
        name: row.get(1)?,
        model: row.get(2)?,
        system: row.get(3)?,
        draft: row.get(4)?,
        held: row.get(5)?,
        closed_at: row.get(6)?,
        seen: seen(row, 7)?,
        created_at: row.get(11)?,
        notify: row.get(12)?,
    })
}

/// The session of that number.
pub(super) fn by_id(conn: &Connection, id: SessionId) -> Result<Session, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM sessions WHERE id = ?1");
    let found = conn.prepare_cached(&sql)?.query_row([id], session).optional()?;
    found.ok_or(StoreError::NoSession(SessionRef::Id(id)))
}

/// Runs an UPDATE or DELETE of one session, and says so when there is none.
fn change(conn: &Connection, id: SessionId, sql: &str, values: impl rusqlite::Params) -> Result<(), StoreError> {
    match conn.prepare_cached(sql)?.execute(values)? {
        0 => Err(StoreError::NoSession(SessionRef::Id(id))),
        _ => Ok(()),
    }
}

/// Makes a session. Without a name it gets [`SessionName::default_for`] its number, with `-2`, `-3` … where that is taken.
///
/// Fails with [`StoreError::NameTaken`].
#[derive(Debug, Clone)]
pub struct CreateSession {
    /// Its name, when the person gave one.
    pub name: Option<SessionName>,
    /// Who answers.
    pub model: ModelName,
    /// Instructions before the conversation; empty: none.
    pub system: String,
    /// When.
    pub now: Timestamp,
}

impl Write for CreateSession {
    type Reply = Session;

    fn apply(self, conn: &Connection) -> Result<Session, StoreError> {
        // The default name needs the number first; no session is ever named by the empty text.
        let first = self.name.as_ref().map_or("", SessionName::as_str);
        conn.prepare_cached("INSERT INTO sessions (name, model, system, created_at_ms) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![first, self.model, self.system, self.now])
            .map_err(|e| name_error(e, self.name.as_ref()))?;
        let id = SessionId(conn.last_insert_rowid());
        if self.name.is_none() {
            let name = free_name(conn, id)?;
            change(conn, id, "UPDATE sessions SET name = ?2 WHERE id = ?1", params![id, name])?;
        }
        leases::tell(conn, id)?;
        by_id(conn, id)
    }
}

fn name_error(error: rusqlite::Error, name: Option<&SessionName>) -> StoreError {
    match name {
        Some(name) if is_unique_violation(&error) => StoreError::NameTaken(name.clone()),
        _ => error.into(),
    }
}

fn free_name(conn: &Connection, id: SessionId) -> Result<String, StoreError> {
    let default = SessionName::default_for(id).to_string();
    let mut taken = conn.prepare_cached("SELECT 1 FROM sessions WHERE name = ?1")?;
    let (mut name, mut next) = (default.clone(), 2_u64);
    while taken.exists([&name])? {
        name = format!("{default}-{next}");
        next += 1;
    }
    Ok(name)
}

/// Renames a session. Fails with [`StoreError::NameTaken`] or [`StoreError::NoSession`].
#[derive(Debug, Clone)]
pub struct RenameSession {
    /// Which.
    pub session: SessionId,
    /// Its new name.
    pub name: SessionName,
}

impl Write for RenameSession {
    type Reply = ();

    fn apply(self, conn: &Connection) -> Result<(), StoreError> {
        let outcome = conn
            .prepare_cached("UPDATE sessions SET name = ?2 WHERE id = ?1")?
            .execute(params![self.session, self.name])
            .map_err(|e| name_error(e, Some(&self.name)))?;
        if outcome == 0 {
            return Err(StoreError::NoSession(SessionRef::Id(self.session)));
        }
        leases::tell(conn, self.session)
    }
}

/// Operations that set one column of one session, and fail with [`StoreError::NoSession`] alone.
macro_rules! setter {
    ($(#[$doc:meta])* $name:ident, $(#[$vdoc:meta])* $field:ident: $type:ty, $sql:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone)]
        pub struct $name {
            /// Which session.
            pub session: SessionId,
            $(#[$vdoc])*
            pub $field: $type,
        }

        impl Write for $name {
            type Reply = ();

            fn apply(self, conn: &Connection) -> Result<(), StoreError> {
                change(conn, self.session, $sql, params![self.session, self.$field])?;
                leases::tell(conn, self.session)
            }
        }
    };
}

setter!(
    /// Sets who answers from the next turn on.
    SetModel,
    /// The model.
    model: ModelName,
    "UPDATE sessions SET model = ?2 WHERE id = ?1"
);
setter!(
    /// Sets the instructions before the conversation.
    SetSystem,
    /// The instructions; empty: none.
    system: String,
    "UPDATE sessions SET system = ?2 WHERE id = ?1"
);
setter!(
    /// Sets which of its lines a session tells while it is in the background.
    SetNotify,
    /// Which; `None`: as the configuration says.
    notify: Option<Notify>,
    "UPDATE sessions SET notify = ?2 WHERE id = ?1"
);
setter!(
    /// Archives a session; once archived the time stays.
    CloseSession,
    /// When.
    now: Timestamp,
    "UPDATE sessions SET closed_at_ms = coalesce(closed_at_ms, ?2) WHERE id = ?1"
);

/// Takes a session out of the archive.
#[derive(Debug, Clone)]
pub struct ReopenSession {
    /// Which.
    pub session: SessionId,
}

impl Write for ReopenSession {
    type Reply = ();

    fn apply(self, conn: &Connection) -> Result<(), StoreError> {
        change(conn, self.session, "UPDATE sessions SET closed_at_ms = NULL WHERE id = ?1", [self.session])?;
        leases::tell(conn, self.session)
    }
}

/// Removes a session with its queue, its messages, its auto-reply loop and its figures; it stays in the figures of all. A
/// turn under way loses its rows: its next operation fails.
#[derive(Debug, Clone)]
pub struct DeleteSession {
    /// Which.
    pub session: SessionId,
}

impl Write for DeleteSession {
    type Reply = ();

    fn apply(self, conn: &Connection) -> Result<(), StoreError> {
        leases::expect_no_other(conn, self.session)?;
        change(conn, self.session, "DELETE FROM sessions WHERE id = ?1", [self.session])?;
        chunks::forget_orphans(conn)?;
        leases::tell(conn, self.session)?;
        stats::forget(conn, self.session)
    }
}

/// Keeps what was left in the line. Each process has lines of its own: the others are not told.
#[derive(Debug, Clone)]
pub struct SetDraft {
    /// Which session.
    pub session: SessionId,
    /// The line.
    pub draft: String,
}

impl Write for SetDraft {
    type Reply = ();

    fn apply(self, conn: &Connection) -> Result<(), StoreError> {
        change(conn, self.session, "UPDATE sessions SET draft = ?2 WHERE id = ?1", params![self.session, self.draft])
    }
}

/// Keeps how far the person has seen a session's output.
#[derive(Debug, Clone)]
pub struct SetSeen {
    /// Which session.
    pub session: SessionId,
    /// How far.
    pub seen: Seen,
}

impl Write for SetSeen {
    type Reply = ();

    fn apply(self, conn: &Connection) -> Result<(), StoreError> {
        let sql = "UPDATE sessions SET seen_message = :message, seen_reasoning_bytes = :reasoning, \
                   seen_text_bytes = :text, seen_ended = :ended WHERE id = :id";
        let values = named_params! {
            ":id": self.session,
            ":message": self.seen.message,
            ":reasoning": to_i64(self.seen.reasoning_bytes),
            ":text": to_i64(self.seen.text_bytes),
            ":ended": self.seen.ended,
        };
        change(conn, self.session, sql, values)
    }
}

/// Makes a session the active one, also for the next start.
#[derive(Debug, Clone)]
pub struct SetActive {
    /// Which.
    pub session: SessionId,
}

impl Write for SetActive {
    type Reply = ();

    fn apply(self, conn: &Connection) -> Result<(), StoreError> {
        let sql = "INSERT INTO state (key, value) SELECT ?2, id FROM sessions WHERE id = ?1 \
                   ON CONFLICT (key) DO UPDATE SET value = excluded.value";
        change(conn, self.session, sql, params![self.session, ACTIVE_SESSION])
    }
}

/// All sessions, by number.
#[derive(Debug, Clone, Copy)]
pub struct Sessions {
    /// The archived ones too.
    pub closed: bool,
}

impl Read for Sessions {
    type Reply = Vec<Session>;

    fn fetch(self, conn: &Connection) -> Result<Vec<Session>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM sessions WHERE ?1 OR closed_at_ms IS NULL ORDER BY id");
        let mut statement = conn.prepare_cached(&sql)?;
        Ok(statement.query_map([self.closed], session)?.collect::<Result<_, _>>()?)
    }
}

/// The session that a person names, archived or not.
#[derive(Debug, Clone)]
pub struct FindSession(pub SessionRef);

impl Read for FindSession {
    type Reply = Option<Session>;

    fn fetch(self, conn: &Connection) -> Result<Option<Session>, StoreError> {
        match &self.0 {
            SessionRef::Id(id) => {
                let sql = format!("SELECT {COLUMNS} FROM sessions WHERE id = ?1");
                Ok(conn.prepare_cached(&sql)?.query_row([id], session).optional()?)
            }
            SessionRef::Name(name) => {
                let sql = format!("SELECT {COLUMNS} FROM sessions WHERE name = ?1");
                let found = conn.prepare_cached(&sql)?.query_row([name], session).optional()?;
                if found.is_some() {
                    return Ok(found);
                }
                // An earlier version may have stored it in another normal form.
                let mut all = Sessions { closed: true }.fetch(conn)?.into_iter();
                Ok(all.find(|session| session.name == *name))
            }
        }
    }
}

/// The session that was active last; `None` when there was none, or when it was deleted.
#[derive(Debug, Clone, Copy)]
pub struct ActiveSession;

impl Read for ActiveSession {
    type Reply = Option<Session>;

    fn fetch(self, conn: &Connection) -> Result<Option<Session>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM sessions WHERE id = (SELECT CAST(value AS INTEGER) FROM state WHERE key = ?1)"
        );
        Ok(conn.prepare_cached(&sql)?.query_row([ACTIVE_SESSION], session).optional()?)
    }
}

/// Where a session's output ends now; behind its `seen` there is something unread when they differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionEnd {
    /// Which.
    pub session: SessionId,
    /// The end of its output: [`Seen::whole`] of its last message, or where a turn under way is.
    pub end: Seen,
}

/// The ends of all sessions' output, by number. One index look-up a session.
#[derive(Debug, Clone, Copy)]
pub struct SessionEnds;

impl Read for SessionEnds {
    type Reply = Vec<SessionEnd>;

    fn fetch(self, conn: &Connection) -> Result<Vec<SessionEnd>, StoreError> {
        let mut statement = conn.prepare_cached(
            "SELECT s.id, (SELECT max(m.id) FROM messages m WHERE m.session_id = s.id) FROM sessions s ORDER BY s.id",
        )?;
        let mut ends = statement
            .query_map([], |row| {
                let last: Option<MessageId> = row.get(1)?;
                Ok(SessionEnd { session: row.get(0)?, end: last.map_or(Seen::START, Seen::whole) })
            })?
            .collect::<Result<Vec<_>, _>>()?;
        for (session, answer, end) in super::output::open_ends(conn)? {
            // A turn that waits to go on may have others behind it: the last message is the end.
            if let Ok(at) = ends.binary_search_by_key(&session, |e| e.session)
                && ends[at].end.message == answer
            {
                ends[at].end = end;
            }
        }
        Ok(ends)
    }
}

/// One line of `chatmux sessions`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionSummary {
    /// The session.
    pub session: Session,
    /// Its messages, questions and answers.
    pub messages: u64,
    /// When something was last said or queued; when it was made, where nothing was.
    pub last_activity: Timestamp,
    /// Entries that wait.
    pub pending: u64,
    /// Dead letters.
    pub dead: u64,
    /// A turn is under way.
    pub running: bool,
}

/// All sessions with their counts, by number. Counts the messages of the whole database: not for the way to the prompt.
#[derive(Debug, Clone, Copy)]
pub struct SessionSummaries {
    /// The archived ones too.
    pub closed: bool,
}

impl Read for SessionSummaries {
    type Reply = Vec<SessionSummary>;

    fn fetch(self, conn: &Connection) -> Result<Vec<SessionSummary>, StoreError> {
        // The last message and the last entry in order are the last in time, but for what was moved or queued again; of what
        // waits the latest is looked for. So a few look-ups do.
        let sql = format!(
            "SELECT {COLUMNS}, \
                 (SELECT count(*) FROM messages m WHERE m.session_id = s.id) \
                     - (SELECT count(*) FROM messages m WHERE m.entry_id IN \
                        (SELECT id FROM entries e WHERE e.session_id = s.id AND e.undone = 1)), \
                 max(s.created_at_ms, \
                     coalesce((SELECT coalesce(m.finished_at_ms, m.created_at_ms) FROM messages m \
                               WHERE m.session_id = s.id ORDER BY m.id DESC LIMIT 1), 0), \
                     coalesce((SELECT e.created_at_ms FROM entries e \
                               WHERE e.session_id = s.id ORDER BY e.position DESC LIMIT 1), 0), \
                     coalesce((SELECT max(e.created_at_ms) FROM entries e \
                               WHERE e.session_id = s.id AND e.state = 'pending'), 0)), \
                 (SELECT count(*) FROM entries e WHERE e.session_id = s.id AND e.state = 'pending'), \
                 (SELECT count(*) FROM entries e WHERE e.session_id = s.id AND e.state = 'dead'), \
                 EXISTS (SELECT 1 FROM entries e WHERE e.session_id = s.id AND e.state = 'running') \
             FROM sessions s WHERE ?1 OR closed_at_ms IS NULL ORDER BY id"
        );
        let mut statement = conn.prepare_cached(&sql)?;
        let summaries = statement.query_map([self.closed], |row| {
            Ok(SessionSummary {
                session: session(row)?,
                messages: row.get::<_, i64>(13)?.unsigned_abs(),
                last_activity: row.get(14)?,
                pending: row.get::<_, i64>(15)?.unsigned_abs(),
                dead: row.get::<_, i64>(16)?.unsigned_abs(),
                running: row.get(17)?,
            })
        })?;
        Ok(summaries.collect::<Result<_, _>>()?)
    }
}
