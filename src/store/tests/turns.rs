//! Turns: started, checkpointed, ended, tried again; and what the model gets.

use super::*;
use crate::domain::{MessageId, Role};

/// An attempt that will be repeated.
fn failed_once(turn: &Turn) -> EndTurn {
    EndTurn {
        answer_state: AnswerState::Failed,
        entry_state: EntryState::Pending,
        finish: None,
        error: Some(failure()),
        not_before: Some(Timestamp(NOW.0 + 1_500)),
        ..completed(turn)
    }
}

fn context(fresh: &Fresh, turn: &Turn) -> Vec<String> {
    let messages = fresh.read(Context { session: turn.session, question: turn.question });
    messages.iter().map(|m| format!("{}: {}", m.role, m.text)).collect()
}

#[test]
fn a_turn_is_kept_from_its_start_to_its_end() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    let turn = fresh.start(session, "why?");
    assert_eq!((turn.attempt, turn.session, turn.model.to_string()), (1, session, "demo:tour".to_owned()));
    assert_eq!((turn.before, turn.text.as_str()), (MessageId(0), "why?"));
    let chunks = vec![
        (ChunkKind::Reasoning, "let me ".to_owned()),
        (ChunkKind::Reasoning, "think".to_owned()),
        (ChunkKind::Text, "be".to_owned()),
        (ChunkKind::Text, String::new()),
        (ChunkKind::Text, "ca".to_owned()),
    ];
    fresh.write(AppendChunks { answer: turn.answer, chunks });
    fresh.write(AppendChunks { answer: turn.answer, chunks: text("us\0") });
    let partial = fresh.read(FindMessage(turn.answer)).unwrap();
    assert_eq!((partial.text.as_str(), partial.reasoning.as_str()), ("becaus\0", "let me think"));
    assert_eq!((partial.state, partial.finished_at), (AnswerState::Streaming, None));
    fresh.write(EndTurn { chunks: text("e"), ..completed(&turn) });
    let history = fresh.read(History { session, last: 10 });
    let [question, answer] = history.as_slice() else { panic!("{history:?}") };
    assert_eq!((question.role, question.text.as_str(), question.state), (Role::User, "why?", AnswerState::Complete));
    assert_eq!(
        (answer.role, answer.text.as_str(), answer.state),
        (Role::Assistant, "becaus\0e", AnswerState::Complete)
    );
    assert_eq!(answer.usage, Usage { input: Some(9), output: Some(12) });
    assert_eq!((answer.finish.clone(), answer.finished_at), (Some(FinishReason::Stop.into()), Some(NOW)));
    assert_eq!(fresh.read(FindEntry(turn.entry)).map(|e| e.state), Some(EntryState::Done));
    assert_eq!(fresh.read(History { session, last: 1 }), history[1..]);
    let late = fresh.fails(AppendChunks { answer: turn.answer, chunks: text("late") });
    assert_eq!(late, StoreError::NotStreaming(turn.answer));
    let late = EndTurn { now: Timestamp(NOW.0 + 1), ..completed(&turn) };
    assert!(matches!(fresh.fails(late), StoreError::WrongState { found: EntryState::Done, .. }));
}

#[test]
fn a_start_and_an_end_can_be_repeated() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    let entry = fresh.enqueue(session, "why?").id;
    let start = StartTurn { entry, now: NOW };
    let turn = fresh.write(start.clone());
    assert_eq!(fresh.write(start.clone()), turn, "no attempt more");
    let retry = failed_once(&turn);
    let failed = fresh.write(retry.clone());
    assert_eq!(fresh.write(retry), failed);
    let again = fresh.write(start.clone());
    assert_eq!((again.attempt, fresh.write(start.clone())), (2, again.clone()));
    fresh.write(AppendChunks { answer: again.answer, chunks: text("be") });
    // The text that has come belongs to one attempt.
    assert!(matches!(fresh.fails(start), StoreError::WrongState { found: EntryState::Running, .. }));
    let end = EndTurn { chunks: text("cause"), ..completed(&again) };
    let ended = fresh.write(end.clone());
    let figures = fresh.read(AllStats);
    assert_eq!(ended.text, "because");
    assert_eq!(fresh.write(end), ended);
    assert_eq!(fresh.read(AllStats), figures, "it is counted once");
    let history = fresh.read(History { session, last: 10 });
    assert_eq!(history.iter().map(|m| m.text.as_str()).collect::<Vec<_>>(), ["why?", "because"]);
}

#[test]
fn a_continued_answer_can_be_started_again() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    let turn = fresh.start(session, "why?");
    let (answer_state, entry_state) = (AnswerState::Interrupted, EntryState::Pending);
    let not_before = Some(Timestamp(NOW.0 + 5));
    let cut =
        EndTurn { chunks: text("be"), answer_state, entry_state, continues: true, not_before, ..completed(&turn) };
    let ended = fresh.write(cut.clone());
    assert_eq!(fresh.write(cut), ended);
    let start = StartTurn { entry: turn.entry, now: NOW };
    let again = fresh.write(start.clone());
    assert_eq!((again.kept.text.as_str(), fresh.write(start)), ("be", again.clone()));
}

#[test]
fn another_process_cannot_repeat_a_start() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    let turn = fresh.start(session, "why?");
    let (second, _) = Store::open(&fresh.path(), NOW).unwrap();
    let start = StartTurn { entry: turn.entry, now: NOW };
    assert!(matches!(second.write_blocking(start), Err(StoreError::WrongState { found: EntryState::Running, .. })));
    second.close();
}

