//! Order, one turn at a time, and the idle event behind the commit.

use futures_util::future::join_all;

use super::{Events, bench, message};
use crate::coordinator::{EntryEnd, Which};
use crate::domain::{AnswerState, EndState, ErrorKind, Event, ProviderError, SessionId, SessionRef};
use crate::store::History;

#[tokio::test]
async fn ten_messages_at_once_are_answered_one_by_one_in_order() {
    let (front, mut events) = Events::new();
    let mut b = bench(1, 8, 1 << 20, front);
    let texts: Vec<String> = (0..10).map(|i| format!("m{i}")).collect();
    let queued = join_all(texts.iter().map(|text| b.handle.submit(message(1, text)))).await;
    assert!(queued.iter().all(Result::is_ok));
    for text in &texts {
        let asked = b.asked.recv().await.unwrap();
        assert_eq!(asked.question(), text);
        assert!(b.asked.try_recv().is_err(), "two turns at once");
        asked.say("ok").await;
        asked.finish().await;
    }
    b.handle.wait(Which::All).await.unwrap();
    let events = events.until(|e| matches!(e, Event::Idle { .. })).await;
    assert!(matches!(events[0], Event::Queued { ahead: 0, .. }));
    let history = b.store.read(History { session: SessionId(1), last: 100 }).await.unwrap();
    let questions: Vec<_> = history.iter().step_by(2).map(|m| m.text.clone()).collect();
    assert_eq!(questions, texts);
}

#[tokio::test]
async fn each_question_is_asked_with_its_own_conversation() {
    let (front, _events) = Events::new();
    let mut b = bench(2, 8, 1 << 20, front);
    for round in 0..3 {
        for session in [1, 2] {
            b.handle.submit(message(session, &format!("q{session}.{round}"))).await.unwrap();
            let asked = b.asked.recv().await.unwrap();
            let expected: Vec<String> =
                (0..=round).flat_map(|r| [format!("q{session}.{r}"), format!("a{session}.{r}")]).collect();
            let got: Vec<_> = asked.request.messages.iter().map(|m| m.text.clone()).collect();
            assert_eq!(got, expected[..expected.len() - 1]);
            asked.say(&format!("a{session}.{round}")).await;
            asked.finish().await;
            b.handle.wait(Which::All).await.unwrap();
        }
    }
}

#[tokio::test]
async fn the_idle_event_follows_the_commit() {
    let (front, mut events) = Events::new();
    let mut b = bench(1, 8, 1 << 20, front);
    b.handle.submit(message(1, "q")).await.unwrap();
    let asked = b.asked.recv().await.unwrap();
    asked.say("whole").await;
    asked.finish().await;
    events.until(|e| matches!(e, Event::Idle { .. })).await;
    let history = b.store.read(History { session: SessionId(1), last: 1 }).await.unwrap();
    assert_eq!((history[0].text.as_str(), history[0].state), ("whole", AnswerState::Complete));
}

#[tokio::test]
async fn sessions_stream_side_by_side_up_to_the_slots() {
    let (front, _events) = Events::new();
    let mut b = bench(4, 3, 1 << 20, front);
    for session in 1..=4 {
        b.handle.submit(message(session, "q")).await.unwrap();
    }
    let mut open = Vec::new();
    for _ in 0..3 {
        open.push(b.asked.recv().await.unwrap());
    }
    b.handle.views().await.unwrap();
    assert!(b.asked.try_recv().is_err(), "a fourth stream with three slots");
    open.pop().unwrap().finish().await;
    open.push(b.asked.recv().await.unwrap());
    for asked in open {
        asked.finish().await;
    }
    b.handle.wait(Which::All).await.unwrap();
}

#[tokio::test]
async fn a_cut_keeps_the_partial_and_the_next_message_has_it() {
    let (front, mut events) = Events::new();
    let mut b = bench(1, 8, 1 << 20, front);
    let mut queued = b.handle.submit(message(1, "q")).await.unwrap();
    let asked = b.asked.recv().await.unwrap();
    asked.say("half of").await;
    let cut = ProviderError::transient(ErrorKind::Transport, "connection reset");
    asked.answer.send(Err(cut)).await.unwrap();
    let end = queued.pop().unwrap().done.await.unwrap();
    assert!(matches!(end, EntryEnd::Ended(EndState::Interrupted, Some(_))));
    let finished = events.until(|e| matches!(e, Event::Finished { .. })).await.pop().unwrap();
    assert!(matches!(finished, Event::Finished { text, .. } if text == "half of"));
    b.handle.submit(message(1, "and?")).await.unwrap();
    let asked = b.asked.recv().await.unwrap();
    let conversation: Vec<_> = asked.request.messages.iter().map(|m| m.text.as_str()).collect();
    assert_eq!(conversation, ["q", "half of", "and?"]);
}

