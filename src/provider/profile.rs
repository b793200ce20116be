//! Where a provider is and how it is spoken to. Made by the configuration, read here.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::kinds::words;

words!(
    /// The wire format.
    Kind {
        /// Chat completions, as OpenAI, vLLM, llama.cpp, LM Studio, OpenRouter and many others speak them.
        OpenAi => "openai",
        /// Anthropic messages.
        Anthropic => "anthropic",
        /// Gemini streamGenerateContent.
        Gemini => "gemini",
        /// Ollama's own /api/chat.
        Ollama => "ollama",
        /// The embedded model.
        Demo => "demo",
    }
);

/// Where the key comes from. The key itself is read when a request needs it; it is never kept, logged or shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// No key is sent.
    None,
    /// From this environment variable; where it is unset or empty, `required` decides between an error and no key.
    Env {
        /// The variable's name.
        name: String,
        /// Whether a request without it makes sense.
        required: bool,
    },
    /// The first line that this shell command prints.
    Command(String),
}

impl KeySource {
    /// A key command for people: its program alone, for its arguments may themselves be secrets, and what is set before it too.
    pub fn shown_command(command: &str) -> String {
        let mut words = command.split_whitespace();
        match words.next() {
            Some(program) if !program.contains('=') => match words.next() {
                Some(_) => format!("{program} …"),
                None => program.to_owned(),
            },
            Some(_) | None => "…".to_owned(),
        }
    }
}

/// One provider, ready to be spoken to.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// Its name: `local` in `local:MODEL`.
    pub name: String,
    /// The wire format.
    pub kind: Kind,
    /// For `openai` with `/v1`; for the others the host. No `/` at the end.
    pub base_url: String,
    /// The key.
    pub key: KeySource,
    /// What `-m NAME` alone means.
    pub default_model: Option<String>,
    /// Further models, for completion.
    pub models: Vec<String>,
    /// The header that carries the key, where it is not the format's own: Azure's `api-key`.
    pub auth_header: Option<String>,
    /// Requests at once.
    pub max_concurrent: Option<usize>,
    /// Further headers of every request.
    pub headers: BTreeMap<String, String>,
    /// Further members of every request's body.
    pub extra_body: serde_json::Map<String, serde_json::Value>,
}

/// How long to wait for what. `[timeouts]` in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Until the connection stands.
    pub connect: Duration,
    /// From then until the response starts.
    pub headers: Duration,
    /// Without content: from the start of the response until its first content, and between two pieces.
    pub first: Duration,
    /// Without any byte, after the first content.
    pub idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            headers: Duration::from_secs(600),
            first: Duration::from_secs(600),
            idle: Duration::from_secs(60),
        }
    }
}
