//! Events, cells, channels, tokens: what is over for all, or comes once.

use std::sync::Arc;

use whirligig::{
    spawn,
    sync::{Barrier, Condition, Event, Mutex, OnceCell, broadcast, mpsc, oneshot, watch},
    task::{CancelToken, yield_now},
};

use crate::{pause, sweep};

#[test]
fn an_event() {
    sweep(|cut| async move {
        let event = Arc::new(Event::new());
        let [other, setter] = [event.clone(), event.clone()];
        let other = spawn(async move { other.wait().await });
        let setter = spawn(async move {
            pause().await;
            setter.set();
        });
        let ended = cut.run(event.wait()).await.is_some();
        setter.await.unwrap();
        other.await.unwrap();
        event.wait().await;
        ended
    });
}

#[test]
fn a_cell_whose_initialiser_is_given_up() {
    sweep(|cut| async move {
        let cell = Arc::new(OnceCell::new());
        let initialise = |cell: Arc<OnceCell<u32>>, value: u32| async move {
            let init = || async move {
                pause().await;
                value
            };
            *cell.get_or_init(init).await
        };
        let other = spawn(initialise(cell.clone(), 1));
        yield_now().await;
        let third = spawn(initialise(cell.clone(), 2));
        let ended = cut.run(initialise(cell.clone(), 3)).await;
        let values = [other.await.unwrap(), third.await.unwrap(), *cell.get().unwrap()];
        assert!(values.iter().all(|value| *value == values[0]), "{values:?}");
        assert!(ended.is_none_or(|value| value == values[0]));
        ended.is_some()
    });
}

#[test]
fn a_channel_for_one_value() {
    sweep(|cut| async move {
        let (sender, mut receiver) = oneshot::channel();
        let sender = spawn(async move {
            pause().await;
            sender.send(7)
        });
        let ended = cut.run(&mut receiver).await;
        sender.await.unwrap().expect("the receiver is there");
        match ended {
            Some(value) => assert_eq!(value, Ok(7)),
            None => assert_eq!(receiver.await, Ok(7), "it was not lost"),
        }
        ended.is_some()
    });
}

#[test]
fn a_channel_for_the_latest_value() {
    sweep(|cut| async move {
        let (sender, mut receiver) = watch::channel(0);
        let sender = spawn(async move {
            for n in 1..=3 {
                pause().await;
                sender.send(n).unwrap();
            }
            sender
        });
        let ended = cut.run(async {
            receiver.changed().await.unwrap();
            receiver.wait_for(|n| *n == 3).await.map(drop).unwrap();
        });
        let ended = ended.await.is_some();
        let sender = sender.await.unwrap();
        assert_eq!(*receiver.wait_for(|n| *n == 3).await.unwrap(), 3);
        assert_eq!(sender.receiver_count(), 1);
        ended
    });
}

#[test]
fn a_channel_of_which_each_gets_all() {
    sweep(|cut| async move {
        let (sender, mut receiver) = broadcast::channel(8);
        let sender = spawn(async move {
            for n in 1..=3 {
                pause().await;
                sender.send(n).unwrap();
            }
        });
        let mut got = Vec::new();
        let ended = cut.run(async {
            while let Ok(n) = receiver.recv().await {
                got.push(n);
            }
        });
        let ended = ended.await.is_some();
        while let Ok(n) = receiver.recv().await {
            got.push(n);
        }
        sender.await.unwrap();
        assert_eq!(got, [1, 2, 3]);
        ended
    });
}

#[test]
fn a_channel_with_two_ends() {
    sweep(|cut| async move {
        let (sender, mut receiver) = mpsc::channel(1);
        let other = spawn({
            let sender = sender.clone();
            async move {
                for n in [1, 2, 3] {
                    sender.send(n).await.unwrap();
                }
            }
        });
        let mut got = Vec::new();
        let mut sent = false;
        let ended = cut.run(async {
            for _ in 0..3 {
                got.push(receiver.recv().await.unwrap());
            }
            sender.reserve().await.unwrap().send(100).unwrap();
            sent = true;
        });
        let ended = ended.await.is_some();
        drop(sender);
        while let Some(n) = receiver.recv().await {
            got.push(n);
        }
        other.await.unwrap();
        got.sort_unstable();
        assert_eq!(got[..3], [1, 2, 3]);
        assert_eq!(got[3..], [100][..usize::from(sent)]);
        ended
    });
}

#[test]
fn a_condition() {
    sweep(|cut| async move {
        let shared = Arc::new((Mutex::new(0), Condition::new()));
        let waits = |shared: Arc<(Mutex<i32>, Condition)>| async move {
            let (lock, changed) = &*shared;
            let mut tokens = changed.wait_for(lock.lock().await, |tokens| *tokens > 0).await;
            *tokens -= 1;
        };
        let other = spawn(waits(shared.clone()));
        let notifier = spawn({
            let shared = shared.clone();
            async move {
                for _ in 0..2 {
                    pause().await;
                    *shared.0.lock().await += 1;
                    shared.1.notify_one();
                }
            }
        });
        let ended = cut.run(waits(shared.clone())).await.is_some();
        notifier.await.unwrap();
        other.await.expect("a notification that one gave up went to the other");
        let left = *shared.0.try_lock().expect("nobody has the lock");
        assert!(left == i32::from(!ended), "{left}");
        assert_eq!(shared.1.waiters(), 0);
        ended
    });
}

#[test]
fn a_barrier() {
    sweep(|cut| async move {
        let barrier = Arc::new(Barrier::new(2));
        let ended = cut.run(async {
            let other = spawn({
                let barrier = barrier.clone();
                async move {
                    pause().await;
                    barrier.wait().await.map(drop)
                }
            });
            barrier.wait().await.unwrap();
            other.await.unwrap().unwrap();
        });
        let ended = ended.await.is_some();
        // One that is still on its way finds nobody.
        for _ in 0..20 {
            yield_now().await;
        }
        barrier.abort();
        assert_eq!(barrier.waiters(), 0);
        ended
    });
}

#[test]
fn a_token() {
    sweep(|cut| async move {
        let token = CancelToken::new();
        let child = token.child_token();
        let canceller = spawn({
            let token = token.clone();
            async move {
                pause().await;
                token.cancel();
            }
        });
        let ended = cut.run(async {
            assert!(child.run_until_cancelled(std::future::pending::<()>()).await.is_none());
            child.cancelled().await;
        });
        let ended = ended.await.is_some();
        canceller.await.unwrap();
        assert!(child.is_cancelled());
        ended
    });
}
