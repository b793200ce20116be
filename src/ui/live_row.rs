//! The unfinished row directly above the prompt. Pure: text in, the exact bytes for one print out. `render` feeds it.
//!
//! A print erases the prompt's rows and repaints them behind the message, so each message begins at the first column of the row
//! below the live row and ends with a line end. To go on in the live row, it moves one row up and right to where the last word
//! began, and writes on from there: that word is painted again, so it can move to the next row when it grows too long, and a
//! grapheme cluster that was cut between two chunks grows together. We wrap by ourselves, so the live row is one row, always.

use owo_colors::Style;
use rustyline::GraphemeClusterMode;
use unicode_segmentation::UnicodeSegmentation;

use crate::domain::text::Sanitizer;

/// Columns between tab stops.
pub(super) const TAB_COLUMNS: usize = 8;
/// A narrower terminal is drawn to as if it had this many columns: there must be room for one cluster of any width.
pub(super) const MIN_COLUMNS: usize = 8;

/// How many columns a grapheme cluster takes: terminals differ, and rustyline's guess must be ours too.
pub(super) fn columns(mode: GraphemeClusterMode, text: &str) -> usize {
    usize::from(mode.width(text))
}

/// Where the unfinished row is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// On the screen, above the prompt; the cursor may move.
    Screen,
    /// Held back until it is whole: for terminals without cursor movement, and for folding a text into rows.
    Whole,
}

/// The unfinished row.
#[derive(Debug)]
pub(super) struct LiveRow {
    kind: Kind,
    mode: GraphemeClusterMode,
    style: Style,
    /// Makes the stream safe; holds a `\r` that may become a line end.
    sanitizer: Sanitizer,
    /// The row is not empty. Invariant between calls: on a screen, it is then the row directly above the prompt.
    open: bool,
    /// Columns of the terminal when the row was written.
    width: usize,
    /// The row as it is painted: safe, tabs expanded.
    row: String,
    /// Columns of `row`.
    column: usize,
    /// Bytes of `row` before its last token.
    settled: usize,
    /// Columns of `row` before its last token.
    settled_column: usize,
    /// The last token as it came (a tab is a tab): it is laid out again when more comes.
    tail: String,
    /// Whether the style's prefix is written and its suffix still due.
    inked: bool,
}

impl LiveRow {
    /// No row yet.
    pub(super) fn new(kind: Kind, mode: GraphemeClusterMode) -> Self {
        Self {
            kind,
            mode,
            style: Style::new(),
            sanitizer: Sanitizer::default(),
            open: false,
            width: 0,
            row: String::new(),
            column: 0,
            settled: 0,
            settled_column: 0,
            tail: String::new(),
            inked: false,
        }
    }

    /// The style of all rows from the next one on. Call it between rows.
    pub(super) fn set_style(&mut self, style: Style) {
        debug_assert!(!self.open);
        self.style = style;
    }

    /// Whether there is an unfinished row.
    pub(super) const fn is_open(&self) -> bool {
        self.open
    }

    /// Goes on with `text`, as it came from the model, in a terminal of `width` columns.
    pub(super) fn append(&mut self, text: &str, width: usize, out: &mut String) {
        let mut sanitizer = std::mem::take(&mut self.sanitizer);
        self.flow(&sanitizer.push(text), width, out);
        self.sanitizer = sanitizer;
    }

    /// Ends the row: what comes next begins a new one.
    pub(super) fn finish(&mut self, out: &mut String) {
        let rest = self.sanitizer.finish();
        self.flow(rest, self.width, out);
        if self.kind == Kind::Whole && self.open {
            self.end_row(out);
        }
        self.forget();
    }

    /// Puts `rows` (safe, each with its line end) above the live row.
    pub(super) fn insert_above(&mut self, rows: &str, width: usize, out: &mut String) {
        self.fit(width, out);
        if self.open && self.kind == Kind::Screen {
            out.push_str("\x1b[A\x1b[2K");
            out.push_str(rows);
            self.paint(out);
        } else {
            out.push_str(rows);
        }
    }

    /// Paints the row again where the cursor is: something else (a list of completions, a cleared screen, a shell) came between
    /// the row and the prompt.
    pub(super) fn repaint(&mut self, width: usize, out: &mut String) {
        self.fit(width, out);
        if self.open && self.kind == Kind::Screen {
            self.paint(out);
        }
    }

    /// When the terminal's width changed, the row stays as it is and a new one begins.
    fn fit(&mut self, width: usize, out: &mut String) {
        let width = width.max(MIN_COLUMNS);
        if self.open && self.width != width {
            if self.kind == Kind::Whole {
                self.end_row(out);
            }
            self.forget();
        }
        self.width = width;
    }

    fn forget(&mut self) {
        self.open = false;
        self.row.clear();
        self.tail.clear();
        (self.column, self.settled, self.settled_column) = (0, 0, 0);
    }

