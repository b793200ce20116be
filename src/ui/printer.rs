//! The one thread that prints while a prompt is open. Takes frames from the coordinator's channel of one; `gate` says when.
//!
//! While the session's turn is at something that can be waited for, and no frame comes, it draws the prompt again now and then, for
//! what moves there (`progress`). The first frame goes out at once, then at most one each [`FRAME`]; what comes meanwhile is merged by the sender. A print may
//! block for as long as the editor is busy (a search, a list of completions): that is why nobody else prints.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustyline::{ExternalPrinter, GraphemeClusterMode};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, watch};

use super::gate::{Disturbance, Gate};
use super::guard;
use super::keys::Shared;
use super::progress::TICK;
use super::prompt::plain_prompt;
use super::render::Renderer;
use crate::domain::text::one_line;
use crate::domain::{Alert, Frame, PromptState, Show};

/// The shortest time between two frames: about sixty a second, what a screen shows.
pub(super) const FRAME: Duration = Duration::from_millis(16);
/// Draws the prompt again and moves nothing: up, and down again with the line end that a print must have.
const REDRAW: &str = "\x1b[A\n";
const BELL: &str = "\x07";
/// Characters of a desktop notification.
const ALERT_CHARS: usize = 120;

/// Where prints go.
pub(super) trait Sink {
    /// Whether it is worth a look before the next frame comes.
    fn ticks(&self, prompt: &PromptState) -> bool;
    /// That look.
    fn tick(&mut self, prompt: &PromptState) -> io::Result<()>;
    /// A message that the terminal itself has shown since the last look.
    fn echoed(&mut self) -> Option<String> {
        None
    }
    /// Writes one print, which ends with a line end.
    fn print(&mut self, text: String) -> io::Result<()>;
    /// Draws the prompt again, where there is one.
    fn redraw(&mut self) -> io::Result<()>;
    /// Reaches a person who looks elsewhere.
    fn alert(&mut self, how: Alert, text: &str) -> io::Result<()>;
    /// Nothing more follows for now.
    fn settle(&mut self, prompt: &PromptState) -> io::Result<()>;
}

/// Above rustyline's open prompt.
pub(super) struct AbovePrompt<P>(pub(super) P);

impl<P: ExternalPrinter> Sink for AbovePrompt<P> {
    fn ticks(&self, prompt: &PromptState) -> bool {
        prompt.progress.is_some()
    }

    fn tick(&mut self, _: &PromptState) -> io::Result<()> {
        self.redraw()
    }

    fn print(&mut self, text: String) -> io::Result<()> {
        self.0.print(text).map_err(io::Error::other)
    }

    fn redraw(&mut self) -> io::Result<()> {
        self.print(REDRAW.to_owned())
    }

    fn alert(&mut self, how: Alert, text: &str) -> io::Result<()> {
        // Together with what draws the prompt again: a print must be whole rows.
        self.print(format!("{}{REDRAW}", alert_codes(how, text)))
    }

    fn settle(&mut self, _: &PromptState) -> io::Result<()> {
        Ok(())
    }
}

/// What makes the terminal call its person. What is said there is of one line and has no control characters.
fn alert_codes(how: Alert, text: &str) -> String {
    let text = one_line(text, ALERT_CHARS);
    match how {
        Alert::None => String::new(),
        Alert::Bell => BELL.to_owned(),
        Alert::Osc9 => format!("\x1b]9;{text}{BELL}"),
        // The title ends at a semicolon; the text may have some.
        Alert::Osc777 => format!("\x1b]777;notify;chatmux;{text}{BELL}"),
    }
}

/// Straight to stdout, for terminals without cursor movement.
pub(super) struct Plain {
    /// A prompt was written and no line end came since.
    pub(super) prompting: Arc<AtomicBool>,
    /// A line is awaited: set by the reader.
    pub(super) reading: Arc<AtomicBool>,
    /// The last message that was read.
    pub(super) typed: watch::Receiver<String>,
    /// How wide things are.
    pub(super) mode: GraphemeClusterMode,
    /// Signs are words.
    pub(super) words: bool,
}

impl Plain {
    fn lacks_prompt(&self, prompt: &PromptState) -> bool {
        !prompt.streaming && self.reading.load(Ordering::Acquire) && !self.prompting.load(Ordering::Acquire)
    }
}

impl Sink for Plain {
    fn ticks(&self, prompt: &PromptState) -> bool {
        // The reader may be about to want one.
        !prompt.streaming && !self.prompting.load(Ordering::Acquire)
    }

    fn tick(&mut self, prompt: &PromptState) -> io::Result<()> {
        self.settle(prompt)
    }

    fn echoed(&mut self) -> Option<String> {
        self.typed.has_changed().is_ok_and(|changed| changed).then(|| self.typed.borrow_and_update().clone())
    }

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

    /// Whatever was asked for: who cannot move a cursor may not take other sequences either.
    fn alert(&mut self, how: Alert, _: &str) -> io::Result<()> {
        if how == Alert::None {
            return Ok(());
        }
        let mut stdout = io::stdout().lock();
        stdout.write_all(BELL.as_bytes())?;
        stdout.flush()
    }

    /// The prompt is written, here alone, once all that there is to say was said and the answer is whole.
    fn settle(&mut self, prompt: &PromptState) -> io::Result<()> {
        if !self.lacks_prompt(prompt) {
            return Ok(());
        }
        let mut stdout = io::stdout().lock();
        stdout.write_all(plain_prompt(prompt, guard::columns(), self.mode, self.words).as_bytes())?;
        stdout.flush()?;
        self.prompting.store(true, Ordering::Release);
        Ok(())
    }
}

