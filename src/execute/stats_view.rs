//! Figures as `/stats` and `chatmux stats` show them.

use std::time::Duration;

use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr;

use super::Answer;
use super::layout::{INDENT, View, count, fit, pad, pad_left, span, unbroken, wrap};
use crate::domain::{Session, SessionId, SessionName, Spread, Stats};

/// Columns of what a figure is called.
const LABELS: usize = 11;
/// Columns of a length of time where there is room: `12 m 05 s` and two blanks.
const TIMES: usize = 11;

/// One session's figures.
pub fn session_stats(session: &Session, stats: &Stats, view: View) -> Answer {
    let rows = table(&format!("session {}:{}", session.id, session.name), stats, view);
    Answer { command: "stats", data: stats_data(Some((session.id, &session.name)), stats), text: rows.join("\n") }
}

/// The figures of all, and a row for each session that has any.
pub fn all_stats(all: &Stats, sessions: &[(SessionId, SessionName, Stats)], view: View) -> Answer {
    let mut data = vec![stats_data(None, all)];
    data.extend(sessions.iter().map(|(id, name, stats)| stats_data(Some((*id, name)), stats)));
    let mut rows = table("all sessions", all, view);
    if !sessions.is_empty() {
        rows.push(String::new());
        session_rows(&mut rows, sessions, view.columns());
    }
    Answer { command: "stats", data: Value::Array(data), text: rows.join("\n") }
}

/// The members of `stats` behind those that say whose they are.
fn stats_data(whose: Option<(SessionId, &SessionName)>, stats: &Stats) -> Value {
    let mut data = json!({ "session": whose.map(|(id, _)| id), "name": whose.map(|(_, name)| name) });
    if let (Value::Object(data), Ok(Value::Object(figures))) = (&mut data, serde_json::to_value(stats)) {
        data.extend(figures);
    }
    data
}

fn turns(stats: &Stats) -> u64 {
    [stats.interrupted, stats.failed, stats.cancelled]
        .iter()
        .fold(stats.complete, |sum, part| sum.saturating_add(*part))
}

fn depth(stats: &Stats) -> u64 {
    let depth = stats.depth;
    depth.high.saturating_add(depth.normal).saturating_add(depth.low)
}

/// What a session's row says: only what there is.
fn in_short(stats: &Stats) -> String {
    let mut parts = vec![match turns(stats) {
        1 => "1 turn".to_owned(),
        turns => format!("{} turns", count(turns)),
    }];
    let some = [(depth(stats), "waiting"), (stats.running, "running"), (stats.dead, "dead")];
    parts.extend(
        some.iter().filter(|(number, _)| *number > 0).map(|(number, what)| format!("{} {what}", count(*number))),
    );
    parts.push(format!("tokens: {} in, {} out", count(stats.input_tokens), count(stats.output_tokens)));
    parts.join(", ")
}

/// What there is to say of each beside its name where all of it has room, else below.
fn session_rows(rows: &mut Vec<String>, sessions: &[(SessionId, SessionName, Stats)], columns: usize) {
    let named: Vec<(String, String)> =
        sessions.iter().map(|(id, name, stats)| (format!("{id}:{name}"), in_short(stats))).collect();
    let fits = |name: &str, text: &str| name.width() + 2 + text.width() <= columns;
    let column = named.iter().filter(|(name, text)| fits(name, text)).map(|(name, _)| name.width()).max().unwrap_or(0);
    for (name, text) in &named {
        if fits(&pad(name, column), text) {
            rows.push(format!("{}  {text}", pad(name, column)));
        } else {
            rows.push(fit(name, columns));
            wrap(rows, INDENT, INDENT, &unbroken(text), columns);
        }
    }
}

fn table(title: &str, stats: &Stats, view: View) -> Vec<String> {
    let columns = view.columns();
    let mut rows = vec![fit(title, columns)];
    let Stats { depth: by, running, dead, complete, interrupted, failed, cancelled, retries, preemptions, .. } = *stats;
    let parts = |parts: &[(u64, &str)]| -> Vec<String> {
        parts
            .iter()
            .filter(|(number, _)| *number > 0)
            .map(|(number, what)| format!("{} {what}", count(*number)))
            .collect()
    };
    let figures = [
        ("waiting", depth(stats), parts(&[(by.high, "high"), (by.normal, "normal"), (by.low, "low")])),
        ("running", running, Vec::new()),
        ("dead", dead, Vec::new()),
        (
            "turns",
            turns(stats),
            parts(&[
                (complete, "complete"),
                (interrupted, "interrupted"),
                (failed, "failed"),
                (cancelled, "cancelled"),
            ]),
        ),
        ("retries", retries, Vec::new()),
        ("preemptions", preemptions, Vec::new()),
        ("tokens in", stats.input_tokens, Vec::new()),
        ("tokens out", stats.output_tokens, Vec::new()),
    ];
    let widest = figures.iter().map(|(_, number, _)| count(*number).width()).max().unwrap_or(0);
    for (label, number, parts) in figures {
        figure(&mut rows, label, &pad_left(&count(number), widest), &parts, columns);
    }
    rows.push(String::new());
    let times = (columns.saturating_sub(2 + LABELS) / 3).min(TIMES);
    let cells = |label: &str, cells: [String; 3]| {
        let cells: String = cells.iter().map(|cell| format!(" {}", pad_left(cell, times - 1))).collect();
        format!("  {}{cells}", pad(label, LABELS))
    };
    rows.push(cells("", ["p50", "p95", "max"].map(str::to_owned)));
    for (label, spread) in [("wait", stats.wait), ("processing", stats.processing), ("first token", stats.first)] {
        rows.push(cells(label, times_of(spread)));
    }
    rows
}

