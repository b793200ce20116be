//! `chatmux ask`: one question, the answer on stdout. It is a script of one line, without the line's number. A question without
//! `--session` gets a session of its own, archived from the start: the conversation is kept and can be opened, and
//! `/sessions` does not fill up.

use std::io::{self, IsTerminal, Read};

use tokio::sync::mpsc;

use super::exit::Failed;
use super::open::{self, Opened, Purpose};
use super::report;
use super::script::Play;
use crate::cli::args::Args;
use crate::config::{Config, Places};
use crate::domain::attachment::with_context;
use crate::domain::limits::MAX_MESSAGE_BYTES;
use crate::domain::text::from_file;
use crate::script::lines::ScriptLine;
use crate::store::{CloseSession, CreateSession, Gates, LastChange};

pub(super) fn run(args: &Args, config: &Config, places: &Places, words: &[String]) -> Result<u8, Failed> {
    let question = question(words)?;
    let opened = if args.session.is_some() {
        open::open(args, config, places, Purpose::Visit)?
    } else {
        fresh(args, config, places)?
    };
    let (sender, input) = mpsc::channel(1);
    // A question that begins with a slash is a question all the same.
    let line = if question.starts_with('/') { format!("/{question}") } else { question };
    sender.try_send(ScriptLine { number: 1, line: Ok(line) }).map_err(anyhow::Error::new)?;
    drop(sender);
    // What waits elsewhere is no business of this question's, nor worth a word at each; what this start repaired is said once.
    // One question is asked, whatever loop would go on from its answer.
    let opened = Opened { pending: Vec::new(), auto_replies: Vec::new(), ..opened };
    let notices = report::recovery_report(&opened);
    let play = Play { json: args.json, fail_fast: false, numbered: false, notices };
    play.run(args, opened, config, input)
}

/// A database with a session for this question alone.
fn fresh(args: &Args, config: &Config, places: &Places) -> Result<Opened, Failed> {
    let now = open::CLOCK.now();
    let (store, opening) = open::open_store(args, places, now)?;
    if opening.created {
        // The first session of a database is the prompt's own.
        store.write_blocking(CreateSession { name: None, model: config.model.clone(), system: String::new(), now })?;
    }
    let create = CreateSession { name: None, model: config.model.clone(), system: String::new(), now };
    let active = store.write_blocking(create)?;
    // Not waited for: it goes into one commit with the question.
    drop(store.submit(CloseSession { session: active.id, now }));
    let sessions = vec![active.clone()];
    let gates = store.read_blocking(Gates)?;
    let watch = open::watch(config, &opening, store.read_blocking(LastChange)?);
    let (elsewhere, ends, pending, auto_replies) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (resumes, released, first, rescued) = (false, Vec::new(), true, Vec::new());
    Ok(Opened {
        store,
        opening,
        sessions,
        ends,
        pending,
        elsewhere,
        watch,
        auto_replies,
        resumes,
        released,
        gates,
        active,
        first,
        rescued,
    })
}

/// The words, and what was piped in before them as context.
fn question(words: &[String]) -> Result<String, Failed> {
    let asked = from_file(words.join(" "));
    let mut stdin = io::stdin();
    let piped = if stdin.is_terminal() {
        String::new()
    } else {
        let mut bytes = Vec::new();
        let limit = MAX_MESSAGE_BYTES as u64 + 1;
        let read = stdin.by_ref().take(limit).read_to_end(&mut bytes);
        // No stdin at all (closed) is nothing piped in.
        if read.is_err() {
            bytes.clear();
        }
        String::from_utf8(bytes).map(from_file).map_err(|error| {
            let at = error.utf8_error().valid_up_to() + 1;
            Failed::Usage(format!("what was piped in is not UTF-8 (byte {at}): ask takes text only"))
        })?
    };
    match (asked.trim().is_empty(), piped.trim().is_empty()) {
        (true, true) => Err(Failed::Usage("there is no question: chatmux ask TEXT, or pipe one in".to_owned())),
        (true, false) => Ok(piped),
        (false, true) => Ok(asked),
        (false, false) => Ok(with_context(&piped, &asked)),
    }
}
