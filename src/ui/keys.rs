//! The keys that are ours. Each that ends a readline says why in [`Endings`] and closes the gate before the readline ends.
//!
//! All of them end it as an accepted line: an interrupted readline would forget both its text and what was typed ahead.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustyline::history::History;
use rustyline::{
    CharSearch, Cmd, ConditionalEventHandler, EditMode, Editor, Event, EventContext, EventHandler, Helper, InputMode,
    KeyCode, KeyEvent, Modifiers, Movement, RepeatCount,
};
use tokio::sync::watch;

use super::gate::Gate;
use super::helper::Typed;
use super::history::Reach;
use super::paste::{Pasted, Pastes};
use super::{guard, multiline};

/// What a key asks for in the middle of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// To go to the session with this number, 1 to 9 (`Ctrl-X 1…9`, `F1…F9`).
    Switch(u8),
    /// To go to the session that most wants attention (`Alt-a`).
    Attention,
    /// To go to the session before this one (`Alt-Left`).
    Previous,
    /// To go to the session after this one (`Alt-Right`).
    Next,
}

/// Why a readline ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// Enter: the line is whole.
    Line,
    /// Ctrl-C on an empty line.
    Interrupt,
    /// Ctrl-D on an empty line.
    Eof,
    /// A key that asks for something; the line is a draft.
    Wish(Wish),
    /// Enter behind a `\\`: the line goes on in another row.
    More,
    /// The line shall be changed in the person's editor.
    Editor,
    /// A paste was longer than a message may be; nothing of it is in the line.
    PasteTooLong,
}

/// The last ending that a key asked for; written and read by the reader's thread, but rustyline wants handlers that could be shared.
#[derive(Debug, Default)]
pub(super) struct Endings(AtomicU8);

/// Above this, the code is a session's number.
const SWITCH: u8 = 100;

impl Endings {
    fn set(&self, ending: Ending) {
        let code = match ending {
            Ending::Line => 1,
            Ending::Interrupt => 2,
            Ending::Eof => 3,
            Ending::More => 7,
            Ending::Editor => 8,
            Ending::PasteTooLong => 9,
            Ending::Wish(Wish::Attention) => 4,
            Ending::Wish(Wish::Previous) => 5,
            Ending::Wish(Wish::Next) => 6,
            Ending::Wish(Wish::Switch(n)) => SWITCH.saturating_add(n),
        };
        self.0.store(code, Ordering::Release);
    }

    /// The last ending, forgotten here; `None` when no key of ours asked for one.
    pub(super) fn take(&self) -> Option<Ending> {
        match self.0.swap(0, Ordering::AcqRel) {
            1 => Some(Ending::Line),
            2 => Some(Ending::Interrupt),
            3 => Some(Ending::Eof),
            4 => Some(Ending::Wish(Wish::Attention)),
            5 => Some(Ending::Wish(Wish::Previous)),
            6 => Some(Ending::Wish(Wish::Next)),
            7 => Some(Ending::More),
            8 => Some(Ending::Editor),
            9 => Some(Ending::PasteTooLong),
            code if code > SWITCH => Some(Ending::Wish(Wish::Switch(code - SWITCH))),
            _ => None,
        }
    }
}

/// When a key was pressed last: who has pressed none for a while looks elsewhere.
#[derive(Debug)]
pub(super) struct LastKey {
    start: Instant,
    after_ms: AtomicU64,
}

impl Default for LastKey {
    fn default() -> Self {
        Self { start: Instant::now(), after_ms: AtomicU64::new(0) }
    }
}

impl LastKey {
    /// Now.
    pub(super) fn pressed(&self) {
        self.after_ms.store(millis(self.start.elapsed()), Ordering::Relaxed);
    }

    /// Since then, or since the start.
    pub(super) fn elapsed(&self) -> Duration {
        let now = millis(self.start.elapsed());
        Duration::from_millis(now.saturating_sub(self.after_ms.load(Ordering::Relaxed)))
    }
}

fn millis(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

/// What a key of ours does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Enter,
    Interrupt,
    Eof,
    Wish(Wish),
    /// The line before, of every session's.
    Earlier,
    /// The line behind, of every session's.
    Later,
    Suspend,
    /// A line end within the line.
    Newline,
    Editor,
    PasteStart,
    PasteEnd,
    /// Moves, and takes no hint: ours only explain.
    Right,
    /// Deletes backward, or the whole sign of what was folded.
    Backspace,
    /// Deletes forward, or the whole sign.
    Delete,
    /// Not ours, but it clears the screen.
    ClearScreen,
    /// Any other key: after it the line is open, whatever an earlier key had announced.
    Other,
}

