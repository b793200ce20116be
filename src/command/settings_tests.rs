//! Tables of lines on settings and files, and what they mean.

use proptest::prelude::*;

use super::*;
use crate::domain::attachment::MAX_ATTACHED_FILES;
use crate::domain::{Alert, Notify, Reasoning, Render};

fn error(line: &str) -> String {
    match parse(line) {
        Err(e) => e.to_string(),
        Ok(line) => panic!("{line:?} is no error"),
    }
}

#[test]
fn settings_are_read_as_their_types() {
    let check = |line: &str, change: SetChange| {
        assert_eq!(parse(line), Ok(Line::Command(Command::Set { change })), "{line:?}");
    };
    check("/set", SetChange::Show);
    check("/set  ", SetChange::Show);
    check("/set notify fail", SetChange::Notify(Some(Notify::Fail)));
    check("/set  notify \t none ", SetChange::Notify(Some(Notify::None)));
    check("/set notify default", SetChange::Notify(None));
    check("/set reasoning hide", SetChange::Reasoning(Reasoning::Hide));
    check("/set render plain", SetChange::Render(Render::Plain));
    check("/set alert osc777", SetChange::Alert(Alert::Osc777));
}

#[test]
fn the_values_are_those_of_the_words() {
    fn check<W: Copy>(key: &str, all: &[W], word: fn(W) -> &'static str, more: &[&str]) {
        let expected: Vec<_> = all.iter().map(|w| word(*w)).chain(more.iter().copied()).collect();
        assert_eq!(values(key), expected, "{key}");
    }
    check("notify", Notify::ALL, Notify::as_str, &[DEFAULT]);
    check("reasoning", Reasoning::ALL, Reasoning::as_str, &[]);
    check("render", Render::ALL, Render::as_str, &[]);
    check("alert", Alert::ALL, Alert::as_str, &[]);
    for key in KEYS {
        for value in values(key) {
            assert!(parse(&format!("/set {key} {value}")).is_ok(), "{key} {value}");
        }
    }
}

#[test]
fn a_setting_that_is_not_understood_names_the_nearest() {
    let check = |line: &str, expected: &str| assert_eq!(error(line), format!("/set: {expected}"), "{line:?}");
    check("/set notfy fail", "unknown key \"notfy\": did you mean notify?");
    check("/set rend plain", "unknown key \"rend\": did you mean render?");
    check("/set x y", "unknown key \"x\": there are notify, reasoning, render, alert");
    check("/set notify", "notify is one of all, done, fail, none, default: /set alone shows what it is");
    check("/set notify fial", "notify is one of all, done, fail, none, default, not \"fial\"; did you mean fail?");
    check("/set notify loud", "notify is one of all, done, fail, none, default, not \"loud\"");
    check("/set render mark", "render is one of markdown, plain, not \"mark\"; did you mean markdown?");
    check("/set alert bell now", "there is no place for \"now\": alert is one of none, bell, osc9, osc777");
    check("/set alert \u{1b}[2J", "alert is one of none, bell, osc9, osc777, not \"␛[2J\"");
    assert!(error(&format!("/set {0} {0}", "x".repeat(1 << 20))).len() < 300);
    assert!(error(&format!("/set notify {}", "x".repeat(1 << 20))).len() < 300);
}

#[test]
fn files_are_named_with_blanks_and_quotes() {
    let files = |names: &[&str]| AttachChange::Files(names.iter().map(|name| (*name).to_owned()).collect());
    let check = |line: &str, change: AttachChange| {
        assert_eq!(parse(line), Ok(Line::Command(Command::Attach { change })), "{line:?}");
    };
    check("/attach", AttachChange::Show);
    check("/attach  ", AttachChange::Show);
    check("/attach off", AttachChange::Off);
    check("/attach - ", AttachChange::Off);
    check("/attach ./off", files(&["./off"]));
    check("/attach src/main.rs", files(&["src/main.rs"]));
    check("/attach  a  b\tc a", files(&["a", "b", "c"]));
    check("/attach my\\ notes.txt b", files(&["my notes.txt", "b"]));
    check("/attach \"my notes.txt\" 'it is \"it\"'", files(&["my notes.txt", "it is \"it\""]));
    check("/attach \"a \\\"b\\\" \\\\ c\"", files(&["a \"b\" \\ c"]));
    check("/attach it\\'s a'b c'd", files(&["it's", "ab cd"]));
    check("/attach ~/--x -y 日本語", files(&["~/--x", "-y", "日本語"]));
    check("/attach \"off\" b", files(&["off", "b"]));
    assert_eq!(error("/attach it's"), "/attach: the ' is not closed: in a name it is written \\'");
    assert_eq!(error("/attach a \"b"), "/attach: the \" is not closed: in a name it is written \\\"");
    let many = |count: usize| (0..count).map(|n| format!(" f{n}")).collect::<String>();
    assert!(parse(&format!("/attach{}", many(MAX_ATTACHED_FILES))).is_ok());
    assert_eq!(error(&format!("/attach{}", many(MAX_ATTACHED_FILES + 1))), "/attach: 100 files at once is the limit");
}

