//! A pty with an emulated screen, for a parent that types and waits for what the screen shows.
#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "shared by several test crates, each of which uses a part"
)]

use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

/// A screen that has not shown what it should by then never will.
const DEADLINE: Duration = Duration::from_secs(60);
/// Rows that scrolled away are kept, so that a test can look at all of them.
const SCROLLBACK_ROWS: usize = 5_000;

/// A size in cells.
pub fn cells(rows: u16, cols: u16) -> PtySize {
    PtySize { rows, cols, pixel_width: 0, pixel_height: 0 }
}

/// A row without the sign that turns while one waits, and what it says.
pub fn still(row: &str) -> &str {
    let sign = row.find(|c| ('\u{2801}'..='\u{28ff}').contains(&c));
    sign.map_or(row, |at| row[..at].trim_end())
}

pub struct Pty {
    pub master: Box<dyn MasterPty + Send>,
    child: Box<dyn Child + Send + Sync>,
    keys: Box<dyn std::io::Write + Send>,
    bytes: Receiver<Vec<u8>>,
    reader: JoinHandle<()>,
    hung_up: Arc<AtomicBool>,
    screen: vt100::Parser,
    /// Everything the child wrote.
    pub raw: Vec<u8>,
    modes_before: String,
    size: PtySize,
}

impl Pty {
    pub fn spawn(size: PtySize, mut command: CommandBuilder) -> Self {
        let pair = native_pty_system().openpty(size).unwrap();
        let modes_before = format!("{:?}", pair.master.get_termios());
        if command.get_env("TERM").is_none_or(|term| term != "dumb") {
            command.env("TERM", "xterm-256color");
        }
        command.env_remove("TERM_PROGRAM");
        command.env_remove("RUST_BACKTRACE");
        let child = pair.slave.spawn_command(command).unwrap();
        let (sender, bytes) = sync_channel(64);
        let mut output = pair.master.try_clone_reader().unwrap();
        let hung_up = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&hung_up);
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(n @ 1..) = output.read(&mut buffer) {
                if stop.load(Ordering::Acquire) || sender.send(buffer[..n].to_vec()).is_err() {
                    return;
                }
            }
        });
        let keys = pair.master.take_writer().unwrap();
        let screen = vt100::Parser::new(size.rows, size.cols, SCROLLBACK_ROWS);
        let raw = Vec::new();
        Self { master: pair.master, child, keys, bytes, reader, hung_up, screen, raw, modes_before, size }
    }

    pub fn type_keys(&mut self, keys: &(impl AsRef<[u8]> + ?Sized)) {
        self.keys.write_all(keys.as_ref()).unwrap();
        self.keys.flush().unwrap();
    }

    pub fn resize(&mut self, size: PtySize) {
        self.master.resize(size).unwrap();
        self.screen.screen_mut().set_size(size.rows, size.cols);
        self.size = size;
    }

    /// Sends a signal to the child alone.
    pub fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.process_id().unwrap()).unwrap();
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(id), signal).unwrap();
    }

    /// The rows on the screen, without blanks at their ends and without blank rows at the end.
    pub fn rows(&self) -> Vec<String> {
        let mut rows: Vec<String> =
            self.screen.screen().rows(0, self.size.cols).map(|row| row.trim_end().to_owned()).collect();
        while rows.last().is_some_and(String::is_empty) {
            rows.pop();
        }
        rows
    }

    /// The first cell of `text` where it stands on the screen.
    pub fn cell(&self, text: &str) -> vt100::Cell {
        let found = (0..self.size.rows).find_map(|row| {
            let whole = self.screen.screen().rows(0, self.size.cols).nth(row.into())?;
            let column = whole[..whole.find(text)?].chars().count();
            self.screen.screen().cell(row, u16::try_from(column).unwrap())
        });
        found.unwrap_or_else(|| panic!("no {text:?} on the screen:\n{}", self.rows().join("\n"))).clone()
    }

    /// The rows that scrolled away, and then those on the screen.
    pub fn all_rows(&mut self) -> Vec<String> {
        self.screen.screen_mut().set_scrollback(usize::MAX);
        let above = self.screen.screen().scrollback();
        let mut all = Vec::new();
        let mut left = above;
        while left > 0 {
            self.screen.screen_mut().set_scrollback(left);
            let page = left.min(self.size.rows.into());
            all.extend(self.screen.screen().rows(0, self.size.cols).take(page).map(|row| row.trim_end().to_owned()));
            left -= page;
        }
        self.screen.screen_mut().set_scrollback(0);
        all.extend(self.rows());
        all
    }

    /// Takes what the child writes until `seen`; a child that ends is looked at once more.
    pub fn wait(&mut self, what: &str, seen: impl Fn(&[String]) -> bool) -> Vec<String> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let rows = self.rows();
            if seen(&rows) {
                return rows;
            }
            match self.bytes.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.take(&bytes),
                Err(e) => panic!("no {what:?} on the screen ({e}):\n{}", self.all_rows().join("\n")),
            }
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        self.raw.extend_from_slice(bytes);
        self.screen.process(bytes);
    }

    /// Waits until the child has written these bytes.
    pub fn wait_bytes(&mut self, bytes: &[u8]) {
        let deadline = Instant::now() + DEADLINE;
        while !self.raw.windows(bytes.len()).any(|window| window == bytes) {
            match self.bytes.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.take(&bytes),
                Err(e) => panic!("{bytes:?} was not written ({e}):\n{}", self.rows().join("\n")),
            }
        }
    }

    pub fn wait_row(&mut self, row: &str) -> Vec<String> {
        self.wait(row, |rows| rows.iter().any(|r| r == row))
    }

    /// Waits for a row that holds `part`.
    pub fn wait_part(&mut self, part: &str) -> Vec<String> {
        self.wait(part, |rows| rows.iter().any(|r| r.contains(part)))
    }

    /// Waits for the last row, whatever moves at its end.
    pub fn wait_last(&mut self, row: &str) -> Vec<String> {
        self.wait(row, |rows| rows.last().is_some_and(|r| still(r).trim_start() == row))
    }

    /// Waits for the child's end, which must leave the terminal as it was. The exit code.
    pub fn end(mut self) -> u32 {
        self.finish();
        self.child.wait().unwrap().exit_code()
    }

    /// As [`Pty::end`], and all rows that were shown.
    pub fn end_with_rows(mut self) -> (u32, Vec<String>) {
        self.finish();
        (self.child.wait().unwrap().exit_code(), self.all_rows())
    }

    fn finish(&mut self) {
        // The output ends when its last writer is gone.
        let deadline = Instant::now() + DEADLINE;
        loop {
            match self.bytes.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.take(&bytes),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("it does not end:\n{}", self.all_rows().join("\n")),
            }
        }
        self.child.wait().unwrap();
        assert_eq!(format!("{:?}", self.master.get_termios()), self.modes_before, "the modes are as they were");
        assert!(!self.screen.screen().bracketed_paste(), "bracketed paste is off");
        assert!(!self.screen.screen().hide_cursor(), "the cursor is shown");
    }

    /// Takes the terminal away, as a window that is closed does. The exit code.
    pub fn hang_up(self) -> u32 {
        let Self { master, mut child, mut keys, bytes, reader, hung_up, .. } = self;
        hung_up.store(true, Ordering::Release);
        // The reader's end is open until it reads something: the echo of a key.
        keys.write_all(b"x").unwrap();
        while bytes.recv_timeout(DEADLINE).is_ok() {}
        reader.join().unwrap();
        drop((keys, master));
        child.wait().unwrap().exit_code()
    }
}
