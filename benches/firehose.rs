//! An answer of 200,000 pieces through a pipe, as fast as the machine can: the CPU time of chatmux (which stores, shows and
//! follows it) over that of a raw client, which reads, frames and parses the same bytes and prints the text.

mod support;

use std::io::{self, Write};

use support::figures::{Table, median, min, say, verdict};
use support::sandbox::{self, Sandbox};
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
    let mut table =
        Table::new(["kind", "framing", "output", "chatmux ms", "raw ms", "µs a chunk", "ratio", "median", "budget"]);
    for kind in wire::KINDS.iter().filter(|kind| kinds.is_empty() || kinds.iter().any(|k| k == *kind)) {
        measure(kind, 1, &mut table)?;
        measure(kind, PROXY_BYTES, &mut table)?;
    }
    table.print()
}

fn measure(kind: &str, chunk_bytes: usize, table: &mut Table) -> io::Result<()> {
    let texts = (0..CHUNKS).map(|nth| if nth % 16 == 15 { "\\n".to_owned() } else { format!(" word{}", nth % 10) });
    let response = wire::response(kind, chunk_bytes, texts);
    let address = server::start(move |_, mut connection| connection.write_all(&response))?;
    let sandbox = Sandbox::new()?;
    sandbox.configure(kind, address, 4)?;
    let (mut text, mut json, mut plain) = (Vec::new(), Vec::new(), Vec::new());
    for run in 0..RUNS {
        // A session each: the request stays the same.
        let (of_text, of_json) = (format!("text{run}"), format!("json{run}"));
        plain.push(sandbox::run(&mut raw::client(address, kind, "go")?, "")?.cpu.as_secs_f64() * 1e3);
        text.push(sandbox::run(&mut sandbox.chatmux(&["-s", &of_text]), "go\n")?.cpu.as_secs_f64() * 1e3);
        json.push(sandbox::run(&mut sandbox.chatmux(&["--json", "-s", &of_json]), "go\n")?.cpu.as_secs_f64() * 1e3);
    }
    for (output, runs) in [("text", &text), ("--json", &json)] {
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
        ]);
    }
    Ok(())
}
