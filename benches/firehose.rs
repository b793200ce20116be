//! An answer of 200,000 pieces through a pipe, as fast as the machine can: the CPU time of chatmux (which stores, shows and
//! follows it) over that of a raw client, which reads, frames and parses the same bytes and prints the text.

mod support;

use std::io::{self, Write};

use support::figures::{Table, median, min, ms, say, verdict};
use support::sandbox::{self, Cost, Sandbox};
use support::{raw, server, wire};

/// Pieces of the answer.
const CHUNKS: usize = 200_000;
/// Runs of each; the machine is shared, so the least of them counts.
const RUNS: usize = 4;
/// Bytes of an HTTP chunk behind a proxy.
const PROXY_BYTES: usize = 16 << 10;
/// CPU time over the raw client's.
const BUDGET: f64 = 2.0;

fn main() -> io::Result<()> {
    if raw::ran()? {
        return Ok(());
    }
    let kinds: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    say(&format!("firehose: {CHUNKS} chunks, CPU time (user + system), least and median of {RUNS} runs\n"))?;
    let mut table = Table::new([
        "kind",
        "framing",
        "output",
        "chatmux ms",
        "raw ms",
        "µs a chunk",
        "ratio",
        "median",
        "budget",
        "written a byte",
    ]);
    for kind in wire::KINDS.iter().filter(|kind| kinds.is_empty() || kinds.iter().any(|k| k == *kind)) {
        measure(kind, 1, &mut table)?;
        measure(kind, PROXY_BYTES, &mut table)?;
    }
    table.print()
}

fn measure(kind: &str, chunk_bytes: usize, table: &mut Table) -> io::Result<()> {
    let text = |nth: usize| if nth % 16 == 15 { "\\n".to_owned() } else { format!(" word{}", nth % 10) };
    // A line end is one byte when it was parsed.
    let bytes: usize = (0..CHUNKS).map(|nth| if nth % 16 == 15 { 1 } else { text(nth).len() }).sum();
    let texts = (0..CHUNKS).map(text);
    let response = wire::response(kind, chunk_bytes, texts);
    let address = server::start(move |_, mut connection| connection.write_all(&response))?;
    let sandbox = Sandbox::new()?;
    sandbox.configure(kind, address, 4)?;
    let mut costs: [Vec<Cost>; 3] = Default::default();
    for run in 0..RUNS {
        // A session each: the request stays the same.
        let (text, json) = (format!("text{run}"), format!("json{run}"));
        costs[0].push(sandbox::run(&mut raw::client(address, kind, "go")?, "")?);
        costs[1].push(sandbox::run(&mut sandbox.chatmux(&["-s", &text]), "go\n")?);
        costs[2].push(sandbox::run(&mut sandbox.chatmux(&["--json", "-s", &json]), "go\n")?);
    }
    let cpu = |costs: &[Cost]| costs.iter().map(|cost| ms(cost.cpu)).collect::<Vec<_>>();
    let written = |costs: &[Cost]| costs.iter().map(|cost| cost.written as f64 / bytes as f64).collect::<Vec<_>>();
    let (plain, text, json) = (cpu(&costs[0]), cpu(&costs[1]), cpu(&costs[2]));
    for (output, runs, written) in [("text", &text, written(&costs[1])), ("--json", &json, written(&costs[2]))] {
        let ratio = min(runs) / min(&plain);
        table.row([
            &kind,
            &if chunk_bytes == 1 { "an event a chunk" } else { "16 KiB chunks" },
            &output,
            &format!("{:.0}", min(runs)),
            &format!("{:.0}", min(&plain)),
            &format!("{:.2}", min(runs) * 1e3 / CHUNKS as f64),
            &format!("{ratio:.2}"),
            &format!("{:.2}", median(runs) / median(&plain)),
            &format!("≤ {BUDGET}: {}", verdict(ratio <= BUDGET)),
            &format!("{:.1}", median(&written)),
        ]);
    }
    Ok(())
}
