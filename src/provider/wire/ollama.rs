//! Ollama's `/api/chat`: one JSON object a line, the last one with `done`.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::super::Request;
use super::super::verdict;
use super::{Fault, Options, Said, turns};
use crate::domain::{FinishReason, Role, Usage};

pub(super) fn body(request: &Request, options: Options) -> Map<String, Value> {
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

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(default)]
    message: Option<Words>,
    #[serde(default)]
    done: Option<bool>,
    #[serde(default)]
    done_reason: Option<String>,
    #[serde(default)]
    prompt_eval_count: Option<u64>,
    #[serde(default)]
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
        said.finish = Some(match line.done_reason.as_deref() {
            None | Some("stop" | "") => FinishReason::Stop,
            Some("length") => FinishReason::Length,
            Some(_) => FinishReason::Other,
        });
        said.over = true;
    }
    Ok(())
}
