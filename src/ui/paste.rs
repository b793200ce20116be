//! What a terminal marks as pasted. It is collected key by key and put into the line at its end: a short text as it is, a long one as
//! a sign such as `[42 lines]` in its place, for rustyline draws a line of more rows than the screen has over itself. The sign is
//! text like any other (it can be deleted, killed, yanked); where it still stands when the line is taken, it means what it stands for.
//!
//! rustyline has a paste of its own, whose text nobody sees before it stands in the line. So its two keys are ours (`keys`), and
//! while a paste is open every key is part of it: an Enter sends nothing, a Tab completes nothing.

use std::sync::Arc;

use rustyline::{KeyCode, KeyEvent, Modifiers};
use tokio::sync::watch;

use super::guard;
use crate::domain::limits::{MAX_HISTORY_LINES, MAX_MESSAGE_BYTES};
use crate::domain::text::from_keys;

/// A text of more lines than this is folded, here and where it is echoed.
pub(super) const FOLD_LINES: usize = 10;
/// A text of more bytes too, on the narrowest screen sooner: see [`is_tall`].
pub(super) const FOLD_BYTES: usize = 4_000;
/// Ctrl-C so often ends a paste whose end got lost.
const IMPATIENCE: u8 = 3;
/// Folded texts that are kept when a line begins, so that one that was killed can be yanked later; at the bound the oldest goes.
const KEPT: usize = 32;
/// While a line is open none goes for a step through the history: below the newest step stands the line that one began with.
const KEPT_IN_A_LINE: usize = KEPT + 2 * MAX_HISTORY_LINES;
/// What a terminal sends before a paste.
pub(super) const PASTE_START: &[u8] = b"\x1b[200~";
/// What a terminal sends behind a paste.
pub(super) const PASTE_END: &[u8] = b"\x1b[201~";

/// A folded text and the sign in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Folded {
    sign: String,
    text: Arc<str>,
}

/// What was folded lately.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Kept(Arc<[Folded]>);

impl Kept {
    /// `line` with what its signs stand for.
    pub(super) fn unfold(&self, line: &str) -> String {
        let (mut whole, mut rest) = (String::new(), line);
        let first = |rest: &str| {
            let found = self.0.iter().filter_map(|folded| rest.find(&folded.sign).map(|at| (at, folded)));
            // Of two that begin there, the longer.
            found.min_by_key(|(at, folded)| (*at, std::cmp::Reverse(folded.sign.len()))).map(|(at, f)| (at, f.clone()))
        };
        while let Some((at, Folded { sign, text })) = first(rest) {
            whole.push_str(&rest[..at]);
            whole.push_str(&text);
            rest = &rest[at + sign.len()..];
        }
        whole + rest
    }

    /// Whether `line` begins with a sign.
    pub(super) fn is_before_a_sign(&self, line: &str) -> bool {
        self.0.iter().any(|folded| line.starts_with(folded.sign.as_str()))
    }

    /// Whether `line` ends with a sign. Each begins with its only bracket.
    pub(super) fn is_behind_a_sign(&self, line: &str) -> bool {
        self.0.iter().any(|folded| line.ends_with(folded.sign.as_str()))
    }
}

/// What a paste came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pasted {
    /// What to put into the line.
    Text(String),
    /// It has more bytes than a message may have: how many there were.
    TooLong(usize),
}

#[derive(Debug, Default)]
struct State {
    /// What has come of a paste that is open.
    open: Option<Open>,
    kept: Kept,
}

#[derive(Debug, Default)]
struct Open {
    text: String,
    bytes: usize,
    /// Ctrl-C so often, with nothing between.
    interrupts: u8,
}

/// The pastes of one prompt; written and read by the reader's thread, but rustyline wants handlers that could be shared.
#[derive(Debug, Default)]
pub(super) struct Pastes(watch::Sender<State>);

impl Pastes {
    /// The terminal says that a paste begins.
    pub(super) fn begin(&self) {
        self.0.send_modify(|state| state.open = Some(Open::default()));
    }

