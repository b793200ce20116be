//! Code in fences: syntect finds scopes, a small palette of the terminal's own colours says how they look.
//!
//! The grammars are read when the first fence names a language; start-up has no part in it. Each gets ready while it reads its first
//! lines, which takes 10 to 150 ms once (TypeScript's: 450 ms), and memory: so only [`READY_GRAMMARS`] are kept. A row is painted
//! with what the line is so far: the grammar's state at the line's begin is kept, and a copy of it reads the line again with each
//! row. A grammar reads some 250 KB a second, and the time that it takes for a line may grow with the square of its length. So there
//! are bounds: a line of more than [`LINE_BYTES`] and what follows in a block after [`BLOCK_BYTES`] are not highlighted. Nor is what
//! the library gives an error for; the text itself never goes through it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use owo_colors::AnsiColors::{Blue, Cyan, Green, Magenta, Red};
use syntect::parsing::{ParseState, Scope, ScopeStack, ScopeStackOp, SyntaxSet};

use super::super::style::Ink;
use super::Spans;

/// Bytes of a line that is highlighted: longer ones are data, or code that nobody wrote to be read.
pub(super) const LINE_BYTES: usize = 512;
/// Bytes that are read of a block, about half a second's worth. Those of a long line count so many times as it has [`USUAL_BYTES`].
const BLOCK_BYTES: usize = 128 << 10;
/// Bytes of a usual line.
const USUAL_BYTES: usize = 80;

/// Languages whose grammars are ready at a time. Each takes 1 to 20 MB once it has read some lines, TypeScript's 65 MB.
const READY_GRAMMARS: usize = 6;

/// How scopes look: the first that a scope begins with decides, and where none does, the scope around it.
const PALETTE: &[(&str, Ink)] = &[
    ("comment", Ink::MARKUP),
    ("string", Ink::of(Green)),
    ("constant", Ink::of(Red)),
    ("support.constant", Ink::of(Red)),
    ("variable.language", Ink::of(Magenta)),
    ("variable.function", Ink::of(Blue)),
    ("variable.annotation", Ink::of(Cyan)),
    ("keyword.operator.word", Ink::of(Magenta)),
    ("keyword.operator.logical.python", Ink::of(Magenta)),
    // Signs everywhere: they read better without a colour.
    ("keyword.operator", Ink::PLAIN),
    ("punctuation.section.interpolation", Ink::of(Magenta)),
    ("meta.interpolation", Ink::PLAIN),
    ("meta.template.expression", Ink::PLAIN),
    ("keyword", Ink::of(Magenta)),
    ("storage", Ink::of(Magenta)),
    ("support.function", Ink::of(Blue)),
    ("support.macro", Ink::of(Blue)),
    ("support.type", Ink::of(Cyan)),
    ("support.class", Ink::of(Cyan)),
    ("entity.name.function", Ink::of(Blue)),
    ("entity.name.tag", Ink::of(Blue)),
    ("entity.name.section", Ink::of(Blue)),
    ("entity.name.macro", Ink::of(Blue)),
    ("entity.name", Ink::of(Cyan)),
    ("entity.other.inherited-class", Ink::of(Cyan)),
    ("entity.other.attribute-name", Ink::of(Cyan)),
    ("meta.annotation", Ink::of(Cyan)),
    ("markup.inserted", Ink::of(Green)),
    ("markup.deleted", Ink::of(Red)),
    ("markup.heading", Ink::HEADING),
    ("meta.diff.range", Ink::of(Cyan)),
    ("meta.diff.header", Ink::of(Cyan)),
];

/// Names that models give to languages and that no grammar has, each with one that a grammar has.
const ALIASES: &[(&str, &str)] = &[
    ("c#", "cs"),
    ("console", "bash"),
    ("csharp", "cs"),
    ("golang", "go"),
    ("json5", "json"),
    ("jsonc", "json"),
    ("jsonl", "json"),
    ("jsx", "js"),
    ("objective-c", "m"),
    ("python3", "py"),
    ("shell", "bash"),
    ("shell-session", "bash"),
    ("terraform", "tf"),
    ("ts", "typescript"),
    ("tsx", "TypeScriptReact"),
    ("zsh", "bash"),
];

/// No language at all.
const NO_LANGUAGE: &[&str] = &["", "text", "txt", "plain", "plaintext", "output", "log", "none", "ascii"];

