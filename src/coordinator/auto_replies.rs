//! Auto-reply loops: begun, ended, and judged at the end of each answer. The judgement is part of the commit of that end, so an
//! auto-reply is queued exactly once; a person's `stop` takes effect at once here, and whatever was judged before is void.

use std::sync::Arc;
use std::time::Duration;

use super::Coordinator;
use super::request::{Error, Reply, Which, answer};
use super::wishes::AutoWish;
use crate::domain::{AnswerState, AutoReply, Entry, EntryId, Finish, FinishReason, SessionId, Timestamp, Told};
use crate::queue::auto_reply::{AnswerEnd, Brake, Next, after_answer, go_on};
use crate::queue::{self, Settlement, Waiting};
use crate::store::{BeginAutoReply, EndAutoReplies, Follow, FollowUp, LastTurn, QueueAutoReply};
use crate::worker::Ended;

/// What a loop is given that `/auto` does not say (`[auto_reply]`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AutoReplyDefaults {
    /// Auto-replies in all.
    pub max_turns: u32,
    /// No auto-reply is queued later than this after its begin.
    pub max_time: Duration,
    /// Tokens of all its turns together.
    pub max_tokens: u64,
    /// The same answer twice ends it.
    pub stop_on_repeat: bool,
}

/// Judges a turn's end for the loop of its session, as often as it is asked with the same result.
#[derive(Clone)]
pub(super) struct Judge {
    pub(super) auto: AutoReply,
    decide: Arc<dyn Fn(&str) -> Next + Send + Sync>,
    /// A place in the queue is kept for the auto-reply.
    reserved: bool,
    /// An auto-reply waits already: the loop may end, but queues nothing.
    waits: bool,
}

impl Judge {
    /// The judgement as the store carries it out.
    pub(super) fn follow(&self) -> Follow {
        let (decide, waits, begun) = (Arc::clone(&self.decide), self.waits, self.auto.started_at);
        Follow(Arc::new(move |answer| match decide(answer) {
            Next::Again(_) if waits => FollowUp::Nothing,
            Next::Again(auto) => FollowUp::Queue(auto),
            Next::Ended(_) => FollowUp::End(begun),
        }))
    }
}

impl Coordinator {
    /// How the end of a turn is judged for its session's loop; `None` where there is none, or another attempt follows.
    pub(super) fn judge(
        &mut self,
        session: SessionId,
        end: &Settlement,
        ended: &Ended,
        now: Timestamp,
    ) -> Option<Judge> {
        let answer_end = match end {
            // What chatmux's own end cuts is no end for the loop: it goes on when its session does.
            _ if self.quit_begun => return None,
            Settlement::Complete | Settlement::Cut => match &ended.finish {
                Some(Finish { reason: FinishReason::Stop, .. }) | None => AnswerEnd::Complete,
                Some(Finish { reason, .. }) => AnswerEnd::Stopped(*reason),
            },
            Settlement::Interrupted(None) | Settlement::Cancelled => AnswerEnd::Interrupted,
            Settlement::Interrupted(Some(_)) | Settlement::Empty | Settlement::Dead(_) => AnswerEnd::Failed,
            Settlement::Retry { .. } | Settlement::Requeue { .. } | Settlement::Paused { .. } => return None,
        };
        let usage = ended.usage;
        let auto = self.sessions.get(&session)?.auto.clone()?;
        let waits = !self.waiting_autos(session).is_empty();
        let reserved = !waits && self.queue.reserve(session).is_ok();
        // One that waits is the one that would follow: it was counted when it was queued.
        let judged = AutoReply { turns: auto.turns.saturating_sub(u32::from(waits)), ..auto.clone() };
        let decide = move |answer: &str| match after_answer(&judged, answer_end, answer, usage, now) {
            Next::Again(_) if !reserved && !waits => Next::Ended(Brake::Full),
            next => next,
        };
        Some(Judge { auto, decide: Arc::new(decide), reserved, waits })
    }

