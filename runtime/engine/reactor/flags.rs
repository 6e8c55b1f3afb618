//! What the kernel says of a descriptor, and which operations that concerns.
//!
//! Plain bits, as a source keeps them in its word (`source.rs`). A direction knows its own: the flags that
//! make an operation worth trying, and those under which a short count proves nothing.
//!
//! **Alternative:** to keep mio's event itself. It knows more than one bit can hold, and lives no longer than
//! the next wait.

/// Which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Read,
    Write,
}

/// What the kernel said of a descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Flags(pub(crate) u32);

impl Flags {
    pub(crate) const READABLE: Self = Self(1);
    pub(crate) const WRITABLE: Self = Self(2);
    pub(crate) const READ_CLOSED: Self = Self(4);
    pub(crate) const WRITE_CLOSED: Self = Self(8);
    pub(crate) const ERROR: Self = Self(16);
    /// Urgent data lies ahead: a read stops before it, and more may lie behind.
    pub(crate) const PRIORITY: Self = Self(32);

    /// What is assumed of a descriptor that the kernel was not asked about.
    pub(super) const FRESH: u32 = Self::READABLE.0 | Self::WRITABLE.0;

    pub(crate) fn of(event: &mio::event::Event) -> Self {
        let mut flags = 0;
        let mut add = |on: bool, flag: Self| flags |= if on { flag.0 } else { 0 };
        add(event.is_readable(), Self::READABLE);
        add(event.is_writable(), Self::WRITABLE);
        add(event.is_read_closed(), Self::READ_CLOSED);
        add(event.is_write_closed(), Self::WRITE_CLOSED);
        add(event.is_error(), Self::ERROR);
        add(event.is_priority(), Self::PRIORITY);
        Self(flags)
    }
}

impl Direction {
    /// The flags that make an operation in this direction worth trying. An error or a hang-up does:
    /// the operation is how one learns of it.
    pub(super) const fn mask(self) -> u32 {
        match self {
            Self::Read => {
                Flags::READABLE.0 | Flags::READ_CLOSED.0 | Flags::ERROR.0 | Flags::PRIORITY.0
            }
            Self::Write => Flags::WRITABLE.0 | Flags::WRITE_CLOSED.0 | Flags::ERROR.0,
        }
    }

    /// The flags under which a short count does not mean empty or full.
    pub(super) const fn no_short_cut(self) -> u32 {
        match self {
            Self::Read => Flags::READ_CLOSED.0 | Flags::ERROR.0 | Flags::PRIORITY.0,
            Self::Write => Flags::WRITE_CLOSED.0 | Flags::ERROR.0,
        }
    }
}
