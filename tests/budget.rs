//! What other crates' futures can charge to a poll's budget: a task that drains a channel of another crate gives way
//! like one that drains ours. And what needs no turn of the loop is charged as well: the buffer of a file.

use std::{
    cell::Cell,
    future::poll_fn,
    io::SeekFrom,
    pin::Pin,
    rc::Rc,
    task::{Poll, ready},
};

use futures_channel::mpsc::{UnboundedReceiver, unbounded};
use futures_lite::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt, Stream};
use whirligig::{fs::File, spawn_local, task};

const ITEMS: usize = 1_000;

/// A channel of another crate, full.
fn full() -> UnboundedReceiver<usize> {
    let (sender, receiver) = unbounded();
    (0..ITEMS).for_each(|n| sender.unbounded_send(n).unwrap());
    receiver
}

/// How many items a task has taken when its neighbour has had its first turn.
fn taken_by_the_neighbours_turn(
    drain: impl AsyncFn(UnboundedReceiver<usize>, &Cell<usize>) + 'static,
) -> usize {
    whirligig::run(async move {
        let taken = Rc::new(Cell::new(0));
        let counts = taken.clone();
        let drains = spawn_local(async move { drain(full(), &counts).await });
        let neighbour = spawn_local({
            let taken = taken.clone();
            async move { taken.get() }
        });
        let seen = neighbour.await.unwrap();
        drains.await.unwrap();
        assert_eq!(taken.get(), ITEMS);
        seen
    })
}

#[test]
fn a_channel_of_another_crate_counts_nothing() {
    let seen = taken_by_the_neighbours_turn(async |mut receiver, taken| {
        while receiver.recv().await.is_ok() {
            taken.set(taken.get() + 1);
        }
    });
    assert_eq!(seen, ITEMS);
}

#[test]
fn unless_its_user_does() {
    let seen = taken_by_the_neighbours_turn(async |mut receiver, taken| {
        while receiver.recv().await.is_ok() {
            taken.set(taken.get() + 1);
            task::consume_budget().await;
        }
    });
    assert!((1..ITEMS).contains(&seen), "{seen}");
}

#[test]
fn or_the_leaf_that_wraps_it() {
    let seen = taken_by_the_neighbours_turn(async |mut receiver, taken| {
        let mut next = poll_fn(|cx| {
            let budget = ready!(task::poll_proceed(cx));
            let item = ready!(Pin::new(&mut receiver).poll_next(cx));
            budget.made_progress();
            Poll::Ready(item)
        });
        while (&mut next).await.is_some() {
            taken.set(taken.get() + 1);
        }
    });
    assert!((1..ITEMS).contains(&seen), "{seen}");
}

#[test]
fn a_task_gives_way_between_the_reads_and_writes_of_a_files_buffer() {
    whirligig::run(async {
        let done = Rc::new(Cell::new(0));
        let counts = done.clone();
        let copies = spawn_local(async move {
            let mut file = File::from_std(tempfile::tempfile()?);
            for _ in 0..ITEMS {
                file.write_all(b"x").await?;
                counts.set(counts.get() + 1);
            }
            file.seek(SeekFrom::Start(0)).await?;
            for _ in 0..ITEMS {
                file.read_exact(&mut [0]).await?;
                counts.set(counts.get() + 1);
            }
            std::io::Result::Ok(())
        });
        let (mut last, mut most) = (0, 0);
        while last < 2 * ITEMS {
            task::yield_now().await;
            most = most.max(done.get() - last);
            last = done.get();
        }
        copies.await.unwrap().unwrap();
        // All of either fits into the buffer.
        assert!(most <= 128, "{most} in one poll");
    });
}
