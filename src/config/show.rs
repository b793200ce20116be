//! What `chatmux config init | show | path | check` say. Texts in, texts out; the command line (above) prints them.

use std::fmt::Write;
use std::io;
use std::path::Path;

use super::error::ConfigError;
use super::places::{create_private_file, create_private_folder};
use super::providers::{self, Env};
use super::trust;
use super::{Config, DEFAULT_TEXT};
use crate::domain::time::format_duration;
use crate::provider::{KeySource, Kind, Profile, Timeouts};

/// Writes the commented default file, 0600, in folders 0700, and says so.
///
/// # Errors
/// The file exists (it is left as it is), or cannot be written.
pub fn init(path: &Path) -> Result<String, ConfigError> {
    let unwritable = |path: &Path| {
        let path = path.to_owned();
        move |reason| ConfigError::Unwritable { path, reason }
    };
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        create_private_folder(folder).map_err(unwritable(folder))?;
    }
    match create_private_file(path, DEFAULT_TEXT) {
        Ok(()) => Ok(format!("wrote {}\n", path.display())),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(ConfigError::Exists(path.to_owned())),
        Err(error) => Err(unwritable(path)(error)),
    }
}

/// The paths in use, one a line; `None` for a log that has no place.
pub fn path(config: &Path, database: &Path, log: Option<&Path>) -> String {
    let log = log.map_or_else(|| "none (no home directory is known)".to_owned(), |log| log.display().to_string());
    let missing = if config.exists() { "" } else { "   (not there; `chatmux config init` writes it)" };
    format!("config    {}{missing}\ndatabase  {}\nlog       {log}\n", config.display(), database.display())
}

/// What a configuration that was read without an error still lacks: a warning a line, then `ok`. Keys are looked for, never
/// shown; commands are not run. `file`: where it was read, if anywhere; others who can change it can have keys sent to them.
pub fn check(config: &Config, file: Option<&Path>, env: Env<'_>) -> String {
    let mut out = String::new();
    if let Some(warning) = file.and_then(trust::warning) {
        line(&mut out, format_args!("warning: {warning}"));
    }
    for profile in config.providers.values() {
        let name = &profile.name;
        let warning = match &profile.key {
            KeySource::Env { name: variable, required: true } if providers::set(env, variable).is_none() => {
                format!("{name}: {variable} is not set, so {name}:MODEL cannot be used")
            }
            KeySource::None if needs_key(profile) => {
                format!(
                    "{name}: neither api_key_env nor api_key_command is given, so no key is sent to {}",
                    profile.base_url
                )
            }
            KeySource::None | KeySource::Env { .. } | KeySource::Command(_) => continue,
        };
        line(&mut out, format_args!("warning: {warning}"));
    }
    line(&mut out, format_args!("ok: new sessions use {}", config.model));
    out
}

/// Whether the host is one that answers nobody without a key.
fn needs_key(profile: &Profile) -> bool {
    profile.base_url.starts_with("https://") && profile.base_url == profile.kind.base_url()
}

