//! Completion and hints as data. The editor asks what may stand at the cursor; who knows sessions, models and files fills it in.

use super::scan::{Head, SLASH_BYTES, Scan, Slot, Word};
use super::settings;
use super::table::{self, Arg, Kind, Spec};

/// What may be completed at the cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// Where the part to replace begins, in bytes of the line; it ends at the cursor.
    pub start: usize,
    /// What may stand there.
    pub what: Wanted,
    /// What is there already, without a leading `/` or `#`.
    pub prefix: String,
}

/// What an argument completes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// A name of [`command_names`].
    Command,
    /// A session's name or number.
    Session,
    /// The same, or `all`.
    SessionOrAll,
    /// A model's name.
    Model,
    /// A file's name; what is there already is as it was written, with quotes and all.
    File,
    /// A queue entry's number.
    Entry,
    /// The same, or `all`.
    EntryOrAll,
    /// One of these.
    Word(&'static [&'static str]),
    /// One of these options, whose names stand here without their dashes.
    Option(Vec<&'static str>),
    /// It is the person's own.
    Nothing,
}

/// Every command's name without its slash, with its line of help, in the order of the help.
pub fn command_names() -> impl Iterator<Item = (&'static str, &'static str)> {
    table::all().map(|spec| (spec.name, spec.help))
}

/// What may be completed in `line` at byte `cursor`; what stands behind the cursor is not looked at. A cursor behind the end,
/// or within a character, counts as the nearest place before.
pub fn complete(line: &str, cursor: usize) -> Completion {
    let typed = &line[..line.floor_char_boundary(cursor)];
    let nothing = Completion { start: typed.len(), what: Wanted::Nothing, prefix: String::new() };
    let Some(head) = Head::of(typed) else { return settings::complete_mention(typed, 0).unwrap_or(nothing) };
    if head.end == typed.len() {
        return Completion { start: SLASH_BYTES, what: Wanted::Command, prefix: head.name.to_owned() };
    }
    let Some(spec) = table::find(head.name) else { return nothing };
    let scan = Scan::of(spec, typed, head.end);
    // Where the line ends with the word before it, that word is the one under the cursor.
    let in_it = |text: &&str| !text.is_empty() || typed.ends_with(char::is_whitespace);
    if let Some((arg, text)) = spec.text().zip(scan.text.filter(in_it)) {
        return in_text(spec, &scan.words, arg, text, typed.len() - text.len()).unwrap_or(nothing);
    }
    // The last word is under the cursor where nothing follows it: no blank, and nothing that was not looked at behind a surplus word.
    let under_cursor = scan.words.last().filter(|word| word.start + word.text.len() == typed.len());
    if let Some(word) = under_cursor
        && (word.is_stray_option() || matches!(word.slot, Slot::Flag(_)) && !word.text.contains('='))
    {
        let before = &scan.words[..scan.words.len() - 1];
        return option(spec, before, word.text, word.start).unwrap_or(nothing);
    }
    let (start, word, slot) = under_cursor.map_or((typed.len(), "", scan.next), |w| (w.start, w.text, w.slot));
    let (what, skipped) = match slot {
        Slot::Place(arg) | Slot::FlagValue(arg) => wanted(arg, word),
        // The value of `--name=value`.
        Slot::Flag(arg) => word.find('=').map_or((Wanted::Nothing, 0), |at| (wanted(arg, "").0, at + 1)),
        Slot::Surplus => (Wanted::Nothing, 0),
    };
    match what {
        Wanted::Nothing => nothing,
        _ => Completion { start: start + skipped, what, prefix: word[skipped..].to_owned() },
    }
}

