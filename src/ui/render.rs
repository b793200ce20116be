//! Turns what the coordinator wants shown into bytes for the terminal. Pure; `printer` owns it and writes what it gives.

use owo_colors::Style;
use rustyline::GraphemeClusterMode;

use super::gate::Disturbance;
use super::live_row::{Kind, LiveRow, MIN_COLUMNS, fold};
use super::paste;
use super::prompt::label;
use super::style::Palette;
use crate::domain::text::{count, one_line, size};
use crate::domain::{AnswerState, Look, Reasoning, Render, SessionId, SessionName, Show, StoredError};

/// Bytes of one print: what is longer goes out in several, so that a key typed meanwhile is echoed in between.
pub(super) const PRINT_BYTES: usize = 16 << 10;
/// Lines of a long message that its echo shows.
const ECHO_LINES: usize = 3;
/// Characters of each of them.
const ECHO_CHARS: usize = 200;
/// Bytes of an answer that are drawn at once when it is styled: styles take room too.
const STYLED_BYTES: usize = PRINT_BYTES / 4;
/// Characters of an error that an answer's last row shows.
const ERROR_CHARS: usize = 300;

/// What is being said in the live row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Voice {
    Text,
    Reasoning,
}

/// What is different where there is no cursor to move.
#[derive(Debug, Default)]
pub(super) struct Plain {
    /// Signs are words.
    pub(super) words: bool,
    /// The terminal's own echo shows what is typed.
    pub(super) echoes: bool,
    /// What it has shown last.
    pub(super) typed: Option<String>,
}

/// The state of what is above the prompt.
#[derive(Debug)]
pub(super) struct Renderer {
    live: LiveRow,
    mode: GraphemeClusterMode,
    palette: Palette,
    look: Look,
    /// The terminal has shown what was typed, and signs are words.
    plain: Option<Plain>,
    /// Who speaks, since the last question or end.
    voice: Option<Voice>,
    /// Characters of reasoning that were folded and are not spoken of yet.
    folded_chars: u64,
    /// The row before the next one is blank, or there is none.
    blank: bool,
    /// Prints that are ready.
    prints: Vec<String>,
    out: String,
}

impl Renderer {
    /// Nothing shown yet.
    pub(super) fn new(kind: Kind, mode: GraphemeClusterMode, palette: Palette, look: Look) -> Self {
        let live = LiveRow::new(kind, mode);
        Self {
            live,
            mode,
            palette,
            look,
            plain: None,
            voice: None,
            folded_chars: 0,
            blank: true,
            prints: Vec::new(),
            out: String::new(),
        }
    }

    /// How things are shown now.
    pub(super) const fn look(&self) -> Look {
        self.look
    }

    /// For a terminal that is written to line by line.
    pub(super) fn plain(self, plain: Plain) -> Self {
        Self { plain: Some(plain), ..self }
    }

    /// This message was typed, and the terminal's own echo has shown it.
    pub(super) fn typed(&mut self, text: String) {
        if let Some(plain) = &mut self.plain {
            plain.typed = Some(text);
        }
    }

    /// Whether the terminal's own echo of `text` stands there already.
    fn is_echoed(&mut self, text: &str) -> bool {
        self.plain.as_mut().filter(|plain| plain.echoes).and_then(|plain| plain.typed.take()).is_some_and(|t| t == text)
    }

    /// What to print for `shows` in a terminal of `width` columns. `disturbance`: what happened to the live row.
    pub(super) fn render(&mut self, shows: &[Show], width: usize, disturbance: Option<Disturbance>) -> Vec<String> {
        match disturbance {
            Some(Disturbance::Cleared) => self.live.repaint(width, &mut self.out),
            Some(Disturbance::Between) => self.live.leave(width, &mut self.out),
            None => {}
        }
        for show in shows {
            self.show(show, width.max(MIN_COLUMNS));
            self.cut();
        }
        if !self.out.is_empty() {
            self.prints.push(std::mem::take(&mut self.out));
        }
        std::mem::take(&mut self.prints)
    }

