//! Every error with its place, every default, and texts that mean nothing.

use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::domain::Alert;
use crate::domain::time::format_duration;
use crate::provider::{KeySource, Kind};

pub(super) const NO_ENV: Env<'static> = &|_| None;

pub(super) fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("config.toml"), NO_ENV)
}

fn with_env(text: &str, env: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let find = |name: &str| env.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
    Config::parse(text, Path::new("config.toml"), &find)
}

/// The default file with every default taken out of its comment.
pub(super) fn uncommented() -> String {
    let setting = |line: &str| line.starts_with('#') && line[1..].starts_with(|c: char| c.is_ascii_lowercase());
    DEFAULT_TEXT.lines().map(|line| if setting(line) { &line[1..] } else { line }.to_owned() + "\n").collect()
}

#[test]
fn the_default_file_is_the_defaults() {
    assert_eq!(parse(DEFAULT_TEXT).unwrap(), Config::default());
    assert_eq!(parse(&uncommented()).unwrap(), Config::default());
    assert_eq!(parse("").unwrap(), Config::default());
    let settings = |text: &str| -> Vec<String> {
        let known = text.split("\n[").filter(|section| !section.starts_with("providers"));
        known
            .flat_map(str::lines)
            .filter(|line| !line.starts_with('#') && line.contains(" = "))
            .map(str::to_owned)
            .collect()
    };
    let keys = |text: &str| -> Vec<_> {
        settings(text).iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect()
    };
    assert_eq!(keys(&uncommented()), keys(&show(&Config::default(), NO_ENV)), "every setting is in the file, in order");
}

#[test]
fn the_example_in_the_default_file_works() {
    let example: String =
        DEFAULT_TEXT.lines().filter_map(|line| line.strip_prefix("#   ")).map(|line| line.to_owned() + "\n").collect();
    let config = parse(&example).unwrap();
    let local = &config.providers["local"];
    assert_eq!((local.kind, local.base_url.as_str()), (Kind::OpenAi, "http://127.0.0.1:8080/v1"));
    assert_eq!(local.key, KeySource::Env { name: "LOCAL_API_KEY".into(), required: true });
    assert_eq!((local.default_model.as_deref(), local.max_concurrent), (Some("tiny"), Some(4)));
    assert_eq!(local.headers["X-Title"], "chatmux");
    assert_eq!(local.extra_body["temperature"], 0.2);
    let check = |name: &str, expected: &str| {
        assert_eq!(config.resolve_model(name.parse().unwrap()).unwrap().to_string(), expected);
    };
    check("local", "local:tiny");
    check("local:other:1", "local:other:1");
    check("demo", "demo:tour");
}

#[test]
fn every_setting_is_read() {
    let text = uncommented()
        .replace("\"ask\"", "\"hold\"")
        .replace("\"10s\"", "\"1.5s\"")
        .replace("= 8\n", "= 1_0\n")
        .replace("= 1.5\n", "= 2\n")
        .replace("true", "false")
        .replace("\"keep\"", "\"continue\"")
        .replace("\"after_normal\"", "\"before_normal\"")
        .replace("\"emacs\"", "'vi'")
        .replace("alert = \"none\"", "alert = 'osc9'")
        .replace("alert_after = \"5s\"", "alert_after = '0s'")
        .replace("plain = false", "plain = true");
    let config = parse(&text).unwrap();
    assert_eq!(config.on_start, OnStart::Hold);
    assert_eq!(config.timeouts.connect, Duration::from_millis(1_500));
    assert_eq!(config.queue.max_concurrent, 10);
    assert_eq!((config.retry.multiplier, config.retry.mid_stream), (2.0, MidStream::Continue));
    assert_eq!((config.auto_reply.allow_interruption, config.auto_reply.stop_on_repeat), (false, false));
    assert_eq!(config.auto_reply.queue_position, QueuePosition::BeforeNormal);
    assert_eq!(config.ui.edit_mode, EditMode::Vi);
    assert_eq!((config.ui.alert, config.ui.alert_after, config.ui.plain), (Alert::Osc9, Duration::ZERO, true));
}

