//! Layer 4: the terminal. Two threads: one reads lines with rustyline, one prints above its open prompt.
//!
//! ```text
//!  repl ──Next──► reader (thread) ──Read──► repl
//!                   │  ▲ keys close, the first drawing of a prompt opens
//!                   ▼  │
//!                  gate ◄── waits for it ── printer (thread) ◄──Frame── coordinator
//! ```
//! The bytes are decided by pure code (`render` over `live_row`, `prompt`); the threads only carry them. This layer does not
//! know what a message, a queue or a model is: it shows what it is told and hands back what was typed.
//!
//! The way out: a readline cannot be ended from outside, so nothing joins these threads, and the runtime whose blocking thread the
//! reader may have is shut down without waiting for it. [`Exit::finish`] waits a bounded time for the last frame and gives the terminal back; a signal's task calls
//! [`guard::restore`].

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc as std_mpsc;
use std::thread::Builder;
use std::time::Duration;

use rustyline::history::MemHistory;
use rustyline::{ColorMode, CompletionType, Config, EditMode, Editor, GraphemeClusterMode};
use tokio::sync::{mpsc, watch};

use crate::domain::{Frame, Look, PromptState};

mod gate;
pub mod guard;
mod helper;
mod keys;
mod live_row;
mod markdown;
mod multiline;
mod printer;
mod prompt;
mod reader;
mod render;
mod row;
mod style;

pub use guard::columns;
pub use helper::{Complete, NoCompletion};
pub use keys::Wish;
pub use reader::{Next, Read};
pub use style::wants_color;

/// Frames that wait for the printer: one, so that a slow terminal costs a frame and never a stream.
pub const FRAMES: usize = 1;
/// Lines asked for or read that wait: the two sides take turns.
pub const LINES: usize = 1;
/// Lines of history in memory.
const HISTORY_LINES: usize = 1_000;
/// How long the last frames may take when the program leaves.
const LAST_FRAMES: Duration = Duration::from_millis(500);

/// How the terminal shall be.
pub struct Options {
    /// Whether to colour: see [`wants_color`].
    pub color: bool,
    /// vi keys instead of emacs keys (`ui.edit_mode`).
    pub vi: bool,
    /// How answers look at first.
    pub look: Look,
    /// Answers Tab, and hints.
    pub complete: Box<dyn Complete>,
    /// The prompt until the first [`Next`].
    pub prompt: PromptState,
}

/// The running terminal.
pub struct Terminal {
    /// For who shows.
    pub display: Display,
    /// For who reads.
    pub input: Input,
}

/// The printer's end of things.
#[derive(Debug)]
pub struct Display {
    /// What to show. The channel holds one.
    pub frames: mpsc::Sender<Frame>,
    /// Says when the next frame is wanted: what comes until then is merged into it, so that none waits for another to be drawn.
    pub ready: mpsc::Receiver<()>,
}

/// The reader's end of things.
pub struct Input {
    /// The reader: to be run on a thread that may block for as long as the program lives.
    pub reader: Box<dyn FnOnce() + Send>,
    /// Whether [`Next::initial`] stands in the line; where there is no cursor to move it is only shown.
    pub has_line: bool,
    /// Asks for a line. One for each [`Read`].
    pub next: mpsc::Sender<Next>,
    /// What was typed, one for each [`Next`].
    pub reads: mpsc::Receiver<Read>,
    /// The way out; keep it until then, dropping it restores the terminal's modes.
    pub exit: Exit,
}

/// The way out.
pub struct Exit {
    /// Hung up when the printer has ended.
    printing: std_mpsc::Receiver<()>,
    guard: guard::Guard,
}

impl Exit {
    /// Shows the frames that wait, half a second at most, and restores the terminal. Drop `frames` and `next` first: what is
    /// sent after that is not shown. Blocks.
    pub fn finish(self) {
        // Nothing is ever sent: an error is the end or the time.
        let _ = self.printing.recv_timeout(LAST_FRAMES);
        drop(self.guard);
    }
}

/// Takes the terminal, starts the printer's thread, and gives the reader back to be run on one. Where there is no cursor to move (`TERM=dumb`, stdin or stdout is no terminal) the
/// same channels read and write plain lines.
///
/// # Errors
/// When the terminal's modes cannot be read or set, or a thread cannot be started.
pub fn start(options: Options) -> io::Result<Terminal> {
    let Options { color, vi, look, complete, prompt } = options;
    let mode = GraphemeClusterMode::from_env();
    let palette = style::Palette::new(color);
    let gate = Arc::new(gate::Gate::default());
    let endings = Arc::new(keys::Endings::default());
    let (frames, frames_in) = mpsc::channel(FRAMES);
    let (ready_out, ready) = mpsc::channel(FRAMES);
    let printing_in = printer::Feed { frames: frames_in, ready: ready_out };
    let (next, next_in) = mpsc::channel(LINES);
    let (reads_out, reads) = mpsc::channel(LINES);
    let (state, state_in) = watch::channel(prompt);

    let config = Config::builder()
        .max_history_size(HISTORY_LINES)
        .map_err(io::Error::other)?
        .history_ignore_space(true)
        .completion_type(CompletionType::List)
        .edit_mode(if vi { EditMode::Vi } else { EditMode::Emacs })
        // The prompt is drawn by us at each repaint, with colour or without.
        .color_mode(ColorMode::Forced)
        .grapheme_cluster_mode(mode)
        .build();
    let mut editor: Editor<helper::Prompter, MemHistory> =
        Editor::with_history(config.clone(), MemHistory::with_config(&config)).map_err(io::Error::other)?;
    let helper = helper::Prompter::new(complete, mode, palette, Arc::clone(&gate), state_in);
    editor.set_helper(Some(helper));
    keys::bind(&mut editor, &gate, &endings);

    let renderer = |kind| render::Renderer::new(kind, mode, palette, look);
    let (printing_out, printing) = std_mpsc::sync_channel::<()>(1);
    let guard;
    match editor.create_external_printer() {
        Ok(above) => {
            guard = guard::Guard::new()?;
            let (renderer, gate, state) = (renderer(live_row::Kind::Screen), Arc::clone(&gate), state.clone());
            Builder::new().name("printer".into()).spawn(move || {
                let _printing = printing_out;
                printer::run(printing_in, printer::AbovePrompt(above), renderer, &gate, &state);
            })?;
        }
        Err(_) => {
            guard = guard::Guard::plain();
            let renderer = renderer(live_row::Kind::Whole);
            gate.open();
            let prompting = Arc::new(AtomicBool::new(false));
            let reading = Arc::new(AtomicBool::new(false));
            let sink = printer::Plain { prompting: Arc::clone(&prompting), reading: Arc::clone(&reading), mode };
            Builder::new().name("printer".into()).spawn(move || {
                let _printing = printing_out;
                printer::run(printing_in, sink, renderer, &gate, &state);
            })?;
            let reader = Box::new(move || reader::run_plain(next_in, &reads_out, mode, &prompting, &reading));
            return Ok(Terminal {
                display: Display { frames, ready },
                input: Input { reader, has_line: false, next, reads, exit: Exit { printing, guard } },
            });
        }
    }
    let reader = reader::Reader { editor, gate, endings, mode, prompt: state, next: next_in, reads: reads_out };
    let reader = Box::new(move || reader.run());
    Ok(Terminal {
        display: Display { frames, ready },
        input: Input { reader, has_line: true, next, reads, exit: Exit { printing, guard } },
    })
}
