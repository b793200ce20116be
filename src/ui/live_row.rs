//! The unfinished row directly above the prompt. Pure: text in, the exact bytes for one print out. `render` feeds it.
//!
//! A print erases the prompt's rows and repaints them behind the message, so each message begins at the first column of the row
//! below the live row and ends with a line end. To go on in the live row, it moves one row up and right to where the last word
//! began, and writes on from there: that word is painted again, so it can move to the next row when it grows too long, and a
//! grapheme cluster that was cut between two chunks grows together. We wrap by ourselves, so the live row is one row, always.
//!
//! With Markdown (see `markdown`) the row is painted from its first column each time, for what comes may change how it looks. The
//! rows themselves are the same but for fenced code: it is not wrapped at words but where the terminal's row is full, and that
//! wrap is left to the terminal. It then knows that the two rows are one line, and copies them as one. To be robust, no row that
//! is on the screen already counts as wrapped: a full row, when the line goes on, is written again with what follows behind it,
//! in one print. Only rows of ASCII are trusted that far; the others, whose columns terminals may count otherwise, end with a line
//! end like any row. (A notice that comes while such a line is unfinished stands between its rows, and is copied with them.)

use owo_colors::Style;
use rustyline::GraphemeClusterMode;
use unicode_segmentation::UnicodeSegmentation;

use super::markdown::{Markdown, Spans};
use super::measure::{TAB_COLUMNS, columns, widest};
use super::row::Row;
use crate::domain::text::{Sanitizer, visible};

