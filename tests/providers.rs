//! The way to the models against a real socket: every scenario in all four formats. The servers are the tests' own.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

#[path = "providers/continuing.rs"]
mod continuing;
#[path = "providers/loose.rs"]
mod loose;
#[path = "providers/requests.rs"]
mod requests;
#[path = "support/server.rs"]
mod server;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;

use chatmux::domain::{ChatMessage, ErrorKind, FinishReason, ProviderError, Role, Usage};
use chatmux::provider::{KeySource, Kind, Piece, Profile, Provider, Providers, Request, Timeouts};
use futures_util::StreamExt;
use serde_json::{Value, json};
use server::{End, Format, Gate, Reply, Server};

const KEY: &str = "sk-0123456789abcdef";
/// For what must fail by a limit: only the error is asserted, never how long it took.
const SHORT: Duration = Duration::from_millis(50);

fn kind(format: Format) -> Kind {
    match format {
        Format::OpenAi => Kind::OpenAi,
        Format::Anthropic => Kind::Anthropic,
        Format::Gemini => Kind::Gemini,
        Format::Ollama => Kind::Ollama,
    }
}

fn profile(format: Format, base_url: String) -> Profile {
    Profile {
        name: "local".to_owned(),
        kind: kind(format),
        base_url,
        key: KeySource::Command(format!("echo {KEY}")),
        default_model: None,
        models: Vec::new(),
        auth_header: None,
        max_concurrent: None,
        headers: BTreeMap::new(),
        extra_body: serde_json::Map::new(),
    }
}

fn provider(profile: Profile, timeouts: Timeouts) -> Arc<dyn Provider> {
    Providers::new([("local".to_owned(), profile)].into(), timeouts, None).get("local").unwrap()
}

fn message(role: Role, text: &str) -> ChatMessage {
    ChatMessage { role, text: text.to_owned() }
}

fn question(text: &str) -> Request {
    Request { model: "m".to_owned(), system: String::new(), messages: vec![message(Role::User, text)], attempt: 1 }
}

/// An answer as far as it came.
#[derive(Debug, Default, PartialEq)]
struct Got {
    reasoning: String,
    text: String,
    usage: Usage,
    finish: Option<FinishReason>,
    error: Option<ProviderError>,
}

