//! The commands as types: what [`super::parse`] makes and the prompt and the script carry out.

use std::str::FromStr;
use std::time::Duration;

use super::settings::{AttachChange, SetChange};
use crate::domain::{BadName, EntryId, ModelName, Priority, SessionName, SessionRef};

/// Sessions that one `/send` may name; more is a mistake, and `all` has no such bound.
pub const MAX_TARGETS: usize = 1_000;
/// Entries that one command may name: as many as can wait at all.
pub const MAX_ENTRIES: usize = crate::domain::limits::MAX_PENDING_TOTAL;

/// A command with its arguments. Where a session is optional, `None` is the command's own default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// `/new [NAME]`: make a session and go there.
    New {
        /// What to call it.
        name: Option<SessionName>,
    },
    /// `/switch N|NAME|-`, `/N`: make another session the active one.
    Switch {
        /// Which.
        to: SwitchTo,
    },
    /// `/sessions`: list them.
    Sessions,
    /// `/rename NAME`: rename the active session.
    Rename {
        /// Its name from now on.
        name: SessionName,
    },
    /// `/close [N]`: archive a session.
    Close {
        /// `None`: the active one.
        session: Option<SessionRef>,
    },
    /// `/delete N`: delete a session and its messages. There is no default, on purpose.
    Delete {
        /// Which.
        session: SessionRef,
    },
    /// `/send N[,N…]|all TEXT`: queue a message elsewhere and stay here.
    Send {
        /// Where to.
        to: Targets,
        /// The message, verbatim.
        text: String,
    },
    /// `/bg TEXT`: queue a message here and do not wait for its answer.
    Bg {
        /// The message, verbatim.
        text: String,
    },
    /// `/now TEXT`: queue a message here with priority `high`.
    Now {
        /// The message, verbatim.
        text: String,
    },
    /// `/later TEXT`: queue a message here with priority `low`.
    Later {
        /// The message, verbatim.
        text: String,
    },
    /// `/cancel [N]`: end the running turn, keep the partial, go on with the queue.
    Cancel {
        /// `None`: the active one.
        session: Option<SessionRef>,
    },
    /// `/stop [N|all]`: end the running turn, keep the partial, hold the queue, end an auto-reply loop.
    Stop {
        /// `None`: the active one.
        scope: Option<Scope>,
    },
    /// `/queue [N|all]`: show what waits, runs and failed.
    Queue {
        /// `None`: left to who carries it out.
        scope: Option<Scope>,
    },
    /// `/drop ID…`: take entries that wait, or are dead, out of the queue.
    Drop {
        /// Which, each once, in the order of naming; never empty.
        entries: Vec<EntryId>,
    },
    /// `/move ID before|after ID`: put an entry next to another.
    Move {
        /// Which.
        entry: EntryId,
        /// On which side.
        place: Place,
        /// Of this one.
        beside: EntryId,
    },
    /// `/priority ID high|normal|low`.
    Priority {
        /// Which.
        entry: EntryId,
        /// Its priority from now on.
        priority: Priority,
    },
    /// `/hold [N|#ID…]`: start nothing more until `/resume`.
    Hold {
        /// Never every session.
        what: Subject,
    },
    /// `/resume [N|all|#ID…]`: go on with what is held.
    Resume {
        /// Which.
        what: Subject,
    },
    /// `/dead [N|all]`: show what failed for good.
    Dead {
        /// `None`: the active one.
        scope: Option<Scope>,
    },
    /// `/requeue ID…|all`: send dead entries again.
    Requeue {
        /// Which.
        which: Requeued,
    },
    /// `/continue`: go on from an interrupted answer.
    Continue,
    /// `/retry`: ask the last question again, or now what waits for its next attempt.
    Retry,
    /// `/undo`: take back the last message, and its answer.
    Undo,
    /// `/edit`: change the last message in an editor.
    Edit,
    /// `/auto …`: the auto-reply loop of the active session.
    Auto {
        /// What to do with it.
        change: AutoChange,
    },
    /// `/stats [N|all]`: show figures.
    Stats {
        /// `None`: the active one.
        scope: Option<Scope>,
    },
    /// `/history [COUNT]`: show the last messages of the active session.
    History {
        /// How many messages, at least 1.
        count: Option<u32>,
    },
    /// `/replay`: show the session's output again.
    Replay,
    /// `/model [NAME]`: show or set the active session's model.
    Model {
        /// `None`: show it.
        name: Option<ModelName>,
    },
    /// `/system [TEXT]`: show, set or clear the active session's system prompt.
    System {
        /// What to do with it.
        change: SystemChange,
    },
    /// `/set [KEY VALUE]`: show the settings, or change one.
    Set {
        /// What to do.
        change: SetChange,
    },
    /// `/attach [FILE…|off]`: files that go along with the next message.
    Attach {
        /// What to do.
        change: AttachChange,
    },
    /// `/wait [N|all] [--timeout DURATION]`: go on when nothing is left to answer.
    Wait {
        /// `None`: left to who carries it out.
        scope: Option<Scope>,
        /// No longer than this; `None`: as long as it takes.
        timeout: Option<Duration>,
    },
    /// `/sleep DURATION`: go on after a while.
    Sleep {
        /// How long.
        length: Duration,
    },
    /// `/echo TEXT`: print a text.
    Echo {
        /// The text, verbatim.
        text: String,
    },
    /// `/help [COMMAND]`.
    Help {
        /// A name of the table, which [`super::help_for`] knows; `None`: all.
        command: Option<&'static str>,
    },
    /// `/quit`: leave now and keep all.
    Quit,
    /// `/detach`: leave, and let the work go on.
    Detach,
}

