//! The terminal in a real pty. This test binary runs itself as the child: a small program over `ui::start` that answers lines
//! with frames. The parent types, and waits for what an emulated screen shows; it never waits for a guess of time.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use chatmux::domain::{Activity, AnswerState, Frame, PromptState, SessionId, Show, Usage};
use chatmux::ui::{self, Complete, Next, Options, Read, Reasoning, Wish};
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use tokio::sync::mpsc::Sender;

/// Set in the child.
const CHILD: &str = "CHATMUX_TEST_TERMINAL_CHILD";
/// Where the shell of a test finds this binary.
const COMMAND: &str = "CHATMUX_TEST_TERMINAL_COMMAND";
/// A screen that has not shown what it should by then never will.
const DEADLINE: Duration = Duration::from_secs(30);

// ---- the child ----

struct Commands;

impl Complete for Commands {
    fn complete(&self, line: &str, _: usize) -> (usize, Vec<(String, String)>) {
        let all = ["/alpha", "/alps", "/beta"];
        (0, all.iter().filter(|c| c.starts_with(line)).map(|c| ((*c).to_owned(), (*c).to_owned())).collect())
    }

    fn hint(&self, line: &str) -> Option<String> {
        (line == "/beta").then(|| " NAME".to_owned())
    }
}

fn name(session: i64) -> chatmux::domain::SessionName {
    if session == 1 { "main".parse().unwrap() } else { format!("s{session}").parse().unwrap() }
}

fn prompt(session: i64, activity: &[(i64, Activity)]) -> PromptState {
    let activity = activity.iter().map(|(id, what)| (SessionId(*id), *what)).collect();
    PromptState { session: SessionId(session), name: name(session), streaming: false, activity }
}

struct App {
    /// To the thread that merges, as the coordinator does: whoever reads lines never waits for the screen.
    shows: std::sync::mpsc::Sender<Frame>,
    frames: Sender<Frame>,
    session: i64,
}

fn merge(shows: &Receiver<Frame>, frames: &Sender<Frame>) {
    while let Ok(mut frame) = shows.recv() {
        while let Ok(more) = shows.try_recv() {
            frame.shows.extend(more.shows);
            frame.prompt = more.prompt;
        }
        if frames.blocking_send(frame).is_err() {
            return;
        }
    }
}

impl App {
    fn show(&self, shows: Vec<Show>) {
        self.shows.send(Frame { shows, prompt: prompt(self.session, &[]) }).unwrap();
    }

    fn answer(&self, line: &str) {
        let question = Show::Question { session: SessionId(self.session), name: name(self.session), text: line.into() };
        let end = Show::End { state: AnswerState::Complete, usage: Usage::default(), error: None };
        match line.split_once(' ') {
            Some(("stream", count)) => {
                let (frames, at, count) = (self.frames.clone(), self.session, count.parse::<u32>().unwrap());
                self.show(vec![question]);
                // The printer takes a frame at a time: that paces the stream.
                std::thread::spawn(move || {
                    let send = |show| frames.blocking_send(Frame { shows: vec![show], prompt: prompt(at, &[]) });
                    for n in 0..count {
                        if send(Show::Text(format!("word{n} "))).is_err() {
                            return;
                        }
                    }
                    let _ = send(end);
                });
            }
            Some(("activity", n)) => {
                let elsewhere = prompt(self.session, &[(n.parse().unwrap(), Activity::Failed)]);
                self.shows.send(Frame { shows: vec![], prompt: elsewhere }).unwrap();
            }
            _ => self.show(vec![question, Show::Text(format!("you said {line:?}")), end]),
        }
    }
}

fn child() {
    let options = Options {
        color: false,
        vi: false,
        reasoning: Reasoning::Dim,
        complete: Box::new(Commands),
        prompt: prompt(1, &[]),
    };
    let ui::Terminal { frames, next, mut reads, exit } = ui::start(options).unwrap();
    let (shows, shows_in) = std::sync::mpsc::channel();
    let merged = frames.clone();
    std::thread::spawn(move || merge(&shows_in, &merged));
    let mut app = App { shows, frames, session: 1 };
    let mut drafts: BTreeMap<i64, String> = BTreeMap::new();
    let mut initial = String::new();
    loop {
        let line = Next { prompt: prompt(app.session, &[]), initial: std::mem::take(&mut initial) };
        next.blocking_send(line).unwrap();
        match reads.blocking_recv() {
            Some(Read::Line(line)) if line == "panic" => panic!("as asked"),
            Some(Read::Line(line)) => app.answer(&line),
            Some(Read::Key { wish: Wish::Switch(n), draft }) => {
                drafts.insert(app.session, draft);
                app.session = n.into();
                initial = drafts.remove(&app.session).unwrap_or_default();
                let (session, name) = (SessionId(app.session), name(app.session));
                app.show(vec![Show::Switched { session, name, unread: false, cut_bytes: 0 }]);
            }
            Some(Read::Key { wish, draft }) => {
                app.show(vec![Show::Notice(format!("{wish:?} {draft:?}"))]);
                initial = draft;
            }
            Some(Read::Interrupted { line }) => app.show(vec![Show::Notice(format!("interrupted {line:?}"))]),
            Some(Read::Eof) | None => break,
            Some(Read::Failed(why)) => panic!("{why}"),
        }
    }
    app.show(vec![Show::Notice("bye".into())]);
    drop((app, next));
    exit.finish();
}

