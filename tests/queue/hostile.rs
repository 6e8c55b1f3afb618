//! Wakers and items that fight back: in clone, wake and drop they call everything the queue has, on
//! the very queue that is calling them, and drop futures that wait in its lists.
//!
//! A borrow or a lock held over user code shows here as a second borrow (a panic) or as a thread
//! that waits for itself (a test that never ends). And two panics at once would end the test's process.
#![allow(unsafe_code)]

use std::{
    cell::{Cell, RefCell},
    cmp::Ordering,
    fmt::Write,
    mem::{self, ManuallyDrop},
    pin::Pin,
    rc::{Rc, Weak},
    sync::Arc,
    task::{Context, Poll, RawWaker, RawWakerVTable, Wake, Waker},
};

use crate::shells::{Boxed, LocalPriority, Shell, Task, in_each_queue, in_one_queue};

in_each_queue! {
    without_bound,
    with_room_for_one,
    with_room_for_three,
    items_that_panic_when_dropped_are_all_dropped,
    a_waker_that_panics_when_dropped_costs_no_answer,
    wakers_that_panic_keep_no_wake_from_the_others,
}

fn without_bound<Q: Shell<Item> + 'static>() {
    fight::<Q>(None);
}

fn with_room_for_one<Q: Shell<Item> + 'static>() {
    fight::<Q>(Some(1));
}

fn with_room_for_three<Q: Shell<Item> + 'static>() {
    fight::<Q>(Some(3));
}

/// What comparing two items comes to: a priority queue does it.
macro_rules! compared {
    ($item:ident, $order:expr) => {
        impl Ord for $item {
            fn cmp(&self, _: &Self) -> Ordering {
                $order
            }
        }

        impl PartialOrd for $item {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }

        impl PartialEq for $item {
            fn eq(&self, other: &Self) -> bool {
                self.cmp(other).is_eq()
            }
        }

        impl Eq for $item {}
    };
}

/// The moments at which user code runs.
#[derive(Debug, Clone, Copy)]
enum Moment {
    Clone,
    Wake,
    DropWaker,
    DropItem,
}

/// Does everything at a queue.
trait Meddle {
    fn meddle(&self, moment: Moment);
}

/// An item that meddles when it is dropped.
struct Item(Rc<dyn Meddle>);

compared!(Item, Ordering::Equal);

impl Drop for Item {
    fn drop(&mut self) {
        self.0.meddle(Moment::DropItem);
    }
}

/// A waker that meddles in each of its functions. Its data is an `Rc<Rc<dyn Meddle>>`.
fn waker(meddler: Rc<dyn Meddle>) -> Waker {
    type Data = Rc<dyn Meddle>;
    static VTABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, drop_waker);

    // SAFETY (all four): `data` comes from `Rc::into_raw` of an `Rc<Data>`, and each living waker
    // owns one count of it. No waker leaves the thread that made it.
    unsafe fn clone(data: *const ()) -> RawWaker {
        // SAFETY: as above; `ManuallyDrop` leaves the count with the waker that is cloned.
        let meddler = ManuallyDrop::new(unsafe { Rc::from_raw(data.cast::<Data>()) });
        meddler.meddle(Moment::Clone);
        RawWaker::new(Rc::into_raw(Rc::clone(&meddler)).cast(), &VTABLE)
    }
    unsafe fn wake(data: *const ()) {
        // SAFETY: as above; this waker's count ends here.
        let meddler = unsafe { Rc::from_raw(data.cast::<Data>()) };
        meddler.meddle(Moment::Wake);
    }
    unsafe fn wake_by_ref(data: *const ()) {
        // SAFETY: as above; `ManuallyDrop` leaves the count with the waker.
        let meddler = ManuallyDrop::new(unsafe { Rc::from_raw(data.cast::<Data>()) });
        meddler.meddle(Moment::Wake);
    }
    unsafe fn drop_waker(data: *const ()) {
        // SAFETY: as above; this waker's count ends here.
        let meddler = unsafe { Rc::from_raw(data.cast::<Data>()) };
        meddler.meddle(Moment::DropWaker);
    }

    let data = Rc::into_raw(Rc::new(meddler)).cast();
    // SAFETY: the four functions keep the contract of `RawWaker` on one thread, and the tests have
    // only one.
    unsafe { Waker::from_raw(RawWaker::new(data, &VTABLE)) }
}

/// A queue, and futures that wait in its lists.
struct World<Q: 'static> {
    me: Weak<Self>,
    queue: &'static Q,
    futures: RefCell<Vec<Boxed<'static, ()>>>,
    depth: Cell<u32>,
    /// How often each moment came while the queue was at work.
    moments: [Cell<u32>; 4],
    random: Cell<u64>,
}

/// Futures kept at a time.
const KEPT: usize = 6;

/// Meddling that leads to meddling ends at this depth.
const DEPTH: u32 = 3;

