//! The pages of a database, whatever is damaged of it: the size of a page, the newest copy of each, and how many there are.
//!
//! One page is in memory at a time. Of each file the first [`MAX_PAGES`] are read; those behind them that hold something are counted as
//! missing. Pages that are holes in the file are not read one by one.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::holes;
use super::wal::{Found, Journal};
use crate::store::open::sibling;

/// The first bytes of every database.
const MAGIC: &[u8] = b"SQLite format 3\0";
/// Bytes of the header of the first page.
pub(super) const HEADER_BYTES: usize = 100;
/// The sizes that a page may have.
const SIZES: [usize; 8] = [512, 1 << 10, 2 << 10, 4 << 10, 8 << 10, 16 << 10, 32 << 10, 64 << 10];
/// Pages of a file that are read: 64 GiB of those that chatmux makes.
pub(super) const MAX_PAGES: u32 = 1 << 24;
/// Pages that are looked at for each size that is tried, spread over the file.
const TRIED_PAGES: u64 = 2_048;
/// Parts of a file between its holes among which they are.
const TRIED_PARTS: usize = 1 << 16;

/// The first byte of a page of a table: rows.
pub(super) const LEAF: u8 = 0x0d;
/// The first byte of a page of a table: the numbers of other pages.
pub(super) const INTERIOR: u8 = 0x05;

/// Whether a page can have this size.
pub(super) fn is_page_size(bytes: usize) -> bool {
    SIZES.contains(&bytes)
}

/// Four bytes as a number, the greatest first; 0 where they are not there.
pub(super) fn number(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_be_bytes)
}

/// Two bytes as a number.
pub(super) fn short(bytes: &[u8], at: usize) -> usize {
    let pair = bytes.get(at..at + 2).and_then(|bytes| bytes.try_into().ok());
    usize::from(pair.map_or(0, u16::from_be_bytes))
}

/// A database's file with the journal laid over it.
#[derive(Debug)]
pub(super) struct Pages {
    file: File,
    journal: Option<Journal>,
    /// Bytes of a page.
    pub(super) size: usize,
    /// Bytes of a page that rows may use.
    pub(super) usable: usize,
    /// Bytes of the file.
    file_bytes: u64,
    /// Pages that are there, in the file or in the journal; they are numbered from 1.
    all: u32,
    /// Those of them that are read: [`MAX_PAGES`] at most.
    pub(super) count: u32,
    /// Pages that the database has, by its header or its journal; 0 when neither says so. Those behind are left over.
    pub(super) live: u32,
    /// The header is one of a database.
    pub(super) has_header: bool,
    /// What the journal held cannot be read, or not all of it.
    pub(super) is_journal_damaged: bool,
    /// Bytes of the file and the journal: no row is longer.
    pub(super) bytes: u64,
    /// Pages that were read.
    #[cfg(test)]
    pub(super) reads: std::cell::Cell<u64>,
}

