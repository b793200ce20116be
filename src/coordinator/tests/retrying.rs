//! What is asked again, by itself or by a person: once.

use std::time::Duration;

use super::{Events, bench, message};
use crate::domain::{ErrorKind, Event, Origin, ProviderError};
use crate::store::PendingEntries;

#[tokio::test]
async fn what_waits_in_a_held_session_is_not_asked_a_second_time() {
    let (front, mut events) = Events::new();
    let mut b = bench(1, 8, 1 << 20, front);
    b.handle.submit(message(1, "q")).await.unwrap();
    let busy = ProviderError::transient(ErrorKind::RateLimited, "busy");
    let patience = ProviderError { retry_after: Some(Duration::from_secs(3_600)), ..busy };
    b.asked.recv().await.unwrap().answer.send(Err(patience)).await.unwrap();
    events.until(|e| matches!(e, Event::Notice { text } if text.contains("held"))).await;
    let refused = b.handle.retry(Origin::User).await.unwrap_err().to_string();
    assert!(refused.contains("/resume"), "{refused}");
    assert_eq!(b.store.read(PendingEntries).await.unwrap().len(), 1);
}
