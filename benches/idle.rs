//! What it costs that chatmux is open and nothing happens: wake-ups and CPU time of one prompt, of eight on one database, and of
//! `chatmux work --watch`; against a program that waits for a line. Linux only: figures come from `/proc`.

mod support;

use std::fs;
use std::io;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use support::figures::{Table, say, verdict};
use support::prompt::Prompt;
use support::sandbox::{self, Sandbox};

/// Prompts on one database.
const PROMPTS: usize = 8;
/// How long each is looked at.
const LOOK: Duration = Duration::from_secs(20);
/// Before that, for what a start leaves to be done.
const SETTLE: Duration = Duration::from_secs(3);
/// Wake-ups a second of each.
const BUDGET: f64 = 2.0;
/// CPU time in all, in percent of one core: what rounds to 0.0.
const BUDGET_CPU: f64 = 0.05;

fn main() -> io::Result<()> {
    let sandbox = Sandbox::new()?;
    say(&format!("idle: each {} s, with the guardian of a prompt\n", LOOK.as_secs()))?;
    let mut table = Table::new(["what", "wake-ups a second of each", "CPU of all, %", "budget"]);
    let mut baseline = waiting(&mut Command::new("cat"))?;
    measure("a program that waits for a line", &[baseline.id()], &mut table)?;
    end(&mut baseline)?;
    let mut prompts = vec![Prompt::start(&sandbox)?];
    measure("one prompt", &[prompts[0].pid], &mut table)?;
    while prompts.len() < PROMPTS {
        prompts.push(Prompt::start(&sandbox)?);
    }
    let pids: Vec<_> = prompts.iter().map(|prompt| prompt.pid).collect();
    measure(&format!("{PROMPTS} prompts on one database"), &pids, &mut table)?;
    prompts.into_iter().try_for_each(Prompt::quit)?;
    let mut work = waiting(&mut sandbox.chatmux(&["work", "--watch"]))?;
    measure("chatmux work --watch", &[work.id()], &mut table)?;
    end(&mut work)?;
    table.print()
}

/// Takes their figures over [`LOOK`].
fn measure(what: &str, pids: &[u32], table: &mut Table) -> io::Result<()> {
    thread::sleep(SETTLE);
    let (before, began) = (Figures::of(pids)?, Instant::now());
    thread::sleep(LOOK);
    let (after, seconds) = (Figures::of(pids)?, began.elapsed().as_secs_f64());
    let each = (after.switches - before.switches) as f64 / seconds / pids.len() as f64;
    let cpu = (after.cpu - before.cpu).as_secs_f64() / seconds * 100.0;
    let kept = verdict(each <= BUDGET && cpu < BUDGET_CPU);
    table.row([&what, &format!("{each:.1}"), &format!("{cpu:.2}"), &format!("≤ {BUDGET}, 0.0 %: {kept}")]);
    Ok(())
}

/// Of processes with their children, up to now.
#[derive(Default)]
struct Figures {
    /// Context switches of all threads: each is a wake-up, but for the few of a thread that was displaced.
    switches: u64,
    cpu: Duration,
}

impl Figures {
    fn of(pids: &[u32]) -> io::Result<Self> {
        let mut all = Self::default();
        for &pid in pids {
            for pid in sandbox::family(pid)? {
                all.cpu += sandbox::proc_cpu(pid)?;
                for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
                    let status = format!("task/{}/status", thread?.file_name().display());
                    for switches in ["voluntary_ctxt_switches", "nonvoluntary_ctxt_switches"] {
                        all.switches += sandbox::proc_figure(pid, &status, switches)?;
                    }
                }
            }
        }
        Ok(all)
    }
}

/// A process whose stdin stays open, and has nothing to say.
fn waiting(command: &mut Command) -> io::Result<Child> {
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
}

/// By a signal.
fn end(child: &mut Child) -> io::Result<()> {
    let pid = nix::unistd::Pid::from_raw(child.id().cast_signed());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM)?;
    child.wait()?;
    Ok(())
}
