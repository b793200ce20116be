//! The log of chunks: random histories against a model that knows what was appended to what.

use std::collections::BTreeMap;

use super::*;

struct Rng(u64);

impl Rng {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// An answer as it is to be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Answer {
    text: String,
    reasoning: String,
}

impl Answer {
    fn grow(&mut self, chunks: &[(ChunkKind, String)]) {
        for (kind, piece) in chunks {
            match kind {
                ChunkKind::Text => self.text.push_str(piece),
                ChunkKind::Reasoning => self.reasoning.push_str(piece),
            }
        }
    }
}

/// What a follower has of an answer, and up to where.
struct Followed {
    stream: Stream,
    after: i64,
    answer: Answer,
}

/// A session, and what becomes of its last entry.
#[derive(Default)]
struct Place {
    /// Under way.
    turn: Option<Turn>,
    /// Waits to be started again.
    waits: Option<(EntryId, MessageId)>,
}

struct Course {
    fresh: Fresh,
    raw: Connection,
    rng: Rng,
    places: BTreeMap<SessionId, Place>,
    answers: BTreeMap<MessageId, Answer>,
    followed: BTreeMap<SessionId, Followed>,
    last_id: i64,
    word: u32,
}

impl Course {
    fn new(seed: u64) -> Self {
        let fresh = Fresh::new();
        let raw = Connection::open(fresh.path()).unwrap();
        let places = (0..4).map(|_| (fresh.session().id, Place::default())).collect();
        let (answers, followed) = (BTreeMap::new(), BTreeMap::new());
        Self { fresh, raw, rng: Rng(seed), places, answers, followed, last_id: 0, word: 0 }
    }

    fn chunks(&mut self) -> Vec<(ChunkKind, String)> {
        let mut chunk = || {
            self.word += 1;
            let kind = if self.rng.below(3) == 0 { ChunkKind::Reasoning } else { ChunkKind::Text };
            let times = if self.rng.below(8) == 0 { 1_000 } else { self.rng.below(3) };
            (kind, format!("w{}é ", self.word).repeat(usize::try_from(times).unwrap()))
        };
        [chunk(), chunk(), chunk()].into()
    }

    fn start(&mut self, session: SessionId) {
        let place = self.places.get_mut(&session).unwrap();
        let old = place.waits.take();
        let entry = old.map_or_else(|| self.fresh.enqueue(session, "q").id, |(entry, _)| entry);
        let turn = self.fresh.write(StartTurn { entry, now: NOW });
        let before = old.and_then(|(_, message)| self.answers.remove(&message)).unwrap_or_default();
        let kept = if turn.kept.text.is_empty() { Answer::default() } else { before };
        assert_eq!((&turn.kept.text, turn.kept.reasoning_bytes), (&kept.text, kept.reasoning.len() as u64));
        self.answers.insert(turn.answer, kept);
        place.turn = Some(turn);
    }

    fn end(&mut self, session: SessionId, turn: &Turn) {
        let chunks = if self.rng.below(2) == 0 { self.chunks() } else { Vec::new() };
        self.answers.get_mut(&turn.answer).unwrap().grow(&chunks);
        let again = self.rng.below(2) == 0;
        let (entry_state, answer_state) = match again {
            true => (EntryState::Pending, AnswerState::Interrupted),
            false => (EntryState::Done, AnswerState::Complete),
        };
        let continues = again && self.rng.below(3) > 0;
        self.fresh.write(EndTurn { chunks, entry_state, answer_state, continues, ..completed(turn) });
        let place = self.places.get_mut(&session).unwrap();
        place.turn = None;
        place.waits = again.then_some((turn.entry, turn.answer));
    }

