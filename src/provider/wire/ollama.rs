//! Ollama's `/api/chat`: one JSON object a line, the last one with `done`.

use serde_json::{Map, Value};

use super::super::Request;
use super::json::Json;
use super::{Decoded, Options, Place, Wire, chat_body, tokens};
use crate::domain::{ProviderError, Usage};

/// Ollama's own API.
#[derive(Debug)]
pub(crate) struct Ollama;

impl Wire for Ollama {
    fn base_url(&self) -> &'static str {
        "http://127.0.0.1:11434"
    }

    fn path(&self, _: &str) -> String {
        "/api/chat".to_owned()
    }

    fn headers(&self) -> &'static [(&'static str, &'static str)] {
        &[("accept", "application/x-ndjson")]
    }

    /// A trailing answer is continued.
    fn options(&self) -> Options {
        Options { usage: false, prefill: true, max_tokens: None }
    }

    fn body(&self, request: &Request, options: Options) -> Map<String, Value> {
        chat_body(request, options)
    }

    fn decode(&self, event: Json<'_>, decoded: &mut Decoded) -> Result<(), ProviderError> {
        let (mut said, mut is_done, mut is_answer, mut reason) = (None, false, false, None);
        for (key, value) in event.members().filter(|(_, value)| !value.is_null()) {
            match key.as_ref() {
                b"message" => said = Some(value),
                b"done" => (is_answer, is_done) = (true, value.is_true()),
                b"done_reason" => reason = value.word(),
                // What `/api/generate` calls it.
                b"response" | b"content" | b"text" => decoded.at(Place::Event).words(value, false),
                b"thinking" => decoded.at(Place::Event).words(value, true),
                _ => {}
            }
        }
        // A text called `message` alone is what a server says about itself.
        if let Some(said) = said.filter(|said| said.is_object() || is_answer) {
            message(said, decoded);
        }
        let count = |name| tokens(event, &[name]);
        decoded.usage(Usage { input: count("prompt_eval_count"), output: count("eval_count") });
        if is_done {
            decoded.stop(reason.as_deref().filter(|reason| !reason.is_empty()).unwrap_or("stop"), None);
        }
        Ok(())
    }
}

fn message(message: Json<'_>, decoded: &mut Decoded) {
    decoded.at(Place::Message);
    if !message.is_object() {
        return decoded.words(message, false);
    }
    for call in message.get("tool_calls").into_iter().flat_map(Json::items) {
        decoded.tool(call.get("function").unwrap_or(call).get("name").and_then(Json::word));
    }
    if let Some(thinking) = message.any(&["thinking", "reasoning"]) {
        decoded.words(thinking, true);
    }
    if let Some(content) = message.any(&["content", "text"]) {
        decoded.words(content, false);
    }
}
