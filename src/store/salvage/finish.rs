//! What makes a database of the rows that were found: sessions and entries that others refer to and that are missing are made up,
//! partial answers get the rest of what had come, and nothing is left that would be sent.

use rusqlite::{Connection, params};

use super::{Found, Lost, MadeUp};
use crate::domain::{SessionName, Timestamp};
use crate::store::{StoreError, recover};

/// Names of made-up sessions that are told at most.
const MAX_NAMED: usize = 20;

/// All that refers to a session.
const SESSIONS_NAMED: &str = "SELECT session_id FROM entries UNION SELECT session_id FROM messages \
     UNION SELECT session_id FROM history UNION SELECT session_id FROM attachments";

/// The name of a session that was made up, or whose own name another has.
pub(super) fn made_up_name(id: i64) -> String {
    format!("recovered-{id}")
}

/// Makes up what is missing.
pub(super) fn make_up(conn: &Connection, now: Timestamp) -> Result<MadeUp, StoreError> {
    let sessions = sessions(conn, now)?;
    // The question is in its message too.
    let entries = conn.execute(
        "INSERT INTO entries (id, session_id, priority, origin, state, attempts, created_at_ms, finished_at_ms, position, text) \
         SELECT m.entry_id, min(m.session_id), 'normal', 'user', 'done', 1, min(m.created_at_ms), max(m.finished_at_ms), m.entry_id, \
             coalesce(max(CASE WHEN m.role = 'user' THEN m.text END), '') \
         FROM messages m WHERE NOT EXISTS (SELECT 1 FROM entries e WHERE e.id = m.entry_id) GROUP BY m.entry_id",
        [],
    )?;
    // And the other way round; a question's number is the one before its answer's.
    let questions = conn.execute(
        "INSERT INTO messages (id, session_id, entry_id, role, state, created_at_ms, finished_at_ms, text) \
         SELECT a.id - 1, a.session_id, e.id, 'user', 'complete', a.created_at_ms, a.created_at_ms, e.text \
         FROM messages a JOIN entries e ON e.id = a.entry_id \
         WHERE a.role = 'assistant' AND a.id > 1 \
             AND NOT EXISTS (SELECT 1 FROM messages q WHERE q.entry_id = e.id AND q.role = 'user') \
             AND NOT EXISTS (SELECT 1 FROM messages q WHERE q.id = a.id - 1)",
        [],
    )?;
    models(conn)?;
    Ok(MadeUp { sessions: sessions.0, names: sessions.1, entries: entries as u64, questions: questions as u64 })
}

/// How many sessions were made up, and the names of the first.
fn sessions(conn: &Connection, now: Timestamp) -> Result<(u64, Vec<String>), StoreError> {
    // A name that damage has made one that nobody can type.
    let mut known = conn.prepare("SELECT id, name FROM sessions")?;
    let known = known.query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)))?;
    for row in known.collect::<Result<Vec<_>, _>>()? {
        if row.1.parse::<SessionName>().is_err() {
            conn.execute("UPDATE sessions SET name = ?2 WHERE id = ?1", params![row.0, free_name(conn, row.0)?])?;
        }
    }
    let sql = format!("SELECT session_id FROM ({SESSIONS_NAMED}) WHERE session_id NOT IN (SELECT id FROM sessions)");
    let missing: Vec<i64> = conn.prepare(&sql)?.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let mut names = Vec::new();
    for id in &missing {
        let name = free_name(conn, *id)?;
        // All of it counts as seen: which of it was, nobody knows.
        conn.execute(
            "INSERT INTO sessions (id, name, model, created_at_ms, seen_message, seen_reasoning_bytes, seen_text_bytes) VALUES (?1, ?2, '', \
                 coalesce((SELECT min(created_at_ms) FROM entries WHERE session_id = ?1), ?3), \
                 coalesce((SELECT max(id) FROM messages WHERE session_id = ?1), 0), ?4, ?4)",
            params![id, name, now, i64::MAX],
        )?;
        names.push(name);
    }
    names.truncate(MAX_NAMED);
    Ok((missing.len() as u64, names))
}

fn free_name(conn: &Connection, id: i64) -> Result<String, StoreError> {
    let mut name = made_up_name(id);
    let sql = "SELECT EXISTS (SELECT 1 FROM sessions WHERE name = ?1)";
    while conn.prepare_cached(sql)?.query_row([&name], |row| row.get(0))? {
        name.push('_');
    }
    Ok(name)
}

/// Sessions without a model get that of their last answer, or what most sessions have.
fn models(conn: &Connection) -> Result<(), StoreError> {
    conn.execute(
        "UPDATE sessions SET model = coalesce( \
             (SELECT m.model FROM messages m WHERE m.session_id = sessions.id AND m.model IS NOT NULL ORDER BY m.id DESC LIMIT 1), \
             (SELECT model FROM sessions WHERE model <> '' GROUP BY model ORDER BY count(*) DESC LIMIT 1), \
             (SELECT model FROM messages WHERE model IS NOT NULL ORDER BY id DESC LIMIT 1), 'demo:tour') \
         WHERE model = ''",
        [],
    )?;
    Ok(())
}

/// Ends what streamed, with all that had come of it, as a start does after a crash; and holds all that waits, as if a person had said
/// so, for nothing of it shall be sent unasked. How many entries are held.
pub(super) fn settle(conn: &Connection, now: Timestamp) -> Result<u64, StoreError> {
    // A message of a schema before 7 does not say where its pieces begin.
    conn.execute(
        "UPDATE messages SET first_chunk = coalesce( \
             (SELECT min(c.id) FROM chunks c WHERE c.message_id = messages.id), (SELECT coalesce(max(c.id), 0) + 1 FROM chunks c)) \
         WHERE state = 'streaming' AND first_chunk IS NULL",
        [],
    )?;
    recover::repair(conn, now)?;
    conn.execute("DELETE FROM chunks", [])?;
    let held = conn.execute("UPDATE entries SET held = 1, set_aside = 0 WHERE state = 'pending'", [])?;
    Ok(held as u64)
}

/// Counts what is there.
pub(super) fn count(conn: &Connection) -> Result<Found, StoreError> {
    let number = |table: &str| {
        conn.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get::<_, i64>(0)).map(i64::unsigned_abs)
    };
    Ok(Found {
        sessions: number("sessions")?,
        entries: number("entries")?,
        messages: number("messages")?,
        history: number("history")?,
        attachments: number("attachments")?,
    })
}

/// What is known to be missing among the rows: answers, and the numbers of entries that nobody has.
pub(super) fn missing(conn: &Connection, are_numbers_told: bool, lost: &mut Lost) -> Result<(), StoreError> {
    let number = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, i64>(0)).map(i64::unsigned_abs);
    lost.answers = number(
        "SELECT count(*) FROM entries e WHERE e.state = 'done' \
             AND NOT EXISTS (SELECT 1 FROM messages m WHERE m.entry_id = e.id AND m.role = 'assistant')",
    )?;
    if are_numbers_told {
        lost.entries_at_most = number("SELECT coalesce(max(id), 0) - count(*) FROM entries")?;
    }
    Ok(())
}
