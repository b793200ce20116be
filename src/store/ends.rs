//! The end of an attempt: its chunks are folded, answer and entry get their states, the figures are counted, and what
//! follows of an auto-reply loop is queued. All of it is one operation, so one commit.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, named_params, params};

use super::auto_replies::{Follow, FollowUp};
use super::chunks::{self, Grown};
use super::entries::expect_state;
use super::history::seams;
use super::sql::{ChunkKind, ErrorColumns, to_i64};
use super::stats::{self, Counted, Sample};
use super::{StoreError, Write, leases};
use crate::domain::{
    AnswerState, EndState, Entry, EntryId, EntryState, Finish, MessageId, SessionId, StoredError, Timestamp, Usage,
};

/// Ends an attempt: folds the chunks into the answer, says what becomes of answer and entry, counts it in the figures, and
/// queues what follows, in one commit. Only after its reply is the session idle. It can be repeated: what it did already is not done
/// once more.
///
/// Fails with [`StoreError::NoEntry`] when the session was deleted, with [`StoreError::WrongState`] when the entry
/// does not run or is to be `Running` afterwards, with [`StoreError::Leased`] when its session was taken over, and with
/// [`StoreError::NotStreaming`] when the answer is not its.
#[derive(Debug, Clone)]
pub struct EndTurn {
    /// Whose turn.
    pub entry: EntryId,
    /// Its answer.
    pub answer: MessageId,
    /// What came since the last checkpoint.
    pub chunks: Vec<(ChunkKind, String)>,
    /// What the answer is now. While the entry is `Pending` its output has no end, whatever this says. `Streaming` is
    /// kept as `Interrupted`: an attempt that ended streams no more.
    pub answer_state: AnswerState,
    /// What the entry is now: `Pending` for a retry; never `Running`.
    pub entry_state: EntryState,
    /// With `Pending`: the next attempt goes on from this one's answer, which is `Interrupted`, and stands before all of its
    /// priority.
    pub continues: bool,
    /// Why the model stopped.
    pub finish: Option<Finish>,
    /// Tokens of the attempt.
    pub usage: Usage,
    /// What went wrong; kept with both.
    pub error: Option<StoredError>,
    /// Whether the attempt counts. Not so when it was ended from here.
    pub counts: bool,
    /// With `Pending`: this process ends, and the server may have answered what brought nothing here. It is set aside, held, with that
    /// as its reason ([`ErrorKind::Unanswered`](crate::domain::ErrorKind)); `error` is not kept.
    pub unanswered: bool,
    /// It was ended because another entry was more urgent: for the figures.
    pub gave_way: bool,
    /// For a retry: not to be started earlier.
    pub not_before: Option<Timestamp>,
    /// When the first content of the attempt came.
    pub first_at: Option<Timestamp>,
    /// From the start of the attempt until then, for the figures.
    pub first_after: Option<Duration>,
    /// Decides what follows of the session's auto-reply loop. Not asked when another attempt follows.
    pub follow: Option<Follow>,
    /// When it ended.
    pub now: Timestamp,
}

/// An attempt that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TurnEnd {
    /// The answer's whole text.
    pub text: String,
    /// Bytes of the text after which it was continued.
    pub seams: Vec<u64>,
    /// The auto-reply that was queued.
    pub queued: Option<Entry>,
    /// What was decided and done about the session's loop; `None` when nobody was asked, or the end was there already. A loop that was gone already has
    /// `Nothing`, whatever was decided.
    pub follow_up: Option<FollowUp>,
}

/// A running entry, as far as its end needs it.
struct Running {
    session: SessionId,
    created_at: Timestamp,
    started_at: Option<Timestamp>,
}

impl Write for EndTurn {
    type Reply = TurnEnd;

