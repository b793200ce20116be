//! One request from its permit to the start of its answer: key, body, header limit, status.
//!
//! The shell of this layer: the only place that reads the wall clock (for `Retry-After` as a date) and waits for a server.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::{TryStreamExt, stream};
use reqwest::header::{CONTENT_TYPE, HeaderMap, LOCATION};
use reqwest::{Client, Response, Url};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::answer::{About, Answer, MAX_ERROR_CHARS};
use super::clients::{Clients, origin};
use super::complaint::Complaint;
use super::learned::{Learned, is_about_limit, named_limit, next_limit, room};
use super::proxies::Proxy;
use super::record::{Recorded, Recorder};
use super::remedy::Refusal;
use super::seam::Seam;
use super::secrets::{self, Secrets};
use super::silence::Limits;
use super::wire::json::Json;
use super::wire::{self, Body, Options, Wire};
use super::{Pieces, Profile, Provider, Request, Timeouts, endpoint, transport, verdict};
use crate::domain::text::one_line;
use crate::domain::{ErrorKind, ProviderError, Span};

/// What is read of an error's body.
const MAX_ERROR_BYTES: usize = 64 << 10;
/// How long an error's body may take.
const ERROR_BODY_LIMIT: Duration = Duration::from_secs(5);
/// Requests for one attempt: the first, and one for each thing that a server refuses, which costs it nothing.
const MAX_REQUESTS: usize = 6;

/// A provider that is spoken to over HTTP. Its streams outlive the handle.
#[derive(Debug)]
pub(crate) struct Http(Arc<Line>);

/// The way to one provider.
struct Line {
    profile: Profile,
    wire: &'static dyn Wire,
    timeouts: Timeouts,
    clients: Arc<Clients>,
    /// `max_concurrent` of the profile.
    own: Option<Arc<Semaphore>>,
    /// Of its host, which other profiles may share.
    host: Option<Arc<Semaphore>>,
    learned: Learned,
    recorder: Option<Recorder>,
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The profile's headers may hold secrets.
        write!(f, "{} as {}", self.profile.name, self.profile.kind)
    }
}

impl Http {
    /// The provider of `profile`, which speaks `wire`.
    pub(crate) fn new(
        profile: Profile,
        wire: &'static dyn Wire,
        timeouts: Timeouts,
        clients: Arc<Clients>,
        recorder: Option<Recorder>,
    ) -> Self {
        let own = profile.max_concurrent.map(|n| Arc::new(Semaphore::new(n.clamp(1, Semaphore::MAX_PERMITS))));
        let host = clients.permits(&profile.base_url);
        Self(Arc::new(Line { profile, wire, timeouts, clients, own, host, learned: Learned::default(), recorder }))
    }
}

impl Line {
    /// Asks, and waits for the beginning of the answer.
    async fn ask(&self, request: &Request) -> Result<Pieces, ProviderError> {
        let mut about = About {
            wire: self.wire,
            limits: Limits { first: self.timeouts.first, idle: self.timeouts.idle },
            label: String::new(),
            request_id: None,
            secrets: Secrets::default(),
            seam: Seam::default(),
        };
        match self.open(request, &mut about).await {
            Ok((response, permits)) => {
                let origin = origin(response.url());
                let reply = self.recorder.as_ref().map(|recorder| {
                    let (place, secrets) = (endpoint::shown(response.url()), about.secrets.clone());
                    recorder.reply(&place, response.status(), response.headers(), secrets)
                });
                let bytes = response.bytes_stream().map_err(move |e| transport::in_stream(&e, &origin));
                Ok(Box::pin(Answer::new(Recorded::new(Box::pin(bytes), reply), about, permits)))
            }
            Err(e) => Err(about.present(e)),
        }
    }

