//! The care of a database from outside: is it sound, a copy of it, its unused space given back. For people who ask; nobody
//! else's work is in the way, and none of it makes a database where there is none.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, SystemTime};

use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};

use super::checkpoint::truncate;
use super::open::{Presence, SCHEMA, has_one_name, may_be_written, sibling, version};
use super::snapshot::{self, CopyError};
use super::target::{BackupError, Target};
use super::{BUSY_TIMEOUT, Read, StoreError, Trouble, foreign};
use crate::domain::EntryState;

/// Faults that are told at most.
const MAX_FAULTS: usize = 20;
/// How long a rewrite may keep others that live from writing. Theirs is an error after [`BUSY_TIMEOUT`].
const REWRITE_LIMIT: Duration = Duration::from_secs(5);
/// How long the end of a rewrite waits for who reads what was before.
const READER_WAIT: Duration = Duration::from_secs(2);

/// What a look at a database found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkup {
    /// The file.
    pub path: PathBuf,
    /// Its `application_id`: "chmx", or it would have been refused.
    pub application_id: i64,
    /// Its schema.
    pub schema: i64,
    /// The schema that this program needs; an older one is upgraded by the next start.
    pub known: i64,
    /// Bytes of the file.
    pub file_bytes: u64,
    /// Bytes of the journal beside it.
    pub journal_bytes: u64,
    /// Bytes in the file that nothing uses.
    pub free_bytes: u64,
    /// What is in it; `None` when damage is in the way of counting.
    pub counts: Option<Counts>,
    /// What is wrong with it, the first twenty; empty when it is sound.
    pub faults: Vec<String>,
}

/// Rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Sessions that are open.
    pub sessions: u64,
    /// Sessions that are archived.
    pub archived: u64,
    /// Messages of all sessions.
    pub messages: u64,
    /// Entries, by state; a state that none is in is left out.
    pub entries: BTreeMap<EntryState, u64>,
}

/// Looks whether the database is sound. Changes nothing, not even beside it, and works while others write, and on a file system
/// that cannot be written.
///
/// # Errors
/// [`StoreError::Unusable`]: there is none, or it is so damaged that SQLite does not open it.
pub fn check(path: &Path) -> Result<Checkup, StoreError> {
    look(path, examine)
}

fn examine(conn: &Connection, path: &Path) -> Result<Checkup, StoreError> {
    let schema = version(conn, path)?;
    if schema == 0 {
        return Err(StoreError::unusable(path, Trouble::Missing));
    }
    let number = |name: &str| conn.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    // All of one moment.
    let snapshot = Transaction::new_unchecked(conn, TransactionBehavior::Deferred)?;
    let (faults, counts) = inside(&snapshot)?;
    Ok(Checkup {
        path: path.to_owned(),
        application_id: number("application_id")?,
        schema,
        known: SCHEMA,
        file_bytes: bytes(path),
        journal_bytes: bytes(&sibling(path, "-wal")),
        free_bytes: number("freelist_count")?.saturating_mul(number("page_size")?).unsigned_abs(),
        counts,
        faults,
    })
}

/// What is wrong in it, and what is in it. Where SQLite would run what no migration made, only that is said, for a look would run it.
fn inside(conn: &Connection) -> Result<(Vec<String>, Option<Counts>), StoreError> {
    let foreign: Vec<_> = match foreign::foreign(conn) {
        Ok(objects) => objects.iter().map(|object| format!("{} was made by no chatmux", object.title())).collect(),
        Err(error) => damage(error)?,
    };
    if !foreign.is_empty() {
        return Ok((foreign.into_iter().take(MAX_FAULTS).collect(), None));
    }
    let mut faults = faults(conn).or_else(damage)?;
    let counts = match counts(conn) {
        Ok(counts) => Some(counts),
        Err(error) => {
            faults.extend(damage(error)?);
            None
        }
    };
    faults.truncate(MAX_FAULTS);
    Ok((faults, counts))
}

/// Damage that ended a look is what the look found.
fn damage(error: StoreError) -> Result<Vec<String>, StoreError> {
    match error {
        StoreError::Unusable { trouble: Trouble::Corrupt(why), .. } => Ok(vec![why]),
        other => Err(other),
    }
}

