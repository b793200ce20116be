//! The sections as plain types, with the defaults of the contract. Knows no TOML; who runs chatmux reads these.

use std::time::Duration;

use crate::domain::kinds::{Alert, Notify, Reasoning, Render, words};
use crate::domain::limits::{MAX_PENDING, MAX_PENDING_TOTAL};

words!(
    /// What to do at start with what was pending at the last exit (`on_start`).
    OnStart {
        /// Held; the start says so and asks.
        Ask => "ask",
        /// It goes on at once.
        Resume => "resume",
        /// Held until `/resume`.
        Hold => "hold",
    }
);

words!(
    /// Which running turns a more urgent one may interrupt (`queue.preempt`).
    Preempt {
        /// Those of low priority.
        Low => "low",
        /// None.
        Never => "never",
    }
);

words!(
    /// What follows when an answer breaks off in the middle (`retry.mid_stream`).
    MidStream {
        /// The partial is kept and the person decides.
        Keep => "keep",
        /// It is continued by itself.
        Continue => "continue",
    }
);

words!(
    /// Where auto-replies stand among the other entries of their session (`auto_reply.queue_position`).
    QueuePosition {
        /// Behind what a person typed.
        AfterNormal => "after_normal",
        /// Before it.
        BeforeNormal => "before_normal",
    }
);

words!(
    /// The keys of the prompt (`ui.edit_mode`).
    EditMode {
        /// As in bash.
        Emacs => "emacs",
        /// As in vi.
        Vi => "vi",
    }
);

/// `[queue]`: how much runs and waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queue {
    /// Turns at once, over all providers.
    pub max_concurrent: usize,
    /// Entries that may wait in one session.
    pub max_pending: usize,
    /// Entries that may wait in all.
    pub max_pending_total: usize,
    /// This much waiting is worth one rank.
    pub ageing: Duration,
    /// What may be interrupted.
    pub preempt: Preempt,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            max_concurrent: 8,
            max_pending: MAX_PENDING,
            max_pending_total: MAX_PENDING_TOTAL,
            ageing: Duration::from_secs(30),
            preempt: Preempt::Low,
        }
    }
}

/// `[retry]`: what follows a failure that asking again may mend.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Retry {
    /// Attempts in all, the first included.
    pub max_attempts: u32,
    /// Before the second attempt.
    pub initial_delay: Duration,
    /// Each further delay is this many times the one before; 1 or more.
    pub multiplier: f64,
    /// No delay of ours is longer.
    pub max_delay: Duration,
    /// The share of a delay that chance adds or takes, 0 to 1.
    pub jitter: f64,
    /// A server that asks for more than this makes the session hold.
    pub max_retry_after: Duration,
    /// What follows when text has already come.
    pub mid_stream: MidStream,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            max_attempts: 5,
            initial_delay: Duration::from_secs(1),
            multiplier: 1.5,
            max_delay: Duration::from_secs(30),
            jitter: 0.2,
            max_retry_after: Duration::from_secs(120),
            mid_stream: MidStream::Keep,
        }
    }
}

/// `[lease]`: how several processes on one database agree on who runs a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// Between two signs of life.
    pub heartbeat: Duration,
    /// Silence past a heartbeat after which the holder counts as dead.
    pub quiet_period: Duration,
    /// No take-over waits longer.
    pub max_wait: Duration,
    /// Between two looks at another's lease.
    pub check_interval: Duration,
}

impl Default for Lease {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_secs(1),
            quiet_period: Duration::from_millis(800),
            max_wait: Duration::from_secs(5),
            check_interval: Duration::from_millis(100),
        }
    }
}

/// `[auto_reply]`: the brakes of an auto-reply loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AutoReply {
    /// Whether a high entry interrupts an auto-reply.
    pub allow_interruption: bool,
    /// Where auto-replies stand in their session's queue.
    pub queue_position: QueuePosition,
    /// Turns of a loop for which `/auto` gave no `--max`.
    pub max_turns: u32,
    /// No auto-reply of a loop for which `/auto` gave no `--for` is queued later than this after its begin.
    pub max_time: Duration,
    /// Tokens of all turns of a loop together, questions and answers.
    pub max_tokens: u64,
    /// The same answer twice ends the loop.
    pub stop_on_repeat: bool,
}

impl Default for AutoReply {
    fn default() -> Self {
        Self {
            allow_interruption: true,
            queue_position: QueuePosition::AfterNormal,
            max_turns: 10,
            max_time: Duration::from_secs(3_600),
            max_tokens: 200_000,
            stop_on_repeat: true,
        }
    }
}

/// `[ui]`: what a person sees and how they type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ui {
    /// How answers are drawn.
    pub render: Render,
    /// Which background turns say that they ended.
    pub notify: Notify,
    /// What becomes of reasoning.
    pub reasoning: Reasoning,
    /// The prompt's keys.
    pub edit_mode: EditMode,
    /// How a person who looks elsewhere is told that something ended.
    pub alert: Alert,
    /// Who has typed nothing for this long looks elsewhere.
    pub alert_after: Duration,
    /// Whole lines only, no cursor movement (`--plain`).
    pub plain: bool,
}

impl Default for Ui {
    fn default() -> Self {
        Self {
            render: Render::Markdown,
            notify: Notify::Done,
            reasoning: Reasoning::Dim,
            edit_mode: EditMode::Emacs,
            alert: Alert::None,
            alert_after: Duration::from_secs(5),
            plain: false,
        }
    }
}
