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
        match error.retry_after.map(|asked| self.patience(asked, roll)) {
            Some(Patience::TooLong(_)) => Verdict::Hold,
            Some(Patience::Wait(wait)) => Verdict::Again(wait),
            None => Verdict::Again(self.delay(attempts, roll)),
        }
    }

    /// What a Retry-After of `asked` comes to: never earlier than the server asks. The jitter only adds, so that what it turned
    /// away does not return at once.
    pub(super) fn patience(&self, asked: Duration, roll: f64) -> Patience {
        let wait = asked.saturating_add(self.delay(1, roll).mul_f64(self.jitter));
        if asked > self.max_retry_after { Patience::TooLong(wait) } else { Patience::Wait(wait) }
    }

    /// The longest pause that a server's wish comes to without anyone being held.
    pub(super) fn longest_patience(&self) -> Duration {
        self.max_retry_after.saturating_add(self.delay(1, 1.0).mul_f64(self.jitter))
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
        let longest = policy.patience(Duration::from_secs(120), 0.999_999);
        assert!(matches!(longest, Patience::Wait(wait) if wait <= policy.longest_patience()), "{longest:?}");
    }

    #[test]
    fn it_gives_up_in_the_end_and_on_what_cannot_mend() {
        let policy = RetryPolicy::default();
        assert_eq!(policy.verdict(5, &overloaded(None), 0.5), Verdict::GiveUp);
        assert_eq!(policy.verdict(1, &ProviderError::fatal(ErrorKind::Auth, "no"), 0.5), Verdict::GiveUp);
    }
}