    /// Its answers are no more.
    fn forget(&mut self, session: SessionId) {
        let sql = "SELECT id FROM messages WHERE session_id = ?1";
        let mut of = self.raw.prepare(sql).unwrap();
        let of: Vec<MessageId> = of.query_map([session], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        of.iter().for_each(|message| drop(self.answers.remove(message)));
    }

    fn step(&mut self) {
        let nth = usize::try_from(self.rng.below(self.places.len() as u64)).unwrap();
        let (session, turn) = self.places.iter().nth(nth).map(|(id, place)| (*id, place.turn.clone())).unwrap();
        match (turn, self.rng.below(20)) {
            (_, 0) => {
                self.forget(session);
                self.fresh.write(DeleteSession { session });
                self.places.remove(&session);
                self.places.insert(self.fresh.session().id, Place::default());
            }
            (Some(turn), 1..=4) => self.end(session, &turn),
            (Some(turn), 5..=14) => {
                let chunks = self.chunks();
                self.answers.get_mut(&turn.answer).unwrap().grow(&chunks);
                self.fresh.write(AppendChunks { answer: turn.answer, chunks });
            }
            (None, 1) if self.places[&session].waits.is_some() => {
                let (entry, message) = self.places[&session].waits.unwrap();
                self.answers.remove(&message);
                self.fresh.write(ChangeText { entry, text: "another".to_owned() });
            }
            (None, 1..=14) => self.start(session),
            _ => self.follow(),
        }
        let last: i64 = self.raw.query_row(crate::store::chunks::LAST, [], |row| row.get(0)).unwrap();
        assert!(last >= self.last_id, "an id would be used twice");
        self.last_id = last;
    }

    /// Follows all that stream, with one read; what does not fit is read anew.
    fn follow(&mut self) {
        let after = self.followed.values().map(|followed| followed.after).min().unwrap_or(0);
        let streams = self.followed.values().map(|followed| followed.stream).collect();
        let found = self.fresh.read(ChunksSince { after, streams, max_bytes: self.rng.below(9_000) });
        for followed in self.followed.values_mut() {
            for row in found.rows.iter().filter(|row| row.message == followed.stream.message && row.id > followed.after)
            {
                followed.answer.grow(&[(row.kind, row.text.clone())]);
            }
            followed.after = followed.after.max(found.last);
        }
        self.followed.retain(|_, followed| !found.over.contains(&followed.stream.message));
        if !found.more {
            for followed in self.followed.values() {
                assert_eq!(Some(&followed.answer), self.answers.get(&followed.stream.message));
            }
        }
        for (session, place) in &self.places {
            let behind =
                self.fresh.read(OutputSince { session: *session, seen: Default::default(), max_bytes: u64::MAX });
            assert_eq!(behind.stream.map(|stream| stream.message), place.turn.as_ref().map(|turn| turn.answer));
            let Some(stream) = behind.stream.filter(|_| !self.followed.contains_key(session)) else { continue };
            let answer = self.answers[&stream.message].clone();
            self.followed.insert(*session, Followed { stream, after: behind.last_chunk, answer });
        }
    }

    fn check(&self) {
        for (message, answer) in &self.answers {
            let found = self.fresh.read(FindMessage(*message)).unwrap();
            assert_eq!(&Answer { text: found.text, reasoning: found.reasoning }, answer);
        }
    }

    /// Rows of the log, and bytes in them.
    fn rows(&self) -> (i64, i64) {
        let sql = "SELECT count(*), coalesce(sum(octet_length(text)), 0) FROM chunks";
        self.raw.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
    }
}

#[test]
fn whatever_streams_beside_it_an_answer_is_what_was_appended_to_it() {
    for seed in 0..24 {
        let mut history = Course::new(seed);
        eprint_seed(seed);
        for nth in 0..120 {
            history.step();
            if nth % 8 == 0 {
                history.check();
            }
        }
        history.check();
        if seed % 2 == 0 {
            // As after a crash: what streams is folded by the next start.
            let (fresh, _) = history.fresh.reopened(NOW);
            history.fresh = fresh;
        } else {
            let under_way = history.places.iter().filter_map(|(id, place)| Some((*id, place.turn.clone()?)));
            for (session, turn) in under_way.collect::<Vec<_>>() {
                history.end(session, &turn);
            }
        }
        history.check();
        let (rows, bytes) = history.rows();
        assert!(rows <= 1 && bytes == 0, "{rows} rows of {bytes} bytes are left");
    }
}

/// A failure prints which history it was.
fn eprint_seed(seed: u64) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "chunks: seed {seed}");
}

