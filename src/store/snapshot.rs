//! A copy of the whole database as it is at one moment, in a file of its own. It is there whole or not at all: it is written
//! under another name, reaches the disk, and gets its name then.
//!
//! SQLite's `VACUUM INTO` makes it: one snapshot, whoever writes meanwhile, with `user_version` and `application_id`. It flushes
//! nothing and gives its file the umask's mode, so the file is made here before, and flushed here behind.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ToSql};

use super::open::FILE_MODE;
use super::{StoreError, Trouble};

/// Why there is no copy.
#[derive(Debug)]
pub(super) enum CopyError {
    /// What was to be copied cannot be read.
    Source(StoreError),
    /// The copy cannot be written: why, with the remedy.
    Target(String),
}

/// A path as SQLite takes it: its bytes, which may be no UTF-8.
struct Raw<'a>(&'a Path);

impl ToSql for Raw<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Text(self.0.as_os_str().as_bytes())))
    }
}

/// Writes the copy to `temporary`, a name that is this process's alone (what stands there is what a dead one left), and flushes
/// it; the bytes that it has. Nothing stands there after an error.
pub(super) fn write(conn: &Connection, temporary: &Path) -> Result<u64, CopyError> {
    let written = into(conn, temporary);
    if written.is_err() {
        // The first error is the one worth telling.
        let _ = fs::remove_file(temporary);
    }
    written
}

/// Makes an empty file in the place of what a dead process left under that name.
pub(super) fn make(temporary: &Path) -> std::io::Result<File> {
    match fs::remove_file(temporary) {
        Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
        Ok(()) | Err(_) => {}
    }
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(FILE_MODE).open(temporary)?;
    // For a umask that takes the owner's bits. Only a file system without modes refuses it, and there is nothing to mend there.
    let _ = file.set_permissions(Permissions::from_mode(FILE_MODE));
    Ok(file)
}

fn into(conn: &Connection, temporary: &Path) -> Result<u64, CopyError> {
    let file = make(temporary).map_err(|e| target(&e))?;
    conn.execute("VACUUM INTO ?1", [Raw(temporary)]).map_err(|e| refused(e.into()))?;
    let flushed = file.sync_all().and_then(|()| file.metadata());
    flushed.map(|meta| meta.len()).map_err(|e| target(&e))
}

/// Gives a finished copy its name, for good; what stands there already stays.
pub(super) fn put(temporary: &Path, place: &Path) -> Result<(), PutError> {
    let failed = |e: std::io::Error| match e.kind() {
        ErrorKind::AlreadyExists => PutError::Taken,
        _ => PutError::Failed(words(&e)),
    };
    match fs::hard_link(temporary, place) {
        Ok(()) => fs::remove_file(temporary).map_err(failed)?,
        Err(e) if e.kind() == ErrorKind::AlreadyExists => return Err(PutError::Taken),
        // A file system without links. Between the look and the rename somebody else's file could come: as narrow as it gets there.
        Err(_) if fs::symlink_metadata(place).is_ok() => return Err(PutError::Taken),
        Err(_) => fs::rename(temporary, place).map_err(failed)?,
    }
    let folder = place.parent().unwrap_or(place);
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        // Some file systems flush no folder.
        Err(e) if !matches!(e.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => Err(failed(e)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Why a copy did not get its name.
#[derive(Debug)]
pub(super) enum PutError {
    /// Something has it.
    Taken,
    /// Why, with the remedy.
    Failed(String),
}

pub(super) fn target(error: &std::io::Error) -> CopyError {
    CopyError::Target(words(error))
}

/// Why a file cannot be made or written, with the remedy.
fn words(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => "its folder does not exist: make that first".to_owned(),
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            "its folder cannot be written: make it writable (chmod u+w)".to_owned()
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => NO_SPACE.to_owned(),
        _ => format!("{error}: mend that"),
    }
}

const NO_SPACE: &str = "no space is left on its disk: free some";

/// What is wrong when SQLite does not copy: a full disk and a refused write are the copy's, for of the database nothing is written.
pub(super) fn refused(error: StoreError) -> CopyError {
    match &error {
        StoreError::Unusable { trouble: Trouble::Full, .. } => CopyError::Target(NO_SPACE.to_owned()),
        StoreError::Unusable { trouble: Trouble::Io(why) | Trouble::Refused(why), .. } => {
            CopyError::Target(format!("{why}: is its disk full, or broken? Mend that"))
        }
        _ => CopyError::Source(error),
    }
}
