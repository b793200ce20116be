//! The store: everything that must outlive the process, in one SQLite file. Knows no session worker, no queue rule, no
//! terminal; it keeps rows and the few invariants that several processes on one file must agree on.
//!
//! ```text
//!  Store (a handle, cloned freely) ──jobs──► writer thread ─► SQLite (WAL)   one transaction for all that waits,
//!         │        ▲───────────────replies──┘ after the commit               each operation in its savepoint
//!         └──jobs──► reader thread ─► the same file, read-only               one snapshot a read
//! ```
//!
//! Each operation is a struct of its own ([`Write`] or [`Read`]) beside the others of its area: `sessions`, `entries`,
//! `turns`, `ends`, `attachments`, `auto_replies`, `gates`, `leases`, `listing`, `look`, `stats`, `recover`, `history`, `output`, `typed`,
//! `undo`. SQL stands nowhere else in the program. What a person does with the file as a whole (`chatmux db`) is in `care`, a copy of
//! it in `snapshot`, what can be read of a damaged one in `salvage`, and `checkpoint` keeps its journal short. `foreign` knows what
//! no migration made.
//!
//! Partials are appended as chunk rows, in one log for all (`chunks`), and folded into their message when the turn ends, so a long
//! answer is never rewritten while it grows. A message's id grows with time within its session: an entry that is started again after
//! others came between gets new rows at the end, and takes along what there is of an answer that it continues ([`StartTurn`]).
//!
//! # Disks that fail
//!
//! A transaction is acknowledged once its frames are in the journal (`-wal`) and flushed (`synchronous = full`). When a flush
//! fails, the kernel may take the pages for clean all the same, so that a second flush says yes and writes nothing: trying the
//! flush again proves nothing. Trying the *transaction* again does, and that is all that is done here:
//! - SQLite moves the end of the journal only behind a flush that succeeded (`walFrames`), so what is tried again is written
//!   anew into the same place, and flushed then. Our own overwriting keeps what was refused from coming back after a kill
//!   (`Writer::blot_out`).
//! - What was copied from the journal into the database counts as copied only behind the flush of the database
//!   (`nBackfill` in `walCheckpoint`), so the next one copies it again; until then the journal keeps it.
//! - A failed copy fails no commit (`sqlite3WalDefaultHook`): that is in the journal already.
//!
//! Files that are removed or replaced under the open database are `rescue.rs`'s business.
//!
//! # Who lives
//!
//! Several processes work on one database: who runs the turns of which session is a lease (`leases`), which each operation that
//! gives a session something to run takes, if it is free. That a process is alone is known by a lock on `<db>.lock`, which the
//! operating system takes from the dead; processes wake each other by a byte in that file (`notify`). [`Store::visit`] takes no part in
//! that. An older schema is upgraded only by who is alone ([`Upgrade`]): a living chatmux knows the older one only.

mod attachments;
mod auto_replies;
mod care;
mod checkpoint;
mod chunks;
mod ends;
mod entries;
mod error;
mod files;
mod foreign;
mod gates;
mod history;
mod lane;
mod leases;
mod listing;
mod look;
mod notify;
mod open;
mod output;
mod process;
mod reader;
mod recover;
mod rescue;
mod salvage;
mod sessions;
mod set_aside;
mod snapshot;
mod sql;
mod stats;
mod target;
mod together;
mod turns;
mod typed;
mod undo;
mod upgrade;
mod writer;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::watch;

use crate::domain::{ProcessId, Timestamp};
use lane::Lane;

