//! What the tests' server answers, and when.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::Semaphore;

/// How a reply ends, once all its pieces are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// With a stop reason and the end mark of the format.
    Whole,
    /// As [`End::Whole`], with another stop reason: this word of the format's own.
    Stopped(&'static str),
    /// Cleanly for HTTP, but without a stop reason.
    Truncated,
    /// With a TCP reset.
    Reset,
    /// Not at all: nothing more is sent until the client goes.
    Stall,
    /// Not at all: comments (blank lines for Ollama) are sent until the client goes.
    KeepAlives,
}

/// What one request is answered.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub content: Content,
    pub end: End,
    /// Positions in the bytes of the body where it is cut, in place of one cut between two pieces.
    pub cuts: Option<Vec<usize>>,
    pub gate: Option<Gate>,
    /// The stream flows: each piece is sent so long after the one before it.
    pub pace: Option<Duration>,
    /// No byte is sent, not even the status, before the gate lets it.
    pub gate_headers: bool,
}

/// What a reply consists of.
#[derive(Debug, Clone)]
pub enum Content {
    /// `echo: ` and the last user message, word by word.
    Echo,
    /// These words, after these thoughts.
    Words { thoughts: Vec<String>, words: Vec<String> },
    /// These words, and then an error object in the stream.
    Error { words: Vec<String>, error: Value },
    /// These bytes with this content type; with a status other than 200, an error body.
    Raw { content_type: String, pieces: Vec<Vec<u8>> },
}

impl Reply {
    fn new(content: Content) -> Self {
        let (headers, cuts) = (vec![("x-request-id".to_owned(), "req-7".to_owned())], None);
        Self { status: 200, headers, content, end: End::Whole, cuts, gate: None, pace: None, gate_headers: false }
    }

    /// `echo: ` and the last user message.
    pub fn echo() -> Self {
        Self::new(Content::Echo)
    }

    /// These pieces, one event each.
    pub fn words(words: &[&str]) -> Self {
        Self::thinking(&[], words)
    }

    /// Thoughts, then words.
    pub fn thinking(thoughts: &[&str], words: &[&str]) -> Self {
        let own = |all: &[&str]| all.iter().map(|&w| w.to_owned()).collect();
        Self::new(Content::Words { thoughts: own(thoughts), words: own(words) })
    }

    /// These words, then this error object (`{"type":…}`, `{"code":…,"status":…}`, or a text for Ollama) in the stream.
    pub fn error_in_stream(words: &[&str], error: Value) -> Self {
        Self::new(Content::Error { words: words.iter().map(|&w| w.to_owned()).collect(), error })
    }

    /// A status, and a body as it is.
    pub fn status(status: u16, body: impl Into<String>) -> Self {
        let content =
            Content::Raw { content_type: "application/json".to_owned(), pieces: vec![body.into().into_bytes()] };
        Self { status, ..Self::new(content) }
    }

    /// Status 200 and whatever bytes, each piece an HTTP chunk of its own.
    pub fn raw(content_type: &str, pieces: Vec<Vec<u8>>) -> Self {
        Self::new(Content::Raw { content_type: content_type.to_owned(), pieces })
    }

    /// The replies in a file that `--record` wrote, in order. Its pauses only part the pieces: no test waits for them.
    pub fn recorded(file: &[u8]) -> Vec<Self> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let find = |bytes: &[u8], what: &[u8]| bytes.windows(what.len()).position(|w| w == what);
        let (mut replies, mut rest) = (Vec::new(), file);
        while let Some(begin) = find(rest, b"@@reply ") {
            let head_at = begin + find(&rest[begin..], b"\n").unwrap() + 1;
            let body_at = head_at + find(&rest[head_at..], b"\r\n\r\n").unwrap() + 4;
            let end = find(&rest[body_at..], b"@@reply ").map_or(rest.len(), |next| body_at + next);
            let head = text(&rest[head_at..body_at]);
            let mut lines = head.lines();
            let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
            let headers = lines.filter_map(|line| line.split_once(": "));
            let (mut body, mut pieces) = (rest[body_at..end].strip_suffix(b"\n").unwrap().to_vec(), Vec::new());
            while let Some(at) = find(&body, b"@@pause ") {
                let behind = at + 8 + find(&body[at + 8..], b"@@").unwrap() + 2;
                pieces.push(body[..at].to_vec());
                body.drain(..behind);
            }
            pieces.push(body);
            let mut reply = Self { status, headers: Vec::new(), ..Self::raw("", pieces) };
            for (name, value) in headers.filter(|(name, _)| !matches!(*name, "connection" | "content-encoding")) {
                match (&mut reply.content, name) {
                    (Content::Raw { content_type, .. }, "content-type") => *content_type = value.to_owned(),
                    _ => reply.headers.push((name.to_owned(), value.to_owned())),
                }
            }
            replies.push(reply);
            rest = &rest[end..];
        }
        replies
    }

    /// Status 200 with a page.
    pub fn html(page: &str) -> Self {
        Self::raw("text/html; charset=utf-8", vec![page.as_bytes().to_vec()])
    }

    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    #[must_use]
    pub fn end(mut self, end: End) -> Self {
        self.end = end;
        self
    }

    #[must_use]
    pub fn cut_at(mut self, cuts: &[usize]) -> Self {
        self.cuts = Some(cuts.to_vec());
        self
    }

    /// Every piece (the one with the stop reason included) waits for `gate`.
    #[must_use]
    pub fn gate(mut self, gate: &Gate) -> Self {
        self.gate = Some(gate.clone());
        self
    }

    /// Each piece is sent so long after the one before it.
    #[must_use]
    pub fn pace(mut self, pace: Duration) -> Self {
        self.pace = Some(pace);
        self
    }

    /// The status line waits for `gate`, too.
    #[must_use]
    pub fn gate_headers(mut self, gate: &Gate) -> Self {
        self.gate_headers = true;
        self.gate(gate)
    }
}

/// Lets pieces through when a test says so.
#[derive(Debug, Clone)]
pub struct Gate(Arc<Semaphore>);

impl Default for Gate {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }
}

impl Gate {
    /// Lets the next `pieces` through.
    pub fn release(&self, pieces: usize) {
        self.0.add_permits(pieces);
    }

    /// Lets everything through from now on.
    pub fn open(&self) {
        self.0.close();
    }

    pub(super) async fn pass(&self) {
        if let Ok(permit) = self.0.acquire().await {
            permit.forget();
        }
    }
}
