//! What another process tells is looked at although nobody looks by himself; the other process is a second store on the same file.

use std::time::Duration;

use rusqlite::Connection;

use super::{Bench, CLOCK, Events, bench_on, message, settle};
use crate::coordinator::Watch;
use crate::domain::SessionId;
use crate::store::{RenameSession, Store, Survey};

/// Looks of which a test wants none.
const NEVER: Duration = Duration::from_secs(3_600);
const OFTEN: Duration = Duration::from_millis(2);
/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(60);

/// A coordinator of one session on a store that looks at its files every `look`. Unasked it looks at others every `check_interval`.
fn listening_bench(look: Duration, check_interval: Duration) -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let opened = Store::open_looking_every(look, &folder.path().join("db"), CLOCK.now()).unwrap();
    let (front, _) = Events::new();
    bench_on(folder, opened, 1, 8, 1 << 20, front, |process| {
        Some(Watch {
            process,
            since: 0,
            heartbeat: check_interval,
            quiet_period: NEVER,
            max_wait: NEVER,
            check_interval,
            set_aside: crate::domain::LetGo::Nothing,
            takes_along: false,
            adopts: false,
        })
    })
}

/// Another process.
fn other(b: &Bench) -> Store {
    Store::open_looking_every(NEVER, &b.folder.path().join("db"), CLOCK.now()).unwrap().0
}

/// Waits until the first session is called that here.
async fn until_named(b: &Bench, name: &str) {
    let named = async {
        loop {
            let views = b.handle.views().await.unwrap();
            if views.iter().any(|view| view.session.name.to_string() == name) {
                return;
            }
            settle().await;
        }
    };
    tokio::time::timeout(PATIENCE, named).await.expect("it is seen");
}

#[tokio::test]
async fn what_another_changes_is_seen_although_nobody_looks() {
    let b = listening_bench(NEVER, NEVER);
    let other = other(&b);
    for name in ["one", "two", "three"] {
        other.write(RenameSession { session: SessionId(1), name: name.parse().unwrap() }).await.unwrap();
        until_named(&b, name).await;
    }
}

#[tokio::test]
async fn what_another_commits_without_a_word_is_found_by_the_look_at_the_files() {
    let b = listening_bench(OFTEN, NEVER);
    let killed = Connection::open(b.folder.path().join("db")).unwrap();
    for name in ["one", "two", "three"] {
        killed.execute("UPDATE sessions SET name = ?1", [name]).unwrap();
        killed.execute("INSERT INTO changes (session_id, process_id) VALUES (1, 99)", []).unwrap();
        until_named(&b, name).await;
    }
}

#[tokio::test]
async fn who_begins_to_work_shows_that_it_lives_to_who_came_while_it_slept() {
    let mut b = listening_bench(NEVER, OFTEN);
    let other = other(&b);
    b.handle.submit(message(1, "hello")).await.unwrap();
    let asked = b.asked.recv().await.unwrap();
    let beats = async {
        loop {
            let found =
                other.read(Survey { process: crate::domain::ProcessId(0), since: 0, orphans: None }).await.unwrap();
            if found.others.iter().any(|other| other.works && other.beat > 2) {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, beats).await.expect("it beats");
    asked.finish().await;
}
