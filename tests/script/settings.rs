//! `/set` and `/attach` from a script: what is kept, what goes along with a message, and what is refused.

use serde_json::json;

use crate::program::Home;
use crate::server::{Format, Gate, Reply, Server};

#[test]
fn settings_are_listed_and_those_of_a_session_are_kept() {
    let home = Home::echo();
    let script = "/set notify fail\n/new two\n/set\n/set reasoning hide\n/set alert bell\n";
    let outcome = home.run(&["--json"], script).code(0);
    let fresh = json!({ "notify": "done", "reasoning": "dim", "render": "markdown", "alert": "none" });
    assert_eq!(outcome.result("set"), fresh);
    assert_eq!(outcome.named("notice")[0]["text"], "notify of session 1 is fail");
    let kept = home.run(&["--json", "-s", "1"], "/set\n").code(0).result("set");
    assert_eq!(kept, json!({ "notify": "fail", "reasoning": "dim", "render": "markdown", "alert": "none" }));
    let back = home.run(&["-s", "1"], "/set notify default\n/set\n").code(0);
    let back = back.err(&["notify of session 1 is done, as the configuration says"]);
    assert_eq!(back.out.lines().next(), Some("notify     done (default)  all|done|fail|none|default"));
    assert_eq!(back.out.lines().count(), 4);
}

#[test]
fn the_configuration_is_what_a_session_without_a_word_of_its_own_has() {
    let home = Home::echo();
    home.configure("model = \"demo:echo\"\n[ui]\nnotify = \"all\"\nalert = \"osc9\"\nreasoning = \"hide\"\n");
    let data = home.run(&["--json"], "/set\n").code(0).result("set");
    assert_eq!(data, json!({ "notify": "all", "reasoning": "hide", "render": "markdown", "alert": "osc9" }));
}

#[test]
fn a_setting_that_is_not_understood_is_an_error_with_the_nearest() {
    let outcome = Home::echo().run(&[], "/set notfy fail\n/set notify fial\n/set notify\n").code(1).out("");
    outcome.err(&[
        "line 1: ",
        "did you mean notify?",
        "line 2: ",
        "did you mean fail?",
        "line 3: ",
        "notify is one of",
    ]);
}

