//! What waits, as a person sees it: auto-replies, a turn that gave its slot away, a provider that asks for patience, `/queue`.

use crate::home::{Home, count, numbers, pieces, words};
use crate::server::Reply;

/// Rows that hold `part`.
fn holding(rows: &[String], part: &str) -> usize {
    rows.iter().filter(|row| row.contains(part)).count()
}

fn place(rows: &[String], part: &str) -> usize {
    rows.iter().rposition(|row| row.contains(part)).unwrap_or_else(|| panic!("no {part:?}: {rows:#?}"))
}

#[test]
fn an_auto_reply_loop_says_that_it_begins_and_that_it_ends_and_nothing_else() {
    let home = Home::with("[auto_reply]\nstop_on_repeat = false\n");
    let mut pty = home.start(80);
    pty.type_keys("/auto --max 2 and 続けて?\r");
    pty.wait_row("auto-reply begins after the next answer, 2 at most: /auto off ends it");
    pty.type_keys("hello\r");
    pty.wait_part("[1 main] auto-reply ended after 2 of 2: ");
    let rows = pty.wait_last("1:main>");
    assert_eq!((count(&rows, "1:main> and 続けて?"), count(&rows, "echo: and 続けて?")), (2, 2), "{rows:#?}");
    assert_eq!((holding(&rows, "auto-reply"), holding(&rows, "queued")), (2, 0), "{rows:#?}");
    assert!(
        place(&rows, "auto-reply ended") > place(&rows, "echo: and"),
        "the end stands behind the answer: {rows:#?}"
    );
    pty.type_keys("/auto\r");
    pty.wait_row("no auto-reply here: /auto TEXT begins one");
    pty.type_keys("/quit\r");
    assert_eq!(pty.end(), 0);
}

#[test]
fn ctrl_c_ends_the_answer_and_the_loop() {
    let home = Home::new();
    let gate = home.gated("more", &["one ", "two ", "three"]);
    let mut pty = home.start(80);
    pty.type_keys("/auto more\rhello\r");
    gate.release(2);
    pty.wait_row("one two");
    pty.type_keys("\x03");
    pty.wait_row("[interrupted]");
    pty.wait_row("auto-reply ended, 1 of 10 sent");
    gate.open();
    pty.type_keys("next\r");
    pty.wait_row("echo: next");
    pty.type_keys("last\r");
    pty.wait_row("echo: last");
    let asked: Vec<String> = home.server.requests().iter().map(|request| request.last_user()).collect();
    assert_eq!(asked, ["hello", "more", "next", "last"]);
    pty.type_keys("/quit\r");
    assert_eq!(pty.end(), 0);
}

/// `/now` in a loop: the auto-reply gives way, and the loop goes on behind what was asked.
#[test]
fn what_a_person_asks_now_comes_before_the_loop() {
    let home = Home::new();
    let gate = home.gated("more", &["one ", "two ", "three"]);
    let mut pty = home.start(80);
    pty.type_keys("/auto --max 2 more\rhello\r");
    gate.release(2);
    pty.wait_row("one two");
    pty.type_keys("/now mine\r");
    pty.wait_row("echo: mine");
    gate.open();
    pty.wait_row("one two three");
    pty.wait_part("[1 main] auto-reply ended after 2 of 2: ");
    let rows = pty.all_rows();
    let order = ["echo: hello", "[interrupted]", "1:main> mine", "echo: mine", "one two three"];
    assert!(order.map(|part| place(&rows, part)).is_sorted(), "{rows:#?}");
    assert_eq!(count(&rows, "1:main> more"), 2, "{rows:#?}");
    pty.type_keys("/quit\r");
    assert_eq!(pty.end(), 0);
}

/// A low turn gives its slot to what is typed in another session, and goes on: every word once. Whether the person is there
/// when it goes on, or comes later.
fn gives_way(columns: u16, there: bool) {
    let home = Home::with("[queue]\nmax_concurrent = 1\n");
    let all = words('a', 60);
    let (first, second) = (home.gated("story", &pieces(&all)), home.gated("mine", &["one ", "two"]));
    let rest = home.gated("Go on exactly", &pieces(&all[20..]));
    let mut pty = home.start(columns);
    pty.type_keys("/new two\r");
    pty.wait_last("2:two>");
    pty.type_keys("/later a story\r");
    first.release(20);
    pty.wait_part("a19.");
    pty.type_keys("/1\r");
    pty.wait_last("[2~] 1:main>");
    pty.type_keys("mine\r");
    second.release(1);
    let rows = pty.wait_row("one");
    let said = rows.join(" ");
    assert!(said.contains("gave its slot to session 1 and goes on"), "{columns} columns: {rows:#?}");
    if there {
        pty.type_keys("/2\r");
        pty.wait("what it waits for", |rows| {
            rows.join(" ").contains("#1 waits for a slot, and then goes on where it stopped")
        });
    }
    rest.release(15);
    second.open();
    if there {
        pty.wait_part("a34.");
    } else {
        pty.wait_last("[2~] 1:main>");
        pty.type_keys("/2\r");
    }
    rest.open();
    pty.wait_part("a59.");
    let rows = pty.all_rows();
    assert_eq!(numbers(&rows, 'a'), (0..60).collect::<Vec<_>>(), "{columns} columns: {rows:#?}");
    assert_eq!(rows.concat().matches('語').count(), 60, "{columns} columns: {rows:#?}");
    pty.type_keys("/quit\r");
    assert_eq!(pty.end(), 0);
}

