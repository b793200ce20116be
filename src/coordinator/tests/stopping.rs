//! Why a model stopped: what becomes of its answer, what is told of that, and what goes on from it.

use super::{Asked, Bench, CLOCK, Events, Frames, bench, message, terminal, watching_bench};
use crate::coordinator::{AutoWish, EntryEnd, Submission, SwitchTo, Which};
use crate::domain::{
    Activity, AnswerState, EndState, EntryState, ErrorKind, Event, Finish, FinishReason, Origin, Priority, Problem,
    ProviderError, Role, SessionId, SessionRef, Show, Usage,
};
use crate::provider::Piece;
use crate::queue::MAX_PAUSES;
use crate::store::{AutoReplies, EndTurn, Enqueue, FindEntry, History, StartTurn, Store};

const DETAIL: &str = "because";

fn stopped(reason: FinishReason) -> Finish {
    Finish { reason, detail: Some(DETAIL.to_owned()) }
}

/// An end as the tests compare it: state, stop reason, text, seams, kind of the error.
type End = (EndState, Option<Finish>, String, Vec<u64>, Option<ErrorKind>);

async fn end(events: &mut Events) -> End {
    match events.until(|e| matches!(e, Event::Finished { .. })).await.pop() {
        Some(Event::Finished { state, finish, text, seams, error, .. }) => {
            (state, finish, text, seams, error.map(|error| error.kind))
        }
        other => panic!("{other:?}"),
    }
}

async fn asked(b: &mut Bench) -> Asked {
    b.asked.recv().await.unwrap()
}

fn texts(asked: &Asked) -> Vec<&str> {
    asked.request.messages.iter().map(|message| message.text.as_str()).collect()
}

#[tokio::test]
async fn each_stop_reason_ends_an_answer_with_text_and_one_without() {
    use EndState::{Complete, Failed, Interrupted};
    use FinishReason::{Error, Filter, Length, Refusal, Stop, Tool, Unknown};
    let expected = [
        (Stop, Complete),
        (Length, Interrupted),
        (Refusal, Complete),
        (Filter, Interrupted),
        (Tool, Complete),
        (Error, Interrupted),
        (Unknown, Complete),
    ];
    for (reason, state) in expected {
        let (front, mut events) = Events::new();
        let mut b = bench(1, 8, 1 << 20, front);
        let with_text = b.handle.submit(message(1, "first")).await.unwrap().remove(0);
        let first = asked(&mut b).await;
        first.say("some").await;
        first.stop(stopped(reason)).await;
        assert_eq!(end(&mut events).await, (state, Some(stopped(reason)), "some".to_owned(), Vec::new(), None));
        let well = matches!(reason, Stop | Unknown);
        let problem = (!well).then(|| Problem::Finish(stopped(reason).text(true, None).unwrap()));
        assert_eq!(with_text.done.await, Ok(EntryEnd::Ended(state, problem)), "{reason}");

        let without = b.handle.submit(message(1, "second")).await.unwrap().remove(0);
        let second = asked(&mut b).await;
        second.answer.send(Ok(Piece::Reasoning("hmm".to_owned()))).await.unwrap();
        second.stop(stopped(reason)).await;
        let nothing = (Failed, Some(stopped(reason)), String::new(), Vec::new(), Some(ErrorKind::Empty));
        assert_eq!(end(&mut events).await, nothing);
        let Ok(EntryEnd::Ended(Failed, Some(Problem::Error(error)))) = without.done.await else { panic!("{reason}") };
        assert_eq!(error.text, stopped(reason).text(false, None).unwrap());
        let entry = b.store.read(FindEntry(without.entry)).await.unwrap().unwrap();
        assert_eq!((entry.state, entry.error), (EntryState::Dead, Some(error)));

        // Its question is no part of what is asked next, and it is asked again by a person alone.
        b.handle.submit(message(1, "third")).await.unwrap();
        let third = asked(&mut b).await;
        assert_eq!(texts(&third), ["first", "some", "third"]);
        third.give("yes").await;
        end(&mut events).await;
        b.handle.requeue(crate::coordinator::Requeue::All).await.unwrap();
        let again = asked(&mut b).await;
        assert_eq!(texts(&again), ["first", "some", "third", "yes", "second"]);
        again.give("at last").await;
        let whole = (Complete, Some(FinishReason::Stop.into()), "at last".to_owned(), Vec::new(), None);
        assert_eq!(end(&mut events).await, whole);
    }
}

#[tokio::test]
async fn a_paused_turn_is_continued_by_itself_and_is_one_answer() {
    let (front, mut events) = Events::new();
    let mut b = bench(1, 8, 1 << 20, front);
    let queued = b.handle.submit(message(1, "q")).await.unwrap().remove(0);
    b.handle.submit(message(1, "behind")).await.unwrap();
    // One pause before any text, one in the middle.
    asked(&mut b).await.stop(FinishReason::Pause.into()).await;
    let first = asked(&mut b).await;
    assert_eq!(texts(&first), ["q"]);
    first.say("one, ").await;
    first.stop(FinishReason::Pause.into()).await;
    let second = asked(&mut b).await;
    assert_eq!((texts(&second), second.request.attempt), (vec!["q", "one, "], 1));
    second.give("two").await;
    let whole = "one, two".to_owned();
    assert_eq!(end(&mut events).await, (EndState::Complete, Some(FinishReason::Stop.into()), whole, vec![5], None));
    assert_eq!(queued.done.await, Ok(EntryEnd::Ended(EndState::Complete, None)));
    assert_eq!(b.store.read(FindEntry(queued.entry)).await.unwrap().unwrap().attempts, 1);
    assert_eq!(asked(&mut b).await.question(), "behind");
}

