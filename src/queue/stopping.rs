//! Why a model stopped, and what cannot be decoded: what becomes of the turn.

use super::tests::{Bench, start};
use super::{Came, Cause, Effect, Event, MAX_PAUSES, Outcome, Settlement};
use crate::domain::{ErrorKind, FinishReason, Priority, ProviderError, SessionId};

/// One session whose turn is under way.
fn running() -> Bench {
    let mut b = Bench::new(1, 8);
    b.enqueue(1, Priority::Normal);
    b.tell(Event::Started(SessionId(1)));
    b
}

/// How the turn of session 1 is committed when its attempt ends so.
fn settled(b: &mut Bench, outcome: Outcome, came: Came) -> Settlement {
    let news = came != Came::Nothing;
    let effects = b.tell(Event::Ended { session: SessionId(1), outcome, came, news, roll: 0.5 });
    match effects.into_iter().next() {
        Some(Effect::Settle { end, .. }) => end,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_stop_reason_and_whether_text_came_say_how_a_turn_ends() {
    let check = |reason, with_text, without_text| {
        let ended = |came| settled(&mut running(), Outcome::Finished(reason), came);
        assert_eq!(ended(Came::Text), with_text, "{reason} with text");
        for came in [Came::Nothing, Came::Reasoning] {
            assert_eq!(ended(came), without_text, "{reason} with {came:?}");
        }
    };
    check(FinishReason::Stop, Settlement::Complete, Settlement::Empty);
    check(FinishReason::Length, Settlement::Cut, Settlement::Empty);
    check(FinishReason::Refusal, Settlement::Complete, Settlement::Empty);
    check(FinishReason::Filter, Settlement::Cut, Settlement::Empty);
    check(FinishReason::Tool, Settlement::Complete, Settlement::Empty);
    check(FinishReason::Error, Settlement::Cut, Settlement::Empty);
    check(FinishReason::Unknown, Settlement::Complete, Settlement::Empty);
    check(FinishReason::Pause, Settlement::Paused { continues: true }, Settlement::Paused { continues: false });
}

#[test]
fn a_turn_that_is_to_end_ends_as_its_stop_reason_says_unless_that_is_a_pause() {
    let check = |event: Event, reason, came, expected| {
        let mut b = running();
        b.tell(event.clone());
        assert_eq!(settled(&mut b, Outcome::Finished(reason), came), expected, "{event:?}, {reason}, {came:?}");
    };
    let cancel = Event::Cancel(SessionId(1));
    check(cancel.clone(), FinishReason::Stop, Came::Text, Settlement::Complete);
    check(cancel.clone(), FinishReason::Length, Came::Text, Settlement::Cut);
    check(cancel.clone(), FinishReason::Stop, Came::Nothing, Settlement::Empty);
    check(cancel.clone(), FinishReason::Pause, Came::Text, Settlement::Cancelled);
    check(cancel, FinishReason::Pause, Came::Nothing, Settlement::Cancelled);
    let later = |continues, cause| Settlement::Requeue { continues, cause };
    check(Event::Quit, FinishReason::Pause, Came::Text, Settlement::Interrupted(None));
    check(Event::Quit, FinishReason::Pause, Came::Reasoning, later(false, Cause::Quit));
    check(Event::HandOver, FinishReason::Pause, Came::Text, later(true, Cause::HandOver));
}

#[test]
fn a_paused_turn_goes_on_in_its_place_ten_times_and_costs_no_attempt() {
    let check = |came: Came, at_last: Settlement| {
        let mut b = running();
        b.enqueue(1, Priority::Normal);
        for nth in 1..=MAX_PAUSES {
            let end = settled(&mut b, Outcome::Finished(FinishReason::Pause), came);
            assert_eq!(end, Settlement::Paused { continues: came == Came::Text }, "pause {nth}");
            assert_eq!(b.tell(Event::Settled(SessionId(1))), [start(1, 1, 1)], "it goes on at once, and first");
            b.tell(Event::Started(SessionId(1)));
        }
        assert_eq!(settled(&mut b, Outcome::Finished(FinishReason::Pause), came), at_last);
        let next = [Effect::Idle(SessionId(1)), start(1, 2, 1)];
        assert_eq!(b.tell(Event::Settled(SessionId(1))), next);
    };
    check(Came::Text, Settlement::Cut);
    check(Came::Reasoning, Settlement::Empty);
}

#[test]
fn what_cannot_be_decoded_twice_in_the_same_place_is_given_up() {
    let undecoded = |at| ProviderError { undecoded_at: at, ..ProviderError::transient(ErrorKind::Protocol, "what?") };
    let check = |places: &[Option<u64>], continues: bool| {
        let mut b = running();
        let came = if continues { Came::Text } else { Came::Nothing };
        let mut end = None;
        for &at in places {
            let outcome = Outcome::Failed(undecoded(at));
            // What goes on from a partial and brings nothing of its own is tried again, as what has brought nothing at all is.
            let ended = Event::Ended { session: SessionId(1), outcome, came, news: false, roll: 0.5 };
            let Some(Effect::Settle { end: settled, .. }) = b.tell(ended).into_iter().next() else { panic!() };
            if let Settlement::Retry { not_before, .. } = &settled {
                b.tell(Event::Settled(SessionId(1)));
                b.now = *not_before;
                assert_eq!(b.tell(Event::Tick).len(), 1, "it is tried again");
                b.tell(Event::Started(SessionId(1)));
            }
            end = Some(settled);
        }
        end.unwrap()
    };
    let is_retry = |end| matches!(end, Settlement::Retry { .. });
    assert!(is_retry(check(&[Some(7)], false)));
    assert!(is_retry(check(&[Some(7), Some(8)], false)));
    assert!(is_retry(check(&[Some(7), None, Some(7)], false)), "another failure came between");
    assert!(is_retry(check(&[None, None], false)));
    assert_eq!(check(&[Some(7), Some(7)], false), Settlement::Dead(undecoded(Some(7))));
    assert_eq!(check(&[Some(7), Some(8), Some(8)], false), Settlement::Dead(undecoded(Some(8))));
    assert_eq!(check(&[Some(7), Some(7)], true), Settlement::Interrupted(Some(undecoded(Some(7)))));
}
