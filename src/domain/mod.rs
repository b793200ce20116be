//! Layer 0: the words of chatmux as types. Knows no clock, no file, no terminal, no network.

pub mod attachment;
pub mod auto_reply;
pub mod display;
pub mod error;
pub mod event;
pub mod finish;
pub mod ids;
mod invisible;
pub mod kinds;
pub mod left;
pub mod limits;
pub mod message;
pub mod names;
pub mod replay;
pub mod stats;
pub mod text;
pub mod time;
pub mod typed;

pub use attachment::Attachment;
pub use auto_reply::AutoReply;
pub use display::{Activity, Frame, Look, Progress, PromptState, Show};
pub use error::{ErrorKind, ProviderError};
pub use event::{Delta, Event};
pub use finish::{Finish, Problem};
pub use ids::{EntryId, MessageId, ProcessId, SessionId};
pub use kinds::{
    Alert, AnswerState, EndState, EntryState, FinishReason, Notify, Origin, Priority, Reasoning, Render, Role,
    SessionChange, Told, UnknownWord,
};
pub use left::{Fate, LetGo};
pub use message::{ChatMessage, Entry, Kept, Message, Session, StoredError, Usage};
pub use names::{BadModel, BadName, ModelName, SessionName, SessionRef};
pub use replay::{Output, ReplayBuffer, Seen, cut_to_end};
pub use stats::{Depth, Spread, Stats};
pub use time::{BadDuration, Clock, Span, TimeOfDay, Timestamp};
pub use typed::TypedLines;
