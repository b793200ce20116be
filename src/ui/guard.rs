//! The terminal's modes: saved at the start, restored on every way out.
//!
//! From [`enter`] to [`restore`] the terminal is in the mode that rustyline edits in, also between two lines. So what is typed
//! there is neither echoed by the kernel nor turned into something else (Enter into a line feed, Ctrl-C into a signal); rustyline
//! finds this mode and goes back to it. Who lends the terminal to another program (an editor) calls [`restore`] before and
//! [`enter`] after.

use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::libc;
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::sys::termios::{
    ControlFlags, InputFlags, LocalFlags, SetArg, SpecialCharacterIndices, Termios, tcgetattr, tcsetattr,
};
use nix::unistd::{getpgrp, tcgetpgrp};

use super::keyboard::Keyboard;

/// Leaves bracketed paste and a synchronized update, shows the cursor, and ends a style.
pub const LEAVE: &[u8] = b"\x1b[?2026l\x1b[?2004l\x1b[?25h\x1b[0m";
/// The part of [`LEAVE`] for a terminal that somebody else has taken: a shell that edits its own line has turned bracketed paste on again.
const LEAVE_TO_OTHERS: &[u8] = b"\x1b[?2026l\x1b[?25h";

/// The signal to stop goes to any of our threads, so this one runs on for a moment: it stops while it waits for that moment to
/// pass, and the rest of the wait is after the job goes on.
const STOPPING: Duration = Duration::from_millis(50);

/// The modes as they were before us; absent where stdin is no terminal.
static SAVED: OnceLock<libc::termios> = OnceLock::new();
/// The terminal, where stdin is one of our own.
static KEYBOARD: OnceLock<Keyboard> = OnceLock::new();
/// Whether the modes are ours now.
static OURS: AtomicBool = AtomicBool::new(false);
/// Whether the panic hook is in place.
static HOOKED: AtomicBool = AtomicBool::new(false);

/// Restores the terminal when it is dropped.
#[derive(Debug)]
#[must_use = "dropping it restores the terminal"]
pub struct Guard(());

impl Guard {
    /// Saves the modes, takes the terminal, and sees to it that a panic in any thread gives it back before it is reported.
    ///
    /// # Errors
    /// When stdin is a terminal whose modes cannot be read or set.
    pub fn new() -> io::Result<Self> {
        if let Ok(found) = modes() {
            SAVED.get_or_init(|| found.into());
            enter()?;
        }
        if !HOOKED.swap(true, Ordering::AcqRel) {
            let report = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |info| {
                restore();
                report(info);
            }));
        }
        Ok(Self(()))
    }

    /// A guard of nothing, for terminals that are read line by line: their modes stay as they are.
    pub(super) const fn plain() -> Self {
        Self(())
    }
}

/// Keeps what is no key away from stdin: see [`Keyboard`]. Behind [`Guard::new`]. Where it cannot be done, reports of the terminal are typed.
pub(super) fn keep_reports_away() {
    match Keyboard::take() {
        Ok(keyboard) => _ = KEYBOARD.set(keyboard),
        Err(error) => tracing::warn!(%error, "reports of the terminal cannot be told from keys"),
    }
}

/// Lets go of the terminal for good, behind [`restore`]: who leaves it to the shell has to close stdin and the others besides.
pub fn leave() {
    KEYBOARD.get().into_iter().for_each(Keyboard::leave);
}

/// The terminal as another program's stdin; `None` where that is ours already.
pub(super) fn lent_terminal() -> Option<OwnedFd> {
    let clone = |terminal: &OwnedFd| terminal.try_clone().map_err(|_| nix::errno::Errno::EMFILE);
    KEYBOARD.get()?.with_terminal(clone).ok()
}

fn modes() -> nix::Result<Termios> {
    KEYBOARD
        .get()
        .map_or_else(|| tcgetattr(io::stdin()), |keyboard| keyboard.with_terminal(|terminal| tcgetattr(terminal)))
}

fn set_modes(when: SetArg, modes: &Termios) -> nix::Result<()> {
    match KEYBOARD.get() {
        Some(keyboard) => keyboard.with_terminal(|terminal| tcsetattr(terminal, when, modes)),
        None => tcsetattr(io::stdin(), when, modes),
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        restore();
    }
}

/// Takes the terminal (again). Does nothing where stdin is no terminal.
///
/// # Errors
/// When its modes cannot be set.
pub fn enter() -> io::Result<()> {
    let Some(saved) = SAVED.get() else { return Ok(()) };
    set_modes(SetArg::TCSADRAIN, &raw(saved))?;
    OURS.store(true, Ordering::Release);
    KEYBOARD.get().into_iter().for_each(Keyboard::go_on);
    Ok(())
}

