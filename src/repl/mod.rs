//! The prompt: takes what the reader read, has it carried out, asks for the next line. It holds no state of its own but the way
//! the last line ended, and whose typed lines the reader has; sessions and queues are the coordinator's, the screen is the printer's.

mod completion;
mod edit;
mod files;
mod history;

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use crate::command;
use crate::coordinator::{Quiet, SessionState, SwitchTo, Which};
use crate::domain::attachment::folded;
use crate::domain::text::one_line;
use crate::domain::typed::is_kept;
use crate::domain::{Entry, EntryId, EntryState, SessionId, SessionRef, Show};
use crate::execute::{Answer, Done, Executor};
use crate::store::{Attachments, QueueListing};
use crate::ui::{Input, Next, Read, Typed, Wish};

pub use completion::{Completer, Names};

/// How far a draft on the disk may be behind what is typed.
const DRAFT_DELAY: Duration = Duration::from_secs(1);
/// The number of SIGINT, the same everywhere.
const SIGINT: i32 = 2;
/// Characters of a message by which completion tells it from others.
const EXCERPT_CHARS: usize = 40;

/// The prompt at a terminal.
#[derive(Debug)]
pub struct Repl {
    /// What carries the lines out.
    pub executor: Executor,
    /// What completion knows.
    pub names: watch::Sender<Names>,
    /// Signals that end the program, as their numbers.
    pub signals: mpsc::Receiver<i32>,
    /// What to say first.
    pub greeting: Vec<String>,
    /// What stands in the line at first.
    pub draft: String,
}

/// Why the prompt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The person left.
    Left,
    /// The person left, and the work goes on: nothing was ended.
    Detached,
    /// This signal came.
    Signal(i32),
    /// The terminal cannot be read.
    Failed(String),
    /// The database's files are gone, and what was open is saved.
    DatabaseLost,
}

/// What stands in the next line, or the end.
enum After {
    Line(String),
    /// The person's editor first, with the text of this message.
    Edit {
        entry: EntryId,
        text: String,
    },
    End(End),
}

impl Repl {
    /// Runs until the person leaves or a signal comes; all is committed when this returns.
    pub async fn run(mut self, input: Input) -> End {
        let Input { reader, has_line, next, mut reads, line, lent, exit } = input;
        tokio::task::spawn_blocking(reader);
        for line in std::mem::take(&mut self.greeting) {
            self.executor.handle.show(Show::Notice(line)).await;
        }
        let mut initial = std::mem::take(&mut self.draft);
        let mut warned = false;
        // The message that is in the editor.
        let mut editing = None;
        let mut typed = history::Typed::new(&self.executor);
        let mut drafts = Drafts { line: line.clone() };
        let end = loop {
            let Ok(prompt) = self.executor.handle.prompt().await else {
                break End::Failed("an internal error; the log has more".to_owned());
            };
            // The line needs this, and does not wait behind what completion alone wants.
            let history = typed.enter(prompt.session).await;
            self.refresh_names().await;
            let edit = editing.is_some();
            if next.send(Next { prompt, initial: std::mem::take(&mut initial), edit, history }).await.is_err() {
                break End::Failed("the terminal is gone".to_owned());
            }
            let read = loop {
                tokio::select! {
                    biased;
                    // What Ctrl-C means in the person's editor is the editor's business.
                    Some(signal) = self.signals.recv() => {
                        if signal != SIGINT || !(lent.load(Ordering::Acquire) || self.ends_answer().await) {
                            break Err(End::Signal(signal));
                        }
                    }
                    _ = self.executor.store.lost() => break Err(End::DatabaseLost),
                    read = reads.recv() => break Ok(read),
                    draft = drafts.next(), if has_line => self.executor.handle.keep_draft(draft).await,
                }
            };
            let read = match read {
                Ok(read) => read,
                Err(end) => break end,
            };
            let asked_again = std::mem::take(&mut warned);
            let after = match read {
                None => After::End(End::Failed("no more lines can be read".to_owned())),
                Some(Read::Failed(why)) => After::End(End::Failed(why)),
                Some(Read::Line(line)) => {
                    let after = self.line(line.clone()).await;
                    typed.keep(line);
                    after
                }
                Some(Read::Key { wish, draft }) => self.go(wish, draft).await,
                Some(Read::Interrupted { line }) => self.interrupted(line).await,
                Some(Read::Edited(text)) => self.edited(editing.take(), text).await,
                Some(Read::Eof) if asked_again => After::End(End::Left),
                Some(Read::Eof) => {
                    warned = true;
                    self.leave().await
                }
            };
            match after {
                After::Line(text) => initial = text,
                After::Edit { entry, text } => (editing, initial) = (Some(entry), text),
                After::End(end) => break end,
            }
        };
        let draft = last_draft(&end, has_line, || cut_off(&mut reads, &line));
        // What is to be printed last waits as long as the reader may get another line.
        let next = (end != End::Detached).then_some(next);
        self.end(&end, draft).await;
        drop((next, self));
        // Waits for the printer, half a second at most.
        exit.finish();
        end
    }

