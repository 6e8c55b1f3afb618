//! The queue's promises, one test each.

use std::{future::poll_fn, rc::Rc, sync::Arc, task::Poll};

use whirligig::queue::{
    GetError, Prioritized, PutError, QueueSink, QueueStream, Stats, TryGetError, TryPutError,
};

use crate::shells::{
    BoxedSink, BoxedStream, Local, LocalPriority, Order, Shared, SharedLifo, SharedPriority, Shell,
    Task, in_each_queue,
};

in_each_queue! {
    items_leave_in_the_order_of_the_queue,
    items_that_come_and_go_leave_in_the_order_of_the_queue,
    getters_are_served_in_the_order_they_came_and_not_overtaken,
    putters_are_served_in_the_order_they_came_and_not_overtaken,
    a_cancelled_get_passes_its_item_on,
    a_cancelled_get_in_line_just_leaves,
    a_cancelled_get_without_successor_frees_its_item,
    a_cancelled_put_passes_its_room_on_and_drops_its_item,
    a_poll_by_another_task_moves_the_wake,
    close_lets_getters_drain_and_returns_putters_their_items,
    close_on_an_empty_queue_ends_every_getter,
    on_a_closed_queue_a_get_waits_for_promised_items,
    a_get_woken_before_close_takes_one_item_and_leaves_the_rest,
    close_now_drops_the_items_and_ends_everybody,
    join_waits_for_every_task_done,
    task_done_may_come_ahead_of_get,
    #[should_panic = "more often than items were put"] task_done_too_often_panics,
    #[should_panic = "capacity of 0"] capacity_0_panics,
    #[should_panic = "polled after it was ready"] put_polled_after_ready_panics,
    #[should_panic = "polled after it was ready"] get_polled_after_ready_panics,
    #[should_panic = "polled after it was ready"] join_polled_after_ready_panics,
    debug_asks_nothing_of_the_item,
    a_stream_gives_the_items_until_the_queue_is_closed_and_empty,
    a_stream_that_is_dropped_passes_its_item_on,
    a_sink_puts_at_once_and_a_dropped_one_passes_its_room_on,
    a_closed_sink_gives_its_room_up_and_leaves_the_queue_open,
    a_sink_of_a_closed_queue_returns_what_it_took,
    #[should_panic = "before `poll_ready` had room"] a_sink_that_was_not_asked_for_room_panics,
}

fn items_leave_in_the_order_of_the_queue<Q: Shell<u32>>() {
    let (queue, task) = (Q::with_capacity(None), Task::new());
    // Not sorted, and some of them equal.
    let items = (0..100).map(|n| n * 37 % 64);
    for (at, n) in items.clone().enumerate() {
        match at % 2 {
            0 => queue.try_put(n).unwrap(),
            _ => assert_eq!(task.poll(&mut queue.put(n)), Poll::Ready(Ok(()))),
        }
    }
    let leaving = Q::ORDER.leaving(items.clone());
    match Q::ORDER {
        Order::Fifo => assert!(leaving.iter().copied().eq(items)),
        Order::Lifo => assert!(leaving.iter().copied().eq(items.rev())),
        Order::Priority => assert!(leaving.is_sorted()),
    }
    for (at, n) in leaving.into_iter().enumerate() {
        match at % 3 {
            0 => assert_eq!(queue.try_get(), Ok(n)),
            _ => assert_eq!(task.poll(&mut queue.get()), Poll::Ready(Ok(n))),
        }
    }
    assert_eq!(task.wakes(), 0, "nobody waited");
}

fn items_that_come_and_go_leave_in_the_order_of_the_queue<Q: Shell<u32>>() {
    let queue = Q::with_capacity(None);
    let mut left = Vec::new();
    for n in 0..1_000_u32 {
        let item = n.wrapping_mul(0x9e37_79b9) >> 24;
        queue.try_put(item).unwrap();
        left.push(item);
        if n % 3 != 0 {
            assert_eq!(queue.try_get(), Ok(left.remove(Q::ORDER.first(&left))));
        }
    }
    for item in Q::ORDER.leaving(left) {
        assert_eq!(queue.try_get(), Ok(item));
    }
    assert!(queue.is_empty());
}

