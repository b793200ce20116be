//! What a person reads when a server answered with an error status: what the server said, where it was asked, and what to do, where
//! that is known. Pure.

use reqwest::Url;

use super::complaint::Complaint;
use super::{KeySource, Profile, endpoint, secrets};
use crate::domain::ErrorKind;

/// What a server refused, for the text about it.
pub(crate) struct Refusal<'a> {
    /// The provider that was asked.
    pub(crate) profile: &'a Profile,
    /// The URL that was asked.
    pub(crate) url: &'a Url,
    /// The model that was asked.
    pub(crate) model: &'a str,
    /// The HTTP status.
    pub(crate) status: u16,
    /// What the server said.
    pub(crate) complaint: &'a Complaint,
    /// Where a redirect leads.
    pub(crate) location: Option<&'a str>,
}

/// Words of messages about keys.
const KEY_WORDS: [&str; 10] = [
    "key",
    "keys",
    "apikey",
    "token",
    "credential",
    "credentials",
    "unauthorized",
    "authentication",
    "authorization",
    "authenticate",
];
/// Types and codes of errors about keys.
const KEY_CODES: [&str; 8] = [
    "invalid_api_key",
    "authentication_error",
    "permission_error",
    "UNAUTHENTICATED",
    "PERMISSION_DENIED",
    "unauthorized",
    "forbidden",
    "missing_api_key",
];
/// What servers of TLS say to a request without it: nginx, Go, Apache and Tomcat.
const NEEDS_TLS: [&str; 3] = [
    "plain http request was sent to https port",
    "sent an http request to an https server",
    "host and port requires tls",
];

impl Refusal<'_> {
    /// The text for `said`, which is the server's own text made safe, or empty. `kind` is the verdict.
    pub(crate) fn text(&self, said: &str, kind: ErrorKind) -> String {
        let said = match said.trim().trim_end_matches('.') {
            "" => status_name(self.status),
            said => said.to_owned(),
        };
        let place = endpoint::shown(self.url);
        match self.remedy(kind) {
            Some(remedy) => format!("{said} ({place}): {remedy}"),
            None => format!("{said} ({place})"),
        }
    }

    fn remedy(&self, kind: ErrorKind) -> Option<String> {
        let (name, lower) = (&self.profile.name, self.complaint.lower());
        if NEEDS_TLS.iter().any(|words| lower.contains(words)) {
            return Some(format!("the server speaks TLS: write https:// in base_url of [providers.{name}]"));
        }
        match (self.status, kind) {
            (_, ErrorKind::Context) => Some("/undo or /new makes room".to_owned()),
            (300..=399, _) => {
                let place = self.location.and_then(|place| self.url.join(place).ok());
                let place = place.map(|url| format!(" to {}", endpoint::shown(&url))).unwrap_or_default();
                Some(format!("it redirects{place}: correct base_url of [providers.{name}]"))
            }
            (401, _) => Some(self.key()),
            // Also moderation, a region that is not served, a missing right: the server says which.
            (403, _) if self.is_about_key(&lower) => Some(self.key()),
            (404, _) if lower.contains("model") || self.complaint.names(&["model_not_found"]) => {
                Some(format!("is there a model {:?}? See what the server lists", self.model))
            }
            (404 | 405, _) => Some(format!("nothing answers there: check base_url of [providers.{name}]")),
            _ => None,
        }
    }

    fn is_about_key(&self, lower: &str) -> bool {
        self.complaint.names(&KEY_CODES)
            || lower.split(|c: char| !c.is_alphanumeric()).any(|word| KEY_WORDS.contains(&word))
            || self.complaint.message.is_none()
    }

    fn key(&self) -> String {
        let verb = if self.profile.key == KeySource::None { "set" } else { "check" };
        format!("{verb} {}", secrets::whence(self.profile))
    }
}

/// A status by its name, also those that no standard knows.
fn status_name(status: u16) -> String {
    let known = match status {
        499 => "the server's proxy gave up",
        520 => "Cloudflare got an unknown error from the server",
        521 => "Cloudflare found the server down",
        522 => "Cloudflare could not connect to the server in time",
        523 => "Cloudflare could not reach the server",
        524 => "a timeout occurred: Cloudflare waited too long for the server",
        525 | 526 => "Cloudflare could not speak TLS with the server",
        529 => "the server is overloaded",
        _ => "",
    };
    if !known.is_empty() {
        return known.to_owned();
    }
    let standard = reqwest::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    standard.unwrap_or("an unknown status").to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::Kind;

    #[test]
    fn a_remedy_stands_only_where_it_fits() {
        let mut keyless = endpoint::tests::profile(Kind::OpenAi, "http://h/v1");
        let check = |profile: &Profile, status, body: &str, kind, expected: &str| {
            let complaint = Complaint::read(body.as_bytes());
            let url = Url::parse("http://me:pw@h/v1/chat/completions?key=1").unwrap();
            let location = Some("/v2/x?y=1");
            let refusal = Refusal { profile, url: &url, model: "m", status, complaint: &complaint, location };
            let said = complaint.message.clone().unwrap_or_default();
            assert_eq!(refusal.text(&said, kind), expected, "{status} {body}");
        };
        let at = "(http://h/v1/chat/completions)";
        check(&keyless, 401, "", ErrorKind::Auth, &format!("unauthorized {at}: set api_key_env of [providers.local]"));
        let flagged = r#"{"error":{"message":"Your input was flagged.","code":403}}"#;
        check(&keyless, 403, flagged, ErrorKind::Auth, &format!("Your input was flagged {at}"));
        let path = format!("Not Found {at}: nothing answers there: check base_url of [providers.local]");
        check(&keyless, 404, r#"{"detail":"Not Found"}"#, ErrorKind::NotFound, &path);
        let model = format!("no model m {at}: is there a model \"m\"? See what the server lists");
        check(&keyless, 404, r#"{"error":"no model m"}"#, ErrorKind::NotFound, &model);
        check(
            &keyless,
            500,
            "CUDA error: out of memory",
            ErrorKind::Server,
            &format!("CUDA error: out of memory {at}"),
        );
        let waited = format!("a timeout occurred: Cloudflare waited too long for the server {at}");
        check(&keyless, 524, "", ErrorKind::Server, &waited);
        let moved = format!("found {at}: it redirects to http://h/v2/x: correct base_url of [providers.local]");
        check(&keyless, 302, "", ErrorKind::BadRequest, &moved);
        let tls = "<title>400 The plain HTTP request was sent to HTTPS port</title>";
        let expected = format!(
            "400 The plain HTTP request was sent to HTTPS port {at}: the server speaks TLS: write https:// in base_url of [providers.local]"
        );
        check(&keyless, 400, tls, ErrorKind::BadRequest, &expected);
        check(&keyless, 400, "too long", ErrorKind::Context, &format!("too long {at}: /undo or /new makes room"));
        keyless.key = KeySource::Env { name: "LOCAL_KEY".to_owned(), required: true };
        let wrong = r#"{"error":{"message":"Invalid API key"}}"#;
        check(&keyless, 403, wrong, ErrorKind::Auth, &format!("Invalid API key {at}: check LOCAL_KEY"));
    }
}
