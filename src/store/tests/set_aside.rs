//! What was set aside when its process ended, and who may let it go.

use super::*;
use crate::domain::LetGo;

const ALL: LetGo = LetGo::All { max_attempts: 2 };

fn adopt(set_aside: LetGo) -> Adopt {
    Adopt { set_aside, only: None, now: NOW }
}

fn take_along(session: SessionId) -> TakeAlong {
    TakeAlong { session, set_aside: ALL, now: NOW }
}

fn start_known(fresh: &Fresh, entry: &Entry) -> StartKnown {
    let (start, session) = (StartTurn { entry: entry.id, now: NOW }, entry.session);
    StartKnown { start, session, known: fresh.read(LastChange), takes_along: true }
}

/// State, held, attempts and the kind of the reason of each entry.
fn entries(fresh: &Fresh) -> Vec<(EntryState, bool, u32, Option<ErrorKind>)> {
    let all = fresh.read(QueueListing { session: None });
    all.into_iter().map(|e| (e.state, e.held, e.attempts, e.error.map(|error| error.kind))).collect()
}

fn left(session: SessionId, entry: EntryId, attempts: u32) -> Unanswered {
    Unanswered { session, entry, attempts }
}

#[test]
fn what_was_sent_and_not_answered_is_held_with_its_reason_until_somebody_says_so() {
    use EntryState::Pending;
    let sent = (Pending, true, 1, Some(ErrorKind::Unanswered));
    let fresh = Fresh::new();
    let session = fresh.session().id;
    let turn = fresh.start(session, "sent");
    fresh.enqueue(session, "never sent");
    let (fresh, opening) = fresh.reopened(NOW);
    assert_eq!(opening.recovery.requeued, [(session, turn.entry)]);
    assert_eq!(entries(&fresh), [sent, (Pending, true, 0, None)]);
    fresh.write(adopt(LetGo::Nothing));
    assert_eq!(entries(&fresh), [sent, (Pending, true, 0, None)]);
    let worked = fresh.write(adopt(LetGo::NeverSent));
    assert_eq!(worked, Released { sessions: vec![session], ..Released::default() });
    assert_eq!(entries(&fresh), [sent, (Pending, false, 0, None)]);
    // At the next start too, and with nothing else left there nobody takes the lease for it.
    let (fresh, _) = fresh.reopened(NOW);
    fresh.write(CancelEntries { ids: vec![EntryId(2)], now: NOW });
    assert_eq!(fresh.write(adopt(LetGo::NeverSent)), Released::default());
    let entry = fresh.read(FindEntry(turn.entry)).unwrap();
    assert!(entry.is_unanswered() && entry.error.unwrap().text.contains("the server may have answered"));
    // A person's word settles it: what has not been sent since is never sent again after that.
    fresh.write(HoldSessions { sessions: vec![session], held: false });
    assert_eq!(entries(&fresh), [(Pending, false, 1, None)]);
    let (fresh, _) = fresh.reopened(NOW);
    assert_eq!(entries(&fresh), [(Pending, true, 1, None)]);
    assert_eq!(fresh.write(adopt(LetGo::NeverSent)).sessions, [session]);
    assert_eq!(entries(&fresh), [(Pending, false, 1, None)]);
}

#[test]
fn what_the_server_answered_with_a_failure_was_not_sent_in_vain() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    let turn = fresh.start(session, "busy");
    let (entry_state, answer_state) = (EntryState::Pending, AnswerState::Failed);
    fresh.write(EndTurn { entry_state, answer_state, error: Some(failure()), ..completed(&turn) });
    let (fresh, _) = fresh.reopened(NOW);
    let kind = Some(failure().kind);
    assert_eq!(entries(&fresh), [(EntryState::Pending, true, 1, kind)]);
    fresh.write(adopt(LetGo::NeverSent));
    assert_eq!(entries(&fresh), [(EntryState::Pending, false, 1, kind)], "its reason is kept");
}

/// As it waits for another attempt after `error`, by who has the lease of its session.
fn fail(fresh: &Fresh, turn: &Turn, error: StoredError, continues: bool) {
    let (entry_state, answer_state) = (EntryState::Pending, AnswerState::Failed);
    let not_before = Some(Timestamp(NOW.0 + 1_000));
    let end = EndTurn { entry_state, answer_state, continues, not_before, error: Some(error), ..completed(turn) };
    fresh.write(end);
}

fn stalled() -> StoredError {
    StoredError { kind: ErrorKind::Stalled, status: None, text: "no content".to_owned(), request_id: None }
}

