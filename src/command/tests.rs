//! Tables of lines and what they mean.

use std::time::Duration;

use proptest::prelude::*;

use super::table::{Arity, all};
use super::*;
use crate::domain::{EntryId, SessionId, SessionName, SessionRef};

fn name(text: &str) -> SessionName {
    text.parse().unwrap()
}

fn session(text: &str) -> SessionRef {
    text.parse().unwrap()
}

fn some(names: &[&str]) -> Targets {
    Targets::Some(names.iter().map(|name| session(name)).collect())
}

fn text(words: &str) -> String {
    words.to_owned()
}

fn error(line: &str) -> String {
    match parse(line) {
        Err(e) => e.to_string(),
        Ok(line) => panic!("{line:?} is no error"),
    }
}

#[test]
fn lines_are_messages_blank_or_commands() {
    let check = |line: &str, expected: Line| assert_eq!(parse(line), Ok(expected), "{line:?}");
    let message = |text: &str| Line::Message(text.to_owned());
    for blank in ["", " ", "\t \n", "\u{a0}"] {
        check(blank, Line::Blank);
    }
    check("hello", message("hello"));
    check("  hello  ", message("  hello  "));
    check("a\n/quit\nb", message("a\n/quit\nb"));
    check(" /help", Line::Command(Command::Help { command: None }));
    check("\t/bg  x", Line::Command(Command::Bg { text: " x".to_owned() }));
    check("\n/help", message("\n/help"));
    check("\\help", message("\\help"));
    check("1/2", message("1/2"));
    check("//help", message("/help"));
    check("//", message("/"));
    check("///x", message("//x"));
    check("// a  comment ", message("/ a  comment "));
    check(" //x", message(" //x"));
    check("/quit", Line::Command(Command::Quit));
    check("/quit  \t", Line::Command(Command::Quit));
}

