//! One row as it stands in a page: its length, its id, and its values, the end of which may be in a chain of other pages.
//!
//! Bounds: the rows of a page do not overlap, so together they hold no more bytes than the page, whatever its pointers say; no row is
//! longer than the file, or than [`MAX_ROW_BYTES`]; a chain is followed as far as the row's length needs, and never
//! into itself; a page is read for at most [`MAX_CHAINS`] chains in all, so that many rows that name the same pages cost no more time than
//! the file has pages. Memory grows with the pages that a chain really has, not with the length that a row claims.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::pages::{Pages, cells, number};

/// A question and an answer of the greatest length fit in it twice.
const MAX_ROW_BYTES: u64 = 128 << 20;
/// Chains that a page may be in: one of a row, and some of older copies of rows.
const MAX_CHAINS: u8 = 8;
/// Values that a row may have.
const MAX_VALUES: usize = 64;

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// NULL.
    Null,
    /// A whole number.
    Integer(i64),
    /// A text.
    Text {
        /// As much of it as is there; U+FFFD for bytes that are no text.
        text: String,
        /// Something of it is missing, or is no text.
        has_hole: bool,
    },
    /// Of a kind that no column of ours has.
    Other,
    /// The page that it stood in is gone.
    Lost,
}

/// A row within its page.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cell<'a> {
    /// Its first byte in the page.
    begin: usize,
    /// The byte behind its last one in the page.
    end: usize,
    /// The row's id.
    pub(super) id: i64,
    /// Bytes of its values.
    length: u64,
    /// Those that stand in the page.
    local: &'a [u8],
    /// The page with those that follow; 0 when there are none.
    next: u32,
}

/// A number of one to nine bytes, and how many it has.
pub(super) fn varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0;
    for (nth, byte) in bytes.iter().take(9).enumerate() {
        if nth == 8 {
            return Some((value << 8 | u64::from(*byte), 9));
        }
        value = value << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some((value, nth + 1));
        }
    }
    None
}

/// The rows of a page of rows, in the order of its pointers; nothing when it is no such page. `at`: where its own header stands.
///
/// SQLite's rows never overlap. Pointers that are damaged, or made up, may name a row twice, or a place within another row, and each
/// of 32,000 could claim the whole page. Of rows that overlap the first stays that is in order and whose lengths add up.
pub(super) fn rows<'a>(page: &'a [u8], at: usize, pages: &Pages) -> Vec<Cell<'a>> {
    let places = cells(page, pages.usable, at).into_iter();
    let found: Vec<_> = places.filter_map(|place| Cell::read(page, place, pages)).collect();
    // Where each row that stays begins and ends.
    let mut taken: BTreeMap<usize, usize> = BTreeMap::new();
    let mut rows = Vec::new();
    for (nth, cell) in found.iter().enumerate() {
        let before = nth.checked_sub(1).map(|nth| found[nth].id);
        let is_in_order = is_in_order(before, cell.id, found.get(nth + 1).map(|next| next.id));
        let is_free = || taken.range(..cell.end).next_back().is_none_or(|(_, end)| *end <= cell.begin);
        if is_in_order && is_free() && fields(cell.local, cell.length).is_some() {
            taken.insert(cell.begin, cell.end);
            rows.push(*cell);
        }
    }
    rows
}

/// Whether an id can stand between those beside it: they grow within a page. One that breaks an order that is there without it is wrong.
fn is_in_order(before: Option<i64>, id: i64, behind: Option<i64>) -> bool {
    match (before, behind) {
        (Some(before), Some(behind)) if before < behind => before < id && id < behind,
        _ => true,
    }
}

impl<'a> Cell<'a> {
    /// Reads the row that begins at `place`; `None` where none can. Nothing is copied.
    fn read(page: &'a [u8], place: usize, pages: &Pages) -> Option<Self> {
        let page = page.get(..pages.usable)?;
        let (length, first) = varint(page.get(place..)?)?;
        let (id, second) = varint(page.get(place + first..)?)?;
        if length < 2 || length > pages.bytes.min(MAX_ROW_BYTES) {
            return None;
        }
        let (begin, usable) = (place + first + second, pages.usable);
        // "B-tree Cell Format": what does not fit goes out of the page, and a rule says how much stays.
        let (most, whole) = (usable - 35, usize::try_from(length).ok()?);
        let least = (usable - 12) * 32 / 255 - 23;
        let local = match least + (whole - least.min(whole)) % (usable - 4) {
            _ if whole <= most => whole,
            kept if kept <= most => kept,
            _ => least,
        };
        let behind = begin + local;
        let (next, end) = match local < whole {
            true => (number(page.get(behind..behind + 4)?, 0), behind + 4),
            false => (0, behind),
        };
        // The id's bits, as a signed number.
        Some(Self { begin: place, end, id: id.cast_signed(), length, local: page.get(begin..behind)?, next })
    }