#[tokio::test]
async fn cancel_keeps_the_partial_and_goes_on_with_the_queue() {
    let (front, mut events) = Events::new();
    let mut b = bench(1, 8, 1 << 20, front);
    b.handle.submit(message(1, "long")).await.unwrap();
    b.handle.submit(message(1, "next")).await.unwrap();
    let asked = b.asked.recv().await.unwrap();
    asked.say("some").await;
    events.until(|e| matches!(e, Event::Delta { .. })).await;
    for ending in b.handle.cancel(Which::Active).await.unwrap() {
        ending.await.unwrap();
    }
    let finished = events.until(|e| matches!(e, Event::Finished { .. })).await.pop().unwrap();
    let Event::Finished { state, text, .. } = finished else { panic!() };
    assert_eq!((state, text.as_str()), (EndState::Cancelled, "some"));
    assert_eq!(b.asked.recv().await.unwrap().question(), "next");
}

#[tokio::test]
async fn stop_holds_what_waits_and_resume_goes_on() {
    let (front, _events) = Events::new();
    let mut b = bench(1, 8, 1 << 20, front);
    b.handle.submit(message(1, "long")).await.unwrap();
    let next = crate::coordinator::Submission { foreground: true, ..message(1, "next") };
    let mut waits = b.handle.submit(next).await.unwrap();
    let _asked = b.asked.recv().await.unwrap();
    let held = b.handle.stop(Which::Active).await.unwrap();
    assert_eq!(held.changed, [SessionId(1)]);
    for ending in held.endings {
        ending.await.unwrap();
    }
    assert_eq!(waits.pop().unwrap().done.await, Ok(EntryEnd::Held));
    assert_eq!(b.handle.wait(Which::All).await.unwrap().held, [SessionId(1)]);
    assert!(b.asked.try_recv().is_err());
    b.handle.hold(Which::Active, false).await.unwrap();
    assert_eq!(b.asked.recv().await.unwrap().question(), "next");
}

#[tokio::test]
async fn a_stop_with_nothing_behind_it_leaves_the_session_open() {
    let (front, _events) = Events::new();
    let mut b = bench(1, 8, 1 << 20, front);
    b.handle.submit(message(1, "long")).await.unwrap();
    let _asked = b.asked.recv().await.unwrap();
    assert!(b.handle.stop(Which::Active).await.unwrap().changed.is_empty());
    b.handle.submit(message(1, "next")).await.unwrap();
    assert_eq!(b.asked.recv().await.unwrap().question(), "next");
}

#[tokio::test]
async fn quitting_keeps_partials_and_what_waits() {
    let (front, _events) = Events::new();
    let mut b = bench(2, 8, 1 << 20, front);
    b.handle.submit(message(1, "long")).await.unwrap();
    b.handle.submit(message(1, "next")).await.unwrap();
    b.handle.submit(message(2, "silent")).await.unwrap();
    // Two sessions: either may be asked first.
    let asked = [b.asked.recv().await.unwrap(), b.asked.recv().await.unwrap()];
    let long = asked.iter().find(|asked| asked.question() == "long").unwrap();
    long.say("some").await;
    // The delta is on its way: quitting commits what came all the same.
    while b.store.read(History { session: SessionId(1), last: 1 }).await.unwrap()[0].text.is_empty() {
        tokio::task::yield_now().await;
    }
    b.handle.quit(None).await.unwrap();
    let first = b.store.read(History { session: SessionId(1), last: 9 }).await.unwrap();
    assert_eq!((first[1].text.as_str(), first[1].state), ("some", AnswerState::Interrupted));
    let pending = b.store.read(crate::store::PendingEntries).await.unwrap();
    let texts: Vec<_> = pending.iter().map(|entry| entry.text.as_str()).collect();
    assert_eq!(texts, ["next", "silent"]);
    let figures = b.store.read(crate::store::StatsOf { session: None }).await.unwrap();
    assert_eq!((figures.interrupted, figures.preemptions), (1, 0), "nothing had to give way");
}

#[tokio::test]
async fn a_message_for_several_sessions_goes_to_all_or_none() {
    let (front, _events) = Events::new();
    let mut b = bench(2, 8, 1 << 20, front);
    let to = |ids: &[i64]| Which::These(ids.iter().map(|&id| SessionRef::Id(SessionId(id))).collect());
    let wrong = crate::coordinator::Submission { to: to(&[1, 9]), ..message(1, "x") };
    assert!(b.handle.submit(wrong).await.is_err());
    let right = crate::coordinator::Submission { to: to(&[2, 1, 2]), ..message(1, "y") };
    assert_eq!(b.handle.submit(right).await.unwrap().len(), 2);
    let asked = [b.asked.recv().await.unwrap(), b.asked.recv().await.unwrap()];
    assert!(asked.iter().all(|asked| asked.question() == "y"));
    assert!(b.asked.try_recv().is_err());
}
