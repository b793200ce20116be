//! Any answer, cut anywhere, with anything in between, on an emulated screen: what stands above the prompt is the text that came,
//! wrapped once, and nothing else; the notices are whole; the prompt and what is typed at it are untouched.
//!
//! The wrap that is expected is written down here a second time, and not taken from the code under test. Of the screen's text,
//! blanks at the ends of rows and what has no width (the emulator keeps only some of it) are left out.

use proptest::prelude::*;
use rustyline::GraphemeClusterMode::WcWidth;
use unicode_segmentation::UnicodeSegmentation;

use super::super::gate::Disturbance;
use super::super::live_row::tests::Screen;
use super::super::markdown::Markdown;
use super::super::markdown::tests::snippets;
use super::super::measure::{TAB_COLUMNS, columns};
use super::*;
use crate::domain::text::visible;

/// Something that happens between two prints.
#[derive(Debug, Clone)]
enum Act {
    Notice,
    Error,
    Command,
    Queued,
    Block,
    Type(String),
    Resize(u16),
    Look(Render),
    Disturb,
    Between,
}

fn acts(resizes: bool) -> impl Strategy<Value = Vec<Vec<Act>>> {
    let width = if resizes { 8u16..=100 } else { 0..=0 };
    let act = prop_oneof![
        2 => Just(Act::Notice),
        1 => Just(Act::Error),
        1 => Just(Act::Command),
        1 => Just(Act::Queued),
        1 => Just(Act::Block),
        2 => "[a-z ]{0,30}".prop_map(Act::Type),
        1 => "[a-z日é\n]{0,20}".prop_map(Act::Type),
        2 => width.prop_map(Act::Resize),
        1 => prop::sample::select(vec![Render::Plain, Render::Markdown]).prop_map(Act::Look),
        1 => Just(Act::Disturb),
        1 => Just(if resizes { Act::Between } else { Act::Disturb }),
    ];
    prop::collection::vec(prop_oneof![2 => Just(Vec::new()), 1 => prop::collection::vec(act, 1..3)], 1..30)
}

/// Any text but the signs of a notice, and what the emulator shows nothing for.
fn texts() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        4 => snippets(),
        1 => prop::collection::vec(any::<u8>(), 0..30).prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
        1 => any::<String>(),
        1 => "[a-z]{80,300}",
        1 => "(日|本){20,60}",
        1 => prop::sample::select(vec![
            "👩\u{200d}🚀", "👨\u{200d}👩\u{200d}👧\u{200d}👦", "🇩🇪🇫🇷", "❤\u{fe0f}", "e\u{301}\u{302}", "\u{202e}rtl", "שלום", "مرحبا", "\r\n",
            "\r", "\x1b[2J", "\x07", "\t\t", "a\tb", "\u{3000}", "\u{200b}", "\u{ad}",
        ]).prop_map(str::to_owned),
        1 => "\n```rust\n[a-z(){};\t ]{50,200}\n",
    ];
    prop::collection::vec(part, 0..8).prop_map(|parts| parts.concat().replace(['«', '»'], "").replace('\u{fffd}', "?"))
}

fn wrap(line: &str, width: usize, is_code: bool, rows: &mut Vec<String>) {
    let cells = |text: &str| -> usize { text.graphemes(true).map(|cluster| columns(WcWidth, cluster)).sum() };
    let is_blank = |text: &str| text.chars().all(char::is_whitespace);
    let mut tokens: Vec<String> = Vec::new();
    let mut in_word = false;
    for cluster in line.graphemes(true) {
        let first = cluster.chars().next().unwrap_or_default().to_string();
        let is_letter = !is_code && !is_blank(cluster) && cells(&first) < 2;
        match tokens.last_mut() {
            Some(word) if in_word && is_letter => word.push_str(cluster),
            _ => tokens.push(cluster.to_owned()),
        }
        in_word = is_letter;
    }
    let (mut row, mut column) = (String::new(), 0);
    for token in tokens {
        let is_tab = token == "\t";
        let mut parts = vec![token.clone()];
        if is_blank(&token) {
            let room = width - column;
            if is_code && cells(&token).max(1) > room {
                rows.push(std::mem::take(&mut row));
                column = 0;
            }
            let room = width - column;
            parts = vec![match is_tab {
                true => " ".repeat(room.min(TAB_COLUMNS - column % TAB_COLUMNS)),
                false if cells(&token) <= room => token,
                false => String::new(),
            }];
        } else if column > 0 && column + cells(&token) > width {
            rows.push(std::mem::take(&mut row));
            column = 0;
        }
        if cells(&parts[0]) > width {
            parts = parts[0].graphemes(true).map(str::to_owned).collect();
        }
        for part in parts {
            let pieces = if cells(&part) > width { part.chars().map(String::from).collect() } else { vec![part] };
            for piece in pieces {
                if column > 0 && column + cells(&piece) > width {
                    rows.push(std::mem::take(&mut row));
                    column = 0;
                }
                column += cells(&piece);
                row += &piece;
            }
        }
    }
    rows.push(row);
}

