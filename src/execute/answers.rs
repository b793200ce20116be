//! What commands answer: as data for `--json`, and as text for people.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr;

use super::layout::pad;
use super::{Answer, Executor, Failure};
use crate::command;
use crate::coordinator::{SessionState, SessionView};
use crate::domain::{AnswerState, Message, Output, Role, Seen, Session, SessionId};
use crate::store::{FindMessage, History, OutputSince};

/// What `/replay` shows at most; of more the end.
const REPLAY_BYTES: u64 = 4 << 20;

impl Executor {
    pub(super) async fn sessions(&self) -> Result<Answer, Failure> {
        let views = self.handle.views().await?;
        let data = views.iter().map(session_data).collect();
        Ok(Answer { command: "sessions", data: Value::Array(data), text: sessions_text(&views) })
    }

    pub(super) async fn history(&self, count: u32) -> Result<Answer, Failure> {
        let session = self.handle.find(None).await?;
        let last = usize::try_from(count).unwrap_or(usize::MAX);
        let messages = self.store.read(History { session: session.id, last }).await?;
        let data = messages.iter().map(message_data).collect();
        let text = messages.iter().map(|message| message_text(message, &session)).collect::<Vec<_>>().join("\n");
        let text = if text.is_empty() { "no messages yet".to_owned() } else { text };
        Ok(Answer { command: "history", data: Value::Array(data), text })
    }

    /// The session's output from its beginning; of more than [`REPLAY_BYTES`] the end.
    pub(super) async fn replay(&self) -> Result<Answer, Failure> {
        let session = self.handle.find(None).await?;
        let all = OutputSince { session: session.id, seen: Seen::START, max_bytes: REPLAY_BYTES };
        let behind = self.store.read(all).await?;
        let mut messages = Vec::new();
        let ids = behind.outputs.iter().map(Output::message);
        for id in ids.collect::<BTreeSet<_>>() {
            messages.extend(self.store.read(FindMessage(id)).await?);
        }
        let data = messages.iter().map(message_data).collect();
        let text = messages.iter().map(|message| message_text(message, &session)).collect::<Vec<_>>().join("\n");
        let text = match (text.is_empty(), behind.cut_bytes) {
            (true, _) => "nothing to replay yet".to_owned(),
            (false, 0) => text,
            (false, cut) => format!("[{cut} bytes before this are left out]\n{text}"),
        };
        Ok(Answer { command: "replay", data: Value::Array(data), text })
    }

    pub(super) async fn show_model(&self) -> Result<Answer, Failure> {
        let session = self.handle.find(None).await?;
        let data = json!({ "session": session.id, "model": session.model, "models": &self.models[..] });
        let others = self.models.iter().filter(|model| **model != session.model.to_string());
        let text = std::iter::once(session.model.to_string())
            .chain(others.map(|model| format!("  also: {model}")))
            .collect::<Vec<_>>()
            .join("\n");
        Ok(Answer { command: "model", data, text })
    }
}

pub(super) fn echo(text: String) -> Answer {
    Answer { command: "echo", data: Value::String(text.clone()), text }
}

pub(super) fn help(name: Option<&'static str>, width: usize) -> Result<Answer, Failure> {
    let text = match name {
        Some(name) => command::help_for(name, width)?,
        None => command::help_text(width),
    };
    let text = text.trim_end_matches('\n').to_owned();
    Ok(Answer { command: "help", data: Value::String(text.clone()), text })
}

pub(super) fn system(session: &Session) -> Answer {
    let text = if session.system.is_empty() { "no system prompt: /system TEXT sets one" } else { &session.system };
    let data = json!({ "session": session.id, "system": session.system });
    Answer { command: "system", data, text: text.to_owned() }
}

fn session_data(view: &SessionView) -> Value {
    let Session { id, name, model, .. } = &view.session;
    json!({
        "session": id,
        "name": name,
        "model": model,
        "active": view.active,
        "state": view.state,
        "pending": view.pending,
        "activity": view.activity,
    })
}

/// One row a session: `* 1:main  demo:tour  streaming, 2 wait`.
fn sessions_text(views: &[SessionView]) -> String {
    let title = |view: &SessionView| format!("{}:{}", view.session.id, view.session.name);
    let widest = |of: &dyn Fn(&SessionView) -> String| views.iter().map(|v| of(v).width()).max().unwrap_or(0);
    let (titles, models) = (widest(&title), widest(&|view| view.session.model.to_string()));
    let row = |view: &SessionView| {
        let mark = match (view.active, view.activity) {
            (true, _) => "*",
            (false, Some(activity)) => activity.as_str(),
            (false, None) => " ",
        };
        let state = match (view.state, view.pending) {
            (SessionState::Idle, _) => "idle".to_owned(),
            (SessionState::Streaming, 0) => "streaming".to_owned(),
            (SessionState::Held, 0) => "held".to_owned(),
            (SessionState::Streaming, waiting) => format!("streaming, {waiting} waiting"),
            (SessionState::Held, waiting) => format!("held, {waiting} waiting"),
            (SessionState::Waiting, 0) => "waiting".to_owned(),
            (SessionState::Waiting, waiting) => format!("{waiting} waiting"),
        };
        let (title, model) = (pad(&title(view), titles), pad(&view.session.model.to_string(), models));
        format!("{mark} {title}  {model}  {state}")
    };
    views.iter().map(row).collect::<Vec<_>>().join("\n")
}

/// `text` and blanks up to `width` columns.
fn message_data(message: &Message) -> Value {
    json!({
        "message": message.id,
        "session": message.session,
        "entry": message.entry,
        "role": message.role,
        "state": message.state,
        "text": message.text,
        "reasoning": message.reasoning,
        "model": message.model,
        "finish_reason": message.finish_reason,
        "tokens": message.usage,
        "error": message.error,
        "created_at_ms": message.created_at,
        "finished_at_ms": message.finished_at,
    })
}

fn message_text(message: &Message, session: &Session) -> String {
    let prompt = |id: SessionId| format!("{id}:{}> ", session.name);
    if message.role == Role::User {
        return format!("{}{}", prompt(message.session), message.text);
    }
    let text = message.text.trim_end_matches('\n');
    let why = message.error.as_ref().map(|error| format!(": {}", error.text)).unwrap_or_default();
    let mark = match message.state {
        AnswerState::Complete => return text.to_owned(),
        AnswerState::Streaming => "[streaming]".to_owned(),
        AnswerState::Interrupted => format!("[interrupted{why}]"),
        AnswerState::Failed => format!("[failed{why}]"),
    };
    if text.is_empty() { mark } else { format!("{text}\n{mark}") }
}
