//! The answer as it comes: events are decoded into pieces, and the end rule and the limits on silence are kept.
//!
//! Between the framer below and the worker above. Where an answer is continued, [`Seam`] sees its text first.
//!
//! # The end
//!
//! A stop reason does not end the stream while more comes: some servers put one into the first event, or into every one. The end is
//! an end mark (`[DONE]`, `message_stop`) behind a stop reason, the close of the connection, or `AFTER_FINISH` ([`super::silence`]) without content
//! behind a stop reason or an end mark ([`Limits::idle`], where no content came at all). As soon as nothing more is there, a stop
//! reason is told, for who would end the answer then: it counts unless more comes. An end without a stop reason is `Truncated`; with one nothing that happens to the connection
//! can spoil the answer any more, only an error that the server tells.
//!
//! # Silence
//!
//! Any byte is a sign of life: comments, pings, empty deltas, token counts. Before the first content only [`Limits::first`] counts.
//! After it, [`Limits::idle`] without a byte ends the attempt, and so does [`Limits::first`] without content: keep-alives without
//! end are bounded too, and in bytes by [`MAX_SILENT_BYTES`]. Content is text and reasoning.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::Stream;

use super::Piece;
use super::complaint::Complaint;
use super::frames::{Frame, Frames, MAX_EVENT_BYTES};
use super::seam::Seam;
use super::secrets::Secrets;
use super::silence::{Limit, Limits, Silence};
use super::strike::{Of, Striker};
use super::verdict;
use super::wire::json::Json;
use super::wire::{self, Decoded, Wire};
use crate::domain::text::one_line;
use crate::domain::{Delta, ErrorKind, Finish, ProviderError, Span};

/// Characters of an error's text; what a server says beyond them is cut.
pub(crate) const MAX_ERROR_CHARS: usize = 400;
/// Bytes without content; a server that sends more is not thinking.
const MAX_SILENT_BYTES: u64 = 2 * MAX_EVENT_BYTES as u64;
/// The end mark of chat completions, which other servers copy. It is no JSON.
const DONE: &[u8] = b"[DONE]";
/// The first bytes of gzip and of zstd.
const COMPRESSED: [(&[u8], &str); 2] = [(b"\x1f\x8b", "gzip"), (b"\x28\xb5\x2f\xfd", "zstd")];

/// What is known of an answer before its first byte.
pub(crate) struct About {
    /// The wire format.
    pub(crate) wire: &'static dyn Wire,
    /// How long to wait.
    pub(crate) limits: Limits,
    /// What the server calls its content, and where it was asked; for errors.
    pub(crate) label: String,
    /// The provider's number for the request.
    pub(crate) request_id: Option<String>,
    /// What no error and no answer may show.
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
pub(crate) struct Answer<S, H> {
    frames: Frames<S>,
    about: About,
    decoded: Decoded,
    striker: Striker,
    silence: Silence,
    /// An event was read, even if it said nothing.
    has_events: bool,
    /// The stop reason was told since the last content.
    told_finish: bool,
    is_over: bool,
    /// What comes behind the pieces that are left: the end.
    last: Option<Result<Piece, ProviderError>>,
    _held: H,
}

/// Why an event ends an answer.
enum Fault {
    /// It says that something went wrong, whatever stop reason came before it: that may have been one of those in every event.
    Said(ProviderError),
    /// It cannot be read. Behind a stop reason that spoils nothing.
    Broken(ProviderError),
}

impl<S: Stream<Item = Result<Bytes, ProviderError>> + Unpin, H: Unpin> Answer<S, H> {
    /// The answer in `bytes`.
    pub(crate) fn new(bytes: S, about: About, held: H) -> Self {
        Self {
            frames: Frames::new(bytes),
            striker: Striker::new(about.secrets.keys()),
            about,
            decoded: Decoded::default(),
            silence: Silence::default(),
            has_events: false,
            told_finish: false,
            is_over: false,
            last: None,
            _held: held,
        }
    }

    /// Reads one event.
    fn decode(&mut self, frame: &Frame) -> Result<(), Fault> {
        let data = frame.data.trim_ascii();
        let name = frame.name.as_deref().map(<[u8]>::trim_ascii);
        if data == DONE {
            self.decoded.is_done = true;
            return Ok(());
        }
        if !matches!(data.first(), Some(b'{' | b'[')) {
            if name == Some(b"error") {
                return Err(Fault::Said(verdict::in_band(Complaint::read(data))));
            }
            // A keep-alive, such as `null`, or a plain text: said with the error, if there is one.
            if data.len() > 4 && !data.starts_with(b"\"") {
                self.frames.add_stray(data);
            }
            return Ok(());
        }
        let mut rest = data;
        while !rest.is_empty() {
            let (event, behind) = match Json::read_first(rest) {
                Ok(found) => found,
                // An error in broken JSON is an error all the same.
                Err(_) if name == Some(b"error") => {
                    return Err(Fault::Said(verdict::in_band(Complaint::read(data))));
                }
                // The last event was flushed by the end of the bytes: it is cut, not wrong.
                Err(bad) if bad.is_cut && self.frames.has_ended() => {
                    let failure = self.frames.take_failure();
                    return Err(Fault::Broken(failure.unwrap_or_else(|| self.truncated())));
                }
                Err(bad) => return Err(Fault::Broken(self.undecodable(frame, data.len() - rest.len() + bad.at))),
            };
            self.has_events = true;
            wire::decode(self.about.wire, name, event, &mut self.decoded).map_err(Fault::Said)?;
            if rest.len() == data.len() && behind.is_empty() {
                self.keep_notes(event);
            }
            rest = behind;
        }
        Ok(())
    }

