//! What happens, in the order of happening: the lines of `--json`. Names never change their meaning.

use serde::{Serialize, Serializer};
use serde_json::Value;

use super::finish::Finish;
use super::ids::{EntryId, SessionId};
use super::kinds::{EndState, FinishReason, Origin, Priority, SessionChange};
use super::message::{StoredError, Usage};
use super::names::{ModelName, SessionName};

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A session was created, switched to, renamed, closed …
    Session {
        /// Which.
        session: SessionId,
        /// Its name now.
        name: SessionName,
        /// Its model now.
        model: ModelName,
        /// What happened to it.
        change: SessionChange,
    },
    /// A message was accepted and is committed.
    Queued {
        /// In which session.
        session: SessionId,
        /// The entry's number.
        entry: EntryId,
        /// Its priority.
        priority: Priority,
        /// Who made it.
        origin: Origin,
        /// Turns that come before it in its session, the running one included.
        ahead: usize,
    },
    /// A turn began.
    Started {
        /// In which session.
        session: SessionId,
        /// Whose turn.
        entry: EntryId,
        /// 1 for the first attempt.
        attempt: u32,
    },
    /// A piece of the answer: `text` or `reasoning`.
    Delta {
        /// In which session.
        session: SessionId,
        /// Whose turn.
        entry: EntryId,
        /// The piece.
        #[serde(flatten)]
        delta: Delta,
    },
    /// A turn runs, and no content came for some time.
    Progress {
        /// In which session.
        session: SessionId,
        /// Whose turn.
        entry: EntryId,
        /// Since the last content, or since the attempt began, in milliseconds.
        silent_ms: u64,
        /// Whether bytes came since the last of these events, or since the attempt began.
        alive: bool,
    },
    /// An attempt failed and another will follow.
    Retry {
        /// In which session.
        session: SessionId,
        /// Whose turn.
        entry: EntryId,
        /// The attempt that will follow.
        attempt: u32,
        /// Attempts in all.
        of: u32,
        /// Until then, in milliseconds.
        in_ms: u64,
        /// Why.
        error: StoredError,
    },
    /// A turn ended, and that is committed.
    Finished {
        /// In which session.
        session: SessionId,
        /// Whose turn.
        entry: EntryId,
        /// How.
        state: EndState,
        /// Why the model stopped, if it did: `finish_reason` and `finish_detail`, or `null`.
        #[serde(flatten, serialize_with = "finish_members")]
        finish: Option<Finish>,
        /// The whole answer, or what came of it.
        text: String,
        /// Bytes of the text after which the answer was continued, ascending.
        seams: Vec<u64>,
        /// Tokens of the turn.
        tokens: Usage,
        /// From acknowledgement to the first start, in milliseconds.
        wait_ms: u64,
        /// From the start of the last attempt to its first content, in milliseconds.
        first_ms: Option<u64>,
        /// From the first start to the end, in milliseconds.
        total_ms: u64,
        /// Why, when it went wrong.
        error: Option<StoredError>,
    },
    /// The session has nothing running and may start its next entry.
    Idle {
        /// Which.
        session: SessionId,
    },
    /// What a command answers.
    Result {
        /// The command, without its slash.
        command: String,
        /// Its answer.
        data: Value,
    },
    /// Something worth knowing.
    Notice {
        /// For people.
        text: String,
    },
    /// A line that was wrong.
    Error {
        /// The line's number in the script; absent where there is no script.
        #[serde(skip_serializing_if = "Option::is_none")]
        line: Option<u64>,
        /// For people.
        text: String,
    },
}

fn finish_members<S: Serializer>(finish: &Option<Finish>, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Members<'a> {
        finish_reason: Option<FinishReason>,
        finish_detail: Option<&'a str>,
    }
    let finish_reason = finish.as_ref().map(|finish| finish.reason);
    let finish_detail = finish.as_ref().and_then(|finish| finish.detail.as_deref());
    Members { finish_reason, finish_detail }.serialize(serializer)
}

/// A piece of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Delta {
    /// Of the text.
    Text(String),
    /// Of the reasoning.
    Reasoning(String),
}

impl Delta {
    /// The piece's text.
    pub fn text(&self) -> &str {
        match self {
            Self::Text(text) | Self::Reasoning(text) => text,
        }
    }

    /// Cuts the piece to at most `bytes`, at the end of a character.
    pub fn truncate(&mut self, bytes: usize) {
        match self {
            Self::Text(text) | Self::Reasoning(text) => text.truncate(text.floor_char_boundary(bytes)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_look_as_the_contract_says() {
        let check = |event: &Event, json: &str| assert_eq!(serde_json::to_string(event).unwrap(), json);
        let (session, entry) = (SessionId(1), EntryId(41));
        check(
            &Event::Session {
                session,
                name: "main".parse().unwrap(),
                model: "demo:tour".parse().unwrap(),
                change: SessionChange::Created,
            },
            r#"{"event":"session","session":1,"name":"main","model":"demo:tour","change":"created"}"#,
        );
        check(
            &Event::Queued { session, entry, priority: Priority::Normal, origin: Origin::Script, ahead: 2 },
            r#"{"event":"queued","session":1,"entry":41,"priority":"normal","origin":"script","ahead":2}"#,
        );
        check(
            &Event::Delta { session, entry, delta: Delta::Text("Hel".into()) },
            r#"{"event":"delta","session":1,"entry":41,"text":"Hel"}"#,
        );
        check(
            &Event::Progress { session, entry, silent_ms: 30_000, alive: true },
            r#"{"event":"progress","session":1,"entry":41,"silent_ms":30000,"alive":true}"#,
        );
        check(
            &Event::Finished {
                session,
                entry,
                state: EndState::Complete,
                finish: Some(Finish { reason: FinishReason::Refusal, detail: Some("no".into()) }),
                text: "Hi".into(),
                seams: vec![1],
                tokens: Usage { input: Some(9), output: Some(12) },
                wait_ms: 0,
                first_ms: Some(41),
                total_ms: 97,
                error: None,
            },
            concat!(
                r#"{"event":"finished","session":1,"entry":41,"state":"complete","#,
                r#""finish_reason":"refusal","finish_detail":"no","text":"Hi","seams":[1],"#,
                r#""tokens":{"input":9,"output":12},"wait_ms":0,"first_ms":41,"total_ms":97,"error":null}"#
            ),
        );
        check(
            &Event::Finished {
                session,
                entry,
                state: EndState::Cancelled,
                finish: None,
                text: String::new(),
                seams: Vec::new(),
                tokens: Usage::default(),
                wait_ms: 0,
                first_ms: None,
                total_ms: 0,
                error: None,
            },
            concat!(
                r#"{"event":"finished","session":1,"entry":41,"state":"cancelled","#,
                r#""finish_reason":null,"finish_detail":null,"text":"","seams":[],"#,
                r#""tokens":{"input":null,"output":null},"wait_ms":0,"first_ms":null,"total_ms":0,"error":null}"#
            ),
        );
        check(&Event::Error { line: Some(7), text: "x".into() }, r#"{"event":"error","line":7,"text":"x"}"#);
    }
}