    async fn end(&self, end: &End, draft: Option<String>) {
        let handle = &self.executor.handle;
        let left = if *end == End::Detached { handle.leave_terminal(draft).await } else { handle.quit(draft).await };
        if let Err(error) = left {
            tracing::error!(%error, "the end could not be committed");
        }
    }

    async fn line(&self, line: String) -> After {
        let is_command = command::is_command(&line);
        if is_command && let Ok(session) = self.executor.handle.find(None).await {
            self.show(Show::Command { session: session.id, name: session.name, line: line.clone() }).await;
        }
        let names_files = line.contains('@');
        let attached = if names_files { self.attached().await } else { Vec::new() };
        match self.executor.run(&line).await {
            Ok(done) => {
                if names_files && matches!(done, Done::Queued { .. }) {
                    self.say_what_did_not_go(line, attached);
                }
                self.follow(done).await
            }
            Err(failure) => {
                self.show(Show::Error(failure.to_string())).await;
                // A message that was not taken stays in the line. A mistyped command is a key away in the history, where it is kept.
                let is_at_hand = !self.executor.has_line || is_kept(&line);
                After::Line(if is_command && !failure.refused && is_at_hand { String::new() } else { line })
            }
        }
    }

    async fn follow(&self, done: Done) -> After {
        match done {
            Done::Quietly | Done::Queued { .. } => {}
            Done::Said(text) | Done::Ending { said: Some(text), .. } => self.show(Show::Notice(text)).await,
            Done::Ending { said: None, .. } => {}
            Done::Answered(Answer { text, .. }) => self.show(Show::Block(text)).await,
            Done::TakenBack { said, text } => {
                self.show(Show::Notice(said)).await;
                return After::Line(text);
            }
            Done::Edit { entry, text } => return After::Edit { entry, text },
            Done::Switched(session) => return After::Line(session.draft),
            Done::Wait { which, timeout } => self.say_when_quiet(which, timeout),
            Done::Sleep(length) => self.say_after(length),
            Done::Quit => return After::End(End::Left),
            Done::Detach => return self.detach().await,
        }
        After::Line(String::new())
    }

    /// A message is sent as it stands: of the files that it names with an `@`, the name.
    fn say_what_did_not_go(&self, line: String, attached: Vec<String>) {
        let (handle, home) = (self.executor.handle.clone(), self.executor.home.clone());
        tokio::spawn(async move {
            // The disk may be slow, and nobody waits for this.
            let look = tokio::task::spawn_blocking(move || files::said_of_mentioned(&line, &attached, home.as_deref()));
            if let Ok(Some(said)) = look.await {
                handle.show(Show::Notice(said)).await;
            }
        });
    }

    /// The files that go along with what is typed now.
    async fn attached(&self) -> Vec<String> {
        let Ok(session) = self.executor.handle.find(None).await else { return Vec::new() };
        let found = self.executor.store.read(Attachments { session: session.id }).await;
        found.unwrap_or_default().into_iter().map(|file| file.name).collect()
    }

    /// The prompt never blocks: `/wait` says when it would have gone on.
    fn say_when_quiet(&self, which: Which, timeout: Option<Duration>) {
        let handle = self.executor.handle.clone();
        tokio::spawn(async move {
            // What counts as for ever: a month.
            let limit = timeout.unwrap_or(Duration::from_secs(30 * 86_400));
            let said = match tokio::time::timeout(limit, handle.wait(which)).await {
                Ok(Ok(Quiet { held })) if held.is_empty() => Show::Notice("all is answered".to_owned()),
                Ok(Ok(_)) => Show::Notice("all is answered but what is held: /resume all goes on".to_owned()),
                Ok(Err(error)) => Show::Error(error.to_string()),
                Err(_) => Show::Notice("the time is over, and not all is answered".to_owned()),
            };
            handle.show(said).await;
        });
    }

    fn say_after(&self, length: Duration) {
        let handle = self.executor.handle.clone();
        tokio::spawn(async move {
            tokio::time::sleep(length).await;
            handle.show(Show::Notice(format!("{} are over", crate::domain::Span(length)))).await;
        });
    }

    /// A key in the middle of a line: the line stays behind as a draft.
    async fn go(&self, wish: Wish, draft: String) -> After {
        let to = match wish {
            Wish::Switch(number) => SwitchTo::Session(SessionRef::Id(SessionId(i64::from(number)))),
            Wish::Attention => SwitchTo::Attention,
            Wish::Previous => SwitchTo::Back,
            Wish::Next => SwitchTo::Next,
        };
        match self.executor.handle.switch(to, Some(draft.clone())).await {
            Ok(session) => After::Line(session.draft),
            Err(error) => {
                self.show(Show::Error(error.to_string())).await;
                After::Line(draft)
            }
        }
    }

    /// Ctrl-C where the terminal makes a signal of it (nothing takes it as a key): ends the running answer, if there is one.
    async fn ends_answer(&self) -> bool {
        let ends = !self.executor.has_line && self.is_busy().await;
        if ends {
            drop(self.interrupted(String::new()).await);
        }
        ends
    }

