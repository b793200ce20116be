//! The wall clock, set while chatmux runs, and a machine that slept. Nothing waits for a day, nothing is asked twice or in a burst,
//! and no length of time is negative.

use crate::machine::{Machine, wait_entry};
use crate::server::{End, Gate, Logged, Reply};

const DAY: i64 = 86_400;
const HOUR: i64 = 3_600;
/// A wait that a test can sit out, and that is longer than what a busy machine takes to get there.
const PAUSE: &str = "[retry]\ninitial_delay = \"1500ms\"\njitter = 0.0\n";

fn asked(machine: &Machine) -> Vec<String> {
    machine.server.requests().iter().map(Logged::last_user).collect()
}

#[test]
fn in_mid_stream() {
    for seconds in [-DAY, DAY] {
        let machine = Machine::new("");
        let gate = machine.gated("long", &["one ", "two ", "three"]);
        let mut program = machine.start(&["--json"]);
        program.send("long");
        gate.release(1);
        program.wait_text(1, "one ");
        machine.faults.clock(seconds);
        gate.release(1);
        program.wait_text(1, "one two ");
        machine.home.wait_query(crate::machine::ON_DISK, "8");
        machine.faults.clock(0);
        gate.open();
        let finished = wait_entry(&program, "finished", 1);
        assert_eq!(finished["text"], "one two three");
        machine.faults.clock(seconds);
        program.send("next");
        let finished = wait_entry(&program, "finished", 2);
        let lengths = ["wait_ms", "first_ms", "total_ms"].map(|name| finished[name].as_u64().unwrap());
        assert!(lengths.iter().all(|ms| *ms < 60_000), "{seconds}: {finished}");
        ["/stats", "/queue all", "/history", "/sessions"].iter().for_each(|line| program.send(line));
        program.finish().code(0);
        machine.home.run(&[], "/stats\n/history\n").code(0);
        assert_eq!(asked(&machine), ["long", "next"]);
        machine.home.assert_sound();
    }
}

#[test]
fn while_a_retry_waits() {
    for seconds in [-DAY, DAY] {
        let machine = Machine::new(PAUSE);
        machine.server.once("why", Reply::status(503, "{}"));
        let mut program = machine.start(&["--json"]);
        program.send("why");
        wait_entry(&program, "retry", 1);
        machine.faults.clock(seconds);
        assert_eq!(wait_entry(&program, "finished", 1)["text"], "echo: why", "{seconds}");
        let outcome = program.finish().code(0);
        assert_eq!(asked(&machine), ["why", "why"], "{seconds}");
        assert_eq!(outcome.named("started").len(), 2, "{seconds}");
        machine.home.assert_sound();
    }
}

/// What was to be asked again tomorrow, by a clock that was wrong, is not waited for until then by the next start either.
#[test]
fn a_start_after_the_clock_was_wrong() {
    // No wait that this one begins is longer than three seconds.
    let limits = "max_delay = \"1500ms\"\nmax_retry_after = \"1s\"\n";
    let machine = Machine::new(&format!("{PAUSE}{limits}"));
    let config = std::fs::read_to_string(machine.home.path("config/chatmux/config.toml")).unwrap();
    machine.home.configure(&format!("on_start = \"resume\"\n{config}"));
    machine.server.once("why", Reply::status(503, "{}"));
    machine.faults.clock(DAY);
    let mut program = machine.start(&["--json"]);
    program.send("why");
    wait_entry(&program, "retry", 1);
    program.kill();
    machine.faults.clock(0);
    let program = machine.start(&["--json"]);
    assert_eq!(wait_entry(&program, "finished", 1)["text"], "echo: why");
    program.finish().code(0);
    assert_eq!(asked(&machine), ["why", "why"]);
}

/// A provider asked for patience, and several wait for it: they go on one by one, whatever the clock says.
#[test]
fn while_a_gate_is_closed() {
    for seconds in [-DAY, DAY] {
        let machine = Machine::new(PAUSE);
        let gate = Gate::default();
        machine.server.once("first", Reply::status(429, "{}").header("retry-after", "2"));
        machine.server.on("", Reply::echo().gate_headers(&gate));
        let mut program = machine.start(&["--json"]);
        program.send("/bg first");
        wait_entry(&program, "retry", 1);
        ["two", "three", "four"].iter().for_each(|name| program.send(&format!("/new {name}")));
        program.send("/send 2,3,4 other");
        (2..=4).for_each(|entry| _ = wait_entry(&program, "queued", entry));
        assert_eq!(machine.server.requests().len(), 1, "{seconds}: all wait");
        machine.faults.clock(seconds);
        machine.server.wait_requests(2);
        // It has a request under way, so the others would have theirs by now.
        program.send("/queue all");
        program.wait_event("the queue", |e| e["event"] == "result" && e["command"] == "queue");
        assert_eq!((machine.server.requests().len(), machine.server.max_open()), (2, 1), "{seconds}: one by one");
        gate.open();
        (1..=4).for_each(|entry| _ = wait_entry(&program, "finished", entry));
        program.finish().code(0);
        let mut asked = asked(&machine);
        asked.sort();
        assert_eq!(asked, ["first", "first", "other", "other", "other"], "{seconds}");
    }
}

/// The machine slept for an hour: the wall clock jumps, and the streams are dead without anybody having said so.
#[test]
fn a_machine_that_slept() {
    let machine = Machine::new("[timeouts]\nidle = \"700ms\"\nfirst = \"700ms\"\n");
    machine.server.on("cut", Reply::words(&["part ", "one"]).end(End::Stall));
    machine.server.once("silent", Reply::words(&[]).end(End::Stall));
    let mut program = machine.start(&["--json"]);
    program.send("/bg cut");
    program.send("/bg after");
    program.send("/new two");
    program.send("/bg silent");
    program.wait_text(1, "part one");
    machine.server.wait_requests(2);
    machine.faults.clock(HOUR);
    let finished = wait_entry(&program, "finished", 1);
    assert_eq!((&finished["state"], &finished["error"]["kind"]), (&"interrupted".into(), &"stalled".into()));
    assert_eq!(finished["text"], "part one");
    assert_eq!(wait_entry(&program, "finished", 2)["text"], "echo: after");
    assert_eq!(wait_entry(&program, "retry", 3)["error"]["kind"], "stalled");
    assert_eq!(wait_entry(&program, "finished", 3)["text"], "echo: silent");
    program.finish().code(1);
    machine.home.assert_sound();
}
