//! Starts that cannot be: usage, configuration, database. Each with its exit code and the remedy.

use std::fs::{Permissions, create_dir_all, set_permissions, write};
use std::os::unix::fs::PermissionsExt;

use crate::program::{Home, Program};

#[test]
fn bad_usage() {
    let home = Home::echo();
    for args in
        [&["--nope"][..], &["sesions"], &["-m", ":x"], &["-s", "a b"], &["--color", "pink"], &["config"], &["ask"]]
    {
        let outcome = home.run(args, "").code(2).out("");
        assert!(!outcome.err.is_empty(), "{args:?}");
    }
    home.run(&["-s", "7"], "").code(2).out("").err(&["session 7"]);
    home.run(&["-m", "opnai:x"], "").code(2).out("").err(&["opnai", "openai"]);
    home.run(&["queue", "-s", "nope"], "").code(2).out("").err(&["session nope"]);
}

#[test]
fn a_broken_configuration_is_told_by_its_place() {
    let check = |text: &str, place: &str, said: &[&str]| {
        let home = Home::fresh();
        home.configure(text);
        let file = home.path("config/chatmux/config.toml");
        let place = format!("{}:{place}", file.display());
        home.run(&[], "hello\n").code(2).out("").err(&[&[place.as_str()], said].concat());
        assert!(!home.database().exists(), "nothing was begun");
    };
    check("model = \n", "1:", &[]);
    check("model = \"demo:echo\"\n[queue]\nmax_pendin = 3\n", "3:1: ", &["max_pending"]);
    check("[retry]\ninitial_delay = \"soon\"\n", "2:17: ", &["soon"]);
    check("model = \"opnai:x\"\n", "1:9: ", &["openai"]);
    check("[providers.x]\nkind = \"opena\"\n", "2:8: ", &["openai"]);
    let home = Home::fresh();
    home.run(&["--config", "missing.toml"], "").code(2).out("").err(&["missing.toml", "config init"]);
}

#[test]
fn an_unusable_database() {
    let home = Home::echo();
    home.run(&[], "hello\n").code(0);
    let check = |file: &str, said: &[&str]| {
        for args in [&["--db", file][..], &["--db", file, "ask", "why"]] {
            home.run(args, "hello\n").code(3).out("").err(&[&[file], said].concat());
        }
    };
    create_dir_all(home.path("folder")).unwrap();
    check("folder", &["--db"]);
    write(home.path("text"), "this is no database, however long one reads it\n".repeat(100)).unwrap();
    check("text", &["not a database", "--db"]);
    assert!(std::fs::read_to_string(home.path("text")).unwrap().starts_with("this is no database"));
    let other = rusqlite::Connection::open(home.path("other")).unwrap();
    other.execute_batch("CREATE TABLE notes (text TEXT)").unwrap();
    check("other", &["another program", "--db"]);
    std::fs::copy(home.database(), home.path("newer")).unwrap();
    rusqlite::Connection::open(home.path("newer")).unwrap().pragma_update(None, "user_version", 999).unwrap();
    check("newer", &["newer chatmux", "upgrade"]);
    std::fs::copy(home.database(), home.path("fixed")).unwrap();
    set_permissions(home.path("fixed"), Permissions::from_mode(0o400)).unwrap();
    check("fixed", &["chmod u+w"]);
    create_dir_all(home.path("shut")).unwrap();
    set_permissions(home.path("shut"), Permissions::from_mode(0o500)).unwrap();
    check("shut/chatmux.db", &["folder", "chmod u+w"]);
    check("text/chatmux.db", &[]);
    home.run(&[], "again\n").code(0).out("again\n").quiet();
}

/// That a home that is missing is told with its remedy is tested in `config`: here the platform may know this user's own, which no
/// test touches.
#[test]
fn where_all_files_are_named_no_home_is_needed() {
    let home = Home::echo();
    let config = home.path("config/chatmux/config.toml");
    let mut command =
        home.command(&["--db", "here.db", "--config", &config.to_string_lossy(), "-m", "demo:echo", "ask", "why"]);
    ["HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"].iter().for_each(|name| _ = command.env_remove(name));
    Program::start(command).finish().code(0).out("why\n").quiet();
    assert!(home.path("here.db").exists());
}

#[test]
fn a_variable_that_is_set_to_nothing_is_unset() {
    let home = Home::echo();
    for value in ["", " ", "\t"] {
        for name in ["CHATMUX_MODEL", "CHATMUX_DB", "CHATMUX_CONFIG", "CHATMUX_LOG", "OPENAI_API_KEY"] {
            for args in [&["ask", "hi"][..], &[]] {
                let mut command = home.command(args);
                command.env(name, value);
                let mut program = Program::start(command);
                if args.is_empty() {
                    program.send("hi");
                }
                program.finish().code(0).out("hi\n").quiet();
            }
        }
    }
    assert!(home.database().exists(), "the place where it is looked for");
    // What was typed is still wrong.
    home.run(&["-m", "", "ask", "hi"], "").code(2);
    home.run(&["--db", "", "ask", "hi"], "").code(2);
}

#[test]
fn a_database_with_a_second_hard_link_is_refused() {
    let home = Home::echo();
    home.run(&[], "kept\n").code(0);
    let (first, other) = (home.database(), home.path("other.db"));
    let mut open = home.start(&["--json"]);
    open.send("who has it open");
    open.wait_out("\"finished\"");
    std::fs::hard_link(&first, &other).unwrap();
    let other_name = other.to_str().unwrap();
    for args in [&["--db", other_name][..], &[], &["--db", other_name, "sessions"], &["db", "check"], &["ask", "x"]] {
        let outcome = home.run(args, "not this\n").code(3).out("");
        assert!(outcome.err.contains("has another name (a hard link)"), "{args:?}: {}", outcome.err);
        assert!(outcome.err.contains("ln -s"), "{args:?}: {}", outcome.err);
    }
    open.send("goes on");
    open.finish().code(0);
    // A symbolic link leads to the same file.
    std::fs::remove_file(&other).unwrap();
    std::os::unix::fs::symlink(&first, &other).unwrap();
    home.run(&["--db", other_name], "by a link\n").code(0).out("by a link\n");
    let texts = home.query("SELECT text FROM messages WHERE role = 'user' ORDER BY id");
    assert_eq!(texts, [["kept"], ["who has it open"], ["goes on"], ["by a link"]]);
}
