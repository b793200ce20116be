//! The command line as clap reads it: the one definition behind `--help`, the completions and the man page.
//!
//! `main` parses it and hands it on; nothing here reads a file or decides anything. What the prompt's slash commands take is
//! another matter: see [`crate::command`].

use std::path::PathBuf;

use clap::{CommandFactory, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::domain::{ModelName, SessionRef};

/// What stands below the options in `--help`, and in the man page.
const EXAMPLES_AND_EXIT_CODES: &str = "\
Examples:
  chatmux                                   the prompt; /help lists its commands
  chatmux -s docs -m openai:gpt-5.1         start in the session docs
  chatmux ask 'what is a monad?'            one question, the answer on stdout
  git diff | chatmux ask -s review 'any bugs?'
                                            what is piped in goes along as context
  printf '%s\\n' 'hello' '/bg and you?' | chatmux --json
                                            a script: each line as it would be typed

Exit codes:
  0        all well
  1        a message failed, or a line was wrong
  2        bad usage or configuration
  3        the database cannot be used
  130/143  ended by SIGINT/SIGTERM, after saving";

/// One shell prompt over many LLM conversations
///
/// chatmux is a prompt over many LLM conversations at once. Every conversation is a session that goes on while one looks
/// away; coming back replays what was missed, and nothing that was typed or streamed is lost. Without a COMMAND it is the
/// prompt; when stdin is not a terminal, each line of it is what would be typed.
#[derive(Debug, Clone, Parser)]
#[command(name = "chatmux", version, after_help = EXAMPLES_AND_EXIT_CODES, max_term_width = 100)]
#[command(disable_help_subcommand = true)]
pub struct Args {
    /// Start in that session; a NAME not known yet is created
    #[arg(short, long, value_name = "N|NAME", global = true)]
    pub session: Option<SessionRef>,

    /// Model for sessions created from now on
    #[arg(short, long, value_name = "PROVIDER:MODEL", global = true, env = "CHATMUX_MODEL", hide_env_values = true)]
    pub model: Option<ModelName>,

    /// The database
    #[arg(long, value_name = "FILE", global = true, env = "CHATMUX_DB", hide_env_values = true)]
    #[arg(value_hint = clap::ValueHint::FilePath)]
    pub db: Option<PathBuf>,

    /// The configuration
    #[arg(long, value_name = "FILE", global = true, env = "CHATMUX_CONFIG", hide_env_values = true)]
    #[arg(value_hint = clap::ValueHint::FilePath)]
    pub config: Option<PathBuf>,

    /// One JSON object a line on stdout
    #[arg(long, global = true)]
    pub json: bool,

    /// When to colour; NO_COLOR and CLICOLOR_FORCE are honoured
    #[arg(long, value_name = "WHEN", global = true, value_enum, default_value_t = Color::Auto)]
    pub color: Color,

    /// Script mode: stop at the first line that is wrong or fails
    #[arg(long)]
    pub fail_fast: bool,

    /// What to do; none: the prompt, or the script on stdin
    #[command(subcommand)]
    pub command: Option<Sub>,
}

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal that can
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// What chatmux does instead of the prompt.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Sub {
    /// Ask one question; the answer goes to stdout
    ///
    /// The words are joined by blanks. What is piped in goes along as context; without words it is the question. With
    /// --session, that session goes on.
    Ask {
        /// The question; write -- before it when a word of it begins with a dash
        #[arg(value_name = "TEXT")]
        text: Vec<String>,
    },
    /// List sessions
    Sessions,
    /// Show what waits, runs and failed
    Queue,
    /// Show, check or make the configuration
    #[command(disable_help_subcommand = true)]
    Config {
        /// What to do with it.
        #[command(subcommand)]
        action: ConfigAction,
    },
    /// Print the completions for a shell
    Completions {
        /// The shell
        #[arg(value_name = "SHELL", value_enum)]
        shell: Shell,
    },
    /// Print the man page, as roff
    Man,
}

/// What `chatmux config` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
pub enum ConfigAction {
    /// Print where the file is
    Path,
    /// Print what holds, defaults included
    Show,
    /// Write a file with the defaults, unless there is one
    Init,
    /// Check the file
    Check,
}

/// The definition, for generators.
pub fn command() -> clap::Command {
    Args::command()
}

/// The completion script for `shell`.
pub fn render_completions(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command(), "chatmux", &mut script);
    script
}

/// The man page, as roff.
pub fn render_man() -> Vec<u8> {
    let mut page = Vec::new();
    // Writing to a Vec cannot fail.
    let _ = clap_mangen::Man::new(command()).render(&mut page);
    page
}
