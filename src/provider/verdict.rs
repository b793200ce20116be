//! The verdict: what an error of a server means, and whether asking again may help. Pure; `now` is an argument.
//!
//! It judges by the status and by typed fields (`type`, `code`, `status`). Words of a message change, so they decide one thing only,
//! for which most servers have no typed field: that the conversation is longer than the model's context window.

use std::time::{Duration, SystemTime};

use reqwest::header::{HeaderMap, RETRY_AFTER};

use super::complaint::Complaint;
use crate::domain::{ErrorKind, ProviderError};

/// Codes for a lack of money: waiting does not help.
const MONEY: [&str; 7] = [
    "insufficient_quota",
    "billing_error",
    "billing_hard_limit_reached",
    "billing_not_active",
    "spend_limit_exceeded",
    "credit_limit_exceeded",
    "insufficient_balance",
];

/// Codes for a conversation that is longer than the context window.
const CONTEXT_CODES: [&str; 5] = [
    "context_length_exceeded",
    "exceed_context_size_error",
    "model_max_prompt_tokens_exceeded",
    "context_window_exceeded",
    "ContextWindowExceededError",
];

/// The same in words: both parts of a row are in the message. From the answers of the four APIs and of the servers that speak them
/// (OpenAI, Anthropic, Gemini, Ollama, llama.cpp, vLLM, Mistral, xAI, Together, LM Studio, Bedrock, Kimi, Qwen), collected in
/// November 2026.
const CONTEXT_WORDS: [(&str, &str); 24] = [
    ("prompt is too long", ""),
    ("prompt too long", ""),
    ("exceed context limit", ""),
    ("context window", "exceed"),
    ("maximum context length", ""),
    ("maximum prompt length", ""),
    ("context length exceeded", ""),
    ("context_length_exceeded", ""),
    ("exceeds the available context", ""),
    ("exceeds the context", ""),
    ("context size has been exceeded", ""),
    ("longer than the", "context length"),
    ("greater than the context length", ""),
    ("exceeds model's maximum context", ""),
    ("exceeds the model's maximum context", ""),
    ("input token count", "exceeds the maximum"),
    ("input tokens exceed", ""),
    ("maximum allowed input length", ""),
    ("input is too long for requested model", ""),
    ("exceeded model token limit", ""),
    ("prompt token count", "exceeds the limit"),
    ("range of input length should be", ""),
    ("trying to keep the first", "context"),
    ("prompt exceeds max length", ""),
];
/// Words of a rate limit, which may also speak of tokens.
const RATE_WORDS: [&str; 5] = ["rate limit", "too many requests", "per minute", "throttl", "please wait"];

impl Complaint {
    fn lacks_money(&self) -> bool {
        self.names(&MONEY)
    }

    /// Whether the conversation is longer than the model's context window.
    fn exceeds_context(&self) -> bool {
        let text = self.lower();
        self.names(&CONTEXT_CODES)
            || !RATE_WORDS.iter().any(|word| text.contains(word))
                && CONTEXT_WORDS.iter().any(|(one, other)| text.contains(one) && text.contains(other))
    }
}

/// The verdict on an HTTP status: the kind, and whether asking again may help.
pub(crate) fn of_status(status: u16) -> (ErrorKind, bool) {
    match status {
        401 | 403 => (ErrorKind::Auth, false),
        402 => (ErrorKind::Quota, false),
        404 => (ErrorKind::NotFound, false),
        408 => (ErrorKind::Timeout, true),
        409 | 425 => (ErrorKind::Server, true),
        429 => (ErrorKind::RateLimited, true),
        503 | 529 => (ErrorKind::Overloaded, true),
        500.. => (ErrorKind::Server, true),
        _ => (ErrorKind::BadRequest, false),
    }
}

