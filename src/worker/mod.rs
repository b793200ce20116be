//! The SessionWorker: one task that runs one session's current turn. It asks the provider, reports what comes to the
//! coordinator, keeps the partial in the store at most a checkpoint behind ([`crate::domain::limits`]), and ends when the
//! answer ends or it is told to. It decides nothing: how the turn goes on is the queue's business.
//!
//! ```text
//!  provider ──Piece──► worker ──Delta…Ended──► coordinator      (bounded, awaited: a slow coordinator slows the stream)
//!                        └────checkpoints────► store            (one under way at a time)
//! ```
//!
//! Pieces that come within moments travel together (`gather`), so a fast stream costs a report a moment, not a report a token.

mod gather;
mod partial;
mod silence;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::domain::limits::MAX_ANSWER_BYTES;
use crate::domain::{
    ChatMessage, Clock, Delta, EntryId, ErrorKind, Finish, Kept, MessageId, ModelName, ProviderError, Role, SessionId,
    Timestamp, Usage,
};
use crate::provider::{Pieces, Provider, Request};
use crate::queue::{Came, Outcome};
use crate::store::{Context, Store, StoreError};

use gather::{Batch, Gather};
use partial::Partial;
pub use partial::chunk;
use silence::Silence;

/// Reports that may wait for the coordinator, of all workers together. At the bound the streams wait.
pub const REPORTS: usize = 256;

/// What a worker needs to run one attempt at a turn.
#[derive(Debug, Clone)]
pub struct Assignment {
    /// The session.
    pub session: SessionId,
    /// The entry.
    pub entry: EntryId,
    /// The question's row.
    pub question: MessageId,
    /// The answer's row.
    pub answer: MessageId,
    /// 1 for the first.
    pub attempt: u32,
    /// What the answer's row has already. The attempt goes on from there.
    pub kept: Kept,
    /// Who answers.
    pub model: ModelName,
    /// Instructions; empty: none.
    pub system: String,
    /// The way to the model, or why there is none.
    pub provider: Result<Arc<dyn Provider>, ProviderError>,
}

/// What a worker says to the coordinator.
#[derive(Debug)]
pub struct Report {
    /// The session.
    pub session: SessionId,
    /// The entry.
    pub entry: EntryId,
    /// What there is to say.
    pub what: What,
}

/// What a worker has to say. Any number of deltas, of silences and of news of the store, then one end.
#[derive(Debug)]
pub enum What {
    /// A piece of the answer.
    Delta {
        /// Bytes of the same kind before it, what was kept included.
        start: u64,
        /// The piece.
        delta: Delta,
    },
    /// No content came for some time. At most once in 10 s.
    Progress {
        /// Since the last content, or since the start of the attempt.
        silent: Duration,
        /// Whether bytes without content came since the last of these reports, or since the start.
        alive: bool,
    },
    /// The store began to refuse checkpoints, or takes them again. Meanwhile what comes is kept in memory, up to a bound at which
    /// the stream waits.
    Store(Result<(), StoreError>),
    /// The attempt ended. What it brought is not yet committed.
    Ended(Box<Ended>),
}

/// How an attempt ended.
#[derive(Debug, Clone)]
pub struct Ended {
    /// How.
    pub outcome: Outcome,
    /// What is not in the store yet, to be committed with the end.
    pub tail: Vec<Delta>,
    /// What has come of the whole answer, what was kept of it included.
    pub came: Came,
    /// Why the model stopped: with [`Outcome::Finished`].
    pub finish: Option<Finish>,
    /// Tokens.
    pub usage: Usage,
    /// When the first content came.
    pub first_at: Option<Timestamp>,
    /// From the start of the attempt until then.
    pub first_after: Option<Duration>,
}

/// Runs one attempt to its end. The last thing it does is to send [`What::Ended`].
pub async fn run(
    assignment: Assignment,
    store: Store,
    clock: Clock,
    reports: mpsc::Sender<Report>,
    cancel: CancellationToken,
) {
    let Assignment { session, entry, answer, .. } = assignment;
    let partial = Partial::new(store.clone(), answer, clock);
    let mut turn = Turn { session, entry, clock, reports, partial, state: State::new(&assignment.kept) };
    let outcome = match begin(assignment, &store, &cancel).await {
        Ok(Some(pieces)) => turn.follow(pieces, &cancel).await,
        Ok(None) => Outcome::Stopped,
        Err(error) => Outcome::Failed(error),
    };
    turn.end(outcome).await;
}

/// Reads the history and opens the stream; `None` when it was cancelled meanwhile.
async fn begin(
    assignment: Assignment,
    store: &Store,
    cancel: &CancellationToken,
) -> Result<Option<Pieces>, ProviderError> {
    let provider = assignment.provider?;
    let context = store.read(Context { session: assignment.session, question: assignment.question });
    let mut messages = tokio::select! {
        biased;
        () = cancel.cancelled() => return Ok(None),
        messages = context => messages.map_err(|e| {
            ProviderError::transient(ErrorKind::Configuration, format!("the conversation could not be read: {e}"))
        })?,
    };
    let Assignment { model, system, attempt, kept, .. } = assignment;
    if !kept.text.is_empty() {
        messages.push(ChatMessage { role: Role::Assistant, text: kept.text });
    }
    Ok(Some(provider.stream(Request { model: model.model, system, messages, attempt })))
}

/// What is known of the attempt so far.
struct State {
    began: Instant,
    /// Of this attempt.
    first: Option<(Timestamp, Duration)>,
    /// Of the whole answer.
    reasoning_bytes: u64,
    /// Of the whole answer.
    text_bytes: u64,
    usage: Usage,
    finish: Option<Finish>,
}

