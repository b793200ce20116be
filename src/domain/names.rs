//! What a person may call a session and a model.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::ids::SessionId;
use super::limits::MAX_NAME_CHARS;

/// A session's name: 1 to 64 characters, no blanks or control characters, not all digits, not `-`, not `all`.
/// It does not begin with `/` or `-`, so that it can never be taken for a command or an option, and has no `,`
/// (which separates targets).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct SessionName(String);

/// Why a session cannot be called so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    /// Nothing is left.
    #[error("a session's name cannot be empty")]
    Empty,
    /// More than [`MAX_NAME_CHARS`].
    #[error("a session's name has {MAX_NAME_CHARS} characters at most")]
    TooLong,
    /// Blanks, control characters, or a comma.
    #[error("a session's name has no blanks, commas or control characters")]
    Character,
    /// All digits, `-`, `all`, or a leading `/` or `-`.
    #[error("{0:?} cannot be a session's name: it would be read as something else")]
    Reserved(String),
}

impl SessionName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name that session `id` gets when the person gives none.
    pub fn default_for(id: SessionId) -> Self {
        Self(if id.0 == 1 { "main".to_owned() } else { format!("chat{id}") })
    }
}

impl FromStr for SessionName {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        if text.is_empty() {
            return Err(BadName::Empty);
        }
        if text.chars().count() > MAX_NAME_CHARS {
            return Err(BadName::TooLong);
        }
        if text.chars().any(|c| c.is_whitespace() || c == ',' || super::text::is_unsafe(c)) {
            return Err(BadName::Character);
        }
        let reserved = text.chars().all(|c| c.is_ascii_digit()) || text == "all" || text.starts_with(['-', '/']);
        if reserved { Err(BadName::Reserved(text.to_owned())) } else { Ok(Self(text.to_owned())) }
    }
}

impl fmt::Display for SessionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// One session as a person names it: its number or its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionRef {
    /// By number.
    Id(SessionId),
    /// By name.
    Name(SessionName),
}

impl FromStr for SessionRef {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        if !text.is_empty() && text.chars().all(|c| c.is_ascii_digit()) {
            // A number too large for a row can name nothing; it is reported as unknown, not as malformed.
            return Ok(Self::Id(SessionId(text.parse().unwrap_or(i64::MAX))));
        }
        text.parse().map(Self::Name)
    }
}

impl fmt::Display for SessionRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

/// `PROVIDER:MODEL`, or `PROVIDER` alone for that provider's default model. The model may itself hold colons (`ollama:qwen3:8b`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ModelName {
    /// The provider's name: a section of the configuration, or a built-in one.
    pub provider: String,
    /// What the provider calls the model; empty: the provider's default.
    pub model: String,
}

/// A model name that was not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no model: write PROVIDER:MODEL, such as openai:gpt-5.1 or demo:tour")]
pub struct BadModel(pub String);

impl FromStr for ModelName {
    type Err = BadModel;

    fn from_str(text: &str) -> Result<Self, BadModel> {
        let (provider, model) = text.split_once(':').unwrap_or((text, ""));
        let bad = provider.is_empty() || text.chars().any(|c| c.is_whitespace() || super::text::is_unsafe(c));
        if bad {
            Err(BadModel(text.to_owned()))
        } else {
            Ok(Self { provider: provider.to_owned(), model: model.to_owned() })
        }
    }
}

impl TryFrom<String> for ModelName {
    type Error = BadModel;

    fn try_from(text: String) -> Result<Self, BadModel> {
        text.parse()
    }
}

impl From<ModelName> for String {
    fn from(name: ModelName) -> Self {
        name.to_string()
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.model.is_empty() { f.pad(&self.provider) } else { write!(f, "{}:{}", self.provider, self.model) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_be_read_as_something_else_are_refused() {
        for good in ["docs", "a", "9lives", "日本語", "x-1", "v1.2"] {
            assert!(good.parse::<SessionName>().is_ok(), "{good}");
        }
        let long = "x".repeat(65);
        for bad in ["", "12", "-", "all", "-x", "/x", "a b", "a\tb", "a,b", "a\u{1b}b", "a\u{202e}b", long.as_str()] {
            assert!(bad.parse::<SessionName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_model_keeps_its_own_colons() {
        let name: ModelName = "ollama:qwen3:8b".parse().unwrap();
        assert_eq!((name.provider.as_str(), name.model.as_str()), ("ollama", "qwen3:8b"));
        assert_eq!(name.to_string(), "ollama:qwen3:8b");
        assert_eq!("local".parse::<ModelName>().unwrap().to_string(), "local");
        assert!(":x".parse::<ModelName>().is_err());
        assert!("a b:x".parse::<ModelName>().is_err());
    }
}
