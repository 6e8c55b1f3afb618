//! Redis's protocol, RESP2, as bytes: commands that come, answers that go.
//!
//! Nothing is copied here on the way in: a command's words are slices of what was read.

use std::fmt;

/// No word of a command is longer.
const LONGEST: usize = 16 << 20;

/// No command has more words.
const MOST: usize = 1 << 20;

/// What came is no command. The connection cannot go on: where the next begins, nobody knows.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ProtocolError(&'static str);

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ERR Protocol error: {}", self.0)
    }
}

/// The words of a command, and its length.
pub(crate) type Command<'a> = (Vec<&'a [u8]>, usize);

/// The first command of `bytes`; `None` if it has not come wholly. It may have no words.
pub(crate) fn command(bytes: &[u8]) -> Result<Option<Command<'_>>, ProtocolError> {
    let Some((first, mut at)) = line(bytes, 0)? else { return Ok(None) };
    if first.first() != Some(&b'*') {
        // Typed by hand: one line, words between spaces.
        let words = first.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        return Ok(Some((words.collect(), at)));
    }
    let count = number(&first[1..]).filter(|count| *count <= MOST as i64);
    let count = count.ok_or(ProtocolError("invalid multibulk length"))?;
    let mut words = Vec::new();
    for _ in 0..count {
        let Some((header, data)) = line(bytes, at)? else { return Ok(None) };
        if header.first() != Some(&b'$') {
            return Err(ProtocolError("a word must begin with '$'"));
        }
        let length = number(&header[1..]).and_then(|length| usize::try_from(length).ok());
        let length = length.filter(|length| *length <= LONGEST);
        let length = length.ok_or(ProtocolError("invalid bulk length"))?;
        let Some(word) = bytes.get(data..data + length) else { return Ok(None) };
        if bytes.len() < data + length + 2 {
            return Ok(None);
        }
        words.push(word);
        at = data + length + 2;
    }
    Ok(Some((words, at)))
}

/// The line at `at`, without its end, and where the next begins; `None` if its end has not come.
fn line(bytes: &[u8], at: usize) -> Result<Option<(&[u8], usize)>, ProtocolError> {
    let rest = &bytes[at..];
    match rest.iter().position(|byte| *byte == b'\n') {
        Some(end) => {
            let line = &rest[..end];
            Ok(Some((line.strip_suffix(b"\r").unwrap_or(line), at + end + 1)))
        }
        None if rest.len() > 64 << 10 => Err(ProtocolError("too big inline request")),
        None => Ok(None),
    }
}

/// A decimal number, as Redis takes it: no sign but one minus, no zero in front.
pub(crate) fn number(digits: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(digits).ok()?;
    let number: i64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

/// The answers to some commands, in their order.
#[derive(Default)]
pub(crate) struct Answers {
    pub(crate) bytes: Vec<u8>,
}

impl Answers {
    pub(crate) fn simple(&mut self, text: &str) {
        self.line(b'+', text.as_bytes());
    }

    pub(crate) fn error(&mut self, text: &str) {
        self.line(b'-', text.as_bytes());
    }

    pub(crate) fn integer(&mut self, number: i64) {
        self.line(b':', number.to_string().as_bytes());
    }

    pub(crate) fn bulk(&mut self, value: &[u8]) {
        self.line(b'$', value.len().to_string().as_bytes());
        self.bytes.extend_from_slice(value);
        self.bytes.extend_from_slice(b"\r\n");
    }

    pub(crate) fn nothing(&mut self) {
        self.line(b'$', b"-1");
    }

    /// So many answers follow, which are one.
    pub(crate) fn array(&mut self, count: usize) {
        self.line(b'*', count.to_string().as_bytes());
    }

    fn line(&mut self, kind: u8, text: &[u8]) {
        self.bytes.push(kind);
        self.bytes.extend_from_slice(text);
        self.bytes.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_there_when_its_last_byte_is() {
        let whole = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$4\r\n\r\n\0x\r\nPING\r\n";
        let set = [&b"SET"[..], b"k", b"\r\n\0x"];
        for end in 0..30 {
            assert_eq!(command(&whole[..end]), Ok(None), "{end}");
        }
        assert_eq!(command(whole), Ok(Some((set.to_vec(), 30))));
        assert_eq!(command(&whole[30..]), Ok(Some((vec![&b"PING"[..]], 6))));
        assert_eq!(command(b"*0\r\n"), Ok(Some((vec![], 4))));
        assert_eq!(command(b"\r\n"), Ok(Some((vec![], 2))));
    }

    #[test]
    fn what_cannot_become_a_command_is_an_error_at_once() {
        for bytes in
            ["*x\r\n", "*1\r\n:1\r\n", "*1\r\n$-1\r\n", "*1\r\n$999999999\r\n", "*9999999\r\n"]
        {
            command(bytes.as_bytes()).unwrap_err();
        }
        command(&vec![b'x'; 100_000]).unwrap_err();
    }
}
