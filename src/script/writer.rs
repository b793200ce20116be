//! The script's writer: a thread that writes answers and results to stdout, notices to stderr; or, for `--json`, every event as
//! an object a line. Nothing else prints in script mode. A closed stdout ends it quietly.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde_json::ser::{CharEscape, Formatter};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::coordinator::{ScriptItem, notices};
use crate::domain::text::{Sanitizer, is_unsafe, visible};
use crate::domain::{Delta, EndState, EntryId, Event, Problem, SessionId, SessionName};

/// What the writer came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Written {
    /// The reader closed the pipe.
    pub closed: bool,
    /// Messages that failed or were cut, whoever waited for them.
    pub failed: usize,
}

/// Begins to write. The thread ends when the coordinator is gone, or when stdout is closed (then it cancels `closed`); what it came
/// to is in the returned channel then.
///
/// # Errors
/// The system has no thread left.
pub fn spawn<O, E>(
    mut items: mpsc::Receiver<Vec<ScriptItem>>,
    mut writer: Writer<O, E>,
    closed: CancellationToken,
) -> io::Result<oneshot::Receiver<Written>>
where
    O: Write + Send + 'static,
    E: Write + Send + 'static,
{
    let (end, ended) = oneshot::channel();
    std::thread::Builder::new().name("chatmux-writer".to_owned()).spawn(move || {
        while let Some(load) = items.blocking_recv() {
            if let Err(error) = writer.write(load) {
                if error.kind() != io::ErrorKind::BrokenPipe {
                    tracing::error!(%error, "stdout could not be written");
                    // There is nowhere else to say it.
                    let _ = writeln!(writer.err, "chatmux: stdout could not be written: {error}");
                    writer.written.failed += 1;
                }
                writer.written.closed = true;
                closed.cancel();
                break;
            }
        }
        // Nothing follows what was not finished. A reader that has gone misses nothing.
        let _ = writer.end();
        // Who does not wait for the writer does not want to know.
        let _ = end.send(writer.written);
    })?;
    Ok(ended)
}

/// Turns items into bytes.
#[derive(Debug)]
pub struct Writer<O, E> {
    out: O,
    err: E,
    json: bool,
    names: BTreeMap<SessionId, SessionName>,
    /// The answer that is being written as it comes.
    open: Option<(EntryId, Sanitizer, bool)>,
    /// Whole answers that ended while another was being written.
    waiting: Vec<String>,
    /// Answers are written. Else every end is said in a line.
    answers: bool,
    written: Written,
}

impl<O: Write, E: Write> Writer<O, E> {
    /// A writer of text, or of JSON lines. `names`: of the sessions there are.
    pub const fn new(out: O, err: E, json: bool, names: BTreeMap<SessionId, SessionName>) -> Self {
        let written = Written { closed: false, failed: 0 };
        Self { out, err, json, names, open: None, waiting: Vec::new(), answers: true, written }
    }

    /// Says of each answer that it has ended, and does not write it.
    #[must_use]
    pub fn without_answers(self) -> Self {
        Self { answers: false, ..self }
    }

    /// Writes what came, and flushes it.
    ///
    /// # Errors
    /// Those of stdout.
    pub fn write(&mut self, load: Vec<ScriptItem>) -> io::Result<()> {
        for item in load {
            if let ScriptItem::Event { event, .. } = &item
                && has_problem(event)
            {
                self.written.failed += 1;
            }
            if self.json { self.json(item)? } else { self.text(item)? }
        }
        self.out.flush()
    }

    fn json(&mut self, item: ScriptItem) -> io::Result<()> {
        let event = match item {
            ScriptItem::Event { event, .. } => event,
            ScriptItem::Result { command, data, .. } => Event::Result { command: command.to_owned(), data },
        };
        let mut serializer = serde_json::Serializer::with_formatter(&mut self.out, SafeFormatter);
        serde::Serialize::serialize(&event, &mut serializer)?;
        self.out.write_all(b"\n")
    }

    fn text(&mut self, item: ScriptItem) -> io::Result<()> {
        match item {
            ScriptItem::Result { text, .. } => {
                writeln!(self.out, "{}", visible(&text))
            }
            ScriptItem::Event { event, foreground } => self.event(event, foreground),
        }
    }

