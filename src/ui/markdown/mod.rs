//! Markdown in answers while they stream: which styles the text of a row has. Pure; `live_row` asks, row by row, and paints.
//!
//! The text on the screen is exactly the text that came, made safe and wrapped: markup stays where it is, so that what is copied
//! from the terminal is usable Markdown, and no width ever depends on a style. Styles are all that is added. The markup is dim,
//! headings are bold, and so on (`style` has the palette); tables keep their layout and code in fences is highlighted.
//!
//! Nothing waits, and nothing is ever drawn in another order than it came. A row is painted with what is known when it ends, and
//! not looked at again: an opener (`**`, a backtick) without its closer counts as open until its block ends, so a paragraph that is
//! bold from end to end is bold from its first row on. What may open follows CommonMark's flanking rule, somewhat stricter, so that
//! `2 * 3 * 4`, `snake_case_name` and `*.rs` stay plain. The row that is still growing is painted in the same way with each frame.
//!
//! What is remembered is bounded: of the line its first [`LINE_BYTES`] (they say what kind of line it is), of the paragraph the
//! openers that are open ([`inline`]), of a fence the state of its grammar at the line's begin ([`code`], with its own bounds). A row
//! of more than [`ROW_BYTES`] (marks upon marks) stays plain.
//!
//! How lines are read is CommonMark's way where that is what models write, and lenient where they are not strict: a fence in a
//! list is closed wherever its closing line stands, and indented code is that only outside of lists.

use self::block::{Fence, Head, Role};
use self::code::Grammars;
use self::inline::Inline;
use super::style::Ink;

mod block;
mod code;
mod inline;

/// Bytes of a line that are kept.
const LINE_BYTES: usize = 2 << 10;
/// Bytes of a row that is looked into.
const ROW_BYTES: usize = 4 << 10;

/// The styles of a row: runs, each up to a byte of the row's source. What is behind the last one is plain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Spans(Vec<(usize, Ink)>);

impl Spans {
    /// The runs, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, Ink)> {
        self.0.iter().copied()
    }

    /// The next run. What ends where the last one ended is none.
    fn push(&mut self, end: usize, ink: Ink) {
        match self.0.last_mut() {
            Some((last, _)) if *last >= end => {}
            None if end == 0 => {}
            Some((last, same)) if *same == ink => *last = end,
            _ => self.0.push((end, ink)),
        }
    }

    /// Where the last run ends.
    fn end(&self) -> usize {
        self.0.last().map_or(0, |(end, _)| *end)
    }

    /// Puts `ink` over what stands from `from` on.
    fn cover(&mut self, from: usize, ink: Ink) {
        let mut covered = Self::default();
        let mut begin = 0;
        for (end, old) in self.iter() {
            covered.push(from.clamp(begin, end), old);
            covered.push(end, if end > from { ink.over(old) } else { old });
            begin = end;
        }
        *self = covered;
    }
}

/// What is known of an answer at the begin of a row.
#[derive(Debug, Clone, Default)]
struct State {
    /// The line so far, without the row: its first [`LINE_BYTES`].
    line: String,
    /// The line is longer than what is kept of it.
    is_cut: bool,
    /// What the line is, once that cannot change.
    role: Option<Role>,
    /// The fence that the line is in.
    fence: Option<Fence>,
    /// The line began in it: this holds for all its rows, also when it shows that the fence has ended before.
    is_code: bool,
    /// What is open in the paragraph.
    inline: Inline,
    /// The line before belongs to a paragraph.
    in_paragraph: bool,
    /// There was an item of a list, and no text at the margin since.
    in_list: bool,
    /// Signs of quote before the paragraph.
    depth: usize,
}

/// The styles of one answer.
#[derive(Debug, Default)]
pub(super) struct Markdown {
    grammars: Grammars,
    state: State,
}

impl Markdown {
    /// Another answer begins.
    pub(super) fn reset(&mut self) {
        self.state = State::default();
    }

    /// Whether the line that was begun, or is about to, stands in a fence.
    pub(super) const fn is_code(&self) -> bool {
        self.state.is_code
    }

    /// The styles of a row that ends. `source`: what it is made of. `next`: the character behind it, which is a line end when
    /// the line ends with the row; `None` when it is not known.
    pub(super) fn row(&mut self, source: &str, next: Option<char>) -> Spans {
        self.state.row(&mut self.grammars, source, next)
    }

