//! Sizes of objects that hold items, and rules that may be chosen.

use crate::shm::object::spec::{Orphaned, PipeShape, QueueShape, RecordsShape};

/// Bytes that a queue has for its items at least, unless said otherwise: 1 MiB.
pub const QUEUE_BYTES_DEFAULT: u64 = 1 << 20;

/// Bytes that a queue has for each item that there can be, if that is more: 256.
pub const QUEUE_ITEM_BYTES_DEFAULT: u64 = 256;

/// Bytes that can be under way in each direction of a pipe, unless said otherwise: 1 MiB.
pub const PIPE_BYTES_DEFAULT: u64 = 1 << 20;

/// Most records of a list, a dictionary or a namespace, unless said otherwise.
pub const RECORDS_DEFAULT: usize = 1 << 16;

/// Bytes that a list, a dictionary or a namespace has for its records, unless said otherwise: 4 MiB.
pub const RECORD_BYTES_DEFAULT: u64 = 4 << 20;

/// Sizes and rules of a queue.
///
/// Its memory is reserved when it is made: its bytes, and a few for each item that there can be.
///
/// # Examples
///
/// ```
/// wasmpool::test_support!();
/// use wasmpool::shared::QueueOptions;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = wasmpool::Pool::builder().workers(1).build()?;
/// let options = QueueOptions::new(16).bytes(64 << 20).report_orphans();
/// let images = pool.queue_with::<Vec<u8>>("images", options)?;
/// assert_eq!(images.capacity(), 16);
/// assert!(images.take_reported()?.is_empty());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueOptions {
    items: usize,
    bytes: Option<u64>,
    orphaned: Orphaned,
}

impl QueueOptions {
    /// A queue of at most so many items, 1 to 16,777,216.
    #[must_use]
    pub fn new(items: usize) -> Self {
        Self { items, bytes: None, orphaned: Orphaned::GivenBack }
    }

    /// Bytes for all items together, those in hand included; none can be longer.
    ///
    /// Unless said otherwise these are [`QUEUE_ITEM_BYTES_DEFAULT`] for each item, and at least [`QUEUE_BYTES_DEFAULT`].
    #[must_use]
    pub fn bytes(mut self, bytes: u64) -> Self {
        self.bytes = Some(bytes);
        self
    }

    /// Takes an item out, for [`take_reported`](super::Queue::take_reported), whose task failed or died with it in hand.
    ///
    /// Each item is then dealt with at most once. Unless said so it goes back to the front of the queue, and is dealt
    /// with at least once.
    #[must_use]
    pub fn report_orphans(mut self) -> Self {
        self.orphaned = Orphaned::Reported;
        self
    }

    pub(crate) fn shape(self, joinable: bool) -> QueueShape {
        let items_max = saturate(self.items);
        let usual = QUEUE_BYTES_DEFAULT.max(QUEUE_ITEM_BYTES_DEFAULT * u64::from(items_max));
        QueueShape { items_max, bytes_max: self.bytes.unwrap_or(usual), joinable, orphaned: self.orphaned }
    }
}

/// Sizes of a pipe.
///
/// Its memory is reserved when it is made: its bytes in each direction, and some pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PipeOptions {
    bytes: u64,
}

impl Default for PipeOptions {
    fn default() -> Self {
        Self { bytes: PIPE_BYTES_DEFAULT }
    }
}

impl PipeOptions {
    /// A pipe of [`PIPE_BYTES_DEFAULT`] in each direction.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes under way in each direction; no message can be longer.
    #[must_use]
    pub fn bytes(mut self, bytes: u64) -> Self {
        self.bytes = bytes;
        self
    }

    pub(crate) fn shape(self, duplex: bool) -> PipeShape {
        PipeShape { bytes_max: self.bytes, duplex }
    }
}

/// Sizes of a list, a dictionary or a namespace.
///
/// Its memory is reserved when it is made: its bytes, and some dozens for each record that there can be.
///
/// # Examples
///
/// ```
/// wasmpool::test_support!();
/// use wasmpool::shared::{RecordOptions, SharedErrorKind};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = wasmpool::Pool::builder().workers(1).build()?;
/// let log = pool.list_with::<String>("log", RecordOptions::new().records(1).bytes(4096))?;
/// log.push("only one")?;
/// assert_eq!(log.push("one more").unwrap_err().kind(), SharedErrorKind::NoRoom);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordOptions {
    records: usize,
    bytes: u64,
}

impl Default for RecordOptions {
    fn default() -> Self {
        Self { records: RECORDS_DEFAULT, bytes: RECORD_BYTES_DEFAULT }
    }
}

impl RecordOptions {
    /// [`RECORDS_DEFAULT`] records of [`RECORD_BYTES_DEFAULT`] together.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Most records, 1 to 16,777,216.
    #[must_use]
    pub fn records(mut self, records: usize) -> Self {
        self.records = records;
        self
    }

    /// Bytes for all records together, keys included. A record that is replaced needs both its old and its new bytes
    /// for an instant.
    #[must_use]
    pub fn bytes(mut self, bytes: u64) -> Self {
        self.bytes = bytes;
        self
    }

    pub(crate) fn shape(self) -> RecordsShape {
        RecordsShape { records_max: saturate(self.records), bytes_max: self.bytes }
    }
}

/// So many, or at least more than there can be.
fn saturate(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_has_room_for_its_items_unless_told_otherwise() {
        let bytes = |items| QueueOptions::new(items).shape(false).bytes_max;
        assert_eq!((bytes(1), bytes(4096), bytes(10_000)), (1 << 20, 1 << 20, 2_560_000));
        assert_eq!(QueueOptions::new(10_000).bytes(7).shape(false).bytes_max, 7);
    }
}
