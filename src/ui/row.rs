//! A row under construction: what came, what of it is painted, and which part may still change.

use super::markdown::Spans;
use super::style::Ink;

/// What a mark stands on where the letter before it is out of reach (Unicode, chapter 2.11): without it terminals drop the mark.
const MARK_BASE: char = '\u{a0}';

/// The row. It is painted from `text`; `source` is what `text` was made of.
#[derive(Debug, Default)]
pub(super) struct Row {
    /// As it is painted: safe, tabs expanded, without the blanks that had no room.
    pub(super) text: String,
    /// Columns of `text`.
    pub(super) column: usize,
    /// As it came (a tab is a tab), made safe.
    pub(super) source: String,
    /// Where `source` and `text` stop to run side by side: the ends, in both, of each blank that is not painted as it came.
    marks: Vec<(usize, usize)>,
    /// Bytes of `text`, of `source` and columns before the last token. That one is laid out again when more comes: it may grow.
    settled: (usize, usize, usize),
}

impl Row {
    /// An empty row.
    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.source.clear();
        self.marks.clear();
        self.column = 0;
        self.settled = (0, 0, 0);
    }

    /// What came so far is settled: a token begins.
    pub(super) fn begin_token(&mut self) {
        self.settled = (self.text.len(), self.source.len(), self.column);
    }

    /// The painted part that is settled, and its columns.
    pub(super) fn settled(&self) -> (&str, usize) {
        (&self.text[..self.settled.0], self.settled.2)
    }

    /// Takes the last token out again, as it came.
    pub(super) fn take_token(&mut self) -> String {
        let (text, source, column) = self.settled;
        self.text.truncate(text);
        self.column = column;
        while self.marks.pop_if(|mark| mark.0 > source || mark.1 > text).is_some() {}
        self.source.split_off(source)
    }

    /// Goes on with a cluster that is painted as it came.
    pub(super) fn put(&mut self, cluster: &str, columns: usize) {
        self.text.push_str(cluster);
        self.source.push_str(cluster);
        self.column += columns;
    }

    /// Begins the row with what marks need to stand on. It takes a column and is not in the source.
    pub(super) fn put_base(&mut self) {
        self.text.push(MARK_BASE);
        self.column += 1;
        self.marks.push((self.source.len(), self.text.len()));
    }

    /// Goes on with a blank that is painted as so many spaces, or none.
    pub(super) fn put_spaces(&mut self, blank: &str, columns: usize) {
        self.text.extend(std::iter::repeat_n(' ', columns));
        self.source.push_str(blank);
        self.column += columns;
        self.marks.push((self.source.len(), self.text.len()));
    }

    /// The painted row with the styles of its source, each closed where it ends.
    pub(super) fn paint(&self, spans: &Spans, out: &mut String) {
        let (mut from, mut marks) = (0, self.marks.iter().peekable());
        let (mut parted_source, mut parted_text) = (0, 0);
        for (end, ink) in spans.iter() {
            while let Some((source, text)) = marks.next_if(|mark| mark.0 <= end) {
                (parted_source, parted_text) = (*source, *text);
            }
            let to = (parted_text + (end - parted_source)).min(self.text.len());
            let part = &self.text[from..to];
            from = to;
            if part.is_empty() {
                continue;
            }
            if ink == Ink::PLAIN {
                out.push_str(part);
            } else {
                let style = ink.style();
                out.push_str(&format!("{}{part}{}", style.prefix_formatter(), style.suffix_formatter()));
            }
        }
        out.push_str(&self.text[from..]);
    }
}
