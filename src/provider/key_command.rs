//! Key commands: what a shell's command line prints is a key.
//!
//! A command runs in a session of its own, without a terminal: in ours it could read what is typed at the prompt, or write over the
//! screen. `posix_spawn` makes such a session in safe code (std offers a process group only, which keeps the terminal, and `setsid` in the
//! child needs unsafe code or a second program). It has a time limit, at which its whole process group is killed.

use std::ffi::{CStr, CString};
use std::io::{self, PipeReader, Read};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStringExt;
use std::thread;
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags, posix_spawn};
use nix::sys::signal::{SigSet, Signal, killpg};
use nix::sys::stat::Mode;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// How long a key command may take.
pub(super) const KEY_COMMAND_LIMIT: Duration = Duration::from_secs(10);
/// Commands of one provider that run at once; further requests wait for one of them. A slow command of one provider keeps no other
/// provider's waiting.
pub(super) const KEY_COMMANDS_AT_ONCE: usize = 4;
/// What is kept of its output; the rest is read and dropped.
const MAX_OUTPUT_BYTES: usize = 64 << 10;
/// How often its end is looked for, once its first line has come.
const EXIT_POLL: Duration = Duration::from_millis(2);
/// Where POSIX systems have it. It is not looked for in PATH, whose first `sh` may be anybody's.
const SHELL: &CStr = c"/bin/sh";
/// Variables that name our terminal: gpg's agent asks for a passphrase there.
const TERMINAL_VARIABLES: [&str; 1] = ["GPG_TTY"];

/// Makes the child the leader of a new session. `nix` has no name for it; Linux, Android and macOS have the flag.
#[cfg(any(target_os = "linux", target_os = "android"))]
const OWN_SESSION: PosixSpawnFlags =
    PosixSpawnFlags::from_bits_retain(nix::libc::POSIX_SPAWN_SETSID as nix::libc::c_int);
/// From `spawn.h`, since macOS 10.15.
#[cfg(target_vendor = "apple")]
const OWN_SESSION: PosixSpawnFlags = PosixSpawnFlags::from_bits_retain(0x0400);
/// Elsewhere a group of its own is all there is: one that reads the terminal is stopped, and killed at the limit.
#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
const OWN_SESSION: PosixSpawnFlags = PosixSpawnFlags::POSIX_SPAWN_SETPGROUP;

/// The first line that `command` prints. The error says what happened, never what was printed. Blocks.
pub(super) fn run(command: &str, limit: Duration) -> Result<String, String> {
    let end = Instant::now() + limit;
    let mut child = Child::start(command).map_err(|e| e.to_string())?;
    let status = loop {
        if Instant::now() >= end {
            child.kill();
            return Err(format!("no key within {} s", limit.as_secs_f64()));
        }
        child.take_output(end).map_err(|e| e.to_string())?;
        // It is not waited for before: as long as it is there, its group's number is nobody else's.
        if child.has_printed()
            && let Some(status) = child.exit()
        {
            break status;
        }
    };
    match status {
        WaitStatus::Exited(_, 0) => {}
        WaitStatus::Exited(_, code) => return Err(format!("exit status: {code}")),
        WaitStatus::Signaled(_, signal, _) => return Err(format!("signal: {signal}")),
        other => return Err(format!("it ended with {other:?}")),
    }
    let printed = std::mem::take(&mut child.printed);
    let printed = String::from_utf8(printed).map_err(|_| "it printed no text".to_owned())?;
    match printed.lines().next().map(super::secrets::key_in) {
        Some(key) if !key.is_empty() => Ok(key.to_owned()),
        _ => Err("it printed nothing".to_owned()),
    }
}

/// A command that runs.
struct Child {
    /// Its number, and its group's and its session's.
    pid: Pid,
    /// `None` when it has closed it.
    output: Option<PipeReader>,
    printed: Vec<u8>,
}

impl Child {
    fn start(command: &str) -> io::Result<Self> {
        let (output, input) = io::pipe()?;
        let mut files = PosixSpawnFileActions::init()?;
        files.add_open(0, "/dev/null", OFlag::O_RDONLY, Mode::empty())?;
        files.add_dup2(input.as_raw_fd(), 1)?;
        files.add_open(2, "/dev/null", OFlag::O_WRONLY, Mode::empty())?;
        let mut attributes = PosixSpawnAttr::init()?;
        let signals = PosixSpawnFlags::POSIX_SPAWN_SETSIGDEF | PosixSpawnFlags::POSIX_SPAWN_SETSIGMASK;
        attributes.set_flags(OWN_SESSION | signals)?;
        // This process ignores SIGPIPE, and may block others.
        let mut ignored = SigSet::empty();
        ignored.add(Signal::SIGPIPE);
        attributes.set_sigdefault(&ignored)?;
        attributes.set_sigmask(&SigSet::empty())?;
        let arguments = [c"sh".to_owned(), c"-c".to_owned(), CString::new(command)?];
        let pid = posix_spawn(SHELL, &files, &attributes, &arguments, &environment())?;
        Ok(Self { pid, output: Some(output), printed: Vec::new() })
    }

    /// Whether its first line is whole, or no more of it comes.
    fn has_printed(&self) -> bool {
        self.output.is_none() || self.printed.len() == MAX_OUTPUT_BYTES || self.printed.contains(&b'\n')
    }

