//! What can be wrong with a configuration, said so that it can be mended: the file, the line, the column, the remedy.
//! The command line (above) prints these and ends with code 2.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::trust::Distrust;

/// Problems of one file that are told at once; a file that has more is probably not a configuration.
pub const MAX_PROBLEMS: usize = 10;

/// A problem at a place of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is wrong there and what was expected. Never holds a key.
    pub text: String,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file that was asked for is not there.
    #[error("{}: no such file; `chatmux config init` writes one", .0.display())]
    Missing(PathBuf),
    /// The file cannot be read.
    #[error("{}: cannot be read: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: io::Error,
    },
    /// It is no file.
    #[error("{}: is a directory; name the file in it", .0.display())]
    Directory(PathBuf),
    /// It is larger than [`super::MAX_FILE_BYTES`].
    #[error("{}: is larger than 1 MiB, which no configuration is", .0.display())]
    TooLarge(PathBuf),
    /// It has a command to run, and others can change it.
    #[error("{}: has an api_key_command, which is not run from a file that others can change: {}", path.display(), why.text(path))]
    Untrusted {
        /// The file.
        path: PathBuf,
        /// Who can.
        why: Distrust,
    },
    /// What is in it is wrong: [`MAX_PROBLEMS`] at most, in the order of the file.
    #[error("{}", Listed(path, problems))]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong in it; never empty.
        problems: Vec<Problem>,
    },
    /// An environment variable is wrong.
    #[error("{variable}: {text}")]
    Environment {
        /// The variable.
        variable: &'static str,
        /// What is wrong with it.
        text: String,
    },
    /// A model that the configuration does not lead to.
    #[error("{0}")]
    Model(String),
    /// The platform names no folder for the user's files.
    #[error("no home directory is known: set HOME or give {0}")]
    NoHome(&'static str),
    /// `config init` never overwrites.
    #[error("{}: exists already and is left as it is; move it away first", .0.display())]
    Exists(PathBuf),
    /// `config init` could not write.
    #[error("{}: cannot be written: {reason}", path.display())]
    Unwritable {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        reason: io::Error,
    },
}

struct Listed<'a>(&'a PathBuf, &'a [Problem]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, Problem { line, column, text }) in self.1.iter().enumerate() {
            let separator = if nth > 0 { "\n" } else { "" };
            write!(f, "{separator}{}:{line}:{column}: {text}", self.0.display())?;
        }
        Ok(())
    }
}
