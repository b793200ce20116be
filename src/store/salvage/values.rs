//! Values that the store reads as types of ours: one that damage has made unreadable would make a whole session unreadable later, so it
//! is left out, or what the column has by default stands there.

use super::records::Value;
use super::shapes::Column;
use crate::domain::{ErrorKind, ModelName};

/// The last moment of the year 9999, in milliseconds.
const MAX_MS: i64 = 253_402_300_799_999;

/// Stop reasons of the schemas before 8, and what they are called since (`migrations/0008_finish_reasons.sql`).
const OLD_WORDS: [(&str, &str); 3] = [("content_filter", "filter"), ("tool_use", "tool"), ("other", "unknown")];

/// The value, if the store can read it.
pub(super) fn set_right(column: &Column, value: Value) -> Value {
    let value = match (column.name.as_str(), value) {
        ("finish_reason", Value::Text { text, has_hole }) => {
            let new = OLD_WORDS.iter().find(|(old, _)| *old == text).map(|(_, new)| (*new).to_owned());
            Value::Text { text: new.unwrap_or(text), has_hole }
        }
        // It is of a process that has ended.
        ("process_id", _) => Value::Null,
        (_, value) => value,
    };
    let value = column.or_default(value);
    if is_readable(&column.name, &value) { value } else { column.default.clone() }
}

fn is_readable(column: &str, value: &Value) -> bool {
    match (column, value) {
        ("model", Value::Text { text, .. }) => text.parse::<ModelName>().is_ok(),
        ("error_kind", Value::Text { text, .. }) => text.parse::<ErrorKind>().is_ok(),
        ("error_status", Value::Integer(status)) => u16::try_from(*status).is_ok(),
        ("attempts", Value::Integer(attempts)) => u32::try_from(*attempts).is_ok(),
        ("nth" | "seen_message", Value::Integer(number)) => *number >= 0,
        (time, Value::Integer(ms)) if time.ends_with("_ms") => (0..=MAX_MS).contains(ms),
        _ => true,
    }
}
