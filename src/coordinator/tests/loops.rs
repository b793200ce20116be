//! Auto-reply loops: that they end when they are ended, and only then.

use std::time::Duration;

use super::{Bench, Events, bench, message};
use crate::coordinator::{AutoWish, SwitchTo, Which};
use crate::domain::{EndState, ErrorKind, Event, ProviderError, SessionId, SessionRef};
use crate::store::PendingEntries;

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
