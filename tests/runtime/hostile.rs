//! Wakers, futures, outputs and items that misbehave in each of their functions, on several workers at
//! once: the twin of `tests/hostile.rs`, without what only an event loop has.
//!
//! Each clone, wake, drop and poll does mischief with what lies about, from whichever thread it is called
//! on: it spawns, wakes, cancels, polls, drops, puts and gets. Everything is counted: in the end nothing
//! was dropped twice and nothing is left.

#![allow(unsafe_code)] // A waker whose clone and drop do something needs a vtable of its own.

use std::{
    cell::Cell,
    future::{Future, pending},
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicIsize, AtomicU64, Ordering::SeqCst},
    },
    task::{Context, Poll, RawWaker, RawWakerVTable, Waker},
    thread,
    time::Duration,
};

use whirligig::{
    Handle, Runtime,
    queue::Queue,
    task::{self, JoinHandle},
    time::{self, Sleep},
};

use crate::Watchdog;

/// What a test has made and not yet dropped, and what lies about.
struct World {
    alive: AtomicIsize,
    acts: AtomicU64,
    /// Spawns there may still be.
    spawns: AtomicIsize,
    handle: Handle,
    shelf: Mutex<Shelf>,
    queues: [Queue<Life>; 2],
}

#[derive(Default)]
struct Shelf {
    numbers: u64,
    handles: Vec<JoinHandle<Life>>,
    wakers: Vec<Waker>,
    sleeps: Vec<Pin<Box<Sleep>>>,
}

impl World {
    /// For one step: nothing is called or dropped while the shelf is locked.
    fn shelf<T>(&self, f: impl FnOnce(&mut Shelf) -> T) -> T {
        f(&mut self.shelf.lock().unwrap())
    }

    fn draw(&self) -> usize {
        self.shelf(|shelf| {
            shelf.numbers = shelf
                .numbers
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (shelf.numbers >> 33) as usize
        })
    }
}

fn any<T>(things: &mut Vec<T>, number: usize) -> Option<T> {
    (!things.is_empty()).then(|| things.swap_remove(number / 16 % things.len()))
}

/// Does something with what lies about.
fn mischief(world: &Arc<World>) {
    thread_local!(static DEPTH: Cell<u32> = const { Cell::new(0) });
    // A thread that is being torn down does none.
    let Ok(depth) = DEPTH.try_with(|depth| depth.replace(depth.get() + 1)) else { return };
    if depth < 3 {
        world.acts.fetch_add(1, SeqCst);
        act(world, world.draw());
    }
    DEPTH.set(depth);
}

fn act(world: &Arc<World>, number: usize) {
    match number % 10 {
        0 | 1 if world.spawns.fetch_sub(1, SeqCst) > 0 => {
            let handle = world.handle.spawn(Hostile::new(world));
            world.shelf(|shelf| shelf.handles.push(handle));
        }
        2 => drop(world.shelf(|shelf| any(&mut shelf.handles, number))),
        3 => {
            let handle = world.shelf(|shelf| any(&mut shelf.handles, number));
            if let Some(handle) = handle {
                handle.cancel();
                world.shelf(|shelf| shelf.handles.push(handle));
            }
        }
        4 | 5 => {
            let waker = world.shelf(|shelf| any(&mut shelf.wakers, number));
            waker.into_iter().for_each(Waker::wake);
        }
        6 => drop(world.shelf(|shelf| any(&mut shelf.wakers, number))),
        7 => drop(world.shelf(|shelf| any(&mut shelf.sleeps, number))),
        8 if Handle::try_current().is_some() => {
            let mut sleep = Box::pin(time::sleep(Duration::from_micros(number as u64 % 3_000)));
            let waker = hostile(world, Waker::noop().clone());
            // It panics where the runtime has shut down; a destructor must not.
            let _ = catch_unwind(AssertUnwindSafe(|| {
                sleep.as_mut().poll(&mut Context::from_waker(&waker)).is_ready()
            }));
            world.shelf(|shelf| shelf.sleeps.push(sleep));
        }
        _ => touch(world, &world.queues[number / 16 % 2], number / 32),
    }
}

fn touch(world: &Arc<World>, queue: &Queue<Life>, number: usize) {
    let waker = hostile(world, Waker::noop().clone());
    let mut cx = Context::from_waker(&waker);
    match number % 4 {
        0 => drop(queue.try_put(Life::new(world))),
        1 => drop(queue.try_get()),
        2 => drop(Pin::new(&mut queue.get()).poll(&mut cx)),
        _ => drop(Pin::new(&mut queue.put(Life::new(world))).poll(&mut cx)),
    }
}

/// Something that lives, is dropped once, and does mischief then: an output, an item, part of a waker.
struct Life(Arc<World>);

impl Life {
    fn new(world: &Arc<World>) -> Self {
        world.alive.fetch_add(1, SeqCst);
        Self(world.clone())
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        mischief(&self.0);
        assert!(self.0.alive.fetch_sub(1, SeqCst) > 0, "something was dropped twice");
    }
}

/// What a hostile waker stands for: a real one, to be woken at last.
struct Behind {
    life: Life,
    real: Waker,
}

