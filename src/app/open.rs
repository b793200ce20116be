//! The database opened, and the coordinator's start from what is in it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::runtime::{Builder, Runtime};

use super::exit::Failed;
use super::report::name_of;
use super::time_of_day::TIME_OF_DAY;
use crate::cli::args::Args;
use crate::config::{Config, Lease, MidStream, OnStart, Places, Preempt, QueuePosition};
use crate::coordinator::{self, AutoReplyDefaults, Front, Handle, ScriptItem, Setup, UiDefaults, Watch, notices};
use crate::domain::limits::REPLAY_BUFFER_BYTES;
use crate::domain::{
    AutoReply, Clock, Entry, EntryState, Event, LetGo, Look, ModelName, Origin, Seen, Session, SessionId, SessionRef,
    Timestamp,
};
use crate::execute::Executor;
use crate::provider::{Providers, Recorder};
use crate::queue::{Limits, Queue, RetryPolicy, Settings};
use crate::store::{
    ActiveSession, Adopt, AutoReplies, BeforeRunning, CreateSession, Gates, LastChange, LeasedElsewhere, LookAt,
    Looked, Opening, PendingEntries, QueueListing, Released, ReopenSession, SessionEnds, Sessions, SetActive, Store,
    StoreError, rescued,
};

/// What a database is opened for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To be in its sessions: where one is is kept.
    Sessions,
    /// `chatmux ask`: leaves no trace in where the prompt begins next time, nor in what is archived.
    Visit,
    /// `chatmux work`: what waits is to be run, also what the last exit left. Leaves no other trace.
    Work,
    /// The same of these sessions alone, which a process that left has handed over.
    Left(Vec<SessionId>),
}

/// The system's clock.
pub(super) const CLOCK: Clock = Clock(|| {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
});

/// A database and what it holds that a start needs.
pub(super) struct Opened {
    pub(super) store: Store,
    pub(super) opening: Opening,
    pub(super) sessions: Vec<Session>,
    pub(super) ends: Vec<(SessionId, crate::domain::Seen)>,
    pub(super) pending: Vec<Entry>,
    /// Sessions that other processes have the lease of.
    pub(super) elsewhere: Vec<Looked>,
    pub(super) watch: Watch,
    pub(super) auto_replies: Vec<AutoReply>,
    /// They go on by themselves.
    pub(super) resumes: bool,
    /// What is to be said of what was let go of what the last exit left.
    pub(super) released: Vec<String>,
    pub(super) gates: Vec<(ModelName, Timestamp)>,
    pub(super) active: Session,
    /// A session was made because there was none, or none of that name.
    pub(super) first: bool,
    /// Copies that were saved when the database's files were gone.
    pub(super) rescued: Vec<PathBuf>,
}

pub(super) fn database_path(args: &Args, places: &Places) -> Result<PathBuf, Failed> {
    Ok(args.db.clone().map_or_else(|| places.database(), Ok)?)
}