/// Not a test of its own: what the others run in a pty.
#[test]
fn as_child() {
    if std::env::var_os(CHILD).is_some() {
        child();
    }
}

// ---- the parent ----

struct Pty {
    master: Box<dyn MasterPty + Send>,
    child: Box<dyn Child + Send + Sync>,
    keys: Box<dyn std::io::Write + Send>,
    bytes: Receiver<Vec<u8>>,
    screen: vt100::Parser,
    modes_before: String,
    columns: u16,
}

impl Pty {
    fn start(columns: u16) -> Self {
        let size = PtySize { rows: 24, cols: columns, pixel_width: 0, pixel_height: 0 };
        let mut command = CommandBuilder::new(std::env::current_exe().unwrap());
        command.args(["--exact", "as_child", "--nocapture", "--test-threads=1", "--quiet"]);
        let mut pty = Self::spawn(size, command);
        pty.wait("1:main>", |rows| rows.last().is_some_and(|row| row == "1:main>"));
        pty
    }

    fn spawn(size: PtySize, mut command: CommandBuilder) -> Self {
        let pair = native_pty_system().openpty(size).unwrap();
        let modes_before = format!("{:?}", pair.master.get_termios());
        command.env(CHILD, "1");
        if command.get_env("TERM").is_none_or(|term| term != "dumb") {
            command.env("TERM", "xterm-256color");
        }
        command.env_remove("TERM_PROGRAM");
        command.env_remove("RUST_BACKTRACE");
        let child = pair.slave.spawn_command(command).unwrap();
        let (sender, bytes) = sync_channel(64);
        let mut output = pair.master.try_clone_reader().unwrap();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(n @ 1..) = output.read(&mut buffer) {
                if sender.send(buffer[..n].to_vec()).is_err() {
                    return;
                }
            }
        });
        let keys = pair.master.take_writer().unwrap();
        let screen = vt100::Parser::new(24, size.cols, 10_000);
        Self { master: pair.master, child, keys, bytes, screen, modes_before, columns: size.cols }
    }

    fn type_keys(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    /// The rows on the screen, without blanks at their ends and without blank rows at the end.
    fn rows(&self) -> Vec<String> {
        let mut rows: Vec<String> =
            self.screen.screen().rows(0, self.columns).map(|row| row.trim_end().to_owned()).collect();
        while rows.last().is_some_and(String::is_empty) {
            rows.pop();
        }
        rows
    }

    /// Takes what the child writes until `seen`; a child that ends is looked at once more.
    fn wait(&mut self, what: &str, seen: impl Fn(&[String]) -> bool) -> Vec<String> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let rows = self.rows();
            if seen(&rows) {
                return rows;
            }
            match self.bytes.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.screen.process(&bytes),
                Err(e) => panic!("no {what} on the screen ({e}):\n{}", rows.join("\n")),
            }
        }
    }

    fn wait_row(&mut self, row: &str) -> Vec<String> {
        self.wait(row, |rows| rows.iter().any(|r| r == row))
    }

    fn wait_last(&mut self, row: &str) -> Vec<String> {
        self.wait(row, |rows| rows.last().is_some_and(|r| r == row))
    }

    fn end(mut self) {
        self.child.wait().unwrap();
        assert_eq!(format!("{:?}", self.master.get_termios()), self.modes_before, "the modes are as they were");
        // The slave's last holder is gone: the output ends.
        while let Ok(bytes) = self.bytes.recv_timeout(DEADLINE) {
            self.screen.process(&bytes);
        }
        assert!(!self.screen.screen().bracketed_paste(), "bracketed paste is off");
        assert!(!self.screen.screen().hide_cursor(), "the cursor is shown");
    }
}

fn at(rows: &[String], row: &str) -> usize {
    rows.iter().position(|r| r == row).unwrap_or_else(|| panic!("no {row:?} in\n{}", rows.join("\n")))
}

