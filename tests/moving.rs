//! Sockets and timers that move: made on one worker, waited for on another, dropped on a third thread,
//! and to and fro between a runtime and an event loop. Nothing may be left behind.
//!
//! It is one test in a program of its own, since it counts the process's descriptors.

use std::{
    fs,
    io::{PipeReader, PipeWriter, Read, Write, pipe},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use futures_channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use futures_lite::future::poll_once;
use whirligig::{EventLoop, Runtime, io::Source, spawn, task, time};

/// What moves: the reading end of a pipe that has been waited for where it was, a timer that has
/// been inserted where it was, and the writing end.
struct Moving {
    reader: Source<PipeReader>,
    writer: PipeWriter,
    timer: Pin<Box<time::Sleep>>,
    moves_left: usize,
}

const ALL: usize = 2_000;
/// At the same time, so that the process's descriptors suffice.
const GROUP: usize = 100;
const MOVES: usize = 4;

impl Moving {
    fn new(n: usize) -> Self {
        let (reader, writer) = pipe().unwrap();
        // Some are due at once, some soon, some never.
        let delay = [Duration::ZERO, Duration::from_micros(200), Duration::MAX][n % 3];
        Self {
            reader: Source::new(reader).unwrap(),
            writer,
            timer: Box::pin(time::sleep(delay)),
            moves_left: MOVES,
        }
    }

    /// Waits here for the pipe, and for a moment for the timer.
    async fn wait_here(mut self) -> Self {
        let byte = self.moves_left as u8;
        let mut read = [0];
        {
            let mut reading = Box::pin(self.reader.read_with(|mut pipe| pipe.read(&mut read)));
            assert!(poll_once(&mut reading).await.is_none(), "nothing was written");
            self.writer.write_all(&[byte]).unwrap();
            task::yield_now().await;
            assert_eq!(reading.await.unwrap(), 1);
        }
        assert_eq!(read, [byte]);
        let _ = poll_once(&mut self.timer).await;
        self.moves_left -= 1;
        self
    }
}

/// Takes in what comes, and sends on what has moves left. Every other timer is waited for at the end,
/// if it ever ends.
async fn take_in(
    mut arrivals: UnboundedReceiver<Moving>,
    onward: UnboundedSender<Moving>,
    finished: Arc<AtomicUsize>,
) {
    while let Ok(moving) = arrivals.recv().await {
        let (onward, finished) = (onward.clone(), finished.clone());
        drop(spawn(async move {
            let moving = moving.wait_here().await;
            if moving.moves_left > 0 {
                // Refused, it is dropped here: then the test is over, and failing.
                onward.unbounded_send(moving).unwrap();
                return;
            }
            let Moving { timer, reader, .. } = moving;
            drop(reader);
            if timer.deadline() < time::Instant::now() + Duration::from_secs(1) {
                timer.await;
            }
            finished.fetch_add(1, SeqCst);
        }));
    }
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn nothing_is_left_behind() {
    let before = descriptors();
    let finished = Arc::new(AtomicUsize::new(0));
    let runtime = Runtime::builder().worker_threads(2).build().unwrap();
    let (to_runtime, at_runtime) = unbounded();
    let (to_loop, at_loop) = unbounded();
    let (back, counted) = (to_runtime.clone(), finished.clone());
    let event_loop = thread::spawn(move || {
        let event_loop = EventLoop::new().unwrap();
        event_loop.block_on(take_in(at_loop, back, counted));
        // What was dropped elsewhere has been posted here.
        event_loop.turn(Some(Duration::ZERO)).unwrap();
        let text = format!("{event_loop:?}");
        assert!(text.contains("Timers { len: 0") && text.contains("sources: 0"), "{text}");
    });
    let of_runtime = runtime.spawn(take_in(at_runtime, to_loop.clone(), finished.clone()));
    for group in 0..ALL / GROUP {
        for n in 0..GROUP {
            let start = if n % 2 == 0 { &to_runtime } else { &to_loop };
            start.unbounded_send(Moving::new(n)).unwrap();
        }
        while finished.load(SeqCst) < (group + 1) * GROUP {
            thread::yield_now();
        }
    }
    // Both ends of both channels.
    to_runtime.close_channel();
    to_loop.close_channel();
    of_runtime.wait().unwrap();
    event_loop.join().unwrap();
    let text = loop {
        // The last to count itself has yet to leave the list.
        let text = format!("{runtime:?}");
        if text.contains("tasks: 0") {
            break text;
        }
        thread::yield_now();
    };
    assert!(text.contains("sources: 0") && text.contains("timers: 0"), "{text}");
    drop(runtime);
    assert_eq!(descriptors(), before);
}