    async fn is_busy(&self) -> bool {
        self.executor.handle.views().await.is_ok_and(|views| {
            views.iter().any(|v| v.active && matches!(v.state, SessionState::Streaming | SessionState::Waiting))
        })
    }

    /// Ctrl-C on an empty line.
    async fn interrupted(&self, line: String) -> After {
        if self.is_busy().await {
            match self.executor.run("/stop").await {
                Ok(done) => return self.follow(done).await,
                Err(failure) => self.show(Show::Error(failure.to_string())).await,
            }
        } else {
            self.show(Show::Notice("nothing is being answered here: Ctrl-D or /quit leaves".to_owned())).await;
        }
        After::Line(line)
    }

    /// What is under way here, in words, and how many that are; none: leaving stops nothing. What another process is at goes on anyway.
    async fn under_way(&self) -> Option<(String, usize)> {
        let views = self.executor.handle.views().await.unwrap_or_default();
        let here = || views.iter().filter(|view| !view.elsewhere);
        let streams = here().filter(|view| view.state == SessionState::Streaming).count();
        let waits: usize = here().filter(|view| view.state != SessionState::Held).map(|view| view.pending).sum();
        let what: Vec<String> =
            [(streams, "answer is under way", "answers are under way"), (waits, "message waits", "messages wait")]
                .into_iter()
                .filter(|(count, ..)| *count > 0)
                .map(|(count, one, many)| counted(count, one, many))
                .collect();
        (streams + waits > 0).then(|| (what.join(" and "), streams + waits))
    }

    /// Ctrl-D: leaves, but asks once when that stops something.
    async fn leave(&self) -> After {
        let Some((what, _)) = self.under_way().await else { return After::End(End::Left) };
        let text = format!("{what}: Ctrl-D again leaves and keeps what came; /detach leaves and lets it go on");
        self.show(Show::Notice(text)).await;
        After::Line(String::new())
    }

    /// `/detach`: where nothing is under way, it is `/quit`.
    async fn detach(&self) -> After {
        let Some((what, count)) = self.under_way().await else { return After::End(End::Left) };
        let goes = if count == 1 { "it goes on" } else { "they go on" };
        self.show(Show::Notice(format!("{what}: {goes} without a prompt, and chatmux comes back to it"))).await;
        After::End(End::Detached)
    }

    async fn show(&self, show: Show) {
        self.executor.handle.show(show).await;
    }

    async fn refresh_names(&self) {
        if let Ok(views) = self.executor.handle.views().await {
            let sessions = views.iter().map(|view| (view.session.id, view.session.name.to_string())).collect();
            self.names.send_if_modified(|names| {
                let changed = names.sessions != sessions;
                names.sessions = sessions;
                changed
            });
            if let Some(view) = views.iter().find(|view| view.active) {
                self.refresh_entries(view.session.id);
            }
        }
    }

    /// The next line need not wait for that.
    fn refresh_entries(&self, session: SessionId) {
        let (store, names) = (self.executor.store.clone(), self.names.clone());
        tokio::spawn(async move {
            let Ok(listed) = store.read(QueueListing { session: Some(session) }).await else { return };
            let entries = listed.iter().filter(|entry| entry.state != EntryState::Running).map(named).collect();
            names.send_if_modified(|names| {
                let changed = names.entries != entries;
                names.entries = entries;
                changed
            });
        });
    }
}

/// Who leaves by hand leaves an empty line; one that was cut off from outside is there again next time.
fn last_draft(end: &End, has_line: bool, cut_off: impl FnOnce() -> Option<String>) -> Option<String> {
    match end {
        End::Left | End::Detached => has_line.then(String::new),
        End::Signal(_) | End::Failed(_) | End::DatabaseLost => cut_off(),
    }
}

/// What stood in the line when the end came from outside.
fn cut_off(reads: &mut mpsc::Receiver<Read>, line: &watch::Receiver<Typed>) -> Option<String> {
    match reads.try_recv() {
        // It was accepted in the same moment, and nobody has taken it.
        Ok(Read::Line(line) | Read::Interrupted { line } | Read::Key { draft: line, .. }) => Some(line),
        Ok(Read::Edited(Ok(text))) => Some(command::as_line(&text)),
        Ok(Read::Edited(Err(_)) | Read::Eof | Read::Failed(_)) | Err(_) => line.borrow().text(),
    }
}

/// Keeps what is being typed on the disk.
struct Drafts {
    line: watch::Receiver<Typed>,
}

impl Drafts {
    /// The line, a while after it was changed: so a crash takes little of it.
    async fn next(&mut self) -> String {
        while self.line.changed().await.is_ok() {
            tokio::time::sleep(DRAFT_DELAY).await;
            if let Some(draft) = self.line.borrow_and_update().text() {
                return draft;
            }
        }
        // The reader has ended, and its last read says so.
        std::future::pending().await
    }
}

/// An entry's number, and what tells a person which it is.
fn named(entry: &Entry) -> (String, String) {
    let what = if entry.state == EntryState::Dead { "dead" } else { entry.priority.as_str() };
    (entry.id.to_string(), format!("{what}: {}", one_line(&folded(&entry.text), EXCERPT_CHARS)))
}

fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}
