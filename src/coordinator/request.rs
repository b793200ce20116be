//! What the layers above ask of the coordinator, and the handle they ask it with. One variant a question, each with its way
//! back; the answer comes once what was asked is committed.

use serde::Serialize;
use tokio::sync::{mpsc, oneshot};

use super::front::ScriptItem;
use super::settings::Setting;
use super::wishes::Wish;
use crate::domain::{
    Activity, AutoReply, EndState, EntryId, ModelName, Origin, Priority, Problem, PromptState, Session, SessionId,
    SessionName, SessionRef, Show,
};
use crate::queue::Refusal;
use crate::queue::auto_reply::Brake;
use crate::store::StoreError;

/// Questions that may wait for the coordinator; at the bound who asks waits.
pub const REQUESTS: usize = 64;

/// The way back.
pub(super) type Reply<T> = oneshot::Sender<Result<T, Error>>;

/// Answers; who asked may have gone.
pub(super) fn answer<T>(reply: Reply<T>, with: Result<T, Error>) {
    let _ = reply.send(with);
}

/// Why something could not be done. Nothing was changed, and nothing was lost.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// There is no such session.
    #[error("there is no session {0}: /sessions lists them")]
    UnknownSession(SessionRef),
    /// There is no session that was active before.
    #[error("there is no previous session yet")]
    NoPrevious,
    /// Another session has that name.
    #[error("session {id} has the name {name} already: choose another")]
    NameTaken {
        /// The name.
        name: SessionName,
        /// Whose it is.
        id: SessionId,
    },
    /// There is no such entry that waits.
    #[error("no message #{0} waits: /queue all lists what does")]
    UnknownEntry(EntryId),
    /// It waits no more.
    #[error("#{0} is being answered already: /cancel ends it")]
    Running(EntryId),
    /// Its turn is under way, or that of an auto-reply to its answer: it cannot be taken back or changed.
    #[error("#{entry} is being answered: {ends} ends it first")]
    Under {
        /// What is being answered.
        entry: EntryId,
        /// The command that ends it, and an auto-reply loop with it where one lives.
        ends: &'static str,
    },
    /// It is no dead letter.
    #[error("#{0} is not dead: /dead lists what is")]
    NotDead(EntryId),
    /// It waits until a person resumes it.
    #[error("#{0} is held: /resume {1} goes on with it")]
    Held(EntryId, SessionId),
    /// They are in queues of their own.
    #[error("#{0} and #{1} are in different sessions: a message is moved within its own")]
    Apart(EntryId, EntryId),
    /// What was begun before stands first whatever its position.
    #[error("#{0} goes on from its partial answer, before all others of its priority")]
    GoesOn(EntryId),
    /// An auto-reply that is served before all that is normal.
    #[error(
        "#{0} is an auto-reply, which goes before what is normal (auto_reply.queue_position): nothing else is moved beside it"
    )]
    GoesBefore(EntryId),
    /// The session is archived.
    #[error("session {0} is closed: /switch {0} opens it again")]
    Closed(SessionId),
    /// A session that runs a turn is not deleted.
    #[error("session {0} is answering: /cancel {0} first")]
    Answering(SessionId),
    /// There would be none left to go to.
    #[error("session {0} is the last one: /new makes another first")]
    LastSession(SessionId),
    /// The loop would end before it begins.
    #[error("there is nothing to reply to automatically: {0}")]
    Braked(Brake),
    /// The queue did not take it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The store failed.
    #[error("{0}")]
    Store(String),
    /// The coordinator has ended.
    #[error("chatmux is ending")]
    Ending,
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Self::Store(error.to_string())
    }
}

/// Sessions as a person names them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// The active one.
    Active,
    /// Each of these.
    These(Vec<SessionRef>),
    /// Every one that is not archived.
    All,
}

impl From<Option<SessionRef>> for Which {
    fn from(session: Option<SessionRef>) -> Self {
        session.map_or(Self::Active, |session| Self::These(vec![session]))
    }
}