    fn apply(mut self, conn: &Connection) -> Result<TurnEnd, StoreError> {
        if let Some(end) = self.ended_already(conn)? {
            return Ok(end);
        }
        let running = self.running(conn)?;
        let grown = chunks::take(conn, self.answer, std::mem::take(&mut self.chunks))?;
        let (text, seams) = self.end_answer(conn, grown)?;
        self.end_entry(conn)?;
        let what = self.counted(&running);
        stats::record(conn, Sample { session: running.session, what, usage: self.usage })?;
        let decided = match &self.follow {
            Some(Follow(follow)) if !self.again() => Some(follow(&text)),
            Some(_) | None => None,
        };
        let (follow_up, queued) = match decided {
            Some(decided) => {
                decided.apply(conn, running.session, self.now).map(|(done, queued)| (Some(done), queued))?
            }
            None => (None, None),
        };
        leases::give_back_if_idle(conn, running.session)?;
        Ok(TurnEnd { text, seams, queued, follow_up })
    }
}

impl EndTurn {
    fn again(&self) -> bool {
        self.entry_state == EntryState::Pending
    }

    fn continues(&self) -> bool {
        self.again() && self.continues
    }

    /// What the same operation has replied, if it has been done: it is known by its moment, and by what it made of answer and entry.
    fn ended_already(&self, conn: &Connection) -> Result<Option<TurnEnd>, StoreError> {
        if self.again() && self.not_before.is_none() {
            // Nothing tells it from what another process may have made of the entry.
            return Ok(None);
        }
        let found = conn
            .prepare_cached(
                "SELECT m.text, m.seams, e.session_id FROM entries e JOIN messages m ON m.entry_id = e.id AND m.id = :answer \
                 WHERE e.id = :entry AND e.state = :state AND m.state = :answer_state AND e.not_before_ms IS :not_before \
                     AND e.finished_at_ms IS :finished AND m.finished_at_ms IS :finished AND e.continues = :continues",
            )?
            .query_row(
                named_params! {
                    ":entry": self.entry,
                    ":answer": self.answer,
                    ":state": self.entry_state,
                    ":answer_state": self.answer_state(),
                    ":not_before": self.not_before.filter(|_| self.again()),
                    ":finished": (!self.again()).then_some(self.now),
                    ":continues": self.continues(),
                },
                |row| Ok((row.get(0)?, seams(row, 1)?, row.get(2)?)),
            )
            .optional()?;
        let Some((text, seams, session)) = found else { return Ok(None) };
        let queued = super::entries::queued_by_loop(conn, session, self.now)?;
        Ok(Some(TurnEnd { text, seams, queued, follow_up: None }))
    }

    /// What the answer is afterwards.
    fn answer_state(&self) -> AnswerState {
        match self.answer_state {
            AnswerState::Complete | AnswerState::Failed if self.continues() => AnswerState::Interrupted,
            AnswerState::Streaming | AnswerState::Interrupted => AnswerState::Interrupted,
            ended @ (AnswerState::Complete | AnswerState::Failed) => ended,
        }
    }

    fn unanswered(&self) -> bool {
        self.again() && self.unanswered
    }

    /// The entry, after a look whether the turn can be ended so.
    fn running(&self, conn: &Connection) -> Result<Running, StoreError> {
        let found = conn
            .prepare_cached("SELECT session_id, created_at_ms, started_at_ms, state FROM entries WHERE id = ?1")?
            .query_row([self.entry], |row| {
                let running = Running { session: row.get(0)?, created_at: row.get(1)?, started_at: row.get(2)? };
                Ok((running, row.get(3)?))
            })
            .optional()?;
        let (running, state) = found.ok_or(StoreError::NoEntry(self.entry))?;
        expect_state(self.entry, state, EntryState::Running)?;
        leases::expect_lease(conn, running.session)?;
        if self.entry_state == EntryState::Running {
            let (entry, found, expected) = (self.entry, EntryState::Running, EntryState::Done);
            return Err(StoreError::WrongState { entry, found, expected });
        }
        let own = conn
            .prepare_cached("SELECT 1 FROM messages WHERE id = ?1 AND entry_id = ?2 AND role = 'assistant'")?
            .exists(params![self.answer, self.entry])?;
        if own { Ok(running) } else { Err(StoreError::NotStreaming(self.answer)) }
    }

