//! The seam of an answer that is continued: what the model says of it once more is dropped. Pure; between the decoded
//! pieces and the worker ([`super::answer`]); the wire modules say what is to be expected.
//!
//! An API that takes the beginning of an answer goes on behind it to the byte, but for blanks that it refuses at the
//! beginning's end. A model that is *asked* to go on often says its last words again, sometimes behind an ellipsis or a line
//! end. So the beginning of what it says is compared with the end of what it said. As long as it may be a repeat it is
//! withheld; the first character that is none lets it go. What fits nothing is never withheld.
//!
//! What can be told is a repeat of [`MIN_REPEAT_CHARS`] characters, or of the unfinished last line from its start
//! ([`MIN_LINE_CHARS`]), up to [`MAX_REPEAT_BYTES`]; of several the longest. What cannot:
//!
//! - a shorter repeat: the words may stand there twice by right, so they do;
//! - a text that goes over the same words again and again (a ruler, a refrain, a column of zeros): how often it should is
//!   unknown, so all of it stays;
//! - a repeat in other words, with other blanks, or behind a remark ("Continuing:"): it stays;
//! - a blank that is missing between two words: none is added.
//!
//! In these cases the seam may be doubled, never lost. What is lost: words that the answer would have had twice in a row by
//! right, if they are as many as a repeat has; and what is withheld at the moment when nobody wants the answer any more.

/// Characters of a repeat that begins in the middle of a line.
const MIN_REPEAT_CHARS: usize = 12;
/// Characters of a repeat that is the unfinished last line from its start: fewer need more luck than models have.
const MIN_LINE_CHARS: usize = 6;
/// Bytes of a repeat; of a longer one nothing is known. The most that is withheld, with what may stand before it.
const MAX_REPEAT_BYTES: usize = 1 << 10;
/// Bytes that may stand before a repeat and go with it: blanks and an ellipsis.
const MAX_LEAD_BYTES: usize = 16;

/// What is to be watched for at the beginning of a continuation.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) enum Seam {
    /// Nothing, or nothing any more.
    #[default]
    Closed,
    /// These blanks, which the API did not take at the end of the answer's beginning.
    Blanks(String),
    /// The last words, because the model was asked to go on.
    Repeats(Repeats),
}

/// The watch for repeats.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Repeats {
    /// The end of what was said.
    tail: String,
    /// Places in `tail` from which on it would be a repeat; the first ones are the longest.
    starts: Vec<usize>,
    /// What is withheld.
    held: String,
}

impl Seam {
    /// Blanks that were cut off: should the model say them again, they are dropped.
    pub(crate) fn blanks(blanks: &str) -> Self {
        if blanks.is_empty() { Self::Closed } else { Self::Blanks(blanks.to_owned()) }
    }

    /// The model is asked to go on from `said`.
    pub(crate) fn repeats(said: &str) -> Self {
        let from = said.ceil_char_boundary(said.len().saturating_sub(MAX_REPEAT_BYTES));
        let tail = said[from..].to_owned();
        let starts: Vec<_> = tail
            .char_indices()
            .map(|(at, _)| at)
            .filter(|&at| {
                let begins_line =
                    if at == 0 { from == 0 || said[..from].ends_with('\n') } else { tail[..at].ends_with('\n') };
                is_enough(&tail[at..], begins_line)
            })
            .collect();
        if starts.is_empty() { Self::Closed } else { Self::Repeats(Repeats { tail, starts, held: String::new() }) }
    }

    /// What may be shown now that `text` came; nothing while it may be a repeat, or when it was one.
    pub(crate) fn pass(&mut self, text: String) -> Option<String> {
        let shown = match self {
            Self::Closed => text,
            Self::Blanks(blanks) => {
                let doubled = doubled(blanks, &text);
                if doubled == text.len() {
                    blanks.drain(..doubled);
                } else {
                    blanks.clear();
                }
                if blanks.is_empty() {
                    *self = Self::Closed;
                }
                text[doubled..].to_owned()
            }
            Self::Repeats(repeats) => {
                repeats.held.push_str(&text);
                let dropped = repeats.judge(false)?;
                let shown = repeats.held.split_off(dropped);
                *self = Self::Closed;
                shown
            }
        };
        (!shown.is_empty()).then_some(shown)
    }

    /// What is still withheld and no repeat, when no more text comes, or something else comes first.
    pub(crate) fn close(&mut self) -> Option<String> {
        let Self::Repeats(mut repeats) = std::mem::take(self) else { return None };
        let dropped = repeats.judge(true).unwrap_or(0);
        let shown = repeats.held.split_off(dropped);
        (!shown.is_empty()).then_some(shown)
    }

    /// Whether something is withheld.
    pub(crate) fn withholds(&self) -> bool {
        matches!(self, Self::Repeats(repeats) if !repeats.held.is_empty())
    }
}

