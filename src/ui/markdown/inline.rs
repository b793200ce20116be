//! The styles within a paragraph, an item, a heading or a table's row. From left to right, once: what is open is all that is
//! remembered, and no opener waits for its closer.

use super::super::style::Ink;
use super::Spans;

/// Openers that may be open at once; what is nested deeper is plain.
const MAX_OPEN: usize = 12;
/// Brackets that may be open at once.
const MAX_BRACKETS: usize = 6;

/// An opener without its closer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Opener {
    sign: char,
    /// Signs that are not closed: 1 emphasis, 2 strong, 3 both.
    count: usize,
}

/// The address of a link.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Address {
    #[default]
    None,
    /// Behind `](`, in so many parentheses.
    Link(usize),
    /// As it is, up to the next blank.
    Bare,
}

/// What is open.
#[derive(Debug, Clone)]
pub(super) struct Inline {
    open: Vec<Opener>,
    /// Backticks that opened the code which this is in.
    code: Option<usize>,
    address: Address,
    /// Brackets that may be a link's text: where, in the row, it begins.
    brackets: Vec<usize>,
    /// The character before the row.
    before: char,
}

impl Default for Inline {
    fn default() -> Self {
        Self { open: Vec::new(), code: None, address: Address::None, brackets: Vec::new(), before: '\n' }
    }
}

/// A row under way.
struct Row<'a> {
    text: &'a str,
    /// Bytes of the whole row before `text`.
    offset: usize,
    next: Option<char>,
    base: Ink,
    spans: &'a mut Spans,
}

impl Row<'_> {
    /// The character behind a byte of the text.
    fn at(&self, at: usize) -> Option<char> {
        self.text[at..].chars().next().or(self.next)
    }

    /// How many of `sign` stand from `at` on.
    fn run(&self, at: usize, sign: char) -> usize {
        let rest = &self.text[at..];
        rest.len() - rest.trim_start_matches(sign).len()
    }

    fn push(&mut self, end: usize, ink: Ink) {
        self.spans.push(self.offset + end, ink);
    }
}

impl Inline {
    /// A line of the paragraph ends.
    pub(super) fn end_line(&mut self) {
        self.address = Address::None;
        self.brackets.clear();
        self.before = '\n';
    }

    /// The styles of `text`, the rest of a row, behind those in `spans`. `next`: the character behind it. `in_cells`: a `|` ends a
    /// table's cell.
    pub(super) fn run(&mut self, text: &str, next: Option<char>, base: Ink, in_cells: bool, spans: &mut Spans) {
        let mut row = Row { text, offset: spans.end(), next, base, spans };
        self.brackets.iter_mut().for_each(|begin| *begin = row.offset);
        let mut at = 0;
        while let Some(c) = text[at..].chars().next() {
            let end = self.step(c, at, in_cells, &mut row);
            self.before = text[..end].chars().next_back().unwrap_or(self.before);
            at = end;
        }
    }

    /// One step, from `at` on, where `c` stands; says where it ended.
    fn step(&mut self, c: char, at: usize, in_cells: bool, row: &mut Row<'_>) -> usize {
        let one = at + c.len_utf8();
        if let Some(ticks) = self.code {
            return self.in_code(ticks, c, at, row);
        }
        if self.address != Address::None {
            return self.in_address(c, at, row);
        }
        match c {
            '\\' if row.text[one..].starts_with(|c: char| c.is_ascii_punctuation()) => {
                row.push(one + 1, self.ink(row.base));
                return one + 1;
            }
            '`' => return self.ticks(at, row),
            '*' | '_' | '~' => return self.signs(c, at, row),
            '[' => {
                row.push(one, self.ink(row.base));
                if self.brackets.len() < MAX_BRACKETS {
                    self.brackets.push(row.offset + one);
                }
                return one;
            }
            ']' => return self.bracket(at, row),
            '|' if in_cells => {
                *self = Self::default();
                row.push(one, Ink::MARKUP);
                return one;
            }
            'h' if !self.before.is_alphanumeric() && is_address(&row.text[at..]) => {
                self.address = Address::Bare;
                return self.in_address(c, at, row);
            }
            _ => {}
        }
        // Most of a text is letters and blanks: as far as nothing in it means anything, it is one step.
        let plain = row.text[one..].find(|c: char| !(c.is_alphanumeric() || c == ' ') || c == 'h');
        let end = one + plain.unwrap_or(row.text.len() - one);
        row.push(end, self.ink(row.base));
        end
    }

    /// The styles of text here.
    fn ink(&self, base: Ink) -> Ink {
        self.open.iter().fold(base, |ink, opener| {
            let of = match (opener.sign, opener.count) {
                ('~', _) => Ink { strike: true, ..Ink::PLAIN },
                (_, 1) => Ink { italic: true, ..Ink::PLAIN },
                (_, 2) => Ink { bold: true, ..Ink::PLAIN },
                _ => Ink { bold: true, italic: true, ..Ink::PLAIN },
            };
            of.over(ink)
        })
    }

    fn ticks(&mut self, at: usize, row: &mut Row<'_>) -> usize {
        let count = row.run(at, '`');
        let end = at + count;
        let is_closed = || {
            let mut rest = &row.text[end..];
            while let Some(from) = rest.find('`') {
                let ticks = rest[from..].len() - rest[from..].trim_start_matches('`').len();
                if ticks == count {
                    return true;
                }
                rest = &rest[from + ticks..];
            }
            false
        };
        let opens = row.at(end).is_some_and(|c| !c.is_whitespace()) || is_closed();
        if opens {
            self.code = Some(count);
        }
        row.push(end, if opens { Ink::MARKUP } else { self.ink(row.base) });
        end
    }

