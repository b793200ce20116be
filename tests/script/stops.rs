//! Why a model stopped: the state of its answer, what is said and where, the exit code, and how many requests it took.

use serde_json::{Value, json};

use crate::program::{Home, history, turns};
use crate::server::{End, Format, Reply, Server};

/// A stop reason of an API, and what follows where text came.
struct Stop {
    format: Format,
    word: &'static str,
    reason: &'static str,
    state: &'static str,
    /// How the line begins that is said, without brackets; nothing is said of a whole answer.
    says: &'static str,
}

const STOPS: [Stop; 16] = [
    stop(Format::OpenAi, "stop", "stop", "complete", ""),
    stop(Format::OpenAi, "length", "length", "interrupted", "cut at 2 tokens: /continue"),
    stop(Format::OpenAi, "content_filter", "filter", "interrupted", "filtered"),
    stop(Format::OpenAi, "tool_calls", "tool", "complete", "asked for a tool, which chatmux does not have"),
    stop(Format::OpenAi, "a_word_of_tomorrow", "unknown", "complete", ""),
    stop(Format::Anthropic, "end_turn", "stop", "complete", ""),
    stop(Format::Anthropic, "max_tokens", "length", "interrupted", "cut at 2 tokens: /continue"),
    stop(Format::Anthropic, "refusal", "refusal", "complete", "refused"),
    stop(Format::Anthropic, "tool_use", "tool", "complete", "asked for a tool, which chatmux does not have"),
    stop(Format::Gemini, "STOP", "stop", "complete", ""),
    stop(Format::Gemini, "MAX_TOKENS", "length", "interrupted", "cut at 2 tokens: /continue"),
    stop(Format::Gemini, "SAFETY", "filter", "interrupted", "filtered"),
    stop(Format::Gemini, "A_WORD_OF_TOMORROW", "unknown", "complete", ""),
    stop(Format::Ollama, "stop", "stop", "complete", ""),
    stop(Format::Ollama, "length", "length", "interrupted", "cut at 2 tokens: /continue"),
    stop(Format::Ollama, "load", "unknown", "complete", ""),
];

const fn stop(
    format: Format,
    word: &'static str,
    reason: &'static str,
    state: &'static str,
    says: &'static str,
) -> Stop {
    Stop { format, word, reason, state, says }
}

/// What the only answer, or the last, came to.
fn last(events: &[Value]) -> Value {
    events.last().unwrap().clone()
}

#[test]
fn an_answer_with_text_ends_as_its_stop_reason_says() {
    for Stop { format, word, reason, state, says } in STOPS {
        let server = Server::start();
        server.on("q", Reply::words(&["half an ", "answer"]).end(End::Stopped(word)));
        let home = Home::serving(&server, format);
        let code = i32::from(!says.is_empty());
        // As a script's line.
        let said = if says.is_empty() { String::new() } else { format!("chatmux: line 1: [{says}") };
        let outcome = home.run(&[], "q\n").code(code).out("half an answer\n");
        assert!(outcome.err.starts_with(&said), "{word}: {:?}", outcome.err);
        assert_eq!(outcome.err.lines().count(), usize::from(!says.is_empty()), "{word}: {:?}", outcome.err);
        // As `ask`.
        let said = if says.is_empty() { String::new() } else { format!("chatmux: [{says}") };
        let outcome = home.run(&["ask", "q"], "").code(code).out("half an answer\n");
        assert!(outcome.err.starts_with(&said), "{word}: {:?}", outcome.err);
        // As events, and as it is kept.
        let outcome = home.run(&["--json"], "q\n/history 1\n").code(code).quiet();
        let finished = last(&outcome.named("finished"));
        assert_eq!((&finished["state"], &finished["finish_reason"]), (&json!(state), &json!(reason)), "{word}");
        assert_eq!((&finished["error"], &finished["text"]), (&Value::Null, &json!("half an answer")), "{word}");
        let kept = outcome.result("history")[0].clone();
        for member in ["finish_reason", "finish_detail", "seams", "state", "text", "tokens"] {
            assert_eq!(kept[member], finished[member], "{word}: {member}");
        }
        // As it is read.
        let outcome = home.run(&[], "/history 1\n").code(0);
        let line = outcome.out.lines().nth(1).unwrap_or_default().to_owned();
        assert!(
            line.starts_with(&if says.is_empty() { String::new() } else { format!("[{says}") }),
            "{word}: {line:?}"
        );
        assert_eq!(outcome.out.lines().count(), 1 + usize::from(!says.is_empty()), "{word}: {}", outcome.out);
        assert_eq!(server.requests().len(), 3, "{word}: each is asked for once");
    }
}

#[test]
fn an_answer_without_text_is_a_dead_letter_that_is_asked_once() {
    for Stop { format, word, reason, .. } in STOPS {
        let server = Server::start();
        server.once("q", Reply::thinking(&["hm"], &[]).end(End::Stopped(word)));
        let home = Home::serving(&server, format);
        let outcome = home.run(&["--json"], "q\nnext\n/dead\n").code(1);
        let (first, next) = (outcome.named("finished")[0].clone(), outcome.named("finished")[1].clone());
        assert_eq!((&first["state"], &first["finish_reason"]), (&json!("failed"), &json!(reason)), "{word}");
        assert_eq!((&first["error"]["kind"], &first["text"]), (&json!("empty"), &json!("")), "{word}: {first}");
        assert_eq!(outcome.result("dead")[0]["entry"], 1, "{word}");
        assert_eq!((outcome.named("retry").len(), server.requests().len()), (0, 2), "{word}");
        // No two questions in a row.
        assert_eq!(server.requests()[1].turns(), turns(&[("user", "next")]), "{word}");
        assert_eq!(next["state"], "complete");
        // A person may ask again.
        let outcome = home.run(&["--json"], "/requeue 1\n/wait\n").code(0);
        assert_eq!(last(&outcome.named("finished"))["text"], "echo: q", "{word}");
        // It is said once.
        server.once("q", Reply::thinking(&[], &[]).end(End::Stopped(word)));
        let outcome = home.run(&[], "q\n").code(1).out("");
        assert_eq!(outcome.err.lines().count(), 1, "{word}: {:?}", outcome.err);
        assert!(outcome.err.starts_with("chatmux: line 1: the answer failed: "), "{word}: {:?}", outcome.err);
    }
}

