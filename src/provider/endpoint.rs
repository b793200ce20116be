//! A profile as HTTP: the URL and the headers. What differs between the formats stands in their files ([`super::wire`]).

use reqwest::Url;
use reqwest::header::{ACCEPT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};

use super::Profile;
use super::secrets::{self, Secrets};
use super::wire::Wire;
use crate::domain::{ErrorKind, ProviderError};

/// Where `model` of `profile` is asked. A query in the base URL (Azure's `api-version`) stays.
///
/// # Errors
/// Of kind `Configuration` when `base_url` is no http or https URL.
pub(crate) fn url(profile: &Profile, wire: &dyn Wire, model: &str) -> Result<Url, ProviderError> {
    let mut url = below(profile, &wire.path(model))?;
    if let Some((name, value)) = wire.query() {
        url.query_pairs_mut().append_pair(name, value);
    }
    Ok(url)
}

/// `path` below the base URL. A model's name in it stays there: `%` and a backslash mean themselves, and what would lead above (`..`) is
/// refused, for a URL has no other way to write it.
///
/// # Errors
/// As [`url`], and for a `path` that leads elsewhere.
pub(crate) fn below(profile: &Profile, path: &str) -> Result<Url, ProviderError> {
    let parsed = Url::parse(&profile.base_url).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let mut url = parsed.ok_or_else(|| {
        let text = format!("base_url of [providers.{}] is no URL: write it as http://127.0.0.1:8080/v1", profile.name);
        ProviderError::fatal(ErrorKind::Configuration, text)
    })?;
    if path.split('/').any(|part| matches!(part, "." | "..")) {
        let text =
            format!("a model's name with a . or .. between slashes is no part of a URL ({path}): correct the name");
        return Err(ProviderError::fatal(ErrorKind::Configuration, text));
    }
    let path = path.replace('%', "%25").replace('\\', "%5C");
    url.set_path(&format!("{}{path}", url.path().trim_end_matches('/')));
    Ok(url)
}

/// What may be a key in `url`: its password, and what its query says. Shorter words are none.
pub(crate) fn hide(url: &Url, hidden: &mut Secrets) {
    const MIN_BYTES: usize = 8;
    let raw = url.query().into_iter().flat_map(|query| query.split('&')).filter_map(|pair| pair.split_once('='));
    let raw = raw.map(|(_, value)| value.to_owned());
    let decoded = url.query_pairs().map(|(_, value)| value.into_owned());
    let password = url.password().map(str::to_owned);
    raw.chain(decoded).chain(password).filter(|word| word.len() >= MIN_BYTES).for_each(|word| hidden.add(&word));
}

/// `url` for people: no user, no password, no query, each of which may hold a key.
pub(crate) fn shown(url: &Url) -> String {
    let path = if url.path() == "/" { "" } else { url.path() };
    format!("{}{path}", super::clients::origin(url))
}