#[tokio::test]
async fn a_server_that_pauses_without_end_is_left_and_a_person_may_go_on() {
    let (front, mut events) = Events::new();
    let mut b = bench(1, 8, 1 << 20, front);
    b.handle.submit(message(1, "q")).await.unwrap();
    for _ in 0..=MAX_PAUSES {
        let one = asked(&mut b).await;
        one.say(".").await;
        one.stop(FinishReason::Pause.into()).await;
    }
    let (state, finish, text, seams, _) = end(&mut events).await;
    assert_eq!((state, finish), (EndState::Interrupted, Some(FinishReason::Pause.into())));
    assert_eq!((text.len(), seams), (11, (1..=10).collect::<Vec<_>>()));
    b.handle.continue_turn(Origin::Script).await.unwrap().expect("there is something to go on from");
    asked(&mut b).await.give("!").await;
    assert_eq!(end(&mut events).await.2, "...........!");
}

#[tokio::test]
async fn what_cannot_be_decoded_twice_in_the_same_place_is_asked_for_twice() {
    let (front, mut events) = Events::new();
    let mut b = bench(1, 8, 1 << 20, front);
    b.handle.submit(message(1, "q")).await.unwrap();
    let error = ProviderError { undecoded_at: Some(7), ..ProviderError::transient(ErrorKind::Protocol, "what?") };
    for nth in 0..2 {
        if nth > 0 {
            b.handle.retry(Origin::Script).await.unwrap();
        }
        asked(&mut b).await.answer.send(Err(error.clone())).await.unwrap();
        if nth == 0 {
            events.until(|e| matches!(e, Event::Retry { .. })).await;
        }
    }
    let (state, _, _, _, kind) = end(&mut events).await;
    assert_eq!((state, kind), (EndState::Failed, Some(ErrorKind::Protocol)));
}

#[tokio::test]
async fn a_loop_goes_on_only_after_an_answer_that_was_whole() {
    for &reason in FinishReason::ALL.iter().filter(|reason| **reason != FinishReason::Pause) {
        let (front, mut events) = Events::new();
        let mut b = bench(1, 8, 1 << 20, front);
        b.handle.submit(message(1, "q")).await.unwrap();
        let wish = AutoWish { text: "go on".into(), max_turns: None, until: None, max_time: None };
        b.handle.begin_auto(wish).await.unwrap();
        let first = asked(&mut b).await;
        first.say("some").await;
        first.stop(reason.into()).await;
        end(&mut events).await;
        if reason == FinishReason::Stop {
            assert_eq!(asked(&mut b).await.question(), "go on");
            continue;
        }
        let said = events.until(|e| matches!(e, Event::Notice { .. })).await.pop();
        let Some(Event::Notice { text }) = said else { panic!("{said:?}") };
        assert!(text.starts_with("[1 main] auto-reply ended after 0 of 10: the "), "{reason}: {text}");
        assert_eq!(b.store.read(AutoReplies).await.unwrap(), []);
    }
}

fn one(session: i64) -> SwitchTo {
    SwitchTo::Session(SessionRef::Id(SessionId(session)))
}

/// What a terminal was shown, up to the notice `last`.
async fn shown(frames: &mut Frames, last: &str) -> Vec<Show> {
    let mut shown = Vec::new();
    loop {
        shown.extend(frames.recv().await.unwrap().shows);
        if shown.iter().any(|show| matches!(show, Show::Notice(text) if text.contains(last))) {
            return shown;
        }
    }
}

#[tokio::test]
async fn a_background_session_says_what_its_model_stopped_for_and_wants_the_person() {
    let check = async |finish: Finish, said: &str, activity| {
        let (front, mut frames) = terminal();
        let mut b = bench(2, 8, 1 << 20, front);
        b.handle.submit(message(2, "q")).await.unwrap();
        let one_turn = asked(&mut b).await;
        one_turn.say("some").await;
        one_turn.answer.send(Ok(Piece::Usage(Usage { input: None, output: Some(8_192) }))).await.unwrap();
        one_turn.stop(finish).await;
        shown(&mut frames, said).await;
        b.handle.wait(Which::All).await.unwrap();
        assert_eq!(b.handle.prompt().await.unwrap().activity, [(SessionId(2), activity)], "{said}");
        // There it stands below the answer.
        b.handle.switch(one(2), None).await.unwrap();
        b.handle.show(Show::Notice("that is all".to_owned())).await;
        let shown = shown(&mut frames, "that is all").await;
        let line = said.strip_prefix("[2 chat2] ").map(|said| format!("[{said}]")).filter(|l| !l.starts_with("[done"));
        let ends = shown.iter().filter(|show| matches!(show, Show::End { line: found, .. } if *found == line));
        assert_eq!(ends.count(), 1, "{shown:?}");
    };
    check(FinishReason::Length.into(), "[2 chat2] cut at 8,192 tokens: /continue", Activity::Failed).await;
    check(stopped(FinishReason::Refusal), "[2 chat2] refused: because", Activity::Failed).await;
    check(stopped(FinishReason::Filter), "[2 chat2] filtered: because", Activity::Failed).await;
    let tool = "[2 chat2] asked for the tool because, which chatmux does not have";
    check(stopped(FinishReason::Tool), tool, Activity::Failed).await;
    check(FinishReason::Stop.into(), "[2 chat2] done, 8192 tokens", Activity::Finished).await;
    check(stopped(FinishReason::Unknown), "[2 chat2] done, 8192 tokens", Activity::Finished).await;
}

