//! A server of models for tests: HTTP/1.1 by hand on a port of 127.0.0.1, speaking all four formats according to the path.
//!
//! What it does is decided per request by a [`Reply`]; without one it echoes the last user message. Pieces can wait for a
//! [`Gate`], so that a test decides what happens when, and no test sleeps. Every piece is its own HTTP chunk, so a client
//! gets exactly the cuts that were asked for. It logs every request with the moments of its pieces and of its end, and counts the
//! streams that are open.
#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "shared by several test crates, each of which uses a part"
)]

#[path = "reply.rs"]
mod reply;
#[path = "wire.rs"]
mod wire;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

pub use reply::{Content, End, Gate, Reply};
pub use wire::Format;

/// How long a test waits for something that must happen; only a failing test ever waits so long.
const PATIENCE: Duration = Duration::from_secs(20);
const MAX_HEAD_BYTES: usize = 64 << 10;

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Logged {
    pub format: Format,
    pub path: String,
    /// By lower-case name.
    pub headers: BTreeMap<String, String>,
    pub body: Value,
    /// When it had come, from the server's start on.
    pub at: Duration,
    /// When the first byte of the answer's content was about to be sent; of one without content, its end.
    pub began: Option<Duration>,
    /// What it was answered.
    pub status: u16,
    /// When each piece was about to be sent: as many as the client can have.
    pub sent: Vec<Duration>,
    /// When its answer had ended, or the client was seen to be gone.
    pub ended: Option<Duration>,
}

impl Logged {
    /// The system prompt, wherever the format has it.
    pub fn system(&self) -> String {
        self.format.system(&self.body)
    }

    /// Role and text of every message but the system prompt; Gemini's `model` is `assistant`.
    pub fn turns(&self) -> Vec<(String, String)> {
        self.format.turns(&self.body)
    }

    /// The last message of the person.
    pub fn last_user(&self) -> String {
        self.turns().into_iter().rfind(|(role, _)| role == "user").map(|(_, text)| text).unwrap_or_default()
    }
}

/// What is answered where no rule says otherwise: by the request, and how many came before it.
type Answers = Box<dyn Fn(usize, &Logged) -> Reply + Send>;

#[derive(Default)]
struct Fallback(Option<Answers>);

impl std::fmt::Debug for Fallback {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "of the test" } else { "echo" })
    }
}

#[derive(Debug, Default)]
struct State {
    next: VecDeque<Reply>,
    rules: Vec<(String, Reply, bool)>,
    /// Each request of this number is answered so, whatever the rules say.
    every: Option<(usize, Reply)>,
    fallback: Fallback,
    requests: Vec<Logged>,
    open: usize,
    max_open: usize,
}

#[derive(Debug)]
struct Shared {
    started: Instant,
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Logs `request` and decides what it is answered; its place in the log.
    fn reply(&self, request: Logged) -> (usize, Reply) {
        let mut state = self.lock();
        let text = request.last_user();
        let nth = state.requests.len();
        state.requests.push(Logged { at: self.started.elapsed(), ..request });
        let every = state.every.as_ref().filter(|(every, _)| (nth + 1).is_multiple_of(*every));
        if let Some(reply) = every.map(|(_, reply)| reply.clone()) {
            return (nth, self.answered(state, nth, reply));
        }
        let rule = state.rules.iter().position(|(part, ..)| text.contains(part.as_str()));
        let reply = match rule {
            Some(n) if state.rules[n].2 => state.rules.remove(n).1,
            Some(n) => state.rules[n].1.clone(),
            None => match (state.next.pop_front(), &state.fallback.0) {
                (Some(next), _) => next,
                (None, Some(answers)) => answers(nth, &state.requests[nth]),
                (None, None) => Reply::echo(),
            },
        };
        (nth, self.answered(state, nth, reply))
    }

    fn answered(&self, mut state: MutexGuard<'_, State>, nth: usize, reply: Reply) -> Reply {
        state.requests[nth].status = reply.status;
        self.changed.notify_all();
        reply
    }

    fn begins(&self, nth: usize) {
        let now = self.started.elapsed();
        self.lock().requests[nth].began.get_or_insert(now);
    }

    fn sends(&self, nth: usize) {
        let now = self.started.elapsed();
        self.lock().requests[nth].sent.push(now);
        self.changed.notify_all();
    }

    fn count(&self, open: bool) -> MutexGuard<'_, State> {
        let mut state = self.lock();
        state.open = if open { state.open + 1 } else { state.open - 1 };
        state.max_open = state.max_open.max(state.open);
        self.changed.notify_all();
        state
    }
}