    /// Keeps what an event that said nothing says about itself, for the error of an answer without an end.
    fn keep_notes(&mut self, event: Json<'_>) {
        if self.decoded.pieces.is_empty()
            && self.decoded.finish.is_none()
            && ["detail", "message", "msg", "Message", "errors"].iter().any(|name| event.get(name).is_some_and(says))
        {
            self.frames.add_stray(event.raw());
        }
    }

    fn undecodable(&self, frame: &Frame, at: usize) -> ProviderError {
        // The key goes before the cut, which could leave half of it.
        let excerpt = self.about.secrets.strike(&String::from_utf8_lossy(&frame.data));
        let excerpt = one_line(&excerpt, MAX_ERROR_CHARS / 2);
        let text = format!("the server sent an event that is not JSON (at byte {at}): {excerpt}");
        ProviderError { undecoded_at: Some(frame.end), ..ProviderError::transient(ErrorKind::Protocol, text) }
    }

    /// The bytes ended without a stop reason.
    fn truncated(&self) -> ProviderError {
        let stray = self.frames.stray();
        if let Some((_, name)) = COMPRESSED.iter().find(|(magic, _)| stray.starts_with(magic)) {
            let text =
                format!("the server sent {name} without saying so: turn its compression off ({})", self.about.label);
            return ProviderError::fatal(ErrorKind::Protocol, text);
        }
        let complaint = Complaint::read(stray);
        let Some(said) = complaint.message.clone() else {
            return ProviderError::transient(ErrorKind::Truncated, "the answer ended without a stop reason");
        };
        let said = one_line(&self.about.secrets.strike(&said), MAX_ERROR_CHARS / 2);
        if self.has_events {
            let judged = verdict::in_band(complaint);
            let kind = if judged.kind == ErrorKind::Server { ErrorKind::Truncated } else { judged.kind };
            let text = format!("the answer ended without a stop reason; the server said: {said}");
            return ProviderError { kind, retryable: kind == ErrorKind::Truncated || judged.retryable, text, ..judged };
        }
        let text = format!("{} instead of an answer: check base_url ({said})", self.about.label);
        ProviderError::fatal(ErrorKind::Protocol, text)
    }

    /// The next piece that was already said, without keys, and that the seam lets pass.
    fn take(&mut self) -> Option<Piece> {
        loop {
            if let Some(piece) = self.overtaken() {
                return Some(piece);
            }
            let piece = self.decoded.pieces.pop_front()?;
            match piece {
                Piece::Text(text) => {
                    self.told_finish = false;
                    self.silence.content(self.frames.bytes());
                    let text = self.striker.pass(Of::Text, text);
                    if let Some(text) = text.and_then(|text| self.about.seam.pass(text)) {
                        return Some(Piece::Text(text));
                    }
                }
                Piece::Reasoning(text) => {
                    self.silence.content(self.frames.bytes());
                    if let Some(text) = self.striker.pass(Of::Reasoning, text) {
                        return Some(Piece::Reasoning(text));
                    }
                }
                piece => return Some(piece),
            }
        }
    }

    /// What is withheld and came before what comes next: text is not overtaken by thoughts, nor they by text.
    fn overtaken(&mut self) -> Option<Piece> {
        match self.decoded.pieces.front()? {
            Piece::Text(_) => self.striker.release(Of::Reasoning).map(Piece::Reasoning),
            Piece::Reasoning(_) => {
                let released = self.striker.release(Of::Text).and_then(|text| self.about.seam.pass(text));
                let closed = || self.about.seam.withholds().then(|| self.about.seam.close()).flatten();
                released.or_else(closed).map(Piece::Text)
            }
            _ => None,
        }
    }

    /// Lets go what may be the beginning of a key, for nothing follows at the moment.
    fn release(&mut self) -> Option<Piece> {
        match self.striker.release_any()? {
            Delta::Text(text) => self.about.seam.pass(text).map(Piece::Text),
            thought => Some(thought.into()),
        }
    }

    /// The stop reason as it is known now.
    fn finish(&self) -> Option<Finish> {
        self.decoded.finish(|detail| self.striker.strike(detail))
    }

