//! How a run of the program ended, and ways to look at it.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use nix::sys::signal::Signal;
use serde_json::Value;

/// How the program ended and what it wrote.
#[derive(Debug)]
pub struct Outcome {
    pub status: ExitStatus,
    pub out: String,
    pub err: String,
}

impl Outcome {
    /// It ended with this code.
    #[track_caller]
    pub fn code(self, code: i32) -> Self {
        let Self { status, out, err } = &self;
        assert!(status.code() == Some(code), "{status}, not {code}\n--- stdout\n{out}\n--- stderr\n{err}");
        self
    }

    /// It ended by this signal, uncaught.
    #[track_caller]
    pub fn killed(self, signal: Signal) -> Self {
        assert_eq!(self.status.signal(), Some(signal as i32), "{self:?}");
        self
    }

    /// stdout is exactly this.
    #[track_caller]
    pub fn out(self, out: &str) -> Self {
        assert!(self.out == out, "--- expected\n{out}\n--- stdout\n{}\n--- stderr\n{}", self.out, self.err);
        self
    }

    /// stderr has all of these in this order.
    #[track_caller]
    pub fn err(self, parts: &[&str]) -> Self {
        let mut rest = self.err.as_str();
        for part in parts {
            let found = rest.split_once(part);
            assert!(found.is_some(), "no {part:?} (in that order) in\n{}", self.err);
            rest = found.map_or("", |(_, rest)| rest);
        }
        self
    }

    /// stderr is empty.
    #[track_caller]
    pub fn quiet(self) -> Self {
        assert_eq!(self.err, "");
        self
    }

    /// The events (`--json`).
    pub fn events(&self) -> Vec<Value> {
        events(self.out.as_bytes())
    }

    /// The events of this name.
    pub fn named(&self, name: &str) -> Vec<Value> {
        self.events().into_iter().filter(|event| event["event"] == name).collect()
    }

    /// The data of the only result of this command.
    #[track_caller]
    pub fn result(&self, command: &str) -> Value {
        let found: Vec<_> = self.named("result").into_iter().filter(|event| event["command"] == command).collect();
        assert_eq!(found.len(), 1, "{found:?}");
        found[0]["data"].clone()
    }
}

/// The pieces of an entry's answer put together: `field` is `text` or `reasoning`.
pub fn text_of(events: &[Value], entry: i64, field: &str) -> String {
    let deltas = events.iter().filter(|event| event["event"] == "delta" && event["entry"] == entry);
    deltas.filter_map(|event| event[field].as_str()).collect()
}

/// Role, text and state of every message that `/history` gave.
pub fn history(data: &Value) -> Vec<(String, String, String)> {
    let word = |message: &Value, field: &str| message[field].as_str().unwrap().to_owned();
    let all = data.as_array().unwrap().iter();
    all.map(|message| (word(message, "role"), word(message, "text"), word(message, "state"))).collect()
}

/// Owned words, for comparing.
pub fn turns(all: &[(&str, &str)]) -> Vec<(String, String)> {
    all.iter().map(|(role, text)| ((*role).to_owned(), (*text).to_owned())).collect()
}

/// The whole lines as JSON.
pub(super) fn events(out: &[u8]) -> Vec<Value> {
    let lines = out.split_inclusive(|&byte| byte == b'\n').filter(|line| line.ends_with(b"\n"));
    lines.map(|line| serde_json::from_slice(line).unwrap_or_else(|e| panic!("{e}: {line:?}"))).collect()
}
