//! From bytes to events, by what comes and not by its label: server-sent events, JSON a line, one JSON document, or a list of
//! objects, in any mixture. Any cut of the bytes gives the same events.
//!
//! Server-sent events are framed as the HTML standard says (<https://html.spec.whatwg.org/multipage/server-sent-events.html>), but
//! that the end of the bytes ends an event too, that a field `error` is an event of its own, and that an event which is complete ends
//! where the next one begins, for some servers leave out the empty line between them. A line that begins as JSON is no field: the
//! object that begins there is an event, over as many lines as it takes. Lines that are neither are kept for an error's text.

use std::collections::VecDeque;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes, BytesMut};
use futures_util::Stream;

use super::wire::json::Json;
use crate::domain::{ErrorKind, ProviderError};

/// Bytes of one event; one that is longer is no event but a fault.
pub(crate) const MAX_EVENT_BYTES: usize = 16 << 20;
/// Bytes that are kept of what is no event.
const MAX_STRAY_BYTES: usize = 2 << 10;
const BOM: &[u8] = b"\xef\xbb\xbf";

/// One event of an answer, not yet read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    /// The event's name, where it has one.
    pub(crate) name: Option<Bytes>,
    /// Its data. Never empty.
    pub(crate) data: Bytes,
    /// Bytes of the answer before the end of this event.
    pub(crate) end: u64,
}

/// The events of an answer.
#[derive(Debug)]
pub(crate) struct Frames<S> {
    bytes: S,
    lines: Lines,
    events: Events,
    ready: VecDeque<Frame>,
    ended: bool,
    /// Why the bytes ended, where they did not end by themselves.
    failure: Option<ProviderError>,
}

impl<S: Stream<Item = Result<Bytes, ProviderError>> + Unpin> Frames<S> {
    /// The events in `bytes`.
    pub(crate) fn new(bytes: S) -> Self {
        Self {
            bytes,
            lines: Lines::default(),
            events: Events::default(),
            ready: VecDeque::new(),
            ended: false,
            failure: None,
        }
    }

    /// Bytes that came so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.lines.taken + self.lines.waiting() as u64
    }

    /// No more bytes are waited for. What came and is complete is still read; then comes `failure`.
    pub(crate) fn stop(&mut self, failure: Option<ProviderError>) {
        self.ended = true;
        self.failure = failure;
    }

    /// Why the bytes ended, where they did not end by themselves and nobody took it.
    pub(crate) fn take_failure(&mut self) -> Option<ProviderError> {
        self.failure.take()
    }

    /// Whether the bytes are at their end.
    pub(crate) const fn has_ended(&self) -> bool {
        self.ended
    }

    /// The beginning of what came and was no event: a page, a plain text.
    pub(crate) fn stray(&self) -> &[u8] {
        &self.events.stray
    }

    /// Keeps `text` as what was no event.
    pub(crate) fn add_stray(&mut self, text: &[u8]) {
        self.events.add_stray(text);
    }

    /// The next event; `None` at the end of the bytes. Not to be polled after an error or the end.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, ProviderError>>> {
        loop {
            while self.ready.is_empty()
                && let Some(line) = self.lines.next(self.ended)
            {
                self.events.line(line, self.lines.taken, &mut self.ready);
            }
            if let Some(frame) = self.ready.pop_front() {
                return Poll::Ready(Some(Ok(frame)));
            }
            if self.ended {
                self.events.flush(self.lines.taken, &mut self.ready);
                let frame = self.ready.pop_front().map(Ok);
                return Poll::Ready(frame.or_else(|| self.failure.take().map(Err)));
            }
            match std::task::ready!(Pin::new(&mut self.bytes).poll_next(cx)) {
                Some(Ok(bytes)) => {
                    if self.events.held() + self.lines.waiting() + bytes.len() > MAX_EVENT_BYTES {
                        let text = format!("the server sent more than {} MiB in one event", MAX_EVENT_BYTES >> 20);
                        // Once more may help; the same again would cost as much each time.
                        let place = Some(MAX_EVENT_BYTES as u64);
                        let e = ProviderError::transient(ErrorKind::Protocol, text);
                        return Poll::Ready(Some(Err(ProviderError { undecoded_at: place, ..e })));
                    }
                    self.lines.push(bytes);
                }
                // What came before is complete, or cut.
                Some(Err(e)) => self.stop(Some(e)),
                None => self.ended = true,
            }
        }
    }
}

