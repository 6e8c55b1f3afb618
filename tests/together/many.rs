//! Many futures in one task: `gather`, `as_completed`, `wait`, `race`, and the handle that cancels when dropped.

use std::{
    collections::VecDeque,
    future::{Future, Ready, pending, poll_fn, ready},
    mem,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures_lite::{Stream, StreamExt, future::poll_once};
use proptest::prelude::*;
use whirligig::{
    queue::Queue,
    spawn,
    task::{self, CancelHandle, JoinHandle, WaitFor},
    time::Instant,
};

use super::on_each_variant;

/// Queues, one for each future of a set.
fn queues(count: usize) -> Arc<[Queue<usize>]> {
    (0..count).map(|_| Queue::unbounded()).collect()
}

/// One of these futures for each queue.
fn gets(queues: &[Queue<usize>]) -> impl Iterator<Item = impl Future<Output = usize> + Send> {
    queues.iter().map(async |queue| queue.get().await.unwrap())
}

async fn until_finished(task: &CancelHandle) {
    while !task.is_finished() {
        task::yield_now().await;
    }
}

/// Says when it is dropped.
struct NotesDrop(Arc<AtomicUsize>);

impl Drop for NotesDrop {
    fn drop(&mut self) {
        self.0.fetch_add(1, SeqCst);
    }
}

/// Counts its polls.
struct CountsPolls<F>(Pin<Box<F>>, Arc<AtomicUsize>);

impl<F: Future> Future for CountsPolls<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.1.fetch_add(1, SeqCst);
        self.0.as_mut().poll(cx)
    }
}

#[test]
fn gather_gives_the_outputs_in_the_order_of_the_futures() {
    on_each_variant(|_| async {
        let queues = queues(50);
        let putter = spawn({
            let queues = queues.clone();
            async move {
                for index in (0..50).map(|n| n * 7 % 50) {
                    queues[index].try_put(index).unwrap();
                    task::yield_now().await;
                }
            }
        });
        assert_eq!(task::gather(gets(&queues)).await, (0..50).collect::<Vec<_>>());
        putter.await.unwrap();
        assert_eq!(task::gather(gets(&[])).await, []);
        let tasks = (0..50).map(|n| spawn(async move { n }));
        let outputs = task::gather(tasks).await.into_iter().map(Result::unwrap);
        assert!(outputs.eq(0..50));
    });
}

#[test]
fn a_wake_costs_one_poll_of_one_future() {
    on_each_variant(|_| async {
        let queues = queues(100);
        let polls = Arc::new(AtomicUsize::new(0));
        let gather = spawn({
            let (queues, polls) = (queues.clone(), polls.clone());
            async move {
                let counted = gets(&queues).map(|get| CountsPolls(Box::pin(get), polls.clone()));
                task::gather(counted).await.len()
            }
        });
        while polls.load(SeqCst) < 100 {
            task::yield_now().await;
        }
        for (index, queue) in queues.iter().enumerate() {
            queue.try_put(index).unwrap();
            while polls.load(SeqCst) < 101 + index {
                task::yield_now().await;
            }
        }
        assert_eq!(gather.await.unwrap(), 100);
        assert_eq!(polls.load(SeqCst), 200, "each once at first, and once when it was woken");
    });
}

#[test]
fn the_first_error_drops_the_rest_before_it_is_given() {
    on_each_variant(|_| async {
        let dropped = Arc::new(AtomicUsize::new(0));
        let fail = Queue::unbounded();
        let futures = (0..10).map(|index| {
            let (dropped, fail) = (NotesDrop(dropped.clone()), &fail);
            async move {
                let _dropped = dropped;
                if index == 7 { fail.get().await.unwrap() } else { pending().await }
            }
        });
        let mut gather = pin!(task::try_gather(futures));
        assert!(poll_once(gather.as_mut()).await.is_none());
        fail.try_put(Err("seven")).unwrap();
        let first = gather.as_mut().await.map(|outputs: Vec<()>| outputs.len());
        assert_eq!((first, dropped.load(SeqCst)), (Err("seven"), 10));
    });
}