impl Repeats {
    /// How many of the bytes that are withheld are a repeat; `None`: that cannot be told yet. When `is_all`, it must be.
    fn judge(&self, is_all: bool) -> Option<usize> {
        let mut found = 0;
        let mut longest = 0;
        for lead in leads(&self.held) {
            let said = &self.held[lead..];
            for &start in &self.starts {
                let repeat = &self.tail[start..];
                if repeat.len() <= longest {
                    break;
                }
                if said.starts_with(repeat) {
                    (found, longest) = (lead + repeat.len(), repeat.len());
                    break;
                }
                if !is_all && repeat.starts_with(said) {
                    return None;
                }
            }
        }
        let repeat = &self.held[found - longest..found];
        Some(if is_periodic(repeat.as_bytes()) { 0 } else { found })
    }
}

/// Whether a repeat of this end of an answer can be told from chance.
fn is_enough(end: &str, begins_line: bool) -> bool {
    let chars = end.chars().count();
    let words = end.chars().any(char::is_alphanumeric);
    words && (chars >= MIN_REPEAT_CHARS || begins_line && chars >= MIN_LINE_CHARS && !end.contains('\n'))
}

/// Where a repeat may begin: at once, or behind blanks and dots.
fn leads(held: &str) -> impl Iterator<Item = usize> {
    let ends = held.char_indices().take_while(|(_, c)| c.is_whitespace() || matches!(c, '.' | '…'));
    std::iter::once(0).chain(ends.map(|(at, c)| at + c.len_utf8())).take_while(|end| *end <= MAX_LEAD_BYTES)
}

/// Whether `text` is one part over and over, at least twice.
fn is_periodic(text: &[u8]) -> bool {
    // The longest proper beginning of each beginning of the text that is also its end.
    let mut border = vec![0; text.len()];
    for at in 1..text.len() {
        let mut length: usize = border[at - 1];
        while length > 0 && text[at] != text[length] {
            length = border[length - 1];
        }
        border[at] = length + usize::from(text[at] == text[length]);
    }
    border.last().is_some_and(|length| 2 * length >= text.len())
}

