//! The one table of slash commands. Parsing, help, completion and hints read it; nothing else lists commands.

use std::time::Duration;

use clap::ArgMatches;

use super::kinds::{
    AutoChange, Command, Place, Requeued, Scope, Subject, SubjectWord, SwitchTo, SystemChange, Targets,
};
use crate::domain::{EntryId, ModelName, SessionName, SessionRef};

/// Commands that belong together, under a title in the help.
pub(super) struct Group {
    pub(super) title: &'static str,
    pub(super) commands: &'static [Spec],
}

/// One command: a row of the table.
pub(super) struct Spec {
    /// Without the slash.
    pub(super) name: &'static str,
    /// What it takes, in the order of writing. Words come before [`Kind::Text`], and only the last one may repeat.
    pub(super) args: &'static [Arg],
    /// One line of help.
    pub(super) help: &'static str,
    /// What `/help COMMAND` adds; may be empty.
    pub(super) detail: &'static str,
    /// Makes the command of the arguments; `None` when one that it cannot do without is not there.
    pub(super) build: fn(&mut ArgMatches) -> Option<Command>,
}

/// One argument.
pub(super) struct Arg {
    /// What [`Spec::build`] asks for, and an option's long name.
    pub(super) id: &'static str,
    /// How the usage writes its value.
    pub(super) shown: &'static str,
    pub(super) kind: Kind,
    pub(super) arity: Arity,
}

/// How often an argument stands there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arity {
    /// Once.
    Required,
    /// Once or not.
    Optional,
    /// Once or more; how often it stands there is in what is shown.
    Many,
    /// The same, or not at all.
    Any,
    /// As `--id VALUE`, or not.
    Flag,
}

/// What an argument means: its type, what its absence is called, and what it completes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A name to be given: [`SessionName`].
    NewName,
    /// `N`: [`SessionRef`].
    Session,
    /// `N|NAME|-`: [`SwitchTo`].
    SwitchTo,
    /// `N|all`: [`Scope`].
    Scope,
    /// `N[,N…]|all`: [`Targets`].
    Targets,
    /// [`ModelName`].
    Model,
    /// A number from 1 on: `u32`.
    Count,
    /// [`Duration`].
    Duration,
    /// `41` or `#41`: [`EntryId`].
    Entry,
    /// `41`, `#41` or `all`: `Option<EntryId>`, `None` for all.
    EntryOrAll,
    /// `N` or `#41`: [`SubjectWord`].
    SessionOrEntry,
    /// `N`, `all` or `#41`: [`SubjectWord`].
    ScopeOrEntry,
    /// `before` or `after`: [`Place`].
    Place,
    /// `high`, `normal` or `low`: [`crate::domain::Priority`].
    Priority,
    /// A word of the person's own: `String`.
    Word,
    /// A command's name, with or without its slash: the table's own `&'static str`.
    Command,
    /// The rest of the line, verbatim: `String`.
    Text,
}

impl Arg {
    pub(super) fn is_flag(&self) -> bool {
        self.arity == Arity::Flag
    }

    pub(super) fn repeats(&self) -> bool {
        matches!(self.arity, Arity::Many | Arity::Any)
    }

    /// Whether `word` may stand there behind `before`, which stands there already: `all`, and a session, stand alone.
    pub(super) fn may_follow(&self, before: &str, word: &str) -> bool {
        let is_entry =
            |word: &str| word.strip_prefix('#').is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
        if self.kind == Kind::EntryOrAll {
            before != "all" && word != "all"
        } else if matches!(self.kind, Kind::SessionOrEntry | Kind::ScopeOrEntry) {
            is_entry(before) && (word.is_empty() || is_entry(word))
        } else {
            self.repeats()
        }
    }

    pub(super) fn is_text(&self) -> bool {
        self.kind == Kind::Text
    }

    pub(super) fn is_required(&self) -> bool {
        matches!(self.arity, Arity::Required | Arity::Many)
    }

    /// The argument as the usage writes it: `N`, `[N]`, `ID…`, `[--timeout DURATION]`.
    pub(super) fn usage(&self) -> String {
        let shown = self.shown;
        match self.arity {
            Arity::Required | Arity::Many => shown.to_owned(),
            Arity::Optional | Arity::Any => format!("[{shown}]"),
            Arity::Flag => format!("[--{} {shown}]", self.id),
        }
    }
}