#[test]
fn a_line_is_echoed_once_and_answered() {
    let mut pty = Pty::start(80);
    pty.type_keys("hello\r");
    let rows = pty.wait("the answer", |rows| rows.ends_with(&["you said \"hello\"".into(), "1:main>".into()]));
    assert_eq!(rows.iter().filter(|row| row.contains("hello")).count(), 2, "{rows:#?}");
    assert_eq!(at(&rows, "1:main> hello") + 1, at(&rows, "you said \"hello\""));
    pty.type_keys("\x04");
    pty.wait_row("bye");
    pty.end();
}

#[test]
fn typing_and_streaming_do_not_disturb_each_other() {
    let mut pty = Pty::start(40);
    pty.type_keys("stream 60\r");
    pty.wait("the stream", |rows| rows.iter().any(|row| row.starts_with("word0 ")));
    for key in "type ahead".chars() {
        pty.type_keys(&key.to_string());
    }
    let rows = pty.wait("the end", |rows| {
        rows.iter().any(|row| row.ends_with("word59")) && rows.last().is_some_and(|row| row == "1:main> type ahead")
    });
    let from = at(&rows, "1:main> stream 60") + 1;
    let streamed = rows[from..rows.len() - 1].join(" ");
    let expected: Vec<String> = (0..60).map(|n| format!("word{n}")).collect();
    assert_eq!(streamed, expected.join(" "));
    pty.type_keys("\x03\x04");
    pty.end();
}

#[test]
fn lines_typed_ahead_in_one_go_keep_their_order_and_are_all_there() {
    let mut pty = Pty::start(80);
    let lines: Vec<String> = (0..8).map(|n| format!("line{n}")).collect();
    pty.type_keys(&(lines.join("\r") + "\rrest"));
    pty.wait_row("you said \"line7\"");
    let rows = pty.wait_last("1:main> rest");
    let questions: Vec<&str> = rows.iter().filter_map(|row| row.strip_prefix("1:main> ")).collect();
    let mut expected: Vec<&str> = lines.iter().map(String::as_str).collect();
    expected.push("rest");
    // All that fits the screen of it.
    assert!(expected.ends_with(&questions), "{rows:#?}");
    assert!(questions.len() > 5, "{rows:#?}");
    pty.type_keys("\x03\x04");
    pty.end();
}

#[test]
fn keys_switch_in_the_middle_of_a_line_and_the_draft_is_there_on_return() {
    let mut pty = Pty::start(80);
    pty.type_keys("half a thou\x18\x32");
    pty.wait_row("── 2:s2 ──");
    let rows = pty.wait("session 2", |rows| rows.last().is_some_and(|row| row.trim() == "2:s2>"));
    assert!(!rows.iter().any(|row| row.contains("half")), "the draft's rows are erased: {rows:#?}");
    // F1, as xterm sends it.
    pty.type_keys("\x1bOP");
    pty.wait("the draft", |rows| rows.last().is_some_and(|row| row.trim() == "1:main> half a thou"));
    pty.type_keys("ght\x1ba");
    pty.wait_row("Attention \"half a thought\"");
    pty.type_keys("\x1b[1;3D");
    pty.wait_row("Previous \"half a thought\"");
    pty.type_keys("\x1b[1;3C");
    pty.wait_row("Next \"half a thought\"");
    pty.type_keys("\r");
    pty.wait_row("you said \"half a thought\"");
    pty.type_keys("\x04");
    pty.end();
}

#[test]
fn ctrl_c_clears_a_line_and_tells_on_an_empty_one() {
    let mut pty = Pty::start(80);
    pty.type_keys("nonsense");
    pty.wait_last("1:main> nonsense");
    pty.type_keys("\x03");
    let rows = pty.wait_last("1:main>");
    assert!(!rows.iter().any(|row| row.contains("interrupted")));
    pty.type_keys("\x03");
    pty.wait_row("interrupted \"\"");
    pty.type_keys("x\x04\x7f\x04");
    pty.wait_row("bye");
    pty.end();
}

#[test]
fn texts_of_several_lines_stay_one_message() {
    let mut pty = Pty::start(80);
    let check = |pty: &mut Pty, keys: &str, said: &str| {
        pty.type_keys(keys);
        pty.wait_row(&format!("you said {said:?}"));
    };
    check(&mut pty, "\x1b[200~pasted\rtext \\\rend\x1b[201~\r", "pasted\ntext \\\nend");
    check(&mut pty, "one\ntwo\r", "one\ntwo");
    check(&mut pty, "three\x1b\rfour\r", "three\nfour");
    check(&mut pty, "five\\\rsix\r", "five\nsix");
    check(&mut pty, "\"\"\"\rseven\reight\r\"\"\"\r", "seven\neight");
    pty.type_keys("\x04");
    pty.end();
}

