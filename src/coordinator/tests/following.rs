//! Whatever a person does at a terminal, and however slow it is: each session's text is shown once, whole and in order.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::Duration;

use super::{Asked, Bench, Frames, bench, message, terminal};
use crate::coordinator::{Submission, SwitchTo, Which};
use crate::domain::{ErrorKind, FinishReason, Frame, Origin, Priority, ProviderError, SessionId, SessionRef, Show};

const SESSIONS: i64 = 3;
/// Smaller than what streams while one looks away, so that the store has to help out.
const REPLAY_BYTES: usize = 2_000;

/// What the person has seen of each session. Questions are shown as `<q>`, ends as `<end>`.
pub(super) struct Screen {
    active: SessionId,
    pub(super) shown: BTreeMap<SessionId, String>,
    pub(super) thought: BTreeMap<SessionId, String>,
    pub(super) cut: BTreeMap<SessionId, u64>,
    goes_on: Vec<String>,
}

impl Screen {
    pub(super) fn new(active: SessionId) -> Self {
        Self { active, shown: BTreeMap::new(), thought: BTreeMap::new(), cut: BTreeMap::new(), goes_on: Vec::new() }
    }

    pub(super) fn draw(&mut self, frame: Frame) {
        for show in frame.shows {
            let said = match show {
                Show::Switched { session, cut_bytes, .. } => {
                    self.active = session;
                    *self.cut.entry(session).or_default() += cut_bytes;
                    continue;
                }
                Show::Question { session, text, .. } => {
                    assert_eq!(session, self.active);
                    format!("<{text}>")
                }
                Show::Text(text) => text,
                Show::Reasoning(text) => {
                    self.thought.entry(self.active).or_default().push_str(&text);
                    continue;
                }
                Show::End { .. } => "<end>".to_owned(),
                Show::GoesOn(text) => {
                    self.goes_on.push(text);
                    continue;
                }
                Show::Notice(_) | Show::Queued { .. } | Show::Alert(_) => continue,
                other @ (Show::Error(_) | Show::Command { .. } | Show::Block(_) | Show::Look(_)) => {
                    panic!("{other:?}")
                }
            };
            self.shown.entry(self.active).or_default().push_str(&said);
        }
    }
}

pub(super) struct Rng(pub(super) u64);

impl Rng {
    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

pub(super) async fn go_to(b: &Bench, session: i64) {
    let to = SwitchTo::Session(SessionRef::Id(SessionId(session)));
    b.handle.switch(to, None).await.unwrap();
}

/// Takes frames until the end of `expected` is on the screen.
pub(super) async fn drain(frames: &mut Frames, screen: &mut Screen, session: SessionId, expected: &str) {
    let end = &expected[expected.ceil_char_boundary(expected.len().saturating_sub(60))..];
    while !screen.shown.get(&session).is_some_and(|shown| shown.ends_with(end)) {
        // The deadline is for a broken coordinator; a whole one is asked for nothing but the next frame.
        let next = tokio::time::timeout(Duration::from_secs(20), frames.recv()).await;
        screen.draw(next.expect("nothing more is shown").expect("the coordinator lives"));
    }
}

async fn play(seed: u64) {
    let mut rng = Rng(seed);
    let (front, mut frames) = terminal();
    let mut b = bench(SESSIONS as usize, 8, REPLAY_BYTES, front);
    let mut screen = Screen::new(SessionId(1));
    let mut streams: BTreeMap<i64, Asked> = BTreeMap::new();
    let mut expected: BTreeMap<SessionId, String> = BTreeMap::new();
    let mut word = 0;
    for _ in 0..150 {
        let session = 1 + rng.below(SESSIONS as u64) as i64;
        let of = SessionId(session);
        match rng.below(10) {
            0..=5 => {
                if let Entry::Vacant(stream) = streams.entry(session) {
                    word += 1;
                    b.handle.submit(message(session, &format!("q{word}"))).await.unwrap();
                    let asked = b.asked.recv().await.unwrap();
                    *expected.entry(of).or_default() += &format!("<q{word}>");
                    stream.insert(asked);
                }
                for _ in 0..=rng.below(8) {
                    word += 1;
                    let text = format!("w{word}é ").repeat(1 + rng.below(40) as usize);
                    streams[&session].say(&text).await;
                    *expected.entry(of).or_default() += &text;
                }
            }
            6 => {
                if let Some(asked) = streams.remove(&session) {
                    asked.finish().await;
                    b.handle.wait(Which::These(vec![SessionRef::Id(of)])).await.unwrap();
                    *expected.entry(of).or_default() += "<end>";
                }
            }
            7 | 8 => go_to(&b, session).await,
            _ => {
                while let Some(frame) = frames.try_recv() {
                    screen.draw(frame);
                    b.handle.prompt().await.unwrap();
                }
            }
        }
    }
    for (session, asked) in std::mem::take(&mut streams) {
        asked.finish().await;
        *expected.entry(SessionId(session)).or_default() += "<end>";
    }
    b.handle.wait(Which::All).await.unwrap();
    for session in 1..=SESSIONS {
        go_to(&b, session).await;
        if let Some(expected) = expected.get(&SessionId(session)) {
            drain(&mut frames, &mut screen, SessionId(session), expected).await;
        }
    }
    for (session, expected) in &expected {
        let shown = screen.shown.get(session).map_or("", String::as_str);
        if screen.cut.get(session).copied().unwrap_or(0) == 0 {
            let same = shown.bytes().zip(expected.bytes()).take_while(|(a, b)| a == b).count();
            let around = |text: &str| {
                let (from, to) = (same.saturating_sub(60).min(text.len()), (same + 60).min(text.len()));
                text[text.floor_char_boundary(from)..text.ceil_char_boundary(to)].to_owned()
            };
            let (got, wanted) = (around(shown), around(expected));
            assert!(shown == expected, "seed {seed}, session {session}, at {same}: shown {got:?}, expected {wanted:?}");
        } else {
            // Cut to its end: what is shown at last is the end, whole.
            let tail = expected.len().saturating_sub(500);
            assert!(shown.ends_with(&expected[expected.ceil_char_boundary(tail)..]), "session {session}");
        }
    }
}

#[tokio::test]
async fn nothing_is_missing_or_doubled_whatever_one_does() {
    for seed in 0..60 {
        eprint_seed(seed);
        play(seed).await;
    }
}

/// A failure prints which history it was.
fn eprint_seed(seed: u64) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "following: seed {seed}");
}

