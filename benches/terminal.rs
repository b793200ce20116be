//! What a person at the terminal feels and pays: how soon a key is echoed while many answers stream, how soon a piece of an answer is
//! on the screen, and what a shown token costs, against the same bytes written to a terminal by a program that does nothing else.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

use support::figures::{Table, max, median, ms, percentile, say, verdict};
use support::sandbox::{self, Sandbox};
use support::{server, wire};

/// Answers that stream beside the one that is shown.
const STREAMS: [usize; 3] = [0, 64, 256];
/// Pieces of an answer, and the time between two of them.
const CHUNKS: u32 = 400;
const PACE: Duration = Duration::from_millis(20);
/// Keys, and the time between two of them: the pace of fast hands.
const KEYS: usize = 120;
const KEY_PACE: Duration = Duration::from_millis(50);
const LETTERS: &[u8] = b"EFGILNOPQRSTUVWXYZ";
/// What is not on the screen by then never will be.
const DEADLINE: Duration = Duration::from_secs(30);
/// Milliseconds until a key is echoed, 99 of 100; until the first piece is shown, the median; until any is, 99 of 100.
const BUDGET_KEY_MS: f64 = 20.0;
const BUDGET_FIRST_MS: f64 = 2.0;
const BUDGET_ALL_MS: f64 = 20.0;
/// Tokens of the answer whose cost is measured, and the time between two of them: a fast model.
const TOKENS: u32 = 2_000;
const TOKEN_PACE: Duration = Duration::from_millis(5);
/// CPU milliseconds below which no ratio is said.
const MEASURABLE_MS: f64 = 0.2;
/// Runs of that; the least counts.
const RUNS: usize = 3;
/// The first argument of this bench as a program in the terminal that echoes, or that writes a file in pieces.
const ECHO: &str = "--as-raw-echo";
const WRITE: &str = "--as-raw-writer";

fn main() -> io::Result<()> {
    let arguments: Vec<_> = std::env::args().collect();
    match arguments.as_slice() {
        [_, mark] if mark == ECHO => return raw_echo(),
        [_, mark, bytes, sizes] if mark == WRITE => return raw_write(bytes, sizes),
        _ => {}
    }
    say(&format!(
        "terminal: answers of {CHUNKS} chunks, one each {} ms; a key each {} ms\n",
        PACE.as_millis(),
        KEY_PACE.as_millis()
    ))?;
    keys_and_pieces()?;
    cost()
}

/// A program in a terminal of 80 columns.
struct Term {
    // Held open: a terminal without it is hung up.
    _master: Box<dyn MasterPty + Send>,
    child: Box<dyn Child + Send + Sync>,
    keys: Box<dyn Write + Send>,
    bytes: Receiver<(Instant, Vec<u8>)>,
}

impl Term {
    fn spawn(command: CommandBuilder) -> io::Result<Self> {
        let size = PtySize { rows: 24, cols: 80, pixel_width: 0, pixel_height: 0 };
        let pty = native_pty_system().openpty(size).map_err(io::Error::other)?;
        let child = pty.slave.spawn_command(command).map_err(io::Error::other)?;
        drop(pty.slave);
        let keys = pty.master.take_writer().map_err(io::Error::other)?;
        let mut output = pty.master.try_clone_reader().map_err(io::Error::other)?;
        let (sender, bytes) = sync_channel(100_000);
        thread::spawn(move || {
            let mut buffer = [0; 64 << 10];
            while let Ok(read @ 1..) = output.read(&mut buffer) {
                if sender.send((Instant::now(), buffer[..read].to_vec())).is_err() {
                    return;
                }
            }
        });
        Ok(Self { _master: pty.master, child, keys, bytes })
    }

    fn chatmux(sandbox: &Sandbox) -> io::Result<Self> {
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_chatmux"));
        command.env_clear();
        sandbox.environment().into_iter().for_each(|(name, value)| command.env(name, value));
        command.cwd(sandbox.path());
        let mut term = Self::spawn(command)?;
        term.until(b"> ")?;
        Ok(term)
    }

    fn raw(arguments: &[&str]) -> io::Result<Self> {
        let mut command = CommandBuilder::new(std::env::current_exe()?);
        command.args(arguments);
        Self::spawn(command)
    }

    fn type_keys(&mut self, keys: &[u8]) -> io::Result<()> {
        self.keys.write_all(keys)?;
        self.keys.flush()
    }

