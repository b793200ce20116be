//! What is styled how. In the expected texts `<x>…</x>` is a run: `b` bold, `d` dim, `i` italic, `u` underlined, `s` struck through,
//! and a capital for its colour (`R`, `G`, `B`, `M`, `C`).

use owo_colors::AnsiColors;
use proptest::prelude::*;
use syntect::parsing::Regex;

use super::*;

fn tag(ink: Ink) -> String {
    let flags = [(ink.bold, 'b'), (ink.dim, 'd'), (ink.italic, 'i'), (ink.underline, 'u'), (ink.strike, 's')];
    let color = ink.color.map(|color| match color {
        AnsiColors::Red => 'R',
        AnsiColors::Green => 'G',
        AnsiColors::Blue => 'B',
        AnsiColors::Magenta => 'M',
        AnsiColors::Cyan => 'C',
        other => panic!("{other:?} does not read everywhere"),
    });
    flags.into_iter().filter(|(on, _)| *on).map(|(_, flag)| flag).chain(color).collect()
}

fn noted(row: &str, spans: &Spans) -> String {
    let (mut out, mut from) = (String::new(), 0);
    for (end, ink) in spans.iter() {
        let (part, tag) = (&row[from..end], tag(ink));
        out += &if tag.is_empty() { part.to_owned() } else { format!("<{tag}>{part}</{tag}>") };
        from = end;
    }
    out + &row[from..]
}

/// An answer whose rows are its lines, and where `⏎` stands, wraps.
fn styled(text: &str) -> String {
    let mut markdown = Markdown::default();
    let mut out = String::new();
    for line in text.split_inclusive('\n') {
        let mut rows = line.trim_end_matches('\n').split('⏎').peekable();
        while let Some(row) = rows.next() {
            let next = rows.peek().map_or(Some('\n'), |next| next.chars().next());
            let spans = markdown.row(row, next);
            out += &noted(row, &spans);
            out += if rows.peek().is_some() { "⏎" } else { "" };
        }
        out += if line.ends_with('\n') { "\n" } else { "" };
    }
    out
}

#[test]
fn within_a_line() {
    let check = |text: &str, expected: &str| assert_eq!(styled(text), expected, "{text:?}");
    check("plain text, as it is.", "plain text, as it is.");
    check("a **bold** word", "a <d>**</d><b>bold</b><d>**</d> word");
    check("an *italic* one", "an <d>*</d><i>italic</i><d>*</d> one");
    check("an _italic_ one", "an <d>_</d><i>italic</i><d>_</d> one");
    check("__init__ is", "<d>__</d><b>init</b><d>__</d> is");
    check("***both*** here", "<d>***</d><bi>both</bi><d>***</d> here");
    check("**bold *and* more**", "<d>**</d><b>bold </b><d>*</d><bi>and</bi><d>*</d><b> more</b><d>**</d>");
    check("***both** one*", "<d>***</d><bi>both</bi><d>**</d><i> one</i><d>*</d>");
    check("~~gone~~ but ~5 min", "<d>~~</d><s>gone</s><d>~~</d> but ~5 min");
    check("run `ls *.rs` **now**", "run <d>`</d><C>ls *.rs</C><d>`</d> <d>**</d><b>now</b><d>**</d>");
    check("``a ` b`` c", "<d>``</d><C>a ` b</C><d>``</d> c");
    check("**`x`**: y", "<d>**`</d><bC>x</bC><d>`**</d>: y");
    check("see [the docs](https://x.y/a_b_c) now", "see [<u>the docs</u><d>](https://x.y/a_b_c)</d> now");
    check("![alt](a.png \"t (x)\")!", "![<u>alt</u><d>](a.png \"t (x)\")</d>!");
    check("https://x.y/a_b_c*d, ok", "<u>https://x.y/a_b_c*d</u>, ok");
    check("**https://x.y**", "<d>**</d><bu>https://x.y</bu><d>**</d>");
    check("<http://x.y>", "<<u>http://x.y</u>>");
    check("\\*not\\* \\`this\\`", "\\*not\\* \\`this\\`");
    check("这是**重点**内容", "这是<d>**</d><b>重点</b><d>**</d>内容");
    check("这是**「重点」**内容", "这是<d>**</d><b>「重点」</b><d>**</d>内容");
}

#[test]
fn what_only_looks_like_markup_stays_plain() {
    for text in [
        "2 * 3 * 4",
        "2*3*4 and 2**3",
        "snake_case_name and other_name_",
        "**",
        "a ** b ** c",
        "*.rs and **/*.toml",
        "a ` b",
        "[1] and a[i] (x)",
        "#hashtag",
        "-5 degrees",
        "1984 was",
        "1.5 is",
        "~ and ~~",
        "a|b",
        "x_{i} + y_{j}",
        "html://x and http://",
        "5 > 3",
        "a **** b",
    ] {
        assert_eq!(styled(text), text);
    }
}

