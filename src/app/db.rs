//! `chatmux db`: the care of the database. Nothing here makes one, and none of it needs a configuration.

use std::os::unix::ffi::OsStrExt;

use serde_json::{Value, json};

use super::exit::{DATABASE, Failed, OK};
use super::{open, print, salvage};
use crate::cli::args::{Args, DbAction};
use crate::config::Places;
use crate::domain::text::{count, size, visible};
use crate::domain::{EntryState, Event};
use crate::store::{self, Checkup, Counts};

pub(super) fn run(action: &DbAction, args: &Args, places: &Places) -> Result<u8, Failed> {
    let path = open::database_path(args, places)?;
    match action {
        DbAction::Path => {
            let path = std::path::absolute(&path).unwrap_or(path);
            if args.json {
                return show("db path", json!({ "path": path.to_string_lossy() }));
            }
            // As it is, for a script.
            print(&[path.as_os_str().as_bytes(), b"\n"].concat())
        }
        DbAction::Check => {
            let found = store::check(&path)?;
            if args.json {
                show("db check", check_data(&found))?
            } else {
                print(check_text(&found).as_bytes())?
            };
            Ok(if found.faults.is_empty() { OK } else { DATABASE })
        }
        DbAction::Backup { file } => {
            let bytes = store::back_up(&path, file)?;
            if args.json {
                return show("db backup", json!({ "path": file.to_string_lossy(), "bytes": bytes }));
            }
            say(&format!("{} written to {}: a database, as --db takes it", size(bytes), file.display()))
        }
        DbAction::Vacuum => {
            let done = store::vacuum(&path)?;
            let (before, after) = (done.before, done.after);
            if args.json {
                return show(
                    "db vacuum",
                    json!({ "before_bytes": before, "after_bytes": after, "readers": done.has_readers }),
                );
            }
            let rest = if done.has_readers {
                "; somebody reads what was before, and the rest comes when that ends"
            } else {
                ""
            };
            say(&format!("{} before, {} now{rest}", size(before), size(after)))
        }
        DbAction::Salvage { file, new } => salvage::run(file, new, args.json),
    }
}

fn say(line: &str) -> Result<u8, Failed> {
    print(format!("{}\n", visible(line)).as_bytes())
}

pub(super) fn show(command: &str, data: Value) -> Result<u8, Failed> {
    let event = Event::Result { command: command.to_owned(), data };
    let line = serde_json::to_string(&event).map_err(anyhow::Error::new)?;
    print(format!("{line}\n").as_bytes())
}

fn check_data(found: &Checkup) -> Value {
    let Counts { sessions, archived, messages, entries } = found.counts.clone().unwrap_or_default();
    let entries: serde_json::Map<_, _> =
        EntryState::ALL.iter().map(|state| (state.to_string(), json!(entries.get(state).unwrap_or(&0)))).collect();
    let counts = found
        .counts
        .is_some()
        .then(|| json!({ "sessions": sessions, "archived": archived, "messages": messages, "entries": entries }));
    json!({
        "path": found.path.to_string_lossy(),
        "sound": found.faults.is_empty(),
        "faults": found.faults,
        "application_id": found.application_id,
        "schema": found.schema,
        "known_schema": found.known,
        "file_bytes": found.file_bytes,
        "journal_bytes": found.journal_bytes,
        "free_bytes": found.free_bytes,
        "counts": counts,
    })
}

fn check_text(found: &Checkup) -> String {
    let mut lines = vec![found.path.display().to_string()];
    let schema = match found.schema < found.known {
        true => format!("{}, which the next start upgrades to {}", found.schema, found.known),
        false => found.schema.to_string(),
    };
    lines.push(format!("schema    {schema} (application id {:#010x})", found.application_id));
    let (journal, free) = (size(found.journal_bytes), size(found.free_bytes));
    lines.push(format!("size      {}, journal {journal}, {free} unused", size(found.file_bytes)));
    if let Some(counts) = &found.counts {
        let archived = count(counts.archived);
        lines.push(format!("sessions  {} open, {archived} archived", count(counts.sessions)));
        lines.push(format!("messages  {}", count(counts.messages)));
        let entries = counts.entries.iter().map(|(state, number)| format!("{} {state}", count(*number)));
        let entries: Vec<_> = entries.collect();
        lines.push(format!("entries   {}", if entries.is_empty() { "none".to_owned() } else { entries.join(", ") }));
    }
    if found.faults.is_empty() {
        lines.push("sound".to_owned());
    } else {
        lines.extend(found.faults.iter().map(|fault| format!("damaged: {fault}")));
        lines.push(
            "restore it from a backup, save what can be read of it (chatmux db salvage FILE NEW), or use another with --db"
                .to_owned(),
        );
    }
    lines.iter().map(|line| format!("{}\n", visible(line))).collect()
}