impl<Q: Shell<Item>> Meddle for World<Q> {
    fn meddle(&self, moment: Moment) {
        let seen = &self.moments[moment as usize];
        seen.set(seen.get() + 1);
        if self.depth.get() == DEPTH {
            return;
        }
        self.depth.set(self.depth.get() + 1);
        let mut shown = String::new();
        write!(shown, "{:?}", self.queue).unwrap();
        let stats = self.queue.stats();
        assert!(stats.capacity.is_none_or(|capacity| stats.len <= capacity));
        for _ in 0..2 {
            self.act(Waker::noop());
        }
        self.depth.set(self.depth.get() - 1);
    }
}

impl<Q: Shell<Item>> World<Q> {
    /// One thing that a program may do. Every item is hostile; the waker is, in the outermost act.
    /// In a queue that would only grow, nothing would wait.
    fn act(&self, waker: &Waker) {
        let queue = self.queue;
        let item = || Item(self.me.upgrade().expect("the world outlives its items"));
        match self.random(17) {
            0..=2 => self.poll(Box::pin(async { drop(queue.get().await) }), waker),
            3..=5 if queue.len() < 3 => {
                let put = queue.put(item());
                self.poll(Box::pin(async { drop(put.await) }), waker);
            }
            6..=8 => {
                if let Some(future) = self.one() {
                    self.poll(future, waker);
                }
            }
            9 => drop(self.one()),
            10 => drop(queue.try_get()),
            11 if queue.len() < 3 => drop(queue.try_put(item())),
            12 => self.poll(Box::pin(queue.join()), waker),
            _ if queue.unfinished() > 0 => queue.task_done(),
            _ => {}
        }
    }

    /// A number below `below`, by splitmix64: any sequence will do, as long as it is fixed.
    fn random(&self, below: usize) -> usize {
        self.random.set(self.random.get().wrapping_add(0x9e37_79b9_7f4a_7c15));
        let mixed = self.random.get();
        let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) as usize % below
    }

    /// Takes a future out, so that it may be polled or dropped while others come and go.
    fn one(&self) -> Option<Boxed<'static, ()>> {
        let mut futures = self.futures.borrow_mut();
        let len = futures.len();
        (len > 0).then(|| futures.swap_remove(self.random(len)))
    }

    fn poll(&self, mut future: Boxed<'static, ()>, waker: &Waker) {
        if future.as_mut().poll(&mut Context::from_waker(waker)).is_pending() {
            self.futures.borrow_mut().push(future);
        }
        // Few, so that one that was promised something is soon polled or dropped.
        if self.futures.borrow().len() > KEPT {
            drop(self.one());
        }
    }
}

fn fight<Q: Shell<Item> + 'static>(capacity: Option<usize>) {
    // Leaked, because futures of the queue are kept beside it.
    let queue: &'static Q = Box::leak(Box::new(Q::with_capacity(capacity)));
    let world = Rc::new_cyclic(|me| World {
        me: me.clone(),
        queue,
        futures: RefCell::default(),
        depth: Cell::new(0),
        moments: Default::default(),
        random: Cell::new(0),
    });
    for _ in 0..5_000 {
        world.act(&waker(world.clone()));
    }
    queue.close();
    queue.close_now();
    while let Some(future) = world.one() {
        drop(future);
    }
    // The queue catches what its wakers throw; here nothing should have been thrown.
    assert_eq!(world.depth.get(), 0, "some meddling ended in a panic");
    let stats = queue.stats();
    assert_eq!((stats.len, stats.getters, stats.putters), (0, 0, 0));
    for (moment, seen) in ["clone", "wake", "drop of a waker", "drop of an item"]
        .iter()
        .zip(world.moments.iter().map(Cell::get))
    {
        assert!(seen > 100, "{moment}: only {seen} times, so little was tried");
    }
}

/// An item, or a task's waker, that panics when it is dropped.
struct Bomb(Rc<Cell<u32>>);

compared!(Bomb, Ordering::Equal);

impl Drop for Bomb {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
        panic!("a bomb was dropped");
    }
}

fn items_that_panic_when_dropped_are_all_dropped<Q: Shell<Bomb>>() {
    let dropped = Rc::new(Cell::new(0));
    let fill =
        |queue: &Q| (0..5).for_each(|_| assert!(queue.try_put(Bomb(dropped.clone())).is_ok()));
    let queue = Q::with_capacity(None);
    let joiner = Task::new();
    fill(&queue);
    let mut join = queue.join();
    assert!(joiner.poll(&mut join).is_pending());
    queue.close_now();
    assert_eq!((dropped.get(), queue.len(), joiner.wakes()), (5, 0, 1));
    assert!(joiner.poll(&mut join).is_ready());
    drop(join);

    let queue = Q::with_capacity(None);
    fill(&queue);
    drop(queue);
    assert_eq!(dropped.get(), 10, "those left in a queue that is dropped");
}

/// A task that panics when it is woken, and when the last waker of it is dropped.
struct BadTask;

