//! Space for byte strings inside an object: a bitmap of granules, so that no bit pattern can lead out of bounds.
//!
//! ```text
//!   0  cursor   u32   granule at which the last search ended; a hint
//!   8  used     u64   granules in use; a hint that saves searches in a full heap
//!  64  bitmap   one bit for each granule, 1 while it is in use; 64 to a word
//!      granules of 32 bytes, from the next multiple of 64
//! ```
//!
//! A byte string is a run of granules. The search begins where the last one ended, so that a queue, whose strings are
//! freed in the order in which they came, finds room at the first look; it scans a word at a time and passes every
//! granule at most once.
//!
//! All changes are made under the object's mutex. Who dies in the middle of one leaves bits that belong to nobody;
//! who repairs the object forgets all bits and marks again what the object's tables refer to, so the bitmap need not
//! be right between two stores, and nothing here commits anything.
//!
//! What is rounded: each string takes whole granules, at least one, and so does the heap.

use std::sync::atomic::Ordering::Relaxed;

use wasmpool_abi::shared::Refusal;

use super::Outcome;
use super::atomic::AtomicU64;
use super::crash::crash_point;
use super::ground::Ground;

/// Bytes of a granule.
pub(crate) const GRANULE_BYTES: u64 = 32;

/// Most granules, so that the number of one fits a [`Place`] and a sum of two does not overflow anything.
pub(super) const GRANULES_MAX: u64 = 1 << 31;

/// Granules for which one word of the bitmap stands.
const WORD_GRANULES: u64 = u64::BITS as u64;

pub(super) const CURSOR: usize = 0;
const USED: usize = 8;
const BITMAP: usize = 64;
const ALIGNMENT: u64 = 64;

/// Where a byte string lies: granule in the upper 32 bits, length in bytes in the lower 32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place(pub(crate) u64);

impl Place {
    pub(super) fn new(granule: u64, bytes: u32) -> Self {
        Self(granule << 32 | u64::from(bytes))
    }

    /// Length of the byte string.
    pub(crate) fn bytes(self) -> usize {
        (self.0 & u64::from(u32::MAX)) as usize
    }

    pub(super) fn granule(self) -> u64 {
        self.0 >> 32
    }

    fn granules(self) -> u64 {
        granules_of(self.bytes() as u64)
    }

    pub(super) fn end(self) -> u64 {
        self.granule() + self.granules()
    }
}

/// Part of an object's pages that holds byte strings.
#[derive(Debug)]
pub(crate) struct Heap {
    pub(super) ground: Ground,
    pub(super) offset: usize,
    /// Where cursor and used lie.
    counts: usize,
    granules: u64,
    /// Where the granules begin in the ground.
    data: usize,
}

impl Heap {
    /// Bytes that a heap for `bytes_max` bytes takes in the region, a multiple of 64; nothing when it is too large.
    pub(crate) fn bytes(bytes_max: u64) -> Option<usize> {
        let granules = granules_of(bytes_max);
        if granules > GRANULES_MAX {
            return None;
        }
        let data_bytes = (granules * GRANULE_BYTES).next_multiple_of(ALIGNMENT);
        usize::try_from(data_offset(granules) + data_bytes).ok()
    }

    /// A heap for `bytes_max` bytes at `offset` of the ground, a multiple of 64, where there are zeros at first.
    pub(crate) fn open(ground: Ground, offset: usize, bytes_max: u64) -> Self {
        let granules = granules_of(bytes_max).min(GRANULES_MAX);
        let data = offset + data_offset(granules) as usize;
        Self { ground, offset, counts: offset, granules, data }
    }

    /// The same heap, its cursor and its count in the 16 bytes at `counts`, near other words that change with them.
    pub(crate) fn with_counts_at(self, counts: usize) -> Self {
        Self { counts, ..self }
    }

    /// Whether a string of so many bytes has room in the heap while it is empty.
    pub(crate) fn fits(&self, bytes: usize) -> bool {
        u32::try_from(bytes).is_ok_and(|bytes| granules_of(u64::from(bytes)) <= self.granules)
    }

    /// Finds room; the object's mutex is held.
    ///
    /// Nothing when there is no run of free granules that is long enough, though there may be enough in pieces.
    pub(crate) fn allocate(&self, bytes: usize) -> Option<Place> {
        let bytes = u32::try_from(bytes).ok()?;
        let count = granules_of(u64::from(bytes));
        // Relaxed, here and below: the mutex orders all of it, and readers without the mutex do not look here.
        let used = self.ground.word64(self.counts + USED).load(Relaxed);
        let used_after = used.checked_add(count).filter(|used| *used <= self.granules)?;
        let cursor = self.ground.word32(self.counts + CURSOR).load(Relaxed);
        let cursor = u64::from(cursor).min(self.granules);
        let granule = self.find(cursor, self.granules, count).or_else(|| {
            // A run that begins before the cursor may reach beyond it.
            let end = self.granules.min(cursor + count);
            self.find(0, end, count)
        })?;
        let place = Place::new(granule, bytes);
        self.mark(place);
        crash_point!("heap: marked, not counted");
        self.ground.word64(self.counts + USED).store(used_after, Relaxed);
        crash_point!("heap: counted, the cursor as before");
        self.ground.word32(self.counts + CURSOR).store(place.end() as u32, Relaxed);
        Some(place)
    }

