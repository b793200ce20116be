//! The one table of slash commands. Parsing, help, completion and hints read it; nothing else lists commands. The rows on the
//! running turn and the queue are in `queue_rows.rs`, those on settings in `settings.rs`.

use std::time::Duration;

use clap::ArgMatches;

use super::kinds::{Command, Scope, SwitchTo, Targets};
use super::queue_rows::{AUTO_REPLY, QUEUE, RUNNING_TURN};
use super::settings::SETTINGS;
use crate::domain::{SessionName, SessionRef};

/// Commands that belong together, under a title in the help.
pub(super) struct Group {
    pub(super) title: &'static str,
    pub(super) commands: &'static [Spec],
}

/// One command: a row of the table.
pub(super) struct Spec {
    /// Without the slash.
    pub(super) name: &'static str,
    /// What it takes, in the order of writing. Words come before a text, and only the last one may repeat.
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
    /// The rest of the line, a key and a value: [`super::SetChange`].
    Setting,
    /// The rest of the line, names of files: [`super::AttachChange`].
    Files,
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

    /// Whether it is the rest of the line.
    pub(super) fn is_text(&self) -> bool {
        matches!(self.kind, Kind::Text | Kind::Setting | Kind::Files)
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

    /// The argument that is the rest of the line.
    pub(super) fn text(&self) -> Option<&'static Arg> {
        self.args.iter().find(|arg| arg.is_text())
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
pub(super) fn get<T: Clone + Send + Sync + 'static>(given: &mut ArgMatches, id: &str) -> Option<T> {
    given.try_remove_one(id).ok().flatten()
}

pub(super) const fn required(id: &'static str, shown: &'static str, kind: Kind) -> Arg {
    Arg { id, shown, kind, arity: Arity::Required }
}

pub(super) const fn optional(id: &'static str, shown: &'static str, kind: Kind) -> Arg {
    Arg { id, shown, kind, arity: Arity::Optional }
}

pub(super) const fn flag(id: &'static str, shown: &'static str, kind: Kind) -> Arg {
    Arg { id, shown, kind, arity: Arity::Flag }
}

const TEXT: Arg = required("text", "TEXT", Kind::Text);
pub(super) const ANY_SESSION: Arg = optional("session", "N", Kind::Session);
pub(super) const ANY_SCOPE: Arg = optional("scope", "N|all", Kind::Scope);
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
        detail: "its messages are kept, and /switch N brings it back; what waits there is held",
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
        name: "detach",
        args: &[],
        help: "leave; the work goes on",
        detail: "what is under way and what waits is answered without a prompt; the next start shows what came, and follows",
        build: |_| Some(Command::Detach),
    },
    Spec {
        name: "help",
        args: &[optional("command", "COMMAND", Kind::Command)],
        help: "show the commands, or more about one",
        detail: "",
        build: |given| Some(Command::Help { command: get(given, "command") }),
    },
];
