//! From the shell to the first prompt, with an empty database and with one of 1,000 sessions and 1,000,000 messages; against a
//! process that does nothing, and one that only opens the same file with SQLite and reads its sessions.

mod support;

use std::io::{self, Write};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use chatmux::domain::Timestamp;
use chatmux::store::Store;
use rusqlite::{Connection, OpenFlags, params};

use support::figures::{Table, max, median, min, ms, say, verdict};
use support::prompt::Prompt;
use support::sandbox::{self, Sandbox};

/// Sessions of the large database.
const SESSIONS: i64 = 1_000;
/// Its messages: a question and an answer a turn.
const MESSAGES: i64 = 1_000_000;
/// Starts of each.
const RUNS: usize = 25;
/// Milliseconds to the prompt.
const BUDGET_MS: f64 = 15.0;
/// Resident memory at the prompt, in MiB.
const BUDGET_MIB: f64 = 20.0;
/// The first argument of this bench that is to be the process that only opens the file.
const MARK: &str = "--as-raw-open";

fn main() -> io::Result<()> {
    let arguments: Vec<_> = std::env::args().collect();
    if let [_, mark, path] = arguments.as_slice()
        && mark == MARK
    {
        return raw_open(Path::new(path)).map_err(io::Error::other);
    }
    let (empty, full) = (Sandbox::new()?, Sandbox::new()?);
    let began = Instant::now();
    fill(&full.database()).map_err(io::Error::other)?;
    sandbox::run(&mut empty.chatmux(&[]), "/quit\n")?;
    let bytes = std::fs::metadata(full.database())?.len();
    say(&format!(
        "startup: {RUNS} starts of each; the large database ({SESSIONS} sessions, {MESSAGES} messages, {} MiB) took {:.0} s to make\n",
        bytes >> 20,
        began.elapsed().as_secs_f64()
    ))?;
    let head = ["what", "database", "median ms", "least ms", "CPU ms", "over raw, ms", "RSS MiB", "budget"];
    let mut table = Table::new(head);
    for (name, sandbox) in [("empty", &empty), ("large", &full)] {
        measure(name, sandbox, &mut table)?;
    }
    table.print()
}

#[derive(Default)]
struct Figures {
    wall: Vec<f64>,
    cpu: Vec<f64>,
    rss: Vec<f64>,
}

fn measure(name: &str, sandbox: &Sandbox, table: &mut Table) -> io::Result<()> {
    let (mut nothing, mut raw, mut script, mut prompt) =
        (Figures::default(), Figures::default(), Figures::default(), Figures::default());
    let mut open = Command::new(std::env::current_exe()?);
    open.arg(MARK).arg(sandbox.database());
    for _ in 0..RUNS {
        for (command, input, figures) in [
            (&mut Command::new("true"), "", &mut nothing),
            (&mut open, "", &mut raw),
            (&mut sandbox.chatmux(&[]), "/quit\n", &mut script),
        ] {
            let cost = sandbox::run(command, input)?;
            figures.wall.push(ms(cost.wall));
            figures.cpu.push(ms(cost.cpu));
        }
        let (wall, rss) = to_prompt(sandbox)?;
        prompt.wall.push(ms(wall));
        prompt.rss.push(rss);
    }
    let (base, figure) = (median(&raw.wall), |value: f64| format!("{value:.1}"));
    for (what, figures) in [
        ("true", &nothing),
        ("raw open, sessions read", &raw),
        ("chatmux, script /quit, whole", &script),
        ("chatmux, pty, to the prompt", &prompt),
    ] {
        let wall = median(&figures.wall);
        let cpu = if figures.cpu.is_empty() { String::new() } else { figure(median(&figures.cpu)) };
        let rss = if figures.rss.is_empty() { String::new() } else { figure(max(&figures.rss)) };
        let kept = wall <= BUDGET_MS && max(&figures.rss).max(0.0) <= BUDGET_MIB;
        let budget = if figures.rss.is_empty() {
            String::new()
        } else {
            format!("≤ {BUDGET_MS} ms, ≤ {BUDGET_MIB} MiB: {}", verdict(kept))
        };
        let over = format!("{:+.1}", wall - base);
        table.row([&what, &name, &figure(wall), &figure(min(&figures.wall)), &cpu, &over, &rss, &budget]);
    }
    Ok(())
}

/// Starts it in a terminal; the time until the first prompt is there, and the most memory that it had until then, in MiB.
fn to_prompt(sandbox: &Sandbox) -> io::Result<(Duration, f64)> {
    let prompt = Prompt::start(sandbox)?;
    let (wall, mut rss) = (prompt.wall, 0.0);
    for pid in sandbox::family(prompt.pid)? {
        rss += sandbox::proc_figure(pid, "status", "VmHWM")? as f64 / 1024.0;
    }
    prompt.quit()?;
    Ok((wall, rss))
}

/// The baseline: the file opened, its journal looked at, its sessions read.
fn raw_open(path: &Path) -> rusqlite::Result<()> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    let mut names = conn.prepare("SELECT id, name FROM sessions ORDER BY id")?;
    let count = names.query_map([], |row| row.get::<_, String>(1))?.filter(Result::is_ok).count();
    let mut out = io::stdout().lock();
    // Nobody reads it.
    let _ = write!(out, "{count}> ");
    Ok(())
}

/// Makes the large database: the program's own schema, filled in one transaction.
fn fill(path: &Path) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let (store, _) = Store::open(path, Timestamp(0))?;
    store.close();
    let mut conn = Connection::open(path)?;
    conn.pragma_update(None, "synchronous", "off")?;
    let transaction = conn.transaction()?;
    let numbers = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)";
    transaction.execute(
        &format!(
            "{numbers} INSERT INTO sessions (id, name, model, created_at_ms) SELECT i, 's' || i, 'demo:tour', i FROM n"
        ),
        [SESSIONS],
    )?;
    transaction.execute(
        &format!(
            "{numbers} INSERT INTO entries (id, session_id, priority, origin, state, attempts, created_at_ms, \
             started_at_ms, finished_at_ms, position, text) SELECT i, i % ?2 + 1, 'normal', 'user', 'done', 1, i, i, i, i, \
             'what is the matter with number ' || i FROM n"
        ),
        params![MESSAGES / 2, SESSIONS],
    )?;
    transaction.execute(
        &format!(
            "{numbers} INSERT INTO messages (id, session_id, entry_id, role, state, model, created_at_ms, finished_at_ms, \
             text) SELECT i, (i + 1) / 2 % ?2 + 1, (i + 1) / 2, iif(i % 2, 'user', 'assistant'), 'complete', 'demo:tour', i, \
             i, iif(i % 2, 'what is the matter with number ' || (i + 1) / 2, 'nothing that a hundred bytes of an answer \
             could not put right again in the end, ' || i) FROM n"
        ),
        params![MESSAGES, SESSIONS],
    )?;
    transaction.execute(
        "UPDATE sessions SET seen_message = (SELECT max(m.id) FROM messages m WHERE m.session_id = sessions.id), \
         seen_reasoning_bytes = 9223372036854775807, seen_text_bytes = 9223372036854775807, seen_ended = 1",
        [],
    )?;
    transaction.commit()?;
    conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    Ok(())
}
