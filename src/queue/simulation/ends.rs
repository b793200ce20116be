//! How a turn's end is committed: what may become of an attempt, by how it ended and why.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::super::{Came, Cause, MAX_PAUSES, Outcome, Settlement};
use super::rules::Asked;
use super::world::{Brake, Item, MAX_RETRY_AFTER, SLOW, Session, Stage, Turn, World, provider};
use crate::domain::{EntryId, ErrorKind, FinishReason, ProviderError, SessionId, StoredError, Timestamp};

impl Item {
    /// What only the queue knows of an entry ends with the queue, and with an entry's end.
    pub(super) fn forget_what_the_queue_knew(&mut self) {
        (self.preempted, self.paused, self.undecoded) = (0, 0, None);
    }
}

impl Turn {
    pub(super) fn new(item: Item, stage: Stage, model: usize) -> Self {
        let came = if item.has_partial { Came::Text } else { Came::Nothing };
        Self {
            item,
            stage,
            model,
            cause: None,
            told: false,
            accepted: false,
            came,
            news: false,
            outcome: None,
            end: None,
        }
    }

    /// It goes back to pending, because the server wants it to wait longer than the person wants to.
    pub(super) fn was_asked_too_much(&self) -> bool {
        let Some(Outcome::Failed(error)) = &self.outcome else { return false };
        self.end.as_ref().is_some_and(is_again) && error.retry_after.is_some_and(|asked| asked > MAX_RETRY_AFTER)
    }
}

/// Whether the entry goes back to pending.
pub(super) fn is_again(end: &Settlement) -> bool {
    matches!(end, Settlement::Retry { .. } | Settlement::Requeue { .. } | Settlement::Paused { .. })
}

/// Whether it closes the gate.
fn is_refusal(error: &ProviderError) -> bool {
    let says_so = matches!(error.kind, ErrorKind::RateLimited | ErrorKind::Overloaded);
    error.retryable && (says_so || matches!(error.status, Some(429 | 503)))
}

impl World {
    /// A worker's attempt ended: what the gate must make of it.
    pub(super) fn note_outcome(&mut self, session: SessionId, outcome: &Outcome) {
        let turn = self.at_mut(session).turn.as_mut().expect("what ends is under way");
        turn.outcome = Some(outcome.clone());
        let (model, attempts) = (turn.model, turn.item.waiting.attempts);
        self.let_go(session, model);
        let Outcome::Failed(error) = outcome else { return };
        let Some(asked) = error.retry_after.filter(|_| is_refusal(error)) else { return };
        let before = self.models[model].brake;
        let pause = pause(Some(asked), attempts);
        let (until, latest) = (self.own + pause.start(), self.own + pause.end());
        self.expected.asked = Some(Asked { model, until, latest, before, noted: false });
        let refuses = asked > MAX_RETRY_AFTER || matches!(before, Brake::Refusing(_));
        self.models[model].brake = if refuses { Brake::Refusing(until) } else { Brake::Paused(until) };
    }

    /// A slow start's request shows nothing any more.
    pub(super) fn let_go(&mut self, session: SessionId, model: usize) {
        if let Brake::Slow { asking, .. } = &mut self.models[model].brake
            && *asking == Some(session)
        {
            *asking = None;
        }
    }

    /// A slow start's request was taken.
    pub(super) fn note_accepted(&mut self, session: SessionId, model: usize) {
        let limits = &self.settings.limits;
        let own = limits.per_provider.get(provider(model)).copied();
        let slots = own.unwrap_or(usize::MAX).min(limits.max_concurrent);
        let brake = &mut self.models[model].brake;
        if let Brake::Slow { accepted, asking: asking @ Some(_) } = brake
            && *asking == Some(session)
        {
            *asking = None;
            *accepted += 1;
            if *accepted >= slots {
                *brake = Brake::Open;
            }
        }
    }

    /// The person does not want to wait for a model.
    pub(super) fn open(&mut self, model: usize, only_refusing: bool) {
        let closed = match self.models[model].brake {
            Brake::Refusing(_) => true,
            Brake::Paused(_) => !only_refusing,
            Brake::Open | Brake::Slow { .. } => false,
        };
        if closed {
            self.models[model].brake = SLOW;
            self.expected.opened = Some(model);
        }
    }

    pub(super) fn check_settle(&mut self, session: SessionId, entry: EntryId, end: Settlement) {
        let turn = self.at(session).turn.as_ref().expect("settled what is not under way");
        assert_eq!((turn.item.waiting.entry, turn.stage), (entry, Stage::Running), "settled what did not run");
        self.check_end(turn, &end);
        let (now, own) = (self.now, self.own);
        let turn = self.at_mut(session).turn.as_mut().expect("it is there");
        turn.item.due = None;
        if let Settlement::Retry { not_before, .. } = &end {
            turn.item.due = Some(own + (not_before.0 - now.0));
        }
        turn.stage = Stage::Settling;
        turn.end = Some(end);
        if turn.was_asked_too_much() {
            self.expected.held = Some(session);
        }
    }

