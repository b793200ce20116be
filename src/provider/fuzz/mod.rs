//! The decoders: answers as servers send them, dressed in all that the formats allow, cut anywhere, and damaged.
//!
//! The oracle frames the whole bytes by the letter of the specification and reads its JSON into maps; it shares no code with what
//! it judges. How to run it for longer: `src/fuzz/mod.rs`.

mod answers;
mod oracle;

use std::task::Poll;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use proptest::prelude::*;

use super::answer::Answer;
use super::frames::Frames;
use super::seam::Seam;
use super::tests::about;
use super::{Kind, Piece};
use crate::domain::{ErrorKind, ProviderError};
use crate::fuzz::{Damage, cut, damage, fuzz};
use answers::{Dress, Part, finish, framed, kinds, parts};
use oracle::oracle_frames;

/// What goes wrong between servers, proxies and us, and what parsers are known to trip over.
const JUNK: &[&[u8]] = &[
    b"\n",
    b"\r",
    b"\r\n",
    b"\n\n",
    b"\r\r",
    b"\n\r",
    b"\0",
    b"\xef\xbb\xbf",
    b"\xff",
    b"\xc3",
    b"\xe6\x97",
    b"\xed\xa0\x80",
    b":",
    b": ping\n\n",
    b"data",
    b"data:",
    b"data: \n\n",
    b"data: [DONE]\n\n",
    b"[DONE]",
    b"event: error\n",
    b"id: \0\n",
    b"retry: 99999999999999999999\n",
    b"<html>",
    b"\"",
    b"\\",
    b"\\u",
    b"\\ud83d",
    b"\\udc00",
    b"\\u0000",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b"null",
    b"1e999",
    b"-1",
    b"18446744073709551616",
    b"0.1",
    b"\"error\":\"no\",",
    b"\"error\":null,",
    b"\"error\":[[[[{}]]]],",
    b"\"choices\":[],",
    b"\"index\":1,",
    b"\"index\":-1,",
    b"\"done\":true,",
    b"\"text\":\"x\",",
    b"\"text\":1,",
    b"\"content\":{},",
    b"\"x\":1e999,",
    b"\"x\":\"\\ud800\",",
    b"\"x\":{\"x\":1,\"x\":2},",
    b"\"type\":\"message_stop\",",
    b"\"type\":\"ping\",",
    &[b'['; 300],
    &[b'{'; 20],
    &[b' '; 500],
    &[b'\n'; 40],
];

/// What came of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Heard {
    text: String,
    thoughts: String,
    /// The error that ended it; `None` after a stop reason.
    error: Option<ProviderError>,
}

/// All that a list of chunks says. There is one end, and it is the last.
fn heard(kind: Kind, chunks: Vec<Vec<u8>>) -> Heard {
    let about = about(kind, Seam::default());
    let bytes = stream::iter(chunks.into_iter().map(|chunk| Ok(Bytes::from(chunk))));
    let pieces: Vec<_> = block_on(Answer::new(bytes, about, ()).collect());
    let (mut heard, mut ends) = (Heard::default(), 0);
    for piece in pieces {
        assert_eq!(ends, 0, "something follows the end: {piece:?}");
        match piece {
            Ok(Piece::Text(text)) => {
                assert!(!text.is_empty());
                heard.text += &text;
            }
            Ok(Piece::Reasoning(text)) => {
                assert!(!text.is_empty());
                heard.thoughts += &text;
            }
            Ok(Piece::Usage(_) | Piece::Alive | Piece::Withheld(_)) => {}
            Ok(Piece::Finish(_)) => ends += 1,
            Err(e) => {
                assert!(e.text.chars().count() <= 500 && !e.text.contains(char::is_control), "{e:?}");
                ends += 1;
                heard.error = Some(e);
            }
        }
    }
    assert_eq!(ends, 1);
    heard
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(work)
}

/// The data of the events in a list of chunks; `None` for the error that ended them.
fn frames(chunks: Vec<Vec<u8>>) -> Vec<Option<Vec<u8>>> {
    let bytes = stream::iter(chunks.into_iter().map(|chunk| Ok(Bytes::from(chunk))));
    let mut frames = Frames::new(bytes);
    let mut failed = false;
    let all = stream::poll_fn(|cx| {
        if failed {
            return Poll::Ready(None);
        }
        frames.poll_next(cx).map(|frame| {
            let frame = frame?;
            failed = frame.is_err();
            Some(frame.ok().map(|frame| frame.data.to_vec()))
        })
    });
    block_on(all.collect())
}

