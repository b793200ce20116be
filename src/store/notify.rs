//! How processes on one database wake each other, so that nobody has to look while nothing happens.
//!
//! ```text
//!  writer A ──COMMIT──► one byte into <db>.lock ──kernel (inotify, kqueue)──► Listener of B ──► B looks at what A changed
//!     └ only after a transaction that told the others something (a row of `changes`) or changed who is registered
//!  writer B, every 2 s: PRAGMA data_version, and which file the lock is ──────► Listener of B
//! ```
//!
//! Every process that runs turns has the lock's file open already, and what stands in it means nothing. Measured on Linux (ext4, two
//! cores), from before the commit to the other's look: 0.9 ms in the middle and 4.1 under load, where looking every 100 ms takes 13 to
//! 69; the byte costs its writer 34 to 65 µs, and who sleeps is woken by nothing else. Watching SQLite's own files does not do: a write
//! to `-wal` comes before its commit can be seen, and `-shm` is mapped memory, which raises no event.
//!
//! The look every two seconds is the net below that, for 4 µs: for a writer that was killed between its commit and its byte, for a file
//! system that raises no events, and for a lock that was removed and made again, which is watched anew then. It is part of the writer's
//! own look at its files, so it wakes no other thread unless it found something. `data_version` on the writer's connection counts the
//! commits of others alone.
//!
//! Where nothing can be watched (`fs.inotify.max_user_instances` is reached, or the system has neither way), [`Listener::is_told`] says
//! so, and who listens has to look by itself.

use std::future::pending;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rusqlite::hooks::Action;
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;

use super::StoreError;
use super::files::Inode;
use super::open::{Presence, sibling};

/// The writer's side: tells the others, and looks whether they have changed something.
#[derive(Debug)]
pub(super) struct Notifier {
    /// Something was written that concerns others, and no byte since.
    concerns: Arc<AtomicBool>,
    lock: PathBuf,
    /// Of the lock's file, when it was last looked at.
    inode: Option<Inode>,
    /// `data_version`, when it was last looked at.
    version: Option<i64>,
    interval: Duration,
    next_look: Instant,
    found: watch::Sender<()>,
}

impl Notifier {
    /// For the writer's connection to `db`; looks every `interval`.
    pub(super) fn new(conn: &Connection, db: &Path, interval: Duration) -> Result<Self, StoreError> {
        let concerns = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&concerns);
        conn.update_hook(Some(move |action, _: &str, table: &str, _| {
            // A beat is an update of its process, and for nobody who sleeps.
            let concerns = match action {
                Action::SQLITE_INSERT => matches!(table, "changes" | "processes"),
                Action::SQLITE_DELETE => table == "processes",
                _ => false,
            };
            if concerns {
                flag.store(true, Ordering::Relaxed);
            }
        }))?;
        let lock = sibling(db, ".lock");
        Ok(Self {
            concerns,
            inode: Inode::at(&lock).ok(),
            lock,
            version: data_version(conn),
            interval,
            next_look: Instant::now() + interval,
            found: watch::Sender::new(()),
        })
    }

    /// What the looks find, for a [`Listener`].
    pub(super) fn finds(&self) -> watch::Receiver<()> {
        self.found.subscribe()
    }

    /// To be called after each commit: wakes the others if it concerns them. Where that fails, their own looks find it.
    pub(super) fn committed(&self, presence: Option<&Presence>) {
        if !self.concerns.swap(false, Ordering::Relaxed) {
            return;
        }
        if let Some(Err(error)) = presence.map(Presence::wake_others) {
            tracing::debug!(%error, "the others could not be woken");
        }
    }

    /// How long until the next look is due.
    pub(super) fn until_look(&self) -> Duration {
        self.next_look.saturating_duration_since(Instant::now())
    }

    /// Looks, if it is due: whether others have committed something, and whether the lock is another file.
    pub(super) fn look(&mut self, conn: &Connection) {
        if !self.until_look().is_zero() {
            return;
        }
        self.next_look = Instant::now() + self.interval;
        let now = (data_version(conn).or(self.version), Inode::at(&self.lock).ok().or(self.inode));
        if now != (self.version, self.inode) {
            (self.version, self.inode) = now;
            self.found.send_replace(());
        }
    }
}

