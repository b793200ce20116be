//! What is typed arrives as it was typed, and stdout carries answers and results alone.

use crate::program::{Home, turns};
use crate::server::{Format, Gate, Reply, Server};

#[test]
fn a_fresh_home_answers_and_lists() {
    let home = Home::fresh();
    let mut command = home.command(&[]);
    command.env("CHATMUX_MODEL", "demo:echo");
    let input = "hello\n/new two\nhow are you\n/switch 1\n/sessions\n";
    let mut program = crate::program::Program::start(command);
    input.lines().for_each(|line| program.send(line));
    let outcome = program.finish().code(0);
    let lines: Vec<_> = outcome.out.lines().collect();
    assert_eq!(lines[..2], ["hello", "how are you"]);
    assert!(lines[2].starts_with("* 1:main ") && lines[3].starts_with("  2:two ") && lines.len() == 4, "{lines:?}");
}

#[test]
fn with_nothing_configured_the_tour_answers() {
    let outcome = Home::fresh().run(&[], "hello\n/new two\nhow are you\n/switch 1\n/sessions\n").code(0);
    let lines: Vec<_> = outcome.out.lines().collect();
    let [answers @ .., first, second] = lines.as_slice() else { panic!("{lines:?}") };
    assert!(answers.len() >= 2, "{lines:?}");
    assert!(first.starts_with("* 1:main") && first.contains("demo:tour"), "{first}");
    assert!(second.starts_with("  2:two") && second.contains("demo:tour"), "{second}");
    assert!(!outcome.out.contains('\x1b') && !outcome.err.contains('\x1b'), "{outcome:?}");
}

#[test]
fn there_is_no_prompt_and_no_colour_even_where_one_is_asked_for() {
    let home = Home::echo();
    let mut command = home.command(&["--color", "always"]);
    command.env("CLICOLOR_FORCE", "1").env("TERM", "xterm-256color");
    let mut program = crate::program::Program::start(command);
    ["# hello", "/bg *x*", "/nope", "/hold", "/resume"].iter().for_each(|line| program.send(line));
    let outcome = program.finish().code(1).out("# hello\n*x*\n");
    assert!(!outcome.err.contains('\x1b'), "{}", outcome.err);
}

#[test]
fn text_is_verbatim() {
    let check = |line: &str, sent: &str| {
        let server = Server::start();
        Home::serving(&server, Format::OpenAi).run(&[], line).code(0).out(&format!("echo: {sent}\n"));
        assert_eq!(server.requests()[0].last_user(), sent, "{line:?}");
    };
    check("a \"b\" 'c' $HOME `d` \\n --json -- -x\n", "a \"b\" 'c' $HOME `d` \\n --json -- -x");
    check("/bg \"two  blanks\" -- --timeout 1s 'x\n", "\"two  blanks\" -- --timeout 1s 'x");
    check("/now   three blanks before\n", "  three blanks before");
    check("/later x\n", "x");
    check("//text with a slash\n", "/text with a slash");
    check("no newline at the end", "no newline at the end");
    check("windows\r\n", "windows");
    check("\"\"\"\nfirst\n\n/second \"\"\n  third\n\"\"\"\n", "first\n\n/second \"\"\n  third");
    check("goes \\\non\n", "goes \non");
    check("日本語 e\u{301} 🦀\n", "日本語 e\u{301} 🦀");
    check("tab\there\n", "tab\there");
}

#[test]
fn echo_prints_its_text_as_it_stands() {
    let outcome = Home::echo().run(&[], "/echo  \"a  b\" --x -- 'c\n/echo //d\n").code(0);
    outcome.out(" \"a  b\" --x -- 'c\n//d\n").quiet();
}

#[test]
fn crlf_input_is_read_as_lines() {
    let outcome = Home::echo().run(&[], "one\r\n/new two\r\n\"\"\"\r\na\r\nb\r\n\"\"\"\r\n").code(0);
    outcome.out("one\na\nb\n");
}

#[test]
fn empty_input_does_nothing_well() {
    for input in ["", "\n", "\n  \n\r\n"] {
        Home::echo().run(&[], input).code(0).out("").quiet();
    }
}

#[test]
fn an_answer_is_printed_while_stdin_stays_open() {
    let (server, gate) = (Server::start(), Gate::default());
    server.on("slowly", Reply::words(&["one ", "two ", "three"]).gate(&gate));
    let mut program = Home::serving(&server, Format::OpenAi).start(&[]);
    program.send("slowly");
    gate.release(1);
    program.wait_out("one ");
    gate.release(1);
    program.wait_out("one two ");
    gate.open();
    program.wait_out("one two three\n");
    program.send("and on");
    program.wait_out("echo: and on\n");
    program.finish().code(0).out("one two three\necho: and on\n").quiet();
}

#[test]
fn a_message_waits_for_its_answer_before_the_next_line_is_read() {
    let (server, gate) = (Server::start(), Gate::default());
    server.on("first", Reply::words(&["answer one"]).gate(&gate));
    let mut program = Home::serving(&server, Format::OpenAi).start(&[]);
    program.send("first");
    program.send("/echo printed later");
    program.send("second");
    gate.release(1);
    program.wait_out("answer one");
    assert_eq!((program.out().as_str(), server.requests().len()), ("answer one", 1));
    gate.open();
    program.finish().code(0).out("answer one\nprinted later\necho: second\n").quiet();
    let history = [("user", "first"), ("assistant", "answer one"), ("user", "second")];
    assert_eq!(server.requests()[1].turns(), turns(&history));
}

#[test]
fn background_answers_are_whole_and_once() {
    let (server, gate) = (Server::start(), Gate::default());
    server.on("fore", Reply::words(&["fore", "ground"]).gate(&gate));
    server.on("back", Reply::words(&["back", "ground"]));
    let mut program = Home::serving(&server, Format::OpenAi).start(&[]);
    program.send("/new other");
    program.send("/switch main");
    program.send("/echo before");
    program.wait_out("before\n");
    gate.release(1);
    program.send("/send other back");
    program.send("fore");
    program.wait_out("fore");
    program.wait_out("fore");
    server.wait_open(1);
    gate.open();
    let outcome = program.finish().code(0);
    // Which of the two ended first is not for a script to rely on; that neither stands in the other is.
    let orders = ["before\nforeground\nbackground\n", "before\nbackground\nforeground\n"];
    assert!(orders.contains(&outcome.out.as_str()), "{}", outcome.out);
    let notices = outcome.err.lines().filter(|line| line.starts_with("chatmux: ")).count();
    assert_eq!(notices, outcome.err.lines().count(), "{}", outcome.err);
}

#[test]
fn what_a_model_says_cannot_command_the_terminal() {
    let server = Server::start();
    server.on("evil", Reply::words(&["a\x1b]0;title\x07b", "\x1b[2J\u{9b}31m", "\rc"]));
    for line in ["evil", "/bg evil", "/bg evil\n/wait\n/history"] {
        let outcome = Home::serving(&server, Format::OpenAi).run(&[], line).code(0);
        let obeyed = outcome.out.chars().find(|c| c.is_control() && *c != '\n');
        assert_eq!(obeyed, None, "{line}: {:?}", outcome.out);
        let outcome = Home::serving(&server, Format::OpenAi).run(&["--json"], line).code(0);
        assert!(outcome.out.chars().all(|c| c == '\n' || !c.is_control()), "{line}: {:?}", outcome.out);
    }
}
