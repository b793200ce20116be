//! Many answers at once at reading speed: whether all of each arrives, how long a piece takes from the server to stdout, what that
//! costs in CPU and memory, and how many bytes go to the disk for a byte that was streamed.

mod support;

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Stdio;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use serde::Deserialize;

use support::figures::{Table, max, median, percentile, say, verdict};
use support::sandbox::{self, Sandbox};
use support::{raw, server, wire};

/// Streams of each round.
const ROUNDS: [usize; 3] = [1, 16, 256];
/// Pieces of an answer, and the time between two of them.
const CHUNKS: u32 = 250;
const PACE: Duration = Duration::from_millis(20);
/// CPU time over elapsed time, of one core.
const BUDGET_CPU: f64 = 0.5;
/// Memory of a stream, in KiB.
const BUDGET_KIB: f64 = 100.0;
/// Milliseconds to stdout: the median of the first pieces, and what 99 of 100 of all pieces do not exceed.
const BUDGET_FIRST_MS: f64 = 2.0;
const BUDGET_ALL_MS: f64 = 20.0;
/// Bytes to the disk a byte streamed.
const BUDGET_WRITTEN: f64 = 4.0;

/// What a round came to.
struct Round {
    streams: usize,
    first_ms: Vec<f64>,
    all_ms: Vec<f64>,
    cpu: f64,
    raw_cpu: f64,
    rss_kib: f64,
    streamed: u64,
    written: u64,
}

fn main() -> io::Result<()> {
    if raw::ran()? {
        return Ok(());
    }
    say(&format!("streams: answers of {CHUNKS} chunks, one each {} ms, to --json\n", PACE.as_millis()))?;
    let rounds = ROUNDS.into_iter().map(round).collect::<io::Result<Vec<_>>>()?;
    let head = [
        "streams",
        "lost",
        "first, median ms",
        "all, p99 ms",
        "all, max ms",
        "CPU of a core",
        "raw",
        "ratio",
        "KiB a stream",
    ];
    let mut table = Table::new(head);
    let (alone, figure) = (rounds.first().map_or(0.0, |round| round.rss_kib), |value: f64| format!("{value:.1}"));
    for round in &rounds {
        let each = (round.rss_kib - alone) / (round.streams.max(2) - 1) as f64;
        let memory = if round.streams == 1 { format!("{alone:.0} in all") } else { figure(each) };
        let (first, all) = (median(&round.first_ms), percentile(&round.all_ms, 0.99));
        let (cpu, raw) = (format!("{:.1} %", round.cpu * 100.0), format!("{:.1} %", round.raw_cpu * 100.0));
        let (first, all, ratio) = (format!("{first:.2}"), figure(all), figure(round.cpu / round.raw_cpu));
        table.row([&round.streams, &0, &first, &all, &figure(max(&round.all_ms)), &cpu, &raw, &ratio, &memory]);
    }
    let kept = rounds.iter().all(|round| {
        let each = (round.rss_kib - alone) / (round.streams.max(2) - 1) as f64;
        let late = percentile(&round.all_ms, 0.99) > BUDGET_ALL_MS || median(&round.first_ms) > BUDGET_FIRST_MS;
        !late && round.cpu <= BUDGET_CPU && each <= BUDGET_KIB
    });
    table.row([
        &"budget",
        &0,
        &format!("≤ {BUDGET_FIRST_MS}"),
        &format!("≤ {BUDGET_ALL_MS}"),
        &"",
        &format!("≤ {:.0} %", BUDGET_CPU * 100.0),
        &"",
        &"",
        &format!("≤ {BUDGET_KIB}: {}", verdict(kept)),
    ]);
    table.print()?;
    let mut table = Table::new(["streams", "bytes streamed", "bytes written", "a byte", "budget"]);
    for Round { streams, streamed, written, .. } in &rounds {
        let ratio = *written as f64 / *streamed as f64;
        let budget = format!("≤ {BUDGET_WRITTEN}: {}", verdict(ratio <= BUDGET_WRITTEN));
        table.row([streams, streamed, written, &format!("{ratio:.1}"), &budget]);
    }
    table.print()
}

fn round(streams: usize) -> io::Result<Round> {
    let epoch = Instant::now();
    let sandbox = Sandbox::new()?;
    sandbox.configure("openai", paced(streams, epoch)?, streams)?;
    let sessions: String = (0..streams).map(|nth| format!("/new s{nth}\n")).collect();
    sandbox::run(&mut sandbox.chatmux(&["--json"]), &(sessions + "/switch 1\n"))?;
    let before = sandbox::children_written()?;
    let mut round = listen(&sandbox, streams, epoch)?;
    round.written = sandbox::children_written()? - before;
    let cost = sandbox::run(&mut raw::clients(paced(streams, epoch)?, "openai", "go", streams)?, "")?;
    round.raw_cpu = cost.cpu.as_secs_f64() / cost.wall.as_secs_f64();
    Ok(round)
}

