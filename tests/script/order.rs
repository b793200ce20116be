//! Sessions side by side, order within one, and the bounds on how many at once.

use crate::program::{Home, provider_section, turns};
use crate::server::{Format, Gate, Reply, Server};

#[test]
fn three_sessions_stream_at_once_each_with_its_own_history() {
    for format in Format::ALL {
        let (server, gate) = (Server::start(), Gate::default());
        server.on("second", Reply::echo().gate(&gate));
        let mut program = Home::serving(&server, format).start(&["--json"]);
        let script = [
            "/new two",
            "/new three",
            "/switch 1",
            "first in 1",
            "/bg second in 1",
            "/switch 2",
            "first in 2",
            "/bg second in 2",
            "/switch 3",
            "first in 3",
            "/bg second in 3",
        ];
        script.iter().for_each(|line| program.send(line));
        server.wait_open(3);
        gate.open();
        program.send("/wait");
        program.send("/send all third");
        program.finish().code(0);
        let requests = server.requests();
        assert_eq!(requests.len(), 9, "{format:?}");
        for session in 1..=3 {
            let of = |nth: &str| format!("{nth} in {session}");
            let echo = |nth: &str| format!("echo: {}", of(nth));
            let (first, second, echo1, echo2) = (of("first"), of("second"), echo("first"), echo("second"));
            let all = [
                ("user", first.as_str()),
                ("assistant", &echo1),
                ("user", &second),
                ("assistant", &echo2),
                ("user", "third"),
            ];
            let own: Vec<_> = requests.iter().filter(|r| r.turns()[0].1 == first).map(|r| r.turns()).collect();
            assert_eq!(own, [turns(&all[..1]), turns(&all[..3]), turns(&all)], "{format:?}");
        }
    }
}

#[test]
fn ten_messages_to_one_session_are_answered_one_by_one_in_order() {
    let server = Server::start();
    let script: String = (1..=10).map(|n| format!("/bg message {n}\n")).collect();
    let outcome = Home::serving(&server, Format::OpenAi).run(&["--json"], script).code(0);
    let answers: Vec<_> = outcome.named("finished").iter().map(|e| e["text"].as_str().unwrap().to_owned()).collect();
    assert_eq!(answers, (1..=10).map(|n| format!("echo: message {n}")).collect::<Vec<_>>());
    assert_eq!(server.max_open(), 1);
    let events = outcome.events();
    let turns: Vec<_> = events.iter().filter(|e| ["started", "idle"].contains(&e["event"].as_str().unwrap())).collect();
    assert_eq!(turns.len(), 20);
    for (nth, pair) in turns.chunks(2).enumerate() {
        assert_eq!((&pair[0]["event"], &pair[1]["event"]), (&"started".into(), &"idle".into()), "turn {nth}");
    }
}

#[test]
fn what_is_ahead_is_acknowledged() {
    let (server, gate) = (Server::start(), Gate::default());
    server.on("m", Reply::echo().gate(&gate));
    let home = Home::serving(&server, Format::OpenAi);
    let mut program = home.start(&["--json"]);
    program.send("/bg m1");
    program.wait_in(1, "started");
    ["/bg m2", "/bg m3", "/later m4", "/bg m5"].iter().for_each(|line| program.send(line));
    program.wait_event("the fifth", |e| e["event"] == "queued" && e["entry"] == 5);
    gate.open();
    let outcome = program.finish().code(0);
    let ahead: Vec<_> = outcome.named("queued").iter().map(|e| e["ahead"].as_i64().unwrap()).collect();
    assert_eq!(ahead, [0, 1, 2, 3, 3]);
    let order: Vec<_> = server.requests().iter().map(|r| r.last_user()).collect();
    assert_eq!(order, ["m1", "m2", "m3", "m5", "m4"], "by priority, then in the order of arrival");
}

#[test]
fn high_goes_first_and_interrupts_a_low_turn() {
    let (server, gate) = (Server::start(), Gate::default());
    server.on("low", Reply::words(&["part", " rest"]).gate(&gate));
    let mut program = Home::serving(&server, Format::OpenAi).start(&["--json"]);
    program.send("/later low");
    gate.release(1);
    program.wait_text(1, "part");
    program.send("/bg normal");
    program.send("/now high");
    let outcome = program.finish();
    let order: Vec<_> = server.requests().iter().map(|r| r.last_user()).collect();
    assert_eq!(order[..3], ["low", "high", "normal"]);
    let finished = outcome.named("finished");
    assert_eq!((&finished[0]["entry"], &finished[0]["text"]), (&1.into(), &"part".into()), "{finished:?}");
    assert_eq!(finished[0]["state"], "interrupted");
    let sent = server.requests()[1].turns();
    assert_eq!(sent, turns(&[("user", "low"), ("assistant", "part"), ("user", "high")]), "the partial is kept");
}

#[test]
fn no_more_run_at_once_than_are_allowed_in_all() {
    let (server, gate) = (Server::start(), Gate::default());
    server.on("go", Reply::echo().gate(&gate));
    let home = Home::configured(&server, Format::OpenAi, "", "[queue]\nmax_concurrent = 2\n");
    let mut program = home.start(&["--json"]);
    (2..=5).for_each(|n| program.send(&format!("/new s{n}")));
    program.send("/send 1,2,3,4 go");
    program.send("/bg go");
    program.wait_event("the last", |e| e["event"] == "queued" && e["entry"] == 5);
    server.wait_open(2);
    gate.open();
    let outcome = program.finish().code(0);
    assert_eq!((server.max_open(), server.requests().len()), (2, 5));
    let order: Vec<_> = outcome.named("started").iter().map(|e| e["session"].as_i64().unwrap()).collect();
    assert_eq!(order, [1, 2, 5, 3, 4], "the active session first, then the longest waiting");
}

#[test]
fn a_provider_has_its_own_bound() {
    let (one, many, gate) = (Server::start(), Server::start(), Gate::default());
    [&one, &many].iter().for_each(|server| server.on("go", Reply::echo().gate(&gate)));
    let home =
        Home::configured(&one, Format::OpenAi, "max_concurrent = 1", &provider_section("wide", &many, Format::Gemini));
    let mut program = home.start(&["--json"]);
    for n in 2..=6 {
        program.send(&format!("/new s{n}"));
        if n > 3 {
            program.send("/model wide");
        }
    }
    program.send("/send all go");
    program.wait_event("the last", |e| e["event"] == "queued" && e["entry"] == 6);
    many.wait_open(3);
    one.wait_open(1);
    gate.open();
    program.finish().code(0);
    assert_eq!((one.max_open(), one.requests().len()), (1, 3));
    assert_eq!((many.max_open(), many.requests().len()), (3, 3));
}

#[test]
fn a_full_queue_refuses_and_drops_nothing() {
    let (server, gate) = (Server::start(), Gate::default());
    server.on("m", Reply::echo().gate(&gate));
    let home = Home::configured(&server, Format::OpenAi, "", "[queue]\nmax_pending = 2\n");
    let mut program = home.start(&["--json"]);
    program.send("/bg m1");
    program.wait_in(1, "started");
    ["/bg m2", "/bg m3", "/bg m4"].iter().for_each(|line| program.send(line));
    let refused = program.wait_event("the refusal", |e| e["event"] == "error");
    assert_eq!(refused["line"], 4);
    assert!(refused["text"].as_str().unwrap().contains('2'), "it says the limit: {refused}");
    gate.open();
    program.finish().code(1);
    let order: Vec<_> = server.requests().iter().map(|r| r.last_user()).collect();
    assert_eq!(order, ["m1", "m2", "m3"]);
}