/// The grammars, once one was wanted.
#[derive(Debug, Default)]
pub(super) struct Grammars {
    loaded: Option<Loaded>,
}

#[derive(Debug)]
struct Loaded {
    set: SyntaxSet,
    palette: Vec<(Scope, Ink)>,
    /// The names of the grammars that are, or may be, ready.
    ready: Vec<String>,
}

impl Loaded {
    fn new() -> Self {
        let ink = |(scope, ink): &(&str, Ink)| Some((Scope::new(scope).ok()?, *ink));
        Self {
            set: two_face::syntax::extra_newlines(),
            palette: PALETTE.iter().filter_map(ink).collect(),
            ready: Vec::new(),
        }
    }

    fn ink(&self, stack: &ScopeStack) -> Ink {
        let of = |scope: &Scope| self.palette.iter().find(|(begin, _)| begin.is_prefix_of(*scope));
        stack.as_slice().iter().rev().find_map(of).map_or(Ink::PLAIN, |(_, ink)| *ink)
    }
}

impl Grammars {
    /// The begin of a block whose fence says `info`; `None` when no grammar is known for that.
    pub(super) fn code(&mut self, info: &str) -> Option<Code> {
        let word =
            info.split(|c: char| c.is_whitespace() || matches!(c, ',' | '{' | '}' | ':')).find(|w| !w.is_empty());
        let name = word.unwrap_or_default().trim_start_matches('.').to_lowercase();
        if NO_LANGUAGE.contains(&name.as_str()) {
            return None;
        }
        let loaded = self.loaded.get_or_insert_with(Loaded::new);
        let alias = ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name.as_str(), |(_, name)| *name);
        let known = &loaded.set.find_syntax_by_token(alias)?.name;
        if known == "Plain Text" {
            return None;
        }
        if !loaded.ready.contains(known) {
            let known = known.clone();
            if loaded.ready.len() >= READY_GRAMMARS {
                // What was made ready cannot be taken back one by one.
                *loaded = Loaded::new();
            }
            loaded.ready.push(known);
        }
        let grammar = loaded.set.find_syntax_by_token(alias)?;
        Some(Code { at_line: Some((ParseState::new(grammar), ScopeStack::new())), read_bytes: 0 })
    }
}

/// A block under way.
#[derive(Debug, Clone)]
pub(super) struct Code {
    /// How the grammar stands at the line's begin; `None` when it gave up.
    at_line: Option<(ParseState, ScopeStack)>,
    /// Bytes read.
    read_bytes: usize,
}

impl Code {
    /// The styles of a row: what stands in `line` from `from` on, `offset` bytes of the row being painted. `ends`: so does the line.
    pub(super) fn paint(
        &mut self,
        grammars: &Grammars,
        line: &str,
        from: usize,
        ends: bool,
        offset: usize,
        spans: &mut Spans,
    ) {
        let Some(loaded) = grammars.loaded.as_ref().filter(|_| line.len() <= LINE_BYTES) else { return };
        let Some((mut state, mut stack)) = self.at_line.take_if(|_| ends).or_else(|| self.at_line.clone()) else {
            return;
        };
        self.read_bytes += line.len() * (1 + line.len() / USUAL_BYTES);
        let text = if ends { format!("{line}\n") } else { line.to_owned() };
        let Some(ops) = read(&mut state, &text, &loaded.set).filter(|_| self.read_bytes <= BLOCK_BYTES) else {
            self.at_line = None;
            return;
        };
        let mut at = 0;
        for (to, op) in ops {
            if to > at {
                if to > from {
                    spans.push(offset + to.min(line.len()) - from, loaded.ink(&stack));
                }
                at = to;
            }
            if stack.apply(&op).is_err() {
                self.at_line = None;
                return;
            }
        }
        if line.len() > from.max(at) {
            spans.push(offset + line.len() - from, loaded.ink(&stack));
        }
        if ends {
            self.at_line = Some((state, stack));
        }
    }
}

/// What the grammar makes of a line. All its patterns compile (a test sees to that), and so it has no reason to panic; an answer
/// is not what should be lost if it found one.
fn read(state: &mut ParseState, text: &str, set: &SyntaxSet) -> Option<Vec<(usize, ScopeStackOp)>> {
    catch_unwind(AssertUnwindSafe(|| state.parse_line(text, set))).ok()?.ok()
}
