//! The functions of preview 1 on open files and directories.
//!
//! They know addresses, layouts and flags; what a descriptor is and what may be done with it is [`Files`]' affair.
//! All bytes go by way of our own memory, because the guest's may be shared with others. A guest that is granted no
//! directory has these functions, too, and hears that its descriptors are bad: a module may import more than it uses.

#[cfg(test)]
mod tests;

use rustix::fs::SeekFrom;

use super::errno::Errno;
use super::{Failure, Guest, IOVECS_MAX, Outcome, RIGHT_FD_READ, RIGHT_FD_WRITE, WasiHost, is_open};
use crate::sandbox::files::{At, FIRST, Files, times};

/// Bytes that go between a file and the guest at a time. Writes up to this length reach the file as one.
pub(super) const BLOCK_BYTES: usize = 65_536;

pub(super) const FLAG_APPEND: u32 = 1;
/// Whatever preview 1 has rights for, but for sockets. What a directory says it passes on is all of it: who opens
/// something for writing in one that may only be read is to hear so, rather than get less than was asked for.
const ALL_RIGHTS: u64 = (1 << 28) - 1;

/// Rights that a file's descriptor lacks which was not opened to read, or not to write: to write, allocate and cut off.
const READING_RIGHTS: u64 = RIGHT_FD_READ;
const WRITING_RIGHTS: u64 = RIGHT_FD_WRITE | 1 << 8 | 1 << 22;

impl<T: WasiHost> Guest<'_, T> {
    /// Has something done with the files while the guest's memory is at hand, too.
    fn with_files<R>(&mut self, act: impl FnOnce(&mut Self, &mut Files) -> R) -> R {
        let mut files = std::mem::take(self.host().files());
        let done = act(self, &mut files);
        *self.host().files() = files;
        done
    }
}

/// The descriptors at which files begin: what is below has no position and no size.
fn is_of_files(fd: u32) -> bool {
    fd >= FIRST
}

// Granted directories.

pub(super) fn fd_prestat_get<T: WasiHost>(mut guest: Guest<'_, T>, fd: u32, prestat: u32) -> Outcome {
    let length = guest.host().files().granted_path(fd)?.len() as u32;
    // The tag of a directory is zero.
    guest.write_u64(prestat, u64::from(length) << 32)
}

pub(super) fn fd_prestat_dir_name<T: WasiHost>(
    mut guest: Guest<'_, T>,
    fd: u32,
    path: u32,
    path_bytes: u32,
) -> Outcome {
    let granted = guest.host().files().granted_path(fd)?.to_owned();
    if (path_bytes as usize) < granted.len() {
        return Err(Errno::NameTooLong.into());
    }
    guest.write(path, granted.as_bytes())
}

// Open files.

pub(super) fn fd_advise<T: WasiHost>(
    mut guest: Guest<'_, T>,
    fd: u32,
    _offset: u64,
    _length: u64,
    _advice: u32,
) -> Outcome {
    // Advice may be ignored.
    Ok(guest.host().files().status(fd).map(|_| ())?)
}

/// Not every file system can, so libraries do without.
pub(super) fn fd_allocate<T: WasiHost>(
    mut guest: Guest<'_, T>,
    fd: u32,
    _offset: u64,
    _length: u64,
) -> Outcome {
    guest.host().files().status(fd)?;
    Err(Errno::NotSupported.into())
}

pub(super) fn close<T: WasiHost>(mut guest: Guest<'_, T>, fd: u32) -> Outcome {
    Ok(guest.host().files().close(fd)?)
}

pub(super) fn fd_datasync<T: WasiHost>(mut guest: Guest<'_, T>, fd: u32) -> Outcome {
    Ok(guest.host().files().sync(fd, true)?)
}

pub(super) fn fd_sync<T: WasiHost>(mut guest: Guest<'_, T>, fd: u32) -> Outcome {
    Ok(guest.host().files().sync(fd, false)?)
}

