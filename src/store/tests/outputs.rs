//! The store and the replay buffer must give the same output behind the same position.

use proptest::prelude::*;

use super::*;
use crate::domain::{MessageId, Output, ReplayBuffer, Seen};

/// Joins the pieces of one answer: reasoning before text, as the store has them.
fn joined(outputs: Vec<Output>) -> Vec<Output> {
    let mut whole: Vec<Output> = Vec::new();
    let rank = |o: &Output| match o {
        Output::Question { .. } => 0,
        Output::Reasoning { .. } => 1,
        Output::Text { .. } => 2,
        Output::End { .. } => 3,
    };
    let mut sorted = outputs;
    sorted.sort_by_key(|o| (o.message(), rank(o)));
    for output in sorted {
        match (whole.last_mut(), &output) {
            (Some(Output::Text { message, text, .. }), Output::Text { message: m, text: more, .. })
            | (Some(Output::Reasoning { message, text, .. }), Output::Reasoning { message: m, text: more, .. })
                if message == m =>
            {
                text.push_str(more);
            }
            _ => whole.push(output),
        }
    }
    whole
}

/// Both ways to a session's output, fed alike.
struct Both {
    fresh: Fresh,
    session: SessionId,
    buffer: ReplayBuffer,
    /// Every position that a person may have reached.
    positions: Vec<Seen>,
}

impl Both {
    fn new() -> Self {
        let fresh = Fresh::new();
        let session = fresh.session().id;
        Self { fresh, session, buffer: ReplayBuffer::new(1 << 20, Seen::START), positions: vec![Seen::START] }
    }

    fn push(&mut self, output: Output) {
        self.buffer.push(output);
        self.positions.push(self.buffer.end());
    }

    fn start(&mut self, question: &str) -> Turn {
        let turn = self.fresh.start(self.session, question);
        self.push(Output::Question { message: turn.question, entry: turn.entry, text: question.to_owned() });
        turn
    }

    fn grow(&mut self, turn: &Turn, chunks: &[(ChunkKind, String)], at: &mut (u64, u64)) {
        self.fresh.write(AppendChunks { answer: turn.answer, chunks: chunks.to_vec() });
        let message = turn.answer;
        for (kind, text) in chunks.iter().cloned() {
            let bytes = text.len() as u64;
            match kind {
                ChunkKind::Reasoning => {
                    self.push(Output::Reasoning { message, start: at.0, text });
                    at.0 += bytes;
                }
                ChunkKind::Text => {
                    self.push(Output::Text { message, start: at.1, text });
                    at.1 += bytes;
                }
            }
        }
    }

    fn end(&mut self, turn: &Turn, state: AnswerState) {
        let end = EndTurn { answer_state: state, ..completed(turn) };
        let (finish, usage) = (end.finish.clone(), end.usage);
        self.fresh.write(end);
        self.push(Output::End { message: turn.answer, state, finish, usage, error: None });
    }

    fn since(&self, seen: Seen, max_bytes: u64) -> Behind {
        self.fresh.read(OutputSince { session: self.session, seen, max_bytes })
    }

    fn agree(&self) {
        for seen in &self.positions {
            let stored = self.since(*seen, u64::MAX);
            assert_eq!(stored.cut_bytes, 0);
            assert_eq!(stored.outputs, joined(self.buffer.since(seen).unwrap()), "behind {seen:?}");
            assert_eq!(stored.end, self.buffer.end(), "behind {seen:?}");
            assert_eq!(self.since(*seen, 1).end, self.buffer.end(), "behind {seen:?}, cut");
        }
        let end = self.buffer.end();
        let behind = self.since(end, u64::MAX);
        assert_eq!((behind.cut_bytes, behind.outputs, behind.end), (0, vec![], end));
        assert_eq!(self.fresh.read(SessionEnds)[0].end, self.buffer.end());
    }
}

#[test]
fn a_continued_answer_is_one_in_the_store_and_in_the_buffer() {
    let mut both = Both::new();
    let turn = both.start("long");
    let mut at = (0, 0);
    both.grow(&turn, &[reasoning("hm"), text("first half")].concat(), &mut at);
    let end = EndTurn { entry_state: EntryState::Pending, continues: true, counts: false, ..completed(&turn) };
    both.fresh.write(end);
    both.agree();
    let again = both.fresh.write(StartTurn { entry: turn.entry, now: NOW });
    assert_eq!((again.kept.reasoning_bytes, again.kept.text.len() as u64, again.moved), (at.0, at.1, false));
    both.agree();
    both.grow(&again, &[text(" and "), reasoning("m"), text("second")].concat(), &mut at);
    both.agree();
    both.end(&again, AnswerState::Complete);
    both.agree();
}