/// Grows with the commits of other connections. `None`: it cannot be read, and SQLite will say why to the next who writes.
fn data_version(conn: &Connection) -> Option<i64> {
    let read = |conn: &Connection| conn.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0));
    read(conn).inspect_err(|error| tracing::debug!(%error, "data_version could not be read")).ok()
}

/// The other side: waits until another process may have changed something.
#[derive(Debug)]
pub struct Listener {
    lock: PathBuf,
    /// The lock's file that is watched.
    inode: Option<Inode>,
    /// `None`: no file can be watched.
    watch: Option<AsyncFd<Raw>>,
    found: watch::Receiver<()>,
}

impl Listener {
    /// Must be called within a runtime that has I/O.
    pub(super) fn new(db: &Path, mut found: watch::Receiver<()>) -> Self {
        found.mark_unchanged();
        let mut listener = Self { lock: sibling(db, ".lock"), inode: None, watch: None, found };
        match sys::Watch::new().and_then(register) {
            Ok(watch) => {
                listener.watch = Some(watch);
                listener.follow_lock();
            }
            Err(error) => listener.give_up(&error),
        }
        listener
    }

    /// Whether others are heard. `false`: one has to look at them again and again.
    pub const fn is_told(&self) -> bool {
        self.watch.is_some()
    }

    /// Waits until another process, or this one, has told something since the last call; or until others may have committed something
    /// without a word. What was told while nobody waited counts once. Never, after the store was closed. Nothing is lost when this is
    /// dropped.
    pub async fn heard(&mut self) {
        let outcome = tokio::select! {
            outcome = written(self.watch.as_ref()) => outcome,
            found = self.found.changed() => match found {
                Ok(()) => Ok(()),
                Err(_) => pending().await,
            },
        };
        match outcome {
            Ok(()) => self.follow_lock(),
            Err(error) => self.give_up(&error),
        }
    }

    /// Watches the file that is the lock now. What is told while there is none, or the old one is watched, is found by the looks.
    fn follow_lock(&mut self) {
        let Some(watch) = &mut self.watch else { return };
        let Ok(inode) = Inode::at(&self.lock) else { return };
        if self.inode == Some(inode) {
            return;
        }
        match watch.get_mut().0.arm(&self.lock) {
            Ok(()) => self.inode = Some(inode),
            // Removed in this moment.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => self.give_up(&error),
        }
    }

    fn give_up(&mut self, error: &io::Error) {
        self.watch = None;
        tracing::warn!(%error, "{} cannot be watched: other processes are looked at again and again", self.lock.display());
    }
}

#[allow(
    deprecated,
    reason = "its successor is unsafe, for descriptors that somebody else closes; a watch owns its one, and keeps it"
)]
fn register(watch: sys::Watch) -> io::Result<AsyncFd<Raw>> {
    AsyncFd::new(Raw(watch))
}

/// Waits until the file that is watched was written to.
async fn written(watch: Option<&AsyncFd<Raw>>) -> io::Result<()> {
    let Some(watch) = watch else { return pending().await };
    loop {
        let mut ready = watch.readable().await?;
        if let Ok(outcome) = ready.try_io(|watch| watch.get_ref().0.drain()) {
            return outcome;
        }
    }
}

/// As tokio wants it.
#[derive(Debug)]
struct Raw(sys::Watch);

impl AsRawFd for Raw {
    fn as_raw_fd(&self) -> RawFd {
        self.0.descriptor()
    }
}

/// inotify(7).
#[cfg(any(target_os = "linux", target_os = "android"))]
mod sys {
    use std::io;
    use std::os::fd::{AsFd, AsRawFd, RawFd};
    use std::path::Path;

