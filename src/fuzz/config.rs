//! The configuration: files that mean something known, written in TOML's several ways, the same damaged, and long runs of anything.

use std::collections::BTreeMap;
use std::fs;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Map, Number, Value};

use super::config_text::Writer;
use super::{damage, fuzz};
use crate::config::{
    AutoReply, Config, ConfigError, DEFAULT_TEXT, EditMode, Env, Lease, MAX_PROBLEMS, MidStream, OnStart, Preempt,
    Queue, QueuePosition, Retry, Ui, check, show,
};
use crate::domain::{Alert, ModelName, Notify, Reasoning, Render};
use crate::provider::{KeySource, Kind, Profile, Timeouts};

const NO_ENV: Env<'static> = &|_| None;
const FILE: &str = "config.toml";

const JUNK: &[&[u8]] = &[
    b"\n",
    b"\r",
    b"\r\n",
    b"\0",
    b"\xff",
    b"\xc3",
    b"\xef\xbb\xbf",
    b"\xe2\x80\xae",
    b"\xf0\x9f\x98\x80",
    b"#",
    b"=",
    b".",
    b",",
    b"\"",
    b"'",
    b"\"\"\"",
    b"'''",
    b"[",
    b"]",
    b"[[",
    b"]]",
    b"{",
    b"}",
    b"\\",
    b"\\u",
    b"\\U0010ffff",
    b"\\ud800",
    b"\\x41",
    b"inf",
    b"nan",
    b"-",
    b"_",
    b"0x",
    b"0xffffffffffffffff",
    b"99999999999999999999",
    b"1e999",
    b"-0.0",
    b"1979-05-27T07:32:00Z",
    b"07:32:00",
    b"true",
    b"\"1e9s\"",
    b"\"99999d\"",
    b"a.",
    b"[a]\n",
    b"[[retry]]\n",
    b"[providers]\n",
    b"[providers.x]\n",
    b"providers.x.kind = 'openai'\n",
    b"kind = 1\n",
    b"model = \"x\"\n",
    b"model = \"demo:\"\n",
    b"[retry]\nmax_attempts = 0\n",
    b"api_key = \"sk-1\"\n",
    b"extra_body = { x = nan }\n",
    b"headers = { authorization = 'x' }\n",
    &[b' '; 400],
    &[b'['; 200],
];

fn times(bounds: RangeInclusive<u64>) -> impl Strategy<Value = Duration> {
    bounds.prop_map(Duration::from_millis)
}

const DAY: u64 = 86_400_000;

fn timeouts() -> impl Strategy<Value = Timeouts> {
    let time = || times(1..=DAY);
    (time(), time(), time(), time()).prop_map(|(connect, headers, first, idle)| Timeouts {
        connect,
        headers,
        first,
        idle,
    })
}

fn queue() -> impl Strategy<Value = Queue> {
    let counts = (1usize..=1_000, 1usize..=100_000, 1usize..=1_000_000);
    (counts, times(1..=DAY), prop::sample::select(Preempt::ALL)).prop_map(|(counts, ageing, preempt)| {
        let (max_concurrent, max_pending, max_pending_total) = counts;
        Queue { max_concurrent, max_pending, max_pending_total, ageing, preempt }
    })
}

fn retry() -> impl Strategy<Value = Retry> {
    let numbers = (1u32..=100, 1.0f64..=10.0, 0.0f64..=1.0);
    let delays = (times(0..=DAY), times(0..=DAY), times(0..=10 * DAY));
    (numbers, delays, prop::sample::select(MidStream::ALL)).prop_map(|(numbers, delays, mid_stream)| {
        let ((max_attempts, multiplier, jitter), (a, b, max_retry_after)) = (numbers, delays);
        let (initial_delay, max_delay) = (a.min(b), a.max(b));
        Retry { max_attempts, initial_delay, multiplier, max_delay, jitter, max_retry_after, mid_stream }
    })
}

fn lease() -> impl Strategy<Value = Lease> {
    let beat = || times(10..=3_600_000);
    (beat(), beat(), beat(), beat()).prop_map(|(heartbeat, a, b, c)| {
        let max_wait = a.max(b).max(c);
        Lease { heartbeat, quiet_period: a.min(b), max_wait, check_interval: c.min(b) }
    })
}

