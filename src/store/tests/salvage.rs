//! Damaged databases, and what is read of them. Where chance damages, the seed is fixed.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::*;
use crate::domain::LetGo;

/// Bytes of a page, as chatmux makes them.
const PAGE: usize = 4_096;

/// A message: its session, its entry, its state and its text.
type Row = (i64, i64, String, String);

fn messages(path: &Path) -> BTreeMap<i64, Row> {
    let raw = Connection::open(path).unwrap();
    let mut rows = raw.prepare("SELECT id, session_id, entry_id, state, text FROM messages").unwrap();
    let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, (row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)));
    rows.query_map([], row).unwrap().map(Result::unwrap).collect()
}

/// Text of `words` words that say where they are from.
fn long(from: &str, words: usize) -> String {
    (0..words).map(|n| format!("{from}.{n}ü ")).collect()
}

/// A database with `turns` turns in 40 sessions; each tenth answer needs pages of its own, some many.
fn filled(turns: usize) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chatmux.db");
    Store::open(&path, NOW).unwrap().0.close();
    let mut raw = Connection::open(&path).unwrap();
    let all = raw.transaction().unwrap();
    for session in 1..=40 {
        let sql = "INSERT INTO sessions (name, model, created_at_ms) VALUES (?1, 'demo:tour', ?2)";
        all.execute(sql, (format!("session-{session}"), session)).unwrap();
    }
    let mut entry = all
        .prepare(
            "INSERT INTO entries (id, session_id, priority, origin, state, attempts, created_at_ms, finished_at_ms, position, text) \
             VALUES (?1, ?2, 'normal', 'user', 'done', 1, ?3, ?3 + 9, ?1, ?4)",
        )
        .unwrap();
    let mut message = all
        .prepare(
            "INSERT INTO messages (session_id, entry_id, role, state, model, created_at_ms, finished_at_ms, text) \
             VALUES (?1, ?2, ?3, 'complete', ?4, ?5, ?5 + 9, ?6)",
        )
        .unwrap();
    let mut line = all.prepare("INSERT INTO history (session_id, nth, at_ms, line) VALUES (?1, ?2, 1, ?3)").unwrap();
    for turn in 1..=turns {
        let (id, session, question) = (turn as i64, (turn % 40 + 1) as i64, long(&format!("q{turn}"), turn % 9 + 1));
        let words = if turn % 10 == 0 { turn * 37 % 4_001 } else { turn % 60 };
        let answer = long(&format!("a{turn}"), words + 1);
        entry.execute((id, session, id, &question)).unwrap();
        message.execute((session, id, "user", None::<String>, id, &question)).unwrap();
        message.execute((session, id, "assistant", Some("demo:tour"), id, &answer)).unwrap();
        line.execute((session, id, &question)).unwrap();
    }
    drop((entry, message, line));
    all.commit().unwrap();
    raw.close().unwrap();
    (folder, path)
}

/// What a damaged copy gave.
struct Saved {
    _folder: tempfile::TempDir,
    new: PathBuf,
    report: Salvaged,
}

/// Salvages a copy of `path` that `damage` has struck, and sees that a whole database came of it and that the copy stays as it was.
fn saved(path: &Path, damage: impl FnOnce(&mut Vec<u8>)) -> Saved {
    let folder = tempfile::tempdir().unwrap();
    let (copy, new) = (folder.path().join("damaged.db"), folder.path().join("new.db"));
    let mut bytes = fs::read(path).unwrap();
    damage(&mut bytes);
    fs::write(&copy, &bytes).unwrap();
    let report = salvage(&copy, &new, NOW).unwrap();
    assert!(fs::read(&copy).unwrap() == bytes, "the damaged file was written");
    let mut names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["damaged.db", "new.db"]);
    is_sound(&new);
    Saved { _folder: folder, new, report }
}

