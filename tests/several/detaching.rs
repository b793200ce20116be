//! `/detach` at a prompt: the terminal is left, and no stream is cut for that.

use nix::sys::signal::Signal;
use portable_pty::CommandBuilder;

use super::pty::{Pty, cells};
use super::*;

fn prompt(home: &Home) -> Pty {
    let command = home.command(&[]);
    let mut builder = CommandBuilder::new(command.get_program());
    builder.env_clear();
    for (name, value) in command.get_envs() {
        builder.env(name, value.unwrap());
    }
    builder.cwd(home.path(""));
    Pty::spawn(cells(24, 80), builder)
}

#[test]
fn the_prompt_is_left_and_the_stream_goes_on_to_be_seen_by_the_next() {
    let server = Server::start();
    let gate = gated(&server, "long", &["one", " two", " three", " four"]);
    let home = home(&server);
    let mut first = prompt(&home);
    first.wait_last("1:main>");
    first.type_keys("long\r");
    gate.release(1);
    first.wait_part("one");
    first.type_keys("and then\r");
    first.wait_part("queued #2, 1 ahead");
    // In a pause of the stream, when nothing is printed.
    first.type_keys("/detach");
    first.wait_last("1:main> /detach");
    first.type_keys("\r");
    first.wait_part("1 answer is under way and 1 message waits: they go on without a prompt");
    assert_eq!(first.end(), 0);
    gate.release(1);
    let mut second = prompt(&home);
    second.wait_part("another chatmux is at work (1 main)");
    second.wait_part("one two");
    gate.release(1);
    second.wait_part("one two three");
    gate.open();
    second.wait_part("echo: and then");
    home.wait_query("SELECT count(*) FROM entries WHERE state = 'done'", "2");
    home.wait_query("SELECT count(*) FROM processes", "1");
    assert_eq!(asked(&server), ["long", "and then"], "nothing was asked twice");
    assert_eq!(home.query("SELECT text, seams FROM messages WHERE id = 2"), [["one two three four", ""]]);
    second.type_keys("\x04");
    assert_eq!(second.end(), 0);
    assert_nobody_is_left(&home);
}

#[test]
fn where_nothing_is_under_way_it_is_a_quit() {
    let server = Server::start();
    let home = home(&server);
    let mut first = prompt(&home);
    first.wait_last("1:main>");
    first.type_keys("/detach\r");
    assert_eq!(first.end(), 0);
    assert_nobody_is_left(&home);
}

#[test]
fn what_goes_on_ends_when_the_next_prompt_stops_it() {
    let server = Server::start();
    let gate = gated(&server, "long", &["one", " two"]);
    let home = home(&server);
    let mut first = prompt(&home);
    first.wait_last("1:main>");
    first.type_keys("long\r");
    gate.release(1);
    first.wait_part("one");
    first.type_keys("/detach\r");
    assert_eq!(first.end(), 0);
    let mut second = prompt(&home);
    second.wait_part("one");
    second.wait_part("1:main>");
    second.type_keys("\x03");
    second.wait_row("[interrupted]");
    home.wait_query("SELECT count(*) FROM processes", "1");
    assert_eq!(states(&home), [["1", "cancelled"]]);
    second.type_keys("\x04");
    assert_eq!(second.end(), 0);
    assert_nobody_is_left(&home);
}

#[test]
fn who_kills_the_guardian_ends_the_prompt_and_a_signal_to_it_is_the_prompts() {
    let server = Server::start();
    let home = home(&server);
    for (signal, code) in [(Signal::SIGTERM, 143), (Signal::SIGHUP, 129), (Signal::SIGQUIT, 131)] {
        let mut first = prompt(&home);
        first.wait_last("1:main>");
        first.signal(signal);
        assert_eq!(first.end(), code);
        assert_nobody_is_left(&home);
    }
    let mut first = prompt(&home);
    first.wait_last("1:main>");
    let pid: i32 = home.query("SELECT pid FROM processes")[0][0].parse().unwrap();
    first.signal(Signal::SIGKILL);
    while std::path::Path::new(&format!("/proc/{pid}")).exists() {
        std::thread::yield_now();
    }
    drop(first);
    home.run(&[], "/echo on\n").code(0).out("on\n");
    assert_nobody_is_left(&home);
}