#[test]
fn every_command_is_read_as_its_type() {
    let check = |line: &str, expected: Command| {
        assert_eq!(parse(line), Ok(Line::Command(expected.clone())), "{line:?}");
        if line.as_bytes()[1].is_ascii_alphabetic() {
            assert_eq!(line[1..].split_whitespace().next(), Some(expected.name()), "{line:?}");
        }
    };
    check("/new", Command::New { name: None });
    check("/new docs", Command::New { name: Some(name("docs")) });
    check("/new   日本語 ", Command::New { name: Some(name("日本語")) });
    check("/switch 2", Command::Switch { to: SwitchTo::Session(SessionRef::Id(SessionId(2))) });
    check("/switch docs", Command::Switch { to: SwitchTo::Session(session("docs")) });
    check("/switch -", Command::Switch { to: SwitchTo::Previous });
    check("/2", Command::Switch { to: SwitchTo::Session(session("2")) });
    check("/012 ", Command::Switch { to: SwitchTo::Session(session("12")) });
    check("/sessions", Command::Sessions);
    check("/rename docs", Command::Rename { name: name("docs") });
    check("/close", Command::Close { session: None });
    check("/close 2", Command::Close { session: Some(session("2")) });
    check("/delete docs", Command::Delete { session: session("docs") });
    check("/send 2 hi", Command::Send { to: some(&["2"]), text: text("hi") });
    check("/send 2,docs,3 hi there", Command::Send { to: some(&["2", "docs", "3"]), text: text("hi there") });
    check("/send 2,3,2 hi", Command::Send { to: some(&["2", "3"]), text: text("hi") });
    check("/send all hi", Command::Send { to: Targets::All, text: text("hi") });
    check("/bg hi", Command::Bg { text: text("hi") });
    check("/now hi", Command::Now { text: text("hi") });
    check("/later hi", Command::Later { text: text("hi") });
    check("/cancel", Command::Cancel { session: None });
    check("/cancel 2", Command::Cancel { session: Some(session("2")) });
    check("/stop", Command::Stop { scope: None });
    check("/stop all", Command::Stop { scope: Some(Scope::All) });
    check("/stop docs", Command::Stop { scope: Some(Scope::One(session("docs"))) });
    check("/queue", Command::Queue { scope: None });
    check("/queue 2", Command::Queue { scope: Some(Scope::One(session("2"))) });
    check("/drop 41", Command::Drop { entries: vec![EntryId(41)] });
    check("/drop #41 7\t#8 41", Command::Drop { entries: vec![EntryId(41), EntryId(7), EntryId(8)] });
    check("/history", Command::History { count: None });
    check("/history 5", Command::History { count: Some(5) });
    check("/replay", Command::Replay);
    check("/model", Command::Model { name: None });
    check("/model ollama:qwen3:8b", Command::Model { name: Some("ollama:qwen3:8b".parse().unwrap()) });
    check("/system", Command::System { change: SystemChange::Show });
    check("/system  ", Command::System { change: SystemChange::Show });
    check("/system -", Command::System { change: SystemChange::Clear });
    check("/system - \"x\"", Command::System { change: SystemChange::Set(text("- \"x\"")) });
    check("/system Be brief.\nBe kind.", Command::System { change: SystemChange::Set(text("Be brief.\nBe kind.")) });
    let seconds = |s| Some(Duration::from_secs(s));
    check("/wait", Command::Wait { scope: None, timeout: None });
    check("/wait all", Command::Wait { scope: Some(Scope::All), timeout: None });
    check("/wait --timeout 2s", Command::Wait { scope: None, timeout: seconds(2) });
    check("/wait --timeout=1m", Command::Wait { scope: None, timeout: seconds(60) });
    check("/wait 2 --timeout 2s", Command::Wait { scope: Some(Scope::One(session("2"))), timeout: seconds(2) });
    check("/wait --timeout 2s  all", Command::Wait { scope: Some(Scope::All), timeout: seconds(2) });
    check("/sleep 1.5s", Command::Sleep { length: Duration::from_millis(1_500) });
    check("/sleep 0", Command::Sleep { length: Duration::ZERO });
    check("/echo hi", Command::Echo { text: text("hi") });
    check("/help", Command::Help { command: None });
    check("/help switch", Command::Help { command: Some("switch") });
    check("/help /switch", Command::Help { command: Some("switch") });
    check("/quit", Command::Quit);
}

#[test]
fn text_is_the_rest_of_the_line_verbatim() {
    let check = |rest: &str, expected: &str| {
        let bg = Command::Bg { text: expected.to_owned() };
        assert_eq!(parse(&format!("/bg{rest}")), Ok(Line::Command(bg)), "{rest:?}");
        let send = Command::Send { to: some(&["2", "x"]), text: expected.to_owned() };
        assert_eq!(parse(&format!("/send   2,x{rest}")), Ok(Line::Command(send)), "{rest:?}");
    };
    check(" \"it's\" `so`", "\"it's\" `so`");
    check(" an unclosed \" quote", "an unclosed \" quote");
    check(" inner   blanks\tand trailing ones  ", "inner   blanks\tand trailing ones  ");
    check("   two more blanks before", "  two more blanks before");
    check(" --help me", "--help me");
    check(" --timeout 5s", "--timeout 5s");
    check(" -", "-");
    check(" --", "--");
    check(" -- --", "-- --");
    check(" -x --y=z", "-x --y=z");
    check(" 3 words 4", "3 words 4");
    check(" /quit", "/quit");
    check(" //x", "//x");
    check(" back\\slash $HOME *", "back\\slash $HOME *");
    check(" 日本語 e\u{301} 👩‍👩‍👧 \u{202e}", "日本語 e\u{301} 👩‍👩‍👧 \u{202e}");
    check(" one\ntwo\n\n", "one\ntwo\n\n");
    check("\none\ntwo", "one\ntwo");
    check("\n\n  fn main() {}\n", "\n  fn main() {}\n");
    check(" \u{1b}[31m\0\r", "\u{1b}[31m\0\r");
}

