//! An event loop's scheduler against a model of it, on random programs.
//!
//! The model is two lists of tasks: those still to run in this turn, and those scheduled for the next. Each task knows
//! whether it lives, and none stands in the lists twice. That is all that chapters 1 and 3 promise. (A message of
//! another thread, and the wakes of another loop on this one are messages, may cut a batch short.) In each
//! poll a task does some random things: it wakes itself and others, gives way, spawns, cancels, asks for the dump, has
//! another loop run inside it, ends, panics. Its drop wakes others. Each poll and each drop asks the model whether it
//! is that task's turn.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    future::{Future, poll_fn},
    num::NonZeroU32,
    panic::resume_unwind,
    pin::pin,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use whirligig::{
    EventLoop, dump,
    task::{self, JoinHandle, yield_now},
};

const MOST_TASKS: usize = 400;

/// Two lists, and what is known of each task.
#[derive(Default)]
struct Model {
    batch: VecDeque<usize>,
    next: VecDeque<usize>,
    /// Woken while another loop ran this thread: scheduled when the next turn begins.
    inbox: Vec<usize>,
    lives: Vec<bool>,
    running: Option<usize>,
    popped: u64,
}

impl Model {
    fn is_scheduled(&self, task: usize) -> bool {
        self.batch.contains(&task) || self.next.contains(&task)
    }

    fn wake(&mut self, task: usize) {
        if self.lives[task] && !self.is_scheduled(task) {
            self.next.push_back(task);
        }
    }

    fn begin_turn(&mut self) {
        let messages = std::mem::take(&mut self.inbox);
        assert!(self.batch.is_empty() || !messages.is_empty(), "all of the turn before had a poll");
        for task in messages {
            self.wake(task);
        }
        if self.batch.is_empty() {
            self.batch = std::mem::take(&mut self.next);
        }
    }

    fn pop(&mut self, task: usize) {
        assert_eq!(self.batch.pop_front(), Some(task), "another task's turn");
        self.popped += 1;
        self.running = Some(task);
    }
}

#[derive(Default)]
struct World {
    model: RefCell<Model>,
    /// Each task's, once it was polled.
    wakers: RefCell<Vec<Option<Waker>>>,
    handles: RefCell<Vec<Option<JoinHandle<()>>>>,
    random: RefCell<fastrand::Rng>,
    dropped: Cell<usize>,
    is_nested: Cell<bool>,
    is_closing: Cell<bool>,
}

impl World {
    fn below(&self, limit: usize) -> usize {
        self.random.borrow_mut().usize(..limit)
    }

    fn any_task(&self) -> usize {
        let tasks = self.wakers.borrow().len();
        self.below(tasks)
    }

    fn wake(&self, task: usize) {
        let waker = self.wakers.borrow()[task].clone();
        let Some(waker) = waker else { return };
        match self.is_nested.get() {
            _ if self.is_closing.get() => {}
            true => self.model.borrow_mut().inbox.push(task),
            false => self.model.borrow_mut().wake(task),
        }
        waker.wake();
    }

    fn cancel(&self, task: usize) {
        let handle = self.handles.borrow_mut()[task].take();
        if let Some(handle) = handle {
            self.model.borrow_mut().wake(task);
            handle.cancel();
        }
    }

    fn check_dump(&self) {
        let model = self.model.borrow();
        for row in dump().tasks {
            let Some(task) = row.name.and_then(|name| name.parse().ok()) else { continue };
            let expected = match model.running {
                Some(running) if running == task => (false, true),
                _ => (model.is_scheduled(task), false),
            };
            assert_eq!((row.scheduled, row.running), expected, "task {task}");
        }
    }

    /// Another loop runs inside a task of this one, and wakes this one's tasks from there.
    fn nest(self: &Rc<Self>) {
        self.is_nested.set(true);
        EventLoop::new().unwrap().block_on(async {
            for _ in 0..3 {
                self.wake(self.any_task());
                yield_now().await;
            }
        });
        self.is_nested.set(false);
    }

