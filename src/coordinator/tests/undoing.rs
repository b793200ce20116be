//! What is taken back and what is changed: the last message, whether it waits, is over, or is under way.

use std::time::Duration;

use super::{Asked, Bench, Events, bench, message};
use crate::coordinator::{AutoWish, EntryEnd, LastMessage, Replaced, Submission, Undone, Which};
use crate::domain::{EndState, EntryId, ErrorKind, Event, Origin, Priority, ProviderError};
use crate::store::{AutoReplies, DeadEntries, PendingEntries};

async fn asked(b: &mut Bench) -> Asked {
    tokio::time::timeout(Duration::from_secs(20), b.asked.recv()).await.expect("nothing is asked").unwrap()
}

/// A whole turn.
async fn turn(b: &mut Bench, question: &str, answer: &str) -> EntryId {
    let queued = b.handle.submit(message(1, question)).await.unwrap().remove(0);
    let asked = asked(b).await;
    assert_eq!(asked.question(), question);
    asked.say(answer).await;
    asked.finish().await;
    queued.done.await.unwrap();
    queued.entry
}

fn conversation(asked: &Asked) -> Vec<&str> {
    asked.request.messages.iter().map(|message| message.text.as_str()).collect()
}

fn undone(entry: EntryId, text: &str) -> Option<Undone> {
    Some(Undone { entry, text: text.into(), follow_ups: 0 })
}

async fn refused(b: &Bench) -> String {
    let said = b.handle.undo().await.unwrap_err().to_string();
    assert_eq!(b.handle.last_message().await.unwrap_err().to_string(), said);
    said
}

#[tokio::test]
async fn turns_are_taken_back_from_the_last_to_the_first() {
    let (front, mut events) = Events::new();
    let mut b = bench(1, 8, 1 << 20, front);
    let mut turns = Vec::new();
    for (question, answer) in [("q1", "a1"), ("q2", "a2"), ("q3", "a3")] {
        turns.push(turn(&mut b, question, answer).await);
    }
    assert_eq!(b.handle.last_message().await.unwrap(), Some(LastMessage { entry: turns[2], text: "q3".into() }));
    assert_eq!(b.handle.undo().await.unwrap(), undone(turns[2], "q3"));
    assert_eq!(b.handle.undo().await.unwrap(), undone(turns[1], "q2"));
    b.handle.submit(message(1, "q4")).await.unwrap();
    let fourth = asked(&mut b).await;
    assert_eq!(conversation(&fourth), ["q1", "a1", "q4"]);
    assert_eq!(refused(&b).await, "#4 is being answered: /cancel ends it first");
    for ending in b.handle.cancel(Which::Active).await.unwrap() {
        ending.await.unwrap();
    }
    assert_eq!(b.handle.undo().await.unwrap(), undone(EntryId(4), "q4"));
    assert_eq!(b.handle.undo().await.unwrap(), undone(turns[0], "q1"));
    assert_eq!((b.handle.undo().await.unwrap(), b.handle.last_message().await.unwrap()), (None, None));
    b.handle.submit(message(1, "anew")).await.unwrap();
    assert_eq!(conversation(&asked(&mut b).await), ["anew"]);
    // What was over has no second end.
    let so_far = events.until(|e| matches!(e, Event::Queued { entry, .. } if entry.0 == 5)).await;
    let ends = so_far.iter().filter(|e| matches!(e, Event::Finished { .. })).count();
    assert_eq!(ends, 4, "{so_far:?}");
}

