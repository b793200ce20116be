//! Which process is which, so that one that has ended is never taken for another that was given the same number.
//!
//! On Linux a process is known by its number, the second in which it began (in ticks of the boot's clock, field 22 of
//! `/proc/PID/stat`), the boot (`/proc/sys/kernel/random/boot_id`) and the namespace of its numbers; see proc(5). Where there is no
//! `/proc`, nothing is known but the number, and nobody is ever said to be gone: there only silence tells.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What a process is known by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its number.
    pub pid: u32,
    /// Which boot of which machine, and which space of process numbers. Empty where that cannot be told.
    pub boot: String,
    /// When it began, in ticks since the boot; 0 where that cannot be told.
    pub started: i64,
}

impl Identity {
    /// This process.
    pub fn of_this() -> Self {
        let pid = std::process::id();
        let started = began(pid).map_or(0, |(_, started)| started);
        Self { pid, boot: boot().unwrap_or_default(), started }
    }

    /// Whether it has certainly ended. `false`: it lives, or that cannot be told from here.
    pub fn is_gone(&self) -> bool {
        let Some(here) = boot() else { return false };
        let (Some((machine, space)), Some((this_machine, this_space))) =
            (self.boot.split_once(' '), here.split_once(' '))
        else {
            return false;
        };
        if machine != this_machine {
            // WAL is for processes of one machine, so it was an earlier boot of this one (https://sqlite.org/wal.html).
            return true;
        }
        // In another container it cannot be seen, whether it lives or not.
        space == this_space && began(self.pid).is_none_or(|(dead, started)| dead || started != self.started)
    }

    /// Whether it certainly lives, is not this process, and has the file at `path` open. A copy of a database names processes that have
    /// the original open.
    pub fn certainly_has_open(&self, path: &Path) -> bool {
        let lives = self.pid != std::process::id()
            && boot().is_some_and(|here| here == self.boot)
            && began(self.pid).is_some_and(|(dead, started)| !dead && started == self.started);
        lives && has_open(self.pid, path)
    }
}

/// Whether a process has the file open. So it is taken where that may not be looked at, as with another user's.
fn has_open(pid: u32, path: &Path) -> bool {
    let (Ok(links), Ok(file)) = (fs::read_dir(format!("/proc/{pid}/fd")), fs::metadata(path)) else { return true };
    let mut open = links.filter_map(|link| fs::metadata(link.ok()?.path()).ok());
    open.any(|open| (open.dev(), open.ino()) == (file.dev(), file.ino()))
}

/// The boot and the namespace of process numbers, with a blank between them; `None` where there is no `/proc`.
fn boot() -> Option<String> {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let space = fs::read_link("/proc/self/ns/pid").ok()?;
    Some(format!("{} {}", id.trim(), space.display()))
}

/// Whether the process of this number is dead and only not yet waited for, and when it began; `None` when there is none.
fn began(pid: u32) -> Option<(bool, i64)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in parentheses, and may have any character in it.
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ');
    let state = fields.next()?;
    let started = fields.nth(18)?.parse().ok()?;
    Some((matches!(state, "Z" | "X" | "x"), started))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn this_process_lives_and_is_no_other() {
        let this = Identity::of_this();
        assert!(!this.is_gone() && this.started > 0, "{this:?}");
        assert!(Identity { started: this.started + 1, ..this.clone() }.is_gone(), "its number was used again");
        let (_, space) = this.boot.split_once(' ').unwrap();
        assert!(Identity { boot: format!("another {space}"), ..this.clone() }.is_gone(), "of an earlier boot");
        let (machine, _) = this.boot.split_once(' ').unwrap();
        assert!(!Identity { boot: format!("{machine} pid:[1]"), pid: u32::MAX, ..this }.is_gone(), "in a container");
        assert!(!Identity { pid: 1, boot: String::new(), started: 0 }.is_gone(), "nothing is known");
    }

    #[test]
    fn only_another_living_process_with_the_file_open_has_it() {
        let [file, copy] = ["Cargo.toml", "README.md"].map(|name| Path::new(env!("CARGO_MANIFEST_DIR")).join(name));
        let open = fs::File::open(&file).unwrap();
        let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(open).spawn().unwrap();
        let (_, started) = began(child.id()).unwrap();
        let identity = Identity { pid: child.id(), started, ..Identity::of_this() };
        assert!(identity.certainly_has_open(&file) && !identity.certainly_has_open(&copy));
        let another = |boot: &str, started| Identity { boot: boot.to_owned(), started, ..identity.clone() };
        assert!(!another(&identity.boot, started + 1).certainly_has_open(&file), "its number was used again");
        assert!(!another("another pid:[1]", started).certainly_has_open(&file), "of another boot");
        let open = fs::File::open(&file).unwrap();
        assert!(!Identity::of_this().certainly_has_open(&file), "that is this process");
        drop(open);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!identity.certainly_has_open(&file));
    }

    #[test]
    fn a_process_is_gone_before_anyone_has_waited_for_it() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let (_, started) = began(child.id()).unwrap();
        let identity = Identity { pid: child.id(), started, ..Identity::of_this() };
        assert!(!identity.is_gone());
        child.kill().unwrap();
        while !identity.is_gone() {
            std::thread::yield_now();
        }
        child.wait().unwrap();
        assert!(identity.is_gone());
    }
}