fn getters_are_served_in_the_order_they_came_and_not_overtaken<Q: Shell<u32>>() {
    let queue = Q::with_capacity(None);
    let (a, b, late) = (Task::new(), Task::new(), Task::new());
    let (mut get_a, mut get_b, mut get_late) = (queue.get(), queue.get(), queue.get());
    assert!(a.poll(&mut get_a).is_pending());
    assert!(b.poll(&mut get_b).is_pending());

    queue.try_put(1).unwrap();
    assert_eq!((a.wakes(), b.wakes()), (1, 0), "one item wakes one, the first");
    assert_eq!(queue.len(), 1, "the item stays until it is taken");
    assert_eq!(queue.try_get(), Err(TryGetError::Empty), "it is promised");
    assert!(late.poll(&mut get_late).is_pending(), "also against a later `get`");

    queue.try_put(2).unwrap();
    assert_eq!((a.wakes(), b.wakes(), late.wakes()), (1, 1, 0));
    let [first, second] = Q::ORDER.leaving([1, 2])[..] else { unreachable!() };
    assert_eq!(
        b.poll(&mut get_b),
        Poll::Ready(Ok(first)),
        "who is polled first has the first item"
    );
    assert_eq!(a.poll(&mut get_a), Poll::Ready(Ok(second)));
    assert!(late.poll(&mut get_late).is_pending());
}

fn putters_are_served_in_the_order_they_came_and_not_overtaken<Q: Shell<u32>>() {
    let queue = Q::with_capacity(Some(1));
    let (a, b) = (Task::new(), Task::new());
    queue.try_put(0).unwrap();
    let (mut put_a, mut put_b) = (queue.put(1), queue.put(2));
    assert!(a.poll(&mut put_a).is_pending());
    assert!(b.poll(&mut put_b).is_pending());
    assert_eq!(queue.stats().putters, 2);

    assert_eq!(queue.try_get(), Ok(0));
    assert_eq!((a.wakes(), b.wakes()), (1, 0), "room for one wakes one, the first");
    assert!(!queue.is_full());
    assert_eq!(queue.try_put(9), Err(TryPutError::Full(9)), "the room is promised");
    assert!(b.poll(&mut put_b).is_pending());
    assert_eq!(a.poll(&mut put_a), Poll::Ready(Ok(())));
    assert!(queue.is_full());
    assert_eq!(queue.try_get(), Ok(1));
    assert_eq!(b.poll(&mut put_b), Poll::Ready(Ok(())));
}

fn a_cancelled_get_passes_its_item_on<Q: Shell<u32>>() {
    let queue = Q::with_capacity(None);
    let (a, b) = (Task::new(), Task::new());
    let (mut get_a, mut get_b) = (queue.get(), queue.get());
    assert!(a.poll(&mut get_a).is_pending());
    assert!(b.poll(&mut get_b).is_pending());
    queue.try_put(1).unwrap();
    drop(get_a);
    assert_eq!(b.wakes(), 1);
    assert_eq!(b.poll(&mut get_b), Poll::Ready(Ok(1)));
}

fn a_cancelled_get_in_line_just_leaves<Q: Shell<u32>>() {
    let queue = Q::with_capacity(None);
    let (a, b) = (Task::new(), Task::new());
    let (mut get_a, mut get_b) = (queue.get(), queue.get());
    assert!(a.poll(&mut get_a).is_pending());
    assert!(b.poll(&mut get_b).is_pending());
    drop(get_a);
    assert_eq!((b.wakes(), queue.stats().getters), (0, 1));
    queue.try_put(1).unwrap();
    assert_eq!((a.wakes(), b.wakes()), (0, 1));
}

