//! Regions: sealed, anonymous memory that two processes map.
//!
//! A region is a memfd without a name. It cannot shrink, so that no touch of a mapped page ends in SIGBUS, and it is
//! gone with the last process that maps it. Who may write is settled when it is made: one that only the supervisor
//! writes carries `F_SEAL_FUTURE_WRITE`, which the kernel enforces against every later mapping, however the receiver
//! came by the descriptor.
//!
//! Other processes write to these bytes at any time, so they are never lent out as `&[u8]`: words are reached as
//! atomics, runs of bytes are copied out before anyone looks at them. Offsets are checked against the length on
//! every access; the length itself is fixed by the seals.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicI8, AtomicI16, AtomicI32, AtomicI64};
use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64};

use memmap2::{MmapOptions, MmapRaw};
use rustix::fs::{FallocateFlags, MemfdFlags, SealFlags};

use super::huge_pages;

/// Who writes to a region besides the supervisor, which may write to all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writer {
    /// The supervisor alone; a worker can only read, whatever it tries.
    Supervisor,
    /// A worker; the supervisor gives pages back to the system.
    Worker,
}

/// A number that several processes change as one.
///
/// # Safety
///
/// Implemented for the integer atomics only: any bytes at all are one, and loading it needs no right to write.
pub(crate) unsafe trait Word {}

macro_rules! words {
    ($($atomic:ty),+) => {$(
        // SAFETY: an integer atomic of at most eight bytes, which every platform with wasmtime loads by one plain
        // instruction.
        unsafe impl Word for $atomic {}
    )+};
}
words!(AtomicI8, AtomicU8, AtomicI16, AtomicU16, AtomicI32, AtomicU32, AtomicI64, AtomicU64);

/// A mapped piece of shared memory.
#[derive(Debug)]
pub(crate) struct Region {
    map: MmapRaw,
    writable: bool,
}

impl Region {
    /// Makes a region of `bytes` zeroed bytes and the descriptor by which a worker maps the same pages.
    ///
    /// Pages cost nothing until they are touched.
    ///
    /// # Errors
    ///
    /// When the system has no descriptor or no address space left.
    pub(crate) fn create(name: &str, bytes: usize, writer: Writer) -> io::Result<(Self, OwnedFd)> {
        let file =
            File::from(rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?);
        file.set_len(bytes as u64)?;
        let map = MmapOptions::new().len(bytes).map_raw(&file)?;
        let mut seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
        if writer == Writer::Supervisor {
            // Only mappings made before this one stay writable, and ours is the only one.
            seals |= SealFlags::FUTURE_WRITE;
        }
        rustix::fs::fcntl_add_seals(&file, seals)?;
        Ok((Self { map, writable: true }, file.into()))
    }

