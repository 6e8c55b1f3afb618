//! The law that holds for everything here: what began has ended, exactly once, by completing or by being dropped.
//!
//! Whatever is to be counted (a task's future, an item in a queue, a closure on its way to another thread) carries a
//! [`Member`] of the round's census. The member is counted in when it is made and out when it is dropped, wherever
//! that happens. The numbers of the members are added up as well: so one that is lost and one that is dropped twice
//! do not make up for each other.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use crate::round::Round;

/// What members are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Lane,
    Tree,
    Item,
    LocalItem,
    Timer,
    Connection,
    Echo,
    Job,
    Outside,
    Call,
    Answer,
    LongPoll,
    InPlace,
    Panic,
    Victim,
}

impl Kind {
    pub(crate) const ALL: [Self; 15] = [
        Self::Lane,
        Self::Tree,
        Self::Item,
        Self::LocalItem,
        Self::Timer,
        Self::Connection,
        Self::Echo,
        Self::Job,
        Self::Outside,
        Self::Call,
        Self::Answer,
        Self::LongPoll,
        Self::InPlace,
        Self::Panic,
        Self::Victim,
    ];

    /// As the table calls those that completed.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Lane => "workloads' own tasks",
            Self::Tree => "tasks in trees",
            Self::Item => "items through queues",
            Self::LocalItem => "items through local queues",
            Self::Timer => "timers",
            Self::Connection => "connections",
            Self::Echo => "connections served",
            Self::Job => "blocking calls",
            Self::Outside => "tasks from other threads",
            Self::Call => "calls from other threads",
            Self::Answer => "answers from other threads",
            Self::LongPoll => "long polls",
            Self::InPlace => "blocks in place",
            Self::Panic => "panics",
            Self::Victim => "tasks to be cancelled",
        }
    }

    /// Whether its members are in tasks and nowhere else: then they are gone when the tasks are.
    pub(crate) fn is_in_tasks(self) -> bool {
        !matches!(
            self,
            Self::Item
                | Self::LocalItem
                | Self::Job
                | Self::Outside
                | Self::Call
                | Self::Answer
                | Self::Panic
        )
    }

    /// Whether its members end by themselves, and no later than the workload's next turns. Items wait for whoever takes
    /// them, and a blocking call that nobody awaits takes its time.
    pub(crate) fn ends_soon(self) -> bool {
        !matches!(self, Self::Item | Self::LocalItem | Self::Job)
    }

    /// Whether a round that ends in order completes each member. The others may be given up or cancelled on the way.
    pub(crate) fn always_completes(self) -> bool {
        matches!(
            self,
            Self::Lane
                | Self::Timer
                | Self::Connection
                | Self::Call
                | Self::LongPoll
                | Self::InPlace
        )
    }
}

/// How many members of one kind there were.
#[derive(Debug, Default)]
pub(crate) struct Census {
    begun: Sum,
    ended: Sum,
    completed: AtomicU64,
}

impl Census {
    /// Members that have not ended. Those that begin and end meanwhile may be in it or not.
    pub(crate) fn live(&self) -> u64 {
        // In this order, or one that began and ended in between would count as less than none.
        let ended = self.ended.count.load(Relaxed);
        self.begun.count.load(Relaxed).saturating_sub(ended)
    }

    pub(crate) fn completed(&self) -> u64 {
        self.completed.load(Relaxed)
    }

    pub(crate) fn begun(&self) -> u64 {
        self.begun.count.load(Relaxed)
    }

    /// Whether all have ended that began. Once nobody counts any more.
    pub(crate) fn adds_up(&self) -> bool {
        self.begun.get() == self.ended.get() && self.completed() <= self.begun()
    }
}

/// A number of things and the sum of their numbers.
#[derive(Debug, Default)]
pub(crate) struct Sum {
    count: AtomicU64,
    sum: AtomicU64,
}

impl Sum {
    pub(crate) fn add(&self, number: u64) {
        self.count.fetch_add(1, Relaxed);
        self.sum.fetch_add(number, Relaxed);
    }

    /// Once nobody adds any more.
    pub(crate) fn get(&self) -> (u64, u64) {
        (self.count.load(Relaxed), self.sum.load(Relaxed))
    }
}

/// One of the things that are counted.
pub(crate) struct Member {
    round: Arc<Round>,
    kind: Kind,
    number: u64,
    completed: bool,
}

impl Member {
    pub(super) fn new(round: &Arc<Round>, kind: Kind) -> Self {
        let begun = &round.census(kind).begun;
        let number = begun.count.fetch_add(1, Relaxed) + 1;
        begun.sum.fetch_add(number, Relaxed);
        Self { round: round.clone(), kind, number, completed: false }
    }

    /// Ends it as one that did what it was for.
    pub(crate) fn complete(mut self) {
        self.completed = true;
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let census = self.round.census(self.kind);
        if self.completed {
            census.completed.fetch_add(1, Relaxed);
        }
        census.ended.add(self.number);
    }
}