/// All of it can be read as the program reads it, and nothing would be sent.
fn is_sound(new: &Path) {
    assert_eq!(fs::metadata(new).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(check(new).unwrap().faults, [""; 0]);
    let (store, opening) = Store::open(new, NOW).unwrap();
    assert_eq!(opening.recovery, Recovery::default());
    for session in store.read_blocking(Sessions { closed: true }).unwrap() {
        store.read_blocking(History { session: session.id, last: usize::MAX }).unwrap();
    }
    assert!(store.read_blocking(PendingEntries).unwrap().iter().all(|entry| entry.held));
    store.read_blocking(AllStats).unwrap();
    store.close();
}

/// Of the messages of `path`, those that stand bit for bit in `new`, in hundredths of a percent.
fn kept(path: &Path, new: &Path) -> usize {
    let (before, after) = (messages(path), messages(new));
    for (id, row) in &after {
        let known = before.get(id).unwrap_or_else(|| panic!("message {id} was never there"));
        assert_eq!((row.0, row.1), (known.0, known.1), "message {id}");
    }
    let same = before.iter().filter(|(id, row)| after.get(id) == Some(row)).count();
    same * 10_000 / before.len()
}

fn zero_pages(bytes: &mut [u8], percent: usize, chance: &mut fastrand::Rng) {
    let pages = bytes.len() / PAGE;
    for _ in 0..(pages * percent).div_ceil(100) {
        bytes[chance.usize(..pages) * PAGE..][..PAGE].fill(0);
    }
}

/// The figures that SQL alone cannot reach: 0 without the first page.
#[test]
fn most_rows_are_read_whatever_is_damaged() {
    let (_folder, path) = filled(1_000);
    let rate = |damage: &dyn Fn(&mut Vec<u8>)| {
        let saved = saved(&path, |bytes| damage(bytes));
        (kept(&path, &saved.new), saved.report)
    };
    let (whole, report) = rate(&|_| {});
    assert_eq!((whole, report.has_loss(), report.old_copies), (10_000, false, 0), "{report:?}");
    assert_eq!((report.found.messages, report.found.entries, report.found.history), (2_000, 1_000, 1_000));
    let (without_first, report) = rate(&|bytes| bytes[..PAGE].fill(0));
    assert_eq!((without_first, report.lost.first_page), (10_000, true), "{report:?}");
    assert_eq!((report.found.sessions, report.made_up.sessions), (40, 0));
    let (zeroed, report) = rate(&|bytes| bytes[..64 << 10].fill(0));
    assert!(zeroed >= 9_800 && report.has_loss(), "{zeroed} {report:?}");
    let (half, report) = rate(&|bytes| bytes.truncate(bytes.len() / 2));
    assert!(half >= 3_500 && report.lost.pages > 0, "{half} {report:?}");
    for seed in 0..3 {
        let (zeroed, report) = rate(&|bytes| zero_pages(bytes, 1, &mut fastrand::Rng::with_seed(seed)));
        assert!(zeroed >= 9_800 && report.has_loss(), "seed {seed}: {zeroed} {report:?}");
        let (garbled, report) = rate(&|bytes| {
            let mut chance = fastrand::Rng::with_seed(seed);
            for page in (0..bytes.len() / PAGE).filter(|_| chance.usize(..10) == 0).collect::<Vec<_>>() {
                let at = page * PAGE + chance.usize(..PAGE - 64);
                chance.fill(&mut bytes[at..at + 64]);
            }
        });
        assert!(garbled >= 9_600 && report.has_loss(), "seed {seed}: {garbled} {report:?}");
    }
}

/// Whatever each earlier schema knew comes back as an upgrade brings it, but that what waits is held.
#[test]
fn every_schema_is_read() {
    for version in 1..=usize::try_from(open::SCHEMA).unwrap() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("old.db");
        upgrades::of_schema(&path, version);
        for is_first_gone in [false, true] {
            let saved = saved(&path, |bytes| bytes[..if is_first_gone { PAGE } else { 0 }].fill(0));
            let found = saved.report.found;
            assert_eq!((found.sessions, found.entries, found.messages), (2, 7, 8), "schema {version}");
            let raw = Connection::open(&saved.new).unwrap();
            let text = |sql: &str| raw.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap();
            assert_eq!(
                text("SELECT text || ' ' || reasoning || ' ' || state FROM messages WHERE id = 4"),
                "beginn so interrupted"
            );
            assert_eq!(text("SELECT state || held || set_aside || position FROM entries WHERE id = 3"), "pending103");
            // The loop has ended, and with it what it had queued.
            assert_eq!(text("SELECT state FROM entries WHERE id = 4"), "cancelled");
            assert_eq!(saved.report.loops, u64::from(version > 1));
            assert_eq!(text("SELECT name || draft || system FROM sessions WHERE id = 1"), "mainhalf a libe brief");
            assert_eq!(text("SELECT error_kind || error_status FROM entries WHERE id = 6"), "overloaded503");
            assert_eq!(found.attachments, u64::from(version > 3), "schema {version}");
            assert_eq!(found.history, if version > 4 { 2 } else { 0 }, "schema {version}");
        }
    }
}

