//! Lines that are wrong: each is told with its number, and the script goes on.

use crate::program::Home;

const MIB: usize = 1 << 20;

/// The second of three lines is wrong.
fn check(line: &[u8], said: &[&str]) {
    let home = Home::echo();
    let input = [b"one\n", line, b"\nthree\n"].concat();
    let said = [&["line 2: "], said].concat();
    home.run(&[], &input).code(1).out("one\nthree\n").err(&said);
    home.run(&["--fail-fast"], &input).code(1).out("one\n").err(&said);
    let error = &home.run(&["--json"], &input).code(1).named("error")[0];
    assert_eq!(error["line"], 2);
}

#[test]
fn bytes_that_are_no_text() {
    check(b"a\0b", &["NUL"]);
    check(b"a\xff\xfeb", &["UTF-8"]);
    check(b"\xed\xa0\x80", &["UTF-8"]);
}

#[test]
fn lines_that_are_too_long() {
    check(&vec![b'x'; 10 * MIB], &["4 MiB"]);
    check(&vec![b'x'; 17 * MIB], &["16 MiB"]);
}

#[test]
fn a_message_at_the_bound_is_taken() {
    let text = "x".repeat(4 * MIB);
    let outcome = Home::echo().run(&[], &text).code(0);
    assert!(outcome.out.trim_end() == text, "{} bytes came back", outcome.out.len());
    Home::echo().run(&[], text + "x").code(1).err(&["line 1: ", "4 MiB"]);
}

#[test]
fn commands_that_are_mistyped_are_never_sent() {
    check(b"/sesions", &["/sesions", "/sessions"]);
    check(b"/swich 1", &["/switch"]);
    check(b"/", &["/help"]);
    check(b"/qqqqqqq", &["/help"]);
    check(b"/sessions now", &["/sessions"]);
    check(b"/wait --timeot 1s", &["--timeot"]);
}

#[test]
fn arguments_that_are_missing_or_wrong() {
    check(b"/switch nope", &["no session nope", "/sessions"]);
    check(b"/switch 99", &["no session 99"]);
    check(b"/switch", &["/switch"]);
    check(b"/send 1", &["/send"]);
    check(b"/send nope text", &["nope"]);
    check(b"/bg", &["/bg"]);
    check(b"/drop x", &["x"]);
    check(b"/sleep soon", &["soon"]);
    check(b"/model no model", &["/model"]);
    check(b"/history many", &["many"]);
    check(b"/delete", &["/delete"]);
    check(b"/switch -", &["previous"]);
}

#[test]
fn a_block_without_an_end_is_told_where_it_begins() {
    Home::echo().run(&[], "one\n\"\"\"\ntwo\nthree").code(1).out("one\n").err(&["line 2: ", "\"\"\""]);
}

#[test]
fn fail_fast_stops_at_a_failed_answer_too() {
    let home = Home::fresh();
    home.configure("model = \"demo:echo?fail=400\"\n");
    home.run(&["--fail-fast"], "one\n/echo never\n").code(1).out("").err(&["line 1: "]);
    home.run(&[], "one\n/echo on\n").code(1).out("on\n");
}

#[test]
fn quit_ends_a_script_there() {
    Home::echo().run(&[], "one\n/quit\n/nope\n").code(0).out("one\n").quiet();
}
