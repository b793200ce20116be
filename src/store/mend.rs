//! Files that were taken away from under the open database, and what is done about it. What is open is whole, whatever
//! happened to its names, so it is written back where nothing stands in the way, and saved beside it where something does.
//!
//! | gone | what is done |
//! |---|---|
//! | the database | a copy of what is open takes its place (never that of a file that came meanwhile) |
//! | the database and its folder | nothing is committed until there is a folder again, then as above |
//! | the database, and another file stands there | nothing is committed; what is open is saved beside it, once |
//! | `-wal` or `-shm` | the journal goes into the database and is begun anew; alone only, for others use what is gone |
//! | `.lock` | it is made and held again, before somebody takes this process for dead |
//!
//! Nothing is acknowledged in between: the writer looks before each transaction and before it acknowledges one. So whoever is
//! the first to write a removed database back has all in the copy that any process acknowledged, and the others go on with that
//! copy. They know it by a note in the file of the lock that says who lives ([`Presence::note`]).
//!
//! Closing what was replaced does no harm to the new one's journal: SQLite looks whether its database was moved first
//! (`databaseIsUnmoved` in `sqlite3PagerClose`).

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::files::{Files, Inode, Place};
use super::open::{self, Presence, sibling};
use super::process::Identity;
use super::writer::Writer;
use super::{StoreError, Trouble, leases};

/// What is added to the database's name for a copy that is being placed; the number of the process follows.
const COPY: &str = ".saved-";
/// Names that a rescued database may have, before there are too many of them.
const RESCUES: u32 = 100;

/// Where what is open stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stayed {
    /// At the path, with all that was committed.
    There,
    /// Another process's copy does, without what was committed since the last look.
    Elsewhere,
}

impl Writer {
    /// Makes sure that what is open is what stands at the path.
    ///
    /// # Errors
    /// [`StoreError::Unusable`]: it does not, and nothing may be acknowledged.
    pub(super) fn stay(&mut self) -> Result<Stayed, StoreError> {
        let place = self.files.look();
        let mended = match place {
            Place::Ours => {
                self.rescue = None;
                Ok(Stayed::There)
            }
            Place::Removed => self.write_back(),
            Place::JournalGone => self.renew_journal().map(|()| Stayed::There),
            Place::LockGone => self.renew_lock().map(|()| Stayed::There),
            Place::FolderGone => Err(self.trouble(Trouble::FolderGone)),
            Place::Replaced => self.replaced(),
        };
        if std::mem::replace(&mut self.place, place) != place {
            let error = mended.as_ref().err().map(tracing::field::display);
            tracing::warn!(?place, error, "a look at the database's files");
        }
        mended
    }

    /// As [`Writer::stay`], of what was just committed: it is to be acknowledged.
    pub(super) fn stay_with_commit(&mut self) -> Result<(), StoreError> {
        match self.stay()? {
            Stayed::There => Ok(()),
            Stayed::Elsewhere => Err(self.trouble(Trouble::WrittenBack)),
        }
    }

    fn trouble(&self, trouble: Trouble) -> StoreError {
        StoreError::unusable(&self.path, trouble)
    }

    /// Puts a copy of what is open where nothing stands any more, and goes on with that.
    fn write_back(&mut self) -> Result<Stayed, StoreError> {
        let db = self.files.db().to_owned();
        let copy = sibling(&db, &format!("{COPY}{}", std::process::id()));
        let failed = |error: &dyn std::fmt::Display| self.trouble(Trouble::Removed(error.to_string()));
        // One that an earlier attempt left.
        let _ = fs::remove_file(&copy);
        let placed = self.copy_to(&copy).map_err(|error| failed(&error)).and_then(|()| {
            self.files.discard_journal();
            self.note(&copy).and_then(|()| place(&copy, &db)).map_or_else(
                |error| if error.kind() == ErrorKind::AlreadyExists { Ok(false) } else { Err(failed(&error)) },
                |()| Ok(true),
            )
        });
        let _ = fs::remove_file(&copy);
        if !placed? {
            return self.replaced();
        }
        self.reopen()?;
        self.tell("was removed while chatmux used it: it is written back, nothing is lost");
        Ok(Stayed::There)
    }

    /// Lets the others know `copy`, before it takes its place.
    fn note(&self, copy: &Path) -> io::Result<()> {
        match &self.presence {
            Some(presence) => presence.note(&self.files.written_back_as(Inode::at(copy)?)),
            None => Ok(()),
        }
    }

    /// Goes on with what stands at the path now.
    fn reopen(&mut self) -> Result<(), StoreError> {
        let (conn, _) = open::connect(&self.path)?;
        open::keep_temporaries_in_memory(&conn)?;
        leases::write_as(&conn, self.process.unwrap_or(leases::VISITOR), &Identity::of_this())?;
        // The lock may be gone with the rest.
        self.renew_lock()?;
        let paused = self.reader.pause();
        self.conn = conn;
        drop(paused);
        Ok(())
    }

    /// Holds the lock that stands at its path now, and takes what stands there for ours. Where it is the same lock, it is held
    /// twice for a moment.
    fn renew_lock(&mut self) -> Result<(), StoreError> {
        if self.presence.is_some() {
            let (presence, _) = Presence::take(&self.path)?;
            presence.share(&self.path)?;
            self.presence = Some(presence);
        }
        self.look_anew()
    }

