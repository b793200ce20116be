//! One question from the shell to its answer over loopback: chatmux (which stores it, and waits until that is on the disk) against
//! a raw client and curl doing the same request.

mod support;

use std::io::{self, Write};
use std::process::Command;

use support::figures::{Table, median, min, ms, say, verdict};
use support::sandbox::{self, Cost, Sandbox};
use support::{raw, server, wire};

/// Questions of each; they take turns, so that all see the same machine.
const RUNS: usize = 60;
/// Pieces of the answer.
const CHUNKS: usize = 10;
/// Milliseconds over curl's.
const BUDGET_MS: f64 = 5.0;

fn main() -> io::Result<()> {
    if raw::ran()? {
        return Ok(());
    }
    let response = wire::response("openai", 1, (0..CHUNKS).map(|nth| format!(" word{nth}")));
    let address = server::start(move |_, mut connection| connection.write_all(&response))?;
    let sandbox = Sandbox::new()?;
    sandbox.configure("openai", address, 4)?;
    let curl = Command::new("curl").arg("--version").output().is_ok_and(|output| output.status.success());
    let url = format!("http://{address}/v1/chat/completions");
    let mut costs: [Vec<Cost>; 4] = Default::default();
    // The first ones make the database and fill the caches.
    for round in 0..=RUNS {
        let mut take = |which: usize, command: &mut Command| {
            let cost = sandbox::run(command, "")?;
            if round > 0 {
                costs[which].push(cost);
            }
            io::Result::Ok(())
        };
        take(0, &mut sandbox.chatmux(&["ask", "why?"]))?;
        take(1, &mut raw::client(address, "openai", "why?")?)?;
        if curl {
            let body = raw::body("why?");
            take(2, Command::new("curl").args(["-sN", "-H", "Content-Type: application/json", "-d", &body, &url]))?;
        }
        take(3, &mut sandbox.chatmux(&["--version"]))?;
    }
    say(&format!("oneshot: a question and its answer of {CHUNKS} chunks over loopback, {RUNS} runs\n"))?;
    let mut table = Table::new(["what", "median ms", "least ms", "CPU ms", "over it, ms", "budget"]);
    let walls = |which: usize| costs[which].iter().map(|cost| ms(cost.wall)).collect::<Vec<_>>();
    let own = median(&walls(0));
    for (which, name) in ["chatmux ask", "raw client", "curl -N", "chatmux --version"].into_iter().enumerate() {
        let (wall, cpu): (Vec<_>, Vec<_>) = (walls(which), costs[which].iter().map(|cost| ms(cost.cpu)).collect());
        if wall.is_empty() {
            continue;
        }
        let over = own - median(&wall);
        let budget =
            if which == 2 { format!("≤ +{BUDGET_MS}: {}", verdict(over <= BUDGET_MS)) } else { String::new() };
        let over = if which == 0 { String::new() } else { format!("+{over:.1}") };
        let figure = |value: f64| format!("{value:.1}");
        table.row([&name, &figure(median(&wall)), &figure(min(&wall)), &figure(median(&cpu)), &over, &budget]);
    }
    table.print()
}