#[test]
fn a_turn_that_gave_its_slot_away_goes_on_before_ones_eyes() {
    gives_way(80, true);
    gives_way(40, true);
}

#[test]
fn a_turn_that_gave_its_slot_away_goes_on_unseen() {
    gives_way(80, false);
    gives_way(40, false);
}

#[test]
fn a_provider_that_asks_for_patience_is_said_with_the_time() {
    let home = Home::new();
    home.server.on("first", Reply::status(429, r#"{"error":{"message":"slow down"}}"#).header("retry-after", "60"));
    let mut pty = home.start(100);
    pty.type_keys("first\r");
    pty.wait_part("retrying in 1 m 00 s (2 of 2): 429 slow down");
    pty.type_keys("/new two\r");
    pty.wait_last("2:two>");
    pty.type_keys("second\r");
    pty.wait_part(", as fake:m asked: /retry tries it now");
    pty.type_keys("/queue\r");
    pty.wait_part("waits for fake:m until ");
    // Who goes there sees what it waits for.
    pty.type_keys("/1\r");
    pty.wait_part("#1 is tried again in ");
    // Whoever does not want to wait lets one go.
    pty.type_keys("/2\r/retry\r");
    pty.wait_row("#2 is tried now");
    pty.wait_row("echo: second");
    pty.type_keys("/quit\r");
    assert_eq!(pty.end(), 0);
}

/// Whether the gate pauses or refuses, and whether or not something is ahead: the line stands there, and what becomes of it.
#[test]
fn what_is_typed_behind_a_gate_is_echoed_and_acknowledged() {
    let check = |columns, patience: &str, typed: &str| {
        let home = Home::new();
        let busy = Reply::status(429, r#"{"error":{"message":"slow down"}}"#).header("retry-after", patience);
        home.server.on("first", busy);
        let mut pty = home.start(columns);
        pty.type_keys("first\r");
        let refuses = patience == "3600";
        pty.wait_part(if refuses { "[1 main] the server asks to wait" } else { "[1 main] retrying in" });
        pty.type_keys("/new two\r");
        pty.wait_part("2:two>");
        pty.type_keys(&format!("{typed}\r"));
        let rows = pty.wait_part(if refuses { "[2 two] the server asks to wait" } else { "#2 waits until " });
        let below = |rows: &[String], echo: &str| {
            let at = rows.iter().position(|row| row == echo).unwrap_or_else(|| panic!("no {echo:?} in {rows:#?}"));
            rows[at + 1].clone()
        };
        let said = below(&rows, &format!("2:two> {typed}"));
        assert!(said.starts_with(if refuses { "queued #2" } else { "#2 waits until " }), "{said:?}");
        pty.type_keys("third\r");
        let rows = pty.wait_row("queued #3, 1 ahead");
        assert_eq!(below(&rows, "2:two> third"), "queued #3, 1 ahead");
        pty.type_keys("/quit\r");
        assert_eq!(pty.end(), 0);
    };
    for columns in [80, 40] {
        for patience in ["60", "3600"] {
            check(columns, patience, "second 日本");
            check(columns, patience, "/bg second 日本");
        }
    }
}

#[test]
fn the_queue_fits_into_40_columns() {
    let home = Home::new();
    let gate = home.gated("first", &["one ", "two"]);
    home.server.on("bad", Reply::status(400, r#"{"error":{"message":"no such thing"}}"#));
    let mut pty = home.start(40);
    pty.type_keys("bad\r");
    pty.wait_part("no such thing");
    pty.type_keys("first\r");
    gate.release(1);
    pty.wait_row("one");
    pty.type_keys("二番目の質問 is so long that a row does not hold all of it\r");
    pty.wait_row("queued #3, 1 ahead");
    pty.type_keys("/later third\r/hold #4\r");
    pty.wait_row("#4 is held: /resume #4 goes on");
    pty.type_keys("/queue\r");
    let rows = pty.wait_part("forgets it");
    let begin = place(&rows, "1:main> /queue") + 1;
    // How the running one stands depends on the moment.
    assert!(rows[begin].starts_with("#2 running ") && rows[begin..begin + 2].concat().contains("first"), "{rows:#?}");
    let rows = &rows[place(&rows, "#3 1. ")..];
    let expected = [
        "#3 1. normal user, ",
        "    二番目の質問 is so long that a row…",
        "#4 2. low user, ",
        "    /resume #4 goes on",
        "    third",
        "#1 dead: 400 no such thing",
        "    (http://127.0.0.1:",
        "    1 attempt, ",
        "    bad",
        "/requeue 1 sends it again, /drop 1",
        "    forgets it",
    ];
    assert!(rows.len() >= expected.len(), "{rows:#?}");
    for (row, start) in rows.iter().zip(expected) {
        assert!(row.starts_with(start), "{start:?} is not {row:?}: {rows:#?}");
    }
    pty.type_keys("/dead\r");
    pty.wait_part("#1 in 1:main: 400 no such thing");
    // Tab knows the numbers.
    pty.type_keys("/priority #3\t");
    pty.wait_last("1:main> /priority #3 high|normal|low");
    pty.type_keys(" high\r");
    pty.wait_row("#3 is high now");
    gate.open();
    pty.wait_part("echo: 二番目の質問");
    pty.type_keys("/resume #4\r");
    pty.wait_row("echo: third");
    pty.type_keys("/quit\r");
    assert_eq!(pty.end(), 0);
}
