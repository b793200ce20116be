//! Keys, and that they are never seen: read when a request needs them, marked sensitive, struck from every error.

use std::ffi::OsStr;
use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use reqwest::header::{HeaderName, HeaderValue};

use super::{KeySource, Profile};
use crate::domain::text::without_bom;
use crate::domain::{ErrorKind, ProviderError};

/// How long a key command may take.
pub(crate) const KEY_COMMAND_LIMIT: Duration = Duration::from_secs(10);
/// What is kept of its output; the rest is read and dropped.
const MAX_KEY_OUTPUT_BYTES: usize = 64 << 10;
/// How often its end is looked for, once it has closed its output.
const EXIT_POLL: Duration = Duration::from_millis(2);
/// What stands where a key stood.
const STRUCK: &str = "[key]";

/// What must not be seen in any error of one request.
#[derive(Default, Clone)]
pub(crate) struct Secrets(Vec<String>);

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secrets({})", self.0.len())
    }
}

impl Secrets {
    /// One more secret. With a scheme before it (`Bearer …`) what follows is a secret of its own.
    pub(crate) fn add(&mut self, secret: &str) {
        self.0.extend(secret.split_once(' ').map(|(_, rest)| rest.trim().to_owned()));
        self.0.push(secret.to_owned());
        self.0.retain(|s| !s.is_empty());
        // The longest first, so that nothing is left of one that holds another.
        self.0.sort_by_key(|s| std::cmp::Reverse(s.len()));
    }

    /// `text` without any of them.
    pub(crate) fn strike(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), STRUCK))
    }
}

/// Whether a header of the configuration is likely to hold a secret.
pub(crate) fn is_secret_header(name: &HeaderName) -> bool {
    ["auth", "key", "token", "secret", "cookie", "password"].iter().any(|word| name.as_str().contains(word))
}

/// The key of `profile`, if one is to be sent.
///
/// # Errors
/// Of kind `Configuration`: the variable is needed and not set, the command failed, or the key cannot be a header.
pub(crate) async fn key(profile: &Profile) -> Result<Option<String>, ProviderError> {
    let fatal = |text: String| ProviderError::fatal(ErrorKind::Configuration, text);
    match &profile.key {
        KeySource::None => Ok(None),
        KeySource::Env { name, required } => match std::env::var_os(name).filter(|value| !is_blank(value)) {
            Some(value) => match value.into_string() {
                Ok(value) => Ok(Some(key_in(&value).to_owned())),
                Err(_) => Err(fatal(format!("the key in {name} is no text: set it anew"))),
            },
            None if *required => {
                Err(fatal(format!("{name} is not set: export the key of {} under that name", profile.name)))
            }
            None => Ok(None),
        },
        KeySource::Command(command) => {
            let own = command.clone();
            let ran = tokio::task::spawn_blocking(move || run(&own, KEY_COMMAND_LIMIT)).await;
            match ran.unwrap_or_else(|_| Err("it could not be run".to_owned())) {
                Ok(key) => Ok(Some(key)),
                Err(why) => {
                    let command = KeySource::shown_command(command);
                    Err(fatal(format!("the key command `{command}` failed: {why}")))
                }
            }
        }
    }
}

/// The key in what a variable or a line holds: `$(cat FILE)` brings along what editors put around it.
fn key_in(text: &str) -> &str {
    without_bom(text.trim()).trim()
}

/// Whether a variable's value is as good as none.
fn is_blank(value: &OsStr) -> bool {
    value.to_str().is_some_and(|text| key_in(text).is_empty())
}

