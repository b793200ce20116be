//! What commands answer: as data for `--json`, and as text for people.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr;

use super::layout::{GAP, INDENT, View, pad, unbroken, wrap};
use super::{Answer, Executor, Failure};
use crate::command;
use crate::coordinator::{SessionState, SessionView};
use crate::domain::attachment::folded;
use crate::domain::{Activity, AnswerState, Message, Output, Role, Seen, Session, SessionId};
use crate::store::{DeadEntries, FindMessage, History, OutputSince};

/// What `/replay` shows at most; of more the end.
const REPLAY_BYTES: u64 = 4 << 20;

impl Executor {
    pub(super) async fn sessions(&self) -> Result<Answer, Failure> {
        let views = self.handle.views().await?;
        let mut dead = Dead::new();
        for entry in self.store.read(DeadEntries { session: None }).await? {
            *dead.entry(entry.session).or_default() += 1;
        }
        let data = views.iter().map(|view| session_data(view, &dead)).collect();
        Ok(Answer { command: "sessions", data: Value::Array(data), text: sessions_text(&views, &dead, self.view()) })
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

/// Dead letters of each session that has any.
type Dead = BTreeMap<SessionId, usize>;

fn session_data(view: &SessionView, dead: &Dead) -> Value {
    let Session { id, name, model, .. } = &view.session;
    json!({
        "session": id,
        "name": name,
        "model": model,
        "active": view.active,
        "state": view.state,
        "pending": view.pending,
        "dead": dead.get(id).copied().unwrap_or(0),
        "activity": view.activity,
    })
}

/// One row a session: `* 1:main  demo:tour  streaming, 2 wait`.
fn sessions_text(views: &[SessionView], dead: &Dead, view: View) -> String {
    let title = |view: &SessionView| format!("{}:{}", view.session.id, view.session.name);
    let widest = |of: &dyn Fn(&SessionView) -> String| views.iter().map(|v| of(v).width()).max().unwrap_or(0);
    let (titles, models) = (widest(&title), widest(&|view| view.session.model.to_string()));
    let columns = view.columns();
    let words = view.words;
    let states = widest(&|view| state_text(view, dead, words));
    // What has no room in columns is folded under its session.
    let is_narrow = "* ".len() + titles + models + states + 2 * GAP > columns;
    let mut rows = Vec::new();
    for view in views {
        let mark = match (view.active, view.activity) {
            _ if words => "",
            (true, _) => "*",
            (false, Some(activity)) => activity.as_str(),
            (false, None) => " ",
        };
        let before = if words { String::new() } else { format!("{mark} ") };
        let (title, model, state) = (title(view), view.session.model.to_string(), state_text(view, dead, words));
        if is_narrow {
            wrap(&mut rows, &before, INDENT, &format!("{title} {model} {}", unbroken(&state)), columns);
        } else {
            rows.push(format!("{before}{}  {}  {state}", pad(&title, titles), pad(&model, models)));
        }
    }
    rows.join("\n")
}

/// What a session does: `streaming, held, 2 waiting, 1 dead`. `words`: and what a sign before it would say.
fn state_text(view: &SessionView, dead: &Dead, words: bool) -> String {
    let mut parts = match view.state {
        SessionState::Idle => vec!["idle".to_owned()],
        SessionState::Streaming if view.held => vec!["streaming".to_owned(), "held".to_owned()],
        SessionState::Streaming => vec!["streaming".to_owned()],
        SessionState::Held => vec!["held".to_owned()],
        SessionState::Waiting if view.pending == 0 => vec!["waiting".to_owned()],
        SessionState::Waiting => Vec::new(),
    };
    if view.pending > 0 && view.state != SessionState::Idle {
        parts.push(format!("{} waiting", view.pending));
    }
    if let Some(dead) = dead.get(&view.session.id) {
        parts.push(format!("{dead} dead"));
    }
    match (view.active, view.activity) {
        (true, _) if words => parts.push("you are here".to_owned()),
        (false, Some(Activity::Finished)) if words => parts.push("an answer is unseen".to_owned()),
        (false, Some(Activity::Failed)) if words => parts.push("needs you".to_owned()),
        _ => {}
    }
    parts.join(", ")
}

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
        "finish_reason": message.finish.as_ref().map(|finish| finish.reason),
        "finish_detail": message.finish.as_ref().and_then(|finish| finish.detail.as_ref()),
        "seams": message.seams,
        "tokens": message.usage,
        "error": message.error,
        "created_at_ms": message.created_at,
        "finished_at_ms": message.finished_at,
    })
}

