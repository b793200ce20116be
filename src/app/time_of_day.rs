//! The time of day in the person's time zone.

use jiff::tz::TimeZone;

use super::open::CLOCK;
use crate::domain::{TimeOfDay, Timestamp};

/// The system's time zone.
pub(super) const TIME_OF_DAY: TimeOfDay = TimeOfDay(|at| words(at, CLOCK.now(), &TimeZone::system()));

/// `12:04:31` today, `2026-11-22 12:04` on other days.
fn words(at: Timestamp, now: Timestamp, zone: &TimeZone) -> String {
    let local = |at: Timestamp| jiff::Timestamp::from_millisecond(at.0).map(|at| at.to_zoned(zone.clone()));
    match (local(at), local(now)) {
        (Ok(at), Ok(now)) if at.date() == now.date() => at.strftime("%H:%M:%S").to_string(),
        (Ok(at), _) => at.strftime("%Y-%m-%d %H:%M").to_string(),
        // Further away than any calendar: only a damaged database says so.
        (Err(_), _) => "an unknown time".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn todays_times_have_no_date() {
        let check = |at, now, hours: i8, text: &str| {
            let zone = TimeZone::fixed(jiff::tz::offset(hours));
            assert_eq!(words(Timestamp(at), Timestamp(now), &zone), text);
        };
        check(43_471_000, 50_000_000, 0, "12:04:31");
        check(43_471_000, 50_000_000, 2, "14:04:31");
        check(43_471_000, 86_400_000, 0, "1970-01-01 12:04");
        check(43_471_000, 86_400_000, -1, "11:04:31");
        check(86_400_000, 86_399_000, 0, "1970-01-02 00:00");
        check(i64::MAX, 0, 0, "an unknown time");
    }
}
