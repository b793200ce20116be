//! The layers: who may name whom, and which other crates, locks and streams each may touch. The table in `src/lib.rs` says it
//! for people; this one is what holds.

use std::collections::BTreeSet;
use std::fs;

use crate::source::{Source, root, sources};

/// A top-level module.
struct Module {
    name: &'static str,
    layer: u8,
    /// Other crates that it may name.
    crates: &'static [&'static str],
}

const fn module(name: &'static str, layer: u8, crates: &'static [&'static str]) -> Module {
    Module { name, layer, crates }
}

/// Imports point to a lower layer only; `app` puts everything together.
const MODULES: &[Module] = &[
    module("domain", 0, &["serde", "serde_json", "thiserror", "unicode_normalization"]),
    module("command", 1, &["clap", "strsim", "thiserror", "unicode_width"]),
    module("queue", 1, &["thiserror"]),
    module(
        "store",
        1,
        &[
            "futures_util",
            "hdrhistogram",
            "jiff",
            "nix",
            "rusqlite",
            "rusqlite_migration",
            "thiserror",
            "tokio",
            "tracing",
        ],
    ),
    module(
        "provider",
        1,
        &[
            "bytes",
            "futures_util",
            "httpdate",
            "hyper_util",
            "nix",
            "reqwest",
            "rustls",
            "serde",
            "serde_json",
            "memchr",
            "strsim",
            "thiserror",
            "tokio",
            "tracing",
        ],
    ),
    module("worker", 2, &["futures_util", "tokio", "tokio_util", "tracing"]),
    module("coordinator", 3, &["futures_util", "serde", "serde_json", "thiserror", "tokio", "tokio_util", "tracing"]),
    module(
        "ui",
        4,
        &[
            "anstream",
            "nix",
            "owo_colors",
            "rustyline",
            "syntect",
            "tempfile",
            "terminal_size",
            "thiserror",
            "tokio",
            "tracing",
            "two_face",
            "unicode_segmentation",
            "unicode_width",
        ],
    ),
    module("execute", 4, &["serde_json", "thiserror", "tokio", "tracing", "unicode_width"]),
    module("repl", 5, &["tokio", "tracing"]),
    module("script", 5, &["futures_util", "serde", "serde_json", "thiserror", "tokio", "tokio_util", "tracing"]),
    module("cli", 5, &["clap", "clap_complete", "clap_mangen"]),
    module("logging", 5, &["tracing_subscriber"]),
    module("config", 6, &["directories", "nix", "serde_json", "strsim", "thiserror", "toml"]),
    module(
        "app",
        6,
        &["anstream", "anyhow", "clap", "fastrand", "jiff", "nix", "serde_json", "tokio", "tokio_util", "tracing"],
    ),
];

/// `config` stands beside `app` and yet knows only what it makes.
const CONFIG_MAY_NAME: [&str; 2] = ["domain", "provider"];

/// The only file with a lock: the two threads of the terminal meet there. Its state is the terminal's, not the program's.
const LOCK_FILE: &str = "src/ui/gate.rs";

/// Where something is made once and then only read: HTTP clients, and the terminal's modes as they were.
const MADE_ONCE_FILES: [&str; 2] = ["src/provider/", "src/ui/guard.rs"];

/// Where the environment is read.
const ENVIRONMENT_FILES: [&str; 4] =
    ["src/app/", "src/provider/key_command.rs", "src/provider/proxies.rs", "src/provider/secrets.rs"];

/// Where stdout and stderr are named.
const STREAM_FILES: [&str; 3] = ["src/app/", "src/ui/", "src/script/writer.rs"];

fn names() -> BTreeSet<&'static str> {
    MODULES.iter().map(|module| module.name).collect()
}

fn find(name: &str) -> &'static Module {
    let found = MODULES.iter().find(|module| module.name == name);
    found.unwrap_or_else(|| panic!("src/{name} has no layer: give it one here, in {} and in src/lib.rs", file!()))
}

/// The real sources of the library's modules.
fn library() -> impl Iterator<Item = Source> {
    sources(&["src"]).into_iter().filter(|s| !s.is_test && s.path != "src/lib.rs" && s.path != "src/main.rs")
}

#[test]
fn imports_point_down_only() {
    let names = names();
    let mut wrong = Vec::new();
    for source in library() {
        let own = find(source.module());
        for (name, line) in source.modules_named(&names) {
            if name == own.name || name == "crate" {
                continue;
            }
            let other = find(&name);
            let allowed = match own.name {
                "app" => true,
                "config" => CONFIG_MAY_NAME.contains(&other.name),
                _ => other.layer < own.layer,
            };
            if !allowed {
                let (from, to) = (own.layer, other.layer);
                wrong.push(format!("{}:{line}: {} (layer {from}) names {name} (layer {to})", source.path, own.name));
            }
        }
    }
    assert!(wrong.is_empty(), "imports that point up or aside:\n{}", wrong.join("\n"));
}