#[test]
fn tasks_go_on_when_their_handles_are_dropped_and_end_with_a_handle_that_cancels() {
    on_each_variant(|_| async {
        let dropped = Arc::new(AtomicUsize::new(0));
        let never = || {
            let dropped = NotesDrop(dropped.clone());
            spawn(async move {
                let _dropped = dropped;
                pending::<()>().await;
            })
        };
        let fails = || spawn(async { panic!("this one fails") });
        let (goes_on, ends) = (never(), never());
        let (plain, cancelled) = (goes_on.cancel_handle(), ends.cancel_handle());
        let error = task::try_gather([goes_on, fails()]).await.unwrap_err();
        assert!(error.is_panic());
        let both = [ends.cancel_on_drop(), fails().cancel_on_drop()];
        assert!(task::try_gather(both).await.unwrap_err().is_panic());
        until_finished(&cancelled).await;
        assert_eq!(dropped.load(SeqCst), 1);
        assert!(!plain.is_finished(), "a dropped handle detaches");
        assert!(plain.cancel());
        until_finished(&plain).await;
        // Taken out of its wrapper it is a plain handle.
        let task = never().cancel_on_drop().into_handle();
        let handle = task.cancel_handle();
        drop(task);
        for _ in 0..10 {
            task::yield_now().await;
        }
        assert!(!handle.is_finished());
        assert!(handle.cancel());
        until_finished(&handle).await;
    });
}

#[test]
fn cancel_says_whether_it_came_in_time() {
    on_each_variant(|_| async {
        let mut task = spawn(pending::<()>());
        assert!(task.cancel() && task.cancel(), "any number of times, until it has ended");
        assert!((&mut task).await.unwrap_err().is_cancelled());
        assert!(!task.cancel());
        let task = spawn(async { 7 });
        let handle = task.cancel_handle();
        until_finished(&handle).await;
        assert!(!task.cancel() && !handle.cancel(), "what it says is the same by either handle");
        assert_eq!(task.await.unwrap(), 7);
        let task = spawn(async { 8 });
        while !task.is_finished() {
            task::yield_now().await;
        }
        assert!(!task.cancel());
        assert_eq!(task.await.unwrap(), 8, "an output that is there is kept");
    });
}

#[test]
fn as_completed_gives_each_as_it_comes_and_a_dropped_next_loses_none() {
    on_each_variant(|_| async {
        let queues = queues(5);
        let mut completed = task::as_completed(gets(&queues).map(Box::pin));
        assert_eq!((completed.left(), completed.size_hint()), (5, (5, Some(5))));
        assert_eq!(poll_once(completed.next()).await, None);
        for index in [3, 0, 4] {
            queues[index].try_put(index).unwrap();
        }
        // Two outputs are there; one look takes one of them.
        assert_eq!(completed.next().await, Some(3));
        assert_eq!(poll_once(completed.next()).await, Some(Some(0)));
        drop(completed.next());
        assert_eq!(StreamExt::next(&mut completed).await, Some(4));
        assert_eq!(completed.left(), 2);
        assert_eq!(poll_once(completed.next()).await, None);
        queues[1].try_put(1).unwrap();
        assert_eq!(completed.next().await, Some(1));
        drop(completed);
        assert_eq!(queues[2].stats().getters, 0, "no waiter is left");
    });
}

#[test]
fn as_completed_of_tasks_is_in_the_order_of_their_ends() {
    on_each_variant(|_| async {
        let queues = queues(3);
        let tasks = (0..3).map(|index| {
            let queues = queues.clone();
            spawn(async move { queues[index].get().await.unwrap() })
        });
        let tasks = tasks.collect::<Vec<_>>();
        let ends = tasks.iter().map(JoinHandle::cancel_handle).collect::<Vec<_>>();
        let mut completed = task::as_completed(tasks);
        assert!(poll_once(completed.next()).await.is_none());
        for index in [2, 0, 1] {
            queues[index].try_put(index).unwrap();
            until_finished(&ends[index]).await;
        }
        for index in [2, 0, 1] {
            assert_eq!(completed.next().await.unwrap().unwrap(), index);
        }
        assert!(completed.next().await.is_none() && completed.next().await.is_none());
    });
}

