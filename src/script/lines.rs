//! A script's lines: read on a thread of their own, because reading stdin blocks; each with its number; each bounded.
//!
//! `"""` alone on a line opens a block and closes it; a trailing `\` goes on in the next line; both make one message of several lines,
//! as at the prompt.

use std::io::{self, BufRead};

use tokio::sync::mpsc;

use crate::domain::limits::MAX_SCRIPT_LINE_BYTES;

/// Lines that may be read ahead. None is acted on before its turn; more would only cost memory.
const READ_AHEAD: usize = 1;

/// A line of the script, or a block that began there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptLine {
    /// Its number; the first is 1. Of a block, the number of its first line.
    pub number: u64,
    /// What it says.
    pub line: Result<String, LineProblem>,
}

/// Why a line cannot be read. It is skipped; the script goes on with the next.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LineProblem {
    /// Invalid bytes.
    #[error("the line is not UTF-8 (byte {0}): save the script as UTF-8")]
    NotUtf8(usize),
    /// Longer than [`MAX_SCRIPT_LINE_BYTES`].
    #[error("the line is longer than {} MiB and was left out", MAX_SCRIPT_LINE_BYTES >> 20)]
    TooLong,
    /// The input ended in a block.
    #[error("the block that begins here has no end: close it with \"\"\" on a line of its own")]
    OpenBlock,
    /// The input could not be read; nothing follows.
    #[error("the input could not be read: {0}")]
    Io(String),
}

/// Begins to read lines on a thread of its own. The thread ends with its input, or when the receiver is gone and the next
/// line comes.
///
/// # Errors
/// The system has no thread left.
pub fn spawn(input: impl BufRead + Send + 'static) -> io::Result<mpsc::Receiver<ScriptLine>> {
    let (sender, receiver) = mpsc::channel(READ_AHEAD);
    std::thread::Builder::new().name("chatmux-script".to_owned()).spawn(move || {
        let mut lines = Lines::new(input);
        while let Some(line) = lines.next_line() {
            if sender.blocking_send(line).is_err() {
                break;
            }
        }
    })?;
    Ok(receiver)
}

/// Cuts an input into lines.
#[derive(Debug)]
pub struct Lines<R> {
    input: R,
    number: u64,
    ended: bool,
}

impl<R: BufRead> Lines<R> {
    /// Lines of `input`.
    pub const fn new(input: R) -> Self {
        Self { input, number: 0, ended: false }
    }

    /// The next line or block; `None` at the end.
    pub fn next_line(&mut self) -> Option<ScriptLine> {
        let first = self.physical()?;
        let number = self.number;
        let line = first.and_then(|line| match line {
            line if line.trim_end() == BLOCK => self.block(),
            line => self.continued(line),
        });
        Some(ScriptLine { number, line })
    }

    fn block(&mut self) -> Result<String, LineProblem> {
        let mut text = String::new();
        let mut problem = None;
        loop {
            match self.physical() {
                None => return Err(problem.unwrap_or(LineProblem::OpenBlock)),
                Some(Ok(line)) if line.trim_end() == BLOCK => break,
                Some(Ok(line)) if text.len() + line.len() < MAX_SCRIPT_LINE_BYTES => {
                    text.push_str(&line);
                    text.push('\n');
                }
                Some(Ok(_)) => problem = Some(LineProblem::TooLong),
                Some(Err(error)) => problem = Some(error),
            }
        }
        text.pop();
        problem.map_or(Ok(text), Err)
    }

    fn continued(&mut self, mut text: String) -> Result<String, LineProblem> {
        let mut problem = None;
        let mut goes_on = text.ends_with('\\');
        while goes_on {
            match self.physical() {
                // Nothing follows: the backslash is meant.
                None => break,
                Some(Ok(line)) => {
                    goes_on = line.ends_with('\\');
                    if text.len() + line.len() > MAX_SCRIPT_LINE_BYTES {
                        problem = Some(LineProblem::TooLong);
                    } else {
                        text.pop();
                        text.push('\n');
                        text.push_str(&line);
                    }
                }
                Some(Err(error)) => {
                    problem = Some(error);
                    goes_on = false;
                }
            }
        }
        problem.map_or(Ok(text), Err)
    }