impl Pages {
    /// Opens the database at `path` to read it.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub(super) fn open(path: &Path) -> std::io::Result<Self> {
        let file = File::open(path)?;
        let bytes = file.metadata()?.len();
        let (journal, unreadable) = match Found::at(&sibling(path, "-wal")) {
            Found::Nothing => (None, false),
            Found::Unreadable => (None, true),
            Found::Journal(journal) => (Some(journal), false),
        };
        let mut is_damaged = unreadable || journal.as_ref().is_some_and(|journal| journal.is_damaged);
        let size = page_size(&file, bytes, journal.as_ref().map(|journal| journal.page_bytes));
        let committed = journal.filter(|journal| journal.pages > 0);
        is_damaged |= committed.as_ref().is_some_and(|journal| journal.page_bytes != size);
        let journal = committed.filter(|journal| journal.page_bytes == size);
        let whole = u32::try_from(bytes / size as u64).unwrap_or(u32::MAX);
        // No journal makes a database grow by more pages than it has.
        let logged = journal.as_ref().map_or(0, |journal| journal.pages.min(whole.saturating_add(journal.frames())));
        let mut pages = Self {
            file,
            journal,
            size,
            usable: size,
            file_bytes: bytes,
            all: whole.max(logged),
            count: whole.max(logged).min(MAX_PAGES),
            live: logged,
            has_header: false,
            is_journal_damaged: is_damaged,
            bytes: bytes.saturating_add(u64::from(logged) * size as u64),
            #[cfg(test)]
            reads: std::cell::Cell::new(0),
        };
        pages.read_header();
        Ok(pages)
    }

    /// What the first page says, where it can be read.
    fn read_header(&mut self) {
        let mut first = Vec::new();
        if !self.read(1, &mut first) || !first.starts_with(MAGIC) {
            return;
        }
        self.has_header = true;
        // SQLite itself wants 480 bytes at least.
        let reserved = usize::from(first[20]);
        if self.size - reserved >= 480 {
            self.usable = self.size - reserved;
        }
        // The count is right when the same version of SQLite changed the file last.
        if self.live == 0 && number(&first, 24) == number(&first, 92) {
            self.live = number(&first, 28);
        }
    }

    /// Reads `page`; `false` when it is not there. What is read last stays in `buffer`.
    pub(super) fn read(&self, page: u32, buffer: &mut Vec<u8>) -> bool {
        buffer.resize(self.size, 0);
        if page == 0 || page > self.count {
            return false;
        }
        #[cfg(test)]
        self.reads.update(|reads| reads + 1);
        if let Some(is_read) = self.journal.as_ref().and_then(|journal| journal.page(page, buffer)) {
            return is_read;
        }
        self.file.read_exact_at(buffer, u64::from(page - 1) * self.size as u64).is_ok()
    }

    /// The pages that are read, without those that are holes in the file and not in the journal.
    pub(super) fn there(&self) -> There<'_> {
        There { pages: self, next: 1, last: self.count, written: 0..0 }
    }

    /// Pages that the database had and that are not there, or that are behind [`MAX_PAGES`].
    pub(super) fn missing(&self) -> u64 {
        let last = if self.live > 0 { self.all.min(self.live) } else { self.all };
        let unread = There { pages: self, next: u64::from(MAX_PAGES) + 1, last, written: 0..0 };
        u64::from(self.live.saturating_sub(self.all)) + unread.count() as u64
    }

    /// The first pages at or behind `from` that the file holds and that are no holes.
    fn written(&self, from: u64) -> Range<u64> {
        let size = self.size as u64;
        let Range { start, end } = holes::written(&self.file, (from - 1) * size, self.file_bytes);
        // What is no whole page is never read.
        start / size + 1..end.div_ceil(size) + 1
    }
}

/// Pages that may hold something, from the first to the last.
pub(super) struct There<'a> {
    pages: &'a Pages,
    next: u64,
    last: u32,
    /// Pages that the file holds, as far as was asked.
    written: Range<u64>,
}

impl Iterator for There<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        if self.next > u64::from(self.last) {
            return None;
        }
        if self.next >= self.written.end {
            self.written = self.pages.written(self.next);
        }
        let in_file = if self.next < self.written.end { self.written.start.max(self.next) } else { u64::MAX };
        let logged = self.pages.journal.as_ref().and_then(|journal| journal.first_from(self.next));
        let page = in_file.min(logged.map_or(u64::MAX, u64::from));
        self.next = page.saturating_add(1);
        u32::try_from(page).ok().filter(|page| *page <= self.last)
    }
}

/// The size of a page: the one in the journal's header, which has a checksum; else the one in the file's. Where they differ and more
/// pages are pages of rows with the file's, the journal is another database's.
fn page_size(file: &File, bytes: u64, in_journal: Option<usize>) -> usize {
    let mut header = [0; HEADER_BYTES];
    let _ = file.read_exact_at(&mut header, 0);
    let in_file = header.starts_with(MAGIC).then(|| short(&header, 16));
    let in_file = in_file.map(|size| if size == 1 { 64 << 10 } else { size }).filter(|size| is_page_size(*size));
    let parts: Vec<_> = holes::all_written(file, bytes).take(TRIED_PARTS).collect();
    let rows = |size| pages_of_rows(file, &parts, size);
    match (in_journal, in_file) {
        (Some(logged), Some(size)) if size != logged && rows(size) > rows(logged) => size,
        (Some(size), _) | (None, Some(size)) => size,
        (None, None) => {
            // 4 KiB is what chatmux makes: it wins where nothing tells.
            let best = SIZES.into_iter().map(|size| (rows(size), size == 4 << 10, size)).max();
            best.map_or(4 << 10, |(_, _, size)| size)
        }
    }
}

