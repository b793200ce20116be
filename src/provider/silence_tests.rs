//! How long an answer is waited for, and what ends it: with a clock that is moved by hand.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use tokio::time::{Instant, sleep};

use super::answer::Answer;
use super::seam::Seam;
use super::tests::{about, event, last};
use super::{Kind, Piece};
use crate::domain::{ErrorKind, FinishReason, ProviderError};

const ALL: [Kind; 4] = [Kind::OpenAi, Kind::Anthropic, Kind::Gemini, Kind::Ollama];

/// What is sent: so many seconds after the one before it, these bytes.
type Sent = (u64, String);

fn bytes(sent: Vec<Sent>, stays_open: bool) -> impl Stream<Item = Result<Bytes, ProviderError>> + Unpin {
    let sent = stream::iter(sent).then(|(seconds, text)| async move {
        sleep(Duration::from_secs(seconds)).await;
        Ok(Bytes::from(text))
    });
    let end = stream::once(async move {
        if stays_open {
            std::future::pending::<()>().await;
        }
    });
    Box::pin(sent.chain(end.filter_map(|()| async { None })))
}

/// What comes of it: the text, the signs of life, the end, and after how many seconds.
async fn heard(
    kind: Kind,
    sent: Vec<Sent>,
    stays_open: bool,
) -> (String, usize, Result<FinishReason, ProviderError>, u64) {
    let began = Instant::now();
    let (mut text, mut alive, mut end) = (String::new(), 0, None);
    let mut answer = Answer::new(bytes(sent, stays_open), about(kind, Seam::default()), ());
    while let Some(piece) = answer.next().await {
        match piece {
            Ok(Piece::Text(more)) => text += &more,
            Ok(Piece::Alive) => alive += 1,
            Ok(Piece::Reasoning(_) | Piece::Usage(_) | Piece::Withheld(_)) => {}
            Ok(Piece::Finish(finish)) => end = Some(Ok(finish.reason)),
            Err(e) => end = Some(Err(e)),
        }
    }
    let end = end.unwrap_or_else(|| panic!("an answer without an end: {text}"));
    (text, alive, end, began.elapsed().as_secs())
}

/// What may be the beginning of a key is shown after a moment in which nothing follows, and before the end; the rest of a key is not.
#[tokio::test(start_paused = true)]
async fn what_may_be_a_key_is_not_withheld_for_long() {
    const KEY: &str = "sk-0123456789-abcdefgh";
    let check = async |pieces: &[(u64, &str)], expected: &[(u64, &str)]| {
        for kind in ALL {
            let mut about = about(kind, Seam::default());
            about.secrets.add(KEY);
            let sent = pieces.iter().map(|(seconds, text)| (*seconds, event(kind, text, "\n")));
            let sent = sent.chain([(1, last(kind).to_owned())]).collect();
            let (began, mut heard) = (Instant::now(), Vec::new());
            let mut answer = Answer::new(bytes(sent, false), about, ());
            while let Some(piece) = answer.next().await {
                if let Piece::Text(text) = piece.unwrap() {
                    // A timer is late by a millisecond.
                    heard.push((began.elapsed().as_millis() / 100 * 100, text));
                }
            }
            let expected: Vec<_> = expected.iter().map(|(at, text)| (u128::from(*at), (*text).to_owned())).collect();
            assert_eq!(heard, expected, "{kind} {pieces:?}");
        }
    };
    check(&[(0, "as"), (0, "k")], &[(0, "a"), (300, "sk")]).await;
    check(&[(0, "a sk-"), (2, "ill")], &[(0, "a "), (300, "sk-"), (2000, "ill")]).await;
    check(&[(0, "a sk-01"), (2, "23456789-abcdefgh.")], &[(0, "a "), (300, "sk-01"), (2000, "[key].")]).await;
    check(&[(0, "a sk-0123456789-ab"), (2, "cdefgh.")], &[(0, "a "), (300, "[key]"), (2000, ".")]).await;
}

