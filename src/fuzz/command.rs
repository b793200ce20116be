//! The command parser: lines that mean something known, lines with a slip of the finger in them, and anything else.

use std::time::Duration;

use proptest::prelude::*;

use super::fuzz;
use crate::command::{
    AttachChange, AutoChange, Command, CommandError, Line, Place, Requeued, Scope, Subject, SwitchTo, SystemChange,
    Targets, UnknownCommand, Wanted, as_line, command_names, complete, file_name, hint, is_command, mentioned, parse,
    written_file_name,
};
use crate::domain::time::format_duration;
use crate::domain::{EntryId, Priority, SessionName, SessionRef};

/// Any text, and what lines are made of: it may hold line ends, for a pasted line does.
fn texts() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        6 => prop::sample::select(vec![
            "/", "//", " ", "\t", "\n", "\r", "\0", "-", "--", "--max", "--max=", "--timeout", "=", ",", "#", "#4", "41", "all", "off", "0",
            "99999999999999999999", "@", "\\", "\\ ", "\"", "'", "é", "日", "\u{1f600}", "e\u{301}", "\u{202e}", "\u{a0}", "\u{2028}", "\u{3000}",
            "\u{feff}", "\u{85}", "1s", "notify", "default", "before", "high", "x",
        ]).prop_map(str::to_owned),
        2 => prop::sample::select(command_names().map(|(name, _)| name.to_owned()).collect::<Vec<_>>()),
        1 => any::<String>(),
        1 => any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(piece, 0..14).prop_map(|pieces| pieces.concat())
}

fn lines() -> impl Strategy<Value = String> {
    let name = prop::sample::select(command_names().map(|(name, _)| name).collect::<Vec<_>>());
    prop_oneof![
        3 => (name, texts()).prop_map(|(name, rest)| format!("/{name} {rest}")),
        2 => texts(),
        1 => texts().prop_map(|rest| format!("/{rest}")),
        1 => (texts(), 1usize..3_000).prop_map(|(piece, count)| format!("/drop {}", piece.repeat(count))),
    ]
}

/// Whatever the line is, it is one of message, command and error by how it begins, and errors are for people.
#[test]
fn fuzz_any_line() {
    fuzz("any line", 400, &lines(), |line| {
        let parsed = parse(&line);
        match &parsed {
            Ok(Line::Blank) => assert!(line.trim().is_empty()),
            Ok(Line::Message(text)) => {
                assert!(!is_command(&line));
                assert_eq!(text, line.strip_prefix('/').unwrap_or(&line), "a message is verbatim");
                assert_eq!(parse(&as_line(text)), parsed, "the way back");
            }
            Ok(Line::Command(_)) => assert!(is_command(&line)),
            Err(error) => {
                let text = error.to_string();
                assert!(is_command(&line), "{text}");
                assert!(!text.contains(char::is_control) && text.chars().count() < 600, "{text:?}");
            }
        }
        let doubled = Ok(Line::Message(format!("/{line}")));
        assert_eq!(parse(&format!("//{line}")), doubled);
        let _ = mentioned(&line).count();
    });
}

/// What is completed lies before the cursor, wherever that is, and typing it ahead changes nothing behind.
#[test]
fn fuzz_completion() {
    let inputs = (lines(), any::<u16>());
    fuzz("completion", 400, &inputs, |(line, at)| {
        let line: String = line.chars().take(200).collect();
        assert!(hint(&line).is_none_or(|hint| !hint.is_empty() && !hint.contains(char::is_control)));
        let cursors = (0..=line.len() + 2).filter(|cursor| line.len() < 60 || cursor % 7 == usize::from(at) % 7);
        for cursor in cursors {
            let (found, end) = (complete(&line, cursor), line.floor_char_boundary(cursor));
            assert!(found.start <= end && line.is_char_boundary(found.start), "{found:?}");
            let replaced = &line[found.start..end];
            if found.what == Wanted::Nothing {
                assert_eq!((found.prefix.as_str(), replaced), ("", ""), "{cursor}");
            } else {
                assert_eq!(found.prefix, replaced, "{cursor}");
            }
            assert_eq!(complete(&line[..end], end), found, "what stands behind the cursor is not looked at");
        }
    });
}

