//! Who comes first among sessions that could start: see the module's docs. Static while an entry waits, so that it can stand in a
//! sorted set.

use std::time::Duration;

use super::own_clock::{Own, millis};
use crate::domain::{Priority, SessionId};

/// Steps down for a session that is not the active one: a background `high` stands behind an active `low` of the same moment.
const BACKGROUND_STEPS: i64 = 3;

/// The smallest comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    /// Steps that no waiting makes up for: a slot was freed for it (0), or, without ageing, the priority itself.
    class: i64,
    /// On the queue's own clock, in milliseconds.
    arrival: i64,
    pub(super) session: SessionId,
}

impl Rank {
    pub(super) fn new(
        session: SessionId,
        priority: Priority,
        arrival: Own,
        active: bool,
        promised: bool,
        ageing: Duration,
    ) -> Self {
        let steps = steps(priority) + if active { 0 } else { BACKGROUND_STEPS };
        let (class, arrival) = match millis(ageing) {
            0 => (1 + steps, arrival.0),
            ageing => (1, arrival.0.saturating_add(ageing.saturating_mul(steps))),
        };
        Self { class: if promised { 0 } else { class }, arrival, session }
    }
}

const fn steps(priority: Priority) -> i64 {
    match priority {
        Priority::High => 0,
        Priority::Normal => 1,
        Priority::Low => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGEING: Duration = Duration::from_secs(30);

    fn rank(active: bool, priority: Priority, arrival_s: i64, ageing: Duration) -> Rank {
        Rank::new(SessionId(1), priority, Own(arrival_s * 1_000), active, false, ageing)
    }

    #[test]
    fn thirty_seconds_are_worth_a_step() {
        let earlier_by = |seconds: i64, low: (bool, Priority), high: (bool, Priority)| {
            rank(low.0, low.1, 1_000 - seconds, AGEING) < rank(high.0, high.1, 1_000, AGEING)
        };
        let check = |low, high, seconds| {
            assert!(!earlier_by(seconds, low, high), "{low:?} before {high:?} after {seconds} s already");
            assert!(earlier_by(seconds + 1, low, high), "{low:?} not before {high:?} after more than {seconds} s");
        };
        use Priority::{High, Low, Normal};
        check((false, Normal), (false, High), 30);
        check((false, Low), (false, High), 60);
        check((false, High), (true, Low), 30);
        check((false, Low), (true, High), 150);
    }

    #[test]
    fn without_ageing_waiting_makes_no_rank() {
        let (low, high) =
            (rank(false, Priority::Low, 0, Duration::ZERO), rank(true, Priority::High, 9_999, Duration::ZERO));
        assert!(high < low);
    }

    #[test]
    fn what_was_promised_comes_first() {
        let promised = Rank::new(SessionId(9), Priority::Normal, Own(99_000), true, true, AGEING);
        assert!(promised < rank(true, Priority::High, 0, AGEING));
        assert!(promised < rank(true, Priority::High, 0, Duration::ZERO));
    }
}