fn a_cancelled_get_without_successor_frees_its_item<Q: Shell<u32>>() {
    let (queue, task) = (Q::with_capacity(None), Task::new());
    let mut get = queue.get();
    assert!(task.poll(&mut get).is_pending());
    queue.try_put(1).unwrap();
    assert_eq!(queue.try_get(), Err(TryGetError::Empty));
    drop(get);
    assert_eq!(queue.try_get(), Ok(1));
}

fn a_cancelled_put_passes_its_room_on_and_drops_its_item<Q: Shell<Rc<u32>>>() {
    let queue = Q::with_capacity(Some(1));
    let (a, b) = (Task::new(), Task::new());
    let item = Rc::new(1);
    queue.try_put(Rc::new(0)).unwrap();
    let (mut put_a, mut put_b) = (queue.put(item.clone()), queue.put(Rc::new(2)));
    assert!(a.poll(&mut put_a).is_pending());
    assert!(b.poll(&mut put_b).is_pending());
    assert_eq!(queue.try_get(), Ok(Rc::new(0)));
    assert_eq!((a.wakes(), b.wakes()), (1, 0));
    drop(put_a);
    assert_eq!(b.wakes(), 1);
    assert_eq!(Rc::strong_count(&item), 1, "the item went with its `put`");
    assert_eq!(b.poll(&mut put_b), Poll::Ready(Ok(())));
    assert_eq!(queue.try_get(), Ok(Rc::new(2)));
}

fn a_poll_by_another_task_moves_the_wake<Q: Shell<u32>>() {
    let queue = Q::with_capacity(None);
    let (old, new) = (Task::new(), Task::new());
    let (mut get, mut join) = (queue.get(), queue.join());
    assert!(old.poll(&mut get).is_pending());
    assert!(new.poll(&mut get).is_pending());
    queue.try_put(1).unwrap();
    assert_eq!((old.wakes(), new.wakes()), (0, 1));

    assert!(old.poll(&mut join).is_pending());
    assert!(new.poll(&mut join).is_pending());
    queue.task_done();
    assert_eq!((old.wakes(), new.wakes()), (0, 2));
}

fn close_lets_getters_drain_and_returns_putters_their_items<Q: Shell<u32>>() {
    let queue = Q::with_capacity(Some(2));
    let (a, b, c) = (Task::new(), Task::new(), Task::new());
    queue.try_put(1).unwrap();
    queue.try_put(2).unwrap();
    let (mut put_a, mut put_b) = (queue.put(3), queue.put(4));
    assert!(a.poll(&mut put_a).is_pending());
    assert!(b.poll(&mut put_b).is_pending());
    let [first, second] = Q::ORDER.leaving([1, 2])[..] else { unreachable!() };
    assert_eq!(queue.try_get(), Ok(first));
    assert_eq!((a.wakes(), b.wakes()), (1, 0));

    queue.close();
    queue.close();
    assert!(queue.is_closed());
    assert_eq!((a.wakes(), b.wakes()), (1, 1));
    assert_eq!(a.poll(&mut put_a), Poll::Ready(Err(PutError(3))), "woken for room, then closed");
    assert_eq!(b.poll(&mut put_b), Poll::Ready(Err(PutError(4))));
    assert_eq!(c.poll(&mut queue.put(5)), Poll::Ready(Err(PutError(5))));
    assert_eq!(queue.try_put(6), Err(TryPutError::Closed(6)));

    assert_eq!(c.poll(&mut queue.get()), Poll::Ready(Ok(second)));
    assert_eq!(c.poll(&mut queue.get()), Poll::Ready(Err(GetError)));
    assert_eq!(queue.try_get(), Err(TryGetError::Closed));
}

fn close_on_an_empty_queue_ends_every_getter<Q: Shell<u32>>() {
    let queue = Q::with_capacity(None);
    let (a, b) = (Task::new(), Task::new());
    let (mut get_a, mut get_b) = (queue.get(), queue.get());
    assert!(a.poll(&mut get_a).is_pending());
    assert!(b.poll(&mut get_b).is_pending());
    queue.close();
    assert_eq!((a.wakes(), b.wakes()), (1, 1));
    drop(get_a);
    assert_eq!(b.poll(&mut get_b), Poll::Ready(Err(GetError)));
}

