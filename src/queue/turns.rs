//! What becomes of a turn: from its start's commit to the commit of its end.

use std::time::Duration;

use super::retry::{Patience, Verdict};
use super::session_queue::{Pending, Phase, Running};
use super::{Came, Cause, Effect, MAX_PAUSES, Outcome, Queue, RetryPolicy, Settlement, Waiting};
use crate::domain::{ErrorKind, FinishReason, ModelName, ProviderError, SessionId, Timestamp};

/// How an attempt ended ([`super::Event::Ended`]).
pub(super) struct Attempt {
    pub(super) outcome: Outcome,
    pub(super) came: Came,
    pub(super) news: bool,
    pub(super) roll: f64,
    pub(super) now: Timestamp,
}

impl Queue {
    pub(super) fn started(&mut self, session: SessionId, effects: &mut Vec<Effect>) {
        let Some(queue) = self.sessions.get_mut(&session) else { return };
        let Phase::Starting(running) = std::mem::replace(&mut queue.phase, Phase::Idle) else {
            debug_assert!(false, "a turn started that was not starting");
            return;
        };
        // It was told to end while its start was being committed: the worker is told as soon as there is one.
        if running.cause.is_some() {
            effects.push(Effect::Interrupt { session, entry: running.pending.waiting.entry });
        }
        queue.phase = Phase::Running(running);
    }

    pub(super) fn accepted(&mut self, session: SessionId) {
        let Some(running) = self.sessions.get(&session).and_then(|queue| queue.running()) else { return };
        let limits = &self.settings.limits;
        let slots = limits.per_provider.get(&running.model.provider).map_or(limits.max_concurrent, |&own| own);
        if let Some(lane) = self.lanes.get_mut(&running.model) {
            lane.gate.accepted(session, slots.min(limits.max_concurrent));
        }
    }

    pub(super) fn start_refused(&mut self, session: SessionId, wait: Duration, effects: &mut Vec<Effect>) {
        let not_before = self.clock.now().plus(wait);
        let Some(queue) = self.sessions.get_mut(&session) else { return };
        let Phase::Starting(running) = std::mem::replace(&mut queue.phase, Phase::Idle) else {
            debug_assert!(false, "a start was refused that was not under way");
            return;
        };
        queue.not_before = Some(not_before);
        let Waiting { entry, attempts, .. } = running.pending.waiting;
        if running.cause == Some(Cause::Person) {
            // Cancelled while its start was being committed.
            queue.phase = Phase::Discarding;
            effects.push(Effect::Discard { session, entry });
        } else {
            // Nobody was asked: it was no attempt.
            let waiting = Waiting { attempts: attempts - 1, ..running.pending.waiting };
            queue.insert(Pending { waiting, ..running.pending });
            self.pending_total += 1;
        }
        self.release(session, &running);
        self.replace(session);
    }

    pub(super) fn ended(&mut self, session: SessionId, attempt: &Attempt, effects: &mut Vec<Effect>) {
        let Some(queue) = self.sessions.get_mut(&session) else { return };
        let Phase::Running(mut running) = std::mem::replace(&mut queue.phase, Phase::Idle) else {
            debug_assert!(false, "a turn ended that was not running");
            return;
        };
        let end = settlement(&self.settings.retry, &running, attempt);
        // From now on, whatever happens to the wall clock before the end is committed.
        let longest = self.settings.retry.longest();
        running.again = again(&running, &end).map(|again| {
            let due = again.waiting.not_before.map(|at| self.clock.due(at, longest));
            Pending { due, ..again }
        });
        let (entry, model) = (running.pending.waiting.entry, running.model.clone());
        let (retry, attempts) = (&self.settings.retry, running.pending.waiting.attempts);
        queue.phase = Phase::Settling(running);
        let refused = patience_asked(attempt).map(|asked| retry.patience(asked, attempts, attempt.roll));
        let too_long = too_long(retry, &end, attempts, attempt.roll);
        queue.held |= too_long.is_some();
        effects.push(Effect::Settle { session, entry, end });
        self.will_be_free(session);
        self.close_gate(session, model, refused, attempt.now, effects);
        if let Some(wait) = too_long {
            effects.push(Effect::HoldSession { session, until: attempt.now.plus(wait) });
        }
    }

    fn close_gate(
        &mut self,
        session: SessionId,
        model: ModelName,
        asked: Option<Patience>,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        let own = self.clock.now();
        let lane = self.lanes.entry(model.clone()).or_default();
        lane.gate.let_go(session);
        let (wait, refusing) = match asked {
            Some(Patience::Wait(wait)) => (wait, false),
            Some(Patience::TooLong(wait)) => (wait, true),
            None => return,
        };
        if lane.gate.close(own.plus(wait), refusing) {
            effects.push(Effect::Gate { model, until: Some(now.plus(wait)) });
        }
    }

