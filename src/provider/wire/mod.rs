//! The wire formats, a file each: where a question is sent, how it proves who asks, what it looks like, and how the answer is read.
//! Pure: it knows no connection, no time and no key.
//!
//! A format is one implementation of [`Wire`] and one row in [`Kind::wire`]; nothing else asks which format it is.
//!
//! # How answers are read
//!
//! **Be strict in what is sent, and lose no text that came.** Each event is read leniently: a member that is unknown, null, repeated
//! or of another type than expected, and that is not needed, is ignored. What is needed (text, reasoning, the stop reason, an error)
//! is looked for in all the places where servers put it: in `delta`, `message` or `text`, as a string or as a list of parts, with
//! numbers as strings and strings as numbers ([`json`] reads halves of surrogate pairs and bytes that are not UTF-8, too). An event
//! that is no object says nothing. Only an event that begins as an object and is not JSON ends an answer, for it may have held text;
//! the text before it is kept.

pub(crate) mod anthropic;
pub(crate) mod gemini;
pub(crate) mod json;
pub(crate) mod ollama;
pub(crate) mod openai;
mod reasons;
#[cfg(test)]
mod request_tests;
#[cfg(test)]
mod tests;
mod text;

use std::borrow::Cow;
use std::collections::VecDeque;

use serde_json::{Map, Value, json as value};

use super::complaint::Complaint;
use super::seam::Seam;
use super::{Kind, Piece, Request, verdict};
use crate::domain::finish::MAX_DETAIL_CHARS;
use crate::domain::text::one_line;
use crate::domain::{Finish, FinishReason, ProviderError, Role, Usage};
use json::Json;
use text::Text;

/// What a model is asked where it does not take the beginning of its answer.
pub(crate) const GO_ON: &str =
    "Go on exactly where your last answer stopped. Repeat none of it and say nothing about the interruption.";

/// What stands between two neighbours of one role that are sent as one message.
const BETWEEN_NEIGHBOURS: &str = "\n\n";

/// Lists in lists in which text is looked for.
const MAX_PART_DEPTH: usize = 8;

/// A wire format.
pub(crate) trait Wire: Sync {
    /// Where the vendor serves it; empty where there is no such place. No `/` at the end.
    fn base_url(&self) -> &'static str;

    /// What is appended to the base URL's path for `model`.
    fn path(&self, model: &str) -> String;

    /// What is appended to the URL's query.
    fn query(&self) -> Option<(&'static str, &'static str)> {
        None
    }

    /// The header for the key, in lower case, and what stands before the key in it.
    fn key_header(&self) -> (&'static str, &'static str) {
        ("authorization", "Bearer ")
    }

    /// Further headers, names in lower case.
    fn headers(&self) -> &'static [(&'static str, &'static str)];

    /// What is asked for at first, before the server refuses any of it.
    fn options(&self) -> Options;

    /// The members of a request.
    fn body(&self, request: &Request, options: Options) -> Map<String, Value>;

    /// How the answer follows on its beginning, where it is continued with `options`.
    fn seam(&self, request: &Request, options: Options) -> Seam {
        seam(request, options)
    }

    /// The output limit that is sent with a request to `model` where no other is known; `None`: the format needs none.
    fn output_limit(&self, model: &str) -> Option<u32> {
        let _ = model;
        None
    }

    /// Where the server tells about `model`, its output limit (`max_tokens`) among it; `None`: nowhere.
    fn model_path(&self, model: &str) -> Option<String> {
        let _ = model;
        None
    }

    /// Reads one event, which is an object.
    ///
    /// # Errors
    /// The event says that something went wrong.
    fn decode(&self, event: Json<'_>, decoded: &mut Decoded) -> Result<(), ProviderError>;
}

impl Kind {
    /// The wire format; `None` for the embedded model, which has none.
    pub(crate) fn wire(self) -> Option<&'static dyn Wire> {
        match self {
            Self::OpenAi => Some(&openai::OpenAi),
            Self::Anthropic => Some(&anthropic::Anthropic),
            Self::Gemini => Some(&gemini::Gemini),
            Self::Ollama => Some(&ollama::Ollama),
            Self::Demo => None,
        }
    }

    /// Where the vendor of the format serves it; empty where there is no such place.
    pub fn base_url(self) -> &'static str {
        self.wire().map_or("", Wire::base_url)
    }
}

/// In which of its places a server puts the text of an answer: the first one that brought text, for some say it again in another.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Piece by piece.
    #[default]
    Delta,
    /// In a message; whole, or piece by piece.
    Message,
    /// In a member of the event itself.
    Event,
}

/// Half a surrogate pair at the end of what came, of text and of reasoning.
#[derive(Debug, Default)]
struct Halves {
    text: Option<u16>,
    reasoning: Option<u16>,
}

/// What the events said so far and nobody took yet.
#[derive(Debug, Default)]
pub(crate) struct Decoded {
    /// In the order of the events; never a [`Piece::Finish`].
    pub(crate) pieces: VecDeque<Piece>,
    /// The last stop reason. Not the end: some servers name one in every event.
    pub(crate) finish: Option<Finish>,
    /// The end mark came (`[DONE]`, `message_stop`).
    pub(crate) is_done: bool,
    /// Where what is read now stands.
    at: Place,
    /// Where the text stands, and where the reasoning does.
    places: (Option<Place>, Option<Place>),
    halves: Halves,
    refused: bool,
    tool: Option<String>,
}