impl Spec {
    /// The whole command as the help writes it: `/send N[,N…]|all TEXT`.
    pub(super) fn usage(&self) -> String {
        self.args.iter().fold(format!("/{}", self.name), |usage, arg| usage + " " + &arg.usage())
    }

    /// The option that `word` is: `--name` or `--name=value`.
    pub(super) fn flag(&self, word: &str) -> Option<&'static Arg> {
        let name = word.strip_prefix("--")?;
        let name = name.split_once('=').map_or(name, |(name, _)| name);
        self.args.iter().find(|arg| arg.is_flag() && arg.id == name)
    }
}

/// Every command, in the order of the help.
pub(super) fn all() -> impl Iterator<Item = &'static Spec> {
    GROUPS.iter().flat_map(|group| group.commands)
}

/// The command of that name.
pub(super) fn find(name: &str) -> Option<&'static Spec> {
    all().find(|spec| spec.name == name)
}

/// An argument's value. A wrong `T` gives `None`, which the test that parses every command would show.
fn get<T: Clone + Send + Sync + 'static>(given: &mut ArgMatches, id: &str) -> Option<T> {
    given.try_remove_one(id).ok().flatten()
}

const fn required(id: &'static str, shown: &'static str, kind: Kind) -> Arg {
    Arg { id, shown, kind, arity: Arity::Required }
}

const fn optional(id: &'static str, shown: &'static str, kind: Kind) -> Arg {
    Arg { id, shown, kind, arity: Arity::Optional }
}

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

const fn flag(id: &'static str, shown: &'static str, kind: Kind) -> Arg {
    Arg { id, shown, kind, arity: Arity::Flag }
}

const TEXT: Arg = required("text", "TEXT", Kind::Text);
const ANY_SESSION: Arg = optional("session", "N", Kind::Session);
const ANY_SCOPE: Arg = optional("scope", "N|all", Kind::Scope);
const ENTRY: Arg = required("entry", "ID", Kind::Entry);
const A_DURATION: &str = "a DURATION is a number and a unit: 800ms, 1.5s, 2m, 1h";

/// The table.
pub(super) static GROUPS: &[Group] = &[
    Group { title: "sessions", commands: SESSIONS },
    Group { title: "messages", commands: MESSAGES },
    Group { title: "running turn", commands: RUNNING_TURN },
    Group { title: "queue", commands: QUEUE },
    Group { title: "auto-reply", commands: AUTO_REPLY },
    Group { title: "looking", commands: LOOKING },
    Group { title: "settings", commands: SETTINGS },
    Group { title: "scripts", commands: SCRIPTS },
    Group { title: "leaving", commands: LEAVING },
];

static SESSIONS: &[Spec] = &[
    Spec {
        name: "new",
        args: &[optional("name", "NAME", Kind::NewName)],
        help: "make a session and go there",
        detail: "a name has no blanks and is not all digits; without one it gets a name of its own",
        build: |given| Some(Command::New { name: get(given, "name") }),
    },
    Spec {
        name: "switch",
        args: &[required("to", "N|NAME|-", Kind::SwitchTo)],
        help: "go to another session and see what was missed (or /2)",
        detail: "- goes back to the session before this one; what stands in the line stays behind as a draft",
        build: |given| Some(Command::Switch { to: get::<SwitchTo>(given, "to")? }),
    },
    Spec { name: "sessions", args: &[], help: "list the sessions", detail: "", build: |_| Some(Command::Sessions) },
    Spec {
        name: "rename",
        args: &[required("name", "NAME", Kind::NewName)],
        help: "rename this session",
        detail: "a name has no blanks and is not all digits",
        build: |given| Some(Command::Rename { name: get::<SessionName>(given, "name")? }),
    },
    Spec {
        name: "close",
        args: &[ANY_SESSION],
        help: "archive a session: this one, or N",
        detail: "its messages are kept",
        build: |given| Some(Command::Close { session: get(given, "session") }),
    },
    Spec {
        name: "delete",
        args: &[required("session", "N", Kind::Session)],
        help: "delete a session and all its messages, for good",
        detail: "/close keeps them",
        build: |given| Some(Command::Delete { session: get::<SessionRef>(given, "session")? }),
    },
];