#[test]
fn what_ran_and_what_waits_is_held_and_nothing_is_sent() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    let turn = fresh.start(session, "streams");
    fresh.write(AppendChunks { answer: turn.answer, chunks: text("partial") });
    fresh.enqueue(session, "waits");
    let other = fresh.session().id;
    fresh.start(other, "was sent, and brought nothing");
    let path = fresh.path();
    // Not closed: all of it is in the journal.
    let copy = fresh.folder.path().join("copy.db");
    fs::copy(&path, &copy).unwrap();
    fs::copy(open::sibling(&path, "-wal"), open::sibling(&copy, "-wal")).unwrap();
    let new = fresh.folder.path().join("new.db");
    let report = salvage(&copy, &new, NOW).unwrap();
    assert_eq!((report.held, report.has_loss()), (2, false), "{report:?}");
    is_sound(&new);
    let (store, _) = Store::open(&new, NOW).unwrap();
    let messages = store.read_blocking(History { session, last: 9 }).unwrap();
    assert_eq!((messages[1].text.as_str(), messages[1].state), ("partial", AnswerState::Interrupted));
    store.write_blocking(Adopt { set_aside: LetGo::All { max_attempts: 9 }, only: None, now: NOW }).unwrap();
    assert!(store.read_blocking(PendingEntries).unwrap().iter().all(|entry| entry.held), "as a person's hold");
    store.close();
    assert_eq!(
        salvage(&path, &fresh.folder.path().join("b.db"), NOW),
        Err(StoreError::unusable(&path, Trouble::InUse).into())
    );
}

/// A journal counts as far as its checksums do.
#[test]
fn the_journal_is_laid_over_the_file_up_to_its_last_whole_commit() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    (0..20).for_each(|n| drop(fresh.turn(session, &format!("q{n}"), &long("a", 300))));
    let journal = fs::read(open::sibling(&fresh.path(), "-wal")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy.db");
    let mut least = usize::MAX;
    for cut in [journal.len(), journal.len() * 2 / 3, journal.len() / 2] {
        fs::copy(fresh.path(), &copy).unwrap();
        let mut torn = journal.clone();
        torn[cut..].fill(0x55);
        fs::write(open::sibling(&copy, "-wal"), &torn).unwrap();
        let new = folder.path().join(format!("{cut}.db"));
        let report = salvage(&copy, &new, NOW).unwrap();
        assert_eq!(report.lost.journal, cut < journal.len(), "{report:?}");
        is_sound(&new);
        let found = messages(&new);
        assert!(!found.is_empty() && found.len() < least, "{} of {cut}", found.len());
        assert!(
            found.values().all(|row| row.3.is_empty() || row.3 == long("a", 300) || row.3.starts_with('q')),
            "a part of a commit"
        );
        least = found.len();
    }
    fs::write(open::sibling(&copy, "-wal"), &journal[..1]).unwrap();
    let lost = salvage(&copy, &folder.path().join("none.db"), NOW);
    assert!(lost.is_err() || lost.unwrap().lost.journal);
}

/// The size of a page in the file's header is damaged, and that in the journal's is not.
#[test]
fn the_journal_tells_the_size_of_a_page() {
    let fresh = Fresh::new();
    let session = fresh.session().id;
    (0..20).for_each(|n| drop(fresh.turn(session, &format!("q{n}"), &long("a", 300))));
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy.db");
    fs::copy(open::sibling(&fresh.path(), "-wal"), open::sibling(&copy, "-wal")).unwrap();
    for size in [PAGE, 512, 2 * PAGE, 32 << 10] {
        let mut bytes = fs::read(fresh.path()).unwrap();
        bytes[16..18].copy_from_slice(&u16::try_from(size).unwrap().to_be_bytes());
        fs::write(&copy, bytes).unwrap();
        let new = folder.path().join(format!("{size}.db"));
        let report = salvage(&copy, &new, NOW).unwrap();
        assert!(!report.has_loss() && report.found.messages == 40, "{size}: {report:?}");
        is_sound(&new);
    }
}

/// Pages of another size in it: it is not this database's, and it is said that nothing of it was read.
#[test]
fn a_journal_of_another_database_does_not_tell_the_size_of_a_page() {
    let (folder, path) = filled(300);
    for size in [512, 2 * PAGE] {
        let other = folder.path().join(format!("other-{size}.db"));
        let raw = Connection::open(&other).unwrap();
        raw.execute_batch(&format!("PRAGMA page_size = {size}; PRAGMA journal_mode = WAL; CREATE TABLE t (x)"))
            .unwrap();
        fs::copy(open::sibling(&other, "-wal"), open::sibling(&path, "-wal")).unwrap();
        let new = folder.path().join(format!("{size}.db"));
        let report = salvage(&path, &new, NOW).unwrap();
        assert!(report.lost.journal && report.found.messages == 600, "{size}: {report:?}");
        let _ = fs::remove_file(open::sibling(&path, "-wal"));
        assert_eq!(kept(&path, &new), 10_000, "{size}");
    }
}

