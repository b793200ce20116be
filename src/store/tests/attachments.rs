//! Files that go along with the next message: kept, taken in its transaction, or left alone.

use rusqlite::Connection;

use super::*;
use crate::domain::attachment::MAX_ATTACHED_FILES;
use crate::domain::limits::MAX_MESSAGE_BYTES;
use crate::domain::{Attachment, Notify, SessionRef};

fn file(name: &str, text: &str) -> Attachment {
    Attachment { name: name.to_owned(), text: text.to_owned() }
}

fn attach(session: SessionId, files: &[(&str, &str)]) -> AttachFiles {
    AttachFiles { session, files: files.iter().map(|(name, text)| file(name, text)).collect() }
}

fn attached(fresh: &Fresh, session: SessionId) -> Vec<(String, u64)> {
    fresh.read(Attachments { session }).into_iter().map(|file| (file.name, file.bytes)).collect()
}

fn names(all: &[(&str, u64)]) -> Vec<(String, u64)> {
    all.iter().map(|(name, bytes)| ((*name).to_owned(), *bytes)).collect()
}

#[test]
fn what_is_attached_goes_along_with_the_next_message_that_is_typed() {
    let fresh = Fresh::new();
    let (one, two) = (fresh.session().id, fresh.session().id);
    fresh.write(attach(one, &[("b", "é\n"), ("a", "1")]));
    fresh.write(attach(two, &[("c", "")]));
    let (fresh, _) = fresh.reopened(NOW);
    assert_eq!(attached(&fresh, one), names(&[("b", 3), ("a", 1)]), "it is kept, in the order of attaching");
    // Not with what comes from elsewhere.
    assert_eq!(fresh.enqueue(one, "sent").text, "sent");
    fresh.write(EnqueueAll { entries: vec![enqueue(one, "to both"), enqueue(two, "to both")] });
    let typed = fresh.write(EnqueueTyped(enqueue(one, "which?"))).remove(0);
    assert_eq!(typed.text, "File: b\n```\né\n```\n\nFile: a\n```\n1\n```\n\nwhich?");
    assert_eq!(fresh.read(FindEntry(typed.id)).unwrap().text, typed.text);
    assert_eq!(attached(&fresh, one), []);
    assert_eq!(attached(&fresh, two), names(&[("c", 0)]));
    assert_eq!(fresh.write(EnqueueTyped(enqueue(one, "next"))).remove(0).text, "next");
}

#[test]
fn who_attaches_a_file_again_means_it_as_it_is_now() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    fresh.write(attach(session, &[("a", "old"), ("b", "b")]));
    fresh.write(attach(session, &[("a", "new and longer")]));
    assert_eq!(attached(&fresh, session), names(&[("b", 1), ("a", 14)]));
    assert_eq!(fresh.write(DropAttachments { session }), 2);
    assert_eq!(fresh.write(DropAttachments { session }), 0);
    assert_eq!(attached(&fresh, session), []);
}

#[test]
fn a_message_that_is_refused_leaves_attached_what_was() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    fresh.write(attach(session, &[("a", &"a".repeat(MAX_MESSAGE_BYTES - 100))]));
    let long = EnqueueTyped(enqueue(session, &"b".repeat(100)));
    assert!(matches!(fresh.fails(long), StoreError::TooLong(bytes) if bytes > MAX_MESSAGE_BYTES));
    assert_eq!(attached(&fresh, session).len(), 1);
    assert_eq!(fresh.read(PendingEntries), []);
    assert_eq!(fresh.write(EnqueueTyped(enqueue(session, "short"))).len(), 1);
    let nowhere = StoreError::NoSession(SessionRef::Id(SessionId(9)));
    assert_eq!(fresh.fails(EnqueueTyped(enqueue(SessionId(9), "x"))), nowhere);
}

#[test]
fn what_is_too_much_is_not_attached_at_all() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    let half = "a".repeat(MAX_MESSAGE_BYTES / 2);
    fresh.write(attach(session, &[("a", &half)]));
    let error = fresh.fails(attach(session, &[("b", "b"), ("c", &half)]));
    assert_eq!(
        error.to_string(),
        "4.0 MiB with what is attached is too long: the limit is 4 MiB; /attach off drops what is attached"
    );
    assert_eq!(attached(&fresh, session).len(), 1);
    fresh.write(DropAttachments { session });
    let many: Vec<_> = (0..=MAX_ATTACHED_FILES).map(|n| file(&format!("f{n}"), "")).collect();
    let error = fresh.fails(AttachFiles { session, files: many });
    assert_eq!(error, StoreError::TooMany(MAX_ATTACHED_FILES + 1));
    assert_eq!(attached(&fresh, session), []);
    assert!(matches!(fresh.fails(attach(SessionId(9), &[("a", "")])), StoreError::NoSession(_)));
}

#[test]
fn a_deleted_session_takes_its_files_along() {
    let fresh = Fresh::new();
    let (one, two) = (fresh.session().id, fresh.session().id);
    fresh.write(attach(two, &[("a", "a")]));
    fresh.write(DeleteSession { session: two });
    fresh.write(attach(one, &[("a", "a")]));
    fresh.store.close();
    let raw = Connection::open(fresh.folder.path().join("chatmux.db")).unwrap();
    let left: i64 = raw.query_row("SELECT count(*) FROM attachments", [], |row| row.get(0)).unwrap();
    assert_eq!(left, 1);
}

#[test]
fn what_a_session_tells_is_kept() {
    let fresh = Fresh::new();
    let session = fresh.session();
    assert_eq!(session.notify, None);
    let words = Notify::ALL.iter().copied().map(Some).chain([None, Some(Notify::Fail)]);
    for notify in words {
        fresh.write(SetNotify { session: session.id, notify });
        assert_eq!(fresh.read(FindSession(SessionRef::Id(session.id))).unwrap().notify, notify);
    }
    let (fresh, _) = fresh.reopened(NOW);
    assert_eq!(fresh.read(Sessions { closed: true })[0].notify, Some(Notify::Fail));
    assert_eq!(fresh.read(SessionSummaries { closed: true })[0].session.notify, Some(Notify::Fail));
    let none = StoreError::NoSession(SessionRef::Id(SessionId(9)));
    assert_eq!(fresh.fails(SetNotify { session: SessionId(9), notify: None }), none);
    fresh.store.close();
    let raw = Connection::open(fresh.folder.path().join("chatmux.db")).unwrap();
    raw.execute("UPDATE sessions SET notify = 'loud'", []).unwrap_err();
}

#[test]
fn a_database_of_the_schema_before_tells_and_attaches_as_a_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chatmux.db");
    let mut raw = Connection::open(&path).unwrap();
    open::MIGRATIONS.to_version(&mut raw, 3).unwrap();
    raw.execute_batch(
        "INSERT INTO sessions (name, model, created_at_ms, draft) VALUES ('main', 'demo:tour', 1, 'half')",
    )
    .unwrap();
    drop(raw);
    let (store, _) = Store::open(&path, NOW).unwrap();
    let fresh = Fresh { folder, store };
    let found = fresh.read(Sessions { closed: true }).remove(0);
    assert_eq!((found.notify, found.draft.as_str()), (None, "half"));
    fresh.write(SetNotify { session: found.id, notify: Some(Notify::None) });
    fresh.write(attach(found.id, &[("a", "a")]));
    assert_eq!(fresh.read(Sessions { closed: true })[0].notify, Some(Notify::None));
    assert_eq!(attached(&fresh, found.id), names(&[("a", 1)]));
}
