//! `--record`: what the servers replied, without keys, to be played again.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::program::{Home, KEY, Outcome};
use crate::server::{End, Format, Reply, Server};

#[test]
fn a_recorded_file_is_played_again() {
    for format in Format::ALL {
        let server = Server::start();
        server.next(Reply::status(503, r#"{"error":{"message":"busy"}}"#).header("retry-after-ms", "20"));
        server.next(Reply::words(&["half an ", "ans"]).end(End::Truncated));
        let home = Home::serving(&server, format);
        let file = home.path("replies");
        let path = file.to_str().unwrap();
        let first = home.run(&["--json", "--record", path], "why\n").code(1);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

        let again = Server::start();
        let replies = Reply::recorded(&fs::read(&file).unwrap());
        assert_eq!(replies.iter().map(|reply| reply.status).collect::<Vec<_>>(), [503, 200]);
        replies.into_iter().for_each(|reply| again.next(reply));
        let second = Home::serving(&again, format).run(&["--json"], "why\n").code(1);
        let told = |outcome: &Outcome| {
            let (retry, finished) = (outcome.named("retry"), outcome.named("finished"));
            let error = &finished[0]["error"];
            (retry[0]["error"]["status"].clone(), finished[0]["text"].clone(), error["kind"].clone(), retry.len())
        };
        assert_eq!(told(&first), told(&second), "{format:?}");
        assert_eq!(told(&second).1, "half an ans");
    }
}

#[test]
fn no_key_is_recorded() {
    for format in Format::ALL {
        let server = Server::start();
        let (begin, end) = KEY.split_at(5);
        server.next(Reply::words(&["your key is ", begin, end, "!"]));
        server.next(Reply::status(401, format!("{{\"error\":{{\"message\":\"wrong key {KEY}\"}}}}")));
        let home = Home::serving(&server, format);
        let file = home.path("replies");
        home.run(&["--record", file.to_str().unwrap()], "one\ntwo\n").code(1);
        let recorded = String::from_utf8(fs::read(&file).unwrap()).unwrap();
        assert!(!recorded.contains(KEY) && recorded.contains("wrong key [key]"), "{recorded}");
        assert!(!recorded.to_lowercase().contains("authorization"), "{recorded}");
    }
}

#[test]
fn a_file_that_cannot_be_written_is_told_at_the_start() {
    let server = Server::start();
    let home = Home::serving(&server, Format::OpenAi);
    let file = home.path("none/replies");
    home.run(&["--record", file.to_str().unwrap(), "ask", "hi"], "")
        .code(2)
        .out("")
        .err(&["--record", "cannot be written"]);
    assert!(server.requests().is_empty());
}
