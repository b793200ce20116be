//! Files that a person names: found, and read as text. Only what is a plain file of bounded length is ever read.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::domain::Attachment;
use crate::domain::attachment::MAX_ATTACHED_NAME_CHARS;
use crate::domain::limits::MAX_MESSAGE_BYTES;
use crate::domain::text::{one_line, without_bom};

/// Characters of a name that an error repeats.
const SHOWN_NAME_CHARS: usize = 120;

/// The path that a name means: `~` and `~/…` are in the person's home, where that is known.
pub fn path_of(name: &str, home: Option<&Path>) -> PathBuf {
    match (name.strip_prefix('~'), home) {
        (Some(""), Some(home)) => home.to_owned(),
        (Some(rest), Some(home)) if rest.starts_with('/') => home.join(rest.trim_start_matches('/')),
        _ => PathBuf::from(name),
    }
}

/// Reads all of these, or says why one of them cannot go along with a message. Blocks.
pub(super) fn read(names: &[String], home: Option<&Path>) -> Result<Vec<Attachment>, String> {
    names.iter().map(|name| read_one(name, &path_of(name, home))).collect()
}

fn read_one(name: &str, path: &Path) -> Result<Attachment, String> {
    let shown = one_line(name, SHOWN_NAME_CHARS);
    let text = text_of(path).map_err(|why| format!("{shown} {why}; nothing is attached"))?;
    Ok(Attachment { name: one_line(name, MAX_ATTACHED_NAME_CHARS), text })
}

/// The text of a file, or what is the matter with it and what to do about that.
fn text_of(path: &Path) -> Result<String, String> {
    let unreadable = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => "is not there: Tab completes the names of files".to_owned(),
        io::ErrorKind::PermissionDenied => "cannot be read: make it readable (chmod u+r)".to_owned(),
        _ => format!("cannot be read ({error}): name another"),
    };
    // Before it is opened: a pipe would keep one waiting, and a device may have no end.
    let found = std::fs::metadata(path).map_err(unreadable)?;
    if found.is_dir() {
        return Err("is a directory: name the files in it".to_owned());
    }
    if !found.is_file() {
        return Err("is no plain file: save what comes out of it in one".to_owned());
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(MAX_MESSAGE_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() > MAX_MESSAGE_BYTES {
        return Err(format!(
            "is too long: a message has {} MiB at most, so attach a part of it",
            MAX_MESSAGE_BYTES >> 20
        ));
    }
    let text = String::from_utf8(bytes).map_err(|error| not_text("UTF-8 text", error.utf8_error().valid_up_to()))?;
    match text.bytes().position(|byte| byte == 0) {
        Some(at) => Err(not_text("text, for it holds a NUL", at)),
        // Its lines end as they do in the file: that may be what the question is about.
        None => Ok(without_bom(&text).to_owned()),
    }
}

fn not_text(what: &str, at: usize) -> String {
    format!("is not {what} (byte {}): only text goes along with a message", at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tilde_is_the_home_where_it_stands_alone() {
        let check = |name: &str, expected: &str| {
            assert_eq!(path_of(name, Some(Path::new("/h"))), Path::new(expected), "{name}");
        };
        check("~", "/h");
        check("~/a b", "/h/a b");
        check("~//a", "/h/a");
        check("~x/a", "~x/a");
        check("./~/a", "./~/a");
        check("/etc/hosts", "/etc/hosts");
        assert_eq!(path_of("~/a", None), Path::new("~/a"));
    }

    #[test]
    fn what_is_no_text_file_says_why_and_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let check = |name: &str, bytes: Option<&[u8]>, expected: &str| {
            if let Some(bytes) = bytes {
                std::fs::write(folder.path().join(name), bytes).unwrap();
            }
            let said = read_one(name, &folder.path().join(name)).map(|file| file.text).unwrap_or_else(|why| why);
            assert_eq!(said, expected, "{name:?}");
        };
        check("a.rs", Some("fn é() {}\r\n".as_bytes()), "fn é() {}\r\n");
        check("empty", Some(b""), "");
        check("bom.csv", Some(b"\xef\xbb\xbfa;b\r\n"), "a;b\r\n");
        check("bom alone", Some(b"\xef\xbb\xbf"), "");
        check("bom within", Some("a\u{feff}b".as_bytes()), "a\u{feff}b");
        check("", None, " is a directory: name the files in it; nothing is attached");
        check("absent", None, "absent is not there: Tab completes the names of files; nothing is attached");
        let only = "only text goes along with a message; nothing is attached";
        check("latin", Some(b"caf\xe9"), &format!("latin is not UTF-8 text (byte 4): {only}"));
        check("nul\n\u{1b}", Some(b"a\0"), &format!("nul ␛ is not text, for it holds a NUL (byte 2): {only}"));
        check("most", Some(&vec![b'a'; MAX_MESSAGE_BYTES]), &"a".repeat(MAX_MESSAGE_BYTES));
        let long = "long is too long: a message has 4 MiB at most, so attach a part of it; nothing is attached";
        check("long", Some(&vec![b'a'; MAX_MESSAGE_BYTES + 1]), long);
        let device = read_one("/dev/zero", Path::new("/dev/zero")).unwrap_err();
        assert_eq!(device, "/dev/zero is no plain file: save what comes out of it in one; nothing is attached");
    }
}
