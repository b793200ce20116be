//! The replay buffer: the end of a session's output in memory, bounded, and the position up to which the person has seen it.
//!
//! A position ([`Seen`]) counts in messages and bytes of messages, never in pieces, so the same position finds its place
//! in this buffer and in the store. [`ReplayBuffer::since`] gives exactly what lies behind a position, or says that the
//! buffer no longer reaches back that far ([`None`]) and the store has to be asked.

use std::collections::VecDeque;

use super::finish::Finish;
use super::ids::{EntryId, MessageId};
use super::kinds::AnswerState;
use super::message::{StoredError, Usage};

/// How far a session's output has been seen. Everything before it was; nothing after it.
///
/// The order is the order of output: within an answer reasoning and text are counted apart, for the store keeps
/// them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// The last message of which anything was seen; 0 before the first.
    pub message: MessageId,
    /// Bytes of its reasoning.
    pub reasoning_bytes: u64,
    /// Bytes of its text.
    pub text_bytes: u64,
    /// Its end was seen (a question ends as it begins).
    pub ended: bool,
}

impl Seen {
    /// Before everything.
    pub const START: Self = Self { message: MessageId(0), reasoning_bytes: 0, text_bytes: 0, ended: true };

    /// All of `message`, whatever its length, and all before it.
    pub const fn whole(message: MessageId) -> Self {
        Self { message, reasoning_bytes: u64::MAX, text_bytes: u64::MAX, ended: true }
    }

    /// Moves behind `output`.
    pub fn advance(&mut self, output: &Output) {
        if output.message() != self.message {
            *self = Self { message: output.message(), reasoning_bytes: 0, text_bytes: 0, ended: false };
        }
        match output {
            Output::Question { .. } => *self = Self::whole(self.message),
            Output::Reasoning { start, text, .. } => self.reasoning_bytes = start + text.len() as u64,
            Output::Text { start, text, .. } => self.text_bytes = start + text.len() as u64,
            Output::End { .. } => *self = Self::whole(self.message),
        }
    }
}

impl Default for Seen {
    fn default() -> Self {
        Self::START
    }
}

/// One piece of a session's output, in the order of happening.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// A turn began with this question.
    Question {
        /// The question's row.
        message: MessageId,
        /// Its entry.
        entry: EntryId,
        /// The question, verbatim.
        text: String,
    },
    /// The model thinks.
    Reasoning {
        /// The answer's row.
        message: MessageId,
        /// Bytes of the answer's reasoning before this piece.
        start: u64,
        /// The piece, as it came.
        text: String,
    },
    /// The model speaks.
    Text {
        /// The answer's row.
        message: MessageId,
        /// Bytes of the answer's text before this piece.
        start: u64,
        /// The piece, as it came.
        text: String,
    },
    /// The answer ended, and that is committed.
    End {
        /// The answer's row.
        message: MessageId,
        /// How; never `Streaming`.
        state: AnswerState,
        /// Why the model stopped, if it did.
        finish: Option<Finish>,
        /// Tokens of the turn.
        usage: Usage,
        /// Why, when it went wrong.
        error: Option<StoredError>,
    },
}

impl Output {
    /// The message that this is a piece of.
    pub const fn message(&self) -> MessageId {
        match self {
            Self::Question { message, .. }
            | Self::Reasoning { message, .. }
            | Self::Text { message, .. }
            | Self::End { message, .. } => *message,
        }
    }

    /// Bytes of its text.
    pub fn text_len(&self) -> usize {
        match self {
            Self::Question { text, .. } | Self::Reasoning { text, .. } | Self::Text { text, .. } => text.len(),
            Self::End { .. } => 0,
        }
    }

