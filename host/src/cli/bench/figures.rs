//! From samples to figures: pure functions of what was measured.

use std::time::Duration;

/// One call by itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Single {
    /// There and back, by our clock.
    pub(super) elapsed: Duration,
    /// The call, by the worker's clock.
    pub(super) own: Duration,
}

/// One job of many calls.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn {
    pub(super) calls: u64,
    /// All of them, by our clock.
    pub(super) elapsed: Duration,
    /// Calls of which workers have told the time, of all workers together; at least one.
    pub(super) worked_calls: u64,
    /// That time.
    pub(super) worked: Duration,
}

/// What was measured of a pool.
#[derive(Clone, Debug)]
pub(super) struct Pool {
    pub(super) workers: usize,
    /// From nothing to its first result.
    pub(super) starts: Vec<Duration>,
    /// At least one.
    pub(super) turns: Vec<Turn>,
}

/// Everything that was measured.
#[derive(Clone, Debug)]
pub(super) struct Figures {
    /// Name and parameters.
    pub(super) task: String,
    pub(super) inputs: u64,
    /// There were more inputs than that.
    pub(super) inputs_left_out: bool,
    /// Of a turn.
    pub(super) calls: u64,
    pub(super) cores: usize,
    /// Of the minute before; none where the system does not tell.
    pub(super) load: Option<f64>,
    /// At least one.
    pub(super) singles: Vec<Single>,
    /// From one worker up.
    pub(super) pools: Vec<Pool>,
    pub(super) measured_for: Duration,
}

/// Median, and what the middle half of the samples lies between; in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spread {
    pub(super) low: f64,
    pub(super) median: f64,
    pub(super) high: f64,
}

impl Turn {
    /// Nanoseconds a call, by our clock.
    fn call_ns(&self) -> f64 {
        self.elapsed.as_nanos() as f64 / self.calls as f64
    }

    /// Nanoseconds a call, by the workers' clocks.
    fn worked_ns(&self) -> f64 {
        self.worked.as_nanos() as f64 / self.worked_calls as f64
    }
}

impl Pool {
    /// What a call's share of a turn is.
    pub(super) fn call(&self) -> Spread {
        Spread::of(self.turns.iter().map(Turn::call_ns))
    }

    /// From nothing to its first result.
    pub(super) fn start(&self) -> Spread {
        Spread::of(self.starts.iter().map(|start| start.as_nanos() as f64))
    }
}

impl Figures {
    /// A call in a row of them, in the one worker of the smallest pool and by its clock.
    pub(super) fn inline(&self) -> Spread {
        Spread::of(self.alone().turns.iter().map(Turn::worked_ns))
    }

    /// A call by itself, by its worker's clock.
    pub(super) fn single(&self) -> Spread {
        Spread::of(self.singles.iter().map(|single| single.own.as_nanos() as f64))
    }

    /// The same, there and back.
    pub(super) fn round_trip(&self) -> Spread {
        Spread::of(self.singles.iter().map(|single| single.elapsed.as_nanos() as f64))
    }

    /// What a call of a job costs in a pool beyond what it costs inline.
    pub(super) fn overhead(&self) -> Spread {
        Spread::of(self.alone().turns.iter().map(|turn| beyond(turn.call_ns(), turn.worked_ns())))
    }

    /// What a call that is handed over by itself costs beyond what it costs inline.
    pub(super) fn round_trip_overhead(&self) -> Spread {
        let beyond = |single: &Single| single.elapsed.saturating_sub(single.own).as_nanos() as f64;
        Spread::of(self.singles.iter().map(beyond))
    }

    /// The pool of one worker.
    fn alone(&self) -> &Pool {
        &self.pools[0]
    }

    /// The pool with most workers.
    pub(super) fn largest(&self) -> &Pool {
        &self.pools[self.pools.len() - 1]
    }
}

impl Spread {
    /// Of some samples.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub(super) fn of(samples: impl IntoIterator<Item = f64>) -> Self {
        let mut samples: Vec<f64> = samples.into_iter().collect();
        samples.sort_by(f64::total_cmp);
        let [low, median, high] = [0.25, 0.5, 0.75].map(|part| quantile(&samples, part));
        Self { low, median, high }
    }
}

/// The value below which a part of the sorted samples lies; between two of them, in proportion.
fn quantile(sorted: &[f64], part: f64) -> f64 {
    let position = part * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[position.floor() as usize], sorted[position.ceil() as usize]);
    below + (above - below) * position.fract()
}

/// Two clocks of one machine may disagree by a few nanoseconds: nothing costs less than nothing.
fn beyond(elapsed_ns: f64, own_ns: f64) -> f64 {
    (elapsed_ns - own_ns).max(0.0)
}

/// How many times as fast calls come back from a pool as they would be inline.
pub(super) fn speed_up(inline_ns: f64, call_ns: f64) -> f64 {
    inline_ns / call_ns
}

