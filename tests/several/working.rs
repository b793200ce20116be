//! `chatmux work`, and `/detach` in a script.

use nix::sys::signal::Signal;

use super::*;

#[test]
fn what_the_last_exit_left_is_answered_and_what_a_person_held_is_not() {
    let server = Server::start();
    let home = home(&server);
    let gate = gated(&server, "zero", &["0"]);
    let mut first = home.start(&["--json"]);
    ["/bg zero", "/bg one", "/new two", "/bg two", "/hold", "/bg held"].iter().for_each(|line| first.send(line));
    wait_of(&first, 4, "queued");
    wait_of(&first, 3, "finished");
    server.wait_open(1);
    first.signal(Signal::SIGKILL);
    first.end();
    drop(gate);
    let seen = || home.query("SELECT seen_message, seen_text_bytes FROM sessions ORDER BY id");
    let before = seen();
    let outcome = home.run(&["work"], "").code(0).out("");
    assert!(outcome.err.contains("[1 main] done"), "{}", outcome.err);
    assert_eq!(states(&home)[0], ["1", "pending"], "it was sent");
    assert_eq!(states(&home)[1], ["2", "done"]);
    assert_eq!(states(&home)[3], ["4", "pending"], "its queue is held");
    // Nobody has seen what came.
    assert_eq!(seen(), before);
    home.run(&["work"], "").code(0).out("").err(&["2 messages wait, held", "#1 was sent before"]);
    assert_nobody_is_left(&home);
}

#[test]
fn a_failure_is_told_by_the_exit_code_and_json_has_the_events() {
    let server = Server::start();
    let home = home(&server);
    server.on("bad", Reply::status(400, "{}"));
    let gate = gated(&server, "first", &["one"]);
    let mut script = home.start(&["--json"]);
    ["/bg first", "/bg bad", "/bg good"].iter().for_each(|line| script.send(line));
    server.wait_open(1);
    wait_of(&script, 3, "queued");
    script.send("/quit");
    script.end().code(0);
    drop(gate);
    let outcome = home.run(&["work", "--json"], "").code(1);
    let states: Vec<_> = outcome.named("finished").iter().map(|e| e["state"].clone()).collect();
    assert_eq!(states, ["failed", "complete"], "what was sent stays held");
    assert_nobody_is_left(&home);
}

#[test]
fn who_watches_serves_what_is_queued_later_and_ends_at_a_signal() {
    let server = Server::start();
    let home = home(&server);
    let watch = home.start(&["work", "--watch"]);
    while !home.database().exists() {
        std::thread::yield_now();
    }
    home.wait_query("SELECT count(*) FROM sqlite_schema WHERE name = 'changes'", "1");
    home.wait_query("SELECT count(*) FROM processes", "1");
    // A script leaves; what it was at goes on in whoever is there.
    let gate = gated(&server, "slow", &["one", " two"]);
    let mut script = home.start(&["--json"]);
    script.send("/bg slow");
    gate.release(1);
    script.wait_text(1, "one");
    script.send("/detach");
    script.end().code(0);
    gate.open();
    home.wait_query("SELECT state FROM entries WHERE id = 1", "done");
    assert_eq!(home.query("SELECT substr(text, 1, 3) FROM messages WHERE role = 'assistant'"), [["one"]]);
    home.wait_query("SELECT count(*) FROM processes", "1");
    watch.signal(Signal::SIGTERM);
    watch.end().code(143);
    assert_nobody_is_left(&home);
}

#[test]
fn a_script_that_detaches_ends_at_once_and_its_work_is_done() {
    let server = Server::start();
    let home = home(&server);
    let gate = gated(&server, "first", &["one", " two"]);
    let mut script = home.start(&[]);
    script.send("/bg first");
    script.send("/bg second");
    gate.release(1);
    server.wait_open(1);
    home.wait_query("SELECT count(*) FROM chunks", "1");
    script.send("/detach");
    script.end().code(0).out("");
    home.wait_query("SELECT count(*) FROM entries WHERE state = 'done'", "2");
    home.wait_query("SELECT count(*) FROM processes", "0");
    // The answer went on from where it was cut.
    assert_eq!(asked(&server).len(), 3);
    let seams = home.query("SELECT substr(text, 1, 3), seams FROM messages WHERE entry_id = 1 AND role = 'assistant'");
    assert_eq!(seams, [["one", "3"]]);
    assert_nobody_is_left(&home);
}

#[test]
fn what_brought_nothing_and_waits_for_another_attempt_is_not_sent_by_the_next_process() {
    let retries = "[retry]\ninitial_delay = \"1h\"\nmax_delay = \"1h\"\n";
    for (end, is_killed) in [(End::Reset, true), (End::Truncated, false)] {
        let server = Server::start();
        let home = Home::configured(&server, Format::OpenAi, "", &format!("{QUICK}{retries}"));
        server.once("sent", Reply::words(&[]).end(end));
        let mut first = home.start(&["--json"]);
        first.send("/bg sent");
        wait_of(&first, 1, "retry");
        first.send("/bg new");
        wait_of(&first, 2, "queued");
        if is_killed {
            first.signal(Signal::SIGKILL);
        } else {
            first.send("/quit");
        }
        first.end();
        home.run(&["work"], "").code(0);
        assert_eq!(asked(&server), ["sent", "new"], "{end:?}");
        assert_eq!(states(&home), [["1", "pending"], ["2", "done"]]);
        assert_eq!(home.query("SELECT held, error_kind FROM entries WHERE id = 1"), [["1", "unanswered"]]);
        home.run(&["work"], "").code(0).err(&["1 message waits, held", "#1 was sent before"]);
        assert_nobody_is_left(&home);
    }
}
