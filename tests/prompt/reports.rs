//! What a terminal sends beside keys is never typed, wherever it comes; and no program that we start takes keys away.

use nix::sys::stat::Mode;

use crate::home::Home;
use crate::pty::Pty;

/// Replies and reports of other kinds than a colour and Shift-Enter.
const REPORTS: [&[u8]; 10] = [
    b"\x1b]10;rgb:ffff/ffff/ffff\x07",
    b"\x1b]52;c;aGVsbG8=\x1b\\",
    b"\x1b[?62;4;22c",
    b"\x1b[12;40R",
    b"\x1b[?2026;1$y",
    b"\x1b[I",
    b"\x1b[<0;10;20M",
    b"\x1b[8;24;80t",
    b"\x1bP>|terminal 1.2\x1b\\",
    b"\x1b_Gi=31;OK\x1b\\",
];

fn vi() -> Home {
    Home::with("[ui]\nedit_mode = \"vi\"\n")
}

/// What the server was asked last, when it was asked so often.
fn asked(home: &Home, times: usize) -> String {
    home.server.wait_requests(times)[times - 1].last_user()
}

fn quit(mut pty: Pty) {
    pty.type_keys("/quit\r");
    assert_eq!(pty.end(), 0);
}

#[test]
fn a_report_in_the_middle_of_a_line_leaves_nothing() {
    for home in [Home::new(), vi()] {
        let mut pty = home.start(80);
        for (nth, report) in REPORTS.into_iter().enumerate() {
            pty.type_keys("ab");
            pty.wait_last("1:main> ab");
            pty.type_keys(report);
            pty.type_keys("X\r");
            assert_eq!(asked(&home, nth + 1), "abX", "{}", report.escape_ascii());
            pty.wait_last("1:main>");
        }
        quit(pty);
    }
}

#[test]
fn a_report_in_vi_command_mode_is_no_command() {
    let home = vi();
    let mut pty = home.start(80);
    pty.type_keys("one two");
    pty.wait_last("1:main> one two");
    // An escape, and one to the left; each report has letters that would be commands.
    pty.type_keys("\x1bh");
    for report in REPORTS {
        pty.type_keys(report);
    }
    pty.type_keys("0x");
    pty.wait_last("1:main> ne two");
    pty.type_keys("\r");
    assert_eq!(asked(&home, 1), "ne two");
    pty.wait_last("1:main>");
    quit(pty);
}

#[test]
fn a_report_does_not_end_a_search() {
    let home = Home::new();
    let mut pty = home.start(80);
    for (nth, text) in ["needle", "other"].iter().enumerate() {
        pty.type_keys(&format!("{text}\r"));
        home.server.wait_requests(nth + 1);
        pty.wait_row(&format!("echo: {text}"));
    }
    pty.type_keys("\x12nee");
    pty.wait_part("(reverse-i-search)`nee'");
    pty.type_keys(REPORTS[0]);
    pty.type_keys("d");
    pty.wait_part("(reverse-i-search)`need'");
    pty.type_keys("\r");
    assert_eq!(asked(&home, 3), "needle");
    quit(pty);
}

#[test]
fn a_report_between_two_lines_leaves_nothing() {
    let home = Home::new();
    let mut pty = home.start(80);
    for report in REPORTS {
        let both = [b"first\r", report, b"/echo \r", report, b"second\r", report].concat();
        let before = home.server.requests().len();
        pty.type_keys(&both);
        home.server.wait_requests(before + 1);
        assert_eq!(asked(&home, before + 2), "second", "{}", report.escape_ascii());
        pty.wait_last("1:main>");
    }
    quit(pty);
}

