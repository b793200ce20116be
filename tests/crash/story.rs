//! What happens, by the dice: who types what where, how long nothing happens, and who is killed.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::figures::Figures;
use crate::process::within;
use crate::round::{Round, SESSIONS, What};

/// Kills on one database; then the next story begins on a fresh one, so that no conversation grows without bound.
const KILLS_A_ROUND: usize = 40;

/// Rounds that are played at a time: most of the time each of them waits.
const LANES: usize = 2;

/// Plays `kills` kills with so many processes at a time.
pub(crate) fn play(seed: u64, processes: usize, kills: usize) -> Figures {
    crate::stalls::begin();
    let rounds = (0..kills).step_by(KILLS_A_ROUND).map(|first| KILLS_A_ROUND.min(kills - first));
    let rounds = Mutex::new(rounds.enumerate());
    let all = Mutex::new(Figures::default());
    let lane = || {
        loop {
            let Some((nth, kills)) = rounds.lock().unwrap().next() else { return };
            let figures = round(seed.wrapping_add(nth as u64), processes, kills);
            let mut all = all.lock().unwrap();
            *all += figures;
            println!("{processes} at a time: {} kills", all.kills);
        }
    };
    std::thread::scope(|scope| (0..LANES).for_each(|_| drop(scope.spawn(lane))));
    all.into_inner().unwrap()
}

fn round(seed: u64, processes: usize, kills: usize) -> Figures {
    let _told = Told(format!("CHATMUX_SEED={seed} CHATMUX_CRASHES={kills}, {processes} processes"));
    let mut round = Round::begin(seed);
    while round.figures.kills < kills {
        live_and_die(&mut round, processes);
    }
    round.end()
}

/// Says how a failure is played again.
struct Told(String);

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("to play it again: {}", self.0);
        }
    }
}

fn live_and_die(round: &mut Round, processes: usize) {
    while round.alive.len() < processes {
        round.start(false);
        let nth = round.alive.len() - 1;
        if round.dice.u8(..10) < 7 {
            round.order(nth, "/resume all", What::Resumes);
        }
    }
    for _ in 0..round.dice.usize(4..24) {
        act(round);
        round.reap();
    }
    if round.alive.is_empty() {
        return;
    }
    let owners = round.owners();
    let any = round.dice.usize(..round.alive.len());
    let victim = if round.dice.u8(..10) < 7 { round.dice.choice(&owners).copied().unwrap_or(any) } else { any };
    moment(round, victim);
    // Some end by themselves meanwhile, which moves the others.
    let number = round.alive[victim].number;
    round.reap();
    let Some(victim) = round.alive.iter().position(|process| process.number == number) else { return };
    let at = Instant::now();
    round.kill(victim);
    if !round.alive.is_empty() && round.dice.u8(..3) == 0 {
        round.wait_for_takeover(at);
    }
}

/// Chooses the moment of the kill: after some time, or when the victim has said so much more, if that is sooner.
fn moment(round: &mut Round, victim: usize) {
    let bound = Duration::from_millis(round.dice.u64(..600));
    let more = if round.dice.bool() { usize::MAX } else { round.dice.usize(..4_000) };
    let program = &round.alive[victim].program;
    let before = program.out_bytes();
    within(bound, || program.out_bytes() >= before.saturating_add(more));
}

fn act(round: &mut Round) {
    let typing: Vec<_> = (0..round.alive.len()).filter(|&nth| !round.alive[nth].works).collect();
    let session = round.dice.i64(1..=SESSIONS);
    let Some(&nth) = round.dice.choice(&typing) else { return round.start(false) };
    match round.dice.u8(..100) {
        0..40 => round.ask(nth, &format!("/send {session}"), session),
        40..58 => {
            round.alive[nth].say(&format!("/switch {session}"));
            match round.dice.u8(..4) {
                0 => round.hurry(nth, session),
                1 => round.ask(nth, "/bg", session),
                _ => round.ask(nth, "/later", session),
            }
        }
        58..65 => round.order(nth, &format!("/cancel {session}"), What::Ends(session)),
        65..69 => round.order(nth, &format!("/stop {session}"), What::Ends(session)),
        69..79 => round.order(nth, &format!("/resume {session}"), What::Resumes),
        79..82 => round.order(nth, "/resume all", What::Resumes),
        82..84 => round.start(true),
        84..86 => {
            let number = round.alive[nth].number;
            round.order(nth, "/detach", What::Left(number));
        }
        86..88 => round.kill_detached(),
        88 => {
            let number = round.alive[nth].number;
            round.order(nth, "/quit", What::Left(number));
        }
        _ => {
            let pause = Duration::from_millis(round.dice.u64(..60));
            std::thread::sleep(pause);
        }
    }
}