/// What of a line of `--json` matters here.
#[derive(Deserialize)]
struct Line {
    event: String,
    session: Option<i64>,
    text: Option<String>,
    state: Option<String>,
}

/// Runs chatmux with all streams, and follows what it puts out.
fn listen(sandbox: &Sandbox, streams: usize, epoch: Instant) -> io::Result<Round> {
    let mut command = sandbox.chatmux(&["--json"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    // Session 1 is there from the start and stays quiet.
    let sessions: Vec<_> = (2..streams + 2).map(|session| session.to_string()).collect();
    let line = format!("/send {} go\n", sessions.join(","));
    child.stdin.take().map_or(Ok(()), |mut stdin| stdin.write_all(line.as_bytes()))?;
    let out = child.stdout.take().ok_or_else(|| io::Error::other("no stdout"))?;
    let (mut first_ms, mut all_ms, mut texts) = (Vec::new(), Vec::new(), BTreeMap::<i64, String>::new());
    let (mut began, mut cpu, mut rss_kib, mut ended, mut streamed) = (None, None, 0.0, 0, 0);
    for line in BufReader::new(out).lines() {
        let (line, now) = (line?, epoch.elapsed());
        let Line { event, session: Some(session), text: Some(text), state } = serde_json::from_str(&line)? else {
            continue;
        };
        let have = texts.entry(session).or_default();
        if event == "delta" {
            if began.is_none() {
                began = Some((now, sandbox::proc_cpu(child.id())?));
            }
            let first = have.is_empty();
            have.push_str(&text);
            let delays = text.split_terminator(' ').filter_map(|piece| delay(piece, now));
            let delays = delays.collect::<Vec<_>>();
            first_ms.extend(delays.first().filter(|_| first));
            all_ms.extend(delays);
        } else if event == "finished" {
            if let Some((since, before)) = began
                && cpu.is_none()
            {
                let share = (sandbox::proc_cpu(child.id())? - before).as_secs_f64() / (now - since).as_secs_f64();
                cpu = Some(share);
                rss_kib = sandbox::proc_figure(child.id(), "status", "VmHWM")? as f64;
            }
            let whole = state.as_deref() == Some("complete") && text == *have && is_whole(&text);
            if !whole {
                return Err(io::Error::other(format!("session {session} lost something: {line}")));
            }
            (ended, streamed) = (ended + 1, streamed + text.len() as u64);
        }
    }
    let output = child.wait_with_output()?;
    sandbox::check(&command, output.status, &output.stderr)?;
    if ended != streams {
        return Err(io::Error::other(format!("{ended} of {streams} answers ended")));
    }
    let cpu = cpu.unwrap_or(f64::NAN);
    Ok(Round { streams, first_ms, all_ms, cpu, raw_cpu: f64::NAN, rss_kib, streamed, written: 0 })
}

/// Milliseconds that a piece `NUMBER:MICROSECONDS` took.
fn delay(piece: &str, now: Duration) -> Option<f64> {
    let sent: u64 = piece.split_once(':')?.1.parse().ok()?;
    Some((now.as_secs_f64() - Duration::from_micros(sent).as_secs_f64()) * 1e3)
}

/// Whether each piece is there once, in order.
fn is_whole(text: &str) -> bool {
    let numbers = text.split_terminator(' ').map(|piece| piece.split(':').next()?.parse().ok());
    numbers.eq((0..CHUNKS).map(Some))
}

/// A server that waits for `streams` requests and then answers all of them at the pace, one behind the other. Each piece is its number
/// and when it was sent, in microseconds since `epoch`.
fn paced(streams: usize, epoch: Instant) -> io::Result<SocketAddr> {
    let (sender, connections) = sync_channel(streams);
    thread::spawn(move || play(&connections, streams, epoch));
    server::start(move |_, connection| sender.send(connection).map_err(io::Error::other))
}

fn play(connections: &Receiver<TcpStream>, streams: usize, epoch: Instant) -> io::Result<()> {
    let mut open: Vec<TcpStream> = connections.iter().take(streams).collect();
    for stream in &mut open {
        stream.write_all(wire::HEAD.as_bytes())?;
    }
    let (began, count) = (Instant::now() + PACE * 5, u32::try_from(streams).unwrap_or(u32::MAX));
    for number in 0..CHUNKS {
        for (nth, stream) in (0_u32..).zip(&mut open) {
            let due = began + PACE * number + PACE * nth / count;
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let piece = format!("{number}:{} ", epoch.elapsed().as_micros());
            stream.write_all(wire::chunk(&wire::event("openai", &piece)).as_bytes())?;
        }
    }
    let end = wire::chunk(wire::end("openai")) + wire::LAST_CHUNK;
    open.iter_mut().try_for_each(|stream| stream.write_all(end.as_bytes()))
}
