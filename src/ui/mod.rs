//! Layer 4: the terminal. Three threads: one reads the terminal and passes keys on, one reads lines with rustyline, one prints above its
//! open prompt.
//!
//! ```text
//!  terminal ──bytes──► keyboard (thread) ──keys──► stdin
//!                                                    ▼
//!  repl ──Next──► reader (thread) ──Read──► repl
//!                   │  ▲ keys close, the first drawing of a prompt opens
//!                   ▼  │
//!                  gate ◄── waits for it ── printer (thread) ◄──Frame── coordinator
//! ```
//! The bytes are decided by pure code (`render` over `live_row` and `markdown`; `prompt`, `progress`, `paste`); the threads only carry
//! them. This layer does not know what a message, a queue or a model is: it shows what it is told and hands back what was typed.
//!
//! # What is decided here
//!
//! - **The text on the screen is the text that came**, made safe and wrapped once. Styles add colour and never a character or a
//!   column, so they cannot break the rows, and what is copied is what the model wrote.
//! - **What moves while one waits stands where rustyline draws hints**, behind the line: that place may be drawn anew at any time, and
//!   the prompt in front of it stays as it is from Enter to the end. Only who has something to wait for costs a repaint.
//! - **A message that waits is echoed with its acknowledgement**, above the live row, and stands again where its turn begins: a transcript is
//!   read from above, and an answer needs its question before it.
//! - **A line is never taller than the screen because of a paste**: a long text is a sign in it (`paste`), in drafts and in what is recalled
//!   too. So rustyline, which draws over itself there, never has to.
//! - **Only keys reach the line** (`keyboard`, `reports`): a terminal's replies and reports are taken out before rustyline sees them.
//! - **A draft is kept while it is typed** ([`Input::line`]): who ends the program from outside asks nobody for the line.
//! - **Without a cursor to move** (`--plain`, `TERM=dumb`, a pipe) the printer alone writes, whole rows, and the prompt last; the kernel
//!   edits the line.
//!
//! # The way out
//!
//! A readline cannot be ended from outside, so nothing joins these threads, and the runtime whose blocking thread the reader may have
//! is shut down without waiting for it. [`Exit::finish`] waits a bounded time for the last frame and gives the terminal back; a
//! signal's task calls [`guard::restore`].

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc as std_mpsc;
use std::thread::Builder;
use std::time::Duration;

use rustyline::{ColorMode, CompletionType, Config, EditMode, Editor, ExternalPrinter, GraphemeClusterMode};
use tokio::sync::{mpsc, watch};

use crate::domain::{Clock, Frame, Look, PromptState};

mod editor;
mod gate;
pub mod guard;
mod helper;
mod history;
mod keyboard;
mod keys;
mod live_row;
mod markdown;
mod measure;
mod multiline;
mod paste;
mod printer;
mod progress;
mod prompt;
mod reader;
mod render;
mod reports;
mod row;
mod style;

pub use guard::columns;
pub use helper::{Complete, NoCompletion, Typed};
pub use keys::Wish;
pub use reader::{Next, Read};
pub use style::wants_color;

/// Frames that wait for the printer: one, so that a slow terminal costs a frame and never a stream.
pub const FRAMES: usize = 1;
/// Lines asked for or read that wait: the two sides take turns.
pub const LINES: usize = 1;
/// How long a key that Esc begins may take, as in readline.
const ESCAPE_MS: u16 = 500;
/// How long the last frames may take when the program leaves.
const LAST_FRAMES: Duration = Duration::from_millis(500);

