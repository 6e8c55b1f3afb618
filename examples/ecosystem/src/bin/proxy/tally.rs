//! The figures of the proxy's last line.
//!
//! What must hold: each connection counts once, by what became of it. One that is dropped on its way, because the
//! proxy's time was over, counts as cut off. What it has moved until then counts as well.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Instant,
};

use crate::relay::{Failure, Traffic};

/// All connections.
pub(crate) struct Tally {
    begun: Instant,
    open: AtomicUsize,
    most_open: AtomicUsize,
    relayed: AtomicUsize,
    unreachable: AtomicUsize,
    idle: AtomicUsize,
    broken: AtomicUsize,
    cut_off: AtomicUsize,
    from_clients: AtomicU64,
    to_clients: AtomicU64,
}

impl Tally {
    pub(crate) fn new() -> Self {
        let [open, most_open, relayed, unreachable, idle, broken, cut_off] =
            [(); 7].map(|()| AtomicUsize::new(0));
        let [from_clients, to_clients] = [(); 2].map(|()| AtomicU64::new(0));
        Self {
            begun: Instant::now(),
            open,
            most_open,
            relayed,
            unreachable,
            idle,
            broken,
            cut_off,
            from_clients,
            to_clients,
        }
    }

    /// A connection more.
    pub(crate) fn begin(self: &Arc<Self>) -> Connection {
        let open = self.open.fetch_add(1, Relaxed) + 1;
        self.most_open.fetch_max(open, Relaxed);
        Connection { tally: Arc::clone(self), traffic: Traffic::new(), has_ended: false }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [relayed, unreachable, idle, broken, cut_off, most_open] = [
            &self.relayed,
            &self.unreachable,
            &self.idle,
            &self.broken,
            &self.cut_off,
            &self.most_open,
        ]
        .map(|count| count.load(Relaxed));
        let connections = relayed + unreachable + idle + broken + cut_off;
        write!(
            f,
            "Connections: {connections}, at most {most_open} at once: {relayed} relayed, \
             {unreachable} without a target, {idle} idle, {broken} broken, {cut_off} cut off. \
             Bytes: {} from clients, {} to clients, in {:.1} s.",
            self.from_clients.load(Relaxed),
            self.to_clients.load(Relaxed),
            self.begun.elapsed().as_secs_f64(),
        )
    }
}

/// One connection.
pub(crate) struct Connection {
    tally: Arc<Tally>,
    pub(crate) traffic: Traffic,
    has_ended: bool,
}

impl Connection {
    /// It is over, and this became of it.
    pub(crate) fn end(mut self, outcome: &Result<&str, Failure>) {
        let count = match outcome {
            Ok(_) => &self.tally.relayed,
            Err(Failure::Unreachable(_)) => &self.tally.unreachable,
            Err(Failure::Idle(_)) => &self.tally.idle,
            Err(Failure::Broken(_)) => &self.tally.broken,
        };
        count.fetch_add(1, Relaxed);
        self.has_ended = true;
    }
}

impl fmt::Display for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let traffic = &self.traffic;
        write!(f, "{} bytes from it, {} to it", traffic.client_said(), traffic.client_heard())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let tally = &self.tally;
        tally.from_clients.fetch_add(self.traffic.client_said(), Relaxed);
        tally.to_clients.fetch_add(self.traffic.client_heard(), Relaxed);
        tally.open.fetch_sub(1, Relaxed);
        if !self.has_ended {
            tally.cut_off.fetch_add(1, Relaxed);
        }
    }
}
