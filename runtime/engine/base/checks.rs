//! Whether the checks are on that cost more than a branch: asyncio's debug mode.
//!
//! They are on in builds with debug assertions, and `WHIRLIGIG_DEBUG=1` switches them on in any other;
//! `WHIRLIGIG_DEBUG=0` switches them off everywhere. The environment is read once, when something first asks.
//!
//! **Alternative:** a setting of the builder. But a lock is made before, between and outside loops, and what it
//! keeps while checks are on it must have kept from the beginning.

use std::{
    env,
    sync::atomic::{AtomicU8, Ordering::Relaxed},
};

use crate::engine::base::primitives::IN_MODEL;

const UNKNOWN: u8 = 0;
const OFF: u8 = 1;
const ON: u8 = 2;

static STATE: AtomicU8 = AtomicU8::new(UNKNOWN);

/// Whether checks are on. The answer never changes. In a model they are off.
#[inline(always)]
pub(crate) fn on() -> bool {
    !IN_MODEL
        && match STATE.load(Relaxed) {
            UNKNOWN => read(),
            state => state == ON,
        }
}

#[cold]
fn read() -> bool {
    let on = asked_for(env::var("WHIRLIGIG_DEBUG").ok().as_deref());
    STATE.store(if on { ON } else { OFF }, Relaxed);
    on
}

/// What the variable says; without it, whether this build has debug assertions.
fn asked_for(variable: Option<&str>) -> bool {
    match variable {
        None | Some("") => cfg!(debug_assertions),
        Some(value) => value != "0",
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_variable_overrules_the_build() {
        assert_eq!((asked_for(Some("1")), asked_for(Some("0"))), (true, false));
        assert_eq!(asked_for(None), cfg!(debug_assertions));
        assert_eq!(asked_for(Some("")), cfg!(debug_assertions));
        assert_eq!(on(), on());
    }
}
