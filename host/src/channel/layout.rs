//! Where everything lies in the two regions of a worker.
//!
//! ```text
//! down: supervisor writes, worker reads          up: worker writes
//! +--------------------------------------+      +--------------------------------------+
//! | 0     doorbell epoch          u32    |      | 0     progress                 u64   |
//! | 4     cpu of the last poster  u32    |      | 8     blocked on               u32   |
//! |                                      |      | 12    last host call           u32   |
//! |                                      |      | 64    feeder's bell: epoch     u32   |
//! |                                      |      | 68    feeder's bell: asleep    u32   |
//! | 64    ring bytes taken        u64    |      | 72    worker's bell: asleep    u32   |
//! | 72    parked                  u32    |      | 76    cpu of the worker        u32   |
//! | 128   slot 0: order, 192 bytes       |      | 80    initializer runs         u32   |
//! | 320   slot 1: order                  |      | 84    requests written         u32   |
//! +--------------------------------------+      | 128   ring bytes written       u64   |
//! | 4096  inputs of slot 0               |      | 192   slot 0: answer, 64 bytes       |
//! |       inputs of slot 1               |      | 256   slot 1: answer                 |
//! +--------------------------------------+      +--------------------------------------+
//!                                               | 4096  ring of printed lines          |
//!                                               |       results of slot 0              |
//!                                               |       results of slot 1              |
//!                                               +--------------------------------------+
//! ```
//!
//! The exceptions to "worker writes": the supervisor installs the words of an answer before it posts the order, and
//! sets or clears `asleep` words, because a bell's flag is written by both partners. It never bases a decision on
//! what it reads there.
//!
//! The progress word stands first because that page also appears at address 0 of the batch driver's memory.

/// Length of a page, and of the words at the start of each region.
pub(crate) const PAGE: usize = 4096;

/// Chunk slots of a worker.
pub(crate) const SLOTS: usize = 2;

/// Room for one chunk's inputs, and for one chunk's results: what one value may have, and its table.
pub(crate) const SLOT_BYTES: usize = VALUE_BYTES_MAX + (1 << 20);

pub(crate) use wasmpool_abi::VALUE_BYTES_MAX;

/// Room for printed lines on their way up.
pub(crate) const RING_BYTES: usize = 256 << 10;

/// Offsets in the down region.
pub(crate) mod down {
    use super::{PAGE, SLOT_BYTES, SLOTS};

    pub(crate) const DOORBELL: usize = 0;
    pub(crate) const POSTER_CPU: usize = 4;
    pub(crate) const RING_TAKEN: usize = 64;
    /// Generation of the order whose waiting call was parked last.
    pub(crate) const PARKED: usize = 72;
    const ORDERS: usize = 128;
    const ORDER_BYTES: usize = 192;

    /// Generation of the order in a slot, the last word of it to be written.
    pub(crate) const fn posted(slot: usize) -> usize {
        ORDERS + slot * ORDER_BYTES
    }

    /// `(generation, calls)`: how far the supervisor has taken a slot's results, so that their room may be reused.
    pub(crate) const fn taken(slot: usize) -> usize {
        posted(slot) + 8
    }

    /// Field `index` of the order in a slot.
    pub(crate) const fn field(slot: usize, index: usize) -> usize {
        posted(slot) + 16 + 8 * index
    }

    /// Fields that an order has room for.
    pub(crate) const FIELDS_MAX: usize = (ORDER_BYTES - 16) / 8;

    /// Start of a slot's inputs.
    pub(crate) const fn inputs(slot: usize) -> usize {
        PAGE + slot * SLOT_BYTES
    }

    /// Length of the region.
    pub(crate) const BYTES: usize = inputs(SLOTS);

    const _: () = assert!(ORDERS + SLOTS * ORDER_BYTES <= PAGE);
}

/// Which sleep of a worker's calls this is, and on what.
///
/// ```text
/// bits 0..11    number of the grant plus one, 0 while no call sleeps
/// bits 11..32   how many sleeps there were, so that the next one is told from this
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sleep(pub(crate) u32);

impl Sleep {
    const COUNT: u32 = 1 << 11;

    /// The next one, on the object of this grant.
    pub(crate) fn next(self, grant: usize) -> Self {
        let grant = (grant as u32 + 1) % Self::COUNT;
        Self(self.over().0.wrapping_add(Self::COUNT) | grant)
    }

    /// The same when it is over.
    pub(crate) fn over(self) -> Self {
        Self(self.0 & !(Self::COUNT - 1))
    }

    /// Number of the grant on whose object a call sleeps.
    pub(crate) fn grant(self) -> Option<usize> {
        (self.0 % Self::COUNT).checked_sub(1).map(|grant| grant as usize)
    }
}

