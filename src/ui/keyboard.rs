//! The way from the terminal to the line: a thread that reads the terminal, takes reports out ([`Reports`]), and passes the rest on to a
//! terminal of our own, which takes stdin's place.
//!
//! rustyline reads bytes and parses them in one place, so what it is not to see must not come; and what it reads must be a terminal, or it
//! would not edit. The modes that matter are still those of the real one: [`guard`](super::guard) sets them there.
//!
//! The thread rests while the terminal is somebody else's (an editor's, or the shell's after `/detach`).

use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::openpty;
use nix::sys::signal::{Signal, raise};
use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};
use nix::unistd::dup2_stdin;
use tokio::sync::watch;

use super::reports::Reports;

/// How long the rest of a sequence is waited for. Terminals write one at once; a person's next key takes longer.
const HOLD: Duration = Duration::from_millis(50);
/// What is read at once.
const BLOCK_BYTES: usize = 4_096;
/// The thread is to rest.
const REST: u8 = b'r';
/// The thread is to go on.
const GO: u8 = b'g';

/// The thread is to end, and to let go of the terminal.
const LEAVE: u8 = b'l';

/// The real terminal, while stdin is ours.
#[derive(Debug)]
pub(super) struct Keyboard {
    /// What stdin was; `None` when it was left to others.
    terminal: watch::Sender<Option<OwnedFd>>,
    orders: PipeWriter,
}

impl Keyboard {
    /// Puts a terminal of our own in the place of stdin, which is one, and starts the thread.
    ///
    /// # Errors
    /// When the system has no terminal or thread left; then stdin is as it was.
    pub(super) fn take() -> io::Result<Self> {
        let terminal = io::stdin().as_fd().try_clone_to_owned()?;
        let ours = openpty(None, None)?;
        for end in [&ours.master, &ours.slave] {
            fcntl(end, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
        }
        // Nothing is echoed or turned into something else there, also between two lines.
        let mut modes = tcgetattr(&ours.slave)?;
        cfmakeraw(&mut modes);
        tcsetattr(&ours.slave, SetArg::TCSANOW, &modes)?;
        let (waiting, orders) = io::pipe()?;
        let source = terminal.try_clone()?;
        let columns = columns(&source);
        let (line, reports) = (ours.master.into(), Reports::default());
        let carrier = Carrier { terminal: source, orders: waiting, line, reports, columns };
        dup2_stdin(&ours.slave)?;
        let started = std::thread::Builder::new().name("keyboard".to_owned()).spawn(move || carrier.run());
        if let Err(error) = started {
            dup2_stdin(&terminal)?;
            return Err(error);
        }
        Ok(Self { terminal: watch::Sender::new(Some(terminal)), orders })
    }

    /// Reads the terminal no more, until [`Keyboard::go_on`].
    pub(super) fn rest(&self) {
        self.order(REST);
    }

    /// Reads the terminal again.
    pub(super) fn go_on(&self) {
        self.order(GO);
    }

    /// Lets go of the terminal for good: as long as anybody has it open, it does not hang up.
    pub(super) fn leave(&self) {
        self.order(LEAVE);
        self.terminal.send_replace(None);
    }

    /// Does something with the terminal.
    ///
    /// # Errors
    /// Its own; `EBADF` when the terminal was left.
    pub(super) fn with_terminal<T>(&self, act: impl FnOnce(&OwnedFd) -> nix::Result<T>) -> nix::Result<T> {
        self.terminal.borrow().as_ref().map_or(Err(nix::errno::Errno::EBADF), act)
    }

    fn order(&self, order: u8) {
        // A thread that has ended needs none.
        let _ = (&self.orders).write_all(&[order]);
    }
}

/// The thread's own.
struct Carrier {
    terminal: OwnedFd,
    orders: PipeReader,
    line: File,
    reports: Reports,
    /// Columns of the terminal when the last keys came.
    columns: Option<u16>,
}

fn columns(terminal: &OwnedFd) -> Option<u16> {
    terminal_size::terminal_size_of(terminal).map(|(terminal_size::Width(columns), _)| columns)
}

impl Carrier {
    /// Carries bytes until the terminal or the program is gone. Then the line's terminal hangs up.
    fn run(mut self) {
        while self.step().is_ok() {}
    }

    fn step(&mut self) -> io::Result<()> {
        let hold = PollTimeout::try_from(HOLD).unwrap_or(PollTimeout::MAX);
        let wait = if self.reports.is_waiting() { hold } else { PollTimeout::NONE };
        let mut sources = [self.orders.as_fd(), self.terminal.as_fd()].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        match poll(&mut sources, wait) {
            Ok(0) => return self.give_up(),
            Ok(_) => {}
            Err(nix::errno::Errno::EINTR) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        let [ordered, typed] = sources.map(|source| source.any().unwrap_or(true));
        if ordered {
            self.obey()
        } else if typed {
            self.carry()
        } else {
            Ok(())
        }
    }

    fn carry(&mut self) -> io::Result<()> {
        let mut block = [0; BLOCK_BYTES];
        let n = match nix::unistd::read(&self.terminal, &mut block) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => n,
            Err(nix::errno::Errno::EINTR | nix::errno::Errno::EAGAIN) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        self.tell_columns();
        let mut keys = Vec::new();
        self.reports.pass(&block[..n], &mut keys);
        self.line.write_all(&keys)
    }

    /// Tells rustyline of a new width before a key that was typed in it: the system's own signal may reach another thread, and late. A line
    /// that is laid out in the width of before erases a row too many or too few when it is drawn again.
    fn tell_columns(&mut self) {
        let columns = columns(&self.terminal);
        if std::mem::replace(&mut self.columns, columns) != columns {
            // In this thread, so that it is handled before this goes on; who does not handle it ignores it.
            let _ = raise(Signal::SIGWINCH);
        }
    }

    fn give_up(&mut self) -> io::Result<()> {
        let mut keys = Vec::new();
        self.reports.give_up(&mut keys);
        self.line.write_all(&keys)
    }

    /// Rests if that is the order, until another comes.
    fn obey(&mut self) -> io::Result<()> {
        let mut order = [REST];
        self.orders.read_exact(&mut order)?;
        if order[0] == REST {
            self.give_up()?;
        }
        while order[0] == REST {
            self.orders.read_exact(&mut order)?;
        }
        if order[0] == LEAVE { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }
}
