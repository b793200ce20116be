//! Auto-reply loops: one row a session while its loop lives. When a loop goes on and when it ends is the queue's decision;
//! here each decision is one commit with what it does to the queue, so that a `stop` is never overtaken.
//!
//! A loop that goes on is known by its session and the time it was begun: an auto-reply of an older one is not queued
//! once it has a successor.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::sql::{is_missing_parent, to_i64, to_u64};
use super::{Enqueue, Read, StoreError, Write, leases};
use crate::domain::{AutoReply, Entry, EntryId, Origin, Priority, SessionId, SessionRef, Timestamp};

const COLUMNS: &str = "session_id, text, max_turns, until, max_time_ms, max_tokens, stop_on_repeat, started_at_ms, turns, tokens, last_answer";

fn auto_reply(row: &Row<'_>) -> rusqlite::Result<AutoReply> {
    Ok(AutoReply {
        session: row.get(0)?,
        text: row.get(1)?,
        max_turns: row.get(2)?,
        until: row.get(3)?,
        max_time: Duration::from_millis(to_u64(row.get(4)?)),
        max_tokens: to_u64(row.get(5)?),
        stop_on_repeat: row.get(6)?,
        started_at: row.get(7)?,
        turns: row.get(8)?,
        tokens: to_u64(row.get(9)?),
        last_answer: row.get(10)?,
    })
}

/// What is decided about a session's loop when one of its answers has ended. It is asked within the commit of that end,
/// with the answer's whole text, on the writer's thread: it must be quick and pure.
#[derive(Clone)]
pub struct Follow(pub Arc<dyn Fn(&str) -> FollowUp + Send + Sync>);

impl fmt::Debug for Follow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Follow(..)")
    }
}

/// What follows an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FollowUp {
    /// Nothing: the session has no loop, or it does not go on from this answer.
    Nothing,
    /// The next auto-reply is queued; the loop is now as given.
    Queue(AutoReply),
    /// The loop that was begun then ends, and what waits of it is cancelled.
    End(Timestamp),
}

impl FollowUp {
    /// Does what was decided; gives what was done, for the loop may have ended meanwhile, and the entry that was queued.
    pub(super) fn apply(
        self,
        conn: &Connection,
        session: SessionId,
        now: Timestamp,
    ) -> Result<(Self, Option<Entry>), StoreError> {
        match self {
            Self::Nothing => Ok((Self::Nothing, None)),
            Self::Queue(auto) => Ok(match queue(conn, &auto, now)? {
                Some(entry) => (Self::Queue(auto), Some(entry)),
                None => (Self::Nothing, None),
            }),
            Self::End(started_at) => {
                let sql = "DELETE FROM auto_replies WHERE session_id = ?1 AND started_at_ms = ?2";
                let ended = conn.prepare_cached(sql)?.execute(params![session, started_at])? > 0;
                if ended {
                    cancel(conn, session, now)?;
                }
                Ok((if ended { Self::End(started_at) } else { Self::Nothing }, None))
            }
        }
    }
}

/// Brings the loop's row up to date and queues its text; `None` when the loop is gone, or an auto-reply waits or runs
/// already: there is one at most.
fn queue(conn: &Connection, auto: &AutoReply, now: Timestamp) -> Result<Option<Entry>, StoreError> {
    // One query a state: each has its partial index.
    for state in ["pending", "running"] {
        let sql = format!("SELECT 1 FROM entries WHERE session_id = ?1 AND state = '{state}' AND origin = 'auto'");
        if conn.prepare_cached(&sql)?.exists([auto.session])? {
            return Ok(None);
        }
    }
    let updated = conn
        .prepare_cached(
            "UPDATE auto_replies SET turns = ?3, tokens = ?4, last_answer = ?5 WHERE session_id = ?1 AND started_at_ms = ?2",
        )?
        .execute(params![auto.session, auto.started_at, auto.turns, to_i64(auto.tokens), auto.last_answer])?;
    if updated == 0 { Ok(None) } else { enqueue(conn, auto, now).map(Some) }
}

fn enqueue(conn: &Connection, auto: &AutoReply, now: Timestamp) -> Result<Entry, StoreError> {
    let (priority, origin, text) = (Priority::Low, Origin::Auto, auto.text.clone());
    Enqueue { session: auto.session, priority, origin, text, now }.apply(conn)
}

fn end(conn: &Connection, session: SessionId) -> Result<Option<AutoReply>, StoreError> {
    let sql = format!("DELETE FROM auto_replies WHERE session_id = ?1 RETURNING {COLUMNS}");
    Ok(conn.prepare_cached(&sql)?.query_row([session], auto_reply).optional()?)
}

