//! Answers as the four kinds of servers stream them, with the members that theirs have around the text.

use std::fmt::Write;

/// The kinds, as a configuration names them.
pub(crate) const KINDS: [&str; 4] = ["openai", "anthropic", "gemini", "ollama"];

/// One piece of text as an event of `kind`.
pub(crate) fn event(kind: &str, text: &str) -> String {
    match kind {
        "anthropic" => format!(
            "event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{{\"type\":\
             \"text_delta\",\"text\":\"{text}\"}}}}\n\n"
        ),
        "gemini" => format!(
            "data: {{\"candidates\": [{{\"content\": {{\"parts\": [{{\"text\": \"{text}\"}}],\"role\": \"model\"}},\
             \"index\": 0}}],\"usageMetadata\": {{\"promptTokenCount\": 5,\"totalTokenCount\": 5}},\"modelVersion\": \
             \"bench\",\"responseId\": \"KjX0aPGoEvqN\"}}\r\n\r\n"
        ),
        "ollama" => format!(
            "{{\"model\":\"bench\",\"created_at\":\"2025-01-01T00:00:00.000000Z\",\"message\":{{\"role\":\"assistant\",\
             \"content\":\"{text}\"}},\"done\":false}}\n"
        ),
        _ => format!(
            "data: {{\"id\":\"chatcmpl-BpTcXvK3f9QmRzW7\",\"object\":\"chat.completion.chunk\",\"created\":1735689600,\
             \"model\":\"bench\",\"service_tier\":\"default\",\"system_fingerprint\":\"fp_5d3c1a2b\",\"choices\":\
             [{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}},\"logprobs\":null,\"finish_reason\":null}}]}}\n\n"
        ),
    }
}

/// What ends an answer of `kind`.
pub(crate) fn end(kind: &str) -> &'static str {
    match kind {
        "anthropic" => concat!(
            "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},",
            "\"usage\":{\"output_tokens\":9}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"
        ),
        "gemini" => concat!(
            "data: {\"candidates\": [{\"content\": {\"parts\": [{\"text\": \"\"}],\"role\": \"model\"},",
            "\"finishReason\": \"STOP\",\"index\": 0}]}\r\n\r\n"
        ),
        "ollama" => {
            "{\"model\":\"bench\",\"message\":{\"role\":\"assistant\",\"content\":\"\"},\"done\":true,\
                     \"done_reason\":\"stop\"}\n"
        }
        _ => concat!(
            "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
            "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":9}}\n\ndata: [DONE]\n\n"
        ),
    }
}

/// `bytes` as one HTTP chunk.
pub(crate) fn chunk(bytes: &str) -> String {
    let mut chunk = String::with_capacity(bytes.len() + 16);
    // Writing to a String cannot fail.
    let _ = write!(chunk, "{:x}\r\n{bytes}\r\n", bytes.len());
    chunk
}

/// The head of a response that is streamed.
pub(crate) const HEAD: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
/// The chunk that ends it.
pub(crate) const LAST_CHUNK: &str = "0\r\n\r\n";

/// A whole response. Events go into HTTP chunks of at least `chunk_bytes`: of 1, each into its own, as servers send them; of
/// more, as a proxy does that has to hurry.
pub(crate) fn response(kind: &str, chunk_bytes: usize, texts: impl Iterator<Item = String>) -> Vec<u8> {
    let mut bytes = HEAD.to_owned();
    let mut gathered = String::new();
    for text in texts {
        gathered.push_str(&event(kind, &text));
        if gathered.len() >= chunk_bytes {
            bytes.push_str(&chunk(&gathered));
            gathered.clear();
        }
    }
    gathered.push_str(end(kind));
    bytes.push_str(&chunk(&gathered));
    bytes.push_str(LAST_CHUNK);
    bytes.into_bytes()
}
