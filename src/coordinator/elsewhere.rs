//! Other processes on the same database: who lives, what they have changed, and what becomes of the work of one that is gone.
//!
//! ```text
//!  when another process tells something (Listener); while anybody works also every check_interval, FOLLOW_INTERVAL while another
//!  one answers; where others are not heard, every check_interval, or every heartbeat while this process is alone:
//!    Survey ──► others ──► a beat that grows no more: quiet_period and certainly gone, or max_wait: TakeOver
//!           ├─► changed sessions ──► look_at (mirror.rs)
//!           └─► what nobody runs ──► Adopt, where that is this process's business (`chatmux work`)
//!    what they answer (follow.rs)
//!  every heartbeat, while there are others and this process has something to run: Beat
//! ```
//!
//! Where nobody works, nobody looks at anything until somebody tells something: who takes a lease does, so whoever works is watched from
//! then on. One that ends or dies meanwhile had nothing to run, and is found when something happens.
//!
//! Time is measured here with the monotonic clock, which neither a person nor sleep moves: a machine that slept has nobody's lease
//! taken over.

use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::time::Duration;

use tokio::time::Instant;

use super::{Coordinator, notices};
use crate::domain::{EntryId, LetGo, ProcessId, SessionId};
use crate::store::{
    Adopt, AskToCancel, Beat, Listener, Other, Recovery, Sessions, Store, StoreError, Survey, Surveyed, TakeOver,
};

/// Between two looks while another process answers: with a checkpoint ([`crate::domain::limits::CHECKPOINT_INTERVAL`]) before it and a
/// commit between them, what is shown here is at most 200 ms behind.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(60);
/// Between two looks that others asked for by telling something, however often they do. Where nobody looked lately, it is at once; else
/// they cost hardly more than following an answer does.
const TOLD_INTERVAL: Duration = Duration::from_millis(50);

/// How other processes are watched (`[lease]`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watch {
    /// As whom this process is registered.
    pub process: ProcessId,
    /// The last change that was there when the sessions were read.
    pub since: i64,
    /// This process shows that it lives this often, while there are others.
    pub heartbeat: Duration,
    /// A process that is certainly gone keeps its leases this long after its last beat was seen.
    pub quiet_period: Duration,
    /// One that cannot be told to be gone (it was stopped, or hangs) keeps them this long.
    pub max_wait: Duration,
    /// Between two looks at the others.
    pub check_interval: Duration,
    /// What goes on by itself of what a process left: all of it with `on_start = "resume"`.
    pub set_aside: LetGo,
    /// What was set aside in a session whose lease this process has goes on before what was queued there since.
    pub takes_along: bool,
    /// What waits and nobody runs is this process's to run.
    pub adopts: bool,
}

/// What goes on in this process and the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bustle {
    /// There are no others.
    Alone,
    /// Nobody has anything to run.
    Nothing,
    /// Somebody has.
    Work,
    /// Another one answers.
    Answer,
}

impl Watch {
    /// Between two surveys that nobody asks for; `None`: there are none. `is_told`: the others are heard ([`Listener::is_told`]).
    fn pause(&self, bustle: Bustle, is_told: bool) -> Option<Duration> {
        match (bustle, is_told) {
            (Bustle::Alone | Bustle::Nothing, true) => None,
            (Bustle::Alone, false) => Some(self.heartbeat),
            (Bustle::Nothing, false) | (Bustle::Work, _) => Some(self.check_interval),
            (Bustle::Answer, _) => Some(self.check_interval.min(FOLLOW_INTERVAL)),
        }
    }
}

/// What is known of the others.
pub(super) struct Watching {
    watch: Watch,
    /// The last change that was looked at.
    last: i64,
    others: BTreeMap<ProcessId, Seen>,
    listener: Listener,
    /// Others have told something since the last survey was asked for.
    told: bool,
    /// `None`: when others tell something.
    next_survey: Option<Instant>,
    next_beat: Instant,
    /// A survey is under way.
    asked: bool,
    /// When the others were looked at last.
    looked: Instant,
    /// Since when a beat is being committed.
    beating: Option<Instant>,
}