/// The whole message, without the file's name.
fn check(text: &str, expected: &str) {
    let message = parse(text).expect_err(text).to_string().replace("config.toml:", "");
    assert_eq!(message, expected, "{text}");
}

#[test]
fn keys_and_values_that_are_wrong_are_told_with_their_place() {
    check("[retry]\n max_atempts = 3", "2:2: unknown key \"max_atempts\" in [retry]: did you mean max_attempts?");
    check("modle = 'a:b'", "1:1: unknown key \"modle\": did you mean model?");
    check(
        "[retries]\nx = 1",
        "1:2: unknown key \"retries\": there are model, on_start, providers, timeouts, queue, retry, lease, auto_reply, ui",
    );
    check(
        "[ui]\nx = 1",
        "2:1: unknown key \"x\" in [ui]: there are render, notify, reasoning, edit_mode, alert, alert_after, plain",
    );
    check("on_start = 3", "1:12: on_start must be a word in quotes, not 3");
    check("on_start = 'holt'", "1:12: on_start is one of ask, resume, hold, not \"holt\"; did you mean hold?");
    check("[ui]\nrender = 'x'", "2:10: render is one of markdown, plain, not \"x\"");
    check("queue = 5", "1:9: queue must be a table, not 5");
    check("[queue]\nmax_concurrent = 0", "2:18: max_concurrent must be a whole number from 1 to 1000, not 0");
    check("[queue]\nmax_concurrent = '4'", "2:18: max_concurrent must be a whole number from 1 to 1000, not \"4\"");
    check("[queue]\nmax_pending = 1.5", "2:15: max_pending must be a whole number from 1 to 100000, not 1.5");
    check("[retry]\nmax_attempts = -1", "2:16: max_attempts must be a whole number from 1 to 100, not -1");
    check("[retry]\nmultiplier = 0.9", "2:14: multiplier must be a number from 1 to 10, not 0.9");
    check("[retry]\nmultiplier = nan", "2:14: multiplier must be a number from 1 to 10, not nan");
    check("[retry]\njitter = 2", "2:10: jitter must be a number from 0 to 1, not 2");
    check("[auto_reply]\nstop_on_repeat = 'yes'", "2:18: stop_on_repeat must be true or false, not \"yes\"");
    check(
        "[auto_reply]\nmax_turns = 99999999999999999999",
        "2:13: max_turns must be a whole number from 1 to 10000, not 99999999999999999999",
    );
}

#[test]
fn durations_that_are_wrong_are_told_with_their_place() {
    let tail = "such as \"800ms\", \"1.5s\" or \"2m\"";
    check("[timeouts]\nidle = '5'", &format!("2:8: idle must be a duration from 1ms to 24h, {tail}, not \"5\""));
    check("[timeouts]\nidle = 5", &format!("2:8: idle must be a duration from 1ms to 24h, {tail}, not 5"));
    check("[timeouts]\nidle = '0s'", &format!("2:8: idle must be a duration from 1ms to 24h, {tail}, not \"0s\""));
    check(
        "[lease]\nheartbeat = '2h'",
        &format!("2:13: heartbeat must be a duration from 10ms to 1h, {tail}, not \"2h\""),
    );
    check("[retry]\ninitial_delay = '1m'", "2:17: initial_delay (1m) must not be longer than max_delay (30s)");
    check("[retry]\nmax_delay = '0.5s'", "2:13: max_delay (500ms) must not be shorter than initial_delay (1s)");
    check("[lease]\nmax_wait = '500ms'", "2:12: max_wait (500ms) must not be shorter than quiet_period (800ms)");
}

#[test]
fn what_is_no_toml_is_told_with_its_place() {
    let begins = |text: &str, expected: &str| {
        let message = parse(text).expect_err(text).to_string();
        assert!(message.starts_with(&format!("config.toml:{expected}")), "{message}");
        assert!(!message.contains('\n'), "{message}");
    };
    begins("model = ", "1:9: ");
    begins("\n\nmodel 'a'", "3:7: ");
    begins("model = 'a\n", "1:");
    begins("[ui]\n[ui]\n", "2:");
    begins("é = 1", "1:1: ");
    begins("\u{feff}modle = 1", "1:1: unknown");
    begins("a = 1\r\nmodel = x", "2:9: ");
}

