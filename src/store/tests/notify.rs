//! What one process tells by a byte in the lock's file, what it does not, and what is found without it.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use futures_util::FutureExt;

use super::*;

/// Looks of which a test wants none.
const NEVER: Duration = Duration::from_secs(3_600);
const OFTEN: Duration = Duration::from_millis(2);
/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(60);

/// A database that is opened by two.
struct Two {
    folder: tempfile::TempDir,
    first: Store,
    second: Store,
}

impl Two {
    /// Who look this often.
    fn looking_every(look: Duration) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let open = || Store::open_looking_every(look, &folder.path().join("db"), NOW).unwrap().0;
        let (first, second) = (open(), open());
        Self { first, second, folder }
    }

    /// The same; the first listens, and has heard that there is the second.
    async fn listening(look: Duration) -> (Self, Listener) {
        let folder = tempfile::tempdir().unwrap();
        let open = || Store::open_looking_every(look, &folder.path().join("db"), NOW).unwrap().0;
        let first = open();
        let mut listener = first.listen();
        let second = open();
        heard(&mut listener).await;
        if look == OFTEN {
            heard(&mut listener).await;
        }
        hears_nothing(&mut listener).await;
        (Self { first, second, folder }, listener)
    }

    fn lock(&self) -> PathBuf {
        self.folder.path().join("db.lock")
    }

    /// Whether the lock's file is written to meanwhile.
    fn tells<T>(&self, what: impl FnOnce(&Store) -> T) -> bool {
        let lock = OpenOptions::new().read(true).write(true).open(self.lock()).unwrap();
        let mark = b"x";
        lock.write_all_at(mark, 0).unwrap();
        what(&self.first);
        let mut found = [0];
        lock.read_exact_at(&mut found, 0).unwrap();
        assert_eq!(lock.metadata().unwrap().len(), 1, "it does not grow");
        found != *mark
    }
}

async fn heard(listener: &mut Listener) {
    assert!(listener.is_told(), "this system can watch files");
    tokio::time::timeout(PATIENCE, listener.heard()).await.expect("it is heard");
}

/// Hears what is there already.
async fn drain(listener: &mut Listener) {
    for _ in 0..200 {
        let _ = listener.heard().now_or_never();
        tokio::task::yield_now().await;
    }
}

/// Nothing is to be heard, also after the runtime has looked.
async fn hears_nothing(listener: &mut Listener) {
    for _ in 0..200 {
        assert!(listener.heard().now_or_never().is_none());
        tokio::task::yield_now().await;
    }
}

fn create() -> CreateSession {
    CreateSession { name: None, model: "demo:tour".parse().unwrap(), system: String::new(), now: NOW }
}

#[test]
fn what_concerns_others_is_told_and_nothing_else() {
    let two = Two::looking_every(NEVER);
    let session = two.first.write_blocking(create()).unwrap().id;
    assert!(two.tells(|store| store.write_blocking(create())));
    assert!(two.tells(|store| store.write_blocking(AskToCancel { session })));
    let mut entry = None;
    assert!(two.tells(|store| entry = store.write_blocking(enqueue(session, "q")).ok()));
    let mut turn = None;
    let start = StartTurn { entry: entry.unwrap().id, now: NOW };
    assert!(two.tells(|store| turn = store.write_blocking(start).ok()));
    let turn = turn.unwrap();
    let append = AppendChunks { answer: turn.answer, chunks: text("some of it") };
    assert!(!two.tells(|store| store.write_blocking(append)), "who follows an answer looks by itself");
    assert!(!two.tells(|store| store.write_blocking(Beat)));
    assert!(two.tells(|store| store.write_blocking(completed(&turn))));
    assert!(!two.tells(|store| store.write_blocking(SetDraft { session, draft: "mine".to_owned() })));
    let refused = StartTurn { entry: EntryId(99), now: NOW };
    assert!(!two.tells(|store| store.write_blocking(refused)));
    assert!(two.tells(|_| Store::open_looking_every(NEVER, &two.folder.path().join("db"), NOW).unwrap().0.close()));
    two.second.clone().close();
    assert!(!two.tells(|store| store.write_blocking(create())), "nobody is left");
}

#[tokio::test]
async fn a_byte_is_enough_to_be_heard() {
    let (two, mut listener) = Two::listening(NEVER).await;
    for _ in 0..3 {
        two.second.write(create()).await.unwrap();
        heard(&mut listener).await;
        hears_nothing(&mut listener).await;
    }
    // However much is told meanwhile.
    for _ in 0..300 {
        two.second.write(create()).await.unwrap();
    }
    heard(&mut listener).await;
    hears_nothing(&mut listener).await;
    let third = Store::open_looking_every(NEVER, &two.folder.path().join("db"), NOW).unwrap().0;
    heard(&mut listener).await;
    third.close();
    heard(&mut listener).await;
}

#[tokio::test]
async fn what_was_committed_without_a_byte_is_found_by_the_look() {
    let (two, mut listener) = Two::listening(OFTEN).await;
    let killed = Connection::open(two.folder.path().join("db")).unwrap();
    for _ in 0..3 {
        killed.execute("INSERT INTO changes (session_id, process_id) VALUES (1, 99)", []).unwrap();
        heard(&mut listener).await;
    }
    // By its byte, and by the look.
    two.second.close();
    heard(&mut listener).await;
    heard(&mut listener).await;
    // Commits of its own are nothing new, and there is no byte where nobody is told.
    for _ in 0..20 {
        two.first.write(create()).await.unwrap();
        // The look is due by then.
        tokio::time::sleep(OFTEN).await;
    }
    hears_nothing(&mut listener).await;
}

/// Another file takes its place.
fn replace(lock: &Path) -> File {
    let new = lock.with_extension("new");
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(&new).unwrap();
    fs::rename(&new, lock).unwrap();
    file
}

#[tokio::test]
async fn a_lock_that_is_made_anew_is_watched_anew() {
    let (two, mut listener) = Two::listening(OFTEN).await;
    two.second.clone().close();
    heard(&mut listener).await;
    heard(&mut listener).await;
    for _ in 0..3 {
        let lock = replace(&two.lock());
        // The look finds it. That the old file is let go of is an event too, on some systems, and both come in their own time.
        heard(&mut listener).await;
        // So many cannot come from those.
        for _ in 0..5 {
            drain(&mut listener).await;
            lock.write_all_at(b"y", 0).unwrap();
            heard(&mut listener).await;
        }
    }
}