/// How long a call must be at least for a pool of so many workers to be faster than inline; never with one worker.
///
/// A call of length L, and what the pool adds to it, are shared by all workers: (L + overhead) / workers < L.
pub(super) fn pays_from_ns(overhead_ns: f64, workers: usize) -> Option<f64> {
    (workers > 1).then(|| overhead_ns / (workers - 1) as f64)
}

/// After how many calls a pool has brought back what it took to start it; never if it is not faster.
pub(super) fn calls_to_pay_for(start_ns: f64, inline_ns: f64, call_ns: f64) -> Option<u64> {
    let gain_ns = inline_ns - call_ns;
    (gain_ns > 0.0).then(|| (start_ns / gain_ns).ceil() as u64)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Two pools: 100 ns inline, 110 ns with one worker, 55 ns with two; a call by itself takes 200 ns of 5 us.
    pub(in crate::cli::bench) fn example() -> Figures {
        let turn = |call_ns: u64| Turn {
            calls: 1000,
            elapsed: Duration::from_nanos(call_ns * 1000),
            worked_calls: 500,
            worked: Duration::from_nanos(500 * 100),
        };
        let pool = |workers, start_us, call_ns| Pool {
            workers,
            starts: vec![Duration::from_micros(start_us)],
            turns: vec![turn(call_ns - 1), turn(call_ns), turn(call_ns + 1)],
        };
        let single = Single { elapsed: Duration::from_nanos(5000), own: Duration::from_nanos(200) };
        Figures {
            task: "cube(number: i64)".to_owned(),
            inputs: 10,
            inputs_left_out: false,
            calls: 1000,
            cores: 2,
            load: Some(0.25),
            singles: vec![single; 3],
            pools: vec![pool(1, 2000, 110), pool(2, 4500, 55)],
            measured_for: Duration::from_millis(4990),
        }
    }

    #[test]
    fn the_middle_half_lies_between_quartiles() {
        let of = |samples: &[f64]| {
            let Spread { low, median, high } = Spread::of(samples.iter().copied());
            (low, median, high)
        };
        assert_eq!(of(&[7.0]), (7.0, 7.0, 7.0));
        assert_eq!(of(&[3.0, 1.0]), (1.5, 2.0, 2.5));
        assert_eq!(of(&[5.0, 1.0, 3.0, 4.0, 2.0]), (2.0, 3.0, 4.0));
        // One turn that somebody disturbed moves nothing.
        assert_eq!(of(&[1.0, 1.0, 1.0, 1.0, 1e9]), (1.0, 1.0, 1.0));
    }

    #[test]
    fn inline_is_by_the_workers_clock_and_pools_by_ours() {
        let figures = example();
        assert_eq!(figures.inline().median, 100.0);
        assert_eq!(figures.pools[0].call().median, 110.0);
        assert_eq!(figures.largest().call().median, 55.0);
        assert_eq!(figures.overhead().median, 10.0);
        assert_eq!(figures.single().median, 200.0);
        assert_eq!(figures.round_trip().median, 5000.0);
        assert_eq!(figures.round_trip_overhead().median, 4800.0);
        assert_eq!(figures.largest().start().median, 4.5e6);
    }

    #[test]
    fn clocks_that_disagree_make_no_negative_overhead() {
        let mut figures = example();
        figures.pools[0].turns.iter_mut().for_each(|turn| turn.elapsed /= 2);
        assert_eq!(figures.overhead(), Spread { low: 0.0, median: 0.0, high: 0.0 });
    }

    #[test]
    fn a_pool_pays_where_what_is_shared_outweighs_what_is_added() {
        assert_eq!(pays_from_ns(10.0, 1), None);
        assert_eq!(pays_from_ns(10.0, 2), Some(10.0));
        assert_eq!(pays_from_ns(12.0, 4), Some(4.0));
        for (overhead, workers) in [(10.0, 2), (12.0, 4), (700.0, 64)] {
            let from = pays_from_ns(overhead, workers).expect("several workers");
            let in_pool = |length: f64| (length + overhead) / workers as f64;
            assert!((in_pool(from) - from).abs() < 1e-9, "at that length it makes no difference");
            assert!(in_pool(from * 1.01) < from * 1.01 && in_pool(from * 0.99) > from * 0.99);
        }
    }

    #[test]
    fn a_start_is_paid_for_by_the_calls_that_it_makes_faster() {
        assert_eq!(calls_to_pay_for(4500.0, 100.0, 55.0), Some(100));
        assert_eq!(calls_to_pay_for(4501.0, 100.0, 55.0), Some(101));
        assert_eq!(calls_to_pay_for(4500.0, 100.0, 100.0), None);
        assert_eq!(calls_to_pay_for(4500.0, 100.0, 110.0), None);
        assert!((speed_up(100.0, 55.0) - 1.8181).abs() < 1e-3);
    }
}
