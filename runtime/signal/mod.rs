//! Signals of the operating system: Ctrl-C first, and any other as a stream.
//!
//! | asyncio | here |
//! | --- | --- |
//! | `loop.add_signal_handler(SIGTERM, f)` | `signal(SignalKind::terminate())?`, and a task that awaits `recv` |
//! | `loop.remove_signal_handler(SIGTERM)` | drop it: what the signal did before comes back |
//! | `asyncio.run` and `KeyboardInterrupt` | [`run_until_ctrl_c`], [`cancel_on_ctrl_c`], [`Interrupted`] |
//!
//! Several may listen for one signal, on any loops of the process, and each hears it. A signal that comes before
//! anybody listens is not kept.
//!
//! What a program does not ask for it does not get: with no listener, Ctrl-C and all others do what they always did.

pub use self::{
    ctrl_c::{CancelOnCtrlC, CtrlC, Interrupted, cancel_on_ctrl_c, ctrl_c, run_until_ctrl_c},
    kind::SignalKind,
    listener::{Recv, Signal, signal},
};

#[cfg(test)]
#[allow(unused_imports, reason = "only a model looks")]
pub(crate) use self::delivery::Heard;

mod ctrl_c;
mod delivery;
mod disposition;
mod kind;
mod listener;
