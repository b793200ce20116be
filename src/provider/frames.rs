//! From bytes to events: a guard under the framers that bounds an event and flushes the last one, SSE by `sseer`, and lines of our own.
//!
//! Between the byte stream (the connection, or a test's list of chunks) and the answer. Any cut of the bytes gives the same frames.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use futures_util::Stream;
use sseer::errors::EventStreamError;
use sseer::event::Event;
use sseer::event_stream::EventStream;

use crate::domain::{ErrorKind, ProviderError};

/// Bytes of one event; one that is longer is no event but a fault.
pub(crate) const MAX_EVENT_BYTES: usize = 16 << 20;

/// What ends an SSE event. It is fed behind the last byte, so that a last event without its empty line is still seen.
const EVENT_END: &[u8] = b"\n\n";
const BOM: &[u8] = b"\xef\xbb\xbf";

/// What the guard knows, for those above the framer, which hides it. Not shared state: one task reads and writes it.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    since_event: AtomicUsize,
    ended: AtomicBool,
}

impl Meter {
    /// Whether bytes came since the last event.
    pub(crate) fn has_bytes(&self) -> bool {
        self.since_event.load(Relaxed) > 0
    }

    /// Whether the bytes are at their end.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Relaxed)
    }
}

/// The bytes as they come, counted.
#[derive(Debug)]
struct Guard<S> {
    bytes: S,
    meter: Arc<Meter>,
    last: &'static [u8],
}

impl<S: Stream<Item = Result<Bytes, ProviderError>> + Unpin> Stream for Guard<S> {
    type Item = Result<Bytes, ProviderError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.meter.has_ended() {
            return Poll::Ready(None);
        }
        match ready!(Pin::new(&mut self.bytes).poll_next(cx)) {
            Some(Ok(bytes)) => {
                let before = self.meter.since_event.fetch_add(bytes.len(), Relaxed);
                if before + bytes.len() > MAX_EVENT_BYTES {
                    let text = format!("the server sent more than {} MiB in one event", MAX_EVENT_BYTES >> 20);
                    return Poll::Ready(Some(Err(ProviderError::transient(ErrorKind::Protocol, text))));
                }
                Poll::Ready(Some(Ok(bytes)))
            }
            Some(Err(e)) => Poll::Ready(Some(Err(e))),
            None => {
                self.meter.ended.store(true, Relaxed);
                Poll::Ready((!self.last.is_empty()).then(|| Ok(Bytes::from_static(self.last))))
            }
        }
    }
}

/// One event of an answer, not yet read.
#[derive(Debug)]
pub(crate) enum Frame {
    /// Of SSE: its data.
    Event(Event),
    /// One line of JSON.
    Line(Bytes),
}

/// The events of an answer.
#[derive(Debug)]
pub(crate) struct Frames<S> {
    framer: Framer<S>,
    meter: Arc<Meter>,
}

#[derive(Debug)]
enum Framer<S> {
    Sse(Box<EventStream<Guard<S>>>),
    Lines(Lines<Guard<S>>),
}

impl<S: Stream<Item = Result<Bytes, ProviderError>> + Unpin> Frames<S> {
    /// SSE.
    pub(crate) fn sse(bytes: S) -> Self {
        let meter = Arc::new(Meter::default());
        let guard = Guard { bytes, meter: Arc::clone(&meter), last: EVENT_END };
        Self { framer: Framer::Sse(Box::new(EventStream::new(guard))), meter }
    }

    /// Lines of JSON.
    pub(crate) fn lines(bytes: S) -> Self {
        let meter = Arc::new(Meter::default());
        let guard = Guard { bytes, meter: Arc::clone(&meter), last: b"" };
        Self {
            framer: Framer::Lines(Lines { bytes: guard, buffer: BytesMut::new(), scanned: 0, started: false }),
            meter,
        }
    }

    /// What is known of the bytes below.
    pub(crate) fn meter(&self) -> &Meter {
        &self.meter
    }

    /// The next event; `None` at the end of the bytes. Not to be polled after an error or the end.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, ProviderError>>> {
        let frame = match &mut self.framer {
            Framer::Sse(events) => match ready!(Pin::new(events).poll_next(cx)) {
                Some(Ok(event)) => Some(Ok(Frame::Event(event))),
                Some(Err(EventStreamError::Transport(e))) => Some(Err(e)),
                Some(Err(EventStreamError::Utf8Error(_))) => {
                    let text = "the server sent bytes that are no UTF-8";
                    Some(Err(ProviderError::transient(ErrorKind::Protocol, text)))
                }
                None => None,
            },
            Framer::Lines(lines) => ready!(lines.poll_next(cx)).map(|line| line.map(Frame::Line)),
        };
        if let Some(Ok(_)) = frame {
            self.meter.since_event.store(0, Relaxed);
        }
        Poll::Ready(frame)
    }
}