#[test]
fn a_session_has_one_turn_at_a_time() {
    let fresh = Fresh::new();
    let (one, two) = (fresh.session().id, fresh.session().id);
    let turn = fresh.start(one, "first");
    let next = fresh.enqueue(one, "second").id;
    assert_eq!(fresh.fails(StartTurn { entry: next, now: NOW }), StoreError::TurnRunning(one));
    assert_eq!(fresh.read(FindEntry(next)).map(|e| (e.state, e.attempts)), Some((EntryState::Pending, 0)));
    let other = fresh.start(two, "elsewhere");
    let foreign = EndTurn { answer: other.answer, ..completed(&turn) };
    assert_eq!(fresh.fails(foreign), StoreError::NotStreaming(other.answer));
    assert!(matches!(
        fresh.fails(EndTurn { entry_state: EntryState::Running, ..completed(&turn) }),
        StoreError::WrongState { .. }
    ));
    fresh.write(completed(&turn));
    fresh.write(StartTurn { entry: next, now: NOW });
}

#[test]
fn a_retry_goes_on_in_the_same_rows() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    let turn = fresh.start(session, "q");
    fresh.write(failed_once(&turn));
    let entry = fresh.read(FindEntry(turn.entry)).unwrap();
    assert_eq!((entry.state, entry.attempts), (EntryState::Pending, 1));
    assert_eq!((entry.not_before, entry.error), (Some(Timestamp(NOW.0 + 1_500)), Some(failure())));
    fresh.write(SetModel { session, model: "local:tiny".parse().unwrap() });
    let again = fresh.write(StartTurn { entry: turn.entry, now: NOW });
    let model = "local:tiny".parse().unwrap();
    assert_eq!(again, Turn { attempt: 2, model, ..turn.clone() });
    let entry = fresh.read(FindEntry(turn.entry)).unwrap();
    assert_eq!((entry.state, entry.not_before, entry.error), (EntryState::Running, None, None));
    fresh.write(EndTurn { chunks: text("whole"), ..completed(&again) });
    let answer = fresh.read(FindMessage(turn.answer)).unwrap();
    assert_eq!((answer.text.as_str(), answer.state, answer.error), ("whole", AnswerState::Complete, None));
}

#[test]
fn an_attempt_that_was_ended_from_here_does_not_count() {
    let fresh = Fresh::new();
    let turn = fresh.start(fresh.session().id, "q");
    fresh.write(EndTurn { counts: false, error: None, ..failed_once(&turn) });
    assert_eq!(fresh.read(FindEntry(turn.entry)).map(|entry| entry.attempts), Some(0));
    assert_eq!(fresh.write(StartTurn { entry: turn.entry, now: NOW }).attempt, 1);
}

#[test]
fn a_retry_after_others_goes_to_the_end_and_begins_anew() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    let turn = fresh.start(session, "slow");
    fresh.write(EndTurn { chunks: reasoning("hm"), ..failed_once(&turn) });
    let between = fresh.turn(session, "urgent", "yes");
    let again = fresh.write(StartTurn { entry: turn.entry, now: NOW });
    assert!(between.answer < again.question && again.question < again.answer);
    assert_eq!((again.attempt, again.before), (2, between.answer));
    fresh.write(EndTurn { chunks: text("whole"), ..completed(&again) });
    let texts: Vec<_> = fresh.read(History { session, last: 10 }).into_iter().map(|m| m.text).collect();
    assert_eq!(texts, ["urgent", "yes", "slow", "whole"]);
    assert_eq!(fresh.read(FindMessage(turn.answer)), None);
}

#[test]
fn the_model_gets_the_conversation_and_nothing_else() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    let end = |text_so_far: &str, answer_state, entry_state| {
        let turn = fresh.start(session, &format!("{entry_state} {text_so_far}"));
        fresh.write(EndTurn { chunks: text(text_so_far), answer_state, entry_state, ..completed(&turn) });
    };
    end("whole", AnswerState::Complete, EntryState::Done);
    end("cut", AnswerState::Interrupted, EntryState::Done);
    end("", AnswerState::Failed, EntryState::Dead);
    end("half", AnswerState::Failed, EntryState::Dead);
    end("", AnswerState::Interrupted, EntryState::Cancelled);
    end("some", AnswerState::Interrupted, EntryState::Cancelled);
    // Answers without text, as earlier versions kept them.
    end("", AnswerState::Complete, EntryState::Done);
    end("", AnswerState::Interrupted, EntryState::Done);
    let thought = fresh.start(session, "only thought about");
    let interrupted = EndTurn { answer_state: AnswerState::Interrupted, ..completed(&thought) };
    fresh.write(EndTurn { chunks: reasoning("hmm"), ..interrupted });
    fresh.turn(fresh.session().id, "another session's", "words");
    let waits = fresh.start(session, "waits to be tried again");
    fresh.write(failed_once(&waits));
    fresh.write(CancelEntries { ids: vec![waits.entry], now: NOW });
    let turn = fresh.start(session, "now");
    fresh.write(AppendChunks { answer: turn.answer, chunks: text("begun") });
    let expected = [
        "user: done whole",
        "assistant: whole",
        "user: done cut",
        "assistant: cut",
        "user: dead half",
        "assistant: half",
        "user: cancelled some",
        "assistant: some",
        "user: now",
    ];
    assert_eq!(context(&fresh, &turn), expected);
}
