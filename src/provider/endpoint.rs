//! A profile as HTTP: the URL, the headers, the permits. What differs between the formats beside the JSON is here.

use reqwest::Url;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};

use super::secrets::{self, Secrets};
use super::{Kind, Profile};
use crate::domain::{ErrorKind, ProviderError};

/// The version of the messages API that `wire::anthropic` speaks. `headers` may name another.
const ANTHROPIC_VERSION: &str = "2023-06-01";

/// Where `model` of `profile` is asked. A query in the base URL (Azure's `api-version`) stays.
///
/// # Errors
/// Of kind `Configuration` when `base_url` is no http or https URL.
pub(crate) fn url(profile: &Profile, model: &str) -> Result<Url, ProviderError> {
    let parsed = Url::parse(&profile.base_url).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let mut url = parsed.ok_or_else(|| {
        let text = format!("base_url of [providers.{}] is no URL: write it as http://127.0.0.1:8080/v1", profile.name);
        ProviderError::fatal(ErrorKind::Configuration, text)
    })?;
    let suffix = match profile.kind {
        Kind::OpenAi => "/chat/completions".to_owned(),
        Kind::Anthropic => "/v1/messages".to_owned(),
        // A tuned model comes with its own collection: `tunedModels/x`.
        Kind::Gemini if model.contains('/') => format!("/v1beta/{model}:streamGenerateContent"),
        Kind::Gemini => format!("/v1beta/models/{model}:streamGenerateContent"),
        Kind::Ollama => "/api/chat".to_owned(),
        Kind::Demo => String::new(),
    };
    let path = format!("{}{suffix}", url.path().trim_end_matches('/'));
    url.set_path(&path);
    if profile.kind == Kind::Gemini {
        url.query_pairs_mut().append_pair("alt", "sse");
    }
    Ok(url)
}

/// The headers of a request, the profile's own replacing ours; what is secret in them is added to `hidden`.
///
/// # Errors
/// Of kind `Configuration` when one cannot be a header; the error names it, not its value.
pub(crate) fn headers(profile: &Profile, key: Option<&str>, hidden: &mut Secrets) -> Result<HeaderMap, ProviderError> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let accept = if profile.kind == Kind::Ollama { "application/x-ndjson" } else { "text/event-stream" };
    headers.insert(ACCEPT, HeaderValue::from_static(accept));
    let (name, scheme) = match profile.kind {
        Kind::Anthropic => {
            headers.insert("anthropic-version", HeaderValue::from_static(ANTHROPIC_VERSION));
            (HeaderName::from_static("x-api-key"), "")
        }
        Kind::Gemini => (HeaderName::from_static("x-goog-api-key"), ""),
        Kind::OpenAi | Kind::Ollama | Kind::Demo => (AUTHORIZATION, "Bearer "),
    };
    if let Some(key) = key {
        hidden.add(key);
        headers.insert(name, secrets::header(key, scheme, profile)?);
    }
    for (name, value) in &profile.headers {
        let bad = || {
            let text = format!("header {name:?} of [providers.{}] cannot be sent: correct it", profile.name);
            ProviderError::fatal(ErrorKind::Configuration, text)
        };
        let name = HeaderName::try_from(name).map_err(|_| bad())?;
        let mut content = HeaderValue::from_str(value).map_err(|_| bad())?;
        if secrets::is_secret_header(&name) {
            content.set_sensitive(true);
            hidden.add(value);
        }
        headers.insert(name, content);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::KeySource;

    pub(crate) fn profile(kind: Kind, base_url: &str) -> Profile {
        Profile {
            name: "local".to_owned(),
            kind,
            base_url: base_url.to_owned(),
            key: KeySource::None,
            default_model: None,
            models: Vec::new(),
            max_concurrent: None,
            headers: Default::default(),
            extra_body: Default::default(),
        }
    }

    #[test]
    fn every_format_has_its_place() {
        let check = |kind, base: &str, model: &str, expected: &str| {
            assert_eq!(url(&profile(kind, base), model).unwrap().as_str(), expected);
        };
        check(Kind::OpenAi, "http://h/v1", "m", "http://h/v1/chat/completions");
        check(Kind::OpenAi, "https://h/v1/?api-version=2", "m", "https://h/v1/chat/completions?api-version=2");
        check(Kind::Anthropic, "https://h", "m", "https://h/v1/messages");
        check(Kind::Ollama, "http://h:1/", "m", "http://h:1/api/chat");
        let gemini = "https://h/v1beta/models/m-2.5:streamGenerateContent?alt=sse";
        check(Kind::Gemini, "https://h", "m-2.5", gemini);
        let tuned = "https://h/v1beta/tunedModels/a%3Fb:streamGenerateContent?alt=sse";
        check(Kind::Gemini, "https://h", "tunedModels/a?b", tuned);
        for bad in ["", "h:1", "ftp://h", "/v1"] {
            assert_eq!(url(&profile(Kind::OpenAi, bad), "m").unwrap_err().kind, ErrorKind::Configuration, "{bad}");
        }
    }

    #[test]
    fn a_key_goes_into_the_header_of_its_format_and_is_sensitive() {
        let check = |kind, name: &str, value: &str| {
            let mut hidden = Secrets::default();
            let all = headers(&profile(kind, "http://h"), Some("sk-1"), &mut hidden).unwrap();
            assert_eq!(all[name], value);
            assert!(all[name].is_sensitive());
            assert_eq!(hidden.strike("sk-1"), "[key]");
        };
        check(Kind::OpenAi, "authorization", "Bearer sk-1");
        check(Kind::Ollama, "authorization", "Bearer sk-1");
        check(Kind::Anthropic, "x-api-key", "sk-1");
        check(Kind::Gemini, "x-goog-api-key", "sk-1");
    }

    #[test]
    fn what_cannot_be_a_header_is_a_configuration_error_without_its_value() {
        let mut hidden = Secrets::default();
        for key in ["sk-ünï", "sk-1\nx: y"] {
            let e = headers(&profile(Kind::OpenAi, "http://h"), Some(key), &mut hidden).unwrap_err();
            assert_eq!(e.kind, ErrorKind::Configuration);
            assert!(!e.text.contains("sk-"), "{e}");
        }
        let mut wrong = profile(Kind::OpenAi, "http://h");
        wrong.headers.insert("X-Title".to_owned(), "secret\n".to_owned());
        let e = headers(&wrong, None, &mut hidden).unwrap_err();
        assert_eq!(e.text, "header \"X-Title\" of [providers.local] cannot be sent: correct it");
    }

    #[test]
    fn the_configuration_has_the_last_word_on_headers() {
        let mut own = profile(Kind::Anthropic, "http://h");
        own.headers.insert("Anthropic-Version".to_owned(), "2030-01-01".to_owned());
        own.headers.insert("Authorization".to_owned(), "Bearer tok-9".to_owned());
        let mut hidden = Secrets::default();
        let all = headers(&own, None, &mut hidden).unwrap();
        assert_eq!(
            (&all["anthropic-version"], &all["authorization"]),
            (&"2030-01-01".parse().unwrap(), &"Bearer tok-9".parse().unwrap())
        );
        assert_eq!(hidden.strike("it was tok-9"), "it was [key]");
    }
}
