//! The queue's own clock: it follows the wall clock forwards and stands still where that goes back, so that who waits neither
//! loses its rank nor waits longer when the clock is set. A jump forwards (a machine that slept) counts as waiting.

use std::time::Duration;

use crate::domain::Timestamp;

/// A point on the queue's own clock, in milliseconds since the first event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Own(pub(super) i64);

impl Own {
    pub(super) fn plus(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(millis(wait)))
    }
}

/// A length in whole milliseconds.
pub(super) fn millis(length: Duration) -> i64 {
    i64::try_from(length.as_millis()).unwrap_or(i64::MAX)
}

#[derive(Debug, Default)]
pub(super) struct OwnClock {
    own: i64,
    /// The wall clock at that moment; `None` before the first event.
    wall: Option<Timestamp>,
}

impl OwnClock {
    /// The wall clock says `now`.
    pub(super) fn follow(&mut self, now: Timestamp) {
        self.own = self.at(now).0;
        self.wall = Some(now);
    }

    /// What this clock will say when it is told `now`.
    fn at(&self, now: Timestamp) -> Own {
        let before = self.wall.unwrap_or(now);
        Own(self.own.saturating_add(now.0.saturating_sub(before.0).max(0)))
    }

    /// How long after `now` it will be `due`. None at all when the wall clock was set back: it has to be followed first.
    pub(super) fn until(&self, due: Own, now: Timestamp) -> Duration {
        let left = due.0.saturating_sub(self.at(now).0).max(0).unsigned_abs();
        if self.wall.is_some_and(|before| now < before) { Duration::ZERO } else { Duration::from_millis(left) }
    }

    pub(super) const fn now(&self) -> Own {
        Own(self.own)
    }

    /// When something happened of which the wall clock's time was kept: now, if that is still to come.
    pub(super) fn past(&self, at: Timestamp) -> Own {
        let ago = self.wall.map_or(Duration::ZERO, |now| now.since(at));
        Own(self.own.saturating_sub(millis(ago)))
    }

    /// When something is due, `longest` from now at the latest: no wait is longer than the ones that we begin, so what seems to
    /// be is the work of a clock that was set.
    pub(super) fn due(&self, at: Timestamp, longest: Duration) -> Own {
        let wait = self.wall.map_or(Duration::ZERO, |now| at.since(now));
        self.now().plus(wait.min(longest))
    }

    /// What the wall clock will say then, if nobody sets it.
    pub(super) fn wall_at(&self, own: Own) -> Timestamp {
        let now = self.wall.unwrap_or(Timestamp(0));
        Timestamp(now.0.saturating_add(own.0.saturating_sub(self.own)))
    }
}
