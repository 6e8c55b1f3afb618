//! Work in pieces: each waits, computes, or blocks, and gives a number. Their sum is known beforehand.

use std::{hint::black_box, thread, time::Duration};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use whirligig::executor::Function;

/// A piece of work.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Piece {
    /// It waits for so many milliseconds, and can do so as a future or on a thread.
    Wait(u64),
    /// It adds so many numbers up.
    Compute(u64),
    /// A library's call, that has its thread for so many milliseconds.
    Block(u64),
}

/// A piece as processes know it.
pub(crate) static ON_A_THREAD: Function<Piece, u64> =
    Function::new("piece", |piece: Piece| piece.on_a_thread());

impl Piece {
    /// Does it, on this thread. Never inlined: the loop would be another machine code in each way, and up to four times
    /// as fast in one as in another.
    #[inline(never)]
    pub(super) fn on_a_thread(self) -> u64 {
        match self {
            Self::Wait(milliseconds) | Self::Block(milliseconds) => {
                thread::sleep(Duration::from_millis(milliseconds));
                milliseconds
            }
            // Without `black_box` the compiler knows the sum.
            Self::Compute(count) => (1..=count).fold(0, |sum, number| sum + black_box(number)),
        }
    }

    /// Does it in a task: what is no future holds the task's thread up.
    pub(super) async fn in_a_task(self) -> u64 {
        match self {
            Self::Wait(milliseconds) => {
                whirligig::time::sleep(Duration::from_millis(milliseconds)).await;
                milliseconds
            }
            Self::Compute(_) | Self::Block(_) => self.on_a_thread(),
        }
    }

    fn expected(self) -> u64 {
        match self {
            Self::Wait(milliseconds) | Self::Block(milliseconds) => milliseconds,
            Self::Compute(count) => count * (count + 1) / 2,
        }
    }
}

/// A kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// 10 waits of 100 ms.
    FewWaits,
    /// 10,000 waits of 100 ms.
    ManyWaits,
    /// 64 loops of about 10 ms each.
    Computing,
    /// 64 calls that block for 20 ms each.
    Blocking,
    /// 200 of the waits, 16 of the loops and 16 of the calls.
    Mixed,
}

const WAIT: Piece = Piece::Wait(100);
const LOOP: Piece = Piece::Compute(20_000_000);
const CALL: Piece = Piece::Block(20);

impl Kind {
    pub(super) fn pieces(self) -> Vec<Piece> {
        let these = |parts: &[(usize, Piece)]| {
            parts.iter().flat_map(|&(count, piece)| vec![piece; count]).collect()
        };
        match self {
            Self::FewWaits => these(&[(10, WAIT)]),
            Self::ManyWaits => these(&[(10_000, WAIT)]),
            Self::Computing => these(&[(64, LOOP)]),
            Self::Blocking => these(&[(64, CALL)]),
            Self::Mixed => these(&[(200, WAIT), (16, LOOP), (16, CALL)]),
        }
    }

    pub(super) fn expected(self) -> u64 {
        self.pieces().into_iter().map(Piece::expected).sum()
    }

    /// What the table calls it.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::FewWaits => "few waits: 10 of 100 ms",
            Self::ManyWaits => "many waits: 10,000 of 100 ms",
            Self::Computing => "computing that splits: 64 loops of some 10 ms",
            Self::Blocking => "a blocking library: 64 calls of 20 ms",
            Self::Mixed => "mixed: 200 waits, 16 loops, 16 calls",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_gives_what_is_expected_of_it() {
        for piece in [Piece::Wait(1), Piece::Block(1), Piece::Compute(1_000)] {
            assert_eq!(piece.on_a_thread(), piece.expected());
            assert_eq!(whirligig::run(piece.in_a_task()), piece.expected());
            assert_eq!(ON_A_THREAD.call_here(piece), piece.expected());
        }
    }
}
