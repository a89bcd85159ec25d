//! The contract between wasmpool's workers and the modules they run.
//!
//! Both sides compile this crate, so that a name or a number stands in one place. It owns the names of imports
//! and exports, the codes that cross the boundary, and the layout of the task section. It knows nothing of
//! serialization libraries, engines or processes, and it needs neither `std` nor an allocator.
//!
//! # The pull loop
//!
//! The host enters a task once for a whole block of calls. The guest then asks for inputs and hands back results:
//!
//! ```text
//! host                                   guest
//! ----                                   -----
//! task entry(codec)  ─────────────────►
//!                    ◄─────────────────  next(buffer, capacity)
//! length of input 0, copied if it fits ►
//!                    ◄─────────────────  fetch(buffer)          only if it did not fit
//!                                        decode, run, encode
//!                    ◄─────────────────  done(kind, bytes, length)
//!                    ◄─────────────────  next(buffer, capacity)
//! NO_MORE_CALLS      ─────────────────►
//!                    ◄─────────────────  return
//! ```
//!
//! `next` and `done` alternate. A guest that breaks the order traps, and the call that was running is charged.
#![no_std]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may"))]

pub mod current;
pub mod nesting;
pub mod section;
pub mod shared;

/// Version of this contract; a module built for another one is refused when it is loaded.
pub const VERSION: u8 = 1;

/// Name of the module from which guests import the functions of the pull loop.
pub const IMPORT_MODULE: &str = "wasmpool";

/// `next(buffer: i32, capacity: i32) -> i64`: starts the next call.
///
/// Returns the length of its input in bytes, or [`NO_MORE_CALLS`]. The input is copied to `buffer` when it is not
/// longer than `capacity`; otherwise the guest makes room and calls [`IMPORT_FETCH`].
pub const IMPORT_NEXT: &str = "next";

/// `fetch(buffer: i32)`: copies the input of the running call, whole, to `buffer`.
pub const IMPORT_FETCH: &str = "fetch";

/// `done(kind: i32, bytes: i32, length: i32)`: ends the running call; `kind` is a [`Done`].
pub const IMPORT_DONE: &str = "done";

/// `panicked(message: i32, length: i32)`: tells why the trap that follows will happen. Allowed at any time.
pub const IMPORT_PANICKED: &str = "panicked";

/// What [`IMPORT_NEXT`] returns when the block is over.
pub const NO_MORE_CALLS: i64 = -1;

/// Prefix of the pull-loop entry of a task, `fn(codec: i32)`: `wasmpool:task:cube`.
pub const TASK_EXPORT_PREFIX: &str = "wasmpool:task:";

/// Prefix of the plain export of a task all of whose parameters and results are numbers: `wasmpool:numeric:cube`.
///
/// It takes and returns the numbers themselves, so that the batch driver can call it.
pub const NUMERIC_EXPORT_PREFIX: &str = "wasmpool:numeric:";

/// Called once per instance before anything else, when a module exports it.
pub const INITIALIZE_EXPORT: &str = "_initialize";

/// Called after a block of numeric calls, when a module exports it: writes out what the guest's `stdout` buffers.
pub const FLUSH_EXPORT: &str = "wasmpool:flush";

/// Name of the custom section that lists a module's tasks, one record after the other (see [`section`]).
pub const TASK_SECTION: &str = "wasmpool.tasks";

/// Longest name of a task, in bytes.
pub const TASK_NAME_BYTES_MAX: usize = 128;

/// Most bytes of one value: an input, a result, an item, a message, a record with its key.
pub const VALUE_BYTES_MAX: usize = 64 << 20;

/// Whether a task may be called this: 1 to 128 ASCII letters, digits, `_`, `-` and `.`.
///
/// # Examples
///
/// ```
/// assert!(wasmpool_abi::is_task_name("resize-image.v2"));
/// assert!(!wasmpool_abi::is_task_name("größe"));
/// ```
#[must_use]
pub const fn is_task_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    let mut index = 0;
    while index < bytes.len() {
        if !(bytes[index].is_ascii_alphanumeric() || matches!(bytes[index], b'_' | b'-' | b'.')) {
            return false;
        }
        index += 1;
    }
    !bytes.is_empty() && bytes.len() <= TASK_NAME_BYTES_MAX
}

/// How inputs and results of an SDK task are written.
///
/// In either, an input is one array with the task's arguments in order, also when there is just one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Codec {
    /// JSON text, one value.
    Json = 0,
    /// MessagePack, structures as maps with field names.
    MessagePack = 1,
}

impl Codec {
    /// The codec with this code, if there is one.
    #[must_use]
    pub const fn from_code(code: i32) -> Option<Self> {
        match code {
            0 => Some(Self::Json),
            1 => Some(Self::MessagePack),
            _ => None,
        }
    }
}

/// How a call of an SDK task ended, as the guest reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Done {
    /// The task returned; the bytes are its result in the block's codec (none for a task without a result).
    Returned = 0,
    /// The task returned `Err`; the bytes are the error's text in UTF-8.
    Failed = 1,
    /// The input could not be decoded into the task's parameters; the bytes say why, in UTF-8.
    Refused = 2,
}

impl Done {
    /// The kind with this code, if there is one.
    #[must_use]
    pub const fn from_code(code: i32) -> Option<Self> {
        match code {
            0 => Some(Self::Returned),
            1 => Some(Self::Failed),
            2 => Some(Self::Refused),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_of_plain_characters() {
        let longest = [b'a'; TASK_NAME_BYTES_MAX + 1];
        let longest = core::str::from_utf8(&longest).unwrap();
        for name in ["a", "cube", "a_b-c.9", &longest[1..]] {
            assert!(is_task_name(name), "{name}");
        }
        for name in ["", "a b", "a:b", "a\0", "é", longest] {
            assert!(!is_task_name(name), "{name}");
        }
    }

    #[test]
    fn codes_read_back_as_what_they_were_written_from() {
        for codec in [Codec::Json, Codec::MessagePack] {
            assert_eq!(Codec::from_code(codec as i32), Some(codec));
        }
        for done in [Done::Returned, Done::Failed, Done::Refused] {
            assert_eq!(Done::from_code(done as i32), Some(done));
        }
        assert_eq!(Codec::from_code(2), None);
        assert_eq!(Done::from_code(-1), None);
    }
}
