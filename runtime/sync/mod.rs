//! Synchronisation between tasks: locks, signals, and channels.
//!
//! ```text
//! oneshot.rs        a channel for one value
//! watch.rs          a channel that holds the latest value
//! broadcast.rs      a channel of which each receiver gets every value
//! mpsc.rs           a channel with many senders and one receiver: a queue with its two sides taken apart
//! rate_limiter.rs   so many starts an interval
//! once_cell.rs      a cell that is filled once, by work that may wait
//! event.rs          a flag that tasks wait for
//! barrier.rs        a point at which tasks wait for each other
//! condition.rs      to wait, with a mutex unlocked, for a change of its value
//! mutex.rs          a lock around a value, which may be held across an await
//! rwlock.rs         the same, for several that read or one that writes
//! semaphore.rs      a number of permits
//! guarded.rs        the value under a lock, and the right to use it
//! permits.rs        the core of the locks: permits that are free, and the line of those that wait for some
//! ```
//!
//! One form of each serves both variants of the runtime, and may be shared by tasks of several: an uncontended visit
//! is one or two atomic operations, which is little beside an await. All that waits does so in `engine/waiting/`,
//! first come, first served.

mod barrier;
pub mod broadcast;
mod condition;
mod event;
mod guarded;
pub mod mpsc;
mod mutex;
mod once_cell;
pub mod oneshot;
mod permits;
mod rate_limiter;
mod rwlock;
mod semaphore;
pub mod watch;

pub use self::{
    barrier::{Barrier, BarrierWait, BarrierWaitResult, BrokenBarrierError},
    condition::{Condition, ConditionWait, ConditionWaitFor},
    event::{Event, EventWait},
    mutex::{Lock, LockOwned, MappedMutexGuard, Mutex, MutexGuard, OwnedMutexGuard, TryLockError},
    once_cell::{OnceCell, SetError},
    rate_limiter::{AcquireToken, RateLimiter},
    rwlock::{
        OwnedRwLockReadGuard, OwnedRwLockWriteGuard, Read, ReadOwned, RwLock, RwLockReadGuard,
        RwLockWriteGuard, Write, WriteOwned,
    },
    semaphore::{
        Acquire, AcquireError, AcquireOwned, OwnedSemaphorePermit, Semaphore, SemaphorePermit,
        TryAcquireError,
    },
};
