//! What the coordinator has to show and the display has not taken yet. The channel to a display holds one load; the
//! coordinator never waits for it, but hands over the next load when the last one was taken.
//!
//! Two kinds of display want two things:
//! - a **terminal** shows the active session and must never slow a stream down: of text only the position up to which it was
//!   shown is kept, and the text itself comes from the replay buffer (or the store) when the terminal is ready for it;
//! - a **script** wants every event, in order: they are kept here, neighbouring deltas merged, and when [`SCRIPT_BYTES`]
//!   of them wait, the coordinator stops taking reports, so that the streams wait for the reader, as in any pipe.

use std::collections::VecDeque;

use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use crate::domain::{Delta, Event, Frame, Seen, Show};

/// Bytes of events that may wait for a script's reader; at the bound the streams wait.
const SCRIPT_BYTES: usize = 4 << 20;
/// Notices and blocks that may wait for a terminal; at the bound the oldest go, and their number is said.
const TERMINAL_SHOWS: usize = 1_000;

/// What a script's writer gets, in the order of happening.
#[derive(Debug, Clone, PartialEq)]
pub enum ScriptItem {
    /// Something happened.
    Event {
        /// What.
        event: Event,
        /// It belongs to a message that the script waits for: its answer is written as it comes.
        foreground: bool,
    },
    /// What a command answers.
    Result {
        /// The command's name.
        command: &'static str,
        /// For `--json`.
        data: Value,
        /// For people.
        text: String,
    },
}

impl ScriptItem {
    /// An event that concerns no message that is waited for.
    pub const fn event(event: Event) -> Self {
        Self::Event { event, foreground: false }
    }

    fn bytes(&self) -> usize {
        let text = match self {
            Self::Event { event: Event::Delta { delta, .. }, .. } => delta.text().len(),
            Self::Event { event: Event::Finished { text, .. }, .. } | Self::Result { text, .. } => text.len(),
            Self::Event { .. } => 0,
        };
        text + 128
    }
}

/// The display.
#[derive(Debug)]
pub enum Front {
    /// A person at a terminal.
    Terminal(TerminalFront),
    /// A script's stdout.
    Script(ScriptFront),
    /// Nobody any more: the terminal was left, or the script's reader has gone.
    Nobody,
}

/// What waits for a terminal.
#[derive(Debug)]
pub struct TerminalFront {
    pub(super) frames: mpsc::Sender<Frame>,
    /// The printer wants a frame.
    pub(super) ready: mpsc::Receiver<()>,
    /// Each with the output of the active session that came before it: that is shown first.
    shows: VecDeque<(Option<Seen>, Show)>,
    left_out: usize,
    /// How far the active session was shown.
    pub(super) cursor: Seen,
    /// The store is being asked for what the replay buffer no longer has: which time. Answers to earlier questions are not
    /// for the session, or the place in it, that is shown now.
    pub(super) catching_up: Option<u64>,
    /// How often it was asked.
    pub(super) questions: u64,
    /// There is something to hand over.
    pub(super) dirty: bool,
}

/// What waits for a script's writer.
#[derive(Debug)]
pub struct ScriptFront {
    pub(super) items: mpsc::Sender<Vec<ScriptItem>>,
    waiting: Vec<ScriptItem>,
    bytes: usize,
    /// Who waits until less waits here; one at most, for a script does one thing at a time.
    held_up: Vec<oneshot::Sender<()>>,
    /// Who reads it has seen what came.
    pub(super) is_seen: bool,
    /// Every delta is wanted (`--json`), not just those of messages that are waited for.
    all_deltas: bool,
}

impl Front {
    /// A terminal's printer behind `frames`, which says when it wants one.
    pub fn terminal(frames: mpsc::Sender<Frame>, ready: mpsc::Receiver<()>) -> Self {
        Self::Terminal(TerminalFront {
            frames,
            ready,
            shows: VecDeque::new(),
            left_out: 0,
            cursor: Seen::START,
            catching_up: None,
            questions: 0,
            dirty: true,
        })
    }

