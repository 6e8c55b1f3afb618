//! Random programs against a specification.
//!
//! The specification is a vector of items, in the order in which they came, an [`Order`] that says which leaves
//! next, a vector of futures, and a rule, [`Spec::settle`], that
//! says after each act which must have been woken. It knows nothing of promises passed on, lists or
//! wakers: what is woken follows from the state alone, and the queue has to arrive at the same state
//! by its own steps. After each act everything visible is compared: answers, wakes, counts, and
//! where each item is.

use std::{
    cell::RefCell, cmp::Ordering, collections::BTreeSet, future::poll_fn, rc::Rc, sync::Arc,
    task::Poll,
};

use proptest::prelude::*;
use whirligig::queue::{GetError, PutError, TryGetError, TryPutError};

use crate::shells::{
    Boxed, BoxedSink, BoxedStream, Local, LocalLifo, LocalPriority, Order, Shared, SharedLifo,
    SharedPriority, Shell, Task,
};

/// An item that tells when it is dropped, and that may be dropped once.
#[derive(Debug)]
struct Item {
    number: usize,
    alive: Rc<RefCell<BTreeSet<usize>>>,
}

/// The priority that an item has: there are few, and many items of each.
fn priority(number: usize) -> usize {
    number % 3
}

impl Ord for Item {
    fn cmp(&self, other: &Self) -> Ordering {
        priority(self.number).cmp(&priority(other.number))
    }
}

impl PartialOrd for Item {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Item {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Item {}

impl Drop for Item {
    fn drop(&mut self) {
        assert!(self.alive.borrow_mut().remove(&self.number), "{} dropped twice", self.number);
    }
}

#[derive(Debug, Clone)]
enum Act {
    Put,
    Get,
    Join,
    Stream,
    Sink,
    /// Poll one of the futures (or send to a sink that has room), as the task that polled it before or as a new one.
    Poll(prop::sample::Index, bool),
    Cancel(prop::sample::Index),
    TryPut,
    TryGet,
    TaskDone,
    Close,
    CloseNow,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        40 => Just(Act::Put),
        40 => Just(Act::Get),
        8 => Just(Act::Join),
        8 => Just(Act::Stream),
        8 => Just(Act::Sink),
        120 => (any::<prop::sample::Index>(), prop::bool::weighted(0.2))
            .prop_map(|(at, moves)| Act::Poll(at, moves)),
        30 => any::<prop::sample::Index>().prop_map(Act::Cancel),
        40 => Just(Act::TryPut),
        20 => Just(Act::TryGet),
        20 => Just(Act::TaskDone),
        3 => Just(Act::Close),
        1 => Just(Act::CloseNow),
    ];
    prop::collection::vec(act, 0..150)
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Put(usize),
    Get,
    Join,
    /// Gets again and again.
    Stream,
    Sink,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    New,
    Waiting,
    Woken,
    /// A sink that has room, and no item yet.
    Reserved,
}

/// What a poll must answer.
#[derive(Debug, PartialEq)]
enum Answer {
    Pending,
    Put(Result<(), usize>),
    Get(Result<usize, GetError>),
    Join,
    Next(Option<usize>),
    Room(Result<(), Option<usize>>),
}

#[derive(Debug)]
struct Spec {
    order: Order,
    capacity: usize,
    items: Vec<usize>,
    /// By identity; those that wait in the order in which they began to.
    futures: Vec<(usize, Kind, State)>,
    unfinished: usize,
    closed: bool,
}

impl Spec {
    fn count(&self, state: State, of: fn(Kind) -> bool) -> usize {
        self.futures.iter().filter(|(_, kind, at)| *at == state && of(*kind)).count()
    }

    fn is_put(kind: Kind) -> bool {
        matches!(kind, Kind::Put(_) | Kind::Sink)
    }

    fn is_get(kind: Kind) -> bool {
        matches!(kind, Kind::Get | Kind::Stream)
    }

    fn has_free_item(&self) -> bool {
        self.items.len() > self.count(State::Woken, Self::is_get)
    }