#[test]
fn what_cannot_be_carried_out_says_why_in_one_line() {
    let check = |line: &str, expected: &str| assert_eq!(error(line), expected, "{line:?}");
    check("/", "a command's name belongs behind the slash: /help lists them (// sends a slash)");
    check("/ help", "a command's name belongs behind the slash: /help lists them (// sends a slash)");
    check("/swich", "unknown command /swich: did you mean /switch? (//swich sends it as a message)");
    check("/swich 2", "unknown command /swich: did you mean /switch? (//swich sends it as a message)");
    check("/hitsory", "unknown command /hitsory: did you mean /history? (//hitsory sends it as a message)");
    check("/QUIT", "unknown command /QUIT: did you mean /quit? (//QUIT sends it as a message)");
    check("/se", "unknown command /se: did you mean /set? (//se sends it as a message)");
    check("/s", "unknown command /s: did you mean /switch, /sessions or /send? (//s sends it as a message)");
    check("/xyzzy", "unknown command /xyzzy: /help lists them (//xyzzy sends it as a message)");
    check("/usr/bin/env", "unknown command /usr/bin/env: /help lists them (//usr/bin/env sends it as a message)");
    check("/\u{1b}[2J", "unknown command /␛[2J: /help lists them (//␛[2J sends it as a message)");
    check("/-", "unknown command /-: /help lists them (//- sends it as a message)");
    check("/send", "/send needs a session and a text: /send N[,N…]|all TEXT");
    check("/send 2", "/send needs a text: /send N[,N…]|all TEXT");
    check("/send 2  \n ", "/send needs a text: /send N[,N…]|all TEXT");
    check("/bg", "/bg needs a text: /bg TEXT");
    check("/echo ", "/echo needs a text: /echo TEXT");
    check("/switch", "/switch needs a session: /switch N|NAME|-");
    check("/rename", "/rename needs a name: /rename NAME");
    check("/delete", "/delete needs a session: /delete N");
    check("/drop", "/drop needs an entry's number: /drop ID…");
    check("/sleep", "/sleep needs a duration: /sleep DURATION");
    check("/wait --timeout", "/wait needs a duration behind --timeout: /wait [N|all] [--timeout DURATION]");
    check("/new my chat", "/new has no place for \"chat\": /new [NAME]");
    check("/2 hello", "/switch has no place for \"hello\": /switch N|NAME|-");
    check("/quit now", "/quit has no place for \"now\": /quit");
    check("/wait 1 2", "/wait has no place for \"2\": /wait [N|all] [--timeout DURATION]");
    check("/wait --tmeout 5s", "/wait has no option --tmeout: /wait [N|all] [--timeout DURATION]");
    check("/wait --", "/wait has no option --: /wait [N|all] [--timeout DURATION]");
    check("/history -5", "/history has no option -5: /history [COUNT]");
    check("/quit --force", "/quit has no option --force: /quit");
    check("/help --version", "/help has no option --version: /help [COMMAND]");
    check("/wait --timeout -5", "/wait has no option -5: /wait [N|all] [--timeout DURATION]");
    check("/wait --timeout 1s --timeout 2s", "/wait: --timeout stands twice");
    let duration = "is no duration: write a number and a unit, such as 800ms, 1.5s, 2m or 1h";
    check("/sleep 5", &format!("/sleep: \"5\" {duration}"));
    check("/wait --timeout soon", &format!("/wait: \"soon\" {duration}"));
    check("/wait --timeout=", &format!("/wait: \"\" {duration}"));
    check("/new all", "/new: \"all\" cannot be a session's name: it would be read as something else");
    check("/rename a,b", "/rename: a session's name has no blanks, commas or control characters");
    check("/send 2, 3 hi", "/send: \"2,\" is no list of sessions: write N[,N…] without blanks, or all");
    check("/send 2,all hi", "/send: \"all\" cannot be a session's name: it would be read as something else");
    check("/drop 41 x", "/drop: \"x\" is no entry: write its number, such as 41 or #41");
    check("/drop #", "/drop: \"#\" is no entry: write its number, such as 41 or #41");
    check("/drop 0", "/drop: \"0\" is no entry: write its number, such as 41 or #41");
    check("/drop +4", "/drop: \"+4\" is no entry: write its number, such as 41 or #41");
    check("/history 0", "/history: \"0\" is no count: write a number from 1 to 4294967295");
    check("/model :x", "/model: \":x\" is no model: write PROVIDER:MODEL, such as openai:gpt-5.1 or demo:tour");
    check("/help swich", "/help: unknown command /swich: did you mean /switch?");
}

