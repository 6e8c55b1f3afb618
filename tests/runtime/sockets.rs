//! Sockets on workers: where they stand, and in which order they are served.

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    sync::{Arc, Barrier, mpsc},
    thread,
};

use futures_util::{AsyncReadExt, AsyncWriteExt};
use whirligig::{
    Runtime,
    io::Source,
    net::{TcpListener, TcpStream},
    spawn,
};

use crate::Watchdog;

use crate::runtimes;

#[test]
fn sockets_work_on_workers_and_in_the_root_future() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let server = spawn(async move {
                for _ in 0..20 {
                    let (mut stream, _) = listener.accept().await.unwrap();
                    spawn(async move {
                        let mut buffer = [0; 64];
                        loop {
                            let n = stream.read(&mut buffer).await.unwrap();
                            if n == 0 {
                                break;
                            }
                            stream.write_all(&buffer[..n]).await.unwrap();
                        }
                    });
                }
            });
            let talk = move |n: u8| async move {
                let mut stream = TcpStream::connect(address).await.unwrap();
                for round in 0..50 {
                    let message = [n, round, 7];
                    stream.write_all(&message).await.unwrap();
                    let mut answer = [0; 3];
                    stream.read_exact(&mut answer).await.unwrap();
                    assert_eq!(answer, message);
                }
            };
            let clients: Vec<_> = (1..20).map(|n| spawn(talk(n))).collect();
            talk(0).await;
            for client in clients {
                client.await.unwrap();
            }
            server.await.unwrap();
        });
    }
}

#[test]
fn sources_that_become_ready_behind_a_full_queue_are_served_in_order() {
    // More than a worker's queue holds, and two descriptors each.
    const SOURCES: usize = 400;
    let runtime = Runtime::builder().worker_threads(1).build().unwrap();
    let (served, order) = mpsc::channel();
    let (waiting, begun) = mpsc::channel();
    let pairs = (0..SOURCES).map(|_| UnixStream::pair().unwrap());
    let (near, far): (Vec<_>, Vec<_>) = pairs.unzip();
    let read = |(number, near): (usize, UnixStream)| {
        let (served, waiting) = (served.clone(), waiting.clone());
        runtime.spawn(async move {
            let near = Source::new(near).unwrap();
            waiting.send(()).unwrap();
            near.read_with(|mut near| near.read(&mut [0])).await.unwrap();
            served.send(number).unwrap();
        })
    };
    let readers: Vec<_> = near.into_iter().enumerate().map(read).collect();
    (0..SOURCES).for_each(|_| begun.recv().unwrap());
    // The kernel has told of each once, that it can be written to. One that it still has to tell of
    // keeps the place that it was registered in.
    while runtime.stats()[0].events < SOURCES as u64 {
        thread::yield_now();
    }
    let before = runtime.stats()[0].overflowed;
    // Behind this poll, which the one worker is in, all become ready, one after the other.
    let write = async move { far.iter().for_each(|mut far| far.write_all(b"x").unwrap()) };
    runtime.spawn(write).wait().unwrap();
    readers.into_iter().for_each(|reader| reader.wait().unwrap());
    assert!(order.try_iter().eq(0..SOURCES));
    assert_eq!(runtime.stats()[0].overflowed, before, "none had to move to the injector");
}

/// One of the parked workers waits in the reactor, and hears of every socket, whichever worker's task
/// registered it.
#[test]
fn all_workers_have_their_sockets_in_one_reactor() {
    let _watchdog = Watchdog::new("sockets of several workers");
    const WORKERS: usize = 9;
    let runtime = Runtime::builder().worker_threads(WORKERS).build().unwrap();
    let all_here = Arc::new(Barrier::new(WORKERS));
    let wait_for_a_byte = |_| {
        let all_here = all_here.clone();
        let (near, far) = UnixStream::pair().unwrap();
        let reader = runtime.spawn(async move {
            // Blocks: so each is polled by a worker of its own.
            all_here.wait();
            let near = Source::new(near).unwrap();
            near.read_with(|mut near| near.read(&mut [0])).await.unwrap()
        });
        (reader, far)
    };
    let (readers, far): (Vec<_>, Vec<_>) = (0..WORKERS).map(wait_for_a_byte).unzip();
    let parked = |runtime: &Runtime| format!("{runtime:?}").contains("awake: 0");
    while runtime.dump().tasks.iter().any(|task| task.running || task.scheduled)
        || !parked(&runtime)
    {
        thread::yield_now();
    }
    far.iter().for_each(|mut far| far.write_all(b"x").unwrap());
    readers.into_iter().for_each(|reader| assert_eq!(reader.wait().unwrap(), 1));
}
