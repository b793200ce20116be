//! Slash commands: a line that was typed, or read from a script, becomes a [`Line`] once, here, and is a type from then on.
//!
//! One table (`table.rs`, `queue_rows.rs`, `settings.rs`) says what each command takes, how its help reads and what its arguments complete to; [`parse`],
//! [`help_text`], [`complete`] and [`hint`] all read it, so that they cannot disagree. To add a command: a variant of
//! [`Command`] and a row of the table.
//!
//! This module knows no session, no store and no terminal: it says what is asked for; whoever carries it out finds out
//! whether such a session exists. The prompt and the script reader call it with one line; nothing calls out of it.

mod complete;
mod error;
mod grammar;
mod help;
mod kinds;
mod queue_rows;
#[cfg(test)]
mod queue_tests;
mod scan;
mod settings;
#[cfg(test)]
mod settings_tests;
mod table;
#[cfg(test)]
mod tests;

pub use complete::{Completion, Wanted, command_names, complete, hint};
pub use error::{CommandError, UnknownCommand};
pub use help::{help_for, help_text};
pub use kinds::{
    AutoChange, BadTargets, Command, MAX_ENTRIES, MAX_TARGETS, Place, Requeued, Scope, Subject, SwitchTo, SystemChange,
    Targets,
};

pub use settings::{
    AttachChange, BadChange, DEFAULT, KEYS, SetChange, file_name, mentioned, values, written_file_name,
};

/// One line as it is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// For the model, verbatim. A line that was typed as `//text` is `/text` here.
    Message(String),
    /// For chatmux.
    Command(Command),
    /// Nothing but blanks.
    Blank,
}

/// Reads one line, without its line end; a pasted or block line may have line ends inside.
///
/// A line is a command if and only if the first character that is no blank is `/` and the next one is not `/`: a command with a
/// blank before it, as one types it to keep it out of the history, must not go to a model.
///
/// # Errors
/// A line that begins as a command and is none that can be carried out. It is never taken for a message instead.
pub fn parse(line: &str) -> Result<Line, CommandError> {
    if line.trim().is_empty() {
        return Ok(Line::Blank);
    }
    let command = without_blanks(line);
    let Some(head) = scan::Head::of(command) else {
        // What is no command and begins with `/` begins with `//`: the first one says so and is not part of the message.
        return Ok(Line::Message(line.strip_prefix('/').unwrap_or(line).to_owned()));
    };
    if head.name.is_empty() {
        return Err(CommandError::NoName);
    }
    // `/2` is `/switch 2`: what follows the slash is then the argument.
    let (spec, arguments_at) = if head.name.bytes().all(|b| b.is_ascii_digit()) {
        (table::find("switch"), scan::SLASH_BYTES)
    } else {
        (table::find(head.name), head.end)
    };
    let spec = spec.ok_or_else(|| CommandError::Unknown(UnknownCommand::new(head.name)))?;
    grammar::read(spec, &scan::Scan::of(spec, command, arguments_at)).map(Line::Command)
}

/// The line that means this message: the way back of [`parse`].
pub fn as_line(message: &str) -> String {
    // No line is a message that begins with blanks and one slash.
    let text = if is_command(message) { without_blanks(message) } else { message };
    if text.starts_with('/') { format!("/{text}") } else { text.to_owned() }
}

/// Whether a line is a command rather than a message, be it right or wrong.
pub fn is_command(line: &str) -> bool {
    let line = without_blanks(line);
    line.starts_with('/') && !line.starts_with("//")
}

fn without_blanks(line: &str) -> &str {
    line.trim_start_matches([' ', '\t'])
}
