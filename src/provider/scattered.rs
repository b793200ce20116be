//! Keys in the raw bytes of a reply that stand there in parts: piece by piece in the strings of its JSON, or written with escapes.
//!
//! The strings of one member (`content`, `text`) are looked at as one text, whatever the format, so that nothing has to be known of
//! it: an answer comes piece by piece in one member. A string ends at the end of its line at the latest, for JSON has no line ends
//! in strings; so what is no JSON spoils no more than a line.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

/// Members whose strings are looked at; beyond it there is one text for all the others together.
const MAX_MEMBERS: usize = 64;

/// Where the parts of keys stand in `reply`, in their order; `true` with the first part of a key. `keys`: the longest first.
pub(crate) fn scattered(reply: &[u8], keys: &[String]) -> Vec<(Range<usize>, bool)> {
    let mut search = Search { keys, texts: BTreeMap::new(), parts: Vec::new() };
    let (mut member, mut at) = (&b""[..], 0);
    while let Some(quote) = memchr::memchr(b'"', &reply[at..]) {
        let from = at + quote + 1;
        let to = from + string_len(&reply[from..]);
        at = (to + 1).min(reply.len());
        if reply[at..].trim_ascii_start().starts_with(b":") {
            member = &reply[from..to];
        } else {
            search.string(member, reply, from..to);
        }
    }
    search.parts.sort_by_key(|(part, _)| part.start);
    search.parts
}

/// Bytes of a string up to its closing quote, or to the end of its line.
fn string_len(rest: &[u8]) -> usize {
    let mut at = 0;
    while let Some(found) = memchr::memchr3(b'"', b'\\', b'\n', &rest[at..]) {
        at += found;
        if rest[at] != b'\\' {
            return at;
        }
        at = (at + 2).min(rest.len());
    }
    rest.len()
}

struct Search<'a> {
    keys: &'a [String],
    /// The end of each member's text, as far as it is the beginning of a key, and where each byte of it stands.
    texts: BTreeMap<&'a [u8], VecDeque<(u8, Range<usize>)>>,
    parts: Vec<(Range<usize>, bool)>,
}

impl<'a> Search<'a> {
    fn string(&mut self, member: &'a [u8], reply: &[u8], string: Range<usize>) {
        let member = if self.texts.len() < MAX_MEMBERS || self.texts.contains_key(member) { member } else { b"" };
        let text = self.texts.entry(member).or_default();
        let mut at = string.start;
        while at < string.end {
            let (byte, bytes) = match &reply[at..string.end] {
                [b'\\', b'u', digits @ ..] => (unit(digits), 6.min(string.end - at)),
                [b'\\', escaped, ..] => (*escaped, 2),
                [byte, ..] => (*byte, 1),
                [] => break,
            };
            text.push_back((byte, at..at + bytes));
            at += bytes;
            settle(self.keys, text, &mut self.parts);
        }
    }
}

/// The character of an escape, where it is one of those that keys are made of.
fn unit(digits: &[u8]) -> u8 {
    let digits = digits.get(..4).and_then(|digits| std::str::from_utf8(digits).ok());
    digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()).unwrap_or(0)
}

/// Drops from the start of `text` what is the beginning of no key; a whole key goes to `parts`.
fn settle(keys: &[String], text: &mut VecDeque<(u8, Range<usize>)>, parts: &mut Vec<(Range<usize>, bool)>) {
    while !text.is_empty() {
        let begins = |key: &&String| key.bytes().zip(text.iter()).all(|(wanted, (came, _))| wanted == *came);
        match keys.iter().find(begins) {
            Some(key) if key.len() <= text.len() => {
                let mut is_first = true;
                for (_, place) in text.drain(..key.len()) {
                    match parts.last_mut() {
                        Some((last, _)) if !is_first && last.end == place.start => last.end = place.end,
                        _ => parts.push((place, is_first)),
                    }
                    is_first = false;
                }
            }
            Some(_) => return,
            None => _ = text.pop_front(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_key_are_found_in_the_strings_of_one_member() {
        let check = |reply: &str, expected: &[(&str, bool)]| {
            let keys = ["sk-0123/45".to_owned(), "sk-01".to_owned()];
            let found = scattered(reply.as_bytes(), &keys);
            let found: Vec<_> = found.into_iter().map(|(part, is_first)| (&reply[part], is_first)).collect();
            assert_eq!(found, expected, "{reply}");
        };
        check(r#"{"text":"a sk-0123/45 b"}"#, &[("sk-0123/45", true)]);
        check(r#"{"text":"a \u0073k-0123\/45"}"#, &[(r"\u0073k-0123\/45", true)]);
        let pieces = "data: {\"id\":\"s\",\"text\":\"a sk\"}\n\ndata: {\"id\":\"s\",\"text\": \"-0123/4\"}\n\n{\"text\":\"5 b\"}";
        check(pieces, &[("sk", true), ("-0123/4", false), ("5", false)]);
        // Of two members that take turns.
        let turns = r#"{"a":"sk-0"}{"b":"sk-"}{"a":"123/45"}{"b":"01;"}"#;
        check(turns, &[("sk-0", true), ("sk-", true), ("123/45", false), ("01", false)]);
        check(r#"["sk-0","123/45"]"#, &[("sk-0", true), ("123/45", false)]);
        check(r#"{"text":"sk-sk-01"}"#, &[]);
        check(r#"{"text":"sk-sk-01."}"#, &[("sk-01", true)]);
        check("it's 5\" wide\n{\"text\":\"sk-01.\"}", &[("sk-01", true)]);
        for cut in ["\"", "\"\\", "\"\\u", "\"\\u00\"", "{\"a\":\"sk-\\", ""] {
            check(cut, &[]);
        }
    }
}
