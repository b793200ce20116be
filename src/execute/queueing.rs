//! The commands of the queue carried out: each asks the coordinator for one thing and says in a line what came of it.

use super::auto_view::{auto_answer, begun, ended};
use super::queue_view::{dead_answer, queue_answer};
use super::stats_view::{all_stats, session_stats};
use super::{Answer, Done, Executor, Failure, View, check_message};
use crate::command::{AutoChange, Place, Requeued, Scope};
use crate::coordinator::{AutoWish, Requeue, Retried, SessionState, Which};
use crate::domain::{EntryId, Priority, SessionId, SessionRef};
use crate::store::{AllStats, FindEntry, Listing, StatsOf};

/// Entries that are named one by one in what is said.
const MAX_NAMED: usize = 8;

impl Executor {
    pub(super) fn view(&self) -> View {
        View {
            now: self.clock.now(),
            time_of_day: self.time_of_day,
            width: (self.width)(),
            max_attempts: self.max_attempts,
            words: self.words,
        }
    }

    /// The session that is meant; `None`: every one.
    async fn session_of(&self, scope: Option<Scope>) -> Result<Option<SessionId>, Failure> {
        Ok(match scope {
            Some(Scope::All) => None,
            Some(Scope::One(session)) => Some(self.handle.find(Some(session)).await?.id),
            None => Some(self.handle.find(None).await?.id),
        })
    }

    pub(super) async fn queue(&self, scope: Option<Scope>) -> Result<Answer, Failure> {
        let session = self.session_of(scope).await?;
        let listing =
            self.store.read(Listing { session, dead_only: false, auto_before_normal: self.auto_before_normal }).await?;
        let mut answer = queue_answer(&listing.entries, &listing.gates, session.is_none(), self.view());
        // With entries, the row above them says so.
        if let Some(session) = session.filter(|_| listing.entries.is_empty())
            && self.handle.find(Some(SessionRef::Id(session))).await?.held
        {
            answer.text += &format!("; the queue is held, /resume {session} goes on");
        }
        Ok(answer)
    }

    pub(super) async fn dead(&self, scope: Option<Scope>) -> Result<Answer, Failure> {
        let session = self.session_of(scope).await?;
        let listing =
            self.store.read(Listing { session, dead_only: true, auto_before_normal: self.auto_before_normal }).await?;
        Ok(dead_answer(&listing.entries, self.view()))
    }

    pub(super) async fn stats(&self, scope: Option<Scope>) -> Result<Answer, Failure> {
        let session = match scope {
            Some(Scope::All) => {
                let (all, sessions) = self.store.read(AllStats).await?;
                return Ok(all_stats(&all, &sessions, self.view()));
            }
            Some(Scope::One(session)) => self.handle.find(Some(session)).await?,
            None => self.handle.find(None).await?,
        };
        let stats = self.store.read(StatsOf { session: Some(session.id) }).await?;
        Ok(session_stats(&session, &stats, self.view()))
    }

    pub(super) async fn move_entry(&self, entry: EntryId, place: Place, beside: EntryId) -> Result<Done, Failure> {
        if entry == beside {
            return Err(Failure::of(format!("#{entry} has no place beside itself: name another")));
        }
        let before = self.store.read(FindEntry(entry)).await?.map(|entry| entry.priority);
        let changed = self.handle.move_entry(entry, beside, place == Place::Before).await?;
        if changed.is_empty() {
            return Ok(Done::Said(format!("#{entry} is {place} #{beside} already")));
        }
        let now = changed.iter().find(|changed| changed.id == entry).map(|entry| entry.priority);
        let promoted = now.filter(|now| before.is_some_and(|before| before != *now));
        let promoted = promoted.map(|now| format!(", and is {now} now")).unwrap_or_default();
        Ok(Done::Said(format!("#{entry} {place} #{beside}{promoted}")))
    }

    pub(super) async fn set_priority(&self, entry: EntryId, priority: Priority) -> Result<Done, Failure> {
        let changed = self.handle.set_priority(vec![entry], priority).await?;
        let when = if changed.is_empty() { "already" } else { "now" };
        Ok(Done::Said(format!("#{entry} is {priority} {when}")))
    }

    pub(super) async fn hold_entries(&self, entries: Vec<EntryId>, held: bool) -> Result<Done, Failure> {
        let changed = self.handle.hold_entries(entries.clone(), held).await?;
        let said = said_of_entries(&changed, held);
        let still = if held { None } else { self.held_queue_of(&entries).await? };
        let Some(session) = still else { return Ok(Done::Said(said)) };
        // They do not go on while their queue is held.
        let queue = format!("the queue of session {session} is held, /resume {session} goes on");
        let them = changed.iter().map(|id| format!("#{id}")).collect::<Vec<_>>();
        Ok(Done::Said(match them.as_slice() {
            [] => queue,
            [one] => format!("{one} is not held by itself any more, but {queue}"),
            [..] => format!("{} messages are not held by themselves any more, but {queue}", them.len()),
        }))
    }

