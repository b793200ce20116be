//! Ollama's `/api/chat`: one JSON object a line, the last one with `done`.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::super::Request;
use super::super::verdict;
use super::{Fault, Options, Said, chat_body, count};
use crate::domain::{FinishReason, Usage};

pub(super) fn body(request: &Request, options: Options) -> Map<String, Value> {
    chat_body(request, options)
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(default)]
    message: Option<Words>,
    #[serde(default)]
    done: Option<bool>,
    #[serde(default)]
    done_reason: Option<String>,
    #[serde(default, deserialize_with = "count")]
    prompt_eval_count: Option<u64>,
    #[serde(default, deserialize_with = "count")]
    eval_count: Option<u64>,
    #[serde(default, borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Words {
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    thinking: Option<String>,
}

/// What one line says.
///
/// # Errors
/// See [`Fault`]; bytes that are no UTF-8 count as broken JSON.
pub(crate) fn decode(line: &[u8], said: &mut Said) -> Result<(), Fault> {
    let line: Line<'_> = serde_json::from_slice(line)?;
    if let Some(error) = line.error {
        return Err(Fault::Said(verdict::in_band(&serde_json::from_str(error.get())?)));
    }
    if let Some(words) = line.message {
        said.reasoning(words.thinking);
        said.text(words.content);
    }
    said.usage(Usage { input: line.prompt_eval_count, output: line.eval_count });
    if line.done == Some(true) {
        let reason = match line.done_reason.as_deref() {
            None | Some("stop" | "") => FinishReason::Stop,
            Some("length") => FinishReason::Length,
            Some(_) => FinishReason::Unknown,
        };
        said.finish = Some(reason.into());
        said.over = true;
    }
    Ok(())
}