    /// Whether one is open.
    pub(super) fn is_open(&self) -> bool {
        self.0.borrow().open.is_some()
    }

    /// A key, while one is open.
    pub(super) fn take(&self, key: &KeyEvent) {
        let Some(c) = character(key) else { return };
        self.0.send_modify(|state| {
            if let Some(open) = &mut state.open {
                open.interrupts = 0;
                open.bytes += c.len_utf8();
                if open.bytes <= MAX_MESSAGE_BYTES {
                    open.text.push(c);
                }
            }
        });
    }

    /// A Ctrl-C in it. Whether somebody seems to be there who waits for the end of one that has none.
    pub(super) fn interrupt(&self) -> bool {
        let mut is_lost = false;
        self.0.send_modify(|state| {
            if let Some(open) = &mut state.open {
                open.interrupts = open.interrupts.saturating_add(1);
                is_lost = open.interrupts >= IMPATIENCE;
            }
        });
        is_lost
    }

    /// The paste is over.
    pub(super) fn end(&self) -> Pasted {
        let mut open = Open::default();
        self.0.send_modify(|state| open = state.open.take().unwrap_or_default());
        if open.bytes > MAX_MESSAGE_BYTES {
            return Pasted::TooLong(open.bytes);
        }
        Pasted::Text(self.fold(from_keys(open.text)))
    }

    /// Nothing comes of a paste that is open. Whether one was.
    pub(super) fn abandon(&self) -> bool {
        self.0.send_if_modified(|state| state.open.take().is_some())
    }

    /// A line begins, with this in it: what it stands for is kept, and of the rest the newest.
    pub(super) fn begin_line(&self, line: &str) {
        self.0.send_if_modified(|state| {
            let too_many = state.kept.0.len().saturating_sub(KEPT);
            if too_many == 0 {
                return false;
            }
            let kept = state.kept.0.iter().enumerate();
            let kept = kept.filter(|(nth, folded)| *nth >= too_many || line.contains(&folded.sign));
            state.kept = Kept(kept.map(|(_, folded)| folded.clone()).collect());
            true
        });
    }

    /// A text as it stands in a line: a long one as a sign.
    pub(super) fn fold(&self, text: String) -> String {
        if !is_long(&text) && !is_tall(&text) {
            return text;
        }
        let text: Arc<str> = text.into();
        let mut sign = String::new();
        self.0.send_modify(|state| {
            let same = state.kept.0.iter().find(|folded| folded.text == text);
            sign = same.map_or_else(|| unused_sign(&text, &state.kept), |folded| folded.sign.clone());
            let others = state.kept.0.iter().filter(|folded| folded.sign != sign);
            let skip = others.clone().count().saturating_sub(KEPT_IN_A_LINE - 1);
            let newest = Folded { sign: sign.clone(), text: Arc::clone(&text) };
            state.kept = Kept(others.skip(skip).cloned().chain([newest]).collect());
        });
        sign
    }

    /// What was folded lately.
    pub(super) fn kept(&self) -> Kept {
        self.0.borrow().kept.clone()
    }
}

/// Whether it takes half of the screen's rows or more, as one line.
fn is_tall(text: &str) -> bool {
    text.len() / guard::columns().max(1) >= guard::rows().div_ceil(2)
}

/// Whether it is folded on any screen.
pub(super) fn is_long(text: &str) -> bool {
    text.len() > FOLD_BYTES || text.lines().count() > FOLD_LINES
}

/// What is said of a text that is not shown.
pub(super) fn sign(text: &str) -> String {
    match text.lines().count() {
        1 => format!("[1 line, {:.1} KB]", text.len() as f64 / 1e3),
        lines => format!("[{lines} lines]"),
    }
}

fn unused_sign(text: &str, kept: &Kept) -> String {
    let first = sign(text);
    let is_used = |sign: &String| kept.0.iter().any(|folded| folded.sign == *sign);
    let numbered = (2..).map(|n| format!("{} #{n}]", first.trim_end_matches(']')));
    std::iter::once(first.clone()).chain(numbered).find(|sign| !is_used(sign)).unwrap_or(first)
}

