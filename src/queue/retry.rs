//! When to ask again: pure arithmetic; the roll of the dice is an argument.

use std::time::Duration;

use crate::domain::ProviderError;

/// `[retry]` of the configuration. The defaults: 5 attempts, 1 s, ×1.5, a fifth of jitter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RetryPolicy {
    /// Attempts in all, the first included.
    pub max_attempts: u32,
    /// Before the second attempt.
    pub initial_delay: Duration,
    /// Each further delay is this much longer.
    pub multiplier: f64,
    /// No computed delay is longer; what a server asks for may be.
    pub max_delay: Duration,
    /// Share of the delay by which it varies up and down, `0.0..=1.0`.
    pub jitter: f64,
    /// What a server may ask for at most; beyond it the session is held.
    pub max_retry_after: Duration,
    /// An answer that breaks off in the middle is continued by itself (`retry.mid_stream`); else what came of it is the answer.
    pub continue_mid_stream: bool,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            max_attempts: 5,
            initial_delay: Duration::from_secs(1),
            multiplier: 1.5,
            max_delay: Duration::from_secs(30),
            jitter: 0.2,
            max_retry_after: Duration::from_secs(120),
            continue_mid_stream: false,
        }
    }
}

/// What a server's wish for patience comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// Wait that long.
    Wait(Duration),
    /// It asks for more than is allowed.
    TooLong(Duration),
}

/// What follows a failed attempt that brought no text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Ask again after this.
    Again(Duration),
    /// The server asks for more patience than is allowed: hold, and say until when.
    Hold,
    /// A dead letter.
    GiveUp,
}

impl RetryPolicy {
    /// What follows the failure of the `attempts`-th attempt. `roll` is in `0.0..1.0`; 0.5 means no jitter.
    pub(super) fn verdict(&self, attempts: u32, error: &ProviderError, roll: f64) -> Verdict {
        if !error.retryable || attempts >= self.max_attempts {
            return Verdict::GiveUp;
        }
        match error.retry_after.map(|asked| self.patience(asked, attempts, roll)) {
            Some(Patience::TooLong(_)) => Verdict::Hold,
            Some(Patience::Wait(wait)) => Verdict::Again(wait.max(self.delay(attempts, roll))),
            None => Verdict::Again(self.delay(attempts, roll)),
        }
    }

    /// What a Retry-After of `asked` comes to after the `attempts`-th attempt: never earlier than the server asks, and never a shorter
    /// pause than without it. Servers send 0, and a date is past where the clocks differ. To what is asked the jitter only adds, so that
    /// what the server turned away does not return at once. A gate's own pause is cut to [`Self::longest_patience`], for a longer one
    /// in the journal is a refusal.
    pub(super) fn patience(&self, asked: Duration, attempts: u32, roll: f64) -> Patience {
        let own = self.delay(attempts, roll).min(self.longest_patience());
        let wait = self.after_asked(asked, roll).max(own);
        if asked > self.max_retry_after { Patience::TooLong(wait) } else { Patience::Wait(wait) }
    }

    fn after_asked(&self, asked: Duration, roll: f64) -> Duration {
        asked.saturating_add(self.delay(1, roll).mul_f64(self.jitter))
    }

    /// The longest pause that a server's wish comes to without anyone being held.
    pub(super) fn longest_patience(&self) -> Duration {
        self.after_asked(self.max_retry_after, 1.0)
    }

    /// The longest wait for another attempt that this policy begins.
    pub(super) fn longest(&self) -> Duration {
        let own = self.max_delay.max(self.initial_delay).mul_f64(1.0 + self.jitter);
        own.saturating_add(self.max_retry_after)
    }

