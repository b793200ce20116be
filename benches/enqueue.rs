//! Durable acknowledgement: messages a second from one sender and from 64, each waiting for its commit, against a bare SQLite
//! connection that commits one row a transaction. Both wait for the disk.

mod support;

use std::io;
use std::path::Path;
use std::time::Instant;

use chatmux::domain::{Origin, Priority, SessionId, Timestamp};
use chatmux::store::{CancelEntries, CreateSession, Enqueue, PendingEntries, Store};
use rusqlite::{Connection, params};
use tokio::runtime::Builder;

use support::figures::{Table, max, median, say, verdict};
use support::sandbox;

/// Rounds of each; they take turns.
const ROUNDS: usize = 15;
/// Messages a round, of one sender and of the bare connection.
const SINGLE: usize = 100;
/// Senders at once, and messages of each a round: no more may wait in a session.
const SENDERS: usize = 64;
const EACH: usize = 100;
/// Throughput of 64 senders over that of single commits.
const BUDGET: f64 = 20.0;
const TEXT: &str = "a message of an ordinary length, such as a person types at a prompt";

fn main() -> io::Result<()> {
    measure().map_err(io::Error::other)
}

fn measure() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let folder = sandbox::folder()?;
    let (store, _) = Store::open(&folder.path().join("chatmux.db"), Timestamp(0))?;
    let bare = bare(&folder.path().join("bare.db"))?;
    let mut sessions = Vec::new();
    for _ in 0..SENDERS {
        let model = "demo:tour".parse()?;
        let create = CreateSession { name: None, model, system: String::new(), now: Timestamp(0) };
        sessions.push(store.write_blocking(create)?.id);
    }
    let runtime = Builder::new_current_thread().build()?;
    let (mut raw, mut bulk, mut one, mut many, mut grouped) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        raw.push(a_second(SINGLE, || (0..SINGLE).try_for_each(|nth| insert(&bare, nth)))?);
        bulk.push(a_second(SENDERS * EACH, || commit_together(&bare))?);
        one.push(a_second(SINGLE, || Ok(runtime.block_on(send(store.clone(), sessions[0], SINGLE))?))?);
        empty(&store, &bare)?;
        let before = store.writer_counts();
        many.push(a_second(SENDERS * EACH, || Ok(runtime.block_on(send_together(&store, &sessions))?))?);
        let after = store.writer_counts();
        empty(&store, &bare)?;
        grouped.push((after.operations - before.operations) as f64 / (after.commits - before.commits) as f64);
    }
    store.close();
    say(&format!("enqueue: acknowledged messages a second, {ROUNDS} rounds\n"))?;
    let mut table = Table::new(["what", "median /s", "best /s", "ratio", "a commit", "budget"]);
    let base = median(&raw);
    let figure = |value: f64| format!("{value:.0}");
    table.row([&"bare SQLite, one row a commit", &figure(base), &figure(max(&raw)), &"1.00", &"1", &""]);
    let ratio = format!("{:.1}", median(&bulk) / base);
    let rows = format!("{SENDERS}");
    table.row([&"bare SQLite, 64 rows a commit", &figure(median(&bulk)), &figure(max(&bulk)), &ratio, &rows, &""]);
    let ratio = median(&one) / base;
    table.row([&"chatmux, 1 sender", &figure(median(&one)), &figure(max(&one)), &format!("{ratio:.2}"), &"1", &""]);
    let ratio = median(&many) / base;
    let budget = format!("≥ {BUDGET}: {}", verdict(ratio >= BUDGET));
    let (commit, ratio) = (figure(median(&grouped)), format!("{ratio:.1}"));
    table.row([&"chatmux, 64 senders", &figure(median(&many)), &figure(max(&many)), &ratio, &commit, &budget]);
    Ok(table.print()?)
}

type Outcome = Result<(), Box<dyn std::error::Error + Send + Sync>>;

fn a_second(messages: usize, work: impl FnOnce() -> Outcome) -> Result<f64, Box<dyn std::error::Error + Send + Sync>> {
    let began = Instant::now();
    work()?;
    Ok(messages as f64 / began.elapsed().as_secs_f64())
}

async fn send(store: Store, session: SessionId, count: usize) -> Result<(), chatmux::store::StoreError> {
    for nth in 0..count {
        let now = Timestamp(i64::try_from(nth).unwrap_or(0));
        let (priority, origin) = (Priority::Normal, Origin::User);
        store.write(Enqueue { session, priority, origin, text: TEXT.to_owned(), now }).await?;
    }
    Ok(())
}

async fn send_together(store: &Store, sessions: &[SessionId]) -> Result<(), chatmux::store::StoreError> {
    futures_util::future::try_join_all(sessions.iter().map(|&session| send(store.clone(), session, EACH))).await?;
    Ok(())
}

/// A table of the columns and indexes that matter here, opened as the program opens its own.
fn bare(path: &Path) -> rusqlite::Result<Connection> {
    let conn = Connection::open(path)?;
    conn.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
    conn.pragma_update(None, "synchronous", "full")?;
    conn.execute_batch(
        "CREATE TABLE entries (id INTEGER PRIMARY KEY AUTOINCREMENT, session_id INTEGER NOT NULL, priority TEXT NOT NULL, \
         origin TEXT NOT NULL, state TEXT NOT NULL, created_at_ms INTEGER NOT NULL, text TEXT NOT NULL, \
         position INTEGER NOT NULL) STRICT; \
         CREATE INDEX entries_in_order ON entries (session_id, position); \
         CREATE INDEX entries_pending ON entries (session_id) WHERE state = 'pending';",
    )?;
    Ok(conn)
}

/// What waits is served between two rounds, as it would be.
fn empty(store: &Store, bare: &Connection) -> Outcome {
    let ids = store.read_blocking(PendingEntries)?.into_iter().map(|entry| entry.id).collect();
    store.write_blocking(CancelEntries { ids, now: Timestamp(0) })?;
    bare.execute("UPDATE entries SET state = 'done' WHERE state = 'pending'", [])?;
    Ok(())
}

fn insert(conn: &Connection, nth: usize) -> Outcome {
    conn.prepare_cached(
        "INSERT INTO entries (session_id, priority, origin, state, created_at_ms, text, position) \
         VALUES (?1 % 64 + 1, 'normal', 'user', 'pending', ?1, ?2, ?1)",
    )?
    .execute(params![i64::try_from(nth)?, TEXT])?;
    Ok(())
}

/// The bound of what group commit can reach: as many rows a commit as there are senders, from one thread.
fn commit_together(conn: &Connection) -> Outcome {
    for _ in 0..EACH {
        let transaction = conn.unchecked_transaction()?;
        (0..SENDERS).try_for_each(|nth| insert(conn, nth))?;
        transaction.commit()?;
    }
    Ok(())
}
