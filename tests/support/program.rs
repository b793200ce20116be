//! The real binary, for tests: in a home of its own with nothing of the caller's environment, its output caught as it comes.
//!
//! Every wait is for something that must happen and ends with the output in the message when it does not; no test sleeps.
#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    unused_imports,
    clippy::unwrap_used,
    reason = "shared by several test crates, each of which uses a part"
)]

#[path = "outcome.rs"]
mod outcome;

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::server::{Format, Server};
use outcome::events;
pub use outcome::{Outcome, history, text_of, turns};

/// How long a test waits for something that must happen; only a failing test ever waits so long.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks at what tells nobody that it changed (a process's end, a database).
const LOOK: Duration = Duration::from_millis(5);
/// What `LOCAL_KEY` holds.
pub const KEY: &str = "sk-e2e-0123456789abcdef";
/// Retries that a test need not wait for.
const QUICK_RETRIES: &str = "[retry]\ninitial_delay = \"10ms\"\njitter = 0.0\n";

/// A user's home: configuration, database, log.
#[derive(Debug)]
pub struct Home(Arc<tempfile::TempDir>);

impl Home {
    /// A fresh one: nothing is configured.
    pub fn fresh() -> Self {
        Self(Arc::new(tempfile::tempdir().unwrap()))
    }

    /// One where everything is answered by `demo:echo`, without a pause.
    pub fn echo() -> Self {
        let home = Self::fresh();
        home.configure("model = \"demo:echo\"\n");
        home
    }

    /// One where `server` answers, as the model `local:m`.
    pub fn serving(server: &Server, format: Format) -> Self {
        Self::configured(server, format, "", "")
    }

    /// The same, with more lines in the provider's section, and with more sections.
    pub fn configured(server: &Server, format: Format, provider: &str, sections: &str) -> Self {
        let home = Self::fresh();
        let retries = if sections.contains("[retry]") { "" } else { QUICK_RETRIES };
        let section = provider_section("local", server, format);
        home.configure(&format!("model = \"local:m\"\n{section}{provider}\n{retries}{sections}"));
        home
    }

    /// Writes the configuration.
    pub fn configure(&self, text: &str) {
        let path = self.path("config/chatmux/config.toml");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        // Under any umask: a file that others may write is not trusted.
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    }

    pub fn path(&self, below: impl AsRef<Path>) -> PathBuf {
        self.0.path().join(below)
    }

    pub fn database(&self) -> PathBuf {
        self.path("data/chatmux/chatmux.db")
    }

    /// The program with these arguments and an environment that holds nothing but this home.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chatmux"));
        command.args(args).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.path("")).env("LOCAL_KEY", KEY).current_dir(self.path(""));
        for (name, folder) in [("CONFIG", "config"), ("DATA", "data"), ("STATE", "state"), ("CACHE", "cache")] {
            command.env(format!("XDG_{name}_HOME"), self.path(folder));
        }
        command
    }

    /// Runs to the end with this on stdin.
    pub fn run(&self, args: &[&str], input: impl AsRef<[u8]>) -> Outcome {
        self.start(args).fed(input.as_ref())
    }

    /// Starts with stdin open.
    pub fn start(&self, args: &[&str]) -> Program {
        let mut program = Program::start(self.command(args));
        program.home = Some(Arc::clone(&self.0));
        program
    }

    /// What one query says of the database, as text, row by row and column by column.
    pub fn query(&self, sql: &str) -> Vec<Vec<String>> {
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE;
        let connection = rusqlite::Connection::open_with_flags(self.database(), flags).unwrap();
        connection.busy_timeout(PATIENCE).unwrap();
        let mut statement = connection.prepare(sql).unwrap();
        let columns = statement.column_count();
        let text = |value: rusqlite::types::ValueRef<'_>| match value {
            rusqlite::types::ValueRef::Integer(number) => number.to_string(),
            other => other.as_str_or_null().unwrap().unwrap_or_default().to_owned(),
        };
        let rows = statement.query_map([], |row| Ok((0..columns).map(|n| text(row.get_ref(n).unwrap())).collect()));
        rows.unwrap().map(Result::unwrap).collect()
    }

    /// Waits until a query of one value says so.
    pub fn wait_query(&self, sql: &str, expected: &str) {
        let began = Instant::now();
        while self.query(sql) != [[expected.to_owned()]] {
            let found = || self.query(sql);
            assert!(began.elapsed() < PATIENCE, "waited in vain for {expected:?} of {sql}: {:?}", found());
            std::thread::sleep(LOOK);
        }
    }

    /// The database is sound.
    pub fn assert_sound(&self) {
        assert_eq!(self.query("PRAGMA integrity_check"), [["ok"]]);
        assert_eq!(self.query("PRAGMA foreign_key_check"), Vec::<Vec<String>>::new());
    }
}

