//! Strings of JSON: their escapes, and the halves of surrogate pairs that servers cut apart.

/// A string, and the halves of surrogate pairs at its ends: their other halves may stand in the neighbouring events.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Text {
    /// A low surrogate before the text.
    pub(crate) low: Option<u16>,
    /// The text. A half pair in its middle is U+FFFD.
    pub(crate) text: String,
    /// A high surrogate behind the text.
    pub(crate) high: Option<u16>,
}

impl Text {
    /// The text with U+FFFD for the halves at its ends.
    pub(crate) fn whole(self) -> String {
        let mark = |half: Option<u16>| if half.is_some() { "\u{fffd}" } else { "" };
        match (self.low, self.high) {
            (None, None) => self.text,
            (low, high) => format!("{}{}{}", mark(low), self.text, mark(high)),
        }
    }
}

/// The text of a string without escapes.
pub(super) fn plain(inner: &[u8]) -> Text {
    Text { text: String::from_utf8_lossy(inner).into_owned(), ..Text::default() }
}

/// The text of a string that holds escapes. An escape that does not exist stands for the character behind its backslash.
pub(super) fn unescape(inner: &[u8]) -> Text {
    let mut found = Text::default();
    let mut out = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        if at > 0 {
            settle(&mut found, &mut out);
        }
        out.extend_from_slice(&rest[..at]);
        let escape = rest.get(at + 1).copied().unwrap_or(b'\\');
        rest = rest.get(at + 2..).unwrap_or_default();
        let unit = if escape == b'u' { take_unit(&mut rest) } else { None };
        match unit {
            Some(unit @ 0xd800..=0xdbff) => {
                settle(&mut found, &mut out);
                found.high = Some(unit);
            }
            Some(unit @ 0xdc00..=0xdfff) => match found.high.take() {
                Some(high) => push(&mut out, join(high, unit)),
                None if out.is_empty() && found.low.is_none() => found.low = Some(unit),
                None => push(&mut out, char::REPLACEMENT_CHARACTER),
            },
            Some(unit) => {
                settle(&mut found, &mut out);
                push(&mut out, char::from_u32(unit.into()).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            None => {
                settle(&mut found, &mut out);
                out.push(match escape {
                    b'n' => b'\n',
                    b't' => b'\t',
                    b'r' => b'\r',
                    b'b' => 8,
                    b'f' => 12,
                    other => other,
                });
            }
        }
    }
    if !rest.is_empty() {
        settle(&mut found, &mut out);
        out.extend_from_slice(rest);
    }
    found.text = String::from_utf8(out).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned());
    found
}

/// What follows is no second half: the first one stands alone.
fn settle(found: &mut Text, out: &mut Vec<u8>) {
    if found.high.take().is_some() {
        push(out, char::REPLACEMENT_CHARACTER);
    }
}

fn push(out: &mut Vec<u8>, c: char) {
    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

fn take_unit(rest: &mut &[u8]) -> Option<u16> {
    let digits = rest.get(..4)?;
    let unit = u16::from_str_radix(std::str::from_utf8(digits).ok().filter(|d| !d.starts_with('+'))?, 16).ok()?;
    *rest = &rest[4..];
    Some(unit)
}

/// The character of a surrogate pair.
pub(crate) fn join(high: u16, low: u16) -> char {
    char::decode_utf16([high, low]).next().and_then(Result::ok).unwrap_or(char::REPLACEMENT_CHARACTER)
}
