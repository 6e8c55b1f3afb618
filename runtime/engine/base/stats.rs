//! What a loop or a worker has done so far, counted.
//!
//! A loop, and a worker, counts in atomics that it alone writes and any thread may read, by loads and stores
//! without an order: on the machine these are plain ones. [`Stats`] and [`WorkerStats`] are copies for the user.
//! A count that costs more than an addition does not belong here.

use crate::engine::base::primitives::{AtomicU64, Ordering::Relaxed};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Counts of one event loop, from `EventLoop::stats`, or on any thread from `Handle::stats`.
        ///
        /// They begin with the loop and only grow: take two and subtract to see what happened in between. Read on
        /// another thread, each is read by itself while the loop goes on, so two of them may be of slightly
        /// different moments.
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
    #[doc(hidden)]
    clock_samples,
    /// Looks at the reactor while tasks were ready.
    looks,
    /// Looks at the reactor while spinning, before a park.
    #[doc(hidden)]
    spins,
    /// Times the loop spun and nothing came.
    #[doc(hidden)]
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
            $(pub(crate) $name: Counter,)*
        }

        impl WorkerCounters {
            pub(crate) fn read(&self) -> WorkerStats {
                WorkerStats { $($name: self.$name.get(),)* }
            }
        }
    };
}

worker_counters! {
    /// Trips round its loop.
    turns,
    /// Polls of tasks.
    polls,
    /// Times it stole from another worker: up to half of what waited there each time.
    steals,
    /// Times it took its share of what was injected.
    injected,
    /// Tasks that did not fit into its queue and went to the injector.
    overflowed,
    /// Times it parked: waited in the runtime's reactor, or outside it.
    parks,
    /// Parks that another thread ended.
    unparks,
    /// Times it asked the runtime's reactor without waiting, while tasks were ready.
    looks,
    /// Events that it took from the reactor, for sources of any task.
    events,
    /// Timers that it fired: its own, and those of workers that were parked or stuck.
    timers_fired,
    /// Times it set the reactor's alarm.
    timer_arms,
    /// Times it took over, with the guard duty, what waited behind another worker's long poll.
    takeovers,
    /// Workers it unparked because it had more than it could do alone.
    unparked,
}

/// A count that one thread writes and others may read. Parking goes by some of them, so the models see them too.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
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
