//! What requests look like, and what events say, format by format.

use serde_json::{Map, Value, json};

use super::*;
use crate::domain::{ChatMessage, ErrorKind, FinishReason};

fn request(messages: &[(Role, &str)]) -> Request {
    let messages = messages.iter().map(|(role, text)| ChatMessage { role: *role, text: (*text).to_owned() }).collect();
    Request { model: "m".to_owned(), system: "s".to_owned(), messages, attempt: 1 }
}

#[test]
fn requests_are_what_the_apis_take() {
    let check = |kind, expected: Value| {
        let body = body(kind, &request(&[(Role::User, "q")]), Options::of(kind), &Map::new());
        assert_eq!(Value::Object(body.members), expected, "{kind}");
    };
    check(
        Kind::OpenAi,
        json!({"model":"m","stream":true,"stream_options":{"include_usage":true},
            "messages":[{"role":"system","content":"s"},{"role":"user","content":"q"}]}),
    );
    check(
        Kind::Anthropic,
        json!({"model":"m","max_tokens":8192,"stream":true,"system":"s","messages":[{"role":"user","content":"q"}]}),
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
    let body = body(Kind::Anthropic, &request(&[(Role::User, "q")]), Options::of(Kind::Anthropic), &extra);
    let members = body.members;
    assert_eq!((&members["max_tokens"], &members["stop"]), (&json!(5), &json!(["x"])));
    assert_eq!(members["system"], json!([{"type":"text"}]));
}

#[test]
fn neighbours_of_one_role_are_merged_and_blank_messages_left_out() {
    let check = |messages: &[(Role, &str)], expected: &[(Role, &str)]| {
        let got = alternating(&request(messages), Options { usage: false, prefill: true });
        let got: Vec<_> = got.iter().map(|(role, text)| (*role, text.as_str())).collect();
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
        let options = Options { prefill, ..Options::of(kind) };
        let earlier = [(User, "p"), (Assistant, "o"), (User, "q"), (Assistant, said)];
        for (messages, before) in [(&earlier[..], before), (&earlier[2..], &before[..before.len() - 2])] {
            let body = body(kind, &request(messages), options, &Map::new());
            let question = if kind == Kind::Gemini { part("user", "q") } else { turn("user", "q") };
            let system = before.iter().filter(|m| m["role"] == "system");
            let talk = before.iter().filter(|m| m["role"] != "system");
            let sent: Vec<_> = system.chain(talk).chain([&question]).chain(last).cloned().collect();
            assert_eq!((&body.members[list], &body.seam), (&Value::Array(sent), &seam), "{kind} {prefill}");
        }
    };
    let chat = [turn("system", "s"), turn("user", "p"), turn("assistant", "o")];
    let go_on = turn("user", GO_ON);
    let blanks = || Seam::blanks(" \n");
    check(Kind::OpenAi, false, "messages", Seam::repeats(said), &chat, &[turn("assistant", said), go_on.clone()]);
    check(Kind::Ollama, true, "messages", Seam::Closed, &chat, &[turn("assistant", said)]);
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
        assert_eq!(body(kind, &cut, Options::of(kind), &Map::new()).members[member], expected, "{kind}");
    };
    check(Kind::Anthropic, "system", json!("s"));
    check(Kind::Gemini, "systemInstruction", json!({"parts":[{"text":"s"}]}));
}

#[test]
fn from_blanks_alone_no_model_goes_on() {
    for kind in [Kind::OpenAi, Kind::Anthropic, Kind::Gemini, Kind::Ollama] {
        let said = body(kind, &request(&[(Role::User, "q"), (Role::Assistant, " \n")]), Options::of(kind), &Map::new());
        let asked = body(kind, &request(&[(Role::User, "q")]), Options::of(kind), &Map::new());
        assert_eq!((said.members, said.seam), (asked.members, Seam::blanks(" \n")), "{kind}");
    }
}

