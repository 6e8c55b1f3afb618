//! The event loop's tasks, and the waker that is a number.
//!
//! One [`Table`] belongs to one loop: a slab of the tasks that wait, and the run queue of those that do not
//! (`tasks.rs`). Only the loop's own thread touches it, so spawning, waking and polling cost no
//! read-modify-write, no reference count and no lock. (A task's end costs one or two: see `cell.rs`.)
//!
//! A task's waker holds no pointer. Its data word is a [`Key`]: the loop's number, the slot's number
//! and its generation.
//!
//! Cloning copies the word and dropping it does nothing. `wake` asks the thread-local which table
//! this thread runs: if it is that of the loop in the key, the slot's task is put into the run queue;
//! otherwise the key goes into that loop's inbox. A key may be stale in every way: the task ended, its
//! slot serves another task, its loop is gone, its loop's number serves another loop. The generation
//! catches nearly all of these, and what it does not catch (it has wrapped around exactly) costs one
//! spurious poll, which every future must bear. Nothing dereferences a key.
//!
//! What must hold:
//! - A slot whose key stands in the run queue by itself is not freed. A task that ended there leaves a
//!   tombstone, and the slot is freed when the key is popped; else the entry would be taken for that of a new
//!   task in the same slot.
//! - A task is out of its slot while it runs, so that its poll may spawn, wake and cancel freely.
//! - Foreign code (futures, outputs, their drops) runs with the table not borrowed.
//!
//! The rival, tokio's and async-task's, is a pointer with a reference count: safe to hand to any
//! thread at two atomic steps a clone, and a waker that keeps a dead task's memory alive.

use std::{
    cell::{RefCell, RefMut},
    fmt, mem,
    mem::ManuallyDrop,
    panic::Location,
    rc::Rc,
    task::{Context, RawWaker, RawWakerVTable, Waker},
};

use super::{
    key::Key,
    poll::{OriginFn, PollArgs, PollOutcome},
    slots::{AWAY, EXPECTED, IDLE, ROOT, Slots},
    spawned::{Spawned, Stage},
    steps,
    tasks::{Batch, Popped, Ready, Refused, Tasks},
};
use crate::engine::{
    base::{
        foreign,
        id::TaskId,
        place::{Origin, Wait},
        stats::Counters,
        this_poll, trace,
    },
    inbox,
    run_queue::batches::Batches,
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
        // after whatever the number named is gone.
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
        this_poll::begin(&waker, Some(id));
        f(Context::from_waker(&waker))
    }
}

