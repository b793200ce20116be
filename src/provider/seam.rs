//! The seam of an answer that is continued: what the model says of it once more is dropped. Pure; between the decoded
//! pieces and the worker ([`super::answer`]); the wire formats say what is to be expected.
//!
//! A model that takes the beginning of its answer (*prefill*) goes on behind it to the byte, but for blanks that the API refuses at
//! the beginning's end. Some servers ignore the prefill: then the answer begins anew. A model that is *asked* to go on often says
//! its last words again, sometimes behind an ellipsis or a line end. So what comes is compared with what was said. As long as it may
//! be a repeat it is withheld; the first character that is none lets it go. What fits nothing is never withheld.
//!
//! | repeat | prefilled | asked |
//! |---|---|---|
//! | the whole answer, from its start | dropped | dropped |
//! | half a word at the end of what was said, and its rest: `sev`, `seven` | from 3 letters on | from 2 letters on |
//! | [`MIN_REPEAT_CHARS`] characters or more of the end, up to [`MAX_REPEAT_BYTES`]; the longest counts | – | dropped |
//! | the unfinished last line from its start ([`MIN_LINE_CHARS`]) | – | dropped |
//!
//! What cannot be told:
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

/// Letters of half a word that is said again, where the model was asked to go on.
const MIN_HALF_WORD: usize = 2;
/// The same where it took the beginning of its answer: `bye` and `bye` may be one word.
const MIN_HALF_WORD_PREFILLED: usize = 3;
/// Letters of a word; a longer run is no word.
const MAX_HALF_WORD: usize = 40;

/// What is to be watched for at the beginning of a continuation. The default watches for nothing.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Seam {
    watch: Option<Watch>,
    /// Blanks that the API did not take at the end of the answer's beginning.
    blanks: String,
}

/// The watch for repeats.
#[derive(Debug, PartialEq, Eq)]
struct Watch {
    repeats: Repeats,
    /// Whether what comes may still be the whole answer, begun anew.
    restart: Option<Restart>,
}

/// An answer that may have been begun anew.
#[derive(Debug, PartialEq, Eq)]
struct Restart {
    said: String,
    /// Bytes that are alike so far.
    matched: usize,
}

/// The end of what was said, and what came.
#[derive(Debug, PartialEq, Eq)]
struct Repeats {
    tail: String,
    /// Places in `tail` from which on it would be a repeat; the first ones are the longest.
    starts: Vec<usize>,
    /// Where the half word at the end of `tail` begins.
    half_word: Option<usize>,
    /// What is withheld.
    held: String,
}

impl Seam {
    /// Blanks that were cut off: should the model say them again, they are dropped.
    pub(crate) fn blanks(blanks: &str) -> Self {
        Self { watch: None, blanks: blanks.to_owned() }
    }

    /// The model was given `said` as the beginning of its answer, without the `blanks` behind it.
    pub(crate) fn prefilled(said: &str, blanks: &str) -> Self {
        let repeats = Repeats::new(said, MIN_HALF_WORD_PREFILLED);
        let repeats = Repeats { starts: Vec::new(), ..repeats };
        Self { watch: Watch::new(said, repeats), blanks: blanks.to_owned() }
    }

    /// The model is asked to go on from `said`.
    pub(crate) fn repeats(said: &str) -> Self {
        Self { watch: Watch::new(said, Repeats::new(said, MIN_HALF_WORD)), blanks: String::new() }
    }

    /// What may be shown now that `text` came; nothing while it may be a repeat, or when it was one.
    pub(crate) fn pass(&mut self, text: String) -> Option<String> {
        let text = match &mut self.watch {
            Some(watch) => {
                let shown = watch.pass(&text)?;
                self.watch = None;
                shown
            }
            None => text,
        };
        self.pass_blanks(text)
    }

    fn pass_blanks(&mut self, text: String) -> Option<String> {
        if !self.blanks.is_empty() {
            let doubled = doubled(&self.blanks, &text);
            if doubled == text.len() {
                self.blanks.drain(..doubled);
                return None;
            }
            self.blanks.clear();
            return Some(text[doubled..].to_owned());
        }
        (!text.is_empty()).then_some(text)
    }