#[test]
fn an_error_stays_short_whatever_was_pasted() {
    let long = "x".repeat(1 << 20);
    for line in [format!("/{long}"), format!("/new a {long}"), format!("/model :{long}"), format!("/wait --{long}")] {
        let message = error(&line);
        assert!(message.chars().count() < 300, "{message}");
    }
}

#[test]
fn lists_have_bounds() {
    let numbers = |count: usize, between: &str| (1..=count).map(|n| n.to_string()).collect::<Vec<_>>().join(between);
    assert!(parse(&format!("/send {} hi", numbers(MAX_TARGETS, ","))).is_ok());
    let message = error(&format!("/send {} hi", numbers(MAX_TARGETS + 1, ",")));
    assert_eq!(message, "/send: a list has 1000 sessions at most: write all for every one");
    assert!(parse(&format!("/drop {}", numbers(MAX_ENTRIES, " "))).is_ok());
    let message = error(&format!("/drop {}", numbers(MAX_ENTRIES + 1, " ")));
    assert_eq!(message, "/drop has no place for \"10001\": /drop ID…");
    let message = error(&format!("/wait {}", "--timeout 1s ".repeat(MAX_ENTRIES)));
    assert_eq!(message, "/wait has no place for \"--timeout\": /wait [N|all] [--timeout DURATION]");
}

#[test]
fn the_table_keeps_its_own_rules() {
    let mut names = std::collections::BTreeSet::new();
    for spec in all() {
        assert!(names.insert(spec.name), "{} stands twice", spec.name);
        let places: Vec<_> = spec.args.iter().filter(|arg| !arg.is_flag()).collect();
        for (nth, arg) in places.iter().enumerate() {
            let is_last = nth + 1 == places.len();
            assert!(is_last || !arg.is_text() && arg.arity == Arity::Required, "{} {}", spec.name, arg.id);
        }
        for words in [spec.help, spec.detail] {
            assert!(
                !words.ends_with('.') && !words.starts_with(char::is_uppercase) || words.starts_with("N is"),
                "{words}"
            );
        }
        assert!(!spec.help.is_empty(), "{}", spec.name);
    }
}

#[test]
fn usages_are_those_of_the_contract() {
    let usages: Vec<String> = all().map(table::Spec::usage).collect();
    let expected = "/new [NAME];/switch N|NAME|-;/sessions;/rename NAME;/close [N];/delete N;/send N[,N…]|all TEXT;/bg TEXT;\
        /now TEXT;/later TEXT;/cancel [N];/stop [N|all];/continue;/retry;/undo;/edit;/queue [N|all];/drop ID…;/move ID before|after ID;\
        /priority ID high|normal|low;/hold [N|#ID…];/resume [N|all|#ID…];/dead [N|all];/requeue ID…|all;\
        /auto [--max N] [--until WORD] [--for DURATION] [TEXT|off];/history [COUNT];/replay;/stats [N|all];/model [NAME];/system [TEXT];/set [KEY VALUE];/attach [FILE…|off];/wait [N|all] [--timeout DURATION];/sleep DURATION;/echo TEXT;/quit;/detach;\
        /help [COMMAND]";
    assert_eq!(usages, expected.split(';').collect::<Vec<_>>());
}

