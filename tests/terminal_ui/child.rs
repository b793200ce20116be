//! The program in the pty: answers lines with frames, a session's draft is kept, and `stream N` streams.

use std::collections::BTreeMap;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use chatmux::domain::{
    Activity, AnswerState, Clock, Frame, Look, PromptState, SessionId, SessionName, Show, Timestamp,
};
use chatmux::ui::{self, Complete, Next, Options, Read, Wish};
use tokio::sync::mpsc::Sender;

use crate::random::{Beat, story};

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

fn name(session: i64) -> SessionName {
    if session == 1 { "main".parse().unwrap() } else { format!("s{session}").parse().unwrap() }
}

fn prompt(session: i64, activity: &[(i64, Activity)]) -> PromptState {
    let activity = activity.iter().map(|(id, what)| (SessionId(*id), *what)).collect();
    PromptState {
        session: SessionId(session),
        name: name(session),
        streaming: false,
        progress: None,
        has_others: session != 1,
        activity,
    }
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
        let end = Show::End { state: AnswerState::Complete, line: None, error: None };
        match line.split_once(' ') {
            Some(("stream", count)) => {
                let (frames, at, count) = (self.frames.clone(), self.session, count.parse::<u32>().unwrap());
                // The printer takes a frame at a time: that paces the stream.
                std::thread::spawn(move || {
                    let send = |show| frames.blocking_send(Frame { shows: vec![show], prompt: prompt(at, &[]) });
                    if send(question).is_err() {
                        return;
                    }
                    for n in 0..count {
                        if send(Show::Text(format!("word{n} "))).is_err() {
                            return;
                        }
                    }
                    let _ = send(end);
                });
            }
            Some(("random", seed)) => {
                let (frames, at, seed) = (self.frames.clone(), self.session, seed.parse::<u64>().unwrap());
                std::thread::spawn(move || {
                    let send = |show| frames.blocking_send(Frame { shows: vec![show], prompt: prompt(at, &[]) });
                    let _ = send(question);
                    for beat in story(seed) {
                        let _ = match beat {
                            Beat::Text(text) => send(Show::Text(text)),
                            Beat::Notice(text) => send(Show::Notice(text)),
                        };
                    }
                    let _ = send(end);
                    let _ = send(Show::Notice(format!("(done {seed})")));
                });
            }
            Some(("activity", n)) => {
                let elsewhere = prompt(self.session, &[(n.parse().unwrap(), Activity::Failed)]);
                self.shows.send(Frame { shows: vec![], prompt: elsewhere }).unwrap();
            }
            Some(("note", text)) => self.show(vec![Show::Notice(format!("note {text}"))]),
            _ => self.show(vec![question, Show::Text(format!("you said {line:?}")), end]),
        }
    }
}

/// Leaves as a signal's task does: from another thread, while a line is open.
fn leave(app: &App, next: &Sender<Next>) -> ! {
    next.blocking_send(Next { prompt: prompt(1, &[]), initial: "unfinished".into(), edit: false, history: None })
        .unwrap();
    // The channel holds one, the printer one and the way to the editor one: when the fifth is taken, the editor has taken the second, and
    // so drawn the first above an open prompt.
    for n in 0..5 {
        let shows = vec![Show::Notice(format!("leaving {n}"))];
        app.frames.blocking_send(Frame { shows, prompt: prompt(1, &[]) }).unwrap();
    }
    ui::guard::restore();
    std::process::exit(0)
}

pub(crate) fn run() {
    let options = Options {
        color: false,
        joins_emoji: false,
        vi: false,
        look: Look::default(),
        complete: Box::new(Commands),
        prompt: prompt(1, &[]),
        alert_after: Duration::ZERO,
        clock: Clock(|| Timestamp(0)),
        editor: std::env::var("EDITOR").unwrap_or_default(),
        hidden: Vec::new(),
        plain: false,
    };
    let ui::Terminal { display, input } = ui::start(options).unwrap();
    let (frames, ui::Input { reader, next, mut reads, exit, .. }) = (display.frames, input);
    std::thread::spawn(reader);
    let (shows, shows_in) = std::sync::mpsc::channel();
    let merged = frames.clone();
    std::thread::spawn(move || merge(&shows_in, &merged));
    let mut app = App { shows, frames, session: 1 };
    let mut drafts: BTreeMap<i64, String> = BTreeMap::new();
    let mut initial = String::new();
    loop {
        let text = std::mem::take(&mut initial);
        let line = Next { prompt: prompt(app.session, &[]), initial: text, edit: false, history: None };
        next.blocking_send(line).unwrap();
        match reads.blocking_recv() {
            Some(Read::Line(line)) if line == "panic" => panic!("as asked"),
            Some(Read::Line(line)) if line == "leave" => leave(&app, &next),
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
            Some(Read::Edited(text)) => app.show(vec![Show::Notice(format!("edited {text:?}"))]),
            Some(Read::Failed(why)) => panic!("{why}"),
        }
    }
    app.show(vec![Show::Notice("bye".into())]);
    drop((app, next));
    exit.finish();
}