#[test]
fn what_waits_for_another_attempt_is_not_sent_again_by_another_process_unasked() {
    let fresh = Fresh::new();
    let (session, continued) = (fresh.session().id, fresh.session().id);
    let turn = fresh.start(session, "stalls");
    fail(&fresh, &turn, stalled(), false);
    assert_eq!(entries(&fresh)[0], (EntryState::Pending, false, 1, Some(ErrorKind::Stalled)), "it goes on here");
    let other = fresh.start(continued, "has text");
    fresh.write(AppendChunks { answer: other.answer, chunks: text("hal") });
    fail(&fresh, &other, stalled(), true);
    let (fresh, _) = fresh.reopened(NOW);
    let held = (EntryState::Pending, true, 1, Some(ErrorKind::Unanswered));
    assert_eq!(entries(&fresh), [held, (EntryState::Pending, true, 1, Some(ErrorKind::Stalled))]);
    assert_eq!(fresh.write(adopt(LetGo::NeverSent)).sessions, [continued], "what has text asks for the rest of it");
    let entry = fresh.read(FindEntry(turn.entry)).unwrap();
    assert_eq!(
        entry.error.unwrap().text,
        "chatmux ended before this was asked again, and the server may have answered it: no content"
    );
    let (fresh, opening) = fresh.reopened(NOW);
    assert_eq!(opening.recovery.requeued, [], "that is known already");
    assert_eq!(fresh.write(adopt(ALL)).sent_again, [left(session, turn.entry, 1)]);
    assert_eq!(entries(&fresh)[0], (EntryState::Pending, false, 1, None));
}

#[test]
fn what_another_process_acknowledged_is_not_sent_again_by_that_one_unasked() {
    for ends_well in [true, false] {
        let fresh = Fresh::new();
        let session = fresh.session().id;
        let turn = fresh.start(session, "runs here");
        let (other, _) = Store::open(&fresh.path(), NOW).unwrap();
        let theirs = other.write_blocking(enqueue(session, "theirs")).unwrap();
        fresh.write(completed(&turn));
        let turn = fresh.write(StartTurn { entry: theirs.id, now: NOW });
        fail(&fresh, &turn, stalled(), false);
        if ends_well {
            fresh.store.clone().close();
        } else {
            let process = ProcessId(1);
            let found = other.write_blocking(TakeOver { process, beat: 0, now: NOW }).unwrap().unwrap();
            assert_eq!(found.requeued, [(session, theirs.id)]);
        }
        let entry = other.read_blocking(FindEntry(theirs.id)).unwrap().unwrap();
        assert!(entry.held && entry.is_unanswered(), "{entry:?}");
        assert_eq!(other.write_blocking(adopt(LetGo::NeverSent)).unwrap(), Released::default());
    }
}

#[test]
fn where_it_is_sent_again_it_is_said_and_the_attempts_end() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    let turn = fresh.start(session, "brings the program down");
    let (fresh, _) = fresh.reopened(NOW);
    let again = Released { sessions: vec![session], sent_again: vec![left(session, turn.entry, 1)], dead: vec![] };
    assert_eq!(fresh.write(adopt(ALL)), again);
    assert_eq!(entries(&fresh), [(EntryState::Pending, false, 1, None)]);
    let second = fresh.write(StartTurn { entry: turn.entry, now: NOW });
    let (fresh, _) = fresh.reopened(NOW);
    let dead = Released { sessions: vec![session], sent_again: vec![], dead: vec![left(session, turn.entry, 2)] };
    assert_eq!(fresh.write(adopt(ALL)), dead);
    assert_eq!(entries(&fresh), [(EntryState::Dead, false, 2, Some(ErrorKind::Unanswered))]);
    let letter = fresh.read(FindEntry(turn.entry)).unwrap();
    assert_eq!(letter.error.unwrap().text, "chatmux ended while this was asked (attempt 2 of 2)");
    let answer = fresh.read(FindMessage(second.answer)).unwrap();
    assert_eq!(
        (answer.state, answer.error.map(|error| error.kind)),
        (AnswerState::Failed, Some(ErrorKind::Unanswered))
    );
    assert_eq!(fresh.read(StatsOf { session: Some(session) }).failed, 1);
    assert_eq!(fresh.write(adopt(ALL)), Released::default(), "nobody has a lease for it");
    fresh.write(RequeueEntries { ids: vec![turn.entry], now: NOW });
    assert_eq!(entries(&fresh), [(EntryState::Pending, false, 0, None)]);
}