#[test]
fn depth_is_bounded() {
    for (open, times) in [("[", 100_000), ("{a=", 100_000), ("a.", 100_000)] {
        for before in ["", "x = ", "[providers.openai]\nextra_body = ", "[providers.openai.extra_body.", "providers."] {
            assert!(parse(&(before.to_owned() + &open.repeat(times))).is_err());
        }
    }
    for depth in [50, 200, 2_000, 100_000] {
        let dotted = vec!["a"; depth].join(".");
        for text in
            [format!("{dotted} = 1"), format!("[{dotted}]"), format!("[providers.openai.extra_body]\n{dotted} = 1")]
        {
            let _ = parse(&text);
        }
    }
}

#[test]
fn all_problems_are_told_at_once_in_their_order() {
    let message = parse("[ui]\nrender = 1\nx = 2\n[queue]\nageing = 3\n").unwrap_err().to_string();
    let places: Vec<_> = message.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(places, ["config.toml:2:10:", "config.toml:3:1:", "config.toml:5:10:"]);
    let many: String = (0..100).map(|i| format!("key{i} = 1\n")).collect();
    assert_eq!(parse(&many).unwrap_err().to_string().lines().count(), MAX_PROBLEMS);
}

#[test]
fn providers_that_are_wrong_are_told_with_their_place() {
    check("[providers.x]", "1:12: [providers.x] needs a kind: one of openai, anthropic, gemini, ollama, demo");
    check("[providers.x]\nkind = 'opnai'", "2:8: kind: \"opnai\" is none of openai, anthropic, gemini, ollama, demo");
    check("[providers]\nx = 1", "2:5: [providers.x] must be a table");
    check(
        "[providers.'a:b']\nkind = 'demo'",
        "1:12: a provider's name has 1 to 64 characters, no blanks, colons or control characters",
    );
    check("[providers.x]\nkind = 'openai'\nbase_url = 'box:80'", "3:12: base_url must begin with http:// or https://");
    check("[providers.demo]\nbase_url = 'http://a'", "2:12: base_url: the embedded model has no place");
    check(
        "[providers.ollama]\nmax_concurrent = 0",
        "2:18: max_concurrent must be a whole number from 1 to 1000, not 0",
    );
    check("[providers.ollama]\nmodels = ['a', 1]", "2:10: models must be a list of strings, not a list");
    check(
        "[providers.ollama]\nmodel = 'a b'",
        "2:9: a model's name has at least one character and no blanks or control characters",
    );
    check("[providers.ollama]\nheaders = { 'a b' = 'x' }", "2:13: headers: \"a b\" is no header's name");
    let framing = "frames the request, and is not to be set";
    for header in ["Content-Length", "transfer-encoding", "Host", "connection", "TE"] {
        let text = format!("[providers.ollama]\nheaders = {{ {header} = '5' }}");
        check(&text, &format!("2:13: headers: {header} {framing}"));
        let text = format!("[providers.ollama]\nauth_header = '{header}'");
        check(&text, &format!("2:15: auth_header: {header} {framing}"));
    }
    check("[providers.ollama]\nheaders = { a = 1 }", "2:17: headers: a must be a string");
    check("[providers.ollama]\nheaders = { a = 'é' }", "2:17: headers: a may hold printable ASCII only");
    check("[providers.ollama]\nextra_body = { a = inf }", "2:16: extra_body: \"a\" holds a number that JSON has not");
    check(
        "[providers.ollama]\nbase_ulr = 'x'",
        "2:1: unknown key \"base_ulr\" in [providers.ollama]: did you mean base_url?",
    );
    check(
        "model = 'loca:x'\n[providers.local]\nkind = 'demo'",
        "1:9: model: unknown provider \"loca\": did you mean local?",
    );
    check(
        "model = 'x'\n[providers.x]\nkind = 'openai'",
        "1:9: model: provider x has no default model: write x:MODEL, or set model in [providers.x]",
    );
    check(
        "model = 'a b'",
        "1:9: model: \"a b\" is no model: write PROVIDER:MODEL, such as openai:gpt-5.1 or demo:tour",
    );
}