#[tokio::test]
async fn what_waits_is_taken_out_of_the_queue_and_not_asked() {
    let (front, mut events) = Events::new();
    let mut b = bench(1, 8, 1 << 20, front);
    b.handle.submit(message(1, "runs")).await.unwrap();
    let runs = asked(&mut b).await;
    let waits = Submission { foreground: true, ..message(1, "waits") };
    b.handle.submit(Submission { priority: Priority::Low, ..message(1, "low") }).await.unwrap();
    let waits = b.handle.submit(waits).await.unwrap().remove(0);
    // The last one to arrive, not the last one to be served.
    assert_eq!(b.handle.last_message().await.unwrap().map(|last| last.entry), Some(waits.entry));
    assert_eq!(b.handle.undo().await.unwrap(), undone(waits.entry, "waits"));
    assert_eq!(waits.done.await, Ok(EntryEnd::Ended(EndState::Cancelled, None)));
    assert_eq!(b.handle.undo().await.unwrap(), undone(EntryId(2), "low"));
    assert!(refused(&b).await.starts_with("#1 is being answered"));
    assert_eq!(b.store.read(PendingEntries).await.unwrap(), []);
    runs.finish().await;
    let so_far = events.until(|e| matches!(e, Event::Finished { entry, .. } if entry.0 == 1)).await;
    let cancelled = |e: &&Event| matches!(e, Event::Finished { state: EndState::Cancelled, .. });
    assert_eq!(so_far.iter().filter(cancelled).count(), 2, "{so_far:?}");
    b.handle.wait(Which::All).await.unwrap();
    assert!(b.asked.try_recv().is_err(), "nothing else is asked");
}

#[tokio::test]
async fn an_older_message_that_is_held_is_not_the_last_one() {
    let (front, _events) = Events::new();
    let mut b = bench(1, 8, 1 << 20, front);
    b.handle.submit(message(1, "first")).await.unwrap();
    let first = asked(&mut b).await;
    let held = b.handle.submit(message(1, "held")).await.unwrap().remove(0).entry;
    b.handle.hold_entries(vec![held], true).await.unwrap();
    let last = b.handle.submit(message(1, "last")).await.unwrap().remove(0);
    first.finish().await;
    let answering = asked(&mut b).await;
    assert_eq!(refused(&b).await, "#3 is being answered: /cancel ends it first");
    answering.finish().await;
    last.done.await.unwrap();
    assert_eq!(b.handle.undo().await.unwrap(), undone(last.entry, "last"));
    assert_eq!(b.handle.undo().await.unwrap(), undone(held, "held"));
    assert_eq!(b.handle.undo().await.unwrap(), undone(EntryId(1), "first"));
}

#[tokio::test]
async fn a_loop_ends_with_the_turn_that_is_taken_back_and_its_replies_go_along() {
    let (front, mut events) = Events::new();
    let mut b = bench(1, 8, 1 << 20, front);
    turn(&mut b, "q1", "a1").await;
    let second = turn(&mut b, "q2", "a2").await;
    let wish = AutoWish { text: "go on".into(), max_turns: Some(9), until: None, max_time: None };
    b.handle.begin_auto(wish).await.unwrap();
    for answer in ["b", "c"] {
        let reply = asked(&mut b).await;
        reply.say(answer).await;
        reply.finish().await;
    }
    let third = asked(&mut b).await;
    assert_eq!(refused(&b).await, "#5 is being answered: /stop ends it first");
    // Between two attempts it waits, and is the loop's.
    let busy = ProviderError::transient(ErrorKind::Overloaded, "busy");
    third.answer.send(Err(busy)).await.unwrap();
    events.until(|e| matches!(e, Event::Retry { .. })).await;
    b.handle.hold(Which::Active, true).await.unwrap();
    let taken = b.handle.undo().await.unwrap().unwrap();
    // The third was under way once, so it has its place behind the others.
    assert_eq!((taken.entry, taken.follow_ups), (second, 3));
    assert_eq!(taken.to_string(), "#2 is taken back, and 3 auto-replies behind it");
    assert_eq!(b.handle.auto_reply(None).await.unwrap(), None);
    assert_eq!(b.store.read(AutoReplies).await.unwrap(), []);
    assert_eq!(b.store.read(PendingEntries).await.unwrap(), []);
    events.until(|e| matches!(e, Event::Notice { text } if text.ends_with("after 3 of 9: ended by hand"))).await;
    b.handle.hold(Which::Active, false).await.unwrap();
    b.handle.submit(message(1, "q3")).await.unwrap();
    assert_eq!(conversation(&asked(&mut b).await), ["q1", "a1", "q3"]);
}

