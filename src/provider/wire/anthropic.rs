//! Anthropic messages over SSE: named events, each of which repeats its name as `type`.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use super::super::Request;
use super::super::seam::Seam;
use super::json::Json;
use super::{Decoded, Options, Place, Wire, alternating, seam, tokens};
use crate::domain::{ProviderError, Role, Usage};

/// Output limits by the beginning of the model's name, the first that fits. From LiteLLM's table of models and the package
/// `@ai-sdk/anthropic`, read in November 2026; where they differ, the lower one.
const OUTPUT_LIMITS: [(&str, u32); 15] = [
    ("claude-3-haiku", 4_096),
    ("claude-3-opus", 4_096),
    ("claude-3-sonnet", 4_096),
    ("claude-3-5", 8_192),
    ("claude-3-7", 64_000),
    ("claude-opus-4-1", 32_000),
    ("claude-opus-4-5", 64_000),
    ("claude-opus-4-6", 128_000),
    ("claude-opus-4-7", 128_000),
    ("claude-opus-4-8", 128_000),
    ("claude-opus-4", 32_000),
    ("claude-sonnet-4", 64_000),
    ("claude-haiku-4", 64_000),
    ("claude-2", 4_096),
    ("claude-instant", 4_096),
];
/// The limit of a model of Anthropic's that is not in the table: newer ones have had no less.
const NEW_MODEL: u32 = 128_000;
/// The limit of another vendor's model behind this format. Servers that count it against the context window say what they allow.
const OTHER_MODEL: u32 = 32_000;

/// The messages API.
#[derive(Debug)]
pub(crate) struct Anthropic;

impl Wire for Anthropic {
    fn base_url(&self) -> &'static str {
        "https://api.anthropic.com"
    }

    fn path(&self, _: &str) -> String {
        "/v1/messages".to_owned()
    }

    fn key_header(&self) -> (&'static str, &'static str) {
        ("x-api-key", "")
    }

    /// `anthropic-version`: the version of the API that this file speaks. `headers` of the configuration may name another.
    fn headers(&self) -> &'static [(&'static str, &'static str)] {
        &[("accept", "text/event-stream"), ("anthropic-version", "2023-06-01")]
    }

    /// A trailing answer is continued by most models.
    fn options(&self) -> Options {
        Options { usage: false, prefill: true, max_tokens: None }
    }

    fn body(&self, request: &Request, options: Options) -> Map<String, Value> {
        let mut turns = alternating(request, options);
        if let Some((Role::Assistant, text)) = turns.last_mut() {
            // The API refuses an answer's beginning that ends in blanks.
            *text = Cow::Owned(text.trim_end().to_owned());
        }
        let messages: Vec<_> =
            turns.into_iter().map(|(role, text)| json!({ "role": role.as_str(), "content": text })).collect();
        let limit = options.max_tokens.or_else(|| self.output_limit(&request.model)).unwrap_or(OTHER_MODEL);
        let mut members = Map::new();
        members.insert("model".to_owned(), request.model.as_str().into());
        members.insert("max_tokens".to_owned(), limit.into());
        members.insert("stream".to_owned(), true.into());
        if !request.system.is_empty() {
            members.insert("system".to_owned(), request.system.as_str().into());
        }
        members.insert("messages".to_owned(), messages.into());
        members
    }

    fn seam(&self, request: &Request, options: Options) -> Seam {
        match request.beginning() {
            Some(said) if options.prefill => {
                let sent = said.trim_end();
                Seam::prefilled(sent, &said[sent.len()..])
            }
            _ => seam(request, options),
        }
    }

    /// The API insists on a limit. `extra_body.max_tokens` replaces it.
    fn output_limit(&self, model: &str) -> Option<u32> {
        // `vendor/claude-…` and `vendor.claude-…` of gateways.
        let Some(at) = model.find("claude") else { return Some(OTHER_MODEL) };
        let name = &model[at..];
        Some(OUTPUT_LIMITS.iter().find(|(begins, _)| name.starts_with(begins)).map_or(NEW_MODEL, |(_, limit)| *limit))
    }

    fn model_path(&self, model: &str) -> Option<String> {
        Some(format!("/v1/models/{model}"))
    }

    fn decode(&self, event: Json<'_>, decoded: &mut Decoded) -> Result<(), ProviderError> {
        let (mut kind, mut message, mut block, mut delta, mut content) = (None, None, None, None, None);
        for (key, value) in event.members().filter(|(_, value)| !value.is_null()) {
            match key.as_ref() {
                b"type" => kind = value.word(),
                b"message" if value.is_object() => message = Some(value),
                b"content_block" => block = Some(value),
                b"delta" => delta = Some(value),
                b"content" | b"completion" => content = Some(value),
                b"usage" => usage(value, decoded),
                b"stop_reason" => stop(event, decoded),
                _ => {}
            }
        }
        match kind.as_deref() {
            Some("message_stop") => decoded.is_done = true,
            Some("ping" | "content_block_stop") => {}
            // `message`: an answer that was not streamed.
            Some(
                "content_block_start"
                | "content_block_delta"
                | "message_start"
                | "message_delta"
                | "message"
                | "completion"
                | "",
            )
            | None => {
                for value in [block, delta].into_iter().flatten() {
                    decoded.at(Place::Delta).words(value, false);
                    stop(value, decoded);
                }
                if let Some(message) = message {
                    message.get("usage").into_iter().for_each(|counts| usage(counts, decoded));
                    whole(message.get("content"), decoded);
                    stop(message, decoded);
                }
                whole(content, decoded);
            }
            // What later versions add.
            Some(_) => {}
        }
        Ok(())
    }
}

/// Text that came in one go, where no piece of it came before.
fn whole(content: Option<Json<'_>>, decoded: &mut Decoded) {
    if let Some(content) = content {
        decoded.at(Place::Message).words(content, false);
    }
}

/// The stop reason, with what the API says about a refusal.
fn stop(from: Json<'_>, decoded: &mut Decoded) {
    let Some(reason) = from.get("stop_reason").and_then(Json::word) else { return };
    let details = from.get("stop_details");
    let detail = |name: &str| details.and_then(|details| details.get(name)).and_then(Json::word);
    decoded.stop(&reason, detail("explanation").or_else(|| detail("category")));
}

fn usage(counts: Json<'_>, decoded: &mut Decoded) {
    // `input_tokens` leaves out what went through the cache; the person sent all of it.
    let cached = ["cache_creation_input_tokens", "cache_read_input_tokens"];
    let cached = cached.iter().filter_map(|name| tokens(counts, &[name]));
    let input = tokens(counts, &["input_tokens"]).map(|fresh| cached.fold(fresh, u64::saturating_add));
    decoded.usage(Usage { input, output: tokens(counts, &["output_tokens"]) });
}