impl Wake for BadTask {
    fn wake(self: Arc<Self>) {
        // Forgotten: that the wake panics is what is tried here.
        mem::forget(self);
        panic!("a bad task was woken");
    }
}

impl Drop for BadTask {
    fn drop(&mut self) {
        panic!("a bad task was dropped");
    }
}

/// Polls with a waker of which none is left afterwards but the one that the queue keeps.
fn poll_badly<F: Future + ?Sized>(future: &mut Pin<Box<F>>) -> Poll<F::Output> {
    let waker = Waker::from(Arc::new(BadTask));
    future.as_mut().poll(&mut Context::from_waker(&waker))
}

fn a_waker_that_panics_when_dropped_costs_no_answer<Q: Shell<u32>>() {
    let (queue, task) = (Q::with_capacity(Some(1)), Task::new());
    let mut get = queue.get();
    assert!(poll_badly(&mut get).is_pending());
    assert!(task.poll(&mut get).is_pending(), "the bad waker goes, and the `get` waits on");
    queue.try_put(1).unwrap();
    assert_eq!((task.wakes(), task.poll(&mut get)), (1, Poll::Ready(Ok(1))));

    let mut get = queue.get();
    assert!(poll_badly(&mut get).is_pending());
    drop(get);
    queue.try_put(2).unwrap();
    let (mut put, mut join) = (queue.put(3), queue.join());
    assert!(poll_badly(&mut put).is_pending());
    assert!(poll_badly(&mut join).is_pending());
    drop((put, join));
    let stats = queue.stats();
    assert_eq!((stats.len, stats.getters, stats.putters), (1, 0, 0));

    // A future that is leaked leaves its waker to the queue.
    let queue = Q::with_capacity(None);
    for _ in 0..3 {
        let mut get = ManuallyDrop::new(queue.get());
        assert!(poll_badly(&mut get).is_pending());
    }
    drop(queue);
}

fn wakers_that_panic_keep_no_wake_from_the_others<Q: Shell<u32>>() {
    let (queue, task) = (Q::with_capacity(None), Task::new());
    let mut gets = [queue.get(), queue.get(), queue.get(), queue.get()];
    for (at, get) in gets.iter_mut().enumerate() {
        assert!(if at % 2 == 0 { poll_badly(get) } else { task.poll(get) }.is_pending());
    }
    queue.try_put(1).unwrap();
    assert_eq!(queue.stats().getters, 3, "the first is woken, and panics");
    queue.close_now();
    assert_eq!((task.wakes(), queue.stats().getters), (2, 0));
}

/// An item that panics each time it is compared.
struct Incomparable(#[expect(dead_code, reason = "counts the items")] Rc<()>);

compared!(Incomparable, panic!("compared"));

fn comparisons_that_panic_lose_nothing<Q: Shell<Incomparable>>() {
    const ITEMS: usize = 20;
    let (queue, task, items) = (Q::with_capacity(Some(ITEMS)), Task::new(), Rc::new(()));
    let item = || Incomparable(items.clone());
    let mut get = queue.get();
    assert!(task.poll(&mut get).is_pending());
    (0..ITEMS).for_each(|_| assert!(queue.try_put(item()).is_ok()));
    let mut put = queue.put(item());
    assert!(task.poll(&mut put).is_pending());
    assert_eq!((task.wakes(), queue.len(), Rc::strong_count(&items)), (1, ITEMS, ITEMS + 2));
    assert!(matches!(task.poll(&mut get), Poll::Ready(Ok(_))));
    assert!(matches!(task.poll(&mut put), Poll::Ready(Ok(()))), "the room went to it");
    for left in (0..ITEMS).rev() {
        assert!(queue.try_get().is_ok());
        assert_eq!((queue.len(), Rc::strong_count(&items)), (left, left + 1));
    }
    (0..ITEMS).for_each(|_| assert!(queue.try_put(item()).is_ok()));
    queue.close_now();
    assert_eq!((queue.len(), Rc::strong_count(&items)), (0, 1));
}

in_one_queue! { thread_safe_priority_compared, SharedPriority, comparisons_that_panic_lose_nothing, }
in_one_queue! { local_priority_compared, LocalPriority, comparisons_that_panic_lose_nothing, }

thread_local! {
    static COMPARED: LocalPriority<Meddler> = LocalPriority::unbounded();
}

/// An item that uses its own queue when it is compared.
struct Meddler;

compared!(Meddler, {
    COMPARED.with(|queue| assert!(queue.is_empty()));
    unreachable!("the queue is open");
});

#[test]
fn a_comparison_that_uses_its_own_queue_is_refused_and_loses_nothing() {
    COMPARED.with(|queue| {
        (0..9).for_each(|_| assert!(queue.try_put(Meddler).is_ok()));
        assert_eq!((0..10).filter(|_| queue.try_get().is_ok()).count(), 9);
    });
}
