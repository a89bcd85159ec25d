//! A guest's linear memory as host functions see it: copies in and out, each checked.
//!
//! Pages of a guest's memory can be shared with other processes (a mapped view of an array), which write to them
//! while a host function runs. So there is never a reference to guest memory: bytes are moved one by one or word by
//! word with relaxed atomic operations, and what came out is looked at only afterwards. Relaxed is enough, because
//! no order between the bytes is promised to anyone; a torn copy is the guest's own doing.
//!
//! Nothing here knows what the bytes mean.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use wasmtime::{AsContext, AsContextMut, Memory};

/// Bytes of the words that the bulk of a copy moves.
const WORD_BYTES: usize = size_of::<u64>();

/// A guest named an address that its memory does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("address range {address:#x} + {length} lies outside the guest's memory")]
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
    let source = range(&store, memory, address, out.len())?;
    source.copy_to(out);
    Ok(())
}

/// Copies `bytes` to the guest's memory at `address`.
///
/// # Errors
///
/// When any of the bytes would lie outside the memory; nothing is copied then.
pub(crate) fn write(
    store: impl AsContextMut,
    memory: Memory,
    address: u32,
    bytes: &[u8],
) -> Result<(), OutOfBounds> {
    let target = range(&store, memory, address, bytes.len())?;
    target.copy_from(bytes);
    Ok(())
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
    range(&store, memory, address, length).map(|_| ())
}

/// Bytes of guest memory that exist for as long as the store stays borrowed.
struct Range<'a> {
    start: *mut u8,
    length: usize,
    /// Growing or dropping the memory takes the store mutably, so the borrow keeps the bytes where they are.
    _store: std::marker::PhantomData<&'a ()>,
}

fn range<C: AsContext>(
    store: &C,
    memory: Memory,
    address: u32,
    length: usize,
) -> Result<Range<'_>, OutOfBounds> {
    let start = address as usize;
    let end = start.checked_add(length).filter(|end| *end <= memory.data_size(store));
    if end.is_none() {
        return Err(OutOfBounds { address, length });
    }
    Ok(Range { start: memory.data_ptr(store).wrapping_add(start), length, _store: std::marker::PhantomData })
}

#[allow(unsafe_code)]
impl Range<'_> {
    fn copy_to(&self, out: &mut [u8]) {
        let head = self.unaligned_bytes();
        let (first, rest) = out.split_at_mut(head);
        for (i, byte) in first.iter_mut().enumerate() {
            *byte = self.byte(i).load(Ordering::Relaxed);
        }
        let mut words = rest.chunks_exact_mut(WORD_BYTES);
        let mut at = head;
        for word in &mut words {
            word.copy_from_slice(&self.word(at).load(Ordering::Relaxed).to_ne_bytes());
            at += WORD_BYTES;
        }
        for (i, byte) in words.into_remainder().iter_mut().enumerate() {
            *byte = self.byte(at + i).load(Ordering::Relaxed);
        }
    }

    fn copy_from(&self, bytes: &[u8]) {
        let head = self.unaligned_bytes();
        let (first, rest) = bytes.split_at(head);
        for (i, byte) in first.iter().enumerate() {
            self.byte(i).store(*byte, Ordering::Relaxed);
        }
        let (words, last) = rest.as_chunks::<WORD_BYTES>();
        let mut at = head;
        for word in words {
            self.word(at).store(u64::from_ne_bytes(*word), Ordering::Relaxed);
            at += WORD_BYTES;
        }
        for (i, byte) in last.iter().enumerate() {
            self.byte(at + i).store(*byte, Ordering::Relaxed);
        }
    }

    /// Bytes before the first whole word.
    fn unaligned_bytes(&self) -> usize {
        self.start.align_offset(WORD_BYTES).min(self.length)
    }

    fn byte(&self, at: usize) -> &AtomicU8 {
        assert!(at < self.length, "byte outside the range");
        // SAFETY: `range` found all `length` bytes from `start` in the memory, the borrow of the store keeps them
        // there, and everyone who shares the pages reaches them as atomics or as wasm, never by reference.
        unsafe { AtomicU8::from_ptr(self.start.wrapping_add(at)) }
    }

    fn word(&self, at: usize) -> &AtomicU64 {
        let start = self.start.wrapping_add(at).cast::<u64>();
        assert!(at + WORD_BYTES <= self.length && start.is_aligned(), "word outside the range");
        // SAFETY: all eight bytes lie in the range and the address is aligned, both asserted above; they stay valid
        // and are shared only as atomics for the reasons given in `byte`.
        unsafe { AtomicU64::from_ptr(start) }
    }
}

#[cfg(test)]
mod tests {
    use wasmtime::{Engine, MemoryType, Store};

    use super::*;

    const PAGE: u32 = 65_536;

    fn memory() -> (Store<()>, Memory) {
        let mut store = Store::new(&Engine::default(), ());
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
}
