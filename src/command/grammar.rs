//! From words to a typed [`Command`]: clap reads the arguments of the one command that the line names, as the table defines
//! them. What clap has to say is turned into our own messages of one line; its own never reach a person.

use std::error::Error;

use clap::builder::ValueParser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgAction, ArgMatches, value_parser};

use super::error::{CommandError, UnknownCommand, shown};
use super::kinds::{Command, Place, Scope, SubjectWord, SwitchTo, Targets};
use super::scan::{Scan, Slot};
use super::settings::{AttachChange, SetChange};
use super::table::{Arg, Arity, Kind, Spec, find};
use crate::domain::time::parse_duration;
use crate::domain::{BadName, EntryId, ModelName, Priority, SessionName, SessionRef};

/// What parts options and words from TEXT on the way to clap. In a line it has no such meaning.
const END_OF_OPTIONS: &str = "--";

/// Makes the command that `spec` and the scanned arguments say.
pub(super) fn read(spec: &'static Spec, scan: &Scan<'_>) -> Result<Command, CommandError> {
    // One of its own options can be surplus as well, behind thousands of words.
    let is_unknown = |text| spec.flag(text).is_none();
    if let Some(word) = scan.words.iter().find(|word| word.is_stray_option() && is_unknown(word.text)) {
        return Err(no_option(spec, word.text));
    }
    if let Some(word) = scan.words.last().filter(|word| matches!(word.slot, Slot::Surplus)) {
        return Err(CommandError::TooMany { command: spec.name, word: shown(word.text), usage: spec.usage() });
    }
    let text = scan.text.filter(|text| !text.trim().is_empty());
    if let Some(option) = text.and_then(|text| mistyped_option(spec, text)) {
        return Err(no_option(spec, option));
    }
    let words = scan.words.iter().map(|word| word.text);
    let tail = text.into_iter().flat_map(|text| [END_OF_OPTIONS, text]);
    let mut given = clap_command(spec).try_get_matches_from(words.chain(tail)).map_err(|e| explain(spec, &e))?;
    let missing = missing(spec, &given);
    (spec.build)(&mut given).ok_or_else(|| CommandError::Missing {
        command: spec.name,
        what: missing,
        usage: spec.usage(),
    })
}

fn clap_command(spec: &'static Spec) -> clap::Command {
    let command = clap::Command::new(spec.name).no_binary_name(true).disable_help_flag(true).disable_version_flag(true);
    // Nothing is required in clap's eyes: who is missing is told in our words.
    command.args(spec.args.iter().map(|arg| {
        let built = clap::Arg::new(arg.id).value_parser(arg.kind.parser());
        match arg.arity {
            Arity::Required | Arity::Optional => built,
            Arity::Many | Arity::Any => built.num_args(1..).action(ArgAction::Append),
            Arity::Flag => built.long(arg.id),
        }
    }))
}

/// The arguments that are not there and must be, as people call them: `a session and a text`. An optional TEXT is missing where
/// nothing else is: its command asks for it only beside an option.
fn missing(spec: &Spec, given: &ArgMatches) -> String {
    let absent = |arg: &&Arg| !given.contains_id(arg.id);
    let mut nouns: Vec<_> =
        spec.args.iter().filter(absent).filter(|arg| arg.is_required()).map(|arg| arg.kind.noun()).collect();
    if nouns.is_empty() {
        nouns.extend(spec.args.iter().filter(absent).filter(|arg| arg.is_text()).map(|arg| arg.kind.noun()));
    }
    nouns.join(" and ")
}

/// A word at the beginning of TEXT that looks like an option, in a command that has some: `--mx 3 go on` must not be sent over
/// and over.
fn mistyped_option<'a>(spec: &Spec, text: &'a str) -> Option<&'a str> {
    let has_options = spec.args.iter().any(Arg::is_flag);
    let word = text.split_whitespace().next()?;
    let is_option = word.strip_prefix("--")?.starts_with(|c: char| c.is_ascii_alphabetic());
    (has_options && is_option).then_some(word)
}

