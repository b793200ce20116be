//! Opening the file: folders, modes, who else lives on it, journal mode, the schema's steps, and a plain word for all that can be
//! wrong with a path that a person gave.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use rusqlite_migration::{M, Migrations};

use super::files::Inode;
use super::process::Identity;
use super::upgrade::{self, Upgrade};
use super::{BUSY_TIMEOUT, StoreError, Trouble, foreign, leases};
use crate::domain::ProcessId;

/// Every schema change since the first, in order. Released ones are never touched again.
const STEPS: &[M<'static>] = &[
    M::up(include_str!("../../migrations/0001_sessions_queue_messages.sql")),
    M::up(include_str!("../../migrations/0002_queue.sql")),
    M::up(include_str!("../../migrations/0003_cheaper_checks.sql")),
    M::up(include_str!("../../migrations/0004_settings_attachments.sql")),
    M::up(include_str!("../../migrations/0005_history.sql")),
    M::up(include_str!("../../migrations/0006_leases.sql")),
    M::up(include_str!("../../migrations/0007_chunk_log.sql")),
    M::up(include_str!("../../migrations/0008_finish_reasons.sql")),
    M::up(include_str!("../../migrations/0009_gates_by_model.sql")),
];
/// The same, as the migration crate takes them.
pub(super) const MIGRATIONS: Migrations<'static> = Migrations::from_slice(STEPS);
/// `user_version` after the last step.
pub(super) const SCHEMA: i64 = STEPS.len() as i64;
/// `application_id`: "chmx". The first migration writes it.
const APPLICATION_ID: i64 = 0x6368_6d78;

const FOLDER_MODE: u32 = 0o700;
pub(super) const FILE_MODE: u32 = 0o600;
/// Any of these bits set: somebody may write.
const WRITE_BITS: u32 = 0o222;

/// How long to pause between two looks at a lock that another process holds while it opens.
pub(super) const LOCK_PAUSE: Duration = Duration::from_millis(5);
/// Pages of journal before it is copied into the database (SQLite's own default, 4 MiB).
const CHECKPOINT_PAGES: i64 = 1_000;
/// The journal file is cut to this after a checkpoint, in bytes.
pub(super) const JOURNAL_BYTES: i64 = 16 << 20;
/// Prepared statements kept a connection; there are fewer in all.
const CACHED_STATEMENTS: usize = 128;

/// An open writer's connection and what was found on the way.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) conn: Connection,
    /// Absolute.
    pub(super) path: PathBuf,
    pub(super) sole: bool,
    pub(super) created: bool,
    pub(super) upgraded: Option<Upgrade>,
    pub(super) presence: Option<Presence>,
    /// As whom this process is registered.
    pub(super) process: Option<ProcessId>,
}

/// The lock on `<db>.lock` that says that a chatmux lives: exclusive while it opens alone, shared from then on.
#[derive(Debug)]
pub(super) struct Presence(File);

impl Presence {
    /// Takes the lock; `true` when nobody else had it.
    pub(super) fn take(db: &Path) -> Result<(Self, bool), StoreError> {
        let file = Self::file(db)?;
        let began = Instant::now();
        loop {
            // Exclusive first each time: a holder that died while it opened has left its work to us.
            if try_lock(db, file.try_lock())? {
                return Ok((Self(file), true));
            }
            if try_lock(db, file.try_lock_shared())? {
                return Ok((Self(file), false));
            }
            if began.elapsed() > BUSY_TIMEOUT {
                return Err(StoreError::unusable(db, Trouble::Busy));
            }
            thread::sleep(LOCK_PAUSE);
        }
    }

    /// Takes the lock beside others, if nobody has it for itself alone at this moment.
    pub(super) fn join(db: &Path) -> Result<Option<Self>, StoreError> {
        let file = Self::file(db)?;
        Ok(try_lock(db, file.try_lock_shared())?.then_some(Self(file)))
    }

    /// Takes the lock for itself alone, if nobody has it at this moment.
    pub(super) fn take_alone(db: &Path) -> Result<Option<Self>, StoreError> {
        let file = Self::file(db)?;
        Ok(try_lock(db, file.try_lock())?.then_some(Self(file)))
    }

    /// Which file it is.
    pub(super) fn inode(&self) -> Option<Inode> {
        self.0.metadata().ok().map(|meta| Inode::of(&meta))
    }

    /// Writes a byte into the lock's file, which wakes those who watch it ([`notify`](super::notify)). What stands there means nothing.
    pub(super) fn wake_others(&self) -> std::io::Result<()> {
        self.0.write_all_at(b"\n", 0)
    }

    /// Lets others live too. Between the two locks another process may find itself alone; it can repair nothing
    /// then, for this one has not begun anything yet.
    pub(super) fn share(&self, db: &Path) -> Result<(), StoreError> {
        let began = Instant::now();
        while !try_lock(db, self.0.try_lock_shared())? {
            if began.elapsed() > BUSY_TIMEOUT {
                return Err(StoreError::unusable(db, Trouble::Busy));
            }
            thread::sleep(LOCK_PAUSE);
        }
        Ok(())
    }