    /// One line of the input without its end. Of a line that is too long the rest is read and dropped.
    fn physical(&mut self) -> Option<Result<String, LineProblem>> {
        if self.ended {
            return None;
        }
        let mut bytes = Vec::new();
        let mut too_long = false;
        let mut any = false;
        loop {
            let chunk = match self.input.fill_buf() {
                Ok([]) => {
                    self.ended = true;
                    break;
                }
                Ok(chunk) => chunk,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    self.ended = true;
                    self.number += 1;
                    return Some(Err(LineProblem::Io(error.to_string())));
                }
            };
            any = true;
            let end = chunk.iter().position(|&byte| byte == b'\n');
            let taken = end.unwrap_or(chunk.len());
            too_long |= bytes.len() + taken > MAX_SCRIPT_LINE_BYTES;
            if !too_long {
                bytes.extend_from_slice(&chunk[..taken]);
            }
            self.input.consume(taken + usize::from(end.is_some()));
            if end.is_some() {
                break;
            }
        }
        if !any {
            return None;
        }
        self.number += 1;
        Some(if too_long { Err(LineProblem::TooLong) } else { text_of(bytes, self.number == 1) })
    }
}

const BLOCK: &str = "\"\"\"";

/// The line as text, without a `\r` at its end (and, of the first, a byte order mark at its beginning).
fn text_of(mut bytes: Vec<u8>, first: bool) -> Result<String, LineProblem> {
    if bytes.last() == Some(&b'\r') {
        bytes.pop();
    }
    if first && bytes.starts_with(b"\xef\xbb\xbf") {
        bytes.drain(..3);
    }
    String::from_utf8(bytes).map_err(|error| LineProblem::NotUtf8(error.utf8_error().valid_up_to() + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(input: &[u8]) -> Vec<(u64, Result<String, LineProblem>)> {
        let mut lines = Lines::new(input);
        std::iter::from_fn(|| lines.next_line()).map(|line| (line.number, line.line)).collect()
    }

    fn ok(number: u64, text: &str) -> (u64, Result<String, LineProblem>) {
        (number, Ok(text.to_owned()))
    }

    #[test]
    fn lines_have_numbers_and_no_ends() {
        assert_eq!(read(b"a\nb\r\n\nc"), [ok(1, "a"), ok(2, "b"), ok(3, ""), ok(4, "c")]);
        assert_eq!(read(b""), []);
        assert_eq!(read(b"\xef\xbb\xbfa\n"), [ok(1, "a")]);
        assert_eq!(read(b"\xef\xbb\xbf\"\"\"\r\na\r\nb\r\n\"\"\"\r\n"), [ok(1, "a\nb")]);
        assert_eq!(read(b"\xef\xbb\xbfa\\\r\nb\r\n"), [ok(1, "a\nb")]);
        assert_eq!(read(b"50 %\r100 %\r\n"), [ok(1, "50 %\r100 %")]);
    }

    #[test]
    fn blocks_and_continued_lines_are_one_message() {
        assert_eq!(read(b"\"\"\"\na\n\n/b\n\"\"\"\nc"), [ok(1, "a\n\n/b"), ok(6, "c")]);
        assert_eq!(read(b"a\\\nb\\\nc\nd"), [ok(1, "a\nb\nc"), ok(4, "d")]);
        assert_eq!(read(b"a\\"), [ok(1, "a\\")]);
        assert_eq!(read(b"x\n\"\"\"\na"), [ok(1, "x"), (2, Err(LineProblem::OpenBlock))]);
    }

    #[test]
    fn a_line_that_is_wrong_does_not_take_its_neighbours_along() {
        assert_eq!(read(b"a\n\xff\xfe\nb\n"), [ok(1, "a"), (2, Err(LineProblem::NotUtf8(1))), ok(3, "b")]);
        let mut input = vec![b'x'; MAX_SCRIPT_LINE_BYTES + 1];
        input.extend_from_slice(b"\nb\n");
        assert_eq!(read(&input), [(1, Err(LineProblem::TooLong)), ok(2, "b")]);
        let mut input = b"a\\\n".to_vec();
        input.extend(vec![b'x'; MAX_SCRIPT_LINE_BYTES]);
        input.extend_from_slice(b"\nb\n");
        assert_eq!(read(&input), [(1, Err(LineProblem::TooLong)), ok(3, "b")]);
    }
}
