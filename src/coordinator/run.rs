//! The select loop.

use std::future::pending;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::elsewhere::until_told;
use super::request::{Error, Request};
use super::{Coordinator, Front, Which};
use crate::domain::{ErrorKind, ProviderError, Usage};
use crate::queue::{Came, Event, Outcome};
use crate::worker::{Ended, Report, What};

/// A terminal that is left is given its last frame within this, or goes without.
const LAST_FRAME: Duration = Duration::from_millis(500);
/// Reports that are taken in one go before anything else has its turn.
const REPORTS_AT_ONCE: usize = 64;

/// What the loop woke up for.
enum Woken {
    Request(Option<Request>),
    Reports,
    Then(super::Then),
    Tick,
    Survey,
    Told,
    Worker(Result<(tokio::task::Id, ()), tokio::task::JoinError>),
    Frame,
    Items(mpsc::OwnedPermit<Vec<super::ScriptItem>>),
    DisplayGone,
}

impl Coordinator {
    /// Runs until it is told to quit and all is committed, or until every handle is gone (which counts as quitting).
    pub(super) async fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        let Some(mut reports) = self.report_receiver.take() else { return };
        let mut batch = Vec::with_capacity(REPORTS_AT_ONCE);
        let mut open = true;
        while !self.is_done() {
            // However much there is to do, the others see that this process lives.
            if self.next_survey().is_some_and(|due| due <= Instant::now()) {
                self.survey();
            }
            let news = self.front.has_news();
            let (wakeup, survey) = (self.until_wakeup(), self.next_survey());
            // At the end what is under way is taken in whatever waits: it is bounded by the reports that can wait.
            let saturated = !self.quit_begun && self.front.is_saturated();
            let listens = !self.quit_begun;
            let woken = tokio::select! {
                biased;
                Some(then) = self.commits.next() => Woken::Then(then),
                Some(then) = self.later.next() => Woken::Then(then),
                request = requests.recv(), if open => Woken::Request(request),
                hand_over = hand_over(&mut self.front), if news => hand_over,
                _ = reports.recv_many(&mut batch, REPORTS_AT_ONCE), if !saturated => Woken::Reports,
                Some(ended) = self.workers.join_next_with_id() => Woken::Worker(ended),
                () = wait_until(wakeup) => Woken::Tick,
                () = until(survey) => Woken::Survey,
                () = until_told(&mut self.watching, listens) => Woken::Told,
            };
            match woken {
                Woken::Then(then) => then(&mut self),
                Woken::Reports => batch.drain(..).for_each(|report| self.take_report(report)),
                Woken::Request(Some(request)) => self.answer(request),
                Woken::Request(None) => {
                    open = false;
                    self.begin_to_quit(Event::Quit);
                }
                Woken::Tick => self.tell(Event::Tick),
                Woken::Survey => self.survey(),
                Woken::Told => self.told_by_others(),
                Woken::Worker(ended) => self.worker_gone(ended, &mut reports),
                Woken::Frame => {
                    let frame = self.take_frame();
                    if let Front::Terminal(terminal) = &self.front {
                        // There is room, for it was asked for; without a printer nobody misses it.
                        let _ = terminal.frames.try_send(frame);
                    }
                    if let Some(reply) = self.leaving.take() {
                        self.left_alone(Some(reply));
                    }
                }
                Woken::Items(permit) => {
                    if let Front::Script(script) = &mut self.front {
                        permit.send(script.take());
                    }
                }
                Woken::DisplayGone => {
                    let reply = self.leaving.take();
                    self.left_alone(reply);
                }
            }
            self.answer_waiters();
        }
        if let Some(reply) = self.quitting.take() {
            let _ = reply.send(Ok(()));
        }
        self.hand_over_the_rest().await;
    }

    fn is_done(&self) -> bool {
        self.quitting_begun() && self.queue.running_total() == 0 && self.commits.is_empty()
    }

    fn until_wakeup(&self) -> Option<Duration> {
        self.queue.until_wakeup(self.clock.now())
    }

    /// The last load, so that a script loses no event. A terminal's last frame may be lost: the store has what is in it.
    async fn hand_over_the_rest(&mut self) {
        if let Front::Script(script) = &mut self.front {
            let rest = script.take();
            // However slowly its reader reads; who does not want to wait for that ends the runtime.
            let _ = script.items.send(rest).await;
        }
    }

    /// A worker that ended as it should has reported its end; one that panicked has not.
    fn worker_gone(
        &mut self,
        ended: Result<(tokio::task::Id, ()), tokio::task::JoinError>,
        reports: &mut mpsc::Receiver<Report>,
    ) {
        let id = match &ended {
            Ok((id, ())) => *id,
            Err(error) => error.id(),
        };
        let Some((session, entry)) = self.worker_sessions.remove(&id) else { return };
        if ended.is_ok() {
            return;
        }
        while let Ok(report) = reports.try_recv() {
            self.take_report(report);
        }
        tracing::error!(%session, %entry, "a worker panicked");
        let error = ProviderError::fatal(ErrorKind::Protocol, "an internal error ended this answer; the log has more");
        let has_any = self
            .sessions
            .get(&session)
            .is_some_and(|live| live.turn.as_ref().is_some_and(|turn| live.replay.end().message == turn.answer));
        let ended = Ended {
            outcome: Outcome::Failed(error),
            tail: Vec::new(),
            came: if has_any { Came::Text } else { Came::Nothing },
            finish: None,
            usage: Usage::default(),
            first_at: None,
            first_after: None,
        };
        self.take_report(Report { session, entry, what: What::Ended(Box::new(ended)) });
    }

    fn answer(&mut self, request: Request) {
        match request {
            Request::Submit(submission, reply) => self.submit(submission, reply),
            Request::Create { name, draft, reply } => self.create(name, draft, reply),
            Request::Switch { to, draft, reply } => self.switch(&to, draft, reply),
            Request::Rename { which, name, reply } => self.rename(which, name, reply),
            Request::Close { which, reply } => self.close(which, reply),
            Request::Delete { which, reply } => self.delete(&which, reply),
            Request::SetModel { model, reply } => self.set_model(model, reply),
            Request::SetSystem { text, reply } => self.set_system(text, reply),
            Request::Cancel { which, reply } => {
                let _ = reply.send(self.cancel(&which));
            }
            Request::Hold { which, held, cancel, reply } => self.hold(&which, held, cancel, reply),
            Request::Drop { entries, reply } => self.drop_entries(entries, reply),
            Request::Find { which, reply } => {
                let _ = reply.send(self.find(which.as_ref()).map(|id| self.sessions[&id].session.clone()));
            }
            Request::Views { reply } => {
                let _ = reply.send(Ok(self.views()));
            }
            Request::Wait { which, reply } => self.wait(&which, reply),
            Request::Wish(wish) => self.grant(wish),
            Request::Set(setting) => self.set(setting),
            Request::Show(show) => self.show(show),
            Request::KeepDraft(draft) => self.save_draft(draft),
            Request::Script(item, taken) => self.script(*item, taken),
            Request::Prompt { reply } => {
                let _ = reply.send(Ok(self.prompt()));
            }
            Request::LeaveTerminal { draft, reply } => self.leave_terminal(draft, reply),
            Request::Quit { draft, hand_over, reply } => self.quit(draft, hand_over, reply),
        }
    }

    fn wait(&mut self, which: &Which, reply: super::request::Reply<super::Quiet>) {
        match self.find_all(which) {
            Ok(sessions) => {
                let ours = *which == Which::All;
                self.waiters.push(super::Waiter { sessions: sessions.into_iter().collect(), ours, busy: None, reply })
            }
            Err(error) => {
                let _ = reply.send(Err(error));
            }
        }
    }

    fn answer_waiters(&mut self) {
        if self.waiters.is_empty() {
            return;
        }
        self.waiters.retain(|waiter| !waiter.reply.is_closed());
        let (queue, entries) = (&self.queue, &self.entries);
        let ours = |session| entries.values().any(|tracked| tracked.session == session && tracked.ours);
        let quiet = |waiter: &mut super::Waiter| {
            let all = !waiter.ours;
            let is_busy =
                |&session: &_| queue.is_busy(session) && (all || !queue.is_elsewhere(session) || ours(session));
            let before = waiter.busy.filter(is_busy);
            waiter.busy = before.or_else(|| waiter.sessions.iter().copied().find(is_busy));
            waiter.busy.is_none()
        };
        let ready: Vec<_> = self.waiters.extract_if(.., quiet).collect();
        for waiter in ready {
            let held = |&session: &_| self.queue.waiting_count(session) > 0;
            let held = waiter.sessions.iter().copied().filter(held).collect();
            let _ = waiter.reply.send(Ok(super::Quiet { held }));
        }
    }

    fn leave_terminal(&mut self, draft: Option<String>, reply: super::request::Reply<()>) {
        if let Some(draft) = draft {
            self.save_draft(draft);
        }
        match self.front {
            Front::Terminal(_) => {
                self.leaving = Some(reply);
                self.later(tokio::time::sleep(LAST_FRAME), |c, ()| {
                    if let Some(reply) = c.leaving.take() {
                        c.left_alone(Some(reply));
                    }
                });
            }
            Front::Script(_) | Front::Nobody => self.left_alone(Some(reply)),
        }
        self.touch_prompt();
    }

    /// Nobody looks any more.
    fn left_alone(&mut self, reply: Option<super::request::Reply<()>>) {
        self.front = Front::Nobody;
        self.save_seen(self.active);
        // Behind that.
        self.after(std::future::ready(Ok(())), move |_, _| {
            if let Some(reply) = reply {
                let _ = reply.send(Ok(()));
            }
        });
    }

    fn quit(&mut self, draft: Option<String>, hand_over: bool, reply: super::request::Reply<()>) {
        if self.quitting.is_some() {
            let _ = reply.send(Err(Error::Ending));
            return;
        }
        self.quitting = Some(reply);
        if let Some(draft) = draft {
            self.save_draft(draft);
        }
        self.begin_to_quit(if hand_over { Event::HandOver } else { Event::Quit });
    }
}

/// Waits until the display takes the next load.
async fn hand_over(front: &mut Front) -> Woken {
    match front {
        Front::Terminal(terminal) => terminal.ready.recv().await.map_or(Woken::DisplayGone, |()| Woken::Frame),
        Front::Script(script) => match script.items.clone().reserve_owned().await {
            Ok(permit) => Woken::Items(permit),
            Err(_) => Woken::DisplayGone,
        },
        // It has no news.
        Front::Nobody => pending().await,
    }
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => pending().await,
    }
}

async fn wait_until(wait: Option<Duration>) {
    match wait {
        // Never longer than a second: the wall clock may jump, a monotonic timer would not notice.
        Some(wait) => tokio::time::sleep(wait.min(Duration::from_secs(1))).await,
        None => pending().await,
    }
}
