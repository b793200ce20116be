//! A walk over a TOML document that takes each value once, as a type and within its bounds, and notes what is wrong with
//! its place. What nobody took is an unknown key. `parse` (beside) says what there is to take.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::{Range, RangeInclusive};
use std::str::FromStr;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{MAX_PROBLEMS, Problem};
use crate::domain::UnknownWord;
use crate::domain::text::one_line;
use crate::domain::time::{format_duration, parse_duration};

/// Characters of a wrong value that an error repeats.
const MAX_ECHO_CHARS: usize = 40;

/// Characters of a problem's text: a value of a megabyte is not shown back.
const MAX_PROBLEM_CHARS: usize = 600;

/// What is wrong so far, by byte offset.
#[derive(Debug, Default)]
pub(super) struct Problems(Vec<(usize, String)>);

impl Problems {
    /// Notes a problem at a byte offset of the text.
    pub(super) fn note(&mut self, at: usize, text: impl Into<String>) {
        self.0.push((at, one_line(&text.into(), MAX_PROBLEM_CHARS)));
    }

    /// The first of them in the order of the text, with lines and columns.
    pub(super) fn located(mut self, text: &str) -> Vec<Problem> {
        self.0.sort_by_key(|(at, _)| *at);
        self.0.truncate(MAX_PROBLEMS);
        self.0.into_iter().map(|(at, what)| located(text, at, what)).collect()
    }
}

/// A problem with the line and the column (in characters) of a byte offset.
pub(super) fn located(text: &str, at: usize, what: String) -> Problem {
    let before = text.get(..at).unwrap_or(text);
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
    Problem { line, column: before[start..].chars().count() + 1, text: what }
}

/// The candidate that `word` was probably meant to be.
pub(super) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Nothing that long is a slip, and the distance takes the product of both lengths.
    if word.chars().count() > MAX_ECHO_CHARS {
        return None;
    }
    let close = (word.chars().count() / 3).max(1);
    let distance = |candidate: &str| strsim::damerau_levenshtein(word, candidate);
    candidates.into_iter().map(|c| (distance(c), c)).filter(|(d, _)| *d <= close).min().map(|(_, c)| c)
}

struct Item<'t> {
    key_at: usize,
    span: Range<usize>,
    value: DeValue<'t>,
}

/// One table of the document, while it is being read.
pub(super) struct Section<'p, 't> {
    /// As an error names it: `[retry]`; empty for the top.
    name: String,
    items: BTreeMap<String, Item<'t>>,
    known: Vec<&'static str>,
    /// Where the values that were taken stood, for errors about two values at once.
    taken: BTreeMap<&'static str, usize>,
    problems: &'p mut Problems,
}

impl<'p, 't> Section<'p, 't> {
    pub(super) fn new(name: impl Into<String>, table: DeTable<'t>, problems: &'p mut Problems) -> Self {
        let items = table
            .into_iter()
            .map(|(key, value)| {
                let (key_at, span) = (key.span().start, value.span());
                (key.into_inner().into_owned(), Item { key_at, span, value: value.into_inner() })
            })
            .collect();
        Self { name: name.into(), items, known: Vec::new(), taken: BTreeMap::new(), problems }
    }

    /// Ends the reading: what was not taken is unknown.
    pub(super) fn finish(self) {
        let place = if self.name.is_empty() { String::new() } else { format!(" in {}", self.name) };
        for (key, item) in &self.items {
            let remedy = match nearest(key, self.known.iter().copied()) {
                Some(near) => format!("did you mean {near}?"),
                None => format!("there are {}", self.known.join(", ")),
            };
            let key = one_line(key, MAX_ECHO_CHARS);
            self.problems.note(item.key_at, format!("unknown key {key:?}{place}: {remedy}"));
        }
    }

    /// Notes a problem at a byte offset.
    pub(super) fn note(&mut self, at: usize, text: impl Into<String>) {
        self.problems.note(at, text);
    }

    /// Where the value of `key` stands, when it was there.
    pub(super) fn place(&self, key: &str) -> Option<usize> {
        self.taken.get(key).copied()
    }

    /// Takes a value of the kind that `read` reads; `expected` says which that is.
    fn take<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        read: impl FnOnce(&DeValue<'t>) -> Option<T>,
    ) -> Option<T> {
        self.known.push(key);
        let item = self.items.remove(key)?;
        self.taken.insert(key, item.span.start);
        let value = read(&item.value);
        if value.is_none() {
            self.problems.note(item.span.start, format!("{key} must be {expected}, not {}", shown(&item.value)));
        }
        value
    }

