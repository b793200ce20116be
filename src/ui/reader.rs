//! The one thread that reads lines. Gets a [`Next`] for each line, gives back a [`Read`]; `keys` ends its readlines.
//!
//! A readline cannot be ended from outside and this thread cannot be cancelled: it is a thread of its own, nothing waits for
//! it, and it ends with the process.

use std::io::{self, BufRead, Read as _, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use owo_colors::Style;
use rustyline::error::ReadlineError;
use rustyline::{Editor, GraphemeClusterMode};
use tokio::sync::{mpsc, watch};

use super::gate::Gate;
use super::guard::{self, RestoreOnUnwind};
use super::helper::Prompter;
use super::history::Lines;
use super::keys::{Ending, Shared, Wish};
use super::live_row::fold;
use super::paste::PASTE_END;
use super::prompt::Shape;
use super::{editor, measure, multiline};
use crate::domain::limits::{MAX_MESSAGE_BYTES, MAX_SCRIPT_LINE_BYTES};
use crate::domain::text::{editable, visible, without_bom};
use crate::domain::{PromptState, TypedLines};

/// What the reader needs for the next line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Next {
    /// The prompt, as it is when the line begins.
    pub prompt: PromptState,
    /// What stands in the line already: the session's draft.
    pub initial: String,
    /// It is not read but changed in the person's editor: that gives a [`Read::Edited`].
    pub edit: bool,
    /// What keys bring back, where that is not what they brought back before and what was typed since.
    pub history: Option<TypedLines>,
}

/// What came of a line. In each case its rows are erased, and the reader waits for a [`Next`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Read {
    /// A whole line, or a message of several lines.
    Line(String),
    /// A key that asks for something, in the middle of a line.
    Key {
        /// What it asks for.
        wish: Wish,
        /// The line so far: a draft.
        draft: String,
    },
    /// Ctrl-C. On a line with text Ctrl-C clears it, and nothing is sent; so `line` is empty, or what stood there when a
    /// SIGINT came from elsewhere.
    Interrupted {
        /// The line, which is cleared.
        line: String,
    },
    /// What the editor made of [`Next::initial`], or why it failed.
    Edited(Result<String, String>),
    /// Ctrl-D on an empty line.
    Eof,
    /// The terminal cannot be read, or is gone: why.
    Failed(String),
}

/// The reader's end of things.
pub(super) struct Reader {
    pub(super) editor: Editor<Prompter, Lines>,
    pub(super) gate: Arc<Gate>,
    pub(super) keys: Arc<Shared>,
    /// The person's editor, as a command line.
    pub(super) editor_command: String,
    /// Variables that hold keys: the editor does not get them.
    pub(super) hidden: Vec<String>,
    /// The terminal is another program's for now.
    pub(super) lent: Arc<AtomicBool>,
    pub(super) mode: GraphemeClusterMode,
    pub(super) prompt: watch::Sender<PromptState>,
    pub(super) next: mpsc::Receiver<Next>,
    pub(super) reads: mpsc::Sender<Read>,
}

/// What one readline came to.
enum Outcome {
    Done(Read),
    /// Read on, with this in the line.
    Again(String),
}

/// However the reader ends, the printer may print what is left.
struct OpenOnDrop(Arc<Gate>);

impl Drop for OpenOnDrop {
    fn drop(&mut self) {
        self.0.set_tall(false);
        self.0.open();
    }
}

impl Reader {
    /// Reads lines until the other side hangs up.
    pub(super) fn run(mut self) {
        let _restore = RestoreOnUnwind;
        let _open = OpenOnDrop(Arc::clone(&self.gate));
        // Whether there was ever another session to speak of.
        let mut several = false;
        while let Some(Next { prompt, initial, edit, history }) = self.next.blocking_recv() {
            if let Some(lines) = history {
                self.editor.history_mut().replace(lines);
            }
            self.prompt.send_replace(prompt);
            if edit {
                let edited = self.edit(&initial);
                if self.reads.blocking_send(Read::Edited(edited)).is_err() {
                    return;
                }
                continue;
            }
            let mut initial = self.foldable(&initial);
            let read = loop {
                match self.readline(&initial, &mut several) {
                    Outcome::Done(read) => break read,
                    Outcome::Again(line) => initial = line,
                }
            };
            // What stood in the line when the terminal went is a draft still.
            if let (Some(helper), false) = (self.editor.helper(), matches!(read, Read::Failed(_))) {
                helper.forget_line();
            }
            if self.reads.blocking_send(read).is_err() {
                return;
            }
        }
    }

