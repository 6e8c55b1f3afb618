//! One source, several loops: who watches it, and for how long.
//!
//! A loop tells of an event when it turns. So while somebody waits at one loop, another that comes to wait may
//! not take the watch away from it, nor what it has been told; and a watch that serves nobody must not last.

use std::{
    io::{PipeReader, Read, Write, pipe},
    net,
    pin::pin,
    sync::Arc,
    thread,
};

use futures_lite::{AsyncReadExt, future::block_on};
use rustix::event::PollFlags;
use whirligig::{io::Source, task::yield_now};

use sockets::{event_loop, must_wait, pair_with_std, run, run_on, sources, wait_in_kernel};

mod sockets;

async fn read(source: &Source<PipeReader>) -> u8 {
    let mut byte = [0];
    source.read_with(|mut pipe| pipe.read(&mut byte)).await.unwrap();
    byte[0]
}

/// While a task of one loop waits, another loop waits for the same source, and then does something else:
/// its thread computes, or its `block_on` has returned. The first one hears of the event all the same.
#[test]
fn a_loop_that_does_not_turn_keeps_nothing_from_another() {
    let (reader, mut writer) = pipe().unwrap();
    let source = Arc::new(Source::new(reader).unwrap());
    let (ours, _) = event_loop();
    let waits = source.clone();
    let task = ours.spawn_local(async move { read(&waits).await });
    ours.block_on(yield_now());
    let (other, _) = event_loop();
    other.block_on(async { must_wait(&mut pin!(source.readable())).await });
    assert_eq!((sources(&ours), sources(&other)), (1, 1), "both watch");
    writer.write_all(b"x").unwrap();
    assert_eq!(run_on(&ours, task).unwrap(), b'x');

    drop(Arc::into_inner(source).unwrap());
    ours.block_on(yield_now());
    other.block_on(yield_now());
    assert_eq!((sources(&ours), sources(&other)), (0, 0), "neither does any more");
}

/// A waiter that is left behind, by a read of the traits that was given up, does not keep its loop watching for
/// ever once another loop has the source to itself.
#[test]
fn a_watch_that_nobody_asks_for_ends() {
    let (mut ours, peer) = pair_with_std();
    let (first, _) = event_loop();
    let (second, _) = event_loop();
    first.block_on(async {
        let mut byte = [0];
        must_wait(&mut AsyncReadExt::read(&mut ours, &mut byte)).await;
    });
    run_on(&second, async {
        let mut byte = [0];
        for _ in 0..200 {
            must_wait(&mut pin!(ours.read(&mut byte))).await;
            (&peer).write_all(b"x").unwrap();
            ours.read_exact(&mut byte).await.unwrap();
        }
    });
    first.block_on(yield_now());
    assert_eq!((sources(&first), sources(&second)), (0, 1));
}

/// A loop that may not watch asks in vain, and takes nothing from the one that does: that one has been told of the
/// end already, and is not told again.
#[test]
fn a_refused_watch_takes_no_knowledge_from_another_loop() {
    run(async {
        let (mut ours, peer) = pair_with_std();
        must_wait(&mut pin!(ours.as_source().readable())).await;
        (&peer).write_all(&[1; 10]).unwrap();
        peer.shutdown(net::Shutdown::Write).unwrap();
        wait_in_kernel(&ours, PollFlags::RDHUP);
        ours.as_source().readable().await.unwrap();
        let runtime = whirligig::Runtime::builder().worker_threads(1).build().unwrap();
        let handle = runtime.handle();
        drop(runtime);
        thread::scope(|scope| {
            let guest = scope.spawn(|| {
                let _entered = handle.enter();
                block_on(ours.as_source().readable()).unwrap_err()
            });
            assert!(guest.join().unwrap().to_string().contains("shut down"));
        });
        let mut all = Vec::new();
        assert_eq!(ours.read_to_end(&mut all).await.unwrap(), 10);
    });
}
