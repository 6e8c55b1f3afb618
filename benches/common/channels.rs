//! Channels: one text for both sides, as far as their interfaces agree.
//!
//! Each program is an `async fn`, run on the event loop and tokio's current-thread runtime, and on both multi-threaded
//! ones. What it spawns may be sent to other threads on either side. Called by `benches/sync_channels.rs`.
//!
//! - `oneshot`: a task makes a channel, sends and receives, with no other task: the bare cost of the channel.
//! - `request`: a task sends another one a oneshot's sender, by an unbounded channel, and awaits the answer.
//! - `mpsc`: one or four tasks send 8,000 items together, one receives; room for 64, or for all.
//! - `broadcast`: one task sends 1,000 values and gives way after every tenth; four receive.
//! - `watch`: two tasks answer each other, by a watch channel each way.

/// Channels made, or items, values and round trips, of each program in one run.
pub(crate) mod operations {
    pub(crate) const ONESHOT: u64 = 1_000;
    pub(crate) const REQUEST: u64 = 1_000;
    pub(crate) const MPSC: u64 = 8_000;
    pub(crate) const BROADCAST: u64 = 1_000;
    pub(crate) const WATCH: u64 = 1_000;
}

/// The programs of one side: whose channels, whose `spawn` and `yield_now`, and what sends without bound.
macro_rules! programs {
    ($side:ident, $sync:path, $spawn:path, $yield_now:path, $unbounded:path, $send:ident) => {
        pub(crate) mod $side {
            use $spawn as spawn;
            use $sync::{broadcast, mpsc, oneshot, watch};
            use $unbounded as unbounded;
            use $yield_now as yield_now;

            use super::operations::{BROADCAST, MPSC, ONESHOT, REQUEST, WATCH};

            pub(crate) async fn oneshot() {
                let mut sum = 0;
                for n in 0..ONESHOT {
                    let (sender, receiver) = oneshot::channel();
                    sender.send(n).expect("the receiver is there");
                    sum += receiver.await.expect("the sender has sent");
                }
                assert_eq!(sum, ONESHOT * (ONESHOT - 1) / 2);
            }

            pub(crate) async fn request() {
                let (sender, mut receiver) = unbounded();
                let server = spawn(async move {
                    let mut count = 0;
                    while let Some((n, answer)) = receiver.recv().await {
                        let answer: oneshot::Sender<u64> = answer;
                        answer.send(n).expect("the client waits");
                        count += 1;
                    }
                    count
                });
                let client = spawn(async move {
                    let mut sum = 0;
                    for n in 0..REQUEST {
                        let (answer, answered) = oneshot::channel();
                        assert!(sender.$send((n, answer)).is_ok(), "the server is there");
                        sum += answered.await.expect("the server answers");
                    }
                    sum
                });
                assert_eq!(client.await.expect("no panic"), REQUEST * (REQUEST - 1) / 2);
                assert_eq!(server.await.expect("no panic"), REQUEST);
            }

            pub(crate) async fn mpsc(senders: u64) {
                let (sender, mut receiver) = mpsc::channel(64);
                for _ in 0..senders {
                    let sender = sender.clone();
                    drop(spawn(async move {
                        for n in 0..MPSC / senders {
                            sender.send(n).await.expect("the receiver is there");
                        }
                    }));
                }
                drop(sender);
                let receiving = spawn(async move {
                    let mut sum = 0;
                    while let Some(n) = receiver.recv().await {
                        sum += n;
                    }
                    sum
                });
                assert_eq!(receiving.await.expect("no panic"), sum_of_all(senders));
            }

            pub(crate) async fn mpsc_unbounded(senders: u64) {
                let (sender, mut receiver) = unbounded();
                for _ in 0..senders {
                    let sender = sender.clone();
                    drop(spawn(async move {
                        for n in 0..MPSC / senders {
                            sender.$send(n).expect("the receiver is there");
                            if n % 64 == 63 {
                                yield_now().await;
                            }
                        }
                    }));
                }
                drop(sender);
                let receiving = spawn(async move {
                    let mut sum = 0;
                    while let Some(n) = receiver.recv().await {
                        sum += n;
                    }
                    sum
                });
                assert_eq!(receiving.await.expect("no panic"), sum_of_all(senders));
            }

            fn sum_of_all(senders: u64) -> u64 {
                let each = MPSC / senders;
                senders * (each * (each - 1) / 2)
            }

            pub(crate) async fn broadcast() {
                let (sender, receiver) = broadcast::channel(BROADCAST as usize);
                let receiving = [(); 4].map(|()| {
                    let mut receiver = receiver.resubscribe();
                    spawn(async move {
                        let mut sum = 0;
                        while let Ok(n) = receiver.recv().await {
                            sum += n;
                        }
                        sum
                    })
                });
                drop(receiver);
                let sending = spawn(async move {
                    for n in 0..BROADCAST {
                        sender.send(n).expect("the receivers are there");
                        if n % 10 == 9 {
                            yield_now().await;
                        }
                    }
                });
                sending.await.expect("no panic");
                for task in receiving {
                    assert_eq!(task.await.expect("no panic"), BROADCAST * (BROADCAST - 1) / 2);
                }
            }

            pub(crate) async fn watch() {
                let (there, mut heard) = watch::channel(0);
                let (back, mut answered) = watch::channel(0);
                let echo = spawn(async move {
                    while heard.changed().await.is_ok() {
                        let n = *heard.borrow_and_update();
                        back.send(n).expect("the other is there");
                    }
                });
                let asking = spawn(async move {
                    for n in 1..=WATCH {
                        there.send(n).expect("the other is there");
                        answered.changed().await.expect("the other is there");
                        assert_eq!(*answered.borrow_and_update(), n);
                    }
                });
                asking.await.expect("no panic");
                echo.await.expect("no panic");
            }
        }
    };
}

programs!(
    ours,
    whirligig::sync,
    whirligig::spawn,
    whirligig::task::yield_now,
    whirligig::sync::mpsc::unbounded,
    try_send
);
programs!(
    theirs,
    tokio::sync,
    tokio::spawn,
    tokio::task::yield_now,
    tokio::sync::mpsc::unbounded_channel,
    send
);