    fn event(&mut self, event: Event, foreground: bool) -> io::Result<()> {
        match &event {
            Event::Delta { entry, delta: Delta::Text(text), .. } if foreground => self.stream(*entry, text),
            Event::Finished { .. } if !self.answers => self.say(&event),
            Event::Finished { entry, state, text, .. } => {
                self.finish(*entry, foreground, text)?;
                // What the script waits for is told with its line.
                let is_well = *state == EndState::Complete && !has_problem(&event);
                let said = foreground && *state != EndState::Cancelled || is_well;
                if said { Ok(()) } else { self.say(&event) }
            }
            Event::Session { session, name, .. } => {
                self.names.insert(*session, name.clone());
                self.say(&event)
            }
            Event::Error { line, text } => {
                let place = line.map(|line| format!("line {line}: ")).unwrap_or_default();
                self.tell(&format!("{place}{text}"))
            }
            Event::Queued { ahead: 0, .. } => Ok(()),
            Event::Queued { .. } if foreground => Ok(()),
            Event::Queued { .. } | Event::Retry { .. } | Event::Notice { .. } => self.say(&event),
            Event::Started { .. }
            | Event::Delta { .. }
            | Event::Progress { .. }
            | Event::Idle { .. }
            | Event::Result { .. } => Ok(()),
        }
    }

    /// Writes on in the answer that the script waits for.
    fn stream(&mut self, entry: EntryId, text: &str) -> io::Result<()> {
        if self.open.as_ref().is_none_or(|(open, _, _)| *open != entry) {
            self.open = Some((entry, Sanitizer::default(), true));
        }
        let Some((_, sanitizer, at_line_start)) = &mut self.open else { return Ok(()) };
        let safe = sanitizer.push(text);
        if !safe.is_empty() {
            *at_line_start = safe.ends_with('\n');
        }
        self.out.write_all(safe.as_bytes())
    }

    fn finish(&mut self, entry: EntryId, foreground: bool, text: &str) -> io::Result<()> {
        if !foreground && !text.is_empty() {
            self.waiting.push(visible(text).into_owned());
        }
        // In the background ends also what was waited for until its queue was held: what was begun there is not gone on with.
        if foreground || self.open.as_ref().is_some_and(|(open, _, _)| *open == entry) {
            self.close()?;
        }
        if self.open.is_none() { self.write_waiting() } else { Ok(()) }
    }

    /// Ends the line of the answer that is being written as it comes.
    fn close(&mut self) -> io::Result<()> {
        let Some((_, mut sanitizer, at_line_start)) = self.open.take() else { return Ok(()) };
        let rest = sanitizer.finish();
        self.out.write_all(rest.as_bytes())?;
        if !at_line_start || !rest.is_empty() { self.out.write_all(b"\n") } else { Ok(()) }
    }

    fn write_waiting(&mut self) -> io::Result<()> {
        for text in std::mem::take(&mut self.waiting) {
            self.out.write_all(text.as_bytes())?;
            if !text.ends_with('\n') {
                self.out.write_all(b"\n")?;
            }
        }
        Ok(())
    }

    /// Nothing more comes.
    ///
    /// # Errors
    /// Those of stdout.
    fn end(&mut self) -> io::Result<()> {
        self.close()?;
        self.write_waiting()?;
        self.out.flush()
    }

    fn say(&mut self, event: &Event) -> io::Result<()> {
        // No session goes without its name: a script has no prompt that says which one is meant.
        let line = notices::line(event, SessionId(0), |id| self.names.get(&id).map(SessionName::as_str));
        line.map_or(Ok(()), |line| self.tell(&line))
    }

    fn tell(&mut self, line: &str) -> io::Result<()> {
        // What is on stdout comes first where both go to one place. A closed stderr is no reason to stop.
        self.out.flush()?;
        let _ = writeln!(self.err, "chatmux: {}", visible(line));
        Ok(())
    }
}

