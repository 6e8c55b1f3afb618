//! The first program: a greeting that takes five seconds.
//!
//! ```text
//! cargo run --example hello
//! cargo run --example hello -- --fast
//! ```
//!
//! One sees `Hello...`, five seconds later `World!`, and then a line that is printed by ordinary
//! code again, after the event loop has ended. With `--fast` the same function runs on a test
//! clock, which jumps to the next deadline whenever nothing else can happen: no waiting, the same
//! output.

use std::{io, time::Duration};

use clap::Parser;
use whirligig::{
    EventLoop,
    time::{TestClock, sleep},
};

/// Prints `Hello...`, and `World!` five seconds later.
#[derive(Parser)]
struct Options {
    /// Run on the test clock, where five seconds pass at once
    #[arg(long)]
    fast: bool,
}

async fn hello() {
    println!("Hello...");
    sleep(Duration::from_secs(5)).await;
    println!("World!");
}

fn main() -> io::Result<()> {
    let options = Options::parse();
    if options.fast {
        let event_loop = EventLoop::builder().test_clock(&TestClock::new()).build()?;
        event_loop.block_on(hello());
    } else {
        whirligig::run(hello());
    }
    println!("Hello Outside coroutines");
    Ok(())
}
