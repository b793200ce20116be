//! Plays seeded random histories against the queue with a model of the world around it (journal, workers, providers, a clock that
//! is set now and then, a person, crashes) and checks the rules after each step; then the faults stop, everything is let go, and
//! everything has to end. A failure prints its seed: `CHATMUX_SEED=n cargo test simulation` plays just that one.
//!
//! `world.rs` is the state, `person.rs` and `answers.rs` what happens, `rules.rs` and `ends.rs` what must and must not follow.
//! `processes.rs` plays several queues with one journal.

mod answers;
mod ends;
mod person;
mod processes;
mod rng;
mod rules;
mod world;

use world::World;

use crate::domain::SessionId;

/// Histories of each of the tests, which run beside each other.
const SEEDS: u64 = 3_000;
const STEPS: u64 = 250;
/// More answers and wakings than all that a history leaves behind can need.
const STEPS_TO_REST: usize = 20_000;

impl World {
    /// The faults stop and the person lets everything go: all that was accepted ends.
    fn come_to_rest(&mut self) {
        self.faults = false;
        self.models.iter_mut().for_each(|model| model.window = 0);
        self.sessions.iter_mut().for_each(|session| session.looping = session.looping.map(|(number, _)| (number, 0)));
        let ids: Vec<SessionId> = self.sessions.iter().map(|session| session.id).collect();
        ids.iter().for_each(|&session| self.set_held(session, false, true));
        for _ in 0..STEPS_TO_REST {
            // What an attempt that failed before has still held.
            if let Some(held) = self.sessions.iter().find(|session| session.held).map(|session| session.id) {
                self.set_held(held, false, true);
            } else if self.turns().count() > 0 {
                self.answer();
            } else if self.queue.next_wakeup().is_some() {
                self.wait_until_woken();
            } else {
                break;
            }
        }
        for session in &self.sessions {
            self.check_waiting(session);
            assert!(session.pending.is_empty() && session.turn.is_none(), "never ended: {:?}", session.pending);
            let reserved = self.reserved.contains_key(&session.id);
            assert!(reserved || !self.queue.is_busy(session.id), "busy with nothing in {}", session.id);
        }
        assert_eq!(self.queue.next_wakeup(), None, "woken for nothing");
        let ended: std::collections::BTreeSet<_> = self.ended.iter().copied().collect();
        assert_eq!(ended.len(), self.ended.len(), "an entry ended twice");
        let dead: usize = self.sessions.iter().map(|session| session.dead.len()).sum();
        assert_eq!((ended.len() + dead) as i64, self.next_entry, "an entry was lost");
    }
}

fn play(seed: u64) {
    let mut world = World::new(seed);
    (0..STEPS).for_each(|_| world.step());
    world.come_to_rest();
}

fn play_all(seeds: std::ops::Range<u64>) {
    if let Some(seed) = std::env::var("CHATMUX_SEED").ok().and_then(|seed| seed.parse().ok()) {
        // Of the tests beside each other, the one whose seed it is; the first takes those that are none's.
        let is_mine = seeds.contains(&seed) || (seeds.start == 0 && seed >= 4 * SEEDS);
        return if is_mine {
            play(seed)
        };
    }
    for seed in seeds {
        let result = std::panic::catch_unwind(|| play(seed));
        assert!(result.is_ok(), "seed {seed} broke a rule: CHATMUX_SEED={seed} cargo test simulation");
    }
}

#[test]
fn thousands_of_histories_keep_the_rules() {
    play_all(0..SEEDS);
}

#[test]
fn thousands_more_keep_the_rules() {
    play_all(SEEDS..2 * SEEDS);
}

#[test]
fn still_more_keep_the_rules() {
    play_all(2 * SEEDS..3 * SEEDS);
}

#[test]
fn and_these_keep_them_too() {
    play_all(3 * SEEDS..4 * SEEDS);
}
