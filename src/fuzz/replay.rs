//! The replay cursor: random histories of a session, and people who look now and then, from memory and from the store.
//!
//! The oracle holds the whole output as single signs. What lies behind a position is then a matter of filtering.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::fuzz;
use crate::domain::{
    AnswerState, EntryState, MessageId, Origin, Output, Priority, ReplayBuffer, Seen, SessionId, Timestamp, Usage,
    cut_to_end,
};
use crate::store::{
    AppendChunks, ChunkKind, CreateSession, EndTurn, Enqueue, OutputSince, StartTurn, Store, Turn, Write,
};

/// What can happen.
#[derive(Debug, Clone)]
enum Act {
    /// A turn begins, and so many other messages were made meanwhile.
    Ask(String, u8),
    Think(String),
    Say(String),
    /// What came so far is on the disk.
    Checkpoint,
    End,
    /// The turn breaks off and is begun again: with what came, where something came.
    Again,
    /// One of those who look does so, and sees at most so many bytes of what only the store has.
    Look(u8, u16),
    /// Somebody asks for what lies behind a place that nobody stopped at.
    Pry {
        message: u8,
        reasoning: u16,
        text: u16,
        ended: bool,
    },
    /// The buffer begins anew, as after a restart.
    Restart,
}

fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => "[a-zé日\u{1f600}\0\n ]{1,20}",
        1 => ("[a日\n]{1,7}", 1usize..1_500).prop_map(|(piece, count)| piece.repeat(count)),
        1 => any::<String>().prop_filter("nothing came", |text| !text.is_empty()),
    ]
}

fn acts(length: usize) -> impl Strategy<Value = Vec<Act>> {
    let pry = (any::<u8>(), any::<u16>(), any::<u16>(), any::<bool>());
    let act = prop_oneof![
        2 => (texts(), 0u8..3).prop_map(|(text, gap)| Act::Ask(text, gap)),
        3 => texts().prop_map(Act::Think),
        8 => texts().prop_map(Act::Say),
        3 => Just(Act::Checkpoint),
        2 => Just(Act::End),
        1 => Just(Act::Again),
        6 => (any::<u8>(), prop_oneof![0u16..60, any::<u16>()]).prop_map(|(who, most)| Act::Look(who, most)),
        3 => pry.prop_map(|(message, reasoning, text, ended)| Act::Pry { message, reasoning, text, ended }),
        1 => Just(Act::Restart),
    ];
    prop::collection::vec(act, 1..length)
}

fn limits() -> impl Strategy<Value = usize> {
    prop_oneof![0usize..400, 400usize..6_000, Just(1 << 20)]
}

/// One sign of the output, and where it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Sign {
    Question(MessageId, usize),
    Thought(MessageId, u64, char),
    Text(MessageId, u64, char),
    End(MessageId),
}

fn signs(outputs: &[Output]) -> Vec<Sign> {
    let mut signs = Vec::new();
    for output in outputs {
        let message = output.message();
        let ends = |start: u64, text: &str| -> Vec<(u64, char)> {
            text.char_indices().map(|(at, c)| (start + (at + c.len_utf8()) as u64, c)).collect()
        };
        match output {
            Output::Question { text, .. } => signs.push(Sign::Question(message, text.len())),
            Output::Reasoning { start, text, .. } => {
                signs.extend(ends(*start, text).into_iter().map(|(end, c)| Sign::Thought(message, end, c)));
            }
            Output::Text { start, text, .. } => {
                signs.extend(ends(*start, text).into_iter().map(|(end, c)| Sign::Text(message, end, c)));
            }
            Output::End { .. } => signs.push(Sign::End(message)),
        }
    }
    signs
}

impl Sign {
    fn is_behind(self, seen: &Seen) -> bool {
        let (message, within) = match self {
            Self::Question(message, _) => (message, false),
            Self::Thought(message, end, _) => (message, end > seen.reasoning_bytes),
            Self::Text(message, end, _) => (message, end > seen.text_bytes),
            Self::End(message) => (message, !seen.ended),
        };
        message > seen.message || (message == seen.message && within)
    }
}

fn behind(all: &[Sign], seen: &Seen) -> Vec<Sign> {
    all.iter().copied().filter(|sign| sign.is_behind(seen)).collect()
}

