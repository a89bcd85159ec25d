//! An invocation: what one run of a program is started with, as it travels down.
//!
//! ```text
//! u32 arguments | u32 bytes of text | text: each argument and a zero byte | stdin, to the end
//! ```
//!
//! Numbers are little-endian. The text is as preview 1 hands it to programs, so that a worker copies it once and looks
//! at nothing; stdin stays where it is until the program reads it. The program's name is an argument like any other.

/// Bytes before the text.
pub(crate) const HEAD_BYTES: usize = 8;

/// What stands before the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// How many arguments there are.
    pub(crate) arguments: u32,
    /// Bytes of all arguments, each with its zero byte.
    pub(crate) text_bytes: u32,
}

impl Head {
    /// Reads the head of an invocation of `length` bytes in all; nothing when it says more than there is.
    pub(crate) fn read(bytes: [u8; HEAD_BYTES], length: usize) -> Option<Self> {
        let [a, b, c, d, e, f, g, h] = bytes;
        let head = Self {
            arguments: u32::from_le_bytes([a, b, c, d]),
            text_bytes: u32::from_le_bytes([e, f, g, h]),
        };
        (head.text_bytes as usize <= length.checked_sub(HEAD_BYTES)?).then_some(head)
    }
}

/// Appends one invocation after another, an argument at a time.
#[derive(Debug)]
pub(crate) struct Writer<'a> {
    into: &'a mut Vec<u8>,
    start: usize,
    arguments: u32,
    /// Where the running argument begins.
    argument: usize,
}

/// Why a run cannot be started with such arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unfit {
    /// Arguments end at their first zero byte.
    #[error("argument {0} holds a NUL byte, which no argument can; give the input on stdin instead")]
    Nul(u32),
    /// More text than a number of 32 bits tells.
    #[error("the arguments have {0} bytes")]
    TooLong(usize),
}

impl<'a> Writer<'a> {
    /// Begins an invocation behind whatever stands in `into`.
    pub(crate) fn new(into: &'a mut Vec<u8>) -> Self {
        let start = into.len();
        into.extend_from_slice(&[0; HEAD_BYTES]);
        Self { argument: into.len(), into, start, arguments: 0 }
    }

    /// Adds a piece of the running argument.
    pub(crate) fn push(&mut self, piece: &[u8]) {
        self.into.extend_from_slice(piece);
    }

    /// Ends the running argument.
    ///
    /// # Errors
    ///
    /// When it holds a zero byte.
    pub(crate) fn end_argument(&mut self) -> Result<(), Unfit> {
        if self.into[self.argument..].contains(&0) {
            return Err(Unfit::Nul(self.arguments));
        }
        self.into.push(0);
        self.argument = self.into.len();
        self.arguments += 1;
        Ok(())
    }

    /// Ends the invocation with what the program is to read on stdin.
    ///
    /// # Errors
    ///
    /// When its arguments are too long.
    pub(crate) fn finish(self, stdin: &[u8]) -> Result<(), Unfit> {
        let text_bytes = self.argument - self.start - HEAD_BYTES;
        let text_bytes_told = u32::try_from(text_bytes).map_err(|_| Unfit::TooLong(text_bytes))?;
        self.into[self.start..][..4].copy_from_slice(&self.arguments.to_le_bytes());
        self.into[self.start + 4..][..4].copy_from_slice(&text_bytes_told.to_le_bytes());
        self.into.extend_from_slice(stdin);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(bytes: &[u8]) -> Option<Head> {
        Head::read(*bytes.first_chunk()?, bytes.len())
    }

    #[test]
    fn arguments_end_in_zero_and_stdin_follows() {
        let mut bytes = b"before".to_vec();
        let mut writer = Writer::new(&mut bytes);
        writer.push(b"app");
        writer.end_argument().unwrap();
        writer.push(b"-n");
        writer.push(b"7");
        writer.end_argument().unwrap();
        writer.end_argument().unwrap();
        writer.finish(b"in\0put").unwrap();
        let bytes = bytes.strip_prefix(b"before").unwrap();
        assert_eq!(head(bytes), Some(Head { arguments: 3, text_bytes: 9 }));
        assert_eq!(&bytes[HEAD_BYTES..], b"app\0-n7\0\0in\0put");
    }

    #[test]
    fn an_argument_with_a_zero_byte_is_named() {
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes);
        writer.push(b"app");
        writer.end_argument().unwrap();
        writer.push(b"a\0");
        assert_eq!(writer.end_argument(), Err(Unfit::Nul(1)));
    }

    #[test]
    fn a_head_never_says_more_than_there_is() {
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes);
        writer.push(b"app");
        writer.end_argument().unwrap();
        writer.finish(b"").unwrap();
        assert!(head(&bytes).is_some());
        for length in 0..bytes.len() {
            assert_eq!(head(&bytes[..length]), None, "{length}");
        }
    }
}