fn on_a_closed_queue_a_get_waits_for_promised_items<Q: Shell<u32>>() {
    let queue = Q::with_capacity(None);
    let (a, b, c) = (Task::new(), Task::new(), Task::new());
    let (mut get_a, mut get_b, mut get_c) = (queue.get(), queue.get(), queue.get());
    assert!(a.poll(&mut get_a).is_pending());
    queue.try_put(1).unwrap();
    queue.close();
    assert!(b.poll(&mut get_b).is_pending(), "the one item is promised, but may yet come free");
    assert!(c.poll(&mut get_c).is_pending());
    assert_eq!(queue.try_get(), Err(TryGetError::Empty), "not yet the end");
    drop(get_a);
    assert_eq!((b.wakes(), c.wakes()), (1, 0));
    assert_eq!(b.poll(&mut get_b), Poll::Ready(Ok(1)));
    assert_eq!(c.wakes(), 1, "the last item is out: this is the end");
    assert_eq!(c.poll(&mut get_c), Poll::Ready(Err(GetError)));
}

fn a_get_woken_before_close_takes_one_item_and_leaves_the_rest<Q: Shell<u32>>() {
    let (queue, task) = (Q::with_capacity(None), Task::new());
    let mut get = queue.get();
    assert!(task.poll(&mut get).is_pending());
    queue.try_put(1).unwrap();
    queue.try_put(2).unwrap();
    queue.close();
    let [first, second] = Q::ORDER.leaving([1, 2])[..] else { unreachable!() };
    assert_eq!(task.poll(&mut get), Poll::Ready(Ok(first)));
    assert_eq!(queue.try_get(), Ok(second), "promised to nobody");
}

fn close_now_drops_the_items_and_ends_everybody<Q: Shell<Rc<u32>>>() {
    let queue = Q::with_capacity(Some(1));
    let (getter, putter, joiner) = (Task::new(), Task::new(), Task::new());
    let item = Rc::new(1);
    let (mut get, mut put, mut join) = (queue.get(), queue.put(item.clone()), queue.join());
    assert!(getter.poll(&mut get).is_pending());
    queue.try_put(item.clone()).unwrap();
    assert!(putter.poll(&mut put).is_pending());
    assert!(joiner.poll(&mut join).is_pending());
    assert_eq!(getter.wakes(), 1, "an item was promised to it");

    queue.close_now();
    assert_eq!((queue.len(), queue.unfinished()), (0, 0));
    assert_eq!(Rc::strong_count(&item), 2, "one in the test, one in the `put`");
    assert_eq!((putter.wakes(), joiner.wakes()), (1, 1));
    assert_eq!(getter.poll(&mut get), Poll::Ready(Err(GetError)));
    assert_eq!(putter.poll(&mut put), Poll::Ready(Err(PutError(item))));
    assert_eq!(joiner.poll(&mut join), Poll::Ready(()));
}

fn join_waits_for_every_task_done<Q: Shell<u32>>() {
    let queue = Q::with_capacity(None);
    let (a, b) = (Task::new(), Task::new());
    assert_eq!(a.poll(&mut queue.join()), Poll::Ready(()), "nothing was put yet");
    queue.try_put(1).unwrap();
    queue.try_put(2).unwrap();
    let (mut join_a, mut join_b) = (queue.join(), queue.join());
    assert!(a.poll(&mut join_a).is_pending());
    assert!(b.poll(&mut join_b).is_pending());
    queue.try_get().unwrap();
    queue.task_done();
    queue.try_get().unwrap();
    assert_eq!((a.wakes(), queue.unfinished()), (0, 1), "got is not done");
    queue.task_done();
    assert_eq!((a.wakes(), b.wakes()), (1, 1));
    queue.try_put(3).unwrap();
    assert_eq!(a.poll(&mut join_a), Poll::Ready(()), "a later item does not hold it back");
    assert_eq!(b.poll(&mut join_b), Poll::Ready(()));
    assert!(a.poll(&mut queue.join()).is_pending());
}

