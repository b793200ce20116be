//! Which pages hold rows of which table now, as far as the database itself still says so: the schema's roots, the pages that they lead
//! to, and the list of free pages. Nothing is lost where it does not say; but what is known to be no part of a table is an older copy
//! or was deleted, and is not brought back.
//!
//! Each page is read twice at most, where it is named and where it is followed, and the schema's rows once more. Memory: two bytes for
//! each page, and the numbers of the pages that are still to be looked at.

use std::collections::BTreeMap;

use super::pages::{HEADER_BYTES, INTERIOR, LEAF, Pages, number, short};
use super::records::{Value, rows, varint};
use super::shapes::Shape;

/// What is known of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Nothing: the pages that led to it may be damaged, or it holds a part of a long row.
    Unknown,
    /// It holds rows of the table of that number.
    Rows(u8),
    /// It holds numbers of pages, or the schema.
    Tree,
    /// It is in the list of free pages.
    Free,
}

/// All pages.
#[derive(Debug)]
pub(super) struct Trees {
    places: Vec<Place>,
    /// Of each table, that all its pages of rows are known, whatever has become of what was in them.
    pub(super) are_known: Vec<bool>,
    /// Pages of a known table that cannot be read.
    pub(super) lost_pages: u64,
    /// The list of free pages is whole.
    is_list_whole: bool,
}

impl Trees {
    /// Follows what the first page leads to.
    pub(super) fn read(pages: &Pages, shapes: &[Shape]) -> Self {
        let mut trees = Self {
            places: vec![Place::Unknown; pages.count as usize + 1],
            are_known: vec![false; shapes.len()],
            lost_pages: 0,
            is_list_whole: false,
        };
        let schema = if pages.has_header { trees.follow(1, None, pages) } else { Walk::default() };
        let roots = roots(&schema.leaves, pages);
        for (nth, shape) in shapes.iter().enumerate() {
            if let Some(root) = roots.get(&shape.table) {
                let walk = trees.follow(*root, u8::try_from(nth).ok(), pages);
                trees.are_known[nth] = walk.is_known;
                trees.lost_pages += walk.lost;
            }
        }
        trees.lost_pages += schema.lost;
        trees.is_list_whole = pages.has_header && trees.free(pages).is_some();
        trees
    }

    /// What is known of `page`.
    pub(super) fn place(&self, page: u32) -> Place {
        self.places.get(page as usize).copied().unwrap_or(Place::Unknown)
    }

    /// Whether a page is certainly no part of a table.
    pub(super) fn is_certainly_free(&self, page: u32) -> bool {
        self.is_list_whole && self.place(page) == Place::Free
    }

    /// Whether a page can hold a part of a long row.
    pub(super) fn may_hold_a_part(&self, page: u32) -> bool {
        matches!(self.place(page), Place::Unknown | Place::Free)
    }

    /// Marks all pages that `root` leads to: of the schema, or of the table of that number. A page that is marked already is not followed
    /// again.
    fn follow(&mut self, root: u32, table: Option<u8>, pages: &Pages) -> Walk {
        let mut walk = Walk { is_known: true, ..Walk::default() };
        let (mut open, mut page) = (vec![root], Vec::new());
        if self.place(root) != Place::Unknown {
            return Walk::default();
        }
        self.mark(root, Place::Tree);
        while let Some(at) = open.pop() {
            match kind(at, pages, &mut page) {
                Some(LEAF) => {
                    self.mark(at, table.map_or(Place::Tree, Place::Rows));
                    if table.is_none() {
                        walk.leaves.push(at);
                    }
                }
                Some(INTERIOR) => {
                    let children = children(&page, header_at(at), pages);
                    walk.is_known &= self.look(&children, pages, &mut open, &mut walk.lost);
                }
                // The root itself; what is wrong with other pages was seen where they are named.
                _ if at == root => {
                    walk.is_known = false;
                    walk.lost += 1;
                }
                _ => {}
            }
        }
        walk
    }

    /// Marks the pages that a page names, and adds them to the `open` ones. Whether they can be its own. One that cannot be read is a
    /// page of rows when another beside it is: all of those are as far from the root. Else what it leads to is not known.
    ///
    /// A page that is marked already is not read again, however many others name it.
    fn look(&mut self, children: &[u32], pages: &Pages, open: &mut Vec<u32>, lost: &mut u64) -> bool {
        let mut buffer = Vec::new();
        let (mut leaves, mut unreadable, mut wrong) = (0, 0_u64, children.is_empty());
        for child in children {
            if self.place(*child) != Place::Unknown {
                wrong = true;
                continue;
            }
            match kind(*child, pages, &mut buffer) {
                Some(LEAF) => leaves += 1,
                Some(INTERIOR) => {}
                _ => unreadable += 1,
            }
            if (2..=pages.count).contains(child) {
                self.mark(*child, Place::Tree);
                open.push(*child);
            }
        }
        *lost += unreadable;
        !wrong && (unreadable == 0 || leaves > 0)
    }

    fn mark(&mut self, page: u32, place: Place) {
        if let Some(known) = self.places.get_mut(page as usize) {
            *known = place;
        }
    }

    /// Marks the pages of the list of free ones; `None` when it is not as long as the header says, or names a page that is in use.
    fn free(&mut self, pages: &Pages) -> Option<()> {
        let mut page = Vec::new();
        pages.read(1, &mut page).then_some(())?;
        let (mut trunk, count) = (number(&page, 32), number(&page, 36));
        let mut found = 0;
        while trunk != 0 {
            self.mark_free(trunk)?;
            pages.read(trunk, &mut page).then_some(())?;
            let leaves = number(&page, 4) as usize;
            (leaves <= pages.usable / 4 - 2).then_some(())?;
            (0..leaves).try_for_each(|nth| self.mark_free(number(&page, 8 + 4 * nth)))?;
            found += 1 + u32::try_from(leaves).ok()?;
            trunk = number(&page, 0);
        }
        (found == count).then_some(())
    }

