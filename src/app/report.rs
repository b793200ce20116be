//! What a start found, in lines for a person.

use std::path::PathBuf;

use super::open::Opened;
use crate::coordinator::notices;
use crate::domain::text::one_line;
use crate::domain::{AutoReply, Entry, Session, SessionId};
use crate::store::Upgrade;

/// Characters of an auto-reply in the report of a start.
const REPORT_CHARS: usize = 40;

/// That the database was upgraded, and where it is as it was.
pub(super) fn upgrade_report(upgrade: &Upgrade) -> String {
    let Upgrade { from, to, backup } = upgrade;
    format!("the database was upgraded from schema {from} to {to}; as it was before it is kept in {}", backup.display())
}

/// A session as `2 docs`.
pub(super) fn name_of(sessions: &[Session], id: SessionId) -> String {
    let session = sessions.iter().find(|session| session.id == id);
    session.map_or_else(|| id.to_string(), |session| format!("{id} {}", session.name))
}

/// What a start found that the person should know, in a few lines.
pub(super) fn recovery_report(opened: &Opened) -> Vec<String> {
    let name = |id: SessionId| name_of(&opened.sessions, id);
    let recovery = &opened.opening.recovery;
    let mut lines: Vec<String> = opened.store.upgraded().map(upgrade_report).into_iter().collect();
    lines.extend(rescue_report(&opened.rescued));
    for cut in &recovery.interrupted {
        lines.push(format!(
            "[{}] an answer was cut when chatmux ended: {} bytes of it are kept, marked interrupted",
            name(cut.session),
            cut.text_bytes
        ));
    }
    // What waits in an archived session is put away: no /resume all sends it.
    let is_open = |id: SessionId| opened.sessions.iter().any(|s| s.id == id && s.closed_at.is_none());
    let held: Vec<&Entry> = opened.pending.iter().filter(|entry| entry.held && is_open(entry.session)).collect();
    if !held.is_empty() {
        let sessions: std::collections::BTreeSet<_> = held.iter().map(|entry| entry.session).collect();
        let names: Vec<_> = sessions.into_iter().map(name).collect();
        let unanswered: Vec<_> = held.iter().filter(|entry| entry.is_unanswered()).map(|entry| entry.id).collect();
        lines.push(notices::held(held.len(), &names, &unanswered));
    }
    lines.extend(opened.released.iter().cloned());
    let elsewhere: Vec<_> =
        opened.elsewhere.iter().map(|looked| looked.session.id).filter(|&id| is_open(id)).map(name).collect();
    if !elsewhere.is_empty() {
        lines.push(format!("another chatmux is at work ({}): what it answers is shown here too", elsewhere.join(", ")));
    }
    lines.extend(opened.auto_replies.iter().map(|auto| loop_report(auto, &name(auto.session), opened.resumes)));
    lines
}

/// That there are copies of a database whose files were gone: a service that starts again by itself has begun a new one.
fn rescue_report(rescued: &[PathBuf]) -> Option<String> {
    let newest = rescued.last()?.display();
    let more = if rescued.len() > 1 { format!(" (and {} more)", rescued.len() - 1) } else { String::new() };
    Some(format!(
        "{newest} holds the sessions of a database that was removed or replaced while it was in use{more}: \
         chatmux --db FILE opens it; remove or rename it when you need it no more"
    ))
}

/// What becomes of a loop that lives since before this start.
fn loop_report(auto: &AutoReply, name: &str, resumes: bool) -> String {
    let (session, text) = (auto.session, one_line(&auto.text, REPORT_CHARS));
    let sent = format!("{} of {} sent", auto.turns, auto.max_turns);
    match (auto.turns, resumes) {
        (0, _) => format!("[{name}] auto-reply ({text}) begins after the next answer there, {sent}: /auto off ends it"),
        (_, true) => format!("[{name}] auto-reply ({text}) goes on, {sent}: /auto off there ends it"),
        (_, false) => {
            format!("[{name}] auto-reply ({text}) pauses, {sent}: /resume {session} goes on, /auto off there ends it")
        }
    }
}