    fn check_end(&self, turn: &Turn, end: &Settlement) {
        let by_person = turn.cause == Some(Cause::Person);
        match (turn.outcome.as_ref().expect("it ended"), end) {
            (Outcome::Finished(reason), end) => check_finished(turn, *reason, end),
            (Outcome::Stopped | Outcome::Failed(_), Settlement::Cancelled) => {
                assert!(by_person, "cancelled, and no person wanted it");
            }
            (Outcome::Stopped | Outcome::Failed(_), end) if by_person => panic!("cancelled by a person, and {end:?}"),
            (Outcome::Stopped, end) => check_stopped(turn.cause, turn.came, end),
            (Outcome::Failed(error), Settlement::Retry { not_before, attempt, error: why, continues }) => {
                assert_eq!(error, why, "another reason");
                assert!(error.retryable, "asked again what asking again does not mend");
                assert!(!is_undecoded_again(turn, error), "asked a third time what fails in the same place");
                assert_eq!(*attempt, turn.item.waiting.attempts + 1, "attempts are counted as they are made");
                let allowed = self.settings.retry.max_attempts;
                assert!(*attempt <= allowed, "more attempts than allowed");
                assert_eq!(*continues, turn.came == Came::Text, "a partial is forgotten, or made up");
                self.check_not_before(turn, error, *not_before);
            }
            (Outcome::Failed(error), Settlement::Dead(why)) => {
                assert_eq!(error, why, "another reason");
                assert_ne!(turn.came, Came::Text, "dead, and text came of it");
                self.check_gives_up(turn, error);
            }
            (Outcome::Failed(error), Settlement::Interrupted(why)) => {
                assert_eq!(Some(error), why.as_ref(), "another reason");
                assert_eq!(turn.came, Came::Text, "an entry ended without an answer, and nobody wanted that");
                let goes_on = self.settings.retry.continue_mid_stream || !turn.news;
                if goes_on {
                    self.check_gives_up(turn, error);
                }
            }
            (outcome @ Outcome::Failed(_), end) => panic!("{outcome:?} ended as {end:?}"),
        }
    }

    fn check_gives_up(&self, turn: &Turn, error: &ProviderError) {
        let out = turn.item.waiting.attempts >= self.settings.retry.max_attempts;
        let is_hopeless = !error.retryable || is_undecoded_again(turn, error);
        assert!(out || is_hopeless, "given up with attempts left");
    }

    fn check_not_before(&self, turn: &Turn, error: &ProviderError, not_before: Timestamp) {
        let wait = not_before.0 - self.now.0;
        if error.retry_after.is_some_and(|asked| asked > MAX_RETRY_AFTER) {
            // The hold makes it wait, and then the person.
            return assert_eq!(wait, 0, "held, and after that it still waits");
        }
        let allowed = pause(error.retry_after, turn.item.waiting.attempts);
        assert!(allowed.contains(&wait), "asked again after {wait} ms, and not after {allowed:?}");
    }

    /// The end is committed: the journal says what has become of the entry.
    pub(super) fn commit_end(&mut self, session: SessionId) {
        let place = self.at_mut(session);
        let turn = place.turn.take().expect("what settles is under way");
        let end = turn.end.expect("what settles has an end");
        let by_person = turn.cause == Some(Cause::Person);
        match back_to_pending(turn.item, &end, self.quitting) {
            Some(item) => {
                if by_person {
                    self.expected.discard = Some(item.waiting.entry);
                }
                self.at_mut(session).pending.push(item);
            }
            None => {
                self.expected.idle = Some(session);
                self.end(session, turn.item, &end);
            }
        }
    }

    pub(super) fn end(&mut self, session: SessionId, item: Item, end: &Settlement) {
        if matches!(end, Settlement::Dead(_) | Settlement::Empty) {
            self.at_mut(session).dead.push(item);
        } else {
            self.ended.push(item.waiting.entry);
        }
    }
}

/// Whether the attempt before this one failed in the same place of the answer.
fn is_undecoded_again(turn: &Turn, error: &ProviderError) -> bool {
    error.undecoded_at.is_some() && error.undecoded_at == turn.item.undecoded
}