fn faults(conn: &Connection) -> Result<Vec<String>, StoreError> {
    let mut check = conn.prepare(&format!("PRAGMA integrity_check({MAX_FAULTS})"))?;
    let mut faults = check.query_map([], |row| row.get(0))?.collect::<Result<Vec<String>, _>>()?;
    faults.retain(|line| line != "ok");
    let mut check = conn.prepare("PRAGMA foreign_key_check")?;
    let orphan = |row: &rusqlite::Row<'_>| {
        let (table, id, parent) = (row.get::<_, String>(0)?, row.get::<_, Option<i64>>(1)?, row.get::<_, String>(2)?);
        Ok(format!("row {} of {table} belongs to no row of {parent}", id.unwrap_or_default()))
    };
    for line in check.query_map([], orphan)?.take(MAX_FAULTS) {
        faults.push(line?);
    }
    Ok(faults)
}

/// In words that every schema knows.
fn counts(conn: &Connection) -> Result<Counts, StoreError> {
    let number = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, i64>(0)).map(i64::unsigned_abs);
    let mut by_state = conn.prepare("SELECT state, count(*) FROM entries GROUP BY state")?;
    let entries = by_state.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs())))?;
    let entries = entries.collect::<Result<_, _>>()?;
    Ok(Counts {
        sessions: number("SELECT count(*) FROM sessions WHERE closed_at_ms IS NULL")?,
        archived: number("SELECT count(*) FROM sessions WHERE closed_at_ms IS NOT NULL")?,
        messages: number("SELECT count(*) FROM messages")?,
        entries,
    })
}

/// Writes a copy of the database `path`, as it is at this moment, to the new file `place`, 0600; the bytes that it has. It is
/// a database as this one, whoever writes meanwhile.
///
/// # Errors
/// The database cannot be read, or the copy not be written; then nothing is there.
pub fn back_up(path: &Path, place: &Path) -> Result<u64, BackupError> {
    let target = Target::new(path, place)?;
    let written = look(path, |conn, path| {
        if version(conn, path)? == 0 {
            return Err(StoreError::unusable(path, Trouble::Missing));
        }
        match snapshot::write(conn, &target.temporary) {
            Ok(bytes) => Ok(Ok(bytes)),
            Err(CopyError::Target(why)) => Ok(Err(why)),
            Err(CopyError::Source(error)) => Err(error),
        }
    });
    // After an error a copy may stand there from a look that was in vain.
    let bytes = written.inspect_err(|_| target.remove())?.map_err(|why| target.unwritable(why))?;
    target.put()?;
    Ok(bytes)
}

/// What a rewrite gained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vacuumed {
    /// Bytes of the file and its journal before.
    pub before: u64,
    /// And now.
    pub after: u64,
    /// Somebody still reads what was before, so that the journal could not be cut yet; whoever writes next does it.
    pub has_readers: bool,
}

/// Gives unused space back: the database is written anew, which takes as much space again for that time. While other chatmux live,
/// it may take a few seconds only, for they wait meanwhile.
///
/// # Errors
/// [`Trouble::InUse`] when the others were in the way, or it would keep them waiting for too long; what else is wrong with the
/// database. Then it is as it was.
pub fn vacuum(path: &Path) -> Result<Vacuumed, StoreError> {
    let path = &there(path)?;
    may_be_written(path)?;
    let (alone, conn) = (Presence::take_alone(path)?, writable(path).map_err(|e| e.at(path))?);
    let at = |e: StoreError| e.at(path);
    if version(&conn, path).map_err(at)? == 0 {
        return Err(StoreError::unusable(path, Trouble::Missing));
    }
    let size = || bytes(path) + bytes(&sibling(path, "-wal"));
    let before = size();
    rewrite(&conn, alone.is_none()).map_err(at)?;
    let has_readers = !truncate(&conn, READER_WAIT).map_err(at)?;
    Ok(Vacuumed { before, after: size(), has_readers })
}

fn rewrite(conn: &Connection, is_limited: bool) -> Result<(), StoreError> {
    let outcome = thread::scope(|scope| {
        let (done, ended) = mpsc::sync_channel::<()>(0);
        if is_limited {
            let interrupt = conn.get_interrupt_handle();
            scope.spawn(move || {
                if ended.recv_timeout(REWRITE_LIMIT) == Err(mpsc::RecvTimeoutError::Timeout) {
                    interrupt.interrupt();
                }
            });
        }
        let outcome = conn.execute_batch("VACUUM");
        drop(done);
        outcome
    });
    outcome.map_err(|error| match error.sqlite_error_code() {
        Some(ErrorCode::OperationInterrupted | ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            StoreError::unusable(Path::new(""), Trouble::InUse)
        }
        _ => error.into(),
    })
}

fn writable(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(REWRITE_LIMIT)?;
    conn.pragma_update(None, "synchronous", "full")?;
    Ok(conn)
}

