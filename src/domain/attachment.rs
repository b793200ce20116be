//! What goes along with a message: context that stands before it, and files, each in a fence that its own text cannot close.

use std::borrow::Cow;

/// Characters of a file's name that are kept.
pub const MAX_ATTACHED_NAME_CHARS: usize = 1_024;
/// Files that may be attached at once.
pub const MAX_ATTACHED_FILES: usize = 100;

/// What a file's name stands behind.
const HEAD: &str = "File: ";
/// The shortest fence.
const MIN_FENCE: usize = 3;

/// A text file that goes along with a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// Its name as a person gave it, in one line.
    pub name: String,
    /// What is in it.
    pub text: String,
}

impl Attachment {
    /// The file as a model gets it: its name, and its text in a fence.
    pub fn fenced(&self) -> String {
        let Self { name, text } = self;
        let fence = "`".repeat(MIN_FENCE.max(longest_run(text) + 1));
        let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
        format!("{HEAD}{name}\n{fence}\n{text}{end}{fence}\n")
    }
}

/// The most backticks that stand side by side in `text`.
fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

/// A message with context before it; without context it stays as it is.
pub fn with_context(context: &str, text: &str) -> String {
    match context.trim_end_matches('\n') {
        "" => text.to_owned(),
        context => format!("{context}\n\n{text}"),
    }
}

/// A message with these files before it.
pub fn with_attachments(files: &[Attachment], text: &str) -> String {
    let context = files.iter().map(Attachment::fenced).collect::<Vec<_>>().join("\n");
    with_context(&context, text)
}

/// The message as one shows it back to the person: of files that went along the names. What else it holds is as it is.
pub fn folded(text: &str) -> Cow<'_, str> {
    let (mut rest, mut names) = (text, Vec::new());
    while let Some((name, behind)) = first_file(rest) {
        names.push(name);
        rest = behind;
    }
    if names.is_empty() {
        return Cow::Borrowed(text);
    }
    Cow::Owned(names.iter().map(|name| format!("[file {name}]\n")).chain([rest.to_owned()]).collect())
}

/// The name of the file that `text` begins with, and what follows it.
fn first_file(text: &str) -> Option<(&str, &str)> {
    let (name, behind) = text.strip_prefix(HEAD)?.split_once('\n')?;
    let (fence, body) = behind.split_once('\n')?;
    if fence.len() < MIN_FENCE || fence.bytes().any(|b| b != b'`') {
        return None;
    }
    // The text has no such run of backticks, so the first line that is one ends it.
    let close = format!("{fence}\n\n");
    let rest = match body.strip_prefix(&close) {
        Some(rest) => rest,
        None => body.split_once(&format!("\n{close}"))?.1,
    };
    Some((name, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(name: &str, text: &str) -> Attachment {
        Attachment { name: name.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn a_file_stands_in_a_fence_that_it_cannot_close() {
        let check = |text: &str, expected: &str| assert_eq!(file("a.rs", text).fenced(), expected);
        check("x\n", "File: a.rs\n```\nx\n```\n");
        check("no end", "File: a.rs\n```\nno end\n```\n");
        check("", "File: a.rs\n```\n```\n");
        check("```rust\nx\n```\n", "File: a.rs\n````\n```rust\nx\n```\n````\n");
        check("a ````` b", "File: a.rs\n``````\na ````` b\n``````\n");
    }

    #[test]
    fn context_stands_before_the_message() {
        assert_eq!(with_context("diff\n+x\n\n", "any bugs?"), "diff\n+x\n\nany bugs?");
        assert_eq!(with_context("\n", "alone"), "alone");
        let both = with_attachments(&[file("a", "1\n"), file("b", "2")], "which?");
        assert_eq!(both, "File: a\n```\n1\n```\n\nFile: b\n```\n2\n```\n\nwhich?");
        assert_eq!(with_attachments(&[], " as it is"), " as it is");
    }

    #[test]
    fn what_is_no_file_is_shown_as_it_is() {
        for text in ["hello", "File: a\n``\nx\n``\n\n", "File: a\n```\nx", "File: a\n```rust\nx\n```\n\ny", " File: a"]
        {
            assert_eq!(folded(text), text);
        }
    }

    proptest! {
        #[test]
        fn whatever_is_in_the_files_they_end_where_they_should(
            texts in prop::collection::vec("[`~a\n ]{0,12}|(?s).{0,20}|(File: x\n```\ny\n```\n\n){1,2}", 1..4),
            said in "[^F].{0,20}",
        ) {
            let files: Vec<_> = texts.iter().map(|text| file("n", text)).collect();
            let expected = "[file n]\n".repeat(files.len()) + &said;
            let whole = with_attachments(&files, &said);
            prop_assert_eq!(folded(&whole), expected);
        }
    }
}