    fn cut(&mut self) {
        if self.out.len() >= PRINT_BYTES {
            self.prints.push(std::mem::take(&mut self.out));
        }
    }

    fn show(&mut self, show: &Show, width: usize) {
        match show {
            Show::Question { session, name, text } => {
                self.folded_chars = 0;
                self.finish();
                if !self.is_echoed(text) {
                    self.blank_row();
                    self.out += &self.echo(*session, name, text, width);
                }
                self.blank = false;
            }
            Show::GoesOn(text) => {
                self.speak(Voice::Text, width);
                self.live.skip(text);
            }
            Show::Text(text) => self.say(Voice::Text, text, width),
            Show::Reasoning(text) if self.look.reasoning != Reasoning::Hide => self.say(Voice::Reasoning, text, width),
            Show::Reasoning(text) => self.folded_chars += text.chars().count() as u64,
            Show::End { state, line, error } => self.end(*state, line.as_deref(), error.as_ref(), width),
            Show::Notice(text) => self.above(text, Style::new(), width),
            Show::Error(text) => self.above(&format!("error: {text}"), self.palette.error, width),
            Show::Command { session, name, line } => {
                if !self.plain.as_ref().is_some_and(|plain| plain.echoes) {
                    let rows = self.echo(*session, name, line, width);
                    self.insert(&rows, width);
                }
            }
            Show::Queued { session, name, text, said } => {
                let echo = if self.is_echoed(text) { String::new() } else { self.echo(*session, name, text, width) };
                let rows = echo + &self.rows(said, width, self.palette.dim);
                self.insert(&rows, width);
            }
            Show::Look(look) => {
                self.look = *look;
                self.live.set_markdown(self.voice == Some(Voice::Text) && self.is_styled());
            }
            Show::Alert(_) => {}
            Show::Block(text) => self.above(text, Style::new(), width),
            Show::Switched { session, name, unread, cut_bytes } => {
                self.folded_chars = 0;
                self.switched(*session, name, *unread, *cut_bytes, width);
            }
        }
    }

    fn say(&mut self, voice: Voice, text: &str, width: usize) {
        if text.is_empty() {
            return;
        }
        self.fold_reasoning(width);
        self.speak(voice, width);
        for piece in pieces(text, if self.is_styled() { STYLED_BYTES } else { PRINT_BYTES }) {
            self.live.append(piece, width, &mut self.out);
            self.cut();
        }
        self.blank = !self.live.is_open() && text.ends_with("\n\n");
    }

    /// Somebody speaks from here on.
    fn speak(&mut self, voice: Voice, width: usize) {
        if self.voice != Some(voice) {
            let thought_before = self.voice == Some(Voice::Reasoning);
            self.finish();
            if thought_before {
                self.blank_row();
            }
            let dim = voice == Voice::Reasoning && self.look.reasoning == Reasoning::Dim;
            self.live.set_style(if dim { self.palette.dim } else { Style::new() });
            self.live.set_markdown(voice == Voice::Text && self.is_styled());
            self.voice = Some(voice);
            if voice == Voice::Reasoning {
                self.live.append("[thinking] ", width, &mut self.out);
            }
        }
    }

    fn is_styled(&self) -> bool {
        self.palette.markdown && self.look.render == Render::Markdown
    }

    /// Puts a row where folded reasoning would stand, now that it ends.
    fn fold_reasoning(&mut self, width: usize) {
        let chars = std::mem::take(&mut self.folded_chars);
        if chars > 0 {
            let said = self.voice.is_some();
            self.finish();
            if said {
                self.blank_row();
            }
            let chars = count(chars);
            let row = format!("[thought, {chars} characters: /set reasoning dim shows it]");
            self.out += &self.rows(&row, width, self.palette.dim);
            self.blank = false;
        }
    }

