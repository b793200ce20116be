//! What a server says about an error, in whatever shape: an error object of one of the formats, FastAPI's `detail`, a gateway's
//! error around another server's, an HTML page, plain text. Pure; the text is as it came: uncut, and perhaps with a key in it.

use std::time::Duration;

use super::wire::json::Json;

/// Levels at which an error is looked for; errors in texts in errors count too.
const MAX_DEPTH: usize = 12;
/// Messages of a list that are shown.
const MAX_MESSAGES: usize = 3;
/// Names under which servers put the text of an error, in the order of looking.
const MESSAGES: [&str; 15] = [
    "message",
    "Message",
    "error_message",
    "errorMessage",
    "error_msg",
    "error_description",
    "detail",
    "details",
    "msg",
    "errors",
    "reason",
    "description",
    "title",
    "text",
    "data",
];

/// What a server says about an error.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Complaint {
    /// For people.
    pub(crate) message: Option<String>,
    /// `type`, `code` and `status`, as far as they are words.
    words: Vec<String>,
    /// `code` or `status`, as far as it is a number (Gemini, OpenRouter).
    pub(crate) number: Option<u16>,
    /// Gemini's `RetryInfo`.
    pub(crate) retry_delay: Option<Duration>,
    /// Anthropic's `request_id`.
    pub(crate) request_id: Option<String>,
}

impl Complaint {
    /// Reads the body of an error, or the data of an event that is one.
    pub(crate) fn read(text: &[u8]) -> Self {
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        match Json::read_first(text) {
            Ok((value, _)) if value.is_object() || value.is_list() || value.is_string() => Self::of(value),
            _ => Self { message: page(&String::from_utf8_lossy(text)), ..Self::default() },
        }
    }

    /// Reads an error that is JSON already.
    pub(crate) fn of(value: Json<'_>) -> Self {
        let mut complaint = Self { message: message(value, 0), ..Self::default() };
        complaint.collect(value, 0);
        complaint
    }

    /// Whether one of the typed fields is one of `words`.
    pub(crate) fn names(&self, words: &[&str]) -> bool {
        self.words.iter().any(|word| words.contains(&word.as_str()))
    }

    /// The typed fields that are words.
    pub(crate) fn words(&self) -> impl Iterator<Item = &str> {
        self.words.iter().map(String::as_str)
    }

    /// The message in lower case, for telling what it is about where no typed field says it.
    pub(crate) fn lower(&self) -> String {
        self.message.as_deref().unwrap_or_default().to_lowercase()
    }

    fn collect(&mut self, value: Json<'_>, depth: usize) {
        if depth == MAX_DEPTH {
            return;
        }
        for item in value.items().take(1) {
            for (key, value) in item.members() {
                match key.as_ref() {
                    b"type" | b"code" | b"status" | b"error_type" | b"statusCode" => self.note(value),
                    b"error" | b"innererror" | b"metadata" | b"raw" => match value.text() {
                        Some(text) => {
                            if let Ok(inner) = Json::read(text.whole().as_bytes()) {
                                self.collect(inner, depth + 1);
                            }
                        }
                        None => self.collect(value, depth + 1),
                    },
                    b"details" => {
                        let delay = value.items().find_map(|detail| detail.get("retryDelay")?.word());
                        let seconds = delay.as_deref().and_then(|delay| delay.trim().strip_suffix('s'));
                        self.retry_delay = self.retry_delay.or(seconds.and_then(super::verdict::seconds));
                    }
                    b"request_id" => self.request_id = self.request_id.take().or_else(|| value.word()),
                    _ => {}
                }
            }
        }
    }

    fn note(&mut self, value: Json<'_>) {
        match value.number().and_then(|n| n.try_into().ok()) {
            Some(number) => self.number = self.number.or(Some(number)),
            None if value.is_string() => self.words.extend(value.word()),
            None => {}
        }
    }
}

/// The text of an error object.
fn message(value: Json<'_>, depth: usize) -> Option<String> {
    if depth == MAX_DEPTH {
        return None;
    }
    if let Some(text) = value.text() {
        let text = text.whole();
        // An error that a gateway passes on as text.
        let inner = text.trim_start().starts_with(['{', '[']).then(|| Json::read(text.as_bytes()).ok()).flatten();
        return inner.and_then(|inner| message(inner, depth + 1)).or_else(|| page(&text));
    }
    if value.is_list() {
        let all: Vec<_> = value.items().filter_map(|item| message(item, depth + 1)).take(MAX_MESSAGES).collect();
        return (!all.is_empty()).then(|| all.join("; "));
    }
    if !value.is_object() {
        return None;
    }
    let deeper = |inner: Json<'_>| message(inner, depth + 1).filter(|text| !text.trim().is_empty());
    // Behind a gateway: what the server behind it said is the reason.
    if let Some(text) = value.get("metadata").and_then(|metadata| metadata.get("raw")).and_then(deeper) {
        return Some(text);
    }
    let error = value.get("error").filter(|error| !error.is_blank()).and_then(deeper);
    let own = || MESSAGES.iter().find_map(|name| value.get(name).and_then(deeper));
    match error {
        // A mere code, such as `{"error":"invalid_request","message":"…"}`.
        Some(code) if !code.contains(' ') => Some(own().unwrap_or(code)),
        Some(text) => Some(text),
        None => own().map(|text| located(value, text)),
    }
}

/// FastAPI names the place: `{"loc":["body","messages"],"msg":"…"}`.
fn located(value: Json<'_>, text: String) -> String {
    let place: Vec<_> = value.get("loc").into_iter().flat_map(Json::items).filter_map(Json::word).collect();
    if place.is_empty() { text } else { format!("{}: {text}", place.join(".")) }
}

