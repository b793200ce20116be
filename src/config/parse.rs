//! What there is to read in a configuration, section by section, with the bounds of each value. Pure: text in,
//! configuration or problems out. `read` (beside) knows how a value is taken; this file knows which ones there are.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use toml::de::{DeTable, DeValue};

use super::error::{ConfigError, Problem};
use super::providers::{self, Env, bare, check_base_url};
use super::read::{Problems, Section, located, to_json};
use super::{AutoReply, Config, Lease, OnStart, Queue, Retry, Ui};
use crate::domain::ModelName;
use crate::domain::text::{is_unsafe, one_line};
use crate::domain::time::{MAX_DURATION, format_duration};
use crate::provider::{KeySource, Kind, Profile, Timeouts};

/// Waits that may not be nothing. The upper bound tells a wait from a typing error.
const WAIT: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(86_400);
/// Waits that may be nothing.
const DELAY: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(86_400);
/// A server may ask for days, and `max_retry_after` may grant them.
const LONG: RangeInclusive<Duration> = Duration::ZERO..=MAX_DURATION;
/// Waits of the lease: what is shorter would keep the database busy for nothing.
const BEAT: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(3_600);
/// Requests at once; each holds a connection or a share of one.
const CONCURRENT: RangeInclusive<usize> = 1..=1_000;
/// Entries that wait in one session.
const PENDING: RangeInclusive<usize> = 1..=100_000;
/// Entries that wait in all.
const PENDING_TOTAL: RangeInclusive<usize> = 1..=1_000_000;
/// Attempts of one entry.
const ATTEMPTS: RangeInclusive<u32> = 1..=100;
/// Turns of an auto-reply loop.
const TURNS: RangeInclusive<u32> = 1..=10_000;
/// Tokens of an auto-reply loop.
const TOKENS: RangeInclusive<u64> = 1..=1_000_000_000;
/// Characters of a provider's name.
const MAX_PROVIDER_CHARS: usize = 64;

/// Keys that people try, and that would put a secret into the file.
const INLINE_KEYS: [&str; 7] = ["api_key", "apikey", "api-key", "key", "token", "secret", "password"];
/// Headers that carry a key.
const KEY_HEADERS: [&str; 6] =
    ["authorization", "proxy-authorization", "x-api-key", "x-goog-api-key", "api-key", "cookie"];
/// Headers that say how a request is framed and where it goes, which is the client's business; with another value it is broken.
const FRAMING_HEADERS: [&str; 11] = [
    "connection",
    "content-encoding",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
const NO_FRAMING: &str = "frames the request, and is not to be set";
const NO_INLINE_KEY: &str =
    "keys never stand in the file: name a variable in api_key_env or a command in api_key_command";

/// Reads a configuration. `path` is for errors only.
///
/// # Errors
/// [`ConfigError::Invalid`] with every problem's place, or a wrong environment variable.
pub(super) fn parse(text: &str, path: &Path, env: Env<'_>) -> Result<Config, ConfigError> {
    let invalid = |problems: Vec<Problem>| ConfigError::Invalid { path: path.to_owned(), problems };
    let built_in = providers::built_in(env)?;
    let root = DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or(text.len(), |span| span.start);
        invalid(vec![located(text, at, lower_case(error.message()))])
    })?;
    let mut problems = Problems::default();
    let mut top = Section::new("", root.into_inner(), &mut problems);
    let config = whole(&mut top, built_in, env);
    top.finish();
    let problems = problems.located(text);
    if problems.is_empty() { Ok(config) } else { Err(invalid(problems)) }
}

