//! The live row on an emulated screen: what rustyline's print does around each message is done here too.

use owo_colors::Style;
use proptest::prelude::*;
use rustyline::GraphemeClusterMode::WcWidth;

use super::*;
use crate::domain::text::visible;

/// Rows that scrolled away are kept, so that a test can look at all of them.
const SCROLLBACK_ROWS: usize = 4_000;

/// The prompt and where a typed line goes on in it.
const PROMPT: &str = "> ";

/// A terminal with an open prompt, printed to as rustyline prints.
pub(crate) struct Screen {
    pub(crate) parser: vt100::Parser,
    width: u16,
    /// What is typed at the prompt.
    typed: String,
}

impl Screen {
    pub(crate) fn new(width: u16) -> Self {
        let mut screen = Self { parser: vt100::Parser::new(24, width, SCROLLBACK_ROWS), width, typed: String::new() };
        screen.raw(PROMPT);
        screen
    }

    fn raw(&mut self, text: &str) {
        self.parser.process(text.replace('\n', "\r\n").as_bytes());
    }

    /// The rows of the prompt and the line. The last one is empty when the one before is full: rustyline then goes on there.
    fn prompt_rows(&self) -> Vec<String> {
        let (mut rows, mut column) = (vec![String::new()], 0);
        for c in PROMPT.chars().chain(self.typed.chars()) {
            let cells = columns(WcWidth, c.encode_utf8(&mut [0; 4]));
            if c == '\n' || column + cells > usize::from(self.width) {
                rows.push(String::new());
                column = 0;
            }
            if c != '\n' {
                rows.last_mut().unwrap().push(c);
                column += cells;
            }
        }
        if column == usize::from(self.width) {
            rows.push(String::new());
        }
        rows
    }

    fn erase_prompt(&mut self) {
        let below = self.prompt_rows().len() - 1;
        self.raw(&("\r\x1b[K\x1b[A".repeat(below) + "\r\x1b[K"));
    }

    fn draw_prompt(&mut self) {
        self.raw(&self.prompt_rows().join("\n"));
    }

    /// The line at the prompt becomes this one.
    pub(crate) fn type_line(&mut self, line: &str) {
        self.erase_prompt();
        line.clone_into(&mut self.typed);
        self.draw_prompt();
    }

    pub(crate) fn print(&mut self, message: &str) {
        if !message.is_empty() {
            assert!(message.ends_with('\n'), "a print ends with a line end: {message:?}");
            self.erase_prompt();
            self.raw(message);
            self.draw_prompt();
        }
    }

    /// All rows above the prompt, scrollback included, without blanks at their ends.
    pub(crate) fn rows(&mut self) -> Vec<String> {
        let (rows, _) = self.parser.screen().size();
        self.parser.screen_mut().set_scrollback(usize::MAX);
        let back = self.parser.screen().scrollback();
        let mut all = Vec::new();
        let mut at = back;
        while at > 0 {
            self.parser.screen_mut().set_scrollback(at);
            let take = at.min(usize::from(rows));
            all.extend(self.parser.screen().rows(0, self.width).take(take));
            at -= take;
        }
        self.parser.screen_mut().set_scrollback(0);
        let (row, _) = self.parser.screen().cursor_position();
        all.extend(self.parser.screen().rows(0, self.width).take(usize::from(row) + 1));
        let below = self.parser.screen().rows(0, self.width).skip(usize::from(row) + 1);
        assert!(below.into_iter().all(|row| row.trim_end().is_empty()), "nothing is below the prompt");
        let all: Vec<String> = all.into_iter().map(|row| row.trim_end().to_owned()).collect();
        let prompt: Vec<String> = self.prompt_rows().iter().map(|row| row.trim_end().to_owned()).collect();
        assert!(all.ends_with(&prompt), "the prompt is the last: {prompt:?} in {all:#?}");
        all[..all.len() - prompt.len()].to_vec()
    }
}

fn folded(text: &str, width: usize) -> Vec<String> {
    fold(text, width, WcWidth, Style::new()).lines().map(|row| row.trim_end().to_owned()).collect()
}

fn streamed(chunks: &[&str], width: u16) -> Vec<String> {
    let mut screen = Screen::new(width);
    let mut row = LiveRow::new(Kind::Screen, WcWidth);
    for chunk in chunks {
        let mut out = String::new();
        row.append(chunk, width.into(), &mut out);
        screen.print(&out);
    }
    let mut out = String::new();
    row.finish(&mut out);
    screen.print(&out);
    screen.rows()
}