fn task_done_may_come_ahead_of_get<Q: Shell<u32>>() {
    let queue = Q::with_capacity(None);
    queue.try_put(1).unwrap();
    queue.try_put(2).unwrap();
    queue.task_done();
    queue.close_now();
    assert_eq!(queue.unfinished(), 0, "two items dropped, and only one was unfinished");
}

fn task_done_too_often_panics<Q: Shell<u32>>() {
    let queue = Q::with_capacity(None);
    queue.try_put(1).unwrap();
    queue.task_done();
    queue.task_done();
}

fn capacity_0_panics<Q: Shell<u32>>() {
    let _queue = Q::with_capacity(Some(0));
}

fn put_polled_after_ready_panics<Q: Shell<u32>>() {
    let (queue, task) = (Q::with_capacity(None), Task::new());
    let mut put = queue.put(1);
    assert!(task.poll(&mut put).is_ready());
    let _polled = task.poll(&mut put);
}

fn get_polled_after_ready_panics<Q: Shell<u32>>() {
    let (queue, task) = (Q::with_capacity(None), Task::new());
    queue.try_put(1).unwrap();
    let mut get = queue.get();
    assert!(task.poll(&mut get).is_ready());
    let _polled = task.poll(&mut get);
}

fn join_polled_after_ready_panics<Q: Shell<u32>>() {
    let (queue, task) = (Q::with_capacity(None), Task::new());
    let mut join = queue.join();
    assert!(task.poll(&mut join).is_ready());
    let _polled = task.poll(&mut join);
}

/// It can be compared, and nothing else.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Plain;

fn debug_asks_nothing_of_the_item<Q: Shell<Plain>>() {
    let queue = Q::with_capacity(Some(3));
    assert!(queue.try_put(Plain).is_ok());
    let shown = format!("{queue:?}");
    assert!(shown.starts_with(&format!("{}(", Q::NAME)), "{shown}");
    assert!(shown.contains("len: 1") && shown.contains("capacity: Some(3)"), "{shown}");
    let Stats { len, capacity, getters, putters, unfinished, closed, .. } = queue.stats();
    assert_eq!((len, capacity, getters, putters, unfinished, closed), (1, Some(3), 0, 0, 1, false));
}

fn next<T>(task: &Arc<Task>, stream: &mut BoxedStream<'_, T>) -> Poll<Option<T>> {
    task.poll(&mut poll_fn(|cx| stream.as_mut().poll_next(cx)))
}

fn room<T>(task: &Arc<Task>, sink: &mut BoxedSink<'_, T>) -> Poll<Result<(), PutError<Option<T>>>> {
    task.poll(&mut poll_fn(|cx| sink.as_mut().poll_ready(cx)))
}

fn a_stream_gives_the_items_until_the_queue_is_closed_and_empty<Q: Shell<u32>>() {
    let (queue, task) = (Q::with_capacity(None), Task::new());
    let mut stream = queue.stream();
    queue.try_put(1).unwrap();
    queue.try_put(2).unwrap();
    for item in Q::ORDER.leaving([1, 2]) {
        assert_eq!(next(&task, &mut stream), Poll::Ready(Some(item)));
    }
    assert!(next(&task, &mut stream).is_pending());
    queue.try_put(3).unwrap();
    assert_eq!((task.wakes(), queue.try_get()), (1, Err(TryGetError::Empty)));
    queue.close();
    assert!(!stream.is_terminated());
    assert_eq!(next(&task, &mut stream), Poll::Ready(Some(3)));
    assert!(stream.is_terminated());
    assert_eq!(next(&task, &mut stream), Poll::Ready(None));
    assert_eq!(next(&task, &mut stream), Poll::Ready(None), "and for ever");
}

