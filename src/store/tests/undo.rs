//! What is taken back: no part of the conversation any more, for nobody, and still there.

use super::*;
use crate::domain::{MessageId, Output, Role, Seen};

fn take_back(fresh: &Fresh, entry: EntryId) -> TakenBack {
    fresh.write(TakeBackTurn { entry, now: NOW })
}

fn last(fresh: &Fresh, session: SessionId) -> Option<EntryId> {
    fresh.read(LastAsked { session }).map(|entry| entry.id)
}

fn texts(fresh: &Fresh, session: SessionId) -> Vec<String> {
    fresh.read(History { session, last: 99 }).into_iter().map(|message| message.text).collect()
}

fn context(fresh: &Fresh, turn: &Turn) -> Vec<String> {
    fresh.read(Context { session: turn.session, question: turn.question }).into_iter().map(|m| m.text).collect()
}

fn auto(fresh: &Fresh, session: SessionId, answer: &str) -> Turn {
    let (priority, origin) = (Priority::Low, Origin::Auto);
    let entry = fresh.write(Enqueue { priority, origin, ..enqueue(session, "go on") }).id;
    let turn = fresh.write(StartTurn { entry, now: NOW });
    fresh.write(EndTurn { chunks: text(answer), ..completed(&turn) });
    turn
}

/// An answer that broke off.
fn cut(fresh: &Fresh, session: SessionId, question: &str, answer: &str) -> Turn {
    let turn = fresh.start(session, question);
    fresh.write(EndTurn { answer_state: AnswerState::Interrupted, chunks: text(answer), ..completed(&turn) });
    turn
}

#[test]
fn a_turn_that_is_taken_back_is_nowhere_in_the_conversation() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    let (first, second) = (fresh.turn(session, "q1", "a1"), fresh.turn(session, "q2", "a2"));
    let figures = fresh.read(StatsOf { session: Some(session) });
    assert_eq!(last(&fresh, session), Some(second.entry));
    let taken = take_back(&fresh, second.entry);
    assert_eq!((taken.entry.text.as_str(), taken.entry.state, taken.follow_ups), ("q2", EntryState::Done, vec![]));
    assert_eq!(texts(&fresh, session), ["q1", "a1"]);
    assert_eq!(last(&fresh, session), Some(first.entry));
    assert_eq!(fresh.read(LastTurn { session }).map(|(entry, _)| entry.id), Some(first.entry));
    assert_eq!(fresh.read(StatsOf { session: Some(session) }), figures);
    assert_eq!(fresh.read(SessionSummaries { closed: false })[0].messages, 2);
    // Nothing is deleted.
    assert_eq!(fresh.read(FindMessage(second.answer)).map(|m| m.text), Some("a2".to_owned()));
    assert_eq!(fresh.fails(TakeBackTurn { entry: second.entry, now: NOW }), StoreError::NoEntry(second.entry));

    let third = fresh.start(session, "q3");
    assert_eq!(context(&fresh, &third), ["q1", "a1", "q3"]);
    let running = StoreError::TurnRunning(session);
    assert_eq!(fresh.fails(TakeBackTurn { entry: first.entry, now: NOW }), running);
    let (entry, found, expected) = (third.entry, EntryState::Running, EntryState::Done);
    assert_eq!(fresh.fails(TakeBackTurn { entry, now: NOW }), StoreError::WrongState { entry, found, expected });
    fresh.write(completed(&third));
    take_back(&fresh, third.entry);
    take_back(&fresh, first.entry);
    assert_eq!((last(&fresh, session), texts(&fresh, session)), (None, vec![]));
    assert_eq!(fresh.read(LastTurn { session }), None);
    let (fresh, _) = fresh.reopened(NOW);
    assert_eq!(context(&fresh, &fresh.start(session, "anew")), ["anew"]);
}

#[test]
fn what_is_taken_back_is_not_shown_anew_and_positions_stay() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    let (first, second) = (fresh.turn(session, "q1", "a1"), fresh.turn(session, "q2", "a2"));
    take_back(&fresh, second.entry);
    let shown = |seen| {
        let behind = fresh.read(OutputSince { session, seen, max_bytes: 1 << 20 });
        (behind.outputs.iter().map(Output::message).collect::<Vec<_>>(), behind.end, behind.cut_bytes)
    };
    let (q, a, end) = (first.question, first.answer, Seen::whole(second.answer));
    assert_eq!(shown(Seen::START), (vec![q, a, a], end, 0));
    // Who had seen a part of it sees no more of it, and has seen all.
    let part = Seen { message: second.answer, reasoning_bytes: 0, text_bytes: 1, ended: false };
    assert_eq!(shown(part), (vec![], end, 0));
    assert_eq!(shown(end), (vec![], end, 0));
    let third = fresh.turn(session, "q3", "a3");
    let (q, a) = (third.question, third.answer);
    assert_eq!(shown(end), (vec![q, a, a], Seen::whole(a), 0));
    let ends: Vec<MessageId> = fresh.read(SessionEnds).iter().map(|end| end.end.message).collect();
    assert_eq!(ends, [third.answer]);
}