    /// Takes what comes until `part` is in it; when that was.
    fn until(&mut self, part: &[u8]) -> io::Result<Instant> {
        let mut seen = Vec::new();
        loop {
            let (at, bytes) = self.bytes.recv_timeout(DEADLINE).map_err(|e| {
                io::Error::other(format!(
                    "{e}: no {:?} in {:?}",
                    String::from_utf8_lossy(part),
                    String::from_utf8_lossy(&seen)
                ))
            })?;
            // It may lie over two reads.
            seen.extend_from_slice(&bytes);
            if seen.windows(part.len()).any(|window| window == part) {
                return Ok(at);
            }
            seen.drain(..seen.len().saturating_sub(part.len()));
        }
    }

    /// Takes all until the program ends; what it wrote, read by read.
    fn run_out(mut self) -> io::Result<Vec<Vec<u8>>> {
        let mut reads = Vec::new();
        loop {
            match self.bytes.recv_timeout(DEADLINE) {
                Ok((_, bytes)) => reads.push(bytes),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => return Err(io::Error::other("the program does not end")),
            }
        }
        let status = self.child.wait()?;
        if status.success() { Ok(reads) } else { Err(io::Error::other(format!("it ended with {status:?}"))) }
    }
}

fn keys_and_pieces() -> io::Result<()> {
    let mut table = Table::new([
        "streams",
        "key echo, p50 ms",
        "p99 ms",
        "first piece, ms",
        "all, p50 ms",
        "all, p99 ms",
        "budget",
    ]);
    let raw = raw_keys()?;
    table.row([&"raw echo", &two(median(&raw)), &two(percentile(&raw, 0.99)), &"", &"", &"", &""]);
    for streams in STREAMS {
        let Felt { keys, first, pieces } = felt(streams)?;
        let (late, key) = (percentile(&pieces, 0.99), percentile(&keys, 0.99));
        let kept = key <= BUDGET_KEY_MS && late <= BUDGET_ALL_MS && first <= BUDGET_FIRST_MS;
        let budget = format!("≤ {BUDGET_KEY_MS}, ≤ {BUDGET_FIRST_MS}, ≤ {BUDGET_ALL_MS}: {}", verdict(kept));
        let shown = format!("{streams} and the shown one");
        table.row([&shown, &two(median(&keys)), &two(key), &two(first), &two(median(&pieces)), &two(late), &budget]);
        say(&format!("  worst key {:.1} ms, worst piece {:.1} ms", max(&keys), max(&pieces)))?;
    }
    table.print()
}

fn two(value: f64) -> String {
    format!("{value:.2}")
}

/// What a person at the prompt feels, in milliseconds.
struct Felt {
    keys: Vec<f64>,
    first: f64,
    pieces: Vec<f64>,
}

fn felt(streams: usize) -> io::Result<Felt> {
    let epoch = Instant::now();
    let sandbox = Sandbox::new()?;
    sandbox.configure("openai", paced(streams + 1, epoch, CHUNKS, PACE)?, streams + 1)?;
    let sessions: String = (0..streams).map(|nth| format!("/new s{nth}\n")).collect();
    sandbox::run(&mut sandbox.chatmux(&["--json"]), &(sessions + "/switch 1\n"))?;
    let mut term = Term::chatmux(&sandbox)?;
    if streams > 0 {
        let others: Vec<_> = (2..streams + 2).map(|session| session.to_string()).collect();
        term.type_keys(format!("/send {} go\r", others.join(",")).as_bytes())?;
    }
    term.type_keys(b"shown\r")?;
    let mut pieces = Pieces { epoch, tail: String::new(), shown: BTreeMap::new() };
    while pieces.shown.is_empty() {
        let (at, bytes) = term.bytes.recv_timeout(DEADLINE).map_err(io::Error::other)?;
        pieces.take(at, &bytes);
    }
    let mut keys = Vec::new();
    for nth in 0..KEYS {
        // A letter that is in no answer and ends no escape sequence; the line is emptied now and then.
        let key = LETTERS[nth % LETTERS.len()];
        if nth % LETTERS.len() == 0 {
            term.type_keys(b"\x15")?;
        }
        // What came before is no echo of this key.
        drain(&mut term, &mut pieces, KEY_PACE)?;
        let pressed = Instant::now();
        term.type_keys(&[key])?;
        loop {
            let (at, bytes) = term.bytes.recv_timeout(DEADLINE).map_err(io::Error::other)?;
            pieces.take(at, &bytes);
            if bytes.contains(&key) {
                keys.push(ms(at - pressed));
                break;
            }
        }
    }
    term.type_keys(b"\x15")?;
    while pieces.shown.len() < CHUNKS as usize {
        let (at, bytes) = term.bytes.recv_timeout(DEADLINE).map_err(io::Error::other)?;
        pieces.take(at, &bytes);
    }
    term.type_keys(b"/stop all\r/quit\r")?;
    term.run_out()?;
    let first = pieces.shown.get(&0).copied().unwrap_or(f64::NAN);
    Ok(Felt { keys, first, pieces: pieces.shown.into_values().collect() })
}