    /// Gives room back; the object's mutex is held.
    pub(crate) fn free(&self, place: Place) {
        self.each_word(place, |word, mask| {
            let word = self.word(word);
            word.store(word.load(Relaxed) & !mask, Relaxed);
            crash_point!("heap: a word of a string unmarked");
            true
        });
        let used = self.ground.word64(self.counts + USED);
        used.store(used.load(Relaxed).saturating_sub(place.granules()), Relaxed);
    }

    /// Forgets everything, before [`Self::keep`] is told what is in use; the object's mutex is held.
    pub(crate) fn clear(&self) {
        for word in 0..words_of(self.granules) {
            // A page of the bitmap that was never touched stays untouched.
            if self.word(word).load(Relaxed) != 0 {
                self.word(word).store(0, Relaxed);
            }
        }
        crash_point!("heap: all unmarked");
        self.ground.word32(self.counts + CURSOR).store(0, Relaxed);
        self.ground.word64(self.counts + USED).store(0, Relaxed);
    }

    /// Marks a place as in use, after [`Self::clear`].
    ///
    /// # Errors
    ///
    /// [`Refusal::Poisoned`] when it is no place, or overlaps one that is in use.
    pub(crate) fn keep(&self, place: Place) -> Outcome<()> {
        self.check(place.0)?;
        if !self.each_word(place, |word, mask| self.word(word).load(Relaxed) & mask == 0) {
            return Err(Refusal::Poisoned);
        }
        self.mark(place);
        let used = self.ground.word64(self.counts + USED);
        used.store(used.load(Relaxed).saturating_add(place.granules()), Relaxed);
        Ok(())
    }

    /// A place that was read from shared memory, if it lies inside.
    ///
    /// # Errors
    ///
    /// [`Refusal::Poisoned`] when it does not.
    pub(crate) fn check(&self, place: u64) -> Outcome<Place> {
        let place = Place(place);
        if place.end() <= self.granules { Ok(place) } else { Err(Refusal::Poisoned) }
    }

    /// Copies `bytes` into a string, beginning `at` bytes after its start.
    ///
    /// # Panics
    ///
    /// When they do not lie inside the string, or the string not in the heap.
    pub(crate) fn write(&self, place: Place, at: usize, bytes: &[u8]) {
        let end = at.checked_add(bytes.len()).expect("a string ends below the end of memory");
        assert!(end <= place.bytes(), "bytes {at}..{end} of a string of {}", place.bytes());
        self.ground.region().write(self.start(place) + at, bytes);
    }

    /// Copies a string to the end of `into`.
    ///
    /// # Panics
    ///
    /// When it does not lie in the heap: a place from shared memory goes through [`Self::check`] first.
    pub(crate) fn read(&self, place: Place, into: &mut Vec<u8>) {
        self.ground.region().read_to(self.start(place), place.bytes(), into);
    }

    /// Whether nothing is in use, for tests.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        let used = self.ground.word64(self.counts + USED).load(Relaxed);
        used == 0 && (0..words_of(self.granules)).all(|word| self.word(word).load(Relaxed) == 0)
    }

    /// Where in the region a string begins.
    ///
    /// # Panics
    ///
    /// As [`Self::read`].
    pub(super) fn start(&self, place: Place) -> usize {
        assert!(place.end() <= self.granules, "a place outside of its heap");
        self.data + (place.granule() * GRANULE_BYTES) as usize
    }

    /// The first run of `count` free granules in `from..to`.
    fn find(&self, from: u64, to: u64, count: u64) -> Option<u64> {
        let mut start = from;
        let mut at = from;
        while at < to {
            let word = self.word(at / WORD_GRANULES).load(Relaxed) >> (at % WORD_GRANULES);
            let rest = WORD_GRANULES - at % WORD_GRANULES;
            // Beyond the last granule the bitmap may say what it likes: the run has to end at `to`.
            at += u64::from(word.trailing_zeros()).min(rest);
            if at.min(to) - start >= count {
                return Some(start);
            }
            if word != 0 {
                at += u64::from((word >> word.trailing_zeros()).trailing_ones());
                start = at;
            }
        }
        None
    }

    fn mark(&self, place: Place) {
        self.each_word(place, |word, mask| {
            let word = self.word(word);
            word.store(word.load(Relaxed) | mask, Relaxed);
            crash_point!("heap: a word of a string marked");
            true
        });
    }

    /// Calls `visit` with each word of the bitmap that a place has bits in, and these bits, as long as it is true.
    fn each_word(&self, place: Place, mut visit: impl FnMut(u64, u64) -> bool) -> bool {
        let end = place.end().min(self.granules);
        let mut at = place.granule();
        while at < end {
            let bit = at % WORD_GRANULES;
            let count = (WORD_GRANULES - bit).min(end - at);
            let mask = (u64::MAX >> (WORD_GRANULES - count)) << bit;
            if !visit(at / WORD_GRANULES, mask) {
                return false;
            }
            at += count;
        }
        true
    }

    fn word(&self, word: u64) -> &AtomicU64 {
        self.ground.word64(self.offset + BITMAP + word as usize * size_of::<u64>())
    }
}

/// Granules that a string of so many bytes takes.
pub(super) fn granules_of(bytes: u64) -> u64 {
    bytes.div_ceil(GRANULE_BYTES).max(1)
}

fn words_of(granules: u64) -> u64 {
    granules.div_ceil(WORD_GRANULES)
}

fn data_offset(granules: u64) -> u64 {
    BITMAP as u64 + (words_of(granules) * size_of::<u64>() as u64).next_multiple_of(ALIGNMENT)
}
