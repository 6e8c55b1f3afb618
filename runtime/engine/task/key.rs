//! The number that a waker is.
//!
//! ```text
// ANCHOR: key
//!    63        48 47         32 31 30                 0
//!   +------------+-------------+--+--------------------+
//!   |    loop    | generation  | 0|        slot        |
//!   +------------+-------------+--+--------------------+
// END: key
//! ```
//!
//! A slot's generation is drawn anew for each task in it, from a count of the loop's. Bit 31 stays free: a
//! join cell marks there that cancellation was asked for.

/// A waker's number.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key(u64);

impl Key {
    /// No task: there is no generation 0.
    pub(crate) const NONE: Self = Self(0);

    #[inline]
    pub(crate) fn new(number: u16, generation: u16, slot: u32) -> Self {
        debug_assert_ne!(generation, 0);
        Self(u64::from(number) << 48 | u64::from(generation) << 32 | u64::from(slot))
    }

    #[inline]
    pub(crate) fn number(self) -> u16 {
        (self.0 >> 48) as u16
    }

    #[inline]
    pub(crate) fn slot(self) -> u32 {
        self.0 as u32
    }

    #[inline]
    pub(crate) fn bits(self) -> u64 {
        self.0
    }

    #[inline]
    pub(crate) fn from_bits(bits: u64) -> Self {
        Self(bits)
    }
}