fn auto_reply() -> impl Strategy<Value = AutoReply> {
    let flags = (any::<bool>(), any::<bool>());
    let position = prop::sample::select(QueuePosition::ALL);
    (flags, position, 1u32..=10_000, times(0..=DAY), 1u64..=1_000_000_000).prop_map(
        |((allow_interruption, stop_on_repeat), queue_position, max_turns, max_time, max_tokens)| AutoReply {
            allow_interruption,
            queue_position,
            max_turns,
            max_time,
            max_tokens,
            stop_on_repeat,
        },
    )
}

fn ui() -> impl Strategy<Value = Ui> {
    let looks = (prop::sample::select(Render::ALL), prop::sample::select(Reasoning::ALL));
    let calls = (prop::sample::select(Notify::ALL), prop::sample::select(Alert::ALL), times(0..=DAY));
    (looks, calls, prop::sample::select(EditMode::ALL), any::<bool>()).prop_map(
        |((render, reasoning), (notify, alert, alert_after), edit_mode, plain)| Ui {
            render,
            notify,
            reasoning,
            edit_mode,
            alert,
            alert_after,
            plain,
        },
    )
}

/// What TOML can hold of JSON: all but null and numbers beyond `i64`.
fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        prop_oneof![any::<f64>(), -1.0f64..1.0]
            .prop_filter_map("no number", |n| Number::from_f64(n).map(Value::Number)),
        prop_oneof![any::<String>(), "[a-z\n\r\t\"'\\\\\0\u{7f}é#=]{0,9}"].prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..5)
                .prop_map(|all| Value::Object(all.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// Whether `show` may leave it out, for a secret could stand there.
fn sounds_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["key", "token", "auth", "secret", "pass", "cookie"].iter().any(|word| name.contains(word))
}

fn all_harmless(name: &str, value: &Value) -> bool {
    let below = match value {
        Value::Array(all) => all.iter().all(|value| all_harmless("", value)),
        Value::Object(all) => all.iter().all(|(name, value)| all_harmless(name, value)),
        _ => true,
    };
    below && !sounds_secret(name)
}

fn profiles() -> impl Strategy<Value = BTreeMap<String, Profile>> {
    let model = || prop_oneof![4 => "[a-z0-9é.:/\"'\\\\#-]{1,12}", 1 => "local:[a-z:]{1,4}"];
    let url = "https?://([a-z]{1,8}|127\\.0\\.0\\.1|\\[::1\\])(:[0-9]{1,4})?(/[a-z0-9\"'é%{}]{1,5}){0,2}";
    let key = prop::option::of("[A-Z_a-z][A-Z0-9_]{0,8}");
    let kind = prop::sample::select(Kind::ALL);
    let auth_header = prop::option::of("[!#$%&'*+.^_`|~A-Za-z0-9-]{1,8}");
    let models = (
        prop::option::of(model()),
        prop::collection::vec(model(), 0..4),
        prop::option::of(1usize..=1_000),
        auth_header,
    );
    let headers = prop::collection::btree_map("[!#$%&'*+.^_`|~A-Za-z0-9-]{1,8}", "[ -~\t]{0,12}", 0..4);
    let body = prop::collection::btree_map(prop_oneof![any::<String>(), "[a-z_]{1,8}"], json(), 0..4);
    let name = prop_oneof![4 => "[a-z0-9é_.\"'\\\\\\[\\]#=-]{1,10}", 1 => Just("local".to_owned()), 1 => "(openai|demo|ollama)"];
    let profile = (kind, url, key, models, headers, body).prop_map(|(kind, url, key, models, headers, body)| Profile {
        name: String::new(),
        kind,
        base_url: if kind == Kind::Demo { String::new() } else { url.trim_end_matches('/').to_owned() },
        key: key.map_or(KeySource::None, |name| KeySource::Env { name, required: true }),
        default_model: models.0,
        models: models.1,
        auth_header: models.3,
        max_concurrent: models.2,
        headers: headers.into_iter().filter(|(name, _)| !sounds_secret(name)).collect(),
        extra_body: body.into_iter().filter(|(name, value)| all_harmless(name, value)).collect(),
    });
    prop::collection::btree_map(name, profile, 0..4)
}

/// A configuration, and the text that means it.
fn meant() -> impl Strategy<Value = (Config, String)> {
    let sections = (timeouts(), queue(), retry(), lease(), auto_reply(), ui());
    let styles = prop::collection::vec(any::<u8>(), 1..20);
    (sections, prop::sample::select(OnStart::ALL), profiles(), styles).prop_map(
        |(sections, on_start, profiles, styles)| {
            let (timeouts, queue, retry, lease, auto_reply, ui) = sections;
            let mut config = Config { on_start, timeouts, queue, retry, lease, auto_reply, ui, ..Config::default() };
            let mut made = Vec::new();
            for (name, mut profile) in profiles {
                let built_in = config.providers.get(&name).filter(|old| old.kind == profile.kind);
                profile.name.clone_from(&name);
                // What a section does not say stays as it is built in.
                if let Some(old) = built_in {
                    if profile.key == KeySource::None {
                        profile.key = old.key.clone();
                    }
                    profile.default_model = profile.default_model.or_else(|| old.default_model.clone());
                } else if profile.kind == Kind::Demo {
                    profile.default_model = profile.default_model.or_else(|| Some("tour".to_owned()));
                }
                if let Some(model) = &profile.default_model {
                    config.model = ModelName { provider: name.clone(), model: model.clone() };
                }
                made.push(name.clone());
                config.providers.insert(name, profile);
            }
            let text = Writer::new(styles).whole(&config, &made);
            (config, text)
        },
    )
}

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new(FILE), NO_ENV)
}

