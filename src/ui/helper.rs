//! What rustyline asks while a line is open: completions, hints, how the prompt looks now. The layer above answers the first
//! two through [`Complete`].

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::sync::Arc;

use owo_colors::OwoColorize;
use rustyline::completion::{Completer, Pair};
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::validate::Validator;
use rustyline::{CompletionType, Context, GraphemeClusterMode};
use tokio::sync::watch;

use super::gate::Gate;
use super::prompt::Shape;
use super::style::Palette;
use crate::domain::PromptState;

/// Completions shown at most; more help nobody.
const MAX_COMPLETIONS: usize = 1_000;

/// Knows what may be typed. Called on the reader's thread, at each Tab and each key: it must not block.
pub trait Complete: Send {
    /// The completions at byte `pos` of `line`: the byte at which the replaced word begins, and what is shown and put in for each.
    fn complete(&self, line: &str, pos: usize) -> (usize, Vec<(String, String)>);

    /// What to show, dimmed, behind `line`.
    fn hint(&self, line: &str) -> Option<String>;
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

/// A hint that is only shown: what it says is an explanation, not text to put in.
#[derive(Debug)]
pub(super) struct Explanation(String);

impl rustyline::hint::Hint for Explanation {
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
    /// The next drawing of the prompt is the first of a line: the terminal is raw by then and the gate may open.
    opening: Cell<bool>,
    /// The line as it was at the last key: a readline that fails forgets it.
    line: RefCell<String>,
}

impl Prompter {
    pub(super) fn new(
        complete: Box<dyn Complete>,
        mode: GraphemeClusterMode,
        palette: Palette,
        gate: Arc<Gate>,
        state: watch::Receiver<PromptState>,
    ) -> Self {
        let (shape, opening, line) = (Cell::default(), Cell::new(false), RefCell::default());
        Self { complete, mode, palette, gate, state: RefCell::new(state), shape, opening, line }
    }

    /// A line begins, with a prompt of this shape.
    pub(super) fn begin(&self, shape: Shape) {
        self.shape.set(shape);
        self.opening.set(true);
        self.line.borrow_mut().clear();
    }

    /// The line as it was at the last key.
    pub(super) fn last_line(&self) -> String {
        self.line.borrow().clone()
    }

    fn note(&self, line: &str) {
        line.clone_into(&mut self.line.borrow_mut());
    }
}

impl rustyline::Helper for Prompter {}
impl Validator for Prompter {}

impl Completer for Prompter {
    type Candidate = Pair;

    fn complete(&self, line: &str, pos: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        let (start, found) = self.complete.complete(line, pos);
        let found: Vec<Pair> = found
            .into_iter()
            .take(MAX_COMPLETIONS)
            .map(|(display, replacement)| Pair { display, replacement })
            .collect();
        if found.len() > 1 {
            // A list may be drawn below the line, and the prompt again below that.
            self.gate.disturb();
        }
        Ok((start, found))
    }
}

impl Hinter for Prompter {
    type Hint = Explanation;

    fn hint(&self, line: &str, pos: usize, _: &Context<'_>) -> Option<Explanation> {
        self.note(line);
        if line.is_empty() || pos < line.len() {
            return None;
        }
        self.complete.hint(line).map(Explanation)
    }
}

impl Highlighter for Prompter {
    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, default: bool) -> Cow<'b, str> {
        if self.opening.take() {
            self.gate.open();
        }
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
        Cow::Owned(hint.style(self.palette.dim).to_string())
    }

    fn highlight_candidate<'c>(&self, candidate: &'c str, _: CompletionType) -> Cow<'c, str> {
        Cow::Borrowed(candidate)
    }
}
