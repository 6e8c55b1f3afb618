//! The event loop's tasks, and the waker that is a number.
//!
//! One [`Table`] belongs to one loop: a slab of tasks and the run queue, a line of slot numbers. Only
//! the loop's own thread touches it, so spawning, waking and polling cost no atomic operation, no
//! reference count and no lock.
//!
//! A task's waker holds no pointer. Its data word is a [`Key`]:
//!
//! ```text
//!    63        48 47         32 31                    0
//!   +------------+-------------+-----------------------+
//!   |    loop    | generation  |         slot          |
//!   +------------+-------------+-----------------------+
//! ```
//!
//! Cloning copies the word and dropping it does nothing. `wake` asks the thread-local which table
//! this thread runs: if it is that of the loop in the key, the slot is marked and its number pushed on
//! the run queue; otherwise the key goes into that loop's inbox. A key may be stale in every way: the
//! task ended, its slot serves another task, its loop is gone, its loop's number serves another loop.
//! The generation catches nearly all of these, and what it does not catch (it has wrapped around
//! exactly) costs one spurious poll, which every future must bear. Nothing dereferences a key.
//!
//! What must hold:
//! - A slot whose number stands in the run queue is not freed. A task that ended there leaves a
//!   tombstone, and the slot is freed when its number is popped; else a new task in the same slot
//!   would stand in the queue twice.
//! - A task is out of its slot while it runs, so that its poll may spawn, wake and cancel freely.
//! - Foreign code (futures, outputs, their drops) runs with the table not borrowed.
//!
//! The rival, tokio's and async-task's, is a pointer with a reference count: safe to hand to any
//! thread at two atomic steps a clone, and a waker that keeps a dead task's memory alive.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    fmt,
    future::Future,
    panic::{AssertUnwindSafe, Location, catch_unwind},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, RawWaker, RawWakerVTable, Waker},
};

use pin_project_lite::pin_project;
use slab::Slab;

use crate::{
    budget,
    id::TaskId,
    inbox,
    place::{self, Wait, WaitsFor},
    task::join::{Completer, Failure, Name, Origin},
    trace::{self, Cause, Event},
};

#[cfg(not(target_pointer_width = "64"))]
compile_error!("whirligig's wakers pack 64 bits into a pointer: it needs a 64-bit target");

/// A waker's number.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key(u64);

impl Key {
    fn new(number: u16, generation: u16, slot: u32) -> Self {
        Self(u64::from(number) << 48 | u64::from(generation) << 32 | u64::from(slot))
    }

    fn number(self) -> u16 {
        (self.0 >> 48) as u16
    }

    fn generation(self) -> u16 {
        (self.0 >> 32) as u16
    }

    fn slot(self) -> u32 {
        self.0 as u32
    }

    pub(crate) fn bits(self) -> u64 {
        self.0
    }

    pub(crate) fn from_bits(bits: u64) -> Self {
        Self(bits)
    }
}

/// The waker of a number. This is all the `unsafe` of the single-threaded scheduler.
#[allow(unsafe_code)]
mod waker {
    use super::{Context, Key, RawWaker, RawWakerVTable, Waker};

    static VTABLE: RawWakerVTable = RawWakerVTable::new(
        |data| RawWaker::new(data, &VTABLE),
        |data| super::wake(key(data)),
        |data| super::wake(key(data)),
        |_| {},
    );

    fn key(data: *const ()) -> Key {
        Key::from_bits(data.addr() as u64)
    }

    pub(super) fn new(key: Key) -> Waker {
        let data = std::ptr::without_provenance(key.bits() as usize);
        // SAFETY: the vtable's functions are safe code: they take the data word for the number it is
        // and dereference nothing, so they may be called on any thread, any number of times, also
        // after whatever the number named is gone.
        unsafe { Waker::new(data, &VTABLE) }
    }