/// Where to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SwitchTo {
    /// To this one.
    Session(SessionRef),
    /// To the one that was active before.
    Previous,
    /// To the one that most wants attention; ties go to the lowest number.
    Attention,
    /// To the next by number, round at the end.
    Next,
    /// To the one before by number, round at the beginning.
    Back,
}

/// A message to be queued.
#[derive(Debug, Clone)]
pub struct Submission {
    /// Where to.
    pub to: Which,
    /// The message, verbatim.
    pub text: String,
    /// How urgent.
    pub priority: Priority,
    /// Who made it.
    pub origin: Origin,
    /// The caller waits for the answer and wants to see it as it comes.
    pub foreground: bool,
    /// It was the active session's line: nothing of it is left as a draft.
    pub takes_line: bool,
    /// It was typed as it is, and nothing has shown it yet: where it waits, it is echoed with its acknowledgement.
    pub echo: bool,
}

/// A message that is committed.
#[derive(Debug)]
pub struct Queued {
    /// Where.
    pub session: SessionId,
    /// Its number.
    pub entry: EntryId,
    /// Turns before it in its session, the running one included.
    pub ahead: usize,
    /// Resolves when its turn has ended and that is committed; for one in the foreground also when it is held.
    pub done: oneshot::Receiver<EntryEnd>,
}

/// What became of an entry that was waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryEnd {
    /// Its turn ended, and with it something may be wrong.
    Ended(EndState, Option<Problem>),
    /// Its session is held: nothing will happen until somebody resumes it.
    Held,
}

/// What a session's turn is doing, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionState {
    /// Nothing runs, nothing waits.
    Idle,
    /// A turn runs.
    Streaming,
    /// Something waits for a slot or for its next attempt.
    Waiting,
    /// Its queue is held.
    Held,
}

/// A session as lists show it.
#[derive(Debug, Clone)]
pub struct SessionView {
    /// The row.
    pub session: Session,
    /// The prompt belongs to it.
    pub active: bool,
    /// What it does.
    pub state: SessionState,
    /// Another process does it.
    pub elsewhere: bool,
    /// Entries that wait.
    pub pending: usize,
    /// Its queue is held.
    pub held: bool,
    /// Why it wants attention.
    pub activity: Option<Activity>,
}

/// Resolves when a turn that was told to end has ended and that is committed.
pub type Ending = oneshot::Receiver<()>;

/// What a wish to hold, or to go on, came to.
#[derive(Debug, Default)]
pub struct Held {
    /// Sessions that changed.
    pub changed: Vec<SessionId>,
    /// Turns that were told to end.
    pub endings: Vec<Ending>,
    /// Auto-reply loops that ended with that, or go on.
    pub loops: Vec<AutoReply>,
}

/// What an end of waiting found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Quiet {
    /// Sessions in which entries wait that are held.
    pub held: Vec<SessionId>,
}

#[derive(Debug)]
pub(super) enum Request {
    Submit(Submission, Reply<Vec<Queued>>),
    Create { name: Option<SessionName>, draft: Option<String>, reply: Reply<Session> },
    Switch { to: SwitchTo, draft: Option<String>, reply: Reply<Session> },
    Rename { which: Option<SessionRef>, name: SessionName, reply: Reply<Session> },
    Close { which: Option<SessionRef>, reply: Reply<Session> },
    Delete { which: SessionRef, reply: Reply<Session> },
    SetModel { model: ModelName, reply: Reply<Session> },
    SetSystem { text: String, reply: Reply<Session> },
    Cancel { which: Which, reply: Reply<Vec<Ending>> },
    Hold { which: Which, held: bool, cancel: bool, reply: Reply<Held> },
    Drop { entries: Vec<EntryId>, reply: Reply<()> },
    Find { which: Option<SessionRef>, reply: Reply<Session> },
    Views { reply: Reply<Vec<SessionView>> },
    Wait { which: Which, reply: Reply<Quiet> },
    Wish(Wish),
    Set(Setting),
    Show(Show),
    KeepDraft(String),
    Script(Box<ScriptItem>, oneshot::Sender<()>),
    Prompt { reply: Reply<PromptState> },
    LeaveTerminal { draft: Option<String>, reply: Reply<()> },
    Quit { draft: Option<String>, hand_over: bool, reply: Reply<()> },
}