/// Opens the database and finds the session to begin with: the one that `--session` names (a name not known yet is created),
/// else the one that was active last, else a first one.
pub(super) fn open(args: &Args, config: &Config, places: &Places, purpose: Purpose) -> Result<Opened, Failed> {
    let now = CLOCK.now();
    let (store, opening) = open_store(args, places, now)?;
    let (set_aside, only) = lets_go(config, &purpose);
    let released = match set_aside {
        LetGo::Nothing => Released::default(),
        LetGo::NeverSent | LetGo::All { .. } => store.write_blocking(Adopt { set_aside, only, now })?,
    };
    let resumes = config.on_start == OnStart::Resume || purpose == Purpose::Work;
    // What is changed from here on is looked at anew.
    let since = store.read_blocking(LastChange)?;
    let mut sessions = store.read_blocking(Sessions { closed: true })?;
    let known = sessions.len();
    let named = |id: SessionId| format!("[{}]", name_of(&sessions, id));
    let released = notices::released(&released, config.retry.max_attempts, named);
    let mut active = choose(args, config, &store, &mut sessions, &purpose)?;
    let ends: Vec<_> = store.read_blocking(SessionEnds)?.into_iter().map(|end| (end.session, end.end)).collect();
    // What another process runs is read from what it has written, once it is known that it does.
    let elsewhere = store.read_blocking(LeasedElsewhere(opening.process))?;
    let is_ours = |session: SessionId| !elsewhere.contains(&session);
    if let Some(before) = store.read_blocking(BeforeRunning(active.id))?.filter(|before| active.seen.message > *before)
    {
        // An answer that goes on is shown from its question on, whoever saw the beginning of it.
        active.seen = Seen::whole(before);
        sessions.iter_mut().filter(|session| session.id == active.id).for_each(|session| session.seen = active.seen);
    }
    let mut pending = store.read_blocking(PendingEntries)?;
    pending.retain(|entry| is_ours(entry.session));
    let mut auto_replies = store.read_blocking(AutoReplies)?;
    auto_replies.retain(|auto| is_ours(auto.session));
    let gates = store.read_blocking(Gates)?;
    let first = known < sessions.len();
    let rescued = rescued(store.path(), refuge(places).as_deref());
    let mut watch = watch(config, &opening, since);
    watch.takes_along = purpose != Purpose::Visit;
    let mut looked = Vec::new();
    for session in elsewhere {
        let seen = ends.iter().find(|(id, _)| *id == session).map_or(Seen::START, |(_, end)| *end);
        looked.extend(store.write_blocking(LookAt { session, known: Vec::new(), seen, max_bytes: 0 })?);
    }
    let elsewhere = looked;
    Ok(Opened {
        store,
        opening,
        sessions,
        ends,
        pending,
        elsewhere,
        watch,
        auto_replies,
        resumes,
        released,
        gates,
        active,
        first,
        rescued,
    })
}

/// The session to begin with: see [`open`].
fn choose(
    args: &Args,
    config: &Config,
    store: &Store,
    sessions: &mut Vec<Session>,
    purpose: &Purpose,
) -> Result<Session, Failed> {
    let (now, visit) = (CLOCK.now(), *purpose != Purpose::Sessions);
    let create = |name| CreateSession { name, model: config.model.clone(), system: String::new(), now };
    let wanted = match &args.session {
        None => store.read_blocking(ActiveSession)?,
        Some(SessionRef::Id(id)) => {
            let found = sessions.iter().find(|session| session.id == *id).cloned();
            Some(found.ok_or_else(|| Failed::Usage(format!("there is no session {id}: chatmux sessions lists them")))?)
        }
        Some(SessionRef::Name(name)) => match sessions.iter().find(|session| session.name == *name).cloned() {
            Some(session) => Some(session),
            None => Some(created(store, sessions, create(Some(name.clone())))?),
        },
    };
    let mut active = match wanted.or_else(|| sessions.iter().find(|session| session.closed_at.is_none()).cloned()) {
        Some(session) => session,
        None => created(store, sessions, create(None))?,
    };
    if active.closed_at.take().is_some() {
        if !visit {
            store.write_blocking(ReopenSession { session: active.id })?;
        }
        // What waited when it was archived is held. Where nothing waits, there is nothing that could start unasked.
        let entries = store.read_blocking(QueueListing { session: Some(active.id) })?;
        active.held &= entries.iter().any(|entry| entry.state == EntryState::Pending);
        let (id, held) = (active.id, active.held);
        sessions.iter_mut().filter(|session| session.id == id).for_each(|session| session.held = held);
        sessions.iter_mut().filter(|session| session.id == active.id).for_each(|session| session.closed_at = None);
    }
    if !visit {
        store.write_blocking(SetActive { session: active.id })?;
    }
    Ok(active)
}

