//! What can be wrong with a command line, each in one line for people, with the remedy.

use std::fmt;

use super::table;
use crate::domain::text::one_line;

/// Characters of a word, or of a reason, that an error repeats; a pasted megabyte is not shown back.
const MAX_SHOWN_CHARS: usize = 160;
/// Characters of an unknown name that an error repeats.
const MAX_NAME_CHARS: usize = 40;
/// Names that an error offers at most.
const MAX_NEAREST: usize = 3;

/// A line that begins as a command and cannot be carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// A slash and nothing, or a blank, behind it.
    #[error("a command's name belongs behind the slash: /help lists them (// sends a slash)")]
    NoName,
    /// No command has that name.
    #[error("{unknown} (//{name} sends it as a message)", unknown = .0, name = .0.name)]
    Unknown(UnknownCommand),
    /// An argument is not there.
    #[error("/{command} needs {what}: {usage}")]
    Missing {
        /// The command's name.
        command: &'static str,
        /// What is missing, as in `a session and a text`.
        what: String,
        /// How the command is written.
        usage: String,
    },
    /// An argument is there and is not understood.
    #[error("/{command}: {reason}")]
    Bad {
        /// The command's name.
        command: &'static str,
        /// Why, and what to write instead.
        reason: String,
    },
    /// A word for which there is no place.
    #[error("/{command} has no place for {word:?}: {usage}")]
    TooMany {
        /// The command's name.
        command: &'static str,
        /// The first such word.
        word: String,
        /// How the command is written.
        usage: String,
    },
    /// A word that begins as an option and is none of the command's.
    #[error("/{command} has no option {option}: {usage}")]
    NoOption {
        /// The command's name.
        command: &'static str,
        /// The word.
        option: String,
        /// How the command is written.
        usage: String,
    },
}

/// A name that no command has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownCommand {
    /// The name without its slash, safe to show, cut when it is long.
    pub name: String,
    /// The commands that may have been meant, in the order of the help; may be empty.
    pub nearest: Vec<&'static str>,
}

impl UnknownCommand {
    pub(super) fn new(name: &str) -> Self {
        Self { name: one_line(name, MAX_NAME_CHARS), nearest: nearest(name) }
    }
}

impl std::error::Error for UnknownCommand {}

impl fmt::Display for UnknownCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown command /{}: ", self.name)?;
        match self.nearest.split_last() {
            None => write!(f, "/help lists them"),
            Some((last, [])) => write!(f, "did you mean /{last}?"),
            Some((last, others)) => write!(f, "did you mean /{} or /{last}?", others.join(", /")),
        }
    }
}

/// The names that are nearest to `name`: by slips of the finger, one in three letters at most, or else as its beginning.
fn nearest(name: &str) -> Vec<&'static str> {
    // Nothing that long is a slip, and the distance takes the product of both lengths.
    if name.chars().count() > MAX_NAME_CHARS {
        return Vec::new();
    }
    let name = name.to_lowercase();
    let slips = (name.chars().count() / 3).max(1);
    let near = |candidate: &'static str| match strsim::damerau_levenshtein(&name, candidate) {
        distance if distance <= slips => Some((distance, candidate)),
        _ if !name.is_empty() && candidate.starts_with(&name) => Some((slips + 1, candidate)),
        _ => None,
    };
    let mut found: Vec<(usize, &str)> = table::all().filter_map(|spec| near(spec.name)).collect();
    let least = found.iter().map(|(distance, _)| *distance).min();
    found.retain(|(distance, _)| Some(*distance) == least);
    found.into_iter().take(MAX_NEAREST).map(|(_, candidate)| candidate).collect()
}

/// What a person wrote (or what quotes it), safe to show and of one line.
pub(super) fn shown(text: &str) -> String {
    one_line(text, MAX_SHOWN_CHARS)
}