/// The configuration in force, as a file that would make it so. What may be a secret is left out and says so.
pub fn show(config: &Config, env: Env<'_>) -> String {
    let mut out = String::new();
    let Config { model, on_start, providers, timeouts, queue, retry, lease, auto_reply, ui, record: _ } = config;
    line(&mut out, format_args!("model = {}\non_start = \"{on_start}\"", quoted(&model.to_string())));
    for profile in providers.values() {
        show_provider(&mut out, profile, env);
    }
    let mut section = |name: &str, pairs: &[(&str, String)]| {
        line(&mut out, format_args!("\n[{name}]"));
        for (key, value) in pairs {
            line(&mut out, format_args!("{key} = {value}"));
        }
    };
    let time = |length| format!("\"{}\"", format_duration(length));
    let word = |word: &str| format!("\"{word}\"");
    let Timeouts { connect, headers, first, idle } = *timeouts;
    let waits = [("connect", connect), ("headers", headers), ("first", first), ("idle", idle)];
    section("timeouts", &waits.map(|(key, length)| (key, time(length))));
    section(
        "queue",
        &[
            ("max_concurrent", queue.max_concurrent.to_string()),
            ("max_pending", queue.max_pending.to_string()),
            ("max_pending_total", queue.max_pending_total.to_string()),
            ("ageing", time(queue.ageing)),
            ("preempt", word(queue.preempt.as_str())),
        ],
    );
    section(
        "retry",
        &[
            ("max_attempts", retry.max_attempts.to_string()),
            ("initial_delay", time(retry.initial_delay)),
            ("multiplier", format!("{:?}", retry.multiplier)),
            ("max_delay", time(retry.max_delay)),
            ("jitter", format!("{:?}", retry.jitter)),
            ("max_retry_after", time(retry.max_retry_after)),
            ("mid_stream", word(retry.mid_stream.as_str())),
        ],
    );
    section(
        "lease",
        &[
            ("heartbeat", time(lease.heartbeat)),
            ("quiet_period", time(lease.quiet_period)),
            ("max_wait", time(lease.max_wait)),
            ("check_interval", time(lease.check_interval)),
        ],
    );
    section(
        "auto_reply",
        &[
            ("allow_interruption", auto_reply.allow_interruption.to_string()),
            ("queue_position", word(auto_reply.queue_position.as_str())),
            ("max_turns", auto_reply.max_turns.to_string()),
            ("max_time", time(auto_reply.max_time)),
            ("max_tokens", auto_reply.max_tokens.to_string()),
            ("stop_on_repeat", auto_reply.stop_on_repeat.to_string()),
        ],
    );
    section(
        "ui",
        &[
            ("render", word(ui.render.as_str())),
            ("notify", word(ui.notify.as_str())),
            ("reasoning", word(ui.reasoning.as_str())),
            ("edit_mode", word(ui.edit_mode.as_str())),
            ("alert", word(ui.alert.as_str())),
            ("alert_after", time(ui.alert_after)),
            ("plain", ui.plain.to_string()),
        ],
    );
    out
}

fn show_provider(out: &mut String, profile: &Profile, env: Env<'_>) {
    let title = format!("providers.{}", key(&profile.name));
    line(out, format_args!("\n[{title}]\nkind = \"{}\"", profile.kind));
    if profile.kind != Kind::Demo {
        line(out, format_args!("base_url = {}", quoted(&profile.base_url)));
    }
    match &profile.key {
        KeySource::None => {}
        KeySource::Env { name, .. } => {
            let state = if providers::set(env, name).is_some() { "set" } else { "not set" };
            line(out, format_args!("api_key_env = {}   # {state}", quoted(name)));
        }
        KeySource::Command(command) => {
            line(out, format_args!("# api_key_command = {}", quoted(&KeySource::shown_command(command))));
        }
    }
    if let Some(model) = &profile.default_model {
        // One that begins like the provider's name would lose that beginning when it is read.
        let prefix = format!("{}:", profile.name);
        let prefix = if model.starts_with(&prefix) { prefix } else { String::new() };
        line(out, format_args!("model = {}", quoted(&(prefix + model))));
    }
    if !profile.models.is_empty() {
        let models: Vec<_> = profile.models.iter().map(|model| quoted(model)).collect();
        line(out, format_args!("models = [{}]", models.join(", ")));
    }
    if let Some(header) = &profile.auth_header {
        line(out, format_args!("auth_header = {}", quoted(header)));
    }
    if let Some(most) = profile.max_concurrent {
        line(out, format_args!("max_concurrent = {most}"));
    }
    let members = |out: &mut String, table: &str, members: Vec<(&String, toml::Value)>| {
        if members.is_empty() {
            return;
        }
        line(out, format_args!("\n[{title}.{table}]"));
        for (name, value) in members {
            match may_be_secret(name, &value) {
                true => line(out, format_args!("# {} is set, and not shown: it may be a secret", key(name))),
                false => line(out, format_args!("{} = {value}", key(name))),
            }
        }
    };
    let header = |(name, text): (_, &String)| (name, toml::Value::String(text.clone()));
    members(out, "headers", profile.headers.iter().map(header).collect());
    // What came from TOML goes back into TOML.
    let body = profile.extra_body.iter().filter_map(|(name, json)| Some((name, toml::Value::try_from(json).ok()?)));
    members(out, "extra_body", body.collect());
}

