//! What other threads leave for a loop. It is all of a loop that they touch.
//!
//! A message is a number (a waker's key) or a boxed closure to run on the loop's thread: spawning,
//! cancelling a timer and `call_soon_threadsafe` are closures. The inbox knows no task. Its lock
//! guards a vector and is held for a push or a swap; the word of `park.rs` beside it says whether the
//! loop must be unparked.
//!
//! Inboxes stand in a table that never frees one: a waker is a number, may outlive its loop by any
//! time, and finds the inbox of that number from any thread, even one that is being torn down. A
//! closed inbox refuses messages, and they are dropped on the sender's thread, outside the lock. Its
//! number serves a later loop; who must not reach that one names the loop's identity as well.
//!
//! The rival is an `Arc` to the loop in each waker: no table, and two atomic steps for every clone
//! and drop of every waker.

use std::{collections::VecDeque, fmt, io, sync::OnceLock};

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

/// Whether a message is worth ending the loop's wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// End the wait.
    Now,
    /// It keeps until the loop turns anyway: nothing that anybody waits for.
    Whenever,
}

pub(crate) struct Inbox {
    word: ParkWord,
    state: Mutex<State>,
}

struct State {
    /// The identity of the loop that reads here, or 0: closed.
    owner: u64,
    messages: Vec<Message>,
    unparker: Option<Arc<Unparker>>,
}

impl Inbox {
    pub(crate) fn new() -> Self {
        let state = State { owner: 0, messages: Vec::new(), unparker: None };
        Self { word: ParkWord::new(), state: Mutex::new(state) }
    }

    /// A loop moves in.
    pub(crate) fn open(&self, owner: u64, unparker: Arc<Unparker>) {
        let mut state = lock(&self.state);
        debug_assert_eq!(state.owner, 0, "an inbox has one loop at a time");
        state.owner = owner;
        state.unparker = Some(unparker);
        self.word.awake();
    }

    /// The loop moves out. What is left is handed back, to be dropped in the open.
    pub(crate) fn close(&self) -> (Vec<Message>, Option<Arc<Unparker>>) {
        let mut state = lock(&self.state);
        state.owner = 0;
        (std::mem::take(&mut state.messages), state.unparker.take())
    }

    /// Leaves a wake for whichever loop reads here.
    pub(crate) fn wake(&self, key: u64) {
        let mut state = lock(&self.state);
        if state.owner == 0 {
            return;
        }
        state.messages.push(Message::Wake(key));
        self.tell(state);
    }

    /// Leaves a closure for the loop of identity `owner`; hands it back if that loop is gone.
    pub(crate) fn call(&self, owner: u64, call: Call, urgency: Urgency) -> Result<(), Call> {
        let mut state = lock(&self.state);
        if state.owner != owner {
            return Err(call);
        }
        state.messages.push(Message::Call(call));
        match urgency {
            Urgency::Now => self.tell(state),
            Urgency::Whenever => self.word.leave_mail(),
        }
        Ok(())
    }

    /// Ends the wait of the loop of identity `owner`, without a message.
    pub(crate) fn nudge(&self, owner: u64) {
        let state = lock(&self.state);
        if state.owner == owner {
            self.tell(state);
        }
    }

    /// The word is told under the lock. Later it might be the next loop's: that would sleep on, and be
    /// taken for one that was unparked.
    fn tell(&self, state: impl std::ops::Deref<Target = State>) {
        if seeded("inbox_tells_unlocked") {
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

    /// Whether there is something to take.
    #[inline]
    pub(crate) fn has_news(&self) -> bool {
        self.word.is_notified()
    }

    /// Moves all messages into `empty`, in the order they came.
    pub(crate) fn take(&self, empty: &mut Vec<Message>) {
        if seeded("inbox_awake_after_take") {
            std::mem::swap(&mut lock(&self.state).messages, empty);
            self.word.awake();
            return;
        }
        self.word.awake();
        std::mem::swap(&mut lock(&self.state).messages, empty);
    }

    /// See [`ParkWord::park`].
    #[must_use]
    pub(crate) fn park(&self) -> bool {
        self.word.park()
    }

    /// See [`ParkWord::unparked`].
    pub(crate) fn unparked(&self) -> bool {
        self.word.unparked()
    }
}

/// Where a loop is reached, for any thread and any time: once the loop is gone, nobody is.
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
