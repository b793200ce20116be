//! Several processes on one database. Each is registered (`processes`), and a session in which one has something to run is leased
//! to it (`leases`): nobody else starts a turn there, and what the former holder of a lease still wants to write is refused.
//!
//! A lease is taken by the commit that gives a session something to run, and given back by the commit after which there is nothing
//! left: it costs no commit of its own. What one process changes of what others have in memory is told by a row in `changes`, in the
//! same commit, and only while there are others; each looks there in short intervals ([`Survey`]) and then at the session
//! ([`LookAt`](super::LookAt)).
//!
//! Whether another lives is never told by a clock that can be set: it is watched whether its `beat` grows.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};

use super::process::Identity;
use super::recover::{self, Recovery};
use super::{Read, StartTurn, StoreError, Turn, Write, set_aside};
use crate::domain::{Entry, LetGo, ProcessId, SessionId, Timestamp};

/// Rows of `changes` that are kept. Who has missed more looks at everything anew.
const KEPT_CHANGES: i64 = 10_000;

/// Who runs no turns, and takes no lease: no process has this number.
pub(super) const VISITOR: ProcessId = ProcessId(0);

/// In a change: everything may be another.
const EVERY_SESSION: SessionId = SessionId(0);

/// Registers this process.
pub(super) fn register(conn: &Connection, identity: &Identity) -> Result<ProcessId, StoreError> {
    let sql = "INSERT INTO processes (pid, boot, started) VALUES (?1, ?2, ?3)";
    conn.execute(sql, params![identity.pid, identity.boot, identity.started])?;
    Ok(ProcessId(conn.last_insert_rowid()))
}

/// Tells the connection for which process it writes, as the view `me`.
pub(super) fn write_as(conn: &Connection, process: ProcessId, identity: &Identity) -> Result<(), StoreError> {
    // Not parameters: a view takes none.
    let Identity { pid, boot, started } = identity;
    conn.execute_batch(&format!(
        "DROP VIEW IF EXISTS temp.me; \
         CREATE TEMP VIEW me AS SELECT {process} AS process, {pid} AS pid, '{}' AS boot, {started} AS started",
        boot.replace('\'', "''")
    ))?;
    Ok(())
}

/// One that was taken for dead, because it was silent for long, is registered again; the leases that it had are not its any more, and
/// nobody has told it what was changed since.
fn stay_registered(conn: &Connection) -> Result<(), StoreError> {
    let added = conn
        .prepare_cached(
            "INSERT INTO processes (id, pid, boot, started) SELECT process, pid, boot, started FROM me \
             WHERE NOT EXISTS (SELECT 1 FROM processes WHERE id = process)",
        )?
        .execute([])?;
    if added > 0 {
        let sql = "INSERT INTO changes (session_id, process_id) VALUES (?1, ?2)";
        conn.prepare_cached(sql)?.execute(params![EVERY_SESSION, VISITOR])?;
    }
    Ok(())
}

/// Tells the others, if there are any, that something of `session` is another now.
pub(super) fn tell(conn: &Connection, session: SessionId) -> Result<(), StoreError> {
    conn.prepare_cached(
        "INSERT INTO changes (session_id, process_id) SELECT ?1, process FROM me \
         WHERE EXISTS (SELECT 1 FROM processes WHERE id <> process)",
    )?
    .execute([session])?;
    Ok(())
}

/// As [`tell`], and tells this process too: it starts nothing in `session` ([`StartKnown`]) before it has looked at it again.
pub(super) fn tell_all(conn: &Connection, session: SessionId) -> Result<(), StoreError> {
    let sql = "INSERT INTO changes (session_id, process_id) VALUES (?1, ?2)";
    conn.prepare_cached(sql)?.execute(params![session, VISITOR])?;
    Ok(())
}

