//! The HTTP clients, made when first needed, and the permits that keep requests from waiting silently inside them.
//!
//! Four at most: for `http` and for `https` (certificates are loaded only where TLS is spoken: that costs more than a whole
//! question over loopback), and with or without the environment's proxy for it ([`Proxies`]). None follows a redirect: `x-api-key` would go along to another host.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::{Client, Url, redirect};
use tokio::sync::Semaphore;

use super::key_command::KEY_COMMANDS_AT_ONCE;
use super::proxies::{Proxies, Proxy};
use super::{KeySource, Profile, Timeouts};
use crate::domain::{ErrorKind, ProviderError};

/// Requests at once to one host, where its profiles say nothing: below the streams that servers allow on one HTTP/2
/// connection (100 as a rule), of which the client opens one per host and no second.
const DEFAULT_PER_HOST: usize = 32;
/// After this much silence the system asks whether the peer is still there. A model may think in silence for minutes, and only this
/// tells it from a dead connection …
const TCP_PROBE_AFTER: Duration = Duration::from_secs(30);
/// … so often …
const TCP_PROBE_INTERVAL: Duration = Duration::from_secs(10);
/// … and so many times.
const TCP_PROBES: u32 = 3;
/// After this much silence an HTTP/2 connection is asked whether it is still there …
const H2_PING_INTERVAL: Duration = Duration::from_secs(20);
/// … and given up if it does not answer within this.
const H2_PING_TIMEOUT: Duration = Duration::from_secs(10);
const USER_AGENT: &str = concat!("chatmux/", env!("CARGO_PKG_VERSION"));

/// All clients, and the permits of all hosts.
#[derive(Debug)]
pub(crate) struct Clients {
    made: [OnceLock<Result<Client, String>>; 4],
    connect: Duration,
    hosts: BTreeMap<String, Arc<Semaphore>>,
    /// Of the profiles that have a key command, by name.
    key_commands: BTreeMap<String, Arc<Semaphore>>,
    proxies: Proxies,
}

impl Clients {
    /// For these profiles. Nothing is made yet.
    pub(crate) fn new<'a>(profiles: impl Iterator<Item = &'a Profile>, timeouts: Timeouts) -> Self {
        let mut sizes = BTreeMap::<String, usize>::new();
        let mut key_commands = BTreeMap::new();
        for profile in profiles {
            if matches!(profile.key, KeySource::Command(_)) {
                key_commands.insert(profile.name.clone(), Arc::new(Semaphore::new(KEY_COMMANDS_AT_ONCE)));
            }
            let Ok(url) = Url::parse(&profile.base_url) else { continue };
            // Profiles may share a host; each keeps its own bound besides (`Permits`).
            let size = sizes.entry(origin(&url)).or_default();
            *size = profile.max_concurrent.unwrap_or(DEFAULT_PER_HOST).clamp(1, Semaphore::MAX_PERMITS).max(*size);
        }
        let hosts = sizes.into_iter().map(|(host, size)| (host, Arc::new(Semaphore::new(size)))).collect();
        let proxies = Proxies::of_environment();
        Self { made: Default::default(), connect: timeouts.connect, hosts, key_commands, proxies }
    }

    /// The permits of the host of `base_url`; none for a URL that is none.
    pub(crate) fn permits(&self, base_url: &str) -> Option<Arc<Semaphore>> {
        self.hosts.get(&origin(&Url::parse(base_url).ok()?)).cloned()
    }

    /// The permits to run the key command of profile `name`; none where it has no such command.
    pub(crate) fn key_commands(&self, name: &str) -> Option<Arc<Semaphore>> {
        self.key_commands.get(name).cloned()
    }

    /// The client for `url`, and the proxy that it asks.
    ///
    /// # Errors
    /// Of kind `Configuration`: TLS is needed and no certificate authority is known, or a variable names no proxy.
    pub(crate) fn of(&self, url: &Url) -> Result<(&Client, Option<&Proxy>), ProviderError> {
        let proxy = self.proxies.of(url)?;
        let is_https = url.scheme() == "https";
        // `http` and `https` have a proxy each, so that there is one client a slot.
        let slot = &self.made[usize::from(is_https) * 2 + usize::from(proxy.is_some())];
        let needs_tls = is_https || proxy.is_some_and(Proxy::is_https);
        let client = slot.get_or_init(|| build(needs_tls, proxy, self.connect).map_err(|e| root_cause(&e)));
        let client = client.as_ref().map_err(|why| {
            let text = format!("no HTTPS is possible ({why}): install ca-certificates, or set SSL_CERT_FILE");
            ProviderError::fatal(ErrorKind::Configuration, text)
        })?;
        Ok((client, proxy))
    }
}

fn build(tls: bool, proxy: Option<&Proxy>, connect: Duration) -> reqwest::Result<Client> {
    // The second time it is refused, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = Client::builder()
        .user_agent(USER_AGENT)
        .redirect(redirect::Policy::none())
        .connect_timeout(connect)
        .tcp_keepalive(TCP_PROBE_AFTER)
        .tcp_keepalive_interval(TCP_PROBE_INTERVAL)
        .tcp_keepalive_retries(TCP_PROBES)
        .http2_keep_alive_interval(H2_PING_INTERVAL)
        .http2_keep_alive_timeout(H2_PING_TIMEOUT)
        // It would read the environment itself.
        .no_proxy();
    if !tls {
        builder = builder.tls_certs_only([]);
    }
    if let Some(proxy) = proxy {
        builder = builder.proxy(reqwest::Proxy::all(proxy.url.clone())?);
    }
    builder.build()
}

/// Scheme, host and port of `url`, for errors and as the key of a host: no user, no path, no query.
pub(crate) fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// Whether `url` names this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).trim_end_matches('.');
    match host.parse::<std::net::IpAddr>() {
        Ok(address) => address.is_loopback() || address.is_unspecified(),
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    }
}

/// The innermost reason of an error: what lies above it says where, not why.
pub(crate) fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_known_by_name_and_number() {
        let check = |url: &str, expected| assert_eq!(is_loopback(&Url::parse(url).unwrap()), expected, "{url}");
        for url in
            ["http://localhost:1", "http://LOCALHOST./", "http://a.localhost", "http://127.1.2.3", "http://[::1]:8"]
        {
            check(url, true);
        }
        for url in ["http://10.0.0.1", "http://localhost.example.org", "https://api.openai.com", "http://[::2]"] {
            check(url, false);
        }
    }

    #[test]
    fn an_origin_shows_no_secret() {
        assert_eq!(origin(&Url::parse("http://me:pw@h:81/p?key=1").unwrap()), "http://h:81");
        assert_eq!(origin(&Url::parse("https://h/p").unwrap()), "https://h");
    }

    #[test]
    fn plain_http_needs_no_certificates() {
        let clients = Clients::new(std::iter::empty(), Timeouts::default());
        assert!(clients.of(&Url::parse("http://127.0.0.1:1").unwrap()).is_ok());
        assert!(clients.of(&Url::parse("http://example.org").unwrap()).is_ok());
    }
}