#[test]
fn wait_hands_back_what_is_pending() {
    on_each_variant(|_| async {
        let queues = queues(4);
        let mut tasks = (0..4)
            .map(|index| {
                let queues = queues.clone();
                spawn(async move { queues[index].get().await.unwrap() })
            })
            .collect::<Vec<_>>();
        let ids = tasks.iter().map(JoinHandle::id).collect::<Vec<_>>();
        queues[2].try_put(2).unwrap();
        let waited = task::wait(tasks, WaitFor::FirstCompleted).await;
        assert_eq!(waited.done.into_iter().map(Result::unwrap).collect::<Vec<_>>(), [2]);
        tasks = waited.pending;
        assert_eq!(tasks.iter().map(JoinHandle::id).collect::<Vec<_>>(), [ids[0], ids[1], ids[3]]);

        queues[1].try_put(1).unwrap();
        tasks[0].cancel();
        let waited = task::wait(tasks, WaitFor::FirstError).await;
        assert!(waited.done.iter().any(|output| output.as_ref().is_err_and(|e| e.is_cancelled())));
        let mut left = waited.pending;
        if left.len() == 2 {
            // The cancelled one ended before the other.
            let waited = task::wait(left, WaitFor::FirstCompleted).await;
            assert_eq!(waited.done[0].as_ref().unwrap(), &1);
            left = waited.pending;
        }

        let waited = task::wait(left, WaitFor::All).timeout(Duration::ZERO).await;
        assert_eq!(
            (waited.done.len(), waited.pending.len()),
            (0, 1),
            "no error, and nothing is lost"
        );
        queues[3].try_put(3).unwrap();
        let never = Instant::now() + Duration::from_secs(3600);
        let waited = task::wait(waited.pending, WaitFor::All).timeout_at(never).await;
        assert_eq!(waited.done[0].as_ref().unwrap(), &3);
        assert!(waited.pending.is_empty());

        let waited = task::wait(Vec::<JoinHandle<()>>::new(), WaitFor::FirstCompleted).await;
        assert!(waited.done.is_empty() && waited.pending.is_empty());
    });
}

#[test]
fn wait_for_the_first_error_goes_on_past_successes_and_ends_when_all_are_done() {
    on_each_variant(|_| async {
        let mut futures = [ready(Ok(1)), ready(Err("two")), ready(Ok(3))];
        // Borrowed, they are kept.
        let waited = task::wait(&mut futures[..1], WaitFor::FirstError).await;
        assert_eq!(waited.done, [Ok(1)]);
        let never = || pending::<Result<i32, &str>>();
        let mut all = [Box::pin(ready(Ok(1))) as Pin<Box<dyn Future<Output = _> + Send>>]
            .into_iter()
            .chain([Box::pin(never()) as _, Box::pin(ready(Err("two"))) as _])
            .collect::<Vec<_>>();
        let waited = task::wait(&mut all, WaitFor::FirstError).await;
        assert_eq!((waited.done, waited.pending.len()), (vec![Ok(1), Err("two")], 1));
    });
}

#[test]
fn a_dropped_wait_drops_the_handles_and_cancels_nothing() {
    on_each_variant(|_| async {
        let task = spawn(pending::<()>());
        let handle = task.cancel_handle();
        assert!(poll_once(pin!(task::wait([task], WaitFor::All))).await.is_none());
        for _ in 0..10 {
            task::yield_now().await;
        }
        assert!(!handle.is_finished());
        assert!(handle.cancel());
        until_finished(&handle).await;
    });
}