    pub(super) fn settled(&mut self, session: SessionId, effects: &mut Vec<Effect>) {
        let Some(queue) = self.sessions.get_mut(&session) else { return };
        let Phase::Settling(running) = std::mem::replace(&mut queue.phase, Phase::Idle) else {
            debug_assert!(false, "a turn settled that was not settling");
            return;
        };
        match running.again {
            // Cancelled while its return to the queue was being committed.
            Some(again) if running.cause == Some(Cause::Person) => {
                queue.phase = Phase::Discarding;
                effects.push(Effect::Discard { session, entry: again.waiting.entry });
            }
            Some(again) => {
                queue.insert(again);
                self.pending_total += 1;
            }
            None => effects.push(Effect::Idle(session)),
        }
        self.release(session, &running);
        self.replace(session);
    }

    pub(super) fn cancel(&mut self, session: SessionId, effects: &mut Vec<Effect>) {
        let Some(queue) = self.sessions.get(&session) else { return };
        if queue.running().is_some() {
            return self.interrupt(session, Cause::Person, effects);
        }
        if let Some(entry) = queue.retrying() {
            self.forget(session, entry);
            self.with(session, |queue| queue.phase = Phase::Discarding);
            effects.push(Effect::Discard { session, entry });
        }
    }

    pub(super) fn discarded(&mut self, session: SessionId, effects: &mut Vec<Effect>) {
        let Some(queue) = self.sessions.get_mut(&session) else { return };
        debug_assert_eq!(queue.phase, Phase::Discarding, "nothing was being discarded");
        queue.phase = Phase::Idle;
        effects.push(Effect::Idle(session));
        self.replace(session);
    }

    pub(super) fn interrupt(&mut self, session: SessionId, cause: Cause, effects: &mut Vec<Effect>) {
        let Some(queue) = self.sessions.get_mut(&session) else { return };
        let (running, tell) = match &mut queue.phase {
            Phase::Idle | Phase::Discarding | Phase::Elsewhere(_) => return,
            Phase::Running(running) => (running, true),
            Phase::Starting(running) | Phase::Settling(running) => (running, false),
        };
        let first = running.cause.is_none();
        // What a person has ended is not asked again because chatmux ends too.
        let is_end = matches!(cause, Cause::Quit | Cause::HandOver);
        if first || cause == Cause::Person || (is_end && running.cause != Some(Cause::Person)) {
            running.cause = Some(cause);
        }
        let entry = running.pending.waiting.entry;
        if first && tell {
            effects.push(Effect::Interrupt { session, entry });
        }
        self.will_be_free(session);
    }

    /// The turn of `session` was told to end, or has ended: its slot will be free without more ado.
    fn will_be_free(&mut self, session: SessionId) {
        let running = self.sessions.get_mut(&session).and_then(|queue| queue.running_mut());
        let Some(running) = running.filter(|running| !running.ending) else { return };
        running.ending = true;
        if let Some(slots) = self.slots.get_mut(&running.model.provider) {
            slots.yielding.remove(&(running.pending.arrival, session));
            slots.ending += 1;
            self.ending += 1;
        }
    }

    /// Gives a turn's slot back.
    fn release(&mut self, session: SessionId, running: &Running) {
        if let Some(lane) = self.lanes.get_mut(&running.model) {
            lane.gate.let_go(session);
        }
        let Some(slots) = self.slots.get_mut(&running.model.provider) else { return };
        slots.taken -= 1;
        self.taken -= 1;
        if running.ending {
            slots.ending -= 1;
            self.ending -= 1;
        } else {
            slots.yielding.remove(&(running.pending.arrival, session));
        }
    }
}

/// How long the server asks to be left alone with this model, if that is why the attempt failed (429, 503).
fn patience_asked(attempt: &Attempt) -> Option<Duration> {
    match &attempt.outcome {
        Outcome::Failed(error) if error.retryable && is_refusal(error) => error.retry_after,
        Outcome::Failed(_) | Outcome::Finished(_) | Outcome::Stopped => None,
    }
}

/// How long the server wants what goes back to pending to wait, when that is longer than allowed: then its session is held, whether
/// or not its model's gate closes.
fn too_long(retry: &RetryPolicy, end: &Settlement, attempts: u32, roll: f64) -> Option<Duration> {
    let Settlement::Retry { error, .. } = end else { return None };
    match retry.patience(error.retry_after?, attempts, roll) {
        Patience::TooLong(wait) => Some(wait),
        Patience::Wait(_) => None,
    }
}

