//! The new file of a backup or a salvage: where it may be, and how it gets its name when it is whole.

use std::fs;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::StoreError;
use super::open::sibling;
use super::snapshot::{self, PutError};

/// What stands beside a database under its name; no copy may get such a name.
const SIBLINGS: [&str; 4] = ["-wal", "-shm", "-journal", ".lock"];

/// Why there is no backup, or no salvaged database.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BackupError {
    /// The database cannot be read.
    #[error(transparent)]
    Database(#[from] StoreError),
    /// Something has that name.
    #[error("{} exists already, and nothing is overwritten: name another file, or remove that one first", .0.display())]
    Exists(PathBuf),
    /// It is the database, or SQLite's name for something beside it.
    #[error("{} is the database's own: name another file", .0.display())]
    Own(PathBuf),
    /// It is no name of a file.
    #[error("{} is no file's name: name one", .0.display())]
    NotAFile(PathBuf),
    /// A salvage found nothing.
    #[error("nothing of a chatmux database can be read in {}: restore it from a backup", .0.display())]
    Nothing(PathBuf),
    /// It could not be written; nothing of it is left.
    #[error("the new file {} could not be written: {why}, or name another file", place.display())]
    Unwritable {
        /// What was to be written.
        place: PathBuf,
        /// What was in the way, and the remedy.
        why: String,
    },
}

/// A new file that is there whole or not at all: where it is written, and where it is to be.
#[derive(Debug)]
pub(super) struct Target {
    place: PathBuf,
    /// A name that is this process's alone.
    pub(super) temporary: PathBuf,
}

impl Target {
    /// For what is made of the database `path`.
    pub(super) fn new(path: &Path, place: &Path) -> Result<Self, BackupError> {
        let place = std::path::absolute(place).map_err(|_| BackupError::NotAFile(place.to_owned()))?;
        let Some(name) = place.file_name() else { return Err(BackupError::NotAFile(place)) };
        let mut part = std::ffi::OsString::from(".");
        part.push(name);
        part.push(format!(".{}.part", std::process::id()));
        let temporary = place.with_file_name(part);
        if is_own(path, &place) {
            return Err(BackupError::Own(place));
        }
        if fs::symlink_metadata(&place).is_ok() {
            return Err(BackupError::Exists(place));
        }
        Ok(Self { place, temporary })
    }

    pub(super) fn unwritable(&self, why: String) -> BackupError {
        BackupError::Unwritable { place: self.place.clone(), why }
    }

    /// Removes what was written in vain.
    pub(super) fn remove(&self) {
        let _ = fs::remove_file(&self.temporary);
    }

    /// Gives what was written and flushed its name.
    pub(super) fn put(&self) -> Result<(), BackupError> {
        let put = snapshot::put(&self.temporary, &self.place);
        put.inspect_err(|_| self.remove()).map_err(|error| match error {
            PutError::Taken => BackupError::Exists(self.place.clone()),
            PutError::Failed(why) => self.unwritable(why),
        })
    }
}

/// Whether `place` is the database or has a name that SQLite or chatmux gives to what stands beside it.
fn is_own(path: &Path, place: &Path) -> bool {
    let real = |path: &Path| {
        let folder = path.parent().and_then(|folder| fs::canonicalize(folder).ok())?;
        Some(folder.join(path.file_name()?))
    };
    // The name that was given, and where links lead from there.
    let databases = [std::path::absolute(path).ok().and_then(|path| real(&path)), fs::canonicalize(path).ok()];
    let places = [real(place), fs::canonicalize(place).ok()];
    databases.iter().flatten().any(|database| {
        let own = SIBLINGS.iter().map(|end| sibling(database, end)).chain([database.clone()]);
        own.into_iter().any(|own| places.iter().flatten().any(|place| *place == own))
    })
}