/// A sign of life that is no content.
fn ping(kind: Kind, nth: usize) -> String {
    let signs: &[&str] = match kind {
        Kind::OpenAi | Kind::Demo => &[
            ": PROCESSING\n\n",
            "data: {\"choices\":[{\"delta\":{\"content\":\"\"}}]}\n\n",
            "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9}}\n\n",
            "data: null\n\n",
            "data: {\"choices\":[{\"delta\":{\"reasoning_details\":[{\"type\":\"reasoning.encrypted\",\"data\":\"x\"}]}}]}\n\n",
        ],
        Kind::Anthropic => &[
            "event: ping\ndata: {\"type\":\"ping\"}\n\n",
            ": ping\n\n",
            "data: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"signature_delta\",\"signature\":\"x\"}}\n\n",
        ],
        Kind::Gemini => &["data: {\"usageMetadata\":{\"promptTokenCount\":9}}\n\n", ": ping\n\n", "data:\n\n"],
        Kind::Ollama => &["{\"message\":{\"content\":\"\"},\"done\":false}\n", "\n", "{}\n"],
    };
    signs[nth % signs.len()].to_owned()
}

/// An event with text and a stop reason.
fn stopping(kind: Kind, text: &str) -> String {
    match kind {
        Kind::OpenAi | Kind::Demo => {
            format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}},\"finish_reason\":\"stop\"}}]}}\n\n")
        }
        Kind::Anthropic => {
            let words = event(kind, text, "\n");
            format!("{words}data: {{\"type\":\"message_delta\",\"delta\":{{\"stop_reason\":\"end_turn\"}}}}\n\n")
        }
        Kind::Gemini => {
            let parts = format!("{{\"parts\":[{{\"text\":\"{text}\"}}]}}");
            format!("data: {{\"candidates\":[{{\"content\":{parts},\"finishReason\":\"STOP\"}}]}}\n\n")
        }
        Kind::Ollama => format!("{{\"message\":{{\"content\":\"{text}\"}},\"done\":true}}\n"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_reason_does_not_end_the_stream_while_more_comes() {
    for kind in ALL {
        let sent = vec![(0, stopping(kind, "one ")), (3, stopping(kind, "two ")), (9, stopping(kind, "three"))];
        let (text, _, end, _) = heard(kind, sent, false).await;
        assert_eq!((text.as_str(), end), ("one two three", Ok(FinishReason::Stop)), "{kind}");
        // The word for null is no stop reason.
        let sent = vec![(0, stopping(kind, "one ").replace("\"stop\"", "\"null\"")), (20, stopping(kind, "two"))];
        if kind == Kind::OpenAi {
            assert_eq!(heard(kind, sent, false).await.0, "one two");
        }
        // In the first event, far ahead of the text.
        let sent = vec![(0, stopping(kind, "")), (50, event(kind, "late", "\n"))];
        assert_eq!(heard(kind, sent, false).await.0, "late", "{kind}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_stays_open_behind_the_stop_reason_is_not_waited_for_long() {
    for kind in ALL {
        let (text, _, end, seconds) =
            heard(kind, vec![(0, event(kind, "a", "\n")), (55, stopping(kind, ""))], true).await;
        assert_eq!((text.as_str(), end, seconds), ("a", Ok(FinishReason::Stop), 65), "{kind}");
        // Signs of life are no content.
        let pings = (0..40).map(|nth| (1, ping(kind, nth)));
        let sent = [(0, stopping(kind, "a"))].into_iter().chain(pings).collect();
        assert_eq!(heard(kind, sent, true).await.3, 10, "{kind}");
    }
    // The end mark behind a stop reason ends it at once; alone it is no end.
    let whole = format!("{}{}", event(Kind::OpenAi, "a", "\n"), last(Kind::OpenAi));
    assert_eq!(heard(Kind::OpenAi, vec![(0, whole)], true).await.3, 0);
    let marked = format!("{}data: [DONE]\n\n", event(Kind::OpenAi, "a", "\n"));
    let (_, _, end, seconds) = heard(Kind::OpenAi, vec![(0, marked)], true).await;
    assert_eq!((end.unwrap_err().kind, seconds), (ErrorKind::Truncated, 10));
}

#[tokio::test(start_paused = true)]
async fn what_came_whole_before_a_limit_is_read() {
    for kind in ALL {
        // The last event is not ended by a line, and the connection stays open.
        let whole = event(kind, "a", "\n") + event(kind, "b", "\n").trim_end();
        let (text, _, end, _) = heard(kind, vec![(0, whole)], true).await;
        assert_eq!((text.as_str(), end.unwrap_err().kind), ("ab", ErrorKind::Stalled), "{kind}");
    }
}

#[tokio::test(start_paused = true)]
async fn any_byte_is_a_sign_of_life_while_a_model_thinks() {
    for kind in ALL {
        // Six times as long as `idle`, in each of the ways of the format; then silence, up to `first`.
        let pings = (0..18).map(|nth| (20, ping(kind, nth)));
        let sent = pings.chain([(200, event(kind, "a", "\n") + last(kind))]).collect();
        let (text, alive, end, _) = heard(kind, sent, false).await;
        assert_eq!((text.as_str(), end), ("a", Ok(FinishReason::Stop)), "{kind}");
        assert_eq!(alive, 18, "{kind}: each sign is told");
        // Not a byte.
        let (text, alive, ..) = heard(kind, vec![(590, event(kind, "a", "\n") + last(kind))], false).await;
        assert_eq!((text.as_str(), alive), ("a", 0), "{kind}");
    }
    // One a second is told.
    let sent = (0..5_000).map(|_| (0, ping(Kind::OpenAi, 0))).collect();
    assert!(heard(Kind::OpenAi, sent, false).await.1 <= 1);
}

#[tokio::test(start_paused = true)]
async fn signs_of_life_without_end_are_bounded() {
    for kind in ALL {
        for nth in 0..5 {
            let pings = || (0..200).map(move |_| (10, ping(kind, nth)));
            let (_, _, end, seconds) = heard(kind, pings().collect(), true).await;
            let e = end.unwrap_err();
            assert_eq!((e.kind, e.retryable, seconds), (ErrorKind::Stalled, true, 600), "{kind} {nth}");
            assert_eq!(e.text, "no content came for 10 m 00 s, only signs of life: raise timeouts.first");
            let sent = [(0, event(kind, "a", "\n"))].into_iter().chain(pings()).collect();
            let (text, _, end, seconds) = heard(kind, sent, true).await;
            assert_eq!((text.as_str(), end.unwrap_err().kind, seconds), ("a", ErrorKind::Stalled, 600), "{kind} {nth}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn silence_is_told_by_what_came_before_it() {
    let check = async |sent: Vec<Sent>, text: &str, after: u64| {
        let (_, _, end, seconds) = heard(Kind::OpenAi, sent, true).await;
        assert_eq!((end.unwrap_err().text.as_str(), seconds), (text, after));
    };
    let word = || event(Kind::OpenAi, "a", "\n");
    check(vec![], "the server sent nothing for 10 m 00 s: raise timeouts.first if it needs longer", 600).await;
    let more = "nothing more came for 1 m 00 s: raise timeouts.idle if the server needs longer";
    check(vec![(500, word())], more, 560).await;
    check(vec![(0, word()), (50, ping(Kind::OpenAi, 0)), (50, ping(Kind::OpenAi, 1))], more, 160).await;
    check(
        vec![(100, ping(Kind::OpenAi, 0))],
        "no content came for 10 m 00 s, only signs of life: raise timeouts.first",
        600,
    )
    .await;
}
