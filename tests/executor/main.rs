//! Executors, as `concurrent.futures` has them.

#[path = "../support/watchdog.rs"]
mod watchdog;

mod cpu;
mod processes;
mod threads;