    /// Makes a region that workers may write to and whose pages are all there: no touch of one can fail any more.
    /// They are huge ones where the system gives such.
    ///
    /// # Errors
    ///
    /// As [`Self::create`], and when there is not enough memory.
    pub(crate) fn create_reserved(name: &str, bytes: usize) -> io::Result<(Self, OwnedFd)> {
        let (region, file) = Self::create(name, bytes, Writer::Worker)?;
        huge_pages::ask_for(file.as_fd(), bytes);
        rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, bytes as u64)?;
        Ok((region, file))
    }

    /// Maps a region of `bytes` that another process made.
    ///
    /// # Errors
    ///
    /// When the descriptor is of another length or cannot be mapped so.
    pub(crate) fn map(fd: BorrowedFd<'_>, bytes: usize, writer: Writer) -> io::Result<Self> {
        let file = File::from(fd.try_clone_to_owned()?);
        let length = file.metadata()?.len();
        if length != bytes as u64 {
            return Err(io::Error::other(format!("region of {length} bytes instead of {bytes}")));
        }
        let options = {
            let mut options = MmapOptions::new();
            options.len(bytes);
            options
        };
        let writable = writer == Writer::Worker;
        let map = if writable { options.map_raw(&file)? } else { options.map_raw_read_only(&file)? };
        Ok(Self { map, writable })
    }

    /// Its length in bytes.
    pub(crate) fn len(&self) -> usize {
        self.map.len()
    }

    /// Whether this mapping can be written to.
    pub(crate) fn is_writable(&self) -> bool {
        self.writable
    }

    /// The 32-bit word at `offset`.
    ///
    /// # Panics
    ///
    /// As [`Self::word`].
    pub(crate) fn word32(&self, offset: usize) -> &AtomicU32 {
        self.word(offset)
    }

    /// The 64-bit word at `offset`.
    ///
    /// # Panics
    ///
    /// As [`Self::word`].
    pub(crate) fn word64(&self, offset: usize) -> &AtomicU64 {
        self.word(offset)
    }

    /// The word at `offset`, of any width.
    ///
    /// # Panics
    ///
    /// When `offset` is not a multiple of the word's size or not inside: layouts are constants, so this is a bug.
    #[inline]
    pub(crate) fn word<T: Word>(&self, offset: usize) -> &T {
        let word = self.at(offset, size_of::<T>()).cast::<T>();
        assert!(word.is_aligned(), "unaligned word at {offset}");
        // SAFETY: `at` checked the bounds, alignment was asserted, every bit pattern is a valid word, and the
        // mapping lives as long as `self`. Other processes reach these bytes only as atomics, too. In a read-only
        // mapping callers only load, which needs no right to write for these widths.
        unsafe { word.as_ref() }
    }

    /// `count` 64-bit words from `offset`.
    ///
    /// # Panics
    ///
    /// As [`Self::word`].
    pub(crate) fn words(&self, offset: usize, count: usize) -> &[AtomicU64] {
        let bytes = count.checked_mul(size_of::<AtomicU64>()).expect("words of a region fit into memory");
        let words = self.at(offset, bytes).cast::<AtomicU64>();
        assert!(words.is_aligned(), "unaligned words at {offset}");
        // SAFETY: as in `word`, for each of them: `at` checked all the bytes.
        unsafe { std::slice::from_raw_parts(words.as_ptr(), count) }
    }

    /// Copies `into.len()` bytes out of the region, from `offset`.
    ///
    /// What is copied may be changing meanwhile; the copy is the reader's own and is judged afterwards.
    ///
    /// # Panics
    ///
    /// When the range is not inside.
    pub(crate) fn read(&self, offset: usize, into: &mut [u8]) {
        let from = self.at(offset, into.len());
        // SAFETY: `at` checked the bounds; `into` is private memory, so the two cannot overlap. A racing writer can
        // make the copied bytes any bytes at all, which is a valid `[u8]`.
        unsafe { from.as_ptr().copy_to_nonoverlapping(into.as_mut_ptr(), into.len()) }
    }

    /// Fills `into` with bytes of the region, from `offset`; afterwards all of it is initialised.
    ///
    /// # Panics
    ///
    /// When the range is not inside.
    pub(crate) fn read_uninit(&self, offset: usize, into: &mut [MaybeUninit<u8>]) {
        let from = self.at(offset, into.len()).cast::<MaybeUninit<u8>>();
        // SAFETY: as in `read`.
        unsafe { from.as_ptr().copy_to_nonoverlapping(into.as_mut_ptr(), into.len()) }
    }

    /// Copies `count` bytes out of the region, from `offset`, to the end of `into`.
    ///
    /// # Panics
    ///
    /// When the range is not inside.
    pub(crate) fn read_to(&self, offset: usize, count: usize, into: &mut Vec<u8>) {
        let from = self.at(offset, count);
        into.reserve(count);
        let end = into.spare_capacity_mut().as_mut_ptr().cast::<u8>();
        // SAFETY: `at` checked the source, `reserve` made room for `count` bytes, and a vector's own buffer cannot
        // overlap the mapping.
        unsafe { from.as_ptr().copy_to_nonoverlapping(end, count) };
        // SAFETY: the bytes up to the new length were written just now.
        unsafe { into.set_len(into.len() + count) };
    }

    /// Copies `from` into the region, at `offset`.
    ///
    /// # Panics
    ///
    /// When the range is not inside, or the region is mapped for reading only.
    pub(crate) fn write(&self, offset: usize, from: &[u8]) {
        assert!(self.writable, "write to a region mapped for reading");
        let to = self.at(offset, from.len());
        // SAFETY: `at` checked the bounds, the mapping is writable, and `from` is private memory. Nobody holds a
        // reference to these bytes: regions do not lend any.
        unsafe { from.as_ptr().copy_to_nonoverlapping(to.as_ptr(), from.len()) }
    }

    /// Copies `from` into the region, at `offset`, as they lie in memory.
    ///
    /// # Panics
    ///
    /// As [`Self::write`].
    pub(crate) fn write_words(&self, offset: usize, from: &[u64]) {
        assert!(self.writable, "write to a region mapped for reading");
        let bytes = size_of_val(from);
        let to = self.at(offset, bytes);
        // SAFETY: as in `write`; words are read as the bytes that they are.
        unsafe { from.as_ptr().cast::<u8>().copy_to_nonoverlapping(to.as_ptr(), bytes) }
    }

    /// The address of `count` bytes at `offset`, for those who hand it to the kernel or copy by themselves.
    ///
    /// # Panics
    ///
    /// When the range is not inside.
    #[inline]
    pub(crate) fn at(&self, offset: usize, count: usize) -> NonNull<u8> {
        let end = offset.checked_add(count).expect("a range of a region ends below the end of memory");
        assert!(end <= self.len(), "bytes {offset}..{end} of a region of {}", self.len());
        // SAFETY: `offset` is inside the mapping, as just checked.
        let pointer = unsafe { self.map.as_mut_ptr().add(offset) };
        NonNull::new(pointer).expect("a mapping is never at address zero")
    }
}

