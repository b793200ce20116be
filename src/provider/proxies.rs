//! The proxies that the environment names: `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`, in capitals or not. They are read here
//! and not in the HTTP client, so that an error can say which proxy it is about and which variable names it.

use std::ffi::OsString;

use hyper_util::client::proxy::matcher::Matcher;
use reqwest::Url;

use super::clients::is_loopback;
use crate::domain::{ErrorKind, ProviderError};

/// What a proxy may speak. `socks5h` and `socks4a` let the proxy look the name up.
const SCHEMES: [&str; 6] = ["http", "https", "socks4", "socks4a", "socks5", "socks5h"];
/// Where a SOCKS proxy is whose variable has no port.
const SOCKS_PORT: u16 = 1_080;

/// One proxy.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Proxy {
    /// The variable that names it.
    pub(super) variable: &'static str,
    /// It may hold a password.
    pub(super) url: Url,
}

impl Proxy {
    /// The proxy that `value` means; `None` when it means none.
    fn parse(variable: &'static str, value: &str) -> Option<Self> {
        let value = value.trim();
        let spelled = match value.split_once("://") {
            None => format!("http://{value}"),
            // As desktops write it; today's proxies speak version 5.
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("socks") => format!("socks5h://{rest}"),
            Some(_) => value.to_owned(),
        };
        let mut url = Url::parse(&spelled).ok().filter(|url| SCHEMES.contains(&url.scheme()))?;
        url.host_str().filter(|host| !host.is_empty())?;
        if url.port_or_known_default().is_none() {
            url.set_port(Some(SOCKS_PORT)).ok()?;
        }
        Some(Self { variable, url })
    }

    /// Whether it passes connections on and reads no HTTP.
    pub(super) fn is_socks(&self) -> bool {
        self.url.scheme().starts_with("socks")
    }

    /// Whether it is itself spoken to over TLS.
    pub(super) fn is_https(&self) -> bool {
        self.url.scheme() == "https"
    }
}

/// Its place and its variable, and never its password.
impl std::fmt::Display for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (host, port) = (self.url.host_str().unwrap_or_default(), self.url.port_or_known_default().unwrap_or(0));
        let kind = if self.is_socks() { "SOCKS proxy" } else { "proxy" };
        write!(f, "the {kind} {host}:{port} ({})", self.variable)
    }
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

/// A proxy, or the variable that should name one and does not.
type Named = Result<Proxy, &'static str>;

/// All that the environment says of proxies.
#[derive(Debug)]
pub(super) struct Proxies {
    http: Option<Named>,
    https: Option<Named>,
    /// Intercepts what `NO_PROXY` does not except.
    concerned: Matcher,
}

impl Proxies {
    /// Of this process's environment.
    pub(super) fn of_environment() -> Self {
        Self::read(|name| std::env::var_os(name))
    }

    fn read(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let set = |name: &str| {
            let value = variable(name)?.to_string_lossy().into_owned();
            (!value.trim().is_empty()).then_some(value)
        };
        let first = |names: &[&'static str]| {
            let found = names.iter().find_map(|&name| Some((name, set(name)?)));
            found.map(|(name, value)| Proxy::parse(name, &value).ok_or(name))
        };
        // In a CGI program the variable in capitals is a header of whoever asks.
        let http = if set("REQUEST_METHOD").is_some() { &["http_proxy"][..] } else { &["HTTP_PROXY", "http_proxy"] };
        let all = first(&["ALL_PROXY", "all_proxy"]);
        let except = ["NO_PROXY", "no_proxy"].iter().find_map(|name| set(name)).unwrap_or_default();
        Self {
            http: first(http).or_else(|| all.clone()),
            https: first(&["HTTPS_PROXY", "https_proxy"]).or(all),
            concerned: Matcher::builder().all("http://proxy.invalid").no(except).build(),
        }
    }

