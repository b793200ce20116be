//! From pieces to batches. What came first goes at once; what follows within `REPORT_INTERVAL` travels together: a stream
//! that is faster than anyone reads costs a report an interval, not a report (and three threads woken) a token.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::StreamExt;
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use crate::domain::{Delta, Finish, ProviderError, Usage};
use crate::provider::{Piece, Pieces};

/// Between two reports of one stream. A tenth of what a frame of the terminal takes, so that nobody sees it.
const REPORT_INTERVAL: Duration = Duration::from_millis(2);
/// Content that is reported at once at most; more is reported as the next batch.
const BATCH_BYTES: usize = 16 << 10;
/// A provider ends its stream soon after the stop reason; when it does is its own rule (`provider::answer`). This bound is for one that
/// does not. Content begins the time anew, and nothing else does.
const FINISH_GRACE: Duration = Duration::from_secs(15);

/// What came from the stream in one go.
#[derive(Default)]
pub(super) struct Batch {
    /// Content, neighbours of one kind joined.
    pub(super) deltas: Vec<Delta>,
    /// Tokens, as far as they were said.
    pub(super) usage: Usage,
    /// The stop reason, when it was among this.
    pub(super) finish: Option<Finish>,
    /// Nothing follows.
    pub(super) end: Option<Result<(), ProviderError>>,
    bytes: usize,
}

impl Batch {
    fn add(&mut self, delta: Delta) {
        // The model had not stopped yet.
        self.finish = None;
        self.bytes += delta.text().len();
        match (self.deltas.last_mut(), &delta) {
            (Some(Delta::Text(last)), Delta::Text(text)) | (Some(Delta::Reasoning(last)), Delta::Reasoning(text)) => {
                last.push_str(text);
            }
            _ => self.deltas.push(delta),
        }
    }
}

/// A stream and what came from it that was not given on yet.
pub(super) struct Gather {
    pieces: Pieces,
    held: Batch,
    /// The end of the answer, should it be given up now.
    withheld: Option<Delta>,
    /// Something without content came since that was last asked.
    alive: bool,
    /// The next batch goes no earlier; nothing was given yet: at once.
    not_before: Option<Instant>,
    pause: Option<Pin<Box<Sleep>>>,
    /// Runs from the stop reason on, and from what comes behind it.
    grace: Option<Pin<Box<Sleep>>>,
}

impl Gather {
    pub(super) fn new(pieces: Pieces) -> Self {
        Self {
            pieces,
            held: Batch::default(),
            withheld: None,
            alive: false,
            not_before: None,
            pause: None,
            grace: None,
        }
    }