    /// Nothing more comes: a clean end if there was a stop reason, else `error`. Pieces that were read come before it.
    fn end(&mut self, error: impl FnOnce(&Self) -> ProviderError) {
        self.is_over = true;
        self.last = Some(match self.finish() {
            Some(finish) => Ok(Piece::Finish(finish)),
            None => Err(self.about.present(error(self))),
        });
        self.decoded.close();
    }

    /// What is left behind the end, piece by piece.
    fn rest(&mut self) -> Option<Result<Piece, ProviderError>> {
        if let Some(piece) = self.take() {
            return Some(Ok(piece));
        }
        if let Some(thought) = self.striker.close(Of::Reasoning) {
            return Some(Ok(Piece::Reasoning(thought)));
        }
        let struck = self.striker.close(Of::Text).and_then(|text| self.about.seam.pass(text));
        match struck.or_else(|| self.about.seam.close()) {
            Some(withheld) => Some(Ok(Piece::Text(withheld))),
            None => self.last.take(),
        }
    }

    /// What would be the end of the answer if it was given up now, where that has changed.
    fn withheld(&mut self) -> Option<Delta> {
        let withheld = self.striker.news()?;
        let is_for_seam = matches!(withheld, Delta::Text(_)) && self.about.seam.is_watching();
        (!is_for_seam).then_some(withheld)
    }

    /// Whether the server has stopped, and only waits to close.
    const fn has_stopped(&self) -> bool {
        self.decoded.finish.is_some() || self.decoded.is_done
    }

    fn stalled(&self, limit: Limit) -> ProviderError {
        let Limits { first, idle } = self.about.limits;
        let text = match limit {
            Limit::Idle => {
                format!("nothing more came for {}: raise timeouts.idle if the server needs longer", Span(idle))
            }
            Limit::First | Limit::Finish | Limit::Withheld if self.frames.bytes() == 0 => {
                format!("the server sent nothing for {}: raise timeouts.first if it needs longer", Span(first))
            }
            Limit::First | Limit::Finish | Limit::Withheld => {
                let more = if self.silence.had_content() { " more" } else { "" };
                format!("no{more} content came for {}, only signs of life: raise timeouts.first", Span(first))
            }
        };
        ProviderError::transient(ErrorKind::Stalled, text)
    }
}

/// Whether a member of an event is a text for people.
fn says(value: Json<'_>) -> bool {
    value.is_string() && !value.is_blank() || value.is_list() && value.has_text()
}

impl<S: Stream<Item = Result<Bytes, ProviderError>> + Unpin, H: Unpin> Stream for Answer<S, H> {
    type Item = Result<Piece, ProviderError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if this.is_over {
                return Poll::Ready(this.rest());
            }
            if let Some(piece) = this.take() {
                return Poll::Ready(Some(Ok(piece)));
            }
            if this.decoded.is_done && this.decoded.finish.is_some() {
                this.end(Self::truncated);
                continue;
            }
            if this.silence.silent_bytes(this.frames.bytes()) > MAX_SILENT_BYTES {
                this.end(|_| {
                    let text = format!("the server sent more than {} MiB without content", MAX_SILENT_BYTES >> 20);
                    let place = Some(MAX_SILENT_BYTES);
                    ProviderError { undecoded_at: place, ..ProviderError::transient(ErrorKind::Protocol, text) }
                });
                continue;
            }
            let had_stopped = this.has_stopped();
            match this.frames.poll_next(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    match this.decode(&frame) {
                        // The wait for more content begins here.
                        Ok(()) if this.has_stopped() && !had_stopped => this.silence.begin_anew(),
                        Ok(()) => {}
                        Err(Fault::Said(e)) => {
                            this.decoded.finish = None;
                            this.end(|_| e);
                        }
                        Err(Fault::Broken(e)) => this.end(|_| e),
                    }
                }
                Poll::Ready(Some(Err(e))) => this.end(|_| e),
                Poll::Ready(None) => this.end(Self::truncated),
                Poll::Pending => {
                    if !this.told_finish
                        && let Some(finish) = this.finish()
                    {
                        // Content behind it would say that it was none.
                        if let Some(piece) = this.release() {
                            return Poll::Ready(Some(Ok(piece)));
                        }
                        this.told_finish = true;
                        return Poll::Ready(Some(Ok(Piece::Finish(finish))));
                    }
                    if let Some(withheld) = this.withheld() {
                        return Poll::Ready(Some(Ok(Piece::Withheld(withheld))));
                    }
                    if this.silence.waits(this.frames.bytes()) {
                        return Poll::Ready(Some(Ok(Piece::Alive)));
                    }
                    let (has_stopped, withholds) = (this.has_stopped(), this.striker.withholds());
                    let limit = std::task::ready!(this.silence.poll(this.about.limits, has_stopped, withholds, cx));
                    if limit == Limit::Withheld {
                        match this.release() {
                            Some(piece) => return Poll::Ready(Some(Ok(piece))),
                            None => continue,
                        }
                    }
                    let failure = (limit != Limit::Finish).then(|| this.stalled(limit));
                    this.frames.stop(failure);
                }
            }
        }
    }
}
