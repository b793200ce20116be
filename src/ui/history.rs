//! The history as rustyline looks at it. Its own keys (Up, Ctrl-P, Ctrl-R …) see the lines of the session that the prompt belongs
//! to; Ctrl-Up and Ctrl-Down walk those of every session. All of them are rustyline's own steps through one history, so the
//! line that stood there comes back below the newest, a step is undone as one, and nothing is killed or yanked.
//!
//! rustyline counts its steps in one list. So both lists end at the same index, and a key of ours says, before its step, that it
//! is one through the wider list ([`Reach`]).

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustyline::Result;
use rustyline::history::{History, SearchDirection, SearchResult};

use super::keys::Shared;
use super::paste::is_long;
use crate::domain::TypedLines;
use crate::domain::limits::MAX_HISTORY_LINES;
use crate::domain::text::editable;
use crate::domain::typed::is_kept;

/// Whether the next step is one through the lines of every session. Set by a key and taken by the step that follows it, both on the
/// reader's thread; rustyline wants handlers that could be shared.
#[derive(Debug, Default)]
pub(super) struct Reach(AtomicBool);

impl Reach {
    pub(super) fn widen(&self) {
        self.0.store(true, Ordering::Release);
    }

    pub(super) fn narrow(&self) {
        self.0.store(false, Ordering::Release);
    }

    fn take(&self) -> bool {
        self.0.swap(false, Ordering::AcqRel)
    }
}

/// The lines that keys bring back.
#[derive(Debug)]
pub(super) struct Lines {
    here: VecDeque<String>,
    everywhere: VecDeque<String>,
    keys: Arc<Shared>,
    /// The last step was one through the lines of every session.
    wide: Cell<bool>,
}

impl Lines {
    pub(super) fn new(keys: Arc<Shared>) -> Self {
        Self { here: VecDeque::new(), everywhere: VecDeque::new(), keys, wide: Cell::new(false) }
    }

    /// The prompt belongs to another session now, or what was typed is known only now.
    pub(super) fn replace(&mut self, lines: TypedLines) {
        // What is in the database is data, as an answer is.
        let safe = |lines: Vec<String>| lines.iter().map(|line| editable(line).into_owned()).collect();
        (self.here, self.everywhere) = (safe(lines.here), safe(lines.everywhere));
    }

    /// A line begins: no walk is under way.
    pub(super) fn begin(&self) {
        self.keys.reach.narrow();
        self.wide.set(false);
    }

    fn list(&self, wide: bool) -> &VecDeque<String> {
        if wide { &self.everywhere } else { &self.here }
    }

    /// Where the oldest line of a list stands.
    fn first(&self, list: &VecDeque<String>) -> usize {
        self.len() - list.len()
    }

    fn find(
        &self,
        term: &str,
        start: usize,
        dir: SearchDirection,
        at: impl Fn(&str) -> Option<usize>,
    ) -> Option<SearchResult<'_>> {
        let first = self.first(&self.here);
        if term.is_empty() || start >= self.len() {
            return None;
        }
        let place = |(nth, line): (usize, &'_ String)| at(line).map(|pos| (first + nth, pos));
        let (idx, pos) = match dir {
            SearchDirection::Reverse => {
                self.here.iter().enumerate().take((start + 1).saturating_sub(first)).rev().find_map(place)
            }
            SearchDirection::Forward => self.here.iter().enumerate().skip(start.saturating_sub(first)).find_map(place),
        }?;
        Some(self.found(&self.here[idx - first], idx, pos))
    }

    /// A line as it stands at the prompt: a long one as a sign, which has no place within it.
    fn found<'a>(&self, line: &'a str, idx: usize, pos: usize) -> SearchResult<'a> {
        if is_long(line) {
            return SearchResult { entry: Cow::Owned(self.keys.pastes.fold(line.to_owned())), idx, pos: 0 };
        }
        SearchResult { entry: Cow::Borrowed(line), idx, pos }
    }
}