#[test]
fn enter_with_a_modifier_is_a_line_end_in_every_spelling() {
    let home = Home::new();
    let mut pty = home.start(80);
    for (nth, enter) in
        ["\x1b[27;2;13~", "\x1b[13;2u", "\x1b[27;5;13~", "\x1b[13;5u", "\x1b[13;3u", "\x1b\r"].iter().enumerate()
    {
        pty.type_keys(&format!("one{enter}two"));
        pty.wait_last("two");
        pty.type_keys("\r");
        assert_eq!(asked(&home, nth + 1), "one\ntwo", "{enter:?}");
        pty.wait_last("1:main>");
    }
    // A line that is not wanted is cleared by a Ctrl-C that came as a number.
    pty.type_keys("not this");
    pty.wait_last("1:main> not this");
    pty.type_keys("\x1b[99;5u");
    pty.wait_last("1:main>");
    quit(pty);
}

#[test]
fn what_looks_like_a_report_in_a_paste_is_content() {
    let home = Home::new();
    let mut pty = home.start(80);
    pty.type_keys("\x1b[200~see \x1b]11;rgb:0/0/0\x1b\\ and \x1b[27;2;13~\x1b[201~");
    pty.wait_part("see ");
    pty.type_keys(" end\r");
    let sent = asked(&home, 1);
    for part in ["see ", "11;rgb:0/0/0", " and ", " end"] {
        assert!(sent.contains(part), "{part:?} of {sent:?}");
    }
    quit(pty);
}

#[test]
fn an_editor_gets_the_keys_that_are_typed_there() {
    let home = Home::new();
    let mut pty = home.start_with_editor("f() { echo waiting; read line; printf '%s\\n' \"$line\" > \"$1\"; }; f");
    pty.type_keys("\x18\x05");
    pty.wait_row("waiting");
    pty.type_keys("typed there\r");
    pty.wait_last("1:main> typed there");
    pty.type_keys(" and here\r");
    assert_eq!(asked(&home, 1), "typed there and here");
    quit(pty);
}

#[test]
fn a_key_command_takes_no_key_and_writes_on_no_screen() {
    let commands = ["read x < /dev/tty; echo $x", "echo BROKEN > /dev/tty; cat", "exec 3<> /dev/tty; head -c 1 <&3"];
    for command in commands {
        let home = Home::with(&format!(
            "[providers.locked]\nkind = \"openai\"\nbase_url = \"http://127.0.0.1:1/v1\"\nmodel = \"m\"\napi_key_command = '{command}'\n"
        ));
        let mut pty = home.start_with(80, &["-m", "locked:m"]);
        pty.type_keys("hi\r");
        let rows = pty.wait_part("the key command `");
        assert!(!rows.concat().contains("BROKEN"), "{rows:#?}");
        pty.type_keys("all of it");
        pty.wait_last("1:main> all of it");
        pty.type_keys("\x03");
        quit(pty);
    }
}

/// One session waits for its key, as long as nobody opens the pipe; another is answered meanwhile.
#[test]
fn a_slow_key_command_keeps_nobody_waiting() {
    let home = Home::with(
        "[providers.slow]\nkind = \"openai\"\nbase_url = \"http://127.0.0.1:1/v1\"\nmodel = \"m\"\napi_key_command = 'cat key-pipe'\n",
    );
    let pipe = home.path("key-pipe");
    nix::unistd::mkfifo(&pipe, Mode::S_IRWXU).unwrap();
    let mut pty = home.start(80);
    pty.type_keys("/model slow:m\r");
    pty.wait_part("slow:m");
    pty.type_keys("waits for a key\r");
    pty.type_keys("/new other\r");
    pty.wait_part("2:other>");
    pty.type_keys("quick\r");
    let rows = pty.wait_row("echo: quick");
    assert!(!rows.concat().contains("failed"), "the first one waits still: {rows:#?}");
    // Opened for both, so that this does not wait for the command, which has its end of the pipe now and finds it empty.
    drop(std::fs::OpenOptions::new().read(true).write(true).open(&pipe).unwrap());
    pty.wait_part("it printed nothing");
    quit(pty);
}