#[test]
fn auto_replies_go_with_the_question_that_they_followed() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    let first = fresh.turn(session, "q1", "a1");
    let (b, c) = (auto(&fresh, session, "b"), auto(&fresh, session, "c"));
    let second = fresh.turn(session, "q2", "a2");
    auto(&fresh, session, "d");
    assert_eq!(last(&fresh, session), Some(second.entry));
    // Those behind the next question are not its own.
    assert_eq!(take_back(&fresh, first.entry).follow_ups, [b.entry, c.entry]);
    assert_eq!(texts(&fresh, session), ["q2", "a2", "go on", "d"]);
    assert_eq!(take_back(&fresh, second.entry).follow_ups.len(), 1);
    assert_eq!(last(&fresh, session), None);
}

#[test]
fn a_dead_letter_that_is_taken_back_is_none_any_more() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    let dead = fresh.dead(session, "fails");
    assert_eq!(last(&fresh, session), Some(dead));
    assert_eq!(take_back(&fresh, dead).entry.state, EntryState::Cancelled);
    assert_eq!(fresh.read(DeadEntries { session: None }), []);
    assert_eq!(fresh.write(RequeueEntries { ids: vec![dead], now: NOW }), []);
    assert_eq!(texts(&fresh, session), [""; 0]);
}

#[test]
fn a_cut_answer_that_is_taken_back_is_not_continued() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    let (first, second) = (cut(&fresh, session, "q1", "part"), cut(&fresh, session, "q2", "other"));
    take_back(&fresh, second.entry);
    let go_on = ContinueTurn { session, origin: Origin::User, now: NOW };
    let queued = fresh.write(go_on).unwrap();
    assert_eq!(queued.id, first.entry);
    let goes_on = fresh.write(StartTurn { entry: queued.id, now: NOW });
    assert_eq!((goes_on.kept.text.as_str(), goes_on.moved), ("part", true));
    assert_eq!(context(&fresh, &goes_on), ["q1"]);
    fresh.write(EndTurn { chunks: text(" and all"), ..completed(&goes_on) });
    assert_eq!(texts(&fresh, session), ["q1", "part and all"]);
    take_back(&fresh, first.entry);
    assert_eq!(fresh.write(go_on), None);
}

/// A turn that has brought something and waits for its next attempt.
fn half(fresh: &Fresh, session: SessionId) -> EntryId {
    let turn = fresh.start(session, "q");
    fresh.write(EndTurn {
        answer_state: AnswerState::Interrupted,
        entry_state: EntryState::Pending,
        continues: true,
        chunks: text("half"),
        ..completed(&turn)
    });
    turn.entry
}

#[test]
fn what_waits_is_cancelled_with_what_there_is_of_its_answer() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    let entry = half(&fresh, session);
    let taken = fresh.write(TakeBackWaiting { entry, now: NOW });
    assert_eq!((taken.state, taken.continues, taken.finished_at), (EntryState::Cancelled, false, Some(NOW)));
    assert_eq!(context(&fresh, &fresh.start(session, "next")), ["next"]);
    let (found, expected) = (EntryState::Cancelled, EntryState::Pending);
    let again = fresh.fails(TakeBackWaiting { entry, now: NOW });
    assert_eq!(again, StoreError::WrongState { entry, found, expected });
    let none = EntryId(99);
    assert_eq!(fresh.fails(TakeBackWaiting { entry: none, now: NOW }), StoreError::NoEntry(none));
}

#[test]
fn a_text_is_changed_in_its_place_and_begun_anew() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    let entry = half(&fresh, session);
    let behind = fresh.enqueue(session, "behind").id;
    let changed = fresh.write(ChangeText { entry, text: "other".to_owned() });
    assert_eq!((changed.id, changed.text.as_str(), changed.continues), (entry, "other", false));
    assert_eq!(ids(&fresh.read(PendingEntries)), [entry, behind]);
    let turn = fresh.write(StartTurn { entry, now: NOW });
    assert_eq!((turn.text.as_str(), turn.kept.is_empty()), ("other", true));
    assert_eq!(context(&fresh, &turn), ["other"]);
    let (found, expected) = (EntryState::Running, EntryState::Pending);
    let late = fresh.fails(ChangeText { entry, text: "late".to_owned() });
    assert_eq!(late, StoreError::WrongState { entry, found, expected });
}

#[test]
fn a_turn_is_replaced_as_one() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    fresh.turn(session, "q1", "a1");
    let second = fresh.turn(session, "q2", "a2");
    let replace = |entry| ReplaceTurn { entry, text: "q2, better".to_owned(), origin: Origin::User, now: NOW };
    let (taken, asked) = fresh.write(replace(second.entry));
    assert_eq!((taken.entry.id, asked.text.as_str(), asked.origin), (second.entry, "q2, better", Origin::User));
    let turn = fresh.write(StartTurn { entry: asked.id, now: NOW });
    assert_eq!(context(&fresh, &turn), ["q1", "a1", "q2, better"]);
    // What cannot be taken back asks nothing either.
    assert_eq!(fresh.fails(replace(second.entry)), StoreError::NoEntry(second.entry));
    assert_eq!(fresh.read(PendingEntries), []);
    assert_eq!(fresh.read(History { session, last: 9 }).iter().filter(|m| m.role == Role::User).count(), 2);
}