/// Whoever has seen the session up to there is shown the answer to what is requeued: it gets rows of its own.
#[test]
fn the_answer_of_what_is_given_up_has_its_end() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    let turn = fresh.start(session, "sent");
    let (entry_state, answer_state) = (EntryState::Pending, AnswerState::Interrupted);
    fresh.write(EndTurn { entry_state, answer_state, unanswered: true, ..completed(&turn) });
    let (fresh, _) = fresh.reopened(NOW);
    let given_up = fresh.write(adopt(LetGo::All { max_attempts: 1 }));
    assert_eq!(given_up.dead, [left(session, turn.entry, 1)]);
    fresh.write(RequeueEntries { ids: vec![turn.entry], now: NOW });
    let again = fresh.write(StartTurn { entry: turn.entry, now: NOW });
    assert!(again.moved && again.answer > turn.answer, "{again:?}");
}

#[test]
fn an_exit_that_cuts_before_any_text_sets_aside_as_a_crash_does() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    let turn = fresh.start(session, "sent");
    let (entry_state, answer_state) = (EntryState::Pending, AnswerState::Interrupted);
    fresh.write(EndTurn { entry_state, answer_state, unanswered: true, ..completed(&turn) });
    let expected = [(EntryState::Pending, true, 1, Some(ErrorKind::Unanswered))];
    assert_eq!(entries(&fresh), expected);
    assert_eq!(fresh.read(StatsOf { session: Some(session) }).retries, 0, "nothing follows yet");
    let (fresh, opening) = fresh.reopened(NOW);
    assert_eq!(
        (entries(&fresh).as_slice(), opening.recovery.held[&session].as_slice()),
        (&expected[..], &[turn.entry][..])
    );
    assert_eq!(fresh.write(adopt(LetGo::NeverSent)), Released::default());
    assert_eq!(fresh.write(adopt(ALL)).sent_again, [left(session, turn.entry, 1)]);
}

#[test]
fn what_was_set_aside_has_its_turn_before_what_came_later() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    fresh.enqueue(session, "first");
    let (fresh, _) = fresh.reopened(NOW);
    let later = fresh.enqueue(session, "later");
    assert_eq!(fresh.fails(start_known(&fresh, &later)), StoreError::SetAside(session));
    let before = start_known(&fresh, &later);
    assert_eq!(fresh.write(take_along(session)), Released { sessions: vec![session], ..Released::default() });
    let order: Vec<EntryId> = ids(&fresh.read(PendingEntries));
    assert_eq!(order, [EntryId(1), later.id]);
    assert!(fresh.read(PendingEntries).iter().all(|entry| !entry.held));
    assert_eq!(fresh.write(take_along(session)), Released::default());
    // What was let go has to be known before something starts there.
    assert_eq!(fresh.fails(before), StoreError::Changed(session));
    let looked = fresh.read(Survey { process: ProcessId(1), since: 0, orphans: None });
    assert!(looked.changed.contains_key(&session));
    fresh.write(start_known(&fresh, &later));
}

#[test]
fn who_goes_on_with_nothing_passes_over_what_was_set_aside() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    fresh.enqueue(session, "first");
    let (fresh, _) = fresh.reopened(NOW);
    let later = fresh.enqueue(session, "later");
    fresh.write(StartKnown { takes_along: false, ..start_known(&fresh, &later) });
}

#[test]
fn a_held_session_and_another_ones_lease_are_left_alone() {
    let fresh = Fresh::new();
    let (held, theirs) = (fresh.session().id, fresh.session().id);
    fresh.enqueue(held, "first");
    fresh.enqueue(theirs, "first");
    let (fresh, _) = fresh.reopened(NOW);
    fresh.write(HoldSessions { sessions: vec![held], held: true });
    let (other, _) = Store::open(&fresh.path(), NOW).unwrap();
    other.write_blocking(enqueue(theirs, "later")).unwrap();
    assert_eq!(fresh.write(adopt(ALL)), Released::default());
    assert_eq!(fresh.write(take_along(held)), Released::default());
    assert_eq!(fresh.fails(take_along(theirs)), StoreError::Leased(theirs));
    assert_eq!(other.write_blocking(take_along(theirs)).unwrap().sessions, [theirs]);
    let waits: Vec<_> = fresh.read(PendingEntries).iter().map(|entry| (entry.session, entry.held)).collect();
    assert_eq!(waits, [(held, true), (theirs, false), (theirs, false)]);
}
