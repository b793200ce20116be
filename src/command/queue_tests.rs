//! Tables of lines on the queue and the auto-reply, and what they mean.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::domain::{EntryId, Priority};

fn error(line: &str) -> String {
    match parse(line) {
        Err(e) => e.to_string(),
        Ok(line) => panic!("{line:?} is no error"),
    }
}

#[test]
fn commands_of_the_queue_are_read_as_their_types() {
    let check = |line: &str, expected: Command| {
        assert_eq!(parse(line), Ok(Line::Command(expected.clone())), "{line:?}");
        assert_eq!(line[1..].split_whitespace().next(), Some(expected.name()), "{line:?}");
    };
    let one = |name: &str| Some(Scope::One(name.parse().unwrap()));
    let entries = |numbers: &[i64]| numbers.iter().copied().map(EntryId).collect::<Vec<_>>();
    let moved = |place| Command::Move { entry: EntryId(42), place, beside: EntryId(40) };
    check("/move 42 before 40", moved(Place::Before));
    check("/move #42  after\t#40 ", moved(Place::After));
    for priority in Priority::ALL.iter().copied() {
        check(&format!("/priority #41 {priority}"), Command::Priority { entry: EntryId(41), priority });
    }
    let hold = |what| Command::Hold { what };
    let resume = |what| Command::Resume { what };
    check("/hold", hold(Subject::Sessions(None)));
    check("/hold 3", hold(Subject::Sessions(one("3"))));
    check("/hold #docs", hold(Subject::Sessions(one("#docs"))));
    check("/hold #41", hold(Subject::Entries(entries(&[41]))));
    check("/hold #41 #7  #41", hold(Subject::Entries(entries(&[41, 7]))));
    check("/resume", resume(Subject::Sessions(None)));
    check("/resume all", resume(Subject::Sessions(Some(Scope::All))));
    check("/resume docs", resume(Subject::Sessions(one("docs"))));
    check("/resume #41 #42", resume(Subject::Entries(entries(&[41, 42]))));
    check("/dead", Command::Dead { scope: None });
    check("/dead all", Command::Dead { scope: Some(Scope::All) });
    check("/requeue all", Command::Requeue { which: Requeued::All });
    check("/requeue 39 #40 39", Command::Requeue { which: Requeued::These(entries(&[39, 40])) });
    check("/continue", Command::Continue);
    check("/retry", Command::Retry);
    check("/undo", Command::Undo);
    check("/edit", Command::Edit);
    check("/stats", Command::Stats { scope: None });
    check("/stats 2", Command::Stats { scope: one("2") });
}

#[test]
fn a_message_that_is_taken_back_is_a_line_that_means_it() {
    for message in ["hello", "two\nrows", " blank before", "/etc/hosts", "//x", "a /b", "", " //x"] {
        let line = as_line(message);
        match parse(&line) {
            Ok(Line::Message(again)) => assert_eq!(again, message, "{line:?}"),
            other => assert!(message.is_empty() && other == Ok(Line::Blank), "{line:?}: {other:?}"),
        }
    }
    assert_eq!(parse(&as_line("  /x")), Ok(Line::Message("/x".into())));
}

