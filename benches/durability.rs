//! What it costs that a partial answer is on the disk: appends made durable a second, and bytes written for a byte streamed, with 1, 16 and
//! 256 answers at once.
//!
//! The baseline is a bare connection to a database that the store made, so that schema and pragmas are the same. It writes the same
//! rows: once with a commit for each append, and once with one for what all streams append at a time, which is what group commit can
//! come to at best.
//!
//! Answers seldom end at the same moment, so each end is a commit of its own in all three.
//!
//! Bytes are counted twice. "To the disk" is what the kernel counts (`write_bytes` of `/proc/self/io`): pages of 4 KiB of files, from the
//! journal's frames to what checkpoints, the last one at closing included, copy into the database. "By SQLite" is what was given to
//! `write` (`wchar`): the same without the rest of those pages. An append that is alone makes at least one frame of a page and its
//! header of 24 bytes, which lies across two pages of the file.
//!
//! At last what it costs another process to follow: one tick of all answers is read, when each is ten minutes long already.

mod support;

use std::io;
use std::path::Path;
use std::time::Instant;

use chatmux::domain::{AnswerState, EntryState, MessageId, Origin, Priority, Seen, Timestamp, Usage};
use chatmux::store::{
    AppendChunks, ChunkKind, ChunksSince, CreateSession, EndTurn, Enqueue, OutputSince, StartTurn, Store, Turn,
};
use futures_util::future::try_join_all;
use rusqlite::{Connection, params};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

use support::figures::{Table, median, say, verdict};
use support::sandbox;

/// Answers at once, of each round.
const STREAMS: [usize; 3] = [1, 16, 256];
/// Rounds of each way to commit; they take turns.
const ROUNDS: usize = 5;
/// Appends of a round, of all streams together; as many go before, unmeasured, so that the journal need not grow any more.
const APPENDS: usize = 1_024;
/// Appends of an answer at reading speed: 20 seconds of them, ten a second.
const TICKS: usize = 200;
/// What comes in a tick: five pieces of twelve bytes.
const TICK_TEXT: &str = "a piece of a sentence that a model says at a reading speed, ";
/// Bytes of all answers of a round as fast as they come, and of an append of such a one.
const FLOOD_BYTES: usize = 16 << 20;
const FLOOD_APPEND_BYTES: usize = 32 << 10;
/// Bytes to the disk a byte streamed.
const BUDGET_WRITTEN: f64 = 4.0;
/// Answers of another process that are followed, and what there is of each: ten minutes at reading speed.
const FOLLOWED: usize = 64;
const FOLLOWED_TICKS: usize = 6_000;
/// Throughput of the most streams over that of single commits.
const BUDGET_COMMITS: f64 = 20.0;

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> io::Result<()> {
    measure().map_err(io::Error::other)
}

fn measure() -> Result<(), Failure> {
    let runtime = Builder::new_current_thread().build()?;
    say(&format!("durability: appends made durable a second, median of {ROUNDS} rounds\n"))?;
    let mut table = Table::new(["streams", "what", "appends /s", "commits /s", "appends a commit", "ratio", "budget"]);
    STREAMS.into_iter().try_for_each(|streams| commits(&runtime, streams, &mut table))?;
    table.print()?;
    let heads =
        ["streams", "what", "streamed", "commits", "to the disk a byte", "until the end", "by SQLite a byte", "budget"];
    say(&format!("bytes written, answers of {TICKS} appends of {} bytes, one a tick of 100 ms\n", TICK_TEXT.len()))?;
    let mut table = Table::new(heads);
    for streams in STREAMS {
        bytes(&runtime, streams, TICKS, TICK_TEXT, &mut table)?;
    }
    table.print()?;
    let text = "x".repeat(FLOOD_APPEND_BYTES);
    say(&format!("bytes written, as fast as they come, {} KiB an append\n", FLOOD_APPEND_BYTES >> 10))?;
    let mut table = Table::new(heads);
    for streams in STREAMS {
        bytes(&runtime, streams, FLOOD_BYTES / FLOOD_APPEND_BYTES / streams, &text, &mut table)?;
    }
    table.print()?;
    follow()
}

/// A database in which `streams` answers are under way.
struct Scene {
    folder: TempDir,
    store: Store,
    turns: Vec<Turn>,
}

