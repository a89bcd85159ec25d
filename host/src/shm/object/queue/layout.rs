//! Where everything of a queue lies; the picture is the queue's.

use super::super::PARTIES_MAX;
use super::super::ground::{PAGE_BYTES, header};
use super::super::heap::Heap;
use super::super::ring::Ring;
use super::super::spec::{ITEMS_MAX, Orphaned, QueueShape};
use super::hand::HANDS_BYTES;

pub(super) const BURIED: usize = 8;
pub(super) const ADOPTED: usize = 12;
pub(super) const CLOSED: usize = 16;
pub(super) const WANTS_ROOM: usize = 20;
pub(super) const RETURNED: usize = 24;
pub(crate) const ENDS: usize = 32;
pub(super) const COUNTS: usize = 48;
const _: () = assert!(COUNTS + 16 <= header::BELL_A);
pub(crate) const BELL_DONE: usize = header::BYTES;
pub(crate) const DONE: usize = 256;
pub(crate) const HANDS: usize = 320;
pub(crate) const ITEMS: usize = HANDS + HANDS_BYTES;

/// Bytes of a queue's region; nothing when no machine has so many.
///
/// Items take whole granules of [`GRANULE_BYTES`](super::super::heap::GRANULE_BYTES) of `bytes_max`, at least one each.
pub(crate) fn bytes(shape: QueueShape) -> Option<usize> {
    Layout::new(shape)?.end.checked_next_multiple_of(PAGE_BYTES)
}

/// Entries of the ring of items: the items that can be put, and all that can be given back on top of them.
pub(super) fn entries_max(shape: QueueShape) -> u64 {
    u64::from(shape.items_max.min(ITEMS_MAX)) + PARTIES_MAX as u64
}

/// Items that may wait to be collected before nothing can be put any more.
pub(crate) fn reported_max(shape: QueueShape) -> u64 {
    entries_max(shape)
}

/// Entries of the ring of reported items: when putting stops, all that is in the queue or in hands can still come.
pub(super) fn reported_entries_max(shape: QueueShape) -> u64 {
    reported_max(shape) + entries_max(shape)
}

/// Where everything lies that depends on the shape.
pub(super) struct Layout {
    pub(super) reported: Option<usize>,
    pub(super) heap: usize,
    pub(super) end: usize,
}

impl Layout {
    pub(super) fn new(shape: QueueShape) -> Option<Self> {
        let after_items = ITEMS.checked_add(Ring::bytes(entries_max(shape))?)?;
        let (reported, heap) = match shape.orphaned {
            Orphaned::GivenBack => (None, after_items),
            Orphaned::Reported => {
                (Some(after_items), after_items.checked_add(Ring::bytes(reported_entries_max(shape))?)?)
            }
        };
        Some(Self { reported, heap, end: heap.checked_add(Heap::bytes(shape.bytes_max)?)? })
    }
}
