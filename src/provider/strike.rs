//! Keys in an answer: a server that says the key back, whole or piece by piece, brings `[key]` into the answer in its place.
//!
//! The pieces of a text are looked at as one text. The end of what came is withheld only where it is a proper beginning of a key, so
//! that no more than a key's length is withheld, and other text is never delayed. What a piece costs is a search for the keys' first
//! bytes ([`memchr`]), and nothing is copied where none is found.
//!
//! Nothing is withheld for long: [`Striker::release`] lets go what is withheld when nothing follows for a moment, and
//! [`Striker::close`] at the end. A beginning of fewer than [`MIN_CUT_KEY_BYTES`] goes as it is, for every key of a vendor begins
//! like that; a longer one is a key that was cut, and is struck. A key whose beginning was let go is struck from there on.

use std::sync::Arc;

use crate::domain::Delta;

/// What stands where a key stood.
pub(crate) const STRUCK: &str = "[key]";
/// Characters of a key that is struck from answers. Shorter ones may be words: `ollama` is a usual one.
const MIN_KEY_CHARS: usize = 20;
/// Bytes of a key's beginning that are the key's own. What all keys of a vendor begin with is shorter (`sk-ant-api03-`).
const MIN_CUT_KEY_BYTES: usize = 16;

/// Which text of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Of {
    /// [`Delta::Text`].
    Text,
    /// [`Delta::Reasoning`].
    Reasoning,
}

impl Of {
    const ALL: [Self; 2] = [Self::Text, Self::Reasoning];

    /// `text` as a piece of this.
    const fn delta(self, text: String) -> Delta {
        match self {
            Self::Text => Delta::Text(text),
            Self::Reasoning => Delta::Reasoning(text),
        }
    }
}

/// Strikes the keys of one request from its answer.
pub(crate) struct Striker {
    keys: Keys,
    /// In the order of [`Of`].
    tails: [Tail; 2],
    /// What is withheld has changed since it was last told.
    has_news: bool,
}

/// The keys, the longest first, and their first bytes without repeats.
#[derive(Clone)]
pub(crate) struct Keys {
    all: Arc<[String]>,
    firsts: Vec<u8>,
}

/// The end of what came, as far as it may be the beginning of a key.
#[derive(Debug, Default)]
struct Tail {
    held: String,
    /// Bytes of it that were let go.
    shown: usize,
    /// [`STRUCK`] was let go for it.
    is_struck: bool,
}

/// What is at a place of a text.
enum Found {
    /// No key.
    Nothing,
    /// A key of so many bytes.
    Key(usize),
    /// Perhaps a key, of which more is to come.
    Beginning,
}

impl Keys {
    /// Those of `secrets`, the longest first, that are long enough.
    pub(crate) fn of(secrets: &[String]) -> Self {
        let long = secrets.iter().filter(|secret| secret.chars().count() >= MIN_KEY_CHARS);
        let all: Arc<[String]> = long.cloned().collect();
        let mut firsts: Vec<u8> = all.iter().filter_map(|key| key.bytes().next()).collect();
        firsts.sort_unstable();
        firsts.dedup();
        Self { all, firsts }
    }

    /// Where from `from` on a key may begin.
    fn candidate(&self, text: &[u8], from: usize) -> Option<usize> {
        let rest = &text[from..];
        let at = match *self.firsts.as_slice() {
            [] => None,
            [a] => memchr::memchr(a, rest),
            [a, b] => memchr::memchr2(a, b, rest),
            [a, b, c] => memchr::memchr3(a, b, c, rest),
            ref more => rest.iter().position(|byte| more.contains(byte)),
        };
        at.map(|at| from + at)
    }

    fn at_start(&self, rest: &[u8]) -> Found {
        for key in self.all.iter().map(String::as_bytes) {
            if key.len() > rest.len() {
                if key.starts_with(rest) {
                    return Found::Beginning;
                }
            } else if rest.starts_with(key) {
                return Found::Key(key.len());
            }
        }
        Found::Nothing
    }

    /// The whole of `text` without any key.
    pub(crate) fn strike(&self, text: &str) -> String {
        let mut tail = Tail::default();
        let mut struck = tail.pass(self, text.to_owned()).unwrap_or_default();
        struck.extend(tail.close(self));
        struck
    }
}