static MESSAGES: &[Spec] = &[
    Spec {
        name: "send",
        args: &[required("to", "N[,N…]|all", Kind::Targets), TEXT],
        help: "send to other sessions, without going there",
        detail: "/send 2,docs what is new? asks sessions 2 and docs; a script does not wait for the answers",
        build: |given| Some(Command::Send { to: get::<Targets>(given, "to")?, text: get(given, "text")? }),
    },
    Spec {
        name: "bg",
        args: &[TEXT],
        help: "send here, without waiting for the answer",
        detail: "makes a difference in a script, where a message waits for its answer",
        build: |given| Some(Command::Bg { text: get(given, "text")? }),
    },
    Spec {
        name: "now",
        args: &[TEXT],
        help: "send here, before all else that waits (priority high)",
        detail: "a running low answer is interrupted for it; what came of that is kept",
        build: |given| Some(Command::Now { text: get(given, "text")? }),
    },
    Spec {
        name: "later",
        args: &[TEXT],
        help: "send here, after all else that waits (priority low)",
        detail: "",
        build: |given| Some(Command::Later { text: get(given, "text")? }),
    },
];

static RUNNING_TURN: &[Spec] = &[
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
        name: "retry",
        args: &[],
        help: "ask the last question again",
        detail: "what waits for its next attempt is tried now; what failed is queued again; else the question is sent once more",
        build: |_| Some(Command::Retry),
    },
];

static QUEUE: &[Spec] = &[
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

static AUTO_REPLY: &[Spec] = &[Spec {
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

static LOOKING: &[Spec] = &[
    Spec {
        name: "history",
        args: &[optional("count", "COUNT", Kind::Count)],
        help: "show the last messages of this session",
        detail: "/history 5 shows the last five",
        build: |given| Some(Command::History { count: get(given, "count") }),
    },
    Spec {
        name: "replay",
        args: &[],
        help: "show this session's output again, all of it",
        detail: "",
        build: |_| Some(Command::Replay),
    },
    Spec {
        name: "stats",
        args: &[ANY_SCOPE],
        help: "show counts, times and tokens, here or of all",
        detail: "p50: half of them were not longer; p95: 95 of 100; wait: until the first start; first: until the first word",
        build: |given| Some(Command::Stats { scope: get(given, "scope") }),
    },
];

static SETTINGS: &[Spec] = &[
    Spec {
        name: "model",
        args: &[optional("name", "NAME", Kind::Model)],
        help: "show or set this session's model",
        detail: "a NAME is PROVIDER:MODEL, or PROVIDER for its default model, such as demo:tour",
        build: |given| Some(Command::Model { name: get::<ModelName>(given, "name") }),
    },
    Spec {
        name: "system",
        args: &[optional("text", "TEXT", Kind::Text)],
        help: "show or set this session's system prompt",
        detail: "/system - clears it",
        build: |given| {
            let change = match get::<String>(given, "text") {
                None => SystemChange::Show,
                Some(text) if text.trim() == "-" => SystemChange::Clear,
                Some(text) => SystemChange::Set(text),
            };
            Some(Command::System { change })
        },
    },
];

static SCRIPTS: &[Spec] = &[
    Spec {
        name: "wait",
        args: &[ANY_SCOPE, flag("timeout", "DURATION", Kind::Duration)],
        help: "wait until nothing is left to answer",
        detail: A_DURATION,
        build: |given| {
            Some(Command::Wait { scope: get::<Scope>(given, "scope"), timeout: get::<Duration>(given, "timeout") })
        },
    },
    Spec {
        name: "sleep",
        args: &[required("length", "DURATION", Kind::Duration)],
        help: "wait that long",
        detail: A_DURATION,
        build: |given| Some(Command::Sleep { length: get(given, "length")? }),
    },
    Spec {
        name: "echo",
        args: &[TEXT],
        help: "print a text",
        detail: "",
        build: |given| Some(Command::Echo { text: get(given, "text")? }),
    },
];

static LEAVING: &[Spec] = &[
    Spec {
        name: "quit",
        args: &[],
        help: "stop now and keep all",
        detail: "what came of a running answer is kept, and what waits is there at the next start",
        build: |_| Some(Command::Quit),
    },
    Spec {
        name: "help",
        args: &[optional("command", "COMMAND", Kind::Command)],
        help: "show the commands, or more about one",
        detail: "",
        build: |given| Some(Command::Help { command: get(given, "command") }),
    },
];