    /// The first session of these entries whose queue is held.
    async fn held_queue_of(&self, entries: &[EntryId]) -> Result<Option<SessionId>, Failure> {
        for &entry in entries {
            let Some(entry) = self.store.read(FindEntry(entry)).await? else { continue };
            if self.handle.find(Some(SessionRef::Id(entry.session))).await?.held {
                return Ok(Some(entry.session));
            }
        }
        Ok(None)
    }

    pub(super) async fn drop_entries(&self, entries: Vec<EntryId>) -> Result<Done, Failure> {
        let several = entries.len() > 1;
        let mut dropped = self.handle.drop_entries(entries).await.map_err(Failure::from);
        if let Err(failure) = &mut dropped
            && several
        {
            failure.text += "; none of them is dropped";
        }
        dropped.map(|()| Done::Quietly)
    }

    pub(super) async fn requeue(&self, which: Requeued) -> Result<Done, Failure> {
        let which = match which {
            Requeued::All => Requeue::All,
            Requeued::These(entries) => Requeue::These(entries),
        };
        let queued = self.handle.requeue(which).await?;
        if queued.is_empty() {
            return Ok(Done::Said("nothing is dead".to_owned()));
        }
        Ok(Done::Queued { queued, wait: false })
    }

    pub(super) async fn retry(&self) -> Result<Done, Failure> {
        Ok(match self.handle.retry(self.origin).await? {
            Retried::Hurried(entry) => Done::Said(format!("#{entry} is tried now")),
            Retried::Waits(entry) => Done::Said(format!("#{entry} waits for its turn already")),
            Retried::Requeued(queued) | Retried::Asked(queued) => Done::Queued { queued: vec![queued], wait: true },
            Retried::Nothing => Done::Said("nothing was asked here yet".to_owned()),
        })
    }

    pub(super) async fn continue_turn(&self) -> Result<Done, Failure> {
        Ok(match self.handle.continue_turn(self.origin).await? {
            Some(queued) => Done::Queued { queued: vec![queued], wait: true },
            None => Done::Said("the last answer was not cut: there is nothing to go on from".to_owned()),
        })
    }

    pub(super) async fn auto(&self, change: AutoChange) -> Result<Done, Failure> {
        match change {
            AutoChange::Show => {
                let auto = self.handle.auto_reply(None).await?;
                let views = self.handle.views().await?;
                let state = views.iter().find(|view| view.active).map_or(SessionState::Idle, |view| view.state);
                Ok(Done::Answered(auto_answer(auto.as_ref(), state, self.view())))
            }
            AutoChange::Off => Ok(Done::Said(ended(&self.handle.end_auto(Which::Active).await?))),
            AutoChange::Begin { text, max_turns, until, max_time } => {
                check_message(&text)?;
                let auto = self.handle.begin_auto(AutoWish { text, max_turns, until, max_time }).await?;
                Ok(Done::Said(begun(&auto, max_time)))
            }
        }
    }
}

fn said_of_entries(changed: &[EntryId], held: bool) -> String {
    let named = |between: &str| changed.iter().map(|id| format!("#{id}")).collect::<Vec<_>>().join(between);
    match (changed, held) {
        ([], true) => "held already".to_owned(),
        ([], false) => "not held".to_owned(),
        ([one], true) => format!("#{one} is held: /resume #{one} goes on"),
        ([one], false) => format!("#{one} goes on"),
        (some, true) if some.len() <= MAX_NAMED => format!("{} are held: /resume {} goes on", named(", "), named(" ")),
        (some, false) if some.len() <= MAX_NAMED => format!("{} go on", named(", ")),
        (many, true) => format!("{} messages are held: /resume all goes on", many.len()),
        (many, false) => format!("{} messages go on", many.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_said_in_one_line() {
        let check = |ids: std::ops::Range<i64>, held, text: &str| {
            assert_eq!(said_of_entries(&ids.map(EntryId).collect::<Vec<_>>(), held), text);
        };
        check(0..0, true, "held already");
        check(0..0, false, "not held");
        check(41..42, true, "#41 is held: /resume #41 goes on");
        check(41..43, true, "#41, #42 are held: /resume #41 #42 goes on");
        check(1..21, true, "20 messages are held: /resume all goes on");
        check(41..42, false, "#41 goes on");
        check(41..43, false, "#41, #42 go on");
        check(1..21, false, "20 messages go on");
    }
}