    /// The judgement is committed. Why the loop ended, if it did: to be said behind the answer that ended it.
    pub(super) fn judged(
        &mut self,
        session: SessionId,
        judge: &Judge,
        answer: &str,
        queued: Option<Entry>,
    ) -> Option<Brake> {
        let lives = self.is_live(session, &judge.auto);
        let next = (judge.decide)(answer);
        if queued.is_none() || !lives {
            self.not_judged(session, Some(judge));
        }
        // A loop that was ended meanwhile: what was queued for it is cancelled by the commit that ends it.
        if !lives {
            return None;
        }
        match next {
            Next::Again(auto) => {
                let turns = if queued.is_some() { auto.turns } else { judge.auto.turns };
                self.set_loop(session, Some(AutoReply { turns, ..auto }));
                if let Some(entry) = queued {
                    drop(self.enqueued(entry, false));
                }
                None
            }
            Next::Ended(brake) => {
                // What waits of it goes with it.
                self.end_loops(&[session]);
                Some(brake)
            }
        }
    }

    /// Nothing was queued after all: its place is free again.
    pub(super) fn not_judged(&mut self, session: SessionId, judge: Option<&Judge>) {
        if judge.is_some_and(|judge| judge.reserved) {
            self.queue.unreserve(session);
        }
    }

    fn is_live(&self, session: SessionId, auto: &AutoReply) -> bool {
        let live = self.sessions.get(&session).and_then(|live| live.auto.as_ref());
        live.is_some_and(|live| live.started_at == auto.started_at && live.text == auto.text)
    }

    fn set_loop(&mut self, session: SessionId, auto: Option<AutoReply>) {
        if let Some(live) = self.sessions.get_mut(&session) {
            live.auto = auto;
        }
    }

    pub(super) fn say_end(&mut self, session: SessionId, auto: &AutoReply, brake: &Brake) {
        let named = self.named(session);
        let text = format!("{named} auto-reply ended after {} of {}: {brake}", auto.turns, auto.max_turns);
        self.notice_of(session, Told::End, text);
    }

    fn waiting_autos(&self, session: SessionId) -> Vec<Waiting> {
        self.queue.waiting(session).into_iter().filter(|waiting| waiting.auto).collect()
    }

    pub(super) fn begin_auto(&mut self, wish: AutoWish, reply: Reply<AutoReply>) {
        let session = self.active;
        let AutoWish { text, max_turns, until, max_time } = wish;
        let defaults = self.auto_reply;
        let auto = AutoReply {
            session,
            text,
            max_turns: max_turns.unwrap_or(defaults.max_turns),
            until,
            max_time: max_time.unwrap_or(defaults.max_time),
            max_tokens: defaults.max_tokens,
            stop_on_repeat: defaults.stop_on_repeat,
            started_at: self.loop_start(),
            turns: 0,
            tokens: 0,
            last_answer: None,
        };
        if self.queue.running(session).is_some() || self.waits_beside_autos(session) {
            return self.begin_loop(auto, false, reply);
        }
        // Nothing is under way: the last answer, if it is whole, is the one after which the first auto-reply is queued.
        let read = self.store.query(LastTurn { session });
        self.later(read, move |c, last| match last {
            Ok(last) => {
                let answered = matches!(last, Some((_, Some(AnswerState::Complete))));
                let idle = c.queue.running(session).is_none() && !c.waits_beside_autos(session);
                c.begin_loop(auto, answered && idle, reply);
            }
            Err(error) => answer(reply, Err(error.into())),
        });
    }

    /// When a loop begins. No two begin at once, for that is how one is told from another.
    fn loop_start(&mut self) -> Timestamp {
        let start = self.clock.now().max(self.last_loop.plus(Duration::from_millis(1)));
        self.last_loop = start;
        start
    }