    /// Takes in what stands before what is shown, and says nothing of it. Its last line goes on.
    pub(super) fn skip(&mut self, text: &str) {
        for line in text.split_inclusive('\n') {
            match line.strip_suffix('\n') {
                Some(line) => self.row(line, Some('\n')),
                None => self.row(line, None),
            };
        }
    }

    /// The styles of a row that may go on.
    pub(super) fn peek(&mut self, source: &str) -> Spans {
        self.state.clone().row(&mut self.grammars, source, None)
    }
}

impl State {
    fn row(&mut self, grammars: &mut Grammars, source: &str, next: Option<char>) -> Spans {
        let ends = next == Some('\n');
        let begin = self.line.len();
        let room = LINE_BYTES - begin;
        self.is_cut |= source.len() > room;
        self.line.push_str(&source[..source.floor_char_boundary(room)]);
        let mut spans = Spans::default();
        if source.len() > ROW_BYTES {
            self.role.get_or_insert(Role::Paragraph);
        } else if self.fence.is_none() || !self.code(grammars, begin, ends, &mut spans) {
            self.prose(begin, source, next, &mut spans);
        }
        if ends {
            self.end_line(grammars);
        }
        spans
    }

    /// A row of a line in a fence. Not so when the line shows that the fence has ended before it.
    fn code(&mut self, grammars: &mut Grammars, begin: usize, ends: bool, spans: &mut Spans) -> bool {
        let Some(fence) = &mut self.fence else { return false };
        let Some(from) = fence.content(&self.line) else {
            self.fence = None;
            return false;
        };
        for (at, c) in self.line[..from].char_indices().skip_while(|(at, _)| *at < begin) {
            spans.push(at + c.len_utf8() - begin, if c == '>' { Ink::SIGN } else { Ink::PLAIN });
        }
        let content = &self.line[from..];
        let begin_in_content = begin.saturating_sub(from);
        if !self.is_cut && fence.is_closed_by(content) {
            spans.push(self.line.len() - begin, Ink::MARKUP);
            if ends {
                self.role = Some(Role::FenceClose);
            }
        } else if let Some(code) = &mut fence.code
            && !self.is_cut
        {
            let offset = from.max(begin) - begin;
            code.paint(grammars, content, begin_in_content, ends, offset, spans);
        }
        true
    }

    fn prose(&mut self, begin: usize, source: &str, next: Option<char>, spans: &mut Spans) {
        let ends = next == Some('\n');
        let mut from = 0;
        let role = match self.role {
            Some(role) => role,
            None => {
                let head = Head::read(&self.line, self.in_paragraph, self.in_list);
                for (end, ink) in head.signs.iter() {
                    spans.push(end.saturating_sub(begin), ink);
                }
                from = spans.end();
                let Some(role) = head.role else { return };
                if !role.is_tentative() || ends || self.is_cut {
                    self.decide(role, &head);
                }
                role
            }
        };
        let text = &source[from..];
        match role {
            Role::Heading => self.inline.run(text, next, Ink::HEADING, false, spans),
            Role::Paragraph => self.inline.run(text, next, Ink::PLAIN, false, spans),
            Role::Table => self.inline.run(text, next, Ink::PLAIN, true, spans),
            Role::Rule | Role::FenceOpen | Role::FenceClose => spans.push(source.len(), Ink::MARKUP),
            Role::Indented => {}
        }
    }

    /// What the line is cannot change any more.
    fn decide(&mut self, role: Role, head: &Head) {
        let goes_on = role == Role::Paragraph && self.in_paragraph && !head.is_item && head.depth == self.depth;
        if !goes_on {
            self.inline = Inline::default();
        }
        if head.is_item {
            self.in_list = true;
        } else if !goes_on && head.indent == 0 && matches!(role, Role::Paragraph | Role::Heading) {
            self.in_list = false;
        }
        self.depth = head.depth;
        self.role = Some(role);
    }

    fn end_line(&mut self, grammars: &mut Grammars) {
        let role = self.role.take();
        self.in_paragraph = role == Some(Role::Paragraph) && self.fence.is_none();
        if self.in_paragraph {
            self.inline.end_line();
        } else {
            self.inline = Inline::default();
        }
        match role {
            Some(Role::FenceOpen) => self.fence = Fence::open(&self.line, grammars),
            Some(Role::FenceClose) => self.fence = None,
            _ => {}
        }
        self.is_code = self.fence.is_some();
        self.line.clear();
        self.is_cut = false;
    }
}

#[cfg(test)]
#[path = "../markdown_tests.rs"]
pub(super) mod tests;
