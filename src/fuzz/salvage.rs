//! Damaged databases, and files that were never one.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::fuzz;
use crate::domain::{AnswerState, EntryState, Origin, Priority, Timestamp};
use crate::store::{
    BackupError, ChunkKind, CreateSession, EndTurn, Enqueue, History, Salvaged, Sessions, StartTurn, Store, salvage,
};

const NOW: Timestamp = Timestamp(1_000_000);
/// Bytes of a page.
const PAGE: usize = 4_096;

/// Damage that no text can be mistaken for: bytes that are gone, or that are in no text.
#[derive(Debug, Clone)]
enum Wreck {
    /// A page is zeroed.
    Zero(u16),
    /// Bytes that are in no UTF-8 stand here, so many.
    Garble(u32, usize),
    /// A page of rows stands twice, as an older copy does.
    Copy(u16),
    /// A page of rows names the row of another pointer again, so often.
    Point(u16, u8, u8, u8),
    /// Nothing comes behind it.
    End(u32),
}

fn wreck() -> impl Strategy<Value = Wreck> {
    prop_oneof![
        3 => any::<u16>().prop_map(Wreck::Zero),
        1 => Just(Wreck::Zero(0)),
        5 => (any::<u32>(), 1usize..64).prop_map(|(at, count)| Wreck::Garble(at, count)),
        1 => any::<u16>().prop_map(Wreck::Copy),
        2 => any::<(u16, u8, u8, u8)>().prop_map(|(page, from, to, times)| Wreck::Point(page, from, to, times)),
        1 => any::<u32>().prop_map(Wreck::End),
    ]
}

impl Wreck {
    fn strike(&self, bytes: &mut Vec<u8>) {
        let pages = (bytes.len() / PAGE).max(1);
        let place = |nth: u16| usize::from(nth) % pages * PAGE;
        match self {
            Self::Zero(nth) => bytes.iter_mut().skip(place(*nth)).take(PAGE).for_each(|byte| *byte = 0),
            Self::Garble(at, count) => {
                let at = *at as usize % bytes.len().max(1);
                bytes.iter_mut().skip(at).take(*count).for_each(|byte| *byte = 0xff);
            }
            // The end of a long text is no page of rows: where that of another stood, nothing would tell them apart.
            Self::Copy(nth) if bytes.get(place(*nth)) == Some(&0x0d) => {
                bytes.truncate(pages * PAGE);
                let copy: Vec<_> = bytes.iter().skip(place(*nth)).take(PAGE).copied().collect();
                bytes.extend(copy);
            }
            Self::Copy(_) => {}
            Self::Point(nth, from, to, times) => {
                let Some(page) = bytes.get_mut(place(*nth)..place(*nth) + PAGE) else { return };
                let rows = usize::from(page[4]);
                if page[0] != 0x0d || rows == 0 {
                    return;
                }
                let pointer = |row: u8| 8 + 2 * (usize::from(row) % rows);
                let from = pointer(*from);
                (0..=*times % 8).for_each(|row| page.copy_within(from..from + 2, pointer(to.wrapping_add(row))));
            }
            Self::End(at) => bytes.truncate(*at as usize % (bytes.len() + 1)),
        }
    }
}