/// Lines that end in LF, CR or both (neither can stand raw inside JSON text); empty ones are skipped, the last needs no end.
#[derive(Debug)]
struct Lines<S> {
    bytes: S,
    buffer: BytesMut,
    /// Bytes of `buffer` that hold no line end.
    scanned: usize,
    started: bool,
}

impl<S: Stream<Item = Result<Bytes, ProviderError>> + Unpin> Lines<S> {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, ProviderError>>> {
        loop {
            while let Some(line) = self.take_line() {
                if !line.iter().all(u8::is_ascii_whitespace) {
                    return Poll::Ready(Some(Ok(line)));
                }
            }
            match ready!(Pin::new(&mut self.bytes).poll_next(cx)) {
                Some(Ok(bytes)) => self.buffer.extend_from_slice(&bytes),
                Some(Err(e)) => return Poll::Ready(Some(Err(e))),
                None => {
                    let rest = std::mem::take(&mut self.buffer).freeze();
                    self.scanned = 0;
                    let blank = rest.iter().all(u8::is_ascii_whitespace);
                    return Poll::Ready((!blank).then(|| Ok(rest)));
                }
            }
        }
    }

    fn take_line(&mut self) -> Option<Bytes> {
        if !self.started {
            if self.buffer.len() < BOM.len() && BOM.starts_with(&self.buffer) {
                return None;
            }
            self.started = true;
            if self.buffer.starts_with(BOM) {
                self.buffer.advance(BOM.len());
            }
        }
        let end = self.buffer[self.scanned..].iter().position(|b| matches!(b, b'\n' | b'\r'));
        let Some(end) = end.map(|n| n + self.scanned) else {
            self.scanned = self.buffer.len();
            return None;
        };
        let line = self.buffer.split_to(end).freeze();
        self.buffer.advance(1);
        self.scanned = 0;
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt, stream};
    use proptest::prelude::*;

    use super::*;

    /// The frames of `chunks`, as text, and the error that ended them.
    fn frames(sse: bool, chunks: Vec<Vec<u8>>) -> Vec<String> {
        let bytes = stream::iter(chunks.into_iter().map(|chunk| Ok(Bytes::from(chunk))));
        let mut frames = if sse { Frames::sse(bytes) } else { Frames::lines(bytes) };
        let mut failed = false;
        let all = stream::poll_fn(|cx| {
            if failed {
                return Poll::Ready(None);
            }
            frames.poll_next(cx).map(|frame| {
                frame.map(|frame| match frame {
                    Ok(Frame::Event(event)) => event.data.to_string(),
                    Ok(Frame::Line(line)) => String::from_utf8_lossy(&line).into_owned(),
                    Err(e) => {
                        failed = true;
                        format!("error: {e}")
                    }
                })
            })
        });
        futures_executor(all.collect())
    }

    fn futures_executor<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
    }

    #[test]
    fn lines_end_in_every_way() {
        let check = |text: &str, expected: &[&str]| {
            assert_eq!(frames(false, vec![text.into()]), expected, "{text:?}");
        };
        check("a\nb\n", &["a", "b"]);
        check("a\r\nb\rc", &["a", "b", "c"]);
        check("\u{feff}a\n\n \nb", &["a", "b"]);
        check("", &[]);
        check("\n\r\n", &[]);
    }

    #[test]
    fn events_end_in_every_way() {
        let check = |text: &str, expected: &[&str]| {
            assert_eq!(frames(true, vec![text.into()]), expected, "{text:?}");
        };
        check("data: a\n\ndata: b\n\n", &["a", "b"]);
        check("data: a\r\n\r\ndata: b\r\rdata:c\n\n", &["a", "b", "c"]);
        check("\u{feff}data: a\n\n", &["a"]);
        check(": ping\n\nevent: x\nid: 1\ndata: a\ndata: b\n\n", &["a\nb"]);
        check("data: a\n\ndata: last", &["a", "last"]);
    }

    #[test]
    fn an_event_without_end_is_a_fault() {
        let block = vec![b'x'; 1 << 20];
        let chunks: Vec<_> = std::iter::once(b"data: ok\n\ndata: ".to_vec()).chain(vec![block; 17]).collect();
        let error = "error: the server sent more than 16 MiB in one event";
        assert_eq!(frames(true, chunks.clone()), ["ok", error]);
        assert_eq!(frames(false, chunks).last().map(String::as_str), Some(error));
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_same_frames(
            parts in prop::collection::vec(
                prop::sample::select(vec!["a", "é", "日", "\n", "\r", "\r\n", "\n\n", "data: ", "data:", ": ping", "{\"k\":1}", "\u{feff}", " "]),
                0..40,
            ),
            cuts in prop::collection::vec(0usize..200, 0..12),
        ) {
            let text = parts.concat().into_bytes();
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let chunks: Vec<_> = cuts.windows(2).map(|w| text[w[0]..w[1]].to_vec()).collect();
            for sse in [true, false] {
                prop_assert_eq!(frames(sse, chunks.clone()), frames(sse, vec![text.clone()]));
            }
        }
    }
}