fn drain(term: &mut Term, pieces: &mut Pieces, length: Duration) -> io::Result<()> {
    let end = Instant::now() + length;
    loop {
        match term.bytes.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok((at, bytes)) => pieces.take(at, &bytes),
            Err(RecvTimeoutError::Timeout) => return Ok(()),
            Err(error) => return Err(io::Error::other(error)),
        }
    }
}

/// The pieces of the shown answer, `NUMBER:MICROSECONDS`: each when it was first on the screen.
struct Pieces {
    epoch: Instant,
    tail: String,
    shown: BTreeMap<u32, f64>,
}

impl Pieces {
    fn take(&mut self, at: Instant, bytes: &[u8]) {
        self.tail.push_str(&String::from_utf8_lossy(bytes));
        let whole = self.tail.rfind([' ', '\n', '\x1b']).unwrap_or(0);
        let text = without_sequences(&self.tail[..whole]);
        let words: BTreeSet<&str> = text.split_whitespace().collect();
        let now = at - self.epoch;
        for word in words {
            let Some((number, sent)) = word.split_once(':') else { continue };
            if let (Ok(number), Ok(sent)) = (number.parse(), sent.parse()) {
                self.shown.entry(number).or_insert_with(|| ms(now) - ms(Duration::from_micros(sent)));
            }
        }
        self.tail.drain(..whole);
    }
}

/// A text with blanks for what moves the cursor and colours: `ESC [ … letter`.
fn without_sequences(text: &str) -> String {
    let mut parts = text.split('\x1b');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| c.is_ascii_alphabetic()).map_or(part.len(), |at| at + 1);
        out.push(' ');
        out.push_str(&part[end..]);
    }
    out
}

/// A server that waits for `streams` requests and then answers all of them at the pace; the shown one
/// with numbers and times, the others with words.
fn paced(streams: usize, epoch: Instant, chunks: u32, pace: Duration) -> io::Result<SocketAddr> {
    let (sender, connections) = sync_channel(streams);
    thread::spawn(move || -> io::Result<()> {
        let mut open: Vec<(TcpStream, bool)> = connections.iter().take(streams).collect();
        open.iter_mut().try_for_each(|(stream, _)| stream.write_all(wire::HEAD.as_bytes()))?;
        let (began, count) = (Instant::now() + pace * 5, u32::try_from(streams).unwrap_or(u32::MAX));
        for number in 0..chunks {
            for (nth, (stream, shown)) in (0_u32..).zip(&mut open) {
                let due = began + pace * number + pace * nth / count;
                thread::sleep(due.saturating_duration_since(Instant::now()));
                let piece = match shown {
                    true => format!("{number}:{} ", epoch.elapsed().as_micros()),
                    false => "word ".to_owned(),
                };
                stream.write_all(wire::chunk(&wire::event("openai", &piece)).as_bytes())?;
            }
        }
        let end = wire::chunk(wire::end("openai")) + wire::LAST_CHUNK;
        open.iter_mut().try_for_each(|(stream, _)| stream.write_all(end.as_bytes()))
    });
    server::start(move |body, connection| {
        let is_shown = body.windows(5).any(|window| window == b"shown");
        sender.send((connection, is_shown)).map_err(io::Error::other)
    })
}

/// A program that echoes each byte: what the machine and its terminal take at least.
fn raw_keys() -> io::Result<Vec<f64>> {
    let mut term = Term::raw(&[ECHO])?;
    term.until(b">")?;
    let mut keys = Vec::new();
    for _ in 0..KEYS {
        thread::sleep(KEY_PACE);
        let pressed = Instant::now();
        term.type_keys(b"A")?;
        keys.push(ms(term.until(b"A")? - pressed));
    }
    term.type_keys(b"q")?;
    term.run_out()?;
    Ok(keys)
}

fn raw_echo() -> io::Result<()> {
    let mut modes = tcgetattr(io::stdin())?;
    cfmakeraw(&mut modes);
    tcsetattr(io::stdin(), SetArg::TCSANOW, &modes)?;
    let (mut input, mut output, mut key) = (io::stdin().lock(), io::stdout().lock(), [0; 1]);
    output.write_all(b">")?;
    output.flush()?;
    while input.read(&mut key)? == 1 && key != *b"q" {
        output.write_all(&key)?;
        output.flush()?;
    }
    Ok(())
}

/// An answer as models write them, in tokens.
fn prose(number: u32) -> String {
    const WORDS: [&str; 12] = [
        "The ",
        "**answer** ",
        "is ",
        "in ",
        "`code` ",
        "and ",
        "some ",
        "words ",
        "of ",
        "prose, ",
        "as ",
        "usual.\\n\\n",
    ];
    WORDS[number as usize % WORDS.len()].to_owned()
}

