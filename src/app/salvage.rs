//! `chatmux db salvage`: what came of it, for people and as JSON.

use std::path::Path;

use serde_json::{Value, json};

use super::db::show;
use super::exit::{FAILED, Failed, OK};
use super::{open, print};
use crate::domain::text::{count, size, visible};
use crate::store::{self, Lost, Salvaged};

pub(super) fn run(file: &Path, new: &Path, as_json: bool) -> Result<u8, Failed> {
    let done = store::salvage(file, new, open::CLOCK.now())?;
    if as_json {
        show("db salvage", data(&done, new))?;
    } else {
        print(text(&done, new).as_bytes())?;
    }
    Ok(if done.has_loss() { FAILED } else { OK })
}

fn data(done: &Salvaged, new: &Path) -> Value {
    let Salvaged { found, made_up, lost, .. } = done;
    let holed: Vec<_> = done.holed.iter().map(|(table, id)| json!({ "table": table, "id": id })).collect();
    json!({
        "path": new.to_string_lossy(),
        "bytes": done.bytes,
        "complete": !done.has_loss(),
        "found": {
            "sessions": found.sessions,
            "entries": found.entries,
            "messages": found.messages,
            "history": found.history,
            "attachments": found.attachments,
        },
        "made_up": {
            "sessions": made_up.sessions,
            "session_names": made_up.names,
            "entries": made_up.entries,
            "questions": made_up.questions,
        },
        "holes": done.holes,
        "texts_with_holes": holed,
        "lost": {
            "pages": lost.pages,
            "rows": lost.rows,
            "answers": lost.answers,
            "entries_at_most": lost.entries_at_most,
            "journal": lost.journal,
            "first_page": lost.first_page,
        },
        "old_copies": done.old_copies,
        "held": done.held,
        "auto_replies_ended": done.loops,
    })
}

/// So many of something; `None` for none.
fn some(number: u64, one: &str, many: &str) -> Option<String> {
    (number > 0).then(|| format!("{} {}", count(number), if number == 1 { one } else { many }))
}

fn list(parts: impl IntoIterator<Item = Option<String>>) -> Option<String> {
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn text(done: &Salvaged, new: &Path) -> String {
    let found = done.found;
    let all = list([
        some(found.sessions, "session", "sessions"),
        some(found.entries, "entry", "entries"),
        some(found.messages, "message", "messages"),
        some(found.history, "typed line", "typed lines"),
        some(found.attachments, "attached file", "attached files"),
    ]);
    let mut lines = vec![format!(
        "{}, {} written to {}: a database, as --db takes it",
        all.unwrap_or_default(),
        size(done.bytes),
        new.display()
    )];
    let names = done.made_up.names.join(", ");
    let made_up = list([
        some(done.made_up.sessions, "session", "sessions").map(|sessions| format!("{sessions} ({names})")),
        some(done.made_up.entries, "entry", "entries"),
        some(done.made_up.questions, "question from its entry", "questions from their entries"),
    ]);
    lines.extend(made_up.map(|made_up| format!("made up: {made_up}")));
    let holed: Vec<_> = done.holed.iter().map(|(table, id)| format!("{} {id}", one_of(table))).collect();
    lines.extend(some(done.holes, "text", "texts").map(|texts| {
        let more = if done.holes > holed.len() as u64 { " …" } else { "" };
        format!("something is missing or doubtful in {texts}: {}{more}", holed.join(", "))
    }));
    lines.extend(lost(done.lost));
    lines.extend(some(done.old_copies, "older copy", "older copies").map(|copies| format!("left out: {copies}")));
    lines.extend(
        some(done.held, "entry waits", "entries wait").map(|held| format!("{held}, held: /resume lets them go")),
    );
    lines.extend(
        some(done.loops, "auto-reply", "auto-replies").map(|loops| format!("{loops} ended: /auto begins it anew")),
    );
    if !done.has_loss() {
        lines.push("nothing is known to be lost".to_owned());
    }
    lines.iter().map(|line| format!("{}\n", visible(line))).collect()
}

/// A row of a table.
fn one_of(table: &str) -> &str {
    match table {
        "entries" => "entry",
        "messages" => "message",
        "sessions" => "session",
        "history" => "typed line",
        "attachments" => "attached file",
        other => other,
    }
}

fn lost(lost: Lost) -> Vec<String> {
    let parts = list([
        some(lost.pages, "page", "pages"),
        some(lost.rows, "row", "rows"),
        some(lost.answers, "answer", "answers"),
        some(lost.entries_at_most, "entry at most", "entries at most"),
        lost.journal.then(|| "what was written last (the journal)".to_owned()),
    ]);
    let mut lines: Vec<_> = parts.map(|parts| format!("lost: {parts}")).into_iter().collect();
    if lost.first_page {
        lines.push("the first page is lost: some of what was deleted may be back, and settings may be old".to_owned());
    }
    lines
}