/// A narrower terminal is drawn to as if it had this many columns: there must be room for one cluster of any width.
pub(super) const MIN_COLUMNS: usize = 8;
/// Bytes of a row: one of more, marks upon marks that take no column, ends there. It is painted anew whenever something comes.
const ROW_BYTES: usize = 8 << 10;

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
    row: Row,
    /// The row goes on from one that was broken off, perhaps in the middle of a cluster.
    goes_on: bool,
    /// Bytes of the row's text that stand before the cursor.
    shown: usize,
    /// Columns of the row as it stands on the screen, to be painted over.
    painted: usize,
    /// Styles what is said; stays, as its grammars do, while it does not.
    markdown: Markdown,
    /// Whether it does.
    styled: bool,
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
            row: Row::default(),
            goes_on: false,
            shown: 0,
            painted: 0,
            markdown: Markdown::default(),
            styled: false,
        }
    }

    /// The style of all rows from the next one on. Call it between rows.
    pub(super) fn set_style(&mut self, style: Style) {
        debug_assert!(!self.open);
        self.style = style;
    }

    /// Whether what is said is Markdown and styled as such, from here on. Only on a screen.
    pub(super) fn set_markdown(&mut self, styled: bool) {
        let styled = styled && self.kind == Kind::Screen;
        if styled != self.styled {
            self.styled = styled;
            self.markdown.reset();
        }
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
            self.end_row(None, out);
        }
        self.forget();
        self.markdown.reset();
    }

    /// What comes next goes on from `text`, which is not shown: its styles do.
    pub(super) fn skip(&mut self, text: &str) {
        if self.styled {
            self.markdown.skip(&visible(text));
        }
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

    /// The row stays as it is and what comes next begins a new one: something else (a list of completions, a shell) came between the
    /// row and the prompt.
    pub(super) fn leave(&mut self, width: usize, out: &mut String) {
        self.fit(width, out);
        if self.open && self.kind == Kind::Screen {
            self.break_off(out);
        }
    }

    /// Paints the row again where the cursor is: the screen was cleared.
    pub(super) fn repaint(&mut self, width: usize, out: &mut String) {
        if self.open && self.kind == Kind::Screen && self.width != width.max(MIN_COLUMNS) {
            // In rows of the new width; what comes next begins one.
            out.push_str(&fold(&self.row.text, width, self.mode, self.style));
        }
        self.fit(width, out);
        if self.open && self.kind == Kind::Screen {
            self.paint(out);
        }
    }

    /// When the terminal's width changed, the row stays as it is and a new one begins.
    fn fit(&mut self, width: usize, out: &mut String) {
        let width = width.max(MIN_COLUMNS);
        if self.open && self.width != width {
            self.break_off(out);
        }
        self.width = width;
    }

    fn break_off(&mut self, out: &mut String) {
        if self.kind == Kind::Whole {
            self.end_row(None, out);
        } else if self.styled {
            self.markdown.row(&self.row.source, None);
        }
        self.forget();
        self.goes_on = true;
    }

    fn forget(&mut self) {
        (self.open, self.goes_on) = (false, false);
        self.row.clear();
        (self.shown, self.painted) = (0, 0);
    }

    /// Paints the whole row where the cursor is.
    fn paint(&mut self, out: &mut String) {
        (self.shown, self.painted) = (0, 0);
        self.write_unfinished(out);
    }

    fn write_unfinished(&mut self, out: &mut String) {
        let spans = self.styled.then(|| self.markdown.peek(&self.row.source));
        self.write(spans.as_ref(), out);
        out.push('\n');
    }

    /// Writes what of the row is not shown, from where the cursor is.
    fn write(&mut self, spans: Option<&Spans>, out: &mut String) {
        let Some(spans) = spans else {
            let rest = &self.row.text[self.shown..];
            if !rest.is_empty() || self.kind == Kind::Whole {
                let (prefix, suffix) = (self.style.prefix_formatter(), self.style.suffix_formatter());
                out.push_str(&format!("{prefix}{rest}{suffix}"));
            }
            return;
        };
        self.row.paint(spans, out);
        // It may have become shorter. At a full row the cursor stands on the last column, whose cell must stay.
        let widest = agreed_columns(&self.row.text).unwrap_or_else(|(a, b)| a.max(b));
        if self.painted > 0 && widest < self.width && (self.row.column < self.painted || widest != self.row.column) {
            out.push_str("\x1b[K");
        }
    }

    fn flow(&mut self, safe: &str, width: usize, out: &mut String) {
        self.fit(width, out);
        if safe.is_empty() {
            return;
        }
        if self.open && self.kind == Kind::Screen {
            self.lift(out);
        }
        let data = self.row.take_token() + safe;
        let mut word = String::new();
        for cluster in data.graphemes(true) {
            let blank = cluster.chars().all(char::is_whitespace);
            let code = self.styled && self.markdown.is_code();
            // By its first character: what joins it later makes no other kind of it.
            let first = &cluster[..cluster.chars().next().map_or(0, char::len_utf8)];
            if !blank && !code && widest(self.mode, first) < 2 {
                word.push_str(cluster);
                continue;
            }
            self.place(&std::mem::take(&mut word), out);
            match cluster {
                "\n" => self.end_row(Some('\n'), out),
                _ if blank && code => self.place_blank_of_code(cluster, out),
                _ if blank => self.place_blank(cluster),
                // A wide cluster is a word of its own: CJK text may break between any two, and emoji too. In code each is.
                _ => self.place(cluster, out),
            }
        }
        self.place(&word, out);
        self.open = !self.row.text.is_empty();
        if self.open && self.kind == Kind::Screen {
            self.write_unfinished(out);
        }
    }

    /// Moves from the prompt's row to where the last token began or, with Markdown, to the row's first column.
    fn lift(&mut self, out: &mut String) {
        out.push_str("\x1b[A");
        let (settled, column) = self.row.settled();
        let before = if self.styled { &self.row.text } else { settled };
        (self.shown, self.painted) = (0, 0);
        if agreed_columns(before).is_err() {
            // Where the cursor would go then depends on the terminal: only writing gets it there.
            out.push_str("\x1b[2K");
            return;
        }
        if self.styled {
            self.painted = self.row.column;
            return;
        }
        self.shown = settled.len();
        if column > 0 {
            out.push_str(&format!("\x1b[{column}C"));
        }
        // At a full row the cursor stands on the last column, whose cell must stay; then there is nothing behind to erase.
        if column < self.width && self.row.column > column {
            out.push_str("\x1b[K");
        }
    }

    fn place(&mut self, word: &str, out: &mut String) {
        if word.is_empty() {
            return;
        }
        let width: usize = word.graphemes(true).map(|g| widest(self.mode, g)).sum();
        if self.row.column > 0 && self.row.column + width > self.width {
            self.end_row(word.chars().next(), out);
        }
        self.row.begin_token();
        for cluster in word.graphemes(true) {
            if widest(self.mode, cluster) <= self.width && cluster.len() <= ROW_BYTES {
                self.put(cluster, out);
                continue;
            }
            // Emoji joined to more than a row where each counts for itself: the terminal would wrap it behind our back. Or no end of
            // marks.
            cluster.char_indices().for_each(|(at, c)| self.put(&cluster[at..at + c.len_utf8()], out));
        }
    }

    fn put(&mut self, cluster: &str, out: &mut String) {
        let width = widest(self.mode, cluster);
        let is_full = self.row.column > 0 && self.row.column + width > self.width;
        if is_full || self.row.text.len() + cluster.len() > ROW_BYTES {
            self.end_row(cluster.chars().next(), out);
        }
        let has_room = self.row.text.is_empty() && width < self.width;
        // What a mark would stand on ends the row before.
        if self.goes_on && has_room && cluster.chars().next().is_some_and(|c| is_mark(self.mode, c)) {
            self.row.put_base();
        }
        self.row.put(cluster, width);
    }

    /// Blanks that do not fit are swallowed; the next word begins a row anyway.
    fn place_blank(&mut self, blank: &str) {
        let room = self.width.saturating_sub(self.row.column);
        self.row.begin_token();
        if room == 0 && self.row.source.len() > ROW_BYTES {
            return;
        }
        let width = widest(self.mode, blank);
        if blank == "\t" {
            self.row.put_spaces(blank, room.min(TAB_COLUMNS - self.row.column % TAB_COLUMNS));
        } else if (1..=room).contains(&width) {
            self.row.put(blank, width);
        } else {
            self.row.put_spaces(blank, 0);
        }
    }

    /// In code a blank is a character like any other. A tab ends at the row's end, as it does in a terminal.
    fn place_blank_of_code(&mut self, blank: &str, out: &mut String) {
        let width = widest(self.mode, blank).max(1);
        if self.row.column + width > self.width {
            self.end_row(blank.chars().next(), out);
        }
        self.place_blank(blank);
    }

    /// Ends the row before `next`, the first character of the next row, or the line's end. `None`: something else follows.
    fn end_row(&mut self, next: Option<char>, out: &mut String) {
        let code = self.styled && self.markdown.is_code();
        let spans = self.styled.then(|| self.markdown.row(&self.row.source, next));
        self.write(spans.as_ref(), out);
        let goes_on = next.is_some_and(|c| c != '\n');
        // The terminal wraps when the next row is written, in this print: see above.
        if !(code && goes_on && self.row.column == self.width && self.row.text.is_ascii()) {
            out.push('\n');
        }
        self.forget();
    }
}

/// Whether `c` takes no column of its own but stands on what is before it.
fn is_mark(mode: GraphemeClusterMode, c: char) -> bool {
    !c.is_ascii() && widest(mode, c.encode_utf8(&mut [0; 4])) == 0
}

/// The columns of a text where all terminals agree on them, else what two kinds of them think.
fn agreed_columns(text: &str) -> Result<usize, (usize, usize)> {
    if text.is_ascii() {
        return Ok(text.len());
    }
    let wc = columns(GraphemeClusterMode::WcWidth, text);
    let unicode = columns(GraphemeClusterMode::Unicode, text);
    if wc == unicode { Ok(wc) } else { Err((wc, unicode)) }
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
