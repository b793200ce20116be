//! Figures: counted in the commit that ends an attempt, in one row a session and one for all, which outlives them.
//!
//! Lengths of time are kept as histograms of two significant digits (each figure within 1 %), as text: there are few distinct
//! lengths, and what is small stays small on the disk.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use rusqlite::{Connection, OptionalExtension, Row, named_params, params};

use super::sql::{to_i64, to_u64};
use super::{Read, StoreError};
use crate::domain::{Depth, EndState, EntryState, Priority, SessionId, SessionName, Spread, Stats, Usage};

/// The row of all sessions; no session has this number.
const ALL: SessionId = SessionId(0);
/// Of the histograms.
const SIGNIFICANT_DIGITS: u8 = 2;
/// A length of time is counted as this at most (a year): what is longer comes from a clock that was set.
const MAX_MS: u64 = 366 * 86_400_000;
/// Tokens of one attempt are counted as this at most, so that no provider's nonsense makes the sums overflow.
const MAX_TOKENS: u64 = 1 << 40;

const COLUMNS: &str = "complete, interrupted, failed, cancelled, retries, preemptions, input_tokens, output_tokens, \
     wait_max_ms, processing_max_ms, first_max_ms, wait, processing, first";

/// An attempt that ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    pub(super) session: SessionId,
    pub(super) what: Counted,
    pub(super) usage: Usage,
}

/// What an attempt's end counts as.
#[derive(Debug, Clone, Copy)]
pub(super) enum Counted {
    /// It failed, and another follows.
    Retry,
    /// It had to give way, and another follows.
    Preemption,
    /// chatmux ends, and another follows when it is there again: only its tokens count.
    PutOff,
    /// Its process died: the turn has ended as an interrupted answer, nobody knows when.
    Cut,
    /// Its process died at its last attempt: the turn has failed, nobody knows when.
    GivenUp,
    /// The turn has ended.
    End {
        how: EndState,
        /// Another entry was more urgent.
        gave_way: bool,
        wait: Duration,
        processing: Duration,
        first: Option<Duration>,
    },
}

/// Lengths of time in their three kinds, to be added to a row.
#[derive(Default)]
struct Lengths {
    wait: Option<Duration>,
    processing: Option<Duration>,
    first: Option<Duration>,
}

/// Adds an attempt to the rows of its session and of all.
pub(super) fn record(conn: &Connection, sample: Sample) -> Result<(), StoreError> {
    let lengths = match sample.what {
        Counted::Retry | Counted::Preemption | Counted::PutOff | Counted::Cut | Counted::GivenUp => Lengths::default(),
        Counted::End { wait, processing, first, .. } => {
            Lengths { wait: Some(wait), processing: Some(processing), first }
        }
    };
    for row in [sample.session, ALL] {
        add(conn, row, &sample, &lengths)?;
    }
    Ok(())
}

fn add(conn: &Connection, session: SessionId, sample: &Sample, lengths: &Lengths) -> Result<(), StoreError> {
    let kept = conn
        .prepare_cached("SELECT wait, processing, first FROM stats WHERE session_id = ?1")?
        .query_row([session], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?]))
        .optional()?;
    let [wait, processing, first] = kept.unwrap_or_default();
    let ended = |wanted: EndState| matches!(sample.what, Counted::End { how, .. } if how == wanted);
    let gave_way = matches!(sample.what, Counted::Preemption | Counted::End { gave_way: true, .. });
    let tokens = |count: Option<u64>| to_i64(count.unwrap_or(0).min(MAX_TOKENS));
    let longest = |length: Option<Duration>| to_i64(length.map_or(0, whole_ms));
    conn.prepare_cached(
        "INSERT INTO stats (session_id, complete, interrupted, failed, cancelled, retries, preemptions, input_tokens, \
             output_tokens, wait_max_ms, processing_max_ms, first_max_ms, wait, processing, first) \
         VALUES (:session, :complete, :interrupted, :failed, :cancelled, :retries, :preemptions, :input, :output, \
             :wait_max, :processing_max, :first_max, :wait, :processing, :first) \
         ON CONFLICT (session_id) DO UPDATE SET complete = complete + excluded.complete, \
             interrupted = interrupted + excluded.interrupted, failed = failed + excluded.failed, \
             cancelled = cancelled + excluded.cancelled, retries = retries + excluded.retries, \
             preemptions = preemptions + excluded.preemptions, input_tokens = input_tokens + excluded.input_tokens, \
             output_tokens = output_tokens + excluded.output_tokens, \
             wait_max_ms = max(wait_max_ms, excluded.wait_max_ms), \
             processing_max_ms = max(processing_max_ms, excluded.processing_max_ms), \
             first_max_ms = max(first_max_ms, excluded.first_max_ms), \
             wait = excluded.wait, processing = excluded.processing, first = excluded.first",
    )?
    .execute(named_params! {
        ":session": session,
        ":complete": ended(EndState::Complete),
        ":interrupted": ended(EndState::Interrupted) || matches!(sample.what, Counted::Cut),
        ":failed": ended(EndState::Failed) || matches!(sample.what, Counted::GivenUp),
        ":cancelled": ended(EndState::Cancelled),
        ":retries": matches!(sample.what, Counted::Retry),
        ":preemptions": gave_way,
        ":input": tokens(sample.usage.input),
        ":output": tokens(sample.usage.output),
        ":wait_max": longest(lengths.wait),
        ":processing_max": longest(lengths.processing),
        ":first_max": longest(lengths.first),
        ":wait": with(wait, lengths.wait),
        ":processing": with(processing, lengths.processing),
        ":first": with(first, lengths.first),
    })?;
    Ok(())
}

