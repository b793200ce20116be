//! `chatmux ask`, and the commands that look back.

use crate::program::{Home, history, turns};
use crate::server::{Format, Reply, Server};

#[test]
fn ask_takes_words_context_or_both() {
    let check = |args: &[&str], input: &str, sent: &str| {
        let server = Server::start();
        let home = Home::serving(&server, Format::Anthropic);
        home.run(&[&["ask"], args].concat(), input).code(0).out(&format!("echo: {}\n", sent.trim_end())).quiet();
        assert_eq!(server.requests()[0].turns(), turns(&[("user", sent)]), "{args:?}");
    };
    check(&["what", "is  this?"], "", "what is  this?");
    check(&[], "piped\nlines\n", "piped\nlines\n");
    check(&["any bugs?"], "diff --git\n+x\n", "diff --git\n+x\n\nany bugs?");
    check(&["/quit"], "", "/quit");
    check(&["//x"], "", "//x");
    check(&["\"\"\""], "", "\"\"\"");
    check(&["ends in \\"], "", "ends in \\");
    check(&["--", "-x"], "", "-x");
}

#[test]
fn ask_goes_on_in_a_session_with_its_history() {
    let server = Server::start();
    let home = Home::serving(&server, Format::OpenAi);
    home.run(&["ask", "-s", "docs", "one"], "").code(0).out("echo: one\n");
    home.run(&["-s", "docs", "ask", "two"], "").code(0).out("echo: two\n");
    home.run(&["ask", "alone"], "").code(0).out("echo: alone\n");
    let requests = server.requests();
    assert_eq!(requests[1].turns(), turns(&[("user", "one"), ("assistant", "echo: one"), ("user", "two")]));
    assert_eq!(requests[2].turns(), turns(&[("user", "alone")]));
}

#[test]
fn ask_asks_once_in_a_session_with_an_auto_reply_loop() {
    let server = Server::start();
    let home = Home::serving(&server, Format::OpenAi);
    home.run(&["-s", "docs"], "/auto --max 3 more\n").code(0);
    home.run(&["ask", "-s", "docs", "one"], "").code(0).out("echo: one\n");
    assert_eq!(server.requests().len(), 1);
    home.run(&["-s", "docs"], "two\n").code(0);
    let asked: Vec<_> = server.requests().iter().map(|r| r.last_user()).collect();
    assert_eq!(asked[..3], ["one", "two", "more"], "the loop has stayed");
}

#[test]
fn ask_speaks_json_and_fails_with_a_code() {
    let server = Server::start();
    let home = Home::serving(&server, Format::OpenAi);
    let outcome = home.run(&["ask", "--json", "hi"], "").code(0);
    assert_eq!(outcome.named("finished")[0]["text"], "echo: hi");
    server.on("bad", Reply::status(400, r#"{"error":{"message":"no such thing"}}"#));
    home.run(&["ask", "bad"], "").code(1).out("").err(&["no such thing"]);
    for input in ["", " \n"] {
        home.run(&["ask"], input).code(2).out("").err(&["chatmux ask"]);
    }
    home.run(&["ask", "  "], "").code(2).out("");
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn history_shows_the_last_messages() {
    let home = Home::echo();
    let outcome = home.run(&["--json"], "one\ntwo\nthree\n/history 2\n").code(0);
    let last = [("user", "three", "complete"), ("assistant", "three", "complete")];
    let own = last.map(|(role, text, state)| (role.to_owned(), text.to_owned(), state.to_owned()));
    assert_eq!(history(&outcome.result("history")), own);
    let outcome = home.run(&["--json"], "/history\n").code(0);
    assert_eq!(history(&outcome.result("history")).len(), 6, "it is there after a restart");
    let outcome = home.run(&[], "/new empty\n/history\n/history 0\n/history x\n").code(1);
    assert!(outcome.err.contains("line 4: "), "{}", outcome.err);
}

#[test]
fn replay_shows_what_was_missed_in_the_background() {
    let server = Server::start();
    let home = Home::serving(&server, Format::OpenAi);
    let script = "/new two\n/switch 1\n/send two while away\n/wait\n/switch two\n/replay\n";
    let outcome = home.run(&["--json"], script).code(0);
    let texts: Vec<_> = history(&outcome.result("replay")).into_iter().map(|(_, text, _)| text).collect();
    assert_eq!(texts, ["while away", "echo: while away"]);
}

#[test]
fn queue_shows_what_failed_with_its_reason() {
    let server = Server::start();
    server.on("bad", Reply::status(400, r#"{"error":{"message":"no such thing"}}"#));
    let home = Home::serving(&server, Format::OpenAi);
    let outcome = home.run(&["--json"], "bad\n/queue\n/queue all\n").code(1);
    let queues: Vec<_> = outcome.named("result").iter().map(|e| e["data"].clone()).collect();
    assert_eq!(queues[0], queues[1]);
    let dead = &queues[0][0];
    assert_eq!((&dead["entry"], &dead["state"], &dead["attempts"]), (&1.into(), &"dead".into(), &1.into()));
    assert_eq!((&dead["text"], &dead["error"]["status"]), (&"bad".into(), &400.into()));
    let text = home.run(&[], "/queue\n").code(0).out;
    assert!(text.contains("#1") && text.contains("dead") && text.contains("no such thing"), "{text}");
}
