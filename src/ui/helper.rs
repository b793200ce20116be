//! What rustyline asks while a line is open: completions, hints, how the prompt looks now. The layer above answers the first
//! two through [`Complete`].

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use owo_colors::OwoColorize;
use rustyline::completion::{Completer, Pair};
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::validate::Validator;
use rustyline::{CompletionType, Context, GraphemeClusterMode};
use tokio::sync::watch;

use super::gate::Gate;
use super::keys::Shared;
use super::paste::Kept;
use super::prompt::Shape;
use super::style::Palette;
use super::{guard, measure, progress};
use crate::domain::text::is_unsafe;
use crate::domain::{Clock, PromptState};

/// Completions shown at most; more help nobody.
const MAX_COMPLETIONS: usize = 1_000;

/// Knows what may be typed. Called on the reader's thread, at each Tab and each key: it must not block.
pub trait Complete: Send {
    /// The completions at byte `pos` of `line`: the byte at which the replaced word begins, and what is shown and put in for each.
    fn complete(&self, line: &str, pos: usize) -> (usize, Vec<(String, String)>);

    /// What to show, dimmed, behind `line`.
    fn hint(&self, line: &str) -> Option<String>;
}

/// What stands in the line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Typed {
    /// `None`: no line is open.
    line: Option<String>,
    kept: Kept,
    /// Columns of the terminal in which rustyline laid it out; 0: no line is open.
    width: usize,
}

impl Typed {
    /// Whether the line takes fewer rows in `width` columns than where it was laid out. rustyline then erases as many rows as it knew
    /// of, and where the terminal has wrapped them anew, the row above them is among these.
    pub(super) fn shrinks(&self, prompt_columns: usize, width: usize, mode: GraphemeClusterMode) -> bool {
        let rows = |width| self.rows(prompt_columns, width, mode);
        self.width != 0 && self.width != width && rows(self.width) > rows(width)
    }

    /// The line has been laid out in `width` columns.
    pub(super) const fn laid_out(&mut self, width: usize) {
        if self.width != 0 {
            self.width = width;
        }
    }

    /// Rows that a prompt of so many columns and the line take.
    fn rows(&self, prompt_columns: usize, width: usize, mode: GraphemeClusterMode) -> usize {
        let line = self.line.as_deref().unwrap_or_default();
        measure::end_behind(prompt_columns, line, width, mode).0 + 1
    }

    /// The text that the line means, folded pastes included; `None` while no line is open.
    pub fn text(&self) -> Option<String> {
        self.line.as_ref().map(|line| self.kept.unfold(line))
    }
}

/// Completes nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoCompletion;

impl Complete for NoCompletion {
    fn complete(&self, _line: &str, pos: usize) -> (usize, Vec<(String, String)>) {
        (pos, Vec::new())
    }

    fn hint(&self, _line: &str) -> Option<String> {
        None
    }
}

/// A hint that rustyline takes to be there and to have no columns: a zero-width space.
const NO_COLUMNS: &str = "\u{200b}";

/// What stands behind the line: it is only shown, and nothing to put in.
#[derive(Debug)]
pub(super) struct Behind(String);

/// What that is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Field {
    /// What the line may go on with.
    #[default]
    Explanation,
    /// What the session's turn is at: drawn at each repaint, where there is room for it then. For rustyline it takes no columns, so
    /// whatever the width is and whatever else it puts before the line, its rows stay its own.
    Progress,
}

impl rustyline::hint::Hint for Behind {
    fn display(&self) -> &str {
        &self.0
    }

    fn completion(&self) -> Option<&str> {
        None
    }
}

/// rustyline's helper.
pub(super) struct Prompter {
    complete: Box<dyn Complete>,
    mode: GraphemeClusterMode,
    palette: Palette,
    gate: Arc<Gate>,
    /// The latest state: from the reader before a line, from the printer's frames while it is open.
    state: RefCell<watch::Receiver<PromptState>>,
    /// The measures of the line that is open.
    shape: Cell<Shape>,
    /// What stands behind the line.
    field: Cell<Field>,
    /// Columns behind the line, as it was drawn last.
    room: Cell<usize>,
    /// Columns of the prompt that was drawn last; `None`: it is another one, that of a search.
    prompt_columns: Cell<Option<usize>>,
    /// A list of completions is being drawn.
    listing: Cell<bool>,
    clock: Clock,
    /// The next drawing of the prompt is the first of a line: the terminal is raw by then and the gate may open.
    opening: Cell<bool>,
    keys: Arc<Shared>,
}

impl Prompter {
    pub(super) fn new(
        complete: Box<dyn Complete>,
        mode: GraphemeClusterMode,
        palette: Palette,
        gate: Arc<Gate>,
        state: watch::Receiver<PromptState>,
        keys: Arc<Shared>,
        clock: Clock,
    ) -> Self {
        Self {
            complete,
            mode,
            palette,
            gate,
            state: RefCell::new(state),
            shape: Cell::default(),
            field: Cell::default(),
            room: Cell::default(),
            prompt_columns: Cell::default(),
            listing: Cell::default(),
            clock,
            opening: Cell::new(false),
            keys,
        }
    }

    /// A line begins, with a prompt of this shape.
    pub(super) fn begin(&self, shape: Shape) {
        self.shape.set(shape);
        self.opening.set(true);
    }

    /// The line as it was at the last key.
    pub(super) fn last_line(&self) -> String {
        self.keys.line.borrow().line.clone().unwrap_or_default()
    }

    /// The line was taken: it is nobody's draft any more.
    pub(super) fn forget_line(&self) {
        self.keys.line.send_replace(Typed::default());
    }

