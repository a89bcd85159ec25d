//! What a pool counts as it goes.
//!
//! Counting costs a few additions per chunk, on a line of the cache that few threads write to: each thread has a lane of
//! its own, as long as there are enough. Whoever asks adds the lanes up.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::outcome::FailureKind;
use super::stats::{BUCKETS, Times};

/// Lanes of a tally.
const LANES: usize = 16;

/// Something that is counted.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Count {
    JobsBegun,
    JobsEnded,
    Submitted,
    Returned,
    /// Calls of jobs that ended before they did.
    NotRun,
    Retries,
    Chunks,
    Steals,
    Splits,
    WorkersStarted,
    WorkersLost,
    WorkersStopped,
    WorkersRetired,
    /// Nanoseconds.
    Busy,
}

/// How many kinds of counts there are.
const COUNTS: usize = Count::Busy as usize + 1;

/// The counts of a pool.
pub(crate) struct Tally {
    /// When it was begun.
    pub(crate) begin: Instant,
    /// How many jobs have been numbered.
    jobs: AtomicU64,
    lanes: [Lane; LANES],
}

/// Counts of some threads, on lines of the cache of their own (two, because processors fetch them in pairs).
#[repr(align(128))]
struct Lane {
    counts: [AtomicU64; COUNTS],
    failures: [AtomicU64; FailureKind::KINDS],
    waits: Clock,
    runs: Clock,
}

/// Times that were measured.
struct Clock {
    total_ns: AtomicU64,
    longest_ns: AtomicU64,
    /// How often by the number of binary digits, the first one for a nanosecond or less.
    buckets: [AtomicU64; BUCKETS],
}

impl Default for Tally {
    fn default() -> Self {
        Self { begin: Instant::now(), jobs: AtomicU64::new(0), lanes: std::array::from_fn(|_| Lane::new()) }
    }
}

impl Tally {
    /// The number of a job that is about to be made.
    pub(crate) fn number_job(&self) -> u64 {
        // Relaxed: numbers are told apart, nothing more.
        self.jobs.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Counts so many more of something.
    pub(crate) fn add(&self, what: Count, count: u64) {
        add(&self.lane().counts[what as usize], count);
    }

    /// Counts a call that has failed for good.
    pub(crate) fn add_failure(&self, kind: FailureKind) {
        add(&self.lane().failures[kind.number()], 1);
    }

    /// Notes how long calls waited for a worker.
    pub(crate) fn add_wait(&self, wait: Duration, calls: u64) {
        self.lane().waits.add(u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX), calls);
    }

    /// Notes how long the calls of a chunk took, all together.
    pub(crate) fn add_run(&self, busy_ns: u64, calls: u64) {
        self.add(Count::Busy, busy_ns);
        if let Some(call_ns) = busy_ns.checked_div(calls) {
            self.lane().runs.add(call_ns, calls);
        }
    }

    /// How many of something there were.
    pub(crate) fn count(&self, what: Count) -> u64 {
        self.sum(|lane| &lane.counts[what as usize])
    }

    /// How many calls failed for good in one way.
    pub(crate) fn failures(&self, number: usize) -> u64 {
        self.sum(|lane| &lane.failures[number])
    }

    /// How long calls waited.
    pub(crate) fn waits(&self) -> Times {
        self.times(|lane| &lane.waits)
    }

    /// How long calls took.
    pub(crate) fn runs(&self) -> Times {
        self.times(|lane| &lane.runs)
    }

    fn lane(&self) -> &Lane {
        &self.lanes[lane_of_this_thread()]
    }

    fn sum(&self, of: impl Fn(&Lane) -> &AtomicU64) -> u64 {
        // Relaxed: what was counted before something that the caller knows of is seen; the rest is seen next time.
        self.lanes.iter().map(|lane| of(lane).load(Ordering::Relaxed)).fold(0, u64::wrapping_add)
    }

    fn times(&self, of: impl Fn(&Lane) -> &Clock) -> Times {
        let buckets = std::array::from_fn(|bucket| self.sum(|lane| &of(lane).buckets[bucket]));
        let longest = self.lanes.iter().map(|lane| of(lane).longest_ns.load(Ordering::Relaxed)).max();
        Times::new(self.sum(|lane| &of(lane).total_ns), longest.unwrap_or(0), buckets)
    }
}

impl Lane {
    fn new() -> Self {
        Self {
            counts: std::array::from_fn(|_| AtomicU64::new(0)),
            failures: std::array::from_fn(|_| AtomicU64::new(0)),
            waits: Clock::new(),
            runs: Clock::new(),
        }
    }
}

impl Clock {
    fn new() -> Self {
        Self {
            total_ns: AtomicU64::new(0),
            longest_ns: AtomicU64::new(0),
            buckets: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    fn add(&self, ns: u64, times: u64) {
        add(&self.total_ns, ns.saturating_mul(times));
        add(&self.buckets[(63 - (ns | 1).leading_zeros()) as usize], times);
        // Relaxed: as in `add`. The load spares the cache line's owner.
        if self.longest_ns.load(Ordering::Relaxed) < ns {
            self.longest_ns.fetch_max(ns, Ordering::Relaxed);
        }
    }
}

fn add(count: &AtomicU64, more: u64) {
    // Relaxed: a count, on which nothing else depends.
    count.fetch_add(more, Ordering::Relaxed);
}

fn lane_of_this_thread() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static LANE: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    match LANE.get() {
        // Relaxed: any number will do.
        usize::MAX => {
            let lane = NEXT.fetch_add(1, Ordering::Relaxed) % LANES;
            LANE.set(lane);
            lane
        }
        lane => lane,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_threads_count_adds_up() {
        let tally = Tally::default();
        std::thread::scope(|scope| {
            for thread in 0..2 * LANES as u64 {
                let tally = &tally;
                scope.spawn(move || {
                    for _ in 0..1000 {
                        tally.add(Count::Returned, 3);
                        tally.add_failure(FailureKind::Exited(1));
                    }
                    tally.add_run(10 * (thread + 1), 10);
                });
            }
        });
        assert_eq!(tally.count(Count::Returned), 2 * LANES as u64 * 3000);
        assert_eq!(tally.failures(FailureKind::Exited(9).number()), 2 * LANES as u64 * 1000);
        assert_eq!(tally.count(Count::Busy), 10 * (1..=2 * LANES as u64).sum::<u64>());
        let runs = tally.runs();
        assert_eq!((runs.count, runs.longest), (20 * LANES as u64, Duration::from_nanos(32)));
    }

    #[test]
    fn a_chunk_without_calls_has_no_times() {
        let tally = Tally::default();
        tally.add_run(5, 0);
        assert_eq!((tally.runs().count, tally.count(Count::Busy)), (0, 5));
    }
}
