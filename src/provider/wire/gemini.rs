//! Gemini `streamGenerateContent` over SSE (`alt=sse`): every event is a whole response object; there is no end mark.

use serde_json::{Map, Value, json};

use super::super::Request;
use super::json::Json;
use super::{Decoded, Options, Place, Wire, alternating, is_first, tokens};
use crate::domain::{ProviderError, Role, Usage};

/// `streamGenerateContent`.
#[derive(Debug)]
pub(crate) struct Gemini;

impl Wire for Gemini {
    fn base_url(&self) -> &'static str {
        "https://generativelanguage.googleapis.com"
    }

    fn path(&self, model: &str) -> String {
        // A tuned model comes with its own collection: `tunedModels/x`.
        let collection = if model.contains('/') { "" } else { "models/" };
        format!("/v1beta/{collection}{model}:streamGenerateContent")
    }

    fn query(&self) -> Option<(&'static str, &'static str)> {
        Some(("alt", "sse"))
    }

    fn key_header(&self) -> (&'static str, &'static str) {
        ("x-goog-api-key", "")
    }

    fn headers(&self) -> &'static [(&'static str, &'static str)] {
        &[("accept", "text/event-stream")]
    }

    /// A trailing answer is refused.
    fn options(&self) -> Options {
        Options { usage: false, prefill: false, max_tokens: None }
    }

    fn body(&self, request: &Request, options: Options) -> Map<String, Value> {
        let contents: Vec<_> = alternating(request, options)
            .into_iter()
            .map(|(role, text)| {
                let role = if role == Role::Assistant { "model" } else { "user" };
                json!({ "role": role, "parts": [{ "text": text }] })
            })
            .collect();
        let mut body = Map::new();
        if !request.system.is_empty() {
            body.insert("systemInstruction".to_owned(), json!({ "parts": [{ "text": request.system }] }));
        }
        body.insert("contents".to_owned(), contents.into());
        body
    }

    fn decode(&self, event: Json<'_>, decoded: &mut Decoded) -> Result<(), ProviderError> {
        for (key, value) in event.members() {
            match key.as_ref() {
                b"candidates" => value
                    .items()
                    .filter(|it| is_first(it.get("index").and_then(Json::number)))
                    .for_each(|it| candidate(it, decoded)),
                b"promptFeedback" | b"prompt_feedback" => {
                    if let Some(reason) = value.any(&["blockReason", "block_reason"]).and_then(Json::word) {
                        let message = value.any(&["blockReasonMessage", "block_reason_message"]).and_then(Json::word);
                        // Whatever its word, the prompt was blocked.
                        decoded.stop("content_filter", message.or(Some(reason)));
                    }
                }
                b"usageMetadata" | b"usage_metadata" => usage(value, decoded),
                // Google's gateways for its own tools.
                b"response" if value.is_object() => self.decode(value, decoded)?,
                b"text" if value.is_string() => decoded.at(Place::Event).words(value, false),
                _ => {}
            }
        }
        Ok(())
    }
}

fn candidate(candidate: Json<'_>, decoded: &mut Decoded) {
    let content = candidate.any(&["content", "output", "text"]);
    if let Some(content) = content {
        decoded.at(Place::Delta);
        for part in content.get("parts").unwrap_or(content).items() {
            if let Some(call) = part.any(&["functionCall", "function_call"]) {
                decoded.tool(call.get("name").and_then(Json::word));
            }
            decoded.words(part, false);
        }
        if content.is_string() || content.get("parts").is_some_and(Json::is_string) {
            decoded.words(content, false);
        }
    }
    if let Some(reason) = candidate.any(&["finishReason", "finish_reason"]).and_then(Json::word) {
        decoded.stop(&reason, candidate.any(&["finishMessage", "finish_message"]).and_then(Json::word));
    }
}

fn usage(counts: Json<'_>, decoded: &mut Decoded) {
    let count = |names: [&str; 2]| tokens(counts, &names);
    let output = match (
        count(["candidatesTokenCount", "candidates_token_count"]),
        count(["thoughtsTokenCount", "thoughts_token_count"]),
    ) {
        (None, None) => None,
        (said, thought) => Some(said.unwrap_or(0).saturating_add(thought.unwrap_or(0))),
    };
    decoded.usage(Usage { input: count(["promptTokenCount", "prompt_token_count"]), output });
}