async fn collect(provider: &dyn Provider, request: Request) -> Got {
    let mut got = Got::default();
    let mut pieces = provider.stream(request);
    while let Some(piece) = pieces.next().await {
        match piece {
            Ok(Piece::Reasoning(text)) => got.reasoning.push_str(&text),
            Ok(Piece::Text(text)) => got.text.push_str(&text),
            Ok(Piece::Usage(usage)) => {
                got.usage.input = usage.input.or(got.usage.input);
                got.usage.output = usage.output.or(got.usage.output);
            }
            Ok(Piece::Alive | Piece::Withheld(_)) => {}
            Ok(Piece::Finish(finish)) => got.finish = Some(finish.reason),
            Err(e) => {
                got.error = Some(e);
                return got;
            }
        }
    }
    assert!(got.finish.is_some(), "an end without a stop reason must be an error: {got:?}");
    got
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// One question to a server that answers it with `reply`.
fn ask(format: Format, reply: Reply, timeouts: Timeouts) -> Got {
    let server = Server::start();
    server.next(reply);
    run(collect(&*provider(profile(format, server.base_url(format)), timeouts), question("hi")))
}

#[test]
fn an_answer_comes_whole() {
    for format in Format::ALL {
        let got = ask(format, Reply::thinking(&["let ", "me"], &["Hé", "llo\n", "日本 \"x\""]), Timeouts::default());
        assert_eq!(got.error, None, "{format:?}");
        assert_eq!((got.reasoning.as_str(), got.text.as_str()), ("let me", "Héllo\n日本 \"x\""), "{format:?}");
        assert_eq!(
            (got.usage, got.finish),
            (Usage { input: Some(9), output: Some(3) }, Some(FinishReason::Stop)),
            "{format:?}"
        );
    }
}

#[test]
fn an_answer_survives_a_cut_at_every_byte() {
    let words = ["é", "日", "\u{1f600} \"q\"\n"];
    for format in Format::ALL {
        let server = Server::start();
        // No key: a command per request would be most of the work.
        let own = Profile { key: KeySource::None, ..profile(format, server.base_url(format)) };
        let provider = provider(own, Timeouts::default());
        let size: usize = words.iter().map(|w| format.word(w, false).len()).sum::<usize>() + format.stop(3).len();
        run(async {
            for cut in 0..size + 400 {
                server.next(Reply::words(&words).cut_at(&[cut, cut + 1]));
                let got = collect(&*provider, question("hi")).await;
                assert_eq!((got.error, got.text), (None, words.concat()), "{format:?} cut at {cut}");
            }
        });
    }
}

#[test]
fn every_line_end_and_a_byte_order_mark_are_taken() {
    let body = |format: Format| [format.word("a b", false), format.word("c", false), format.stop(2)].concat();
    for format in Format::ALL {
        let content_type = if format == Format::Ollama { "application/x-ndjson" } else { "text/event-stream" };
        for end in ["\r\n", "\r", "\n"] {
            let text = format!("\u{feff}{}", String::from_utf8(body(format)).unwrap().replace('\n', end));
            let whole = text.clone().into_bytes();
            let pieces: Vec<_> = whole.chunks(1).map(<[u8]>::to_vec).collect();
            for pieces in [vec![whole.clone()], pieces] {
                let got = ask(format, Reply::raw(content_type, pieces), Timeouts::default());
                assert_eq!((got.error, got.text.as_str()), (None, "a bc"), "{format:?} {end:?}");
            }
        }
        let mut unended = body(format);
        unended.truncate(unended.trim_ascii_end().len());
        let got = ask(format, Reply::raw(content_type, vec![unended]), Timeouts::default());
        assert_eq!((got.error, got.text.as_str()), (None, "a bc"), "{format:?} without a last line end");
    }
}

/// Text, kind and verdict of a fault, in every format.
fn check_fault(
    name: &str,
    reply: impl Fn(Format) -> Reply,
    timeouts: Timeouts,
    text: &str,
    expected: (ErrorKind, bool),
) {
    for format in Format::ALL {
        let got = ask(format, reply(format), timeouts);
        let e = got.error.unwrap_or_else(|| panic!("{name} {format:?}: no error"));
        assert_eq!((got.text.as_str(), e.kind, e.retryable), (text, expected.0, expected.1), "{name} {format:?}: {e}");
        assert!(!e.text.is_empty() && !e.text.contains('\n') && e.text.chars().count() <= 300, "{name}: {e}");
    }
}

#[test]
fn a_stream_that_breaks_gives_its_kind_and_keeps_what_came() {
    let usual = Timeouts::default();
    let words = || Reply::words(&["a", "b"]);
    check_fault("truncated", |_| words().end(End::Truncated), usual, "ab", (ErrorKind::Truncated, true));
    check_fault("reset", |_| words().end(End::Reset), usual, "ab", (ErrorKind::Transport, true));
    let impatient = Timeouts { idle: SHORT, ..usual };
    check_fault("stall", |_| words().end(End::Stall), impatient, "ab", (ErrorKind::Stalled, true));
    // Long enough for what is sent at once to come, on a busy machine too.
    let patient = Timeouts { first: Duration::from_millis(700), ..usual };
    check_fault("keep-alives", |_| words().end(End::KeepAlives), patient, "ab", (ErrorKind::Stalled, true));
    check_fault(
        "keep-alives alone",
        |_| Reply::words(&[]).end(End::KeepAlives),
        patient,
        "",
        (ErrorKind::Stalled, true),
    );
    let cut = |format: Format| {
        let mut bytes = [format.word("ab", false), format.word("é", false)].concat();
        bytes.truncate(bytes.len() - 12);
        let kind = if format == Format::Ollama { "application/x-ndjson" } else { "text/event-stream" };
        Reply::raw(kind, vec![bytes])
    };
    check_fault("cut in an event", cut, usual, "ab", (ErrorKind::Truncated, true));
    let rubbish = |format: Format| {
        let rubbish = if format == Format::Ollama { "{] \x1b[2J}\n" } else { "data: {] \x1b[2J}\n\n" };
        let kind = if format == Format::Ollama { "application/x-ndjson" } else { "text/event-stream" };
        Reply::raw(kind, vec![format.word("ab", false), rubbish.into(), format.stop(1)])
    };
    check_fault("rubbish", rubbish, usual, "ab", (ErrorKind::Protocol, true));
    let page = |_| Reply::html("\n  <html>Log in \x1b[31m\n</html>");
    check_fault("html", page, usual, "", (ErrorKind::Protocol, false));
}

#[test]
fn bytes_that_are_not_utf_8_cost_no_text() {
    for format in Format::ALL {
        let mut piece = format.word("xx", false);
        let at = piece.windows(2).position(|w| w == b"xx").unwrap();
        piece[at] = 0xff;
        let kind = if format == Format::Ollama { "application/x-ndjson" } else { "text/event-stream" };
        let reply = Reply::raw(kind, vec![format.word("ab", false), piece, format.stop(1)]);
        let got = ask(format, reply, Timeouts::default());
        assert_eq!((got.text.as_str(), got.error), ("ab\u{fffd}x", None), "{format:?}");
    }
}

#[test]
fn an_end_mark_alone_is_no_end() {
    let reply = Reply::raw("text/event-stream", vec![Format::OpenAi.word("a", false), b"data: [DONE]\n\n".to_vec()]);
    let got = ask(Format::OpenAi, reply.end(End::Stall), Timeouts { idle: SHORT, ..Timeouts::default() });
    assert_eq!((got.text.as_str(), got.error.unwrap().kind), ("a", ErrorKind::Truncated));
}

#[test]
fn a_stop_reason_alone_is_an_end_whatever_follows() {
    let stop = Format::OpenAi.event(&json!({"choices":[{"index":0,"delta":{},"finish_reason":"length"}]}));
    for end in [End::Whole, End::Truncated, End::Reset, End::Stall, End::KeepAlives] {
        let pieces = vec![Format::OpenAi.word("a", false), stop.clone()];
        let timeouts = Timeouts { idle: SHORT, ..Timeouts::default() };
        let got = ask(Format::OpenAi, Reply::raw("text/event-stream", pieces).end(end), timeouts);
        assert_eq!((got.text.as_str(), got.finish, got.error), ("a", Some(FinishReason::Length), None), "{end:?}");
    }
}

#[test]
fn an_error_in_the_stream_keeps_the_text_and_is_judged() {
    let check = |format, error: Value, expected: (ErrorKind, bool)| {
        for words in [&[][..], &["a", "b"][..]] {
            let got = ask(format, Reply::error_in_stream(words, error.clone()), Timeouts::default());
            let e = got.error.unwrap();
            assert_eq!((got.text, e.kind, e.retryable), (words.concat(), expected.0, expected.1), "{format:?} {error}");
            assert_eq!((e.status, e.request_id.as_deref()), (None, Some("req-7")));
        }
    };
    check(Format::OpenAi, json!({"type":"server_error","message":"m"}), (ErrorKind::Server, true));
    check(Format::OpenAi, json!({"code":502,"message":"m"}), (ErrorKind::Server, true));
    check(Format::OpenAi, json!({"type":"odd","message":"overloaded_error"}), (ErrorKind::Server, false));
    check(Format::OpenAi, json!({"code":"insufficient_quota"}), (ErrorKind::Quota, false));
    check(Format::Anthropic, json!({"type":"overloaded_error","message":"Overloaded"}), (ErrorKind::Overloaded, true));
    check(Format::Anthropic, json!({"type":"invalid_request_error"}), (ErrorKind::BadRequest, false));
    check(Format::Gemini, json!({"code":503,"status":"UNAVAILABLE","message":"m"}), (ErrorKind::Overloaded, true));
    check(Format::Gemini, json!({"code":429,"status":"RESOURCE_EXHAUSTED"}), (ErrorKind::RateLimited, true));
    check(Format::Ollama, json!("model runner has stopped"), (ErrorKind::Server, false));
}

#[test]
fn a_status_is_judged_and_says_what_to_do() {
    let usual = Timeouts::default();
    let check = |reply: &Reply, kind, retryable, text: &str, wait: Option<u64>| {
        for format in Format::ALL {
            let e = ask(format, reply.clone(), usual).error.unwrap();
            assert_eq!((e.kind, e.retryable, e.status), (kind, retryable, Some(reply.status)), "{format:?}: {e}");
            assert!(e.text.contains(text), "{format:?}: {e}");
            assert_eq!(e.retry_after, wait.map(Duration::from_millis), "{format:?}: {e}");
            assert_eq!(e.request_id.as_deref(), Some("req-7"));
        }
    };
    let body = |message: &str| json!({"error":{"message":message}}).to_string();
    let limited = Reply::status(429, body("slow down"));
    check(&limited.clone().header("retry-after", "7"), ErrorKind::RateLimited, true, "slow down", Some(7_000));
    check(&limited.clone().header("retry-after-ms", "250"), ErrorKind::RateLimited, true, "slow down", Some(250));
    check(&limited.header("x-should-retry", "false"), ErrorKind::RateLimited, false, "slow down", None);
    let poor = Reply::status(429, json!({"error":{"code":"insufficient_quota","message":"no money"}}).to_string());
    check(&poor, ErrorKind::Quota, false, "no money", None);
    check(&Reply::status(500, "oops"), ErrorKind::Server, true, "oops (http", None);
    check(&Reply::status(503, body("busy")), ErrorKind::Overloaded, true, "busy", None);
    check(&Reply::status(529, "{}"), ErrorKind::Overloaded, true, "", None);
    check(&Reply::status(400, body("bad")), ErrorKind::BadRequest, false, "bad", None);
    check(&Reply::status(401, body("Incorrect key.")), ErrorKind::Auth, false, "): check what `echo", None);
    check(&Reply::status(404, body("no such")), ErrorKind::NotFound, false, "no such (http://127.0.0.1:", None);
    let moved = Reply::status(307, "").header("location", "https://elsewhere.example/v1?x=1");
    check(&moved, ErrorKind::BadRequest, false, "redirects to https://elsewhere.example/v1: correct base_url", None);
}

#[test]
fn no_more_streams_than_allowed_are_open_and_the_limit_starts_with_the_permit() {
    let server = Server::start();
    let gate = Gate::default();
    for _ in 0..6 {
        server.next(Reply::words(&["x"]).gate(&gate));
    }
    let mut own = profile(Format::OpenAi, server.base_url(Format::OpenAi));
    own.max_concurrent = Some(2);
    let provider = provider(own, Timeouts { headers: Duration::from_secs(20), ..Timeouts::default() });
    let texts = run(async {
        let tasks: Vec<_> = (0..6)
            .map(|_| {
                let provider = Arc::clone(&provider);
                tokio::spawn(async move { collect(&*provider, question("hi")).await.text })
            })
            .collect();
        let server = Arc::new(server);
        let waiting = Arc::clone(&server);
        tokio::task::spawn_blocking(move || waiting.wait_open(2)).await.unwrap();
        gate.open();
        let mut texts = Vec::new();
        for task in tasks {
            texts.push(task.await.unwrap());
        }
        assert_eq!(server.max_open(), 2);
        texts
    });
    assert_eq!(texts, ["x"; 6]);
}

#[test]
fn dropping_the_answer_ends_the_request() {
    for format in Format::ALL {
        let server = Server::start();
        server.next(Reply::words(&["a"]).end(End::Stall));
        let provider = provider(profile(format, server.base_url(format)), Timeouts::default());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut pieces = provider.stream(question("hi"));
            while !matches!(pieces.next().await, Some(Ok(Piece::Text(_)))) {}
            assert_eq!(server.open(), 1);
            drop(pieces);
            let server = Arc::new(server);
            tokio::task::spawn_blocking(move || server.wait_open(0)).await.unwrap();
        });
    }
}

