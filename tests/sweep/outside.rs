//! Files, calls on a pool of threads, signals of the operating system: what goes on beside the loop goes on, and what a
//! cancelled wait would have been given is given to the next.
//!
//! Standard input is not here: a process has one. Of a pipe or a terminal it is read as the pipe in `io.rs`, and
//! `tests/stdio.rs` has programs of their own for the rest.

use std::{
    io::SeekFrom,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use futures_lite::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt, StreamExt};
use whirligig::{
    executor::ThreadPool,
    fs::{self, File},
    signal::{SignalKind, signal},
    spawn,
    task::{as_completed, yield_now},
};

use crate::{pause, sweep};

/// More than one batch of a file.
fn bytes() -> Vec<u8> {
    (0..200_000_u32).map(|number| (number % 251) as u8).collect()
}

#[test]
fn a_file_that_is_read() {
    sweep(|cut| async move {
        let mut file = tempfile::tempfile().unwrap();
        std::io::Write::write_all(&mut file, &bytes()).unwrap();
        let mut file = File::from_std(file);
        let (mut got, mut buffer) = (Vec::new(), vec![0; 50_000]);
        let ended = cut.run(async {
            file.seek(SeekFrom::Start(0)).await.unwrap();
            loop {
                match file.read(&mut buffer).await.unwrap() {
                    0 => break,
                    count => got.extend_from_slice(&buffer[..count]),
                }
            }
        });
        let ended = ended.await.is_some();
        // The seek may be done or not.
        if got.is_empty() {
            file.seek(SeekFrom::Start(0)).await.unwrap();
        }
        file.read_to_end(&mut got).await.unwrap();
        assert!(got == bytes(), "{} bytes, and some are others", got.len());
        ended
    });
}

#[test]
fn a_file_that_is_written() {
    sweep(|cut| async move {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let mut file = File::create(&path).await.unwrap();
        let (bytes, mut written) = (bytes(), 0);
        let ended = cut.run(async {
            while written < bytes.len() {
                written +=
                    file.write(&bytes[written..bytes.len().min(written + 1000)]).await.unwrap();
            }
            file.flush().await.unwrap();
        });
        let ended = ended.await.is_some();
        // What it has taken, and no more.
        file.close().await.unwrap();
        assert!(std::fs::read(&path).unwrap() == bytes[..written], "{written} were taken");
        ended
    });
}

#[test]
fn a_file_that_is_written_in_one_call() {
    sweep(|cut| async move {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let program = async {
            fs::write(&path, "x").await.unwrap();
            assert_eq!(fs::read_to_string(&path).await.unwrap(), "x");
        };
        let ended = cut.run(program).await.is_some();
        // A call that has begun goes on without its future.
        while !std::fs::read(&path).is_ok_and(|text| text == b"x") {
            yield_now().await;
        }
        ended
    });
}

#[test]
fn a_call_on_a_pool_of_threads() {
    sweep(|cut| async move {
        let pool = ThreadPool::new(1);
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = |calls: &Arc<AtomicUsize>| {
            let calls = calls.clone();
            move || {
                thread::sleep(Duration::from_millis(1));
                calls.fetch_add(1, SeqCst)
            }
        };
        // One that is given up before its end, and one after it in the line.
        let mut first = pool.submit(counted(&calls));
        let last = pool.submit(counted(&calls));
        let ended = cut.run(&mut first).await;
        let outcome = match ended {
            Some(outcome) => outcome,
            None => {
                assert_eq!(first.await, Ok(0));
                assert_eq!(last.await, Ok(1));
                return false;
            }
        };
        assert_eq!((outcome, last.await, calls.load(SeqCst)), (Ok(0), Ok(1), 2));
        true
    });
}

#[test]
fn outcomes_of_calls() {
    sweep(|cut| async move {
        let pool = ThreadPool::new(2);
        let slowly = |number: u32| {
            thread::sleep(Duration::from_micros(200));
            number
        };
        let mut mapped = pool.map(0..4, slowly).stream();
        let mut completed = as_completed((4..8).map(|number| pool.submit(move || slowly(number))));
        let mut got = Vec::new();
        let ended = cut.run(async {
            while let Some(number) = mapped.next().await {
                got.push(number.unwrap());
            }
            while let Some(number) = completed.next().await {
                got.push(number.unwrap());
            }
        });
        let ended = ended.await.is_some();
        while let Some(number) = mapped.next().await {
            got.push(number.unwrap());
        }
        while let Some(number) = completed.next().await {
            got.push(number.unwrap());
        }
        assert_eq!(got[..4], [0, 1, 2, 3], "in the order of the values");
        got.sort_unstable();
        assert_eq!(got, [0, 1, 2, 3, 4, 5, 6, 7], "each outcome once");
        ended
    });
}

#[test]
fn a_signal_of_the_operating_system() {
    // A real-time one, that nothing else uses.
    let kind = SignalKind::from_raw(40);
    sweep(|cut| async move {
        let (mut first, mut second) = (signal(kind).unwrap(), signal(kind).unwrap());
        let other = spawn(async move { second.recv().await });
        let sender = spawn(async move {
            pause().await;
            signal_hook::low_level::raise(kind.as_raw()).unwrap();
        });
        let heard = cut.run(first.recv()).await;
        sender.await.unwrap();
        other.await.unwrap().unwrap();
        match heard {
            Some(heard) => {
                heard.unwrap();
                true
            }
            None => {
                first.recv().await.expect("it was not lost");
                false
            }
        }
    });
}