impl State {
    fn new(kept: &Kept) -> Self {
        Self {
            began: Instant::now(),
            first: None,
            reasoning_bytes: kept.reasoning_bytes,
            text_bytes: kept.text.len() as u64,
            usage: Usage::default(),
            finish: None,
        }
    }
}

/// One attempt under way.
struct Turn {
    session: SessionId,
    entry: EntryId,
    clock: Clock,
    reports: mpsc::Sender<Report>,
    partial: Partial,
    state: State,
}

impl Turn {
    async fn follow(&mut self, pieces: Pieces, cancel: &CancellationToken) -> Outcome {
        let mut gather = Gather::new(pieces);
        let mut silence = Silence::new(self.state.began);
        let cancelled = cancel.cancelled();
        tokio::pin!(cancelled);
        loop {
            let batch = tokio::select! {
                biased;
                () = &mut cancelled => {
                    let Batch { deltas, usage, finish, .. } = gather.give_up();
                    self.note(usage, finish, !deltas.is_empty());
                    self.send(deltas).await;
                    // The model had stopped already, and only its stream was not closed: there is nothing left to be cancelled.
                    return self.finished().unwrap_or(Outcome::Stopped);
                }
                due = self.partial.due() => match due {
                    Ok(()) => {
                        match self.partial.take_news() {
                            Some(news) => self.report(What::Store(news)).await,
                            None => self.partial.checkpoint(),
                        }
                        continue;
                    }
                    Err(gone) => {
                        let text = format!("the answer can no longer be kept: {gone}");
                        return Outcome::Failed(ProviderError::fatal(ErrorKind::Configuration, text));
                    }
                },
                batch = gather.next(), if !self.partial.is_full() => batch,
                // What is not read because the store refuses it is not the model's silence.
                silent = silence.due(), if !self.partial.is_full() => {
                    self.report(What::Progress { silent, alive: gather.take_alive() }).await;
                    continue;
                }
            };
            if !batch.deltas.is_empty() {
                silence.ended();
            }
            let Batch { deltas, usage, finish, end, .. } = batch;
            self.note(usage, finish, !deltas.is_empty());
            let too_large = self.send(deltas).await;
            match end {
                Some(Ok(())) => {
                    return self.finished().unwrap_or_else(|| {
                        let text = "the stream ended without a stop reason";
                        Outcome::Failed(ProviderError::transient(ErrorKind::Truncated, text))
                    });
                }
                // The provider has weighed it against the stop reason.
                Some(Err(error)) => {
                    self.state.finish = None;
                    return Outcome::Failed(error);
                }
                None if too_large => {
                    let text = format!("the answer reached {} MiB and was ended", MAX_ANSWER_BYTES >> 20);
                    return Outcome::Failed(ProviderError::fatal(ErrorKind::TooLarge, text));
                }
                None => {}
            }
        }
    }

    /// How the attempt ended, once the model has said why it stopped.
    fn finished(&self) -> Option<Outcome> {
        self.state.finish.as_ref().map(|finish| Outcome::Finished(finish.reason))
    }

    fn note(&mut self, usage: Usage, finish: Option<Finish>, has_content: bool) {
        let state = &mut self.state;
        state.usage.input = usage.input.or(state.usage.input);
        state.usage.output = usage.output.or(state.usage.output);
        // A stop reason counts unless content follows it.
        if finish.is_some() || has_content {
            state.finish = finish;
        }
    }

    /// Reports and keeps what came. Says whether the answer has reached its bound; what is beyond it is dropped.
    async fn send(&mut self, deltas: Vec<Delta>) -> bool {
        for mut delta in deltas {
            let room = (MAX_ANSWER_BYTES as u64).saturating_sub(self.state.reasoning_bytes + self.state.text_bytes);
            let full = (delta.text().len() as u64) > room;
            if full {
                delta.truncate(usize::try_from(room).unwrap_or(usize::MAX));
            }
            if !delta.text().is_empty() {
                let began = self.state.began;
                self.state.first.get_or_insert_with(|| (self.clock.now(), began.elapsed()));
                let bytes = match &delta {
                    Delta::Text(_) => &mut self.state.text_bytes,
                    Delta::Reasoning(_) => &mut self.state.reasoning_bytes,
                };
                let start = *bytes;
                *bytes += delta.text().len() as u64;
                self.partial.push(&delta);
                self.report(What::Delta { start, delta }).await;
            }
            if full {
                return true;
            }
        }
        false
    }

    async fn end(mut self, outcome: Outcome) {
        let came = match (self.state.text_bytes, self.state.reasoning_bytes) {
            (1.., _) => Came::Text,
            (0, 1..) => Came::Reasoning,
            (0, 0) => Came::Nothing,
        };
        let finish = self.state.finish.take().filter(|_| matches!(outcome, Outcome::Finished(_)));
        let ended = Ended {
            outcome,
            tail: self.partial.take_tail().await,
            came,
            finish,
            usage: self.state.usage,
            first_at: self.state.first.map(|(at, _)| at),
            first_after: self.state.first.map(|(_, after)| after),
        };
        self.report(What::Ended(Box::new(ended))).await;
    }

    async fn report(&mut self, what: What) {
        // The coordinator outlives its workers; when it is gone, so is everyone who could want the report.
        let _ = self.reports.send(Report { session: self.session, entry: self.entry, what }).await;
    }
}