/// How many pages in `parts` of a file look like pages of rows when pages have this size; estimated from some of them.
fn pages_of_rows(file: &File, parts: &[Range<u64>], size: usize) -> u64 {
    let bytes = size as u64;
    let pages: u64 = parts.iter().map(|part| part.end / bytes - part.start / bytes).sum();
    // Odd: an even step would only look where pages of twice the size begin.
    let step = (pages / TRIED_PAGES) | 1;
    let (mut buffer, mut found, mut skipped) = (vec![0; size], 0, 0);
    for part in parts {
        let (mut page, end) = (part.start / bytes + skipped, part.end / bytes);
        while page < end {
            let is_read = file.read_exact_at(&mut buffer, page * bytes).is_ok();
            found += u64::from(is_read && !cells(&buffer, size, 0).is_empty());
            page += step;
        }
        skipped = page - end;
    }
    found * step
}

/// Where the rows of a page of rows begin, in the order of their ids; nothing when it is no such page. `at`: where its own header
/// stands, 100 in the first page.
pub(super) fn cells(page: &[u8], usable: usize, at: usize) -> Vec<usize> {
    if page.get(at) != Some(&LEAF) {
        return Vec::new();
    }
    let (count, first) = (short(page, at + 3), at + 8);
    let begin = first + 2 * count;
    if begin > usable {
        return Vec::new();
    }
    let places: Vec<_> = (0..count).map(|nth| short(page, first + 2 * nth)).collect();
    // A row has four bytes at least. A few wrong places are damage; where most are wrong this is no such page.
    let is_place = |place: &usize| (begin..=usable - 4).contains(place);
    let right = places.iter().filter(|place| is_place(place)).count();
    if right * 2 < count { Vec::new() } else { places.into_iter().filter(is_place).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pages of a file of these bytes.
    fn of(bytes: &[u8], journal: &[u8]) -> Pages {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pages");
        std::fs::write(&path, bytes).unwrap();
        std::fs::write(sibling(&path, "-wal"), journal).unwrap();
        Pages::open(&path).unwrap()
    }

    /// A page of rows of 4 KiB.
    fn page_of_rows() -> Vec<u8> {
        let mut page = vec![0; 4 << 10];
        page[..16].copy_from_slice(&[LEAF, 0, 0, 0, 4, 0, 0, 0, 3, 0xe8, 5, 0xdc, 0x0b, 0xb8, 0x0f, 0xa0]);
        page
    }

    /// More pages than are tried, with half of their rows in the first half: pages of half the size begin in the same places.
    #[test]
    fn the_size_of_a_page_is_told_from_a_part_of_the_file() {
        assert_eq!(of(&page_of_rows().repeat(3_000), &[]).size, 4 << 10);
    }

    /// Pages behind the last that is read are missing where they hold something, and nothing else is.
    #[test]
    fn pages_in_a_huge_file_are_found_behind_its_holes_up_to_a_bound() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pages");
        let file = File::create(&path).unwrap();
        file.set_len(1 << 40).unwrap();
        let behind = u64::from(MAX_PAGES) + 5;
        for page in [1, 1_000_000, behind] {
            file.write_all_at(&page_of_rows(), (page - 1) << 12).unwrap();
        }
        let mut pages = Pages::open(&path).unwrap();
        assert_eq!((pages.size, pages.all, pages.count), (4 << 10, 1 << 28, MAX_PAGES));
        // A file system may tell holes in parts that are larger than a page.
        let there: Vec<_> = pages.there().collect();
        assert!(there.contains(&1) && there.contains(&1_000_000) && there.len() < 1_000, "{}", there.len());
        let mut buffer = Vec::new();
        assert!(pages.read(1_000_000, &mut buffer) && buffer == page_of_rows());
        assert!(!pages.read(MAX_PAGES + 5, &mut buffer), "it is behind the bound");
        assert!((1..1_000).contains(&pages.missing()), "{}", pages.missing());
        // The database ends before it.
        pages.live = MAX_PAGES;
        assert_eq!(pages.missing(), 0);
    }
}