    /// Parts the piece so that at most `room` bytes of it stand behind the cut.
    fn split_near(self, room: usize) -> (Option<Self>, Option<Self>) {
        let cut = |text: &str| {
            let at = text.ceil_char_boundary(text.len() - room);
            let line = text[at..].find('\n').map(|end| at + end + 1).filter(|begin| begin - at <= NEAR_BYTES);
            line.unwrap_or(at)
        };
        let some = |piece: Self| (piece.text_len() > 0).then_some(piece);
        match self {
            Self::Text { message, start, mut text } => {
                let at = cut(&text);
                let after = Self::Text { message, start: start + at as u64, text: text.split_off(at) };
                (some(Self::Text { message, start, text }), some(after))
            }
            Self::Reasoning { message, start, mut text } => {
                let at = cut(&text);
                let after = Self::Reasoning { message, start: start + at as u64, text: text.split_off(at) };
                (some(Self::Reasoning { message, start, text }), some(after))
            }
            whole @ (Self::Question { .. } | Self::End { .. }) => (Some(whole), None),
        }
    }

    /// Whether all of this piece lies before `seen`.
    pub fn is_before(&self, seen: &Seen) -> bool {
        if self.message() != seen.message {
            return self.message() < seen.message;
        }
        match self {
            Self::Question { .. } => true,
            Self::Reasoning { start, text, .. } => start + text.len() as u64 <= seen.reasoning_bytes,
            Self::Text { start, text, .. } => start + text.len() as u64 <= seen.text_bytes,
            Self::End { .. } => seen.ended,
        }
    }

    /// The part of this piece that lies behind `seen`; `None` when nothing does.
    fn after(&self, seen: &Seen) -> Option<Self> {
        if self.message() != seen.message {
            return (self.message() > seen.message).then(|| self.clone());
        }
        let rest = |start: u64, text: &str, from: u64| {
            let skip = usize::try_from(from.saturating_sub(start)).unwrap_or(usize::MAX);
            // A position is of whole characters; one that is not is taken back to one.
            let skip = text.floor_char_boundary(skip);
            (skip < text.len()).then(|| (start + skip as u64, text[skip..].to_owned()))
        };
        match self {
            Self::Question { .. } => None,
            Self::Reasoning { message, start, text } => rest(*start, text, seen.reasoning_bytes)
                .map(|(start, text)| Self::Reasoning { message: *message, start, text }),
            Self::Text { message, start, text } => {
                rest(*start, text, seen.text_bytes).map(|(start, text)| Self::Text { message: *message, start, text })
            }
            Self::End { .. } => (!seen.ended).then(|| self.clone()),
        }
    }
}

/// Parts a long replay: what is left out, at its begin, and its end, of at most `max_bytes` of text. An answer is cut at the begin of a
/// line where one is near; a question is never cut, and stands on the side of its first byte.
pub fn cut_to_end(outputs: Vec<Output>, max_bytes: usize) -> (Vec<Output>, Vec<Output>) {
    let (mut room, mut kept, mut rest) = (max_bytes, VecDeque::new(), outputs);
    while let Some(last) = rest.pop() {
        if last.text_len() <= room {
            room -= last.text_len();
            kept.push_front(last);
            continue;
        }
        let (before, after) = last.split_near(room);
        rest.extend(before);
        after.into_iter().for_each(|piece| kept.push_front(piece));
        break;
    }
    (rest, kept.into())
}

/// What one piece costs beside its text, so that a million empty pieces are bounded too.
const PIECE_OVERHEAD_BYTES: usize = 64;
/// A cut is moved to the begin of a line that is as near as this.
const NEAR_BYTES: usize = 1 << 10;
/// Pieces of one answer are merged up to this length, so that a token stream does not make a piece a token.
const MERGE_BYTES: usize = 4 << 10;

/// The end of one session's output, at most `limit_bytes` of it. At the bound the oldest pieces go; the store has them.
#[derive(Debug)]
pub struct ReplayBuffer {
    pieces: VecDeque<Output>,
    bytes: usize,
    limit_bytes: usize,
    /// Everything behind this position is in `pieces`.
    floor: Seen,
    /// Where the output ends now.
    end: Seen,
}

impl ReplayBuffer {
    /// An empty buffer of a session whose output so far, up to `end`, is in the store alone.
    pub fn new(limit_bytes: usize, end: Seen) -> Self {
        Self { pieces: VecDeque::new(), bytes: 0, limit_bytes, floor: end, end }
    }

    /// Where the output ends now.
    pub const fn end(&self) -> Seen {
        self.end
    }