    /// Waits for output and takes some, until `end` at most; where the first line has come, for a moment only.
    fn take_output(&mut self, end: Instant) -> io::Result<()> {
        let left = end.saturating_duration_since(Instant::now());
        let wait = if self.has_printed() { left.min(EXIT_POLL) } else { left };
        let Some(output) = &mut self.output else {
            thread::sleep(wait);
            return Ok(());
        };
        // Rounded up, or the last part of a millisecond would be spent in looks.
        let wait = PollTimeout::try_from(wait + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(output.as_fd(), PollFlags::POLLIN)], wait) {
            Ok(0) | Err(nix::errno::Errno::EINTR) => return Ok(()),
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        let mut block = [0; 4_096];
        match output.read(&mut block)? {
            0 => self.output = None,
            n => {
                let room = MAX_OUTPUT_BYTES - self.printed.len();
                self.printed.extend_from_slice(&block[..n.min(room)]);
            }
        }
        Ok(())
    }

    fn exit(&self) -> Option<WaitStatus> {
        match waitpid(self.pid, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) | Err(nix::errno::Errno::EINTR) => None,
            Ok(status) => Some(status),
            // Somebody else has waited for it; how it ended is not known.
            Err(_) => Some(WaitStatus::Exited(self.pid, 0)),
        }
    }

    /// Kills it and all that it has started in its group.
    fn kill(&self) {
        let _ = killpg(self.pid, Signal::SIGKILL);
        let _ = waitpid(self.pid, None);
    }
}

/// The environment, without what names our terminal.
fn environment() -> Vec<CString> {
    let kept = std::env::vars_os().filter(|(name, _)| !TERMINAL_VARIABLES.iter().any(|terminal| name == terminal));
    kept.filter_map(|(mut variable, value)| {
        variable.push("=");
        variable.push(value);
        CString::new(variable.into_vec()).ok()
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    #[test]
    fn a_key_command_gives_its_first_line_or_a_reason_without_its_output() {
        let check = |command: &str, expected: Result<&str, &str>| {
            let got = run(command, LIMIT);
            assert_eq!(got.as_deref().map_err(String::as_str), expected, "{command}");
        };
        check("echo sk-1", Ok("sk-1"));
        check("printf sk-1", Ok("sk-1"));
        check("printf 'sk-1\\nuser: me\\n'", Ok("sk-1"));
        check("printf '  sk-1 \\r\\n'", Ok("sk-1"));
        check("printf '\\357\\273\\277sk-1\\r\\n'", Ok("sk-1"));
        check("echo sk-secret; exit 3", Err("exit status: 3"));
        check("echo sk-secret; kill -9 $$", Err("signal: SIGKILL"));
        check("true", Err("it printed nothing"));
        check("no-such-program-here", Err("exit status: 127"));
        check("printf '\\377'", Err("it printed no text"));
        check("echo sk-1; head -c 200000 /dev/zero", Ok("sk-1"));
        check("head -c 200000 /dev/zero | tr '\\0' x; sleep 0", Ok(&"x".repeat(MAX_OUTPUT_BYTES)));
        check("echo 'a\0b'", Err("data provided contains a nul byte"));
    }

    #[test]
    fn a_key_command_that_hangs_is_ended() {
        for command in ["sleep 600", "echo sk-1; exec >&-; exec sleep 600", "echo sk-1; sleep 600", "sleep 600 & wait"]
        {
            assert_eq!(run(command, Duration::from_millis(50)), Err("no key within 0.05 s".to_owned()), "{command}");
        }
    }

    /// What it started in the background, and which keeps the output open, is no reason to wait.
    #[test]
    fn a_key_is_taken_when_the_command_has_ended() {
        assert_eq!(run("sleep 20 & echo sk-1", LIMIT), Ok("sk-1".to_owned()));
    }

    #[test]
    fn the_whole_group_is_killed_at_the_limit() {
        let folder = tempfile::tempdir().unwrap();
        let pids = folder.path().join("pids");
        let command = format!("sleep 600 & echo $! > {0}; echo $$ >> {0}; wait", pids.display());
        assert!(run(&command, Duration::from_secs(1)).is_err());
        let pids = std::fs::read_to_string(pids).unwrap();
        assert_eq!(pids.lines().count(), 2);
        for pid in pids.lines() {
            let pid = Pid::from_raw(pid.parse().unwrap());
            let began = Instant::now();
            // Killed, it is gone once its new parent has waited for it.
            while nix::sys::signal::kill(pid, None).is_ok() && !is_zombie(pid) {
                assert!(began.elapsed() < LIMIT, "{pid} lives");
                thread::sleep(EXIT_POLL);
            }
        }
    }

    fn is_zombie(pid: Pid) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z'))
    }

    #[test]
    fn a_key_command_has_no_terminal_and_no_input() {
        let check = |command: &str, expected: &str| {
            assert_eq!(run(command, LIMIT), Ok(expected.to_owned()), "{command}");
        };
        check("if read x < /dev/tty; then echo read; else echo none; fi", "none");
        check("if echo x > /dev/tty; then echo written; else echo none; fi", "none");
        check("if read x; then echo read; else echo none; fi", "none");
        check("tty -s || echo none", "none");
        check("ps -o sid= -p $$ | tr -d ' ' | grep -qx $$ && echo leader", "leader");
        check("echo ${GPG_TTY-none}", "none");
        // A signal that this process ignores is not ignored there.
        check("(sleep 0; yes) | head -n 1; echo x", "y");
    }
}
