//! Runs: bytes of shared pages, copied while others may be changing them.
//!
//! [`Region::read`] and [`Region::write`] are for bytes that a protocol keeps still. Those here need no such promise:
//! every byte moves inside a relaxed atomic load or store, so a copy that races with a writer is merely a mixture,
//! to be judged by whoever asked for it.
//!
//! A run is cut into the widest pieces that are aligned to their own size. So a number that is aligned to its size
//! is never cut, whatever the run's ends are: it moves whole, though the numbers of a run move in no order. Pieces
//! of several widths meet on the same bytes, which processors order as they order equal ones.

use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, Ordering};

use super::region::Region;

const WORD_BYTES: usize = size_of::<u64>();

/// Relaxed everywhere: no order between the pieces is promised, and those who need one have fences of their own.
const RELAXED: Ordering = Ordering::Relaxed;

impl Region {
    /// Copies `into.len()` bytes out of the region, from `offset`.
    ///
    /// # Panics
    ///
    /// When the range is not inside.
    pub(crate) fn load(&self, offset: usize, into: &mut [u8]) {
        let (head, words) = cut(offset, into.len());
        let (first, rest) = into.split_at_mut(head);
        let (middle, last) = rest.split_at_mut(words * WORD_BYTES);
        self.load_ends(offset, first);
        let cells = self.words(aligned(offset + head, words), words);
        for (word, cell) in middle.as_chunks_mut::<WORD_BYTES>().0.iter_mut().zip(cells) {
            *word = cell.load(RELAXED).to_ne_bytes();
        }
        self.load_ends(offset + head + words * WORD_BYTES, last);
    }

    /// Copies `count` bytes out of the region, from `offset`, to the end of `into`.
    ///
    /// # Panics
    ///
    /// When the range is not inside.
    pub(crate) fn load_to(&self, offset: usize, count: usize, into: &mut Vec<u8>) {
        let end = into.len();
        into.resize(end + count, 0);
        self.load(offset, &mut into[end..]);
    }

    /// Copies `from` into the region, at `offset`.
    ///
    /// # Panics
    ///
    /// When the range is not inside, or the region is mapped for reading only.
    pub(crate) fn store(&self, offset: usize, from: &[u8]) {
        assert!(self.is_writable(), "store to a region mapped for reading");
        let (head, words) = cut(offset, from.len());
        let (first, rest) = from.split_at(head);
        let (middle, last) = rest.split_at(words * WORD_BYTES);
        self.store_ends(offset, first);
        let cells = self.words(aligned(offset + head, words), words);
        for (word, cell) in middle.as_chunks::<WORD_BYTES>().0.iter().zip(cells) {
            cell.store(u64::from_ne_bytes(*word), RELAXED);
        }
        self.store_ends(offset + head + words * WORD_BYTES, last);
    }

    /// Fills `count` bytes from `offset` with a pattern of 1, 2, 4 or 8 bytes, repeated to make eight.
    ///
    /// The ends of the run are multiples of the pattern's size.
    ///
    /// # Panics
    ///
    /// As [`Self::store`].
    pub(crate) fn repeat(&self, offset: usize, count: usize, pattern: u64) {
        assert!(self.is_writable(), "store to a region mapped for reading");
        let bytes = pattern.to_ne_bytes();
        let (head, words) = cut(offset, count);
        self.store_ends(offset, &bytes[..head]);
        for cell in self.words(aligned(offset + head, words), words) {
            cell.store(pattern, RELAXED);
        }
        self.store_ends(offset + head + words * WORD_BYTES, &bytes[..count - head - words * WORD_BYTES]);
    }

    /// Whether `bytes` are what the region holds at `offset`.
    ///
    /// # Panics
    ///
    /// When the range is not inside.
    pub(crate) fn holds(&self, offset: usize, bytes: &[u8]) -> bool {
        let (head, words) = cut(offset, bytes.len());
        let (first, rest) = bytes.split_at(head);
        let (middle, last) = rest.split_at(words * WORD_BYTES);
        let cells = self.words(aligned(offset + head, words), words);
        let mut pairs = middle.as_chunks::<WORD_BYTES>().0.iter().zip(cells);
        pairs.all(|(word, cell)| cell.load(RELAXED) == u64::from_ne_bytes(*word))
            && self.holds_ends(offset, first)
            && self.holds_ends(offset + head + words * WORD_BYTES, last)
    }

    fn holds_ends(&self, offset: usize, bytes: &[u8]) -> bool {
        let mut held = [0; WORD_BYTES];
        let held = &mut held[..bytes.len()];
        self.load_ends(offset, held);
        held == bytes
    }

