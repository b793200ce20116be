//! Layer 0: the words of chatmux as types. Knows no clock, no file, no terminal, no network.

pub mod display;
pub mod error;
pub mod event;
pub mod ids;
pub mod kinds;
pub mod limits;
pub mod message;
pub mod names;
pub mod replay;
pub mod text;
pub mod time;

pub use display::{Activity, Frame, PromptState, Show};
pub use error::{ErrorKind, ProviderError};
pub use event::{Delta, Event};
pub use ids::{EntryId, MessageId, SessionId};
pub use kinds::{AnswerState, EndState, EntryState, FinishReason, Origin, Priority, Role, SessionChange, UnknownWord};
pub use message::{ChatMessage, Entry, Message, Session, StoredError, Usage};
pub use names::{BadModel, BadName, ModelName, SessionName, SessionRef};
pub use replay::{Output, ReplayBuffer, Seen};
pub use time::{BadDuration, Clock, Span, Timestamp};
