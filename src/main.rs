//! The door: see [`chatmux::app`].

use std::process::ExitCode;

fn main() -> ExitCode {
    chatmux::app::main()
}