    /// The proxy for `url`. None for this machine itself, whatever the environment says: a model that runs here would be asked for there.
    ///
    /// # Errors
    /// Of kind `Configuration`, with the variable's name: it names no proxy.
    pub(super) fn of(&self, url: &Url) -> Result<Option<&Proxy>, ProviderError> {
        let named = if url.scheme() == "https" { &self.https } else { &self.http };
        let Some(named) = named else { return Ok(None) };
        let is_excepted = url.as_str().parse().is_ok_and(|uri| self.concerned.intercept(&uri).is_none());
        if is_loopback(url) || is_excepted {
            return Ok(None);
        }
        named.as_ref().map(Some).map_err(|variable| {
            let text = format!(
                "{variable} is not the URL of a proxy: write http://HOST:PORT (or https, socks5h), or unset {variable}"
            );
            ProviderError::fatal(ErrorKind::Configuration, text)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(all: &[(&str, &str)], url: &str) -> String {
        let proxies = Proxies::read(|name| all.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into()));
        match proxies.of(&Url::parse(url).unwrap()) {
            Ok(Some(proxy)) => format!("{} {}", proxy.variable, proxy.url),
            Ok(None) => "none".to_owned(),
            Err(error) => error.text,
        }
    }

    #[test]
    fn the_variable_for_a_url_is_found() {
        let check =
            |all: &[(&str, &str)], url: &str, expected: &str| assert_eq!(of(all, url), expected, "{all:?} {url}");
        let both = [("HTTP_PROXY", "http://a:1"), ("https_proxy", "https://b:2"), ("ALL_PROXY", "socks5://c:3")];
        check(&both, "http://h/", "HTTP_PROXY http://a:1/");
        check(&both, "https://h/", "https_proxy https://b:2/");
        check(&both[2..], "http://h/", "ALL_PROXY socks5://c:3");
        check(&[("HTTP_PROXY", ""), ("http_proxy", "a:1")], "http://h/", "http_proxy http://a:1/");
        check(&[("HTTP_PROXY", " "), ("all_proxy", "a:1")], "http://h/", "all_proxy http://a:1/");
        check(&[("HTTP_PROXY", "http://a:1")], "https://h/", "none");
        check(&[("HTTP_PROXY", "http://a:1"), ("REQUEST_METHOD", "GET")], "http://h/", "none");
        check(&[("ALL_PROXY", "socks://c")], "http://h/", "ALL_PROXY socks5h://c:1080");
        check(&[("ALL_PROXY", "SOCKS5H://c:9/")], "http://h/", "ALL_PROXY socks5h://c:9/");
        check(&[], "http://h/", "none");
    }

    #[test]
    fn what_goes_past_the_proxy() {
        let check = |except: &str, url: &str, passes: bool| {
            let all = [("ALL_PROXY", "http://a:1"), ("NO_PROXY", except)];
            assert_eq!(of(&all, url) == "none", passes, "{except:?} {url}");
        };
        check("", "http://127.0.0.1:11434/", true);
        check("", "http://localhost:1/", true);
        check("", "http://10.1.2.3/", false);
        check("10.0.0.0/8", "http://10.1.2.3/", true);
        check("example.org", "https://llm.example.org/", true);
        check("example.org", "https://example.com/", false);
        check("*", "https://example.com/", true);
        check(" ", "https://example.com/", false);
    }

    #[test]
    fn a_variable_that_names_no_proxy_is_an_error_where_it_matters() {
        for value in ["::", "http://", "ftp://a:1", "http://a:port", "http://me:sk-secret@", "a b", "socks5://"] {
            let said = of(&[("HTTP_PROXY", value)], "http://h/");
            assert!(said.starts_with("HTTP_PROXY is not the URL of a proxy"), "{value:?}: {said}");
            assert!(!said.contains("secret"), "{said}");
            assert_eq!(of(&[("HTTP_PROXY", value)], "http://127.0.0.1/"), "none");
        }
        // Another variable is not taken instead: it may lead elsewhere.
        let said = of(&[("HTTPS_PROXY", "::"), ("ALL_PROXY", "http://a:1")], "https://h/");
        assert!(said.starts_with("HTTPS_PROXY"), "{said}");
    }

    #[test]
    fn a_proxy_is_shown_without_its_password() {
        let check = |value: &str, expected: &str| {
            let proxy = Proxy::parse("HTTPS_PROXY", value).unwrap();
            assert_eq!(proxy.to_string(), expected);
            assert_eq!(format!("{proxy:?}"), expected);
        };
        check("http://me:sk-secret@box:3128/x?y", "the proxy box:3128 (HTTPS_PROXY)");
        check("box", "the proxy box:80 (HTTPS_PROXY)");
        check("socks5h://me:sk-secret@[::1]", "the SOCKS proxy [::1]:1080 (HTTPS_PROXY)");
    }
}