/// How other processes are watched from here.
pub(super) fn watch(config: &Config, opening: &Opening, since: i64) -> Watch {
    let Lease { heartbeat, quiet_period, max_wait, check_interval } = config.lease;
    let (process, set_aside) = (opening.process, on_start(config));
    let (takes_along, adopts) = (false, false);
    Watch { process, since, heartbeat, quiet_period, max_wait, check_interval, set_aside, takes_along, adopts }
}

/// What goes on by itself of what a process left, by the configuration alone.
fn on_start(config: &Config) -> LetGo {
    match config.on_start {
        OnStart::Resume => LetGo::All { max_attempts: config.retry.max_attempts },
        OnStart::Ask | OnStart::Hold => LetGo::Nothing,
    }
}

/// What a start lets go of what the last exit left, and not what the person had held; in which sessions, if not in all.
fn lets_go(config: &Config, purpose: &Purpose) -> (LetGo, Option<Vec<SessionId>>) {
    let to_work = match on_start(config) {
        LetGo::Nothing => LetGo::NeverSent,
        wished => wished,
    };
    match purpose {
        Purpose::Sessions => (on_start(config), None),
        // What waits elsewhere is no business of this question's.
        Purpose::Visit => (LetGo::Nothing, None),
        Purpose::Work => (to_work, None),
        Purpose::Left(sessions) => (to_work, Some(sessions.clone())),
    }
}

/// Opens the database.
pub(super) fn open_store(args: &Args, places: &Places, now: Timestamp) -> Result<(Store, Opening), Failed> {
    let (store, opening) = Store::open(&database_path(args, places)?, now)?;
    if let Some(folder) = refuge(places) {
        store.save_into(folder);
    }
    Ok((store, opening))
}

/// Where the database is saved when its folder is removed: beside the log.
fn refuge(places: &Places) -> Option<PathBuf> {
    Some(places.log()?.parent()?.to_owned())
}

/// Closes the database. All is committed.
///
/// # Errors
/// Its files were removed or replaced while it was open.
pub(super) fn close(store: Store) -> Result<(), Failed> {
    let closed = store.clone();
    store.close();
    closed.is_lost().map_or(Ok(()), |error| Err(error.into()))
}

/// Tells a program that reads along that the database's files are gone. A person reads it when the program ends.
pub(super) async fn say_lost(handle: &Handle, json: bool, error: &StoreError) {
    if json {
        handle.script(ScriptItem::event(Event::Error { line: None, text: error.to_string() })).await;
    }
}

fn created(store: &Store, sessions: &mut Vec<Session>, create: CreateSession) -> Result<Session, Failed> {
    let session = store.write_blocking(create)?;
    sessions.push(session.clone());
    Ok(session)
}

/// Everything that runs on one thread: the streams are few and the terminal has threads of its own.
pub(super) fn runtime() -> Result<Runtime, Failed> {
    let runtime = Builder::new_current_thread().enable_all().build();
    Ok(runtime.map_err(|error| anyhow::Error::new(error).context("no runtime could be made"))?)
}

/// Begins to coordinate. Must be called within the runtime.
pub(super) fn coordinate(opened: Opened, config: &Config, providers: &Arc<Providers>, front: Front) -> Handle {
    let Opened { store, sessions, ends, pending, elsewhere, watch, auto_replies, resumes, gates, active, .. } = opened;
    let lookup = Arc::clone(providers);
    coordinator::spawn(Setup {
        store,
        providers: Arc::new(move |name| lookup.get(name)),
        queue: Queue::new(settings(config)),
        sessions,
        ends,
        pending,
        active: active.id,
        model: config.model.clone(),
        replay_bytes: REPLAY_BUFFER_BYTES,
        elsewhere,
        watch: Some(watch),
        auto_replies,
        resume_auto_replies: resumes,
        auto_reply: auto_reply_defaults(config),
        ui: UiDefaults { notify: config.ui.notify, look: look(config) },
        gates,
        front,
        clock: CLOCK,
        time_of_day: TIME_OF_DAY,
        roll: fastrand::f64,
    })
}

