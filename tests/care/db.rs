//! `chatmux db`.

use std::fs;

use rusqlite::Connection;
use serde_json::json;

use crate::program::Home;
use crate::server::{Format, Gate, Reply, Server};
use crate::{below, run_after};

/// Writes nothing beyond so many bytes into one file: the nearest to a full disk that needs no privilege.
const ALMOST_FULL: &str = "trap '' XFSZ; ulimit -f 64";

fn used() -> Home {
    let home = Home::echo();
    home.run(&[], "hello\n/new docs\nworld\n/close docs\n").code(0);
    home
}

#[test]
fn the_path_is_printed_for_scripts() {
    let home = Home::fresh();
    home.run(&["db", "path"], "").code(0).quiet().out(&format!("{}\n", home.database().display()));
    let elsewhere = home.path("else where.db");
    let printed = home.run(&["--db", "else where.db", "db", "path"], "").code(0).quiet().out;
    assert!(printed.ends_with("/else where.db\n") && printed.starts_with('/'), "{printed}");
    let data = home.run(&["db", "path", "--json", "--db", elsewhere.to_str().unwrap()], "").code(0).result("db path");
    assert_eq!(data, json!({ "path": elsewhere }));
    assert!(!home.database().exists());
}

#[test]
fn a_check_says_what_is_there() {
    let home = used();
    let text = home.run(&["db", "check"], "").code(0).quiet().out;
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[0], home.database().display().to_string());
    let expected = ["sessions  1 open, 1 archived", "messages  4", "entries   2 done", "sound"];
    assert_eq!(lines[3..], expected, "{text}");
    let data = home.run(&["db", "check", "--json"], "").code(0).quiet().result("db check");
    assert_eq!(data["sound"], true);
    assert_eq!(data["counts"]["entries"], json!({"pending":0,"running":0,"done":2,"cancelled":0,"dead":0}));
    assert_eq!((&data["counts"]["sessions"], &data["counts"]["messages"]), (&json!(1), &json!(4)));
    assert_eq!(data["file_bytes"], fs::metadata(home.database()).unwrap().len());
}

#[test]
fn a_wrong_configuration_leaves_nobody_without_care() {
    let home = used();
    home.configure("nonsense = [");
    home.run(&["db", "check"], "").code(0).quiet();
    home.run(&["sessions"], "").code(2);
}

#[test]
fn where_there_is_no_database_none_is_made() {
    let home = Home::fresh();
    for args in [&["db", "check"][..], &["db", "vacuum"], &["db", "backup", "copy.db"]] {
        home.run(args, "").code(3).out("").err(&["does not exist or is empty", "--db"]);
    }
    assert!(below(&home.path("")).is_empty(), "{:?}", below(&home.path("")));
}

#[test]
fn damage_is_told_with_its_remedy() {
    let home = used();
    let mut bytes = fs::read(home.database()).unwrap();
    let at = bytes.windows(5).position(|window| window == b"hello").unwrap() / 4_096 * 4_096;
    bytes[at..at + 64].fill(0xff);
    fs::write(home.database(), bytes).unwrap();
    let text = home.run(&["db", "check"], "").code(3).quiet().out;
    assert!(
        text.contains("\ndamaged: ")
            && text.contains("\nrestore it from a backup, save what can be read of it (chatmux db salvage FILE NEW)"),
        "{text}"
    );
    let data = home.run(&["db", "check", "--json"], "").code(3).quiet().result("db check");
    assert!(data["sound"] == false && !data["faults"].as_array().unwrap().is_empty(), "{data}");
    home.run(&["db", "backup", "copy.db"], "").code(3).err(&["is damaged"]);
    assert!(!home.path("copy.db").exists());
}

#[test]
fn care_is_taken_while_an_answer_streams() {
    let (server, gate) = (Server::start(), Gate::default());
    server.on("long", Reply::words(&["part", " rest"]).gate(&gate));
    let home = Home::serving(&server, Format::OpenAi);
    let mut program = home.start(&["--json"]);
    program.send("/bg long");
    gate.release(1);
    program.wait_text(1, "part");
    home.wait_query("SELECT count(*) FROM chunks", "1");
    let data = home.run(&["db", "check", "--json"], "").code(0).quiet().result("db check");
    assert_eq!((&data["sound"], &data["counts"]["entries"]["running"]), (&json!(true), &json!(1)));
    home.run(&["db", "backup", "copy.db"], "").code(0).quiet();
    home.run(&["db", "vacuum"], "").code(0).quiet();
    gate.open();
    assert_eq!(program.finish().code(0).named("finished")[0]["text"], "part rest");
    home.assert_sound();

    // The copy is of that moment, and a database: what streamed then is a partial there.
    let outcome = home.run(&["--db", "copy.db", "--json"], "/history\n").code(0);
    assert_eq!(outcome.result("history")[1]["text"], "part");
    assert!(outcome.out.contains("an answer was cut when chatmux ended"), "{}", outcome.out);
}