#[test]
fn fuzz_meant_configurations() {
    fuzz("meant configurations", 150, &meant(), |(config, text)| {
        let read = parse(&text).unwrap_or_else(|e| panic!("{e}\n{text}"));
        assert_eq!(read, config, "{text}");
        let shown = show(&config, NO_ENV);
        let again = parse(&shown).unwrap_or_else(|e| panic!("{e}\n{shown}"));
        assert_eq!(again, config, "{shown}");
        assert!(check(&config, None, NO_ENV).lines().last().is_some_and(|line| line.starts_with("ok: ")));
    });
}

/// A configuration or problems, each at a place of the file and fit to be shown.
fn told(text: &str, outcome: Result<Config, ConfigError>) {
    let error = match outcome {
        Ok(config) => return assert!(!show(&config, NO_ENV).is_empty()),
        Err(error) => error,
    };
    let ConfigError::Invalid { problems, .. } = error else { panic!("{error}") };
    assert!((1..=MAX_PROBLEMS).contains(&problems.len()));
    assert!(problems.is_sorted_by_key(|problem| problem.line));
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for problem in problems {
        let line = text.split('\n').nth(problem.line - 1);
        assert!(line.is_some_and(|line| (1..=line.chars().count() + 1).contains(&problem.column)), "{problem:?}");
        let (chars, text) = (problem.text.chars().count(), &problem.text);
        assert!((1..=600).contains(&chars) && !text.contains(char::is_control), "{text:?}");
    }
}

#[test]
fn fuzz_damaged_configurations() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    let default: String = DEFAULT_TEXT.lines().map(|line| line.trim_start_matches('#').to_owned() + "\n").collect();
    let base =
        prop_oneof![2 => meant().prop_map(|(_, text)| text), 1 => Just(default), 1 => Just(DEFAULT_TEXT.to_owned())];
    let inputs = (base, prop::collection::vec(damage(JUNK), 1..6));
    fuzz("damaged configurations", 200, &inputs, |(text, damages)| {
        let mut bytes = text.into_bytes();
        for damage in damages {
            damage.strike(&mut bytes);
        }
        match std::str::from_utf8(&bytes) {
            Ok(text) => told(text, parse(text)),
            Err(_) => {
                fs::write(&path, &bytes).unwrap();
                told(&String::from_utf8_lossy(&bytes), Config::read(&path, NO_ENV));
            }
        }
    });
}

/// Long runs of the same: brackets, dots, quotes, thousands of keys.
#[test]
fn fuzz_long_configurations() {
    let run = (prop::sample::select(JUNK), 1usize..20_000)
        .prop_map(|(bytes, count)| bytes.repeat(count.min(1 + 40_000 / bytes.len())));
    let head = prop::sample::select(vec![
        "",
        "x = ",
        "[",
        "[providers.x]\nkind = 'openai'\nextra_body = { x = ",
        "extra_body.",
        "[providers.x.extra_body.",
        "model = \"",
        "[retry]\nmax_delay = '",
        "[providers.x]\nextra_body.",
        "[providers.x]\nbase_url = '''",
    ]);
    let inputs = (
        head,
        prop::collection::vec(run, 1..3),
        prop::sample::select(vec!["", "a", "a = 1", "a]\nb = 1", " }", "\"", "'", "'''", " = nan"]),
    );
    fuzz("long configurations", 60, &inputs, |(head, runs, tail)| {
        let text = [head.as_bytes(), &runs.concat(), tail.as_bytes()].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        told(&text, parse(&text));
    });
}