    fn readline(&mut self, initial: &str, several: &mut bool) -> Outcome {
        let state = self.prompt.borrow().clone();
        *several |= state.has_others || !state.activity.is_empty();
        let shape = Shape::new(&state, *several, guard::columns());
        let raw = shape.draw(&state, self.mode, None);
        if let Some(helper) = self.editor.helper() {
            helper.begin(shape);
        }
        self.keys.endings.take();
        self.keys.pastes.begin_line(initial);
        self.editor.history().begin();
        let result = self.editor.readline_with_initial(&raw, (initial, ""));
        self.gate.close();
        let ending = self.keys.endings.take();
        if ending.is_none() {
            // It ended by none of our keys: a print may have slipped in before the gate was closed.
            self.gate.disturb();
        }
        match result {
            Ok(line) => {
                self.erase(&raw, &line);
                self.accepted(line, ending.unwrap_or(Ending::Line))
            }
            Err(ReadlineError::Interrupted) => {
                let line = self.last_line();
                self.erase(&raw, &line);
                Outcome::Done(Read::Interrupted { line })
            }
            // Not Ctrl-D, which is a key of ours: nobody is there any more.
            Err(ReadlineError::Eof) => Outcome::Done(Read::Failed("it is gone".to_owned())),
            // A byte that is not UTF-8: that key is dropped, the line stays.
            Err(ReadlineError::Io(e)) if e.kind() == io::ErrorKind::InvalidData => {
                let line = self.last_line();
                self.erase(&raw, &line);
                if self.keys.pastes.abandon() {
                    // What rustyline had read of its rest is gone with the key; what it had not would come as keys: an Enter in it
                    // would send something.
                    guard::skip_until(PASTE_END);
                    self.say_error("what was pasted is not UTF-8, and was left out: convert it first");
                }
                Outcome::Again(line)
            }
            Err(e) => Outcome::Done(Read::Failed(e.to_string())),
        }
    }

    fn accepted(&mut self, mut line: String, ending: Ending) -> Outcome {
        match ending {
            Ending::More => {
                line.pop();
                Outcome::Again(line + "\n")
            }
            Ending::Line => {
                let whole = self.unfold(&line);
                if whole.len() > MAX_MESSAGE_BYTES {
                    return self.too_long(line, whole.len());
                }
                // Whatever comes of it: who is refused tries again, and who mistyped finds it there.
                let whole = multiline::message(whole);
                let _ = self.editor.add_history_entry(whole.as_str());
                Outcome::Done(Read::Line(whole))
            }
            Ending::PasteTooLong => self.paste_too_long(line),
            Ending::Editor => {
                let whole = self.unfold(&line);
                match self.edit(&whole) {
                    Ok(edited) => Outcome::Again(self.foldable(&edited)),
                    Err(why) => {
                        self.say_error(&why);
                        Outcome::Again(line)
                    }
                }
            }
            Ending::Interrupt => Outcome::Done(Read::Interrupted { line }),
            Ending::Eof => Outcome::Done(Read::Eof),
            Ending::Wish(wish) => Outcome::Done(Read::Key { wish, draft: self.unfold(&line) }),
        }
    }

    /// A text from elsewhere as it stands in a line: it drives nothing, and a long one is a sign.
    fn foldable(&self, text: &str) -> String {
        self.keys.pastes.fold(editable(text).into_owned())
    }

    fn unfold(&self, line: &str) -> String {
        self.keys.pastes.kept().unfold(line)
    }

    fn too_long(&self, line: String, bytes: usize) -> Outcome {
        let most = MAX_MESSAGE_BYTES >> 20;
        self.say_error(&format!("the message has {bytes} bytes, {most} MiB at most: shorten it"));
        Outcome::Again(line)
    }

    fn paste_too_long(&self, line: String) -> Outcome {
        let most = MAX_MESSAGE_BYTES >> 20;
        self.say_error(&format!(
            "a paste of more than {most} MiB is no message, and was left out: /attach takes files"
        ));
        Outcome::Again(line)
    }

    /// Says what is wrong where the line was, which opens again below it.
    fn say_error(&self, text: &str) {
        say(&fold(&format!("error: {text}"), guard::columns(), self.mode, Style::new()));
        self.gate.disturb();
    }

    /// Lends the terminal to the person's editor. An error says why it failed.
    fn edit(&self, text: &str) -> Result<String, String> {
        self.lent.store(true, Ordering::Release);
        guard::restore();
        let edited = editor::edit(&self.editor_command, text, &self.hidden);
        let entered = guard::enter();
        self.lent.store(false, Ordering::Release);
        // Whatever it left on the screen.
        self.gate.disturb();
        if let Err(error) = entered {
            tracing::warn!(%error, "the terminal's modes could not be set");
        }
        edited.map_err(|error| error.to_string())
    }