#[test]
fn keys_in_the_file_are_refused_and_never_repeated() {
    for line in [
        "api_key = 'sk-hidden'",
        "token = 'sk-hidden'",
        "api_key_env = 'sk-hidden'",
        "base_url = 'https://me:sk-hidden@host'",
        "base_url = 'https://host/?key=sk-hidden'",
        "headers = { Authorization = 'Bearer sk-hidden' }",
        "api_key_env = 'A'\napi_key_command = 'echo sk-hidden'",
    ] {
        let message = parse(&format!("[providers.openai]\n{line}")).expect_err(line).to_string();
        assert!(!message.contains("hidden") && message.contains("api_key_env"), "{message}");
    }
    check(
        "[providers.x]\nkind = 'demo'\napi_key = 'k'",
        "3:1: api_key: keys never stand in the file: name a variable in api_key_env or a command in api_key_command",
    );
}

#[test]
fn a_built_in_provider_keeps_what_its_section_does_not_change() {
    let config =
        parse("[providers.openai]\nbase_url = 'http://127.0.0.1:1/v1/'\n[providers.gemini]\nkind = 'openai'").unwrap();
    let openai = &config.providers["openai"];
    assert_eq!(openai.base_url, "http://127.0.0.1:1/v1");
    assert_eq!(openai.key, KeySource::Env { name: "OPENAI_API_KEY".into(), required: true });
    assert_eq!(openai.default_model.as_deref(), Some(OPENAI_MODEL));
    // Another kind is another provider that happens to have the name.
    let gemini = &config.providers["gemini"];
    assert_eq!((gemini.base_url.as_str(), &gemini.key), ("https://api.openai.com/v1", &KeySource::None));
    let config = parse("[providers.anthropic]\napi_key_command = 'pass show a'\nmodel = 'anthropic:m'").unwrap();
    assert_eq!(config.providers["anthropic"].key, KeySource::Command("pass show a".into()));
    assert_eq!(config.providers["anthropic"].default_model.as_deref(), Some("m"));
}

#[test]
fn a_key_in_the_environment_chooses_the_model_unless_the_file_does() {
    let check = |text: &str, env: &[(&str, &str)], expected: &str| {
        assert_eq!(with_env(text, env).unwrap().model.to_string(), expected, "{text} {env:?}");
    };
    let all = [("OPENAI_API_KEY", "a"), ("ANTHROPIC_API_KEY", "b"), ("GEMINI_API_KEY", "c")];
    check("", &[], "demo:tour");
    check("", &all, &format!("openai:{OPENAI_MODEL}"));
    check("", &all[1..], &format!("anthropic:{ANTHROPIC_MODEL}"));
    check("", &all[2..], &format!("gemini:{GEMINI_MODEL}"));
    check("", &[("OPENAI_API_KEY", " ")], "demo:tour");
    check("model = 'ollama'", &all, &format!("ollama:{OLLAMA_MODEL}"));
    check("[providers.openai]\napi_key_env = 'MINE'\nmodel = 'm'", &[("MINE", "k")], "openai:m");
    check("[providers.openai]\napi_key_env = 'MINE'", &all[..1], "demo:tour");
}

#[test]
fn ollama_host_is_the_place_unless_the_file_names_one() {
    let env = [("OLLAMA_HOST", "box:1")];
    assert_eq!(with_env("", &env).unwrap().providers["ollama"].base_url, "http://box:1");
    let file = "[providers.ollama]\nbase_url = 'http://other'";
    assert_eq!(with_env(file, &env).unwrap().providers["ollama"].base_url, "http://other");
    let error = with_env("", &[("OLLAMA_HOST", "ftp://box")]).unwrap_err().to_string();
    assert_eq!(error, "OLLAMA_HOST: must begin with http:// or https://, or have no scheme");
}