#[test]
fn the_prompt_changes_while_it_is_open() {
    let mut pty = Pty::start(80);
    pty.type_keys("activity 2\rtyped");
    // Nothing was reserved in the first line: the sign stands where the blank was.
    pty.wait_last("1:main!>typed");
    pty.type_keys("\x18\x32");
    pty.wait("session 2", |rows| rows.last().is_some_and(|row| row.trim() == "2:s2>"));
    pty.type_keys("activity 3\rmore");
    pty.wait_last("[3!] 2:s2> more");
    pty.type_keys("\x03\x04");
    pty.end();
}

#[test]
fn a_list_of_completions_does_not_tear_the_stream() {
    let mut pty = Pty::start(60);
    pty.type_keys("stream 40\r");
    pty.wait("the stream", |rows| rows.iter().any(|row| row.starts_with("word0 ")));
    pty.type_keys("/al\t\t");
    pty.wait("the list", |rows| rows.iter().any(|row| row.starts_with("/alpha")));
    let rows = pty.wait("the end", |rows| rows.iter().any(|row| row.ends_with("word39")));
    let all = rows.join(" ");
    assert!((0..40).all(|n| all.contains(&format!("word{n}"))), "{rows:#?}");
    pty.type_keys("\x03");
    pty.wait_last("1:main>");
    pty.type_keys("/b\t");
    pty.wait_last("1:main> /beta NAME");
    pty.type_keys("\x03\x04");
    pty.end();
}

#[test]
fn a_narrow_terminal_and_a_new_width_are_usable() {
    let mut pty = Pty::start(20);
    pty.type_keys("a line that takes three rows of it\r");
    pty.wait("the answer", |rows| rows.iter().any(|row| row.contains("it\"")));
    let rows = pty.wait_last("1:main>");
    assert_eq!(rows.iter().filter(|row| row.contains("1:main> a line")).count(), 1, "{rows:#?}");
    pty.master.resize(PtySize { rows: 24, cols: 60, pixel_width: 0, pixel_height: 0 }).unwrap();
    pty.screen.screen_mut().set_size(24, 60);
    pty.columns = 60;
    pty.type_keys("now it is wider, and has room\r");
    pty.wait_row("you said \"now it is wider, and has room\"");
    pty.type_keys("\x04");
    pty.end();
}

#[test]
fn ctrl_z_gives_the_terminal_to_the_shell_and_fg_takes_it_again() {
    let size = PtySize { rows: 24, cols: 100, pixel_width: 0, pixel_height: 0 };
    let mut shell = CommandBuilder::new("bash");
    shell.args(["--norc", "--noprofile", "-i"]);
    shell.env("PS1", "sh$ ");
    shell.env(COMMAND, std::env::current_exe().unwrap());
    let mut pty = Pty::spawn(size, shell);
    pty.wait_last("sh$");
    pty.type_keys(&format!("\"${COMMAND}\" --exact as_child --nocapture --test-threads=1 --quiet\r"));
    pty.wait_last("1:main>");
    pty.type_keys("kept\x1a");
    pty.wait_last("sh$");
    pty.type_keys("fg\r");
    pty.wait_last("1:main> kept");
    pty.type_keys(" line\r");
    pty.wait_row("you said \"kept line\"");
    pty.type_keys("\x04");
    pty.wait_last("sh$");
    pty.type_keys("exit\r");
    pty.end();
}

#[test]
fn a_dumb_terminal_gets_whole_rows() {
    let size = PtySize { rows: 24, cols: 80, pixel_width: 0, pixel_height: 0 };
    let mut command = CommandBuilder::new(std::env::current_exe().unwrap());
    command.args(["--exact", "as_child", "--nocapture", "--test-threads=1", "--quiet"]);
    command.env("TERM", "dumb");
    let mut pty = Pty::spawn(size, command);
    pty.wait_last("1:main>");
    pty.type_keys("hello\n");
    let rows = pty.wait_row("you said \"hello\"");
    assert!(!rows.iter().any(|row| row.contains('␛')), "{rows:#?}");
    pty.type_keys("\x04");
    pty.wait_row("bye");
    pty.end();
}

#[test]
fn a_panic_gives_the_terminal_back() {
    let mut pty = Pty::start(80);
    pty.type_keys("panic\r");
    pty.wait("the panic", |rows| rows.iter().any(|row| row.contains("as asked")));
    pty.end();
}