/// The parser's message as ours are written.
fn lower_case(message: &str) -> String {
    let line = one_line(message, 300);
    let mut chars = line.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

fn whole(top: &mut Section<'_, '_>, built_in: BTreeMap<String, Profile>, env: Env<'_>) -> Config {
    let chosen: Option<ModelName> = top.parsed("model", "PROVIDER:MODEL in quotes");
    let on_start = top.word("on_start", OnStart::Ask);
    let providers = providers(top, built_in);
    let model = match chosen.map(|name| providers::resolve(&providers, name)) {
        Some(Ok(model)) => model,
        Some(Err(error)) => {
            let at = top.place("model").unwrap_or_default();
            top.note(at, format!("model: {error}"));
            providers::model_by_key(&providers, env)
        }
        None => providers::model_by_key(&providers, env),
    };
    Config {
        model,
        on_start,
        providers,
        timeouts: top.section("timeouts", timeouts),
        queue: top.section("queue", queue),
        retry: top.section("retry", retry),
        lease: top.section("lease", lease),
        auto_reply: top.section("auto_reply", auto_reply),
        ui: top.section("ui", ui),
        record: None,
    }
}

fn timeouts(section: &mut Section<'_, '_>) -> Timeouts {
    let default = Timeouts::default();
    Timeouts {
        connect: section.duration("connect", default.connect, WAIT),
        headers: section.duration("headers", default.headers, WAIT),
        first: section.duration("first", default.first, WAIT),
        idle: section.duration("idle", default.idle, WAIT),
    }
}

fn queue(section: &mut Section<'_, '_>) -> Queue {
    let default = Queue::default();
    Queue {
        max_concurrent: section.count("max_concurrent", CONCURRENT).unwrap_or(default.max_concurrent),
        max_pending: section.count("max_pending", PENDING).unwrap_or(default.max_pending),
        max_pending_total: section.count("max_pending_total", PENDING_TOTAL).unwrap_or(default.max_pending_total),
        ageing: section.duration("ageing", default.ageing, WAIT),
        preempt: section.word("preempt", default.preempt),
    }
}

fn retry(section: &mut Section<'_, '_>) -> Retry {
    let default = Retry::default();
    let retry = Retry {
        max_attempts: section.count("max_attempts", ATTEMPTS).unwrap_or(default.max_attempts),
        initial_delay: section.duration("initial_delay", default.initial_delay, DELAY),
        multiplier: section.number("multiplier", default.multiplier, 1.0..=10.0),
        max_delay: section.duration("max_delay", default.max_delay, DELAY),
        jitter: section.number("jitter", default.jitter, 0.0..=1.0),
        max_retry_after: section.duration("max_retry_after", default.max_retry_after, LONG),
        mid_stream: section.word("mid_stream", default.mid_stream),
    };
    ordered(section, ("initial_delay", retry.initial_delay), ("max_delay", retry.max_delay));
    retry
}

fn lease(section: &mut Section<'_, '_>) -> Lease {
    let default = Lease::default();
    let lease = Lease {
        heartbeat: section.duration("heartbeat", default.heartbeat, BEAT),
        quiet_period: section.duration("quiet_period", default.quiet_period, BEAT),
        max_wait: section.duration("max_wait", default.max_wait, BEAT),
        check_interval: section.duration("check_interval", default.check_interval, BEAT),
    };
    ordered(section, ("quiet_period", lease.quiet_period), ("max_wait", lease.max_wait));
    ordered(section, ("check_interval", lease.check_interval), ("max_wait", lease.max_wait));
    lease
}

/// Notes a problem when the first is longer than the second, at whichever of them the file has.
fn ordered(section: &mut Section<'_, '_>, small: (&str, Duration), large: (&str, Duration)) {
    if small.1 <= large.1 {
        return;
    }
    let [s, l] = [small.1, large.1].map(format_duration);
    if let Some(at) = section.place(small.0) {
        section.note(at, format!("{} ({s}) must not be longer than {} ({l})", small.0, large.0));
    } else if let Some(at) = section.place(large.0) {
        section.note(at, format!("{} ({l}) must not be shorter than {} ({s})", large.0, small.0));
    }
}

fn auto_reply(section: &mut Section<'_, '_>) -> AutoReply {
    let default = AutoReply::default();
    AutoReply {
        allow_interruption: section.flag("allow_interruption", default.allow_interruption),
        queue_position: section.word("queue_position", default.queue_position),
        max_turns: section.count("max_turns", TURNS).unwrap_or(default.max_turns),
        max_time: section.duration("max_time", default.max_time, DELAY),
        max_tokens: section.count("max_tokens", TOKENS).unwrap_or(default.max_tokens),
        stop_on_repeat: section.flag("stop_on_repeat", default.stop_on_repeat),
    }
}

fn ui(section: &mut Section<'_, '_>) -> Ui {
    let default = Ui::default();
    Ui {
        render: section.word("render", default.render),
        notify: section.word("notify", default.notify),
        reasoning: section.word("reasoning", default.reasoning),
        edit_mode: section.word("edit_mode", default.edit_mode),
        alert: section.word("alert", default.alert),
        alert_after: section.duration("alert_after", default.alert_after, DELAY),
        plain: section.flag("plain", default.plain),
    }
}

fn providers(top: &mut Section<'_, '_>, mut profiles: BTreeMap<String, Profile>) -> BTreeMap<String, Profile> {
    for (name, at, value) in top.entries("providers") {
        let bad = name.is_empty()
            || name.chars().count() > MAX_PROVIDER_CHARS
            || name.chars().any(|c| c == ':' || c.is_whitespace() || is_unsafe(c));
        if bad {
            top.note(at, "a provider's name has 1 to 64 characters, no blanks, colons or control characters");
            continue;
        }
        let built_in = profiles.remove(&name);
        let title = format!("[providers.{name}]");
        let profile = top.inner(title, value, |section| provider(section, &name, at, built_in)).flatten();
        // With a problem noted there is no configuration; the bare profile only keeps a further error from misleading.
        profiles.insert(name.clone(), profile.unwrap_or_else(|| bare(&name, Kind::OpenAi)));
    }
    profiles
}

fn provider(section: &mut Section<'_, '_>, name: &str, at: usize, built_in: Option<Profile>) -> Option<Profile> {
    let kind = section.parsed::<Kind>("kind", "a word in quotes");
    let mut profile = match (kind, built_in) {
        (None, Some(profile)) => profile,
        // A built-in name with its own kind keeps its ways.
        (Some(kind), Some(profile)) if profile.kind == kind => profile,
        (Some(kind), _) => bare(name, kind),
        (None, None) => {
            if section.place("kind").is_none() {
                let kinds: Vec<_> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
                section.note(at, format!("[providers.{name}] needs a kind: one of {}", kinds.join(", ")));
            }
            bare(name, Kind::OpenAi)
        }
    };
    if let Some(url) = section.text("base_url", "a URL in quotes") {
        let place = section.place("base_url").unwrap_or(at);
        match check_base_url(&url) {
            Ok(_) if profile.kind == Kind::Demo => section.note(place, "base_url: the embedded model has no place"),
            Ok(url) => profile.base_url = url,
            Err(error) => section.note(place, format!("base_url {error}")),
        }
    }
    key(section, &mut profile);
    auth_header(section, &mut profile);
    if let Some(model) = section.text("model", "a model's name in quotes") {
        // Written with its provider in front it means the same.
        let model = model.strip_prefix(&format!("{name}:")).unwrap_or(&model).to_owned();
        match ok_model(&model) {
            true => profile.default_model = Some(model),
            false => section.note(section.place("model").unwrap_or(at), NO_MODEL),
        }
    }
    if let Some(models) = section.texts("models") {
        if !models.iter().all(|model| ok_model(model)) {
            section.note(section.place("models").unwrap_or(at), NO_MODEL);
        }
        profile.models = models;
    }
    profile.max_concurrent = section.count("max_concurrent", CONCURRENT).or(profile.max_concurrent);
    headers(section, &mut profile);
    for (key, at, value) in section.entries("extra_body") {
        match to_json(&value) {
            Ok(json) => drop(profile.extra_body.insert(key, json)),
            Err(_) => section.note(at, format!("extra_body: {key:?} holds a number that JSON has not")),
        }
    }
    Some(profile)
}

const NO_MODEL: &str = "a model's name has at least one character and no blanks or control characters";

fn ok_model(model: &str) -> bool {
    !model.is_empty() && !model.chars().any(|c| c.is_whitespace() || is_unsafe(c))
}

fn key(section: &mut Section<'_, '_>, profile: &mut Profile) {
    for inline in INLINE_KEYS {
        if let Some(at) = section.forbidden(inline) {
            section.note(at, format!("{inline}: {NO_INLINE_KEY}"));
        }
    }
    let variable = section.text("api_key_env", "an environment variable's name in quotes");
    let command = section.text("api_key_command", "a shell command in quotes");
    let place = |section: &Section<'_, '_>, key| section.place(key).unwrap_or_default();
    match (variable, command) {
        (None, None) => {}
        (Some(_), Some(_)) => {
            let at = place(section, "api_key_env").max(place(section, "api_key_command"));
            section.note(at, "api_key_env and api_key_command exclude each other: keep one");
        }
        (Some(name), None) if is_variable(&name) => profile.key = KeySource::Env { name, required: true },
        (Some(_), None) => {
            // What stands there may be the key itself, so it is not repeated.
            let text = "api_key_env is a variable's name (letters, digits and _), not the key itself";
            section.note(place(section, "api_key_env"), text);
        }
        (None, Some(command)) if command.trim().is_empty() => {
            section.note(place(section, "api_key_command"), "api_key_command must not be empty");
        }
        (None, Some(command)) => profile.key = KeySource::Command(command),
    }
}

fn auth_header(section: &mut Section<'_, '_>, profile: &mut Profile) {
    let Some(name) = section.text("auth_header", "a header's name in quotes") else { return };
    let problem = if !is_header(&name) {
        "auth_header is the name of the header that carries the key, such as \"api-key\"".to_owned()
    } else if is_framing(&name) {
        format!("auth_header: {name} {NO_FRAMING}")
    } else {
        profile.auth_header = Some(name);
        return;
    };
    section.note(section.place("auth_header").unwrap_or_default(), problem);
}

fn is_framing(name: &str) -> bool {
    FRAMING_HEADERS.iter().any(|framing| name.eq_ignore_ascii_case(framing))
}

fn is_header(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

fn is_variable(name: &str) -> bool {
    name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && name.bytes().next().is_some_and(|b| !b.is_ascii_digit())
}

fn headers(section: &mut Section<'_, '_>, profile: &mut Profile) {
    for (name, at, value) in section.entries("headers") {
        let DeValue::String(text) = value.get_ref() else {
            section.note(value.span().start, format!("headers: {} must be a string", one_line(&name, 40)));
            continue;
        };
        if KEY_HEADERS.contains(&name.to_ascii_lowercase().as_str()) {
            section.note(at, format!("headers: {name} carries a key, and {NO_INLINE_KEY}"));
        } else if is_framing(&name) {
            section.note(at, format!("headers: {name} {NO_FRAMING}"));
        } else if !is_header(&name) {
            section.note(at, format!("headers: {:?} is no header's name", one_line(&name, 40)));
        } else if !text.bytes().all(|b| matches!(b, b' '..=b'~' | b'\t')) {
            section.note(value.span().start, format!("headers: {name} may hold printable ASCII only"));
        } else {
            profile.headers.insert(name, text.as_ref().to_owned());
        }
    }
}
