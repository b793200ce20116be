//! A key is nowhere but in the request's header: not in any file, output or error, however the server says it back, and not
//! in what other programs can see of ours.

use std::fs;

use crate::program::{Home, KEY, Program};
use crate::server::{Format, Reply, Server};
use crate::{at_a_prompt, below};

/// A key that JSON may write in another way, and URLs too.
const SLASHED: &str = "sk-e2e/0123+456=789abcde";

/// The files below the home that hold this, those left out that a person wrote.
fn holding(home: &Home, secret: &str, written_by_hand: &[&str]) -> Vec<String> {
    let by_hand: Vec<_> = written_by_hand.iter().map(|name| home.path(name)).collect();
    let files = below(&home.path("")).into_iter().filter(|path| path.is_file() && !by_hand.contains(path));
    let holds = |path: &std::path::PathBuf| {
        fs::read(path).unwrap().windows(secret.len()).any(|window| window == secret.as_bytes())
    };
    files.filter(holds).map(|path| path.display().to_string()).collect()
}

/// Runs a conversation that goes wrong in every way, loudly; the key is nowhere but in the request.
fn assert_unseen(home: &Home, server: &Server, secret: &str, by_hand: &[&str]) {
    for args in [&[][..], &["--json", "--record", "replies"], &["ask", "bad"]] {
        let mut command = home.command(args);
        command.env("CHATMUX_LOG", "trace").env("LOCAL_KEY", secret);
        let mut program = Program::start(command);
        if args != ["ask", "bad"] {
            [
                "good",
                "bad",
                "busy",
                "cut",
                "page",
                "moved",
                "odd",
                "echo",
                "/dead",
                "/queue all",
                "/history",
                "/model",
                "/stats",
            ]
            .iter()
            .for_each(|line| program.send(line));
        }
        let outcome = program.finish().code(1);
        assert!(!outcome.out.contains(secret) && !outcome.err.contains(secret), "{outcome:?}");
    }
    // What was said around it is there.
    let said = home.query("SELECT DISTINCT reasoning, text FROM messages WHERE text LIKE 'it is%'");
    assert_eq!(said, [["so [key], then", "it is [key]."]]);
    let recorded = fs::read_to_string(home.path("replies")).unwrap();
    assert!(recorded.contains("[key]") && recorded.contains("then"), "{recorded}");
    for args in [
        &["config", "show"][..],
        &["config", "check"],
        &["queue", "--json", "--dead"],
        &["sessions", "--json"],
        &["stats", "--json"],
        &["db", "check", "--json"],
        &["db", "backup", "copy.db"],
    ] {
        let outcome = home.run(args, "").code(0);
        assert!(!outcome.out.contains(secret) && !outcome.err.contains(secret), "{args:?}: {outcome:?}");
    }
    assert_eq!(holding(home, secret, by_hand), Vec::<String>::new());
    let log = fs::read_to_string(home.path("state/chatmux/chatmux.log")).unwrap();
    assert!(log.contains("TRACE") || log.contains("DEBUG"), "the log was not loud enough to prove anything");
    assert!(server.requests().iter().all(|request| request.headers.values().any(|value| value.contains(secret))));
}