/// All pointers of a page say what its first says: the others are lost, and the first is no older copy of itself.
#[test]
fn a_row_that_a_page_names_many_times_comes_back_once() {
    let (_folder, path) = filled(200);
    let mut rows = 0;
    let saved = saved(&path, |bytes| {
        let at = bytes.windows(8).position(|window| window == b"a151.0\xc3\xbc").unwrap();
        let page = &mut bytes[at / PAGE * PAGE..][..PAGE];
        rows = u64::from(page[4]);
        assert!(page[0] == 0x0d && rows > 3, "a page of rows");
        (1..usize::from(page[4])).for_each(|nth| page.copy_within(8..10, 8 + 2 * nth));
    });
    let Salvaged { found, lost, old_copies, made_up, .. } = saved.report;
    assert_eq!((lost.rows, old_copies), (rows - 1, 0));
    assert_eq!(found.messages - made_up.questions, 400 - (rows - 1));
}

/// A terabyte of which some kilobytes were written; a page of rows is far behind the others.
#[test]
fn a_sparse_file_is_read_where_something_is_in_it() {
    use std::os::unix::fs::FileExt;
    let (folder, path) = filled(200);
    let before = messages(&path);
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.windows(8).position(|window| window == b"a151.0\xc3\xbc").unwrap() / PAGE * PAGE;
    let far = bytes[at..at + PAGE].to_vec();
    bytes[at..at + PAGE].fill(0);
    bytes[..PAGE].fill(0);
    let rescued = |name: &str, places: &[u64]| {
        let file = fs::File::create(folder.path().join(name)).unwrap();
        file.write_all_at(&bytes, 0).unwrap();
        file.set_len(1 << 40).unwrap();
        places.iter().for_each(|place| file.write_all_at(&far, *place).unwrap());
        let new = folder.path().join(format!("new-{name}"));
        let report = salvage(&folder.path().join(name), &new, NOW).unwrap();
        is_sound(&new);
        (messages(&new), report.lost.pages)
    };
    let (found, lost) = rescued("within", &[50 << 30]);
    assert_eq!((found.len(), lost), (before.len(), 0));
    assert!(found == before, "each message is as it was");
    // Behind the last page that is read.
    let (found, lost) = rescued("behind", &[500 << 30]);
    assert!(found.len() < before.len() && (1..100).contains(&lost), "{} {lost}", found.len());
}

#[test]
fn what_was_deleted_stays_deleted_where_that_is_known() {
    let (_folder, path) = filled(400);
    let raw = Connection::open(&path).unwrap();
    raw.execute_batch("PRAGMA foreign_keys = ON; DELETE FROM sessions WHERE id > 20").unwrap();
    raw.close().unwrap();
    let whole = saved(&path, |_| {});
    assert_eq!((whole.report.found.sessions, whole.report.has_loss()), (20, false), "{:?}", whole.report);
    assert_eq!(messages(&whole.new), messages(&path));
    // Without the first page nobody knows, and it is said.
    let unsure = saved(&path, |bytes| bytes[..PAGE].fill(0));
    assert!(unsure.report.found.messages > 400 && unsure.report.lost.first_page, "{:?}", unsure.report);
    let (found, live) = (messages(&unsure.new), messages(&path));
    assert!(live.iter().all(|(id, row)| found.get(id) == Some(row)), "what is there now wins");
}

/// A page that was freed has a copy of what stands elsewhere now.
#[test]
fn an_older_copy_does_not_win() {
    let (_folder, path) = filled(200);
    let old = saved(&path, |bytes| {
        let at = bytes.windows(9).position(|window| window == b"q150.0\xc3\xbc ").unwrap();
        let page = at / PAGE * PAGE;
        let mut copy = bytes[page..page + PAGE].to_vec();
        copy[at - page..at - page + 4].copy_from_slice(b"OLD!");
        bytes.extend_from_slice(&copy);
        let pages = u32::try_from(bytes.len() / PAGE).unwrap();
        bytes[28..32].copy_from_slice(&pages.to_be_bytes());
    });
    assert_eq!(kept(&path, &old.new), 10_000);
    assert!(old.report.old_copies > 0 && !old.report.has_loss(), "{:?}", old.report);
}

