//! Memory for what is encoded and what is received, reused from call to call.
//!
//! A buffer is taken out while it is used, so that an item whose `Serialize` or `Deserialize` works on shared objects
//! itself finds none, and makes its own.

use std::cell::Cell;
use std::mem;

use super::host;

/// Least room for what is received: enough for most.
const RECEIVED_BYTES_MIN: usize = 1024;

/// Buffers that grew beyond this are given back, lest one huge item cost an instance its memory.
const KEPT_BYTES_MAX: usize = 1024 * 1024;

thread_local! {
    static ENCODED: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    static RECEIVED: Cell<Received> = const { Cell::new(Received(Vec::new())) };
}

/// Calls `work` with an empty vector that has room.
pub(super) fn with_encoded<R>(work: impl FnOnce(&mut Vec<u8>) -> R) -> R {
    let mut bytes = ENCODED.take();
    bytes.clear();
    let result = work(&mut bytes);
    if bytes.capacity() <= KEPT_BYTES_MAX {
        ENCODED.set(bytes);
    }
    result
}

/// Calls `work` with a place for what the host answers.
pub(super) fn with_received<R>(work: impl FnOnce(&mut Received) -> R) -> R {
    let mut received = RECEIVED.take();
    let result = work(&mut received);
    if received.0.capacity() <= KEPT_BYTES_MAX {
        RECEIVED.set(received);
    }
    result
}

/// A place for what the host answers; as long as there is room.
#[derive(Default)]
pub(super) struct Received(Vec<u8>);

impl Received {
    /// Where the host may write.
    #[inline]
    pub(super) fn room(&mut self) -> &mut [u8] {
        if self.0.is_empty() {
            self.0 = vec![0; RECEIVED_BYTES_MIN];
        }
        &mut self.0
    }

    /// The `length` bytes that the host has just answered, fetched if they did not fit.
    #[inline]
    pub(super) fn bytes(&mut self, length: i64) -> &[u8] {
        let length = usize::try_from(length).unwrap_or(0);
        if length > self.0.len() {
            self.fetch(length);
        }
        &self.0[..length]
    }

    #[cold]
    fn fetch(&mut self, length: usize) {
        // At least twice what there was, so that items that grow slowly are not each fetched.
        let room = length.max(2 * self.0.len());
        drop(mem::take(&mut self.0));
        self.0 = vec![0; room];
        host::staged(&mut self.0[..length]);
    }
}
