//! The files of one instance: the directories that it is granted, and what it has opened in them.
//!
//! ```text
//!  wasi           files and paths: functions of preview 1, which know addresses and layouts
//!      │
//!  files          descriptors of an instance by number; rights; one method per operation
//!      │    ├── beneath   paths that cannot leave the directory they start from
//!      │    ├── opening   how a file is to be opened
//!      │    ├── listing   entries of a directory
//!      │    └── stat      what is known of a file
//!    Linux
//! ```
//!
//! A worker is born with its granted directories as open descriptors and never sees the paths they were opened by.
//! Everything starts from one of them: there is no function here that takes a path alone. An instance that is granted
//! none has an empty table, which costs nothing, and every operation answers that the descriptor is bad.
//!
//! **Rights** go with the descriptor: whatever is opened through a directory granted for reading can only be read.
//! The mode in which the kernel opened a file guards its contents; all that can be changed without opening (names,
//! times, links, sizes) asks for the right first. A link or a rename needs it on both sides, or a file granted for
//! reading could be had for writing by another name.
//!
//! **Kinds**: only regular files and directories can be opened. FIFOs, devices and sockets lead out of the directory
//! in a way of their own, and opening one may wait for ever.
//!
//! **Life**: descriptors live as long as the instance, as everything of the guest's does: through all calls of a kept
//! instance, whose C library counts on them, and for one call where each has a fresh one. At most [`OPEN_MAX`] are
//! open at a time; then the guest is told so, and the worker keeps enough for itself.
//!
//! Why not wasmtime-wasi, which serves whole programs: its functions take the guest's memory as one slice, which must
//! not be where views of shared objects lie; they want a runtime with threads in every worker and a context in every
//! instance; and a table of descriptors beside the one through which tasks print.

mod beneath;
mod listing;
mod opening;
mod stat;
#[cfg(test)]
mod tests;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, SeekFrom, Timestamps};

use self::beneath::Place;
pub(crate) use self::opening::Opening;
pub(crate) use self::stat::{STAT_BYTES, times};
use super::wasi::errno::Errno;
use crate::channel::control::DirRights;

/// Descriptors that an instance may have open at a time, granted directories included.
pub(crate) const OPEN_MAX: usize = 1_000;

/// Number of the first granted directory; those below are the standard streams.
pub(crate) const FIRST: u32 = 3;

/// Permissions of new files and directories, but for what the user's umask takes away.
const FILE_MODE: u32 = 0o666;
const DIRECTORY_MODE: u32 = 0o777;

/// A granted directory, as a worker has it.
#[derive(Debug)]
pub(crate) struct Directory {
    /// The directory. All workers share what it stands for, its position too.
    pub(crate) descriptor: OwnedFd,
    /// Where guests find it.
    pub(crate) path: String,
    /// What they may do in it.
    pub(crate) rights: DirRights,
}

/// An instance's descriptors from [`FIRST`] upwards.
#[derive(Debug, Default)]
pub(crate) struct Files {
    granted: Arc<[Directory]>,
    slots: Vec<Option<Open>>,
    open_max: usize,
}

/// What stands behind a descriptor.
#[derive(Debug)]
enum Open {
    /// One of the granted directories, and a descriptor of its own for listing it, once it was listed.
    Granted { number: usize, listing: Option<OwnedFd> },
    /// A directory inside one.
    Directory { descriptor: OwnedFd, rights: DirRights },
    /// A regular file inside one.
    File { descriptor: OwnedFd, rights: DirRights },
}

/// Where in a file to read or write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    /// At the descriptor's own position, which moves on.
    Cursor,
    /// So many bytes from the start.
    Offset(u64),
}

impl At {
    /// The same, so many bytes on.
    pub(crate) fn behind(self, bytes: usize) -> Self {
        match self {
            Self::Cursor => Self::Cursor,
            Self::Offset(offset) => Self::Offset(offset.saturating_add(bytes as u64)),
        }
    }
}

/// What a descriptor is, and the state of its flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Status {
    /// Type of file, by its number in preview 1.
    pub(crate) file_type: u8,
    pub(crate) append: bool,
    pub(crate) read: bool,
    pub(crate) write: bool,
}

impl Files {
    /// The files of a new instance: the granted directories, in their order, and nothing else.
    pub(crate) fn new(granted: &Arc<[Directory]>) -> Self {
        let grant = |number| Some(Open::Granted { number, listing: None });
        let slots = (0..granted.len()).map(grant).collect();
        Self { granted: Arc::clone(granted), slots, open_max: OPEN_MAX }
    }

