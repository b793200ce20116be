//! What is shown: events to a script, the active session to a terminal, what was missed on return.

use tokio::sync::oneshot;

use super::front::{Front, ScriptFront, ScriptItem};
use super::{Coordinator, notices};
use crate::domain::attachment::folded;
use crate::domain::limits::CHECKPOINT_INTERVAL;
use crate::domain::{AnswerState, EntryId, Event, Frame, Output, Seen, SessionId, SessionName, Show, cut_to_end};
use crate::queue;
use crate::store::{Behind, OutputSince, SetSeen, StoreError};

/// What a return to a session replays at most; of more the end is shown, and how to see all.
const REPLAY_SHOWN_BYTES: u64 = 16 << 10;

/// Why the store is asked for what was missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    /// The program starts in that session.
    AtStart,
    /// The person goes there.
    Entering,
    /// The buffer was left behind.
    Again,
}

impl Coordinator {
    /// Says that something happened. `entry`: the message it belongs to.
    pub(super) fn emit(&mut self, event: Event, entry: Option<EntryId>) {
        let foreground = entry.and_then(|entry| self.entries.get(&entry)).is_some_and(|tracked| tracked.foreground);
        match &mut self.front {
            Front::Script(script) => script.push(ScriptItem::Event { event, foreground }),
            Front::Terminal(_) => {
                let name = |id: SessionId| self.sessions.get(&id).map(|live| live.session.name.as_str());
                let told = notices::told(&event).is_none_or(|(session, what)| self.tells(session, what));
                if !told {
                    return;
                }
                if let Some(show) = notices::for_terminal(&event, self.active, name) {
                    self.show(show);
                }
            }
            Front::Nobody => {}
        }
    }

    pub(super) fn notice(&mut self, text: String) {
        self.emit(Event::Notice { text }, None);
    }

    pub(super) fn show(&mut self, show: Show) {
        let after = self.sessions.get(&self.active).map(|live| live.replay.end());
        if let Front::Terminal(terminal) = &mut self.front {
            terminal.show(show, after);
        }
    }

    /// Before what the active session has put out and the terminal has not taken.
    fn show_first(&mut self, show: Show) {
        if let Front::Terminal(terminal) = &mut self.front {
            terminal.show(show, None);
        }
    }

    pub(super) fn script(&mut self, item: ScriptItem, taken: oneshot::Sender<()>) {
        if let Front::Script(script) = &mut self.front {
            script.push(item);
            script.when_there_is_room(taken);
        }
    }

    /// Something changed in `session` that the display may want.
    pub(super) fn touch(&mut self, session: SessionId) {
        match &mut self.front {
            // Of a background session the prompt alone tells, and that changes when a turn begins or ends.
            Front::Terminal(terminal) => terminal.dirty |= session == self.active,
            Front::Script(ScriptFront { is_seen: false, .. }) => {}
            Front::Script(_) => {
                // A script has been given all of it.
                if let Some(live) = self.sessions.get_mut(&session)
                    && live.follows
                {
                    live.session.seen = live.replay.end();
                    live.unseen = None;
                }
            }
            Front::Nobody => {}
        }
    }

    /// What the prompt tells has changed.
    pub(super) const fn touch_prompt(&mut self) {
        if let Front::Terminal(terminal) = &mut self.front {
            terminal.dirty = true;
        }
    }

    /// The display begins to follow `session`, from where it was left.
    pub(super) fn enter(&mut self, session: SessionId, at_start: bool) {
        let Some(live) = self.sessions.get_mut(&session) else { return };
        live.unseen = None;
        let seen = live.session.seen;
        let Front::Terminal(terminal) = &mut self.front else { return };
        terminal.settle_shows();
        terminal.cursor = seen;
        terminal.catching_up = None;
        let news = live.replay.since(&seen);
        let unread = news.as_ref().is_none_or(|news| !news.is_empty());
        let is_in_memory = news.is_some();
        let (left_out, _) = cut_to_end(news.unwrap_or_default(), REPLAY_SHOWN_BYTES as usize);
        if !is_in_memory {
            self.catch_up(session, if at_start { Look::AtStart } else { Look::Entering });
        } else if !at_start || unread {
            let name = live.session.name.clone();
            // What is left out counts as seen: it is said, and not asked for again.
            left_out.iter().for_each(|output| terminal.cursor.advance(output));
            let cut_bytes = left_out.iter().map(Output::text_len).sum::<usize>() as u64;
            terminal.show(Show::Switched { session, name, unread, cut_bytes }, None);
            let before = live.replay.text_before(&terminal.cursor);
            if unread && !before.is_empty() {
                terminal.show(Show::GoesOn(before), None);
            }
            // What waits at the start is said by the start.
            if !at_start && let Some(why) = self.outlook(session) {
                self.show_first(Show::Notice(why));
            }
        }
        self.touch(session);
    }

