//! Bytes to pieces, without a connection: where the bytes are cut makes no difference, in any format.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use proptest::prelude::*;

use super::answer::{About, Answer};
use super::seam::Seam;
use super::secrets::Secrets;
use super::silence::Limits;
use super::{Kind, Piece};
use crate::domain::{Finish, ProviderError};

/// An answer of `kind` that nothing is known of.
pub(super) fn about(kind: Kind, seam: Seam) -> About {
    let limits = Limits { first: Duration::from_secs(600), idle: Duration::from_secs(60) };
    let (wire, secrets) = (kind.wire().unwrap(), Secrets::default());
    About { wire, limits, label: "http://h answered with a text".to_owned(), request_id: None, secrets, seam }
}

/// The pieces of `chunks`, up to the end or the first error.
fn pieces(kind: Kind, chunks: Vec<Vec<u8>>) -> Vec<Result<Piece, ProviderError>> {
    continued(kind, chunks, Seam::default())
}

fn continued(kind: Kind, chunks: Vec<Vec<u8>>, seam: Seam) -> Vec<Result<Piece, ProviderError>> {
    let about = about(kind, seam);
    let bytes = stream::iter(chunks.into_iter().map(|chunk| Ok(Bytes::from(chunk))));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(Answer::new(bytes, about, ()).collect())
}

/// One event of `kind` with `text` in it.
pub(super) fn event(kind: Kind, text: &str, end: &str) -> String {
    let text = serde_json::to_string(text).unwrap();
    match kind {
        Kind::OpenAi | Kind::Demo => format!("data: {{\"choices\":[{{\"delta\":{{\"content\":{text}}}}}]}}{end}{end}"),
        Kind::Anthropic => {
            let delta = format!("{{\"type\":\"text_delta\",\"text\":{text}}}");
            format!("event: x{end}data: {{\"type\":\"content_block_delta\",\"delta\":{delta}}}{end}{end}")
        }
        Kind::Gemini => {
            format!("data: {{\"candidates\":[{{\"content\":{{\"parts\":[{{\"text\":{text}}}]}}}}]}}{end}{end}")
        }
        Kind::Ollama => format!("{{\"message\":{{\"content\":{text}}},\"done\":false}}{end}"),
    }
}

pub(super) fn last(kind: Kind) -> &'static str {
    match kind {
        Kind::OpenAi | Kind::Demo => {
            "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n"
        }
        Kind::Anthropic => "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"}}\n\n",
        Kind::Gemini => "data: {\"candidates\":[{\"finishReason\":\"STOP\"}]}\n\n",
        Kind::Ollama => "{\"done\":true}\n",
    }
}

fn formats() -> impl Strategy<Value = Kind> {
    prop::sample::select(vec![Kind::OpenAi, Kind::Anthropic, Kind::Gemini, Kind::Ollama])
}

#[test]
fn what_the_seam_withholds_comes_before_the_end_and_before_thoughts() {
    let check = |body: &str, expected: &[&str]| {
        let got = continued(Kind::Ollama, vec![body.into()], Seam::repeats("the quick brown fox"));
        let said = |piece: Result<Piece, ProviderError>| match piece {
            Ok(Piece::Text(text)) => text,
            Ok(Piece::Reasoning(text)) => format!("({text})"),
            Ok(Piece::Usage(_) | Piece::Alive | Piece::Withheld(_)) => "usage".to_owned(),
            Ok(Piece::Finish(_)) => "end".to_owned(),
            Err(e) => format!("{:?}", e.kind),
        };
        assert_eq!(got.into_iter().map(said).collect::<Vec<_>>(), expected, "{body}");
    };
    let word = |text: &str| event(Kind::Ollama, text, "\n");
    let thought = "{\"message\":{\"thinking\":\"hm\"}}\n";
    let (half, done) = (word("quick br"), last(Kind::Ollama));
    check(&format!("{half}{done}"), &["quick br", "end"]);
    check(&half, &["quick br", "Truncated"]);
    check(&format!("{half}{thought}{}{done}", word("own")), &["quick br", "(hm)", "own", "end"]);
    check(&format!("{thought}{half}{}{done}", word("own fox is")), &["(hm)", " is", "end"]);
    check(&format!("{half}{}{done}", word("own fox")), &["end"]);
}

