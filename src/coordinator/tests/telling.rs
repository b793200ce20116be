//! What a session tells while one looks elsewhere, what calls a person, and what goes along with a message.

use super::{Bench, Events, Frames, bench, message, settle, terminal};
use crate::coordinator::{Submission, SwitchTo, Which};
use crate::domain::{
    Activity, Alert, Attachment, EntryId, ErrorKind, Event, Look, Notify, ProviderError, SessionId, SessionRef, Show,
};
use crate::store::{Attachments, FindEntry, Sessions};

/// What a terminal was shown of notices and calls, in order, until one holds `last`.
async fn told(frames: &mut Frames, last: &str) -> Vec<String> {
    let mut told = Vec::new();
    loop {
        for show in frames.recv().await.unwrap().shows {
            match show {
                Show::Notice(text) => told.push(text),
                Show::Alert(text) => told.push(format!("alert: {text}")),
                Show::Error(_)
                | Show::Block(_)
                | Show::Command { .. }
                | Show::End { .. }
                | Show::GoesOn(_)
                | Show::Look(_)
                | Show::Question { .. }
                | Show::Queued { .. }
                | Show::Reasoning(_)
                | Show::Switched { .. }
                | Show::Text(_) => {}
            }
        }
        if told.iter().any(|text| text.contains(last)) {
            return told;
        }
    }
}

fn session(id: i64) -> SwitchTo {
    SwitchTo::Session(SessionRef::Id(SessionId(id)))
}

/// Session 2 tells `notify`, and session 1 is active.
async fn setting(notify: Option<Notify>, sessions: usize, slots: usize) -> (Bench, Frames) {
    let (front, frames) = terminal();
    let b = bench(sessions, slots, 1 << 20, front);
    b.handle.switch(session(2), None).await.unwrap();
    b.handle.set_notify(notify).await.unwrap();
    b.handle.switch(session(1), None).await.unwrap();
    (b, frames)
}

fn fatal(text: &str) -> ProviderError {
    ProviderError::fatal(ErrorKind::BadRequest, text)
}

/// In the background: one that is done, one that fails, one that is to be tried again and that a person ends.
async fn told_in_the_background(notify: Option<Notify>) -> Vec<String> {
    let (mut b, mut frames) = setting(notify, 2, 8).await;
    let queued = b.handle.submit(message(2, "one")).await.unwrap().remove(0);
    b.asked.recv().await.unwrap().give("yes").await;
    queued.done.await.unwrap();
    let queued = b.handle.submit(message(2, "two")).await.unwrap().remove(0);
    b.asked.recv().await.unwrap().answer.send(Err(fatal("bad"))).await.unwrap();
    queued.done.await.unwrap();
    let queued = b.handle.submit(message(2, "three")).await.unwrap().remove(0);
    let busy = ProviderError::transient(ErrorKind::Overloaded, "busy");
    b.asked.recv().await.unwrap().answer.send(Err(busy)).await.unwrap();
    while b.store.read(FindEntry(queued.entry)).await.unwrap().unwrap().not_before.is_none() {
        tokio::task::yield_now().await;
    }
    behind_all_commits(&b).await;
    b.handle.cancel(Which::These(vec![SessionRef::Id(SessionId(2))])).await.unwrap();
    queued.done.await.unwrap();
    b.handle.show(Show::Notice("that is all".to_owned())).await;
    let mut told = told(&mut frames, "that is all").await;
    told.retain(|text| !text.contains(" queued #") && text != "that is all");
    told
}

/// What followed the commits so far has been done: a wish of its own is answered behind them.
async fn behind_all_commits(b: &Bench) {
    b.handle.set_notify(None).await.unwrap();
}

