//! What can go wrong with the store, in types where a caller branches and in words for the person who has to mend it.

use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;
use thiserror::Error;

use crate::domain::attachment::MAX_ATTACHED_FILES;
use crate::domain::limits::MAX_MESSAGE_BYTES;
use crate::domain::{EntryId, EntryState, MessageId, SessionName, SessionRef};

/// A failure of the store. Cloned to every sender of a transaction that could not be committed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StoreError {
    /// The database as such: exit code 3 when it happens at start.
    #[error("the database {}{trouble}", shown(path))]
    Unusable {
        /// The file; empty while the layer that knows it has not said so.
        path: PathBuf,
        /// What is the matter with it.
        trouble: Trouble,
    },
    /// No session of that number or name.
    #[error("there is no session {0}: /sessions lists them")]
    NoSession(SessionRef),
    /// No entry of that number.
    #[error("there is no entry #{0}: /queue lists them")]
    NoEntry(EntryId),
    /// No message of that number: its session was deleted meanwhile.
    #[error("there is no message {0}: its session is gone")]
    NoMessage(MessageId),
    /// Names are unique among all sessions, archived ones included.
    #[error("a session named {0} exists (perhaps an archived one): choose another name")]
    NameTaken(SessionName),
    /// The session has a turn under way, perhaps in another process.
    #[error("session {0} has a turn under way")]
    TurnRunning(crate::domain::SessionId),
    /// Another process has the lease of the session, or has taken it over.
    #[error("another chatmux answers in session {0}")]
    Leased(crate::domain::SessionId),
    /// Another process has changed the session since it was looked at.
    #[error("another chatmux has changed session {0}")]
    Changed(crate::domain::SessionId),
    /// Something was set aside in the session, and has its turn first.
    #[error("what was set aside in session {0} comes first")]
    SetAside(crate::domain::SessionId),
    /// The entry is not in the state that the operation needs.
    #[error("entry #{entry} is {found}, not {expected}")]
    WrongState {
        /// Which entry.
        entry: EntryId,
        /// Its state.
        found: EntryState,
        /// The state that was needed.
        expected: EntryState,
    },
    /// An entry is moved within its session only.
    #[error("#{entry} and #{beside} are of different sessions: an entry is moved within its own")]
    OtherSession {
        /// The entry to be moved.
        entry: EntryId,
        /// The one it was to stand next to.
        beside: EntryId,
    },
    /// Chunks came for an answer that has ended, or a turn was to end with an answer that is not its own.
    #[error("message {0} is no answer under way")]
    NotStreaming(MessageId),
    /// A message with what is attached to it would be longer than any may be; in bytes.
    #[error(
        "{} with what is attached is too long: the limit is {} MiB; /attach off drops what is attached",
        mib(*.0),
        MAX_MESSAGE_BYTES >> 20
    )]
    TooLong(usize),
    /// More files than may be attached at once.
    #[error("{0} files would be attached, and {MAX_ATTACHED_FILES} may be: /attach off drops what is attached")]
    TooMany(usize),
    /// The store was closed, or its thread is gone.
    #[error("the database is closed")]
    Closed,
}