fn a_stream_that_is_dropped_passes_its_item_on<Q: Shell<u32>>() {
    let queue = Q::with_capacity(None);
    let (a, b) = (Task::new(), Task::new());
    let (mut first, mut second) = (queue.stream(), queue.stream());
    assert!(next(&a, &mut first).is_pending());
    assert!(next(&b, &mut second).is_pending());
    queue.try_put(1).unwrap();
    assert_eq!((a.wakes(), b.wakes()), (1, 0));
    drop(first);
    assert_eq!(b.wakes(), 1);
    assert_eq!(next(&b, &mut second), Poll::Ready(Some(1)));
}

fn a_sink_puts_at_once_and_a_dropped_one_passes_its_room_on<Q: Shell<u32>>() {
    let queue = Q::with_capacity(Some(1));
    let (a, b) = (Task::new(), Task::new());
    let (mut first, mut second) = (queue.sink(), queue.sink());
    assert_eq!(room(&a, &mut first), Poll::Ready(Ok(())));
    assert_eq!(room(&a, &mut first), Poll::Ready(Ok(())), "the same room");
    assert_eq!((queue.len(), queue.try_put(9)), (0, Err(TryPutError::Full(9))), "it is promised");
    first.as_mut().start_send(1).unwrap();
    assert_eq!(queue.try_get(), Ok(1), "nothing need be flushed");

    assert_eq!(room(&a, &mut first), Poll::Ready(Ok(())));
    assert!(room(&b, &mut second).is_pending());
    assert_eq!(queue.stats().putters, 1);
    drop(first);
    assert_eq!(b.wakes(), 1);
    assert_eq!(room(&b, &mut second), Poll::Ready(Ok(())));
    drop(second);
    assert_eq!(queue.try_put(2), Ok(()), "nobody waits, so it is free");

    let mut waits = queue.sink();
    assert!(room(&a, &mut waits).is_pending());
    drop(waits);
    assert_eq!(queue.stats().putters, 0);
}

fn a_closed_sink_gives_its_room_up_and_leaves_the_queue_open<Q: Shell<u32>>() {
    let (queue, task) = (Q::with_capacity(Some(1)), Task::new());
    let mut sink = queue.sink();
    assert_eq!(room(&task, &mut sink), Poll::Ready(Ok(())));
    assert_eq!(task.poll(&mut poll_fn(|cx| sink.as_mut().poll_close(cx))), Poll::Ready(Ok(())));
    assert!(!queue.is_closed());
    assert_eq!(queue.try_put(1), Ok(()));
    assert!(room(&task, &mut sink).is_pending(), "it may be used again");
    assert_eq!(task.poll(&mut poll_fn(|cx| sink.as_mut().poll_close(cx))), Poll::Ready(Ok(())));
    assert_eq!(queue.stats().putters, 0);
}

fn a_sink_of_a_closed_queue_returns_what_it_took<Q: Shell<u32>>() {
    let (queue, task) = (Q::with_capacity(Some(1)), Task::new());
    let (mut sink, mut waits) = (queue.sink(), queue.sink());
    assert_eq!(room(&task, &mut sink), Poll::Ready(Ok(())));
    assert!(room(&task, &mut waits).is_pending());
    queue.close();
    assert_eq!(task.wakes(), 1);
    assert_eq!(room(&task, &mut waits), Poll::Ready(Err(PutError(None))));
    assert_eq!(sink.as_mut().start_send(1), Err(PutError(Some(1))));
    assert_eq!(room(&task, &mut sink), Poll::Ready(Err(PutError(None))));
    assert!(queue.is_empty());
}

fn a_sink_that_was_not_asked_for_room_panics<Q: Shell<u32>>() {
    let queue = Q::with_capacity(None);
    let _refused = queue.sink().as_mut().start_send(1);
}

#[test]
fn the_thread_safe_queues_and_their_futures_are_send() {
    fn send_and_sync<T: Send + Sync>(_: &T) {}
    macro_rules! check {
        ($queue:ident) => {
            let queue = $queue::<u32>::unbounded();
            send_and_sync(&queue);
            send_and_sync(&queue.put(1));
            send_and_sync(&queue.get());
            send_and_sync(&queue.join());
            send_and_sync(&queue.stream());
            send_and_sync(&queue.sink());
        };
    }
    check!(Shared);
    check!(SharedLifo);
    check!(SharedPriority);
}

