//! `completions/` is what the command line's definition makes, and the man page can be made from it. With
//! `CHATMUX_UPDATE=1` the files are written anew instead.

use std::fs;
use std::path::Path;

use chatmux::cli::args::{command, render_completions, render_man};
use clap::ValueEnum;
use clap_complete::{Generator, Shell};

/// Set to anything: write the files.
const UPDATE: &str = "CHATMUX_UPDATE";

#[test]
fn the_completions_are_fresh() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("completions");
    for shell in Shell::value_variants() {
        let path = folder.join(shell.file_name("chatmux"));
        let script = String::from_utf8(render_completions(*shell)).unwrap();
        if std::env::var_os(UPDATE).is_some() {
            fs::create_dir_all(&folder).unwrap();
            fs::write(&path, script).unwrap();
            continue;
        }
        let kept = fs::read_to_string(&path).unwrap_or_default();
        // Not assert_eq: two scripts of a thousand lines say nothing.
        assert!(kept == script, "{} is stale: run {UPDATE}=1 cargo test --test completions", path.display());
    }
}

#[test]
fn no_other_file_lies_there() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("completions");
    let expected: Vec<_> = Shell::value_variants().iter().map(|shell| shell.file_name("chatmux")).collect();
    for entry in fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(expected.contains(&name), "completions/{name} belongs to no shell");
    }
}

#[test]
fn the_man_page_has_options_and_exit_codes() {
    let page = String::from_utf8(render_man()).unwrap();
    for part in [
        ".TH chatmux 1",
        "CHATMUX_DB",
        "fail\\-fast",
        "EXIT STATUS",
        "131/143",
        "config init",
        "queue",
        "\\-\\-dead",
        "<SHELL>",
    ] {
        assert!(page.contains(part), "{part} is missing: {page}");
    }
}

#[test]
fn the_definition_is_sound() {
    command().debug_assert();
}
