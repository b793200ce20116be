//! The one thread that reads lines. Gets a [`Next`] for each line, gives back a [`Read`]; `keys` ends its readlines.
//!
//! A readline cannot be ended from outside and this thread cannot be cancelled: it is a thread of its own, nothing waits for
//! it, and it ends with the process.

use std::io::{self, BufRead, Read as _, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustyline::error::ReadlineError;
use rustyline::{Editor, GraphemeClusterMode};
use tokio::sync::{mpsc, watch};
use unicode_segmentation::UnicodeSegmentation;

use super::gate::Gate;
use super::guard::{self, RestoreOnUnwind};
use super::helper::Prompter;
use super::history::Lines;
use super::keys::{Ending, Endings, Wish};
use super::live_row::{TAB_COLUMNS, columns};
use super::multiline;
use super::prompt::{Shape, plain_prompt};
use crate::domain::limits::{MAX_MESSAGE_BYTES, MAX_SCRIPT_LINE_BYTES};
use crate::domain::text::visible;
use crate::domain::{PromptState, TypedLines};

/// What the reader needs for the next line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Next {
    /// The prompt, as it is when the line begins.
    pub prompt: PromptState,
    /// What stands in the line already: the session's draft.
    pub initial: String,
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
    /// Ctrl-D on an empty line, or the terminal is gone.
    Eof,
    /// The terminal cannot be read: why.
    Failed(String),
}

/// The reader's end of things.
pub(super) struct Reader {
    pub(super) editor: Editor<Prompter, Lines>,
    pub(super) gate: Arc<Gate>,
    pub(super) endings: Arc<Endings>,
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
        while let Some(Next { prompt, initial, history }) = self.next.blocking_recv() {
            if let Some(lines) = history {
                self.editor.history_mut().replace(lines);
            }
            self.prompt.send_replace(prompt);
            let mut initial = visible(&initial).into_owned();
            let read = loop {
                match self.readline(&initial, &mut several) {
                    Outcome::Done(read) => break read,
                    Outcome::Again(line) => initial = line,
                }
            };
            if self.reads.blocking_send(read).is_err() {
                return;
            }
        }
    }

    fn readline(&mut self, initial: &str, several: &mut bool) -> Outcome {
        let state = self.prompt.borrow().clone();
        *several |= state.session.0 != 1 || !state.activity.is_empty();
        let shape = Shape::new(&state, *several, guard::columns());
        let raw = shape.draw(&state, self.mode, None);
        if let Some(helper) = self.editor.helper() {
            helper.begin(shape);
        }
        self.endings.take();
        self.editor.history().begin();
        let result = self.editor.readline_with_initial(&raw, (initial, ""));
        self.gate.close();
        let ending = self.endings.take();
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
            Err(ReadlineError::Eof) => {
                self.erase(&raw, "");
                Outcome::Done(Read::Eof)
            }
            // A byte that is not UTF-8: that key is dropped, the line stays.
            Err(ReadlineError::Io(e)) if e.kind() == io::ErrorKind::InvalidData => {
                let line = self.last_line();
                self.erase(&raw, &line);
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
            Ending::Line if line.len() > MAX_MESSAGE_BYTES => {
                let most = MAX_MESSAGE_BYTES >> 20;
                say(&format!("error: the message has {} bytes, {most} MiB at most: shorten it\n", line.len()));
                self.gate.disturb();
                Outcome::Again(line)
            }
            Ending::Line => {
                // Whatever comes of it: who is refused tries again, and who mistyped finds it there.
                let line = multiline::message(line);
                let _ = self.editor.add_history_entry(line.as_str());
                Outcome::Done(Read::Line(line))
            }
            Ending::Interrupt => Outcome::Done(Read::Interrupted { line }),
            Ending::Eof => Outcome::Done(Read::Eof),
            Ending::Wish(wish) => Outcome::Done(Read::Key { wish, draft: line }),
        }
    }

    fn last_line(&self) -> String {
        self.editor.helper().map(Prompter::last_line).unwrap_or_default()
    }

    /// Erases the rows that the prompt and the line took. The cursor is on the row below them.
    fn erase(&self, prompt: &str, line: &str) {
        let up = rows_below(&format!("{prompt}{line}"), guard::columns(), self.mode) + 1;
        say(&format!("\x1b[{up}A\r\x1b[J"));
    }
}

/// How many rows below its first one a prompt and a line end, as rustyline lays them out.
fn rows_below(text: &str, width: usize, mode: GraphemeClusterMode) -> usize {
    let (mut row, mut column) = (0, 0);
    for cluster in text.graphemes(true) {
        let cells = match cluster {
            "\n" => {
                (row, column) = (row + 1, 0);
                continue;
            }
            "\t" => TAB_COLUMNS - column % TAB_COLUMNS,
            "\x1b" => 0,
            _ => columns(mode, cluster),
        };
        column += cells;
        if column > width {
            (row, column) = (row + 1, cells);
        }
    }
    if column == width { row + 1 } else { row }
}

/// Writes to the terminal while the gate is closed, when nobody else does.
fn say(text: &str) {
    let mut stdout = io::stdout().lock();
    // A terminal that is gone shows at the next read.
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

/// Reads lines where rustyline cannot edit (`TERM=dumb`, stdout is no terminal): no keys, no history, the kernel's own editing.
/// `prompting` tells the printer that a prompt stands in the last row, `reading` that there shall be one.
pub(super) fn run_plain(
    mut next: mpsc::Receiver<Next>,
    reads: &mpsc::Sender<Read>,
    mode: GraphemeClusterMode,
    prompting: &AtomicBool,
    reading: &AtomicBool,
) {
    while let Some(Next { prompt, initial, history: _ }) = next.blocking_recv() {
        // A draft cannot be put into the kernel's line: it is shown, and stays the session's.
        let draft = if initial.is_empty() { String::new() } else { format!("(draft) {}\n", visible(&initial)) };
        say(&format!("{draft}{}", plain_prompt(&prompt, guard::columns(), mode)));
        prompting.store(true, Ordering::Release);
        reading.store(true, Ordering::Release);
        let read = read_plain(&mut io::stdin().lock());
        reading.store(false, Ordering::Release);
        // Enter ended the prompt's row; the end of the input did not.
        if prompting.swap(false, Ordering::AcqRel) && read == Read::Eof {
            say("\n");
        }
        if reads.blocking_send(read).is_err() {
            return;
        }
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
        text += line.strip_suffix('\n').unwrap_or(&line);
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
    use rustyline::GraphemeClusterMode::WcWidth;

    use super::*;

    #[test]
    fn rows_are_counted_as_rustyline_lays_them_out() {
        let check = |text: &str, width, rows| assert_eq!(rows_below(text, width, WcWidth), rows, "{text:?}");
        check("1:main> ", 20, 0);
        check("1:main> hello", 20, 0);
        check("1:main> 123456789012", 20, 1);
        check("1:main> 1234567890123", 20, 1);
        check("1:main> a\nb\n", 20, 2);
        check("1:main> 12345678901日", 20, 1);
        check("> \t\tx", 16, 1);
        check("cafe\u{301}", 5, 0);
    }

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
    }
}
