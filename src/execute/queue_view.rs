//! What waits, runs and failed, as `/queue`, `/dead`, `chatmux queue` and `chatmux queue --dead` show it.

use std::time::Duration;

use serde_json::{Value, json};

use super::Answer;
use super::layout::{INDENT, Item, NO_BREAK, View, age, column, fit, plural, size, wrap};
use super::waiting::{Wait, WaitsFor, waits};
use crate::domain::attachment::folded;
use crate::domain::text::one_line;
use crate::domain::{Entry, EntryId, EntryState, ModelName, StoredError, Timestamp};
use crate::store::Listed;

/// Rows a session for what runs and waits.
const MAX_WAITING: usize = 40;
/// Rows a session for what is dead, the latest.
const MAX_DEAD: usize = 10;
/// Columns from which on all is said; with less, what a row's place says is left out.
const WIDE: usize = 60;
/// Blocks of `/dead`, the latest.
const MAX_DEAD_BLOCKS: usize = 50;
/// Characters of a reason in a list, and where it is what one looks for.
const REASON_CHARS: usize = 100;
const FULL_REASON_CHARS: usize = 600;

/// A queue: `listed` session by session, what waits in the order of service; `gates` are the closed gates; `of_all`: each
/// session says which it is.
pub fn queue_answer(listed: &[Listed], gates: &[(ModelName, Timestamp)], of_all: bool, view: View) -> Answer {
    let waits = waits(listed, gates, view.now);
    let data = listed.iter().zip(&waits).map(|(listed, wait)| entry_data(listed, wait.as_ref(), view)).collect();
    let text = if listed.is_empty() {
        "nothing waits, runs or has failed".to_owned()
    } else {
        queue_text(listed, &waits, of_all, view)
    };
    Answer { command: "queue", data: Value::Array(data), text }
}

/// What is dead of `listed`, a block each.
pub fn dead_answer(listed: &[Listed], view: View) -> Answer {
    let dead: Vec<&Listed> = listed.iter().filter(|l| l.entry.state == EntryState::Dead).collect();
    let data = dead.iter().map(|listed| entry_data(listed, None, view)).collect();
    let text = if dead.is_empty() { "nothing is dead".to_owned() } else { dead_text(&dead, view) };
    Answer { command: "dead", data: Value::Array(data), text }
}

fn entry_data(listed: &Listed, wait: Option<&Wait>, view: View) -> Value {
    let Listed { entry, answer_bytes, session_held, .. } = listed;
    let is_pending = entry.state == EntryState::Pending;
    json!({
        "entry": entry.id,
        "session": entry.session,
        "state": entry.state,
        "priority": entry.priority,
        "origin": entry.origin,
        "attempts": entry.attempts,
        "held": entry.held || is_pending && *session_held,
        "not_before_ms": entry.not_before,
        "created_at_ms": entry.created_at,
        "text": entry.text,
        "error": entry.error,
        "position": wait.map(|wait| wait.position),
        "waits_for": wait.map(|wait| wait.waits_for.as_str()),
        "until_ms": wait.and_then(|wait| wait.waits_for.until()),
        "age_ms": (entry.state != EntryState::Dead).then(|| millis(view.now.since(entry.created_at))),
        "running_ms": running_for(entry, view).map(millis),
        "answer_bytes": answer_bytes,
        "continues": entry.continues,
        "started_at_ms": entry.started_at,
        "finished_at_ms": entry.finished_at,
    })
}

