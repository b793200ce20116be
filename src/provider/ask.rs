//! One request from its permit to the start of its answer: key, body, header limit, status and content type.
//!
//! The shell of this layer: the only place that reads the wall clock (for `Retry-After` as a date) and waits for a server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use futures_util::{TryStreamExt, stream};
use reqwest::header::{CONTENT_TYPE, LOCATION};
use reqwest::{Response, Url};
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::answer::{About, Answer, MAX_ERROR_CHARS};
use super::clients::{Clients, origin};
use super::proxies::Proxy;
use super::seam::Seam;
use super::secrets::{self, Secrets};
use super::verdict::{self, Complaint};
use super::wire::{self, Body, Options};
use super::{KeySource, Kind, Pieces, Profile, Provider, Request, Timeouts, endpoint, transport};
use crate::domain::text::one_line;
use crate::domain::{ErrorKind, ProviderError, Span};

/// What is read of an error's body.
const MAX_ERROR_BYTES: usize = 64 << 10;
/// How long an error's body may take.
const ERROR_BODY_LIMIT: Duration = Duration::from_secs(5);

/// A provider that is spoken to over HTTP. Its streams outlive the handle.
#[derive(Debug)]
pub(crate) struct Http(Arc<Line>);

/// The way to one provider.
struct Line {
    profile: Profile,
    timeouts: Timeouts,
    clients: Arc<Clients>,
    /// `max_concurrent` of the profile.
    own: Option<Arc<Semaphore>>,
    /// Of its host, which other profiles may share.
    host: Option<Arc<Semaphore>>,
    /// The server refused `stream_options` once; it is not asked again.
    no_usage: AtomicBool,
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The profile's headers may hold secrets.
        write!(f, "{} as {}", self.profile.name, self.profile.kind)
    }
}

impl Http {
    /// The provider of `profile`.
    pub(crate) fn new(profile: Profile, timeouts: Timeouts, clients: Arc<Clients>) -> Self {
        let own = profile.max_concurrent.map(|n| Arc::new(Semaphore::new(n.clamp(1, Semaphore::MAX_PERMITS))));
        let host = clients.permits(&profile.base_url);
        Self(Arc::new(Line { profile, timeouts, clients, own, host, no_usage: AtomicBool::new(false) }))
    }
}

impl Line {
    /// Asks, and waits for the beginning of the answer.
    async fn ask(&self, request: &Request) -> Result<Pieces, ProviderError> {
        let mut about = About {
            kind: self.profile.kind,
            idle: self.timeouts.idle,
            request_id: None,
            secrets: Secrets::default(),
            seam: Seam::default(),
        };
        match self.open(request, &mut about).await {
            Ok((response, permits)) => {
                let origin = origin(response.url());
                let bytes = response.bytes_stream().map_err(move |e| transport::in_stream(&e, &origin));
                Ok(Box::pin(Answer::new(Box::pin(bytes), about, permits)))
            }
            Err(e) => Err(about.present(e)),
        }
    }

    async fn open(&self, request: &Request, about: &mut About) -> Result<(Response, Permits), ProviderError> {
        let url = endpoint::url(&self.profile, &request.model)?;
        let (client, proxy) = self.clients.of(&url)?;
        let key = secrets::key(&self.profile, self.clients.key_commands(&self.profile.name)).await?;
        let headers = endpoint::headers(&self.profile, key.as_deref(), &mut about.secrets)?;
        let permits = (permit(self.own.as_ref()).await, permit(self.host.as_ref()).await);
        let mut options = Options::of(self.profile.kind);
        options.usage &= !self.no_usage.load(Relaxed);
        loop {
            let Body { members, seam } = wire::body(self.profile.kind, request, options, &self.profile.extra_body);
            let body = serde_json::to_vec(&members).map_err(|e| {
                ProviderError::fatal(ErrorKind::Configuration, format!("the request cannot be written as JSON: {e}"))
            })?;
            let sending = client.post(url.clone()).headers(headers.clone()).body(body).send();
            let response = match tokio::time::timeout(self.timeouts.headers, sending).await {
                Ok(sent) => {
                    sent.map_err(|e| transport::before_answer(&e, &origin(&url), self.timeouts.connect, proxy))?
                }
                Err(_) => return Err(self.no_response(&url, proxy)),
            };
            about.request_id = verdict::request_id(response.headers());
            if response.status().is_success() {
                about.seam = seam;
                return Ok((self.expect_stream(response, about).await?, permits));
            }
            let (error, complaint) = self.refused(response, request, &about.secrets).await;
            match self.without(request, options, error.status, &complaint) {
                Some(fewer) => options = fewer,
                None => return Err(transport::of_response(error, proxy)),
            }
        }
    }

    fn no_response(&self, url: &Url, proxy: Option<&Proxy>) -> ProviderError {
        let (limit, origin) = (Span(self.timeouts.headers), origin(url));
        let way = proxy.map(|proxy| format!(" through {proxy}")).unwrap_or_default();
        let text = format!("no response from {origin}{way} within {limit}: raise timeouts.headers if it needs longer");
        ProviderError::transient(ErrorKind::Timeout, text)
    }