/// CPU a token that is shown, all of chatmux included, against writing the same bytes in the same pieces.
fn cost() -> io::Result<()> {
    let mut table =
        Table::new(["1,000 shown tokens", "chatmux, CPU ms", "the same bytes raw, CPU ms", "ratio", "bytes a token"]);
    for (what, pace) in [("one each 5 ms", TOKEN_PACE), ("as fast as they come", Duration::ZERO)] {
        let (mut least, mut reads) = (f64::INFINITY, Vec::new());
        for _ in 0..RUNS {
            let (cpu, written) = shown(pace)?;
            if cpu < least {
                (least, reads) = (cpu, written);
            }
        }
        let raw = (0..RUNS).map(|_| raw_cost(&reads)).collect::<io::Result<Vec<_>>>()?;
        let thousands = f64::from(TOKENS) / 1e3;
        let (chatmux, raw) = (least / thousands, percentile(&raw, 0.0) / thousands);
        let bytes = reads.iter().map(Vec::len).sum::<usize>() as f64 / f64::from(TOKENS);
        // Less than the kernel counts is no measure.
        let ratio = if raw < MEASURABLE_MS { "–".to_owned() } else { format!("{:.0}", chatmux / raw) };
        table.row([&what, &two(chatmux), &two(raw), &ratio, &format!("{bytes:.0}")]);
    }
    table.print()
}

/// CPU milliseconds of a chatmux that shows an answer, and what it wrote. The start and the end, without an answer, are taken off.
fn shown(pace: Duration) -> io::Result<(f64, Vec<Vec<u8>>)> {
    let run = |ask: bool| -> io::Result<(f64, Vec<Vec<u8>>)> {
        let sandbox = Sandbox::new()?;
        let address = server::start(move |_, mut connection| {
            connection.write_all(wire::HEAD.as_bytes())?;
            for number in 0..TOKENS {
                thread::sleep(pace);
                connection.write_all(wire::chunk(&wire::event("openai", &prose(number))).as_bytes())?;
            }
            connection.write_all(
                (wire::chunk(&wire::event("openai", "-end-")) + &wire::chunk(wire::end("openai"))).as_bytes(),
            )?;
            connection.write_all(wire::LAST_CHUNK.as_bytes())
        })?;
        sandbox.configure("openai", address, 1)?;
        let before = sandbox::children_cpu()?;
        let mut term = Term::chatmux(&sandbox)?;
        if ask {
            term.type_keys(b"go\r")?;
        }
        let (mut reads, mut ended) = (Vec::new(), !ask);
        while !ended {
            let (_, bytes) = term.bytes.recv_timeout(DEADLINE).map_err(io::Error::other)?;
            ended = bytes.windows(5).any(|window| window == b"-end-");
            reads.push(bytes);
        }
        term.type_keys(b"/quit\r")?;
        term.run_out()?;
        Ok((ms(sandbox::children_cpu()? - before), reads))
    };
    let (empty, _) = run(false)?;
    let (all, reads) = run(true)?;
    Ok((all - empty, reads))
}

fn raw_cost(reads: &[Vec<u8>]) -> io::Result<f64> {
    let folder = sandbox::folder()?;
    let (bytes, sizes) = (folder.path().join("bytes"), folder.path().join("sizes"));
    let run = |reads: &[Vec<u8>]| -> io::Result<f64> {
        std::fs::write(&bytes, reads.concat())?;
        let lengths: Vec<_> = reads.iter().map(|read| read.len().to_string()).collect();
        std::fs::write(&sizes, lengths.join("\n"))?;
        let before = sandbox::children_cpu()?;
        let (bytes, sizes) = (bytes.to_string_lossy(), sizes.to_string_lossy());
        Term::raw(&[WRITE, &bytes, &sizes])?.run_out()?;
        Ok(ms(sandbox::children_cpu()? - before))
    };
    let empty = run(&[])?;
    Ok((run(reads)? - empty).max(0.001))
}

/// Writes a file to the terminal in pieces of these lengths.
fn raw_write(bytes: &str, sizes: &str) -> io::Result<()> {
    let (bytes, sizes) = (std::fs::read(bytes)?, std::fs::read_to_string(sizes)?);
    let (mut output, mut rest) = (io::stdout().lock(), bytes.as_slice());
    for size in sizes.lines() {
        let (piece, more) = rest.split_at(size.parse().map_err(io::Error::other)?);
        output.write_all(piece)?;
        output.flush()?;
        rest = more;
    }
    Ok(())
}
