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
//! Records are written by the `#[task]` macro and read by the host, which takes them for what they are: words of
//! a hostile module. Reading is bounded by the section's own length, allocates nothing and cannot panic.

use crate::VERSION;

/// The task has a plain numeric export beside its pull-loop entry.
pub const FLAG_NUMERIC: u8 = 1;
/// The task returns nothing, `()` or `Result<(), E>`.
pub const FLAG_NO_RESULT: u8 = 2;
/// The task returns a `Result`.
pub const FLAG_FALLIBLE: u8 = 4;

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
                write!(f, "the task section is of version {version}, this host knows {VERSION}; build the module with a matching wasmpool-guest")
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
