//! The answer as it comes: frames are decoded into pieces, and the end rule and the limit on silence are kept.
//!
//! Between the framer below and the worker above. An end without a stop reason is `Truncated`; behind a stop reason nothing can
//! spoil the answer any more, so whatever happens there is a clean end. Where an answer is continued, [`Seam`] sees its text first.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use tokio::time::{Instant, Sleep};

use super::frames::{Frame, Frames};
use super::seam::Seam;
use super::secrets::Secrets;
use super::wire::{self, Fault, Said};
use super::{Kind, Piece};
use crate::domain::text::one_line;
use crate::domain::{ErrorKind, ProviderError, Span};

/// Characters of an error's text; what a server says beyond them is cut.
pub(crate) const MAX_ERROR_CHARS: usize = 300;
/// How long the token counts may follow the stop reason.
const AFTER_FINISH: Duration = Duration::from_secs(2);

/// What is known of an answer before its first byte.
#[derive(Debug)]
pub(crate) struct About {
    /// The wire format.
    pub(crate) kind: Kind,
    /// Between two pieces of content.
    pub(crate) idle: Duration,
    /// The provider's number for the request.
    pub(crate) request_id: Option<String>,
    /// What no error may show.
    pub(crate) secrets: Secrets,
    /// Where the answer is continued: what the model may say again.
    pub(crate) seam: Seam,
}

impl About {
    /// `e` as people may see it: no key, one line, cut, with the request's number.
    pub(crate) fn present(&self, e: ProviderError) -> ProviderError {
        let id = e.request_id.or_else(|| self.request_id.clone());
        ProviderError {
            text: one_line(&self.secrets.strike(&e.text), MAX_ERROR_CHARS),
            request_id: id.map(|id| one_line(&self.secrets.strike(&id), MAX_ERROR_CHARS)),
            ..e
        }
    }
}

/// The pieces of one answer. `held` is what lives as long as the request (its permits).
#[derive(Debug)]
pub(crate) struct Answer<S, H> {
    frames: Frames<S>,
    about: About,
    said: Said,
    /// Runs while something is waited for; made at the first wait. It is not set anew for each piece, which would cost more
    /// than the piece: when it rings too early it is set to the rest.
    silence: Option<Pin<Box<Sleep>>>,
    /// Since when there is silence: since the first wait after the last content, not since the content. A consumer that
    /// pauses is no silence of the server.
    silent_since: Option<Instant>,
    state: State,
    /// The end, behind what the seam withheld until then.
    last: Option<Result<Piece, ProviderError>>,
    _held: H,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Frames are read.
    Reading,
    /// The stop reason was seen; what may follow is read, for a while.
    Finished,
    /// All was said, but for [`Answer::last`].
    Over,
}

impl<S: Stream<Item = Result<Bytes, ProviderError>> + Unpin, H: Unpin> Answer<S, H> {
    /// The answer in `bytes`.
    pub(crate) fn new(bytes: S, about: About, held: H) -> Self {
        let frames = if about.kind == Kind::Ollama { Frames::lines(bytes) } else { Frames::sse(bytes) };
        Self {
            frames,
            about,
            said: Said::default(),
            silence: None,
            silent_since: None,
            state: State::Reading,
            last: None,
            _held: held,
        }
    }

    fn decode(&mut self, frame: &Frame) -> Result<(), Fault> {
        let said = &mut self.said;
        match (frame, self.about.kind) {
            (Frame::Line(line), _) => wire::ollama::decode(line, said),
            // `data:` without anything is a keep-alive of some servers.
            (Frame::Event(event), _) if event.data.trim().is_empty() => Ok(()),
            (Frame::Event(event), Kind::Anthropic) => wire::anthropic::decode(&event.data, said),
            (Frame::Event(event), Kind::Gemini) => wire::gemini::decode(&event.data, said),
            (Frame::Event(event), Kind::OpenAi | Kind::Ollama | Kind::Demo) => wire::openai::decode(&event.data, said),
        }
    }

