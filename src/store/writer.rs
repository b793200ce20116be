//! The writer: the only writable connection, on its own thread. It takes what waits into one transaction, commits, and
//! then replies to all (group commit): an acknowledgement is always a commit, and 64 senders cost one disk flush.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Receiver;
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::watch;

use super::StoreError;
use super::checkpoint::Journal;
use super::files::Files;
use super::lane::{Job, Mail};
use super::notify::Notifier;
use super::open::Presence;
use super::rescue::Rescue;
use crate::domain::ProcessId;

/// Operations in one transaction. More would only make the first of them wait longer.
const BATCH_OPERATIONS: usize = 256;

/// How often the files are looked at while nothing is written, and whether others have written.
pub(super) const LOOK: Duration = Duration::from_secs(2);

/// What the writer did so far, for tests, benches and `/stats`.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) operations: AtomicU64,
    pub(super) commits: AtomicU64,
}

/// The writer's thread: what it owns, for as long as it lives.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) conn: Connection,
    pub(super) path: PathBuf,
    /// What `conn` has open.
    pub(super) files: Files,
    /// They are gone.
    pub(super) rescue: Option<Rescue>,
    /// Where what is open is saved if the folder is gone too.
    pub(super) refuge: Option<PathBuf>,
    /// The program is about to end: it waits for no second attempt to save what is open.
    pub(super) hurry: bool,
    /// Of the last transaction.
    pub(super) last_error: Option<StoreError>,
    /// That the files are gone, for who listens.
    pub(super) losses: watch::Sender<Option<StoreError>>,
    pub(super) counters: Arc<Counters>,
    /// Wakes other processes.
    pub(super) notifier: Notifier,
    /// Says to other processes that this one lives; let go after the connection.
    pub(super) presence: Option<Presence>,
    /// As whom this process is registered, if it runs turns.
    pub(super) process: Option<ProcessId>,
}

impl Writer {
    /// Runs until the last handle is gone or one of them closes the store.
    pub(super) fn run(mut self, mail: &Receiver<Mail>) {
        let mut closing = None;
        let mut journal = Journal::of(&self.path);
        while closing.is_none() {
            // Without its files nothing may be copied from the journal.
            let _ = self.check_files();
            if self.notifier.until_look().is_zero() {
                self.try_again_to_save();
                self.notifier.look(&self.conn);
            }
            let conn = self.rescue.is_none().then_some(&self.conn);
            let first = match journal.receive(mail, conn, self.notifier.until_look()) {
                Ok(Some(first)) => first,
                Ok(None) => continue,
                Err(_) => break,
            };
            let mut batch = Vec::new();
            let mut next = Some(first);
            while let Some(item) = next {
                match item {
                    Mail::Job(job) => batch.push(job),
                    Mail::Close(done) => {
                        closing = Some(done);
                        break;
                    }
                    Mail::Refuge(folder) => self.refuge = Some(folder),
                    Mail::Hurry => {
                        self.hurry = true;
                        self.try_again_to_save();
                    }
                }
                next = if batch.len() < BATCH_OPERATIONS { mail.try_recv().ok() } else { None };
            }
            self.commit_all(batch);
        }
        // The last chance for what was removed.
        let _ = self.check_files();
        self.end_rescue();
        if self.process.is_some() && self.rescue.is_none() {
            self.leave();
        }
        let Self { conn, presence, .. } = self;
        drop(conn);
        drop(presence);
        drop(closing);
    }

    /// Says to the others that this process ends. Where that fails, they find out by themselves.
    fn leave(&self) {
        let outcome = self.execute("BEGIN IMMEDIATE").and_then(|()| super::leases::leave(&self.conn));
        match outcome.and_then(|()| self.execute("COMMIT")) {
            Ok(()) => self.notifier.committed(self.presence.as_ref()),
            Err(error) => {
                tracing::warn!(%error, "the others could not be told that this process ends");
                self.leave_transaction();
            }
        }
    }

