//! What is asked again, by itself or by a person: once.

use std::time::Duration;

use super::{Events, bench, message, terminal};
use crate::coordinator::{EntryEnd, Submission, SwitchTo};
use crate::domain::{
    EndState, ErrorKind, Event, Origin, Priority, ProviderError, SessionChange, SessionId, SessionRef, Show,
};
use crate::store::{PendingEntries, Sessions};

#[tokio::test]
async fn what_waits_in_a_held_session_is_not_asked_a_second_time() {
    let (front, mut events) = Events::new();
    let mut b = bench(1, 8, 1 << 20, front);
    b.handle.submit(message(1, "q")).await.unwrap();
    let busy = ProviderError::transient(ErrorKind::RateLimited, "busy");
    let patience = ProviderError { retry_after: Some(Duration::from_secs(3_600)), ..busy };
    b.asked.recv().await.unwrap().answer.send(Err(patience)).await.unwrap();
    let so_far = events.until(|e| matches!(e, Event::Notice { text } if text.contains("held"))).await;
    let held = |e: &&Event| matches!(e, Event::Session { change: SessionChange::Held, .. });
    assert_eq!(so_far.iter().filter(held).count(), 1, "{so_far:?}");
    let refused = b.handle.retry(Origin::User).await.unwrap_err().to_string();
    assert!(refused.contains("/resume"), "{refused}");
    assert_eq!(b.store.read(PendingEntries).await.unwrap().len(), 1);
}

#[tokio::test]
async fn who_waits_for_what_a_server_holds_goes_on_once_the_journal_has_it() {
    let (front, _events) = Events::new();
    let mut b = bench(1, 8, 1 << 20, front);
    let typed = Submission { foreground: true, ..message(1, "q") };
    let queued = b.handle.submit(typed).await.unwrap().remove(0);
    let busy = ProviderError::transient(ErrorKind::RateLimited, "busy");
    let patience = ProviderError { retry_after: Some(Duration::from_secs(3_600)), ..busy };
    b.asked.recv().await.unwrap().answer.send(Err(patience)).await.unwrap();
    assert_eq!(queued.done.await, Ok(EntryEnd::Held));
    assert!(b.store.read(Sessions { closed: false }).await.unwrap()[0].held);
}

#[tokio::test]
async fn what_is_held_one_by_one_is_said_on_the_way_in() {
    let (front, mut frames) = terminal();
    let b = bench(2, 1, 1 << 20, front);
    b.handle.submit(message(1, "has the slot")).await.unwrap();
    let entry = b.handle.submit(message(2, "q")).await.unwrap()[0].entry;
    b.handle.hold_entries(vec![entry], true).await.unwrap();
    b.handle.switch(SwitchTo::Session(SessionRef::Id(SessionId(2))), None).await.unwrap();
    let said = |shows: &[Show], text: &str| shows.iter().filter(|s| matches!(s, Show::Notice(t) if t == text)).count();
    assert_eq!(said(&frames.recv().await.unwrap().shows, "#2 waits here, held: /resume 2 goes on"), 1);
}

#[tokio::test]
async fn the_end_of_a_partial_that_is_dropped_has_what_came_of_it() {
    let (front, mut events) = Events::new();
    let mut b = bench(2, 1, 1 << 20, front);
    let low = b.handle.submit(Submission { priority: Priority::Low, ..message(2, "low") }).await.unwrap().remove(0);
    let asked = b.asked.recv().await.unwrap();
    asked.say("some").await;
    events.until(|e| matches!(e, Event::Delta { .. })).await;
    // It has to give its slot to the active session.
    b.handle.submit(message(1, "now")).await.unwrap();
    let _now = b.asked.recv().await.unwrap();
    b.handle.drop_entries(vec![low.entry]).await.unwrap();
    let last = events.until(|e| matches!(e, Event::Finished { .. })).await.pop();
    assert!(
        matches!(&last, Some(Event::Finished { entry, state: EndState::Cancelled, text, .. }) if *entry == low.entry && text == "some"),
        "{last:?}"
    );
    assert_eq!(low.done.await, Ok(EntryEnd::Ended(EndState::Cancelled, None)));
}