#[test]
fn completion_says_what_may_stand_at_the_cursor() {
    // `^` is the cursor.
    let check = |line: &str, what: Wanted, start: usize, prefix: &str| {
        let cursor = line.find('^').unwrap();
        let expected = Completion { start, what, prefix: prefix.to_owned() };
        assert_eq!(complete(&line.replacen('^', "", 1), cursor), expected, "{line:?}");
    };
    check("/^", Wanted::Command, 1, "");
    check("/sw^", Wanted::Command, 1, "sw");
    check("/s^w", Wanted::Command, 1, "s");
    check("^/sw", Wanted::Nothing, 0, "");
    check("hello^", Wanted::Nothing, 5, "");
    check("//sw^", Wanted::Nothing, 4, "");
    check(" /sw^", Wanted::Nothing, 4, "");
    check("/switch ^", Wanted::Session, 8, "");
    check("/switch do^cs", Wanted::Session, 8, "do");
    check("/switch docs ^", Wanted::Nothing, 13, "");
    check("/swich ^", Wanted::Nothing, 7, "");
    check("/send ^", Wanted::SessionOrAll, 6, "");
    check("/send  a^", Wanted::SessionOrAll, 7, "a");
    check("/send 2,日,do^", Wanted::Session, 12, "do");
    check("/send 2,^", Wanted::Session, 8, "");
    check("/send 2 ^", Wanted::Nothing, 8, "");
    check("/send 2 he^", Wanted::Nothing, 10, "");
    check("/bg ^", Wanted::Nothing, 4, "");
    check("/stop ^", Wanted::SessionOrAll, 6, "");
    check("/close m^", Wanted::Session, 7, "m");
    check("/new m^", Wanted::Nothing, 6, "");
    check("/model demo:t^", Wanted::Model, 7, "demo:t");
    check("/drop ^", Wanted::Entry, 6, "");
    check("/drop 41 #4^", Wanted::Entry, 10, "4");
    check("/move ^", Wanted::Entry, 6, "");
    check("/move 41 be^", Wanted::Word(&["before", "after"]), 9, "be");
    check("/move 41 before #^", Wanted::Entry, 17, "");
    check("/priority 41 ^", Wanted::Word(&["high", "normal", "low"]), 13, "");
    check("/hold ^", Wanted::Session, 6, "");
    check("/hold #4^", Wanted::Entry, 7, "4");
    check("/hold #41 ^", Wanted::Session, 10, "");
    check("/hold 1 ^", Wanted::Nothing, 8, "");
    check("/resume a^", Wanted::SessionOrAll, 8, "a");
    check("/requeue ^", Wanted::EntryOrAll, 9, "");
    check("/requeue 4 #4^", Wanted::Entry, 12, "4");
    check("/dead ^", Wanted::SessionOrAll, 6, "");
    check("/stats ^", Wanted::SessionOrAll, 7, "");
    check("/auto ^", Wanted::Nothing, 6, "");
    check("/auto --max ^", Wanted::Nothing, 12, "");
    check("/help sw^", Wanted::Command, 6, "sw");
    check("/help /sw^", Wanted::Command, 7, "sw");
    check("/wait --timeout ^", Wanted::Nothing, 16, "");
    check("/wait --timeout 5s ^", Wanted::SessionOrAll, 19, "");
    check("/wait 1 --t^", Wanted::Option(vec!["timeout"]), 8, "--t");
    check("/wait 1 2 --t^", Wanted::Nothing, 13, "");
    check("/wait 1 -- 2^", Wanted::Nothing, 12, "");
    check("/quit ^", Wanted::Nothing, 6, "");
    assert_eq!(complete("/sw", 99).prefix, "sw");
    assert_eq!(complete("/switch é", 9).prefix, "", "within a character");
}