fn kind() -> impl Strategy<Value = ChunkKind> {
    prop_oneof![Just(ChunkKind::Text), Just(ChunkKind::Reasoning)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_store_and_the_buffer_agree_at_every_position(
        turns in prop::collection::vec(
            ("[a-zé日\0]{1,20}", prop::collection::vec((kind(), "[a-zé日\0]{1,30}"), 0..8)), 1..5),
    ) {
        let mut both = Both::new();
        for (question, chunks) in &turns {
            let turn = both.start(question);
            let mut at = (0, 0);
            for pair in chunks.chunks(2) {
                both.grow(&turn, pair, &mut at);
                both.agree();
            }
            both.end(&turn, AnswerState::Complete);
            // Another session's messages lie between.
            let other = both.fresh.session().id;
            both.fresh.turn(other, "elsewhere", "words");
            both.agree();
        }
    }

    #[test]
    fn a_cut_gives_the_end_and_says_how_much_is_missing(
        turns in prop::collection::vec(
            ("[a-zé日]{1,20}", prop::collection::vec((kind(), "[a-zé日]{1,30}"), 0..6)), 1..5),
        maxima in prop::collection::vec(0u64..300, 8),
    ) {
        let mut both = Both::new();
        let last = turns.len() - 1;
        for (i, (question, chunks)) in turns.iter().enumerate() {
            let turn = both.start(question);
            both.grow(&turn, chunks, &mut (0, 0));
            if i < last {
                both.end(&turn, AnswerState::Interrupted);
            }
        }
        let bytes = |outputs: &[Output]| -> u64 {
            outputs.iter().map(|o| match o {
                Output::Question { text, .. } | Output::Reasoning { text, .. } | Output::Text { text, .. } =>
                    text.len() as u64,
                Output::End { .. } => 0,
            }).sum()
        };
        let positions = both.positions.clone();
        for (seen, max) in positions.iter().zip(maxima.iter().cycle()) {
            let all = both.since(*seen, u64::MAX).outputs;
            let cut = both.since(*seen, *max);
            prop_assert!(bytes(&cut.outputs) <= *max);
            prop_assert_eq!(bytes(&cut.outputs) + cut.cut_bytes, bytes(&all));
            // What is given is the end of what there is: every piece ends as its whole one does.
            for (given, whole) in cut.outputs.iter().rev().zip(all.iter().rev()) {
                match (given, whole) {
                    (Output::Text { text: a, start: s, .. }, Output::Text { text: b, start: t, .. })
                    | (Output::Reasoning { text: a, start: s, .. }, Output::Reasoning { text: b, start: t, .. }) => {
                        prop_assert!(b.ends_with(a.as_str()));
                        prop_assert_eq!(s + a.len() as u64, t + b.len() as u64);
                    }
                    (given, whole) => prop_assert_eq!(given, whole),
                }
            }
        }
    }
}

#[test]
fn an_attempt_that_will_be_repeated_has_no_end() {
    let mut both = Both::new();
    let turn = both.start("q");
    let again = EndTurn { answer_state: AnswerState::Failed, entry_state: EntryState::Pending, ..completed(&turn) };
    both.fresh.write(again);
    both.agree();
    let turn = both.fresh.write(StartTurn { entry: turn.entry, now: NOW });
    both.grow(&turn, &text("whole"), &mut (0, 0));
    both.agree();
    both.end(&turn, AnswerState::Complete);
    both.agree();
}

#[test]
fn a_long_answer_is_cut_at_a_whole_character() {
    let mut both = Both::new();
    let turn = both.start("q");
    both.grow(&turn, &text(&"日".repeat(100)), &mut (0, 0));
    let message = turn.answer;
    let check = |both: &Both, max, start: u64, cut_bytes| {
        let text = "日".repeat((300 - start as usize) / 3);
        let behind = both.since(Seen::START, max);
        assert_eq!(behind.cut_bytes, cut_bytes, "{max}");
        assert_eq!(behind.outputs.first(), Some(&Output::Text { message, start, text }), "{max}");
    };
    check(&both, 10, 291, 292);
    check(&both, 9, 291, 292);
    check(&both, 300, 0, 1);
    both.end(&turn, AnswerState::Complete);
    check(&both, 11, 291, 292);
    assert_eq!(both.since(Seen::START, 301).cut_bytes, 0);
    let end = Seen::whole(MessageId(1_000));
    let behind = both.since(end, 10);
    assert_eq!((behind.cut_bytes, behind.outputs, behind.end), (0, vec![], end));
}
