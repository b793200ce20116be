//! The house rules as tests: what is written down about the sources, the schema and the README is so, or these fail.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod layers;
mod readme;
mod source;

use std::fs;

use source::{files_below, root, sources};

/// Lines of a file, without its tests. A longer one is two things.
const MAX_FILE_LINES: usize = 450;
/// Lines of a function.
const MAX_FUNCTION_LINES: usize = 75;

/// Every migration with the FNV-1a hash of its text. A released one never changes: what is wrong in it is mended by the next.
const MIGRATIONS: &[(&str, u64)] = &[
    ("0001_sessions_queue_messages.sql", 0xc5f2_34fa_a572_feba),
    ("0002_queue.sql", 0xd470_ee6a_b5f7_3e9f),
    ("0003_cheaper_checks.sql", 0xe34b_b675_80a7_4bda),
    ("0004_settings_attachments.sql", 0x24da_5038_6cd5_55d9),
    ("0005_history.sql", 0xcd37_6766_7ac8_2809),
    ("0006_leases.sql", 0xd476_78ef_2422_183b),
    ("0007_chunk_log.sql", 0x6738_fd4c_dee9_7e6f),
    ("0008_finish_reasons.sql", 0x8033_8486_9520_6626),
    ("0009_gates_by_model.sql", 0x847c_f407_81a8_5c16),
];

#[test]
fn files_and_functions_are_short() {
    let mut wrong = Vec::new();
    for source in sources(&["src", "tests", "benches"]) {
        let lines = source.real_lines();
        if lines > MAX_FILE_LINES {
            wrong.push(format!("{}: {lines} lines", source.path));
        }
        for (name, at, lines) in source.functions() {
            if lines > MAX_FUNCTION_LINES {
                wrong.push(format!("{}:{at}: {name} has {lines} lines", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "too long, to be split:\n{}", wrong.join("\n"));
}

#[test]
fn every_file_says_what_it_is_for() {
    let all = sources(&["src", "tests", "benches"]);
    assert!(all.len() > 50, "the sources were not found");
    let silent: Vec<_> =
        all.iter().filter(|source| !source.text.starts_with("//! ")).map(|s| s.path.as_str()).collect();
    assert_eq!(silent, [""; 0], "these do not begin with //!");
}

fn fnv_1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[test]
fn released_migrations_never_change() {
    let found = files_below(&root().join("migrations"));
    let found: Vec<_> = found.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(found, MIGRATIONS.iter().map(|(name, _)| *name).collect::<Vec<_>>(), "pin each migration here");
    let steps = fs::read_to_string(root().join("src/store/open.rs")).unwrap();
    for (nth, (name, pinned)) in MIGRATIONS.iter().enumerate() {
        assert!(name.starts_with(&format!("{:04}_", nth + 1)), "{name}: numbers have no gaps");
        assert!(steps.contains(&format!("migrations/{name}")), "{name} is not among the store's steps");
        let hash = fnv_1a(&fs::read(root().join("migrations").join(name)).unwrap());
        assert_eq!(hash, *pinned, "{name} has changed ({hash:#018x}): a released one stays, add another");
    }
}

#[test]
fn nothing_is_left_to_do_and_no_machine_is_named() {
    // In pieces, so that this file does not find itself.
    let words =
        ["TO|DO", "FIX|ME", "X|XX", "/ro|ot/", "/wo|rk/", "/ho|me/", "/Us|ers/"].map(|word| word.replace('|', ""));
    let mut wrong = Vec::new();
    for path in files_below(root()) {
        let Ok(text) = fs::read_to_string(&path) else { continue };
        for (nth, line) in text.lines().enumerate() {
            if let Some(word) = words.iter().find(|word| line.contains(word.as_str())) {
                wrong.push(format!("{}:{}: {word}", path.strip_prefix(root()).unwrap().display(), nth + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