/// What is said of `chunks` by a server that is told a key: the texts, and those of the thoughts in brackets.
fn said_without(key: &str, kind: Kind, body: &str) -> (String, Option<Finish>) {
    let mut about = about(kind, Seam::default());
    about.secrets.add(key);
    let bytes = stream::iter([Ok(Bytes::from(body.to_owned()))]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let (mut said, mut end) = (String::new(), None);
    for piece in runtime.block_on(Answer::new(bytes, about, ()).collect::<Vec<_>>()) {
        match piece.unwrap() {
            Piece::Text(text) => said += &text,
            Piece::Reasoning(text) => said += &format!("({text})"),
            Piece::Finish(finish) => end = Some(finish),
            Piece::Usage(_) | Piece::Alive | Piece::Withheld(_) => {}
        }
    }
    (said, end)
}

#[test]
fn a_key_that_is_said_back_is_struck_in_every_format() {
    const KEY: &str = "sk-0123/456789-abcdefgh";
    for kind in [Kind::OpenAi, Kind::Anthropic, Kind::Gemini, Kind::Ollama] {
        for size in 1..=KEY.len() {
            let text = format!("it is {KEY}, and {KEY}");
            let pieces =
                text.as_bytes().chunks(size).map(|piece| event(kind, std::str::from_utf8(piece).unwrap(), "\n"));
            let body = pieces.collect::<String>() + last(kind);
            assert_eq!(said_without(KEY, kind, &body).0, "it is [key], and [key]", "{kind} {size}");
        }
    }
    // In thoughts, and where text and thoughts take turns.
    let thought = |text: &str| format!("{{\"message\":{{\"thinking\":\"{text}\"}}}}\n");
    let word = |text: &str| event(Kind::Ollama, text, "\n");
    let body =
        [thought("sk-0123\\u002f4567"), thought("89-abcdefgh."), word("it is s"), thought("k"), word("k")].concat();
    assert_eq!(said_without(KEY, Kind::Ollama, &(body + last(Kind::Ollama))).0, "([key].)it is s(k)k");
    // In what the server says about its end, also where that is cut.
    let long = "x".repeat(crate::domain::finish::MAX_DETAIL_CHARS - 10);
    let end = format!("{}{{\"done\":true,\"done_reason\":\"{long}{KEY}\"}}\n", word("a"));
    assert_eq!(said_without(KEY, Kind::Ollama, &end).1.unwrap().detail, Some(format!("{long}[key]")));
}

proptest! {
    #[test]
    fn any_cut_gives_the_same_pieces(
        kind in formats(),
        texts in prop::collection::vec("[a-zé日\u{1f600}\"\\\\\n]{1,6}", 0..8),
        end in prop::sample::select(vec!["\n", "\r\n", "\r"]),
        whole in any::<bool>(),
        broken in any::<bool>(),
        cuts in prop::collection::vec(0usize..900, 0..16),
    ) {
        let mut body: String = texts.iter().map(|text| event(kind, text, end)).collect();
        if broken {
            body.push_str(if kind == Kind::Ollama { "{]\n" } else { "data: {]\n\n" });
        }
        if whole {
            body.push_str(last(kind));
        }
        let body = body.into_bytes();
        let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(body.len())).chain([0, body.len()]).collect();
        cuts.sort_unstable();
        let chunks = cuts.windows(2).map(|w| body[w[0]..w[1]].to_vec()).collect();
        let got = pieces(kind, chunks);
        prop_assert_eq!(&got, &pieces(kind, vec![body]));
        let said: Vec<_> = got.iter().take(texts.len()).cloned().collect();
        let expected: Vec<_> = texts.into_iter().map(|text| Ok(Piece::Text(text))).collect();
        prop_assert_eq!(said, expected);
        prop_assert_eq!(got.last().is_some_and(Result::is_ok), whole && !broken);
    }

    /// Whatever comes, there is an end: one stop reason, or one error, and nothing behind it.
    #[test]
    fn any_bytes_give_one_end(kind in formats(), body in prop::collection::vec(any::<u8>(), 0..300)) {
        let got = pieces(kind, vec![body]);
        let ends = got.iter().filter(|piece| matches!(piece, Err(_) | Ok(Piece::Finish(_)))).count();
        prop_assert_eq!(ends, 1);
        prop_assert!(matches!(got.last(), Some(Err(_) | Ok(Piece::Finish(_)))));
    }
}