#[test]
fn text_flows_and_wraps_at_words() {
    let check = |width: u16, chunks: &[&str], expected: &[&str]| {
        assert_eq!(streamed(chunks, width), expected, "{chunks:?} at {width}");
        assert_eq!(folded(&chunks.concat(), width.into()), expected, "{chunks:?} at {width}, in one go");
    };
    check(20, &["Hel", "lo, wor", "ld"], &["Hello, world"]);
    check(20, &["one two three four fi", "ve six"], &["one two three four", "five six"]);
    check(20, &["12345678901234567890", " next"], &["12345678901234567890", "next"]);
    check(20, &["12345678901234567890", "1 next"], &["12345678901234567890", "1 next"]);
    check(20, &["ab ", "12345678901234567890", "xyz"], &["ab", "12345678901234567890", "xyz"]);
    check(20, &["a\r", "\nb\n", "\n", "c\r"], &["a", "b", "", "c␍"]);
    check(20, &["日本語日本語日本語日本語"], &["日本語日本語日本語日", "本語"]);
    check(20, &["x日本語日本語日本語日", "本"], &["x日本語日本語日本語", "日本"]);
    check(20, &["cafe", "\u{301} noir"], &["cafe\u{301} noir"]);
    check(20, &["1234567890123456789e", "\u{301}f"], &["1234567890123456789e\u{301}", "f"]);
    check(40, &["a\tb", "\tc"], &["a       b       c"]);
    check(20, &["123456789012345678\tx"], &["123456789012345678", "x"]);
    check(20, &["\x1b[31mred\x07", "\x1b]0;t"], &["␛[31mred␇␛]0;t"]);
    check(20, &["fn main() {\n", "    body();\n}"], &["fn main() {", "    body();", "}"]);
    check(80, &["a    ", "b"], &["a    b"]);
    check(20, &["\n\nx"], &["", "", "x"]);
    check(20, &[" ", "", "x"], &[" x"]);
}

#[test]
fn an_emoji_that_was_cut_grows_together() {
    let family = "👩\u{200d}🚀";
    let rows = streamed(&["hi 👩", "\u{200d}", "🚀 there"], 40);
    assert_eq!(rows.concat().replace(' ', ""), format!("hi{family}there"));
    assert_eq!(folded(&"🇩🇪".repeat(12), 20).len(), 2);
}

#[test]
fn notices_go_above_the_live_row() {
    let (mut screen, mut row) = (Screen::new(40), LiveRow::new(Kind::Screen, WcWidth));
    let mut out = String::new();
    row.append("the answer beg", 40, &mut out);
    screen.print(&out);
    out.clear();
    row.insert_above("a notice\n", 40, &mut out);
    row.append("ins here", 40, &mut out);
    screen.print(&out);
    assert_eq!(screen.rows(), ["a notice", "the answer begins here"]);
}

/// So a long line of code is copied as one line, and a paragraph as the rows it was wrapped to.
#[test]
fn the_terminal_itself_wraps_code_and_nothing_else() {
    let check = |text: &str, expected: &[(&str, bool)]| {
        for size in [1, 3, 7, 1_000] {
            let (mut screen, mut row) = (Screen::new(20), LiveRow::new(Kind::Screen, WcWidth));
            row.set_markdown(true);
            for chunk in cut(text, &[size]) {
                let mut out = String::new();
                row.append(&chunk, 20, &mut out);
                screen.print(&out);
            }
            let wrapped = |nth: usize| screen.parser.screen().row_wrapped(nth as u16);
            let wraps: Vec<bool> = (0..expected.len()).map(wrapped).collect();
            let rows = screen.rows().into_iter().zip(wraps);
            assert_eq!(
                rows.collect::<Vec<_>>(),
                expected.iter().map(|(row, wraps)| (row.to_string(), *wraps)).collect::<Vec<_>>()
            );
        }
    };
    check(
        "```\n12345678901234567890 2345678901234567890\n12345678901234567890\nx",
        &[
            ("```", false),
            ("12345678901234567890", true),
            (" 2345678901234567890", false),
            ("12345678901234567890", false),
            ("x", false),
        ],
    );
    check(
        "```\n1234567890123456789é123\n1234567890123456789日",
        &[
            ("```", false),
            ("1234567890123456789é", false),
            ("123", false),
            ("1234567890123456789", false),
            ("日", false),
        ],
    );
    check(
        "12345678901234567890123 5678901234567890",
        &[("12345678901234567890", false), ("123 5678901234567890", false)],
    );
}

#[test]
fn a_cluster_wider_than_the_terminal_is_no_cluster() {
    let family = "👨\u{200d}👩\u{200d}👧\u{200d}👦\u{200d}👦";
    let rows = streamed(&["a", family, "b"], 8);
    assert_eq!(
        rows.iter().map(|row| row.chars().filter(|c| *c != '\u{200d}').collect::<String>()).collect::<Vec<_>>(),
        ["a", "👨👩👧👦", "👦b"]
    );
    // More columns than rustyline can count.
    let endless = "👩\u{200d}".repeat(40_000);
    assert_eq!(columns(WcWidth, &endless), 80_000);
    assert_eq!(streamed(&[&endless], 8).len(), 10_000_usize.min(SCROLLBACK_ROWS + 23));
}

