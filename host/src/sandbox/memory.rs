//! A guest's linear memory as host functions see it: copies in and out, each checked.
//!
//! Pages of a guest's memory can be shared with other processes (a mapped view of an array), which write to them
//! while a host function runs. So there is never a reference to guest memory: bytes are moved one by one or word by
//! word with relaxed atomic operations, and what came out is looked at only afterwards. Relaxed is enough, because
//! no order between the bytes is promised to anyone; a torn copy is the guest's own doing.
//!
//! Some of those pages must not be written to (a view for reading, and room in which no view lies at present). A guest
//! that tries traps; a host function must not try, for nothing catches its fault. So whatever owns the memory says
//! which bytes are [`Protected`], and writing asks.
//!
//! Nothing here knows what the bytes mean.

use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use wasmtime::{AsContext, AsContextMut, Memory};

/// Bytes of the words that the bulk of a copy moves.
const WORD_BYTES: usize = size_of::<u64>();

/// Knows which bytes of a guest's memory are mapped for reading only; it is the store's data.
pub(crate) trait Protected {
    /// Whether any of these bytes is.
    fn is_protected(&self, address: u32, length: usize) -> bool;
}

/// A guest named an address that its memory does not have, or that it may only read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("address range {address:#x} + {length} lies outside the guest's memory, or where it may only read")]
pub(crate) struct OutOfBounds {
    /// First byte of the range.
    pub address: u32,
    /// Length of the range in bytes.
    pub length: usize,
}

/// Fills `out` with the guest's bytes at `address`.
///
/// # Errors
///
/// When any of the bytes lies outside the memory; nothing is copied then.
pub(crate) fn read(
    store: impl AsContext,
    memory: Memory,
    address: u32,
    out: &mut [u8],
) -> Result<(), OutOfBounds> {
    cells(&store, memory, address, out.len())?.copy_to(out);
    Ok(())
}

/// Copies `bytes` to the guest's memory at `address`.
///
/// # Errors
///
/// When any of the bytes would lie outside the memory, or is protected; nothing is copied then.
pub(crate) fn write(
    store: impl AsContextMut<Data: Protected>,
    memory: Memory,
    address: u32,
    bytes: &[u8],
) -> Result<(), OutOfBounds> {
    check_writable(&store, memory, address, bytes.len())?;
    cells(&store, memory, address, bytes.len())?.copy_from(bytes);
    Ok(())
}

/// Finds the eight bytes at any address to which a number is to be written.
///
/// `extent` belongs to this memory alone. It spares most calls the way through the store, which costs more than all
/// the rest of a small host function.
///
/// # Errors
///
/// As [`write`].
#[inline]
pub(crate) fn number<'a, C: AsContext<Data: Protected>>(
    store: &'a C,
    memory: Memory,
    extent: &Extent,
    address: u32,
) -> Result<NumberCell<'a>, OutOfBounds> {
    if store.as_context().data().is_protected(address, WORD_BYTES) {
        return Err(OutOfBounds { address, length: WORD_BYTES });
    }
    let end = address as usize + WORD_BYTES;
    if end > extent.bytes.get() {
        extent.learn(store, memory);
        if end > extent.bytes.get() {
            return Err(OutOfBounds { address, length: WORD_BYTES });
        }
    }
    let at = extent.base.get().wrapping_add(address as usize);
    Ok(NumberCell { at, of: PhantomData })
}

/// Where a memory lies and how long it was when that was last asked. A memory never moves and never shrinks, so that
/// what was inside once is inside for as long as the instance lives.
#[derive(Debug)]
pub(crate) struct Extent {
    base: Cell<*mut u8>,
    bytes: Cell<usize>,
}

// SAFETY: the address is dereferenced only with the store in hand whose memory it is of, see `NumberCell::set`.
#[allow(unsafe_code)]
unsafe impl Send for Extent {}