/// One open stream, for as long as it is one: the answer to the request at this place in the log.
struct Open<'a>(&'a Shared, usize);

impl<'a> Open<'a> {
    fn new(shared: &'a Shared, nth: usize) -> Self {
        drop(shared.count(true));
        Self(shared, nth)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        let now = self.0.started.elapsed();
        self.0.count(false).requests[self.1].ended = Some(now);
    }
}

/// The server. It ends with its last handle, and every connection with it.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Shared { started: Instant::now(), state: Mutex::default(), changed: Condvar::default() };
        let (shared, stop) = (Arc::new(shared), CancellationToken::new());
        let (own, stopped) = (Arc::clone(&shared), stop.clone());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = TcpListener::from_std(listener).unwrap();
                let accepting = async {
                    while let Ok((stream, _)) = listener.accept().await {
                        tokio::spawn(serve(stream, Arc::clone(&own)));
                    }
                };
                tokio::select! { () = accepting => {}, () = stopped.cancelled() => {} }
            });
        });
        Self { address, shared, stop, thread: Some(thread) }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The `base_url` of a provider of this format.
    pub fn base_url(&self, format: Format) -> String {
        if format == Format::OpenAi { format!("{}/v1", self.url()) } else { self.url() }
    }

    /// The next request that no rule matches is answered so; several are a queue.
    pub fn next(&self, reply: Reply) {
        self.shared.lock().next.push_back(reply);
    }

    /// Every request whose last user message contains `part` is answered so. The earliest rule that matches counts.
    pub fn on(&self, part: &str, reply: Reply) {
        self.shared.lock().rules.push((part.to_owned(), reply, false));
    }

    /// The same, for one request.
    pub fn once(&self, part: &str, reply: Reply) {
        self.shared.lock().rules.push((part.to_owned(), reply, true));
    }

    /// Each `nth` request of all is answered so, whatever it asks.
    pub fn every(&self, nth: usize, reply: Reply) {
        self.shared.lock().every = Some((nth, reply));
    }

    /// What nothing else says an answer to is answered so: by the request, and how many came before it.
    pub fn otherwise(&self, answers: impl Fn(usize, &Logged) -> Reply + Send + 'static) {
        self.shared.lock().fallback = Fallback(Some(Box::new(answers)));
    }

    /// The moment `at` as the log counts it.
    pub fn since_start(&self, at: Instant) -> Duration {
        at.saturating_duration_since(self.shared.started)
    }

    /// What `look` says of the log as it is now.
    pub fn log<T>(&self, look: impl FnOnce(&[Logged]) -> T) -> T {
        look(&self.shared.lock().requests)
    }

    /// Blocks until the log is such that `done`.
    pub fn wait_log(&self, what: &str, done: impl Fn(&[Logged]) -> bool) {
        drop(self.wait(what, |state| done(&state.requests)));
    }

    /// Every request so far, in the order of coming.
    pub fn requests(&self) -> Vec<Logged> {
        self.shared.lock().requests.clone()
    }

    /// Streams that are open now.
    pub fn open(&self) -> usize {
        self.shared.lock().open
    }

    /// The most that ever were.
    pub fn max_open(&self) -> usize {
        self.shared.lock().max_open
    }

    /// Blocks until `count` requests have come.
    pub fn wait_requests(&self, count: usize) -> Vec<Logged> {
        self.wait("requests", |state| state.requests.len() >= count).requests.clone()
    }

    /// Blocks until exactly `count` streams are open.
    pub fn wait_open(&self, count: usize) {
        drop(self.wait("open streams", |state| state.open == count));
    }

    fn wait(&self, what: &str, done: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        let waiting = self.shared.changed.wait_timeout_while(self.shared.lock(), PATIENCE, |state| !done(state));
        let (state, late) = waiting.unwrap();
        assert!(!late.timed_out(), "waited in vain for {what}: {state:#?}");
        state
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// One connection: requests until the client goes or a reply ends it.
async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    // Else every small chunk waits for the acknowledgement of the one before it.
    let _ = stream.set_nodelay(true);
    let mut buffer = Vec::new();
    while let Ok(Some(request)) = read_request(&stream, &mut buffer).await {
        let format = request.format;
        let last_user = request.last_user();
        let (nth, reply) = shared.reply(request);
        let open = Open::new(&shared, nth);
        let sent = tokio::select! {
            sent = send(&stream, &reply, format, &last_user, &shared, nth) => sent,
            () = gone(&stream) => return,
        };
        drop(open);
        match (sent, reply.end) {
            (Ok(()), End::Reset) => {
                let _ = stream.set_zero_linger();
                return;
            }
            (Ok(()), End::Whole | End::Truncated) => {}
            _ => return,
        }
    }
}