    fn last_line(&self) -> String {
        self.editor.helper().map(Prompter::last_line).unwrap_or_default()
    }

    /// Erases the rows that the prompt and the line took. The cursor is on the row below them.
    fn erase(&self, prompt: &str, line: &str) {
        let (rows, _) = measure::end(&format!("{prompt}{line}"), guard::columns(), self.mode);
        // Row by row: some terminals keep what is erased from the first row of the screen on as if it had scrolled away.
        say(&("\x1b[A\x1b[2K".repeat(rows + 1) + "\r"));
    }
}

/// Writes to the terminal while the gate is closed, when nobody else does.
fn say(text: &str) {
    let mut stdout = io::stdout().lock();
    // A terminal that is gone shows at the next read.
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

/// Reads lines where nothing can be edited (`--plain`, `TERM=dumb`, stdout is no terminal): no keys, no history, the kernel's own
/// editing.
pub(super) struct PlainReader {
    pub(super) next: mpsc::Receiver<Next>,
    pub(super) reads: mpsc::Sender<Read>,
    /// A prompt stands in the last row.
    pub(super) prompting: Arc<AtomicBool>,
    /// There shall be one.
    pub(super) reading: Arc<AtomicBool>,
    /// What was typed, for who would show it again.
    pub(super) typed: watch::Sender<String>,
    /// Learns when somebody was there.
    pub(super) keys: Arc<Shared>,
}

impl PlainReader {
    /// Reads lines until the other side hangs up.
    pub(super) fn run(mut self) {
        while let Some(Next { prompt: _, initial, edit, history: _ }) = self.next.blocking_recv() {
            let read = if edit {
                // Nothing can be lent that was never taken.
                Read::Edited(Err("an editor needs a terminal with a cursor that moves".to_owned()))
            } else {
                self.read(&initial)
            };
            if self.reads.blocking_send(read).is_err() {
                return;
            }
        }
    }

    /// The printer writes the prompt.
    fn read(&self, initial: &str) -> Read {
        if !initial.is_empty() {
            // A draft cannot be put into the kernel's line: it is shown, and stays the session's.
            say(&format!("(draft, to be typed again) {}\n", visible(initial)));
        }
        self.reading.store(true, Ordering::Release);
        let read = read_plain(&mut io::stdin().lock());
        self.reading.store(false, Ordering::Release);
        self.keys.last_key.pressed();
        if let Read::Line(text) = &read {
            self.typed.send_replace(text.clone());
        }
        // Enter ended the prompt's row; the end of the input did not.
        if self.prompting.swap(false, Ordering::AcqRel) && read == Read::Eof {
            say("\n");
        }
        read
    }
}

fn read_plain(input: &mut impl BufRead) -> Read {
    let mut text = String::new();
    loop {
        let mut line = Vec::new();
        match input.by_ref().take(MAX_SCRIPT_LINE_BYTES as u64).read_until(b'\n', &mut line) {
            Ok(0) if text.is_empty() => return Read::Eof,
            Ok(0) => return Read::Line(multiline::message(text)),
            Ok(_) => {}
            Err(e) => return Read::Failed(e.to_string()),
        }
        let line = String::from_utf8_lossy(&line);
        let line = line.strip_suffix('\n').unwrap_or(&line);
        let line = line.strip_suffix('\r').unwrap_or(line);
        text += if text.is_empty() { without_bom(line) } else { line };
        if text.len() > MAX_MESSAGE_BYTES {
            return Read::Failed(format!("the message has more than {} MiB: shorten it", MAX_MESSAGE_BYTES >> 20));
        }
        if multiline::goes_on(&text) {
            text.pop();
        } else if !multiline::is_open_block(&text) {
            return Read::Line(multiline::message(text));
        }
        text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_lines_join_as_typed_ones_do() {
        let check = |mut input: &[u8], expected: &[Read]| {
            for read in expected {
                assert_eq!(&read_plain(&mut input), read);
            }
        };
        let line = |text: &str| Read::Line(text.to_owned());
        check(b"one\ntwo", &[line("one"), line("two"), Read::Eof]);
        check(b"one\\\ntwo\n", &[line("one\ntwo"), Read::Eof]);
        check(b"\"\"\"\na\nb\n\"\"\"\nc\n", &[line("a\nb"), line("c"), Read::Eof]);
        check(b"\xff\n", &[line("\u{fffd}")]);
        check(b"\xef\xbb\xbfone\\\r\ntwo\r\n", &[line("one\ntwo"), Read::Eof]);
    }
}
