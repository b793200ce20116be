//! Files that are removed or replaced under the open database: stop, save, say.
//!
//! SQLite promises nothing there: in WAL mode writes go on, are answered with yes, and are lost with the process
//! (<https://sqlite.org/howtocorrupt.html>, 1.5 and 2.4). What is open is still whole, whatever happened to its names. So:
//!
//! | gone, or another file | what is done |
//! |---|---|
//! | the database, its folder, `-wal` or `-shm` | nothing is written any more; what is open is saved once, and the program ends |
//! | `.lock` alone | it is made and locked again, inside a write transaction: the one arbiter that is left |
//!
//! Nothing is written back. That would need several processes to agree at the moment when the file that could carry the agreement may
//! be gone too. Each process saves a copy of its own, and the newest holds all that any of them acknowledged: the writer looks at the
//! files before each transaction and again before it acknowledges one, so nobody begins one after the files are gone.
//!
//! A commit behind which the files are found gone is in the copy, and is acknowledged once the copy is on the disk. Where the copy
//! fails (a full disk), that is tried again at each look, [`ATTEMPTS`] times in all, and once more when the program is told to end;
//! then those commits are refused.
//!
//! At the end nothing is copied from the journal into the database: another process may use a journal of its own by then.

use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::error::{Loss, LostFiles};
use super::files::Place;
use super::lane::Job;
use super::leases::VISITOR;
use super::open::{Presence, create_folders, sibling};
use super::snapshot::{self, CopyError, PutError};
use super::writer::Writer;
use super::{StoreError, Trouble};
use crate::domain::text::one_line;

/// How often a copy is tried, at one look each: five minutes while the program goes on ([`LOOK`](super::writer::LOOK)).
const ATTEMPTS: u32 = 150;

/// Characters of a fault that is found in a copy.
const FAULT_CHARS: usize = 200;

/// What is between the database's name and the time in the name of a saved copy.
const RESCUED: &str = ".rescued-";
/// Bytes of the database's path in the name of a copy in the refuge: with the rest it stays within the 255 of file systems.
const REFUGE_NAME_BYTES: usize = 160;
/// The end of its name while it is written.
const PART: &str = ".part";

/// The copies of the database `db` that were saved when its files were gone, and that nobody has moved or removed since; the newest
/// last.
pub fn rescued(db: &Path, refuge: Option<&Path>) -> Vec<PathBuf> {
    let places = [Some(db.to_owned()), refuge.map(|refuge| in_refuge(refuge, db))];
    let mut found: Vec<PathBuf> = places.into_iter().flatten().flat_map(|place| copies_of(&place)).collect();
    // Their names end with the time.
    found.sort_by_key(|path| {
        path.as_os_str().as_encoded_bytes().rsplit(|&byte| byte == b'.').next().map(<[u8]>::to_vec)
    });
    found
}

/// The copies whose names are `place` and the time.
fn copies_of(place: &Path) -> Vec<PathBuf> {
    let (Some(folder), Some(name)) = (place.parent(), place.file_name()) else { return Vec::new() };
    let begin = [name.as_encoded_bytes(), RESCUED.as_bytes()].concat();
    let is_copy = |name: &OsStr| {
        // What SQLite and chatmux keep beside such a copy is none, nor is one that is not whole.
        let is_beside =
            ["-wal", "-shm", ".lock", PART].iter().any(|end| name.as_encoded_bytes().ends_with(end.as_bytes()));
        name.as_encoded_bytes().starts_with(&begin) && !is_beside
    };
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter(|entry| is_copy(&entry.file_name())).map(|entry| entry.path()).collect()
}

/// What a copy of `db` is called in the refuge, before the time: its whole path with `%` for `/`, so that databases of one name in
/// different folders are told apart; of a long path its end.
fn in_refuge(refuge: &Path, db: &Path) -> PathBuf {
    let mut name = db.as_os_str().as_encoded_bytes().to_vec();
    name.iter_mut().filter(|byte| **byte == b'/').for_each(|byte| *byte = b'%');
    let end = name.split_off(name.len().saturating_sub(REFUGE_NAME_BYTES));
    refuge.join(OsStr::from_bytes(&end))
}

/// A database whose files are gone.
pub(super) struct Rescue {
    loss: Loss,
    attempts: u32,
    /// What every write is answered with from now on.
    error: StoreError,
    /// Commits that are in what is open, to be acknowledged when that is saved.
    unacknowledged: Vec<Box<dyn Job>>,
}

impl fmt::Debug for Rescue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rescue").field("loss", &self.loss).field("attempts", &self.attempts).finish_non_exhaustive()
    }
}

impl Rescue {
    /// Nothing more is tried: it is saved, or cannot be.
    pub(super) fn is_over(&self) -> bool {
        self.error.is_lost()
    }
}

impl Writer {
    /// Makes sure that what is open stands at its path.
    ///
    /// # Errors
    /// [`StoreError::Unusable`]: it does not, and nothing may be written or acknowledged any more.
    pub(super) fn check_files(&mut self) -> Result<(), StoreError> {
        if let Some(rescue) = &self.rescue {
            return Err(rescue.error.clone());
        }
        match self.files.look() {
            Place::Ours => Ok(()),
            Place::LockGone => self.renew_lock(),
            Place::Gone(loss) => {
                tracing::error!(?loss, path = %self.path.display(), "the database's files are gone");
                let error = StoreError::Closed;
                self.rescue = Some(Rescue { loss, attempts: 0, error, unacknowledged: Vec::new() });
                Err(self.try_to_save())
            }
        }
    }

