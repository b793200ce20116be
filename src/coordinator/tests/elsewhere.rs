//! What another process answers is shown here once, whole and in order, whatever it does and whenever one looks. The other process is a
//! second store on the same file.

use std::collections::BTreeMap;
use std::time::Duration;

use super::following::{Rng, Screen, drain, go_to};
use super::{Bench, CLOCK, settle, terminal, watching_bench};
use crate::domain::{AnswerState, EntryState, Origin, Priority, SessionId, Usage};
use crate::store::{AppendChunks, ChunkKind, EndTurn, Enqueue, StartTurn, Store, Turn};

const SESSIONS: i64 = 3;
const STEPS: usize = 150;

/// What the other process does in a session, and what is to be seen of that.
#[derive(Default)]
struct Place {
    turn: Option<Turn>,
    /// Is gone on from next.
    cut: Option<Turn>,
    answered: usize,
    expected: String,
    thought: String,
}

struct Other {
    store: Store,
    word: u32,
}

impl Other {
    async fn start(&mut self, session: SessionId, place: &mut Place) {
        let now = CLOCK.now();
        let entry = match place.cut.take() {
            Some(cut) => cut.entry,
            None => {
                self.word += 1;
                let text = format!("q{}", self.word);
                place.expected += &format!("<{text}>");
                place.answered = 0;
                let (priority, origin) = (Priority::Normal, Origin::User);
                self.store.write(Enqueue { session, priority, origin, text, now }).await.unwrap().id
            }
        };
        place.turn = Some(self.store.write(StartTurn { entry, now }).await.unwrap());
    }

    fn say(&mut self, rng: &mut Rng, place: &mut Place) -> Vec<(ChunkKind, String)> {
        let mut chunks = Vec::new();
        for _ in 0..=rng.below(3) {
            self.word += 1;
            let piece = format!("w{}é ", self.word).repeat(1 + rng.below(20) as usize);
            if rng.below(4) == 0 {
                place.thought += &piece;
                chunks.push((ChunkKind::Reasoning, piece));
            } else {
                place.expected += &piece;
                place.answered += piece.len();
                chunks.push((ChunkKind::Text, piece));
            }
        }
        chunks
    }

    async fn end(&mut self, rng: &mut Rng, place: &mut Place, turn: Turn) {
        let chunks = if rng.below(2) == 0 { self.say(rng, place) } else { Vec::new() };
        let continues = place.answered > 0 && rng.below(2) == 0;
        let (answer_state, entry_state) = match continues {
            true => (AnswerState::Interrupted, EntryState::Pending),
            false => (AnswerState::Complete, EntryState::Done),
        };
        let end = EndTurn {
            entry: turn.entry,
            answer: turn.answer,
            chunks,
            answer_state,
            entry_state,
            continues,
            finish: None,
            usage: Usage::default(),
            error: None,
            counts: !continues,
            unanswered: false,
            gave_way: continues,
            not_before: None,
            first_at: None,
            first_after: None,
            follow: None,
            now: CLOCK.now(),
        };
        self.store.write(end).await.unwrap();
        if continues {
            place.cut = Some(turn);
        } else {
            place.expected += "<end>";
        }
    }

    async fn act(&mut self, rng: &mut Rng, session: SessionId, place: &mut Place) {
        match place.turn.take() {
            None => self.start(session, place).await,
            Some(turn) if rng.below(6) == 0 => self.end(rng, place, turn).await,
            Some(turn) => {
                let (answer, chunks) = (turn.answer, self.say(rng, place));
                self.store.write(AppendChunks { answer, chunks }).await.unwrap();
                place.turn = Some(turn);
            }
        }
    }
}

async fn play(seed: u64, replay_bytes: usize) {
    let mut rng = Rng(seed);
    let (front, mut frames) = terminal();
    let b: Bench = watching_bench(SESSIONS as usize, replay_bytes, front);
    let (store, _) = Store::open(&b.folder.path().join("db"), CLOCK.now()).unwrap();
    let mut other = Other { store, word: 0 };
    let mut screen = Screen::new(SessionId(1));
    let mut places: BTreeMap<_, _> = (1..=SESSIONS).map(|id| (SessionId(id), Place::default())).collect();
    for _ in 0..STEPS {
        let session = SessionId(1 + rng.below(SESSIONS as u64) as i64);
        match rng.below(12) {
            0..=7 => other.act(&mut rng, session, places.get_mut(&session).unwrap()).await,
            8 => go_to(&b, session.0).await,
            9 => settle().await,
            // Not to wait for anything: looks fall between what is written in other places then.
            10 => tokio::time::sleep(Duration::from_millis(rng.below(4))).await,
            _ => {
                while let Some(frame) = frames.try_recv() {
                    screen.draw(frame);
                    b.handle.prompt().await.unwrap();
                }
            }
        }
    }
    for (session, place) in &mut places {
        while place.turn.is_some() || place.cut.is_some() {
            match place.turn.take() {
                Some(turn) => other.end(&mut rng, place, turn).await,
                None => other.start(*session, place).await,
            }
        }
    }
    for (session, place) in &places {
        go_to(&b, session.0).await;
        if !place.expected.is_empty() {
            drain(&mut frames, &mut screen, *session, &place.expected).await;
        }
        assert_eq!(screen.cut.get(session).copied().unwrap_or(0), 0, "seed {seed}");
        let shown = screen.shown.get(session).map_or("", String::as_str);
        assert_eq!(shown, place.expected, "seed {seed}, session {session}");
        let thought = screen.thought.get(session).map_or("", String::as_str);
        assert_eq!(thought, place.thought, "seed {seed}, session {session}");
    }
}

#[tokio::test]
async fn what_another_process_answers_is_neither_lost_nor_doubled() {
    for seed in 0..12 {
        eprint_seed(seed);
        play(seed, 1 << 20).await;
        // With so little in memory the store has to help out.
        play(seed, 2_000).await;
    }
}

/// A failure prints which history it was.
fn eprint_seed(seed: u64) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "elsewhere: seed {seed}");
}