/// A session's output as it happens.
struct Session {
    buffer: ReplayBuffer,
    limit: usize,
    all: Vec<Sign>,
    /// What the buffer was given since it began, overhead included, and where that was.
    given: usize,
    begin: Seen,
    reasoning: u64,
    text: u64,
}

impl Session {
    fn new(limit: usize) -> Self {
        let (buffer, begin) = (ReplayBuffer::new(limit, Seen::START), Seen::START);
        Self { buffer, limit, all: Vec::new(), given: 0, begin, reasoning: 0, text: 0 }
    }

    fn push(&mut self, output: Output) {
        match &output {
            Output::Question { .. } => (self.reasoning, self.text) = (0, 0),
            Output::Reasoning { text, .. } => self.reasoning += text.len() as u64,
            Output::Text { text, .. } => self.text += text.len() as u64,
            Output::End { .. } => {}
        }
        self.given += output.text_len() + 64;
        self.all.extend(signs(std::slice::from_ref(&output)));
        self.buffer.push(output);
        assert!(self.buffer.bytes() <= self.limit, "the bound");
    }

    fn grow(&mut self, message: MessageId, kind: ChunkKind, text: String) {
        self.push(match kind {
            ChunkKind::Reasoning => Output::Reasoning { message, start: self.reasoning, text },
            ChunkKind::Text => Output::Text { message, start: self.text, text },
        });
    }

    fn restart(&mut self) {
        (self.begin, self.given) = (self.buffer.end(), 0);
        self.buffer = ReplayBuffer::new(self.limit, self.begin);
    }

    /// What the buffer gives behind `seen` is all there is.
    fn since(&self, seen: &Seen) -> Option<Vec<Output>> {
        let found = self.buffer.since(seen);
        if let Some(found) = &found {
            assert_eq!(signs(found), behind(&self.all, seen), "behind {seen:?}");
            self.cut(found);
        }
        let before = self.buffer.text_before(seen);
        let is_text =
            |sign: &&Sign| matches!(sign, Sign::Text(m, end, _) if *m == seen.message && *end <= seen.text_bytes);
        let said: String =
            self.all.iter().filter(is_text).map(|sign| if let Sign::Text(_, _, c) = sign { *c } else { ' ' }).collect();
        assert!(before.is_empty() || before == said, "before {seen:?}: {before:?}, not {said:?}");
        found
    }

    /// The same, where somebody stopped: it only says that it does not reach back so far when that is so.
    fn since_stop(&self, seen: &Seen) -> Option<Vec<Output>> {
        let found = self.since(seen);
        let is_older = || behind(&self.all, seen).len() > behind(&self.all, &self.begin).len();
        assert!(found.is_some() || self.given > self.limit || is_older(), "all of it is there: {seen:?}");
        found
    }

    /// A replay that is cut is the same in two parts.
    fn cut(&self, found: &[Output]) {
        for most in [0, 1, 17, 1_000] {
            let (left_out, kept) = cut_to_end(found.to_vec(), most);
            assert!(kept.iter().map(Output::text_len).sum::<usize>() <= most);
            assert_eq!([signs(&left_out), signs(&kept)].concat(), signs(found));
        }
    }

    fn pry(&self, message: MessageId, reasoning: u16, text: u16, ended: bool) {
        let place = |at: u16, len: u64| if at > 60_000 { u64::MAX } else { u64::from(at) % (len + 2) };
        let (reasoning_bytes, text_bytes) = (place(reasoning, self.reasoning), place(text, self.text));
        self.since(&Seen { message, reasoning_bytes, text_bytes, ended });
    }
}

