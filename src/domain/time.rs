//! Points and lengths of time. No clock is read here: who needs `now` is given it.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Milliseconds since 1970-01-01 00:00 UTC, as the `_ms` columns hold them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Time from `earlier` until this; zero when the clock went back meanwhile.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0).max(0).unsigned_abs())
    }

    /// This point and `wait` more, saturating.
    #[must_use]
    pub fn plus(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX)))
    }
}

/// Where `now` comes from: the program is given the system's clock, a test one of its own.
#[derive(Debug, Clone, Copy)]
pub struct Clock(pub fn() -> Timestamp);

impl Clock {
    /// The time now.
    pub fn now(self) -> Timestamp {
        (self.0)()
    }
}

/// How a point in time is called in the person's time zone: `12:04:31`, with the date when that is not today's. The program is
/// given the system's zone, a test one of its own.
#[derive(Debug, Clone, Copy)]
pub struct TimeOfDay(pub fn(Timestamp) -> String);

impl TimeOfDay {
    /// The words for `at`.
    pub fn of(self, at: Timestamp) -> String {
        (self.0)(at)
    }
}

/// A duration that was not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no duration: write a number and a unit, such as 800ms, 1.5s, 2m or 1h")]
pub struct BadDuration(pub String);

/// The longest duration that is taken: 10,000 days. What is longer is a typing error.
pub const MAX_DURATION: Duration = Duration::from_secs(10_000 * 86_400);

/// Reads `800ms`, `1.5s`, `2m`, `1h`, `1d`; `0` needs no unit.
///
/// # Errors
/// Anything else, negative numbers, and more than [`MAX_DURATION`].
pub fn parse_duration(text: &str) -> Result<Duration, BadDuration> {
    let bad = || BadDuration(text.to_owned());
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: f64 = number.parse().map_err(|_| bad())?;
    let seconds = match unit {
        "ms" => number / 1_000.0,
        "s" => number,
        "m" => number * 60.0,
        "h" => number * 3_600.0,
        "d" => number * 86_400.0,
        "" if number == 0.0 => 0.0,
        _ => return Err(bad()),
    };
    if seconds > MAX_DURATION.as_secs_f64() {
        return Err(bad());
    }
    // Milliseconds are the finest grain of the contract.
    Duration::try_from_secs_f64((seconds * 1_000.0).round() / 1_000.0).map_err(|_| bad())
}

/// A duration for people: `41 ms`, `8.3 s`, `2 m 05 s`, `1 h 12 m`.
#[derive(Debug, Clone, Copy)]
pub struct Span(pub Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0.as_millis();
        // Rounded once, so that no unit is ever full.
        let s = self.0.as_secs_f64().round() as u64;
        if ms < 1_000 {
            write!(f, "{ms} ms")
        } else if ms < 59_950 {
            write!(f, "{:.1} s", self.0.as_secs_f64())
        } else if s < 3_600 {
            write!(f, "{} m {:02} s", s / 60, s % 60)
        } else {
            write!(f, "{} h {:02} m", s / 3_600, s % 3_600 / 60)
        }
    }
}

/// A duration as the configuration writes it: the largest unit that keeps it whole (`1500ms`, `2m`).
pub fn format_duration(length: Duration) -> String {
    let ms = length.as_millis();
    match ms {
        0 => "0s".to_owned(),
        _ if !ms.is_multiple_of(1_000) => format!("{ms}ms"),
        _ if !ms.is_multiple_of(60_000) => format!("{}s", ms / 1_000),
        _ if !ms.is_multiple_of(3_600_000) => format!("{}m", ms / 60_000),
        _ => format!("{}h", ms / 3_600_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_the_configuration_writes_them() {
        let check = |text: &str, ms: Option<u64>| {
            assert_eq!(parse_duration(text).ok(), ms.map(Duration::from_millis), "{text}");
        };
        check("800ms", Some(800));
        check("1.5s", Some(1_500));
        check("2m", Some(120_000));
        check("1h", Some(3_600_000));
        check("0", Some(0));
        check("0s", Some(0));
        check(".5s", Some(500));
        for bad in ["", "s", "5", "-1s", "1.2.3s", "1 s", "1e9s", "inf", "99999d", "5sec", "NaNs"] {
            check(bad, None);
        }
    }

    #[test]
    fn a_duration_survives_writing_and_reading() {
        for ms in [0, 1, 999, 1_000, 1_500, 60_000, 61_000, 3_600_000, 5_400_000] {
            let length = Duration::from_millis(ms);
            assert_eq!(parse_duration(&format_duration(length)), Ok(length));
        }
    }

    #[test]
    fn spans_read_well() {
        let check = |ms, text: &str| assert_eq!(Span(Duration::from_millis(ms)).to_string(), text);
        check(0, "0 ms");
        check(999, "999 ms");
        check(8_300, "8.3 s");
        check(59_949, "59.9 s");
        check(59_950, "1 m 00 s");
        check(125_000, "2 m 05 s");
        check(4_320_000, "1 h 12 m");
    }

    #[test]
    fn a_clock_that_goes_back_gives_no_negative_time() {
        assert_eq!(Timestamp(5).since(Timestamp(9)), Duration::ZERO);
        assert_eq!(Timestamp(i64::MAX).plus(Duration::from_secs(1)), Timestamp(i64::MAX));
    }
}
