//! What a process left in a queue when it ended, and what becomes of it. Pure: the store and the simulation of the queue both ask here.

/// Which entries are let go of those that were set aside when their process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LetGo {
    /// None: a person decides (`on_start = "hold"`).
    Nothing,
    /// Those that were never sent, and those whose last request the server answered with a failure or never got (`chatmux work`).
    NeverSent,
    /// All, also those that were sent and not answered, until they are out of attempts (`on_start = "resume"`).
    All {
        /// `retry.max_attempts`. An attempt that ended with its process counts.
        max_attempts: u32,
    },
}

/// What becomes of an entry that was set aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It stays held until a person lets it go.
    StaysHeld,
    /// It waits for its turn.
    Waits,
    /// It waits for its turn although it was sent before: the person is told.
    SentAgain,
    /// It becomes a dead letter.
    Dead,
}

impl LetGo {
    /// What becomes of an entry. `unanswered`: it was sent, and its process ended before any text of the answer
    /// ([`super::ErrorKind::Unanswered`]), under way or between two attempts ([`super::StoredError::left_unanswered`]). `attempts`: begun so far, that one included.
    pub const fn fate(self, unanswered: bool, attempts: u32) -> Fate {
        match (self, unanswered) {
            (Self::Nothing, _) | (Self::NeverSent, true) => Fate::StaysHeld,
            (Self::NeverSent | Self::All { .. }, false) => Fate::Waits,
            (Self::All { max_attempts }, true) if attempts >= max_attempts => Fate::Dead,
            (Self::All { .. }, true) => Fate::SentAgain,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ErrorKind, StoredError};

    #[test]
    fn a_failure_leaves_open_whether_the_server_answered_or_does_not() {
        let left = |kind, status| {
            let failure = StoredError { kind, status, text: "why".to_owned(), request_id: Some("r1".to_owned()) };
            failure.left_unanswered()
        };
        let open = |kind: &ErrorKind| left(*kind, None).is_some();
        let open: Vec<_> = ErrorKind::ALL.iter().copied().filter(|kind| open(kind)).collect();
        use ErrorKind::{Protocol, Stalled, Timeout, Transport, Truncated};
        assert_eq!(open, [Timeout, Stalled, Transport, Truncated, Protocol]);
        assert_eq!(left(Timeout, Some(408)), None, "the server said so");
        let reason = left(Stalled, None).unwrap();
        assert_eq!((reason.kind, reason.request_id.as_deref()), (ErrorKind::Unanswered, Some("r1")));
        assert!(reason.text.ends_with("the server may have answered it: why"), "{}", reason.text);
    }

    #[test]
    fn what_was_sent_goes_again_only_where_that_is_wished_and_not_for_ever() {
        let check = |let_go: LetGo, unanswered, attempts, expected| {
            assert_eq!(let_go.fate(unanswered, attempts), expected, "{let_go:?}, {unanswered}, {attempts}");
        };
        let all = LetGo::All { max_attempts: 2 };
        check(LetGo::Nothing, false, 0, Fate::StaysHeld);
        check(LetGo::Nothing, true, 1, Fate::StaysHeld);
        check(LetGo::NeverSent, false, 0, Fate::Waits);
        check(LetGo::NeverSent, false, 9, Fate::Waits);
        check(LetGo::NeverSent, true, 1, Fate::StaysHeld);
        check(all, false, 0, Fate::Waits);
        check(all, false, 9, Fate::Waits);
        check(all, true, 1, Fate::SentAgain);
        check(all, true, 2, Fate::Dead);
        check(all, true, 3, Fate::Dead);
    }
}
