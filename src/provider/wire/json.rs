//! JSON as servers write it, read in place: no tree, no copy before a text is taken.
//!
//! Lenient where a strict reader would lose an answer for something that is not needed: a member may stand twice (the last one that
//! is not null counts), a number may be out of range, a string may hold half a surrogate pair or bytes that are not UTF-8. Only the
//! structure must be right, so that a text is never read from half a value.

use std::borrow::Cow;

use super::text::{Text, plain, unescape};

/// Levels of lists and objects in one value; a deeper one is refused.
const MAX_DEPTH: usize = 1_024;

/// One value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Json<'a>(&'a [u8]);

/// Why a text is not JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadJson {
    /// The byte at which that shows.
    pub(crate) at: usize,
    /// The text ends in the middle of a value.
    pub(crate) is_cut: bool,
}

impl std::fmt::Debug for Json<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.0))
    }
}

impl<'a> Json<'a> {
    /// The value that is all of `text`, blanks around it allowed.
    ///
    /// # Errors
    /// `text` is not one value.
    pub(crate) fn read(text: &'a [u8]) -> Result<Self, BadJson> {
        let (value, rest) = Self::read_first(text)?;
        match rest.is_empty() {
            true => Ok(value),
            false => Err(BadJson { at: text.len() - rest.len(), is_cut: false }),
        }
    }

    /// The value at the beginning of `text`, and what stands behind it and its blanks.
    ///
    /// # Errors
    /// `text` does not begin with a value.
    pub(crate) fn read_first(text: &'a [u8]) -> Result<(Self, &'a [u8]), BadJson> {
        let start = skip_blanks(text, 0);
        let end = value_end(text, start)?;
        Ok((Self(&text[start..end]), &text[skip_blanks(text, end)..]))
    }

    /// The bytes of the value as they came.
    pub(crate) const fn raw(self) -> &'a [u8] {
        self.0
    }

    /// Whether it is an object.
    pub(crate) fn is_object(self) -> bool {
        self.0.first() == Some(&b'{')
    }

    /// Whether it is a list.
    pub(crate) fn is_list(self) -> bool {
        self.0.first() == Some(&b'[')
    }

    /// Whether it is a string.
    pub(crate) fn is_string(self) -> bool {
        self.0.first() == Some(&b'"')
    }

    /// Whether it is `null`.
    pub(crate) fn is_null(self) -> bool {
        self.0 == b"null"
    }

    /// Whether it says nothing: null, false, 0, a blank text, a word for null, or lists and objects of these.
    pub(crate) fn is_blank(self) -> bool {
        match self.0.first() {
            Some(b'{') => self.members().all(|(_, value)| value.is_blank()),
            Some(b'[') => self.items().all(Json::is_blank),
            Some(b'"') => {
                let word = self.word().unwrap_or_default();
                let word = word.trim();
                word.is_empty() || word.eq_ignore_ascii_case("null") || word.eq_ignore_ascii_case("none")
            }
            _ => matches!(self.0, b"null" | b"false" | b"0"),
        }
    }

    /// Whether it holds a text that is not empty, itself or in its lists and members.
    pub(crate) fn has_text(self) -> bool {
        match self.0.first() {
            Some(b'"') => self.0 != b"\"\"",
            Some(b'{') => self.members().any(|(_, value)| value.has_text()),
            Some(b'[') => self.items().any(Json::has_text),
            _ => false,
        }
    }

    /// The members of an object, in order; nothing for anything else.
    pub(crate) fn members(self) -> Members<'a> {
        Members { text: self.0, at: if self.is_object() { 1 } else { self.0.len() } }
    }

    /// The member `name` of an object; of several the last one that is not null. `None` where there is none, or only null.
    pub(crate) fn get(self, name: &str) -> Option<Self> {
        self.members().filter(|(key, value)| key.as_ref() == name.as_bytes() && !value.is_null()).map(|(_, v)| v).last()
    }

    /// The first of the members `names` that is there and not null.
    pub(crate) fn any(self, names: &[&str]) -> Option<Self> {
        names.iter().find_map(|name| self.get(name))
    }

    /// The items of a list. An object stands for a list of itself: some servers leave the brackets away. Nothing for anything else.
    pub(crate) fn items(self) -> Items<'a> {
        match self.0.first() {
            Some(b'[') => Items { text: self.0, at: 1, whole: None },
            Some(b'{') => Items { text: self.0, at: self.0.len(), whole: Some(self) },
            _ => Items { text: self.0, at: self.0.len(), whole: None },
        }
    }

    /// The text of a string; `None` for anything else.
    pub(crate) fn text(self) -> Option<Text> {
        let inner = self.0.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
        Some(if inner.contains(&b'\\') { unescape(inner) } else { plain(inner) })
    }

    /// A string, a number or a word such as `true` as text; `None` for null, lists and objects.
    pub(crate) fn word(self) -> Option<String> {
        match self.0.first()? {
            b'{' | b'[' => None,
            b'"' => self.text().map(Text::whole),
            _ if self.is_null() => None,
            _ => Some(String::from_utf8_lossy(self.0).into_owned()),
        }
    }

    /// A whole number, also one that is written as a string.
    pub(crate) fn number(self) -> Option<u64> {
        let digits = self.0.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(self.0);
        std::str::from_utf8(digits).ok()?.trim().parse().ok()
    }

    /// Whether it is true, however that is written.
    pub(crate) fn is_true(self) -> bool {
        matches!(self.0, b"true" | b"1")
            || self.is_string() && self.word().is_some_and(|w| w.eq_ignore_ascii_case("true"))
    }
}

