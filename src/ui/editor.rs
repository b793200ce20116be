//! A text in the person's own editor. The reader calls it with the terminal given back, while the gate is closed; it blocks until the
//! editor ends.

use std::fs::{self, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::guard;
use crate::domain::limits::MAX_MESSAGE_BYTES;
use crate::domain::text::from_file;

/// What the file is called, so that an editor knows what it shows.
const FILE: &str = "message.md";

/// Why a text could not be edited; the text is as it was.
#[derive(Debug, thiserror::Error)]
pub(super) enum EditError {
    /// No file could be made for it.
    #[error("no file for the editor could be made: {0}")]
    File(#[from] io::Error),
    /// It could not be started, or said that it failed.
    #[error("the editor {editor:?} failed ({how}): set VISUAL or EDITOR to one that works")]
    Failed {
        /// As it was called.
        editor: String,
        /// What it came to.
        how: String,
    },
    /// It said that it failed, and yet it left another text.
    #[error("the editor {editor:?} failed ({how}); what it left is kept as {path}")]
    Left {
        /// As it was called.
        editor: String,
        /// What it came to.
        how: String,
        /// Where the text is.
        path: String,
    },
    /// What it left is no message.
    #[error("what the editor left {why}; it is kept as {path}")]
    NoMessage {
        /// What is wrong with it.
        why: &'static str,
        /// Where it is.
        path: String,
    },
}

/// Lets `editor` (a command line, as in `VISUAL`) change `text`. A line end at the end of the file is the editor's. The `hidden`
/// variables hold keys, which neither an editor nor what runs in it needs.
///
/// # Errors
/// The editor failed, or what it left cannot be a message.
pub(super) fn edit(editor: &str, text: &str, hidden: &[String]) -> Result<String, EditError> {
    let folder = tempfile::Builder::new().prefix("chatmux-").permissions(Permissions::from_mode(0o700)).tempdir()?;
    // A umask may have taken bits that the owner needs.
    fs::set_permissions(folder.path(), Permissions::from_mode(0o700))?;
    let path = folder.path().join(FILE);
    write_private(&path, text)?;
    // The shell splits the command line as it does for everyone who reads VISUAL; the path is an argument of its own.
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(format!("{editor} \"$1\"")).arg("sh").arg(&path);
    hidden.iter().for_each(|variable| _ = command.env_remove(variable));
    if let Some(terminal) = guard::lent_terminal() {
        command.stdin(terminal);
    }
    let status = command.status();
    let failed = |how: String| EditError::Failed { editor: editor.to_owned(), how };
    let status = status.map_err(|error| failed(error.to_string()))?;
    if !status.success() {
        // Some say so when all is written: vi, for one, when any of its commands had failed.
        let is_changed = fs::read(&path).is_ok_and(|left| !left.is_empty() && left != text.as_bytes());
        return Err(match is_changed {
            true => EditError::Left { editor: editor.to_owned(), how: status.to_string(), path: keep(folder) },
            false => failed(status.to_string()),
        });
    }
    let bytes = fs::read(&path)?;
    let why = if bytes.len() > MAX_MESSAGE_BYTES { "is longer than a message may be" } else { "is not UTF-8" };
    match String::from_utf8(bytes) {
        Ok(edited) if edited.len() <= MAX_MESSAGE_BYTES => {
            let mut edited = from_file(edited);
            if edited.ends_with('\n') {
                edited.pop();
            }
            Ok(edited)
        }
        Ok(_) | Err(_) => Err(EditError::NoMessage { why, path: keep(folder) }),
    }
}

/// The work of a person's hands is not thrown away: where it is.
fn keep(folder: TempDir) -> String {
    folder.keep().join(FILE).display().to_string()
}

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    file.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_editor_changes_a_text_or_says_why_not() {
        let check = |editor: &str, text: &str, expected: Result<&str, &str>| match (edit(editor, text, &[]), expected) {
            (Ok(edited), Ok(expected)) => assert_eq!(edited, expected, "{editor}"),
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
            (found, expected) => panic!("{editor}: {found:?} is not {expected:?}"),
        };
        check("true", "as it\nwas", Ok("as it\nwas"));
        check("printf 'more\\n' >>", "one ", Ok("one more"));
        check("printf 'new\\n\\n' >", "old", Ok("new\n"));
        check("printf 'a\\r\\nb\\r\\n' >", "old", Ok("a\nb"));
        check("printf 'a\\rb\\r\\n' >", "old", Ok("a\rb"));
        check("printf '\\357\\273\\277a\\n' >", "old", Ok("a"));
        check("printf '\\357\\273\\277\\r\\n' >", "old", Ok(""));
        check("false", "old", Err("set VISUAL or EDITOR"));
        check("/no/such/editor", "old", Err("127"));
    }

    #[test]
    fn an_editor_gets_a_private_file_and_no_key() {
        let left = edit(
            "sh -c 'stat -c %a \"$1\" \"$(dirname \"$1\")\" > \"$1.x\"; echo ${PATH:+kept} ${HOME:-gone} >> \"$1.x\"; mv \"$1.x\" \"$1\"' sh",
            "old",
            &["HOME".to_owned()],
        );
        assert_eq!(left.unwrap(), "600\n700\nkept gone");
    }

    #[test]
    fn what_is_no_message_is_kept() {
        let error = edit("printf '\\377' >", "old", &[]).unwrap_err();
        let EditError::NoMessage { path, .. } = &error else { panic!("{error}") };
        assert_eq!(fs::read(path).unwrap(), [0xff]);
        assert!(error.to_string().contains("is not UTF-8"), "{error}");
        fs::remove_dir_all(Path::new(path).parent().unwrap()).unwrap();
    }

    #[test]
    fn what_an_editor_wrote_before_it_failed_is_kept() {
        let error = edit("fail() { printf new > \"$1\"; exit 1; }; fail", "old", &[]).unwrap_err();
        let EditError::Left { path, .. } = &error else { panic!("{error}") };
        assert_eq!(fs::read(path).unwrap(), b"new");
        assert!(error.to_string().ends_with(&format!("what it left is kept as {path}")), "{error}");
        fs::remove_dir_all(Path::new(path).parent().unwrap()).unwrap();
    }
}