/// Cancels a session's auto-replies that wait.
fn cancel(conn: &Connection, session: SessionId, now: Timestamp) -> Result<Vec<EntryId>, StoreError> {
    let mut statement = conn.prepare_cached(
        "UPDATE entries SET state = 'cancelled', held = 0, continues = 0, not_before_ms = NULL, finished_at_ms = ?2 \
         WHERE session_id = ?1 AND state = 'pending' AND origin = 'auto' RETURNING id",
    )?;
    let mut ids = statement.query_map(params![session, now], |row| row.get(0))?.collect::<Result<Vec<_>, _>>()?;
    // RETURNING promises no order.
    ids.sort();
    Ok(ids)
}

/// Begins a session's loop, in the place of the one that it has, whose waiting auto-reply is cancelled. Fails with
/// [`StoreError::NoSession`].
#[derive(Debug, Clone)]
pub struct BeginAutoReply {
    /// The loop, as it is kept: with `queue_now` its `turns` count the one that is queued.
    pub auto: AutoReply,
    /// Queue the first auto-reply at once, rather than after the next answer.
    pub queue_now: bool,
    /// When.
    pub now: Timestamp,
}

/// A loop was begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AutoReplyBegun {
    /// Its first auto-reply, when it was to be queued.
    pub queued: Option<Entry>,
    /// What waited of the loop before.
    pub cancelled: Vec<EntryId>,
}

impl Write for BeginAutoReply {
    type Reply = AutoReplyBegun;

    fn apply(self, conn: &Connection) -> Result<AutoReplyBegun, StoreError> {
        let auto = self.auto;
        let sql = format!(
            "INSERT OR REPLACE INTO auto_replies ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"
        );
        let max_time_ms = u64::try_from(auto.max_time.as_millis()).unwrap_or(u64::MAX);
        let values = params![
            auto.session,
            auto.text,
            auto.max_turns,
            auto.until,
            to_i64(max_time_ms),
            to_i64(auto.max_tokens),
            auto.stop_on_repeat,
            auto.started_at,
            auto.turns,
            to_i64(auto.tokens),
            auto.last_answer,
        ];
        conn.prepare_cached(&sql)?.execute(values).map_err(|e| match is_missing_parent(&e) {
            true => StoreError::NoSession(SessionRef::Id(auto.session)),
            false => e.into(),
        })?;
        let cancelled = cancel(conn, auto.session, self.now)?;
        leases::tell(conn, auto.session)?;
        let queued = if self.queue_now { Some(enqueue(conn, &auto, self.now)?) } else { None };
        Ok(AutoReplyBegun { queued, cancelled })
    }
}

/// Queues a loop's next auto-reply where no answer's end does so: after a restart. The reply is the entry; `None` when the
/// loop is gone, or its auto-reply waits or runs already.
#[derive(Debug, Clone)]
pub struct QueueAutoReply {
    /// The loop, as it is with that auto-reply.
    pub auto: AutoReply,
    /// When.
    pub now: Timestamp,
}

impl Write for QueueAutoReply {
    type Reply = Option<Entry>;

    fn apply(self, conn: &Connection) -> Result<Option<Entry>, StoreError> {
        queue(conn, &self.auto, self.now)
    }
}

/// Ends the loops of these sessions and cancels what waits of them, also of a loop that has ended since.
#[derive(Debug, Clone)]
pub struct EndAutoReplies {
    /// Whose.
    pub sessions: Vec<SessionId>,
    /// When.
    pub now: Timestamp,
}

/// Loops were ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AutoRepliesEnded {
    /// As they were.
    pub ended: Vec<AutoReply>,
    /// What waited of them.
    pub cancelled: Vec<(SessionId, EntryId)>,
}

impl Write for EndAutoReplies {
    type Reply = AutoRepliesEnded;

    fn apply(self, conn: &Connection) -> Result<AutoRepliesEnded, StoreError> {
        let mut outcome = AutoRepliesEnded::default();
        for session in self.sessions {
            outcome.ended.extend(end(conn, session)?);
            outcome.cancelled.extend(cancel(conn, session, self.now)?.into_iter().map(|entry| (session, entry)));
            leases::give_back_if_idle(conn, session)?;
        }
        Ok(outcome)
    }
}

/// All loops, by session.
#[derive(Debug, Clone, Copy)]
pub struct AutoReplies;

impl Read for AutoReplies {
    type Reply = Vec<AutoReply>;

    fn fetch(self, conn: &Connection) -> Result<Vec<AutoReply>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM auto_replies ORDER BY session_id");
        Ok(conn.prepare_cached(&sql)?.query_map([], auto_reply)?.collect::<Result<_, _>>()?)
    }
}