/// The members of an object.
#[derive(Debug, Clone)]
pub(crate) struct Members<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Members<'a> {
    type Item = (Cow<'a, [u8]>, Json<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let start = skip_separators(self.text, self.at);
        if self.text.get(start) != Some(&b'"') {
            return None;
        }
        let end = string_end(self.text, start).ok()?;
        let key = &self.text[start + 1..end - 1];
        let colon = skip_blanks(self.text, end);
        let value = skip_blanks(self.text, colon + 1);
        self.at = known_end(self.text, value)?;
        let key =
            if key.contains(&b'\\') { Cow::Owned(unescape(key).whole().into_bytes()) } else { Cow::Borrowed(key) };
        Some((key, Json(&self.text[value..self.at])))
    }
}

/// The items of a list.
#[derive(Debug, Clone)]
pub(crate) struct Items<'a> {
    text: &'a [u8],
    at: usize,
    whole: Option<Json<'a>>,
}

impl<'a> Iterator for Items<'a> {
    type Item = Json<'a>;

    fn next(&mut self) -> Option<Json<'a>> {
        if let Some(whole) = self.whole.take() {
            return Some(whole);
        }
        let start = skip_separators(self.text, self.at);
        if matches!(self.text.get(start), None | Some(b']')) {
            return None;
        }
        self.at = known_end(self.text, start)?;
        Some(Json(&self.text[start..self.at]))
    }
}

fn skip_blanks(text: &[u8], from: usize) -> usize {
    let rest = text.get(from..).unwrap_or_default();
    from + rest.iter().position(|b| !matches!(b, b' ' | b'\t' | b'\n' | b'\r')).unwrap_or(rest.len())
}

fn skip_separators(text: &[u8], from: usize) -> usize {
    let mut at = skip_blanks(text, from);
    if text.get(at) == Some(&b',') {
        at = skip_blanks(text, at + 1);
    }
    at
}

/// Which of the open brackets are braces: a bit each, and what is deeper in a list.
#[derive(Default)]
struct Nest {
    braces: u64,
    deeper: Vec<bool>,
    depth: usize,
}

impl Nest {
    fn push(&mut self, is_brace: bool) -> bool {
        match self.depth {
            MAX_DEPTH.. => return false,
            depth @ ..64 => self.braces = self.braces & !(1 << depth) | u64::from(is_brace) << depth,
            _ => self.deeper.push(is_brace),
        }
        self.depth += 1;
        true
    }

    fn pop(&mut self) {
        self.depth -= 1;
        self.deeper.pop();
    }

    /// Whether the innermost one is a brace; `None`: none is open.
    fn top(&self) -> Option<bool> {
        match self.depth {
            0 => None,
            depth @ 1..=64 => Some(self.braces >> (depth - 1) & 1 == 1),
            _ => self.deeper.last().copied(),
        }
    }
}

