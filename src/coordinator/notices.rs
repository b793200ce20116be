//! Events in words, for people. Pure.

use std::time::Duration;

use crate::domain::text::{one_line, some_of};
use crate::domain::{
    EndState, EntryId, Event, Fate, LetGo, Origin, Problem, SessionChange, SessionId, Show, Span, StoredError, Told,
    Usage,
};
use crate::store::{Released, Unanswered};

/// An error's text in a notice is cut to this many characters; the answer's own end has all of it.
const ERROR_CHARS: usize = 300;

/// What a terminal shows for an event; `None` for what the session's own output shows already.
pub(super) fn for_terminal<'a>(
    event: &Event,
    active: SessionId,
    name: impl Fn(SessionId) -> Option<&'a str>,
) -> Option<Show> {
    match event {
        // The answer follows at once: nothing to say.
        Event::Queued { session, ahead: 0, .. } if *session == active => None,
        Event::Finished { session, .. } if *session == active => None,
        // One sees it begin. What is tried again has said so.
        Event::Started { session, .. } if *session == active => None,
        Event::Started { attempt: 2.., .. } => None,
        Event::Started { session, entry, .. } => {
            Some(Show::Notice(format!("{} begins #{entry}", tag(*session, &name))))
        }
        // The marker row says it.
        Event::Session { change: SessionChange::Switched | SessionChange::Created, .. } => None,
        Event::Error { text, .. } => Some(Show::Error(text.clone())),
        Event::Queued { .. }
        | Event::Finished { .. }
        | Event::Retry { .. }
        | Event::Session { .. }
        | Event::Notice { .. } => line(event, active, name).map(Show::Notice),
        Event::Delta { .. } | Event::Progress { .. } | Event::Idle { .. } | Event::Result { .. } => None,
    }
}

fn tag<'a>(id: SessionId, name: &impl Fn(SessionId) -> Option<&'a str>) -> String {
    match name(id) {
        Some(name) => format!("[{id} {name}]"),
        None => format!("[{id}]"),
    }
}

/// What an event tells of a turn, and of which session: what that session may be silent about. What somebody asked for, and what
/// concerns all, is told in any case.
pub(super) fn told(event: &Event) -> Option<(SessionId, Told)> {
    match event {
        Event::Started { session, .. } => Some((*session, Told::Start)),
        Event::Retry { session, .. } => Some((*session, Told::Step)),
        Event::Finished { session, state, finish, tokens, error, .. } => {
            let failed = *state == EndState::Failed || Problem::of(finish.as_ref(), *tokens, error.as_ref()).is_some();
            Some((*session, if failed { Told::Failure } else { Told::End }))
        }
        Event::Queued { .. }
        | Event::Session { .. }
        | Event::Notice { .. }
        | Event::Error { .. }
        | Event::Delta { .. }
        | Event::Progress { .. }
        | Event::Idle { .. }
        | Event::Result { .. } => None,
    }
}

/// One line that says what happened; `None` where there is nothing worth a line. `active`: the session that need not be named.
pub fn line<'a>(event: &Event, active: SessionId, name: impl Fn(SessionId) -> Option<&'a str>) -> Option<String> {
    let tag = |id: &SessionId| tag(*id, &name);
    match event {
        // Nobody typed it, and its turn shows it.
        Event::Queued { origin: Origin::Auto, .. } => None,
        Event::Queued { session, entry, ahead, .. } => {
            let there = if *session == active { String::new() } else { format!("{} ", tag(session)) };
            Some(there + &queued(*entry, *ahead))
        }
        Event::Retry { session, attempt, of, in_ms, error, .. } => {
            let wait = Span(Duration::from_millis(*in_ms));
            let why = one_line(&error.to_string(), ERROR_CHARS);
            Some(format!("{} retrying in {wait} ({attempt} of {of}): {why}", tag(session)))
        }
        Event::Finished { session, state, finish, tokens, total_ms, error, text, .. } => {
            if let Some(Problem::Finish(said)) = Problem::of(finish.as_ref(), *tokens, error.as_ref()) {
                return Some(format!("{} {}", tag(session), one_line(&said, ERROR_CHARS)));
            }
            let why = error.as_ref().map(|error| format!(": {}", one_line(&error.to_string(), ERROR_CHARS)));
            let why = why.unwrap_or_default();
            let end = match state {
                EndState::Complete => {
                    format!("done{}, {}", tokens_of(tokens), Span(Duration::from_millis(*total_ms)))
                }
                EndState::Interrupted => format!("interrupted, {} bytes kept{why}", text.len()),
                EndState::Failed => format!("failed{why}"),
                EndState::Cancelled => "cancelled".to_owned(),
            };
            Some(format!("{} {end}", tag(session)))
        }
        // It is said with the remedy, to who held it or with why it is held.
        Event::Session { change: SessionChange::Held, .. } => None,
        Event::Session { session, name, model, change } => match change {
            SessionChange::Created => Some(format!("[{session} {name}] created, {model}")),
            SessionChange::Model => Some(format!("[{session} {name}] model {model}")),
            SessionChange::System => Some(format!("[{session} {name}] system prompt changed")),
            SessionChange::Switched
            | SessionChange::Renamed
            | SessionChange::Closed
            | SessionChange::Reopened
            | SessionChange::Deleted
            | SessionChange::Held
            | SessionChange::Resumed => Some(format!("[{session} {name}] {change}")),
        },
        Event::Notice { text } | Event::Error { text, .. } => Some(text.clone()),
        Event::Started { .. }
        | Event::Delta { .. }
        | Event::Progress { .. }
        | Event::Idle { .. }
        | Event::Result { .. } => None,
    }
}