/// Whether a name sounds like a secret's and a text stands under it, at any depth. Numbers (`max_tokens`) are no secrets.
fn may_be_secret(name: &str, value: &toml::Value) -> bool {
    let name = name.to_ascii_lowercase();
    match value {
        toml::Value::String(_) => ["key", "token", "auth", "secret", "pass", "cookie"].iter().any(|w| name.contains(w)),
        toml::Value::Array(items) => items.iter().any(|item| may_be_secret(&name, item)),
        toml::Value::Table(table) => table.iter().any(|(name, value)| may_be_secret(name, value)),
        toml::Value::Integer(_) | toml::Value::Float(_) | toml::Value::Boolean(_) | toml::Value::Datetime(_) => false,
    }
}

/// A line more. Writing to a `String` cannot fail.
fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    let _ = writeln!(out, "{text}");
}

/// A basic TOML string on one line; JSON's escapes are a part of TOML's, but for DEL.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

/// A TOML key, bare where it can be.
fn key(text: &str) -> String {
    let bare = !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if bare { text.to_owned() } else { quoted(text) }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{NO_ENV, RICH, parse, uncommented};
    use super::*;

    #[test]
    fn init_writes_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chatmux/config.toml");
        assert_eq!(init(&path).unwrap(), format!("wrote {}\n", path.display()));
        assert_eq!(Config::load(Some(&path), NO_ENV).unwrap(), Config::default());
        std::fs::write(&path, "# mine").unwrap();
        let message = init(&path).unwrap_err().to_string();
        assert_eq!(message, format!("{}: exists already and is left as it is; move it away first", path.display()));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "# mine");
        assert!(init(&path.join("below")).unwrap_err().to_string().contains("cannot be written"));
        assert!(super::path(&path, Path::new("/d"), None).contains("log       none"));
    }

    #[test]
    fn what_is_shown_would_make_it_so() {
        for text in ["", RICH, &uncommented()] {
            let config = parse(text).unwrap();
            let shown = show(&config, &|name| (name == "K").then(|| "sk-hidden".to_owned()));
            assert_eq!(parse(&shown).unwrap(), config, "{shown}");
            assert!(!shown.contains("hidden"));
        }
        let shown = show(&parse(RICH).unwrap(), &|name| (name == "K").then(|| "sk-hidden".to_owned()));
        assert!(shown.contains("api_key_env = \"K\"   # set\n"), "{shown}");
        assert!(shown.contains("api_key_env = \"GEMINI_API_KEY\"   # not set\n"), "{shown}");
    }

    #[test]
    fn a_model_that_begins_like_its_provider_is_shown_whole() {
        let config = parse("[providers.x]\nkind = 'openai'\nmodel = 'x:x:y'").unwrap();
        assert_eq!(config.providers["x"].default_model.as_deref(), Some("x:y"));
        assert_eq!(parse(&show(&config, NO_ENV)).unwrap(), config);
    }

    #[test]
    fn what_may_be_a_secret_is_not_shown() {
        let text = "[providers.x]\nkind = 'openai'\napi_key_command = 'echo sk-hidden'\n\
                    headers = { X-Auth-Token = 'hidden' }\nextra_body = { user = { api_key = 'hidden' } }";
        let shown = show(&parse(text).unwrap(), NO_ENV);
        assert!(!shown.contains("hidden"), "{shown}");
        assert!(shown.contains("# X-Auth-Token is set, and not shown") && shown.contains("\"echo …\""), "{shown}");
    }

    #[test]
    fn check_names_the_keys_that_are_missing() {
        let config =
            parse("[providers.x]\nkind = 'openai'\n[providers.y]\nkind = 'openai'\nbase_url = 'http://a'").unwrap();
        let found = check(&config, None, &|name| (name == "GEMINI_API_KEY").then(|| "k".to_owned()));
        let lines: Vec<_> = found.lines().collect();
        assert_eq!(lines[0], "warning: anthropic: ANTHROPIC_API_KEY is not set, so anthropic:MODEL cannot be used");
        assert_eq!(lines[1], "warning: openai: OPENAI_API_KEY is not set, so openai:MODEL cannot be used");
        assert!(lines[2].starts_with("warning: x: neither api_key_env nor"), "{found}");
        assert_eq!(lines[3..], ["ok: new sessions use demo:tour"]);
    }
}
