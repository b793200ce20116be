//! An answer that was cut and goes on: whole, once, in every format.

use super::*;

/// The answer to be had.
const PARTS: [&str; 4] = ["Once upon ", "a time there ", "was a quick fox, ", "and it slept."];
const GO_ON: &str = "Go on exactly";

fn client(server: &Server, format: Format) -> Arc<dyn Provider> {
    provider(profile(format, server.base_url(format)), Timeouts::default())
}

fn beginning(said: &str) -> Request {
    Request {
        system: "be brief".to_owned(),
        messages: vec![message(Role::User, "tell"), message(Role::Assistant, said)],
        ..question("")
    }
}

/// Whether the API takes an answer's beginning.
fn prefills(format: Format) -> bool {
    matches!(format, Format::Anthropic | Format::Ollama)
}

#[test]
fn an_answer_that_was_cut_and_continued_is_whole_once() {
    for format in Format::ALL {
        for cut in 1..PARTS.len() {
            for end in [End::Truncated, End::Reset] {
                let server = Server::start();
                let client = client(&server, format);
                server.next(Reply::words(&PARTS[..cut]).end(end));
                let first = run(collect(&*client, question("tell")));
                assert_eq!((first.text.as_str(), first.finish), (PARTS[..cut].concat().as_str(), None), "{format:?}");
                // Who is asked to go on says his last words again, in pieces of his own.
                let mut rest: Vec<_> = if prefills(format) { Vec::new() } else { vec!["...", PARTS[cut - 1]] };
                rest.extend(&PARTS[cut..]);
                if format == Format::Anthropic {
                    // It was not told of the blank at the end.
                    rest.insert(0, " ");
                }
                server.next(Reply::words(&rest));
                let second = run(collect(&*client, beginning(&first.text)));
                assert_eq!(second.error, None, "{format:?}");
                assert_eq!(first.text + &second.text, PARTS.concat(), "{format:?} after {cut}, {end:?}");
            }
        }
    }
}

#[test]
fn an_answer_is_continued_where_the_format_takes_its_beginning() {
    for format in Format::ALL {
        let server = Server::start();
        server.next(Reply::words(&[" ", " a", " time"]));
        let got = run(collect(&*client(&server, format), beginning("once upon ")));
        let request = server.requests().remove(0);
        let (last_role, last_text) = request.turns().pop().unwrap();
        let (role, text, answer) = match format {
            Format::Anthropic => ("assistant", "once upon", " a time"),
            Format::Ollama => ("assistant", "once upon ", "  a time"),
            Format::OpenAi | Format::Gemini => ("user", GO_ON, "  a time"),
        };
        assert_eq!((last_role.as_str(), got.text.as_str()), (role, answer), "{format:?}");
        assert!(last_text.starts_with(text), "{last_text}");
        assert_eq!(request.system(), "be brief");
    }
}

#[test]
fn a_server_that_refuses_the_beginning_is_asked_to_go_on() {
    let refusals = [
        "This model does not support assistant message prefill.",
        "When `thinking` is enabled, a final `assistant` message must start with a thinking block.",
        "the last message must be from the user",
    ];
    for format in Format::ALL.into_iter().filter(|format| prefills(*format)) {
        for (refusal, status) in refusals.iter().flat_map(|refusal| [(refusal, 400), (refusal, 422)]) {
            let server = Server::start();
            let error = json!({"type":"error","error":{"type":"invalid_request_error","message":refusal}});
            server.next(Reply::status(status, error.to_string()));
            server.next(Reply::words(&["a time there ", "was a fox"]));
            let got = run(collect(&*client(&server, format), beginning("Once upon a time there ")));
            assert_eq!((got.error, got.text.as_str()), (None, "was a fox"), "{format:?} {refusal}");
            let turns = server.requests()[1].turns();
            assert_eq!(turns[1], ("assistant".to_owned(), "Once upon a time there ".to_owned()));
            assert!(turns[2].0 == "user" && turns[2].1.starts_with(GO_ON), "{turns:?}");
        }
        // What is wrong all the same is said, and not asked a third time.
        let server = Server::start();
        let error = json!({"error":{"message":"no"}}).to_string();
        (0..2).for_each(|_| server.next(Reply::status(400, error.clone())));
        let e = run(collect(&*client(&server, format), beginning("Once "))).error.unwrap();
        assert_eq!((e.kind, e.retryable, server.requests().len()), (ErrorKind::BadRequest, false, 2), "{format:?}");
    }
}

#[test]
fn what_is_withheld_at_the_seam_is_no_silence() {
    // Piece by piece it may be a repeat; then the stream stalls, and what was withheld is not lost.
    let server = Server::start();
    server.next(Reply::words(&["a time", " there was"]).end(End::Stall));
    let own = profile(Format::OpenAi, server.base_url(Format::OpenAi));
    let client = provider(own, Timeouts { idle: SHORT, ..Timeouts::default() });
    let got = run(collect(&*client, beginning("Once upon a time there was a fox")));
    assert_eq!((got.text.as_str(), got.error.unwrap().kind), ("a time there was", ErrorKind::Stalled));
}
