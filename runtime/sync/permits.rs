//! The core of the locks: a number of permits, and one line of those that wait for some.
//!
//! [`Semaphore`](super::Semaphore) is this core and little else; a [`Mutex`](super::Mutex) has one permit, and the
//! writer of an [`RwLock`](super::RwLock) takes all that there are for readers.
//!
//! The free permits are a number in an atomic word, and beside it stand two flags. While nothing waits, that is all:
//! to acquire is one compare-and-exchange, to release is one addition. What finds too few permits joins the line,
//! which is behind a lock, and sets the flag `WAITED_FOR`. From then on the word is changed by rule:
//!
//! - While the flag is set, **nothing takes permits but what holds the line's lock**. So neither a newcomer nor a
//!   `try_` overtakes what waits.
//! - A release adds to the word as always, and sees in the old word whether somebody waits. If so it goes on to the
//!   line, and [`hand_out`](Permits::hand_out) gives the first in line what it asks for, as long as the free permits
//!   last. What is handed out is taken from the word at once: it is **granted**, and its waiter leaves the line and is
//!   woken. It finds the grant when it is polled; if it is dropped instead, it gives the grant back.
//! - The flag is set by the exchange that finds too few permits, and in the very word in which it finds them. So a
//!   release comes either before it, and is found, or after it, and finds the flag.
//!
//! What holds whenever the line's lock is free, but for releases that are still on their way to it:
//! - `WAITED_FOR` is set if and only if the line is not empty;
//! - while something waits, the free permits are fewer than the first in line asks for;
//! - `granted` is the sum of what was handed out and is not yet found. Once closed, it is 0, and the line is empty.
//!
//! Whatever was done before a release is seen after the acquisition that it makes possible. All that changes the word
//! are read-modify-writes, so the release sequence of each release goes on for ever, and what acquires from the word
//! at once has it from there. What waited has it from the one that granted its permits, by way of the line's lock; and
//! that one has it from the word.
//!
//! **Alternative:** tokio's, where the permits of a release go to the first in line bit by bit, and each waiter keeps
//! what it has so far. A long request then holds back permits that a cancellation must collect again. Here they stay
//! in the word. Or to let newcomers take what they find, as `async-lock` does at first: a task that releases and
//! acquires in a loop is faster, and what waits may do so for long.

use std::{
    fmt,
    mem::{self, ManuallyDrop},
    ops::Deref,
    panic::Location,
    ptr,
    task::{Context, Poll, ready},
};

use crate::engine::{
    base::{
        holders::{self, Holding},
        id::{TaskId, draw_object_id},
        location::{WaitsFor, WaitsOn},
        primitives::{
            AtomicUsize, Mutex,
            Ordering::{Acquire, Relaxed, Release},
            const_but_in_models, counter, lock, seeded,
        },
        this_poll,
    },
    waiting::{
        leaf::{Offer, Stage, Step, Wakes, poll_wait, wait_asking},
        wait_list::{WaitKey, WaitList, discard},
    },
};

/// The line is not empty.
const WAITED_FOR: usize = 1;
/// There will be no more permits.
const CLOSED: usize = 2;
/// One permit. The bits from here on count those that are free.
const ONE: usize = 4;

/// What `count` permits are in the word; more than it can ever hold if they are more.
#[inline(always)]
const fn units(count: u32) -> usize {
    (count as usize).saturating_mul(ONE)
}

/// The most permits that there may be, free and acquired together.
pub(super) const MAX_PERMITS: usize = usize::MAX / ONE;

/// See the top of this file.
pub(super) struct Permits {
    word: AtomicUsize,
    /// The identity by which reports name the lock. 0 until it is first asked for.
    number: counter::AtomicU64,
    line: Mutex<Line>,
}

struct Line {
    waiting: WaitList<Ask>,
    /// Permits that were handed out to waiters which have not yet been polled since.
    granted: usize,
}

/// What a waiter asks for.
struct Ask {
    permits: u32,
    task: Option<TaskId>,
}

/// Why there are no permits now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Too few are free, or what is free is another's turn.
    TooFew,
    Closed,
}

/// There will be no permits any more.
#[derive(Debug)]
pub(super) struct Closed;

impl Permits {
    const_but_in_models! {
        /// With this many free. The caller has seen to it that they are not more than [`MAX_PERMITS`].
        pub(super) fn new(permits: usize) -> Self {
            Self {
                word: AtomicUsize::new(permits * ONE),
                number: counter::AtomicU64::new(0),
                line: Mutex::new(Line { waiting: WaitList::new(), granted: 0 }),
            }
        }
    }

