//! The journal beside a database (`-wal`): which of its frames count, and where the newest copy of each page is.
//!
//! A frame counts when it bears the salts of the journal's header, when the checksum that runs through the whole journal is right
//! up to it, and when a commit stands behind it. The format is SQLite's ("The WAL File Format"). Behind the first frame that does not
//! count nothing does: what stands there is of an earlier round.
//!
//! Memory: about 16 bytes for each page that is in the journal.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::pages::{is_page_size, number};

const HEADER_BYTES: u64 = 32;
const FRAME_HEADER_BYTES: u64 = 24;
/// The header's first word; the last bit says which end of the checksums' words comes first.
const MAGIC: u32 = 0x377f_0682;

/// A journal that counts.
#[derive(Debug)]
pub(super) struct Journal {
    file: File,
    pub(super) page_bytes: usize,
    /// Where the newest copy of a page begins.
    places: BTreeMap<u32, u64>,
    /// Pages of the database behind the last commit; 0 when there is none.
    pub(super) pages: u32,
    /// Frames of this journal stand behind one whose checksum is wrong, or whose page has no number.
    pub(super) is_damaged: bool,
}

/// What there is of a journal.
#[derive(Debug)]
pub(super) enum Found {
    /// None, or an empty one.
    Nothing,
    /// One whose header cannot be read: what was written last is lost.
    Unreadable,
    /// A readable one.
    Journal(Journal),
}

impl Found {
    /// Reads the journal at `path`.
    pub(super) fn at(path: &Path) -> Self {
        let Ok(file) = File::open(path) else { return Self::Nothing };
        match file.metadata() {
            Ok(meta) if meta.is_file() && meta.len() > 0 => {
                Journal::read(file, meta.len()).map_or(Self::Unreadable, Self::Journal)
            }
            Ok(_) | Err(_) => Self::Nothing,
        }
    }
}

/// SQLite's checksum: two sums over pairs of words.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Checksum(u32, u32);

impl Checksum {
    fn over(mut self, bytes: &[u8], is_big_endian: bool) -> Self {
        for pair in bytes.chunks_exact(8) {
            let word = |at: usize| match (number(pair, at), is_big_endian) {
                (word, true) => word,
                (word, false) => word.swap_bytes(),
            };
            self.0 = self.0.wrapping_add(word(0)).wrapping_add(self.1);
            self.1 = self.1.wrapping_add(word(4)).wrapping_add(self.0);
        }
        self
    }
}

impl Journal {
    fn read(file: File, bytes: u64) -> Option<Self> {
        let mut header = [0; HEADER_BYTES as usize];
        file.read_exact_at(&mut header, 0).ok()?;
        let is_big_endian = match number(&header, 0) {
            MAGIC => false,
            magic if magic == MAGIC | 1 => true,
            _ => return None,
        };
        let page_bytes = usize::try_from(number(&header, 8)).ok().filter(|bytes| is_page_size(*bytes))?;
        let mut sum = Checksum::default().over(&header[..24], is_big_endian);
        if sum != Checksum(number(&header, 24), number(&header, 28)) {
            return None;
        }
        let mut journal = Self { file, page_bytes, places: BTreeMap::new(), pages: 0, is_damaged: false };
        let frame_bytes = FRAME_HEADER_BYTES + page_bytes as u64;
        let mut frame = vec![0; FRAME_HEADER_BYTES as usize + page_bytes];
        // Frames behind the last commit wait here until there is another; at most as many as there are pages.
        let mut waiting = BTreeMap::new();
        for at in (0..).map(|nth| HEADER_BYTES + nth * frame_bytes).take_while(|at| at + frame_bytes <= bytes) {
            if journal.file.read_exact_at(&mut frame, at).is_err() {
                journal.is_damaged = true;
                break;
            }
            if frame[8..16] != header[16..24] {
                break;
            }
            sum = sum.over(&frame[..8], is_big_endian).over(&frame[FRAME_HEADER_BYTES as usize..], is_big_endian);
            // No page has the number 0. Without this a hole of any length would be frames where salts and sums are 0.
            if number(&frame, 0) == 0 || sum != Checksum(number(&frame, 16), number(&frame, 20)) {
                journal.is_damaged = true;
                break;
            }
            waiting.insert(number(&frame, 0), at + FRAME_HEADER_BYTES);
            if number(&frame, 4) > 0 {
                journal.pages = number(&frame, 4);
                journal.places.append(&mut waiting);
            }
        }
        Some(journal)
    }

    /// Pages that have a copy here.
    pub(super) fn frames(&self) -> u32 {
        u32::try_from(self.places.len()).unwrap_or(u32::MAX)
    }

    /// The first page at or behind `from` that has a copy here.
    pub(super) fn first_from(&self, from: u64) -> Option<u32> {
        self.places.range(u32::try_from(from).ok()?..).next().map(|(page, _)| *page)
    }

    /// Reads the newest copy of `page`; `None` when it has none. A short read is `Some(false)`.
    pub(super) fn page(&self, page: u32, buffer: &mut [u8]) -> Option<bool> {
        let at = self.places.get(&page)?;
        Some(self.file.read_exact_at(buffer, *at).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: usize = 4_096;

    /// A frame with its checksum.
    fn frame(sum: &mut Checksum, head: [u32; 4], page: &[u8]) -> Vec<u8> {
        let head: Vec<_> = head.iter().flat_map(|word| word.to_be_bytes()).collect();
        *sum = sum.over(&head[..8], true).over(page, true);
        [&head[..], &sum.0.to_be_bytes(), &sum.1.to_be_bytes(), page].concat()
    }

    /// A header whose checksum is 0, so that frames of zeros have the right one: what comes behind them does not count.
    #[test]
    fn frames_of_page_0_end_a_journal() {
        let (magic, page) = (MAGIC | 1, u32::try_from(PAGE).unwrap());
        let version = magic.wrapping_mul(2).wrapping_add(page).wrapping_neg();
        let round = magic.wrapping_mul(3).wrapping_add(version.wrapping_mul(2)).wrapping_add(page).wrapping_neg();
        let header: Vec<_> = [magic, version, page, round, 0, 0, 0, 0].iter().flat_map(|n| n.to_be_bytes()).collect();
        assert_eq!(Checksum::default().over(&header[..24], true), Checksum(0, 0));
        let read = |zeros: usize| {
            let mut bytes = header.clone();
            bytes.resize(bytes.len() + zeros * (FRAME_HEADER_BYTES as usize + PAGE), 0);
            bytes.extend(frame(&mut Checksum(0, 0), [1, 1, 0, 0], &[b'x'; PAGE]));
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("wal");
            std::fs::write(&path, bytes).unwrap();
            let Found::Journal(journal) = Found::at(&path) else { panic!("the header is right") };
            (journal.pages, journal.frames(), journal.is_damaged)
        };
        assert_eq!(read(0), (1, 1, false));
        assert_eq!(read(3), (0, 0, true));
    }
}
