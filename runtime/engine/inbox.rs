//! What other threads send a loop. It is all of a loop that they touch.
//!
//! A message is a number (a waker's key) or a boxed closure to run on the loop's thread: spawning,
//! cancelling a timer and `call_soon_threadsafe` are closures. The inbox knows no task. Its lock
//! guards a queue and is held for a push or a swap; the word of `park.rs` beside it says whether the
//! loop must be unparked.
//!
//! Inboxes stand in a table that never frees one: a waker is a number, may outlive its loop by any
//! time, and finds the inbox of that number from any thread, even one that is being torn down. A
//! closed inbox refuses messages, and they are dropped on the sender's thread, outside the lock. Its
//! number serves a later loop; a message that must not reach that one names the loop's identity as well.
//!
//! What must hold:
//! - A key is in the queue once, however often its task is woken. It is forgotten when it is taken, which
//!   is before its task is polled: a wake after that is another message.
//! - A message is published before the word is notified (`park.rs`).
//!
//! **Alternative:** an `Arc` to the loop in each waker. No table, and two atomic steps for every clone
//! and drop of every waker.

use std::{
    collections::{HashSet, VecDeque},
    fmt,
    hash::{BuildHasherDefault, Hasher},
    io, mem,
    sync::OnceLock,
};

use crate::engine::{
    base::primitives::{Arc, Mutex, lock, seeded},
    park::ParkWord,
    wait::Unparker,
};

/// A closure for the loop's thread.
pub(crate) type Call = Box<dyn FnOnce() + Send>;

/// One message.
pub(crate) enum Message {
    /// Wake the task of this key.
    Wake(u64),
    /// Run this.
    Call(Call),
}

/// Whether a message is worth unparking the loop for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// Unpark it.
    Now,
    /// It keeps until the loop turns anyway: nothing waits for it.
    Whenever,
}

/// Room for so many messages is kept in any case.
const KEPT: usize = 1024;

pub(crate) struct Inbox {
    word: ParkWord,
    state: Mutex<State>,
}

struct State {
    /// The identity of the loop that reads here, or 0: closed.
    owner: u64,
    messages: VecDeque<Message>,
    /// The keys among them.
    woken: HashSet<u64, BuildHasherDefault<KeyHasher>>,
    unparker: Option<Arc<Unparker>>,
}

/// Keys are numbers that a loop gives out. They need be spread; none is chosen to collide.
#[derive(Default)]
struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("a key is one `u64`");
    }

    fn write_u64(&mut self, key: u64) {
        // The upper half of a product depends on all bits of the key, and a table goes by both ends.
        let product = u128::from(key) * 0x9e37_79b9_7f4a_7c15;
        self.0 = (product >> 64) as u64 ^ product as u64;
    }
}

impl Inbox {
    pub(crate) fn new() -> Self {
        let state = State {
            owner: 0,
            messages: VecDeque::new(),
            woken: HashSet::default(),
            unparker: None,
        };
        Self { word: ParkWord::new(), state: Mutex::new(state) }
    }

    /// A loop begins to read here.
    pub(crate) fn open(&self, owner: u64, unparker: Arc<Unparker>) {
        let mut state = lock(&self.state);
        debug_assert_eq!(state.owner, 0, "an inbox has one loop at a time");
        state.owner = owner;
        state.unparker = Some(unparker);
        self.word.awake();
    }

    /// The loop ends. What is left is handed back: user code, to be dropped one by one, with no lock held.
    pub(crate) fn close(&self) -> (VecDeque<Message>, Option<Arc<Unparker>>) {
        let mut state = lock(&self.state);
        state.owner = 0;
        state.woken = HashSet::default();
        (mem::take(&mut state.messages), state.unparker.take())
    }