    /// Asks the store for what the replay buffer no longer has.
    fn catch_up(&mut self, session: SessionId, look: Look) {
        let Front::Terminal(terminal) = &mut self.front else { return };
        let seen = terminal.cursor;
        let question = terminal.ask();
        let read = self.store.query(OutputSince { session, seen, max_bytes: REPLAY_SHOWN_BYTES });
        self.later(read, move |c, result| c.caught_up(session, question, look, result));
    }

    fn caught_up(&mut self, session: SessionId, question: u64, look: Look, result: Result<Behind, StoreError>) {
        let Front::Terminal(terminal) = &mut self.front else { return };
        if terminal.catching_up != Some(question) {
            // The person has gone elsewhere meanwhile, and perhaps come back.
            return;
        }
        let outlook = if look == Look::Entering { self.outlook(session) } else { None };
        let Front::Terminal(terminal) = &mut self.front else { return };
        terminal.catching_up = None;
        // What was said meanwhile stands before what was missed, not among it.
        terminal.settle_shows();
        let Some(live) = self.sessions.get_mut(&session) else { return };
        let name = live.session.name.clone();
        match result {
            Ok(replayed) => {
                let cut_bytes = replayed.cut_bytes;
                let unread = !replayed.outputs.is_empty();
                if look != Look::Again || cut_bytes > 0 {
                    terminal.show(Show::Switched { session, name: name.clone(), unread, cut_bytes }, None);
                }
                if let Some(why) = outlook {
                    terminal.show(Show::Notice(why), None);
                }
                if (look != Look::Again || cut_bytes > 0) && !replayed.before.is_empty() {
                    terminal.show(Show::GoesOn(replayed.before), None);
                }
                for output in replayed.outputs {
                    terminal.cursor.advance(&output);
                    terminal.show(to_show(output, session, &name), None);
                }
                // What was cut is not asked for again.
                terminal.cursor = replayed.end;
                live.session.seen = terminal.cursor;
                // All that the store has was shown; what it has not is in the buffer. Where the buffer does not reach back that
                // far (it is small, or the disk is slow), the store will have it with the next checkpoint.
                if !unread && live.replay.since(&terminal.cursor).is_none() {
                    let question = terminal.ask();
                    self.later(tokio::time::sleep(CHECKPOINT_INTERVAL), move |c, ()| c.look_again(session, question));
                    return;
                }
            }
            Err(error) => {
                terminal.cursor = live.replay.end();
                terminal.show(Show::Error(format!("what was missed could not be read: {error}")), None);
            }
        }
        terminal.dirty = true;
    }

    fn look_again(&mut self, session: SessionId, question: u64) {
        if let Front::Terminal(terminal) = &self.front
            && terminal.catching_up == Some(question)
        {
            self.catch_up(session, Look::Again);
        }
    }

    /// What a terminal gets now.
    pub(super) fn take_frame(&mut self) -> Frame {
        let prompt = self.prompt();
        let (active, mut again, mut ended) = (self.active, false, false);
        let mut shows = Vec::new();
        if let (Front::Terminal(terminal), Some(live)) = (&mut self.front, self.sessions.get_mut(&active)) {
            terminal.dirty = false;
            let news =
                if terminal.catching_up.is_some() { Some(Vec::new()) } else { live.replay.since(&terminal.cursor) };
            again = news.is_none();
            let news = news.unwrap_or_default();
            for output in &news {
                terminal.cursor.advance(output);
                ended |= matches!(output, Output::End { .. });
            }
            if !news.is_empty() {
                live.session.seen = terminal.cursor;
            }
            shows = in_order(terminal.take_shows(), news, |output| to_show(output, active, &live.session.name));
        }
        if again {
            self.catch_up(active, Look::Again);
        }
        if ended {
            self.save_seen(active);
        }
        Frame { shows, prompt }
    }

