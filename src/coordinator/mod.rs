//! The coordinator: one task that owns the sessions, the queue, the replay buffers and what there is to show. All else talks to
//! it by messages, so there is no lock over any of this.
//!
//! ```text
//!  repl, script ──Request──► ┌─────────────┐ ──Write──► store (replies after the commit, in order)
//!               ◄──oneshot── │ coordinator │ ◄──Report── workers, one per running turn
//!  printer, writer ◄──load── └─────────────┘ ──cancel──► workers
//! ```
//!
//! - It never waits for a display, a worker or a commit: commits that are under way are futures in a queue, each with what
//!   follows it (`Coordinator::after`). The store answers in the order it was asked, so what follows runs in that order too.
//! - Who waits for whom, so that no cycle of waiting can be: workers wait for the coordinator (reports) and the store
//!   (checkpoints); requests wait for the coordinator; the coordinator waits for nobody.
//! - The queue decides ([`crate::queue`]); here its effects are carried out (`turns.rs`).

mod auto_replies;
mod elsewhere;
mod ends;
mod follow;
mod front;
mod gates;
mod mirror;
pub mod notices;
mod order;
mod outlook;
mod queueing;
mod request;
mod run;
mod sessions;
mod set_aside;
mod settings;
mod showing;
mod turns;
mod undoing;
mod wishes;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesOrdered, FuturesUnordered};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::domain::{
    Activity, AutoReply, Clock, EntryId, Event, MessageId, ModelName, ProcessId, Progress, ProviderError, ReplayBuffer,
    Seen, Session, SessionId, TimeOfDay, Timestamp,
};
use crate::provider::Provider;
use crate::queue::{self, Effect, Queue};
use crate::store::{Looked, Store, StoreError};
use crate::worker::{Ended, Report};

pub use auto_replies::AutoReplyDefaults;
pub use elsewhere::{Watch, gone};
pub use front::{Front, ScriptFront, ScriptItem, TerminalFront};
pub use request::{
    Ending, EntryEnd, Error, Handle, Held, Queued, Quiet, REQUESTS, SessionState, SessionView, Submission, SwitchTo,
    Which,
};
pub use settings::{Settings, UiDefaults};
pub use undoing::{LastMessage, Replaced, Undone};
pub use wishes::{AutoWish, Requeue, Retried};

/// How a provider is found by its name.
pub type ProviderLookup = Arc<dyn Fn(&str) -> Result<Arc<dyn Provider>, ProviderError> + Send + Sync>;

/// What the coordinator starts with.
pub struct Setup {
    /// The store.
    pub store: Store,
    /// The ways to the models.
    pub providers: ProviderLookup,
    /// An empty queue with its limits.
    pub queue: Queue,
    /// Every session of the database, archived ones included.
    pub sessions: Vec<Session>,
    /// Where each session's output ends; nothing: at its start.
    pub ends: Vec<(SessionId, Seen)>,
    /// What waits, in order.
    pub pending: Vec<crate::domain::Entry>,
    /// Where the prompt begins.
    pub active: SessionId,
    /// For sessions created from now on.
    pub model: ModelName,
    /// Bytes of each session's output to keep in memory.
    pub replay_bytes: usize,
    /// Auto-reply loops that live.
    pub auto_replies: Vec<AutoReply>,
    /// Those go on by themselves (`on_start = "resume"`); else when their session is resumed.
    pub resume_auto_replies: bool,
    /// Sessions that other processes have the lease of, as they are.
    pub elsewhere: Vec<Looked>,
    /// How other processes on the database are watched; `None`: there are none.
    pub watch: Option<Watch>,
    /// What an auto-reply loop is given that `/auto` does not say.
    pub auto_reply: AutoReplyDefaults,
    /// What sessions tell, and how the terminal shows things.
    pub ui: UiDefaults,
    /// Providers that asked for patience, and until when.
    pub gates: Vec<(ModelName, Timestamp)>,
    /// The display.
    pub front: Front,
    /// The time.
    pub clock: Clock,
    /// How people call it.
    pub time_of_day: TimeOfDay,
    /// Chance for the jitter, in `0.0..1.0`.
    pub roll: fn() -> f64,
}

impl fmt::Debug for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setup").field("active", &self.active).finish_non_exhaustive()
    }
}

/// Begins to coordinate, as a task of the current runtime.
pub fn spawn(setup: Setup) -> Handle {
    let (requests, receiver) = mpsc::channel(REQUESTS);
    tokio::spawn(Coordinator::new(setup).run(receiver));
    Handle { requests }
}

