//! How long a turn has brought no content: said every [`INTERVAL`], and never while content comes.

use std::pin::Pin;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// Between two reports of one turn, and from the last content to the first of them. From the contract of `--json`'s `progress`.
pub(super) const INTERVAL: Duration = Duration::from_secs(10);

/// The time since the last content, or since the start of the attempt, and the one timer that reports it.
pub(super) struct Silence {
    since: Instant,
    timer: Pin<Box<Sleep>>,
}

impl Silence {
    pub(super) fn new(since: Instant) -> Self {
        Self { since, timer: Box::pin(sleep_until(since + INTERVAL)) }
    }

    /// Content came. That puts the timer off, which wakes nobody.
    pub(super) fn ended(&mut self) {
        self.since = Instant::now();
        self.timer.as_mut().reset(self.since + INTERVAL);
    }

    /// Waits until the silence is to be reported, and says how long it is. Can be dropped and called again at any time.
    pub(super) async fn due(&mut self) -> Duration {
        self.timer.as_mut().await;
        self.timer.as_mut().reset(Instant::now() + INTERVAL);
        self.since.elapsed()
    }
}