/// A word one slip away from a name.
fn slipped(name: &str, at: usize, letter: char, how: usize) -> String {
    let mut letters: Vec<char> = name.chars().collect();
    let at = at % letters.len();
    match how % 4 {
        0 => letters[at] = letter,
        1 => letters.insert(at, letter),
        2 => drop(letters.remove(at)),
        _ => letters.swap(at.saturating_sub(1), at.max(1)),
    }
    letters.into_iter().collect()
}

/// The least number of letters to change, insert, or take away.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut corner = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let least = (corner + usize::from(x != *y)).min(row[j] + 1).min(row[j + 1] + 1);
            corner = std::mem::replace(&mut row[j + 1], least);
        }
    }
    row[b.len()]
}

/// A mistyped command is an error that names what is as near as what was meant; it is never sent.
#[test]
fn fuzz_slips() {
    let name = prop::sample::select(command_names().map(|(name, _)| name).collect::<Vec<_>>());
    let inputs = (name, any::<usize>(), "[a-zé]", 0usize..4, texts());
    fuzz("slips", 400, &inputs, |(name, at, letter, how, rest)| {
        let word = slipped(name, at, letter.chars().next().unwrap_or('x'), how);
        let is_name = command_names().any(|(name, _)| name == word);
        if word.is_empty() || is_name {
            return;
        }
        let Err(CommandError::Unknown(UnknownCommand { name: said, nearest })) = parse(&format!("/{word} {rest}"))
        else {
            panic!("/{word} is no error");
        };
        assert_eq!(said, word);
        let all = || command_names().map(|(other, _)| distance(&word, other));
        let least = all().min().unwrap();
        assert!((1..=3).contains(&nearest.len()), "{nearest:?}");
        // Two letters that changed places are one slip, though here they are two changed ones.
        let slips = |near: &str| distance(&word, near);
        assert!(nearest.iter().all(|near| slips(near) <= 2), "{word}: {nearest:?}");
        assert!(nearest.contains(&name) || nearest.len() == 3 || least < slips(name).max(2), "{word}: {nearest:?}");
    });
}

fn names() -> impl Strategy<Value = SessionName> {
    "[a-zA-Zé日#_.:=+0-9][a-z0-9é日\u{1f600}#_.:=/-]{0,12}".prop_filter_map("no name", |text| text.parse().ok())
}

fn sessions() -> impl Strategy<Value = SessionRef> {
    prop_oneof![
        (1i64..1_000_000).prop_map(|id| SessionRef::Id(crate::domain::SessionId(id))),
        names().prop_map(SessionRef::Name),
    ]
}

/// A line and what it means.
type Meant = (String, Command);

fn of_sessions() -> impl Strategy<Value = Meant> {
    let ids = || prop::collection::btree_set(1i64..100_000, 1..5);
    let blank = || prop::sample::select(vec![" ", "  ", "\t", " \t "]);
    prop_oneof![
        (names(), blank()).prop_map(|(name, b)| (format!("/new{b}{name}"), Command::New { name: Some(name) })),
        (sessions(), blank())
            .prop_map(|(to, b)| (format!("/switch{b}{to}{b}"), Command::Switch { to: SwitchTo::Session(to) })),
        (1i64..1_000_000).prop_map(|id| {
            let to = SwitchTo::Session(SessionRef::Id(crate::domain::SessionId(id)));
            (format!("/{id}"), Command::Switch { to })
        }),
        sessions().prop_map(|session| (format!("/delete {session}"), Command::Delete { session })),
        sessions().prop_map(|one| (format!("/queue {one}"), Command::Queue { scope: Some(Scope::One(one)) })),
        (ids(), blank()).prop_map(|(ids, b)| {
            let words: String = ids.iter().map(|id| format!("{b}{}{id}", if id % 2 == 0 { "#" } else { "" })).collect();
            (format!("/drop{words}"), Command::Drop { entries: ids.into_iter().map(EntryId).collect() })
        }),
        ids().prop_map(|ids| {
            let words: String = ids.iter().map(|id| format!(" #{id}")).collect();
            let what = Subject::Entries(ids.into_iter().map(EntryId).collect());
            (format!("/hold{words}"), Command::Hold { what })
        }),
        ids().prop_map(|ids| {
            let words: String = ids.iter().map(|id| format!(" {id}")).collect();
            let which = Requeued::These(ids.into_iter().map(EntryId).collect());
            (format!("/requeue{words}"), Command::Requeue { which })
        }),
        (1i64..100, 1i64..100, any::<bool>()).prop_map(|(entry, beside, before)| {
            let (word, place) = if before { ("before", Place::Before) } else { ("after", Place::After) };
            let (e, b) = (EntryId(entry), EntryId(beside));
            (format!("/move #{entry} {word} {beside}"), Command::Move { entry: e, place, beside: b })
        }),
        (1i64..100, prop::sample::select(Priority::ALL)).prop_map(|(entry, priority)| {
            (format!("/priority {entry} {priority}"), Command::Priority { entry: EntryId(entry), priority })
        }),
    ]
}

