//! Rapid fire with the real binary: hundreds of messages into many sessions faster than they can be answered, by a server
//! that refuses a part of them. Nothing is lost, nothing comes twice, nothing overtakes, and the server is left alone when
//! it asks for that.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

#[path = "../support/program.rs"]
mod program;
#[path = "../support/server.rs"]
mod server;

use std::collections::BTreeMap;
use std::time::Duration;

use program::{Home, Program};
use serde_json::Value;
use server::{Format, Gate, Logged, Reply, Server};

const SESSIONS: usize = 20;
const MESSAGES: usize = 500;
/// `queue.max_concurrent`.
const SLOTS: usize = 4;
/// Each request of this number is refused.
const REFUSED: usize = 10;
/// What a refusal asks for. A pause that lasts longer is no fault, so nothing here depends on how fast the machine is.
const PAUSE: Duration = Duration::from_millis(100);
/// The program's clock counts whole milliseconds, at both ends of a pause.
const GRAIN: Duration = Duration::from_millis(2);
/// Requests that may come within a pause for each refusal: those that were on their way, and what the other slots begin
/// until the refusal has been read.
const UNDER_WAY: usize = 2 * SLOTS;

fn home(server: &Server) -> Home {
    Home::configured(server, Format::OpenAi, "", &format!("[queue]\nmax_concurrent = {SLOTS}\n"))
}

