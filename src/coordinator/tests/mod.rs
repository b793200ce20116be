//! The coordinator with a real store and a model that a test plays by hand: no clock to wait for, no guess.

mod elsewhere;
mod following;
mod listening;
mod loops;
mod ordering;
mod retrying;
mod stopping;
mod telling;
mod undoing;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream;
use tokio::sync::mpsc;

use super::{AutoReplyDefaults, Front, Handle, ScriptItem, Setup, Submission, UiDefaults, Watch, Which, spawn};
use crate::domain::{
    Clock, Event, Finish, FinishReason, Frame, LetGo, Look, Notify, Origin, Priority, ProcessId, Role, SessionId,
    SessionRef, TimeOfDay, Timestamp,
};
use crate::provider::{Piece, Pieces, Provider, Request};
use crate::queue::{Limits, Queue, RetryPolicy, Settings};
use crate::store::{CreateSession, Opening, Store};

/// What a model was asked, and the way to answer it.
struct Asked {
    request: Request,
    answer: mpsc::Sender<Result<Piece, crate::domain::ProviderError>>,
}

impl Asked {
    fn question(&self) -> &str {
        let last = self.request.messages.last().unwrap();
        assert_eq!(last.role, Role::User);
        &last.text
    }

    async fn say(&self, text: &str) {
        self.answer.send(Ok(Piece::Text(text.to_owned()))).await.unwrap();
    }

    async fn finish(self) {
        self.stop(FinishReason::Stop.into()).await;
    }

    /// Says that and stops.
    async fn give(self, text: &str) {
        self.say(text).await;
        self.finish().await;
    }

    async fn stop(self, finish: Finish) {
        self.answer.send(Ok(Piece::Finish(finish))).await.unwrap();
    }
}

/// A model whose answers the test gives.
#[derive(Debug)]
struct Played(mpsc::UnboundedSender<Asked>);

impl Provider for Played {
    fn stream(&self, request: Request) -> Pieces {
        let (answer, pieces) = mpsc::channel(4);
        self.0.send(Asked { request, answer }).unwrap();
        Box::pin(stream::unfold(pieces, |mut pieces| async move { pieces.recv().await.map(|piece| (piece, pieces)) }))
    }
}

struct Bench {
    handle: Handle,
    store: Store,
    asked: mpsc::UnboundedReceiver<Asked>,
    folder: tempfile::TempDir,
}

impl Bench {
    /// No commit goes through until this is dropped.
    fn hold_up_commits(&self) -> rusqlite::Connection {
        let disk = rusqlite::Connection::open(self.folder.path().join("db")).unwrap();
        disk.execute_batch("BEGIN IMMEDIATE").unwrap();
        disk
    }
}

/// Every task does what it can without the store.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

const CLOCK: Clock = Clock(|| Timestamp(1_700_000_000_000));

fn bench(sessions: usize, slots: usize, replay_bytes: usize, front: Front) -> Bench {
    bench_with(sessions, slots, replay_bytes, front, |_| None)
}

/// One that looks at what other processes do, as often as it can.
fn watching_bench(sessions: usize, replay_bytes: usize, front: Front) -> Bench {
    let (often, never) = (Duration::from_millis(1), Duration::from_secs(3_600));
    bench_with(sessions, 8, replay_bytes, front, |process| {
        Some(Watch {
            process,
            since: 0,
            heartbeat: often,
            quiet_period: never,
            max_wait: never,
            check_interval: often,
            set_aside: LetGo::Nothing,
            takes_along: false,
            adopts: false,
        })
    })
}

fn bench_with(
    sessions: usize,
    slots: usize,
    replay_bytes: usize,
    front: Front,
    watch: impl FnOnce(ProcessId) -> Option<Watch>,
) -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let opened = Store::open(&folder.path().join("db"), CLOCK.now()).unwrap();
    bench_on(folder, opened, sessions, slots, replay_bytes, front, watch)
}

