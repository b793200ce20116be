//! One turn with a model that a test plays, and a real store.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Assignment, Ended, What, run};
use crate::domain::limits::MAX_ANSWER_BYTES;
use crate::domain::{
    Clock, Delta, EntryId, ErrorKind, FinishReason, Kept, Origin, Priority, ProviderError, SessionId, Timestamp, Usage,
};
use crate::provider::{Demo, Piece, Pieces, Provider, Request, Timeouts};
use crate::queue::{Came, Outcome};
use crate::store::{CreateSession, Enqueue, FindMessage, StartTurn, Store, Turn};

const QUESTION: &str = "one two three four";
const CLOCK: Clock = Clock(|| Timestamp(1_700_000_000_000));

/// Yields these pieces, and then nothing, for ever or as an end.
#[derive(Debug)]
struct Fixed {
    pieces: Vec<Result<Piece, ProviderError>>,
    silent: bool,
}

impl Provider for Fixed {
    fn stream(&self, _: Request) -> Pieces {
        use futures_util::StreamExt;
        let pieces = stream::iter(self.pieces.clone());
        if self.silent { Box::pin(pieces.chain(stream::pending())) } else { Box::pin(pieces) }
    }
}

struct Bench {
    store: Store,
    turn: Turn,
    kept: Kept,
    reports: mpsc::Receiver<super::Report>,
    cancel: CancellationToken,
    _folder: tempfile::TempDir,
}

/// Starts a turn with this model.
fn start(pieces: Vec<Result<Piece, ProviderError>>, silent: bool) -> Bench {
    start_with(Arc::new(Fixed { pieces, silent }), "m", 1, Kept::default())
}

/// Starts a turn whose answer has `kept` already.
fn start_with(provider: Arc<dyn Provider>, model: &str, attempt: u32, kept: Kept) -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(&folder.path().join("db"), CLOCK.now()).unwrap();
    let (model, now) = (format!("fixed:{model}").parse().unwrap(), CLOCK.now());
    let session = store.write_blocking(CreateSession { name: None, model, system: String::new(), now }).unwrap().id;
    let (priority, origin, text) = (Priority::Normal, Origin::User, QUESTION.to_owned());
    let entry = store.write_blocking(Enqueue { session, priority, origin, text, now }).unwrap().id;
    let turn = store.write_blocking(StartTurn { entry, now }).unwrap();
    let (sender, reports) = mpsc::channel(8);
    let cancel = CancellationToken::new();
    let assignment = Assignment {
        session: SessionId(1),
        entry: EntryId(1),
        question: turn.question,
        answer: turn.answer,
        attempt,
        kept: kept.clone(),
        model: turn.model.clone(),
        system: String::new(),
        provider: Ok(provider),
    };
    tokio::spawn(run(assignment, store.clone(), CLOCK, sender, cancel.clone()));
    Bench { store, turn, kept, reports, cancel, _folder: folder }
}

impl Bench {
    /// Everything that was reported: the text, the reasoning, and the end.
    async fn all(&mut self) -> (String, String, Ended) {
        let (mut text, mut reasoning) = (String::new(), String::new());
        loop {
            match self.reports.recv().await.unwrap().what {
                What::Delta { start, delta: Delta::Text(more) } => {
                    assert_eq!(start, (self.kept.text.len() + text.len()) as u64);
                    text += &more;
                }
                What::Delta { start, delta: Delta::Reasoning(more) } => {
                    assert_eq!(start, self.kept.reasoning_bytes + reasoning.len() as u64);
                    reasoning += &more;
                }
                What::Progress { silent, alive } => panic!("silent for {silent:?}, alive: {alive}"),
                What::Store(news) => panic!("the store is sound: {news:?}"),
                What::Ended(ended) => return (text, reasoning, *ended),
            }
        }
    }

    async fn stored(&self) -> String {
        self.store.read(FindMessage(self.turn.answer)).await.unwrap().unwrap().text
    }
}

fn text(text: &str) -> Result<Piece, ProviderError> {
    Ok(Piece::Text(text.to_owned()))
}

