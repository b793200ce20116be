//! How a turn's end is committed: what may become of an attempt, by how it ended and why.

use std::time::Duration;

use super::super::{Came, Cause, Outcome, Settlement};
use super::rules::Asked;
use super::world::{Brake, Item, MAX_RETRY_AFTER, SLOW, Session, Stage, Turn, World, provider};
use crate::domain::{EntryId, ErrorKind, ProviderError, SessionId, Timestamp};

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
    matches!(end, Settlement::Retry { .. } | Settlement::Requeue { .. })
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
        let model = turn.model;
        self.let_go(session, model);
        let Outcome::Failed(error) = outcome else { return };
        let Some(asked) = error.retry_after.filter(|_| is_refusal(error)) else { return };
        let before = self.models[model].brake;
        let until = self.own + millis(asked);
        self.expected.asked = Some(Asked { model, until, before, noted: false });
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
            (Outcome::Complete, end) => assert_eq!(end, &Settlement::Complete, "a whole answer is another end"),
            (Outcome::Stopped | Outcome::Failed(_), Settlement::Cancelled) => {
                assert!(by_person, "cancelled, and no person wanted it");
            }
            (Outcome::Stopped | Outcome::Failed(_), end) if by_person => panic!("cancelled by a person, and {end:?}"),
            (Outcome::Stopped, end) => check_stopped(turn, end),
            (Outcome::Failed(error), Settlement::Retry { not_before, attempt, error: why, continues }) => {
                assert_eq!(error, why, "another reason");
                assert!(error.retryable, "asked again what asking again does not mend");
                assert_eq!(*attempt, turn.item.waiting.attempts + 1, "attempts are counted as they are made");
                let allowed = self.settings.retry.max_attempts;
                assert!(*attempt <= allowed, "more attempts than allowed");
                assert_eq!(*continues, turn.came == Came::Text, "a partial is forgotten, or made up");
                self.check_not_before(error, *not_before);
            }
            (Outcome::Failed(error), Settlement::Dead(why)) => {
                assert_eq!(error, why, "another reason");
                assert_eq!(turn.came, Came::Nothing, "dead, and something came of it");
                self.check_gives_up(turn, error);
            }
            (Outcome::Failed(error), Settlement::Interrupted(why)) => {
                assert_eq!(Some(error), why.as_ref(), "another reason");
                assert_ne!(turn.came, Came::Nothing, "an entry ended without an answer, and nobody wanted that");
                let goes_on = turn.came == Came::Text && (self.settings.retry.continue_mid_stream || !turn.news);
                if goes_on {
                    self.check_gives_up(turn, error);
                }
            }
            (outcome @ Outcome::Failed(_), end) => panic!("{outcome:?} ended as {end:?}"),
        }
    }

    fn check_gives_up(&self, turn: &Turn, error: &ProviderError) {
        let out = turn.item.waiting.attempts >= self.settings.retry.max_attempts;
        assert!(out || !error.retryable, "given up with attempts left");
    }

    fn check_not_before(&self, error: &ProviderError, not_before: Timestamp) {
        let wait = not_before.0 - self.now.0;
        match error.retry_after {
            Some(asked) if asked <= MAX_RETRY_AFTER => {
                assert!(wait >= millis(asked), "asked again earlier than the server wanted");
                assert!(wait <= millis(asked) + 1_000, "asked again much later than the server wanted");
            }
            // The hold makes it wait, and then the person.
            Some(_) => assert_eq!(wait, 0, "held, and after that it still waits"),
            None => assert!((700..=40_000).contains(&wait), "a delay out of its bounds: {wait} ms"),
        }
    }

    /// The end is committed: the journal says what has become of the entry.
    pub(super) fn commit_end(&mut self, session: SessionId) {
        let place = self.at_mut(session);
        let turn = place.turn.take().expect("what settles is under way");
        let end = turn.end.expect("what settles has an end");
        let by_person = turn.cause == Some(Cause::Person);
        match back_to_pending(turn.item, &end) {
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
        if matches!(end, Settlement::Dead(_)) {
            self.at_mut(session).dead.push(item);
        } else {
            self.ended.push(item.waiting.entry);
        }
    }
}

/// A turn ended because it was told to, or for no reason at all.
fn check_stopped(turn: &Turn, end: &Settlement) {
    let expected = match turn.cause {
        Some(cause @ Cause::Preemption) => Settlement::Requeue { continues: turn.came == Came::Text, cause },
        Some(cause) if turn.came == Came::Nothing => Settlement::Requeue { continues: false, cause },
        None if turn.came == Came::Nothing => Settlement::Requeue { continues: false, cause: Cause::Quit },
        Some(_) | None => Settlement::Interrupted(None),
    };
    assert_eq!(end, &expected, "what was made to end goes on where it can, and is not counted");
}

/// The entry as it waits again, if it does.
pub(super) fn back_to_pending(mut item: Item, end: &Settlement) -> Option<Item> {
    match end {
        Settlement::Retry { not_before, continues, .. } => {
            item.waiting.not_before = Some(*not_before);
            item.waiting.continues = *continues;
        }
        Settlement::Requeue { continues, cause } => {
            item.waiting.attempts -= 1;
            item.waiting.continues = *continues;
            item.preempted += u32::from(*cause == Cause::Preemption);
        }
        Settlement::Complete | Settlement::Interrupted(_) | Settlement::Cancelled | Settlement::Dead(_) => return None,
    }
    item.has_partial = item.waiting.continues;
    Some(item)
}

fn millis(length: Duration) -> i64 {
    length.as_millis() as i64
}

/// The entry that waits for its next attempt: to the person its turn is under way.
pub(super) fn retrying(world: &World, session: &Session) -> Option<EntryId> {
    let next = world.next(session).filter(|_| !session.held && session.turn.is_none())?;
    (next.waiting.attempts > 0 && next.waiting.not_before.is_some()).then_some(next.waiting.entry)
}
