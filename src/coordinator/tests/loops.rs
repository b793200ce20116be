//! Auto-reply loops: that they end when they are ended, and only then.

use std::time::Duration;

use super::{Bench, Events, bench, message};
use crate::coordinator::{AutoWish, SwitchTo, Which};
use crate::domain::{EndState, ErrorKind, Event, ProviderError, SessionId, SessionRef};
use crate::store::{AutoReplies, PendingEntries};

/// For a broken coordinator; a whole one is waited for by what it says.
const DEADLINE: Duration = Duration::from_secs(20);

fn wish(until: Option<&str>) -> AutoWish {
    AutoWish { text: "go on".into(), max_turns: None, until: until.map(Into::into), max_time: None }
}

async fn asked(b: &mut Bench) -> super::Asked {
    tokio::time::timeout(DEADLINE, b.asked.recv()).await.expect("nothing is asked").unwrap()
}

async fn pending(b: &Bench) -> Vec<String> {
    b.store.read(PendingEntries).await.unwrap().into_iter().map(|entry| entry.text).collect()
}

fn one(session: i64) -> Which {
    Which::These(vec![SessionRef::Id(SessionId(session))])
}

#[tokio::test]
async fn a_loop_that_an_answer_ends_takes_its_waiting_auto_reply_along() {
    let (front, mut events) = Events::new();
    let mut b = bench(1, 8, 1 << 20, front);
    b.handle.submit(message(1, "first")).await.unwrap();
    b.handle.begin_auto(wish(Some("DONE"))).await.unwrap();
    b.handle.submit(message(1, "second")).await.unwrap();
    let first = asked(&mut b).await;
    first.say("a").await;
    first.finish().await;
    let second = asked(&mut b).await;
    assert_eq!(second.question(), "second");
    assert_eq!(pending(&b).await, ["go on"]);
    second.say("DONE").await;
    second.finish().await;
    let cancelled = |e: &Event| matches!(e, Event::Finished { state: EndState::Cancelled, .. });
    tokio::time::timeout(DEADLINE, events.until(cancelled)).await.expect("the auto-reply is cancelled");
    assert_eq!(pending(&b).await, Vec::<String>::new());
    assert_eq!(b.handle.auto_reply(None).await.unwrap(), None);
}

#[tokio::test]
async fn a_loop_goes_on_when_its_auto_reply_is_cancelled_between_two_attempts() {
    let (front, mut events) = Events::new();
    let mut b = bench(1, 8, 1 << 20, front);
    b.handle.submit(message(1, "first")).await.unwrap();
    b.handle.begin_auto(wish(None)).await.unwrap();
    let first = asked(&mut b).await;
    first.say("a").await;
    first.finish().await;
    let busy = ProviderError::transient(ErrorKind::Overloaded, "busy");
    asked(&mut b).await.answer.send(Err(busy)).await.unwrap();
    events.until(|e| matches!(e, Event::Retry { .. })).await;
    for ending in b.handle.cancel(Which::Active).await.unwrap() {
        ending.await.unwrap();
    }
    assert_eq!(asked(&mut b).await.question(), "go on");
    assert_eq!(b.handle.auto_reply(None).await.unwrap().map(|auto| auto.turns), Some(2));
}