    /// Sends a wake to the loop that reads here.
    pub(crate) fn wake(&self, key: u64) {
        let mut state = lock(&self.state);
        if state.owner == 0 || !state.woken.insert(key) {
            // The word was notified for the message that is there.
            return;
        }
        state.messages.push_back(Message::Wake(key));
        self.notify(state);
    }

    /// Sends a closure to the loop of identity `owner`; hands it back if that loop is gone.
    pub(crate) fn call(&self, owner: u64, call: Call, urgency: Urgency) -> Result<(), Call> {
        let mut state = lock(&self.state);
        if state.owner != owner {
            return Err(call);
        }
        state.messages.push_back(Message::Call(call));
        match urgency {
            Urgency::Now => self.notify(state),
            Urgency::Whenever => self.word.notify_lazily(),
        }
        Ok(())
    }

    /// Unparks the loop of identity `owner`, without a message.
    pub(crate) fn unpark(&self, owner: u64) {
        let state = lock(&self.state);
        if state.owner == owner {
            self.notify(state);
        }
    }

    /// The word is notified under the lock. Later it might be the next loop's: that would stay parked,
    /// and count as unparked.
    fn notify(&self, state: impl std::ops::Deref<Target = State>) {
        if seeded("inbox_notifies_unlocked") {
            let unparker = state.unparker.clone();
            drop(state);
            if self.word.notify()
                && let Some(unparker) = unparker
            {
                unparker.unpark();
            }
        } else if self.word.notify() {
            let unparker = state.unparker.clone();
            // The system call is made outside the lock.
            drop(state);
            if let Some(unparker) = unparker {
                unparker.unpark();
            }
        }
    }

    /// Whether there is something to [take](Self::take).
    #[inline(always)]
    pub(crate) fn is_notified(&self) -> bool {
        self.word.is_notified()
    }

    /// Takes all messages there are behind those in `messages`, which are from the last time and were
    /// not handled. By the loop, when it is notified.
    pub(crate) fn take(&self, messages: &mut VecDeque<Message>) {
        if !messages.is_empty() {
            // They go first. The word stays notified, so that the others are taken after them.
            return;
        }
        if seeded("inbox_awake_after_take") {
            lock(&self.state).take(messages);
            self.word.awake();
            return;
        }
        self.word.awake();
        lock(&self.state).take(messages);
    }

    /// The loop has not handled all that it took: it is notified of the rest.
    pub(crate) fn notify_oneself(&self) {
        // It is not parked: there is nothing to unpark.
        let _ = self.word.notify();
    }

    /// Parks the loop in `wait`, unless it was notified: then `None`. Else what the wait gave, and whether
    /// the loop was notified meanwhile.
    // ANCHOR: park
    pub(crate) fn park<T>(&self, wait: impl FnOnce() -> T) -> Option<(T, bool)> {
        if !self.word.park() {
            return None;
        }
        let waited = wait();
        Some((waited, self.word.unparked()))
    }
    // END: park

    /// The same for a loop whose host waits for it, and says when it is [back](Self::host_is_back). `false`:
    /// it was notified, and the host must not wait.
    #[must_use]
    pub(crate) fn leave_to_host(&self) -> bool {
        self.word.park()
    }

    /// See [`leave_to_host`](Self::leave_to_host).
    pub(crate) fn host_is_back(&self) {
        self.word.unparked();
    }
}

impl State {
    fn take(&mut self, empty: &mut VecDeque<Message>) {
        mem::swap(&mut self.messages, empty);
        if seeded("inbox_keeps_keys") {
            return;
        }
        // To clear a set takes as long as it is large.
        if self.woken.capacity() > KEPT && empty.len() < self.woken.capacity() / 16 {
            self.woken = HashSet::default();
        } else {
            self.woken.clear();
        }
        give_back(&mut self.messages);
    }
}

/// Gives back the room of a burst that is over.
pub(crate) fn give_back(messages: &mut VecDeque<Message>) {
    if messages.capacity() > KEPT && messages.len() < messages.capacity() / 16 {
        messages.shrink_to(KEPT);
    }
}

