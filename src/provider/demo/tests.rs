//! The demo as those who call it see it, on a clock that is moved by hand.

use std::time::Duration;

use futures_util::StreamExt;
use proptest::prelude::*;
use tokio::time::Instant;

use super::*;
use crate::domain::{ChatMessage, ErrorKind, FinishReason, ProviderError, Role, Usage};
use crate::provider::Piece;

fn request(model: &str, attempt: u32, messages: &[&str]) -> Request {
    let role = |nth: usize| if nth.is_multiple_of(2) { Role::User } else { Role::Assistant };
    let message = |(nth, text): (usize, &&str)| ChatMessage { role: role(nth), text: (*text).to_owned() };
    Request {
        model: model.to_owned(),
        system: String::new(),
        messages: messages.iter().enumerate().map(message).collect(),
        attempt,
    }
}

/// All pieces, the error that ended them, and the time it took on the paused clock.
fn play(request: Request) -> (Vec<Piece>, Option<ProviderError>, Duration) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let start = Instant::now();
        let mut stream = Demo::new(Timeouts::default()).stream(request);
        let (mut pieces, mut error) = (Vec::new(), None);
        while let Some(piece) = stream.next().await {
            assert!(error.is_none(), "nothing follows an error");
            match piece {
                Ok(piece) => pieces.push(piece),
                Err(e) => error = Some(e),
            }
        }
        (pieces, error, start.elapsed())
    })
}

#[test]
fn signs_of_life_come_every_second_before_the_first_chunk() {
    let (pieces, error, took) = play(request("echo?first=3500ms&alive=1", 1, &["a"]));
    assert_eq!(
        (&pieces[..4], error, took),
        (
            &[Piece::Alive, Piece::Alive, Piece::Alive, Piece::Text("a".to_owned()),][..],
            None,
            Duration::from_millis(3_500)
        )
    );
}

fn texts(pieces: &[Piece]) -> Vec<&str> {
    pieces.iter().filter_map(|piece| if let Piece::Text(text) = piece { Some(text.as_str()) } else { None }).collect()
}

#[test]
fn echo_gives_the_question_back_word_by_word() {
    let check = |model: &str, messages: &[&str], expected: &[&str]| {
        let (pieces, error, took) = play(request(model, 1, messages));
        assert_eq!((texts(&pieces).as_slice(), error, took), (expected, None, Duration::ZERO), "{model}");
        assert_eq!(pieces.last(), Some(&Piece::Finish(FinishReason::Stop.into())));
    };
    check("echo", &["  a  bc\n\nd "], &["  a  ", "bc\n\n", "d "]);
    check("echo", &["one", "x", "two"], &["two"]);
    check("echo", &[""], &[]);
    check("echo", &[], &[]);
    check("echo?chunk=2", &["日本語!x"], &["日本", "語!", "x"]);
    check("echo?repeat=2", &["a b"], &["a ", "b", "a ", "b"]);
    check("echo?repeat=0", &["a b"], &[]);
    check("echo?words=2", &["a"], &["1. ", "A\n"]);
}

#[test]
fn usage_counts_words_whatever_the_chunks() {
    for model in ["echo", "echo?chunk=1", "echo?chunk=3"] {
        let (pieces, ..) = play(request(model, 1, &["one", "two three", "four  five six"]));
        let usage = Usage { input: Some(6), output: Some(3) };
        assert!(pieces.contains(&Piece::Usage(usage)), "{pieces:?}");
    }
    let (pieces, ..) = play(request("echo?think=a+b", 1, &["c"]));
    assert!(pieces.contains(&Piece::Usage(Usage { input: Some(1), output: Some(3) })), "{pieces:?}");
}

#[test]
fn pauses_are_between_chunks_and_before_the_first() {
    let check = |model: &str, expected_ms: u64| {
        let (.., took) = play(request(model, 1, &["a b c"]));
        assert_eq!(took, Duration::from_millis(expected_ms), "{model}");
    };
    check("echo?delay=20ms", 40);
    check("echo?delay=20ms&first=1s", 1_040);
    check("echo?delay=20ms&think=x", 60);
    check("tour?delay=0&first=0", 0);
    let (pieces, _, took) = play(request("tour", 1, &["hello"]));
    assert!(Duration::from_secs(2) < took && took < Duration::from_secs(5), "{took:?}");
    assert!(texts(&pieces).concat().starts_with("Welcome to chatmux. You wrote: “hello”."));
}

