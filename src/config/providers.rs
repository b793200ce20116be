//! The providers: the five that are built in, what a section of the file changes, and which model a name means. Asks the
//! environment by a function that it is given; holds no key.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::error::ConfigError;
use super::read::nearest;
use crate::domain::ModelName;
use crate::provider::{KeySource, Kind, Profile};

/// The environment, as a function.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// What OpenAI's default model is called.
pub const OPENAI_MODEL: &str = "gpt-5.6-terra";
/// What Anthropic's default model is called.
pub const ANTHROPIC_MODEL: &str = "claude-sonnet-5";
/// What Gemini's default model is called: the name that Google keeps on the current Flash model.
pub const GEMINI_MODEL: &str = "gemini-flash-latest";
/// What Ollama's default model is called.
pub const OLLAMA_MODEL: &str = "llama3.2";
/// The embedded default model.
pub const DEMO_MODEL: &str = "tour";

/// The providers that exist without a section.
pub const BUILT_IN: [&str; 5] = ["openai", "anthropic", "gemini", "ollama", "demo"];

/// Whose key in the environment makes its default model the default, the first one found.
const BY_KEY: [&str; 3] = ["openai", "anthropic", "gemini"];

const OLLAMA_HOST: &str = "OLLAMA_HOST";

/// A provider of which only the name and the kind are known.
pub(super) fn bare(name: &str, kind: Kind) -> Profile {
    Profile {
        name: name.to_owned(),
        kind,
        base_url: kind.base_url().to_owned(),
        key: KeySource::None,
        default_model: (kind == Kind::Demo).then(|| DEMO_MODEL.to_owned()),
        models: Vec::new(),
        auth_header: None,
        max_concurrent: None,
        headers: BTreeMap::new(),
        extra_body: serde_json::Map::new(),
    }
}

/// The built-in providers. `OLLAMA_HOST`, where it is set, is the default place of Ollama, as it is for its own client.
///
/// # Errors
/// `OLLAMA_HOST` leads nowhere.
pub(super) fn built_in(env: Env<'_>) -> Result<BTreeMap<String, Profile>, ConfigError> {
    let cloud = |name: &str, kind, variable: &str, model: &str| Profile {
        key: KeySource::Env { name: variable.to_owned(), required: true },
        default_model: Some(model.to_owned()),
        ..bare(name, kind)
    };
    let mut ollama = Profile { default_model: Some(OLLAMA_MODEL.to_owned()), ..bare("ollama", Kind::Ollama) };
    if let Some(host) = set(env, OLLAMA_HOST) {
        let wrong = |text| ConfigError::Environment { variable: OLLAMA_HOST, text };
        ollama.base_url = ollama_url(&host).map_err(wrong)?;
    }
    let profiles = [
        cloud("openai", Kind::OpenAi, "OPENAI_API_KEY", OPENAI_MODEL),
        cloud("anthropic", Kind::Anthropic, "ANTHROPIC_API_KEY", ANTHROPIC_MODEL),
        cloud("gemini", Kind::Gemini, "GEMINI_API_KEY", GEMINI_MODEL),
        ollama,
        bare("demo", Kind::Demo),
    ];
    Ok(profiles.into_iter().map(|profile| (profile.name.clone(), profile)).collect())
}

/// A variable that is set to more than blanks.
pub(super) fn set(env: Env<'_>, variable: &str) -> Option<String> {
    env(variable).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
}

/// The default model where nobody chose one: of the first provider whose key is in the environment, else the demo.
pub(super) fn model_by_key(providers: &BTreeMap<String, Profile>, env: Env<'_>) -> ModelName {
    let by_key = BY_KEY.iter().filter_map(|name| providers.get(*name)).find_map(|profile| match &profile.key {
        KeySource::Env { name, .. } => {
            let model = profile.default_model.clone()?;
            set(env, name).map(|_| ModelName { provider: profile.name.clone(), model })
        }
        KeySource::None | KeySource::Command(_) => None,
    });
    by_key.unwrap_or_else(|| ModelName { provider: "demo".to_owned(), model: DEMO_MODEL.to_owned() })
}

/// A model name with its provider's default filled in.
///
/// # Errors
/// No such provider, or it has no default model.
pub(super) fn resolve(providers: &BTreeMap<String, Profile>, name: ModelName) -> Result<ModelName, ConfigError> {
    let Some(profile) = providers.get(&name.provider) else {
        let known = || providers.keys().map(String::as_str);
        let remedy = nearest(&name.provider, known()).map_or_else(
            || format!("write PROVIDER:MODEL with one of {}", known().collect::<Vec<_>>().join(", ")),
            |near| format!("did you mean {near}?"),
        );
        return Err(ConfigError::Model(format!("unknown provider {:?}: {remedy}", name.provider)));
    };
    if !name.model.is_empty() {
        return Ok(name);
    }
    let provider = name.provider;
    match &profile.default_model {
        Some(model) => Ok(ModelName { model: model.clone(), provider }),
        None => Err(ConfigError::Model(format!(
            "provider {provider} has no default model: write {provider}:MODEL, or set model in [providers.{provider}]"
        ))),
    }
}