    /// Ends the live row; whoever speaks next begins a row.
    fn finish(&mut self) {
        self.live.finish(&mut self.out);
        self.live.set_style(Style::new());
        self.live.set_markdown(false);
        self.voice = None;
    }

    fn blank_row(&mut self) {
        if !std::mem::replace(&mut self.blank, true) {
            self.out.push('\n');
        }
    }

    fn end(&mut self, state: AnswerState, line: Option<&str>, error: Option<&StoredError>, width: usize) {
        self.fold_reasoning(width);
        self.finish();
        let why = error.map(|e| {
            let status = e.status.map(|s| format!("{s} ")).unwrap_or_default();
            format!(": {status}{}", one_line(&e.text, ERROR_CHARS))
        });
        let why = why.unwrap_or_default();
        let (said, style) = match state {
            AnswerState::Streaming | AnswerState::Complete => (None, self.palette.dim),
            AnswerState::Interrupted => (Some(format!("[interrupted{why}]")), self.palette.dim),
            AnswerState::Failed => (Some(format!("[failed{why}]")), self.palette.error),
        };
        if let Some(said) = line.or(said.as_deref()) {
            self.out += &self.rows(said, width, style);
            self.blank = false;
        }
    }

    fn switched(&mut self, session: SessionId, name: &SessionName, unread: bool, cut_bytes: u64, width: usize) {
        self.finish();
        self.blank_row();
        let words = self.plain.as_ref().is_some_and(|plain| plain.words);
        let [before, new, after, cut] =
            if words { ["session ", ", new", "", ""] } else { ["── ", " · new", " ──", "… "] };
        let new = if unread { new } else { "" };
        let around = [before, new, after].map(|part| part.chars().count()).iter().sum();
        let label = label(session, name.as_str(), width.saturating_sub(around), self.mode);
        self.out += &self.rows(&format!("{before}{label}{new}{after}"), width, self.palette.marker);
        if cut_bytes > 0 {
            let cut = format!("{cut}{} before this not shown: /replay shows all", size(cut_bytes));
            self.out += &self.rows(&cut, width, self.palette.dim);
        }
        self.blank = false;
    }

    /// A typed line as the prompt showed it: its first row behind the prompt, the others as they are. Of a long one the beginning.
    fn echo(&self, session: SessionId, name: &SessionName, line: &str, width: usize) -> String {
        if !paste::is_long(line) {
            return self.rows(&format!("{session}:{name}> {line}"), width, self.palette.prompt);
        }
        let shown: Vec<String> = line.lines().take(ECHO_LINES).map(|line| cut(line, ECHO_CHARS)).collect();
        let head = self.rows(&format!("{session}:{name}> {}", shown.join("\n")), width, self.palette.prompt);
        head + &self.rows(&paste::sign(line), width, self.palette.dim)
    }

    fn rows(&self, text: &str, width: usize, style: Style) -> String {
        fold(text, width, self.mode, style)
    }

    fn above(&mut self, text: &str, style: Style, width: usize) {
        if text.len() <= PRINT_BYTES {
            let rows = self.rows(text, width, style);
            self.insert(&rows, width);
            return;
        }
        for line in text.split_inclusive('\n') {
            let rows = self.rows(line, width, style);
            self.insert(&rows, width);
            self.cut();
        }
    }

    fn insert(&mut self, rows: &str, width: usize) {
        self.live.insert_above(rows, width, &mut self.out);
        if !self.live.is_open() {
            self.blank = false;
        }
    }
}

/// The first `chars` characters.
fn cut(line: &str, chars: usize) -> String {
    let mut cut: String = line.chars().take(chars).collect();
    if cut.len() < line.len() {
        cut.push('…');
    }
    cut
}

/// The text in pieces of at most `bytes`, cut between characters.
fn pieces(text: &str, bytes: usize) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (piece, more) = rest.split_at(rest.floor_char_boundary(bytes));
        rest = more;
        (!piece.is_empty()).then_some(piece)
    })
}

#[cfg(test)]
#[path = "render_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "render_properties.rs"]
mod properties;