struct Key {
    act: Act,
    gate: Arc<Gate>,
    shared: Arc<Shared>,
}

/// What the keys leave behind for the two threads.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// Why the readline ends.
    pub(super) endings: Endings,
    /// What was pasted.
    pub(super) pastes: Pastes,
    /// How far the next step through the history reaches.
    pub(super) reach: Reach,
    /// The line as it was at the last key: a readline that fails forgets it, and who ends the program from outside keeps it.
    pub(super) line: watch::Sender<Typed>,
    /// Columns of the prompt that was drawn last.
    pub(super) prompt_columns: AtomicUsize,
    /// A key came after the line had shrunk to fewer rows by a new width ([`Typed::shrinks`]), and no frame since.
    pub(super) shrunk: AtomicBool,
    /// When somebody was there.
    pub(super) last_key: LastKey,
}

impl Key {
    #[expect(clippy::unnecessary_wraps, reason = "what a handler returns")]
    fn end(&self, ending: Ending) -> Option<Cmd> {
        self.shared.endings.set(ending);
        self.gate.close();
        Some(Cmd::AcceptLine)
    }

    /// Whatever an earlier key had announced, the line is open.
    fn still_open(&self) {
        if self.shared.endings.take().is_some() {
            self.gate.open();
        }
    }

    /// A step of rustyline's own, through the lines of every session.
    #[expect(clippy::unnecessary_wraps, reason = "what a handler returns")]
    fn step(&self, step: Cmd) -> Option<Cmd> {
        self.still_open();
        self.shared.reach.widen();
        Some(step)
    }

    /// While a paste is open every key belongs to it. Ctrl-C again and again ends one whose end got lost.
    fn in_paste(&self, event: &Event) -> Option<Cmd> {
        let is_lost = self.act == Act::Interrupt && self.shared.pastes.interrupt();
        if self.act != Act::PasteEnd && !is_lost {
            if let Some(key) = event.get(0).filter(|_| self.act != Act::Interrupt) {
                self.shared.pastes.take(key);
            }
            return Some(Cmd::Noop);
        }
        match self.shared.pastes.end() {
            Pasted::Text(text) => Some(Cmd::Insert(1, text)),
            Pasted::TooLong(_) => self.end(Ending::PasteTooLong),
        }
    }

    fn enter(&self, ctx: &EventContext) -> Option<Cmd> {
        let (line, pos) = (ctx.line(), ctx.pos());
        if multiline::is_open_block(line) {
            return Some(Cmd::Newline);
        }
        if pos == line.len() && multiline::goes_on(line) {
            // The reader replaces the backslash here and now, so a pasted text keeps its own.
            return self.end(Ending::More);
        }
        self.end(Ending::Line)
    }
}

impl ConditionalEventHandler for Key {
    fn handle(&self, event: &Event, n: RepeatCount, _: bool, ctx: &EventContext) -> Option<Cmd> {
        self.shared.last_key.pressed();
        if self.shared.pastes.is_open() {
            return self.in_paste(event);
        }
        match self.act {
            Act::Enter => self.enter(ctx),
            Act::Interrupt if ctx.line().is_empty() => self.end(Ending::Interrupt),
            Act::Interrupt => Some(Cmd::Kill(Movement::WholeBuffer)),
            Act::Eof if ctx.line().is_empty() => self.end(Ending::Eof),
            // In vi mode Ctrl-D ends the line, whatever is in it.
            Act::Eof if ctx.mode() == EditMode::Vi => self.end(Ending::Line),
            Act::Eof => None,
            Act::Wish(wish) => self.end(Ending::Wish(wish)),
            Act::Earlier => self.step(Cmd::PreviousHistory),
            Act::Later => self.step(Cmd::NextHistory),
            Act::Newline => Some(Cmd::Newline),
            Act::Editor => self.end(Ending::Editor),
            // There rustyline takes digits for itself before a key is ours, and collects a paste whole.
            Act::PasteStart if ctx.mode() == EditMode::Vi && ctx.input_mode() == InputMode::Command => None,
            Act::PasteStart => {
                self.shared.pastes.begin();
                Some(Cmd::Noop)
            }
            // The end of none.
            Act::PasteEnd => Some(Cmd::Noop),
            Act::Right if ctx.has_hint() && ctx.input_mode() != InputMode::Command => {
                Some(Cmd::Move(Movement::ForwardChar(n)))
            }
            Act::Right => None,
            Act::Backspace if ctx.input_mode() != InputMode::Command => {
                // Back to its bracket: a count of characters would be taken for a repetition, and become one.
                let has_sign = self.shared.pastes.kept().is_behind_a_sign(&ctx.line()[..ctx.pos()]);
                has_sign.then_some(Cmd::Kill(Movement::ViCharSearch(1, CharSearch::Backward('['))))
            }
            Act::Delete if ctx.input_mode() != InputMode::Command => {
                let has_sign = self.shared.pastes.kept().is_before_a_sign(&ctx.line()[ctx.pos()..]);
                has_sign.then_some(Cmd::Kill(Movement::ViCharSearch(1, CharSearch::Forward(']'))))
            }
            Act::Backspace | Act::Delete => None,
            Act::Suspend => {
                guard::suspend();
                self.gate.disturb();
                Some(Cmd::Repaint)
            }
            Act::ClearScreen => {
                self.gate.clear();
                None
            }
            Act::Other => {
                self.still_open();
                self.shared.reach.narrow();
                None
            }
        }
    }
}

