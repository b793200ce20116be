//! The configuration: one file, the environment and the defaults become plain types, once, at the start. The command line
//! (layer 5) asks for it, the application hands its sections to those whose they are. Nothing here holds a key: providers
//! read theirs when they need it.
//!
//! Flags beat the environment beats the file beats the defaults. A file with anything wrong in it is no configuration: every
//! problem is told with its line and column, and nothing runs on half of what was meant.

mod error;
mod parse;
mod places;
mod providers;
mod read;
mod sections;
mod show;
#[cfg(test)]
mod tests;
mod trust;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

pub use error::{ConfigError, MAX_PROBLEMS, Problem};
pub use places::{Places, create_private_file, create_private_folder};
pub use providers::{ANTHROPIC_MODEL, BUILT_IN, DEMO_MODEL, Env, GEMINI_MODEL, OLLAMA_MODEL, OPENAI_MODEL};
pub use sections::{AutoReply, EditMode, Lease, MidStream, OnStart, Preempt, Queue, QueuePosition, Retry, Ui};
pub use show::{check, init, path, show};
pub use trust::Distrust;

use crate::domain::ModelName;
use crate::domain::text::from_file;
use crate::provider::{KeySource, Profile, Timeouts};

/// Bytes of a configuration file; a larger one was meant as something else.
pub const MAX_FILE_BYTES: usize = 1 << 20;

/// What `chatmux config init` writes: the defaults, each as a comment that takes effect when its `#` is taken away.
pub const DEFAULT_TEXT: &str = include_str!("default.toml");

/// Everything that can be set, complete and within its bounds.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The model of new sessions. Its provider exists and its model is not empty.
    pub model: ModelName,
    /// What becomes at start of what was pending.
    pub on_start: OnStart,
    /// Every provider by its name, the built-in ones included.
    pub providers: BTreeMap<String, Profile>,
    /// How long to wait for what.
    pub timeouts: Timeouts,
    /// How much runs and waits.
    pub queue: Queue,
    /// What follows a failure.
    pub retry: Retry,
    /// How processes share a database.
    pub lease: Lease,
    /// The brakes of auto-reply loops.
    pub auto_reply: AutoReply,
    /// What a person sees and how they type.
    pub ui: Ui,
    /// `--record`: the file that takes the replies of servers. Not a key of the file, where it would be forgotten.
    pub record: Option<PathBuf>,
}

impl Default for Config {
    /// The defaults of the contract, with nothing in the environment.
    fn default() -> Self {
        let providers = providers::built_in(&|_| None).unwrap_or_default();
        Self {
            model: providers::model_by_key(&providers, &|_| None),
            on_start: OnStart::Ask,
            providers,
            timeouts: Timeouts::default(),
            queue: Queue::default(),
            retry: Retry::default(),
            lease: Lease::default(),
            auto_reply: AutoReply::default(),
            ui: Ui::default(),
            record: None,
        }
    }
}

impl Config {
    /// The configuration of this start: from `explicit` (`--config` or `CHATMUX_CONFIG`), which must exist, or from the
    /// user's own file, which need not.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn load(explicit: Option<&Path>, env: Env<'_>) -> Result<Self, ConfigError> {
        match (explicit, Places::of_this_user().config()) {
            (Some(path), _) => Self::read(path, env),
            (None, Ok(path)) => match Self::read(&path, env) {
                Err(ConfigError::Missing(_)) => Self::parse("", &path, env),
                other => other,
            },
            // Who has no home has no file there either.
            (None, Err(_)) => Self::parse("", Path::new("config.toml"), env),
        }
    }

    /// The configuration that a file makes.
    ///
    /// # Errors
    /// See [`ConfigError`]; a file that is not there is [`ConfigError::Missing`].
    pub fn read(path: &Path, env: Env<'_>) -> Result<Self, ConfigError> {
        let (bytes, distrust) = read_bounded(path)?;
        let text = std::str::from_utf8(&bytes).map_err(|error| {
            let good = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
            let problem = read::located(&good, good.len(), "not UTF-8 text from here on".to_owned());
            ConfigError::Invalid { path: path.to_owned(), problems: vec![problem] }
        })?;
        let config = Self::parse(text, path, env)?;
        let has_command = config.providers.values().any(|profile| matches!(profile.key, KeySource::Command(_)));
        match distrust.filter(|_| has_command) {
            Some(why) => Err(ConfigError::Untrusted { path: path.to_owned(), why }),
            None => Ok(config),
        }
    }

    /// The configuration that a text makes; `path` is for errors only.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`], [`ConfigError::Environment`].
    pub fn parse(text: &str, path: &Path, env: Env<'_>) -> Result<Self, ConfigError> {
        // An editor's byte order mark is not a part of the text, and would count as a column; nor is a line end of another system a part
        // of a text of several lines.
        parse::parse(&from_file(text.to_owned()), path, env)
    }

    /// A model name as it can be asked: `local` becomes `local:tiny`.
    ///
    /// # Errors
    /// [`ConfigError::Model`]: an unknown provider (with the nearest name), or one without a default model.
    pub fn resolve_model(&self, name: ModelName) -> Result<ModelName, ConfigError> {
        providers::resolve(&self.providers, name)
    }
}

/// What is in the file, and whether others can change it.
fn read_bounded(path: &Path) -> Result<(Vec<u8>, Option<Distrust>), ConfigError> {
    let unreadable = |reason: io::Error| match reason.kind() {
        io::ErrorKind::NotFound => ConfigError::Missing(path.to_owned()),
        io::ErrorKind::IsADirectory => ConfigError::Directory(path.to_owned()),
        _ => ConfigError::Unreadable { path: path.to_owned(), reason },
    };
    let file = File::open(path).map_err(unreadable)?;
    let distrust = Distrust::of(&file.metadata().map_err(unreadable)?);
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() > MAX_FILE_BYTES { Err(ConfigError::TooLarge(path.to_owned())) } else { Ok((bytes, distrust)) }
}