    /// Whether other descriptors are open than those that a new instance has.
    pub(crate) fn have_changed(&self) -> bool {
        let is_as_granted = |(at, slot): (usize, &Option<Open>)| match slot {
            Some(Open::Granted { number, .. }) => *number == at,
            Some(_) => false,
            None => at >= self.granted.len(),
        };
        !self.slots.iter().enumerate().all(is_as_granted)
    }

    /// Under which path a descriptor was granted, if it was.
    ///
    /// # Errors
    ///
    /// [`Errno::BadDescriptor`] when it was not: libraries ask for one after the other until they hear so.
    pub(crate) fn granted_path(&self, fd: u32) -> Result<&str, Errno> {
        match self.get(fd)? {
            Open::Granted { number, .. } => Ok(&self.granted[*number].path),
            _ => Err(Errno::BadDescriptor),
        }
    }

    /// Opens what a path leads to; returns the lowest number that is free.
    ///
    /// # Errors
    ///
    /// [`Errno::ReadOnly`] when it would have to be written to where that is not granted, [`Errno::NotSupported`] for
    /// what is neither a file nor a directory, [`Errno::TooManyFiles`] when too many are open.
    pub(crate) fn open(&mut self, fd: u32, path: &[u8], how: Opening) -> Result<u32, Errno> {
        let (directory, rights) = self.directory(fd)?;
        let flags = how.flags()?;
        if flags.intersects(OFlags::WRONLY | OFlags::RDWR | OFlags::CREATE | OFlags::TRUNC) {
            may_change(rights)?;
        }
        let free = self.slots.iter().position(Option::is_none).unwrap_or(self.slots.len());
        if free >= self.open_max {
            return Err(Errno::TooManyFiles);
        }
        let mode = if how.create { Mode::from_raw_mode(FILE_MODE) } else { Mode::empty() };
        let descriptor = beneath::open(directory, path, flags, mode)?;
        let open = match FileType::from_raw_mode(rustix::fs::fstat(&descriptor)?.st_mode) {
            FileType::Directory => Open::Directory { descriptor, rights },
            FileType::RegularFile => Open::File { descriptor, rights },
            _ => return Err(Errno::NotSupported),
        };
        if free == self.slots.len() {
            self.slots.push(None);
        }
        self.slots[free] = Some(open);
        Ok(FIRST + free as u32)
    }

    /// Closes a descriptor, a granted one too.
    pub(crate) fn close(&mut self, fd: u32) -> Result<(), Errno> {
        self.slot(fd)?.take().map(drop).ok_or(Errno::BadDescriptor)
    }

    /// Gives a descriptor the number of another one, which is closed.
    pub(crate) fn renumber(&mut self, from: u32, to: u32) -> Result<(), Errno> {
        self.get(to)?;
        self.get(from)?;
        if from != to {
            let open = self.slot(from)?.take();
            *self.slot(to)? = open;
        }
        Ok(())
    }

    /// Whether a descriptor is a file's, to be read or written.
    pub(crate) fn check_file(&self, fd: u32) -> Result<(), Errno> {
        self.file(fd).map(|_| ())
    }

    /// Reads from a file; returns how many bytes it was, none at its end.
    pub(crate) fn read(&self, fd: u32, at: At, into: &mut [u8]) -> Result<usize, Errno> {
        let file = self.file(fd)?.0;
        Ok(match at {
            At::Cursor => rustix::io::read(file, into)?,
            At::Offset(offset) => rustix::io::pread(file, into, offset)?,
        })
    }

    /// Writes to a file; returns how many bytes it was.
    pub(crate) fn write(&self, fd: u32, at: At, bytes: &[u8]) -> Result<usize, Errno> {
        let file = self.file(fd)?.0;
        Ok(match at {
            At::Cursor => rustix::io::write(file, bytes)?,
            At::Offset(offset) => rustix::io::pwrite(file, bytes, offset)?,
        })
    }

    /// Moves a file's position; returns where it is now.
    pub(crate) fn seek(&self, fd: u32, to: SeekFrom) -> Result<u64, Errno> {
        Ok(rustix::fs::seek(self.file(fd)?.0, to)?)
    }

    /// Writes a file's contents through to the disk, or everything of a file or a directory.
    pub(crate) fn sync(&self, fd: u32, only_contents: bool) -> Result<(), Errno> {
        match self.get(fd)? {
            Open::File { descriptor, .. } if only_contents => Ok(rustix::fs::fdatasync(descriptor)?),
            _ => Ok(rustix::fs::fsync(self.any(fd)?.0)?),
        }
    }