/// The rows that a text has. In which lines a fence is open is Markdown's to say, but of whole lines here.
fn wrapped(text: &str, width: usize, render: Render) -> Vec<String> {
    let (mut rows, mut markdown) = (Vec::new(), Markdown::default());
    for line in visible(text).split_inclusive('\n') {
        let content = line.trim_end_matches('\n');
        wrap(content, width, render == Render::Markdown && markdown.is_code(), &mut rows);
        markdown.row(content, Some('\n'));
    }
    rows
}

/// What the emulated screen shows of a row, for sure.
fn sure(row: &str) -> String {
    let seen: String = row.chars().filter(|c| columns(WcWidth, c.encode_utf8(&mut [0; 4])) > 0).collect();
    seen.trim_end().to_owned()
}

struct Run {
    screen: Screen,
    renderer: Renderer,
    width: u16,
    look: Look,
    notices: usize,
    /// Rows from before the last change of width.
    rows: Vec<String>,
}

impl Run {
    fn new(width: u16, render: Render) -> Self {
        let look = Look { render, ..Look::default() };
        let renderer = Renderer::new(Kind::Screen, WcWidth, Palette::new(true), look);
        Self { screen: Screen::new(width), renderer, width, look, notices: 0, rows: Vec::new() }
    }

    fn show(&mut self, show: Show, disturbance: Option<Disturbance>) {
        for print in self.renderer.render(&[show], self.width.into(), disturbance) {
            self.screen.print(&print);
        }
    }

    fn act(&mut self, act: &Act) {
        let said = format!("«{} is said»", self.notices);
        let (session, name) = (SessionId(1), "main".parse::<SessionName>().unwrap());
        let show = match act {
            Act::Notice => Show::Notice(said),
            Act::Error => Show::Error(said),
            Act::Block => Show::Block(format!("«a block\n{said}\n")),
            Act::Command => Show::Command { session, name, line: said },
            Act::Queued => Show::Queued { session, name, text: "«".to_owned(), said },
            Act::Type(line) => return self.screen.type_line(line),
            Act::Resize(width) if *width == 0 || *width == self.width => return,
            Act::Resize(width) => {
                self.rows.extend(self.screen.rows());
                self.screen = Screen::new(*width);
                self.width = *width;
                // Nothing above the prompt may be touched from here on. The renderer hears of a width with the next print only.
                self.screen.print("«untouched»\n");
                Show::Notice(said)
            }
            Act::Look(render) => return self.show(Show::Look(Look { render: *render, ..self.look }), None),
            Act::Between => {
                // All rows stay, the live one too, and something stands behind them.
                self.rows.extend(self.screen.rows());
                self.screen = Screen::new(self.width);
                self.screen.print("«untouched»\n");
                Show::Notice(said)
            }
            Act::Disturb => {
                let rows = self.screen.rows();
                self.screen = Screen::new(self.width);
                // The live row is gone with the others; it is painted again.
                self.rows.extend(rows);
                if self.renderer.live.is_open() {
                    self.rows.pop();
                }
                Show::Notice(said)
            }
        };
        self.notices += 1;
        let disturbance = match act {
            Act::Disturb => Some(Disturbance::Cleared),
            Act::Between => Some(Disturbance::Between),
            _ => None,
        };
        self.show(show, disturbance);
    }