    /// Whether something waits in `session` after whose answer a loop would go on.
    fn waits_beside_autos(&self, session: SessionId) -> bool {
        self.queue.waiting(session).iter().any(|waiting| !waiting.auto)
    }

    fn begin_loop(&mut self, auto: AutoReply, queue_now: bool, reply: Reply<AutoReply>) {
        let session = auto.session;
        let first = if queue_now { go_on(auto.clone(), self.clock.now()) } else { Next::Again(auto) };
        let auto = match first {
            Next::Again(auto) => auto,
            Next::Ended(brake) => return answer(reply, Err(Error::Braked(brake))),
        };
        if queue_now && let Err(refusal) = self.queue.reserve(session) {
            return answer(reply, Err(refusal.into()));
        }
        // What waits of the loop before must not start any more, and what it has judged is void from now on: in the journal this
        // one takes its place behind all that was asked before.
        let before = (self.sessions.get(&session).and_then(|live| live.auto.clone()), self.take_autos(session));
        self.set_loop(session, Some(auto.clone()));
        let commit = self.store.submit(BeginAutoReply { auto: auto.clone(), queue_now, now: self.clock.now() });
        self.after(commit, move |c, result| {
            // It may have been ended meanwhile: what it has queued is cancelled by the commit that ends it.
            let lives = c.is_live(session, &auto);
            let queued = result.as_ref().ok().and_then(|begun| begun.queued.clone()).filter(|_| lives);
            if queue_now && queued.is_none() {
                c.queue.unreserve(session);
            }
            match result {
                Ok(begun) => {
                    // More than was taken, when the end of a turn queued one meanwhile.
                    begun.cancelled.into_iter().for_each(|entry| c.withdraw(session, entry));
                    // The end of a turn that ended the loop before has cancelled these already, and could not tell.
                    before.1.into_iter().for_each(|waiting| c.emit_withdrawn(session, waiting.entry));
                    match queued {
                        Some(entry) => drop(c.enqueued(entry, false)),
                        // The answer may have ended meanwhile, unjudged.
                        None => drop(c.nudge_loop(session)),
                    }
                    let _ = reply.send(Ok(auto));
                }
                Err(error) => {
                    let (auto, waiting) = before;
                    if lives {
                        c.set_loop(session, auto);
                    }
                    waiting.into_iter().for_each(|waiting| c.tell(queue::Event::Enqueued { session, waiting }));
                    let _ = reply.send(Err(error.into()));
                }
            }
        });
    }

    /// An auto-reply is cancelled in the journal: the queue follows.
    fn withdraw(&mut self, session: SessionId, entry: EntryId) {
        self.tell(queue::Event::Dropped { session, entry });
        self.emit_withdrawn(session, entry);
    }

    /// Takes what waits of a session's loop out of the queue.
    fn take_autos(&mut self, session: SessionId) -> Vec<Waiting> {
        let autos = self.waiting_autos(session);
        for waiting in &autos {
            self.tell(queue::Event::Dropped { session, entry: waiting.entry });
        }
        autos
    }

    pub(super) fn end_auto(&mut self, which: &Which, reply: Reply<Vec<AutoReply>>) {
        match self.find_all(which) {
            Ok(sessions) => {
                let ended = self.end_loops(&sessions);
                // What the journal makes of it comes before anything that is asked of it later.
                let _ = reply.send(Ok(ended));
            }
            Err(error) => answer(reply, Err(error)),
        }
    }

    /// Ends the loops of these sessions, before anything else runs: nothing of them starts from now on. Those that there were.
    pub(super) fn end_loops(&mut self, sessions: &[SessionId]) -> Vec<AutoReply> {
        let ended: Vec<AutoReply> =
            sessions.iter().filter_map(|session| self.sessions.get_mut(session)?.auto.take()).collect();
        if ended.is_empty() {
            return ended;
        }
        let sessions: Vec<SessionId> = ended.iter().map(|auto| auto.session).collect();
        let taken: Vec<(SessionId, EntryId)> = sessions
            .iter()
            .flat_map(|&session| self.take_autos(session).into_iter().map(move |waiting| (session, waiting.entry)))
            .collect();
        self.commit_ends(sessions, taken);
        ended
    }

