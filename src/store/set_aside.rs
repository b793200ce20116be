//! What was set aside when its process ended, let go again: by a start, by who looks for what nobody runs, and by who has the lease of a
//! session. What becomes of each entry is decided by [`LetGo::fate`].

use rusqlite::{Connection, named_params, params};

use super::sql::ErrorColumns;
use super::stats::{self, Counted, Sample};
use super::{StoreError, Write, leases};
use crate::domain::{EntryId, Fate, LetGo, SessionId, StoredError, Timestamp, Usage};

/// In the SET of an UPDATE of entries that lets them go: that they were sent is settled with that. Any other reason stays.
pub(super) const SETTLE_UNANSWERED: &str =
    "error_text = iif(error_kind = 'unanswered', NULL, error_text), error_kind = nullif(error_kind, 'unanswered')";

/// An entry that was sent, and whose process ended before any text of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unanswered {
    /// Its session.
    pub session: SessionId,
    /// Its number.
    pub entry: EntryId,
    /// Attempts begun so far.
    pub attempts: u32,
}

/// What was let go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Released {
    /// Sessions in which something changed.
    pub sessions: Vec<SessionId>,
    /// What waits for its turn although it was sent before.
    pub sent_again: Vec<Unanswered>,
    /// What is a dead letter instead.
    pub dead: Vec<Unanswered>,
}

/// Takes the lease of each session in which something waits that nobody runs, and that no person held. What was set aside there is let
/// go.
#[derive(Debug, Clone)]
pub struct Adopt {
    /// Also what was set aside when its process ended.
    pub set_aside: LetGo,
    /// Of these alone.
    pub only: Option<Vec<SessionId>>,
    /// When.
    pub now: Timestamp,
}

impl Write for Adopt {
    type Reply = Released;

    fn apply(self, conn: &Connection) -> Result<Released, StoreError> {
        let mut orphaned = conn.prepare_cached(ORPHANED)?;
        let found = orphaned.query_map(orphans(self.set_aside), |row| row.get(0))?;
        let mut orphaned = found.collect::<Result<Vec<SessionId>, _>>()?;
        orphaned.retain(|session| self.only.as_ref().is_none_or(|only| only.contains(session)));
        let mut released = Released::default();
        for session in orphaned {
            release(conn, session, self.set_aside, self.now, &mut released)?;
            claim_if_any(conn, session)?;
            released.sessions.push(session);
        }
        Ok(released)
    }
}

/// Sessions without a lease in which something waits that nobody held; with the parameters of [`orphans`].
const ORPHANED: &str = "SELECT DISTINCT e.session_id FROM entries e JOIN sessions s ON s.id = e.session_id \
     WHERE e.state = 'pending' AND (e.held = 0 OR (?1 AND e.set_aside = 1 AND (?2 OR e.error_kind IS NOT 'unanswered'))) \
         AND s.held = 0 AND s.closed_at_ms IS NULL AND e.session_id NOT IN (SELECT session_id FROM leases)";

/// Whether what was set aside counts, and whether what was sent counts among that.
const fn orphans(set_aside: LetGo) -> [bool; 2] {
    match set_aside {
        LetGo::Nothing => [false, false],
        LetGo::NeverSent => [true, false],
        LetGo::All { .. } => [true, true],
    }
}

/// Whether there is something to [`Adopt`].
pub(super) fn has_orphans(conn: &Connection, set_aside: LetGo) -> Result<bool, StoreError> {
    Ok(conn.prepare_cached(ORPHANED)?.exists(orphans(set_aside))?)
}

/// Lets go what was set aside in a session whose lease this process has, or nobody: it has its turn in the order in which it arrived, so
/// before what was queued since. Nothing in a session that is held.
///
/// Fails with [`StoreError::Leased`].
#[derive(Debug, Clone, Copy)]
pub struct TakeAlong {
    /// Which session.
    pub session: SessionId,
    /// What of it.
    pub set_aside: LetGo,
    /// When.
    pub now: Timestamp,
}

impl Write for TakeAlong {
    type Reply = Released;

