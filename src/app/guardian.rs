//! The process that a shell waits for, while the prompt is its child: so `/detach` gives the shell its prompt back and takes no answer
//! from its stream. A stream cannot be handed to another process; a terminal can be left.
//!
//! ```text
//!  shell ──waits for──► guardian ──waits for──► chatmux --guardian PID (the prompt)
//!                          ▲──────SIGUSR1─────────┘ /detach: it has left the terminal, and works on without it
//! ```
//!
//! The guardian passes on the signals that somebody sent to it alone, and its exit code is the prompt's. When the prompt is killed, the
//! guardian restores the terminal. When the guardian is killed, which is the job that a shell knows, the prompt gets SIGHUP
//! (`PR_SET_PDEATHSIG`) and ends as if its terminal had been closed: it commits what it has and restores the terminal. The signal needs no
//! descriptor that both hold, and no code that looks for it. When both are killed nobody is left to restore anything. This is Linux's
//! way; elsewhere there is no guardian, and `/detach` hands over to `chatmux work`.

/// The first argument of a prompt that has a guardian, whose number is the second.
pub(super) const GUARDIAN: &str = "--guardian";
/// The first argument of who is started by a process that leaves; the second has its sessions.
pub(super) const LEFT: &str = "--left";

#[cfg(target_os = "linux")]
pub(super) use linux::{guard, leave_terminal, obey};

#[cfg(not(target_os = "linux"))]
pub(super) use elsewhere::{guard, leave_terminal, obey};

#[cfg(target_os = "linux")]
mod linux {
    use std::fs::OpenOptions;
    use std::io::{self, IsTerminal, Write};
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Child, Command, ExitStatus};

    use nix::sys::prctl::set_pdeathsig;
    use nix::sys::signal::{SigSet, Signal, kill};
    use nix::sys::signalfd::{SfdFlags, SignalFd};
    use nix::sys::termios::{SetArg, Termios, tcgetattr, tcsetattr};
    use nix::unistd::{Pid, dup2_stderr, dup2_stdin, dup2_stdout, getpgrp, getppid, setsid, tcgetpgrp};

    use super::super::exit::{FAILED, OK, SIGNAL};
    use crate::ui::guard::LEAVE;

    /// `si_code` of a signal that the kernel raised, as a terminal does for all its processes: the prompt has got it too. signal(7).
    const SI_KERNEL: i32 = 0x80;

    /// Runs the prompt as a child, and waits for it or for its word that it has left the terminal. The exit code; `None`: it could not be
    /// started, and whoever calls is the prompt.
    pub(in super::super) fn guard() -> Option<u8> {
        let modes = tcgetattr(io::stdin()).ok();
        let mut signals = SigSet::empty();
        for signal in
            [Signal::SIGCHLD, Signal::SIGUSR1, Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM]
        {
            signals.add(signal);
        }
        let own = SigSet::thread_get_mask().ok()?;
        signals.thread_block().ok()?;
        let started = SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC).map_err(io::Error::from).and_then(|fd| {
            // The child inherits the mask, and sets it right itself.
            Ok((fd, Command::new(std::env::current_exe()?).args(arguments()).spawn()?))
        });
        let Ok((fd, mut child)) = started else {
            let _ = own.thread_set_mask();
            return None;
        };
        let status = watch(&fd, &mut child);
        match status {
            Some(status) if status.code().is_none() => {
                restore(modes.as_ref());
                let signal = status.signal().and_then(|signal| u8::try_from(signal).ok());
                Some(SIGNAL.saturating_add(signal.unwrap_or(0)))
            }
            Some(status) => Some(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(FAILED)),
            None => Some(OK),
        }
    }

    /// Restores the terminal that a killed prompt has left, and begins a new row. In the background the shell has taken it already.
    fn restore(modes: Option<&Termios>) {
        if tcgetpgrp(io::stdin()).is_ok_and(|foreground| foreground != getpgrp()) {
            return;
        }
        // A terminal that is gone needs nothing.
        if io::stdout().is_terminal() {
            let _ = io::stdout().write_all(&[LEAVE, b"\r\n"].concat());
        }
        if let Some(modes) = modes {
            let _ = tcsetattr(io::stdin(), SetArg::TCSADRAIN, modes);
        }
    }

    fn arguments() -> impl Iterator<Item = std::ffi::OsString> {
        let guardian = [super::GUARDIAN.into(), std::process::id().to_string().into()];
        guardian.into_iter().chain(std::env::args_os().skip(1))
    }

    /// How the child ended; `None`: it goes on without a terminal.
    fn watch(signals: &SignalFd, child: &mut Child) -> Option<ExitStatus> {
        loop {
            let Ok(Some(signal)) = signals.read_signal() else { return child.wait().ok() };
            match Signal::try_from(signal.ssi_signo.cast_signed()) {
                Ok(Signal::SIGCHLD) => {
                    if let Ok(Some(status)) = child.try_wait() {
                        return Some(status);
                    }
                }
                Ok(Signal::SIGUSR1) => return None,
                Ok(sent) if signal.ssi_code != SI_KERNEL => {
                    // It may have ended already, which is told next.
                    let _ = kill(Pid::from_raw(child.id().cast_signed()), sent);
                }
                Ok(_) | Err(_) => {}
            }
        }
    }

    /// The prompt's part: it takes signals again, and ends when its guardian is gone.
    pub(in super::super) fn obey(guardian: u32) {
        let _ = SigSet::empty().thread_set_mask();
        let _ = set_pdeathsig(Signal::SIGHUP);
        if getppid().as_raw() != guardian.cast_signed() {
            // It has gone in the meantime, and nothing was touched.
            let _ = kill(Pid::this(), Signal::SIGKILL);
        }
    }

    /// Leaves the terminal to the shell: what is read or written from now on comes from nowhere and goes nowhere. `guardian`: who waits
    /// for this process.
    pub(in super::super) fn leave_terminal(guardian: Option<u32>) -> io::Result<()> {
        let nowhere = OpenOptions::new().read(true).write(true).open("/dev/null")?;
        dup2_stdin(&nowhere)?;
        dup2_stdout(&nowhere)?;
        dup2_stderr(&nowhere)?;
        // The leader of a group cannot, and need not: it was started on its own.
        let _ = setsid();
        if let Some(guardian) = guardian {
            set_pdeathsig(None)?;
            kill(Pid::from_raw(guardian.cast_signed()), Signal::SIGUSR1)?;
        }
        Ok(())
    }
}

#[cfg(not(target_os = "linux"))]
mod elsewhere {
    use std::fs::OpenOptions;
    use std::io;

    use nix::unistd::{dup2_stderr, dup2_stdin, dup2_stdout, setsid};

    /// There is none.
    pub(in super::super) fn guard() -> Option<u8> {
        None
    }

    pub(in super::super) fn obey(_: u32) {}

    /// Leaves the terminal: what is read or written from now on comes from nowhere and goes nowhere.
    pub(in super::super) fn leave_terminal(_: Option<u32>) -> io::Result<()> {
        let nowhere = OpenOptions::new().read(true).write(true).open("/dev/null")?;
        dup2_stdin(&nowhere)?;
        dup2_stdout(&nowhere)?;
        dup2_stderr(&nowhere)?;
        let _ = setsid();
        Ok(())
    }
}
