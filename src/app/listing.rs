//! `chatmux sessions` and `chatmux queue`: what is in the database, read without disturbing who works on it.

use std::path::Path;

use serde_json::{Value, json};

use super::exit::{Failed, OK};
use super::{open, print};
use crate::cli::args::Args;
use crate::config::Places;
use crate::domain::text::visible;
use crate::execute::{hold_with_session, queue_answer};
use crate::store::{FindSession, QueueListing, SessionSummaries, SessionSummary, Sessions, Store};

/// Columns of a list where there is no terminal to ask.
const COLUMNS: usize = 100;

/// The store if there is one: a listing makes no database.
fn visit(path: &Path) -> Result<Option<Store>, Failed> {
    if path.exists() { Ok(Some(Store::visit(path)?)) } else { Ok(None) }
}

pub(super) fn sessions(args: &Args, places: &Places) -> Result<u8, Failed> {
    let store = visit(&open::database_path(args, places)?)?;
    let summaries = match store {
        Some(store) => store.read_blocking(SessionSummaries { closed: false })?,
        None => Vec::new(),
    };
    let data: Vec<Value> = summaries.iter().map(summary_data).collect();
    let text: Vec<String> = summaries.iter().map(summary_text).collect();
    show(args.json, &data, &text, "no sessions yet: chatmux starts one")
}

pub(super) fn queue(args: &Args, places: &Places) -> Result<u8, Failed> {
    let store = visit(&open::database_path(args, places)?)?;
    let held = match &store {
        Some(store) => store.read_blocking(Sessions { closed: true })?,
        None => Vec::new(),
    };
    let held = held.into_iter().filter(|session| session.held).map(|session| session.id).collect();
    let entries = match (store, &args.session) {
        (None, _) => Vec::new(),
        (Some(store), None) => store.read_blocking(QueueListing { session: None })?,
        (Some(store), Some(session)) => {
            let found = store.read_blocking(FindSession(session.clone()))?;
            let unknown = || Failed::Usage(format!("there is no session {session}: chatmux sessions lists them"));
            store.read_blocking(QueueListing { session: Some(found.ok_or_else(unknown)?.id) })?
        }
    };
    let mut entries = entries;
    hold_with_session(&mut entries, &held);
    let answer = queue_answer(&entries, COLUMNS);
    let data = answer.data.as_array().cloned().unwrap_or_default();
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

fn summary_text(summary: &SessionSummary) -> String {
    let session = &summary.session;
    let mut text = format!("{}:{}  {}  {} messages", session.id, session.name, session.model, summary.messages);
    for (count, what) in [(summary.pending, "waiting"), (summary.dead, "failed")] {
        if count > 0 {
            text += &format!(", {count} {what}");
        }
    }
    if summary.running {
        text += ", streaming";
    }
    text
}
