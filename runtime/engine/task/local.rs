//! The event loop's tasks, and the waker that is a number.
//!
//! One [`Table`] belongs to one loop: a slab of its tasks, and the run queue (`tasks.rs`). Only the loop's
//! own thread touches it, so spawning, waking and polling cost no read-modify-write, no reference count
//! and no lock. (A task's end costs one or two: see `cell.rs`.)
//!
//! A task's waker holds no pointer. Its data word is a [`Key`]: the loop's number, the slot's number
//! and its generation.
//!
//! Cloning copies the word and dropping it does nothing. `wake` asks the thread-local which table
//! this thread runs: if it is that of the loop in the key, the task is scheduled; otherwise the key goes
//! into that loop's inbox. A key may be stale in every way: the task ended, its slot serves another task,
//! its loop is gone, its loop's number serves another loop. The generation catches nearly all of these,
//! and what it does not catch (it has wrapped around exactly) costs one spurious poll, which every future
//! must bear. Nothing dereferences a key.
//!
//! [`waiter_of`] and [`wake_waiter`] are here because only this file can tell such a waker from others. Sources,
//! queues and the pool call them in both variants: the waker of a `Runtime`'s task is then one of the others.
//!
//! What must hold:
//! - A task is out of its slot while it runs, so that its poll may spawn, wake and cancel freely.
//! - User code (futures, outputs, their drops, listeners) runs with the table not borrowed, and finds
//!   each slot's state true.
//!
//! **Alternative:** a pointer with a reference count, as in tokio and async-task. It is safe to hand to
//! any thread, at two atomic steps a clone, and such a waker keeps a dead task's memory alive.

use std::{
    cell::{RefCell, RefMut},
    fmt, mem,
    mem::ManuallyDrop,
    panic::Location,
    rc::Rc,
    sync::Arc,
    task::{Context, RawWaker, RawWakerVTable, Waker},
};

use super::{
    key::Key,
    poll::{AfterPoll, OriginFn, PollArgs, PollOutcome},
    reach::{Ending, Reach},
    slots::{ROOT, Slots, State},
    spawned::{Spawned, TaskStage},
    steps,
    tasks::{BatchEnd, Refused, TakenOut, Tasks},
};
use crate::engine::{
    base::{
        id::TaskId,
        location::{Origin, WaitNote},
        stats::Counters,
        this_poll, trace, user_code,
    },
    inbox,
    run_queue::batches::RunQueue,
    waiting::waiter::Waiter,
};

#[cfg(not(target_pointer_width = "64"))]
compile_error!("whirligig's wakers pack 64 bits into a pointer: it needs a 64-bit target");

/// The waker of a number. This is all the `unsafe` of the single-threaded scheduler.
#[allow(unsafe_code)]
mod waker {
    use std::mem::ManuallyDrop;

    use super::{Context, Key, RawWaker, RawWakerVTable, TaskId, Waker, this_poll};

    // ANCHOR: vtable
    static VTABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake, drop);

    fn clone(data: *const ()) -> RawWaker {
        RawWaker::new(data, &VTABLE)
    }

    fn wake(data: *const ()) {
        super::wake(Key::from_bits(data.addr() as u64));
    }

    fn drop(_data: *const ()) {}
    // END: vtable

    pub(super) fn new(key: Key) -> Waker {
        let data = std::ptr::without_provenance(key.bits() as usize);
        // SAFETY: the vtable's functions are safe code: they take the data word for the number it is
        // and dereference nothing, so they may be called on any thread, any number of times, also
        // after what the number named is gone.
        unsafe { Waker::new(data, &VTABLE) }
    }

    /// The number of a waker, if it is one of ours.
    #[inline]
    pub(super) fn key_of(waker: &Waker) -> Option<Key> {
        let ours = std::ptr::eq(waker.vtable(), &VTABLE);
        ours.then(|| Key::from_bits(waker.data().addr() as u64))
    }

    /// Begins a poll: runs `f` with a context for `key`. The waker's drop does nothing, so it is
    /// skipped.
    #[inline(always)]
    pub(super) fn with_context<R>(key: Key, id: TaskId, f: impl FnOnce(Context<'_>) -> R) -> R {
        let waker = ManuallyDrop::new(new(key));
        this_poll::begin(&waker, Some(id), key.bits());
        f(Context::from_waker(&waker))
    }
}