fn whole_ms(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX).min(MAX_MS)
}

/// A histogram's text with one length more. Its pairs stand in order, so one of them is changed, or put between two: to build the
/// histogram and write it anew costs fifty times as much, at the end of every turn.
fn with(mut text: String, length: Option<Duration>) -> String {
    let Some(length) = length else { return text };
    // Of this one only the scale is needed.
    let Ok(scale) = Histogram::<u64>::new(SIGNIFICANT_DIGITS) else { return text };
    let value = scale.highest_equivalent(whole_ms(length));
    let at = place_of(&text, value);
    let pair = text[at..].split(' ').next().unwrap_or_default();
    match pair_of(pair) {
        Some((there, count)) if there == value => {
            text.replace_range(at..at + pair.len(), &format!("{value}:{}", count.saturating_add(1)));
        }
        _ if text.is_empty() => text = format!("{value}:1"),
        _ if at == text.len() => text += &format!(" {value}:1"),
        _ => text.insert_str(at, &format!("{value}:1 ")),
    }
    text
}

/// Where the first pair begins whose value is not less than `value`; the text's end when there is none. What makes no sense counts
/// as less.
fn place_of(text: &str, value: u64) -> usize {
    let bytes = text.as_bytes();
    let (mut low, mut high) = (0, text.len());
    while low < high {
        let middle = low.midpoint(high);
        let begin = bytes[low..middle].iter().rposition(|&byte| byte == b' ').map_or(low, |at| low + at + 1);
        let end = bytes[middle..].iter().position(|&byte| byte == b' ').map_or(text.len(), |at| middle + at);
        if pair_of(&text[begin..end]).is_some_and(|(there, _)| there >= value) {
            high = begin;
        } else {
            low = (end + 1).min(text.len());
        }
    }
    low
}

/// A pair of [`with`]: a length in milliseconds and how many there were.
fn pair_of(pair: &str) -> Option<(u64, u64)> {
    let (value, count) = pair.split_once(':')?;
    Some((value.parse().ok()?, count.parse().ok()?))
}

/// Reads what [`with`] wrote. A pair that makes no sense is left out: figures are no reason to fail. `None` only if the
/// precision were out of the crate's bounds.
fn histogram(text: &str) -> Option<Histogram<u64>> {
    let mut histogram = Histogram::new(SIGNIFICANT_DIGITS).ok()?;
    for (value, count) in text.split(' ').filter_map(pair_of) {
        // It grows as it must: this fails at no value.
        let _ = histogram.record_n(value.min(2 * MAX_MS), count);
    }
    Some(histogram)
}

fn spread(text: &str, max_ms: i64) -> Spread {
    let Some(histogram) = histogram(text) else { return Spread::default() };
    let max_ms = to_u64(max_ms);
    // A bucket's value is its upper end.
    let quantile = |q| histogram.value_at_quantile(q).min(max_ms);
    Spread { count: histogram.len(), p50_ms: quantile(0.5), p95_ms: quantile(0.95), max_ms }
}

/// Reads [`COLUMNS`].
fn stats(row: &Row<'_>) -> rusqlite::Result<Stats> {
    let count = |at| row.get::<_, i64>(at).map(to_u64);
    let spread = |text, max| -> rusqlite::Result<Spread> { Ok(spread(row.get_ref(text)?.as_str()?, row.get(max)?)) };
    Ok(Stats {
        depth: Depth::default(),
        running: 0,
        dead: 0,
        complete: count(0)?,
        interrupted: count(1)?,
        failed: count(2)?,
        cancelled: count(3)?,
        retries: count(4)?,
        preemptions: count(5)?,
        input_tokens: count(6)?,
        output_tokens: count(7)?,
        wait: spread(11, 8)?,
        processing: spread(12, 9)?,
        first: spread(13, 10)?,
    })
}

fn row_of(conn: &Connection, session: SessionId) -> Result<Stats, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM stats WHERE session_id = ?1");
    Ok(conn.prepare_cached(&sql)?.query_row([session], stats).optional()?.unwrap_or_default())
}

/// Removes the row of a session that is deleted.
pub(super) fn forget(conn: &Connection, session: SessionId) -> Result<(), StoreError> {
    conn.prepare_cached("DELETE FROM stats WHERE session_id = ?1")?.execute([session])?;
    Ok(())
}