#[test]
fn a_backup_says_its_size_and_overwrites_nothing() {
    let home = used();
    let outcome = home.run(&["db", "backup", "copy.db"], "").code(0).quiet();
    assert!(outcome.out.ends_with(" KiB written to copy.db: a database, as --db takes it\n"), "{}", outcome.out);
    let bytes = fs::metadata(home.path("copy.db")).unwrap().len();
    home.run(&["db", "backup", "copy.db"], "").code(2).out("").err(&["exists already", "name another file"]);
    let data = home.run(&["db", "backup", "b.db", "--json"], "").code(0).quiet().result("db backup");
    assert_eq!(data, json!({ "path": "b.db", "bytes": bytes }));
    for own in ["data/chatmux/chatmux.db", "data/chatmux/chatmux.db-wal", "data/chatmux/chatmux.db.lock"] {
        home.run(&["db", "backup", own], "").code(2).err(&["the database's own"]);
    }
    home.run(&["db", "backup", "no/such/copy.db"], "").code(3).err(&["its folder does not exist"]);
    home.run(&["db", "check"], "").code(0);
}

#[test]
fn a_backup_that_finds_no_space_leaves_nothing() {
    let home = used();
    run_after(&home, ALMOST_FULL, &["db", "backup", "copy.db"], "")
        .code(3)
        .out("")
        .err(&["could not be written", "no space is left"]);
    let left = below(&home.path("")).into_iter().filter(|path| path.to_string_lossy().contains("copy"));
    assert_eq!(left.collect::<Vec<_>>(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn unused_space_is_given_back() {
    let home = used();
    let size = || fs::metadata(home.database()).unwrap().len();
    let raw = Connection::open(home.database()).unwrap();
    raw.execute("UPDATE sessions SET draft = ?1", ["x".repeat(1 << 20)]).unwrap();
    raw.execute("UPDATE sessions SET draft = ''", []).unwrap();
    raw.close().unwrap();
    let before = size();
    let outcome = home.run(&["db", "vacuum"], "").code(0).quiet();
    assert!(outcome.out.contains(" MiB before, ") && outcome.out.ends_with(" now\n"), "{}", outcome.out);
    assert!(size() < before - (1 << 20));
    home.assert_sound();
    let raw = Connection::open(home.database()).unwrap();
    raw.execute_batch("BEGIN IMMEDIATE").unwrap();
    let outcome = home.run(&["db", "vacuum"], "").code(3).out("").err(&["is in use", "try again"]);
    assert!(!outcome.err.contains("locked"), "{}", outcome.err);
}

#[test]
fn lists_are_read_where_nothing_can_be_written() {
    use std::os::unix::fs::PermissionsExt;
    let home = used();
    let lists: [&[&str]; 6] =
        [&["sessions"], &["sessions", "--json"], &["queue"], &["queue", "--json"], &["stats"], &["stats", "--json"]];
    let before = lists.map(|args| home.run(args, "").code(0).quiet().out);
    let folder = home.database().parent().unwrap().to_owned();
    fs::set_permissions(home.database(), fs::Permissions::from_mode(0o400)).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o500)).unwrap();
    let listed = below(&folder);
    let after = lists.map(|args| home.run(args, "").code(0).quiet().out);
    assert_eq!(below(&folder), listed, "nothing is made there");
    home.run(&["ask", "hello"], "").code(3).err(&["cannot be"]);
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(after, before);
}

#[test]
fn a_trigger_that_no_chatmux_made_is_refused_by_name() {
    let home = used();
    let endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n";
    let raw = Connection::open(home.database()).unwrap();
    raw.execute_batch(&format!("CREATE TRIGGER evil AFTER INSERT ON processes BEGIN {endless}; END")).unwrap();
    raw.close().unwrap();
    for args in [&["ask", "hello"][..], &["sessions"], &["work"], &["stats"]] {
        home.run(args, "").code(3).out("").err(&["trigger evil", "DROP TRIGGER \"evil\"", "chatmux db salvage"]);
    }
    let text = home.run(&["db", "check"], "").code(3).quiet().out;
    assert!(text.contains("\ndamaged: trigger evil was made by no chatmux\n"), "{text}");
}

#[test]
fn a_damaged_database_is_salvaged() {
    let home = used();
    let mut bytes = fs::read(home.database()).unwrap();
    bytes[..4_096].fill(0);
    fs::write(home.database(), &bytes).unwrap();
    home.run(&["sessions"], "").code(3).err(&["chatmux db salvage FILE NEW"]);
    let file = home.database().to_str().unwrap().to_owned();
    let text = home.run(&["db", "salvage", &file, "new.db"], "").code(1).quiet().out;
    assert!(text.starts_with("2 sessions, 2 entries, 4 messages, "), "{text}");
    assert!(text.contains("\nthe first page is lost: "), "{text}");
    assert_eq!(fs::read(home.database()).unwrap(), bytes);
    let history = home.run(&["--db", "new.db", "--json", "-s", "main"], "/history\n").code(0).result("history");
    assert_eq!((&history[0]["text"], &history[1]["text"]), (&json!("hello"), &json!("hello")));
    home.run(&["db", "salvage", &file, "new.db"], "").code(2).out("").err(&["exists already"]);

    let sound = home.path("new.db");
    let data = home
        .run(&["db", "salvage", sound.to_str().unwrap(), "again.db", "--json"], "")
        .code(0)
        .quiet()
        .result("db salvage");
    assert_eq!((&data["complete"], &data["found"]["messages"]), (&json!(true), &json!(4)));
    home.run(&["db", "salvage", "nowhere.db", "x.db"], "").code(3).out("").err(&["does not exist"]);
    fs::write(home.path("notes.txt"), "dear diary").unwrap();
    home.run(&["db", "salvage", "notes.txt", "x.db"], "").code(3).out("").err(&["nothing of a chatmux database"]);
}
