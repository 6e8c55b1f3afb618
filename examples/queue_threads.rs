//! A producer and a consumer: two threads, a queue between them, and no event loop.
//!
//! ```text
//! cargo run --example queue_threads
//! ```
//!
//! One sees five items consumed, and the program ends: the producer closes the queue, and `get`
//! gives an error once the closed queue is empty. Python's queue cannot be closed (before 3.13). There
//! a program needs an item that means the end, and one that forgets it never ends.
//!
//! It is the async queue. A task waits in it with `put` and `get`, a thread with `put_blocking` and
//! `get_blocking`, and both may use one queue.

use std::thread;

use whirligig::queue::Queue;

fn main() {
    let items = Queue::unbounded();
    // The scope joins both threads, so they may borrow the queue.
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..5 {
                items.put_blocking(number).expect("it is closed below, not here");
            }
            items.close();
        });
        scope.spawn(|| {
            while let Ok(number) = items.get_blocking() {
                println!("Consumed {number}");
            }
        });
    });
}