#[test]
fn completion_knows_settings_files_and_options() {
    // `^` is the cursor.
    let check = |line: &str, what: Wanted, start: usize, prefix: &str| {
        let cursor = line.find('^').unwrap();
        let expected = Completion { start, what, prefix: prefix.to_owned() };
        assert_eq!(complete(&line.replacen('^', "", 1), cursor), expected, "{line:?}");
    };
    check("/set ^", Wanted::Word(KEYS), 5, "");
    check("/set  no^", Wanted::Word(KEYS), 6, "no");
    check("/set notify ^", Wanted::Word(values("notify")), 12, "");
    check("/set notify  d^", Wanted::Word(values("notify")), 13, "d");
    check("/set x ^", Wanted::Nothing, 7, "");
    check("/set notify done ^", Wanted::Nothing, 17, "");
    check("/attach ^", Wanted::File, 8, "");
    check("/attach src/ma^in", Wanted::File, 8, "src/ma");
    check("/attach a b^", Wanted::File, 10, "b");
    check("/attach a  ^", Wanted::File, 11, "");
    check("/attach my\\ no^", Wanted::File, 8, "my\\ no");
    check("/attach my\\ ^", Wanted::File, 8, "my\\ ");
    check("/attach a \"my no^", Wanted::File, 10, "\"my no");
    check("/attach \"a\" ^", Wanted::File, 12, "");
    check("@^", Wanted::File, 1, "");
    check("what is @src/ma^", Wanted::File, 9, "src/ma");
    check("é @my\\ n^", Wanted::File, 4, "my\\ n");
    check("two\n@a^", Wanted::File, 5, "a");
    check("@a and b^", Wanted::Nothing, 8, "");
    check("@a ^", Wanted::Nothing, 3, "");
    check("me@home^", Wanted::Nothing, 7, "");
    check("/bg see @a^", Wanted::File, 9, "a");
    check("/send 2 @a^", Wanted::File, 9, "a");
    check("/new @a^", Wanted::Nothing, 7, "");
    let auto = |names: &[&'static str]| Wanted::Option(names.to_vec());
    check("/auto --m^", auto(&["max", "until", "for"]), 6, "--m");
    check("/auto --max^", auto(&["max", "until", "for"]), 6, "--max");
    check("/auto --max 3 --^", auto(&["until", "for"]), 14, "--");
    check("/auto --max 3 go --^", Wanted::Nothing, 19, "");
    check("/wait --^", auto(&["timeout"]), 6, "--");
    check("/wait 2 --t^", auto(&["timeout"]), 8, "--t");
    check("/wait --timeout 5s --^", Wanted::Nothing, 21, "");
    check("/bg --m^", Wanted::Nothing, 7, "");
    check("/quit --^", Wanted::Nothing, 8, "");
}

#[test]
fn hints_say_what_a_key_may_be() {
    let check = |line: &str, expected: &str| assert_eq!(hint(line).unwrap_or_default(), expected, "{line:?}");
    check("/set", " [KEY VALUE]");
    check("/set ", "[KEY VALUE]");
    check("/set notify", " all|done|fail|none|default");
    check("/set notify ", "all|done|fail|none|default");
    check("/set notify d", "");
    check("/set no", "");
    check("/attach ", "[FILE…|off]");
    check("/attach a", "");
    check("/system notify", "");
}

#[test]
fn a_message_names_files_with_an_at_sign() {
    let check = |text: &str, expected: &[&str]| {
        let found: Vec<String> = mentioned(text).map(|(name, bare)| format!("{name}|{bare}")).collect();
        assert_eq!(found, expected, "{text:?}");
    };
    check("look at @src/main.rs, and @b.", &["src/main.rs,|src/main.rs", "b.|b"]);
    check("@a\\ b @\"c d\"", &["a b|a b", "c|c"]);
    check("me@home @ x", &[]);
    check("@日本\n@é?", &["日本|日本", "é?|é"]);
}

#[test]
fn a_file_that_is_called_as_a_word_of_the_command_is_written_as_a_file() {
    for name in ["off", "-"] {
        let line = format!("/attach {}", written_file_name(name));
        let change = AttachChange::Files(vec![name.to_owned()]);
        assert_eq!(parse(&line), Ok(Line::Command(Command::Attach { change })), "{line}");
    }
}

proptest! {
    #[test]
    fn any_name_survives_being_written(names in prop::collection::btree_set("[^\u{0}]{1,20}", 1..5)) {
        let names: Vec<String> = names.into_iter().collect();
        let line = format!("/attach {}", names.iter().map(|name| written_file_name(name)).collect::<Vec<_>>().join(" "));
        for name in &names {
            prop_assert_eq!(&file_name(&written_file_name(name)), name);
        }
        prop_assert_eq!(parse(&line), Ok(Line::Command(Command::Attach { change: AttachChange::Files(names) })));
    }

    #[test]
    fn no_line_of_files_panics(rest in "[ \\\\'\"@/~a-c\n]{0,20}|.{0,20}") {
        for line in [format!("/attach {rest}"), format!("/set {rest}"), rest.clone()] {
            let _ = parse(&line);
            let _ = hint(&line);
            let _ = mentioned(&line).count();
            for cursor in 0..=line.len() {
                let completion = complete(&line, cursor);
                let rest = line.get(completion.start..);
                prop_assert!(rest.is_some_and(|rest| rest.starts_with(&completion.prefix)), "{:?} at {}", line, cursor);
            }
        }
    }
}
