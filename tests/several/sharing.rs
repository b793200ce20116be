//! Two at work on the same sessions.

use super::*;

#[test]
fn what_is_typed_for_a_session_that_another_runs_is_run_there_and_followed_here() {
    let server = Server::start();
    let gate = gated(&server, "long", &["one", " two", " three"]);
    let home = home(&server);
    let mut owner = home.start(&["--json"]);
    owner.send("/bg long");
    gate.release(1);
    owner.wait_text(1, "one");
    let mut other = home.start(&["--json"]);
    wait_said(&other, "another chatmux is at work (1 main)");
    other.send("/bg typed elsewhere");
    assert_eq!(wait_of(&other, 2, "queued")["ahead"], 1);
    gate.open();
    // The owner runs both; each event of its own is told where it was asked for.
    assert_eq!(wait_of(&other, 2, "started")["attempt"], 1);
    other.wait_text(2, "echo: typed elsewhere");
    let finished = wait_of(&other, 2, "finished");
    assert_eq!((&finished["state"], &finished["text"]), (&"complete".into(), &"echo: typed elsewhere".into()));
    let other = other.finish().code(0);
    assert!(other.named("delta").iter().all(|e| e["entry"] == 2), "what others asked is not told to a script");
    let owner = owner.finish().code(0);
    assert_eq!(owner.named("finished").len(), 2);
    assert_eq!((asked(&server), server.max_open()), (vec!["long".to_owned(), "typed elsewhere".to_owned()], 1));
    assert_eq!(states(&home), [["1", "done"], ["2", "done"]]);
    assert_nobody_is_left(&home);
    home.assert_sound();
}

#[test]
fn a_script_waits_for_its_own_and_a_text_script_writes_the_answer_of_another_process() {
    let server = Server::start();
    let gate = gated(&server, "long", &["one"]);
    let elsewhere = gated(&server, "for ever", &["one"]);
    let home = home(&server);
    let mut owner = home.start(&["--json"]);
    owner.send("/bg long");
    owner.send("/new two");
    owner.send("/bg for ever");
    server.wait_open(2);
    let mut script = home.start(&["-s", "main"]);
    script.send("what now");
    home.wait_query("SELECT count(*) FROM entries WHERE text = 'what now'", "1");
    gate.open();
    // It ends although the other session still answers: that is none of its.
    script.finish().code(0).out("echo: what now\n");
    elsewhere.open();
    owner.finish().code(0);
    assert_nobody_is_left(&home);
}

#[test]
fn a_turn_that_another_runs_is_cancelled_and_stopped_from_here() {
    let server = Server::start();
    let (first, second) = (gated(&server, "first", &["one", " two"]), gated(&server, "second", &["one", " two"]));
    let home = home(&server);
    let mut owner = home.start(&["--json"]);
    ["/bg first", "/bg second", "/bg third"].iter().for_each(|line| owner.send(line));
    first.release(1);
    owner.wait_text(1, "one");
    let mut other = home.start(&["--json"]);
    wait_said(&other, "another chatmux is at work");
    other.send("/cancel");
    assert_eq!(wait_of(&owner, 1, "finished")["state"], "cancelled");
    second.release(1);
    owner.wait_text(2, "one");
    other.send("/stop");
    assert_eq!(wait_of(&owner, 2, "finished")["state"], "cancelled");
    other.send("/queue");
    let listed = other.wait_event("the queue", |e| e["event"] == "result" && e["command"] == "queue");
    assert_eq!(listed["data"][0]["entry"], 3, "{listed}");
    home.wait_query("SELECT state FROM entries WHERE id = 3", "pending");
    assert_eq!(asked(&server), ["first", "second"], "what waits is held");
    other.send("/drop 3");
    other.finish().code(0);
    wait_of(&owner, 3, "finished");
    owner.finish().code(0);
    assert_eq!(states(&home), [["1", "cancelled"], ["2", "cancelled"], ["3", "cancelled"]]);
    assert_nobody_is_left(&home);
}