impl Scene {
    fn new(streams: usize) -> Result<Self, Failure> {
        let folder = sandbox::folder()?;
        let (store, _) = Store::open(&database(folder.path()), Timestamp(0))?;
        let (mut turns, now) = (Vec::new(), Timestamp(0));
        for _ in 0..streams {
            let create = CreateSession { name: None, model: "demo:tour".parse()?, system: String::new(), now };
            let session = store.write_blocking(create)?.id;
            let (priority, origin, text) = (Priority::Normal, Origin::User, "a question".to_owned());
            let entry = store.write_blocking(Enqueue { session, priority, origin, text, now })?.id;
            turns.push(store.write_blocking(StartTurn { entry, now })?);
        }
        Ok(Self { folder, store, turns })
    }

    /// The same without the store: a connection as the store's own, and the answers.
    fn bare(self) -> Result<(TempDir, Connection, Vec<MessageId>), Failure> {
        self.store.close();
        let conn = Connection::open(database(self.folder.path()))?;
        conn.pragma_update(None, "synchronous", "full")?;
        conn.pragma_update(None, "foreign_keys", true)?;
        Ok((self.folder, conn, self.turns.iter().map(|turn| turn.answer).collect()))
    }
}

fn database(folder: &Path) -> std::path::PathBuf {
    folder.join("chatmux.db")
}

/// How fast appends become durable, in the three ways.
fn commits(runtime: &Runtime, streams: usize, table: &mut Table) -> Result<(), Failure> {
    let each = APPENDS / streams;
    let (mut single, mut together, mut store, mut grouped) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (folder, conn, answers) = Scene::new(streams)?.bare()?;
        // As many commits are too many to wait for where the disk is slow.
        let few = APPENDS / 4;
        single.push(a_second(few, || {
            (0..few).try_for_each(|nth| append(&conn, &answers[nth % streams..][..1], TICK_TEXT))
        })?);
        together.push(a_second(APPENDS, || (0..each).try_for_each(|_| append(&conn, &answers, TICK_TEXT)))?);
        drop((conn, folder));
        let scene = Scene::new(streams)?;
        let work = || {
            let all = scene.turns.iter().map(|turn| stream(&scene.store, turn.answer, each));
            runtime.block_on(try_join_all(all)).map(|_| ())
        };
        work()?;
        let before = scene.store.writer_counts();
        store.push(a_second(APPENDS, work)?);
        let after = scene.store.writer_counts();
        grouped.push((after.operations - before.operations) as f64 / (after.commits - before.commits) as f64);
        scene.store.close();
    }
    let base = median(&single);
    let mut row = |what: &str, appends: f64, a_commit: f64, budget: &str| {
        let (whole, ratio) = (|value: f64| format!("{value:.0}"), format!("{:.2}", appends / base));
        table.row([
            &streams,
            &what,
            &whole(appends),
            &whole(appends / a_commit),
            &format!("{a_commit:.1}"),
            &ratio,
            &budget,
        ]);
    };
    row("bare SQLite, an append a commit", base, 1.0, "");
    row("bare SQLite, all streams a commit", median(&together), streams as f64, "");
    let kept = verdict(median(&store) / base >= BUDGET_COMMITS);
    let budget = if Some(&streams) == STREAMS.last() { format!("≥ {BUDGET_COMMITS}: {kept}") } else { String::new() };
    row("chatmux", median(&store), median(&grouped), &budget);
    Ok(())
}

fn a_second(appends: usize, work: impl FnOnce() -> Result<(), Failure>) -> Result<f64, Failure> {
    let began = Instant::now();
    work()?;
    Ok(appends as f64 / began.elapsed().as_secs_f64())
}

/// Appends to an answer, each when the one before is on the disk.
async fn stream(store: &Store, answer: MessageId, count: usize) -> Result<(), Failure> {
    for _ in 0..count {
        store.write(AppendChunks { answer, chunks: vec![(ChunkKind::Text, TICK_TEXT.to_owned())] }).await?;
    }
    Ok(())
}

/// Appends to each of `answers`, in one commit.
fn append(conn: &Connection, answers: &[MessageId], text: &str) -> Result<(), Failure> {
    let transaction = conn.unchecked_transaction()?;
    let mut insert = conn.prepare_cached("INSERT INTO chunks (message_id, kind, text) VALUES (?1, 'text', ?2)")?;
    for answer in answers {
        insert.execute(params![answer.0, text])?;
    }
    Ok(transaction.commit()?)
}

/// Bytes written so far: to the disk, and by calls.
#[derive(Clone, Copy)]
struct Written(u64, u64);

