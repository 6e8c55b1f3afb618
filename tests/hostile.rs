//! Wakers, futures, outputs and items that misbehave in each of their functions.
//!
//! Every function of theirs (a waker's clone, wake and drop; a future's poll and drop; an output's and
//! an item's drop) does mischief: it spawns, wakes, cancels, polls and drops whatever lies about. (Those
//! that panic are in `panics.rs`.) The library may call such code only in the open, so nothing here may panic on a borrow
//! or wait on a lock. Everything is counted: in the end nothing was dropped twice and nothing is left.

#![allow(unsafe_code)] // A waker whose clone and drop do something needs a vtable of its own.

use std::{
    cell::{Cell, RefCell},
    future::{Future, pending, poll_fn},
    io::{Read, Write, pipe},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicIsize, Ordering::SeqCst},
    },
    task::{Context, Poll, RawWaker, RawWakerVTable, Waker},
    time::Duration,
};

use whirligig::{
    EventLoop, Handle,
    io::Source,
    queue, spawn_local, task,
    task::{JoinHandle, yield_now},
    time::{Interval, Sleep, TestClock, interval, sleep, timeout},
};

/// What was made and not yet dropped, in one test. Shared with whatever threads take part.
#[derive(Default)]
struct Alive {
    wakers: AtomicIsize,
    futures: AtomicIsize,
    outputs: AtomicIsize,
    items: AtomicIsize,
}

/// A count of the living that ends with its owner, once.
struct Life(Arc<Alive>, fn(&Alive) -> &AtomicIsize);

impl Life {
    fn new(alive: &Arc<Alive>, which: fn(&Alive) -> &AtomicIsize) -> Self {
        which(alive).fetch_add(1, SeqCst);
        Self(alive.clone(), which)
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        let before = (self.1)(&self.0).fetch_sub(1, SeqCst);
        assert!(before > 0, "something was dropped twice");
    }
}

/// What lies about on a thread, for mischief.
#[derive(Default)]
struct Shelf {
    alive: Arc<Alive>,
    handles: Vec<JoinHandle<Output>>,
    wakers: Vec<Waker>,
    sleeps: Vec<Sleep>,
    queues: Vec<queue::local::Queue<Item>>,
    shared: Vec<Arc<queue::Queue<Item>>>,
    numbers: u64,
    /// Spawns there may still be.
    spawns: u32,
    depth: u32,
}

thread_local! {
    static SHELF: RefCell<Option<Shelf>> = const { RefCell::new(None) };
    static DONE: Cell<u64> = const { Cell::new(0) };
}

/// Does something with what lies about on this thread, with the shelf not borrowed.
fn mischief() {
    let act = |shelf: &mut Option<Shelf>| {
        let shelf = shelf.as_mut()?;
        if shelf.depth > 3 {
            return None;
        }
        shelf.depth += 1;
        let numbers = shelf.numbers;
        shelf.numbers =
            numbers.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Some((numbers >> 33) as usize)
    };
    // A foreign thread has no shelf, and one that is being destroyed has none any more.
    let Ok(Some(number)) = SHELF.try_with(|shelf| act(&mut shelf.borrow_mut())) else { return };
    DONE.set(DONE.get() + 1);
    fn on_shelf<T>(f: impl FnOnce(&mut Shelf) -> T) -> T {
        SHELF.with_borrow_mut(|shelf| f(shelf.as_mut().expect("it is there while we are at it")))
    }
    fn any<T>(things: &mut Vec<T>, number: usize) -> Option<T> {
        (!things.is_empty()).then(|| things.swap_remove(number / 16 % things.len()))
    }
    match number % 12 {
        0 | 1 => {
            let may = on_shelf(|shelf| {
                shelf.spawns = shelf.spawns.saturating_sub(1);
                shelf.spawns > 0
            });
            if may && Handle::try_current().is_some() {
                let handle = spawn_local(Hostile::new());
                on_shelf(|shelf| shelf.handles.push(handle));
            }
        }
        2 => {
            let handle = on_shelf(|shelf| any(&mut shelf.handles, number));
            handle.inspect(|handle| _ = handle.cancel());
        }
        3 => {
            let handle = on_shelf(|shelf| any(&mut shelf.handles, number));
            if let Some(handle) = handle {
                handle.cancel();
                on_shelf(|shelf| shelf.handles.push(handle));
            }
        }
        4 | 5 => {
            let waker = on_shelf(|shelf| any(&mut shelf.wakers, number));
            waker.into_iter().for_each(Waker::wake);
        }
        6 => drop(on_shelf(|shelf| any(&mut shelf.wakers, number))),
        7 => drop(on_shelf(|shelf| any(&mut shelf.sleeps, number))),
        8 if Handle::try_current().is_some() => {
            let mut sleep = sleep(Duration::from_millis(number as u64 % 5));
            let waker = hostile_waker();
            let _ = Pin::new(&mut sleep).poll(&mut Context::from_waker(&waker));
            on_shelf(|shelf| shelf.sleeps.push(sleep));
        }
        9 => {
            let queue = on_shelf(|shelf| any(&mut shelf.queues, number));
            if let Some(queue) = queue {
                touch_local(&queue, number);
                on_shelf(|shelf| shelf.queues.push(queue));
            }
        }
        10 => {
            let queue = on_shelf(|shelf| any(&mut shelf.shared, number));
            if let Some(queue) = queue {
                touch_shared(&queue, number);
                on_shelf(|shelf| shelf.shared.push(queue));
            }
        }
        _ => {
            if let Some(handle) = Handle::try_current() {
                let alive = on_shelf(|shelf| shelf.alive.clone());
                let life = Life::new(&alive, |alive| &alive.outputs);
                let sent = handle.call_soon_threadsafe(move || {
                    drop(life);
                    mischief();
                });
                sent.ok();
            }
        }
    }
    on_shelf(|shelf| shelf.depth -= 1);
}

