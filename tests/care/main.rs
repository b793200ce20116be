//! The care of what chatmux keeps, with the real binary: `chatmux db`, upgrades that are killed, and that no key and no file of its
//! owner's is for anyone else.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

#[path = "../support/program.rs"]
mod program;
#[path = "../support/pty.rs"]
mod pty;
#[path = "../support/server.rs"]
mod server;

mod db;
mod modes;
mod recording;
mod secrets;
mod upgrades;

use std::path::{Path, PathBuf};
use std::process::Command;

use portable_pty::CommandBuilder;
use program::{Home, Outcome, Program};
use pty::{Pty, cells};

/// Every file and folder below this one, by path.
fn below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(below(&path));
        }
        found.push(path);
    }
    found.sort();
    found
}

/// Runs the program with this on stdin in a shell that has done `first`.
fn run_after(home: &Home, first: &str, args: &[&str], input: &str) -> Outcome {
    let mut program = start_after(home, first, args);
    input.lines().for_each(|line| program.send(line));
    program.finish()
}

fn start_after(home: &Home, first: &str, args: &[&str]) -> Program {
    let own = home.command(args);
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("{first}; exec \"$0\" \"$@\"")).arg(own.get_program()).args(own.get_args());
    command.env_clear().current_dir(home.path(""));
    command.envs(own.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env("CHATMUX_LOG", "trace");
    Program::start(command)
}

/// The program at a prompt, wide enough for a path, with one more variable.
fn at_a_prompt(home: &Home, name: &str, value: &str) -> Pty {
    let own = home.command(&[]);
    let mut command = CommandBuilder::new(own.get_program());
    command.env_clear();
    command.cwd(home.path(""));
    own.get_envs().filter_map(|(name, value)| Some((name, value?))).for_each(|(name, value)| command.env(name, value));
    command.env(name, value);
    let mut pty = Pty::spawn(cells(24, 220), command);
    pty.wait_last("1:main>");
    pty
}