    fn has_room(&self) -> bool {
        let promised =
            self.count(State::Woken, Self::is_put) + self.count(State::Reserved, Self::is_put);
        self.items.len() + promised < self.capacity
    }

    fn is_drained(&self) -> bool {
        self.closed && self.items.is_empty()
    }

    /// Wakes, first come first, every future that has a reason to be awake.
    fn settle(&mut self) {
        for at in 0..self.futures.len() {
            let (_, kind, state) = self.futures[at];
            let must_wake = match kind {
                Kind::Get | Kind::Stream => self.has_free_item() || self.is_drained(),
                Kind::Put(_) | Kind::Sink => self.has_room() || self.closed,
                Kind::Join => self.unfinished == 0,
            };
            if state == State::Waiting && must_wake {
                self.futures[at].2 = State::Woken;
            }
        }
    }

    /// The poll of a future at this step, at which a sink sends an item of the same number.
    fn poll(&mut self, id: usize, step: usize) -> Answer {
        let at = self.futures.iter().position(|future| future.0 == id).unwrap();
        let (_, kind, state) = self.futures.remove(at);
        let woken = state == State::Woken;
        // A stream and a sink go on.
        let begin_anew = (id, kind, State::New);
        match kind {
            Kind::Stream if state != State::Waiting && self.is_drained() => {
                self.futures.push(begin_anew);
                Answer::Next(None)
            }
            Kind::Stream if woken || (state == State::New && self.has_free_item()) => {
                self.futures.push(begin_anew);
                Answer::Next(Some(self.take()))
            }
            Kind::Sink if state == State::Reserved => {
                self.futures.push(begin_anew);
                if self.closed {
                    return Answer::Room(Err(Some(step)));
                }
                self.push(step);
                Answer::Room(Ok(()))
            }
            Kind::Sink if state != State::Waiting && self.closed => {
                self.futures.push(begin_anew);
                Answer::Room(Err(None))
            }
            Kind::Sink if woken || (state == State::New && self.has_room()) => {
                self.futures.push((id, kind, State::Reserved));
                Answer::Room(Ok(()))
            }
            Kind::Get if state != State::Waiting && self.is_drained() => Answer::Get(Err(GetError)),
            Kind::Get if woken || (state == State::New && self.has_free_item()) => {
                Answer::Get(Ok(self.take()))
            }
            Kind::Put(item) if state != State::Waiting && self.closed => Answer::Put(Err(item)),
            Kind::Put(item) if woken || (state == State::New && self.has_room()) => {
                self.push(item);
                Answer::Put(Ok(()))
            }
            Kind::Join if woken || (state == State::New && self.unfinished == 0) => Answer::Join,
            _ if state == State::Waiting => {
                self.futures.insert(at, (id, kind, state));
                Answer::Pending
            }
            _ => {
                // One that begins to wait comes after all that wait.
                let last = self.futures.iter().rposition(|future| future.2 == State::Waiting);
                self.futures.insert(last.map_or(0, |at| at + 1), (id, kind, State::Waiting));
                Answer::Pending
            }
        }
    }

    /// Takes out the item that leaves first.
    fn take(&mut self) -> usize {
        let priorities: Vec<_> = self.items.iter().map(|&item| priority(item)).collect();
        self.items.remove(self.order.first(&priorities))
    }