/// How many bytes at the beginning of `text` are in `blanks` already.
fn doubled(blanks: &str, text: &str) -> usize {
    blanks.chars().zip(text.chars()).take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is shown of a continuation that comes in these pieces: as it is shown, piece by piece.
    fn shown(mut seam: Seam, pieces: &[&str]) -> Vec<String> {
        let mut shown: Vec<_> = pieces.iter().filter_map(|piece| seam.pass((*piece).to_owned())).collect();
        shown.extend(seam.close());
        assert_eq!(seam, Seam::Closed);
        shown
    }

    #[test]
    fn blanks_are_neither_doubled_nor_lost() {
        let check = |blanks: &str, pieces: &[&str], expected: &str| {
            assert_eq!(shown(Seam::blanks(blanks), pieces).concat(), expected, "{pieces:?}");
        };
        check(" ", &[" word"], "word");
        check(" ", &["word ", " x"], "word  x");
        check("\n\n", &["\n", "\n", "\nx"], "\nx");
        check("\n\n", &["\nx"], "x");
        check("", &[" x"], " x");
    }

    #[test]
    fn the_last_words_said_again_are_dropped() {
        let check = |said: &str, pieces: &[&str], expected: &str| {
            assert_eq!(shown(Seam::repeats(said), pieces).concat(), expected, "{said:?} {pieces:?}");
        };
        check("the quick brown fox jumps", &["brown fox jumps over"], " over");
        check("the quick brown fox jumps", &["brown", " fox", " jumps", " over"], " over");
        check("the quick brown fox jumps", &["… brown fox jumps", " over"], " over");
        check("the quick brown fox jumps", &["...", "\nbrown fox jumps over"], " over");
        check("the quick brown fox jumps", &["the quick brown fox jumps"], "");
        // The unfinished line, from its start.
        check("a\n## Res", &["## Results"], "ults");
        check("## Res", &["## Results"], "ults");
        // In the middle of it that is too short.
        check("a ## Res", &["## Results"], "## Results");
        // Nothing of it is a repeat: not the ellipsis either.
        check("the quick brown fox jumps", &["... and", " then"], "... and then");
        check("the quick brown fox jumps", &["\n", "\n", "brown fox runs"], "\n\nbrown fox runs");
        check("the quick brown fox jumps", &["brown fox jum"], "brown fox jum");
        check("the quick brown fox jumps", &["Continuing: brown fox jumps"], "Continuing: brown fox jumps");
        check("", &["a"], "a");
    }

    #[test]
    fn what_says_the_same_over_and_over_is_left_alone() {
        let check = |said: &str, text: &str| assert_eq!(shown(Seam::repeats(said), &[text]).concat(), text, "{said:?}");
        check(&"=".repeat(40), &"=".repeat(20));
        check("la la la la la la la ", "la la la la la");
        check(&"0, ".repeat(400), &"0, ".repeat(400));
        check("    }\n}\n", "}\n}\n");
        check("if a {\n            ", "            b");
    }

    #[test]
    fn what_fits_nothing_goes_at_once() {
        let check = |said: &str, piece: &str| {
            let mut seam = Seam::repeats(said);
            assert_eq!(seam.pass(piece.to_owned()).as_deref(), Some(piece), "{said:?}");
            assert_eq!(seam, Seam::Closed);
        };
        check("the quick brown fox jumps", " over");
        check("the quick brown fox jumps", "\n\nIt");
        check("the quick brown fox jumps", "jumps");
        check("short", "short");
    }

    #[test]
    fn periods_are_found() {
        let check = |text: &str, expected| assert_eq!(is_periodic(text.as_bytes()), expected, "{text}");
        for text in ["aa", "abab", "ababa", "la la la "] {
            check(text, true);
        }
        for text in ["", "a", "aba", "abcab", "the end, the"] {
            check(text, false);
        }
    }

    /// A text that says nothing twice.
    fn text() -> impl Strategy<Value = String> {
        let word =
            prop::sample::select(vec!["fox", "é", "日本", "jumps,", "\u{1f600}", "over.\n", "…", "- ", "the", "\n\n"]);
        prop::collection::vec(word, 1..120)
            .prop_map(|words| words.iter().enumerate().map(|(nth, word)| format!("{nth}{word} ")).collect())
    }

    fn boundary(text: &str, share: f64) -> usize {
        // A share of a length is not beyond it.
        text.floor_char_boundary((text.len() as f64 * share) as usize)
    }

    fn pieces<'a>(text: &'a str, cuts: &[f64]) -> Vec<&'a str> {
        let mut cuts: Vec<_> = cuts.iter().map(|cut| boundary(text, *cut)).chain([0, text.len()]).collect();
        cuts.sort_unstable();
        cuts.windows(2).map(|w| &text[w[0]..w[1]]).filter(|piece| !piece.is_empty()).collect()
    }

    proptest! {
        /// Cut anywhere, any of the last words said again, in whatever pieces: the answer is whole, once.
        #[test]
        fn the_answer_is_whole_once(
            whole in text(),
            cut in 0.0..1.0,
            repeat in 0.0..1.0,
            lead in prop::sample::select(vec!["", " ", "\n", "...", "… ", "\n\n"]),
            cuts in prop::collection::vec(0.0..1.0, 0..12),
        ) {
            let (said, rest) = whole.split_at(boundary(&whole, cut));
            let again = &said[boundary(said, repeat)..];
            let told = again.len() <= MAX_REPEAT_BYTES && is_enough(again, false);
            let came = if told { format!("{lead}{again}{rest}") } else { rest.to_owned() };
            let got = shown(Seam::repeats(said), &pieces(&came, &cuts));
            prop_assert_eq!(format!("{said}{}", got.concat()), whole);
        }

        /// What is no repeat is shown as it is, at the latest at the end, and no more is withheld than the bound.
        #[test]
        fn no_byte_that_is_no_repeat_is_lost(
            said in "[ab \n.é]{0,60}",
            came in "[ab \n.é]{0,60}",
            cuts in prop::collection::vec(0.0..1.0, 0..12),
        ) {
            let got = shown(Seam::repeats(&said), &pieces(&came, &cuts)).concat();
            prop_assert!(came.ends_with(&got));
            let dropped = &came[..came.len() - got.len()];
            let mut repeats = leads(dropped).map(|lead| &dropped[lead..]);
            let is_repeat = repeats.any(|repeat| said.ends_with(repeat) && is_enough(repeat, true));
            prop_assert!(dropped.is_empty() || is_repeat, "{dropped:?}");
        }

        #[test]
        fn how_it_comes_makes_no_difference(
            said in "[ab \n.é]{0,60}",
            came in "[ab \n.é]{0,60}",
            cuts in prop::collection::vec(0.0..1.0, 0..12),
        ) {
            let once = shown(Seam::repeats(&said), &pieces(&came, &[])).concat();
            prop_assert_eq!(shown(Seam::repeats(&said), &pieces(&came, &cuts)).concat(), once);
        }

        #[test]
        fn little_is_withheld(said in text(), came in text(), cuts in prop::collection::vec(0.0..1.0, 0..40)) {
            let mut seam = Seam::repeats(&said);
            let whole = format!("{said}{came}");
            for piece in pieces(&whole, &cuts) {
                let _ = seam.pass(piece.to_owned());
                if let Seam::Repeats(repeats) = &seam {
                    prop_assert!(repeats.held.len() < MAX_REPEAT_BYTES + MAX_LEAD_BYTES);
                }
            }
        }
    }
}