    fn look_anew(&mut self) -> Result<(), StoreError> {
        let files = Files::of(&self.path, self.presence.is_some());
        self.files = files.map_err(|error| StoreError::io(&self.path, &error))?;
        Ok(())
    }

    /// Makes the journal and its shared memory anew. SQLite does that for a connection that is the only one, and sees to it that
    /// it is.
    fn renew_journal(&mut self) -> Result<(), StoreError> {
        let paused = self.reader.pause();
        let set =
            |mode: &str| self.conn.pragma_update_and_check(None, "journal_mode", mode, |row| row.get::<_, String>(0));
        let begun = set("delete").and_then(|_| set("wal"));
        // The first look into the database begins the journal.
        let looked = begun.and_then(|_| self.conn.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(())));
        if let Err(error) = looked {
            let error = StoreError::from(error).at(&self.path);
            // What was committed is in the database at least.
            self.checkpoint("PASSIVE");
            return Err(if error.is_busy() { self.trouble(Trouble::JournalGone) } else { error });
        }
        self.look_anew()?;
        drop(paused);
        self.tell("lost its journal (-wal, -shm) while chatmux used it: it is begun anew, nothing is lost");
        Ok(())
    }

    /// Goes on with what stands there if it is what was open, written back by another process. Else saves what is open beside it,
    /// once; then says so each time.
    fn replaced(&mut self) -> Result<Stayed, StoreError> {
        let notes = self.presence.as_ref().and_then(|presence| presence.notes().ok()).unwrap_or_default();
        if self.files.is_written_back(&notes) {
            self.reopen()?;
            self.tell("was removed while chatmux used it: another chatmux has written it back, nothing is lost");
            return Ok(Stayed::Elsewhere);
        }
        if self.rescue.is_none() {
            match self.save() {
                Ok(rescue) => {
                    let saved = rescue.display();
                    self.tell(&format!(
                        "was replaced by another file while chatmux used it: what was open is saved as {saved}"
                    ));
                    self.rescue = Some(rescue);
                }
                Err(error) => tracing::error!(%error, "what was open could not be saved"),
            }
        }
        Err(self.trouble(Trouble::Replaced(self.rescue.clone())))
    }

    fn save(&self) -> Result<PathBuf, StoreError> {
        let name = |nth: u32| match nth {
            1 => sibling(self.files.db(), ".rescued"),
            _ => sibling(self.files.db(), &format!(".rescued-{nth}")),
        };
        let Some(rescue) = (1..=RESCUES).map(name).find(|path| !path.exists()) else {
            return Err(self.trouble(Trouble::Io("too many rescued copies".to_owned())));
        };
        if let Err(error) = self.copy_to(&rescue) {
            let _ = fs::remove_file(&rescue);
            return Err(error);
        }
        // The old file may only have been renamed, and shall be whole without its journal too.
        self.checkpoint("TRUNCATE");
        self.files.discard_journal();
        Ok(rescue)
    }

    /// Writes all that is open into a new file at `path`, down to the disk.
    fn copy_to(&self, path: &Path) -> Result<(), StoreError> {
        let io = |error: io::Error| StoreError::io(path, &error);
        // Made first, for the mode.
        drop(open::create(path, path)?);
        let name = path.to_str().ok_or_else(|| io(io::Error::other("its name is not UTF-8")))?;
        self.conn.execute("VACUUM INTO ?1", [name])?;
        // No connection has it open any more, so closing this takes no lock of SQLite's away.
        File::open(path).and_then(|file| file.sync_all()).map_err(io)
    }

    fn checkpoint(&self, mode: &str) {
        if let Err(error) = self.conn.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |_| Ok(())) {
            tracing::warn!(%error, "the journal could not be copied into the database");
        }
    }

    /// Tells whoever listens ([`Store::mishap`](super::Store::mishap)).
    fn tell(&self, what: &str) {
        self.mishaps.send_replace(format!("the database {} {what}", self.path.display()));
    }
}

/// Removes the other names that copies kept beside the database at `path`, when a process was killed between placing one and
/// removing its first name. Only names of this very file go, so nothing is lost.
pub(super) fn remove_left_copies(path: &Path) {
    let (Some(folder), Some(name), Ok(inode)) = (path.parent(), path.file_name(), Inode::at(path)) else { return };
    let begin = [name.as_encoded_bytes(), COPY.as_bytes()].concat();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let is_left = entry.file_name().as_encoded_bytes().starts_with(&begin)
            && entry.file_type().is_ok_and(|kind| kind.is_file())
            && Inode::at(&entry.path()).is_ok_and(|found| found == inode);
        if is_left && let Err(error) = fs::remove_file(entry.path()) {
            tracing::warn!(%error, "a left copy's name could not be removed");
        }
    }
}

/// Gives `copy` the name `path`, if nothing has it.
fn place(copy: &Path, path: &Path) -> io::Result<()> {
    match fs::hard_link(copy, path) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Err(error),
        // Not every file system has hard links.
        Err(_) if !path.exists() => fs::rename(copy, path)?,
        Err(error) => return Err(error),
    }
    let folder = path.parent().unwrap_or(path);
    File::open(folder)?.sync_all()
}
