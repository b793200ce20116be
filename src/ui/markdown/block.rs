//! What a line is, from how it begins.

use super::super::style::Ink;
use super::Spans;
use super::code::{Code, Grammars};

/// Columns that code is indented by outside of a fence; a closing fence may be indented by less.
const INDENT: usize = 4;
/// Digits of a list's number.
const MAX_DIGITS: usize = 9;

/// What a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Text: of a paragraph, an item, a quote.
    Paragraph,
    /// A heading with its `#`.
    Heading,
    /// A row of a table.
    Table,
    /// A line of dashes, or what underlines a heading or a table's.
    Rule,
    /// The line that opens a fence.
    FenceOpen,
    /// The line that closes it.
    FenceClose,
    /// Code without a fence.
    Indented,
}

impl Role {
    /// Whether more of the line may show it to be something else.
    pub(super) const fn is_tentative(self) -> bool {
        matches!(self, Self::Rule | Self::FenceOpen)
    }
}

/// The begin of a line.
#[derive(Debug, Default)]
pub(super) struct Head {
    /// The styles of what stands before the content: indentation, signs of quotes and items.
    pub(super) signs: Spans,
    /// What the line is; `None`: nothing is there yet but signs.
    pub(super) role: Option<Role>,
    /// Signs of quote.
    pub(super) depth: usize,
    /// Columns before the content.
    pub(super) indent: usize,
    /// Whether an item of a list begins.
    pub(super) is_item: bool,
    /// Where the content begins.
    content: usize,
}

impl Head {
    /// Reads a line as far as it came.
    pub(super) fn read(line: &str, in_paragraph: bool, in_list: bool) -> Self {
        let mut head = Self::default();
        loop {
            let indent = head.skip_blanks(line);
            let rest = &line[head.content..];
            if rest.is_empty() {
                return head;
            }
            if rest.starts_with('>') {
                head.depth += 1;
                head.sign(line, 1);
                continue;
            }
            if is_rule(rest) || (in_paragraph && is_underline(rest)) {
                return head.with(Role::Rule);
            }
            let sign = item_sign(rest);
            if sign > 0 {
                head.is_item = true;
                head.sign(line, sign);
                let blanks = line[head.content..].len() - line[head.content..].trim_start().len();
                if blanks > 0 && has_box(line[head.content..].trim_start()) {
                    head.skip_blanks(line);
                    head.sign(line, "[ ]".len());
                }
                continue;
            }
            let in_code = indent >= INDENT && !in_paragraph && !in_list && !head.is_item;
            return head.with(if in_code { Role::Indented } else { role(rest) });
        }
    }

    fn with(mut self, role: Role) -> Self {
        self.role = Some(role);
        self
    }

    /// Goes to the content's begin and says how many columns were blank.
    fn skip_blanks(&mut self, line: &str) -> usize {
        let blanks = line[self.content..].chars().take_while(|c| matches!(c, ' ' | '\t'));
        let (mut columns, mut bytes) = (0, 0);
        for blank in blanks {
            columns += if blank == '\t' { INDENT - (self.indent + columns) % INDENT } else { 1 };
            bytes += 1;
        }
        self.content += bytes;
        self.indent += columns;
        self.signs.push(self.content, Ink::PLAIN);
        columns
    }

    fn sign(&mut self, line: &str, bytes: usize) {
        debug_assert!(line[self.content..].is_char_boundary(bytes));
        self.content += bytes;
        self.indent += bytes;
        self.signs.push(self.content, Ink::SIGN);
    }
}

/// What begins with these characters, behind all signs.
fn role(rest: &str) -> Role {
    let hashes = rest.len() - rest.trim_start_matches('#').len();
    if (1..=6).contains(&hashes) && rest[hashes..].chars().next().is_none_or(|c| c == ' ' || c == '\t') {
        return Role::Heading;
    }
    if let Some((fence, length)) = fence_sign(rest)
        && !(fence == '`' && rest[length..].contains('`'))
    {
        return Role::FenceOpen;
    }
    match rest.starts_with('|') {
        true if rest.contains('-') && rest.chars().all(|c| matches!(c, '|' | '-' | ':' | ' ')) => Role::Rule,
        true => Role::Table,
        false => Role::Paragraph,
    }
}

/// `---`, `***`, `_ _ _`: at least three of one kind and blanks.
fn is_rule(rest: &str) -> bool {
    let Some(first @ ('-' | '*' | '_')) = rest.chars().next() else { return false };
    rest.chars().all(|c| c == first || c == ' ' || c == '\t') && rest.matches(first).count() >= 3
}

/// What makes a heading of the line before: `===`. (Of dashes it is a rule as well.)
fn is_underline(rest: &str) -> bool {
    rest.len() >= 3 && rest.trim_end().chars().all(|c| c == '=')
}

/// Bytes of `-`, `*`, `+`, `1.` or `1)` before a blank; 0: no item.
fn item_sign(rest: &str) -> usize {
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let sign = match rest[digits..].chars().next() {
        Some('-' | '*' | '+') if digits == 0 => 1,
        Some('.' | ')') if (1..=MAX_DIGITS).contains(&digits) => digits + 1,
        _ => return 0,
    };
    if rest[sign..].starts_with([' ', '\t']) { sign } else { 0 }
}

fn has_box(rest: &str) -> bool {
    ["[ ] ", "[x] ", "[X] "].iter().any(|sign| rest.starts_with(sign))
}

/// The character and the length of a fence.
fn fence_sign(rest: &str) -> Option<(char, usize)> {
    let fence = rest.chars().next().filter(|c| matches!(c, '`' | '~'))?;
    let length = rest.len() - rest.trim_start_matches(fence).len();
    (length >= 3).then_some((fence, length))
}

/// An open fence.
#[derive(Debug, Clone)]
pub(super) struct Fence {
    sign: char,
    length: usize,
    /// Columns before the opening sign.
    indent: usize,
    /// Signs of quote before it, and before each of its lines.
    depth: usize,
    /// What is in it, when its language is known.
    pub(super) code: Option<Code>,
}

impl Fence {
    /// What this line opens.
    pub(super) fn open(line: &str, grammars: &mut Grammars) -> Option<Self> {
        let head = Head::read(line, false, true);
        let rest = &line[head.content..];
        let (sign, length) = fence_sign(rest)?;
        let code = grammars.code(rest[length..].trim());
        Some(Self { sign, length, indent: head.indent, depth: head.depth, code })
    }

    /// Where the content of a line begins, behind the signs of the quote that the fence stands in. `None`: they are missing,
    /// so that quote has ended, and the fence with it.
    pub(super) fn content(&self, line: &str) -> Option<usize> {
        let mut at = 0;
        for _ in 0..self.depth {
            let rest = line[at..].trim_start_matches(' ');
            if rest.is_empty() && !line.is_empty() {
                return Some(line.len());
            }
            at = line.len() - rest.strip_prefix('>')?.len();
        }
        Some(if self.depth > 0 && line[at..].starts_with(' ') { at + 1 } else { at })
    }

    /// Whether a line of this content closes it.
    pub(super) fn is_closed_by(&self, content: &str) -> bool {
        let rest = content.trim_start_matches([' ', '\t']);
        let signs = rest.trim_end();
        let room = self.indent + INDENT;
        content.len() - rest.len() < room && signs.len() >= self.length && signs.chars().all(|c| c == self.sign)
    }
}
