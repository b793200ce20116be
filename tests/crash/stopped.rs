//! A process that is stopped and goes on when others have taken it for dead.

use nix::sys::signal::Signal;

use crate::disk::Disk;
use crate::process::{Process, configure, sender};
use crate::program::Home;
use crate::server::{Format, Gate, Reply, Server};

/// As short as a test wants it.
const IMPATIENT: &str =
    "[lease]\nheartbeat = \"200ms\"\nquiet_period = \"200ms\"\nmax_wait = \"1s\"\ncheck_interval = \"50ms\"\n";

#[test]
fn who_was_stopped_for_too_long_streams_and_writes_there_no_more() {
    let (server, long, third) = (Server::start(), Gate::default(), Gate::default());
    server.on("long", Reply::words(&["one ", "two ", "three ", "four ", "five"]).gate(&long));
    server.on("third", Reply::echo().gate(&third));
    let home = Home::serving(&server, Format::OpenAi);
    (1..=2).for_each(|number| configure(&home, &server, number, IMPATIENT));
    let mut stopped = Process::start(&home, 1, &[]);
    stopped.ask("/bg", &[1], "long");
    stopped.ask("/bg", &[1], "second");
    stopped.program.wait_event("the second", |e| e["event"] == "queued" && e["entry"] == 2);
    long.release(2);
    stopped.program.wait_text(1, "one two ");
    let mut other = Process::start(&home, 2, &[]);
    other.program.wait_out("another chatmux is at work");
    let on_disk = "SELECT group_concat(text, '' ORDER BY id) FROM chunks WHERE kind = 'text'";
    home.wait_query(on_disk, "one two ");

    // Stopped, it cannot be told from one that hangs: only silence tells.
    stopped.program.signal(Signal::SIGSTOP);
    other
        .program
        .wait_out("the chatmux that answered here is silent, and perhaps stopped: 8 bytes of the answer are kept");
    other.say("/resume 1");
    other.ask("/send 1", &[1], "third");
    other.program.wait_event("the third", |e| e["event"] == "started" && e["entry"] == 3);
    assert_eq!(
        home.query("SELECT text, state FROM messages WHERE entry_id = 1 AND role = 'assistant'"),
        [["one two ", "interrupted"]]
    );

    // It goes on, and so does the stream that it had; the lease is another's.
    stopped.program.signal(Signal::SIGCONT);
    long.open();
    let end = stopped.program.wait_event("its end", |e| e["event"] == "finished" && e["entry"] == 1);
    assert_eq!((&end["state"], &end["text"]), (&"interrupted".into(), &"one two ".into()), "as the other has it");
    let end = stopped.program.wait_event("the second's end", |e| e["event"] == "finished" && e["entry"] == 2);
    assert_eq!((&end["state"], &end["text"]), (&"complete".into(), &"echo: second".into()), "the other has run it");
    stopped.ask("/send 1", &[1], "fourth");
    stopped.program.wait_event("the fourth", |e| e["event"] == "queued" && e["entry"] == 4);
    third.open();
    stopped.program.wait_event("the fourth's end", |e| e["event"] == "finished" && e["entry"] == 4);
    let senders = server.log(|requests| requests.iter().map(|r| (r.last_user(), sender(r))).collect::<Vec<_>>());
    let expected = [("long", 1), ("second", 2), ("third", 2), ("fourth", 2)].map(|(text, by)| (text.to_owned(), by));
    assert_eq!(senders, expected);
    let texts = "SELECT text FROM messages WHERE role = 'assistant' ORDER BY id";
    assert_eq!(home.query(texts), [["one two "], ["echo: second"], ["echo: third"], ["echo: fourth"]]);
    home.assert_sound();
    for (mut process, code) in [(stopped, 1), (other, 0)] {
        process.program.hang_up();
        let (_, outcome) = process.end(true);
        let outcome = outcome.code(code).quiet();
        assert!(!outcome.out.contains("locked") && !outcome.out.contains("busy"), "{outcome:?}");
    }
    assert!(Disk::open(&home).registered().0.is_empty());
}
