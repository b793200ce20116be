//! Gemini `streamGenerateContent` over SSE (`alt=sse`): every event is a whole response object; there is no end mark.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::super::Request;
use super::super::verdict;
use super::{Fault, Options, Said, alternating, count};
use crate::domain::{FinishReason, Role, Usage};

pub(super) fn body(request: &Request, options: Options) -> Map<String, Value> {
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

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Response<'a> {
    #[serde(default)]
    candidates: Option<Vec<Candidate>>,
    #[serde(default)]
    prompt_feedback: Option<Feedback>,
    #[serde(default)]
    usage_metadata: Option<Counts>,
    #[serde(default, borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Candidate {
    #[serde(default)]
    index: Option<u64>,
    #[serde(default)]
    content: Option<Content>,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Content {
    #[serde(default)]
    parts: Option<Vec<Part>>,
}

#[derive(Deserialize)]
struct Part {
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    thought: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Feedback {
    #[serde(default)]
    block_reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Counts {
    #[serde(default, deserialize_with = "count")]
    prompt_token_count: Option<u64>,
    #[serde(default, deserialize_with = "count")]
    candidates_token_count: Option<u64>,
    #[serde(default, deserialize_with = "count")]
    thoughts_token_count: Option<u64>,
}

impl From<Counts> for Usage {
    fn from(counts: Counts) -> Self {
        let output = match (counts.candidates_token_count, counts.thoughts_token_count) {
            (None, None) => None,
            (said, thought) => Some(said.unwrap_or(0).saturating_add(thought.unwrap_or(0))),
        };
        Self { input: counts.prompt_token_count, output }
    }
}

/// What one event says.
///
/// # Errors
/// See [`Fault`].
pub(crate) fn decode(data: &str, said: &mut Said) -> Result<(), Fault> {
    let response: Response<'_> = serde_json::from_str(data)?;
    if let Some(error) = response.error {
        return Err(Fault::Said(verdict::in_band(&serde_json::from_str(error.get())?)));
    }
    for candidate in response.candidates.into_iter().flatten().filter(|c| c.index.unwrap_or(0) == 0) {
        for part in candidate.content.and_then(|c| c.parts).into_iter().flatten() {
            if part.thought == Some(true) {
                said.reasoning(part.text);
            } else {
                said.text(part.text);
            }
        }
        if let Some(reason) = candidate.finish_reason {
            said.finish = Some(finish(&reason).into());
        }
    }
    if response.prompt_feedback.is_some_and(|f| f.block_reason.is_some()) {
        said.finish = Some(FinishReason::Filter.into());
    }
    if let Some(counts) = response.usage_metadata {
        said.usage(counts.into());
    }
    Ok(())
}

fn finish(reason: &str) -> FinishReason {
    match reason {
        "STOP" => FinishReason::Stop,
        "MAX_TOKENS" => FinishReason::Length,
        "SAFETY" | "RECITATION" | "BLOCKLIST" | "PROHIBITED_CONTENT" | "SPII" | "LANGUAGE" | "IMAGE_SAFETY" => {
            FinishReason::Filter
        }
        "MALFORMED_FUNCTION_CALL" | "UNEXPECTED_TOOL_CALL" | "TOO_MANY_TOOL_CALLS" => FinishReason::Tool,
        _ => FinishReason::Unknown,
    }
}
