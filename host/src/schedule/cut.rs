//! How many calls make a chunk.
//!
//! A chunk should keep a worker busy for about a millisecond: long enough that handing it over costs nothing, short
//! enough that results flow and that whoever has to wait for it does not wait long. Nobody has to guess how long a
//! call takes, because chunks start at one call and the first ones tell; and nobody has to guess right, because a
//! chunk that turns out long is split while it runs.

use std::time::Duration;

/// Work that a chunk should hold.
const CHUNK_TIME: Duration = Duration::from_millis(1);

/// How much larger than the one before a chunk may be while the measure is young.
const GROWTH_MAX: u64 = 8;

/// Most calls of a chunk: their results still fit a core's cache.
const CHUNK_CALLS_MAX: u64 = 1 << 17;

/// Work below which moving calls to another worker costs more than it brings.
const STEAL_TIME_MIN: Duration = Duration::from_micros(20);

/// How long a job's calls take, as its chunks tell.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pace {
    /// Nanoseconds a call; zero while unknown.
    call_ns: f64,
    /// Most calls that a measured chunk had.
    largest: u64,
}

impl Pace {
    /// Learns from a chunk.
    pub(crate) fn learn(&mut self, calls: u64, busy_ns: u64) {
        if calls == 0 {
            return;
        }
        // A worker's word: no call takes less than a tenth of a nanosecond or more than an hour.
        let measured = (busy_ns as f64 / calls as f64).clamp(0.1, 3.6e12);
        // Small chunks are mostly overhead; a larger one says more than all before it.
        let old = if self.call_ns == 0.0 || calls > 2 * self.largest { measured } else { self.call_ns };
        self.call_ns = (old + measured) / 2.0;
        self.largest = self.largest.max(calls);
    }

    /// How many of `rest` calls the next chunk should have, for one of `workers` workers; at least one.
    pub(crate) fn chunk(&self, rest: u64, workers: usize) -> u64 {
        let fair = rest.div_ceil(2 * workers as u64);
        let known = match self.call_ns {
            0.0 => 1,
            call_ns => (CHUNK_TIME.as_nanos() as f64 / call_ns) as u64,
        };
        let grown = self.largest.saturating_mul(GROWTH_MAX).max(1);
        known.min(grown).min(fair).clamp(1, CHUNK_CALLS_MAX)
    }

    /// How many of the `rest` untaken calls of a running chunk a thief should take: the upper half, or none when
    /// they are not worth it.
    pub(crate) fn steal(&self, rest: u32) -> u32 {
        let work_ns = f64::from(rest) * self.call_ns;
        let is_known = self.call_ns > 0.0;
        if is_known && work_ns < STEAL_TIME_MIN.as_nanos() as f64 { 0 } else { rest.div_ceil(2) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_grow_from_one_call_to_a_millisecond_of_work() {
        let mut pace = Pace::default();
        let mut sizes = Vec::new();
        for _ in 0..8 {
            let calls = pace.chunk(1 << 40, 2);
            sizes.push(calls);
            pace.learn(calls, calls * 1000);
        }
        assert_eq!(sizes[0], 1);
        assert!(sizes.is_sorted(), "{sizes:?}");
        assert_eq!(sizes[7], 1000);
    }

    #[test]
    fn slow_calls_come_one_at_a_time() {
        let mut pace = Pace::default();
        pace.learn(1, 50_000_000);
        assert_eq!(pace.chunk(1000, 2), 1);
    }

    #[test]
    fn nobody_gets_more_than_a_share_of_the_rest() {
        let mut pace = Pace::default();
        for _ in 0..10 {
            pace.learn(1 << 16, 1 << 18);
        }
        assert_eq!(pace.chunk(100, 2), 25);
        assert_eq!(pace.chunk(1, 2), 1);
        assert_eq!(pace.chunk(1 << 40, 2), CHUNK_CALLS_MAX);
    }

    #[test]
    fn a_lying_measure_cannot_stop_the_job() {
        let mut pace = Pace::default();
        for lie in [0, u64::MAX] {
            pace.learn(10, lie);
            assert!((1..=80).contains(&pace.chunk(1 << 40, 2)), "{lie}");
        }
    }

    #[test]
    fn a_thief_takes_half_if_it_is_worth_it() {
        let mut pace = Pace::default();
        assert_eq!(pace.steal(5), 3);
        pace.learn(1000, 10_000);
        assert_eq!(pace.steal(5), 0);
        assert_eq!(pace.steal(10_000), 5000);
    }
}
