//! Wakers and items that fight back: in clone, wake and drop they call everything the queue has, on
//! the very queue that is calling them, and drop futures that stand in its lines.
//!
//! A borrow or a lock held over foreign code shows here as a second borrow (a panic) or as a thread
//! that waits for itself (a test that never ends).
#![allow(unsafe_code)]

use std::{
    cell::{Cell, RefCell},
    fmt::Write,
    mem::ManuallyDrop,
    rc::{Rc, Weak},
    task::{Context, RawWaker, RawWakerVTable, Waker},
};

use crate::shells::{Boxed, Shell, in_both_shells};

in_both_shells! {
    without_bound,
    with_room_for_one,
    with_room_for_three,
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

/// The moments at which foreign code runs.
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

/// A queue, and futures that stand in its lines.
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
    /// A queue that would only grow would have nobody wait.
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