    /// What is still withheld and no repeat, when no more text comes, or something else comes first.
    pub(crate) fn close(&mut self) -> Option<String> {
        let Some(watch) = self.watch.take() else {
            self.blanks.clear();
            return None;
        };
        let shown = self.pass_blanks(watch.close());
        self.blanks.clear();
        shown
    }

    /// Whether anything of what comes may still be dropped.
    pub(crate) fn is_watching(&self) -> bool {
        self.watch.is_some() || !self.blanks.is_empty()
    }

    /// Whether something is withheld.
    pub(crate) fn withholds(&self) -> bool {
        self.watch.as_ref().is_some_and(|watch| !watch.repeats.held.is_empty())
    }
}

impl Watch {
    fn new(said: &str, repeats: Repeats) -> Option<Self> {
        // How often a text that goes over the same words should do so is unknown.
        let is_told = is_enough(said, true) && !is_periodic(repeats.tail.as_bytes());
        let restart = is_told.then(|| Restart { said: said.to_owned(), matched: 0 });
        let is_idle = restart.is_none() && repeats.starts.is_empty() && repeats.half_word.is_none();
        (!is_idle).then_some(Self { repeats, restart })
    }

    /// What may be shown once that is clear; `None` while it is not.
    fn pass(&mut self, text: &str) -> Option<String> {
        self.repeats.held.push_str(text);
        if let Some(restart) = &mut self.restart {
            let came = &self.repeats.held.as_bytes()[restart.matched..];
            let said = &restart.said.as_bytes()[restart.matched..];
            let alike = came.iter().zip(said).take_while(|(a, b)| a == b).count();
            restart.matched += alike;
            if alike == said.len() {
                return Some(self.repeats.held.split_off(restart.said.len()));
            }
            if alike == came.len() && alike < said.len() {
                return None;
            }
            self.restart = None;
        }
        let dropped = self.repeats.judge(false)?;
        Some(self.repeats.held.split_off(dropped))
    }

    fn close(mut self) -> String {
        // Begun anew, and broken off before its news.
        if self.restart.is_some() && self.repeats.held.chars().count() >= MIN_REPEAT_CHARS {
            return String::new();
        }
        let dropped = self.repeats.judge(true).unwrap_or(0);
        self.repeats.held.split_off(dropped)
    }
}

impl Repeats {
    /// Repeats of the end of `said`, half a word of `min_half_word` letters or more among them.
    fn new(said: &str, min_half_word: usize) -> Self {
        let from = said.ceil_char_boundary(said.len().saturating_sub(MAX_REPEAT_BYTES));
        let tail = said[from..].to_owned();
        let starts = tail
            .char_indices()
            .map(|(at, _)| at)
            .filter(|&at| {
                let begins_line =
                    if at == 0 { from == 0 || said[..from].ends_with('\n') } else { tail[..at].ends_with('\n') };
                is_enough(&tail[at..], begins_line)
            })
            .collect();
        let half_word = half_word(&tail, min_half_word);
        Self { tail, starts, half_word, held: String::new() }
    }

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
        if longest == 0 {
            return self.judge_half_word(is_all);
        }
        let repeat = &self.held[found - longest..found];
        Some(if is_periodic(repeat.as_bytes()) { 0 } else { found })
    }

    /// Half a word is said again only together with its rest: `sev` and `seven`, but `the` and `the`.
    fn judge_half_word(&self, is_all: bool) -> Option<usize> {
        let Some(half) = self.half_word.map(|start| &self.tail[start..]) else { return Some(0) };
        match self.held.strip_prefix(half) {
            Some(rest) => match rest.chars().next() {
                Some(next) => Some(if is_letter(next) { half.len() } else { 0 }),
                None if is_all => Some(0),
                None => None,
            },
            None if !is_all && half.starts_with(self.held.as_str()) => None,
            None => Some(0),
        }
    }
}

