//! Whether the files that are open still stand at their paths. A file that is removed or replaced while it is open stays open,
//! and what is written into it then is gone with the process: so the writer looks before each transaction, and before it
//! acknowledges one. A look costs about a microsecond a file.

use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::error::Loss;
use super::open::{Presence, sibling};

/// Which file it is, whatever it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Inode {
    device: u64,
    number: u64,
}

impl Inode {
    /// Of what stands at `path`.
    pub(super) fn at(path: &Path) -> io::Result<Self> {
        fs::metadata(path).map(|meta| Self::of(&meta))
    }

    pub(super) fn of(meta: &Metadata) -> Self {
        Self { device: meta.dev(), number: meta.ino() }
    }
}

/// What a look found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// All is as it was opened.
    Ours,
    /// The database, its journal, or the memory that its users share is gone, or another file.
    Gone(Loss),
    /// The file of the lock that says who lives is gone, or another one.
    LockGone,
}

/// The database and the two files that SQLite keeps beside it, as they were opened.
#[derive(Debug)]
pub(super) struct Files {
    db: PathBuf,
    inode: Inode,
    /// Of its folder.
    folder: Option<Inode>,
    /// `-wal` and `-shm`; what was not there when this one looked is not missed.
    beside: [(PathBuf, Option<Inode>); 2],
    /// The file of the lock, for who holds it.
    lock: (PathBuf, Option<Inode>),
}

impl Files {
    /// Those at `path`, which have just been opened, and the lock that is held.
    pub(super) fn of(path: &Path, presence: Option<&Presence>) -> io::Result<Self> {
        // SQLite keeps its files beside the one that a link points to.
        let db = fs::canonicalize(path)?;
        let inode = Inode::at(&db)?;
        let beside = ["-wal", "-shm"].map(|suffix| {
            let path = sibling(&db, suffix);
            let inode = Inode::at(&path).ok();
            (path, inode)
        });
        let lock = sibling(path, ".lock");
        let held = presence.and_then(Presence::inode);
        let folder = db.parent().and_then(|folder| Inode::at(folder).ok());
        Ok(Self { db, inode, folder, beside, lock: (lock, held) })
    }

    /// The database, without links.
    pub(super) fn db(&self) -> &Path {
        &self.db
    }

    /// Whether the folder is there in which all this was opened. One that was made again in its place may be removed again.
    pub(super) fn have_folder(&self) -> bool {
        self.folder.is_some() && self.folder == self.db.parent().and_then(|folder| Inode::at(folder).ok())
    }

    /// Notes which file the lock that is held is: by now another one may stand at its path.
    pub(super) fn note_lock(&mut self, presence: &Presence) {
        self.lock.1 = presence.inode();
    }

    /// Looks. What cannot be looked at (a network's file system at a bad moment) counts as ours: SQLite will say what is wrong.
    pub(super) fn look(&self) -> Place {
        let gone = |error: &io::Error| matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory);
        match Inode::at(&self.db) {
            Ok(found) if found != self.inode => Place::Gone(Loss::Replaced),
            Err(error) if gone(&error) => Place::Gone(Loss::Removed),
            Ok(_) | Err(_) => {
                let missed = |(path, before): &(PathBuf, Option<Inode>)| match (before, Inode::at(path)) {
                    (Some(before), Ok(now)) => *before != now,
                    (Some(_), Err(error)) => gone(&error),
                    (None, _) => false,
                };
                match () {
                    () if self.beside.iter().any(missed) => Place::Gone(Loss::Journal),
                    () if missed(&self.lock) => Place::LockGone,
                    () => Place::Ours,
                }
            }
        }
    }

    /// Removes the journal of a database that stands there no more: the next one that is opened at that path would take it for
    /// its own. What is not ours stays.
    pub(super) fn discard_journal(&self) {
        for (path, before) in &self.beside {
            if before.is_some_and(|before| Inode::at(path).is_ok_and(|now| now == before))
                && let Err(error) = fs::remove_file(path)
            {
                tracing::error!(%error, path = %path.display(), "a left journal could not be removed");
            }
        }
    }
}
