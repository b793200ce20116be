//! Script mode: each line of stdin is what would be typed. A message waits for its answer before the next line is read; `/bg`
//! and `/send` do not; at the end of the input all that was started is waited for.
//!
//! ```text
//!  stdin ─► lines (thread) ──► script (task) ──Request──► coordinator ──ScriptItem──► writer (thread) ─► stdout, stderr
//! ```

pub mod lines;
pub mod writer;

use std::future::pending;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::sync::oneshot::error::TryRecvError;
use tokio_util::sync::CancellationToken;

use crate::coordinator::{EntryEnd, Queued, ScriptItem, Which};
use crate::domain::text::one_line;
use crate::domain::{EndState, Event, Problem, SessionRef};
use crate::execute::{Answer, Done, Executor, NEEDS_TERMINAL};

use lines::ScriptLine;

/// Messages that nobody waited for are looked through when there are this many.
const PRUNE_AT: usize = 1_024;
/// Characters of an error in a line's report.
const ERROR_CHARS: usize = 500;

/// How a script runs.
#[derive(Debug)]
pub struct Script {
    /// What carries the lines out.
    pub executor: Executor,
    /// Stop at the first line that is wrong or fails.
    pub fail_fast: bool,
    /// Cancelled when the output was closed, or a signal came: then nothing is waited for any more.
    pub enough: CancellationToken,
    /// Errors name the line. Not so for `ask`, which has none.
    pub numbered: bool,
}

/// What a script came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// A line was wrong, or its message failed.
    pub failed: bool,
    /// What was under way is handed over: another process is to go on with it.
    pub detached: bool,
}

/// Messages that nobody waited for yet, each with its line.
type Unwaited = Vec<(u64, Queued)>;

impl Script {
    /// Runs all lines, waits for what they started, and ends the coordinator. All is committed when this returns.
    pub async fn run(self, mut lines: mpsc::Receiver<ScriptLine>) -> Verdict {
        let mut state = State { failed: false, unwaited: Unwaited::new(), prune_at: PRUNE_AT };
        let enough = self.enough.clone();
        let detached = tokio::select! {
            biased;
            () = enough.cancelled() => false,
            detached = self.play(&mut lines, &mut state) => detached,
        };
        let handle = &self.executor.handle;
        if let Err(error) = if detached { handle.hand_over().await } else { handle.quit(None).await } {
            tracing::error!(%error, "the end could not be committed");
            state.failed = true;
        }
        Verdict { failed: state.failed, detached }
    }

    /// Whether what it began shall go on without it.
    async fn play(&self, lines: &mut mpsc::Receiver<ScriptLine>, state: &mut State) -> bool {
        while let Some(ScriptLine { number, line }) = lines.recv().await {
            let went_well = match line {
                Ok(line) => self.line(number, &line, state).await,
                Err(problem) => {
                    self.report(number, &problem.to_string()).await;
                    Flow::Failed
                }
            };
            match went_well {
                Flow::On => {}
                Flow::End => return false,
                Flow::Detach => return true,
                Flow::Failed => {
                    state.failed = true;
                    if self.fail_fast {
                        return false;
                    }
                }
            }
        }
        self.wait_for_the_rest(state).await;
        false
    }

    async fn line(&self, number: u64, line: &str, state: &mut State) -> Flow {
        match self.executor.run(line).await {
            Err(failure) => {
                self.report(number, &failure.to_string()).await;
                Flow::Failed
            }
            Ok(done) => self.follow(number, done, state).await,
        }
    }

    async fn follow(&self, number: u64, done: Done, state: &mut State) -> Flow {
        match done {
            Done::Quietly | Done::Switched(_) => Flow::On,
            Done::Said(text) | Done::TakenBack { said: text, .. } => {
                self.executor.handle.script(ScriptItem::event(Event::Notice { text })).await;
                Flow::On
            }
            Done::Ending { endings, said } => {
                for ending in endings {
                    // An error: the coordinator has ended, and with it all turns.
                    let _ = ending.await;
                }
                if let Some(text) = said {
                    self.executor.handle.script(ScriptItem::event(Event::Notice { text })).await;
                }
                Flow::On
            }
            Done::Answered(Answer { command, data, text }) => {
                self.executor.handle.script(ScriptItem::Result { command, data, text }).await;
                Flow::On
            }
            Done::Queued { queued, wait: true } => self.answers(number, queued).await,
            Done::Queued { queued, wait: false } => {
                state.remember(number, queued);
                Flow::On
            }
            // A script has no line, so it was told so already.
            Done::Edit { .. } => {
                self.report(number, NEEDS_TERMINAL).await;
                Flow::Failed
            }
            Done::Wait { which, timeout } => self.wait(number, which, timeout).await,
            Done::Sleep(length) => {
                tokio::time::sleep(length).await;
                Flow::On
            }
            Done::Quit => Flow::End,
            Done::Detach => Flow::Detach,
        }
    }