/// The verdict on an error that stands in the stream. Its text is the server's: neither cut nor made safe.
pub(crate) fn in_band(complaint: Complaint) -> ProviderError {
    let (kind, retryable) = of_complaint(&complaint);
    let text = complaint.message.clone().unwrap_or_else(|| match complaint.words().next() {
        Some(word) => format!("the server broke off with {word}"),
        None => "the server broke off with an error".to_owned(),
    });
    let (retry_after, request_id) = (complaint.retry_delay, complaint.request_id);
    ProviderError { retry_after, request_id, retryable, ..ProviderError::fatal(kind, text) }
}

fn of_complaint(complaint: &Complaint) -> (ErrorKind, bool) {
    if complaint.lacks_money() {
        return (ErrorKind::Quota, false);
    }
    if complaint.number != Some(429) && complaint.exceeds_context() {
        return (ErrorKind::Context, false);
    }
    let by_word = complaint.words().find_map(|word| {
        Some(match word {
            "overloaded_error" | "UNAVAILABLE" => (ErrorKind::Overloaded, true),
            "api_error" | "server_error" | "internal_server_error" | "INTERNAL" => (ErrorKind::Server, true),
            "rate_limit_error" | "rate_limit_exceeded" | "RESOURCE_EXHAUSTED" => (ErrorKind::RateLimited, true),
            "timeout_error" | "DEADLINE_EXCEEDED" => (ErrorKind::Timeout, true),
            "authentication_error" | "permission_error" | "UNAUTHENTICATED" | "PERMISSION_DENIED" => {
                (ErrorKind::Auth, false)
            }
            "not_found_error" | "NOT_FOUND" => (ErrorKind::NotFound, false),
            "invalid_request_error" | "INVALID_ARGUMENT" | "FAILED_PRECONDITION" => (ErrorKind::BadRequest, false),
            _ => return None,
        })
    });
    by_word
        .or_else(|| complaint.number.filter(|n| (400..600).contains(n)).map(of_status))
        .unwrap_or((ErrorKind::Server, false))
}

/// The verdict on a response with an error status. `text` is what people read if the server said nothing.
pub(crate) fn on_response(
    status: u16,
    headers: &HeaderMap,
    complaint: &Complaint,
    text: String,
    now: SystemTime,
) -> ProviderError {
    let (kind, listed) = of_status(status);
    let poor = status == 429 && complaint.lacks_money();
    let too_long = matches!(status, 400..=499 if status != 429) || status == 500;
    let kind = match kind {
        _ if poor => ErrorKind::Quota,
        _ if too_long && complaint.exceeds_context() => ErrorKind::Context,
        kind => kind,
    };
    let retryable = match headers.get("x-should-retry").and_then(|v| v.to_str().ok()) {
        _ if matches!(kind, ErrorKind::Quota | ErrorKind::Context) => false,
        Some("true") => true,
        Some("false") => false,
        _ => listed,
    };
    ProviderError {
        kind,
        status: Some(status),
        text,
        retry_after: retry_after(headers, now).or(complaint.retry_delay),
        request_id: request_id(headers).or_else(|| complaint.request_id.clone()),
        retryable,
        undecoded_at: None,
    }
}

/// How long the server asks to wait: `retry-after-ms`, or `Retry-After` in seconds or as a date.
pub(crate) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).map(str::trim);
    let in_ms = text("retry-after-ms").and_then(|v| v.parse::<f64>().ok());
    if let Some(wait) = in_ms.and_then(|ms| Duration::try_from_secs_f64(ms / 1_000.0).ok()) {
        return Some(wait);
    }
    let value = text(RETRY_AFTER.as_str())?;
    seconds(value).or_else(|| {
        let date = httpdate::parse_http_date(value).ok()?;
        Some(date.duration_since(now).unwrap_or(Duration::ZERO))
    })
}

/// A number of seconds, also a fraction.
pub(crate) fn seconds(text: &str) -> Option<Duration> {
    text.parse::<f64>().ok().and_then(|s| Duration::try_from_secs_f64(s).ok())
}

