//! Random answers while random keys are typed, notices come and the window grows: what is on the screen at the end is what came, once.
//!
//! Both sides make the same story from a seed: the child streams it, the parent knows it. The window only grows, for the emulated
//! screen cuts what a narrower one has no room for.

use chatmux::domain::text::visible;

use crate::pty::{Pty, cells, still};

/// Numbers from a seed (Knuth's MMIX constants).
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(2).wrapping_add(1))
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % n
    }

    fn pick<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len())]
    }
}

/// What is shown next.
pub(crate) enum Beat {
    Text(String),
    Notice(String),
}

const WORDS: &[&str] = &[
    "word ",
    "and ",
    "a-very-long-word-that-may-have-to-be-broken-somewhere ",
    "日本語の文章",
    "café ",
    "e\u{301}a\u{308} ",
    "👩\u{200d}🚀 ",
    "🇩🇪",
    "\t",
    "  ",
    "\n",
    "\r\n",
    "\n\n",
    "\x1b[31mred\x1b[0m ",
    "\x1b]0;title\x07",
    "\u{9b}2J",
    "\u{202e}turned ",
    "\x08\x7f",
    "**bold** ",
    "*open ",
    "`code` ",
    "# heading\n",
    "- item ",
    "| a | b |\n",
    "\n```rust\nfn main() { let s = \"日本\"; }\n```\n",
    "snake_case_name ",
];

/// The story of a seed: pieces cut anywhere, and a notice now and then.
pub(crate) fn story(seed: u64) -> Vec<Beat> {
    let mut rng = Rng::new(seed);
    let text: String = (0..120).map(|_| rng.pick(WORDS)).collect();
    let (mut beats, mut rest, mut notices) = (Vec::new(), text.as_str(), 0);
    while !rest.is_empty() {
        let (piece, more) = rest.split_at(rest.floor_char_boundary(1 + rng.below(24)).max(first_char(rest)));
        beats.push(Beat::Text(piece.to_owned()));
        rest = more;
        if rng.below(9) == 0 {
            notices += 1;
            beats.push(Beat::Notice(format!("(n {notices})")));
        }
    }
    beats
}

fn first_char(text: &str) -> usize {
    text.chars().next().map_or(0, char::len_utf8)
}

fn without_blanks(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

fn play(seed: u64, mut columns: u16) {
    let mut rng = Rng::new(seed ^ 0xdead);
    let mut pty = Pty::spawn(cells(24, columns), crate::child_command());
    pty.wait_last("1:main>");
    pty.type_keys(&format!("random {seed}\r"));
    pty.wait("the echo", |rows| rows.concat().contains(&format!("random {seed}")));
    let mut typed = String::new();
    for _ in 0..40 {
        match rng.below(10) {
            0 if !typed.is_empty() => {
                typed.pop();
                pty.type_keys("\x7f");
            }
            // There and back: the cursor is elsewhere while something is printed.
            1 => pty.type_keys("\x01\x05"),
            2 => pty.type_keys("\x1b[D\x1b[C"),
            // rustyline learns of a new width a moment after the terminal: a line of one row is laid out the same in both.
            3 if 8 + typed.len() < usize::from(columns) => {
                columns += u16::try_from(rng.below(7)).unwrap();
                pty.resize(cells(24, columns));
            }
            _ => {
                let key = ["x", "語", "y ", "zz"][rng.below(4)];
                typed.push_str(key);
                pty.type_keys(key);
            }
        }
        // What is typed shows, whatever streams.
        let expected = without_blanks(&format!("1:main> {typed}"));
        pty.wait("the typed line", |rows| tail(rows) == expected);
    }
    let done = format!("(done {seed})");
    pty.wait_row(&done);
    let expected = without_blanks(&format!("1:main> {typed}"));
    let rows = pty.wait("the typed line", |rows| tail(rows) == expected);
    assert!(rows.contains(&done), "seed {seed}: {rows:#?}");
    check(seed, &pty.all_rows());
    pty.type_keys("\x03\x04");
    pty.end();
}

/// The last prompt and what stands behind it, over however many rows.
fn tail(rows: &[String]) -> String {
    let from = rows.iter().rposition(|row| row.starts_with("1:main>")).unwrap_or(0);
    without_blanks(&rows[from..].iter().map(|row| still(row)).collect::<String>())
}

fn check(seed: u64, rows: &[String]) {
    // The echo may take several rows; the first piece begins the row behind it.
    let begin = rows.iter().position(|row| row.starts_with("1:main> random")).unwrap();
    let end = rows.iter().position(|row| *row == format!("(done {seed})")).unwrap();
    let (mut text, mut notices) = (String::new(), Vec::new());
    for beat in story(seed) {
        match beat {
            Beat::Text(piece) => text.push_str(&piece),
            Beat::Notice(notice) => notices.push(notice),
        }
    }
    let shown = &rows[begin + 1..end];
    let said: Vec<&String> = shown.iter().filter(|row| row.starts_with("(n ")).collect();
    assert_eq!(said, notices.iter().collect::<Vec<_>>(), "seed {seed}: each notice is a row of its own: {rows:#?}");
    let answer: String = shown.iter().filter(|row| !row.starts_with("(n ")).map(String::as_str).collect();
    let (answer, expected) = (without_blanks(&answer), without_blanks(&visible(&text)));
    assert_eq!(answer, expected, "seed {seed}: {rows:#?}");
}

#[test]
fn what_came_is_on_the_screen_once_at_80_columns() {
    (0..6).for_each(|seed| play(seed, 80));
}

#[test]
fn what_came_is_on_the_screen_once_at_40_columns() {
    (100..106).for_each(|seed| play(seed, 40));
}

#[test]
fn what_came_is_on_the_screen_once_at_20_columns() {
    (200..206).for_each(|seed| play(seed, 20));
}
