//! Puts the parts together: arguments and configuration in, exit code out. The runtime is built by hand, because a reader that
//! waits for a line cannot be ended and must not be waited for.

mod ask;
mod exit;
mod listing;
mod open;
mod prompt;
mod script;
mod signals;
mod time_of_day;

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use crate::cli::args::{Args, Color, ConfigAction, Sub, render_completions, render_man};
use crate::config::{self, Config, Places};
use crate::logging;

use exit::{Failed, OK, USAGE};

/// Runs the program.
pub fn main() -> ExitCode {
    let code = match Args::try_parse_from(arguments()) {
        Ok(args) => run(args).unwrap_or_else(|failed| failed.tell()),
        Err(error) => {
            // Help and version are no failure. A closed stdout or stderr is not worth a word.
            let _ = error.print();
            if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) { OK } else { USAGE }
        }
    };
    ExitCode::from(code)
}

fn arguments() -> impl Iterator<Item = OsString> {
    std::env::args_os()
}

fn run(args: Args) -> Result<u8, Failed> {
    let places = Places::of_this_user();
    match &args.command {
        Some(Sub::Completions { shell }) => return print(&render_completions(*shell)),
        Some(Sub::Man) => return print(&render_man()),
        Some(Sub::Config { action }) => return configure(*action, &args, &places),
        Some(Sub::Ask { .. } | Sub::Sessions | Sub::Queue { .. } | Sub::Stats) | None => {}
    }
    let config = load(&args)?;
    if let Some(log) = places.log() {
        logging::start(&log);
    }
    signals::survive_file_limits();
    match &args.command {
        Some(Sub::Ask { text }) => ask::run(&args, &config, &places, text),
        Some(Sub::Sessions) => listing::sessions(&args, &places),
        Some(Sub::Queue { dead }) => listing::queue(&args, &config, &places, *dead),
        Some(Sub::Stats) => listing::stats(&args, &config, &places),
        Some(Sub::Completions { .. } | Sub::Man | Sub::Config { .. }) => Ok(OK),
        None if io::stdin().is_terminal() && !args.json => prompt::run(&args, &config, &places),
        None => script::run(&args, &config, &places),
    }
}

fn env(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The configuration with what the flags say.
fn load(args: &Args) -> Result<Config, Failed> {
    let mut config = Config::load(args.config.as_deref(), &env)?;
    if let Some(model) = args.model.clone() {
        config.model = config.resolve_model(model)?;
    }
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
        ConfigAction::Check => config::check(&load(args)?, &env),
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
