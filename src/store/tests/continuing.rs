//! Answers that are cut and go on: where the partial stands, what is told of it, and that nothing of it doubles or is lost.

use super::*;
use crate::domain::{Kept, Message, MessageId, Output, Role, Seen};

/// An attempt that gave way, and goes on when its turn comes again.
fn gave_way(turn: &Turn, chunks: Vec<(ChunkKind, String)>) -> EndTurn {
    EndTurn {
        chunks,
        answer_state: AnswerState::Failed,
        entry_state: EntryState::Pending,
        continues: true,
        finish: None,
        counts: false,
        gave_way: true,
        ..completed(turn)
    }
}

fn again(fresh: &Fresh, turn: &Turn) -> Turn {
    fresh.write(StartTurn { entry: turn.entry, now: NOW })
}

fn answer(fresh: &Fresh, turn: &Turn) -> Message {
    fresh.read(FindMessage(turn.answer)).unwrap()
}

fn context(fresh: &Fresh, turn: &Turn) -> Vec<(Role, String)> {
    let messages = fresh.read(Context { session: turn.session, question: turn.question });
    messages.into_iter().map(|m| (m.role, m.text)).collect()
}

#[test]
fn an_answer_goes_on_in_the_same_rows() {
    let fresh = Fresh::new();
    let turn = fresh.start(fresh.session().id, "count");
    fresh.write(AppendChunks { answer: turn.answer, chunks: reasoning("hmm") });
    fresh.write(AppendChunks { answer: turn.answer, chunks: text("one, ") });
    let end = fresh.write(gave_way(&turn, text("zwö, ")));
    assert_eq!(end, TurnEnd { text: "one, zwö, ".to_owned(), seams: Vec::new(), queued: None, follow_up: None });
    let entry = fresh.read(FindEntry(turn.entry)).unwrap();
    assert_eq!((entry.state, entry.attempts, entry.continues), (EntryState::Pending, 0, true));
    let cut = answer(&fresh, &turn);
    assert_eq!((cut.state, cut.finished_at, cut.seams), (AnswerState::Interrupted, None, vec![]));

    let second = again(&fresh, &turn);
    let kept = Kept { text: "one, zwö, ".to_owned(), reasoning_bytes: 3 };
    assert_eq!(second, Turn { kept, ..turn.clone() });
    assert_eq!(fresh.read(FindEntry(turn.entry)).map(|e| (e.continues, e.attempts)), Some((false, 1)));
    let goes_on = answer(&fresh, &turn);
    assert_eq!((goes_on.state, goes_on.text.as_str()), (AnswerState::Streaming, "one, zwö, "));
    assert_eq!(context(&fresh, &second), [(Role::User, "count".to_owned())]);

    fresh.write(AppendChunks { answer: turn.answer, chunks: text("three, ") });
    fresh.write(gave_way(&second, Vec::new()));
    let third = again(&fresh, &turn);
    assert_eq!(third.kept.text, "one, zwö, three, ");
    assert_eq!(fresh.write(EndTurn { chunks: text("four"), ..completed(&third) }).text, "one, zwö, three, four");
    let whole = answer(&fresh, &turn);
    assert_eq!((whole.state, whole.seams), (AnswerState::Complete, vec![11, 18]));
    assert_eq!((whole.text.as_str(), whole.reasoning.as_str()), ("one, zwö, three, four", "hmm"));
    assert_eq!(fresh.read(FindEntry(turn.entry)).map(|e| e.continues), Some(false));
}

#[test]
fn an_answer_that_others_overtook_goes_on_at_the_end() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    let earlier = fresh.turn(session, "earlier", "yes");
    let turn = fresh.start(session, "long");
    fresh.write(gave_way(&turn, [reasoning("hm"), text("first half")].concat()));
    let overtakes = fresh.start(session, "urgent");
    assert_eq!(overtakes.before, turn.answer, "what was put out counts, although it waits");
    let said = [(Role::User, "earlier"), (Role::Assistant, "yes"), (Role::User, "urgent")];
    assert_eq!(context(&fresh, &overtakes), said.map(|(role, text)| (role, text.to_owned())));
    fresh.write(EndTurn { chunks: text("now"), ..completed(&overtakes) });

    let moved = again(&fresh, &turn);
    assert!(moved.moved && moved.question > overtakes.answer && moved.answer > moved.question);
    assert_eq!(moved.kept, Kept { text: "first half".to_owned(), reasoning_bytes: 2 });
    assert_eq!(moved.before, overtakes.answer);
    assert_eq!(fresh.read(FindMessage(turn.question)), None);
    assert_eq!(fresh.read(FindMessage(turn.answer)), None);
    let seen = Seen { message: turn.answer, reasoning_bytes: 2, text_bytes: 10, ended: false };
    let behind = fresh.read(OutputSince { session, seen, max_bytes: 1 << 20 });
    let shown: Vec<_> = behind.outputs.iter().map(Output::message).collect();
    let (a, b) = (overtakes.question, overtakes.answer);
    assert_eq!(shown, [a, b, b, moved.question, moved.answer, moved.answer]);

    fresh.write(EndTurn { chunks: text(" and second"), ..completed(&moved) });
    let history = fresh.read(History { session, last: 10 });
    let texts: Vec<_> = history.iter().map(|m| m.text.as_str()).collect();
    assert_eq!(texts, ["earlier", "yes", "urgent", "now", "long", "first half and second"]);
    let last = history.last().unwrap();
    assert_eq!((last.seams.as_slice(), last.reasoning.as_str()), ([10].as_slice(), "hm"));
    assert_eq!(history[1].id, earlier.answer);
}