pub use attachments::{AttachFiles, Attached, Attachments, DropAttachments, EnqueueTyped};
pub use auto_replies::{
    AutoReplies, AutoRepliesEnded, AutoReplyBegun, BeginAutoReply, EndAutoReplies, Follow, FollowUp, QueueAutoReply,
};
pub use care::{Checkup, Counts, ReadOnly, Vacuumed, back_up, check, vacuum};
pub use chunks::{Chunk, Chunks, ChunksSince, Stream};
pub use ends::{EndTurn, TurnEnd};
pub use entries::{
    CancelEntries, ContinueTurn, Enqueue, FindEntry, HoldEntries, HurryEntries, MoveEntry, PendingEntries,
    RequeueEntries, SetPriority,
};
pub use error::{Loss, LostFiles, StoreError, Trouble};
pub use gates::{Gates, SetGate};
pub use history::{Context, FindMessage, History};
pub use lane::Reply;
pub use leases::{
    AskToCancel, Beat, LastChange, LeasedBy, LeasedElsewhere, Other, StartKnown, Survey, Surveyed, TakeOver,
};
pub use listing::{AnswerText, DeadEntries, LastTurn, Listed, Listing, QueueListing, QueueNow};
pub use look::{BeforeRunning, EndedEntry, Lease, LookAt, Looked};
pub use notify::Listener;
pub use output::{Behind, OutputSince};
pub use process::Identity;
pub use recover::{Interrupted, Recovery};
pub use rescue::rescued;
pub use salvage::{Found, Lost, MadeUp, Salvaged, salvage};
pub use sessions::{
    ActiveSession, CloseSession, CreateSession, DeleteSession, FindSession, RenameSession, ReopenSession, SessionEnd,
    SessionEnds, SessionSummaries, SessionSummary, Sessions, SetActive, SetDraft, SetModel, SetNotify, SetSeen,
    SetSystem,
};
pub use set_aside::{Adopt, Released, TakeAlong, Unanswered};
pub use sql::ChunkKind;
pub use stats::{AllStats, StatsOf};
pub use target::BackupError;
pub use together::{EnqueueAll, HoldSessions};
pub use turns::{AppendChunks, StartTurn, Turn};
pub use typed::{KeepTyped, TypedEverywhere, TypedIn};
pub use undo::{ChangeText, LastAsked, ReplaceTurn, TakeBackTurn, TakeBackWaiting, TakenBack};
pub use upgrade::Upgrade;

/// How long a transaction waits for another process's before it is an error. Theirs take milliseconds.
pub const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Jobs that may wait in front of each thread.
const QUEUE_JOBS: usize = 1024;

/// An operation that changes the database. It runs in a savepoint of the writer's transaction.
pub trait Write: Send + 'static {
    /// What the sender gets, after the commit.
    type Reply: Send + 'static;

    /// Does it.
    ///
    /// # Errors
    /// What the operation's own docs say. Nothing of it is kept then.
    fn apply(self, conn: &Connection) -> Result<Self::Reply, StoreError>;
}

/// An operation that only looks. It runs in a snapshot on the reader's connection.
pub trait Read: Send + 'static {
    /// What is found.
    type Reply: Send + 'static;

    /// Looks.
    ///
    /// # Errors
    /// What the operation's own docs say.
    fn fetch(self, conn: &Connection) -> Result<Self::Reply, StoreError>;
}

/// What [`Store::open`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// No other chatmux lived on this database at that moment.
    pub sole: bool,
    /// There was no database before.
    pub created: bool,
    /// As whom this process is registered.
    pub process: ProcessId,
    /// What processes that ended without saying so had left, as far as nobody else has set it right.
    pub recovery: Recovery,
}

/// What the writer did since it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriterCounts {
    /// Operations run, failed ones included.
    pub operations: u64,
    /// Transactions committed; fewer than operations when several went into one.
    pub commits: u64,
}

/// The handle. Cheap to clone. When the last one is dropped the threads commit what waits and end by themselves; at the
/// end of the process use [`Store::close`], which waits for that.
#[derive(Debug, Clone)]
pub struct Store {
    writer: Lane,
    reader: Lane,
    counters: Arc<writer::Counters>,
    losses: watch::Receiver<Option<StoreError>>,
    /// Others may have committed something without a word.
    found_by_looks: watch::Receiver<()>,
    path: Arc<Path>,
    upgraded: Option<Arc<Upgrade>>,
}

