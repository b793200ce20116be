//! Cuts a command line into words and TEXT. Parsing and completion share it, so that both mean the same argument.
//!
//! Words are parted by blanks and nothing quotes them. TEXT begins one blank behind the word before it and runs to the end of
//! the line, whatever it holds; only the options that the table has, and only before TEXT, are not part of it.

use super::kinds::MAX_ENTRIES;
use super::table::{Arg, Spec};

/// Bytes of the `/` that a command begins with.
pub(super) const SLASH_BYTES: usize = 1;

/// The beginning of a command line.
pub(super) struct Head<'a> {
    /// What follows the slash up to the first blank; may be empty.
    pub(super) name: &'a str,
    /// Where that blank is, in bytes.
    pub(super) end: usize,
}

impl<'a> Head<'a> {
    /// `None` when the line is a message.
    pub(super) fn of(line: &'a str) -> Option<Self> {
        let rest = line.strip_prefix('/')?;
        if rest.starts_with('/') {
            return None;
        }
        let name = first_word(rest);
        Some(Self { name, end: SLASH_BYTES + name.len() })
    }
}

/// What a word is for.
#[derive(Clone, Copy)]
pub(super) enum Slot {
    /// An argument that stands by its place; [`Word::is_stray_option`] tells a mistyped option from it.
    Place(&'static Arg),
    /// `--name` or `--name=value`.
    Flag(&'static Arg),
    /// The word behind `--name`.
    FlagValue(&'static Arg),
    /// Nothing: it is one too many.
    Surplus,
}

/// A word and where it begins, in bytes of the line.
pub(super) struct Word<'a> {
    pub(super) start: usize,
    pub(super) text: &'a str,
    pub(super) slot: Slot,
}

impl Word<'_> {
    /// Whether the word looks like an option and is none of the command's. A lone `-` is an ordinary word, and no argument's
    /// value begins with one.
    pub(super) fn is_stray_option(&self) -> bool {
        let by_place = matches!(self.slot, Slot::Place(_) | Slot::Surplus);
        by_place && self.text.len() > 1 && self.text.starts_with('-')
    }
}

/// A command's arguments as they stand in the line.
pub(super) struct Scan<'a> {
    /// In their order, at most [`MAX_ENTRIES`] and a surplus one. That one is the last: what follows it is not looked at, so
    /// that a line of megabytes costs nothing.
    pub(super) words: Vec<Word<'a>>,
    /// TEXT, empty when the line ends where it would begin; `None` when the command takes none or lacks a word before it.
    pub(super) text: Option<&'a str>,
    /// What one more word would be for; not told where TEXT is next.
    pub(super) next: Slot,
}

impl<'a> Scan<'a> {
    /// Reads `line` from byte `at` on, where the command's name ended.
    pub(super) fn of(spec: &Spec, line: &'a str, mut at: usize) -> Self {
        let mut words: Vec<Word<'a>> = Vec::new();
        let mut places = spec.args.iter().filter(|arg| !arg.is_flag()).peekable();
        let mut awaited = None;
        // The last word of the argument that repeats.
        let mut before: Option<&str> = None;
        loop {
            let start = line.len() - line[at..].trim_start().len();
            let text = first_word(&line[start..]);
            let slot = if words.len() == MAX_ENTRIES {
                Slot::Surplus
            } else if let Some(flag) = awaited.take() {
                Slot::FlagValue(flag)
            } else if let Some(flag) = spec.flag(text) {
                // A value behind `=` is in the word already.
                awaited = (!text.contains('=')).then_some(flag);
                Slot::Flag(flag)
            } else {
                match places.peek() {
                    Some(arg) if arg.is_text() => {
                        return Self { words, text: Some(behind_blank(&line[at..])), next: Slot::Surplus };
                    }
                    Some(arg) if arg.repeats() => match before.replace(text) {
                        Some(before) if !arg.may_follow(before, text) => Slot::Surplus,
                        Some(_) | None => Slot::Place(arg),
                    },
                    Some(_) | None => places.next().map_or(Slot::Surplus, Slot::Place),
                }
            };
            if text.is_empty() {
                return Self { words, text: None, next: slot };
            }
            words.push(Word { start, text, slot });
            if matches!(slot, Slot::Surplus) {
                return Self { words, text: None, next: slot };
            }
            at = start + text.len();
        }
    }
}

fn first_word(text: &str) -> &str {
    text.split_once(char::is_whitespace).map_or(text, |(word, _)| word)
}

/// Without the one blank that parts TEXT from the word before it. Any further ones belong to TEXT.
fn behind_blank(text: &str) -> &str {
    text.strip_prefix(char::is_whitespace).unwrap_or(text)
}