    fn apply(self, conn: &Connection) -> Result<Released, StoreError> {
        leases::expect_no_other(conn, self.session)?;
        let mut released = Released::default();
        if has_set_aside(conn, self.session)? {
            release(conn, self.session, self.set_aside, self.now, &mut released)?;
            claim_if_any(conn, self.session)?;
            released.sessions.push(self.session);
        }
        Ok(released)
    }
}

/// Whether something set aside waits in a session that is not held.
pub(super) fn has_set_aside(conn: &Connection, session: SessionId) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM entries e JOIN sessions s ON s.id = e.session_id \
               WHERE e.session_id = ?1 AND e.state = 'pending' AND e.set_aside = 1 AND s.held = 0";
    Ok(conn.prepare_cached(sql)?.exists([session])?)
}

/// Takes the lease of `session` if something waits there that is not held. Tells the others in any case.
fn claim_if_any(conn: &Connection, session: SessionId) -> Result<(), StoreError> {
    let waits = "SELECT 1 FROM entries WHERE session_id = ?1 AND state = 'pending' AND held = 0";
    let waits = conn.prepare_cached(waits)?.exists([session])?;
    if waits { leases::claim(conn, session) } else { leases::tell(conn, session) }
}

/// What becomes of each entry of `session` that was set aside.
fn release(
    conn: &Connection,
    session: SessionId,
    let_go: LetGo,
    now: Timestamp,
    released: &mut Released,
) -> Result<(), StoreError> {
    let mut set_aside = conn.prepare_cached(
        "SELECT id, attempts, error_kind IS 'unanswered' FROM entries \
         WHERE session_id = ?1 AND state = 'pending' AND set_aside = 1 ORDER BY position, id",
    )?;
    let found = set_aside.query_map([session], |row| {
        Ok((Unanswered { session, entry: row.get(0)?, attempts: row.get(1)? }, row.get::<_, bool>(2)?))
    })?;
    let mut go = conn.prepare_cached(&format!(
        "UPDATE entries SET held = 0, set_aside = 0, process_id = (SELECT process FROM me), {SETTLE_UNANSWERED} WHERE id = ?1"
    ))?;
    let found = found.collect::<Result<Vec<_>, _>>()?;
    if !found.is_empty() {
        // What is let go may come before what this process would start next.
        leases::tell_all(conn, session)?;
    }
    for (entry, unanswered) in found {
        match let_go.fate(unanswered, entry.attempts) {
            Fate::StaysHeld => {}
            Fate::Waits => _ = go.execute([entry.entry])?,
            Fate::SentAgain => {
                go.execute([entry.entry])?;
                released.sent_again.push(entry);
            }
            Fate::Dead => {
                bury(conn, entry, let_go, now)?;
                released.dead.push(entry);
            }
        }
    }
    Ok(())
}

/// Makes a dead letter of an entry that was sent and is out of attempts. Its answer has failed.
fn bury(conn: &Connection, entry: Unanswered, let_go: LetGo, now: Timestamp) -> Result<(), StoreError> {
    let Unanswered { session, entry, attempts } = entry;
    let max_attempts = match let_go {
        LetGo::All { max_attempts } => max_attempts,
        LetGo::Nothing | LetGo::NeverSent => attempts,
    };
    let error = StoredError::given_up(attempts, max_attempts);
    let error = ErrorColumns::from(Some(&error));
    conn.prepare_cached(
        "UPDATE entries SET state = 'dead', held = 0, set_aside = 0, continues = 0, not_before_ms = NULL, \
             finished_at_ms = :now, error_kind = :kind, error_text = :text WHERE id = :id",
    )?
    .execute(named_params! { ":id": entry, ":now": now, ":kind": error.kind, ":text": error.text })?;
    conn.prepare_cached(
        "UPDATE messages SET state = 'failed', error_kind = ?2, error_text = ?3, finished_at_ms = ?4 \
         WHERE entry_id = ?1 AND role = 'assistant'",
    )?
    .execute(params![entry, error.kind, error.text, now])?;
    stats::record(conn, Sample { session, what: Counted::GivenUp, usage: Usage::default() })
}
