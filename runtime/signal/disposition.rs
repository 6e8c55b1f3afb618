//! What a signal does to this process now: its disposition, asked and not changed.
//!
//! Asked once for each signal, before this library listens for it the first time: so that what the signal did can come
//! back when nobody listens any more. It is the one thing here that no crate offers without `unsafe` at its caller.
//!
//! **Alternative:** the mask `SigIgn` in `/proc/self/status`. Linux has it, and no other system.

use std::{io, mem::MaybeUninit, ptr};

use super::kind::SignalKind;

/// What the kernel does with a signal to this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Disposition {
    /// What the signal does by default: mostly, it ends the process.
    Default,
    /// Nothing. `nohup` sets that for `SIGHUP`, and it is inherited.
    Ignored,
    /// It calls a function.
    Handled,
}

/// # Errors
/// If there is no such signal.
#[allow(unsafe_code)]
pub(super) fn disposition(kind: SignalKind) -> io::Result<Disposition> {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: with no new action it only writes the present one, for which there is room.
    let failed = unsafe { libc::sigaction(kind.as_raw(), ptr::null(), action.as_mut_ptr()) } != 0;
    if failed {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call has succeeded, and so has written all of it.
    let action = unsafe { action.assume_init() };
    Ok(match action.sa_sigaction {
        libc::SIG_DFL => Disposition::Default,
        libc::SIG_IGN => Disposition::Ignored,
        _ => Disposition::Handled,
    })
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_a_rust_program_starts_with() {
        let of = |kind| disposition(kind).unwrap();
        assert_eq!(of(SignalKind::pipe()), Disposition::Ignored, "Rust's start does that");
        assert_eq!(
            of(SignalKind::from_raw(libc::SIGSEGV)),
            Disposition::Handled,
            "so as to name an overflow"
        );
        assert_eq!(of(SignalKind::from_raw(libc::SIGXCPU)), Disposition::Default);
        assert_eq!(
            disposition(SignalKind::from_raw(1000)).unwrap_err().kind(),
            io::ErrorKind::InvalidInput
        );
    }
}