    /// The values, as far as they stand in the page.
    pub(super) fn in_page(&self) -> Option<Vec<Value>> {
        values(self.local, self.length, self.local.len())
    }

    /// All values, for the row `owner`. `may_be_read` refuses pages that are no part of a chain.
    pub(super) fn whole(
        &self,
        pages: &Pages,
        chains: &mut Chains,
        owner: Owner,
        may_be_read: impl Fn(u32) -> bool,
    ) -> Option<Vec<Value>> {
        let (mut bytes, mut is_sure) = (self.local.to_vec(), true);
        let (mut next, mut seen, mut page) = (self.next, BTreeSet::new(), Vec::new());
        while (bytes.len() as u64) < self.length {
            if next < 2 || !may_be_read(next) || !seen.insert(next) {
                break;
            }
            let Some(is_free) = chains.take(next, owner) else { break };
            is_sure &= is_free;
            // A page that is zeroed, or names one that is not there, is no part of a chain (any more).
            if !pages.read(next, &mut page) || page.iter().all(|byte| *byte == 0) || number(&page, 0) > pages.count {
                break;
            }
            let rest = usize::try_from(self.length).ok()? - bytes.len();
            bytes.extend_from_slice(&page[4..][..rest.min(pages.usable - 4)]);
            next = number(&page, 0);
        }
        // The last page of a chain names no other: else this is a chain of another row, whose page was taken.
        let sure = if next == 0 && is_sure { bytes.len() } else { self.local.len() };
        values(&bytes, self.length, sure)
    }
}

/// A row that a chain belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Owner(u64);

impl Owner {
    /// The row `id` of the table `nth`, read in the pass of that number. Ids have fewer than 48 bits, or the row is not taken.
    pub(super) const fn new(pass: u8, nth: u8, id: i64) -> Self {
        Self((pass as u64 + 1) << 56 | (nth as u64) << 48 | (id.cast_unsigned() & ((1 << 48) - 1)))
    }

    const fn pass(self) -> u64 {
        self.0 >> 56
    }

    /// The table and the id.
    pub(super) fn row(self) -> (usize, i64) {
        let id = self.0 & ((1 << 48) - 1);
        ((self.0 >> 48 & 0xff) as usize, id.cast_signed())
    }
}

/// How often each page was read for a chain, and for which row first.
#[derive(Debug)]
pub(super) struct Chains {
    counts: Vec<u8>,
    /// Of owners only the numbers: zeros that are never written take no memory.
    owners: Vec<u64>,
    /// Rows whose pages another row of the same pass names too: one of them is an older copy, and nobody knows which.
    pub(super) contested: BTreeSet<Owner>,
}

impl Chains {
    pub(super) fn of(pages: &Pages) -> Self {
        let all = pages.count as usize + 1;
        Self { counts: vec![0; all], owners: vec![0; all], contested: BTreeSet::new() }
    }

    /// Whether no other row has the page; `None` when it was read too often.
    fn take(&mut self, page: u32, owner: Owner) -> Option<bool> {
        let page = page as usize;
        let count = self.counts.get_mut(page).filter(|count| **count < MAX_CHAINS)?;
        *count += 1;
        let place = self.owners.get_mut(page)?;
        let first = Owner(*place);
        if first == Owner(0) || first.row() == owner.row() {
            *place = owner.0;
            return Some(true);
        }
        if first.pass() == owner.pass() {
            self.contested.insert(first);
        }
        Some(false)
    }
}

/// The values of a row of `length` bytes, of which `bytes` are there; those behind `sure` may be another row's. `None` when these are no
/// values: their lengths do not add up.
fn values(bytes: &[u8], length: u64, sure: usize) -> Option<Vec<Value>> {
    let fields = fields(bytes, length)?.into_iter();
    Some(fields.map(|(kind, place)| value(kind, bytes, place.start, place.end, sure)).collect())
}

