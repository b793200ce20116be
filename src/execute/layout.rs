//! How what is listed is laid out: columns counted as a terminal does, text that came from elsewhere made safe and short, numbers
//! as people read them. The views are built of these and of nothing else.

use std::time::Duration;

use unicode_width::UnicodeWidthStr;

pub(super) use crate::domain::text::count;
use crate::domain::text::one_line;
use crate::domain::{Span, TimeOfDay, Timestamp};

/// The least width that is laid out for; a narrower terminal folds the rows itself.
const MIN_WIDTH: usize = 24;
/// The widest row, where the terminal is wider: more is hard to read.
const MAX_WIDTH: usize = 120;
/// Blanks between what an entry is and what it says.
pub(super) const GAP: usize = 2;
/// Columns that what an entry says has beside it; with less it stands below.
const MIN_EXCERPT: usize = 20;
/// Before what belongs to the row above.
pub(super) const INDENT: &str = "    ";
/// Keeps a number and its unit on one row; [`wrap`] makes a blank of it.
pub(super) const NO_BREAK: &str = "\u{a0}";

/// What a view needs besides what it shows.
#[derive(Debug, Clone, Copy)]
pub struct View {
    /// The time.
    pub now: Timestamp,
    /// What a point in time is called.
    pub time_of_day: TimeOfDay,
    /// Columns that the text may take.
    pub width: usize,
    /// Attempts that an entry has.
    pub max_attempts: u32,
    /// Signs are words.
    pub words: bool,
}

impl View {
    /// Columns that are laid out for.
    pub(super) fn columns(&self) -> usize {
        self.width.clamp(MIN_WIDTH, MAX_WIDTH)
    }

    pub(super) fn clock_time(&self, at: Timestamp) -> String {
        self.time_of_day.of(at).replace(' ', NO_BREAK)
    }
}

/// A length of time, kept on one row.
pub(super) fn span(length: Duration) -> String {
    Span(length).to_string().replace(' ', NO_BREAK)
}

/// How long something has lasted or will last, kept on one row: nobody counts the milliseconds of that.
pub(super) fn age(length: Duration) -> String {
    if length >= Duration::from_secs(1) {
        return span(length);
    }
    // At least a tenth: `0.0 s` would be no time at all.
    let tenths = length.as_millis().div_ceil(100).clamp(1, 9);
    format!("0.{tenths}{NO_BREAK}s")
}

/// `812 B`, `1.2 KB`, `3.4 MB`: powers of ten, as they are a measure of text and not of memory.
pub(super) fn size(bytes: u64) -> String {
    let text = match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..999_950 => format!("{:.1} KB", bytes as f64 / 1e3),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    };
    text.replace(' ', NO_BREAK)
}

/// `one` for 1, else the other: `1 attempt`, `2 attempts`.
pub(super) fn plural(number: u64, one: &str, many: &str) -> String {
    format!("{}{NO_BREAK}{}", count(number), if number == 1 { one } else { many })
}

/// Parts with commas between them, to be broken there alone.
pub(super) fn unbroken(parts: &str) -> String {
    parts.replace(' ', NO_BREAK).replace(&format!(",{NO_BREAK}"), ", ")
}

/// `text` and blanks up to `width` columns.
pub(super) fn pad(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(text.width())))
}

/// Rows of cells as rows of text, all but the last cell in columns.
pub fn table<const CELLS: usize>(rows: &[[String; CELLS]]) -> Vec<String> {
    let widest = |nth: usize| rows.iter().map(|row| row[nth].width()).max().unwrap_or(0);
    let widths: [usize; CELLS] = std::array::from_fn(|nth| if nth + 1 == CELLS { 0 } else { widest(nth) });
    let row = |row: &[String; CELLS]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| pad(cell, width));
        cells.collect::<Vec<_>>().join(&" ".repeat(GAP))
    };
    rows.iter().map(row).collect()
}

/// Blanks up to `width` columns and `text`.
pub(super) fn pad_left(text: &str, width: usize) -> String {
    format!("{}{text}", " ".repeat(width.saturating_sub(text.width())))
}