impl History for Lines {
    /// The line at `index`, or near it: rustyline goes on from where this says the line is.
    fn get(&self, index: usize, dir: SearchDirection) -> Result<Option<SearchResult<'_>>> {
        let wide = self.keys.reach.take();
        let (list, turned) = (self.list(wide), self.wide.replace(wide) != wide);
        let (first, newest) = (self.first(list), self.len().saturating_sub(1));
        let idx = match dir {
            // A walk of the other kind begins at its own newest.
            _ if turned => newest,
            SearchDirection::Forward => index.max(first),
            SearchDirection::Reverse => index,
        };
        let entry = idx.checked_sub(first).and_then(|nth| list.get(nth));
        Ok(entry.map(|line| self.found(line, idx, 0)))
    }

    fn add(&mut self, line: &str) -> Result<bool> {
        self.add_owned(line.to_owned())
    }

    fn add_owned(&mut self, line: String) -> Result<bool> {
        if !is_kept(&line) {
            return Ok(false);
        }
        self.everywhere.retain(|other| *other != line);
        let is_new = self.here.back() != Some(&line);
        if is_new {
            self.here.push_back(line.clone());
        }
        self.everywhere.push_back(line);
        for list in [&mut self.here, &mut self.everywhere] {
            list.drain(..list.len().saturating_sub(MAX_HISTORY_LINES));
        }
        Ok(is_new)
    }

    /// One more than there are lines: at the index 0 rustyline steps no further back, and at the oldest line of one list there may
    /// be a step into the other.
    fn len(&self) -> usize {
        match self.here.len().max(self.everywhere.len()) {
            0 => 0,
            lines => lines + 1,
        }
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn search(&self, term: &str, start: usize, dir: SearchDirection) -> Result<Option<SearchResult<'_>>> {
        Ok(self.find(term, start, dir, |line| line.find(term)))
    }

    fn starts_with(&self, term: &str, start: usize, dir: SearchDirection) -> Result<Option<SearchResult<'_>>> {
        Ok(self.find(term, start, dir, |line| line.starts_with(term).then_some(term.len())))
    }

    fn clear(&mut self) -> Result<()> {
        self.replace(TypedLines::default());
        Ok(())
    }

    // The rules are ours, and the disk is the store's.

    fn set_max_len(&mut self, _: usize) -> Result<()> {
        Ok(())
    }

    fn ignore_dups(&mut self, _: bool) -> Result<()> {
        Ok(())
    }

    fn ignore_space(&mut self, _: bool) {}

    fn save(&mut self, _: &Path) -> Result<()> {
        Ok(())
    }

    fn append(&mut self, _: &Path) -> Result<()> {
        Ok(())
    }

    fn load(&mut self, _: &Path) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use SearchDirection::{Forward, Reverse};

    fn lines(here: &[&str], everywhere: &[&str]) -> (Lines, Arc<Shared>) {
        let keys = Arc::<Shared>::default();
        let mut lines = Lines::new(Arc::clone(&keys));
        let own = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect();
        lines.replace(TypedLines { here: own(here), everywhere: own(everywhere) });
        (lines, keys)
    }

    /// rustyline's steps, as its `edit_history_next` makes them; what stands in the line after each.
    fn walk(lines: &Lines, Shared { reach, .. }: &Shared, keys: &str) -> Vec<String> {
        let (mut index, mut shown, mut saved) = (lines.len(), "typed".to_owned(), String::new());
        lines.begin();
        let mut all = Vec::new();
        for key in keys.chars() {
            let back = matches!(key, 'u' | 'U');
            match key.is_ascii_uppercase() {
                true => reach.widen(),
                false => reach.narrow(),
            }
            let at_end = index == lines.len();
            if back && at_end {
                saved.clone_from(&shown);
            }
            let stays = lines.is_empty() || if back { index == 0 } else { at_end };
            if !stays {
                let next = if back { index - 1 } else { index + 1 };
                if !back {
                    index = next;
                }
                if next >= lines.len() {
                    shown.clone_from(&saved);
                } else if let Some(found) = lines.get(next, if back { Reverse } else { Forward }).unwrap() {
                    (index, shown) = (found.idx, found.entry.into_owned());
                }
            }
            all.push(shown.clone());
        }
        all
    }

    #[test]
    fn each_key_walks_its_own_lines() {
        let check = |here: &[&str], everywhere: &[&str], keys, expected: &[&str]| {
            let (lines, shared) = lines(here, everywhere);
            assert_eq!(walk(&lines, &shared, keys), expected, "{keys} in {here:?} and {everywhere:?}");
        };
        let (here, all) = (["a", "b"], ["x", "a", "y", "b", "z"]);
        check(&here, &all, "uuudd", &["b", "a", "a", "b", "typed"]);
        check(&here, &all, "UUUDDDd", &["z", "b", "y", "b", "z", "typed", "typed"]);
        check(&here, &all, "UUUUUUD", &["z", "b", "y", "a", "x", "x", "a"]);
        // A walk of the other kind begins anew, and ends with what stood there.
        check(&here, &all, "UUuud", &["z", "b", "b", "a", "b"]);
        check(&here, &all, "uuUUDD", &["b", "a", "z", "b", "z", "typed"]);
        check(&here, &all, "UUUdd", &["z", "b", "y", "b", "typed"]);
        check(&[], &["x"], "uUuD", &["typed", "x", "x", "typed"]);
        check(&["a", "b", "a"], &["b", "a"], "uuuUUU", &["a", "b", "a", "a", "b", "b"]);
        check(&[], &[], "uUdD", &["typed", "typed", "typed", "typed"]);
    }

    #[test]
    fn a_search_finds_lines_of_this_session_alone() {
        let (lines, _) = lines(&["one two", "two", "three"], &["two elsewhere", "one two", "two", "three", "four two"]);
        let check = |term, start, dir, expected: Option<(&str, usize, usize)>| {
            let found = lines.search(term, start, dir).unwrap();
            assert_eq!(found.as_ref().map(|f| (&*f.entry, f.idx, f.pos)), expected, "{term} from {start}");
        };
        check("two", 5, Reverse, Some(("two", 4, 0)));
        check("two", 3, Reverse, Some(("one two", 3, 4)));
        check("two", 2, Reverse, None);
        check("t", 0, Forward, Some(("one two", 3, 4)));
        check("t", 4, Forward, Some(("two", 4, 0)));
        check("four", 5, Reverse, None);
        check("", 5, Reverse, None);
        check("two", 6, Reverse, None);
        let begins = lines.starts_with("t", 5, Reverse).unwrap().unwrap();
        assert_eq!((&*begins.entry, begins.idx, begins.pos), ("three", 5, 1));
    }

    #[test]
    fn a_long_line_is_a_sign_that_means_it() {
        let long = "row\n".repeat(20);
        let (lines, keys) = lines(&[&long, "b"], &[]);
        assert_eq!(walk(&lines, &keys, "uu"), ["b", "[20 lines]"]);
        let found = lines.search("row", 1, Reverse).unwrap().unwrap();
        assert_eq!((&*found.entry, found.idx, found.pos), ("[20 lines]", 1, 0));
        assert_eq!(keys.pastes.kept().unfold("[20 lines]!"), long.clone() + "!");
    }

    #[test]
    fn what_is_added_is_the_newest_of_both_and_they_are_bounded() {
        let (mut lines, keys) = lines(&["a"], &["b", "a", "c"]);
        assert!(lines.add("b").unwrap());
        assert!(!lines.add("b").unwrap(), "the newest once more");
        assert!(!lines.add(" secret").unwrap());
        assert_eq!(walk(&lines, &keys, "uu"), ["b", "a"]);
        assert_eq!(walk(&lines, &keys, "UUUU"), ["b", "c", "a", "a"]);
        (0..2 * MAX_HISTORY_LINES).for_each(|n| assert!(lines.add_owned(n.to_string()).unwrap()));
        assert_eq!((lines.here.len(), lines.everywhere.len()), (MAX_HISTORY_LINES, MAX_HISTORY_LINES));
    }
}