#[tokio::test]
async fn why_a_model_stopped_is_known_of_what_another_process_answers() {
    let (front, mut frames) = terminal();
    let b = watching_bench(2, 1 << 20, front);
    let (store, _) = Store::open(&b.folder.path().join("db"), CLOCK.now()).unwrap();
    let (now, session, text) = (CLOCK.now(), SessionId(2), "q".to_owned());
    let (priority, origin) = (Priority::Normal, Origin::User);
    let entry = store.write(Enqueue { session, priority, origin, text, now }).await.unwrap().id;
    let turn = store.write(StartTurn { entry, now }).await.unwrap();
    // Who has not heard of a turn hears nothing of its end.
    while b.handle.prompt().await.unwrap().activity != [(session, Activity::Streaming)] {
        tokio::task::yield_now().await;
    }
    let end = EndTurn {
        entry,
        answer: turn.answer,
        chunks: vec![(crate::store::ChunkKind::Text, "some".to_owned())],
        answer_state: AnswerState::Complete,
        entry_state: EntryState::Done,
        continues: false,
        finish: Some(stopped(FinishReason::Refusal)),
        usage: Usage::default(),
        error: None,
        counts: true,
        unanswered: false,
        gave_way: false,
        not_before: None,
        first_at: None,
        first_after: None,
        follow: None,
        now,
    };
    store.write(end).await.unwrap();
    shown(&mut frames, "[2 chat2] refused: because").await;
    b.handle.switch(one(2), None).await.unwrap();
    b.handle.show(Show::Notice("that is all".to_owned())).await;
    let shown = shown(&mut frames, "that is all").await;
    let line = Some("[refused: because]".to_owned());
    assert!(shown.contains(&Show::End { state: AnswerState::Complete, line, error: None }), "{shown:?}");
}

#[tokio::test]
async fn a_person_who_cancels_after_the_stop_reason_has_the_answer_that_it_gave() {
    for (reason, state) in [(FinishReason::Stop, EndState::Complete), (FinishReason::Length, EndState::Interrupted)] {
        let (front, mut events) = Events::new();
        let mut b = bench(1, 8, 1 << 20, front);
        b.handle.submit(Submission { foreground: true, ..message(1, "q") }).await.unwrap();
        let one = asked(&mut b).await;
        one.say("some").await;
        // One that content follows does not count. The stream stays open behind the last one, which is taken with the text before it.
        one.answer.send(Ok(Piece::Finish(FinishReason::Refusal.into()))).await.unwrap();
        one.answer.send(Ok(Piece::Text(" more".to_owned()))).await.unwrap();
        one.answer.send(Ok(Piece::Finish(reason.into()))).await.unwrap();
        events.until(|e| matches!(e, Event::Delta { delta, .. } if delta.text().ends_with("more"))).await;
        b.handle.cancel(Which::Active).await.unwrap();
        let (found, finish, text, ..) = end(&mut events).await;
        assert_eq!((found, finish, text.as_str()), (state, Some(reason.into()), "some more"));
        drop(one);
    }
}

#[tokio::test]
async fn an_answer_that_was_continued_has_its_stop_reason_and_seam() {
    let (front, mut events) = Events::new();
    let mut b = bench(1, 8, 1 << 20, front);
    b.handle.submit(message(1, "q")).await.unwrap();
    let first = asked(&mut b).await;
    first.say("half").await;
    first.stop(FinishReason::Length.into()).await;
    assert_eq!(end(&mut events).await.0, EndState::Interrupted);
    b.handle.continue_turn(Origin::Script).await.unwrap().expect("there is something to go on from");
    let second = asked(&mut b).await;
    let history = b.store.read(History { session: SessionId(1), last: 1 }).await.unwrap();
    assert_eq!((history[0].finish.clone(), history[0].role), (None, Role::Assistant), "it has not stopped");
    second.say(" and half").await;
    second.stop(stopped(FinishReason::Refusal)).await;
    let text = "half and half".to_owned();
    let whole = (EndState::Complete, Some(stopped(FinishReason::Refusal)), text, vec![4], None);
    assert_eq!(end(&mut events).await, whole);
}