impl Tail {
    /// What may be shown now that `text` came.
    fn pass(&mut self, keys: &Keys, text: String) -> Option<String> {
        if self.held.is_empty() && keys.candidate(text.as_bytes(), 0).is_none() {
            return Some(text);
        }
        let before = std::mem::take(self);
        let all = before.held + &text;
        let mut shown = String::with_capacity(all.len());
        // What was let go is not shown again.
        let mut copied = before.shown;
        let mut from = 0;
        while let Some(at) = keys.candidate(all.as_bytes(), from) {
            from = match keys.at_start(&all.as_bytes()[at..]) {
                Found::Nothing => at + 1,
                Found::Key(bytes) => {
                    shown.push_str(all.get(copied..at).unwrap_or_default());
                    if !(at == 0 && before.is_struck) {
                        shown.push_str(STRUCK);
                    }
                    copied = copied.max(at + bytes);
                    at + bytes
                }
                Found::Beginning => {
                    shown.push_str(all.get(copied..at).unwrap_or_default());
                    let is_struck = at == 0 && before.is_struck;
                    *self = Self { held: all[at..].to_owned(), shown: copied.saturating_sub(at), is_struck };
                    return (!shown.is_empty()).then_some(shown);
                }
            };
        }
        shown.push_str(all.get(copied..).unwrap_or_default());
        (!shown.is_empty()).then_some(shown)
    }

    /// Whether anything of it was not let go.
    const fn withholds(&self) -> bool {
        self.shown < self.held.len()
    }

    /// What [`Tail::release`] would let go.
    fn withheld(&self) -> Option<&str> {
        match &self.held[self.shown..] {
            "" => None,
            _ if self.held.len() >= MIN_CUT_KEY_BYTES => (!self.is_struck).then_some(STRUCK),
            withheld => Some(withheld),
        }
    }

    /// Lets go what is withheld. Should more of the key come, that is struck all the same.
    fn release(&mut self) -> Option<String> {
        let text = self.withheld().map(str::to_owned);
        self.is_struck |= self.withholds() && self.held.len() >= MIN_CUT_KEY_BYTES;
        self.shown = self.held.len();
        text
    }

    /// What is still withheld, when nothing more comes: a shorter key may stand in what was taken for the beginning of a longer one.
    fn close(&mut self, keys: &Keys) -> Option<String> {
        let Self { held, shown, is_struck } = std::mem::take(self);
        if is_struck {
            return None;
        }
        let mut rest = held.as_str();
        let (mut text, mut copied) = (String::new(), shown);
        while let Some(first) = rest.chars().next() {
            let at = held.len() - rest.len();
            let whole = keys.all.iter().find(|key| rest.starts_with(key.as_str())).map(String::len);
            let is_cut = || rest.len() >= MIN_CUT_KEY_BYTES && keys.all.iter().any(|key| key.starts_with(rest));
            let bytes = match whole.or_else(|| is_cut().then_some(rest.len())) {
                Some(bytes) => {
                    text.push_str(STRUCK);
                    bytes
                }
                None => {
                    text.push_str(if at < copied { "" } else { &rest[..first.len_utf8()] });
                    first.len_utf8()
                }
            };
            copied = copied.max(at + bytes);
            rest = &rest[bytes..];
        }
        (!text.is_empty()).then_some(text)
    }
}

impl Striker {
    /// For an answer in which none of `keys` may stand.
    pub(crate) fn new(keys: Keys) -> Self {
        Self { keys, tails: Default::default(), has_news: false }
    }

    /// What may be shown now that `text` came.
    pub(crate) fn pass(&mut self, of: Of, text: String) -> Option<String> {
        let tail = &mut self.tails[of as usize];
        let shown = tail.pass(&self.keys, text);
        self.has_news = tail.withholds();
        shown
    }

    /// Whether anything is withheld.
    pub(crate) fn withholds(&self) -> bool {
        self.tails.iter().any(Tail::withholds)
    }

    /// Lets go what is withheld of `of`.
    pub(crate) fn release(&mut self, of: Of) -> Option<String> {
        self.has_news = false;
        self.tails[of as usize].release()
    }