    fn delay(&self, attempts: u32, roll: f64) -> Duration {
        let grown = self.initial_delay.as_secs_f64() * self.multiplier.powi(attempts.saturating_sub(1).min(64) as i32);
        let capped = grown.min(self.max_delay.as_secs_f64());
        Duration::from_secs_f64(capped * (1.0 + self.jitter * (2.0 * roll - 1.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ErrorKind;

    fn overloaded(retry_after: Option<u64>) -> ProviderError {
        let retry_after = retry_after.map(Duration::from_secs);
        ProviderError { retry_after, ..ProviderError::transient(ErrorKind::Overloaded, "busy") }
    }

    #[test]
    fn delays_grow_up_to_the_cap() {
        let policy = RetryPolicy { max_attempts: 100, ..RetryPolicy::default() };
        let check = |attempts, ms| {
            assert_eq!(
                policy.verdict(attempts, &overloaded(None), 0.5),
                Verdict::Again(Duration::from_millis(ms)),
                "after attempt {attempts}"
            );
        };
        check(1, 1_000);
        check(2, 1_500);
        check(3, 2_250);
        check(20, 30_000);
        check(99, 30_000);
    }

    #[test]
    fn jitter_stays_within_its_share() {
        let policy = RetryPolicy::default();
        assert_eq!(policy.verdict(1, &overloaded(None), 0.0), Verdict::Again(Duration::from_millis(800)));
        let Verdict::Again(longest) = policy.verdict(1, &overloaded(None), 0.999_999) else { panic!() };
        assert!(longest <= Duration::from_millis(1_200));
    }

    #[test]
    fn the_server_is_obeyed_up_to_the_bound() {
        let policy = RetryPolicy { jitter: 0.0, ..RetryPolicy::default() };
        assert_eq!(policy.verdict(1, &overloaded(Some(7)), 0.3), Verdict::Again(Duration::from_secs(7)));
        assert_eq!(policy.verdict(1, &overloaded(Some(121)), 0.3), Verdict::Hold);
        let policy = RetryPolicy::default();
        for attempts in [1, 20] {
            let longest = policy.patience(Duration::from_secs(120), attempts, 0.999_999);
            assert!(matches!(longest, Patience::Wait(wait) if wait <= policy.longest_patience()), "{longest:?}");
        }
        let impatient = RetryPolicy { max_retry_after: Duration::from_secs(1), ..policy };
        let longest = impatient.patience(Duration::ZERO, 20, 0.999_999);
        assert!(matches!(longest, Patience::Wait(wait) if wait <= impatient.longest_patience()), "{longest:?}");
        assert_eq!(impatient.verdict(4, &overloaded(Some(0)), 0.5), Verdict::Again(Duration::from_millis(3_375)));
    }

    #[test]
    fn what_the_server_asks_lengthens_the_growing_pauses_and_never_shortens_them() {
        let policy = RetryPolicy { max_attempts: 100, ..RetryPolicy::default() };
        // In milliseconds; without chance the pauses are 1,000, 1,500, 2,250 … 30,000, and to what is asked 200 are added.
        let check = |asked_ms, attempts, expected_ms| {
            let asked = Duration::from_millis(asked_ms);
            let error = ProviderError { retry_after: Some(asked), ..overloaded(None) };
            let expected = Duration::from_millis(expected_ms);
            assert_eq!(policy.verdict(attempts, &error, 0.5), Verdict::Again(expected), "{asked:?} after {attempts}");
            assert_eq!(policy.patience(asked, attempts, 0.5), Patience::Wait(expected), "the gate waits as long");
        };
        for short_ms in [0, 1, 799] {
            check(short_ms, 1, 1_000);
            check(short_ms, 2, 1_500);
            check(short_ms, 4, 3_375);
            check(short_ms, 20, 30_000);
        }
        check(801, 1, 1_001);
        check(1_299, 2, 1_500);
        check(1_301, 2, 1_501);
        check(7_000, 1, 7_200);
        check(7_000, 20, 30_000);
        check(60_000, 20, 60_200);
        // With the least luck and with the most.
        for (roll, expected_ms) in [(0.0, 800), (1.0, 1_200)] {
            let least = Verdict::Again(Duration::from_millis(expected_ms));
            assert_eq!(policy.verdict(1, &overloaded(Some(0)), roll), least, "{roll}");
        }
    }

    #[test]
    fn it_gives_up_in_the_end_and_on_what_cannot_mend() {
        let policy = RetryPolicy::default();
        assert_eq!(policy.verdict(5, &overloaded(None), 0.5), Verdict::GiveUp);
        assert_eq!(policy.verdict(1, &ProviderError::fatal(ErrorKind::Auth, "no"), 0.5), Verdict::GiveUp);
    }
}