#[test]
fn what_is_open_stays_open_until_its_block_ends() {
    let check = |text: &str, expected: &str| assert_eq!(styled(text), expected, "{text:?}");
    check("a **bold⏎row** b", "a <d>**</d><b>bold</b>⏎<b>row</b><d>**</d> b");
    check("a **bold\nline** b", "a <d>**</d><b>bold</b>\n<b>line</b><d>**</d> b");
    check("a **bold\n\nb", "a <d>**</d><b>bold</b>\n\nb");
    check("a `code⏎more` b", "a <d>`</d><C>code</C>⏎<C>more</C><d>`</d> b");
    check("- **a\n- b", "<G>-</G> <d>**</d><b>a</b>\n<G>-</G> b");
    check("**a\n# b\nc", "<d>**</d><b>a</b>\n<bM># b</bM>\nc");
    check("see [the⏎docs](ht⏎tp) b", "see [the⏎<u>docs</u><d>](ht</d>⏎<d>tp)</d> b");
    check("see [docs]⏎(http) b", "see [<u>docs</u><d>]</d>⏎<d>(http)</d> b");
    check("https://x.y/a⏎_b_c d", "<u>https://x.y/a</u>⏎<u>_b_c</u> d");
    check("https://x.y/a ⏎_b_ d", "<u>https://x.y/a</u> ⏎<d>_</d><i>b</i><d>_</d> d");
    check("> a **b\n> c** d\n\ne", "<G>></G> a <d>**</d><b>b</b>\n<G>></G> <b>c</b><d>**</d> d\n\ne");
}

#[test]
fn lines_by_their_begin() {
    let check = |text: &str, expected: &str| assert_eq!(styled(text), expected, "{text:?}");
    check("## Two *words*", "<bM>## Two </bM><d>*</d><biM>words</biM><d>*</d>");
    check("####### seven", "####### seven");
    check("- a\n* b\n+ c\n1. d\n10) e", "<G>-</G> a\n<G>*</G> b\n<G>+</G> c\n<G>1.</G> d\n<G>10)</G> e");
    check("  - [ ] a\n  - [x] b", "  <G>-</G> <G>[ ]</G> a\n  <G>-</G> <G>[x]</G> b");
    check("> q\n>> r", "<G>></G> q\n<G>>></G> r");
    check("> - ## h", "<G>></G> <G>-</G> <bM>## h</bM>");
    check("---\n***\n_ _ _", "<d>---</d>\n<d>***</d>\n<d>_ _ _</d>");
    check("title\n===\n===", "title\n<d>===</d>\n===");
    check("| a | **b** |\n|---|:-:|", "<d>|</d> a <d>|</d> <d>**</d><b>b</b><d>**</d> <d>|</d>\n<d>|---|:-:|</d>");
    check("| *a | b |", "<d>|</d> <d>*</d><i>a </i><d>|</d> b <d>|</d>");
    check("a\n\n    x = *y*\n", "a\n\n    x = *y*\n");
    check("- a\n\n    *b*\n", "<G>-</G> a\n\n    <d>*</d><i>b</i><d>*</d>\n");
}

#[test]
fn code_in_fences() {
    let check = |text: &str, expected: &str| assert_eq!(styled(text), expected, "{text:?}");
    check("```\n*a*\n# b\n```\n*c*", "<d>```</d>\n*a*\n# b\n<d>```</d>\n<d>*</d><i>c</i><d>*</d>");
    check("~~~~\n~~~\n```\n~~~~~\n*c*", "<d>~~~~</d>\n~~~\n```\n<d>~~~~~</d>\n<d>*</d><i>c</i><d>*</d>");
    check("```a``` b", "<d>```</d><C>a</C><d>```</d> b");
    check("```rust\nlet x = \"s\"; // c\n```", "<d>```rust</d>\n<M>let</M> x = <G>\"s\"</G>; <d>// c</d>\n<d>```</d>");
    check("```rust\nlet x = \"⏎s\"; // c\n", "<d>```rust</d>\n<M>let</M> x = <G>\"</G>⏎<G>s\"</G>; <d>// c</d>\n");
    check("```py\n'''a\nb'''\n1\n```\n", "<d>```py</d>\n<d>'''a</d>\n<d>b'''</d>\n<R>1</R>\n<d>```</d>\n");
    check(
        "- ```json\n  {\"a\": 1}\n```\n*c*",
        "<G>-</G> <d>```json</d>\n  {<G>\"a\"</G>: <R>1</R>}\n<d>```</d>\n<d>*</d><i>c</i><d>*</d>",
    );
    check(
        "> ```sh\n> # a\n> ```\n> *b*",
        "<G>></G> <d>```sh</d>\n<G>></G> <d># a</d>\n<G>></G> <d>```</d>\n<G>></G> <d>*</d><i>b</i><d>*</d>",
    );
    check("> ```sh\n> # a\n*b*", "<G>></G> <d>```sh</d>\n<G>></G> <d># a</d>\n<d>*</d><i>b</i><d>*</d>");
    check("```diff\n-a\n+b\n c\n", "<d>```diff</d>\n<R>-a</R>\n<G>+b</G>\n c\n");
    check("```text\nlet x = 1;", "<d>```text</d>\nlet x = 1;");
    check("```nosuchlanguage\nlet x = 1;", "<d>```nosuchlanguage</d>\nlet x = 1;");
}

