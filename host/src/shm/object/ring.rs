//! A ring of places: the order in which byte strings wait, and nothing about whose they are.
//!
//! ```text
//!   0  head    u64   entries that have left at the front, minus those that came back there
//!   8  tail    u64   entries that ever came at the end
//!  64  places  u64 each, a power of two of them; entry `n` is at `n` modulo their number
//! ```
//!
//! Head and tail can lie elsewhere ([`Ring::with_ends_at`]). They share a line of the cache, best with the mutex: each
//! side of a queue reads both and writes one, always with the mutex in hand, and every line on which they meet costs
//! a journey from core to core.
//!
//! All changes are made under the object's mutex, and each is committed by one store: an entry at the end by the
//! store of `tail`, its leaving by the store of `head`, its return to the front by the same. What lies at an index
//! outside of `head..tail` means nothing. Whoever holds the mutex can therefore take both numbers as they are, even
//! after a death.
//!
//! Without the mutex, [`Ring::is_empty`] is right at one instant between its two reads: an entry that was there
//! before the one that it saw leaving is seen as well, because `head` is read first.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::Outcome;
use super::atomic::AtomicU64;
use super::crash::crash_point;
use super::ground::Ground;
use super::heap::{Heap, Place};

const HEAD: usize = 0;
const TAIL: usize = 8;
const PLACES: usize = 64;
const ALIGNMENT: usize = 64;

/// Places in the order in which they came.
#[derive(Debug)]
pub(crate) struct Ring {
    ground: Ground,
    /// Where head and tail lie.
    ends: usize,
    /// Where the places begin.
    places: usize,
    entries_max: u64,
}

/// What of a ring is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// Number of the first entry.
    pub(crate) head: u64,
    /// Number that the next entry gets.
    pub(crate) tail: u64,
}

impl Span {
    /// Entries in it. A nonsense span has nonsense many.
    pub(crate) fn len(self) -> u64 {
        self.tail.wrapping_sub(self.head)
    }

    /// Whether there are none.
    pub(crate) fn is_empty(self) -> bool {
        self.head == self.tail
    }
}

impl Ring {
    /// Bytes that a ring of so many entries takes in the region, a multiple of 64; nothing when it is too large.
    pub(crate) fn bytes(entries_max: u64) -> Option<usize> {
        let entries = usize::try_from(entries_max.checked_next_power_of_two()?).ok()?;
        entries.checked_mul(size_of::<u64>())?.checked_add(PLACES)?.checked_next_multiple_of(ALIGNMENT)
    }

    /// A ring for `entries_max` entries at `offset` of the ground, a multiple of 64, where there are zeros at first.
    pub(crate) fn open(ground: Ground, offset: usize, entries_max: u64) -> Self {
        Self { ground, ends: offset, places: offset + PLACES, entries_max }
    }

    /// The same ring, its head and tail in the 16 bytes at `ends`.
    pub(crate) fn with_ends_at(self, ends: usize) -> Self {
        Self { ends, ..self }
    }

    /// What is in use; exact while the mutex is held.
    ///
    /// # Errors
    ///
    /// [`Refusal::Poisoned`](wasmpool_abi::shared::Refusal::Poisoned) when there are more entries than there can be.
    pub(crate) fn span(&self) -> Outcome<Span> {
        let span = self.glance();
        if span.len() <= self.entries_max { Ok(span) } else { Err(self.ground.poison()) }
    }

    /// Both numbers, unchecked; without the mutex they may not belong together.
    pub(crate) fn glance(&self) -> Span {
        // SYNC ring: what the entries that left or came back refer to, and all that came before them.
        let head = self.head().load(Acquire);
        // SYNC ring: the entries before it.
        Span { head, tail: self.tail().load(Acquire) }
    }

    /// Whether nothing is in it, as seen without the mutex.
    pub(crate) fn is_empty(&self) -> bool {
        self.glance().is_empty()
    }

    /// Whether one more entry has room.
    pub(crate) fn has_room(&self, span: Span) -> bool {
        span.len() < self.entries_max
    }

    /// The place of entry `number`, if it is one in `heap`.
    ///
    /// # Errors
    ///
    /// [`Refusal::Poisoned`](wasmpool_abi::shared::Refusal::Poisoned) when it is not.
    pub(crate) fn place(&self, number: u64, heap: &Heap) -> Outcome<Place> {
        // Relaxed: the mutex orders it, or the head and tail that were read before.
        heap.check(self.slot(number).load(Relaxed)).map_err(|_| self.ground.poison())
    }

    /// Adds an entry at the end, for which there is room. The mutex is held.
    pub(crate) fn push(&self, span: Span, place: Place) {
        self.slot(span.tail).store(place.0, Relaxed);
        crash_point!("ring: entry written, the tail as before");
        // SYNC ring
        self.tail().store(span.tail.wrapping_add(1), Release);
    }

    /// Lets the first entry leave. The mutex is held.
    pub(crate) fn pop(&self, span: Span) {
        // SYNC ring
        self.head().store(span.head.wrapping_add(1), Release);
    }

    /// Puts an entry back to the front, for which there is room. The mutex is held.
    pub(crate) fn push_front(&self, span: Span, place: Place) {
        let head = span.head.wrapping_sub(1);
        self.slot(head).store(place.0, Relaxed);
        crash_point!("ring: entry written, the head as before");
        // SYNC ring
        self.head().store(head, Release);
    }

    /// Marks all that is in the ring as in use, after [`Heap::clear`]. The mutex is held.
    ///
    /// # Errors
    ///
    /// [`Refusal::Poisoned`](wasmpool_abi::shared::Refusal::Poisoned) when that cannot be.
    pub(crate) fn keep_all(&self, heap: &Heap) -> Outcome<()> {
        let span = self.span()?;
        (0..span.len()).try_for_each(|index| heap.keep(self.place(span.head.wrapping_add(index), heap)?))
    }

    fn head(&self) -> &AtomicU64 {
        self.ground.word64(self.ends + HEAD)
    }

    fn tail(&self) -> &AtomicU64 {
        self.ground.word64(self.ends + TAIL)
    }

    fn slot(&self, number: u64) -> &AtomicU64 {
        let mask = self.entries_max.next_power_of_two() - 1;
        self.ground.word64(self.places + (number & mask) as usize * size_of::<u64>())
    }
}
