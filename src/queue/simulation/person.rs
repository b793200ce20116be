//! What a person does to the queue, and what time does.

use std::time::Duration;

use super::super::{Cause, Event};
use super::ends::retrying;
use super::rules::place;
use super::world::{Item, MODELS, Session, Stage, Turn, World, name};
use crate::domain::{EntryId, Priority, SessionId};

const HOUR_MS: i64 = 3_600_000;

impl World {
    pub(super) fn step(&mut self) {
        let session = self.any();
        match self.rng.below(200) {
            0..=44 => self.submit(session),
            45..=119 => self.answer(),
            120..=127 => self.activate(session),
            128..=133 => self.cancel(session),
            134..=141 => self.hold(session),
            142..=147 => self.hold_entry(session),
            148..=151 => self.prioritise(session),
            152..=155 => self.move_entry(session),
            156..=159 => self.drop_entry(session),
            160..=162 => self.hurry(session),
            163..=164 => self.change_model(session),
            165..=167 => self.requeue(session),
            168..=170 => self.begin_loop(session),
            171..=172 => self.end_loop(session),
            173 => self.remove_session(session),
            174 if self.rng.chance(40) => self.crash(),
            175 if self.rng.chance(40) => self.quit(),
            175 if self.rng.chance(20) => self.lose_database(),
            176 => self.set_clock(),
            177..=186 => self.wait_until_woken(),
            _ => {
                let ms = if self.rng.chance(80) { self.rng.below(3_000) } else { self.rng.below(60_000) };
                self.pass(ms as i64);
            }
        }
        // Where it happened, and anywhere.
        let any = self.any();
        let looked_at = |place: &&Session| place.id == session || place.id == any;
        self.sessions.iter().filter(looked_at).for_each(|place| self.check_waiting(place));
    }

    fn pass(&mut self, ms: i64) {
        self.now.0 += ms;
        self.tell(Event::Tick);
    }

    fn set_clock(&mut self) {
        if self.rng.chance(50) {
            return self.pass(HOUR_MS);
        }
        self.now.0 -= HOUR_MS;
        let at_once = self.queue.next_wakeup().map(|_| Duration::ZERO);
        assert_eq!(self.queue.until_wakeup(self.now), at_once, "the clock went back, and the machine is not told");
        if self.rng.chance(50) {
            self.tell(Event::Tick);
        }
    }

    pub(super) fn wait_until_woken(&mut self) {
        if let Some(at) = self.queue.next_wakeup() {
            self.pass((at.0 - self.now.0).max(0));
        }
    }

    fn submit(&mut self, session: SessionId) {
        let limits = &self.settings.limits;
        let (per_session, in_all) = (limits.max_pending, limits.max_pending_total);
        if let Err(refusal) = self.queue.reserve(session) {
            let reserved: usize = self.reserved.values().sum();
            let here = self.at(session).pending.len() + self.reserved.get(&session).copied().unwrap_or(0);
            let full = here >= per_session || self.waiting_total() + reserved >= in_all;
            assert!(full, "refused with room left: {refusal}");
            return;
        }
        let room = self.at(session).pending.len() < per_session && self.waiting_total() < in_all;
        assert!(room, "accepted more than may wait");
        if self.rng.chance(10) {
            // The commit takes its time; what happens meanwhile happens first.
            *self.reserved.entry(session).or_default() += 1;
            return;
        }
        if self.rng.chance(5) {
            return self.queue.unreserve(session);
        }
        self.arrive(session);
        if let Some(count) = self.reserved.remove(&session) {
            for _ in 0..count {
                if self.rng.chance(50) { self.arrive(session) } else { self.queue.unreserve(session) }
            }
        }
    }

    fn arrive(&mut self, session: SessionId) {
        let priority = Priority::ALL[self.rng.index(3)];
        let mut item = self.new_item(session, priority);
        item.waiting.held = self.rng.chance(3);
        self.enqueue(session, item);
    }

