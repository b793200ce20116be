//! A stretch of a story on a database of its own: processes that come, type, and are killed, until the last ones end in order.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::answers;
use crate::disk::{Disk, Moment};
use crate::figures::Figures;
use crate::process::{self, Acknowledged, Past, Process, within};
use crate::program::{Home, Outcome, PATIENCE};
use crate::server::{Format, Server};
use crate::{log, stalls};

pub(crate) const SESSIONS: i64 = 4;
/// `[lease]` as it is where nothing is configured.
const QUIET_PERIOD: Duration = Duration::from_millis(800);
const HEARTBEAT: Duration = Duration::from_secs(1);
const CHECK_INTERVAL: Duration = Duration::from_millis(100);
/// What is allowed for scheduling: this much, and [`STALLS`] times what this machine had a thread wait at that time.
const ALLOWED: Duration = Duration::from_millis(150);
/// A checkpoint waits for a timer, the coordinator, the writer's thread and the disk, one after the other.
const STALLS: u32 = 4;

/// `chatmux work`, which a `/detach` starts too, has started by then. It runs what it finds that the last exit has left, also of who was
/// killed: that is what it is for.
const STARTS: Duration = Duration::from_secs(2);

/// Something that was done, and may have ended answers early or let them begin again.
#[derive(Debug, Clone)]
pub(crate) struct Deed {
    pub(crate) what: What,
    pub(crate) from: Duration,
    /// It was done by then: a line that is typed is carried out when those before it are.
    pub(crate) until: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// The process of this number was killed.
    Kill(usize),
    /// It has left by itself; `/detach` hands over what it has begun.
    Left(usize),
    /// A line that ends the turn of this session.
    Ends(i64),
    /// `/resume`.
    Resumes,
}

impl Deed {
    /// It may have been done within this time.
    pub(crate) fn within(&self, from: Duration, until: Duration) -> bool {
        self.from <= until && self.until >= from
    }
}

pub(crate) struct Round {
    pub(crate) seed: u64,
    pub(crate) dice: fastrand::Rng,
    pub(crate) home: Home,
    pub(crate) server: Server,
    disk: Disk,
    pub(crate) alive: Vec<Process>,
    pub(crate) past: Vec<Past>,
    pub(crate) deeds: Vec<Deed>,
    /// Processes that were killed, and whose work nobody has taken over.
    dead: BTreeSet<u32>,
    started: usize,
    questions: usize,
    /// Dead letters and the like are seen from this.
    pub(crate) figures: Figures,
}

impl Round {
    pub(crate) fn begin(seed: u64) -> Self {
        let server = Server::start();
        server.otherwise(move |nth, _| answers::reply(seed, nth));
        let home = Home::serving(&server, Format::OpenAi);
        let sessions: String = (2..=SESSIONS).map(|n| format!("/new s{n}\n")).collect();
        home.run(&[], sessions).code(0);
        let disk = Disk::open(&home);
        let dice = fastrand::Rng::with_seed(seed);
        Self {
            seed,
            dice,
            home,
            server,
            disk,
            alive: Vec::new(),
            past: Vec::new(),
            deeds: Vec::new(),
            dead: BTreeSet::new(),
            started: 0,
            questions: 0,
            figures: Figures::default(),
        }
    }

    pub(crate) fn now(&self) -> Duration {
        self.server.since_start(Instant::now())
    }

    /// Starts a process with a prompt in one of the sessions, or `chatmux work`.
    pub(crate) fn start(&mut self, works: bool) {
        self.started += 1;
        self.figures.starts += 1;
        process::configure(&self.home, &self.server, self.started, "");
        let session = self.dice.i64(1..=SESSIONS).to_string();
        let args: &[&str] = if works { &["work"] } else { &["-s", &session] };
        if works {
            let from = self.now();
            self.deeds.push(Deed { what: What::Resumes, from, until: from + STARTS });
        }
        let process = Process::start(&self.home, self.started, args);
        self.alive.push(process);
    }

    /// Types a message with `command` into process `nth`, for `session`.
    pub(crate) fn ask(&mut self, nth: usize, command: &str, session: i64) {
        self.questions += 1;
        let text = answers::question(self.questions, session);
        self.alive[nth].ask(command, &[session], &text);
    }

    /// Types a line that does something to turns.
    pub(crate) fn order(&mut self, nth: usize, line: &str, what: What) {
        self.deeds.push(Deed { what, from: self.now(), until: Duration::MAX });
        self.alive[nth].say(line);
        self.alive[nth].leaves |= matches!(what, What::Left(_));
        self.mark(nth);
    }