/// The absolute path, if a file is there.
fn there(path: &Path) -> Result<PathBuf, StoreError> {
    let path = std::path::absolute(path).map_err(|e| StoreError::io(path, &e))?;
    match fs::metadata(&path) {
        // Where it is, whatever links lead there: its journal stands beside it.
        Ok(meta) if meta.is_file() => {
            let path = fs::canonicalize(&path).map_err(|e| StoreError::io(&path, &e))?;
            // Under its other name the journal is not found, and with it what was written last.
            has_one_name(&path)?;
            Ok(path)
        }
        Ok(_) => Err(StoreError::unusable(&path, Trouble::NotAFile)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Err(StoreError::unusable(&path, Trouble::Missing)),
        Err(e) if e.kind() == std::io::ErrorKind::PermissionDenied => {
            Err(StoreError::unusable(&path, Trouble::Io(e.to_string())))
        }
        Err(e) => Err(StoreError::io(&path, &e)),
    }
}

fn bytes(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |meta| meta.len())
}

/// Looks at the database without a change. Even a connection that only reads leaves SQLite's journal behind, so as long as nobody
/// has it open, which the absence of a journal says, SQLite is told that nobody writes. When somebody begins to meanwhile, the look
/// counts for nothing and is taken again among the others.
fn look<T>(path: &Path, look: impl Fn(&Connection, &Path) -> Result<T, StoreError>) -> Result<T, StoreError> {
    let path = &there(path)?;
    let at = |e: StoreError| e.at(path);
    let stamp = || fs::metadata(path).map(|meta| Stamp::of(&meta)).map_err(|e| StoreError::io(path, &e));
    if !has_journal(path) {
        let before = stamp()?;
        let outcome = still(path).and_then(|conn| look(&conn, path));
        if !has_journal(path) && stamp()? == before {
            return outcome.map_err(at);
        }
    }
    shared(path).and_then(|conn| look(&conn, path)).map_err(|error| match error {
        // SQLite reads a journal with a file beside it that it may have to make.
        StoreError::Unusable { trouble: Trouble::Io(_), .. } if !sibling(path, "-shm").exists() => {
            let why = "its journal is only read where the folder can be written: copy both there, the -wal too";
            StoreError::unusable(path, Trouble::Io(why.to_owned()))
        }
        other => at(other),
    })
}

/// A database that is only read, where nothing can be written: a read-only file system, a folder or a file without the right.
#[derive(Debug)]
pub struct ReadOnly {
    path: PathBuf,
}

impl ReadOnly {
    /// For the database that [`Store::visit`](super::Store::visit) refused with `refusal`; gives that back where it is about something else.
    ///
    /// # Errors
    /// The refusal.
    pub fn instead(path: &Path, refusal: StoreError) -> Result<Self, StoreError> {
        let StoreError::Unusable { trouble, .. } = &refusal else { return Err(refusal) };
        match trouble {
            Trouble::ReadOnly | Trouble::FolderReadOnly | Trouble::ReadOnlySystem => Ok(Self { path: path.to_owned() }),
            _ => Err(refusal),
        }
    }

    /// Runs `operation` in a snapshot. It changes nothing, not even beside the database.
    ///
    /// # Errors
    /// The operation's; [`Trouble::OlderReadOnly`], and what else makes the database unusable.
    pub fn read<R: Read + Clone>(&self, operation: &R) -> Result<R::Reply, StoreError> {
        look(&self.path, |conn, path| {
            let found = version(conn, path)?;
            match found {
                0 => return Err(StoreError::unusable(path, Trouble::Missing)),
                SCHEMA => {}
                _ => return Err(StoreError::unusable(path, Trouble::OlderReadOnly { found, known: SCHEMA })),
            }
            foreign::refuse(conn, path)?;
            let snapshot = Transaction::new_unchecked(conn, TransactionBehavior::Deferred)?;
            operation.clone().fetch(&snapshot)
        })
    }
}

fn has_journal(path: &Path) -> bool {
    ["-wal", "-journal"].iter().any(|end| sibling(path, end).exists())
}

/// What changes when a file is written or replaced.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    bytes: u64,
    changed: Option<SystemTime>,
}

impl Stamp {
    fn of(meta: &Metadata) -> Self {
        Self { inode: meta.ino(), bytes: meta.len(), changed: meta.modified().ok() }
    }
}

/// A connection to a file that nobody writes.
fn still(path: &Path) -> Result<Connection, StoreError> {
    let mut uri = "file:".to_owned();
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => uri.push(char::from(*byte)),
            other => uri += &format!("%{other:02X}"),
        }
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    Ok(Connection::open_with_flags(uri + "?immutable=1", flags)?)
}

/// A connection that only reads, among others.
fn shared(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(BUSY_TIMEOUT)?;
    Ok(conn)
}
