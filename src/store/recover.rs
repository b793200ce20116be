//! What a process that ended without saying so had left, set right: partials become interrupted answers, and what
//! waited goes on only when the person says so.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::{Connection, TransactionBehavior, params};

use super::chunks;
use super::leases;
use super::process::Identity;
use super::sql::stored_error;
use super::stats::{self, Counted, Sample};
use super::{Read, StoreError};
use crate::domain::{EntryId, ErrorKind, MessageId, ProcessId, SessionId, StoredError, Timestamp, Usage};

/// The reason kept with an answer that a dead process streamed.
const REASON: &str = "chatmux ended while this answer streamed";

/// What was repaired, for start-up to say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Answers cut in mid-stream, by message.
    pub interrupted: Vec<Interrupted>,
    /// Entries that were sent and have brought no text yet, under way or waiting for another attempt: they wait again, with their
    /// attempts counted and that as their reason ([`ErrorKind::Unanswered`]), and are among `held`.
    pub requeued: Vec<(SessionId, EntryId)>,
    /// Entries that are held because who was to send them has ended. What a person held is not among them.
    pub held: BTreeMap<SessionId, Vec<EntryId>>,
}

/// An answer whose process died; its partial is kept and its entry is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interrupted {
    /// Its session.
    pub session: SessionId,
    /// Its entry.
    pub entry: EntryId,
    /// The answer.
    pub answer: MessageId,
    /// Bytes of text that are kept.
    pub text_bytes: u64,
}

/// What is known at the start of a process.
#[derive(Debug)]
pub(super) struct Entered {
    /// As whom it is registered.
    pub(super) process: ProcessId,
    /// No other lives.
    pub(super) sole: bool,
    /// What was repaired.
    pub(super) recovery: Recovery,
}

/// Registers this process and repairs what is left of dead ones, in one transaction. `locked`: it has the lock on the database at `path`
/// for itself alone. Then it is alone, unless the lock's file was removed under others: those who certainly live are left alone.
pub(super) fn enter(conn: &mut Connection, path: &Path, locked: bool, now: Timestamp) -> Result<Entered, StoreError> {
    let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let left = if locked {
        leave_out(&transaction, |known| !known.certainly_has_open(path))?
    } else {
        leave_out(&transaction, Identity::is_gone)?
    };
    let sole = locked && !transaction.prepare("SELECT 1 FROM processes")?.exists([])?;
    if sole {
        // Nobody is left who would look at what was changed.
        transaction.execute("DELETE FROM changes", [])?;
    }
    let identity = Identity::of_this();
    let process = leases::register(&transaction, &identity)?;
    leases::write_as(&transaction, process, &identity)?;
    let recovery = repair(&transaction, now)?;
    // Who lives and follows one of them does not know otherwise that it is over.
    left.into_iter().try_for_each(|session| leases::tell(&transaction, session))?;
    transaction.commit()?;
    Ok(Entered { process, sole, recovery })
}

/// Removes the processes that are over, and their leases with them. Gives the sessions that they had the lease of.
fn leave_out(conn: &Connection, is_over: impl Fn(&Identity) -> bool) -> Result<Vec<SessionId>, StoreError> {
    let mut processes = conn.prepare("SELECT id, pid, boot, started FROM processes")?;
    let processes = processes.query_map([], |row| {
        Ok((row.get::<_, ProcessId>(0)?, Identity { pid: row.get(1)?, boot: row.get(2)?, started: row.get(3)? }))
    })?;
    let mut left = Vec::new();
    for (process, _) in processes.collect::<Result<Vec<_>, _>>()?.into_iter().filter(|(_, known)| is_over(known)) {
        left.extend(leases::LeasedBy(process).fetch(conn)?);
        conn.execute("DELETE FROM processes WHERE id = ?1", [process])?;
    }
    Ok(left)
}

/// Sets right what is under way, or waits, in sessions that nobody has the lease of.
pub(super) fn repair(conn: &Connection, now: Timestamp) -> Result<Recovery, StoreError> {
    let mut recovery = Recovery::default();
    for cut in streaming(conn)? {
        recovery.interrupted.extend(interrupt(conn, cut, now)?);
    }
    // It was sent once: whoever has acknowledged it, it is not sent again unasked.
    let unanswered = StoredError::unanswered();
    let mut requeue = conn.prepare_cached(&format!(
        "UPDATE entries SET state = 'pending', process_id = NULL, error_kind = ?1, error_text = ?2 \
         WHERE state = 'running' AND {UNLEASED} RETURNING session_id, id"
    ))?;
    for row in requeue.query_map(params![unanswered.kind, unanswered.text], |row| Ok((row.get(0)?, row.get(1)?)))? {
        recovery.requeued.push(row?);
    }
    recovery.requeued.extend(keep_unanswered(conn)?);
    // What a loop had queued that was ended, and no commit came of that any more.
    conn.execute(
        &format!(
            "UPDATE entries SET state = 'cancelled', held = 0, continues = 0, not_before_ms = NULL, finished_at_ms = ?1 \
             WHERE state = 'pending' AND origin = 'auto' AND {UNLEASED} \
                 AND NOT EXISTS (SELECT 1 FROM auto_replies a WHERE a.session_id = entries.session_id)"
        ),
        params![now],
    )?;
    conn.execute(
        &format!(
            "UPDATE entries SET held = 1, set_aside = 1 \
             WHERE state = 'pending' AND held = 0 AND {UNLEASED} AND NOT {OF_A_LIVING_ONE}"
        ),
        [],
    )?;
    let mut held = conn.prepare_cached(HELD)?;
    for row in held.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))? {
        let (session, entry) = row?;
        recovery.held.entry(session).or_default().push(entry);
    }
    give_to_the_living(conn)?;
    // RETURNING promises no order.
    recovery.requeued.sort();
    recovery.held.values_mut().for_each(|ids| ids.sort());
    Ok(recovery)
}