/// [`tell`], once a session.
pub(super) fn tell_of(conn: &Connection, changed: &[Entry]) -> Result<(), StoreError> {
    let mut sessions: Vec<SessionId> = changed.iter().map(|entry| entry.session).collect();
    sessions.sort_unstable();
    sessions.dedup();
    sessions.into_iter().try_for_each(|session| tell(conn, session))
}

/// There is something to run in `session`: where nobody has the lease, it is this process's from now on. Tells the others too.
pub(super) fn claim(conn: &Connection, session: SessionId) -> Result<(), StoreError> {
    stay_registered(conn)?;
    conn.prepare_cached(
        "INSERT INTO leases (session_id, process_id) SELECT ?1, process FROM me WHERE true ON CONFLICT DO NOTHING",
    )?
    .execute([session])?;
    tell(conn, session)
}

/// Fails with [`StoreError::Leased`] unless this process has the lease of `session`.
pub(super) fn expect_lease(conn: &Connection, session: SessionId) -> Result<(), StoreError> {
    let sql = "SELECT 1 FROM leases WHERE session_id = ?1 AND process_id = (SELECT process FROM me)";
    if conn.prepare_cached(sql)?.exists([session])? { Ok(()) } else { Err(StoreError::Leased(session)) }
}

/// Fails with [`StoreError::Leased`] when another process has the lease of `session`.
pub(super) fn expect_no_other(conn: &Connection, session: SessionId) -> Result<(), StoreError> {
    let sql = "SELECT 1 FROM leases WHERE session_id = ?1 AND process_id <> (SELECT process FROM me)";
    if conn.prepare_cached(sql)?.exists([session])? { Err(StoreError::Leased(session)) } else { Ok(()) }
}

/// Gives the lease of `session` back if this process has nothing to run there any more. Tells the others too.
pub(super) fn give_back_if_idle(conn: &Connection, session: SessionId) -> Result<(), StoreError> {
    conn.prepare_cached(
        "DELETE FROM leases WHERE session_id = ?1 AND process_id = (SELECT process FROM me) \
             AND NOT EXISTS (SELECT 1 FROM entries WHERE session_id = ?1 AND state = 'running') \
             AND NOT EXISTS (SELECT 1 FROM entries e JOIN sessions s ON s.id = e.session_id \
                             WHERE e.session_id = ?1 AND e.state = 'pending' AND e.held = 0 AND s.held = 0)",
    )?
    .execute([session])?;
    tell(conn, session)
}

/// This process ends: what it has not begun is set aside while others live, who would not know why it waits; what they have queued goes
/// on there, with the lease. A turn whose end could not be committed is left to the others, or to the next start, as a dead process's would be.
pub(super) fn leave(conn: &Connection) -> Result<(), StoreError> {
    let mut unfinished = conn.prepare(
        "SELECT 1 FROM entries WHERE state = 'running' \
             AND session_id IN (SELECT session_id FROM leases WHERE process_id = (SELECT process FROM me))",
    )?;
    if unfinished.exists([])? {
        return Ok(());
    }
    let sql = "SELECT session_id FROM leases WHERE process_id = (SELECT process FROM me)";
    let mut leased = conn.prepare(sql)?;
    let leased = leased.query_map([], |row| row.get(0))?.collect::<Result<Vec<SessionId>, _>>()?;
    leased.iter().try_for_each(|&session| tell(conn, session))?;
    let mut set_aside = conn.prepare(&format!(
        "UPDATE entries SET held = 1, set_aside = 1 WHERE session_id = ?1 AND state = 'pending' AND held = 0 \
             AND EXISTS (SELECT 1 FROM processes) AND NOT {}",
        recover::OF_A_LIVING_ONE
    ))?;
    // With its leases.
    conn.execute("DELETE FROM processes WHERE id = (SELECT process FROM me)", [])?;
    recover::keep_unanswered(conn)?;
    for session in leased {
        set_aside.execute([session])?;
    }
    recover::give_to_the_living(conn)
}

