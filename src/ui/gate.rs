//! Holds the printer back between a returned line and the next open prompt. The printer passes it; the key handlers and the
//! reader open and close it. It guards no state of the program: it is the moment at which a print may begin.
//!
//! Why: outside of a readline a print would write at once, in the middle of what the reader erases or of the prompt's first
//! drawing. So a key that ends a readline closes the gate before the readline ends, and waits a moment for a print that has begun.
//! A print may then still be waiting for the editor (which is busy with that very key): it has passed, and its message is drawn
//! when the next prompt is open, where the rows are as it expects them. The gate opens when that prompt is drawn first, that
//! is when the terminal is raw and prints go through the editor only.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long closing waits for a print that has begun. One that takes longer waits for the editor.
const PASSING: Duration = Duration::from_millis(5);

#[derive(Debug, Default)]
struct Passage {
    open: bool,
    /// The line that is open has more rows than the screen: rustyline cannot draw it again where it stands.
    tall: bool,
    /// A print is under way.
    passing: bool,
}

/// What happened to the live row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Disturbance {
    /// It stands where it stood, but something came between it and the prompt.
    Between,
    /// It is gone from the screen.
    Cleared,
}

/// The gate. Closed at first.
#[derive(Debug, Default)]
pub(super) struct Gate {
    passage: Mutex<Passage>,
    changed: Condvar,
    /// Something came between the live row and the prompt since the printer last asked.
    disturbed: AtomicBool,
    /// The screen was cleared since the printer last asked, and the live row with it.
    cleared: AtomicBool,
}

impl Gate {
    fn lock(&self) -> MutexGuard<'_, Passage> {
        // Plain flags: a thread that panicked left nothing half done.
        self.passage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the printer pass from now on.
    pub(super) fn open(&self) {
        self.lock().open = true;
        self.changed.notify_all();
    }

    /// Whether a line is open.
    pub(super) fn is_open(&self) -> bool {
        self.lock().open
    }

    /// While the line that is open is taller than the screen nothing passes: each print would leave a copy of it behind.
    pub(super) fn set_tall(&self, tall: bool) {
        let mut passage = self.lock();
        if std::mem::replace(&mut passage.tall, tall) && !tall {
            self.changed.notify_all();
        }
    }

    /// Lets nothing pass from now on; waits at most [`PASSING`] for a print that has begun.
    pub(super) fn close(&self) {
        let mut passage = self.lock();
        passage.open = false;
        let waited = self.changed.wait_timeout_while(passage, PASSING, |p| p.passing);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// Waits until the gate is open and runs `print`, which should do no more than that: see [`PASSING`].
    pub(super) fn pass<T>(&self, print: impl FnOnce() -> T) -> T {
        let waited = self.changed.wait_while(self.lock(), |p| !p.open || p.tall);
        let mut passage = waited.unwrap_or_else(PoisonError::into_inner);
        passage.passing = true;
        drop(passage);
        let printed = print();
        self.lock().passing = false;
        self.changed.notify_all();
        printed
    }

    /// Something came between the live row and the prompt.
    pub(super) fn disturb(&self) {
        self.disturbed.store(true, Ordering::Release);
    }

    /// The screen was cleared.
    pub(super) fn clear(&self) {
        self.cleared.store(true, Ordering::Release);
    }

    /// What happened to the live row since the last call.
    pub(super) fn take_disturbance(&self) -> Option<Disturbance> {
        let (between, cleared) =
            (self.disturbed.swap(false, Ordering::AcqRel), self.cleared.swap(false, Ordering::AcqRel));
        match (between, cleared) {
            (_, true) => Some(Disturbance::Cleared),
            (true, false) => Some(Disturbance::Between),
            (false, false) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, mpsc};

    use super::*;

    #[test]
    fn nothing_passes_a_closed_gate() {
        let gate = Arc::new(Gate::default());
        let (passed, seen) = mpsc::sync_channel(1);
        let printer = {
            let gate = Arc::clone(&gate);
            std::thread::spawn(move || {
                gate.pass(|| passed.send(1).unwrap());
                gate.pass(|| passed.send(2).unwrap());
            })
        };
        assert!(seen.try_recv().is_err());
        gate.open();
        assert_eq!(seen.recv(), Ok(1));
        assert_eq!(seen.recv(), Ok(2));
        printer.join().unwrap();
    }

    #[test]
    fn closing_waits_for_a_print_but_not_for_ever() {
        let gate = Arc::new(Gate::default());
        gate.open();
        let (inside, entered) = mpsc::sync_channel(0);
        let (leave, left) = mpsc::sync_channel::<()>(0);
        let printer = {
            let gate = Arc::clone(&gate);
            std::thread::spawn(move || {
                gate.pass(|| {
                    inside.send(()).unwrap();
                    left.recv().unwrap();
                })
            })
        };
        entered.recv().unwrap();
        gate.close();
        assert!(gate.lock().passing, "the print that is stuck has passed");
        leave.send(()).unwrap();
        printer.join().unwrap();
        assert!(!gate.lock().passing);
    }

    #[test]
    fn a_disturbance_is_told_once() {
        let gate = Gate::default();
        gate.disturb();
        assert_eq!(gate.take_disturbance(), Some(Disturbance::Between));
        gate.disturb();
        gate.clear();
        assert_eq!(gate.take_disturbance(), Some(Disturbance::Cleared));
        assert_eq!(gate.take_disturbance(), None);
    }

    #[test]
    fn nothing_passes_while_the_line_is_taller_than_the_screen() {
        let gate = Arc::new(Gate::default());
        gate.open();
        gate.set_tall(true);
        let (passed, seen) = mpsc::sync_channel(1);
        let printer = {
            let gate = Arc::clone(&gate);
            std::thread::spawn(move || gate.pass(|| passed.send(()).unwrap()))
        };
        assert!(seen.try_recv().is_err());
        gate.set_tall(false);
        assert_eq!(seen.recv(), Ok(()));
        printer.join().unwrap();
    }
}