    fn push(&mut self, item: usize) {
        self.items.push(item);
        self.unfinished += 1;
    }
}

enum Real<'q> {
    Put(Boxed<'q, Result<(), PutError<Item>>>),
    Get(Boxed<'q, Result<Item, GetError>>),
    Join(Boxed<'q, ()>),
    Stream(BoxedStream<'q, Item>),
    Sink(BoxedSink<'q, Item>, bool),
}

struct Live<'q> {
    id: usize,
    future: Real<'q>,
    /// The task that polled it last. One that was woken is ready, so its wakes need no second count.
    task: Option<Arc<Task>>,
    /// Those that polled it before: to be woken no more.
    former: Vec<Arc<Task>>,
}

fn number(item: Item) -> usize {
    item.number
}

fn check<Q: Shell<Item>>(capacity: Option<usize>, acts: &[Act]) -> Result<(), TestCaseError> {
    let alive = Rc::new(RefCell::new(BTreeSet::new()));
    let queue = Q::with_capacity(capacity);
    let mut live: Vec<Live<'_>> = Vec::new();
    let mut spec = Spec {
        order: Q::ORDER,
        capacity: capacity.unwrap_or(usize::MAX),
        items: Vec::new(),
        futures: Vec::new(),
        unfinished: 0,
        closed: false,
    };
    for (step, act) in acts.iter().enumerate() {
        // Items and futures are numbered by the step that made them.
        let item = || {
            alive.borrow_mut().insert(step);
            Item { number: step, alive: alive.clone() }
        };
        let mut begin = |future, kind| {
            live.push(Live { id: step, future, task: None, former: Vec::new() });
            spec.futures.push((step, kind, State::New));
        };
        match act {
            Act::Put => begin(Real::Put(queue.put(item())), Kind::Put(step)),
            Act::Get => begin(Real::Get(queue.get()), Kind::Get),
            Act::Join => begin(Real::Join(queue.join()), Kind::Join),
            Act::Stream => begin(Real::Stream(queue.stream()), Kind::Stream),
            Act::Sink => begin(Real::Sink(queue.sink(), false), Kind::Sink),
            Act::Poll(at, moves) if !live.is_empty() => {
                let at = at.index(live.len());
                let one = &mut live[at];
                if *moves || one.task.is_none() {
                    one.former.extend(one.task.replace(Task::new()));
                }
                let task = one.task.as_ref().unwrap();
                let answer = match &mut one.future {
                    Real::Put(put) => match task.poll(put) {
                        Poll::Pending => Answer::Pending,
                        Poll::Ready(Ok(())) => Answer::Put(Ok(())),
                        Poll::Ready(Err(PutError(item))) => Answer::Put(Err(number(item))),
                    },
                    Real::Get(get) => match task.poll(get) {
                        Poll::Pending => Answer::Pending,
                        Poll::Ready(got) => Answer::Get(got.map(number)),
                    },
                    Real::Join(join) => match task.poll(join) {
                        Poll::Pending => Answer::Pending,
                        Poll::Ready(()) => Answer::Join,
                    },
                    Real::Stream(stream) => {
                        match task.poll(&mut poll_fn(|cx| stream.as_mut().poll_next(cx))) {
                            Poll::Pending => Answer::Pending,
                            Poll::Ready(next) => Answer::Next(next.map(number)),
                        }
                    }
                    Real::Sink(sink, reserved) if *reserved => {
                        *reserved = false;
                        let sent = sink.as_mut().start_send(item());
                        Answer::Room(sent.map_err(|PutError(item)| item.map(number)))
                    }
                    Real::Sink(sink, reserved) => {
                        match task.poll(&mut poll_fn(|cx| sink.as_mut().poll_ready(cx))) {
                            Poll::Pending => Answer::Pending,
                            Poll::Ready(room) => {
                                *reserved = room.is_ok();
                                Answer::Room(room.map_err(|PutError(item)| item.map(number)))
                            }
                        }
                    }
                };
                prop_assert_eq!(&answer, &spec.poll(one.id, step));
                match answer {
                    Answer::Pending => {}
                    // These go on, to be polled by new tasks. A former one may have been woken before it was left.
                    Answer::Next(_) | Answer::Room(_) => {
                        one.task = None;
                        one.former.clear();
                    }
                    Answer::Put(_) | Answer::Get(_) | Answer::Join => drop(live.swap_remove(at)),
                }
            }
            Act::Cancel(at) if !live.is_empty() => {
                let one = live.swap_remove(at.index(live.len()));
                spec.futures.retain(|future| future.0 != one.id);
            }
            Act::Poll(..) | Act::Cancel(_) => {}
            Act::TryPut => match queue.try_put(item()) {
                Ok(()) => {
                    prop_assert!(!spec.closed && spec.has_room());
                    spec.push(step);
                }
                Err(TryPutError::Closed(_)) => prop_assert!(spec.closed),
                Err(TryPutError::Full(_)) => prop_assert!(!spec.closed && !spec.has_room()),
            },
            Act::TryGet => match queue.try_get() {
                Ok(item) => {
                    prop_assert!(spec.has_free_item());
                    prop_assert_eq!(item.number, spec.take());
                }
                Err(TryGetError::Closed) => prop_assert!(spec.is_drained()),
                Err(TryGetError::Empty) => {
                    prop_assert!(!spec.is_drained() && !spec.has_free_item());
                }
            },
            Act::TaskDone if spec.unfinished > 0 => {
                queue.task_done();
                spec.unfinished -= 1;
            }
            Act::TaskDone => {}
            Act::Close => {
                queue.close();
                spec.closed = true;
            }
            Act::CloseNow => {
                queue.close_now();
                spec.closed = true;
                spec.unfinished = spec.unfinished.saturating_sub(spec.items.len());
                spec.items.clear();
            }
        }
        spec.settle();

        for (id, kind, state) in &spec.futures {
            let one = live.iter().find(|one| one.id == *id).unwrap();
            let wakes = one.task.as_ref().map_or(0, |task| task.wakes());
            let expected = usize::from(*state == State::Woken);
            prop_assert_eq!(wakes, expected, "wakes of {:?} after step {}", kind, step);
            prop_assert!(one.former.iter().all(|task| task.wakes() == 0), "a former task woken");
        }
        let held = spec.futures.iter().filter_map(|(_, kind, _)| match kind {
            Kind::Put(item) => Some(*item),
            _ => None,
        });
        let expected: BTreeSet<_> = spec.items.iter().copied().chain(held).collect();
        prop_assert_eq!(&*alive.borrow(), &expected, "items in the queue and in waiting `put`s");
        for one in &live {
            if let Real::Stream(stream) = &one.future {
                prop_assert_eq!(stream.is_terminated(), spec.is_drained());
            }
        }
        prop_assert_eq!(queue.len(), spec.items.len());
        prop_assert_eq!(queue.is_empty(), spec.items.is_empty());
        prop_assert_eq!(queue.is_full(), spec.items.len() == spec.capacity);
        prop_assert_eq!(queue.unfinished(), spec.unfinished);
        prop_assert_eq!(queue.is_closed(), spec.closed);
        prop_assert_eq!(queue.capacity(), capacity);
        prop_assert_eq!(queue.stats().getters, spec.count(State::Waiting, Spec::is_get));
        prop_assert_eq!(queue.stats().putters, spec.count(State::Waiting, Spec::is_put));
    }
    drop(live);
    drop(queue);
    prop_assert!(alive.borrow().is_empty(), "what is left goes with the queue");
    Ok(())
}

fn capacity() -> impl Strategy<Value = Option<usize>> {
    prop_oneof![Just(None), (1..=3_usize).prop_map(Some)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_thread_safe_queue_follows_the_specification(capacity in capacity(), acts in acts()) {
        check::<Shared<_>>(capacity, &acts)?;
    }

    #[test]
    fn the_local_queue_follows_the_specification(capacity in capacity(), acts in acts()) {
        check::<Local<_>>(capacity, &acts)?;
    }

    #[test]
    fn the_thread_safe_lifo_queue_follows_the_specification(capacity in capacity(), acts in acts()) {
        check::<SharedLifo<_>>(capacity, &acts)?;
    }

    #[test]
    fn the_local_lifo_queue_follows_the_specification(capacity in capacity(), acts in acts()) {
        check::<LocalLifo<_>>(capacity, &acts)?;
    }

    #[test]
    fn the_thread_safe_priority_queue_follows_the_specification(capacity in capacity(), acts in acts()) {
        check::<SharedPriority<_>>(capacity, &acts)?;
    }

    #[test]
    fn the_local_priority_queue_follows_the_specification(capacity in capacity(), acts in acts()) {
        check::<LocalPriority<_>>(capacity, &acts)?;
    }
}
