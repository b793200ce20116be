//! What a failed connection means. The reason is looked for along the chain of sources: the outer errors say where it
//! happened (a bad certificate calls itself a failed connect, a cut stream a failed decode), the inner ones say why.

use std::error::Error;
use std::io;
use std::time::Duration;

use super::clients::root_cause;
use crate::domain::{ErrorKind, ProviderError, Span};

/// Why no response came from `origin`.
pub(crate) fn before_answer(error: &reqwest::Error, origin: &str, connect: Duration) -> ProviderError {
    if error.is_builder() {
        return ProviderError::fatal(
            ErrorKind::Configuration,
            format!("no request can be made: {}", root_cause(error)),
        );
    }
    if let Some(e) = tls(error) {
        return e;
    }
    if !error.is_connect() {
        return in_stream(error, origin);
    }
    let text = if error.is_timeout() {
        format!("no connection to {origin} within {}", Span(connect))
    } else if links(error).any(|e| e.to_string() == "dns error") {
        format!("no address for {origin}: check base_url and the network")
    } else if io_kind(error) == Some(io::ErrorKind::ConnectionRefused) {
        format!("connection refused at {origin}: is the server running?")
    } else {
        format!("no connection to {origin}: {}", root_cause(error))
    };
    ProviderError::transient(ErrorKind::Connect, text)
}

/// Why the stream from `origin` broke.
pub(crate) fn in_stream(error: &reqwest::Error, origin: &str) -> ProviderError {
    let why = match io_kind(error) {
        Some(io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe) => "connection reset".to_owned(),
        _ => root_cause(error),
    };
    ProviderError::transient(ErrorKind::Transport, format!("the connection to {origin} broke: {why}"))
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
            format!("the server's certificate is not to be trusted ({why:?}): check base_url, or set SSL_CERT_FILE")
        }
        rustls::Error::InvalidMessage(_) => {
            "the server does not speak TLS: is base_url to begin with http://?".to_owned()
        }
        other => format!("no secure connection: {other}"),
    };
    Some(ProviderError::fatal(ErrorKind::Tls, text))
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
        check(rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer), "UnknownIssuer");
        check(rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType), "does not speak TLS");
        assert_eq!(tls(&io::Error::other("plain")), None);
    }
}
