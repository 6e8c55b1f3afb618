//! Memory that is fetched ahead of its use.
//!
//! A loop with a thousand tasks or sockets in a row knows which comes next, and the processor does not. Told in
//! time, it has their memory at hand when they are reached, and waits for none of it. A fetch costs an instruction and
//! a line of the cache, and few pay: each that is asked for was measured.

/// Bytes of a line of the cache, on the processors that matter here.
pub(crate) const LINE: usize = 64;

/// Has the processor fetch the line with the byte that is `offset` behind `at`, without waiting for it. Any address
/// will do.
#[inline(always)]
#[allow(unsafe_code)]
pub(crate) fn prefetch<T>(at: *const T, offset: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let at = at.cast::<i8>().wrapping_add(offset);
        // SAFETY: a prefetch may be given any address: it reads nothing the program can see, and does not fault.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(at) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (at, offset);
}
