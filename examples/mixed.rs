//! Eleven calls of three kinds, each where it belongs: the program that unsync is shown with.
//!
//! ```text
//! cargo run --release --example mixed
//! ```
//!
//! - Three compute: `executor::cpu`, rayon's threads, one a processor.
//! - Four wait for an answer from a server: futures, polled by one task in turn.
//! - Four block: `spawn_blocking`, a thread each.
//!
//! One sees the eleven results in the order of the calls, and that all of it takes about as long as the longest. unsync
//! has one decorator, which looks at the function and chooses. Here the caller says it, and each way gives something to
//! be awaited. What computes needs no other process: threads of Rust run at once.

use std::{
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use futures_lite::{AsyncBufReadExt, AsyncWriteExt, StreamExt, io::BufReader};
use whirligig::{
    executor, join,
    net::{TcpListener, TcpStream},
    spawn_local,
    task::{spawn_blocking, try_gather},
    time::sleep,
};

fn main() -> anyhow::Result<()> {
    whirligig::run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let server = spawn_local(serve(listener));

        let start = Instant::now();
        // Calls on threads begin here. The futures begin when they are polled, in the `join!`.
        let computed =
            [300_000, 200_000, 100_000].map(|count| executor::cpu(move || compute(count)));
        let pages = ["one", "three", "seven hundred", "twelve"];
        let downloaded = pages.map(|page| download(address, page));
        let waited = [4, 3, 2, 1].map(|number| spawn_blocking(move || wait(number)));
        let (computed, downloaded, waited) =
            join!(try_gather(computed), try_gather(downloaded), try_gather(waited));
        println!("Results: {:?}", [computed?, downloaded?, waited?].concat());
        println!("Eleven calls took {:.2} sec.", start.elapsed().as_secs_f64());
        server.cancel();
        Ok(())
    })
}

/// It computes.
fn compute(count: u32) -> u64 {
    (0..count).map(|number| f64::from(number).sqrt()).sum::<f64>() as u64
}

/// It waits for a server.
async fn download(address: SocketAddr, page: &str) -> anyhow::Result<u64> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(format!("{page}\n").as_bytes()).await?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).await?;
    Ok(answer.trim().parse()?)
}

/// It blocks its thread.
fn wait(number: u32) -> u64 {
    thread::sleep(Duration::from_millis(100) * number);
    u64::from(number)
}

/// Answers each line with its length, after a while.
async fn serve(listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        spawn_local(async move {
            let (reader, mut writer) = stream.into_split();
            let mut lines = BufReader::new(reader).lines();
            while let Some(line) = lines.next().await.transpose()? {
                sleep(Duration::from_millis(300)).await;
                writer.write_all(format!("{}\n", line.len()).as_bytes()).await?;
            }
            std::io::Result::Ok(())
        });
    }
}