/// Another process's beat, and since when it has been that.
#[derive(Debug, Clone, Copy)]
struct Seen {
    beat: i64,
    /// It has a lease: only then it beats.
    works: bool,
    since: Instant,
    /// It was tried to take over from it.
    tried: bool,
}

impl Watching {
    /// Must be called within the runtime.
    pub(super) fn new(watch: Watch, store: &Store) -> Self {
        let (now, last) = (Instant::now(), watch.since);
        Self {
            watch,
            last,
            others: BTreeMap::new(),
            listener: store.listen(),
            told: false,
            next_survey: Some(now),
            next_beat: now,
            asked: false,
            looked: now,
            beating: None,
        }
    }

    /// Whether what nobody runs is this process's to run, and what of what was set aside is among that.
    fn adopts(&self) -> Option<LetGo> {
        self.watch.adopts.then_some(self.watch.set_aside)
    }

    /// What goes on by itself of what a process left, and whether that is so in sessions whose lease this process has anyway.
    pub(super) const fn set_aside(&self) -> (LetGo, bool) {
        (self.watch.set_aside, self.watch.takes_along)
    }

    /// `works`: this process has something to run; `follows`: another one answers.
    fn bustle(&self, works: bool, follows: bool) -> Bustle {
        match () {
            () if self.others.is_empty() => Bustle::Alone,
            () if follows => Bustle::Answer,
            () if works || self.others.values().any(|other| other.works) => Bustle::Work,
            () => Bustle::Nothing,
        }
    }

    fn survey_by(&mut self, due: Instant) {
        self.next_survey = Some(self.next_survey.map_or(due, |next| next.min(due)));
    }

    /// Takes in who is registered; gives those whose work is to be taken over, and whether each is certainly gone.
    fn note(&mut self, found: Vec<Other>, now: Instant) -> Vec<(ProcessId, i64, bool)> {
        let mut lost = Vec::new();
        // While this process stood still itself, or could not write, nobody's silence says anything.
        let late = self.watch.heartbeat + self.watch.check_interval;
        let stood_still = now.duration_since(self.looked) > 2 * late
            || self.beating.is_some_and(|asked| now.duration_since(asked) > self.watch.check_interval);
        self.looked = now;
        let before = std::mem::take(&mut self.others);
        for Other { process, identity, beat, works } in found {
            let same = |seen: &Seen| seen.beat == beat && seen.works == works && !(stood_still && works);
            let mut seen = before.get(&process).copied().filter(same);
            let seen = seen.get_or_insert(Seen { beat, works, since: now, tried: false });
            let quiet = now.duration_since(seen.since);
            // Whatever the configuration says: between two beats everyone is silent.
            let max_wait = self.watch.max_wait.max(self.watch.heartbeat + self.watch.quiet_period);
            let is_gone = quiet >= self.watch.quiet_period && identity.is_gone();
            if (is_gone || (works && quiet >= max_wait)) && !seen.tried {
                seen.tried = true;
                lost.push((process, beat, is_gone));
            }
            self.others.insert(process, *seen);
        }
        lost
    }
}

impl Coordinator {
    /// When the others are to be looked at next.
    pub(super) fn next_survey(&self) -> Option<Instant> {
        let watching = self.watching.as_ref().filter(|watching| !watching.asked && !self.quit_begun)?;
        // Who runs something is watched, and has to show that it lives, whether or not its own word was heard here.
        let runs = self.queue.running_total() > 0 && !watching.others.is_empty();
        let while_running = || runs.then(|| watching.looked + watching.watch.check_interval);
        watching.next_survey.or_else(while_running)
    }

    /// Others have told something.
    pub(super) fn told_by_others(&mut self) {
        if let Some(watching) = &mut self.watching {
            watching.told = true;
            watching.survey_by(watching.looked + TOLD_INTERVAL.min(watching.watch.check_interval));
        }
    }

    /// The last change of another process that was looked at.
    pub(super) fn last_change(&self) -> i64 {
        self.watching.as_ref().map_or(i64::MAX, |watching| watching.last)
    }

    /// There is something to be looked at.
    pub(super) fn survey_now(&mut self) {
        if let Some(watching) = &mut self.watching {
            watching.next_survey = Some(Instant::now());
        }
    }