/// Makes a sealed memfd that holds `bytes`: it can never change again.
///
/// # Errors
///
/// When the system has no memory or no descriptor left.
pub(crate) fn sealed_file(name: &str, bytes: &[u8]) -> io::Result<OwnedFd> {
    use std::io::{Seek, Write};
    let mut file =
        File::from(rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?);
    file.write_all(bytes)?;
    // The position travels with the descriptor: whoever receives it reads from the start.
    file.rewind()?;
    seal(file.as_fd())?;
    Ok(file.into())
}

/// Seals a memfd against every change.
///
/// # Errors
///
/// When it is mapped for writing anywhere, or is no memfd.
pub(crate) fn seal(fd: BorrowedFd<'_>) -> io::Result<()> {
    let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL;
    Ok(rustix::fs::fcntl_add_seals(fd, seals)?)
}

/// Gives the pages of `range` back to the system; they read as zero afterwards.
///
/// # Errors
///
/// When the region is sealed against writing.
pub(crate) fn punch(fd: BorrowedFd<'_>, range: std::ops::Range<u64>) -> io::Result<()> {
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    Ok(rustix::fs::fallocate(fd, flags, range.start, range.end - range.start)?)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;

    #[test]
    fn both_sides_see_the_same_pages() {
        let (ours, fd) = Region::create("test", 8192, Writer::Worker).expect("a region");
        let theirs = Region::map(fd.as_fd(), 8192, Writer::Worker).expect("a mapping");
        theirs.write(4096, b"hello");
        let mut copy = [0; 5];
        ours.read(4096, &mut copy);
        assert_eq!(&copy, b"hello");
        theirs.word64(8).store(7, Ordering::Relaxed);
        assert_eq!(ours.word64(8).load(Ordering::Relaxed), 7);
        let mut appended = vec![1];
        ours.read_to(4096, 5, &mut appended);
        assert_eq!(appended, b"\x01hello");
    }

    #[test]
    fn a_region_of_the_supervisor_cannot_be_mapped_for_writing() {
        let (_ours, fd) = Region::create("test", 4096, Writer::Supervisor).expect("a region");
        assert!(Region::map(fd.as_fd(), 4096, Writer::Worker).is_err());
        assert!(Region::map(fd.as_fd(), 4096, Writer::Supervisor).is_ok());
    }

    #[test]
    fn a_mapping_for_reading_never_becomes_one_for_writing() {
        use rustix::mm::{MprotectFlags, mprotect};
        for writer in [Writer::Supervisor, Writer::Worker] {
            let (_ours, fd) = Region::create("test", 4096, writer).expect("a region");
            // As a worker gets what it may only read: open for reading, or sealed against later writers.
            let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&fd));
            let reader = File::open(path).expect("a reader");
            let theirs = Region::map(reader.as_fd(), 4096, Writer::Supervisor).expect("a mapping");
            let page = theirs.at(0, 4096).as_ptr().cast();
            // SAFETY: the page is this test's own mapping, to which nobody holds a reference.
            let changed = unsafe { mprotect(page, 4096, MprotectFlags::READ | MprotectFlags::WRITE) };
            assert_eq!(changed, Err(rustix::io::Errno::ACCESS), "{writer:?}");
        }
    }

    #[test]
    fn a_region_keeps_its_length() {
        let (_ours, fd) = Region::create("test", 4096, Writer::Worker).expect("a region");
        let file = File::from(fd);
        assert!(file.set_len(0).is_err());
        assert!(file.set_len(8192).is_err());
        assert!(Region::map(file.as_fd(), 8192, Writer::Worker).is_err());
    }

    #[test]
    fn punched_pages_read_as_zero() {
        let (ours, fd) = Region::create("test", 8192, Writer::Worker).expect("a region");
        ours.write(5000, b"x");
        punch(fd.as_fd(), 4096..8192).expect("a hole");
        let mut copy = [1];
        ours.read(5000, &mut copy);
        assert_eq!(copy, [0]);
    }

    #[test]
    fn a_sealed_file_cannot_be_written() {
        use std::io::Write;
        let file = sealed_file("test", b"code").expect("a file");
        assert!(File::from(file).write_all(b"more").is_err());
    }

    #[test]
    #[should_panic(expected = "of a region of 4096")]
    fn a_range_outside_is_refused() {
        let (ours, _fd) = Region::create("test", 4096, Writer::Worker).expect("a region");
        ours.write(4090, b"too long");
    }
}