/// What a page or a plain text says; `None` where it says nothing.
fn page(text: &str) -> Option<String> {
    let text = text.trim();
    if text.is_empty() {
        return None;
    }
    if !text.starts_with('<') {
        return Some(text.to_owned());
    }
    let lower = text.to_ascii_lowercase();
    let between = |open: &str, close: &str| {
        let from = lower.find(open)?;
        let from = from + lower[from..].find('>')? + 1;
        let end = from + lower[from..].find(close)?;
        let found = without_tags(&text[from..end]);
        (!found.is_empty()).then_some(found)
    };
    between("<title", "</title").or_else(|| between("<h1", "</h1")).or_else(|| {
        let rest = without_tags(text);
        (!rest.is_empty()).then_some(rest)
    })
}

fn without_tags(html: &str) -> String {
    let mut in_tag = false;
    let text: String = html
        .chars()
        .map(|c| match c {
            '<' => {
                in_tag = true;
                ' '
            }
            '>' if in_tag => {
                in_tag = false;
                ' '
            }
            _ if in_tag => ' ',
            c => c,
        })
        .collect();
    let words: Vec<_> = text.split_whitespace().collect();
    words.join(" ").replace("&amp;", "&").replace("&#39;", "'").replace("&quot;", "\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Complaint {
        Complaint::read(text.as_bytes())
    }

    #[test]
    fn the_text_is_found_in_every_shape() {
        let check = |body: &str, expected: &str| assert_eq!(read(body).message.as_deref(), Some(expected), "{body}");
        check(r#"{"error":{"message":"m"}}"#, "m");
        check(r#"{"error":"the model is gone"}"#, "the model is gone");
        check(r#"{"error":{"error":"m m"}}"#, "m m");
        check(r#"[{"error":{"message":"m"}}]"#, "m");
        check(r#"{"message":"m"}"#, "m");
        check(r#"{"Message":"m"}"#, "m");
        check(r#"{"detail":"m"}"#, "m");
        check(r#"{"msg":"m","code":7}"#, "m");
        check(r#"{"error":null,"message":"m"}"#, "m");
        check(r#"{"error":true,"message":"m"}"#, "m");
        check(r#"{"error":"invalid_request","error_description":"no such scope"}"#, "no such scope");
        check(r#"{"error":"unauthorized"}"#, "unauthorized");
        check(r#"{"code":"invalid-argument","error":"too many tokens"}"#, "too many tokens");
        check(r#"{"errors":[{"message":"one"},{"message":"two"}]}"#, "one; two");
        check(r#"{"detail":[{"loc":["body","n"],"msg":"not a number"}]}"#, "body.n: not a number");
        check(r#"{"error":{"message":["one","two"]}}"#, "one; two");
        check(r#""quota gone""#, "quota gone");
        check("CUDA error: out of memory\n", "CUDA error: out of memory");
        check("<html><head><TITLE>502 Bad\nGateway</TITLE></head><body>x</body></html>", "502 Bad Gateway");
        check("<html><body><h1>Not here</h1>nginx</body></html>", "Not here");
        check("<p>Sorry &amp; bye", "Sorry & bye");
        check("\u{feff}{\"message\":\"m\"}", "m");
        for nothing in ["", "  ", "{}", "[]", "null", r#"{"error":{}}"#, r#"{"error":{"message":""}}"#] {
            assert_eq!(read(nothing).message.filter(|m| m != "null"), None, "{nothing}");
        }
    }

    #[test]
    fn what_a_gateway_passes_on_is_the_reason() {
        let check = |raw: &str, expected: &str| {
            let body = format!(
                r#"{{"error":{{"message":"Provider returned error","code":400,"metadata":{{"raw":{raw},"provider_name":"P"}}}}}}"#
            );
            let found = read(&body);
            assert_eq!((found.message.as_deref(), found.number), (Some(expected), Some(400)), "{raw}");
        };
        check(r#""{\"error\":{\"message\":\"at most 9\",\"code\":\"bad\"}}""#, "at most 9");
        check(r#"{"error":{"message":"at most 9"}}"#, "at most 9");
        check(r#""at most 9""#, "at most 9");
        check(r#""{\"detail\":\"{\\\"msg\\\":\\\"deep\\\"}\"}""#, "deep");
        check(r#""""#, "Provider returned error");
    }

    #[test]
    fn typed_fields_are_found_beside_and_below_the_message() {
        let found = read(r#"{"type":"error","error":{"type":"overloaded_error","code":"529"},"request_id":"req_1"}"#);
        assert!(found.names(&["overloaded_error"]));
        assert_eq!((found.number, found.request_id.as_deref()), (Some(529), Some("req_1")));
        let azure = read(r#"{"error":{"code":"content_filter","innererror":{"code":"ResponsibleAIPolicyViolation"}}}"#);
        assert!(azure.names(&["ResponsibleAIPolicyViolation"]) && azure.names(&["content_filter"]));
        let gemini =
            r#"{"error":{"code":429,"status":"RESOURCE_EXHAUSTED","details":[{"a":1},{"retryDelay":"34.5s"}]}}"#;
        let gemini = read(gemini);
        assert_eq!((gemini.number, gemini.retry_delay), (Some(429), Some(Duration::from_millis(34_500))));
    }

    #[test]
    fn nests_end() {
        let nested = |open: &str, close: &str| format!("{}\"m m\"{}", open.repeat(200), close.repeat(200));
        for body in [nested("{\"error\":", "}"), nested("[", "]"), nested("{\"metadata\":{\"raw\":", "}}")] {
            let _ = read(&body);
        }
    }
}
