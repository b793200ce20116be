//! What can go wrong with an answer, in the words that the queue, the store and `--json` share.

use std::time::Duration;

use super::kinds::words;

words!(
    /// The kind of a provider's failure: `error.kind` in `--json`. Which kinds are worth a retry is the
    /// provider layer's verdict ([`ProviderError::retryable`]), because it depends on what the server said.
    ErrorKind {
        /// No such provider or model in the configuration, no key, or a key command that failed.
        Configuration => "configuration",
        /// 401, 403.
        Auth => "auth",
        /// 404: no such model or path.
        NotFound => "not_found",
        /// 400 and the other 4xx: the request is at fault.
        BadRequest => "bad_request",
        /// 429.
        RateLimited => "rate_limited",
        /// 429 for want of money: waiting does not help.
        Quota => "quota",
        /// 503, 529, or an error in the stream that says so.
        Overloaded => "overloaded",
        /// Another 5xx, or an unknown error in the stream.
        Server => "server",
        /// No connection: refused, unreachable, no such host, timed out.
        Connect => "connect",
        /// The server's certificate is not to be trusted.
        Tls => "tls",
        /// No response within `timeouts.headers`.
        Timeout => "timeout",
        /// No content within `timeouts.idle`.
        Stalled => "stalled",
        /// The connection broke in mid-stream.
        Transport => "transport",
        /// The stream ended without a stop reason.
        Truncated => "truncated",
        /// What came is not the protocol: HTML, broken JSON, a line without end.
        Protocol => "protocol",
        /// The conversation is longer than the model's context window.
        Context => "context",
        /// The answer ended without any text.
        Empty => "empty",
        /// The answer reached `max_answer_bytes`.
        TooLarge => "too_large",
        /// chatmux ended after the request and before any text of the answer: the server may have answered.
        Unanswered => "unanswered",
    }
);

impl ErrorKind {
    /// Whether the server may have answered a request that failed so, and nothing of the answer is kept. A failure that cannot be
    /// told from one on the way to the server counts as one behind it.
    pub(super) const fn may_be_answered(self) -> bool {
        match self {
            Self::Timeout | Self::Stalled | Self::Transport | Self::Truncated | Self::Protocol => true,
            Self::Configuration
            | Self::Auth
            | Self::NotFound
            | Self::BadRequest
            | Self::RateLimited
            | Self::Quota
            | Self::Overloaded
            | Self::Server
            | Self::Connect
            | Self::Tls
            | Self::Context
            | Self::Empty
            | Self::TooLarge => false,
            // That is the reason already.
            Self::Unanswered => false,
        }
    }
}

/// A request or a stream that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{text}", status.map(|s| format!("{s} ")).unwrap_or_default())]
pub struct ProviderError {
    /// What kind of failure.
    pub kind: ErrorKind,
    /// The HTTP status, when there was a response with an error status.
    pub status: Option<u16>,
    /// For people: what happened and, when there is one, the remedy. Never holds a key.
    pub text: String,
    /// How long the server asks to wait.
    pub retry_after: Option<Duration>,
    /// The provider's number for the request, for its support.
    pub request_id: Option<String>,
    /// Whether asking again may help. When text has already come, the turn is interrupted instead.
    pub retryable: bool,
    /// Where in the answer something was needed and could not be decoded: the number of bytes before it. The same place twice is
    /// not asked for a third time.
    pub undecoded_at: Option<u64>,
}

impl ProviderError {
    /// An error that asking again does not mend.
    pub fn fatal(kind: ErrorKind, text: impl Into<String>) -> Self {
        Self {
            kind,
            status: None,
            text: text.into(),
            retry_after: None,
            request_id: None,
            retryable: false,
            undecoded_at: None,
        }
    }

    /// An error that asking again may mend.
    pub fn transient(kind: ErrorKind, text: impl Into<String>) -> Self {
        Self { retryable: true, ..Self::fatal(kind, text) }
    }
}
