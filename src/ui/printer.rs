//! The one thread that prints while a prompt is open. Takes frames from the coordinator's channel of one; `gate` says when.
//!
//! The first frame goes out at once, then at most one each [`FRAME`]; what comes meanwhile is merged by the sender. A print may
//! block for as long as the editor is busy (a search, a list of completions): that is why nobody else prints.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustyline::{ExternalPrinter, GraphemeClusterMode};
use tokio::sync::{mpsc, watch};

use super::gate::Gate;
use super::guard;
use super::prompt::plain_prompt;
use super::render::Renderer;
use crate::domain::{Frame, PromptState};

/// The shortest time between two frames: about sixty a second, what a screen shows.
pub(super) const FRAME: Duration = Duration::from_millis(16);
/// Draws the prompt again and moves nothing: up, and down again with the line end that a print must have.
const REDRAW: &str = "\x1b[A\n";

/// Where prints go.
pub(super) trait Sink {
    /// Writes one print, which ends with a line end.
    fn print(&mut self, text: String) -> io::Result<()>;
    /// Draws the prompt again, where there is one.
    fn redraw(&mut self) -> io::Result<()>;
    /// Nothing more follows for now.
    fn settle(&mut self, prompt: &PromptState) -> io::Result<()>;
}

/// Above rustyline's open prompt.
pub(super) struct AbovePrompt<P>(pub(super) P);

impl<P: ExternalPrinter> Sink for AbovePrompt<P> {
    fn print(&mut self, text: String) -> io::Result<()> {
        self.0.print(text).map_err(io::Error::other)
    }

    fn redraw(&mut self) -> io::Result<()> {
        self.print(REDRAW.to_owned())
    }

    fn settle(&mut self, _: &PromptState) -> io::Result<()> {
        Ok(())
    }
}

/// Straight to stdout, for terminals without cursor movement.
pub(super) struct Plain {
    /// A prompt was written and no line end came since.
    pub(super) prompting: Arc<AtomicBool>,
    /// A line is awaited: set by the reader.
    pub(super) reading: Arc<AtomicBool>,
    /// How wide things are.
    pub(super) mode: GraphemeClusterMode,
}

impl Sink for Plain {
    fn print(&mut self, text: String) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        if self.prompting.swap(false, Ordering::AcqRel) {
            stdout.write_all(b"\n")?;
        }
        stdout.write_all(text.as_bytes())?;
        stdout.flush()
    }

    fn redraw(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// The prompt that was written scrolled away: it is written again, once the answer is whole.
    fn settle(&mut self, prompt: &PromptState) -> io::Result<()> {
        if prompt.streaming || !self.reading.load(Ordering::Acquire) || self.prompting.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut stdout = io::stdout().lock();
        stdout.write_all(plain_prompt(prompt, guard::columns(), self.mode).as_bytes())?;
        stdout.flush()?;
        self.prompting.store(true, Ordering::Release);
        Ok(())
    }
}

/// Where frames come from.
pub(super) struct Feed {
    pub(super) frames: mpsc::Receiver<Frame>,
    /// Asks for the next one.
    pub(super) ready: mpsc::Sender<()>,
}

impl Feed {
    /// Asks for a frame and waits for it: so it holds all that came while the last one was drawn.
    fn next(&mut self) -> Option<Frame> {
        // Full: it was asked for already. Closed: its sender has ended, and the frames say so.
        let _ = self.ready.try_send(());
        self.frames.blocking_recv()
    }
}

/// Prints frames until their sender is gone or the terminal is.
pub(super) fn run(
    mut feed: Feed,
    mut sink: impl Sink,
    mut renderer: Renderer,
    gate: &Gate,
    prompt: &watch::Sender<PromptState>,
) {
    while let Some(frame) = feed.next() {
        let began = Instant::now();
        // The width and what was disturbed are those of a prompt that is open.
        gate.pass(|| ());
        let changed = prompt.send_if_modified(|old| {
            let changed = *old != frame.prompt;
            old.clone_from(&frame.prompt);
            changed
        });
        let prints = renderer.render(&frame.shows, guard::columns(), gate.take_disturbed());
        let printed = if prints.is_empty() && changed {
            gate.pass(|| sink.redraw())
        } else {
            // One at a time: the rows are the same when the next prompt opens in between.
            prints.into_iter().try_for_each(|print| gate.pass(|| sink.print(print)))
        };
        let printed = printed.and_then(|()| sink.settle(&frame.prompt));
        if printed.is_err() {
            // The terminal or the editor is gone; the sender finds the channel closed.
            return;
        }
        std::thread::sleep(FRAME.saturating_sub(began.elapsed()));
    }
}
