//! Auto-reply loops: an answer's end and what follows are one commit, and a stop is never overtaken.

use super::*;
use crate::domain::AutoReply;

fn auto(session: SessionId) -> AutoReply {
    AutoReply {
        session,
        text: "go on\0 \n".to_owned(),
        max_turns: 10,
        until: Some("DONE".to_owned()),
        max_time: Duration::from_secs(3_600),
        max_tokens: u64::MAX,
        stop_on_repeat: true,
        started_at: NOW,
        turns: 0,
        tokens: 0,
        last_answer: None,
    }
}

fn begin(fresh: &Fresh, auto: &AutoReply, queue_now: bool) -> AutoReplyBegun {
    fresh.write(BeginAutoReply { auto: auto.clone(), queue_now, now: NOW })
}

fn follow(decide: impl Fn(&str) -> FollowUp + Send + Sync + 'static) -> Option<Follow> {
    Some(Follow(Arc::new(decide)))
}

/// The loop one auto-reply later.
fn next(auto: &AutoReply) -> AutoReply {
    AutoReply { turns: auto.turns + 1, tokens: 21, last_answer: Some(-5), ..auto.clone() }
}

fn ends_with(turn: &Turn, decision: &FollowUp) -> EndTurn {
    let decision = decision.clone();
    EndTurn { chunks: text("an answer"), follow: follow(move |_| decision.clone()), ..completed(turn) }
}

#[test]
fn an_answer_queues_the_next_in_its_own_commit() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    let auto = auto(session);
    assert_eq!(begin(&fresh, &auto, false), AutoReplyBegun { queued: None, cancelled: vec![] });
    assert_eq!(fresh.read(AutoReplies), std::slice::from_ref(&auto));
    let turn = fresh.start(session, "q");
    fresh.write(AppendChunks { answer: turn.answer, chunks: text("the whole ") });
    let decided = next(&auto);
    let decide = {
        let decided = decided.clone();
        move |answer: &str| {
            assert_eq!(answer, "the whole answer");
            FollowUp::Queue(decided.clone())
        }
    };
    let before = fresh.store.writer_counts();
    let end = fresh.write(EndTurn { chunks: text("answer"), follow: follow(decide), ..completed(&turn) });
    assert_eq!(fresh.store.writer_counts().commits, before.commits + 1);
    let queued = end.queued.unwrap();
    assert_eq!(end.follow_up, Some(FollowUp::Queue(decided.clone())));
    assert_eq!((queued.text.as_str(), queued.priority, queued.origin), ("go on\0 \n", Priority::Low, Origin::Auto));
    assert_eq!(fresh.read(PendingEntries), [queued]);
    assert_eq!(fresh.read(AutoReplies), [decided]);
}

#[test]
fn a_loop_ends_with_an_answer() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    begin(&fresh, &auto(session), false);
    let turn = fresh.start(session, "q");
    let nothing = fresh.write(ends_with(&turn, &FollowUp::Nothing));
    assert_eq!((nothing.queued, nothing.follow_up), (None, Some(FollowUp::Nothing)));
    assert_eq!(fresh.read(AutoReplies).len(), 1);
    let turn = fresh.start(session, "q");
    let begun = auto(session).started_at;
    // One that was begun since is not meant.
    let older = fresh.write(ends_with(&turn, &FollowUp::End(Timestamp(begun.0 - 1))));
    assert_eq!((older.queued, older.follow_up), (None, Some(FollowUp::Nothing)));
    assert_eq!(fresh.read(AutoReplies).len(), 1);
    let turn = fresh.start(session, "q");
    let end = fresh.write(ends_with(&turn, &FollowUp::End(begun)));
    assert_eq!((end.queued, end.follow_up), (None, Some(FollowUp::End(begun))));
    assert_eq!(fresh.read(AutoReplies), []);
}

#[test]
fn what_was_ended_meanwhile_queues_nothing() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    let first = auto(session);
    let turn = fresh.start(session, "q");
    let gone = fresh.write(ends_with(&turn, &FollowUp::Queue(next(&first))));
    assert_eq!((gone.queued, gone.follow_up), (None, Some(FollowUp::Nothing)));
    let successor = AutoReply { started_at: Timestamp(NOW.0 + 1), ..first.clone() };
    begin(&fresh, &first, false);
    begin(&fresh, &successor, false);
    let turn = fresh.start(session, "q");
    assert_eq!(fresh.write(ends_with(&turn, &FollowUp::Queue(next(&first)))).queued, None);
    assert_eq!(fresh.write(QueueAutoReply { auto: next(&first), now: NOW }), None);
    assert_eq!(fresh.read(AutoReplies), [successor]);
    assert_eq!(fresh.read(PendingEntries), []);
}