#[tokio::test]
async fn closing_a_session_ends_its_loop() {
    let (front, mut events) = Events::new();
    let mut b = bench(2, 8, 1 << 20, front);
    b.handle.switch(SwitchTo::Session(SessionRef::Id(SessionId(2))), None).await.unwrap();
    b.handle.submit(message(2, "first")).await.unwrap();
    b.handle.begin_auto(wish(None)).await.unwrap();
    let first = asked(&mut b).await;
    first.say("a").await;
    b.handle.close(None).await.unwrap();
    events.until(|e| matches!(e, Event::Finished { .. })).await;
    b.handle.wait(one(2)).await.unwrap();
    assert_eq!(b.handle.auto_reply(Some(SessionRef::Id(SessionId(2)))).await.unwrap(), None);
    assert_eq!(pending(&b).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_loop_that_waits_for_the_first_answer_waits_for_it_whatever_is_resumed() {
    let (front, _events) = Events::new();
    let mut b = bench(1, 8, 1 << 20, front);
    b.handle.begin_auto(wish(None)).await.unwrap();
    b.handle.hold(Which::Active, true).await.unwrap();
    b.handle.hold(Which::Active, false).await.unwrap();
    tokio::time::timeout(DEADLINE, b.handle.wait(one(1))).await.expect("something is asked").unwrap();
    assert!(b.asked.try_recv().is_err());
    assert_eq!(pending(&b).await, Vec::<String>::new());
    b.handle.submit(message(1, "first")).await.unwrap();
    let first = asked(&mut b).await;
    assert_eq!(first.question(), "first");
    first.say("a").await;
    first.finish().await;
    assert_eq!(asked(&mut b).await.question(), "go on");
}

/// Begins a loop while the end of the first answer, which says `answer`, is being committed. `before`: there was another loop until then.
async fn begun_while_an_answer_is_committed(b: &mut Bench, before: bool, answer: &str) {
    b.handle.submit(message(1, "first")).await.unwrap();
    if before {
        b.handle.begin_auto(wish(Some("DONE"))).await.unwrap();
    }
    let first = asked(b).await;
    let disk = b.hold_up_commits();
    first.say(answer).await;
    first.finish().await;
    super::settle().await;
    let begin = b.handle.begin_auto(AutoWish { text: "anew".into(), ..wish(None) });
    let (begun, ()) = tokio::join!(begin, async {
        super::settle().await;
        drop(disk);
    });
    assert_eq!(begun.unwrap().text, "anew");
}

#[tokio::test]
async fn a_loop_in_the_place_of_one_that_an_answer_just_ended_or_went_on_with_begins() {
    for answer in ["a", "DONE"] {
        let (front, _events) = Events::new();
        let mut b = bench(1, 8, 1 << 20, front);
        begun_while_an_answer_is_committed(&mut b, true, answer).await;
        let next = asked(&mut b).await;
        assert_eq!(next.question(), "anew", "after {answer:?}");
        assert_eq!(
            b.handle.auto_reply(None).await.unwrap().map(|auto| (auto.text, auto.turns)),
            Some(("anew".into(), 1))
        );
        let kept = b.store.read(AutoReplies).await.unwrap();
        assert_eq!(kept.into_iter().map(|auto| (auto.text, auto.turns)).collect::<Vec<_>>(), [("anew".to_owned(), 1)]);
    }
}

#[tokio::test]
async fn who_waits_for_a_session_waits_for_a_loop_that_is_about_to_begin() {
    let (front, _events) = Events::new();
    let mut b = bench(1, 8, 1 << 20, front);
    begun_while_an_answer_is_committed(&mut b, false, "a").await;
    let handle = b.handle.clone();
    tokio::select! {
        biased;
        _ = handle.wait(one(1)) => panic!("nothing is waited for"),
        next = asked(&mut b) => assert_eq!(next.question(), "anew"),
    }
}

#[tokio::test]
async fn a_stop_right_behind_the_begin_of_a_loop_ends_it() {
    for answered in [false, true] {
        let (front, _events) = Events::new();
        let mut b = bench(1, 8, 1 << 20, front);
        if answered {
            b.handle.submit(message(1, "first")).await.unwrap();
            let first = asked(&mut b).await;
            first.say("a").await;
            first.finish().await;
            b.handle.wait(one(1)).await.unwrap();
        }
        let disk = b.hold_up_commits();
        let handle = b.handle.clone();
        let (begun, stopped) = tokio::join!(handle.begin_auto(wish(None)), async {
            // Behind the look at the last answer, and before the begin is committed.
            while handle.auto_reply(None).await.unwrap().is_none() {
                tokio::task::yield_now().await;
            }
            let (stopped, ()) = tokio::join!(handle.stop(Which::Active), async {
                super::settle().await;
                drop(disk);
            });
            stopped
        });
        begun.unwrap();
        assert_eq!(stopped.unwrap().loops.len(), 1);
        b.handle.wait(one(1)).await.unwrap();
        assert!(b.asked.try_recv().is_err(), "an auto-reply after the stop");
        assert_eq!(b.handle.auto_reply(None).await.unwrap(), None);
        assert_eq!(b.store.read(AutoReplies).await.unwrap(), []);
        assert_eq!(pending(&b).await, Vec::<String>::new());
    }
}
