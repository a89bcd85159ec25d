//! What is in a directory, in the layout that guests read.

use std::mem::MaybeUninit;
use std::os::fd::BorrowedFd;

use rustix::fs::{FileType, RawDir, SeekFrom};

use super::stat::file_type_code;
use crate::sandbox::wasi::errno::Errno;

/// Bytes before an entry's name: cookie of the next one, inode, length of the name, type.
const HEAD_BYTES: usize = 24;

/// Bytes of entries that are asked of the kernel at a time; the least has room for the longest name.
const BATCH_BYTES: std::ops::RangeInclusive<usize> = 1_024..=32_768;

/// Gives the entries behind a cookie to `take`, one after the other, until it wants no more or there are none.
///
/// Cookies are the kernel's own, so that an entry that goes or comes meanwhile disturbs no other, and nothing has to
/// be kept between one call and the next. The descriptor must be nobody else's: they share the position in it.
///
/// # Errors
///
/// The kernel's, and those of `take`.
pub(super) fn read<E: From<Errno>>(
    directory: BorrowedFd<'_>,
    cookie: u64,
    bytes_wanted: usize,
    mut take: impl FnMut(&[u8]) -> Result<bool, E>,
) -> Result<(), E> {
    let of_kernel = |error: rustix::io::Errno| E::from(Errno::from(error));
    rustix::fs::seek(directory, SeekFrom::Start(cookie)).map_err(of_kernel)?;
    let batch_bytes = bytes_wanted.clamp(*BATCH_BYTES.start(), *BATCH_BYTES.end());
    let mut batch = vec![MaybeUninit::uninit(); batch_bytes];
    let mut entries = RawDir::new(directory, &mut batch);
    let mut entry = Vec::new();
    while let Some(found) = entries.next() {
        let found = found.map_err(of_kernel)?;
        let name = found.file_name().to_bytes();
        // What lies above a directory is nobody's business, not even by its number; libraries know zero for unknown.
        let inode = if name == b".." { 0 } else { found.ino() };
        write_entry(&mut entry, found.next_entry_cookie(), inode, found.file_type(), name);
        if !take(&entry)? {
            break;
        }
    }
    Ok(())
}

fn write_entry(entry: &mut Vec<u8>, next: u64, inode: u64, kind: FileType, name: &[u8]) {
    entry.clear();
    entry.extend_from_slice(&next.to_le_bytes());
    entry.extend_from_slice(&inode.to_le_bytes());
    // The kernel's names have at most 255 bytes.
    entry.extend_from_slice(&(name.len() as u32).to_le_bytes());
    entry.extend_from_slice(&[file_type_code(kind), 0, 0, 0]);
    debug_assert_eq!(entry.len(), HEAD_BYTES);
    entry.extend_from_slice(name);
}
