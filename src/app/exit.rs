//! Exit codes, and the failures that decide them.

use std::io::Write;

use crate::config::ConfigError;
use crate::domain::text::visible;
use crate::store::{BackupError, StoreError};

/// All well.
pub(super) const OK: u8 = 0;
/// A message failed or a line was wrong.
pub(super) const FAILED: u8 = 1;
/// Bad usage or configuration.
pub(super) const USAGE: u8 = 2;
/// The database cannot be used.
pub(super) const DATABASE: u8 = 3;
/// Ended by a signal: this and its number.
pub(super) const SIGNAL: u8 = 128;

/// Why the program could not do its work.
#[derive(Debug)]
pub(super) enum Failed {
    /// The configuration, or an argument.
    Usage(String),
    /// The database.
    Database(StoreError),
    /// A backup of the database could not be made.
    Backup(String),
    /// Anything else.
    Other(anyhow::Error),
}

impl Failed {
    /// Says it on stderr; the exit code.
    pub(super) fn tell(&self) -> u8 {
        let (text, code) = match self {
            Self::Usage(text) => (text.clone(), USAGE),
            Self::Database(error) => (error.to_string(), DATABASE),
            Self::Backup(text) => (text.clone(), DATABASE),
            Self::Other(error) => (format!("{error:#}"), FAILED),
        };
        // A closed stderr is no reason to fail in another way.
        let _ = writeln!(std::io::stderr(), "chatmux: {}", visible(&text));
        code
    }
}

impl From<ConfigError> for Failed {
    fn from(error: ConfigError) -> Self {
        Self::Usage(error.to_string())
    }
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Self::Database(error)
    }
}

impl From<BackupError> for Failed {
    fn from(error: BackupError) -> Self {
        match error {
            BackupError::Database(error) => Self::Database(error),
            BackupError::Unwritable { .. } | BackupError::Nothing(_) => Self::Backup(error.to_string()),
            BackupError::Exists(_) | BackupError::Own(_) | BackupError::NotAFile(_) => Self::Usage(error.to_string()),
        }
    }
}

impl From<anyhow::Error> for Failed {
    fn from(error: anyhow::Error) -> Self {
        Self::Other(error)
    }
}
