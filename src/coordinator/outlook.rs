//! What will come of what waits, in a line for the person who looks at it: said where nothing else would show it, when a message
//! was typed whose turn does not begin at once, and on the way into a session that waits.

use super::Coordinator;
use crate::domain::{EntryId, ModelName, Progress, SessionId, Span, Timestamp};
use crate::queue::Waiting;

/// Why a session that has something to do does not do it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Obstacle {
    /// Its queue is held, with so many entries in it.
    Held(usize),
    /// The gate of its model is closed until then.
    Gate { model: ModelName, until: Timestamp },
    /// The next attempt comes then.
    Retry(Timestamp),
    /// All slots are taken.
    Slot,
    /// Another chatmux has its turn, and has not begun it.
    Elsewhere,
}

impl Coordinator {
    /// A message came for this session, and its turn does not begin: why.
    pub(super) fn why_it_waits(&self, session: SessionId, entry: EntryId) -> Option<String> {
        let is_next = self.queue.next(session).is_some_and(|next| next.entry == entry && !next.auto);
        if session == self.active && is_next { self.outlook(session) } else { None }
    }

    /// What the active session's turn is at, or what keeps the next one from its turn.
    pub(super) fn progress(&self) -> Option<Progress> {
        let session = self.active;
        if self.queue.running(session).is_some() {
            let turn = self.sessions.get(&session).and_then(|live| live.turn.as_ref());
            let elsewhere = || self.sessions.get(&session)?.elsewhere?.running.map(|(_, progress)| progress);
            // Else its start is being committed.
            let progress = turn.map(|turn| shown(turn.progress, turn.alive)).or_else(elsewhere);
            return Some(progress.unwrap_or_else(|| Progress::Asked(self.clock.now())));
        }
        let (next, obstacle) = self.obstacle(session)?;
        match obstacle {
            Obstacle::Held(_) | Obstacle::Elsewhere => None,
            Obstacle::Gate { until, .. } => Some(Progress::Gate(until)),
            Obstacle::Retry(until) => {
                let (attempt, of) = (next.attempts.saturating_add(1), self.queue.max_attempts());
                Some(Progress::Retry { until, attempt, of })
            }
            Obstacle::Slot => Some(Progress::Slot(next.since)),
        }
    }

    /// What `session` waits for; `None`: its turn is under way, or about to be, or nothing waits.
    pub(super) fn outlook(&self, session: SessionId) -> Option<String> {
        let (next, obstacle) = self.obstacle(session)?;
        let now = self.clock.now();
        Some(in_words(session, &next, &obstacle, now, |at| self.time_of_day.of(at), self.queue.max_attempts()))
    }

    fn obstacle(&self, session: SessionId) -> Option<(Waiting, Obstacle)> {
        if self.queue.running(session).is_some() {
            return None;
        }
        // The queue as a whole, or all that is in it one by one.
        let Some(next) = self.queue.next(session) else {
            let waiting = self.queue.waiting(session);
            return Some((*waiting.first()?, Obstacle::Held(waiting.len())));
        };
        let now = self.clock.now();
        if let Some(until) = next.not_before.filter(|until| *until > now) {
            return Some((next, Obstacle::Retry(until)));
        }
        let model = &self.sessions.get(&session)?.session.model;
        let gate = self.gates.get(model).copied().filter(|until| *until > now);
        match gate {
            Some(until) => Some((next, Obstacle::Gate { model: model.clone(), until })),
            None if self.queue.is_elsewhere(session) => Some((next, Obstacle::Elsewhere)),
            None if self.queue.is_promised(session) => None,
            None => Some((next, Obstacle::Slot)),
        }
    }
}

/// A model that is silent and `alive` thinks, whether or not it shows what.
const fn shown(progress: Progress, alive: bool) -> Progress {
    match progress {
        Progress::Asked(since) | Progress::Speaks(since) if alive => Progress::Thinks(since),
        Progress::Asked(_)
        | Progress::Thinks(_)
        | Progress::Speaks(_)
        | Progress::Retry { .. }
        | Progress::Gate(_)
        | Progress::Slot(_) => progress,
    }
}

fn in_words(
    session: SessionId,
    next: &Waiting,
    obstacle: &Obstacle,
    now: Timestamp,
    time_of_day: impl Fn(Timestamp) -> String,
    max_attempts: u32,
) -> String {
    let Waiting { entry, attempts, continues, .. } = *next;
    let then = if continues { ", and then goes on where it stopped" } else { "" };
    match obstacle {
        Obstacle::Held(1) => format!("#{entry} waits here, held: /resume {session} goes on"),
        Obstacle::Held(many) => format!("{many} messages wait here, held: /resume {session} goes on"),
        Obstacle::Gate { model, until } => {
            let until = time_of_day(*until);
            format!("#{entry} waits until {until}, as {model} asked{then}: /retry tries it now")
        }
        Obstacle::Retry(until) => {
            let (wait, attempt) = (Span(until.since(now)), attempts.saturating_add(1));
            format!("#{entry} is tried again in {wait} ({attempt} of {max_attempts}): /retry tries it now")
        }
        Obstacle::Slot if continues => format!("#{entry} waits for a slot{then}"),
        Obstacle::Slot => format!("#{entry} waits for a slot: others are being answered"),
        Obstacle::Elsewhere => format!("#{entry} waits for another chatmux, which answers in session {session}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Priority;

    #[test]
    fn who_is_silent_and_alive_is_shown_to_think() {
        let at = Timestamp(7);
        for silent in [Progress::Asked(at), Progress::Speaks(at)] {
            assert_eq!((shown(silent, true), shown(silent, false)), (Progress::Thinks(at), silent));
        }
        let gate = Progress::Gate(at);
        assert_eq!((shown(gate, true), shown(Progress::Thinks(at), false)), (gate, Progress::Thinks(at)));
    }

    #[test]
    fn an_obstacle_is_said_with_its_end_or_its_remedy() {
        let check = |obstacle: Obstacle, continues, text: &str| {
            let next = Waiting {
                entry: EntryId(7),
                priority: Priority::Normal,
                auto: false,
                continues,
                position: 1,
                attempts: 1,
                held: false,
                not_before: None,
                since: Timestamp(0),
            };
            let said = in_words(SessionId(2), &next, &obstacle, Timestamp(0), |_| "12:00:30".to_owned(), 5);
            assert_eq!(said, text);
        };
        let gate = || Obstacle::Gate { model: "openai:gpt-5.1".parse().unwrap(), until: Timestamp(30_000) };
        check(Obstacle::Held(1), false, "#7 waits here, held: /resume 2 goes on");
        check(Obstacle::Held(3), false, "3 messages wait here, held: /resume 2 goes on");
        check(gate(), false, "#7 waits until 12:00:30, as openai:gpt-5.1 asked: /retry tries it now");
        check(
            gate(),
            true,
            "#7 waits until 12:00:30, as openai:gpt-5.1 asked, and then goes on where it stopped: /retry tries it now",
        );
        check(Obstacle::Retry(Timestamp(1_500)), false, "#7 is tried again in 1.5 s (2 of 5): /retry tries it now");
        check(Obstacle::Slot, false, "#7 waits for a slot: others are being answered");
        check(Obstacle::Slot, true, "#7 waits for a slot, and then goes on where it stopped");
    }
}
