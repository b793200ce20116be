//! Sessions: finding, making, leaving, changing them.

use super::request::{Error, Reply, SessionState, SessionView, SwitchTo};
use super::{Coordinator, Live, Which};
use crate::domain::{
    Activity, Event, ModelName, PromptState, Seen, Session, SessionChange, SessionId, SessionName, SessionRef,
};
use crate::queue::{self, auto_reply::Brake};
use crate::store::{
    CloseSession, CreateSession, DeleteSession, HoldSessions, RenameSession, ReopenSession, SetActive, SetDraft,
    SetModel, SetSystem, StoreError,
};

impl Coordinator {
    /// The session that is meant; the active one when none is named. Archived ones are found too.
    pub(super) fn find(&self, which: Option<&SessionRef>) -> Result<SessionId, Error> {
        let Some(which) = which else { return Ok(self.active) };
        let found = match which {
            SessionRef::Id(id) => self.sessions.contains_key(id).then_some(*id),
            SessionRef::Name(name) => self.sessions.values().find(|l| l.session.name == *name).map(|l| l.session.id),
        };
        found.ok_or_else(|| Error::UnknownSession(which.clone()))
    }

    /// The sessions that are meant, each once, in the order they were named.
    pub(super) fn find_all(&self, which: &Which) -> Result<Vec<SessionId>, Error> {
        match which {
            Which::Active => Ok(vec![self.active]),
            Which::All => Ok(self.open().collect()),
            Which::These(these) => {
                let mut found = Vec::new();
                for which in these {
                    let id = self.find(Some(which))?;
                    if !found.contains(&id) {
                        found.push(id);
                    }
                }
                Ok(found)
            }
        }
    }

    /// Sessions that are not archived, by number.
    fn open(&self) -> impl DoubleEndedIterator<Item = SessionId> {
        self.sessions.values().filter(|live| live.session.closed_at.is_none()).map(|live| live.session.id)
    }

    pub(super) fn create(&mut self, name: Option<SessionName>, draft: Option<String>, reply: Reply<Session>) {
        if let Some(Err(error)) = name.as_ref().map(|name| self.name_is_free(name, None)) {
            let _ = reply.send(Err(error));
            return;
        }
        let op = CreateSession { name, model: self.model.clone(), system: String::new(), now: self.clock.now() };
        let commit = self.store.submit(op);
        self.after(commit, move |c, result| match result {
            Ok(session) => {
                let id = session.id;
                c.admit(session.clone(), Seen::START);
                c.emit_change(id, SessionChange::Created);
                c.go_to(id, draft);
                let _ = reply.send(Ok(session));
            }
            Err(error) => {
                let _ = reply.send(Err(error.into()));
            }
        });
    }

    fn name_is_free(&self, name: &SessionName, except: Option<SessionId>) -> Result<(), Error> {
        let holder = self.sessions.values().find(|l| l.session.name == *name && Some(l.session.id) != except);
        holder.map_or(Ok(()), |live| Err(Error::NameTaken { name: name.clone(), id: live.session.id }))
    }

    pub(super) fn switch(&mut self, to: &SwitchTo, draft: Option<String>, reply: Reply<Session>) {
        let target = match to {
            SwitchTo::Session(which) => self.find(Some(which)),
            SwitchTo::Previous => self.previous.filter(|id| self.sessions.contains_key(id)).ok_or(Error::NoPrevious),
            SwitchTo::Attention => Ok(self.most_wanting().unwrap_or(self.active)),
            SwitchTo::Next => Ok(self.neighbour(true)),
            SwitchTo::Back => Ok(self.neighbour(false)),
        };
        let id = match target {
            Ok(id) => id,
            Err(error) => {
                let _ = reply.send(Err(error));
                return;
            }
        };
        self.reopen(id);
        // Where the prompt is now is no promise: it is not waited for.
        self.go_to(id, draft);
        let session = self.sessions.get(&id).map(|live| live.session.clone());
        let _ = reply.send(session.ok_or(Error::UnknownSession(SessionRef::Id(id))));
    }

    fn reopen(&mut self, id: SessionId) {
        let Some(live) = self.sessions.get_mut(&id) else { return };
        if live.session.closed_at.take().is_some() {
            let commit = self.store.submit(ReopenSession { session: id });
            self.quietly(commit);
            self.emit_change(id, SessionChange::Reopened);
            self.resume_if_empty(id);
        }
    }

    /// Archiving held the queue. Where nothing waits, there is nothing that could start unasked.
    fn resume_if_empty(&mut self, session: SessionId) {
        let Some(live) = self.sessions.get_mut(&session) else { return };
        // What waits is said on the way in.
        if self.queue.waiting_count(session) > 0 {
            return;
        }
        live.session.held = false;
        let commit = self.store.submit(HoldSessions { sessions: vec![session], held: false });
        self.quietly(commit);
        self.tell(queue::Event::Hold { session, held: false, release: true });
    }

