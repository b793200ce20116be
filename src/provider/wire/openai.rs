//! Chat completions over SSE, as OpenAI defined them and many servers speak them, each with its own additions.

use serde_json::{Map, Value, json};

use super::super::complaint::Complaint;
use super::super::{Request, verdict};
use super::json::Json;
use super::{Decoded, Options, Place, Wire, chat_body, is_first, tokens};
use crate::domain::{ProviderError, Usage};

/// Chat completions.
#[derive(Debug)]
pub(crate) struct OpenAi;

impl Wire for OpenAi {
    fn base_url(&self) -> &'static str {
        "https://api.openai.com/v1"
    }

    fn path(&self, _: &str) -> String {
        "/chat/completions".to_owned()
    }

    fn headers(&self) -> &'static [(&'static str, &'static str)] {
        &[("accept", "text/event-stream")]
    }

    /// OpenAI's models begin a trailing answer anew.
    fn options(&self) -> Options {
        Options { usage: true, prefill: false, max_tokens: None }
    }

    fn body(&self, request: &Request, options: Options) -> Map<String, Value> {
        let mut body = chat_body(request, options);
        if options.usage {
            body.insert("stream_options".to_owned(), json!({ "include_usage": true }));
        }
        body
    }

    fn decode(&self, event: Json<'_>, decoded: &mut Decoded) -> Result<(), ProviderError> {
        let mut error = None;
        for (key, value) in event.members() {
            match key.as_ref() {
                b"choices" => value.items().for_each(|it| choice(it, decoded, &mut error)),
                b"usage" => usage(value, decoded),
                // Groq.
                b"x_groq" => {
                    error = value.get("error").filter(|error| !error.is_blank()).or(error);
                    value.get("usage").into_iter().for_each(|counts| usage(counts, decoded));
                }
                // Gateways that leave the choice away; Together names the stop reason there too.
                // A text called `message` is what a server says about itself.
                b"message" if value.is_string() => {}
                b"delta" | b"message" | b"content" | b"text" | b"output_text" => words(value, decoded.at(Place::Event)),
                b"finish_reason" => value.word().into_iter().for_each(|word| decoded.stop(&word, None)),
                _ => {}
            }
        }
        match error {
            Some(error) => Err(verdict::in_band(Complaint::of(error))),
            None => Ok(()),
        }
    }
}

/// One choice of an event.
fn choice<'a>(choice: Json<'a>, decoded: &mut Decoded, error: &mut Option<Json<'a>>) {
    let (mut delta, mut message, mut text, mut reason, mut native) = (None, None, None, None, None);
    let (mut category, mut index, mut failed) = (None, None, None);
    for (key, value) in choice.members().filter(|(_, value)| !value.is_null()) {
        match key.as_ref() {
            b"index" => index = value.number(),
            b"delta" => delta = Some(value),
            b"message" => message = Some(value),
            b"text" => text = Some(value),
            b"finish_reason" => reason = value.word(),
            // OpenRouter: the word of the server behind it.
            b"native_finish_reason" => native = value.word(),
            // Moonshot.
            b"usage" => usage(value, decoded),
            // Azure.
            b"content_filter_results" => category = category.or_else(|| filtered(value)),
            b"error" if !value.is_blank() => failed = Some(value),
            _ => {}
        }
    }
    if !is_first(index) {
        return;
    }
    *error = failed.or(*error);
    for (place, value) in [(Place::Delta, delta), (Place::Message, message), (Place::Event, text)] {
        if let Some(value) = value {
            words(value, decoded.at(place));
        }
    }
    if let Some(reason) = reason {
        let refused = native.is_some_and(|word| word.eq_ignore_ascii_case("refusal"));
        decoded.stop(if refused { "refusal" } else { &reason }, category);
    }
}

/// A delta or a message: an object with the text, or the text itself.
fn words(value: Json<'_>, decoded: &mut Decoded) {
    if !value.is_object() {
        return decoded.words(value, false);
    }
    let (mut content, mut text, mut reasoning, mut details) = (None, None, None, None);
    for (key, value) in value.members().filter(|(_, value)| !value.is_null()) {
        match key.as_ref() {
            b"content" => content = Some(value),
            b"text" | b"output_text" => text = Some(value),
            // DeepSeek, vLLM, llama.cpp; OpenRouter, Groq; Copilot. Some send two of them with the same words.
            b"reasoning_content" | b"reasoning" | b"reasoning_text" | b"thinking" => {
                reasoning = reasoning.filter(|words: &Json<'_>| words.has_text()).or(Some(value));
            }
            b"reasoning_details" => details = Some(value),
            b"refusal" => decoded.refusal(value),
            b"tool_calls" => {
                for call in value.items() {
                    decoded.tool(call.any(&["function", "custom"]).unwrap_or(call).get("name").and_then(Json::word));
                }
            }
            b"function_call" => decoded.tool(value.get("name").and_then(Json::word)),
            b"audio" => value.get("transcript").into_iter().for_each(|words| decoded.words(words, false)),
            _ => {}
        }
    }
    if let Some(reasoning) = reasoning.filter(|words| words.has_text()).or(details) {
        decoded.words(reasoning, true);
    }
    if let Some(content) = content.filter(|words| words.has_text()).or(text) {
        decoded.words(content, false);
    }
}

fn usage(counts: Json<'_>, decoded: &mut Decoded) {
    decoded.usage(Usage {
        input: tokens(counts, &["prompt_tokens", "input_tokens"]),
        output: tokens(counts, &["completion_tokens", "output_tokens"]),
    });
}

/// The category that Azure's filter found.
fn filtered(results: Json<'_>) -> Option<String> {
    let found = results.members().find(|(_, result)| result.get("filtered").is_some_and(Json::is_true));
    found.map(|(category, _)| String::from_utf8_lossy(&category).into_owned())
}
