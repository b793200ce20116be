//! The store on fresh databases in temporary folders.

mod attachments;
mod auto_replies;
mod care;
mod checkpoints;
mod chunks;
mod concurrency;
mod continuing;
mod entries;
mod foreign_objects;
mod leases;
mod notify;
mod opening;
mod outputs;
mod places;
mod recovery;
mod rescue;
mod salvage;
mod sessions;
mod set_aside;
mod stats;
mod turns;
mod typed;
mod undo;
mod upgrades;

use std::path::PathBuf;

use super::*;
use crate::domain::{
    AnswerState, Entry, EntryId, EntryState, ErrorKind, FinishReason, MessageId, Origin, Priority, Session, SessionId,
    SessionRef, StoredError, Usage,
};

/// All tests' now, unless time matters to them.
const NOW: Timestamp = Timestamp(1_000_000);

/// A database that lives as long as this.
struct Fresh {
    folder: tempfile::TempDir,
    store: Store,
}

impl Fresh {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (store, opening) = Store::open(&folder.path().join("chatmux.db"), NOW).unwrap();
        assert_eq!(
            opening,
            Opening { sole: true, created: true, process: opening.process, recovery: Recovery::default() }
        );
        Self { folder, store }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("chatmux.db")
    }

    /// Opens the file as the next process would, after this one died or ended.
    fn reopened(self, now: Timestamp) -> (Self, Opening) {
        self.store.close();
        let (store, opening) = Store::open(&self.folder.path().join("chatmux.db"), now).unwrap();
        (Self { folder: self.folder, store }, opening)
    }

    fn write<W: Write>(&self, operation: W) -> W::Reply {
        self.store.write_blocking(operation).unwrap()
    }

    fn fails<W: Write<Reply: std::fmt::Debug>>(&self, operation: W) -> StoreError {
        self.store.write_blocking(operation).unwrap_err()
    }

    fn read<R: Read>(&self, operation: R) -> R::Reply {
        self.store.read_blocking(operation).unwrap()
    }

    fn session(&self) -> Session {
        self.write(CreateSession { name: None, model: "demo:tour".parse().unwrap(), system: String::new(), now: NOW })
    }

    fn enqueue(&self, session: SessionId, text: &str) -> Entry {
        self.write(enqueue(session, text))
    }

    fn start(&self, session: SessionId, text: &str) -> Turn {
        let entry = self.enqueue(session, text).id;
        self.write(StartTurn { entry, now: NOW })
    }

    /// A dead letter.
    fn dead(&self, session: SessionId, question: &str) -> EntryId {
        let turn = self.start(session, question);
        let (entry_state, answer_state) = (EntryState::Dead, AnswerState::Failed);
        self.write(EndTurn { entry_state, answer_state, error: Some(failure()), ..completed(&turn) });
        turn.entry
    }

    /// A whole turn.
    fn turn(&self, session: SessionId, question: &str, answer: &str) -> Turn {
        let turn = self.start(session, question);
        self.write(EndTurn { chunks: text(answer), ..completed(&turn) });
        turn
    }
}

fn enqueue(session: SessionId, text: &str) -> Enqueue {
    Enqueue { session, priority: Priority::Normal, origin: Origin::User, text: text.to_owned(), now: NOW }
}

fn ids(entries: &[Entry]) -> Vec<EntryId> {
    entries.iter().map(|e| e.id).collect()
}

fn failure() -> StoredError {
    let (kind, status) = (ErrorKind::Overloaded, Some(503));
    StoredError { kind, status, text: "busy".to_owned(), request_id: Some("r1".to_owned()) }
}

fn text(text: &str) -> Vec<(ChunkKind, String)> {
    vec![(ChunkKind::Text, text.to_owned())]
}

fn reasoning(text: &str) -> Vec<(ChunkKind, String)> {
    vec![(ChunkKind::Reasoning, text.to_owned())]
}

fn completed(turn: &Turn) -> EndTurn {
    EndTurn {
        entry: turn.entry,
        answer: turn.answer,
        chunks: Vec::new(),
        answer_state: AnswerState::Complete,
        entry_state: EntryState::Done,
        continues: false,
        finish: Some(FinishReason::Stop.into()),
        usage: Usage { input: Some(9), output: Some(12) },
        error: None,
        counts: true,
        unanswered: false,
        gave_way: false,
        not_before: None,
        first_at: Some(NOW),
        first_after: None,
        follow: None,
        now: NOW,
    }
}
