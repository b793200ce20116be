//! The README is true where a test can tell: commands, options, settings, JSON, limits.

use std::collections::BTreeSet;
use std::fs;

use chatmux::command::{command_names, help_text};
use chatmux::domain::{
    Delta, EndState, EntryId, ErrorKind, Event, FinishReason, Origin, Priority, SessionChange, SessionId, StoredError,
    Usage, limits,
};
use serde_json::Value;

use crate::source::root;

fn readme() -> String {
    fs::read_to_string(root().join("README.md")).unwrap()
}

/// The first code block of that language behind a heading.
fn block(readme: &str, heading: &str, language: &str) -> String {
    let section = readme.split_once(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("no section {heading}")).1;
    let open = format!("\n```{language}\n");
    let block = section.split_once(&open).unwrap_or_else(|| panic!("no {language} block in {heading}")).1;
    block.split_once("\n```").unwrap().0.to_owned()
}

#[test]
fn every_slash_command_is_in_the_reference() {
    let readme = readme();
    // The help itself stands there, so that usage and words cannot go stale.
    let expected = help_text(100);
    let found = block(&readme, "Slash commands", "text");
    assert_eq!(found.trim_end(), expected.trim_end(), "README.md: paste the output of /help, 100 columns wide");
    for (name, _) in command_names() {
        let name = name.trim_start_matches('/');
        assert!(readme.contains(&format!("/{name}")), "/{name} is missing from README.md");
    }
}

#[test]
fn every_option_and_subcommand_is_in_the_reference() {
    let readme = readme();
    let mut definition = chatmux::cli::args::command();
    definition.build();
    for sub in definition.get_subcommands() {
        let name = format!("chatmux {}", sub.get_name());
        assert!(readme.contains(&name), "{name} is missing from README.md");
        for action in sub.get_subcommands() {
            let name = format!("{} {}", sub.get_name(), action.get_name());
            assert!(readme.contains(&name), "{name} is missing from README.md");
        }
    }
    for option in definition.get_arguments().filter_map(|argument| argument.get_long()) {
        assert!(readme.contains(&format!("--{option}")), "--{option} is missing from README.md");
    }
}

#[test]
fn the_configuration_is_the_default_file() {
    let found = block(&readme(), "Configuration", "toml");
    let expected = chatmux::config::DEFAULT_TEXT;
    assert_eq!(found.trim_end(), expected.trim_end(), "README.md: paste src/config/default.toml");
}

/// Every kind of event, with all that it may hold.
fn events() -> Vec<Event> {
    let (session, entry) = (SessionId(1), EntryId(41));
    let error = StoredError { kind: ErrorKind::Overloaded, status: Some(503), text: String::new(), request_id: None };
    vec![
        Event::Session {
            session,
            name: "main".parse().unwrap(),
            model: "demo:tour".parse().unwrap(),
            change: SessionChange::Created,
        },
        Event::Queued { session, entry, priority: Priority::Normal, origin: Origin::Script, ahead: 2 },
        Event::Started { session, entry, attempt: 1 },
        Event::Delta { session, entry, delta: Delta::Text(String::new()) },
        Event::Delta { session, entry, delta: Delta::Reasoning(String::new()) },
        Event::Progress { session, entry, silent_ms: 30_000, alive: true },
        Event::Retry { session, entry, attempt: 2, of: 5, in_ms: 1_500, error },
        Event::Finished {
            session,
            entry,
            state: EndState::Complete,
            finish: None,
            text: String::new(),
            seams: Vec::new(),
            tokens: Usage::default(),
            wait_ms: 0,
            first_ms: None,
            total_ms: 97,
            error: None,
        },
        Event::Idle { session },
        Event::Result { command: String::new(), data: Value::Null },
        Event::Notice { text: String::new() },
        Event::Error { line: Some(7), text: String::new() },
    ]
}

fn members(value: &Value) -> BTreeSet<String> {
    value.as_object().map(|object| object.keys().cloned().collect()).unwrap_or_default()
}

#[test]
fn the_json_lines_are_those_of_the_program() {
    let shown: Vec<Value> =
        block(&readme(), "JSON", "json").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let made: Vec<Value> = events().iter().map(|event| serde_json::to_value(event).unwrap()).collect();
    for event in &made {
        let found = shown.iter().any(|line| line["event"] == event["event"] && members(line) == members(event));
        assert!(found, "README.md shows no line with the members of {event}");
    }
    for line in &shown {
        let found = made.iter().any(|event| line["event"] == event["event"] && members(line) == members(event));
        assert!(found, "README.md shows a line that chatmux does not write: {line}");
    }
}

#[test]
fn every_word_of_the_json_lines_is_explained() {
    let readme = readme();
    let section = readme.split_once("\n## JSON\n").unwrap().1.split_once("\n## ").unwrap().0;
    let words = ErrorKind::ALL.iter().map(|kind| kind.as_str());
    let words = words.chain(EndState::ALL.iter().map(|state| state.as_str()));
    let words = words.chain(FinishReason::ALL.iter().map(|reason| reason.as_str()));
    let words = words.chain(SessionChange::ALL.iter().map(|change| change.as_str()));
    for word in words.chain(Origin::ALL.iter().map(|o| o.as_str())).chain(Priority::ALL.iter().map(|p| p.as_str())) {
        assert!(section.contains(&format!("`{word}`")), "`{word}` is missing from the JSON section of README.md");
    }
}

#[test]
fn the_limits_are_those_of_the_program() {
    let readme = readme();
    let section = readme.split_once("\n## Limits\n").unwrap().1.split_once("\n## ").unwrap().0;
    let mib = |bytes: usize| format!("{} MiB", bytes >> 20);
    let figures = [
        limits::MAX_PENDING.to_string(),
        "10,000".to_owned(),
        mib(limits::MAX_MESSAGE_BYTES),
        mib(limits::MAX_ANSWER_BYTES),
        mib(limits::REPLAY_BUFFER_BYTES),
        mib(limits::MAX_SCRIPT_LINE_BYTES),
        "1,000".to_owned(),
        format!("{} KiB", limits::MAX_HISTORY_LINE_BYTES >> 10),
        format!("{} characters", limits::MAX_NAME_CHARS),
        format!("{} ms", limits::CHECKPOINT_INTERVAL.as_millis()),
        format!("{} KiB", limits::CHECKPOINT_BYTES >> 10),
    ];
    assert_eq!((limits::MAX_PENDING_TOTAL, limits::MAX_HISTORY_LINES), (10_000, 1_000));
    for figure in figures {
        assert!(section.contains(&format!("| {figure} |")), "{figure} is missing from the limits in README.md");
    }
}