/// Wakes the task of a key, from any thread.
#[inline(never)]
// ANCHOR: wake
pub(crate) fn wake(key: Key) {
    let is_ours = CURRENT.try_with(|current| match &**current.borrow() {
        Some(table) if table.number == key.number() => {
            if trace::on() {
                table.wake_traced(key);
            } else {
                table.tasks.borrow_mut().schedule(key);
            }
            true
        }
        _ => false,
    });
    // `Err`: never where the system has thread-locals of its own, for this key has no destructor.
    if !is_ours.unwrap_or(false) {
        wake_elsewhere(key);
    }
}
// END: wake

#[cold]
#[inline(never)]
fn wake_elsewhere(key: Key) {
    if let Some(inbox) = inbox::find(key.number()) {
        inbox.wake(key.bits());
    }
}

/// [`wake`] for the bits of a key.
fn wake_bits(bits: u64) {
    wake(Key::from_bits(bits));
}

/// How the handles of an event loop's tasks reach them.
pub(crate) static REACH: Reach = Reach { wake: wake_bits, end };

/// Ends the task of a key on its loop's own thread; from another, its loop is to poll it.
fn end(bits: u64, id: TaskId) -> Ending {
    let key = Key::from_bits(bits);
    let table = CURRENT.try_with(|current| {
        let current = current.borrow();
        current.as_ref().filter(|table| table.number == key.number()).cloned()
    });
    match table {
        Ok(Some(table)) => table.end(key, id),
        _ => {
            wake(key);
            Ending::Elsewhere
        }
    }
}

/// The task of `waker`, to be woken by [`wake_waiter`]: a waker of ours is only a number.
#[inline]
pub(crate) fn waiter_of(waker: &Waker) -> Waiter {
    number_of(waker).unwrap_or_else(|| Waiter::Waker(waker.clone()))
}

/// The task of `waker`, if its waker is one of ours: then no user code is called to make a waiter of it.
#[inline]
pub(crate) fn number_of(waker: &Waker) -> Option<Waiter> {
    waker::key_of(waker).map(|key| Waiter::Task(key.bits()))
}

/// Whether `waiter` wakes what `waker` does. Clones nothing.
#[inline]
pub(crate) fn is_waiter_of(waiter: &Waiter, waker: &Waker) -> bool {
    match waiter {
        Waiter::Task(bits) => waker::key_of(waker).is_some_and(|key| key.bits() == *bits),
        Waiter::Waker(kept) => kept.will_wake(waker),
    }
}

/// Wakes a waiter, from any thread.
pub(crate) fn wake_waiter(waiter: Waiter) {
    match waiter {
        Waiter::Task(bits) => wake_bits(bits),
        Waiter::Waker(waker) => user_code::wake(waker),
    }
}

thread_local! {
    /// The table of the loop that this thread runs, the innermost if they nest.
    // Without a destructor it is there to the thread's very end. The guards empty it.
    static CURRENT: RefCell<ManuallyDrop<Option<Rc<Table>>>> =
        const { RefCell::new(ManuallyDrop::new(None)) };
}

/// Makes `table` this thread's, until the guard is dropped; then the one before it again.
pub(crate) fn enter(table: Rc<Table>) -> EnteredTable {
    let outer = ManuallyDrop::into_inner(CURRENT.replace(ManuallyDrop::new(Some(table))));
    EnteredTable { outer, suspended: this_poll::suspend() }
}

