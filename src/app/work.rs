//! Work without a prompt: what a `/detach` leaves, and `chatmux work`.

use std::collections::BTreeMap;
use std::future::pending;
use std::io;
use std::process::{Command, Stdio};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::exit::{FAILED, Failed, OK, SIGNAL};
use super::open::{self, Purpose};
use super::{StartedBy, guardian, report, script, signals};
use crate::cli::args::Args;
use crate::config::{Config, Places};
use crate::coordinator::{Front, Handle, ScriptItem, Which};
use crate::domain::{Event, SessionId};
use crate::script::writer::{self, Writer, Written};
use crate::store::Store;

/// `chatmux work`: runs what is queued and nobody runs, until nothing is left; with `watch`, until a signal comes.
pub(super) fn run(
    args: &Args,
    config: &Config,
    places: &Places,
    started_by: StartedBy,
    watch: bool,
) -> Result<u8, Failed> {
    let purpose = match started_by {
        StartedBy::Leaver(sessions) => Purpose::Left(sessions),
        StartedBy::Anyone | StartedBy::Guardian(_) => Purpose::Work,
    };
    let mut opened = open::open(args, config, places, purpose)?;
    opened.watch.adopts = watch;
    let notices = report::recovery_report(&opened);
    let runtime = open::runtime()?;
    let store = opened.store.clone();
    let outcome = runtime.block_on(async {
        let names: BTreeMap<_, _> = opened.sessions.iter().map(|s| (s.id, s.name.clone())).collect();
        let (items, receiver) = mpsc::channel(script::LOADS);
        let text = Writer::new(io::stdout(), io::stderr(), args.json, names).without_answers();
        // Who reads no more is no reason not to work.
        let written = writer::spawn(receiver, text, CancellationToken::new()).map_err(anyhow::Error::new)?;
        let handle = open::coordinate(opened, config, &open::providers(config)?, Front::log(items, args.json));
        for text in notices {
            handle.script(ScriptItem::event(Event::Notice { text })).await;
        }
        let signal = serve(&handle, &store, watch, args.json).await;
        drop(handle);
        let written = written.await.unwrap_or(Written { closed: false, failed: 1 });
        Ok::<_, Failed>((signal, written))
    });
    runtime.shutdown_background();
    open::close(store)?;
    let (signal, written) = outcome?;
    Ok(match signal {
        Some(signal) => SIGNAL.saturating_add(u8::try_from(signal).unwrap_or(0)),
        None if written.failed > 0 => FAILED,
        None => OK,
    })
}

/// Waits until nothing is left to run here, or for ever with `watch`, or for the signal that is given then, or until the database's
/// files are gone. All is committed. With `json` a program reads along.
pub(super) async fn serve(handle: &Handle, store: &Store, watch: bool, json: bool) -> Option<i32> {
    let mut signals = signals::listen();
    let idle = async {
        // An error: the coordinator has ended, and there is nothing left.
        let _ = handle.wait(Which::All).await;
        if watch {
            pending::<()>().await;
        }
    };
    let signal = tokio::select! {
        () = idle => None,
        error = store.lost() => {
            open::say_lost(handle, json, &error).await;
            None
        }
        Some(signal) = signals.recv() => Some(signal),
    };
    if let Err(error) = handle.quit(None).await {
        tracing::error!(%error, "the end could not be committed");
    }
    signal
}

/// Starts `chatmux work` for what this process has handed over, in these sessions. Nobody waits for it.
pub(super) fn start(args: &Args, sessions: &[SessionId]) -> Result<(), Failed> {
    let program = std::env::current_exe().map_err(anyhow::Error::new)?;
    let mut work = Command::new(program);
    let sessions: Vec<String> = sessions.iter().map(ToString::to_string).collect();
    work.args([guardian::LEFT, &sessions.join(","), "work"]);
    for (option, file) in [("--db", &args.db), ("--config", &args.config)] {
        if let Some(file) = file {
            work.arg(option).arg(file);
        }
    }
    work.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    work.spawn()
        .map_err(|error| anyhow::Error::new(error).context("no process could be started that goes on with it"))?;
    Ok(())
}

/// As [`start`] names them.
pub(super) fn sessions(named: &str) -> Vec<SessionId> {
    named.split(',').filter_map(|id| id.parse().ok().map(SessionId)).collect()
}