    /// Takes `count` permits if they are free, and nobody waits.
    #[inline]
    // ANCHOR: try_acquire
    fn try_acquire(&self, count: u32) -> Result<(), Refusal> {
        let asked = units(count);
        let mut word = self.word.load(Relaxed);
        loop {
            if word & CLOSED != 0 {
                return Err(Refusal::Closed);
            }
            let may_take = word & WAITED_FOR == 0 || seeded("permits_try_overtakes");
            if !may_take || word < asked {
                return Err(Refusal::TooFew);
            }
            match self.word.compare_exchange_weak(word, word - asked, Acquire, Relaxed) {
                Ok(_) => return Ok(()),
                Err(now) => word = now,
            }
        }
    }
    // END: try_acquire

    /// Adds permits, or gives acquired ones back.
    #[inline]
    pub(super) fn release(&self, count: usize) {
        let order = if seeded("permits_release_relaxed") { Relaxed } else { Release };
        if self.word.fetch_add(count * ONE, order) & WAITED_FOR != 0 {
            self.serve_the_line();
        }
    }

    #[cold]
    fn serve_the_line(&self) {
        let wakes = self.hand_out(&mut lock(&self.line));
        wakes.wake();
    }

    /// Grants free permits to the first in line, and to those behind it, as long as they last.
    // ANCHOR: hand_out
    fn hand_out(&self, line: &mut Line) -> Wakes {
        let mut wakes = Wakes::Nothing;
        while let Some((key, ask)) = line.waiting.first() {
            let (count, task) = (ask.permits, ask.task);
            // A release that this look misses has found the flag, and will come by.
            if self.word.load(Relaxed) < units(count) {
                return wakes;
            }
            wakes = wakes.and(line.waiting.pop_front().expect("it is the first"));
            let flag = if line.waiting.is_empty() { WAITED_FOR } else { 0 };
            let order = if seeded("permits_hand_out_relaxed") { Relaxed } else { Acquire };
            // Only this takes away while the flag is set, so they are still there.
            self.word.fetch_sub(units(count) + flag, order);
            line.granted += count as usize;
            let holding = Holding::of_waiter(key.number());
            if !holding.is_none() {
                holding.begin(self.number(), task);
            }
        }
        wakes
    }
    // END: hand_out

    /// A step of an acquisition that found too few permits at once.
    fn acquire(
        &self,
        stage: &mut Stage,
        count: u32,
        offer: &mut Offer<'_>,
    ) -> Step<Result<Holding, Closed>> {
        let mut line = lock(&self.line);
        match *stage {
            Stage::New => {
                if let Some(answer) = self.take_or_flag(count, offer.has_waiter()) {
                    *stage = Stage::Done;
                    return Step::Ready(answer.map(|()| self.enter()), Wakes::Nothing);
                }
            }
            Stage::Waiting(key) if line.waiting.is_woken(key) => {
                *stage = Stage::Done;
                if self.is_closed() {
                    self.end(Holding::of_waiter(key.number()));
                    return Step::Ready(Err(Closed), Wakes::Nothing);
                }
                line.granted -= count as usize;
                return Step::Ready(Ok(Holding::of_waiter(key.number())), Wakes::Nothing);
            }
            _ => {}
        }
        let ask = Ask { permits: count, task: this_poll::task() };
        wait_asking(&mut line.waiting, ask, stage, offer)
    }

    /// The second look of what is about to join the line, with the line's lock held: takes the permits if they are
    /// there by now, and otherwise sets the flag, if the caller has a waiter to put behind it. `None`: wait.
    // ANCHOR: second_look
    fn take_or_flag(&self, count: u32, has_waiter: bool) -> Option<Result<(), Closed>> {
        let asked = units(count);
        let mut word = self.word.load(Relaxed);
        loop {
            if word & CLOSED != 0 {
                return Some(Err(Closed));
            }
            let takes = word & WAITED_FOR == 0 && word >= asked;
            if !takes && (word & WAITED_FOR != 0 || !has_waiter) {
                return None;
            }
            if seeded("permits_no_second_look") {
                self.word.fetch_or(WAITED_FOR, Relaxed);
                return None;
            }
            let next = if takes { word - asked } else { word | WAITED_FOR };
            match self.word.compare_exchange_weak(word, next, Acquire, Relaxed) {
                Ok(_) => return takes.then_some(Ok(())),
                Err(now) => word = now,
            }
        }
    }
    // END: second_look