#[test]
fn of_equal_priorities_the_first_leaves_first() {
    let queue = LocalPriority::unbounded();
    for item in 0..100 {
        queue.try_put(Prioritized { priority: item % 3, item }).unwrap();
    }
    let mut taken = Vec::new();
    while let Ok(Prioritized { priority, item }) = queue.try_get() {
        taken.push((priority, item));
    }
    let sorted: Vec<_> = (0..3)
        .flat_map(|priority| (priority..100).step_by(3).map(move |item| (priority, item)))
        .collect();
    assert_eq!(taken, sorted);
}

#[test]
fn a_get_that_was_woken_takes_what_is_first_when_it_is_polled() {
    let (queue, task) = (LocalPriority::unbounded(), Task::new());
    let mut get = queue.get();
    assert!(task.poll(&mut get).is_pending());
    queue.try_put(2).unwrap();
    queue.try_put(1).unwrap();
    assert_eq!(task.wakes(), 1);
    assert_eq!(task.poll(&mut get), Poll::Ready(Ok(1)));
    assert_eq!(queue.try_get(), Ok(2));
}

#[test]
fn a_put_can_be_moved_between_polls_whatever_its_item() {
    fn unpin<T: Unpin>(_: &T) {}
    unpin(&Shared::bounded(1).put(std::marker::PhantomPinned));
    unpin(&Local::bounded(1).put(std::marker::PhantomPinned));
}

#[test]
fn futures_and_errors_can_be_printed() {
    let queue = Local::<Plain>::unbounded();
    for shown in [
        format!("{:?}", queue.put(Plain)),
        format!("{:?}", queue.get()),
        format!("{:?}", queue.join()),
        format!("{:?}", queue.stream()),
        format!("{:?}", queue.sink()),
    ] {
        assert!(shown.contains(file!()), "says where it was made: {shown}");
    }
    let errors: [&dyn std::error::Error; 6] = [
        &PutError(Plain),
        &GetError,
        &TryPutError::Full(Plain),
        &TryPutError::Closed(Plain),
        &TryGetError::Empty,
        &TryGetError::Closed,
    ];
    for error in errors {
        let (said, shown) = (error.to_string(), format!("{error:?}"));
        assert!(said.starts_with("the queue is "), "{shown}: {said}");
        assert!(shown.contains(&said), "what `unwrap` shows says it too: {shown}");
    }
}

#[test]
fn a_panic_may_unwind_past_a_queue() {
    fn unwind_safe<T: std::panic::UnwindSafe + std::panic::RefUnwindSafe>() {}
    unwind_safe::<Shared<Box<dyn Fn()>>>();
    unwind_safe::<Local<std::cell::Cell<u8>>>();
    unwind_safe::<whirligig::queue::Get<'_, u8>>();
    unwind_safe::<whirligig::queue::local::Put<'_, u8>>();
    unwind_safe::<QueueStream<Arc<Shared<u8>>>>();
    unwind_safe::<QueueSink<&Local<std::cell::Cell<u8>>>>();
}

#[test]
fn a_future_of_the_queue_has_a_name() {
    struct Held<'q> {
        get: whirligig::queue::Get<'q, u8>,
        put: whirligig::queue::local::Put<'q, u8>,
        join: whirligig::queue::local::Join<'q, u8>,
    }
    let (shared, local) = (Shared::unbounded(), Local::unbounded());
    shared.try_put(1).unwrap();
    let mut held = Held { get: shared.get(), put: local.put(2), join: local.join() };
    let task = Task::new();
    assert_eq!(task.poll(&mut held.get), Poll::Ready(Ok(1)));
    assert_eq!(task.poll(&mut held.put), Poll::Ready(Ok(())));
    assert!(task.poll(&mut held.join).is_pending());
}
