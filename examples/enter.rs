//! Two threads produce until Enter is pressed.
//!
//! ```text
//! cargo run --example enter
//! ```
//!
//! One sees items of both, and after Enter that they have stopped; then the program ends.
//!
//! A thread cannot be cancelled from outside. These two end because the queue is closed: the next `put` fails. The
//! consumer is a future and can be: it is dropped as soon as a line has been read. Python's threads are daemons, which
//! the end of the process cuts off wherever they are.

use std::{io, sync::Arc, thread, time::Duration};

use futures_lite::{AsyncBufReadExt, FutureExt, StreamExt, io::BufReader};
use whirligig::{io::stdin, queue::Queue, task::spawn_blocking};

type Items = Queue<(&'static str, u64)>;

fn main() -> io::Result<()> {
    whirligig::run(async {
        println!("Press enter to cancel...");
        let items = Arc::new(Items::unbounded());
        let producers = ["Producer 1", "Producer 2"].map(|name| {
            let items = Arc::clone(&items);
            spawn_blocking(move || produce(name, &items))
        });

        // Whichever ends first; the other is dropped.
        enter().or(consume(&items)).await?;
        println!("Cancelling on your request!");
        items.close();
        for producer in producers {
            producer.await.expect("it does not panic");
        }
        Ok(())
    })
}

/// A line was read. The end of the input will do as well.
async fn enter() -> io::Result<()> {
    BufReader::new(stdin()?).lines().next().await.transpose()?;
    Ok(())
}

/// Runs on a thread, and ends once the queue is closed.
fn produce(name: &'static str, items: &Items) {
    let mut numbers = 1..;
    while items.put_blocking((name, numbers.next().expect("they do not end"))).is_ok() {
        thread::sleep(Duration::from_millis(100));
    }
}

async fn consume(items: &Items) -> io::Result<()> {
    while let Ok((name, number)) = items.get().await {
        println!(" -- {name} generated item {number}");
    }
    Ok(())
}