impl Decoded {
    /// What is read from here on stands in `place`.
    pub(crate) fn at(&mut self, place: Place) -> &mut Self {
        self.at = place;
        self
    }

    /// Text or reasoning, in whatever form: a string, an object with a string, or a list of these.
    pub(crate) fn words(&mut self, value: Json<'_>, is_reasoning: bool) {
        self.part(value, is_reasoning, 0);
    }

    fn part(&mut self, value: Json<'_>, is_reasoning: bool, depth: usize) {
        if depth == MAX_PART_DEPTH {
            return;
        }
        if let Some(text) = value.text() {
            return self.text(text, is_reasoning);
        }
        if !value.is_object() {
            return value.items().for_each(|item| self.part(item, is_reasoning, depth + 1));
        }
        let kind = value.get("type").and_then(Json::word).unwrap_or_default();
        match kind.as_str() {
            "tool_use" | "tool_call" | "function_call" => return self.tool(value.get("name").and_then(Json::word)),
            "refusal" => self.refused = true,
            _ => {}
        }
        let thinks = is_reasoning
            || ["thinking", "reasoning", "thought"].iter().any(|word| kind.contains(word))
            || value.get("thought").is_some_and(Json::is_true);
        if let Some(thought) = value.any(&["thinking", "reasoning", "reasoning_content"]) {
            self.part(thought, true, depth + 1);
        }
        if let Some(text) = value.any(&["text", "content", "refusal", "output_text", "parts", "summary"]) {
            self.part(text, thinks, depth + 1);
        }
    }

    fn text(&mut self, text: Text, is_reasoning: bool) {
        let half = if is_reasoning { &mut self.halves.reasoning } else { &mut self.halves.text };
        let Text { low, mut text, high } = text;
        let place = if is_reasoning { &mut self.places.1 } else { &mut self.places.0 };
        // Nothing is in no place.
        if low.is_none() && text.is_empty() && high.is_none() || *place.get_or_insert(self.at) != self.at {
            return;
        }
        let before = match (half.take(), low) {
            (Some(high), Some(low)) => Some(text::join(high, low)),
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => Some(char::REPLACEMENT_CHARACTER),
        };
        *half = high;
        if let Some(before) = before {
            text.insert(0, before);
        }
        if !text.is_empty() {
            self.pieces.push_back(if is_reasoning { Piece::Reasoning(text) } else { Piece::Text(text) });
        }
    }

    /// A text that refuses to answer: it is shown as text.
    pub(crate) fn refusal(&mut self, value: Json<'_>) {
        if !value.is_blank() {
            self.refused = true;
            self.words(value, false);
        }
    }

    /// The model asked for a tool.
    pub(crate) fn tool(&mut self, name: Option<String>) {
        if self.tool.as_ref().is_none_or(String::is_empty) {
            self.tool = Some(name.unwrap_or_default());
        }
    }

    /// Tokens as counted so far.
    pub(crate) fn usage(&mut self, usage: Usage) {
        if usage != Usage::default() {
            self.pieces.push_back(Piece::Usage(usage));
        }
    }

    /// The model stopped, in the server's word. `detail` is what the server says about it.
    pub(crate) fn stop(&mut self, word: &str, detail: Option<String>) {
        let Some(reason) = reasons::meaning(word) else { return };
        let word = reasons::is_telling(word, reason).then(|| word.to_owned());
        let detail = detail.filter(|detail| !detail.trim().is_empty()).or(word);
        self.finish = Some(Finish { reason, detail });
    }

    /// The stop reason as it is known now, its detail `struck` before it is cut. Servers that have no word for it say `stop` of a refusal
    /// and of a request for a tool.
    pub(crate) fn finish(&self, struck: impl FnOnce(&str) -> String) -> Option<Finish> {
        let finish = self.finish.as_ref()?;
        let reason = match finish.reason {
            FinishReason::Stop if self.refused => FinishReason::Refusal,
            FinishReason::Stop if self.tool.is_some() => FinishReason::Tool,
            reason => reason,
        };
        let name = self.tool.as_deref().filter(|name| reason == FinishReason::Tool && !name.is_empty());
        let detail = finish.detail.as_deref().or(name).map(|detail| one_line(struck(detail).trim(), MAX_DETAIL_CHARS));
        Some(Finish { reason, detail: detail.filter(|detail| !detail.is_empty()) })
    }

    /// What is left of half a pair when nothing more comes.
    pub(crate) fn close(&mut self) {
        let lone = || char::REPLACEMENT_CHARACTER.to_string();
        if self.halves.reasoning.take().is_some() {
            self.pieces.push_back(Piece::Reasoning(lone()));
        }
        if self.halves.text.take().is_some() {
            self.pieces.push_back(Piece::Text(lone()));
        }
    }
}

