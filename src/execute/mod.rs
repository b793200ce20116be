//! Carries out what a line says, the same for the prompt and for scripts. It asks the coordinator to do things and the store to
//! look things up; what is to be waited for or shown is the caller's ([`Done`]).

mod answers;
mod auto_view;
mod files;
mod layout;
mod queue_view;
mod queueing;
mod settings;
mod stats_view;
mod undoing;
mod waiting;

pub use auto_view::auto_answer;
pub use files::path_of;
pub use layout::{View, table};
pub use queue_view::{dead_answer, queue_answer};
pub use stats_view::{all_stats, session_stats};
pub use undoing::NEEDS_TERMINAL;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::command::{self, Command, Line, Scope, Subject, SystemChange, Targets};
use crate::coordinator::{self, Ending, Handle, Held, Queued, Submission, SwitchTo, Which};
use crate::domain::limits::MAX_MESSAGE_BYTES;
use crate::domain::{Clock, EntryId, ModelName, Origin, Priority, Session, SessionId, SessionName, TimeOfDay};
use crate::store::Store;

/// Turns a model's name as typed into the one that is meant, or says why there is none.
pub type ResolveModel = Arc<dyn Fn(ModelName) -> Result<ModelName, String> + Send + Sync>;

/// Messages that `/history` shows by default.
const HISTORY_MESSAGES: u32 = 10;

/// What came of a line.
#[derive(Debug)]
pub enum Done {
    /// It is done; who needs to know has been told.
    Quietly,
    /// It is done, and this is worth a line.
    Said(String),
    /// This is the answer.
    Answered(Answer),
    /// It went to another session.
    Switched(Box<Session>),
    /// A message is committed.
    Queued {
        /// One a session.
        queued: Vec<Queued>,
        /// A script waits for the answer before it reads on.
        wait: bool,
    },
    /// A message was taken back, and this is worth a line.
    TakenBack {
        /// What is worth it.
        said: String,
        /// The line that sends it again, for a person to have at hand.
        text: String,
    },
    /// The caller shall have the last message changed, and give what comes of that to [`Executor::replace`].
    Edit {
        /// The message.
        entry: EntryId,
        /// Its text.
        text: String,
    },
    /// Turns were told to end. A script waits for that; the prompt does not.
    Ending {
        /// One a turn.
        endings: Vec<Ending>,
        /// What is worth a line.
        said: Option<String>,
    },
    /// The caller shall go on when nothing is left to answer.
    Wait {
        /// Where.
        which: Which,
        /// No longer than this.
        timeout: Option<Duration>,
    },
    /// The caller shall go on after this.
    Sleep(Duration),
    /// The caller shall end.
    Quit,
    /// The caller shall end, and what there is to do shall go on without it.
    Detach,
}

/// What a command answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The command's name.
    pub command: &'static str,
    /// For `--json`.
    pub data: Value,
    /// For people.
    pub text: String,
}

/// Why a line could not be carried out, for people. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Failure {
    /// What is wrong, and the remedy.
    pub text: String,
    /// Nothing is wrong with the line itself: a queue is full, or the store cannot write. It may be sent again as it is.
    pub refused: bool,
}

impl Failure {
    /// The line is at fault.
    fn of(text: impl Into<String>) -> Self {
        Self { text: text.into(), refused: false }
    }
}

impl From<coordinator::Error> for Failure {
    fn from(error: coordinator::Error) -> Self {
        let refused = matches!(error, coordinator::Error::Refused(_) | coordinator::Error::Store(_));
        Self { text: error.to_string(), refused }
    }
}

macro_rules! failure_from {
    ($($error:ty),+ $(,)?) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::of(error.to_string())
            }
        })+
    };
}
failure_from!(crate::store::StoreError, command::CommandError);

/// What carries lines out.
#[derive(Clone)]
pub struct Executor {
    /// The coordinator.
    pub handle: Handle,
    /// The store, for looking.
    pub store: Store,
    /// What models' names mean.
    pub resolve: ResolveModel,
    /// Models worth naming, for `/model`.
    pub models: Arc<[String]>,
    /// Who types.
    pub origin: Origin,
    /// There is a line in which a session's draft stands: not so for a script, and a terminal without cursor movement.
    pub has_line: bool,
    /// Signs are words (`--plain`).
    pub words: bool,
    /// Columns that an answer for people may take.
    pub width: fn() -> usize,
    /// The time.
    pub clock: Clock,
    /// What a point in time is called.
    pub time_of_day: TimeOfDay,
    /// Attempts that an entry has (`retry.max_attempts`).
    pub max_attempts: u32,
    /// Where `~` is.
    pub home: Option<PathBuf>,
    /// Auto-replies are served before what is normal (`auto_reply.queue_position`).
    pub auto_before_normal: bool,
}

impl fmt::Debug for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Executor").field("origin", &self.origin).finish_non_exhaustive()
    }
}

