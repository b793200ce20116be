//! The prompt, put together.

use tokio::sync::watch;

use super::exit::{FAILED, Failed, OK, SIGNAL};
use super::open::{self, Purpose};
use super::{StartedBy, color_choice, env, guardian, report, signals, work};
use crate::cli::args::Args;
use crate::config::{Config, EditMode, Places};
use crate::coordinator::Front;
use crate::domain::{Origin, PromptState};
use crate::provider::{KeySource, Profile};
use crate::repl::{Completer, End, Names, Repl};
use crate::store::LeasedBy;
use crate::ui;

pub(super) fn run(args: &Args, config: &Config, places: &Places, started_by: StartedBy) -> Result<u8, Failed> {
    let opened = open::open(args, config, places, Purpose::Sessions)?;
    let greeting = greeting(&opened);
    let runtime = open::runtime()?;
    let (store, process) = (opened.store.clone(), opened.opening.process);
    let outcome = runtime.block_on(converse(args, config, opened, greeting, started_by));
    // The reader waits for a line that will not come.
    runtime.shutdown_background();
    let left = store.read_blocking(LeasedBy(process));
    open::close(store)?;
    match outcome? {
        End::Left | End::DatabaseLost => Ok(OK),
        // It was handed over, for there is no guardian.
        End::Detached => work::start(args, &left?).map(|()| OK),
        End::Signal(signal) => Ok(SIGNAL.saturating_add(u8::try_from(signal).unwrap_or(0))),
        End::Failed(why) => {
            Failed::Other(anyhow::anyhow!("the terminal failed: {why}; all is saved")).tell();
            Ok(FAILED)
        }
    }
}

async fn converse(
    args: &Args,
    config: &Config,
    opened: open::Opened,
    greeting: Vec<String>,
    started_by: StartedBy,
) -> Result<End, Failed> {
    let (names, names_seen) = watch::channel(Names { models: open::models(config), ..Names::default() });
    let prompt = PromptState {
        session: opened.active.id,
        name: opened.active.name.clone(),
        streaming: false,
        progress: None,
        has_others: false,
        activity: Vec::new(),
    };
    let plain = args.plain || config.ui.plain;
    let terminal = ui::start(ui::Options {
        color: ui::wants_color(color_choice(args.color)),
        joins_emoji: joins_emoji(),
        vi: config.ui.edit_mode == EditMode::Vi,
        look: open::look(config),
        complete: Box::new(Completer { names: names_seen, home: open::home() }),
        prompt,
        alert_after: config.ui.alert_after,
        clock: open::CLOCK,
        editor: editor(),
        hidden: key_variables(config),
        plain,
    });
    let ui::Terminal { display, input } =
        terminal.map_err(|error| anyhow::Error::new(error).context("the terminal cannot be used"))?;
    let (store, draft) = (opened.store.clone(), opened.active.draft.clone());
    let watched = store.clone();
    let front = Front::terminal(display.frames, display.ready);
    let handle = open::coordinate(opened, config, &open::providers(config)?, front);
    let mut executor = open::executor(handle.clone(), store, config, Origin::User, columns);
    executor.has_line = input.has_line;
    executor.words = plain;
    let repl = Repl { executor, names, signals: signals::listen(), greeting, draft };
    let end = repl.run(input).await;
    if end != End::Detached {
        return Ok(end);
    }
    let StartedBy::Guardian(guardian) = started_by else {
        if let Err(error) = handle.hand_over().await {
            tracing::error!(%error, "the end could not be committed");
        }
        return Ok(end);
    };
    ui::guard::leave();
    guardian::leave_terminal(Some(guardian)).map_err(anyhow::Error::new)?;
    Ok(work::serve(&handle, &watched, false, false).await.map_or(End::Left, End::Signal))
}

/// Terminals that join, as far as they can be told by what they say of themselves. A line in the prompt is laid out by that, and one
/// that takes fewer rows than thought would have the rows above it erased.
fn joins_emoji() -> bool {
    let is = |name: &str, all: &[&str]| env(name).is_some_and(|value| all.iter().any(|known| value.starts_with(known)));
    is("TERM_PROGRAM", &["tmux", "ghostty", "iTerm", "Apple_Terminal", "WezTerm"])
        || is("TERM", &["foot", "xterm-ghostty"])
}

/// The person's editor, as everyone finds it.
fn editor() -> String {
    ["VISUAL", "EDITOR"].into_iter().find_map(env).unwrap_or_else(|| "vi".to_owned())
}

/// Where keys are in the environment.
fn key_variables(config: &Config) -> Vec<String> {
    let variable = |profile: &Profile| match &profile.key {
        KeySource::Env { name, .. } => Some(name.clone()),
        KeySource::None | KeySource::Command(_) => None,
    };
    config.providers.values().filter_map(variable).collect()
}

fn columns() -> usize {
    ui::columns()
}

fn greeting(opened: &open::Opened) -> Vec<String> {
    let mut lines = report::recovery_report(opened);
    if opened.opening.created {
        let model = &opened.active.model;
        lines.insert(0, format!("chatmux {}: {model} answers; /help lists the commands", env!("CARGO_PKG_VERSION")));
        if model.provider == "demo" {
            let text = "the demo is embedded and offline: say hello; set a key such as OPENAI_API_KEY for a real model";
            lines.insert(1, text.to_owned());
        }
    }
    lines
}
