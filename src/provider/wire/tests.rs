//! What events say, format by format, in all the shapes that servers give them.

use super::*;
use crate::domain::FinishReason;

const ALL: [Kind; 4] = [Kind::OpenAi, Kind::Anthropic, Kind::Gemini, Kind::Ollama];

fn wire(kind: Kind) -> &'static dyn Wire {
    kind.wire().unwrap()
}

fn text(text: &str) -> Piece {
    Piece::Text(text.to_owned())
}

fn thought(text: &str) -> Piece {
    Piece::Reasoning(text.to_owned())
}

fn tokens_of(input: Option<u64>, output: Option<u64>) -> Piece {
    Piece::Usage(Usage { input, output })
}

/// What a list of events says: its pieces, neighbours joined, and the stop reason with its detail.
fn said(kind: Kind, events: &[&str]) -> (Vec<Piece>, Option<(FinishReason, Option<String>)>) {
    let mut decoded = Decoded::default();
    for event in events {
        let json = Json::read(event.as_bytes()).unwrap_or_else(|e| panic!("{event}: {e:?}"));
        decode(wire(kind), None, json, &mut decoded).unwrap_or_else(|e| panic!("{event}: {e:?}"));
    }
    let finish = decoded.finish(str::to_owned).map(|finish| (finish.reason, finish.detail));
    decoded.close();
    let mut joined = Vec::new();
    for piece in decoded.pieces {
        match (joined.last_mut(), piece) {
            (Some(Piece::Text(last)), Piece::Text(more)) | (Some(Piece::Reasoning(last)), Piece::Reasoning(more)) => {
                last.push_str(&more);
            }
            (_, piece) => joined.push(piece),
        }
    }
    (joined, finish)
}

fn check(kind: Kind, events: &[&str], pieces: &[Piece], finish: Option<FinishReason>) {
    let (got, end) = said(kind, events);
    assert_eq!((got.as_slice(), end.map(|(reason, _)| reason)), (pieces, finish), "{kind} {events:?}");
}

