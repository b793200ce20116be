//! Text that came from elsewhere (a model, a file, an error body) is data: what could drive a terminal is made visible.
//!
//! Kept as they are: printable characters, `\n` and `\t`; `\r\n` becomes `\n`. Shown instead of obeyed: C0 and DEL as
//! their Unicode control pictures (ESC is `␛`), C1 as `<9b>`, and bidirectional overrides and isolates as `<202e>`.

use std::borrow::Cow;
use std::fmt::Write;

/// Names that one line has of a list ([`some_of`]).
const MAX_NAMED: usize = 5;

/// Bidirectional controls that can make a line read as what it is not (CVE-2021-42574), and the line
/// and paragraph separators that some terminals obey.
const fn is_reordering(c: char) -> bool {
    matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Whether a terminal might obey `c` rather than show it. `\n` and `\t` count as unsafe here; [`Sanitizer`] lets them through.
pub const fn is_unsafe(c: char) -> bool {
    matches!(c, '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}') || is_reordering(c)
}

/// Makes a stream of text safe to show, chunk by chunk. A `\r` at the end of a chunk waits for the next one, so a `\r\n`
/// that was cut in two is still one line end.
#[derive(Debug, Clone, Default)]
pub struct Sanitizer {
    pending_cr: bool,
}

impl Sanitizer {
    /// The safe form of the next chunk.
    pub fn push<'a>(&mut self, chunk: &'a str) -> Cow<'a, str> {
        let clean = !self.pending_cr && !chunk.chars().any(|c| is_unsafe(c) && c != '\n' && c != '\t');
        if clean {
            return Cow::Borrowed(chunk);
        }
        let mut out = String::with_capacity(chunk.len() + 8);
        for c in chunk.chars() {
            if std::mem::take(&mut self.pending_cr) && c != '\n' {
                out.push('␍');
            }
            match c {
                '\r' => self.pending_cr = true,
                '\n' | '\t' => out.push(c),
                c if is_unsafe(c) => push_visible(&mut out, c),
                c => out.push(c),
            }
        }
        Cow::Owned(out)
    }

    /// What was still waiting when the text ended.
    pub fn finish(&mut self) -> &'static str {
        if std::mem::take(&mut self.pending_cr) { "␍" } else { "" }
    }
}

fn push_visible(out: &mut String, c: char) {
    let code = u32::from(c);
    match c {
        '\0'..='\u{1f}' => out.push(char::from_u32(0x2400 + code).unwrap_or('␀')),
        '\u{7f}' => out.push('␡'),
        _ => {
            // Writing to a String cannot fail.
            let _ = write!(out, "<{code:02x}>");
        }
    }
}

/// A whole text made safe, line ends and tabs kept.
pub fn visible(text: &str) -> Cow<'_, str> {
    let mut sanitizer = Sanitizer::default();
    match sanitizer.push(text) {
        Cow::Borrowed(text) => Cow::Borrowed(text),
        Cow::Owned(mut text) => {
            text.push_str(sanitizer.finish());
            Cow::Owned(text)
        }
    }
}

/// A person's own text as it can stand in a line again: of control characters there are signs, as in [`visible`]; all else, the marks of
/// a text that runs from right to left among it, is the person's.
pub fn editable(text: &str) -> Cow<'_, str> {
    let is_control = |c: char| c.is_control() && c != '\n' && c != '\t';
    if !text.contains(is_control) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for c in text.replace("\r\n", "\n").chars() {
        if is_control(c) { push_visible(&mut out, c) } else { out.push(c) }
    }
    Cow::Owned(out)
}

/// A text without the byte order mark that some programs write at its beginning: it says how a file is encoded, and is none of its text.
pub fn without_bom(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// A text that came from a file or a pipe: no byte order mark, and lines that end with `\n` alone. A `\r` elsewhere is content.
pub fn from_file(text: String) -> String {
    match without_bom(&text) {
        clean if clean.contains("\r\n") => clean.replace("\r\n", "\n"),
        clean if clean.len() < text.len() => clean.to_owned(),
        _ => text,
    }
}

/// A text that came as keys, as a paste does: as [`from_file`], and a `\r` alone is a line end too, for that is what Enter sends.
pub fn from_keys(text: String) -> String {
    let text = from_file(text);
    if text.contains('\r') { text.replace('\r', "\n") } else { text }
}

/// A text made safe and folded into one row of at most `max_chars` characters: line ends and tabs become blanks, and what is
/// cut is shown as `…`.
pub fn one_line(text: &str, max_chars: usize) -> String {
    let mut out = String::new();
    let safe = visible(text.trim());
    let mut words = safe.split_whitespace();
    let mut count = 0;
    'words: for (nth, word) in words.by_ref().enumerate() {
        for c in (nth > 0).then_some(' ').into_iter().chain(word.chars()) {
            if count + 1 >= max_chars {
                out.push('…');
                break 'words;
            }
            out.push(c);
            count += 1;
        }
    }
    out
}

