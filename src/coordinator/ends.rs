//! The end of a turn: committed, with what follows of an auto-reply loop, before the queue moves on; then told to who waits.

use std::time::Duration;

use super::auto_replies::Judge;
use super::turns::{LAST_ATTEMPTS, STORE_TROUBLE};
use super::{Coordinator, EntryEnd, RunningTurn, Tracked, notices};
use crate::domain::{
    Activity, AnswerState, EndState, EntryId, EntryState, ErrorKind, Event, Output, Problem, SessionId, StoredError,
    Timestamp, Told,
};
use crate::queue::{self, Cause, Settlement};
use crate::store::{EndTurn, StoreError, TurnEnd};
use crate::worker::{self, Ended};

impl Coordinator {
    pub(super) fn settle_turn(&mut self, session: SessionId, entry: EntryId, end: Settlement) {
        let Some(turn) = self.sessions.get_mut(&session).and_then(|live| live.turn.as_mut()) else { return };
        let (answer, Some(ended)) = (turn.answer, turn.ended.as_mut()) else { return };
        if !keeps_finish(&end) {
            ended.finish = None;
        }
        let (ended, now) = (ended.clone(), self.clock.now());
        let judge = self.judge(session, &end, &ended, now);
        let follow = judge.as_ref().map(Judge::follow);
        // What chatmux's own end cuts did not give way to anything.
        let gave_way = !self.quit_begun
            && matches!(
                end,
                Settlement::Interrupted(None)
                    | Settlement::Requeue { cause: Cause::Preemption | Cause::Intervention, .. }
            );
        // Sent, and nothing came of it before chatmux ended: the server may have answered, so a person decides, or `on_start`.
        let unanswered = self.quit_begun && is_put_off(&end);
        let op = EndTurn { follow, gave_way, unanswered, ..end_turn(entry, answer, &end, ended, now) };
        let op = EndTurn { counts: op.counts || unanswered, ..op };
        self.commit_end(session, end, judge, op, 1);
    }

    fn commit_end(&mut self, session: SessionId, end: Settlement, judge: Option<Judge>, op: EndTurn, attempt: u32) {
        let again = op.clone();
        let commit = self.store.submit(op);
        self.after(commit, move |c, result| match result {
            Ok(ended) => {
                c.store_works();
                let TurnEnd { text, seams, queued, .. } = ended;
                // Before the session is idle: in no moment does it seem that nothing follows.
                let brake = judge.as_ref().and_then(|judge| c.judged(session, judge, &text, queued));
                c.turn_settled(session, &end, (text, seams));
                match (judge, brake) {
                    (Some(judge), Some(brake)) => c.say_end(session, &judge.auto, &brake),
                    (Some(_), None) => {}
                    // A loop that was begun since this end was on its way.
                    (None, _) => drop(c.nudge_loop(session)),
                }
            }
            // Its session was deleted meanwhile by another process.
            Err(StoreError::NoEntry(_)) => {
                c.not_judged(session, judge.as_ref());
                c.turn_settled(session, &end, Default::default());
                c.look_at(session, false);
            }
            Err(StoreError::WrongState { .. } | StoreError::NotStreaming(_) | StoreError::Leased(_)) => {
                c.not_judged(session, judge.as_ref());
                c.turn_lost(session);
                c.look_at(session, false);
            }
            // How far it came is in what was saved.
            Err(error) if error.is_lost() => {
                c.not_judged(session, judge.as_ref());
                c.turn_lost(session);
            }
            Err(error) if c.quit_begun && attempt >= LAST_ATTEMPTS => {
                // What the checkpoints brought to the disk is there; the next start marks it as interrupted.
                c.store_trouble(&error);
                c.not_judged(session, judge.as_ref());
                c.turn_settled(session, &end, Default::default());
            }
            Err(error) => {
                // The answer stays in memory until the store takes it.
                c.store_trouble(&error);
                c.later(tokio::time::sleep(STORE_TROUBLE), move |c, ()| {
                    c.commit_end(session, end, judge, again, attempt + 1)
                });
            }
        });
    }

