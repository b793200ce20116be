//! Columns and rows: how wide a text is, and where it ends. Pure. Terminals differ in the width of some characters; what rustyline
//! takes them to have must be ours too, or its rows and ours come apart.

use rustyline::GraphemeClusterMode;
use unicode_segmentation::UnicodeSegmentation;

pub(super) use super::live_row::{TAB_COLUMNS, columns};

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