/// Where the value that begins at `at` ends, in a text that is known to be JSON: only brackets and strings are looked at.
fn known_end(text: &[u8], mut at: usize) -> Option<usize> {
    match text.get(at)? {
        b'"' => return string_end(text, at).ok(),
        b'{' | b'[' => {}
        _ => return Some(at + text[at..].iter().position(|b| !is_token(*b)).unwrap_or(text.len() - at)),
    }
    let mut depth = 0_usize;
    loop {
        match text.get(at)? {
            b'"' => {
                at = string_end(text, at).ok()?;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
        at += 1;
    }
}

/// Where the value that begins at `at` ends. Without recursion: the depth is the server's choice.
fn value_end(text: &[u8], mut at: usize) -> Result<usize, BadJson> {
    let mut nest = Nest::default();
    loop {
        match text.get(at) {
            Some(b'"') => at = string_end(text, at)?,
            Some(open @ (b'{' | b'[')) => {
                let is_brace = *open == b'{';
                let inner = skip_blanks(text, at + 1);
                if text.get(inner) == Some(if is_brace { &b'}' } else { &b']' }) {
                    at = inner + 1;
                } else {
                    if !nest.push(is_brace) {
                        return bad(text, at);
                    }
                    at = if is_brace { key_end(text, inner)? } else { inner };
                    continue;
                }
            }
            Some(b) if is_token(*b) => {
                at += text[at..].iter().position(|b| !is_token(*b)).unwrap_or(text.len() - at);
            }
            _ => return bad(text, at),
        }
        loop {
            let Some(is_brace) = nest.top() else { return Ok(at) };
            at = skip_blanks(text, at);
            match (text.get(at), is_brace) {
                (Some(b','), true) => {
                    at = key_end(text, skip_blanks(text, at + 1))?;
                    break;
                }
                (Some(b','), false) => {
                    at = skip_blanks(text, at + 1);
                    break;
                }
                (Some(b'}'), true) | (Some(b']'), false) => {
                    nest.pop();
                    at += 1;
                }
                _ => return bad(text, at),
            }
        }
    }
}

/// Where the value of the member that begins at `at` begins.
fn key_end(text: &[u8], at: usize) -> Result<usize, BadJson> {
    if text.get(at) != Some(&b'"') {
        return bad(text, at);
    }
    let colon = skip_blanks(text, string_end(text, at)?);
    if text.get(colon) != Some(&b':') {
        return bad(text, colon);
    }
    Ok(skip_blanks(text, colon + 1))
}

/// Bytes of a string that are looked at one by one: most names and pieces are shorter, and a search costs more to begin.
const SHORT: usize = 24;

/// Where the string that begins at `at` ends.
fn string_end(text: &[u8], at: usize) -> Result<usize, BadJson> {
    let mut from = at + 1;
    for (nth, byte) in text.get(from..).unwrap_or_default().iter().take(SHORT).enumerate() {
        match byte {
            b'"' => return Ok(from + nth + 1),
            b'\\' => break,
            _ => {}
        }
    }
    while let Some(found) = memchr::memchr2(b'"', b'\\', text.get(from..).unwrap_or_default()) {
        if text[from + found] == b'"' {
            return Ok(from + found + 1);
        }
        from += found + 2;
    }
    bad(text, text.len())
}

/// Characters of numbers and of words such as `true`.
const fn is_token(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.')
}

fn bad<T>(text: &[u8], at: usize) -> Result<T, BadJson> {
    Err(BadJson { at, is_cut: at >= text.len() })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Json<'_> {
        Json::read(text.as_bytes()).unwrap_or_else(|e| panic!("{text}: {e:?}"))
    }

    #[test]
    fn members_are_found_whatever_stands_beside_them() {
        let check = |text: &str, expected: Option<&str>| {
            let found = read(text).get("a").and_then(Json::word);
            assert_eq!(found.as_deref(), expected, "{text}");
        };
        check(r#"{"a":"x"}"#, Some("x"));
        check(r#" { "b" : [1, {"a":"no"}] , "a" : "x" } "#, Some("x"));
        check(r#"{"a":"x","a":null}"#, Some("x"));
        check(r#"{"a":"w","a":"x"}"#, Some("x"));
        check(r#"{"\u0061":"x"}"#, Some("x"));
        check(r#"{"b":1e999,"c":NaN,"a":7}"#, Some("7"));
        check(r#"{"a":null}"#, None);
        check(r#"["a"]"#, None);
        check("{}", None);
    }

    #[test]
    fn what_is_not_json_says_where_and_whether_it_is_cut() {
        let check = |text: &str, at, is_cut| {
            assert_eq!(Json::read(text.as_bytes()), Err(BadJson { at, is_cut }), "{text}");
        };
        check("", 0, true);
        check(r#"{"a":"#, 5, true);
        check(r#"{"a":"b"#, 7, true);
        check("[1,", 3, true);
        check("{]", 1, false);
        check(r#"{"a" 1}"#, 5, false);
        check("{} {}", 3, false);
        check("<html>", 0, false);
        let deep = "[".repeat(MAX_DEPTH + 1);
        check(&deep, MAX_DEPTH, false);
        assert!(Json::read(format!("{}{}", "[".repeat(MAX_DEPTH), "]".repeat(MAX_DEPTH)).as_bytes()).is_ok());
    }

    #[test]
    fn halves_of_surrogate_pairs_are_kept_at_the_ends() {
        let check = |text: &str, low: Option<u16>, expected: &str, high: Option<u16>| {
            let found = read(text).text().unwrap();
            assert_eq!((found.low, found.text.as_str(), found.high), (low, expected, high), "{text}");
        };
        check(r#""a\ud83d""#, None, "a", Some(0xd83d));
        check(r#""\ude00b""#, Some(0xde00), "b", None);
        check(r#""\ud83d\ude00""#, None, "\u{1f600}", None);
        check(r#""a\ud83db""#, None, "a\u{fffd}b", None);
        check(r#""a\ude00b""#, None, "a\u{fffd}b", None);
        check(r#""\ud83d\ud83d\ude00""#, None, "\u{fffd}\u{1f600}", None);
        check(r#""\ud83d\n""#, None, "\u{fffd}\n", None);
        check(r#""\x\"\/\\\u12""#, None, "x\"/\\u12", None);
        assert_eq!(super::super::text::join(0xd83d, 0xde00), '\u{1f600}');
    }

    #[test]
    fn blank_values_are_told_from_others() {
        for text in
            ["null", "false", "0", "\"\"", "\" \"", "\"None\"", "{}", "[]", r#"{"message":"","code":null}"#, "[[]]"]
        {
            assert!(read(text).is_blank(), "{text}");
        }
        for text in ["true", "1", "\"x\"", r#"{"code":500}"#, r#"[{"message":"m"}]"#] {
            assert!(!read(text).is_blank(), "{text}");
        }
    }

    #[test]
    fn numbers_and_words_are_read_in_either_form() {
        assert_eq!((read("7").number(), read("\"7\"").number()), (Some(7), Some(7)));
        for text in ["-1", "1.5", "18446744073709551616", "\"x\"", "{}", "null", "1e3"] {
            assert_eq!(read(text).number(), None, "{text}");
        }
        assert_eq!((read("7").word(), read("true").word()), (Some("7".to_owned()), Some("true".to_owned())));
        assert!(read("true").is_true() && read("\"True\"").is_true() && !read("\"x\"").is_true());
    }

    #[test]
    fn an_object_stands_for_a_list_of_itself() {
        let count = |text: &str| read(text).items().count();
        assert_eq!((count("[1,[2],{}]"), count("[]"), count(r#"{"a":1}"#), count("7"), count("null")), (3, 0, 1, 0, 0));
    }

    proptest! {
        /// Whatever serde_json writes is read as serde_json reads it.
        #[test]
        fn it_agrees_with_a_strict_reader(keys in prop::collection::vec("[a-c\\\\\"é]{0,3}", 0..5), texts in prop::collection::vec(any::<String>(), 5)) {
            let object: serde_json::Map<_, _> = keys.iter().cloned().zip(texts.iter().cloned().map(Into::into)).collect();
            let written = serde_json::to_string_pretty(&object).unwrap();
            let value = read(&written);
            for (key, text) in &object {
                prop_assert_eq!(value.get(key).and_then(Json::word), text.as_str().map(str::to_owned));
            }
            prop_assert_eq!(value.members().count(), object.len());
        }

        /// Any bytes: no panic, no endless loop, and what is read as a value is one.
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(prop::sample::select(b"{}[]\",:\\u0d8 aen1\xff".to_vec()), 0..60)) {
            if let Ok((value, rest)) = Json::read_first(&bytes) {
                prop_assert!(value.raw().len() + rest.len() <= bytes.len());
                let _ = (value.is_blank(), value.word(), value.number());
                let nested: Vec<_> = value.members().map(|(_, value)| value).chain(value.items()).collect();
                for inner in nested {
                    prop_assert_eq!(Json::read(inner.raw()), Ok(inner));
                }
            }
            if let Ok(strict) = serde_json::from_slice::<serde_json::Value>(&bytes) {
                prop_assert!(Json::read(&bytes).is_ok(), "{}", strict);
            }
        }
    }
}
