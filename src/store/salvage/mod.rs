//! What can be read of a damaged database, in a new one. SQLite reads from the top: where the first page or one above others is
//! damaged, all below is out of its reach. Here each page of rows is read by itself, wherever it is (99 of 100 rows where one page in a
//! hundred is gone, and all of them without the first page).
//!
//! ```text
//!  FILE, FILE-wal ─► pages ─► trees: what each page is ─► records: rows ─► rebuild: NEW's tables ─► finish
//!                                        shapes: whose row it is ┘
//! ```
//!
//! - `pages` knows the size of a page and lays the journal (`wal`) over the file. `trees` follows what the schema still says.
//! - `shapes` knows from the migrations what each table's rows look like. Where the database does not say whose rows a page holds,
//!   it is the table that most of them can be of; all rows of a page are of one table.
//! - `records` reads a row with the chain of pages behind it, `rebuild` takes it or another copy of it, `values` keeps out what the
//!   store could not read, and `finish` makes up what others refer to, and holds all that waits.
//!
//! **Deleted rows** stay in free pages until those are used again. They are not brought back where the database still says
//! which pages are free, or which a table has. Where it does not (the first page is gone), they may come back, and the report says so.
//!
//! **Bounds.** The file is read four times at most, and each of its pages for at most eight chains; holes of a sparse file are skipped.
//! Pages behind the first 16 million (64 GiB) are not read; those that hold something count as lost. In memory are one page with its rows,
//! which hold no more than the page, one long row (128 MiB at most, and no more than its pages hold), eleven bytes for each page of the
//! file (176 MiB at most), and 16 for each page of the journal. FILE is only read. NEW is written beside its place, flushed, and named when
//! it is whole.

mod finish;
mod holes;
mod pages;
mod rebuild;
mod records;
mod shapes;
mod trees;
mod values;
mod wal;

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::open::sibling;
use super::snapshot::{CopyError, make, refused, target};
use super::target::{BackupError, Target};
use super::{StoreError, Trouble, upgrade};
use crate::domain::Timestamp;
use pages::{LEAF, Pages, short};
use rebuild::{Rank, Rebuild};
use records::{Cell, Chains, Owner};
use shapes::Shape;
use trees::{Place, Trees, header_at};

/// Texts with holes that are named at most.
const MAX_HOLES: usize = 20;

/// Rows that are in the new database.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Found {
    /// Sessions, made-up ones included.
    pub sessions: u64,
    /// Entries.
    pub entries: u64,
    /// Messages.
    pub messages: u64,
    /// Typed lines.
    pub history: u64,
    /// Files that go along with the next message.
    pub attachments: u64,
}

/// What others refer to and was not found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MadeUp {
    /// Sessions.
    pub sessions: u64,
    /// The names of the first twenty.
    pub names: Vec<String>,
    /// Entries; the text is that of their question, where there is one.
    pub entries: u64,
    /// Questions, taken from their entries: nothing of them is lost.
    pub questions: u64,
}

/// What is lost, as far as it can be known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lost {
    /// Pages of rows that cannot be read, pages that the file does not have any more, and those behind the first 16 million.
    pub pages: u64,
    /// Rows that cannot be read.
    pub rows: u64,
    /// Answers of entries that are done.
    pub answers: u64,
    /// Numbers of entries that nobody has: of deleted sessions, or lost. Only counted where it is not known that all were read.
    pub entries_at_most: u64,
    /// The journal, or its end: what was written last.
    pub journal: bool,
    /// The first page, without which it is not known what was deleted: some of that may be back.
    pub first_page: bool,
}

/// What a salvage brought.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Salvaged {
    /// What is there.
    pub found: Found,
    /// What was made up.
    pub made_up: MadeUp,
    /// What is lost.
    pub lost: Lost,
    /// Rows with a text of which something is missing, or may be another's.
    pub holes: u64,
    /// The table and the number of the first twenty of them.
    pub holed: Vec<(String, i64)>,
    /// Older copies of rows that were left out.
    pub old_copies: u64,
    /// Entries that wait: all of them are held.
    pub held: u64,
    /// Auto-reply loops: none of them goes on.
    pub loops: u64,
    /// Bytes of the new database.
    pub bytes: u64,
}

impl Salvaged {
    /// Whether something is known to be lost.
    pub fn has_loss(&self) -> bool {
        let Lost { pages, rows, answers, entries_at_most, journal, first_page } = self.lost;
        let rows = pages + rows + answers + entries_at_most + self.holes + self.made_up.sessions + self.made_up.entries;
        rows > 0 || journal || first_page
    }
}

