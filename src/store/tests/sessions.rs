//! Sessions: made, changed, found, deleted.

use super::*;
use crate::domain::{MessageId, Seen, SessionRef};

fn named(name: &str) -> CreateSession {
    let name = Some(name.parse().unwrap());
    CreateSession { name, model: "demo:tour".parse().unwrap(), system: "be brief".to_owned(), now: NOW }
}

#[test]
fn a_session_is_kept_as_it_was_made() {
    let fresh = Fresh::new();
    let made = fresh.write(named("docs"));
    assert_eq!((made.id, made.name.as_str(), made.system.as_str()), (SessionId(1), "docs", "be brief"));
    assert_eq!((made.seen, made.held, made.closed_at, made.created_at), (Seen::START, false, None, NOW));
    assert_eq!(fresh.read(FindSession(SessionRef::Id(made.id))), Some(made.clone()));
    assert_eq!(fresh.read(FindSession("docs".parse().unwrap())), Some(made.clone()));
    assert_eq!(fresh.read(FindSession("other".parse().unwrap())), None);
    let (fresh, opening) = fresh.reopened(NOW);
    assert_eq!(
        opening,
        Opening { sole: true, created: false, process: opening.process, recovery: Recovery::default() }
    );
    assert_eq!(fresh.read(Sessions { closed: false }), [made]);
}

#[test]
fn names_are_unique_and_a_default_finds_a_free_one() {
    let fresh = Fresh::new();
    assert_eq!(fresh.session().name.as_str(), "main");
    fresh.write(named("chat4"));
    fresh.write(named("chat4-2"));
    assert_eq!(fresh.session().name.as_str(), "chat4-3");
    assert_eq!(fresh.fails(named("main")), StoreError::NameTaken("main".parse().unwrap()));
    let name = "main".parse().unwrap();
    assert!(matches!(fresh.fails(RenameSession { session: SessionId(2), name }), StoreError::NameTaken(_)));
    fresh.write(RenameSession { session: SessionId(2), name: "docs".parse().unwrap() });
    let names: Vec<_> = fresh.read(Sessions { closed: false }).iter().map(|s| s.name.to_string()).collect();
    assert_eq!(names, ["main", "docs", "chat4-2", "chat4-3"]);
}

#[test]
fn every_setting_is_kept() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    let seen = Seen { message: MessageId(7), reasoning_bytes: 1, text_bytes: 2, ended: false };
    fresh.write(SetModel { session, model: "ollama:qwen3:8b".parse().unwrap() });
    fresh.write(SetSystem { session, system: "short".to_owned() });
    fresh.write(SetDraft { session, draft: "half a l\0ine".to_owned() });
    fresh.write(HoldSessions { sessions: vec![session], held: true });
    fresh.write(SetSeen { session, seen });
    fresh.write(CloseSession { session, now: Timestamp(5) });
    fresh.write(CloseSession { session, now: Timestamp(6) });
    assert_eq!(fresh.read(Sessions { closed: false }), []);
    let found = fresh.read(Sessions { closed: true }).remove(0);
    assert_eq!(found.model.to_string(), "ollama:qwen3:8b");
    assert_eq!((found.system.as_str(), found.draft.as_str(), found.held), ("short", "half a l\0ine", true));
    assert_eq!((found.seen, found.closed_at), (seen, Some(Timestamp(5))));
    fresh.write(ReopenSession { session });
    fresh.write(SetSeen { session, seen: Seen::whole(MessageId(9)) });
    let found = fresh.read(Sessions { closed: false }).remove(0);
    assert_eq!((found.seen, found.closed_at), (Seen::whole(MessageId(9)), None));
}

#[test]
fn what_is_not_there_is_said() {
    let fresh = Fresh::new();
    let session = SessionId(9);
    let none = StoreError::NoSession(SessionRef::Id(session));
    assert_eq!(fresh.fails(SetDraft { session, draft: String::new() }), none);
    assert_eq!(fresh.fails(SetActive { session }), none);
    assert_eq!(fresh.fails(DeleteSession { session }), none);
    assert_eq!(fresh.fails(enqueue(session, "x")), none);
    assert_eq!(fresh.fails(StartTurn { entry: crate::domain::EntryId(3), now: NOW }).to_string(), {
        "there is no entry #3: /queue lists them"
    });
}

#[test]
fn the_active_session_is_remembered_until_it_is_deleted() {
    let fresh = Fresh::new();
    assert_eq!(fresh.read(ActiveSession), None);
    let (one, two) = (fresh.session(), fresh.session());
    fresh.write(SetActive { session: one.id });
    fresh.write(SetActive { session: two.id });
    let (fresh, _) = fresh.reopened(NOW);
    assert_eq!(fresh.read(ActiveSession).map(|s| s.id), Some(two.id));
    fresh.write(DeleteSession { session: two.id });
    assert_eq!(fresh.read(ActiveSession), None);
}

