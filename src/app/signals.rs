//! Signals that end the program, and one that shall not. SIGPIPE is ignored by Rust's runtime, so a closed pipe is an error of
//! the write.

use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// Signals that may wait; one is enough to end, more are the person's impatience.
const SIGNALS: usize = 4;

/// A file would grow beyond `ulimit -f`. The number is that of Linux on all but MIPS, of macOS and of the BSDs.
const SIGXFSZ: i32 = 25;

/// Makes a write beyond the limit on file sizes (`ulimit -f`) an error of that write, as that of a full disk is, and not the
/// program's end. Must be called before there is anything to be written.
pub(super) fn survive_file_limits() {
    // A signal that is listened to stays caught when nobody listens any more, and a runtime is needed only to begin.
    let listened = Builder::new_current_thread().enable_io().build().and_then(|runtime| {
        let _within = runtime.enter();
        signal(SignalKind::from_raw(SIGXFSZ))
    });
    if let Err(error) = listened {
        tracing::warn!(%error, "SIGXFSZ cannot be caught: a limit on file sizes will end the program");
    }
}

/// Passes SIGINT, SIGTERM, SIGHUP and SIGQUIT on, as their numbers. Must be called within the runtime.
pub(super) fn listen() -> mpsc::Receiver<i32> {
    let (sender, receiver) = mpsc::channel(SIGNALS);
    for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup(), SignalKind::quit()] {
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
