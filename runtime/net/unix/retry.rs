//! A second try, some time later, of what the kernel refuses for now without saying when it would not.
//!
//! There are two such calls: connecting to a Unix listener whose backlog is full, and sending a datagram to a
//! Unix socket whose queue others have filled. A blocking call would wait; one that does not block fails with
//! `WouldBlock`, and no event follows. So they are tried again after 1 millisecond, then after twice that each time, up
//! to 64.
//!
//! **Alternative:** to return the `WouldBlock`, as tokio does. Then each caller writes this loop, once a loaded
//! server has shown that it is needed.

use std::{
    panic::Location,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use crate::time::{Sleep, sleep};

const FIRST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_millis(64);

#[derive(Debug)]
pub(super) struct Retry {
    sleep: Option<Sleep>,
    next: Duration,
    location: &'static Location<'static>,
}

impl Retry {
    pub(super) fn new(location: &'static Location<'static>) -> Self {
        Self { sleep: None, next: FIRST, location }
    }

    /// It was refused: the next try is some time from now.
    pub(super) fn refused(&mut self) {
        let mut sleep = sleep(self.next);
        sleep.set_location(self.location);
        self.sleep = Some(sleep);
        self.next = (self.next * 2).min(LONGEST);
    }

    pub(super) fn is_waiting(&self) -> bool {
        self.sleep.is_some()
    }

    /// Ready when it may be tried.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(sleep) = &mut self.sleep {
            ready!(Pin::new(sleep).poll(cx));
            self.sleep = None;
        }
        Poll::Ready(())
    }
}