    /// Less than a word, in pieces.
    fn load_ends(&self, offset: usize, into: &mut [u8]) {
        let mut at = 0;
        while at < into.len() {
            let (from, to) = (offset + at, &mut into[at..]);
            at += match piece(from, to.len()) {
                4 => put(to, self.word::<AtomicU32>(from).load(RELAXED).to_ne_bytes()),
                2 => put(to, self.word::<AtomicU16>(from).load(RELAXED).to_ne_bytes()),
                _ => put(to, self.word::<AtomicU8>(from).load(RELAXED).to_ne_bytes()),
            };
        }
    }

    /// Less than a word, in pieces.
    fn store_ends(&self, offset: usize, from: &[u8]) {
        let mut rest = from;
        while !rest.is_empty() {
            let to = offset + from.len() - rest.len();
            let size = piece(to, rest.len());
            match *rest {
                [a, b, c, d, ..] if size == 4 => {
                    self.word::<AtomicU32>(to).store(u32::from_ne_bytes([a, b, c, d]), RELAXED);
                }
                [a, b, ..] if size == 2 => {
                    self.word::<AtomicU16>(to).store(u16::from_ne_bytes([a, b]), RELAXED);
                }
                [a, ..] => self.word::<AtomicU8>(to).store(a, RELAXED),
                [] => {}
            }
            rest = &rest[size..];
        }
    }
}

fn put<const N: usize>(to: &mut [u8], bytes: [u8; N]) -> usize {
    to[..N].copy_from_slice(&bytes);
    N
}

/// Bytes before the first whole word of a run, and how many whole words there are.
fn cut(offset: usize, count: usize) -> (usize, usize) {
    let head = (offset.next_multiple_of(WORD_BYTES) - offset).min(count);
    (head, (count - head) / WORD_BYTES)
}

/// Where the words begin; a run without any may end anywhere.
fn aligned(offset: usize, words: usize) -> usize {
    if words == 0 { 0 } else { offset }
}

/// Size of the widest piece at `offset`, in a run that goes on for `rest` bytes and has no whole word.
fn piece(offset: usize, rest: usize) -> usize {
    let aligned = 1 << offset.trailing_zeros().min(2);
    let fits = 1 << rest.ilog2().min(2);
    usize::min(aligned, fits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shm::region::Writer;

    fn region() -> Region {
        Region::create("test", 4096, Writer::Worker).expect("a region").0
    }

    #[test]
    fn every_alignment_and_length_comes_back_and_touches_nothing_else() {
        for offset in 96..112 {
            for count in 0..40 {
                let region = region();
                let bytes: Vec<u8> = (1..).take(count).collect();
                region.store(offset, &bytes);
                let mut around = Vec::new();
                region.load_to(offset - 1, count + 2, &mut around);
                assert_eq!(around, [&[0], &bytes[..], &[0]].concat());
                assert!(region.holds(offset, &bytes));
                for wrong in 0..count {
                    let mut other = bytes.clone();
                    other[wrong] ^= 0x80;
                    assert!(!region.holds(offset, &other), "byte {wrong} of {count} at {offset}");
                }
            }
        }
    }

    #[test]
    fn a_pattern_repeats_from_each_of_its_own_multiples() {
        for (size, pattern) in
            [(1, 0x1111_1111_1111_1111_u64), (2, 0x2211_2211_2211_2211), (4, 0x4433_2211_4433_2211)]
        {
            for first in 0..8 {
                for count in 0..20 {
                    let region = region();
                    region.repeat(64 + first * size, count * size, pattern);
                    let mut around = Vec::new();
                    region.load_to(64 + first * size - 1, count * size + 2, &mut around);
                    let expected = pattern.to_ne_bytes()[..size].repeat(count);
                    assert_eq!(around, [&[0], &expected[..], &[0]].concat());
                }
            }
        }
    }

    #[test]
    fn no_number_is_cut() {
        for size in [1, 2, 4] {
            for first in 0..8 {
                for count in 1..8 {
                    let (mut at, mut rest) = (first * size, count * size);
                    while rest > 0 && (at % 8 != 0 || rest < 8) {
                        let piece = piece(at, rest);
                        assert!(piece >= size && at % piece == 0 && piece <= rest);
                        (at, rest) = (at + piece, rest - piece);
                    }
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "of a region of 4096")]
    fn a_range_outside_is_refused() {
        region().store(4090, b"too long");
    }
}