fn millis(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

fn running_for(entry: &Entry, view: View) -> Option<Duration> {
    let started = entry.started_at.filter(|_| entry.state == EntryState::Running);
    started.map(|started| view.now.since(started))
}

fn queue_text(listed: &[Listed], waits: &[Option<Wait>], of_all: bool, view: View) -> String {
    let columns = view.columns();
    let mut parts = Vec::new();
    let mut from = 0;
    while let Some(first) = listed.get(from) {
        let length = listed[from..].iter().take_while(|l| l.entry.session == first.entry.session).count();
        parts.push(Part::of(&listed[from..from + length], &waits[from..from + length], of_all, view));
        from += length;
    }
    // The same for all, so that what they say stands in one column.
    let column = column(parts.iter().flat_map(|part| part.alive.iter().chain(&part.dead)), columns);
    let mut rows = Vec::new();
    for part in &parts {
        if !rows.is_empty() {
            rows.push(String::new());
        }
        part.lay_out(&mut rows, column, columns);
    }
    let dead: Vec<EntryId> =
        listed.iter().map(|l| &l.entry).filter(|e| e.state == EntryState::Dead).map(|e| e.id).collect();
    if of_all && !dead.is_empty() {
        rows.push(String::new());
    }
    remedy(&mut rows, &dead, columns);
    rows.join("\n")
}

/// One session's part of a queue: what runs, what waits, what is dead.
struct Part {
    title: Option<String>,
    alive: Vec<Item>,
    alive_left_out: usize,
    dead: Vec<Item>,
    dead_left_out: usize,
}

impl Part {
    fn of(listed: &[Listed], waits: &[Option<Wait>], of_all: bool, view: View) -> Self {
        let (dead, alive): (Vec<_>, Vec<_>) =
            listed.iter().zip(waits).partition(|(l, _)| l.entry.state == EntryState::Dead);
        let (alive_left_out, dead_left_out) =
            (alive.len().saturating_sub(MAX_WAITING), dead.len().saturating_sub(MAX_DEAD));
        let item = |head, listed: &Listed| Item { head, text: folded(&listed.entry.text).into_owned() };
        Self {
            title: listed.first().and_then(|first| title(first, of_all)),
            alive: alive
                .iter()
                .take(MAX_WAITING)
                .map(|(l, wait)| item(alive_head(l, wait.as_ref(), view), l))
                .collect(),
            alive_left_out,
            dead: dead[dead_left_out..].iter().map(|(l, _)| item(dead_head(&l.entry, view), l)).collect(),
            dead_left_out,
        }
    }

    fn lay_out(&self, rows: &mut Vec<String>, column: usize, columns: usize) {
        if let Some(title) = &self.title {
            wrap(rows, "", INDENT, title, columns);
        }
        self.alive.iter().for_each(|entry| rows.extend(entry.rows(column, columns)));
        if self.alive_left_out > 0 {
            rows.push(format!("… and {} more", self.alive_left_out));
        }
        self.dead.iter().for_each(|entry| rows.extend(entry.rows(column, columns)));
        if self.dead_left_out > 0 {
            rows.push(fit(&format!("… and {} more are dead: /dead shows them", self.dead_left_out), columns));
        }
    }
}

/// Which session it is, where that is not clear, and that nothing of it will start, where that is so.
fn title(listed: &Listed, of_all: bool) -> Option<String> {
    let Listed { entry: Entry { session, .. }, session_name, model, session_held, .. } = listed;
    let name = of_all.then(|| format!("{session}:{session_name} ({})", one_line(&model.to_string(), REASON_CHARS)));
    let held = session_held.then(|| format!("held: /resume {session} goes on"));
    let parts: Vec<_> = name.into_iter().chain(held).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn alive_head(listed: &Listed, wait: Option<&Wait>, view: View) -> String {
    let Listed { entry, answer_bytes, .. } = listed;
    let id = entry.id;
    let Some(wait) = wait else {
        let mut head = format!("#{id} running");
        if let Some(length) = running_for(entry, view) {
            head += &format!(" {}", age(length));
        }
        if *answer_bytes > 0 {
            head += &format!(", {} so far", size(*answer_bytes));
        }
        if entry.attempts > 1 {
            head += &format!(", attempt {}", entry.attempts);
        }
        return head;
    };
    let Entry { priority, origin, .. } = entry;
    let mut head =
        format!("#{id} {}. {priority} {origin}, {} old", wait.position, age(view.now.since(entry.created_at)));
    if entry.continues {
        head += &format!(", {} so far", size(*answer_bytes));
    }
    let why = |between: &str| {
        let error = entry.error.as_ref().map(|error| reason(error, REASON_CHARS));
        error.map(|error| format!("{between}{error}")).unwrap_or_default()
    };
    head += &match &wait.waits_for {
        // Its place says that.
        WaitsFor::Turn if view.columns() < WIDE => String::new(),
        WaitsFor::Turn => ", waits for its turn".to_owned(),
        WaitsFor::Slot => ", waits for a slot".to_owned(),
        WaitsFor::Gate { model, until } => {
            format!(", waits for {} until {}", one_line(&model.to_string(), REASON_CHARS), view.clock_time(*until))
        }
        WaitsFor::Retry { until } => {
            let (next, of) = (entry.attempts.saturating_add(1), view.max_attempts);
            format!(", waits for retry {next} of {of} in {}{}", age(until.since(view.now)), why(": "))
        }
        WaitsFor::Held if entry.held && !listed.session_held => {
            format!(", held{}: /resume{NO_BREAK}#{id} goes on", why(" after "))
        }
        WaitsFor::Held => format!(", held{}", why(" after ")),
    };
    head
}

fn dead_head(entry: &Entry, view: View) -> String {
    let why = entry.error.as_ref().map_or_else(|| "no reason is known".to_owned(), |e| reason(e, REASON_CHARS));
    let attempts = plural(u64::from(entry.attempts), "attempt", "attempts");
    let mut head = format!("#{} dead: {why}, {attempts}", entry.id);
    if let Some(died) = entry.finished_at {
        head += &format!(", {}", view.clock_time(died));
    }
    if let Some(request) = entry.error.as_ref().and_then(|error| error.request_id.as_ref()) {
        head += &format!(", {}", one_line(request, REASON_CHARS));
    }
    head
}

fn reason(error: &StoredError, chars: usize) -> String {
    one_line(&error.to_string(), chars)
}

fn dead_text(dead: &[&Listed], view: View) -> String {
    let columns = view.columns();
    let left_out = dead.len().saturating_sub(MAX_DEAD_BLOCKS);
    let mut rows = Vec::new();
    if left_out > 0 {
        rows.push(format!("… and {left_out} before these"));
    }
    for Listed { entry, session_name, .. } in &dead[left_out..] {
        let why =
            entry.error.as_ref().map_or_else(|| "no reason is known".to_owned(), |e| reason(e, FULL_REASON_CHARS));
        wrap(&mut rows, "", INDENT, &format!("#{} in {}:{session_name}: {why}", entry.id, entry.session), columns);
        let mut parts = vec![
            format!("{} {}", entry.priority, entry.origin),
            plural(u64::from(entry.attempts), "attempt", "attempts"),
            format!("asked {}", view.clock_time(entry.created_at)),
        ];
        parts.extend(entry.finished_at.map(|died| format!("died {}", view.clock_time(died))));
        let request = entry.error.as_ref().and_then(|error| error.request_id.as_ref());
        parts.extend(request.map(|request| format!("request {}", one_line(request, REASON_CHARS))));
        wrap(&mut rows, INDENT, INDENT, &parts.join(", "), columns);
        rows.push(format!("{INDENT}{}", fit(&folded(&entry.text), columns - INDENT.len())).trim_end().to_owned());
    }
    let ids: Vec<EntryId> = dead.iter().map(|listed| listed.entry.id).collect();
    remedy(&mut rows, &ids, columns);
    rows.join("\n")
}

/// What can be done about what is dead.
fn remedy(rows: &mut Vec<String>, dead: &[EntryId], columns: usize) {
    let text = match dead {
        [] => return,
        [one] => format!("/requeue {one} sends it again, /drop {one} forgets it"),
        [first, ..] => {
            format!("/requeue {first} sends that one again, /requeue all all of them, /drop {first} forgets it")
        }
    };
    wrap(rows, "", INDENT, &text, columns);
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;
    use unicode_width::UnicodeWidthStr;

    use super::*;
    use crate::domain::{ErrorKind, Origin, Priority, SessionId, TimeOfDay};

    const NOW: Timestamp = Timestamp(1_000_000);

    fn listed(id: i64, session: i64, state: EntryState) -> Listed {
        let entry = Entry {
            id: EntryId(id),
            session: SessionId(session),
            priority: Priority::Normal,
            origin: Origin::User,
            state,
            text: format!("question {id}: what is it that I wanted to know about all of this?"),
            attempts: 0,
            held: false,
            not_before: None,
            position: id,
            continues: false,
            created_at: Timestamp(NOW.0 - 185_000),
            started_at: None,
            finished_at: None,
            error: None,
        };
        let name = if session == 1 { "main" } else { "日本語" };
        Listed {
            entry,
            answer_bytes: 0,
            reasoning_bytes: 0,
            model: "openai:gpt-5.1".parse().unwrap(),
            session_name: name.parse().unwrap(),
            session_held: false,
        }
    }

    pub(in super::super) fn pending(id: i64, session: i64) -> Listed {
        listed(id, session, EntryState::Pending)
    }

    pub(in super::super) fn running(id: i64, session: i64) -> Listed {
        let mut running = listed(id, session, EntryState::Running);
        running.entry.attempts = 2;
        running.entry.started_at = Some(Timestamp(NOW.0 - 12_300));
        running.answer_bytes = 1_234;
        running
    }

    pub(in super::super) fn dead(id: i64, session: i64) -> Listed {
        let mut dead = listed(id, session, EntryState::Dead);
        let text = "the key was not accepted: set OPENAI_API_KEY".to_owned();
        dead.entry.attempts = 1;
        dead.entry.finished_at = Some(Timestamp(NOW.0 - 1_000));
        let request_id = Some(format!("req_{id}"));
        dead.entry.error = Some(StoredError { kind: ErrorKind::Auth, status: Some(401), text, request_id });
        dead
    }

    fn view(width: usize) -> View {
        let time_of_day = TimeOfDay(|at| format!("12:{:02}:{:02}", at.0 / 60_000 % 60, at.0 / 1_000 % 60));
        View { now: NOW, time_of_day, width, max_attempts: 5, words: false }
    }

    /// One of each that there is to say.
    fn everything() -> Vec<Listed> {
        let mut retrying = pending(42, 1);
        retrying.entry.attempts = 1;
        retrying.entry.not_before = Some(Timestamp(NOW.0 + 1_200));
        let error =
            StoredError { kind: ErrorKind::Overloaded, status: Some(503), text: "busy".into(), request_id: None };
        retrying.entry.error = Some(error);
        let mut continuing = pending(44, 1);
        (continuing.entry.priority, continuing.entry.origin) = (Priority::Low, Origin::Auto);
        (continuing.entry.continues, continuing.answer_bytes) = (true, 45_678);
        let mut held = pending(45, 2);
        held.session_held = true;
        vec![running(41, 1), retrying, pending(43, 1), continuing, dead(39, 1), held]
    }

    fn gated() -> (Vec<Listed>, Vec<(ModelName, Timestamp)>) {
        let urgent = {
            let mut urgent = pending(7, 1);
            urgent.entry.priority = Priority::High;
            urgent
        };
        (vec![urgent, pending(8, 1)], vec![("openai:gpt-5.1".parse().unwrap(), Timestamp(NOW.0 + 90_000))])
    }

    #[test]
    fn a_queue_reads_well_at_80_columns() {
        insta::assert_snapshot!(queue_answer(&everything(), &[], true, view(80)).text);
    }

    #[test]
    fn a_queue_reads_well_at_40_columns() {
        insta::assert_snapshot!(queue_answer(&everything(), &[], true, view(40)).text);
    }

    #[test]
    fn a_queue_behind_a_gate_says_until_when() {
        let (listed, gates) = gated();
        insta::assert_snapshot!(queue_answer(&listed, &gates, false, view(80)).text);
    }

    #[test]
    fn what_is_held_says_how_it_goes_on() {
        let mut one = pending(7, 1);
        one.entry.held = true;
        let error = dead(8, 1).entry.error;
        let mut refused = pending(9, 1);
        (refused.entry.error, refused.session_held) = (error, true);
        let check = |listed: Listed, of_all, rows: [&str; 2]| {
            let text = queue_answer(&[listed], &[], of_all, view(100)).text;
            assert!(text.lines().zip(rows).all(|(row, start)| row.starts_with(start)), "{text}");
        };
        check(
            one.clone(),
            true,
            ["1:main (openai:gpt-5.1)", "#7 1. normal user, 3 m 05 s old, held: /resume #7 goes on  q"],
        );
        let mut sent = one.clone();
        sent.entry.error = Some(StoredError::unanswered());
        let held = "#7 1. normal user, 3 m 05 s old, held after chatmux ended while this was asked";
        check(sent, true, ["1:main (openai:gpt-5.1)", held]);
        one.session_held = true;
        check(one, false, ["held: /resume 1 goes on", "#7 1. normal user, 3 m 05 s old, held  question"]);
        check(refused, false, ["held: /resume 1 goes on", "#9 1. normal user, 3 m 05 s old, held after 401 the key"]);
    }

    #[test]
    fn dead_letters_read_well() {
        let mut other = dead(40, 2);
        other.entry.error = None;
        let dead = [dead(39, 1), other, pending(41, 2)];
        let answer = dead_answer(&dead, view(80));
        assert_eq!(answer.data.as_array().unwrap().len(), 2);
        insta::assert_snapshot!(format!("{}\n\n{}", answer.text, dead_answer(&dead[..1], view(40)).text));
    }

    #[test]
    fn an_empty_queue_says_so() {
        assert_eq!(queue_answer(&[], &[], true, view(80)).text, "nothing waits, runs or has failed");
        assert_eq!(dead_answer(&[pending(1, 1)], view(80)).text, "nothing is dead");
    }

    #[test]
    fn a_long_queue_is_cut() {
        let mut long: Vec<Listed> = (1..=100).map(|id| pending(id, 1)).collect();
        long.extend((200..230).map(|id| dead(id, 1)));
        let answer = queue_answer(&long, &[], false, view(120));
        let rows: Vec<&str> = answer.text.lines().collect();
        assert_eq!(rows[MAX_WAITING], "… and 60 more");
        assert!(answer.text.contains("… and 20 more are dead: /dead shows them"), "{}", answer.text);
        assert!(!answer.text.contains("#219 ") && answer.text.contains("#220 ") && rows.len() < 70, "{}", answer.text);
        assert_eq!(answer.data.as_array().unwrap().len(), 130, "data has all");
        assert!(dead_answer(&long[100..], view(80)).text.lines().count() < 200);
    }

    #[test]
    fn data_has_what_is_known() {
        let data = queue_answer(&everything(), &[], true, view(80)).data;
        let of = |nth: usize, member: &str| data[nth][member].clone();
        let null = Value::Null;
        assert_eq!(
            (of(0, "running_ms"), of(0, "answer_bytes"), of(0, "position")),
            (12_300.into(), 1_234.into(), null)
        );
        assert_eq!((of(1, "waits_for"), of(1, "until_ms")), ("retry".into(), (NOW.0 + 1_200).into()));
        assert_eq!((of(2, "waits_for"), of(2, "position"), of(2, "age_ms")), ("turn".into(), 2.into(), 185_000.into()));
        assert_eq!((of(3, "continues"), of(3, "answer_bytes")), (true.into(), 45_678.into()));
        assert_eq!((of(4, "waits_for"), of(4, "age_ms")), (Value::Null, Value::Null), "what is over does not age");
        assert_eq!(of(4, "finished_at_ms"), Value::from(NOW.0 - 1_000));
        assert_eq!((of(5, "held"), of(5, "waits_for"), of(5, "position")), (true.into(), "held".into(), 1.into()));
        let names: Vec<_> = data[0].as_object().unwrap().keys().map(String::as_str).collect();
        let expected = "entry session state priority origin attempts held not_before_ms created_at_ms text error position \
            waits_for until_ms age_ms running_ms answer_bytes continues started_at_ms finished_at_ms";
        assert_eq!(names.join(" "), expected);
    }

    proptest! {
        #[test]
        fn no_row_is_wider_than_the_terminal(
            width in 40usize..130,
            text in "(?s).{0,60}",
            reason in "(?s).{0,80}",
            request in "\\PC{0,80}",
        ) {
            let mut listed = everything();
            for listed in &mut listed {
                listed.entry.text.clone_from(&text);
                if let Some(error) = &mut listed.entry.error {
                    (error.text, error.request_id) = (reason.clone(), Some(request.clone()));
                }
            }
            let (queue, dead) = (queue_answer(&listed, &[], true, view(width)).text, dead_answer(&listed, view(width)).text);
            for row in queue.lines().chain(dead.lines()) {
                prop_assert!(row.width() <= width, "{:?} at {}", row, width);
                prop_assert!(!row.contains(char::is_control), "{:?}", row);
            }
        }
    }
}
