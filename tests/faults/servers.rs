//! Faults of the server: what is retried, what is kept, what is told.

use serde_json::{Value, json};

use crate::program::{Home, history, turns};
use crate::server::{End, Format, Reply, Server};

/// An answer that breaks off is kept as far as it came, the exit code is 1, and the next message goes on from there.
fn breaks_off(format: Format, reply: Reply, sections: &str, error_kind: &str) {
    let server = Server::start();
    server.on("why", reply);
    let home = Home::configured(&server, format, "", sections);
    let outcome = home.run(&["--json"], "why\nnext\n/history\n").code(1);
    let finished = outcome.named("finished");
    let what = format!("{format:?} {error_kind}: {finished:?}");
    assert_eq!((&finished[0]["state"], &finished[0]["text"]), (&json!("interrupted"), &json!("part one")), "{what}");
    assert_eq!(finished[0]["error"]["kind"], error_kind, "{what}");
    assert_eq!((&finished[1]["state"], &finished[1]["text"]), (&json!("complete"), &json!("echo: next")), "{what}");
    let sent = [("user", "why"), ("assistant", "part one"), ("user", "next")];
    assert_eq!(server.requests()[1].turns(), turns(&sent), "{what}");
    assert_eq!(server.requests().len(), 2, "nothing is asked again once text came: {what}");
    assert_eq!(history(&outcome.result("history"))[1].2, "interrupted");
    assert_eq!(outcome.named("error")[0]["line"], 1);
}

const PART: &[&str] = &["part ", "one"];

#[test]
fn a_reset_in_mid_stream_keeps_the_partial() {
    Format::ALL.into_iter().for_each(|format| breaks_off(format, Reply::words(PART).end(End::Reset), "", "transport"));
}

#[test]
fn an_end_without_a_stop_reason_keeps_the_partial() {
    Format::ALL
        .into_iter()
        .for_each(|format| breaks_off(format, Reply::words(PART).end(End::Truncated), "", "truncated"));
}

#[test]
fn a_stall_keeps_the_partial_even_while_the_server_says_it_lives() {
    // Long enough for two pieces that are sent at once, on a busy machine too.
    for (end, limit) in [(End::Stall, "idle"), (End::KeepAlives, "first")] {
        let sections = format!("[timeouts]\n{limit} = \"700ms\"\n");
        breaks_off(Format::OpenAi, Reply::words(PART).end(end), &sections, "stalled");
    }
}

#[test]
fn an_error_object_in_the_stream_keeps_the_partial() {
    let check = |format, error: Value, kind| breaks_off(format, Reply::error_in_stream(PART, error), "", kind);
    check(Format::OpenAi, json!({"type": "server_error", "message": "gave up"}), "server");
    check(Format::Anthropic, json!({"type": "overloaded_error", "message": "Overloaded"}), "overloaded");
    check(Format::Gemini, json!({"code": 503, "status": "UNAVAILABLE", "message": "busy"}), "overloaded");
}

#[test]
fn the_text_of_a_broken_answer_is_on_stdout_and_the_reason_on_stderr() {
    let server = Server::start();
    server.on("why", Reply::words(PART).end(End::Reset));
    let home = Home::serving(&server, Format::OpenAi);
    home.run(&[], "why\n/echo on\n").code(1).out("part one\non\n").err(&["line 1: ", "interrupted"]);
    home.run(&[], "/bg why\n").code(1).out("part one\n").err(&["[1 main] interrupted"]);
}

#[test]
fn rubbish_and_pages_are_no_answers() {
    let check = |format: Format, reply: Reply| {
        let server = Server::start();
        server.on("why", reply);
        let home = Home::serving(&server, format);
        let outcome = home.run(&["--json"], "why\nnext\n").code(1);
        let finished = outcome.named("finished");
        assert_eq!(
            (&finished[0]["state"], &finished[0]["error"]["kind"]),
            (&json!("failed"), &json!("protocol")),
            "{finished:?}"
        );
        assert_eq!(finished[1]["text"], "echo: next");
        // A dead entry without any answer is no part of what the model gets.
        let sent = server.requests().into_iter().find(|r| r.last_user() == "next").unwrap().turns();
        assert_eq!(sent, turns(&[("user", "next")]));
    };
    for format in Format::ALL {
        check(format, Reply::html("<html><body>sign in to the hotel's network</body></html>"));
        let stream = if format == Format::Ollama { "application/x-ndjson" } else { "text/event-stream" };
        check(format, Reply::raw(stream, vec![b"data: {not json\n\n{not json\n".to_vec()]));
    }
}