/// A number and what it is made of: below where that has no room beside it.
fn figure(rows: &mut Vec<String>, label: &str, number: &str, parts: &[String], columns: usize) {
    let head = format!("  {} {number}", pad(label, LABELS));
    let whole = parts.join(", ");
    if whole.is_empty() {
        rows.push(head);
    } else if head.width() + 2 + whole.width() <= columns {
        rows.push(format!("{head}  {whole}"));
    } else {
        rows.push(head);
        wrap(rows, INDENT, INDENT, &unbroken(&whole), columns);
    }
}

fn times_of(spread: Spread) -> [String; 3] {
    if spread.count == 0 {
        return ["-", "-", "-"].map(str::to_owned);
    }
    [spread.p50_ms, spread.p95_ms, spread.max_ms].map(|ms| span(Duration::from_millis(ms)).replace('\u{a0}', " "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Depth, TimeOfDay, Timestamp};

    fn view(width: usize) -> View {
        View { now: Timestamp(0), time_of_day: TimeOfDay(|at| at.0.to_string()), width, max_attempts: 5, words: false }
    }

    fn stats() -> Stats {
        Stats {
            depth: Depth { high: 0, normal: 2, low: 1 },
            running: 1,
            dead: 1,
            complete: 1_210,
            interrupted: 12,
            failed: 3,
            cancelled: 9,
            retries: 17,
            preemptions: 4,
            input_tokens: 1_234_567,
            output_tokens: 345_678,
            wait: Spread { count: 1_234, p50_ms: 12, p95_ms: 8_300, max_ms: 125_000 },
            processing: Spread { count: 1_234, p50_ms: 1_900, p95_ms: 41_000, max_ms: 4_320_000 },
            first: Spread::default(),
        }
    }

    fn sessions() -> Vec<(SessionId, SessionName, Stats)> {
        let few = Stats { complete: 1, input_tokens: 12, output_tokens: 34, ..Stats::default() };
        vec![(SessionId(1), "main".parse().unwrap(), stats()), (SessionId(12), "日本語".parse().unwrap(), few)]
    }

    #[test]
    fn figures_read_well_at_80_columns() {
        insta::assert_snapshot!(all_stats(&stats(), &sessions(), view(80)).text);
    }

    #[test]
    fn figures_read_well_at_40_columns() {
        insta::assert_snapshot!(all_stats(&stats(), &sessions(), view(40)).text);
    }

    #[test]
    fn no_row_is_wider_than_the_terminal() {
        let most = i64::MAX.unsigned_abs();
        let huge = Stats { complete: most / 2, interrupted: most / 4, input_tokens: most, ..stats() };
        for width in 40..=120 {
            for all in [stats(), huge, Stats::default()] {
                for row in all_stats(&all, &sessions(), view(width)).text.lines() {
                    assert!(row.width() <= width && !row.ends_with(' '), "{row:?} at {width}");
                }
            }
        }
    }

    #[test]
    fn data_says_whose_it_is_and_has_every_figure() {
        let data = all_stats(&stats(), &sessions(), view(80)).data;
        let of = |nth: usize| (data[nth]["session"].clone(), data[nth]["name"].clone(), data[nth]["complete"].clone());
        assert_eq!(of(0), (Value::Null, Value::Null, 1_210.into()));
        assert_eq!(of(2), (12.into(), "日本語".into(), 1.into()));
        let names: Vec<_> = data[0].as_object().unwrap().keys().map(String::as_str).collect();
        let expected = "session name depth running dead complete interrupted failed cancelled retries preemptions \
            input_tokens output_tokens wait processing first";
        assert_eq!(names.join(" "), expected);
        assert_eq!(data[0]["wait"], json!({"count": 1_234, "p50_ms": 12, "p95_ms": 8_300, "max_ms": 125_000}));
    }
}
