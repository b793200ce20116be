//! The arithmetic of waiting, for any figures: a gate and the delays between attempts.

use std::time::Duration;

use proptest::prelude::*;

use super::RetryPolicy;
use super::gate::Gate;
use super::own_clock::Own;
use super::retry::{Patience, Verdict};
use crate::domain::{ErrorKind, ProviderError, SessionId};

proptest! {
    #[test]
    fn a_gate_never_opens_earlier_than_the_longest_wish(wishes in prop::collection::vec((0_i64..10_000, any::<bool>()), 1..20)) {
        let mut gate = Gate::default();
        let mut refused = false;
        let mut longest = 0;
        for (until, refusing) in wishes {
            let changed = gate.close(Own(until), refusing);
            prop_assert_eq!(changed, gate.until() == Some(Own(until)) && (until > longest || longest == 0));
            refused |= changed && refusing;
            longest = longest.max(until);
            prop_assert_eq!(gate.until(), Some(Own(longest)));
            prop_assert_eq!(matches!(gate, Gate::Refusing(_)), refused, "what has become too long stays too long");
            prop_assert!(!gate.lets_through());
        }
        gate.pass(Own(longest - 1));
        prop_assert!(!gate.lets_through());
        gate.pass(Own(longest));
        prop_assert!(gate.lets_through());
    }

    #[test]
    fn a_slow_start_asks_one_at_a_time_until_the_slots_are_trusted(slots in 1_usize..6, taken in prop::collection::vec(any::<bool>(), 40)) {
        let mut gate = Gate::default();
        gate.close(Own(1), false);
        gate.pass(Own(1));
        let mut accepted = 0;
        for was_taken in taken {
            prop_assert!(gate.lets_through());
            gate.started(SessionId(1));
            prop_assert_eq!(gate.lets_through(), accepted >= slots);
            gate.accepted(SessionId(2), slots);
            prop_assert_eq!(gate.lets_through(), accepted >= slots, "somebody else's content proves nothing");
            if was_taken {
                gate.accepted(SessionId(1), slots);
                accepted += 1;
            } else {
                gate.let_go(SessionId(1));
            }
        }
    }

    #[test]
    fn no_wait_is_shorter_than_asked_for_or_longer_than_the_longest(
        asked in prop::option::of(0_u64..200_000),
        attempts in 1_u32..200,
        jitter in 0.0..=1.0_f64,
        roll in 0.0..1.0_f64,
    ) {
        let policy = RetryPolicy { max_attempts: 100, jitter, ..RetryPolicy::default() };
        let retry_after = asked.map(Duration::from_millis);
        let error = ProviderError { retry_after, ..ProviderError::transient(ErrorKind::RateLimited, "busy") };
        match policy.verdict(attempts, &error, roll) {
            Verdict::GiveUp => prop_assert!(attempts >= 100),
            Verdict::Hold => prop_assert!(retry_after > Some(policy.max_retry_after)),
            Verdict::Again(wait) => {
                prop_assert!(attempts < 100 && wait <= policy.longest());
                prop_assert!(retry_after.is_none_or(|asked| asked <= wait && asked <= policy.max_retry_after));
                let unasked = ProviderError { retry_after: None, ..error.clone() };
                prop_assert!(matches!(policy.verdict(attempts, &unasked, roll), Verdict::Again(own) if own <= wait));
            }
        }
        if let Some(asked) = retry_after {
            let (Patience::Wait(wait) | Patience::TooLong(wait)) = policy.patience(asked, attempts, roll);
            prop_assert!(wait >= asked);
        }
    }
}
