//! What other systems put around and into text: byte order marks, CRLF, names in another normal form, characters that nobody sees.
//! None of it is sent, and no name is two.

use std::fs;

use crate::program::{Home, Program, turns};
use crate::server::{Format, Server};

const BOM: &str = "\u{feff}";

fn sent(home: &Home, server: &Server, args: &[&str], input: &str) -> String {
    let before = server.requests().len();
    home.run(args, input).code(0);
    server.requests()[before].last_user()
}

#[test]
fn a_byte_order_mark_and_crlf_are_not_sent() {
    let server = Server::start();
    let home = Home::serving(&server, Format::OpenAi);
    fs::write(home.path("notes.txt"), format!("{BOM}a;b\r\n")).unwrap();
    let check = |args: &[&str], input: String, expected: &str| {
        assert_eq!(sent(&home, &server, args, &input), expected, "{args:?} {input:?}");
    };
    check(&["ask", "why"], format!("{BOM}one\r\ntwo\r\n"), "one\ntwo\n\nwhy");
    check(&["ask"], format!("{BOM}alone\r\n"), "alone\n");
    check(&["ask", "why"], format!("{BOM}\r\n"), "why");
    check(&["ask", "why"], "10 %\r20 %\r\n".to_owned(), "10 %\r20 %\n\nwhy");
    check(&["ask", "\u{feff}one\r\ntwo"], String::new(), "one\ntwo");
    check(&[], format!("{BOM}a line\r\n"), "a line");
    check(&[], format!("{BOM}\"\"\"\r\na\r\nb\r\n\"\"\"\r\n"), "a\nb");
    check(&[], "a\\\r\nb\r\n".to_owned(), "a\nb");
    check(&[], "/attach notes.txt\nwhat is it?\n".to_owned(), "File: notes.txt\n```\na;b\r\n```\n\nwhat is it?");
}

#[test]
fn a_configuration_of_another_system_is_read() {
    let server = Server::start();
    let url = server.base_url(Format::OpenAi);
    let home = Home::fresh();
    home.configure(&format!(
        "{BOM}model = \"m:x\"\r\n[providers.m]\r\nkind = \"openai\"\r\nbase_url = \"{url}\"\r\napi_key_command = \"printf '\\\\357\\\\273\\\\277sk-1\\\\r\\\\n'\"\r\n"
    ));
    home.run(&[], "hi\n").code(0).out("echo: hi\n");
    assert_eq!(server.requests()[0].headers["authorization"], "Bearer sk-1");
}

#[test]
fn a_key_of_another_system_is_sent_without_what_stands_around_it() {
    let server = Server::start();
    let home = Home::serving(&server, Format::OpenAi);
    for value in ["sk-1\r\n", "\u{feff}sk-1", " sk-1 \n"] {
        let mut command = home.command(&[]);
        command.env("LOCAL_KEY", value);
        let mut program = Program::start(command);
        program.send("hi");
        program.finish().code(0);
    }
    let keys: Vec<_> = server.requests().iter().map(|request| request.headers["authorization"].clone()).collect();
    assert_eq!(keys, ["Bearer sk-1"; 3]);
}

#[test]
fn a_name_is_one_name_however_it_is_typed() {
    for (one, other) in [("Ångström", "A\u{30a}ngstro\u{308}m"), ("ñ", "n\u{303}"), ("각", "\u{1100}\u{1161}\u{11a8}")]
    {
        let server = Server::start();
        let home = Home::serving(&server, Format::OpenAi);
        home.run(&[], format!("/new {one}\nfirst\n")).code(0);
        home.run(&[], format!("/new {other}\n")).code(1);
        home.run(&["-s", other], "second\n").code(0);
        home.run(&[], format!("/switch {other}\nthird\n/rename {other}\n")).code(0);
        let asked = server.requests()[2].turns();
        let expected =
            [("user", "first"), ("assistant", "echo: first"), ("user", "second"), ("assistant", "echo: second")];
        assert_eq!(asked[..4], turns(&expected), "{one}");
        assert_eq!(home.query("SELECT count(*) FROM sessions WHERE closed_at_ms IS NULL"), [["2"]], "{one}");
        // As a database of an earlier version has it.
        let connection = rusqlite::Connection::open(home.database()).unwrap();
        connection.execute("UPDATE sessions SET name = ?1 WHERE name = ?2", [other, one]).unwrap();
        drop(connection);
        for name in [one, other] {
            home.run(&["-s", name], "again\n").code(0);
            home.run(&[], format!("/switch {name}\n")).code(0);
            home.run(&["stats", "-s", name], "").code(0);
        }
        assert_eq!(home.query("SELECT count(*) FROM sessions WHERE closed_at_ms IS NULL"), [["2"]], "{one}");
    }
}

#[test]
fn a_name_with_a_character_that_nobody_sees_is_refused() {
    let home = Home::echo();
    for (name, said) in [
        ("do\u{2060}cs", "U+2060 (word joiner)"),
        ("docs\u{200f}", "U+200F (a bidirectional control)"),
        ("docs\u{e0067}", "U+E0067 (a tag character)"),
        ("\u{ffa0}", "U+FFA0 (a Hangul filler)"),
        ("d\u{fe00}ocs", "U+FE00 (a variation selector)"),
    ] {
        home.run(&[], format!("/new {name}\n")).code(1).err(&["line 1: ", said]);
        home.run(&[], format!("/rename {name}\n")).code(1).err(&["line 1: ", said]);
        home.run(&["-s", name], "").code(2).err(&[said]);
    }
    // One that is in a database already is reached by its number.
    home.run(&[], "/new plain\nfirst\n").code(0);
    let connection = rusqlite::Connection::open(home.database()).unwrap();
    connection.execute("UPDATE sessions SET name = 'pl\u{200b}ain' WHERE id = 2", []).unwrap();
    drop(connection);
    home.run(&["-s", "2"], "second\n/rename plain\n").code(0).out("second\n");
    home.run(&["sessions"], "").code(0);
    home.run(&["-s", "plain"], "third\n").code(0).out("third\n");
}