    /// Takes a text that a parser reads; its error is the problem.
    pub(super) fn parsed<T: FromStr<Err: Display>>(&mut self, key: &'static str, expected: &str) -> Option<T> {
        let text = self.text(key, expected)?;
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                let at = self.place(key).unwrap_or_default();
                self.note(at, format!("{key}: {error}"));
                None
            }
        }
    }

    pub(super) fn text(&mut self, key: &'static str, expected: &str) -> Option<String> {
        self.take(key, expected, |value| value.as_str().map(str::to_owned))
    }

    pub(super) fn flag(&mut self, key: &'static str, default: bool) -> bool {
        self.take(key, "true or false", DeValue::as_bool).unwrap_or(default)
    }

    /// Takes one of a closed set of words.
    pub(super) fn word<W: FromStr<Err = UnknownWord>>(&mut self, key: &'static str, default: W) -> W {
        let Some(text) = self.text(key, "a word in quotes") else { return default };
        text.parse().unwrap_or_else(|UnknownWord { word, expected }| {
            let near = nearest(&word, expected.iter().copied()).map(|near| format!("; did you mean {near}?"));
            let (word, near) = (one_line(&word, MAX_ECHO_CHARS), near.unwrap_or_default());
            let at = self.place(key).unwrap_or_default();
            self.note(at, format!("{key} is one of {}, not {word:?}{near}", expected.join(", ")));
            default
        })
    }

    pub(super) fn count<N>(&mut self, key: &'static str, range: RangeInclusive<N>) -> Option<N>
    where
        N: Copy + PartialOrd + Display + TryFrom<i64>,
    {
        let expected = format!("a whole number from {} to {}", range.start(), range.end());
        self.take(key, &expected, |value| {
            let number = integer(value).and_then(|n| N::try_from(n).ok())?;
            range.contains(&number).then_some(number)
        })
    }

    pub(super) fn number(&mut self, key: &'static str, default: f64, range: RangeInclusive<f64>) -> f64 {
        let expected = format!("a number from {} to {}", range.start(), range.end());
        let read = |value: &DeValue<'_>| {
            let number = match value {
                DeValue::Float(float) => float.as_str().parse().ok()?,
                // The bounds are small: what a float cannot hold is out of them anyway.
                _ => integer(value)? as f64,
            };
            range.contains(&number).then_some(number)
        };
        self.take(key, &expected, read).unwrap_or(default)
    }

    pub(super) fn duration(
        &mut self,
        key: &'static str,
        default: Duration,
        range: RangeInclusive<Duration>,
    ) -> Duration {
        let [from, to] = [*range.start(), *range.end()].map(format_duration);
        let expected = format!("a duration from {from} to {to}, such as \"800ms\", \"1.5s\" or \"2m\"");
        let read = |value: &DeValue<'_>| value.as_str().and_then(|text| parse_duration(text).ok());
        self.take(key, &expected, |value| read(value).filter(|length| range.contains(length))).unwrap_or(default)
    }

    /// Takes a list of texts.
    pub(super) fn texts(&mut self, key: &'static str) -> Option<Vec<String>> {
        self.take(key, "a list of strings", |value| {
            value.as_array()?.iter().map(|item| item.get_ref().as_str().map(str::to_owned)).collect()
        })
    }

    /// Takes a table and reads it; a table that is not there is read as an empty one.
    pub(super) fn section<T>(&mut self, key: &'static str, read: impl FnOnce(&mut Section<'_, 't>) -> T) -> T {
        let table = self.table(key).unwrap_or_default();
        let mut section = Section::new(format!("[{key}]"), table, self.problems);
        let value = read(&mut section);
        section.finish();
        value
    }

    /// Takes a table whose keys are the person's own: (name, its byte offset, value), in the order of the names.
    pub(super) fn entries(&mut self, key: &'static str) -> Vec<(String, usize, Spanned<DeValue<'t>>)> {
        let table = self.table(key).unwrap_or_default();
        let entry = |(name, value): (Spanned<std::borrow::Cow<'t, str>>, _)| {
            let at = name.span().start;
            (name.into_inner().into_owned(), at, value)
        };
        table.into_iter().map(entry).collect()
    }

    fn table(&mut self, key: &'static str) -> Option<DeTable<'t>> {
        self.take(key, "a table", |value| value.as_table().cloned())
    }

    /// Reads a table that was found with [`Section::entries`].
    pub(super) fn inner<T>(
        &mut self,
        name: String,
        value: Spanned<DeValue<'t>>,
        read: impl FnOnce(&mut Section<'_, 't>) -> T,
    ) -> Option<T> {
        let at = value.span().start;
        let DeValue::Table(table) = value.into_inner() else {
            self.note(at, format!("{name} must be a table"));
            return None;
        };
        let mut section = Section::new(name, table, self.problems);
        let value = read(&mut section);
        section.finish();
        Some(value)
    }

    /// Takes a key that must not be there: where it stands, if it is. It is not offered as a correction.
    pub(super) fn forbidden(&mut self, key: &str) -> Option<usize> {
        self.items.remove(key).map(|item| item.key_at)
    }
}

fn integer(value: &DeValue<'_>) -> Option<i64> {
    let integer = value.as_integer()?;
    i64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

/// A wrong value, as an error repeats it.
fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("{:?}", one_line(text, MAX_ECHO_CHARS)),
        DeValue::Integer(integer) => one_line(&integer.to_string(), MAX_ECHO_CHARS),
        DeValue::Float(float) => one_line(float.as_str(), MAX_ECHO_CHARS),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::Datetime(_) => "a date".to_owned(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

/// A TOML value as JSON, for the request's body. Dates become strings.
///
/// # Errors
/// The byte offset of a number that JSON has not.
pub(super) fn to_json(value: &Spanned<DeValue<'_>>) -> Result<serde_json::Value, usize> {
    let at = value.span().start;
    Ok(match value.get_ref() {
        DeValue::String(text) => text.as_ref().into(),
        number @ DeValue::Integer(_) => integer(number).ok_or(at)?.into(),
        DeValue::Float(float) => {
            let number: f64 = float.as_str().parse().map_err(|_| at)?;
            serde_json::Number::from_f64(number).ok_or(at)?.into()
        }
        DeValue::Boolean(flag) => (*flag).into(),
        DeValue::Datetime(date) => date.to_string().into(),
        DeValue::Array(items) => items.iter().map(to_json).collect::<Result<Vec<_>, _>>()?.into(),
        DeValue::Table(table) => table
            .iter()
            .map(|(key, value)| Ok((key.get_ref().as_ref().to_owned(), to_json(value)?)))
            .collect::<Result<serde_json::Map<_, _>, usize>>()?
            .into(),
    })
}