    /// Ends an acquisition that is dropped. One that waits leaves the line, and lets those behind it go if it was it
    /// that held them up; one that was granted its permits gives them back.
    #[cold]
    fn cancel(&self, key: WaitKey, count: u32) {
        let mut line = lock(&self.line);
        let waiter = line.waiting.remove(key);
        let wakes = if waiter.is_some() {
            if line.waiting.is_empty() {
                self.word.fetch_and(!WAITED_FOR, Relaxed);
            }
            if seeded("permits_cancelled_wait_blocks_the_line") {
                Wakes::Nothing
            } else {
                self.hand_out(&mut line)
            }
        } else if self.is_closed() || seeded("permits_cancelled_grant_is_lost") {
            Wakes::Nothing
        } else {
            line.granted -= count as usize;
            // It did nothing under them. What was done before goes on being released (see the top of this file).
            self.word.fetch_add(count as usize * ONE, Relaxed);
            self.hand_out(&mut line)
        };
        drop(line);
        if waiter.is_none() {
            self.end(Holding::of_waiter(key.number()));
        }
        wakes.wake();
        discard(waiter);
    }

    /// Refuses every acquisition from now on, those that wait included. Granted permits that were not yet found are
    /// free again.
    pub(super) fn close(&self) {
        let mut line = lock(&self.line);
        self.word.fetch_or(CLOSED, Relaxed);
        self.word.fetch_and(!WAITED_FOR, Relaxed);
        if !seeded("permits_close_keeps_grants") {
            self.word.fetch_add(mem::take(&mut line.granted) * ONE, Relaxed);
        }
        let wakes = Wakes::All(line.waiting.take_all().collect());
        drop(line);
        wakes.wake();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.word.load(Relaxed) & CLOSED != 0
    }

    /// Takes away at most `count` of the permits that are free, and says how many.
    pub(super) fn take_up_to(&self, count: usize) -> usize {
        // With the lock, for the flag may be set.
        let _line = lock(&self.line);
        let mut word = self.word.load(Relaxed);
        loop {
            let taken = count.min(word / ONE);
            match self.word.compare_exchange_weak(word, word - taken * ONE, Acquire, Relaxed) {
                Ok(_) => return taken,
                Err(now) => word = now,
            }
        }
    }

    /// Permits that are free now. While something waits, they are another's turn.
    pub(super) fn free(&self) -> usize {
        self.word.load(Relaxed) / ONE
    }

    /// How many wait.
    pub(super) fn waiters(&self) -> usize {
        lock(&self.line).waiting.len()
    }

    /// The tasks that hold permits, if checks are on.
    pub(super) fn holders(&self) -> Vec<Option<TaskId>> {
        match self.number.load(counter::Relaxed) {
            0 => Vec::new(),
            number => holders::of(number),
        }
    }

    /// The identity by which reports name this lock, which no other has or will have.
    fn number(&self) -> u64 {
        let number = self.number.load(counter::Relaxed);
        if number == 0 { self.draw_number() } else { number }
    }

    #[cold]
    fn draw_number(&self) -> u64 {
        let drawn = draw_object_id();
        let first = self.number.compare_exchange(0, drawn, counter::Relaxed, counter::Relaxed);
        first.map_or_else(|earlier| earlier, |_| drawn)
    }

    /// Enters an acquisition that had not to wait.
    #[inline]
    fn enter(&self) -> Holding {
        let holding = Holding::draw();
        if !holding.is_none() {
            holding.begin(self.number(), this_poll::task());
        }
        holding
    }

    #[inline]
    fn end(&self, holding: Holding) {
        if !holding.is_none() {
            holding.end(self.number());
        }
    }
}

/// What has permits to be acquired.
pub(super) trait HasPermits {
    fn permits(&self) -> &Permits;
}

impl HasPermits for Permits {
    fn permits(&self) -> &Permits {
        self
    }
}

/// Acquired permits. Dropped, they are released. `L` leads to what they are of: a reference or an `Arc`.
#[must_use]
pub(super) struct Held<L: Deref<Target: HasPermits>> {
    lock: L,
    count: u32,
    holding: Holding,
}

