//! Events, cells, channels, tokens: what is over for all, or comes once.

use std::sync::Arc;

use whirligig::{
    spawn,
    sync::{Event, OnceCell, broadcast, oneshot, watch},
    task::yield_now,
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
