//! What a pool has done so far, as anyone may read it.

use std::fmt;
use std::time::Duration;

use super::outcome::FailureKind;
use super::shared::{Seat, Shared};
use super::tally::{Count, Tally};

/// One for each number of binary digits.
pub(crate) const BUCKETS: usize = 64;

/// What a pool has done since it was built, and what it is doing; see [`Pool::stats`](super::Pool::stats).
///
/// Numbers that belong together may differ for a moment while calls run; once all jobs have ended, they add up: each
/// call that was submitted has one outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// How long ago the pool was built.
    pub age: Duration,
    /// Workers that the pool is to have; see [`Pool::workers`](super::Pool::workers).
    pub workers: usize,
    /// Worker processes that are alive.
    pub workers_alive: usize,
    /// Worker processes that were started, the first ones included.
    pub workers_started: u64,
    /// Workers that died of a call or of themselves, that somebody else killed, or that broke the protocol.
    pub workers_lost: u64,
    /// Workers that were killed with a call that had to be stopped: because its time was over, or nobody waited for it.
    pub workers_stopped: u64,
    /// Workers that had nothing to do and were ended, to make room for another module's or because the pool shrank.
    pub workers_retired: u64,
    /// Jobs that have not ended: a `map` with all its calls, or one `apply`.
    pub jobs_running: u64,
    /// Jobs that have ended, however they did.
    pub jobs_ended: u64,
    /// Calls whose inputs the pool has taken.
    pub calls_submitted: u64,
    /// Calls that could be given to a worker and have not been, about.
    pub calls_waiting: u64,
    /// Calls that rest before they are tried again.
    pub calls_resting: u64,
    /// What became of the calls that have ended.
    pub outcomes: Outcomes,
    /// Attempts beyond each call's first.
    pub retries: u64,
    /// Chunks of calls that were given to workers.
    pub chunks: u64,
    /// Chunks that a worker was given out of another one's store.
    pub steals: u64,
    /// Chunks that were split while a worker was at them, for another one without work.
    pub splits: u64,
    /// How long workers were busy with calls, all together. Chunks that ended with their worker are not counted.
    pub busy: Duration,
    /// How long calls waited for a worker, from when they could first be run, or run again. Single calls that were handed
    /// to an idle worker directly are not counted.
    pub waits: Times,
    /// How long calls ran. Time is taken per chunk, about a millisecond of work: its calls count as equally long. The
    /// last chunks of a job may be missing for a moment after it: a chunk ends after its last call.
    pub runs: Times,
}

/// How calls ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outcomes {
    /// Calls that returned.
    pub returned: u64,
    /// Calls that were given up because their job ended before they did: after a failure, at its deadline, or because
    /// it was cancelled. Some of them may have run to their end unheeded.
    pub not_run: u64,
    /// By the numbers of the kinds.
    failures: [u64; FailureKind::KINDS],
}

/// How long something took, many times.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Times {
    /// How often.
    pub count: u64,
    /// All times together.
    pub total: Duration,
    /// The longest of them.
    pub longest: Duration,
    /// By the number of binary digits of their nanoseconds.
    buckets: [u64; BUCKETS],
}

impl Outcomes {
    /// How many calls failed for good in a way. What the kind carries makes no difference.
    ///
    /// # Examples
    ///
    /// ```
    /// wasmpool::test_support!();
    /// # fn main() -> Result<(), wasmpool::Error> {
    /// use wasmpool::FailureKind;
    ///
    /// let pool = wasmpool::Pool::builder().workers(1).build()?;
    /// let traps = pool.load_bytes("traps", br#"(module (func (export "trap") unreachable))"#)?;
    /// let outcomes = traps.task::<(), ()>("trap")?.map_outcomes([(); 5])?;
    /// assert_eq!(outcomes.len(), 5);
    /// let stats = pool.stats();
    /// assert_eq!(stats.outcomes.of(FailureKind::Trapped), 5);
    /// assert_eq!((stats.outcomes.failed(), stats.outcomes.total()), (5, 5));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn of(&self, kind: FailureKind) -> u64 {
        self.failures[kind.number()]
    }

    /// How many calls failed for good, in whatever way.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failures.iter().sum()
    }

    /// How many calls have ended.
    #[must_use]
    pub fn total(&self) -> u64 {
        // A job that was cancelled may have been of more calls than can be counted.
        self.returned.wrapping_add(self.not_run).wrapping_add(self.failed())
    }
}

impl Times {
    pub(crate) fn new(total_ns: u64, longest_ns: u64, buckets: [u64; BUCKETS]) -> Self {
        Self {
            count: buckets.iter().fold(0, |count: u64, more| count.saturating_add(*more)),
            total: Duration::from_nanos(total_ns),
            longest: Duration::from_nanos(longest_ns),
            buckets,
        }
    }

    /// The mean, zero if there was none.
    #[must_use]
    pub fn mean(&self) -> Duration {
        Duration::from_nanos((self.total.as_nanos() as u64).checked_div(self.count).unwrap_or(0))
    }

