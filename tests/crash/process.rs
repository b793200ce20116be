//! One chatmux of a story: what was typed into it, and what it has said of that.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::program::{Home, Outcome, Program};
use crate::server::Server;

/// A message that was typed.
#[derive(Debug, Clone)]
pub(crate) struct Typed {
    pub(crate) session: i64,
    pub(crate) text: String,
}

/// It runs.
#[derive(Debug)]
pub(crate) struct Process {
    /// It tells the server this number with each request.
    pub(crate) number: usize,
    pub(crate) program: Program,
    /// It takes no lines (`chatmux work`).
    pub(crate) works: bool,
    /// It was told to leave, and does not hear the end of what it has asked for.
    pub(crate) leaves: bool,
    typed: Vec<Typed>,
}

/// It has ended.
#[derive(Debug)]
pub(crate) struct Past {
    pub(crate) number: usize,
    pub(crate) pid: u32,
    typed: Vec<Typed>,
    /// Its last words, whole lines only, each with when it came.
    pub(crate) events: Vec<(Instant, Value)>,
    /// It was told to leave.
    pub(crate) leaves: bool,
    /// It ended by itself, after all that it was asked.
    pub(crate) in_order: bool,
}

/// A message that was acknowledged.
#[derive(Debug, Clone)]
pub(crate) struct Acknowledged {
    pub(crate) entry: i64,
    pub(crate) session: i64,
    pub(crate) text: String,
    pub(crate) priority: String,
}

impl Process {
    pub(crate) fn start(home: &Home, number: usize, args: &[&str]) -> Self {
        let config = format!("{number}.toml");
        let program = home.start(&[args, &["--json", "--config", config.as_str()]].concat());
        Self { number, program, works: args.contains(&"work"), leaves: false, typed: Vec::new() }
    }

    pub(crate) fn say(&mut self, line: &str) {
        self.program.mutter(line);
    }

    /// Types a message that goes to these sessions.
    pub(crate) fn ask(&mut self, command: &str, sessions: &[i64], text: &str) {
        self.program.mutter(&format!("{command} {text}"));
        self.typed.extend(sessions.iter().map(|&session| Typed { session, text: text.to_owned() }));
    }

    /// `kill -9`. When the signal was about to be sent, and how it ended: what was told `/detach` may have been quicker.
    pub(crate) fn kill(self) -> (Instant, Past, Outcome) {
        let at = Instant::now();
        self.program.signal(Signal::SIGKILL);
        let (past, outcome) = self.end(false);
        (at, past, outcome)
    }

    /// Waits for its end.
    pub(crate) fn end(self, in_order: bool) -> (Past, Outcome) {
        let Self { number, program, typed, leaves, .. } = self;
        let pid = program.id();
        let (outcome, lines) = program.end_with_lines();
        (Past { number, pid, typed, events: events(lines), leaves, in_order }, outcome)
    }
}

impl Past {
    /// What it has acknowledged, in that order. It acknowledges in the order of what was typed.
    pub(crate) fn acknowledged(&self) -> Vec<Acknowledged> {
        let queued = self.events.iter().map(|(_, event)| event).filter(|event| event["event"] == "queued");
        let said = queued.zip(&self.typed).map(|(event, typed)| {
            assert_eq!(event["session"], typed.session, "{event} is no acknowledgement of {typed:?}");
            let (entry, priority) = (event["entry"].as_i64().unwrap(), event["priority"].as_str().unwrap().to_owned());
            Acknowledged { entry, session: typed.session, text: typed.text.clone(), priority }
        });
        said.collect()
    }

    /// The events of this name about an entry.
    pub(crate) fn of_entry<'a>(&'a self, name: &'a str, entry: i64) -> impl Iterator<Item = &'a Value> {
        let events = self.events.iter().map(|(_, event)| event);
        events.filter(move |event| event["event"] == name && event["entry"] == entry)
    }
}

fn events(lines: Vec<(Instant, String)>) -> Vec<(Instant, Value)> {
    let event = |line: &str| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line:?}"));
    lines.into_iter().map(|(when, line)| (when, event(&line))).collect()
}

/// The configuration of the process `number`.
pub(crate) fn configure(home: &Home, server: &Server, number: usize, sections: &str) {
    let section = crate::program::provider_section("local", server, crate::server::Format::OpenAi);
    let config = format!(
        "model = \"local:m\"\n{section}headers = {{ \"x-process\" = \"{number}\" }}\n\
         [queue]\nmax_pending = 1000\n[retry]\ninitial_delay = \"10ms\"\njitter = 0.0\n{sections}"
    );
    std::fs::write(home.path(format!("{number}.toml")), config).unwrap();
}

/// Which process has sent a request.
pub(crate) fn sender(request: &crate::server::Logged) -> usize {
    request.headers.get("x-process").and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// Waits until `done`; `false`: it was not within `bound`.
pub(crate) fn within(bound: Duration, mut done: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    loop {
        if done() {
            return true;
        }
        if begun.elapsed() > bound {
            return false;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}
