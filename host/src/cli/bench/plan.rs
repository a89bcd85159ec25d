//! How the time is spent: decisions as pure functions of what was measured so far.

use std::time::{Duration, Instant};

/// Most calls of a turn.
pub(super) const CALLS_MAX: u64 = 1 << 40;

/// Calls of at least this length take in a job what they take by themselves, near enough to plan with.
pub(super) const CALL_TIME_KNOWN_MIN: Duration = Duration::from_millis(1);

/// Turns that are aimed at, besides the first.
const TURNS: u32 = 9;

/// Turns for which a whole pass over the inputs is given up only if there would be fewer.
const TURNS_MIN: u32 = 3;

/// The time there is for measuring, and how much of it is gone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    began: Instant,
    time: Duration,
}

impl Budget {
    /// Begins now.
    pub(super) fn new(time: Duration) -> Self {
        Self { began: Instant::now(), time }
    }

    /// How much of it has passed.
    pub(super) fn spent(self) -> Duration {
        self.began.elapsed()
    }

    /// Whether there is none left.
    pub(super) fn is_spent(self) -> bool {
        self.spent() >= self.time
    }

    /// For calls one at a time.
    pub(super) fn of_singles(self) -> Duration {
        self.time / 10
    }

    /// For starting pools of one size, when there are so many.
    pub(super) fn of_starts(self, sizes: usize) -> Duration {
        self.time / 10 / sizes.max(1) as u32
    }

    /// For a turn of one pool, when there are so many: of what is left by then, and with one worker at work.
    pub(super) fn of_a_turn(self, sizes: usize) -> Duration {
        self.time / 10 * 6 / (TURNS + 1) / sizes.max(1) as u32
    }

    /// Beyond this, the first round of turns counts.
    pub(super) fn of_first_turns(self) -> Duration {
        self.time / TURNS_MIN
    }
}

/// The sizes of the pools that are measured: all up to eight workers, then doubling, and the largest.
pub(super) fn sizes(workers: usize) -> Vec<usize> {
    const ALL_UP_TO: usize = 8;
    if workers <= ALL_UP_TO {
        return (1..=workers).collect();
    }
    let mut sizes: Vec<usize> =
        (0..usize::BITS).map(|doublings| 1 << doublings).take_while(|size| *size < workers).collect();
    sizes.push(workers);
    sizes
}

/// A call's share of the time of many.
pub(super) fn call_time(elapsed: Duration, calls: u64) -> Duration {
    // At least a nanosecond: something to divide by.
    Duration::from_nanos((elapsed.as_nanos() / u128::from(calls.max(1))).max(1) as u64)
}

/// How many calls make a turn that takes one worker about so long: whole passes over the inputs, or as many of the
/// first inputs as fit, but at least one for each worker, so that none is idle.
pub(super) fn calls(inputs: u64, call: Duration, turn: Duration, workers: u64) -> u64 {
    let fit = |turn: Duration| (turn.as_nanos() / call.as_nanos().max(1)).min(CALLS_MAX.into()) as u64;
    let patient = fit(turn * (TURNS / TURNS_MIN));
    if patient >= inputs {
        return (fit(turn) / inputs).max(1).saturating_mul(inputs).max(workers);
    }
    (patient / workers).max(1) * workers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_calls(inputs: u64, call_us: u64, workers: u64, expected: u64) {
        let turn = Duration::from_millis(100);
        let planned = calls(inputs, Duration::from_micros(call_us), turn, workers);
        assert_eq!(planned, expected, "{inputs} inputs of {call_us} us for {workers} workers");
    }

    #[test]
    fn a_turn_is_whole_passes_over_the_inputs_where_they_fit() {
        check_calls(10, 1, 2, 100_000);
        check_calls(7, 1000, 2, 98);
        // One pass takes longer than a turn should, but still leaves three.
        check_calls(250, 1000, 2, 250);
    }

    #[test]
    fn a_turn_is_as_many_of_the_inputs_as_fit_where_a_pass_is_too_long() {
        check_calls(1000, 1000, 4, 300);
        check_calls(1000, 7_000, 4, 40);
    }

    #[test]
    fn every_worker_has_a_call_however_long_they_are() {
        check_calls(1000, 60_000_000, 4, 4);
        check_calls(1, 60_000_000, 4, 4);
        check_calls(1, 200_000, 2, 2);
    }

    #[test]
    fn no_time_and_endless_inputs_make_no_harm() {
        assert_eq!(calls(1, Duration::ZERO, Duration::from_secs(1), 1), 1_000_000_000);
        assert_eq!(calls(u64::MAX, Duration::from_nanos(1), Duration::MAX / 8, 2), CALLS_MAX);
    }

    #[test]
    fn all_small_pools_and_some_large_ones_are_measured() {
        assert_eq!(sizes(1), [1]);
        assert_eq!(sizes(3), [1, 2, 3]);
        assert_eq!(sizes(8), [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(sizes(16), [1, 2, 4, 8, 16]);
        assert_eq!(sizes(1000), [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000]);
    }

    #[test]
    fn a_calls_share_is_never_nothing() {
        assert_eq!(call_time(Duration::from_secs(1), 4), Duration::from_millis(250));
        assert_eq!(call_time(Duration::from_nanos(3), 1000), Duration::from_nanos(1));
        assert_eq!(call_time(Duration::from_secs(1), 0), Duration::from_secs(1));
    }
}
