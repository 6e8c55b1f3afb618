//! What cannot be awaited, and what goes on although nobody awaits it any more.
//!
//! ```text
//! cargo run --example beside -- epoll
//! cargo run --example beside -- dropped
//! ```
//!
//! `epoll` asks the kernel to watch a pipe, a child process and a file, and shows what it says. Of a file it says that
//! this is not permitted: a file is never *not ready*, so there is nothing to wait for, and a read of it blocks.
//!
//! `dropped` drops six things before they are done. A future is gone, with all that it had not done. What runs beside the
//! loop is not inside the future that waits for it: that goes on, unless it can be taken back or killed.

use std::{fs, io, sync::mpsc};

use clap::Parser;
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use whirligig::{
    EventLoop,
    io::{Source, pipe},
    process::{ChildStdout, Command, Stdio},
    spawn_local, task,
};

/// What runs beside the loop.
#[derive(Parser)]
enum Options {
    /// What the kernel can watch, and what it cannot
    Epoll,
    /// What becomes of that which is dropped
    Dropped,
}

fn main() -> anyhow::Result<()> {
    match Options::parse() {
        Options::Epoll => whirligig::run(epoll()),
        Options::Dropped => EventLoop::builder().blocking_threads(1).build()?.block_on(dropped()),
    }
}

async fn epoll() -> anyhow::Result<()> {
    let (reader, mut writer) = pipe()?;
    let waiting = spawn_local(async move { reader.read(&mut [0]).await });
    task::yield_now().await; // it waits
    writer.write_all(b"x").await?;
    println!("a pipe: {} byte, and the task was woken for it", waiting.await??);

    let status = Command::new("true").status().await?;
    println!("a child: {status}, and the task was woken for it");

    let file = Source::new(fs::File::open("/proc/self/exe")?)?;
    // An operation that finds nothing to do has the descriptor watched.
    let nothing = |_: &fs::File| -> io::Result<()> { Err(io::ErrorKind::WouldBlock.into()) };
    match file.read_with(nothing).await {
        Ok(()) => println!("a file: watched"),
        Err(error) => println!("a file: {error}"),
    }
    Ok(())
}

async fn dropped() -> anyhow::Result<()> {
    // The one thread of the pool is occupied until it is let go.
    let (go, is_gone) = mpsc::channel::<()>();
    let (tell, told) = mpsc::channel();
    let begun = {
        let tell = tell.clone();
        task::spawn_blocking(move || {
            let _ = is_gone.recv();
            tell.send("a call that had begun: it went on")
        })
    };
    let in_line = {
        let tell = tell.clone();
        task::spawn_blocking(move || tell.send("a call in line: it was made all the same"))
    };
    let taken_back = task::spawn_blocking(move || tell.send("a call taken back: never seen"));

    let future = async { println!("a future: never seen") };
    drop(future);
    println!("a future: nothing of it happened");

    println!(
        "a call taken back: {}",
        if taken_back.cancel() { "it never began" } else { "too late" }
    );
    drop((begun, in_line, taken_back));
    drop(go);
    // After both in the line; and there is no third, for its sender is gone with it.
    for line in task::spawn_blocking(move || told.iter().collect::<Vec<_>>()).await? {
        println!("{line}");
    }

    let (child, output) = start(false)?;
    drop(child);
    println!("a child: {}", said(output).await?);
    let (child, output) = start(true)?;
    drop(child);
    println!("a child with kill_on_drop: {}", said(output).await?);
    Ok(())
}

/// A child that speaks once its input has ended, which is when it is dropped.
fn start(kill_on_drop: bool) -> anyhow::Result<(whirligig::process::Child, ChildStdout)> {
    let mut command = Command::new("sh");
    let script = if kill_on_drop { "exec sleep 1000" } else { "read line; echo it went on" };
    command.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.kill_on_drop(kill_on_drop).spawn()?;
    let output = child.stdout.take().expect("its output is piped");
    Ok((child, output))
}

/// What it says until it has ended.
async fn said(mut output: ChildStdout) -> anyhow::Result<String> {
    let mut said = String::new();
    output.read_to_string(&mut said).await?;
    Ok(if said.is_empty() { "it was killed".to_owned() } else { said.trim_end().to_owned() })
}
