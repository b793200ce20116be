//! What moves at the prompt while nothing else does: a sign that turns and the time it has taken, behind what is typed. Pure: the
//! time is an argument, and the same time gives the same text.
//!
//! It is drawn where rustyline draws its hints, behind the line. That place may be drawn anew at any time without a change of what
//! was measured (`helper`), and it takes nothing from the prompt's own text, which stays as it is from Enter to the end.

use std::time::Duration;

use rustyline::GraphemeClusterMode;

use super::measure::columns;
use crate::domain::{Progress, Span, Timestamp};

/// How often it is drawn.
pub(super) const TICK: Duration = Duration::from_millis(120);
/// Columns that it may take, the gap before it included.
pub(super) const FIELD_COLUMNS: usize = 34;
/// Before what it says.
const GAP: &str = "  ";
/// What an answer may take without a word, so that a quick one makes no flicker.
const QUICK: Duration = Duration::from_millis(400);
/// An answer that says nothing for that long is said to be silent.
const SILENCE: Duration = Duration::from_secs(3);
/// The sign that turns.
const TURNS: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];

/// What to show at `now` in `room` columns; empty where there is nothing to show, or no room.
pub(super) fn text(progress: Progress, now: Timestamp, room: usize, mode: GraphemeClusterMode) -> String {
    let Some((word, time)) = words(progress, now) else { return String::new() };
    let turn = usize::try_from(now.0.unsigned_abs() / TICK.as_millis() as u64).unwrap_or(0) % TURNS.len();
    let sign = TURNS[turn];
    // The time is the last to go.
    let long = format!("{GAP}{sign} {word}{time}");
    let all = [long, format!("{GAP}{sign} {time}"), format!("{GAP}{sign}")];
    all.into_iter().find(|text| columns(mode, text) <= room).unwrap_or_default()
}

/// What it is at, and for how long, or how long still.
fn words(progress: Progress, now: Timestamp) -> Option<(String, String)> {
    let since = |at: Timestamp| now.since(at);
    let (word, length) = match progress {
        Progress::Asked(at) => (String::new(), Some(since(at)).filter(|length| *length >= QUICK)?),
        Progress::Thinks(at) => ("thinks, ".to_owned(), since(at)),
        Progress::Speaks(at) => ("silent for ".to_owned(), Some(since(at)).filter(|length| *length >= SILENCE)?),
        Progress::Retry { until, attempt, of } => (format!("tries again ({attempt} of {of}) in "), until.since(now)),
        Progress::Gate(until) => ("asked to wait, still ".to_owned(), until.since(now)),
        Progress::Slot(at) => ("waits for a slot, ".to_owned(), since(at)),
    };
    // Whole seconds, so that the text is calm.
    let time = match length.as_secs() {
        secs @ 0..60 => format!("{secs} s"),
        secs => Span(Duration::from_secs(secs)).to_string(),
    };
    Some((word, time))
}

#[cfg(test)]
mod tests {
    use rustyline::GraphemeClusterMode::WcWidth;

    use super::*;

    #[test]
    fn what_moves_says_what_is_waited_for() {
        let check = |progress, now, room, expected: &str| {
            let shown = text(progress, Timestamp(now), room, WcWidth);
            assert_eq!(shown, expected, "{progress:?} at {now}");
            assert!(columns(WcWidth, &shown) <= room);
        };
        let asked = Progress::Asked(Timestamp(0));
        check(asked, 399, 34, "");
        check(asked, 480, 34, "  ⠼ 0 s");
        check(asked, 3_000, 34, "  ⠴ 3 s");
        check(asked, 3_120, 34, "  ⠦ 3 s");
        check(asked, 125_000, 34, "  ⠙ 2 m 05 s");
        check(Progress::Thinks(Timestamp(0)), 12_000, 34, "  ⠋ thinks, 12 s");
        check(Progress::Speaks(Timestamp(0)), 2_999, 34, "");
        check(Progress::Speaks(Timestamp(0)), 6_000, 34, "  ⠋ silent for 6 s");
        check(
            Progress::Retry { until: Timestamp(6_000), attempt: 2, of: 5 },
            1_200,
            34,
            "  ⠋ tries again (2 of 5) in 4 s",
        );
        check(Progress::Gate(Timestamp(90_000)), 0, 34, "  ⠋ asked to wait, still 1 m 30 s");
        check(Progress::Slot(Timestamp(0)), 1_200, 34, "  ⠋ waits for a slot, 1 s");
    }

    #[test]
    fn without_room_it_is_short() {
        let check = |room, expected: &str| {
            let shown = text(Progress::Thinks(Timestamp(0)), Timestamp(12_000), room, WcWidth);
            assert_eq!(shown, expected);
        };
        check(16, "  ⠋ thinks, 12 s");
        check(15, "  ⠋ 12 s");
        check(7, "  ⠋");
        check(2, "");
    }

    #[test]
    fn a_clock_that_goes_back_is_no_trouble() {
        assert_eq!(text(Progress::Thinks(Timestamp(5_000)), Timestamp(0), 34, WcWidth), "  ⠋ thinks, 0 s");
    }
}
