//! From the ends of calls to stdout and stderr.
//!
//! Feeders format the ends of their own calls into blobs ([`Format`]), so that formatting scales with workers; a
//! [`ResultStream`] puts the blobs into order and writes them. What a failed call says on stderr is a
//! [`failure_line`].

mod failure;
mod format;
mod stream;

pub(crate) use failure::failure_line;
pub(crate) use format::{Call, Ended, Format, Shape, Strings};
pub(crate) use stream::{Order, OutputError, ResultStream, write_last};

use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;

/// Stdout without a buffer of its own, for a [`ResultStream`]: the standard library's would flush at every line.
///
/// # Errors
///
/// When the process may not open another descriptor.
pub(crate) fn stdout() -> io::Result<File> {
    io::stdout().as_fd().try_clone_to_owned().map(File::from)
}