/// Writes what can be read of the database `path` to the new database `place`.
///
/// # Errors
/// `path` cannot be opened or is in use, nothing of it can be read, or `place` not be written; then nothing is there.
pub fn salvage(path: &Path, place: &Path, now: Timestamp) -> Result<Salvaged, BackupError> {
    let path = &file(path)?;
    let target = Target::new(path, place)?;
    let _alone = alone(path)?;
    let pages = Pages::open(path).map_err(|e| StoreError::io(path, &e))?;
    let written = build(&pages, &target.temporary, now).map_err(|failure| match failure {
        Failure::Nothing => BackupError::Nothing(path.clone()),
        Failure::Unwritable(why) => target.unwritable(why),
        Failure::Store(error) => BackupError::Database(error.at(&target.temporary)),
    });
    let salvaged = written.inspect_err(|_| target.remove())?;
    target.put()?;
    Ok(salvaged)
}

/// The file itself, wherever links lead.
fn file(path: &Path) -> Result<PathBuf, StoreError> {
    let io = |e: std::io::Error| match e.kind() {
        std::io::ErrorKind::NotFound => StoreError::unusable(path, Trouble::Missing),
        _ => StoreError::io(path, &e),
    };
    match fs::metadata(path).map_err(io)? {
        meta if !meta.is_file() => Err(StoreError::unusable(path, Trouble::NotAFile)),
        meta if meta.len() == 0 => Err(StoreError::unusable(path, Trouble::Missing)),
        _ => fs::canonicalize(path).map_err(io),
    }
}

/// Keeps every chatmux away for that time, as far as one ever opened it: pages that change meanwhile fit no others. No lock file is
/// made.
fn alone(path: &Path) -> Result<Option<File>, StoreError> {
    let Ok(lock) = File::open(sibling(path, ".lock")) else { return Ok(None) };
    match lock.try_lock() {
        Ok(()) => Ok(Some(lock)),
        Err(TryLockError::WouldBlock) => Err(StoreError::unusable(path, Trouble::InUse)),
        // A file system without locks.
        Err(TryLockError::Error(_)) => Ok(None),
    }
}

/// Why nothing was built.
enum Failure {
    /// There is nothing to build from.
    Nothing,
    /// The new file cannot be written: why, and the remedy.
    Unwritable(String),
    /// SQLite's, of the new file.
    Store(StoreError),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match refused(error) {
            CopyError::Target(why) => Self::Unwritable(why),
            CopyError::Source(error) => Self::Store(error),
        }
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        StoreError::from(error).into()
    }
}

fn build(pages: &Pages, place: &Path, now: Timestamp) -> Result<Salvaged, Failure> {
    let file = make(place).map_err(|e| match target(&e) {
        CopyError::Target(why) => Failure::Unwritable(why),
        CopyError::Source(error) => Failure::Store(error),
    })?;
    let mut conn = Connection::open(place)?;
    // Nobody else knows the file, and it is flushed as a whole.
    conn.pragma_update(None, "journal_mode", "memory")?;
    conn.pragma_update(None, "synchronous", "off")?;
    upgrade::migrate(&mut conn, place)?;
    conn.pragma_update(None, "foreign_keys", false)?;
    conn.execute_batch("BEGIN")?;
    let shapes = shapes::all()?;
    let mut salvaged = rows(&conn, pages, &shapes)?;
    if finish::count(&conn)? == Found::default() {
        return Err(Failure::Nothing);
    }
    salvaged.made_up = finish::make_up(&conn, now)?;
    salvaged.held = finish::settle(&conn, now)?;
    let is_unsure = salvaged.lost.first_page || salvaged.lost.pages > 0 || salvaged.lost.rows > 0;
    finish::missing(&conn, is_unsure, &mut salvaged.lost)?;
    salvaged.found = finish::count(&conn)?;
    conn.execute_batch("COMMIT")?;
    conn.close().map_err(|(_, error)| error)?;
    let meta = file.sync_all().and_then(|()| file.metadata());
    salvaged.bytes = meta.map_err(|e| Failure::Unwritable(e.to_string()))?.len();
    Ok(salvaged)
}

