//! Holes: parts of a file that were never written and take no space on the disk. A file of a few kilobytes may claim terabytes of them.
//! They read as zeros, so no rows are in them, and a file system that knows them says where they are.

use std::fs::File;
use std::ops::Range;

/// Files up to this size are read as a whole: a database is hardly ever larger, and no file system has to be believed.
const READ_WHOLE_BYTES: u64 = 1 << 30;

/// The first bytes at or behind `from` that may not be zero; an empty range at `bytes`, the file's size, when there are none. Where the
/// file system does not know its holes, all bytes may be.
pub(super) fn written(file: &File, from: u64, bytes: u64) -> Range<u64> {
    if bytes <= READ_WHOLE_BYTES || from >= bytes {
        return from.min(bytes)..bytes;
    }
    let Range { start, end } = known(file, from).unwrap_or(from..bytes);
    start.clamp(from, bytes)..end.clamp(from, bytes)
}

/// All parts that may not be zero.
pub(super) fn all_written(file: &File, bytes: u64) -> impl Iterator<Item = Range<u64>> {
    let part = move |from| Some(written(file, from, bytes)).filter(|part| !part.is_empty());
    std::iter::successors(part(0), move |last| part(last.end))
}

/// What the file system says; `None` when it does not know.
#[cfg(any(target_os = "linux", target_os = "macos", target_os = "freebsd"))]
fn known(file: &File, from: u64) -> Option<Range<u64>> {
    use nix::errno::Errno;
    use nix::unistd::{Whence, lseek};
    let start = match lseek(file, from.try_into().ok()?, Whence::SeekData) {
        Ok(start) => start,
        Err(Errno::ENXIO) => return Some(u64::MAX..u64::MAX),
        Err(_) => return None,
    };
    let end = lseek(file, start, Whence::SeekHole).ok()?;
    (start < end).then_some(start.try_into().ok()?..end.try_into().ok()?)
}

#[cfg(not(any(target_os = "linux", target_os = "macos", target_os = "freebsd")))]
fn known(_: &File, _: u64) -> Option<Range<u64>> {
    None
}