#[test]
fn an_answer_without_text_starts_afresh() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    let silent = fresh.start(session, "says nothing yet");
    fresh.write(gave_way(&silent, Vec::new()));
    let same = again(&fresh, &silent);
    assert_eq!(same, silent, "the same empty rows");
    fresh.write(gave_way(&same, reasoning("hm")));
    let anew = again(&fresh, &silent);
    assert!(anew.moved && anew.answer > silent.answer);
    assert_eq!((anew.kept.clone(), answer(&fresh, &anew).reasoning), (Kept::default(), String::new()));
    fresh.write(EndTurn { chunks: text("x"), ..completed(&anew) });
    assert_eq!(answer(&fresh, &anew).seams, [0; 0]);
}

#[test]
fn what_does_not_continue_is_not_gone_on_from() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    let turn = fresh.start(session, "q");
    fresh.write(EndTurn { continues: false, ..gave_way(&turn, text("half")) });
    let anew = again(&fresh, &turn);
    assert!(anew.moved && anew.kept == Kept::default());
    // Nor what was cut again and again and then failed for good.
    fresh.write(gave_way(&anew, text("half")));
    let third = again(&fresh, &turn);
    let failed = EndTurn { entry_state: EntryState::Dead, ..gave_way(&third, text(" more")) };
    fresh.write(failed);
    assert_eq!(answer(&fresh, &third).state, AnswerState::Failed);
    let [back] = fresh.write(RequeueEntries { ids: vec![turn.entry], now: NOW }).try_into().unwrap();
    assert_eq!((back.continues, back.attempts, back.error, back.started_at), (false, 0, None, None));
    let afresh = again(&fresh, &turn);
    assert_eq!((afresh.kept.clone(), afresh.attempt), (Kept::default(), 1));
    assert_eq!((answer(&fresh, &afresh).text, answer(&fresh, &afresh).seams), (String::new(), vec![]));
}

#[test]
fn what_was_cut_stands_before_its_equals() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    let low = |text: &str| fresh.write(Enqueue { priority: Priority::Low, ..enqueue(session, text) }).id;
    let (first, cut) = (low("first"), low("cut"));
    let normal = fresh.enqueue(session, "normal").id;
    let turn = fresh.write(StartTurn { entry: cut, now: NOW });
    fresh.write(gave_way(&turn, text("half")));
    assert_eq!(ids(&fresh.read(PendingEntries)), [normal, cut, first]);
    assert_eq!(ids(&fresh.read(QueueListing { session: Some(session) })), [normal, cut, first]);
    assert_eq!(fresh.write(CancelEntries { ids: vec![cut], now: NOW }), [cut]);
    assert_eq!(fresh.read(FindEntry(cut)).map(|e| e.continues), Some(false));
    let turn = fresh.start(session, "and then");
    assert_eq!(context(&fresh, &turn)[1], (Role::Assistant, "half".to_owned()), "a cancelled one is kept as it is");
}

#[test]
fn a_continued_answer_survives_the_end_of_its_process() {
    let fresh = Fresh::new();
    let (one, two) = (fresh.session().id, fresh.session().id);
    let runs = fresh.start(one, "runs");
    fresh.write(gave_way(&runs, text("one ")));
    let runs = again(&fresh, &runs);
    fresh.write(AppendChunks { answer: runs.answer, chunks: text("two ") });
    let waits = fresh.start(two, "waits");
    fresh.write(gave_way(&waits, text("half")));

    let (fresh, opening) = fresh.reopened(NOW);
    let cut = Interrupted { session: one, entry: runs.entry, answer: runs.answer, text_bytes: 8 };
    assert_eq!(opening.recovery.interrupted, [cut]);
    assert_eq!(opening.recovery.requeued, []);
    let left = answer(&fresh, &runs);
    assert_eq!((left.text.as_str(), left.state, left.seams), ("one two ", AnswerState::Interrupted, vec![4]));
    let entry = fresh.read(FindEntry(waits.entry)).unwrap();
    assert_eq!((entry.state, entry.continues, entry.held), (EntryState::Pending, true, true));
    assert_eq!(again(&fresh, &waits).kept.text, "half");

    // A continued one that brought nothing new has the partial that it began with.
    let (fresh, opening) = fresh.reopened(NOW);
    assert_eq!(opening.recovery.interrupted.len(), 1);
    assert_eq!(answer(&fresh, &waits).text, "half");
}

