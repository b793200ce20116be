//! `chatmux sessions`, `chatmux queue` and `chatmux stats`: what is in the database, read without disturbing who works on it.

use std::io::{self, IsTerminal, Write};
use std::path::Path;

use serde_json::{Value, json};

use super::exit::{Failed, OK};
use super::time_of_day::TIME_OF_DAY;
use super::{open, print, report};
use crate::cli::args::Args;
use crate::config::{Config, Places};
use crate::domain::text::visible;
use crate::domain::{Session, Stats};
use crate::execute::{Answer, View, all_stats, dead_answer, queue_answer, session_stats, table};
use crate::store::{
    AllStats, FindSession, Listing, Read, ReadOnly, SessionSummaries, SessionSummary, StatsOf, Store, StoreError,
};
use crate::ui;

/// Columns of a list where there is no terminal to ask.
const COLUMNS: usize = 100;

/// What a listing reads from.
enum Source {
    /// Its schema is the newest one, upgraded perhaps.
    Store(Store),
    /// Nothing can be written there, and a listing writes nothing.
    ReadOnly(ReadOnly),
}

impl Source {
    fn read<R: Read + Clone>(&self, operation: R) -> Result<R::Reply, StoreError> {
        match self {
            Self::Store(store) => store.read_blocking(operation),
            Self::ReadOnly(database) => database.read(&operation),
        }
    }
}

/// The database if there is one: a listing makes none.
fn visit(path: &Path) -> Result<Option<Source>, Failed> {
    if !path.exists() {
        return Ok(None);
    }
    let store = match Store::visit(path) {
        Ok(store) => store,
        Err(refusal) => return Ok(Some(Source::ReadOnly(ReadOnly::instead(path, refusal)?))),
    };
    if let Some(upgrade) = store.upgraded() {
        // A closed stderr is no reason not to list.
        let _ = writeln!(io::stderr(), "chatmux: {}", visible(&report::upgrade_report(upgrade)));
    }
    Ok(Some(Source::Store(store)))
}

pub(super) fn sessions(args: &Args, places: &Places) -> Result<u8, Failed> {
    let store = visit(&open::database_path(args, places)?)?;
    let summaries = match store {
        Some(store) => store.read(SessionSummaries { closed: false })?,
        None => Vec::new(),
    };
    let data: Vec<Value> = summaries.iter().map(summary_data).collect();
    let row = |summary: &SessionSummary| {
        let session = &summary.session;
        [format!("{}:{}", session.id, session.name), session.model.to_string(), counts_text(summary)]
    };
    let text = table(&summaries.iter().map(row).collect::<Vec<_>>());
    show(args.json, &data, &text, "no sessions yet: chatmux starts one")
}

/// What the views need, as for the prompt.
fn view(config: &Config) -> View {
    View {
        now: open::CLOCK.now(),
        time_of_day: TIME_OF_DAY,
        width: if io::stdout().is_terminal() { ui::columns() } else { COLUMNS },
        max_attempts: config.retry.max_attempts,
        words: false,
    }
}

/// The session that `-s` names, where there is a database.
fn session(args: &Args, store: &Source) -> Result<Option<Session>, Failed> {
    let Some(session) = &args.session else { return Ok(None) };
    let found = store.read(FindSession(session.clone()))?;
    let unknown = || Failed::Usage(format!("there is no session {session}: chatmux sessions lists them"));
    found.ok_or_else(unknown).map(Some)
}

pub(super) fn queue(args: &Args, config: &Config, places: &Places, dead: bool) -> Result<u8, Failed> {
    let view = view(config);
    let listing = match visit(&open::database_path(args, places)?)? {
        None => None,
        Some(store) => {
            let session = session(args, &store)?.map(|session| session.id);
            Some(store.read(Listing {
                session,
                dead_only: dead,
                auto_before_normal: open::auto_before_normal(config),
            })?)
        }
    };
    let (entries, gates) = listing.map(|listing| (listing.entries, listing.gates)).unwrap_or_default();
    answer(
        args,
        if dead { dead_answer(&entries, view) } else { queue_answer(&entries, &gates, args.session.is_none(), view) },
    )
}

pub(super) fn stats(args: &Args, config: &Config, places: &Places) -> Result<u8, Failed> {
    let view = view(config);
    let Some(store) = visit(&open::database_path(args, places)?)? else {
        return answer(args, all_stats(&Stats::default(), &[], view));
    };
    if let Some(session) = session(args, &store)? {
        let stats = store.read(StatsOf { session: Some(session.id) })?;
        return answer(args, session_stats(&session, &stats, view));
    }
    let (all, sessions) = store.read(AllStats)?;
    answer(args, all_stats(&all, &sessions, view))
}

fn answer(args: &Args, answer: Answer) -> Result<u8, Failed> {
    let data = match answer.data {
        Value::Array(data) => data,
        one => vec![one],
    };
    show(args.json, &data, &[answer.text], "")
}

/// `--json`: one object a line.
fn show(as_json: bool, data: &[Value], text: &[String], nothing: &str) -> Result<u8, Failed> {
    let mut out = String::new();
    if as_json {
        data.iter().for_each(|value| out += &format!("{value}\n"));
    } else if text.is_empty() {
        out = format!("{nothing}\n");
    } else {
        text.iter().for_each(|line| out += &format!("{}\n", visible(line)));
    }
    print(out.as_bytes())?;
    Ok(OK)
}

fn summary_data(summary: &SessionSummary) -> Value {
    let session = &summary.session;
    json!({
        "session": session.id,
        "name": session.name,
        "model": session.model,
        "messages": summary.messages,
        "pending": summary.pending,
        "dead": summary.dead,
        "running": summary.running,
        "held": session.held,
        "last_activity_ms": summary.last_activity,
        "created_at_ms": session.created_at,
    })
}

fn counts_text(summary: &SessionSummary) -> String {
    let messages = summary.messages;
    let mut text = format!("{messages} {}", if messages == 1 { "message" } else { "messages" });
    for (count, what) in [(summary.pending, "waiting"), (summary.dead, "dead")] {
        if count > 0 {
            text += &format!(", {count} {what}");
        }
    }
    if summary.running {
        text += ", streaming";
    }
    if summary.session.held {
        text += ", held";
    }
    text
}