    /// The high message that makes a low turn give way.
    pub(crate) fn hurry(&mut self, nth: usize, session: i64) {
        self.deeds.push(Deed { what: What::Ends(session), from: self.now(), until: Duration::MAX });
        self.ask(nth, "/now", session);
        self.mark(nth);
    }

    /// Has the process say when it has come so far.
    fn mark(&mut self, nth: usize) {
        let line = format!("/echo {}", deed(self.deeds.len() - 1));
        self.alive[nth].say(&line);
    }

    /// What was said by a process that has ended, of when it did what it was told.
    fn settle(&mut self, past: &Past) {
        if past.leaves {
            let from = self.now();
            self.deeds.push(Deed { what: What::Resumes, from, until: from + STARTS });
        }
        for (when, event) in
            past.events.iter().filter(|(_, event)| event["event"] == "result" && event["command"] == "echo")
        {
            let said = event["data"].to_string();
            let nth = said.split("deed-").nth(1).and_then(|rest| rest.split('.').next()?.parse::<usize>().ok());
            self.deeds[nth.unwrap()].until = self.server.since_start(*when);
        }
    }

    /// Those of `alive` that have a lease now.
    pub(crate) fn owners(&self) -> Vec<usize> {
        let (_, owners) = self.disk.registered();
        (0..self.alive.len()).filter(|&nth| owners.contains(&self.alive[nth].program.id())).collect()
    }

    /// Kills process `nth`, and looks at what it has left.
    pub(crate) fn kill(&mut self, nth: usize) {
        let (at, past, outcome) = self.alive.swap_remove(nth).kill();
        if outcome.status.signal() != Some(Signal::SIGKILL as i32) {
            return self.bury(past, &outcome);
        }
        let killed = self.server.since_start(at);
        self.figures.kills += 1;
        self.deeds.push(Deed { what: What::Kill(past.number), from: killed, until: self.now() });
        self.settle(&past);
        let moment = self.disk.look(self.seed);
        moment.assert_kept(&past.acknowledged());
        if moment.registered.contains(&past.pid) {
            self.dead.insert(past.pid);
        }
        self.measure_partials(past.number, at, &moment);
        self.past.push(past);
        for process in &mut self.alive {
            let (out, err) = (process.program.out(), process.program.err());
            assert_quiet(&out, &err);
        }
    }