/// Offsets in the up region.
pub(crate) mod up {
    use super::{PAGE, RING_BYTES, SLOT_BYTES, SLOTS};

    pub(crate) const PROGRESS: usize = 0;
    /// Number of the grant, plus 1, on whose object the running call sleeps; 0 while it does not.
    /// A [`Sleep`](super::Sleep).
    pub(crate) const BLOCKED_ON: usize = 8;
    /// Number of the host function that a guest entered last; 0 before the first.
    pub(crate) const HOST_CALL: usize = 12;
    pub(crate) const FEEDER_BELL: usize = 64;
    pub(crate) const FEEDER_ASLEEP: usize = 68;
    pub(crate) const WORKER_ASLEEP: usize = 72;
    pub(crate) const WORKER_CPU: usize = 76;
    /// 1 while an instance's initializer runs, before the call that the progress word names; otherwise 0.
    pub(crate) const INITIALIZING: usize = 80;
    /// Requests that were put into the ring; a hint that there is something in it which is not a line.
    pub(crate) const REQUESTS: usize = 84;
    pub(crate) const RING_WRITTEN: usize = 128;
    const ANSWERS: usize = 192;
    const ANSWER_BYTES: usize = 64;

    /// The range word of a slot.
    pub(crate) const fn range(slot: usize) -> usize {
        ANSWERS + slot * ANSWER_BYTES
    }

    /// `(generation, calls)`: calls of the slot's chunk that have ended, from its first on.
    pub(crate) const fn finished(slot: usize) -> usize {
        range(slot) + 8
    }

    /// Bytes of failure records behind a batch's cells.
    pub(crate) const fn failure_bytes(slot: usize) -> usize {
        range(slot) + 16
    }

    /// Nanoseconds that the worker has spent on the slot's chunk.
    pub(crate) const fn busy_ns(slot: usize) -> usize {
        range(slot) + 24
    }

    /// Generation of the last order of this slot that the worker is through with.
    pub(crate) const fn ended(slot: usize) -> usize {
        range(slot) + 32
    }

    /// `(generation, calls)`: the order whose results have no room left until the supervisor has taken those of so
    /// many calls.
    pub(crate) const fn full(slot: usize) -> usize {
        range(slot) + 40
    }

    /// Start of the ring of printed lines.
    pub(crate) const RING: usize = PAGE;

    /// Start of a slot's results.
    pub(crate) const fn results(slot: usize) -> usize {
        RING + RING_BYTES + slot * SLOT_BYTES
    }

    /// Length of the region.
    pub(crate) const BYTES: usize = results(SLOTS);

    const _: () = assert!(ANSWERS + SLOTS * ANSWER_BYTES <= PAGE);
    const _: () = assert!(results(0).is_multiple_of(PAGE));
}

/// Bytes of one entry in the table before the results of separately run calls:
/// `u32` kind (an [`EndKind`](super::ending::EndKind)), `u32` length, `u64` nanoseconds.
///
/// The results' bytes follow the table, end to end, in the order of the calls.
pub(crate) const ENTRY_BYTES: usize = 16;

/// Bytes before each failure record behind a batch's cells: `u32` kind, `u32` length, `u64` call.
pub(crate) const FAILURE_HEADER_BYTES: usize = 16;

/// A pair of a generation and a count in one word, so that the count is never read against another chunk.
pub(crate) const fn tagged(generation: u32, count: u32) -> u64 {
    (generation as u64) << 32 | count as u64
}

/// The count of a tagged word if it is of this generation.
pub(crate) const fn untag(word: u64, generation: u32) -> Option<u32> {
    if (word >> 32) as u32 == generation { Some(word as u32) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sleep_is_told_from_the_next_on_the_same_object() {
        let first = Sleep(0).next(1023);
        assert_eq!((first.grant(), first.over().grant()), (Some(1023), None));
        let second = first.over().next(1023);
        assert_eq!(second.grant(), Some(1023));
        assert_ne!(first, second);
        assert_eq!(Sleep(u32::MAX).next(0).grant(), Some(0));
    }

    #[test]
    fn words_do_not_overlap() {
        assert!(down::RING_TAKEN + 8 <= down::posted(0));
        assert!(down::field(0, down::FIELDS_MAX) <= down::posted(1));
        assert!(up::RING_WRITTEN + 8 <= up::range(0));
        assert!(up::full(0) + 8 <= up::range(1));
    }

    #[test]
    fn a_tagged_count_is_read_only_against_its_own_generation() {
        assert_eq!(untag(tagged(7, 3), 7), Some(3));
        assert_eq!(untag(tagged(7, 3), 8), None);
    }
}
