//! Figures of a session's queue, or of all: what `/stats` and `chatmux stats` show.

use serde::Serialize;

/// Lengths of time, in milliseconds. The quantiles are within 1 % (they come from a histogram); `max` is exact.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Spread {
    /// How many were measured.
    pub count: u64,
    /// Half of them were not longer.
    pub p50_ms: u64,
    /// 95 of 100 were not longer.
    pub p95_ms: u64,
    /// The longest.
    pub max_ms: u64,
}

/// Entries that wait, by priority.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Depth {
    /// `high`.
    pub high: u64,
    /// `normal`.
    pub normal: u64,
    /// `low`.
    pub low: u64,
}

/// Figures since the session, or the database, was made; depth is that of now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// What waits now.
    pub depth: Depth,
    /// Turns that run now.
    pub running: u64,
    /// Entries that are dead now.
    pub dead: u64,
    /// Turns that ended whole.
    pub complete: u64,
    /// Turns that ended as interrupted answers.
    pub interrupted: u64,
    /// Turns that ended as dead letters, requeued ones counted each time.
    pub failed: u64,
    /// Turns that a person ended.
    pub cancelled: u64,
    /// Attempts that failed and were followed by another.
    pub retries: u64,
    /// Times that a running turn had to give way to another entry.
    pub preemptions: u64,
    /// Tokens of the requests, as the providers counted.
    pub input_tokens: u64,
    /// Tokens of the answers, as the providers counted.
    pub output_tokens: u64,
    /// From acknowledgement to the first start.
    pub wait: Spread,
    /// From the first start to the end.
    pub processing: Spread,
    /// From the start of the last attempt to its first content.
    pub first: Spread,
}