    fn file(db: &Path) -> Result<File, StoreError> {
        let path = sibling(db, ".lock");
        // It is not to be somebody's file elsewhere.
        if fs::symlink_metadata(&path).is_ok_and(|meta| !meta.is_file()) {
            let trouble = format!("{} is no file of its own: remove it", path.display());
            return Err(StoreError::unusable(db, Trouble::Io(trouble)));
        }
        create(&path, db)
    }
}

fn try_lock(db: &Path, outcome: Result<(), TryLockError>) -> Result<bool, StoreError> {
    match outcome {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(e)) => Err(StoreError::io(db, &e)),
    }
}

/// Opens for a process that runs turns. The caller repairs what is to be repaired, then calls [`Presence::share`].
pub(super) fn open(path: &Path) -> Result<Opened, StoreError> {
    let path = prepare(path)?;
    let (presence, sole) = Presence::take(&path)?;
    let (mut conn, found) = connect(&path)?;
    let upgraded = match found {
        1..SCHEMA if sole => Some(upgrade::upgrade(&mut conn, &path, found).map_err(|e| e.at(&path))?),
        1..SCHEMA => return Err(upgrade::older_lives(&path, found)),
        _ => None,
    };
    keep_temporaries_in_memory(&conn).map_err(|e| e.at(&path))?;
    Ok(Opened { conn, path, sole, created: found == 0, upgraded, presence: Some(presence), process: None })
}

/// Opens for a process that only looks or enqueues.
pub(super) fn visit(path: &Path) -> Result<Opened, StoreError> {
    let path = prepare(path)?;
    let (mut conn, found) = connect(&path)?;
    let upgraded = match found {
        1..SCHEMA => upgrade::upgrade_alone(&mut conn, &path).map_err(|e| e.at(&path))?,
        _ => None,
    };
    keep_temporaries_in_memory(&conn).map_err(|e| e.at(&path))?;
    leases::write_as(&conn, leases::VISITOR, &Identity::of_this()).map_err(|e| e.at(&path))?;
    Ok(Opened { conn, path, sole: false, created: found == 0, upgraded, presence: None, process: None })
}

/// What SQLite sets aside within an operation goes to memory, not to temporary files: what a savepoint would need to undo it, and
/// what RETURNING gives, which is an answer's text once more (`max_answer_bytes`). Behind an upgrade, whose new indexes are sorted on the
/// disk; before there is anything temporary, for this drops it.
fn keep_temporaries_in_memory(conn: &Connection) -> Result<(), StoreError> {
    Ok(conn.pragma_update(None, "temp_store", "memory")?)
}

/// The read-only connection beside the writer's, which must stand already.
pub(super) fn reader(path: &Path) -> Result<Connection, StoreError> {
    let at = |e: rusqlite::Error| StoreError::from(e).at(path);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags).map_err(at)?;
    conn.busy_timeout(BUSY_TIMEOUT).map_err(at)?;
    conn.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
    conn.pragma_update(None, "query_only", true).map_err(at)?;
    Ok(conn)
}

/// Makes the folders and the file, so that SQLite finds a file of the right mode (its journals take the file's mode).
fn prepare(path: &Path) -> Result<PathBuf, StoreError> {
    // Absolute: `:memory:` is a file's name here, and a later change of folder changes nothing.
    let path = std::path::absolute(path).map_err(|e| StoreError::io(path, &e))?;
    let folder = path.parent().filter(|_| path.file_name().is_some());
    let Some(folder) = folder else { return Err(StoreError::unusable(&path, Trouble::NotAFile)) };
    create_folders(folder).map_err(|e| unwritable_folder(&path, &e))?;
    may_be_written(&path)?;
    create(&path, &path)?;
    // Where it is, whatever links lead there: its journals, its lock and its copies stand beside it.
    let path = fs::canonicalize(&path).map_err(|e| StoreError::io(&path, &e))?;
    has_one_name(&path)?;
    Ok(path)
}

/// Refuses a file that has another name, a hard link: who opens it there keeps another journal and another lock beside it, and
/// neither sees what the other writes. One that gets another name while it is open goes on: nobody can open it there.
pub(super) fn has_one_name(path: &Path) -> Result<(), StoreError> {
    match names_of(path) {
        0 | 1 => Ok(()),
        names => Err(StoreError::unusable(path, Trouble::OtherNames(names - 1))),
    }
}

/// How many names the file has; none where it cannot be looked at.
fn names_of(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |meta| meta.nlink())
}

/// Whether the file (if there is one) and its folder may be written, as their modes say.
pub(super) fn may_be_written(path: &Path) -> Result<(), StoreError> {
    let io = |e: std::io::Error| StoreError::io(path, &e);
    match fs::metadata(path) {
        Ok(meta) if !meta.is_file() => return Err(StoreError::unusable(path, Trouble::NotAFile)),
        // Root could write it all the same; who took the bits away did not mean that.
        Ok(meta) if meta.permissions().mode() & WRITE_BITS == 0 => {
            return Err(StoreError::unusable(path, Trouble::ReadOnly));
        }
        Ok(_) => {}
        Err(e) if e.kind() == ErrorKind::NotFound => {}
        Err(e) => return Err(io(e)),
    }
    let folder = path.parent().unwrap_or(path);
    if fs::metadata(folder).map_err(io)?.permissions().mode() & WRITE_BITS == 0 {
        return Err(StoreError::unusable(path, Trouble::FolderReadOnly));
    }
    Ok(())
}