/// Binds our keys.
pub(super) fn bind<H: Helper, I: History>(editor: &mut Editor<H, I>, gate: &Arc<Gate>, shared: &Arc<Shared>) {
    let handler = |act| {
        let key = Key { act, gate: Arc::clone(gate), shared: Arc::clone(shared) };
        EventHandler::Conditional(Box::new(key))
    };
    let plain = |code| KeyEvent(code, Modifiers::NONE);
    for n in 1..=9u8 {
        let act = Act::Wish(Wish::Switch(n));
        let digit = plain(KeyCode::Char(char::from(b'0' + n)));
        editor.bind_sequence(Event::KeySeq(vec![KeyEvent::ctrl('X'), digit]), handler(act));
        editor.bind_sequence(plain(KeyCode::F(n)), handler(act));
    }
    let editor_keys = Event::KeySeq(vec![KeyEvent::ctrl('X'), KeyEvent::ctrl('E')]);
    editor.bind_sequence(editor_keys, handler(Act::Editor));
    let keys = [
        (plain(KeyCode::Enter), Act::Enter),
        (KeyEvent::ctrl('C'), Act::Interrupt),
        (KeyEvent::ctrl('\\'), Act::Interrupt),
        (KeyEvent::ctrl('D'), Act::Eof),
        (KeyEvent::ctrl('Z'), Act::Suspend),
        (KeyEvent::ctrl('L'), Act::ClearScreen),
        (KeyEvent::alt('a'), Act::Wish(Wish::Attention)),
        (KeyEvent(KeyCode::Left, Modifiers::ALT), Act::Wish(Wish::Previous)),
        (KeyEvent(KeyCode::Right, Modifiers::ALT), Act::Wish(Wish::Next)),
        // Some terminals keep Ctrl-Up for themselves.
        (KeyEvent(KeyCode::Up, Modifiers::CTRL), Act::Earlier),
        (KeyEvent(KeyCode::Up, Modifiers::ALT), Act::Earlier),
        (KeyEvent(KeyCode::Down, Modifiers::CTRL), Act::Later),
        (KeyEvent(KeyCode::Down, Modifiers::ALT), Act::Later),
        (KeyEvent::ctrl('J'), Act::Newline),
        (KeyEvent(KeyCode::Enter, Modifiers::ALT), Act::Newline),
        (plain(KeyCode::BracketedPasteStart), Act::PasteStart),
        (plain(KeyCode::BracketedPasteEnd), Act::PasteEnd),
        (plain(KeyCode::Right), Act::Right),
        (plain(KeyCode::Backspace), Act::Backspace),
        (KeyEvent(KeyCode::Backspace, Modifiers::ALT), Act::Backspace),
        (KeyEvent::ctrl('W'), Act::Backspace),
        (plain(KeyCode::Delete), Act::Delete),
    ];
    for (key, act) in keys {
        editor.bind_sequence(key, handler(act));
    }
    editor.bind_sequence(Event::Any, handler(Act::Other));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ending_is_taken_once() {
        let endings = Endings::default();
        let wishes = [Wish::Attention, Wish::Previous, Wish::Next, Wish::Switch(1), Wish::Switch(9)];
        let all = [Ending::Line, Ending::Interrupt, Ending::Eof, Ending::More, Ending::Editor, Ending::PasteTooLong]
            .into_iter()
            .chain(wishes.map(Ending::Wish));
        for ending in all {
            endings.set(ending);
            assert_eq!(endings.take(), Some(ending));
            assert_eq!(endings.take(), None);
        }
    }
}
