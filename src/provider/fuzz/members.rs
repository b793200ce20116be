//! Well-formed answers as the vendors' APIs send them, with members added, taken away, of another type or repeated where they are
//! not needed, and cut anywhere: the text is the same, or a prefix of it.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::Kind;
use super::{cut, fuzz, heard};

/// JSON that may hold a member twice.
#[derive(Debug, Clone)]
enum Tree {
    Object(Vec<(String, Self)>),
    List(Vec<Self>),
    Leaf(String),
}

impl From<&Value> for Tree {
    fn from(value: &Value) -> Self {
        match value {
            Value::Object(members) => Self::Object(members.iter().map(|(key, value)| (key.clone(), value.into())).collect()),
            Value::Array(items) => Self::List(items.iter().map(Into::into).collect()),
            leaf => Self::Leaf(leaf.to_string()),
        }
    }
}

impl Tree {
    fn write(&self, out: &mut String) {
        let separate = |out: &mut String, nth: usize| {
            if nth > 0 {
                out.push(',');
            }
        };
        match self {
            Self::Object(members) => {
                out.push('{');
                for (nth, (key, value)) in members.iter().enumerate() {
                    separate(out, nth);
                    out.push_str(&format!("{key:?}:"));
                    value.write(out);
                }
                out.push('}');
            }
            Self::List(items) => {
                out.push('[');
                for (nth, item) in items.iter().enumerate() {
                    separate(out, nth);
                    item.write(out);
                }
                out.push(']');
            }
            Self::Leaf(text) => out.push_str(text),
        }
    }

    /// All objects within, in order.
    fn objects(&mut self) -> Vec<&mut Vec<(String, Self)>> {
        // Collected by the path, for a list of borrows of a tree and of its parts cannot be.
        match self {
            Self::Object(members) => {
                let nested = members.iter().any(|(_, value)| !matches!(value, Self::Leaf(_)));
                if nested && members.len() > 1 {
                    return members.iter_mut().flat_map(|(_, value)| value.objects()).collect();
                }
                vec![members]
            }
            Self::List(items) => items.iter_mut().flat_map(Self::objects).collect(),
            Self::Leaf(_) => Vec::new(),
        }
    }
}

/// What a member of no use may hold. Nothing of it is a text, a stop reason or an error.
const JUNK: [&str; 14] = [
    "null",
    "[]",
    "{}",
    "\"\"",
    "0",
    "-1",
    "1e999",
    "18446744073709551616",
    "true",
    "\"\\ud800\"",
    "[[[{}]]]",
    "{\"x\":1,\"x\":2}",
    "\"a\\u0000b\"",
    "NaN",
];
/// Names that no format knows.
const UNKNOWN: [&str; 5] = ["x_new", "safety", "citations", "obfuscation", "\\u00e9"];

