//! The sources of a reactor by their tokens: plain data.
//!
//! A token is an index in the slab and a generation, so that an event of a descriptor that is gone
//! finds nothing. An event loop holds one of these in a `RefCell`, a runtime behind a lock.
//!
//! An index stays what it is while its source is there. So after a burst the memory behind the last source
//! goes back, and that before it does not: 24 bytes for each source there was before it.

use mio::{Events, Token, event::Event};
use slab::Slab;

use super::source::Readiness;
use crate::engine::base::{
    prefetch::{LINE, prefetch},
    primitives::Arc,
};

/// So many events before its own, a source is fetched.
const AHEAD: usize = 4;

/// Entries that are not worth giving back.
const FEW: usize = 64;

/// Sources, by index.
pub(crate) struct Sources {
    entries: Slab<Entry>,
    next_generation: u32,
    /// Since the last time that memory was given back.
    removed: usize,
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

/// An index in the slab, and the generation of its source.
fn parts(token: Token) -> (usize, usize) {
    (token.0 & 0xffff_ffff, token.0 >> 32)
}

impl Sources {
    pub(crate) fn new() -> Self {
        Self { entries: Slab::new(), next_generation: 0, removed: 0, closed: false }
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
        let index = self.entries.insert(Entry { generation, readiness });
        Token((generation as usize) << 32 | index)
    }

    /// The source of this token, unless it is gone.
    #[inline]
    pub(crate) fn get(&self, token: Token) -> Option<&Readiness> {
        let (index, generation) = parts(token);
        let entry = self.entries.get(index)?;
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
        let removed = self.entries.remove(parts(token).0).readiness;
        self.give_memory_back();
        Some(removed)
    }

    /// Gives memory back, if most of it is vacant, whenever half of the sources have gone.
    fn give_memory_back(&mut self) {
        self.removed += 1;
        let capacity = self.entries.capacity();
        if capacity > FEW && self.len() < capacity / 4 && self.removed >= self.len() {
            self.entries.shrink_to_fit();
            self.removed = 0;
        }
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

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn memory_goes_back_after_a_burst() {
        const MANY: usize = 10_000;
        let mut sources = Sources::new();
        let insert = |sources: &mut Sources| sources.insert(Arc::new(Readiness::new()));
        let first = insert(&mut sources);
        let mut burst: Vec<_> = (0..MANY).map(|_| insert(&mut sources)).collect();
        // In no order: what is given back is what stands behind the last that is left.
        burst.sort_by_key(|token| (token.0 as u32).wrapping_mul(2_654_435_761));
        for token in burst {
            assert!(sources.remove(token).is_some());
        }
        assert!(sources.entries.capacity() <= FEW, "{}", sources.entries.capacity());
        assert!(sources.get(first).is_some());
        // The next have tokens of their own, in indices that were there before.
        let next = insert(&mut sources);
        assert!(sources.get(next).is_some() && next != first);
    }

    #[test]
    fn the_token_of_a_source_that_is_gone_names_no_other() {
        let mut sources = Sources::new();
        let insert = |sources: &mut Sources| sources.insert(Arc::new(Readiness::new()));
        let tokens: [_; 3] = std::array::from_fn(|_| {
            let token = insert(&mut sources);
            assert!(sources.remove(token).is_some());
            token
        });
        let last = insert(&mut sources);
        for token in tokens {
            assert!(token != last && sources.get(token).is_none());
            assert!(sources.remove(token).is_none());
        }
        assert!(sources.get(last).is_some());
    }
}
