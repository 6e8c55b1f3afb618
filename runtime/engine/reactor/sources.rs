//! The sources of a reactor by their tokens: plain data.
//!
//! A token is a place in the slab and a generation, so that an event of a descriptor that is gone
//! finds nothing. An event loop holds one of these in a `RefCell`, a worker behind a lock.

use mio::{Events, Token, event::Event};
use slab::Slab;

use super::source::Readiness;
use crate::engine::base::{
    prefetch::{LINE, prefetch},
    primitives::Arc,
};

/// So many events before its own, a source is fetched.
const AHEAD: usize = 4;

/// Sources, by place.
pub(crate) struct Sources {
    entries: Slab<Entry>,
    next_generation: u32,
    closed: bool,
}

impl std::fmt::Debug for Sources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sources").field("len", &self.len()).finish_non_exhaustive()
    }
}

struct Entry {
    generation: u32,
    readiness: Arc<Readiness>,
}

/// A place in the slab, and the generation of its source.
fn parts(token: Token) -> (usize, usize) {
    (token.0 & 0xffff_ffff, token.0 >> 32)
}

impl Sources {
    pub(crate) fn new() -> Self {
        Self { entries: Slab::new(), next_generation: 0, closed: false }
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Takes a source in.
    pub(crate) fn insert(&mut self, readiness: Arc<Readiness>) -> Token {
        // 31 bits, so that no token of ours can be one of the reactor's own.
        let generation = self.next_generation;
        self.next_generation = (generation + 1) & 0x7fff_ffff;
        let at = self.entries.insert(Entry { generation, readiness });
        Token((generation as usize) << 32 | at)
    }

    /// The source of this token, unless it is gone.
    #[inline]
    pub(crate) fn get(&self, token: Token) -> Option<&Readiness> {
        let (at, generation) = parts(token);
        let entry = self.entries.get(at)?;
        (entry.generation as usize == generation).then_some(&*entry.readiness)
    }

    /// The events in turn, each when the processor has fetched its source, or is about to. What is done with a source
    /// is an atomic step, which waits for all loads before it: else each would be waited for in turn.
    pub(super) fn in_turn<'a>(&'a self, events: &'a Events) -> impl Iterator<Item = &'a Event> {
        let mut ahead = events.iter().skip(AHEAD);
        events.iter().inspect(move |_| {
            if let Some(readiness) = ahead.next().and_then(|event| self.get(event.token())) {
                prefetch(readiness, 0);
                prefetch(readiness, LINE);
            }
        })
    }

    /// Forgets the source of this token, unless it is gone.
    pub(crate) fn remove(&mut self, token: Token) -> Option<Arc<Readiness>> {
        self.get(token)?;
        Some(self.entries.remove(parts(token).0).readiness)
    }

    /// All sources.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Readiness> {
        self.entries.iter().map(|(_, entry)| &*entry.readiness)
    }

    /// Whether all sources were handed out, and no more are to come.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Forgets all sources, and hands them out.
    pub(crate) fn close(&mut self) -> Vec<Arc<Readiness>> {
        self.closed = true;
        self.entries.drain().map(|entry| entry.readiness).collect()
    }
}