    /// The rows of the answer, and how many notices there were, each in one piece.
    fn finish(mut self) -> (Vec<String>, usize) {
        self.show(Show::End { state: AnswerState::Complete, line: None, error: None }, None);
        self.rows.extend(self.screen.rows());
        let (mut rows, mut said, mut notice) = (Vec::new(), 0, String::new());
        for row in self.rows {
            let begins = row.starts_with("1:main>") || row.starts_with("error:") || row.starts_with('«');
            if begins || !notice.is_empty() {
                notice += &row;
            } else {
                rows.push(sure(&row));
            }
            if row.ends_with('»') {
                said += usize::from(notice != "«untouched»");
                notice.clear();
            }
        }
        assert_eq!(notice, "", "a notice is in one piece");
        (rows, said)
    }
}

fn chunks<'a>(text: &'a str, sizes: &[usize]) -> Vec<&'a str> {
    let (mut rest, mut chunks) = (text, Vec::new());
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (chunk, more) = rest.split_at(rest.ceil_char_boundary(*size));
        chunks.push(chunk);
        rest = more;
    }
    chunks
}

fn without_ends(mut rows: Vec<String>) -> Vec<String> {
    while rows.last().is_some_and(String::is_empty) {
        rows.pop();
    }
    rows
}

/// As many cases as are asked for (`PROPTEST_CASES`), else few: grammars are slow without optimization.
fn config() -> ProptestConfig {
    let default = ProptestConfig::default();
    ProptestConfig { cases: if default.cases == 256 { 40 } else { default.cases }, ..default }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_screen_shows_the_text_wrapped_once(
        text in texts(),
        sizes in prop::collection::vec(1usize..60, 1..20),
        acts in acts(false),
        width in 8u16..=100,
        render in prop::sample::select(vec![Render::Plain, Render::Markdown]),
    ) {
        let mut run = Run::new(width, render);
        for (nth, chunk) in chunks(&text, &sizes).into_iter().enumerate() {
            run.show(Show::Text(chunk.to_owned()), None);
            acts[nth % acts.len()].iter().filter(|act| !matches!(act, Act::Look(_))).for_each(|act| run.act(act));
        }
        let notices = run.notices;
        let (rows, said) = run.finish();
        let expected = wrapped(&text, width.into(), render).iter().map(|row| sure(row)).collect();
        prop_assert_eq!(without_ends(rows), without_ends(expected));
        prop_assert_eq!(said, notices);
    }

    #[test]
    fn nothing_is_lost_or_doubled_when_all_changes(
        text in texts(),
        sizes in prop::collection::vec(1usize..60, 1..20),
        acts in acts(true),
        width in 8u16..=100,
        render in prop::sample::select(vec![Render::Plain, Render::Markdown]),
    ) {
        let mut run = Run::new(width, render);
        for (nth, chunk) in chunks(&text, &sizes).into_iter().enumerate() {
            run.show(Show::Text(chunk.to_owned()), None);
            acts[nth % acts.len()].iter().for_each(|act| run.act(act));
        }
        let notices = run.notices;
        let (rows, said) = run.finish();
        let squeezed = |text: &str| text.split_whitespace().collect::<String>();
        prop_assert_eq!(squeezed(&rows.concat()), squeezed(&sure(&visible(&text))));
        prop_assert_eq!(said, notices);
    }

    /// A row has the styles that it has when all comes at once.
    #[test]
    fn cuts_change_no_style(text in texts(), sizes in prop::collection::vec(1usize..40, 1..20), width in 8u16..=100) {
        let styled = |chunks: Vec<&str>| {
            let mut run = Run::new(width, Render::Markdown);
            run.screen.parser.screen_mut().set_size(500, width);
            for chunk in chunks {
                run.show(Show::Text(chunk.to_owned()), None);
            }
            let screen = run.screen.parser.screen();
            let cells = (0..500).flat_map(|row| (0..width).map(move |column| screen.cell(row, column)));
            let style = |cell: &vt100::Cell| {
                let flags = (cell.bold(), cell.dim(), cell.italic(), cell.underline());
                (cell.contents().chars().next(), cell.fgcolor(), flags)
            };
            cells.map(|cell| cell.map(style)).collect::<Vec<_>>()
        };
        prop_assert_eq!(styled(chunks(&text, &sizes)), styled(vec![&text]));
    }
}
