//! Whether a configuration is this user's own. One that others can change could run a command of theirs, or send keys elsewhere.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::geteuid;

/// Mode bits of those that may write besides the owner.
const OTHERS_WRITE: u32 = 0o022;
const ROOT: u32 = 0;

/// Why a file is not this user's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Distrust {
    /// It belongs to the user of that number, who is neither this one nor root.
    Owner(u32),
    /// The group or everybody may write it.
    Writable,
}

impl Distrust {
    /// What is wrong with a file, if anything.
    pub(super) fn of(file: &Metadata) -> Option<Self> {
        Self::judge(file.uid(), file.mode(), geteuid().as_raw())
    }

    const fn judge(owner: u32, mode: u32, user: u32) -> Option<Self> {
        if owner != user && owner != ROOT {
            Some(Self::Owner(owner))
        } else if mode & OTHERS_WRITE != 0 {
            Some(Self::Writable)
        } else {
            None
        }
    }

    /// What is wrong, and the remedy.
    pub(super) fn text(self, path: &Path) -> String {
        match self {
            Self::Owner(owner) => format!("it belongs to another user (number {owner}): use a copy of your own"),
            Self::Writable => format!("others than its owner may write it: run `chmod go-w {}`", path.display()),
        }
    }
}

/// A warning about the file at `path`, where others can change it.
pub(super) fn warning(path: &Path) -> Option<String> {
    let distrust = Distrust::of(&fs::metadata(path).ok()?)?;
    Some(format!("{}: {}", path.display(), distrust.text(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_trusted_that_only_its_user_or_root_can_change() {
        let check =
            |owner, mode, user, expected| assert_eq!(Distrust::judge(owner, mode, user), expected, "{owner} {mode:o}");
        check(1000, 0o100_600, 1000, None);
        check(1000, 0o100_644, 1000, None);
        check(ROOT, 0o100_644, 1000, None);
        check(1000, 0o100_664, 1000, Some(Distrust::Writable));
        check(1000, 0o100_602, 1000, Some(Distrust::Writable));
        check(ROOT, 0o100_666, 1000, Some(Distrust::Writable));
        check(1001, 0o100_600, 1000, Some(Distrust::Owner(1001)));
        check(1000, 0o100_600, ROOT, Some(Distrust::Owner(1000)));
    }
}