/// Within the rest of the line, which begins at byte `begin`.
fn in_text(spec: &Spec, words: &[Word<'_>], arg: &Arg, text: &str, begin: usize) -> Option<Completion> {
    if arg.kind != Kind::Text {
        return settings::complete(arg.kind, text, begin);
    }
    // An option that is not complete yet reads as the text's first word.
    let is_option = text.starts_with("--") && !text.contains(char::is_whitespace);
    is_option.then(|| option(spec, words, text, begin)).flatten().or_else(|| settings::complete_mention(text, begin))
}

/// An option that begins with `word`, which stands at byte `start`: one that is not among the words before.
fn option(spec: &Spec, before: &[Word<'_>], word: &str, start: usize) -> Option<Completion> {
    let given = |id: &str| before.iter().any(|w| matches!(w.slot, Slot::Flag(arg) if arg.id == id));
    let open: Vec<_> = spec.args.iter().filter(|arg| arg.is_flag() && !given(arg.id)).map(|arg| arg.id).collect();
    let what = Wanted::Option(open);
    (what != Wanted::Option(Vec::new())).then(|| Completion { start, what, prefix: word.to_owned() })
}

/// What `arg` completes to, and how many bytes of its word stay as they are.
fn wanted(arg: &Arg, word: &str) -> (Wanted, usize) {
    match arg.kind {
        Kind::NewName | Kind::Count | Kind::Duration | Kind::Word => (Wanted::Nothing, 0),
        // These are no words.
        Kind::Text | Kind::Setting | Kind::Files => (Wanted::Nothing, 0),
        Kind::Session | Kind::SwitchTo => (Wanted::Session, 0),
        Kind::Scope => (Wanted::SessionOrAll, 0),
        Kind::Targets => word.rfind(',').map_or((Wanted::SessionOrAll, 0), |comma| (Wanted::Session, comma + 1)),
        Kind::Model => (Wanted::Model, 0),
        Kind::Entry => (Wanted::Entry, usize::from(word.starts_with('#'))),
        Kind::EntryOrAll if word.starts_with('#') => (Wanted::Entry, 1),
        Kind::EntryOrAll => (Wanted::EntryOrAll, 0),
        Kind::SessionOrEntry | Kind::ScopeOrEntry if word.starts_with('#') => (Wanted::Entry, 1),
        Kind::SessionOrEntry => (Wanted::Session, 0),
        Kind::ScopeOrEntry => (Wanted::SessionOrAll, 0),
        Kind::Place => (Wanted::Word(&["before", "after"]), 0),
        Kind::Priority => (Wanted::Word(&["high", "normal", "low"]), 0),
        Kind::Command => (Wanted::Command, usize::from(word.starts_with('/'))),
    }
}

/// What may still follow at the end of `line`, as the usage writes it: `/send 2 ` gives `TEXT`. It begins with a blank when the
/// line does not end with one. `None` when the line is a message, is not understood, or has all it can take.
pub fn hint(line: &str) -> Option<String> {
    let head = Head::of(line)?;
    let spec = table::find(head.name)?;
    let scan = Scan::of(spec, line, head.end);
    if let Some(text) = scan.text.filter(|text| !text.is_empty()) {
        let is_setting = spec.text().is_some_and(|arg| arg.kind == Kind::Setting);
        let blank = if line.ends_with(char::is_whitespace) { "" } else { " " };
        return settings::hint(text).filter(|_| is_setting).map(|rest| format!("{blank}{rest}"));
    }
    let mut filled: Vec<&str> = Vec::new();
    for word in &scan.words {
        match word.slot {
            Slot::Place(arg) | Slot::Flag(arg) | Slot::FlagValue(arg) if !word.is_stray_option() => filled.push(arg.id),
            // Mistyped, or an option that is not complete yet.
            Slot::Place(_) | Slot::Flag(_) | Slot::FlagValue(_) | Slot::Surplus => return None,
        }
    }
    let awaited = if let Slot::FlagValue(arg) = scan.next { Some(arg.shown.to_owned()) } else { None };
    let open = spec.args.iter().filter(|arg| !filled.contains(&arg.id)).map(Arg::usage);
    let rest = awaited.into_iter().chain(open).collect::<Vec<_>>().join(" ");
    let blank = if line.ends_with(char::is_whitespace) { "" } else { " " };
    (!rest.is_empty()).then(|| format!("{blank}{rest}"))
}
