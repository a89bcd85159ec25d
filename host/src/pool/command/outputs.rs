//! What the runs of a job have printed, each in its place.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::pool::outcome::{Failure, FailureKind, Outcome};
use crate::pool::sink::{Form, Results, Sink};

/// Collects outcomes by the index of their call.
#[derive(Default)]
pub(super) struct Outputs(Mutex<HashMap<u64, Outcome<Vec<u8>>>>);

impl Outputs {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Outcome<Vec<u8>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a call's outcome, once.
    pub(super) fn take(&self, index: u64) -> Outcome<Vec<u8>> {
        let lost = || Err(Failure::new(index, FailureKind::Cancelled, "the run has left no result"));
        self.lock().remove(&index).unwrap_or_else(lost)
    }
}

impl Sink for Outputs {
    fn returned(&self, first: u64, results: Results<'_>) -> Result<(), Vec<Failure>> {
        let Form::Values { heads, bytes } = results.form else {
            unreachable!("programs are not run in batches")
        };
        let mut outcomes = self.lock();
        let mut at = 0;
        for (index, head) in (first..).zip(heads) {
            outcomes.insert(index, Ok(bytes[at..at + head.length].to_vec()));
            at += head.length;
        }
        Ok(())
    }

    fn failed(&self, failure: &Failure) {
        self.lock().insert(failure.index(), Err(failure.clone()));
    }
}