/// Whether a repeat of this end of an answer can be told from chance.
fn is_enough(end: &str, begins_line: bool) -> bool {
    let chars = end.chars().count();
    let words = end.chars().any(char::is_alphanumeric);
    words && (chars >= MIN_REPEAT_CHARS || begins_line && chars >= MIN_LINE_CHARS && !end.contains('\n'))
}

/// A letter of a script that has blanks between words: elsewhere a word may well stand twice.
fn is_letter(c: char) -> bool {
    c.is_alphanumeric() && c < '\u{2e80}'
}

/// Where the word at the end of `text` begins, if it is one of `min` letters or more.
fn half_word(text: &str, min: usize) -> Option<usize> {
    let letters = text.chars().rev().take_while(|c| is_letter(*c)).take(MAX_HALF_WORD + 1).count();
    let start = text.char_indices().rev().nth(letters.checked_sub(1)?)?.0;
    (min..=MAX_HALF_WORD).contains(&letters).then_some(start)
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
        assert_eq!(seam, Seam::default());
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
    fn an_answer_that_is_begun_anew_is_cut_to_its_news() {
        let long: String = (0..900).map(|n| format!("word {n} ")).collect();
        let check = |said: &str, pieces: &[&str], expected: &str| {
            for seam in [Seam::prefilled(said, ""), Seam::repeats(said)] {
                assert_eq!(shown(seam, pieces).concat(), expected, "{said:?} {pieces:?}");
            }
        };
        check("w0 w1 w2", &["w0 w1 w2 w3"], " w3");
        check("w0 w1 w2", &["w0", " w1", " w2", " w3"], " w3");
        check("one two three si", &["one two ", "three six seven"], "x seven");
        check(&long, &[&long, "and on"], "and on");
        check(&long, &[&long[..1_500]], "");
        // Another answer than before: all of it stays.
        check("one two three four", &["one two", " five"], "one two five");
        check(&long, &[&long[..5_000], "!"], &format!("{}!", &long[..5_000]));
        let seam = Seam::prefilled("once upon a", " \n");
        assert_eq!(shown(seam, &["once upon a \ntime"]).concat(), "time");
        let seam = Seam::prefilled("once upon a", " ");
        assert_eq!(shown(seam, &[" time"]).concat(), "time");
    }

    #[test]
    fn half_a_word_is_said_once() {
        let check = |said: &str, pieces: &[&str], prefilled: &str, asked: &str| {
            assert_eq!(shown(Seam::prefilled(said, ""), pieces).concat(), prefilled, "prefilled {said:?} {pieces:?}");
            assert_eq!(shown(Seam::repeats(said), pieces).concat(), asked, "asked {said:?} {pieces:?}");
        };
        check("five six sev", &["seven eight"], "en eight", "en eight");
        check("five six sev", &["s", "e", "ve", "n"], "en", "en");
        check("five six sev", &["en eight"], "en eight", "en eight");
        check("ein Gebäu", &["Gebäude"], "de", "de");
        // Too short to tell from a word that begins so by right.
        check("she is un", &["unknown"], "unknown", "known");
        check("I saw a", &["apples"], "apples", "apples");
        // The word was whole, and stands there again.
        check("say bye", &["bye"], "bye", "bye");
        check("say bye", &["bye, bye"], "bye, bye", "bye, bye");
        check("日本", &["日本語"], "日本語", "日本語");
        check("five six sev", &[" seven"], " seven", " seven");
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
            assert_eq!(seam, Seam::default());
        };
        check("the quick brown fox jumps", " over");
        check("the quick brown fox jumps", "\n\nIt");
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
            let half = |repeat: &str| half_word(&said, MIN_HALF_WORD).is_some_and(|start| &said[start..] == repeat);
            let is_repeat = repeats.any(|repeat| said.ends_with(repeat) && (is_enough(repeat, true) || half(repeat)));
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
                if let Some(Watch { repeats, restart }) = &seam.watch {
                    let bound = if restart.is_some() { said.len() } else { MAX_REPEAT_BYTES + MAX_LEAD_BYTES };
                    prop_assert!(repeats.held.len() <= bound);
                }
            }
        }
    }
}