#[test]
fn a_disturbed_row_is_painted_again() {
    let (mut screen, mut row) = (Screen::new(40), LiveRow::new(Kind::Screen, WcWidth));
    let mut out = String::new();
    row.append("half a wo", 40, &mut out);
    screen.print(&out);
    screen.raw("\x1b[H\x1b[J> ");
    out.clear();
    row.repaint(40, &mut out);
    row.append("rd", 40, &mut out);
    screen.print(&out);
    assert_eq!(screen.rows(), ["half a word"]);
}

#[test]
fn whole_rows_hold_back_what_is_unfinished() {
    let mut row = LiveRow::new(Kind::Whole, WcWidth);
    let mut out = String::new();
    row.append("one\ntw", 20, &mut out);
    row.insert_above("notice\n", 20, &mut out);
    row.append("o", 20, &mut out);
    assert_eq!(out, "one\nnotice\n");
    row.finish(&mut out);
    assert_eq!(out, "one\nnotice\ntwo\n");
}

#[test]
fn the_style_is_closed_before_each_line_end() {
    let out = fold("ab cd", 8, WcWidth, Style::new().dimmed());
    assert_eq!(out, "\x1b[2mab cd\x1b[0m\n");
    assert_eq!(fold("a\n\nb", 8, WcWidth, Style::new().bold()).matches("\x1b[0m").count(), 3);
}

fn words() -> impl Strategy<Value = String> {
    prop::collection::vec(
        prop_oneof![
            "[a-z]{1,12}",
            "[a-z]{1,3} ",
            Just(" ".to_owned()),
            Just("\n".to_owned()),
            Just("\t".to_owned()),
            Just("\r\n".to_owned()),
            Just("日本".to_owned()),
            Just("e\u{301}".to_owned()),
            Just("\x1b[2J".to_owned()),
            Just("👋".to_owned()),
            "[a-z]{30,90}",
        ],
        0..60,
    )
    .prop_map(|parts| parts.concat())
}

fn cut(text: &str, sizes: &[usize]) -> Vec<String> {
    let (mut chunks, mut chars, mut i) = (Vec::new(), text.chars().peekable(), 0);
    while chars.peek().is_some() {
        chunks.push(chars.by_ref().take(sizes[i % sizes.len()]).collect());
        i += 1;
    }
    chunks
}

proptest! {
    /// However the text is cut, the screen shows what folding it in one go shows.
    #[test]
    fn chunks_do_not_matter(text in words(), sizes in prop::collection::vec(1usize..9, 1..20), width in 8u16..90) {
        let chunks = cut(&text, &sizes);
        let chunks: Vec<&str> = chunks.iter().map(String::as_str).collect();
        let (mut shown, mut expected) = (streamed(&chunks, width), folded(&text, width.into()));
        for rows in [&mut shown, &mut expected] {
            while rows.last().is_some_and(String::is_empty) {
                rows.pop();
            }
        }
        prop_assert_eq!(shown, expected);
    }

    /// With notices in between and the width changing, nothing of the text is missing or doubled, and no notice is split.
    #[test]
    fn nothing_is_lost_or_doubled(
        text in words(),
        sizes in prop::collection::vec(1usize..9, 1..20),
        acts in prop::collection::vec(0u8..6, 1..20),
    ) {
        let mut screen = Screen::new(90);
        let mut row = LiveRow::new(Kind::Screen, WcWidth);
        let (mut width, mut notices) = (60, 0);
        for (i, chunk) in cut(&text, &sizes).iter().enumerate() {
            let mut out = String::new();
            match acts[i % acts.len()] {
                0 => {
                    row.insert_above("#NOTICE#\n", width, &mut out);
                    notices += 1;
                }
                // The emulated screen stays wide: a terminal may do with old rows what it likes when it shrinks.
                // A mark that is cut from its letter by that very change stands on a blank.
                1 => width = 20 + (i * 7) % 60,
                _ => {}
            }
            row.append(chunk, width, &mut out);
            screen.print(&out);
        }
        let rows = screen.rows();
        prop_assert_eq!(rows.iter().filter(|row| *row == "#NOTICE#").count(), notices);
        let squeeze = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
        let shown: String = rows.iter().filter(|row| *row != "#NOTICE#").map(|row| squeeze(row)).collect();
        prop_assert_eq!(shown, squeeze(visible(&text).trim_end_matches('␍')));
    }
}

#[test]
fn a_flood_of_what_takes_no_column_costs_no_more_than_its_length() {
    for (flood, styled) in [("\u{301}", false), ("\u{301}", true), ("a\u{301}\u{301}\u{301}", true), (" ", true)] {
        let mut live = LiveRow::new(Kind::Screen, WcWidth);
        live.set_markdown(styled);
        let piece = flood.repeat(256);
        let (mut came, mut painted) = (0, 0);
        for _ in 0..256 {
            let mut out = String::new();
            live.append(&piece, 20, &mut out);
            (came, painted) = (came + piece.len(), painted + out.len());
            assert!(live.row.text.len().max(live.row.source.len()) <= 2 * ROW_BYTES);
        }
        assert!(painted <= 20 * came, "{flood:?}: {painted} bytes for {came}");
    }
}
