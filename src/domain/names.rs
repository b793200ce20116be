//! What a person may call a session and a model.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

use super::ids::SessionId;
use super::invisible;
use super::limits::MAX_NAME_CHARS;

/// A session's name: 1 to 64 characters, no blanks, no control characters and none that nobody sees, not all digits, not `-`, not `all`.
/// It does not begin with `/` or `-`, so that it can never be taken for a command or an option, and has no `,`
/// (which separates targets).
///
/// It is kept in Unicode's normal form C, so that the same name typed on two systems is one name (macOS writes `é` as two characters).
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
    /// A character that nobody sees: two names that look alike would be two.
    #[error(
        "a session's name cannot hold U+{:04X} ({}): nobody sees it, so leave it out",
        u32::from(*.0),
        super::invisible::what_it_is(*.0)
    )]
    Invisible(char),
    /// All digits, `-`, `all`, or a leading `/` or `-`.
    #[error("{0:?} cannot be a session's name: it would be read as something else")]
    Reserved(String),
}

impl SessionName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A name that stands in a database: whatever an earlier version allowed is kept, so that its session can still be reached.
    pub fn stored(text: &str) -> Self {
        Self(text.nfc().collect())
    }

    /// The name that session `id` gets when the person gives none.
    pub fn default_for(id: SessionId) -> Self {
        Self(if id.0 == 1 { "main".to_owned() } else { format!("chat{id}") })
    }
}

impl FromStr for SessionName {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        // One more than there may be is enough to see that it is too long.
        let name: String = text.nfc().take(MAX_NAME_CHARS + 1).collect();
        if name.is_empty() {
            return Err(BadName::Empty);
        }
        if let Some(unseen) = invisible::first_in(&name) {
            return Err(BadName::Invisible(unseen));
        }
        if name.chars().count() > MAX_NAME_CHARS {
            return Err(BadName::TooLong);
        }
        if name.chars().any(|c| c.is_whitespace() || c == ',' || super::text::is_unsafe(c)) {
            return Err(BadName::Character);
        }
        let reserved = name.chars().all(|c| c.is_ascii_digit()) || name == "all" || name.starts_with(['-', '/']);
        if reserved { Err(BadName::Reserved(name)) } else { Ok(Self(name)) }
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
        let bad = provider.is_empty()
            || text.chars().any(|c| c.is_whitespace() || super::text::is_unsafe(c))
            || invisible::first_in(text).is_some();
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
    fn a_name_is_the_same_however_its_characters_are_composed() {
        let check = |one: &str, other: &str| {
            let names = [one, other].map(|text| text.parse::<SessionName>().unwrap());
            assert_eq!(names[0], names[1], "{one:?} {other:?}");
            assert_eq!(SessionName::stored(other), names[0]);
        };
        check("café", "cafe\u{301}");
        check("Åse", "A\u{30a}se");
        check("Åse", "\u{212b}se");
        check("한글", "\u{1112}\u{1161}\u{11ab}\u{1100}\u{1173}\u{11af}");
        check("ệ", "e\u{302}\u{323}");
        let most = "e\u{301}".repeat(MAX_NAME_CHARS);
        assert_eq!(most.parse::<SessionName>().unwrap().as_str(), "é".repeat(MAX_NAME_CHARS));
        assert_eq!((most + "x").parse::<SessionName>(), Err(BadName::TooLong));
    }

    #[test]
    fn characters_that_nobody_sees_are_refused_by_name() {
        let check = |text: &str, said: &str| {
            let error = text.parse::<SessionName>().unwrap_err().to_string();
            assert!(error.contains(said), "{text:?}: {error}");
        };
        check("a\u{200b}b", "U+200B (zero-width space)");
        check("\u{feff}docs", "U+FEFF (byte order mark)");
        check("do\u{ad}cs", "U+00AD (soft hyphen)");
        check("docs\u{202e}", "U+202E (a bidirectional control)");
        check("docs\u{fe0f}", "U+FE0F (a variation selector)");
        check("docs\u{e0041}", "U+E0041 (a tag character)");
        check("\u{3164}", "U+3164 (a Hangul filler)");
    }

    #[test]
    fn a_stored_name_is_kept_whatever_it_holds() {
        for text in ["a\u{200b}b", "12", "all", "a b"] {
            assert_eq!(SessionName::stored(text).as_str(), text);
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
        assert!("demo:ec\u{200b}ho".parse::<ModelName>().is_err());
    }
}
