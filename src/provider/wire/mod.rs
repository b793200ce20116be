//! The four wire formats: what a request looks like, and what one event of an answer says. Pure: bytes of JSON in, pieces out.
//!
//! Knows no connection, no time, no key. Decoding is stateless and typed: unknown members are skipped, never an error, and the
//! text of a piece is taken from the event with one allocation.

pub(crate) mod anthropic;
pub(crate) mod gemini;
pub(crate) mod ollama;
pub(crate) mod openai;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::seam::Seam;
use super::{Kind, Piece, Request};
use crate::domain::{Finish, ProviderError, Role, Usage};

/// What a model is asked where it does not take the beginning of its answer.
pub(crate) const GO_ON: &str =
    "Go on exactly where your last answer stopped. Repeat none of it and say nothing about the interruption.";

/// What stands between two neighbours of one role that are sent as one message.
const BETWEEN_NEIGHBOURS: &str = "\n\n";

/// What the events said so far and nobody took yet.
#[derive(Debug, Default)]
pub(crate) struct Said {
    /// In the order of saying; never a [`Piece::Finish`].
    pub(crate) pieces: VecDeque<Piece>,
    /// The stop reason, once there was one. It is held back until the stream is over, because some servers name it in every event.
    pub(crate) finish: Option<Finish>,
    /// The end mark came (`[DONE]`, `message_stop`, `done`): nothing is to be expected behind it.
    pub(crate) over: bool,
}

impl Said {
    fn text(&mut self, text: Option<String>) {
        if let Some(text) = text.filter(|t| !t.is_empty()) {
            self.pieces.push_back(Piece::Text(text));
        }
    }

    fn reasoning(&mut self, text: Option<String>) {
        if let Some(text) = text.filter(|t| !t.is_empty()) {
            self.pieces.push_back(Piece::Reasoning(text));
        }
    }

    fn usage(&mut self, usage: Usage) {
        if usage != Usage::default() {
            self.pieces.push_back(Piece::Usage(usage));
        }
    }
}

/// A number of tokens. What is no such number is as good as none: the words beside it matter more.
fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(|value| value.get().parse().ok())
}

/// Why an event gave no piece.
#[derive(Debug)]
pub(crate) enum Fault {
    /// It is not the JSON that was expected.
    Json(serde_json::Error),
    /// It says that something went wrong. The text is as it came: uncut, and perhaps with a key in it.
    Said(ProviderError),
}

impl From<serde_json::Error> for Fault {
    fn from(e: serde_json::Error) -> Self {
        Self::Json(e)
    }
}

/// What a request may ask for and a server may refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Options {
    /// Ask for token counts where they come only when asked for.
    pub(crate) usage: bool,
    /// End with the beginning of the answer, where it is to be continued; else [`GO_ON`] is asked.
    pub(crate) prefill: bool,
}

impl Options {
    /// What is tried first. A trailing answer is gone on from by Ollama and by most Anthropic models; OpenAI's begin anew, and
    /// Gemini refuses.
    pub(crate) fn of(kind: Kind) -> Self {
        Self { usage: kind == Kind::OpenAi, prefill: matches!(kind, Kind::Anthropic | Kind::Ollama) }
    }
}

/// A request's JSON.
#[derive(Debug)]
pub(crate) struct Body {
    /// Its members.
    pub(crate) members: Map<String, Value>,
    /// What the model may say again of the answer's beginning.
    pub(crate) seam: Seam,
}

/// The request as `kind` wants it, `extra` members replacing ours.
pub(crate) fn body(kind: Kind, request: &Request, options: Options, extra: &Map<String, Value>) -> Body {
    let members = match kind {
        Kind::OpenAi => openai::body(request, options),
        Kind::Anthropic => anthropic::body(request, options),
        Kind::Gemini => gemini::body(request, options),
        Kind::Ollama => ollama::body(request, options),
        Kind::Demo => Map::new(),
    };
    let mut body = Body { members, seam: seam(kind, request, options) };
    for (name, value) in extra {
        body.members.insert(name.clone(), value.clone());
    }
    body
}

fn seam(kind: Kind, request: &Request, options: Options) -> Seam {
    match (request.beginning(), request.messages.last()) {
        (Some(said), _) if !options.prefill => Seam::repeats(said),
        (Some(said), _) if kind == Kind::Anthropic => Seam::blanks(&said[said.trim_end().len()..]),
        (Some(_), _) => Seam::default(),
        // Blanks alone are not sent ([`turns`]).
        (None, Some(last)) if last.role == Role::Assistant => Seam::blanks(&last.text),
        (None, _) => Seam::default(),
    }
}

/// What OpenAI's and Ollama's requests have in common: the system prompt is the conversation's first message.
fn chat_body(request: &Request, options: Options) -> Map<String, Value> {
    let system = (!request.system.is_empty()).then(|| (Role::System, request.system.clone()));
    let messages: Vec<_> = system
        .into_iter()
        .chain(turns(request, options))
        .map(|(role, text)| json!({ "role": role.as_str(), "content": text }))
        .collect();
    let mut body = Map::new();
    body.insert("model".to_owned(), request.model.as_str().into());
    body.insert("messages".to_owned(), messages.into());
    body.insert("stream".to_owned(), true.into());
    body
}

/// The conversation as it is sent, in order.
fn turns(request: &Request, options: Options) -> Vec<(Role, String)> {
    let mut turns: Vec<_> = request.messages.iter().map(|m| (m.role, m.text.clone())).collect();
    match request.beginning() {
        Some(_) if options.prefill => {}
        Some(_) => turns.push((Role::User, GO_ON.to_owned())),
        // Of blanks alone no model goes on: it begins anew.
        None => _ = turns.pop_if(|(role, _)| *role == Role::Assistant),
    }
    turns
}

/// The same for APIs that insist on alternation and refuse empty messages: neighbours of one role become one message.
fn alternating(request: &Request, options: Options) -> Vec<(Role, String)> {
    let mut merged: Vec<(Role, String)> = Vec::with_capacity(request.messages.len());
    for (role, text) in turns(request, options) {
        if text.trim().is_empty() {
            continue;
        }
        // Instructions travel apart; one that stands among the messages is the person's side of them.
        let role = if role == Role::Assistant { role } else { Role::User };
        match merged.last_mut() {
            Some((last, so_far)) if *last == role => {
                so_far.push_str(BETWEEN_NEIGHBOURS);
                so_far.push_str(&text);
            }
            _ => merged.push((role, text)),
        }
    }
    merged
}