/// The headers of a request, the profile's own replacing ours; what is secret in them is added to `hidden`.
///
/// # Errors
/// Of kind `Configuration` when one cannot be a header; the error names it, not its value.
pub(crate) fn headers(
    profile: &Profile,
    wire: &dyn Wire,
    key: Option<&str>,
    hidden: &mut Secrets,
) -> Result<HeaderMap, ProviderError> {
    let bad = |name: &str| {
        let text = format!("header {name:?} of [providers.{}] cannot be sent: correct it", profile.name);
        ProviderError::fatal(ErrorKind::Configuration, text)
    };
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    // Compressed answers are read, but not asked for: a server that compresses may hold pieces back.
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    for (name, value) in wire.headers() {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    if let Some(key) = key {
        hidden.add(key);
        let (name, scheme) = match profile.auth_header.as_deref() {
            Some(name) if name.eq_ignore_ascii_case("authorization") => (name, "Bearer "),
            Some(name) => (name, ""),
            None => wire.key_header(),
        };
        headers.insert(HeaderName::try_from(name).map_err(|_| bad(name))?, secrets::header(key, scheme, profile)?);
    }
    for (name, value) in &profile.headers {
        let key = HeaderName::try_from(name).map_err(|_| bad(name))?;
        let mut content = HeaderValue::from_str(value).map_err(|_| bad(name))?;
        if secrets::is_secret_header(&key) {
            content.set_sensitive(true);
            hidden.add(value);
        }
        headers.insert(key, content);
    }
    Ok(headers)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::provider::{KeySource, Kind};

    pub(crate) fn profile(kind: Kind, base_url: &str) -> Profile {
        Profile {
            name: "local".to_owned(),
            kind,
            base_url: base_url.to_owned(),
            key: KeySource::None,
            default_model: None,
            models: Vec::new(),
            max_concurrent: None,
            auth_header: None,
            headers: Default::default(),
            extra_body: Default::default(),
        }
    }

    #[test]
    fn every_format_has_its_place() {
        let check = |kind, base: &str, model: &str, expected: &str| {
            assert_eq!(url(&profile(kind, base), kind.wire().unwrap(), model).unwrap().as_str(), expected);
        };
        check(Kind::OpenAi, "http://h/v1", "m", "http://h/v1/chat/completions");
        check(Kind::OpenAi, "https://h/v1/?api-version=2", "m", "https://h/v1/chat/completions?api-version=2");
        check(Kind::Anthropic, "https://h", "m", "https://h/v1/messages");
        check(Kind::Ollama, "http://h:1/", "m", "http://h:1/api/chat");
        let gemini = "https://h/v1beta/models/m-2.5:streamGenerateContent?alt=sse";
        check(Kind::Gemini, "https://h", "m-2.5", gemini);
        let tuned = "https://h/v1beta/tunedModels/a%3Fb:streamGenerateContent?alt=sse";
        check(Kind::Gemini, "https://h", "tunedModels/a?b", tuned);
        let odd = "https://h/v1beta/models/%252e%252e%5C..%23:streamGenerateContent?alt=sse";
        check(Kind::Gemini, "https://h", "%2e%2e\\..#", odd);
        // Other formats have the name in the body.
        check(Kind::OpenAi, "http://h/v1", "../../m", "http://h/v1/chat/completions");
        for model in ["../../../admin", "tunedModels/../m", "a/./b", "a/.."] {
            let found = url(&profile(Kind::Gemini, "https://h"), Kind::Gemini.wire().unwrap(), model);
            // The last part has the method behind it.
            match model {
                "a/.." => assert_eq!(found.unwrap().path(), "/v1beta/a/..:streamGenerateContent"),
                _ => assert_eq!(found.unwrap_err().kind, ErrorKind::Configuration, "{model}"),
            }
        }
        for bad in ["", "h:1", "ftp://h", "/v1"] {
            assert_eq!(
                url(&profile(Kind::OpenAi, bad), Kind::OpenAi.wire().unwrap(), "m").unwrap_err().kind,
                ErrorKind::Configuration,
                "{bad}"
            );
        }
    }

    #[test]
    fn a_key_goes_into_the_header_of_its_format_and_is_sensitive() {
        let check = |kind, name: &str, value: &str| {
            let mut hidden = Secrets::default();
            let all = headers(&profile(kind, "http://h"), kind.wire().unwrap(), Some("sk-1"), &mut hidden).unwrap();
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
            let e = headers(&profile(Kind::OpenAi, "http://h"), Kind::OpenAi.wire().unwrap(), Some(key), &mut hidden)
                .unwrap_err();
            assert_eq!(e.kind, ErrorKind::Configuration);
            assert!(!e.text.contains("sk-"), "{e}");
        }
        let mut wrong = profile(Kind::OpenAi, "http://h");
        wrong.headers.insert("X-Title".to_owned(), "secret\n".to_owned());
        let e = headers(&wrong, Kind::OpenAi.wire().unwrap(), None, &mut hidden).unwrap_err();
        assert_eq!(e.text, "header \"X-Title\" of [providers.local] cannot be sent: correct it");
    }

    #[test]
    fn the_configuration_has_the_last_word_on_headers() {
        let mut own = profile(Kind::Anthropic, "http://h");
        own.headers.insert("Anthropic-Version".to_owned(), "2030-01-01".to_owned());
        own.headers.insert("Authorization".to_owned(), "Bearer tok-9".to_owned());
        let mut hidden = Secrets::default();
        let all = headers(&own, Kind::Anthropic.wire().unwrap(), None, &mut hidden).unwrap();
        assert_eq!(
            (&all["anthropic-version"], &all["authorization"]),
            (&"2030-01-01".parse().unwrap(), &"Bearer tok-9".parse().unwrap())
        );
        assert_eq!(hidden.strike("it was tok-9"), "it was [key]");
    }

    #[test]
    fn the_key_goes_into_the_header_that_the_configuration_names() {
        let check = |auth_header: &str, name: &str, value: &str| {
            let own = Profile { auth_header: Some(auth_header.to_owned()), ..profile(Kind::OpenAi, "http://h") };
            let mut hidden = Secrets::default();
            let all = headers(&own, Kind::OpenAi.wire().unwrap(), Some("sk-1"), &mut hidden).unwrap();
            assert_eq!(all[name], value, "{auth_header}");
            assert!(all[name].is_sensitive());
            assert_eq!(all.contains_key("authorization"), name == "authorization");
        };
        check("api-key", "api-key", "sk-1");
        check("X-Custom-Auth", "x-custom-auth", "sk-1");
        check("Authorization", "authorization", "Bearer sk-1");
        let wrong = Profile { auth_header: Some("a b".to_owned()), ..profile(Kind::OpenAi, "http://h") };
        assert!(headers(&wrong, Kind::OpenAi.wire().unwrap(), Some("sk-1"), &mut Secrets::default()).is_err());
    }

    #[test]
    fn keys_in_a_url_are_hidden() {
        let mut hidden = Secrets::default();
        hide(&Url::parse("http://me:pass%20word@h/v1?alt=sse&key=sk-1%2F23456").unwrap(), &mut hidden);
        let struck = hidden.strike("pass%20word sk-1%2F23456 sk-1/23456 sse");
        assert_eq!(struck, "[key] [key] [key] sse");
    }

    #[test]
    fn a_url_is_shown_without_what_may_be_secret() {
        let check = |url: &str, expected: &str| assert_eq!(shown(&Url::parse(url).unwrap()), expected);
        check("http://me:pw@h:81/v1/chat/completions?key=1", "http://h:81/v1/chat/completions");
        check("https://h", "https://h");
    }
}