    /// Makes `id` the active session.
    fn go_to(&mut self, id: SessionId, draft: Option<String>) {
        if let Some(draft) = draft {
            self.save_draft(draft);
        }
        if id == self.active {
            return;
        }
        self.save_seen(self.active);
        self.previous = Some(self.active);
        self.active = id;
        self.tell(queue::Event::Activated(id));
        let commit = self.store.submit(SetActive { session: id });
        self.quietly(commit);
        self.emit_change(id, SessionChange::Switched);
        self.enter(id, false);
        if let Some(left) = self.previous.filter(|left| self.sessions.get(left).is_some_and(|live| live.is_gone)) {
            self.vanish(left);
        }
    }

    fn neighbour(&self, next: bool) -> SessionId {
        let found = if next {
            self.open().find(|&id| id > self.active).or_else(|| self.open().next())
        } else {
            self.open().rfind(|&id| id < self.active).or_else(|| self.open().next_back())
        };
        found.unwrap_or(self.active)
    }

    fn most_wanting(&self) -> Option<SessionId> {
        self.activities().max_by_key(|&(id, activity)| (activity, std::cmp::Reverse(id))).map(|(id, _)| id)
    }

    /// What wants attention elsewhere, by number.
    fn activities(&self) -> impl Iterator<Item = (SessionId, Activity)> {
        let others = self.sessions.values().filter(|l| l.session.id != self.active && l.session.closed_at.is_none());
        others.filter_map(|live| activity(live).map(|activity| (live.session.id, activity)))
    }

    pub(super) fn rename(&mut self, which: Option<SessionRef>, name: SessionName, reply: Reply<Session>) {
        let found = self.find(which.as_ref()).and_then(|id| self.name_is_free(&name, Some(id)).map(|()| id));
        match found {
            Err(error) => {
                let _ = reply.send(Err(error));
            }
            Ok(session) => {
                let commit = self.store.submit(RenameSession { session, name: name.clone() });
                self.change(session, commit, SessionChange::Renamed, reply, move |s| s.name = name);
            }
        }
    }

    pub(super) fn set_model(&mut self, model: ModelName, reply: Reply<Session>) {
        let session = self.active;
        let commit = self.store.submit(SetModel { session, model: model.clone() });
        self.change(session, commit, SessionChange::Model, reply, {
            let model = model.clone();
            move |s| s.model = model
        });
        self.tell(queue::Event::ModelChanged { session, model });
    }

    pub(super) fn set_system(&mut self, system: String, reply: Reply<Session>) {
        let session = self.active;
        let commit = self.store.submit(SetSystem { session, system: system.clone() });
        self.change(session, commit, SessionChange::System, reply, move |s| s.system = system);
    }

