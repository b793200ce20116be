//! Chat completions over SSE, as OpenAI defined them and many servers speak them, each with its own additions.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::super::Request;
use super::super::verdict;
use super::{Fault, Options, Said, chat_body, count};
use crate::domain::{ErrorKind, FinishReason, ProviderError, Usage};

/// The end mark, which is no JSON.
const DONE: &str = "[DONE]";

pub(super) fn body(request: &Request, options: Options) -> Map<String, Value> {
    let mut body = chat_body(request, options);
    if options.usage {
        body.insert("stream_options".to_owned(), json!({ "include_usage": true }));
    }
    body
}

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(default)]
    choices: Option<Vec<Choice>>,
    #[serde(default)]
    usage: Option<Counts>,
    #[serde(default, borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    index: Option<u64>,
    #[serde(default)]
    delta: Option<Delta>,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Delta {
    #[serde(default)]
    content: Option<String>,
    /// DeepSeek, vLLM, llama.cpp.
    #[serde(default)]
    reasoning_content: Option<String>,
    /// OpenRouter, Groq; some send both names with the same words.
    #[serde(default)]
    reasoning: Option<String>,
    /// Words like any other: the model says why not.
    #[serde(default)]
    refusal: Option<String>,
}

#[derive(Deserialize)]
struct Counts {
    #[serde(default, deserialize_with = "count")]
    prompt_tokens: Option<u64>,
    #[serde(default, deserialize_with = "count")]
    completion_tokens: Option<u64>,
}

/// What one event says.
///
/// # Errors
/// See [`Fault`].
pub(crate) fn decode(data: &str, said: &mut Said) -> Result<(), Fault> {
    if data.trim() == DONE {
        said.over = true;
        return Ok(());
    }
    let chunk: Chunk<'_> = serde_json::from_str(data)?;
    if let Some(error) = chunk.error {
        return Err(Fault::Said(verdict::in_band(&serde_json::from_str(error.get())?)));
    }
    // Further choices come only when `extra_body` asks for them; there is one answer here.
    for choice in chunk.choices.into_iter().flatten().filter(|c| c.index.unwrap_or(0) == 0) {
        if let Some(delta) = choice.delta {
            said.reasoning(delta.reasoning_content.filter(|t| !t.is_empty()).or(delta.reasoning));
            said.text(delta.content);
            said.text(delta.refusal);
        }
        if let Some(reason) = choice.finish_reason.filter(|r| !r.is_empty()) {
            said.finish = Some(finish(&reason)?.into());
        }
    }
    if let Some(counts) = chunk.usage {
        said.usage(Usage { input: counts.prompt_tokens, output: counts.completion_tokens });
    }
    Ok(())
}

fn finish(reason: &str) -> Result<FinishReason, Fault> {
    Ok(match reason {
        "stop" | "eos" | "end_turn" => FinishReason::Stop,
        "length" | "max_tokens" => FinishReason::Length,
        "content_filter" => FinishReason::Filter,
        "tool_calls" | "function_call" => FinishReason::Tool,
        // OpenRouter and Mistral: the upstream model broke off, and no error object says why.
        "error" => {
            return Err(Fault::Said(ProviderError::fatal(ErrorKind::Server, "the server broke off with an error")));
        }
        _ => FinishReason::Unknown,
    })
}