#[test]
fn the_last_turn_is_the_last_by_its_messages() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    let last = || fresh.read(LastTurn { session }).map(|(entry, state)| (entry.id, entry.state, state));
    assert_eq!(last(), None);
    let cut = fresh.start(session, "long");
    assert_eq!(last(), Some((cut.entry, EntryState::Running, Some(AnswerState::Streaming))));
    fresh.write(gave_way(&cut, text("half")));
    assert_eq!(last(), Some((cut.entry, EntryState::Pending, Some(AnswerState::Interrupted))));
    let between = fresh.turn(session, "short", "yes");
    assert_eq!(last(), Some((between.entry, EntryState::Done, Some(AnswerState::Complete))));
    fresh.enqueue(session, "not begun");
    assert_eq!(last().map(|(entry, ..)| entry), Some(between.entry));
    again(&fresh, &cut);
    assert_eq!(last().map(|(entry, ..)| entry), Some(cut.entry));
    let unknown = fresh.read(LastTurn { session: SessionId(9) });
    assert_eq!(unknown, None);
    assert!(between.answer > MessageId(0));
}

#[test]
fn a_listing_measures_what_was_begun() {
    let fresh = Fresh::new();
    let (one, two) = (fresh.session().id, fresh.session().id);
    let waits = fresh.enqueue(two, "waits").id;
    let cut = fresh.start(two, "cut");
    fresh.write(gave_way(&cut, [reasoning("hm"), text("half")].concat()));
    let dead = fresh.dead(one, "fails");
    let runs = fresh.start(one, "runs");
    fresh.write(AppendChunks { answer: runs.answer, chunks: [reasoning("hmm"), text("zwö")].concat() });
    fresh.write(SetModel { session: one, model: "local:tiny".parse().unwrap() });
    fresh.write(HoldSessions { sessions: vec![two], held: true });
    fresh.write(SetGate { model: "demo:tour".parse().unwrap(), until: Some(Timestamp(7)), now: Timestamp(1) });
    let listing = |session, dead_only| {
        let now = fresh.read(Listing { session, dead_only, auto_before_normal: false });
        assert_eq!(now.gates, [("demo:tour".parse().unwrap(), Timestamp(7))]);
        let row = |l: &Listed| (l.entry.id, l.answer_bytes, l.reasoning_bytes, l.model.to_string(), l.session_held);
        now.entries.iter().map(row).collect::<Vec<_>>()
    };
    let row = |entry, bytes, reasoning, model: &str, held| (entry, bytes, reasoning, model.to_owned(), held);
    let (first, third) = (row(runs.entry, 7, 3, "demo:tour", false), row(cut.entry, 6, 2, "demo:tour", true));
    let (second, last) = (row(dead, 0, 0, "local:tiny", false), row(waits, 0, 0, "demo:tour", true));
    assert_eq!(listing(None, false), [first, second.clone(), third.clone(), last.clone()]);
    assert_eq!(listing(Some(two), false), [third, last]);
    assert_eq!(listing(None, true), [second]);
    let now = fresh.read(Listing { session: Some(one), dead_only: false, auto_before_normal: false });
    assert_eq!((now.entries[0].entry.started_at, now.entries[0].session_name.as_str()), (Some(NOW), "main"));
    assert_eq!(now.entries[1].entry.finished_at, Some(NOW));
}

#[test]
fn a_person_goes_on_from_an_answer_that_was_cut() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    let turn = fresh.start(session, "count");
    let later = Timestamp(NOW.0 + 60_000);
    let on = ContinueTurn { session, origin: Origin::User, now: later };
    assert_eq!(fresh.write(on), None, "it is not over");
    let cut =
        EndTurn { answer_state: AnswerState::Interrupted, chunks: text("one, "), finish: None, ..completed(&turn) };
    fresh.write(cut);
    let entry = fresh.write(on).unwrap();
    assert_eq!((entry.id, entry.state, entry.continues, entry.attempts), (turn.entry, EntryState::Pending, true, 0));
    let listed = fresh.read(Listing { session: Some(session), dead_only: false, auto_before_normal: false });
    assert_eq!(listed.entries[0].answer_bytes, 5, "what it goes on from is measured");
    assert_eq!(entry.created_at, later, "it arrives anew");
    // Its end was seen: what follows is output of its own, with all of the answer.
    let goes_on = again(&fresh, &turn);
    assert!(goes_on.moved && goes_on.question > turn.answer);
    assert_eq!(goes_on.kept.text, "one, ");
    assert_eq!(fresh.write(EndTurn { chunks: text("two"), ..completed(&goes_on) }).text, "one, two");
    assert_eq!(fresh.write(on), None, "it is whole");
    assert_eq!(fresh.write(ContinueTurn { session: SessionId(9), ..on }), None);
}