/// What is the matter with a database.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Trouble {
    /// Its schema is younger than this program.
    #[error(
        "was written by a newer chatmux (schema {found}, this one knows {known}): upgrade chatmux, or use another with --db"
    )]
    Newer {
        /// The file's `user_version`.
        found: i64,
        /// The last one known here.
        known: i64,
    },
    /// Its schema is older, and a chatmux that knows no other has it open.
    #[error(
        "is still open in an older chatmux (schema {found}, this one needs {known}): end that one, and start this one again"
    )]
    OlderLives {
        /// The file's `user_version`.
        found: i64,
        /// What it would be upgraded to.
        known: i64,
    },
    /// Its schema is older, and no copy of it could be made before the upgrade.
    #[error(
        "was not upgraded (schema {found}, this chatmux needs {known}): its backup could not be written beside it, for {why}; nothing was changed"
    )]
    NoBackup {
        /// The file's `user_version`.
        found: i64,
        /// What it would be upgraded to.
        known: i64,
        /// What was in the way, and the remedy.
        why: String,
    },
    /// There is none, where one is only looked at.
    #[error("does not exist or is empty: chatmux makes it when it starts; name another with --db")]
    Missing,
    /// Its schema is older, and where it is nothing can be written, so that it is not upgraded.
    #[error(
        "has an older schema ({found}, this chatmux needs {known}) and cannot be upgraded, for nothing can be written there: \
         copy it and its -wal to a folder that can be written, and name the copy with --db"
    )]
    OlderReadOnly {
        /// The file's `user_version`.
        found: i64,
        /// What it would be upgraded to.
        known: i64,
    },
    /// It is not SQLite, or the first bytes of it are damaged.
    #[error(
        "is not a database, or its first bytes are damaged: restore it from a backup, save what can be read of it \
         (chatmux db salvage FILE NEW), or use another with --db"
    )]
    NotADatabase,
    /// It is SQLite, but somebody else's.
    #[error("belongs to another program: use another file with --db")]
    Foreign,
    /// It has more names, hard links, under which another chatmux could open it: how many.
    #[error(
        "has {} (a hard link): two that use it under two names would lose what the other writes; \
         remove the other (find FOLDER -xdev -samefile FILE), or make it a symbolic link (ln -s)",
        if *.0 == 1 { "another name".to_owned() } else { format!("{} other names", .0) }
    )]
    OtherNames(u64),
    /// The file cannot be written.
    #[error("cannot be written: make it writable (chmod u+w), or use another with --db")]
    ReadOnly,
    /// Its folder cannot be written, where the journal has to stand.
    #[error("cannot be used, for its folder cannot be written: make it writable (chmod u+w), or use another with --db")]
    FolderReadOnly,
    /// It is a folder, or something else that is no file.
    #[error("is not a file: name a file with --db")]
    NotAFile,
    /// Its file system is mounted read-only, perhaps since an error.
    #[error("is on a file system that is read-only: mount it writable; what was acknowledged is kept")]
    ReadOnlySystem,
    /// No space, or a limit is reached.
    #[error(
        "cannot grow: free some space on its disk, or raise the limit (quota, ulimit -f); what was acknowledged is kept"
    )]
    Full,
    /// Its files were removed or replaced while it was open, and what is open could not be saved yet, for this reason.
    #[error("{0} while chatmux used it, and what is open could not be saved yet ({1}); it is tried again every 2 s")]
    Unsaved(Loss, String),
    /// Its files were removed or replaced while it was open. Nothing more is written.
    #[error("{0}")]
    Lost(Box<LostFiles>),
    /// Damaged.
    #[error(
        "is damaged ({0}): restore it from a backup, save what can be read of it (chatmux db salvage FILE NEW), \
         or use another with --db"
    )]
    Corrupt(String),
    /// Its schema holds what no migration made and SQLite would run: what, and the remedy where there is one besides salvage.
    #[error("has {0}save what can be read of it without that: chatmux db salvage FILE NEW")]
    ForeignObjects(String),
    /// Another program kept it to itself for longer than [`BUSY_TIMEOUT`](super::BUSY_TIMEOUT).
    #[error("is kept busy by another program: end that one, or use another with --db")]
    Busy,
    /// Others use it, and what was wanted would keep them waiting for too long.
    #[error("is in use, and who uses it cannot be kept waiting for so long: end the other chatmux, and try again")]
    InUse,
    /// The operating system refused.
    #[error("cannot be read or written ({0}): mend that, or use another with --db")]
    Io(String),
    /// Anything else that SQLite says.
    #[error("refused an operation ({0})")]
    Refused(String),
}

/// What is gone of a database that is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Loss {
    /// The database itself, perhaps with its folder.
    #[error("was removed")]
    Removed,
    /// Another file stands at its path.
    #[error("was replaced by another file")]
    Replaced,
    /// Its journal, or the memory that its users share.
    #[error("lost its journal (-wal, -shm)")]
    Journal,
}

/// A database whose files are gone, and what was saved of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostFiles {
    /// What is gone.
    pub loss: Loss,
    /// Where all that was acknowledged is saved, or why it is not.
    pub saved: Result<PathBuf, String>,
    /// Where the database stood.
    pub path: PathBuf,
    /// Its folder is gone too.
    pub without_folder: bool,
}

