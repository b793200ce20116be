//! What a process looks at that another has changed: a session as it is now, with what has ended there and what was put out.

use rusqlite::{Connection, OptionalExtension};

use super::auto_replies::AutoReplies;
use super::entries::{COLUMNS, SERVICE_ORDER, by_id, entry};
use super::history::{finish, seams, usage};
use super::output::OutputSince;
use super::sessions;
use super::{Behind, Read, StoreError, Write};
use crate::domain::{
    AnswerState, AutoReply, Entry, EntryId, EntryState, Finish, MessageId, ProcessId, Seen, Session, SessionId,
    Timestamp, Usage,
};

/// The last message before the question that is being answered in a session; `None`: none is.
#[derive(Debug, Clone, Copy)]
pub struct BeforeRunning(pub SessionId);

impl Read for BeforeRunning {
    type Reply = Option<MessageId>;

    fn fetch(self, conn: &Connection) -> Result<Option<MessageId>, StoreError> {
        let sql = "SELECT coalesce((SELECT max(m.id) FROM messages m WHERE m.session_id = ?1 AND m.id < q.id), 0) \
                   FROM messages q JOIN entries e ON e.id = q.entry_id \
                   WHERE e.session_id = ?1 AND e.state = 'running' AND q.role = 'user'";
        Ok(conn.prepare_cached(sql)?.query_row([self.0], |row| row.get(0)).optional()?)
    }
}

/// A session as it is now. An operation of the writer although it changes nothing: so it stands in the order of what this process
/// has asked for, and tells of exactly that and of what others have done.
#[derive(Debug, Clone)]
pub struct LookAt {
    /// Which.
    pub session: SessionId,
    /// Entries of it whose end is not known yet.
    pub known: Vec<EntryId>,
    /// Where its output ends as far as it is known.
    pub seen: Seen,
    /// Of what comes behind that, this much at most.
    pub max_bytes: u64,
}

/// What a look found.
#[derive(Debug, Clone)]
pub struct Looked {
    /// The session.
    pub session: Session,
    /// Who has its lease.
    pub lease: Option<Lease>,
    /// The entry whose turn is under way.
    pub running: Option<Entry>,
    /// What waits, in the order of service.
    pub pending: Vec<Entry>,
    /// Of those that were known, what has ended.
    pub ended: Vec<EndedEntry>,
    /// Its auto-reply loop.
    pub auto: Option<AutoReply>,
    /// What came behind what was known.
    pub behind: Behind,
}

/// Who has a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// As whom it is registered.
    pub process: ProcessId,
    /// It is the one that asks.
    pub is_ours: bool,
}

/// An entry that has ended, with its answer if it has one.
#[derive(Debug, Clone)]
pub struct EndedEntry {
    /// The entry; its session may be gone.
    pub entry: Entry,
    /// How its answer stands.
    pub answer: Option<AnswerState>,
    /// Why the model stopped, if it did.
    pub finish: Option<Finish>,
    /// Its answer's text.
    pub text: String,
    /// Bytes of the text after which it was continued.
    pub seams: Vec<u64>,
    /// Tokens.
    pub usage: Usage,
    /// When the first of it came.
    pub first_at: Option<Timestamp>,
}

impl Write for LookAt {
    /// `None`: there is no such session.
    type Reply = Option<Looked>;

    fn apply(self, conn: &Connection) -> Result<Option<Looked>, StoreError> {
        let session = match sessions::by_id(conn, self.session) {
            Ok(session) => session,
            Err(StoreError::NoSession(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let sql = "SELECT process_id, process_id = (SELECT process FROM me) FROM leases WHERE session_id = ?1";
        let lease = conn
            .prepare_cached(sql)?
            .query_row([self.session], |row| Ok(Lease { process: row.get(0)?, is_ours: row.get(1)? }));
        let in_state = |state: &str| -> Result<Vec<Entry>, StoreError> {
            let sql = format!(
                "SELECT {COLUMNS} FROM entries WHERE session_id = ?1 AND state = '{state}' ORDER BY {SERVICE_ORDER}"
            );
            Ok(conn.prepare_cached(&sql)?.query_map([self.session], entry)?.collect::<Result<_, _>>()?)
        };
        let (running, pending) = (in_state("running")?.pop(), in_state("pending")?);
        let mut ended = Vec::new();
        for &known in &self.known {
            ended.extend(ended_entry(conn, known)?);
        }
        let auto = AutoReplies.fetch(conn)?.into_iter().find(|auto| auto.session == self.session);
        let output = OutputSince { session: self.session, seen: self.seen, max_bytes: self.max_bytes };
        let (lease, behind) = (lease.optional()?, output.fetch(conn)?);
        Ok(Some(Looked { session, lease, running, pending, ended, auto, behind }))
    }
}

fn ended_entry(conn: &Connection, id: EntryId) -> Result<Option<EndedEntry>, StoreError> {
    let is_over = |state| matches!(state, EntryState::Done | EntryState::Cancelled | EntryState::Dead);
    let Some(entry) = by_id(conn, id)?.filter(|entry| is_over(entry.state)) else { return Ok(None) };
    let nothing = EndedEntry {
        entry,
        answer: None,
        finish: None,
        text: String::new(),
        seams: Vec::new(),
        usage: Usage::default(),
        first_at: None,
    };
    let sql = "SELECT state, text, input_tokens, output_tokens, first_at_ms, finish_reason, finish_detail, seams \
               FROM messages WHERE entry_id = ?1 AND role = 'assistant'";
    let answer = conn.prepare_cached(sql)?.query_row([id], |row| {
        Ok(EndedEntry {
            answer: row.get(0)?,
            finish: finish(row, 5, 6)?,
            text: row.get(1)?,
            seams: seams(row, 7)?,
            usage: usage(row, 2)?,
            first_at: row.get(4)?,
            ..nothing.clone()
        })
    });
    Ok(Some(answer.optional()?.unwrap_or(nothing)))
}
