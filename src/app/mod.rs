//! Puts the parts together: arguments and configuration in, exit code out. The runtime is built by hand, because a reader that
//! waits for a line cannot be ended and must not be waited for.

mod ask;
mod db;
mod exit;
mod guardian;
mod listing;
mod open;
mod prompt;
mod report;
mod salvage;
mod script;
mod signals;
mod time_of_day;
mod work;

use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::error::ErrorKind;
use nix::sys::resource::{Resource, setrlimit};

use crate::cli::args::{Args, Color, ConfigAction, Sub, render_completions, render_man};
use crate::config::{self, Config, Places};
use crate::domain::SessionId;
use crate::logging;

use exit::{Failed, OK, USAGE};

/// Who started this process. Chatmux itself says so by its first argument, which is no option that a person is offered.
#[derive(Debug, Clone, PartialEq, Eq)]
enum StartedBy {
    /// Anybody.
    Anyone,
    /// The guardian of that number: this is its prompt.
    Guardian(u32),
    /// One that has handed the work in these sessions over, in whose terminal this is.
    Leaver(Vec<SessionId>),
}

/// Runs the program.
pub fn main() -> ExitCode {
    forbid_core_dumps();
    let (started_by, arguments) = arguments();
    let code = match Args::parse_command_line(arguments, is_blank) {
        Ok(args) => run(args, started_by).unwrap_or_else(|failed| failed.tell()),
        Err(error) => {
            // Help and version are no failure. A closed stdout or stderr is not worth a word.
            let _ = error.print();
            if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) { OK } else { USAGE }
        }
    };
    ExitCode::from(code)
}

fn arguments() -> (StartedBy, Vec<OsString>) {
    let mut arguments: Vec<OsString> = std::env::args_os().collect();
    let word = |nth: usize| arguments.get(nth).and_then(|argument| argument.to_str());
    let (started_by, own) = match (word(1), word(2)) {
        (Some(guardian::GUARDIAN), Some(pid)) => (pid.parse().map_or(StartedBy::Anyone, StartedBy::Guardian), 2),
        (Some(guardian::LEFT), Some(sessions)) => (StartedBy::Leaver(work::sessions(sessions)), 2),
        _ => (StartedBy::Anyone, 0),
    };
    if own > 0 {
        arguments.drain(1..=own);
    }
    (started_by, arguments)
}

fn run(args: Args, started_by: StartedBy) -> Result<u8, Failed> {
    let places = Places::of_this_user();
    match &args.command {
        Some(Sub::Completions { shell }) => return print(&render_completions(*shell)),
        Some(Sub::Man) => return print(&render_man()),
        Some(Sub::Config { action }) => return configure(*action, &args, &places),
        // A configuration that is wrong is no reason to leave the database without care.
        Some(Sub::Db { action }) => return db::run(action, &args, &places),
        Some(Sub::Ask { .. } | Sub::Sessions | Sub::Queue { .. } | Sub::Stats | Sub::Work { .. }) | None => {}
    }
    let prompts = args.command.is_none() && io::stdin().is_terminal() && !args.json;
    match &started_by {
        StartedBy::Guardian(pid) => guardian::obey(*pid),
        StartedBy::Leaver(_) => guardian::leave_terminal(None).map_err(anyhow::Error::new)?,
        StartedBy::Anyone if prompts => {
            if let Some(code) = guardian::guard() {
                return Ok(code);
            }
        }
        StartedBy::Anyone => {}
    }
    let config = load(&args)?;
    start_log(&places);
    signals::survive_file_limits();
    match &args.command {
        Some(Sub::Ask { text }) => ask::run(&args, &config, &places, text),
        Some(Sub::Sessions) => listing::sessions(&args, &places),
        Some(Sub::Queue { dead }) => listing::queue(&args, &config, &places, *dead),
        Some(Sub::Stats) => listing::stats(&args, &config, &places),
        Some(Sub::Work { watch }) => work::run(&args, &config, &places, started_by, *watch),
        Some(Sub::Completions { .. } | Sub::Man | Sub::Config { .. } | Sub::Db { .. }) => Ok(OK),
        None if prompts => prompt::run(&args, &config, &places, started_by),
        None => script::run(&args, &config, &places),
    }
}

/// A folder that cannot be made leaves no log, which is no reason not to work.
fn start_log(places: &Places) {
    if let Some(log) = places.log()
        && log.parent().is_some_and(|folder| config::create_private_folder(folder).is_ok())
    {
        logging::start(&log, env("CHATMUX_LOG").as_deref());
    }
}

/// No core dump: it would hold every key and all that was said. What the program starts inherits it.
fn forbid_core_dumps() {
    // Where it is refused, nothing else is to be done about it.
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
}

/// The value of a variable; one that is empty or blank counts as unset.
fn env(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.trim().is_empty())
}

/// Whether a variable is set to nothing, or to blanks.
fn is_blank(name: &OsStr) -> bool {
    std::env::var_os(name).is_some_and(|value| value.to_str().is_some_and(|text| text.trim().is_empty()))
}

/// The configuration with what the flags say.
fn load(args: &Args) -> Result<Config, Failed> {
    let mut config = Config::load(args.config.as_deref(), &env)?;
    if let Some(model) = args.model.clone() {
        config.model = config.resolve_model(model)?;
    }
    config.record.clone_from(&args.record);
    Ok(config)
}

fn configure(action: ConfigAction, args: &Args, places: &Places) -> Result<u8, Failed> {
    let file = || args.config.clone().map_or_else(|| places.config(), Ok);
    let text = match action {
        ConfigAction::Path => {
            let database = args.db.clone().map_or_else(|| places.database(), Ok)?;
            config::path(&file()?, &database, places.log().as_deref())
        }
        ConfigAction::Init => config::init(&file()?)?,
        ConfigAction::Show => config::show(&load(args)?, &env),
        ConfigAction::Check => config::check(&load(args)?, file().ok().as_deref(), &env),
    };
    let end = if text.ends_with('\n') { "" } else { "\n" };
    print(format!("{text}{end}").as_bytes())
}

/// Writes to stdout. A reader that has gone is no failure.
fn print(bytes: &[u8]) -> Result<u8, Failed> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failed::Other(anyhow::Error::new(error).context("stdout could not be written")))
        }
        Ok(()) | Err(_) => Ok(OK),
    }
}

/// What `--color` says, as anstream takes it.
const fn color_choice(color: Color) -> anstream::ColorChoice {
    match color {
        Color::Auto => anstream::ColorChoice::Auto,
        Color::Always => anstream::ColorChoice::Always,
        Color::Never => anstream::ColorChoice::Never,
    }
}
