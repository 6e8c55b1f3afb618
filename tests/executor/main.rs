//! Executors, as `concurrent.futures` has them.

#[path = "../support/again.rs"]
mod again;
#[cfg(target_os = "linux")]
#[path = "../support/refused.rs"]
mod refused;
#[path = "../support/variants.rs"]
mod variants;
#[path = "../support/watchdog.rs"]
mod watchdog;

mod cpu;
mod delayed;
mod processes;
mod threads;

/// Somebody else's value.
struct PanicsOnDrop;

impl Drop for PanicsOnDrop {
    fn drop(&mut self) {
        panic!("in an outcome's drop");
    }
}