#[test]
fn each_module_has_a_layer_and_a_row_in_the_docs() {
    let lib = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let declared: BTreeSet<&str> =
        lib.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    assert_eq!(declared, names());
    for module in MODULES {
        let row = lib.lines().find(|line| {
            let cell = |cell: &str| cell.contains(&format!("[`{}`]", module.name));
            line.starts_with(&format!("//! | {} |", module.layer)) && line.split('|').nth(2).is_some_and(cell)
        });
        assert!(row.is_some(), "{} is missing from row {} of the layers in src/lib.rs", module.name, module.layer);
    }
}

/// The lines under a heading of `Cargo.toml` that name a dependency.
fn rows(heading: &str) -> Vec<String> {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let section = manifest.split_once(&format!("\n[{heading}]\n")).unwrap().1;
    let rows = section.lines().take_while(|line| !line.starts_with('['));
    rows.filter(|row| row.contains(" = ") && !row.starts_with('#')).map(str::to_owned).collect()
}

/// The dependencies under a heading, as code writes them.
fn dependencies(heading: &str) -> BTreeSet<String> {
    let name = |row: &String| row.split_once(" = ").unwrap().0.replace('-', "_");
    rows(heading).iter().map(name).collect()
}

#[test]
fn each_layer_touches_only_its_crates() {
    let known = dependencies("dependencies");
    let mut wrong = Vec::new();
    for source in library() {
        let own = find(source.module());
        let code = source.real_code();
        for name in source.path_roots(&code).intersection(&known) {
            if !own.crates.contains(&name.as_str()) {
                wrong.push(format!("{}: {} has nothing to do with {name}", source.path, own.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_dependency_is_used_and_says_why() {
    let all = sources(&["src", "tests", "benches"]);
    let used_in = |real: bool| -> BTreeSet<String> {
        all.iter().flat_map(|s| s.path_roots(&if real { s.real_code() } else { s.code.clone() })).collect()
    };
    let unused = |heading, used: BTreeSet<String>| dependencies(heading).difference(&used).cloned().collect::<Vec<_>>();
    assert_eq!(unused("dependencies", used_in(true)), [""; 0], "no code uses these");
    assert_eq!(unused("dev-dependencies", used_in(false)), [""; 0], "no test uses these");
    let all_rows = [rows("dependencies"), rows("dev-dependencies")].concat();
    let silent: Vec<_> = all_rows.iter().filter(|row| !row.contains(" # ")).collect();
    assert_eq!(silent, [""; 0], "each dependency says in its line what it is for");
}

/// What no file may hold, but those named.
fn only_in(allowed: &[&str], what: &[&str], why: &str) {
    let mut wrong = Vec::new();
    for source in sources(&["src"]).into_iter().filter(|source| !source.is_test) {
        if allowed.iter().any(|path| source.path.starts_with(path)) {
            continue;
        }
        let code = source.real_code();
        for what in what {
            let starts = |at: &usize| !code[..*at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
            for at in code.match_indices(what).map(|(at, _)| at).filter(starts) {
                wrong.push(format!("{}:{}: {what}", source.path, source.line_at(at)));
            }
        }
    }
    assert!(wrong.is_empty(), "{why}:\n{}", wrong.join("\n"));
}

#[test]
fn nothing_locks_the_programs_state() {
    let locks = ["Mutex", "RwLock", "OnceLock", "LazyLock", "static mut"];
    only_in(&[LOCK_FILE], &locks[..2], "state has one owner, reached by messages");
    only_in(&MADE_ONCE_FILES, &locks[2..], "what is made once is no program state");
}

#[test]
fn every_channel_is_bounded() {
    let unbounded = ["unbounded_channel", "unbounded(", "std_mpsc::channel", "std::sync::mpsc::channel"];
    only_in(&[], &unbounded, "a channel has a bound, and it has a name");
}

#[test]
fn the_environment_is_read_at_the_edge() {
    let reads = ["env::var", "env::vars", "env::args", "env::temp_dir", "env::home_dir", "env::current_dir"];
    only_in(&ENVIRONMENT_FILES, &reads, "the environment is an argument");
}

#[test]
fn nothing_prints_but_the_printer_and_the_writer() {
    only_in(&[], &["println!", "print!", "eprintln!", "eprint!", "dbg!"], "print macros are not used");
    only_in(&STREAM_FILES, &["io::stdout(", "io::stderr("], "stdout and stderr have their owners");
}
