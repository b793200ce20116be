//! The commands of the command line besides `ask`.

use std::os::unix::fs::PermissionsExt;

use crate::program::{Home, KEY};
use crate::server::{Format, Gate, Reply, Server};

#[test]
fn version_and_help_are_on_stdout() {
    let home = Home::fresh();
    home.run(&["--version"], "").code(0).out(&format!("chatmux {}\n", env!("CARGO_PKG_VERSION"))).quiet();
    let help = home.run(&["--help"], "").code(0).quiet().out;
    for part in ["--session", "--model", "--db", "--config", "--json", "--color", "ask", "sessions", "queue", "131/143"]
    {
        assert!(help.contains(part), "{part} is missing in\n{help}");
    }
    assert!(!home.database().exists(), "help makes no database");
}

#[test]
fn completions_and_the_man_page_are_printed() {
    let home = Home::fresh();
    for shell in ["bash", "zsh", "fish"] {
        let script = home.run(&["completions", shell], "").code(0).quiet().out;
        assert!(script.contains("chatmux") && script.contains("fail-fast"), "{shell}");
    }
    assert!(home.run(&["man"], "").code(0).quiet().out.contains(".TH chatmux 1"));
    home.run(&["completions", "csh"], "").code(2).out("");
}

#[test]
fn sessions_lists_one_object_a_line() {
    let home = Home::echo();
    home.run(&["sessions"], "").code(0);
    home.run(&["sessions", "--json"], "").code(0).out("");
    assert!(!home.database().exists(), "a listing makes no database");
    home.run(&[], "hello\n/new docs\n").code(0);
    let rows = home.run(&["sessions", "--json"], "").code(0).quiet().events();
    let of = |row: &serde_json::Value| {
        (row["session"].clone(), row["name"].clone(), row["model"].clone(), row["messages"].clone())
    };
    let expected = [
        (1.into(), "main".into(), "demo:echo".into(), 2.into()),
        (2.into(), "docs".into(), "demo:echo".into(), 0.into()),
    ];
    assert_eq!(rows.iter().map(of).collect::<Vec<_>>(), expected);
    let text = home.run(&["sessions"], "").code(0).out;
    assert_eq!(text, "1:main  demo:echo  2 messages\n2:docs  demo:echo  0 messages\n");
}

#[test]
fn listings_do_not_disturb_who_works() {
    let (server, gate) = (Server::start(), Gate::default());
    server.on("long", Reply::words(&["part", " rest"]).gate(&gate));
    let home = Home::serving(&server, Format::OpenAi);
    let mut program = home.start(&["--json"]);
    program.send("/bg long");
    gate.release(1);
    program.wait_text(1, "part");
    program.send("/bg next");
    program.wait_event("the next", |e| e["event"] == "queued" && e["entry"] == 2);
    let queue = home.run(&["queue", "--json"], "").code(0).events();
    let states: Vec<_> = queue.iter().map(|e| (e["entry"].clone(), e["state"].clone(), e["held"].clone())).collect();
    assert_eq!(states, [(1.into(), "running".into(), false.into()), (2.into(), "pending".into(), false.into())]);
    assert_eq!(home.run(&["sessions", "--json"], "").code(0).events()[0]["running"], true);
    gate.open();
    let outcome = program.finish().code(0);
    assert_eq!(outcome.named("finished")[0]["text"], "part rest");
}

#[test]
fn config_path_show_init_and_check() {
    let home = Home::fresh();
    let path = home.run(&["config", "path"], "").code(0).quiet().out;
    for part in ["config/chatmux/config.toml", "data/chatmux/chatmux.db", "state/chatmux/chatmux.log"] {
        assert!(path.contains(part), "{part} is missing in\n{path}");
    }
    home.run(&["config", "init"], "").code(0);
    let file = home.path("config/chatmux/config.toml");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    home.run(&["config", "check"], "").code(0);
    home.run(&["config", "init"], "").code(2).err(&["exists already"]);
    std::fs::write(&file, "model = \"local:x\"\n[providers.local]\nkind = \"openai\"\nbase_url = \"http://127.0.0.1:1/v1\"\napi_key_env = \"LOCAL_KEY\"\n").unwrap();
    let shown = home.run(&["config", "show"], "").code(0).out;
    assert!(shown.contains("local:x") && shown.contains("LOCAL_KEY") && !shown.contains(KEY), "{shown}");
    std::fs::write(&file, "model = \"demo:echo\"\n\n[queue]\nmax_pendin = 3\n").unwrap();
    let place = format!("{}:4:1", file.display());
    for action in ["check", "show"] {
        home.run(&["config", action], "").code(2).out("").err(&[&place]);
    }
}

#[test]
fn files_are_for_their_owner_alone() {
    let home = Home::fresh();
    let mut command = home.command(&[]);
    command.env("CHATMUX_MODEL", "demo:echo");
    crate::program::Program::start(command).finish().code(0);
    for (path, mode) in
        [("data/chatmux", 0o700), ("data/chatmux/chatmux.db", 0o600), ("state/chatmux/chatmux.log", 0o600)]
    {
        let found = std::fs::metadata(home.path(path)).unwrap().permissions().mode() & 0o777;
        assert_eq!(found, mode, "{path}");
    }
}

#[test]
fn flags_beat_the_environment_beats_the_file() {
    let home = Home::fresh();
    home.configure("model = \"demo:echo?words=1\"\n");
    let model = |args: &[&str], env: Option<&str>| {
        let mut command = home.command(&[&["--json", "-s"], args].concat());
        command.envs(env.map(|model| ("CHATMUX_MODEL", model)));
        crate::program::Program::start(command).finish().code(0).events()[0]["model"].clone()
    };
    assert_eq!(model(&["a"], None), "demo:echo?words=1");
    assert_eq!(model(&["b"], Some("demo:echo?words=2")), "demo:echo?words=2");
    assert_eq!(model(&["c", "-m", "demo:echo?words=3"], Some("demo:echo?words=2")), "demo:echo?words=3");
    assert_eq!(
        model(&["a", "-m", "demo:echo?words=3"], None),
        "demo:echo?words=1",
        "only for sessions created from now on"
    );
}