    /// One thing that a poll may do. Answers whether the task gave way.
    fn act(self: &Rc<Self>, task: usize, cx: &mut Context<'_>) -> bool {
        match self.below(20) {
            0..5 => self.wake(self.any_task()),
            5..8 => self.wake(task),
            8..11 => return pin!(yield_now()).poll(cx).is_pending(),
            11..13 => {
                // With a waker that the scheduler has not made for this poll, to yield is to wake.
                self.model.borrow_mut().wake(task);
                let copy = cx.waker().clone();
                assert!(pin!(yield_now()).poll(&mut Context::from_waker(&copy)).is_pending());
            }
            13..15 if self.wakers.borrow().len() < MOST_TASKS => spawn(self),
            15 => self.cancel(self.any_task()),
            16 => self.check_dump(),
            17 if self.below(4) == 0 => self.nest(),
            _ => {}
        }
        false
    }
}

/// Dropped with its task.
struct Guard {
    world: Rc<World>,
    task: usize,
}

impl Drop for Guard {
    fn drop(&mut self) {
        let Self { world, task } = self;
        {
            let mut model = world.model.borrow_mut();
            if model.running != Some(*task) && !world.is_closing.get() {
                model.pop(*task); // It was cancelled: this is its poll.
            }
            model.lives[*task] = false;
            model.next.retain(|next| next != task);
        }
        world.dropped.set(world.dropped.get() + 1);
        (0..world.below(3)).for_each(|_| world.wake(world.any_task()));
        world.model.borrow_mut().running = None;
    }
}

fn spawn(world: &Rc<World>) {
    let task = world.wakers.borrow().len();
    let mut model = world.model.borrow_mut();
    model.lives.push(true);
    model.next.push_back(task);
    drop(model);
    world.wakers.borrow_mut().push(None);
    let guard = Guard { world: Rc::clone(world), task };
    let future = poll_fn(move |cx| {
        let world = &guard.world;
        world.model.borrow_mut().pop(task);
        world.wakers.borrow_mut()[task] = Some(cx.waker().clone());
        let acts = world.below(5);
        let gave_way = (0..acts).fold(false, |before, _| world.act(task, cx) || before);
        match world.below(60) {
            0 => return Poll::Ready(()),
            1 => resume_unwind(Box::new("a panic of the model's")),
            _ => {}
        }
        let mut model = world.model.borrow_mut();
        if gave_way {
            model.wake(task);
        }
        model.running = None;
        Poll::Pending
    });
    let handle = task::Builder::new().name(task.to_string()).spawn_local(future);
    world.handles.borrow_mut().push(Some(handle));
}

fn run(seed: u64) {
    // No time is up: on a busy machine a turn may leave messages and tasks to the next.
    let event_loop = EventLoop::builder().look_interval(NonZeroU32::MAX).build().unwrap();
    let world =
        Rc::new(World { random: fastrand::Rng::with_seed(seed).into(), ..World::default() });
    event_loop.block_on(async { (0..20).for_each(|_| spawn(&world)) });
    let before = event_loop.stats().polls;
    for _ in 0..60 {
        world.model.borrow_mut().begin_turn();
        event_loop.turn(Some(Duration::ZERO)).unwrap();
    }
    assert_eq!(event_loop.stats().polls - before, world.model.borrow().popped);

    world.is_closing.set(true);
    drop(event_loop);
    let tasks = world.wakers.borrow().len();
    assert_eq!(world.dropped.get(), tasks, "each task is dropped once");
    world.handles.take();
    assert_eq!(Rc::strong_count(&world), 1, "and nothing of it is left");
}

#[test]
fn each_task_is_polled_in_its_turn_and_once() {
    for seed in 0..300 {
        // What a failing assertion says is more than its seed.
        println!("seed {seed}");
        run(seed);
    }
}
