//! The reader: a read-only connection on its own thread. In WAL mode it sees a snapshot and never stands in the
//! writer's way. Each read is one transaction, so what it tells is of one moment.

use std::path::PathBuf;
use std::sync::mpsc::Receiver;

use rusqlite::Connection;

use super::StoreError;
use super::lane::{Job, Mail};

/// The reader's thread: what it owns, for as long as it lives.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) conn: Connection,
    pub(super) path: PathBuf,
}

impl Reader {
    /// Runs until the last handle is gone or one of them closes the store.
    pub(super) fn run(self, mail: &Receiver<Mail>) {
        let mut closing = None;
        while closing.is_none()
            && let Ok(item) = mail.recv()
        {
            match item {
                Mail::Job(mut job) => {
                    let error = self.snapshot(&mut *job).err().map(|e| e.at(&self.path));
                    job.finish(error.as_ref());
                }
                Mail::Close(done) => closing = Some(done),
                Mail::Refuge(_) | Mail::Hurry => {}
            }
        }
        drop(self.conn);
        drop(closing);
    }

    fn snapshot(&self, job: &mut dyn Job) -> Result<(), StoreError> {
        let conn = &self.conn;
        conn.prepare_cached("BEGIN")?.execute([])?;
        let outcome = job.run(conn, &self.path);
        if !conn.is_autocommit() {
            conn.prepare_cached("COMMIT")?.execute([])?;
        }
        outcome
    }
}