#[test]
fn a_rate_limit_is_obeyed_and_then_answered() {
    for format in Format::ALL {
        let server = Server::start();
        server.next(Reply::status(429, r#"{"error":{"message":"slow down"}}"#).header("retry-after", "1"));
        let home = Home::serving(&server, format);
        let outcome = home.run(&["--json"], "why\n").code(0);
        let retry = &outcome.named("retry")[0];
        // The event is told once the end is committed, some milliseconds into the pause.
        assert!((800..2_000).contains(&retry["in_ms"].as_u64().unwrap()), "{retry}");
        assert_eq!((&retry["error"]["kind"], &retry["error"]["status"]), (&json!("rate_limited"), &json!(429)));
        assert_eq!(outcome.named("finished")[0]["text"], "echo: why");
        assert!(outcome.named("finished")[0]["total_ms"].as_u64().unwrap() >= 1_000, "not earlier than asked");
    }
    let server = Server::start();
    server.next(Reply::status(429, "{}").header("retry-after-ms", "20"));
    Home::serving(&server, Format::OpenAi)
        .run(&[], "why\n")
        .code(0)
        .out("echo: why\n")
        .err(&["retrying in", "(2 of 5)"]);
}

#[test]
fn a_server_that_asks_for_too_much_patience_makes_the_session_hold() {
    let server = Server::start();
    server.next(Reply::status(429, "{}").header("retry-after", "3600"));
    let home = Home::serving(&server, Format::OpenAi);
    home.run(&[], "why\n").code(1).out("").err(&["held", "/resume"]);
    assert_eq!(server.requests().len(), 1);
    assert_eq!(home.query("SELECT state FROM entries"), [["pending"]], "it is kept");
}

#[test]
fn what_is_out_of_attempts_is_a_dead_letter() {
    let server = Server::start();
    server.on("why", Reply::status(500, r#"{"error":{"message":"oh no"}}"#));
    let home = Home::serving(&server, Format::OpenAi);
    let outcome = home.run(&["--json"], "why\nnext\n").code(1);
    let attempts: Vec<_> =
        outcome.named("started").iter().map(|e| (e["entry"].clone(), e["attempt"].clone())).collect();
    let expected = [(1, 1), (1, 2), (1, 3), (1, 4), (1, 5), (2, 1)];
    assert_eq!(attempts, expected.map(|(entry, attempt)| (json!(entry), json!(attempt))));
    assert_eq!(outcome.named("retry").len(), 4);
    let finished = &outcome.named("finished")[0];
    assert_eq!((&finished["state"], &finished["error"]["status"]), (&json!("failed"), &json!(500)));
    let queue = home.run(&["queue", "--json"], "").code(0).events();
    assert_eq!(
        (&queue[0]["state"], &queue[0]["attempts"], &queue[0]["text"]),
        (&json!("dead"), &json!(5), &json!("why"))
    );
    let text = home.run(&["queue"], "").code(0).out;
    assert!(text.contains("dead") && text.contains("oh no"), "{text}");
    home.run(&[], "why\n").code(1).out("").err(&["line 1: ", "500", "oh no"]);
}

#[test]
fn a_bad_key_fails_at_once_and_names_its_variable() {
    for format in Format::ALL {
        for status in [401, 403] {
            let server = Server::start();
            server.on("why", Reply::status(status, r#"{"error":{"message":"invalid key"}}"#));
            let home = Home::serving(&server, format);
            home.run(&[], "why\n").code(1).out("").err(&["line 1: ", "LOCAL_KEY"]);
            assert_eq!(server.requests().len(), 1, "{format:?} {status} is not retried");
        }
    }
}

#[test]
fn no_key_and_no_server_are_told_with_the_remedy() {
    let server = Server::start();
    let home = Home::serving(&server, Format::Anthropic);
    let mut command = home.command(&["ask", "why"]);
    command.env_remove("LOCAL_KEY");
    crate::program::Program::start(command).finish().code(1).out("").err(&["LOCAL_KEY"]);
    assert!(server.requests().is_empty());
    let nobody = server.url();
    drop(server);
    home.run(&["ask", "why"], "").code(1).out("").err(&["(2 of 5)", "refused", &nobody]);
}

#[test]
fn one_failing_session_does_not_touch_another() {
    let server = Server::start();
    server.on("bad", Reply::status(404, r#"{"error":{"message":"no such model"}}"#));
    let home = Home::serving(&server, Format::OpenAi);
    let outcome = home.run(&["--json"], "/new two\n/send 1 bad\n/send 2 good\n/wait\n/send 1 good\n").code(1);
    let mut states: Vec<_> =
        outcome.named("finished").iter().map(|e| (e["entry"].as_i64(), e["state"].clone())).collect();
    states.sort_by_key(|(entry, _)| *entry);
    assert_eq!(states.into_iter().map(|(_, state)| state).collect::<Vec<_>>(), ["failed", "complete", "complete"]);
}

#[test]
fn a_dead_letter_keeps_the_providers_number_of_the_request() {
    let ids = [
        (Format::OpenAi, "x-request-id"),
        (Format::Anthropic, "request-id"),
        (Format::Gemini, "x-request-id"),
        (Format::Ollama, "x-request-id"),
    ];
    for (format, name) in ids {
        let server = Server::start();
        let mut reply = Reply::status(400, json!({"error":{"message":"no"}}).to_string());
        reply.headers.clear();
        server.on("why", reply.header(name, "r-9"));
        let home = Home::serving(&server, format);
        home.run(&[], "why\n").code(1);
        let kept = home.query("SELECT state, error_status, error_request_id FROM entries");
        assert_eq!(kept, [["dead", "400", "r-9"]], "{format:?}");
    }
}