/// The first five names of a list, and how many more there are: `a, b, c, d, e and 3 more`.
pub fn some_of<T: std::fmt::Display>(names: &[T]) -> String {
    let (named, rest) = names.split_at(names.len().min(MAX_NAMED));
    let named: Vec<String> = named.iter().map(T::to_string).collect();
    match rest.len() {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

/// A number for people: `1,234,567`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (nth, digit) in digits.chars().enumerate() {
        if nth > 0 && (digits.len() - nth).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes for people: `812 B`, `3.9 MiB`.
pub fn size(bytes: u64) -> String {
    let kib = bytes as f64 / 1_024.0;
    match bytes {
        0..1_024 => format!("{bytes} B"),
        1_024..1_048_576 => format!("{kib:.1} KiB"),
        _ => format!("{:.1} MiB", kib / 1_024.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_drives_a_terminal_is_shown() {
        let check = |text: &str, expected: &str| assert_eq!(visible(text), expected);
        check("plain ünï 日本", "plain ünï 日本");
        check("a\tb\nc\r\nd", "a\tb\nc\nd");
        check("a\rb\r", "a␍b␍");
        check("\x1b[31mred\x1b]0;t\x07", "␛[31mred␛]0;t␇");
        check("\u{9b}31m\u{7f}\0", "<9b>31m␡␀");
        check("a\u{202e}b\u{2066}c", "a<202e>b<2066>c");
    }

    #[test]
    fn a_long_list_is_cut() {
        let check = |count: u32, expected: &str| assert_eq!(some_of(&(1..=count).collect::<Vec<_>>()), expected);
        check(0, "");
        check(1, "1");
        check(5, "1, 2, 3, 4, 5");
        check(7, "1, 2, 3, 4, 5 and 2 more");
    }

    #[test]
    fn chunks_cut_anywhere_give_the_same_text() {
        let text = "a\r\nb\rc\x1b[0m\r\n\n\r";
        for cut in 0..=text.len() {
            let mut sanitizer = Sanitizer::default();
            let mut out = sanitizer.push(&text[..cut]).into_owned();
            out.push_str(&sanitizer.push(&text[cut..]));
            out.push_str(sanitizer.finish());
            assert_eq!(out, visible(text), "cut at {cut}");
        }
    }

    #[test]
    fn what_a_person_wrote_stays_but_for_control_characters() {
        let check = |text: &str, expected: &str| assert_eq!(editable(text), expected);
        check("a\tb\r\nc \u{200f}שלום\u{202e}", "a\tb\r\nc \u{200f}שלום\u{202e}".replace("\r\n", "\n").as_str());
        check("\x1b[31m\u{9b}\r", "␛[31m<9b>␍");
        check("plain", "plain");
    }

    #[test]
    fn marks_and_line_ends_of_other_systems_are_no_text() {
        let check = |text: &str, file: &str, keys: &str| {
            assert_eq!(from_file(text.to_owned()), file, "{text:?} from a file");
            assert_eq!(from_keys(text.to_owned()), keys, "{text:?} as keys");
        };
        check("plain\n", "plain\n", "plain\n");
        check("\u{feff}a", "a", "a");
        check("\u{feff}", "", "");
        check("\u{feff}\r\n", "\n", "\n");
        check("a\r\nb\r\n", "a\nb\n", "a\nb\n");
        check("50 %\r100 %\r\n", "50 %\r100 %\n", "50 %\n100 %\n");
        check("a\r", "a\r", "a\n");
        check("a\u{feff}b", "a\u{feff}b", "a\u{feff}b");
        check("\u{feff}\u{feff}a", "\u{feff}a", "\u{feff}a");
    }

    #[test]
    fn one_line_folds_and_cuts() {
        assert_eq!(one_line("  a\n\tb  c ", 20), "a b c");
        assert_eq!(one_line("abcdef", 4), "abc…");
        assert_eq!(one_line("", 4), "");
    }
}
