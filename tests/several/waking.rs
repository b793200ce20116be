//! Who sleeps is woken by what another does, and looks at nothing by itself.

use std::fs;

use super::*;

/// Looks that no test lives to see.
const NEVER: &str = "[lease]\nheartbeat = \"1h\"\nquiet_period = \"1h\"\nmax_wait = \"1h\"\ncheck_interval = \"1h\"\n";

fn slow_home(server: &Server) -> Home {
    Home::configured(server, Format::OpenAi, "", NEVER)
}

/// Two in one session, who have nothing to do.
fn two(home: &Home) -> [Program; 2] {
    let mut one = home.start(&["--json"]);
    one.send("/echo one is there");
    one.wait_out("one is there");
    let mut two = home.start(&["--json"]);
    two.send("/echo two is there");
    two.wait_out("two is there");
    [one, two]
}

/// The first names the session; waits until the second knows.
fn rename(one: &mut Program, two: &mut Program, name: &str) {
    one.send(&format!("/rename {name}"));
    for nth in 1.. {
        two.send("/sessions");
        two.send(&format!("/echo {name} {nth}"));
        two.wait_out(&format!("\"{name} {nth}\""));
        if two.out().contains(&format!("\"name\":\"{name}\"")) {
            return;
        }
    }
}

#[test]
fn what_another_does_is_seen_and_followed_although_nobody_looks() {
    let server = Server::start();
    let gate = gated(&server, "long", &["one", " two"]);
    let home = slow_home(&server);
    let [mut one, mut two] = two(&home);
    rename(&mut one, &mut two, "docs");
    rename(&mut two, &mut one, "papers");
    one.send("/bg long");
    gate.release(1);
    one.wait_text(1, "one");
    wait_queued(&mut two, 2);
    gate.open();
    two.wait_text(2, "echo: and then");
    wait_of(&two, 2, "finished");
    two.send("/stop");
    one.finish().code(0);
    two.finish().code(0);
    assert_eq!(asked(&server), ["long", "and then"]);
    assert_nobody_is_left(&home);
}

/// Queues behind what the other answers.
fn wait_queued(program: &mut Program, entry: i64) {
    program.send("/bg and then");
    wait_of(program, entry, "queued");
}

#[test]
fn a_lock_that_is_replaced_keeps_nobody_asleep() {
    let server = Server::start();
    let home = slow_home(&server);
    let [mut one, mut two] = two(&home);
    rename(&mut one, &mut two, "docs");
    let lock = home.database().with_extension("db.lock");
    for name in ["papers", "letters"] {
        let new = home.path("new.lock");
        fs::write(&new, "").unwrap();
        fs::rename(&new, &lock).unwrap();
        rename(&mut one, &mut two, name);
    }
    // Both hold the lock that is there now.
    rename(&mut two, &mut one, "notes");
    one.finish().code(0);
    two.finish().code(0);
    assert_nobody_is_left(&home);
    home.assert_sound();
}