fn is_refusal(error: &ProviderError) -> bool {
    matches!(error.kind, ErrorKind::RateLimited | ErrorKind::Overloaded) || matches!(error.status, Some(429 | 503))
}

fn settlement(retry: &RetryPolicy, running: &Running, attempt: &Attempt) -> Settlement {
    let Attempt { outcome, came, news, roll, now } = attempt;
    let attempts = running.pending.waiting.attempts;
    match outcome {
        Outcome::Finished(reason) => finished(running, *reason, *came),
        // The person wanted it to end, and it did.
        Outcome::Stopped | Outcome::Failed(_) if running.cause == Some(Cause::Person) => Settlement::Cancelled,
        Outcome::Stopped => stopped(running.cause, *came),
        Outcome::Failed(error) => {
            // What broke off in the middle is the answer, unless it shall be continued; what was to go on from a partial and
            // brought nothing of its own still shall. Reasoning alone is no answer.
            let continues = *came == Came::Text && (retry.continue_mid_stream || !news);
            if *came == Came::Text && !continues {
                return Settlement::Interrupted(Some(error.clone()));
            }
            let again =
                |not_before| Settlement::Retry { not_before, attempt: attempts + 1, error: error.clone(), continues };
            let verdict = match error.undecoded_at {
                Some(_) if error.undecoded_at == running.pending.undecoded => Verdict::GiveUp,
                Some(_) | None => retry.verdict(attempts, error, *roll),
            };
            match verdict {
                Verdict::Again(wait) => again(now.plus(wait)),
                // It is the hold, and then the person, that makes it wait.
                Verdict::Hold => again(*now),
                Verdict::GiveUp if continues => Settlement::Interrupted(Some(error.clone())),
                Verdict::GiveUp => Settlement::Dead(error.clone()),
            }
        }
    }
}

/// What becomes of a turn that the model ended, by the table in the module's docs.
fn finished(running: &Running, reason: FinishReason, came: Came) -> Settlement {
    let has_text = came == Came::Text;
    match reason {
        // The turn is not over: what shall end it, ends it.
        FinishReason::Pause if running.cause == Some(Cause::Person) => Settlement::Cancelled,
        FinishReason::Pause if running.cause.is_some() => {
            stopped(running.cause, if has_text { came } else { Came::Nothing })
        }
        FinishReason::Pause if running.pending.paused < MAX_PAUSES => Settlement::Paused { continues: has_text },
        _ if !has_text => Settlement::Empty,
        FinishReason::Stop | FinishReason::Refusal | FinishReason::Tool | FinishReason::Unknown => Settlement::Complete,
        FinishReason::Length | FinishReason::Filter | FinishReason::Error | FinishReason::Pause => Settlement::Cut,
    }
}

/// What becomes of a turn that was made to end, other than by a person.
fn stopped(cause: Option<Cause>, came: Came) -> Settlement {
    match cause {
        // It had to give way, and goes on later. Reasoning alone cannot be gone on from.
        Some(cause @ (Cause::Preemption | Cause::HandOver)) => {
            Settlement::Requeue { continues: came == Came::Text, cause }
        }
        // Nothing came of it, and nobody wanted that.
        Some(cause) if came == Came::Nothing => Settlement::Requeue { continues: false, cause },
        None if came == Came::Nothing => Settlement::Requeue { continues: false, cause: Cause::Quit },
        Some(_) | None => Settlement::Interrupted(None),
    }
}

/// The entry as it goes back to pending, if it does.
fn again(running: &Running, end: &Settlement) -> Option<Pending> {
    let pending = running.pending;
    let waiting = pending.waiting;
    match end {
        Settlement::Retry { not_before, continues, error, .. } => {
            let waiting = Waiting { not_before: Some(*not_before), continues: *continues, ..waiting };
            Some(Pending { waiting, undecoded: error.undecoded_at, ..pending })
        }
        Settlement::Paused { continues } => {
            let attempts = waiting.attempts.saturating_sub(1);
            let waiting = Waiting { attempts, not_before: None, continues: *continues, ..waiting };
            Some(Pending { waiting, paused: pending.paused + 1, ..pending })
        }
        Settlement::Requeue { continues, cause } => {
            let attempts = waiting.attempts.saturating_sub(1);
            let waiting = Waiting { attempts, not_before: None, continues: *continues, ..waiting };
            let preempted = pending.preempted + u32::from(*cause == Cause::Preemption);
            Some(Pending { waiting, preempted, ..pending })
        }
        Settlement::Complete
        | Settlement::Cut
        | Settlement::Empty
        | Settlement::Interrupted(_)
        | Settlement::Cancelled
        | Settlement::Dead(_) => None,
    }
}
