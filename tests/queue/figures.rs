//! `chatmux queue` and `chatmux stats`: they agree with what happened, also while another chatmux works.

use serde_json::{Value, json};

use crate::program::Home;
use crate::server::{End, Format, Gate, Reply, Server};
use crate::{ends, wait_of, wait_said};

fn listed(home: &Home, args: &[&str]) -> Vec<Value> {
    let outcome = home.run(args, "").code(0).quiet();
    outcome.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// These members of an object.
fn some(object: &Value, names: &[&str]) -> Vec<Value> {
    names.iter().map(|name| object[*name].clone()).collect()
}

const COUNTS: [&str; 8] =
    ["complete", "interrupted", "failed", "cancelled", "retries", "preemptions", "running", "dead"];

#[test]
fn figures_agree_with_what_happened() {
    let server = Server::start();
    server.once("busy", Reply::status(503, "{}"));
    server.on("bad", Reply::status(400, r#"{"error":{"message":"no such thing"}}"#));
    server.on("cut", Reply::words(&["ha", "lf"]).end(End::Truncated));
    let home = Home::serving(&server, Format::OpenAi);
    let script =
        "one\nbusy\nbad\ncut\n/hold\n/bg dropped\n/bg waits\n/later waits too\n/drop 5\n/new two\nhere\nbad as well\n";
    home.run(&["--json"], script).code(1);
    let stats = listed(&home, &["stats", "--json"]);
    assert_eq!(stats.len(), 3, "all, and each session");
    assert_eq!(some(&stats[0], &COUNTS), [3, 1, 2, 0, 1, 0, 0, 2].map(Value::from), "{}", stats[0]);
    assert_eq!(some(&stats[1], &COUNTS), [2, 1, 1, 0, 1, 0, 0, 1].map(Value::from), "{}", stats[1]);
    assert_eq!(some(&stats[2], &COUNTS), [1, 0, 1, 0, 0, 0, 0, 1].map(Value::from), "{}", stats[2]);
    // What was dropped had no turn.
    assert_eq!(stats[0]["depth"], json!({"high": 0, "normal": 1, "low": 1}));
    // The server counts 9 tokens in, and one out a word; what has no stop reason has no count.
    assert_eq!((&stats[0]["input_tokens"], &stats[0]["output_tokens"]), (&27.into(), &6.into()), "{}", stats[0]);
    let dead = listed(&home, &["queue", "--dead", "--json"]);
    let rows: Vec<_> = dead.iter().map(|e| some(e, &["entry", "session", "state", "attempts"])).collect();
    assert_eq!(rows, [[json!(3), json!(1), json!("dead"), json!(1)], [json!(9), json!(2), json!("dead"), json!(1)]]);
    assert_eq!((&dead[0]["error"]["status"], &dead[0]["text"]), (&400.into(), &"bad".into()));
    let of_two = listed(&home, &["queue", "-s", "two", "--json"]);
    assert_eq!(of_two, dead[1..], "of one session");
    // In the program the same.
    let inside = home.run(&["--json"], "/stats all\n/dead all\n").code(0);
    let all = inside.result("stats");
    assert_eq!(some(&all[0], &COUNTS), some(&stats[0], &COUNTS));
    assert_eq!(inside.result("dead"), Value::Array(dead));
    // Who deletes a session does not undo what was.
    home.run(&[], "/switch 2\n/delete 1\n").code(0);
    let left = listed(&home, &["stats", "--json"]);
    assert_eq!((left.len(), some(&left[0], &COUNTS)), (2, [3, 1, 2, 0, 1, 0, 0, 1].map(Value::from).to_vec()));
}

#[test]
fn they_are_right_while_another_chatmux_works() {
    let (server, gate) = (Server::start(), Gate::default());
    server.once("long", Reply::words(&["part ", "rest"]).gate(&gate));
    let home = Home::configured(&server, Format::Ollama, "", "[queue]\nmax_concurrent = 1\n");
    let mut program = home.start(&["--json"]);
    ["/new two", "/later long", "/switch 1"].iter().for_each(|line| program.send(line));
    gate.release(1);
    program.wait_text(1, "part ");
    home.wait_query("SELECT count(*) FROM chunks WHERE text = 'part '", "1");
    let queue = listed(&home, &["queue", "--json"]);
    assert_eq!(some(&queue[0], &["entry", "state", "answer_bytes"]), [json!(1), json!("running"), json!(5)]);
    assert_eq!(listed(&home, &["stats", "--json"])[0]["running"], 1);
    let hold = Gate::default();
    server.once("quick", Reply::echo().gate(&hold));
    program.send("/bg quick");
    wait_said(&program, "gave its slot");
    wait_of(&program, 2, "started");
    let queue = listed(&home, &["queue", "--json"]);
    let rows: Vec<_> =
        queue.iter().map(|e| some(e, &["entry", "state", "continues", "waits_for", "position"])).collect();
    let expected = [
        [json!(2), json!("running"), json!(false), Value::Null, Value::Null],
        [json!(1), json!("pending"), json!(true), json!("slot"), json!(1)],
    ];
    assert_eq!(rows, expected);
    let stats = listed(&home, &["stats", "--json"]);
    assert_eq!(some(&stats[0], &COUNTS), [0, 0, 0, 0, 0, 1, 1, 0].map(Value::from));
    assert_eq!(stats[0]["depth"], json!({"high": 0, "normal": 0, "low": 1}));
    hold.open();
    let outcome = program.finish().code(0);
    assert_eq!(ends(&outcome).len(), 2);
    assert_eq!(some(&listed(&home, &["stats", "--json"])[0], &COUNTS), [2, 0, 0, 0, 0, 1, 0, 0].map(Value::from));
    assert_eq!(listed(&home, &["queue", "--json"]), Vec::<Value>::new());
}