    fn paint(&mut self, out: &mut String) {
        self.ink(out);
        out.push_str(&self.row);
        self.dry(out);
        out.push('\n');
    }

    fn ink(&mut self, out: &mut String) {
        if !std::mem::replace(&mut self.inked, true) {
            out.push_str(&self.style.prefix_formatter().to_string());
        }
    }

    fn dry(&mut self, out: &mut String) {
        if std::mem::take(&mut self.inked) {
            out.push_str(&self.style.suffix_formatter().to_string());
        }
    }

    fn flow(&mut self, safe: &str, width: usize, out: &mut String) {
        self.fit(width, out);
        if safe.is_empty() {
            return;
        }
        let data = std::mem::take(&mut self.tail) + safe;
        if self.open && self.kind == Kind::Screen {
            self.lift(out);
        }
        self.row.truncate(self.settled);
        self.column = self.settled_column;
        let mut word = String::new();
        for cluster in data.graphemes(true) {
            let blank = cluster.chars().all(char::is_whitespace);
            if !blank && columns(self.mode, cluster) < 2 {
                word.push_str(cluster);
                continue;
            }
            self.place(&std::mem::take(&mut word), out);
            match cluster {
                "\n" => self.end_row(out),
                _ if blank => self.place_blank(cluster, out),
                // A wide cluster is a word of its own: CJK text may break between any two, and emoji too.
                _ => self.place(cluster, out),
            }
        }
        self.place(&word, out);
        self.open = !self.row.is_empty();
        if self.open && self.kind == Kind::Screen {
            self.dry(out);
            out.push('\n');
        }
    }

    /// Moves from the prompt's row to where the last token began.
    fn lift(&mut self, out: &mut String) {
        out.push_str("\x1b[A");
        let settled = &self.row[..self.settled];
        if GraphemeClusterMode::WcWidth.width(settled) != GraphemeClusterMode::Unicode.width(settled) {
            // Where the cursor would go then depends on the terminal: only writing gets it there.
            let settled = settled.to_owned();
            out.push_str("\x1b[2K");
            self.ink(out);
            out.push_str(&settled);
            return;
        }
        if self.settled_column > 0 {
            out.push_str(&format!("\x1b[{}C", self.settled_column));
        }
        // At a full row the cursor stands on the last column, whose cell must stay; then there is nothing behind to erase.
        if self.settled_column < self.width && self.column > self.settled_column {
            out.push_str("\x1b[K");
        }
    }

    fn place(&mut self, word: &str, out: &mut String) {
        if word.is_empty() {
            return;
        }
        let width: usize = word.graphemes(true).map(|g| columns(self.mode, g)).sum();
        if self.column > 0 && self.column + width > self.width {
            self.end_row(out);
        }
        self.begin_token();
        for cluster in word.graphemes(true) {
            let width = columns(self.mode, cluster);
            if self.column > 0 && self.column + width > self.width {
                self.end_row(out);
            }
            self.put(cluster, width, out);
            self.tail.push_str(cluster);
        }
    }

    /// Blanks that do not fit are swallowed; the next word begins a row anyway.
    fn place_blank(&mut self, blank: &str, out: &mut String) {
        let room = self.width.saturating_sub(self.column);
        let width =
            if blank == "\t" { TAB_COLUMNS - self.column % TAB_COLUMNS } else { columns(self.mode, blank).max(1) };
        self.begin_token();
        self.tail.push_str(blank);
        if width <= room && blank != "\t" && columns(self.mode, blank) > 0 {
            self.put(blank, width, out);
        } else if blank == "\t" {
            let width = width.min(room);
            self.put(&" ".repeat(width), width, out);
        }
    }

    fn begin_token(&mut self) {
        self.settled = self.row.len();
        self.settled_column = self.column;
        self.tail.clear();
    }

    fn put(&mut self, text: &str, width: usize, out: &mut String) {
        if self.kind == Kind::Screen {
            self.ink(out);
            out.push_str(text);
        }
        self.row.push_str(text);
        self.column += width;
    }

    fn end_row(&mut self, out: &mut String) {
        if self.kind == Kind::Whole {
            self.ink(out);
            out.push_str(&self.row);
        }
        self.dry(out);
        out.push('\n');
        self.forget();
    }
}

/// A text folded into rows of at most `width` columns, made safe, each row with its line end and in `style`.
pub(super) fn fold(text: &str, width: usize, mode: GraphemeClusterMode, style: Style) -> String {
    let mut rows = LiveRow::new(Kind::Whole, mode);
    rows.set_style(style);
    let mut out = String::new();
    rows.append(text, width, &mut out);
    rows.finish(&mut out);
    out
}

#[cfg(test)]
#[path = "live_row_tests.rs"]
pub(super) mod tests;
