//! The command line as clap reads it: the one definition behind `--help`, the completions and the man page.
//!
//! `main` parses it and hands it on; nothing here reads a file or decides anything. What the prompt's slash commands take is
//! another matter: see [`crate::command`].

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use clap_mangen::roff::{Roff, bold, roman};

use crate::domain::{ModelName, SessionRef};

/// How it is used, for `--help` and the man page.
const EXAMPLES: &str = "  chatmux                             the prompt; /help lists its commands
  chatmux -s docs -m openai:gpt-5.1   start in the session docs
  chatmux ask 'what is a monad?'      one question, the answer on stdout
  git diff | chatmux ask 'any bugs?'  piped input goes along as context
  chatmux --json < script             each line as it would be typed";

/// What the exit code says, for `--help` and the man page.
const EXIT_CODES: &str = "  0        all well
  1        a message failed, or a line was wrong
  2        bad usage or configuration
  3        the database cannot be used
  129/130/131/143  ended by SIGHUP/SIGINT/SIGQUIT/SIGTERM, after saving";

/// One shell prompt over many LLM conversations
///
/// chatmux is a prompt over many LLM conversations at once. Every conversation is a session that goes on while one looks
/// away; coming back replays what was missed, and nothing that was typed or streamed is lost. Without a COMMAND it is the
/// prompt; when stdin is not a terminal, each line of it is what would be typed at the prompt.
#[derive(Debug, Clone, Parser)]
#[command(name = "chatmux", version, max_term_width = 100)]
#[command(after_help = format!("Examples:\n{EXAMPLES}\n\nExit codes:\n{EXIT_CODES}"))]
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

    /// Write what the servers reply to FILE, without keys, for a bug report
    #[arg(long, value_name = "FILE", global = true)]
    #[arg(value_hint = clap::ValueHint::FilePath)]
    pub record: Option<PathBuf>,

    /// One JSON object a line on stdout
    #[arg(long, global = true)]
    pub json: bool,

    /// When to colour; NO_COLOR and CLICOLOR_FORCE are honoured
    #[arg(long, value_name = "WHEN", global = true, value_enum, default_value_t = Color::Auto)]
    pub color: Color,

    /// Whole lines only: no cursor movement, nothing that turns, signs as words (for screen readers and poor terminals)
    #[arg(long)]
    pub plain: bool,

    /// Script mode: stop at the first line that is wrong or fails
    #[arg(long)]
    pub fail_fast: bool,

    /// What to do; none: the prompt, or the script on stdin
    #[command(subcommand)]
    pub command: Option<Sub>,
}

impl Args {
    /// Parses a command line. The variables that `is_blank` knows are set, but to nothing: they count as unset.
    ///
    /// # Errors
    /// What clap says of a wrong command line; help and version too.
    pub fn parse_command_line(
        words: impl IntoIterator<Item = OsString>,
        is_blank: impl Fn(&OsStr) -> bool,
    ) -> Result<Self, clap::Error> {
        let mut definition = without_variables(command(), is_blank);
        let matches = definition.try_get_matches_from_mut(words)?;
        Self::from_arg_matches(&matches).map_err(|error| error.format(&mut definition))
    }
}