fn of_texts() -> impl Strategy<Value = Meant> {
    let text = || texts().prop_filter("no text", |text| !text.trim().is_empty());
    let ms = || (0u64..100_000_000).prop_map(Duration::from_millis);
    let word = "[a-zé日.:!?][a-z-]{0,8}";
    prop_oneof![
        text().prop_map(|text| (format!("/bg {text}"), Command::Bg { text })),
        text().prop_map(|text| (format!("/now\n{text}"), Command::Now { text })),
        text().prop_map(|text| (format!("/later\t{text}"), Command::Later { text })),
        text().prop_map(|text| (format!("  /echo {text}"), Command::Echo { text })),
        text().prop_map(|text| {
            let clear = text.trim() == "-";
            let change = if clear { SystemChange::Clear } else { SystemChange::Set(text.clone()) };
            (format!("/system {text}"), Command::System { change })
        }),
        (prop::collection::vec(sessions(), 1..5), text()).prop_map(|(mut to, text)| {
            let words: Vec<String> = to.iter().map(ToString::to_string).collect();
            let mut seen: Vec<SessionRef> = Vec::new();
            to.retain(|one| {
                !seen.contains(one) && {
                    seen.push(one.clone());
                    true
                }
            });
            (format!("/send {} {text}", words.join(",")), Command::Send { to: Targets::Some(to), text })
        }),
        (prop::option::of(1u32..), prop::option::of(word), prop::option::of(ms()), text()).prop_filter_map(
            "an option in the text",
            |(max_turns, until, max_time, text)| {
                // What looks like an option at its beginning is taken for a mistyped one, and `off` alone ends it.
                let free = max_turns.is_none() && until.is_none() && max_time.is_none();
                let begin = text.split_whitespace().next()?;
                if begin.starts_with("--") || (free && text.trim() == "off") {
                    return None;
                }
                let mut line = "/auto".to_owned();
                max_turns.iter().for_each(|max| line += &format!(" --max {max}"));
                until.iter().for_each(|word| line += &format!(" --until={word}"));
                max_time.iter().for_each(|time| line += &format!(" --for {}", format_duration(*time)));
                let change = AutoChange::Begin { text: text.clone(), max_turns, until, max_time };
                Some((format!("{line} {text}"), Command::Auto { change }))
            },
        ),
        (ms(), prop::option::of(sessions())).prop_map(|(length, one)| {
            let scope = one.as_ref().map(|one| format!(" {one}")).unwrap_or_default();
            let line = format!("/wait --timeout {}{scope}", format_duration(length));
            (line, Command::Wait { scope: one.map(Scope::One), timeout: Some(length) })
        }),
        ms().prop_map(|length| (format!("/sleep {}", format_duration(length)), Command::Sleep { length })),
    ]
}

#[test]
fn fuzz_meant_lines() {
    let inputs = prop_oneof![of_sessions(), of_texts()];
    fuzz("meant lines", 600, &inputs, |(line, command)| {
        let name = command.name();
        assert_eq!(parse(&line), Ok(Line::Command(command)), "{line:?}");
        assert!(command_names().any(|(known, _)| known == name));
    });
}

/// Names of files as they are to be written are read as they were meant.
#[test]
fn fuzz_file_names() {
    let name = texts().prop_filter("no name", |name| !name.is_empty());
    fuzz("file names", 400, &prop::collection::vec(name, 1..5), |names| {
        let written: Vec<String> = names.iter().map(|name| written_file_name(name)).collect();
        for (name, written) in names.iter().zip(&written) {
            assert_eq!(&file_name(written), name);
        }
        let mut files: Vec<String> = Vec::new();
        names.into_iter().for_each(|name| {
            if !files.contains(&name) {
                files.push(name)
            }
        });
        let change = AttachChange::Files(files);
        let line = format!("/attach {}", written.join(" "));
        assert_eq!(parse(&line), Ok(Line::Command(Command::Attach { change })), "{line:?}");
    });
}