/// The kind of each value of a row, and where it stands.
fn fields(bytes: &[u8], length: u64) -> Option<Vec<(u64, Range<u64>)>> {
    let (header, mut at) = varint(bytes)?;
    let header = usize::try_from(header).ok().filter(|header| *header <= bytes.len())?;
    let (mut begin, mut fields) = (header as u64, Vec::new());
    while at < header {
        let (kind, bytes) = varint(&bytes[at..header])?;
        at += bytes;
        let end = begin.checked_add(width(kind)?).filter(|end| *end <= length)?;
        fields.push((kind, begin..end));
        if fields.len() > MAX_VALUES {
            return None;
        }
        begin = end;
    }
    (begin == length && at == header).then_some(fields)
}

/// Bytes of a value of this kind ("Record Format").
fn width(kind: u64) -> Option<u64> {
    match kind {
        0 | 8 | 9 => Some(0),
        1..=4 => Some(kind),
        5 => Some(6),
        6 | 7 => Some(8),
        10 | 11 => None,
        _ => Some((kind - 12) / 2),
    }
}

fn value(kind: u64, bytes: &[u8], begin: u64, end: u64, sure: usize) -> Value {
    let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
    let (there, is_whole) = (&bytes[place(begin)..place(end)], end <= bytes.len() as u64);
    match kind {
        0 => Value::Null,
        8 => Value::Integer(0),
        9 => Value::Integer(1),
        1..=6 if !is_whole => Value::Lost,
        1..=6 => {
            let sign = if there[0] & 0x80 == 0 { 0 } else { -1 };
            Value::Integer(there.iter().fold(sign, |number, byte| number << 8 | i64::from(*byte)))
        }
        _ if kind >= 13 && kind % 2 == 1 => {
            if there.is_empty() && begin < end {
                return Value::Lost;
            }
            // A character of which only the beginning is there is left out; other bytes that are no text are shown as such.
            let text = String::from_utf8_lossy(whole_characters(there, is_whole));
            let has_hole = !is_whole || end > sure as u64 || matches!(text, std::borrow::Cow::Owned(_));
            Value::Text { text: text.into_owned(), has_hole }
        }
        _ => Value::Other,
    }
}

