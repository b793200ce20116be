//! How long this machine keeps a process waiting: a thread that writes, flushes and sleeps as the program does, and notes how much
//! longer than asked that took. What a test allows for scheduling follows from that, and not from a guess.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{Seek, Write};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

/// Between two measurements.
const PAUSE: Duration = Duration::from_millis(20);
/// Measurements that are kept: more than a minute.
const KEPT: usize = 4096;
/// What is said of a moment looks back so far: what was slow before a kill made the program late at it.
const BEFORE: Duration = Duration::from_millis(1500);

type Measured = Arc<Mutex<VecDeque<(Instant, Instant)>>>;

fn measured() -> &'static Measured {
    static METER: OnceLock<Measured> = OnceLock::new();
    METER.get_or_init(|| {
        let measured = Measured::default();
        let own = Arc::clone(&measured);
        std::thread::spawn(move || measure(&own, tempfile::tempfile().unwrap()));
        measured
    })
}

fn measure(measured: &Measured, mut file: File) {
    loop {
        let begin = Instant::now();
        file.rewind().and_then(|()| file.write_all(&[1; 4096])).and_then(|()| file.sync_data()).unwrap();
        std::thread::sleep(PAUSE);
        let mut measured = measured.lock().unwrap();
        measured.push_back((begin, Instant::now()));
        if measured.len() > KEPT {
            measured.pop_front();
        }
    }
}

/// Begins to measure.
pub(crate) fn begin() {
    measured();
}

/// The longest that anything had to wait shortly before `at`.
pub(crate) fn before(at: Instant) -> Duration {
    let touches = |(begin, end): &&(Instant, Instant)| *begin < at && *end + BEFORE > at;
    let measured = measured().lock().unwrap();
    let longest = measured.iter().filter(touches).map(|(begin, end)| *end - *begin).max();
    // Nothing that had ended by now: it has not come to its turn.
    let unheard = measured.back().map_or(BEFORE, |(_, end)| at.saturating_duration_since(*end));
    longest.unwrap_or_default().max(unheard).saturating_sub(PAUSE)
}
