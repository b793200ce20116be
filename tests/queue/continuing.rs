//! `retry.mid_stream`: an answer that was cut in the middle goes on by itself, or is kept as it is.

use nix::sys::signal::Signal;

use crate::program::{Home, turns};
use crate::server::{End, Format, Reply, Server};
use crate::{asked, ends, wait_of, wrong_lines};

const CONTINUE: &str = "[retry]\ninitial_delay = \"10ms\"\njitter = 0.0\nmax_attempts = 3\nmid_stream = \"continue\"\n";
const FIRST: [&str; 2] = ["Once upon ", "a time there "];
const REST: [&str; 2] = ["was a quick fox, ", "and it slept."];
const KEPT: &str = "SELECT text, seams, state FROM messages WHERE role = 'assistant' ORDER BY id";

/// What a server says that goes on after `FIRST`. Who is asked to go on says his last words again.
fn rest(format: Format) -> Reply {
    let again: &[&str] = match format {
        // It was not told of the blank at the end.
        Format::Anthropic => &[" "],
        Format::Ollama => &[],
        Format::OpenAi | Format::Gemini => &[FIRST[1]],
    };
    Reply::words(&[again, &REST].concat())
}

#[test]
fn an_answer_that_was_cut_goes_on_by_itself_and_is_whole_once() {
    for format in Format::ALL {
        for end in [End::Truncated, End::Reset] {
            let server = Server::start();
            server.next(Reply::words(&FIRST).end(end));
            server.next(rest(format));
            let home = Home::configured(&server, format, "", CONTINUE);
            let outcome = home.run(&["--json"], "tell\nafter\n").code(0);
            let whole = [FIRST, REST].concat().concat();
            assert_eq!(ends(&outcome)[0], (1, "complete".into(), whole.clone()), "{format:?}, {end:?}");
            assert_eq!(crate::program::text_of(&outcome.events(), 1, "text"), whole, "{format:?}, {end:?}");
            assert_eq!(outcome.named("retry").len(), 1);
            let attempts: Vec<_> = outcome.named("started").iter().map(|e| e["attempt"].clone()).collect();
            assert_eq!(attempts, [1, 2, 1]);
            let log = server.requests();
            assert_eq!(log.len(), 3);
            assert_eq!(log[1].turns()[1].0, "assistant", "it is given what it said");
            assert_eq!(log[2].turns(), turns(&[("user", "tell"), ("assistant", &whole), ("user", "after")]));
            assert_eq!(home.query(KEPT)[0], [&*whole, "23", "complete"]);
        }
    }
}

#[test]
fn cut_again_and_again_it_is_an_interrupted_answer_with_all_that_came() {
    let server = Server::start();
    ["one ", "two ", "three "].iter().for_each(|word| server.next(Reply::words(&[word]).end(End::Truncated)));
    let home = Home::configured(&server, Format::Ollama, "", CONTINUE);
    let outcome = home.run(&["--json"], "/new two\ntell\n").code(1);
    assert_eq!(server.requests().len(), 3);
    assert_eq!(ends(&outcome), [(1, "interrupted".into(), "one two three ".into())]);
    assert_eq!(wrong_lines(&outcome), [2]);
    assert_eq!(home.query(KEPT), [["one two three ", "4 8", "interrupted"]]);
}

#[test]
fn kept_it_is_interrupted_and_a_person_may_want_the_rest() {
    for format in Format::ALL {
        let server = Server::start();
        server.next(Reply::words(&FIRST).end(End::Truncated));
        let home = Home::serving(&server, format);
        let outcome = home.run(&["--json"], "/new two\n/switch 1\n/send 2 tell\n/wait\n").code(1);
        assert_eq!(ends(&outcome), [(1, "interrupted".into(), FIRST.concat())], "{format:?}");
        assert_eq!(server.requests().len(), 1);
        // A person may still want the rest.
        server.next(rest(format));
        let outcome = home.run(&["--json"], "/switch 2\n/continue\n").code(0);
        assert_eq!(ends(&outcome), [(1, "complete".into(), [FIRST, REST].concat().concat())], "{format:?}");
    }
}

#[test]
fn what_waits_to_go_on_survives_kill_9() {
    let server = Server::start();
    server.next(Reply::words(&FIRST).end(End::Reset));
    server.next(Reply::words(&REST));
    let slowly = "[retry]\ninitial_delay = \"1h\"\nmax_delay = \"1h\"\nmid_stream = \"continue\"\n";
    let home = Home::configured(&server, Format::Ollama, "", slowly);
    let mut program = home.start(&["--json"]);
    program.send("/bg tell");
    wait_of(&program, 1, "retry");
    program.kill().killed(Signal::SIGKILL);
    home.run(&[], "").code(0).out("").err(&["1 message waits, held"]);
    let outcome = home.run(&["--json"], "/queue\n/resume\n/retry\n/wait\n").code(0);
    let entry = outcome.result("queue")[0].clone();
    assert_eq!(
        (&entry["continues"], &entry["attempts"], &entry["answer_bytes"]),
        (&true.into(), &1.into(), &23.into())
    );
    assert_eq!(ends(&outcome), [(1, "complete".into(), [FIRST, REST].concat().concat())]);
    assert_eq!(asked(&server), ["tell", "tell"]);
}