/// The worst of servers says the key back in every way that it has.
fn says_back(server: &Server, secret: &str) {
    let escaped = secret.replace('/', "\\/");
    let complaint = format!(r#"{{"error":{{"message":"bad key {escaped} (Authorization: Bearer {escaped})"}}}}"#);
    server.on("bad", Reply::status(401, complaint.as_str()).header("x-request-id", secret));
    server.on("busy", Reply::status(500, complaint.as_str()));
    let error = serde_json::json!({"type": "server_error", "message": format!("lost {secret}")});
    server.on("cut", Reply::error_in_stream(&["part"], error));
    server.on("page", Reply::html(&format!("<p>{secret}</p>")));
    server.on("moved", Reply::status(302, "").header("location", &format!("http://127.0.0.1/?key={secret}")));
    let thoughts = ["so ", &secret[..1], &secret[1..9], &secret[9..], ", then"];
    server.on("echo", Reply::thinking(&thoughts, &["it is ", &secret[..20], &format!("{}.", &secret[20..])]));
    server.on("odd", Reply::raw("text/event-stream", vec![format!("data: {{\"key {secret}\n\n").into_bytes()]));
}

#[test]
fn a_key_of_the_environment_is_not_seen() {
    for format in Format::ALL {
        let server = Server::start();
        says_back(&server, SLASHED);
        assert_unseen(&Home::serving(&server, format), &server, SLASHED, &[]);
    }
}

#[test]
fn what_a_key_command_prints_and_takes_is_not_seen() {
    let server = Server::start();
    says_back(&server, SLASHED);
    let home = Home::fresh();
    let url = server.base_url(Format::OpenAi);
    let config = format!(
        "model = \"local:m\"\n[providers.local]\nkind = \"openai\"\nbase_url = \"{url}\"\n\
         api_key_command = \"echo {SLASHED}\"\n[retry]\ninitial_delay = \"10ms\"\n"
    );
    home.configure(&config);
    assert_unseen(&home, &server, SLASHED, &["config/chatmux/config.toml"]);
    home.configure(&config.replace("echo ", "false "));
    let outcome = home.run(&["--json"], "hello\n").code(1);
    assert!(
        outcome.out.contains("the key command `false …` failed") && !outcome.out.contains(SLASHED),
        "{}",
        outcome.out
    );
    assert_eq!(holding(&home, SLASHED, &["config/chatmux/config.toml"]), Vec::<String>::new());
}

#[test]
fn a_header_of_the_configuration_is_not_seen() {
    let server = Server::start();
    says_back(&server, SLASHED);
    let headers = format!("headers = {{ X-Proxy-Token = \"{SLASHED}\" }}\n");
    let home = Home::configured(&server, Format::OpenAi, &headers, "");
    assert_unseen(&home, &server, SLASHED, &["config/chatmux/config.toml"]);
}

/// A key in the configuration is refused, and the refusal does not say it again.
#[test]
fn a_key_in_the_configuration_is_refused_unseen() {
    for line in [
        "base_url = \"http://127.0.0.1:1/v1?key=KEY\"",
        "base_url = \"http://me:KEY@127.0.0.1:1/v1\"",
        "base_url = \"http://127.0.0.1:1/v1#KEY\"",
        "api_key = \"KEY\"",
        "api_key_env = \"KEY\"",
        "api_key_env = KEY",
        "api_key_command = \"echo KEY",
        "headers = { Authorization = \"Bearer KEY\" }",
    ] {
        let home = Home::fresh();
        let line = line.replace("KEY", KEY);
        home.configure(&format!("[providers.local]\nkind = \"openai\"\nmodel = \"m\"\n{line}\n"));
        for args in [&["config", "check"][..], &["config", "show"], &["ask", "hello"]] {
            let outcome = home.run(args, "").code(2);
            assert!(!outcome.err.contains(KEY) && !outcome.out.contains(KEY), "{args:?}: {outcome:?}");
        }
        assert_eq!(holding(&home, KEY, &["config/chatmux/config.toml"]), Vec::<String>::new());
    }
}

/// Who looks at our processes sees no key in an argument, and no core dump can hold one.
#[test]
fn a_key_is_in_no_argument_and_in_no_core_dump() {
    let server = Server::start();
    let home = Home::fresh();
    let url = server.base_url(Format::OpenAi);
    // What the key command is started with, as anyone may see it; its environment is the person's own.
    fs::write(home.path("key.sh"), "tr '\\0' ' ' < /proc/$$/cmdline > seen\ncat /proc/$$/limits > limits\ncat key\n")
        .unwrap();
    fs::write(home.path("key"), KEY).unwrap();
    home.configure(&format!(
        "model = \"local:m\"\n[providers.local]\nkind = \"openai\"\nbase_url = \"{url}\"\napi_key_command = \"sh key.sh\"\n"
    ));
    let mut command = home.command(&["--json"]);
    command.env_remove("LOCAL_KEY");
    let mut program = Program::start(command);
    program.send("hello");
    program.wait_event("an end", |event| event["event"] == "finished");
    let of = |file: &str| fs::read(format!("/proc/{}/{file}", program.id())).unwrap();
    for file in ["cmdline", "environ"] {
        assert!(!of(file).windows(KEY.len()).any(|window| window == KEY.as_bytes()), "{file}");
    }
    let core = |limits: &str| {
        let line = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap().to_owned();
        line.split_whitespace().nth(4).unwrap().to_owned()
    };
    assert_eq!(core(&String::from_utf8(of("limits")).unwrap()), "0");
    program.finish().code(0);
    assert!(!fs::read_to_string(home.path("seen")).unwrap().contains(KEY));
    assert_eq!(core(&fs::read_to_string(home.path("limits")).unwrap()), "0");
    assert!(server.requests()[0].headers["authorization"].contains(KEY));
}

/// The person's editor, and whatever runs in it, has no use for a key.
#[test]
fn an_editor_is_started_without_keys() {
    let server = Server::start();
    let home = Home::serving(&server, Format::OpenAi);
    let mut pty = at_a_prompt(
        &home,
        "EDITOR",
        "tr '\\0' '\\n' < /proc/$$/environ > seen; tr '\\0' ' ' < /proc/$$/cmdline >> seen; printf edited >",
    );
    pty.type_keys("half a line\x18\x05");
    pty.wait_last("1:main> edited");
    pty.type_keys("\r");
    pty.wait_row("echo: edited");
    pty.type_keys("/quit\r");
    assert_eq!(pty.end(), 0);
    let seen = fs::read_to_string(home.path("seen")).unwrap();
    assert!(seen.contains("HOME=") && !seen.contains(KEY) && !seen.contains("LOCAL_KEY"), "{seen}");
    assert!(server.requests()[0].headers["authorization"].contains(KEY), "the request has it all the same");
}
