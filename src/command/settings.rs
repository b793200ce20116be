//! What `/set` and `/attach` take: a text of a form of its own, read here, and completed here so that both mean the same.

use std::str::FromStr;

use super::table::{Kind, Spec, optional};
use super::{Command, Completion, Wanted};
use crate::domain::attachment::MAX_ATTACHED_FILES;
use crate::domain::text::one_line;
use crate::domain::{Alert, ModelName, Notify, Reasoning, Render};

use super::kinds::SystemChange;
use super::table::get;

/// What takes the files back, where it stands alone.
const NO_FILES: [&str; 2] = ["off", "-"];
/// Characters of a wrong word that an error repeats.
const MAX_WORD_CHARS: usize = 40;

/// The rows of the table.
pub(super) static SETTINGS: &[Spec] = &[
    Spec {
        name: "model",
        args: &[optional("name", "NAME", Kind::Model)],
        help: "show or set this session's model",
        detail: "a NAME is PROVIDER:MODEL, or PROVIDER for its default model, such as demo:tour",
        build: |given| Some(Command::Model { name: get::<ModelName>(given, "name") }),
    },
    Spec {
        name: "system",
        args: &[optional("text", "TEXT", Kind::Text)],
        help: "show or set this session's system prompt",
        detail: "/system - clears it",
        build: |given| {
            let change = match get::<String>(given, "text") {
                None => SystemChange::Show,
                Some(text) if text.trim() == "-" => SystemChange::Clear,
                Some(text) => SystemChange::Set(text),
            };
            Some(Command::System { change })
        },
    },
    Spec {
        name: "set",
        args: &[optional("change", "KEY VALUE", Kind::Setting)],
        help: "show the settings, or change one",
        detail: "notify is of this session and is kept: which lines its turns print while one looks elsewhere; reasoning, render and \
                 alert are for this prompt until chatmux ends, the configuration is the lasting place",
        build: |given| Some(Command::Set { change: get(given, "change").unwrap_or(SetChange::Show) }),
    },
    Spec {
        name: "attach",
        args: &[optional("files", "FILE…|off", Kind::Files)],
        help: "send files along with the next message; off drops them",
        detail: "text files; a blank in a name is written as \\ and a blank, or the name stands in quotes; alone it lists what is \
                 attached",
        build: |given| Some(Command::Attach { change: get(given, "files").unwrap_or(AttachChange::Show) }),
    },
];

/// What `/set` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetChange {
    /// `/set`: show all.
    Show,
    /// Which lines the active session tells while it is in the background; `None`: as the configuration says.
    Notify(Option<Notify>),
    /// What becomes of reasoning.
    Reasoning(Reasoning),
    /// How answers are drawn.
    Render(Render),
    /// How a person who looks elsewhere is told.
    Alert(Alert),
}

/// What `/attach` does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttachChange {
    /// `/attach`: list what is attached.
    Show,
    /// `/attach off`, `/attach -`: attach nothing any more.
    Off,
    /// These files, as they were named, at least one and at most [`MAX_ATTACHED_FILES`].
    Files(Vec<String>),
}

/// Text that is no change of a setting, or names no files.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadChange(String);

/// The word that takes back what a session was given of its own.
pub const DEFAULT: &str = "default";

/// The keys of `/set`, in the order in which they are listed.
pub const KEYS: &[&str] = &["notify", "reasoning", "render", "alert"];

/// What a key may be set to; nothing for what is no key.
pub fn values(key: &str) -> &'static [&'static str] {
    match key {
        "notify" => &["all", "done", "fail", "none", DEFAULT],
        "reasoning" => &["dim", "hide", "show"],
        "render" => &["markdown", "plain"],
        "alert" => &["none", "bell", "osc9", "osc777"],
        _ => &[],
    }
}

impl FromStr for SetChange {
    type Err = BadChange;

    fn from_str(text: &str) -> Result<Self, BadChange> {
        let mut words = text.split_whitespace();
        let (Some(key), value) = (words.next(), words.next()) else { return Ok(Self::Show) };
        let known = values(key);
        if known.is_empty() {
            let near = nearest(key, KEYS).map_or_else(|| format!("there are {}", KEYS.join(", ")), did_you_mean);
            return Err(BadChange(format!("unknown key {:?}: {near}", one_line(key, MAX_WORD_CHARS))));
        }
        let one_of = format!("{key} is one of {}", known.join(", "));
        let Some(value) = value else { return Err(BadChange(format!("{one_of}: /set alone shows what it is"))) };
        if let Some(surplus) = words.next() {
            return Err(BadChange(format!("there is no place for {:?}: {one_of}", one_line(surplus, MAX_WORD_CHARS))));
        }
        let change = match key {
            "notify" if value == DEFAULT => Some(Self::Notify(None)),
            "notify" => value.parse().ok().map(|notify| Self::Notify(Some(notify))),
            "reasoning" => value.parse().ok().map(Self::Reasoning),
            "render" => value.parse().ok().map(Self::Render),
            _ => value.parse().ok().map(Self::Alert),
        };
        change.ok_or_else(|| {
            let near = nearest(value, known).map(|near| format!("; {}", did_you_mean(near))).unwrap_or_default();
            BadChange(format!("{one_of}, not {:?}{near}", one_line(value, MAX_WORD_CHARS)))
        })
    }
}

fn did_you_mean(near: &str) -> String {
    format!("did you mean {near}?")
}