/// The providers of the configuration.
///
/// # Errors
/// The file of `--record` cannot be written.
pub(super) fn providers(config: &Config) -> Result<Arc<Providers>, Failed> {
    let recorder = match &config.record {
        Some(path) => Some(
            Recorder::create(path)
                .map_err(|error| Failed::Usage(format!("--record: {} cannot be written ({error})", path.display())))?,
        ),
        None => None,
    };
    Ok(Arc::new(Providers::new(config.providers.clone(), config.timeouts, recorder)))
}

fn settings(config: &Config) -> Settings {
    Settings {
        limits: limits(config),
        retry: retry_policy(config),
        ageing: config.queue.ageing,
        preempt: config.queue.preempt == Preempt::Low,
        auto_before_normal: auto_before_normal(config),
        auto_interruptible: config.auto_reply.allow_interruption,
    }
}

pub(super) fn auto_before_normal(config: &Config) -> bool {
    config.auto_reply.queue_position == QueuePosition::BeforeNormal
}

/// How the terminal shows things at first.
pub(super) const fn look(config: &Config) -> Look {
    Look { render: config.ui.render, reasoning: config.ui.reasoning, alert: config.ui.alert }
}

const fn auto_reply_defaults(config: &Config) -> AutoReplyDefaults {
    let auto = config.auto_reply;
    AutoReplyDefaults {
        max_turns: auto.max_turns,
        max_time: auto.max_time,
        max_tokens: auto.max_tokens,
        stop_on_repeat: auto.stop_on_repeat,
    }
}

fn limits(config: &Config) -> Limits {
    let per_provider =
        config.providers.iter().filter_map(|(name, p)| p.max_concurrent.map(|limit| (name.clone(), limit)));
    Limits {
        max_concurrent: config.queue.max_concurrent,
        per_provider: per_provider.collect(),
        max_pending: config.queue.max_pending,
        max_pending_total: config.queue.max_pending_total,
    }
}

fn retry_policy(config: &Config) -> RetryPolicy {
    let retry = config.retry;
    RetryPolicy {
        max_attempts: retry.max_attempts,
        initial_delay: retry.initial_delay,
        multiplier: retry.multiplier,
        max_delay: retry.max_delay,
        jitter: retry.jitter,
        max_retry_after: retry.max_retry_after,
        continue_mid_stream: retry.mid_stream == MidStream::Continue,
    }
}

/// What carries lines out.
pub(super) fn executor(
    handle: Handle,
    store: Store,
    config: &Config,
    origin: Origin,
    width: fn() -> usize,
) -> Executor {
    let resolver = config.clone();
    Executor {
        handle,
        store,
        resolve: Arc::new(move |name: ModelName| resolver.resolve_model(name).map_err(|error| error.to_string())),
        models: models(config),
        origin,
        has_line: false,
        words: false,
        width,
        clock: CLOCK,
        time_of_day: TIME_OF_DAY,
        max_attempts: config.retry.max_attempts,
        home: home(),
        auto_before_normal: auto_before_normal(config),
    }
}

/// Where `~` is.
pub(super) fn home() -> Option<PathBuf> {
    std::env::var_os("HOME").filter(|home| !home.is_empty()).map(PathBuf::from)
}

/// Models worth naming: each provider's default and those that its section lists.
pub(super) fn models(config: &Config) -> Arc<[String]> {
    let of = |(name, profile): (&String, &crate::provider::Profile)| {
        let models = profile.default_model.iter().chain(&profile.models);
        models.map(|model| format!("{name}:{model}")).collect::<Vec<_>>()
    };
    let mut models: Vec<String> = config.providers.iter().flat_map(of).collect();
    models.dedup();
    models.into()
}
