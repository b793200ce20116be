//! One of them dies, or falls silent.

use nix::sys::signal::Signal;

use super::*;

fn cut_off(home: &Home, server: &Server) -> Program {
    let gate = gated(server, "long", &["one", " two", " three"]);
    let mut owner = home.start(&["--json"]);
    ["/bg long", "/bg waits"].iter().for_each(|line| owner.send(line));
    gate.release(2);
    owner.wait_text(1, "one two");
    wait_of(&owner, 2, "queued");
    home.wait_query("SELECT group_concat(text, '') FROM (SELECT text FROM chunks ORDER BY id)", "one two");
    owner
}

#[test]
fn a_dead_ones_work_is_taken_over_by_one_that_lives_and_nothing_is_sent_unasked() {
    let server = Server::start();
    let home = home(&server);
    let owner = cut_off(&home, &server);
    let mut others = [home.start(&["--json"]), home.start(&["--json"])];
    others.iter().for_each(|other| wait_said(other, "another chatmux is at work"));
    owner.kill();
    home.wait_query("SELECT count(*) FROM entries WHERE state = 'running'", "0");
    home.wait_query("SELECT held FROM entries WHERE id = 2", "1");
    assert_eq!(home.query("SELECT state, text FROM messages WHERE role = 'assistant'"), [["interrupted", "one two"]]);
    // One of the two has done it, and says so.
    let said = |other: &Program| other.events().iter().any(|e| e.to_string().contains("is gone: 7 bytes"));
    while !others.iter().any(said) {
        std::thread::yield_now();
    }
    others[0].send("/resume");
    home.wait_query("SELECT state FROM entries WHERE id = 2", "done");
    others.into_iter().for_each(|other| drop(other.finish().code(0)));
    assert_eq!(asked(&server), ["long", "waits"]);
    assert_nobody_is_left(&home);
    home.assert_sound();
}

#[test]
fn what_waits_goes_on_by_itself_where_that_is_wished() {
    let server = Server::start();
    let home = Home::configured(&server, Format::OpenAi, "", QUICK);
    let owner = cut_off(&home, &server);
    let config = std::fs::read_to_string(home.path("config/chatmux/config.toml")).unwrap();
    home.configure(&format!("on_start = \"resume\"\n{config}"));
    let other = home.start(&["--json"]);
    wait_said(&other, "another chatmux is at work");
    owner.kill();
    home.wait_query("SELECT state FROM entries WHERE id = 2", "done");
    other.finish().code(0);
    assert_eq!(asked(&server), ["long", "waits"]);
}

fn resuming(server: &Server, sections: &str) -> Home {
    let home = Home::configured(server, Format::OpenAi, "", &format!("{QUICK}{sections}"));
    let config = std::fs::read_to_string(home.path("config/chatmux/config.toml")).unwrap();
    home.configure(&format!("on_start = \"resume\"\n{config}"));
    home
}

#[test]
fn what_was_sent_is_held_when_it_is_taken_over() {
    let server = Server::start();
    let home = home(&server);
    let (gate, other) = (Gate::default(), home.start(&["--json"]));
    other.wait_event("its session", |e| e["event"] == "session");
    server.once("pay", Reply::echo().gate_headers(&gate));
    let mut owner = home.start(&["--json"]);
    owner.send("/bg pay");
    server.wait_requests(1);
    owner.kill();
    wait_said(&other, "1 message waits, held (1 main): /resume all sends it, /queue all lists it; #1 was sent before");
    assert_eq!(home.query("SELECT state, held, error_kind FROM entries"), [["pending", "1", "unanswered"]]);
    other.finish().code(0);
    assert_eq!(asked(&server), ["pay"]);
}

#[test]
fn what_was_sent_is_sent_again_by_who_takes_over_until_it_is_out_of_attempts() {
    let server = Server::start();
    let home = resuming(&server, "[retry]\nmax_attempts = 2\n");
    let gate = Gate::default();
    let mut programs: Vec<Program> = Vec::new();
    server.on("pay", Reply::echo().gate_headers(&gate));
    for attempt in 1..=2 {
        if attempt == 1 {
            programs.push(home.start(&["--json"]));
            programs[0].send("/bg pay");
            server.wait_requests(1);
        }
        let heir = home.start(&["--json"]);
        wait_said(&heir, "another chatmux is at work");
        programs.pop().unwrap().kill();
        if attempt == 1 {
            wait_said(&heir, "[1 main] #1 was sent before chatmux ended, and the server may have answered");
            server.wait_requests(2);
        } else {
            wait_said(&heir, "[1 main] #1 is not sent again: chatmux ended while this was asked (attempt 2 of 2)");
        }
        programs.push(heir);
    }
    programs.pop().unwrap().finish().code(0);
    assert_eq!(home.query("SELECT state, attempts FROM entries"), [["dead", "2"]]);
    assert_eq!(asked(&server), ["pay", "pay"]);
    assert_nobody_is_left(&home);
}

#[test]
fn what_one_has_set_aside_goes_before_what_another_queues_there_later() {
    let server = Server::start();
    let home = resuming(&server, "");
    let gate = gated(&server, "long", &["one", " two"]);
    let mut owner = home.start(&["--json"]);
    ["/bg long", "/bg left one", "/bg left two"].iter().for_each(|line| owner.send(line));
    wait_of(&owner, 3, "queued");
    gate.release(1);
    owner.wait_text(1, "one");
    let mut other = home.start(&["--json"]);
    wait_said(&other, "another chatmux is at work");
    // It has something to run there too, so the lease is its when the owner ends.
    other.send("/bg mine");
    wait_of(&other, 4, "queued");
    owner.signal(Signal::SIGTERM);
    owner.end().code(143);
    home.wait_query("SELECT count(*) FROM entries WHERE state = 'done'", "4");
    other.send("/bg later");
    other.finish().code(0);
    assert_eq!(asked(&server), ["long", "left one", "left two", "mine", "later"]);
    assert_nobody_is_left(&home);
}