macro_rules! touch {
    ($name:ident, $queue:ty) => {
        fn $name(queue: &$queue, number: usize) {
            match number / 16 % 5 {
                0 => drop(queue.try_put(Item::new())),
                1 => drop(queue.try_get()),
                2 => {
                    let waker = hostile_waker();
                    let mut get = queue.get();
                    let _ = Pin::new(&mut get).poll(&mut Context::from_waker(&waker));
                }
                3 => {
                    let waker = hostile_waker();
                    let mut put = queue.put(Item::new());
                    let _ = Pin::new(&mut put).poll(&mut Context::from_waker(&waker));
                }
                _ if number / 80 % 32 == 0 => queue.close_now(),
                _ => drop(queue.len()),
            }
        }
    };
}
touch!(touch_local, queue::local::Queue<Item>);
touch!(touch_shared, queue::Queue<Item>);

/// What a hostile waker stands for: a real one to wake at last.
struct Behind {
    _life: Life,
    real: Waker,
}

static VTABLE: RawWakerVTable = RawWakerVTable::new(
    |data| {
        mischief();
        // SAFETY: `data` came from `into_raw` and is alive as long as the waker that is cloned. The
        // clone is a new allocation, so that each waker is counted by itself.
        let behind = unsafe { &*data.cast::<Behind>() };
        raw(Behind::new(&behind._life.0, behind.real.clone()))
    },
    |data| {
        mischief();
        // SAFETY: `wake` takes the waker, so this is the only use of what `into_raw` gave away.
        let behind = unsafe { Box::from_raw(data.cast::<Behind>().cast_mut()) };
        behind.real.wake_by_ref();
        drop(behind);
        mischief();
    },
    |data| {
        mischief();
        // SAFETY: as for clone.
        let behind = unsafe { &*data.cast::<Behind>() };
        behind.real.wake_by_ref();
    },
    |data| {
        mischief();
        // SAFETY: as for wake.
        drop(unsafe { Box::from_raw(data.cast::<Behind>().cast_mut()) });
        mischief();
    },
);

impl Behind {
    fn new(alive: &Arc<Alive>, real: Waker) -> Box<Self> {
        Box::new(Self { _life: Life::new(alive, |alive| &alive.wakers), real })
    }
}

fn raw(behind: Box<Behind>) -> RawWaker {
    RawWaker::new(Box::into_raw(behind).cast_const().cast(), &VTABLE)
}

fn hostile(alive: &Arc<Alive>, real: Waker) -> Waker {
    // SAFETY: the functions of the vtable take and free what `raw` gives away as a `Box` does, from
    // any thread: `Behind` is `Send + Sync`.
    unsafe { Waker::from_raw(raw(Behind::new(alive, real))) }
}