    fn activate(&mut self, session: SessionId) {
        let before = self.active.replace(session);
        before.into_iter().chain([session]).for_each(|id| {
            if let Some(place) = self.sessions.iter_mut().find(|place| place.id == id) {
                place.promised = false;
            }
        });
        self.tell(Event::Activated(session));
    }

    /// `/cancel`, and the first half of `/stop`.
    fn cancel(&mut self, session: SessionId) {
        let retrying = retrying(self, self.at(session));
        if self.at(session).turn.as_ref().is_some_and(Turn::takes_slot) {
            self.end_turn(session, Cause::Person);
        } else {
            self.expected.discard = retrying;
        }
        self.tell(Event::Cancel(session));
    }

    fn hold(&mut self, session: SessionId) {
        let held = self.rng.chance(30);
        let release = !held && self.rng.chance(80);
        self.set_held(session, held, release);
    }

    pub(super) fn set_held(&mut self, session: SessionId, held: bool, release: bool) {
        self.follow_clock();
        if release {
            self.grant(session, |_| true);
        }
        let place = self.at_mut(session);
        place.held = held;
        if release {
            place.pending.iter_mut().for_each(|item| item.waiting.held = false);
        }
        let model = place.model;
        let high = place.pending.iter().map(|item| item.waiting).find(|w| w.priority == Priority::High && !w.held);
        if let Some(high) = high {
            self.intervene(session, &high);
        }
        if !held {
            self.open(model, true);
        }
        self.tell(Event::Hold { session, held, release });
    }

    fn hold_entry(&mut self, session: SessionId) {
        let held = self.rng.chance(50);
        if let Some(entry) = self.any_waiting(session) {
            if !held {
                self.grant(session, |item| item.waiting.entry == entry);
            }
            self.change(session, entry, |waiting| waiting.held = held);
        }
    }

    fn prioritise(&mut self, session: SessionId) {
        let priority = Priority::ALL[self.rng.index(3)];
        if let Some(entry) = self.any_waiting(session) {
            self.change(session, entry, |waiting| waiting.priority = priority);
        }
    }

    /// `/move`: the positions of a priority are dealt out anew. For the journal an entry waits while its start is not committed.
    fn move_entry(&mut self, session: SessionId) {
        let (Some(moved), Some(beside)) = (self.any_waiting(session), self.any_waiting(session)) else { return };
        if moved == beside {
            return;
        }
        let before = self.rng.chance(50);
        let here = self.at(session);
        let starting = here.turn.as_ref().filter(|turn| turn.stage == Stage::Starting).map(|turn| turn.item);
        let all: Vec<Item> = here.pending.iter().copied().chain(starting).collect();
        let priority_of = |entry| all.iter().find(|item| item.waiting.entry == entry).map(|item| item.waiting.priority);
        let Some(priority) = priority_of(beside) else { return };
        let equal = |item: &&Item| item.waiting.priority == priority && item.waiting.entry != moved;
        let mut order: Vec<_> = all.iter().filter(equal).map(|item| item.waiting).collect();
        order.sort_by_key(|waiting| place(waiting, false));
        let Some(at) = order.iter().position(|waiting| waiting.entry == beside) else { return };
        order.extend(all.iter().map(|item| item.waiting).filter(|waiting| waiting.entry == moved));
        let mut positions: Vec<i64> = order.iter().map(|waiting| waiting.position).collect();
        positions.sort_unstable();
        let last = order.len() - 1;
        order[at + usize::from(!before)..=last].rotate_right(1);
        for (mut waiting, position) in order.into_iter().zip(positions) {
            (waiting.position, waiting.priority) = (position, priority);
            self.deal(session, waiting.entry, priority, position);
        }
    }

    fn deal(&mut self, session: SessionId, entry: EntryId, priority: Priority, position: i64) {
        let starting = self.at_mut(session).turn.as_mut().filter(|turn| turn.item.waiting.entry == entry);
        if let Some(turn) = starting {
            if turn.stage == Stage::Starting {
                turn.item.waiting.position = position;
                let waiting = turn.item.waiting;
                self.tell(Event::Changed { session, waiting });
            }
            return;
        }
        self.change(session, entry, |waiting| (waiting.position, waiting.priority) = (position, priority));
    }

