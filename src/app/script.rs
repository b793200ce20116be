//! Script mode, put together.

use std::collections::BTreeMap;
use std::io::{self, BufReader};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::exit::{FAILED, Failed, OK, SIGNAL};
use super::open::{self, Purpose};
use super::{report, signals, work};
use crate::cli::args::Args;
use crate::config::{Config, Places};
use crate::coordinator::{Front, Handle, ScriptItem};
use crate::domain::{Event, Origin};
use crate::execute::Executor;
use crate::script::lines::{self, ScriptLine};
use crate::script::writer::{self, Writer, Written};
use crate::script::{Script, Verdict};
use crate::store::{LeasedBy, Store};

/// Columns that lists for people take where there is no terminal.
const SCRIPT_COLUMNS: usize = 100;
/// Loads that wait for the writer: one; what comes meanwhile is merged into the next.
pub(super) const LOADS: usize = 1;
/// After a signal the last words may take this long.
const IMPATIENCE: Duration = Duration::from_secs(2);

pub(super) fn run(args: &Args, config: &Config, places: &Places) -> Result<u8, Failed> {
    let opened = open::open(args, config, places, Purpose::Sessions)?;
    let notices = report::recovery_report(&opened);
    let input = lines::spawn(BufReader::new(io::stdin())).map_err(anyhow::Error::new)?;
    let play = Play { json: args.json, fail_fast: args.fail_fast, numbered: true, notices };
    play.run(args, opened, config, input)
}

/// A script to be run on a database that is open.
pub(super) struct Play {
    pub(super) json: bool,
    pub(super) fail_fast: bool,
    pub(super) numbered: bool,
    pub(super) notices: Vec<String>,
}

impl Play {
    /// Runs it to its end; the exit code.
    pub(super) fn run(
        self,
        args: &Args,
        opened: open::Opened,
        config: &Config,
        input: mpsc::Receiver<ScriptLine>,
    ) -> Result<u8, Failed> {
        let runtime = open::runtime()?;
        let (store, process) = (opened.store.clone(), opened.opening.process);
        let outcome = runtime.block_on(self.play(opened, config, input));
        runtime.shutdown_background();
        let left = store.read_blocking(LeasedBy(process));
        open::close(store)?;
        let Outcome { verdict, written, signal } = outcome?;
        if verdict.detached {
            work::start(args, &left?)?;
        }
        Ok(match signal {
            Some(signal) => SIGNAL.saturating_add(u8::try_from(signal).unwrap_or(0)),
            // Who closes the pipe has read enough.
            None if written.closed && written.failed == 0 => OK,
            None if verdict.failed || written.failed > 0 => FAILED,
            None => OK,
        })
    }

    async fn play(
        self,
        opened: open::Opened,
        config: &Config,
        input: mpsc::Receiver<ScriptLine>,
    ) -> Result<Outcome, Failed> {
        let names: BTreeMap<_, _> = opened.sessions.iter().map(|s| (s.id, s.name.clone())).collect();
        let (items, receiver) = mpsc::channel(LOADS);
        let enough = CancellationToken::new();
        let writer = Writer::new(io::BufWriter::new(io::stdout()), io::stderr(), self.json, names);
        let writing = writer::spawn(receiver, writer, enough.clone()).map_err(anyhow::Error::new)?;
        let store: Store = opened.store.clone();
        let begin = begin_event(&opened);
        let handle: Handle =
            open::coordinate(opened, config, &open::providers(config)?, Front::script(items, self.json));
        if self.json {
            handle.script(ScriptItem::event(begin)).await;
        }
        for text in self.notices {
            handle.script(ScriptItem::event(Event::Notice { text })).await;
        }
        let lost = store.clone();
        let executor: Executor = open::executor(handle.clone(), store, config, Origin::Script, || SCRIPT_COLUMNS);
        let script = Script { executor, fail_fast: self.fail_fast, enough: enough.clone(), numbered: self.numbered };
        let mut signals = signals::listen();
        let script = script.run(input);
        tokio::pin!(script);
        let mut signal = None;
        let verdict = loop {
            tokio::select! {
                verdict = &mut script => break verdict,
                error = lost.lost(), if !enough.is_cancelled() => {
                    open::say_lost(&handle, self.json, &error).await;
                    enough.cancel();
                }
                Some(number) = signals.recv() => {
                    let impatient = signal.replace(number).is_some();
                    enough.cancel();
                    if impatient {
                        break Verdict { failed: true, detached: false };
                    }
                }
            }
        };
        drop(handle);
        // The coordinator has ended with the script, so the writer has all there is. A reader that does not read is waited for,
        // but not once a signal wants an end.
        let impatient = async {
            match signal {
                Some(_) => tokio::time::sleep(IMPATIENCE).await,
                None => signals.recv().await.map_or((), |number| signal = Some(number)),
            }
        };
        let written = tokio::select! {
            written = writing => written.unwrap_or(Written { closed: false, failed: 1 }),
            () = impatient => Written { closed: true, failed: 0 },
        };
        Ok(Outcome { verdict, written, signal })
    }
}

struct Outcome {
    verdict: Verdict,
    written: Written,
    signal: Option<i32>,
}

/// Where the script begins, so that a reader of `--json` knows.
fn begin_event(opened: &open::Opened) -> Event {
    let session = &opened.active;
    let change =
        if opened.first { crate::domain::SessionChange::Created } else { crate::domain::SessionChange::Switched };
    Event::Session { session: session.id, name: session.name.clone(), model: session.model.clone(), change }
}