    /// Whether this process has something to run. Who has not has no lease, and nothing that could be taken over.
    fn works(&self) -> bool {
        self.sessions.keys().any(|&id| self.queue.is_busy(id) && !self.queue.is_elsewhere(id))
    }

    pub(super) fn survey(&mut self) {
        let now = Instant::now();
        let is_due = |w: &Watching| now >= w.next_beat && !w.others.is_empty() && w.beating.is_none();
        let beats = self.watching.as_ref().is_some_and(is_due) && self.works();
        let Some(watching) = &mut self.watching else { return };
        (watching.asked, watching.told) = (true, false);
        let (process, since) = (watching.watch.process, watching.last);
        let orphans = watching.adopts();
        if beats {
            (watching.next_beat, watching.beating) = (now + watching.watch.heartbeat, Some(now));
            let commit = self.store.submit(Beat);
            self.after(commit, |c, result| {
                if let Some(watching) = &mut c.watching {
                    watching.beating = None;
                }
                if let Err(error) = result {
                    c.store_trouble(&error);
                }
            });
        }
        let read = self.store.query(Survey { process, since, orphans });
        self.later(read, Self::surveyed);
        self.follow_all();
    }

    fn surveyed(&mut self, found: Result<Surveyed, StoreError>) {
        let follows =
            self.sessions.values().any(|live| live.elsewhere.is_some_and(|elsewhere| elsewhere.running.is_some()));
        let works = self.works();
        let Some(watching) = &mut self.watching else { return };
        let now = Instant::now();
        watching.asked = false;
        let Ok(found) = found.inspect_err(|error| tracing::warn!(%error, "the others could not be looked at")) else {
            watching.next_survey = Some(now + watching.watch.heartbeat);
            return;
        };
        watching.last = found.last;
        let lost = watching.note(found.others, now);
        let adopts = watching.adopts();
        let pause = watching.watch.pause(watching.bustle(works, follows), watching.listener.is_told());
        watching.next_survey = pause.map(|pause| now + pause);
        let lives = |process: &ProcessId| watching.others.contains_key(process);
        let is_left = |live: &&super::Live| live.elsewhere.is_some_and(|elsewhere| !lives(&elsewhere.process));
        let left: Vec<SessionId> = self.sessions.values().filter(is_left).map(|live| live.session.id).collect();
        for (process, beat, is_gone) in lost {
            let commit = self.store.submit(TakeOver { process, beat, now: self.clock.now() });
            self.after(commit, move |c, result| c.taken_over(process, is_gone, result));
        }
        // Who had them has left, or somebody else has taken over.
        left.into_iter().filter(|session| !found.changed.contains_key(session)).for_each(|id| self.look_at(id, false));
        if found.missed {
            self.look_at_all();
        }
        for (session, cancel) in found.changed {
            self.look_at(session, cancel);
        }
        if let Some(set_aside) = adopts.filter(|_| found.orphans && !self.quit_begun) {
            self.adopt(Adopt { set_aside, only: None, now: self.clock.now() });
        }
    }

    /// Another process has the lease of a session: this one is not alone, whatever the last survey said.
    pub(super) fn expect_others(&mut self) {
        if let Some(watching) = &mut self.watching {
            watching.survey_by(Instant::now() + watching.watch.check_interval);
        }
    }

    fn look_at_all(&mut self) {
        let read = self.store.query(Sessions { closed: true });
        self.later(read, |c, found| {
            let found = found.unwrap_or_default();
            let all: BTreeSet<SessionId> =
                found.iter().map(|session| session.id).chain(c.sessions.keys().copied()).collect();
            all.into_iter().for_each(|session| c.look_at(session, false));
        });
    }

