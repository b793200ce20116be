//! Anthropic messages over SSE: named events, each of which repeats its name as `type`.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::super::Request;
use super::super::verdict;
use super::{Fault, Options, Said, alternating, count};
use crate::domain::{FinishReason, Role, Usage};

/// The API insists on a bound; this one every current model takes. `extra_body.max_tokens` replaces it.
const MAX_TOKENS: u32 = 8_192;

pub(super) fn body(request: &Request, options: Options) -> Map<String, Value> {
    let mut turns = alternating(request, options);
    if let Some((Role::Assistant, text)) = turns.last_mut() {
        // The API refuses an answer's beginning that ends in blanks.
        text.truncate(text.trim_end().len());
    }
    let messages: Vec<_> =
        turns.into_iter().map(|(role, text)| json!({ "role": role.as_str(), "content": text })).collect();
    let mut members = Map::new();
    members.insert("model".to_owned(), request.model.as_str().into());
    members.insert("max_tokens".to_owned(), MAX_TOKENS.into());
    members.insert("stream".to_owned(), true.into());
    if !request.system.is_empty() {
        members.insert("system".to_owned(), request.system.as_str().into());
    }
    members.insert("messages".to_owned(), messages.into());
    members
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(default)]
    message: Option<Start>,
    #[serde(default)]
    content_block: Option<Words>,
    #[serde(default)]
    delta: Option<Words>,
    #[serde(default)]
    usage: Option<Counts>,
    #[serde(default, borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Start {
    #[serde(default)]
    usage: Option<Counts>,
}

#[derive(Deserialize)]
struct Words {
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    thinking: Option<String>,
    #[serde(default)]
    stop_reason: Option<String>,
}

#[derive(Deserialize)]
struct Counts {
    #[serde(default, deserialize_with = "count")]
    input_tokens: Option<u64>,
    #[serde(default, deserialize_with = "count")]
    cache_creation_input_tokens: Option<u64>,
    #[serde(default, deserialize_with = "count")]
    cache_read_input_tokens: Option<u64>,
    #[serde(default, deserialize_with = "count")]
    output_tokens: Option<u64>,
}

impl From<Counts> for Usage {
    fn from(counts: Counts) -> Self {
        // `input_tokens` leaves out what went through the cache; the person sent all of it.
        let cached = [counts.cache_creation_input_tokens, counts.cache_read_input_tokens].into_iter().flatten();
        let input = counts.input_tokens.map(|fresh| cached.fold(fresh, u64::saturating_add));
        Self { input, output: counts.output_tokens }
    }
}

/// What one event says.
///
/// # Errors
/// See [`Fault`].
pub(crate) fn decode(data: &str, said: &mut Said) -> Result<(), Fault> {
    let event: Event<'_> = serde_json::from_str(data)?;
    if let Some(error) = event.error {
        return Err(Fault::Said(verdict::in_band(&serde_json::from_str(error.get())?)));
    }
    match &*event.kind {
        "content_block_delta" | "content_block_start" => {
            if let Some(words) = event.delta.or(event.content_block) {
                said.reasoning(words.thinking);
                said.text(words.text);
            }
        }
        "message_start" => {
            if let Some(counts) = event.message.and_then(|m| m.usage) {
                said.usage(counts.into());
            }
        }
        "message_delta" => {
            if let Some(counts) = event.usage {
                said.usage(counts.into());
            }
            if let Some(reason) = event.delta.and_then(|d| d.stop_reason) {
                said.finish = Some(finish(&reason).into());
            }
        }
        "message_stop" => said.over = true,
        // `ping`, `content_block_stop`, and what later versions add.
        _ => {}
    }
    Ok(())
}

fn finish(reason: &str) -> FinishReason {
    match reason {
        "end_turn" | "stop_sequence" => FinishReason::Stop,
        "max_tokens" | "model_context_window_exceeded" => FinishReason::Length,
        "pause_turn" => FinishReason::Pause,
        "refusal" => FinishReason::Refusal,
        "tool_use" => FinishReason::Tool,
        _ => FinishReason::Unknown,
    }
}