    /// Runs `f` with a context for `key`. The waker's drop does nothing, so it is skipped.
    #[inline]
    pub(super) fn with_context<R>(key: Key, f: impl FnOnce(&mut Context<'_>) -> R) -> R {
        let waker = std::mem::ManuallyDrop::new(new(key));
        f(&mut Context::from_waker(&waker))
    }
}

/// Wakes the task of a key, from whichever thread.
pub(crate) fn wake(key: Key) {
    let is_ours = CURRENT.try_with(|current| match &*current.borrow() {
        Some(table) if table.number == key.number() => {
            table.wake(key);
            true
        }
        _ => false,
    });
    // `Err`: this thread is being torn down, and runs no loop any more.
    if !is_ours.unwrap_or(false) {
        if let Some(inbox) = inbox::find(key.number()) {
            inbox.wake(key.bits());
        }
    }
}

/// [`wake`] for a key in the bits of a join cell.
pub(crate) fn wake_bits(bits: u64) {
    wake(Key::from_bits(bits));
}

thread_local! {
    /// The table of the loop that this thread runs, the innermost if they nest.
    static CURRENT: RefCell<Option<Rc<Table>>> = const { RefCell::new(None) };
}

/// Makes `table` this thread's, until the guard is dropped; then the one before it again.
pub(crate) fn enter(table: Rc<Table>) -> Entered {
    let outer = CURRENT.replace(Some(table));
    Entered { outer, suspended: budget::suspend() }
}

/// See [`enter`].
pub(crate) struct Entered {
    outer: Option<Rc<Table>>,
    suspended: budget::Suspended,
}

impl Drop for Entered {
    fn drop(&mut self) {
        let outer = self.outer.take();
        drop(CURRENT.try_with(|current| current.replace(outer)));
        self.suspended.resume();
    }
}

/// A spawned future as its table sees it.
pub(crate) trait Task {
    /// Polls once. `origin` names the task, should there be something to report.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>, origin: &dyn Fn() -> Origin) -> End;
    /// Drops the future, then tells the handle. `origin` as above.
    fn cancel(self: Pin<&mut Self>, origin: &dyn Fn() -> Origin);
}

/// How a poll ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Pending,
    Completed,
    Panicked,
    Cancelled,
}

pin_project! {
    /// A future and the task's side of its join cell.
    pub(crate) struct Spawned<F: Future> {
        // `None` once it has been dropped.
        #[pin]
        future: Option<F>,
        // `None` once the outcome was told.
        completer: Option<Completer<F::Output>>,
    }
}

impl<F: Future> Spawned<F> {
    pub(crate) fn new(future: F, completer: Completer<F::Output>) -> Self {
        Self { future: Some(future), completer: Some(completer) }
    }

    /// Drops the future, then tells. The handle must not resolve before the future is gone.
    fn end(self: Pin<&mut Self>, result: Result<F::Output, Failure>, origin: &dyn Fn() -> Origin) {
        let mut this = self.project();
        let dropped = catch_unwind(AssertUnwindSafe(|| this.future.set(None)));
        let outcome = match dropped {
            Ok(()) => result,
            Err(payload) => Err(Failure::Panicked(payload)),
        };
        if let Some(completer) = this.completer.take() {
            completer.complete(outcome, origin);
        }
    }
}

impl<F: Future> Task for Spawned<F> {
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>, origin: &dyn Fn() -> Origin) -> End {
        let this = self.as_mut().project();
        let (Some(future), Some(completer)) = (this.future.as_pin_mut(), this.completer) else {
            return End::Completed;
        };
        if completer.is_cancelled() {
            self.cancel(origin);
            return End::Cancelled;
        }
        match catch_unwind(AssertUnwindSafe(|| future.poll(cx))) {
            Ok(Poll::Pending) => End::Pending,
            Ok(Poll::Ready(output)) => {
                self.end(Ok(output), origin);
                End::Completed
            }
            Err(payload) => {
                self.end(Err(Failure::Panicked(payload)), origin);
                End::Panicked
            }
        }
    }

    fn cancel(self: Pin<&mut Self>, origin: &dyn Fn() -> Origin) {
        self.end(Err(Failure::Cancelled), origin);
    }
}

type BoxedTask = Pin<Box<dyn Task>>;

