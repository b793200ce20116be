//! The real binary in a folder of its own: no configuration, key or database of the person is read or touched.

use std::fs;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use tempfile::TempDir;

/// A folder on the disk that the build is on: in memory a commit would cost nothing.
pub(crate) fn folder() -> io::Result<TempDir> {
    TempDir::new_in(env!("CARGO_TARGET_TMPDIR"))
}

/// A home for the program.
pub(crate) struct Sandbox {
    folder: TempDir,
}

impl Sandbox {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { folder: folder()? })
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.path().join("chatmux.db")
    }

    /// The provider `kind` at `server`, with room for `streams` turns at once.
    pub(crate) fn configure(&self, kind: &str, server: SocketAddr, streams: usize) -> io::Result<()> {
        let base = if kind == "openai" { format!("http://{server}/v1") } else { format!("http://{server}") };
        let text = format!(
            "model = \"local:bench\"\n[providers.local]\nkind = \"{kind}\"\nbase_url = \"{base}\"\n\
             max_concurrent = {streams}\n[queue]\nmax_concurrent = {streams}\n"
        );
        fs::write(self.path().join("config.toml"), text)
    }

    /// The program's variables: all that it could find of the person's is taken away.
    pub(crate) fn environment(&self) -> Vec<(&'static str, PathBuf)> {
        let at = |name: &str| self.path().join(name);
        let mut variables = vec![("HOME", at("home")), ("CHATMUX_DB", self.database())];
        variables.extend([("XDG_DATA_HOME", at("data")), ("XDG_STATE_HOME", at("state"))]);
        variables.extend([("XDG_CONFIG_HOME", at("etc")), ("TERM", "xterm-256color".into())]);
        if at("config.toml").exists() {
            variables.push(("CHATMUX_CONFIG", at("config.toml")));
        }
        variables
    }

    pub(crate) fn chatmux(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chatmux"));
        command.args(arguments).env_clear().envs(self.environment()).current_dir(self.path());
        command
    }
}

/// What a process cost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    /// From before the spawn until it was reaped.
    pub(crate) wall: Duration,
    /// User and system time.
    pub(crate) cpu: Duration,
    /// Bytes that it sent to the disk.
    pub(crate) written: u64,
}

/// Runs `command` with `input` on stdin, stdout to /dev/null. One at a time: the CPU time is that of all children.
pub(crate) fn run(command: &mut Command, input: &str) -> io::Result<Cost> {
    let (before, written, began) = (children_cpu()?, children_written()?, Instant::now());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    let wall = began.elapsed();
    check(command, output.status, &output.stderr)?;
    Ok(Cost { wall, cpu: children_cpu()? - before, written: children_written()? - written })
}

/// A process that failed has measured nothing.
pub(crate) fn check(command: &Command, status: ExitStatus, stderr: &[u8]) -> io::Result<()> {
    if status.success() && stderr.is_empty() {
        return Ok(());
    }
    Err(io::Error::other(format!("{command:?}: {status}: {}", String::from_utf8_lossy(stderr))))
}

/// User and system time of all children that were reaped.
pub(crate) fn children_cpu() -> io::Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let micros = |time: nix::sys::time::TimeVal| time.tv_sec() * 1_000_000 + time.tv_usec();
    let all = micros(usage.user_time()) + micros(usage.system_time());
    Ok(Duration::from_micros(u64::try_from(all).unwrap_or(0)))
}

/// Bytes that children who were reaped sent to the disk, as the kernel counts them: whole pages.
pub(crate) fn children_written() -> io::Result<u64> {
    /// What the kernel counts in.
    const BLOCK_BYTES: u64 = 512;
    Ok(u64::try_from(getrusage(UsageWho::RUSAGE_CHILDREN)?.block_writes()).unwrap_or(0) * BLOCK_BYTES)
}

/// A figure of a living process from `/proc/PID/FILE`, such as `VmHWM` (KiB) of `status` or `write_bytes` of `io`.
pub(crate) fn proc_figure(pid: u32, file: &str, name: &str) -> io::Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/{file}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.ok_or_else(|| io::Error::other(format!("/proc/{pid}/{file} has no {name}")))
}

/// A living process and its children: a prompt has a guardian.
pub(crate) fn family(pid: u32) -> io::Result<Vec<u32>> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    Ok(children.split_whitespace().filter_map(|child| child.parse().ok()).chain([pid]).collect())
}

/// CPU time of a living process: of all its threads, those that ended included.
pub(crate) fn proc_cpu(pid: u32) -> io::Result<Duration> {
    /// Ticks a second in `/proc`, the same on every Linux that people run.
    const TICKS: f64 = 100.0;
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name in brackets may hold anything; behind it come the state and then numbers.
    let numbers = text.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
    let ticks: u64 = numbers.split_whitespace().skip(11).take(2).filter_map(|n| n.parse::<u64>().ok()).sum();
    Ok(Duration::from_secs_f64(ticks as f64 / TICKS))
}