/// Whether this is the end of an answer that is not as one wants. One that ended early because somebody wanted that is.
fn has_problem(event: &Event) -> bool {
    let Event::Finished { finish, tokens, error, .. } = event else { return false };
    Problem::of(finish.as_ref(), *tokens, error.as_ref()).is_some()
}

/// JSON whose strings hold no character that a terminal could obey: C1 and bidirectional controls are escaped too.
struct SafeFormatter;

impl Formatter for SafeFormatter {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(is_unsafe) {
            let (before, from) = rest.split_at(at);
            writer.write_all(before.as_bytes())?;
            let mut chars = from.chars();
            if let Some(c) = chars.next() {
                write!(writer, "\\u{:04x}", u32::from(c))?;
            }
            rest = chars.as_str();
        }
        writer.write_all(rest.as_bytes())
    }

    fn write_char_escape<W: ?Sized + Write>(&mut self, writer: &mut W, escape: CharEscape) -> io::Result<()> {
        serde_json::ser::CompactFormatter.write_char_escape(writer, escape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Usage;

    fn delta(entry: i64, text: &str, foreground: bool) -> ScriptItem {
        let delta = Delta::Text(text.to_owned());
        ScriptItem::Event { event: Event::Delta { session: SessionId(1), entry: EntryId(entry), delta }, foreground }
    }

    fn finished(entry: i64, state: EndState, text: &str, foreground: bool) -> ScriptItem {
        let event = Event::Finished {
            session: SessionId(1),
            entry: EntryId(entry),
            state,
            finish: None,
            text: text.to_owned(),
            seams: Vec::new(),
            tokens: Usage::default(),
            wait_ms: 0,
            first_ms: None,
            total_ms: 5,
            error: None,
        };
        ScriptItem::Event { event, foreground }
    }

    fn check(items: Vec<ScriptItem>, out: &str, err: &str) {
        let names = BTreeMap::from([(SessionId(1), "main".parse().unwrap())]);
        let mut writer = Writer::new(Vec::new(), Vec::new(), false, names);
        writer.write(items).unwrap();
        writer.end().unwrap();
        assert_eq!(String::from_utf8(writer.out).unwrap(), out);
        assert_eq!(String::from_utf8(writer.err).unwrap(), err);
    }

    #[test]
    fn an_answer_that_is_waited_for_is_written_as_it_comes() {
        let items = vec![delta(1, "a\x1b[0m", true), delta(1, "b", true), finished(1, EndState::Complete, "", true)];
        check(items, "a␛[0mb\n", "");
        check(vec![delta(1, "a\n", true), finished(1, EndState::Complete, "a\n", true)], "a\n", "");
    }

    #[test]
    fn background_answers_are_whole_and_never_in_the_middle_of_another() {
        let items = vec![
            delta(1, "fore", true),
            delta(2, "back", false),
            finished(2, EndState::Complete, "back", false),
            delta(1, "ground", true),
            finished(1, EndState::Complete, "foreground", true),
        ];
        check(items, "foreground\nback\n", "");
    }

    #[test]
    fn what_is_held_in_mid_answer_keeps_no_other_answer_back() {
        let held = [delta(1, "half", true), finished(2, EndState::Complete, "back", false)];
        check(held.to_vec(), "half\nback\n", "");
        let later = [finished(1, EndState::Complete, "half and half", false)];
        check([&held[..], &later[..]].concat(), "half\nback\nhalf and half\n", "");
    }

    #[test]
    fn a_background_failure_is_said_on_stderr() {
        check(vec![finished(2, EndState::Failed, "", false)], "", "chatmux: [1 main] failed\n");
    }

    #[test]
    fn json_holds_nothing_that_a_terminal_obeys() {
        let mut writer = Writer::new(Vec::new(), Vec::new(), true, BTreeMap::new());
        writer.write(vec![delta(1, "a\x1b\u{9b}\u{202e}\"é", false)]).unwrap();
        let line = String::from_utf8(writer.out).unwrap();
        assert!(line.ends_with("\"text\":\"a\\u001b\\u009b\\u202e\\\"é\"}\n"), "{line}");
        assert!(serde_json::from_str::<serde_json::Value>(&line).is_ok());
    }
}