fn explain(spec: &'static Spec, error: &clap::Error) -> CommandError {
    let named = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(named)) => named.as_str(),
        _ => "an argument",
    };
    let bad = |reason: String| CommandError::Bad { command: spec.name, reason };
    match error.kind() {
        ErrorKind::ValueValidation => {
            let reason = error.source().map_or_else(|| format!("{named} is not understood"), ToString::to_string);
            bad(shown(&reason))
        }
        // A dashed word where an option's value belongs.
        ErrorKind::UnknownArgument => no_option(spec, named),
        // `--timeout` with nothing behind it.
        ErrorKind::InvalidValue => {
            let flag = spec.args.iter().find(|arg| arg.is_flag() && named.contains(arg.id));
            let what =
                flag.map_or_else(|| "a value".to_owned(), |arg| format!("{} behind --{}", arg.kind.noun(), arg.id));
            CommandError::Missing { command: spec.name, what, usage: spec.usage() }
        }
        ErrorKind::ArgumentConflict => {
            let flag = spec.args.iter().find(|arg| arg.is_flag() && named.contains(arg.id));
            bad(flag.map_or_else(|| "an option stands twice".to_owned(), |arg| format!("--{} stands twice", arg.id)))
        }
        // The other kinds cannot come of a command that is defined as above; should one come, its name says enough.
        other => bad(other.to_string()),
    }
}

fn no_option(spec: &Spec, word: &str) -> CommandError {
    CommandError::NoOption { command: spec.name, option: shown(word), usage: spec.usage() }
}

impl Kind {
    /// Reads a value of this kind; the error says why not, in words for people.
    fn parser(self) -> ValueParser {
        match self {
            Self::NewName => value_parser!(SessionName).into(),
            Self::Session => value_parser!(SessionRef).into(),
            Self::SwitchTo => value_parser!(SwitchTo).into(),
            Self::Scope => value_parser!(Scope).into(),
            Self::Targets => value_parser!(Targets).into(),
            Self::Model => value_parser!(ModelName).into(),
            Self::Count => ValueParser::new(count),
            Self::Duration => ValueParser::new(parse_duration),
            Self::Entry => ValueParser::new(entry),
            Self::EntryOrAll => ValueParser::new(entry_or_all),
            Self::SessionOrEntry => ValueParser::new(session_or_entry),
            Self::ScopeOrEntry => ValueParser::new(scope_or_entry),
            Self::Place => value_parser!(Place).into(),
            Self::Priority => value_parser!(Priority).into(),
            Self::Command => ValueParser::new(command_name),
            Self::Setting => value_parser!(SetChange).into(),
            Self::Files => value_parser!(AttachChange).into(),
            Self::Word | Self::Text => ValueParser::string(),
        }
    }

    /// What is missing where there is none.
    const fn noun(self) -> &'static str {
        match self {
            Self::NewName => "a name",
            Self::Session | Self::SwitchTo | Self::Scope | Self::Targets => "a session",
            Self::Model => "a model",
            Self::Count => "a number",
            Self::Duration => "a duration",
            Self::Entry | Self::EntryOrAll => "an entry's number",
            Self::SessionOrEntry | Self::ScopeOrEntry => "a session or an entry",
            Self::Place => "before or after",
            Self::Priority => "a priority",
            Self::Word => "a word",
            Self::Command => "a command",
            Self::Text => "a text",
            Self::Setting => "a key and a value",
            Self::Files => "a file",
        }
    }
}

fn count(word: &str) -> Result<u32, String> {
    let count = word.parse().ok().filter(|count| *count > 0);
    count.ok_or_else(|| format!("{word:?} is no count: write a number from 1 to {}", u32::MAX))
}

fn entry(word: &str) -> Result<EntryId, String> {
    let digits = word.strip_prefix('#').unwrap_or(word);
    let all_digits = digits.bytes().all(|b| b.is_ascii_digit());
    let number = digits.parse().ok().filter(|number| all_digits && *number > 0);
    number.map(EntryId).ok_or_else(|| format!("{word:?} is no entry: write its number, such as 41 or #41"))
}

fn entry_or_all(word: &str) -> Result<Option<EntryId>, String> {
    if word == "all" { Ok(None) } else { entry(word).map(Some) }
}

/// `#` begins an entry's number. A session may still be called `#docs`.
fn entry_word(word: &str) -> Option<Result<SubjectWord, String>> {
    let digits = word.strip_prefix('#')?;
    digits.bytes().all(|b| b.is_ascii_digit()).then(|| entry(word).map(SubjectWord::Entry))
}

fn session_or_entry(word: &str) -> Result<SubjectWord, String> {
    entry_word(word).unwrap_or_else(|| {
        let session: Result<SessionRef, _> = word.parse();
        session.map(|session| SubjectWord::Scope(Scope::One(session))).map_err(|e| e.to_string())
    })
}

fn scope_or_entry(word: &str) -> Result<SubjectWord, String> {
    entry_word(word).unwrap_or_else(|| word.parse().map(SubjectWord::Scope).map_err(|e: BadName| e.to_string()))
}

fn command_name(word: &str) -> Result<&'static str, UnknownCommand> {
    let name = word.strip_prefix('/').unwrap_or(word);
    find(name).map(|spec| spec.name).ok_or_else(|| UnknownCommand::new(name))
}