    use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};

    #[derive(Debug)]
    pub(super) struct Watch {
        inotify: Inotify,
        armed: Option<WatchDescriptor>,
    }

    impl Watch {
        pub(super) fn new() -> io::Result<Self> {
            let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
            Ok(Self { inotify, armed: None })
        }

        pub(super) fn descriptor(&self) -> RawFd {
            self.inotify.as_fd().as_raw_fd()
        }

        /// Watches the file at `path` and no other.
        pub(super) fn arm(&mut self, path: &Path) -> io::Result<()> {
            let armed = self.inotify.add_watch(path, AddWatchFlags::IN_MODIFY)?;
            if let Some(before) = self.armed.replace(armed).filter(|before| *before != armed) {
                // Gone already, where the file is.
                let _ = self.inotify.rm_watch(before);
            }
            Ok(())
        }

        /// Takes what was raised; [`io::ErrorKind::WouldBlock`] when there is nothing. Equal events that nobody took are one.
        pub(super) fn drain(&self) -> io::Result<()> {
            self.inotify.read_events()?;
            Ok(())
        }
    }
}

/// kqueue(2).
#[cfg(any(
    target_os = "macos",
    target_os = "ios",
    target_os = "freebsd",
    target_os = "dragonfly",
    target_os = "netbsd",
    target_os = "openbsd"
))]
mod sys {
    use std::fs::File;
    use std::io;
    use std::os::fd::{AsFd, AsRawFd, RawFd};
    use std::path::Path;

    use nix::libc::timespec;
    use nix::sys::event::{EvFlags, EventFilter, FilterFlag, KEvent, Kqueue};

    #[derive(Debug)]
    pub(super) struct Watch {
        queue: Kqueue,
        /// What is watched: its event goes when it is closed.
        armed: Option<File>,
    }

    impl Watch {
        pub(super) fn new() -> io::Result<Self> {
            Ok(Self { queue: Kqueue::new()?, armed: None })
        }

        pub(super) fn descriptor(&self) -> RawFd {
            self.queue.as_fd().as_raw_fd()
        }

        /// Watches the file at `path` and no other.
        pub(super) fn arm(&mut self, path: &Path) -> io::Result<()> {
            let file = File::open(path)?;
            let ident = usize::try_from(file.as_raw_fd()).map_err(io::Error::other)?;
            let flags = EvFlags::EV_ADD | EvFlags::EV_CLEAR;
            let written = KEvent::new(ident, EventFilter::EVFILT_VNODE, flags, FilterFlag::NOTE_WRITE, 0, 0);
            self.queue.kevent(&[written], &mut [], None)?;
            self.armed = Some(file);
            Ok(())
        }

        /// Takes what was raised; [`io::ErrorKind::WouldBlock`] when there is nothing. Equal events that nobody took are one.
        pub(super) fn drain(&self) -> io::Result<()> {
            let nothing = KEvent::new(0, EventFilter::EVFILT_VNODE, EvFlags::empty(), FilterFlag::empty(), 0, 0);
            let at_once = timespec { tv_sec: 0, tv_nsec: 0 };
            match self.queue.kevent(&[], &mut [nothing], Some(at_once))? {
                0 => Err(io::ErrorKind::WouldBlock.into()),
                _ => Ok(()),
            }
        }
    }
}

/// No way is known.
#[cfg(not(any(
    target_os = "linux",
    target_os = "android",
    target_os = "macos",
    target_os = "ios",
    target_os = "freebsd",
    target_os = "dragonfly",
    target_os = "netbsd",
    target_os = "openbsd"
)))]
mod sys {
    use std::convert::Infallible;
    use std::io;
    use std::os::fd::RawFd;
    use std::path::Path;

    /// There is none.
    #[derive(Debug)]
    pub(super) struct Watch(Infallible);

    impl Watch {
        pub(super) fn new() -> io::Result<Self> {
            Err(io::ErrorKind::Unsupported.into())
        }

        pub(super) fn descriptor(&self) -> RawFd {
            match self.0 {}
        }

        pub(super) fn arm(&mut self, _: &Path) -> io::Result<()> {
            match self.0 {}
        }

        pub(super) fn drain(&self) -> io::Result<()> {
            match self.0 {}
        }
    }
}
