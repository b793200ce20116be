//! An auto-reply loop as `/auto` shows it.

use std::time::Duration;

use serde_json::{Value, json};

use super::Answer;
use super::layout::{INDENT, View, count, span, wrap};
use crate::coordinator::SessionState;
use crate::domain::text::one_line;
use crate::domain::{AutoReply, Span};

/// Characters of its text, and of the word that ends it.
const TEXT_CHARS: usize = 200;

/// How a session's loop stands; `state`: what the session does.
pub fn auto_answer(auto: Option<&AutoReply>, state: SessionState, view: View) -> Answer {
    let text = match auto {
        None => "no auto-reply here: /auto TEXT begins one".to_owned(),
        Some(auto) => {
            let mut rows = Vec::new();
            wrap(&mut rows, "", INDENT, &auto_text(auto, view), view.columns());
            rows.extend(stands_still(state).map(str::to_owned));
            rows.join("\n")
        }
    };
    Answer { command: "auto", data: auto.map_or(Value::Null, |auto| auto_data(auto, view)), text }
}

/// `auto-reply: 3 of 10 sent, until DONE, 4 m 00 s left, 1,234 of 200,000 tokens: go on`.
fn auto_text(auto: &AutoReply, view: View) -> String {
    let mut parts = vec![format!("{} of {} sent", auto.turns, auto.max_turns)];
    parts.extend(auto.until.as_ref().map(|word| format!("until {}", one_line(word, TEXT_CHARS))));
    parts.push(format!("{} left", span(left(auto, view))));
    parts.push(format!("{} of {} tokens", count(auto.tokens), count(auto.max_tokens)));
    format!("auto-reply: {}: {}", parts.join(", "), one_line(&auto.text, TEXT_CHARS))
}

/// That nothing follows by itself, and what makes it go on.
const fn stands_still(state: SessionState) -> Option<&'static str> {
    match state {
        SessionState::Streaming | SessionState::Waiting => None,
        SessionState::Idle => Some("it goes on after the next answer, or with /resume"),
        SessionState::Held => Some("it is held: /resume goes on"),
    }
}

/// Until it ends by the clock.
fn left(auto: &AutoReply, view: View) -> Duration {
    auto.started_at.plus(auto.max_time).since(view.now)
}

fn auto_data(auto: &AutoReply, view: View) -> Value {
    json!({
        "session": auto.session,
        "text": auto.text,
        "turns": auto.turns,
        "max_turns": auto.max_turns,
        "until": auto.until,
        "max_time_ms": millis(auto.max_time),
        "left_ms": millis(left(auto, view)),
        "tokens": auto.tokens,
        "max_tokens": auto.max_tokens,
        "stop_on_repeat": auto.stop_on_repeat,
        "started_at_ms": auto.started_at,
    })
}

fn millis(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

/// What is said when one begins; `time`: its end by the clock where that was asked for.
pub(super) fn begun(auto: &AutoReply, time: Option<Duration>) -> String {
    let until = auto.until.as_ref().map(|word| format!(", until {}", one_line(word, TEXT_CHARS))).unwrap_or_default();
    let time = time.map(|time| format!(", for {}", Span(time))).unwrap_or_default();
    let when = if auto.turns == 0 { " after the next answer" } else { "" };
    format!("auto-reply begins{when}, {} at most{until}{time}: /auto off ends it", auto.max_turns)
}

/// What is said when some were ended.
pub(super) fn ended(ended: &[AutoReply]) -> String {
    match ended {
        [] => "no auto-reply here: /auto TEXT begins one".to_owned(),
        [one] => format!("auto-reply ended, {} of {} sent", one.turns, one.max_turns),
        many => format!("{} auto-replies ended", many.len()),
    }
}

/// What is said when some go on after a restart.
pub(super) fn goes_on(loops: &[AutoReply]) -> String {
    match loops {
        [one] => format!("auto-reply goes on, {} of {} sent", one.turns, one.max_turns),
        many => format!("{} auto-replies go on", many.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{SessionId, TimeOfDay, Timestamp};

    fn auto() -> AutoReply {
        AutoReply {
            session: SessionId(1),
            text: "go on\nplease".to_owned(),
            max_turns: 10,
            until: Some("DONE".to_owned()),
            max_time: Duration::from_secs(600),
            max_tokens: 200_000,
            stop_on_repeat: true,
            started_at: Timestamp(1_000),
            turns: 3,
            tokens: 1_234,
            last_answer: None,
        }
    }

    fn view(now: i64, width: usize) -> View {
        View {
            now: Timestamp(now),
            time_of_day: TimeOfDay(|at| at.0.to_string()),
            width,
            max_attempts: 5,
            words: false,
        }
    }

    #[test]
    fn a_loop_says_how_it_stands() {
        let check = |auto: Option<AutoReply>, now, width, text: &str| {
            assert_eq!(auto_answer(auto.as_ref(), SessionState::Streaming, view(now, width)).text, text);
        };
        let sent = "auto-reply: 3 of 10 sent, until DONE, 6 m 00 s left, 1,234 of 200,000 tokens: go on please";
        check(Some(auto()), 241_000, 100, sent);
        let narrow =
            "auto-reply: 3 of 10 sent, until DONE,\n    6 m 00 s left, 1,234 of 200,000\n    tokens: go on please";
        check(Some(auto()), 241_000, 40, narrow);
        let over = "auto-reply: 3 of 10 sent, 0 ms left, 1,234 of 200,000 tokens: go on please";
        check(Some(AutoReply { until: None, ..auto() }), 9_000_000, 100, over);
        check(None, 0, 80, "no auto-reply here: /auto TEXT begins one");
    }

    #[test]
    fn a_loop_that_stands_still_says_what_makes_it_go_on() {
        let text = |state| auto_answer(Some(&auto()), state, view(0, 100)).text;
        assert!(text(SessionState::Idle).ends_with("\nit goes on after the next answer, or with /resume"));
        assert!(text(SessionState::Held).ends_with("\nit is held: /resume goes on"));
        assert_eq!(text(SessionState::Waiting).lines().count(), 1);
    }

    #[test]
    fn a_loop_as_data() {
        assert_eq!(auto_answer(None, SessionState::Idle, view(0, 80)).data, Value::Null);
        let data = auto_answer(Some(&auto()), SessionState::Idle, view(241_000, 80)).data;
        assert_eq!(
            (&data["turns"], &data["left_ms"], &data["text"]),
            (&3.into(), &360_000.into(), &"go on\nplease".into())
        );
    }

    #[test]
    fn beginning_and_ending_are_said() {
        assert_eq!(begun(&auto(), None), "auto-reply begins, 10 at most, until DONE: /auto off ends it");
        let waits = AutoReply { turns: 0, until: None, ..auto() };
        assert_eq!(begun(&waits, None), "auto-reply begins after the next answer, 10 at most: /auto off ends it");
        let timed = begun(&auto(), Some(Duration::from_secs(300)));
        assert_eq!(timed, "auto-reply begins, 10 at most, until DONE, for 5 m 00 s: /auto off ends it");
        assert_eq!(ended(&[auto()]), "auto-reply ended, 3 of 10 sent");
    }
}
