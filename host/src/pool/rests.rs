//! Calls that rest before they are tried again.
//!
//! They are with no worker and with no thread. Feeders that sleep wake up when the first of them is due, and whichever
//! comes first puts the due ones into their modules' queues; feeders that are awake look at each step. So nobody has
//! to keep time for them, and an idle pool with a call that rests for a minute is idle for a minute.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::chunk::Chunk;
use super::job::Job;

/// What [`Rests::next_ns`] says when nobody rests.
const NEVER: u64 = u64::MAX;

/// The calls of a pool that rest.
pub(crate) struct Rests {
    resting: Mutex<BinaryHeap<Reverse<Resting>>>,
    /// When the first one is due, in nanoseconds since `begin`; changed under the lock.
    next_ns: AtomicU64,
    begin: Instant,
}

struct Resting {
    due: Instant,
    chunk: Chunk,
}

impl PartialEq for Resting {
    fn eq(&self, other: &Self) -> bool {
        self.due == other.due
    }
}

impl Eq for Resting {}

impl PartialOrd for Resting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Resting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.due.cmp(&other.due)
    }
}

impl Default for Rests {
    fn default() -> Self {
        Self { resting: Mutex::default(), next_ns: AtomicU64::new(NEVER), begin: Instant::now() }
    }
}

impl Rests {
    /// Lets a chunk rest. Whoever calls this rings the lobby's bell afterwards, for those who sleep longer.
    pub(crate) fn put(&self, chunk: Chunk, due: Instant) {
        let mut resting = self.lock();
        resting.push(Reverse(Resting { due, chunk }));
        self.note_next(&resting);
    }

    /// Takes the chunks that have rested enough.
    pub(crate) fn take_due(&self) -> Vec<Chunk> {
        let mut due = Vec::new();
        if self.left() != Some(Duration::ZERO) {
            return due;
        }
        let mut resting = self.lock();
        let now = Instant::now();
        while resting.peek().is_some_and(|first| first.0.due <= now) {
            due.extend(resting.pop().map(|first| first.0.chunk));
        }
        self.note_next(&resting);
        due
    }

    /// How many chunks rest, which are of one call each.
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    /// How long it is until a chunk has rested enough.
    pub(crate) fn left(&self) -> Option<Duration> {
        // Relaxed: whoever goes to sleep by it has announced that before, and whoever changes it rings afterwards.
        match self.next_ns.load(Ordering::Relaxed) {
            NEVER => None,
            next_ns => Some(Duration::from_nanos(next_ns).saturating_sub(self.begin.elapsed())),
        }
    }

    /// Drops the chunks of a job that is over.
    pub(crate) fn forget(&self, job: &Job) {
        if self.left().is_none() {
            return;
        }
        let mut resting = self.lock();
        resting.retain(|Reverse(resting)| !std::ptr::eq(&**resting.chunk.job(), job));
        self.note_next(&resting);
    }

    fn lock(&self) -> MutexGuard<'_, BinaryHeap<Reverse<Resting>>> {
        self.resting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note_next(&self, resting: &BinaryHeap<Reverse<Resting>>) {
        let since_begin = |due: Instant| due.saturating_duration_since(self.begin).as_nanos() as u64;
        let next_ns = resting.peek().map_or(NEVER, |first| since_begin(first.0.due));
        // Relaxed: as in `left`.
        self.next_ns.store(next_ns, Ordering::Relaxed);
    }
}