async fn send(
    stream: &TcpStream,
    reply: &Reply,
    format: Format,
    last_user: &str,
    shared: &Shared,
    nth: usize,
) -> io::Result<()> {
    let (content_type, mut pieces) = wire::pieces(reply, format, last_user);
    if let Some(cuts) = &reply.cuts {
        let whole = pieces.concat();
        let mut cuts: Vec<_> = cuts.iter().map(|cut| (*cut).min(whole.len())).chain([0, whole.len()]).collect();
        cuts.sort_unstable();
        pieces = cuts.windows(2).map(|w| whole[w[0]..w[1]].to_vec()).collect();
    }
    if let Some(gate) = reply.gate.as_ref().filter(|_| reply.gate_headers) {
        gate.pass().await;
    }
    let headers: String = reply.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let head = format!(
        "HTTP/1.1 {} X\r\ncontent-type: {content_type}\r\ntransfer-encoding: chunked\r\n{headers}\r\n",
        reply.status
    );
    write_all(stream, head.as_bytes()).await?;
    for piece in pieces.iter().filter(|p| !p.is_empty()) {
        if let Some(gate) = &reply.gate {
            gate.pass().await;
        }
        if let Some(pace) = reply.pace {
            tokio::time::sleep(pace).await;
        }
        shared.begins(nth);
        shared.sends(nth);
        write_chunk(stream, piece).await?;
    }
    shared.begins(nth);
    match reply.end {
        End::Whole | End::Stopped(_) | End::Truncated => write_all(stream, b"0\r\n\r\n").await,
        End::Reset => Ok(()),
        End::Stall => std::future::pending().await,
        End::KeepAlives => loop {
            write_chunk(stream, if format == Format::Ollama { b"\n" } else { b": ping\n\n" }).await?;
            tokio::time::sleep(Duration::from_millis(1)).await;
        },
    }
}

async fn write_chunk(stream: &TcpStream, piece: &[u8]) -> io::Result<()> {
    let mut chunk = format!("{:x}\r\n", piece.len()).into_bytes();
    chunk.extend_from_slice(piece);
    chunk.extend_from_slice(b"\r\n");
    write_all(stream, &chunk).await
}

async fn write_all(stream: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        stream.writable().await?;
        match stream.try_write(bytes) {
            Ok(n) => bytes = &bytes[n..],
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Reads what has come; 0 at the end.
async fn read_some(stream: &TcpStream, block: &mut [u8]) -> io::Result<usize> {
    loop {
        stream.readable().await?;
        match stream.try_read(block) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            read => return read,
        }
    }
}

/// Waits until the client closes. It sends nothing while it is answered.
async fn gone(stream: &TcpStream) {
    let mut block = [0; 64];
    while let Ok(1..) = read_some(stream, &mut block).await {}
}

async fn read_request(stream: &TcpStream, buffer: &mut Vec<u8>) -> io::Result<Option<Logged>> {
    let mut block = vec![0; 16 << 10];
    let mut grow = async |buffer: &mut Vec<u8>| -> io::Result<bool> {
        let n = read_some(stream, &mut block).await?;
        buffer.extend_from_slice(&block[..n]);
        Ok(n > 0)
    };
    let head_end = loop {
        if let Some(end) = buffer.windows(4).position(|w| w == b"\r\n\r\n") {
            break end;
        }
        if buffer.len() > MAX_HEAD_BYTES || !grow(buffer).await? {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(&buffer[..head_end]).into_owned();
    let mut lines = head.lines();
    let path = lines.next().and_then(|line| line.split(' ').nth(1)).unwrap_or_default().to_owned();
    let pairs = lines.filter_map(|line| line.split_once(':'));
    let headers: BTreeMap<_, _> = pairs.map(|(n, v)| (n.to_ascii_lowercase(), v.trim().to_owned())).collect();
    let length = headers.get("content-length").and_then(|n| n.parse::<usize>().ok()).unwrap_or(0);
    let end = head_end + 4 + length;
    while buffer.len() < end {
        if !grow(buffer).await? {
            return Ok(None);
        }
    }
    let body = serde_json::from_slice(&buffer[head_end + 4..end]).unwrap_or_default();
    buffer.drain(..end);
    let (at, began, status) = (Duration::ZERO, None, 0);
    let (sent, ended) = (Vec::new(), None);
    Ok(Some(Logged { format: Format::of(&path), path, headers, body, at, began, status, sent, ended }))
}