#[test]
fn a_race_is_fair_and_drops_those_that_lose() {
    on_each_variant(|_| async {
        let dropped = Arc::new(AtomicUsize::new(0));
        let mut wins = [0; 3];
        for _ in 0..300 {
            let runners = (0..3).map(|index| {
                let dropped = NotesDrop(dropped.clone());
                async move {
                    let _dropped = dropped;
                    index
                }
            });
            wins[task::race(runners).await] += 1;
        }
        assert_eq!(dropped.load(SeqCst), 900);
        assert!(wins.iter().all(|&wins| wins > 30), "{wins:?} of 300 each");

        let queues = queues(3);
        let mut race = pin!(task::race(gets(&queues)));
        assert!(poll_once(race.as_mut()).await.is_none());
        queues[1].try_put(1).unwrap();
        queues[0].try_put(0).unwrap();
        assert_eq!(race.await, 1, "the first to be woken");
        assert_eq!(
            (queues[0].len(), queues[2].stats().getters),
            (1, 0),
            "who loses, loses nothing"
        );
    });
}

#[test]
#[should_panic(expected = "a race of no futures would wait for ever")]
fn a_race_of_none_is_refused() {
    drop(task::race::<[std::future::Ready<()>; 0]>([]));
}

#[test]
fn what_is_ready_once_says_so_when_it_is_polled_again() {
    let message = |outcome: std::thread::Result<()>| {
        *outcome.unwrap_err().downcast::<String>().expect("a panic with a text")
    };
    fn twice<F: Future + Unpin>(mut future: F) {
        whirligig::run(async move {
            poll_fn(|cx| Pin::new(&mut future).poll(cx).map(drop)).await;
            poll_fn(|cx| Pin::new(&mut future).poll(cx).map(drop)).await;
        });
    }
    let again = [
        message(std::panic::catch_unwind(|| twice(task::gather([ready(1)])))),
        message(std::panic::catch_unwind(|| twice(task::gather(Vec::<Ready<i32>>::new())))),
        message(std::panic::catch_unwind(|| twice(task::try_gather([ready(Ok::<_, ()>(1))])))),
        message(std::panic::catch_unwind(|| twice(task::race([ready(1)])))),
        message(std::panic::catch_unwind(|| {
            twice(task::wait([ready(Ok::<_, ()>(1))], WaitFor::All))
        })),
    ];
    for message in again {
        assert!(
            message.contains("many.rs:") && message.contains("after it was ready"),
            "{message}"
        );
    }
}

#[test]
fn a_future_that_always_wakes_itself_gives_way() {
    on_each_variant(|_| async {
        let over = Arc::new(AtomicBool::new(false));
        let other = spawn({
            let over = over.clone();
            async move { over.store(true, SeqCst) }
        });
        let spins = async {
            while !over.load(SeqCst) {
                task::yield_now().await;
            }
        };
        let spins: [Pin<Box<dyn Future<Output = ()> + Send>>; 2] =
            [Box::pin(spins), Box::pin(ready(()))];
        task::gather(spins).await;
        other.await.unwrap();
    });
}

#[test]
fn ten_thousand_outputs_that_are_there_do_not_starve_the_others() {
    on_each_variant(|variant| async move {
        let queues = queues(10_000);
        for (index, queue) in queues.iter().enumerate() {
            queue.try_put(index).unwrap();
        }
        let other = spawn(async {});
        let has_run = poll_once(pin!(task::gather(gets(&queues)))).await.is_some();
        assert!(!has_run, "one poll has a budget of {} at most, on {variant:?}", 128);
        other.await.unwrap();
        let left = queues.iter().filter(|queue| !queue.is_empty()).collect::<Vec<_>>();
        let outputs = task::gather(left.iter().map(async |queue| queue.get().await.unwrap())).await;
        assert!(outputs.is_sorted() && outputs.len() == left.len());
    });
}

#[test]
fn a_panic_of_one_ends_the_task_that_waits_and_drops_the_rest() {
    on_each_variant(|_| async {
        let dropped = Arc::new(AtomicUsize::new(0));
        let waits = spawn({
            let dropped = dropped.clone();
            async move {
                let futures = (0..5).map(|index| {
                    let dropped = NotesDrop(dropped.clone());
                    async move {
                        let _dropped = dropped;
                        assert_ne!(index, 2, "this one panics");
                        pending::<()>().await;
                    }
                });
                task::gather(futures).await
            }
        });
        assert!(waits.await.unwrap_err().is_panic());
        assert_eq!(dropped.load(SeqCst), 5);
    });
}