#[test]
fn hints_say_what_may_still_follow() {
    let check = |line: &str, expected: &str| assert_eq!(hint(line).unwrap_or_default(), expected, "{line:?}");
    check("/send ", "N[,N…]|all TEXT");
    check("/send", " N[,N…]|all TEXT");
    check("/send 2", " TEXT");
    check("/send 2 ", "TEXT");
    check("/send 2 h", "");
    check("/system ", "[TEXT]");
    check("/wait ", "[N|all] [--timeout DURATION]");
    check("/wait 2 ", "[--timeout DURATION]");
    check("/wait --timeout ", "DURATION [N|all]");
    check("/wait --timeout 5s", " [N|all]");
    check("/wait --ti", "");
    check("/drop ", "ID…");
    check("/drop 41 ", "");
    check("/move 41 ", "before|after ID");
    check("/hold ", "[N|#ID…]");
    check("/hold #41", "");
    check("/auto", " [--max N] [--until WORD] [--for DURATION] [TEXT|off]");
    check("/auto --max ", "N [--until WORD] [--for DURATION] [TEXT|off]");
    check("/auto --max 3 ", "[--until WORD] [--for DURATION] [TEXT|off]");
    check("/auto --max 3 g", "");
    check("/switch ", "N|NAME|-");
    check("/switch -", "");
    check("/switch 2 3", "");
    check("/quit", "");
    check("/sen", "");
    check("/2", "");
    check("hello", "");
    check("//send ", "");
    check("", "");
}

#[test]
fn every_command_can_be_completed() {
    let names: Vec<&str> = command_names().map(|(name, _)| name).collect();
    assert!(names.contains(&"switch") && names.len() == all().count());
}

proptest! {
    #[test]
    fn no_line_panics(line in "(/[a-z]{0,8})?[ \\n]{0,2}\\PC{0,40}", cursor in 0usize..60) {
        let _ = parse(&line).map_err(|e| e.to_string());
        let _ = hint(&line);
        let completion = complete(&line, cursor);
        prop_assert!(line.get(completion.start..).is_some_and(|rest| rest.starts_with(&completion.prefix)));
    }

    #[test]
    fn no_command_with_any_arguments_panics(
        command in prop::sample::select(command_names().map(|(name, _)| name).collect::<Vec<_>>()),
        rest in "[ \\n\\t,#=\\-a0-9\"'/é]{0,30}|.{0,30}",
    ) {
        let line = format!("/{command}{rest}");
        let message = parse(&line).map_err(|e| e.to_string()).err().unwrap_or_default();
        prop_assert!(!message.contains('\n'), "{}", message);
        let _ = hint(&line);
        for cursor in 0..line.len() {
            let _ = complete(&line, cursor);
        }
    }

    #[test]
    fn two_slashes_send_one(text in "(?s).{0,40}") {
        prop_assert_eq!(parse(&format!("//{text}")), Ok(Line::Message(format!("/{text}"))));
    }

    #[test]
    fn what_does_not_begin_with_a_slash_is_sent_as_it_is(text in "(?s)[^/].{0,40}") {
        // A command may have blanks before it.
        prop_assume!(!is_command(&text));
        let expected = if text.trim().is_empty() { Line::Blank } else { Line::Message(text.clone()) };
        prop_assert_eq!(parse(&text), Ok(expected));
    }

    #[test]
    fn any_text_survives(text in "(?s).{1,60}|[ \\-\"'=\\n]{0,6}--[a-z= ]{0,12}") {
        prop_assume!(!text.trim().is_empty());
        let line = |head: &str| parse(&format!("{head} {text}"));
        let text = text.clone();
        prop_assert_eq!(line("/bg"), Ok(Line::Command(Command::Bg { text: text.clone() })));
        prop_assert_eq!(line("/echo"), Ok(Line::Command(Command::Echo { text: text.clone() })));
        prop_assert_eq!(line("/send all"), Ok(Line::Command(Command::Send { to: Targets::All, text })));
    }
}
