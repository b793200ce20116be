//! The rows of the table on the running turn, the queue and the auto-reply.

use std::time::Duration;

use clap::ArgMatches;

use super::kinds::{AutoChange, Command, Place, Requeued, Subject, SubjectWord};
use super::table::{ANY_SCOPE, ANY_SESSION, Arg, Arity, Kind, Spec, flag, get, optional, required};
use crate::domain::EntryId;

const ENTRY: Arg = required("entry", "ID", Kind::Entry);

pub(super) static RUNNING_TURN: &[Spec] = &[
    Spec {
        name: "cancel",
        args: &[ANY_SESSION],
        help: "end the answer, keep what came, go on with the queue",
        detail: "",
        build: |given| Some(Command::Cancel { session: get(given, "session") }),
    },
    Spec {
        name: "stop",
        args: &[ANY_SCOPE],
        help: "end the answer and an auto-reply loop, hold the queue",
        detail: "what came is kept; /resume goes on with the queue",
        build: |given| Some(Command::Stop { scope: get(given, "scope") }),
    },
    Spec {
        name: "continue",
        args: &[],
        help: "go on from the last answer where it was cut",
        detail: "the model gets what came of it as the beginning of its answer; /retry asks from the start",
        build: |_| Some(Command::Continue),
    },
    Spec {
        name: "retry",
        args: &[],
        help: "ask the last question again",
        detail: "what waits for its next attempt is tried now; what failed is queued again; else the question is sent once more",
        build: |_| Some(Command::Retry),
    },
    Spec {
        name: "undo",
        args: &[],
        help: "take back the last message and its answer",
        detail: "it is in the line again; one that waits leaves the queue, one that was answered leaves the conversation, with what an auto-reply \
                 loop sent behind it, and the loop ends; nothing is deleted; once more goes further back",
        build: |_| Some(Command::Undo),
    },
    Spec {
        name: "edit",
        args: &[],
        help: "change the last message in $EDITOR",
        detail: "$VISUAL comes first; one that waits keeps its place, one that was answered is taken back, as /undo does, and is sent anew",
        build: |_| Some(Command::Edit),
    },
];

pub(super) static QUEUE: &[Spec] = &[
    Spec {
        name: "queue",
        args: &[ANY_SCOPE],
        help: "show what waits, runs and failed",
        detail: "each with its number, which the commands below take: 41 or #41",
        build: |given| Some(Command::Queue { scope: get(given, "scope") }),
    },
    Spec {
        name: "drop",
        args: &[Arg { id: "entries", shown: "ID…", kind: Kind::Entry, arity: Arity::Many }],
        help: "take entries out of the queue, dead ones too",
        detail: "an ID is what the acknowledgement says: 41 or #41; /queue shows them",
        build: |given| {
            let entries = each_once(get_all(given, "entries"));
            (!entries.is_empty()).then_some(Command::Drop { entries })
        },
    },
    Spec {
        name: "move",
        args: &[
            ENTRY,
            required("place", "before|after", Kind::Place),
            Arg { id: "beside", shown: "ID", kind: Kind::Entry, arity: Arity::Required },
        ],
        help: "put an entry before or after another of its session",
        detail: "it takes on the other's priority",
        build: |given| {
            let (entry, place) = (get::<EntryId>(given, "entry")?, get::<Place>(given, "place")?);
            Some(Command::Move { entry, place, beside: get::<EntryId>(given, "beside")? })
        },
    },
    Spec {
        name: "priority",
        args: &[ENTRY, required("priority", "high|normal|low", Kind::Priority)],
        help: "give an entry that waits another priority",
        detail: "within one priority the order stays that of arrival, or of /move",
        build: |given| {
            Some(Command::Priority { entry: get::<EntryId>(given, "entry")?, priority: get(given, "priority")? })
        },
    },
    Spec {
        name: "hold",
        args: &[Arg { id: "subject", shown: "N|#ID…", kind: Kind::SessionOrEntry, arity: Arity::Any }],
        help: "start nothing more from a queue until /resume",
        detail: "the running answer goes on; /stop ends it as well; /hold #41 #42 holds these alone",
        build: |given| Some(Command::Hold { what: subject(given) }),
    },
    Spec {
        name: "resume",
        args: &[Arg { id: "subject", shown: "N|all|#ID…", kind: Kind::ScopeOrEntry, arity: Arity::Any }],
        help: "go on with what is held",
        detail: "/resume #41 lets that one go; a provider that asked to wait is tried with one message",
        build: |given| Some(Command::Resume { what: subject(given) }),
    },
    Spec {
        name: "dead",
        args: &[ANY_SCOPE],
        help: "show what failed for good, and why",
        detail: "/requeue sends it again, /drop forgets it",
        build: |given| Some(Command::Dead { scope: get(given, "scope") }),
    },
    Spec {
        name: "requeue",
        args: &[Arg { id: "entries", shown: "ID…|all", kind: Kind::EntryOrAll, arity: Arity::Many }],
        help: "send again what failed, or all of it",
        detail: "it stands at the end of its queue, with all its attempts",
        build: |given| {
            let named: Vec<Option<EntryId>> = get_all(given, "entries");
            let entries: Option<Vec<EntryId>> = named.into_iter().collect();
            match entries {
                None => Some(Command::Requeue { which: Requeued::All }),
                Some(entries) if entries.is_empty() => None,
                Some(entries) => Some(Command::Requeue { which: Requeued::These(each_once(entries)) }),
            }
        },
    },
];

pub(super) static AUTO_REPLY: &[Spec] = &[Spec {
    name: "auto",
    args: &[
        flag("max", "N", Kind::Count),
        flag("until", "WORD", Kind::Word),
        flag("for", "DURATION", Kind::Duration),
        optional("text", "TEXT|off", Kind::Text),
    ],
    help: "after each answer send TEXT, as /later does; off ends it",
    detail: "alone it says how it stands; it ends after N answers, with an answer that has the WORD, after the DURATION, when an answer repeats itself, \
             and with /stop; without the options the configuration says",
    build: |given| {
        let (max_turns, until) = (get::<u32>(given, "max"), get::<String>(given, "until"));
        let max_time = get::<Duration>(given, "for");
        let free = max_turns.is_none() && until.is_none() && max_time.is_none();
        let change = match get::<String>(given, "text") {
            None if free => AutoChange::Show,
            None => return None,
            Some(text) if free && text.trim() == "off" => AutoChange::Off,
            Some(text) => AutoChange::Begin { text, max_turns, until, max_time },
        };
        Some(Command::Auto { change })
    },
}];

/// The values of an argument that repeats; none where it is not there.
fn get_all<T: Clone + Send + Sync + 'static>(given: &mut ArgMatches, id: &str) -> Vec<T> {
    given.try_remove_many(id).ok().flatten().map(Iterator::collect).unwrap_or_default()
}

/// Each once, in the order of naming.
fn each_once(mut entries: Vec<EntryId>) -> Vec<EntryId> {
    let mut named = std::collections::BTreeSet::new();
    entries.retain(|entry| named.insert(*entry));
    entries
}

/// What `/hold` and `/resume` name. That a session stands alone is [`Arg::may_follow`]'s.
fn subject(given: &mut ArgMatches) -> Subject {
    let mut entries = Vec::new();
    for word in get_all::<SubjectWord>(given, "subject") {
        match word {
            SubjectWord::Entry(entry) => entries.push(entry),
            SubjectWord::Scope(scope) => return Subject::Sessions(Some(scope)),
        }
    }
    if entries.is_empty() { Subject::Sessions(None) } else { Subject::Entries(each_once(entries)) }
}
