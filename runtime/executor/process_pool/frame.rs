//! What goes over the socket between a pool and its process.
//!
//! A *frame* is a length and that many bytes. A request is the function's name, the number of calls, and the arguments of
//! each; the answer is one frame for each call, which begins with a byte that says what it is. The process reads a whole
//! request before it answers, so neither side ever waits for the other to read.
//!
//! **Alternative:** shared memory for large arguments. It saves two copies, and what it costs is that a process which
//! dies leaves it in any state.

use std::io;

use super::function::Failure;

/// No frame is longer: a length beyond it is a stream that has gone wrong.
const MOST: u64 = 1 << 40;

/// The bytes in front of a frame of this length.
pub(super) fn header(length: usize) -> [u8; 8] {
    (length as u64).to_le_bytes()
}

/// The length that a header says.
///
/// # Errors
/// If no frame can be so long.
pub(super) fn length(header: [u8; 8]) -> io::Result<usize> {
    let length = u64::from_le_bytes(header);
    if length > MOST {
        let what = "the pool's process writes on its socket what is no answer";
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    }
    Ok(length as usize)
}

/// Room for so many bytes.
///
/// # Errors
/// If there is none: a length that the other side did not mean, most likely.
pub(super) fn room(length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(length).map_err(io::Error::other)?;
    bytes.resize(length, 0);
    Ok(bytes)
}

/// What a call in a process came to.
pub(super) type Answer = Result<Vec<u8>, Failure>;

/// Which kind of answer a frame is: its first byte.
const OUTPUT: u8 = 0;
const PANICKED: u8 = 1;
const ENCODING: u8 = 2;

/// An answer's first byte, and the rest.
pub(super) fn encode(answer: Answer) -> (u8, Vec<u8>) {
    match answer {
        Ok(output) => (OUTPUT, output),
        Err(Failure::Panicked(text)) => (PANICKED, text.into_bytes()),
        Err(Failure::Encoding(text)) => (ENCODING, text.into_bytes()),
    }
}

/// The answer again.
pub(super) fn decode(kind: u8, bytes: Vec<u8>) -> Answer {
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    match kind {
        OUTPUT => Ok(bytes),
        PANICKED => Err(Failure::Panicked(text(bytes))),
        _ => Err(Failure::Encoding(text(bytes))),
    }
}