/// One that wakes a waker on the shelf, or none.
fn hostile_waker() -> Waker {
    let (alive, real) = SHELF.with_borrow(|shelf| {
        let shelf = shelf.as_ref().expect("only called with a shelf");
        (shelf.alive.clone(), shelf.wakers.last().cloned())
    });
    hostile(&alive, real.unwrap_or_else(|| Waker::noop().clone()))
}

struct Output(#[expect(dead_code, reason = "kept to be dropped")] Life);

impl Drop for Output {
    fn drop(&mut self) {
        mischief();
    }
}

struct Item(#[expect(dead_code, reason = "kept to be dropped")] Life);

impl Item {
    fn new() -> Self {
        let alive = SHELF.with_borrow(|shelf| shelf.as_ref().unwrap().alive.clone());
        Self(Life::new(&alive, |alive| &alive.items))
    }
}

impl Drop for Item {
    fn drop(&mut self) {
        mischief();
    }
}

/// A future that polls a leaf of ours with a hostile waker, and does mischief before and after.
struct Hostile {
    life: Life,
    leaf: Leaf,
    polls: u32,
}

enum Leaf {
    Sleep(Sleep),
    Interval(Interval),
    Join(JoinHandle<Output>),
    Blocking(task::SpawnBlocking<Output>),
    Timeout(Pin<Box<dyn Future<Output = ()>>>),
}

impl Hostile {
    fn new() -> Self {
        let (alive, number, handle) = SHELF.with_borrow_mut(|shelf| {
            let shelf = shelf.as_mut().unwrap();
            (shelf.alive.clone(), shelf.spawns, shelf.handles.pop())
        });
        let delay = Duration::from_micros(u64::from(number % 7) * 100);
        let output = Output(Life::new(&alive, |alive| &alive.outputs));
        let leaf = match (number % 5, handle) {
            (0, _) => Leaf::Interval(interval(Duration::from_micros(300))),
            (1, _) => Leaf::Blocking(task::spawn_blocking(move || output)),
            (2, _) => Leaf::Timeout(Box::pin(async move {
                let _output = output;
                timeout(delay, pending::<()>()).await.unwrap_err();
            })),
            (_, Some(handle)) => Leaf::Join(handle),
            _ => Leaf::Sleep(sleep(delay)),
        };
        Self { life: Life::new(&alive, |alive| &alive.futures), leaf, polls: 0 }
    }
}

impl Future for Hostile {
    type Output = Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Output> {
        mischief();
        SHELF.with_borrow_mut(|shelf| shelf.as_mut().unwrap().wakers.push(cx.waker().clone()));
        let waker = hostile(&self.life.0, cx.waker().clone());
        let cx = &mut Context::from_waker(&waker);
        let this = &mut *self;
        this.polls += 1;
        let is_ready = match &mut this.leaf {
            Leaf::Sleep(sleep) => Pin::new(sleep).poll(cx).is_ready(),
            Leaf::Interval(beat) => {
                Pin::new(&mut beat.tick()).poll(cx).is_ready() && this.polls > 2
            }
            Leaf::Join(handle) => Pin::new(handle).poll(cx).is_ready(),
            Leaf::Blocking(job) => Pin::new(job).poll(cx).is_ready(),
            Leaf::Timeout(future) => future.as_mut().poll(cx).is_ready(),
        };
        mischief();
        if !is_ready && this.polls < 20 {
            return Poll::Pending;
        }
        Poll::Ready(Output(Life::new(&this.life.0, |alive| &alive.outputs)))
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        mischief();
    }
}

/// Clears the shelf with nothing borrowed; what is dropped may put things there again.
fn clear_shelf() {
    loop {
        let things = SHELF.with_borrow_mut(|shelf| {
            let shelf = shelf.as_mut().unwrap();
            shelf.spawns = 0;
            let empty = shelf.handles.is_empty() && shelf.wakers.is_empty();
            let empty = empty && shelf.sleeps.is_empty() && shelf.queues.is_empty();
            let handles = std::mem::take(&mut shelf.handles);
            let wakers = std::mem::take(&mut shelf.wakers);
            let sleeps = std::mem::take(&mut shelf.sleeps);
            let queues = std::mem::take(&mut shelf.queues);
            let shared = std::mem::take(&mut shelf.shared);
            (!empty || !shared.is_empty()).then_some((handles, wakers, sleeps, queues, shared))
        });
        if things.is_none() {
            return;
        }
    }
}

/// Runs a program of mischief, and sees to it that nothing of it is left.
fn run_with_shelf(seed: u64, program: impl AsyncFnOnce(&Arc<Alive>)) {
    let alive = Arc::<Alive>::default();
    let shelf = Shelf { alive: alive.clone(), numbers: seed, spawns: 300, ..Shelf::default() };
    SHELF.set(Some(shelf));
    SHELF.with_borrow_mut(|shelf| {
        let shelf = shelf.as_mut().unwrap();
        shelf.queues = vec![queue::local::Queue::unbounded(), queue::local::Queue::bounded(2)];
        let bounded = Arc::new(queue::Queue::bounded(2));
        shelf.shared = vec![Arc::new(queue::Queue::unbounded()), bounded];
    });
    let event_loop = EventLoop::builder().test_clock(&TestClock::new()).build().unwrap();
    event_loop.block_on(program(&alive));
    // With tasks in every state, messages in the inbox and jobs in the pool.
    let half_way = seed.is_multiple_of(2);
    if half_way {
        clear_shelf();
    }
    drop(event_loop);
    clear_shelf();
    // The pool's threads finish by themselves, and drop what they held.
    while Arc::strong_count(&alive) > 2 {
        std::thread::yield_now();
    }
    SHELF.set(None);
    let left = [&alive.wakers, &alive.futures, &alive.outputs, &alive.items];
    assert!(left.iter().all(|count| count.load(SeqCst) == 0), "left over with seed {seed}");
}

#[test]
fn mischief_in_every_function_harms_nothing() {
    for seed in 0..60 {
        run_with_shelf(seed, async |_| {
            for _ in 0..20 {
                let handle = spawn_local(Hostile::new());
                SHELF.with_borrow_mut(|shelf| shelf.as_mut().unwrap().handles.push(handle));
            }
            for _ in 0..50 {
                yield_now().await;
                mischief();
            }
            sleep(Duration::from_millis(2)).await;
        });
    }
    assert!(DONE.get() > 10_000, "only {} acts: this shows nothing", DONE.get());
}

/// Another executor inside a task polls on and on, and never returns to the loop for being asked to give way.
#[test]
fn a_foreign_executor_in_a_task_comes_to_its_end() {
    whirligig::run(async {
        let queue = queue::Queue::unbounded();
        (0..1_000).for_each(|n| queue.try_put(n).unwrap());
        let mut sum = 0;
        futures_lite::future::block_on(async {
            for _ in 0..1_000 {
                sum += queue.get().await.unwrap();
            }
        });
        assert_eq!(sum, 499_500);
    });
}

/// A thousand futures in one task, none of which ever waits: each is asked to give way, and so the task does.
#[test]
fn a_task_of_a_thousand_greedy_futures_lets_others_run() {
    whirligig::run(async {
        let greedy = |_| {
            Box::pin(async {
                let queue = queue::local::Queue::unbounded();
                loop {
                    queue.put(1).await.unwrap();
                    queue.get().await.unwrap();
                }
            })
        };
        let mut children: Vec<_> = (0..1_200).map(greedy).collect();
        let hog = spawn_local(poll_fn(move |cx| {
            children.iter_mut().for_each(|child| assert!(child.as_mut().poll(cx).is_pending()));
            Poll::<()>::Pending
        }));
        for _ in 0..3 {
            task::yield_now().await;
        }
        hog.cancel();
    });
}

#[test]
fn a_sources_waiters_may_be_hostile() {
    for seed in 100..140 {
        run_with_shelf(seed, async |alive| {
            let (reader, mut writer) = pipe().unwrap();
            let reader = Source::new(reader).unwrap();
            for round in 0..20 {
                let mut reads: Vec<_> =
                    (0..3).map(|_| reader.read_with(|mut pipe| pipe.read(&mut [0]))).collect();
                for read in &mut reads {
                    // Two polls: the second replaces the first one's waker.
                    for _ in 0..2 {
                        let waker = hostile(alive, Waker::noop().clone());
                        let polled = Pin::new(&mut *read).poll(&mut Context::from_waker(&waker));
                        assert!(polled.is_pending());
                    }
                }
                drop(reads.swap_remove(round % 3));
                writer.write_all(b"x").unwrap();
                reader.readable().await.unwrap();
                assert_eq!((&mut reads[0]).await.unwrap(), 1);
                mischief();
            }
        });
    }
}