/// How the terminal shall be.
pub struct Options {
    /// Whether to colour: see [`wants_color`].
    pub color: bool,
    /// The terminal draws what is joined to one grapheme cluster in the columns of one, such as 👩‍🚀 in two. Where it is not known to
    /// do so, each character counts for itself.
    pub joins_emoji: bool,
    /// vi keys instead of emacs keys (`ui.edit_mode`).
    pub vi: bool,
    /// How answers look at first.
    pub look: Look,
    /// Answers Tab, and hints.
    pub complete: Box<dyn Complete>,
    /// The prompt until the first [`Next`].
    pub prompt: PromptState,
    /// Who has pressed no key for this long looks elsewhere, and is told in the look's way that something ended.
    pub alert_after: Duration,
    /// The time.
    pub clock: Clock,
    /// The person's editor, as a command line (`VISUAL`, `EDITOR`).
    pub editor: String,
    /// Variables of the environment that hold keys: the editor does not get them.
    pub hidden: Vec<String>,
    /// Whole lines only, and signs as words: as where there is no cursor to move.
    pub plain: bool,
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
    /// What stands in the line, key by key: it is worth keeping when the end comes from outside.
    pub line: watch::Receiver<Typed>,
    /// The terminal is the person's editor's for now: what is pressed there is not for us.
    pub lent: Arc<AtomicBool>,
    /// The way out; keep it until then, dropping it restores the terminal's modes.
    pub exit: Exit,
}

/// The way out.
pub struct Exit {
    /// Hung up when the printer has ended.
    printing: std_mpsc::Receiver<()>,
    /// Says whether a line is open, where lines are edited.
    gate: Option<Arc<gate::Gate>>,
    /// Says whether a prompt stands in the last row, where lines are not edited.
    prompting: Option<Arc<AtomicBool>>,
    guard: guard::Guard,
}

impl Exit {
    /// Shows the frames that wait, half a second at most, and restores the terminal. Drop `frames` and `next` first: what is
    /// sent after that is not shown. Blocks.
    pub fn finish(self) {
        // Nothing is ever sent: an error is the end or the time.
        let _ = self.printing.recv_timeout(LAST_FRAMES);
        // Where a prompt stands, what comes next on the terminal begins a row of its own.
        let row_end = match (&self.gate, &self.prompting) {
            (Some(gate), _) if gate.is_open() => "\r\n\x1b[J",
            (None, Some(prompting)) if prompting.load(Ordering::Acquire) => "\n",
            _ => "",
        };
        // On the way out there is nobody left to tell about an error.
        let _ = io::stdout().write_all(row_end.as_bytes());
        drop(self.guard);
    }
}

/// Takes the terminal, starts the printer's thread, and gives the reader back to be run on one. Where there is no cursor to move
/// (`TERM=dumb`, stdin or stdout is no terminal), or with [`Options::plain`], the same channels read and write plain lines.
///
/// # Errors
/// When the terminal's modes cannot be read or set, or a thread cannot be started.
pub fn start(options: Options) -> io::Result<Terminal> {
    let mode = if options.joins_emoji { GraphemeClusterMode::Unicode } else { GraphemeClusterMode::from_env() };
    let keys = Arc::<keys::Shared>::default();
    let mut editor = editor(mode, options.vi, Arc::clone(&keys))?;
    let above = if options.plain { None } else { editor.create_external_printer().ok() };
    let (frames, frames_in) = mpsc::channel(FRAMES);
    let (ready_out, ready) = mpsc::channel(FRAMES);
    let (next, next_in) = mpsc::channel(LINES);
    let (reads_out, reads) = mpsc::channel(LINES);
    let line = keys.line.subscribe();
    let lent = Arc::new(AtomicBool::new(false));
    let wires = Wires {
        feed: printer::Feed::new(frames_in, ready_out)?,
        next: next_in,
        reads: reads_out,
        lent: Arc::clone(&lent),
        mode,
        gate: Arc::default(),
        keys,
    };
    let has_line = above.is_some();
    let (reader, exit) = match above {
        Some(above) => on_a_screen(options, wires, editor, above)?,
        None => line_by_line(options, wires)?,
    };
    let input = Input { reader, has_line, next, reads, line, lent, exit };
    Ok(Terminal { display: Display { frames, ready }, input })
}

/// The threads' ends of the channels, and what they share.
struct Wires {
    feed: printer::Feed,
    next: mpsc::Receiver<Next>,
    reads: mpsc::Sender<Read>,
    lent: Arc<AtomicBool>,
    mode: GraphemeClusterMode,
    gate: Arc<gate::Gate>,
    keys: Arc<keys::Shared>,
}

type Reader = Box<dyn FnOnce() + Send>;