#[test]
fn what_waits_is_ordered_and_dropped_from_another_process() {
    let server = Server::start();
    let gate = gated(&server, "first", &["one"]);
    let home = home(&server);
    let mut owner = home.start(&["--json"]);
    ["/bg first", "/bg b", "/bg c", "/bg d"].iter().for_each(|line| owner.send(line));
    wait_of(&owner, 4, "queued");
    server.wait_open(1);
    let mut other = home.start(&["--json"]);
    ["/move 4 before 2", "/drop 3", "/now now"].iter().for_each(|line| other.send(line));
    wait_of(&other, 5, "queued");
    // The owner may not have looked yet: it does before it begins the next.
    gate.open();
    let other = other.finish().code(0);
    assert_eq!(other.named("error"), Vec::<Value>::new(), "{}", other.out);
    let owner = owner.finish().code(0);
    assert_eq!(asked(&server), ["first", "now", "d", "b"], "{}", owner.out);
    assert_nobody_is_left(&home);
}

#[test]
fn sessions_that_another_makes_renames_and_deletes_are_known() {
    let server = Server::start();
    let home = home(&server);
    let mut one = home.start(&["--json"]);
    one.send("/new docs");
    one.wait_event("docs", |e| e["event"] == "session" && e["name"] == "docs");
    let mut two = home.start(&["--json", "-s", "main"]);
    two.send("/echo there");
    two.wait_out("there");
    one.send("/rename papers");
    one.wait_event("papers", |e| e["change"] == "renamed");
    home.wait_query("SELECT count(*) FROM sessions WHERE name = 'papers'", "1");
    // Not in the same moment: the other looks every few milliseconds.
    for nth in 1.. {
        two.send("/sessions");
        two.send(&format!("/echo listed {nth}"));
        two.wait_out(&format!("\"listed {nth}\""));
        if two.out().contains("papers") {
            break;
        }
    }
    two.send("/send papers hello");
    wait_of(&two, 1, "finished");
    home.run(&["--json"], "/new third\n/switch main\n/delete third\n").code(0);
    one.finish().code(0);
    two.finish().code(0);
    assert_eq!(home.query("SELECT name FROM sessions ORDER BY id"), [["main"], ["papers"]]);
}

#[test]
fn closing_one_harms_no_other() {
    let server = Server::start();
    let (mine, theirs) = (gated(&server, "mine", &["one", " two"]), gated(&server, "theirs", &["one", " two"]));
    let home = home(&server);
    let mut one = home.start(&["--json"]);
    one.send("/bg mine");
    mine.release(1);
    one.wait_text(1, "one");
    let mut two = home.start(&["--json"]);
    two.send("/new two");
    two.send("/bg theirs");
    theirs.release(1);
    two.wait_text(2, "one");
    two.send("/send main waits there");
    wait_of(&two, 3, "queued");
    one.send("/quit");
    let one = one.end().code(0);
    assert_eq!(one.named("finished").last().unwrap()["state"], "interrupted");
    theirs.open();
    two.wait_text(2, "one two");
    // What was queued here for the one that left goes on here.
    wait_of(&two, 3, "finished");
    two.finish().code(0);
    assert_eq!(states(&home), [["1", "done"], ["2", "done"], ["3", "done"]]);
    assert_nobody_is_left(&home);
}

#[test]
fn a_session_that_another_opens_again_goes_on_and_one_that_it_deletes_is_left() {
    let server = Server::start();
    let home = home(&server);
    let mut one = home.start(&["--json", "-s", "work"]);
    one.send("/echo here");
    one.wait_out("here");
    home.run(&["--json"], "/new other\n/close work\n/switch work\n/switch other\n").code(0);
    one.send("first");
    wait_of(&one, 1, "finished");
    home.run(&["--json", "-s", "other"], "/delete work\n").code(0);
    wait_said(&one, "was deleted by another chatmux");
    one.send("/switch other");
    one.wait_event("the end of it", |e| e["change"] == "deleted");
    one.send("/wait");
    one.finish().code(0);
    assert_nobody_is_left(&home);
}
