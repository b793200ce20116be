//! A key is nowhere but in the request's header.

use std::path::Path;

use crate::program::{Home, KEY, Program};
use crate::server::{Format, Reply, Server};

/// Every file below `folder` that holds `KEY`.
fn holding_the_key(folder: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            holding_the_key(&path, found);
        } else if std::fs::read(&path).unwrap().windows(KEY.len()).any(|window| window == KEY.as_bytes()) {
            found.push(path.display().to_string());
        }
    }
}

#[test]
fn keys_are_in_no_file_and_no_output() {
    for format in Format::ALL {
        let server = Server::start();
        // The worst of servers says the key back.
        let said_back = format!(r#"{{"error":{{"message":"bad key {KEY} (Bearer {KEY})"}}}}"#);
        server.on("bad", Reply::status(401, said_back.as_str()));
        server.on("busy", Reply::status(500, said_back));
        let error = serde_json::json!({"type": "server_error", "message": format!("lost {KEY}")});
        server.on("cut", Reply::error_in_stream(&["part"], error));
        let home = Home::serving(&server, format);
        for args in [&[][..], &["--json"]] {
            let mut command = home.command(args);
            command.env("CHATMUX_LOG", "trace");
            let mut program = Program::start(command);
            ["good", "bad", "busy", "cut", "/queue", "/history", "/model", "/sessions"]
                .iter()
                .for_each(|line| program.send(line));
            let outcome = program.finish().code(1);
            assert!(!outcome.out.contains(KEY) && !outcome.err.contains(KEY), "{format:?}: {outcome:?}");
        }
        for args in [&["config", "show"][..], &["config", "check"], &["queue", "--json"], &["sessions", "--json"]] {
            let outcome = home.run(args, "").code(0);
            assert!(!outcome.out.contains(KEY) && !outcome.err.contains(KEY), "{args:?}: {outcome:?}");
        }
        let mut found = Vec::new();
        holding_the_key(&home.path(""), &mut found);
        assert_eq!(found, Vec::<String>::new(), "{format:?}");
        let sent = server.requests()[0].headers.values().any(|value| value.contains(KEY));
        assert!(sent, "the server got it: {format:?}");
    }
}
