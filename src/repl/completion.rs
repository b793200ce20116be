//! What Tab puts in: names from the commands' table, of sessions, models and files, numbers of entries. Runs on the reader's
//! thread and looks at the last names it was told, and at one folder at most; it asks nobody.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::watch;

use super::files;
use crate::command::{self, Wanted};
use crate::domain::{SessionId, SessionName};
use crate::ui::Complete;

/// Columns of the longest command's name.
const NAME_COLUMNS: usize = 8;

/// What can be named.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// Sessions, by number: that, and the name.
    pub sessions: Vec<(SessionId, String)>,
    /// Models, as `PROVIDER:MODEL`.
    pub models: Arc<[String]>,
    /// Entries of the active session that wait or are dead, in order: the number, and what tells a person which it is.
    pub entries: Vec<(String, String)>,
}

/// Completes lines.
#[derive(Debug)]
pub struct Completer {
    /// The last names.
    pub names: watch::Receiver<Names>,
    /// Where `~` is.
    pub home: Option<PathBuf>,
}

impl Complete for Completer {
    fn complete(&self, line: &str, pos: usize) -> (usize, Vec<(String, String)>) {
        let command::Completion { start, what, prefix } = command::complete(line, pos);
        if what == Wanted::File {
            // Before the names are borrowed: a slow disk keeps nobody else waiting.
            return (start, files::complete(&prefix, self.home.as_deref()));
        }
        let names = self.names.borrow();
        let plain = |name: &str| (name.to_owned(), name.to_owned());
        let found = match what {
            Wanted::Command => {
                let named = command::command_names().filter(|(name, _)| name.starts_with(&prefix));
                named.map(|(name, help)| (format!("/{name:<NAME_COLUMNS$}  {help}"), format!("{name} "))).collect()
            }
            Wanted::Session => sessions(&names.sessions, &prefix).collect(),
            Wanted::SessionOrAll => {
                sessions(&names.sessions, &prefix).chain(matching(["all"].into_iter(), &prefix).map(plain)).collect()
            }
            Wanted::Model => matching(names.models.iter().map(String::as_str), &prefix).map(plain).collect(),
            Wanted::Entry => numbered(&names.entries, &prefix).collect(),
            Wanted::EntryOrAll => {
                numbered(&names.entries, &prefix).chain(matching(["all"].into_iter(), &prefix).map(plain)).collect()
            }
            Wanted::Word(words) => matching(words.iter().copied(), &prefix).map(plain).collect(),
            Wanted::Option(options) => {
                let options = options.iter().map(|option| format!("--{option}"));
                options.filter(|o| o.starts_with(&prefix)).map(|o| (o.clone(), o + " ")).collect()
            }
            Wanted::File | Wanted::Nothing => Vec::new(),
        };
        (start, found)
    }

    fn hint(&self, line: &str) -> Option<String> {
        command::hint(line)
    }
}

fn matching<'a>(names: impl Iterator<Item = &'a str>, prefix: &str) -> impl Iterator<Item = &'a str> {
    names.filter(move |name| name.starts_with(prefix))
}

/// By name, or by number where a number begins.
fn sessions<'a>(sessions: &'a [(SessionId, String)], prefix: &str) -> impl Iterator<Item = (String, String)> + use<'a> {
    let by_number = !prefix.is_empty() && prefix.bytes().all(|b| b.is_ascii_digit());
    let prefix = SessionName::stored(prefix);
    sessions.iter().filter_map(move |(id, name)| {
        let number = id.to_string();
        match by_number {
            true => number.starts_with(prefix.as_str()).then(|| (format!("{number}  {name}"), number)),
            false => name.starts_with(prefix.as_str()).then(|| (name.clone(), name.clone())),
        }
    })
}

fn numbered(entries: &[(String, String)], prefix: &str) -> impl Iterator<Item = (String, String)> {
    let found = entries.iter().filter(move |(number, _)| number.starts_with(prefix));
    found.map(|(number, what)| (format!("#{number}  {what}"), number.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tab_completes_commands_sessions_models_and_entries() {
        let names = Names {
            sessions: vec![
                (SessionId(1), "main".into()),
                (SessionId(12), "docs".into()),
                (SessionId(13), "9th".into()),
            ],
            models: Arc::new(["demo:tour".into()]),
            entries: vec![("41".into(), "normal: one".into()), ("7".into(), "dead: two".into())],
        };
        let (_sender, names) = watch::channel(names);
        let completer = Completer { names, home: None };
        let check = |line: &str, expected: &[&str]| {
            let (start, found) = completer.complete(line, line.len());
            let lines: Vec<_> = found.iter().map(|(_, put)| format!("{}{put}", &line[..start])).collect();
            assert_eq!(lines, expected, "{line}");
        };
        check("/swi", &["/switch "]);
        check("/switch d", &["/switch docs"]);
        check("/send main,d", &["/send main,docs"]);
        check("/switch 1", &["/switch 1", "/switch 12", "/switch 13"]);
        check("/send main,12", &["/send main,12"]);
        check("/switch 9", &[]);
        check("/stop ", &["/stop main", "/stop docs", "/stop 9th", "/stop all"]);
        check("/auto --m", &["/auto --max "]);
        check("/auto --max 3 --", &["/auto --max 3 --until ", "/auto --max 3 --for "]);
        check("/wait --", &["/wait --timeout "]);
        check("/wait 2 --t", &["/wait 2 --timeout "]);
        check("/set n", &["/set notify"]);
        check("/set reasoning ", &["/set reasoning dim", "/set reasoning hide", "/set reasoning show"]);
        check("/set alert o", &["/set alert osc9", "/set alert osc777"]);
        check("/model de", &["/model demo:tour"]);
        check("/priority 41 l", &["/priority 41 low"]);
        check("/move 41 a", &["/move 41 after"]);
        check("/requeue a", &["/requeue all"]);
        check("/requeue ", &["/requeue 41", "/requeue 7", "/requeue all"]);
        check("/drop 4", &["/drop 41"]);
        check("/drop #", &["/drop #41", "/drop #7"]);
        check("/hold #4", &["/hold #41"]);
        check("/move 7 before ", &["/move 7 before 41", "/move 7 before 7"]);
        check("hello m", &[]);
    }
}
