//! Signals that end the program. SIGPIPE is ignored by Rust's runtime, so a closed pipe is an error of the write.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// Signals that may wait; one is enough to end, more are the person's impatience.
const SIGNALS: usize = 4;

/// Passes SIGINT, SIGTERM and SIGHUP on, as their numbers. Must be called within the runtime.
pub(super) fn listen() -> mpsc::Receiver<i32> {
    let (sender, receiver) = mpsc::channel(SIGNALS);
    for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
        match signal(kind) {
            Ok(mut stream) => {
                let sender = sender.clone();
                tokio::spawn(async move {
                    while stream.recv().await.is_some() {
                        // When nobody listens any more, the program is ending already.
                        let _ = sender.try_send(kind.as_raw_value());
                    }
                });
            }
            Err(error) => tracing::warn!(%error, ?kind, "a signal cannot be listened to"),
        }
    }
    receiver
}