/// One place in the table.
struct Slot {
    /// `None` while it runs, for the root future, and in a tombstone.
    task: Option<BoxedTask>,
    id: TaskId,
    name: Name,
    place: &'static Location<'static>,
    waits_at: Option<&'static Location<'static>>,
    waits_for: WaitsFor,
    generation: u16,
    /// Its number stands in the run queue.
    scheduled: bool,
    /// Nothing will be polled here again.
    ended: bool,
}

/// One loop's tasks and its run queue.
pub(crate) struct Table {
    number: u16,
    inner: RefCell<Inner>,
    /// The slot that is being polled, for the record of who woke whom.
    running: Cell<Option<u32>>,
}

struct Inner {
    slots: Slab<Slot>,
    run_queue: VecDeque<u32>,
    next_generation: u16,
    /// Tasks in the table, the root not counted.
    tasks: usize,
    closed: bool,
}

/// The slot of the root future.
const ROOT: u32 = 0;

/// The future that `block_on` keeps on its own stack, as the table sees it.
pub(crate) type Root<'a> = Option<&'a mut dyn FnMut(&mut Context<'_>) -> bool>;

/// What [`Table::run_next`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ran {
    /// A task was polled and waits.
    Waits,
    /// A task was polled and ended.
    Ended,
    /// The root future was polled and ended.
    RootEnded,
    /// The number was a tombstone's, or that of a root that is gone.
    Nothing,
}

impl Table {
    pub(crate) fn new(number: u16, first_generation: u16) -> Self {
        let root = Slot {
            task: None,
            id: TaskId::draw(),
            name: None,
            place: Location::caller(),
            waits_at: None,
            waits_for: WaitsFor::Turn,
            generation: first_generation,
            scheduled: false,
            ended: true,
        };
        let mut slots = Slab::new();
        let at = slots.insert(root);
        debug_assert_eq!(at, ROOT as usize);
        let next_generation = first_generation.wrapping_add(1);
        let inner = Inner {
            slots,
            run_queue: VecDeque::new(),
            next_generation,
            tasks: 0,
            closed: false,
        };
        Self { number, inner: RefCell::new(inner), running: Cell::new(None) }
    }

    /// Wakes a task of this table.
    #[inline]
    pub(crate) fn wake(&self, key: Key) {
        let (id, news) = {
            let mut inner = self.inner.borrow_mut();
            let inner = &mut *inner;
            let Some(slot) = inner.slots.get_mut(key.slot() as usize) else { return };
            if slot.generation != key.generation() || slot.ended {
                return;
            }
            let news = !slot.scheduled;
            if news {
                slot.scheduled = true;
                inner.run_queue.push_back(key.slot());
            }
            (slot.id, news)
        };
        if trace::on() {
            trace::report(|| Event::Woken { task: id, by: trace::cause() });
            if news {
                trace::report(|| Event::Scheduled { task: id });
            }
        }
    }

    /// Takes a task in and schedules it. Refused, and handed back, once the table is closed.
    pub(crate) fn spawn(
        &self,
        origin: Origin,
        make: impl FnOnce(Key) -> BoxedTask,
    ) -> Result<(), Refused> {
        let Origin { id, name, place } = origin;
        let key = {
            let mut inner = self.inner.borrow_mut();
            let inner = &mut *inner;
            if inner.closed {
                return Err(Refused);
            }
            let slot = inner.slots.vacant_key();
            assert!(slot < 1 << 31, "2^31 tasks on one loop");
            let generation = inner.next_generation;
            inner.next_generation = generation.wrapping_add(1);
            let key = Key::new(self.number, generation, slot as u32);
            inner.slots.insert(Slot {
                task: Some(make(key)),
                id,
                name,
                place,
                waits_at: None,
                waits_for: WaitsFor::Turn,
                generation,
                scheduled: true,
                ended: false,
            });
            inner.run_queue.push_back(slot as u32);
            inner.tasks += 1;
            key
        };
        if trace::on() {
            self.report_spawned(key);
        }
        Ok(())
    }