#[test]
fn fuzz_replay_in_memory() {
    fuzz("replay in memory", 200, &(acts(60), limits()), |(acts, limit)| {
        let mut session = Session::new(limit);
        let (mut last, mut answer) = (MessageId(0), None);
        let mut people = [(Seen::START, Vec::new()), (Seen::START, Vec::new())];
        for act in acts {
            match (act, answer) {
                (Act::Ask(text, gap), None) => {
                    let message = MessageId(last.0 + 1 + i64::from(gap));
                    session.push(Output::Question { message, entry: crate::domain::EntryId(message.0), text });
                    last = MessageId(message.0 + 1);
                    answer = Some(last);
                }
                (Act::Think(text), Some(message)) => session.grow(message, ChunkKind::Reasoning, text),
                (Act::Say(text), Some(message)) => session.grow(message, ChunkKind::Text, text),
                (Act::End, Some(message)) => {
                    let (state, usage) = (AnswerState::Complete, Usage::default());
                    session.push(Output::End { message, state, finish: None, usage, error: None });
                    answer = None;
                }
                (Act::Look(who, _), _) => {
                    let (seen, screen) = &mut people[usize::from(who) % 2];
                    match session.since_stop(seen) {
                        Some(news) => {
                            news.iter().for_each(|output| seen.advance(output));
                            screen.extend(signs(&news));
                        }
                        // The store has it: the oracle stands in for that.
                        None => screen.extend(behind(&session.all, seen)),
                    }
                    *seen = session.buffer.end();
                    assert_eq!(screen, &session.all);
                }
                (Act::Pry { message, reasoning, text, ended }, _) => {
                    let message = MessageId((last.0 - i64::from(message % 4)).max(1));
                    session.pry(message, reasoning, text, ended);
                }
                (Act::Restart, _) => session.restart(),
                _ => {}
            }
        }
    });
}

/// One who looks: what was shown of each message.
#[derive(Default)]
struct Person {
    seen: Seen,
    shown: BTreeSet<Sign>,
    cut: u64,
}

impl Person {
    /// Takes what is behind; nothing of it was shown before.
    fn take(&mut self, outputs: &[Output]) {
        for sign in signs(outputs) {
            assert!(self.shown.insert(sign), "shown twice: {sign:?}");
        }
    }
}

/// A session in a real database, and its buffer.
struct Stored {
    _folder: tempfile::TempDir,
    store: Store,
    id: SessionId,
    session: Session,
    turn: Option<Turn>,
    /// What no checkpoint holds yet.
    fresh: Vec<(ChunkKind, String)>,
    people: [Person; 2],
}

const NOW: Timestamp = Timestamp(1_000_000);

impl Stored {
    fn new(limit: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(&folder.path().join("chatmux.db"), NOW).unwrap();
        let model = "demo:tour".parse().unwrap();
        let create = CreateSession { name: None, model, system: String::new(), now: NOW };
        let id = store.write_blocking(create).unwrap().id;
        let (session, people) = (Session::new(limit), Default::default());
        Self { _folder: folder, store, id, session, turn: None, fresh: Vec::new(), people }
    }

    fn write<W: Write>(&self, operation: W) -> W::Reply {
        self.store.write_blocking(operation).unwrap()
    }

    fn ask(&mut self, text: String) {
        let (priority, origin) = (Priority::Normal, Origin::User);
        let entry = self.write(Enqueue { session: self.id, priority, origin, text: text.clone(), now: NOW }).id;
        let turn = self.write(StartTurn { entry, now: NOW });
        self.session.push(Output::Question { message: turn.question, entry, text });
        self.turn = Some(turn);
    }

    fn grow(&mut self, answer: MessageId, kind: ChunkKind, text: String) {
        self.fresh.push((kind, text.clone()));
        self.session.grow(answer, kind, text);
    }

    fn checkpoint(&mut self) {
        if let Some(turn) = &self.turn {
            self.write(AppendChunks { answer: turn.answer, chunks: self.fresh.clone() });
            self.fresh.clear();
        }
    }

    fn end(&mut self, turn: &Turn, answer_state: AnswerState, entry_state: EntryState, continues: bool) {
        let chunks = std::mem::take(&mut self.fresh);
        self.write(EndTurn {
            entry: turn.entry,
            answer: turn.answer,
            chunks,
            answer_state,
            entry_state,
            continues,
            finish: None,
            usage: Usage::default(),
            error: None,
            counts: true,
            unanswered: false,
            gave_way: false,
            not_before: None,
            first_at: None,
            first_after: None,
            follow: None,
            now: NOW,
        });
    }