/// The definition without the variables that are blank: clap would take their values for what was typed.
fn without_variables(definition: clap::Command, is_blank: impl Fn(&OsStr) -> bool) -> clap::Command {
    definition.mut_args(|option| match option.get_env().is_some_and(&is_blank) {
        true => option.env(None::<&'static str>),
        false => option,
    })
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
    Queue {
        /// Only what failed for good, with its reasons
        #[arg(long)]
        dead: bool,
    },
    /// Show counts, times and tokens, of all sessions or of one
    Stats,
    /// Answer what is queued, without a prompt, until nothing is left
    ///
    /// Runs what waits in any session that no person has held and no other chatmux runs; what came is there at the next start. Says on
    /// stderr what has ended. Stops as the prompt does at a signal, and keeps all.
    Work {
        /// Go on when nothing is left, and serve what is queued later, until a signal comes
        #[arg(long)]
        watch: bool,
    },
    /// Show, check or make the configuration
    #[command(disable_help_subcommand = true)]
    Config {
        /// What to do with it.
        #[command(subcommand)]
        action: ConfigAction,
    },
    /// Find, check, back up, shrink or salvage the database
    #[command(disable_help_subcommand = true)]
    Db {
        /// What to do with it.
        #[command(subcommand)]
        action: DbAction,
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

/// What `chatmux db` does.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum DbAction {
    /// Print where the database is
    Path,
    /// Check it, and count what is in it; nothing is changed
    Check,
    /// Write a copy of it to a new file, whoever works on it meanwhile
    Backup {
        /// The new file
        #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
        file: PathBuf,
    },
    /// Give unused space back
    Vacuum,
    /// Write what can be read of a damaged database to a new one
    ///
    /// FILE is only read, and so is its journal (FILE-wal). What waits is held in NEW, and nothing of it is sent. The exit code is 0 when all
    /// was read, 1 when something is known to be lost, 3 when nothing could be read.
    Salvage {
        /// The damaged database
        #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
        file: PathBuf,
        /// The new one
        #[arg(value_name = "NEW", value_hint = clap::ValueHint::FilePath)]
        new: PathBuf,
    },
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

/// The man page, as roff: one page, with the commands in it.
pub fn render_man() -> Vec<u8> {
    let mut page = Vec::new();
    // Writing to a Vec cannot fail.
    let _ = write_man(&mut page);
    page
}

fn write_man(page: &mut Vec<u8>) -> std::io::Result<()> {
    let mut definition = command();
    definition.build();
    let mut sections = Roff::new();
    sections.control("SH", ["COMMANDS"]);
    describe_subcommands(&mut sections, &definition, "");
    for (title, block) in [("EXAMPLES", EXAMPLES), ("EXIT STATUS", EXIT_CODES)] {
        sections.control("SH", [title]).control("nf", []);
        block.lines().for_each(|line| _ = sections.text([roman(line.trim_start())]));
        sections.control("fi", []);
    }
    let man = clap_mangen::Man::new(definition);
    man.render_title(page)?;
    man.render_name_section(page)?;
    man.render_synopsis_section(page)?;
    man.render_description_section(page)?;
    man.render_options_section(page)?;
    sections.to_writer(page)
}

/// One paragraph for each command below `parent`, whose name (with a blank behind it) is `path`; those of their own follow.
fn describe_subcommands(sections: &mut Roff, parent: &clap::Command, path: &str) {
    for sub in parent.get_subcommands() {
        let name = format!("{path}{}", sub.get_name());
        if sub.has_subcommands() {
            describe_subcommands(sections, sub, &format!("{name} "));
            continue;
        }
        // Those of all commands have a section of their own.
        let own = sub.get_arguments().filter(|option| !option.is_positional() && !option.is_global_set());
        let own = own
            .filter_map(|option| option.get_long())
            .filter(|long| *long != "help")
            .map(|option| format!(" [--{option}]"));
        let values = own.chain(sub.get_positionals().map(|value| format!(" {value}"))).collect::<String>();
        let about = sub.get_long_about().or_else(|| sub.get_about()).map(ToString::to_string).unwrap_or_default();
        sections.control("TP", []).text([bold(name), roman(values)]).text([roman(about.replace("\n\n", ". "))]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &str) -> Result<Args, clap::Error> {
        Args::try_parse_from(words.split(' '))
    }

    #[test]
    fn options_are_read_before_and_behind_the_command() {
        for words in ["chatmux -s docs -m demo:tour --json ask why", "chatmux ask --json why -s docs -m demo:tour"] {
            let args = parse(words).unwrap();
            assert_eq!(args.session, Some("docs".parse().unwrap()), "{words}");
            assert_eq!(args.model, Some("demo:tour".parse().unwrap()), "{words}");
            assert!(args.json, "{words}");
            assert_eq!(args.command, Some(Sub::Ask { text: vec!["why".to_owned()] }), "{words}");
        }
    }

    #[test]
    fn a_blank_variable_is_no_argument() {
        let variables = |definition: &clap::Command| {
            let named = definition.get_arguments().filter_map(|option| option.get_env());
            named.filter_map(OsStr::to_str).map(str::to_owned).collect::<Vec<_>>()
        };
        let left = |blank: &[&str]| {
            variables(&without_variables(command(), |name| name.to_str().is_some_and(|name| blank.contains(&name))))
        };
        assert_eq!(left(&[]), variables(&command()));
        assert_eq!(left(&["CHATMUX_DB", "CHATMUX_MODEL"]), ["CHATMUX_CONFIG"]);
        assert_eq!(left(&["CHATMUX_CONFIG"]), ["CHATMUX_MODEL", "CHATMUX_DB"]);
    }

    #[test]
    fn every_command_is_read() {
        let check = |words: &str, expected: Option<Sub>| assert_eq!(parse(words).unwrap().command, expected, "{words}");
        check("chatmux", None);
        check("chatmux ask", Some(Sub::Ask { text: vec![] }));
        check("chatmux ask -- -x why", Some(Sub::Ask { text: vec!["-x".to_owned(), "why".to_owned()] }));
        check("chatmux sessions --json", Some(Sub::Sessions));
        check("chatmux queue", Some(Sub::Queue { dead: false }));
        check("chatmux queue --json --dead -s docs", Some(Sub::Queue { dead: true }));
        check("chatmux stats -s 2", Some(Sub::Stats));
        check("chatmux config path", Some(Sub::Config { action: ConfigAction::Path }));
        check("chatmux config show", Some(Sub::Config { action: ConfigAction::Show }));
        check("chatmux config init", Some(Sub::Config { action: ConfigAction::Init }));
        check("chatmux config check", Some(Sub::Config { action: ConfigAction::Check }));
        check("chatmux db path", Some(Sub::Db { action: DbAction::Path }));
        check("chatmux db check --json", Some(Sub::Db { action: DbAction::Check }));
        check("chatmux db backup a", Some(Sub::Db { action: DbAction::Backup { file: "a".into() } }));
        check("chatmux db vacuum", Some(Sub::Db { action: DbAction::Vacuum }));
        let salvage = DbAction::Salvage { file: "a".into(), new: "b".into() };
        check("chatmux db salvage a b", Some(Sub::Db { action: salvage }));
        check("chatmux completions zsh", Some(Sub::Completions { shell: Shell::Zsh }));
        check("chatmux man", Some(Sub::Man));
        assert_eq!(parse("chatmux --color never").unwrap().color, Color::Never);
        assert_eq!(parse("chatmux").unwrap().color, Color::Auto);
        assert!(parse("chatmux --fail-fast").unwrap().fail_fast);
    }

    #[test]
    fn bad_usage_exits_with_2_and_asking_for_help_with_0() {
        for words in [
            "chatmux swich",
            "chatmux --nope",
            "chatmux -s all",
            "chatmux -s a,b sessions",
            "chatmux -m :x",
            "chatmux config",
            "chatmux db",
            "chatmux db backup",
            "chatmux db salvage a",
            "chatmux completions tcsh",
            "chatmux stats --dead",
            "chatmux --color red",
            "chatmux -s 1 -s 2",
        ] {
            assert_eq!(parse(words).unwrap_err().exit_code(), 2, "{words}");
        }
        for words in ["chatmux --help", "chatmux -h", "chatmux --version", "chatmux ask --help"] {
            assert_eq!(parse(words).unwrap_err().exit_code(), 0, "{words}");
        }
    }

    #[test]
    fn the_help_shows_no_value_of_the_environment() {
        for arg in command().get_arguments().filter(|arg| arg.get_env().is_some()) {
            assert!(arg.is_hide_env_values_set(), "{}", arg.get_id());
        }
        let help = command().term_width(80).render_help().to_string();
        assert!(help.contains("[env: CHATMUX_DB]"), "{help}");
    }

    #[test]
    fn the_short_help_reads_well() {
        insta::assert_snapshot!(command().term_width(80).render_help());
    }
}
