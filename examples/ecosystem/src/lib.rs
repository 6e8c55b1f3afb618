//! What the programs share.
//!
//! Each program is a file or a folder of `src/bin`, and runs with `cargo run -p ecosystem --bin NAME`. Its test is the
//! file of the same name in `tests/`.

pub mod connect;
pub mod options;
pub mod servers;
pub mod stop;