    fn in_code(&mut self, ticks: usize, c: char, at: usize, row: &mut Row<'_>) -> usize {
        if c != '`' {
            let end = row.text[at..].find('`').map_or(row.text.len(), |to| at + to);
            row.push(end, Ink::CODE.over(self.ink(row.base)));
            return end;
        }
        let count = row.run(at, '`');
        if count == ticks {
            self.code = None;
        }
        row.push(at + count, if count == ticks { Ink::MARKUP } else { Ink::CODE.over(self.ink(row.base)) });
        at + count
    }

    fn bracket(&mut self, at: usize, row: &mut Row<'_>) -> usize {
        let begin = self.brackets.pop();
        let Some(begin) = begin.filter(|_| row.at(at + 1) == Some('(')) else {
            row.push(at + 1, self.ink(row.base));
            return at + 1;
        };
        row.spans.cover(begin, Ink { underline: true, ..Ink::PLAIN });
        row.push(at + 1, Ink::MARKUP);
        self.address = Address::Link(0);
        at + 1
    }

    fn in_address(&mut self, c: char, at: usize, row: &mut Row<'_>) -> usize {
        if self.address == Address::Bare {
            let rest = &row.text[at..];
            let to = rest.find(|c: char| c.is_whitespace() || matches!(c, '<' | '>' | '"' | '`' | '|'));
            let goes_on = to.is_none() && row.next.is_some_and(|c| !c.is_whitespace());
            let address = &rest[..to.unwrap_or(rest.len())];
            let trimmed = if goes_on { address } else { address.trim_end_matches(is_behind_address) };
            if !goes_on {
                self.address = Address::None;
            }
            row.push(at + trimmed.len(), Ink { underline: true, ..Ink::PLAIN }.over(self.ink(row.base)));
            // An address has been there, if nothing of this row is it: the first character is then any other.
            return if trimmed.is_empty() { self.step(c, at, false, row) } else { at + trimmed.len() };
        }
        let depth = match self.address {
            Address::Link(depth) => depth,
            Address::None | Address::Bare => 0,
        };
        self.address = match c {
            '(' => Address::Link(depth + 1),
            ')' if depth <= 1 => Address::None,
            ')' => Address::Link(depth - 1),
            _ => self.address,
        };
        row.push(at + c.len_utf8(), Ink::MARKUP);
        at + c.len_utf8()
    }

    /// A run of signs that open, close, or are nothing.
    fn signs(&mut self, sign: char, at: usize, row: &mut Row<'_>) -> usize {
        let count = row.run(at, sign);
        let end = at + count;
        let (before, after) = (self.before, row.at(end).unwrap_or('\n'));
        let flanks = Flanks::new(sign, before, after);
        let fits = if sign == '~' { count == 2 } else { count <= 3 };
        let mut left = count;
        if fits && flanks.closes {
            left = self.close(sign, left);
        }
        let mut counts = left < count;
        if fits && !counts && flanks.opens && may_open(sign, count, before, after) && self.open.len() < MAX_OPEN {
            self.open.push(Opener { sign, count });
            counts = true;
        }
        row.push(end, if counts { Ink::MARKUP } else { self.ink(row.base) });
        end
    }

    /// Closes what `count` signs can; says how many are left.
    fn close(&mut self, sign: char, mut count: usize) -> usize {
        while count > 0 {
            let Some(nth) = self.open.iter().rposition(|opener| opener.sign == sign) else { break };
            let opener = &mut self.open[nth];
            let closed = opener.count.min(count);
            opener.count -= closed;
            count -= closed;
            // What was opened within and not closed there was nothing.
            let keep = nth + usize::from(opener.count > 0);
            self.open.truncate(keep);
        }
        count
    }
}

/// What a run of signs may do, by the characters at its sides.
struct Flanks {
    opens: bool,
    closes: bool,
}

impl Flanks {
    /// CommonMark's rule, but that punctuation beside a letter that is not ASCII does not count: there are no blanks in `这是**「重点」**`.
    fn new(sign: char, before: char, after: char) -> Self {
        let is_mark = |c: char| !c.is_alphanumeric() && !c.is_whitespace();
        let is_foreign = |c: char| !c.is_ascii() && c.is_alphanumeric();
        let left = !after.is_whitespace() && (!is_mark(after) || before.is_whitespace() || is_mark(before));
        let right = !before.is_whitespace() && (!is_mark(before) || after.is_whitespace() || is_mark(after));
        match sign {
            '_' => Self { opens: left && (!right || is_mark(before)), closes: right && (!left || is_mark(after)) },
            _ => Self {
                opens: left || (is_mark(after) && is_foreign(before)),
                closes: right || (is_mark(before) && is_foreign(after)),
            },
        }
    }
}

/// Stricter than CommonMark, as no closer is waited for: not within a word of ASCII (`2*3`), and not before what no emphasis
/// begins with (`*.rs`, `**/`).
fn may_open(sign: char, count: usize, before: char, after: char) -> bool {
    let in_word = sign == '*' && count < 3 && before.is_ascii_alphanumeric() && after.is_ascii_alphanumeric();
    !in_word && !matches!(after, '.' | ',' | '/' | ';' | ':' | ')' | ']' | '}' | '>' | '?' | '%' | '=' | '|' | '\\')
}

fn is_address(text: &str) -> bool {
    ["http://", "https://"].iter().any(|begin| text.starts_with(begin) && text.len() > begin.len())
}

/// What stands behind an address rather than in it.
fn is_behind_address(c: char) -> bool {
    matches!(c, '.' | ',' | ';' | ':' | '!' | '?' | '\'' | '*' | '_' | '~' | ')' | ']')
}