/// On a database that was just made.
fn bench_on(
    folder: tempfile::TempDir,
    (store, opening): (Store, Opening),
    sessions: usize,
    slots: usize,
    replay_bytes: usize,
    front: Front,
    watch: impl FnOnce(ProcessId) -> Option<Watch>,
) -> Bench {
    let create = |_| {
        let model = "played:m".parse().unwrap();
        store.write_blocking(CreateSession { name: None, model, system: String::new(), now: CLOCK.now() }).unwrap()
    };
    let rows: Vec<_> = (0..sessions).map(create).collect();
    let (sender, asked) = mpsc::unbounded_channel();
    let model: Arc<dyn Provider> = Arc::new(Played(sender));
    let limits =
        Limits { max_concurrent: slots, per_provider: BTreeMap::new(), max_pending: 100, max_pending_total: 1_000 };
    let handle = spawn(Setup {
        store: store.clone(),
        providers: Arc::new(move |_| Ok(Arc::clone(&model))),
        queue: Queue::new(Settings::new(limits, RetryPolicy::default())),
        active: rows[0].id,
        sessions: rows,
        ends: Vec::new(),
        pending: Vec::new(),
        elsewhere: Vec::new(),
        watch: watch(opening.process),
        model: "played:m".parse().unwrap(),
        replay_bytes,
        front,
        auto_replies: Vec::new(),
        resume_auto_replies: false,
        auto_reply: AutoReplyDefaults {
            max_turns: 10,
            max_time: Duration::from_secs(3_600),
            max_tokens: 200_000,
            stop_on_repeat: true,
        },
        ui: UiDefaults { notify: Notify::Done, look: Look::default() },
        gates: Vec::new(),
        clock: CLOCK,
        time_of_day: TimeOfDay(|at| at.0.to_string()),
        roll: || 0.5,
    });
    Bench { handle, store, asked, folder }
}

fn message(session: i64, text: &str) -> Submission {
    Submission {
        to: Which::These(vec![SessionRef::Id(SessionId(session))]),
        text: text.to_owned(),
        priority: Priority::Normal,
        origin: Origin::Script,
        foreground: false,
        takes_line: false,
        echo: false,
    }
}

/// A script's display, and what came to it so far.
struct Events {
    items: mpsc::Receiver<Vec<ScriptItem>>,
    ready: std::collections::VecDeque<Event>,
}

impl Events {
    fn new() -> (Front, Self) {
        let (sender, items) = mpsc::channel(1);
        (Front::script(sender, true), Self { items, ready: std::collections::VecDeque::new() })
    }

    async fn next(&mut self) -> Event {
        while self.ready.is_empty() {
            let load = self.items.recv().await.expect("the coordinator lives");
            self.ready.extend(load.into_iter().filter_map(|item| match item {
                ScriptItem::Event { event, .. } => Some(event),
                ScriptItem::Result { .. } => None,
            }));
        }
        self.ready.pop_front().unwrap()
    }

    /// Everything up to the first event that is `last`.
    async fn until(&mut self, last: impl Fn(&Event) -> bool) -> Vec<Event> {
        let mut events = Vec::new();
        loop {
            events.push(self.next().await);
            if last(&events[events.len() - 1]) {
                return events;
            }
        }
    }
}

/// A terminal that wants a frame when it is asked for one.
struct Frames {
    frames: mpsc::Receiver<Frame>,
    ready: mpsc::Sender<()>,
}

impl Frames {
    fn try_recv(&mut self) -> Option<Frame> {
        let _ = self.ready.try_send(());
        self.frames.try_recv().ok()
    }

    async fn recv(&mut self) -> Option<Frame> {
        let _ = self.ready.try_send(());
        self.frames.recv().await
    }
}

fn terminal() -> (Front, Frames) {
    let (sender, frames) = mpsc::channel(1);
    let (ready, wanted) = mpsc::channel(1);
    (Front::terminal(sender, wanted), Frames { frames, ready })
}