/// The word that was probably meant: by slips of the finger, one in three letters at most, or else by its beginning.
fn nearest(word: &str, known: &[&'static str]) -> Option<&'static str> {
    if word.len() > MAX_WORD_CHARS {
        return None;
    }
    let slips = (word.chars().count() / 3).max(1);
    let distance = |known: &str| strsim::damerau_levenshtein(word, known);
    let slip = known.iter().map(|known| (distance(known), *known)).filter(|(slip, _)| *slip <= slips).min();
    slip.map(|(_, known)| known).or_else(|| known.iter().copied().find(|known| known.starts_with(word)))
}

impl FromStr for AttachChange {
    type Err = BadChange;

    fn from_str(text: &str) -> Result<Self, BadChange> {
        if NO_FILES.contains(&text.trim()) {
            return Ok(Self::Off);
        }
        let mut files = Vec::new();
        for word in words(text) {
            if let Some(quote) = word.open {
                return Err(BadChange(format!("the {quote} is not closed: in a name it is written \\{quote}")));
            }
            if files.len() == MAX_ATTACHED_FILES {
                return Err(BadChange(format!("{MAX_ATTACHED_FILES} files at once is the limit")));
            }
            if !files.contains(&word.name) {
                files.push(word.name);
            }
        }
        Ok(if files.is_empty() { Self::Show } else { Self::Files(files) })
    }
}

/// A file's name as it is written.
struct Word {
    /// Where it begins, in bytes.
    start: usize,
    /// What is meant.
    name: String,
    /// A quote that nothing closes.
    open: Option<char>,
}

/// Names with blanks between them. A `\` takes the next character as it is; so do quotes with what is in them, but that in
/// double ones `\` keeps its meaning.
fn words(text: &str) -> impl Iterator<Item = Word> {
    let mut chars = text.char_indices().peekable();
    std::iter::from_fn(move || {
        while chars.next_if(|(_, c)| c.is_whitespace()).is_some() {}
        let start = chars.peek()?.0;
        let (mut name, mut open) = (String::new(), None);
        while let Some((_, c)) = chars.next_if(|(_, c)| open.is_some() || !c.is_whitespace()) {
            match (open, c) {
                (Some(quote), c) if c == quote => open = None,
                // At the end of the line nothing follows it yet.
                (None | Some('"'), '\\') => name.extend(chars.next().map(|(_, c)| c)),
                (None, '"' | '\'') => open = Some(c),
                (_, c) => name.push(c),
            }
        }
        Some(Word { start, name, open })
    })
}

/// What a file's name as it is written means, quotes closed or not.
pub fn file_name(written: &str) -> String {
    words(written).next().map(|word| word.name).unwrap_or_default()
}

/// A file's name as it is to be written.
pub fn written_file_name(name: &str) -> String {
    let mut written = String::with_capacity(name.len());
    if NO_FILES.contains(&name) {
        written.push('\\');
    }
    for c in name.chars() {
        if c.is_whitespace() || matches!(c, '\\' | '"' | '\'') {
            written.push('\\');
        }
        written.push(c);
    }
    written
}

/// Files that a message names: words that begin with `@`, without it. Where a sentence goes on behind a name, both are there: as
/// it stands, and without the signs at its end.
pub fn mentioned(text: &str) -> impl Iterator<Item = (String, String)> {
    let pairs = words_of_message(text).filter_map(|(_, word)| word.strip_prefix('@').map(file_name));
    pairs.filter(|name| !name.is_empty()).map(|name| {
        let bare = name.trim_end_matches(['.', ',', ';', ':', '!', '?', ')', ']', '}', '>', '\'', '"', '`']).to_owned();
        (name, bare)
    })
}

/// The words of a message, each with where it begins. Of its signs only `\` before a blank is more than a letter.
fn words_of_message(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        at = text.len() - text[at..].trim_start().len();
        let (start, mut escaped) = (at, false);
        for c in text[start..].chars() {
            if c.is_whitespace() && !escaped {
                break;
            }
            escaped = c == '\\' && !escaped;
            at += c.len_utf8();
        }
        (at > start).then(|| (start, &text[start..at]))
    })
}

/// What stands at the end of `text`, the argument of a command that takes a [`Kind::Setting`] or [`Kind::Files`], may become.
/// `begin` is where the text begins in its line.
pub(super) fn complete(kind: Kind, text: &str, begin: usize) -> Option<Completion> {
    let word = |at: usize, what| Completion { start: begin + at, what, prefix: text[at..].to_owned() };
    if kind == Kind::Files {
        let last = words(text).last().map_or(0, |word| word.start);
        // A blank at the end parts words, unless it belongs to one.
        let is_open = words(&format!("{text}x")).last().is_none_or(|word| word.start == last);
        let at = if is_open && !text.trim().is_empty() { last } else { text.len() };
        return Some(word(at, Wanted::File));
    }
    let at = text
        .rfind(char::is_whitespace)
        .map_or(0, |blank| blank + text[blank..].chars().next().map_or(0, char::len_utf8));
    let before: Vec<&str> = text[..at].split_whitespace().collect();
    match before.as_slice() {
        [] => Some(word(at, Wanted::Word(KEYS))),
        [key] if !values(key).is_empty() => Some(word(at, Wanted::Word(values(key)))),
        _ => None,
    }
}

/// The file behind an `@` at the end of `text`; `begin` is where the text begins in its line.
pub(super) fn complete_mention(text: &str, begin: usize) -> Option<Completion> {
    let (start, word) = words_of_message(text).last()?;
    let name = word.strip_prefix('@').filter(|_| start + word.len() == text.len())?;
    Some(Completion { start: begin + start + 1, what: Wanted::File, prefix: name.to_owned() })
}

/// What may still follow in a `/set` that is so far `text`.
pub(super) fn hint(text: &str) -> Option<String> {
    let mut words = text.split_whitespace();
    let values = values(words.next()?);
    (words.next().is_none() && !values.is_empty()).then(|| values.join("|"))
}