#[test]
fn a_cut_answer_of_the_background_is_told_with_its_session_and_fails_the_script() {
    for (format, word) in [(Format::OpenAi, "length"), (Format::Gemini, "MAX_TOKENS"), (Format::Ollama, "length")] {
        let server = Server::start();
        server.on("q", Reply::words(&["half"]).end(End::Stopped(word)));
        let home = Home::serving(&server, format);
        let outcome = home.run(&[], "/new two\n/switch 1\n/send 2 q\n").code(1).out("half\n");
        outcome.err(&["[2 two] cut at 1 token: /continue\n"]);
    }
}

#[test]
fn fail_fast_stops_at_an_answer_that_is_not_as_one_wants() {
    let server = Server::start();
    server.on("q", Reply::words(&["no"]).end(End::Stopped("refusal")));
    let home = Home::serving(&server, Format::Anthropic);
    home.run(&["--fail-fast"], "q\nnever\n").code(1).out("no\n");
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn what_was_cut_goes_on_only_by_a_persons_word_and_says_where() {
    for (format, word) in [(Format::Anthropic, "max_tokens"), (Format::Ollama, "length")] {
        let server = Server::start();
        server.next(Reply::words(&["half"]).end(End::Stopped(word)));
        // Configured or not, a cut is no breaking off.
        let retry = "[retry]\ninitial_delay = \"10ms\"\nmid_stream = \"continue\"\n";
        let home = Home::configured(&server, format, "", retry);
        home.run(&["--json"], "q\n").code(1);
        assert_eq!(server.requests().len(), 1, "{format:?}");
        server.next(Reply::words(&[" and half", " again"]).end(End::Stopped(word)));
        server.next(Reply::words(&[", whole"]));
        let outcome = home.run(&["--json"], "/continue\n/continue\n/history 1\n").code(1);
        let ends: Vec<_> = outcome
            .named("finished")
            .iter()
            .map(|e| (e["state"].clone(), e["text"].clone(), e["seams"].clone()))
            .collect();
        let expected = [
            (json!("interrupted"), json!("half and half again"), json!([4])),
            (json!("complete"), json!("half and half again, whole"), json!([4, 19])),
        ];
        assert_eq!(ends, expected, "{format:?}");
        assert_eq!(outcome.result("history")[0]["seams"], json!([4, 19]));
        assert_eq!(outcome.result("history")[0]["finish_reason"], "stop");
        assert_eq!(server.requests().len(), 3);
    }
}

#[test]
fn a_paused_turn_is_continued_by_itself_up_to_a_bound() {
    let server = Server::start();
    let pause = |word: &str| Reply::words(&[word]).end(End::Stopped("pause_turn"));
    server.next(pause("one, "));
    server.next(pause(" two, "));
    server.next(Reply::words(&[" three"]));
    let home = Home::serving(&server, Format::Anthropic);
    let outcome = home.run(&["--json"], "q\n").code(0);
    let finished = last(&outcome.named("finished"));
    assert_eq!((&finished["state"], &finished["text"]), (&json!("complete"), &json!("one, two, three")));
    assert_eq!((&finished["seams"], server.requests().len()), (&json!([5, 10]), 3));
    assert_eq!(server.requests()[2].turns().len(), 2, "the question, and what there is of its answer");

    let server = Server::start();
    server.on("q", pause("."));
    let home = Home::serving(&server, Format::Anthropic);
    let outcome = home.run(&[], "q\n/history\n").code(1);
    assert_eq!(outcome.err, "chatmux: line 1: [paused by the server: /continue]\n");
    assert_eq!(server.requests().len(), 11);
    let outcome = home.run(&["--json"], "/history\n").code(0);
    assert_eq!(history(&outcome.result("history"))[1], ("assistant".into(), ".".repeat(11), "interrupted".into()));
}

#[test]
fn an_auto_reply_loop_ends_at_an_answer_that_is_not_whole_and_says_why() {
    let stops = [
        (Format::OpenAi, "length", "the answer was cut at the token limit"),
        (Format::Gemini, "SAFETY", "the answer was filtered"),
        (Format::Anthropic, "refusal", "the answer was refused"),
        (Format::Ollama, "load", "the model stopped for a reason that is not known"),
    ];
    for (format, word, why) in stops {
        let server = Server::start();
        server.once("more", Reply::words(&["first"]));
        server.once("more", Reply::words(&["half"]).end(End::Stopped(word)));
        let home = Home::serving(&server, format);
        let outcome = home.run(&[], "q\n/auto --max 5 more\n/wait\n");
        outcome.err(&["auto-reply ended after 2 of 5: ", why]);
        assert_eq!(server.requests().len(), 3, "{word}");
    }
}