/// The acknowledgement of a message.
pub(super) fn queued(entry: EntryId, ahead: usize) -> String {
    let place = if ahead > 0 { format!(", {ahead} ahead") } else { String::new() };
    format!("queued #{entry}{place}")
}

/// That messages wait until a person says so, in these sessions, and which of them were sent before.
pub fn held(count: usize, names: &[String], unanswered: &[EntryId]) -> String {
    let (waits, them) = if count == 1 { ("message waits", "it") } else { ("messages wait", "them") };
    let mut line =
        format!("{count} {waits}, held ({}): /resume all sends {them}, /queue all lists {them}", names.join(", "));
    if !unanswered.is_empty() {
        let named: Vec<String> = unanswered.iter().map(|entry| format!("#{entry}")).collect();
        line += &format!("; {}", some_of(&named));
        line += if unanswered.len() == 1 { " was" } else { " were" };
        line += " sent before, and the server may have answered";
    }
    line
}

/// That chatmux ends and nothing has come of a message that was sent, and what becomes of it after that many attempts.
pub(super) fn unanswered(named: &str, entry: EntryId, attempts: u32, set_aside: LetGo) -> String {
    let then = match set_aside.fate(true, attempts) {
        Fate::SentAgain | Fate::Waits => "the next chatmux sends it again (on_start is resume)".to_owned(),
        Fate::StaysHeld => "it is held, for the server may have answered; /resume sends it again".to_owned(),
        Fate::Dead => format!(
            "that was its last attempt, so the next chatmux makes it a dead letter; /requeue {entry} sends it again then"
        ),
    };
    format!("{named} #{entry} was sent, and no answer has come: {then}")
}

/// What of what a process left is sent again, and what is not; `named`: a session as `[2 docs]`.
pub fn released(released: &Released, max_attempts: u32, named: impl Fn(SessionId) -> String) -> Vec<String> {
    let sent_again = |left: &Unanswered| {
        let next = left.attempts.saturating_add(1);
        format!(
            "{} #{} was sent before chatmux ended, and the server may have answered: it is sent again ({next} of {max_attempts})",
            named(left.session),
            left.entry
        )
    };
    let dead = |left: &Unanswered| {
        let why = StoredError::given_up(left.attempts, max_attempts);
        format!("{} #{} is not sent again: {why}; /requeue {} sends it", named(left.session), left.entry, left.entry)
    };
    released.sent_again.iter().map(sent_again).chain(released.dead.iter().map(dead)).collect()
}

fn tokens_of(tokens: &Usage) -> String {
    match tokens.output {
        Some(1) => ", 1 token".to_owned(),
        Some(count) => format!(", {count} tokens"),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_before_is_named() {
        let check = |count: i64, expected: &str| {
            let ids: Vec<EntryId> = (1..=count).map(EntryId).collect();
            let said = held(9, &["1 main".to_owned()], &ids);
            assert_eq!(said.split_once("lists them").unwrap().1, expected);
        };
        check(0, "");
        check(1, "; #1 was sent before, and the server may have answered");
        check(2, "; #1, #2 were sent before, and the server may have answered");
        check(7, "; #1, #2, #3, #4, #5 and 2 more were sent before, and the server may have answered");
    }

    #[test]
    fn what_becomes_of_what_was_sent_depends_on_its_attempts() {
        let check = |attempts, set_aside, expected: &str| {
            let said = unanswered("[1 main]", EntryId(7), attempts, set_aside);
            assert!(said.contains(expected), "{said}");
        };
        let resume = LetGo::All { max_attempts: 2 };
        check(1, resume, "the next chatmux sends it again");
        check(2, resume, "the next chatmux makes it a dead letter; /requeue 7 sends it again then");
        check(3, resume, "a dead letter");
        check(2, LetGo::Nothing, "it is held");
    }

    #[test]
    fn a_background_session_that_is_done_says_so_in_one_line() {
        let event = Event::Finished {
            session: SessionId(2),
            entry: EntryId(9),
            state: EndState::Complete,
            finish: None,
            text: "x".into(),
            seams: Vec::new(),
            tokens: Usage { input: None, output: Some(412) },
            wait_ms: 0,
            first_ms: Some(1),
            total_ms: 8_300,
            error: None,
        };
        let name = |_| Some("docs");
        let shown = for_terminal(&event, SessionId(1), name);
        assert_eq!(shown, Some(Show::Notice("[2 docs] done, 412 tokens, 8.3 s".into())));
        assert_eq!(for_terminal(&event, SessionId(2), name), None);
    }
}