#[test]
fn what_a_silent_session_does_is_told_to_a_script_all_the_same() {
    let server = Server::start();
    server.on("bad", Reply::status(400, r#"{"error":{"message":"no such thing"}}"#));
    let home = Home::serving(&server, Format::OpenAi);
    let script = "/new two\n/set notify none\n/switch 1\n/send two hello\n/wait all\n/send two bad\n/wait all\n";
    home.run(&[], script).code(1).err(&["[2 two] failed: 400 no such thing"]);
    let outcome = home.run(&["--json"], "/send two hello\n").code(0);
    assert_eq!((outcome.named("started").len(), outcome.named("finished").len()), (1, 1));
}

#[test]
fn what_is_attached_stands_before_the_message_and_goes_once() {
    let server = Server::start();
    let home = Home::serving(&server, Format::OpenAi);
    std::fs::write(home.path("a.rs"), "fn a() {}\n").unwrap();
    std::fs::write(home.path("my notes"), "```\nb").unwrap();
    let script =
        "/attach ~/a.rs\n/attach \"my notes\"\n/attach\n/send 1 elsewhere\n/wait\nwhat is this?\nand now?\n/attach\n";
    let outcome = home.run(&["--json"], script).code(0);
    let said: Vec<_> = outcome.named("notice").iter().map(|e| e["text"].clone()).collect();
    let expected = [
        "attached ~/a.rs, 10 B: goes along with the next message",
        "attached my notes, 5 B: goes along with the next message",
    ];
    assert_eq!(said, expected);
    let lists: Vec<_> = outcome.named("result").iter().map(|e| e["data"].clone()).collect();
    assert_eq!(lists[0], json!([{ "name": "~/a.rs", "bytes": 10 }, { "name": "my notes", "bytes": 5 }]));
    assert_eq!(lists[1], json!([]));
    let asked: Vec<_> = server.requests().iter().map(|request| request.last_user()).collect();
    let whole = "File: ~/a.rs\n```\nfn a() {}\n```\n\nFile: my notes\n````\n```\nb\n````\n\nwhat is this?";
    assert_eq!(asked, ["elsewhere", whole, "and now?"]);
}

#[test]
fn what_is_attached_outlives_the_process_and_is_its_sessions_own() {
    let server = Server::start();
    let home = Home::serving(&server, Format::OpenAi);
    std::fs::write(home.path("a"), "one").unwrap();
    home.run(&[], "/attach a\n/new two\n").code(0).err(&["attached a, 3 B"]);
    home.run(&["-s", "two"], "hello\n").code(0);
    home.run(&["ask", "-s", "main", "what is it?"], "").code(0);
    let asked: Vec<_> = server.requests().iter().map(|request| request.last_user()).collect();
    assert_eq!(asked, ["hello", "File: a\n```\none\n```\n\nwhat is it?"]);
    home.run(&["-s", "main"], "/attach a\n/attach off\n/attach\n/attach -\nplain\n").code(0).err(&[
        "attached a",
        "the file that was attached does not go along any more",
        "nothing is attached here",
    ]);
    assert_eq!(server.requests()[2].last_user(), "plain");
    // One is shown what one attached by its name, and a program all of it.
    let looked = home.run(&["-s", "main"], "/history 4\n").code(0).out;
    assert!(looked.starts_with("1:main> [file a]\nwhat is it?\necho: File: a\n"), "{looked}");
    let data = home.run(&["--json", "-s", "main"], "/history 4\n").code(0).result("history");
    assert_eq!(data[0]["text"], "File: a\n```\none\n```\n\nwhat is it?");
    home.assert_sound();
}

#[test]
fn a_message_that_is_refused_keeps_what_is_attached() {
    let (server, gate) = (Server::start(), Gate::default());
    server.on("first", Reply::words(&["one"]).gate(&gate));
    let home = Home::configured(&server, Format::OpenAi, "", "[queue]\nmax_pending = 1\n");
    std::fs::write(home.path("a"), "one").unwrap();
    let mut program = home.start(&["--json"]);
    program.send("/bg first");
    program.wait_in(1, "started");
    program.send("/bg second");
    program.send("/attach a");
    program.send("/bg refused");
    program.wait_event("the refusal", |e| e["event"] == "error" && e["line"] == 4);
    gate.open();
    program.send("/wait");
    program.send("taken");
    program.finish().code(1);
    let last = server.requests().last().unwrap().last_user();
    assert_eq!(last, "File: a\n```\none\n```\n\ntaken");
}

#[test]
fn files_that_cannot_go_along_say_why_and_none_of_them_does() {
    let home = Home::echo();
    std::fs::write(home.path("good"), "good").unwrap();
    std::fs::write(home.path("latin"), b"caf\xe9").unwrap();
    std::fs::write(home.path("long"), vec![b'a'; (4 << 20) + 1]).unwrap();
    std::fs::write(home.path("half"), vec![b'a'; 2 << 20]).unwrap();
    std::fs::write(home.path("half2"), vec![b'a'; 2 << 20]).unwrap();
    std::fs::create_dir(home.path("folder")).unwrap();
    let script = "/attach good none\n/attach good folder\n/attach good latin\n/attach good long\n/attach half half2\n\
                  /attach it's\n/attach /dev/null\n/attach\n";
    let outcome = home.run(&["--json"], script).code(1);
    let errors: Vec<_> = outcome.named("error").iter().map(|e| e["text"].as_str().unwrap().to_owned()).collect();
    let parts = [
        "/attach: none is not there",
        "/attach: folder is a directory: name the files in it",
        "/attach: latin is not UTF-8 text (byte 4)",
        "/attach: long is too long",
        "4.0 MiB with what is attached is too long: the limit is 4 MiB",
        "/attach: the ' is not closed",
        "/attach: /dev/null is no plain file",
    ];
    assert_eq!(errors.len(), parts.len(), "{errors:#?}");
    for (error, part) in errors.iter().zip(parts) {
        assert!(error.starts_with(part), "{error:?} does not begin with {part:?}");
    }
    assert_eq!(outcome.result("attach"), json!([]));
}

#[test]
fn an_at_sign_is_sent_as_it_stands() {
    let home = Home::echo();
    std::fs::write(home.path("a"), "secret").unwrap();
    home.run(&[], "what is @a?\n").code(0).out("what is @a?\n").quiet();
}