pub(super) fn status<T: WasiHost>(mut guest: Guest<'_, T>, fd: u32, stat: u32) -> Outcome {
    let status = guest.host().files().status(fd)?;
    let mut rights = ALL_RIGHTS;
    if !status.read {
        rights &= !READING_RIGHTS;
    }
    if !status.write {
        rights &= !WRITING_RIGHTS;
    }
    let mut bytes = [0; 24];
    bytes[0] = status.file_type;
    bytes[2] = if status.append { FLAG_APPEND as u8 } else { 0 };
    bytes[8..16].copy_from_slice(&rights.to_le_bytes());
    bytes[16..24].copy_from_slice(&ALL_RIGHTS.to_le_bytes());
    guest.write(stat, &bytes)
}

pub(super) fn set_flags<T: WasiHost>(mut guest: Guest<'_, T>, fd: u32, flags: u32) -> Outcome {
    Ok(guest.host().files().set_append(fd, flags & FLAG_APPEND != 0)?)
}

/// Rights can be taken from a descriptor in preview 1; nobody does, and here they go with the grant.
pub(super) fn fd_fdstat_set_rights<T: WasiHost>(
    mut guest: Guest<'_, T>,
    fd: u32,
    _base: u64,
    _inheriting: u64,
) -> Outcome {
    guest.host().files().status(fd)?;
    Err(Errno::NotSupported.into())
}

pub(super) fn describe<T: WasiHost>(mut guest: Guest<'_, T>, fd: u32, stat: u32) -> Outcome {
    let described = guest.host().files().stat(fd)?;
    guest.write(stat, &described)
}

pub(super) fn fd_filestat_set_size<T: WasiHost>(mut guest: Guest<'_, T>, fd: u32, bytes: u64) -> Outcome {
    Ok(guest.host().files().set_size(fd, bytes)?)
}

pub(super) fn fd_filestat_set_times<T: WasiHost>(
    mut guest: Guest<'_, T>,
    fd: u32,
    access_ns: u64,
    modification_ns: u64,
    flags: u32,
) -> Outcome {
    let times = times(access_ns, modification_ns, flags)?;
    Ok(guest.host().files().set_times(fd, &times)?)
}

pub(super) fn fd_renumber<T: WasiHost>(mut guest: Guest<'_, T>, from: u32, to: u32) -> Outcome {
    Ok(guest.host().files().renumber(from, to)?)
}

pub(super) fn seek<T: WasiHost>(
    mut guest: Guest<'_, T>,
    fd: u32,
    offset: u64,
    whence: u32,
    position: u32,
) -> Outcome {
    let to = match whence {
        0 => SeekFrom::Start(offset),
        1 => SeekFrom::Current(offset as i64),
        2 => SeekFrom::End(offset as i64),
        _ => return Err(Errno::Invalid.into()),
    };
    guest.check(position, 8)?;
    let reached = guest.host().files().seek(fd, to)?;
    guest.write_u64(position, reached)
}

pub(super) fn fd_tell<T: WasiHost>(guest: Guest<'_, T>, fd: u32, position: u32) -> Outcome {
    if !is_of_files(fd) {
        is_open(fd)?;
        return Err(Errno::NoSeek.into());
    }
    seek(guest, fd, 0, 1, position)
}

pub(super) fn fd_pread<T: WasiHost>(
    guest: Guest<'_, T>,
    fd: u32,
    iovecs: u32,
    count: u32,
    offset: u64,
    read: u32,
) -> Outcome {
    if !is_of_files(fd) {
        is_open(fd)?;
        return Err(Errno::NoSeek.into());
    }
    read_at(guest, fd, At::Offset(offset), iovecs, count, read)
}

pub(super) fn fd_pwrite<T: WasiHost>(
    guest: Guest<'_, T>,
    fd: u32,
    iovecs: u32,
    count: u32,
    offset: u64,
    written: u32,
) -> Outcome {
    if !is_of_files(fd) {
        is_open(fd)?;
        return Err(Errno::NoSeek.into());
    }
    write_at(guest, fd, At::Offset(offset), iovecs, count, written)
}