/// Notes what was sent, brought nothing, and waits for another attempt in sessions that nobody has the lease of: whoever has
/// acknowledged it, no other process sends it again unasked. Gives what was not noted before.
pub(super) fn keep_unanswered(conn: &Connection) -> Result<Vec<(SessionId, EntryId)>, StoreError> {
    // What a person held is let go by a person. What continues has text, and the next attempt asks for the rest of it.
    let mut failed = conn.prepare_cached(&format!(
        "SELECT session_id, id, error_kind, error_status, error_text, error_request_id FROM entries \
         WHERE state = 'pending' AND (held = 0 OR set_aside = 1) AND continues = 0 AND error_kind IS NOT NULL AND {UNLEASED}"
    ))?;
    let failed = failed.query_map([], |row| Ok((row.get(0)?, row.get(1)?, stored_error(row, 2)?)))?;
    let mut note = conn.prepare_cached(
        "UPDATE entries SET process_id = NULL, error_kind = ?2, error_status = ?3, error_text = ?4, error_request_id = ?5 WHERE id = ?1",
    )?;
    let mut unanswered = Vec::new();
    for (session, entry, failure) in failed.collect::<Result<Vec<(SessionId, EntryId, Option<StoredError>)>, _>>()? {
        let Some(reason) = failure.and_then(|failure| failure.left_unanswered()) else { continue };
        note.execute(params![entry, reason.kind, reason.status, reason.text, reason.request_id])?;
        unanswered.push((session, entry));
    }
    Ok(unanswered)
}

/// Of an entry: a process that lives has acknowledged it.
pub(super) const OF_A_LIVING_ONE: &str = "EXISTS (SELECT 1 FROM processes p WHERE p.id = entries.process_id)";

/// Sessions that nobody has the lease of go to who has acknowledged what waits there.
pub(super) fn give_to_the_living(conn: &Connection) -> Result<(), StoreError> {
    conn.execute(
        &format!(
            "INSERT INTO leases (session_id, process_id) \
             SELECT session_id, min(process_id) FROM entries \
             WHERE state = 'pending' AND held = 0 AND {UNLEASED} AND {OF_A_LIVING_ONE} GROUP BY session_id"
        ),
        [],
    )?;
    Ok(())
}

/// Of a session that no process has the lease of.
const UNLEASED: &str = "session_id NOT IN (SELECT session_id FROM leases)";

/// What is set aside. Without ORDER BY, as below.
pub(super) const HELD: &str = "SELECT session_id, id FROM entries \
     WHERE state = 'pending' AND set_aside = 1 AND session_id NOT IN (SELECT session_id FROM leases)";

/// The answers to end. Without ORDER BY: with it SQLite would rather walk all messages in order than sort a few.
pub(super) const STREAMING: &str = "SELECT session_id, entry_id, id FROM messages \
     WHERE state = 'streaming' AND session_id NOT IN (SELECT session_id FROM leases)";

fn streaming(conn: &Connection) -> Result<Vec<Interrupted>, StoreError> {
    let mut statement = conn.prepare_cached(STREAMING)?;
    let cut = statement.query_map([], |row| {
        Ok(Interrupted { session: row.get(0)?, entry: row.get(1)?, answer: row.get(2)?, text_bytes: 0 })
    })?;
    let mut cut = cut.collect::<Result<Vec<_>, _>>()?;
    cut.sort_by_key(|c| c.answer);
    Ok(cut)
}

/// Ends one answer; `None` when there is nothing of it that a person could read.
fn interrupt(conn: &Connection, cut: Interrupted, now: Timestamp) -> Result<Option<Interrupted>, StoreError> {
    let grown = chunks::take(conn, cut.answer, Vec::new())?;
    let text_bytes: i64 = conn
        .prepare_cached(
            "UPDATE messages SET state = 'interrupted', first_chunk = NULL, finished_at_ms = ?2, error_kind = ?3, error_text = ?4, \
                 text = text || ?5, reasoning = reasoning || ?6 WHERE id = ?1 RETURNING octet_length(text)",
        )?
        .query_row(params![cut.answer, now, ErrorKind::Transport, REASON, grown.text, grown.reasoning], |row| {
            row.get(0)
        })?;
    if text_bytes == 0 {
        return Ok(None);
    }
    conn.prepare_cached(
        "UPDATE entries SET state = 'done', finished_at_ms = ?2, error_kind = ?3, error_text = ?4 \
         WHERE id = ?1 AND state = 'running'",
    )?
    .execute(params![cut.entry, now, ErrorKind::Transport, REASON])?;
    stats::record(conn, Sample { session: cut.session, what: Counted::Cut, usage: Usage::default() })?;
    Ok(Some(Interrupted { text_bytes: text_bytes.unsigned_abs(), ..cut }))
}