/// Makes the missing ones of `folder` and its parents; what exists keeps its mode.
pub(super) fn create_folders(folder: &Path) -> std::io::Result<()> {
    if folder.exists() {
        return Ok(());
    }
    if let Some(parent) = folder.parent() {
        create_folders(parent)?;
    }
    match DirBuilder::new().mode(FOLDER_MODE).create(folder) {
        // A umask may have taken bits that the owner needs.
        Ok(()) => fs::set_permissions(folder, Permissions::from_mode(FOLDER_MODE)),
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(e) => Err(e),
    }
}

/// Opens `path` for writing, or makes it with [`FILE_MODE`] under any umask. It is the database `db`, or stands beside it.
pub(super) fn create(path: &Path, db: &Path) -> Result<File, StoreError> {
    let io = |e: std::io::Error| StoreError::io(path, &e);
    match OpenOptions::new().read(true).write(true).create_new(true).mode(FILE_MODE).open(path) {
        Ok(file) => {
            file.set_permissions(Permissions::from_mode(FILE_MODE)).map_err(io)?;
            Ok(file)
        }
        // Through a dangling link the file is made where the link points.
        Err(e) if e.kind() == ErrorKind::AlreadyExists => {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false).mode(FILE_MODE).open(path).map_err(io)
        }
        Err(e) => Err(unwritable_folder(db, &e)),
    }
}

/// A refusal to make something in the database's folder.
fn unwritable_folder(db: &Path, error: &std::io::Error) -> StoreError {
    match error.kind() {
        ErrorKind::PermissionDenied => StoreError::unusable(db, Trouble::FolderReadOnly),
        _ => StoreError::io(db, error),
    }
}

/// The file beside `path` whose name is that and more.
pub(super) fn sibling(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Opens the writer's connection and makes the schema in an empty file; the schema that was found, 0 for none. Tried again while
/// another process does the same: switching to WAL answers "busy" at once, without waiting.
fn connect(path: &Path) -> Result<(Connection, i64), StoreError> {
    let began = Instant::now();
    loop {
        match try_connect(path).map_err(|e| e.at(path)) {
            Err(e) if e.is_busy() && began.elapsed() < BUSY_TIMEOUT => thread::sleep(LOCK_PAUSE),
            outcome => return outcome,
        }
    }
}

/// A transaction waits for another process's, [`BUSY_TIMEOUT`] in all. SQLite's own waits get longer with each look, up to 100 ms, so of
/// several who write often one may wait for long; short looks are nearly fair.
pub(super) fn wait_for_others(conn: &Connection) -> Result<(), StoreError> {
    Ok(conn.busy_handler(Some(|looks| {
        let (pause, longer) = (Duration::from_millis(1), Duration::from_millis(5));
        let soon = 200;
        thread::sleep(if looks < soon { pause } else { longer });
        longer * u32::try_from(looks - soon).unwrap_or(0) < BUSY_TIMEOUT
    }))?)
}

fn try_connect(path: &Path) -> Result<(Connection, i64), StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut conn = Connection::open_with_flags(path, flags)?;
    wait_for_others(&conn)?;
    conn.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
    conn.set_transaction_behavior(TransactionBehavior::Immediate);
    // Before the first write: a file that is not ours stays as it is, its journal mode too.
    let version = version(&conn, path)?;
    foreign::refuse(&conn, path)?;
    let mode: String = conn.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
    if mode != "wal" {
        return Err(StoreError::unusable(path, Trouble::Io("its file system has no write-ahead log".to_owned())));
    }
    conn.pragma_update(None, "synchronous", "full")?;
    conn.pragma_update(None, "foreign_keys", true)?;
    conn.pragma_update(None, "trusted_schema", false)?;
    conn.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    conn.pragma_update(None, "journal_size_limit", JOURNAL_BYTES)?;
    if version == 0 {
        upgrade::migrate(&mut conn, path)?;
    }
    Ok((conn, version))
}

/// The schema's version: 0 for an empty file.
pub(super) fn version(conn: &Connection, path: &Path) -> Result<i64, StoreError> {
    let pragma = |name: &str| conn.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    // One snapshot: another process may be migrating.
    let snapshot = rusqlite::Transaction::new_unchecked(conn, TransactionBehavior::Deferred)?;
    let tables: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let (application, version) = (pragma("application_id")?, pragma("user_version")?);
    drop(snapshot);
    match (application, tables) {
        (0, 0) if version == 0 => Ok(0),
        (APPLICATION_ID, 1..) if version > SCHEMA => {
            Err(StoreError::unusable(path, Trouble::Newer { found: version, known: SCHEMA }))
        }
        (APPLICATION_ID, 1..) if version > 0 => Ok(version),
        _ => Err(StoreError::unusable(path, Trouble::Foreign)),
    }
}