/// The provider's number for the request: OpenAI's and most others' header, Anthropic's, Bedrock's, Azure's.
pub(crate) fn request_id(headers: &HeaderMap) -> Option<String> {
    let names = ["x-request-id", "request-id", "x-amzn-requestid", "apim-request-id"];
    let value = names.iter().find_map(|name| headers.get(*name))?;
    value.to_str().ok().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn complaint(body: &Value) -> Complaint {
        Complaint::read(body.to_string().as_bytes())
    }

    #[test]
    fn an_error_in_the_stream_is_judged_by_its_typed_fields() {
        let check = |error: Value, kind, retryable| {
            let e = in_band(complaint(&error));
            assert_eq!((e.kind, e.retryable), (kind, retryable), "{error}");
        };
        check(json!({"type":"overloaded_error","message":"Overloaded"}), ErrorKind::Overloaded, true);
        check(json!({"type":"api_error"}), ErrorKind::Server, true);
        check(json!({"type":"server_error"}), ErrorKind::Server, true);
        check(json!({"type":"rate_limit_error"}), ErrorKind::RateLimited, true);
        check(json!({"type":"timeout_error"}), ErrorKind::Timeout, true);
        check(json!({"code":503,"status":"UNAVAILABLE"}), ErrorKind::Overloaded, true);
        check(json!({"code":500,"status":"INTERNAL"}), ErrorKind::Server, true);
        check(json!({"status":"RESOURCE_EXHAUSTED"}), ErrorKind::RateLimited, true);
        check(json!({"status":"DEADLINE_EXCEEDED"}), ErrorKind::Timeout, true);
        check(json!({"code":502,"message":"upstream"}), ErrorKind::Server, true);
        check(json!({"code":"429"}), ErrorKind::RateLimited, true);
        check(json!({"code":400}), ErrorKind::BadRequest, false);
        check(json!({"type":"requests","code":"insufficient_quota"}), ErrorKind::Quota, false);
        check(json!({"message":"the server is overloaded, rate_limit_error 503"}), ErrorKind::Server, false);
        check(json!("model runner has stopped: overloaded_error"), ErrorKind::Server, false);
        check(json!({"code":1305}), ErrorKind::Server, false);
    }

    #[test]
    fn statuses_are_judged_as_the_table_says() {
        let check = |status, retry: bool| assert_eq!(of_status(status).1, retry, "{status}");
        for status in [408, 409, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529] {
            check(status, true);
        }
        for status in [400, 401, 402, 403, 404, 405, 413, 415, 422, 451] {
            check(status, false);
        }
    }

    fn headers(all: &[(&'static str, &str)]) -> HeaderMap {
        all.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn the_wait_is_read_in_every_form() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        let check = |all: &[(&'static str, &str)], ms: Option<u64>| {
            assert_eq!(retry_after(&headers(all), now), ms.map(Duration::from_millis), "{all:?}");
        };
        check(&[], None);
        check(&[("retry-after", "7")], Some(7_000));
        check(&[("retry-after", "0.5")], Some(500));
        check(&[("retry-after", "Sun, 06 Nov 1994 08:50:07 GMT")], Some(30_000));
        check(&[("retry-after", "Sun, 06 Nov 1994 08:00:00 GMT")], Some(0));
        check(&[("retry-after", "7"), ("retry-after-ms", "250")], Some(250));
        check(&[("retry-after-ms", "-1"), ("retry-after", "7")], Some(7_000));
        check(&[("retry-after-ms", "soon"), ("retry-after", "7")], Some(7_000));
        check(&[("retry-after", " 7 ")], Some(7_000));
        check(&[("retry-after", "-3")], None);
        check(&[("retry-after", "soon")], None);
        check(&[("retry-after", "1e300")], None);
    }

    #[test]
    fn the_wait_and_the_number_are_kept_whatever_the_status() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        let waits =
            [("retry-after", "3"), ("retry-after", "Sun, 06 Nov 1994 08:49:40 GMT"), ("retry-after-ms", "3000")];
        let ids = ["x-request-id", "request-id", "x-amzn-requestid", "apim-request-id"];
        for status in [408, 429, 500, 502, 503, 504, 529] {
            for (wait, id) in waits.into_iter().zip(ids.into_iter().cycle().skip(usize::from(status) % ids.len())) {
                let e = on_response(status, &headers(&[wait, (id, "r1")]), &Complaint::default(), String::new(), now);
                assert_eq!((e.retry_after, e.retryable), (Some(Duration::from_secs(3)), true), "{status} {wait:?}");
                assert_eq!(e.request_id.as_deref(), Some("r1"), "{status} {id}");
            }
        }
        // Where no header says it, the body may.
        let body = json!({"error":{"details":[{"retryDelay":"3s"}]},"request_id":"r2"});
        let e = on_response(503, &headers(&[]), &complaint(&body), String::new(), now);
        assert_eq!((e.retry_after, e.request_id.as_deref()), (Some(Duration::from_secs(3)), Some("r2")));
    }

    #[test]
    fn the_server_may_overrule_the_table_but_not_an_empty_purse() {
        let check = |status, all: &[(&'static str, &str)], body: Value, kind, retryable| {
            let e = on_response(status, &headers(all), &complaint(&body), String::new(), SystemTime::UNIX_EPOCH);
            assert_eq!((e.kind, e.retryable), (kind, retryable), "{status} {all:?} {body}");
        };
        check(500, &[("x-should-retry", "false")], json!({}), ErrorKind::Server, false);
        check(400, &[("x-should-retry", "true")], json!({}), ErrorKind::BadRequest, true);
        let poor = json!({"error":{"code":"insufficient_quota","message":"You exceeded your quota"}});
        check(429, &[], poor.clone(), ErrorKind::Quota, false);
        check(429, &[("x-should-retry", "true")], poor, ErrorKind::Quota, false);
        check(429, &[], json!({"error":{"code":"rate_limit_exceeded"}}), ErrorKind::RateLimited, true);
    }

    #[test]
    fn a_conversation_that_is_too_long_is_known_in_the_words_of_every_api() {
        let check = |status, body: Value, expected| {
            let e = on_response(status, &headers(&[]), &complaint(&body), String::new(), SystemTime::UNIX_EPOCH);
            assert_eq!((e.kind, e.retryable), (expected, false), "{status} {body}");
        };
        let long = |message: &str| json!({"error":{"message":message}});
        check(400, json!({"error":{"code":"context_length_exceeded"}}), ErrorKind::Context);
        for message in [
            "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.",
            "Your input exceeds the context window of this model.",
            "prompt is too long: 213462 tokens > 200000 maximum",
            "input length and `max_tokens` exceed context limit: 188240 + 21333 > 200000",
            "The input token count (1196265) exceeds the maximum number of tokens allowed (1048575).",
            "the request exceeds the available context size, try increasing it",
            "the prompt is longer than the context length currently available to the model",
            "Prompt contains 66385 tokens and 0 draft tokens, too large for model with 32768 maximum context length",
            "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
        ] {
            check(400, long(message), ErrorKind::Context);
            assert_eq!(in_band(complaint(&long(message))).kind, ErrorKind::Context, "{message}");
        }
        check(500, long("Context size has been exceeded."), ErrorKind::Context);
        check(413, long("Request exceeds the maximum size"), ErrorKind::BadRequest);
        check(400, long("max_tokens is too large"), ErrorKind::BadRequest);
        let busy = long("Too many tokens, please wait before trying again. maximum context length");
        check(400, busy, ErrorKind::BadRequest);
        let e = on_response(
            429,
            &headers(&[]),
            &complaint(&long("maximum context length")),
            String::new(),
            SystemTime::UNIX_EPOCH,
        );
        assert_eq!((e.kind, e.retryable), (ErrorKind::RateLimited, true));
    }
}
