//! The task section: what a module says about its tasks, readable without running anything.
//!
//! The section is a run of records, which the linker has laid end to end. All numbers are little-endian:
//!
//! ```text
//! record    u32 bytes that follow in this record
//!           u8  version (see VERSION)
//!           u8  flags: bit 0 NUMERIC, bit 1 NO_RESULT, bit 2 FALLIBLE
//!           u16 number of parameters
//!           text name, text result type, text documentation
//!           per parameter: text name, text type
//! text      u16 length in bytes, then that many bytes of UTF-8
//! ```
//!
//! Records are written while a guest is compiled ([`TaskDescription`], used by what `#[task]` expands to) and read
//! by the host ([`records`]), which takes them for what they are: words of a hostile module. Reading is bounded by
//! the section's own length, allocates nothing and cannot panic.

use crate::VERSION;

/// The task has a plain numeric export beside its pull-loop entry.
pub const FLAG_NUMERIC: u8 = 1;
/// The task returns nothing, `()` or `Result<(), E>`.
pub const FLAG_NO_RESULT: u8 = 2;
/// The task returns a `Result`.
pub const FLAG_FALLIBLE: u8 = 4;

/// One task as its author wrote it, to be laid down in a section.
///
/// Both functions are `const`, so that the record is plain bytes in the compiled module.
///
/// # Examples
///
/// ```
/// use wasmpool_abi::section::{TaskDescription, records};
///
/// const CUBE: TaskDescription<'_> = TaskDescription {
///     name: "cube",
///     result: "i64",
///     documentation: "The third power of a number.",
///     flags: 0,
///     parameters: &[("number", "i64")],
/// };
/// static SECTION: [u8; CUBE.record_bytes()] = CUBE.record();
///
/// let cube = records(&SECTION).next().unwrap()?;
/// assert_eq!(cube.name, "cube");
/// assert!(cube.parameters().eq([("number", "i64")]));
/// # Ok::<(), wasmpool_abi::section::SectionError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskDescription<'a> {
    /// Name by which the pool calls it.
    pub name: &'a str,
    /// Type of its result as written in the source; empty for none.
    pub result: &'a str,
    /// Its documentation, or an empty text.
    pub documentation: &'a str,
    /// Any of [`FLAG_NUMERIC`], [`FLAG_NO_RESULT`], [`FLAG_FALLIBLE`].
    pub flags: u8,
    /// Name and type of each parameter, in order.
    pub parameters: &'a [(&'a str, &'a str)],
}

impl TaskDescription<'_> {
    /// Length of the task's record, its length field included.
    #[must_use]
    pub const fn record_bytes(&self) -> usize {
        let mut bytes = RECORD_HEAD_BYTES
            + text_bytes(self.name)
            + text_bytes(self.result)
            + text_bytes(self.documentation);
        let mut index = 0;
        while index < self.parameters.len() {
            let (name, kind) = self.parameters[index];
            bytes += text_bytes(name) + text_bytes(kind);
            index += 1;
        }
        bytes
    }

    /// The task's record; `N` is what [`record_bytes`](Self::record_bytes) says.
    ///
    /// # Panics
    ///
    /// When `N` is another number, a text is longer than 65,535 bytes, or there are more parameters than that: while
    /// compiling, where the result is a constant.
    #[must_use]
    pub const fn record<const N: usize>(&self) -> [u8; N] {
        assert!(N == self.record_bytes(), "the record needs exactly `record_bytes` bytes");
        assert!(self.parameters.len() <= u16::MAX as usize, "a task has too many parameters for its record");
        let mut pen = Pen { bytes: [0; N], position: 0 };
        pen.put(&((N - LENGTH_BYTES) as u32).to_le_bytes());
        pen.put(&[VERSION, self.flags]);
        pen.put(&(self.parameters.len() as u16).to_le_bytes());
        pen.text(self.name);
        pen.text(self.result);
        pen.text(self.documentation);
        let mut index = 0;
        while index < self.parameters.len() {
            let (name, kind) = self.parameters[index];
            pen.text(name);
            pen.text(kind);
            index += 1;
        }
        pen.bytes
    }
}

/// Bytes of the length field, which it does not count.
const LENGTH_BYTES: usize = size_of::<u32>();
/// Bytes of a record before its first text: length, version, flags, number of parameters.
const RECORD_HEAD_BYTES: usize = LENGTH_BYTES + 2 * size_of::<u8>() + size_of::<u16>();

const fn text_bytes(text: &str) -> usize {
    size_of::<u16>() + text.len()
}