/// `[providers.NAME]` for `server`.
pub fn provider_section(name: &str, server: &Server, format: Format) -> String {
    let kind = match format {
        Format::OpenAi => "openai",
        Format::Anthropic => "anthropic",
        Format::Gemini => "gemini",
        Format::Ollama => "ollama",
    };
    let base_url = server.base_url(format);
    format!(
        "[providers.{name}]\nkind = \"{kind}\"\nbase_url = \"{base_url}\"\napi_key_env = \"LOCAL_KEY\"\nmodel = \"m\"\n"
    )
}

/// What came out so far.
#[derive(Debug, Default)]
struct Caught {
    out: Vec<u8>,
    err: Vec<u8>,
    /// How much of stdout had come when.
    when: Vec<(usize, Instant)>,
    ended: usize,
}

#[derive(Debug, Default)]
struct Shared {
    caught: Mutex<Caught>,
    changed: Condvar,
}

/// The program while it runs. Killed when it is dropped.
#[derive(Debug)]
pub struct Program {
    child: Child,
    stdin: Option<ChildStdin>,
    shared: Arc<Shared>,
    /// It stays as long as somebody lives there.
    home: Option<Arc<tempfile::TempDir>>,
}

impl Program {
    pub fn start(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let shared = Arc::<Shared>::default();
        catch(child.stdout.take().unwrap(), &shared, |caught, block| {
            caught.out.extend_from_slice(block);
            caught.when.push((caught.out.len(), Instant::now()));
        });
        catch(child.stderr.take().unwrap(), &shared, |caught, block| caught.err.extend_from_slice(block));
        Self { stdin: child.stdin.take(), child, shared, home: None }
    }

