//! The clock of an answer: how long it is silent, and which limit that reaches. The rules stand in [`super::answer`].

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// How long content may follow a stop reason or an end mark while the connection stays open. Servers that name a stop reason in
/// every event have been seen to pause for 3 s; servers that neither send an end mark nor close are rare, so that few wait for it.
const AFTER_FINISH: Duration = Duration::from_secs(10);
/// Between two signs of life that are passed on.
const ALIVE_INTERVAL: Duration = Duration::from_secs(1);

/// How long what may be the beginning of a key is withheld when nothing follows: servers are seldom slower from token to token, and a
/// letter that comes later is hardly seen.
const WITHHELD_FOR: Duration = Duration::from_millis(300);

/// How long to wait for what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Without content.
    pub(crate) first: Duration,
    /// Without a byte, after the first content.
    pub(crate) idle: Duration,
}

/// Which wait is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Limit {
    /// [`WITHHELD_FOR`].
    Withheld,
    /// For content behind the stop reason.
    Finish,
    /// [`Limits::idle`].
    Idle,
    /// [`Limits::first`].
    First,
}

/// The clock of an answer. Waits run from the first poll that finds nothing: a consumer that pauses is no silence of the server.
#[derive(Debug, Default)]
pub(super) struct Silence {
    /// Made at the first wait. It is not set anew for each piece, which would cost more than the piece: when it rings too early it is
    /// set to the rest.
    timer: Option<Pin<Box<Sleep>>>,
    since_content: Option<Instant>,
    since_byte: Option<Instant>,
    had_content: bool,
    bytes: u64,
    /// Bytes at the last content.
    content_bytes: u64,
    /// Bytes came that were not told yet.
    is_alive: bool,
    told_alive: Option<Instant>,
}

impl Silence {
    /// Content came, with which `bytes` have come.
    pub(super) fn content(&mut self, bytes: u64) {
        (self.since_content, self.since_byte) = (None, None);
        self.content_bytes = bytes;
        self.had_content = true;
        self.is_alive = false;
    }

    /// The wait for content begins anew.
    pub(super) const fn begin_anew(&mut self) {
        self.since_content = None;
    }

    /// Whether any content came.
    pub(super) const fn had_content(&self) -> bool {
        self.had_content
    }

    /// Of the `bytes` that came, those behind the last content.
    pub(super) const fn silent_bytes(&self, bytes: u64) -> u64 {
        bytes - self.content_bytes
    }

    /// Nothing is there at the moment, and `bytes` came so far. Says whether a sign of life is to be told now.
    pub(super) fn waits(&mut self, bytes: u64) -> bool {
        if bytes != self.bytes {
            self.bytes = bytes;
            self.since_byte = None;
            // Content that came with them has been taken and said so.
            self.is_alive |= self.since_content.is_some();
        }
        let now = self.since_byte.unwrap_or_else(Instant::now);
        (self.since_content, self.since_byte) = (self.since_content.or(Some(now)), Some(now));
        let is_due = self.told_alive.is_none_or(|told| now >= told + ALIVE_INTERVAL);
        if self.is_alive && is_due {
            (self.is_alive, self.told_alive) = (false, Some(now));
            return true;
        }
        false
    }

    /// Ready with the limit that is reached. To be asked after [`Silence::waits`]. `withholds`: whether content is withheld.
    pub(super) fn poll(
        &mut self,
        limits: Limits,
        has_stopped: bool,
        withholds: bool,
        cx: &mut Context<'_>,
    ) -> Poll<Limit> {
        let (Some(content), Some(byte)) = (self.since_content, self.since_byte) else { return Poll::Pending };
        let end = if has_stopped {
            // Before any content a stop reason may be one of those that stand in every event.
            let limit = if self.had_content { AFTER_FINISH } else { limits.first };
            (content + limit.min(limits.idle), Limit::Finish)
        } else if self.had_content {
            (byte + limits.idle, Limit::Idle).min((content + limits.first, Limit::First))
        } else {
            (content + limits.first, Limit::First)
        };
        let withheld = withholds.then_some((content + WITHHELD_FOR, Limit::Withheld));
        let (deadline, limit) = withheld.map_or(end, |withheld| withheld.min(end));
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        // It must never ring too late; too early is put right below.
        if timer.deadline() > deadline {
            timer.as_mut().reset(deadline);
        }
        while timer.as_mut().poll(cx).is_ready() {
            if timer.deadline() >= deadline {
                return Poll::Ready(limit);
            }
            timer.as_mut().reset(deadline);
        }
        Poll::Pending
    }
}