/// A session and what is known of it beyond its row.
struct Live {
    session: Session,
    replay: ReplayBuffer,
    turn: Option<RunningTurn>,
    /// Another process has its lease.
    elsewhere: Option<Elsewhere>,
    /// Another process has deleted it.
    is_gone: bool,
    /// Something ended that the person has not seen: `Finished` or `Failed`.
    unseen: Option<Activity>,
    /// Its auto-reply loop.
    auto: Option<AutoReply>,
    /// The position that the store has.
    saved_seen: Seen,
    /// Nothing of earlier was unseen when chatmux started: a script that shows all that comes has then shown all.
    follows: bool,
}

/// The turn that a session runs, from the commit of its start to the commit of its end.
struct RunningTurn {
    entry: EntryId,
    /// Which attempt of the entry it is, from 1.
    attempt: u32,
    answer: MessageId,
    cancel: CancellationToken,
    /// Its end holds the session, because the server asks for more patience than is allowed.
    held_by_server: bool,
    /// Something of this attempt has come.
    accepted: bool,
    /// What a person who waits for it is shown, but for what `alive` changes of it.
    progress: Progress,
    /// It is silent, and its server lives.
    alive: bool,
    /// What the worker brought, once it ended.
    ended: Option<Ended>,
}

/// What another process does in a session, as far as it is known here.
#[derive(Clone, Copy)]
struct Elsewhere {
    process: ProcessId,
    /// The entry whose turn is under way, and what a person who waits for it is shown.
    running: Option<(EntryId, Progress)>,
    /// The store was asked for its output, and has not answered yet.
    asked: bool,
    /// How far the answer was read; `None`: to be read anew from the end of the replay buffer.
    reading: Option<follow::Reading>,
}

/// What is known of an entry from its acknowledgement to its end.
struct Tracked {
    session: SessionId,
    /// It was acknowledged here: events tell of it, also when another process runs it.
    ours: bool,
    foreground: bool,
    since: Timestamp,
    first_start: Option<Timestamp>,
    /// It was said that another chatmux answers in its session.
    told_to_wait: bool,
    /// Its answer's row, once a turn of it has begun here.
    answer: Option<MessageId>,
    done: Option<oneshot::Sender<EntryEnd>>,
    /// Who wants to know when its turn has ended: bounded by the requests that can wait.
    endings: Vec<oneshot::Sender<()>>,
}

/// Somebody who waits until these sessions are quiet.
struct Waiter {
    sessions: BTreeSet<SessionId>,
    /// What others have queued for another process is not waited for.
    ours: bool,
    /// One of these that was busy when last looked: while it is, the others need no look, however often the loop wakes up.
    busy: Option<SessionId>,
    reply: request::Reply<Quiet>,
}

/// What follows a commit.
type Then = Box<dyn FnOnce(&mut Coordinator) + Send>;

struct Coordinator {
    store: Store,
    providers: ProviderLookup,
    queue: Queue,
    sessions: BTreeMap<SessionId, Live>,
    active: SessionId,
    previous: Option<SessionId>,
    model: ModelName,
    replay_bytes: usize,
    front: Front,
    clock: Clock,
    time_of_day: TimeOfDay,
    auto_reply: AutoReplyDefaults,
    ui: UiDefaults,
    /// When the last loop was begun.
    last_loop: Timestamp,
    /// The gates that are closed, and until when; some may be due.
    gates: BTreeMap<ModelName, Timestamp>,
    roll: fn() -> f64,
    entries: BTreeMap<EntryId, Tracked>,
    waiters: Vec<Waiter>,
    /// Commits under way, in the order they were asked for, each with what follows it.
    commits: FuturesOrdered<BoxFuture<'static, Then>>,
    /// Reads and delays under way.
    later: FuturesUnordered<BoxFuture<'static, Then>>,
    workers: JoinSet<()>,
    worker_sessions: BTreeMap<tokio::task::Id, (SessionId, EntryId)>,
    reports: mpsc::Sender<Report>,
    report_receiver: Option<mpsc::Receiver<Report>>,
    /// Other processes.
    watching: Option<elsewhere::Watching>,
    /// Sessions that are being looked at, how often: nothing starts there meanwhile, for perhaps something else comes first.
    looks: BTreeMap<SessionId, u32>,
    /// Commits asked for so far.
    asked: u64,
    /// Who waits for the terminal's last frame.
    leaving: Option<request::Reply<()>>,
    /// Who waits for the end of everything.
    quitting: Option<request::Reply<()>>,
    quit_begun: bool,
    /// The last thing that the store refused, so that it is said once and not at every attempt.
    trouble: Option<String>,
}