    /// `answer`: its text and its seams.
    fn turn_settled(&mut self, session: SessionId, end: &Settlement, answer: (String, Vec<u64>)) {
        let Some(live) = self.sessions.get_mut(&session) else { return };
        let Some(turn) = live.turn.take() else { return };
        let (entry, attempt, held_by_server) = (turn.entry, turn.attempt, turn.held_by_server);
        match ending(end, turn.ended.as_ref()) {
            Some((state, answer_state, error)) => {
                let (finish, usage) =
                    turn.ended.as_ref().map(|ended| (ended.finish.clone(), ended.usage)).unwrap_or_default();
                let problem = Problem::of(finish.as_ref(), usage, error.as_ref());
                let (message, error_too) = (turn.answer, error.clone());
                live.replay.push(Output::End { message, state: answer_state, finish, usage, error: error_too });
                self.emit_finished(session, &turn, state, answer, error);
                self.alert(session, state, problem.as_ref());
                self.note_end(session, state, problem.as_ref());
                self.finish_entry(entry, state, problem);
            }
            // That it is held, and for how long, is said instead.
            None if turn.held_by_server => {}
            None => self.say_again(session, entry, attempt, end),
        }
        self.touch(session);
        self.touch_prompt();
        self.tell(queue::Event::Settled(session));
        if held_by_server {
            // Behind the commit of the hold, which was asked for with this end.
            self.after(std::future::ready(Ok(())), move |c, _| c.let_go_of_waiters(session));
        } else if self.queue.is_held(session) {
            self.let_go_of_waiters(session);
        }
    }

    /// Another process has taken the session over, and has decided what became of the turn: a look at it tells. Or the database's files
    /// are gone, and nobody decides any more.
    fn turn_lost(&mut self, session: SessionId) {
        let Some(live) = self.sessions.get_mut(&session) else { return };
        let Some(turn) = live.turn.take() else { return };
        let (state, usage) = (AnswerState::Interrupted, crate::domain::Usage::default());
        live.replay.push(Output::End { message: turn.answer, state, finish: None, usage, error: None });
        self.touch(session);
        self.touch_prompt();
        self.tell(queue::Event::Settled(session));
    }

    fn say_again(&mut self, session: SessionId, entry: EntryId, attempt: u32, end: &Settlement) {
        match end {
            Settlement::Retry { not_before, attempt, error, .. } => {
                let event = Event::Retry {
                    session,
                    entry,
                    attempt: *attempt,
                    of: self.queue.max_attempts(),
                    in_ms: whole_ms(not_before.since(self.clock.now())),
                    error: StoredError::from(error),
                };
                self.emit(event, Some(entry));
            }
            Settlement::Requeue { continues, cause: Cause::Preemption } => {
                let named = self.named(session);
                let how = if *continues { "goes on from its partial answer later" } else { "begins again later" };
                let text = format!("{named} #{entry} gave its slot to session {} and {how}", self.active);
                self.notice_of(session, Told::Step, text);
            }
            end if self.quit_begun && is_put_off(end) => {
                let text = notices::unanswered(&self.named(session), entry, attempt, self.set_aside());
                self.notice(text);
            }
            Settlement::Requeue { cause: Cause::Quit | Cause::HandOver, .. } => {}
            Settlement::Requeue { .. } => {
                let text = format!("#{entry} was interrupted before anything came of it, and waits again");
                self.notice_of(session, Told::Step, text);
            }
            // The answer goes on where it was.
            Settlement::Paused { .. } => tracing::debug!(%session, %entry, "the server paused the turn"),
            Settlement::Complete
            | Settlement::Cut
            | Settlement::Empty
            | Settlement::Interrupted(_)
            | Settlement::Cancelled
            | Settlement::Dead(_) => {}
        }
    }

    fn emit_finished(
        &mut self,
        session: SessionId,
        turn: &RunningTurn,
        state: EndState,
        (text, seams): (String, Vec<u64>),
        error: Option<StoredError>,
    ) {
        let now = self.clock.now();
        let (since, start) = self
            .entries
            .get(&turn.entry)
            .map_or((now, now), |tracked| (tracked.since, tracked.first_start.unwrap_or(now)));
        let first = turn.ended.as_ref().and_then(|ended| ended.first_after);
        let event = Event::Finished {
            session,
            entry: turn.entry,
            state,
            finish: turn.ended.as_ref().and_then(|ended| ended.finish.clone()),
            text,
            seams,
            tokens: turn.ended.as_ref().map(|ended| ended.usage).unwrap_or_default(),
            wait_ms: whole_ms(start.since(since)),
            first_ms: first.map(whole_ms),
            total_ms: whole_ms(now.since(start)),
            error,
        };
        self.emit(event, Some(turn.entry));
    }

    /// Marks a background session that ended something, until the person goes there.
    pub(super) fn note_end(&mut self, session: SessionId, state: EndState, problem: Option<&Problem>) {
        let mark = match (state, problem) {
            (EndState::Complete | EndState::Cancelled, None) => Activity::Finished,
            (EndState::Interrupted | EndState::Failed, _) | (_, Some(_)) => Activity::Failed,
        };
        if session != self.active
            && let Some(live) = self.sessions.get_mut(&session)
        {
            live.unseen = live.unseen.max(Some(mark));
        }
    }

