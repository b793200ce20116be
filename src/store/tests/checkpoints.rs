//! The journal stays short, whoever reads.

use std::time::{Duration, Instant};

use super::*;

/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(30);
const BOUND: u64 = open::JOURNAL_BYTES.unsigned_abs();

fn journal_bytes(fresh: &Fresh) -> u64 {
    std::fs::metadata(fresh.folder.path().join("chatmux.db-wal")).map_or(0, |meta| meta.len())
}

/// Writes until the journal is longer than it may be.
fn overfill(fresh: &Fresh, session: SessionId) {
    let mut written = 0;
    // Another text each time: SQLite does not write again what stands there.
    for letter in ["x", "y"].into_iter().cycle() {
        fresh.write(SetDraft { session, draft: letter.repeat(3 << 20) });
        if journal_bytes(fresh) > BOUND {
            break;
        }
        written += 3 << 20;
        assert!(written < 256 << 20, "the journal does not grow under a reader: {}", journal_bytes(fresh));
    }
}

/// A snapshot that is kept open, as a backup or another program keeps one.
fn snapshot(fresh: &Fresh) -> Connection {
    let reader = Connection::open(fresh.path()).unwrap();
    reader.execute_batch("BEGIN").unwrap();
    let _: i64 = reader.query_row("SELECT count(*) FROM sessions", [], |row| row.get(0)).unwrap();
    reader
}

fn wait_until_short(fresh: &Fresh) {
    let began = Instant::now();
    while journal_bytes(fresh) > BOUND {
        assert!(began.elapsed() < PATIENCE, "the journal stays long: {}", journal_bytes(fresh));
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn the_journal_is_short_again_soon_after_a_reader_let_go() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    let reader = snapshot(&fresh);
    overfill(&fresh, session);
    // Writing goes on as long as it reads.
    fresh.write(SetDraft { session, draft: "short".to_owned() });
    assert!(journal_bytes(&fresh) > BOUND);
    drop(reader);
    // Nothing is written any more: the writer looks by itself.
    wait_until_short(&fresh);
    assert_eq!(fresh.read(FindSession(SessionRef::Id(session))).unwrap().draft, "short");
}

/// Snapshots that overlap, so that there is always one: each ends, and the journal is cut all the same.
#[test]
fn readers_that_take_turns_do_not_keep_the_journal_long() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    let mut reader = snapshot(&fresh);
    overfill(&fresh, session);
    let began = Instant::now();
    while journal_bytes(&fresh) > BOUND {
        assert!(began.elapsed() < PATIENCE, "the journal stays long: {}", journal_bytes(&fresh));
        let next = snapshot(&fresh);
        drop(std::mem::replace(&mut reader, next));
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The reader's thread lets its snapshot go with each read: nothing is in the way of a checkpoint that does not wait.
#[test]
fn a_read_keeps_no_snapshot() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    for n in 0..20 {
        fresh.turn(session, "q", "a");
        assert_eq!(fresh.read(History { session, last: 9 }).len(), (2 * (n + 1)).min(9));
        fresh.read(AllStats);
        fresh.read(SessionSummaries { closed: true });
        let other = Connection::open(fresh.path()).unwrap();
        assert!(checkpoint::truncate(&other, Duration::ZERO).unwrap(), "after {n} turns");
        assert_eq!(journal_bytes(&fresh), 0);
    }
}

#[test]
fn an_answer_of_many_checkpoints_leaves_a_short_journal() {
    let fresh = Fresh::new();
    let turn = fresh.start(fresh.session().id, "q");
    let piece = "y".repeat(32 << 10);
    for _ in 0..400 {
        fresh.write(AppendChunks { answer: turn.answer, chunks: text(&piece) });
    }
    fresh.write(completed(&turn));
    wait_until_short(&fresh);
}