/// See [`enter`].
pub(crate) struct EnteredTable {
    outer: Option<Rc<Table>>,
    suspended: this_poll::Suspended,
}

impl Drop for EnteredTable {
    fn drop(&mut self) {
        let outer = self.outer.take();
        drop(ManuallyDrop::into_inner(CURRENT.replace(ManuallyDrop::new(outer))));
        self.suspended.resume();
    }
}

/// Names the task that runs on this thread, for a report.
const RUNNING: OriginFn<'static> = &|| {
    CURRENT.with_borrow(|table| {
        let table = table.as_ref().expect("a task is polled or dropped with its loop entered");
        let tasks = table.tasks.borrow();
        tasks.slots[tasks.running].origin()
    })
};

/// One loop's tasks and its run queue.
pub(crate) struct Table {
    number: u16,
    counters: Arc<Counters>,
    tasks: RefCell<Tasks>,
}

/// The future that `block_on` keeps on its own stack, as the table sees it.
pub(crate) type Root<'a> = Option<&'a mut dyn FnMut(&mut Context<'_>) -> bool>;

impl Table {
    pub(crate) fn new(number: u16, first_generation: u16, counters: Arc<Counters>) -> Self {
        let tasks = Tasks {
            slots: Slots::new(number, first_generation),
            run_queue: RunQueue::default(),
            running: ROOT,
            closed: false,
        };
        Self { number, counters, tasks: RefCell::new(tasks) }
    }

    /// Wakes a task of this table.
    pub(crate) fn wake(&self, key: Key) {
        if trace::on() {
            self.wake_traced(key);
        } else {
            self.tasks.borrow_mut().schedule(key);
        }
    }

    /// What wakes this table's tasks by the bits of their keys, and says of each whether it is this
    /// table's: for the reactor, which wakes many at once. The table is borrowed meanwhile. Not while the
    /// trace has a listener.
    #[inline]
    pub(crate) fn waking(&self) -> impl FnMut(u64) -> bool {
        let mut tasks = self.tasks.borrow_mut();
        move |bits| {
            let key = Key::from_bits(bits);
            let is_ours = key.number() == self.number;
            if is_ours {
                tasks.schedule(key);
            }
            is_ours
        }
    }

    #[cold]
    #[inline(never)]
    fn wake_traced(&self, key: Key) {
        let (live, news) = {
            let mut inner = self.tasks.borrow_mut();
            let news = inner.schedule(key);
            (inner.find(key).map(|slot| slot.id), news)
        };
        if let Some(task) = live {
            steps::woken(task, news);
        }
    }

    /// Takes a task in and schedules it. Refused, and dropped, once the table is closed. `make` is
    /// called with the table borrowed: making a task of a future and a number calls no user code.
    #[inline]
    pub(crate) fn spawn(
        &self,
        origin: Origin,
        make: impl FnOnce(Key) -> Spawned,
    ) -> Result<(), Refused> {
        let Origin { id, name, location, parent } = origin;
        let mut inner = self.tasks.borrow_mut();
        if inner.closed {
            drop(inner);
            return Err(Refused);
        }
        let (key, slot) = inner.slots.reserve();
        let task = make(key);
        // Field by field: the slot is vacant, and nothing in it needs to be dropped.
        mem::forget(mem::replace(&mut slot.name, name));
        slot.id = id;
        slot.location = location;
        slot.parent = parent;
        slot.wait = None;
        slot.key = key;
        slot.state = State::Scheduled;
        mem::forget(slot.task.replace(task));
        inner.run_queue.push(key.slot());
        drop(inner);
        if trace::on() {
            let origin = self.tasks.borrow().slots[key.slot()].origin();
            steps::spawned(&origin);
        }
        Ok(())
    }

    /// Takes the future of a `block_on` in as the root, and schedules it.
    pub(crate) fn open_root(&self, id: TaskId, location: &'static Location<'static>) {
        let mut inner = self.tasks.borrow_mut();
        let (key, slot) = inner.open_root();
        slot.id = id;
        slot.location = location;
        slot.key = key;
    }

    /// The root future is gone; its wakers are stale from here on.
    pub(crate) fn close_root(&self) {
        self.tasks.borrow_mut().close_root();
    }

    /// Gives back the memory of a burst that is over.
    pub(crate) fn give_back(&self) {
        self.tasks.borrow_mut().give_back();
    }

    /// Whether anything stands in the run queue.
    #[inline]
    pub(crate) fn is_ready(&self) -> bool {
        !self.tasks.borrow().run_queue.is_empty()
    }

    /// How many tasks have not ended.
    pub(crate) fn len(&self) -> usize {
        self.tasks.borrow().slots.len()
    }

    /// Runs the turn's batch: polls each task in it, once. After each poll `is_over` is asked whether to
    /// leave the rest of the batch for the next turn.
    #[inline]
    // ANCHOR: run_batch
    pub(crate) fn run_batch(&self, root: &mut Root<'_>, is_over: impl Fn() -> bool) -> BatchEnd {
        // Borrowed except during the polls themselves, in which user code runs.
        let mut tasks = self.tasks.borrow_mut();
        tasks.run_queue.begin();
        let end = loop {
            let Some(TakenOut { key, id, task }) = tasks.pop() else {
                break match tasks.run_queue.is_next_empty() {
                    true => BatchEnd::NothingReady,
                    false => BatchEnd::MoreReady,
                };
            };
            self.release_to_poll(tasks, id);
            self.counters.polls.add(1);
            tasks = match self.poll(key, id, task, root) {
                AfterPoll::Alive(task) => self.put_back(TakenOut { key, id, task }),
                AfterPoll::Ended(_) if key.slot() == ROOT => break BatchEnd::RootEnded,
                AfterPoll::Ended(outcome) => self.remove(key.slot(), outcome),
            };
            if is_over() {
                break BatchEnd::CutShort;
            }
        };
        this_poll::end();
        end
    }
    // END: run_batch

    /// A task is about to be polled: lets go of the table for it.
    #[inline(always)]
    fn release_to_poll(&self, tasks: RefMut<'_, Tasks>, id: TaskId) {
        drop(tasks);
        if trace::on() {
            steps::polled(id);
        }
    }

    /// Polls a task, or the root future. Gives it back, or says how it ended.
    #[inline(always)]
    fn poll(
        &self,
        key: Key,
        id: TaskId,
        task: Option<Spawned>,
        root: &mut Root<'_>,
    ) -> AfterPoll<Option<Spawned>> {
        match task {
            Some(task) => {
                let poll = |cx: Context<'_>| task.poll(&mut PollArgs { cx, origin: &RUNNING });
                waker::with_context(key, id, poll).map(Some)
            }
            None => self.poll_root(key, id, root),
        }
    }

    #[inline(never)]
    fn poll_root(&self, key: Key, id: TaskId, root: &mut Root<'_>) -> AfterPoll<Option<Spawned>> {
        let Some(root) = root else { return AfterPoll::Alive(None) };
        match waker::with_context(key, id, |mut cx| root(&mut cx)) {
            true => AfterPoll::Ended(PollOutcome::Completed),
            false => AfterPoll::Alive(None),
        }
    }

    /// The poll ended with `Pending`: puts the task into its slot, and into the run queue if it gave way.
    #[inline(always)]
    fn put_back(&self, runnable: TakenOut) -> RefMut<'_, Tasks> {
        let id = runnable.id;
        let mut tasks = self.tasks.borrow_mut();
        let gave_way = tasks.put_back(runnable);
        if trace::on() {
            drop(tasks);
            steps::waits(id, gave_way, this_poll::noted());
            return self.tasks.borrow_mut();
        }
        tasks
    }

    /// The poll ended the task.
    #[inline(always)]
    fn remove(&self, number: u32, outcome: PollOutcome) -> RefMut<'_, Tasks> {
        self.counters.ended.add(1);
        let mut tasks = self.tasks.borrow_mut();
        // A name is text: dropping it calls no user code.
        let (id, _name) = tasks.slots.end(number);
        if trace::on() {
            drop(tasks);
            steps::ended(id, outcome);
            return self.tasks.borrow_mut();
        }
        tasks
    }

    /// Drops the future of this task, unless it is polled or dropped right now.
    fn end(&self, key: Key, id: TaskId) -> Ending {
        let mut tasks = self.tasks.borrow_mut();
        let Some(slot) = tasks.find(key).filter(|slot| slot.id == id) else { return Ending::Gone };
        let Some(task) = slot.task.take() else {
            // Its next poll finds out.
            tasks.schedule(key);
            return Ending::Here;
        };
        self.drop_task(tasks, key.slot(), task);
        Ending::Gone
    }

    /// Drops a task that was taken out of its slot. Its drops may do anything.
    fn drop_task(&self, mut tasks: RefMut<'_, Tasks>, number: u32, task: Spawned) {
        let slot = &mut tasks.slots[number];
        let id = slot.id;
        // As in a poll. Its number may stand in the run queue.
        slot.state = match slot.state {
            State::Scheduled => State::WokenWhileRunning,
            _ => State::Running,
        };
        let outer = mem::replace(&mut tasks.running, number);
        drop(tasks);
        this_poll::as_task(id, || task.cancel(&RUNNING));
        self.remove(number, PollOutcome::Cancelled).running = outer;
    }

    /// Refuses new tasks from here on, and drops those there are, one after the other. Their drops
    /// may do anything. Returns how many there were.
    pub(crate) fn close(&self) -> usize {
        self.tasks.borrow_mut().close();
        let mut dropped = 0;
        let mut number = ROOT;
        loop {
            let mut tasks = self.tasks.borrow_mut();
            let Some(slot) = tasks.slots.get_mut(number) else { break };
            if let Some(task) = slot.task.take() {
                self.drop_task(tasks, number, task);
                dropped += 1;
            }
            number += 1;
        }
        dropped
    }

    /// Where this table's generations stand, for the next loop of its number.
    pub(crate) fn next_generation(&self) -> u16 {
        self.tasks.borrow().slots.next_generation()
    }

    /// Where the task of this identity comes from, if this is its key.
    pub(crate) fn origin_by_key(&self, key: u64, id: TaskId) -> Option<Origin> {
        let mut inner = self.tasks.borrow_mut();
        let slot = inner.find(Key::from_bits(key)).filter(|slot| slot.id == id)?;
        Some(slot.origin())
    }

    /// Where the task of this identity comes from, if it is one of this table.
    pub(crate) fn origin(&self, id: TaskId) -> Option<Origin> {
        let inner = self.tasks.borrow();
        inner.slots.live().find(|slot| slot.id == id).map(|slot| slot.origin())
    }

    /// Calls `row` for each task: its origin, what it waits for, and whether it is scheduled or running.
    pub(crate) fn each(&self, mut row: impl FnMut(Origin, Option<WaitNote>, TaskStage)) {
        let rows: Vec<_> = {
            let inner = self.tasks.borrow();
            let rows = inner.slots.live().map(|slot| {
                let stage = match slot.state {
                    State::Running | State::WokenWhileRunning => TaskStage::Running,
                    // All tasks are in their slots, to be dropped.
                    State::Scheduled if !inner.closed => TaskStage::Scheduled,
                    _ => TaskStage::Idle,
                };
                (slot.origin(), slot.wait, stage)
            });
            rows.collect()
        };
        rows.into_iter().for_each(|(origin, wait, stage)| row(origin, wait, stage));
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table")
            .field("number", &self.number)
            .field("tasks", &self.len())
            .field("is_ready", &self.is_ready())
            .finish()
    }
}