impl Written {
    fn now() -> io::Result<Self> {
        let figure = |name| sandbox::proc_figure(std::process::id(), "io", name);
        Ok(Self(figure("write_bytes")?, figure("wchar")?))
    }
}

/// What was written at the begin, before the answers' ends, and behind them.
struct Course {
    begin: Written,
    until_end: Written,
    end: Written,
    commits: u64,
}

/// Bytes written, in the three ways.
fn bytes(runtime: &Runtime, streams: usize, ticks: usize, text: &str, table: &mut Table) -> Result<(), Failure> {
    let ticks = ticks.max(1);
    let streamed = streams * ticks * text.len();
    let mut row = |what: &str, course: &Course, budget: bool| {
        let a_byte = |bytes: u64| bytes as f64 / streamed as f64;
        let all = a_byte(course.end.0 - course.begin.0);
        let budget =
            if budget { format!("≤ {BUDGET_WRITTEN}: {}", verdict(all <= BUDGET_WRITTEN)) } else { String::new() };
        let (until_end, by_calls) = (course.until_end.0 - course.begin.0, course.end.1 - course.begin.1);
        let figure = |value: f64| format!("{value:.1}");
        let (all, until_end, by_calls) = (figure(all), figure(a_byte(until_end)), figure(a_byte(by_calls)));
        table.row([&streams, &what, &streamed, &course.commits, &all, &until_end, &by_calls, &budget]);
    };
    row("bare SQLite, an append a commit", &bare_course(streams, ticks, text, 1)?, false);
    row("bare SQLite, all streams a commit", &bare_course(streams, ticks, text, streams)?, false);
    row("chatmux", &store_course(runtime, streams, ticks, text)?, true);
    Ok(())
}

/// What goes with an answer: of its own what has pages of its own, and what lies before all that streams; not the last row.
const TRIM: &str = "DELETE FROM chunks WHERE id < (SELECT max(id) FROM chunks) AND (message_id = ?1 AND octet_length(text) >= 4096 \
     OR id < coalesce((SELECT min(first_chunk) FROM messages WHERE state = 'streaming' AND id <> ?1), 1 << 62))";

fn bare_course(streams: usize, ticks: usize, text: &str, a_commit: usize) -> Result<Course, Failure> {
    let (folder, conn, answers) = Scene::new(streams)?.bare()?;
    let (begin, mut commits) = (Written::now()?, 0);
    for _ in 0..ticks {
        for some in answers.chunks(a_commit) {
            append(&conn, some, text)?;
            commits += 1;
        }
    }
    let until_end = Written::now()?;
    for answer in answers {
        let transaction = conn.unchecked_transaction()?;
        let whole = text.repeat(ticks);
        let fold = "UPDATE messages SET state = 'complete', first_chunk = NULL, text = ?2 WHERE id = ?1";
        conn.execute(TRIM, [answer.0])?;
        conn.execute(fold, params![answer.0, whole])?;
        transaction.commit()?;
        commits += 1;
    }
    drop(conn);
    let course = Course { begin, until_end, end: Written::now()?, commits };
    drop(folder);
    Ok(course)
}

fn store_course(runtime: &Runtime, streams: usize, ticks: usize, text: &str) -> Result<Course, Failure> {
    let scene = Scene::new(streams)?;
    let (begin, before) = (Written::now()?, scene.store.writer_counts());
    for _ in 0..ticks {
        // All are submitted before one is waited for, as the workers do at a tick.
        let append =
            |turn: &Turn| AppendChunks { answer: turn.answer, chunks: vec![(ChunkKind::Text, text.to_owned())] };
        let all: Vec<_> = scene.turns.iter().map(|turn| scene.store.submit(append(turn))).collect();
        runtime.block_on(try_join_all(all))?;
    }
    let until_end = Written::now()?;
    scene.turns.iter().try_for_each(|turn| scene.store.write_blocking(end(turn)).map(|_| ()))?;
    let commits = scene.store.writer_counts().commits - before.commits;
    scene.store.close();
    Ok(Course { begin, until_end, end: Written::now()?, commits })
}

