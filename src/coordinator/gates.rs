//! Gates: kept in the journal, and said.

use super::Coordinator;
use crate::domain::{Activity, ModelName, SessionChange, SessionId, Span, Timestamp, Told};
use crate::store::{HoldSessions, SetGate};

impl Coordinator {
    /// The queue starts nothing with `model` until then; `None`: it asks again. `goes_on`: what waits for it then goes on by itself.
    pub(super) fn gate(&mut self, model: ModelName, until: Option<Timestamp>, goes_on: bool) {
        let now = self.clock.now();
        self.gates.retain(|_, until| *until > now);
        let is_new = match until {
            Some(until) => self.gates.insert(model.clone(), until).is_none(),
            None => self.gates.remove(&model).is_none(),
        };
        if let Some(until) = until.filter(|_| is_new && goes_on)
            && self.others_wait(&model)
        {
            let (wait, at) = (Span(until.since(now)), self.time_of_day.of(until));
            self.notice(format!("{model} asks to wait {wait}: all that waits for it goes on from {at}, one by one"));
        }
        let commit = self.store.submit(SetGate { model, until, now });
        self.quietly(commit);
    }

    /// Whether sessions are concerned besides the one whose turn was turned away, which says so itself.
    fn others_wait(&self, model: &ModelName) -> bool {
        let of_it = self.sessions.values().filter(|live| live.session.model == *model);
        of_it.filter(|live| self.queue.is_busy(live.session.id)).nth(1).is_some()
    }

    /// A server asked for more patience than is allowed: the queue holds it already, the journal follows.
    pub(super) fn hold_until(&mut self, session: SessionId, until: Timestamp) {
        let Some(live) = self.sessions.get_mut(&session) else { return };
        live.session.held = true;
        if let Some(turn) = &mut live.turn {
            turn.held_by_server = true;
        }
        let named = self.named(session);
        let (wait, at) = (Span(until.since(self.clock.now())), self.time_of_day.of(until));
        let commit = self.store.submit(HoldSessions { sessions: vec![session], held: true });
        self.after(commit, move |c, result| {
            if let Err(error) = result {
                c.store_trouble(&error);
            }
            // It needs the person, whatever it tells.
            if let Some(live) = c.sessions.get_mut(&session).filter(|live| live.session.id != c.active) {
                live.unseen = Some(Activity::Failed);
            }
            c.emit_change(session, SessionChange::Held);
            let text = format!(
                "{named} the server asks to wait {wait}, until {at}: held, /resume {session} asks it all the same"
            );
            c.notice_of(session, Told::Failure, text);
            c.let_go_of_waiters(session);
        });
    }
}
