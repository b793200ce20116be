//! What was typed: kept session by session, bounded, and gone with its session.

use super::*;
use crate::domain::limits::{MAX_HISTORY_LINE_BYTES, MAX_HISTORY_LINES};

fn keep(fresh: &Fresh, session: SessionId, line: &str) {
    fresh.write(KeepTyped { session, line: line.to_owned(), now: NOW });
}

#[test]
fn lines_of_two_sessions_are_apart_and_together() {
    let fresh = Fresh::new();
    let (one, two) = (fresh.session().id, fresh.session().id);
    for (session, line) in [(one, "a"), (two, "b"), (one, "c"), (two, "a"), (one, "d\n  e")] {
        keep(&fresh, session, line);
    }
    assert_eq!(fresh.read(TypedIn { session: one }), ["a", "c", "d\n  e"]);
    assert_eq!(fresh.read(TypedIn { session: two }), ["b", "a"]);
    assert_eq!(fresh.read(TypedEverywhere), ["b", "c", "a", "d\n  e"]);
    let (fresh, _) = fresh.reopened(NOW);
    assert_eq!(fresh.read(TypedIn { session: one }), ["a", "c", "d\n  e"]);
    fresh.write(DeleteSession { session: one });
    assert_eq!(fresh.read(TypedEverywhere), ["b", "a"]);
    keep(&fresh, one, "of a session that is gone");
    assert_eq!(fresh.read(TypedEverywhere), ["b", "a"]);
}

#[test]
fn what_is_not_to_be_kept_is_not() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    let (long, longest) = ("x".repeat(MAX_HISTORY_LINE_BYTES + 1), "x".repeat(MAX_HISTORY_LINE_BYTES));
    for line in ["a", "a", " secret", "\tsecret", "", &long, "b", "a", &longest, &longest] {
        keep(&fresh, session, line);
    }
    assert_eq!(fresh.read(TypedIn { session }), ["a", "b", "a", &longest]);
}

#[test]
fn the_newest_lines_are_kept_and_no_more() {
    let fresh = Fresh::new();
    let (full, other) = (fresh.session().id, fresh.session().id);
    keep(&fresh, other, "other");
    let lines: Vec<String> = (0..MAX_HISTORY_LINES + 7).map(|n| format!("line {n}")).collect();
    let kept: Vec<_> = lines
        .iter()
        .map(|line| fresh.store.submit(KeepTyped { session: full, line: line.clone(), now: NOW }))
        .collect();
    drop(kept);
    keep(&fresh, other, "another");
    assert_eq!(fresh.read(TypedIn { session: full }), lines[7..]);
    assert_eq!(fresh.read(TypedIn { session: other }), ["other", "another"]);
    let everywhere = fresh.read(TypedEverywhere);
    assert_eq!(everywhere.len(), MAX_HISTORY_LINES);
    assert_eq!(everywhere[..999], lines[8..]);
    assert_eq!(everywhere[999], "another");
    let rows: i64 = Connection::open(fresh.path())
        .unwrap()
        .query_row("SELECT count(*) FROM history", [], |row| row.get(0))
        .unwrap();
    assert_eq!(rows, MAX_HISTORY_LINES as i64 + 2);
}