    /// A script's writer behind `items`, whose channel holds one.
    pub const fn script(items: mpsc::Sender<Vec<ScriptItem>>, all_deltas: bool) -> Self {
        Self::Script(ScriptFront {
            items,
            waiting: Vec::new(),
            bytes: 0,
            held_up: Vec::new(),
            is_seen: true,
            all_deltas,
        })
    }

    /// The same where nobody reads the answers: they wait for the person.
    pub const fn log(items: mpsc::Sender<Vec<ScriptItem>>, all_deltas: bool) -> Self {
        Self::Script(ScriptFront {
            items,
            waiting: Vec::new(),
            bytes: 0,
            held_up: Vec::new(),
            is_seen: false,
            all_deltas,
        })
    }

    /// Whether a person looks at it.
    pub(super) const fn is_terminal(&self) -> bool {
        matches!(self, Self::Terminal(_))
    }

    /// Whether the streams shall wait.
    pub(super) const fn is_saturated(&self) -> bool {
        match self {
            Self::Terminal(_) | Self::Nobody => false,
            Self::Script(script) => script.bytes >= SCRIPT_BYTES,
        }
    }

    /// Whether there is something to hand over.
    pub(super) fn has_news(&self) -> bool {
        match self {
            Self::Terminal(terminal) => terminal.dirty,
            Self::Script(script) => !script.waiting.is_empty(),
            Self::Nobody => false,
        }
    }
}

impl TerminalFront {
    /// Shows it behind the active session's output up to `after`; without, behind what was handed over already.
    pub(super) fn show(&mut self, show: Show, after: Option<Seen>) {
        if self.shows.len() >= TERMINAL_SHOWS {
            self.shows.pop_front();
            self.left_out += 1;
        }
        self.shows.push_back((after, show));
        self.dirty = true;
    }

    /// An answer that ended at `before` goes on at `from`. Where all of it was shown, what follows is shown behind it.
    pub(super) fn go_on(&mut self, before: Seen, from: Seen, text: &str) {
        if self.cursor == before && self.catching_up.is_none() {
            self.settle_shows();
            self.cursor = from;
            self.show(Show::GoesOn(text.to_owned()), None);
        }
    }

    /// The store is being asked (again): the number of the question.
    pub(super) const fn ask(&mut self) -> u64 {
        self.questions += 1;
        self.catching_up = Some(self.questions);
        self.questions
    }

    /// Another session's output follows: what waits stands before it.
    pub(super) fn settle_shows(&mut self) {
        self.shows.iter_mut().for_each(|(after, _)| *after = None);
    }

    pub(super) fn take_shows(&mut self) -> Vec<(Option<Seen>, Show)> {
        let left_out = std::mem::take(&mut self.left_out);
        let said =
            (left_out > 0).then(|| (None, Show::Notice(format!("{left_out} notices before this were left out"))));
        said.into_iter().chain(self.shows.drain(..)).collect()
    }
}

impl ScriptFront {
    pub(super) fn push(&mut self, item: ScriptItem) {
        if let ScriptItem::Event { event: Event::Delta { .. }, foreground: false } = item
            && !self.all_deltas
        {
            return;
        }
        self.bytes += item.bytes();
        if let (
            Some(ScriptItem::Event { event: Event::Delta { entry: last, delta: have, .. }, .. }),
            ScriptItem::Event { event: Event::Delta { entry, delta: more, .. }, .. },
        ) = (self.waiting.last_mut(), &item)
            && last == entry
        {
            match (have, more) {
                (Delta::Text(have), Delta::Text(more)) | (Delta::Reasoning(have), Delta::Reasoning(more)) => {
                    return have.push_str(more);
                }
                (Delta::Text(_), Delta::Reasoning(_)) | (Delta::Reasoning(_), Delta::Text(_)) => {}
            }
        }
        self.waiting.push(item);
    }

    /// Answers `taken` when there is room for more.
    pub(super) fn when_there_is_room(&mut self, taken: oneshot::Sender<()>) {
        if self.bytes >= SCRIPT_BYTES {
            self.held_up.push(taken);
        } else {
            let _ = taken.send(());
        }
    }

    pub(super) fn take(&mut self) -> Vec<ScriptItem> {
        self.bytes = 0;
        self.held_up.drain(..).for_each(|taken| _ = taken.send(()));
        std::mem::take(&mut self.waiting)
    }
}