    fn fault(&self, fault: Fault, frame: &Frame) -> ProviderError {
        let e = match fault {
            Fault::Said(e) => return e,
            // The last frame was flushed by the end of the bytes: it is cut, not wrong.
            Fault::Json(_) if self.frames.meter().has_ended() => return truncated(),
            Fault::Json(e) => e,
        };
        let data = match frame {
            Frame::Line(line) => String::from_utf8_lossy(line).into_owned(),
            Frame::Event(event) => event.data.to_string(),
        };
        // The key goes before the cut, which could leave half of it.
        let excerpt = one_line(&self.about.secrets.strike(&data), MAX_ERROR_CHARS / 2);
        ProviderError::transient(
            ErrorKind::Protocol,
            format!("the server sent what is not the protocol ({e}): {excerpt}"),
        )
    }

    /// The next piece that was already said and that the seam lets pass.
    fn take(&mut self) -> Option<Piece> {
        loop {
            // What is withheld is not overtaken by thoughts that came behind it.
            if self.about.seam.withholds()
                && matches!(self.said.pieces.front(), Some(Piece::Reasoning(_)))
                && let Some(text) = self.about.seam.close()
            {
                return Some(Piece::Text(text));
            }
            let piece = self.said.pieces.pop_front()?;
            self.silent_since = None;
            match piece {
                Piece::Text(text) => {
                    if let Some(text) = self.about.seam.pass(text) {
                        return Some(Piece::Text(text));
                    }
                }
                piece => return Some(piece),
            }
        }
    }

    /// Nothing more comes: a clean end if there was a stop reason, else `error`.
    fn end(&mut self, error: ProviderError) -> Option<Result<Piece, ProviderError>> {
        self.state = State::Over;
        let last = match self.said.finish.take() {
            Some(reason) => Ok(Piece::Finish(reason)),
            None => Err(self.about.present(error)),
        };
        let Some(withheld) = self.about.seam.close() else { return Some(last) };
        self.last = Some(last);
        Some(Ok(Piece::Text(withheld)))
    }

    /// Whether the silence has lasted too long.
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<ProviderError> {
        let limit = if self.state == State::Finished { AFTER_FINISH.min(self.about.idle) } else { self.about.idle };
        let deadline = *self.silent_since.get_or_insert_with(Instant::now) + limit;
        let silence = self.silence.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        // It must never ring too late; too early is put right below.
        if silence.deadline() > deadline {
            silence.as_mut().reset(deadline);
        }
        while silence.as_mut().poll(cx).is_ready() {
            if silence.deadline() < deadline {
                silence.as_mut().reset(deadline);
                continue;
            }
            let what = if self.frames.meter().has_bytes() { "only keep-alives" } else { "nothing" };
            let text = format!("the server sent {what} for {}: raise timeouts.idle if it needs longer", Span(limit));
            return Poll::Ready(ProviderError::transient(ErrorKind::Stalled, text));
        }
        Poll::Pending
    }
}

impl<S: Stream<Item = Result<Bytes, ProviderError>> + Unpin, H: Unpin> Stream for Answer<S, H> {
    type Item = Result<Piece, ProviderError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if this.state == State::Over {
            return Poll::Ready(this.last.take());
        }
        loop {
            if let Some(piece) = this.take() {
                return Poll::Ready(Some(Ok(piece)));
            }
            if this.said.over {
                return Poll::Ready(this.end(truncated()));
            }
            if this.state == State::Reading && this.said.finish.is_some() {
                this.state = State::Finished;
                this.silent_since = None;
            }
            match this.frames.poll_next(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    if let Err(fault) = this.decode(&frame) {
                        let e = this.fault(fault, &frame);
                        return Poll::Ready(this.end(e));
                    }
                }
                Poll::Ready(Some(Err(e))) => return Poll::Ready(this.end(e)),
                Poll::Ready(None) => return Poll::Ready(this.end(truncated())),
                Poll::Pending => return this.poll_silence(cx).map(|e| this.end(e)),
            }
        }
    }
}

fn truncated() -> ProviderError {
    ProviderError::transient(ErrorKind::Truncated, "the answer ended without a stop reason")
}
