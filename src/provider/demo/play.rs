//! An answer as it is played: chunk by chunk, in its time, up to its end or its fault.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::task::coop::consume_budget;
use tokio::time::sleep;

use super::params::{Fault, Params, Voice};
use super::tour;
use crate::domain::{ErrorKind, FinishReason, ProviderError, Role, Span, Usage};
use crate::provider::{Piece, Request};

/// Bytes of a chunk that is a word: a text without blanks still comes in pieces.
const MAX_WORD_BYTES: usize = 4 << 10;

/// Between two signs of life before the first chunk.
const ALIVE_INTERVAL: Duration = Duration::from_secs(1);

/// Where the answer is. Each step yields one piece.
#[derive(Debug)]
enum Step {
    /// The request is looked at.
    Begin,
    /// Chunks come; the fault that ends them, if one does.
    Speak(Option<Fault>),
    /// The text is out: usage, then the stop reason.
    End(VecDeque<Piece>),
    /// Nothing more.
    Done,
}

/// One answer under way.
#[derive(Debug)]
pub(super) struct Play {
    params: Result<Params, ProviderError>,
    /// How long a stall is borne.
    idle: Duration,
    attempt: u32,
    /// What is left of the wait before the first chunk.
    first: Duration,
    /// Words of the request.
    input: u64,
    thought: Cursor,
    text: Cursor,
    /// Chunks so far, of thought and of text.
    chunks: usize,
    counter: WordCounter,
    step: Step,
}

impl Play {
    pub(super) fn new(request: Request, idle: Duration) -> Self {
        let params = Params::parse(&request.model);
        let (thought, text) = params.as_ref().map(|params| script(params, &request)).unwrap_or_default();
        let input = words(&request.system) + request.messages.iter().map(|message| words(&message.text)).sum::<u64>();
        let first = params.as_ref().map_or(Duration::ZERO, |params| params.first);
        Self {
            params,
            idle,
            attempt: request.attempt,
            first,
            input,
            thought,
            text,
            chunks: 0,
            counter: WordCounter::default(),
            step: Step::Begin,
        }
    }

    /// The next piece; `None` after the end or an error.
    pub(super) async fn next(&mut self) -> Option<Result<Piece, ProviderError>> {
        // An answer without pauses must not keep its thread from everybody else.
        consume_budget().await;
        let piece = match &mut self.step {
            Step::Begin => self.begin().await,
            Step::Speak(_) => self.speak().await,
            Step::End(last) => Ok(last.pop_front()?),
            Step::Done => return None,
        };
        if piece.is_err() {
            self.step = Step::Done;
        }
        Some(piece)
    }

    async fn begin(&mut self) -> Result<Piece, ProviderError> {
        let params = self.params.as_ref().map_err(Clone::clone)?;
        let fault = params.fault(self.attempt);
        if let Some(fault @ Fault::Status(_)) = fault {
            return Err(self.fail(fault, params.retry_after).await);
        }
        if params.alive && self.first > ALIVE_INTERVAL {
            sleep(ALIVE_INTERVAL).await;
            self.first -= ALIVE_INTERVAL;
            return Ok(Piece::Alive);
        }
        pause(self.first).await;
        self.step = Step::Speak(fault);
        self.speak().await
    }

    async fn speak(&mut self) -> Result<Piece, ProviderError> {
        let params = self.params.as_ref().map_err(Clone::clone)?;
        let Step::Speak(fault) = &self.step else { return Ok(self.end()) };
        // A fault that was to come later comes at the end of the text at the latest.
        let over = self.thought.is_over() && self.text.is_over();
        if let Some(fault) = *fault
            && (over || self.chunks >= fault.after())
        {
            return Err(self.fail(fault, params.retry_after).await);
        }
        if over {
            return Ok(self.end());
        }
        if self.chunks > 0 {
            pause(params.delay).await;
        }
        let chunk = params.chunk.map(std::num::NonZeroUsize::get);
        self.chunks += 1;
        if let Some(piece) = self.thought.next(chunk) {
            self.counter.push(&piece);
            if self.thought.is_over() {
                // The last word of the thought is not the first one of the text.
                self.counter.in_word = false;
            }
            return Ok(Piece::Reasoning(piece));
        }
        let piece = self.text.next(chunk).unwrap_or_default();
        self.counter.push(&piece);
        Ok(Piece::Text(piece))
    }

    async fn fail(&self, fault: Fault, retry_after: Option<Duration>) -> ProviderError {
        let (kind, text) = match fault {
            Fault::Status(status) => return status_error(status, retry_after),
            Fault::Cut(_) => (ErrorKind::Truncated, "the stream ended without a stop reason".to_owned()),
            Fault::Reset(_) => (ErrorKind::Transport, "the demo broke the connection".to_owned()),
            Fault::Stall(_) => {
                sleep(self.idle).await;
                (ErrorKind::Stalled, format!("no content for {}", Span(self.idle)))
            }
        };
        ProviderError::transient(kind, text)
    }

