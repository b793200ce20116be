//! Rust sources as the tidiness tests see them: comments and literals blanked out, tests told from the rest, paths and the
//! lengths of functions found. No parser: the few forms that rustfmt leaves are enough, and a test below holds it to them.

use std::collections::BTreeSet;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// The crate's folder.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below `folder`, by path; hidden ones and what cargo builds are left out.
pub(crate) fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy();
            match path.is_dir() {
                _ if name.starts_with('.') && name != ".ci" && name != ".gitignore" => {}
                true if name != "target" => folders.push(path),
                true => {}
                false => found.push(path),
            }
        }
    }
    found.sort();
    found
}

/// One Rust file.
pub(crate) struct Source {
    /// From the crate's folder on: `src/ui/gate.rs`.
    pub(crate) path: String,
    /// As it is.
    pub(crate) text: String,
    /// With blanks for comments and for what stands in literals; line ends are where they were.
    pub(crate) code: String,
    /// Only for tests, as a whole.
    pub(crate) is_test: bool,
    /// Where in `code` the blocks are that only tests have.
    tests: Vec<Range<usize>>,
}

impl Source {
    /// The top-level module that the file belongs to: `ui`, and `main` or `lib` for the crate's own files.
    pub(crate) fn module(&self) -> &str {
        let below = self.path.strip_prefix("src/").unwrap_or(&self.path);
        below.split('/').next().unwrap_or(below).trim_end_matches(".rs")
    }

    /// The code that is no test's, its lines where they were.
    pub(crate) fn real_code(&self) -> String {
        if self.is_test {
            return String::new();
        }
        let mut code = self.code.clone().into_bytes();
        for range in &self.tests {
            blank(&mut code[range.clone()]);
        }
        String::from_utf8(code).unwrap()
    }

    /// Lines of the file that no test has.
    pub(crate) fn real_lines(&self) -> usize {
        let of_tests: usize = self.tests.iter().map(|range| self.code[range.clone()].lines().count()).sum();
        self.text.lines().count() - of_tests
    }

    /// The number of the line at a place in the code.
    pub(crate) fn line_at(&self, at: usize) -> usize {
        self.code[..at].matches('\n').count() + 1
    }

    /// Modules of this crate that the real code names, each with its line: `crate::x`, `use crate::{x, y}`, and `super`
    /// where it climbs out of the module it is in.
    pub(crate) fn modules_named(&self, known: &BTreeSet<&str>) -> Vec<(String, usize)> {
        let code = self.real_code();
        let mut named = Vec::new();
        let depth = self.path.split('/').count() - 1 - usize::from(self.path.ends_with("/mod.rs"));
        let climb = format!("{}::", vec!["super"; depth].join("::"));
        for (start, follows_directly) in [("crate::", true), (climb.as_str(), false)] {
            for (at, rest) in occurrences(&code, start) {
                for name in first_names(rest) {
                    if known.contains(name) || follows_directly {
                        named.push((name.to_owned(), self.line_at(at)));
                    }
                }
            }
        }
        named
    }

    /// Names that begin a path and are not this crate's: candidates for other crates.
    pub(crate) fn path_roots(&self, code: &str) -> BTreeSet<String> {
        let mut roots = BTreeSet::new();
        for (at, _) in code.match_indices("::") {
            let before = &code[..at];
            let begin = before.rfind(|c: char| !is_word(c)).map_or(0, |i| i + 1);
            if begin < at && !before[..begin].ends_with([':', '.']) {
                roots.insert(before[begin..].to_owned());
            }
        }
        roots
    }