/// The events of a well-formed answer, its text, and the names of the members that are needed.
fn recorded(kind: Kind) -> (Vec<Value>, &'static str, &'static [&'static str]) {
    match kind {
        Kind::OpenAi | Kind::Demo => (
            vec![
                json!({"id":"c1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,
                    "delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}],"usage":null}),
                json!({"id":"c1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"Hello, "},
                    "logprobs":null,"finish_reason":null}],"system_fingerprint":"f"}),
                json!({"id":"c1","choices":[{"index":0,"delta":{"content":"wörld"},"finish_reason":null}]}),
                json!({"id":"c1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}),
                json!({"id":"c1","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":3,
                    "prompt_tokens_details":{"cached_tokens":0}}}),
            ],
            "Hello, wörld",
            &["choices", "delta", "content", "finish_reason"],
        ),
        Kind::Anthropic => (
            vec![
                json!({"type":"message_start","message":{"id":"m1","type":"message","role":"assistant","model":"m","content":[],
                    "stop_reason":null,"usage":{"input_tokens":9,"output_tokens":1}}}),
                json!({"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}),
                json!({"type":"ping","x":1}),
                json!({"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hello, "}}),
                json!({"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"wörld"}}),
                json!({"type":"content_block_stop","index":0}),
                json!({"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},
                    "usage":{"output_tokens":3}}),
                json!({"type":"message_stop"}),
            ],
            "Hello, wörld",
            &["type", "delta", "text", "stop_reason", "content_block", "message"],
        ),
        Kind::Gemini => (
            vec![
                json!({"candidates":[{"content":{"parts":[{"text":"Hello, "}],"role":"model"},"index":0}],
                    "usageMetadata":{"promptTokenCount":9,"totalTokenCount":9},"modelVersion":"m","responseId":"r"}),
                json!({"candidates":[{"content":{"parts":[{"text":"wörld"}],"role":"model"},"finishReason":"STOP","index":0,
                    "safetyRatings":[{"category":"c","probability":"LOW"}]}],
                    "usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":3}}),
            ],
            "Hello, wörld",
            &["candidates", "content", "parts", "text", "finishReason"],
        ),
        Kind::Ollama => (
            vec![
                json!({"model":"m","created_at":"t","message":{"role":"assistant","content":"Hello, "},"done":false}),
                json!({"model":"m","created_at":"t","message":{"role":"assistant","content":"wörld"},"done":false}),
                json!({"model":"m","created_at":"t","message":{"role":"assistant","content":""},"done":true,
                    "done_reason":"stop","total_duration":1,"prompt_eval_count":9,"eval_count":3}),
            ],
            "Hello, wörld",
            &["message", "content", "done", "done_reason"],
        ),
    }
}

/// Changes what is not needed: `which` picks the object and the member, `how` the change.
fn change(tree: &mut Tree, needed: &[&str], which: usize, how: usize) {
    let mut objects = tree.objects();
    let count = objects.len().max(1);
    let Some(members) = objects.get_mut(which % count) else { return };
    let junk = || Tree::Leaf(JUNK[how / 5 % JUNK.len()].to_owned());
    let at = which / 7 % (members.len() + 1);
    let is_needed = members.get(at).is_none_or(|(key, _)| needed.contains(&key.as_str()));
    match how % 5 {
        0 => members.insert(at, (UNKNOWN[how / 70 % UNKNOWN.len()].to_owned(), junk())),
        1 if !is_needed => drop(members.remove(at)),
        2 if !is_needed => members[at].1 = junk(),
        3 if !is_needed => {
            let again = (members[at].0.clone(), junk());
            members.insert(at, again);
        }
        // What is needed stands twice: the second time as null.
        4 if at < members.len() => {
            let again = (members[at].0.clone(), Tree::Leaf("null".to_owned()));
            members.insert(at + 1, again);
        }
        _ => members.push(("x_last".to_owned(), junk())),
    }
}

#[test]
fn fuzz_members_that_are_not_needed() {
    let changes = prop::collection::vec((any::<usize>(), any::<usize>(), any::<usize>()), 0..12);
    let inputs = (super::kinds(), changes, prop::option::of(any::<u16>()), prop::collection::vec(any::<u16>(), 0..8));
    fuzz("members", 400, &inputs, |(kind, changes, end, cuts)| {
        let (events, text, needed) = recorded(kind);
        let mut trees: Vec<Tree> = events.iter().map(Tree::from).collect();
        let count = trees.len();
        for (nth, which, how) in changes {
            change(&mut trees[nth % count], needed, which, how);
        }
        let mut body = String::new();
        for tree in &trees {
            let mut event = String::new();
            tree.write(&mut event);
            body += &if kind == Kind::Ollama { format!("{event}\n") } else { format!("data: {event}\n\n") };
        }
        let whole = body.len();
        let mut body = body.into_bytes();
        body.truncate(end.map_or(whole, |end| usize::from(end) % (whole + 1)));
        let got = heard(kind, cut(&body, &cuts));
        assert!(text.starts_with(&got.text), "{:?} of {}", got, String::from_utf8_lossy(&body));
        assert_eq!(got.thoughts, "");
        if body.len() == whole {
            assert_eq!((got.text.as_str(), &got.error), (text, &None), "{}", String::from_utf8_lossy(&body));
        }
        // Complete means that all of it came.
        if got.error.is_none() {
            assert_eq!(got.text, text, "{}", String::from_utf8_lossy(&body));
        }
    });
}
