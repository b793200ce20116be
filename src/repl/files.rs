//! Files at the prompt: Tab completes their names, and a message that names one with `@` is told that no more than the name went.
//! Looks at the file system, briefly: at one folder up to a bound, or at a few files.

use std::fs;
use std::path::{Path, PathBuf};

use crate::command::{file_name, mentioned, written_file_name};
use crate::domain::text::{is_unsafe, one_line};
use crate::execute::path_of;

/// Entries of a folder that are looked at for one Tab; of a larger one the rest is not completed.
const MAX_ENTRIES: usize = 4_096;
/// Names that Tab lists at most.
const MAX_FOUND: usize = 200;
/// Characters of a name in a list.
const SHOWN_CHARS: usize = 80;
/// Files that a message names which are looked for.
const MAX_MENTIONED: usize = 8;

/// The files whose names begin as `written` does: what is shown and what is put in for each, by name. A folder has a slash at its
/// end. Hidden ones are found by a dot alone, and names that could drive a terminal not at all: they cannot be typed.
pub(super) fn complete(written: &str, home: Option<&Path>) -> Vec<(String, String)> {
    let name = file_name(written);
    if name == "~" {
        return vec![("~/".to_owned(), "~/".to_owned())];
    }
    let (folder, begin) = name.split_at(name.rfind('/').map_or(0, |slash| slash + 1));
    let path = if folder.is_empty() { PathBuf::from(".") } else { path_of(folder, home) };
    let entries = fs::read_dir(path).into_iter().flatten().take(MAX_ENTRIES).flatten();
    let mut found: Vec<(String, bool)> = entries
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let wanted = name.starts_with(begin) && (begin.starts_with('.') || !name.starts_with('.'));
            if !wanted || name.chars().any(is_unsafe) {
                return None;
            }
            // A link counts as what it leads to.
            let is_folder = entry.file_type().is_ok_and(|kind| match kind.is_symlink() {
                true => fs::metadata(entry.path()).is_ok_and(|found| found.is_dir()),
                false => kind.is_dir(),
            });
            Some((name, is_folder))
        })
        .collect();
    found.sort();
    found.truncate(MAX_FOUND);
    let in_words = |(name, is_folder): (String, bool)| {
        let end = if is_folder { "/" } else { "" };
        (one_line(&name, SHOWN_CHARS) + end, written_file_name(&format!("{folder}{name}{end}")))
    };
    found.into_iter().map(in_words).collect()
}

/// What to say of the files that `line` names with an `@`; nothing where it names none that is there, or those alone that were
/// `attached` and went along. Blocks.
pub(super) fn said_of_mentioned(line: &str, attached: &[String], home: Option<&Path>) -> Option<String> {
    let is_file = |name: &str| !name.is_empty() && fs::metadata(path_of(name, home)).is_ok_and(|found| found.is_file());
    let went = |name: &String| attached.iter().any(|attached| path_of(attached, home) == path_of(name, home));
    let mut names: Vec<String> = Vec::new();
    for (name, bare) in mentioned(line).take(MAX_MENTIONED) {
        names.extend(
            [name, bare].into_iter().find(|name| is_file(name)).filter(|name| !names.contains(name) && !went(name)),
        );
    }
    let written: Vec<String> = names.iter().map(|name| one_line(&written_file_name(name), SHOWN_CHARS)).collect();
    match written.as_slice() {
        [] => None,
        [one] => {
            Some(format!("only the name of {one} was sent: /attach {one} sends what is in it with the next message"))
        }
        [..] => Some(format!(
            "only the names of {} were sent: /attach {} sends what is in them with the next message",
            written.join(", "),
            written.join(" ")
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A home with some files.
    fn home() -> tempfile::TempDir {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir_all(home.path().join("src/deep")).unwrap();
        for name in ["src/main.rs", "src/map.rs", "my notes.txt", "it's", ".hidden", "evil\u{1b}[2J", "main.txt"] {
            fs::write(home.path().join(name), "x").unwrap();
        }
        home
    }

    #[test]
    fn names_of_files_are_completed_as_they_are_to_be_written() {
        let home = home();
        let check = |written: &str, expected: &[&str]| {
            let found = complete(written, Some(home.path()));
            assert_eq!(found.iter().map(|(_, put)| put.as_str()).collect::<Vec<_>>(), expected, "{written:?}");
        };
        check("~", &["~/"]);
        check("~/", &["~/it\\'s", "~/main.txt", "~/my\\ notes.txt", "~/src/"]);
        check("~/m", &["~/main.txt", "~/my\\ notes.txt"]);
        check("~/my\\ n", &["~/my\\ notes.txt"]);
        check("\"~/my n", &["~/my\\ notes.txt"]);
        check("~/my\\", &["~/my\\ notes.txt"]);
        check("~/s", &["~/src/"]);
        check("~/src/ma", &["~/src/main.rs", "~/src/map.rs"]);
        check("~/.", &["~/.hidden"]);
        check("~/src/main.rs/", &[]);
        check("~/none/", &[]);
        check(&home.path().join("mai").to_string_lossy(), &[&home.path().join("main.txt").to_string_lossy()]);
        let shown: Vec<_> = complete("~/", Some(home.path())).into_iter().map(|(shown, _)| shown).collect();
        assert_eq!(shown, ["it's", "main.txt", "my notes.txt", "src/"]);
    }

    #[test]
    fn a_list_has_a_bound() {
        let home = tempfile::tempdir().unwrap();
        (0..300).for_each(|n| fs::write(home.path().join(format!("f{n}")), "").unwrap());
        assert_eq!(complete("~/f", Some(home.path())).len(), MAX_FOUND);
    }

    #[test]
    fn who_names_a_file_is_told_that_its_name_alone_went() {
        let home = home();
        let check = |line: &str, expected: Option<&str>| {
            assert_eq!(
                said_of_mentioned(line, &["~/went".to_owned()], Some(home.path())).as_deref(),
                expected,
                "{line:?}"
            );
        };
        let one =
            "only the name of ~/src/main.rs was sent: /attach ~/src/main.rs sends what is in it with the next message";
        check("what is @~/src/main.rs", Some(one));
        check("what is @~/src/main.rs? and (@~/main.txt) @~/src/main.rs.", Some(one));
        check(
            "look at @~/my\\ notes.txt, please",
            Some(
                "only the name of ~/my\\ notes.txt was sent: /attach ~/my\\ notes.txt sends what is in it with the next message",
            ),
        );
        check(
            "@~/main.txt @~/it\\'s",
            Some(
                "only the names of ~/main.txt, ~/it\\'s were sent: /attach ~/main.txt ~/it\\'s sends what is in them with the next message",
            ),
        );
        check("me@~/main.txt, @ and @nobody, @~/src", None);
        check("no file", None);
        fs::write(home.path().join("went"), "x").unwrap();
        check("what is @~/went", None);
        check(&format!("what is @{}", home.path().join("went").display()), None);
        check("what are @~/went and @~/src/main.rs", Some(one));
    }
}