    #[cold]
    fn report_spawned(&self, key: Key) {
        let (id, name, place) = {
            let inner = self.inner.borrow();
            let slot = &inner.slots[key.slot() as usize];
            (slot.id, slot.name.as_ref().map(|name| Rc::from(&***name)), slot.place)
        };
        trace::report(|| Event::Spawned { task: id, name, place });
        trace::report(|| Event::Scheduled { task: id });
    }

    /// Readies the root slot for a new `block_on`, and schedules it.
    pub(crate) fn open_root(&self, id: TaskId, place: &'static Location<'static>) {
        let mut inner = self.inner.borrow_mut();
        let inner = &mut *inner;
        let generation = inner.next_generation;
        inner.next_generation = generation.wrapping_add(1);
        let slot = &mut inner.slots[ROOT as usize];
        slot.id = id;
        slot.place = place;
        slot.generation = generation;
        slot.ended = false;
        // A root that returned while scheduled left its number in the queue. It serves this one.
        if !std::mem::replace(&mut slot.scheduled, true) {
            inner.run_queue.push_back(ROOT);
        }
    }

    /// The root future is gone; its wakers are stale from here on.
    pub(crate) fn close_root(&self) {
        let mut inner = self.inner.borrow_mut();
        let slot = &mut inner.slots[ROOT as usize];
        slot.ended = true;
        slot.waits_at = None;
    }

    /// How many runnables stand in the run queue.
    #[inline]
    pub(crate) fn ready(&self) -> usize {
        self.inner.borrow().run_queue.len()
    }

    /// How many tasks have not ended.
    pub(crate) fn len(&self) -> usize {
        self.inner.borrow().tasks
    }

    /// Polls what stands first in the run queue.
    #[inline]
    pub(crate) fn run_next(&self, root: &mut Root<'_>) -> Ran {
        let (number, key, task) = {
            let mut inner = self.inner.borrow_mut();
            let inner = &mut *inner;
            let Some(number) = inner.run_queue.pop_front() else { return Ran::Nothing };
            let slot = &mut inner.slots[number as usize];
            slot.scheduled = false;
            if slot.ended {
                if number != ROOT {
                    inner.slots.remove(number as usize);
                }
                return Ran::Nothing;
            }
            (number, Key::new(self.number, slot.generation, number), slot.task.take())
        };
        let _running = Running::begin(self, number);
        match task {
            Some(mut task) => {
                let origin = || self.origin(number);
                let end = waker::with_context(key, |cx| task.as_mut().poll(cx, &origin));
                match end {
                    End::Pending => {
                        self.put_back(number, task);
                        Ran::Waits
                    }
                    end => {
                        self.remove(number, end);
                        Ran::Ended
                    }
                }
            }
            None => {
                let Some(root) = root else { return Ran::Nothing };
                match waker::with_context(key, root) {
                    false => {
                        self.note_wait(number);
                        Ran::Waits
                    }
                    true => Ran::RootEnded,
                }
            }
        }
    }

    #[inline]
    fn put_back(&self, number: u32, task: BoxedTask) {
        let wait = place::take();
        let mut inner = self.inner.borrow_mut();
        let slot = &mut inner.slots[number as usize];
        slot.task = Some(task);
        slot.set_wait(wait);
        if trace::on() {
            let (id, on) = (slot.id, wait.map(|wait| wait.what));
            drop(inner);
            trace::report(|| Event::Waits { task: id, on });
        }
    }

    fn note_wait(&self, number: u32) {
        let wait = place::take();
        let mut inner = self.inner.borrow_mut();
        let slot = &mut inner.slots[number as usize];
        slot.set_wait(wait);
        let id = slot.id;
        drop(inner);
        trace::report(|| Event::Waits { task: id, on: wait.map(|wait| wait.what) });
    }