#[tokio::test]
async fn a_dead_letter_is_taken_back_for_good() {
    let (front, _events) = Events::new();
    let mut b = bench(1, 8, 1 << 20, front);
    let dead = b.handle.submit(message(1, "fails")).await.unwrap().remove(0);
    let error = ProviderError::fatal(ErrorKind::BadRequest, "no");
    asked(&mut b).await.answer.send(Err(error)).await.unwrap();
    dead.done.await.unwrap();
    assert_eq!(b.handle.undo().await.unwrap(), undone(dead.entry, "fails"));
    assert_eq!(b.store.read(DeadEntries { session: None }).await.unwrap(), []);
    let retried = b.handle.retry(Origin::User).await.unwrap();
    assert!(matches!(retried, crate::coordinator::Retried::Nothing), "{retried:?}");
    assert!(b.handle.continue_turn(Origin::User).await.unwrap().is_none());
}

#[tokio::test]
async fn a_message_that_waits_is_changed_in_its_place() {
    let (front, _events) = Events::new();
    let mut b = bench(1, 8, 1 << 20, front);
    b.handle.submit(message(1, "runs")).await.unwrap();
    let runs = asked(&mut b).await;
    let waits = b.handle.submit(message(1, "waits")).await.unwrap().remove(0);
    b.handle.submit(message(1, "behind")).await.unwrap();
    let changed = b.handle.replace(waits.entry, "changed".into(), Origin::User).await.unwrap();
    assert!(matches!(changed, Replaced::Changed), "{changed:?}");
    let late = b.handle.replace(EntryId(1), "late".into(), Origin::User).await.unwrap_err();
    assert_eq!(late.to_string(), "#1 is being answered: /cancel ends it first");
    runs.finish().await;
    for question in ["changed", "behind"] {
        let next = asked(&mut b).await;
        assert_eq!(next.question(), question);
        next.give("yes").await;
    }
    assert!(matches!(waits.done.await, Ok(EntryEnd::Ended(EndState::Complete, None))));
}

#[tokio::test]
async fn what_was_tried_already_is_changed_and_begins_anew() {
    let (front, mut events) = Events::new();
    let mut b = bench(2, 1, 1 << 20, front);
    let low = Submission { priority: Priority::Low, ..message(2, "low") };
    let low = b.handle.submit(low).await.unwrap().remove(0).entry;
    asked(&mut b).await.say("some").await;
    events.until(|e| matches!(e, Event::Delta { .. })).await;
    // It has to give its slot to the active session, and goes on later.
    b.handle.submit(message(1, "now")).await.unwrap();
    let now = asked(&mut b).await;
    b.handle.replace(low, "other".into(), Origin::User).await.unwrap();
    now.finish().await;
    assert_eq!(conversation(&asked(&mut b).await), ["other"]);
}

#[tokio::test]
async fn a_turn_that_is_over_is_asked_anew_with_another_text() {
    let (front, mut events) = Events::new();
    let mut b = bench(1, 8, 1 << 20, front);
    turn(&mut b, "q1", "a1").await;
    let second = turn(&mut b, "q2", "a2").await;
    let replaced = b.handle.replace(second, "better".into(), Origin::User).await.unwrap();
    let Replaced::Asked(taken, queued) = replaced else { panic!("{replaced:?}") };
    assert_eq!((Some(taken), queued.entry, queued.ahead), (undone(second, "q2"), EntryId(3), 0));
    let anew = asked(&mut b).await;
    assert_eq!(conversation(&anew), ["q1", "a1", "better"]);
    let so_far = events.until(|e| matches!(e, Event::Queued { entry, .. } if entry.0 == 3)).await;
    assert!(so_far.contains(&Event::Notice { text: "#2 is taken back".into() }), "{so_far:?}");
    // What is taken back is not replaced once more; nor is anything while a turn runs.
    let refused = b.handle.replace(second, "again".into(), Origin::User).await.unwrap_err();
    assert_eq!(refused.to_string(), "#3 is being answered: /cancel ends it first");
    anew.finish().await;
    queued.done.await.unwrap();
    let refused = b.handle.replace(second, "again".into(), Origin::User).await.unwrap_err();
    assert_eq!(refused.to_string(), "no message #2 waits: /queue all lists what does");
    b.handle.wait(Which::All).await.unwrap();
    assert_eq!(b.store.read(PendingEntries).await.unwrap(), []);
}