    /// Keeps how far a session was seen.
    pub(super) fn save_seen(&mut self, session: SessionId) {
        let Some(live) = self.sessions.get_mut(&session).filter(|live| !live.is_gone) else { return };
        if live.saved_seen != live.session.seen {
            live.saved_seen = live.session.seen;
            let commit = self.store.submit(SetSeen { session, seen: live.session.seen });
            self.quietly(commit);
        }
    }

    pub(super) const fn quitting_begun(&self) -> bool {
        self.quit_begun
    }

    /// `how`: [`queue::Event::Quit`] or [`queue::Event::HandOver`].
    pub(super) fn begin_to_quit(&mut self, how: queue::Event) {
        if self.quit_begun {
            return;
        }
        self.quit_begun = true;
        self.tell(how);
        self.store.hurry();
        let sessions: Vec<_> = self.sessions.keys().copied().collect();
        sessions.into_iter().for_each(|session| self.save_seen(session));
    }
}

/// What waits, each behind the output that came before it, and the rest of the output.
fn in_order(waiting: Vec<(Option<Seen>, Show)>, news: Vec<Output>, to_show: impl Fn(Output) -> Show) -> Vec<Show> {
    let mut shows = Vec::with_capacity(waiting.len() + news.len());
    let mut news = news.into_iter().peekable();
    for (after, show) in waiting {
        while let Some(output) = news.next_if(|output| after.is_some_and(|after| output.is_before(&after))) {
            shows.push(to_show(output));
        }
        shows.push(show);
    }
    shows.extend(news.map(to_show));
    shows
}

/// A question as it is shown back. Of files that go along with it the names do.
pub(super) fn question(session: SessionId, name: SessionName, text: &str) -> Show {
    Show::Question { session, name, text: folded(text).into_owned() }
}

fn to_show(output: Output, session: SessionId, name: &SessionName) -> Show {
    match output {
        Output::Question { text, .. } => question(session, name.clone(), &text),
        Output::Reasoning { text, .. } => Show::Reasoning(text),
        Output::Text { text, .. } => Show::Text(text),
        Output::End { state, finish, usage, error, .. } => {
            // An answer without text failed.
            let line = finish.and_then(|finish| finish.line(state != AnswerState::Failed, usage.output));
            Show::End { state, line, error }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{MessageId, Usage};

    #[test]
    fn a_notice_stands_behind_what_came_before_it() {
        let question = Output::Question { message: MessageId(1), entry: EntryId(1), text: "q".into() };
        let text = |start, text: &str| Output::Text { message: MessageId(2), start, text: text.into() };
        let (message, state, usage) = (MessageId(2), AnswerState::Complete, Usage::default());
        let end = Output::End { message, state, finish: None, usage, error: None };
        let at = |bytes| Some(Seen { message: MessageId(2), reasoning_bytes: 0, text_bytes: bytes, ended: false });
        let check = |after: Option<Seen>, place: usize| {
            let news = vec![question.clone(), text(0, "ab"), text(2, "cd"), end.clone()];
            let name = "main".parse().unwrap();
            let notice = Show::Notice("n".into());
            let shows = in_order(vec![(after, notice.clone())], news, |o| to_show(o, SessionId(1), &name));
            assert_eq!(shows.len(), 5);
            assert_eq!(shows.iter().position(|show| *show == notice), Some(place), "{after:?}");
        };
        check(None, 0);
        check(Some(Seen::START), 0);
        check(Some(Seen::whole(MessageId(1))), 1);
        check(at(2), 2);
        // In the middle of a piece: before it.
        check(at(3), 2);
        check(at(4), 3);
        check(Some(Seen::whole(MessageId(2))), 4);
    }
}
