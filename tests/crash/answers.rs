//! What the server answers: pieces that say of which request they are and where they stand in it, so that a text on the disk tells
//! what it is made of. All of it follows from the seed.

use std::time::Duration;

use crate::server::{Logged, Reply};

/// Milliseconds between two pieces, of a short answer and of a long one: which is under way for longer than a checkpoint takes.
const PACE_MS: [(u64, u64); 2] = [(1, 4), (8, 25)];
/// Pieces of an answer, of a short one and of a long one.
const PIECES: [(usize, usize); 2] = [(1, 20), (30, 60)];

/// The message `nth` into `session`: no two are alike.
pub(crate) fn question(nth: usize, session: i64) -> String {
    format!("message {nth} for {session}")
}

/// The question that a request asks: the last message that is one, for a request to go on from an answer says so in another.
pub(crate) fn asked(request: &Logged) -> String {
    let mut users = request.turns().into_iter().filter(|(role, text)| role == "user" && text.starts_with("message "));
    users.next_back().map(|(_, text)| text).unwrap_or_default()
}

/// The session that a question is for.
pub(crate) fn session_of(question: &str) -> i64 {
    question.rsplit(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// The dice of a request, and whether its answer is a long one.
fn dice(seed: u64, request: usize) -> (fastrand::Rng, usize) {
    // Neighbours in seeds are neighbours in the first throws.
    let mut both = fastrand::Rng::with_seed(seed.wrapping_add((request as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)));
    let dice = both.fork();
    (dice, usize::from(request.is_multiple_of(4)))
}

/// The pieces of the answer to a request.
pub(crate) fn pieces(seed: u64, request: usize) -> Vec<String> {
    let (mut dice, long) = dice(seed, request);
    let count = dice.usize(PIECES[long].0..=PIECES[long].1);
    let piece = |nth| {
        let filler: String =
            (0..dice.usize(0..40)).map(|_| *dice.choice(&['a', 'e', ' ', 'é', '🦀', '\n']).unwrap()).collect();
        format!("<{request}:{nth}>{filler}.")
    };
    (0..count).map(piece).collect()
}

/// What a request is answered: mostly a stream that flows at some pace, now and then all of it at once, or a refusal for the moment.
pub(crate) fn reply(seed: u64, request: usize) -> Reply {
    let (mut dice, long) = dice(!seed, request);
    let pieces = pieces(seed, request);
    let pieces: Vec<_> = pieces.iter().map(String::as_str).collect();
    match dice.u8(..100) {
        0..3 => Reply::status(503, r#"{"error":{"message":"busy"}}"#),
        3..10 => Reply::words(&pieces),
        _ => Reply::words(&pieces).pace(Duration::from_millis(dice.u64(PACE_MS[long].0..=PACE_MS[long].1))),
    }
}

/// What a text has of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) request: usize,
    /// So many of its pieces, from the first on.
    pub(crate) pieces: usize,
    /// That is all of them.
    pub(crate) whole: bool,
}

/// What an answer's text is made of: of each request the beginning, and nothing else.
pub(crate) fn parts(seed: u64, text: &str) -> Result<Vec<Part>, String> {
    let (mut rest, mut parts) = (text, Vec::<Part>::new());
    while !rest.is_empty() {
        let Some((request, 0)) = mark(rest) else { return Err(format!("no answer begins with {rest:?}")) };
        let all = pieces(seed, request);
        let begun = rest;
        let count =
            all.iter().take_while(|piece| rest.strip_prefix(piece.as_str()).inspect(|r| rest = r).is_some()).count();
        if count == 0 {
            return Err(format!("a piece is cut: {begun:?}"));
        }
        if parts.last().is_some_and(|last| last.request >= request) {
            return Err(format!("the answer to request {request} is there twice, or goes back: {text:?}"));
        }
        parts.push(Part { request, pieces: count, whole: count == all.len() });
    }
    Ok(parts)
}

/// The request and the piece whose mark a text begins with.
pub(crate) fn mark(text: &str) -> Option<(usize, usize)> {
    let (mark, _) = text.strip_prefix('<')?.split_once('>')?;
    let (request, piece) = mark.split_once(':')?;
    Some((request.parse().ok()?, piece.parse().ok()?))
}

#[test]
fn a_text_tells_what_it_is_made_of() {
    let seed = (0..).find(|&seed| pieces(seed, 3).len() > 2 && pieces(seed, 5).len() > 1).unwrap();
    let (first, second) = (pieces(seed, 3), pieces(seed, 5));
    let text = format!("{}{}{}", first[0], first[1], second.concat());
    let expected =
        [Part { request: 3, pieces: 2, whole: false }, Part { request: 5, pieces: second.len(), whole: true }];
    assert_eq!(parts(seed, &text).unwrap(), expected);
    assert_eq!(parts(seed, "").unwrap(), []);
    for wrong in [format!("{}{}", first[0], first[0]), first[1].clone(), first[0][..4].to_owned(), format!("{text}x")] {
        assert!(parts(seed, &wrong).is_err(), "{wrong:?}");
    }
}