    fn drop_entry(&mut self, session: SessionId) {
        if self.rng.chance(10) {
            // Too late: it runs.
            if let Some(turn) = &self.at(session).turn {
                let entry = turn.item.waiting.entry;
                return self.tell(Event::Dropped { session, entry });
            }
        }
        if let Some(entry) = self.any_waiting(session) {
            self.dropped(session, entry);
        }
    }

    fn dropped(&mut self, session: SessionId, entry: EntryId) {
        self.at_mut(session).pending.retain(|item| item.waiting.entry != entry);
        self.ended.push(entry);
        self.tell(Event::Dropped { session, entry });
    }

    fn hurry(&mut self, session: SessionId) {
        self.follow_clock();
        let here = self.at(session);
        let (model, next) = (here.model, self.next(here).map(|next| next.waiting.entry));
        let here = self.at_mut(session);
        here.wait = None;
        if let Some(item) = here.pending.iter_mut().find(|item| Some(item.waiting.entry) == next) {
            item.waiting.not_before = None;
            item.due = None;
        }
        self.open(model, false);
        self.tell(Event::Hurry(session));
    }

    fn change_model(&mut self, session: SessionId) {
        let model = self.rng.index(MODELS.len());
        self.at_mut(session).model = model;
        self.tell(Event::ModelChanged { session, model: name(model) });
    }

    /// A dead letter arrives anew: at the end, with all its attempts.
    fn requeue(&mut self, session: SessionId) {
        let Some(mut item) = self.at_mut(session).dead.pop() else { return };
        item.waiting.position = self.new_position(session);
        item.waiting.since = self.now;
        item.waiting.attempts = 0;
        item.waiting.not_before = None;
        item.waiting.held = false;
        item.waiting.continues = false;
        (item.unanswered, item.may_be_answered, item.set_aside) = (false, false, false);
        (item.granted, item.of_loop, item.has_partial) = (0, None, false);
        item.forget_what_the_queue_knew();
        self.enqueue(session, item);
    }

    fn begin_loop(&mut self, session: SessionId) {
        if self.at(session).looping.is_some() {
            return;
        }
        self.next_loop += 1;
        let turns = 1 + self.rng.below(6) as u32;
        let number = self.next_loop;
        let here = self.at_mut(session);
        here.looping = Some((number, turns));
        if here.turn.is_none() && here.pending.is_empty() {
            self.go_on_with_loop(session);
        }
    }

    /// `/auto off`, or `/stop`, which also ends the turn: nothing of the loop starts any more. What runs already is no longer the
    /// loop's with the former, and ends with the latter.
    fn end_loop(&mut self, session: SessionId) {
        let Some((number, _)) = self.at_mut(session).looping.take() else { return };
        let stop = self.rng.chance(60);
        if let Some(turn) = self.at_mut(session).turn.as_mut().filter(|turn| turn.item.of_loop == Some(number))
            && !stop
        {
            turn.item.of_loop = None;
        }
        self.ended_loops.push(number);
        let auto = |item: &&Item| item.of_loop == Some(number);
        let waiting: Vec<_> = self.at(session).pending.iter().filter(auto).map(|item| item.waiting.entry).collect();
        if stop && self.at(session).turn.is_some() {
            self.cancel(session);
        }
        waiting.into_iter().for_each(|entry| self.dropped(session, entry));
    }

    /// `/delete`: nothing may run there. The last one stays.
    fn remove_session(&mut self, session: SessionId) {
        if self.sessions.len() == 1 || self.at(session).turn.is_some() {
            return self.add_session_if_few();
        }
        self.reserved.remove(&session);
        let nth = self.sessions.iter().position(|place| place.id == session).expect("it is there");
        let gone = self.sessions.swap_remove(nth);
        self.ended.extend(gone.pending.iter().chain(&gone.dead).map(|item| item.waiting.entry));
        self.tell(Event::SessionRemoved(session));
        self.add_session();
    }

    fn add_session_if_few(&mut self) {
        if self.sessions.len() < 6 {
            self.add_session();
        }
    }
}