#[test]
fn the_log_is_trimmed_up_to_what_still_streams() {
    let fresh = Fresh::new();
    let raw = Connection::open(fresh.path()).unwrap();
    let left = || -> Vec<String> {
        let mut rows = raw.prepare("SELECT text FROM chunks ORDER BY id").unwrap();
        rows.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    let turns: Vec<Turn> = (0..3).map(|_| fresh.start(fresh.session().id, "q")).collect();
    let big = "x".repeat(5_000);
    for (nth, words) in [(0, "a"), (1, "b"), (0, &big), (2, "c"), (1, "d"), (0, "e")] {
        fresh.write(AppendChunks { answer: turns[nth].answer, chunks: text(words) });
    }
    // Behind the head what has pages of its own goes at once, and what is small stays.
    fresh.write(completed(&turns[0]));
    assert_eq!(left(), ["a", "b", "c", "d", "e"]);
    let sized = "SELECT octet_length(text) FROM messages WHERE id = ?1";
    assert_eq!(raw.query_row(sized, [turns[0].answer], |row| row.get::<_, i64>(0)).unwrap(), 5_002);
    // The first of the others began before anything was appended.
    fresh.write(completed(&turns[1]));
    fresh.write(completed(&turns[2]));
    assert_eq!(left(), [""]);
    // And what streams next is behind all that was.
    let turn = fresh.start(fresh.session().id, "q");
    fresh.write(AppendChunks { answer: turn.answer, chunks: text("f") });
    assert_eq!(left(), ["", "f"]);
    let ids = raw.query_row("SELECT min(id), max(id) FROM chunks", [], |row| Ok((row.get(0)?, row.get(1)?)));
    assert_eq!(ids.unwrap(), (6_i64, 7_i64));
}

/// Two attempts that begin at the same place in the log, for nothing was appended between.
#[test]
fn an_attempt_is_not_taken_for_the_one_before_it() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    let turn = fresh.start(session, "q");
    let look = || fresh.read(OutputSince { session, seen: Default::default(), max_bytes: u64::MAX }).stream.unwrap();
    let first = look();
    let (entry_state, answer_state) = (EntryState::Pending, AnswerState::Interrupted);
    fresh.write(EndTurn { chunks: text("one"), entry_state, answer_state, continues: true, ..completed(&turn) });
    let again = fresh.write(StartTurn { entry: turn.entry, now: NOW });
    assert_eq!((again.answer, look().first_chunk), (first.message, first.first_chunk));
    fresh.write(AppendChunks { answer: turn.answer, chunks: text(" two") });
    let since = |stream| fresh.read(ChunksSince { after: 0, streams: vec![stream], max_bytes: 100 });
    assert_eq!((since(first).rows, since(first).over), (vec![], [first.message].into()));
    let grown = since(look());
    assert_eq!((grown.rows.len(), grown.rows[0].text.as_str(), grown.over.len()), (1, " two", 0));
}

#[test]
fn what_is_read_at_once_is_bounded() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    let turn = fresh.start(session, "q");
    let stream = fresh.read(OutputSince { session, seen: Default::default(), max_bytes: 0 }).stream.unwrap();
    for word in ["one", "two", "three"] {
        fresh.write(AppendChunks { answer: turn.answer, chunks: text(word) });
    }
    let (mut after, mut got) = (0, Vec::new());
    for more in [true, false] {
        let found = fresh.read(ChunksSince { after, streams: vec![stream], max_bytes: 7 });
        assert_eq!(found.more, more);
        got.extend(found.rows.into_iter().map(|row| row.text));
        after = found.last;
    }
    assert_eq!((got.concat().as_str(), after), ("onetwothree", 3));
    // One that is larger than that comes alone.
    let found = fresh.read(ChunksSince { after: 0, streams: vec![stream], max_bytes: 1 });
    assert_eq!((found.rows.len(), found.last, found.more), (1, 1, true));
}