#[test]
fn no_response_is_told_from_no_connection() {
    let server = Server::start();
    let gate = Gate::default();
    server.next(Reply::echo().gate_headers(&gate));
    let timeouts = Timeouts { headers: SHORT, ..Timeouts::default() };
    let e =
        run(collect(&*provider(profile(Format::OpenAi, server.base_url(Format::OpenAi)), timeouts), question("hi")));
    let e = e.error.unwrap();
    assert_eq!((e.kind, e.retryable), (ErrorKind::Timeout, true), "{e}");
    assert!(e.text.starts_with("no response from http://127.0.0.1:"), "{e}");

    let url = std::net::TcpListener::bind("127.0.0.1:0")
        .map(|free| format!("http://{}", free.local_addr().unwrap()))
        .unwrap();
    let e = run(collect(&*provider(profile(Format::Ollama, url.clone()), Timeouts::default()), question("hi")));
    let e = e.error.unwrap();
    assert_eq!((e.kind, e.retryable), (ErrorKind::Connect, true));
    assert_eq!(e.text, format!("connection refused at {url}: is the server running?"));
}

#[test]
fn tls_where_there_is_none_is_fatal() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    // One that speaks first, and no TLS. Left alone when the client does not even come.
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"HTTP/1.1 400 X\r\n\r\n").unwrap();
        stream.read_to_end(&mut Vec::new())
    });
    let own = profile(Format::Ollama, url);
    let e = run(collect(&*provider(own, Timeouts::default()), question("hi"))).error.unwrap();
    assert!(!e.retryable, "{e}");
    // Without any certificate authority on the machine it does not come so far.
    assert!(e.kind == ErrorKind::Tls || e.text.contains("ca-certificates"), "{e:?}");
}

#[test]
fn a_megabyte_event_is_taken_and_an_endless_one_is_not() {
    for format in Format::ALL {
        let big = "x".repeat(1 << 20);
        let got = ask(format, Reply::words(&[&big]), Timeouts::default());
        assert_eq!((got.error, got.text.len()), (None, big.len()), "{format:?}");
        let endless = "x".repeat(17 << 20);
        let got = ask(format, Reply::words(&["a", &endless]), Timeouts::default());
        assert_eq!((got.error.unwrap().kind, got.text.as_str()), (ErrorKind::Protocol, "a"), "{format:?}");
    }
}