    /// At each look: saves what an earlier attempt could not.
    pub(super) fn try_again_to_save(&mut self) {
        if self.rescue.as_ref().is_some_and(|rescue| !rescue.is_over()) {
            self.try_to_save();
        }
    }

    /// Answers what was committed before the files were found gone.
    pub(super) fn acknowledge_when_saved(&mut self, jobs: Vec<Box<dyn Job>>) {
        if let Some(rescue) = &mut self.rescue {
            rescue.unacknowledged.extend(jobs);
            self.answer_the_saved();
        }
    }

    /// Ends what is left of a rescue: the last attempt, and no checkpoint when the connection is closed.
    pub(super) fn end_rescue(&mut self) {
        let Some(rescue) = &mut self.rescue else { return };
        if !rescue.is_over() {
            rescue.attempts = ATTEMPTS;
            self.try_to_save();
        }
        if let Err(error) = self.conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true) {
            tracing::error!(%error, "the journal may be copied into a database that is not ours any more");
        }
    }

    /// One attempt; what every write is answered with from now on.
    fn try_to_save(&mut self) -> StoreError {
        let Some((loss, attempts)) = self.rescue.as_ref().map(|rescue| (rescue.loss, rescue.attempts + 1)) else {
            return StoreError::Closed;
        };
        let saved = self.save(loss).inspect_err(|why| tracing::error!(why, "what is open could not be saved"));
        let is_elsewhere = || matches!(self.files.look(), Place::Gone(Loss::Removed | Loss::Replaced));
        if saved.is_ok() && loss != Loss::Journal && is_elsewhere() {
            // Else the next database at this path would take it for its own journal.
            self.files.discard_journal();
        }
        let trouble = match saved {
            Err(why) if attempts < ATTEMPTS && !self.hurry => Trouble::Unsaved(loss, why),
            saved => {
                let path = self.files.db().to_owned();
                let without_folder = !path.parent().is_some_and(Path::is_dir);
                Trouble::Lost(Box::new(LostFiles { loss, saved, path, without_folder }))
            }
        };
        let error = StoreError::unusable(&self.path, trouble);
        if let Some(rescue) = &mut self.rescue {
            (rescue.attempts, rescue.error) = (attempts, error.clone());
        }
        // Once a trouble: an attempt that fails as the last one did is no news.
        self.losses.send_if_modified(|told| {
            let is_news = told.as_ref() != Some(&error);
            *told = Some(error.clone());
            is_news
        });
        self.answer_the_saved();
        error
    }

    fn answer_the_saved(&mut self) {
        let Some(rescue) = self.rescue.as_mut().filter(|rescue| rescue.is_over()) else { return };
        let error = Some(&rescue.error).filter(|error| !error.is_saved());
        for job in rescue.unacknowledged.drain(..) {
            job.finish(error);
        }
    }

    /// Writes all that is open into a new file beside the database; into the refuge where its folder is gone, or another one. It is there
    /// whole or not at all.
    fn save(&self, loss: Loss) -> Result<PathBuf, String> {
        let mut beside = self.files.db().to_owned();
        if let (false, Some(refuge)) = (self.files.have_folder(), &self.refuge) {
            create_folders(refuge).map_err(|error| StoreError::io(refuge, &error).to_string())?;
            beside = in_refuge(refuge, &self.path);
        }
        let suffix = format!("{RESCUED}{}-{}", jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ"), std::process::id());
        let place = sibling(&beside, &suffix);
        let temporary = sibling(&place, &format!("-{}{PART}", self.process.unwrap_or(VISITOR)));
        // Another process may be about to commit what it began while the files stood: with the write lock, that is in here too.
        let _ = self.execute("BEGIN IMMEDIATE");
        self.leave_transaction();
        snapshot::write(&self.conn, &temporary).map_err(|error| match error {
            CopyError::Source(error) => error.to_string(),
            CopyError::Target(why) => why,
        })?;
        // Where others write the same file through another shared memory, what is read here may not fit together.
        let checked = if loss == Loss::Journal { check_copy(&temporary) } else { Ok(()) };
        let put = checked.and_then(|()| {
            snapshot::put(&temporary, &place).map_err(|error| match error {
                PutError::Taken => format!("{} exists already", place.display()),
                PutError::Failed(why) => why,
            })
        });
        match put {
            Ok(()) => Ok(place),
            Err(why) => {
                let _ = fs::remove_file(&temporary);
                Err(why)
            }
        }
    }

    /// Locks the file that stands at the lock's path now. Where another process starts at this moment and has it for itself, the next
    /// look tries again.
    fn renew_lock(&mut self) -> Result<(), StoreError> {
        self.execute("BEGIN IMMEDIATE")?;
        let joined = Presence::join(&self.path);
        self.leave_transaction();
        if let Some(presence) = joined? {
            self.files.note_lock(&presence);
            self.presence = Some(presence);
        }
        Ok(())
    }
}

/// Whether a copy is a whole database; why not.
pub(super) fn check_copy(copy: &Path) -> Result<(), String> {
    let check = || -> rusqlite::Result<String> {
        let conn = Connection::open_with_flags(copy, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        conn.pragma_query_value(None, "quick_check", |row| row.get(0))
    };
    match check() {
        Ok(verdict) if verdict == "ok" => Ok(()),
        Ok(fault) => Err(format!("the copy is damaged: {}", one_line(&fault, FAULT_CHARS))),
        Err(error) => Err(format!("the copy cannot be read: {error}")),
    }
}