/// A key as a header's value: sensitive, so that no log shows it.
///
/// # Errors
/// Of kind `Configuration` when it holds what no header may. The key is not in the error.
pub(crate) fn header(key: &str, scheme: &str, profile: &Profile) -> Result<HeaderValue, ProviderError> {
    let good = key.bytes().all(|b| (b' '..=b'~').contains(&b));
    let value = good.then(|| HeaderValue::from_str(&format!("{scheme}{key}"))).and_then(Result::ok);
    let mut value = value.ok_or_else(|| {
        let whence = whence(profile);
        let text = format!("the key of {} holds characters that no key has: check {whence}", profile.name);
        ProviderError::fatal(ErrorKind::Configuration, text)
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// Where the key of `profile` comes from, for a remedy.
pub(crate) fn whence(profile: &Profile) -> String {
    match &profile.key {
        KeySource::None => format!("api_key_env of [providers.{}]", profile.name),
        KeySource::Env { name, .. } => name.clone(),
        KeySource::Command(command) => format!("what `{}` prints", KeySource::shown_command(command)),
    }
}

/// The first line that `command` prints. The error says what happened, never what was printed.
fn run(command: &str, limit: Duration) -> Result<String, String> {
    let end = Instant::now() + limit;
    let late = || format!("no key within {} s", limit.as_secs_f64());
    let mut child = Command::new("sh")
        .arg("-c")
        .arg(command)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|e| e.to_string())?;
    let (sender, output) = mpsc::sync_channel(1);
    if let Some(mut stdout) = child.stdout.take() {
        // A thread of its own: what the command left behind may hold the pipe open for ever.
        std::thread::spawn(move || {
            let mut kept = Vec::new();
            let mut block = [0; 4_096];
            while let Ok(n @ 1..) = stdout.read(&mut block) {
                let room = MAX_KEY_OUTPUT_BYTES - kept.len();
                kept.extend_from_slice(&block[..n.min(room)]);
            }
            let _ = sender.send(kept);
        });
    }
    let printed = output.recv_timeout(limit);
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if printed.is_ok() && Instant::now() < end => std::thread::sleep(EXIT_POLL),
            _ => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(late());
            }
        }
    };
    if !status.success() {
        return Err(status.to_string());
    }
    let printed = String::from_utf8(printed.map_err(|_| late())?).map_err(|_| "it printed no text".to_owned())?;
    match printed.lines().next().map(key_in) {
        Some(key) if !key.is_empty() => Ok(key.to_owned()),
        _ => Err("it printed nothing".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    #[test]
    fn a_key_command_gives_its_first_line_or_a_reason_without_its_output() {
        let check = |command: &str, expected: Result<&str, &str>| {
            let got = run(command, LIMIT);
            assert_eq!(got.as_deref().map_err(String::as_str), expected, "{command}");
        };
        check("echo sk-1", Ok("sk-1"));
        check("printf 'sk-1\\nuser: me\\n'", Ok("sk-1"));
        check("printf '  sk-1 \\r\\n'", Ok("sk-1"));
        check("echo sk-secret; exit 3", Err("exit status: 3"));
        check("true", Err("it printed nothing"));
        check("printf '\\377'", Err("it printed no text"));
        check("echo sk-1; head -c 200000 /dev/zero", Ok("sk-1"));
    }

    #[test]
    fn a_key_command_that_hangs_is_ended() {
        for command in ["sleep 600", "echo sk-1; exec >&-; exec sleep 600"] {
            assert_eq!(run(command, Duration::from_millis(50)), Err("no key within 0.05 s".to_owned()), "{command}");
        }
    }

    #[test]
    fn a_key_command_is_named_by_its_program() {
        let check = |command: &str, expected: &str| assert_eq!(KeySource::shown_command(command), expected);
        check("pass show local", "pass …");
        check("get-key", "get-key");
        check("TOKEN=sk-1 get-key", "…");
        check("", "…");
    }

    #[test]
    fn secrets_are_struck_also_behind_their_scheme() {
        let mut secrets = Secrets::default();
        secrets.add("Bearer sk-12");
        secrets.add("sk-123");
        assert_eq!(secrets.strike("bad key sk-123, sk-12 (Bearer sk-12)"), "bad key [key], [key] ([key])");
        assert_eq!(format!("{secrets:?}"), "Secrets(3)");
    }
}