    fn again(&mut self, turn: Turn) {
        // Reasoning alone is not gone on from; such an attempt is not made again here.
        let (has_text, has_thoughts) = (self.session.text > 0, self.session.reasoning > 0);
        if has_thoughts && !has_text {
            self.turn = Some(turn);
            return;
        }
        let state = if has_text { AnswerState::Interrupted } else { AnswerState::Failed };
        self.end(&turn, state, EntryState::Pending, has_text);
        let next = self.write(StartTurn { entry: turn.entry, now: NOW });
        assert_eq!((next.moved, next.question, next.answer), (false, turn.question, turn.answer));
        assert_eq!(
            (next.kept.text.len() as u64, next.kept.reasoning_bytes),
            (self.session.text, self.session.reasoning)
        );
        self.turn = Some(next);
    }

    /// Looks as a display does: at the buffer, and where that does not reach back, once at the store.
    fn look(&mut self, who: u8, most: u16) {
        let person = &mut self.people[usize::from(who) % 2];
        if let Some(news) = self.session.since_stop(&person.seen) {
            person.take(&news);
            person.seen = self.session.buffer.end();
            assert_eq!(person.shown.len() as u64, self.session.all.len() as u64 - person.cut);
            return;
        }
        let (seen, max_bytes) = (person.seen, u64::from(most));
        let found = self.store.read_blocking(OutputSince { session: self.id, seen, max_bytes }).unwrap();
        let bytes: usize = found.outputs.iter().map(Output::text_len).sum();
        assert!(bytes as u64 <= max_bytes);
        person.take(&found.outputs);
        // What was cut is all of the rest up to the end that is told.
        let rest = behind(&self.session.all, &seen);
        let passed: Vec<Sign> = rest.into_iter().filter(|sign| !sign.is_behind(&found.end)).collect();
        let lost: Vec<Sign> = passed.into_iter().filter(|sign| !person.shown.contains(sign)).collect();
        let lost_bytes: u64 = lost
            .iter()
            .map(|sign| match sign {
                Sign::Question(_, bytes) => *bytes as u64,
                Sign::Thought(_, _, c) | Sign::Text(_, _, c) => c.len_utf8() as u64,
                Sign::End(_) => 0,
            })
            .sum();
        assert_eq!(lost_bytes, found.cut_bytes, "{seen:?}, {max_bytes}: {found:?}");
        person.cut += lost.len() as u64;
        person.seen = found.end;
        // What is told is in the oracle, sign by sign.
        let all: BTreeSet<Sign> = self.session.all.iter().copied().collect();
        assert!(person.shown.is_subset(&all));
    }

    fn act(&mut self, act: Act) {
        match (act, self.turn.take()) {
            (Act::Ask(text, _), None) => self.ask(text),
            (Act::Think(text), Some(turn)) => {
                self.grow(turn.answer, ChunkKind::Reasoning, text);
                self.turn = Some(turn);
            }
            (Act::Say(text), Some(turn)) => {
                self.grow(turn.answer, ChunkKind::Text, text);
                self.turn = Some(turn);
            }
            (Act::End, Some(turn)) => {
                let (state, usage) = (AnswerState::Complete, Usage::default());
                self.end(&turn, state, EntryState::Done, false);
                self.session.push(Output::End { message: turn.answer, state, finish: None, usage, error: None });
            }
            (Act::Again, Some(turn)) => self.again(turn),
            (act, turn) => {
                self.turn = turn;
                match act {
                    Act::Checkpoint => self.checkpoint(),
                    Act::Look(who, most) => self.look(who, most),
                    Act::Restart => {
                        self.checkpoint();
                        self.session.restart();
                    }
                    _ => {}
                }
            }
        }
    }

    /// All is on the disk: with two looks each has seen all that was not cut.
    fn finish(mut self) {
        self.checkpoint();
        for who in 0..2 {
            self.look(who, u16::MAX);
            self.look(who, u16::MAX);
            let person = &self.people[usize::from(who)];
            assert_eq!(person.seen, self.session.buffer.end());
            assert_eq!(person.shown.len() as u64 + person.cut, self.session.all.len() as u64);
        }
        self.store.close();
    }
}

#[test]
fn fuzz_replay_from_the_store() {
    fuzz("replay from the store", 25, &(acts(40), limits()), |(acts, limit)| {
        let mut stored = Stored::new(limit);
        acts.into_iter().for_each(|act| stored.act(act));
        stored.finish();
    });
}
