//! What requests look like, format by format.

use serde_json::{Map, Value, json};

use super::*;
use crate::domain::ChatMessage;

fn wire(kind: Kind) -> &'static dyn Wire {
    kind.wire().unwrap()
}

const ALL: [Kind; 4] = [Kind::OpenAi, Kind::Anthropic, Kind::Gemini, Kind::Ollama];

fn request(messages: &[(Role, &str)]) -> Request {
    let messages = messages.iter().map(|(role, text)| ChatMessage { role: *role, text: (*text).to_owned() }).collect();
    Request { model: "m".to_owned(), system: "s".to_owned(), messages, attempt: 1 }
}

#[test]
fn requests_are_what_the_apis_take() {
    let check = |kind, expected: Value| {
        let body = body(wire(kind), &request(&[(Role::User, "q")]), wire(kind).options(), &Map::new());
        assert_eq!(Value::Object(body.members), expected, "{kind}");
    };
    check(
        Kind::OpenAi,
        json!({"model":"m","stream":true,"stream_options":{"include_usage":true},
            "messages":[{"role":"system","content":"s"},{"role":"user","content":"q"}]}),
    );
    check(
        Kind::Anthropic,
        json!({"model":"m","max_tokens":32000,"stream":true,"system":"s","messages":[{"role":"user","content":"q"}]}),
    );
    check(
        Kind::Gemini,
        json!({"systemInstruction":{"parts":[{"text":"s"}]},"contents":[{"role":"user","parts":[{"text":"q"}]}]}),
    );
    check(
        Kind::Ollama,
        json!({"model":"m","stream":true,"messages":[{"role":"system","content":"s"},{"role":"user","content":"q"}]}),
    );
}

#[test]
fn extra_members_replace_ours_whole() {
    let extra = json!({"max_tokens":5,"stop":["x"],"system":[{"type":"text"}]});
    let Value::Object(extra) = extra else { unreachable!() };
    let body = body(wire(Kind::Anthropic), &request(&[(Role::User, "q")]), wire(Kind::Anthropic).options(), &extra);
    let members = body.members;
    assert_eq!((&members["max_tokens"], &members["stop"]), (&json!(5), &json!(["x"])));
    assert_eq!(members["system"], json!([{"type":"text"}]));
}

#[test]
fn neighbours_of_one_role_are_merged_and_blank_messages_left_out() {
    let check = |messages: &[(Role, &str)], expected: &[(Role, &str)]| {
        let asked = request(messages);
        let got = alternating(&asked, Options { usage: false, prefill: true, max_tokens: None });
        let got: Vec<_> = got.iter().map(|(role, text)| (*role, text.as_ref())).collect();
        assert_eq!(got, expected);
    };
    use Role::{Assistant, User};
    check(&[(User, "a"), (User, "b"), (Assistant, "c")], &[(User, "a\n\nb"), (Assistant, "c")]);
    check(&[(User, "a"), (Assistant, " "), (User, "b")], &[(User, "a\n\nb")]);
    check(&[(Role::System, "a"), (User, "b")], &[(User, "a\n\nb")]);
}

/// The request for going on from an answer's beginning, in each format, with and without a conversation before it.
#[test]
fn a_continuing_request_ends_with_the_answers_beginning_or_asks_to_go_on() {
    use Role::{Assistant, User};
    let said = "once upon a \n";
    let turn = |role: &str, text: &str| json!({"role":role,"content":text});
    let part = |role: &str, text: &str| json!({"role":role,"parts":[{"text":text}]});
    let check = |kind, prefill: bool, list: &str, seam: Seam, before: &[Value], last: &[Value]| {
        let options = Options { prefill, ..wire(kind).options() };
        let earlier = [(User, "p"), (Assistant, "o"), (User, "q"), (Assistant, said)];
        for (messages, before) in [(&earlier[..], before), (&earlier[2..], &before[..before.len() - 2])] {
            let body = body(wire(kind), &request(messages), options, &Map::new());
            let question = if kind == Kind::Gemini { part("user", "q") } else { turn("user", "q") };
            let system = before.iter().filter(|m| m["role"] == "system");
            let talk = before.iter().filter(|m| m["role"] != "system");
            let sent: Vec<_> = system.chain(talk).chain([&question]).chain(last).cloned().collect();
            assert_eq!((&body.members[list], &body.seam), (&Value::Array(sent), &seam), "{kind} {prefill}");
        }
    };
    let chat = [turn("system", "s"), turn("user", "p"), turn("assistant", "o")];
    let go_on = turn("user", GO_ON);
    let blanks = || Seam::prefilled("once upon a", " \n");
    check(Kind::OpenAi, false, "messages", Seam::repeats(said), &chat, &[turn("assistant", said), go_on.clone()]);
    check(Kind::Ollama, true, "messages", Seam::prefilled(said, ""), &chat, &[turn("assistant", said)]);
    check(Kind::Ollama, false, "messages", Seam::repeats(said), &chat, &[turn("assistant", said), go_on.clone()]);
    check(Kind::Anthropic, true, "messages", blanks(), &chat[1..], &[turn("assistant", "once upon a")]);
    check(Kind::Anthropic, false, "messages", Seam::repeats(said), &chat[1..], &[turn("assistant", said), go_on]);
    let talk = [part("user", "p"), part("model", "o")];
    check(Kind::Gemini, false, "contents", Seam::repeats(said), &talk, &[part("model", said), part("user", GO_ON)]);
}

#[test]
fn the_system_prompt_goes_along_when_an_answer_is_continued() {
    let check = |kind, member: &str, expected: Value| {
        let cut = request(&[(Role::User, "q"), (Role::Assistant, "a")]);
        assert_eq!(body(wire(kind), &cut, wire(kind).options(), &Map::new()).members[member], expected, "{kind}");
    };
    check(Kind::Anthropic, "system", json!("s"));
    check(Kind::Gemini, "systemInstruction", json!({"parts":[{"text":"s"}]}));
}

#[test]
fn from_blanks_alone_no_model_goes_on() {
    for kind in ALL {
        let said = body(
            wire(kind),
            &request(&[(Role::User, "q"), (Role::Assistant, " \n")]),
            wire(kind).options(),
            &Map::new(),
        );
        let asked = body(wire(kind), &request(&[(Role::User, "q")]), wire(kind).options(), &Map::new());
        assert_eq!((said.members, said.seam), (asked.members, Seam::blanks(" \n")), "{kind}");
    }
}

#[test]
fn output_limits_are_the_models_own() {
    let check = |model: &str, expected| assert_eq!(anthropic::Anthropic.output_limit(model), Some(expected), "{model}");
    check("claude-3-haiku-20240307", 4_096);
    check("claude-3-5-sonnet-latest", 8_192);
    check("claude-opus-4-1-20250805", 32_000);
    check("claude-opus-4-20250514", 32_000);
    check("claude-sonnet-4-5", 64_000);
    check("claude-haiku-4-5-20251001", 64_000);
    check("claude-opus-4-8", 128_000);
    check("claude-sonnet-5", 128_000);
    check("anthropic/claude-3-opus", 4_096);
    check("deepseek-chat", 32_000);
    let mut long = request(&[(Role::User, "q")]);
    long.model = "claude-sonnet-5".to_owned();
    let options = Options { max_tokens: Some(5_000), ..anthropic::Anthropic.options() };
    assert_eq!(body(&anthropic::Anthropic, &long, options, &Map::new()).members["max_tokens"], json!(5_000));
}
