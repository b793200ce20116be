//! Answers as servers send them: what an event may say, and the ways in which the same event may be written.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::Kind;

/// What an event is for.
#[derive(Debug, Clone)]
pub(super) enum Part {
    Text(String),
    Thought(String),
    /// What says nothing: a comment, an empty event, members and types that nobody knows.
    Silence(usize),
    /// Token counts, some of which no server should send.
    Counts(usize),
}

/// How it is written.
#[derive(Debug, Clone)]
pub(super) struct Dress {
    end: &'static str,
    /// A blank behind `data:`.
    spaced: bool,
    /// Each character beyond ASCII as `\u` and its number.
    escaped: bool,
    /// The JSON over several lines, each a `data:` of its own.
    pretty: bool,
    /// Members that nobody knows.
    more: usize,
}

const COUNTS: [&str; 8] = ["7", "0", "null", "18446744073709551615", "18446744073709551616", "-1", "1.5", "1e3"];

pub(super) fn parts() -> impl Strategy<Value = Vec<(Part, Dress)>> {
    let text = || {
        prop_oneof![
            8 => "[a-zé日\u{1f600}\"\\\\\n\r\t\0:{}\u{2028} ]{1,12}",
            1 => any::<String>(),
            1 => ("[a日]", 1usize..9_000).prop_map(|(one, count)| one.repeat(count)),
        ]
    };
    let part = prop_oneof![
        5 => text().prop_map(Part::Text),
        2 => text().prop_map(Part::Thought),
        2 => (0usize..64).prop_map(Part::Silence),
        1 => (0usize..64).prop_map(Part::Counts),
    ];
    let end = prop_oneof![4 => Just("\n"), 2 => Just("\r\n"), 1 => Just("\r")];
    let dress = (end, any::<bool>(), prop::bool::weighted(0.2), prop::bool::weighted(0.2), 0usize..8);
    let dress = dress.prop_map(|(end, spaced, escaped, pretty, more)| Dress { end, spaced, escaped, pretty, more });
    prop::collection::vec((part, dress), 0..10)
}

pub(super) fn kinds() -> impl Strategy<Value = Kind> {
    prop::sample::select(vec![Kind::OpenAi, Kind::Anthropic, Kind::Gemini, Kind::Ollama])
}

/// The JSON of an event; `null` for one that has none.
fn event(kind: Kind, part: &Part) -> Value {
    let count = |nth: usize| serde_json::from_str::<Value>(COUNTS[nth % COUNTS.len()]).unwrap();
    match (kind, part) {
        (Kind::OpenAi | Kind::Demo, Part::Text(text)) => json!({"choices":[{"index":0,"delta":{"content":text}}]}),
        (Kind::OpenAi | Kind::Demo, Part::Thought(text)) => json!({"choices":[{"delta":{"reasoning":text}}]}),
        (Kind::OpenAi | Kind::Demo, Part::Counts(n)) => {
            json!({"choices":[],"usage":{"prompt_tokens":count(*n),"completion_tokens":count(n / 8)}})
        }
        (Kind::Anthropic, Part::Text(text)) => {
            json!({"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":text}})
        }
        (Kind::Anthropic, Part::Thought(text)) => {
            json!({"type":"content_block_delta","delta":{"type":"thinking_delta","thinking":text}})
        }
        (Kind::Anthropic, Part::Counts(n)) => {
            json!({"type":"message_start","message":{"usage":{"input_tokens":count(*n),"output_tokens":count(n / 8)}}})
        }
        (Kind::Gemini, Part::Text(text)) => json!({"candidates":[{"content":{"parts":[{"text":text}]}}]}),
        (Kind::Gemini, Part::Thought(text)) => {
            json!({"candidates":[{"content":{"parts":[{"text":text,"thought":true}]}}]})
        }
        (Kind::Gemini, Part::Counts(n)) => {
            json!({"usageMetadata":{"promptTokenCount":count(*n),"candidatesTokenCount":count(n / 8)}})
        }
        (Kind::Ollama, Part::Text(text)) => json!({"message":{"role":"assistant","content":text},"done":false}),
        (Kind::Ollama, Part::Thought(text)) => json!({"message":{"content":"","thinking":text}}),
        (Kind::Ollama, Part::Counts(n)) => json!({"eval_count":count(*n),"prompt_eval_count":count(n / 8)}),
        (Kind::Anthropic, Part::Silence(n)) => match n % 4 {
            0 => json!({"type":"ping"}),
            1 => json!({"type":"content_block_stop","index":0}),
            2 => json!({"type":"of_tomorrow","delta":{"text":"not a word"}}),
            _ => Value::Null,
        },
        (_, Part::Silence(n)) => match n % 4 {
            0 => json!({}),
            1 => json!({"error":null,"choices":null,"candidates":null,"message":null}),
            2 => json!({"choices":[{"index":1,"delta":{"content":"another"}}],"candidates":[{"index":1}]}),
            _ => Value::Null,
        },
    }
}

/// The JSON as text: texts escaped whole where that is wanted, and members that nobody knows behind the others.
fn written(mut value: Value, dress: &Dress) -> String {
    if let Value::Object(members) = &mut value {
        let more = [
            json!(null),
            json!({"x":{"y":[1, 2.5, "\u{1f600}", {}]}}),
            json!("data: {}\n\n"),
            json!(-1e300),
            (0..100).fold(json!([]), |inner, _| json!([inner])),
        ];
        if let Some(more) = more.get(dress.more) {
            members.insert("x_unknown".to_owned(), more.clone());
        }
    }
    let text = if dress.pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
    if !dress.escaped {
        return text;
    }
    let escape = |c: char| match c {
        '\0'..='\u{7f}' => c.to_string(),
        c => c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04X}")).collect(),
    };
    text.chars().map(escape).collect()
}

/// The event as bytes.
pub(super) fn framed(kind: Kind, part: &Part, dress: &Dress) -> String {
    let (value, end) = (event(kind, part), dress.end);
    if kind == Kind::Ollama {
        let line =
            if value.is_null() { " \t".to_owned() } else { written(value, &Dress { pretty: false, ..dress.clone() }) };
        return format!("{line}{end}");
    }
    if value.is_null() {
        return [": ping", "data:", "id: 7", "retry: 10"][dress.more % 4].to_owned() + end + end;
    }
    let json = written(value, dress);
    let blank = if dress.spaced { " " } else { "" };
    let lines: String = json.split('\n').map(|line| format!("data:{blank}{line}{end}")).collect();
    let name = if kind == Kind::Anthropic { format!("event:{blank}x{end}") } else { String::new() };
    format!("{name}{lines}{end}")
}

pub(super) fn finish(kind: Kind) -> &'static str {
    match kind {
        Kind::OpenAi | Kind::Demo => {
            "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n"
        }
        Kind::Anthropic => "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"}}\n\n",
        Kind::Gemini => "data: {\"candidates\":[{\"finishReason\":\"STOP\"}]}\n\n",
        Kind::Ollama => "{\"done\":true}\n",
    }
}