#[test]
fn a_dump_says_that_a_task_waits_for_several_futures_and_where() {
    on_each_variant(|_| async {
        let waits = spawn(async { task::gather([pending::<()>(), pending()]).await });
        let line = loop {
            let dump = whirligig::dump();
            let row = dump.tasks.iter().find(|row| row.id == waits.id()).unwrap();
            if row.waits.is_some() && !row.running {
                break row.to_string();
            }
            task::yield_now().await;
        };
        assert!(line.contains("waits for several futures at tests/together/many.rs"), "{line}");
        waits.cancel();
        assert!(waits.await.is_err());
    });
}

#[cfg(feature = "macros")]
#[test]
fn the_macros_work_by_our_name() {
    use whirligig::FutureExt as _;
    on_each_variant(|_| async {
        let queue = Queue::unbounded();
        let (got, ()) = whirligig::join!(async { queue.get().await.unwrap() }, async {
            queue.try_put(1).unwrap()
        });
        assert_eq!(got, 1);
        let both = whirligig::try_join!(async { Ok::<_, &str>(1) }, async { Err::<(), _>("no") });
        assert_eq!(both, Err("no"));
        let mut wins = [0; 2];
        for _ in 0..200 {
            whirligig::select! {
                () = ready(()).fuse() => wins[0] += 1,
                () = async {}.fuse() => wins[1] += 1,
            }
        }
        assert!(wins.iter().all(|&wins| wins > 20), "fair: {wins:?} of 200");
    });
}

#[derive(Debug, Clone)]
enum Act {
    /// The future of this index becomes ready.
    Complete(usize),
    /// One look at what is completed.
    Next,
}

/// What is promised of the order: the futures are first asked in the order given, and then in that of their wakes.
struct Model {
    /// Those to be asked.
    due: VecDeque<usize>,
    /// Those that were asked, and wake when they are completed.
    wait: Vec<bool>,
    completed: Vec<bool>,
}

impl Model {
    fn complete(&mut self, index: usize) -> bool {
        let is_first = !mem::replace(&mut self.completed[index], true);
        if is_first && self.wait[index] {
            self.due.push_back(index);
        }
        is_first
    }

    fn look(&mut self) -> Option<usize> {
        while let Some(index) = self.due.pop_front() {
            if self.completed[index] {
                self.wait[index] = false;
                return Some(index);
            }
            self.wait[index] = true;
        }
        None
    }
}

proptest! {
    #[test]
    fn as_completed_is_in_the_order_of_the_wakes(
        count in 1..20usize,
        acts in prop::collection::vec(
            prop_oneof![any::<usize>().prop_map(Act::Complete), Just(Act::Next)],
            0..60,
        ),
    ) {
        whirligig::run(async {
            let queues = queues(count);
            let mut completed = task::as_completed(gets(&queues));
            let (wait, done) = (vec![false; count], vec![false; count]);
            let mut model = Model { due: (0..count).collect(), wait, completed: done };
            let mut given = 0;
            for act in acts.into_iter().chain((0..count).map(Act::Complete)) {
                match act {
                    Act::Complete(index) => {
                        let index = index % count;
                        if model.complete(index) {
                            queues[index].try_put(index).unwrap();
                        }
                    }
                    Act::Next if given == count => {
                        assert_eq!(poll_once(completed.next()).await, Some(None));
                    }
                    Act::Next => {
                        let expected = model.look();
                        given += usize::from(expected.is_some());
                        assert_eq!(poll_once(completed.next()).await, expected.map(Some));
                    }
                }
            }
            while let Some(index) = completed.next().await {
                assert_eq!(Some(index), model.look());
                given += 1;
            }
            assert_eq!(given, count);
        });
    }
}