#[tokio::test]
async fn a_session_tells_what_was_set_for_it_and_what_is_configured_without() {
    let retry = "[2 chat2] retrying in 1.0 s (2 of 5): busy";
    let done = ["[2 chat2] done, 0 ms", "alert: [2 chat2] done"];
    let failed = ["[2 chat2] failed: bad", "alert: [2 chat2] failed: bad"];
    let cancelled = "[2 chat2] cancelled";
    let begins = |entry: u8| format!("[2 chat2] begins #{entry}");
    let all = [&begins(1), done[0], done[1], &begins(2), failed[0], failed[1], &begins(3), retry, cancelled];
    assert_eq!(told_in_the_background(Some(Notify::All)).await, all);
    let ends = [done[0], done[1], failed[0], failed[1], retry, cancelled];
    assert_eq!(told_in_the_background(Some(Notify::Done)).await, ends);
    assert_eq!(told_in_the_background(None).await, ends);
    assert_eq!(told_in_the_background(Some(Notify::Fail)).await, failed);
    assert_eq!(told_in_the_background(Some(Notify::None)).await, [""; 0]);
}

#[tokio::test]
async fn what_needs_the_person_stays_in_the_prompt_of_a_silent_session() {
    let (mut b, _frames) = setting(Some(Notify::None), 2, 8).await;
    let queued = b.handle.submit(message(2, "q")).await.unwrap().remove(0);
    let busy = ProviderError::transient(ErrorKind::RateLimited, "busy");
    let patience = ProviderError { retry_after: Some(std::time::Duration::from_secs(3_600)), ..busy };
    b.asked.recv().await.unwrap().answer.send(Err(patience)).await.unwrap();
    while !b.store.read(Sessions { closed: false }).await.unwrap()[1].held {
        tokio::task::yield_now().await;
    }
    behind_all_commits(&b).await;
    let prompt = b.handle.prompt().await.unwrap();
    assert_eq!(prompt.activity, [(SessionId(2), Activity::Failed)]);
    drop(queued);
}

#[tokio::test]
async fn a_refusal_that_holds_a_session_is_told_as_a_failure() {
    for (notify, is_told) in [(Notify::Fail, true), (Notify::None, false)] {
        let (mut b, mut frames) = setting(Some(notify), 2, 8).await;
        let typed = Submission { foreground: true, ..message(2, "q") };
        let queued = b.handle.submit(typed).await.unwrap().remove(0);
        let busy = ProviderError::transient(ErrorKind::RateLimited, "busy");
        let patience = ProviderError { retry_after: Some(std::time::Duration::from_secs(3_600)), ..busy };
        b.asked.recv().await.unwrap().answer.send(Err(patience)).await.unwrap();
        queued.done.await.unwrap();
        b.handle.show(Show::Notice("that is all".to_owned())).await;
        let held = |text: &String| text.contains("asks to wait") && text.contains("held");
        assert_eq!(told(&mut frames, "that is all").await.iter().any(held), is_told, "{notify}");
    }
}

#[tokio::test]
async fn the_active_session_calls_too_unless_a_person_ended_it_or_it_is_silent() {
    let (front, mut frames) = terminal();
    let mut b = bench(1, 8, 1 << 20, front);
    let queued = b.handle.submit(message(1, "one")).await.unwrap().remove(0);
    b.asked.recv().await.unwrap().give("yes").await;
    queued.done.await.unwrap();
    let queued = b.handle.submit(message(1, "two")).await.unwrap().remove(0);
    let asked = b.asked.recv().await.unwrap();
    asked.say("half").await;
    asked.answer.send(Err(fatal("cut"))).await.unwrap();
    queued.done.await.unwrap();
    let queued = b.handle.submit(message(1, "three")).await.unwrap().remove(0);
    let _asked = b.asked.recv().await.unwrap();
    b.handle.stop(Which::Active).await.unwrap();
    queued.done.await.unwrap();
    b.handle.set_notify(Some(Notify::Fail)).await.unwrap();
    let queued = b.handle.submit(message(1, "four")).await.unwrap().remove(0);
    b.asked.recv().await.unwrap().give("yes").await;
    queued.done.await.unwrap();
    b.handle.show(Show::Notice("that is all".to_owned())).await;
    let told = told(&mut frames, "that is all").await;
    assert_eq!(told, ["alert: [1 main] done", "alert: [1 main] interrupted: cut", "that is all"]);
}

