//! A machine with faults: what `faults.c` does inside the program, from the test's side. Linux only, for that is loaded with
//! `LD_PRELOAD`; it is compiled once a test binary by the C compiler that SQLite needs anyway.
#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "shared by several test crates, each of which uses a part"
)]

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// How long a test waits for something that must happen; only a failing test ever waits so long.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks at what tells nobody that it changed.
const LOOK: Duration = Duration::from_millis(5);

/// The numbers of the file that both sides have, in `faults.c`'s order.
#[derive(Debug, Clone, Copy)]
enum Number {
    WriteErrno,
    WriteLeft,
    SyncErrno,
    ChangeErrno,
    ClockMs,
    Hits,
}

const NUMBERS: usize = 6;
const EIO: i64 = 5;
const ENOSPC: i64 = 28;
const EROFS: i64 = 30;

/// What is wrong with the database's disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disk {
    Full,
    FailsToFlush,
    ReadOnly,
}

impl Disk {
    pub const ALL: [Self; 3] = [Self::Full, Self::FailsToFlush, Self::ReadOnly];

    /// What a person is told of it.
    pub const fn said(self) -> &'static str {
        match self {
            Self::Full => "cannot grow: free some space",
            Self::FailsToFlush => "cannot be read or written (disk I/O error",
            Self::ReadOnly => "is on a file system that is read-only",
        }
    }
}

/// The faults of one program's machine. At first there are none.
#[derive(Debug)]
pub struct Faults {
    numbers: File,
    path: PathBuf,
    /// Files that begin so are on the faulty disk.
    database: PathBuf,
}

impl Faults {
    /// Of the disk that has `database`. `folder` is another one.
    pub fn new(folder: &Path, database: &Path) -> Self {
        let path = folder.join("faults");
        let numbers = File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
        numbers.set_len((NUMBERS * size_of::<i64>()) as u64).unwrap();
        Self { numbers, path, database: database.to_owned() }
    }

    /// What a program needs in its environment to have this machine.
    pub fn environment(&self) -> [(&'static str, PathBuf); 3] {
        [
            ("LD_PRELOAD", library().to_owned()),
            ("CHATMUX_FAULTS", self.path.clone()),
            ("CHATMUX_FAULTY_PATH", self.database.clone()),
        ]
    }

    /// The disk fails from now on.
    pub fn disk(&self, disk: Disk) {
        match disk {
            Disk::Full => self.full_after(0),
            Disk::FailsToFlush => self.set(Number::SyncErrno, EIO),
            Disk::ReadOnly => {
                self.set(Number::ChangeErrno, EROFS);
                self.set(Number::WriteErrno, EROFS);
            }
        }
    }

    /// The disk takes so many bytes, and then is full.
    pub fn full_after(&self, bytes: i64) {
        self.set(Number::WriteLeft, bytes);
        self.set(Number::WriteErrno, ENOSPC);
    }

    /// The disk is sound again.
    pub fn mend(&self) {
        [Number::WriteErrno, Number::SyncErrno, Number::ChangeErrno].into_iter().for_each(|number| self.set(number, 0));
    }

    /// The wall clock is set this far from what it was at first.
    pub fn clock(&self, seconds: i64) {
        self.set(Number::ClockMs, seconds * 1_000);
    }

    /// How often something was refused.
    pub fn hits(&self) -> i64 {
        let mut bytes = [0; size_of::<i64>()];
        self.numbers.read_exact_at(&mut bytes, (Number::Hits as usize * size_of::<i64>()) as u64).unwrap();
        i64::from_ne_bytes(bytes)
    }

    /// Waits until something was refused so often again; of what is tried again and again.
    pub fn wait_hits(&self, more: i64) {
        self.wait_hits_since(self.hits(), more);
    }

    /// Waits until something was refused so often since `before`.
    pub fn wait_hits_since(&self, before: i64, more: i64) {
        let (began, wanted) = (Instant::now(), before + more);
        while self.hits() < wanted {
            assert!(began.elapsed() < PATIENCE, "nothing was refused: {} of {wanted}", self.hits());
            std::thread::sleep(LOOK);
        }
    }

    fn set(&self, number: Number, value: i64) {
        self.numbers.write_all_at(&value.to_ne_bytes(), (number as usize * size_of::<i64>()) as u64).unwrap();
    }
}

/// `faults.c`, compiled.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/faults.c");
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let (made, library) = (tempfile::NamedTempFile::new_in(folder).unwrap(), folder.join("faults.so"));
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-Wall", "-o"])
            .args([made.path(), &source])
            .output()
            .unwrap();
        assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
        // In one step, for another test binary may be loading it.
        made.persist(&library).unwrap();
        library
    })
}
