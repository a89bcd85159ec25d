//! How a call ended, as a worker tells it.

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(crate) enum EndKind {
    /// It returned a result.
    Returned = 0,
    /// It returned an error of its own.
    Failed = 1,
    /// Its input did not fit the task's parameters.
    Refused = 2,
    /// It panicked.
    Panicked = 3,
    /// The engine stopped it.
    Trapped = 4,
    /// It called `exit`.
    Exited = 5,
    /// It needed more memory than it may have.
    OutOfMemory = 6,
    /// It printed more than it may.
    OutputTooLarge = 7,
    /// It used up its fuel.
    OutOfFuel = 8,
    /// It needed more stack than it may have.
    StackOverflow = 9,
    /// It needed more elements of tables than it may have.
    OutOfTables = 10,
    /// Its result has more bytes than it may have.
    ResultTooLarge = 11,
    /// It wants to call others and runs in a batch, where it cannot: it has to be run again by itself.
    Nests = 12,
}

impl EndKind {
    /// The kind with this code, if there is one.
    pub(crate) fn from_code(code: u32) -> Option<Self> {
        Some(match code {
            0 => Self::Returned,
            1 => Self::Failed,
            2 => Self::Refused,
            3 => Self::Panicked,
            4 => Self::Trapped,
            5 => Self::Exited,
            6 => Self::OutOfMemory,
            7 => Self::OutputTooLarge,
            8 => Self::OutOfFuel,
            9 => Self::StackOverflow,
            10 => Self::OutOfTables,
            11 => Self::ResultTooLarge,
            12 => Self::Nests,
            _ => return None,
        })
    }
}

/// Most bytes of a failure's message; the rest is cut off.
pub(crate) const MESSAGE_BYTES_MAX: usize = 16 << 10;

/// Most bytes of a failure's backtrace; the rest is cut off.
pub(crate) const BACKTRACE_BYTES_MAX: usize = 16 << 10;

/// What of a call failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Part {
    /// The call itself.
    #[default]
    Call = 0,
    /// The initializer of the instance that was made for it.
    Initializer = 1,
}

/// What a failed call says about itself.
///
/// On the way up it is `i32` code, `u32` part, `u32` length of the message, the message, the backtrace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Detail {
    /// Exit code of a call that exited, else zero.
    pub(crate) code: i32,
    /// What failed.
    pub(crate) part: Part,
    /// What went wrong, in the guest's or the engine's words.
    pub(crate) message: String,
    /// The guest's stack, one frame a line, or empty.
    pub(crate) backtrace: String,
}

impl Detail {
    /// A detail that is only a message.
    pub(crate) fn message(message: impl Into<String>) -> Self {
        Self { message: message.into(), ..Self::default() }
    }

    /// Appends it as it travels, with overlong texts cut.
    pub(crate) fn write(&self, into: &mut Vec<u8>) {
        let message = cut(&self.message, MESSAGE_BYTES_MAX);
        let backtrace = cut(&self.backtrace, BACKTRACE_BYTES_MAX);
        into.extend_from_slice(&self.code.to_le_bytes());
        into.extend_from_slice(&(self.part as u32).to_le_bytes());
        into.extend_from_slice(&(message.len() as u32).to_le_bytes());
        into.extend_from_slice(message.as_bytes());
        into.extend_from_slice(backtrace.as_bytes());
    }

    /// Reads what a worker sent: any bytes at all give some detail, with what is not UTF-8 replaced.
    pub(crate) fn read(bytes: &[u8]) -> Self {
        let Some((code, rest)) = bytes.split_first_chunk() else { return Self::default() };
        let Some((part, rest)) = rest.split_first_chunk() else { return Self::default() };
        let Some((length, rest)) = rest.split_first_chunk() else { return Self::default() };
        let length = (u32::from_le_bytes(*length) as usize).min(rest.len());
        let (message, backtrace) = rest.split_at(length);
        let text =
            |bytes: &[u8], most: usize| String::from_utf8_lossy(&bytes[..bytes.len().min(most)]).into_owned();
        Self {
            code: i32::from_le_bytes(*code),
            part: match u32::from_le_bytes(*part) {
                1 => Part::Initializer,
                _ => Part::Call,
            },
            message: text(message, MESSAGE_BYTES_MAX),
            backtrace: text(backtrace, BACKTRACE_BYTES_MAX),
        }
    }
}

/// The longest start of `text` that has at most `bytes` bytes and ends between characters.
fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_read_back_as_they_were_written() {
        for part in [Part::Call, Part::Initializer] {
            let detail =
                Detail { code: -3, part, message: "größer".into(), backtrace: "0: f\n1: g".into() };
            let mut bytes = Vec::new();
            detail.write(&mut bytes);
            assert_eq!(Detail::read(&bytes), detail);
        }
    }

    #[test]
    fn overlong_messages_are_cut_between_characters() {
        let detail = Detail::message("é".repeat(MESSAGE_BYTES_MAX));
        let mut bytes = Vec::new();
        detail.write(&mut bytes);
        let read = Detail::read(&bytes);
        assert_eq!(read.message.len(), MESSAGE_BYTES_MAX);
        assert_eq!(read.backtrace, "");
    }

    #[test]
    fn any_bytes_give_some_detail() {
        for bytes in [&b""[..], b"abc", b"\x01\0\0\0\xff\xff\xff\xffabc", &[0xff; 40]] {
            let detail = Detail::read(bytes);
            assert!(detail.message.len() <= 3 * bytes.len());
        }
    }

    #[test]
    fn codes_read_back_as_kinds() {
        for code in 0..13 {
            assert_eq!(EndKind::from_code(code).map(|kind| kind as u32), Some(code));
        }
        assert_eq!(EndKind::from_code(13), None);
    }
}
