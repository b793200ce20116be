//! An older schema brought up to date. Before the first change a copy of the database stands beside it, as
//! `<db>.schema-K.backup`, and nothing happens while another chatmux lives on it, for that one knows only the older schema.
//!
//! All steps are one transaction, so a process that is killed leaves the database as it was, or as it shall be. The copy has its
//! name before that transaction begins. No copy is ever overwritten: when the upgrade is tried again and the database is still what
//! was copied, that copy will do; when it was written in between, or one stands there from long ago, the next is `….backup.2`.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::open::{LOCK_PAUSE, MIGRATIONS, Presence, SCHEMA, sibling, version};
use super::snapshot::{self, CopyError, PutError};
use super::{StoreError, Trouble};

/// How long one that only looks waits for another that may be doing the same upgrade.
const UPGRADE_WAIT: Duration = Duration::from_secs(2);

/// Bytes of a database's header that differ between two copies of the same: the counter of changes, and what stands for it and for
/// the version of SQLite.
const VOLATILE: [std::ops::Range<usize>; 2] = [24..28, 92..100];
/// Bytes compared at once; the header is in the first of them.
const BLOCK_BYTES: usize = 64 << 10;

/// An upgrade that a start did, for the person to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upgrade {
    /// The schema that was found.
    pub from: i64,
    /// The schema that is there now.
    pub to: i64,
    /// The database as it was before, a whole one.
    pub backup: PathBuf,
}

/// Upgrades from the schema that [`version`] found. Only for who holds the exclusive [`Presence`].
pub(super) fn upgrade(conn: &mut Connection, path: &Path, from: i64) -> Result<Upgrade, StoreError> {
    let backup = back_up(conn, path, from)?;
    migrate(conn, path)?;
    Ok(Upgrade { from, to: SCHEMA, backup })
}

/// The same for a process that does not count as one that lives: it is alone for the time of the upgrade. `None` when another
/// one did it meanwhile.
pub(super) fn upgrade_alone(conn: &mut Connection, path: &Path) -> Result<Option<Upgrade>, StoreError> {
    let began = Instant::now();
    loop {
        let alone = Presence::take_alone(path)?;
        match version(conn, path)? {
            SCHEMA => return Ok(None),
            from if alone.is_some() => return upgrade(conn, path, from).map(Some),
            found if began.elapsed() > UPGRADE_WAIT => return Err(older_lives(path, found)),
            _ => thread::sleep(LOCK_PAUSE),
        }
    }
}

/// The refusal while a chatmux of an older schema lives.
pub(super) fn older_lives(path: &Path, found: i64) -> StoreError {
    StoreError::unusable(path, Trouble::OlderLives { found, known: SCHEMA })
}

/// Copies the database as it is; where the copy stands.
fn back_up(conn: &Connection, path: &Path, from: i64) -> Result<PathBuf, StoreError> {
    let none = |why| StoreError::unusable(path, Trouble::NoBackup { found: from, known: SCHEMA, why });
    let temporary = sibling(path, &format!(".schema-{from}.backup.part"));
    snapshot::write(conn, &temporary).map_err(|e| match e {
        CopyError::Source(error) => error.at(path),
        CopyError::Target(why) => none(why),
    })?;
    let mut nth = 1;
    loop {
        let place = backup_path(path, from, nth);
        match snapshot::put(&temporary, &place) {
            Ok(()) => return Ok(place),
            // What cannot be read is not the same.
            Err(PutError::Taken) if are_same(&temporary, &place).unwrap_or(false) => {
                // It only takes space, and the next upgrade removes it.
                let _ = fs::remove_file(&temporary);
                return Ok(place);
            }
            Err(PutError::Taken) => nth += 1,
            Err(PutError::Failed(why)) => {
                let _ = fs::remove_file(&temporary);
                return Err(none(why));
            }
        }
    }
}

fn backup_path(path: &Path, schema: i64, nth: u32) -> PathBuf {
    let first = format!(".schema-{schema}.backup");
    sibling(path, &if nth == 1 { first } else { format!("{first}.{nth}") })
}

/// Whether two copies are of the same content.
fn are_same(one: &Path, other: &Path) -> io::Result<bool> {
    let (mut one, mut other) = (File::open(one)?, File::open(other)?);
    if one.metadata()?.len() != other.metadata()?.len() {
        return Ok(false);
    }
    let mut is_header = true;
    loop {
        let (mut a, mut b) = (block(&mut one)?, block(&mut other)?);
        if std::mem::take(&mut is_header) {
            for range in VOLATILE {
                [&mut a, &mut b].into_iter().filter_map(|block| block.get_mut(range.clone())).for_each(|b| b.fill(0));
            }
        }
        match a == b {
            true if a.is_empty() => return Ok(true),
            true => {}
            false => return Ok(false),
        }
    }
}

fn block(file: &mut File) -> io::Result<Vec<u8>> {
    let mut block = Vec::new();
    file.take(BLOCK_BYTES as u64).read_to_end(&mut block)?;
    Ok(block)
}

/// Runs the steps that are missing; all of them in a new file.
pub(super) fn migrate(conn: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let outcome = MIGRATIONS.to_latest(conn);
    // Another process may have done the same between our look and our transaction.
    let done = version(conn, path)? == SCHEMA;
    match outcome {
        Ok(()) => Ok(()),
        Err(_) if done => Ok(()),
        Err(rusqlite_migration::Error::RusqliteError { err, .. }) => Err(err.into()),
        Err(other) => Err(StoreError::unusable(path, Trouble::Refused(other.to_string()))),
    }
}
