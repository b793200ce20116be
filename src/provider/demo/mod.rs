//! The embedded model: offline, without a key, and behind the same trait as every other, so that all of chatmux can be
//! tried, tested and measured on a machine that has nothing. `demo:tour` shows chatmux to the person who types;
//! `demo:echo` gives the question back, byte for byte. Parameters behind a `?` set the pace and make it fail as real
//! providers do:
//!
//! | parameter | means |
//! |---|---|
//! | `delay=20ms` | between two chunks (tour: 30 ms, echo: none) |
//! | `first=1s` | before the first chunk |
//! | `alive=1` | meanwhile it shows every second that it lives |
//! | `chunk=4` | characters of a chunk; else a word with its blanks |
//! | `repeat=3` | the text that many times |
//! | `words=100` | filler of that many words instead of an answer |
//! | `think=TEXT`, `think=1` | reasoning first; `+` is a blank |
//! | `fail=429`, `fail=429x2` | that status, on each attempt or the first two |
//! | `fail=cut@5` | the stream ends after 5 chunks without a stop reason |
//! | `fail=reset@5`, `fail=stall@5` | the connection breaks, or nothing more comes |
//! | `fail=429x2,cut@5x1` | one after the other |
//! | `retry_after=2s` | what a failing status asks for |
//!
//! The same request gives the same answer: nothing is remembered between requests, and no chance is involved. When the last
//! message is the beginning of an answer, the answer goes on from there: with `fail=cut@5x1` the first attempt breaks off and
//! the second one makes it whole. Usage counts words, for there are no tokens here.

mod params;
mod play;
#[cfg(test)]
mod tests;
mod topics;
mod tour;

use futures_util::stream;

use super::{Pieces, Provider, Request, Timeouts};
use play::Play;

/// The embedded provider.
#[derive(Debug, Clone, Copy)]
pub struct Demo {
    timeouts: Timeouts,
}

impl Demo {
    /// A demo that gives up a stalled stream (`fail=stall@N`) after `timeouts.idle`, as the other providers do.
    pub const fn new(timeouts: Timeouts) -> Self {
        Self { timeouts }
    }
}

impl Provider for Demo {
    fn stream(&self, request: Request) -> Pieces {
        let play = Play::new(request, self.timeouts.idle);
        Box::pin(stream::unfold(play, |mut play| async move { play.next().await.map(|piece| (piece, play)) }))
    }
}
