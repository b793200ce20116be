//! What is on the disk, read beside the processes that write it, and what must be true of that at any time.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, OpenFlags, Transaction};

use crate::answers::{self, Part};
use crate::process::Acknowledged;
use crate::program::{Home, PATIENCE};

/// A message in a queue, or one that was.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) session: i64,
    pub(crate) text: String,
    pub(crate) state: String,
    pub(crate) answer: Option<Answer>,
}

/// The answer to it.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) state: String,
    pub(crate) text: String,
    pub(crate) parts: Vec<Part>,
}

/// One moment of the database.
#[derive(Debug)]
pub(crate) struct Moment {
    pub(crate) entries: BTreeMap<i64, Entry>,
    /// Process numbers of the operating system.
    pub(crate) registered: BTreeSet<u32>,
}

/// A connection that only reads.
#[derive(Debug)]
pub(crate) struct Disk(Connection);

impl Disk {
    pub(crate) fn open(home: &Home) -> Self {
        let conn = Connection::open_with_flags(home.database(), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        conn.busy_timeout(PATIENCE).unwrap();
        Self(conn)
    }

    /// Which processes are registered, and which of them have a lease.
    pub(crate) fn registered(&self) -> (BTreeSet<u32>, BTreeSet<u32>) {
        let pids = |sql: &str| column::<u32>(&self.0, sql).into_iter().collect();
        (pids("SELECT pid FROM processes"), pids("SELECT p.pid FROM leases l JOIN processes p ON p.id = l.process_id"))
    }

    /// What is there now. Panics where that cannot be, whatever goes on.
    pub(crate) fn look(&mut self, seed: u64) -> Moment {
        let now = self.0.transaction().unwrap();
        assert_eq!(column::<String>(&now, "PRAGMA integrity_check"), ["ok"]);
        assert_eq!(column::<String>(&now, "PRAGMA foreign_key_check"), [""; 0]);
        let astray =
            "SELECT id FROM entries WHERE state = 'running' AND session_id NOT IN (SELECT session_id FROM leases)";
        assert_eq!(column::<i64>(&now, astray), [0; 0], "these run, and nobody has their lease");
        let moment = read(&now, seed);
        let mut texts = BTreeSet::new();
        for (id, entry) in &moment.entries {
            assert!(texts.insert((entry.session, &entry.text)), "#{id} is there twice: {entry:?}");
            assert_eq!(entry.session, answers::session_of(&entry.text), "#{id} is astray: {entry:?}");
            if let Some(answer) = &entry.answer {
                assert!(
                    answer.state != "complete" || answer.parts.last().is_some_and(|last| last.whole),
                    "#{id} is complete and not whole: {answer:?}"
                );
            }
        }
        moment
    }
}

impl Moment {
    /// Each acknowledged message is there, once and as it was.
    pub(crate) fn assert_kept(&self, acknowledged: &[Acknowledged]) {
        for said in acknowledged {
            let entry = self.entries.get(&said.entry).unwrap_or_else(|| panic!("it is lost: {said:?}"));
            assert_eq!((entry.session, &entry.text), (said.session, &said.text), "{said:?} is another: {entry:?}");
        }
    }

    /// The entry that asks this.
    pub(crate) fn asking(&self, question: &str) -> Option<(i64, &Entry)> {
        self.entries.iter().find(|(_, entry)| entry.text == question).map(|(id, entry)| (*id, entry))
    }
}

fn read(now: &Transaction<'_>, seed: u64) -> Moment {
    let mut statement = now.prepare("SELECT id, session_id, text, state FROM entries WHERE origin <> 'auto'").unwrap();
    let entries = statement.query_map([], |row| {
        Ok((row.get(0)?, Entry { session: row.get(1)?, text: row.get(2)?, state: row.get(3)?, answer: None }))
    });
    let mut entries: BTreeMap<i64, Entry> = entries.unwrap().map(Result::unwrap).collect();
    let mut statement = now
        .prepare(
            "SELECT m.entry_id, m.state, m.text || coalesce((SELECT group_concat(text, '' ORDER BY id) FROM chunks c \
                 WHERE c.id >= m.first_chunk AND c.message_id = m.id AND c.kind = 'text'), '') FROM messages m WHERE m.role = 'assistant'",
        )
        .unwrap();
    let answers = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
    for (entry, state, text) in answers.unwrap().map(Result::unwrap) {
        let (entry, state, text): (i64, String, String) = (entry, state, text);
        let parts = answers::parts(seed, &text).unwrap_or_else(|wrong| panic!("#{entry}: {wrong}"));
        let there = entries.get_mut(&entry).unwrap().answer.replace(Answer { state, text, parts });
        assert!(there.is_none(), "two answers to #{entry}");
    }
    let registered = column(now, "SELECT pid FROM processes").into_iter().collect();
    Moment { entries, registered }
}

fn column<T: rusqlite::types::FromSql>(conn: &Connection, sql: &str) -> Vec<T> {
    let mut statement = conn.prepare(sql).unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}
