//! What was typed, between the reader, whose keys bring it back, and the store, which keeps it session by session. The reader knows
//! what was typed since it was told last; it is told anew when the prompt goes to another session.

use crate::domain::{Clock, SessionId, TypedLines};
use crate::execute::Executor;
use crate::store::{KeepTyped, Reply, Store, StoreError, TypedEverywhere, TypedIn};

/// Keeps lines, and finds those of a session.
pub(super) struct Typed {
    store: Store,
    clock: Clock,
    /// Whether there is an editor whose keys could bring anything back.
    has_keys: bool,
    /// Whose lines the reader has.
    session: Option<SessionId>,
    /// The last line on its way to the disk: a message's own commit comes first, and nobody waits for this one.
    kept: Option<Reply<()>>,
}

impl Typed {
    pub(super) fn new(executor: &Executor) -> Self {
        let (store, clock, has_keys) = (executor.store.clone(), executor.clock, executor.has_line);
        Self { store, clock, has_keys, session: None, kept: None }
    }

    /// The next line belongs to `session`: what the reader shall know of earlier ones, if that changes.
    pub(super) async fn enter(&mut self, session: SessionId) -> Option<TypedLines> {
        if !self.has_keys || self.session == Some(session) {
            return None;
        }
        if let Some(kept) = self.kept.take() {
            log(kept.await);
        }
        self.session = Some(session);
        let (here, everywhere) = (self.store.query(TypedIn { session }), self.store.query(TypedEverywhere));
        Some(TypedLines { here: log(here.await), everywhere: log(everywhere.await) })
    }

    /// `line` was typed in the session that was entered last, whatever came of it.
    pub(super) fn keep(&mut self, line: String) {
        if let Some(session) = self.session {
            self.kept = Some(self.store.submit(KeepTyped { session, line, now: self.clock.now() }));
        }
    }
}

/// A history that cannot be read or written is no reason to disturb anybody.
fn log<T: Default>(outcome: Result<T, StoreError>) -> T {
    outcome.unwrap_or_else(|error| {
        tracing::warn!(%error, "what was typed could not be kept or read");
        T::default()
    })
}