/// Without the beginning of a character that is cut off.
fn whole_characters(bytes: &[u8], is_whole: bool) -> &[u8] {
    match std::str::from_utf8(bytes) {
        Err(error) if !is_whole && error.error_len().is_none() => &bytes[..error.valid_up_to()],
        Ok(_) | Err(_) => bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str, has_hole: bool) -> Value {
        Value::Text { text: text.to_owned(), has_hole }
    }

    #[test]
    fn numbers_have_one_to_nine_bytes() {
        let check = |bytes: &[u8], expected| assert_eq!(varint(bytes), expected, "{bytes:?}");
        check(&[0x7f, 1], Some((127, 1)));
        check(&[0x81, 0x00], Some((128, 2)));
        check(&[0xff; 9], Some((u64::MAX, 9)));
        check(&[0xff; 8], None);
        check(&[], None);
    }

    #[test]
    fn values_are_read_as_far_as_they_are_there() {
        // NULL, 1, -2 in a byte, "abc", "é".
        let row = [6, 0, 9, 1, 19, 17, 0xfe, b'a', b'b', b'c', 0xc3, 0xa9];
        let all = [Value::Null, Value::Integer(1), Value::Integer(-2), text("abc", false), text("é", false)];
        assert_eq!(values(&row, 12, 12).unwrap(), all);
        assert_eq!(values(&row[..9], 12, 9).unwrap()[3..], [text("ab", true), Value::Lost]);
        assert_eq!(values(&row[..11], 12, 11).unwrap()[4..], [text("", true)]);
        assert_eq!(values(&row, 12, 9).unwrap()[2..4], [Value::Integer(-2), text("abc", true)]);
        // Lengths that do not add up, and kinds that nobody writes.
        assert_eq!(values(&row, 13, 12), None);
        assert_eq!(values(&[2, 10], 2, 2), None);
        assert_eq!(values(&[9, 0, 0], 3, 3), None);
        assert_eq!(values(&[2, 15, 0xff], 3, 3).unwrap(), [text("\u{fffd}", true)]);
    }

    /// Pages of a file of these bytes, without a header.
    fn pages(bytes: &[u8]) -> Pages {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pages");
        std::fs::write(&path, bytes).unwrap();
        Pages::open(&path).unwrap()
    }

    /// A row of nine bytes and a text of the rest; what comes behind it may be the text.
    fn row(id: u16, text_bytes: u32) -> [u8; 9] {
        let three = |number: u32| [(number >> 14) as u8 | 0x80, (number >> 7) as u8 | 0x80, number as u8 & 0x7f];
        let (length, kind) = (three(4 + text_bytes), three(13 + 2 * text_bytes));
        let id = [(id >> 7) as u8 | 0x80, id as u8 & 0x7f];
        [&length[..], &id, &[4], &kind].concat().try_into().unwrap()
    }

    /// A page of rows with pointers to `places`.
    fn page(bytes: usize, places: &[usize]) -> Vec<u8> {
        let mut page = vec![b'x'; bytes];
        page[..8].copy_from_slice(&[0x0d, 0, 0, 0, 0, 0, 0, 0]);
        page[3..5].copy_from_slice(&u16::try_from(places.len()).unwrap().to_be_bytes());
        for (nth, place) in places.iter().enumerate() {
            page[8 + 2 * nth..][..2].copy_from_slice(&u16::try_from(*place).unwrap().to_be_bytes());
        }
        page
    }

    /// 3,000 rows, each of which has those behind it in its text: 90 MB in a page of 64 KiB.
    #[test]
    fn rows_of_a_page_hold_no_more_than_the_page() {
        const PAGE: usize = 64 << 10;
        let places: Vec<_> = (0..3_000).map(|nth| 8_000 + 9 * nth).collect();
        let mut bytes = page(PAGE, &places);
        for (nth, place) in places.iter().enumerate() {
            bytes[*place..][..9].copy_from_slice(&row(nth as u16, 30_000));
        }
        let pages = pages(&bytes.repeat(2));
        assert_eq!(pages.size, PAGE);
        let all = cells(&bytes, PAGE, 0).into_iter().filter_map(|place| Cell::read(&bytes, place, &pages));
        assert_eq!(all.map(|cell| cell.local.len()).sum::<usize>(), 3_000 * 30_004, "each of them can be read");
        let rows = rows(&bytes, 0, &pages);
        assert_eq!(rows.iter().map(|row| row.id).collect::<Vec<_>>(), [0]);
        assert_eq!(rows[0].in_page().unwrap(), [text(&String::from_utf8_lossy(&bytes[8_009..38_009]), true)]);
    }

    /// The rows 1 to 4; 4 is also named where it does not belong, or 2 again.
    #[test]
    fn a_row_that_is_named_twice_is_taken_once_and_in_its_place() {
        let taken = |order: &[usize]| {
            let places: Vec<_> = order.iter().map(|nth| 1_000 + 500 * nth).collect();
            let mut bytes = page(4_096, &places);
            for nth in 1..=4 {
                bytes[1_000 + 500 * nth..][..9].copy_from_slice(&row(nth as u16, 400));
            }
            rows(&bytes, 0, &pages(&bytes)).iter().map(|row| row.id).collect::<Vec<_>>()
        };
        assert_eq!(taken(&[1, 2, 3, 4]), [1, 2, 3, 4]);
        assert_eq!(taken(&[1, 4, 3, 4]), [1, 3, 4]);
        assert_eq!(taken(&[1, 2, 3, 2]), [1, 2, 3]);
        assert_eq!(taken(&[2; 400]), [2]);
    }

    /// 100 rows name one chain of three pages: each page is read eight times.
    #[test]
    fn a_chain_is_read_for_a_few_rows_only() {
        let chain = |next: u8| [vec![0, 0, 0, next], vec![b'y'; 4_092]].concat();
        let pages = pages(&[vec![b'x'; 4_096], chain(3), chain(4), chain(0)].concat());
        let beginning = row(0, 12_000);
        let (length, local) = (12_004, &beginning[5..]);
        let (mut chains, before) = (Chains::of(&pages), pages.reads.get());
        let mut whole = 0;
        for id in 1..=100 {
            let cell = Cell { begin: 0, end: 0, id, length, local, next: 2 };
            let values = cell.whole(&pages, &mut chains, Owner::new(0, 0, id), |_| true).unwrap();
            whole += usize::from(matches!(&values[..], [Value::Text { text, .. }] if text.len() == 12_000));
        }
        assert_eq!((whole, pages.reads.get() - before), (8, 24));
        assert!(chains.contested.contains(&Owner::new(0, 0, 1)), "the first is in doubt too");
    }
}