    /// Keeps the line. Whether it is taller than the screen.
    fn note(&self, line: &str) -> bool {
        let width = guard::columns();
        let typed = Typed { line: Some(line.to_owned()), kept: self.keys.pastes.kept(), width };
        let before = self.keys.line.send_replace(typed);
        if before.shrinks(self.keys.prompt_columns.load(Ordering::Relaxed), width, self.mode) {
            self.keys.shrunk.store(true, Ordering::Relaxed);
        }
        let prompt = self.shape.get().draw(&self.state.borrow().borrow(), self.mode, None);
        let (rows, _) = measure::end(&(prompt + line), width, self.mode);
        let is_tall = rows + 1 >= guard::rows();
        self.gate.set_tall(is_tall);
        is_tall
    }

    /// Columns behind `line` that can be drawn into without another row: fewer than [`progress::FIELD_COLUMNS`] where the row ends
    /// before. The last column stays free, for behind it the cursor would stand on the next row; none behind a full row, where
    /// it stands there already.
    fn room_behind(&self, line: &str, prompt_columns: usize) -> usize {
        let width = guard::columns();
        match measure::end_behind(prompt_columns, line, width, self.mode) {
            (1.., 0) => 0,
            (_, column) => width.saturating_sub(column + 1).min(progress::FIELD_COLUMNS),
        }
    }
}

impl rustyline::Helper for Prompter {}
impl Validator for Prompter {}

impl Completer for Prompter {
    type Candidate = Pair;

    fn complete(&self, line: &str, pos: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        let (start, found) = self.complete.complete(line, pos);
        // One row of the list each.
        let room = guard::columns().saturating_sub(1);
        let found: Vec<Pair> = found
            .into_iter()
            .take(MAX_COMPLETIONS)
            .map(|(display, replacement)| Pair { display: measure::cut(display, room, self.mode), replacement })
            .collect();
        if found.len() > 1 {
            // A list may be drawn below the line, and the prompt again below that.
            self.gate.disturb();
        }
        Ok((start, found))
    }
}

impl Hinter for Prompter {
    type Hint = Behind;

    fn hint(&self, line: &str, pos: usize, _: &Context<'_>) -> Option<Behind> {
        let is_tall = self.note(line);
        let explained = if line.is_empty() || pos < line.len() { None } else { self.complete.hint(line) };
        if let Some(explanation) = explained {
            self.field.set(Field::Explanation);
            return Some(Behind(explanation));
        }
        let is_awaited = self.state.borrow().borrow().progress.is_some();
        self.field.set(Field::Progress);
        // With a hint each key draws the whole line again, which leaves a copy of a tall one behind. And behind a line end rustyline
        // would add one of its own for a hint that has none: its rows and the screen's would come apart.
        (is_awaited && !is_tall && !line.ends_with('\n')).then(|| Behind(NO_COLUMNS.to_owned()))
    }
}

impl Highlighter for Prompter {
    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, default: bool) -> Cow<'b, str> {
        // An Enter that asked for more of a list has ended no line.
        let is_open_still = self.listing.take() && self.keys.endings.take().is_some();
        if self.opening.take() || is_open_still {
            self.gate.open();
        }
        let columns = measure::columns(self.mode, prompt);
        self.prompt_columns.set(default.then_some(columns));
        self.keys.prompt_columns.store(columns, Ordering::Relaxed);
        if !default {
            return Cow::Borrowed(prompt);
        }
        let state = self.state.borrow_mut().borrow_and_update().clone();
        let drawn = self.shape.get().draw(&state, self.mode, None);
        // Another session's number or name would have another width: that shows from the next line on.
        if self.mode.width(&drawn) == self.mode.width(prompt) {
            Cow::Owned(self.shape.get().draw(&state, self.mode, Some(&self.palette)))
        } else {
            Cow::Borrowed(prompt)
        }
    }

    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        let text = match self.field.get() {
            Field::Explanation => hint.to_owned(),
            // Where nothing is drawn the cells stay as they are, so that no blanks are copied or wrapped.
            Field::Progress => {
                let progress = self.state.borrow().borrow().progress;
                let draw = |progress| progress::text(progress, self.clock.now(), self.room.get(), self.mode);
                progress.map(draw).unwrap_or_default()
            }
        };
        if text.is_empty() { Cow::Owned(text) } else { Cow::Owned(text.style(self.palette.dim).to_string()) }
    }

    /// What is in the line is drawn as it is, but for what would drive the terminal (a person may quote a key): of that nothing is drawn,
    /// or what has as many columns as it is taken to have.
    fn highlight<'l>(&self, line: &'l str, _: usize) -> Cow<'l, str> {
        // Only who waits looks there.
        let awaited = self.prompt_columns.get().filter(|_| self.state.borrow().borrow().progress.is_some());
        self.room.set(awaited.map_or(0, |columns| self.room_behind(line, columns)));
        let drives = |c: char| is_unsafe(c) && !matches!(c, '\n' | '\t');
        if !line.chars().any(drives) {
            return Cow::Borrowed(line);
        }
        let cells = |c: char| measure::columns(self.mode, c.encode_utf8(&mut [0; 4]));
        let drawn = |c: char| if drives(c) { (cells(c) > 0).then_some(char::REPLACEMENT_CHARACTER) } else { Some(c) };
        Cow::Owned(line.chars().filter_map(drawn).collect())
    }

    fn highlight_candidate<'c>(&self, candidate: &'c str, _: CompletionType) -> Cow<'c, str> {
        self.listing.set(true);
        Cow::Borrowed(candidate)
    }
}