/// The model stopped: what follows, end by end.
fn check_finished(turn: &Turn, reason: FinishReason, end: &Settlement) {
    use FinishReason::{Error, Filter, Length, Pause, Refusal, Stop, Tool, Unknown};
    let has_text = turn.came == Came::Text;
    let is_out_of_pauses = turn.item.paused == MAX_PAUSES;
    match end {
        Settlement::Complete => {
            assert!(has_text, "complete without any text");
            assert!(matches!(reason, Stop | Refusal | Tool | Unknown), "complete after {reason}");
        }
        Settlement::Cut => {
            assert!(has_text, "cut, and no text came");
            let cuts = matches!(reason, Length | Filter | Error);
            assert!(cuts || (reason == Pause && is_out_of_pauses), "cut after {reason}");
        }
        Settlement::Empty => {
            assert!(!has_text, "text came, and is called nothing");
            assert!(reason != Pause || is_out_of_pauses, "a pause ended the turn");
        }
        Settlement::Paused { continues } => {
            assert_eq!((reason, turn.cause), (Pause, None), "continued what is over");
            assert!(!is_out_of_pauses, "paused without end");
            assert_eq!(*continues, has_text, "a partial is forgotten, or made up");
        }
        Settlement::Cancelled => {
            assert_eq!((reason, turn.cause), (Pause, Some(Cause::Person)), "cancelled a whole answer");
        }
        end @ (Settlement::Requeue { .. } | Settlement::Interrupted(_)) => {
            assert_eq!(reason, Pause, "the model stopped, and its answer is {end:?}");
            let came = if has_text { Came::Text } else { Came::Nothing };
            check_stopped(turn.cause, came, end);
        }
        end @ (Settlement::Retry { .. } | Settlement::Dead(_)) => panic!("{reason} was paid for, and is {end:?}"),
    }
}

/// A turn ended because it was told to, or for no reason at all.
fn check_stopped(cause: Option<Cause>, came: Came, end: &Settlement) {
    let expected = match cause {
        Some(cause @ Cause::Preemption) => Settlement::Requeue { continues: came == Came::Text, cause },
        Some(cause) if came == Came::Nothing => Settlement::Requeue { continues: false, cause },
        None if came == Came::Nothing => Settlement::Requeue { continues: false, cause: Cause::Quit },
        Some(_) | None => Settlement::Interrupted(None),
    };
    assert_eq!(end, &expected, "what was made to end goes on where it can, and is not counted");
}

/// The entry as it waits again, if it does. `quitting`: its process ends.
pub(super) fn back_to_pending(mut item: Item, end: &Settlement, quitting: bool) -> Option<Item> {
    item.may_be_answered = false;
    match end {
        Settlement::Retry { not_before, continues, error, .. } => {
            item.waiting.not_before = Some(*not_before);
            item.waiting.continues = *continues;
            item.undecoded = error.undecoded_at;
            item.may_be_answered = StoredError::from(error).left_unanswered().is_some();
        }
        Settlement::Paused { continues } => {
            item.waiting.attempts -= 1;
            item.waiting.continues = *continues;
            item.paused += 1;
        }
        Settlement::Requeue { continues, cause } => {
            // What the end of chatmux puts off that has brought nothing may have been answered: the attempt counts.
            let is_put_off = quitting && !continues && matches!(cause, Cause::Quit | Cause::HandOver);
            item.unanswered |= is_put_off;
            item.waiting.attempts -= u32::from(!is_put_off);
            item.waiting.continues = *continues;
            item.preempted += u32::from(*cause == Cause::Preemption);
        }
        Settlement::Complete
        | Settlement::Cut
        | Settlement::Empty
        | Settlement::Interrupted(_)
        | Settlement::Cancelled
        | Settlement::Dead(_) => return None,
    }
    item.has_partial = item.waiting.continues;
    Some(item)
}

/// How long to wait after that many attempts: the growing pauses of the default policy, and never less than the server asks.
fn pause(asked: Option<Duration>, attempts: u32) -> RangeInclusive<i64> {
    let grown = (1_000.0 * 1.5_f64.powi(attempts as i32 - 1)).min(30_000.0);
    let (least, most) = ((0.8 * grown) as i64, (1.2 * grown) as i64 + 1);
    match asked.map(millis) {
        // A fifth of the first pause at most is added.
        Some(asked) => asked.max(least)..=(asked + 241).max(most),
        None => least..=most,
    }
}

fn millis(length: Duration) -> i64 {
    length.as_millis() as i64
}

/// The entry that waits for its next attempt: to the person its turn is under way.
pub(super) fn retrying(world: &World, session: &Session) -> Option<EntryId> {
    let next = world.next(session).filter(|_| !session.held && session.turn.is_none())?;
    (next.waiting.attempts > 0 && next.waiting.not_before.is_some()).then_some(next.waiting.entry)
}