    /// Bytes held now, overhead included.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Appends the next piece of output. Pieces come in order: a piece's `start` is where the last one ended.
    pub fn push(&mut self, output: Output) {
        debug_assert!(output.message() >= self.end.message, "output comes in the order of messages");
        self.end.advance(&output);
        if !self.merge(&output) {
            self.bytes += output.text_len() + PIECE_OVERHEAD_BYTES;
            self.pieces.push_back(output);
        }
        while self.bytes > self.limit_bytes {
            let Some(old) = self.pieces.pop_front() else { break };
            self.bytes -= old.text_len() + PIECE_OVERHEAD_BYTES;
            self.floor.advance(&old);
        }
    }

    fn merge(&mut self, output: &Output) -> bool {
        let (last, more) = match (self.pieces.back_mut(), output) {
            (Some(Output::Text { message, text, .. }), Output::Text { message: m, text: more, .. }) if message == m => {
                (text, more)
            }
            (Some(Output::Reasoning { message, text, .. }), Output::Reasoning { message: m, text: more, .. })
                if message == m =>
            {
                (text, more)
            }
            _ => return false,
        };
        if last.len() + more.len() > MERGE_BYTES {
            return false;
        }
        last.push_str(more);
        self.bytes += more.len();
        true
    }

    /// Everything behind `seen`, or `None` when the buffer does not reach back that far.
    pub fn since(&self, seen: &Seen) -> Option<Vec<Output>> {
        if !self.reaches(seen) {
            return None;
        }
        let from = self.pieces.partition_point(|p| p.message() < seen.message);
        Some(self.pieces.iter().skip(from).filter_map(|p| p.after(seen)).collect())
    }

    /// The text of the answer in whose middle `seen` lies, up to there; empty when it lies in none, or the buffer has not all of it.
    pub fn text_before(&self, seen: &Seen) -> String {
        let begin = Seen { text_bytes: 0, ..*seen };
        if seen.ended || seen.text_bytes == 0 || !self.reaches(&begin) {
            return String::new();
        }
        let pieces = self.pieces.iter().filter_map(|piece| match piece {
            Output::Text { message, start, text } if *message == seen.message && *start < seen.text_bytes => {
                let bytes = usize::try_from(seen.text_bytes - start).unwrap_or(usize::MAX).min(text.len());
                Some(&text[..text.floor_char_boundary(bytes)])
            }
            _ => None,
        });
        pieces.collect()
    }