    /// What to ask for instead, when the server refused an option: `stream_options` by its name; the beginning of an answer in
    /// as many words as there are servers, so that any refusal of the request is taken for one of that.
    fn without(&self, request: &Request, options: Options, status: Option<u16>, complaint: &str) -> Option<Options> {
        if !matches!(status, Some(400 | 422)) {
            return None;
        }
        if options.usage
            && complaint.contains("stream_options")
            && !self.profile.extra_body.contains_key("stream_options")
        {
            self.no_usage.store(true, Relaxed);
            return Some(Options { usage: false, ..options });
        }
        (options.prefill && request.beginning().is_some()).then_some(Options { prefill: false, ..options })
    }

    /// The response, if it can be a stream.
    async fn expect_stream(&self, response: Response, about: &About) -> Result<Response, ProviderError> {
        let kind = response.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        // One JSON document where events were asked for is an error, or an answer that was not streamed.
        let json = kind == "application/json" && self.profile.kind != Kind::Ollama;
        let html = matches!(kind.as_str(), "text/html" | "application/xhtml+xml" | "text/xml" | "application/xml");
        if !json && !html {
            return Ok(response);
        }
        let origin = origin(response.url());
        let body = about.secrets.strike(&excerpt(response).await);
        if let Ok(value @ (Value::Object(_) | Value::Array(_))) = serde_json::from_str::<Value>(&body) {
            let whole = if let Value::Array(list) = &value { list.first().unwrap_or(&value) } else { &value };
            if whole.get("error").is_some_and(|e| !e.is_null()) {
                return Err(verdict::in_band(&value));
            }
        }
        let line = body.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
        let line = one_line(line, MAX_ERROR_CHARS / 2);
        let text = format!("{origin} answered with {kind} instead of a stream: check base_url ({line})");
        Err(ProviderError::fatal(ErrorKind::Protocol, text))
    }

    /// The verdict on a response with an error status, and all that the server said.
    async fn refused(&self, response: Response, request: &Request, hidden: &Secrets) -> (ProviderError, String) {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let origin = origin(response.url());
        let body = hidden.strike(&excerpt(response).await);
        let complaint = serde_json::from_str(&body).map(|value| Complaint::read(&value)).unwrap_or_default();
        let reason = reqwest::StatusCode::from_u16(status).ok().and_then(|s| s.canonical_reason());
        let said = complaint.message.clone().filter(|m| !m.trim().is_empty());
        let said = said.unwrap_or_else(|| reason.unwrap_or("an unknown status").to_lowercase());
        // Once more: in JSON a key may be written in another way. And before it is cut, for half a key is not found.
        let said = hidden.strike(said.trim().trim_end_matches('.'));
        let said = one_line(&said, MAX_ERROR_CHARS / 2);
        let text = match status {
            300..=399 => {
                let place = headers.get(LOCATION).and_then(|v| v.to_str().ok()).unwrap_or_default();
                let place = Url::parse(place).map(|url| format!(" to {}", self::origin(&url))).unwrap_or_default();
                format!("{origin} redirects{place}: correct base_url of [providers.{}]", self.profile.name)
            }
            401 | 403 if self.profile.key == KeySource::None => {
                format!("{said}: set {}", secrets::whence(&self.profile))
            }
            401 | 403 => format!("{said}: check {}", secrets::whence(&self.profile)),
            404 => format!("{said}: is there a model {:?} at {origin}?", request.model),
            _ => said,
        };
        (verdict::on_response(status, &headers, &complaint, text, SystemTime::now()), body)
    }
}

impl Provider for Http {
    fn stream(&self, request: Request) -> Pieces {
        let line = Arc::clone(&self.0);
        // One item that fails, or that is the rest of the stream.
        Box::pin(stream::once(async move { line.ask(&request).await }).try_flatten())
    }
}

/// What a request holds as long as it lasts: its place in the profile and at the host.
type Permits = (Option<OwnedSemaphorePermit>, Option<OwnedSemaphorePermit>);

async fn permit(semaphore: Option<&Arc<Semaphore>>) -> Option<OwnedSemaphorePermit> {
    // It is never closed, so that the only answer is a permit.
    Arc::clone(semaphore?).acquire_owned().await.ok()
}

/// The beginning of a body, as text, as far as it comes soon.
async fn excerpt(mut response: Response) -> String {
    let mut body = Vec::new();
    let reading = async {
        while let Ok(Some(chunk)) = response.chunk().await {
            body.extend_from_slice(&chunk[..chunk.len().min(MAX_ERROR_BYTES - body.len())]);
            if body.len() == MAX_ERROR_BYTES {
                break;
            }
        }
    };
    // Whatever came until then is better than nothing.
    let _ = tokio::time::timeout(ERROR_BODY_LIMIT, reading).await;
    String::from_utf8_lossy(&body).into_owned()
}