/// One tick of many long answers, read by who follows them: what is new of all in one, each answer anew, and, as the baseline, each answer
/// from a table of chunks with an index, of which the answer's lengths are summed up and its new text is looked for.
fn follow() -> Result<(), Failure> {
    say(&format!(
        "a tick of {FOLLOWED} answers of {FOLLOWED_TICKS} appends each is read, median of {ROUNDS} rounds\n"
    ))?;
    let scene = Scene::new(FOLLOWED)?;
    let raw = Connection::open(database(scene.folder.path()))?;
    raw.execute_batch(
        "CREATE TABLE indexed (id INTEGER PRIMARY KEY, message_id INTEGER NOT NULL, kind TEXT NOT NULL, text TEXT NOT NULL) STRICT; \
         CREATE INDEX indexed_of_message ON indexed (message_id); BEGIN",
    )?;
    let tick = || -> Result<(), Failure> {
        for table in ["chunks", "indexed"] {
            let mut insert =
                raw.prepare_cached(&format!("INSERT INTO {table} (message_id, kind, text) VALUES (?1, 'text', ?2)"))?;
            for turn in &scene.turns {
                insert.execute(params![turn.answer.0, TICK_TEXT])?;
            }
        }
        Ok(())
    };
    (0..FOLLOWED_TICKS).try_for_each(|_| tick())?;
    raw.execute_batch("COMMIT")?;
    let anew = |seen: Seen, turn: &Turn| {
        scene.store.read_blocking(OutputSince { session: turn.session, seen, max_bytes: 1 << 20 })
    };
    let looks = scene.turns.iter().map(|turn| anew(Seen::whole(turn.question), turn)).collect::<Result<Vec<_>, _>>()?;
    let streams: Vec<_> = looks.iter().filter_map(|behind| behind.stream).collect();
    let (mut known, mut in_one, mut each, mut indexed) = (looks[0].last_chunk, Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        tick()?;
        let streams = streams.clone();
        let read = ChunksSince { after: known, streams, max_bytes: 1 << 20 };
        let began = Instant::now();
        let found = scene.store.read_blocking(read)?;
        in_one.push(began.elapsed().as_secs_f64() * 1e3);
        known = found.last;
        let seen_bytes = ((FOLLOWED_TICKS + round) * TICK_TEXT.len()) as u64;
        let began = Instant::now();
        for turn in &scene.turns {
            let seen = Seen { message: turn.answer, reasoning_bytes: 0, text_bytes: seen_bytes, ended: false };
            anew(seen, turn)?;
        }
        each.push(began.elapsed().as_secs_f64() * 1e3);
        let began = Instant::now();
        scene.turns.iter().try_for_each(|turn| read_indexed(&raw, turn.answer, seen_bytes))?;
        indexed.push(began.elapsed().as_secs_f64() * 1e3);
        if found.rows.len() != FOLLOWED {
            return Err(format!("{} rows were read", found.rows.len()).into());
        }
    }
    let mut table = Table::new(["what", "ms a tick"]);
    table.row([&"bare SQLite, each answer over an index", &format!("{:.2}", median(&indexed))]);
    table.row([&"chatmux, each answer anew", &format!("{:.2}", median(&each))]);
    table.row([&"chatmux, all answers at once", &format!("{:.2}", median(&in_one))]);
    table.print()?;
    drop(raw);
    scene.store.close();
    Ok(())
}

/// What came of an answer behind so many bytes.
fn read_indexed(conn: &Connection, answer: MessageId, seen_bytes: u64) -> Result<(), Failure> {
    for kind in ["reasoning", "text"] {
        let sql = "SELECT sum(octet_length(text)) FROM indexed WHERE message_id = ?1 AND kind = ?2";
        conn.prepare_cached(sql)?.query_row(params![answer.0, kind], |row| row.get::<_, Option<i64>>(0))?;
    }
    let sql = "SELECT octet_length(text), text FROM indexed WHERE message_id = ?1 AND kind = 'text' ORDER BY id";
    let (mut statement, mut at, mut new) = (conn.prepare_cached(sql)?, 0, String::new());
    let mut rows = statement.query([answer.0])?;
    while let Some(row) = rows.next()? {
        if at >= seen_bytes {
            new += row.get_ref(1)?.as_str()?;
        }
        at += row.get::<_, i64>(0)?.unsigned_abs();
    }
    if new == TICK_TEXT { Ok(()) } else { Err(format!("{} bytes are new", new.len()).into()) }
}

fn end(turn: &Turn) -> EndTurn {
    EndTurn {
        entry: turn.entry,
        answer: turn.answer,
        chunks: Vec::new(),
        answer_state: AnswerState::Complete,
        entry_state: EntryState::Done,
        continues: false,
        finish: None,
        usage: Usage::default(),
        error: None,
        counts: true,
        unanswered: false,
        gave_way: false,
        not_before: None,
        first_at: None,
        first_after: None,
        follow: None,
        now: Timestamp(0),
    }
}