/// Where a loop is reached, for any thread and any time, also once the loop is gone.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Address {
    pub(crate) loop_id: u64,
    pub(crate) inbox: &'static Inbox,
}

impl Address {
    /// See [`Inbox::call`].
    pub(crate) fn call(self, call: Call, urgency: Urgency) -> Result<(), Call> {
        self.inbox.call(self.loop_id, call, urgency)
    }
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").field("word", &self.word).finish_non_exhaustive()
    }
}

const CHUNK: usize = 256;

/// The inboxes by number, in chunks made when first needed.
static TABLE: [OnceLock<Box<[OnceLock<Inbox>]>>; CHUNK] = [const { OnceLock::new() }; CHUNK];

/// The inbox of a loop number, if there ever was a loop of that number.
#[inline]
pub(crate) fn find(number: u16) -> Option<&'static Inbox> {
    TABLE[usize::from(number) / CHUNK].get()?[usize::from(number) % CHUNK].get()
}

/// Loop numbers: 16 bits of them, recycled, the longest free first.
struct Numbers {
    /// A free number, and the generation from which its next loop counts. It goes on where the last
    /// loop stopped, so that a waker that outlived that loop does not fit a task of the new one.
    free: VecDeque<(u16, u16)>,
    fresh: u32,
}

static NUMBERS: std::sync::Mutex<Numbers> =
    std::sync::Mutex::new(Numbers { free: VecDeque::new(), fresh: 0 });

impl Numbers {
    const ALL: u32 = 1 << 16;

    fn draw(&mut self) -> io::Result<(u16, u16)> {
        // Fresh numbers last: few loops touch few chunks.
        if let Some(free) = self.free.pop_front() {
            return Ok(free);
        }
        let number = u16::try_from(self.fresh).map_err(|_| {
            io::Error::new(
                io::ErrorKind::QuotaExceeded,
                format!("{} event loops exist already: drop one first", Self::ALL),
            )
        })?;
        self.fresh += 1;
        Ok((number, 0))
    }
}

/// A loop's number, given back when dropped.
#[derive(Debug)]
pub(crate) struct Number {
    number: u16,
    /// Where the loop's tasks begin to count their generations.
    pub(crate) first_generation: u16,
    next_generation: std::cell::Cell<u16>,
}

impl Number {
    pub(crate) fn draw() -> io::Result<Self> {
        let drawn = NUMBERS.lock().unwrap_or_else(|p| p.into_inner()).draw();
        let (number, generation) = drawn?;
        let chunk = TABLE[usize::from(number) / CHUNK]
            .get_or_init(|| (0..CHUNK).map(|_| OnceLock::new()).collect());
        chunk[usize::from(number) % CHUNK].get_or_init(Inbox::new);
        Ok(Self {
            number,
            first_generation: generation,
            next_generation: std::cell::Cell::new(generation),
        })
    }

    pub(crate) fn get(&self) -> u16 {
        self.number
    }

    /// The loop's last word on where its generations stand.
    pub(crate) fn retire(&self, next_generation: u16) {
        self.next_generation.set(next_generation);
    }
}

impl Drop for Number {
    fn drop(&mut self) {
        let mut numbers = NUMBERS.lock().unwrap_or_else(|p| p.into_inner());
        numbers.free.push_back((self.number, self.next_generation.get()));
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_65_537th_loop_at_once_is_an_error_that_says_so() {
        let mut numbers = Numbers { free: VecDeque::new(), fresh: 0 };
        for expected in 0..=u16::MAX {
            assert_eq!(numbers.draw().unwrap(), (expected, 0));
        }
        let error = numbers.draw().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::QuotaExceeded);
        assert!(error.to_string().contains("65536 event loops"), "{error}");
        numbers.free.push_back((7, 300));
        assert_eq!(numbers.draw().unwrap(), (7, 300));
    }
}