#[tokio::test]
async fn cancelling_what_was_overtaken_loses_nothing_of_what_streams() {
    let (front, mut frames) = terminal();
    let mut b = bench(1, 8, REPLAY_BYTES, front);
    let mut screen = Screen::new(SessionId(1));
    let queued = b.handle.submit(message(1, "first")).await.unwrap();
    let busy = ProviderError::transient(ErrorKind::Overloaded, "busy");
    b.asked.recv().await.unwrap().answer.send(Err(busy)).await.unwrap();
    // What is urgent overtakes what waits for its next attempt, once that attempt's end is committed.
    let urgent = Submission { priority: Priority::High, ..message(1, "urgent") };
    b.handle.submit(urgent).await.unwrap();
    let asked = b.asked.recv().await.unwrap();
    assert_eq!(asked.question(), "urgent");
    asked.say("one ").await;
    drain(&mut frames, &mut screen, SessionId(1), "one ").await;
    asked.say("two ").await;
    b.handle.drop_entries(vec![queued[0].entry]).await.unwrap();
    asked.say("three").await;
    asked.finish().await;
    drain(&mut frames, &mut screen, SessionId(1), "<end>").await;
    assert_eq!(screen.shown[&SessionId(1)], "<first><urgent>one two three<end>");
}

#[tokio::test]
async fn the_answer_to_what_was_dead_is_shown() {
    let (front, mut frames) = terminal();
    let mut b = bench(1, 8, REPLAY_BYTES, front);
    let mut screen = Screen::new(SessionId(1));
    b.handle.submit(message(1, "q")).await.unwrap();
    let refused = ProviderError::fatal(ErrorKind::Auth, "no");
    b.asked.recv().await.unwrap().answer.send(Err(refused)).await.unwrap();
    drain(&mut frames, &mut screen, SessionId(1), "<q><end>").await;
    b.handle.retry(Origin::User).await.unwrap();
    let asked = b.asked.recv().await.unwrap();
    asked.say("well").await;
    asked.finish().await;
    drain(&mut frames, &mut screen, SessionId(1), "<q>well<end>").await;
    assert_eq!(screen.shown[&SessionId(1)], "<q><end><q>well<end>");
}