static VTABLE: RawWakerVTable = RawWakerVTable::new(
    |data| {
        // SAFETY: `data` came from `raw`, and lives as long as the waker that is cloned.
        let behind = unsafe { &*data.cast::<Behind>() };
        mischief(&behind.life.0);
        raw(&behind.life.0, behind.real.clone())
    },
    |data| {
        // SAFETY: `wake` takes the waker, so this is the one use of what `raw` gave away.
        let behind = unsafe { Box::from_raw(data.cast::<Behind>().cast_mut()) };
        mischief(&behind.life.0);
        behind.real.wake_by_ref();
    },
    |data| {
        // SAFETY: as for clone.
        let behind = unsafe { &*data.cast::<Behind>() };
        mischief(&behind.life.0);
        behind.real.wake_by_ref();
    },
    // SAFETY: as for wake.
    |data| drop(unsafe { Box::from_raw(data.cast::<Behind>().cast_mut()) }),
);

fn raw(world: &Arc<World>, real: Waker) -> RawWaker {
    let behind = Box::new(Behind { life: Life::new(world), real });
    RawWaker::new(Box::into_raw(behind).cast_const().cast(), &VTABLE)
}

fn hostile(world: &Arc<World>, real: Waker) -> Waker {
    // SAFETY: the functions of the vtable take and free what `raw` gives away as a `Box` does, from
    // any thread: `Behind` is `Send + Sync`.
    unsafe { Waker::from_raw(raw(world, real)) }
}

/// A task that does mischief around whatever it waits for.
struct Hostile {
    life: Life,
    leaf: Pin<Box<dyn Future<Output = ()> + Send>>,
    polls: u32,
}

impl Hostile {
    fn new(world: &Arc<World>) -> Self {
        let (number, theirs) = (world.draw(), world.clone());
        let delay = Duration::from_micros(number as u64 / 8 % 500);
        let leaf: Pin<Box<dyn Future<Output = ()> + Send>> = match number % 6 {
            0 => Box::pin(async move { time::sleep(delay).await }),
            1 => Box::pin(async move {
                let life = Life::new(&theirs);
                drop(task::spawn_blocking(move || life).await);
            }),
            2 => Box::pin(async move {
                let _life = Life::new(&theirs);
                time::timeout(delay, pending::<()>()).await.unwrap_err();
            }),
            3 => Box::pin(async move { drop(theirs.queues[number / 8 % 2].get().await) }),
            4 => Box::pin(async move {
                if let Some(handle) = theirs.shelf(|shelf| any(&mut shelf.handles, number)) {
                    drop(handle.await);
                }
            }),
            _ => Box::pin(async move {
                task::yield_now().await;
                task::block_in_place(|| mischief(&theirs));
            }),
        };
        Self { life: Life::new(world), leaf, polls: 0 }
    }
}

impl Future for Hostile {
    type Output = Life;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Life> {
        let world = self.life.0.clone();
        mischief(&world);
        let real = cx.waker().clone();
        world.shelf(|shelf| shelf.wakers.push(real));
        let waker = hostile(&world, cx.waker().clone());
        self.polls += 1;
        let polled = self.leaf.as_mut().poll(&mut Context::from_waker(&waker));
        mischief(&world);
        if polled.is_pending() && self.polls < 20 {
            return Poll::Pending;
        }
        Poll::Ready(Life::new(&world))
    }
}

/// Clears the world, in the open. What is dropped may put things there again.
fn clear(world: &Arc<World>) {
    loop {
        let Shelf { handles, wakers, sleeps, .. } = world.shelf(mem::take);
        let was_empty = handles.is_empty() && wakers.is_empty() && sleeps.is_empty();
        drop((handles, wakers, sleeps));
        let items: Vec<_> =
            world.queues.iter().flat_map(|q| std::iter::from_fn(|| q.try_get().ok())).collect();
        if was_empty && items.is_empty() {
            return;
        }
    }
}

/// A program of mischief, and the runtime dropped in the middle of it.
fn run(seed: u64, workers: usize) -> u64 {
    let runtime = Runtime::builder().worker_threads(workers).blocking_threads(4).build().unwrap();
    let world = Arc::new(World {
        alive: AtomicIsize::new(0),
        acts: AtomicU64::new(0),
        spawns: AtomicIsize::new(300),
        handle: runtime.handle(),
        shelf: Mutex::new(Shelf { numbers: seed, ..Shelf::default() }),
        queues: [Queue::unbounded(), Queue::bounded(2)],
    });
    let theirs = world.clone();
    runtime.block_on(async move {
        for _ in 0..20 {
            let handle = task::spawn(Hostile::new(&theirs));
            theirs.shelf(|shelf| shelf.handles.push(handle));
        }
        for _ in 0..20 {
            task::yield_now().await;
            mischief(&theirs);
        }
        time::sleep(Duration::from_millis(1)).await;
    });
    // With tasks in every state, timers in the wheels and jobs in the pool.
    if seed.is_multiple_of(2) {
        clear(&world);
    }
    world.spawns.store(0, SeqCst);
    drop(runtime);
    // The blocking pool's threads finish by themselves, and drop what they held.
    while world.alive.load(SeqCst) > 0 {
        clear(&world);
        thread::yield_now();
    }
    world.acts.load(SeqCst)
}

#[test]
fn mischief_on_every_thread_harms_nothing() {
    let _watchdog = Watchdog::new("mischief");
    let acts: u64 = (0..20).map(|seed| run(seed, 1 + seed as usize % 3)).sum();
    assert!(acts > 5_000, "only {acts} acts: this shows nothing");
}
