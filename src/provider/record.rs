//! `--record FILE`: the replies of servers as they came, for bug reports. Requests are not recorded, and keys are struck from what is.
//!
//! The file is text and bytes: for each reply a line `@@reply URL@@`, the status line, some headers, an empty line, and the body
//! (decompressed, if it was compressed). Between two pieces that came more than [`MIN_PAUSE`] apart stands `@@pause SECONDS@@`. The
//! fake server of the tests plays such a file.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::Stream;
use reqwest::header::HeaderMap;

use super::secrets::Secrets;
use crate::domain::ProviderError;

/// A shorter time between two pieces is not recorded.
const MIN_PAUSE: Duration = Duration::from_millis(50);
/// Headers that are recorded; others may hold a secret.
const HEADERS: [&str; 9] = [
    "content-type",
    "content-encoding",
    "retry-after",
    "retry-after-ms",
    "x-should-retry",
    "x-request-id",
    "request-id",
    "server",
    "via",
];

/// A file that takes replies.
#[derive(Debug, Clone)]
pub struct Recorder(Arc<File>);

impl Recorder {
    /// Begins a file, only for its owner to read. One that is there is emptied.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn create(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
        file.set_len(0)?;
        Ok(Self(Arc::new(file)))
    }

    /// Begins a reply. What comes of it is written when it ends, so that replies that come at once do not mix.
    pub(crate) fn reply(&self, url: &str, status: reqwest::StatusCode, headers: &HeaderMap, secrets: Secrets) -> Reply {
        let mut head =
            format!("@@reply {url}@@\nHTTP/1.1 {} {}\r\n", status.as_u16(), status.canonical_reason().unwrap_or("-"));
        for name in HEADERS {
            if let Some(value) = headers.get(name).and_then(|value| value.to_str().ok()) {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
        }
        head.push_str("connection: close\r\n\r\n");
        Reply { recorder: self.clone(), secrets, text: head.into_bytes(), pauses: Vec::new(), last: None }
    }
}

/// Bytes of one reply that are kept; more are not recorded.
const MAX_REPLY_BYTES: usize = 64 << 20;

/// One reply that is being recorded. It is written when it is dropped.
#[derive(Debug)]
pub(crate) struct Reply {
    recorder: Recorder,
    secrets: Secrets,
    text: Vec<u8>,
    /// Pauses before the byte of that number of `text`.
    pauses: Vec<(usize, Duration)>,
    last: Option<Instant>,
}

impl Reply {
    /// More of the body came.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let now = Instant::now();
        let pause = self.last.replace(now).map_or(Duration::ZERO, |last| now - last);
        if self.text.len() + bytes.len() > MAX_REPLY_BYTES {
            return;
        }
        if pause >= MIN_PAUSE {
            self.pauses.push((self.text.len(), pause));
        }
        self.text.extend_from_slice(bytes);
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        // A key is struck also where a pause or the end of an event parts it.
        let mut text = self.secrets.strike_reply(&self.text, &mut self.pauses);
        for (at, pause) in self.pauses.drain(..).rev() {
            let mark = format!("@@pause {:.2}@@", pause.as_secs_f64());
            text.splice(at..at, mark.into_bytes());
        }
        text.push(b'\n');
        if let Err(error) = (&*self.recorder.0).write_all(&text) {
            tracing::warn!(%error, "a reply could not be recorded");
        }
    }
}

/// The body of a reply, recorded on its way.
#[derive(Debug)]
pub(crate) struct Recorded<S> {
    bytes: S,
    reply: Option<Reply>,
}

impl<S> Recorded<S> {
    /// `bytes`, recorded where there is a `reply`.
    pub(crate) const fn new(bytes: S, reply: Option<Reply>) -> Self {
        Self { bytes, reply }
    }
}

impl<S: Stream<Item = Result<Bytes, ProviderError>> + Unpin> Stream for Recorded<S> {
    type Item = Result<Bytes, ProviderError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = std::task::ready!(Pin::new(&mut self.bytes).poll_next(cx));
        if let (Some(Ok(bytes)), Some(reply)) = (&next, &mut self.reply) {
            reply.push(bytes);
        }
        Poll::Ready(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_recorded_without_keys_and_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r");
        let recorder = Recorder::create(&path).unwrap();
        let mut secrets = Secrets::default();
        secrets.add("Bearer sk-123");
        let headers: HeaderMap = [
            ("content-type".parse().unwrap(), "text/event-stream".parse().unwrap()),
            ("set-cookie".parse().unwrap(), "a=b".parse().unwrap()),
        ]
        .into_iter()
        .collect();
        let mut reply = recorder.reply("http://h/v1", reqwest::StatusCode::OK, &headers, secrets);
        // A key is struck also where it came in two pieces, or with a pause in it.
        reply.push(b"data: your key sk-");
        reply.push(b"123\xff\n\n");
        reply.pauses.push((reply.text.len() - 6, Duration::from_secs(1)));
        reply.push(b"data: {\"text\":\"it is sk\"}\n\n");
        reply.push(b"data: {\"text\":\"-123.\"}\n\n");
        reply.pauses.push((reply.text.len() - 2, Duration::from_secs(2)));
        drop(reply);
        let expected =
            b"@@reply http://h/v1@@\nHTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n\
            data: your key [key]@@pause 1.00@@\xff\n\n\
            data: {\"text\":\"it is [key]\"}\n\ndata: {\"text\":\".\"}@@pause 2.00@@\n\n\n";
        assert_eq!(String::from_utf8_lossy(&std::fs::read(&path).unwrap()), String::from_utf8_lossy(expected));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