impl Default for Extent {
    /// Of a memory that was never looked at.
    fn default() -> Self {
        Self { base: Cell::new(std::ptr::null_mut()), bytes: Cell::new(0) }
    }
}

impl Extent {
    #[cold]
    fn learn<C: AsContext>(&self, store: &C, memory: Memory) {
        self.base.set(memory.data_ptr(store));
        self.bytes.set(memory.data_size(store));
    }
}

/// Whether all bytes of a range exist and may be written to.
///
/// # Errors
///
/// When they do not, or may not.
pub(crate) fn check_writable(
    store: impl AsContext<Data: Protected>,
    memory: Memory,
    address: u32,
    length: usize,
) -> Result<(), OutOfBounds> {
    if store.as_context().data().is_protected(address, length) {
        return Err(OutOfBounds { address, length });
    }
    check(store, memory, address, length)
}

/// Eight bytes of guest memory that a number can be written to.
pub(crate) struct NumberCell<'a> {
    at: *mut u8,
    /// The store whose memory they are in.
    of: PhantomData<&'a ()>,
}

#[allow(unsafe_code)]
impl NumberCell<'_> {
    /// Writes a number, little-endian.
    #[inline]
    pub(crate) fn set(&self, number: u64) {
        let word = self.at.cast::<u64>();
        if word.is_aligned() {
            // SAFETY: `number` found all eight bytes inside the memory, which lives as long as the borrowed store,
            // and aligned is what was asked just now. Everyone who shares the page reaches it as atomics or as wasm.
            let word = unsafe { AtomicU64::from_ptr(word) };
            return word.store(number.to_le(), Ordering::Relaxed);
        }
        // SAFETY: as above; a byte has no alignment to respect.
        let bytes = unsafe { std::slice::from_raw_parts(self.at.cast::<AtomicU8>(), WORD_BYTES) };
        store_bytes(bytes, &number.to_le_bytes());
    }
}

/// Whether all bytes of a range exist.
///
/// # Errors
///
/// When they do not.
pub(crate) fn check(
    store: impl AsContext,
    memory: Memory,
    address: u32,
    length: usize,
) -> Result<(), OutOfBounds> {
    is_inside(&store, memory, address, length).then_some(()).ok_or(OutOfBounds { address, length })
}

fn is_inside<C: AsContext>(store: &C, memory: Memory, address: u32, length: usize) -> bool {
    (address as usize).checked_add(length).is_some_and(|end| end <= memory.data_size(store))
}

/// A range of guest memory, cut where whole words begin and end.
struct Cells<'a> {
    head: &'a [AtomicU8],
    words: &'a [AtomicU64],
    tail: &'a [AtomicU8],
}

#[allow(unsafe_code)]
fn cells<C: AsContext>(
    store: &C,
    memory: Memory,
    address: u32,
    length: usize,
) -> Result<Cells<'_>, OutOfBounds> {
    if !is_inside(store, memory, address, length) {
        return Err(OutOfBounds { address, length });
    }
    let start = memory.data_ptr(store).wrapping_add(address as usize).cast::<AtomicU8>();
    // SAFETY: all `length` bytes from `start` lie in the memory, as was just found. Growing or dropping the memory
    // takes the store mutably, so its borrow, which the slice inherits, keeps them there. Everyone who shares the
    // pages reaches them as atomics or as wasm, never by reference; and a byte has no alignment to respect.
    let bytes = unsafe { std::slice::from_raw_parts(start, length) };
    // SAFETY: eight atomic bytes are a valid atomic word whatever they hold, and the other way round.
    let (head, words, tail) = unsafe { bytes.align_to::<AtomicU64>() };
    Ok(Cells { head, words, tail })
}

