//! Lines that were typed and come back with a key: which are kept, in memory and on the disk alike.

use super::limits::MAX_HISTORY_LINE_BYTES;

/// Lines that a key brings back, each list the oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TypedLines {
    /// Those of the session that the prompt belongs to.
    pub here: Vec<String>,
    /// Those of every session, each once, where it was typed last.
    pub everywhere: Vec<String>,
}

/// Whether a line is kept: not one that begins with a blank, by which a person keeps it out, nor one that is too long to be
/// found again by a key.
pub fn is_kept(line: &str) -> bool {
    !line.is_empty() && !line.starts_with(char::is_whitespace) && line.len() <= MAX_HISTORY_LINE_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_begins_with_a_blank_is_not_kept() {
        let check = |line: &str, kept| assert_eq!(is_kept(line), kept, "{line:.20}");
        check("hello", true);
        check("/switch 2", true);
        check("two\n  rows", true);
        check("", false);
        check(" hello", false);
        check("\thello", false);
        check("\nhello", false);
        check(&"x".repeat(MAX_HISTORY_LINE_BYTES), true);
        check(&"x".repeat(MAX_HISTORY_LINE_BYTES + 1), false);
    }
}