/// The body of an answer, what it says, and where each of its parts ends.
fn body(kind: Kind, parts: &[(Part, Dress)]) -> (Vec<u8>, Heard, Vec<(usize, Heard)>) {
    let (mut body, mut said, mut ends) = (Vec::new(), Heard::default(), Vec::new());
    for (part, dress) in parts {
        body.extend(framed(kind, part, dress).into_bytes());
        match part {
            Part::Text(text) => said.text += text,
            Part::Thought(text) => said.thoughts += text,
            Part::Silence(_) | Part::Counts(_) => {}
        }
        ends.push((body.len(), said.clone()));
    }
    (body, said, ends)
}

#[test]
fn fuzz_whole_answers() {
    let cuts = prop::collection::vec(any::<u16>(), 0..24);
    let inputs = (kinds(), parts(), any::<bool>(), any::<bool>(), cuts);
    fuzz("whole answers", 150, &inputs, |(kind, parts, is_whole, has_bom, cuts)| {
        let (mut body, said, _) = body(kind, &parts);
        if has_bom {
            body.splice(0..0, *b"\xef\xbb\xbf");
        }
        if is_whole {
            body.extend(finish(kind).as_bytes());
        }
        let pieces = cut(&body, &cuts);
        assert_eq!(frames(pieces.clone()), oracle_frames(kind, &body));
        let got = heard(kind, pieces);
        assert_eq!((&got.text, &got.thoughts), (&said.text, &said.thoughts));
        let expected = (!is_whole).then_some(ErrorKind::Truncated);
        assert_eq!(got.error.as_ref().map(|e| e.kind), expected, "{:?}", got.error);
    });
}

#[test]
fn fuzz_damaged_answers() {
    let cuts = prop::collection::vec(any::<u16>(), 0..24);
    let inputs = (kinds(), parts(), any::<bool>(), prop::collection::vec(damage(JUNK), 1..5), cuts);
    fuzz("damaged answers", 150, &inputs, |(kind, parts, is_whole, damages, cuts)| {
        let (mut body, _, ends) = body(kind, &parts);
        if is_whole {
            body.extend(finish(kind).as_bytes());
        }
        let intact = damages.into_iter().map(|damage: Damage| damage.strike(&mut body)).min().unwrap_or(body.len());
        let (whole, pieces) = (vec![body.clone()], cut(&body, &cuts));
        assert_eq!(frames(pieces.clone()), frames(whole.clone()), "cut");
        let got = heard(kind, whole);
        assert_eq!(heard(kind, pieces), got, "cut");
        if body.len() < 2_000 {
            assert_eq!(heard(kind, body.iter().map(|byte| vec![*byte]).collect()), got, "byte by byte");
        }
        // Nothing grows.
        assert!(got.text.len() + got.thoughts.len() <= 3 * body.len());
        // What came before the damage is there.
        if let Some((_, before)) = ends.iter().rfind(|(end, _)| *end <= intact) {
            assert!(got.text.starts_with(&before.text) && got.thoughts.starts_with(&before.thoughts));
        }
    });
}

/// Bytes that are no format at all, in long runs of the same.
#[test]
fn fuzz_junk() {
    let run = (prop::sample::select(JUNK), 1usize..400)
        .prop_map(|(bytes, count)| bytes.repeat(count.min(1 + 4_000 / bytes.len())));
    let block = prop_oneof![run, prop::collection::vec(any::<u8>(), 0..60)];
    let inputs = (kinds(), prop::collection::vec(block, 0..6), prop::collection::vec(any::<u16>(), 0..24));
    fuzz("junk", 300, &inputs, |(kind, blocks, cuts)| {
        let body = blocks.concat();
        assert_eq!(frames(cut(&body, &cuts)), frames(vec![body.clone()]), "cut");
        assert_eq!(heard(kind, cut(&body, &cuts)), heard(kind, vec![body.clone()]));
    });
}
