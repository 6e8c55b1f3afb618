//! What a loop or a worker has done so far, counted.
//!
//! A loop counts in plain cells that it alone writes, a worker in atomics that it alone writes and others
//! may read, by loads and stores without an order; [`Stats`] and [`WorkerStats`] are copies for the user.
//! A count that costs more than an addition does not belong here.

use std::cell::Cell;

use crate::engine::base::primitives::{AtomicU64, Ordering::Relaxed};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Counts of one event loop, from `EventLoop::stats`.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Stats {
            $($(#[$doc])* pub $name: u64,)*
        }

        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(crate) $name: Counter,)*
        }

        impl Counters {
            pub(crate) fn read(&self) -> Stats {
                Stats { $($name: self.$name.get(),)* }
            }
        }
    };
}

counters! {
    /// Trips round the loop.
    turns,
    /// Polls of tasks and of the root future.
    polls,
    /// Tasks spawned.
    spawned,
    /// Tasks that ended, by completion, panic or cancellation.
    ended,
    /// Times the clock was read while tasks were ready, to see whether a look is due.
    clock_samples,
    /// Looks at the reactor while tasks were ready.
    looks,
    /// Looks at the reactor while spinning, before a park.
    spins,
    /// Times the loop spun and nothing came.
    spins_in_vain,
    /// Times the loop parked: waited in the kernel.
    parks,
    /// Parks ended by a message from another thread.
    unparks,
    /// Messages taken from the inbox: wakes, spawns and closures of other threads.
    messages,
    /// Events the kernel reported for our sources.
    events,
    /// Timers that fired.
    timers_fired,
    /// System calls that set the loop's timer descriptor.
    timer_arms,
    /// Sources registered with the kernel.
    registrations,
}

/// A count that one thread writes.
#[derive(Debug, Default)]
pub(crate) struct Counter(Cell<u64>);

impl Counter {
    #[inline]
    pub(crate) fn add(&self, n: u64) {
        self.0.set(self.0.get() + n);
    }

    #[inline]
    pub(crate) fn get(&self) -> u64 {
        self.0.get()
    }
}

macro_rules! worker_counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Counts of one worker of a `Runtime`, from `Runtime::stats`.
        ///
        /// They begin with the runtime and only grow: take two and subtract to see what happened in
        /// between. Each is read by itself while the worker goes on, so two of them may be of slightly
        /// different moments.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct WorkerStats {
            $($(#[$doc])* pub $name: u64,)*
        }

        #[derive(Debug, Default)]
        pub(crate) struct WorkerCounters {
            $(pub(crate) $name: SharedCounter,)*
            /// What a poll took of late, in nanoseconds.
            pub(crate) poll_cost: SharedCounter,
            /// What they took up to before that.
            pub(crate) poll_cost_before: SharedCounter,
            /// When it last read the clock.
            pub(crate) clock_read_at: SharedCounter,
        }

        impl WorkerCounters {
            pub(crate) fn read(&self) -> WorkerStats {
                WorkerStats { $($name: self.$name.get(),)* }
            }
        }
    };
}

worker_counters! {
    /// Polls of tasks.
    polls,
    /// Times it stole from a neighbour: up to half of what waited there each time.
    steals,
    /// Times it took its share of what was injected.
    injected,
    /// Tasks that did not fit into its queue and went to the injector.
    overflowed,
    /// Times it parked: waited in the kernel.
    parks,
    /// Parks that another thread ended.
    unparks,
    /// Looks at the reactor with its tasks' sockets, while tasks were ready or before it parked.
    looks,
    /// Events the kernel reported for its sources.
    events,
    /// Timers that it fired: its own, and as the sentry a neighbour's.
    timers_fired,
    /// System calls that set its timer descriptor.
    timer_arms,
    /// Times it took over, as the sentry, what waited behind a neighbour's long poll.
    takeovers,
    /// Neighbours it unparked because it had more than it could do alone.
    unparked,
    /// Times it looked around for some microseconds before parking, and something came.
    bets_won,
    /// The same, and nothing came.
    bets_lost,
}

/// A count that one thread writes and others read. The sentry goes by some of them, so the models see
/// them too.
#[derive(Debug, Default)]
pub(crate) struct SharedCounter(AtomicU64);

impl SharedCounter {
    /// By the one thread that writes.
    #[inline]
    pub(crate) fn add(&self, n: u64) {
        self.set(self.get() + n);
    }

    /// By the one thread that writes.
    #[inline]
    pub(crate) fn set(&self, n: u64) {
        self.0.store(n, Relaxed);
    }

    #[inline]
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}
