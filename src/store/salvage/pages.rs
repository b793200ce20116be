//! The pages of a database, whatever is damaged of it: the size of a page, the newest copy of each, and how many there are.
//!
//! One page is in memory at a time.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::wal::{Found, Journal};
use crate::store::open::sibling;

/// The first bytes of every database.
const MAGIC: &[u8] = b"SQLite format 3\0";
/// Bytes of the header of the first page.
pub(super) const HEADER_BYTES: usize = 100;
/// The sizes that a page may have.
const SIZES: [usize; 8] = [512, 1 << 10, 2 << 10, 4 << 10, 8 << 10, 16 << 10, 32 << 10, 64 << 10];
/// Pages that are looked at for each size that is tried, spread over the file.
const TRIED_PAGES: u64 = 2_048;

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
    /// Pages that are there, in the file or in the journal; they are numbered from 1.
    pub(super) count: u32,
    /// Pages that the database has, by its header or its journal; 0 when neither says so. Those behind are left over.
    pub(super) live: u32,
    /// The header is one of a database.
    pub(super) has_header: bool,
    /// What the journal held cannot be read, or not all of it.
    pub(super) is_journal_damaged: bool,
    /// Bytes of the file and the journal: no row is longer.
    pub(super) bytes: u64,
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
        let damaged = unreadable || journal.as_ref().is_some_and(|journal| journal.is_damaged);
        let mut journal = journal.filter(|journal| journal.pages > 0);
        let mut header = [0; HEADER_BYTES];
        let _ = file.read_exact_at(&mut header, 0);
        let in_file = header.starts_with(MAGIC).then(|| short(&header, 16));
        let in_file = in_file.map(|size| if size == 1 { 64 << 10 } else { size }).filter(|size| is_page_size(*size));
        let size = in_file
            .or_else(|| journal.as_ref().map(|journal| journal.page_bytes))
            .unwrap_or_else(|| likely_size(&file, bytes));
        journal = journal.filter(|journal| journal.page_bytes == size);
        let whole = u32::try_from(bytes / size as u64).unwrap_or(u32::MAX);
        // No journal makes a database grow by more pages than it has.
        let logged = journal.as_ref().map_or(0, |journal| journal.pages.min(whole.saturating_add(journal.frames())));
        let mut pages = Self {
            file,
            journal,
            size,
            usable: size,
            count: whole.max(logged),
            live: logged,
            has_header: false,
            is_journal_damaged: damaged,
            bytes: bytes.saturating_add(u64::from(logged) * size as u64),
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
        if let Some(is_read) = self.journal.as_ref().and_then(|journal| journal.page(page, buffer)) {
            return is_read;
        }
        self.file.read_exact_at(buffer, u64::from(page - 1) * self.size as u64).is_ok()
    }

    /// Pages that the database had and that are not there.
    pub(super) fn missing(&self) -> u64 {
        u64::from(self.live.saturating_sub(self.count))
    }
}

/// The size with which most pages look like pages of rows.
fn likely_size(file: &File, bytes: u64) -> usize {
    let likely = |size: usize| {
        let pages = bytes / size as u64;
        // Odd: an even step would only look where pages of twice the size begin.
        let step = (pages / TRIED_PAGES) | 1;
        let mut buffer = vec![0; size];
        let tried = (0..pages).step_by(usize::try_from(step).unwrap_or(usize::MAX));
        let found = tried.filter(|page| {
            file.read_exact_at(&mut buffer, page * size as u64).is_ok() && !cells(&buffer, size, 0).is_empty()
        });
        found.count() as u64 * step
    };
    // 4 KiB is what chatmux makes: it wins where nothing tells.
    let best = SIZES.into_iter().map(|size| (likely(size), size == 4 << 10, size)).max();
    best.map_or(4 << 10, |(_, _, size)| size)
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

    /// More pages than are tried, with half of their rows in the first half: pages of half the size begin in the same places.
    #[test]
    fn the_size_of_a_page_is_told_from_a_part_of_the_file() {
        let mut page = vec![0; 4 << 10];
        page[..16].copy_from_slice(&[LEAF, 0, 0, 0, 4, 0, 0, 0, 3, 0xe8, 5, 0xdc, 0x0b, 0xb8, 0x0f, 0xa0]);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pages");
        std::fs::write(&path, page.repeat(3_000)).unwrap();
        assert_eq!(Pages::open(&path).unwrap().size, 4 << 10);
    }
}