    /// A time that so large a share of all times, from 0 to 1, did not exceed, at most twice as long as needed; zero if
    /// there was none.
    ///
    /// # Examples
    ///
    /// ```
    /// wasmpool::test_support!();
    /// # fn main() -> Result<(), wasmpool::Error> {
    /// let pool = wasmpool::Pool::builder().workers(1).build()?;
    /// let squares = br#"(module (func (export "square") (param i64) (result i64)
    ///     (i64.mul (local.get 0) (local.get 0))))"#;
    /// pool.load_bytes("squares", squares)?.task::<i64, i64>("square")?.map(0..10_000)?;
    /// let runs = pool.stats().runs;
    /// assert!(runs.quantile(0.5) <= runs.quantile(0.99) && runs.quantile(1.0) <= runs.longest);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn quantile(&self, share: f64) -> Duration {
        let wanted = ((self.count as f64 * share.clamp(0.0, 1.0)).ceil() as u64).clamp(1, self.count.max(1));
        let mut seen: u64 = 0;
        for (digits, count) in self.buckets.iter().enumerate() {
            seen = seen.saturating_add(*count);
            if seen >= wanted {
                let most_ns = u64::MAX >> (BUCKETS - 1 - digits);
                return Duration::from_nanos(most_ns).min(self.longest);
            }
        }
        Duration::ZERO
    }
}

impl Shared {
    /// What the pool has done.
    pub(crate) fn stats(&self) -> Stats {
        let tally = &*self.tally;
        // In this order, so that no more calls have ended than were submitted.
        let (jobs_ended, outcomes) = (tally.count(Count::JobsEnded), Outcomes::of_tally(tally));
        let modules = self.modules();
        Stats {
            age: tally.begin.elapsed(),
            workers: self.workers(),
            workers_alive: self.open_seats().iter().filter_map(Seat::pid).count(),
            workers_started: tally.count(Count::WorkersStarted),
            workers_lost: tally.count(Count::WorkersLost),
            workers_stopped: tally.count(Count::WorkersStopped),
            workers_retired: tally.count(Count::WorkersRetired),
            jobs_running: tally.count(Count::JobsBegun).saturating_sub(jobs_ended),
            jobs_ended,
            calls_submitted: tally.count(Count::Submitted),
            calls_waiting: modules.iter().map(|module| module.backlog()).fold(0, u64::saturating_add),
            calls_resting: self.rests.len() as u64,
            outcomes,
            retries: tally.count(Count::Retries),
            chunks: tally.count(Count::Chunks),
            steals: tally.count(Count::Steals),
            splits: tally.count(Count::Splits),
            busy: Duration::from_nanos(tally.count(Count::Busy)),
            waits: tally.waits(),
            runs: tally.runs(),
        }
    }
}

impl Outcomes {
    fn of_tally(tally: &Tally) -> Self {
        Self {
            returned: tally.count(Count::Returned),
            not_run: tally.count(Count::NotRun),
            failures: std::array::from_fn(|number| tally.failures(number)),
        }
    }
}

/// A summary of a few lines for people, as `--stats` prints it.
impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.age.as_secs_f64();
        write!(f, "{} calls in {seconds:.2} s: {}", self.calls_submitted, self.outcomes)?;
        if self.retries > 0 {
            write!(f, "; {} retries", self.retries)?;
        }
        let Times { longest, .. } = self.runs;
        let (mean, half, most) = (self.runs.mean(), self.runs.quantile(0.5), self.runs.quantile(0.99));
        writeln!(
            f,
            "\na call took {mean:.1?} on average, half of them at most {half:.1?}, 99 % at most {most:.1?}, the longest \
             {longest:.1?}"
        )?;
        let (mean, longest) = (self.waits.mean(), self.waits.longest);
        writeln!(f, "calls waited {mean:.1?} for a worker on average, {longest:.1?} at most")?;
        write!(
            f,
            "{} workers, busy for {:.2} s together; {} chunks, {} stolen, {} split",
            self.workers,
            self.busy.as_secs_f64(),
            self.chunks,
            self.steals,
            self.splits
        )?;
        let ends = [
            (self.workers_lost, "lost"),
            (self.workers_stopped, "stopped"),
            (self.workers_retired, "retired"),
        ];
        write!(f, "; {} processes started", self.workers_started)?;
        ends.iter().filter(|(count, _)| *count > 0).try_for_each(|(count, how)| write!(f, ", {count} {how}"))
    }
}

/// `98 returned, 1 trapped, 1 not run`
impl fmt::Display for Outcomes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} returned", self.returned)?;
        let names = FailureKind::NAMES.iter().zip(&self.failures).map(|(name, count)| (*name, *count));
        let mut others = names.chain([("not run", self.not_run)]).filter(|(_, count)| *count > 0);
        others.try_for_each(|(name, count)| write!(f, ", {count} {name}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_at_most_twice_too_long() {
        let mut buckets = [0; BUCKETS];
        // 90 times 5 ns, 9 times 1000 ns, once 2 ms.
        (buckets[2], buckets[9], buckets[20]) = (90, 9, 1);
        let times = Times::new(90 * 5 + 9 * 1000 + 2_000_000, 2_000_000, buckets);
        let ns = Duration::from_nanos;
        assert_eq!(times.count, 100);
        assert_eq!(times.mean(), ns(20_094));
        for (share, expected) in [(-1.0, 7), (0.5, 7), (0.9, 7), (0.91, 1023), (0.99, 1023), (1.0, 2_000_000)]
        {
            assert_eq!(times.quantile(share), ns(expected), "{share}");
        }
    }

    #[test]
    fn of_nothing_there_are_no_times() {
        let times = Times::new(0, 0, [0; BUCKETS]);
        assert_eq!((times.mean(), times.quantile(0.5)), (Duration::ZERO, Duration::ZERO));
    }

    #[test]
    fn outcomes_are_told_without_those_that_there_are_none_of() {
        let mut outcomes = Outcomes { returned: 5, not_run: 2, ..Outcomes::default() };
        outcomes.failures[FailureKind::TimedOut.number()] = 1;
        assert_eq!(outcomes.to_string(), "5 returned, 1 timed out, 2 not run");
        assert_eq!((outcomes.failed(), outcomes.total()), (1, 8));
    }
}
