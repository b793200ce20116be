//! Columns and rows: how wide a text is, and where it ends. Pure. Terminals differ in the width of some characters; what rustyline
//! takes them to have must be ours too, or its rows and ours come apart.

use rustyline::GraphemeClusterMode;
use unicode_segmentation::UnicodeSegmentation;

/// Columns between tab stops.
pub(super) const TAB_COLUMNS: usize = 8;

/// How many columns a grapheme cluster takes: terminals differ, and rustyline's guess must be ours too.
pub(super) fn columns(mode: GraphemeClusterMode, text: &str) -> usize {
    // It counts in 16 bits; a cluster may be as long as someone makes it.
    if text.len() <= usize::from(u16::MAX) {
        return usize::from(mode.width(text));
    }
    text.chars().map(|c| usize::from(mode.width(c.encode_utf8(&mut [0; 4])))).sum()
}

/// How many columns a cluster takes at most, by `mode` or where each of its characters counts for itself: a row that keeps to this
/// is one row, whatever the terminal makes of it.
pub(super) fn widest(mode: GraphemeClusterMode, text: &str) -> usize {
    let own = columns(mode, text);
    if text.is_ascii() { own } else { own.max(columns(GraphemeClusterMode::WcWidth, text)) }
}

/// `text`, cut with `…` to `room` columns.
pub(super) fn cut(text: String, room: usize, mode: GraphemeClusterMode) -> String {
    if columns(mode, &text) <= room {
        return text;
    }
    let (mut cut, mut column) = (String::new(), 1);
    for cluster in text.graphemes(true) {
        column += columns(mode, cluster);
        if column > room {
            break;
        }
        cut.push_str(cluster);
    }
    cut + "…"
}

/// Where a prompt and a line end, as rustyline lays them out: rows below the first one, and the column there.
pub(super) fn end(text: &str, width: usize, mode: GraphemeClusterMode) -> (usize, usize) {
    let (mut row, mut column) = (0, 0);
    for cluster in text.graphemes(true) {
        let cells = match cluster {
            "\n" => {
                (row, column) = (row + 1, 0);
                continue;
            }
            "\t" => TAB_COLUMNS - column % TAB_COLUMNS,
            "\x1b" => 0,
            _ => columns(mode, cluster),
        };
        column += cells;
        if column > width {
            (row, column) = (row + 1, cells);
        }
    }
    if column == width { (row + 1, 0) } else { (row, column) }
}

/// [`end`] of a line behind a prompt of so many columns.
pub(super) fn end_behind(prompt_columns: usize, line: &str, width: usize, mode: GraphemeClusterMode) -> (usize, usize) {
    end(&(" ".repeat(prompt_columns) + line), width, mode)
}

#[cfg(test)]
mod tests {
    use rustyline::GraphemeClusterMode::WcWidth;

    use super::*;

    #[test]
    fn rows_are_counted_as_rustyline_lays_them_out() {
        let check = |text: &str, width, at| assert_eq!(end(text, width, WcWidth), at, "{text:?}");
        check("1:main> ", 20, (0, 8));
        check("1:main> hello", 20, (0, 13));
        check("1:main> 123456789012", 20, (1, 0));
        check("1:main> 1234567890123", 20, (1, 1));
        check("1:main> a\nb\n", 20, (2, 0));
        check("1:main> 12345678901日", 20, (1, 2));
        check("> \t\tx", 16, (1, 1));
        check("cafe\u{301}", 5, (0, 4));
    }
}