    fn end(&mut self) -> Piece {
        self.step = Step::End(VecDeque::from([Piece::Finish(FinishReason::Stop.into())]));
        Piece::Usage(Usage { input: Some(self.input), output: Some(self.counter.words) })
    }
}

/// What is thought and what is said.
fn script(params: &Params, request: &Request) -> (Cursor, Cursor) {
    // The beginning of an answer may stand last.
    let (questions, partial) = match request.messages.split_last() {
        Some((last, before)) if last.role == Role::Assistant => (before, last.text.as_str()),
        _ => (request.messages.as_slice(), ""),
    };
    let text = match (params.words, params.voice) {
        (Some(words), _) => tour::filler(words),
        (None, Voice::Tour) => tour::answer(&request.system, questions, partial),
        (None, Voice::Echo) => {
            let question = questions.iter().rev().find(|message| message.role == Role::User);
            question.map(|message| message.text.clone()).unwrap_or_default()
        }
    };
    let text = Cursor::new(text, params.repeat).skipping(partial);
    let thought = if partial.is_empty() { params.think.clone().unwrap_or_default() } else { String::new() };
    (Cursor::new(thought, 1), text)
}

/// A text that is said a number of times, without being held that many times.
#[derive(Debug, Clone, Default)]
struct Cursor {
    text: String,
    /// Bytes of this round that are out.
    at: usize,
    /// Rounds that are left, this one included.
    rounds: u64,
}

impl Cursor {
    fn new(text: String, rounds: u64) -> Self {
        let rounds = if text.is_empty() { 0 } else { rounds };
        Self { text, at: 0, rounds }
    }

    fn is_over(&self) -> bool {
        self.rounds == 0
    }

    /// Goes behind `partial`, if the text begins with it; else stays at the beginning, for then it is another's answer.
    fn skipping(self, partial: &str) -> Self {
        let mut ahead = self.clone();
        let mut rest = partial;
        while !rest.is_empty() && !ahead.is_over() {
            match rest.strip_prefix(ahead.text.as_str()) {
                Some(further) => {
                    rest = further;
                    ahead.rounds -= 1;
                }
                None if ahead.text.starts_with(rest) => {
                    ahead.at = rest.len();
                    rest = "";
                }
                None => return self,
            }
        }
        if rest.is_empty() { ahead } else { self }
    }

    /// The next `chars` characters, or the next word with the blanks behind it.
    fn next(&mut self, chars: Option<usize>) -> Option<String> {
        if self.is_over() {
            return None;
        }
        let rest = &self.text[self.at..];
        let end = match chars {
            Some(chars) => rest.char_indices().nth(chars).map_or(rest.len(), |(at, _)| at),
            None => word_end(rest),
        };
        let chunk = rest[..end].to_owned();
        self.at += end;
        if self.at == self.text.len() {
            (self.at, self.rounds) = (0, self.rounds - 1);
        }
        Some(chunk)
    }
}

/// Where the first word of `text` and the blanks behind it end; blanks before it belong to it.
fn word_end(text: &str) -> usize {
    let mut in_word = false;
    let mut after_word = false;
    for (at, c) in text.char_indices() {
        if at >= MAX_WORD_BYTES {
            return at;
        }
        match c.is_whitespace() {
            true => after_word = in_word,
            false if after_word => return at,
            false => in_word = true,
        }
    }
    text.len()
}

/// Counts words that come in pieces.
#[derive(Debug, Default)]
struct WordCounter {
    words: u64,
    in_word: bool,
}

impl WordCounter {
    fn push(&mut self, text: &str) {
        for c in text.chars() {
            let was_in_word = std::mem::replace(&mut self.in_word, !c.is_whitespace());
            self.words += u64::from(self.in_word && !was_in_word);
        }
    }
}

fn words(text: &str) -> u64 {
    let mut counter = WordCounter::default();
    counter.push(text);
    counter.words
}

async fn pause(length: Duration) {
    if !length.is_zero() {
        sleep(length).await;
    }
}

/// The error that a status means; which ones are worth another attempt is the same for all providers.
fn status_error(status: u16, retry_after: Option<Duration>) -> ProviderError {
    let (kind, retryable) = match status {
        401 | 403 => (ErrorKind::Auth, false),
        404 => (ErrorKind::NotFound, false),
        408 => (ErrorKind::Timeout, true),
        429 => (ErrorKind::RateLimited, true),
        409 | 425 => (ErrorKind::BadRequest, true),
        503 | 529 => (ErrorKind::Overloaded, true),
        500 | 502 | 504 | 520..=524 => (ErrorKind::Server, true),
        500..=599 => (ErrorKind::Server, false),
        _ => (ErrorKind::BadRequest, false),
    };
    let text = "as the demo was asked to fail".to_owned();
    ProviderError { kind, status: Some(status), text, retry_after, request_id: None, retryable, undecoded_at: None }
}