#[tokio::test]
async fn a_call_stands_behind_the_end_that_it_tells() {
    let (front, mut frames) = terminal();
    let mut b = bench(1, 8, 1 << 20, front);
    let queued = b.handle.submit(message(1, "one")).await.unwrap().remove(0);
    let asked = b.asked.recv().await.unwrap();
    asked.say("all").await;
    asked.finish().await;
    queued.done.await.unwrap();
    let shows = frames.recv().await.unwrap().shows;
    let place = |wanted: fn(&Show) -> bool| shows.iter().position(wanted).unwrap();
    let (end, call) = (place(|s| matches!(s, Show::End { .. })), place(|s| matches!(s, Show::Alert(_))));
    assert!(end < call, "{shows:?}");
}

#[tokio::test]
async fn a_script_is_told_everything() {
    let (front, mut events) = Events::new();
    let mut b = bench(2, 8, 1 << 20, front);
    b.handle.switch(session(2), None).await.unwrap();
    b.handle.set_notify(Some(Notify::None)).await.unwrap();
    b.handle.switch(session(1), None).await.unwrap();
    b.handle.submit(message(2, "one")).await.unwrap();
    b.asked.recv().await.unwrap().give("yes").await;
    let all = events.until(|e| matches!(e, Event::Finished { .. })).await;
    assert!(all.iter().any(|e| matches!(e, Event::Started { session: SessionId(2), .. })), "{all:?}");
}

#[tokio::test]
async fn how_things_are_shown_changes_in_its_place_among_all_else() {
    let (front, mut frames) = terminal();
    let b = bench(1, 8, 1 << 20, front);
    let look = Look { alert: Alert::Bell, ..Look::default() };
    assert_eq!(b.handle.set_look(look).await.unwrap().look, look);
    settle().await;
    assert!(frames.recv().await.unwrap().shows.contains(&Show::Look(look)));
    let settings = b.handle.settings().await.unwrap();
    assert_eq!((settings.look, settings.own_notify, settings.notify()), (look, None, Notify::Done));
}

#[tokio::test]
async fn what_is_attached_goes_along_with_what_is_typed_there() {
    let (front, mut frames) = terminal();
    let mut b = bench(2, 8, 1 << 20, front);
    let file = Attachment { name: "a.rs".to_owned(), text: "fn a() {}\n".to_owned() };
    b.handle.attach(vec![file]).await.unwrap();
    // From elsewhere, and to several.
    b.handle.submit(message(1, "sent")).await.unwrap();
    b.asked.recv().await.unwrap().give("yes").await;
    let all = Submission { to: Which::All, ..message(1, "to all") };
    b.handle.submit(all).await.unwrap();
    for _ in 0..2 {
        let asked = b.asked.recv().await.unwrap();
        assert_eq!(asked.question(), "to all");
        asked.finish().await;
    }
    assert_eq!(b.store.read(Attachments { session: SessionId(1) }).await.unwrap().len(), 1);
    let typed = Submission { to: Which::Active, ..message(1, "what is this?") };
    let queued = b.handle.submit(typed).await.unwrap().remove(0);
    let asked = b.asked.recv().await.unwrap();
    let whole = "File: a.rs\n```\nfn a() {}\n```\n\nwhat is this?";
    assert_eq!(asked.question(), whole);
    assert_eq!(b.store.read(FindEntry(EntryId(4))).await.unwrap().unwrap().text, whole);
    asked.finish().await;
    queued.done.await.unwrap();
    let is_shown = |show: &Show| matches!(show, Show::Question { text, .. } if text == "[file a.rs]\nwhat is this?");
    assert!(frames.recv().await.unwrap().shows.iter().any(is_shown), "the person knows the file");
    assert_eq!(b.store.read(Attachments { session: SessionId(1) }).await.unwrap(), []);
    assert_eq!(b.handle.detach_files().await.unwrap(), 0);
}
