//! The functions of preview 1 on paths.
//!
//! As those on descriptors ([`super::files`]): addresses and layouts are here, what may be done is [`Files`]' affair. A
//! path is any bytes at all; whether it leads somewhere inside is for the kernel to find.
//!
//! [`Files`]: crate::sandbox::files::Files

use super::errno::Errno;
use super::files::FLAG_APPEND;
use super::{Failure, Guest, Outcome, RIGHT_FD_READ, RIGHT_FD_WRITE, WasiHost};
use crate::sandbox::files::{Opening, STAT_BYTES, times};

/// Bytes of a path, as Linux has it.
pub(super) const PATH_BYTES_MAX: u32 = 4_096;

const LOOKUP_FOLLOW: u32 = 1;

const OPEN_CREATE: u32 = 1;
const OPEN_DIRECTORY: u32 = 2;
const OPEN_EXCLUSIVE: u32 = 4;
const OPEN_TRUNCATE: u32 = 8;

const FLAG_DSYNC: u32 = 2;
const FLAG_RSYNC: u32 = 8;
const FLAG_SYNC: u32 = 16;

impl<T: WasiHost> Guest<'_, T> {
    fn path(&self, address: u32, length: u32) -> Result<Vec<u8>, Failure> {
        if length > PATH_BYTES_MAX {
            return Err(Errno::NameTooLong.into());
        }
        let mut path = vec![0; length as usize];
        self.read(address, &mut path)?;
        Ok(path)
    }
}

#[allow(clippy::too_many_arguments, reason = "they are preview 1's")]
pub(super) fn path_open<T: WasiHost>(
    mut guest: Guest<'_, T>,
    fd: u32,
    lookup: u32,
    path: u32,
    path_bytes: u32,
    open: u32,
    rights: u64,
    _inheriting: u64,
    flags: u32,
    opened: u32,
) -> Outcome {
    let how = Opening {
        follow: lookup & LOOKUP_FOLLOW != 0,
        read: rights & RIGHT_FD_READ != 0,
        // Some libraries ask for the other rights that writing brings also when they only read.
        write: rights & RIGHT_FD_WRITE != 0,
        create: open & OPEN_CREATE != 0,
        directory: open & OPEN_DIRECTORY != 0,
        exclusive: open & OPEN_EXCLUSIVE != 0,
        truncate: open & OPEN_TRUNCATE != 0,
        append: flags & FLAG_APPEND != 0,
        sync_contents: flags & FLAG_DSYNC != 0,
        sync: flags & (FLAG_SYNC | FLAG_RSYNC) != 0,
    };
    let path = guest.path(path, path_bytes)?;
    guest.check(opened, 4)?;
    let number = guest.host().files().open(fd, &path, how)?;
    guest.write_u32(opened, number)
}

pub(super) fn path_create_directory<T: WasiHost>(
    mut guest: Guest<'_, T>,
    fd: u32,
    path: u32,
    path_bytes: u32,
) -> Outcome {
    let path = guest.path(path, path_bytes)?;
    Ok(guest.host().files().create_directory(fd, &path)?)
}

pub(super) fn path_filestat_get<T: WasiHost>(
    mut guest: Guest<'_, T>,
    fd: u32,
    lookup: u32,
    path: u32,
    path_bytes: u32,
    stat: u32,
) -> Outcome {
    let path = guest.path(path, path_bytes)?;
    let described: [u8; STAT_BYTES] = guest.host().files().stat_at(fd, &path, lookup & LOOKUP_FOLLOW != 0)?;
    guest.write(stat, &described)
}

#[allow(clippy::too_many_arguments, reason = "they are preview 1's")]
pub(super) fn path_filestat_set_times<T: WasiHost>(
    mut guest: Guest<'_, T>,
    fd: u32,
    lookup: u32,
    path: u32,
    path_bytes: u32,
    access_ns: u64,
    modification_ns: u64,
    flags: u32,
) -> Outcome {
    let times = times(access_ns, modification_ns, flags)?;
    let path = guest.path(path, path_bytes)?;
    Ok(guest.host().files().set_times_at(fd, &path, lookup & LOOKUP_FOLLOW != 0, &times)?)
}

#[allow(clippy::too_many_arguments, reason = "they are preview 1's")]
pub(super) fn path_link<T: WasiHost>(
    mut guest: Guest<'_, T>,
    fd: u32,
    lookup: u32,
    path: u32,
    path_bytes: u32,
    new_fd: u32,
    new_path: u32,
    new_path_bytes: u32,
) -> Outcome {
    if lookup & LOOKUP_FOLLOW != 0 {
        return Err(Errno::Invalid.into());
    }
    let (path, new_path) = (guest.path(path, path_bytes)?, guest.path(new_path, new_path_bytes)?);
    Ok(guest.host().files().link(fd, &path, new_fd, &new_path)?)
}

/// Writes as much of a link's target as there is room for.
pub(super) fn path_readlink<T: WasiHost>(
    mut guest: Guest<'_, T>,
    fd: u32,
    path: u32,
    path_bytes: u32,
    buffer: u32,
    length: u32,
    used: u32,
) -> Outcome {
    let path = guest.path(path, path_bytes)?;
    let target = guest.host().files().read_link(fd, &path)?;
    let bytes = target.len().min(length as usize);
    guest.write(buffer, &target[..bytes])?;
    guest.write_u32(used, bytes as u32)
}

pub(super) fn path_remove_directory<T: WasiHost>(
    mut guest: Guest<'_, T>,
    fd: u32,
    path: u32,
    path_bytes: u32,
) -> Outcome {
    let path = guest.path(path, path_bytes)?;
    Ok(guest.host().files().remove_directory(fd, &path)?)
}

pub(super) fn path_rename<T: WasiHost>(
    mut guest: Guest<'_, T>,
    fd: u32,
    path: u32,
    path_bytes: u32,
    new_fd: u32,
    new_path: u32,
    new_path_bytes: u32,
) -> Outcome {
    let (path, new_path) = (guest.path(path, path_bytes)?, guest.path(new_path, new_path_bytes)?);
    Ok(guest.host().files().rename(fd, &path, new_fd, &new_path)?)
}

pub(super) fn path_symlink<T: WasiHost>(
    mut guest: Guest<'_, T>,
    target: u32,
    target_bytes: u32,
    fd: u32,
    path: u32,
    path_bytes: u32,
) -> Outcome {
    let (target, path) = (guest.path(target, target_bytes)?, guest.path(path, path_bytes)?);
    Ok(guest.host().files().symlink(&target, fd, &path)?)
}

pub(super) fn path_unlink_file<T: WasiHost>(
    mut guest: Guest<'_, T>,
    fd: u32,
    path: u32,
    path_bytes: u32,
) -> Outcome {
    let path = guest.path(path, path_bytes)?;
    Ok(guest.host().files().unlink(fd, &path)?)
}
