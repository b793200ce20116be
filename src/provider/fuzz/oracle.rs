//! The oracle: bytes are framed by the letter of the specification, and their JSON is read into maps. It shares no code with what it
//! judges.

use serde_json::Value;

use super::super::Kind;
use super::Heard;

/// The lines of `bytes` by their ends: LF, CR LF, CR.
fn lines(bytes: &[u8]) -> Vec<&[u8]> {
    let (mut lines, mut begin, mut at) = (Vec::new(), 0, 0);
    while at < bytes.len() {
        let width = if bytes[at..].starts_with(b"\r\n") { 2 } else { usize::from(matches!(bytes[at], b'\n' | b'\r')) };
        if width > 0 {
            lines.push(&bytes[begin..at]);
            begin = at + width;
        }
        at += width.max(1);
    }
    lines.push(&bytes[begin..]);
    lines
}

/// The frames by the letter of the specification, but that the end of the bytes ends an event too, and that a value which is no
/// UTF-8 is an error.
pub(super) fn oracle_frames(kind: Kind, bytes: &[u8]) -> Vec<Option<Vec<u8>>> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if kind == Kind::Ollama {
        let is_blank = |line: &&[u8]| line.iter().all(u8::is_ascii_whitespace);
        return lines(bytes).into_iter().filter(|line| !is_blank(line)).map(|line| Some(line.to_vec())).collect();
    }
    let (mut found, mut data) = (Vec::new(), None::<Vec<u8>>);
    for line in lines(&[bytes, b"\n\n"].concat()) {
        if line.is_empty() {
            found.extend(data.take().map(Some));
            continue;
        }
        let colon = line.iter().position(|b| *b == b':');
        let (name, value) = colon.map_or((line, None), |at| (&line[..at], Some(&line[at + 1..])));
        let value = value.map(|value| value.strip_prefix(b" ").unwrap_or(value));
        if colon == Some(0) {
            continue;
        }
        if value.is_some_and(|value| std::str::from_utf8(value).is_err()) {
            found.push(None);
            break;
        }
        if name == b"data" {
            let value = value.unwrap_or_default();
            data = Some(data.map_or_else(|| value.to_vec(), |before| [&before, &b"\n"[..], value].concat()));
        }
    }
    found
}

/// What the frames say, frame by frame until one that maps cannot hold (numbers out of range, deep nests). Whether all could.
pub(super) fn oracle(kind: Kind, frames: &[Option<Vec<u8>>]) -> (Heard, bool) {
    let mut heard = Heard::default();
    for frame in frames.iter().flatten() {
        if frame.trim_ascii().is_empty() || frame.trim_ascii() == b"[DONE]" {
            continue;
        }
        let Ok(value) = serde_json::from_slice::<Value>(frame) else { return (heard, false) };
        let first = |name: &str| {
            let all = value[name].as_array().cloned().unwrap_or_default();
            all.into_iter().filter(|one| one["index"].as_u64().unwrap_or(0) == 0).collect::<Vec<_>>()
        };
        let (mut text, mut thoughts) = (Vec::new(), Vec::new());
        match kind {
            Kind::OpenAi | Kind::Demo => {
                for delta in first("choices").iter().map(|choice| &choice["delta"]) {
                    let named = delta["reasoning_content"].as_str().filter(|text| !text.is_empty());
                    thoughts.extend(named.or(delta["reasoning"].as_str()).map(str::to_owned));
                    text.extend([&delta["content"], &delta["refusal"]].map(|v| v.as_str().map(str::to_owned)));
                }
            }
            Kind::Anthropic => {
                if matches!(value["type"].as_str(), Some("content_block_delta" | "content_block_start")) {
                    let words = if value["delta"].is_null() { &value["content_block"] } else { &value["delta"] };
                    thoughts.extend(words["thinking"].as_str().map(str::to_owned));
                    text.push(words["text"].as_str().map(str::to_owned));
                }
            }
            Kind::Gemini => {
                for candidate in first("candidates") {
                    for part in candidate["content"]["parts"].as_array().into_iter().flatten() {
                        let said = part["text"].as_str().map(str::to_owned);
                        if part["thought"] == true { thoughts.extend(said) } else { text.push(said) }
                    }
                }
            }
            Kind::Ollama => {
                thoughts.extend(value["message"]["thinking"].as_str().map(str::to_owned));
                text.push(value["message"]["content"].as_str().map(str::to_owned));
            }
        }
        heard.text.extend(text.into_iter().flatten());
        heard.thoughts.extend(thoughts);
    }
    (heard, true)
}