    /// A loop that was ended does not come back: a store that cannot write is asked until it can.
    fn commit_ends(&mut self, sessions: Vec<SessionId>, taken: Vec<(SessionId, EntryId)>) {
        let commit = self.store.submit(EndAutoReplies { sessions: sessions.clone(), now: self.clock.now() });
        self.after(commit, move |c, result| match result {
            Ok(ended) => {
                // More than was taken, when one was queued meanwhile.
                ended.cancelled.into_iter().for_each(|(session, entry)| c.withdraw(session, entry));
                taken.into_iter().for_each(|(session, entry)| c.emit_withdrawn(session, entry));
            }
            Err(error) => {
                c.store_trouble(&error);
                if !c.quit_begun {
                    let again = tokio::time::sleep(super::turns::STORE_TROUBLE);
                    c.later(again, move |c, ()| {
                        // One that has been begun since has taken its place, and is not meant.
                        let is_over = |id: &SessionId| c.sessions.get(id).is_none_or(|live| live.auto.is_none());
                        let over = sessions.into_iter().filter(is_over).collect();
                        c.commit_ends(over, taken);
                    });
                }
            }
        });
    }

    /// Loops that live since before this start.
    pub(super) fn find_loops(&mut self, loops: Vec<AutoReply>, resume: bool) {
        for auto in loops {
            let session = auto.session;
            self.set_loop(session, Some(auto));
            if resume {
                self.nudge_loop(session);
            }
        }
    }

    /// A session goes on whose loop has nothing under way, as after a restart: its next auto-reply is queued. One that has not
    /// sent anything yet still needs a whole answer to begin with. The loop, if it goes on.
    pub(super) fn nudge_loop(&mut self, session: SessionId) -> Option<AutoReply> {
        let auto = self.sessions.get(&session)?.auto.clone()?;
        if self.quit_begun || self.queue.is_busy(session) {
            return None;
        }
        if auto.turns > 0 {
            return self.queue_next(&auto);
        }
        // Until that is known the session is not quiet: a script waits for it. A full queue is for the next answer to find.
        self.queue.reserve(session).ok()?;
        let read = self.store.query(LastTurn { session });
        self.later(read, move |c, last| {
            c.queue.unreserve(session);
            let answered = matches!(last, Ok(Some((_, Some(AnswerState::Complete)))));
            if answered && !c.quit_begun && !c.queue.is_busy(session) && c.is_live(session, &auto) {
                c.queue_next(&auto);
            }
        });
        None
    }

    fn queue_next(&mut self, auto: &AutoReply) -> Option<AutoReply> {
        let session = auto.session;
        match go_on(auto.clone(), self.clock.now()) {
            Next::Again(_) if self.queue.reserve(session).is_err() => {
                self.end_loops(&[session]);
                self.say_end(session, auto, &Brake::Full);
                None
            }
            Next::Again(next) => {
                let commit = self.store.submit(QueueAutoReply { auto: next.clone(), now: self.clock.now() });
                let goes_on = next.clone();
                self.after(commit, move |c, result| match result {
                    Ok(Some(entry)) if c.is_live(session, &next) => {
                        c.set_loop(session, Some(next));
                        drop(c.enqueued(entry, false));
                    }
                    Ok(_) => c.queue.unreserve(session),
                    Err(error) => {
                        c.queue.unreserve(session);
                        c.notice(error.to_string());
                    }
                });
                Some(goes_on)
            }
            Next::Ended(brake) => {
                self.end_loops(&[session]);
                self.say_end(session, auto, &brake);
                None
            }
        }
    }
}