#[test]
fn thoughts_come_first() {
    let (pieces, ..) = play(request("echo?think=a+b", 1, &["c"]));
    let expected = [Piece::Reasoning("a ".into()), Piece::Reasoning("b".into()), Piece::Text("c".into())];
    assert_eq!(pieces[..3], expected);
}

#[test]
fn failing_is_as_asked() {
    let check = |model: &str, attempt: u32, kind: ErrorKind, retryable: bool, chunks: usize| {
        let (pieces, error, took) = play(request(model, attempt, &["a b c d"]));
        let error = error.expect(model);
        assert_eq!((error.kind, error.retryable, pieces.len()), (kind, retryable, chunks), "{model}");
        (error, took)
    };
    let (error, _) = check("echo?fail=429x2&retry_after=2s", 2, ErrorKind::RateLimited, true, 0);
    assert_eq!((error.status, error.retry_after), (Some(429), Some(Duration::from_secs(2))));
    check("echo?fail=500", 9, ErrorKind::Server, true, 0);
    check("echo?fail=501", 1, ErrorKind::Server, false, 0);
    check("echo?fail=529", 1, ErrorKind::Overloaded, true, 0);
    check("echo?fail=401", 1, ErrorKind::Auth, false, 0);
    check("echo?fail=400", 1, ErrorKind::BadRequest, false, 0);
    check("echo?fail=cut@3", 1, ErrorKind::Truncated, true, 3);
    check("echo?fail=cut@0", 1, ErrorKind::Truncated, true, 0);
    check("echo?fail=cut@99", 1, ErrorKind::Truncated, true, 4);
    check("echo?fail=reset@2", 1, ErrorKind::Transport, true, 2);
    let (error, took) = check("echo?fail=stall@1", 1, ErrorKind::Stalled, true, 1);
    assert_eq!((took, error.text.as_str()), (Duration::from_secs(60), "no content for 1 m 00 s"));
    check("echo?nonsense", 1, ErrorKind::Configuration, false, 0);
    check("gpt", 1, ErrorKind::NotFound, false, 0);
    let (pieces, error, _) = play(request("echo?fail=429x2", 3, &["a"]));
    assert_eq!((texts(&pieces), error), (vec!["a"], None));
}

#[test]
fn an_answer_goes_on_from_its_beginning() {
    let check = |model: &str, messages: &[&str], expected: &str| {
        let (pieces, error, _) = play(request(model, 1, messages));
        assert_eq!((texts(&pieces).concat().as_str(), error), (expected, None), "{messages:?}");
    };
    check("echo", &["a b c", "a "], "b c");
    check("echo", &["a b c", "a b c"], "");
    check("echo?repeat=3", &["ab", "aba"], "bab");
    check("echo?think=1", &["a b", "a"], " b");
    check("echo", &["a b c", "other"], "a b c");
    check("echo", &["a b", "a b c"], "a b");
}

proptest! {
    #[test]
    fn echo_is_byte_for_byte(text in ".{0,200}", chunk in 0usize..5, repeat in 1usize..3) {
        let model = match chunk {
            0 => format!("echo?repeat={repeat}"),
            n => format!("echo?chunk={n}&repeat={repeat}"),
        };
        let (pieces, error, _) = play(request(&model, 1, &[&text]));
        prop_assert_eq!(texts(&pieces).concat(), text.repeat(repeat));
        prop_assert!(error.is_none() && texts(&pieces).iter().all(|piece| !piece.is_empty()));
    }

    /// Cut anywhere and continued, again and again, it is the whole answer once.
    #[test]
    fn continuing_neither_doubles_nor_loses(cut in 1usize..20, question in "[a-z é]{0,80}", voice in 0usize..2) {
        let name = ["echo", "tour"][voice];
        let (whole, ..) = play(request(name, 1, &[&question]));
        let mut said = String::new();
        let ended = (0..400).any(|_| {
            let messages: &[&str] = if said.is_empty() { &[&question] } else { &[&question, &said] };
            // A cut spoils even an answer whose text is out; the last attempt is spared once all is said.
            let done = said == texts(&whole).concat();
            let model = if done { name.to_owned() } else { format!("{name}?fail=cut@{cut}") };
            let (pieces, error, _) = play(request(&model, 1, messages));
            said += &texts(&pieces).concat();
            error.is_none()
        });
        prop_assert!(ended);
        prop_assert_eq!(said, texts(&whole).concat());
    }

    #[test]
    fn no_model_name_makes_it_panic(model in "\\PC{0,40}|(echo|tour)\\?[a-z_]{1,6}=[0-9a-z@,x.+&=]{0,20}") {
        let _ = params::Params::parse(&model);
    }
}