impl Executor {
    /// Carries out one line.
    ///
    /// # Errors
    /// What is wrong with it, and the remedy.
    pub async fn run(&self, line: &str) -> Result<Done, Failure> {
        match command::parse(line)? {
            Line::Blank => Ok(Done::Quietly),
            Line::Message(text) => self.submit_typed(text).await,
            Line::Command(command) => self.carry_out(command).await,
        }
    }

    /// Queues a message.
    ///
    /// # Errors
    /// It is too long, holds a NUL, or was refused.
    pub async fn submit(&self, to: Which, text: String, priority: Priority, foreground: bool) -> Result<Done, Failure> {
        self.queue_up(self.submission(to, text, priority, foreground)).await
    }

    /// A line that is a message as it is.
    async fn submit_typed(&self, text: String) -> Result<Done, Failure> {
        let submission = self.submission(Which::Active, text, Priority::Normal, true);
        self.queue_up(Submission { echo: true, ..submission }).await
    }

    const fn submission(&self, to: Which, text: String, priority: Priority, foreground: bool) -> Submission {
        let (origin, takes_line) = (self.origin, self.has_line);
        Submission { to, text, priority, origin, foreground, takes_line, echo: false }
    }

    async fn queue_up(&self, submission: Submission) -> Result<Done, Failure> {
        check_message(&submission.text)?;
        let wait = submission.foreground;
        let queued = self.handle.submit(submission).await?;
        Ok(Done::Queued { queued, wait })
    }

    async fn carry_out(&self, command: Command) -> Result<Done, Failure> {
        match command {
            Command::New { name } => self.new_session(name).await,
            Command::Switch { to } => self.switch(to).await,
            Command::Sessions => self.sessions().await.map(Done::Answered),
            Command::Rename { name } => self.quietly(self.handle.rename(None, name)).await,
            Command::Close { session } => self.leaving(self.handle.close(session)).await,
            Command::Delete { session } => self.leaving(self.handle.delete(session)).await,
            Command::Send { to, text } => self.submit(targets(to), text, Priority::Normal, false).await,
            Command::Bg { text } => self.submit(Which::Active, text, Priority::Normal, false).await,
            Command::Now { text } => self.submit(Which::Active, text, Priority::High, true).await,
            Command::Later { text } => self.submit(Which::Active, text, Priority::Low, false).await,
            Command::Cancel { session } => self.cancel(session.into()).await,
            Command::Stop { scope } => self.stop(which(scope)).await,
            Command::Queue { scope } => self.queue(scope).await.map(Done::Answered),
            Command::Drop { entries } => self.drop_entries(entries).await,
            Command::Move { entry, place, beside } => self.move_entry(entry, place, beside).await,
            Command::Priority { entry, priority } => self.set_priority(entry, priority).await,
            Command::Hold { what: Subject::Sessions(scope) } => self.hold(which(scope), true).await,
            Command::Hold { what: Subject::Entries(entries) } => self.hold_entries(entries, true).await,
            Command::Resume { what: Subject::Sessions(scope) } => self.hold(which(scope), false).await,
            Command::Resume { what: Subject::Entries(entries) } => self.hold_entries(entries, false).await,
            Command::Dead { scope } => self.dead(scope).await.map(Done::Answered),
            Command::Requeue { which } => self.requeue(which).await,
            Command::Continue => self.continue_turn().await,
            Command::Retry => self.retry().await,
            Command::Undo => self.undo().await,
            Command::Edit => self.edit().await,
            Command::Auto { change } => self.auto(change).await,
            Command::Stats { scope } => self.stats(scope).await.map(Done::Answered),
            Command::History { count } => self.history(count.unwrap_or(HISTORY_MESSAGES)).await.map(Done::Answered),
            Command::Replay => self.replay().await.map(Done::Answered),
            Command::Model { name } => self.model(name).await,
            Command::System { change } => self.system(change).await,
            Command::Set { change } => self.set(change).await,
            Command::Attach { change } => self.attach(change).await,
            Command::Wait { scope, timeout } => {
                Ok(Done::Wait { which: scope.map_or(Which::All, |scope| which(Some(scope))), timeout })
            }
            Command::Sleep { length } => Ok(Done::Sleep(length)),
            Command::Echo { text } => Ok(Done::Answered(answers::echo(text))),
            Command::Help { command } => answers::help(command, (self.width)()).map(Done::Answered),
            Command::Quit => Ok(Done::Quit),
            Command::Detach => Ok(Done::Detach),
        }
    }

    async fn quietly<T>(&self, asked: impl Future<Output = Result<T, coordinator::Error>>) -> Result<Done, Failure> {
        asked.await?;
        Ok(Done::Quietly)
    }

    /// What may take the prompt elsewhere.
    async fn leaving<T>(&self, asked: impl Future<Output = Result<T, coordinator::Error>>) -> Result<Done, Failure> {
        let before = self.handle.find(None).await?.id;
        asked.await?;
        let now = self.handle.find(None).await?;
        Ok(if now.id == before { Done::Quietly } else { Done::Switched(Box::new(now)) })
    }