impl Store {
    /// Opens or creates the database for a process that runs turns. Missing folders are made 0700, the file 0600.
    ///
    /// It is registered there, and what dead ones left is repaired first ([`Recovery`]). When no other chatmux lives on it, that is
    /// known from an exclusive lock, but for those who have it open although the lock's file was removed; else who has ended is known from the operating system ([`Identity::is_gone`]), and of who
    /// cannot be told the others' watch takes care ([`TakeOver`]).
    ///
    /// # Errors
    /// [`StoreError::Unusable`], which names the path and the remedy.
    pub fn open(path: &Path, now: Timestamp) -> Result<(Self, Opening), StoreError> {
        Self::open_looking_every(writer::LOOK, path, now)
    }

    /// [`Store::open`]; it looks this often at its files, and whether others have written. For tests.
    pub(crate) fn open_looking_every(
        look: Duration,
        path: &Path,
        now: Timestamp,
    ) -> Result<(Self, Opening), StoreError> {
        let mut found = open::open(path)?;
        let entered = recover::enter(&mut found.conn, &found.path, found.sole, now).map_err(|e| e.at(&found.path))?;
        let recover::Entered { process, sole, recovery } = entered;
        found.process = Some(process);
        if let Some(presence) = &found.presence {
            presence.share(&found.path)?;
            if !sole && let Err(error) = presence.wake_others() {
                tracing::debug!(%error, "the others could not be woken");
            }
        }
        let opening = Opening { sole, created: found.created, process, recovery };
        Ok((Self::start(found, look)?, opening))
    }

    /// Opens or creates the database for a process that runs no turn (`chatmux sessions`): it repairs nothing, and does
    /// not count as one that lives.
    ///
    /// # Errors
    /// [`StoreError::Unusable`], which names the path and the remedy.
    pub fn visit(path: &Path) -> Result<Self, StoreError> {
        Self::start(open::visit(path)?, writer::LOOK)
    }

    fn start(found: open::Opened, look: Duration) -> Result<Self, StoreError> {
        let open::Opened { conn, path, presence, process, upgraded, .. } = found;
        let failed = |e: std::io::Error| StoreError::io(&path, &e);
        let files = files::Files::of(&path, presence.as_ref()).map_err(failed)?;
        let reader = reader::Reader { conn: open::reader(&path)?, path: path.clone() };
        let reader = Lane::start("chatmux-reader", QUEUE_JOBS, move |mail| reader.run(&mail)).map_err(failed)?;
        let counters = Arc::new(writer::Counters::default());
        let notifier = notify::Notifier::new(&conn, &path, look)?;
        let found_by_looks = notifier.finds();
        let (losses, lost) = watch::channel(None);
        let writer = writer::Writer {
            conn,
            path: path.clone(),
            files,
            rescue: None,
            refuge: None,
            hurry: false,
            last_error: None,
            losses,
            counters: Arc::clone(&counters),
            notifier,
            presence,
            process,
        };
        let writer = Lane::start("chatmux-store", QUEUE_JOBS, move |mail| writer.run(&mail)).map_err(failed)?;
        let (path, upgraded) = (PathBuf::from(&path).into(), upgraded.map(Arc::new));
        Ok(Self { writer, reader, counters, losses: lost, found_by_looks, path, upgraded })
    }

