//! What is known of a file, in the layout that guests read, and the times that they set.

use rustix::fs::{FileType, Stat, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT};

use crate::sandbox::wasi::errno::Errno;

/// Bytes of a file's description.
pub(crate) const STAT_BYTES: usize = 64;

/// A type of file by its number in preview 1.
pub(super) fn file_type_code(kind: FileType) -> u8 {
    match kind {
        FileType::BlockDevice => 1,
        FileType::CharacterDevice => 2,
        FileType::Directory => DIRECTORY,
        FileType::RegularFile => REGULAR_FILE,
        FileType::Socket => 6,
        FileType::Symlink => 7,
        // A FIFO is none of preview 1's.
        _ => 0,
    }
}

pub(super) const DIRECTORY: u8 = 3;
pub(super) const REGULAR_FILE: u8 = 4;

/// Device, inode, type, links, size, and the times of the last access, change of contents and change of anything.
pub(super) fn describe(stat: &Stat) -> [u8; STAT_BYTES] {
    let mut bytes = [0; STAT_BYTES];
    let nanoseconds = |seconds: i64, rest: u64| {
        u64::try_from(seconds).unwrap_or(0).saturating_mul(NANOSECONDS_PER_SECOND).saturating_add(rest)
    };
    let words = [
        (0, stat.st_dev),
        (8, stat.st_ino),
        (16, u64::from(file_type_code(FileType::from_raw_mode(stat.st_mode)))),
        (24, stat.st_nlink),
        (32, u64::try_from(stat.st_size).unwrap_or(0)),
        (40, nanoseconds(stat.st_atime, stat.st_atime_nsec)),
        (48, nanoseconds(stat.st_mtime, stat.st_mtime_nsec)),
        (56, nanoseconds(stat.st_ctime, stat.st_ctime_nsec)),
    ];
    for (offset, word) in words {
        bytes[offset..offset + 8].copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

const NANOSECONDS_PER_SECOND: u64 = 1_000_000_000;

/// The times that a guest wants a file to have, from its words for them.
///
/// # Errors
///
/// [`Errno::Invalid`] when it wants a time and the present one.
pub(crate) fn times(access_ns: u64, modification_ns: u64, flags: u32) -> Result<Timestamps, Errno> {
    Ok(Timestamps {
        last_access: time(access_ns, flags & 1 != 0, flags & 2 != 0)?,
        last_modification: time(modification_ns, flags & 4 != 0, flags & 8 != 0)?,
    })
}

fn time(ns: u64, to_this: bool, to_now: bool) -> Result<Timespec, Errno> {
    let special = |tv_nsec| Timespec { tv_sec: 0, tv_nsec };
    match (to_this, to_now) {
        (true, true) => Err(Errno::Invalid),
        (false, true) => Ok(special(UTIME_NOW)),
        (false, false) => Ok(special(UTIME_OMIT)),
        (true, false) => Ok(Timespec {
            // Both fit: 2^64 nanoseconds are 2^35 seconds.
            tv_sec: (ns / NANOSECONDS_PER_SECOND) as i64,
            tv_nsec: (ns % NANOSECONDS_PER_SECOND) as i64,
        }),
    }
}