/// Reads one event of an answer in the format `wire`: an object, or a list of them.
///
/// # Errors
/// The event says that something went wrong.
pub(crate) fn decode(
    wire: &dyn Wire,
    name: Option<&[u8]>,
    event: Json<'_>,
    decoded: &mut Decoded,
) -> Result<(), ProviderError> {
    if name.is_some_and(|name| name == b"error") {
        return Err(verdict::in_band(Complaint::of(event)));
    }
    event.items().filter(|item| item.is_object()).try_for_each(|item| {
        let (mut is_error, mut has_error) = (false, false);
        // Hardly any event is one: the word is looked for first.
        let told = memchr::memmem::find(item.raw(), b"error").map(|_| item.members());
        for (key, value) in told.into_iter().flatten() {
            match key.as_ref() {
                b"type" | b"object" => is_error |= value.raw() == b"\"error\"",
                b"error" => has_error |= !value.is_blank(),
                _ => {}
            }
        }
        if !is_error {
            wire.decode(item, decoded)?;
            if !has_error {
                return Ok(());
            }
        }
        Err(verdict::in_band(Complaint::of(item)))
    })
}

/// The number of tokens in the first of these members.
fn tokens(counts: Json<'_>, names: &[&str]) -> Option<u64> {
    names.iter().find_map(|name| counts.get(name)?.number())
}

/// Whether a choice or a candidate is the one answer: further ones come only when `extra_body` asks for them. An index that is none
/// is as good as the first.
fn is_first(index: Option<u64>) -> bool {
    index.unwrap_or(0) == 0
}

/// What a request may ask for and a server may refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Options {
    /// Ask for token counts where they come only when asked for.
    pub(crate) usage: bool,
    /// End with the beginning of the answer, where it is to be continued; else [`GO_ON`] is asked.
    pub(crate) prefill: bool,
    /// The output limit, in tokens, where the format needs one ([`Wire::output_limit`]).
    pub(crate) max_tokens: Option<u32>,
}

/// A request's JSON.
#[derive(Debug)]
pub(crate) struct Body {
    /// Its members.
    pub(crate) members: Map<String, Value>,
    /// What the model may say again of the answer's beginning.
    pub(crate) seam: Seam,
}

/// The request as `wire` wants it, `extra` members replacing ours.
pub(crate) fn body(wire: &dyn Wire, request: &Request, options: Options, extra: &Map<String, Value>) -> Body {
    let mut body = Body { members: wire.body(request, options), seam: wire.seam(request, options) };
    for (name, value) in extra {
        body.members.insert(name.clone(), value.clone());
    }
    body
}

/// How the answer follows on its beginning: the model takes it as its own, or is asked to go on.
fn seam(request: &Request, options: Options) -> Seam {
    match (request.beginning(), request.messages.last()) {
        (Some(said), _) if options.prefill => Seam::prefilled(said, ""),
        (Some(said), _) => Seam::repeats(said),
        // Blanks alone are not sent ([`turns`]).
        (None, Some(last)) if last.role == Role::Assistant => Seam::blanks(&last.text),
        (None, _) => Seam::default(),
    }
}

/// What OpenAI's and Ollama's requests have in common: the system prompt is the conversation's first message.
fn chat_body(request: &Request, options: Options) -> Map<String, Value> {
    let system = (!request.system.is_empty()).then_some((Role::System, Cow::Borrowed(request.system.as_str())));
    let messages: Vec<_> = system
        .into_iter()
        .chain(turns(request, options))
        .map(|(role, text)| value!({ "role": role.as_str(), "content": text }))
        .collect();
    let mut body = Map::new();
    body.insert("model".to_owned(), request.model.as_str().into());
    body.insert("messages".to_owned(), messages.into());
    body.insert("stream".to_owned(), true.into());
    body
}

/// The conversation as it is sent, in order.
fn turns(request: &Request, options: Options) -> Vec<(Role, Cow<'_, str>)> {
    let mut turns: Vec<_> = request.messages.iter().map(|m| (m.role, Cow::Borrowed(m.text.as_str()))).collect();
    match request.beginning() {
        Some(_) if options.prefill => {}
        Some(_) => turns.push((Role::User, Cow::Borrowed(GO_ON))),
        // Of blanks alone no model goes on: it begins anew.
        None => _ = turns.pop_if(|(role, _)| *role == Role::Assistant),
    }
    turns
}

/// The same for APIs that insist on alternation and refuse empty messages: neighbours of one role become one message.
fn alternating(request: &Request, options: Options) -> Vec<(Role, Cow<'_, str>)> {
    let mut merged: Vec<(Role, Cow<'_, str>)> = Vec::with_capacity(request.messages.len());
    for (role, text) in turns(request, options) {
        if text.trim().is_empty() {
            continue;
        }
        // Instructions travel apart; one that stands among the messages is the person's side of them.
        let role = if role == Role::Assistant { role } else { Role::User };
        match merged.last_mut() {
            Some((last, so_far)) if *last == role => {
                let so_far = so_far.to_mut();
                so_far.push_str(BETWEEN_NEIGHBOURS);
                so_far.push_str(&text);
            }
            _ => merged.push((role, text)),
        }
    }
    merged
}
