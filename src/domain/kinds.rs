//! The closed sets of words that the store, the queue, `--json` and the person share.

/// An enum of words: one spelling for SQL, JSON, the command line and the screen.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident => $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        pub enum $name {
            $($(#[$vdoc])* #[serde(rename = $word)] $variant,)+
        }

        impl $name {
            /// Every value, in its order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word, as stored, shown and typed.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::domain::UnknownWord;

            fn from_str(word: &str) -> Result<Self, $crate::domain::UnknownWord> {
                match word {
                    $($word => Ok(Self::$variant),)+
                    _ => Err($crate::domain::UnknownWord { word: word.to_owned(), expected: &[$($word,)+] }),
                }
            }
        }
    };
}
pub(crate) use words;

/// A word that is none of those expected at its place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{word:?} is none of {}", expected.join(", "))]
pub struct UnknownWord {
    /// What was found.
    pub word: String,
    /// What may stand there.
    pub expected: &'static [&'static str],
}

words!(
    /// How urgent an entry is. The order is the order of service: `High` first.
    Priority {
        /// A person intervenes.
        High => "high",
        /// A person (or a script) types.
        Normal => "normal",
        /// A follow-up that a machine made.
        Low => "low",
    }
);

words!(
    /// Who made an entry.
    Origin {
        /// Typed at the prompt.
        User => "user",
        /// Read from a script or given to `chatmux ask`.
        Script => "script",
        /// Made by an auto-reply loop.
        Auto => "auto",
    }
);

words!(
    /// Where an entry is in its life.
    EntryState {
        /// Waits; may be held or have a `not_before`.
        Pending => "pending",
        /// Its turn is under way.
        Running => "running",
        /// Its turn ended with a committed answer (complete or interrupted).
        Done => "done",
        /// A person ended it.
        Cancelled => "cancelled",
        /// Out of attempts, or failed for good: a dead letter.
        Dead => "dead",
    }
);

words!(
    /// Where an answer is in its life.
    AnswerState {
        /// Under way.
        Streaming => "streaming",
        /// Ended with a stop reason.
        Complete => "complete",
        /// Cut short; the partial is kept.
        Interrupted => "interrupted",
        /// Ended by an error; the partial, if there is one, is kept.
        Failed => "failed",
    }
);

words!(
    /// How a turn ended, as `--json` and notices say it.
    EndState {
        /// The answer is whole.
        Complete => "complete",
        /// The answer was cut; the partial is kept.
        Interrupted => "interrupted",
        /// The entry is a dead letter.
        Failed => "failed",
        /// A person ended it; a partial is kept.
        Cancelled => "cancelled",
    }
);

words!(
    /// Whose words a message holds.
    Role {
        /// Instructions that stand before the conversation.
        System => "system",
        /// The person's side.
        User => "user",
        /// The model's side.
        Assistant => "assistant",
    }
);

words!(
    /// Why a model stopped: `finish_reason` in `--json`.
    FinishReason {
        /// It had said what it had to say.
        Stop => "stop",
        /// It ran into a limit on tokens.
        Length => "length",
        /// The model declined to answer.
        Refusal => "refusal",
        /// The provider withheld the rest.
        Filter => "filter",
        /// It asked for a tool; chatmux offers none.
        Tool => "tool",
        /// The server paused a long turn and wants to be asked to continue.
        Pause => "pause",
        /// The server broke off, and said so by the stop reason alone.
        Error => "error",
        /// A reason this version does not know.
        Unknown => "unknown",
    }
);

words!(
    /// What happened to a session (`"change"` in `--json`).
    SessionChange {
        /// It is new.
        Created => "created",
        /// It is the active one now.
        Switched => "switched",
        /// Its name changed.
        Renamed => "renamed",
        /// Its model changed.
        Model => "model",
        /// Its system prompt changed.
        System => "system",
        /// It was archived.
        Closed => "closed",
        /// It was taken out of the archive.
        Reopened => "reopened",
        /// It and all its messages are gone.
        Deleted => "deleted",
        /// Its queue is held.
        Held => "held",
        /// Its queue goes on.
        Resumed => "resumed",
    }
);

words!(
    /// How answers are drawn (`ui.render`).
    Render {
        /// With emphasis, headings and code set apart.
        Markdown => "markdown",
        /// As they come.
        Plain => "plain",
    }
);

words!(
    /// Which background turns print a line (`ui.notify`).
    Notify {
        /// Starts, retries and ends.
        All => "all",
        /// Ends, good and bad, and retries.
        Done => "done",
        /// Failures only.
        Fail => "fail",
        /// None.
        None => "none",
    }
);

/// What a line about a background session tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// A turn begins.
    Start,
    /// A turn goes on otherwise than one expects: it is tried again, or gives way.
    Step,
    /// Something ended as it should, or because a person ended it.
    End,
    /// Something failed, or needs the person.
    Failure,
}

impl Notify {
    /// Whether that is told.
    pub const fn tells(self, what: Told) -> bool {
        match self {
            Self::All => true,
            Self::Done => !matches!(what, Told::Start),
            Self::Fail => matches!(what, Told::Failure),
            Self::None => false,
        }
    }
}

words!(
    /// What becomes of a model's reasoning on the screen (`ui.reasoning`).
    Reasoning {
        /// Shown dimmed.
        Dim => "dim",
        /// Not shown.
        Hide => "hide",
        /// Shown as the answer is.
        Show => "show",
    }
);

words!(
    /// How the terminal tells a person who looks elsewhere that something ended (`ui.alert`).
    Alert {
        /// Not at all.
        None => "none",
        /// It rings its bell.
        Bell => "bell",
        /// A desktop notification, as iTerm2, kitty and others take it (OSC 9).
        Osc9 => "osc9",
        /// The same, as urxvt, foot and others take it (OSC 777).
        Osc777 => "osc777",
    }
);
