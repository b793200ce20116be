//! What was counted and measured, to be said at the end.

use std::fmt;
use std::ops::AddAssign;
use std::time::Duration;

/// Of one story, or of several.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub(crate) kills: usize,
    /// Of those, of who had a turn under way.
    pub(crate) kills_of_owners: usize,
    pub(crate) starts: usize,
    pub(crate) acknowledged: usize,
    /// Committed, and killed before it was said.
    pub(crate) unsaid: usize,
    pub(crate) complete: usize,
    pub(crate) interrupted: usize,
    pub(crate) cancelled: usize,
    /// Answers that were made of more than one request.
    pub(crate) continued: usize,
    pub(crate) requests: usize,
    /// Requests that were sent again, because nothing of them had been kept.
    pub(crate) again: usize,
    /// How far each partial was behind what the server had sent at the kill.
    pub(crate) behind: Vec<Duration>,
    /// Of those, later than the interval and what is allowed for scheduling.
    pub(crate) late: Vec<(Duration, Duration)>,
    /// From a kill until the sessions were free, where nobody new came.
    pub(crate) takeovers: Vec<Duration>,
    pub(crate) late_takeovers: Vec<(Duration, Duration)>,
    /// From the server to the stdout of who has asked and runs it.
    pub(crate) own: Vec<Duration>,
    /// The same, of who has asked while another process runs it.
    pub(crate) followed: Vec<Duration>,
    /// Two requests of one process for one session: for so long the first's connection was still seen.
    pub(crate) overlaps: Vec<Duration>,
}

impl AddAssign for Figures {
    fn add_assign(&mut self, other: Self) {
        let counts = [
            (&mut self.kills, other.kills),
            (&mut self.kills_of_owners, other.kills_of_owners),
            (&mut self.starts, other.starts),
            (&mut self.acknowledged, other.acknowledged),
            (&mut self.unsaid, other.unsaid),
            (&mut self.complete, other.complete),
            (&mut self.interrupted, other.interrupted),
            (&mut self.cancelled, other.cancelled),
            (&mut self.continued, other.continued),
            (&mut self.requests, other.requests),
            (&mut self.again, other.again),
        ];
        counts.into_iter().for_each(|(count, more)| *count += more);
        self.behind.extend(other.behind);
        self.late.extend(other.late);
        self.takeovers.extend(other.takeovers);
        self.late_takeovers.extend(other.late_takeovers);
        self.own.extend(other.own);
        self.followed.extend(other.followed);
        self.overlaps.extend(other.overlaps);
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kills, kills_of_owners, starts, acknowledged, unsaid, complete, interrupted, cancelled, .. } = self;
        let Self { continued, requests, again, late, late_takeovers, .. } = self;
        writeln!(f, "{kills} kills, {kills_of_owners} of them of who answered; {starts} starts")?;
        writeln!(f, "{acknowledged} messages acknowledged, {unsaid} more committed and not said any more")?;
        writeln!(
            f,
            "{complete} answers complete, {interrupted} interrupted, {cancelled} messages cancelled, {continued} continued"
        )?;
        writeln!(f, "{requests} requests, {again} of them again because nothing was kept of the first")?;
        writeln!(f, "partials behind: {}; {} later than allowed {late:?}", Spread(&self.behind), late.len())?;
        writeln!(
            f,
            "takeovers after: {}; {} later than allowed {late_takeovers:?}",
            Spread(&self.takeovers),
            late_takeovers.len()
        )?;
        writeln!(f, "server to stdout: {}", Spread(&self.own))?;
        writeln!(f, "the same by another process: {}", Spread(&self.followed))?;
        write!(f, "a process's own last connection still seen: {}", Spread(&self.overlaps))
    }
}

/// Measurements in a few words.
pub(crate) struct Spread<'a>(pub(crate) &'a [Duration]);

impl fmt::Display for Spread<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut all = self.0.to_vec();
        all.sort_unstable();
        let at = |share: usize| all[(all.len() - 1) * share / 100].as_millis();
        match all.len() {
            0 => f.write_str("none"),
            count => write!(f, "median {} ms, p99 {} ms, max {} ms of {count}", at(50), at(99), at(100)),
        }
    }
}