    async fn open(&self, request: &Request, about: &mut About) -> Result<(Response, Permits), ProviderError> {
        let url = endpoint::url(&self.profile, self.wire, &request.model)?;
        endpoint::hide(&url, &mut about.secrets);
        let (client, proxy) = self.clients.of(&url)?;
        let key = secrets::key(&self.profile, self.clients.key_commands(&self.profile.name)).await?;
        let headers = endpoint::headers(&self.profile, self.wire, key.as_deref(), &mut about.secrets)?;
        let permits = (permit(self.own.as_ref()).await, permit(self.host.as_ref()).await);
        let limit = self.wire.output_limit(&request.model);
        let first = self.learned.apply(&request.model, Options { max_tokens: limit, ..self.wire.options() });
        let mut options = first;
        // What fits beside this conversation is no limit of the model's.
        let (mut is_fitted, mut has_looked) = (false, false);
        for left in (0..MAX_REQUESTS).rev() {
            let Body { members, seam } = wire::body(self.wire, request, options, &self.profile.extra_body);
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
                about.label = label(&response);
                let max_tokens = if is_fitted { first.max_tokens } else { options.max_tokens };
                self.learned.note(&request.model, first, Options { max_tokens, ..options });
                return Ok((response, permits));
            }
            let (error, complaint) = self.refused(response, request, &about.secrets).await;
            let mut fewer = self.without(request, options, &error, &complaint);
            if let Some(Options { max_tokens: Some(next), .. }) = &mut fewer
                && options.max_tokens.is_some_and(|asked| *next < asked && named_limit(&complaint, asked).is_none())
                && !std::mem::replace(&mut has_looked, true)
                && let Some(told) = self.model_limit(client, &headers, &request.model).await
            {
                *next = told.min(*next);
            }
            match fewer {
                Some(fewer) if left > 0 => {
                    is_fitted |= error.kind == ErrorKind::Context;
                    options = fewer;
                }
                _ => return Err(transport::of_response(error, proxy)),
            }
        }
        Err(self.no_response(&url, proxy))
    }

    /// The output limit that the server tells of `model`, as far as it tells one soon.
    async fn model_limit(&self, client: &Client, headers: &HeaderMap, model: &str) -> Option<u32> {
        let url = endpoint::below(&self.profile, &self.wire.model_path(model)?).ok()?;
        let asking = async {
            let response = client.get(url).headers(headers.clone()).send().await.ok()?;
            response.status().is_success().then_some(excerpt(response).await)
        };
        let body = tokio::time::timeout(ERROR_BODY_LIMIT, asking).await.ok()??;
        Json::read(&body).ok()?.get("max_tokens")?.number()?.try_into().ok().filter(|limit| *limit > 0)
    }

    fn no_response(&self, url: &Url, proxy: Option<&Proxy>) -> ProviderError {
        let (limit, origin) = (Span(self.timeouts.headers), origin(url));
        let way = proxy.map(|proxy| format!(" through {proxy}")).unwrap_or_default();
        let text = format!("no response from {origin}{way} within {limit}: raise timeouts.headers if it needs longer");
        ProviderError::transient(ErrorKind::Timeout, text)
    }

    /// What to ask for instead, when the server refused an option: `stream_options` by its name; the output limit by the number that
    /// it names; the beginning of an answer in as many words as there are servers, so that any other refusal of the request is
    /// taken for one of that.
    fn without(&self, request: &Request, options: Options, error: &ProviderError, said: &str) -> Option<Options> {
        if !matches!(error.status, Some(400 | 422)) {
            return None;
        }
        let own = |name: &str| self.profile.extra_body.contains_key(name);
        if error.kind == ErrorKind::Context {
            // Perhaps only together with the output limit, which is ours.
            let room = options.max_tokens.filter(|_| !own("max_tokens")).and_then(|asked| room(said, asked))?;
            return Some(Options { max_tokens: Some(room), ..options });
        }
        if options.usage && said.contains("stream_options") && !own("stream_options") {
            return Some(Options { usage: false, ..options });
        }
        if let Some(asked) = options.max_tokens.filter(|_| !own("max_tokens") && is_about_limit(said))
            && let Some(limit) = named_limit(said, asked).or_else(|| next_limit(asked))
        {
            return Some(Options { max_tokens: Some(limit), ..options });
        }
        (options.prefill && request.beginning().is_some()).then_some(Options { prefill: false, ..options })
    }

    /// The verdict on a response with an error status, and all that the server said.
    async fn refused(&self, response: Response, request: &Request, hidden: &Secrets) -> (ProviderError, String) {
        let (status, headers, url) = (response.status(), response.headers().clone(), response.url().clone());
        let mut reply = self
            .recorder
            .as_ref()
            .map(|recorder| recorder.reply(&endpoint::shown(&url), status, &headers, hidden.clone()));
        let body = excerpt(response).await;
        if let Some(reply) = &mut reply {
            reply.push(&body);
        }
        // The key goes before the cut, which could leave half of it. And once more behind: in JSON it may be written in another way.
        let body = hidden.strike(&String::from_utf8_lossy(&body));
        let complaint = Complaint::read(body.as_bytes());
        let said = hidden.strike(complaint.message.as_deref().unwrap_or_default());
        let said = one_line(said.trim(), MAX_ERROR_CHARS / 2);
        let status = status.as_u16();
        let error = verdict::on_response(status, &headers, &complaint, String::new(), SystemTime::now());
        let location = headers.get(LOCATION).and_then(|value| value.to_str().ok());
        let (profile, model) = (&self.profile, request.model.as_str());
        let refusal = Refusal { profile, url: &url, model, status, complaint: &complaint, location };
        let text = refusal.text(&said, error.kind);
        (ProviderError { text, ..error }, body)
    }
}

/// What the server calls its content, and where: for the error when it is no answer.
fn label(response: &Response) -> String {
    let kind = response.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let kind = if kind.is_empty() { "a text" } else { &kind };
    format!("{} answered with {kind}", endpoint::shown(response.url()))
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

/// The beginning of a body, as far as it comes soon.
async fn excerpt(mut response: Response) -> Vec<u8> {
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
    body
}