/// A text made safe and cut to one row of `columns` columns.
pub(super) fn fit(text: &str, columns: usize) -> String {
    // A character takes a column or two; what takes none is rare enough to be cut early.
    let mut row = one_line(text, columns + 2);
    if row.width() <= columns {
        return row;
    }
    while row.pop().is_some() && row.width() + 1 > columns {}
    format!("{}…", row.trim_end())
}

/// Breaks `text` at its blanks: `first` stands before the first row, `rest` before the others. A word that is too long for a row
/// is cut.
pub(super) fn wrap(rows: &mut Vec<String>, first: &str, rest: &str, text: &str, columns: usize) {
    let mut row = first.to_owned();
    let mut is_empty = true;
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let word = fit(word, columns.saturating_sub(rest.width().max(first.width())).max(1));
        if !is_empty && row.width() + 1 + word.width() > columns {
            rows.push(std::mem::replace(&mut row, rest.to_owned()).replace(NO_BREAK, " "));
            is_empty = true;
        }
        if !is_empty {
            row.push(' ');
        }
        row += &word;
        is_empty = false;
    }
    rows.push(row.replace(NO_BREAK, " "));
}

/// What an entry is, and what it says.
pub(super) struct Item {
    pub(super) head: String,
    pub(super) text: String,
}

impl Item {
    /// Its rows: what it says stands at `column` where there is room, else below.
    pub(super) fn rows(&self, column: usize, columns: usize) -> impl Iterator<Item = String> {
        let Self { head, text } = self;
        let mut rows = Vec::new();
        if head.width() <= column {
            let row = format!("{}{}{}", pad(head, column), " ".repeat(GAP), fit(text, columns - column - GAP));
            rows.push(row.replace(NO_BREAK, " "));
        } else {
            wrap(&mut rows, "", INDENT, head, columns);
            rows.push(format!("{INDENT}{}", fit(text, columns - INDENT.len())));
        }
        rows.into_iter().map(|row| row.trim_end().to_owned())
    }
}

/// The column at which what they say can stand for most of `items`.
pub(super) fn column<'a>(items: impl Iterator<Item = &'a Item>, columns: usize) -> usize {
    let most = columns.saturating_sub(GAP + MIN_EXCERPT);
    items.map(|item| item.head.width()).filter(|width| *width <= most).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        let check = |number, text: &str| assert_eq!(count(number), text);
        check(0, "0");
        check(999, "999");
        check(1_234, "1,234");
        check(1_234_567, "1,234,567");
        let check = |bytes, text: &str| assert_eq!(size(bytes).replace(NO_BREAK, " "), text);
        check(0, "0 B");
        check(999, "999 B");
        check(1_234, "1.2 KB");
        check(999_949, "999.9 KB");
        check(999_950, "1.0 MB");
    }

    #[test]
    fn cells_stand_in_columns() {
        let rows = [["1:main", "tour", "2 messages"], ["2:日本", "a:b", "1 message"], ["3:x", "longer", ""]];
        let rows = rows.map(|row| row.map(str::to_owned));
        assert_eq!(table(&rows), ["1:main  tour    2 messages", "2:日本  a:b     1 message", "3:x     longer  "]);
        assert_eq!(table::<2>(&[]), Vec::<String>::new());
    }

    #[test]
    fn text_is_cut_by_columns() {
        let check = |text: &str, columns, expected: &str| assert_eq!(fit(text, columns), expected, "{text:?}");
        check("hello", 5, "hello");
        check("hello!", 5, "hell…");
        check("日本語", 6, "日本語");
        check("日本語", 5, "日本…");
        check("日本語", 4, "日…");
        check("a\n\tb\u{1b}[2J", 20, "a b␛[2J");
        check("", 4, "");
        for columns in 1..12 {
            let row = fit("e\u{301}日本a👩‍👩‍👧 b c d", columns);
            assert!(row.width() <= columns, "{row:?} at {columns}");
        }
    }

    #[test]
    fn wrapped_rows_keep_to_the_columns() {
        let mut rows = Vec::new();
        wrap(&mut rows, "- ", "  ", &format!("waits {} or so 日本語日本語日本語", span(Duration::from_secs(125))), 12);
        assert_eq!(rows, ["- waits", "  2 m 05 s", "  or so", "  日本語日…"]);
    }
}
