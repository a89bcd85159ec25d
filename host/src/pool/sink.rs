//! Where a job's results go.

use std::collections::HashMap;
use std::mem::MaybeUninit;

use super::outcome::Failure;
use crate::channel::post::EntryHead;

/// Takes a job's results, on whichever thread has them, in any order of calls, each call once.
///
/// It must not wait for anybody: whoever calls it feeds a worker.
pub(crate) trait Sink: Send + Sync {
    /// Results of consecutive calls that returned, from index `first` on.
    ///
    /// # Errors
    ///
    /// The failures of those whose results cannot be read.
    fn returned(&self, first: u64, results: Results<'_>) -> Result<(), Vec<Failure>>;

    /// A call that has failed for good.
    fn failed(&self, failure: &Failure);

    /// Index below which everything has left the sink; a bound for how far ahead calls are started.
    fn delivered(&self) -> u64 {
        u64::MAX
    }

    /// Whether failures pile up here, so that only the first of very many can be kept with all that is known of them.
    fn keeps_failures(&self) -> bool {
        true
    }

    /// Whether whatever else is put here gets lost, so that the job may as well end.
    fn is_in_vain(&self) -> bool {
        false
    }
}

/// Results of consecutive calls, straight from a worker.
pub(crate) struct Results<'a> {
    /// How many calls.
    pub(crate) count: usize,
    /// Their results.
    pub(crate) form: Form<'a>,
    /// Number of the worker.
    pub(crate) worker: usize,
    /// Attempts of those calls that took more than one.
    pub(crate) attempts: &'a HashMap<u64, u32>,
}

/// How results come.
pub(crate) enum Form<'a> {
    /// Cells, a number of them per call.
    Cells {
        /// Cells per call.
        width: usize,
        /// Copies cells, as little-endian bytes, from the cell with the given number on.
        read: &'a dyn Fn(usize, &mut [MaybeUninit<u8>]),
    },
    /// Bytes of any length.
    Values {
        /// Length and time of each call's result.
        heads: &'a [EntryHead],
        /// The results, end to end.
        bytes: &'a [u8],
    },
}
