//! Timers, and what has a rate.

use std::{sync::Arc, time::Duration};

use whirligig::{
    spawn,
    sync::RateLimiter,
    time::{interval, sleep, timeout},
};

use crate::{pause, sweep};

const SHORT: Duration = Duration::from_micros(200);
const LONG: Duration = Duration::from_secs(1000);

#[test]
fn sleeps_and_intervals_and_timeouts() {
    sweep(|cut| async move {
        let program = async {
            sleep(SHORT).await;
            let mut ticks = interval(SHORT);
            ticks.tick().await;
            ticks.tick().await;
            assert!(timeout(SHORT, std::future::pending::<()>()).await.is_err());
            assert!(timeout(LONG, pause()).await.is_ok());
        };
        cut.run(program).await.is_some()
    });
}

#[test]
fn a_rate() {
    sweep(|cut| async move {
        let limiter = Arc::new(RateLimiter::new(1, SHORT));
        let others = [1, 2].map(|_| {
            let limiter = limiter.clone();
            spawn(async move { limiter.acquire().await })
        });
        let ended = cut.run(async {
            limiter.acquire().await;
            limiter.acquire().await;
        });
        let ended = ended.await.is_some();
        for other in others {
            other.await.unwrap();
        }
        limiter.acquire().await;
        ended
    });
}
