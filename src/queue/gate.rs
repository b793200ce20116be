//! The gate of a model, the slots of a provider. Pure; the drawing is in the module's docs.

use std::collections::BTreeSet;
use std::time::Duration;

use super::own_clock::Own;
use super::rank::Rank;
use super::{Effect, Queue};
use crate::domain::{ModelName, SessionId, Timestamp};

/// Whether a model takes requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Gate {
    #[default]
    Open,
    /// Nothing is started until then.
    Paused(Own),
    /// As `Paused`, and longer than the person wants to wait unasked: what would start is held instead.
    Refusing(Own),
    /// One at a time.
    Slow {
        /// Requests that were taken since it began.
        accepted: usize,
        /// The one that has not shown anything yet.
        asking: Option<SessionId>,
    },
}

const SLOW: Gate = Gate::Slow { accepted: 0, asking: None };

impl Gate {
    /// Time went by.
    pub(super) fn pass(&mut self, now: Own) {
        if let Self::Paused(until) | Self::Refusing(until) = *self
            && until <= now
        {
            *self = SLOW;
        }
    }

    /// When time will change something.
    pub(super) const fn until(self) -> Option<Own> {
        match self {
            Self::Paused(until) | Self::Refusing(until) => Some(until),
            Self::Open | Self::Slow { .. } => None,
        }
    }

    /// Whether a turn may start now.
    pub(super) const fn lets_through(self) -> bool {
        matches!(self, Self::Open | Self::Slow { asking: None, .. })
    }

    pub(super) const fn is_refusing(self) -> bool {
        matches!(self, Self::Refusing(_))
    }

    /// The server asks for patience until then. A longer wish that stands already is not shortened. Says whether it changed.
    pub(super) fn close(&mut self, until: Own, refusing: bool) -> bool {
        if self.until().is_some_and(|already| already >= until) {
            return false;
        }
        // What has become too long stays too long.
        *self = if refusing || matches!(self, Self::Refusing(_)) { Self::Refusing(until) } else { Self::Paused(until) };
        true
    }

    /// The person does not want to wait. Says whether there was anything to wait for.
    pub(super) fn open_for_one(&mut self) -> bool {
        let closed = self.until().is_some();
        if closed {
            *self = SLOW;
        }
        closed
    }

    pub(super) const fn started(&mut self, session: SessionId) {
        if let Self::Slow { asking, .. } = self {
            *asking = Some(session);
        }
    }

    /// The request of `session` was taken. `slots`: how many it takes until the model is trusted again.
    pub(super) fn accepted(&mut self, session: SessionId, slots: usize) {
        if let Self::Slow { accepted, asking } = self
            && *asking == Some(session)
        {
            *asking = None;
            *accepted += 1;
            if *accepted >= slots {
                *self = Self::Open;
            }
        }
    }

    /// The attempt of `session` ended, or never began; whether it was taken nobody knows.
    pub(super) fn let_go(&mut self, session: SessionId) {
        if let Self::Slow { asking, .. } = self
            && *asking == Some(session)
        {
            *asking = None;
        }
    }
}

/// A model of a provider as the scheduler sees it.
#[derive(Debug, Default)]
pub(super) struct Lane {
    pub(super) gate: Gate,
    /// Sessions that could start at once if there were a slot and the gate let them, the best first.
    pub(super) ready: BTreeSet<Rank>,
}

impl Lane {
    /// Nothing is known of it that a new one would not know.
    pub(super) fn is_blank(&self) -> bool {
        self.gate == Gate::Open && self.ready.is_empty()
    }
}

/// The slots of a provider, which its models share.
#[derive(Debug, Default)]
pub(super) struct Slots {
    /// Turns that start, run or settle.
    pub(super) taken: usize,
    /// Running `low` turns that may be made to give way: by when they arrived; the last gives way first.
    pub(super) yielding: BTreeSet<(Own, SessionId)>,
    /// Turns that were told to end, or settle: their slots will be free without more ado.
    pub(super) ending: usize,
}

impl Queue {
    /// The person does not want to wait for this model.
    pub(super) fn open_for_one(&mut self, model: ModelName, effects: &mut Vec<Effect>) {
        if self.lanes.get_mut(&model).is_some_and(|lane| lane.gate.open_for_one()) {
            effects.push(Effect::Gate { model, until: None });
        }
    }

    /// A gate that is in the journal.
    pub(super) fn gate_found(&mut self, model: ModelName, until: Timestamp) {
        let wait = until.since(self.clock.wall_at(self.clock.now()));
        let refusing = wait > self.settings.retry.longest_patience();
        let own = self.clock.now().plus(wait);
        if wait > Duration::ZERO {
            self.lanes.entry(model).or_default().gate.close(own, refusing);
        }
    }

    /// Where a gate refuses, what would start is held.
    pub(super) fn hold_refused(&mut self, effects: &mut Vec<Effect>) {
        let mut refused = Vec::new();
        for lane in self.lanes.values().filter(|lane| lane.gate.is_refusing() && !lane.ready.is_empty()) {
            let until = lane.gate.until().map(|until| self.clock.wall_at(until));
            refused.extend(lane.ready.iter().filter_map(|rank| until.map(|until| (rank.session, until))));
        }
        for (session, until) in refused {
            self.with(session, |queue| queue.held = true);
            effects.push(Effect::HoldSession { session, until });
        }
    }
}
