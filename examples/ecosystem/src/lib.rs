//! What the programs share.
//!
//! Each program is a file or a folder of `src/bin`, and runs with `cargo run -p ecosystem --bin NAME`. Its test is the
//! file of the same name in `tests/`.

pub mod connect;
pub mod options;
pub mod servers;
pub mod stop;

use std::{
    fmt::Arguments,
    io::{self, Write},
};

/// Prints a line on standard error in one piece: other processes may be printing there at the same time.
/// (`eprintln!` writes each part of a line by itself.)
pub fn say(line: Arguments<'_>) {
    // As with `eprintln!`; but a terminal that is gone is no reason to panic.
    _ = io::stderr().write_all(format!("{line}\n").as_bytes());
}