#[test]
fn nobody_is_asked_while_the_turn_goes_on() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    begin(&fresh, &auto(session), false);
    let turn = fresh.start(session, "q");
    let retry = EndTurn {
        entry_state: EntryState::Pending,
        follow: follow(|_| unreachable!("it is not asked")),
        ..completed(&turn)
    };
    let end = fresh.write(retry);
    assert_eq!((end.queued, end.follow_up), (None, None));
}

#[test]
fn one_auto_reply_waits_or_runs_at_most() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    let auto = auto(session);
    let queued = begin(&fresh, &auto, true).queued.unwrap();
    assert_eq!((queued.priority, queued.origin), (Priority::Low, Origin::Auto));
    let turn = fresh.start(session, "overtakes it");
    assert_eq!(fresh.write(ends_with(&turn, &FollowUp::Queue(next(&auto)))).follow_up, Some(FollowUp::Nothing));
    assert_eq!(fresh.write(QueueAutoReply { auto: next(&auto), now: NOW }), None);
    let runs = fresh.write(StartTurn { entry: queued.id, now: NOW });
    assert_eq!(fresh.write(QueueAutoReply { auto: next(&auto), now: NOW }), None);
    assert_eq!(fresh.read(AutoReplies), std::slice::from_ref(&auto), "what was not queued is not counted");
    fresh.write(completed(&runs));
    let after_a_restart = fresh.write(QueueAutoReply { auto: next(&auto), now: NOW }).unwrap();
    assert_eq!(ids(&fresh.read(PendingEntries)), [after_a_restart.id]);
    assert_eq!(fresh.read(AutoReplies), [next(&auto)]);
}

#[test]
fn a_new_loop_takes_the_place_of_the_old_one() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    let old = begin(&fresh, &auto(session), true).queued.unwrap();
    let successor = AutoReply { text: "other words".to_owned(), until: None, ..auto(session) };
    let begun = begin(&fresh, &successor, true);
    assert_eq!(begun.cancelled, [old.id]);
    assert_eq!(ids(&fresh.read(PendingEntries)), [begun.queued.unwrap().id]);
    assert_eq!(fresh.read(AutoReplies), [successor]);
    let gone = BeginAutoReply { auto: auto(SessionId(9)), queue_now: true, now: NOW };
    assert!(matches!(fresh.fails(gone), StoreError::NoSession(_)));
}

#[test]
fn a_stop_ends_loops_and_what_waits_of_them() {
    let fresh = Fresh::new();
    let (one, two, three) = (fresh.session().id, fresh.session().id, fresh.session().id);
    let autos = [auto(one), auto(two)];
    let queued = begin(&fresh, &autos[0], true).queued.unwrap().id;
    begin(&fresh, &autos[1], false);
    let typed = fresh.enqueue(one, "typed").id;
    let ended = fresh.write(EndAutoReplies { sessions: vec![one, two, three, SessionId(9)], now: NOW });
    assert_eq!(ended, AutoRepliesEnded { ended: autos.to_vec(), cancelled: vec![(one, queued)] });
    assert_eq!(ids(&fresh.read(PendingEntries)), [typed]);
    assert_eq!(fresh.read(AutoReplies), []);
    let again = fresh.write(EndAutoReplies { sessions: vec![one], now: NOW });
    assert_eq!(again, AutoRepliesEnded::default());
}

#[test]
fn a_loop_outlives_its_process_but_not_its_session() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    begin(&fresh, &auto(session), false);
    let (fresh, _) = fresh.reopened(NOW);
    assert_eq!(fresh.read(AutoReplies), [auto(session)]);
    fresh.write(DeleteSession { session });
    assert_eq!(fresh.read(AutoReplies), []);
}

#[test]
fn gates_are_kept_until_they_are_opened() {
    let fresh = Fresh::new();
    let set = |fresh: &Fresh, name: &str, until: Option<i64>, now| {
        fresh.write(SetGate { model: name.parse().unwrap(), until: until.map(Timestamp), now: Timestamp(now) });
    };
    set(&fresh, "openai:mini", Some(5), 1);
    set(&fresh, "anthropic:opus", Some(6), 1);
    set(&fresh, "openai:mini", Some(7), 2);
    set(&fresh, "openai:large", Some(9), 2);
    set(&fresh, "gemini:flash", None, 2);
    let (fresh, _) = fresh.reopened(NOW);
    let gate = |name: &str, until| (name.parse::<crate::domain::ModelName>().unwrap(), Timestamp(until));
    let expected = [gate("anthropic:opus", 6), gate("openai:large", 9), gate("openai:mini", 7)];
    assert_eq!(fresh.read(Gates), expected);
    set(&fresh, "openai:large", None, 2);
    assert_eq!(fresh.read(Gates), [expected[0].clone(), expected[2].clone()], "a model's gate is its own");
    set(&fresh, "gemini:flash", None, 6);
    assert_eq!(fresh.read(Gates), expected[2..], "what is due is forgotten");
}