/// The way to the coordinator. Cheap to clone; when the last one is gone, the coordinator ends.
#[derive(Debug, Clone)]
pub struct Handle {
    pub(super) requests: mpsc::Sender<Request>,
}

impl Handle {
    pub(super) async fn ask<T>(&self, request: impl FnOnce(Reply<T>) -> Request) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(request(reply)).await.map_err(|_| Error::Ending)?;
        answer.await.map_err(|_| Error::Ending)?
    }

    /// Queues a message; answers when it is committed, with one [`Queued`] a session.
    ///
    /// # Errors
    /// A full queue, an unknown session, the store. With several sessions nothing is queued anywhere unless all take it.
    pub async fn submit(&self, submission: Submission) -> Result<Vec<Queued>, Error> {
        self.ask(|reply| Request::Submit(submission, reply)).await
    }

    /// Makes a session and goes there. `draft` is what was left in the line of the one that is left.
    ///
    /// # Errors
    /// The name is taken; the store.
    pub async fn create(&self, name: Option<SessionName>, draft: Option<String>) -> Result<Session, Error> {
        self.ask(|reply| Request::Create { name, draft, reply }).await
    }

    /// Goes to a session; an archived one is opened again. `draft` is what was left in the line of the one that is left.
    ///
    /// # Errors
    /// There is no such session; the store.
    pub async fn switch(&self, to: SwitchTo, draft: Option<String>) -> Result<Session, Error> {
        self.ask(|reply| Request::Switch { to, draft, reply }).await
    }

    /// Renames a session, the active one by default.
    ///
    /// # Errors
    /// The name is taken; the store.
    pub async fn rename(&self, which: Option<SessionRef>, name: SessionName) -> Result<Session, Error> {
        self.ask(|reply| Request::Rename { which, name, reply }).await
    }

    /// Archives a session, the active one by default; its turn is cancelled, its auto-reply loop ends, what waits there is held.
    ///
    /// # Errors
    /// There is no such session; the store.
    pub async fn close(&self, which: Option<SessionRef>) -> Result<Session, Error> {
        self.ask(|reply| Request::Close { which, reply }).await
    }

    /// Deletes a session and all that is in it.
    ///
    /// # Errors
    /// There is no such session, or it is answering; the store.
    pub async fn delete(&self, which: SessionRef) -> Result<Session, Error> {
        self.ask(|reply| Request::Delete { which, reply }).await
    }

    /// Sets the active session's model, from its next turn on.
    ///
    /// # Errors
    /// The store.
    pub async fn set_model(&self, model: ModelName) -> Result<Session, Error> {
        self.ask(|reply| Request::SetModel { model, reply }).await
    }

    /// Sets the active session's system prompt, from its next turn on.
    ///
    /// # Errors
    /// The store.
    pub async fn set_system(&self, text: String) -> Result<Session, Error> {
        self.ask(|reply| Request::SetSystem { text, reply }).await
    }

    /// Ends running turns, keeps their partials, goes on with the queues. Answers at once; each [`Ending`] resolves when
    /// its turn has ended.
    ///
    /// # Errors
    /// There is no such session.
    pub async fn cancel(&self, which: Which) -> Result<Vec<Ending>, Error> {
        self.ask(|reply| Request::Cancel { which, reply }).await
    }

    /// Ends running turns and holds what waits behind them. Where nothing waits nothing is held, and what is sent next is answered.
    ///
    /// # Errors
    /// There is no such session; the store.
    pub async fn stop(&self, which: Which) -> Result<Held, Error> {
        self.ask(|reply| Request::Hold { which, held: true, cancel: true, reply }).await
    }

    /// Holds queues (running turns go on) or lets them go on. Says which sessions changed.
    ///
    /// # Errors
    /// There is no such session; the store.
    pub async fn hold(&self, which: Which, held: bool) -> Result<Held, Error> {
        self.ask(|reply| Request::Hold { which, held, cancel: false, reply }).await
    }

    /// Takes messages that wait out of their queues.
    ///
    /// # Errors
    /// One of them does not wait: then none is dropped.
    pub async fn drop_entries(&self, entries: Vec<EntryId>) -> Result<(), Error> {
        self.ask(|reply| Request::Drop { entries, reply }).await
    }

    /// A session's row, the active one's by default.
    ///
    /// # Errors
    /// There is no such session.
    pub async fn find(&self, which: Option<SessionRef>) -> Result<Session, Error> {
        self.ask(|reply| Request::Find { which, reply }).await
    }

    /// All sessions that are not archived, by number.
    ///
    /// # Errors
    /// The coordinator has ended.
    pub async fn views(&self) -> Result<Vec<SessionView>, Error> {
        self.ask(|reply| Request::Views { reply }).await
    }

    /// Answers when nothing runs and nothing that is not held waits in these sessions. Of sessions in which another process answers,
    /// with [`Which::All`], only what was queued here is waited for.
    ///
    /// # Errors
    /// There is no such session.
    pub async fn wait(&self, which: Which) -> Result<Quiet, Error> {
        self.ask(|reply| Request::Wait { which, reply }).await
    }

    /// What the prompt shows.
    ///
    /// # Errors
    /// The coordinator has ended.
    pub async fn prompt(&self) -> Result<PromptState, Error> {
        self.ask(|reply| Request::Prompt { reply }).await
    }

    /// Shows something at the terminal, in its place among all else. Nothing where there is none.
    pub async fn show(&self, show: Show) {
        // When the coordinator has ended there is nobody to show it to.
        let _ = self.requests.send(Request::Show(show)).await;
    }

    /// Keeps what stands in the active session's line; a failure is said.
    pub async fn keep_draft(&self, draft: String) {
        // When the coordinator has ended, its last act was to keep a draft.
        let _ = self.requests.send(Request::KeepDraft(draft)).await;
    }

    /// Gives something to the script's writer, in its place among all else. Waits while too much waits for the writer.
    pub async fn script(&self, item: ScriptItem) {
        let (taken, answer) = oneshot::channel();
        // When the coordinator has ended there is nobody to write it.
        let _ = self.requests.send(Request::Script(Box::new(item), taken)).await;
        let _ = answer.await;
    }

    /// Gives the terminal a last frame, and nothing more: the work goes on without it. `draft` is kept. Answers when all of that is
    /// committed.
    ///
    /// # Errors
    /// The coordinator has ended.
    pub async fn leave_terminal(&self, draft: Option<String>) -> Result<(), Error> {
        self.ask(|reply| Request::LeaveTerminal { draft, reply }).await
    }

    /// Ends everything: running turns are interrupted and their partials kept, what waits stays, `draft` is kept, and all
    /// is committed when this answers.
    ///
    /// # Errors
    /// What could not be committed.
    pub async fn quit(&self, draft: Option<String>) -> Result<(), Error> {
        self.ask(|reply| Request::Quit { draft, hand_over: false, reply }).await
    }

    /// Ends everything, as [`Handle::quit`], for another process to go on with: running turns go back to their queues, to go on from
    /// their partials.
    ///
    /// # Errors
    /// What could not be committed.
    pub async fn hand_over(&self) -> Result<(), Error> {
        self.ask(|reply| Request::Quit { draft: None, hand_over: true, reply }).await
    }
}