#[tokio::test]
async fn what_comes_is_reported_in_order_and_the_end_with_it() {
    let usage = |input, output| Ok(Piece::Usage(Usage { input, output }));
    let mut b = start(
        vec![
            Ok(Piece::Reasoning("hm".into())),
            text("a"),
            usage(Some(3), Some(1)),
            text("b"),
            Ok(Piece::Finish(FinishReason::Length.into())),
            usage(None, Some(2)),
        ],
        false,
    );
    let (text, reasoning, ended) = b.all().await;
    assert_eq!((text.as_str(), reasoning.as_str()), ("ab", "hm"));
    assert_eq!(ended.outcome, Outcome::Finished(FinishReason::Length));
    assert_eq!(ended.usage, Usage { input: Some(3), output: Some(2) });
    assert_eq!(ended.finish, Some(FinishReason::Length.into()));
    assert!(ended.came == Came::Text && ended.first_at.is_some());
}

/// Yields each of these pieces after its pause.
#[derive(Debug)]
struct Paced(Vec<(u64, Piece)>);

impl Provider for Paced {
    fn stream(&self, _: Request) -> Pieces {
        Box::pin(stream::unfold(self.0.clone().into_iter(), async |mut pieces| {
            let (seconds, piece) = pieces.next()?;
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            Some((Ok(piece), pieces))
        }))
    }
}