/// The character that a key of a paste stands for. Control characters and what looks like other keys is left out, as rustyline's
/// own paste does: in a line they would drive the terminal.
fn character(key: &KeyEvent) -> Option<char> {
    let KeyEvent(code, modifiers) = key;
    match code {
        KeyCode::Char('J') if *modifiers == Modifiers::CTRL => Some('\n'),
        KeyCode::Char(c) if !modifiers.contains(Modifiers::CTRL) => Some(*c),
        KeyCode::Enter => Some('\r'),
        KeyCode::Tab => Some('\t'),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paste(pastes: &Pastes, text: &str) -> Pasted {
        pastes.begin();
        assert!(pastes.is_open());
        text.chars().for_each(|c| pastes.take(&KeyEvent::new(c, Modifiers::NONE)));
        let pasted = pastes.end();
        assert!(!pastes.is_open());
        pasted
    }

    fn lines(count: usize) -> String {
        (0..count).map(|n| format!("line {n}\n")).collect()
    }

    #[test]
    fn a_short_paste_is_text_and_drives_nothing() {
        let check = |text: &str, expected: &str| {
            assert_eq!(paste(&Pastes::default(), text), Pasted::Text(expected.to_owned()), "{text:?}");
        };
        check("one\rtwo\r\nthree\nfour", "one\ntwo\nthree\nfour");
        check("a\tb\x07\x1b\u{9b}\x08c 日本", "a\tbc 日本");
        check("\u{feff}one\r\ntwo\r", "one\ntwo\n");
        check("", "");
    }

    #[test]
    fn a_long_paste_is_a_sign_that_stands_for_it() {
        let pastes = Pastes::default();
        let text = lines(42);
        assert_eq!(paste(&pastes, &text), Pasted::Text("[42 lines]".to_owned()));
        assert_eq!(paste(&pastes, &text.replace("line", "row")), Pasted::Text("[42 lines #2]".to_owned()));
        assert_eq!(paste(&pastes, &text), Pasted::Text("[42 lines]".to_owned()), "the same again");
        let kept = pastes.kept();
        let check = |line: &str, expected: &str| assert_eq!(kept.unfold(line), expected, "{line}");
        check("no sign", "no sign");
        check("see [42 lines] and [42 lines]", &format!("see {text} and {text}"));
        check("[42 lines #2]", &text.replace("line", "row"));
        check("[42 line]", "[42 line]");
        assert!(kept.is_behind_a_sign("see [42 lines]"));
        assert!(!kept.is_behind_a_sign("see [42 lines"));
        assert_eq!(paste(&pastes, &"x".repeat(98_000)), Pasted::Text("[1 line, 98.0 KB]".to_owned()));
    }

    #[test]
    fn what_a_sign_stands_for_is_not_looked_into() {
        let pastes = Pastes::default();
        let text = lines(41) + "[42 lines]";
        assert_eq!(pastes.fold(text.clone()), "[42 lines]");
        assert_eq!(pastes.kept().unfold("[42 lines]"), text);
    }

    #[test]
    fn the_bounds_hold() {
        let pastes = Pastes::default();
        let long = "x".repeat(MAX_MESSAGE_BYTES + 1);
        assert_eq!(paste(&pastes, &long), Pasted::TooLong(long.len()));
        for n in 0..KEPT + 5 {
            pastes.fold(lines(11 + n));
        }
        assert_eq!(pastes.kept().unfold("[11 lines]"), lines(11), "nothing goes while the line is open");
        pastes.begin_line("see [12 lines]");
        assert_eq!(pastes.kept().0.len(), KEPT + 1);
        assert_eq!(pastes.kept().unfold("[11 lines]"), "[11 lines]", "the oldest is gone");
        assert_eq!(pastes.kept().unfold("[12 lines]"), lines(12), "what stands in the line is not");
        pastes.begin_line("");
        assert_eq!(pastes.kept().0.len(), KEPT);
    }
}