fn refusal() -> Reply {
    Reply::status(429, r#"{"error":{"message":"slow down"}}"#).header("retry-after-ms", &PAUSE.as_millis().to_string())
}

/// `/new` for all sessions but the first, which is there.
fn sessions(count: usize) -> String {
    (2..=count).map(|n| format!("/new s{n}\n")).collect()
}

fn question(session: usize, nth: usize) -> String {
    format!("message {nth} for {session}")
}

/// The session's number that stands at the end of a question.
fn session_of(question: &str) -> usize {
    question.rsplit(' ').next().unwrap().parse().unwrap()
}

#[test]
fn five_hundred_messages_into_twenty_sessions_are_answered_each_once_and_in_order() {
    let server = Server::start();
    server.every(REFUSED, refusal());
    let mut script = sessions(SESSIONS);
    for n in 0..MESSAGES {
        let session = n % SESSIONS + 1;
        script += &format!("/send {session} {}\n", question(session, n / SESSIONS));
    }
    let outcome = home(&server).run(&["--json"], script).code(0);
    assert_eq!((outcome.named("error").len(), outcome.named("queued").len()), (0, MESSAGES));

    let mut answers: BTreeMap<usize, Vec<Value>> = BTreeMap::new();
    for event in outcome.named("finished") {
        assert_eq!(event["state"], "complete", "{event}");
        let session = usize::try_from(event["session"].as_u64().unwrap()).unwrap();
        answers.entry(session).or_default().push(event["text"].clone());
    }
    assert_eq!(answers.len(), SESSIONS);
    for (session, texts) in answers {
        let expected: Vec<_> =
            (0..MESSAGES / SESSIONS).map(|nth| format!("echo: {}", question(session, nth))).collect();
        assert_eq!(texts, expected, "session {session}");
    }

    let log = server.requests();
    let refused = log.iter().filter(|request| request.status == 429).count();
    assert!(server.max_open() <= SLOTS, "{} at once", server.max_open());
    assert_eq!(log.len(), MESSAGES + refused, "each is asked once, and once more for each refusal");
    assert!(refused >= MESSAGES / REFUSED, "{refused}");
    check_order(&log);
    check_pauses(&log);
}

/// Each session's questions reach the server in the order of sending, each with the whole conversation before it.
fn check_order(log: &[Logged]) {
    let mut next = [0; SESSIONS + 1];
    for request in log {
        let turns = request.turns();
        let session = session_of(&request.last_user());
        let nth = next[session];
        for (at, turn) in turns.chunks(2).enumerate() {
            let asked = question(session, at);
            assert_eq!(turn[0], ("user".to_owned(), asked.clone()), "{turns:?}");
            assert!(turn.get(1).is_none_or(|(_, answer)| *answer == format!("echo: {asked}")), "{turns:?}");
        }
        assert_eq!(turns.len(), 2 * nth + 1, "message {nth} of session {session} was overtaken: {turns:?}");
        next[session] += usize::from(request.status == 200);
    }
}

/// After a refusal hardly anything comes until the pause is over. Refusals within a pause prolong it.
fn check_pauses(log: &[Logged]) {
    let mut refusals =
        log.iter().filter(|request| request.status == 429).map(|request| request.began.unwrap()).peekable();
    while let Some(from) = refusals.next() {
        let (mut until, mut count) = (from + PAUSE - GRAIN, 1);
        while let Some(next) = refusals.next_if(|next| *next < until) {
            (until, count) = (next + PAUSE - GRAIN, count + 1);
        }
        let within = log.iter().filter(|request| (from..until).contains(&request.at)).count();
        assert!(within <= count * UNDER_WAY, "{within} requests within the pause of {count} refusals at {from:?}");
    }
}

/// Everything that was sent before is carried out.
fn catch_up(program: &mut Program, mark: usize) {
    let mark = format!("mark {mark}.");
    program.send(&format!("/echo {mark}"));
    program.wait_out(&mark);
}

#[test]
fn after_a_refusal_all_wait_and_then_go_one_by_one() {
    let all = 2 * SLOTS;
    let (server, refuse, first) = (Server::start(), Gate::default(), Gate::default());
    let later: BTreeMap<_, _> = (1..=all).map(|session| (session, Gate::default())).collect();
    server.once(&question(1, 0), refusal().gate_headers(&refuse));
    for (session, own) in &later {
        let gate = if (2..=SLOTS).contains(session) { &first } else { own };
        server.on(&question(*session, 0), Reply::echo().gate(gate));
    }
    let mut program = home(&server).start(&["--json"]);
    program.send(&(sessions(all) + "/switch 1"));
    (1..=all).for_each(|session| program.send(&format!("/send {session} {}", question(session, 0))));
    program.wait_event("the last", |e| e["event"] == "queued" && e["entry"] == all);
    server.wait_open(SLOTS);
    // Three are taken by the server, which says nothing about what comes after a refusal.
    first.release(SLOTS - 1);
    (2..=SLOTS).for_each(|entry| program.wait_text(i64::try_from(entry).unwrap(), "echo: "));

    // One of four is refused, then the other three end: four places are free, and nobody takes one.
    refuse.open();
    program.wait_event("the refusal", |e| e["event"] == "retry" && e["session"] == 1);
    first.open();
    (2..=SLOTS).for_each(|session| _ = program.wait_in(i64::try_from(session).unwrap(), "finished"));

    // One goes; the next one when content of it came; until all slots have shown that the server takes them.
    for accepted in 0..SLOTS {
        let log = server.wait_requests(SLOTS + accepted + 1);
        catch_up(&mut program, accepted);
        assert_eq!(server.requests().len(), SLOTS + accepted + 1, "one at a time that is not accepted");
        assert!(log[SLOTS].at >= log[0].began.unwrap() + PAUSE - GRAIN, "it came too early");
        later[&session_of(&log[SLOTS + accepted].last_user())].release(1);
    }
    later.values().for_each(Gate::open);
    let outcome = program.finish().code(0);
    let log = server.requests();
    assert_eq!((log.len(), server.max_open()), (all + 1, SLOTS));
    for pair in log[SLOTS..2 * SLOTS].windows(2) {
        assert!(pair[1].at >= pair[0].began.unwrap(), "{pair:?}");
    }
    let attempts: Vec<_> = outcome.named("started").iter().map(|e| e["attempt"].as_u64().unwrap()).collect();
    assert_eq!(attempts.iter().filter(|attempt| **attempt > 1).count(), 1, "waiting costs no attempt: {attempts:?}");
}