    async fn new_session(&self, name: Option<SessionName>) -> Result<Done, Failure> {
        let session = self.handle.create(name, self.empty_line()).await?;
        Ok(Done::Switched(Box::new(session)))
    }

    async fn switch(&self, to: command::SwitchTo) -> Result<Done, Failure> {
        let to = match to {
            command::SwitchTo::Previous => SwitchTo::Previous,
            command::SwitchTo::Session(session) => SwitchTo::Session(session),
        };
        let session = self.handle.switch(to, self.empty_line()).await?;
        Ok(Done::Switched(Box::new(session)))
    }

    /// What a command leaves behind in a person's line. Where there is none, drafts are left alone.
    fn empty_line(&self) -> Option<String> {
        self.has_line.then(String::new)
    }

    async fn cancel(&self, which: Which) -> Result<Done, Failure> {
        let nothing = nothing_runs(&which);
        let endings = self.handle.cancel(which).await?;
        let said = endings.is_empty().then(|| nothing.to_owned());
        Ok(Done::Ending { endings, said })
    }

    async fn stop(&self, which: Which) -> Result<Done, Failure> {
        let nothing = nothing_runs(&which);
        let Held { changed, endings, loops } = self.handle.stop(which).await?;
        let said = match (endings.is_empty(), said_of_held(&changed), loops.as_slice()) {
            (_, held, [_, ..]) => {
                Some(std::iter::once(auto_view::ended(&loops)).chain(held).collect::<Vec<_>>().join("; "))
            }
            (_, Some(held), []) => Some(held),
            (true, None, []) => Some(nothing.to_owned()),
            (false, None, []) => None,
        };
        Ok(Done::Ending { endings, said })
    }

    async fn hold(&self, which: Which, held: bool) -> Result<Done, Failure> {
        let nothing = match (held, &which) {
            (true, _) => "held already",
            (false, Which::All) => {
                "nothing is held in open sessions; what waits in a closed one stays so until /switch opens it"
            }
            (false, Which::Active) => "nothing is held here",
            (false, Which::These(_)) => "nothing is held there",
        };
        let Held { changed, loops, .. } = self.handle.hold(which, held).await?;
        Ok(match changed.as_slice() {
            [] if loops.is_empty() => Done::Said(nothing.to_owned()),
            [] => Done::Said(auto_view::goes_on(&loops)),
            held_now if held => said_of_held(held_now).map_or(Done::Quietly, Done::Said),
            _ => Done::Quietly,
        })
    }

    async fn model(&self, name: Option<ModelName>) -> Result<Done, Failure> {
        let Some(name) = name else { return self.show_model().await.map(Done::Answered) };
        let model = (self.resolve)(name).map_err(Failure::of)?;
        self.quietly(self.handle.set_model(model)).await
    }

    async fn system(&self, change: SystemChange) -> Result<Done, Failure> {
        match change {
            SystemChange::Show => {
                let session = self.handle.find(None).await?;
                Ok(Done::Answered(answers::system(&session)))
            }
            SystemChange::Clear => self.quietly(self.handle.set_system(String::new())).await,
            SystemChange::Set(text) => {
                check_message(&text)?;
                self.quietly(self.handle.set_system(text)).await
            }
        }
    }
}

const fn nothing_runs(which: &Which) -> &'static str {
    match which {
        Which::Active => "nothing is being answered here",
        Which::These(_) | Which::All => "nothing is being answered there",
    }
}

fn said_of_held(held: &[SessionId]) -> Option<String> {
    match held {
        [] => None,
        [one] => Some(format!("the queue of session {one} is held: /resume {one} goes on")),
        many => Some(format!("the queues of {} sessions are held: /resume all goes on", many.len())),
    }
}

fn targets(targets: Targets) -> Which {
    match targets {
        Targets::All => Which::All,
        Targets::Some(sessions) => Which::These(sessions),
    }
}

fn which(scope: Option<Scope>) -> Which {
    match scope {
        None => Which::Active,
        Some(Scope::All) => Which::All,
        Some(Scope::One(session)) => Which::These(vec![session]),
    }
}

/// What no provider takes is refused before it is queued.
fn check_message(text: &str) -> Result<(), Failure> {
    if text.len() > MAX_MESSAGE_BYTES {
        let mib = text.len() as f64 / f64::from(1 << 20);
        return Err(Failure::of(format!(
            "a message of {mib:.1} MiB is too long: the limit is {} MiB, so send it in parts",
            MAX_MESSAGE_BYTES >> 20
        )));
    }
    match text.bytes().position(|byte| byte == 0) {
        Some(at) => Err(Failure::of(format!("byte {} of the message is NUL: take it out", at + 1))),
        None => Ok(()),
    }
}