#[test]
fn files_that_cannot_be_read_say_why() {
    let folder = tempfile::tempdir().unwrap();
    let check = |name: &str, bytes: Option<&[u8]>, expected: &str| {
        let path = folder.path().join(name);
        if let Some(bytes) = bytes {
            std::fs::write(&path, bytes).unwrap();
        }
        let message = Config::load(Some(&path), NO_ENV).unwrap_err().to_string();
        assert_eq!(message, format!("{}{expected}", path.display()));
    };
    check("absent", None, ": no such file; `chatmux config init` writes one");
    check("", None, ": is a directory; name the file in it");
    check("binary", Some(b"# \xc3\xa9\n# \xff"), ":2:3: not UTF-8 text from here on");
    check("large", Some(&vec![b'\n'; MAX_FILE_BYTES + 1]), ": is larger than 1 MiB, which no configuration is");
    check(
        "file",
        Some(b"x = 1"),
        ":1:1: unknown key \"x\": there are model, on_start, providers, timeouts, queue, retry, lease, auto_reply, ui",
    );
    std::fs::write(folder.path().join("good"), vec![b'\n'; MAX_FILE_BYTES]).unwrap();
    assert_eq!(Config::load(Some(&folder.path().join("good")), NO_ENV).unwrap(), Config::default());
}

/// Every kind of value that a provider can have.
pub(super) const RICH: &str = r#"
model = "lo.cal"
[providers."lo.cal"]
kind = "anthropic"
base_url = "http://[::1]:80/a"
model = "m\"\\x"
models = ["a", "b:c"]
max_concurrent = 2
headers = { X-Title = "a\tb" }
extra_body = { max_tokens = 5, "a b" = [1, { c = true }], date = 2020-01-01 }
[providers.openai]
api_key_env = "K"
"#;

#[test]
fn unknown_providers_are_errors_with_the_nearest_name() {
    let check = |name: &str, expected: &str| {
        let error = Config::default().resolve_model(name.parse().unwrap()).unwrap_err();
        assert_eq!(error.to_string(), expected);
    };
    check("opnai:x", "unknown provider \"opnai\": did you mean openai?");
    check(
        "gpt-5",
        "unknown provider \"gpt-5\": write PROVIDER:MODEL with one of anthropic, demo, gemini, ollama, openai",
    );
}

#[test]
fn what_is_wrong_is_told_in_few_words_however_long_it_is() {
    let long = "x".repeat(MAX_FILE_BYTES / 2);
    let model = format!("model = ':{long}'");
    let provider = format!("model = '{long}:y'");
    let key = format!("{long} = 1");
    let body = format!("[providers.x]\nkind = 'openai'\nextra_body = {{ {long} = nan }}");
    let header = format!("[providers.x]\nkind = 'openai'\nheaders = {{ {long} = 'é' }}");
    for text in [model, provider, key, body, header] {
        let told = parse(&text).unwrap_err().to_string();
        assert!(told.chars().count() < 700, "{} characters", told.chars().count());
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,200}|[\\[\\]a-z_=.\"'#{}0-9 \n\r\té🦀\u{0}]{0,200}") {
        let _ = parse(&text).map_err(|error| error.to_string());
    }

    /// Any piece of a good file put anywhere else is a configuration or an error with a place within the text.
    #[test]
    fn no_damage_makes_it_panic(cut in 0usize..3_000, from in 0usize..3_000, len in 0usize..80, junk in "\\PC{0,4}") {
        let text: Vec<char> = (uncommented() + RICH).chars().collect();
        let (cut, from) = (cut % text.len(), from % text.len());
        let piece = &text[from..(from + len).min(text.len())];
        let damaged: String = text[..cut].iter().chain(piece).copied().chain(junk.chars()).chain(text[cut..].iter().copied()).collect();
        if let Err(ConfigError::Invalid { problems, .. }) = parse(&damaged) {
            for problem in problems {
                let line = damaged.split('\n').nth(problem.line - 1);
                prop_assert!(line.is_some_and(|line| problem.column <= line.chars().count() + 1), "{problem:?}");
            }
        }
    }

    #[test]
    fn durations_in_bounds_are_shown_as_they_are_read(ms in 1u64..86_400_000) {
        let length = Duration::from_millis(ms);
        let config = parse(&format!("[timeouts]\nidle = '{}'", format_duration(length))).unwrap();
        prop_assert_eq!(config.timeouts.idle, length);
        prop_assert_eq!(parse(&show(&config, NO_ENV)).unwrap(), config);
    }
}