#[test]
fn what_was_set_aside_fills_no_queue_for_ever() {
    let server = Server::start();
    let home = resuming(&server, "[queue]\nmax_pending = 2\n");
    let mut other = home.start(&["--json"]);
    other.wait_event("its session", |e| e["event"] == "session");
    let gate = gated(&server, "long", &["one", " two"]);
    let mut owner = home.start(&["--json"]);
    ["/bg long", "/bg left one", "/bg left two"].iter().for_each(|line| owner.send(line));
    wait_of(&owner, 3, "queued");
    gate.release(1);
    owner.wait_text(1, "one");
    owner.signal(Signal::SIGTERM);
    owner.end().code(143);
    home.wait_query("SELECT count(*) FROM leases", "0");
    // Nobody runs them, and there is no room for another: the refusal sets them going.
    loop {
        other.send("/bg mine");
        other.send("/queue");
        if home.query("SELECT count(*) FROM entries WHERE set_aside = 1") == [["0"]] {
            break;
        }
    }
    home.wait_query("SELECT count(*) FROM entries WHERE id <= 3 AND state = 'done'", "3");
    other.finish();
    assert_eq!(asked(&server)[..3], ["long", "left one", "left two"]);
    assert_nobody_is_left(&home);
}

#[test]
fn one_that_was_stopped_finds_its_session_taken_over_and_writes_nothing_there() {
    let server = Server::start();
    let home = Home::configured(&server, Format::OpenAi, "", &format!("{QUICK}max_wait = \"400ms\"\n"));
    let mut owner = cut_off(&home, &server);
    let mut other = home.start(&["--json"]);
    wait_said(&other, "another chatmux is at work");
    // The owner knows of the other now, and beats.
    home.wait_query("SELECT max(beat) > 0 FROM processes", "1");
    // Not in the middle of a transaction, which nobody could end then.
    let lock = rusqlite::Connection::open(home.database()).unwrap();
    lock.busy_timeout(program::PATIENCE).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    owner.signal(Signal::SIGSTOP);
    lock.execute_batch("ROLLBACK").unwrap();
    wait_said(&other, "is silent, and perhaps stopped: 7 bytes");
    other.send("/resume");
    wait_of(&other, 2, "started");
    owner.signal(Signal::SIGCONT);
    home.wait_query("SELECT state FROM entries WHERE id = 2", "done");
    owner.send("/bg again");
    wait_of(&owner, 3, "finished");
    other.finish().code(0);
    owner.finish();
    assert_eq!(
        home.query("SELECT state, text FROM messages WHERE entry_id = 1 AND role = 'assistant'")[0][1],
        "one two"
    );
    assert_eq!(asked(&server), ["long", "waits", "again"]);
    assert_nobody_is_left(&home);
    home.assert_sound();
}

#[test]
fn the_next_start_repairs_at_once_what_a_dead_one_left_although_another_lives() {
    let server = Server::start();
    let home = home(&server);
    // The other's own leases are slow: it takes nothing over before the start does.
    home.configure(&std::fs::read_to_string(home.path("config/chatmux/config.toml")).unwrap().replace("100ms", "4s"));
    let other = home.start(&["--json"]);
    other.wait_event("its session", |e| e["event"] == "session");
    let owner = cut_off(&home, &server);
    owner.kill();
    let next = home.run(&["--json"], "/history\n").code(0);
    let said = next.named("notice").iter().map(Value::to_string).collect::<String>();
    assert!(said.contains("7 bytes of it are kept") && said.contains("1 message waits, held"), "{said}");
    other.finish().code(0);
    assert_nobody_is_left(&home);
}

#[test]
fn a_start_that_finds_no_lock_leaves_those_alone_who_live() {
    let server = Server::start();
    let never = "[lease]\nheartbeat = \"1h\"\nquiet_period = \"1h\"\nmax_wait = \"1h\"\n";
    let home = Home::configured(&server, Format::OpenAi, "", never);
    let gate = gated(&server, "long", &["one", " two"]);
    let mut owner = home.start(&["--json"]);
    owner.send("/bg long");
    gate.release(1);
    owner.wait_text(1, "one");
    home.wait_query("SELECT group_concat(text, '') FROM chunks", "one");
    // It does not make its lock again before the other has started. Not in the middle of a transaction.
    let held = rusqlite::Connection::open(home.database()).unwrap();
    held.busy_timeout(program::PATIENCE).unwrap();
    held.execute_batch("BEGIN IMMEDIATE").unwrap();
    owner.signal(Signal::SIGSTOP);
    held.execute_batch("ROLLBACK").unwrap();
    std::fs::remove_file(home.database().with_extension("db.lock")).unwrap();
    home.run(&["--json", "-s", "two"], "there\n").code(0);
    assert_eq!(home.query("SELECT session_id, state FROM entries WHERE id = 1"), [["1", "running"]]);
    assert_eq!(home.query("SELECT session_id FROM leases"), [["1"]]);
    owner.signal(Signal::SIGCONT);
    gate.open();
    owner.finish().code(0);
    assert_eq!(home.query("SELECT text FROM messages WHERE entry_id = 1 AND role = 'assistant'"), [["one two"]]);
    assert_nobody_is_left(&home);
}