/// [`StartTurn`], by who knows what others have changed up to there. Fails with [`StoreError::Changed`] when they have changed the session
/// since: perhaps something else comes first now. Fails with [`StoreError::SetAside`] where [`TakeAlong`](super::TakeAlong) comes first.
#[derive(Debug, Clone)]
pub struct StartKnown {
    /// The turn.
    pub start: StartTurn,
    /// Its session.
    pub session: SessionId,
    /// The last change that is known.
    pub known: i64,
    /// What was set aside in the session has its turn before what was queued since.
    pub takes_along: bool,
}

impl Write for StartKnown {
    type Reply = Turn;

    fn apply(self, conn: &Connection) -> Result<Turn, StoreError> {
        let news = "SELECT 1 FROM changes WHERE id > ?1 AND session_id = ?2 AND process_id <> (SELECT process FROM me)";
        if conn.prepare_cached(news)?.exists(params![self.known, self.session])? {
            return Err(StoreError::Changed(self.session));
        }
        if self.takes_along && set_aside::has_set_aside(conn, self.session)? {
            return Err(StoreError::SetAside(self.session));
        }
        self.start.apply(conn)
    }
}

/// Shows the others that this process lives.
#[derive(Debug, Clone, Copy)]
pub struct Beat;

impl Write for Beat {
    type Reply = ();

    fn apply(self, conn: &Connection) -> Result<(), StoreError> {
        stay_registered(conn)?;
        conn.prepare_cached("UPDATE processes SET beat = beat + 1 WHERE id = (SELECT process FROM me)")?.execute([])?;
        conn.prepare_cached("DELETE FROM changes WHERE id <= (SELECT max(id) FROM changes) - ?1")?
            .execute([KEPT_CHANGES])?;
        Ok(())
    }
}

/// Sets right what a process that is dead, or silent for too long, has left, if its beat is still the one that was seen last. The
/// reply is what was repaired; `None` when it lives after all, or somebody was quicker.
#[derive(Debug, Clone, Copy)]
pub struct TakeOver {
    /// Whose.
    pub process: ProcessId,
    /// Its last beat.
    pub beat: i64,
    /// When.
    pub now: Timestamp,
}

impl Write for TakeOver {
    type Reply = Option<Recovery>;

    fn apply(self, conn: &Connection) -> Result<Option<Recovery>, StoreError> {
        let mut leased = conn.prepare_cached("SELECT session_id FROM leases WHERE process_id = ?1")?;
        let leased = leased.query_map([self.process], |row| row.get(0))?.collect::<Result<Vec<SessionId>, _>>()?;
        // While it counts among the others still.
        leased.iter().try_for_each(|&session| tell(conn, session))?;
        let gone = conn
            .prepare_cached("DELETE FROM processes WHERE id = ?1 AND beat = ?2")?
            .execute(params![self.process, self.beat])?;
        if gone == 0 {
            return Ok(None);
        }
        Ok(Some(recover::repair(conn, self.now)?))
    }
}

/// Asks who has the lease of a session to end the turn under way.
#[derive(Debug, Clone, Copy)]
pub struct AskToCancel {
    /// Which session.
    pub session: SessionId,
}

impl Write for AskToCancel {
    type Reply = ();

    fn apply(self, conn: &Connection) -> Result<(), StoreError> {
        conn.prepare_cached("INSERT INTO changes (session_id, process_id, cancel) SELECT ?1, process, 1 FROM me")?
            .execute([self.session])?;
        Ok(())
    }
}

/// What there is of others: who lives, and what they have changed since.
#[derive(Debug, Clone, Copy)]
pub struct Survey {
    /// Who looks.
    pub process: ProcessId,
    /// The last change that it knows; what comes later is given.
    pub since: i64,
    /// Whether to look for what waits and nobody runs, and what counts among that of what was set aside.
    pub orphans: Option<LetGo>,
}

/// Another process that is registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Other {
    /// As whom.
    pub process: ProcessId,
    /// What it is known by.
    pub identity: Identity,
    /// Grows while it lives and has a lease.
    pub beat: i64,
    /// It has a lease.
    pub works: bool,
}