/// Fills the guest's buffers, one after the other, until one cannot be filled.
pub(super) fn read_at<T: WasiHost>(
    mut guest: Guest<'_, T>,
    fd: u32,
    at: At,
    iovecs: u32,
    count: u32,
    read: u32,
) -> Outcome {
    let total = guest.with_files(|guest, files| {
        let buffers = Buffers::new(guest, iovecs, count)?;
        let mut block = vec![0; buffers.bytes.min(BLOCK_BYTES)];
        files.check_file(fd)?;
        let mut total = 0;
        for (address, length) in buffers.pieces(block.len()) {
            let took = files.read(fd, at.behind(total), &mut block[..length]);
            // What was read before an error is in the guest's memory already, and the error comes again.
            let took = if total == 0 { took? } else { took.unwrap_or(0) };
            guest.write(address, &block[..took])?;
            total += took;
            if took < length {
                break;
            }
        }
        Ok::<_, Failure>(total)
    })?;
    guest.write_u32(read, total as u32)
}

/// Writes the guest's buffers, a block at a time.
pub(super) fn write_at<T: WasiHost>(
    mut guest: Guest<'_, T>,
    fd: u32,
    at: At,
    iovecs: u32,
    count: u32,
    written: u32,
) -> Outcome {
    let total = guest.with_files(|guest, files| {
        let buffers = Buffers::new(guest, iovecs, count)?;
        let mut block = Vec::with_capacity(buffers.bytes.min(BLOCK_BYTES));
        let mut total = 0;
        let mut pieces = buffers.pieces(BLOCK_BYTES).peekable();
        loop {
            block.clear();
            while let Some((address, length)) = pieces.next_if(|piece| block.len() + piece.1 <= BLOCK_BYTES) {
                let start = block.len();
                block.resize(start + length, 0);
                guest.read(address, &mut block[start..])?;
            }
            let wrote = files.write(fd, at.behind(total), &block);
            // As in reading.
            let wrote = if total == 0 { wrote? } else { wrote.unwrap_or(0) };
            total += wrote;
            if wrote < block.len() || pieces.peek().is_none() {
                break Ok::<_, Failure>(total);
            }
        }
    })?;
    guest.write_u32(written, total as u32)
}

/// The buffers that a guest named, all of them inside its memory.
pub(super) struct Buffers {
    buffers: Vec<(u32, u32)>,
    pub(super) bytes: usize,
}

impl Buffers {
    pub(super) fn new<T: WasiHost>(guest: &Guest<'_, T>, iovecs: u32, count: u32) -> Result<Self, Failure> {
        if count > IOVECS_MAX {
            return Err(Errno::Invalid.into());
        }
        let mut buffers = Vec::with_capacity(count as usize);
        let mut bytes = 0u32;
        for index in 0..count {
            let (address, length) = guest.iovec(iovecs, index)?;
            guest.check(address, length)?;
            bytes = bytes.checked_add(length).ok_or(Errno::Invalid)?;
            buffers.push((address, length));
        }
        Ok(Self { buffers, bytes: bytes as usize })
    }

    /// The same in pieces of at most so many bytes.
    pub(super) fn pieces(&self, bytes_max: usize) -> impl Iterator<Item = (u32, usize)> {
        let cut = move |(address, length): &(u32, u32)| {
            let (address, length) = (*address, *length as usize);
            let starts = (0..length).step_by(bytes_max.max(1));
            starts.map(move |start| (address + start as u32, bytes_max.min(length - start)))
        };
        self.buffers.iter().flat_map(cut)
    }
}

/// Fills a buffer with entries; the last one may be cut off, which tells that there are more.
pub(super) fn fd_readdir<T: WasiHost>(
    mut guest: Guest<'_, T>,
    fd: u32,
    buffer: u32,
    length: u32,
    cookie: u64,
    used: u32,
) -> Outcome {
    guest.check(buffer, length)?;
    let filled = guest.with_files(|guest, files| {
        let mut filled = 0;
        files.list(fd, cookie, length as usize, |entry| {
            let bytes = entry.len().min((length - filled) as usize);
            guest.write(buffer + filled, &entry[..bytes])?;
            filled += bytes as u32;
            Ok::<_, Failure>(filled < length)
        })?;
        Ok::<_, Failure>(filled)
    })?;
    guest.write_u32(used, filled)
}