/// The modes that are ours, where `saved` were those before.
fn raw(saved: &libc::termios) -> Termios {
    let mut raw = Termios::from(*saved);
    raw.input_flags &=
        !(InputFlags::BRKINT | InputFlags::ICRNL | InputFlags::INPCK | InputFlags::ISTRIP | InputFlags::IXON);
    raw.control_flags |= ControlFlags::CS8;
    raw.local_flags &= !(LocalFlags::ECHO | LocalFlags::ICANON | LocalFlags::IEXTEN | LocalFlags::ISIG);
    raw.control_chars[SpecialCharacterIndices::VMIN as usize] = 1;
    raw.control_chars[SpecialCharacterIndices::VTIME as usize] = 0;
    raw
}

/// Gives the terminal back as it was. May be called from anywhere, any number of times; the first call after [`enter`] acts.
/// Allocates nothing, and takes no lock that somebody holds for longer than an assignment.
pub fn restore() {
    let Some(saved) = SAVED.get() else { return };
    if OURS.swap(false, Ordering::AcqRel) {
        restore_modes(saved);
    }
}

/// As [`restore`], but also when the modes were given back already: something may have set them since.
pub(super) fn restore_again() {
    if let Some(saved) = SAVED.get() {
        OURS.store(false, Ordering::Release);
        restore_modes(saved);
    }
}

fn restore_modes(saved: &libc::termios) {
    KEYBOARD.get().into_iter().for_each(Keyboard::rest);
    // Where the shell lost its job and took the terminal, this process is in the background: SIGTTOU would stop it, or fail what it does.
    let mut mask = SigSet::empty();
    mask.add(Signal::SIGTTOU);
    let before = mask.thread_swap_mask(SigmaskHow::SIG_BLOCK);
    let is_left_to_us = is_in_foreground() || modes().is_ok_and(|modes| are_ours(&modes, saved));
    // On the way out there is nobody left to tell about an error.
    let _ = nix::unistd::write(io::stdout(), if is_left_to_us { LEAVE } else { LEAVE_TO_OTHERS });
    if is_left_to_us {
        let _ = set_modes(SetArg::TCSANOW, &Termios::from(*saved));
    }
    let _ = before.map(|before| before.thread_set_mask());
}

/// Whether the terminal belongs to this process's job; also where that cannot be told.
fn is_in_foreground() -> bool {
    let foreground = match KEYBOARD.get() {
        Some(keyboard) => keyboard.with_terminal(|terminal| tcgetpgrp(terminal)),
        None => tcgetpgrp(io::stdin()),
    };
    foreground.is_err() || foreground == Ok(getpgrp())
}

/// Whether `modes` are those of [`enter`], which nobody has changed since.
fn are_ours(modes: &Termios, saved: &libc::termios) -> bool {
    let raw = raw(saved);
    (modes.input_flags, modes.local_flags) == (raw.input_flags, raw.local_flags)
}

/// Reads and drops what the terminal has, up to `end` (of whose bytes the first is there once) or until nothing more comes. Not one
/// byte behind `end` is taken.
pub(super) fn skip_until(end: &[u8]) {
    let Ok(modes) = tcgetattr(io::stdin()) else { return };
    let mut waiting = modes.clone();
    // A read gives nothing after a tenth of a second without a byte.
    waiting.control_chars[SpecialCharacterIndices::VMIN as usize] = 0;
    waiting.control_chars[SpecialCharacterIndices::VTIME as usize] = 1;
    if tcsetattr(io::stdin(), SetArg::TCSANOW, &waiting).is_err() {
        return;
    }
    let (mut found, mut byte) = (0, [0]);
    while found < end.len() {
        match nix::unistd::read(io::stdin(), &mut byte) {
            Ok(1..) if byte[0] == end[found] => found += 1,
            Ok(1..) => found = usize::from(byte[0] == end[0]),
            Err(nix::errno::Errno::EINTR) => {}
            Ok(0) | Err(_) => break,
        }
    }
    let _ = tcsetattr(io::stdin(), SetArg::TCSANOW, &modes);
}

/// Stops the whole job, as Ctrl-Z does, and takes the terminal again when it goes on.
pub(super) fn suspend() {
    restore();
    // Zero: every process of our group, so that the shell sees the job stop.
    let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(0), Signal::SIGTSTP);
    std::thread::sleep(STOPPING);
    if enter().is_ok() {
        let mut stdout = io::stdout();
        let _ = stdout.write_all(b"\x1b[?2004h");
        let _ = stdout.flush();
    }
}

/// Rows of the terminal; 24 where there is none.
pub(super) fn rows() -> usize {
    match terminal_size::terminal_size_of(io::stdout()) {
        Some((_, terminal_size::Height(rows))) if rows > 0 => rows.into(),
        _ => 24,
    }
}

/// Columns of the terminal; 80 where there is none.
pub fn columns() -> usize {
    match terminal_size::terminal_size_of(io::stdout()) {
        Some((terminal_size::Width(columns), _)) if columns > 0 => columns.into(),
        _ => 80,
    }
}

/// Gives the terminal back once more while a panic unwinds: rustyline, further in, goes back to the mode it had found.
#[derive(Debug)]
pub(super) struct RestoreOnUnwind;

impl Drop for RestoreOnUnwind {
    fn drop(&mut self) {
        if std::thread::panicking() {
            restore_again();
        }
    }
}
