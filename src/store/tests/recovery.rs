//! What a process leaves that ends without saying so. Closing the store does what its death would: it ends no turn.

use std::collections::BTreeMap;

use super::*;
use crate::domain::{AutoReply, ErrorKind};

#[test]
fn partials_are_kept_and_what_waited_is_held() {
    let fresh = Fresh::new();
    let (one, two, three) = (fresh.session().id, fresh.session().id, fresh.session().id);
    fresh.turn(one, "is done", "yes");
    let cut = fresh.start(one, "streams");
    fresh.write(AppendChunks { answer: cut.answer, chunks: text("hal") });
    fresh.write(AppendChunks { answer: cut.answer, chunks: text("f é") });
    let thinking = fresh.start(two, "only thinks");
    fresh.write(AppendChunks { answer: thinking.answer, chunks: reasoning("hm") });
    let waiting = fresh.enqueue(one, "waits").id;
    let held = fresh.enqueue(three, "was held before").id;
    fresh.write(HoldEntries { ids: vec![held], held: true });

    let later = Timestamp(NOW.0 + 60_000);
    let (fresh, opening) = fresh.reopened(later);
    let interrupted =
        vec![Interrupted { session: one, entry: cut.entry, answer: cut.answer, text_bytes: "half é".len() as u64 }];
    let requeued = vec![(two, thinking.entry)];
    let held_now = BTreeMap::from([(one, vec![waiting]), (two, vec![thinking.entry])]);
    assert_eq!(opening.recovery, Recovery { interrupted, requeued, held: held_now });

    let answer = fresh.read(FindMessage(cut.answer)).unwrap();
    assert_eq!((answer.text.as_str(), answer.state), ("half é", AnswerState::Interrupted));
    assert_eq!(answer.finished_at, Some(later));
    assert_eq!(answer.error.map(|e| e.kind), Some(ErrorKind::Transport));
    assert_eq!(fresh.read(FindEntry(cut.entry)).map(|e| e.state), Some(EntryState::Done));
    let stats = fresh.read(StatsOf { session: Some(one) });
    assert_eq!((stats.complete, stats.interrupted, stats.processing.count), (1, 1, 1));
    let again = fresh.read(FindEntry(thinking.entry)).unwrap();
    assert_eq!((again.state, again.attempts, again.held), (EntryState::Pending, 1, true));
    assert!(fresh.read(PendingEntries).iter().all(|e| e.held));

    let turn = fresh.write(StartTurn { entry: thinking.entry, now: later });
    assert_eq!(turn.attempt, 2);
    assert!(turn.answer > thinking.answer, "what it thought before is not added to");
    assert_eq!(fresh.read(FindMessage(turn.answer)).unwrap().reasoning, "");
    fresh.write(completed(&turn));
    let (_, opening) = fresh.reopened(later);
    let still_held = Recovery { held: [(SessionId(1), vec![EntryId(4)])].into(), ..Recovery::default() };
    assert_eq!(opening.recovery, still_held, "until somebody lets it go on");
}

#[test]
fn another_living_process_is_left_alone() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    let turn = fresh.start(session, "streams");
    fresh.write(AppendChunks { answer: turn.answer, chunks: text("hal") });
    fresh.enqueue(session, "waits");

    let (other, opening) = Store::open(&fresh.path(), NOW).unwrap();
    assert_eq!(
        opening,
        Opening { sole: false, created: false, process: opening.process, recovery: Recovery::default() }
    );
    assert!(other.read_blocking(PendingEntries).unwrap().iter().all(|e| !e.held));
    fresh.write(EndTurn { chunks: text("f"), ..completed(&turn) });
    assert_eq!(other.read_blocking(FindMessage(turn.answer)).unwrap().unwrap().text, "half");

    // The first goes, the second lives: still nobody is alone.
    let Fresh { folder, store } = fresh;
    store.close();
    let (third, opening) = Store::open(&folder.path().join("chatmux.db"), NOW).unwrap();
    assert!(!opening.sole);
    other.close();
    third.close();
    assert!(Store::open(&folder.path().join("chatmux.db"), NOW).unwrap().1.sole);
}

#[test]
fn a_visitor_repairs_nothing_and_does_not_count() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    let turn = fresh.start(session, "streams");
    fresh.store.clone().close();
    let visitor = Store::visit(&fresh.path()).unwrap();
    assert_eq!(visitor.read_blocking(FindMessage(turn.answer)).unwrap().unwrap().state, AnswerState::Streaming);
    let (_, opening) = fresh.reopened(NOW);
    assert!(opening.sole);
    assert_eq!(opening.recovery.requeued, [(session, turn.entry)]);
    visitor.close();
}

#[test]
fn looking_for_what_a_dead_process_left_does_not_walk_all_messages() {
    let fresh = Fresh::new();
    let raw = Connection::open(fresh.path()).unwrap();
    for (sql, index) in [(recover::STREAMING, "INDEX messages_streaming"), (recover::HELD, "INDEX entries_pending")] {
        let plan: String = raw.query_row(&format!("EXPLAIN QUERY PLAN {sql}"), [], |row| row.get("detail")).unwrap();
        assert!(plan.contains(index), "{plan}");
    }
}

#[test]
fn an_auto_reply_without_its_loop_is_not_sent() {
    let fresh = Fresh::new();
    let (ended, lives) = (fresh.session().id, fresh.session().id);
    let auto =
        |session| Enqueue { session, priority: Priority::Low, origin: Origin::Auto, text: "more".into(), now: NOW };
    let (orphan, kept) = (fresh.write(auto(ended)).id, fresh.write(auto(lives)).id);
    let row = AutoReply {
        session: lives,
        text: "more".to_owned(),
        max_turns: 2,
        until: None,
        max_time: std::time::Duration::from_secs(60),
        max_tokens: 1_000,
        stop_on_repeat: false,
        started_at: NOW,
        turns: 0,
        tokens: 0,
        last_answer: None,
    };
    let begun = fresh.write(BeginAutoReply { auto: row, queue_now: true, now: NOW });
    assert_eq!(begun.cancelled, [kept]);
    let (fresh, opening) = fresh.reopened(NOW);
    assert_eq!(fresh.read(FindEntry(orphan)).map(|entry| entry.state), Some(EntryState::Cancelled));
    assert_eq!(opening.recovery.held, BTreeMap::from([(lives, vec![begun.queued.unwrap().id])]));
}
