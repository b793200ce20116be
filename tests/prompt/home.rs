//! A person's home with a configuration and a database, and chatmux started there.

use std::fs;

use portable_pty::CommandBuilder;
use tempfile::TempDir;

use crate::pty::{Pty, cells};
use crate::server::{Format, Gate, Reply, Server};

/// A home, and the server that its configuration names.
pub(crate) struct Home {
    dir: TempDir,
    pub(crate) server: Server,
}

impl Home {
    /// The server's model is the default.
    pub(crate) fn new() -> Self {
        Self::with("")
    }

    /// The same, with more sections of configuration.
    pub(crate) fn with(sections: &str) -> Self {
        let (dir, server) = (tempfile::tempdir().unwrap(), Server::start());
        let url = server.base_url(Format::OpenAi);
        let config = format!(
            "model = \"fake:m\"\n[providers.fake]\nkind = \"openai\"\nbase_url = \"{url}\"\nmodel = \"m\"\n\
             max_concurrent = 4\n[retry]\ninitial_delay = \"1ms\"\nmax_delay = \"1ms\"\nmax_attempts = 2\n{sections}"
        );
        fs::write(dir.path().join("config.toml"), config).unwrap();
        Self { dir, server }
    }

    pub(crate) fn command(&self, args: &[&str]) -> CommandBuilder {
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_chatmux"));
        command.env_clear();
        command.env("HOME", self.dir.path());
        command.env("LANG", "C.UTF-8");
        command.env("NO_COLOR", "1");
        command.cwd(self.dir.path());
        command.args(["--db", "chat.db", "--config", "config.toml"]);
        command.args(args);
        command
    }

    /// chatmux with an open prompt in a screen of 24 rows.
    pub(crate) fn start(&self, columns: u16) -> Pty {
        self.start_with(columns, &[])
    }

    pub(crate) fn start_with(&self, columns: u16, args: &[&str]) -> Pty {
        let mut pty = Pty::spawn(cells(24, columns), self.command(args));
        pty.wait("the prompt", |rows| rows.last().is_some_and(|row| row.ends_with('>') || row.contains("> ")));
        pty
    }

    /// What is in the folder in which chatmux is started.
    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    /// A file in the folder in which chatmux is started.
    pub(crate) fn file(&self, name: &str, text: &str) {
        let path = self.dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// With this as `EDITOR`.
    pub(crate) fn start_with_editor(&self, editor: &str) -> Pty {
        let mut command = self.command(&[]);
        command.env("EDITOR", editor);
        let mut pty = Pty::spawn(cells(24, 80), command);
        pty.wait_last("1:main>");
        pty
    }

    /// The question that holds `part` is answered with these pieces, each when the gate lets it; the last one ends it.
    pub(crate) fn gated(&self, part: &str, pieces: &[&str]) -> Gate {
        let gate = Gate::default();
        self.server.on(part, Reply::words(pieces).gate(&gate));
        gate
    }
}

/// `count` words of which no two are alike, each with a wide character: `語a0. 語a1. …`. `a0.` is never broken.
pub(crate) fn words(letter: char, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("語{letter}{n}. ")).collect()
}

/// The numbers of `letter`'s words in the order they stand on the screen.
pub(crate) fn numbers(rows: &[String], letter: char) -> Vec<usize> {
    let number = |row: &str, at: usize| -> Option<usize> { row[at + 1..].split_once('.')?.0.parse().ok() };
    let in_row = |row: &String| row.match_indices(letter).filter_map(|(at, _)| number(row, at)).collect::<Vec<_>>();
    rows.iter().flat_map(in_row).collect()
}

pub(crate) fn pieces(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

/// How many rows are just this.
pub(crate) fn count(rows: &[String], row: &str) -> usize {
    rows.iter().filter(|r| r.as_str() == row).count()
}