#[test]
fn openai_text_is_found_wherever_servers_put_it() {
    let hello = |events: &[&str]| check(Kind::OpenAi, events, &[text("hello")], None);
    hello(&[r#"{"choices":[{"delta":{"content":"hello"}}]}"#]);
    hello(&[r#"{"choices":[{"index":"0","delta":{"content":"hel"}}]}"#, r#"{"choices":[{"delta":{"content":"lo"}}]}"#]);
    hello(&[r#"{"choices":[{"message":{"role":"assistant","content":"hello"}}]}"#]);
    hello(&[r#"{"choices":[{"message":{"content":"hel"}}]}"#, r#"{"choices":[{"message":{"content":"lo"}}]}"#]);
    hello(&[r#"{"choices":[{"text":"hello"}]}"#]);
    hello(&[r#"{"choices":[{"delta":{"text":"hello"}}]}"#]);
    hello(&[r#"{"choices":[{"delta":"hello"}]}"#]);
    hello(&[r#"{"choices":{"delta":{"content":"hello"}}}"#]);
    hello(&[r#"{"choices":[{"delta":{"content":["hel",{"text":"lo"}]}}]}"#]);
    hello(&[r#"{"choices":[{"delta":{"content":{"type":"text","text":"hello"}}}]}"#]);
    hello(&[r#"{"choices":[{"delta":{"content":[{"type":"output_text","text":{"content":"hello"}}]}}]}"#]);
    hello(&[r#"{"delta":{"content":"hello"}}"#]);
    hello(&[r#"{"choices":[null,{"delta":null},{"delta":{"content":"hello"}}]}"#]);
    hello(&[r#"{"choices":[{"delta":{"content":"hello","content":null}}],"choices":null}"#]);
    hello(&[
        r#"{"choices":[{"index":-1,"delta":{"role":7,"content":"hello","tool_calls":[]},"logprobs":""}],"usage":"","id":{}}"#,
    ]);
    // Said once more in the last event, as some gateways do.
    let whole = r#"{"choices":[{"delta":{},"message":{"content":"hello"}}]}"#;
    hello(&[r#"{"choices":[{"delta":{"content":"hello"}}]}"#, whole]);
    // An empty delta beside the message.
    hello(&[r#"{"choices":[{"delta":{"role":"assistant","content":""}}]}"#, whole]);
    hello(&[r#"{"choices":[{"delta":{"role":"assistant","content":"","id":"m1"},"message":{"content":"hello"}}]}"#]);
    // Another answer, which only `n` of `extra_body` asks for.
    hello(&[r#"{"choices":[{"index":1,"delta":{"content":"x"}},{"index":0,"delta":{"content":"hello"}}]}"#]);
    // Words that elsewhere stand for nothing.
    check(Kind::OpenAi, &[r#"{"choices":[{"delta":{"content":"None"}}]}"#], &[text("None")], None);
    check(Kind::OpenAi, &[r#"{"choices":[{"delta":{"content":" "}}]}"#], &[text(" ")], None);
}

#[test]
fn openai_reasoning_is_told_from_text() {
    let both = |event: &str| check(Kind::OpenAi, &[event], &[thought("hm"), text("a")], None);
    both(r#"{"choices":[{"delta":{"reasoning_content":"hm","content":"a"}}]}"#);
    both(r#"{"choices":[{"delta":{"reasoning":"hm","reasoning_content":"hm","content":"a"}}]}"#);
    both(r#"{"choices":[{"delta":{"reasoning":"","reasoning_content":"hm","content":"a"}}]}"#);
    both(r#"{"choices":[{"delta":{"reasoning_details":[{"type":"reasoning.text","text":"hm"}],"content":"a"}}]}"#);
    both(
        r#"{"choices":[{"delta":{"content":[{"type":"thinking","thinking":[{"type":"text","text":"hm"}]},{"type":"text","text":"a"}]}}]}"#,
    );
    both(r#"{"choices":[{"delta":{"thinking":"hm","content":"a"}}]}"#);
    // Streamed reasoning, then the whole message with both.
    let whole = r#"{"choices":[{"message":{"reasoning_content":"hm","content":"a"}}]}"#;
    let events = [r#"{"choices":[{"delta":{"reasoning_content":"hm"}}]}"#, whole];
    check(Kind::OpenAi, &events, &[thought("hm"), text("a")], None);
}

#[test]
fn anthropic_text_is_found_wherever_servers_put_it() {
    let hello = |events: &[&str]| check(Kind::Anthropic, events, &[text("hello")], None);
    hello(&[r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"hello"}}"#]);
    hello(&[r#"{"type":"content_block_start","content_block":{"type":"text","text":"hello"}}"#]);
    hello(&[r#"{"type":"content_block_delta","delta":{"text":"hello"}}"#]);
    hello(&[r#"{"delta":{"type":"text_delta","text":"hello"}}"#]);
    hello(&[r#"{"type":null,"delta":{"text":"hello"},"index":"x","usage":7}"#]);
    hello(&[r#"{"type":"message","role":"assistant","content":[{"type":"text","text":"hello"}]}"#]);
    hello(&[r#"{"type":"message","content":"hello"}"#]);
    hello(&[r#"{"type":"message_start","message":{"content":[{"type":"text","text":"hello"}]}}"#]);
    hello(&[r#"{"type":"completion","completion":"hel"}"#, r#"{"completion":"lo"}"#]);
    hello(&[
        r#"{"type":"content_block_start","content_block":{"type":"text","text":""}}"#,
        r#"{"type":"content_block_delta","delta":{"type":"text_delta","text":"hello"}}"#,
        r#"{"type":"content_block_delta","delta":{"type":"signature_delta","signature":"x"}}"#,
        r#"{"type":"ping"}"#,
        r#"{"type":"of_tomorrow","delta":{"text":"not a word"}}"#,
    ]);
    let empty = r#"{"type":"content_block_start","content_block":{"type":"text","text":""}}"#;
    hello(&[empty, r#"{"type":"message","content":[{"type":"text","text":"hello"}]}"#]);
    let both = |event: &str| check(Kind::Anthropic, &[event], &[thought("hm")], None);
    both(r#"{"type":"content_block_delta","delta":{"type":"thinking_delta","thinking":"hm"}}"#);
    both(r#"{"type":"content_block_start","content_block":{"type":"thinking","thinking":"hm","signature":""}}"#);
}

#[test]
fn gemini_text_is_found_wherever_servers_put_it() {
    let hello = |events: &[&str]| check(Kind::Gemini, events, &[text("hello")], None);
    hello(&[r#"{"candidates":[{"content":{"parts":[{"text":"hel"},{"text":"lo"}],"role":"model"}}]}"#]);
    hello(&[
        r#"[{"candidates":[{"content":{"parts":[{"text":"hel"}]}}]},{"candidates":[{"content":{"parts":[{"text":"lo"}]}}]}]"#,
    ]);
    hello(&[r#"{"candidates":{"content":{"parts":{"text":"hello"}}}}"#]);
    hello(&[r#"{"candidates":[{"content":{}}]}"#, r#"{"candidates":[{"content":{"parts":"hello"}}]}"#]);
    hello(&[r#"{"candidates":[{"content":[{"text":"hello"}]}]}"#]);
    hello(&[r#"{"candidates":[{"content":"hello","index":null}]}"#]);
    hello(&[r#"{"response":{"candidates":[{"content":{"parts":[{"text":"hello"}]}}]}}"#]);
    hello(&[
        r#"{"candidates":[null,{"content":null},{"content":{"parts":[null,{"text":"hello"},{"inlineData":{}}]}}],"usageMetadata":[]}"#,
    ]);
    let both =
        r#"{"candidates":[{"content":{"parts":[{"text":"hm","thought":true},{"text":"a","thoughtSignature":"x"}]}}]}"#;
    check(Kind::Gemini, &[both], &[thought("hm"), text("a")], None);
}

#[test]
fn ollama_text_is_found_wherever_servers_put_it() {
    let hello = |events: &[&str]| check(Kind::Ollama, events, &[text("hello")], None);
    hello(&[r#"{"message":{"role":"assistant","content":"hello"},"done":false}"#]);
    hello(&[r#"{"message":"hello","done":false}"#]);
    hello(&[r#"{"response":"hello","done":"false"}"#]);
    hello(&[r#"{"message":{"content":[{"type":"text","text":"hello"}]},"eval_count":"x"}"#]);
    hello(&[r#"{"message":{"text":"hello"},"done":null}"#]);
    check(Kind::Ollama, &[r#"{"message":{"content":"a","thinking":"hm"}}"#], &[thought("hm"), text("a")], None);
}

/// The stop reason of one event, and what the server says about it.
fn check_finish(kind: Kind, event: &str, reason: FinishReason, detail: Option<&str>) {
    let expected = Some((reason, detail.map(str::to_owned)));
    assert_eq!(said(kind, &[event]).1, expected, "{event}");
}

#[test]
fn every_stop_reason_of_openai_is_read() {
    let check = check_finish;
    let openai = |word: &str, reason, detail| {
        check(Kind::OpenAi, &format!(r#"{{"choices":[{{"delta":{{}},"finish_reason":"{word}"}}]}}"#), reason, detail);
    };
    openai("stop", FinishReason::Stop, None);
    openai("length", FinishReason::Length, None);
    openai("content_filter", FinishReason::Filter, None);
    openai("tool_calls", FinishReason::Tool, None);
    openai("insufficient_system_resource", FinishReason::Error, Some("insufficient_system_resource"));
    openai("of_tomorrow", FinishReason::Unknown, Some("of_tomorrow"));
    let tool = r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"name":"get_weather","arguments":"{}"}}]},"finish_reason":"tool_calls"}]}"#;
    check(Kind::OpenAi, tool, FinishReason::Tool, Some("get_weather"));
    let called = r#"{"choices":[{"delta":{"function_call":{"name":"f"}},"finish_reason":"stop"}]}"#;
    check(Kind::OpenAi, called, FinishReason::Tool, Some("f"));
    let refused = r#"{"choices":[{"delta":{"refusal":"I cannot"},"finish_reason":"stop"}]}"#;
    check(Kind::OpenAi, refused, FinishReason::Refusal, None);
    let native = r#"{"choices":[{"finish_reason":"content_filter","native_finish_reason":"refusal"}]}"#;
    check(Kind::OpenAi, native, FinishReason::Refusal, None);
    let azure = r#"{"choices":[{"finish_reason":"content_filter","content_filter_results":{"hate":{"filtered":false},"violence":{"filtered":true}}}]}"#;
    check(Kind::OpenAi, azure, FinishReason::Filter, Some("violence"));
    check(Kind::OpenAi, r#"{"choices":[],"finish_reason":"eos"}"#, FinishReason::Stop, None);
}

#[test]
fn every_stop_reason_of_anthropic_is_read() {
    let check = check_finish;
    let anthropic = |delta: &str, reason, detail| {
        check(Kind::Anthropic, &format!(r#"{{"type":"message_delta","delta":{delta}}}"#), reason, detail);
    };
    anthropic(r#"{"stop_reason":"end_turn","stop_sequence":null}"#, FinishReason::Stop, None);
    anthropic(r#"{"stop_reason":"max_tokens"}"#, FinishReason::Length, None);
    anthropic(r#"{"stop_reason":"model_context_window_exceeded"}"#, FinishReason::Length, None);
    anthropic(r#"{"stop_reason":"pause_turn"}"#, FinishReason::Pause, None);
    let details =
        r#"{"stop_reason":"refusal","stop_details":{"type":"refusal","category":"cyber","explanation":"no exploits"}}"#;
    anthropic(details, FinishReason::Refusal, Some("no exploits"));
    let details = r#"{"stop_reason":"refusal","stop_details":{"category":"bio","explanation":null}}"#;
    anthropic(details, FinishReason::Refusal, Some("bio"));
    let (start, end) = (
        r#"{"type":"content_block_start","content_block":{"type":"tool_use","name":"get_weather","input":{}}}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"tool_use"}}"#,
    );
    assert_eq!(said(Kind::Anthropic, &[start, end]).1, Some((FinishReason::Tool, Some("get_weather".to_owned()))));
    check(Kind::Anthropic, r#"{"type":"message","content":[],"stop_reason":"end_turn"}"#, FinishReason::Stop, None);
}

#[test]
fn every_stop_reason_of_gemini_is_read() {
    let check = check_finish;
    let gemini = |word: &str, reason, detail| {
        check(Kind::Gemini, &format!(r#"{{"candidates":[{{"finishReason":"{word}"}}]}}"#), reason, detail);
    };
    gemini("STOP", FinishReason::Stop, None);
    gemini("MAX_TOKENS", FinishReason::Length, None);
    gemini("SAFETY", FinishReason::Filter, Some("SAFETY"));
    gemini("MALFORMED_FUNCTION_CALL", FinishReason::Error, Some("MALFORMED_FUNCTION_CALL"));
    gemini("OTHER", FinishReason::Unknown, Some("OTHER"));
    let message = r#"{"candidates":[{"finish_reason":"RECITATION","finishMessage":"it cites"}]}"#;
    check(Kind::Gemini, message, FinishReason::Filter, Some("it cites"));
    check(Kind::Gemini, r#"{"promptFeedback":{"blockReason":"OTHER"}}"#, FinishReason::Filter, Some("OTHER"));
    let called = r#"{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f"}}]},"finishReason":"STOP"}]}"#;
    check(Kind::Gemini, called, FinishReason::Tool, Some("f"));
}

#[test]
fn every_stop_reason_of_ollama_is_read() {
    let check = check_finish;
    check(Kind::Ollama, r#"{"done":true}"#, FinishReason::Stop, None);
    check(Kind::Ollama, r#"{"done":true,"done_reason":""}"#, FinishReason::Stop, None);
    check(Kind::Ollama, r#"{"done":true,"done_reason":"length"}"#, FinishReason::Length, None);
    check(Kind::Ollama, r#"{"done":true,"done_reason":"load"}"#, FinishReason::Unknown, Some("load"));
    let called =
        r#"{"message":{"tool_calls":[{"function":{"name":"f","arguments":{}}}]},"done":true,"done_reason":"stop"}"#;
    check(Kind::Ollama, called, FinishReason::Tool, Some("f"));
}

#[test]
fn what_is_no_stop_reason_is_none() {
    for (kind, event) in [
        (Kind::OpenAi, r#"{"choices":[{"finish_reason":"null"}]}"#),
        (Kind::OpenAi, r#"{"choices":[{"finish_reason":""}]}"#),
        (Kind::OpenAi, r#"{"choices":[{"finish_reason":null}]}"#),
        (Kind::Anthropic, r#"{"type":"message_start","message":{"stop_reason":null}}"#),
        (Kind::Gemini, r#"{"promptFeedback":{"safetyRatings":[]}}"#),
        (Kind::Ollama, r#"{"done":false,"done_reason":"stop"}"#),
    ] {
        assert_eq!(said(kind, &[event]).1, None, "{event}");
    }
}

#[test]
fn token_counts_are_read_and_odd_ones_ignored() {
    let both = [tokens_of(Some(7), Some(2))];
    check(Kind::OpenAi, &[r#"{"usage":{"prompt_tokens":7,"completion_tokens":2}}"#], &both, None);
    check(Kind::OpenAi, &[r#"{"x_groq":{"usage":{"prompt_tokens":7,"completion_tokens":"2"}}}"#], &both, None);
    let start = r#"{"type":"message_start","message":{"usage":{"input_tokens":3,"cache_read_input_tokens":4,"output_tokens":2}}}"#;
    check(Kind::Anthropic, &[start], &both, None);
    let counted = r#"{"usageMetadata":{"promptTokenCount":7,"candidatesTokenCount":1,"thoughtsTokenCount":1}}"#;
    check(Kind::Gemini, &[counted], &both, None);
    check(Kind::Ollama, &[r#"{"prompt_eval_count":7,"eval_count":2}"#], &both, None);
    for odd in ["null", "-1", "1.5", "18446744073709551616", "\"x\"", "{}", "[]", "1e999", "\"\""] {
        let check = |kind, event: &str| {
            check(kind, &[&event.replace('N', odd)], &[text("a"), tokens_of(None, Some(2))], None);
        };
        let openai = r#"{"choices":[{"delta":{"content":"a"}}],"usage":{"prompt_tokens":N,"completion_tokens":2}}"#;
        check(Kind::OpenAi, openai);
        let gemini = r#"{"candidates":[{"content":{"parts":[{"text":"a"}]}}],"usageMetadata":{"promptTokenCount":N,"candidatesTokenCount":2}}"#;
        check(Kind::Gemini, gemini);
        check(Kind::Ollama, r#"{"message":{"content":"a"},"prompt_eval_count":N,"eval_count":2}"#);
    }
}

#[test]
fn halves_of_surrogate_pairs_are_joined_over_events() {
    let event = |kind, text: &str| match kind {
        Kind::OpenAi | Kind::Demo => format!(r#"{{"choices":[{{"delta":{{"content":"{text}"}}}}]}}"#),
        Kind::Anthropic => format!(r#"{{"type":"content_block_delta","delta":{{"text":"{text}"}}}}"#),
        Kind::Gemini => format!(r#"{{"candidates":[{{"content":{{"parts":[{{"text":"{text}"}}]}}}}]}}"#),
        Kind::Ollama => format!(r#"{{"message":{{"content":"{text}"}}}}"#),
    };
    for kind in ALL {
        let check = |texts: &[&str], expected: &str| {
            let events: Vec<_> = texts.iter().map(|text| event(kind, text)).collect();
            let events: Vec<_> = events.iter().map(String::as_str).collect();
            check(kind, &events, &[text(expected)], None);
        };
        check(&[r"a\ud83d", r"\ude00b"], "a\u{1f600}b");
        check(&[r"a\ud83d", "", r"\ude00"], "a\u{1f600}");
        check(&[r"a\ud83d", "b"], "a\u{fffd}b");
        check(&["a", r"\ude00b"], "a\u{fffd}b");
        check(&[r"a\ud83d"], "a\u{fffd}");
    }
}

#[test]
fn errors_in_the_stream_are_found_in_every_shape() {
    let check = |kind, name: Option<&str>, event: &str, expected: &str| {
        let json = Json::read(event.as_bytes()).unwrap();
        let failed = decode(wire(kind), name.map(str::as_bytes), json, &mut Decoded::default());
        assert_eq!(failed.map_err(|e| e.text), Err(expected.to_owned()), "{kind} {event}");
    };
    for kind in ALL {
        check(kind, None, r#"{"error":{"message":"no more","type":"overloaded_error"}}"#, "no more");
        check(kind, None, r#"{"error":"no more"}"#, "no more");
        check(kind, None, r#"{"type":"error","error":{"type":"api_error","message":"no more"}}"#, "no more");
        check(kind, None, r#"{"type":"error","message":"no more"}"#, "no more");
        check(kind, None, r#"{"object":"error","message":"no more","code":40303}"#, "no more");
        check(kind, Some("error"), r#"{"message":"no more","code":500}"#, "no more");
        check(kind, Some("error"), r#"{"detail":"no more"}"#, "no more");
        check(kind, None, r#"[{"error":{"code":503,"message":"no more","status":"UNAVAILABLE"}}]"#, "no more");
        check(kind, None, r#"{"error":{"code":400}}"#, "the server broke off with an error");
    }
    check(Kind::OpenAi, None, r#"{"choices":[{"finish_reason":"error","error":{"message":"no more"}}]}"#, "no more");
    check(Kind::OpenAi, None, r#"{"choices":[],"x_groq":{"error":"no more"}}"#, "no more");
    // The text of the same event comes before the error.
    let mut decoded = Decoded::default();
    let event = r#"{"choices":[{"delta":{"content":"a"}}],"error":{"message":"no more"}}"#;
    assert!(decode(wire(Kind::OpenAi), None, Json::read(event.as_bytes()).unwrap(), &mut decoded).is_err());
    assert_eq!(decoded.pieces, [text("a")]);
    for nothing in ["null", "\"\"", "{}", "[]", "false", "0", r#"{"message":"","code":null}"#, "\"None\""] {
        let event = format!(r#"{{"choices":[{{"delta":{{"content":"a"}},"error":{nothing}}}],"error":{nothing}}}"#);
        self::check(Kind::OpenAi, &[&event], &[text("a")], None);
    }
}
