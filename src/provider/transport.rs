//! What a failed connection means. The reason is looked for along the chain of sources: the outer errors say where it
//! happened (a bad certificate calls itself a failed connect, a cut stream a failed decode), the inner ones say why.
//!
//! Where a proxy stands in between, it is the proxy that is connected to: unless it has passed the connection on, what failed is named by
//! the proxy and its variable, not by the server.

use std::error::Error;
use std::io;
use std::time::Duration;

use rustls::CertificateError;
use rustls::pki_types::UnixTime;

use super::clients::root_cause;
use super::proxies::Proxy;
use crate::domain::{ErrorKind, ProviderError, Span};

/// What hyper says of bytes that are no HTTP: those of a TLS alert, as a rule.
const NOT_HTTP: &str = "invalid HTTP version parsed";
/// What rustls's streams say when the other side hangs up instead of answering.
const TLS_HUNG_UP: &str = "tls handshake eof";
/// What webpki says of a certificate that is self-signed as `openssl req -x509` does it.
const CA_AS_SERVER: &str = "CaUsedAsEndEntity";
/// How hyper-util begins what it says of a proxy that is asked for a tunnel …
const TUNNEL: &str = "tunnel error: ";
/// … and of a SOCKS proxy.
const SOCKS: &str = "SOCKS error: ";
/// Both, when the proxy itself could not be connected to.
const NO_PROXY_THERE: &str = "failed to create underlying connection";

/// Why no response came from `origin`, to which the way is through `proxy`.
pub(super) fn before_answer(
    error: &reqwest::Error,
    origin: &str,
    connect: Duration,
    proxy: Option<&Proxy>,
) -> ProviderError {
    if error.is_builder() {
        return ProviderError::fatal(
            ErrorKind::Configuration,
            format!("no request can be made: {}", root_cause(error)),
        );
    }
    match proxy {
        Some(proxy) => through_proxy(error, origin, connect, proxy),
        None => direct(error, origin, connect, error.is_connect(), error.is_timeout()),
    }
}