/// Entries of one state and priority, in one session or all.
#[derive(Clone, Copy)]
struct Standing {
    state: EntryState,
    priority: Priority,
    count: u64,
}

impl Standing {
    const fn add_to(self, stats: &mut Stats) {
        let of = match (self.state, self.priority) {
            (EntryState::Pending, Priority::High) => &mut stats.depth.high,
            (EntryState::Pending, Priority::Normal) => &mut stats.depth.normal,
            (EntryState::Pending, Priority::Low) => &mut stats.depth.low,
            (EntryState::Running, Priority::High | Priority::Normal | Priority::Low) => &mut stats.running,
            (EntryState::Dead, Priority::High | Priority::Normal | Priority::Low) => &mut stats.dead,
            (EntryState::Done | EntryState::Cancelled, Priority::High | Priority::Normal | Priority::Low) => return,
        };
        *of += self.count;
    }
}

/// Gives `add` what waits, runs and is dead now, by session.
fn standing(
    conn: &Connection,
    session: Option<SessionId>,
    mut add: impl FnMut(SessionId, Standing),
) -> Result<(), StoreError> {
    let of = if session.is_some() { "session_id = ?1" } else { "?1 IS NULL" };
    // One query a state: each has its partial index.
    for state in [EntryState::Pending, EntryState::Running, EntryState::Dead] {
        let sql = format!(
            "SELECT session_id, priority, count(*) FROM entries WHERE state = '{state}' AND {of} GROUP BY session_id, priority"
        );
        let mut statement = conn.prepare_cached(&sql)?;
        let mut rows = statement.query(params![session])?;
        while let Some(row) = rows.next()? {
            add(row.get(0)?, Standing { state, priority: row.get(1)?, count: to_u64(row.get(2)?) });
        }
    }
    Ok(())
}

/// One session's figures, or those of all.
#[derive(Debug, Clone, Copy)]
pub struct StatsOf {
    /// Whose; `None`: of all, deleted ones included.
    pub session: Option<SessionId>,
}

impl Read for StatsOf {
    type Reply = Stats;

    fn fetch(self, conn: &Connection) -> Result<Stats, StoreError> {
        let mut stats = row_of(conn, self.session.unwrap_or(ALL))?;
        standing(conn, self.session, |_, standing| standing.add_to(&mut stats))?;
        Ok(stats)
    }
}

/// The figures of all, and of each session that has any, by number.
#[derive(Debug, Clone, Copy)]
pub struct AllStats;

impl Read for AllStats {
    type Reply = (Stats, Vec<(SessionId, SessionName, Stats)>);

    fn fetch(self, conn: &Connection) -> Result<Self::Reply, StoreError> {
        let mut rows: BTreeMap<SessionId, Stats> = BTreeMap::new();
        let sql = format!("SELECT {COLUMNS}, session_id FROM stats");
        for row in conn.prepare_cached(&sql)?.query_map([], |row| Ok((row.get(14)?, stats(row)?)))? {
            let (session, stats) = row?;
            rows.insert(session, stats);
        }
        let mut all = rows.remove(&ALL).unwrap_or_default();
        standing(conn, None, |session, standing| {
            standing.add_to(&mut all);
            standing.add_to(rows.entry(session).or_default());
        })?;
        let mut name = conn.prepare_cached("SELECT name FROM sessions WHERE id = ?1")?;
        let mut each = Vec::with_capacity(rows.len());
        for (session, stats) in rows {
            each.push((session, name.query_row([session], |row| row.get(0))?, stats));
        }
        Ok((all, each))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_text_is_that_of_the_histogram(lengths in prop::collection::vec(0..5_000_000_u64, 0..60)) {
            let mut text = String::new();
            let mut counted = Histogram::<u64>::new(SIGNIFICANT_DIGITS).unwrap();
            for ms in lengths {
                text = with(text, Some(Duration::from_millis(ms)));
                counted.record(ms).unwrap();
                let pairs = counted.iter_recorded().map(|s| format!("{}:{}", s.value_iterated_to(), s.count_at_value()));
                prop_assert_eq!(&text, &pairs.collect::<Vec<_>>().join(" "));
                prop_assert_eq!(histogram(&text).unwrap(), counted.clone());
            }
        }
    }

    #[test]
    fn what_makes_no_sense_is_passed_over() {
        let check = |text: &str, ms, expected: &str| {
            assert_eq!(with(text.to_owned(), Some(Duration::from_millis(ms))), expected);
        };
        check("", 7, "7:1");
        check("x 7:1", 7, "x 7:2");
        check("8:1 :", 7, "7:1 8:1 :");
        check("3:1 y", 7, "3:1 y 7:1");
        check("3:1  9:1", 7, "3:1  7:1 9:1");
        check("ää öö:1 ü", 7, "ää öö:1 ü 7:1");
        check(" ", 7, "  7:1");
    }
}