impl Cells<'_> {
    /// Both slices have the length with which the cells were cut.
    fn copy_to(&self, out: &mut [u8]) {
        let (head, rest) = out.split_at_mut(self.head.len());
        let (words, tail) = rest.split_at_mut(self.words.len() * WORD_BYTES);
        load_bytes(self.head, head);
        load_bytes(self.tail, tail);
        for (word, cell) in words.as_chunks_mut::<WORD_BYTES>().0.iter_mut().zip(self.words) {
            *word = cell.load(Ordering::Relaxed).to_ne_bytes();
        }
    }

    /// The same in the other direction.
    fn copy_from(&self, bytes: &[u8]) {
        let (head, rest) = bytes.split_at(self.head.len());
        let (words, tail) = rest.split_at(self.words.len() * WORD_BYTES);
        store_bytes(self.head, head);
        store_bytes(self.tail, tail);
        for (word, cell) in words.as_chunks::<WORD_BYTES>().0.iter().zip(self.words) {
            cell.store(u64::from_ne_bytes(*word), Ordering::Relaxed);
        }
    }
}

fn load_bytes(cells: &[AtomicU8], out: &mut [u8]) {
    for (byte, cell) in out.iter_mut().zip(cells) {
        *byte = cell.load(Ordering::Relaxed);
    }
}

fn store_bytes(cells: &[AtomicU8], bytes: &[u8]) {
    for (byte, cell) in bytes.iter().zip(cells) {
        cell.store(*byte, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use wasmtime::{Engine, MemoryType, Store};

    use super::*;

    const PAGE: u32 = 65_536;

    /// Protects no bytes, or these.
    struct Owner(std::ops::Range<usize>);

    impl Protected for Owner {
        fn is_protected(&self, address: u32, length: usize) -> bool {
            (address as usize) < self.0.end && self.0.start < address as usize + length
        }
    }

    fn memory() -> (Store<Owner>, Memory) {
        let mut store = Store::new(&Engine::default(), Owner(0..0));
        let memory = Memory::new(&mut store, MemoryType::new(1, Some(1))).unwrap();
        (store, memory)
    }

    #[test]
    fn every_alignment_and_length_comes_back_and_touches_nothing_else() {
        for address in 100..116 {
            for length in 0..40 {
                let (mut store, memory) = memory();
                let bytes: Vec<u8> = (1..).take(length).collect();
                write(&mut store, memory, address, &bytes).unwrap();
                let mut out = vec![0xee; length + 2];
                read(&store, memory, address - 1, &mut out).unwrap();
                assert_eq!(out, [&[0], &bytes[..], &[0]].concat());
            }
        }
    }

    #[test]
    fn ranges_end_with_the_memory() {
        let (mut store, memory) = memory();
        write(&mut store, memory, PAGE - 3, &[1, 2, 3]).unwrap();
        write(&mut store, memory, PAGE, &[]).unwrap();
        let refused = [(PAGE - 3, 4), (PAGE, 1), (PAGE + 1, 0), (u32::MAX, 1), (0, PAGE as usize + 1)];
        for (address, length) in refused {
            let expected = Err(OutOfBounds { address, length });
            assert_eq!(check(&store, memory, address, length), expected);
            assert_eq!(read(&store, memory, address, &mut vec![0; length]), expected);
            assert_eq!(write(&mut store, memory, address, &vec![9; length]), expected);
        }
        assert_eq!(check(&store, memory, 0, usize::MAX), Err(OutOfBounds { address: 0, length: usize::MAX }));
        let mut last = [0; 3];
        read(&store, memory, PAGE - 3, &mut last).unwrap();
        assert_eq!(last, [1, 2, 3]);
    }

    #[test]
    fn protected_bytes_are_read_and_not_written() {
        let (mut store, memory) = memory();
        store.data_mut().0 = 16..32;
        assert!(write(&mut store, memory, 8, &[1; 8]).is_ok());
        assert!(write(&mut store, memory, 8, &[1; 9]).is_err());
        assert!(write(&mut store, memory, 31, &[1]).is_err());
        assert!(write(&mut store, memory, 32, &[1]).is_ok());
        assert!(read(&store, memory, 16, &mut [0; 16]).is_ok());
    }
}
