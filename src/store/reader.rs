//! The reader: a read-only connection on its own thread. In WAL mode it sees a snapshot and never stands in the
//! writer's way. Each read is one transaction, so what it tells is of one moment.

use std::path::PathBuf;
use std::sync::mpsc::Receiver;

use rusqlite::Connection;

use super::lane::{Job, Mail};
use super::{StoreError, open};

/// The reader's thread: what it owns, for as long as it lives.
#[derive(Debug)]
pub(super) struct Reader {
    /// `None` after it could not be opened anew: each read tries again.
    pub(super) conn: Option<Connection>,
    pub(super) path: PathBuf,
}

impl Reader {
    /// Runs until the last handle is gone or one of them closes the store.
    pub(super) fn run(mut self, mail: &Receiver<Mail>) {
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
                Mail::Pause(closed, until) => {
                    self.conn = None;
                    drop(closed);
                    // Never sent on.
                    let _mended = until.recv();
                }
            }
        }
        drop(self.conn);
        drop(closing);
    }

    fn snapshot(&mut self, job: &mut dyn Job) -> Result<(), StoreError> {
        let conn = match &mut self.conn {
            Some(conn) => conn,
            none => none.insert(open::reader(&self.path)?),
        };
        conn.prepare_cached("BEGIN")?.execute([])?;
        let outcome = job.run(conn, &self.path);
        if !conn.is_autocommit() {
            conn.prepare_cached("COMMIT")?.execute([])?;
        }
        outcome
    }
}
