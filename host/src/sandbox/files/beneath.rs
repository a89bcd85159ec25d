//! Paths that a guest names, looked up without leaving the directory that they start from.
//!
//! The kernel does the looking up: `openat2` with `RESOLVE_BENEATH` refuses absolute paths, `..` above the start, and
//! symbolic links that would lead out, at every step and also when somebody renames things meanwhile. There is no
//! check of a path's text here that such a race could outrun. With `RESOLVE_NO_MAGICLINKS`, the links of `/proc` that
//! lead to any open file lead nowhere.
//!
//! Calls that make, move or remove an entry have no such flag. For them the entry's parent is opened so, and the call
//! is given that descriptor and the entry's bare name ([`Place`]): a single component, never `..`, without slashes,
//! on which none of these calls follows a link.
//!
//! See openat2(2).

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno as Linux;

use crate::sandbox::wasi::errno::Errno;

/// How often a look-up is begun again that somebody's renaming disturbed.
const ATTEMPTS_MAX: usize = 128;

/// Opens what a path leads to from a directory.
///
/// # Errors
///
/// [`Errno::NotPermitted`] when it would lead out.
pub(super) fn open(
    directory: BorrowedFd<'_>,
    path: &[u8],
    flags: OFlags,
    mode: Mode,
) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let flags = flags | OFlags::CLOEXEC;
    for _ in 0..ATTEMPTS_MAX {
        match rustix::fs::openat2(directory, path, flags, mode, resolve) {
            // The kernel cannot tell whether a `..` was still beneath: something moved on the way.
            Err(Linux::AGAIN | Linux::INTR) => {}
            Err(Linux::XDEV) => return Err(Errno::NotPermitted),
            opened => return Ok(opened?),
        }
    }
    Err(Errno::Again)
}

/// Where an entry lies, or is to lie: an open directory and a name in it.
pub(super) struct Place<'a> {
    parent: Parent<'a>,
    pub(super) name: &'a [u8],
    /// The path ended in a slash: only a directory will do.
    pub(super) wants_directory: bool,
}

enum Parent<'a> {
    Given(BorrowedFd<'a>),
    Opened(OwnedFd),
}

impl<'a> Place<'a> {
    /// The place that a path names, seen from a directory. The last component is not looked up.
    ///
    /// # Errors
    ///
    /// As [`open`]; [`Errno::Invalid`] when the path ends in `.` or `..`, which are no names.
    pub(super) fn find(directory: BorrowedFd<'a>, path: &'a [u8]) -> Result<Self, Errno> {
        let end = path.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
        let (bare, slashes) = path.split_at(end);
        let start = bare.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
        let (parent, name) = bare.split_at(start);
        match name {
            b"" if path.is_empty() => return Err(Errno::NoEntry),
            b"" => return Err(Errno::NotPermitted),
            b"." | b".." => return Err(Errno::Invalid),
            _ => {}
        }
        let parent = match parent {
            b"" => Parent::Given(directory),
            path => Parent::Opened(open(directory, path, OFlags::PATH | OFlags::DIRECTORY, Mode::empty())?),
        };
        Ok(Self { parent, name, wants_directory: !slashes.is_empty() })
    }
}

impl AsFd for Place<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.parent {
            Parent::Given(directory) => *directory,
            Parent::Opened(directory) => directory.as_fd(),
        }
    }
}