/// Lines that end in LF, CR or both; the last one needs no end.
#[derive(Debug, Default)]
struct Lines {
    /// What came last and was not taken.
    chunk: Bytes,
    /// The beginning of a line whose end is not there; it stands before `chunk`.
    partial: BytesMut,
    /// The line before ended in CR: an LF that follows belongs to it.
    skip_lf: bool,
    /// Bytes that were taken.
    taken: u64,
    started: bool,
}

impl Lines {
    fn push(&mut self, bytes: Bytes) {
        debug_assert!(self.chunk.is_empty(), "lines are taken before more bytes come");
        self.chunk = bytes;
    }

    fn waiting(&self) -> usize {
        self.partial.len() + self.chunk.len()
    }

    /// The next line without its end. At the end of the bytes (`is_all`) what is left is one.
    fn next(&mut self, is_all: bool) -> Option<Bytes> {
        if mem::take(&mut self.skip_lf) {
            match self.chunk.first() {
                Some(b'\n') => self.advance(1),
                Some(_) => {}
                None => self.skip_lf = !is_all,
            }
        }
        let line = match memchr::memchr2(b'\n', b'\r', &self.chunk) {
            Some(at) => {
                self.skip_lf = self.chunk[at] == b'\r';
                let line = self.take(at);
                self.advance(1);
                line
            }
            None if is_all && self.waiting() > 0 => self.take(self.chunk.len()),
            None => {
                let chunk = mem::take(&mut self.chunk);
                self.partial.extend_from_slice(&chunk);
                return None;
            }
        };
        Some(match mem::replace(&mut self.started, true) {
            false if line.starts_with(BOM) => line.slice(BOM.len()..),
            _ => line,
        })
    }

    fn take(&mut self, end: usize) -> Bytes {
        let rest = self.chunk.split_to(end);
        self.taken += (self.partial.len() + rest.len()) as u64;
        if self.partial.is_empty() {
            return rest;
        }
        self.partial.extend_from_slice(&rest);
        mem::take(&mut self.partial).freeze()
    }

    fn advance(&mut self, count: usize) {
        self.chunk.advance(count);
        self.taken += count as u64;
    }
}

/// From lines to events.
#[derive(Debug, Default)]
struct Events {
    name: Option<Bytes>,
    /// A name that stands behind data: of this event if it ends there, of the next one if more data follows.
    late_name: Option<Bytes>,
    data: Data,
    /// An object that began outside any field.
    object: Data,
    stray: Vec<u8>,
    /// The first line began a page of HTML: none of it is an event.
    is_page: Option<bool>,
}

/// What an event has so far: lines with LF between them.
#[derive(Debug, Default)]
struct Data {
    first: Bytes,
    /// From the second line on: all of them.
    joined: BytesMut,
    balance: Balance,
    /// Bytes that `balance` has seen.
    weighed: usize,
    is_open: bool,
}

impl Data {
    fn add(&mut self, line: &Bytes) {
        if !mem::replace(&mut self.is_open, true) {
            self.first = line.clone();
            return;
        }
        if self.joined.is_empty() {
            self.joined.extend_from_slice(&self.first);
        }
        self.joined.extend_from_slice(b"\n");
        self.joined.extend_from_slice(line);
    }

    fn bytes(&self) -> &[u8] {
        if self.joined.is_empty() { &self.first } else { &self.joined }
    }

    fn take(&mut self) -> Bytes {
        let Self { first, joined, .. } = mem::take(self);
        if joined.is_empty() { first } else { joined.freeze() }
    }

    /// Where the object at its beginning ends, if that has come.
    fn object_end(&mut self) -> Option<usize> {
        let bytes = if self.joined.is_empty() { &self.first[..] } else { &self.joined[..] };
        let end = self.balance.weigh(&bytes[self.weighed..]).map(|end| self.weighed + end);
        self.weighed = bytes.len();
        end
    }

    /// Whether it is complete without more lines: no JSON, or a whole one.
    fn is_whole(&mut self) -> bool {
        let begins_json = matches!(self.bytes().trim_ascii_start().first(), Some(b'{' | b'['));
        !begins_json || self.object_end().is_some()
    }
}

/// Brackets that are open, and whether a string is. Each byte is looked at once, however many lines an object has.
#[derive(Debug, Default)]
struct Balance {
    depth: usize,
    in_string: bool,
    is_escaped: bool,
    closed: bool,
}

impl Balance {
    /// The end of the first value in brackets, when it is within `bytes`.
    fn weigh(&mut self, bytes: &[u8]) -> Option<usize> {
        if self.closed {
            return Some(0);
        }
        for (at, byte) in bytes.iter().enumerate() {
            if self.in_string {
                match byte {
                    _ if self.is_escaped => self.is_escaped = false,
                    b'\\' => self.is_escaped = true,
                    b'"' => self.in_string = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        self.closed = true;
                        return Some(at + 1);
                    }
                }
                _ => {}
            }
        }
        None
    }
}