impl Coordinator {
    fn new(setup: Setup) -> Self {
        let (reports, report_receiver) = mpsc::channel(crate::worker::REPORTS);
        let ends: BTreeMap<_, _> = setup.ends.into_iter().collect();
        let watching = setup.watch.map(|watch| elsewhere::Watching::new(watch, &setup.store));
        let mut coordinator = Self {
            store: setup.store,
            providers: setup.providers,
            queue: setup.queue,
            sessions: BTreeMap::new(),
            active: setup.active,
            previous: None,
            model: setup.model,
            replay_bytes: setup.replay_bytes,
            front: setup.front,
            clock: setup.clock,
            time_of_day: setup.time_of_day,
            auto_reply: setup.auto_reply,
            ui: setup.ui,
            last_loop: setup.auto_replies.iter().map(|auto| auto.started_at).max().unwrap_or(Timestamp(0)),
            gates: setup.gates.iter().cloned().collect(),
            roll: setup.roll,
            entries: BTreeMap::new(),
            waiters: Vec::new(),
            commits: FuturesOrdered::new(),
            later: FuturesUnordered::new(),
            workers: JoinSet::new(),
            worker_sessions: BTreeMap::new(),
            reports,
            report_receiver: Some(report_receiver),
            watching,
            looks: BTreeMap::new(),
            asked: 0,
            leaving: None,
            quitting: None,
            quit_begun: false,
            trouble: None,
        };
        for session in setup.sessions {
            let end = ends.get(&session.id).copied().unwrap_or(Seen::START);
            coordinator.admit(session, end);
        }
        for (model, until) in setup.gates {
            coordinator.tell(queue::Event::Gate { model, until });
        }
        coordinator.tell(queue::Event::Activated(setup.active));
        coordinator.track_all(setup.pending);
        coordinator.find_loops(setup.auto_replies, setup.resume_auto_replies);
        setup.elsewhere.into_iter().for_each(|looked| coordinator.find_elsewhere(looked));
        coordinator.enter(setup.active, true);
        coordinator.hear_of_losses(coordinator.store.clone());
        coordinator
    }

    /// Takes a session in whose output so far ends at `end`.
    fn admit(&mut self, session: Session, end: Seen) {
        let (id, model, held) = (session.id, session.model.clone(), session.held);
        let unseen = (end.message >= session.seen.message && end != session.seen).then_some(Activity::Finished);
        let live = Live {
            saved_seen: session.seen,
            follows: unseen.is_none(),
            session,
            replay: ReplayBuffer::new(self.replay_bytes, end),
            turn: None,
            elsewhere: None,
            is_gone: false,
            auto: None,
            unseen,
        };
        self.sessions.insert(id, live);
        self.tell(queue::Event::SessionAdded { session: id, model, held });
    }

    /// Tells the queue and carries out what it wants.
    fn tell(&mut self, event: queue::Event) {
        let mut effects = Vec::new();
        self.queue.handle(event, self.clock.now(), &mut effects);
        // Who asks for too much has the sessions held, and each says so; nothing goes on by itself then.
        let holds = effects.iter().any(|effect| matches!(effect, Effect::HoldSession { .. }));
        for effect in effects {
            match effect {
                Effect::Start { session, entry, .. } => self.start_turn(session, entry),
                Effect::Interrupt { session, entry } => self.interrupt_turn(session, entry),
                Effect::Settle { session, entry, end } => self.settle_turn(session, entry, end),
                Effect::Discard { session, entry } => self.discard(session, entry),
                Effect::Gate { model, until } => self.gate(model, until, !holds),
                Effect::HoldSession { session, until } => self.hold_until(session, until),
                // Without its files nothing was committed.
                Effect::Idle(_) if self.store.is_lost().is_some() => {}
                Effect::Idle(session) => self.emit(Event::Idle { session }, None),
            }
        }
    }

    /// A session as notices begin with it: `[2 docs]`.
    fn named(&self, session: SessionId) -> String {
        match self.sessions.get(&session) {
            Some(live) => format!("[{session} {}]", live.session.name),
            None => format!("[{session}]"),
        }
    }

    /// Runs `then` with the answer of the store when the commit is through, after all that was asked before.
    fn after<R: Send + 'static>(
        &mut self,
        commit: impl Future<Output = Result<R, StoreError>> + Send + 'static,
        then: impl FnOnce(&mut Self, Result<R, StoreError>) + Send + 'static,
    ) {
        self.asked += 1;
        self.commits.push_back(Box::pin(async move {
            let result = commit.await;
            Box::new(move |coordinator: &mut Self| then(coordinator, result)) as Then
        }));
    }

    /// Runs `then` with what `wait` gives, whenever that is.
    fn later<R: Send + 'static>(
        &mut self,
        wait: impl Future<Output = R> + Send + 'static,
        then: impl FnOnce(&mut Self, R) + Send + 'static,
    ) {
        self.later.push(Box::pin(async move {
            let result = wait.await;
            Box::new(move |coordinator: &mut Self| then(coordinator, result)) as Then
        }));
    }
}
