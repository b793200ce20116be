//! Where chatmux keeps its files, and how it makes a new one: for the owner alone. The folders come from the platform
//! (`$XDG_*` and their defaults on Linux), so this is the one part of the configuration that is no function of its arguments.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use directories::ProjectDirs;

use super::error::ConfigError;

const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// The platform's folders for this user's files; unknown for a user without a home.
#[derive(Debug, Clone)]
pub struct Places(Option<ProjectDirs>);

impl Places {
    /// The folders of the user who runs this process.
    pub fn of_this_user() -> Self {
        Self(ProjectDirs::from("", "", "chatmux"))
    }

    /// No folders at all, as for a user without a home.
    pub const fn unknown() -> Self {
        Self(None)
    }

    /// `$XDG_DATA_HOME/chatmux/chatmux.db`.
    ///
    /// # Errors
    /// There is no home.
    pub fn database(&self) -> Result<PathBuf, ConfigError> {
        self.0.as_ref().map(|dirs| dirs.data_dir().join("chatmux.db")).ok_or(ConfigError::NoHome("--db"))
    }

    /// `$XDG_CONFIG_HOME/chatmux/config.toml`.
    ///
    /// # Errors
    /// There is no home.
    pub fn config(&self) -> Result<PathBuf, ConfigError> {
        self.0.as_ref().map(|dirs| dirs.config_dir().join("config.toml")).ok_or(ConfigError::NoHome("--config"))
    }

    /// `$XDG_STATE_HOME/chatmux/chatmux.log`; where the platform has no such folder, beside the database. Without a home
    /// there is no log.
    pub fn log(&self) -> Option<PathBuf> {
        self.0.as_ref().map(|dirs| dirs.state_dir().unwrap_or_else(|| dirs.data_local_dir()).join("chatmux.log"))
    }
}

/// Makes a folder and those above it that are missing, 0700 under any umask. Folders that exist are left as they are.
///
/// # Errors
/// Those of the file system.
pub fn create_private_folder(path: &Path) -> io::Result<()> {
    if path.as_os_str().is_empty() || path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        create_private_folder(parent)?;
    }
    match DirBuilder::new().mode(FOLDER_MODE).create(path) {
        // A umask may have taken bits that the owner needs.
        Ok(()) => fs::set_permissions(path, Permissions::from_mode(FOLDER_MODE)),
        // Another program was faster.
        Err(_) if path.is_dir() => Ok(()),
        Err(error) => Err(error),
    }
}

/// Makes a new file, 0600 under any umask, with this text. What was there before is never touched; a file that could not be
/// written whole is removed again.
///
/// # Errors
/// `AlreadyExists`, and those of the file system.
pub fn create_private_file(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(path)?;
    let write = |file: &mut File| {
        file.set_permissions(Permissions::from_mode(FILE_MODE))?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    write(&mut file).inspect_err(|_| {
        // The first error is the one worth telling.
        let _ = fs::remove_file(path);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_home_the_remedy_is_named() {
        let places = Places::unknown();
        assert_eq!(places.database().unwrap_err().to_string(), "no home directory is known: set HOME or give --db");
        assert!(places.config().unwrap_err().to_string().ends_with("--config"));
        assert_eq!(places.log(), None);
    }

    #[test]
    fn files_have_the_names_of_the_contract() {
        let places = Places(ProjectDirs::from_path(PathBuf::from("chatmux")));
        assert!(places.database().unwrap().ends_with("chatmux/chatmux.db"));
        assert!(places.config().unwrap().ends_with("chatmux/config.toml"));
        assert!(places.log().unwrap().ends_with("chatmux/chatmux.log"));
    }

    #[test]
    fn new_files_and_folders_are_for_the_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("a/b");
        create_private_folder(&inner).unwrap();
        let file = inner.join("f");
        create_private_file(&file, "text").unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!([mode(&inner), mode(&folder.path().join("a")), mode(&file)], [0o700, 0o700, 0o600]);
        let again = create_private_file(&file, "other").unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "text");
    }
}