/// Where frames come from.
pub(super) struct Feed {
    frames: mpsc::Receiver<Frame>,
    /// Asks for the next one.
    ready: mpsc::Sender<()>,
    /// Waits for a frame no longer than for the next turn of a sign.
    waiting: Runtime,
}

/// What there is to draw.
enum Wanted {
    Frame(Frame),
    /// What moves has moved.
    Tick,
    /// The sender has ended.
    Nothing,
}

impl Feed {
    /// # Errors
    /// The thread cannot have a timer.
    pub(super) fn new(frames: mpsc::Receiver<Frame>, ready: mpsc::Sender<()>) -> io::Result<Self> {
        Ok(Self { frames, ready, waiting: Builder::new_current_thread().enable_time().build()? })
    }

    /// Asks for a frame and waits for it: so it holds all that came while the last one was drawn.
    fn next(&mut self, ticks: bool) -> Wanted {
        // Full: it was asked for already. Closed: its sender has ended, and the frames say so.
        let _ = self.ready.try_send(());
        let frames = &mut self.frames;
        let frame = match ticks {
            false => frames.blocking_recv(),
            true => match self.waiting.block_on(async { tokio::time::timeout(TICK, frames.recv()).await }) {
                Ok(frame) => frame,
                Err(_) => return Wanted::Tick,
            },
        };
        frame.map_or(Wanted::Nothing, Wanted::Frame)
    }
}

/// The printer's thread.
pub(super) struct Printer<S> {
    pub(super) feed: Feed,
    pub(super) sink: S,
    pub(super) renderer: Renderer,
    pub(super) gate: Arc<Gate>,
    /// The latest prompt, for the editor's thread to draw.
    pub(super) prompt: watch::Sender<PromptState>,
    /// Who has pressed no key for this long looks elsewhere.
    pub(super) alert_after: Duration,
    pub(super) keys: Arc<Shared>,
    pub(super) mode: GraphemeClusterMode,
    /// Columns of the terminal at the last frame; 0 before the first.
    pub(super) width: usize,
}

impl<S: Sink> Printer<S> {
    /// Prints frames until their sender is gone or the terminal is.
    pub(super) fn run(mut self) {
        loop {
            let ticks = self.sink.ticks(&self.prompt.borrow());
            let began = Instant::now();
            let printed = match self.feed.next(ticks) {
                Wanted::Frame(frame) => self.draw(frame),
                Wanted::Tick => {
                    let prompt = self.prompt.borrow().clone();
                    self.gate.pass(|| self.sink.tick(&prompt))
                }
                Wanted::Nothing => return,
            };
            if printed.is_err() {
                // The terminal or the editor is gone; the sender finds the channel closed.
                return;
            }
            std::thread::sleep(FRAME.saturating_sub(began.elapsed()));
        }
    }

    /// What became of the live row by a new width ([`Typed::shrinks`](super::helper::Typed::shrinks)). It is the layout of the last key
    /// that counts: what was typed since the last frame may never have stood in the old width.
    fn rewrapped(&mut self, width: usize) -> Option<Disturbance> {
        let prompt = self.keys.prompt_columns.load(Ordering::Relaxed);
        let shrinks = self.keys.line.borrow().shrinks(prompt, width, self.mode);
        let is_cleared = self.keys.shrunk.swap(false, Ordering::Relaxed) || self.width != 0 && shrinks;
        self.width = width;
        // Nobody is told: the text is the same.
        self.keys.line.send_if_modified(|typed| {
            typed.laid_out(width);
            false
        });
        is_cleared.then_some(Disturbance::Cleared)
    }

    fn draw(&mut self, frame: Frame) -> io::Result<()> {
        // The width and what was disturbed are those of a prompt that is open.
        self.gate.pass(|| ());
        let changed = self.prompt.send_if_modified(|old| {
            let changed = *old != frame.prompt;
            old.clone_from(&frame.prompt);
            changed
        });
        if let Some(typed) = self.sink.echoed() {
            self.renderer.typed(typed);
        }
        let width = guard::columns();
        let rewrapped = self.rewrapped(width);
        let disturbance = self.gate.take_disturbance().or(rewrapped);
        let prints = self.renderer.render(&frame.shows, width, disturbance);
        if prints.is_empty() && changed {
            self.gate.pass(|| self.sink.redraw())?;
        }
        for print in prints {
            // One at a time: the rows are the same when the next prompt opens in between.
            self.gate.pass(|| self.sink.print(print))?;
        }
        if self.keys.last_key.elapsed() >= self.alert_after {
            for show in &frame.shows {
                if let Show::Alert(text) = show {
                    let how = self.renderer.look().alert;
                    self.gate.pass(|| self.sink.alert(how, text))?;
                }
            }
        }
        self.sink.settle(&frame.prompt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_says_one_line_and_drives_nothing_else() {
        let check = |how, expected: &str| assert_eq!(alert_codes(how, "[2 docs] done\x1b]0;x\x07\nmore"), expected);
        check(Alert::None, "");
        check(Alert::Bell, "\x07");
        check(Alert::Osc9, "\x1b]9;[2 docs] done␛]0;x␇ more\x07");
        check(Alert::Osc777, "\x1b]777;notify;chatmux;[2 docs] done␛]0;x␇ more\x07");
    }
}