/// A database with some sessions and with texts of up to five pages; the bytes of the file, and all its texts.
fn real() -> (Vec<u8>, BTreeSet<String>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("real.db");
    let (store, _) = Store::open(&path, NOW).unwrap();
    let mut texts = BTreeSet::from([String::new()]);
    for nth in 0..4 {
        let create = CreateSession { name: None, model: "demo:tour".parse().unwrap(), system: String::new(), now: NOW };
        let session = store.write_blocking(create).unwrap().id;
        for turn in 0..12 {
            let question = format!("question {turn} of {nth} ü");
            let answer: String = (0..turn * turn * 14).map(|n| format!("{nth}.{turn}.{n} é ")).collect();
            let (priority, origin) = (Priority::Normal, Origin::User);
            let enqueue = Enqueue { session, priority, origin, text: question.clone(), now: NOW };
            let entry = store.write_blocking(enqueue).unwrap().id;
            let turn = store.write_blocking(StartTurn { entry, now: NOW }).unwrap();
            let end = EndTurn {
                entry,
                answer: turn.answer,
                chunks: vec![(ChunkKind::Text, answer.clone())],
                answer_state: AnswerState::Complete,
                entry_state: EntryState::Done,
                continues: false,
                finish: None,
                usage: Default::default(),
                error: None,
                counts: true,
                gave_way: false,
                unanswered: false,
                not_before: None,
                first_at: Some(NOW),
                first_after: None,
                follow: None,
                now: NOW,
            };
            store.write_blocking(end).unwrap();
            texts.extend([question, answer]);
        }
    }
    store.close();
    (fs::read(path).unwrap(), texts)
}

/// Salvages `bytes`; what came of it, and the messages that are there then.
fn salvaged(bytes: &[u8], folder: &Path) -> Option<(Salvaged, Vec<String>)> {
    let (damaged, new) = (folder.join("damaged.db"), folder.join("new.db"));
    fs::write(&damaged, bytes).unwrap();
    let report = match salvage(&damaged, &new, NOW) {
        Ok(report) => report,
        Err(BackupError::Nothing(_) | BackupError::Database(_)) => {
            assert!(!new.exists());
            return None;
        }
        Err(other) => panic!("{other}"),
    };
    assert!(fs::read(&damaged).unwrap() == bytes, "the damaged file was written");
    // The store reads all of it.
    let (store, _) = Store::open(&new, NOW).unwrap();
    let mut texts = Vec::new();
    for session in store.read_blocking(Sessions { closed: true }).unwrap() {
        let messages = store.read_blocking(History { session: session.id, last: usize::MAX }).unwrap();
        texts.extend(messages.into_iter().map(|message| message.text));
    }
    store.close();
    Some((report, texts))
}

#[test]
fn fuzz_salvage_of_a_damaged_database() {
    let (bytes, texts) = real();
    fuzz("salvage_of_a_damaged_database", 24, &prop::collection::vec(wreck(), 0..12), |wrecks| {
        let (mut damaged, folder) = (bytes.clone(), tempfile::tempdir().unwrap());
        wrecks.iter().for_each(|wreck| wreck.strike(&mut damaged));
        let Some((report, found)) = salvaged(&damaged, folder.path()) else { return };
        if wrecks.is_empty() {
            assert!(!report.has_loss() && found.len() == 96, "{report:?}");
        }
        // Each text is one that was there, or the report counts it among those that are not sure.
        let wrong: Vec<_> = found.iter().filter(|text| !texts.contains(*text)).collect();
        let shown: Vec<_> = wrong.iter().map(|text| text.chars().take(60).collect::<String>()).collect();
        assert!(wrong.len() as u64 <= report.holes, "{} were never there: {shown:?} {report:?}", wrong.len());
    });
}

#[test]
fn fuzz_salvage_of_what_was_never_a_database() {
    // Pages that begin as those of tables do, with anything behind.
    let page = (prop::sample::select(vec![0x0d_u8, 0x05, 0x00, b'S']), prop::collection::vec(any::<u8>(), 0..200));
    let file = (any::<bool>(), prop::collection::vec(page, 1..12));
    fuzz("salvage_of_what_was_never_a_database", 24, &file, |(has_header, pages)| {
        let mut bytes = Vec::new();
        for (kind, rest) in &pages {
            let mut page = vec![*kind, 0, 0, 0, 3, 0x0f, 0x00, 0, 0x0f, 0x00, 0x0f, 0x40, 0x0f, 0x80];
            page.resize(PAGE - rest.len(), *kind);
            page.extend(rest);
            bytes.extend(page);
        }
        if has_header {
            bytes[..18].copy_from_slice(b"SQLite format 3\0\x10\0");
        }
        salvaged(&bytes, tempfile::tempdir().unwrap().path());
    });
}