    /// The functions, each with its line and its length in lines.
    pub(crate) fn functions(&self) -> Vec<(String, usize, usize)> {
        let mut found = Vec::new();
        for (at, rest) in occurrences(&self.code, "fn ") {
            let name: String = rest.chars().take_while(|c| is_word(*c)).collect();
            // Of a signature without a body (in a trait) the `;` comes first. A `;` inside brackets is an array's.
            let mut depth = 0_i32;
            let body = rest.char_indices().find(|(_, c)| {
                depth += i32::from(matches!(c, '(' | '[')) - i32::from(matches!(c, ')' | ']'));
                depth == 0 && matches!(c, '{' | ';')
            });
            if let Some((open, '{')) = body
                && !name.is_empty()
            {
                let block = &rest[open..open + block_length(&rest[open..])];
                let lines = rest[..open].lines().count() + block.lines().count() - 1;
                found.push((name, self.line_at(at), lines));
            }
        }
        found
    }
}

/// Every Rust file below these folders of the crate.
pub(crate) fn sources(folders: &[&str]) -> Vec<Source> {
    let mut sources = Vec::new();
    let mut test_files = BTreeSet::new();
    for folder in folders {
        for path in files_below(&root().join(folder)) {
            if path.extension().is_none_or(|end| end != "rs") {
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            let code = code_of(&text);
            let tests = test_blocks(&code);
            test_files.extend(test_modules(&text, &code, &path));
            let path = path.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/");
            sources.push(Source { path, text, code, tests, is_test: *folder != "src" });
        }
    }
    for source in &mut sources {
        let path = root().join(&source.path);
        source.is_test |= test_files.iter().any(|test| path.starts_with(test) || path == test.with_extension("rs"));
    }
    sources
}

const TEST_ONLY: &str = "#[cfg(test)]";

/// `#[cfg(test)] mod tests { … }`.
fn test_blocks(code: &str) -> Vec<Range<usize>> {
    let block = |(at, rest): (usize, &str)| {
        let open = rest.find(['{', ';']).filter(|open| rest[*open..].starts_with('{'))?;
        let length = TEST_ONLY.len() + open + block_length(&rest[open..]);
        Some(at..at + length)
    };
    occurrences(code, TEST_ONLY).filter_map(block).collect()
}

/// `#[cfg(test)] mod tests;`, as the folder that the module has or would have.
fn test_modules(text: &str, code: &str, path: &Path) -> Vec<PathBuf> {
    let (folder, stem) = (path.parent().unwrap(), path.file_stem().unwrap());
    let inside = if stem == "mod" || stem == "lib" { folder.to_owned() } else { folder.join(stem) };
    let module = |(at, rest): (usize, &str)| {
        let end = rest.find(['{', ';']).filter(|end| rest[*end..].starts_with(';'))?;
        let name = rest[..end].rsplit_once("mod ")?.1;
        // The literal is blank in the code; it stands at the same place in the text.
        let original = &text[at + TEST_ONLY.len()..at + TEST_ONLY.len() + end];
        let other = original.split_once("path = \"").map(|(_, p)| p.split('"').next().unwrap_or_default());
        Some(other.map_or_else(|| inside.join(name), |other| folder.join(other).with_extension("")))
    };
    occurrences(code, TEST_ONLY).filter_map(module).collect()
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Where `what` begins a word, and what follows it.
fn occurrences<'a>(code: &'a str, what: &'a str) -> impl Iterator<Item = (usize, &'a str)> {
    let starts = |at: &usize| !code[..*at].ends_with(|c: char| is_word(c) || c == ':');
    code.match_indices(what).map(|(at, _)| at).filter(starts).map(move |at| (at, &code[at + what.len()..]))
}

/// `x` of `x::y`; of `{a::b, c}` both `a` and `c`.
fn first_names(rest: &str) -> Vec<&str> {
    let name = |text: &str| text.find(|c: char| !is_word(c)).unwrap_or(text.len());
    if !rest.starts_with('{') {
        return vec![&rest[..name(rest)]];
    }
    let group = &rest[1..block_length(rest) - 1];
    let (mut depth, mut from, mut parts) = (0_i32, 0, Vec::new());
    for (at, c) in group.char_indices() {
        depth += i32::from(c == '{') - i32::from(c == '}');
        if c == ',' && depth == 0 {
            parts.push(&group[from..at]);
            from = at + 1;
        }
    }
    parts.push(&group[from..]);
    parts.into_iter().map(str::trim_start).map(|part| &part[..name(part)]).filter(|name| !name.is_empty()).collect()
}

/// Bytes of the block that `code` begins with, its braces included.
fn block_length(code: &str) -> usize {
    let mut depth = 0_i32;
    for (at, c) in code.char_indices() {
        depth += i32::from(c == '{') - i32::from(c == '}');
        if depth == 0 {
            return at + 1;
        }
    }
    code.len()
}

fn blank(bytes: &mut [u8]) {
    bytes.iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
}

/// `text` with blanks for comments and for what stands in literals; each byte stays at its place.
pub(crate) fn code_of(text: &str) -> String {
    let mut code = text.as_bytes().to_vec();
    let mut at = 0;
    while at < text.len() {
        let length = literal_length(text, at);
        blank(&mut code[at..at + length]);
        at += length.max(1);
    }
    String::from_utf8(code).unwrap()
}

/// Bytes of the comment or literal that begins at `at`; 0 when none does.
fn literal_length(text: &str, at: usize) -> usize {
    let rest = &text.as_bytes()[at..];
    let word_before = at > 0 && (text.as_bytes()[at - 1].is_ascii_alphanumeric() || text.as_bytes()[at - 1] == b'_');
    match rest {
        [b'/', b'/', ..] => rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len()),
        [b'/', b'*', ..] => find(rest, b"*/", 2),
        [b'r', b'"' | b'#', ..] | [b'b', b'r', b'"' | b'#', ..] if !word_before => {
            let quote = rest.iter().position(|b| *b == b'"').unwrap_or(rest.len());
            let hashes = rest[..quote].iter().filter(|b| **b == b'#').count();
            // `r#name` is a name.
            if rest[..quote].iter().any(|b| !matches!(b, b'r' | b'b' | b'#')) {
                return 0;
            }
            find(rest, &[b"\"".as_slice(), &b"#".repeat(hashes)].concat(), quote + 1)
        }
        [b'"', ..] => quoted(rest, b'"'),
        [b'\'', b'\\', ..] => quoted(rest, b'\''),
        // A character, or else a lifetime.
        [b'\'', ..] => {
            let wide = text[at + 1..].chars().next().map_or(0, char::len_utf8);
            if rest.get(1 + wide) == Some(&b'\'') { wide + 2 } else { 0 }
        }
        _ => 0,
    }
}