    /// Kills a process that a `/detach` has started, if there is one.
    pub(crate) fn kill_detached(&mut self) {
        let (registered, _) = self.disk.registered();
        let ours: BTreeSet<u32> = self.alive.iter().map(|process| process.program.id()).collect();
        let Some(pid) = registered.into_iter().find(|pid| !ours.contains(pid) && !self.dead.contains(pid)) else {
            return;
        };
        let Some(number) = detached(pid, &self.home) else { return };
        let from = self.now();
        if nix::sys::signal::kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL).is_ok() {
            self.figures.kills += 1;
            self.deeds.push(Deed { what: What::Kill(number), from, until: from });
            self.dead.insert(pid);
            drop(self.disk.look(self.seed));
        }
    }

    /// How far what is on the disk was behind what the server had sent, for each answer that came when the process `number` was killed.
    fn measure_partials(&mut self, number: usize, at: Instant, moment: &Moment) {
        let killed = self.server.since_start(at);
        let allowed = CHECKPOINT + ALLOWED + STALLS * stalls::before(at);
        let open = self.server.log(|requests| log::open_at(requests, number, killed));
        self.figures.kills_of_owners += usize::from(!open.is_empty());
        for (request, question, sent) in open {
            let parts =
                moment.asking(&question).and_then(|(_, entry)| entry.answer.as_ref()).map(|answer| &answer.parts);
            let kept = parts.into_iter().flatten().find(|part| part.request == request).map_or(0, |part| part.pieces);
            assert!(kept <= sent.len(), "more of request {request} is kept than was sent");
            let came = sent.iter().filter(|at| **at <= killed).count();
            let behind = if kept < came { killed - sent[kept] } else { Duration::ZERO };
            self.figures.behind.push(behind);
            if behind > allowed {
                self.figures.late.push((behind, allowed));
            }
        }
    }

    /// Waits until nobody has a lease any more who was killed: those who live have taken over. One that had nothing to run may stay
    /// registered until something happens: nobody looks for it.
    pub(crate) fn wait_for_takeover(&mut self, since: Instant) {
        if self.disk.registered().1.is_disjoint(&self.dead) {
            return;
        }
        let over = within(PATIENCE, || {
            self.reap();
            self.alive.is_empty() || self.disk.registered().1.is_disjoint(&self.dead)
        });
        assert!(over, "nobody has taken over from {:?}", self.dead);
        let (registered, _) = self.disk.registered();
        self.dead.retain(|pid| registered.contains(pid));
        if self.alive.is_empty() {
            return;
        }
        let took = since.elapsed();
        let allowed = QUIET_PERIOD + HEARTBEAT + CHECK_INTERVAL + ALLOWED + STALLS * stalls::before(Instant::now());
        self.figures.takeovers.push(took);
        if took > allowed {
            self.figures.late_takeovers.push((took, allowed));
        }
        drop(self.disk.look(self.seed));
    }

    /// Takes in what has ended by itself: `chatmux work`, and who was told `/detach`.
    pub(crate) fn reap(&mut self) {
        let mut nth = 0;
        while nth < self.alive.len() {
            if self.alive[nth].program.is_running() {
                nth += 1;
            } else {
                let process = self.alive.swap_remove(nth);
                let (past, outcome) = process.end(false);
                self.bury(past, &outcome);
            }
        }
    }

    /// It has ended by itself.
    fn bury(&mut self, past: Past, outcome: &Outcome) {
        assert_quiet(&outcome.out, &outcome.err);
        // 1 is for a script that was told of an answer that was cut.
        let is_cut = |event: &serde_json::Value| event["event"] == "error" || event["error"].is_object();
        let cut = past.events.iter().any(|(_, event)| is_cut(event));
        let code = outcome.status.code();
        assert!(code == Some(0) || (code == Some(1) && (cut || !past.in_order)), "{code:?}: {outcome:?}");
        self.deeds.push(Deed { what: What::Left(past.number), from: self.now(), until: self.now() });
        self.settle(&past);
        self.past.push(past);
    }

    /// Lets everything come to its end, and judges all of it.
    pub(crate) fn end(mut self) -> Figures {
        self.reap();
        // Of the others some may be about to leave.
        self.start(false);
        let last = self.alive.len() - 1;
        let pids: BTreeSet<u32> = self.past.iter().map(|past| past.pid).collect();
        let disk = &self.disk;
        let fresh = self.alive[last].program.id();
        let settled = || disk.registered().0;
        assert!(
            within(PATIENCE, || settled().contains(&fresh) && settled().is_disjoint(&pids)),
            "some are registered still that have ended: {:?} of {pids:?}",
            settled()
        );
        self.order(last, "/resume all", What::Resumes);
        self.alive[last].program.wait_out(&deed(self.deeds.len() - 1));
        self.alive.iter_mut().for_each(|process| process.program.hang_up());
        for process in std::mem::take(&mut self.alive) {
            let in_order = !process.leaves;
            let (past, outcome) = process.end(in_order);
            self.bury(past, &outcome);
        }
        // Who was started by a /detach ends when nothing is left.
        assert!(within(PATIENCE, || self.disk.registered().0.is_empty()), "{:?} do not end", self.disk.registered());
        self.deeds.push(Deed { what: What::Resumes, from: self.now(), until: Duration::MAX });
        let last = self.home.run(&["--json"], "/resume all\n/wait all\n/queue all\n");
        assert_quiet(&last.out, &last.err);
        let queue = last.result("queue");
        let waits: Vec<_> = queue.as_array().unwrap().iter().filter(|entry| entry["state"] != "dead").collect();
        assert!(waits.is_empty(), "these wait for ever: {waits:?}");
        let moment = self.disk.look(self.seed);
        let acknowledged: Vec<Acknowledged> = self.past.iter().flat_map(Past::acknowledged).collect();
        moment.assert_kept(&acknowledged);
        log::judge(&mut self, &moment, &acknowledged);
        let log = std::fs::read_to_string(self.home.path("state/chatmux/chatmux.log")).unwrap_or_default();
        assert_quiet("", &log);
        self.figures
    }
}

/// The number of a process of this home that a `/detach` has started: its configuration is that of who has started it.
fn detached(pid: u32, home: &Home) -> Option<usize> {
    let of = Path::new("/proc").join(pid.to_string());
    let command = std::fs::read_to_string(of.join("cmdline")).ok()?;
    let is_ours = std::fs::read_link(of.join("cwd")).ok()? == home.path("").canonicalize().unwrap();
    let config = command.split('\0').find_map(|word| word.strip_suffix(".toml"))?;
    config.parse().ok().filter(|_| is_ours && command.contains("work"))
}

fn deed(nth: usize) -> String {
    format!("deed-{nth}.")
}

/// `CHECKPOINT_INTERVAL`.
const CHECKPOINT: Duration = Duration::from_millis(100);

/// Nobody is told of what is no business of a person.
fn assert_quiet(out: &str, err: &str) {
    for word in ["database is locked", "database is busy", "session is busy", "panicked", "malformed"] {
        assert!(!out.contains(word) && !err.contains(word), "{word:?} in\n{out}\n{err}");
    }
}