    /// The upgrade that this opening or visit did, if the schema was an older one.
    pub fn upgraded(&self) -> Option<&Upgrade> {
        self.upgraded.as_deref()
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Puts `operation` into the writer's queue before this returns, so that operations are run in the order of the calls,
    /// whenever their replies are awaited. A reply comes after the commit.
    ///
    /// With 1,024 operations waiting this blocks the calling thread until one of them was taken: the only way to
    /// keep both the bound and the order without a job that lives in a future nobody polls. It cannot deadlock, for the
    /// writer waits for nobody but SQLite.
    pub fn submit<W: Write>(&self, operation: W) -> Reply<W::Reply> {
        self.writer.submit(move |conn| operation.apply(conn))
    }

    /// [`Store::submit`] and the reply.
    ///
    /// # Errors
    /// The operation's, or [`StoreError::Unusable`] when the commit failed.
    pub async fn write<W: Write>(&self, operation: W) -> Result<W::Reply, StoreError> {
        self.submit(operation).await
    }

    /// Runs `operation` and blocks this thread until it is committed: for start-up, before there is a runtime.
    ///
    /// # Errors
    /// As [`Store::write`].
    pub fn write_blocking<W: Write>(&self, operation: W) -> Result<W::Reply, StoreError> {
        self.writer.blocking(move |conn| operation.apply(conn))
    }

    /// Puts `operation` into the reader's queue before this returns. It sees all that was committed before.
    pub fn query<R: Read>(&self, operation: R) -> Reply<R::Reply> {
        self.reader.submit(move |conn| operation.fetch(conn))
    }

    /// [`Store::query`] and the reply.
    ///
    /// # Errors
    /// The operation's.
    pub async fn read<R: Read>(&self, operation: R) -> Result<R::Reply, StoreError> {
        self.query(operation).await
    }

    /// Runs `operation` and blocks this thread until it has looked: for start-up, before there is a runtime.
    ///
    /// # Errors
    /// The operation's.
    pub fn read_blocking<R: Read>(&self, operation: R) -> Result<R::Reply, StoreError> {
        self.reader.blocking(move |conn| operation.fetch(conn))
    }

    /// Where to save what is open if the database's files and their folder are removed.
    pub fn save_into(&self, folder: PathBuf) {
        self.writer.refuge(folder);
    }

    /// Says that the program is about to end: a copy of what is open that cannot be written is tried once more, and given up then.
    pub fn hurry(&self) {
        self.writer.hurry();
    }

    /// Waits for news of files that are gone, and gives what every write is answered with from then on: first that what is open could
    /// not be saved yet ([`Trouble::Unsaved`]), if so, and then the end of it ([`Trouble::Lost`]). Each is given once to this handle, and to
    /// the clones that are made before. `None` when the writer has ended.
    pub async fn loss(&mut self) -> Option<StoreError> {
        loop {
            self.losses.changed().await.ok()?;
            if let Some(error) = self.losses.borrow_and_update().clone() {
                return Some(error);
            }
        }
    }

    /// Waits until the database's files are gone and what was open is saved, or cannot be: then the program has to end. For ever
    /// where the writer has ended.
    pub async fn lost(&self) -> StoreError {
        let mut losses = self.losses.clone();
        let is_lost = |error: &Option<StoreError>| error.as_ref().is_some_and(StoreError::is_lost);
        if let Ok(error) = losses.wait_for(is_lost).await
            && let Some(error) = error.clone()
        {
            return error;
        }
        std::future::pending().await
    }

    /// [`Store::lost`], if it is.
    pub fn is_lost(&self) -> Option<StoreError> {
        self.losses.borrow().clone().filter(StoreError::is_lost)
    }

    /// Listens to what other processes tell from now on. Must be called within a runtime that has I/O.
    pub fn listen(&self) -> Listener {
        Listener::new(&self.path, self.found_by_looks.clone())
    }

    /// What the writer did so far.
    pub fn writer_counts(&self) -> WriterCounts {
        WriterCounts {
            operations: self.counters.operations.load(Ordering::Relaxed),
            commits: self.counters.commits.load(Ordering::Relaxed),
        }
    }

    /// Commits all that was submitted before, closes the database, and blocks until that is done. Other handles
    /// get [`StoreError::Closed`] from then on. For the end of the process.
    pub fn close(self) {
        // The reader first: the last connection tidies the journal away, and a read-only one could not.
        self.reader.close();
        self.writer.close();
    }
}