fn quoted(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != quote {
        at += 1 + usize::from(rest[at] == b'\\');
    }
    (at + 1).min(rest.len())
}

fn find(rest: &[u8], what: &[u8], from: usize) -> usize {
    (from..rest.len()).find(|at| rest[*at..].starts_with(what)).map_or(rest.len(), |at| at + what.len())
}

#[test]
fn sources_are_seen_as_they_are() {
    let check = |text: &str, code: &str| assert_eq!(code_of(text), code);
    check("a // b\nc", "a     \nc");
    check("a /* { */ b", "a         b");
    check(r##"x("{\"}", '{', b'\'', 'a, r#"{"# )"##, r##"x(      ,    , b    , 'a,        )"##);
    check("let é = '日';", "let é =      ;");
    let text = "use crate::{a::B, c};\nfn f(x: [u8; 2]) -> u8 {\n    crate::d::e(\"crate::g\")\n}\n\
                #[cfg(test)]\nmod tests {\n    use crate::h;\n}\n";
    let code = code_of(text);
    let tests = test_blocks(&code);
    let source = Source { path: "src/a/b.rs".to_owned(), text: text.to_owned(), code, is_test: false, tests };
    let named: Vec<_> = source.modules_named(&BTreeSet::new());
    let expected = [("a", 1), ("c", 1), ("d", 3)].map(|(name, line)| (name.to_owned(), line));
    assert_eq!(named, expected);
    assert_eq!(source.functions(), [("f".to_owned(), 2, 3)]);
    assert_eq!(source.real_lines(), 4);
    assert_eq!(source.module(), "a");
}