    /// Lets go what is withheld of either, of which only one withholds anything where the other was released before a piece of it
    /// passed.
    pub(crate) fn release_any(&mut self) -> Option<Delta> {
        Of::ALL.into_iter().find_map(|of| self.release(of).map(|text| of.delta(text)))
    }

    /// What would be let go now, if that was not told yet.
    pub(crate) fn news(&mut self) -> Option<Delta> {
        if !std::mem::take(&mut self.has_news) {
            return None;
        }
        Of::ALL.into_iter().find_map(|of| Some(of.delta(self.tails[of as usize].withheld()?.to_owned())))
    }

    /// What is still withheld of `of`, when nothing more comes.
    pub(crate) fn close(&mut self, of: Of) -> Option<String> {
        self.tails[of as usize].close(&self.keys)
    }

    /// `text` without any key.
    pub(crate) fn strike(&self, text: &str) -> String {
        self.keys.strike(text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: &str = "sk-proj-0123456789abcdef";

    fn striker(keys: &[&str]) -> Striker {
        let mut keys: Vec<_> = keys.iter().map(|key| (*key).to_owned()).collect();
        keys.sort_by_key(|key| std::cmp::Reverse(key.len()));
        Striker::new(Keys::of(&keys))
    }

    fn shown(striker: &mut Striker, pieces: &[&str]) -> String {
        let mut all: String = pieces.iter().filter_map(|piece| striker.pass(Of::Text, (*piece).to_owned())).collect();
        all.extend(striker.close(Of::Text));
        all
    }

    #[test]
    fn a_key_is_struck_whole_and_in_pieces() {
        let check = |pieces: &[&str], expected: &str| {
            assert_eq!(shown(&mut striker(&[KEY]), pieces), expected, "{pieces:?}");
        };
        check(&["it is ", KEY, "."], "it is [key].");
        check(&[&format!("{KEY}{KEY} {KEY}")], "[key][key] [key]");
        check(&["it is sk-proj-01", "23456789", "abcdef!"], "it is [key]!");
        check(&["sk-ssk-proj-0123456789abcd", "ef"], "sk-s[key]");
        // A text that only begins like a key.
        check(&["sk", "-proj", "ect"], "sk-project");
        check(&["keys begin with sk-proj-"], "keys begin with sk-proj-");
        // A key that was cut.
        check(&["it is sk-proj-012345678"], "it is [key]");
    }

    #[test]
    fn only_what_may_be_a_key_is_withheld() {
        let mut striker = striker(&[KEY]);
        assert_eq!(striker.pass(Of::Text, "words and s".to_owned()), Some("words and ".to_owned()));
        assert!(striker.withholds());
        assert_eq!(striker.news(), Some(Delta::Text("s".to_owned())));
        assert_eq!(striker.news(), None);
        assert_eq!(striker.pass(Of::Text, "o on".to_owned()), Some("so on".to_owned()));
        assert!(!striker.withholds());
        // Thoughts are a text of their own.
        assert_eq!(striker.pass(Of::Reasoning, format!("{KEY}s")), Some("[key]".to_owned()));
        assert_eq!(striker.release_any(), Some(Delta::Reasoning("s".to_owned())));
    }

    #[test]
    fn what_was_let_go_is_not_shown_again_and_the_rest_of_its_key_is_struck() {
        let check = |first: &str, let_go: &str, then: &[&str], expected: &str| {
            let mut striker = striker(&[KEY]);
            let mut all = striker.pass(Of::Text, first.to_owned()).unwrap_or_default();
            assert_eq!(striker.release(Of::Text).as_deref().unwrap_or_default(), let_go, "{first:?}");
            assert!(!striker.withholds());
            all.push_str(let_go);
            all.push_str(&shown(&mut striker, then));
            assert_eq!(all, expected, "{first:?} {then:?}");
        };
        check("a sk-", "sk-", &["ill"], "a sk-ill");
        check("a sk-", "sk-", &["proj-0123456789", "abcdef b"], "a sk-[key] b");
        check("a sk-", "sk-", &["proj-01234"], "a sk-proj-01234");
        check("a sk-", "sk-", &["proj-0123456789"], "a sk-[key]");
        check("a sk-proj-01234567", "[key]", &["89abcdef", " b"], "a [key] b");
        check("a sk-proj-01234567", "[key]", &["89"], "a [key]");
        check("a sk-proj-01234567", "[key]", &["x"], "a [key]x");
        check("a s", "s", &["sk-proj-0123456789abcdef"], "a s[key]");
    }

    #[test]
    fn short_keys_are_words() {
        assert_eq!(shown(&mut striker(&["ollama"]), &["ollama ", "runs models"]), "ollama runs models");
        assert_eq!(striker(&["a-key-of-20-characte"]).strike("a-key-of-20-characte"), "[key]");
    }

    /// By the letter: at each place the longest key is struck, and at the end what is the beginning of one.
    fn oracle(keys: &[String], text: &str) -> String {
        let mut struck = String::new();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let key = keys.iter().filter(|key| rest.starts_with(key.as_str())).map(String::len).max();
            let is_cut = rest.len() >= MIN_CUT_KEY_BYTES && keys.iter().any(|key| key.starts_with(rest));
            match key.or(is_cut.then_some(rest.len())) {
                Some(bytes) => {
                    struck.push_str("[key]");
                    rest = &rest[bytes..];
                }
                None => {
                    struck.push(first);
                    rest = &rest[first.len_utf8()..];
                }
            }
        }
        struck
    }

    proptest! {
        /// Of few letters, so that keys overlap, hold each other, and stand half in the text.
        #[test]
        fn pieces_are_struck_as_the_whole_is(
            mut keys in prop::collection::vec("[ab]{18,26}", 0..4),
            with_prefix in any::<bool>(),
            parts in prop::collection::vec((0usize..5, 0usize..30, "[abé]{0,4}"), 0..8),
            cuts in prop::collection::vec(0usize..200, 0..12),
        ) {
            if with_prefix && let Some(key) = keys.first().cloned() {
                keys.push(format!("{key}abba"));
                keys.push(format!("b {key}"));
            }
            let mut text = String::new();
            for (nth, bytes, between) in parts {
                if let Some(key) = keys.get(nth) {
                    text.push_str(&key[..bytes.min(key.len())]);
                }
                text.push_str(&between);
            }
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| text.floor_char_boundary(cut)).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let pieces: Vec<_> = cuts.windows(2).map(|cut| &text[cut[0]..cut[1]]).collect();
            let borrowed: Vec<_> = keys.iter().map(String::as_str).collect();
            let long: Vec<_> = keys.iter().filter(|key| key.len() >= MIN_KEY_CHARS).cloned().collect();
            prop_assert_eq!(shown(&mut striker(&borrowed), &pieces), oracle(&long, &text));
        }

        /// Wherever nothing follows for a moment, no text is lost but keys, and no whole key is shown.
        #[test]
        fn pauses_lose_no_text_and_show_no_key(
            parts in prop::collection::vec((0usize..25, "[a-z0-9 -]{0,6}"), 0..8),
            cuts in prop::collection::vec((0usize..200, any::<bool>()), 0..12),
        ) {
            let text: String = parts.into_iter().map(|(bytes, between)| KEY[..bytes.min(KEY.len())].to_owned() + &between).collect();
            let mut striker = striker(&[KEY]);
            let mut cuts: Vec<_> = cuts.into_iter().map(|(cut, pauses)| (text.floor_char_boundary(cut), pauses)).collect();
            cuts.push((text.len(), false));
            cuts.sort_unstable();
            let (mut all, mut from) = (String::new(), 0);
            for (to, pauses) in cuts {
                all.extend(striker.pass(Of::Text, text[from..to].to_owned()));
                if pauses {
                    all.extend(striker.release(Of::Text));
                }
                from = to;
            }
            all.extend(striker.close(Of::Text));
            prop_assert!(!all.contains(KEY), "{all}");
            // What stands around `[key]` stands in the text, in that order.
            let mut behind = text.as_str();
            for words in all.split(STRUCK) {
                let found = behind.find(words);
                prop_assert!(found.is_some(), "{words:?} of {all:?} in {text:?}");
                behind = &behind[found.unwrap_or_default() + words.len()..];
            }
            if !text.contains(&KEY[..MIN_CUT_KEY_BYTES]) {
                prop_assert_eq!(all, text);
            }
        }
    }
}