fn on_a_screen<P: ExternalPrinter + Send + 'static>(
    options: Options,
    wires: Wires,
    mut editor: Editor<helper::Prompter, history::Lines>,
    above: P,
) -> io::Result<(Reader, Exit)> {
    let Options { color, look, complete, prompt, alert_after, clock, editor: editor_command, hidden, .. } = options;
    let Wires { feed, next, reads, lent, mode, gate, keys } = wires;
    let palette = style::Palette::new(color);
    let (prompt, prompt_in) = watch::channel(prompt);
    let (gate_too, keys_too) = (Arc::clone(&gate), Arc::clone(&keys));
    editor.set_helper(Some(helper::Prompter::new(complete, mode, palette, gate_too, prompt_in, keys_too, clock)));
    keys::bind(&mut editor, &gate, &keys);
    let guard = guard::Guard::new()?;
    guard::keep_reports_away();
    let printing = spawn(printer::Printer {
        feed,
        sink: printer::AbovePrompt(above),
        renderer: render::Renderer::new(live_row::Kind::Screen, mode, palette, look),
        gate: Arc::clone(&gate),
        prompt: prompt.clone(),
        alert_after,
        keys: Arc::clone(&keys),
        mode,
        width: 0,
    })?;
    let exit = Exit { printing, gate: Some(Arc::clone(&gate)), prompting: None, guard };
    let reader = reader::Reader { editor, gate, keys, editor_command, hidden, lent, mode, prompt, next, reads };
    Ok((Box::new(move || reader.run()), exit))
}

fn line_by_line(options: Options, wires: Wires) -> io::Result<(Reader, Exit)> {
    let Options { color, look, prompt, alert_after, plain: words, .. } = options;
    let Wires { feed, next, reads, mode, gate, keys, .. } = wires;
    gate.open();
    let (prompting, reading) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (typed, typed_in) = watch::channel(String::new());
    let (prompting_too, reading_too) = (Arc::clone(&prompting), Arc::clone(&reading));
    let sink = printer::Plain { prompting: prompting_too, reading: reading_too, typed: typed_in, mode, words };
    let palette = style::Palette::new(color && !words);
    let plain = render::Plain { words, echoes: io::stdout().is_terminal(), ..render::Plain::default() };
    let renderer = render::Renderer::new(live_row::Kind::Whole, mode, palette, look).plain(plain);
    let (prompt, _) = watch::channel(prompt);
    let keys_too = Arc::clone(&keys);
    let printing = spawn(printer::Printer { feed, sink, renderer, gate, prompt, alert_after, keys, mode, width: 0 })?;
    let exit = Exit { printing, gate: None, prompting: Some(Arc::clone(&prompting)), guard: guard::Guard::plain() };
    let reader = reader::PlainReader { next, reads, prompting, reading, typed, keys: keys_too };
    Ok((Box::new(move || reader.run()), exit))
}

fn editor(
    mode: GraphemeClusterMode,
    vi: bool,
    keys: Arc<keys::Shared>,
) -> io::Result<Editor<helper::Prompter, history::Lines>> {
    let config = Config::builder()
        .completion_type(CompletionType::List)
        // The first Tab lists: rustyline takes no print while it waits for a second one.
        .completion_show_all_if_ambiguous(true)
        .edit_mode(if vi { EditMode::Vi } else { EditMode::Emacs })
        // Behind the mode, which has one of its own. Without, a lone Esc would hold back what streams until the next key.
        .keyseq_timeout(Some(ESCAPE_MS))
        // The prompt is drawn by us at each repaint, with colour or without.
        .color_mode(ColorMode::Forced)
        .grapheme_cluster_mode(mode)
        .build();
    Editor::with_history(config, history::Lines::new(keys)).map_err(io::Error::other)
}

/// Runs the printer on a thread of its own. What it gives is hung up when the thread has ended.
fn spawn<S: printer::Sink + Send + 'static>(printer: printer::Printer<S>) -> io::Result<std_mpsc::Receiver<()>> {
    let (printing, printed) = std_mpsc::sync_channel::<()>(1);
    Builder::new().name("printer".into()).spawn(move || {
        let _printing = printing;
        printer.run();
    })?;
    Ok(printed)
}