fn direct(
    error: &(dyn Error + 'static),
    origin: &str,
    connect: Duration,
    is_connect: bool,
    is_timeout: bool,
) -> ProviderError {
    if let Some(e) = tls(error) {
        return e;
    }
    let plain = origin.strip_prefix("http://");
    if let Some(place) = plain.filter(|place| says(error, NOT_HTTP) || (!is_connect && place.ends_with(":443"))) {
        let text = format!("{origin} does not speak plain HTTP but, it seems, TLS: write https://{place} in base_url");
        return ProviderError::fatal(ErrorKind::Protocol, text);
    }
    if !is_connect {
        let broken = broken(error, origin);
        // What a server that speaks TLS does to what is none, where it does not say so.
        let may_be_tls = plain.is_some() && io_kind(error) == Some(io::ErrorKind::ConnectionReset);
        let remedy =
            if may_be_tls { " before any answer: if the server speaks TLS, write https:// in base_url" } else { "" };
        return ProviderError { text: format!("{}{remedy}", broken.text), ..broken };
    }
    let text = if is_timeout {
        let limit = Span(connect);
        format!("no connection to {origin} within {limit}: check base_url and the network, or raise timeouts.connect")
    } else if is_unknown_name(error) {
        format!("no address for {origin}: check base_url and the network")
    } else if says(error, TLS_HUNG_UP) {
        format!("{origin} hung up when TLS began: does it speak TLS? if not, write http:// in base_url")
    } else {
        match io_kind(error) {
            Some(io::ErrorKind::ConnectionRefused) => {
                format!("connection refused at {origin}: is the server running?")
            }
            Some(io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable) => {
                format!("{origin} cannot be reached ({}): check the network", root_cause(error))
            }
            _ => format!("no connection to {origin}: {}", root_cause(error)),
        }
    };
    ProviderError::transient(ErrorKind::Connect, text)
}

/// As [`before_answer`], where a proxy is asked.
fn through_proxy(error: &reqwest::Error, origin: &str, connect: Duration, proxy: &Proxy) -> ProviderError {
    let variable = proxy.variable;
    let said = links(error).map(ToString::to_string).find(|said| said.starts_with(TUNNEL) || said.starts_with(SOCKS));
    // Behind the proxy's own connection TLS is the server's, but for an `https` proxy that is not yet passed.
    let is_server = origin.starts_with("https://") && (said.is_none() || proxy.is_socks());
    if let Some(e) = tls(error) {
        let text = match (is_server && !proxy.is_https(), e.text.contains("does not speak TLS")) {
            (true, _) => format!("{} (through {proxy})", e.text),
            (false, true) => format!("{proxy} does not speak TLS: write http:// in {variable}"),
            (false, false) => format!("{proxy}: {}", e.text),
        };
        return ProviderError { text, ..e };
    }
    if said.as_deref().is_some_and(|said| said.contains("authorization required")) {
        return wants_password(proxy, None);
    }
    if says(error, NOT_HTTP) {
        let text = format!("{proxy} does not speak HTTP: write https:// or socks5h:// in {variable} if it speaks that");
        return ProviderError::fatal(ErrorKind::Protocol, text);
    }
    let passed = match said {
        Some(said) if !said.ends_with(NO_PROXY_THERE) => Some(said),
        _ => None,
    };
    let text = if error.is_timeout() {
        format!("no connection to {origin} through {proxy} within {}: check {variable}, or the network", Span(connect))
    } else if let Some(said) = passed {
        let why = said.trim_start_matches(TUNNEL).trim_start_matches(SOCKS);
        let why = if why == "unsuccessful" { "it refused" } else { why };
        format!("{proxy} made no connection to {origin} ({why}): check it, or add the host to NO_PROXY")
    } else if !error.is_connect() {
        format!("{proxy} broke the connection to {origin}: {}", reason(error))
    } else if is_unknown_name(error) {
        format!("no address for {proxy}: check {variable}")
    } else {
        match io_kind(error) {
            Some(io::ErrorKind::ConnectionRefused) => format!("connection refused at {proxy}: is it running?"),
            Some(io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable) => {
                format!("{proxy} cannot be reached ({}): check the network", root_cause(error))
            }
            _ => format!("no connection to {proxy}: {}", plainly(&root_cause(error))),
        }
    };
    let kind = if error.is_connect() { ErrorKind::Connect } else { ErrorKind::Transport };
    ProviderError::transient(kind, text)
}

/// The verdict on a response that may be the proxy's own: `error` is what it would be if it were the server's.
pub(super) fn of_response(error: ProviderError, proxy: Option<&Proxy>) -> ProviderError {
    match (error.status, proxy.filter(|proxy| !proxy.is_socks())) {
        (Some(407), Some(proxy)) => wants_password(proxy, error.status),
        // Whose it is cannot be told: proxies make pages of their own for these.
        (Some(403 | 502..=504), Some(proxy)) => {
            ProviderError { text: format!("{} (through {proxy})", error.text), ..error }
        }
        _ => error,
    }
}

fn wants_password(proxy: &Proxy, status: Option<u16>) -> ProviderError {
    let (variable, scheme) = (proxy.variable, proxy.url.scheme());
    let text = match proxy.url.username() {
        "" => format!("{proxy} wants a user and a password: write {scheme}://USER:PASSWORD@HOST:PORT in {variable}"),
        _ => format!("{proxy} does not take its user and password: correct them in {variable}"),
    };
    ProviderError { status, ..ProviderError::fatal(ErrorKind::Auth, text) }
}

/// Why the stream from `origin` broke.
pub(crate) fn in_stream(error: &reqwest::Error, origin: &str) -> ProviderError {
    broken(error, origin)
}

fn broken(error: &(dyn Error + 'static), origin: &str) -> ProviderError {
    let text = format!("the connection to {origin} broke: {}", reason(error));
    ProviderError::transient(ErrorKind::Transport, text)
}

fn reason(error: &(dyn Error + 'static)) -> String {
    match io_kind(error) {
        Some(io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe) => "connection reset".to_owned(),
        _ => root_cause(error),
    }
}

/// A library's words for people.
fn plainly(said: &str) -> String {
    let said = said.trim_start_matches(TUNNEL).trim_start_matches(SOCKS);
    if said == NO_PROXY_THERE { "is it running?".to_owned() } else { said.to_owned() }
}

fn is_unknown_name(error: &(dyn Error + 'static)) -> bool {
    says(error, "dns error")
}

fn says(error: &(dyn Error + 'static), words: &str) -> bool {
    links(error).any(|e| e.to_string() == words)
}

fn links<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&e| match e.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        // An I/O error hides the error it was made of: its source is that one's source.
        Some(inner) => Some(inner as &(dyn Error + 'static)),
        None => e.source(),
    })
}
fn io_kind(error: &(dyn Error + 'static)) -> Option<io::ErrorKind> {
    links(error).filter_map(|e| e.downcast_ref::<io::Error>()).last().map(io::Error::kind)
}

fn tls(error: &(dyn Error + 'static)) -> Option<ProviderError> {
    let reason = links(error).find_map(|e| e.downcast_ref::<rustls::Error>())?;
    let text = match reason {
        rustls::Error::InvalidCertificate(why) => {
            format!("the server's certificate is not to be trusted: {}", distrust(why))
        }
        rustls::Error::InvalidMessage(_) => {
            "the server does not speak TLS: is base_url to begin with http://?".to_owned()
        }
        other => format!("no secure connection: {other}"),
    };
    Some(ProviderError::fatal(ErrorKind::Tls, text))
}

/// What is wrong with a certificate, and the remedy.
fn distrust(why: &CertificateError) -> String {
    let ago = |now: UnixTime, then: UnixTime| Span(Duration::from_secs(now.as_secs().saturating_sub(then.as_secs())));
    match why {
        CertificateError::Expired => "it has expired: the server needs a new one".to_owned(),
        CertificateError::ExpiredContext { time, not_after } => {
            format!("it expired {} ago: the server needs a new one, or this machine's clock is wrong", ago(*time, *not_after))
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it is not valid yet: check this machine's clock".to_owned()
        }
        CertificateError::UnknownIssuer => {
            "its issuer is not known here: check base_url, or set SSL_CERT_FILE to a file with the issuer's certificate".to_owned()
        }
        CertificateError::NotValidForNameContext { presented, .. } if !presented.is_empty() => {
            // `DnsName("host")`
            let names: Vec<_> = presented.iter().map(|name| name.split('"').nth(1).unwrap_or(name)).collect();
            format!("it is for {}: check base_url", names.join(", "))
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "it is not for this host: check base_url".to_owned()
        }
        CertificateError::Revoked => "it was revoked: the server needs a new one".to_owned(),
        CertificateError::Other(other) if other.0.to_string() == CA_AS_SERVER => {
            "it is an authority's own, which no server may use: make one for the server (with openssl req -x509: -addext \
             basicConstraints=CA:FALSE) and set SSL_CERT_FILE to it"
                .to_owned()
        }
        other => format!("{other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_certificate_is_found_inside_an_io_error() {
        let check = |error: rustls::Error, text: &str| {
            let wrapped = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, error));
            let e = tls(&wrapped).unwrap();
            assert_eq!((e.kind, e.retryable), (ErrorKind::Tls, false));
            assert!(e.text.contains(text), "{e}");
        };
        check(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer), "SSL_CERT_FILE");
        check(rustls::Error::InvalidCertificate(CertificateError::Revoked), "it was revoked");
        let at = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let expired = CertificateError::ExpiredContext { time: at(10_000), not_after: at(2_800) };
        check(rustls::Error::InvalidCertificate(expired), "it expired 2 h 00 m ago");
        let presented = vec!["DnsName(\"a.example\")".to_owned(), "DnsName(\"b.example\")".to_owned()];
        let other = CertificateError::NotValidForNameContext { expected: "h".try_into().unwrap(), presented };
        check(rustls::Error::InvalidCertificate(other), "it is for a.example, b.example: check base_url");
        check(rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType), "does not speak TLS");
        assert_eq!(tls(&io::Error::other("plain")), None);
    }
}
