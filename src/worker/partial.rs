//! The partial answer on its way to the disk. What came is kept here until a checkpoint that holds it is committed; one
//! checkpoint is under way at a time; a checkpoint that fails (a full disk) is tried again with all that is here.
//!
//! All streams make theirs at the same ticks of the clock, so that many of them cost one transaction, and the pages that it
//! touches are written once.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::domain::limits::{CHECKPOINT_BYTES, CHECKPOINT_INTERVAL};
use crate::domain::{Clock, Delta, MessageId, Timestamp};
use crate::store::{AppendChunks, ChunkKind, Store, StoreError};

/// Bytes that may wait for the disk; at the bound the stream waits. As many again may be under way.
const MAX_UNCOMMITTED_BYTES: usize = 4 * CHECKPOINT_BYTES;

type Checkpoint = Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send>>;

pub(super) struct Partial {
    store: Store,
    answer: MessageId,
    clock: Clock,
    /// What no checkpoint has been begun for.
    fresh: Vec<Delta>,
    fresh_bytes: usize,
    /// When `fresh` has to be on its way.
    deadline: Option<Instant>,
    /// Set after a checkpoint failed: none is begun earlier.
    retry_at: Option<Instant>,
    /// The checkpoint under way and what it holds.
    under_way: Option<(Checkpoint, Vec<Delta>)>,
    /// The last checkpoint failed.
    fails: bool,
    /// That began or ended, and nobody was told yet.
    news: Option<Result<(), StoreError>>,
}

impl Partial {
    pub(super) fn new(store: Store, answer: MessageId, clock: Clock) -> Self {
        Self {
            store,
            answer,
            clock,
            fresh: Vec::new(),
            fresh_bytes: 0,
            deadline: None,
            retry_at: None,
            under_way: None,
            fails: false,
            news: None,
        }
    }

    pub(super) fn push(&mut self, delta: &Delta) {
        self.fresh_bytes += delta.text().len();
        let clock = self.clock;
        self.deadline.get_or_insert_with(|| Instant::now() + until_tick(clock.now()));
        match (self.fresh.last_mut(), delta) {
            (Some(Delta::Text(last)), Delta::Text(more)) | (Some(Delta::Reasoning(last)), Delta::Reasoning(more)) => {
                last.push_str(more);
            }
            _ => self.fresh.push(delta.clone()),
        }
    }

    /// Whether the stream has to wait for the disk.
    pub(super) const fn is_full(&self) -> bool {
        self.fresh_bytes >= MAX_UNCOMMITTED_BYTES
    }

    /// Ready when [`Partial::checkpoint`] has something to do (the one under way ended, or the next one is due), or
    /// [`Partial::take_news`]. Can be dropped and called again at any time.
    ///
    /// # Errors
    /// The answer's row is gone, or the store is closed: trying again does not help.
    pub(super) async fn due(&mut self) -> Result<(), StoreError> {
        if let Some((checkpoint, held)) = &mut self.under_way {
            let result = checkpoint.await;
            let held = std::mem::take(held);
            self.under_way = None;
            match result {
                Ok(()) if std::mem::take(&mut self.fails) => self.news = Some(Ok(())),
                Ok(()) => {}
                Err(error) => {
                    self.put_back(held);
                    if !matches!(error, StoreError::Unusable { .. }) {
                        return Err(error);
                    }
                    if !std::mem::replace(&mut self.fails, true) {
                        tracing::warn!(answer = %self.answer, %error, "a checkpoint failed and will be tried again");
                        self.news = Some(Err(error));
                    }
                }
            }
            if self.news.is_some() {
                return Ok(());
            }
            if self.fresh.is_empty() {
                return std::future::pending().await;
            }
        }
        if let Some(at) = self.retry_at {
            sleep_until(at).await;
            return Ok(());
        }
        match self.deadline {
            _ if self.fresh_bytes >= CHECKPOINT_BYTES => {}
            Some(deadline) => sleep_until(deadline).await,
            None => std::future::pending().await,
        }
        Ok(())
    }

    /// That checkpoints began to fail, or work again.
    pub(super) const fn take_news(&mut self) -> Option<Result<(), StoreError>> {
        self.news.take()
    }

    /// Begins a checkpoint of all that waits.
    pub(super) fn checkpoint(&mut self) {
        if self.under_way.is_some() || self.fresh.is_empty() {
            return;
        }
        let chunks = std::mem::take(&mut self.fresh);
        self.fresh_bytes = 0;
        self.deadline = None;
        self.retry_at = None;
        let commit = self
            .store
            .submit(AppendChunks { answer: self.answer, chunks: chunks.iter().cloned().map(chunk).collect() });
        self.under_way = Some((Box::pin(commit), chunks));
    }

    /// Waits for the checkpoint under way and gives back what is not on the disk.
    pub(super) async fn take_tail(&mut self) -> Vec<Delta> {
        if let Some((checkpoint, held)) = self.under_way.take()
            && checkpoint.await.is_err()
        {
            self.put_back(held);
        }
        std::mem::take(&mut self.fresh)
    }

    fn put_back(&mut self, mut held: Vec<Delta>) {
        held.append(&mut self.fresh);
        self.fresh = held;
        self.fresh_bytes = self.fresh.iter().map(|delta| delta.text().len()).sum();
        // Not at once: a disk that is full stays so for a while.
        self.retry_at = Some(Instant::now() + CHECKPOINT_INTERVAL);
    }
}

/// From `now` to the next tick: never longer than [`CHECKPOINT_INTERVAL`], never nothing.
fn until_tick(now: Timestamp) -> Duration {
    let interval = i64::try_from(CHECKPOINT_INTERVAL.as_millis()).unwrap_or(i64::MAX);
    Duration::from_millis((interval - now.0.rem_euclid(interval)).unsigned_abs())
}

/// A piece as the store takes it.
pub fn chunk(delta: Delta) -> (ChunkKind, String) {
    match delta {
        Delta::Text(text) => (ChunkKind::Text, text),
        Delta::Reasoning(text) => (ChunkKind::Reasoning, text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_tick_is_never_further_than_the_interval() {
        let check = |now, ms| assert_eq!(until_tick(Timestamp(now)), Duration::from_millis(ms), "{now}");
        check(0, 100);
        check(1, 99);
        check(1_735_689_600_099, 1);
        check(1_735_689_600_100, 100);
        check(-1, 1);
    }
}
