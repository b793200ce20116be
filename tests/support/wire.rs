//! The four formats from the server's side.

use serde_json::{Value, json};

use super::{Content, End, Reply};

/// A wire format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    OpenAi,
    Anthropic,
    Gemini,
    Ollama,
}

impl Format {
    pub const ALL: [Self; 4] = [Self::OpenAi, Self::Anthropic, Self::Gemini, Self::Ollama];

    /// The format that is spoken at `path`.
    pub fn of(path: &str) -> Self {
        match path {
            _ if path.contains(":streamGenerateContent") => Self::Gemini,
            _ if path.ends_with("/v1/messages") => Self::Anthropic,
            _ if path.ends_with("/api/chat") => Self::Ollama,
            _ => Self::OpenAi,
        }
    }

    fn content_type(self) -> &'static str {
        if self == Self::Ollama { "application/x-ndjson" } else { "text/event-stream" }
    }

    pub fn system(self, body: &Value) -> String {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        match self {
            Self::Anthropic => text(&body["system"]),
            Self::Gemini => text(&body["systemInstruction"]["parts"][0]["text"]),
            Self::OpenAi | Self::Ollama => {
                let first = &body["messages"][0];
                if first["role"] == "system" { text(&first["content"]) } else { String::new() }
            }
        }
    }

    pub fn turns(self, body: &Value) -> Vec<(String, String)> {
        let list = if self == Self::Gemini { &body["contents"] } else { &body["messages"] };
        let text = |m: &Value| if self == Self::Gemini { m["parts"][0]["text"].clone() } else { m["content"].clone() };
        let all = list.as_array().into_iter().flatten().map(|m| {
            let role = m["role"].as_str().unwrap_or_default().replace("model", "assistant");
            (role, text(m).as_str().unwrap_or_default().to_owned())
        });
        all.filter(|(role, _)| role != "system").collect()
    }

    /// One event.
    pub fn event(self, value: &Value) -> Vec<u8> {
        match self {
            Self::Anthropic => format!("event: {}\ndata: {value}\n\n", value["type"].as_str().unwrap_or_default()),
            Self::OpenAi | Self::Gemini => format!("data: {value}\n\n"),
            Self::Ollama => format!("{value}\n"),
        }
        .into_bytes()
    }

    /// What stands before the first word.
    fn start(self) -> Vec<u8> {
        match self {
            Self::OpenAi => self.event(&json!({"id":"c-1","object":"chat.completion.chunk","created":1,"model":"m",
                "choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]})),
            Self::Anthropic => {
                let usage = json!({"input_tokens":7,"cache_read_input_tokens":2,"output_tokens":1});
                let message = json!({"id":"m-1","type":"message","role":"assistant","content":[],"usage":usage});
                let mut bytes = self.event(&json!({"type":"message_start","message":message}));
                let block = json!({"type":"text","text":""});
                bytes.extend(self.event(&json!({"type":"content_block_start","index":0,"content_block":block})));
                bytes.extend(self.event(&json!({"type":"ping"})));
                bytes
            }
            Self::Gemini | Self::Ollama => Vec::new(),
        }
    }

    /// One piece of the answer.
    pub fn word(self, text: &str, thought: bool) -> Vec<u8> {
        self.event(&match self {
            Self::OpenAi => {
                let delta = if thought { json!({"reasoning_content":text}) } else { json!({"content":text}) };
                json!({"id":"c-1","object":"chat.completion.chunk","created":1,"model":"m",
                    "choices":[{"index":0,"delta":delta,"logprobs":null,"finish_reason":null}]})
            }
            Self::Anthropic if thought => {
                json!({"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":text}})
            }
            Self::Anthropic => {
                json!({"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":text}})
            }
            Self::Gemini => {
                let part = if thought { json!({"text":text,"thought":true}) } else { json!({"text":text}) };
                json!({"candidates":[{"content":{"parts":[part],"role":"model"},"index":0}],"modelVersion":"m"})
            }
            Self::Ollama => {
                let message = if thought {
                    json!({"role":"assistant","content":"","thinking":text})
                } else {
                    json!({"role":"assistant","content":text})
                };
                json!({"model":"m","created_at":"2026-11-01T00:00:00Z","message":message,"done":false})
            }
        })
    }

    /// Stop reason, usage (9 in, `words` out) and end mark.
    pub fn stop(self, words: usize) -> Vec<u8> {
        let reason = match self {
            Self::OpenAi | Self::Ollama => "stop",
            Self::Anthropic => "end_turn",
            Self::Gemini => "STOP",
        };
        self.stop_for(reason, words)
    }

    /// The same with this stop reason.
    pub fn stop_for(self, reason: &str, words: usize) -> Vec<u8> {
        match self {
            Self::OpenAi => {
                let last = json!({"choices":[{"index":0,"delta":{},"finish_reason":reason}],"usage":null});
                let usage = json!({"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":words,"total_tokens":9 + words}});
                [self.event(&last), self.event(&usage), b"data: [DONE]\n\n".to_vec()].concat()
            }
            Self::Anthropic => {
                let delta = json!({"stop_reason":reason,"stop_sequence":null});
                let all = [
                    json!({"type":"content_block_stop","index":0}),
                    json!({"type":"message_delta","delta":delta,"usage":{"output_tokens":words}}),
                    json!({"type":"message_stop"}),
                ];
                all.iter().flat_map(|value| self.event(value)).collect()
            }
            Self::Gemini => {
                let candidate =
                    json!({"content":{"parts":[{"text":""}],"role":"model"},"finishReason":reason,"index":0});
                let usage = json!({"promptTokenCount":9,"candidatesTokenCount":words,"totalTokenCount":9 + words});
                self.event(&json!({"candidates":[candidate],"usageMetadata":usage}))
            }
            Self::Ollama => self.event(&json!({"model":"m","message":{"role":"assistant","content":""},"done":true,
                "done_reason":reason,"prompt_eval_count":9,"eval_count":words})),
        }
    }

    /// An error object in the stream.
    fn error(self, error: &Value) -> Vec<u8> {
        match self {
            Self::Anthropic => self.event(&json!({"type":"error","error":error})),
            Self::OpenAi | Self::Gemini | Self::Ollama => self.event(&json!({"error":error})),
        }
    }
}

/// Content type and pieces of `reply`.
pub(super) fn pieces(reply: &Reply, format: Format, last_user: &str) -> (String, Vec<Vec<u8>>) {
    let echo = format!("echo: {last_user}");
    let (thoughts, words, error) = match &reply.content {
        Content::Raw { content_type, pieces } => return (content_type.clone(), pieces.clone()),
        Content::Echo => (Vec::new(), echo.split_inclusive(' ').map(str::to_owned).collect(), None),
        Content::Words { thoughts, words } => (thoughts.clone(), words.clone(), None),
        Content::Error { words, error } => (Vec::new(), words.clone(), Some(error)),
    };
    let said = thoughts.iter().map(|t| format.word(t, true)).chain(words.iter().map(|w| format.word(w, false)));
    let mut pieces: Vec<_> = said.collect();
    let start = format.start();
    match pieces.first_mut() {
        Some(first) => *first = [start, std::mem::take(first)].concat(),
        None => pieces.push(start),
    }
    match error {
        Some(error) => pieces.push(format.error(error)),
        None => match reply.end {
            End::Whole => pieces.push(format.stop(words.len())),
            End::Stopped(reason) => pieces.push(format.stop_for(reason, words.len())),
            End::Truncated | End::Reset | End::Stall | End::KeepAlives => {}
        },
    }
    (format.content_type().to_owned(), pieces)
}