/// What a turn with these pieces reports, but for its end: a silence as `silent 10 alive`, content as its text.
async fn reported(pieces: Vec<(u64, Piece)>) -> Vec<String> {
    let mut b = start_with(Arc::new(Paced(pieces)), "m", 1, Kept::default());
    let mut said = Vec::new();
    loop {
        match b.reports.recv().await.unwrap().what {
            What::Delta { delta, .. } => said.push(delta.text().to_owned()),
            What::Progress { silent, alive } => {
                said.push(format!("silent {}{}", silent.as_secs(), if alive { " alive" } else { "" }));
            }
            What::Store(news) => panic!("the store is sound: {news:?}"),
            What::Ended(_) => return said,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_silence_is_reported_every_ten_seconds_and_whether_bytes_came() {
    let finish = || Piece::Finish(FinishReason::Stop.into());
    let word = |text: &str| Piece::Text(text.to_owned());
    let mut pieces = vec![(4, Piece::Alive), (9, Piece::Alive)];
    pieces.extend([(22, word("a")), (9, word("b")), (9, Piece::Reasoning("c".to_owned()))]);
    // Usage is no content.
    pieces.extend([(6, Piece::Usage(Usage { input: Some(3), output: None })), (6, word("d")), (0, finish())]);
    let said = reported(pieces).await;
    let expected = ["silent 10 alive", "silent 20 alive", "silent 30", "a", "b", "c", "silent 10 alive", "d"];
    assert_eq!(said, expected);
}

#[tokio::test(start_paused = true)]
async fn while_content_comes_no_silence_is_reported() {
    let mut pieces: Vec<_> = (0..100).map(|_| (9, Piece::Text("w".to_owned()))).collect();
    pieces.push((0, Piece::Finish(FinishReason::Stop.into())));
    assert_eq!(reported(pieces).await, vec!["w"; 100]);
}

#[tokio::test]
async fn an_end_without_a_stop_reason_is_no_end() {
    let mut b = start(vec![text("half")], false);
    let (_, _, ended) = b.all().await;
    assert!(matches!(ended.outcome, Outcome::Failed(e) if e.kind == ErrorKind::Truncated && e.retryable));
}

#[tokio::test]
async fn an_error_behind_the_stop_reason_counts_more() {
    // The provider yields one only then.
    let error = Err(ProviderError::fatal(ErrorKind::Server, "no more"));
    let mut b = start(vec![text("half"), Ok(Piece::Finish(FinishReason::Stop.into())), error], false);
    let ended = b.all().await.2;
    assert!(matches!(ended.outcome, Outcome::Failed(e) if e.text == "no more"));
    assert_eq!(ended.finish, None);
}

#[tokio::test]
async fn a_partial_reaches_the_disk_while_the_stream_is_silent() {
    let mut b = start(vec![text("so "), text("far")], true);
    let on_disk = async {
        while b.stored().await != "so far" {
            tokio::task::yield_now().await;
        }
    };
    // The bound is for a broken worker.
    tokio::time::timeout(Duration::from_secs(20), on_disk).await.unwrap();
    b.cancel.cancel();
    let (_, _, ended) = b.all().await;
    assert_eq!((ended.outcome, ended.tail, ended.came), (Outcome::Stopped, vec![], Came::Text));
}

#[tokio::test]
async fn what_is_not_on_the_disk_comes_with_the_end() {
    let mut b = start(vec![text("a"), Ok(Piece::Finish(FinishReason::Stop.into()))], false);
    let (_, _, ended) = b.all().await;
    let tail: String = ended.tail.iter().map(Delta::text).collect();
    assert_eq!(b.stored().await + &tail, "a");
}

#[tokio::test]
async fn an_answer_without_end_is_ended_at_its_bound() {
    let piece = "é".repeat(1 << 18);
    let pieces = (0..=MAX_ANSWER_BYTES / piece.len()).map(|_| text(&piece)).collect();
    let mut b = start(pieces, true);
    let (text, _, ended) = b.all().await;
    assert_eq!(text.len(), MAX_ANSWER_BYTES);
    assert!(matches!(ended.outcome, Outcome::Failed(e) if e.kind == ErrorKind::TooLarge && !e.retryable));
}

#[tokio::test]
async fn a_model_that_is_not_there_is_a_failure_and_no_panic() {
    let mut b = start(vec![Err(ProviderError::fatal(ErrorKind::Configuration, "no key"))], false);
    let (_, _, ended) = b.all().await;
    assert_eq!(ended.came, Came::Nothing);
    assert!(matches!(ended.outcome, Outcome::Failed(e) if e.kind == ErrorKind::Configuration));
}

#[tokio::test]
async fn an_answer_goes_on_from_what_was_kept() {
    let demo = || Arc::new(Demo::new(Timeouts::default()));
    let model = "echo?think=hm&fail=cut@3x1";
    let mut b = start_with(demo(), model, 1, Kept::default());
    let (said, thought, ended) = b.all().await;
    assert_eq!((said.as_str(), thought.as_str(), ended.came), ("one two ", "hm", Came::Text));
    assert!(matches!(ended.outcome, Outcome::Failed(e) if e.kind == ErrorKind::Truncated));
    let mut b = start_with(demo(), model, 2, Kept { text: said.clone(), reasoning_bytes: 2 });
    let (rest, thought, ended) = b.all().await;
    assert_eq!((said + &rest, thought.as_str()), (QUESTION.to_owned(), ""));
    assert_eq!((ended.outcome, ended.came), (Outcome::Finished(FinishReason::Stop), Came::Text));
    let tail: String = ended.tail.iter().map(Delta::text).collect();
    assert_eq!(b.stored().await + &tail, rest, "what was kept is in the store already and is not added again");
}

#[tokio::test]
async fn what_came_counts_what_was_kept() {
    let check = async |text: &str, reasoning_bytes, piece: Option<Piece>, expected| {
        let pieces = piece.into_iter().map(Ok).collect();
        let kept = Kept { text: text.to_owned(), reasoning_bytes };
        let mut b = start_with(Arc::new(Fixed { pieces, silent: false }), "m", 1, kept);
        assert_eq!(b.all().await.2.came, expected, "{text:?} {reasoning_bytes}");
    };
    check("", 0, None, Came::Nothing).await;
    check("", 3, None, Came::Reasoning).await;
    check("", 0, Some(Piece::Reasoning("r".into())), Came::Reasoning).await;
    check("a", 3, None, Came::Text).await;
    check("", 3, Some(Piece::Text("a".into())), Came::Text).await;
    check("a", 0, Some(Piece::Reasoning("r".into())), Came::Text).await;
}

#[tokio::test]
async fn the_bound_of_an_answer_counts_what_was_kept() {
    let kept = Kept { text: "x".repeat(MAX_ANSWER_BYTES - 4), reasoning_bytes: 2 };
    let mut b = start_with(Arc::new(Fixed { pieces: vec![text("abc")], silent: true }), "m", 2, kept);
    let (said, _, ended) = b.all().await;
    assert_eq!(said, "ab");
    assert!(matches!(ended.outcome, Outcome::Failed(e) if e.kind == ErrorKind::TooLarge));
}

#[tokio::test]
async fn an_answer_that_was_whole_when_it_was_told_to_end_is_whole() {
    let mut b = start(vec![text("all"), Ok(Piece::Finish(FinishReason::Stop.into()))], true);
    b.reports.recv().await.unwrap();
    // The stream stays open behind the stop reason.
    b.cancel.cancel();
    let (_, _, ended) = b.all().await;
    assert_eq!((ended.outcome, ended.finish), (Outcome::Finished(FinishReason::Stop), Some(FinishReason::Stop.into())));
}