    /// Runs the batch in one transaction; in more than one only if SQLite ended the first by itself.
    fn commit_all(&mut self, batch: Vec<Box<dyn Job>>) {
        let mut waiting = batch.into_iter().peekable();
        while waiting.peek().is_some() {
            let mut ran: Vec<Box<dyn Job>> = Vec::new();
            let outcome = self.transaction(&mut waiting, &mut ran).map_err(|e| e.at(&self.path));
            if let Err(error) = &outcome {
                // Once a trouble: what is refused is tried again, ten times a second by each stream.
                if error.is_unusable() && self.last_error.as_ref() != Some(error) {
                    tracing::error!(%error, operations = ran.len(), "a transaction was undone");
                }
                self.leave_transaction();
            }
            self.last_error = outcome.as_ref().err().cloned();
            self.counters.operations.fetch_add(ran.len() as u64, Ordering::Relaxed);
            self.counters.commits.fetch_add(u64::from(outcome.is_ok()), Ordering::Relaxed);
            // A lock that could not be made again takes nothing from what is committed.
            if outcome.is_ok() && self.check_files().is_err() && self.rescue.is_some() {
                self.acknowledge_when_saved(ran);
                continue;
            }
            for job in ran {
                job.finish(outcome.as_ref().err());
            }
        }
    }

    /// Moves what it ran into `ran`. After an error none of that is in the database.
    fn transaction(
        &mut self,
        waiting: &mut impl ExactSizeIterator<Item = Box<dyn Job>>,
        ran: &mut Vec<Box<dyn Job>>,
    ) -> Result<(), StoreError> {
        if let Err(error) = self.check_files().and_then(|()| self.execute("BEGIN IMMEDIATE")) {
            ran.extend(waiting);
            return Err(error);
        }
        // Without neighbours the transaction is savepoint enough, and the copies that a savepoint keeps are not written.
        let alone = waiting.len() == 1;
        for mut job in waiting {
            let outcome = if alone { job.run(&self.conn, &self.path) } else { self.in_savepoint(&mut *job) };
            ran.push(job);
            outcome?;
        }
        let committed = self.execute("COMMIT").map_err(|e| e.at(&self.path));
        if committed.is_ok() {
            self.notifier.committed(self.presence.as_ref());
        } else {
            self.leave_transaction();
            if self.check_files().is_ok() {
                self.blot_out();
            }
        }
        committed
    }

    /// A commit whose flush failed has been written all the same: SQLite takes it for undone and writes the next one over it, but
    /// who opens the database after a kill would find it. So one that changes nothing is written over it, and what was refused
    /// does not come back.
    fn blot_out(&self) {
        let rewrite = || -> Result<(), StoreError> {
            self.execute("BEGIN IMMEDIATE")?;
            let version: i64 = self.conn.pragma_query_value(None, "user_version", |row| row.get(0))?;
            self.conn.pragma_update(None, "user_version", version)?;
            self.execute("COMMIT")
        };
        if let Err(error) = rewrite() {
            tracing::debug!(%error, "a commit that failed could not be overwritten for good");
            self.leave_transaction();
        }
    }

    /// Runs one job so that its failure leaves its neighbours alone. An error here is one that did not: a full disk,
    /// for one, makes SQLite undo the whole transaction.
    fn in_savepoint(&self, job: &mut dyn Job) -> Result<(), StoreError> {
        self.execute("SAVEPOINT operation")?;
        let Err(error) = job.run(&self.conn, &self.path) else { return self.execute("RELEASE operation") };
        if self.conn.is_autocommit() {
            return Err(error);
        }
        self.execute("ROLLBACK TO operation")?;
        self.execute("RELEASE operation")
    }

    pub(super) fn leave_transaction(&self) {
        if !self.conn.is_autocommit()
            && let Err(error) = self.execute("ROLLBACK")
        {
            tracing::error!(%error, "the transaction could not be undone");
        }
    }

    pub(super) fn execute(&self, sql: &str) -> Result<(), StoreError> {
        self.conn.prepare_cached(sql)?.execute([])?;
        Ok(())
    }
}
