//! The verdict: what an error of a server means, and whether asking again may help. Pure; `now` is an argument.
//!
//! It judges by the status and by typed fields (`type`, `code`, `status`), never by words of a message, which change.

use std::time::{Duration, SystemTime};

use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde_json::Value;

use crate::domain::{ErrorKind, ProviderError};

/// What a server says about an error, wherever its format puts it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Complaint {
    /// For people.
    pub(crate) message: Option<String>,
    /// `type`, `code` and `status`, as far as they are words.
    words: Vec<String>,
    /// `code`, as far as it is a number (Gemini, OpenRouter).
    number: Option<u16>,
    /// Gemini's `RetryInfo`.
    retry_delay: Option<Duration>,
    /// Anthropic's `request_id`.
    pub(crate) request_id: Option<String>,
}

impl Complaint {
    /// Reads an error body or an error object: `{"error":{…}}`, `{"error":"…"}`, `{"message":…}`, `{"detail":…}`, or a list of these.
    pub(crate) fn read(value: &Value) -> Self {
        let outer = if let Value::Array(list) = value { list.first().unwrap_or(value) } else { value };
        let error = outer.get("error").filter(|e| !e.is_null()).unwrap_or(outer);
        let text = |v: &Value| v.as_str().map(str::to_owned);
        let message = match error {
            Value::String(message) => Some(message.clone()),
            _ => ["message", "detail"].iter().find_map(|name| error.get(name).and_then(text)),
        };
        let mut complaint = Self { message, request_id: outer.get("request_id").and_then(text), ..Self::default() };
        for value in ["type", "code", "status"].iter().filter_map(|name| error.get(name)) {
            match value {
                Value::String(word) => match word.parse() {
                    Ok(number) => complaint.number = Some(number),
                    Err(_) => complaint.words.push(word.clone()),
                },
                Value::Number(number) => complaint.number = number.as_u64().and_then(|n| n.try_into().ok()),
                _ => {}
            }
        }
        let details = error.get("details").and_then(Value::as_array);
        complaint.retry_delay = details
            .and_then(|all| all.iter().find_map(|detail| detail.get("retryDelay")))
            .and_then(Value::as_str)
            .and_then(|delay| delay.strip_suffix('s'))
            .and_then(seconds);
        complaint
    }

    fn lacks_money(&self) -> bool {
        const WORDS: [&str; 7] = [
            "insufficient_quota",
            "billing_error",
            "billing_hard_limit_reached",
            "billing_not_active",
            "spend_limit_exceeded",
            "credit_limit_exceeded",
            "insufficient_balance",
        ];
        self.words.iter().any(|word| WORDS.contains(&word.as_str()))
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
pub(crate) fn in_band(error: &Value) -> ProviderError {
    let complaint = Complaint::read(error);
    let (kind, retryable) = of_complaint(&complaint);
    let text = complaint.message.unwrap_or_else(|| match complaint.words.first() {
        Some(word) => format!("the server broke off with {word}"),
        None => "the server broke off with an error".to_owned(),
    });
    ProviderError {
        kind,
        status: None,
        text,
        retry_after: complaint.retry_delay,
        request_id: complaint.request_id,
        retryable,
        undecoded_at: None,
    }
}

fn of_complaint(complaint: &Complaint) -> (ErrorKind, bool) {
    if complaint.lacks_money() {
        return (ErrorKind::Quota, false);
    }
    let by_word = complaint.words.iter().find_map(|word| {
        Some(match word.as_str() {
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
    let retryable = match headers.get("x-should-retry").and_then(|v| v.to_str().ok()) {
        _ if poor => false,
        Some("true") => true,
        Some("false") => false,
        _ => listed,
    };
    ProviderError {
        kind: if poor { ErrorKind::Quota } else { kind },
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

fn seconds(text: &str) -> Option<Duration> {
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
    use serde_json::json;

    use super::*;

    #[test]
    fn an_error_in_the_stream_is_judged_by_its_typed_fields() {
        let check = |error: Value, kind, retryable| {
            let e = in_band(&error);
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
        let e = on_response(503, &headers(&[]), &Complaint::read(&body), String::new(), now);
        assert_eq!((e.retry_after, e.request_id.as_deref()), (Some(Duration::from_secs(3)), Some("r2")));
    }

    #[test]
    fn the_server_may_overrule_the_table_but_not_an_empty_purse() {
        let check = |status, all: &[(&'static str, &str)], body: Value, kind, retryable| {
            let e = on_response(status, &headers(all), &Complaint::read(&body), String::new(), SystemTime::UNIX_EPOCH);
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
    fn complaints_are_found_wherever_a_format_puts_them() {
        let check = |body: Value, message: &str| {
            assert_eq!(Complaint::read(&body).message.as_deref(), Some(message), "{body}");
        };
        check(json!({"error":{"message":"m"}}), "m");
        check(json!({"error":"m"}), "m");
        check(json!([{"error":{"message":"m"}}]), "m");
        check(json!({"message":"m"}), "m");
        check(json!({"detail":"m"}), "m");
        check(json!({"error":null,"message":"m"}), "m");
        let gemini =
            json!({"error":{"code":429,"status":"RESOURCE_EXHAUSTED","details":[{"a":1},{"retryDelay":"34.5s"}]}});
        assert_eq!(Complaint::read(&gemini).retry_delay, Some(Duration::from_millis(34_500)));
        let anthropic = json!({"type":"error","error":{"type":"overloaded_error","message":"m"},"request_id":"req_1"});
        assert_eq!(Complaint::read(&anthropic).request_id.as_deref(), Some("req_1"));
    }
}