/// Reads all pages: those that tables have first, then those of which nothing is known, then those that are left over.
fn rows(conn: &Connection, pages: &Pages, shapes: &[Shape]) -> Result<Salvaged, StoreError> {
    let trees = Trees::read(pages, shapes);
    let mut rebuild = Rebuild::of(conn, shapes)?;
    let mut reading = Reading { pages, shapes, trees: &trees, chains: Chains::of(pages), page: Vec::new() };
    for rank in [Rank::Live, Rank::Unknown, Rank::LeftOver] {
        for page in pages.there() {
            if reading.rank(page) == Some(rank) {
                reading.take(page, rank, &mut rebuild)?;
            }
        }
    }
    for owner in &reading.chains.contested {
        let (table, id) = owner.row();
        rebuild.doubt(table, id)?;
    }
    let (holes, holed) = rebuild.holes(MAX_HOLES)?;
    let tally = rebuild.tally;
    let lost = Lost {
        pages: trees.lost_pages + pages.missing() + tally.lost_pages,
        rows: tally.lost_rows,
        journal: pages.is_journal_damaged,
        first_page: !pages.has_header,
        ..Lost::default()
    };
    let (old_copies, loops) = (tally.old_copies, tally.loops.len() as u64);
    Ok(Salvaged { lost, holes, holed, old_copies, loops, ..Salvaged::default() })
}

/// The pages as they are read.
struct Reading<'a> {
    pages: &'a Pages,
    shapes: &'a [Shape],
    trees: &'a Trees,
    chains: Chains,
    page: Vec<u8>,
}

impl Reading<'_> {
    /// How sure it is that rows in `page` are those of now; `None` when it has none, or they are certainly of no table any more.
    fn rank(&self, page: u32) -> Option<Rank> {
        match self.trees.place(page) {
            Place::Rows(_) => Some(Rank::Live),
            Place::Tree => None,
            _ if self.trees.is_certainly_free(page) => None,
            Place::Free => Some(Rank::LeftOver),
            Place::Unknown if self.pages.live > 0 && page > self.pages.live => Some(Rank::LeftOver),
            Place::Unknown => Some(Rank::Unknown),
        }
    }

    /// Takes the rows of a page.
    fn take(&mut self, page: u32, rank: Rank, rebuild: &mut Rebuild<'_>) -> Result<(), StoreError> {
        let mut bytes = std::mem::take(&mut self.page);
        let taken = self.pages.read(page, &mut bytes).then(|| self.take_rows(page, &bytes, rank, rebuild));
        self.page = bytes;
        taken.unwrap_or(Ok(()))
    }

    fn take_rows(&mut self, page: u32, bytes: &[u8], rank: Rank, rebuild: &mut Rebuild<'_>) -> Result<(), StoreError> {
        let at = header_at(page);
        if bytes.get(at) != Some(&LEAF) {
            return Ok(());
        }
        let named = short(bytes, at + 3);
        if at + 8 + 2 * named > self.pages.usable {
            // How many rows there were is damaged too.
            rebuild.tally.lost_pages += u64::from(rank == Rank::Live);
            return Ok(());
        }
        let found = records::rows(bytes, at, self.pages);
        let Some(table) = self.table(page, &found) else {
            // A part of a long row may look like a page of rows, with a thousand wrong ones.
            if rank == Rank::Live {
                rebuild.tally.lost_rows += named as u64;
            }
            return Ok(());
        };
        if rank != Rank::Live && self.trees.are_known[table] {
            // The table has other pages, all of them known.
            rebuild.tally.old_copies += found.len() as u64;
            return Ok(());
        }
        let (shape, trees) = (&self.shapes[table], self.trees);
        let mut read = 0;
        for cell in &found {
            if !cell.in_page().is_some_and(|values| shape.accepts(&values)) {
                continue;
            }
            let owner = Owner::new(rank as u8, u8::try_from(table).unwrap_or(u8::MAX), cell.id);
            let whole = cell.whole(self.pages, &mut self.chains, owner, |page| trees.may_hold_a_part(page));
            let Some(values) = whole.filter(|values| shape.accepts(values)) else { continue };
            read += 1;
            rebuild.add(table, cell.id, values, rank)?;
        }
        if rank != Rank::LeftOver {
            rebuild.tally.lost_rows += named.saturating_sub(read) as u64;
        }
        Ok(())
    }

    /// Whose rows these are: the table's that has the page, or that of most of them. Where two are as good, that with more rules.
    fn table(&self, page: u32, found: &[Cell<'_>]) -> Option<usize> {
        if let Place::Rows(table) = self.trees.place(page) {
            return Some(usize::from(table));
        }
        let rows: Vec<_> = found.iter().filter_map(Cell::in_page).collect();
        let fits = |shape: &Shape| rows.iter().filter(|values| shape.accepts(values)).count();
        let best = self.shapes.iter().enumerate().map(|(nth, shape)| (fits(shape), shape.words(), nth)).max();
        best.filter(|(fits, ..)| *fits > 0).map(|(_, _, nth)| nth)
    }
}