impl<L: Deref<Target: HasPermits>> Held<L> {
    /// Acquires, if it can be done at once.
    #[inline]
    pub(super) fn try_acquire(lock: L, count: u32) -> Result<Self, (L, Refusal)> {
        match lock.permits().try_acquire(count) {
            Ok(()) => {
                let holding = lock.permits().enter();
                Ok(Self { lock, count, holding })
            }
            Err(refusal) => Err((lock, refusal)),
        }
    }

    #[inline(always)]
    pub(super) fn lock(&self) -> &L {
        &self.lock
    }

    #[inline(always)]
    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// Gives all but `count` back.
    pub(super) fn keep(&mut self, count: u32) {
        let surplus = self.count.checked_sub(count).expect("no more are kept than there are");
        self.count = count;
        self.lock.permits().release(surplus as usize);
    }

    /// Ends this without giving anything back, and says how many permits are gone.
    pub(super) fn forget(mut self) -> u32 {
        mem::take(&mut self.count)
    }

    /// Splits `count` permits off, if there are that many.
    pub(super) fn split(&mut self, count: u32) -> Option<Self>
    where
        L: Clone,
    {
        self.count = self.count.checked_sub(count)?;
        let holding = self.lock.permits().enter();
        Some(Self { lock: self.lock.clone(), count, holding })
    }

    /// Adds the permits of `other`, or gives it back if they are not of the same lock.
    pub(super) fn merge(&mut self, other: Self) -> Result<(), Self> {
        if !ptr::eq(self.lock.permits(), other.lock.permits()) {
            return Err(other);
        }
        self.count += other.forget();
        Ok(())
    }
}

impl<'a, M: HasPermits + ?Sized> Held<&'a M> {
    /// The same, and no more known of what they are of.
    pub(super) fn only_permits(self) -> Held<&'a Permits> {
        let held = ManuallyDrop::new(self);
        Held { lock: held.lock.permits(), count: held.count, holding: held.holding }
    }
}

impl<L: Deref<Target: HasPermits>> Drop for Held<L> {
    #[inline]
    fn drop(&mut self) {
        let permits = self.lock.permits();
        permits.end(self.holding);
        permits.release(self.count as usize);
    }
}

/// The waiting part of every future that acquires. It is moved, never pinned.
pub(super) struct Acquiring<L: Deref<Target: HasPermits>> {
    /// `None` once it was handed on with the permits.
    lock: Option<L>,
    count: u32,
    what: WaitsFor,
    stage: Stage,
    location: &'static Location<'static>,
}

impl<L: Deref<Target: HasPermits>> Acquiring<L> {
    #[inline]
    pub(super) fn new(
        lock: L,
        count: u32,
        what: WaitsFor,
        location: &'static Location<'static>,
    ) -> Self {
        Self { lock: Some(lock), count, what, stage: Stage::New, location }
    }

    #[inline]
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Held<L>, Closed>> {
        ready!(this_poll::poll_budget(cx, self.location));
        if let Stage::New = self.stage
            && let Some(lock) = self.lock.take()
        {
            match Held::try_acquire(lock, self.count) {
                Ok(held) => {
                    self.stage = Stage::Done;
                    this_poll::charge();
                    return Poll::Ready(Ok(held));
                }
                Err((lock, _)) => self.lock = Some(lock),
            }
        }
        self.poll_line(cx)
    }

    /// The way of what finds too few permits. Not inlined, so that the common way is.
    #[inline(never)]
    fn poll_line(&mut self, cx: &mut Context<'_>) -> Poll<Result<Held<L>, Closed>> {
        let Self { lock, count, what, stage, location } = self;
        let permits = lock.as_deref().map(HasPermits::permits);
        let answer = ready!(poll_wait(
            cx,
            location,
            || {
                let number = permits.map_or(0, Permits::number);
                this_poll::note_on(*what, WaitsOn::Lock(number), location);
            },
            |offer| permits.map_or(Step::Spent, |permits| permits.acquire(stage, *count, offer)),
        ));
        let lock = lock.take().expect("only an answer takes it");
        Poll::Ready(answer.map(|holding| Held { lock, count: *count, holding }))
    }

    /// The `Debug` of the future that this is in.
    pub(super) fn debug(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(name).field("location", self.location).finish_non_exhaustive()
    }
}

impl<L: Deref<Target: HasPermits>> Drop for Acquiring<L> {
    #[inline]
    fn drop(&mut self) {
        if let Stage::Waiting(key) = self.stage
            && let Some(lock) = &self.lock
        {
            lock.permits().cancel(key, self.count);
        }
    }
}
