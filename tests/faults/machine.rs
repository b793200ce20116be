//! The program on a machine with faults, and what there is to see of that.

use std::fmt::Write as _;
use std::path::Path;

use crate::faults::Faults;
use crate::program::{Home, Program};
use crate::server::{Format, Gate, Reply, Server};

/// Bytes of all answers' text on the disk, folded or not.
pub(crate) const ON_DISK: &str = "SELECT (SELECT coalesce(sum(octet_length(text)), 0) FROM messages WHERE role = 'assistant') \
     + (SELECT coalesce(sum(octet_length(c.text)), 0) FROM chunks c JOIN messages m ON m.id = c.message_id \
         WHERE c.id >= m.first_chunk AND c.kind = 'text')";

/// A home whose database is on a faulty disk, and a server.
pub(crate) struct Machine {
    pub(crate) server: Server,
    pub(crate) home: Home,
    pub(crate) faults: Faults,
}

impl Machine {
    pub(crate) fn new(sections: &str) -> Self {
        let server = Server::start();
        let home = Home::configured(&server, Format::OpenAi, "", sections);
        let faults = Faults::new(&home.path(""), &home.database());
        Self { server, home, faults }
    }

    /// The question that holds `part` is answered with these pieces, each when the gate lets it.
    pub(crate) fn gated(&self, part: &str, pieces: &[&str]) -> Gate {
        let gate = Gate::default();
        self.server.on(part, Reply::words(pieces).gate(&gate));
        gate
    }

    /// The program on this machine, with its stdin open.
    pub(crate) fn start(&self, args: &[&str]) -> Program {
        let mut command = self.home.command(args);
        command.envs(self.faults.environment());
        Program::start(command)
    }

    /// Role, text and state of all messages, as a start without faults finds them.
    pub(crate) fn history(&self) -> Vec<(String, String, String)> {
        crate::program::history(&self.home.run(&["--json"], "/history 99\n").code(0).result("history"))
    }

    /// What waits, as the next start has it.
    pub(crate) fn waiting(&self) -> Vec<String> {
        let rows = self.home.query("SELECT text FROM entries WHERE state = 'pending' ORDER BY id");
        rows.into_iter().flatten().collect()
    }
}

/// Notices so far that hold `part`.
pub(crate) fn notices(program: &Program, part: &str) -> usize {
    let holds = |event: &serde_json::Value| event["text"].as_str().is_some_and(|text| text.contains(part));
    program.events().iter().filter(|event| event["event"] == "notice" && holds(event)).count()
}

/// Waits for a notice that holds `part`.
pub(crate) fn wait_notice(program: &Program, part: &str) -> String {
    let holds = |event: &serde_json::Value| event["text"].as_str().is_some_and(|text| text.contains(part));
    let found = program.wait_event(&format!("a notice: {part}"), |e| e["event"] == "notice" && holds(e));
    found["text"].as_str().unwrap().to_owned()
}

/// Waits for the event of this name that an entry has.
pub(crate) fn wait_entry(program: &Program, name: &str, entry: i64) -> serde_json::Value {
    program.wait_event(&format!("{name} of #{entry}"), |e| e["event"] == name && e["entry"] == entry)
}

/// The files in the folder of the database, in order.
pub(crate) fn beside(database: &Path) -> String {
    let mut names: Vec<_> = std::fs::read_dir(database.parent().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names.iter().fold(String::new(), |mut all, name| {
        let _ = write!(all, "{name} ");
        all
    })
}
