//! A pty with an emulated screen, for a parent that types and waits for what the screen shows.

use std::io::Read as _;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

/// Set in the child.
pub(crate) const CHILD: &str = "CHATMUX_TEST_TERMINAL_CHILD";
/// Where the shell of a test finds this binary.
pub(crate) const COMMAND: &str = "CHATMUX_TEST_TERMINAL_COMMAND";
/// A screen that has not shown what it should by then never will.
const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) struct Pty {
    pub(crate) master: Box<dyn MasterPty + Send>,
    child: Box<dyn Child + Send + Sync>,
    keys: Box<dyn std::io::Write + Send>,
    bytes: Receiver<Vec<u8>>,
    pub(crate) screen: vt100::Parser,
    modes_before: String,
    pub(crate) columns: u16,
}

impl Pty {
    pub(crate) fn start(columns: u16) -> Self {
        Self::start_sized(PtySize { rows: 24, cols: columns, pixel_width: 0, pixel_height: 0 })
    }

    pub(crate) fn start_sized(size: PtySize) -> Self {
        let mut command = CommandBuilder::new(std::env::current_exe().unwrap());
        command.args(["--exact", "as_child", "--nocapture", "--test-threads=1", "--quiet"]);
        let mut pty = Self::spawn(size, command);
        pty.wait("1:main>", |rows| rows.last().is_some_and(|row| row == "1:main>"));
        pty
    }

    pub(crate) fn spawn(size: PtySize, mut command: CommandBuilder) -> Self {
        let pair = native_pty_system().openpty(size).unwrap();
        let modes_before = format!("{:?}", pair.master.get_termios());
        command.env(CHILD, "1");
        if command.get_env("TERM").is_none_or(|term| term != "dumb") {
            command.env("TERM", "xterm-256color");
        }
        command.env_remove("TERM_PROGRAM");
        command.env_remove("RUST_BACKTRACE");
        let child = pair.slave.spawn_command(command).unwrap();
        let (sender, bytes) = sync_channel(64);
        let mut output = pair.master.try_clone_reader().unwrap();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(n @ 1..) = output.read(&mut buffer) {
                if sender.send(buffer[..n].to_vec()).is_err() {
                    return;
                }
            }
        });
        let keys = pair.master.take_writer().unwrap();
        let screen = vt100::Parser::new(size.rows, size.cols, 0);
        Self { master: pair.master, child, keys, bytes, screen, modes_before, columns: size.cols }
    }

    pub(crate) fn type_keys(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    /// The rows on the screen, without blanks at their ends and without blank rows at the end.
    pub(crate) fn rows(&self) -> Vec<String> {
        let mut rows: Vec<String> =
            self.screen.screen().rows(0, self.columns).map(|row| row.trim_end().to_owned()).collect();
        while rows.last().is_some_and(String::is_empty) {
            rows.pop();
        }
        rows
    }

    /// Takes what the child writes until `seen`; a child that ends is looked at once more.
    pub(crate) fn wait(&mut self, what: &str, seen: impl Fn(&[String]) -> bool) -> Vec<String> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let rows = self.rows();
            if seen(&rows) {
                return rows;
            }
            match self.bytes.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.screen.process(&bytes),
                Err(e) => panic!("no {what} on the screen ({e}):\n{}", rows.join("\n")),
            }
        }
    }

    pub(crate) fn wait_row(&mut self, row: &str) -> Vec<String> {
        self.wait(row, |rows| rows.iter().any(|r| r == row))
    }

    pub(crate) fn wait_last(&mut self, row: &str) -> Vec<String> {
        self.wait(row, |rows| rows.last().is_some_and(|r| r == row))
    }

    pub(crate) fn end(mut self) {
        self.child.wait().unwrap();
        assert_eq!(format!("{:?}", self.master.get_termios()), self.modes_before, "the modes are as they were");
        // The slave's last holder is gone: the output ends.
        while let Ok(bytes) = self.bytes.recv_timeout(DEADLINE) {
            self.screen.process(&bytes);
        }
        assert!(!self.screen.screen().bracketed_paste(), "bracketed paste is off");
        assert!(!self.screen.screen().hide_cursor(), "the cursor is shown");
    }
}