    /// Frees the slot of a task that ended, or leaves a tombstone if its number is in the queue.
    fn remove(&self, number: u32, end: End) {
        place::take();
        let mut inner = self.inner.borrow_mut();
        inner.tasks -= 1;
        let slot = &mut inner.slots[number as usize];
        let id = slot.id;
        // Dropped after the borrow, though only a name is left in it.
        let _slot = if slot.scheduled {
            slot.ended = true;
            slot.name = None;
            None
        } else {
            Some(inner.slots.remove(number as usize))
        };
        drop(inner);
        trace::report(|| match end {
            End::Panicked => Event::Panicked { task: id },
            End::Cancelled => Event::Cancelled { task: id },
            End::Completed | End::Pending => Event::Completed { task: id },
        });
    }

    fn origin(&self, number: u32) -> Origin {
        let inner = self.inner.borrow();
        let slot = &inner.slots[number as usize];
        Origin { id: slot.id, name: slot.name.clone(), place: slot.place }
    }

    /// Refuses new tasks from here on, and drops those there are, one after the other. Their drops
    /// may do anything. Returns how many there were.
    pub(crate) fn close(&self) -> usize {
        self.inner.borrow_mut().closed = true;
        let mut dropped = 0;
        let mut number = ROOT;
        loop {
            let task = {
                let mut inner = self.inner.borrow_mut();
                if number as usize > inner.slots.capacity() {
                    break;
                }
                let slot = inner.slots.get_mut(number as usize);
                slot.and_then(|slot| slot.task.take())
            };
            if let Some(mut task) = task {
                let origin = || self.origin(number);
                task.as_mut().cancel(&origin);
                drop(task);
                self.remove(number, End::Cancelled);
                dropped += 1;
            }
            number += 1;
        }
        dropped
    }

    /// Where this table's generations stand, for the next loop of its number.
    pub(crate) fn next_generation(&self) -> u16 {
        self.inner.borrow().next_generation
    }

    /// Calls `row` for each task: its origin, what it waits for, and whether it is scheduled or
    /// running.
    pub(crate) fn each(&self, mut row: impl FnMut(Origin, Option<Wait>, Stage)) {
        let rows: Vec<_> = {
            let inner = self.inner.borrow();
            let live = inner.slots.iter().filter(|(_, slot)| !slot.ended);
            live.map(|(number, slot)| {
                let origin = Origin { id: slot.id, name: slot.name.clone(), place: slot.place };
                let wait = slot.waits_at.map(|place| Wait { what: slot.waits_for, place });
                let stage = if self.running.get() == Some(number as u32) {
                    Stage::Running
                } else if slot.scheduled {
                    Stage::Scheduled
                } else {
                    Stage::Idle
                };
                (origin, wait, stage)
            })
            .collect()
        };
        rows.into_iter().for_each(|(origin, wait, stage)| row(origin, wait, stage));
    }
}

impl Slot {
    #[inline]
    fn set_wait(&mut self, wait: Option<Wait>) {
        match wait {
            Some(wait) => {
                self.waits_at = Some(wait.place);
                self.waits_for = wait.what;
            }
            None => self.waits_at = None,
        }
    }
}

/// Where in its life a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Idle,
    Scheduled,
    Running,
}

/// The table is closed.
#[derive(Debug)]
pub(crate) struct Refused;

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table")
            .field("number", &self.number)
            .field("tasks", &self.len())
            .field("ready", &self.ready())
            .finish()
    }
}

/// Says that a slot is being polled, until dropped; also by unwinding.
struct Running<'a> {
    table: &'a Table,
    cause: Option<Cause>,
}

impl<'a> Running<'a> {
    #[inline]
    fn begin(table: &'a Table, number: u32) -> Self {
        table.running.set(Some(number));
        budget::begin();
        let cause = trace::on().then(|| {
            let id = table.inner.borrow().slots[number as usize].id;
            trace::report(|| Event::Polled { task: id });
            trace::set_cause(Cause::Task(id))
        });
        Self { table, cause }
    }
}

impl Drop for Running<'_> {
    #[inline]
    fn drop(&mut self) {
        self.table.running.set(None);
        budget::end();
        if let Some(cause) = self.cause {
            trace::set_cause(cause);
        }
    }
}