/// What a survey found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surveyed {
    /// Who else is registered.
    pub others: Vec<Other>,
    /// Sessions that others have changed, each once, and whether one of them asks that the turn there ends.
    pub changed: BTreeMap<SessionId, bool>,
    /// The last change, to ask from next time.
    pub last: i64,
    /// Changes are missing: everything may be another.
    pub missed: bool,
    /// Something waits that nobody runs ([`Adopt`](super::Adopt)), if that was asked.
    pub orphans: bool,
}

impl Read for Survey {
    type Reply = Surveyed;

    fn fetch(self, conn: &Connection) -> Result<Surveyed, StoreError> {
        let mut found = Surveyed { last: self.since, ..Surveyed::default() };
        let mut others = conn.prepare_cached(
            "SELECT id, pid, boot, started, beat, EXISTS (SELECT 1 FROM leases WHERE process_id = id) \
             FROM processes WHERE id <> ?1",
        )?;
        let others = others.query_map([self.process], |row| {
            let identity = Identity { pid: row.get(1)?, boot: row.get(2)?, started: row.get(3)? };
            Ok(Other { process: row.get(0)?, identity, beat: row.get(4)?, works: row.get(5)? })
        })?;
        found.others = others.collect::<Result<_, _>>()?;
        let mut changes =
            conn.prepare_cached("SELECT id, session_id, process_id, cancel FROM changes WHERE id > ?1 ORDER BY id")?;
        let mut rows = changes.query([self.since])?;
        while let Some(row) = rows.next()? {
            let (id, session): (i64, SessionId) = (row.get(0)?, row.get(1)?);
            found.missed |= found.last == self.since && id > self.since + 1;
            found.last = id;
            if session == EVERY_SESSION {
                found.missed = true;
            } else if row.get::<_, ProcessId>(2)? != self.process {
                *found.changed.entry(session).or_default() |= row.get::<_, bool>(3)?;
            }
        }
        let newest = LastChange.fetch(conn)?;
        if newest < found.last {
            // They were begun anew, by one that took itself for alone.
            (found.missed, found.last) = (true, newest);
        }
        if let Some(set_aside) = self.orphans {
            found.orphans = set_aside::has_orphans(conn, set_aside)?;
        }
        Ok(found)
    }
}

/// The number of the last change, for [`Survey::since`]: to be asked before what is in memory is read.
#[derive(Debug, Clone, Copy)]
pub struct LastChange;

impl Read for LastChange {
    type Reply = i64;

    fn fetch(self, conn: &Connection) -> Result<i64, StoreError> {
        Ok(conn.query_row("SELECT coalesce(max(id), 0) FROM changes", [], |row| row.get(0))?)
    }
}

/// Sessions that a process has the lease of.
#[derive(Debug, Clone, Copy)]
pub struct LeasedBy(pub ProcessId);

impl Read for LeasedBy {
    type Reply = Vec<SessionId>;

    fn fetch(self, conn: &Connection) -> Result<Vec<SessionId>, StoreError> {
        let mut statement = conn.prepare_cached("SELECT session_id FROM leases WHERE process_id = ?1")?;
        Ok(statement.query_map([self.0], |row| row.get(0))?.collect::<Result<_, _>>()?)
    }
}

/// Sessions that other processes have the lease of.
#[derive(Debug, Clone, Copy)]
pub struct LeasedElsewhere(pub ProcessId);

impl Read for LeasedElsewhere {
    type Reply = Vec<SessionId>;

    fn fetch(self, conn: &Connection) -> Result<Vec<SessionId>, StoreError> {
        let mut statement = conn.prepare_cached("SELECT session_id FROM leases WHERE process_id <> ?1")?;
        Ok(statement.query_map([self.0], |row| row.get(0))?.collect::<Result<_, _>>()?)
    }
}