    fn end_answer(&self, conn: &Connection, grown: Grown) -> Result<(String, Vec<u64>), StoreError> {
        let error = ErrorColumns::from(self.error.as_ref());
        let update = "UPDATE messages SET text = text || :grown_text, reasoning = reasoning || :grown_reasoning, \
                 state = :state, first_chunk = NULL, finish_reason = :reason, finish_detail = :detail, input_tokens = :input, output_tokens = :output, \
                 first_at_ms = :first, finished_at_ms = :finished, error_kind = :kind, error_status = :status, \
                 error_text = :text, error_request_id = :request WHERE id = :id RETURNING text, seams";
        let values = named_params! {
            ":id": self.answer,
            ":grown_text": grown.text,
            ":grown_reasoning": grown.reasoning,
            ":state": self.answer_state(),
            ":reason": self.finish.as_ref().map(|finish| finish.reason),
            ":detail": self.finish.as_ref().and_then(|finish| finish.detail.as_deref()),
            ":input": self.usage.input.map(to_i64),
            ":output": self.usage.output.map(to_i64),
            ":first": self.first_at,
            ":finished": (!self.again()).then_some(self.now),
            ":kind": error.kind,
            ":status": error.status,
            ":text": error.text,
            ":request": error.request_id,
        };
        Ok(conn.prepare_cached(update)?.query_row(values, |row| Ok((row.get(0)?, seams(row, 1)?)))?)
    }

    fn end_entry(&self, conn: &Connection) -> Result<(), StoreError> {
        let unanswered = self.unanswered().then(StoredError::unanswered);
        let error = ErrorColumns::from(unanswered.as_ref().or(self.error.as_ref()));
        conn.prepare_cached(
            "UPDATE entries SET state = :state, attempts = attempts - :uncounted, continues = :continues, \
                 held = :unanswered, set_aside = :unanswered, process_id = iif(:unanswered, NULL, process_id), \
                 not_before_ms = :not_before, finished_at_ms = :finished, error_kind = :kind, error_status = :status, \
                 error_text = :text, error_request_id = :request WHERE id = :id",
        )?
        .execute(named_params! {
            ":id": self.entry,
            ":state": self.entry_state,
            ":uncounted": !self.counts,
            ":continues": self.continues(),
            ":unanswered": self.unanswered(),
            ":not_before": self.not_before.filter(|_| self.again()),
            ":finished": (!self.again()).then_some(self.now),
            ":kind": error.kind,
            ":status": error.status,
            ":text": error.text,
            ":request": error.request_id,
        })?;
        Ok(())
    }

    /// What the figures count this as.
    fn counted(&self, running: &Running) -> Counted {
        let how = match (self.entry_state, self.answer_state) {
            (EntryState::Pending, _) if self.unanswered => return Counted::PutOff,
            // An attempt that failed without counting (a closed gate) is followed by another all the same.
            (EntryState::Pending, _) if self.counts || self.error.is_some() => return Counted::Retry,
            (EntryState::Pending, _) if self.gave_way => return Counted::Preemption,
            (EntryState::Pending, _) => return Counted::PutOff,
            (EntryState::Cancelled, _) => EndState::Cancelled,
            (EntryState::Dead, _) | (EntryState::Done | EntryState::Running, AnswerState::Failed) => EndState::Failed,
            (EntryState::Done | EntryState::Running, AnswerState::Complete) => EndState::Complete,
            (EntryState::Done | EntryState::Running, AnswerState::Interrupted | AnswerState::Streaming) => {
                EndState::Interrupted
            }
        };
        let started_at = running.started_at.unwrap_or(self.now);
        Counted::End {
            how,
            gave_way: self.gave_way && how == EndState::Interrupted,
            wait: started_at.since(running.created_at),
            processing: self.now.since(started_at),
            first: self.first_after,
        }
    }
}