    /// The next batch. Can be dropped and called again at any time: what came is kept here. Not to be called after the end.
    pub(super) async fn next(&mut self) -> Batch {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    /// What is held now, for a stream that is given up.
    pub(super) fn give_up(&mut self) -> Batch {
        if let Some(delta) = self.withheld.take() {
            self.held.add(delta);
        }
        std::mem::take(&mut self.held)
    }

    /// Whether anything without content came since this was last asked.
    pub(super) fn take_alive(&mut self) -> bool {
        std::mem::take(&mut self.alive)
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Batch> {
        while self.held.end.is_none() && self.held.bytes < BATCH_BYTES {
            match self.pieces.poll_next_unpin(cx) {
                Poll::Ready(next) => self.absorb(next),
                Poll::Pending => {
                    ready!(self.poll_held(cx));
                    break;
                }
            }
        }
        self.not_before = Some(Instant::now() + REPORT_INTERVAL);
        Poll::Ready(std::mem::take(&mut self.held))
    }

    /// Nothing comes at the moment: ready when what is held shall go.
    fn poll_held(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(grace) = &mut self.grace
            && grace.as_mut().poll(cx).is_ready()
        {
            self.held.end = Some(Ok(()));
            return Poll::Ready(());
        }
        if self.held.bytes == 0 {
            return Poll::Pending;
        }
        let Some(not_before) = self.not_before else { return Poll::Ready(()) };
        match &mut self.pause {
            // Under way already: it need not be asked what time it is at each piece.
            Some(pause) if pause.deadline() == not_before => pause.as_mut().poll(cx),
            // A timer is late by up to a millisecond, so that the clock is asked first.
            _ if not_before <= Instant::now() => Poll::Ready(()),
            Some(pause) => {
                pause.as_mut().reset(not_before);
                pause.as_mut().poll(cx)
            }
            None => self.pause.insert(Box::pin(sleep_until(not_before))).as_mut().poll(cx),
        }
    }

    fn absorb(&mut self, next: Option<Result<Piece, ProviderError>>) {
        let held = &mut self.held;
        if let (Some(grace), Some(Ok(Piece::Text(_) | Piece::Reasoning(_)))) = (&mut self.grace, &next) {
            grace.as_mut().reset(Instant::now() + FINISH_GRACE);
        }
        match next {
            None => held.end = Some(Ok(())),
            Some(Err(error)) => held.end = Some(Err(error)),
            Some(Ok(Piece::Alive)) => self.alive = true,
            Some(Ok(Piece::Usage(usage))) => {
                self.alive = true;
                held.usage.input = usage.input.or(held.usage.input);
                held.usage.output = usage.output.or(held.usage.output);
            }
            Some(Ok(Piece::Finish(reason))) => {
                held.finish = Some(reason);
                self.grace.get_or_insert_with(|| Box::pin(sleep(FINISH_GRACE)));
            }
            Some(Ok(Piece::Withheld(delta))) => self.withheld = Some(delta),
            Some(Ok(Piece::Text(text))) => {
                self.withheld = None;
                held.add(Delta::Text(text));
            }
            Some(Ok(Piece::Reasoning(text))) => {
                self.withheld = None;
                held.add(Delta::Reasoning(text));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use tokio::sync::mpsc;

    use super::*;
    use crate::domain::FinishReason;

    fn pieces(mut from: mpsc::Receiver<Result<Piece, ProviderError>>) -> Pieces {
        Box::pin(stream::poll_fn(move |cx| from.poll_recv(cx)))
    }

    fn text(batch: &Batch) -> String {
        batch.deltas.iter().map(Delta::text).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_goes_at_once_and_the_rest_together() {
        let (stream, from) = mpsc::channel(16);
        let mut gather = Gather::new(pieces(from));
        let began = Instant::now();
        let say = async |text: &str| stream.send(Ok(Piece::Text(text.to_owned()))).await.unwrap();
        say("a").await;
        assert_eq!((text(&gather.next().await), began.elapsed()), ("a".to_owned(), Duration::ZERO));
        say("b").await;
        let late = async {
            tokio::time::sleep(REPORT_INTERVAL / 2).await;
            say("c").await;
        };
        let (batch, ()) = tokio::join!(gather.next(), late);
        assert_eq!((text(&batch), began.elapsed() >= REPORT_INTERVAL), ("bc".to_owned(), true));
        // After a pause it goes at once again.
        tokio::time::sleep(REPORT_INTERVAL * 5).await;
        let before = Instant::now();
        say("d").await;
        assert_eq!((text(&gather.next().await), before.elapsed()), ("d".to_owned(), Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_held_is_there_when_the_stream_is_given_up_or_ends() {
        let (stream, from) = mpsc::channel(16);
        let mut gather = Gather::new(pieces(from));
        for piece in ["a", "b"] {
            stream.send(Ok(Piece::Text(piece.to_owned()))).await.unwrap();
            if piece == "a" {
                gather.next().await;
            }
        }
        // What may be the beginning of a key is the answer's end, unless more comes.
        stream.send(Ok(Piece::Withheld(Delta::Text("s".to_owned())))).await.unwrap();
        assert!(tokio::time::timeout(Duration::from_micros(1), gather.next()).await.is_err());
        assert_eq!(text(&gather.give_up()), "bs");
        stream.send(Ok(Piece::Withheld(Delta::Text("c".to_owned())))).await.unwrap();
        stream.send(Ok(Piece::Text("c".to_owned()))).await.unwrap();
        drop(stream);
        let batch = gather.next().await;
        assert_eq!((text(&batch), batch.end), ("c".to_owned(), Some(Ok(()))));
    }

    #[tokio::test(start_paused = true)]
    async fn after_the_stop_reason_the_end_is_not_waited_for_long() {
        let (stream, from) = mpsc::channel(16);
        let mut gather = Gather::new(pieces(from));
        stream.send(Ok(Piece::Finish(FinishReason::Stop.into()))).await.unwrap();
        let batch = gather.next().await;
        assert_eq!((batch.finish, batch.end), (Some(FinishReason::Stop.into()), Some(Ok(()))));
        drop(stream);
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_behind_the_stop_reason_is_of_the_answer() {
        let (stream, from) = mpsc::channel(16);
        let mut gather = Gather::new(pieces(from));
        let server = async {
            for word in ["a", "b", "c"] {
                stream.send(Ok(Piece::Finish(FinishReason::Stop.into()))).await.unwrap();
                stream.send(Ok(Piece::Text(word.to_owned()))).await.unwrap();
                tokio::time::sleep(FINISH_GRACE * 4 / 5).await;
            }
            // Bytes that are no content keep it from its end no longer.
            loop {
                stream.send(Ok(Piece::Alive)).await.unwrap();
                tokio::time::sleep(FINISH_GRACE / 5).await;
            }
        };
        let client = async {
            let mut said = String::new();
            loop {
                let batch = gather.next().await;
                said += &text(&batch);
                if let Some(end) = batch.end {
                    return (said, end);
                }
            }
        };
        let ended = tokio::select! {
            ended = client => ended,
            () = server => unreachable!("it sends without end"),
        };
        assert_eq!(ended, ("abc".to_owned(), Ok(())));
    }
}