    pub(super) fn finish_entry(&mut self, entry: EntryId, state: EndState, problem: Option<Problem>) {
        let Some(Tracked { done, endings, .. }) = self.entries.remove(&entry) else { return };
        if let Some(done) = done {
            let _ = done.send(EntryEnd::Ended(state, problem));
        }
        endings.into_iter().for_each(|ended| _ = ended.send(()));
    }
}

pub(super) fn whole_ms(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

/// Whether the model's stop reason says how the turn ended. What goes on, or a person cancelled, has not ended by it.
const fn keeps_finish(end: &Settlement) -> bool {
    match end {
        Settlement::Complete | Settlement::Cut | Settlement::Empty | Settlement::Interrupted(_) => true,
        Settlement::Cancelled
        | Settlement::Dead(_)
        | Settlement::Retry { .. }
        | Settlement::Requeue { .. }
        | Settlement::Paused { .. } => false,
    }
}

/// Whether the end of chatmux puts a turn off that has brought no text.
const fn is_put_off(end: &Settlement) -> bool {
    matches!(end, Settlement::Requeue { continues: false, cause: Cause::Quit | Cause::HandOver })
}

/// An answer without any text, as the error that its dead letter has.
fn empty(ended: Option<&Ended>) -> StoredError {
    let said = ended.and_then(|ended| ended.finish.as_ref()?.text(false, ended.usage.output));
    let text = said.unwrap_or_else(|| "empty answer: /retry".to_owned());
    StoredError { kind: ErrorKind::Empty, status: None, text, request_id: None }
}

/// How an attempt's end is told; `None` when another attempt follows.
fn ending(end: &Settlement, ended: Option<&Ended>) -> Option<(EndState, AnswerState, Option<StoredError>)> {
    match end {
        Settlement::Complete => Some((EndState::Complete, AnswerState::Complete, None)),
        Settlement::Cut => Some((EndState::Interrupted, AnswerState::Interrupted, None)),
        Settlement::Empty => Some((EndState::Failed, AnswerState::Failed, Some(empty(ended)))),
        Settlement::Interrupted(error) => {
            Some((EndState::Interrupted, AnswerState::Interrupted, error.as_ref().map(StoredError::from)))
        }
        Settlement::Cancelled => Some((EndState::Cancelled, AnswerState::Interrupted, None)),
        Settlement::Dead(error) => Some((EndState::Failed, AnswerState::Failed, Some(StoredError::from(error)))),
        Settlement::Retry { .. } | Settlement::Requeue { .. } | Settlement::Paused { .. } => None,
    }
}

fn end_turn(
    entry: EntryId,
    answer: crate::domain::MessageId,
    end: &Settlement,
    ended: Ended,
    now: Timestamp,
) -> EndTurn {
    let (entry_state, answer_state, not_before, error) = match end {
        Settlement::Complete => (EntryState::Done, AnswerState::Complete, None, None),
        Settlement::Cut => (EntryState::Done, AnswerState::Interrupted, None, None),
        Settlement::Interrupted(error) => {
            (EntryState::Done, AnswerState::Interrupted, None, error.as_ref().map(StoredError::from))
        }
        Settlement::Cancelled => (EntryState::Cancelled, AnswerState::Interrupted, None, None),
        Settlement::Empty => (EntryState::Dead, AnswerState::Failed, None, Some(empty(Some(&ended)))),
        Settlement::Dead(error) => (EntryState::Dead, AnswerState::Failed, None, Some(StoredError::from(error))),
        Settlement::Retry { not_before, error, .. } => {
            (EntryState::Pending, AnswerState::Failed, Some(*not_before), Some(StoredError::from(error)))
        }
        Settlement::Requeue { .. } | Settlement::Paused { .. } => {
            (EntryState::Pending, AnswerState::Interrupted, None, None)
        }
    };
    EndTurn {
        entry,
        answer,
        chunks: ended.tail.into_iter().map(worker::chunk).collect(),
        answer_state,
        entry_state,
        continues: matches!(
            end,
            Settlement::Retry { continues: true, .. }
                | Settlement::Requeue { continues: true, .. }
                | Settlement::Paused { continues: true }
        ),
        finish: ended.finish,
        usage: ended.usage,
        error,
        counts: !matches!(end, Settlement::Requeue { .. } | Settlement::Paused { .. }),
        unanswered: false,
        gave_way: false,
        not_before,
        first_at: ended.first_at,
        first_after: ended.first_after,
        follow: None,
        now,
    }
}
