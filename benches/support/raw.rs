//! The baseline: the same request by hand over a `TcpStream`, the answer's text to stdout. It frames and parses the same bytes
//! with the same JSON crate into types of its own, borrowed where that is possible; nothing is kept, nothing can go wrong.
//!
//! It runs as a process of its own, so that start and CPU are measured alike: the bench starts itself again.

use std::borrow::Cow;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Command;

use serde::Deserialize;

/// The first argument of a bench that is to be the raw client; behind it stand address, kind and question.
const MARK: &str = "--as-raw-client";
/// What is read at once, as curl does.
const BUFFER_BYTES: usize = 16 << 10;

/// The raw client as a command.
pub(crate) fn client(address: std::net::SocketAddr, kind: &str, question: &str) -> io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args([MARK, &address.to_string(), kind, question]).env_clear();
    Ok(command)
}

/// The same for `streams` questions at once, each on a thread of its own.
pub(crate) fn clients(
    address: std::net::SocketAddr,
    kind: &str,
    question: &str,
    streams: usize,
) -> io::Result<Command> {
    let mut command = client(address, kind, question)?;
    command.arg(streams.to_string());
    Ok(command)
}

/// Runs the client when this process was started as one; says whether it was.
pub(crate) fn ran() -> io::Result<bool> {
    let arguments: Vec<_> = std::env::args().collect();
    match arguments.as_slice() {
        [_, mark, address, kind, question] if mark == MARK => ask(address, kind, question).map(|()| true),
        [_, mark, address, kind, question, streams] if mark == MARK => {
            let streams: usize = streams.parse().map_err(io::Error::other)?;
            let ask = || ask(address, kind, question);
            std::thread::scope(|scope| {
                let threads: Vec<_> = (0..streams).map(|_| scope.spawn(ask)).collect();
                threads
                    .into_iter()
                    .try_for_each(|thread| thread.join().unwrap_or_else(|_| Err(io::ErrorKind::Other.into())))
            })?;
            Ok(true)
        }
        _ => Ok(false),
    }
}

/// The body of the request.
pub(crate) fn body(question: &str) -> String {
    format!("{{\"model\":\"bench\",\"messages\":[{{\"role\":\"user\",\"content\":\"{question}\"}}],\"stream\":true}}")
}

fn ask(address: &str, kind: &str, question: &str) -> io::Result<()> {
    let mut connection = TcpStream::connect(address)?;
    connection.set_nodelay(true)?;
    let body = body(question);
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    connection.write_all((head + &body).as_bytes())?;
    let mut reader = BufReader::with_capacity(BUFFER_BYTES, connection);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 2 {
        line.clear();
    }
    let mut out = io::stdout();
    let mut lines = BufReader::with_capacity(BUFFER_BYTES, Unchunked { reader, left: 0, ended: false });
    loop {
        line.clear();
        if lines.read_until(b'\n', &mut line)? == 0 {
            return out.write_all(b"\n").and_then(|()| out.flush());
        }
        let text = line.trim_ascii();
        let data = if kind == "ollama" { text } else { text.strip_prefix(b"data:").unwrap_or_default().trim_ascii() };
        if !data.is_empty() && data != b"[DONE]" {
            text_of(kind, data, &mut out)?;
        }
    }
}

#[derive(Deserialize)]
struct OpenAi<'a> {
    #[serde(borrow)]
    choices: Vec<Choice<'a>>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow)]
    delta: Content<'a>,
}

#[derive(Deserialize)]
struct Content<'a> {
    #[serde(borrow, default)]
    content: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Anthropic<'a> {
    #[serde(borrow, default)]
    delta: Option<Part<'a>>,
}

#[derive(Deserialize)]
struct Part<'a> {
    #[serde(borrow, default)]
    text: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Gemini<'a> {
    #[serde(borrow)]
    candidates: Vec<Candidate<'a>>,
}

#[derive(Deserialize)]
struct Candidate<'a> {
    #[serde(borrow)]
    content: Parts<'a>,
}

#[derive(Deserialize)]
struct Parts<'a> {
    #[serde(borrow)]
    parts: Vec<Part<'a>>,
}

#[derive(Deserialize)]
struct Ollama<'a> {
    #[serde(borrow)]
    message: Content<'a>,
}

/// Writes the text of one event, as it comes: stdout is a `LineWriter`, which keeps it until a line or its buffer is full.
fn text_of(kind: &str, data: &[u8], out: &mut impl Write) -> io::Result<()> {
    let mut write = |text: Option<Cow<'_, str>>| text.map_or(Ok(()), |text| out.write_all(text.as_bytes()));
    match kind {
        "anthropic" => write(serde_json::from_slice::<Anthropic<'_>>(data)?.delta.and_then(|delta| delta.text)),
        "gemini" => {
            let parts = serde_json::from_slice::<Gemini<'_>>(data)?.candidates;
            parts.into_iter().flat_map(|c| c.content.parts).try_for_each(|part| write(part.text))
        }
        "ollama" => write(serde_json::from_slice::<Ollama<'_>>(data)?.message.content),
        _ => {
            let choices = serde_json::from_slice::<OpenAi<'_>>(data)?.choices;
            choices.into_iter().try_for_each(|choice| write(choice.delta.content))
        }
    }
}

/// The body without its HTTP chunks.
struct Unchunked<R> {
    reader: R,
    left: usize,
    ended: bool,
}

impl<R: BufRead> Read for Unchunked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // As many chunks as the reader holds go in one read.
        let mut filled = 0;
        while filled < buffer.len() && !self.ended {
            if self.left == 0 {
                let mut line = Vec::with_capacity(16);
                self.reader.read_until(b'\n', &mut line)?;
                let size = std::str::from_utf8(line.trim_ascii()).map_err(io::Error::other)?;
                self.left = usize::from_str_radix(size, 16).map_err(io::Error::other)?;
                self.ended = self.left == 0;
                continue;
            }
            let available = self.reader.fill_buf()?;
            let taken = available.len().min(self.left).min(buffer.len() - filled);
            buffer[filled..filled + taken].copy_from_slice(&available[..taken]);
            let held = available.len();
            self.reader.consume(taken);
            (self.left, filled) = (self.left - taken, filled + taken);
            if self.left == 0 {
                let mut end = [0; 2];
                self.reader.read_exact(&mut end)?;
            }
            // Nothing is waited for while there is something to give.
            if held - taken < 64 {
                break;
            }
        }
        Ok(filled)
    }
}
