//! From words to a typed [`Command`]: clap reads the arguments of the one command that the line names, as the table defines
//! them. What clap has to say is turned into our own messages of one line; its own never reach a person.

use std::error::Error;

use clap::builder::ValueParser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgAction, ArgMatches, value_parser};

use super::error::{CommandError, UnknownCommand, shown};
use super::kinds::{Command, Scope, SwitchTo, Targets};
use super::scan::{Scan, Slot};
use super::table::{Arity, Kind, Spec, find};
use crate::domain::time::parse_duration;
use crate::domain::{EntryId, ModelName, SessionName, SessionRef};

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
            Arity::Many => built.num_args(1..).action(ArgAction::Append),
            Arity::Flag => built.long(arg.id),
        }
    }))
}

/// The required arguments that are not there, as people call them: `a session and a text`.
fn missing(spec: &Spec, given: &ArgMatches) -> String {
    let absent = spec.args.iter().filter(|arg| arg.is_required() && !given.contains_id(arg.id));
    absent.map(|arg| arg.kind.noun()).collect::<Vec<_>>().join(" and ")
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
            Self::Command => ValueParser::new(command_name),
            Self::Text => ValueParser::string(),
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
            Self::Entry => "an entry's number",
            Self::Command => "a command",
            Self::Text => "a text",
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

fn command_name(word: &str) -> Result<&'static str, UnknownCommand> {
    let name = word.strip_prefix('/').unwrap_or(word);
    find(name).map(|spec| spec.name).ok_or_else(|| UnknownCommand::new(name))
}
