//! This thread's runtime.
//!
//! Leaf futures and the free functions `spawn` and `spawn_local` ask here who runs this thread. It is
//! set by a guard while a loop turns and while its tasks are dropped, and nests: a task may run
//! another loop, and gets its own back after that. Whoever does something else on an event loop than
//! on a runtime asks [`get`] or [`expect`], and matches [`Current`].

use std::{
    cell::{Cell, RefCell},
    future::Future,
    io,
    mem::ManuallyDrop,
    os::fd::BorrowedFd,
    panic::Location,
    rc::Rc,
    sync::Arc as StdArc,
};

use mio::Token;

use crate::engine::{
    base::{
        clock::{self, Clock, TestClock},
        place::Name,
        primitives::Arc,
        this_poll,
    },
    blocking,
    inbox::{Address, Urgency},
    reactor::registration::Registration,
    scheduler::{
        event_loop::Core,
        pool::{
            self, Pool,
            worker::{HandedOff, Worker},
        },
    },
    task::{
        join::JoinHandle,
        local::{self, Entered},
    },
    waiting::waiter::Waiter,
};

/// Who runs a thread.
#[derive(Clone)]
pub(crate) enum Current {
    EventLoop(Rc<Core>),
    /// One of a runtime's workers.
    Worker(Rc<Worker>),
    /// A thread that polls a future in a runtime's `block_on`, or has entered it.
    Guest(StdArc<Pool>),
}

thread_local! {
    // Without a destructor it is there to the thread's very end. The guards empty it.
    static CURRENT: RefCell<ManuallyDrop<Option<Current>>> =
        const { RefCell::new(ManuallyDrop::new(None)) };
    /// The identity of that loop, or 0: what a source asks before each wait.
    static LOOP_ID: Cell<u64> = const { Cell::new(0) };
}

/// Makes a loop this thread's, until the guard is dropped; then the one before it again.
pub(crate) fn enter(core: Rc<Core>) -> Guard<Entered> {
    let table = local::enter(core.table.clone());
    Guard::new(Current::EventLoop(core), table)
}

/// The same for a worker, which is its thread's for good.
pub(crate) fn enter_worker(worker: Rc<Worker>) -> Guard<pool::worker::Entered> {
    let entered = worker.enter();
    Guard::new(Current::Worker(worker), entered)
}

/// The same for a thread that is no worker: what it spawns goes to the pool.
pub(crate) fn enter_as_guest(pool: StdArc<Pool>) -> Guard<()> {
    Guard::new(Current::Guest(pool), ())
}

/// Leaves the worker that this thread runs, if it runs one, to another thread, until the guard is
/// dropped: this one is about to block. It is a guest of the worker's runtime meanwhile.
pub(crate) fn hand_off_worker() -> Option<LeftWorker> {
    let Some(Current::Worker(worker)) = get() else { return None };
    let handed_off = worker.hand_off();
    let guest = Guard::new(Current::Guest(worker.pool.clone()), handed_off);
    Some(LeftWorker { guest: Some(guest), worker })
}

/// See [`hand_off_worker`].
pub(crate) struct LeftWorker {
    guest: Option<Guard<HandedOff>>,
    worker: Rc<Worker>,
}

impl Drop for LeftWorker {
    fn drop(&mut self) {
        drop(self.guest.take());
        if self.worker.handed_off.get() {
            // Another thread runs the worker: to the end of this poll, this one stays a guest.
            let guest = Current::Guest(self.worker.pool.clone());
            let outer = CURRENT.replace(ManuallyDrop::new(Some(guest)));
            drop(ManuallyDrop::into_inner(outer));
        }
    }
}

/// See [`enter`].
pub(crate) struct Guard<T> {
    outer: Option<Current>,
    outer_id: u64,
    outer_runs_tasks: bool,
    _entered: T,
}

impl<T> Guard<T> {
    fn new(current: Current, entered: T) -> Self {
        let outer_id = LOOP_ID.replace(current.id());
        let runs_tasks = !matches!(current, Current::Guest(_));
        let outer_runs_tasks = this_poll::set_runs_tasks(runs_tasks);
        let outer = CURRENT.replace(ManuallyDrop::new(Some(current)));
        Self {
            outer: ManuallyDrop::into_inner(outer),
            outer_id,
            outer_runs_tasks,
            _entered: entered,
        }
    }
}

impl<T> Drop for Guard<T> {
    fn drop(&mut self) {
        let outer = self.outer.take();
        LOOP_ID.set(self.outer_id);
        this_poll::set_runs_tasks(self.outer_runs_tasks);
        drop(ManuallyDrop::into_inner(CURRENT.replace(ManuallyDrop::new(outer))));
    }
}

/// Who runs this thread, if anybody does.
#[inline]
pub(crate) fn get() -> Option<Current> {
    CURRENT.with_borrow(|current| Option::clone(current))
}

