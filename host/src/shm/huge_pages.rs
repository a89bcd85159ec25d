//! Huge pages: a large region in pieces of 2 MiB instead of 4 KiB.
//!
//! Entering the small pages of 64 MiB into a page table, and taking them out again, costs as much as reading them
//! all; and a processor reads ahead only up to a page's end. With huge pages both are gone, for whoever maps the
//! region at an address with the same remainder as its offset (see [`displacement`]).
//!
//! Systems are rarely set to give shared memory huge pages by themselves, so they are asked for, piece by piece. It
//! is a courtesy of the kernel's, since Linux 6.1, and nothing depends on it: what it cannot do stays as it is.
#![allow(unsafe_code)]

use std::os::fd::BorrowedFd;

use rustix::fs::FallocateFlags;
use rustix::mm::{MapFlags, ProtFlags};

/// Length of a huge page. Where the processor has others, there are none here.
pub(crate) const HUGE_PAGE_BYTES: usize = 2 << 20;

/// Any number up to the length of a page stands for one.
const ONE_PAGE: u64 = 1;

/// `MADV_COLLAPSE`, which no crate of ours names yet; see madvise(2).
const COLLAPSE: libc::c_int = 25;

/// How far behind `address`, any page's start, a mapping from `offset` of a file has to begin to show huge pages as such.
pub(crate) fn displacement(address: usize, offset: usize) -> usize {
    offset.wrapping_sub(address) % HUGE_PAGE_BYTES
}

/// Gives a new memfd of `bytes` huge pages for as much of it as the kernel can.
pub(crate) fn ask_for(file: BorrowedFd<'_>, bytes: usize) {
    let whole = bytes / HUGE_PAGE_BYTES * HUGE_PAGE_BYTES;
    let Some(window) = Window::over(file, whole) else { return };
    for start in (0..whole).step_by(HUGE_PAGE_BYTES) {
        // Only a piece that has a page already can become a huge one; it is cheapest when it has no other.
        let has_page = rustix::fs::fallocate(file, FallocateFlags::empty(), start as u64, ONE_PAGE).is_ok();
        if !has_page || !window.collapse(start) {
            return;
        }
    }
}

/// A mapping of a file's beginning at a huge page's address, while it is asked for.
struct Window {
    reserved: *mut std::ffi::c_void,
    reserved_bytes: usize,
    start: *mut u8,
}

impl Window {
    fn over(file: BorrowedFd<'_>, bytes: usize) -> Option<Self> {
        if bytes == 0 {
            return None;
        }
        let reserved_bytes = bytes.checked_add(HUGE_PAGE_BYTES)?;
        // SAFETY: a new mapping, wherever the kernel has room; nobody can touch it.
        let reserved = unsafe {
            rustix::mm::mmap_anonymous(
                std::ptr::null_mut(),
                reserved_bytes,
                ProtFlags::empty(),
                MapFlags::PRIVATE | MapFlags::NORESERVE,
            )
        }
        .ok()?;
        let start = reserved.cast::<u8>().wrapping_add(displacement(reserved.addr(), 0));
        let window = Self { reserved, reserved_bytes, start };
        // SAFETY: the displacement is less than the huge page by which the reservation is longer than `bytes`, so this
        // replaces pages of it and nothing else.
        let mapped = unsafe {
            let flags = MapFlags::SHARED | MapFlags::FIXED;
            rustix::mm::mmap(start.cast(), bytes, ProtFlags::READ, flags, file, 0)
        };
        mapped.is_ok().then_some(window)
    }

    fn collapse(&self, offset: usize) -> bool {
        let piece = self.start.wrapping_add(offset);
        // SAFETY: the piece lies in our own mapping, into which nobody has a reference; what its bytes are does not
        // change.
        unsafe { libc::madvise(piece.cast(), HUGE_PAGE_BYTES, COLLAPSE) == 0 }
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        // SAFETY: the reservation is ours, whatever was mapped over it is, too, and nobody has a reference into it.
        // It fails for nothing that can be done about it here.
        let _ = unsafe { rustix::mm::munmap(self.reserved, self.reserved_bytes) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_displaced_to_where_huge_pages_fit() {
        let huge = HUGE_PAGE_BYTES;
        for (address, offset, expected) in [
            (0, 0, 0),
            (huge, 5 * huge, 0),
            (4096, 0, huge - 4096),
            (0, 4096, 4096),
            (7 * huge + 8192, 4096, huge - 4096),
            (usize::MAX - 4095, 0, 4096),
        ] {
            assert_eq!(displacement(address, offset), expected, "{address:#x} {offset:#x}");
            assert_eq!(address.wrapping_add(expected) % huge, offset % huge);
        }
    }
}