    fn mark_free(&mut self, page: u32) -> Option<()> {
        (page > 1 && page as usize <= self.places.len() && self.place(page) == Place::Unknown).then_some(())?;
        self.mark(page, Place::Free);
        Some(())
    }
}

/// What following a root brought.
#[derive(Debug, Default)]
struct Walk {
    is_known: bool,
    lost: u64,
    /// The schema's pages of rows.
    leaves: Vec<u32>,
}

/// Where a page's own header stands.
pub(super) fn header_at(page: u32) -> usize {
    if page == 1 { HEADER_BYTES } else { 0 }
}

/// Reads a page; its kind.
fn kind(page: u32, pages: &Pages, buffer: &mut Vec<u8>) -> Option<u8> {
    pages.read(page, buffer).then(|| buffer.get(header_at(page)).copied()).flatten()
}

/// The pages that a page names.
fn children(page: &[u8], at: usize, pages: &Pages) -> Vec<u32> {
    let (count, first) = (short(page, at + 3), at + 12);
    if first + 2 * count > pages.usable {
        return Vec::new();
    }
    let places = (0..count).map(|nth| short(page, first + 2 * nth));
    let is_place = |place: &usize| (first + 2 * count..=pages.usable - 5).contains(place);
    let named = places.filter(is_place).filter(|place| varint(&page[place + 4..]).is_some());
    let mut children: Vec<_> = named.map(|place| number(page, place)).collect();
    children.push(number(page, at + 8));
    // A wrong place is a child that is not known.
    if children.len() == count + 1 { children } else { Vec::new() }
}

/// The roots of the tables that the schema names.
fn roots(leaves: &[u32], pages: &Pages) -> BTreeMap<String, u32> {
    let (mut roots, mut page) = (BTreeMap::new(), Vec::new());
    for leaf in leaves {
        if !pages.read(*leaf, &mut page) {
            continue;
        }
        for cell in rows(&page, header_at(*leaf), pages) {
            let values = cell.in_page().unwrap_or_default();
            if let [Value::Text { text: kind, .. }, Value::Text { text: name, .. }, _, Value::Integer(root), ..] =
                &*values
                && kind == "table"
                && let Ok(root) = u32::try_from(*root)
            {
                roots.entry(name.clone()).or_insert(root);
            }
        }
    }
    roots
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: usize = 4_096;

    /// A page that names others.
    fn naming(children: &[u32]) -> Vec<u8> {
        let mut page = vec![0; PAGE];
        let (last, others) = children.split_last().unwrap();
        page[0] = INTERIOR;
        page[3..5].copy_from_slice(&u16::try_from(others.len()).unwrap().to_be_bytes());
        page[8..12].copy_from_slice(&last.to_be_bytes());
        for (nth, child) in others.iter().enumerate() {
            let place = PAGE - 5 * (nth + 1);
            page[12 + 2 * nth..][..2].copy_from_slice(&u16::try_from(place).unwrap().to_be_bytes());
            page[place..place + 4].copy_from_slice(&child.to_be_bytes());
        }
        page
    }

    /// Follows page 2 of these; what came of it, and how many pages were read.
    fn followed(others: &[Vec<u8>]) -> (Trees, Walk, u64) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pages");
        std::fs::write(&path, [vec![0; PAGE], others.concat()].concat()).unwrap();
        let pages = Pages::open(&path).unwrap();
        assert_eq!(pages.size, PAGE);
        let places = vec![Place::Unknown; pages.count as usize + 1];
        let mut trees = Trees { places, are_known: Vec::new(), lost_pages: 0, is_list_whole: false };
        let before = pages.reads.get();
        let walk = trees.follow(2, Some(0), &pages);
        (trees, walk, pages.reads.get() - before)
    }

    fn leaf() -> Vec<u8> {
        let mut page = vec![0; PAGE];
        page[0] = LEAF;
        page
    }

    /// 300 pages name the same 300 pages: 90,000 names.
    #[test]
    fn a_page_that_many_name_is_read_for_one_of_them() {
        let (parents, leaves): (Vec<u32>, Vec<u32>) = ((3..303).collect(), (303..603).collect());
        let mut all = vec![naming(&parents)];
        all.resize(1 + parents.len(), naming(&leaves));
        all.resize(1 + parents.len() + leaves.len(), leaf());
        let (trees, walk, reads) = followed(&all);
        assert!(leaves.iter().all(|leaf| trees.place(*leaf) == Place::Rows(0)));
        assert!(!walk.is_known && walk.lost == 0, "{walk:?}");
        assert!(reads <= 2 * 601, "{reads} pages were read");
    }

    #[test]
    fn a_page_that_one_names_twice_is_read_once_and_the_other_is_unknown() {
        let (trees, walk, reads) = followed(&[naming(&[3; 400]), leaf(), leaf()]);
        assert_eq!((trees.place(3), trees.place(4)), (Place::Rows(0), Place::Unknown));
        assert!(!walk.is_known && reads == 3, "{reads} pages were read: {walk:?}");
        let (_, walk, _) = followed(&[naming(&[3, 4]), leaf(), leaf()]);
        assert!(walk.is_known, "{walk:?}");
    }
}
