//! Keys, and that they are never seen: read when a request needs them, marked sensitive, struck from everything that comes of a request.

use std::ffi::OsStr;
use std::sync::Arc;

use reqwest::header::{HeaderName, HeaderValue};
use tokio::sync::Semaphore;

use super::key_command::{self, KEY_COMMAND_LIMIT};
use super::scattered::scattered;
use super::strike::{Keys, STRUCK};
use super::{KeySource, Profile};
use crate::domain::text::without_bom;
use crate::domain::{ErrorKind, ProviderError};

/// What must not be seen in anything that comes of one request.
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
        if secret.contains('/') {
            // As some servers write it in JSON.
            self.0.push(secret.replace('/', "\\/"));
        }
        self.0.retain(|s| !s.is_empty());
        // The longest first, so that nothing is left of one that holds another.
        self.0.sort_by_key(|s| std::cmp::Reverse(s.len()));
    }

    /// `reply` without any of them, also where one stands in parts in the strings of its JSON. `places` in it move along; one within a
    /// secret moves behind it.
    pub(crate) fn strike_reply<T>(&self, reply: &[u8], places: &mut [(usize, T)]) -> Vec<u8> {
        let mut struck = Vec::with_capacity(reply.len());
        let (mut at, mut moved) = (0, 0);
        let end = (reply.len()..reply.len(), false);
        for (part, is_first) in scattered(reply, &self.0).into_iter().chain([end]) {
            while let Some((place, _)) = places.get_mut(moved).filter(|(place, _)| *place <= part.start) {
                *place = struck.len() + (*place).saturating_sub(at);
                moved += 1;
            }
            struck.extend_from_slice(&reply[at..part.start]);
            struck.extend_from_slice(if is_first { STRUCK.as_bytes() } else { b"" });
            at = part.end;
        }
        self.strike_bytes(&struck, places)
    }

    /// `bytes` without any of them. `places` in them move along; one within a secret moves behind it.
    fn strike_bytes<T>(&self, bytes: &[u8], places: &mut [(usize, T)]) -> Vec<u8> {
        let mut struck = Vec::with_capacity(bytes.len());
        let (mut at, mut moved) = (0, 0);
        loop {
            while let Some((place, _)) = places.get_mut(moved).filter(|(place, _)| *place <= at) {
                *place = struck.len();
                moved += 1;
            }
            let Some(byte) = bytes.get(at) else { return struck };
            match self.0.iter().find(|secret| bytes[at..].starts_with(secret.as_bytes())) {
                Some(secret) => {
                    struck.extend_from_slice(STRUCK.as_bytes());
                    at += secret.len();
                }
                None => {
                    struck.push(*byte);
                    at += 1;
                }
            }
        }
    }

    /// Those that are struck from answers.
    pub(crate) fn keys(&self) -> Keys {
        Keys::of(&self.0)
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

/// The key of `profile`, if one is to be sent. `commands`: the permits to run its key command.
///
/// # Errors
/// Of kind `Configuration`: the variable is needed and not set, the command failed, or the key cannot be a header.
pub(crate) async fn key(profile: &Profile, commands: Option<Arc<Semaphore>>) -> Result<Option<String>, ProviderError> {
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
            // It is never closed, so that the only answer is a permit.
            let permit = match commands {
                Some(commands) => commands.acquire_owned().await.ok(),
                None => None,
            };
            let own = command.clone();
            let ran = tokio::task::spawn_blocking(move || {
                let ran = key_command::run(&own, KEY_COMMAND_LIMIT);
                drop(permit);
                ran
            });
            let ran = ran.await;
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
pub(super) fn key_in(text: &str) -> &str {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_nothing_around_it() {
        for text in ["sk-1", " sk-1\r\n", "\u{feff}sk-1", "\n\u{feff} sk-1"] {
            assert_eq!(key_in(text), "sk-1", "{text:?}");
        }
        for blank in ["", " ", "\r\n", "\u{feff}", " \u{feff} "] {
            assert!(is_blank(OsStr::new(blank)), "{blank:?}");
        }
        assert!(!is_blank(OsStr::new("0")));
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
