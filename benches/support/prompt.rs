//! The prompt in a terminal of its own.

use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

use super::sandbox::Sandbox;

pub(crate) struct Prompt {
    /// The guardian, whose child the prompt is.
    pub(crate) pid: u32,
    /// From the start to the first prompt.
    pub(crate) wall: Duration,
    child: Box<dyn Child + Send + Sync>,
    reader: Box<dyn Read + Send>,
    keys: Box<dyn Write + Send>,
    // Held open: a terminal without it is hung up.
    _master: Box<dyn MasterPty + Send>,
}

impl Prompt {
    /// Waits until it takes a line.
    pub(crate) fn start(sandbox: &Sandbox) -> io::Result<Self> {
        let size = PtySize { rows: 24, cols: 80, pixel_width: 0, pixel_height: 0 };
        let pty = native_pty_system().openpty(size).map_err(io::Error::other)?;
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_chatmux"));
        command.env_clear();
        sandbox.environment().into_iter().for_each(|(name, value)| command.env(name, value));
        command.cwd(sandbox.path());
        let mut reader = pty.master.try_clone_reader().map_err(io::Error::other)?;
        let keys = pty.master.take_writer().map_err(io::Error::other)?;
        let began = Instant::now();
        let child = pty.slave.spawn_command(command).map_err(io::Error::other)?;
        drop(pty.slave);
        let (mut seen, mut buffer) = (Vec::new(), [0; 4096]);
        while !seen.windows(2).any(|two| two == b"> ") {
            match reader.read(&mut buffer)? {
                0 => return Err(io::Error::other(format!("no prompt came: {}", String::from_utf8_lossy(&seen)))),
                read => seen.extend_from_slice(&buffer[..read]),
            }
        }
        let wall = began.elapsed();
        let pid = child.process_id().ok_or_else(|| io::Error::other("the program has no number"))?;
        Ok(Self { pid, wall, child, reader, keys, _master: pty.master })
    }

    /// Leaves it by `/quit`.
    pub(crate) fn quit(mut self) -> io::Result<()> {
        self.keys.write_all(b"/quit\r")?;
        let mut buffer = [0; 4096];
        // On Linux a terminal whose program has ended is an error to read from.
        while self.reader.read(&mut buffer).is_ok_and(|read| read > 0) {}
        let status = self.child.wait()?;
        if status.success() { Ok(()) } else { Err(io::Error::other(format!("it ended with {status:?}"))) }
    }
}