type Decode = fn(&str, &mut Said) -> Result<(), Fault>;
const OLLAMA: Decode = |line, said| ollama::decode(line.as_bytes(), said);

fn text(text: &str) -> Piece {
    Piece::Text(text.to_owned())
}

fn thought(text: &str) -> Piece {
    Piece::Reasoning(text.to_owned())
}

fn tokens(input: Option<u64>, output: Option<u64>) -> Piece {
    Piece::Usage(Usage { input, output })
}

fn check(decode: Decode, event: &str, pieces: &[Piece], finish: Option<FinishReason>, over: bool) {
    let mut said = Said::default();
    decode(event, &mut said).unwrap_or_else(|e| panic!("{event}: {e:?}"));
    assert_eq!(
        (said.pieces, said.finish.map(|f| f.reason), said.over),
        (pieces.to_vec().into(), finish, over),
        "{event}"
    );
}

#[test]
fn openai_events_say() {
    let stop = Some(FinishReason::Stop);
    check(openai::decode, "[DONE]", &[], None, true);
    check(openai::decode, r#"{"choices":[{"delta":{"content":"a\n"}}]}"#, &[text("a\n")], None, false);
    check(
        openai::decode,
        r#"{"choices":[{"delta":{"reasoning_content":"r","content":null}}]}"#,
        &[thought("r")],
        None,
        false,
    );
    check(
        openai::decode,
        r#"{"choices":[{"delta":{"reasoning":"r","reasoning_content":"r"}}]}"#,
        &[thought("r")],
        None,
        false,
    );
    check(openai::decode, r#"{"choices":[{"delta":{"refusal":"no"}}]}"#, &[text("no")], None, false);
    check(
        openai::decode,
        r#"{"choices":[{"index":1,"delta":{"content":"b"},"finish_reason":"stop"}]}"#,
        &[],
        None,
        false,
    );
    check(
        openai::decode,
        r#"{"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}],"error":null}"#,
        &[text("a")],
        stop,
        false,
    );
    check(
        openai::decode,
        r#"{"choices":null,"usage":{"prompt_tokens":1,"completion_tokens":2}}"#,
        &[tokens(Some(1), Some(2))],
        None,
        false,
    );
    let reasons = [
        ("length", FinishReason::Length),
        ("content_filter", FinishReason::Filter),
        ("tool_calls", FinishReason::Tool),
        ("new", FinishReason::Unknown),
    ];
    for (word, reason) in reasons {
        check(
            openai::decode,
            &format!(r#"{{"choices":[{{"delta":{{}},"finish_reason":"{word}"}}]}}"#),
            &[],
            Some(reason),
            false,
        );
    }
}

#[test]
fn anthropic_events_say() {
    let start = r#"{"type":"message_start","message":{"usage":{"input_tokens":3,"cache_read_input_tokens":4,"output_tokens":1}}}"#;
    check(anthropic::decode, start, &[tokens(Some(7), Some(1))], None, false);
    check(anthropic::decode, r#"{"type":"ping"}"#, &[], None, false);
    check(
        anthropic::decode,
        r#"{"type":"content_block_start","content_block":{"type":"text","text":"a"}}"#,
        &[text("a")],
        None,
        false,
    );
    check(
        anthropic::decode,
        r#"{"type":"content_block_delta","delta":{"type":"text_delta","text":"a"}}"#,
        &[text("a")],
        None,
        false,
    );
    check(
        anthropic::decode,
        r#"{"type":"content_block_delta","delta":{"type":"thinking_delta","thinking":"r"}}"#,
        &[thought("r")],
        None,
        false,
    );
    check(
        anthropic::decode,
        r#"{"type":"content_block_delta","delta":{"type":"signature_delta","signature":"x"}}"#,
        &[],
        None,
        false,
    );
    let end = r#"{"type":"message_delta","delta":{"stop_reason":"max_tokens"},"usage":{"output_tokens":5}}"#;
    check(anthropic::decode, end, &[tokens(None, Some(5))], Some(FinishReason::Length), false);
    check(anthropic::decode, r#"{"type":"message_stop"}"#, &[], None, true);
    check(anthropic::decode, r#"{"type":"of_tomorrow","delta":{"x":1}}"#, &[], None, false);
}

#[test]
fn gemini_events_say() {
    let both =
        r#"{"candidates":[{"content":{"parts":[{"text":"r","thought":true},{"text":"a"}]},"finishReason":"STOP"}]}"#;
    check(gemini::decode, both, &[thought("r"), text("a")], Some(FinishReason::Stop), false);
    let blocked = r#"{"promptFeedback":{"blockReason":"SAFETY"}}"#;
    check(gemini::decode, blocked, &[], Some(FinishReason::Filter), false);
    check(gemini::decode, r#"{"promptFeedback":{"safetyRatings":[]}}"#, &[], None, false);
    let counted = r#"{"usageMetadata":{"promptTokenCount":1,"candidatesTokenCount":2,"thoughtsTokenCount":3}}"#;
    check(gemini::decode, counted, &[tokens(Some(1), Some(5))], None, false);
    check(gemini::decode, r#"{"candidates":[{"finishReason":"MAX_TOKENS"}]}"#, &[], Some(FinishReason::Length), false);
}

#[test]
fn ollama_lines_say() {
    check(
        OLLAMA,
        r#"{"message":{"content":"a","thinking":"r"},"done":false}"#,
        &[thought("r"), text("a")],
        None,
        false,
    );
    let done = r#"{"message":{"content":""},"done":true,"done_reason":"length","prompt_eval_count":1,"eval_count":2}"#;
    check(OLLAMA, done, &[tokens(Some(1), Some(2))], Some(FinishReason::Length), true);
    check(OLLAMA, r#"{"done":true}"#, &[], Some(FinishReason::Stop), true);
}

#[test]
fn a_count_that_is_none_spoils_no_words() {
    for odd in ["null", "-1", "1.5", "18446744073709551616", "\"7\"", "{}", "1e999"] {
        let said = |event: &str| event.replace('N', odd);
        let usage =
            said(r#"{"choices":[{"delta":{"content":"a"}}],"usage":{"prompt_tokens":N,"completion_tokens":2}}"#);
        check(openai::decode, &usage, &[text("a"), tokens(None, Some(2))], None, false);
        let usage = said(r#"{"type":"message_start","message":{"usage":{"input_tokens":N,"output_tokens":2}}}"#);
        check(anthropic::decode, &usage, &[tokens(None, Some(2))], None, false);
        let parts = r#"{"candidates":[{"content":{"parts":[{"text":"a"}]}}],"#;
        let usage = said(r#""usageMetadata":{"promptTokenCount":N,"candidatesTokenCount":2}}"#);
        check(gemini::decode, &(parts.to_owned() + &usage), &[text("a"), tokens(None, Some(2))], None, false);
        let usage = said(r#"{"message":{"content":"a"},"prompt_eval_count":N,"eval_count":2}"#);
        check(OLLAMA, &usage, &[text("a"), tokens(None, Some(2))], None, false);
    }
}

#[test]
fn what_is_no_event_is_told_from_what_reports_an_error() {
    let fails = |decode: Decode, event: &str| decode(event, &mut Said::default()).unwrap_err();
    for decode in [openai::decode as Decode, anthropic::decode, gemini::decode, OLLAMA] {
        assert!(matches!(fails(decode, "<html>"), Fault::Json(_)));
        let event = r#"{"type":"error","error":{"type":"overloaded_error","message":"m"}}"#;
        let Fault::Said(e) = fails(decode, event) else { panic!("{event}") };
        assert_eq!((e.kind, e.text.as_str()), (ErrorKind::Overloaded, "m"));
    }
    let broke = r#"{"choices":[{"delta":{},"finish_reason":"error"}]}"#;
    assert!(matches!(fails(openai::decode, broke), Fault::Said(_)));
}
