//! Numbers that are never reused.
//!
//! Slots, descriptors and loop numbers are recycled; identities are not. A task's identity is drawn
//! from one process-wide count of 64 bits. A loop draws a block at a time, so that spawning on the
//! loop's own thread costs no atomic operation.

use std::{cell::Cell, fmt, num::NonZeroU64};

use crate::engine::base::primitives::counter::{AtomicU64, Relaxed};

/// A task's identity: unique in the process, never reused.
///
/// [`task::id`](crate::task::id) is that of the task that asks, and [`JoinHandle::id`](crate::task::JoinHandle::id)
/// that of a task that was spawned.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(NonZeroU64);

impl TaskId {
    /// The identity as a number.
    pub fn get(self) -> u64 {
        self.0.get()
    }

    /// Draws one identity, from any thread.
    pub(crate) fn draw() -> Self {
        Self::from_count(NEXT_TASK.fetch_add(1, Relaxed))
    }

    /// The identity that is this number.
    pub(crate) fn from_number(number: u64) -> Option<Self> {
        NonZeroU64::new(number).map(Self)
    }

    #[inline]
    fn from_count(count: u64) -> Self {
        // 64 bits of identities do not run out.
        Self(NonZeroU64::MIN.saturating_add(count))
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TaskId({})", self.0)
    }
}

static NEXT_TASK: AtomicU64 = AtomicU64::new(0);
static NEXT_LOOP: AtomicU64 = AtomicU64::new(1);
static NEXT_OBJECT: AtomicU64 = AtomicU64::new(1);

/// A loop's own supply of task identities.
#[derive(Debug)]
pub(crate) struct TaskIds {
    next: Cell<u64>,
    end: Cell<u64>,
}

impl TaskIds {
    const BLOCK: u64 = 256;

    pub(crate) const fn new() -> Self {
        Self { next: Cell::new(0), end: Cell::new(0) }
    }

    #[inline]
    pub(crate) fn draw(&self) -> TaskId {
        if self.next.get() == self.end.get() {
            let start = NEXT_TASK.fetch_add(Self::BLOCK, Relaxed);
            self.next.set(start);
            self.end.set(start + Self::BLOCK);
        }
        let id = self.next.get();
        self.next.set(id + 1);
        TaskId::from_count(id)
    }
}

/// The identity of a lock, signal or channel, by which reports name it.
pub(crate) fn draw_object_id() -> u64 {
    NEXT_OBJECT.fetch_add(1, Relaxed)
}

/// A loop's identity. Never 0, so that 0 can mean "no loop".
pub(crate) fn draw_loop_id() -> u64 {
    NEXT_LOOP.fetch_add(1, Relaxed)
}