#[test]
fn languages_are_found_by_the_names_that_models_use() {
    let mut grammars = Grammars::default();
    let names = "rust python py js javascript jsx ts typescript tsx json jsonc yaml yml toml ini html css scss xml sql bash sh zsh \
        shell console fish go golang c cpp c++ h java kotlin kt swift ruby rb php perl lua r scala haskell hs \
        elixir erlang clojure dart zig nix dockerfile Dockerfile makefile make cmake diff patch markdown md latex tex graphql \
        protobuf proto terraform hcl csharp cs c# objective-c vue svelte asm nginx vim julia ocaml rust,ignore {.python}";
    let missing: Vec<_> = names.split_whitespace().filter(|name| grammars.code(name).is_none()).collect();
    assert_eq!(missing, [""; 0]);
    for name in ["", "text", "output", "nosuch"] {
        assert!(grammars.code(name).is_none(), "{name:?}");
    }
}

/// syntect panics at a pattern that does not compile: in what models write most there is none. (The whole set takes minutes without
/// optimization; a panic in any of it costs the styles of its block alone.)
#[test]
fn the_patterns_of_the_usual_grammars_compile() {
    const USUAL: &[&str] =
        &["Rust", "Python", "JavaScript", "JSON", "YAML", "TOML", "Go", "C", "SQL", "Diff", "Dockerfile"];
    let builder = two_face::syntax::extra_newlines().into_builder();
    let mut patterns = std::collections::BTreeSet::new();
    let usual: Vec<_> = builder.syntaxes().iter().filter(|grammar| USUAL.contains(&grammar.name.as_str())).collect();
    assert!(usual.len() >= USUAL.len(), "{:?}", usual.iter().map(|grammar| &grammar.name).collect::<Vec<_>>());
    for context in usual.iter().flat_map(|grammar| grammar.contexts.values()) {
        for pattern in &context.patterns {
            if let syntect::parsing::syntax_definition::Pattern::Match(found) = pattern
                && !found.has_captures
            {
                patterns.insert(found.regex.regex_str().to_owned());
            }
        }
    }
    assert!(patterns.len() > 500, "{}", patterns.len());
    let wrong: Vec<_> = patterns.iter().filter(|pattern| Regex::try_compile(pattern).is_some()).collect();
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn long_lines_and_blocks_are_not_highlighted_and_nothing_else_is() {
    let mut markdown = Markdown::default();
    markdown.row("```rust", Some('\n'));
    let mut plain = |line: &str| markdown.row(line, Some('\n')) == Spans::default();
    assert!(!plain("let x = 1;"));
    assert!(plain(&format!("let x = \"{}\";", "y".repeat(code::LINE_BYTES))));
    assert!(!plain("let x = 1;"));
    let line = format!("let x = \"{}\";", "y ".repeat(code::LINE_BYTES / 4));
    while !plain(&line) {}
    assert!(plain("let x = 1;"));
    markdown.row("```", Some('\n'));
    assert_eq!(noted("*a*", &markdown.row("*a*", Some('\n'))), "<d>*</d><i>a</i><d>*</d>");
}

/// Text in which anything may begin or end anywhere.
pub(crate) fn snippets() -> impl Strategy<Value = String> {
    prop::collection::vec(
        prop_oneof![
            3 => "[a-z]{1,9} ",
            1 => prop::sample::select(vec![
                "**", "*", "_", "`", "``", "~~", "[", "](", ")", "\\", "|", "# ", "- ", "> ", "1. ", "    ", "\t", "\n", "\n\n", "---\n",
                "\n```rust\n", "\n```\n", "\n~~~\n", "\n> ```py\n", "```", "let x = \"a b\"; // c\n", "fn f(a: u8) -> u8 { a + 1 }\n",
                "| a | b |\n|---|---|\n", "https://x.y/a_b", "日本語", "é", "'''", "/*", "*/", "===\n", "[ ] ",
            ])
            .prop_map(str::to_owned),
        ],
        0..40,
    )
    .prop_map(|parts| parts.concat())
}

proptest! {
    // Few: grammars are slow without optimization.
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Rows that grow, looked at as often as one likes, come to the same styles; and these cover text, never more than it.
    #[test]
    fn looking_changes_nothing(text in snippets(), size in 1usize..40) {
        let (mut once, mut often) = (Markdown::default(), Markdown::default());
        for line in text.split_inclusive('\n') {
            let mut rest = line.trim_end_matches('\n');
            loop {
                let (row, more) = rest.split_at(rest.ceil_char_boundary(size));
                let next = more.chars().next().or(Some('\n'));
                for (at, _) in row.char_indices() {
                    let spans = often.peek(&row[..at]);
                    prop_assert!(spans.end() <= at);
                }
                let spans = once.row(row, next);
                prop_assert!(spans.end() <= row.len());
                prop_assert!(spans.iter().all(|(end, _)| row.is_char_boundary(end)));
                prop_assert_eq!(&spans, &often.row(row, next));
                rest = more;
                if rest.is_empty() {
                    break;
                }
            }
        }
    }
}
