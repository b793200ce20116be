//! The journal kept short. SQLite copies it into the database by itself, and begins it anew when nobody reads from it. A reader that
//! keeps an old snapshot (a backup of a big database, another program) makes it grow, and readers that take turns could let
//! it grow for ever. So when it is longer than [`JOURNAL_BYTES`], the writer asks for an end: it copies all, waits a moment for who still
//! reads from it, and cuts the file. In vain, it tries again after a while, also when nothing is written any more.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvError, RecvTimeoutError};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::StoreError;
use super::lane::Mail;
use super::open::{JOURNAL_BYTES, sibling, wait_for_others};

/// How long one attempt waits for readers. Nobody can write meanwhile, here or elsewhere, so it is short beside the 100 ms that a
/// partial may be behind.
const READER_WAIT: Duration = Duration::from_millis(40);
/// Between two attempts, so that they take a small part of the time.
const ATTEMPT_PAUSE: Duration = Duration::from_secs(1);

/// Looks after the journal of the writer's database.
#[derive(Debug)]
pub(super) struct Journal {
    file: PathBuf,
    /// Its length, in bytes, beyond which it is cut.
    bound: u64,
    /// When to try again; `None` while it is short enough.
    next_attempt: Option<Instant>,
}

impl Journal {
    /// That of the database `db`.
    pub(super) fn of(db: &Path) -> Self {
        Self { file: sibling(db, "-wal"), bound: JOURNAL_BYTES.unsigned_abs(), next_attempt: None }
    }

    /// The next job; `None`: none came for so long. What was committed before may have made the journal too long: then it is cut first,
    /// or in between while no job comes. Without `conn` it is left alone.
    pub(super) fn receive(
        &mut self,
        mail: &Receiver<Mail>,
        conn: Option<&Connection>,
        patience: Duration,
    ) -> Result<Option<Mail>, RecvError> {
        let end = Instant::now() + patience;
        loop {
            let now = Instant::now();
            match conn.and_then(|conn| Some((self.due(now)?, conn))) {
                Some((due, conn)) if due <= now => self.cut(conn),
                _ if end <= now => return Ok(None),
                due => match mail.recv_timeout(due.map_or(end, |(due, _)| due.min(end)) - now) {
                    Ok(mail) => return Ok(Some(mail)),
                    Err(RecvTimeoutError::Disconnected) => return Err(RecvError),
                    Err(RecvTimeoutError::Timeout) => {}
                },
            }
        }
    }

    /// When to cut it: `None` while it is short enough, which is looked up each time.
    fn due(&mut self, now: Instant) -> Option<Instant> {
        if self.bytes() <= self.bound {
            if self.next_attempt.take().is_some() {
                tracing::info!("the journal is short again");
            }
            return None;
        }
        Some(self.next_attempt.unwrap_or(now))
    }

    /// Of a file that cannot be looked at, nothing is to be cut.
    fn bytes(&self) -> u64 {
        std::fs::metadata(&self.file).map_or(0, |meta| meta.len())
    }

    fn cut(&mut self, conn: &Connection) {
        let outcome = truncate(conn, READER_WAIT);
        // At the first attempt only: a backup of a big database may take minutes.
        if self.next_attempt.is_none() {
            let bytes = self.bytes();
            match outcome {
                Ok(true) => {}
                Ok(false) => tracing::warn!(bytes, "the journal is long, for somebody reads from it: tried again"),
                Err(error) => tracing::warn!(bytes, %error, "the journal is long and could not be cut: tried again"),
            }
        }
        self.next_attempt = Some(Instant::now() + ATTEMPT_PAUSE);
    }
}

/// Copies the whole journal into the database and cuts its file to nothing; `false` when somebody still reads from it after
/// `patience`. What could be copied is copied then, and the next attempt has less to do.
pub(super) fn truncate(conn: &Connection, patience: Duration) -> Result<bool, StoreError> {
    conn.busy_timeout(patience)?;
    let outcome = conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
    wait_for_others(conn)?;
    match outcome.map_err(StoreError::from) {
        Ok(busy) => Ok(busy == 0),
        Err(error) if error.is_busy() => Ok(false),
        Err(error) => Err(error),
    }
}
