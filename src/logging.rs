//! The log: a file that only its owner reads, kept small while programs run for weeks and several write it. Nothing of what is
//! said goes there, and no key.
//!
//! Each line is written to the file that has the name at that moment. So who rotates it need tell nobody, and nothing is kept
//! that would need a lock within the program; between programs the file's own lock decides who rotates.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// A log longer than this becomes `chatmux.log.1` (what had that name goes), and a new one begins.
const MAX_LOG_BYTES: u64 = 4 << 20;
const LOG_MODE: u32 = 0o600;

/// Begins to log to `path`, whose folder is there. `asked` (`CHATMUX_LOG`) says what, as `RUST_LOG` does elsewhere; the default is chatmux's
/// own warnings. A log that cannot be written is done without: it is no reason not to work.
pub fn start(path: &Path, asked: Option<&str>) {
    let log = Log { path: path.to_owned(), max_bytes: MAX_LOG_BYTES };
    if log.file().is_none() {
        return;
    }
    let asked = asked.and_then(|asked| EnvFilter::try_new(asked).ok());
    let filter = asked.unwrap_or_else(|| EnvFilter::new("chatmux=warn"));
    // A second subscriber in one process is refused; the first one stays.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(log).try_init();
}

/// Where lines go.
#[derive(Debug)]
struct Log {
    path: PathBuf,
    max_bytes: u64,
}

impl Log {
    /// The file for one line; `None` when there is none that may grow.
    fn file(&self) -> Option<File> {
        let file = append(&self.path).ok()?;
        if file.metadata().ok()?.len() < self.max_bytes {
            return Some(file);
        }
        // Somebody rotates it at this moment: the line goes where that one's went.
        if file.try_lock().is_err() {
            return Some(file);
        }
        // Somebody may have been faster; then the name has a new file already.
        if is_at(&self.path, &file) {
            fs::rename(&self.path, self.path.with_extension("log.1")).ok()?;
        }
        append(&self.path).ok()
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line(self.file())
    }
}

/// Takes one line. What cannot be written is dropped: a complaint about it would stand in the middle of the terminal.
struct Line(Option<File>);

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(file) = &mut self.0 {
            let _ = file.write_all(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The file for appending, made 0600 under any umask where it is missing.
fn append(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).mode(LOG_MODE);
    match options.open(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => {}
        opened => return opened,
    }
    match options.create_new(true).open(path) {
        Ok(file) => {
            file.set_permissions(Permissions::from_mode(LOG_MODE))?;
            Ok(file)
        }
        // Another program was faster, or the name is a link to a place where nothing is yet.
        Err(e) if e.kind() == ErrorKind::AlreadyExists => options.create_new(false).create(true).open(path),
        Err(e) => Err(e),
    }
}

fn is_at(path: &Path, file: &File) -> bool {
    let of = |meta: fs::Metadata| (meta.dev(), meta.ino());
    let (there, this) = (fs::metadata(path).map(of), file.metadata().map(of));
    matches!((there, this), (Ok(there), Ok(this)) if there == this)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(folder: &Path, max_bytes: u64) -> Log {
        Log { path: folder.join("chatmux.log"), max_bytes }
    }

    fn text(folder: &Path, name: &str) -> String {
        fs::read_to_string(folder.join(name)).unwrap()
    }

    #[test]
    fn a_long_log_is_put_aside_and_the_one_before_goes() {
        let folder = tempfile::tempdir().unwrap();
        let log = log(folder.path(), 20);
        for n in 0..9 {
            log.make_writer().write_all(format!("line number {n}\n").as_bytes()).unwrap();
        }
        assert_eq!(text(folder.path(), "chatmux.log.1"), "line number 6\nline number 7\n");
        assert_eq!(text(folder.path(), "chatmux.log"), "line number 8\n");
        for name in ["chatmux.log", "chatmux.log.1"] {
            assert_eq!(fs::metadata(folder.path().join(name)).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    /// Each thread opens the file for itself, as other programs do.
    #[test]
    fn several_that_write_one_log_rotate_it_once_each_time() {
        let folder = tempfile::tempdir().unwrap();
        let line = "x".repeat(63) + "\n";
        let (writers, lines, max_bytes) = (8, 2_000, 16 << 10);
        std::thread::scope(|scope| {
            for _ in 0..writers {
                scope.spawn(|| {
                    let log = log(folder.path(), max_bytes);
                    (0..lines).for_each(|_| log.make_writer().write_all(line.as_bytes()).unwrap());
                });
            }
        });
        for name in ["chatmux.log", "chatmux.log.1"] {
            let found = text(folder.path(), name);
            assert!(found.lines().all(|found| found.len() == 63), "no line is torn in {name}");
            // Whoever had it open when it was put aside may write one more line each.
            let most = max_bytes + 2 * writers * 64;
            assert!(found.len() as u64 <= most, "{name} has {} bytes", found.len());
        }
        let aside = text(folder.path(), "chatmux.log.1").len() as u64;
        assert!(aside >= max_bytes, "it was put aside when it was full, and not before: {aside}");
    }

    #[test]
    fn a_log_that_cannot_be_written_or_put_aside_is_done_without() {
        let folder = tempfile::tempdir().unwrap();
        let missing = log(&folder.path().join("missing"), 20);
        missing.make_writer().write_all(b"nowhere\n").unwrap();
        fs::create_dir(folder.path().join("chatmux.log.1")).unwrap();
        let stuck = log(folder.path(), 20);
        (0..9).for_each(|_| stuck.make_writer().write_all(b"a line of 20 bytes.\n").unwrap());
        assert_eq!(text(folder.path(), "chatmux.log").len(), 20, "it is bounded all the same");
    }
}