fn message_text(message: &Message, session: &Session) -> String {
    let prompt = |id: SessionId| format!("{id}:{}> ", session.name);
    if message.role == Role::User {
        return format!("{}{}", prompt(message.session), folded(&message.text));
    }
    let text = message.text.trim_end_matches('\n');
    let why = message.error.as_ref().map(|error| format!(": {}", error.text)).unwrap_or_default();
    let finish = message.finish.as_ref();
    let line = finish.and_then(|finish| finish.line(!message.text.is_empty(), message.usage.output));
    let mark = match (message.state, line) {
        (AnswerState::Streaming, _) => "[streaming]".to_owned(),
        (_, Some(line)) => line,
        (AnswerState::Complete, None) => return text.to_owned(),
        (AnswerState::Interrupted, None) => format!("[interrupted{why}]"),
        (AnswerState::Failed, None) => format!("[failed{why}]"),
    };
    if text.is_empty() { mark } else { format!("{text}\n{mark}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Activity, TimeOfDay, Timestamp};

    fn session(id: i64, name: &str, state: SessionState, pending: usize, held: bool) -> SessionView {
        let session = Session {
            id: SessionId(id),
            name: name.parse().unwrap(),
            model: "demo:echo?delay=20ms".parse().unwrap(),
            system: String::new(),
            draft: String::new(),
            held,
            closed_at: None,
            seen: Seen::START,
            created_at: Timestamp(0),
            notify: None,
        };
        let activity = (id > 1).then_some(Activity::Streaming);
        SessionView { session, active: id == 1, state, elsewhere: false, pending, held, activity }
    }

    #[test]
    fn sessions_stand_in_columns_or_folded() {
        let sessions = [
            session(1, "main", SessionState::Streaming, 2, true),
            session(2, "a-long-name", SessionState::Idle, 0, false),
            session(3, "3rd", SessionState::Held, 1, true),
        ];
        let dead = Dead::from([(SessionId(2), 1)]);
        let check = |width, expected: &[&str]| {
            let view = View {
                now: Timestamp(0),
                time_of_day: TimeOfDay(|_| String::new()),
                width,
                max_attempts: 5,
                words: false,
            };
            assert_eq!(sessions_text(&sessions, &dead, view).lines().collect::<Vec<_>>(), expected);
        };
        let columns = [
            "* 1:main         demo:echo?delay=20ms  streaming, held, 2 waiting",
            "~ 2:a-long-name  demo:echo?delay=20ms  idle, 1 dead",
            "~ 3:3rd          demo:echo?delay=20ms  held, 1 waiting",
        ];
        check(80, &columns);
        let folded = [
            "* 1:main demo:echo?delay=20ms streaming,",
            "    held, 2 waiting",
            "~ 2:a-long-name demo:echo?delay=20ms",
            "    idle, 1 dead",
            "~ 3:3rd demo:echo?delay=20ms held,",
            "    1 waiting",
        ];
        check(40, &folded);
        let view = View {
            now: Timestamp(0),
            time_of_day: TimeOfDay(|_| String::new()),
            width: 80,
            max_attempts: 5,
            words: true,
        };
        let words = [
            "1:main         demo:echo?delay=20ms  streaming, held, 2 waiting, you are here",
            "2:a-long-name  demo:echo?delay=20ms  idle, 1 dead",
            "3:3rd          demo:echo?delay=20ms  held, 1 waiting",
        ];
        assert_eq!(sessions_text(&sessions, &dead, view).lines().collect::<Vec<_>>(), words);
    }
}
