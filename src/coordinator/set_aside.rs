//! What a process left that ended, let go here: said where it was sent before, and looked at like all that others change.

use super::elsewhere::Watching;
use super::{Coordinator, notices};
use crate::domain::{LetGo, SessionId};
use crate::store::{Adopt, Released, StoreError, TakeAlong};

impl Coordinator {
    /// What goes on by itself of what a process left.
    pub(super) fn set_aside(&self) -> LetGo {
        self.watching.as_ref().map_or(LetGo::Nothing, |watching| watching.set_aside().0)
    }

    /// Whether it has its turn before what was queued since in a session whose lease this process has.
    pub(super) fn takes_along(&self) -> bool {
        let takes_along = |watching: &Watching| matches!(watching.set_aside(), (LetGo::All { .. }, true));
        self.watching.as_ref().is_some_and(takes_along)
    }

    /// Takes the lease where nobody has it.
    pub(super) fn adopt(&mut self, adopt: Adopt) {
        let commit = self.store.submit(adopt);
        self.after(commit, Self::released);
    }

    /// Lets go what was set aside in a session whose lease this process has, or nobody.
    pub(super) fn take_along(&mut self, session: SessionId) {
        let take = TakeAlong { session, set_aside: self.set_aside(), now: self.clock.now() };
        let commit = self.store.submit(take);
        self.after(commit, Self::released);
    }

    /// The same where one finds that something is held in a session that goes on here.
    pub(super) fn take_along_if_held(&mut self, session: SessionId) {
        let waits_here = !self.queue.is_elsewhere(session) && !self.queue.is_held(session);
        if self.takes_along() && waits_here && self.queue.waiting(session).iter().any(|waiting| waiting.held) {
            self.take_along(session);
        }
    }

    fn released(&mut self, result: Result<Released, StoreError>) {
        let released = match result {
            Ok(released) => released,
            // Another process has the lease: that one decides.
            Err(StoreError::Leased(_)) => return,
            Err(error) => return self.store_trouble(&error),
        };
        let lines = notices::released(&released, self.queue.max_attempts(), |session| self.named(session));
        lines.into_iter().for_each(|line| self.notice(line));
        released.sessions.into_iter().for_each(|session| self.look_at(session, false));
    }
}