#[tokio::test]
async fn what_gave_way_and_was_overtaken_goes_on_whole_behind_what_overtook_it() {
    let (front, mut frames) = terminal();
    let mut b = bench(2, 1, REPLAY_BYTES, front);
    let mut screen = Screen::new(SessionId(1));
    go_to(&b, 2).await;
    b.handle.submit(Submission { priority: Priority::Low, ..message(2, "low") }).await.unwrap();
    let low = b.asked.recv().await.unwrap();
    low.say("part").await;
    drain(&mut frames, &mut screen, SessionId(2), "<low>part").await;
    go_to(&b, 1).await;
    b.handle.submit(message(1, "now")).await.unwrap();
    let now = b.asked.recv().await.unwrap();
    assert_eq!(now.question(), "now");
    b.handle.submit(message(2, "typed")).await.unwrap();
    go_to(&b, 2).await;
    now.finish().await;
    let typed = b.asked.recv().await.unwrap();
    assert_eq!(typed.question(), "typed");
    assert_eq!(typed.request.messages.len(), 1, "what waits is not part of it");
    typed.say("b").await;
    typed.finish().await;
    let again = b.asked.recv().await.unwrap();
    let texts: Vec<_> = again.request.messages.iter().map(|m| m.text.as_str()).collect();
    assert_eq!(texts, ["typed", "b", "low", "part"]);
    again.say(" rest").await;
    again.finish().await;
    drain(&mut frames, &mut screen, SessionId(2), "<low>part rest<end>").await;
    assert_eq!(screen.shown[&SessionId(2)], "<low>part<typed>b<end><low>part rest<end>");
    let history = b.store.read(crate::store::History { session: SessionId(2), last: 9 }).await.unwrap();
    let texts: Vec<_> = history.iter().map(|m| m.text.as_str()).collect();
    assert_eq!(texts, ["typed", "b", "low", "part rest"]);
    assert_eq!(history[3].seams, [4]);
}

#[tokio::test]
async fn an_answer_that_a_person_continues_goes_on_where_it_ended() {
    let (front, mut frames) = terminal();
    let mut b = bench(1, 8, REPLAY_BYTES, front);
    let mut screen = Screen::new(SessionId(1));
    b.handle.submit(message(1, "q")).await.unwrap();
    let asked = b.asked.recv().await.unwrap();
    asked.say("half").await;
    let cut = ProviderError::transient(ErrorKind::Transport, "connection reset");
    asked.answer.send(Err(cut)).await.unwrap();
    drain(&mut frames, &mut screen, SessionId(1), "<q>half<end>").await;
    b.handle.continue_turn(Origin::User).await.unwrap().expect("there is something to go on from");
    assert!(b.handle.continue_turn(Origin::User).await.is_err(), "it is under way");
    let asked = b.asked.recv().await.unwrap();
    let texts: Vec<_> = asked.request.messages.iter().map(|m| m.text.as_str()).collect();
    assert_eq!(texts, ["q", "half"]);
    asked.say(" and half").await;
    asked.finish().await;
    drain(&mut frames, &mut screen, SessionId(1), "<q>half<end> and half<end>").await;
    assert_eq!(screen.shown[&SessionId(1)], "<q>half<end> and half<end>");
    assert_eq!(screen.goes_on, ["half"], "what stands there says how the rest is meant");
    let history = b.store.read(crate::store::History { session: SessionId(1), last: 9 }).await.unwrap();
    assert_eq!(history.iter().map(|m| m.text.as_str()).collect::<Vec<_>>(), ["q", "half and half"]);
}

#[tokio::test]
async fn a_continued_answer_is_shown_whole_where_it_was_not_seen_and_only_its_rest_where_it_was() {
    for seen in [true, false] {
        let (front, mut frames) = terminal();
        let mut b = bench(2, 8, REPLAY_BYTES, front);
        let mut screen = Screen::new(SessionId(1));
        b.handle.submit(message(1, "q")).await.unwrap();
        let asked = b.asked.recv().await.unwrap();
        asked.say("half").await;
        if seen {
            asked.stop(FinishReason::Length.into()).await;
            drain(&mut frames, &mut screen, SessionId(1), "<q>half<end>").await;
        } else {
            drain(&mut frames, &mut screen, SessionId(1), "<q>half").await;
            go_to(&b, 2).await;
            asked.stop(FinishReason::Length.into()).await;
            b.handle.wait(Which::All).await.unwrap();
            go_to(&b, 1).await;
        }
        b.handle.continue_turn(Origin::User).await.unwrap().expect("there is something to go on from");
        let asked = b.asked.recv().await.unwrap();
        go_to(&b, 2).await;
        asked.give(" and half").await;
        b.handle.wait(Which::All).await.unwrap();
        go_to(&b, 1).await;
        let expected = if seen { "<q>half<end> and half<end>" } else { "<q>half<q>half and half<end>" };
        drain(&mut frames, &mut screen, SessionId(1), expected).await;
        assert_eq!(screen.shown[&SessionId(1)], expected);
    }
}