    fn taken_over(&mut self, process: ProcessId, is_gone: bool, result: Result<Option<Recovery>, StoreError>) {
        let recovery = match result {
            Ok(Some(recovery)) => recovery,
            Ok(None) => return,
            Err(error) => {
                self.store_trouble(&error);
                // As if it had just been seen for the first time.
                if let Some(watching) = &mut self.watching {
                    watching.others.remove(&process);
                }
                return;
            }
        };
        let set_aside = self.set_aside();
        let resumes = set_aside != LetGo::Nothing;
        if resumes && !recovery.held.is_empty() {
            let only = Some(recovery.held.keys().copied().collect());
            self.adopt(Adopt { set_aside, only, now: self.clock.now() });
        }
        let its = |live: &&super::Live| live.elsewhere.is_some_and(|elsewhere| elsewhere.process == process);
        let mut sessions: Vec<SessionId> = self.sessions.values().filter(its).map(|live| live.session.id).collect();
        sessions.extend(recovery.held.keys().chain(recovery.interrupted.iter().map(|cut| &cut.session)));
        sessions.sort_unstable();
        sessions.dedup();
        sessions.into_iter().for_each(|session| self.look_at(session, false));
        let name = |id: SessionId| match self.sessions.get(&id) {
            Some(live) => format!("{id} {}", live.session.name),
            None => id.to_string(),
        };
        let lines = gone(&recovery, is_gone, !resumes, name);
        // Behind what there is of those answers.
        self.after(std::future::ready(Ok(())), move |c, _| lines.into_iter().for_each(|line| c.notice(line)));
    }

    /// Asks the process that answers in `session`, if it is another one, to end that.
    pub(super) fn cancel_elsewhere(&mut self, session: SessionId) {
        if self.queue.is_elsewhere(session) && self.queue.is_busy(session) {
            let commit = self.store.submit(AskToCancel { session });
            self.quietly(commit);
        }
    }
}

/// Waits until others tell something; never, while that would change nothing. Until it is waited for, what they tell is one event, however
/// much it is, and wakes nobody.
pub(super) async fn until_told(watching: &mut Option<Watching>, wanted: bool) {
    match watching {
        Some(watching) if wanted && !watching.asked && !watching.told => watching.listener.heard().await,
        Some(_) | None => pending().await,
    }
}

/// What another process has left that is gone, in a few lines: its answers that were cut, and, where that is `held`, what waits.
/// `is_gone`: it has certainly ended; else it was only silent. `name`: a session as `2 docs`.
pub fn gone(recovery: &Recovery, is_gone: bool, held: bool, name: impl Fn(SessionId) -> String) -> Vec<String> {
    let mut lines = Vec::new();
    let how = if is_gone { "is gone" } else { "is silent, and perhaps stopped" };
    for cut in &recovery.interrupted {
        lines.push(format!(
            "[{}] the chatmux that answered here {how}: {} bytes of the answer are kept, marked interrupted",
            name(cut.session),
            cut.text_bytes
        ));
    }
    let count = recovery.held.values().map(Vec::len).sum();
    if held && count > 0 {
        let names: Vec<_> = recovery.held.keys().map(|session| name(*session)).collect();
        let unanswered: Vec<EntryId> = recovery.requeued.iter().map(|(_, entry)| *entry).collect();
        lines.push(notices::held(count, &names, &unanswered));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_nobody_works_nobody_looks_unless_others_cannot_be_heard() {
        let (heartbeat, check_interval) = (Duration::from_secs(1), Duration::from_millis(100));
        let watch = Watch {
            process: ProcessId(1),
            since: 0,
            heartbeat,
            quiet_period: heartbeat,
            max_wait: heartbeat,
            check_interval,
            set_aside: crate::domain::LetGo::Nothing,
            takes_along: false,
            adopts: false,
        };
        let check = |bustle, told, untold| {
            assert_eq!((watch.pause(bustle, true), watch.pause(bustle, false)), (told, untold), "{bustle:?}");
        };
        check(Bustle::Alone, None, Some(heartbeat));
        check(Bustle::Nothing, None, Some(check_interval));
        check(Bustle::Work, Some(check_interval), Some(check_interval));
        check(Bustle::Answer, Some(FOLLOW_INTERVAL), Some(FOLLOW_INTERVAL));
        let slow = Watch { check_interval: Duration::from_millis(10), ..watch };
        assert_eq!(slow.pause(Bustle::Answer, true), Some(slow.check_interval), "never rarer than it is told to");
    }
}