#[test]
fn auto_shows_begins_and_ends() {
    let check = |line: &str, change: AutoChange| {
        assert_eq!(parse(line), Ok(Line::Command(Command::Auto { change })), "{line:?}");
    };
    let begin = |words: &str, max_turns: Option<u32>, until: Option<&str>, seconds: Option<u64>| AutoChange::Begin {
        text: words.to_owned(),
        max_turns,
        until: until.map(str::to_owned),
        max_time: seconds.map(Duration::from_secs),
    };
    check("/auto", AutoChange::Show);
    check("/auto  ", AutoChange::Show);
    check("/auto off", AutoChange::Off);
    check("/auto off ", AutoChange::Off);
    check("/auto off please", begin("off please", None, None, None));
    check("/auto OFF", begin("OFF", None, None, None));
    check("/auto go on", begin("go on", None, None, None));
    check("/auto --max 3 go on", begin("go on", Some(3), None, None));
    check("/auto --max=3 off", begin("off", Some(3), None, None));
    check("/auto --until DONE go  on ", begin("go  on ", None, Some("DONE"), None));
    let all = "/auto --for 10m --until=DONE. --max 2 \"go\" --max 3";
    check(all, begin("\"go\" --max 3", Some(2), Some("DONE."), Some(600)));
    check("/auto --- and on", begin("--- and on", None, None, None));
    check("/auto - -x", begin("- -x", None, None, None));
    assert_eq!(
        error("/auto --max 3"),
        "/auto needs a text: /auto [--max N] [--until WORD] [--for DURATION] [TEXT|off]"
    );
    let usage = "/auto [--max N] [--until WORD] [--for DURATION] [TEXT|off]";
    assert_eq!(error("/auto --mx 3 go on"), format!("/auto has no option --mx: {usage}"));
    assert_eq!(error("/auto --until"), format!("/auto needs a word behind --until: {usage}"));
    assert_eq!(error("/auto --max 1 --max 2 go"), "/auto: --max stands twice");
    assert_eq!(error("/auto --max 0 go"), "/auto: \"0\" is no count: write a number from 1 to 4294967295");
    let duration = "is no duration: write a number and a unit, such as 800ms, 1.5s, 2m or 1h";
    assert_eq!(error("/auto --for soon go"), format!("/auto: \"soon\" {duration}"));
}

#[test]
fn what_the_queue_cannot_do_says_why_in_one_line() {
    let check = |line: &str, expected: &str| assert_eq!(error(line), expected, "{line:?}");
    check("/move", "/move needs an entry's number and before or after and an entry's number: /move ID before|after ID");
    check("/move 41 before", "/move needs an entry's number: /move ID before|after ID");
    check("/move 41 behind 42", "/move: \"behind\" is none of before, after");
    check("/move 41 after 42 43", "/move has no place for \"43\": /move ID before|after ID");
    check("/priority 41", "/priority needs a priority: /priority ID high|normal|low");
    check("/priority 41 urgent", "/priority: \"urgent\" is none of high, normal, low");
    check("/hold 1 2", "/hold has no place for \"2\": /hold [N|#ID…]");
    check("/hold 1 #2", "/hold has no place for \"#2\": /hold [N|#ID…]");
    check("/hold #2 1", "/hold has no place for \"1\": /hold [N|#ID…]");
    check("/hold #2 #docs", "/hold has no place for \"#docs\": /hold [N|#ID…]");
    check("/hold all", "/hold: \"all\" cannot be a session's name: it would be read as something else");
    check("/hold #", "/hold: \"#\" is no entry: write its number, such as 41 or #41");
    check("/resume all #41", "/resume has no place for \"#41\": /resume [N|all|#ID…]");
    check("/requeue", "/requeue needs an entry's number: /requeue ID…|all");
    check("/requeue 41 all", "/requeue has no place for \"all\": /requeue ID…|all");
    check("/requeue all 41", "/requeue has no place for \"41\": /requeue ID…|all");
    check("/requeue x", "/requeue: \"x\" is no entry: write its number, such as 41 or #41");
    check("/retry now", "/retry has no place for \"now\": /retry");
}

proptest! {
    #[test]
    fn any_auto_reply_survives(words in "(?s)[^-].{0,60}", max in 1u32.., until in "[A-Z.!?é]{1,8}") {
        prop_assume!(!words.trim().is_empty() && !words.trim_start().starts_with('-'));
        let change = AutoChange::Begin { text: words.clone(), max_turns: Some(max), until: Some(until.clone()), max_time: None };
        let line = format!("/auto --max {max} --until {until} {words}");
        prop_assert_eq!(parse(&line), Ok(Line::Command(Command::Auto { change })));
    }

    #[test]
    fn entries_are_named_with_and_without_a_sign(numbers in prop::collection::btree_set(1i64.., 1..20)) {
        let ids: Vec<EntryId> = numbers.into_iter().map(EntryId).collect();
        let words = |sign: &str| ids.iter().map(|id| format!("{sign}{}", id.0)).collect::<Vec<_>>().join(" ");
        for sign in ["", "#"] {
            let which = Requeued::These(ids.clone());
            prop_assert_eq!(parse(&format!("/requeue {}", words(sign))), Ok(Line::Command(Command::Requeue { which })));
        }
        let what = Subject::Entries(ids.clone());
        prop_assert_eq!(parse(&format!("/resume {}", words("#"))), Ok(Line::Command(Command::Resume { what })));
    }
}