    /// Types a line.
    pub fn send(&mut self, line: &str) {
        self.stdin.as_mut().unwrap().write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    /// Types a line; one that has ended does not read it.
    pub fn mutter(&mut self, line: &str) {
        let _ = self.stdin.as_mut().unwrap().write_all(format!("{line}\n").as_bytes());
    }

    /// Closes stdin.
    pub fn hang_up(&mut self) {
        drop(self.stdin.take());
    }

    /// It has not ended.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Types all this and ends.
    fn fed(mut self, input: &[u8]) -> Outcome {
        let mut stdin = self.stdin.take().unwrap();
        let input = input.to_vec();
        // A thread of its own, because a program that does not read must not stop the test. One that ended has read enough.
        let writer = std::thread::spawn(move || _ = stdin.write_all(&input));
        let outcome = self.end();
        writer.join().unwrap();
        outcome
    }

    /// Closes stdin and waits for the end.
    pub fn finish(mut self) -> Outcome {
        self.hang_up();
        self.end()
    }

    /// Waits for the end; stdin stays as it is.
    pub fn end(self) -> Outcome {
        self.end_with_lines().0
    }

    /// The same, and the whole lines on stdout with when each had come.
    pub fn end_with_lines(mut self) -> (Outcome, Vec<(Instant, String)>) {
        self.wait("the end of the output", |caught| (caught.ended == 2).then_some(()));
        let began = Instant::now();
        let status = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status,
                None if began.elapsed() > PATIENCE => self.fail("the program's end"),
                None => std::thread::sleep(LOOK),
            }
        };
        let lines = self.lines_when();
        let caught = self.shared.caught.lock().unwrap();
        // What is killed may have written half a character.
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (Outcome { status, out: text(&caught.out), err: text(&caught.err) }, lines)
    }

    /// `kill -9`, and its end.
    pub fn kill(mut self) -> Outcome {
        self.child.kill().unwrap();
        self.end()
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }

    /// Waits until stdout holds `text`.
    pub fn wait_out(&self, text: &str) {
        self.wait(&format!("{text:?} on stdout"), |caught| contains(&caught.out, text).then_some(()));
    }

    /// Waits until stderr holds `text`.
    pub fn wait_err(&self, text: &str) {
        self.wait(&format!("{text:?} on stderr"), |caught| contains(&caught.err, text).then_some(()));
    }

    /// What is on stderr so far.
    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.shared.caught.lock().unwrap().err).into_owned()
    }

    /// The lines on stdout so far, each with when it had come.
    pub fn lines_when(&self) -> Vec<(Instant, String)> {
        let caught = self.shared.caught.lock().unwrap();
        let mut blocks = caught.when.iter().peekable();
        let (mut at, mut lines) = (0, Vec::new());
        for line in caught.out.split_inclusive(|&byte| byte == b'\n').filter(|line| line.ends_with(b"\n")) {
            at += line.len();
            while blocks.next_if(|(upto, _)| *upto < at).is_some() {}
            let (_, when) = blocks.peek().unwrap();
            lines.push((*when, String::from_utf8(line.to_vec()).unwrap()));
        }
        lines
    }

    /// Bytes on stdout so far.
    pub fn out_bytes(&self) -> usize {
        self.shared.caught.lock().unwrap().out.len()
    }

    /// What is on stdout so far.
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.shared.caught.lock().unwrap().out).into_owned()
    }

    /// The events so far (`--json`).
    pub fn events(&self) -> Vec<Value> {
        events(&self.shared.caught.lock().unwrap().out)
    }

    /// Waits for the first event that `wanted` accepts.
    pub fn wait_event(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        self.wait(what, |caught| events(&caught.out).into_iter().find(|event| wanted(event)))
    }

    /// Waits until stdout holds `text`, or the program has ended without it.
    pub fn says_before_its_end(&self, text: &str) -> bool {
        let holds = |caught: &Caught| contains(&caught.out, text);
        self.wait(&format!("{text:?} on stdout, or the end"), |caught| {
            (caught.ended == 2 || holds(caught)).then(|| holds(caught))
        })
    }

    /// Waits for an event of this name in this session.
    pub fn wait_in(&self, session: i64, name: &str) -> Value {
        self.wait_event(&format!("{name} in {session}"), |e| e["event"] == name && e["session"] == session)
    }

    /// Waits until the answer of this entry has come so far.
    pub fn wait_text(&self, entry: i64, text: &str) {
        self.wait(&format!("{text:?} of #{entry}"), |caught| {
            (text_of(&events(&caught.out), entry, "text") == text).then_some(())
        });
    }

    fn wait<T>(&self, what: &str, found: impl Fn(&Caught) -> Option<T>) -> T {
        let began = Instant::now();
        let mut caught = self.shared.caught.lock().unwrap();
        loop {
            if let Some(found) = found(&caught) {
                return found;
            }
            let left = PATIENCE.saturating_sub(began.elapsed());
            if left.is_zero() || caught.ended == 2 {
                drop(caught);
                self.fail(what);
            }
            caught = self.shared.changed.wait_timeout(caught, left).unwrap().0;
        }
    }

    fn fail(&self, what: &str) -> ! {
        let caught = self.shared.caught.lock().unwrap();
        let mut said = format!("waited in vain for {what}");
        for (name, bytes) in [("stdout", &caught.out), ("stderr", &caught.err)] {
            let _ = write!(said, "\n--- {name}\n{}", String::from_utf8_lossy(bytes));
        }
        drop(caught);
        panic!("{said}");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

fn catch(mut from: impl Read + Send + 'static, shared: &Arc<Shared>, take: fn(&mut Caught, &[u8])) {
    let shared = Arc::clone(shared);
    std::thread::spawn(move || {
        let mut block = vec![0; 64 << 10];
        while let Ok(n @ 1..) = from.read(&mut block) {
            take(&mut shared.caught.lock().unwrap(), &block[..n]);
            shared.changed.notify_all();
        }
        shared.caught.lock().unwrap().ended += 1;
        shared.changed.notify_all();
    });
}