    /// What a descriptor is, and its flags.
    pub(crate) fn status(&self, fd: u32) -> Result<Status, Errno> {
        let Ok((file, _)) = self.file(fd) else {
            let write = self.directory(fd)?.1 == DirRights::ReadWrite;
            return Ok(Status { file_type: stat::DIRECTORY, append: false, read: true, write });
        };
        let flags = rustix::fs::fcntl_getfl(file)?;
        let mode = flags & OFlags::RWMODE;
        Ok(Status {
            file_type: stat::REGULAR_FILE,
            append: flags.contains(OFlags::APPEND),
            read: mode != OFlags::WRONLY,
            write: mode != OFlags::RDONLY,
        })
    }

    /// Whether a file is written to at its end always.
    pub(crate) fn set_append(&self, fd: u32, append: bool) -> Result<(), Errno> {
        let file = self.file(fd)?.0;
        let mut flags = rustix::fs::fcntl_getfl(file)?;
        flags.set(OFlags::APPEND, append);
        Ok(rustix::fs::fcntl_setfl(file, flags)?)
    }

    /// What is known of an open file or directory.
    pub(crate) fn stat(&self, fd: u32) -> Result<[u8; STAT_BYTES], Errno> {
        Ok(stat::describe(&rustix::fs::fstat(self.any(fd)?.0)?))
    }

    /// What is known of what a path leads to.
    pub(crate) fn stat_at(&self, fd: u32, path: &[u8], follow: bool) -> Result<[u8; STAT_BYTES], Errno> {
        let found = self.look_up(fd, path, follow)?;
        Ok(stat::describe(&rustix::fs::fstat(found)?))
    }

    /// Cuts a file off, or fills it up with zeros.
    pub(crate) fn set_size(&self, fd: u32, bytes: u64) -> Result<(), Errno> {
        let (file, rights) = self.file(fd)?;
        may_change(rights)?;
        Ok(rustix::fs::ftruncate(file, bytes)?)
    }

    /// Sets times of an open file or directory.
    pub(crate) fn set_times(&self, fd: u32, times: &Timestamps) -> Result<(), Errno> {
        let (open, rights) = self.any(fd)?;
        may_change(rights)?;
        Ok(rustix::fs::futimens(open, times)?)
    }

    /// Sets times of what a path leads to.
    pub(crate) fn set_times_at(
        &self,
        fd: u32,
        path: &[u8],
        follow: bool,
        times: &Timestamps,
    ) -> Result<(), Errno> {
        may_change(self.directory(fd)?.1)?;
        let found = self.look_up(fd, path, follow)?;
        Ok(rustix::fs::utimensat(found, "", times, AtFlags::EMPTY_PATH)?)
    }

    /// Gives the entries of a directory behind a cookie to `take`, until it wants no more or there are none.
    pub(crate) fn list<E: From<Errno>>(
        &mut self,
        fd: u32,
        cookie: u64,
        bytes_wanted: usize,
        take: impl FnMut(&[u8]) -> Result<bool, E>,
    ) -> Result<(), E> {
        let granted = Arc::clone(&self.granted);
        let directory: &OwnedFd = match self.slot(fd)?.as_mut().ok_or(Errno::BadDescriptor)? {
            Open::Granted { number, listing } => {
                let own = match listing.take() {
                    Some(own) => own,
                    None => reopen(&granted[*number])?,
                };
                listing.insert(own)
            }
            Open::Directory { descriptor, .. } => descriptor,
            Open::File { .. } => return Err(Errno::NotDirectory.into()),
        };
        listing::read(directory.as_fd(), cookie, bytes_wanted, take)
    }

    /// Makes a directory.
    pub(crate) fn create_directory(&self, fd: u32, path: &[u8]) -> Result<(), Errno> {
        let place = self.place_to_change(fd, path)?;
        Ok(rustix::fs::mkdirat(&place, place.name, Mode::from_raw_mode(DIRECTORY_MODE))?)
    }

    /// Removes an empty directory.
    pub(crate) fn remove_directory(&self, fd: u32, path: &[u8]) -> Result<(), Errno> {
        let place = self.place_to_change(fd, path)?;
        Ok(rustix::fs::unlinkat(&place, place.name, AtFlags::REMOVEDIR)?)
    }

    /// Removes whatever is not a directory.
    pub(crate) fn unlink(&self, fd: u32, path: &[u8]) -> Result<(), Errno> {
        let place = self.place_to_change(fd, path)?;
        if place.wants_directory {
            return Err(Errno::NotDirectory);
        }
        Ok(rustix::fs::unlinkat(&place, place.name, AtFlags::empty())?)
    }