    fn reaches(&self, seen: &Seen) -> bool {
        if seen.message != self.floor.message {
            return seen.message > self.floor.message;
        }
        seen.reasoning_bytes >= self.floor.reasoning_bytes
            && seen.text_bytes >= self.floor.text_bytes
            && seen.ended >= self.floor.ended
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Joins what was shown into one text, so that a gap or a repeat shows as a difference.
    fn shown(outputs: &[Output]) -> String {
        outputs
            .iter()
            .map(|o| match o {
                Output::Question { text, .. } => format!("\n?{text}\n"),
                Output::Reasoning { text, .. } => text.to_lowercase(),
                Output::Text { text, .. } => text.clone(),
                Output::End { state, .. } => format!("\n={state}\n"),
            })
            .collect()
    }

    fn turn(id: i64, chunks: &[String]) -> Vec<Output> {
        let mut turn = vec![Output::Question { message: MessageId(id), entry: EntryId(id), text: format!("q{id}") }];
        let message = MessageId(id + 1);
        let mut start = 0;
        for text in chunks {
            turn.push(Output::Text { message, start, text: text.clone() });
            start += text.len() as u64;
        }
        turn.push(Output::End {
            message,
            state: AnswerState::Complete,
            finish: None,
            usage: Usage::default(),
            error: None,
        });
        turn
    }

    proptest! {
        /// Whatever the pieces and whenever one looks, each byte is shown once, or the buffer says that it lacks some.
        #[test]
        fn following_shows_each_byte_once(
            turns in prop::collection::vec(prop::collection::vec("[a-zé日]{0,40}", 0..12), 1..6),
            looks in prop::collection::vec(0usize..6, 1..80),
            limit in 200usize..6_000,
        ) {
            let outputs: Vec<Output> =
                turns.iter().enumerate().flat_map(|(i, chunks)| turn(i as i64 * 2 + 1, chunks)).collect();
            let mut buffer = ReplayBuffer::new(limit, Seen::START);
            let (mut seen, mut screen, mut next, mut pushed) = (Seen::START, String::new(), 0, 0);
            for (i, output) in outputs.iter().enumerate() {
                buffer.push(output.clone());
                prop_assert!(buffer.bytes() <= limit.max(PIECE_OVERHEAD_BYTES + output.text_len()));
                pushed += 1;
                if i + 1 == outputs.len() || pushed > looks[next % looks.len()] {
                    (next, pushed) = (next + 1, 0);
                    let Some(news) = buffer.since(&seen) else {
                        // The store has it; here the outputs themselves stand in for the store.
                        screen = shown(&outputs[..=i]);
                        seen = buffer.end();
                        continue;
                    };
                    screen += &shown(&news);
                    news.iter().for_each(|o| seen.advance(o));
                    prop_assert_eq!(seen, buffer.end());
                    prop_assert_eq!(&screen, &shown(&outputs[..=i]));
                }
            }
        }
    }

    #[test]
    fn a_position_in_the_middle_of_a_piece_is_found() {
        let mut buffer = ReplayBuffer::new(1_000, Seen::START);
        let message = MessageId(2);
        buffer.push(Output::Text { message, start: 0, text: "hello ".into() });
        let seen = buffer.end();
        buffer.push(Output::Text { message, start: 6, text: "world".into() });
        assert_eq!(buffer.since(&seen), Some(vec![Output::Text { message, start: 6, text: "world".into() }]));
        assert_eq!(buffer.since(&buffer.end()), Some(vec![]));
    }

    #[test]
    fn a_long_replay_is_cut_to_its_end() {
        let message = MessageId(2);
        let question = Output::Question { message: MessageId(1), entry: EntryId(1), text: "question".into() };
        let text = |start, text: &str| Output::Text { message, start, text: text.into() };
        let all = vec![question.clone(), text(0, "one\ntwo\n"), text(8, "three\nfour")];
        let check = |max, dropped: &[Output], kept: &[Output]| {
            assert_eq!(cut_to_end(all.clone(), max), (dropped.to_vec(), kept.to_vec()), "{max}");
        };
        check(100, &[], &all);
        check(26, &[], &all);
        check(18, &all[..1], &all[1..]);
        check(17, &[question.clone(), text(0, "one\n")], &[text(4, "two\n"), text(8, "three\nfour")]);
        check(10, &all[..2], &all[2..]);
        check(8, &[question.clone(), text(0, "one\ntwo\n"), text(8, "three\n")], &[text(14, "four")]);
        check(0, &all, &[]);
    }

    #[test]
    fn the_text_before_a_position_is_found() {
        let mut buffer = ReplayBuffer::new(1_000, Seen::START);
        let message = MessageId(2);
        let at = |text_bytes| Seen { message, reasoning_bytes: 0, text_bytes, ended: false };
        buffer.push(Output::Text { message, start: 0, text: "```\n".into() });
        buffer.push(Output::Reasoning { message, start: 0, text: "hm".into() });
        buffer.push(Output::Text { message, start: 4, text: "code".into() });
        assert_eq!(buffer.text_before(&at(6)), "```\nco");
        assert_eq!(buffer.text_before(&at(0)), "");
        assert_eq!(buffer.text_before(&Seen::whole(message)), "");
        assert_eq!(buffer.text_before(&Seen { message: MessageId(1), ..at(6) }), "");
    }

    #[test]
    fn what_was_dropped_is_not_silently_skipped() {
        let mut buffer = ReplayBuffer::new(300, Seen::START);
        let message = MessageId(2);
        for i in 0..100 {
            buffer.push(Output::Text { message, start: i * 4_096, text: "x".repeat(4_096) });
        }
        assert_eq!(buffer.since(&Seen::START), None);
        assert_eq!(buffer.since(&buffer.end()), Some(vec![]));
    }
}