/// Who runs this thread.
///
/// # Panics
/// If nobody does; `what` names who asked.
#[inline]
#[track_caller]
pub(crate) fn expect(what: &str) -> Current {
    match get() {
        Some(current) => current,
        None => nobody(what),
    }
}

/// Who runs this thread, for a future that was made at `place`.
///
/// # Panics
/// If nobody does.
#[inline]
pub(crate) fn expect_at(what: &str, place: &'static Location<'static>) -> Current {
    get().unwrap_or_else(|| nobody(&format!("{what} at {place}")))
}

/// What `what` needed is not there.
#[cold]
#[track_caller]
pub(crate) fn nobody(what: &str) -> ! {
    panic!(
        "{what} needs a runtime, and none runs this thread: call it from inside `whirligig::run`, \
         `block_on` or a spawned task"
    )
}

/// Spawns a future onto whoever runs this thread.
#[inline]
#[track_caller]
pub(crate) fn spawn<F>(
    what: &str,
    future: F,
    name: Name,
    place: &'static Location<'static>,
) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    match expect(what) {
        Current::EventLoop(core) => core.spawn(future, name, place),
        Current::Worker(worker) => worker.spawn(future, name, place),
        Current::Guest(pool) => pool.spawn(future, name, place),
    }
}

/// Spawns a future that must not leave this thread.
///
/// # Panics
/// If no event loop runs this thread.
#[inline]
#[track_caller]
pub(crate) fn spawn_local<F>(
    what: &str,
    future: F,
    name: Name,
    place: &'static Location<'static>,
) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    match event_loop() {
        Some(core) => core.spawn(future, name, place),
        None => no_event_loop(what),
    }
}

/// A future was to be spawned that must not leave its thread, and no event loop runs this one.
#[cold]
#[track_caller]
fn no_event_loop(what: &str) -> ! {
    expect(what);
    panic!(
        "{what} needs an event loop, and this is a multi-threaded runtime, whose tasks move between \
         threads: use `spawn` if the future can be made `Send`; else run it on a thread of its own by \
         `whirligig::run`, and talk to it through a `queue::Queue`"
    )
}

/// The blocking pool of whoever runs this thread, and the test clock that its jobs hold up.
#[track_caller]
pub(crate) fn blocking(what: &str) -> (Arc<blocking::Pool>, Option<TestClock>) {
    match expect(what) {
        Current::EventLoop(core) => match core.clock() {
            Clock::Test(clock) => (core.pool().clone(), Some(clock.clone())),
            Clock::Real => (core.pool().clone(), None),
        },
        Current::Worker(worker) => (worker.pool.blocking().clone(), None),
        Current::Guest(pool) => (pool.blocking().clone(), None),
    }
}

/// The event loop of this thread, if one runs it.
#[inline]
pub(crate) fn event_loop() -> Option<Rc<Core>> {
    CURRENT.with_borrow(|current| match &**current {
        Some(Current::EventLoop(core)) => Some(core.clone()),
        _ => None,
    })
}

/// The identity of whoever runs this thread; 0 if nobody does. All workers of a runtime have one.
#[inline]
pub(crate) fn loop_id() -> u64 {
    LOOP_ID.get()
}

/// The present moment, by the clock of this thread's loop, or the real one.
pub(crate) fn now() -> u64 {
    event_loop().map_or_else(clock::real_now, |core| core.clock().now())
}

impl Current {
    fn id(&self) -> u64 {
        match self {
            Self::EventLoop(core) => core.id,
            Self::Worker(worker) => worker.pool.id,
            Self::Guest(pool) => pool.id,
        }
    }

    /// Has it watch a descriptor. Those put into `woken` are to be woken, also after an error.
    ///
    /// # Errors
    /// See [`Registration::attach`].
    #[cold]
    pub(crate) fn watch(
        &self,
        registration: &Registration,
        fd: BorrowedFd<'_>,
        woken: &mut Vec<Waiter>,
    ) -> io::Result<()> {
        match self {
            Self::EventLoop(core) => {
                registration.attach(&core.reactor, fd, woken)?;
                core.count_registration();
                Ok(())
            }
            Self::Worker(worker) => registration.attach(worker.pool.reactor(), fd, woken),
            Self::Guest(pool) => registration.attach(pool.reactor(), fd, woken),
        }
    }
}

/// Has a loop forget a token: at once on its own thread, else by a message that need not unpark it.
pub(crate) fn forget_source(home: Address, token: Token) {
    match event_loop() {
        Some(core) if core.id == home.loop_id => core.reactor.remove(token),
        _ => {
            let forget = Box::new(move || {
                if let Some(core) = event_loop() {
                    core.reactor.remove(token);
                }
            });
            // A loop that is gone has nothing to forget.
            drop(home.call(forget, Urgency::Whenever));
        }
    }
}