    async fn answers(&self, number: u64, queued: Vec<Queued>) -> Flow {
        let mut flow = Flow::On;
        for queued in queued {
            // An error: the coordinator ended first.
            let end = queued.done.await.ok();
            if self.judge(number, end.as_ref()).await == Flow::Failed {
                flow = Flow::Failed;
            }
        }
        flow
    }

    async fn judge(&self, number: u64, end: Option<&EntryEnd>) -> Flow {
        let text = match end {
            Some(EntryEnd::Ended(_, None)) | None => return Flow::On,
            Some(EntryEnd::Held) => "the message is kept, but its queue is held: /resume goes on".to_owned(),
            Some(EntryEnd::Ended(_, Some(Problem::Finish(said)))) => format!("[{said}]"),
            Some(EntryEnd::Ended(state, Some(Problem::Error(error)))) => {
                let what = if *state == EndState::Failed { "failed" } else { "was interrupted" };
                format!("the answer {what}: {error}")
            }
        };
        self.report(number, &text).await;
        Flow::Failed
    }

    async fn wait(&self, number: u64, which: Which, timeout: Option<Duration>) -> Flow {
        let quiet = self.executor.handle.wait(which);
        let out_of_time = async {
            match timeout {
                Some(timeout) => tokio::time::sleep(timeout).await,
                None => pending().await,
            }
        };
        tokio::select! {
            quiet = quiet => match quiet {
                Ok(_) => Flow::On,
                Err(error) => {
                    self.report(number, &error.to_string()).await;
                    Flow::Failed
                }
            },
            () = out_of_time => {
                let after = crate::domain::Span(timeout.unwrap_or_default());
                self.report(number, &format!("still not all is answered after {after}")).await;
                Flow::Failed
            }
        }
    }

    /// The end of the input: all that was started is waited for.
    async fn wait_for_the_rest(&self, state: &mut State) {
        if self.executor.handle.wait(Which::All).await.is_err() {
            state.failed = true;
        }
        for (number, mut queued) in state.unwaited.drain(..) {
            // Its session may be archived, which is not among all of them, or deleted, which ended it.
            let its = Which::These(vec![SessionRef::Id(queued.session)]);
            let _ = self.executor.handle.wait(its).await;
            let end = match queued.done.try_recv() {
                Ok(end) => Some(end),
                Err(TryRecvError::Empty) => Some(EntryEnd::Held),
                Err(TryRecvError::Closed) => None,
            };
            // How it failed was written when it ended; only that nothing will happen has not been said.
            match end {
                Some(EntryEnd::Held) => {
                    self.judge(number, Some(&EntryEnd::Held)).await;
                    state.failed = true;
                }
                Some(EntryEnd::Ended(_, problem)) => state.failed |= problem.is_some(),
                None => {}
            }
        }
    }

    async fn report(&self, number: u64, text: &str) {
        let line = self.numbered.then_some(number);
        let event = Event::Error { line, text: one_line(text, ERROR_CHARS) };
        self.executor.handle.script(ScriptItem::event(event)).await;
    }
}

struct State {
    failed: bool,
    unwaited: Unwaited,
    /// With this many the ended ones are forgotten.
    prune_at: usize,
}

impl State {
    /// Messages to be waited for at the end. Those that have ended are forgotten now and then, so that what is kept is
    /// bounded by what can wait at all.
    fn remember(&mut self, number: u64, queued: Vec<Queued>) {
        if self.unwaited.len() >= self.prune_at {
            let failed = &mut self.failed;
            self.unwaited.retain_mut(|(_, queued)| match queued.done.try_recv() {
                Ok(EntryEnd::Ended(_, problem)) => {
                    *failed |= problem.is_some();
                    false
                }
                Ok(EntryEnd::Held) | Err(TryRecvError::Empty) => true,
                Err(TryRecvError::Closed) => false,
            });
            self.prune_at = PRUNE_AT.max(2 * self.unwaited.len());
        }
        self.unwaited.extend(queued.into_iter().map(|queued| (number, queued)));
    }
}

/// How to go on after a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    On,
    Failed,
    End,
    Detach,
}