/// Bytes at the beginning of `text` that stand between the objects of a list: its brackets, commas and blanks.
fn between_objects(text: &[u8]) -> usize {
    text.iter().take_while(|b| b.is_ascii_whitespace() || matches!(b, b'[' | b']' | b',')).count()
}

impl Events {
    /// Bytes of events that are not complete.
    fn held(&self) -> usize {
        self.data.bytes().len() + self.object.bytes().len()
    }

    fn line(&mut self, line: Bytes, end: u64, ready: &mut VecDeque<Frame>) {
        let first = line.trim_ascii_start().first().copied();
        if first.is_some() && *self.is_page.get_or_insert(first == Some(b'<')) {
            return self.add_stray(&line);
        }
        let is_field = line.starts_with(b"data:") || line.starts_with(b"event:") || line.starts_with(b":");
        if self.object.is_open && !is_field {
            self.object.add(&line);
            return self.objects(end, ready);
        }
        if self.object.is_open {
            // Broken off: no line within JSON begins so.
            let broken = self.object.take();
            ready.push_back(Frame { name: None, data: broken, end });
        }
        if line.is_empty() {
            return self.dispatch(end, ready);
        }
        if matches!(first, Some(b'{' | b'[' | b']' | b',')) {
            self.dispatch(end, ready);
            return self.json(line, end, ready);
        }
        let colon = line.iter().position(|b| *b == b':');
        let (field, value) = match colon {
            Some(at) => (&line[..at], line.slice(at + 1 + usize::from(line.get(at + 1) == Some(&b' '))..)),
            None => (&line[..], Bytes::new()),
        };
        match field.trim_ascii() {
            b"" => {}
            b"data" => {
                if self.data.is_open && self.data.is_whole() {
                    let late = self.late_name.take();
                    self.dispatch(end, ready);
                    self.name = late;
                }
                self.data.add(&value);
            }
            b"event" => {
                if self.name.is_some() && self.data.is_open {
                    self.dispatch(end, ready);
                }
                let name = if self.data.is_open { &mut self.late_name } else { &mut self.name };
                *name = Some(value);
            }
            b"error" => {
                self.dispatch(end, ready);
                self.name = Some(Bytes::from_static(b"error"));
                self.data.add(&value);
            }
            b"id" | b"retry" => {}
            _ => self.add_stray(&line),
        }
    }

    /// A line that begins as JSON, outside any field.
    fn json(&mut self, line: Bytes, end: u64, ready: &mut VecDeque<Frame>) {
        let lead = between_objects(&line);
        match line.get(lead) {
            Some(b'{') => {
                self.object.add(&line.slice(lead..));
                self.objects(end, ready);
            }
            Some(_) if line.trim_ascii() == b"[DONE]" => {
                let blanks = line.len() - line.trim_ascii_start().len();
                ready.push_back(Frame { name: None, data: line.slice(blanks..), end });
            }
            Some(_) if Json::read(&line).is_err() => self.add_stray(&line),
            // A list of no objects says nothing.
            Some(_) | None => {}
        }
    }

    /// Takes the objects that are complete, and keeps the one that begins behind them. A loop: their number is the server's choice.
    fn objects(&mut self, end: u64, ready: &mut VecDeque<Frame>) {
        while let Some(close) = self.object.object_end() {
            let mut data = self.object.take();
            let rest = data.split_off(close);
            ready.push_back(Frame { name: None, data, end });
            let lead = between_objects(&rest);
            match rest.get(lead) {
                Some(b'{') => self.object.add(&rest.slice(lead..)),
                Some(_) => self.add_stray(&rest),
                None => {}
            }
        }
    }

    fn dispatch(&mut self, end: u64, ready: &mut VecDeque<Frame>) {
        let late = self.late_name.take();
        let name = self.name.take().or(late);
        let data = self.data.take();
        if !data.is_empty() {
            ready.push_back(Frame { name, data, end });
        }
    }

    /// The bytes have ended: so has every event.
    fn flush(&mut self, end: u64, ready: &mut VecDeque<Frame>) {
        self.dispatch(end, ready);
        if self.object.is_open {
            ready.push_back(Frame { name: None, data: self.object.take(), end });
        }
    }

    fn add_stray(&mut self, text: &[u8]) {
        let room = MAX_STRAY_BYTES - self.stray.len();
        self.stray.extend_from_slice(&text[..text.len().min(room)]);
        if self.stray.len() < MAX_STRAY_BYTES {
            self.stray.push(b'\n');
        }
    }
}
