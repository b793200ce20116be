//! Every bound of the contract that is not configuration, and the defaults of those that are.

use std::time::Duration;

/// Characters in a session's name.
pub const MAX_NAME_CHARS: usize = 64;
/// Entries that may wait in one session (`queue.max_pending`).
pub const MAX_PENDING: usize = 100;
/// Entries that may wait in all (`queue.max_pending_total`).
pub const MAX_PENDING_TOTAL: usize = 10_000;
/// Bytes of one message; a longer one is refused and stays in the line.
pub const MAX_MESSAGE_BYTES: usize = 4 << 20;
/// Bytes of one answer, reasoning included; at the bound the answer ends as interrupted.
pub const MAX_ANSWER_BYTES: usize = 16 << 20;
/// Bytes of a session's output kept in memory; what is older is read from the store.
pub const REPLAY_BUFFER_BYTES: usize = 1 << 20;
/// Bytes of one line of a script; the rest of a longer line is read and dropped, and the line is an error.
pub const MAX_SCRIPT_LINE_BYTES: usize = 16 << 20;
/// Typed lines that are kept of a session, so that a key brings them back; the oldest goes for each that comes.
pub const MAX_HISTORY_LINES: usize = 1_000;
/// Bytes of one of them; a longer line is not among them (its message is in the conversation).
pub const MAX_HISTORY_LINE_BYTES: usize = 64 << 10;
/// A partial is on disk at most this far behind the screen.
pub const CHECKPOINT_INTERVAL: Duration = Duration::from_millis(100);
/// This many bytes go to the disk sooner, so that a stream as fast as the machine need not wait for the interval. More bytes
/// at once are fewer bytes written: pages are written whole.
pub const CHECKPOINT_BYTES: usize = 32 << 10;