#[test]
fn a_deleted_session_takes_all_its_rows_along_and_its_number_is_not_used_again() {
    let fresh = Fresh::new();
    let (one, two) = (fresh.session(), fresh.session());
    fresh.turn(one.id, "q", "a");
    fresh.turn(two.id, "q", "a");
    let turn = fresh.start(two.id, "more");
    fresh.write(AppendChunks { answer: turn.answer, chunks: text("partial") });
    fresh.write(DeleteSession { session: two.id });
    let gone = fresh.fails(AppendChunks { answer: turn.answer, chunks: text("late") });
    assert_eq!(gone, StoreError::NoMessage(turn.answer));
    assert_eq!(fresh.fails(completed(&turn)), StoreError::NoEntry(turn.entry));
    assert_eq!(fresh.read(History { session: one.id, last: 10 }).len(), 2);
    assert_eq!(fresh.session().id, SessionId(3));
    fresh.store.close();
    let raw = rusqlite::Connection::open(fresh.folder.path().join("chatmux.db")).unwrap();
    let left: (i64, i64, f64) = raw
        .query_row(
            "SELECT (SELECT count(*) FROM entries), (SELECT count(*) FROM messages), \
                 (SELECT total(octet_length(text)) FROM chunks)",
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )
        .unwrap();
    assert_eq!(left, (1, 2, 0.0));
}

#[test]
fn summaries_count() {
    let fresh = Fresh::new();
    let (one, two) = (fresh.session(), fresh.session());
    fresh.turn(one.id, "q", "a");
    fresh.write(Enqueue { now: Timestamp(NOW.0 + 7), ..enqueue(one.id, "waits") });
    let turn = fresh.start(one.id, "runs");
    let dead = fresh.start(two.id, "fails");
    fresh.write(EndTurn { entry_state: EntryState::Dead, answer_state: AnswerState::Failed, ..completed(&dead) });
    let summaries = fresh.read(SessionSummaries { closed: false });
    let counts: Vec<_> = summaries.iter().map(|s| (s.session.id, s.messages, s.pending, s.dead, s.running)).collect();
    assert_eq!(counts, [(one.id, 4, 1, 0, true), (two.id, 2, 0, 1, false)]);
    fresh.write(EndTurn { now: Timestamp(NOW.0 + 9), ..completed(&turn) });
    let last = |nth: usize| fresh.read(SessionSummaries { closed: true })[nth].last_activity;
    assert_eq!(last(0), Timestamp(NOW.0 + 9));
    // Who stands last is not always who came last.
    fresh.enqueue(two.id, "earlier");
    let later = fresh.write(Enqueue { now: Timestamp(NOW.0 + 11), ..enqueue(two.id, "later") });
    fresh.write(RequeueEntries { ids: vec![dead.entry], now: NOW });
    assert_eq!(last(1), later.created_at);
}

#[test]
fn the_ends_say_what_is_unread() {
    let fresh = Fresh::new();
    let (one, two, three) = (fresh.session(), fresh.session(), fresh.session());
    let whole = fresh.turn(one.id, "q", "a");
    let running = fresh.start(two.id, "q");
    let ends = |fresh: &Fresh| fresh.read(SessionEnds).iter().map(|e| (e.session, e.end)).collect::<Vec<_>>();
    let expected =
        [(one.id, Seen::whole(whole.answer)), (two.id, Seen::whole(running.question)), (three.id, Seen::START)];
    assert_eq!(ends(&fresh), expected);
    fresh.write(AppendChunks { answer: running.answer, chunks: [reasoning("hm"), text("é")].concat() });
    let partial = Seen { message: running.answer, reasoning_bytes: 2, text_bytes: 2, ended: false };
    assert_eq!(ends(&fresh)[1], (two.id, partial));
    let again = EndTurn { entry_state: EntryState::Pending, answer_state: AnswerState::Failed, ..completed(&running) };
    fresh.write(again);
    assert_eq!(ends(&fresh)[1], (two.id, partial));
}

/// An earlier version stored names as they were typed, with whatever they held.
#[test]
fn a_name_that_is_stored_in_another_form_is_found_and_kept() {
    let fresh = Fresh::new();
    fresh.session();
    for (id, name) in [(2, "cafe\u{301}"), (3, "do\u{200b}cs"), (4, "\u{1112}\u{1161}\u{11ab}")] {
        let create = CreateSession { name: None, model: "demo:echo".parse().unwrap(), system: String::new(), now: NOW };
        let made = fresh.write(create);
        assert_eq!(made.id, SessionId(id));
        let raw = Connection::open(fresh.path()).unwrap();
        raw.execute("UPDATE sessions SET name = ?2 WHERE id = ?1", rusqlite::params![id, name]).unwrap();
    }
    let named = |name: &str| fresh.read(FindSession(name.parse().unwrap())).map(|session| session.id);
    assert_eq!(named("caf\u{e9}"), Some(SessionId(2)));
    assert_eq!(named("cafe\u{301}"), Some(SessionId(2)));
    assert_eq!(named("\u{d55c}"), Some(SessionId(4)));
    assert_eq!(named("docs"), None);
    let all = fresh.read(Sessions { closed: true });
    assert_eq!(all[2].name.as_str(), "do\u{200b}cs");
    let rename = RenameSession { session: SessionId(3), name: "docs".parse().unwrap() };
    fresh.write(rename);
    assert_eq!(named("docs"), Some(SessionId(3)));
}