/// The writer's counterpart of [`Cursor`].
struct Pen<const N: usize> {
    bytes: [u8; N],
    position: usize,
}

impl<const N: usize> Pen<N> {
    const fn put(&mut self, bytes: &[u8]) {
        let (_, rest) = self.bytes.split_at_mut(self.position);
        let (place, _) = rest.split_at_mut(bytes.len());
        place.copy_from_slice(bytes);
        self.position += bytes.len();
    }

    const fn text(&mut self, text: &str) {
        assert!(text.len() <= u16::MAX as usize, "a text of a task's record is longer than 65535 bytes");
        self.put(&(text.len() as u16).to_le_bytes());
        self.put(text.as_bytes());
    }
}

/// One task as its section describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskRecord<'a> {
    /// Name by which the pool calls it.
    pub name: &'a str,
    /// Type of its result as written in the source; empty for none.
    pub result: &'a str,
    /// Its documentation, or an empty text.
    pub documentation: &'a str,
    /// Any of [`FLAG_NUMERIC`], [`FLAG_NO_RESULT`], [`FLAG_FALLIBLE`].
    pub flags: u8,
    parameters: &'a [u8],
    parameter_count: u16,
}

/// Why a task section cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SectionError {
    /// A length points behind the end of the section or of its record.
    Truncated,
    /// A text is not UTF-8.
    NotUtf8,
    /// A record is of a version that this host does not know.
    Version(u8),
    /// A record is longer than what it says it holds.
    TrailingBytes,
}

/// The records of a section, in the order in which the linker laid them; ends after the first error.
#[must_use]
pub fn records(section: &[u8]) -> Records<'_> {
    Records { rest: section }
}

/// Iterator over a section's records, see [`records`].
#[derive(Clone, Debug)]
pub struct Records<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<TaskRecord<'a>, SectionError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let record = self.take();
        if record.is_err() {
            self.rest = &[];
        }
        Some(record)
    }
}

impl<'a> Records<'a> {
    fn take(&mut self) -> Result<TaskRecord<'a>, SectionError> {
        let mut cursor = Cursor { rest: self.rest };
        let length = cursor.u32()? as usize;
        let body = cursor.bytes(length)?;
        self.rest = cursor.rest;
        TaskRecord::read(body)
    }
}

impl<'a> TaskRecord<'a> {
    fn read(body: &'a [u8]) -> Result<Self, SectionError> {
        let mut cursor = Cursor { rest: body };
        let version = cursor.u8()?;
        if version != VERSION {
            return Err(SectionError::Version(version));
        }
        let flags = cursor.u8()?;
        let parameter_count = cursor.u16()?;
        let name = cursor.text()?;
        let result = cursor.text()?;
        let documentation = cursor.text()?;
        let parameters = cursor.rest;
        for _ in 0..parameter_count {
            cursor.text()?;
            cursor.text()?;
        }
        if !cursor.rest.is_empty() {
            return Err(SectionError::TrailingBytes);
        }
        Ok(Self { name, result, documentation, flags, parameters, parameter_count })
    }

    /// Name and type of each parameter, in order.
    pub fn parameters(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let mut cursor = Cursor { rest: self.parameters };
        // `read` has walked the same bytes, so the fallback is never taken.
        (0..self.parameter_count)
            .map(move |_| (cursor.text().unwrap_or_default(), cursor.text().unwrap_or_default()))
    }
}

impl core::fmt::Display for SectionError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Truncated => f.write_str("the task section is truncated"),
            Self::NotUtf8 => f.write_str("the task section holds text that is not UTF-8"),
            Self::Version(version) => {
                write!(
                    f,
                    "the task section is of version {version}, this host knows {VERSION}; build the module with a matching wasmpool-guest"
                )
            }
            Self::TrailingBytes => f.write_str("a record of the task section is longer than its contents"),
        }
    }
}

impl core::error::Error for SectionError {}

struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    fn bytes(&mut self, length: usize) -> Result<&'a [u8], SectionError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(SectionError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], SectionError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(SectionError::Truncated)?;
        self.rest = rest;
        Ok(*taken)
    }

    fn u8(&mut self) -> Result<u8, SectionError> {
        self.array().map(u8::from_le_bytes)
    }

    fn u16(&mut self) -> Result<u16, SectionError> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32, SectionError> {
        self.array().map(u32::from_le_bytes)
    }

    fn text(&mut self) -> Result<&'a str, SectionError> {
        let length = self.u16()? as usize;
        core::str::from_utf8(self.bytes(length)?).map_err(|_| SectionError::NotUtf8)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use super::*;

    const MEAN: TaskDescription<'_> = TaskDescription {
        name: "mean",
        result: "f64",
        documentation: "Arithmetic mean.\n\nµ is undefined for an empty list.",
        flags: FLAG_FALLIBLE,
        parameters: &[("values", "Vec<f64>"), ("weights", "Option<Vec<f64>>")],
    };
    const TICK: TaskDescription<'_> = TaskDescription {
        name: "tick",
        result: "",
        documentation: "",
        flags: FLAG_NO_RESULT | FLAG_NUMERIC,
        parameters: &[],
    };
    const MEAN_RECORD: [u8; MEAN.record_bytes()] = MEAN.record();
    const TICK_RECORD: [u8; TICK.record_bytes()] = TICK.record();

    fn section() -> Vec<u8> {
        [&MEAN_RECORD[..], &TICK_RECORD[..]].concat()
    }

    #[test]
    fn records_read_back_as_what_they_were_written_from() {
        let section = section();
        let read: Vec<_> = records(&section).map(Result::unwrap).collect();
        assert_eq!(read.len(), 2);
        for (record, description) in read.iter().zip([MEAN, TICK]) {
            assert_eq!(record.name, description.name);
            assert_eq!(record.result, description.result);
            assert_eq!(record.documentation, description.documentation);
            assert_eq!(record.flags, description.flags);
            assert!(record.parameters().eq(description.parameters.iter().copied()));
        }
    }

    #[test]
    fn the_bytes_are_as_drawn() {
        assert_eq!(
            TICK_RECORD, *b"\x0e\0\0\0\x01\x03\0\0\x04\0tick\0\0\0\0",
            "length, version, flags, parameters, then three texts"
        );
    }

    #[test]
    fn a_section_cut_at_any_byte_ends_in_one_error_or_between_records() {
        let section = section();
        for length in 0..section.len() {
            let read: Vec<_> = records(&section[..length]).collect();
            let whole = usize::from(length >= MEAN_RECORD.len());
            let between = length == 0 || length == MEAN_RECORD.len();
            assert_eq!(read.iter().filter(|record| record.is_ok()).count(), whole, "cut at {length}");
            assert_eq!(read.len(), if between { whole } else { whole + 1 }, "cut at {length}");
            if !between {
                assert_eq!(*read.last().unwrap(), Err(SectionError::Truncated), "cut at {length}");
            }
        }
    }

    #[test]
    fn a_record_whose_length_lies_is_refused() {
        for (length, error) in [(13, SectionError::Truncated), (15, SectionError::TrailingBytes)] {
            let mut section = TICK_RECORD.to_vec();
            section[0] = length;
            section.push(0);
            assert_eq!(records(&section).collect::<Vec<_>>(), [Err(error)]);
        }
    }

    #[test]
    fn another_version_is_refused_by_its_number() {
        let mut section = TICK_RECORD;
        section[4] = VERSION + 1;
        assert_eq!(records(&section).collect::<Vec<_>>(), [Err(SectionError::Version(VERSION + 1))]);
    }

    #[test]
    fn text_that_is_not_utf8_is_refused() {
        let mut section = TICK_RECORD;
        section[10] = 0xff;
        assert_eq!(records(&section).collect::<Vec<_>>(), [Err(SectionError::NotUtf8)]);
    }

    #[test]
    fn damaged_and_random_bytes_never_panic_and_never_loop() {
        let mut random = Xorshift(0x9e37_79b9_7f4a_7c15);
        for _ in 0..20_000 {
            let mut section = section();
            for _ in 0..=random.below(4) {
                let place = random.below(section.len());
                section[place] = random.below(256) as u8;
            }
            read_everything(&section);
            let noise: Vec<u8> = (0..random.below(64)).map(|_| random.below(256) as u8).collect();
            read_everything(&noise);
        }
    }

    /// Walks all that a host would walk; a record takes at least its head, which bounds their number.
    fn read_everything(section: &[u8]) {
        let mut count = 0;
        for record in records(section) {
            count += 1;
            if let Ok(record) = record {
                assert_eq!(record.parameters().count(), usize::from(record.parameter_count));
            }
        }
        assert!(count <= section.len() / RECORD_HEAD_BYTES + 1);
    }

    /// The smallest generator that will do: the crate has no dependencies, and the seed is fixed.
    struct Xorshift(u64);

    impl Xorshift {
        fn below(&mut self, bound: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 % bound as u64) as usize
        }
    }
}
