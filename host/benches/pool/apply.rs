//! How long one call takes, there and back.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

use crate::contest::{Aside, Contest};
use crate::measured::Measured;
use crate::native::Cubers;
use crate::numbers::bound::Bound;
use crate::numbers::curve::amount;
use crate::numbers::samples::Samples;
use crate::numbers::unit::Unit;
use crate::python::Python;
use crate::world::World;

/// Calls of a turn, one right after the other, and those that each begin after a rest.
const CALLS: usize = 50_000;
const RESTED_CALLS: usize = 400;
const RESTED_CALLS_QUICK: usize = 150;

/// Python's calls take a hundred times as long.
const PYTHON_CALLS: usize = 5_000;

/// Long enough for everybody to fall asleep.
const REST: Duration = Duration::from_millis(1);

/// Calls that do not count: the worker has to wake up and to make an instance.
const WARM_UP_CALLS: usize = 1000;

/// One kind of round trips: names of the median and of the 99th percentile, and what is promised of them.
struct Trips {
    names: [&'static str; 2],
    what: String,
    rest: Duration,
    calls: usize,
    python_calls: usize,
    bounds: [Bound; 2],
}

/// `apply`, one call right after the other.
///
/// # Errors
///
/// When a call fails or returns something wrong, as in the other benchmarks.
pub(crate) fn back_to_back(world: &World) -> anyhow::Result<Measured> {
    let calls = world.some(CALLS);
    let trips = Trips {
        names: ["apply-median", "apply-99%"],
        what: format!("apply there and back, {} calls a turn", amount(calls as f64)),
        rest: Duration::ZERO,
        calls,
        python_calls: world.some(PYTHON_CALLS),
        bounds: [Bound::new(5e-6, 1e-6), Bound::new(60e-6, 40e-6)],
    };
    trips.measure(world)
}

/// `apply` after a millisecond in which nobody had anything to do.
///
/// # Errors
///
/// As [`back_to_back`].
pub(crate) fn rested(world: &World) -> anyhow::Result<Measured> {
    let calls = if world.is_quick { RESTED_CALLS_QUICK } else { RESTED_CALLS };
    let trips = Trips {
        names: ["rested-apply-median", "rested-apply-99%"],
        what: format!("apply after 1 ms of rest, {calls} calls a turn"),
        rest: REST,
        calls,
        python_calls: calls,
        bounds: [Bound::new(40e-6, 20e-6), Bound::new(150e-6, 100e-6)],
    };
    trips.measure(world)
}

impl Trips {
    fn measure(&self, world: &World) -> anyhow::Result<Measured> {
        let (_pool, cube) = world.task::<i64, i64>("cube")?;
        let cubers = Cubers::new(1);
        let asker = cubers.asker();
        let (ours, channels, pools, futures) =
            (Aside::default(), Aside::default(), Aside::default(), Aside::default());
        let python = |python: &Python, what: &str, slowest: &Aside| {
            let (calls, rest) = (self.python_calls.to_string(), self.rest.as_millis().to_string());
            let [median, high] = python.figures(&[what, &calls, &rest])?;
            slowest.note(high);
            Ok(median)
        };
        const THREAD: &str = "crossbeam-channel, a thread";
        const POOL: &str = "Python Pool.apply";
        const FUTURE: &str = "Python futures submit";
        let [median_bound, slowest_bound] = self.bounds;
        let median = Contest::new(self.names[0], &*self.what, Unit::Seconds, || {
            self.time(|| Ok(cube.apply(3)?), &ours)
        })
        .promised(median_bound)
        .against(THREAD, || self.time(|| asker.cube(3), &channels))
        .against_python(POOL, world, |it| python(it, "apply", &pools))
        .against_python(FUTURE, world, |it| python(it, "futures-apply", &futures))
        .run(world.turns())?;
        let absent =
            |samples: &Aside| world.python.as_ref().map_err(Clone::clone).and_then(|_| samples.samples());
        let slowest = ours
            .figure(self.names[1], "the same, 99th percentile of a turn", Unit::Seconds)?
            .promised(slowest_bound)
            .against(THREAD, channels.samples())
            .against(POOL, absent(&pools))
            .against(FUTURE, absent(&futures));
        Ok(vec![median, slowest].into())
    }

    /// Median of a turn's calls; notes their 99th percentile.
    fn time(&self, call: impl Fn() -> anyhow::Result<i64>, slowest: &Aside) -> anyhow::Result<f64> {
        let mut seconds = Vec::with_capacity(self.calls);
        let warm_up_calls = WARM_UP_CALLS.min(self.calls);
        for number in 0..warm_up_calls + self.calls {
            if number >= warm_up_calls && !self.rest.is_zero() {
                thread::sleep(self.rest);
            }
            let started = Instant::now();
            let cubed = call()?;
            let taken = started.elapsed().as_secs_f64();
            ensure!(cubed == 27, "3 cubed is not {cubed}");
            seconds.extend((number >= warm_up_calls).then_some(taken));
        }
        let seconds = Samples::new(seconds).context("there were no calls")?;
        slowest.note(seconds.percentile(99.0));
        Ok(seconds.median())
    }
}
