//! Nothing is lost: the real binary is killed with SIGKILL at moments that the dice choose, hundreds of times, alone and with others on
//! the same database, and each time what is on the disk is compared with what was acknowledged and with what the server has sent.
//!
//! `CHATMUX_CRASHES=5000` sets the kills of each story, `CHATMUX_SEED` what happens in them; a failure says both. The moments are the
//! machine's, so the same seed is the same story at another pace. With `--nocapture` the figures are said.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]
#![allow(clippy::print_stdout, reason = "what was measured is what a run by hand is for")]

mod answers;
mod disk;
mod figures;
mod following;
mod guarded;
mod log;
mod process;
#[path = "../support/program.rs"]
mod program;
#[path = "../support/pty.rs"]
mod pty;
mod round;
#[path = "../support/server.rs"]
mod server;
mod stalls;
mod stopped;
mod story;

/// Partials, and takeovers, of which one in so many may be later than allowed: the machine stalls in ways that no meter sees.
const ONE_LATE_IN: usize = 50;

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

/// Plays a story, says its figures, and judges what only many kills tell.
fn tell(processes: usize, kills: u64) {
    let seed = number("CHATMUX_SEED", 1_000_000 * processes as u64);
    let kills = usize::try_from(number("CHATMUX_CRASHES", kills)).unwrap();
    let begun = std::time::Instant::now();
    let figures = story::play(seed, processes, kills);
    println!("--- {processes} processes at a time, seed {seed}, {:.0?}\n{figures}\n", begun.elapsed());
    let few = |late: usize, all: usize| late <= 1 + all / ONE_LATE_IN;
    assert!(few(figures.late.len(), figures.behind.len()), "partials are late: {:?}", figures.late);
    assert!(
        few(figures.late_takeovers.len(), figures.takeovers.len()),
        "takeovers are late: {:?}",
        figures.late_takeovers
    );
}

#[test]
fn one_process_is_killed() {
    tell(1, 160);
}

#[test]
fn one_of_two_processes_is_killed() {
    tell(2, 80);
}

#[test]
fn one_of_four_processes_is_killed() {
    tell(4, 80);
}