/// Where `OLLAMA_HOST` leads: a host, a host and a port, or a URL; the port is 11434 unless a scheme says otherwise. An
/// address that a server listens at (0.0.0.0) is reached at loopback.
fn ollama_url(host: &str) -> Result<String, String> {
    let (scheme, rest, port) = match host.split_once("://") {
        Some((scheme @ "http", rest)) => (scheme, rest, "80"),
        Some((scheme @ "https", rest)) => (scheme, rest, "443"),
        Some(_) => return Err("must begin with http:// or https://, or have no scheme".to_owned()),
        None => ("http", host, "11434"),
    };
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    // A bare IPv6 address has colons but no port.
    let (name, port) = match authority.rsplit_once(':') {
        _ if authority.parse::<Ipv6Addr>().is_ok() => (format!("[{authority}]"), port),
        Some((name, port)) if !authority.ends_with(']') => (name.to_owned(), port),
        _ => (authority.to_owned(), port),
    };
    let name = match name.as_str() {
        "" | "0.0.0.0" => "127.0.0.1",
        "[::]" => "[::1]",
        other => other,
    };
    check_base_url(&format!("{scheme}://{name}:{port}/{path}"))
}

/// A base URL as requests are built on it: http or https with a host, no `/` at the end. The value is not repeated in the
/// error, for it may hold a key.
///
/// # Errors
/// What is wrong with it.
pub(super) fn check_base_url(url: &str) -> Result<String, String> {
    let err = |text: &str| Err(text.to_owned());
    if url.chars().any(|c| c.is_whitespace() || c.is_control() || c == '\\') {
        return err("a URL has no blanks, backslashes or control characters");
    }
    let lower = url.to_ascii_lowercase();
    let Some(rest) = ["http://", "https://"].iter().find_map(|s| lower.starts_with(s).then(|| &url[s.len()..])) else {
        return err("must begin with http:// or https://");
    };
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let is_version = |query: &str| {
        let version = query.strip_prefix("api-version=");
        version.is_some_and(|version| version.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.'))
    };
    // Azure's classic endpoint needs it. Any other query may hold a key.
    if rest.contains('#') || !(query.is_empty() || is_version(query)) {
        return err(
            "must end before any ? or # (but ?api-version=…): keys come from api_key_env, other options from headers or extra_body",
        );
    }
    let authority = rest.split('/').next().unwrap_or_default();
    if authority.contains('@') {
        return err("must hold no user or password: name the key's variable in api_key_env instead");
    }
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !authority.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    if port.is_some_and(|port| !port.bytes().all(|b| b.is_ascii_digit()) || port.parse::<u16>().is_err()) {
        return err("has a port that is no number from 0 to 65535");
    }
    let good_host = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').is_some_and(|address| address.parse::<Ipv6Addr>().is_ok()),
        None if host.bytes().all(|b| b.is_ascii_digit() || b == b'.') => host.parse::<Ipv4Addr>().is_ok(),
        None => !host.contains([':', '[', ']', '%', '<', '>', '^', '|', '"', '`', '{', '}']),
    };
    if host.is_empty() || !good_host {
        return err("needs a host, such as http://127.0.0.1:8080/v1");
    }
    Ok(url.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_has_no_query_but_azures_version() {
        let azure = "https://h.openai.azure.com/openai/deployments/d?api-version=2024-10-21";
        assert_eq!(check_base_url(azure).as_deref(), Ok(azure));
        for query in ["?key=abc", "?api-version=2024&key=abc", "?api-version=2024#x", "#x"] {
            let error = check_base_url(&format!("https://h/v1{query}")).unwrap_err();
            assert!(error.starts_with("must end before any ?") && !error.contains("abc"), "{query}: {error}");
        }
    }

    #[test]
    fn ollama_host_leads_where_ollama_itself_would_go() {
        let check = |host: &str, url: &str| assert_eq!(ollama_url(host).as_deref(), Ok(url), "{host}");
        check("box", "http://box:11434");
        check("box:1234", "http://box:1234");
        check(":1234", "http://127.0.0.1:1234");
        check("0.0.0.0", "http://127.0.0.1:11434");
        check("http://box", "http://box:80");
        check("https://box/ollama/", "https://box:443/ollama");
        check("::1", "http://[::1]:11434");
        check("[::]:99", "http://[::1]:99");
        check("http://[fe80::1]", "http://[fe80::1]:80");
        for bad in ["ftp://box", "box:port", "a b", "user:secret@box", "http://box?x", "[::1", "999.1.1.1"] {
            assert!(ollama_url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn base_urls_are_http_with_a_host_and_without_secrets() {
        let check = |url: &str, expected: Result<&str, &str>| match (check_base_url(url), expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected),
            (Err(found), Err(expected)) => assert!(found.contains(expected), "{url}: {found}"),
            (found, _) => panic!("{url}: {found:?}"),
        };
        check("http://127.0.0.1:8080/v1/", Ok("http://127.0.0.1:8080/v1"));
        check("HTTPS://api.example.com//", Ok("HTTPS://api.example.com"));
        check("http://[::1]:80", Ok("http://[::1]:80"));
        check("https://bücher.example", Ok("https://bücher.example"));
        check("127.0.0.1:8080", Err("http://"));
        check("", Err("http://"));
        check("http://", Err("host"));
        check("http://:80/v1", Err("host"));
        check("http://a:b:80", Err("host"));
        check("http://a:99999", Err("port"));
        check("http://a:/", Err("port"));
        check("https://me:pw@host", Err("api_key_env"));
        check("https://host/v1?key=abc", Err("api_key_env"));
        check("https://ho st", Err("blanks"));
    }
}
