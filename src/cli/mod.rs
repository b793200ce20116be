//! Layer 5: the program's own command line, for those who start it from a shell.

pub mod args;