    /// Gives an entry another name, perhaps in another directory.
    pub(crate) fn rename(&self, fd: u32, path: &[u8], new_fd: u32, new_path: &[u8]) -> Result<(), Errno> {
        let (old, new) = (self.place_to_change(fd, path)?, self.place_to_change(new_fd, new_path)?);
        if old.wants_directory || new.wants_directory {
            // A slash behind a name would have the kernel follow a link there, so it never sees one.
            let stat = rustix::fs::statat(&old, old.name, AtFlags::SYMLINK_NOFOLLOW)?;
            if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
                return Err(Errno::NotDirectory);
            }
        }
        Ok(rustix::fs::renameat(&old, old.name, &new, new.name)?)
    }

    /// Gives a file one more name. A symbolic link is linked itself, never what it leads to.
    pub(crate) fn link(&self, fd: u32, path: &[u8], new_fd: u32, new_path: &[u8]) -> Result<(), Errno> {
        let (old, new) = (self.place_to_change(fd, path)?, self.place_to_change(new_fd, new_path)?);
        if old.wants_directory || new.wants_directory {
            return Err(Errno::NotDirectory);
        }
        Ok(rustix::fs::linkat(&old, old.name, &new, new.name, AtFlags::empty())?)
    }

    /// Makes a symbolic link that leads to `target`.
    ///
    /// # Errors
    ///
    /// [`Errno::NotPermitted`] for an absolute target: guests could never follow it, so it could only mislead others.
    pub(crate) fn symlink(&self, target: &[u8], fd: u32, path: &[u8]) -> Result<(), Errno> {
        let place = self.place_to_change(fd, path)?;
        if target.starts_with(b"/") {
            return Err(Errno::NotPermitted);
        }
        if place.wants_directory {
            return Err(Errno::NoEntry);
        }
        Ok(rustix::fs::symlinkat(target, &place, place.name)?)
    }

    /// Where a symbolic link leads, as it stands there.
    pub(crate) fn read_link(&self, fd: u32, path: &[u8]) -> Result<Vec<u8>, Errno> {
        let link = self.look_up(fd, path, false)?;
        match rustix::fs::readlinkat(link, "", Vec::new()) {
            // The kernel's word for "no link" when there is no path.
            Err(rustix::io::Errno::NOENT) => Err(Errno::Invalid),
            target => Ok(target?.into_bytes()),
        }
    }

    fn slot(&mut self, fd: u32) -> Result<&mut Option<Open>, Errno> {
        let index = fd.checked_sub(FIRST).ok_or(Errno::BadDescriptor)?;
        self.slots.get_mut(index as usize).ok_or(Errno::BadDescriptor)
    }

    fn get(&self, fd: u32) -> Result<&Open, Errno> {
        let open = fd.checked_sub(FIRST).and_then(|index| self.slots.get(index as usize)?.as_ref());
        open.ok_or(Errno::BadDescriptor)
    }

    fn any(&self, fd: u32) -> Result<(BorrowedFd<'_>, DirRights), Errno> {
        Ok(match self.get(fd)? {
            Open::Granted { number, .. } => {
                let directory = &self.granted[*number];
                (directory.descriptor.as_fd(), directory.rights)
            }
            Open::Directory { descriptor, rights } | Open::File { descriptor, rights } => {
                (descriptor.as_fd(), *rights)
            }
        })
    }

    fn directory(&self, fd: u32) -> Result<(BorrowedFd<'_>, DirRights), Errno> {
        match self.get(fd)? {
            Open::File { .. } => Err(Errno::NotDirectory),
            _ => self.any(fd),
        }
    }

    fn file(&self, fd: u32) -> Result<(BorrowedFd<'_>, DirRights), Errno> {
        match self.get(fd)? {
            Open::File { .. } => self.any(fd),
            _ => Err(Errno::IsDirectory),
        }
    }

    /// What a path leads to, for everything but its contents.
    fn look_up(&self, fd: u32, path: &[u8], follow: bool) -> Result<OwnedFd, Errno> {
        let flags = if follow { OFlags::PATH } else { OFlags::PATH | OFlags::NOFOLLOW };
        beneath::open(self.directory(fd)?.0, path, flags, Mode::empty())
    }

    /// Where an entry is that is to be made, moved or removed.
    fn place_to_change<'a>(&'a self, fd: u32, path: &'a [u8]) -> Result<Place<'a>, Errno> {
        let (directory, rights) = self.directory(fd)?;
        may_change(rights)?;
        Place::find(directory, path)
    }
}

/// A descriptor of a granted directory with a position of its own.
fn reopen(directory: &Directory) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    beneath::open(directory.descriptor.as_fd(), b".", flags, Mode::empty())
}

fn may_change(rights: DirRights) -> Result<(), Errno> {
    match rights {
        DirRights::ReadWrite => Ok(()),
        DirRights::ReadOnly => Err(Errno::ReadOnly),
    }
}