impl fmt::Display for LostFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { loss, saved, path, without_folder } = self;
        let saved = match saved {
            Ok(saved) => saved,
            Err(why) => {
                write!(f, "{loss} while chatmux used it, and what was open could not be saved ({why})")?;
                return match loss {
                    Loss::Journal => {
                        write!(f, "; what was written before may be in the database itself: chatmux db check says")
                    }
                    Loss::Removed | Loss::Replaced => Ok(()),
                };
            }
        };
        let [copy, db] = [saved.as_path(), path].map(quoted);
        write!(f, "{loss} while chatmux used it; all that was acknowledged is saved in {} ", saved.display())?;
        if *loss == Loss::Journal {
            write!(
                f,
                "(chatmux --db opens it). If another chatmux went on with the database, that is newer: look there first. "
            )?;
            write!(f, "To put the copy in its place, ")?;
        } else {
            write!(f, "(chatmux --db opens it). To put it back, ")?;
        }
        write!(f, "end every chatmux that uses the old one, then: ")?;
        match loss {
            Loss::Removed if *without_folder => {
                let folder = path.parent().map(quoted).unwrap_or_default();
                write!(f, "mkdir -p {folder}; mv -n {copy} {db}")
            }
            // Another chatmux may have begun a new database there, or gone on with this one.
            Loss::Removed | Loss::Replaced | Loss::Journal => {
                write!(
                    f,
                    "for f in {db} {db}-wal {db}-shm; do [ ! -e \"$f\" ] || mv \"$f\" \"$f.old\"; done; mv -n {copy} {db}"
                )
            }
        }
    }
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+,:@%".contains(c);
    if text.chars().all(is_plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

fn mib(bytes: usize) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

/// The path and a blank; nothing while it is not known.
fn shown(path: &Path) -> String {
    if path.as_os_str().is_empty() { String::new() } else { format!("{} ", path.display()) }
}

impl StoreError {
    /// Trouble with the file at `path`.
    pub(super) fn unusable(path: &Path, trouble: Trouble) -> Self {
        Self::Unusable { path: path.to_owned(), trouble }
    }

    /// The operating system's refusal to open or make `path`.
    pub(super) fn io(path: &Path, error: &std::io::Error) -> Self {
        let trouble = match error.kind() {
            ErrorKind::PermissionDenied => Trouble::ReadOnly,
            ErrorKind::IsADirectory => Trouble::NotAFile,
            _ => refusal(error).unwrap_or_else(|| Trouble::Io(error.to_string())),
        };
        Self::unusable(path, trouble)
    }

    /// The same error, naming the file where that was not known yet.
    pub(super) fn at(self, path: &Path) -> Self {
        match self {
            Self::Unusable { path: known, trouble } if known.as_os_str().is_empty() => Self::unusable(path, trouble),
            other => other,
        }
    }

    /// Whether the database as such is at fault, rather than what was asked of it.
    pub const fn is_unusable(&self) -> bool {
        matches!(self, Self::Unusable { .. } | Self::Closed)
    }

    /// Whether the database's files are gone and nothing more is tried: the program has to end.
    pub const fn is_lost(&self) -> bool {
        matches!(self, Self::Unusable { trouble: Trouble::Lost(_), .. })
    }

    /// Whether the database's files are gone: nothing is written any more.
    pub const fn is_gone(&self) -> bool {
        matches!(self, Self::Unusable { trouble: Trouble::Lost(_) | Trouble::Unsaved(..), .. })
    }

    /// Whether the database's files are gone, and all that was acknowledged is saved.
    pub(super) fn is_saved(&self) -> bool {
        matches!(self, Self::Unusable { trouble: Trouble::Lost(lost), .. } if lost.saved.is_ok())
    }

    /// Whether another program's lock was in the way.
    pub(super) const fn is_busy(&self) -> bool {
        matches!(self, Self::Unusable { trouble: Trouble::Busy, .. })
    }
}

/// A write that the operating system refused for a reason that has a remedy of its own.
fn refusal(error: &std::io::Error) -> Option<Trouble> {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => Some(Trouble::Full),
        ErrorKind::ReadOnlyFilesystem => Some(Trouble::ReadOnlySystem),
        _ => None,
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::Error as Sql;
        let trouble = match &error {
            Sql::SqliteFailure(code, _) | Sql::SqlInputError { error: code, .. } => match code.code {
                ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Trouble::Busy,
                ErrorCode::ReadOnly => Trouble::ReadOnly,
                ErrorCode::DiskFull => Trouble::Full,
                ErrorCode::NotADatabase => Trouble::NotADatabase,
                ErrorCode::DatabaseCorrupt => Trouble::Corrupt(error.to_string()),
                // SQLite has one word for all refused writes but those of a full disk. Why is what the system said last on this
                // thread, which is the writer's or the reader's; other words of it are not believed.
                ErrorCode::CannotOpen | ErrorCode::SystemIoFailure | ErrorCode::PermissionDenied => {
                    refusal(&std::io::Error::last_os_error()).unwrap_or_else(|| Trouble::Io(error.to_string()))
                }
                // The foreign enum may grow; what is unknown keeps SQLite's own words.
                _ => Trouble::Refused(error.to_string()),
            },
            Sql::FromSqlConversionFailure(..) | Sql::InvalidColumnType(..) | Sql::IntegralValueOutOfRange(..) => {
                Trouble::Corrupt(error.to_string())
            }
            _ => Trouble::Refused(error.to_string()),
        };
        Self::Unusable { path: PathBuf::new(), trouble }
    }
}