impl Command {
    /// The command's name without the slash, as `{"event":"result"}` says it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::New { .. } => "new",
            Self::Switch { .. } => "switch",
            Self::Sessions => "sessions",
            Self::Rename { .. } => "rename",
            Self::Close { .. } => "close",
            Self::Delete { .. } => "delete",
            Self::Send { .. } => "send",
            Self::Bg { .. } => "bg",
            Self::Now { .. } => "now",
            Self::Later { .. } => "later",
            Self::Cancel { .. } => "cancel",
            Self::Stop { .. } => "stop",
            Self::Queue { .. } => "queue",
            Self::Drop { .. } => "drop",
            Self::Move { .. } => "move",
            Self::Priority { .. } => "priority",
            Self::Hold { .. } => "hold",
            Self::Resume { .. } => "resume",
            Self::Dead { .. } => "dead",
            Self::Requeue { .. } => "requeue",
            Self::Continue => "continue",
            Self::Retry => "retry",
            Self::Undo => "undo",
            Self::Edit => "edit",
            Self::Auto { .. } => "auto",
            Self::Stats { .. } => "stats",
            Self::History { .. } => "history",
            Self::Replay => "replay",
            Self::Model { .. } => "model",
            Self::System { .. } => "system",
            Self::Set { .. } => "set",
            Self::Attach { .. } => "attach",
            Self::Wait { .. } => "wait",
            Self::Sleep { .. } => "sleep",
            Self::Echo { .. } => "echo",
            Self::Help { .. } => "help",
            Self::Quit => "quit",
            Self::Detach => "detach",
        }
    }
}

/// Where `/switch` goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SwitchTo {
    /// `-`: the session that was active before this one.
    Previous,
    /// That one.
    Session(SessionRef),
}

impl FromStr for SwitchTo {
    type Err = BadName;

    fn from_str(word: &str) -> Result<Self, BadName> {
        if word == "-" { Ok(Self::Previous) } else { word.parse().map(Self::Session) }
    }
}

/// `N|all`: one session or every one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Every session.
    All,
    /// That one.
    One(SessionRef),
}

impl FromStr for Scope {
    type Err = BadName;

    fn from_str(word: &str) -> Result<Self, BadName> {
        if word == "all" { Ok(Self::All) } else { word.parse().map(Self::One) }
    }
}

/// `N[,N…]|all`: where a message goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Targets {
    /// Every session.
    All,
    /// These, in the order of naming, at least one and at most [`MAX_TARGETS`]; what is written the same is here once. A
    /// session may still be named twice, by number and by name: who knows the sessions must see to that.
    Some(Vec<SessionRef>),
}

/// A list of sessions that was not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadTargets {
    /// A comma with nothing before or behind it.
    #[error("{0:?} is no list of sessions: write N[,N…] without blanks, or all")]
    Gap(String),
    /// More than [`MAX_TARGETS`].
    #[error("a list has {MAX_TARGETS} sessions at most: write all for every one")]
    TooMany,
    /// One of them cannot be a session.
    #[error(transparent)]
    Name(#[from] BadName),
}

impl FromStr for Targets {
    type Err = BadTargets;

    fn from_str(word: &str) -> Result<Self, BadTargets> {
        if word == "all" {
            return Ok(Self::All);
        }
        let mut sessions: Vec<SessionRef> = Vec::new();
        for piece in word.split(',') {
            if piece.is_empty() {
                return Err(BadTargets::Gap(word.to_owned()));
            }
            let session = piece.parse()?;
            if sessions.contains(&session) {
                continue;
            }
            if sessions.len() == MAX_TARGETS {
                return Err(BadTargets::TooMany);
            }
            sessions.push(session);
        }
        Ok(Self::Some(sessions))
    }
}

/// What `/system` does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SystemChange {
    /// `/system`: show it.
    Show,
    /// `/system -`: have none.
    Clear,
    /// `/system TEXT`: this one, verbatim.
    Set(String),
}

crate::domain::kinds::words!(
    /// On which side of another entry one goes.
    Place {
        /// It comes next before it.
        Before => "before",
        /// It comes next after it.
        After => "after",
    }
);

/// What `/hold` and `/resume` are about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// Whole queues; `None`: the active session's.
    Sessions(Option<Scope>),
    /// These entries, each once, in the order of naming; never empty.
    Entries(Vec<EntryId>),
}

/// One word of a [`Subject`]: what begins with `#` and has only digits behind it is an entry, all else a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SubjectWord {
    /// `N`, `NAME`, `all`.
    Scope(Scope),
    /// `#41`.
    Entry(EntryId),
}

/// What `/requeue` sends again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Requeued {
    /// Every dead entry, of every session.
    All,
    /// These, each once, in the order of naming; never empty.
    These(Vec<EntryId>),
}

/// What `/auto` does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AutoChange {
    /// `/auto`: say how it stands.
    Show,
    /// `/auto off`: end it.
    Off,
    /// `/auto TEXT`: begin one. What is `None` is as the configuration says.
    Begin {
        /// What is sent after each answer, verbatim.
        text: String,
        /// Auto-replies in all, at least 1.
        max_turns: Option<u32>,
        /// An answer with this word ends it.
        until: Option<String>,
        /// No auto-reply later than this from now.
        max_time: Option<Duration>,
    },
}