/// Wakes the task of a key, from whichever thread.
#[inline(never)]
// ANCHOR: wake
pub(crate) fn wake(key: Key) {
    let is_ours = CURRENT.try_with(|current| match &**current.borrow() {
        Some(table) if table.number == key.number() => {
            if trace::on() {
                table.wake_traced(key);
            } else {
                table.tasks.borrow_mut().mark(key);
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

/// [`wake`] for a key in the bits of a join cell.
pub(crate) fn wake_bits(bits: u64) {
    wake(Key::from_bits(bits));
}

/// Whoever `waker` wakes, to be woken by [`wake_waiter`]: a waker of ours is only a number.
#[inline]
pub(crate) fn waiter_of(waker: &Waker) -> Waiter {
    match waker::key_of(waker) {
        Some(key) => Waiter::Task(key.bits()),
        None => Waiter::Foreign(waker.clone()),
    }
}

/// Whether `waiter` wakes what `waker` does. Clones nothing.
#[inline]
pub(crate) fn is_waiter_of(waiter: &Waiter, waker: &Waker) -> bool {
    match waiter {
        Waiter::Task(bits) => waker::key_of(waker).is_some_and(|key| key.bits() == *bits),
        Waiter::Foreign(kept) => kept.will_wake(waker),
    }
}

/// Wakes one who waited, from whichever thread.
pub(crate) fn wake_waiter(waiter: Waiter) {
    match waiter {
        Waiter::Task(bits) => wake_bits(bits),
        Waiter::Foreign(waker) => foreign::wake(waker),
    }
}

thread_local! {
    /// The table of the loop that this thread runs, the innermost if they nest.
    // Without a destructor it is there to the thread's very end. The guards empty it.
    static CURRENT: RefCell<ManuallyDrop<Option<Rc<Table>>>> =
        const { RefCell::new(ManuallyDrop::new(None)) };
}

/// Makes `table` this thread's, until the guard is dropped; then the one before it again.
pub(crate) fn enter(table: Rc<Table>) -> Entered {
    let outer = ManuallyDrop::into_inner(CURRENT.replace(ManuallyDrop::new(Some(table))));
    Entered { outer, suspended: this_poll::suspend() }
}

/// See [`enter`].
pub(crate) struct Entered {
    outer: Option<Rc<Table>>,
    suspended: this_poll::Suspended,
}

impl Drop for Entered {
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
        tasks.slots[tasks.running.slot()].origin()
    })
};

/// One loop's tasks and its run queue.
pub(crate) struct Table {
    number: u16,
    tasks: RefCell<Tasks>,
}

/// The future that `block_on` keeps on its own stack, as the table sees it.
pub(crate) type Root<'a> = Option<&'a mut dyn FnMut(&mut Context<'_>) -> bool>;

impl Table {
    pub(crate) fn new(number: u16, first_generation: u16) -> Self {
        let slots = Slots::new(number, first_generation);
        let run_queue = Batches::new();
        let tasks = Tasks {
            slots,
            run_queue,
            running: Key::NOBODY,
            woken_running: Key::NOBODY,
            closed: false,
        };
        Self { number, tasks: RefCell::new(tasks) }
    }

    /// Wakes a task of this table.
    pub(crate) fn wake(&self, key: Key) {
        if trace::on() {
            self.wake_traced(key);
        } else {
            self.tasks.borrow_mut().mark(key);
        }
    }

    /// What wakes this table's tasks by the bits of their keys, and says of each whether it is this
    /// table's: the way of the reactor, which wakes many at once. The table is borrowed meanwhile. Not
    /// for when somebody listens to the trace.
    #[inline]
    pub(crate) fn waking(&self) -> impl FnMut(u64) -> bool {
        let mut tasks = self.tasks.borrow_mut();
        move |bits| {
            let key = Key::from_bits(bits);
            let is_ours = key.number() == self.number;
            if is_ours {
                tasks.mark(key);
            }
            is_ours
        }
    }

    #[cold]
    #[inline(never)]
    fn wake_traced(&self, key: Key) {
        let (live, news) = {
            let mut inner = self.tasks.borrow_mut();
            let news = inner.mark(key);
            (inner.find(key).map(|slot| slot.id), news)
        };
        if let Some(task) = live {
            steps::woken(task, news);
        }
    }

    /// Takes a task in and schedules it. Refused, and dropped, once the table is closed. `make` is
    /// called with the table borrowed: making a task of a future and a number calls nobody.
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
        slot.standing = AWAY;
        inner.run_queue.push(|| Ready { key, task: Some(task), gave_way_at: None });
        drop(inner);
        if trace::on() {
            let origin = self.tasks.borrow().slots[key.slot()].origin();
            steps::spawned(&origin);
        }
        Ok(())
    }

    /// Readies the root slot for a new `block_on`, and schedules it.
    pub(crate) fn open_root(&self, id: TaskId, location: &'static Location<'static>) {
        let mut inner = self.tasks.borrow_mut();
        let inner = &mut *inner;
        let key = inner.slots.draw_key(ROOT);
        let slot = &mut inner.slots[ROOT];
        slot.id = id;
        slot.location = location;
        slot.key = key;
        // A root that returned while scheduled left an entry in the queue. It serves this one.
        if slot.standing == AWAY {
            slot.standing = EXPECTED;
            inner.run_queue.push(|| Ready::alone(key));
        }
    }

    /// The root future is gone; its wakers are stale from here on.
    pub(crate) fn close_root(&self) {
        let mut inner = self.tasks.borrow_mut();
        let slot = &mut inner.slots[ROOT];
        slot.key = Key::NOBODY;
        slot.wait = None;
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

    /// Runs the turn's batch: polls each runnable in it, once. After each poll `is_look_due` is asked whether
    /// to cut the batch short. At its end, with more runnables ready, `next_turn` is asked whether the
    /// next turn would find nothing else to do: then that one's batch is run as well.
    #[inline]
    pub(crate) fn run_batch(
        &self,
        root: &mut Root<'_>,
        counters: &Counters,
        is_look_due: impl Fn() -> bool,
        next_turn: impl Fn() -> bool,
    ) -> Batch {
        // Borrowed but for the polls themselves, in which foreign code runs.
        let mut tasks = self.tasks.borrow_mut();
        tasks.run_queue.begin();
        let batch = loop {
            let Some(popped) = tasks.pop() else {
                if tasks.run_queue.is_next_empty() {
                    break Batch::Dry;
                }
                if !next_turn() {
                    break Batch::Done;
                }
                tasks.run_queue.begin_next();
                continue;
            };
            match popped {
                Popped::Task(key, task) => {
                    let id = self.announce(tasks, key);
                    counters.polls.add(1);
                    tasks = match self.poll(key, id, task) {
                        Ok(task) => self.put_back(key, |tasks| tasks.put_back(key, task)),
                        Err(outcome) => {
                            counters.ended.add(1);
                            self.remove(key.slot(), outcome)
                        }
                    };
                }
                Popped::Root(key) => {
                    let id = self.announce(tasks, key);
                    counters.polls.add(1);
                    if self.poll_root(key, id, root) {
                        tasks = self.tasks.borrow_mut();
                        break Batch::RootEnded;
                    }
                    tasks = self.put_back(key, |tasks| tasks.put_back_root(key));
                }
            }
            if is_look_due() {
                break Batch::LookDue;
            }
        };
        tasks.running = Key::NOBODY;
        this_poll::end();
        batch
    }

    /// The task of `key` is about to be polled: its identity. Lets go of the table for the trace.
    #[inline(always)]
    fn announce<'a>(&'a self, mut tasks: RefMut<'a, Tasks>, key: Key) -> TaskId {
        let id = tasks.slots[key.slot()].id;
        if trace::on() {
            drop(tasks);
            steps::polled(id);
            tasks = self.tasks.borrow_mut();
        }
        tasks.running = key;
        id
    }

    /// Polls a task. Gives it back, or how it ended.
    #[inline(always)]
    fn poll(&self, key: Key, id: TaskId, task: Spawned) -> Result<Spawned, PollOutcome> {
        waker::with_context(key, id, |cx| task.poll(&mut PollArgs { cx, origin: &RUNNING }))
    }

    /// Polls the root future, if there is one. `true`: it has ended.
    #[inline(never)]
    fn poll_root(&self, key: Key, id: TaskId, root: &mut Root<'_>) -> bool {
        root.as_mut().is_some_and(|root| waker::with_context(key, id, |mut cx| root(&mut cx)))
    }

    /// The poll ended with `Pending`: puts the task into its slot, or into the run queue if it gave way.
    #[inline(always)]
    fn put_back(&self, key: Key, put_back: impl FnOnce(&mut Tasks) -> bool) -> RefMut<'_, Tasks> {
        let mut tasks = self.tasks.borrow_mut();
        let again = put_back(&mut tasks);
        if trace::on() {
            let id = tasks.slots[key.slot()].id;
            tasks.running = Key::NOBODY;
            drop(tasks);
            steps::waits(id, again, this_poll::wait());
            return self.tasks.borrow_mut();
        }
        tasks
    }

    /// The poll ended the task.
    #[inline(always)]
    fn remove(&self, number: u32, outcome: PollOutcome) -> RefMut<'_, Tasks> {
        let mut tasks = self.tasks.borrow_mut();
        let slot = tasks.slots.end(number);
        // A name is text: dropping it calls nobody.
        slot.name = None;
        if trace::on() {
            let id = slot.id;
            tasks.running = Key::NOBODY;
            drop(tasks);
            steps::ended(id, outcome);
            return self.tasks.borrow_mut();
        }
        tasks
    }

    /// Refuses new tasks from here on, and drops those there are, one after the other. Their drops
    /// may do anything. Returns how many there were.
    pub(crate) fn close(&self) -> usize {
        self.tasks.borrow_mut().close();
        let mut dropped = 0;
        let mut number = ROOT;
        loop {
            let task = {
                let mut inner = self.tasks.borrow_mut();
                let Some(slot) = inner.slots.get_mut(number) else { break };
                let (key, task) = (slot.key, slot.task.take());
                inner.running = key;
                task
            };
            if let Some(task) = task {
                task.cancel(&RUNNING);
                drop(self.remove(number, PollOutcome::Cancelled));
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

    /// Calls `row` for each task: its origin, what it waits for, and whether it is scheduled or
    /// running.
    pub(crate) fn each(&self, mut row: impl FnMut(Origin, Option<Wait>, Stage)) {
        let rows: Vec<_> = {
            let mut inner = self.tasks.borrow_mut();
            inner.note_who_gave_way();
            let rows = inner.slots.live().map(|slot| {
                let is_root = slot.key.slot() == ROOT;
                let stage = match slot.standing {
                    _ if slot.key == inner.running => Stage::Running,
                    // All tasks are in their slots, to be dropped.
                    _ if inner.closed => Stage::Idle,
                    IDLE => Stage::Idle,
                    AWAY if is_root => Stage::Idle,
                    _ => Stage::Scheduled,
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