#[test]
fn what_others_refer_to_is_made_up_and_named() {
    let (_folder, path) = filled(100);
    let raw = Connection::open(&path).unwrap();
    raw.execute_batch(
        "PRAGMA foreign_keys = OFF; DELETE FROM sessions WHERE id IN (3, 12); UPDATE sessions SET name = 'recovered-3' WHERE id = 4; \
         DELETE FROM entries WHERE id = 50; DELETE FROM messages WHERE entry_id = 60 AND role = 'user'; \
         DELETE FROM messages WHERE entry_id = 70",
    )
    .unwrap();
    raw.close().unwrap();
    let Saved { new, report, _folder } = saved(&path, |_| {});
    assert_eq!(report.made_up.names, ["recovered-3_", "recovered-12"]);
    assert_eq!((report.made_up.sessions, report.made_up.entries, report.made_up.questions), (2, 1, 1), "{report:?}");
    assert_eq!((report.lost.answers, report.has_loss()), (1, true));
    let raw = Connection::open(&new).unwrap();
    let text = |sql: &str| raw.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap();
    assert_eq!(text("SELECT text FROM entries WHERE id = 50"), long("q50", 6));
    assert_eq!(text("SELECT text FROM messages WHERE entry_id = 60 AND role = 'user'"), long("q60", 7));
    assert_eq!(text("SELECT model FROM sessions WHERE id = 12"), "demo:tour");
}

/// A page within a long text is gone: what comes before is kept, and it is said.
#[test]
fn a_text_with_a_hole_is_kept_as_far_as_it_goes() {
    let (_folder, path) = filled(100);
    let whole = long("a90", 90 * 37 + 1);
    let saved = saved(&path, |bytes| {
        let at = bytes.windows(9).rposition(|window| window == b"a90.2000\xc3").unwrap();
        bytes[at / PAGE * PAGE..][..PAGE].fill(0);
    });
    let text = messages(&saved.new).remove(&180).unwrap().3;
    assert!(text.len() < whole.len() && whole.starts_with(&text) && !text.is_empty(), "{text}");
    assert_eq!((saved.report.holes, saved.report.holed), (1, vec![("messages".to_owned(), 180)]));
}

#[test]
fn every_size_of_page_is_found_without_the_first() {
    for size in [512, 1_024, 16_384, 65_536] {
        let (_folder, path) = filled(300);
        let raw = Connection::open(&path).unwrap();
        raw.execute_batch(&format!("PRAGMA journal_mode = DELETE; PRAGMA page_size = {size}; VACUUM")).unwrap();
        raw.close().unwrap();
        let saved = saved(&path, |bytes| bytes[..size].fill(0));
        assert_eq!(kept(&path, &saved.new), 10_000, "pages of {size} bytes");
    }
}

#[test]
fn nothing_is_written_where_nothing_is_found_or_something_stands() {
    let folder = tempfile::tempdir().unwrap();
    let [junk, new, missing] = ["junk", "new.db", "missing"].map(|name| folder.path().join(name));
    fs::write(&junk, "dear diary, ".repeat(9_000)).unwrap();
    assert_eq!(salvage(&junk, &new, NOW), Err(BackupError::Nothing(junk.clone())));
    assert_eq!(salvage(&missing, &new, NOW), Err(StoreError::unusable(&missing, Trouble::Missing).into()));
    assert_eq!(salvage(&junk, &junk, NOW), Err(BackupError::Own(junk.clone())));
    let beside = open::sibling(&junk, "-wal");
    assert_eq!(salvage(&junk, &beside, NOW), Err(BackupError::Own(beside)));
    assert!(!new.exists());
    let (_folder, path) = filled(3);
    assert_eq!(salvage(&path, &junk, NOW), Err(BackupError::Exists(junk.clone())));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left");
}

/// What was refused for its trigger comes back without it.
#[test]
fn a_trigger_is_not_brought_back() {
    let (_folder, path) = filled(20);
    let raw = Connection::open(&path).unwrap();
    raw.execute_batch("CREATE TRIGGER evil AFTER INSERT ON processes BEGIN SELECT 1; END").unwrap();
    raw.close().unwrap();
    assert!(Store::visit(&path).is_err());
    let saved = saved(&path, |_| {});
    assert_eq!((kept(&path, &saved.new), saved.report.has_loss()), (10_000, false));
}