    /// Changes a row here once the change is committed there, says so, and answers.
    fn change<R: Send + 'static>(
        &mut self,
        session: SessionId,
        commit: impl Future<Output = Result<R, StoreError>> + Send + 'static,
        what: SessionChange,
        reply: Reply<Session>,
        change: impl FnOnce(&mut Session) + Send + 'static,
    ) {
        self.after(commit, move |c, result| {
            let answer = match (result, c.sessions.get_mut(&session)) {
                (Err(error), _) => Err(error.into()),
                (Ok(_), None) => Err(Error::UnknownSession(SessionRef::Id(session))),
                (Ok(_), Some(live)) => {
                    change(&mut live.session);
                    Ok(live.session.clone())
                }
            };
            if answer.is_ok() {
                c.emit_change(session, what);
            }
            let _ = reply.send(answer);
        });
    }

    /// Archives a session. Its turn and its auto-reply loop are ended, what waits there is held; the prompt goes elsewhere.
    pub(super) fn close(&mut self, which: Option<SessionRef>, reply: Reply<Session>) {
        let session = match self.find(which.as_ref()).and_then(|id| self.leave(id).map(|()| id)) {
            Ok(session) => session,
            Err(error) => {
                let _ = reply.send(Err(error));
                return;
            }
        };
        // What is archived asks for nothing more.
        for auto in self.end_loops(&[session]) {
            self.say_end(session, &auto, &Brake::Person);
        }
        self.tell(queue::Event::Cancel(session));
        self.cancel_elsewhere(session);
        // What waits stays and is held, so that nothing is sent unasked when the session is opened again.
        if self.queue.waiting_count(session) > 0 {
            let commit = self.store.submit(HoldSessions { sessions: vec![session], held: true });
            self.quietly(commit);
        }
        self.tell(queue::Event::Hold { session, held: true, release: false });
        self.let_go_of_waiters(session);
        let now = self.clock.now();
        let commit = self.store.submit(CloseSession { session, now });
        self.change(session, commit, SessionChange::Closed, reply, move |s| {
            s.closed_at = Some(now);
            s.held = true;
        });
    }

    pub(super) fn delete(&mut self, which: &SessionRef, reply: Reply<Session>) {
        let found = self.find(Some(which)).and_then(|session| {
            if self.queue.running(session).is_some() {
                return Err(Error::Answering(session));
            }
            self.leave(session).map(|()| session)
        });
        let session = match found {
            Ok(session) => session,
            Err(error) => {
                let _ = reply.send(Err(error));
                return;
            }
        };
        // Nothing starts there any more.
        self.tell(queue::Event::Hold { session, held: true, release: false });
        let commit = self.store.submit(DeleteSession { session });
        self.after(commit, move |c, result| {
            if let Err(error) = result {
                let held = c.sessions.get(&session).is_some_and(|live| live.session.held);
                c.tell(queue::Event::Hold { session, held, release: false });
                let _ = reply.send(Err(error.into()));
                return;
            }
            let row = c.vanish(session).ok_or(Error::UnknownSession(SessionRef::Id(session)));
            let _ = reply.send(row);
        });
    }

    /// A session is no more: deleted here, or by another process. The active one, and one that still answers here, stay until
    /// they are left and have ended.
    pub(super) fn vanish(&mut self, session: SessionId) -> Option<Session> {
        if session == self.active {
            let live = self.sessions.get_mut(&session)?;
            if !std::mem::replace(&mut live.is_gone, true) {
                self.notice(format!(
                    "session {session} was deleted by another chatmux: /switch goes to one that is there"
                ));
            }
            return None;
        }
        if self.queue.running(session).is_some() && !self.queue.is_elsewhere(session) {
            return None;
        }
        for waiting in self.queue.waiting(session) {
            // Its answer is gone with the session.
            self.withdrawn(session, waiting.entry, (String::new(), Vec::new()), false);
        }
        self.emit_change(session, SessionChange::Deleted);
        self.tell(queue::Event::SessionRemoved(session));
        self.previous = self.previous.filter(|&id| id != session);
        self.sessions.remove(&session).map(|live| live.session)
    }

    /// Goes elsewhere if `id` is the active session: to the previous one if it is open, else to the first that is.
    fn leave(&mut self, id: SessionId) -> Result<(), Error> {
        if id != self.active {
            return Ok(());
        }
        let open = |&other: &SessionId| {
            other != id && self.sessions.get(&other).is_some_and(|l| l.session.closed_at.is_none())
        };
        let to = self.previous.filter(open).or_else(|| self.open().find(open)).ok_or(Error::LastSession(id))?;
        self.go_to(to, None);
        Ok(())
    }

    pub(super) fn views(&self) -> Vec<SessionView> {
        let open = self.sessions.values().filter(|live| live.session.closed_at.is_none());
        let view = |live: &Live| {
            let id = live.session.id;
            let pending = self.queue.waiting_count(id);
            let state = match () {
                () if self.queue.running(id).is_some() => SessionState::Streaming,
                () if self.queue.is_busy(id) => SessionState::Waiting,
                () if self.queue.is_held(id) || pending > 0 => SessionState::Held,
                () => SessionState::Idle,
            };
            let active = id == self.active;
            let activity = activity(live).filter(|_| !active);
            let (held, elsewhere) = (self.queue.is_held(id), live.elsewhere.is_some());
            SessionView { session: live.session.clone(), active, state, elsewhere, pending, held, activity }
        };
        open.map(view).collect()
    }

    pub(super) fn prompt(&self) -> PromptState {
        let name = self.sessions.get(&self.active).map(|live| live.session.name.clone());
        PromptState {
            session: self.active,
            name: name.unwrap_or_else(|| SessionName::default_for(self.active)),
            streaming: self.queue.running(self.active).is_some(),
            progress: self.progress(),
            has_others: self.open().nth(1).is_some(),
            activity: self.activities().collect(),
        }
    }

    pub(super) fn save_draft(&mut self, draft: String) {
        let session = self.active;
        let Some(live) = self.sessions.get_mut(&session).filter(|live| !live.is_gone) else { return };
        if live.session.draft != draft {
            live.session.draft.clone_from(&draft);
            let commit = self.store.submit(SetDraft { session, draft });
            self.quietly(commit);
        }
    }

    /// A commit that nobody waits for; a failure is said.
    pub(super) fn quietly<R: Send + 'static>(
        &mut self,
        commit: impl Future<Output = Result<R, StoreError>> + Send + 'static,
    ) {
        self.after(commit, |c, result| {
            match result {
                // A draft is kept again and again while one types.
                Err(error) if error.is_unusable() => c.say_trouble(&error, ""),
                Err(error) => c.notice(error.to_string()),
                Ok(_) => {}
            }
        });
    }

    pub(super) fn emit_change(&mut self, session: SessionId, change: SessionChange) {
        let Some(live) = self.sessions.get(&session) else { return };
        let (name, model) = (live.session.name.clone(), live.session.model.clone());
        self.emit(Event::Session { session, name, model, change }, None);
        self.touch_prompt();
    }
}

fn activity(live: &Live) -> Option<Activity> {
    let streams = live.turn.is_some() || live.elsewhere.is_some_and(|elsewhere| elsewhere.running.is_some());
    live.unseen.max(streams.then_some(Activity::Streaming))
}
