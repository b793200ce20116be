//! What an entry waits for, found out from one snapshot of the queue alone: the same for the prompt, which coordinates, and for
//! `chatmux queue`, which only looks.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::{EntryState, ModelName, SessionId, Timestamp};
use crate::store::Listed;

/// Why an entry that waits does not run yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum WaitsFor {
    /// For those before it in its session.
    Turn,
    /// For a slot.
    Slot,
    /// For the gate of its model.
    Gate {
        /// Which.
        model: ModelName,
        /// Until then.
        until: Timestamp,
    },
    /// For its next attempt.
    Retry {
        /// Then.
        until: Timestamp,
    },
    /// For the person.
    Held,
}

impl WaitsFor {
    /// The word for `--json`.
    pub(super) const fn as_str(&self) -> &'static str {
        match self {
            Self::Turn => "turn",
            Self::Slot => "slot",
            Self::Gate { .. } => "gate",
            Self::Retry { .. } => "retry",
            Self::Held => "held",
        }
    }

    /// When it is over, where that is known.
    pub(super) const fn until(&self) -> Option<Timestamp> {
        match self {
            Self::Gate { until, .. } | Self::Retry { until } => Some(*until),
            Self::Turn | Self::Slot | Self::Held => None,
        }
    }
}

/// An entry that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wait {
    /// Its place in its session's line, from 1.
    pub(super) position: usize,
    /// What it waits for.
    pub(super) waits_for: WaitsFor,
}

/// For each of `listed`, what it waits for; `None` for one that does not wait. Those of a session that wait stand in the order
/// in which they are served.
pub(super) fn waits(listed: &[Listed], gates: &[(ModelName, Timestamp)], now: Timestamp) -> Vec<Option<Wait>> {
    let of_state = |state| listed.iter().filter(move |l| l.entry.state == state);
    // Who is answering, or has somebody before all others, who keeps that place even between two attempts.
    let mut taken: BTreeSet<SessionId> = of_state(EntryState::Running).map(|l| l.entry.session).collect();
    let mut places: BTreeMap<SessionId, usize> = BTreeMap::new();
    let mut wait = |listed: &Listed| {
        let entry = &listed.entry;
        let place = places.entry(entry.session).or_default();
        *place += 1;
        let is_held = entry.held || listed.session_held;
        // One that is held does not stand in anyone's way.
        let is_next = !is_held && taken.insert(entry.session);
        let gate = gates.iter().find(|(model, until)| *model == listed.model && *until > now);
        let waits_for = match (entry.not_before.filter(|until| *until > now), gate) {
            _ if is_held => WaitsFor::Held,
            (Some(until), _) => WaitsFor::Retry { until },
            (None, Some((model, until))) => WaitsFor::Gate { model: model.clone(), until: *until },
            (None, None) if is_next => WaitsFor::Slot,
            (None, None) => WaitsFor::Turn,
        };
        Wait { position: *place, waits_for }
    };
    listed.iter().map(|l| (l.entry.state == EntryState::Pending).then(|| wait(l))).collect()
}

#[cfg(test)]
mod tests {
    use super::super::queue_view::tests::{dead, pending, running};
    use super::*;

    #[test]
    fn what_an_entry_waits_for_follows_from_the_snapshot() {
        let now = Timestamp(1_000);
        let gates = [("open:m".parse().unwrap(), Timestamp(1_000)), ("shut:m".parse().unwrap(), Timestamp(5_000))];
        let check = |listed: Vec<Listed>, expected: &[&str]| {
            let found = waits(&listed, &gates, now);
            let words: Vec<_> = found.iter().map(|w| w.as_ref().map_or("-", |w| w.waits_for.as_str())).collect();
            assert_eq!(words, expected, "{listed:?}");
        };
        let held = |mut l: Listed| {
            l.entry.held = true;
            l
        };
        let session_held = |l: Listed| Listed { session_held: true, ..l };
        let later = |mut l: Listed, at| {
            l.entry.not_before = Some(Timestamp(at));
            l
        };
        let at = |l: Listed, model: &str| Listed { model: model.parse().unwrap(), ..l };
        check(vec![running(1, 1), pending(2, 1), pending(3, 1)], &["-", "turn", "turn"]);
        check(vec![pending(2, 1), pending(3, 1), pending(4, 2)], &["slot", "turn", "slot"]);
        check(vec![held(pending(2, 1)), pending(3, 1)], &["held", "slot"]);
        check(vec![session_held(pending(2, 1)), session_held(pending(3, 1))], &["held", "held"]);
        check(vec![later(pending(2, 1), 1_001), pending(3, 1)], &["retry", "turn"]);
        check(vec![later(pending(2, 1), 1_000), pending(3, 1)], &["slot", "turn"]);
        check(vec![at(pending(2, 1), "shut:m"), at(pending(3, 2), "open:m")], &["gate", "slot"]);
        check(vec![at(pending(2, 1), "shut:other")], &["slot"]);
        check(vec![held(later(at(pending(2, 1), "shut:m"), 9_000))], &["held"]);
        check(vec![later(at(pending(2, 1), "shut:m"), 9_000)], &["retry"]);
        check(vec![dead(1, 1), pending(2, 1)], &["-", "slot"]);
    }

    #[test]
    fn places_are_counted_in_each_session() {
        let listed = vec![running(1, 1), pending(2, 1), pending(3, 1), pending(4, 2), dead(5, 2)];
        let places: Vec<_> = waits(&listed, &[], Timestamp(0)).into_iter().map(|w| w.map(|w| w.position)).collect();
        assert_eq!(places, [None, Some(1), Some(2), Some(1), None]);
    }
}
