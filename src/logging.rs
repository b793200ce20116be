//! The log: a file that only its owner reads, kept small. Nothing of what is said goes there, and no key.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use tracing_subscriber::EnvFilter;

/// At start a log longer than this becomes `chatmux.log.1`, and a new one begins.
const MAX_LOG_BYTES: u64 = 4 << 20;

/// Begins to log to `path`. `CHATMUX_LOG` says what (as `RUST_LOG` does elsewhere); the default is chatmux's own warnings. A log
/// that cannot be written is done without: it is no reason not to work.
pub fn start(path: &Path) {
    let Some(file) = open(path) else { return };
    let filter = EnvFilter::try_from_env("CHATMUX_LOG").unwrap_or_else(|_| EnvFilter::new("chatmux=warn"));
    // A second subscriber in one process is refused; the first one stays.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(Arc::new(file)).try_init();
}

fn open(path: &Path) -> Option<File> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path.parent()?).ok()?;
    if fs::metadata(path).is_ok_and(|meta| meta.len() > MAX_LOG_BYTES) {
        fs::rename(path, path.with_extension("log.1")).ok()?;
    }
    OpenOptions::new().create(true).append(true).mode(0o600).open(path).ok()
}
